"""Machines, and what is between them.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any, Final

from gamenet.core.beacon import BROADCAST, GROUP, GROUP_IPV6
from gamenet.errors import LocalProtocolError
from gamenet.impairment import PROFILES, Impairment, Profile, find_profile
from gamenet.testing.streams import DATA, HEADER_BYTES, SimulatedTransport
from gamenet.testing.timeline import Timeline
from gamenet.testing.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gamenet.testing.connecting import SimulatedListener
    from gamenet.testing.datagrams import SimulatedPort
    from gamenet.testing.reactor import SimulatedReactor

Address = tuple[str, int]
"""Host and port."""
FIRST_FREE_PORT: Final = 40_000
TO_ALL: Final = frozenset({GROUP, GROUP_IPV6, BROADCAST})
"""Whoever has the port open, on whatever machine, hears what is sent there."""
_pack_time: Final = struct.Struct("!d").pack


class SimulatedNetwork:
    """A network in memory, in virtual time: the same seed gives the same network.

    Machines are :class:`~gamenet.testing.SimulatedReactor` objects. Each but a server has a link of
    its own to the rest of the world, and the conditions of that link each way.

    :param seed: decides every delay and every loss.
    """

    transport_type: type[SimulatedTransport] = SimulatedTransport

    def __init__(self, seed: int | str = 0) -> None:
        self.seed = seed
        self.timeline = Timeline()
        self.machines: list[SimulatedReactor] = []
        self.udp: dict[Address, SimulatedPort] = {}
        """Open UDP ports."""
        self.tcp: dict[Address, SimulatedListener] = {}
        """Listening TCP ports."""
        self.connections: list[SimulatedTransport] = []
        """Every end of every connection that is not lost."""
        self.is_opaque = False
        """What is sent has a randomness of its own, so only its times are digested."""
        self._by_address: dict[str, SimulatedReactor] = {}
        self._profile = PROFILES["perfect"]
        self._is_udp_blocked = False
        self._next_port = FIRST_FREE_PORT
        self._next_host = 0
        self._arrival = self._arrive

    # Time.

    def seconds(self) -> float:
        """What time it is, on a monotonic clock."""
        return self.timeline.now

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        self.timeline.settle()

    def run(self, seconds: float) -> None:
        """Let time pass, from one wake to the next."""
        self.timeline.advance(seconds)

    # Conditions.

    def link(
        self,
        client: object = None,
        *,
        profile: str | Profile | None = None,
        latency_ms: float | None = None,
        jitter_ms: float | None = None,
        loss: float | None = None,
        duplicate: float | None = None,
        reorder: float | None = None,
        bandwidth_bytes: int | None = None,
    ) -> None:
        """Change the conditions of a link from now on, each way alike.

        :param client: whose link: a client, a factory or a reactor; None for everybody's, also of
            those who come later.
        :param profile: all conditions at once, by name or as a
            :class:`~gamenet.impairment.Profile`; those given beside it are changed in it. Without
            it they are changed in what the link is now.
        :raises ConfigError: naming what is wrong.
        """
        given = {
            "latency_ms": latency_ms,
            "jitter_ms": jitter_ms,
            "loss": loss,
            "duplicate": duplicate,
            "reorder": reorder,
            "bandwidth_bytes": bandwidth_bytes,
        }
        changes: dict[str, Any] = {name: each for name, each in given.items() if each is not None}
        base = None if profile is None else find_profile(profile)
        if changes:
            changes["name"] = "custom"

        def changed(now: Profile) -> Profile:
            return replace(base or now, **changes) if changes else base or now

        if client is None:
            self._profile = changed(self._profile)
        for machine in self._linked(client):
            for way in machine.ways:
                way.profile = changed(way.profile)

    def cut_tcp(self, client: object = None, *, silently: bool = False) -> None:
        """Break the TCP connections of a client, or of everybody; new ones can be made.

        Both ends learn it at once, and what was under way is lost.

        :param silently: neither end learns it: nothing arrives any more and nobody says so, as
            behind a router that has lost its memory.
        """
        for machine in self._linked(client):
            for ours in [each for each in self.connections if each.machine is machine]:
                ends = (ours, ours.peer)
                for end in ends:
                    end.is_dead = True
                if not silently:
                    for end in ends:
                        end.cut()

    def block_udp(self, client: object = None, on: bool = True) -> None:
        """Let no datagram of a client, or of anybody, pass; *on* False lets them pass again."""
        if client is None:
            self._is_udp_blocked = on
        for machine in self._linked(client):
            for way in machine.ways:
                way.blocked = on

    def change_address(self, client: object) -> str:
        """Give a client another address, as going from Wi-Fi to a mobile network does.

        Its datagrams come from the new address from now on. Its connections are dead: nothing
        arrives any more in either direction, and nobody says so.

        :returns: the new address.
        """
        machine = self.machine_of(client)
        for ours in [each for each in self.connections if each.machine is machine]:
            ours.is_dead = ours.peer.is_dead = True
        del self._by_address[machine.address]
        machine.address = self._new_address(six=":" in machine.address)
        self._by_address[machine.address] = machine
        tables: tuple[dict[Address, Any], ...] = (self.udp, self.tcp)
        for table in tables:
            _move(table, machine)
        return machine.address

    def _linked(self, client: object) -> Iterable[SimulatedReactor]:
        if client is None:
            return [machine for machine in self.machines if machine.ways]
        return (self.machine_of(client),)

    def machine_of(self, client: object) -> SimulatedReactor:
        """The machine that a client, a factory or a host runs on; a reactor is one.

        :raises LocalProtocolError: if it is none of this network's.
        """
        found: Any = client
        if found not in self.machines:
            found = getattr(client, "reactor", None) or getattr(
                getattr(client, "host", None), "reactor", None
            )
        if found not in self.machines:
            raise LocalProtocolError(f"{client!r} is not on this network")
        machine: SimulatedReactor = found
        if not machine.ways:
            raise LocalProtocolError(f"{client!r} is a server: conditions are those of a client")
        return machine

    # Machines.

    def add(self, machine: SimulatedReactor, address: str, *, linked: bool) -> str:
        """A machine is connected to the network.

        :param address: "" for any.
        :returns: its address.
        """
        address = address or self._new_address()
        if address in self._by_address:
            raise LocalProtocolError(f"{address} is the address of another machine")
        self._by_address[address] = machine
        self.machines.append(machine)
        number = len(self.machines)
        machine.trace = Trace()
        if linked:
            machine.ways = tuple(
                Impairment(self._profile, f"{self.seed}/{number}/{way}") for way in ("up", "down")
            )
            for each in machine.ways:
                each.blocked = self._is_udp_blocked
        return address

    def _new_address(self, *, six: bool = False) -> str:
        while True:
            self._next_host += 1
            high, low = divmod(self._next_host, 250)
            address = f"fd00::{self._next_host:x}" if six else f"10.0.{high}.{low + 1}"
            if address not in self._by_address:
                return address

    def free_port(self) -> int:
        """A port number that was never used."""
        self._next_port += 1
        return self._next_port

    def fingerprint(self) -> str:
        """A digest of everything that was sent so far, and of when it arrived."""
        return Trace.of(machine.trace for machine in self.machines)

    def left_behind(self) -> list[str]:
        """What is still there: connections, ports and timers, each in words."""
        left = (
            self.connections,
            self.tcp.values(),
            self.udp.values(),
            self.timeline.timers,
        )
        return [repr(each) for kind in left for each in kind]

    # What is under way.

    def send_datagram(
        self, machine: SimulatedReactor, source: Address, target: Address, data: bytes
    ) -> None:
        """Carry a datagram to whoever is at *target* when it arrives."""
        if target[0] in TO_ALL:
            for where, port in list(self.udp.items()):
                if where[1] == target[1] and port.everywhere:
                    self.send_datagram(machine, source, where, data)
            return
        timeline = self.timeline
        now = timeline.now
        ways = machine.ways
        trace = machine.trace
        copies = ways[0].datagram(data, now) if ways else [(now, data)]
        other = self._by_address.get(target[0])
        if other is not None and other.ways:
            if not ways:
                trace = other.trace
            down = other.ways[1].datagram
            copies = [copy for when, each in copies for copy in down(each, when)]
        if not copies:
            trace.note(_pack_time(now))
        opaque = self.is_opaque
        for when, each in copies:
            trace.note(_pack_time(when), b"" if opaque else each)
            heappush(
                timeline._heap, (when, timeline._number(), self._arrival, (target, each, source))
            )

    def _arrive(self, target: Address, data: bytes, source: Address) -> None:
        """A datagram arrives, and with it those that come to the same port at the same time."""
        batch = [(data, source)]
        heap, now, arrival = self.timeline._heap, self.timeline.now, self._arrival
        while heap and heap[0][0] <= now and heap[0][2] is arrival and heap[0][3][0] == target:
            _, data, source = heappop(heap)[3]
            batch.append((data, source))
        port = self.udp.get(target)
        if port is not None:
            port.receive(batch)

    def stream_arrival(
        self, machine: SimulatedReactor, other: SimulatedReactor | None, size: int
    ) -> float:
        """When so many bytes of a stream arrive that set out now."""
        when = self.timeline.now
        if machine.ways:
            when = machine.ways[0].stream(size, when)
        if other is not None and other.ways:
            when = other.ways[1].stream(size, when)
        return when

    def send_stream(self, end: SimulatedTransport, kind: str, data: bytes) -> bool:
        """Carry to the other end what one end of a connection has written or done.

        :returns: whether the bytes wait for a slow link, which says ``sent`` once they have left.
        """
        machine, peer = end.machine, end.peer
        when = self.stream_arrival(machine, peer.machine, len(data) or HEADER_BYTES)
        trace = machine.trace if machine.ways else peer.machine.trace
        trace.note(_pack_time(when), kind.encode(), b"" if self.is_opaque else data)
        timeline = self.timeline
        timeline.at(when, peer.arrive, kind, data)
        if kind == DATA and any(
            way.profile.bandwidth_bytes for way in (*machine.ways[:1], *peer.machine.ways[1:])
        ):
            timeline.at(when, end.sent, len(data))
            return True
        return False

    def knock(
        self,
        machine: SimulatedReactor,
        target: Address,
        answered: Callable[..., None],
        attempt: int,
    ) -> None:
        """Ask the machine at *target* for a connection.

        :param answered: called with who listens there, or None, and *attempt*; never if there is
            no such machine.
        """
        address = machine.address
        listener = self.tcp.get(target)
        other = listener.machine if listener is not None else self._by_address.get(target[0])

        def arrive() -> None:
            found = self.tcp.get(target)
            back = other if found is None else found.machine
            if back is not None and machine.address == address:
                when = self.stream_arrival(back, machine, HEADER_BYTES)
                self.timeline.at(when, come_back, found)

        def come_back(found: SimulatedListener | None) -> None:
            if machine.address == address:
                answered(found, attempt)

        self.timeline.at(self.stream_arrival(machine, other, HEADER_BYTES), arrive)


def _move(table: dict[Address, Any], machine: SimulatedReactor) -> None:
    """What is open at whatever address a machine has is open at its new one."""
    for port in [each for each in table.values() if each.machine is machine and each.everywhere]:
        del table[port.where]
        port.where = (machine.address, port.where[1])
        table[port.where] = port

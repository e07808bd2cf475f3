"""
A network that is not there, for tests that look into gamenet itself.

It is the network of :mod:`gamenet.testing` with its hands tied: what is sent arrives after one
delay for all, in order, unless a test's ``filter`` does something to it. Besides, it remembers what
was sent, routers translate addresses, and peers do exactly what a test says. Nothing here waits,
and nothing happens unless a test says ``settle`` or ``run``.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gamenet.testing import SimulatedNetwork, SimulatedReactor
from gamenet.testing.streams import FIN, SimulatedTransport, tcp_address
from gamenet.testing.streams import RST as RST
from gamenet.testing.timeline import Timeline, Timer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SERVER_ADDRESS = "10.0.0.1"
PORT = 7777
STARTS_AT = 1_000.0


class Datagram(NamedTuple):
    """One datagram on its way."""

    data: bytes
    source: tuple[str, int]
    target: tuple[str, int]


class Network(SimulatedNetwork):
    """Machines, what is between them, and the time."""

    connections: list[FakeTransport]  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.timeline = self.clock = Timeline(STARTS_AT)
        self.delay = 0.0
        """Seconds that everything takes to arrive."""
        self.filter: Callable[[Datagram], Iterable[Datagram]] = lambda datagram: (datagram,)
        """What becomes of each datagram: nothing, itself, several, others."""
        self.datagrams: list[Datagram] = []
        """Every datagram ever sent, before ``filter``, as it left the sender's router."""
        self.send_error: OSError | None = None
        """Raised by every ``sendto`` while set."""
        self.translations: dict[tuple[str, int], tuple[str, int]] = {}
        """What routers know: the public address of a datagram's sender, to the private one."""

    def add(self, machine: SimulatedReactor, address: str, *, linked: bool) -> str:
        """Another machine; two can have one address, behind routers of their own."""
        self.machines.append(machine)
        return address

    @property
    def timers(self) -> list[Any]:
        """Everything that would still happen."""
        heap = self.clock._heap
        return [
            call
            for _, number, call, _ in heap
            if not isinstance(call, Timer) or (call.active() and call._entry == number)
        ]

    def stream_arrival(
        self, machine: SimulatedReactor, other: SimulatedReactor | None, size: int
    ) -> float:
        """After the one delay."""
        return self.clock.now + self.delay

    def send_stream(self, end: SimulatedTransport, kind: str, data: bytes) -> bool:
        """Nothing is digested here."""
        self.clock.at(self.clock.now + self.delay, end.peer.arrive, kind, data)
        return False

    def send_datagram(
        self,
        machine: SimulatedReactor,
        source: tuple[str, int],
        target: tuple[str, int],
        data: bytes,
    ) -> None:
        """Carry a datagram to whoever listens at its target."""
        if self.send_error is not None:
            raise self.send_error
        assert isinstance(machine, Machine)
        datagram = Datagram(data, machine.public(source), target)
        self.datagrams.append(datagram)
        for passed in self.filter(datagram):
            self.clock.at(self.clock.now + self.delay, self.deliver, passed)

    def deliver(self, datagram: Datagram) -> None:
        """A datagram arrives."""
        port = self.udp.get(self.translations.get(datagram.target, datagram.target))
        if port is not None:
            port.receive([(datagram.data, datagram.source)])

    def inject(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """A stranger's datagram arrives at once."""
        self.deliver(Datagram(data, source, target))
        self.settle()


class Machine(SimulatedReactor):
    """What gamenet asks of a reactor, on a machine of its own.

    :param address: where its sockets are.
    :param public_address: what others see, if a router translates between them.
    """

    network: Network

    def __init__(
        self, network: Network, address: str = SERVER_ADDRESS, public_address: str = ""
    ) -> None:
        super().__init__(network, address, linked=False)
        self.public_address = public_address
        self.wakes = 0
        """Calls of ``callFromThread``."""

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """As soon as the network settles."""
        self.wakes += 1
        super().callFromThread(callable, *args, **kw)

    def public(self, local: tuple[str, int]) -> tuple[str, int]:
        """The address that the world sees for one of ours; a router makes one up."""
        if not self.public_address:
            return local
        translations = self.network.translations
        for outside, inside in translations.items():
            if inside == local:
                return outside
        outside = (self.public_address, self.network.free_port())
        translations[outside] = local
        return outside

    def _host_of(self, interface: str) -> str:
        """Every interface that a test names is there."""
        return self.address if interface in ("", "0.0.0.0") else interface

    def connect(self, factory: Any, target: tuple[str, int]) -> FakeTransport | None:
        """Connect *factory* to whoever listens at *target*, at once; None if refused.

        :returns: our end.
        """
        listener = self.network.tcp.get(target)
        if listener is None:
            factory.clientConnectionFailed(None, Failure(ConnectionLost("nobody listens there")))
            return None
        source = (self.public_address or self.address, self.network.free_port())
        client_protocol = factory.buildProtocol(tcp_address(*target))
        if client_protocol is None:
            return None
        server_protocol = listener.factory.buildProtocol(tcp_address(*source))
        client = FakeTransport(self, source, target, client_protocol)
        server = FakeTransport(listener.machine, target, source, server_protocol or Stranger())
        client.meet(server)
        if server_protocol is None:
            server.connected = False
            self.network.connections.remove(server)
            client_protocol.makeConnection(client)
            self.network.send_stream(server, FIN, b"")
            return client
        server_protocol.makeConnection(server)
        client_protocol.makeConnection(client)
        return client


class FakeTransport(SimulatedTransport):
    """One end of a TCP connection that keeps what is written."""

    peer: FakeTransport

    def __init__(
        self,
        machine: SimulatedReactor,
        local: tuple[str, int],
        remote: tuple[str, int],
        protocol: Any,
    ) -> None:
        super().__init__(machine, local, remote, protocol)
        self.written = b""
        """Everything written."""

    def write(self, data: bytes) -> None:
        """Keep it, and send it."""
        if self.connected and not self._said_fin:
            self.written += data
        super().write(data)

    def stop_reading(self) -> None:
        """Leave what comes unread."""
        self.reading = False

    def read_again(self) -> None:
        """Read what has come."""
        self.reading = True
        self._read_on()
        self.network.settle()


@implementer(IHalfCloseableProtocol)
class Stranger(Protocol):
    """A peer that says only what a test has it say, and closes only when told to."""

    def __init__(self) -> None:
        self.heard = b""
        """Everything that came."""
        self.ended = ""
        """How the other side ended it: "" not yet, "fin" in an orderly way, "rst" not."""
        self.transport: Any = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data

    def readConnectionLost(self) -> None:
        """The other side has closed its half."""
        self.ended = self.ended or FIN

    def writeConnectionLost(self) -> None:
        """Our half is closed."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is over."""
        if reason is not None and not reason.check(ConnectionDone, ConnectionAborted):
            self.ended = self.ended or RST
        self.ended = self.ended or FIN

    # What a test has it do.

    def say(self, data: bytes, *, chunk: int = 65_536) -> None:
        """Send bytes, which the other end reads in pieces of *chunk*."""
        self.transport.peer.chunk = chunk
        self.transport.write(data)
        self.transport.network.settle()

    def say_frame(self, *frames: bytes) -> None:
        """Send frames, each behind its length, in one piece."""
        self.say(b"".join(framed(frame) for frame in frames))

    def close(self) -> None:
        """End it in an orderly way."""
        self.transport.loseConnection()
        self.transport.network.settle()

    def abort(self) -> None:
        """Reset it."""
        self.transport.abortConnection()
        self.transport.network.settle()

    @property
    def frames(self) -> list[bytes]:
        """The whole frames that came."""
        found, rest = [], self.heard
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            end = 4 + int.from_bytes(rest[:4], "big")
            found.append(rest[4:end])
            rest = rest[end:]
        return found


def framed(frame: bytes) -> bytes:
    """A frame as it is on the wire."""
    return len(frame).to_bytes(4, "big") + frame


class StrangerFactory:
    """Makes strangers, on either end of a connection."""

    def __init__(self) -> None:
        self.made: list[Stranger] = []

    def doStart(self) -> None:
        """Nothing to do."""

    def doStop(self) -> None:
        """Nothing to do."""

    def buildProtocol(self, address: object) -> Stranger:
        """Another one."""
        self.made.append(Stranger())
        return self.made[-1]


def random_bytes(seed: int) -> Callable[[int], bytes]:
    """A source of bytes that are the same in every run."""
    return random.Random(seed).randbytes

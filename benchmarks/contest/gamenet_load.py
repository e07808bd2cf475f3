"""The load of gamenet's servers: real joins, and then as little as a client can do.

One process, one thread, plain sockets. Only W4 has gamenet's own client at its end, because the
way through both game threads is what it measures.
"""

from __future__ import annotations

import resource
import select
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from struct import Struct
from typing import Any, Final

import common

sys.path.append(str(Path(__file__).resolve().parent.parent))

import gamenet_ping
import horde
import lean

from gamenet.core import frames, wire
from gamenet.core.reliable_half import LONE_ACK_SECONDS, RIDING_ACK_SECONDS
from gamenet.tickets import TicketIssuer, read_private_key
from gamenet.turns import BEAT_SECONDS

AT_ONCE: Final = 8
"""Joins that are under way: while one waits for the server, another works."""
PING_SECONDS: Final = 5.0
IDLE_SECONDS: Final = 0.5
"""How often a client that owes no acknowledgements looks whether a ping is due."""
JOINING_PINGS: Final = 400
"""Joins after which those who wait for the others show that they live."""
_LENGTH: Final = Struct("!I")
_LENGTH_BYTES: Final = _LENGTH.size
_UNRELIABLE: Final = int(wire.MessageType.UNRELIABLE)
_DATA: Final = int(frames.Kind.DATA)


def join(spec: dict[str, Any]) -> lean.LeanClient:
    """One client, joined and bound."""
    return lean.LeanClient(common.HOST, spec["port"], tls=spec["tls"]).join().bind()


def join_all(spec: dict[str, Any], n: int) -> list[lean.LeanClient]:
    """So many of them."""
    clients: list[lean.LeanClient] = []
    for _ in range(n):
        clients.append(join(spec))
        if len(clients) % JOINING_PINGS == 0:
            for client in clients:
                client.send(wire.DatagramKind.PING, bytes(4))
                client.look_at_udp()
                client.look_at_tcp()
    return clients


# W1 and W2: one client, a window of messages in flight.


def echo(spec: dict[str, Any], told: common.Told, client: lean.LeanClient) -> dict[str, Any]:
    """Keep unreliable messages in flight, as many in a datagram as came together."""
    window, payload = spec["window"], bytes(spec["message_bytes"])
    assert client.udp is not None
    client.udp.connect(client.server)
    # What a flush of so many messages is, behind its acks.
    packed = {
        count: wire.pack_messages([(_UNRELIABLE, payload)] * count)
        for count in range(1, window + 1)
    }
    counts = {len(parts[0]): count for count, parts in packed.items() if len(parts) == 1}
    opens, marks = client.opener.open, client.window
    read, send, seal = client.udp.recv, client.udp.send, client.sealer.seal
    data_kind = int(wire.DatagramKind.DATA)
    sent = received = lost = in_flight = 0
    looked = time.monotonic()
    while not told.stop:
        came = 0
        try:
            while True:
                data = read(1_500)
                first, _, low = wire.HEADER.unpack_from(data)
                number = marks.expand(low)
                body = opens(number, data)
                marks.mark(number)
                if first & 0x0F == data_kind and len(body) > wire.ACKS_BYTES:
                    count = counts.get(len(body) - wire.ACKS_BYTES, 0)
                    if not count or body[wire.ACKS_BYTES :] != packed[count][0]:
                        count = _echoes(body, payload)
                    came += count
        except BlockingIOError:
            pass
        received += came
        in_flight -= came
        if not came and not select.select([client.udp], [], [], common.DEAF_SECONDS)[0]:
            lost += in_flight
            in_flight = 0
        if free := min(window - in_flight, window):
            if in_flight and not came:
                continue
            acks = wire.ACKS.pack(*marks.acks())
            for part in packed[free]:
                send(seal(data_kind, acks + part))
            sent += free
            in_flight += free
        if time.monotonic() - looked > 1.0:
            looked = time.monotonic()
            client.look_at_tcp()
    return {"sent": sent, "received": received, "lost": lost}


def _echoes(body: bytes, payload: bytes) -> int:
    """How many echoes there are among the messages of a body.

    :raises RuntimeError: if one is not what was sent.
    """
    count = 0
    for kind, message in wire.split_messages(body):
        if kind == _UNRELIABLE:
            if message != payload:
                raise RuntimeError("an echo that is not what was sent")
            count += 1
    return count


class Reader:
    """The frames of one TCP connection, counted, and acknowledged as gamenet's own client does.

    :param size: of the payload of each DATA frame.
    """

    __slots__ = ("_acked", "_half", "_size", "_taken_since", "_unread", "client", "spoken", "taken")

    def __init__(self, client: lean.LeanClient, size: int) -> None:
        self.client = client
        self.taken = self._acked = 0
        self._taken_since = self.spoken = time.monotonic()
        self._half = client.accept.window_messages // 2
        self._size = _LENGTH_BYTES + len(frames.encode_data(False, 0, bytes(size)))
        self._unread = b""

    def take(self) -> int:
        """Read what is there.

        :returns: how many DATA frames were in it.
        :raises lean.Gone: at the end of the connection.
        """
        try:
            data = self.client.stream.read()
        except BlockingIOError:
            return 0
        if not data:
            raise lean.Gone("closed")
        data = self._unread + data
        start, end, came = 0, len(data), 0
        while end - start >= _LENGTH_BYTES:
            after = start + _LENGTH_BYTES + _LENGTH.unpack_from(data, start)[0]
            if after > end:
                break
            kind = data[start + _LENGTH_BYTES]
            if kind == _DATA:
                if after - start != self._size:
                    raise RuntimeError("a message that is not what was sent")
                came += 1
            elif kind == frames.Kind.PING:
                number = frames.decode_ping(data[start + _LENGTH_BYTES : after])
                self._say(frames.encode_ping(frames.Kind.PONG, number))
                self.ride(time.monotonic())
            elif kind == frames.Kind.BYE:
                raise lean.Gone("the server said BYE")
            start = after
        self._unread = data[start:]
        if came and self.taken == self._acked:
            self._taken_since = time.monotonic()
        self.taken += came
        self.acknowledge(self._half)
        return came

    def acknowledge(self, least: int = 1) -> None:
        """Say what is taken, if it is so much more than was said."""
        if self.taken - self._acked >= least:
            self._acked = self.taken
            self._say(frames.encode_ack(self.taken))

    def _say(self, frame: bytes) -> None:
        self.spoken = time.monotonic()
        self.client.send_frame(frame)

    def ride(self, now: float) -> None:
        """What a client does when it writes a frame."""
        if now >= self._taken_since + RIDING_ACK_SECONDS:
            self.acknowledge()

    def beat(self, now: float) -> None:
        """What a client does when it looks at its timer: a ping where it has said nothing for a
        while, and a question about the time where it has sent no datagram."""
        client = self.client
        if now >= self._taken_since + LONE_ACK_SECONDS:
            self.acknowledge()
        if now - self.spoken > PING_SECONDS:
            self._say(frames.encode_ping(frames.Kind.PING, 1))
            self.ride(now)
        self.take_datagrams()
        if now - client.last_sent > PING_SECONDS:
            client.flush()

    def take_datagrams(self) -> None:
        """Read what is there; what asks for an acknowledgement gets it."""
        client = self.client
        client.look_at_udp()
        if client.owes_acks:
            client.flush()


def echo_reliable(
    spec: dict[str, Any], told: common.Told, client: lean.LeanClient
) -> dict[str, Any]:
    """Keep reliable messages in flight, as many in a write as came together."""
    window = spec["window"]
    frame = frames.encode_data(False, 0, bytes(spec["message_bytes"]))
    frame = _LENGTH.pack(len(frame)) + frame
    reader = Reader(client, spec["message_bytes"])
    client.stream.write(frame * window)
    sent = window
    now = time.monotonic()
    next_beat = now + BEAT_SECONDS
    while not told.stop:
        if came := reader.take():
            client.stream.write(frame * came)
            sent += came
            reader.ride(now)
        else:
            select.select([client.stream.socket], [], [], BEAT_SECONDS)
        now = time.monotonic()
        if now >= next_beat:
            next_beat = now + BEAT_SECONDS
            reader.beat(now)
    return {"sent": sent, "received": reader.taken, "lost": 0}


# W5 and W6: many clients on TCP.


def listen(
    clients: list[lean.LeanClient], size: int, told: common.Told, beat_seconds: float
) -> dict[str, Any]:
    """Take what comes, acknowledge it, and live; each client looks at its timer at its own time."""
    horde.sharpen_sleep()
    common.settle()
    readers = [Reader(client, size) for client in clients]
    poll = select.epoll()
    takes = {}
    for index, reader in enumerate(readers):
        # Not all at once.
        reader.spoken -= PING_SECONDS * index / len(readers)
        reader.client.last_sent -= PING_SECONDS * index / len(readers)
        assert reader.client.udp is not None
        for file, take in (
            (reader.client.stream.socket.fileno(), reader.take),
            (reader.client.udp.fileno(), reader.take_datagrams),
        ):
            takes[file] = take
            poll.register(file, select.EPOLLIN)
    beats = common.Phases(len(readers), 1 / beat_seconds)
    while not told.stop:
        for number, _ in poll.poll(min(beats.pause(), beat_seconds)):
            takes[number]()
        now = time.monotonic()
        for step in beats.due():
            readers[step % len(readers)].beat(now)
    # The server's first messages may have come to some before this began, never to none.
    received = sum(reader.taken for reader in readers)
    most = max(reader.taken for reader in readers)
    return {"sent": 0, "received": received, "lost": 0, "most": most}


class Joining:
    """Joins as fast as the server takes them, for W6.

    :param spec: with TLS, everybody comes with a ticket.
    """

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._issuer = None
        if spec["tls"]:
            self._issuer = TicketIssuer(read_private_key(spec["issuer"]), spec["audience"])
        self.clients: list[lean.LeanClient] = []

    def add(self, n: int) -> float:
        """Have so many more join, and then bind.

        :returns: seconds that the joins took.
        """
        begin = len(self.clients)
        tickets = [
            self._issuer.issue(f"player-{begin + index}") if self._issuer else b""
            for index in range(n)
        ]
        begun = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            clients = list(pool.map(self._join, tickets))
        took = time.monotonic() - begun
        self.clients += clients
        for client in clients:
            client.bind()
        return took

    def _join(self, ticket: bytes) -> lean.LeanClient:
        return lean.LeanClient(
            common.HOST, self._spec["port"], tls=self._spec["tls"], auth=ticket,
            mechanism=frames.TICKET if ticket else frames.ANONYMOUS,
        ).join()  # fmt: skip


def crowd(spec: dict[str, Any]) -> None:
    """A quarter, then all the others, who are then idle."""
    joining = Joining(spec)
    lines = common.questions()
    joining.add(spec["n"] // 4)
    common.say({"warm": len(joining.clients)})
    next(lines)
    took = joining.add(spec["n"])
    told = common.Told()
    common.say({"ready": True, "joins_per_second": spec["n"] / took})
    told.finish(**listen(joining.clients, 0, told, IDLE_SECONDS))


def main() -> None:
    """Play what the spec asks for."""
    # Two sockets for each client.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    spec = common.spec()
    workload = spec["workload"]
    if workload == "W6":
        crowd(spec)
        return
    if workload == "W4":
        gamenet_ping.play(spec)
        return
    clients = join_all(spec, spec["n"])
    if spec.get("queued"):
        # In, and then silent.
        told = common.Told()
        common.say({"ready": True})
        while not told.stop:
            time.sleep(IDLE_SECONDS)
        told.finish(sent=0, received=0, lost=0)
    if workload in ("W3", "W7", "W8"):
        clock = horde.Clock(spec["hz"])
        parts = 1
        if spec["state_bytes"] > wire.SINGLE_STATE_BYTES:
            parts = -(-spec["state_bytes"] // wire.FRAGMENT_BYTES)
        riders = [horde.Rider(client, clock, parts, spec["loss"]) for client in clients]
        told = common.Told()
        common.say({"ready": True})
        told.finish(**horde.ride(riders, spec["hz"], told))
    told = common.Told()
    common.say({"ready": True})
    if workload == "W5":
        told.finish(**listen(clients, spec["broadcast_bytes"], told, BEAT_SECONDS))
    common.settle()
    play = echo_reliable if workload == "W2" else echo
    told.finish(**play(spec, told, clients[0]))


if __name__ == "__main__":
    main()

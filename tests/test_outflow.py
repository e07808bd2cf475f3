"""Writing past Twisted's buffer: what comes out is what went in, in order, bit by bit."""

from __future__ import annotations

import random
import socket
from typing import Any

from twisted.internet import tcp
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gamenet.outflow import PILE_BYTES, DirectTap, can_send_directly
from gamenet.testing.streams import SimulatedTransport


class Watch:
    """As much of a reactor as a connection needs, turned by hand."""

    def __init__(self) -> None:
        self.writers: set[Any] = set()
        self.watched = 0
        """How often something was to be watched for writing."""

    def addReader(self, reader: Any) -> None:
        """It is read by nobody."""

    removeReader = addReader

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)
        self.watched += 1

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> None:
        """Write once, as Twisted does: who fails is closed."""
        for writer in list(self.writers):
            why = writer.doWrite()
            if why is not None:
                self.writers.discard(writer)
                writer.connectionLost(Failure(why))


class Narrow(socket.socket):
    """A socket that takes as much at once as it is told; a pair has none of TCP's options."""

    most = 1 << 20
    error: OSError | None = None

    def send(self, data: Any, flags: int = 0) -> int:
        if self.error is not None:
            raise self.error
        if not self.most:
            raise BlockingIOError(11, "would block")
        return super().send(data[: self.most], flags)


class Ear(Protocol):
    """Hears of the end."""

    ends = 0

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.ends += 1


class Writing:
    """A connection with something that writes to it."""

    def __init__(self, test: SynchronousTestCase, buffer: int = 0) -> None:
        ours, self.far = socket.socketpair()
        self.near = Narrow(fileno=ours.detach())
        test.addCleanup(self.far.close)
        test.addCleanup(self.near.close)
        for end in (self.near, self.far):
            end.setblocking(False)
        if buffer:
            self.near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            self.far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.watch = Watch()
        self.ear = Ear()
        self.transport: Any = tcp.Server(
            self.near,
            self.ear,
            ("127.0.0.1", 1),
            None,
            1,
            self.watch,  # type: ignore[arg-type]
        )
        self.ear.makeConnection(self.transport)
        self.writable = True
        self.told = 0
        self.tap = DirectTap(self, self.transport)
        self.transport.registerProducer(self.tap, False)

    def write_again(self) -> None:
        self.writable = True
        self.told += 1

    def write(self, data: bytes) -> None:
        """As ``ReliableProtocol.send_frames``."""
        rest = self.tap.send(data)
        if rest:
            self.transport.write(rest)

    def read(self, size: int = 1 << 20) -> bytes:
        try:
            return self.far.recv(size)
        except BlockingIOError:
            return b""


class DirectTests(SynchronousTestCase):
    """``DirectTap``."""

    def test_what_the_kernel_takes_leaves_at_once_and_nothing_is_watched(self) -> None:
        one = Writing(self)
        for number in range(100):
            one.write(b"%d " % number)
        self.assertEqual(one.read(), b"".join(b"%d " % number for number in range(100)))
        self.assertEqual((one.watch.watched, one.told, one.writable), (0, 0, True))

    def test_megabytes_in_bits_of_any_size_come_in_order(self) -> None:
        chance = random.Random(1)
        one = Writing(self, buffer=4_096)
        sent, came = bytearray(), bytearray()
        while len(sent) < 8_000_000:
            one.near.most = chance.choice((0, 1, 100, 3_000, 1 << 20))
            for _ in range(chance.randrange(4)):
                data = chance.randbytes(chance.choice((1, 300, 40_000, 200_000)))
                sent += data
                one.write(data)
            for _ in range(chance.randrange(30)):
                one.watch.turn()
                came += one.read(chance.choice((1, 5_000, 1 << 20)))
        one.near.most = 1 << 20
        while data := one.read() or one.watch.writers:
            came += data if isinstance(data, bytes) else b""
            one.watch.turn()
        self.assertEqual(came, sent)
        # It was written both ways, and again past the transport after something had waited.
        watched = one.watch.watched
        self.assertGreater(watched, 10)
        one.write(b"the end")
        self.assertEqual((one.read(), one.watch.watched), (b"the end", watched))

    def test_nothing_overtakes_what_waits(self) -> None:
        one = Writing(self)
        one.near.most = 0
        one.write(b"a")
        one.near.most = 1 << 20
        one.write(b"b")
        self.assertEqual(one.read(), b"")
        one.watch.turn()
        self.assertEqual(one.read(), b"ab")

    def test_a_reader_that_does_not_read_is_noticed_and_then_forgotten(self) -> None:
        one = Writing(self)
        one.near.most = 0
        one.write(bytes(PILE_BYTES))
        self.assertTrue(one.writable)
        one.write(b"x")
        self.assertFalse(one.writable)
        one.near.most = PILE_BYTES
        one.watch.turn()
        self.assertEqual((one.told, one.writable), (0, False), "something waits")
        one.watch.turn()
        self.assertEqual((one.told, one.writable), (1, True))

    def test_a_failure_ends_the_connection_once_and_not_within_the_write(self) -> None:
        one = Writing(self)
        one.near.error = ConnectionResetError(104, "reset")
        one.write(b"a")
        one.write(b"b")
        self.assertEqual(one.ear.ends, 0)
        one.watch.turn()
        self.assertEqual((one.ear.ends, one.writable), (1, False))

    def test_what_fails_once_and_not_again_is_written_in_order(self) -> None:
        one = Writing(self)
        one.near.error = OSError(12, "no memory")
        one.write(b"a")
        one.near.error = None
        one.write(b"b")
        one.watch.turn()
        self.assertEqual((one.read(), one.ear.ends), (b"ab", 0))

    def test_who_closes_it_is_not_kept_from_it(self) -> None:
        for most in (1 << 20, 0):
            one = Writing(self)
            one.near.most = most
            one.write(b"the last word")
            one.transport.loseConnection()
            one.near.most = 5
            for _ in range(5):
                one.watch.turn()
            self.assertEqual(one.read(), b"the last word")
            self.assertEqual(one.ear.ends, 1)

    def test_only_a_plain_connection_is_written_past(self) -> None:
        self.assertTrue(can_send_directly(Writing(self).transport, False))
        self.assertFalse(can_send_directly(Writing(self).transport, True))
        for kind in (TLSMemoryBIOProtocol, SimulatedTransport):
            self.assertFalse(can_send_directly(kind.__new__(kind), False))

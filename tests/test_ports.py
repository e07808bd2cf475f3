"""
The UDP port: no flood holds it, no error kills it, and it is never connected.

The sockets are real ones on the loopback interface; the reactor is not, so each turn is taken by
hand.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gamenet import ports
from gamenet.client import GameClientFactory
from gamenet.config import ClientConfig, ServerConfig
from gamenet.core.wire import MAX_DATAGRAM_BYTES
from gamenet.server import GameServerFactory
from gamenet.server_host import REST_PLAYERS
from tests.fakes import Machine, Network
from tests.world import Recorder, World

if TYPE_CHECKING:
    from collections.abc import Callable

RECEIVE_ERRORS = [
    *("EMSGSIZE", "EHOSTUNREACH", "ENOBUFS", "ENOMEM", "EPERM"),
    *("ECONNREFUSED", "EAGAIN", "EINTR", "ENETUNREACH", "EACCES"),
]
QUIET_ERRORS = {"EAGAIN", "EINTR"}
"""Those that only say that nothing is there to read."""
LOOPBACK = "127.0.0.1"


@implementer(IReactorFDSet)
class SocketReactor(Machine):
    """Keeps what wants to read, and reads when told to."""

    def __init__(self) -> None:
        super().__init__(Network(), LOOPBACK)
        self.readers: set[Any] = set()

    def addReader(self, reader: Any) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: Any) -> None:
        raise AssertionError("a UDP port has nothing to wait for before it writes")

    removeWriter = removeReader

    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return list(self.readers)

    def getWriters(self) -> list[Any]:
        return []


class TappedSocket:
    """A real socket, of which every option is noted and any call can be made to fail."""

    def __init__(self, real: socket.socket) -> None:
        self.real = real
        self.options: list[tuple[int, int, int]] = []
        self.receive_error: OSError | None = None
        self.send_error: OSError | None = None
        self.option_error: OSError | None = None

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.options.append((level, option, value))
        if self.option_error is not None:
            raise self.option_error
        self.real.setsockopt(level, option, value)

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if self.receive_error is not None:
            raise self.receive_error
        return self.real.recvfrom(size)

    def sendto(self, data: bytes, address: Any) -> int:
        if self.send_error is not None:
            raise self.send_error
        return self.real.sendto(data, address)

    def connect(self, address: Any) -> None:
        raise AssertionError("a connected UDP port dies of the first ICMP message")

    connect_ex = connect

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class PortCase(SynchronousTestCase):
    """A server's port on a real socket."""

    def setUp(self) -> None:
        self.reactor = SocketReactor()
        self.network = self.reactor.network
        self.tapped: list[TappedSocket] = []
        self.option_error: OSError | None = None
        original: Callable[[Any], socket.socket] = ports.udp.Port.createInternetSocket

        def create(port: Any) -> Any:
            self.tapped.append(TappedSocket(original(port)))
            self.tapped[-1].option_error = self.option_error
            return self.tapped[-1]

        self.patch(ports.udp.Port, "createInternetSocket", create)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.peer.close)
        self.peer.bind((LOOPBACK, 0))

    def open(self, interface: str = LOOPBACK, **fields: Any) -> Any:
        factory = GameServerFactory(
            Recorder(),
            ServerConfig(insecure=True, **fields),
            reactor=self.reactor,
            now=self.reactor.seconds,
        )
        port: Any = factory.listen_udp(0, interface)
        self.host = factory.host

        def close() -> None:
            port.stopListening()
            self.network.run(1.0)

        self.addCleanup(close)
        return port

    def send(self, port: Any, *data: bytes) -> None:
        for each in data:
            self.peer.sendto(each, (LOOPBACK, port.getHost().port))


class BudgetTests(PortCase):
    """A turn has an end, whatever comes."""

    def test_at_most_64_datagrams_are_read_in_a_turn(self) -> None:
        port = self.open()
        self.send(port, *[b"x" * 30] * 100)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 64)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 100)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 100)

    def test_empty_datagrams_count(self) -> None:
        port = self.open()
        self.send(port, *[b""] * 100)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 64)
        self.assertEqual(self.host.counters.drop_datagram_short, 64)

    def test_the_budget_is_the_configured_one(self) -> None:
        port = self.open(datagrams_per_turn=3)
        self.send(port, *[b"x"] * 10)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 3)

    def test_a_turn_of_many_datagrams_looks_at_the_clock_once_and_flushes_once(self) -> None:
        port = self.open()
        turns = []
        end_turn = self.host.end_turn
        self.patch(self.host, "end_turn", lambda: (turns.append(1), end_turn()))
        self.send(port, *[b"x"] * 20)
        port.doRead()
        self.assertEqual(len(turns), 1)

    def test_a_datagram_longer_than_allowed_is_counted_as_long(self) -> None:
        port = self.open()
        self.send(port, bytes(MAX_DATAGRAM_BYTES + 1), bytes(9_000))
        port.doRead()
        self.assertEqual(self.host.counters.drop_datagram_long, 2)
        self.send(port, bytes(MAX_DATAGRAM_BYTES))
        port.doRead()
        self.assertEqual(self.host.counters.drop_datagram_long, 2)
        self.assertEqual(self.host.counters.drop_datagram_not_ours, 1)


class AdoptedTests(PortCase):
    """A socket that somebody else has opened."""

    def adopt(self, host: str = LOOPBACK, **fields: Any) -> Any:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        theirs = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            theirs.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        theirs.bind((host, 0))
        theirs.setblocking(False)
        factory = GameServerFactory(
            Recorder(),
            ServerConfig(insecure=True, **fields),
            reactor=self.reactor,
            now=self.reactor.seconds,
        )
        port: Any = factory.adopt_udp(theirs)
        self.host = factory.host
        self.assertEqual(theirs.fileno(), -1, "it belongs to the port now")

        def close() -> None:
            port.stopListening()
            self.network.run(1.0)
            self.assertEqual(port.fileno(), -1)

        self.addCleanup(close)
        return port

    def test_it_reads_no_more_in_a_turn_than_a_port_of_our_own(self) -> None:
        port = self.adopt()
        self.assertEqual(len(port.granted), 2)
        self.send(port, *[b"x" * 30] * 100)
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 64)

    def test_buffers_that_are_large_enough_stay(self) -> None:
        set_to: list[int] = []
        self.patch(
            ports.OpenSocket,
            "setsockopt",
            lambda each, level, option, value: set_to.append(option),
        )
        self.adopt(udp_buffer_bytes=1 << 30)
        self.assertIn(socket.SO_RCVBUF, set_to)
        set_to.clear()
        self.adopt(udp_buffer_bytes=4_096)
        self.assertNotIn(socket.SO_RCVBUF, set_to)

    def test_one_for_both_families_stays_so(self) -> None:
        if not socket.has_dualstack_ipv6():
            return
        port = self.adopt("::")
        self.send(port, b"x")
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 1)

    def test_a_reactor_without_readiness_says_so(self) -> None:
        machine = Machine(Network(), LOOPBACK)
        factory = GameServerFactory(
            Recorder(), ServerConfig(insecure=True), reactor=machine, now=machine.seconds
        )
        theirs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        theirs.bind((LOOPBACK, 0))
        error = self.assertRaises(OSError, factory.adopt_udp, theirs)
        self.assertIn("cannot take a UDP socket over", str(error))
        self.assertEqual(theirs.fileno(), -1)


class ShareTests(PortCase):
    """A server that is full reads for as long as it sends."""

    def open_after(self, flush_seconds: float, each: float = 0.001) -> Any:
        """A port whose host took so long to send, and takes so long for each turn of reading."""
        port = self.open()
        self.host.flush_seconds = flush_seconds
        begin = self.host.begin_turn

        def begin_turn() -> float:
            self.network.timeline.now += each
            return begin()

        self.patch(self.host, "begin_turn", begin_turn)
        return port

    def read(self, flush_seconds: float, each: float = 0.001) -> int:
        port = self.open_after(flush_seconds, each)
        before = self.host.counters.datagrams_in
        self.send(port, *[b"x"] * 250)
        port.doRead()
        return self.host.counters.datagrams_in - before

    def test_after_a_quick_flush_a_turn_is_a_turn(self) -> None:
        self.assertEqual(self.read(0.0), 64)
        self.assertEqual(self.read(0.0019), 64)

    def test_after_a_long_one_it_reads_on_for_as_long(self) -> None:
        self.assertEqual(self.read(0.0025), 3 * 64)

    def test_but_no_longer_than_timers_may_wait(self) -> None:
        self.assertEqual(self.read(5.0, each=0.004), 3 * 64)

    def test_and_not_when_nothing_is_left(self) -> None:
        port = self.open_after(0.01)
        self.send(port, *[b"x"] * 70)
        turns = []
        self.patch(self.host, "end_turn", lambda: turns.append(1))
        port.doRead()
        self.assertEqual((self.host.counters.datagrams_in, len(turns)), (70, 2))

    def test_how_long_a_pass_took_to_send_is_known(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        host, server, ada = world.server.host, world.server.verbs, world.server.players["ada"]
        queue = host.queue_frame

        def slow(*args: Any) -> None:
            world.network.timeline.now += 0.007
            queue(*args)

        self.patch(host, "queue_frame", slow)
        server.send(ada, b"x")
        server.flush()
        world.settle()
        self.assertLessEqual(abs(host.flush_seconds - 0.007), 1e-6)


class RestTests(PortCase):
    """Where many datagrams come and none is in a hurry, they are read a few at a time."""

    def open_resting(self, seconds: float = 0.002) -> Any:
        port = self.open()
        self.patch(self.host, "rest_seconds", lambda now: seconds)
        return port

    def test_once_all_is_read_the_port_rests_and_then_reads_on(self) -> None:
        port = self.open_resting()
        self.send(port, b"x", b"y")
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 2)
        self.assertNotIn(port, self.reactor.readers)
        self.network.run(0.001)
        self.assertNotIn(port, self.reactor.readers)
        self.network.run(0.0015)
        self.assertIn(port, self.reactor.readers)
        self.send(port, b"z")
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 3)

    def test_with_more_to_read_it_does_not_rest(self) -> None:
        port = self.open_resting()
        self.send(port, *[b"x"] * (64 + ports.MOST_BEFORE_REST + 1))
        port.doRead()
        self.assertIn(port, self.reactor.readers)
        # A full batch, and the rest of a rush: who sends so much is not waited for.
        port.doRead()
        self.assertIn(port, self.reactor.readers)

    def test_it_does_not_rest_unless_the_host_lets_it(self) -> None:
        for seconds in (0.0, -0.5):
            port = self.open_resting(seconds)
            self.send(port, b"x")
            port.doRead()
            self.assertIn(port, self.reactor.readers)

    def test_an_error_is_no_reason_to_rest(self) -> None:
        port = self.open_resting()
        self.tapped[-1].receive_error = OSError(errno.ECONNREFUSED, "refused")
        port.doRead()
        self.assertIn(port, self.reactor.readers)

    def test_closed_at_rest_it_leaves_no_timer(self) -> None:
        port = self.open_resting()
        self.send(port, b"x")
        port.doRead()
        port.stopListening()
        self.network.run(1.0)
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(len(self.network.timers), 0)

    def test_a_server_lets_it_while_a_game_that_keeps_a_rate_waits_for_its_next_pass(self) -> None:
        world = World(self, bridged=True, tick_rate=50.0)
        host, server = world.server.host, world.server.verbs
        for number in range(REST_PLAYERS - 1):
            world.join(f"bot{number}")
        list(server.ticks(wait=False))
        now = host.now()
        self.assertEqual(host.rest_seconds(now), 0.0, "too few to be worth it")
        world.join("ada")
        world.run(0.02)
        list(server.ticks(wait=False))
        due = server._bridge.next_pass
        self.assertEqual(host.rest_seconds(due - 0.01), 0.002)
        # It reads all there is just before the pass, which takes it.
        self.assertLessEqual(host.rest_seconds(due - 0.002), 0.001 + 1e-9)
        self.assertLessEqual(host.rest_seconds(due - 0.0005), 0.0)
        # A game that waits for events has them at once.
        server.events()
        self.assertLessEqual(host.rest_seconds(due - 0.01), 0.0)

    def test_a_game_on_the_reactor_thread_has_everything_at_once(self) -> None:
        world = World(self)
        for number in range(REST_PLAYERS):
            world.join(f"bot{number}")
        self.assertEqual(world.server.host.rest_seconds(world.server.host.now()), 0.0)


class ErrorTests(PortCase):
    """No errno kills the port or stops the timers."""

    def test_no_errno_of_reading_kills_the_port(self) -> None:
        port = self.open()
        (tapped,) = self.tapped
        for name in RECEIVE_ERRORS:
            number = getattr(errno, name)
            errors, read = self.host.counters.receive_errors, self.host.counters.datagrams_in
            tapped.receive_error = OSError(number, name)
            port.doRead()
            self.assertEqual(
                self.host.counters.receive_errors - errors, name not in QUIET_ERRORS, name
            )
            tapped.receive_error = None
            self.assertEqual(self.reactor.readers, {port}, name)
            self.send(port, b"after the error")
            port.doRead()
            self.assertEqual(self.host.counters.datagrams_in - read, 1, name)
            # One timer beats, and goes on beating.
            self.assertEqual(len(self.network.timers), 1, name)
            self.network.run(1.0)
            self.assertEqual(len(self.network.timers), 1, name)

    def test_no_errno_of_writing_kills_the_port(self) -> None:
        port = self.open()
        (tapped,) = self.tapped
        for name in RECEIVE_ERRORS:
            number = getattr(errno, name)
            lost, sent = self.host.counters.drop_send_error, self.host.counters.datagrams_out
            tapped.send_error = OSError(number, name)
            port.protocol.send(b"lost", self.peer.getsockname())
            self.assertEqual(self.host.counters.drop_send_error - lost, 1, name)
            self.assertEqual(self.host.counters.datagrams_out - sent, 0, name)
            tapped.send_error = None
            port.protocol.send(name.encode(), self.peer.getsockname())
            self.assertEqual(self.peer.recv(100), name.encode())
            self.assertEqual(self.reactor.readers, {port}, name)

    def test_a_peer_that_is_not_there_kills_nothing(self) -> None:
        port = self.open()
        gone = self.peer.getsockname()
        self.peer.close()
        for _ in range(3):
            port.protocol.send(b"anybody?", gone)
            port.doRead()
        self.assertEqual(self.reactor.readers, {port})

    def test_a_defect_of_ours_is_logged_once_and_leaves_the_port_open(self) -> None:
        port = self.open()

        def breaks(data: bytes, addr: object) -> None:
            raise ZeroDivisionError

        self.patch(port.protocol, "datagramReceived", breaks)
        for _ in range(3):
            self.peer.sendto(b"?", port.socket.getsockname())
            port.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(port.protocol._counters.drop_datagram_defect, 3)
        self.assertIn(port, self.reactor.readers)

    def test_a_port_that_is_taken_leaves_no_socket_open(self) -> None:
        made: list[socket.socket] = []
        original = ports.BudgetedPort._make_ready

        def make_ready(port: ports.BudgetedPort, created: socket.socket) -> None:
            made.append(created)
            original(port, created)

        self.patch(ports.BudgetedPort, "_make_ready", make_ready)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind((LOOPBACK, 0))
            factory = GameServerFactory(
                Recorder(), ServerConfig(insecure=True), reactor=SocketReactor()
            )
            self.assertRaises(
                CannotListenError, factory.listen_udp, other.getsockname()[1], LOOPBACK
            )
        self.assertEqual([each.fileno() for each in made], [-1])

    def test_sending_after_the_close_is_counted(self) -> None:
        port = self.open()
        protocol = port.protocol
        port.stopListening()
        self.network.run(0.1)
        protocol.send(b"late", self.peer.getsockname())
        self.assertEqual(self.host.counters.drop_send_error, 1)


class SocketTests(PortCase):
    """What is asked of the socket."""

    def test_neither_side_connects_its_port(self) -> None:
        port = self.open()
        self.send(port, b"x")
        port.doRead()
        # The tapped socket refuses to be connected; and the kernel knows no peer.
        error = self.assertRaises(OSError, port.socket.getpeername)
        self.assertEqual(error.errno, errno.ENOTCONN)

    def test_large_buffers_are_asked_for_and_what_was_granted_is_kept(self) -> None:
        port = self.open(udp_buffer_bytes=1_000_000)
        (tapped,) = self.tapped
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self.assertIn((socket.SOL_SOCKET, option, 1_000_000), tapped.options)
        self.assertEqual(
            port.granted,
            (
                tapped.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
                tapped.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF),
            ),
        )

    def test_a_kernel_that_grants_nothing_is_put_up_with(self) -> None:
        self.option_error = OSError(errno.EPERM, "no")
        port = self.open()
        self.send(port, b"x")
        port.doRead()
        self.assertEqual(self.host.counters.datagrams_in, 1)

    def test_a_forged_icmp_message_cannot_shrink_our_datagrams(self) -> None:
        self.patch(ports, "IP_MTU_DISCOVER", 10)
        self.open()
        self.assertIn((socket.IPPROTO_IP, 10, ports.IP_PMTUDISC_DONT), self.tapped[0].options)

    def test_options_that_a_platform_lacks_are_not_asked_for(self) -> None:
        self.patch(ports, "IP_MTU_DISCOVER", None)
        port = self.open()
        self.assertEqual({level for level, _, _ in self.tapped[0].options}, {socket.SOL_SOCKET})
        self.assertEqual(self.reactor.readers, {port})

    def test_a_port_of_ipv6_leaves_ipv4_alone(self) -> None:
        self.open("::1")
        self.assertIn((socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1), self.tapped[0].options)

    def test_closing_leaves_no_reader_and_no_timer(self) -> None:
        port = self.open()
        port.stopListening()
        self.network.run(0.1)
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.network.timers, [])
        self.assertEqual(self.tapped[0].fileno(), -1)

    def test_a_reactor_without_readiness_gets_a_stock_port_and_hears_why(self) -> None:
        machine = Machine(Network(), LOOPBACK)
        factory = GameServerFactory(
            Recorder(), ServerConfig(insecure=True), reactor=machine, now=machine.seconds
        )
        with capturedLogs() as logged:
            port = factory.listen_udp(7777)
        self.assertEqual(port.longest, MAX_DATAGRAM_BYTES + 1)
        (line,) = [event for event in logged if "no read budget" in event["log_format"]]
        self.assertEqual(line["log_level"], LogLevel.info)
        port.stopListening()
        machine.network.run(1.0)
        self.assertEqual(machine.network.timers, [])


class ClientPortTests(PortCase):
    """The client's port is of the same kind."""

    def test_a_client_reads_by_the_same_budget(self) -> None:
        from gamenet.low_latency import LowLatencyProtocol

        factory = GameClientFactory(
            Recorder(), ClientConfig(insecure=True), reactor=self.reactor, now=self.reactor.seconds
        )
        port: Any = ports.listen(
            self.reactor,
            0,
            LowLatencyProtocol(factory.host),
            LOOPBACK,
            budget=factory.host.config.datagrams_per_turn,
            buffer_bytes=factory.host.config.udp_buffer_bytes,
        )
        self.assertIsInstance(port, ports.BudgetedPort)
        self.send(port, *[b""] * 70)
        port.doRead()
        self.assertEqual(factory.host.counters.datagrams_in, 64)
        port.stopListening()
        self.network.run(1.0)

"""The relay behind ``gamenet proxy``, on a network in memory; scripts of chaos; the flags."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gamenet import relay_tcp, relay_udp
from gamenet.addresses import Target, parse_listen
from gamenet.chaos import Chaos, parse_chaos
from gamenet.cli_network import add_simulation, banner, line_of, profile_of
from gamenet.delays import Delays
from gamenet.errors import ConfigError, ListenFailed, LocalProtocolError
from gamenet.impairment import PROFILES, Profile
from gamenet.proxy import Mischief, Proxy
from gamenet.relay import Relay
from tests.fakes import Machine, Network, Stranger, StrangerFactory

if TYPE_CHECKING:
    from collections.abc import Callable

SERVER = Target("10.0.0.1", 7777)
PROXY = ("10.0.0.5", 7000)


@implementer(IStreamClientEndpoint)
class ToServer:
    """Connects from one machine to the server, if it is there."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.waiting: list[Callable[[], None]] | None = None
        """While it is a list, attempts do not end until these are called."""
        self.given_up = 0

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect, or wait, or be refused."""
        if self.waiting is not None:
            deferred: Deferred[Any] = Deferred(lambda _: setattr(self, "given_up", 1))
            self.waiting.append(lambda: self._connect(protocolFactory).chainDeferred(deferred))
            return deferred
        return self._connect(protocolFactory)

    def _connect(self, protocolFactory: Any) -> Deferred[Any]:
        if (SERVER.host, SERVER.port) not in self.machine.network.tcp:
            return fail(ConnectionRefusedError())
        transport = self.machine.connect(protocolFactory, (SERVER.host, SERVER.port))
        assert transport is not None
        return succeed(transport.protocol)


class Datagrams(DatagramProtocol):
    """Keeps what comes, and answers if asked to."""

    def __init__(self, answer: Callable[[bytes], bytes] | None = None) -> None:
        self.heard: list[tuple[bytes, Any]] = []
        self._answer = answer

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        """Called with each datagram."""
        self.heard.append((data, addr))
        if self._answer is not None:
            assert self.transport is not None
            self.transport.socket.sendto(self._answer(data), addr)  # type: ignore[attr-defined]


class World(SynchronousTestCase):
    """A server, a relay before it, and clients."""

    profile = Profile()

    def setUp(self) -> None:
        self.network = Network()
        self.server_machine = Machine(self.network, SERVER.host)
        self.server = StrangerFactory()
        self.listener = self.server_machine.listenTCP(SERVER.port, self.server)
        self.server_udp = Datagrams(lambda data: b"re " + data)
        self.server_machine.listenUDP(SERVER.port, self.server_udp)
        self.machine = Machine(self.network, PROXY[0])
        self.endpoint = ToServer(self.machine)
        self.relay = self.start(self.profile)

    def start(self, profile: Profile, seed: int = 0) -> Relay:
        relay = Relay(
            self.machine,
            SERVER,
            parse_listen(f"{PROXY[0]}:{PROXY[1]}", "listen"),
            profile,
            seed,
            endpoint=self.endpoint,
        )
        self.successResultOf(relay.start())
        return relay

    def client(self) -> Stranger:
        """Somebody who connects to the relay."""
        machine = Machine(self.network, f"10.1.0.{self.network.free_port() % 250}")
        factory = StrangerFactory()
        machine.connect(factory, PROXY)
        self.network.settle()
        return factory.made[0]

    def udp_client(self) -> tuple[Datagrams, Callable[[bytes], object]]:
        """Somebody who sends datagrams to the relay."""
        machine = Machine(self.network, f"10.2.0.{self.network.free_port() % 250}")
        heard = Datagrams()
        port = machine.listenUDP(0, heard)
        return heard, lambda data: port.socket.sendto(data, PROXY)

    def stop(self) -> None:
        """Stop the relay, which leaves nothing behind."""
        stopped = self.relay.stop()
        self.network.run(1.0)
        self.successResultOf(stopped)
        left = [each for each in self.network.connections if each.local[0] == PROXY[0]]
        self.assertEqual(left, [])
        self.assertEqual(self.network.timers, [])
        self.assertNotIn(PROXY, self.network.tcp)
        self.assertEqual([where for where in self.network.udp if where[0] == PROXY[0]], [])


class TcpTests(World):
    """Bytes pass both ways, and so does how a connection ends."""

    def test_bothWays(self) -> None:
        client = self.client()
        (server,) = self.server.made
        client.say(b"hello")
        server.say(b"welcome")
        client.say(b" there")
        self.assertEqual((server.heard, client.heard), (b"hello there", b"welcome"))
        self.stop()

    def test_whatIsSaidBeforeTheServerIsReachedWaits(self) -> None:
        self.endpoint.waiting = []
        client = self.client()
        client.say(b"hello")
        client.transport.loseWriteConnection()
        self.network.run(3.0)
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 1)
        self.endpoint.waiting[0]()
        self.network.settle()
        (server,) = self.server.made
        self.assertEqual((server.heard, server.ended), (b"hello", "fin"))
        self.stop()

    def test_nobodyIsConnectedForSomebodyWhoLeft(self) -> None:
        self.endpoint.waiting = []
        client = self.client()
        client.say(b"hello")
        client.abort()
        self.assertEqual(self.endpoint.given_up, 1)
        counts = self.relay.counts()
        self.assertEqual((counts["tcp_connections_now"], counts["tcp_unanswered"]), (0, 0))
        self.client()
        self.relay.cut_tcp()
        self.network.settle()
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        self.stop()

    def test_aServerThatIsNotThere(self) -> None:
        self.listener.stopListening()
        client = self.client()
        self.assertEqual(client.ended, "rst")
        self.assertEqual(self.relay.counts()["tcp_unanswered"], 1)
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        self.stop()

    def test_halfClosing(self) -> None:
        for first_is_client in (True, False):
            client = self.client()
            server = self.server.made[-1]
            first, second = (client, server) if first_is_client else (server, client)
            first.say(b"that is all")
            first.transport.loseWriteConnection()
            self.network.settle()
            self.assertEqual((second.heard, second.ended), (b"that is all", "fin"))
            second.say(b"so much more")
            self.assertEqual((first.heard, first.ended), (b"so much more", ""))
            second.transport.loseWriteConnection()
            self.network.settle()
            self.assertEqual(first.ended, "fin")
            self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        self.stop()

    def test_resets(self) -> None:
        for first_is_client in (True, False):
            client = self.client()
            server = self.server.made[-1]
            first, second = (client, server) if first_is_client else (server, client)
            first.say(b"last words")
            first.abort()
            self.assertEqual((second.heard, second.ended), (b"last words", "rst"))
            self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        self.stop()

    def test_whoeverDoesNotReadStopsTheOther(self) -> None:
        client = self.client()
        (server,) = self.server.made
        server.transport.stop_reading()
        sent = bytes(16_384) * 200
        for _ in range(200):
            client.say(sent[:16_384])
        unread = server.transport.unread_bytes
        held = relay_tcp.MOST_HELD_BYTES + 65_536
        in_proxy = self.relay.counts()["tcp_bytes_up"] - unread
        self.assertLessEqual(in_proxy, held)
        self.assertLess(in_proxy + unread, len(sent) // 2)
        server.transport.read_again()
        self.network.run(1.0)
        self.assertEqual(len(server.heard), len(sent))
        # And the other direction was never touched.
        server.say(b"done")
        self.assertEqual(client.heard, b"done")
        self.stop()

    def test_cutting(self) -> None:
        clients = [self.client() for _ in range(3)]
        self.relay.cut_tcp()
        self.network.settle()
        self.assertEqual([each.ended for each in clients], ["rst"] * 3)
        self.assertEqual([each.ended for each in self.server.made], ["rst"] * 3)
        again = self.client()
        again.say(b"again")
        self.assertEqual(self.server.made[3].heard, b"again")
        counts = self.relay.counts()
        self.assertEqual((counts["cuts"], counts["tcp_connections"]), (1, 4))
        self.assertEqual(counts["tcp_connections_now"], 1)
        self.stop()

    def test_anAddressThatChangesTellsNobody(self) -> None:
        client = self.client()
        (server,) = self.server.made
        self.relay.change_address()
        client.say(b"hello")
        server.say(b"hello")
        self.assertEqual((client.heard, server.heard), (b"", b""))
        self.assertEqual((client.ended, server.ended), ("", ""))
        client.abort()
        self.network.run(5.0)
        self.assertEqual(server.ended, "")
        server.close()
        self.network.settle()
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        again = self.client()
        again.say(b"again")
        self.assertEqual(self.server.made[1].heard, b"again")
        self.stop()

    def test_thereAreOnlySoManyLinks(self) -> None:
        self.patch(relay_tcp, "MAX_LINKS", 2)
        first, second = self.client(), self.client()
        third = self.client()
        self.assertEqual((first.ended, second.ended, third.ended), ("", "", "fin"))
        self.assertEqual(self.relay.counts()["tcp_turned_away"], 1)
        # One through which nothing passes makes room.
        self.relay.change_address()
        fourth = self.client()
        fourth.say(b"hello")
        self.assertEqual(self.server.made[-1].heard, b"hello")
        self.assertEqual(first.ended, "rst")
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 2)
        self.stop()

    def test_stopping(self) -> None:
        clients = [self.client() for _ in range(3)]
        clients[0].transport.stop_reading()
        self.server.made[0].say(bytes(2_000_000))
        self.stop()
        self.assertTrue(all(each.ended for each in clients[1:]))


class LateTcpTests(World):
    """A stream is late, and in order."""

    profile = Profile(latency_ms=100, jitter_ms=50, loss=0.05)

    def test_latency(self) -> None:
        client = self.client()
        self.network.run(1.0)
        (server,) = self.server.made
        client.say(b"hello")
        self.network.run(0.049)
        self.assertEqual(server.heard, b"")
        self.network.run(2.0)
        self.assertEqual(server.heard, b"hello")
        self.stop()

    def test_everythingArrivesInOrder(self) -> None:
        client = self.client()
        self.network.run(1.0)
        (server,) = self.server.made
        for number in range(500):
            client.say(number.to_bytes(2, "big"))
            server.say(number.to_bytes(2, "big"))
            self.network.run(0.01)
        self.network.run(60.0)
        expected = b"".join(number.to_bytes(2, "big") for number in range(500))
        self.assertEqual((server.heard, client.heard), (expected, expected))
        self.stop()

    def test_theEndComesBehindTheRest(self) -> None:
        for way in ("close", "abort"):
            client = self.client()
            self.network.run(1.0)
            server = self.server.made[-1]
            client.say(b"x" * 100_000)
            getattr(client, way)()
            self.assertEqual(server.ended, "")
            self.network.run(60.0)
            self.assertEqual(len(server.heard), 100_000)
            self.assertEqual(server.ended, "fin" if way == "close" else "rst")
            server.close()
            self.network.run(60.0)
        self.assertEqual(self.relay.counts()["tcp_connections_now"], 0)
        self.stop()

    def test_whatIsOnItsWayIsLostByACut(self) -> None:
        client = self.client()
        self.network.run(1.0)
        client.say(b"hello")
        self.relay.cut_tcp()
        self.network.run(60.0)
        self.assertEqual(self.server.made[0].heard, b"")
        self.stop()

    def test_theProfileCanChange(self) -> None:
        client = self.client()
        self.network.run(1.0)
        self.relay.profile = Profile()
        client.say(b"hello")
        self.assertEqual(self.server.made[0].heard, b"hello")
        self.stop()


class UdpTests(World):
    """Datagrams pass both ways; each client has an address of its own at the server."""

    def test_bothWays(self) -> None:
        one, say_one = self.udp_client()
        two, say_two = self.udp_client()
        say_one(b"one")
        say_two(b"two")
        say_one(b"one more")
        self.network.settle()
        self.assertEqual([data for data, _ in one.heard], [b"re one", b"re one more"])
        self.assertEqual([data for data, _ in two.heard], [b"re two"])
        self.assertEqual({address for _, address in one.heard}, {PROXY})
        addresses = [address for _, address in self.server_udp.heard]
        self.assertEqual(addresses[0], addresses[2])
        self.assertNotEqual(addresses[0], addresses[1])
        self.assertEqual({address[0] for address in addresses}, {PROXY[0]})
        counts = self.relay.counts()
        self.assertEqual((counts["up_sent"], counts["down_sent"], counts["udp_clients"]), (3, 3, 2))
        self.stop()

    def test_onlyTheServerIsListenedTo(self) -> None:
        one, say = self.udp_client()
        say(b"one")
        self.network.settle()
        ((_, address),) = self.server_udp.heard
        self.network.inject(b"from elsewhere", ("10.9.9.9", 7777), address)
        self.network.inject(b"another port", ("10.0.0.1", 7778), address)
        self.network.inject(bytes(5_000), ("10.0.0.1", 7777), address)
        self.network.settle()
        self.assertEqual([data for data, _ in one.heard], [b"re one"])
        self.assertEqual(self.relay.counts()["udp_strange"], 3)
        say(bytes(5_000))
        self.network.settle()
        self.assertEqual(len(self.server_udp.heard), 1)
        self.assertEqual(self.relay.counts()["udp_strange"], 4)
        self.stop()

    def test_blocking(self) -> None:
        one, say = self.udp_client()
        say(b"one")
        self.network.settle()
        self.relay.block_udp()
        say(b"two")
        _, say_two = self.udp_client()
        say_two(b"of another")
        self.network.settle()
        self.relay.block_udp(False)
        say(b"three")
        say_two(b"four")
        self.network.settle()
        self.assertEqual([data for data, _ in one.heard], [b"re one", b"re three"])
        self.assertEqual(len(self.server_udp.heard), 3)
        self.assertEqual(self.relay.counts()["up_blacked_out"], 2)
        self.stop()

    def test_aNewAddress(self) -> None:
        one, say = self.udp_client()
        say(b"one")
        self.network.settle()
        (_, before) = self.server_udp.heard[0]
        self.relay.change_address()
        say(b"two")
        self.network.settle()
        (_, after) = self.server_udp.heard[1]
        self.assertNotEqual(before, after)
        self.assertNotIn(before, self.network.udp)
        self.assertEqual([data for data, _ in one.heard], [b"re one", b"re two"])
        self.assertEqual({address for _, address in one.heard}, {PROXY})
        # It is the same client, whose draws go on.
        counts = self.relay.counts()
        self.assertEqual((counts["udp_clients"], counts["up_sent"], counts["moves"]), (1, 2, 1))
        self.stop()

    def test_theIdleAreForgotten(self) -> None:
        _, say = self.udp_client()
        _, say_two = self.udp_client()
        say(b"one")
        say_two(b"one")
        for _ in range(14):
            self.network.run(5.0)
            say_two(b"more")
        self.network.settle()
        self.assertEqual(self.relay.counts()["udp_clients_now"], 1)
        self.assertEqual(len([each for each in self.network.udp if each[0] == PROXY[0]]), 2)
        # What they did is not.
        self.assertEqual(self.relay.counts()["up_sent"], 16)
        self.stop()

    def test_thereAreOnlySoManyClients(self) -> None:
        self.patch(relay_udp, "MAX_CLIENTS", 3)
        says = [self.udp_client()[1] for _ in range(5)]
        for say in says:
            say(b"x")
        self.network.settle()
        counts = self.relay.counts()
        self.assertEqual((counts["udp_clients_now"], counts["udp_turned_away"]), (3, 2))
        # Those who have been silent for a while make room.
        self.network.run(6.0)
        says[4](b"x")
        self.network.settle()
        self.assertEqual(self.relay.counts()["udp_clients_now"], 1)
        self.stop()

    def test_noSocketForAClient(self) -> None:
        def no_more(*args: Any, **named: Any) -> None:
            raise OSError(24, "Too many open files")

        self.patch(self.machine, "listenUDP", no_more)
        _, say = self.udp_client()
        say(b"x")
        self.network.settle()
        self.assertEqual(self.relay.counts()["udp_turned_away"], 1)
        self.assertEqual(self.relay.counts()["udp_clients_now"], 0)
        self.stop()

    def test_theKernelsErrorsAreNotOurs(self) -> None:
        one, say = self.udp_client()
        say(b"one")
        self.network.settle()
        self.network.send_error = OSError(101, "Network is unreachable")
        self.network.inject(b"two", self.server_address(), (PROXY[0], PROXY[1]))
        self.network.settle()
        self.network.send_error = None
        say(b"three")
        self.network.settle()
        self.assertEqual([data for data, _ in one.heard], [b"re one", b"re three"])
        self.stop()

    def server_address(self) -> tuple[str, int]:
        return ("10.7.7.7", 5)

    def test_datagramsGoWhereTheConnectionDoes(self) -> None:
        """A name can have several addresses, of which not all answer."""
        self.relay._clients.server = ("10.0.0.99", 7777)
        self.client()
        _, say = self.udp_client()
        say(b"x")
        self.network.settle()
        self.assertEqual(len(self.server_udp.heard), 1)
        self.stop()


class BadUdpTests(World):
    """The same seed and the same order of clients: the same fate."""

    profile = Profile(
        latency_ms=60, jitter_ms=50, loss=0.2, burst=3, duplicate=0.1, reorder=0.1, corrupt=0.05
    )

    def fates(self, seed: int) -> list[list[bytes]]:
        """What two clients hear, and the server."""
        self.stop()
        self.relay = self.start(self.profile, seed)
        self.server_udp.heard.clear()
        clients = [self.udp_client() for _ in range(2)]
        for number in range(300):
            for _, say in clients:
                say(b"datagram %d" % number)
            self.network.run(0.02)
        self.network.run(5.0)
        heard = [[data for data, _ in client.heard] for client, _ in clients]
        return [[data for data, _ in self.server_udp.heard], *heard]

    def test_theSeedDecides(self) -> None:
        first, second, third = self.fates(1), self.fates(1), self.fates(2)
        self.assertEqual(first, second)
        self.assertNotEqual(first, third)
        self.assertNotEqual(first[1], first[2])
        counts = self.relay.counts()
        for way in ("up", "down"):
            for what in ("lost", "duplicated", "reordered", "corrupted"):
                self.assertGreater(counts[f"{way}_{what}"], 5)
        self.stop()

    def test_onlySoManyAreOnTheirWay(self) -> None:
        self.patch(relay_udp, "MAX_IN_FLIGHT", 50)
        _, say = self.udp_client()
        for _ in range(200):
            say(b"x")
        self.network.settle()
        self.assertGreater(self.relay.counts()["udp_overrun"], 50)
        self.stop()


class BlackoutTests(World):
    """In a tunnel neither transport works; behind it both do."""

    profile = Profile(blackout_seconds=3, blackout_every_seconds=15)

    def test_bothWaitOrVanish(self) -> None:
        client = self.client()
        one, say = self.udp_client()
        (server,) = self.server.made
        self.network.run(11.9)
        client.say(b"before ")
        say(b"before")
        self.network.run(0.2)
        client.say(b"within")
        say(b"within")
        self.network.run(2.8)
        self.assertEqual(server.heard, b"before ")
        self.network.run(0.2)
        say(b"after")
        self.network.settle()
        self.assertEqual(server.heard, b"before within")
        self.assertEqual([data for data, _ in one.heard], [b"re before", b"re after"])
        self.stop()


class OpeningTests(World):
    """The ports."""

    def relay_at(self, listen: int | str, target: Target = SERVER, **more: Any) -> Relay:
        return Relay(
            self.machine,
            target,
            parse_listen(listen, "listen"),
            Profile(),
            endpoint=self.endpoint,
            **more,
        )

    def test_theSameNumberForBoth(self) -> None:
        self.assertEqual((self.relay.port, self.relay.udp_port), (7000, 7000))
        relay = self.relay_at(0)
        self.successResultOf(relay.start())
        self.assertEqual(relay.port, relay.udp_port)
        self.assertEqual(relay.host, "127.0.0.1")
        relay.stop()
        self.network.settle()
        self.stop()

    def test_anotherUdpPortIsTheServersAndOurs(self) -> None:
        other = Datagrams()
        self.server_machine.listenUDP(9999, other)
        relay = self.relay_at("10.0.0.5:7001", udp_port=9999)
        self.successResultOf(relay.start())
        self.assertEqual((relay.port, relay.udp_port), (7001, 9999))
        machine = Machine(self.network, "10.3.0.1")
        machine.listenUDP(0, Datagrams()).socket.sendto(b"x", ("10.0.0.5", 9999))
        self.network.settle()
        self.assertEqual(len(other.heard), 1)
        relay.stop()
        self.network.settle()
        self.stop()

    def test_aPortThatIsTaken(self) -> None:
        failure = self.failureResultOf(self.relay_at("10.0.0.5:7000").start(), ListenFailed)
        self.assertEqual(
            failure.getErrorMessage(),
            "cannot listen on TCP 10.0.0.5:7000: Address already in use",
        )
        self.machine.listenUDP(7001, Datagrams(), "10.0.0.5")
        failure = self.failureResultOf(self.relay_at("10.0.0.5:7001").start(), ListenFailed)
        self.assertIn("UDP 10.0.0.5:7001", failure.getErrorMessage())
        self.assertNotIn(("10.0.0.5", 7001), self.network.tcp)

    def test_notToItself(self) -> None:
        failure = self.failureResultOf(
            self.relay_at("10.0.0.5:7001", Target("10.0.0.5", 7001)).start(), ConfigError
        )
        self.assertIn("is this proxy itself", failure.getErrorMessage())
        self.assertNotIn(("10.0.0.5", 7001), self.network.tcp)
        failure = self.failureResultOf(
            self.relay_at("0.0.0.0:7002", Target("127.0.0.1", 7002)).start(), ConfigError
        )
        self.assertIn("is this proxy itself", failure.getErrorMessage())
        elsewhere = self.relay_at("0.0.0.0:7003", Target("127.0.0.1", 7004))
        self.successResultOf(elsewhere.start())
        elsewhere.stop()


class DelaysTests(SynchronousTestCase):
    """Thousands of calls, one timer."""

    @settings(max_examples=100)
    @given(st.lists(st.floats(0, 10), max_size=40))
    def test_inOrderAndOnTime(self, times: list[float]) -> None:
        network = Network()
        delays = Delays(Machine(network))
        happened: list[tuple[float, float, int]] = []
        for index, when in enumerate(times):
            delays.at(
                when,
                lambda when=when, index=index: happened.append((delays.now(), when, index)),
            )
            self.assertLessEqual(len(network.timers), 1)
        network.run(11.0)
        self.assertEqual(
            [(when, index) for _, when, index in happened],
            sorted(zip(times, range(40), strict=False)),
        )
        for now, when, _ in happened:
            self.assertLessEqual(abs(now - when), 0.001)
        self.assertEqual((network.timers, len(delays)), ([], 0))

    def test_callsMayAskForMore(self) -> None:
        network = Network()
        delays = Delays(Machine(network))
        happened: list[float] = []

        def again() -> None:
            happened.append(delays.now())
            if len(happened) < 5:
                delays.at(delays.now() + 1.0, again)
                delays.at(0.0, lambda: happened.append(-1.0))

        delays.at(1.0, again)
        network.run(20.0)
        self.assertEqual(len([each for each in happened if each > 0]), 3)

    def test_oneThatFailsSparesTheOthers(self) -> None:
        network = Network()
        delays = Delays(Machine(network))
        happened: list[int] = []
        delays.at(1.0, lambda: 1 / 0)
        delays.at(1.0, happened.append, 2)
        network.run(2.0)
        self.assertEqual(happened, [2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_stopping(self) -> None:
        network = Network()
        delays = Delays(Machine(network))
        delays.at(1.0, self.fail)
        delays.stop()
        delays.stop()
        delays.at(1.0, self.fail)
        network.run(2.0)
        self.assertEqual(network.timers, [])


class ProxyTests(SynchronousTestCase):
    """What a program can get wrong."""

    def test_wrongArguments(self) -> None:
        for arguments, field in (
            ({"target": "no address!"}, "address"),
            ({"listen": "ssl:443"}, "listen"),
            ({"listen": "example.org:1"}, "listen"),
            ({"udp_port": 70_000}, "udp_port"),
            ({"profile": "trian"}, "profile"),
        ):
            given: dict[str, Any] = {"target": "localhost", **arguments}
            with self.assertRaises(ConfigError) as caught:
                Proxy(**given)
            self.assertEqual(caught.exception.field, field)

    def test_notRunning(self) -> None:
        proxy = Proxy("localhost")
        proxy.stop()
        for call in (proxy.cut_tcp, proxy.counts, proxy.change_address, lambda: proxy.port):
            self.assertRaises(LocalProtocolError, call)
        proxy.profile = "train"  # type: ignore[assignment]
        self.assertIs(proxy.profile, PROFILES["train"])


class ChaosTests(SynchronousTestCase):
    """Scripts."""

    def test_reading(self) -> None:
        script = parse_chaos("cut@8, block@14:6,move@24,kill@32", may_kill=True)
        self.assertEqual(
            [str(event) for event in script],
            ["cut@8", "block@14", "unblock@20", "move@24", "kill@32"],
        )
        self.assertEqual(parse_chaos("move@2.5,cut@1"), (Chaos(1.0, "cut"), Chaos(2.5, "move")))

    def test_blocksThatOverlapAreOne(self) -> None:
        script = parse_chaos("block@1:5,block@3:1,block@6:2,block@20:1")
        self.assertEqual(
            [str(event) for event in script], ["block@1", "unblock@8", "block@20", "unblock@21"]
        )

    def test_mistakes(self) -> None:
        for text, expected in (
            ("", "'' is none of cut@SECONDS, block@SECONDS:FOR, move@SECONDS"),
            ("cut", "'cut' is none of"),
            ("cut@", "'' is not a number of seconds"),
            ("cut@-1", "'-1' is not a number"),
            ("cut@nan", "'nan' is not a number"),
            ("cut@1:2", "'cut@1:2' is none of"),
            ("block@1", "'block@1' is none of"),
            ("block@1:", "'' is not a number of seconds"),
            ("dance@1", "'dance@1' is none of"),
            ("cut@1,", "'' is none of"),
            ("kill@1", "only gamenet demo has a server to kill"),
            (",".join(["cut@1"] * 101), "at most 100 events, not 101"),
        ):
            with self.assertRaises(ConfigError) as caught:
                parse_chaos(text)
            self.assertIn(expected, str(caught.exception))
        with self.assertRaisesRegex(ConfigError, "kill@SECONDS"):
            parse_chaos("kil@1", may_kill=True)

    def test_eachHappensOnceWhenItIsDue(self) -> None:
        did: list[object] = []

        class Recorder:
            def cut_tcp(self) -> None:
                did.append("cut")

            def block_udp(self, on: bool) -> None:
                did.append(on)

            def change_address(self) -> None:
                did.append("move")

        told: list[tuple[str, float]] = []
        recorder: Any = Recorder()
        script = parse_chaos("cut@1,block@2:1,move@4,kill@5", may_kill=True)
        mischief = Mischief(recorder, script, lambda event, at: told.append((event.what, at)))
        for seconds in (0.0, 0.99, 1.0, 1.1, 3.5, 3.6, 6.0, 7.0):
            mischief.go_on(seconds)
        self.assertEqual(did, ["cut", True, False, "move"])
        self.assertEqual(
            told, [("cut", 1.0), ("block", 3.5), ("unblock", 3.5), ("move", 6.0), ("kill", 6.0)]
        )


class FlagTests(SynchronousTestCase):
    """From flags to profiles."""

    def profile(self, *flags: str) -> Profile | None:
        parser = argparse.ArgumentParser()
        add_simulation(parser)
        return profile_of(parser.parse_args(flags))

    def test_nothingAskedForIsNothing(self) -> None:
        self.assertIsNone(self.profile())
        self.assertIsNone(self.profile("--sim-seed", "4"))

    def test_profilesAndChanges(self) -> None:
        self.assertIs(self.profile("--sim-profile", "train"), PROFILES["train"])
        self.assertEqual(
            self.profile("--sim-latency-ms", "80", "--sim-jitter-ms", "7.5", "--sim-loss", "5%"),
            Profile(name="custom", latency_ms=80, jitter_ms=7.5, loss=0.05),
        )
        changed = self.profile("--sim-profile", "train", "--sim-loss", "0.5")
        assert changed is not None
        self.assertEqual((changed.name, changed.loss), ("train, changed", 0.5))
        self.assertEqual(changed.blackout_seconds, 3)

    def test_theBanner(self) -> None:
        self.assertEqual(
            banner(PROFILES["wifi"], 7),
            "SIMULATED NETWORK wifi: 5±10 ms each way, 1 % lost in runs of 3; seed 7",
        )

    def test_theLine(self) -> None:
        world = UdpTests("test_bothWays")
        world.setUp()
        self.assertEqual(
            line_of(world.relay.counts()),
            "0 TCP and 0 UDP clients; datagrams 0 up, 0 lost, 0 blocked; "
            "0 down, 0 lost, 0 blocked; TCP 0 up, 0 down bytes",
        )

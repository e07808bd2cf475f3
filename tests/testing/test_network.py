"""A simulated network: datagrams, the conditions of links, and what breaks."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gamenet.client import GameClientFactory
from gamenet.config import ClientConfig
from gamenet.core.beacon import BROADCAST, GROUP
from gamenet.errors import ConfigError, LocalProtocolError
from gamenet.impairment import PROFILES, Profile
from gamenet.testing import SimulatedNetwork, SimulatedReactor
from tests.testing.talkers import PORT, Listener, Place


class Datagrams(Place):
    """A server and a client with a UDP port each."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__(seed)
        self.there, self.here = Listener(), Listener()
        self.server.listenUDP(PORT, self.there)
        self.port: Any = self.client.listenUDP(0, self.here)

    def send(self, count: int, every: float = 0.01) -> list[bytes]:
        """Send so many to the server.

        :returns: them.
        """
        sent = [number.to_bytes(4, "big") for number in range(count)]
        for data in sent:
            self.port.socket.sendto(data, ("10.0.0.1", PORT))
            self.network.run(every)
        return sent


class UdpTests(SynchronousTestCase):
    """Ports for datagrams."""

    def test_it_is_what_it_says_it_is(self) -> None:
        place = Datagrams()
        verifyObject(IListeningPort, place.port)
        verifyObject(IUDPTransport, place.port)

    def test_datagrams_arrive_with_their_source(self) -> None:
        place = Datagrams()
        sent = place.send(3)
        self.assertEqual(place.there.heard, sent)
        where = (place.client.address, place.port.getHost().port)
        self.assertEqual(place.there.sources, [where] * 3)
        place.there.transport.write(b"back", where)
        place.network.settle()
        self.assertEqual(place.here.heard, [b"back"])
        self.assertEqual(place.here.sources, [("10.0.0.1", PORT)])

    def test_what_is_sent_to_all_is_heard_by_all(self) -> None:
        place = Datagrams()
        other, elsewhere, named = Listener(), Listener(), Listener()
        SimulatedReactor(place.network).listenUDP(PORT, other)
        SimulatedReactor(place.network).listenUDP(PORT + 1, elsewhere)
        machine = SimulatedReactor(place.network)
        machine.listenUDP(PORT, named, interface=machine.address)
        for number, target in enumerate((GROUP, BROADCAST), 1):
            place.port.socket.sendto(b"all", (target, PORT))
            place.network.settle()
            self.assertEqual([place.there.heard, other.heard], [[b"all"] * number] * 2)
        self.assertEqual([elsewhere.heard, named.heard], [[], []])
        where = (place.client.address, place.port.getHost().port)
        self.assertEqual(set(other.sources), {where})

    def test_a_port_can_be_connected(self) -> None:
        place = Datagrams()
        place.port.connect("10.0.0.1", PORT)
        place.port.write(b"there")
        stranger = SimulatedReactor(place.network).listenUDP(0, Listener())
        stranger.write(b"noise", (place.client.address, place.port.getHost().port))
        place.network.settle()
        self.assertEqual(place.there.heard, [b"there"])
        self.assertEqual(place.here.heard, [])

    def test_without_a_target_nothing_is_sent(self) -> None:
        self.assertRaises(ValueError, Datagrams().port.write, b"where to?")

    def test_what_is_too_long_for_the_buffer_is_cut(self) -> None:
        place = Datagrams()
        short = Listener()
        port = place.server.listenUDP(0, short, maxPacketSize=10)
        place.port.write(bytes(20), ("10.0.0.1", port.getHost().port))
        place.network.settle()
        self.assertEqual(short.heard, [bytes(10)])

    def test_a_closed_port_neither_hears_nor_sends(self) -> None:
        place = Datagrams()
        self.assertRaises(CannotListenError, place.server.listenUDP, PORT, Listener())
        port = place.there.transport
        closing = port.stopListening()
        self.assertNoResult(closing)
        place.send(1)
        self.successResultOf(closing)
        self.assertTrue(place.there.stopped)
        self.assertEqual(place.there.heard, [])
        self.assertRaises(OSError, port.write, b"x", ("10.0.0.2", 1))
        self.successResultOf(port.stopListening())
        place.server.listenUDP(PORT, Listener())

    def test_an_address_of_the_wrong_kind_is_an_error(self) -> None:
        place = Datagrams()
        self.assertRaises(TypeError, place.port.socket.sendto, b"x", ("::1", PORT, 0, 0))

    def test_ipv6(self) -> None:
        network = SimulatedNetwork(1)
        server = SimulatedReactor(network, "fd00::1", linked=False)
        there = Listener()
        server.listenUDP(PORT, there, interface="::")
        port = SimulatedReactor(network, "fd00::2").listenUDP(0, Listener(), interface="::")
        port.write(b"six", ("fd00::1", PORT))
        network.settle()
        self.assertEqual(there.heard, [b"six"])
        self.assertEqual(there.sources, [("fd00::2", port.getHost().port, 0, 0)])
        self.assertRaises(CannotListenError, server.listenUDP, 0, Listener(), interface="0.0.0.0")

    def test_what_arrives_at_one_time_is_one_turn_where_there_are_turns(self) -> None:
        said: list[Any] = []

        class Turning(Listener):
            def begin_turn(self) -> None:
                said.append("begin")

            def end_turn(self) -> None:
                said.append("end")

            def datagramReceived(self, datagram: bytes, addr: Any) -> None:
                said.append(datagram)

        place = Datagrams()
        port = place.server.listenUDP(0, Turning())
        for data in (b"1", b"2"):
            place.port.write(data, ("10.0.0.1", port.getHost().port))
        place.network.settle()
        self.assertEqual(said, ["begin", b"1", b"2", "end"])


class ConditionTests(SynchronousTestCase):
    """What ``link`` does."""

    def test_latency_is_each_way_and_only_of_the_clients_link(self) -> None:
        place = Datagrams()
        place.network.link(latency_ms=80)
        place.send(1)
        place.network.run(1)
        self.assertAlmostEqual(place.there.when[0] - place.start, 0.08)
        before = place.network.seconds()
        place.there.transport.write(b"back", place.there.sources[0])
        place.network.run(1)
        self.assertAlmostEqual(place.here.when[0] - before, 0.08)

    def test_loss_is_what_was_asked_for(self) -> None:
        place = Datagrams()
        place.network.link(loss=0.1)
        place.send(5_000)
        self.assertTrue(0.885 < len(place.there.heard) / 5_000 < 0.915)

    def test_duplicates_and_overtaking(self) -> None:
        place = Datagrams()
        place.network.link(duplicate=0.2, reorder=0.2, latency_ms=10)
        sent = place.send(500)
        place.network.run(1)
        heard = place.there.heard
        self.assertEqual(set(heard), set(sent))
        self.assertGreater(len(heard), 550)
        self.assertNotEqual(sorted(heard), heard)

    def test_bandwidth(self) -> None:
        place = Datagrams()
        place.network.link(bandwidth_bytes=1_000)
        for _ in range(4):
            place.port.write(bytes(50), ("10.0.0.1", PORT))
        place.network.run(1)
        spaces = [round(when - place.start, 6) for when in place.there.when]
        self.assertEqual(spaces, [0.05, 0.1, 0.15, 0.2])

    def test_what_is_not_named_stays(self) -> None:
        place = Datagrams()
        place.network.link(profile="satellite")
        place.network.link(loss=0.5)
        profile = place.client.ways[0].profile
        self.assertEqual((profile.latency_ms, profile.loss), (300, 0.5))
        place.network.link(profile="wifi", jitter_ms=0)
        profile = place.client.ways[1].profile
        self.assertEqual((profile.latency_ms, profile.jitter_ms, profile.burst), (5, 0, 3))
        place.network.link(profile=Profile(latency_ms=7))
        self.assertEqual(place.client.ways[0].profile.latency_ms, 7)
        place.network.link(profile="perfect")
        self.assertEqual(place.client.ways[0].profile, PROFILES["perfect"])

    def test_one_clients_link_is_its_own_and_everybodys_is_also_of_those_who_come(self) -> None:
        place = Datagrams()
        place.network.link(place.client, latency_ms=20)
        other = SimulatedReactor(place.network)
        self.assertEqual(place.client.ways[0].profile.latency_ms, 20)
        self.assertEqual(other.ways[0].profile.latency_ms, 0)
        place.network.link(latency_ms=30)
        place.network.block_udp()
        newest = SimulatedReactor(place.network)
        for machine in (place.client, other, newest):
            self.assertEqual(machine.ways[0].profile.latency_ms, 30)
            self.assertTrue(machine.ways[0].blocked)

    def test_a_client_can_be_a_factory_or_a_host(self) -> None:
        place = Place()
        factory = GameClientFactory(
            Listener(),  # type: ignore[arg-type]
            ClientConfig(insecure=True),
            reactor=place.client,
            now=place.client.seconds,
        )
        for client in (factory, factory.host, place.client):
            self.assertIs(place.network.machine_of(client), place.client)
        for stranger in (place.server, "ada", SimulatedReactor()):
            self.assertRaises(LocalProtocolError, place.network.link, stranger, loss=1)

    def test_nonsense_is_refused_and_changes_nothing(self) -> None:
        place = Datagrams()
        place.network.link(latency_ms=5)
        self.assertRaises(ConfigError, place.network.link, loss=2.0)
        self.assertRaises(ConfigError, place.network.link, profile="wify")
        self.assertEqual(place.client.ways[0].profile.latency_ms, 5)
        self.assertEqual(place.client.ways[0].profile.loss, 0)


class BreakTests(SynchronousTestCase):
    """What ends, and what comes back."""

    def test_a_cut_is_learnt_at_both_ends_and_takes_what_was_under_way(self) -> None:
        place = Place()
        place.network.link(latency_ms=50)
        ours, theirs = place.meet()
        ours.transport.write(b"under way")
        theirs.transport.write(b"as well")
        place.network.cut_tcp()
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionLost", "ConnectionLost"))
        place.network.run(1)
        self.assertEqual((ours.heard, theirs.heard), (b"", b""))
        self.assertEqual(place.network.connections, [])
        again, _ = place.meet()
        self.assertEqual(again.why(), "")

    def test_a_silent_cut_is_learnt_by_nobody(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        place.network.cut_tcp(place.client, silently=True)
        ours.transport.write(b"lost")
        theirs.transport.loseConnection()
        place.network.run(3_600)
        self.assertEqual((ours.why(), theirs.why()), ("", "ConnectionDone"))
        self.assertEqual(theirs.heard, b"")

    def test_only_one_clients_connections_are_cut(self) -> None:
        place = Place()
        ours, _ = place.meet()
        first = place.client
        place.client = SimulatedReactor(place.network)
        others, _ = place.meet()
        place.network.cut_tcp(first)
        self.assertEqual((ours.why(), others.why()), ("ConnectionLost", ""))

    def test_blocked_udp_lets_tcp_pass(self) -> None:
        place = Datagrams()
        ours, theirs = place.meet()
        place.network.block_udp()
        place.send(5)
        ours.transport.write(b"tcp")
        place.network.run(1)
        self.assertEqual((place.there.heard, theirs.heard), ([], b"tcp"))
        place.network.block_udp(on=False)
        self.assertEqual(len(place.send(5)), len(place.there.heard))

    def test_another_address(self) -> None:
        place = Datagrams()
        place.network.link(latency_ms=50)
        ours, theirs = place.meet()
        before = place.client.address
        theirs.transport.write(b"under way")
        place.there.transport.write(b"too", (before, place.port.getHost().port))
        after = place.network.change_address(place.client)
        self.assertNotEqual(before, after)
        self.assertEqual(place.client.address, after)
        # Neither end is told, and nothing arrives any more.
        ours.transport.write(b"lost")
        place.network.run(3_600)
        self.assertEqual((ours.heard, theirs.heard, place.here.heard), (b"", b"", []))
        self.assertEqual((ours.why(), theirs.why()), ("", ""))
        # Datagrams come from the new address, and go there; so do new connections.
        place.send(1)
        place.network.run(1)
        self.assertEqual(place.there.sources, [(after, place.port.getHost().port)])
        place.there.transport.write(b"found", place.there.sources[0])
        place.network.run(1)
        self.assertEqual(place.here.heard, [b"found"])
        _, newest = place.meet()
        self.assertEqual(newest.transport.getPeer().host, after)

    def test_an_attempt_to_connect_does_not_survive_another_address(self) -> None:
        place = Place()
        place.network.link(latency_ms=50)
        factory = ClientFactory.forProtocol(Protocol)
        connector = place.client.connectTCP("10.0.0.1", PORT, factory, timeout=5)
        place.network.run(0.07)
        place.network.change_address(place.client)
        place.network.run(4)
        self.assertEqual(connector.state, "connecting")


class SeedTests(SynchronousTestCase):
    """The same seed gives the same network."""

    def trace(self, seed: int) -> tuple[str, list[tuple[float, bytes]]]:
        place = Datagrams(seed)
        place.network.link(profile="cellular", loss=0.1, duplicate=0.1, reorder=0.1)
        ours, theirs = place.meet()
        for number in range(200):
            place.send(1)
            ours.transport.write(b"%d" % number)
        place.network.run(5)
        heard = list(zip(place.there.when, place.there.heard, strict=True))
        return place.network.fingerprint(), heard + [(when, b"") for when in theirs.when]

    def test_equal_seeds_equal_traces(self) -> None:
        self.assertEqual(self.trace(1), self.trace(1))

    def test_other_seeds_other_traces(self) -> None:
        one, two = self.trace(1), self.trace(2)
        self.assertNotEqual(one[0], two[0])
        self.assertNotEqual(one[1], two[1])

    def test_two_clients_are_not_lucky_together(self) -> None:
        network = SimulatedNetwork(1)
        first, second = SimulatedReactor(network), SimulatedReactor(network)
        network.link(loss=0.5)
        fates = [
            [bool(machine.ways[way].datagram(b"x", 0.0)) for _ in range(64)]
            for machine in (first, second)
            for way in (0, 1)
        ]
        self.assertEqual(len({tuple(fate) for fate in fates}), 4)

    def test_what_is_left_is_told(self) -> None:
        place = Datagrams()
        place.meet()
        place.client.callLater(5, self.fail)
        left = "\n".join(place.network.left_behind())
        for text in ("TCP port 10.0.0.1:7777", "UDP port", "connection from", "timer in 5 s"):
            self.assertIn(text, left)

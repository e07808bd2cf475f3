"""Simulated TCP: the manners of Twisted's transports and of a kernel's sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import (
    CannotListenError,
    ConnectingCancelledError,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.internet.interfaces import (
    IConnector,
    IListeningPort,
    IReactorFromThreads,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
    ITCPTransport,
)
from twisted.internet.protocol import ClientFactory, Protocol, ReconnectingClientFactory
from twisted.protocols.basic import Int32StringReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gamenet.errors import LocalProtocolError
from gamenet.testing import SimulatedReactor
from gamenet.testing.streams import PILE_BYTES
from tests.testing.talkers import PORT, HalfTalker, Place, Talkers


class InterfaceTests(SynchronousTestCase):
    """Whoever takes Twisted's interfaces takes these."""

    def test_everything_is_what_it_says_it_is(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        for interface in (IReactorTime, IReactorTCP, IReactorUDP, IReactorFromThreads):
            verifyObject(interface, place.client)
        verifyObject(IListeningPort, place.listening)
        verifyObject(ITCPTransport, ours.transport)
        connector = place.client.connectTCP("10.0.0.1", PORT, ClientFactory.forProtocol(Protocol))
        verifyObject(IConnector, connector)
        self.assertEqual(str(connector.getDestination().host), "10.0.0.1")
        self.assertEqual(ours.transport.getPeer(), theirs.transport.getHost())
        self.assertEqual(ours.transport.getHost(), theirs.transport.getPeer())
        self.assertEqual(place.listening.getHost().port, PORT)


class ConnectTests(SynchronousTestCase):
    """How connections come about, or not."""

    def connect(self, place: Place, host: str = "10.0.0.1", **named: Any) -> Any:
        return TCP4ClientEndpoint(place.client, host, PORT, **named).connect(Talkers())

    def test_endpoints_meet(self) -> None:
        place = Place()
        factory = Talkers()
        port = self.successResultOf(TCP4ServerEndpoint(place.server, 0).listen(factory))
        ours = Talkers()
        connecting = TCP4ClientEndpoint(place.client, "10.0.0.1", port.getHost().port).connect(ours)
        self.assertNoResult(connecting)
        place.network.settle()
        self.assertIs(self.successResultOf(connecting), ours.made[0])
        self.assertEqual(len(factory.made), 1)

    def test_a_round_trip_passes_until_the_client_knows_and_half_a_one_more_the_server(
        self,
    ) -> None:
        place = Place()
        place.network.link(latency_ms=100)
        connecting = self.connect(place)
        place.network.run(0.19)
        self.assertNoResult(connecting)
        place.network.run(0.02)
        self.successResultOf(connecting)
        self.assertEqual(place.factory.made, [])
        place.network.run(0.1)
        self.assertEqual(len(place.factory.made), 1)

    def test_nobody_listens(self) -> None:
        place = Place()
        place.network.link(latency_ms=100)
        place.listening.stopListening()
        connecting = self.connect(place)
        place.network.run(0.19)
        self.assertNoResult(connecting)
        place.network.run(0.02)
        self.failureResultOf(connecting, ConnectionRefusedError)
        self.assertEqual(place.network.left_behind(), [])

    def test_no_such_machine(self) -> None:
        place = Place()
        connecting = self.connect(place, "10.9.9.9", timeout=7)
        place.network.run(6.9)
        self.assertNoResult(connecting)
        place.network.run(0.2)
        self.failureResultOf(connecting, TimeoutError)

    def test_one_that_is_given_up(self) -> None:
        place = Place()
        place.network.link(latency_ms=100)
        connecting = self.connect(place)
        place.network.run(0.05)
        connecting.cancel()
        self.failureResultOf(connecting, ConnectingCancelledError, CancelledError)
        place.network.run(5)
        self.assertEqual(place.factory.made, [])
        self.assertEqual(place.network.connections, [])

    def test_a_listener_that_closes_meanwhile(self) -> None:
        place = Place()
        place.network.link(latency_ms=100)
        ours = Talkers()
        TCP4ClientEndpoint(place.client, "10.0.0.1", PORT).connect(ours)
        place.network.run(0.21)
        place.listening.stopListening()
        place.network.run(1)
        self.assertEqual(place.factory.made, [])
        self.assertEqual(ours.made[0].why(), "ConnectionDone")
        self.assertEqual(place.network.connections, [])

    def test_a_factory_that_wants_no_connection(self) -> None:
        place = Place()
        place.factory.refuses = True
        ours = Talkers()
        TCP4ClientEndpoint(place.client, "10.0.0.1", PORT).connect(ours)
        place.network.run(1)
        self.assertEqual(ours.made[0].why(), "ConnectionDone")
        self.assertEqual(place.network.connections, [])
        other = Place()
        refusing = ClientFactory()
        refusing.buildProtocol = lambda addr: None  # type: ignore[method-assign,assignment]
        other.client.connectTCP("10.0.0.1", PORT, refusing)
        other.network.run(1)
        self.assertEqual(other.factory.made[0].why(), "ConnectionDone")
        self.assertEqual(other.network.connections, [])

    def test_client_factories_are_told_everything_once(self) -> None:
        place = Place()
        said: list[str] = []

        class Told(ClientFactory):
            noisy = False
            protocol = Protocol

            def startFactory(self) -> None:
                said.append("start")

            def stopFactory(self) -> None:
                said.append("stop")

            def startedConnecting(self, connector: Any) -> None:
                said.append("connecting")

            def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
                said.append("failed")

            def clientConnectionLost(self, connector: Any, reason: Any) -> None:
                said.append("lost")

        connector = place.client.connectTCP("10.0.0.1", PORT, Told())
        self.assertEqual(connector.state, "connecting")
        place.network.run(1)
        self.assertEqual(connector.state, "connected")
        connector.disconnect()
        place.network.run(1)
        self.assertEqual(said, ["start", "connecting", "lost", "stop"])
        said.clear()
        place.listening.stopListening()
        connector.connect()
        place.network.run(1)
        self.assertEqual(said, ["start", "connecting", "failed", "stop"])

    def test_reconnecting_factories_come_back(self) -> None:
        place = Place()
        factory = ReconnectingClientFactory()
        factory.protocol = Protocol
        factory.noisy = False
        factory.clock = place.client
        place.client.connectTCP("10.0.0.1", PORT, factory)
        place.network.run(1)
        place.network.cut_tcp()
        self.assertEqual(place.network.connections, [])
        place.network.run(60)
        self.assertEqual(len(place.factory.made), 2)
        self.assertEqual(len(place.network.connections), 2)
        factory.stopTrying()


class ListenTests(SynchronousTestCase):
    """Ports, and who has them."""

    def test_a_port_can_be_had_once(self) -> None:
        place = Place()
        error = self.assertRaises(CannotListenError, place.server.listenTCP, PORT, Talkers())
        self.assertIn("in use", str(error))
        place.listening.stopListening()
        place.listening.stopListening()
        self.assertEqual((place.factory.starts, place.factory.stops), (1, 1))
        place.server.listenTCP(PORT, Talkers())
        place.client.listenTCP(PORT, Talkers())

    def test_an_interface_must_be_the_machines(self) -> None:
        place = Place()
        for interface in ("10.0.0.77", "::", "fd00::1"):
            error = self.assertRaises(
                CannotListenError, place.server.listenTCP, 0, Talkers(), interface=interface
            )
            self.assertIn("Cannot assign", str(error))
        for interface in ("", "0.0.0.0", "10.0.0.1", "127.0.0.1"):
            opened = place.server.listenTCP(0, Talkers(), interface=interface)
            self.assertEqual(
                opened.getHost().host, "127.0.0.1" if interface == "127.0.0.1" else "10.0.0.1"
            )

    def test_a_free_port_is_another_each_time(self) -> None:
        place = Place()
        ports = {place.server.listenTCP(0, Talkers()).getHost().port for _ in range(5)}
        self.assertEqual(len(ports), 5)

    def test_two_machines_cannot_have_one_address(self) -> None:
        place = Place()
        self.assertRaises(LocalProtocolError, SimulatedReactor, place.network, "10.0.0.1")


class ByteTests(SynchronousTestCase):
    """What is written arrives, in order and late."""

    def test_bytes_arrive_after_the_links_latency(self) -> None:
        place = Place()
        place.network.link(latency_ms=250)
        ours, theirs = place.meet()
        before = place.network.seconds()
        ours.transport.writeSequence([b"one", b"two"])
        place.network.run(0.24)
        self.assertEqual(theirs.heard, b"")
        place.network.run(1)
        self.assertEqual(theirs.heard, b"onetwo")
        self.assertAlmostEqual(theirs.when[0] - before, 0.25)

    def test_frames_come_whole_and_in_order_over_the_worst_link(self) -> None:
        heard: list[bytes] = []

        class Frames(Int32StringReceiver):
            def stringReceived(self, string: bytes) -> None:
                heard.append(string)

        class FrameFactory(Talkers):
            def buildProtocol(self, addr: object) -> Any:
                return Frames()

        place = Place(factory=FrameFactory())
        place.network.link(profile="train", loss=0.3)
        ours = Talkers()
        TCP4ClientEndpoint(place.client, "10.0.0.1", PORT).connect(ours)
        place.network.run(60)
        sent = [bytes([number % 256]) * (number * 37 % 5000) for number in range(200)]
        for frame in sent:
            ours.made[0].transport.write(len(frame).to_bytes(4, "big") + frame)
            place.network.run(0.1)
        place.network.run(600)
        self.assertEqual(heard, sent)

    def test_only_bytes_are_written(self) -> None:
        ours, _ = Place().meet()
        self.assertRaises(TypeError, ours.transport.write, "text")

    def test_pieces_can_be_made_small(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        theirs.transport.chunk = 3
        ours.transport.write(b"12345678")
        place.network.settle()
        self.assertEqual((theirs.heard, len(theirs.when)), (b"12345678", 3))

    def test_who_does_not_read_hears_it_later(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        theirs.transport.pauseProducing()
        ours.transport.write(b"later")
        place.network.run(10)
        self.assertEqual(theirs.heard, b"")
        theirs.transport.resumeProducing()
        place.network.settle()
        self.assertEqual(theirs.heard, b"later")


class Producer:
    """Counts how often it is paused and resumed."""

    def __init__(self) -> None:
        self.paused = 0
        self.resumed = 0

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.resumed += 1

    def stopProducing(self) -> None:
        """Nothing to do."""


class PileTests(SynchronousTestCase):
    """Whoever writes more than the other end takes is told."""

    def test_a_peer_that_does_not_read(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        producer = Producer()
        ours.transport.registerProducer(producer, True)
        theirs.transport.pauseProducing()
        ours.transport.write(bytes(PILE_BYTES))
        place.network.settle()
        self.assertEqual(producer.paused, 0)
        ours.transport.write(b"x")
        place.network.settle()
        self.assertEqual((producer.paused, producer.resumed), (1, 0))
        theirs.transport.resumeProducing()
        place.network.settle()
        self.assertEqual((producer.paused, producer.resumed), (1, 1))

    def test_a_slow_link(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        place.network.link(bandwidth_bytes=100_000)
        producer = Producer()
        ours.transport.registerProducer(producer, True)
        ours.transport.write(bytes(200_000))
        self.assertEqual((producer.paused, producer.resumed), (1, 0))
        place.network.run(3)
        self.assertEqual(len(theirs.heard), 200_000)
        self.assertEqual((producer.paused, producer.resumed), (1, 1))

    def test_a_link_that_is_dead(self) -> None:
        place = Place()
        ours, _ = place.meet()
        producer = Producer()
        ours.transport.registerProducer(producer, True)
        place.network.cut_tcp(silently=True)
        ours.transport.write(bytes(PILE_BYTES + 1))
        self.assertEqual(producer.paused, 1)

    def test_one_producer_at_a_time_and_only_such_as_push(self) -> None:
        ours, _ = Place().meet()
        self.assertRaises(NotImplementedError, ours.transport.registerProducer, Producer(), False)
        ours.transport.registerProducer(Producer(), True)
        self.assertRaises(RuntimeError, ours.transport.registerProducer, Producer(), True)
        ours.transport.unregisterProducer()
        ours.transport.registerProducer(Producer(), True)


class EndTests(SynchronousTestCase):
    """How connections end."""

    def test_what_was_written_before_arrives(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        ours.transport.write(b"last")
        ours.transport.loseConnection()
        self.assertTrue(ours.transport.disconnecting)
        place.network.settle()
        self.assertEqual(theirs.heard, b"last")
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionDone", "ConnectionDone"))
        self.assertEqual(place.network.connections, [])

    def test_nothing_arrives_behind_the_end(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        ours.transport.loseWriteConnection()
        ours.transport.write(b"too late")
        place.network.settle()
        self.assertEqual(theirs.heard, b"")

    def test_an_abort_destroys_what_was_not_read(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        theirs.transport.pauseProducing()
        ours.transport.write(b"gone")
        place.network.settle()
        ours.transport.abortConnection()
        place.network.settle()
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionAborted", "ConnectionLost"))
        self.assertEqual(theirs.heard, b"")

    def test_closing_with_bytes_unread_resets(self) -> None:
        place = Place()
        ours, theirs = place.meet()
        theirs.transport.pauseProducing()
        ours.transport.write(b"unread")
        place.network.settle()
        theirs.transport.loseConnection()
        place.network.settle()
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionLost", "ConnectionDone"))

    def test_sending_to_a_closed_end_resets(self) -> None:
        place = Place(kind=HalfTalker)
        place.network.link(latency_ms=50)
        ours, theirs = place.meet(HalfTalker)
        theirs.transport.loseConnection()
        place.network.run(0.01)
        ours.transport.write(b"crossing")
        place.network.run(1)
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionLost", "ConnectionDone"))
        self.assertEqual(theirs.heard, b"")

    def test_half_a_close_leaves_the_other_half(self) -> None:
        place = Place(kind=HalfTalker)
        ours, theirs = place.meet(HalfTalker)
        ours.transport.loseWriteConnection()
        place.network.settle()
        self.assertTrue(theirs.peer_is_done)
        self.assertEqual((ours.why(), theirs.why()), ("", ""))
        theirs.transport.write(b"still here")
        place.network.settle()
        self.assertEqual(ours.heard, b"still here")
        theirs.transport.loseWriteConnection()
        place.network.settle()
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionDone", ""))

    def test_protocols_that_know_no_halves_close_whole(self) -> None:
        place = Place()
        ours, theirs = place.meet(HalfTalker)
        ours.transport.loseWriteConnection()
        place.network.settle()
        self.assertEqual((ours.why(), theirs.why()), ("ConnectionDone", "ConnectionDone"))

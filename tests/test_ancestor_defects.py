"""The defects of the ancestor, each with a test that it is not here.

gamenet takes the ideas of an earlier library and none of its mistakes. Twelve were known when this
one was begun; the comments say what each of them did.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from gamenet.auth import make_portal
from gamenet.core import frames
from gamenet.core.inputs import InputReceiver, InputSender, decode_inputs
from gamenet.core.state_channel import StateReceiver, StateSender
from gamenet.core.wire import MAX_STATE_BYTES, MAX_UNRELIABLE_BYTES
from gamenet.errors import DisconnectReason, MessageTooLarge, RefusalReason
from gamenet.events import Chat, Connected, Input, Joined, Left, PathChanged, Received
from tests.fakes import FIN, RST, framed
from tests.world import World, hello


class InputAckTests(SynchronousTestCase):
    """1. An ack of everything forgot nothing, a partial one forgot the wrong number of inputs, and
    both moved the first number past the newest.
    """

    def setUp(self) -> None:
        self.sender = InputSender(16)
        for number in range(1, 11):
            self.sender.put(number, 100 + number)

    def test_full_ack_forgets_every_input(self) -> None:
        self.assertTrue(self.sender.acknowledge(10))
        self.assertEqual((list(self.sender.values), self.sender.message(0)), ([], b""))

    def test_partial_ack_forgets_exactly_the_inputs_it_covers(self) -> None:
        self.assertTrue(self.sender.acknowledge(7))
        newest, _, _, values, *_ = decode_inputs(self.sender.message(0))
        self.assertEqual((newest, values), (10, [108, 109, 110]))

    def test_an_ack_never_moves_the_numbers_of_what_is_left(self) -> None:
        receiver = InputReceiver(16, 120)
        for acknowledged in (0, 4, 10):
            self.sender.acknowledge(acknowledged)
            self.sender.put(self.sender.newest + 1, 7)
            receiver.receive(self.sender.message(0), 0.0, 1_000, 0)
            self.assertEqual(receiver.settled, self.sender.newest)
        self.assertEqual(self.sender.newest, 13)


class SeveralPlayersTests(SynchronousTestCase):
    """What was kept once for all players, and so worked for one."""

    def test_one_client_cannot_silence_anothers_inputs(self) -> None:
        # 2. One "newest number received" for everybody: the fastest client silenced the others.
        world = World(self)
        fast, slow = world.join("fast"), world.join("slow")
        for number in range(1, 51):
            fast.verbs.send_input(number)
            world.run(0.02)
        for number in range(1, 6):
            slow.verbs.send_input(number)
            fast.verbs.send_input(50 + number)
            world.run(0.02)
        world.run(0.2)
        heard = world.server.of(Input)
        for name, count in (("fast", 55), ("slow", 5)):
            numbers = [event.buttons for event in heard if event.player.name == name]
            self.assertEqual(numbers, list(range(1, count + 1)), name)

    def test_two_players_do_not_share_one_state_and_one_ack(self) -> None:
        # 3. The outgoing queue kept one state and one ack in all: of two clients, one starved.
        world = World(self)
        clients = [world.join(name) for name in ("ada", "bob", "cy")]
        for client in clients:
            client.verbs.send_input(1)
        world.settle()
        for name, player in world.server.players.items():
            world.server.verbs.send_state(player, f"the world of {name}".encode())
        world.run(0.2)
        self.assertEqual(
            [client.host.state.payload for client in clients],
            [b"the world of ada", b"the world of bob", b"the world of cy"],
        )
        for client in clients:
            self.assertEqual(client.host.input_stats()["inputs_in_flight"], 0)


class ReliableTests(SynchronousTestCase):
    """The TCP side."""

    def test_frames_are_found_however_tcp_cuts_the_stream(self) -> None:
        # 4. Messages had no length: what came in one read was taken for one message.
        said = [b"", b"x", bytes(300), b"last"]
        stream = b"".join(
            framed(frame)
            for frame in (
                frames.encode_hello(hello("ada")),
                frames.encode_ack(0),
                *[frames.encode_data(False, 0, payload) for payload in said],
            )
        )
        for chunk in (1, 3, 7, 64, 65_536):
            world = World(self)
            world.stranger().say(stream, chunk=chunk)
            heard = [event.payload for event in world.server.of(Received)]
            self.assertEqual(heard, said, chunk)
            world.close()

    def test_a_read_of_nothing_is_no_closed_connection(self) -> None:
        # 4. The buffer to read into had no length, and a read of nothing means the end.
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.wire.transport.peer.protocol.dataReceived(b"")
        puppet.wire.say_frame(frames.encode_say("still here"))
        self.assertEqual([event.text for event in world.server.of(Chat)], ["still here"])
        self.assertEqual(world.server.of(Left), [])

    def test_chat_that_the_client_says_is_sent(self) -> None:
        # 6. The client's TCP side never read its application's queue.
        for bridged in (False, True):
            world = World(self, bridged=bridged)
            ada, bob = world.join("ada"), world.join("bob")
            ada.verbs.say("hello all")
            world.take()
            (heard,) = world.server.of(Chat)
            self.assertEqual((heard.player.name, heard.text), ("ada", "hello all"))
            world.server.verbs.say(heard.text, author=heard.player)
            world.take()
            (read,) = bob.of(Chat)
            self.assertEqual((read.player.name, read.text), ("ada", "hello all"))
            world.close()

    def test_credentials_are_checked_before_anybody_is_in(self) -> None:
        # 7. Checking them was left for later.
        world = World(self, portal=make_portal(("memory:ada,bob",)))
        self.assertTrue(world.join("ada").joined)
        mallory = world.client("mallory")
        world.take()
        self.assertFalse(mallory.of(Connected))
        self.assertEqual(mallory.end().refusal, RefusalReason.CREDENTIALS)
        self.assertEqual([event.player.name for event in world.server.of(Joined)], ["ada"])

    def test_no_secret_is_sent_or_taken_in_clear(self) -> None:
        # 7. The password crossed the network in clear.
        world = World(self)
        ada = world.join("ada")
        assert ada.transport is not None
        said = frames.decode_hello(ada.transport.written[4:][: ada.transport.written[3]])
        self.assertEqual((said.mechanism, said.auth), (frames.ANONYMOUS, b""))
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("eve", mechanism=2, auth=b"pass word")))
        self.assertEqual(frames.decode_refuse(stranger.frames[0])[0], RefusalReason.INSECURE)

    def test_a_drop_ends_the_connection(self) -> None:
        # 10. "Drop this client" was logged, and the loop that read from it went on.
        for bad in (frames.encode_data(False, 0, b"x")[:2], b"\x63", frames.encode_ack(9)):
            world = World(self)
            bystander = world.join("ada")
            puppet = world.puppet("mallory").confirm()
            puppet.wire.say_frame(bad, frames.encode_say("and another thing"))
            puppet.wire.say_frame(frames.encode_say("can you hear me"))
            world.run(3.0)
            self.assertIn(puppet.wire.ended, (FIN, RST))
            self.assertEqual(world.server.of(Chat), [])
            (left,) = world.server.of(Left)
            self.assertEqual(
                (left.player.name, left.reason), ("mallory", DisconnectReason.BAD_DATA)
            )
            self.assertTrue(bystander.joined)
            world.close()


class LowLatencyTests(SynchronousTestCase):
    """The UDP side."""

    def test_the_server_serves_udp_from_the_start(self) -> None:
        # 5. The server never spawned the thread that served UDP.
        world = World(self)
        ada = world.client("ada")
        world.settle()
        self.assertEqual([event.path for event in world.server.of(PathChanged)], ["udp"])
        self.assertTrue(ada.bound)

    def test_the_client_is_reachable_from_other_machines(self) -> None:
        # 8. The client bound its UDP socket to 127.0.0.1.
        for address, any_address in (("10.0.0.1", "0.0.0.0"), ("fd00::1", "::")):
            world = World(self, address=address)
            machine = world.machine()
            asked: list[str] = []
            listen = machine.listenUDP

            def remember(
                port: int,
                protocol: object,
                interface: str = "",
                maxPacketSize: int = 8192,
                asked: list[str] = asked,
                listen: object = listen,
            ) -> object:
                asked.append(interface)
                return listen(port, protocol, interface, maxPacketSize)  # type: ignore[operator]

            self.patch(machine, "listenUDP", remember)
            client = world.client("ada", machine=machine)
            world.take()
            self.assertEqual(asked, [any_address])
            self.assertTrue(client.bound)
            world.close()

    def test_no_datagram_is_longer_than_any_path_carries(self) -> None:
        # 9. 1,500 bytes were allowed, of which an Ethernet frame has room for 1,472.
        world = World(self)
        ada = world.join("ada", input_bits=16)
        player = world.server.players["ada"]
        verbs = world.server.verbs
        for number in range(100):
            ada.host.queue_input(number + 1, number * 7 & 0xFFFF)
        ada.verbs.send_unreliable(bytes(MAX_UNRELIABLE_BYTES))
        verbs.send_state(player, bytes(MAX_STATE_BYTES))
        for size in (MAX_UNRELIABLE_BYTES, 1, 600, 700, 5):
            verbs.send_unreliable(player, bytes(size))
        world.run(0.5)
        sizes = [len(datagram.data) for datagram in world.network.datagrams]
        self.assertEqual(max(sizes), 1_200)
        self.assertEqual(len(ada.host.state.payload), MAX_STATE_BYTES)
        self.assertRaises(
            MessageTooLarge, verbs.send_unreliable, player, bytes(MAX_UNRELIABLE_BYTES + 1)
        )
        self.assertRaises(MessageTooLarge, verbs.send_state, player, bytes(MAX_STATE_BYTES + 1))

    def test_a_late_state_does_not_overwrite_a_newer_one(self) -> None:
        # 11. States had no number.
        sender, receiver = StateSender(), StateReceiver()
        wire = []
        for number in (1, 2, 3):
            sender.put(number, b"%d" % number, 0, number, number, 0)
            ((_, data),) = sender.take()
            wire.append(data)
        self.assertIsNot(receiver.receive(wire[0]), None)
        self.assertIsNot(receiver.receive(wire[2]), None)
        self.assertIs(receiver.receive(wire[1]), None)
        self.assertEqual((receiver.newest, receiver.outdated), (3, 1))

    def test_a_state_that_was_overtaken_on_the_network_is_dropped(self) -> None:
        # 11. The same, with everything in between.
        world = World(self)
        ada = world.join("ada")
        player = world.server.players["ada"]
        held = []
        first = world.server.verbs.send_state(player, b"old")
        world.network.filter = lambda datagram: held.append(datagram) or ()
        world.settle()
        world.network.filter = lambda datagram: (datagram,)
        second = world.server.verbs.send_state(player, b"new")
        world.settle()
        for datagram in held:
            world.network.deliver(datagram)
        world.settle()
        self.assertEqual((first, second), (1, 2))
        self.assertEqual((ada.host.state.number, ada.host.state.payload), (2, b"new"))


class LivenessTests(SynchronousTestCase):
    """12. There were no timeouts, no keepalive, no round-trip time and no statistics."""

    def test_a_peer_that_vanished_is_noticed_on_both_sides(self) -> None:
        world = World(self)
        ada = world.join("ada")
        assert ada.transport is not None
        # From here on both sides are deaf, and neither connection reports anything.
        ada.transport.stop_reading()
        ada.transport.peer.stop_reading()
        world.run(16.0)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.TIMEOUT)
        self.assertEqual(ada.end().reason, DisconnectReason.TIMEOUT)

    def test_a_connection_that_never_joins_is_closed(self) -> None:
        world = World(self)
        stranger = world.stranger()
        world.run(6.0)
        self.assertTrue(stranger.ended)

    def test_a_silent_session_is_kept_alive_on_both_transports(self) -> None:
        world = World(self)
        ada = world.join("ada")
        world.run(1.0)
        datagrams = len(world.network.datagrams)
        world.run(300.0)
        self.assertTrue(ada.joined)
        self.assertEqual(world.server.of(Left), [])
        self.assertGreater(len(world.network.datagrams), datagrams + 300 / 6)

    def test_round_trip_time_and_loss_are_measured(self) -> None:
        world = World(self)
        ada = world.client("ada")
        world.network.delay = 0.03
        world.run(1.0)
        dice = random.Random(12)
        world.network.filter = lambda datagram: () if dice.random() < 0.1 else (datagram,)
        player = world.server.players["ada"]
        for _ in range(30 * 60):
            ada.verbs.send_input(1)
            world.server.verbs.send_state(player, b"state")
            world.run(1 / 60)
        for quality in (ada.verbs.quality(), world.server.verbs.quality(player)):
            self.assertEqual(quality.path, "udp")
            self.assertApproximates(quality.rtt_seconds, 0.06, 0.02)
            self.assertApproximates(quality.loss_in, 0.1, 0.06)
            self.assertApproximates(quality.loss_out, 0.1, 0.06)
            self.assertGreater(quality.datagrams_in, 1_000)
        self.assertGreater(world.server.verbs.stats()["datagrams_delivered"], 1_000)

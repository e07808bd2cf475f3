"""What games say: it arrives as said, mistakes raise where they are made, and nobody is harmed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet import messages as messages_module
from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.reliable_half import LONE_ACK_SECONDS, RIDING_ACK_SECONDS
from gamenet.core.wire import MAX_STATE_BYTES, MAX_UNRELIABLE_BYTES
from gamenet.errors import (
    BridgeClosed,
    ConfigError,
    DisconnectReason,
    LocalProtocolError,
    MessageTooLarge,
    QueueFull,
    UnknownPlayer,
)
from gamenet.events import (
    SERVER,
    Chat,
    Disconnected,
    Input,
    Left,
    Player,
    Received,
    Unreliable,
    Writable,
)
from gamenet.messages import Message, Unit
from gamenet.turns import BEAT_SECONDS
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes import Datagram

MAX = frames.MAX_PAYLOAD_BYTES


class Move(Message):
    dx: Unit
    dy: Unit


class Shout(Message):
    text: str


class Undeclared(Message):
    x: int


class ReliableTests(SynchronousTestCase):
    """What must arrive."""

    def test_bytes_and_messages_arrive_both_ways_in_order_with_their_channels(self) -> None:
        world = World(self, messages=(Move, Shout))
        client = world.join("ada", messages=(Move, Shout))
        player = world.server.players["ada"]
        said: list[tuple[Any, int]] = [
            (b"bytes", 0),
            (Move(0.5, -1.0), 1),
            (b"", 255),
            (Shout("hé"), 0),
            (b"\x93\xa4Move", 7),  # looks like a message, and is not one
        ]
        for payload, channel in said:
            client.verbs.send(payload, channel)
            world.server.verbs.send(player, payload, channel)
        world.settle()
        for end in (client, world.server):
            self.assertEqual([(event.payload, event.channel) for event in end.of(Received)], said)
        self.assertEqual({event.player for event in client.of(Received)}, {SERVER})
        self.assertEqual({event.player for event in world.server.of(Received)}, {player})

    def test_every_kind_of_bytes_like_object_is_sent_as_bytes(self) -> None:
        world = World(self)
        client = world.join("ada")
        for payload in (b"abc", bytearray(b"abc"), memoryview(b"xabcx")[1:4]):
            client.verbs.send(payload)
        world.settle()
        self.assertEqual([event.payload for event in world.server.of(Received)], [b"abc"] * 3)
        self.assertEqual({type(event.payload) for event in world.server.of(Received)}, {bytes})

    def test_what_is_changed_after_it_was_sent_arrives_as_it_was(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        data = bytearray(b"before")
        client.verbs.send(data)
        data[:] = b"after!"
        world.take()
        self.assertEqual([event.payload for event in world.server.of(Received)], [b"before"])

    def test_64_kib_fit_exactly_and_one_byte_more_does_not(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for send in (
            client.verbs.send,
            lambda payload: world.server.verbs.send(player, payload),
            world.server.verbs.broadcast,
        ):
            error = self.assertRaises(MessageTooLarge, send, bytes(MAX + 1))
            self.assertIn("65536", str(error))
            self.assertIn("in parts", str(error))
            send(bytes(MAX))
        world.run(0.2)
        self.assertEqual([len(event.payload) for event in client.of(Received)], [MAX, MAX])
        self.assertEqual([len(event.payload) for event in world.server.of(Received)], [MAX])

    def test_a_typed_message_has_the_same_limit_encoded(self) -> None:
        world = World(self, messages=(Shout,))
        client = world.join("ada", messages=(Shout,))
        overhead = len(world.server.host.codec.encode(Shout("x" * 60_000))) - 60_000
        client.verbs.send(Shout("x" * (MAX - overhead)))
        self.assertRaises(MessageTooLarge, client.verbs.send, Shout("x" * (MAX - overhead + 1)))
        world.run(0.2)
        self.assertEqual(len(world.server.of(Received)), 1)

    def test_a_broadcast_is_encoded_once(self) -> None:
        world = World(self, messages=(Move,))
        for number in range(5):
            world.join(f"p{number}", messages=(Move,))
        encodes: list[Any] = []
        codec = messages_module.Codec
        original = codec.encode
        self.patch(
            codec,
            "encode",
            lambda self, message: (encodes.append(message), original(self, message))[1],
        )
        made: list[bytes] = []
        encode_data = frames.encode_data
        self.patch(frames, "encode_data", lambda *args: (made.append(b""), encode_data(*args))[1])
        world.server.verbs.broadcast(Move(0.0, 1.0))
        world.settle()
        self.assertEqual((len(encodes), len(made)), (1, 1))
        world.server.verbs.broadcast(Move(0.0, 1.0), reliable=False)
        self.assertEqual(len(encodes), 2)
        world.settle()
        for client in world.clients:
            self.assertEqual(len(client.of(Received)), 1)
            self.assertEqual(len(client.of(Unreliable)), 1)

    def test_a_broadcast_reaches_those_it_is_for(self) -> None:
        world = World(self)
        clients = {name: world.join(name) for name in ("ada", "bob", "eve")}
        players = world.server.players
        verbs = world.server.verbs
        verbs.broadcast(b"1 all")
        verbs.broadcast(b"2 to", to=[players["ada"], players["bob"]])
        verbs.broadcast(b"3 but", exclude=[players["ada"]])
        verbs.broadcast(b"4 both", to=iter(players.values()), exclude={players["eve"]})
        verbs.broadcast(b"5 nobody", to=[])
        verbs.broadcast(b"6 fast", reliable=False, exclude=[players["bob"]])
        world.settle()
        heard = {
            name: [
                event.payload[:1]
                for event in client.events
                if isinstance(event, Received | Unreliable)
            ]
            for name, client in clients.items()
        }
        self.assertEqual(
            {name: sorted(payloads) for name, payloads in heard.items()},
            {
                "ada": [b"1", b"2", b"4", b"6"],
                "bob": [b"1", b"2", b"3", b"4"],
                "eve": [b"1", b"3", b"6"],
            },
        )

    def test_unreliable_messages_arrive_both_ways(self) -> None:
        world = World(self, messages=(Move,))
        client = world.join("ada", messages=(Move,))
        player = world.server.players["ada"]
        for payload in (b"x", Move(1.0, 1.0), bytes(MAX_UNRELIABLE_BYTES)):
            client.verbs.send_unreliable(payload)
            world.server.verbs.send_unreliable(player, payload)
        world.settle()
        for end in (client, world.server):
            self.assertEqual(
                [event.payload for event in end.of(Unreliable)],
                [b"x", Move(1.0, 1.0), bytes(MAX_UNRELIABLE_BYTES)],
            )

    def test_a_game_faster_than_its_reactor_loses_the_oldest_unreliable_ones_counted(self) -> None:
        world = World(self, bridged=True, bridge_events=100, unreliable_messages=64)
        client = world.join("ada", bridge_events=100)
        player = world.server.players["ada"]
        for number in range(300):
            payload = number.to_bytes(2, "big")
            world.server.verbs.send_unreliable(player, payload)
            client.verbs.send_unreliable(payload)
        world.take()
        for end in (client, world.server):
            numbers = [int.from_bytes(event.payload, "big") for event in end.of(Unreliable)]
            self.assertEqual(numbers, list(range(300 - 64, 300)))
            self.assertEqual(end.counters.drop_send_unreliable, 300 - 64)

    @settings(max_examples=40)
    @given(
        st.lists(
            st.tuples(st.booleans(), st.binary(max_size=2_000), st.integers(0, 255)), max_size=80
        )
    )
    def test_reliable_messages_arrive_once_and_in_order_both_ways(
        self, said: list[tuple[bool, bytes, int]]
    ) -> None:
        world = World(self, window_messages=8)
        client = world.join("ada")
        player = world.server.players["ada"]
        for from_client, payload, channel in said:
            if from_client:
                client.verbs.send(payload, channel)
            else:
                world.server.verbs.send(player, payload, channel)
        world.run(2.0)
        for end, from_client in ((world.server, True), (client, False)):
            self.assertEqual(
                [(event.payload, event.channel) for event in end.of(Received)],
                [(payload, channel) for who, payload, channel in said if who is from_client],
            )
        world.close()


class WindowTests(SynchronousTestCase):
    """Back-pressure: what the peer's game has not taken is not sent over and over."""

    def written(self, data: bytes, kind: int) -> list[bytes]:
        found = []
        while data:
            end = 4 + int.from_bytes(data[:4], "big")
            if data[4] == kind:
                found.append(data[4:end])
            data = data[end:]
        return found

    def test_a_peer_whose_game_takes_nothing_gets_256_messages_and_no_more(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        for _ in range(1_000):
            world.server.verbs.send(player, b"x")
        world.server.take()
        world.run(5.0)
        connection = world.server.host.connection_of(world.server.session_of("ada"))
        sent = self.written(connection.transport.written, Kind.DATA)
        self.assertEqual(len(sent), 256)
        world.play(2.0)
        self.assertEqual(len(client.of(Received)), 1_000)

    def test_the_window_counts_bytes_as_well(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        for _ in range(6):
            world.server.verbs.send(player, bytes(60_000))
        world.server.take()
        world.run(5.0)
        connection = world.server.host.connection_of(world.server.session_of("ada"))
        self.assertEqual(len(self.written(connection.transport.written, Kind.DATA)), 4)
        world.play(1.0)
        self.assertEqual(len(client.of(Received)), 6)

    def test_an_ack_means_that_the_game_took_it(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        assert client.transport is not None
        for _ in range(10):
            client.verbs.send(b"x")
        client.take()
        world.run(3.0)
        # They lie at the server's bridge, and nobody has taken them.
        written = client.transport.peer.written
        self.assertEqual(self.written(written, Kind.ACK), [])
        self.assertEqual(client.verbs.quality().queued_messages, 10)
        world.server.take()
        world.run(LONE_ACK_SECONDS + 2 * BEAT_SECONDS + 0.001)
        written = client.transport.peer.written
        self.assertEqual(self.written(written, Kind.ACK), [frames.encode_ack(10)])
        self.assertEqual(client.verbs.quality().queued_messages, 0)

    def test_an_ack_rides_with_what_leaves_anyway_and_is_not_written_twice(self) -> None:
        world = World(self)
        client = world.join("ada")
        assert client.transport is not None
        player = world.server.players["ada"]
        acks: list[list[bytes]] = []
        for pause in (0.0, RIDING_ACK_SECONDS + 0.01, LONE_ACK_SECONDS + 2 * BEAT_SECONDS):
            client.verbs.send(b"x")
            world.run(pause)
            world.server.verbs.send(player, b"y")
            world.settle()
            acks.append(self.written(client.transport.peer.written, Kind.ACK))
        # The first was so young that it went with the second.
        one, two = frames.encode_ack(2), frames.encode_ack(3)
        self.assertEqual(acks, [[], [one], [one, two]])
        world.run(1.0)
        self.assertEqual(self.written(client.transport.peer.written, Kind.ACK), [one, two])

    def test_few_acks_are_written_while_messages_come_all_the_time(self) -> None:
        world = World(self)
        client = world.join("ada")
        assert client.transport is not None
        player = world.server.players["ada"]
        before = len(self.written(client.transport.written, Kind.ACK))
        for _ in range(300):
            world.server.verbs.send(player, b"x")
            world.run(1 / 30)
        acks = len(self.written(client.transport.written, Kind.ACK)) - before
        self.assertGreaterEqual(acks, 10 / (LONE_ACK_SECONDS + 2 * BEAT_SECONDS))
        self.assertLessEqual(acks, 10 / LONE_ACK_SECONDS)

    def test_whoever_ends_it_says_first_what_its_game_has_taken(self) -> None:
        for at_server in (True, False):
            world = World(self, bridged=True)
            client = world.join("ada")
            player = world.server.players["ada"]
            world.play(1.0)
            client.verbs.send(b"to the server")
            world.server.verbs.send(player, b"to the client")
            world.server.take()
            client.take()
            world.settle()
            world.server.take()
            client.take()
            # Both have taken it just now, and neither end's reactor has noticed.
            if at_server:
                world.server.verbs.disconnect(player)
                world.server.take()
            else:
                client.host.leave()
            world.play(1.0)
            last = client.of(Disconnected)[0] if at_server else world.server.of(Left)[0]
            self.assertEqual((last.unacknowledged, last.unacknowledged_count), ((), 0), at_server)

    def test_half_a_window_taken_is_acknowledged_at_once(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        assert client.transport is not None
        for _ in range(200):
            client.verbs.send(b"x")
        client.take()
        world.settle()
        world.server.take()
        world.server.host.drain()
        world.settle()
        self.assertLessEqual(client.verbs.quality().queued_messages, 200 - 128)

    def test_chat_counts_in_the_window(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        for _ in range(300):
            world.server.verbs.say("hello")
        world.server.take()
        world.run(3.0)
        connection = world.server.host.connection_of(world.server.session_of("ada"))
        self.assertEqual(len(self.written(connection.transport.written, Kind.SAY)), 256)
        world.play(1.0)


class SlowTests(SynchronousTestCase):
    """A player who does not keep up."""

    def stuffed(self, count: int, **fields: Any) -> tuple[World, Player]:
        """A player who takes nothing, with *count* messages queued for it."""
        world = World(self, queue_messages=100, **fields)
        world.puppet("slow").confirm()
        world.join("ada")
        player = world.server.players["slow"]
        for _ in range(count):
            world.server.verbs.send(player, b"x")
        world.settle()
        return world, player

    def slow(self, world: World) -> list[Left]:
        return [event for event in world.server.of(Left) if event.player.name == "slow"]

    def alive(self, world: World, seconds: float) -> None:
        """Time passes while the slow one pings."""
        stranger = world.strangers[0]
        for _ in range(round(seconds * 10)):
            world.run(0.1)
            if stranger.transport.connected:
                stranger.say_frame(frames.encode_ping(Kind.PING, 1))

    def test_a_player_over_its_cap_for_10_s_is_cut(self) -> None:
        world, _ = self.stuffed(256 + 101)
        self.alive(world, 9.5)
        self.assertEqual(self.slow(world), [])
        self.alive(world, 2.0)
        (left,) = self.slow(world)
        self.assertEqual(left.reason, DisconnectReason.SLOW_CONSUMER)
        self.assertEqual((len(left.unacknowledged), left.unacknowledged_count), (357, 357))
        self.assertTrue(world.clients[0].joined)
        self.assertEqual(
            world.strangers[0].frames[-1][:2],
            bytes((Kind.BYE, DisconnectReason.SLOW_CONSUMER)),
        )

    def test_a_player_within_its_cap_is_left_alone(self) -> None:
        world, _ = self.stuffed(256 + 100)
        self.alive(world, 60.0)
        self.assertEqual(self.slow(world), [])

    def test_a_player_who_recovers_in_time_is_left_alone(self) -> None:
        world, _ = self.stuffed(256 + 101)
        self.alive(world, 9.0)
        world.strangers[0].say_frame(frames.encode_ack(50))
        self.alive(world, 30.0)
        self.assertEqual(self.slow(world), [])

    def test_a_player_at_twice_its_cap_is_cut_at_once(self) -> None:
        world, player = self.stuffed(2 * 356)
        self.assertEqual(self.slow(world), [])
        world.server.verbs.send(player, b"one more")
        world.settle()
        (left,) = self.slow(world)
        self.assertEqual(left.reason, DisconnectReason.SLOW_CONSUMER)
        before = world.server.verbs.stats()["verbs_for_gone"]
        world.server.verbs.send(player, b"and one more")
        self.assertEqual(world.server.verbs.stats()["verbs_for_gone"] - before, 1)

    def test_the_cap_counts_bytes_as_well(self) -> None:
        world = World(self, queue_bytes=65_600)
        world.puppet("slow").confirm()
        player = world.server.players["slow"]
        for _ in range(12):
            world.server.verbs.send(player, bytes(60_000))
        world.settle()
        (left,) = self.slow(world)
        self.assertEqual(left.reason, DisconnectReason.SLOW_CONSUMER)

    def test_a_broadcast_cuts_the_slow_one_and_reaches_the_others(self) -> None:
        world = World(self, bridged=True, queue_messages=100)
        world.puppet("slow").confirm()
        ada = world.join("ada")
        for number in range(800):
            world.server.verbs.broadcast(number.to_bytes(2, "big"))
            if number % 50 == 0:
                world.take()
        world.play(1.0)
        self.assertEqual(
            [event.reason for event in world.server.of(Left)], [DisconnectReason.SLOW_CONSUMER]
        )
        self.assertEqual(len(ada.of(Received)), 800)

    def test_on_full_raise_raises_instead_and_writable_follows(self) -> None:
        world, player = self.stuffed(356, on_full="raise")
        error = self.assertRaises(QueueFull, world.server.verbs.send, player, b"x")
        self.assertIn("slow", str(error))
        self.assertIn("Writable", str(error))
        self.assertRaises(QueueFull, world.server.verbs.broadcast, b"x")
        self.assertEqual(world.clients[0].of(Received), [], "a broadcast goes to all or none")
        self.alive(world, 30.0)
        self.assertEqual(self.slow(world), [])
        self.assertEqual(world.server.of(Writable), [])
        world.strangers[0].say_frame(frames.encode_ack(200))
        self.assertEqual([event.player for event in world.server.of(Writable)], [player])
        world.server.verbs.send(player, b"x")

    def test_a_slow_player_who_recovers_is_writable_again(self) -> None:
        world, player = self.stuffed(256 + 101)
        self.assertEqual(world.server.of(Writable), [])
        world.strangers[0].say_frame(frames.encode_ack(256))
        self.assertEqual([event.player for event in world.server.of(Writable)], [player])


class ChatTests(SynchronousTestCase):
    """Lines of text, by whom the server says."""

    def test_the_server_fills_in_the_author(self) -> None:
        world = World(self)
        ada = world.join("ada")
        ada.verbs.say("hello")
        world.settle()
        (line,) = world.server.of(Chat)
        self.assertIs(line.player, world.server.players["ada"])
        self.assertEqual((line.text, line.private), ("hello", False))

    def test_readers_see_the_author_the_server_named(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        players = world.server.players
        world.server.verbs.say("one", author=players["ada"])
        world.server.verbs.say("two")
        world.server.verbs.say("three", to=players["bob"], author=players["ada"])
        world.server.verbs.say("four", to=[players["bob"]])
        world.settle()
        self.assertEqual(
            [(event.player.name, event.text, event.private) for event in bob.of(Chat)],
            [
                ("ada", "one", False),
                ("", "two", False),
                ("ada", "three", True),
                ("", "four", False),
            ],
        )
        self.assertEqual([event.text for event in ada.of(Chat)], ["one", "two"])
        self.assertIs(ada.of(Chat)[0].player, ada.host.player, "oneself is oneself")
        self.assertIs(bob.of(Chat)[0].player, bob.of(Chat)[2].player, "one object for one author")
        self.assertIs(bob.of(Chat)[1].player, SERVER)

    def test_no_control_character_reaches_a_game_or_another_player(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        evil = "\x1b[31mred\x07\r\n\x9b2J\u202e\u2028end"
        ada.verbs.say(evil)
        world.server.verbs.say(evil)
        puppet = world.puppet().confirm()
        puppet.wire.say_frame(frames.encode_say(evil))
        world.settle()
        texts = [event.text for end in (bob, world.server) for event in end.of(Chat)]
        self.assertEqual(texts, ["[31mred2Jend"] * 3)

    def test_lines_that_nobody_could_read_are_the_callers_mistake(self) -> None:
        world = World(self)
        ada = world.join("ada")
        for text in ("", "  ", "\x1b", "\u200d", "x" * 501):
            self.assertRaises(ValueError, ada.verbs.say, text)
            self.assertRaises(ValueError, world.server.verbs.say, text)
        ada.verbs.say("x" * 500)
        ada.verbs.say("é" * 500)
        ada.verbs.say("\U0001f600" * 500)
        world.settle()
        self.assertEqual([len(event.text) for event in world.server.of(Chat)], [500] * 3)


class MistakeTests(SynchronousTestCase):
    """The caller's own mistakes raise at the call; a player just gone does not."""

    def verbs_about(self, world: World) -> list[Callable[[Any], Any]]:
        verbs = world.server.verbs
        return [
            lambda player: verbs.send(player, b"x"),
            lambda player: verbs.send_state(player, b"x"),
            lambda player: verbs.send_unreliable(player, b"x"),
            lambda player: verbs.say("x", to=player),
            lambda player: verbs.say("x", to=[player]),
            lambda player: verbs.broadcast(b"x", to=[player]),
            lambda player: verbs.broadcast(b"x", to=[player], reliable=False),
            lambda player: verbs.set_budget(player, 10_000),
            lambda player: verbs.disconnect(player),
        ]

    def test_a_player_of_no_server_or_of_another_one_is_unknown(self) -> None:
        world, other = World(self), World(self)
        world.join("ada")
        foreign = other.join("bob")
        strangers: list[Any] = [
            Player(1, "ada", ""),
            other.server.players["bob"],
            foreign.host.player,
            SERVER,
        ]
        for stranger in strangers:
            for verb in [*self.verbs_about(world), world.server.verbs.quality]:
                self.assertRaises(UnknownPlayer, verb, stranger)
        for nobody in (None, "ada", 1):
            for verb in (self.verbs_about(world)[0], world.server.verbs.quality):
                self.assertRaises(UnknownPlayer, verb, nobody)

    def test_a_player_who_just_left_is_a_counted_no_op(self) -> None:
        for taken in (False, True):
            world = World(self, bridged=True)
            client = world.join("ada")
            player = world.server.players["ada"]
            client.host.leave()
            world.settle()
            if taken:
                world.take()
            verbs = self.verbs_about(world)
            for verb in verbs:
                verb(player)
            world.take()
            stats = world.server.verbs.stats()
            self.assertEqual(stats["verbs_for_gone"] + stats["drop_verb_gone"], len(verbs))
            self.assertEqual(world.server.verbs.send_state(player, b"x"), 0)

    def test_what_the_reactor_had_not_come_to_when_a_player_left_is_given_back(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        player = world.server.players["ada"]
        world.server.verbs.send(player, b"one")
        world.server.verbs.broadcast(b"two")
        world.server.verbs.say("three")
        session = world.server.session_of("ada")
        world.server.host.connection_of(session).transport.abortConnection()
        world.network.clock.advance(0)
        self.assertEqual(len(world.server.host.registry), 0)
        # The game does not know yet, and goes on.
        world.server.verbs.send(player, b"four")
        world.take()
        (left,) = world.server.of(Left)
        self.assertEqual((left.unacknowledged, left.unacknowledged_count), ((b"one", b"two"), 3))
        stats = world.server.verbs.stats()
        self.assertEqual(stats["verbs_for_gone"] + stats["drop_verb_gone"], 1)

    def test_channels_are_0_to_255(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for channel in (-1, 256, 1_000):
            self.assertRaises(ValueError, client.verbs.send, b"x", channel)
            self.assertRaises(ValueError, world.server.verbs.send, player, b"x", channel)
            self.assertRaises(ValueError, world.server.verbs.broadcast, b"x", channel)

    def test_what_is_no_payload_is_named(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for payload, name in (("text", "str"), (None, "NoneType"), (5, "int"), ({}, "dict")):
            for send in (
                client.verbs.send,
                client.verbs.send_unreliable,
                lambda payload: world.server.verbs.send_state(player, payload),
                world.server.verbs.broadcast,
            ):
                error = self.assertRaises(LocalProtocolError, send, payload)
                self.assertIn(name, str(error))

    def test_a_message_that_was_not_declared_is_named(self) -> None:
        world = World(self, messages=(Move,))
        client = world.join("ada", messages=(Move,))
        error = self.assertRaises(ConfigError, client.verbs.send, Undeclared(1))
        self.assertIn("Undeclared", str(error))
        self.assertIn("messages", str(error))

    def test_a_message_out_of_its_own_bounds_raises_where_it_is_sent(self) -> None:
        world = World(self, messages=(Move,))
        client = world.join("ada", messages=(Move,))
        player = world.server.players["ada"]
        bad: Any = "not a number"
        for message in (Move(5.0, 0.0), Move(float("nan"), 0.0), Move(bad, 0.0)):
            for send in (
                client.verbs.send,
                client.verbs.send_unreliable,
                lambda message: world.server.verbs.send_state(player, message),
                world.server.verbs.broadcast,
            ):
                error = self.assertRaises(LocalProtocolError, send, message)
                self.assertIn("Move", str(error))
        world.settle()
        self.assertTrue(client.joined)
        self.assertEqual(world.server.of(Left), [])

    def test_too_large_says_how_large_and_what_to_do(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for send, limit, advice in (
            (client.verbs.send_unreliable, MAX_UNRELIABLE_BYTES, "send() it reliably"),
            (
                lambda data: world.server.verbs.send_unreliable(player, data),
                MAX_UNRELIABLE_BYTES,
                "send() it reliably",
            ),
            (
                lambda data: world.server.verbs.broadcast(data, reliable=False),
                MAX_UNRELIABLE_BYTES,
                "send() it reliably",
            ),
            (
                lambda data: world.server.verbs.send_state(player, data),
                MAX_STATE_BYTES,
                "only what is near",
            ),
        ):
            send(bytes(limit))
            error = self.assertRaises(MessageTooLarge, send, bytes(limit + 1))
            for part in (str(limit), str(limit + 1), advice):
                self.assertIn(part, str(error))
            self.assertIsInstance(error, LocalProtocolError)
            self.assertIsInstance(error, ValueError)

    def test_once_stop_has_returned_every_verb_is_a_mistake_and_not_before(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        server, player = world.server.verbs, world.server.players["ada"]
        verbs: list[Callable[[], Any]] = [
            *(lambda verb=verb: verb(player) for verb in self.verbs_about(world)),
            lambda: server.broadcast(b"x"),
            lambda: server.say("x"),
            lambda: server.post(1),
            lambda: client.verbs.send(b"x"),
            lambda: client.verbs.say("x"),
            lambda: client.verbs.send_unreliable(b"x"),
            lambda: client.verbs.send_input(1),
            lambda: client.verbs.post(1),
        ]
        world.close()
        for end in world.ends:
            assert end.bridge is not None
            end.bridge.closed, end.bridge.finished = True, False
        for verb in verbs:
            verb()
        for end in world.ends:
            assert end.bridge is not None
            end.bridge.finish()
        for verb in verbs:
            self.assertRaises(BridgeClosed, verb)
        server.stats()
        client.verbs.stats()

    def test_a_mistake_in_one_call_leaves_the_others_alone(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        world.server.verbs.send(player, b"before")
        self.assertRaises(MessageTooLarge, world.server.verbs.send, player, bytes(MAX + 1))
        world.server.verbs.send(player, b"after")
        world.settle()
        self.assertEqual([event.payload for event in client.of(Received)], [b"before", b"after"])


class WhoTests(SynchronousTestCase):
    """Who is there."""

    def test_players_are_found_by_id_and_by_name_without_regard_to_case(self) -> None:
        world = World(self)
        world.join("Ada")
        verbs = world.server.verbs
        player = world.server.players["Ada"]
        for wanted in ("Ada", "ada", "ADA", "\uff21da", player.id):
            self.assertIs(verbs.find(wanted), player, wanted)
        for nobody in ("bob", "", 99, 0):
            self.assertIsNone(verbs.find(nobody))

    def test_a_disconnected_player_reads_why_and_the_game_hears_of_it(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.verbs.disconnect(world.server.players["ada"], "no shouting")
        world.settle()
        self.assertEqual(
            (client.end().reason, client.end().text), (DisconnectReason.KICKED, "no shouting")
        )
        (left,) = world.server.of(Left)
        self.assertEqual((left.reason, left.text), (DisconnectReason.KICKED, "no shouting"))

    def test_a_long_text_is_cut_at_a_character(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.verbs.disconnect(world.server.players["ada"], "é" * 100)
        world.settle()
        self.assertEqual(client.end().text, "é" * 60)

    def test_a_budget_is_that_players_own(self) -> None:
        world = World(self, bridged=True, send_bytes_per_second=50_000)
        ada, bob = world.join("ada"), world.join("bob")
        verbs, players = world.server.verbs, world.server.players
        verbs.set_budget(players["ada"], 4_096)
        world.take()
        by_player = world.server.host.registry.by_player
        budgets = [by_player[players[name].id].budget.ceiling for name in ("ada", "bob")]
        self.assertEqual(budgets, [4_096, 50_000])
        dice = random.Random(1)
        for _ in range(20):
            for player in players.values():
                verbs.send_state(player, dice.randbytes(1_000))
            world.take()
            world.run(0.02)
        received = [client.counters.states_received for client in (ada, bob)]
        self.assertLess(received[0], 5)
        self.assertGreater(received[1], 15)

    def test_a_budget_too_small_is_the_callers_mistake(self) -> None:
        world = World(self)
        world.join("ada")
        player = world.server.players["ada"]
        for wrong in (4_095, 0, -1, float("nan")):
            error = self.assertRaises(ValueError, world.server.verbs.set_budget, player, wrong)
            self.assertIn("at least 4096 bytes a second", str(error))
        world.settle()
        self.assertEqual(world.server.host.registry.by_player[player.id].budget.ceiling, 65_536)

    def test_quality_of_a_player_who_left_is_unknown(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        client.host.leave()
        world.settle()
        self.assertEqual(world.server.verbs.quality(player).label, "unknown")
        self.assertEqual(world.server.verbs.stats()["verbs_for_gone"], 0)

    def test_once_it_is_stopped_quality_is_unknown_and_no_mistake(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        world.take()
        player = world.server.players["ada"]
        world.close()
        bridge = world.server.bridge
        assert bridge is not None
        bridge.finish()
        self.assertEqual(world.server.verbs.quality(player).label, "unknown")

    def test_the_statistics_hold_every_counter(self) -> None:
        world = World(self)
        world.join("ada")
        stats = world.server.verbs.stats()
        self.assertEqual(set(world.server.counters.snapshot()) - set(stats), set())
        self.assertEqual((stats["players"], stats["joins"]), (1, 1))


class ChaosTests(SynchronousTestCase):
    """The whole of the API against the worst of peers."""

    def every_verb(self, world: World) -> None:
        """What a busy game says in one tick, whoever is there."""
        verbs = world.server.verbs
        for player in list(verbs.players):
            verbs.send(player, b"reliable" * 100)
            verbs.send_state(player, b"state" * 100)
            verbs.send_unreliable(player, b"unreliable")
            verbs.say("to you", to=player)
            verbs.quality(player)
            verbs.set_budget(player, 30_000)
        verbs.broadcast(b"all", 3)
        verbs.broadcast(b"all", reliable=False)
        verbs.say("all", author=next(iter(verbs.players), None))
        verbs.post("note")
        verbs.find("ada")
        verbs.time()
        verbs.stats()
        verbs.flush()

    def test_a_server_whose_game_calls_every_verb_survives_a_peer_that_stops_reading_and_one_that_speaks_and_leaves_in_the_same_tick(  # noqa: E501
        self,
    ) -> None:
        world = World(self, bridged=True, queue_messages=50, tick_rate=50.0)
        ada = world.join("ada")
        deaf = world.puppet("deaf").confirm().bind()
        world.take()
        deaf.wire.transport.stop_reading()
        for number in range(300):
            # One comes, speaks and leaves within this tick, in one piece.
            hasty = world.puppet(f"hasty-{number}").confirm()
            hasty.wire.say_frame(
                frames.encode_say("bye"),
                frames.encode_data(False, 0, b"last"),
                frames.encode_bye(DisconnectReason.QUIT),
            )
            world.run(0.02)
            for tick in world.server.verbs.ticks(wait=False):
                world.server.events += tick.events
                self.every_verb(world)
                # And verbs about those who were there a moment ago.
                for player in list(world.server.players.values()):
                    world.server.verbs.send(player, b"are you there?")
            ada.take()
        reasons = {
            event.player.name.partition("-")[0]: event.reason
            for event in world.server.verbs.events() + world.server.events
            if isinstance(event, Left)
        }
        self.assertEqual(ada.of(Disconnected), [])
        self.assertGreater(len(ada.of(Received)), 500)
        self.assertEqual(reasons.get("deaf"), DisconnectReason.SLOW_CONSUMER)
        self.assertEqual(len(world.server.host.registry), 1)

    @settings(max_examples=15)
    @given(
        st.lists(
            st.sampled_from(["join", "say", "leave", "break", "deaf", "tick", "kick"]), max_size=40
        )
    )
    def test_whoever_comes_and_goes_each_joined_has_one_left(self, steps: list[str]) -> None:
        world = World(self, bridged=True, queue_messages=20)
        made = 0
        for step in steps:
            alive = [client for client in world.clients if client.transport.connected]
            if step == "join":
                made += 1
                world.client(f"p{made}")
                world.settle()
            elif step == "tick":
                world.take()
                self.every_verb(world)
            elif step == "kick":
                for player in list(world.server.verbs.players)[:1]:
                    world.server.verbs.disconnect(player)
            elif alive and step == "say":
                if alive[0].host.ever_joined:
                    alive[0].verbs.say("hello")
            elif alive and step == "leave":
                alive[0].host.leave()
            elif alive and step == "break":
                alive[0].transport.abortConnection()
            elif alive and step == "deaf":
                alive[0].transport.stop_reading()
        world.take()
        bridge = world.server.bridge
        world.close()
        self.assertIsNotNone(bridge)
        world.server.events += bridge.poll()
        joined = [event.player for event in world.server.events if type(event).__name__ == "Joined"]
        left = [event.player for event in world.server.events if isinstance(event, Left)]
        self.assertEqual(joined, list(dict.fromkeys(joined)))
        self.assertEqual(sorted(left, key=id), sorted(joined, key=id))


class BadNetworkTests(SynchronousTestCase):
    """Two games, a network with a mind of its own, and then a broken connection."""

    @settings(max_examples=60)
    @given(st.data())
    def test_nothing_is_lost_doubled_or_reordered_and_what_was_not_taken_is_handed_back(
        self, data: st.DataObject
    ) -> None:
        world = World(self, bridged=True, window_messages=6)
        fates = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=40))
        turn = [0]

        def treats(datagram: Datagram) -> list[Datagram]:
            turn[0] += 1
            fate = fates[turn[0] % len(fates)]
            if fate == 4:
                world.network.clock.callLater(0.07, world.network.deliver, datagram)
            return [datagram] * {0: 0, 5: 2, 4: 0}.get(fate, 1)

        client = world.client("ada")
        world.take()
        world.network.filter = treats
        sent: dict[str, list[bytes]] = {"ada": [], "server": []}
        inputs: list[int] = []
        newest = 0
        steps = st.sampled_from(["client", "server", "input", "state", "take", "pass"])
        for number, step in enumerate(data.draw(st.lists(steps, max_size=60))):
            payload = number.to_bytes(2, "big")
            player = world.server.players.get("ada")
            if step == "client":
                client.verbs.send(payload)
                sent["ada"].append(payload)
            elif step == "server" and player is not None:
                world.server.verbs.send(player, payload)
                sent["server"].append(payload)
            elif step == "input":
                world.run(0.01)
                if client.verbs.send_input(number & 7) > len(inputs):
                    inputs.append(number & 7)
            elif step == "state" and player is not None:
                world.server.verbs.send_state(player, payload)
            elif step == "take":
                world.server.take()
                client.take()
            world.run(data.draw(st.sampled_from([0.0, 0.01, 0.06])))
            state = client.verbs.take_state()
            if state is not None:
                self.assertGreater(state.number, newest)
                newest = state.number
        world.server.take()
        client.take()
        world.run(data.draw(st.sampled_from([0.0, 0.01, 0.2])))
        assert client.transport is not None
        client.transport.abortConnection()
        world.run(0.2)
        world.server.take()
        client.take()
        for end, mine, theirs in (
            (world.server, "server", "ada"),
            (client, "ada", "server"),
        ):
            taken = [event.payload for event in end.of(Received)]
            self.assertEqual(taken, sent[theirs][: len(taken)])
            kind = Left if end is world.server else Disconnected
            (ended,) = end.of(kind)
            left = list(ended.unacknowledged)
            self.assertEqual(ended.unacknowledged_count, len(left))
            # What is handed back is the end of what was said, and all that was not taken is in it.
            self.assertEqual(left, sent[mine][len(sent[mine]) - len(left) :])
            other = client if end is world.server else world.server
            untaken = len(sent[mine]) - len(other.of(Received))
            self.assertGreaterEqual(len(left), untaken)
        got = [(event.number, event.buttons, event.missing) for event in world.server.of(Input)]
        self.assertEqual(got, [(n, b, 0) for n, b in enumerate(inputs, 1)][: len(got)])
        world.close()

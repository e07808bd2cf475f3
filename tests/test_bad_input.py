"""
A stranger's bytes, and a player's worst: never an answer, one counter each, nobody else harmed.

Each attack is made while somebody else plays, whose inputs, chat and states must be as if nothing
had happened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ClientConfig
from gamenet.core import frames
from gamenet.core.inputs import encode_inputs
from gamenet.core.record import Schedule, Sealer
from gamenet.core.wire import (
    ACKS,
    HEADER,
    MAX_BODY_BYTES,
    MAX_DATAGRAM_BYTES,
    OVERHEAD_BYTES,
    PADDING,
    PREFIX,
    DatagramKind,
    MessageType,
)
from gamenet.errors import DisconnectReason
from gamenet.events import Chat, Disconnected, Input, Joined, Left, Received, Unreliable
from gamenet.messages import Message, Unit
from tests.core.strategies import damaged
from tests.fakes import PORT, RST, SERVER_ADDRESS, Stranger, StrangerFactory, framed
from tests.world import ClientEnd, Puppet, World, accept, hello

if TYPE_CHECKING:
    from gamenet.core.counters import Counters

ANY_ACCEPT = st.just(frames.encode_accept(accept()))
STRANGER = ("203.0.113.66", 6666)
HERE = (SERVER_ADDRESS, PORT)
UNREADABLE = (
    b"",
    b"\xc1",
    msgspec.msgpack.encode(["Nudge"]),
    msgspec.msgpack.encode(["Shove", 0.5]),
    msgspec.msgpack.encode(["Nudge", 1.5]),
    msgspec.msgpack.encode(["Nudge", float("nan")]),
    msgspec.msgpack.encode(["Nudge", 0.5, 1]),
    msgspec.msgpack.encode(["Nudge", 0.5]) + b"x",
    b"\x91" * 1_100,
)
"""Typed messages that are none."""
HEADERLESS = ACKS.pack(0xFFFF, 0)


class Nudge(Message):
    """What a game declares."""

    by: Unit


class Attacked(SynchronousTestCase):
    """Somebody plays while somebody else attacks."""

    def setUp(self) -> None:
        self.world = World(self, messages=(Nudge,))
        self.ada = self.world.join("ada")
        self.world.run(1.0)

    @property
    def counters(self) -> Counters:
        return self.world.server.counters

    def tearDown(self) -> None:
        """Ada notices nothing."""
        if self.world.closed:
            return
        world, ada = self.world, self.ada
        player = world.server.players["ada"]
        world.run(0.5)
        before = len(world.server.of(Input))
        ada.verbs.send_input(5)
        ada.verbs.say("still here")
        world.server.verbs.send_state(player, b"still there")
        world.settle()
        self.assertEqual(len(world.server.of(Input)), before + 1)
        self.assertEqual(world.server.of(Chat)[-1].text, "still here")
        self.assertEqual(ada.host.state.payload, b"still there")
        self.assertEqual(ada.verbs.quality().path, "udp")

    def check_silent(self, data: bytes, counter: str, source: tuple[str, int] = STRANGER) -> None:
        """*data* as a datagram is counted as *counter* and nothing else happens."""
        before = self.counters.snapshot()
        sent = len(self.world.network.datagrams)
        written = sum(len(each.written) for each in self.world.network.connections)
        events = len(self.world.server.events)
        self.world.network.inject(data, source, HERE)
        after = self.counters.snapshot()
        changed = {name for name in after if after[name] != before[name]}
        self.assertEqual(
            changed,
            {"datagrams_in", "bytes_in", counter} - {"bytes_in"}
            | ({"bytes_in"} if data else set()),
        )
        self.assertEqual(after[counter] - before[counter], 1)
        self.assertEqual(len(self.world.network.datagrams), sent)
        self.assertEqual(sum(len(each.written) for each in self.world.network.connections), written)
        self.assertEqual(len(self.world.server.events), events)


class StrangersDatagramTests(Attacked):
    """Datagrams of somebody who has no key."""

    def test_empty(self) -> None:
        self.check_silent(b"", "drop_datagram_short")

    def test_shorter_than_any_can_be(self) -> None:
        self.check_silent(bytes((PREFIX | 5,)) + bytes(OVERHEAD_BYTES - 2), "drop_datagram_short")

    def test_longer_than_allowed(self) -> None:
        self.check_silent(bytes(MAX_DATAGRAM_BYTES + 1), "drop_datagram_long")

    def test_of_another_protocol(self) -> None:
        for first in (0x00, 0x3F, 0x80, 0xFF):
            self.check_silent(bytes((first,)) + bytes(100), "drop_datagram_not_ours")

    def test_for_a_session_that_is_not(self) -> None:
        for kind in range(16):
            data = HEADER.pack(PREFIX | kind, 0xDEADBEEF, 0) + bytes(1175)
            self.check_silent(data, "drop_datagram_unknown_session")

    def test_forged_for_a_session_that_is(self) -> None:
        cid = self.world.server.session_of("ada").cid
        for kind in range(16):
            number = 1_000_000 + kind
            data = HEADER.pack(PREFIX | kind, cid, number) + bytes(1175)
            self.check_silent(data, "drop_datagram_forged")

    def test_forged_with_a_number_far_ahead_does_not_move_the_window(self) -> None:
        session = self.world.server.session_of("ada")
        highest = session.window.highest
        data = HEADER.pack(PREFIX | 5, session.cid, (highest + 2**30) & 0xFFFFFFFF) + bytes(40)
        self.check_silent(data, "drop_datagram_forged")
        self.assertEqual(session.window.highest, highest)

    def test_of_another_key_epoch(self) -> None:
        cid = self.world.server.session_of("ada").cid
        data = HEADER.pack(PREFIX | 0x10 | 5, cid, 1_000_000) + bytes(40)
        self.check_silent(data, "drop_datagram_epoch")

    def test_everything_that_was_ever_sent_replayed_from_elsewhere(self) -> None:
        recorded = [each for each in self.world.network.datagrams if each.target == HERE]
        self.assertGreater(len(recorded), 2)
        for datagram in recorded:
            self.check_silent(datagram.data, "drop_datagram_replayed")
        self.assertNotEqual(self.world.server.session_of("ada").path.address, STRANGER)

    def test_the_servers_own_datagrams_sent_back_to_it(self) -> None:
        recorded = [each for each in self.world.network.datagrams if each.source == HERE]
        for datagram in recorded:
            before = self.counters.snapshot()
            self.world.network.inject(datagram.data, STRANGER, HERE)
            lost = sum(self.counters.drops().values()) - sum(
                value for name, value in before.items() if name.startswith("drop_")
            )
            self.assertEqual(lost, 1)

    def test_every_single_bit_of_a_datagram_counts(self) -> None:
        self.ada.verbs.send_input(1)
        self.world.network.filter = lambda datagram: ()
        before = len(self.world.network.datagrams)
        self.ada.verbs.send_unreliable(b"secret")
        self.world.settle()
        self.world.network.filter = lambda datagram: (datagram,)
        data = self.world.network.datagrams[before].data
        sent = len(self.world.network.datagrams)
        for bit in range(len(data) * 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            self.world.network.inject(bytes(changed), STRANGER, HERE)
        self.assertEqual(self.world.server.of(Unreliable), [])
        self.assertEqual(len(self.world.network.datagrams), sent)
        for size in range(len(data)):
            self.world.network.inject(data[:size], STRANGER, HERE)
        self.assertEqual(self.world.server.of(Unreliable), [])
        self.assertEqual(len(self.world.network.datagrams), sent)

    def test_after_the_session_has_ended(self) -> None:
        mallory = self.world.puppet().confirm().bind()
        late = mallory.seal(DatagramKind.DATA, HEADERLESS)
        mallory.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.check_silent(late, "drop_datagram_unknown_session", mallory.address)

    @settings(max_examples=300)
    @given(
        st.one_of(
            st.binary(max_size=60),
            st.builds(
                lambda first, data: bytes((PREFIX | first,)) + data,
                st.integers(0, 63),
                st.binary(min_size=24, max_size=80),
            ),
        )
    )
    def test_any_bytes(self, data: bytes) -> None:
        sent = len(self.world.network.datagrams)
        events = len(self.world.server.events)
        self.world.network.inject(data, STRANGER, HERE)
        self.assertEqual(len(self.world.network.datagrams), sent)
        self.assertEqual(len(self.world.server.events), events)
        self.world.check_books()


class PlayersDatagramTests(Attacked):
    """Datagrams of somebody who has a key and breaks the rules under it."""

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm().bind()
        self.world.run(0.2)

    def check_dropped(self, kind: int, body: bytes, counter: str) -> None:
        before = getattr(self.counters, counter)
        events = len(self.world.server.events)
        self.mallory.send(kind, body)
        self.assertEqual(getattr(self.counters, counter) - before, 1, (kind, body))
        self.assertEqual(len(self.world.server.events), events)
        self.assertEqual(self.mallory.heard(), [])
        self.assertEqual(self.world.server.of(Left), [])

    def test_kinds_that_a_client_may_not_send(self) -> None:
        for kind in (0, 2, 4, 7, 8, 9, 10, 11, 12, 13, 14, 15):
            self.check_dropped(kind, bytes(MAX_BODY_BYTES), "drop_datagram_unexpected")

    def test_a_bind_that_is_not_padded(self) -> None:
        self.check_dropped(DatagramKind.BIND, PADDING[:-1], "drop_datagram_unexpected")
        self.check_dropped(DatagramKind.BIND, b"", "drop_datagram_unexpected")

    def test_a_response_that_nobody_asked_for(self) -> None:
        self.mallory.address = ("198.51.100.7", 1)
        self.check_dropped(DatagramKind.RESPONSE, bytes(8), "drop_datagram_unexpected")
        self.check_dropped(DatagramKind.RESPONSE, b"", "drop_datagram_unexpected")

    def test_a_ping_of_the_wrong_length(self) -> None:
        self.check_dropped(DatagramKind.PING, bytes(5), "drop_datagram_unexpected")

    def test_data_that_cannot_be_taken_apart(self) -> None:
        for body in (
            b"",
            bytes(5),
            HEADERLESS + b"\x04",  # a message without its length
            HEADERLESS + b"\x04\x00\x05abc",  # longer than the datagram
            HEADERLESS + b"\x04\x00\x01x",  # none is marked as the last
            HEADERLESS + b"\x04\x00\x00" * 16 + b"\x44",  # seventeen of them
        ):
            self.check_malformed(body)

    def check_malformed(self, body: bytes) -> None:
        before = self.counters.drop_datagram_malformed
        self.mallory.send(DatagramKind.DATA, body)
        self.assertEqual(self.counters.drop_datagram_malformed - before, 1, body[:30])
        self.assertEqual(self.mallory.heard(), [])
        self.assertEqual(self.world.server.of(Left), [])

    def test_messages_that_only_a_server_sends(self) -> None:
        for kind in (MessageType.STATE, MessageType.INPUT_ACK, MessageType.FRAGMENT, 0, 7, 63):
            self.check_malformed(HEADERLESS + bytes((kind | 0x40,)) + bytes(17))

    def test_inputs_of_another_width_or_with_impossible_numbers(self) -> None:
        for inputs in (
            encode_inputs(1, 0, [1], 8),
            encode_inputs(1, 0, [1], 16)[:-1],
            encode_inputs(1, 0, [1], 16) + b"\x00",
            encode_inputs(1, 0, [1, 1], 16),  # two of them, the newest being the first
            encode_inputs(0, 0, [1], 16),
            b"",
        ):
            self.check_malformed(HEADERLESS + bytes((MessageType.INPUT | 0x40,)) + inputs)
        self.assertEqual(self.world.server.of(Input), [])

    def test_a_typed_message_that_cannot_be_read(self) -> None:
        for data in UNREADABLE:
            self.check_malformed(HEADERLESS + bytes((MessageType.UNRELIABLE | 0xC0,)) + data)

    def test_an_ack_of_what_was_never_sent(self) -> None:
        before = self.counters.acks_of_unsent
        self.mallory.send(DatagramKind.DATA, ACKS.pack(0x7FFF, 0xFFFFFFFF))
        self.assertEqual(self.counters.acks_of_unsent - before, 1)

    def test_a_number_of_a_state_that_was_never_sent_is_not_believed(self) -> None:
        self.mallory.send_messages((MessageType.INPUT, encode_inputs(1, 4_000_000_000, [1], 16)))
        for event in self.world.server.of(Input):
            self.assertEqual(event.seen, 0)

    def test_a_jump_of_input_numbers_costs_one_event(self) -> None:
        self.mallory.send_messages((MessageType.INPUT, encode_inputs(0xFFFFFFFF, 0, [1], 16)))
        (event,) = self.world.server.of(Input)
        self.assertEqual((event.number, event.missing), (0xFFFFFFFF, 0xFFFFFFFE))

    def test_a_player_who_floods_is_bounded(self) -> None:
        world = World(self, bridge_events=100)
        mallory = world.puppet().confirm().bind()
        world.server.recorder.taking = False
        for _ in range(300):
            mallory.send_messages((MessageType.UNRELIABLE, b"flood"))
        self.assertLessEqual(world.server.host.sink.waiting_events, 100)
        self.assertGreaterEqual(world.server.counters.events_refused, 200)
        world.server.recorder.taking = True
        world.run(0.1)

    def test_inputs_faster_than_allowed_are_dropped_and_counted(self) -> None:
        world = World(self, max_input_hz=60, datagrams_burst=1_000)
        mallory = world.puppet().confirm().bind()
        for number in range(1, 601):
            mallory.send_messages((MessageType.INPUT, encode_inputs(number, 0, [number & 7], 16)))
        self.assertEqual(len(world.server.of(Input)), 120)
        self.assertEqual(world.server.counters.inputs_over_rate, 480)

    @settings(max_examples=300)
    @given(
        st.integers(0, 15),
        st.one_of(
            st.binary(max_size=80),
            st.binary(max_size=80).map(lambda data: HEADERLESS + data),
            damaged(st.just(HEADERLESS + b"\x42" + encode_inputs(3, 0, [1, 1, 2], 16))),
        ),
    )
    def test_any_body(self, kind: int, body: bytes) -> None:
        self.mallory.send(kind, body)
        self.world.check_books()
        self.assertEqual(self.world.server.of(Left), [])


class BeforeTheConfirmationTests(Attacked):
    """The game hears nothing of a player before ``Joined``."""

    def check_first_is_joined(self, mallory: Puppet) -> None:
        mine = [
            event
            for event in self.world.server.events
            if event.player.name == "mallory"  # every event has one
        ]
        if mine:
            self.assertIsInstance(mine[0], Joined)

    def test_data_before_the_confirmation_does_not_reach_the_game(self) -> None:
        mallory = self.world.puppet()
        for _ in range(3):
            mallory.send_messages(
                (MessageType.UNRELIABLE, b"early"),
                (MessageType.INPUT, encode_inputs(1, 0, [1], 16)),
            )
        self.check_first_is_joined(mallory)
        mallory.confirm()
        self.check_first_is_joined(mallory)
        self.assertIn("mallory", self.world.server.players)

    def test_a_bind_before_the_confirming_frame_confirms(self) -> None:
        mallory = self.world.puppet()
        mallory.bind()
        self.check_first_is_joined(mallory)
        self.assertIn("mallory", self.world.server.players)
        mallory.confirm()
        self.assertEqual(len([e for e in self.world.server.of(Joined)]), 2)

    def test_a_message_as_the_confirming_frame_comes_after_joined(self) -> None:
        mallory = self.world.puppet()
        mallory.wire.say_frame(frames.encode_data(False, 0, b"first"))
        self.assertEqual(
            [type(event) for event in self.world.server.events[-2:]], [Joined, Received]
        )

    def test_a_breach_as_the_confirming_frame_is_joined_and_left(self) -> None:
        mallory = self.world.puppet()
        mallory.wire.say_frame(frames.encode_ack(77))
        self.assertEqual([type(event) for event in self.world.server.events[-2:]], [Joined, Left])


class StrangersFrameTests(Attacked):
    """TCP before the join."""

    @settings(max_examples=200)
    @given(
        st.one_of(
            st.binary(max_size=200),
            st.binary(max_size=100).map(framed),
            damaged(st.just(framed(frames.encode_hello(hello("eve", game="x", auth=b"abc"))))),
            damaged(st.just(frames.encode_hello(hello("eve")))).map(framed),
        ),
        st.integers(1, 100),
    )
    def test_any_bytes(self, data: bytes, chunk: int) -> None:
        stranger = self.world.stranger()
        stranger.say(data, chunk=chunk)
        self.assertTrue(
            not stranger.heard or stranger.frames[0][0] in (frames.Kind.REFUSE, frames.Kind.ACCEPT),
            stranger.heard,
        )
        stranger.abort()
        self.world.check_books()
        self.assertEqual(list(self.world.server.host._unjoined), [])


class PlayersFrameTests(Attacked):
    """TCP of a joined player who breaks the rules."""

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm()

    def check_ends_as_bad_data(self, *data: bytes, silently: bool = False) -> None:
        self.mallory.wire.say_frame(*data)
        (left,) = self.world.server.of(Left)
        self.assertEqual(left.player.name, "mallory")
        self.assertEqual(left.reason, DisconnectReason.BAD_DATA)
        if silently:
            self.assertEqual(self.mallory.wire.ended, RST)
        else:
            self.assertEqual(
                self.mallory.wire.frames[-1], frames.encode_bye(DisconnectReason.BAD_DATA)
            )

    def test_more_messages_than_the_window_allows(self) -> None:
        self.world.server.recorder.taking = False
        for _ in range(2):
            for _ in range(128):
                self.mallory.wire.say_frame(frames.encode_data(False, 0, b"x"))
            self.world.run(2.0)
        self.assertTrue(self.mallory.wire.transport.connected)
        self.mallory.wire.say_frame(frames.encode_data(False, 0, b"x"))
        self.assertEqual(self.mallory.wire.frames[-1], frames.encode_bye(DisconnectReason.BAD_DATA))
        self.world.server.recorder.taking = True
        self.world.run(0.1)
        # What was within the window still reaches the game, before the end.
        self.assertEqual(len(self.world.server.of(Received)), 256)
        self.assertIsInstance(self.world.server.events[-1], Left)

    def test_more_bytes_than_the_window_allows(self) -> None:
        self.world.server.recorder.taking = False
        frame = frames.encode_data(False, 0, bytes(65_500))
        for _ in range(4):
            self.mallory.wire.say_frame(frame)
        self.assertTrue(self.mallory.wire.transport.connected)
        self.mallory.wire.say_frame(frame)
        self.assertEqual(self.mallory.wire.frames[-1], frames.encode_bye(DisconnectReason.BAD_DATA))
        self.world.server.recorder.taking = True
        self.world.run(0.1)

    def test_an_ack_of_messages_that_were_never_sent(self) -> None:
        self.check_ends_as_bad_data(frames.encode_ack(1))

    def test_an_ack_that_is_taken_back(self) -> None:
        player = self.world.server.players["mallory"]
        for _ in range(2):
            self.world.server.verbs.send(player, b"x")
        self.world.settle()
        self.check_ends_as_bad_data(frames.encode_ack(2), frames.encode_ack(1))

    def test_an_ack_of_the_wrong_length(self) -> None:
        self.check_ends_as_bad_data(frames.encode_ack(0) + b"x", silently=True)

    def test_a_message_with_unknown_flags(self) -> None:
        self.check_ends_as_bad_data(b"\x04\x02\x00x", silently=True)

    def test_a_typed_message_that_cannot_be_read(self) -> None:
        for data in UNREADABLE:
            self.mallory.wire.say_frame(frames.encode_data(True, 0, data))
            left = self.world.server.of(Left)[-1]
            self.assertEqual(left.reason, DisconnectReason.BAD_DATA, data)
            self.assertEqual(self.mallory.wire.ended, RST)
            self.mallory = self.world.puppet().confirm()
        self.assertEqual(self.world.server.of(Received), [])

    def test_chat_that_is_empty_too_long_or_not_text(self) -> None:
        for text in (b"", b"\x1b", b"   ", "é".encode() * 501, b"x" * 501, b"\xff"):
            world = World(self)
            mallory = world.puppet().confirm()
            mallory.wire.say_frame(bytes((frames.Kind.SAY,)) + text)
            (left,) = world.server.of(Left)
            self.assertEqual(left.reason, DisconnectReason.BAD_DATA, text)
            self.assertEqual(world.server.of(Chat), [])

    def test_the_text_of_a_bye_is_made_safe_for_whoever_reads_it(self) -> None:
        evil = bytes((frames.Kind.BYE, DisconnectReason.QUIT)) + b"\x1b]0;owned\x07bye\r\n\x9b"
        self.mallory.wire.say_frame(evil[:-1])
        (left,) = self.world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.QUIT)
        self.assertEqual(left.text, "]0;ownedbye")

    def test_many_pings_are_answered_without_hoarding(self) -> None:
        before = len(self.mallory.wire.heard)
        self.mallory.wire.say_frame(*[frames.encode_ping(frames.Kind.PING, 7)] * 5_000)
        answered = len(self.mallory.wire.heard) - before
        self.assertGreater(answered, 0)
        self.assertLess(answered, 500)

    @settings(max_examples=200)
    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=40),
                damaged(st.just(frames.encode_data(False, 1, b"hello"))),
                damaged(st.just(frames.encode_ack(0))),
                damaged(st.just(frames.encode_say("hello"))),
                damaged(st.just(frames.encode_bye(DisconnectReason.QUIT, "bye"))),
                damaged(st.just(frames.encode_ping(frames.Kind.PING, 5))),
            ),
            max_size=6,
        ),
        st.integers(1, 50),
    )
    def test_any_frames(self, sent: list[bytes], chunk: int) -> None:
        eve = self.world.puppet("eve").confirm()
        eve.wire.say(b"".join(map(framed, sent)), chunk=chunk)
        eve.wire.abort()
        self.world.settle()
        self.world.check_books()
        self.assertNotIn("eve", self.world.server.players)
        joined = [event for event in self.world.server.of(Joined) if event.player.name == "eve"]
        left = [event for event in self.world.server.of(Left) if event.player.name == "eve"]
        self.assertEqual(len(joined), len(left))


class HostileServerTests(SynchronousTestCase):
    """A client survives whatever calls itself a server."""

    WHERE = ("10.66.66.66", 1)

    def meet(self) -> tuple[ClientEnd, Stranger]:
        """A client that has said HELLO to a server which says what a test says."""
        world = World(self)
        factory = StrangerFactory()
        listening = world.machine().listenTCP(self.WHERE[1], factory, interface=self.WHERE[0])
        client = ClientEnd(world.machine(), ClientConfig(insecure=True), "ada", None, self.WHERE)
        listening.stopListening()
        world.clients.append(client)
        world.strangers += factory.made
        world.settle()
        return client, factory.made[0]

    def test_garbage_is_a_failed_join(self) -> None:
        client, server = self.meet()
        server.say(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA)
        self.assertEqual(server.ended, RST)

    def test_a_frame_that_is_no_answer_is_a_failed_join(self) -> None:
        for frame in (frames.encode_ack(0), frames.encode_say("hi"), b"", b"\x02"):
            client, server = self.meet()
            server.say_frame(frame)
            self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA, frame)

    def test_terms_out_of_range_are_a_failed_join(self) -> None:
        for fields in (
            {"suite": 9},
            {"input_bits": 0},
            {"input_bits": 65},
            {"window_messages": 0},
            {"window_bytes": 100},
            {"max_input_hz": 0},
            {"tick_rate_x100": 0},
            {"player_id": 0},
        ):
            client, server = self.meet()
            server.say_frame(frames.encode_accept(accept(**fields)))
            self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA, fields)

    def test_a_second_accept_ends_the_session(self) -> None:
        client, server = self.meet()
        server.say_frame(frames.encode_accept(accept()))
        self.assertTrue(client.joined)
        server.say_frame(frames.encode_accept(accept()))
        self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA)

    def test_more_messages_than_the_window_allows_end_the_session(self) -> None:
        client, server = self.meet()
        server.say_frame(frames.encode_accept(accept(window_messages=4)))
        client.recorder.taking = False
        server.say_frame(*[frames.encode_data(False, 0, b"x")] * 5)
        client.recorder.taking = True
        client.machine.network.run(0.1)
        self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA)
        self.assertEqual(len(client.of(Received)), 4)

    def test_names_and_texts_are_made_safe_for_whoever_reads_them(self) -> None:
        client, server = self.meet()
        server.say_frame(frames.encode_accept(accept(name="a\x1b[2Jda")))
        self.assertEqual(client.host.player.name, "a[2Jda")
        server.say_frame(
            frames.encode_said(9, "b\x1b[2Job", "\x1b[31mred\r\n\u202e", private=False)
        )
        (line,) = client.of(Chat)
        self.assertEqual((line.player.name, line.text), ("b[2Job", "[31mred"))
        server.say_frame(frames.encode_bye(DisconnectReason.KICKED, "\x1b]0;owned\x07"))
        self.assertEqual(client.end().text, "]0;owned")

    def test_datagrams_that_only_a_client_sends_are_dropped(self) -> None:
        client, server = self.meet()
        terms = accept()
        server.say_frame(frames.encode_accept(terms))
        _, to_client = Schedule(terms).directions()
        sealer = Sealer(to_client, terms.cid)
        network = client.machine.network
        (port,) = [each for each in network.udp.values() if each.machine is client.machine]
        where = port.where
        for kind in (DatagramKind.BIND, DatagramKind.RESPONSE, DatagramKind.PING, 0, 8, 15):
            before = client.counters.drop_datagram_unexpected
            network.inject(sealer.seal(kind, bytes(4)), self.WHERE, where)
            self.assertEqual(client.counters.drop_datagram_unexpected - before, 1, kind)
        for message in (MessageType.INPUT, MessageType.FRAGMENT):
            before = client.counters.drop_datagram_malformed
            body = HEADERLESS + bytes((message | 0x40,)) + bytes(20)
            network.inject(sealer.seal(DatagramKind.DATA, body), self.WHERE, where)
            self.assertEqual(client.counters.drop_datagram_malformed - before, 1, message)
        self.assertEqual(client.of(Disconnected), [])

    @settings(max_examples=150)
    @given(st.lists(st.one_of(st.binary(max_size=60), damaged(ANY_ACCEPT)), max_size=4))
    def test_any_frames(self, said: list[bytes]) -> None:
        client, server = self.meet()
        for frame in said:
            server.say_frame(frame)
        server.abort()
        client.machine.network.settle()
        client.end()

"""One session, both ends: what each kind of traffic does, and what a hostile peer cannot do."""

from __future__ import annotations

import random
import sys
from typing import TYPE_CHECKING

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.inputs import encode_inputs
from gamenet.core.record import HARD_STOP
from gamenet.core.session import ACK_DATAGRAMS, MAX_UNACKNOWLEDGED, Session
from gamenet.core.wire import (
    ACKS,
    CHALLENGE_BYTES,
    HEADER,
    HEADER_BYTES,
    INPUT_ACK,
    IS_LAST,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    MAX_STATE_BYTES,
    MAX_UNRELIABLE_BYTES,
    OVERHEAD_BYTES,
    PADDING,
    STATE,
    TIME_QUERY,
    TIME_REPLY,
    DatagramKind,
    MessageType,
    pack_messages,
)
from gamenet.errors import DisconnectReason
from gamenet.events import Chat, Input, PathChanged, Received, Unreliable, Writable
from gamenet.messages import Codec, Message, Unit
from tests.core.pair import (
    ADA,
    BAD,
    BEAT_SECONDS,
    CID,
    CLIENT_ADDRESS,
    PERFECT,
    SERVER_ADDRESS,
    STRANGER,
    Conditions,
    Pair,
)
from tests.core.strategies import hostile

if TYPE_CHECKING:
    from tests.core.pair import Side


class Move(Message):
    dx: Unit


MOVES = Codec([Move])


def body(pair: Pair, side: Side, *messages: tuple[int, bytes]) -> bytes:
    """A DATA body of *side* with true acks."""
    acks = ACKS.pack(*side.session.window.acks())
    return acks + (pack_messages(list(messages)) or [b""])[0]


def deliver(pair: Pair, sender: Side, *messages: tuple[int, bytes]) -> None:
    """Hand the other side a DATA datagram with *messages*, at once."""
    data = pair.sealed(sender, DatagramKind.DATA, body(pair, sender, *messages))
    source = CLIENT_ADDRESS if sender is pair.client else SERVER_ADDRESS
    pair.inject(pair.other(sender), data, source)


class BindingTests(SynchronousTestCase):
    """The UDP path comes about, and nothing else than a challenge answered makes it."""

    def test_four_datagrams_bind_both_sides(self) -> None:
        pair = Pair()
        pair.advance(0.2)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        self.assertTrue(pair.client_session.path.bound)
        for side in (pair.server, pair.client):
            self.assertEqual(
                [(event.path, event.reason) for event in side.of(PathChanged)], [("udp", "bound")]
            )
        self.assertEqual(
            [kind.name for kind in pair.kinds_sent(pair.client)][:2], ["BIND", "RESPONSE"]
        )
        self.assertEqual(
            [kind.name for kind in pair.kinds_sent(pair.server)][:2], ["CHALLENGE", "BOUND"]
        )

    def test_it_comes_about_through_a_bad_network_and_is_told_once(self) -> None:
        for seed in range(20):
            pair = Pair(seed, BAD)
            pair.advance(120.0)
            self.assertTrue(pair.client_session.path.bound, seed)
            for side in (pair.server, pair.client):
                self.assertEqual(len(side.of(PathChanged)), 1)
                self.assertEqual(side.unaccounted(), 0)

    def test_a_client_tries_at_its_times_give_or_take_a_beat(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        times = []
        for step in range(1, 801):
            before = len(pair.wire)
            pair.advance(0.01)
            times += [step / 100] * (len(pair.wire) - before)
        self.assertLessEqual(times[0], BEAT_SECONDS)
        for wanted, sent in zip((0.0, 0.25, 0.5, 1.0, 2.0, 4.0), times, strict=True):
            late = sent - times[0] - wanted
            self.assertTrue(-0.001 <= late <= 2 * BEAT_SECONDS + 0.02, (wanted, times))

    def test_the_address_is_the_one_that_datagrams_come_from(self) -> None:
        pair = Pair()
        pair.client_address = ("203.0.113.9", 61_234)
        pair.advance(0.5)
        self.assertEqual(pair.server_session.path.address, ("203.0.113.9", 61_234))
        self.assertTrue(pair.client_session.path.bound)

    def test_nothing_unreliable_is_sent_before(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        for number in range(30):
            pair.send_input(number)
            pair.send_state(b"state")
            pair.send_unreliable(pair.server, b"x")
            pair.send_unreliable(pair.client, b"x")
            pair.advance(0.1)
        self.assertEqual(set(pair.kinds_sent(pair.client)), {DatagramKind.BIND})
        self.assertEqual(pair.kinds_sent(pair.server), [])

    def test_what_waited_goes_once_it_is_there(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        for number in range(5):
            pair.send_input(number)
            pair.send_state(b"state %d" % number)
        pair.send_unreliable(pair.server, b"down")
        pair.send_unreliable(pair.client, b"up")
        pair.advance(1.0)
        pair.conditions = PERFECT
        pair.advance(2.0)
        self.assertEqual([event.number for event in pair.server.of(Input)], [1, 2, 3, 4, 5])
        self.assertEqual([state.payload for state in pair.states], [b"state 4"])
        self.assertEqual([event.payload for event in pair.client.of(Unreliable)], [b"down"])
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"up"])

    def test_a_lost_bound_is_made_up_for_by_data(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        pair.inject(pair.server, pair.sealed(pair.client, 1, PADDING), CLIENT_ADDRESS)
        challenge = pair.server_session.path._challenge
        pair.inject(pair.server, pair.sealed(pair.client, 3, challenge), CLIENT_ADDRESS)
        self.assertFalse(pair.client_session.path.bound)
        pair.conditions = PERFECT
        pair.send_state(b"state")
        pair.advance(0.1)
        self.assertTrue(pair.client_session.path.bound)
        self.assertEqual(len(pair.client.of(PathChanged)), 1)

    def test_an_authentic_bind_from_elsewhere_moves_nothing_by_itself(self) -> None:
        # Somebody on the path took a BIND of the client and sent it from another address.
        pair = Pair()
        pair.bind()
        stolen = pair.sealed(pair.client, 1, PADDING)
        pair.inject(pair.server, stolen, STRANGER)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        data, address = pair.strays[-1]
        self.assertEqual((data[0] & 0x0F, address), (DatagramKind.CHALLENGE, STRANGER))
        self.assertLessEqual(len(data), len(stolen))
        pair.send_state(b"state")
        self.assertEqual(pair.wire[-1][2], CLIENT_ADDRESS)

    def test_control_datagrams_that_do_not_fit_are_counted(self) -> None:
        pair = Pair()
        pair.bind()
        before = pair.server.counters.drop_datagram_unexpected
        wrong = [
            (DatagramKind.BIND, b""),
            (DatagramKind.BIND, bytes(MAX_BODY_BYTES - 1)),
            (DatagramKind.CHALLENGE, PADDING),
            (DatagramKind.RESPONSE, b""),
            (DatagramKind.RESPONSE, bytes(CHALLENGE_BYTES + 1)),
            (DatagramKind.BOUND, b""),
            (DatagramKind.PING, b""),
            (DatagramKind.PING, b"12345"),
            (DatagramKind.PONG, b"1234"),
            (0, b""),
            *[(kind, b"x") for kind in range(8, 16)],
        ]
        sent = len(pair.wire)
        for kind, data in wrong:
            pair.inject(pair.server, pair.sealed(pair.client, kind, data), STRANGER)
        self.assertEqual(pair.server.counters.drop_datagram_unexpected - before, len(wrong))
        self.assertEqual(len(pair.wire), sent)

    def test_control_datagrams_that_do_not_fit_are_counted_by_the_client_too(self) -> None:
        wrong = [
            (DatagramKind.BIND, PADDING),
            (DatagramKind.CHALLENGE, b""),
            (DatagramKind.CHALLENGE, bytes(CHALLENGE_BYTES)),
            (DatagramKind.CHALLENGE, bytes(MAX_BODY_BYTES - 1)),
            (DatagramKind.RESPONSE, bytes(CHALLENGE_BYTES)),
            (DatagramKind.BOUND, b"x"),
            (DatagramKind.PING, b"1234"),
            (DatagramKind.PONG, b""),
            (DatagramKind.PONG, b"12345"),
            (0, b""),
            *[(kind, b"x") for kind in range(8, 16)],
        ]
        pair = Pair(conditions=Conditions(loss=1.0))
        for count, (kind, data) in enumerate(wrong, 1):
            pair.inject(pair.client, pair.sealed(pair.server, kind, data), SERVER_ADDRESS)
            self.assertEqual(pair.client.counters.drop_datagram_unexpected, count, kind)
        self.assertFalse(pair.client_session.path.bound)
        self.assertEqual(pair.wire, [])
        pair.inject(pair.client, pair.sealed(pair.server, DatagramKind.PONG, b"1234"))
        pair.inject(pair.client, pair.sealed(pair.server, DatagramKind.BOUND, b""))
        self.assertTrue(pair.client_session.path.bound)
        self.assertEqual(pair.client.counters.datagrams_delivered, 2)

    def test_only_the_bound_address_gets_a_pong(self) -> None:
        pair = Pair()
        pair.bind()
        for address, answers in ((STRANGER, 0), (CLIENT_ADDRESS, 1)):
            sent = len(pair.wire)
            pair.inject(pair.server, pair.sealed(pair.client, 6, b"1234"), address)
            self.assertEqual(len(pair.wire) - sent, answers)


class StrangerTests(SynchronousTestCase):
    """Bytes from nowhere: one counter each, never an answer, nobody else disturbed."""

    def assert_ignored(self, pair: Pair, side: Side, data: bytes, counter: str) -> None:
        before = side.counters.snapshot()
        events, wire, frames_sent = len(side.events), len(pair.wire), len(pair.frames)
        pair.inject(side, data)
        changed = {
            name: count - before[name]
            for name, count in side.counters.snapshot().items()
            if count != before[name] and name != "bytes_in"
        }
        self.assertEqual(changed, {"datagrams_in": 1, counter: 1})
        self.assertEqual(
            (len(side.events), len(pair.wire), len(pair.frames)), (events, wire, frames_sent)
        )

    def test_each_way_of_being_nobody_has_its_counter(self) -> None:
        pair = Pair()
        pair.bind()
        header = HEADER.pack(0x45, CID, 500)
        for side in (pair.server, pair.client):
            self.assert_ignored(pair, side, b"", "drop_datagram_short")
            self.assert_ignored(pair, side, bytes(OVERHEAD_BYTES - 1), "drop_datagram_short")
            self.assert_ignored(pair, side, header + bytes(1_192), "drop_datagram_long")
            for first in (0x05, 0x85, 0xC5):
                data = bytes((first,)) + header[1:] + bytes(16)
                self.assert_ignored(pair, side, data, "drop_datagram_not_ours")
            data = HEADER.pack(0x45, CID ^ 1, 0) + bytes(16)
            self.assert_ignored(pair, side, data, "drop_datagram_unknown_session")
            self.assert_ignored(pair, side, header + bytes(16), "drop_datagram_forged")
            for epoch in (1, 2, 3):
                data = HEADER.pack(0x45 | epoch << 4, CID, 500) + bytes(16)
                self.assert_ignored(pair, side, data, "drop_datagram_epoch")
            self.assertEqual(side.unaccounted(), 0)

    def test_a_replayed_datagram_brings_nothing(self) -> None:
        pair = Pair()
        pair.bind()
        for number in range(40):
            pair.send_input(number)
            pair.send_state(b"state")
            pair.send_unreliable(pair.client, b"up")
            pair.send_unreliable(pair.server, b"down")
            pair.advance(0.02)
        pair.advance(1.0)
        for sender, data, _ in list(pair.wire):
            self.assert_ignored(pair, pair.other(sender), data, "drop_datagram_replayed")

    def test_a_datagram_is_not_taken_by_the_side_that_made_it(self) -> None:
        pair = Pair()
        pair.bind()
        for side in (pair.server, pair.client):
            side.session.sealer.number = 500
            data = pair.sealed(side, DatagramKind.DATA, body(pair, side))
            self.assert_ignored(pair, side, data, "drop_datagram_forged")

    def test_a_forger_does_not_move_the_window(self) -> None:
        # Were numbers marked before the seal is checked, one forged datagram with a high number
        # would lock the player out.
        pair = Pair()
        pair.bind()
        before = pair.server_session.window.highest
        for low in (before + 1, before + 500, 0x7FFFFFFF, 0xFFFFFFFF, 0):
            pair.inject(pair.server, HEADER.pack(0x45, CID, low & 0xFFFFFFFF) + bytes(40))
        self.assertEqual(pair.server_session.window.highest, before)
        pair.send_input(5)
        pair.advance(0.1)
        self.assertEqual([event.buttons for event in pair.server.of(Input)], [5])

    @settings(max_examples=60)
    @given(st.integers(0, 2**32), st.lists(st.binary(max_size=1_300), max_size=10))
    def test_any_bytes_and_any_damage_are_ignored(self, seed: int, noise: list[bytes]) -> None:
        pair = Pair(seed)
        pair.bind()
        for number in range(3):
            pair.send_input(number)
            pair.send_state(b"state")
            pair.advance(0.03)
        pair.advance(0.5)
        dice = random.Random(seed)
        strange = list(noise)
        for _, data, _ in pair.wire:
            damaged = bytearray(data)
            damaged[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
            strange += [bytes(damaged), data[: dice.randrange(len(data))], data + b"\x00"]
        events = (len(pair.server.events), len(pair.client.events), len(pair.states))
        sent = len(pair.wire)
        for data in strange:
            pair.inject(pair.server, data)
            pair.inject(pair.client, data)
        self.assertEqual(
            (len(pair.server.events), len(pair.client.events), len(pair.states)), events
        )
        self.assertEqual(len(pair.wire), sent)
        self.assertEqual((pair.server.unaccounted(), pair.client.unaccounted()), (0, 0))


class HostilePeerTests(SynchronousTestCase):
    """A joined peer with the right keys that sends whatever it wants."""

    @settings(max_examples=300)
    @given(
        st.booleans(),
        st.integers(0, 15),
        st.one_of(
            st.binary(max_size=80),
            st.sampled_from((PADDING, bytes(CHALLENGE_BYTES), b"", b"1234")),
            st.builds(
                lambda ack, bits, messages: (
                    ACKS.pack(ack, bits) + (pack_messages(messages) or [b""])[0]
                ),
                st.integers(0, 0xFFFF),
                st.integers(0, 0xFFFFFFFF),
                st.lists(
                    st.tuples(
                        st.integers(0, 255).map(lambda kind: kind & ~IS_LAST),
                        st.one_of(
                            st.binary(max_size=30),
                            st.just(STATE.pack(1, 2, 3, 4, 0)),
                            st.just(encode_inputs(3, 0, [1, 1, 2], 16)),
                            st.just(INPUT_ACK.pack(0)),
                            st.just(TIME_QUERY.pack(1)),
                            st.just(TIME_REPLY.pack(1, 2, 3)),
                        ),
                    ),
                    max_size=16,
                ),
            ),
        ),
    )
    def test_no_datagram_raises_or_goes_uncounted(
        self, to_server: bool, kind: int, data: bytes
    ) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        side = pair.server if to_server else pair.client
        pair.inject(side, pair.sealed(pair.other(side), kind, data), CLIENT_ADDRESS)
        pair.advance(0.2)
        self.assertEqual((pair.server.unaccounted(), pair.client.unaccounted()), (0, 0))
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))
        # Still alive, both ways.
        pair.send_input(9)
        number = pair.send_state(b"alive") if not pair.states else 0
        pair.advance(0.2)
        if to_server and pair.server_session.inputs.settled > 1:
            return
        self.assertEqual(pair.server.of(Input)[-1].buttons, 9)
        if number:
            self.assertEqual(pair.states[-1].payload, b"alive")

    @settings(max_examples=300)
    @given(
        st.booleans(),
        st.one_of(
            st.binary(max_size=60),
            st.builds(lambda kind, rest: bytes((kind,)) + rest, st.integers(0, 14), st.binary()),
            hostile(st.just(frames.encode_data(True, 0, MOVES.encode(Move(0.5))))),
            hostile(st.just(frames.encode_said(3, "bob", "hi", private=False))),
        ),
    )
    def test_any_frame_is_taken_or_ends_the_session(self, to_server: bool, data: bytes) -> None:
        pair = Pair(codec=MOVES)
        side = pair.server if to_server else pair.client
        events = len(side.events)
        side.frame_came(data)
        if side.ended is not None:
            self.assertEqual((side.ended, len(side.events)), (DisconnectReason.BAD_DATA, events))
        else:
            self.assertIn(data[0], (Kind.DATA, Kind.SAY, Kind.ACK, Kind.PING, Kind.PONG))

    def test_messages_of_the_wrong_direction_are_dropped_and_counted(self) -> None:
        state = STATE.pack(1, 0, 0, 0, 0)
        inputs = encode_inputs(1, 0, [1], 16)
        up = [
            (MessageType.STATE, state),
            (MessageType.STATE | IS_MESSAGE, state),
            (MessageType.INPUT_ACK, INPUT_ACK.pack(0)),
            (MessageType.FRAGMENT, state + b"\x00\x02"),
            (MessageType.TIME, TIME_REPLY.pack(1, 2, 3)),
            (MessageType.INPUT | IS_MESSAGE, inputs),
            (0, b""),
            (7, b""),
            (63, b""),
        ]
        down = [
            (MessageType.INPUT, inputs),
            (MessageType.FRAGMENT, state + b"\x00\x02"),
            (MessageType.TIME, TIME_QUERY.pack(1)),
            (MessageType.INPUT_ACK | IS_MESSAGE, INPUT_ACK.pack(0)),
            (0, b""),
            (7, b""),
            (63, b""),
        ]
        pair = Pair()
        pair.bind()
        for sender, messages in ((pair.client, up), (pair.server, down)):
            receiver = pair.other(sender)
            for message in messages:
                before = receiver.counters.drop_datagram_malformed
                deliver(pair, sender, message)
                self.assertEqual(receiver.counters.drop_datagram_malformed, before + 1, message)
            self.assertIs(receiver.ended, None)
        self.assertEqual((pair.states, pair.server.of(Input)), ([], []))

    def test_an_ack_of_an_input_never_sent_is_dropped(self) -> None:
        pair = Pair()
        pair.bind()
        pair.send_input(3)
        deliver(pair, pair.server, (MessageType.INPUT_ACK, INPUT_ACK.pack(2)))
        self.assertEqual(pair.client.counters.drop_datagram_malformed, 1)
        self.assertEqual(list(pair.client_session.inputs.values), [3])

    def test_a_state_never_sent_cannot_have_been_seen(self) -> None:
        # Games look up the state that a player had seen; a lie must not reach them.
        pair = Pair()
        pair.bind()
        pair.send_state(b"one")
        pair.advance(0.1)
        for seen in (2, 0xFFFFFFFF):
            deliver(pair, pair.client, (MessageType.INPUT, encode_inputs(1, seen, [1], 16)))
        self.assertEqual(pair.server.counters.drop_datagram_malformed, 2)
        self.assertEqual(pair.server.of(Input), [])
        deliver(pair, pair.client, (MessageType.INPUT, encode_inputs(1, 1, [1], 16)))
        self.assertEqual([event.seen for event in pair.server.of(Input)], [1])

    def test_acks_of_unsent_datagrams_are_counted_and_the_rest_is_used(self) -> None:
        pair = Pair()
        pair.bind()
        data = ACKS.pack(9_999, 0xFFFFFFFF) + pack_messages([(MessageType.UNRELIABLE, b"x")])[0]
        pair.inject(pair.server, pair.sealed(pair.client, 5, data), CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.acks_of_unsent, 1)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"x"])

    def test_frames_of_another_phase_or_a_later_version_end_it(self) -> None:
        allowed = {Kind.DATA, Kind.SAY, Kind.ACK, Kind.PING, Kind.PONG}
        for kind in [0, *(set(Kind) - allowed), 13, 255]:
            for name in ("server", "client"):
                pair = Pair()
                side = getattr(pair, name)
                side.frame_came(bytes((kind,)) + bytes(20))
                self.assertIs(side.ended, DisconnectReason.BAD_DATA, (kind, name))
        pair = Pair()
        pair.server.frame_came(b"")
        self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)

    def test_more_than_the_window_ends_it(self) -> None:
        pair = Pair(window_messages=4)
        pair.server.takes = False
        for _ in range(4):
            pair.server.frame_came(frames.encode_data(False, 0, b"x"))
        self.assertIs(pair.server.ended, None)
        pair.server.frame_came(frames.encode_data(False, 0, b"x"))
        self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)

    def test_an_ack_of_more_than_was_sent_ends_it(self) -> None:
        pair = Pair()
        pair.server.frame_came(frames.encode_ack(1))
        self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)

    def test_pings_do_not_pile_up_answers(self) -> None:
        pair = Pair()

        def many() -> None:
            for number in range(1_000):
                pair.server_session.receive_frame(frames.encode_ping(Kind.PING, number), pair.now)

        pair.server.run(many)
        pongs = [data for side, data in pair.frames if side is pair.server]
        self.assertEqual(pongs, [frames.encode_ping(Kind.PONG, 999)])


class ReliableTests(SynchronousTestCase):
    """Reliable messages and chat."""

    def test_both_ways_in_order_through_a_bad_network(self) -> None:
        pair = Pair(3, BAD)
        for number in range(200):
            pair.send(pair.client, b"up %d" % number, number % 256)
            pair.send(pair.server, b"down %d" % number)
            pair.advance(0.01)
        pair.advance(2.0)
        self.assertEqual(
            [(event.payload, event.channel, event.player) for event in pair.server.of(Received)],
            [(b"up %d" % number, number, ADA) for number in range(200)],
        )
        self.assertEqual(
            [event.payload for event in pair.client.of(Received)],
            [b"down %d" % number for number in range(200)],
        )
        for session in (pair.server_session, pair.client_session):
            self.assertEqual((session.outgoing.messages, session.outgoing.size), (0, 0))
            self.assertEqual((session.seat.queued_messages, session.seat.queued_bytes), (0, 0))

    def test_a_game_that_does_not_take_is_not_acknowledged_for(self) -> None:
        pair = Pair(window_messages=8)
        pair.server.takes = False
        for number in range(20):
            pair.send(pair.client, b"%d" % number)
        pair.advance(3.0)
        self.assertEqual(len(pair.server.of(Received)), 8)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 0)
        self.assertEqual(pair.client_session.outgoing.waiting_messages, 12)
        pair.server.take(3)
        pair.advance(0.5)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 3)
        self.assertEqual(len(pair.server.of(Received)), 11)
        pair.server.takes = True
        pair.advance(1.0)
        self.assertEqual(
            [event.payload for event in pair.server.of(Received)],
            [b"%d" % number for number in range(20)],
        )
        self.assertIs(pair.server.ended, None)

    def test_a_full_queue_that_drains_is_told_once(self) -> None:
        pair = Pair(window_messages=4, queue_messages=4)
        pair.server.takes = False
        for _ in range(8):
            pair.send(pair.client, b"x")
        pair.client_session.seat.wants_room = True
        pair.advance(1.0)
        self.assertEqual(pair.client.of(Writable), [])
        pair.server.takes = True
        pair.advance(1.0)
        self.assertEqual(len(pair.client.of(Writable)), 1)

    def test_half_a_window_is_acknowledged_without_waiting_for_the_beat(self) -> None:
        pair = Pair(window_messages=8, frame_delay=0.001)
        pair.advance(0.001)
        for _ in range(4):
            pair.send(pair.client, b"x")
        pair.advance(0.01)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 4)

    def test_typed_messages(self) -> None:
        pair = Pair(codec=MOVES)
        pair.send(pair.client, MOVES.encode(Move(0.25)), message=True)
        pair.send(pair.client, MOVES.encode(Move(0.25)))
        pair.advance(0.2)
        self.assertEqual(
            [event.payload for event in pair.server.of(Received)],
            [Move(0.25), MOVES.encode(Move(0.25))],
        )

    def test_a_typed_message_that_lies_ends_the_session(self) -> None:
        for payload in (b"", b"\x00", msgspec.msgpack.encode(["Move", 7.0])):
            pair = Pair(codec=MOVES)
            pair.send(pair.client, payload, message=True)
            pair.advance(0.2)
            self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)
            self.assertEqual(pair.server.of(Received), [])

    def test_chat_gets_its_author_from_the_session(self) -> None:
        pair = Pair()
        pair.say("hello \u202eworld".replace("\u202e", ""))
        pair.said("welcome", private=True)
        pair.advance(0.2)
        (heard,) = pair.server.of(Chat)
        self.assertEqual((heard.player, heard.text, heard.private), (ADA, "hello world", False))
        (read,) = pair.client.of(Chat)
        self.assertEqual((read.player.id, read.text, read.private), (7, "welcome", True))

    def test_chat_is_cleaned_by_the_server_and_again_by_the_client(self) -> None:
        pair = Pair()
        pair.say("hi\x1b[2J\u202e!")
        pair.said("ho\x1b]0;owned\x07")
        pair.advance(0.2)
        self.assertEqual([event.text for event in pair.server.of(Chat)], ["hi[2J!"])
        self.assertEqual([event.text for event in pair.client.of(Chat)], ["ho]0;owned"])

    def test_chat_with_nothing_to_read_or_too_much_ends_the_session(self) -> None:
        for text in ("\x1b", "   ", "\u200d", "x" * 501):
            pair = Pair()
            pair.say(text)
            pair.advance(0.2)
            self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA, ascii(text))
            self.assertEqual(pair.server.of(Chat), [])

    def test_authors_are_one_object_each_and_not_remembered_without_end(self) -> None:
        pair = Pair()
        for number in range(1_500):
            frame = frames.encode_said(100 + number, f"p{number}", "hi", private=False)
            pair.client.frame_came(frame)
        pair.client.frame_came(frames.encode_said(1_599, "p1499", "again", private=False))
        pair.client.frame_came(frames.encode_said(0, "", "server", private=False))
        pair.client.frame_came(frames.encode_said(ADA.id, "ada", "me", private=False))
        chats = pair.client.of(Chat)
        self.assertIs(chats[-3].player, chats[-4].player)
        for author in (2_001, 2_002, 2_001):
            pair.client.frame_came(frames.encode_said(author, "p", "hi", private=False))
        first, _, second = pair.client.of(Chat)[-3:]
        self.assertIs(first.player, second.player)
        self.assertEqual(chats[-2].player.id, 0)
        self.assertIs(chats[-1].player, ADA)
        self.assertLessEqual(len(pair.client_session._authors), 1_024)

    def test_what_was_never_taken_is_handed_back(self) -> None:
        pair = Pair(codec=MOVES, window_messages=4)
        pair.client.takes = False
        for number in range(6):
            pair.send(pair.server, b"%d" % number)
        pair.send(pair.server, MOVES.encode(Move(0.5)), message=True)
        pair.said("chat")
        pair.advance(0.5)
        pair.client.take(3)
        pair.advance(0.5)
        payloads, count = pair.server_session.unacknowledged()
        self.assertEqual(pair.server_session.outgoing.acknowledged, 3)
        self.assertEqual(payloads, (b"3", b"4", b"5", Move(0.5)))
        self.assertEqual(count, 5)

    def test_no_more_than_1024_are_handed_back(self) -> None:
        pair = Pair()
        pair.client.takes = False
        for _ in range(MAX_UNACKNOWLEDGED + 100):
            pair.send(pair.server, b"x")
        payloads, count = pair.server_session.unacknowledged()
        self.assertEqual((len(payloads), count), (MAX_UNACKNOWLEDGED, MAX_UNACKNOWLEDGED + 100))

    def test_a_message_that_its_own_type_refuses_is_handed_back_as_bytes(self) -> None:
        # As after a change of the object between its check and its sending.
        pair = Pair(codec=MOVES)
        wrong = msgspec.msgpack.encode(["Move", 7.0])
        pair.send(pair.server, wrong, message=True)
        self.assertEqual(pair.server_session.unacknowledged(), ((wrong,), 1))

    def test_a_slow_consumer_is_given_its_time_then_cut(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        self.assertIs(pair.server.ended, None)
        pair.advance(3.0)
        self.assertIs(pair.server.ended, DisconnectReason.SLOW_CONSUMER)

    def test_one_that_recovers_is_not_cut(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        pair.client.takes = True
        pair.advance(0.2)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        self.assertIs(pair.server.ended, None)

    def test_far_beyond_the_queue_is_cut_at_the_next_look(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 21):
            pair.send(pair.server, b"x")
        pair.advance(1.1)
        self.assertIs(pair.server.ended, DisconnectReason.SLOW_CONSUMER)


class LowLatencyTests(SynchronousTestCase):
    """Inputs, states, unreliable messages."""

    def test_a_round_through_a_bad_network(self) -> None:
        for seed in range(5):
            pair = Pair(seed, BAD)
            pair.bind()
            for number in range(1, 241):
                pair.send_input(number & 0xFFFF)
                pair.send_state(b"%d" % number, taken=len(pair.server.of(Input)))
                pair.seen_state = pair.states[-1].number if pair.states else 0
                pair.advance(1 / 60)
            pair.conditions = PERFECT
            pair.send_state(b"241")
            pair.advance(2.0)
            inputs = pair.server.of(Input)
            self.assertEqual(
                [(event.number, event.buttons) for event in inputs],
                [(number, number) for number in range(1, 241)],
            )
            self.assertEqual(sum(event.missing for event in inputs), 0)
            seen = [event.seen for event in inputs]
            self.assertEqual(seen, sorted(seen))
            self.assertGreater(seen[-1], 200)
            numbers = [state.number for state in pair.states]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(numbers[-1], 241)
            self.assertTrue(all(state.payload == b"%d" % state.number for state in pair.states))
            self.assertEqual(pair.client_session.inputs.message(0), b"")

    def test_inputs_of_a_game_that_fell_silent_are_repeated_without_being_asked(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(2.0)
        pair.conditions = Conditions(loss=1.0)
        pair.send_input(7)
        for _ in range(10):
            sent = len(pair.wire)
            pair.advance(0.05 + BEAT_SECONDS + 0.001)
            self.assertGreater(len(pair.wire), sent)
        pair.conditions = PERFECT
        pair.advance(0.2)
        self.assertEqual([event.buttons for event in pair.server.of(Input)], [7])

    def test_several_messages_share_a_datagram(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        sent = len(pair.wire)

        def burst() -> None:
            for number in range(10):
                pair.server_session.queue_unreliable(0, b"%d" % number)
            pair.server_session.queue_state(1, b"state", 0, 1, 1, 0)

        pair.server.run(burst)
        self.assertEqual(len(pair.wire) - sent, 1)
        pair.advance(0.1)
        self.assertEqual(len(pair.client.of(Unreliable)), 10)
        self.assertEqual(len(pair.states), 1)

    @given(
        st.sets(st.integers(0, 50)),
        st.integers(0, 60),
        st.one_of(st.integers(0, 30), st.integers(1_130, MAX_STATE_BYTES)),
        st.sampled_from((0, IS_MESSAGE)),
        st.tuples(*[st.integers(0, 2**40)] * 2),
        st.booleans(),
    )
    def test_the_short_cut_of_the_usual_flush_writes_what_the_long_way_writes(
        self,
        lost: set[int],
        heard: int,
        size: int,
        flag: int,
        clocks: tuple[int, int],
        owed: bool,
    ) -> None:
        pairs = [Pair(8), Pair(8)]
        for pair in pairs:
            pair.bind()
            pair.send_input(5)
            pair.advance(0.5)
            session = pair.server_session
            start = session.window.highest + 1
            for number in range(heard):
                if number not in lost:
                    session.window.mark(start + number)
            session._input_ack_due = owed
            session.queue_state(9, bytes(size), flag, *clocks, 1)
        quick, plain = (pair.server_session for pair in pairs)
        self.assertEqual(quick.datagrams_to_send(1.0), Session.datagrams_to_send(plain, 1.0))
        for name in ("last_datagram_out", "datagrams_out", "bytes_out", "_acks_owed", "_acks_due"):
            self.assertEqual(getattr(quick, name), getattr(plain, name), name)
        self.assertEqual(quick.quality._sent, plain.quality._sent)
        self.assertEqual(quick._input_ack_due, plain._input_ack_due)
        self.assertEqual(quick.datagrams_to_send(1.0), [])

    def test_a_waiting_state_is_replaced_not_queued(self) -> None:
        pair = Pair()
        pair.bind()

        def burst() -> None:
            for number in range(1, 6):
                pair.server_session.queue_state(number, b"%d" % number, 0, number, number, 0)

        pair.server.run(burst)
        pair.advance(0.1)
        self.assertEqual([state.payload for state in pair.states], [b"5"])
        self.assertEqual(pair.server_session.states.replaced, 4)
        self.assertEqual(pair.server.counters.states_replaced, 4)

    def test_the_largest_of_each_fits(self) -> None:
        pair = Pair()
        pair.bind()
        pair.send_state(bytes(MAX_STATE_BYTES))
        pair.send_unreliable(pair.server, bytes(MAX_UNRELIABLE_BYTES))
        pair.send_unreliable(pair.client, bytes(MAX_UNRELIABLE_BYTES))
        pair.advance(0.5)
        self.assertEqual([len(state.payload) for state in pair.states], [MAX_STATE_BYTES])  # type: ignore[arg-type]
        for side in (pair.server, pair.client):
            (event,) = side.of(Unreliable)
            self.assertEqual(event.payload, bytes(MAX_UNRELIABLE_BYTES))
        self.assertLessEqual(max(len(data) for _, data, _ in pair.wire), 1_200)

    def test_the_oldest_unreliable_message_gives_way(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0), unreliable_messages=3)
        for number in range(5):
            pair.send_unreliable(pair.client, b"%d" % number)
        self.assertEqual(pair.client.counters.drop_send_unreliable, 2)
        pair.conditions = PERFECT
        pair.advance(1.0)
        self.assertEqual(
            [event.payload for event in pair.server.of(Unreliable)], [b"2", b"3", b"4"]
        )

    def test_typed_states_and_messages(self) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        pair.send_state(MOVES.encode(Move(0.5)), flag=IS_MESSAGE)
        pair.send_unreliable(pair.client, MOVES.encode(Move(-0.5)), message=True)
        pair.advance(0.2)
        self.assertEqual([state.payload for state in pair.states], [Move(0.5)])
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [Move(-0.5)])

    def test_a_typed_unreliable_message_that_lies_is_counted_and_forgotten(self) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        lie = msgspec.msgpack.encode(["Move", 7.0])
        pair.send_unreliable(pair.client, lie, message=True)
        pair.send_state(lie, flag=IS_MESSAGE)
        pair.advance(0.2)
        for side in (pair.server, pair.client):
            self.assertEqual(side.counters.drop_datagram_malformed, 1)
            self.assertIs(side.ended, None)
        self.assertEqual((pair.states, pair.server.of(Unreliable)), ([], []))

    def test_what_a_full_bridge_refuses_is_counted_and_inputs_come_again(self) -> None:
        pair = Pair()
        pair.bind()
        pair.server.turn.room = 0
        pair.send_input(1)
        pair.send_input(2)
        pair.send_unreliable(pair.client, b"x")
        pair.send(pair.client, b"reliable")
        pair.advance(0.3)
        self.assertEqual((pair.server.of(Input), pair.server.of(Unreliable)), ([], []))
        self.assertGreater(pair.server.counters.events_refused, 1)
        self.assertEqual(len(pair.server.of(Received)), 1, "reliable messages have their room")
        pair.server.turn.room = 100
        pair.advance(0.3)
        self.assertEqual([event.buttons for event in pair.server.of(Input)], [1, 2])
        self.assertEqual(pair.client_session.inputs.message(0), b"")

    def test_inputs_beyond_the_allowed_rate_are_counted(self) -> None:
        pair = Pair(max_input_hz=10)
        pair.bind()
        for _ in range(100):
            pair.send_input(1)
            pair.advance(0.01)
        pair.advance(0.2)
        counters = pair.server.counters
        self.assertEqual(counters.inputs_emitted, len(pair.server.of(Input)))
        self.assertLessEqual(counters.inputs_emitted, 32)
        self.assertEqual(counters.inputs_emitted + counters.inputs_over_rate, 100)

    def test_the_clock_of_the_server_is_known_within_the_round_trip(self) -> None:
        pair = Pair(5, Conditions(loss=0.2, delay=0.04, spread=0.03))
        pair.bind()
        for _ in range(120):
            pair.send_state(b"state")
            pair.send_input(0)
            pair.advance(1 / 30)
        self.assertApproximates(pair.client_session.clock.time(pair.now), pair.now, 0.04)


class AckTests(SynchronousTestCase):
    """Acks ride along, are never late, and never keep each other alive."""

    def test_a_side_that_only_listens_acknowledges_after_50_ms_and_a_beat(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        pair.send_state(b"state")
        number = pair.server_session.sealer.number - 1
        pair.advance(0.02 + 0.05 + BEAT_SECONDS + 0.02 + 0.001)
        self.assertEqual(pair.server_session.quality._last_ack, number)

    def test_an_answer_that_carries_no_acks_does_not_put_them_off(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(2.0)
        deliver(pair, pair.client, (MessageType.UNRELIABLE, b"x"))
        number = pair.server_session.window.highest
        pair.advance(0.03)
        pair.inject(pair.server, pair.sealed(pair.client, 6, b"ping"), CLIENT_ADDRESS)
        pair.advance(0.05 + BEAT_SECONDS + 0.02 + 0.001)
        self.assertGreaterEqual(pair.client_session.quality._last_ack, number)

    def test_sixteen_datagrams_are_acknowledged_at_once(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        pair.advance(0.001)
        sent = len(pair.wire)
        for _ in range(ACK_DATAGRAMS):
            deliver(pair, pair.server, (MessageType.UNRELIABLE, b"x"))
        self.assertEqual(
            [(sender.name, len(data) <= 25 + 6 + 5) for sender, data, _ in pair.wire[sent:]],
            [("client", True)],
        )

    def test_two_silent_games_fall_silent(self) -> None:
        pair = Pair(ping_seconds=60.0, dead_seconds=200.0)
        pair.bind()
        pair.send_input(1)
        pair.send_state(b"state")
        pair.advance(2.0)
        sent = len(pair.wire), len(pair.frames)
        pair.advance(30.0)
        self.assertEqual((len(pair.wire), len(pair.frames)), sent)

    def test_an_ack_alone_asks_for_none_and_never_counts_as_lost(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        owed = pair.server_session._acks_owed
        data = pair.sealed(pair.client, DatagramKind.DATA, body(pair, pair.client))
        pair.inject(pair.server, data, CLIENT_ADDRESS)
        self.assertEqual(pair.server_session._acks_owed, owed)

    def test_losses_and_round_trips_are_those_of_the_network(self) -> None:
        pair = Pair(11, Conditions(loss=0.1, delay=0.05))
        pair.bind()
        for _ in range(60 * 60):
            pair.send_input(1)
            pair.send_state(b"state")
            pair.advance(1 / 60)
        for session in (pair.server_session, pair.client_session):
            quality = session.quality
            self.assertApproximates(quality.loss_in, 0.1, 0.06)
            self.assertApproximates(quality.loss_out, 0.1, 0.06)
            total = quality.lost / (quality.lost + quality.acked)
            self.assertApproximates(total, 0.1, 0.02)
        # The client knows how long its question waited; the server's samples hold up to a tick.
        self.assertApproximates(pair.client_session.quality.estimator.rtt, 0.1, 0.001)
        self.assertApproximates(pair.server_session.quality.estimator.rtt, 0.1, 0.02)
        self.assertEqual(pair.client_session.quality.label, "poor")


class LivenessTests(SynchronousTestCase):
    """Pings, and the end of who does not answer."""

    def test_an_idle_session_lives(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(300.0)
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))
        self.assertApproximates(pair.client_session.tcp_rtt, 0.04, 0.001)
        self.assertApproximates(pair.server_session.tcp_rtt, 0.04, 0.001)

    def test_the_udp_path_is_kept_open_in_silence(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        for _ in range(10):
            sent = len(pair.kinds_sent(pair.client))
            pair.advance(6.0)
            self.assertGreater(len(pair.kinds_sent(pair.client)), sent)

    def test_a_silent_peer_is_given_up_after_the_dead_time(self) -> None:
        pair = Pair()
        pair.advance(1.0)
        for side in (pair.server, pair.client):
            side.frame_came = lambda data: None  # type: ignore[method-assign]
        pair.advance(14.0)
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))
        pair.advance(1.1)
        self.assertEqual(
            (pair.server.ended, pair.client.ended),
            (DisconnectReason.TIMEOUT, DisconnectReason.TIMEOUT),
        )

    def test_an_answer_to_no_ping_is_no_measurement(self) -> None:
        pair = Pair()
        for number in (0, 1, 0xFFFFFFFF):
            pair.client.frame_came(frames.encode_ping(Kind.PONG, number))
        self.assertEqual((pair.client_session.tcp_rtt, pair.client.ended), (0.0, None))

    def test_a_key_that_is_used_up_stops_datagrams_and_nothing_else(self) -> None:
        pair = Pair()
        pair.bind()
        for side in (pair.server, pair.client):
            side.session.sealer.number = HARD_STOP
        sent = len(pair.wire)
        for number in range(400):
            pair.send_input(number)
            pair.send_state(b"state")
            # What one of them sealed before may still come, and asks for an answer.
            for side, kind, data in (
                (pair.client, DatagramKind.PING, b"1234"),
                (pair.server, DatagramKind.CHALLENGE, PADDING),
            ):
                sealer = side.session.sealer
                sealer.number = 100 + number
                late = sealer.seal(kind, data)
                sealer.number = HARD_STOP
                pair.inject(pair.other(side), late, CLIENT_ADDRESS)
            pair.advance(0.1)
        self.assertEqual(len(pair.wire), sent)
        self.assertGreater(pair.server.counters.drop_send_full, 0)
        for side in (pair.server, pair.client):
            self.assertLessEqual(len(side.session._control), 1)
        pair.send(pair.client, b"still here")
        pair.advance(1.0)
        self.assertEqual([event.payload for event in pair.server.of(Received)], [b"still here"])


class HotPathTests(SynchronousTestCase):
    """What one datagram costs, counted exactly."""

    def calls(self, pair: Pair, receiver: Side, message: tuple[int, bytes]) -> list[str]:
        """The Python functions that run from a received datagram to its event."""
        sender = pair.other(receiver)
        data = pair.sealed(sender, DatagramKind.DATA, body(pair, sender, message))
        first, _, low = HEADER.unpack_from(data)
        called: list[str] = []

        def profile(frame, event, argument):  # type: ignore[no-untyped-def]
            if event == "call":
                called.append(frame.f_code.co_name)

        receive = receiver.session.receive_datagram
        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            receive(data, CLIENT_ADDRESS, pair.now, first, low)
        finally:
            sys.setprofile(before)
        return called

    def test_at_most_five_calls_below_the_protocol(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        for number in (1, 2, 3):
            message = (int(MessageType.INPUT), encode_inputs(number, 0, [1] * number, 16))
            called = self.calls(pair, pair.server, message)
            self.assertLessEqual(len(called), 5, called)
        for side in (pair.server, pair.client):
            called = self.calls(pair, side, (int(MessageType.UNRELIABLE), b"x"))
            self.assertLessEqual(len(called), 5, called)
        pair.server.run(lambda: None)
        self.assertEqual(len(pair.server.of(Input)), 3)

    def test_a_header_is_nine_bytes(self) -> None:
        pair = Pair()
        pair.bind()
        for _, data, _ in pair.wire:
            self.assertEqual(HEADER.unpack_from(data)[1], CID)
            self.assertGreaterEqual(len(data), HEADER_BYTES + 16)

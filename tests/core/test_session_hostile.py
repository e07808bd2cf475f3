"""What strangers and hostile peers cannot do to a session."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.inputs import encode_inputs
from gamenet.core.wire import (
    ACKS,
    CHALLENGE_BYTES,
    HEADER,
    INPUT_ACK,
    IS_LAST,
    IS_MESSAGE,
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
from gamenet.events import Input, Unreliable
from tests.core.pair import CID, CLIENT_ADDRESS, MOVES, Move, Pair
from tests.core.strategies import hostile

if TYPE_CHECKING:
    from tests.core.pair import Side


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
            data = pair.sealed(side, DatagramKind.DATA, pair.body(side))
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
            self.assertIn(
                data[0], (Kind.DATA, Kind.SAY, Kind.ACK, Kind.PING, Kind.PONG, Kind.TUNNEL)
            )

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
                pair.deliver(sender, message)
                self.assertEqual(receiver.counters.drop_datagram_malformed, before + 1, message)
            self.assertIs(receiver.ended, None)
        self.assertEqual((pair.states, pair.server.of(Input)), ([], []))

    def test_an_ack_of_an_input_never_sent_is_dropped(self) -> None:
        pair = Pair()
        pair.bind()
        pair.send_input(3)
        pair.deliver(pair.server, (MessageType.INPUT_ACK, INPUT_ACK.pack(2)))
        self.assertEqual(pair.client.counters.drop_datagram_malformed, 1)
        self.assertEqual(list(pair.client_session.inputs.values), [3])

    def test_a_state_never_sent_cannot_have_been_seen(self) -> None:
        # Games look up the state that a player had seen; a lie must not reach them.
        pair = Pair()
        pair.bind()
        pair.send_state(b"one")
        pair.advance(0.1)
        for seen in (2, 0xFFFFFFFF):
            pair.deliver(pair.client, (MessageType.INPUT, encode_inputs(1, seen, [1], 16)))
        self.assertEqual(pair.server.counters.drop_datagram_malformed, 2)
        self.assertEqual(pair.server.of(Input), [])
        pair.deliver(pair.client, (MessageType.INPUT, encode_inputs(1, 1, [1], 16)))
        self.assertEqual([event.seen for event in pair.server.of(Input)], [1])

    def test_acks_of_unsent_datagrams_are_counted_and_the_rest_is_used(self) -> None:
        pair = Pair()
        pair.bind()
        data = ACKS.pack(9_999, 0xFFFFFFFF) + pack_messages([(MessageType.UNRELIABLE, b"x")])[0]
        pair.inject(pair.server, pair.sealed(pair.client, 5, data), CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.acks_of_unsent, 1)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"x"])

    def test_frames_of_another_phase_or_a_later_version_end_it(self) -> None:
        allowed = {Kind.DATA, Kind.SAY, Kind.ACK, Kind.PING, Kind.PONG, Kind.TUNNEL}
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

"""Inputs: each number once and in order, whatever the network does, and every gap reported."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import floor
from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.inputs import (
    INPUT,
    MAX_INPUTS,
    MAX_NUMBER,
    MAX_SPAN,
    NO_TICK,
    RATE_WINDOW_SECONDS,
    InputReceiver,
    InputSender,
    decode_inputs,
    encode_inputs,
)
from gamenet.core.wire import ACKS_BYTES, MAX_BODY_BYTES
from gamenet.errors import WireError
from tests.core.strategies import hostile, u32

AMPLE = 10_000
# The newest state that the sender of the inputs can have seen.
STATES = 99


@st.composite
def runs(draw: st.DrawFn) -> tuple[int, int, list[int], int]:
    """Arguments of ``encode_inputs``, with values that often stay the same."""
    bits = draw(st.integers(1, 64))
    value = st.integers(0, (1 << bits) - 1)
    palette = draw(st.lists(value, min_size=1, max_size=3))
    values = draw(st.lists(st.one_of(st.sampled_from(palette), value), min_size=1, max_size=120))
    newest = draw(st.integers(len(values), MAX_NUMBER))
    return newest, draw(u32), values, bits


@st.composite
def dues(draw: st.DrawFn, count: int) -> tuple[int, int]:
    """A due tick and a span that so many inputs may have."""
    if draw(st.booleans()):
        return 0, NO_TICK
    return draw(st.integers(0, 0xFFFF)), draw(st.integers(0, MAX_SPAN)) if count > 1 else 0


def message(newest: int, values: list[int], bits: int = 16, seen: int = 0) -> bytes:
    return encode_inputs(newest, seen, values, bits)


def due_of(place: int, count: int, due: int, span: int) -> int:
    """The low half of the tick that the value at *place* is meant for; -1 for none."""
    if span == NO_TICK:
        return -1
    back = Fraction(span * (count - 1 - place), max(count - 1, 1)) + Fraction(1, 2)
    return (due - floor(back)) % 0x10000


class EncodingTests(SynchronousTestCase):
    """The bit stream."""

    @settings(max_examples=200)
    @given(runs(), st.data())
    def test_what_is_encoded_is_decoded(
        self, run: tuple[int, int, list[int], int], data: st.DataObject
    ) -> None:
        newest, seen, values, bits = run
        due, span = data.draw(dues(len(values)))
        found = decode_inputs(encode_inputs(newest, seen, values, bits, due, span))
        self.assertEqual(found, (newest, seen, bits, values, due, span))

    @given(runs())
    def test_its_size_is_a_bit_for_a_tick_and_more_for_a_change(
        self, run: tuple[int, int, list[int], int]
    ) -> None:
        newest, seen, values, bits = run
        changes = sum(a != b for a, b in pairwise(values))
        length = bits + len(values) - 1 + bits * changes
        self.assertEqual(
            len(encode_inputs(newest, seen, values, bits)), INPUT.size + (length + 7) // 8
        )

    def test_the_worst_message_fits_a_datagram(self) -> None:
        values = [number % 2 * (2**64 - 1) for number in range(MAX_INPUTS)]
        data = encode_inputs(MAX_INPUTS, 0, values, 64)
        self.assertLessEqual(ACKS_BYTES + 1 + len(data), MAX_BODY_BYTES)

    def test_known_bits(self) -> None:
        # 4 bits: 0101, then same, then a change to 0110, then same; one bit of padding.
        data = encode_inputs(9, 2, [5, 5, 6, 6], 4)
        bits = bytes((0b0101_0_1_01, 0b10_0_00000))
        self.assertEqual(data, pack("!IIHBBB", 9, 2, 0, 255, 4, 4) + bits)
        data = encode_inputs(9, 2, [5, 5, 6, 6], 4, 0xABCD, 3)
        self.assertEqual(data, pack("!IIHBBB", 9, 2, 0xABCD, 3, 4, 4) + bits)

    @settings(max_examples=500)
    @given(
        st.one_of(
            hostile(runs().map(lambda run: encode_inputs(*run))),
            st.builds(
                lambda newest, count, bits, tail: (
                    pack("!IIHBBB", newest, 0, 0, NO_TICK, count, bits) + tail
                ),
                st.integers(0, 200),
                st.integers(0, 255),
                st.integers(0, 255),
                st.binary(max_size=40),
            ),
        )
    )
    def test_any_bytes_give_inputs_or_a_wire_error(self, data: bytes) -> None:
        try:
            newest, _, bits, values, due, span = decode_inputs(data)
        except WireError:
            return
        self.assertTrue(1 <= bits <= 64)
        self.assertTrue(1 <= len(values) <= min(newest, MAX_INPUTS))
        self.assertTrue(all(0 <= value < 1 << bits for value in values))
        # Ours is the shortest encoding of them, and pads with less than a byte.
        self.assertLessEqual(len(encode_inputs(newest, 0, values, bits)), len(data))
        self.assertTrue(due == 0 if span == NO_TICK else span == 0 or len(values) > 1)

    def test_a_stream_of_another_length_is_refused(self) -> None:
        data = encode_inputs(9, 2, [5, 5, 6, 6], 4)
        for wrong in (data[:-1], data + b"\x00", data[: INPUT.size], data[:-1] + b"\x81", b""):
            self.assertRaises(WireError, decode_inputs, wrong)

    def test_a_whole_byte_of_padding_is_one_too_many(self) -> None:
        for bits in range(1, 65):
            data = encode_inputs(9, 0, [1, 1, 0], bits)
            spare = len(data) * 8 - (INPUT.size * 8 + bits + 1 + 1 + bits)
            self.assertTrue(0 <= spare < 8)
            decode_inputs(data)
            self.assertRaises(WireError, decode_inputs, data + b"\x00")

    def test_counts_and_widths_out_of_range_are_refused(self) -> None:
        for newest, count, bits in (
            (9, 0, 4),
            (200, 121, 4),
            (200, 255, 4),
            (9, 1, 0),
            (9, 1, 65),
            (9, 1, 255),
            (3, 4, 4),
            (0, 1, 4),
        ):
            data = pack("!IIHBBB", newest, 0, 0, NO_TICK, count, bits) + bytes(200)
            self.assertRaises(WireError, decode_inputs, data)

    def test_ticks_that_cannot_be_are_refused(self) -> None:
        for values, due, span in (([1], 7, 1), ([1], 7, 254), ([1], 1, 255), ([1, 2], 1, 255)):
            data = encode_inputs(9, 0, values, 16, due, span)
            self.assertRaises(WireError, decode_inputs, data)
            receiver = InputReceiver(16, 120)
            self.assertRaises(WireError, receiver.receive, data, 0.0, AMPLE, STATES)
            self.assertEqual(receiver.settled, 0)


class DeliveryTests(SynchronousTestCase):
    """A sender and a receiver with a bad network between them."""

    @settings(max_examples=200)
    @given(
        st.lists(
            st.one_of(
                st.integers(0, 3).map(lambda buttons: ("put", buttons)),
                st.integers(0, 3).map(lambda buttons: ("put", buttons)),
                st.integers(1, 70).map(lambda count: ("stall", count)),
                st.integers(0, 30).map(lambda place: ("deliver", place)),
                st.integers(0, 30).map(lambda place: ("again", place)),
                st.integers(0, 30).map(lambda place: ("lose", place)),
                st.integers(0, 30).map(lambda place: ("ack", place)),
                st.integers(0, 5).map(lambda room: ("room", room)),
            ),
            max_size=60,
        )
    )
    def test_each_number_once_in_order_and_every_gap_told(
        self, steps: list[tuple[str, int]]
    ) -> None:
        sender, receiver = InputSender(2), InputReceiver(2, 65_535)
        sent: dict[int, int] = {}
        flying: list[bytes] = []
        acks: list[int] = []
        room = AMPLE
        last = 0
        now = 0.0

        def put(buttons: int) -> None:
            number = sender.newest + 1
            sender.put(number, buttons)
            sent[number] = buttons

        def deliver(data: bytes) -> None:
            nonlocal last
            newest = decode_inputs(data)[0]
            for number, buttons, missing, _ in receiver.receive(data, now, room, STATES):
                self.assertEqual(number - missing - 1, last, "a gap was not told exactly")
                self.assertEqual(buttons, sent[number])
                if missing:
                    # Only what the sender had given up may be missing.
                    self.assertGreaterEqual(newest - (number - 1), MAX_INPUTS)
                last = number
            self.assertEqual(receiver.settled, last)
            acks.append(receiver.settled)

        for what, value in steps:
            now += 0.01
            if what == "put":
                put(value)
                flying.append(sender.message(0))
            elif what == "stall":
                for count in range(value):
                    put(count % 4)
            elif what == "room":
                room = value or AMPLE
            elif what == "ack":
                if acks:
                    self.assertTrue(sender.acknowledge(acks[value % len(acks)]))
            elif flying:
                data = flying[value % len(flying)]
                if what != "again":
                    flying.remove(data)
                if what != "lose":
                    deliver(data)
            self.assertLessEqual(len(sender.values), MAX_INPUTS)
            self.assertEqual(len(sender.values), sender.newest - self.oldest(sender) + 1)

        # Once the network is good, all that was not given up arrives, and nothing stays behind.
        room = AMPLE
        if sender.values:
            deliver(sender.message(0))
        self.assertTrue(sender.acknowledge(receiver.settled))
        self.assertEqual(receiver.settled, sender.newest)
        self.assertEqual((len(sender.values), sender.message(0)), (0, b""))

    @staticmethod
    def oldest(sender: InputSender) -> int:
        return max(sender.acknowledged, sender.newest - MAX_INPUTS) + 1

    def test_a_lost_datagram_costs_nothing(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 120)
        for number in range(1, 6):
            sender.put(number, number * 10)
        self.assertEqual(
            receiver.receive(sender.message(0), 0.0, AMPLE, STATES),
            [(number, number * 10, 0, -1) for number in range(1, 6)],
        )

    def test_older_than_120_are_given_up_and_told(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 65_535)
        for number in range(1, MAX_INPUTS + 4):
            sender.put(number, 1)
        self.assertEqual(sender.given_up, 3)
        fresh = receiver.receive(sender.message(0), 0.0, AMPLE, STATES)
        self.assertEqual((fresh[0], len(fresh)), ((4, 1, 3, -1), MAX_INPUTS))
        self.assertTrue(all(missing == 0 for _, _, missing, _ in fresh[1:]))

    def test_what_does_not_fit_the_room_comes_again(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 120)
        for number in range(1, 6):
            sender.put(number, number)
        self.assertEqual(receiver.receive(sender.message(0), 0.0, 0, STATES), [])
        self.assertEqual(receiver.receive(sender.message(0), 0.0, -5, STATES), [])
        self.assertEqual(receiver.settled, 0)
        self.assertEqual(
            receiver.receive(sender.message(0), 0.0, 2, STATES), [(1, 1, 0, -1), (2, 2, 0, -1)]
        )
        self.assertEqual((receiver.settled, receiver.refused), (2, 3))
        self.assertEqual(
            [number for number, *_ in receiver.receive(sender.message(0), 0.0, AMPLE, STATES)],
            [3, 4, 5],
        )

    def test_an_old_message_brings_nothing(self) -> None:
        receiver = InputReceiver(16, 120)
        receiver.receive(message(5, [1] * 5), 0.0, AMPLE, STATES)
        for newest in range(1, 6):
            self.assertEqual(
                receiver.receive(message(newest, [9] * newest), 0.0, AMPLE, STATES), []
            )
        self.assertEqual(receiver.settled, 5)

    def test_another_width_than_agreed_is_refused(self) -> None:
        receiver = InputReceiver(16, 120)
        for bits in (1, 15, 17, 64):
            self.assertRaises(
                WireError, receiver.receive, message(1, [1], bits=bits), 0.0, AMPLE, STATES
            )
        self.assertEqual(receiver.settled, 0)

    def test_the_last_number_there_is(self) -> None:
        receiver = InputReceiver(16, 120)
        data = message(MAX_NUMBER, [1])
        self.assertEqual(
            receiver.receive(data, 0.0, AMPLE, STATES), [(MAX_NUMBER, 1, MAX_NUMBER - 1, -1)]
        )
        self.assertEqual(receiver.receive(data, 0.0, AMPLE, STATES), [])

    @settings(max_examples=300)
    @given(
        st.one_of(
            hostile(runs().map(lambda run: encode_inputs(*run))),
            st.builds(
                lambda newest, tail: pack("!IIHBBB", newest, 0, 0, NO_TICK, 1, 7) + tail,
                st.integers(0, 3),
                st.binary(min_size=1, max_size=2),
            ),
        ),
        st.integers(-1, 130),
        st.sampled_from((1, 2, 7, 8, 16, 64)),
    )
    def test_any_bytes_are_taken_exactly_as_they_are_decoded(
        self, data: bytes, room: int, bits: int
    ) -> None:
        receiver = InputReceiver(bits, 65_535)
        try:
            newest, _, width, values, due, span = decode_inputs(data)
        except WireError:
            width = -1
        if width != bits:
            self.assertRaises(WireError, receiver.receive, data, 0.0, room, MAX_NUMBER)
            self.assertEqual((receiver.settled, receiver.seen), (0, 0))
            return
        fresh = receiver.receive(data, 0.0, room, MAX_NUMBER)
        first = newest - len(values) + 1
        self.assertEqual(
            fresh,
            [
                (
                    first + place,
                    value,
                    0 if place else first - 1,
                    due_of(place, len(values), due, span),
                )
                for place, value in enumerate(values[: max(room, 0)])
            ],
        )
        self.assertEqual(receiver.settled, first - 1 + len(fresh) if fresh else 0)


class TickTests(SynchronousTestCase):
    """The ticks that inputs are meant for, on the wire."""

    def test_each_arrives_with_its_own(self) -> None:
        # Twice as many inputs as ticks, half as many, as many; over the end of 16 bits, too.
        for ticks in ([7, 7, 8, 8, 9, 9], [100, 102, 104], [70_000, 70_001], [65_534, 65_536], [5]):
            sender, receiver = InputSender(16), InputReceiver(16, 120)
            for number, tick in enumerate(ticks, 1):
                sender.put(number, 1, tick)
            fresh = receiver.receive(sender.message(0), 0.0, AMPLE, STATES)
            if len(ticks) == 6:
                # Evenly between the first and the last.
                self.assertEqual([low for *_, low in fresh], [7, 7, 8, 8, 9, 9])
            else:
                self.assertEqual([low for *_, low in fresh], [tick & 0xFFFF for tick in ticks])

    def test_those_before_the_tick_was_known_go_with_the_first_that_knows(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 120)
        sender.put(1, 1)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (0, NO_TICK))
        sender.put(2, 1, 9)
        fresh = receiver.receive(sender.message(0), 0.0, AMPLE, STATES)
        self.assertEqual([low for *_, low in fresh], [9, 9])

    def test_the_span_follows_what_is_acknowledged_and_given_up(self) -> None:
        sender = InputSender(16)
        for number in range(1, 11):
            sender.put(number, 1, 100 + number)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (110, 9))
        sender.acknowledge(4)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (110, 5))
        for number in range(11, 140):
            sender.put(number, 1, 100 + number)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (239, MAX_INPUTS - 1))

    def test_a_span_that_does_not_fit_is_as_long_as_can_be(self) -> None:
        sender = InputSender(16)
        sender.put(1, 1, 1)
        sender.put(2, 1, 1_000)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (1_000, MAX_SPAN))

    def test_where_ticks_are_numbered_anew_all_go_with_the_newest(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 120)
        for number, tick in enumerate((60_000, 60_001, 20_000), 1):
            sender.put(number, 1, tick)
        self.assertEqual(decode_inputs(sender.message(0))[4:], (20_000, 0))
        fresh = receiver.receive(sender.message(0), 0.0, AMPLE, STATES)
        self.assertEqual([low for *_, low in fresh], [20_000] * 3)


class AcknowledgeTests(SynchronousTestCase):
    """The sender and INPUT_ACK."""

    def test_a_full_ack_forgets_everything_and_keeps_the_count(self) -> None:
        sender = InputSender(16)
        for number in range(1, 11):
            sender.put(number, number)
        self.assertTrue(sender.acknowledge(10))
        self.assertEqual((list(sender.values), sender.newest), ([], 10))
        self.assertEqual(sender.message(0), b"")
        sender.put(11, 7)
        self.assertEqual(decode_inputs(sender.message(0)), (11, 0, 16, [7], 0, NO_TICK))

    def test_a_partial_ack_forgets_exactly_its_part(self) -> None:
        sender = InputSender(16)
        for number in range(1, 11):
            sender.put(number, number)
        self.assertEqual(decode_inputs(sender.message(0))[3], list(range(1, 11)))
        self.assertTrue(sender.acknowledge(4))
        self.assertEqual(
            decode_inputs(sender.message(0)), (10, 0, 16, [5, 6, 7, 8, 9, 10], 0, NO_TICK)
        )

    def test_an_old_ack_changes_nothing(self) -> None:
        sender = InputSender(16)
        for number in range(1, 11):
            sender.put(number, number)
        for number in (6, 6, 3, 0):
            self.assertTrue(sender.acknowledge(number))
            self.assertEqual(list(sender.values), [7, 8, 9, 10])

    def test_an_ack_of_what_was_never_sent_is_told_apart(self) -> None:
        sender = InputSender(16)
        self.assertFalse(sender.acknowledge(1))
        sender.put(1, 5)
        self.assertFalse(sender.acknowledge(2))
        self.assertFalse(sender.acknowledge(MAX_NUMBER))
        self.assertEqual((list(sender.values), sender.acknowledged), ([5], 0))

    def test_a_state_that_was_never_sent_cannot_be_seen(self) -> None:
        receiver = InputReceiver(16, 120)
        for seen in (STATES + 1, MAX_NUMBER):
            data = message(1, [1], seen=seen)
            self.assertRaises(WireError, receiver.receive, data, 0.0, AMPLE, STATES)
            self.assertEqual((receiver.seen, receiver.settled), (0, 0))
        receiver.receive(message(1, [1], seen=STATES), 0.0, AMPLE, STATES)
        self.assertEqual((receiver.seen, receiver.settled), (STATES, 1))

    def test_what_was_seen_goes_with_the_inputs(self) -> None:
        sender, receiver = InputSender(16), InputReceiver(16, 120)
        sender.put(1, 5)
        sender.message(0)
        self.assertEqual(decode_inputs(sender.message(33))[1], 33)
        receiver.receive(sender.message(33), 0.0, AMPLE, STATES)
        self.assertEqual(receiver.seen, 33)
        sender.put(2, 5)
        receiver.receive(sender.message(30), 0.0, AMPLE, STATES)
        self.assertEqual(receiver.seen, 33, "the newest seen state went backwards")


class RateTests(SynchronousTestCase):
    """More inputs than a clock can make."""

    def test_the_allowed_rate_passes_for_ever(self) -> None:
        receiver = InputReceiver(16, 60)
        for number in range(1, 3_000):
            fresh = receiver.receive(message(number, [1]), 100.0 + number / 60, AMPLE, STATES)
            self.assertEqual(len(fresh), 1, number)
        self.assertEqual(receiver.over_rate, 0)

    def test_twice_the_rate_is_cut_to_the_rate(self) -> None:
        receiver = InputReceiver(16, 60)
        seconds = 20
        emitted = sum(
            len(receiver.receive(message(number, [1]), number / 120, AMPLE, STATES))
            for number in range(1, 120 * seconds + 1)
        )
        most = 60 * (seconds + RATE_WINDOW_SECONDS)
        self.assertTrue(60 * seconds <= emitted <= most + 1, emitted)
        self.assertEqual(emitted + receiver.over_rate, 120 * seconds)

    def test_dropped_ones_are_settled_and_told_as_missing(self) -> None:
        receiver = InputReceiver(16, 10)
        fresh = receiver.receive(message(30, [1] * 30), 0.0, AMPLE, STATES)
        self.assertEqual([number for number, *_ in fresh], list(range(1, 21)))
        self.assertEqual((receiver.settled, receiver.over_rate), (30, 10))
        self.assertEqual(receiver.receive(message(31, [1]), 1.0, AMPLE, STATES), [(31, 1, 10, -1)])
        self.assertEqual(receiver.missing, 10)

    def test_a_burst_within_two_seconds_passes(self) -> None:
        receiver = InputReceiver(16, 60)
        self.assertEqual(len(receiver.receive(message(120, [1] * 120), 5.0, AMPLE, STATES)), 120)
        self.assertEqual(receiver.over_rate, 0)

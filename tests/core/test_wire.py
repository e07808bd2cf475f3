"""The messages inside a datagram: packed as few as fit, split with every length checked."""

from __future__ import annotations

from itertools import pairwise
from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    HEADER,
    HEADER_BYTES,
    IS_LAST,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGES,
    MAX_STATE_BYTES,
    MAX_UNRELIABLE_BYTES,
    OVERHEAD_BYTES,
    PADDING,
    SINGLE_STATE_BYTES,
    STATE,
    DatagramKind,
    MessageType,
    pack_messages,
    split_messages,
)
from gamenet.errors import WireError
from tests.core.strategies import hostile

NO_ACKS = ACKS.pack(0xFFFF, 0)

types = st.builds(
    lambda kind, flag: kind | flag, st.integers(0, 0x3F), st.sampled_from((0, IS_MESSAGE))
)
# Of any size, for what fits beside what; and of any content, for what is read from it.
payloads = st.one_of(
    st.binary(max_size=40),
    st.integers(0, 300).map(bytes),
    st.integers(0, MAX_UNRELIABLE_BYTES).map(bytes),
)
messages = st.lists(st.tuples(types, payloads), max_size=50)


def packed(given: list[tuple[int, bytes]]) -> bytes:
    """The first datagram body of *given*."""
    return NO_ACKS + (pack_messages(given) or [b""])[0]


class SizeTests(SynchronousTestCase):
    """The numbers that the protocol promises."""

    def test_overhead_and_room(self) -> None:
        self.assertEqual((HEADER_BYTES, OVERHEAD_BYTES, MAX_DATAGRAM_BYTES), (9, 25, 1_200))
        self.assertEqual((MAX_BODY_BYTES, ACKS_BYTES, MAX_MESSAGES), (1_175, 6, 16))
        self.assertEqual((MAX_UNRELIABLE_BYTES, SINGLE_STATE_BYTES), (1_168, 1_151))
        self.assertEqual(MAX_STATE_BYTES, 16_384)
        self.assertEqual((len(PADDING), HEADER.size, STATE.size), (MAX_BODY_BYTES, 9, 17))

    def test_the_numbers_of_kinds_and_types(self) -> None:
        self.assertEqual(
            {kind.name: int(kind) for kind in DatagramKind},
            {
                "BIND": 1,
                "CHALLENGE": 2,
                "RESPONSE": 3,
                "BOUND": 4,
                "DATA": 5,
                "PING": 6,
                "PONG": 7,
            },
        )
        self.assertEqual(
            {kind.name: int(kind) for kind in MessageType},
            {
                "STATE": 1,
                "INPUT": 2,
                "INPUT_ACK": 3,
                "UNRELIABLE": 4,
                "FRAGMENT": 5,
                "TIME": 6,
                "STATE_ACK": 7,
                "INPUT_TIMING": 8,
            },
        )


class PackTests(SynchronousTestCase):
    """``pack_messages``: nothing lost, nothing out of order, nothing too long."""

    @given(messages)
    def test_what_is_packed_is_split_again_in_order(self, given: list[tuple[int, bytes]]) -> None:
        parts = pack_messages(given)
        split = [message for part in parts for message in split_messages(NO_ACKS + part)]
        self.assertEqual(split, given)

    @given(messages)
    def test_every_part_fits_one_datagram(self, given: list[tuple[int, bytes]]) -> None:
        for part in pack_messages(given):
            self.assertLessEqual(len(part), MAX_BODY_BYTES - ACKS_BYTES)
            self.assertTrue(1 <= len(split_messages(NO_ACKS + part)) <= MAX_MESSAGES)

    @given(messages)
    def test_no_part_ends_while_the_next_message_would_still_fit(
        self, given: list[tuple[int, bytes]]
    ) -> None:
        parts = pack_messages(given)
        for part, after in pairwise(parts):
            count = len(split_messages(NO_ACKS + part))
            _, payload = split_messages(NO_ACKS + after)[0]
            joined = ACKS_BYTES + len(part) + 2 + 1 + len(payload)
            self.assertTrue(count == MAX_MESSAGES or joined > MAX_BODY_BYTES)

    def test_nothing_makes_nothing(self) -> None:
        self.assertEqual(pack_messages([]), [])

    def test_the_last_message_has_no_length(self) -> None:
        self.assertEqual(pack_messages([(4, b"ab")]), [b"\x44ab"])
        self.assertEqual(
            pack_messages([(4, b"ab"), (IS_MESSAGE | 1, b"c"), (2, b"")]),
            [b"\x04\x00\x02ab\x81\x00\x01c\x42"],
        )

    def test_the_largest_messages_fit_exactly(self) -> None:
        largest = bytes(MAX_UNRELIABLE_BYTES)
        (part,) = pack_messages([(4, largest)])
        self.assertEqual(len(part) + ACKS_BYTES, MAX_BODY_BYTES)
        self.assertEqual(len(pack_messages([(4, largest), (4, b"")])), 2)
        # Two messages cost one length and one more type.
        first = bytes(MAX_UNRELIABLE_BYTES - 3)
        self.assertEqual(len(pack_messages([(4, first), (4, b"")])), 1)
        self.assertEqual(len(pack_messages([(4, first), (4, b"x")])), 2)

    def test_the_seventeenth_message_opens_another_datagram(self) -> None:
        for count, parts in ((16, 1), (17, 2), (32, 2), (33, 3)):
            self.assertEqual(len(pack_messages([(4, b"x")] * count)), parts)


class SplitTests(SynchronousTestCase):
    """``split_messages``: a list or WireError for any bytes there are."""

    @settings(max_examples=500)
    @given(st.one_of(hostile(messages.map(packed)), st.binary(max_size=30).map(NO_ACKS.__add__)))
    def test_any_bytes_give_messages_or_a_wire_error(self, body: bytes) -> None:
        try:
            split = split_messages(body)
        except WireError:
            return
        self.assertLessEqual(len(split), MAX_MESSAGES)
        # Nothing was skipped and nothing invented: put together again it is the same body.
        again = bytearray()
        for kind, payload in split[:-1]:
            again += bytes((kind,)) + pack("!H", len(payload)) + payload
        for kind, payload in split[-1:]:
            again += bytes((kind | IS_LAST,)) + payload
        self.assertEqual(bytes(again), body[ACKS_BYTES:])

    def test_acks_alone_are_no_messages(self) -> None:
        self.assertEqual(split_messages(NO_ACKS), [])

    def test_lengths_that_lie_are_refused(self) -> None:
        for tail in (
            b"\x04",
            b"\x04\x00",
            b"\x04\x00\x00",
            b"\x04\x00\x01",
            b"\x04\x00\x02a\x44",
            b"\x04\xff\xffab",
            b"\x04\x00\x01a",
            b"\x04\x00\x01a\x04",
        ):
            self.assertRaises(WireError, split_messages, NO_ACKS + tail)

    def test_a_seventeenth_message_is_refused(self) -> None:
        one = b"\x04\x00\x00"
        self.assertEqual(len(split_messages(NO_ACKS + one * 15 + b"\x44")), 16)
        self.assertRaises(WireError, split_messages, NO_ACKS + one * 16 + b"\x44")

"""Differences between states: exact, small, one form each, and bounded whatever is decoded."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.delta import decode_delta, encode_delta
from gamenet.core.wire import MAX_STATE_BYTES
from gamenet.errors import WireError
from tests.core.strategies import hostile

payloads = st.binary(max_size=300)


class DeltaTests(SynchronousTestCase):
    """What ``encode_delta`` and ``decode_delta`` promise each other."""

    @given(payloads, payloads)
    def test_any_two_byte_strings_round_trip(self, data: bytes, baseline: bytes) -> None:
        self.assertEqual(decode_delta(encode_delta(data, baseline), baseline), data)

    @given(payloads, st.lists(st.tuples(st.integers(0, 299), st.integers(1, 255)), max_size=9))
    def test_what_differs_a_little_is_small(
        self, baseline: bytes, changes: list[tuple[int, int]]
    ) -> None:
        data = bytearray(baseline)
        for place, change in changes:
            if place < len(data):
                data[place] ^= change
        # A byte for each change, and one of the mask; the mask of the mask; the length.
        most = 2 + (len(data) + 63) // 64 + 2 * len(changes)
        self.assertLessEqual(len(encode_delta(bytes(data), baseline)), most)

    @given(hostile(st.builds(encode_delta, payloads, payloads)), payloads)
    def test_any_bytes_are_the_one_form_of_a_state_or_a_wire_error(
        self, delta: bytes, baseline: bytes
    ) -> None:
        try:
            data = decode_delta(delta, baseline)
        except WireError:
            return
        self.assertLessEqual(len(data), MAX_STATE_BYTES)
        self.assertEqual(encode_delta(data, baseline), delta)

    def test_a_delta_cannot_grow_beyond_a_state(self) -> None:
        most = encode_delta(bytes(MAX_STATE_BYTES), b"")
        self.assertEqual(decode_delta(most, b""), bytes(MAX_STATE_BYTES))
        longer = encode_delta(bytes(MAX_STATE_BYTES + 1), b"")
        self.assertRaises(WireError, decode_delta, longer, b"")

    def test_each_lie_is_found(self) -> None:
        good = encode_delta(b"\x01\0\x02", b"")
        self.assertEqual(good.hex(" "), "00 03 01 05 01 02")
        for wrong in (
            "",
            "00",
            "00 03",
            "00 03 01",
            "00 03 01 05 01",  # a byte short
            "00 03 01 05 01 02 00",  # one to spare
            "00 03 03 05 01 02",  # a mask of more than there is
            "00 03 01 0d 01 02 03",  # the same of the state
            "00 03 01 05 01 00",  # a change that is none
            "00 03 01 00",  # the same of the mask
        ):
            self.assertRaises(WireError, decode_delta, bytes.fromhex(wrong), b"")

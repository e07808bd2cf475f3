"""World states: the newest wins on every side of the wire, and the world never goes back."""

from __future__ import annotations

from struct import pack

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.state_channel import StateReceiver, StateSender
from gamenet.core.wire import IS_MESSAGE, STATE
from gamenet.errors import WireError
from tests.core.strategies import hostile, u32


def state(number: int, payload: bytes = b"", ms: int = 0, tick: int = 0, taken: int = 0) -> bytes:
    sender = StateSender()
    sender.put(number, payload, 0, tick, ms, taken)
    waiting = sender.take()
    assert waiting is not None
    return waiting[1]


class SenderTests(SynchronousTestCase):
    """The server's side."""

    def test_the_newest_replaces_the_one_that_waits(self) -> None:
        sender = StateSender()
        sender.put(1, b"old", 0, 1, 10, 0)
        sender.put(2, b"new", IS_MESSAGE, 2, 20, 9)
        self.assertEqual((sender.replaced, sender.newest), (1, 2))
        self.assertEqual(sender.take(), (IS_MESSAGE, STATE.pack(2, 2, 20, 9, 0) + b"new"))

    def test_a_state_goes_once(self) -> None:
        sender = StateSender()
        sender.put(1, b"x", 0, 1, 10, 0)
        self.assertIsNot(sender.take(), None)
        self.assertIs(sender.take(), None)
        sender.put(2, b"x", 0, 1, 10, 0)
        self.assertEqual(sender.replaced, 0)

    def test_ticks_and_times_beyond_32_bits_wrap_on_the_wire(self) -> None:
        data = state(1, ms=2**32 + 5, tick=2**32 + 6)
        self.assertEqual(STATE.unpack_from(data)[1:3], (6, 5))


class ReceiverTests(SynchronousTestCase):
    """The client's side."""

    @given(st.lists(st.integers(0, 30), max_size=60))
    def test_any_order_of_arrival_only_ever_goes_forward(self, numbers: list[int]) -> None:
        receiver = StateReceiver()
        newest = taken = 0
        for number in numbers:
            fields = receiver.receive(state(number, b"%d" % number))
            if number > newest:
                assert fields is not None
                self.assertEqual((fields[0], fields[4]), (number, b"%d" % number))
                newest = number
                taken += 1
            else:
                self.assertIs(fields, None)
        self.assertEqual((receiver.newest, receiver.received), (newest, taken))
        self.assertEqual(receiver.outdated, len(numbers) - taken)

    def test_every_field_arrives(self) -> None:
        data = state(7, b"world", ms=123, tick=45, taken=6)
        self.assertEqual(StateReceiver().receive(data), (7, 45, 123, 6, b"world"))

    @given(hostile(st.builds(state, u32, st.binary(max_size=20), u32, u32, u32)))
    def test_any_bytes_give_a_state_or_none_or_a_wire_error(self, data: bytes) -> None:
        receiver = StateReceiver()
        try:
            fields = receiver.receive(data)
        except WireError:
            self.assertEqual((receiver.newest, receiver.received), (0, 0))
            return
        if fields is not None:
            number, tick, ms, taken, payload = fields
            self.assertEqual(state(number, payload, ms, tick, taken), data)

    def test_encodings_of_later_versions_are_refused(self) -> None:
        for encoding in range(1, 256):
            data = STATE.pack(1, 0, 0, 0, encoding) + pack("!I", 0) + b"delta"
            self.assertRaises(WireError, StateReceiver().receive, data)

    def test_a_header_cut_short_is_refused(self) -> None:
        for length in range(STATE.size):
            self.assertRaises(WireError, StateReceiver().receive, bytes(length))

    @given(
        st.integers(0, 2**32 - 1),
        st.lists(st.integers(-5_000, 2**31 - 1), min_size=1, max_size=20),
    )
    def test_the_clock_goes_on_where_the_wire_wraps(self, start: int, steps: list[int]) -> None:
        receiver = StateReceiver()
        true = start
        for number, step in enumerate([0, *steps], 1):
            true += step
            fields = receiver.receive(state(number, ms=true % 2**32))
            assert fields is not None
            self.assertEqual(fields[2], true)

    def test_fifty_days_pass_without_a_jump(self) -> None:
        receiver = StateReceiver()
        last = -1
        for number, ms in enumerate(range(2**32 - 100, 2**32 + 100, 33), 1):
            fields = receiver.receive(state(number, ms=ms % 2**32))
            assert fields is not None
            self.assertEqual(fields[2], ms)
            self.assertGreater(fields[2], last)
            last = fields[2]

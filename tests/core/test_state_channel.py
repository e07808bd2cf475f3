"""World states: the newest wins on every side of the wire, and the world never goes back."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.counters import Counters
from gamenet.core.delta import encode_delta
from gamenet.core.state_channel import TRIES_SPARED, Shrinker, StateReceiver, StateSender
from gamenet.core.wire import (
    BASELINE,
    BASELINE_SPAN,
    DELTA,
    FRAGMENT_BYTES,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    MAX_FRAGMENTS,
    MAX_STATE_BYTES,
    PLACE,
    SINGLE_STATE_BYTES,
    STATE,
    WHOLE,
    MessageType,
    pack_messages,
)
from gamenet.errors import WireError
from tests.core.strategies import hostile, u32

if TYPE_CHECKING:
    from random import Random


def state(number: int, payload: bytes = b"", ms: int = 0, tick: int = 0, taken: int = 0) -> bytes:
    sender = StateSender()
    sender.put(number, payload, 0, tick, ms, taken)
    ((_, data),) = sender.take()
    return data


class SenderTests(SynchronousTestCase):
    """The server's side."""

    def test_the_newest_replaces_the_one_that_waits(self) -> None:
        sender = StateSender()
        sender.put(1, b"old", 0, 1, 10, 0)
        sender.put(2, b"new", IS_MESSAGE, 2, 20, 9)
        self.assertEqual((sender.replaced, sender.newest), (1, 2))
        kind = MessageType.STATE | IS_MESSAGE
        self.assertEqual(sender.take(), [(kind, STATE.pack(2, 2, 20, 9, 0) + b"new")])

    def test_a_state_goes_once(self) -> None:
        sender = StateSender()
        sender.put(1, b"x", 0, 1, 10, 0)
        self.assertEqual(len(sender.take()), 1)
        self.assertEqual(sender.take(), [])
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
            # Nothing is held yet that a delta could be to.
            self.assertEqual(state(number, payload, ms, tick, taken), data)

    def test_encodings_of_later_versions_are_refused(self) -> None:
        for encoding in range(2, 256):
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
            tick = start * 3 % 2**32 + true - start
            fields = receiver.receive(state(number, ms=true % 2**32, tick=tick % 2**32))
            assert fields is not None
            self.assertEqual(fields[1:3], (tick, true))

    def test_fifty_days_pass_without_a_jump(self) -> None:
        receiver = StateReceiver()
        last = -1
        for number, ms in enumerate(range(2**32 - 100, 2**32 + 100, 33), 1):
            fields = receiver.receive(state(number, ms=ms % 2**32))
            assert fields is not None
            self.assertEqual(fields[2], ms)
            self.assertGreater(fields[2], last)
            last = fields[2]


class Channel:
    """A sender and a receiver, with every message in between at the test's hand."""

    def __init__(self, baseline_bytes: int = 131_072) -> None:
        self.counters = Counters()
        self.sender = StateSender(baseline_bytes, counters=self.counters)
        self.receiver = StateReceiver(self.counters)
        self.number = 0

    def send(self, payload: bytes) -> list[tuple[int, bytes]]:
        self.number += 1
        self.sender.put(self.number, payload, 0, self.number, 0, 0)
        return self.sender.take()

    def receive(self, messages: list[tuple[int, bytes]]) -> bytes | None:
        """The payload of the state that these make complete."""
        found = None
        for kind, data in messages:
            if kind == MessageType.STATE:
                fields = self.receiver.receive(data)
            else:
                fields = self.receiver.receive_fragment(data)
            found = fields[4] if fields else found
        return found

    def acknowledge(self) -> None:
        held = self.receiver.to_acknowledge()
        assert held is not None
        self.receiver.acknowledged()
        assert self.sender.acknowledge(held)


def world(step: int, size: int = 400) -> bytes:
    """A state of which a few bytes differ from step to step."""
    return bytes((index * 7 + (step if index % 25 == 0 else 0)) & 0xFF for index in range(size))


class DeltaTests(SynchronousTestCase):
    """States as their difference to one that the player holds."""

    def test_a_state_shrinks_once_one_is_acknowledged(self) -> None:
        channel = Channel()
        first = channel.send(world(1))
        self.assertEqual(len(first[0][1]), STATE.size + 400)
        self.assertEqual(channel.receive(first), world(1))
        channel.acknowledge()
        second = channel.send(world(2))
        self.assertLess(len(second[0][1]), STATE.size + 100)
        self.assertEqual(second[0][1][STATE.size - 1], DELTA)
        self.assertEqual(channel.receive(second), world(2))
        counts = channel.counters
        self.assertEqual((counts.states_sent, counts.state_bytes_full), (2, 800))
        self.assertEqual(counts.state_bytes_sent, 400 + len(second[0][1]) - STATE.size)

    @given(
        st.lists(
            st.tuples(st.binary(max_size=60), st.booleans(), st.booleans()), min_size=1, max_size=80
        )
    )
    def test_whatever_is_lost_what_arrives_is_what_was_sent(
        self, steps: list[tuple[bytes, bool, bool]]
    ) -> None:
        channel = Channel(baseline_bytes=300)
        for payload, arrives, told in steps:
            messages = channel.send(payload * 3)
            if arrives:
                self.assertEqual(channel.receive(messages), payload * 3)
                if told and channel.receiver.to_acknowledge() is not None:
                    channel.acknowledge()
        self.assertEqual(channel.counters.drop_state_baseline, 0)
        self.assertLessEqual(sum(len(one) for _, one in channel.sender._history), 300)

    def test_without_acknowledgement_or_with_zero_bytes_every_state_is_whole(self) -> None:
        for channel in (Channel(), Channel(baseline_bytes=0)):
            for step in range(5):
                messages = channel.send(world(step))
                self.assertEqual(messages[0][1][STATE.size - 1], WHOLE)
                channel.receive(messages)
                if channel.sender._baseline_bytes == 0:
                    channel.acknowledge()

    def test_a_difference_that_is_no_smaller_is_not_sent_and_not_tried_again_at_once(self) -> None:
        channel = Channel()
        channel.receive(channel.send(bytes(100)))
        channel.acknowledge()
        payload = bytes(range(1, 101))
        for _ in range(TRIES_SPARED + 1):
            messages = channel.send(payload)
            self.assertEqual(messages[0][1][STATE.size - 1], WHOLE)
            channel.receive(messages)
            channel.acknowledge()
        self.assertEqual(channel.send(payload)[0][1][STATE.size - 1], DELTA)

    def test_a_baseline_too_old_is_not_used(self) -> None:
        channel = Channel()
        channel.receive(channel.send(world(0)))
        channel.acknowledge()
        for step in range(1, BASELINE_SPAN + 1):
            messages = channel.send(world(step))
            self.assertEqual(messages[0][1][STATE.size - 1], DELTA)
        self.assertEqual(channel.receive(messages), world(BASELINE_SPAN))
        self.assertEqual(channel.send(world(65))[0][1][STATE.size - 1], WHOLE)

    def test_a_lost_baseline_is_asked_for_anew(self) -> None:
        channel = Channel()
        channel.receive(channel.send(world(1)))
        channel.acknowledge()
        channel.receiver._held.clear()  # as no receiver of ours loses one
        self.assertIs(channel.receive(channel.send(world(2))), None)
        self.assertEqual(channel.counters.drop_state_baseline, 1)
        self.assertEqual(channel.receiver.to_acknowledge(), 0)
        channel.acknowledge()
        messages = channel.send(world(3))
        self.assertEqual(messages[0][1][STATE.size - 1], WHOLE)
        self.assertEqual(channel.receive(messages), world(3))
        channel.acknowledge()
        self.assertEqual(channel.send(world(4))[0][1][STATE.size - 1], DELTA)

    def test_it_is_asked_for_until_it_comes_whatever_else_is_held(self) -> None:
        channel = Channel()
        channel.receive(channel.send(world(1)))
        channel.acknowledge()
        channel.receive(channel.send(world(2)))
        del channel.receiver._held[1]
        for count in (1, 2):
            self.assertIs(channel.receive(channel.send(world(2 + count))), None)
            self.assertEqual(channel.counters.drop_state_baseline, count)
            self.assertEqual(channel.receiver.to_acknowledge(), 0)
            channel.receiver.acknowledged()  # and it is lost on its way
        self.assertIs(channel.receiver.to_acknowledge(), None)
        self.assertTrue(channel.sender.acknowledge(0))
        self.assertEqual(channel.receive(channel.send(world(5))), world(5))

    def test_a_state_that_was_never_sent_is_no_baseline(self) -> None:
        channel = Channel()
        channel.send(world(1))
        channel.sender.put(2, world(2), 0, 2, 0, 0)
        channel.number = 2
        channel.send(world(3))  # which replaces it
        self.assertTrue(channel.sender.acknowledge(2))
        self.assertEqual(channel.sender.held, 0)
        self.assertEqual(channel.send(world(4))[0][1][STATE.size - 1], WHOLE)

    def test_an_acknowledgement_that_comes_late_changes_nothing(self) -> None:
        channel = Channel()
        for step in (1, 2, 3):
            channel.send(world(step))
        for number in (3, 1, 2):
            self.assertTrue(channel.sender.acknowledge(number))
            self.assertEqual((channel.sender.held, channel.sender._baseline), (3, world(3)))

    def test_the_bytes_of_what_is_not_acknowledged_are_bounded(self) -> None:
        channel = Channel(baseline_bytes=1_000)
        for step in range(10):
            channel.send(world(step))
            kept = [len(payload) for _, payload in channel.sender._history]
            self.assertLessEqual(sum(kept), 1_000)
            self.assertEqual(channel.sender._history_bytes, sum(kept))
        self.assertEqual(len(kept), 2)

    def test_a_receiver_forgets_what_is_older_than_a_baseline(self) -> None:
        channel = Channel()
        for step in range(1, 6):
            channel.receive(channel.send(world(step)))
        channel.acknowledge()
        self.assertEqual(min(channel.receiver._held), 1)
        channel.receive(channel.send(world(6)))
        self.assertEqual(list(channel.receiver._held), [5, 6])

    def test_baselines_that_lie_are_refused(self) -> None:
        channel = Channel()
        for step in range(1, 101):
            channel.receive(channel.send(world(step)))
        delta = encode_delta(world(101), world(100))
        for back in (0, BASELINE_SPAN + 1, 101, 255):
            data = STATE.pack(101, 0, 0, 0, DELTA) + BASELINE.pack(back) + delta
            self.assertRaises(WireError, channel.receiver.receive, data)
        before_the_first = STATE.pack(9, 0, 0, 0, DELTA) + BASELINE.pack(9) + delta
        self.assertRaises(WireError, StateReceiver().receive, before_the_first)
        cut = STATE.pack(101, 0, 0, 0, DELTA) + b"\0\0"
        self.assertRaises(WireError, channel.receiver.receive, cut)
        self.assertEqual(channel.receiver.newest, 100)

    def test_an_acknowledgement_of_what_was_never_sent_changes_nothing(self) -> None:
        channel = Channel()
        channel.send(world(1))
        self.assertFalse(channel.sender.acknowledge(2))
        self.assertTrue(channel.sender.acknowledge(1))
        self.assertEqual(channel.sender.held, 1)

    def test_both_sides_keep_a_bounded_number_of_states(self) -> None:
        channel = Channel()
        for step in range(500):
            channel.receive(channel.send(world(step)))
        self.assertEqual(len(channel.sender._history), BASELINE_SPAN)
        self.assertEqual(len(channel.receiver._held), BASELINE_SPAN)

    def test_a_state_that_many_get_is_compared_once_for_each_baseline(self) -> None:
        shrinker = Shrinker()
        old, older, new = world(2), world(1), world(3)
        first = shrinker.difference(new, old)
        self.assertIs(shrinker.difference(new, old), first)
        self.assertIsNot(shrinker.difference(new, older), first)
        self.assertIs(shrinker.difference(new, old), first)
        self.assertEqual(shrinker.difference(world(4), old), encode_delta(world(4), old))


class FragmentTests(SynchronousTestCase):
    """States that do not fit one datagram."""

    def setUp(self) -> None:
        self.channel = Channel()

    @given(st.integers(SINGLE_STATE_BYTES + 1, MAX_STATE_BYTES), st.randoms(use_true_random=False))
    def test_any_order_gives_the_state_once_it_is_complete(self, size: int, random: Random) -> None:
        channel = Channel()
        payload = random.randbytes(size)
        messages = channel.send(payload)
        self.assertEqual(len(messages), -(-size // FRAGMENT_BYTES))
        for body in pack_messages(messages):
            self.assertLessEqual(len(body), MAX_BODY_BYTES)
        random.shuffle(messages)
        *before, last = messages
        self.assertIs(channel.receive(before), None)
        self.assertEqual(channel.receive([last]), payload)
        self.assertEqual(channel.counters.drops(), {})

    def test_what_fits_one_datagram_goes_in_one(self) -> None:
        self.assertEqual(len(self.channel.send(bytes(SINGLE_STATE_BYTES))), 1)
        self.assertEqual(len(self.channel.send(bytes(SINGLE_STATE_BYTES + 1))), 2)
        self.assertEqual(len(self.channel.send(bytes(MAX_STATE_BYTES))), MAX_FRAGMENTS)

    def test_a_large_state_shrinks_into_one_datagram(self) -> None:
        channel = self.channel
        channel.receive(channel.send(world(1, MAX_STATE_BYTES)))
        channel.acknowledge()
        messages = channel.send(world(2, MAX_STATE_BYTES))
        self.assertEqual([kind for kind, _ in messages], [MessageType.FRAGMENT] * 2)
        self.assertEqual(channel.receive(messages), world(2, MAX_STATE_BYTES))

    def test_a_newer_state_gives_up_the_one_that_is_incomplete(self) -> None:
        channel = self.channel
        first, second = channel.send(bytes(5_000)), channel.send(bytes(6_000))
        channel.receive(first[:2])
        channel.receive(second[:1])
        self.assertIs(channel.receive(first[2:]), None)
        self.assertEqual(channel.receive(second[1:]), bytes(6_000))
        self.assertEqual(
            channel.counters.drops(), {"drop_state_incomplete": 1, "drop_fragment_outdated": 3}
        )

    def test_a_newer_state_in_one_piece_does_so_too(self) -> None:
        channel = self.channel
        first, second = channel.send(bytes(5_000)), channel.send(b"small")
        channel.receive(first[:2])
        self.assertEqual(channel.receive(second), b"small")
        self.assertEqual(channel.receiver._parts, [])
        self.assertIs(channel.receive(first[2:]), None)
        self.assertEqual(
            channel.counters.drops(), {"drop_state_incomplete": 1, "drop_fragment_outdated": 3}
        )

    def test_an_older_state_in_one_piece_leaves_it_alone(self) -> None:
        channel = self.channel
        small, large = channel.send(b"small"), channel.send(bytes(5_000))
        channel.receive(large[:2])
        self.assertEqual(channel.receive(small), b"small")
        self.assertEqual(channel.receive(large[2:]), bytes(5_000))

    def test_a_fragment_that_comes_twice_counts_once(self) -> None:
        channel = self.channel
        messages = channel.send(bytes(3_000))
        self.assertIs(channel.receive([messages[0], messages[0], messages[1]]), None)
        self.assertEqual(channel.counters.drops(), {"drop_fragment_outdated": 1})
        self.assertEqual(channel.receive(messages[2:]), bytes(3_000))

    def test_counts_and_sizes_that_lie_are_refused(self) -> None:
        receiver = self.channel.receiver
        head = STATE.pack(1, 0, 0, 0, WHOLE)
        full = bytes(FRAGMENT_BYTES)
        for index, count, part in (
            (0, 0, full),
            (0, 1, full),
            (2, 2, full),
            (255, 255, full),
            (0, MAX_FRAGMENTS + 1, full),
            (0, 2, full[1:]),
            (0, 2, full + b"x"),
            (1, 2, full + b"x"),
            (1, 2, b""),
        ):
            data = head + PLACE.pack(index, count) + part
            self.assertRaises(WireError, receiver.receive_fragment, data)
        for length in range(STATE.size + PLACE.size + 1):
            self.assertRaises(WireError, receiver.receive_fragment, bytes(length))
        later = STATE.pack(1, 0, 0, 0, 2) + PLACE.pack(0, 2) + full
        self.assertRaises(WireError, receiver.receive_fragment, later)
        self.assertEqual(receiver._parts, [])

    def test_fragments_that_contradict_each_other_are_refused(self) -> None:
        receiver = self.channel.receiver
        full = bytes(FRAGMENT_BYTES)
        receiver.receive_fragment(STATE.pack(5, 1, 2, 3, WHOLE) + PLACE.pack(0, 3) + full)
        for head, count in (
            (STATE.pack(5, 9, 2, 3, WHOLE), 3),
            (STATE.pack(5, 1, 2, 3, DELTA), 3),
            (STATE.pack(5, 1, 2, 3, WHOLE), 4),
        ):
            data = head + PLACE.pack(1, count) + full
            self.assertRaises(WireError, receiver.receive_fragment, data)
        self.assertEqual((receiver._parts.count(None), len(receiver._parts)), (2, 3))

    @given(st.lists(hostile(st.builds(state, u32, st.binary(max_size=20), u32)), max_size=8))
    def test_memory_is_bounded_whatever_fragments_come(self, datas: list[bytes]) -> None:
        receiver = self.channel.receiver
        for data in datas:
            try:
                receiver.receive_fragment(data)
            except WireError:
                pass
            self.assertLessEqual(sum(len(part or b"") for part in receiver._parts), MAX_STATE_BYTES)
            self.assertLessEqual(len(receiver._parts), MAX_FRAGMENTS)

"""The reliable window: never overrun, never stuck, nothing forgotten before it is taken."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.frames import MAX_FRAME_BYTES
from gamenet.core.stream import Incoming, Outgoing
from gamenet.errors import DisconnectReason, RemoteProtocolError

frames = st.lists(st.integers(1, 40).map(bytes), max_size=60)


class PairTests(SynchronousTestCase):
    """Both ends, with a game that takes when it likes."""

    @settings(max_examples=200)
    @given(
        st.integers(1, 6),
        st.integers(40, 120),
        st.lists(
            st.one_of(
                st.integers(1, 40).map(lambda size: ("put", size)),
                st.just(("write", 0)),
                st.integers(1, 10).map(lambda count: ("take", count)),
                st.just(("ack", 0)),
            ),
            max_size=120,
        ),
    )
    def test_everything_arrives_and_the_window_holds(
        self, window_messages: int, window_bytes: int, steps: list[tuple[str, int]]
    ) -> None:
        out = Outgoing(window_messages, window_bytes)
        into = Incoming(window_messages, window_bytes)
        put: list[bytes] = []
        written: list[bytes] = []

        def write() -> None:
            for frame in out.take():
                written.append(frame)
                into.accept(len(frame))  # raises if the window were overrun

        def ack() -> None:
            count = into.ack()
            if count is not None:
                out.acknowledge(count)

        for what, value in steps:
            if what == "put":
                frame = bytes((len(put) % 251,)) * value
                put.append(frame)
                out.put(frame)
            elif what == "write":
                write()
            elif what == "take":
                into.taken = min(into.received, into.taken + value)
            else:
                ack()
            self.assertEqual(written, put[: len(written)])
            self.assertEqual(out.sent, len(written))
            self.assertEqual(out.unacknowledged(), put[out.acknowledged :])
            self.assertEqual(out.messages, len(put) - out.acknowledged)
            self.assertEqual(out.size, sum(map(len, put[out.acknowledged :])))
            self.assertEqual(out.waiting_messages, len(put) - len(written))
            self.assertEqual(out.waiting_bytes, sum(map(len, put[len(written) :])))

        # A game that takes everything gets everything: the window never sticks.
        for _ in range(len(put) + 1):
            write()
            into.taken = into.received
            ack()
        self.assertEqual((written, out.messages, out.size), (put, 0, 0))

    def test_half_a_window_taken_is_told_at_once(self) -> None:
        into = Incoming(10, 1_000)
        for _ in range(10):
            into.accept(10)
        for taken in range(1, 5):
            into.taken = taken
            self.assertFalse(into.is_half_open, taken)
        into.taken = 5
        self.assertTrue(into.is_half_open)
        self.assertEqual(into.ack(), 5)
        self.assertFalse(into.is_half_open)

    def test_bytes_count_for_that_too(self) -> None:
        into = Incoming(100, 1_000)
        into.accept(600)
        self.assertFalse(into.is_half_open)
        into.taken = 1
        self.assertTrue(into.is_half_open)

    def test_beside_what_is_not_told_at_once_a_frame_of_any_size_has_room(self) -> None:
        for window in (MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1_000, 100_000, 131_200, 262_144):
            for size in (1, 900, 1_100, 40_000, 65_600):
                into = Incoming(256, window)
                into.accept(size)
                into.taken = 1
                if not into.is_half_open:
                    self.assertLessEqual(size + MAX_FRAME_BYTES, window)


class ResumeTests(SynchronousTestCase):
    """Both ends, and a connection that is cut with whatever is on its way."""

    @settings(max_examples=400)
    @given(
        st.integers(1, 6),
        st.integers(40, 120),
        st.lists(
            st.one_of(
                st.integers(1, 40).map(lambda size: ("put", size)),
                st.just(("write", 0)),
                st.integers(1, 5).map(lambda count: ("arrive", count)),
                st.integers(1, 10).map(lambda count: ("take", count)),
                st.just(("ack", 0)),
                st.integers(1, 3).map(lambda count: ("acks arrive", count)),
                st.just(("cut", 0)),
            ),
            max_size=150,
        ),
    )
    def test_everything_arrives_once_and_in_order_wherever_it_is_cut(
        self, window_messages: int, window_bytes: int, steps: list[tuple[str, int]]
    ) -> None:
        out = Outgoing(window_messages, window_bytes)
        into = Incoming(window_messages, window_bytes)
        put: list[bytes] = []
        arrived: list[bytes] = []
        on_their_way: list[bytes] = []
        acks: list[int] = []

        def write() -> None:
            on_their_way.extend(out.take())

        def arrive(count: int) -> None:
            for frame in on_their_way[:count]:
                into.accept(len(frame))  # raises if the window were overrun
                arrived.append(frame)
            del on_their_way[:count]

        def ack(*, anyway: bool = False) -> None:
            count = into.ack()
            if count is not None or anyway:
                acks.append(into.taken)

        def acks_arrive(count: int) -> None:
            for each in acks[:count]:
                out.acknowledge(each)  # raises for one that goes back, or too far
            del acks[:count]

        def cut() -> None:
            on_their_way.clear()
            acks.clear()
            self.assertTrue(out.resumes_at(into.received))
            out.resume(into.received)
            ack(anyway=True)

        def check() -> None:
            self.assertEqual(arrived, put[: len(arrived)])
            self.assertEqual(into.received, len(arrived))
            self.assertEqual(out.sent, len(arrived) + len(on_their_way))
            self.assertEqual(out.unacknowledged(), put[out.acknowledged :])
            self.assertEqual(out.messages, len(put) - out.acknowledged)
            self.assertEqual(out.size, sum(map(len, put[out.acknowledged :])))
            self.assertEqual(out.waiting_messages, len(put) - out.sent)
            self.assertEqual(out.waiting_bytes, sum(map(len, put[out.sent :])))

        for what, value in steps:
            if what == "put":
                put.append(bytes((len(put) % 251,)) * value)
                out.put(put[-1])
            elif what == "write":
                write()
            elif what == "arrive":
                arrive(value)
            elif what == "take":
                into.taken = min(into.received, into.taken + value)
            elif what == "ack":
                ack()
            elif what == "acks arrive":
                acks_arrive(value)
            else:
                cut()
            check()

        for _ in range(len(put) + 1):
            write()
            arrive(len(put))
            into.taken = into.received
            ack()
            acks_arrive(len(acks))
        check()
        self.assertEqual((arrived, out.messages, out.size), (put, 0, 0))

    def test_nothing_that_cannot_be_is_resumed_at_and_nothing_is_changed(self) -> None:
        out = Outgoing(8, 1_000)
        for number in range(12):
            out.put(b"%02d" % number)
        out.take()
        out.acknowledge(3)
        before = (out.sent, out.acknowledged, out.unacknowledged(), out.waiting_bytes, out.size)
        for received in (-1, 0, 2, 9, 1 << 63):
            self.assertFalse(out.resumes_at(received), received)
            error = self.assertRaises(RemoteProtocolError, out.resume, received)
            self.assertIs(error.reason, DisconnectReason.BAD_DATA)
            self.assertEqual(
                (out.sent, out.acknowledged, out.unacknowledged(), out.waiting_bytes, out.size),
                before,
            )
        for received in range(3, 9):
            self.assertTrue(out.resumes_at(received), received)

    def test_what_arrived_and_is_not_taken_is_not_written_again(self) -> None:
        out = Outgoing(8, 1_000)
        for number in range(12):
            out.put(b"%02d" % number)
        self.assertEqual(len(out.take()), 8)
        out.acknowledge(3)
        out.resume(6)
        self.assertEqual((out.sent, out.acknowledged, out.waiting_messages), (6, 3, 6))
        # Three are in the hands of the peer, so five more fit the window.
        self.assertEqual(out.take(), [b"%02d" % number for number in range(6, 11)])
        self.assertEqual((out.take(), out.sent), ([], 11))
        out.acknowledge(11)
        self.assertEqual(out.take(), [b"11"])

    def test_an_ack_that_the_old_connection_lost_is_made_up_for(self) -> None:
        out = Outgoing(4, 1_000)
        for _ in range(10):
            out.put(b"x")
        out.take()
        out.resume(4)
        self.assertEqual(out.take(), [])
        self.assertEqual(out.acknowledge(4), (4, 4))
        self.assertEqual(len(out.take()), 4)

    def test_resuming_twice_without_a_word_between_changes_nothing(self) -> None:
        out = Outgoing(4, 1_000)
        for _ in range(10):
            out.put(b"x")
        out.take()
        for _ in range(3):
            out.resume(2)
            self.assertEqual((out.sent, out.waiting_messages, out.messages), (2, 8, 10))


class OutgoingTests(SynchronousTestCase):
    """The sender."""

    @given(st.lists(st.integers(-3, 12), max_size=20))
    def test_acks_only_go_forward_and_never_past_what_was_sent(self, counts: list[int]) -> None:
        out = Outgoing(8, 1_000)
        for _ in range(12):
            out.put(b"frame")
        sent, acknowledged = len(out.take()), 0
        self.assertEqual(sent, 8)
        for count in counts:
            if acknowledged <= count <= sent:
                self.assertEqual(
                    out.acknowledge(count), (count - acknowledged, 5 * (count - acknowledged))
                )
                acknowledged = count
                sent += len(out.take())
            else:
                error = self.assertRaises(RemoteProtocolError, out.acknowledge, count)
                self.assertIs(error.reason, DisconnectReason.BAD_DATA)
            self.assertEqual((out.acknowledged, out.sent), (acknowledged, sent))
            self.assertEqual(out.messages, 12 - acknowledged)

    def test_an_acknowledged_count_may_be_repeated(self) -> None:
        out = Outgoing(8, 1_000)
        self.assertEqual(out.acknowledge(0), (0, 0))

    def test_the_window_in_bytes_counts_kind_and_body(self) -> None:
        out = Outgoing(100, 20)
        for _ in range(5):
            out.put(bytes(10))
        self.assertEqual(len(out.take()), 2)
        self.assertEqual(len(out.take()), 0)
        out.acknowledge(1)
        self.assertEqual(len(out.take()), 1)


class IncomingTests(SynchronousTestCase):
    """The receiver cuts a peer that overruns its window."""

    def test_one_message_too_many(self) -> None:
        into = Incoming(3, 1_000)
        for _ in range(3):
            into.accept(1)
        error = self.assertRaises(RemoteProtocolError, into.accept, 1)
        self.assertIs(error.reason, DisconnectReason.BAD_DATA)

    def test_one_byte_too_many(self) -> None:
        into = Incoming(100, 1_000)
        into.accept(999)
        into.accept(1)
        self.assertRaises(RemoteProtocolError, into.accept, 1)

    def test_taken_but_not_acknowledged_still_counts(self) -> None:
        # The peer does not know yet, so a peer that sends more breaks the rule.
        into = Incoming(2, 1_000)
        into.accept(1)
        into.accept(1)
        into.taken = 2
        self.assertRaises(RemoteProtocolError, into.accept, 1)

    def test_acknowledging_makes_room(self) -> None:
        into = Incoming(2, 10)
        for count in range(1, 50):
            into.accept(5)
            into.taken = count
            self.assertEqual(into.ack(), count)
            self.assertIs(into.ack(), None)

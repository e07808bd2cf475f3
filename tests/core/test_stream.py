"""The reliable window: never overrun, never stuck, nothing forgotten before it is taken."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

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

"""Seats and turns: counts that two threads share, and the order of what is taken."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.counters import Counters
from gamenet.core.seat import NO_PROBE, PROBE_SECONDS, Seat
from gamenet.events import SERVER
from tests.core.pair import ADA, Pair


class ProbeTests(SynchronousTestCase):
    """How long it takes from one game to the other and back."""

    def probe(self, seat: Seat, seconds: float) -> None:
        seat.probe, seat.probe_began = 9, 100.0
        seat.probe_answered(100.0 + seconds)

    def test_the_first_one_counts_whole_and_each_more_an_eighth(self) -> None:
        seat = Seat(ADA, 3, 100)
        self.assertEqual(seat.end_to_end_seconds, 0.0)
        self.probe(seat, 0.16)
        self.assertAlmostEqual(seat.end_to_end_seconds, 0.16)
        self.probe(seat, 0.24)
        self.assertAlmostEqual(seat.end_to_end_seconds, 0.17)

    def test_a_probe_that_is_answered_runs_no_more(self) -> None:
        seat = Seat(ADA, 3, 100)
        self.assertGreater(seat.probe, 0xFFFFFFFF, "the number of no state and no input")
        self.probe(seat, 0.1)
        self.assertEqual(seat.probe, NO_PROBE)

    def test_one_that_took_too_long_is_given_up(self) -> None:
        seat = Seat(ADA, 3, 100)
        self.probe(seat, 0.1)
        self.probe(seat, PROBE_SECONDS + 0.01)
        self.assertEqual(seat.probe, NO_PROBE)
        self.assertAlmostEqual(seat.end_to_end_seconds, 0.1)
        self.probe(seat, PROBE_SECONDS - 0.01)
        self.assertGreater(seat.end_to_end_seconds, 0.7)


class SeatTests(SynchronousTestCase):
    """``Seat``."""

    def test_room_is_counted_in_messages_and_in_bytes(self) -> None:
        seat = Seat(ADA, 3, 100)
        self.assertTrue(seat.has_room(100))
        self.assertFalse(seat.has_room(101))
        self.assertTrue(seat.has_room(200, 2))
        for _ in range(3):
            seat.submit(1)
        self.assertFalse(seat.has_room(1))
        self.assertTrue(seat.has_room(1, 2))
        self.assertEqual((seat.queued_messages, seat.queued_bytes), (3, 3))

    def test_who_waits_for_room_hears_of_it_once_when_half_is_free(self) -> None:
        seat = Seat(ADA, 4, 100)
        for _ in range(4):
            seat.submit(25)
        seat.wants_room = True
        self.assertEqual([seat.release(1, 25) for _ in range(4)], [False, True, False, False])

    def test_half_of_the_bytes_must_be_free_too(self) -> None:
        seat = Seat(ADA, 4, 100)
        for size in (1, 1, 1, 90):
            seat.submit(size)
        seat.wants_room = True
        self.assertEqual([seat.release(1, size) for size in (1, 1, 1, 90)], [False] * 3 + [True])

    def test_nobody_waiting_hears_nothing(self) -> None:
        seat = Seat(ADA, 1, 100)
        seat.submit(1)
        self.assertFalse(seat.release(1, 1))


class TurnTests(SynchronousTestCase):
    """``Turn.settle``: which reliable events the game has taken."""

    @given(st.lists(st.one_of(st.sampled_from(("data", "input")), st.integers(0, 6)), max_size=60))
    def test_exactly_those_taken_are_counted(self, steps: list[str | int]) -> None:
        pair = Pair()
        pair.bind()
        pair.server.takes = False
        pair.server.take(len(pair.server.events))
        reliable: list[int] = []
        for step in steps:
            if isinstance(step, int):
                pair.server.take(step)
            elif step == "data":
                reliable.append(len(pair.server.events))
                pair.send(pair.client, b"x")
                pair.advance(0.03)
            else:
                before = len(pair.server.events)
                pair.send_input(1)
                pair.advance(0.03)
                self.assertEqual(len(pair.server.events), before + 1)
            taken = sum(index < pair.server.taken for index in reliable)
            self.assertEqual(pair.server_session.incoming.taken, taken)


class CounterTests(SynchronousTestCase):
    """``Counters``."""

    def test_every_counter_is_declared_starts_at_zero_and_is_in_the_snapshot(self) -> None:
        counters = Counters()
        self.assertEqual(set(counters.snapshot()), set(Counters.__annotations__))
        self.assertEqual(set(counters.snapshot().values()), {0})

    def test_drops_are_the_causes_that_occurred(self) -> None:
        counters = Counters()
        counters.drop_datagram_forged = 2
        counters.datagrams_in = 9
        self.assertEqual(counters.drops(), {"drop_datagram_forged": 2})

    def test_the_server_is_nobody(self) -> None:
        self.assertEqual((SERVER.id, str(SERVER)), (0, ""))

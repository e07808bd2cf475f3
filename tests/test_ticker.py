"""Steps on a grid: none lost without being told, none shifted by a late one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.ticker import GRAIN_SECONDS, Due, Ticker

DT = 0.125  # exact in binary, so that times can be compared


def steps(ticker: Ticker, now: float) -> list[Due]:
    found = []
    while (due := ticker.due(now)) is not None:
        found.append(due)
    return found


class TickerTests(SynchronousTestCase):
    """The grid, by hand."""

    def test_the_first_step_is_due_at_once_and_each_next_one_dt_later(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        self.assertEqual(ticker.deadline, 10.0)
        self.assertEqual(ticker.due(10.0), Due(1, 0.0, 0))
        self.assertIsNone(ticker.due(10.0 + DT / 2))
        self.assertEqual(ticker.deadline, 10.0 + DT)
        self.assertEqual(ticker.due(10.0 + DT), Due(2, 0.0, 0))

    def test_step_n_is_due_n_dt_after_the_origin(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        self.assertEqual(ticker.origin + 1 * DT, 10.0)

    def test_a_late_step_says_how_late_and_does_not_shift_the_next(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        self.assertEqual(ticker.due(10.0 + DT + 0.0625), Due(2, 0.0625, 0))
        self.assertEqual(ticker.deadline, 10.0 + 2 * DT)

    def test_a_game_late_for_a_moment_makes_up_for_every_step(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        late = steps(ticker, 10.0 + 5 * DT)
        self.assertEqual([due.number for due in late], [2, 3, 4, 5, 6])
        self.assertEqual([due.late_seconds for due in late], [4 * DT, 3 * DT, 2 * DT, DT, 0.0])
        self.assertEqual(ticker.skipped, 0)

    def test_one_later_than_the_cap_gives_up_steps_and_is_told_how_many(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        late = steps(ticker, 10.0 + 8 * DT + 0.0625)
        self.assertEqual(late, [Due(9, 0.0625, 7)])
        self.assertEqual(ticker.skipped, 7)
        self.assertEqual(ticker.deadline, 10.0 + 9 * DT)

    def test_a_step_that_is_due_within_the_grain_counts_towards_the_cap(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        late = steps(ticker, 10.0 + 7 * DT - GRAIN_SECONDS / 2)
        self.assertEqual(late, [Due(8, 0.0, 6)])

    def test_the_last_step_of_a_run_comes_ahead_of_its_time(self) -> None:
        ticker = Ticker(DT, 10.0, 5)
        ticker.due(10.0)
        self.assertEqual(ticker.force(), Due(2, 0.0, 0))
        self.assertIsNone(ticker.due(10.0 + DT))

    def test_the_statistics_are_of_what_ran(self) -> None:
        ticker = Ticker(DT, 0.0, 5)
        self.assertEqual(ticker.stats()["per_second"], 0.0)
        for number in range(101):
            ticker.due(number * DT + (0.0625 if number >= 90 else 0.0))
        stats = ticker.stats()
        self.assertEqual((stats["rate"], stats["number"], stats["skipped"]), (8.0, 101, 0))
        self.assertAlmostEqual(stats["per_second"], 8.0, places=1)
        self.assertEqual((stats["late_p50_ms"], stats["late_p99_ms"]), (0.0, 62.5))

    @given(
        st.floats(1.0, 1000.0),
        st.integers(1, 10),
        st.lists(st.floats(0.0, 3.0), max_size=60),
    )
    def test_every_step_is_either_run_or_reported_and_none_runs_early(
        self, hz: float, catch_up: int, pauses: list[float]
    ) -> None:
        ticker = Ticker(1 / hz, 0.0, catch_up)
        now = 0.0
        seen = skipped = 0
        for pause in pauses:
            now += pause / hz * 10
            due_now = steps(ticker, now)
            for due in due_now:
                skipped += due.skipped
                seen += 1
                self.assertEqual(due.number, seen + skipped)
                self.assertGreaterEqual(due.late_seconds, 0.0)
                self.assertLessEqual(due.skipped * (due.skipped <= catch_up), 0)
            # One more than the cap where the oldest is not late by a whole step beyond it.
            self.assertLessEqual(len(due_now), catch_up + 1)
            self.assertGreater(ticker.deadline, now)
        self.assertEqual(ticker.skipped, skipped)

"""The server's clock as a client sees it: near the truth, and never backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.clock import FORGET_SECONDS, ServerClock

AHEAD = 500.0
"""How far the server's clock is ahead of ours."""


class ClockTests(SynchronousTestCase):
    """``ServerClock``."""

    def test_nothing_is_known_before_the_first_state(self) -> None:
        clock = ServerClock()
        self.assertEqual((clock.known, clock.time(5.0), clock.tick(5.0, 30.0)), (False, 0.0, 0.0))

    def test_a_steady_path_gives_the_exact_time(self) -> None:
        clock = ServerClock()
        for number in range(100):
            sent = 10.0 + number / 30
            clock.observe(sent + AHEAD, number, sent + 0.04, 0.08)
            self.assertAlmostEqual(clock.time(sent + 0.04), sent + 0.04 + AHEAD)
        self.assertAlmostEqual(clock.tick(sent + 0.04, 30.0), 99 + 0.04 * 30)
        self.assertAlmostEqual(clock.tick(sent + 1.04, 30.0), 99 + 1.04 * 30)

    def test_the_quickest_arrival_is_believed(self) -> None:
        clock = ServerClock()
        for number in range(60):
            sent = 10.0 + number / 30
            clock.observe(sent + AHEAD, number, sent + 0.04 + 0.2 * (number % 10 != 3), 0.08)
        now = sent + 1.0
        self.assertAlmostEqual(clock.time(now), now + AHEAD)

    def test_a_clock_that_drifts_away_is_followed(self) -> None:
        clock = ServerClock()
        clock.observe(10.0 + AHEAD, 0, 10.04, 0.08)
        # The server's clock is slower by 1%: each arrival looks later than the one before.
        for number in range(1, 3_000):
            now = 10.0 + number / 30
            server = 10.0 + number / 30 * 0.99
            clock.observe(server + AHEAD, number, now + 0.04, 0.08)
        wrong = clock.time(now + 0.04) - (server + 0.04 + AHEAD)
        self.assertLess(abs(wrong), 0.01 * (FORGET_SECONDS + 0.1))

    @given(
        st.lists(
            st.tuples(st.floats(0.0, 2.0), st.floats(-1.0, 1.0), st.floats(0.0, 1.0)), max_size=50
        )
    )
    def test_it_never_runs_backwards(self, steps: list[tuple[float, float, float]]) -> None:
        clock = ServerClock()
        now, shown = 10.0, 0.0
        for number, (pause, jump, rtt) in enumerate(steps):
            now += pause
            clock.observe(now + AHEAD + jump, number, now, rtt)
            time = clock.time(now)
            self.assertGreaterEqual(time, shown)
            shown = time
            self.assertGreaterEqual(clock.tick(now, 30.0), number)

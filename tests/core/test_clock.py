"""The server's clock as a client sees it: near the truth, and never backwards."""

from __future__ import annotations

from math import ceil
from random import Random
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.clock import FAR_SLEW, SLEW, STRAYS, WRAP_SECONDS, ServerClock
from gamenet.core.wire import TIME_REPLY, MessageType
from tests.core.pair import Conditions, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

AHEAD = 500.0
"""How far the server's clock is ahead of ours."""
WAIT = 0.01
"""How long the server takes to answer."""
ROUGH = Conditions(loss=0.02, delay=0.04, spread=0.02)
"""A round trip of 100 ms, give or take 20."""


def ask(clock: ServerClock, sent: float, there: float, back: float, ahead: float = AHEAD) -> float:
    """A question that left at *sent*, and its answer.

    :returns: when the answer came.
    """
    came = sent + there
    now = came + WAIT + back
    clock.observe(sent, came + ahead, came + WAIT + ahead, now)
    return now


def feed(clock: ServerClock, start: float, count: int = 40, ahead: float = AHEAD) -> float:
    """So many exact answers, two a second.

    :returns: when the last came.
    """
    for number in range(count):
        now = ask(clock, start + number / 2, 0.05, 0.05, ahead)
    return now


class ClockTests(SynchronousTestCase):
    """``ServerClock``."""

    def test_nothing_is_known_before_the_first_answer_or_state(self) -> None:
        clock = ServerClock()
        self.assertEqual((clock.known, clock.time(5.0), clock.tick(5.0, 30.0)), (False, 0.0, 0.0))
        self.assertEqual((clock.offset, clock.samples), (0.0, 0))
        self.assertEqual(clock.uncertainty, float("inf"))

    def test_the_first_answer_sets_it(self) -> None:
        clock = ServerClock()
        now = ask(clock, 10.0, 0.05, 0.05)
        self.assertAlmostEqual(clock.time(now), now + AHEAD)
        self.assertAlmostEqual(clock.time(now + 7.0), now + 7.0 + AHEAD)
        self.assertAlmostEqual(clock.uncertainty, 0.05)

    def test_states_give_a_rough_time_until_then(self) -> None:
        clock = ServerClock()
        for number in range(60):
            sent = 10.0 + number / 30
            late = 0.2 * (number % 10 != 3)
            clock.state_came(sent + AHEAD, number, sent + 0.04 + late, 0.08)
        self.assertTrue(clock.known)
        self.assertAlmostEqual(clock.time(12.5), 12.5 + AHEAD)
        ask(clock, 13.0, 0.05, 0.05, AHEAD + 0.5)
        clock.state_came(14.0 + AHEAD + 3.0, 61, 14.0, 0.0)
        self.assertAlmostEqual(clock.time(14.0), 14.0 + AHEAD + 0.5)

    def test_who_reads_with_an_older_time_is_not_taken_back(self) -> None:
        clock = ServerClock()
        now = ask(clock, 10.0, 0.05, 0.05)
        shown = clock.time(now + 1.0)
        self.assertEqual(clock.time(now + 0.5), shown)

    def test_the_slower_half_does_not_count(self) -> None:
        clock, dice = ServerClock(), Random(1)
        for number in range(40):
            way = 0.05 + 0.02 * dice.random()
            ask(clock, 10.0 + number / 2, way, way + 0.15 * (number % 2))
        self.assertLess(abs(clock.offset - AHEAD), 1e-6)

    def test_the_quicker_ones_count_more(self) -> None:
        clock = ServerClock()
        for number in range(32):
            ask(clock, 10.0 + number / 2, 0.05, 0.05 + 0.1 * (number * 13 % 32) / 32)
        # The plain mean of the quicker half is wrong by 11.7 ms.
        self.assertLess(abs(clock.offset - AHEAD), 0.0095)

    def test_the_quickest_one_does_not_outweigh_all_others(self) -> None:
        clock = ServerClock()
        for number in range(32):
            there, back = (0.03, 0.07) if number == 20 else (0.06, 0.06)
            ask(clock, 10.0 + number / 2, there, back)
        self.assertLess(abs(clock.offset - AHEAD), 0.006)

    def test_asymmetry_cannot_be_seen(self) -> None:
        clock = ServerClock()
        for number in range(40):
            ask(clock, 10.0 + number / 2, 0.02, 0.08)
        self.assertAlmostEqual(clock.offset - AHEAD, -0.03)
        self.assertLess(clock.uncertainty, 1e-6)

    def test_lies_are_ignored_until_they_agree_with_each_other(self) -> None:
        clock = ServerClock()
        now = feed(clock, 10.0)
        for _ in range(STRAYS - 1):
            now = ask(clock, now, 0.05, 0.05, AHEAD + 60.0)
        now = ask(clock, now, 0.05, 0.05)
        for _ in range(STRAYS - 1):
            now = ask(clock, now, 0.05, 0.05, AHEAD + 60.0)
        self.assertAlmostEqual(clock.offset, AHEAD)
        now = ask(clock, now, 0.05, 0.05, AHEAD + 60.0)
        self.assertAlmostEqual(clock.time(now), now + AHEAD + 60.0)

    def test_it_slews(self) -> None:
        for jump, rate in ((0.04, SLEW), (-0.04, -SLEW), (0.5, FAR_SLEW), (-0.5, -FAR_SLEW)):
            clock = ServerClock()
            now = ask(clock, 10.0, 0.001, 0.001)
            for _ in range(STRAYS):
                now = ask(clock, now, 0.001, 0.001, AHEAD + jump)
            self.assertAlmostEqual(clock.offset, AHEAD + jump)
            self.assertAlmostEqual(clock.time(now), now + AHEAD)
            self.assertAlmostEqual(clock.time(now + 0.1), now + AHEAD + 0.1 * (1 + rate))
            self.assertAlmostEqual(clock.time(now + 9.0), now + 9.0 + AHEAD + jump)

    def test_a_clock_that_drifts_is_followed(self) -> None:
        for drift in (1e-4, -1e-4):
            clock, dice, worst = ServerClock(), Random(2), 0.0
            for number in range(400):
                sent = 10.0 + number / 2
                ahead = AHEAD + drift * sent
                now = ask(
                    clock, sent, 0.04 + 0.02 * dice.random(), 0.04 + 0.02 * dice.random(), ahead
                )
                if number > 20:
                    worst = max(worst, abs(clock.time(now) - now - AHEAD - drift * now))
            self.assertLess(worst, 0.005)

    def test_ticks_follow_the_time(self) -> None:
        clock = ServerClock()
        now = feed(clock, 10.0)
        clock.state_came(now - 0.05 + AHEAD, 99, now, 0.1)
        self.assertAlmostEqual(clock.tick(now, 30.0), 99 + 0.05 * 30, places=5)
        self.assertAlmostEqual(clock.tick(now + 1.0, 30.0), 99 + 1.05 * 30, places=5)

    def run_ticks(self, clock: ServerClock, start: float, rate: float, seconds: int) -> float:
        """States of a game at that rate, one with each tick, from *start* on by its own clock.

        :returns: the time of the last, by that clock.
        """
        first = ceil(start * rate)
        for number in range(first, first + round(seconds * rate)):
            time = number / rate
            clock.state_came(int(time * 1000) / 1000, number, time - AHEAD + 0.05, 0.1)
        return time

    def test_a_game_at_another_rate_than_it_told_is_found_out(self) -> None:
        clock = ServerClock()
        feed(clock, 10.0)
        for number, rate in enumerate((20.0, 7.0, 144.0, 20.2)):
            last = self.run_ticks(clock, 1_000.0 + 10 * number, rate, 4)
            self.assertLess(abs(clock.rate(rate) - rate), 1e-9, "the rate told is not taken")
            self.assertLess(abs(clock.rate(50.0) - rate), 0.005 * rate)
            # A second without a state counts at its rate.
            at = clock.tick(last - AHEAD + 1.0, 50.0)
            self.assertLess(abs(at - (last + 1.0) * rate), 0.01 * rate)

    def test_one_odd_count_is_no_rate(self) -> None:
        clock = ServerClock()
        self.run_ticks(clock, 1_000.0, 30.0, 3)
        for time, tick in ((1_010, 31_500), (1_012, 90_000), (1_014, 5), (1_014, 5), (1_016, 5)):
            clock.state_came(float(time), tick, time - AHEAD, 0.1)
            self.assertEqual(clock.rate(30.0), 30.0)

    def test_a_rate_that_no_game_has_is_none(self) -> None:
        clock = ServerClock()
        for time in range(1_000, 1_010):
            clock.state_came(float(time), 2_000 * time, time - AHEAD, 0.1)
        self.assertEqual(clock.rate(30.0), 30.0)

    def test_ticks_go_back_where_a_game_numbers_them_anew_and_nowhere_else(self) -> None:
        clock = ServerClock()
        feed(clock, 10.0)
        self.run_ticks(clock, 1_000.0, 60.0, 4)
        before = clock.tick(504.0, 60.0)
        self.assertLess(abs(before - 60 * 1_004.0), 1.0)
        # One second's ticks less: it stands until they have caught up.
        clock.state_came(1_004.0, round(before) - 59, 504.05, 0.1)
        self.assertEqual(clock.tick(504.0, 60.0), before)
        last = self.run_ticks(clock, 1_005.0, 20.0, 4)
        self.assertLess(abs(clock.tick(last - AHEAD, 60.0) - 20 * last), 0.1)

    def test_a_server_that_runs_for_two_months_may_count_its_milliseconds_anew(self) -> None:
        clock = ServerClock()
        ahead = WRAP_SECONDS + 1_000.0
        now = feed(clock, 10.0, ahead=ahead)
        clock.state_came(now - 0.05 + ahead - WRAP_SECONDS, 99, now, 0.1)
        self.assertAlmostEqual(clock.time(now), now + ahead, places=5)
        self.assertAlmostEqual(clock.tick(now, 30.0), 99 + 0.05 * 30, places=5)

    @given(
        st.lists(
            st.tuples(
                st.floats(0.0, 2.0),
                st.booleans(),
                st.floats(0.0, 2_000.0) | st.floats(0.0, 1.0),
                st.floats(0.0, 2.0**64 / 1e6) | st.floats(505.0, 515.0),
                st.floats(0.0, 4_295.0) | st.floats(0.0, 0.1),
                st.integers(0, 0xFFFFFFFF),
            ),
            max_size=60,
        )
    )
    def test_it_never_runs_backwards_and_nothing_raises(
        self, steps: list[tuple[float, bool, float, float, float, int]]
    ) -> None:
        clock = ServerClock()
        now, shown, ticks, highest = 10.0, 0.0, 0.0, 0.0
        for pause, is_state, away, server, wait, tick in steps:
            now += pause
            if is_state:
                clock.state_came(server % WRAP_SECONDS, tick, now, away)
            else:
                clock.observe(now - away, server, server + wait, now)
            highest = max(highest, server + wait + away)
            for later in (now, now + pause / 2):
                time, at = clock.time(later), clock.tick(later, 30.0)
                self.assertGreaterEqual(time, shown)
                # Ticks go back by more than a second's, or not at all.
                if at < ticks:
                    self.assertGreater(ticks - at, clock.rate(30.0))
                shown, ticks = time, at
            now += pause / 2
            self.assertLessEqual(shown, highest + 2 * now)


class PathTests(SynchronousTestCase):
    """The clock over a path, both sessions and all: a truth to compare with."""

    def joined(self, seed: int, conditions: Conditions, zero: float = 0.0) -> Pair:
        """A client whose server's game clock began at *zero*, soon after its join."""
        pair = Pair(seed, conditions, frame_delay=conditions.delay + conditions.spread / 2)
        pair.server.turn.game_clock_zero = zero
        while not pair.client_session.path.bound:
            pair.advance(0.05)
        return pair

    def play(self, pair: Pair, seconds: float, zero: float = 0.0) -> Iterator[float]:
        """The errors, each 10 ms, at 20 ticks a second; what is shown must not go back."""
        clock = pair.client_session.clock
        shown = 0.0
        for step in range(round(seconds * 100)):
            if step % 5 == 0:
                pair.send_state(b"state")
                pair.send_input(0)
            pair.advance(0.01)
            time = clock.time(pair.now)
            self.assertGreaterEqual(time, shown)
            shown = time
            yield abs(time - (pair.now - zero))

    def test_errors_stay_within_5_ms(self) -> None:
        for seed in range(5):
            errors = list(self.play(self.joined(seed, ROUGH), 60.0))
            late = sorted(errors[1_000:])
            self.assertLessEqual(late[len(late) * 99 // 100], 0.005, f"seed {seed}")

    def test_it_is_right_within_three_seconds(self) -> None:
        for seed in range(5):
            errors = list(self.play(self.joined(seed, ROUGH), 5.0))
            self.assertLessEqual(max(errors[300:]), 0.005, f"seed {seed}")

    def test_a_game_clock_behind_or_ahead_of_ours_and_one_set_later(self) -> None:
        for zero in (-1e6, 999.0):
            pair = self.joined(1, ROUGH, zero)
            errors = list(self.play(pair, 12.0, zero))
            self.assertLessEqual(max(errors[1_000:]), 0.005)
            pair.server.turn.game_clock_zero = zero - 30.0
            errors = list(self.play(pair, 20.0, zero - 30.0))
            self.assertLessEqual(max(errors[1_500:]), 0.005)

    def test_a_game_clock_is_not_told_before_it_has_begun(self) -> None:
        pair = self.joined(1, Conditions())
        clock = pair.client_session.clock = ServerClock()
        for zero in (None, pair.now + 30.0):
            pair.server.turn.game_clock_zero = zero
            for _ in range(20):
                pair.send_input(0)
                pair.advance(0.1)
            self.assertEqual(clock.samples, 0)
        # Nor are questions answered that came before: how long ago, nobody could say.
        zero = pair.now
        pair.server.turn.game_clock_zero = zero
        for _ in range(20):
            pair.send_input(0)
            pair.advance(0.1)
            if clock.samples:
                self.assertLessEqual(abs(clock.time(pair.now) - (pair.now - zero)), 0.03)
        self.assertGreater(clock.samples, 5)

    def test_it_asks_often_at_first_and_then_twice_a_second(self) -> None:
        pair = self.joined(1, Conditions())
        asked = []
        for seconds in (2.0, 20.0):
            before = pair.client_session.clock.samples
            for _ in self.play(pair, seconds):
                pass
            asked.append(pair.client_session.clock.samples - before)
        self.assertGreaterEqual(asked[0], 14)
        self.assertLessEqual(asked[1], 40)
        self.assertGreaterEqual(asked[1], 30)

    def test_where_both_games_are_silent_it_asks_each_five_seconds(self) -> None:
        pair = self.joined(1, Conditions())
        for _ in self.play(pair, 5.0):
            pass
        pair.advance(10.0)
        clock = pair.client_session.clock
        before, sent = clock.samples, len(pair.wire)
        pair.advance(60.0)
        self.assertIn(clock.samples - before, range(10, 13))
        # A question, its answer, two acks; and the pings of both ways.
        self.assertLess(len(pair.wire) - sent, 80)
        self.assertLessEqual(abs(clock.time(pair.now) - pair.now), 0.005)

    def test_an_answer_that_cannot_be_does_not_reach_the_clock(self) -> None:
        pair = self.joined(1, Conditions())
        before = pair.client_session.clock.samples
        came = int(pair.now * 1e6)
        asked = came & 0xFFFFFFFF
        pair.deliver(pair.server, (int(MessageType.TIME), TIME_REPLY.pack(asked, came, 1_000)))
        self.assertEqual(pair.client_session.clock.samples, before)
        pair.deliver(pair.server, (int(MessageType.TIME), TIME_REPLY.pack(asked, came, 0)))
        self.assertEqual(pair.client_session.clock.samples, before + 1)

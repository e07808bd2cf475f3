"""When inputs arrive, by their tick: what the server tells, and what the client makes of it."""

from __future__ import annotations

from math import floor

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.counters import Counters
from gamenet.core.input_timing import (
    INPUT_TIMING,
    MARGIN_SECONDS,
    MAX_LEAD_SECONDS,
    NUMBERS,
    WAYS,
    InputLead,
    InputTiming,
)
from gamenet.errors import WireError

DT = 0.02
ZERO = 1_000.0


def assert_near(test: SynchronousTestCase, found: float, wanted: float, within: float) -> None:
    """Within so much."""
    test.assertLessEqual(abs(found - wanted), within, f"{found} is not {wanted}")


class ServerTests(SynchronousTestCase):
    """What came in time."""

    def setUp(self) -> None:
        self.counters = Counters()
        self.timing = InputTiming(0.5, self.counters)

    def came(self, number: int, tick: int, before: float) -> int:
        """The input of a tick comes so many seconds before it begins."""
        return self.timing.came(number, tick & 0xFFFF, ZERO + tick * DT - before, ZERO, DT)

    def counts(self) -> tuple[int, int]:
        self.assertEqual(self.timing.late, self.counters.inputs_late)
        self.assertEqual(self.timing.early, self.counters.inputs_early)
        return self.timing.late, self.timing.early

    def test_late_in_time_and_early_are_told_apart(self) -> None:
        for before, counts in (
            (0.001, (0, 0)),
            (0.119, (0, 0)),
            (0.121, (0, 1)),
            (-0.001, (1, 1)),
            (-5.0, (2, 1)),
        ):
            self.assertEqual(self.came(1, 700, before), 700)
            self.assertEqual(self.counts(), counts)

    def test_the_tick_is_the_nearest_with_that_low_half(self) -> None:
        for tick in (65_530, 65_536, 70_000, 1 << 20, (1 << 32) + 5):
            self.assertEqual(self.came(1, tick, 0.01), tick)
            self.assertEqual(self.came(1, tick, -0.01), tick)

    def test_none_is_held_longer_than_the_limit(self) -> None:
        self.assertEqual(self.came(1, 700, 0.499), 700)
        for before in (0.501, 3.0, 600.0):
            tick = self.came(1, 70_000, before)
            now = 70_000 * DT - before
            self.assertTrue(now + 0.5 - DT <= tick * DT <= now + 0.5, (before, tick))

    def test_a_short_limit_holds_and_the_next_tick_is_always_in_reach(self) -> None:
        self.timing = InputTiming(0.05, self.counters)
        self.assertEqual(self.came(1, 700, 0.049), 700)
        # 85 ms are not early, and too long all the same: 698 begins 45 ms from there.
        self.assertEqual(self.came(1, 700, 0.085), 698)
        self.assertEqual(self.counts(), (0, 0))
        slow = InputTiming(0.5, self.counters)
        # One tick a second: the next begins in 0.9 s, and the game takes nothing before.
        self.assertEqual(slow.came(1, 8, 7.1, 0.0, 1.0), 8)
        self.assertEqual(slow.came(1, 9, 7.1, 0.0, 1.0), 8)

    def test_without_a_limit_to_hold_it_the_tick_stays_as_it_was_meant(self) -> None:
        self.timing = InputTiming(0.0, self.counters)
        self.assertEqual(self.came(1, 700, 3.0), 700)

    @given(st.integers(0, 0xFFFF), st.floats(ZERO - 10, ZERO + 1e6))
    def test_any_low_half_at_any_time_gives_a_tick_that_can_be(self, low: int, now: float) -> None:
        tick = InputTiming(0.5, Counters()).came(1, low, now, ZERO, DT)
        self.assertGreaterEqual(tick, 1)
        self.assertLessEqual(ZERO + tick * DT - now, max(0.5, ZERO + DT - now) + 1e-6)

    def test_a_report_tells_the_hastiest_since_the_last(self) -> None:
        for number, before in ((1, 0.03), (2, 0.01), (3, 0.02)):
            self.came(number, 700 + number, before)
        self.timing.look(4, 5.0)
        self.assertTrue(self.timing.due)
        *counts, left = INPUT_TIMING.unpack(self.timing.report())
        self.assertEqual(counts, [0, 0, 4, 2])
        assert_near(self, left, 10_000, 1)
        self.assertFalse(self.timing.due)
        self.came(4, 704, -0.005)
        *_, number, left = INPUT_TIMING.unpack(self.timing.report())
        self.assertEqual(number, 4)
        assert_near(self, left, -5_000, 1)
        self.assertEqual(INPUT_TIMING.unpack(self.timing.report())[3:], (0, 0))

    def test_figures_beyond_the_wire_are_cut_to_it(self) -> None:
        self.timing.late = (1 << 32) + 3
        self.timing.came(9, 0, ZERO + 8_000.0, ZERO, 1.0)
        late, _, _, _, left = INPUT_TIMING.unpack(self.timing.report())
        self.assertEqual((late, left), (4, -(1 << 31) + 1))


class ClientTests(SynchronousTestCase):
    """The lead."""

    def setUp(self) -> None:
        self.lead = InputLead()

    def tell(self, number: int, left: float, late: int = 0, early: int = 0) -> None:
        self.lead.told(INPUT_TIMING.pack(late, early, 0, number, int(left * 1e6)))

    def test_until_the_tick_is_known_inputs_are_meant_for_none(self) -> None:
        self.assertEqual(self.lead.aim(1, 0.0, 50.0), 0)
        self.tell(1, 0.5)
        self.assertEqual(self.lead.lead, 0.0, "a way was measured without a departure")

    def test_before_any_report_half_the_round_trip_and_the_jitter_count(self) -> None:
        self.lead.guess(0.1, 0.01)
        self.assertAlmostEqual(self.lead.lead, 0.05 + 0.02 + MARGIN_SECONDS)
        self.assertEqual(self.lead.aim(1, 100.0, 50.0), 100 + floor(0.075 * 50) + 1)
        self.lead.aim(1, 100.0, 50.0)
        self.tell(1, 0.0)
        self.lead.guess(9.0, 9.0)
        self.assertLess(self.lead.lead, 0.2, "a guess outweighed a report")

    def test_the_lead_is_the_way_and_a_margin(self) -> None:
        # 103 begins 60 ms from here; with 20 ms left, it took 40.
        self.lead.guess(0.09, 0.0)
        self.assertEqual(self.lead.aim(1, 100.0, 50.0), 103)
        self.tell(1, 0.02)
        self.assertAlmostEqual(self.lead.lead, 0.04 + MARGIN_SECONDS)

    def took(self, number: int, way: float) -> None:
        """The hastiest input of a report took so long to the server."""
        self.lead.aim(number, 100.0 + number, 50.0)
        self.tell(number, self.lead._left_at[number] - way)

    def test_it_rises_within_two_reports_and_falls_by_and_by(self) -> None:
        self.took(1, 0.05)
        self.took(2, 0.2)
        self.took(3, 0.2)
        top = self.lead.lead
        self.assertAlmostEqual(top, 0.2 + MARGIN_SECONDS, places=4)
        for number in range(4, WAYS + 2):
            self.took(number, 0.05)
            self.assertAlmostEqual(self.lead.lead, top, msg="long ways were forgotten too soon")
        self.took(WAYS + 2, 0.05)
        self.assertTrue(0.15 < self.lead.lead < top)

    def test_one_hiccup_is_none_of_its_business(self) -> None:
        for number in range(1, 5):
            self.took(number, 0.05)
        lead = self.lead.lead
        self.took(5, 3.0)
        self.assertAlmostEqual(self.lead.lead, lead, places=4)

    def test_ticks_never_go_back(self) -> None:
        self.lead.lead = 0.5
        first = self.lead.aim(1, 100.0, 50.0)
        self.lead.lead = 0.0
        self.assertEqual(self.lead.aim(2, 100.5, 50.0), first)

    def test_where_ticks_are_numbered_anew_it_goes_on_with_the_new_ones(self) -> None:
        self.lead.lead = 0.1
        self.assertEqual(self.lead.aim(1, 60_000.0, 60.0), 60_007)
        self.assertEqual(self.lead.aim(2, 20_000.0, 20.0), 20_003)
        self.assertEqual(self.lead.aim(3, 20_000.5, 20.0), 20_003)

    def test_reports_that_lie_are_bounded_or_refused(self) -> None:
        self.lead.aim(1, 100.0, 50.0)
        for data in (b"", bytes(INPUT_TIMING.size - 1), bytes(INPUT_TIMING.size + 1)):
            self.assertRaises(WireError, self.lead.told, data)
        self.assertRaises(WireError, self.tell, 2, 0.0)
        # No way is so long: they move nothing.
        self.tell(1, -2_000.0)
        self.assertEqual(self.lead.lead, 0.0)
        self.tell(1, -4.9)
        self.assertEqual(self.lead.lead, MAX_LEAD_SECONDS)
        for _ in range(200):
            self.tell(1, 2_000.0)
        self.assertAlmostEqual(self.lead.lead, MARGIN_SECONDS, places=3)

    def test_a_report_of_long_ago_moves_nothing(self) -> None:
        for number in range(1, NUMBERS + 2):
            self.lead.aim(number, 100.0 + number, 50.0)
        self.tell(1, -3.0)
        self.assertEqual(self.lead.lead, 0.0)

    def test_counts_do_not_fall_when_reports_overtake_each_other(self) -> None:
        self.lead.aim(1, 100.0, 50.0)
        self.tell(1, 0.0, late=5, early=3)
        self.tell(1, 0.0, late=4, early=1)
        self.assertEqual((self.lead.late, self.lead.early), (5, 3))

    @settings(max_examples=50, deadline=None)
    @given(
        st.floats(0.0, 0.4),
        st.floats(0.0, 1.0),
        st.sampled_from((10.0, 20.0, 60.0)),
        st.sampled_from((20.0, 30.0, 60.0, 144.0)),
    )
    def test_over_any_way_inputs_come_in_time_and_wait_a_tick_at_most(
        self, way: float, phase: float, tick_rate: float, hz: float
    ) -> None:
        lead, timing, dt = InputLead(), InputTiming(0.5, Counters()), 1 / tick_rate
        reports: list[tuple[float, bytes]] = []
        late_at_last = 0
        for number in range(1, int(10 * hz)):
            now = 1.0 + (number + phase) / hz
            while reports and reports[0][0] <= now:
                lead.told(reports.pop(0)[1])
            tick = lead.aim(number, now * tick_rate, tick_rate)
            came = now + way
            timing.came(number, tick & 0xFFFF, came, 0.0, dt)
            if number == int(5 * hz):
                late_at_last = timing.late
            if number > 5 * hz:
                self.assertLessEqual(tick * dt - came, dt + MARGIN_SECONDS + 1e-4)
            if came - timing.told_at >= 0.5:
                timing.look(0, came)
                reports.append((came + way, timing.report()))
        self.assertEqual(timing.late, late_at_last, "an input was late after five seconds")

"""Snapshot interpolation: the clock, the delay, and what arrives late, twice or not at all."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.smooth.interpolation import Interpolator

FRAME = 1 / 60
seconds = st.floats(-10, 10)
events = st.lists(st.tuples(st.booleans(), seconds, st.floats(-0.1, 2)), max_size=200)


def play(
    buffer: Interpolator[float], start: float, until: float, interval: float, jitter: float = 0.0
) -> list[tuple[float, float]]:
    """Snapshots over a path of 100 ms, drawn at 60 Hz; (now, time shown) of each frame."""
    random = Random(5)
    arrivals = []
    for number in range(int((until - start) / interval)):
        sent = start + number * interval
        if not jitter or random.random() >= 0.05:
            arrivals.append((sent + 0.1 + random.uniform(-jitter, jitter), sent))
    arrivals.sort(reverse=True)
    frames = []
    for number in range(int((until - start) * 60)):
        now = start + number * FRAME
        while arrivals and arrivals[-1][0] <= now:
            came, sent = arrivals.pop()
            buffer.push(sent, sent, came)
        shown = buffer.sample(now)
        if shown is not None:
            frames.append((now, shown.time))
    return frames


class InterpolatorTests(SynchronousTestCase):
    @given(events)
    def test_never_backwards_and_bounded(self, happenings: list[tuple[bool, float, float]]) -> None:
        buffer: Interpolator[int] = Interpolator(capacity=4)
        now, last = 0.0, float("-inf")
        for push, offset, wait in happenings:
            now += wait
            if push:
                buffer.push(now + offset, 0, now)
            elif (shown := buffer.sample(now)) is not None:
                self.assertGreaterEqual(shown.time, last)
                last = shown.time
            self.assertLessEqual(len(buffer), 4)

    def test_perfect_path(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        play(buffer, 0, 20, 0.05)
        self.assertAlmostEqual(buffer.wanted_seconds, 0.1, 3)
        self.assertAlmostEqual(buffer.delay_seconds, 0.1, 3)
        self.assertEqual(buffer.late, 0)

    def test_jitter(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        frames = play(buffer, 0, 60, 0.05, 0.04)
        self.assertLess(buffer.starved, 5)  # of 1,200 intervals
        self.assertGreater(buffer.wanted_seconds, 0.12)
        self.assertEqual(buffer.snaps, 0)
        for (a, x), (b, y) in pairwise(frames):
            self.assertLess(y - x, (b - a) * 1.0201)
            self.assertGreater(y - x, (b - a) * 0.9599)

    def test_new_interval(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        play(buffer, 0, 10, 0.05)
        play(buffer, 10, 30, 0.1)
        self.assertAlmostEqual(buffer.delay_seconds, 0.2, 2)

    def test_a_few_percent(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        play(buffer, 0, 10, 0.05)
        frames = play(buffer, 10, 30, 0.15)
        frames += play(buffer, 30, 50, 0.05)
        rates = [(y - x) / (b - a) for (a, x), (b, y) in pairwise(frames)]
        self.assertAlmostEqual(min(rates), 0.96, 6)
        self.assertAlmostEqual(max(rates), 1.02, 6)
        self.assertEqual(buffer.snaps, 0)

    def test_pause(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        play(buffer, 0, 5, 0.05)
        newest = 4.95
        for now in (5.1, 5.2, 5.3, 6.0):
            buffer.sample(now)
        held = buffer.sample(8.0)
        assert held is not None
        self.assertLessEqual(held.time, newest + 0.25)
        self.assertEqual(buffer.starved, 1)
        play(buffer, 8, 28, 0.05)
        self.assertAlmostEqual(buffer.delay_seconds, 0.1, 2)
        self.assertGreaterEqual(buffer.snaps, 1)

    def test_late_twice_and_out_of_order(self) -> None:
        buffer: Interpolator[float] = Interpolator(min_delay=0.1)
        for time in (0.0, 0.2, 0.1, 0.1):
            buffer.push(time, time, time)
        self.assertEqual((len(buffer), buffer.duplicates), (3, 1))
        shown = buffer.sample(0.55)
        assert shown is not None
        self.assertEqual((shown.before, shown.after), (0.1, 0.2))
        self.assertAlmostEqual(shown.alpha, 0.5)
        self.assertAlmostEqual(shown.time, 0.15)
        buffer.push(0.14, 9.0, 0.55)
        self.assertEqual((len(buffer), buffer.late), (2, 1))
        buffer.push(0.16, 0.16, 0.55)
        self.assertEqual((len(buffer), buffer.late), (3, 1))

    def test_mixed_and_reset(self) -> None:
        buffer: Interpolator[float] = Interpolator()
        play(buffer, 0, 5, 0.05)
        mixed = buffer.mixed(5.0, lambda before, after, alpha: before + alpha * (after - before))
        assert mixed is not None
        self.assertAlmostEqual(mixed, 4.8, 2)
        buffer.reset()
        self.assertIsNone(buffer.sample(5.0))
        buffer.push(0.0, 1.0, 5.0)
        shown = buffer.sample(5.0)
        assert shown is not None
        self.assertLess(shown.time, 0.1)

    def test_caller_mistakes(self) -> None:
        for wrong in (
            {"interval": 0},
            {"min_delay": 2.0},
            {"extrapolate": -1},
            {"hard_limit": 0},
            {"capacity": 1},
        ):
            self.assertRaises(ValueError, Interpolator, **wrong)
        buffer: Interpolator[int] = Interpolator()
        self.assertRaises(ValueError, buffer.push, float("nan"), 0, 0.0)
        self.assertRaises(ValueError, buffer.sample, float("inf"))

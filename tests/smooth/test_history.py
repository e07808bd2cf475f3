"""History: what was recorded comes back, and no more is kept than was asked for."""

from __future__ import annotations

from math import inf, nan

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.smooth.history import History, SeenTicks


def mix(a: float, b: float, share: float) -> float:
    return a + (b - a) * share


class HistoryTests(SynchronousTestCase):
    """The ring."""

    @settings(max_examples=100)
    @given(st.integers(1, 20), st.lists(st.integers(1, 8), min_size=1, max_size=80))
    def test_returns_what_was_recorded_and_stays_bounded(self, size: int, gaps: list[int]) -> None:
        history: History[str] = History(size)
        model: dict[int, str] = {}
        tick = 0
        for gap in gaps:
            tick += gap
            model[tick] = f"world {tick}"
            history.record(tick, model[tick])
            kept = [known for known in model if known > tick - size]
            self.assertEqual(len(history), len(kept))
            self.assertLessEqual(len(history), size)
            self.assertEqual((history.oldest, history.newest), (kept[0], tick))
            for known in kept:
                self.assertEqual(history.at(known), (model[known], known, False))

    def test_between_ticks(self) -> None:
        history = History(10, mix=mix)
        history.record(1, 10.0)
        history.record(2, 20.0)
        history.record(6, 60.0)
        self.assertEqual(history.at(1.25), (12.5, 1.25, False))
        self.assertEqual(history.at(3), (30.0, 3, False))
        self.assertEqual(history.at(6), (60.0, 6, False))

    def test_between_ticks_without_mix(self) -> None:
        history: History[str] = History(10)
        history.record(1, "a")
        history.record(4, "b")
        self.assertEqual(history.at(3.9), ("a", 3.9, False))

    def test_clamps_and_says_so(self) -> None:
        history: History[str] = History(2)
        for tick in (1, 2, 3):
            history.record(tick, str(tick))
        self.assertEqual(history.at(1), ("2", 2, True))
        self.assertEqual(history.at(-inf), ("2", 2, True))
        self.assertEqual(history.at(3.5), ("3", 3, True))

    def test_mistakes(self) -> None:
        history: History[str] = History()
        self.assertEqual((history.oldest, history.newest), (None, None))
        self.assertRaisesRegex(ValueError, "record", history.at, 1)
        history.record(1, "a")
        self.assertRaisesRegex(ValueError, "rising", history.record, 1, "b")
        self.assertRaises(ValueError, history.at, nan)
        self.assertRaises(ValueError, History, 0)
        self.assertRaises(ValueError, SeenTicks, 0)


class SeenTicksTests(SynchronousTestCase):
    """From a state number to a tick."""

    def test_of_each_player(self) -> None:
        ticks = SeenTicks()
        ticks.sent(1, 5, 100)
        ticks.sent(2, 5, 200)
        ticks.sent(1, 0, 101)
        self.assertEqual((ticks.seen(1, 5), ticks.seen(2, 5)), (100, 200))
        self.assertEqual((ticks.seen(1, 0), ticks.seen(1, 6), ticks.seen(3, 5)), (None,) * 3)
        ticks.forget(1)
        ticks.forget(1)
        self.assertEqual((ticks.seen(1, 5), ticks.seen(2, 5)), (None, 200))

    def test_bounded(self) -> None:
        ticks = SeenTicks(3)
        for number in range(1, 10):
            ticks.sent(1, number, number * 2)
        found = [ticks.seen(1, number) for number in range(1, 10)]
        self.assertEqual(found, [None] * 6 + [14, 16, 18])

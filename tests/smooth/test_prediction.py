"""Prediction: nothing changes while it is right, and whatever is lost it ends at the truth."""

from __future__ import annotations

import runpy
from math import inf, nan
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.events import Disconnected
from gamenet.smooth.prediction import MAX_KEPT, Predictor
from gamenet.testing import Simulation

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]


def step(state: int, buttons: int) -> int:
    """Depends on the order of inputs, so that a wrong replay shows."""
    return (state * 3 + buttons) % 1009


def walk(state: float, buttons: int) -> float:
    return state + buttons


def difference(a: float, b: float) -> tuple[float]:
    return (a - b,)


def add(state: float, offset: Sequence[float]) -> float:
    return state + offset[0]


def smooth(
    snap: float = inf, smooth_seconds: float = 0.1, tolerance: float = 0.0
) -> Predictor[float]:
    return Predictor(
        walk,
        0.0,
        difference=difference,
        add=add,
        smooth_seconds=smooth_seconds,
        snap=snap,
        tolerance=tolerance,
    )


buttons_lists = st.lists(st.integers(0, 255), min_size=1, max_size=100)


class ReconcileTests(SynchronousTestCase):
    """The predicted truth."""

    @settings(max_examples=100)
    @given(buttons_lists, st.data())
    def test_right_predictions_are_never_corrected(
        self, values: list[int], data: st.DataObject
    ) -> None:
        own = Predictor(step, 7)
        truth = [7]
        taken = 0
        for number, buttons in enumerate(values, 1):
            truth.append(step(truth[-1], buttons))
            self.assertEqual(own.apply(number, buttons), truth[number])
            taken = data.draw(st.integers(taken, number))
            self.assertTrue(own.reconcile(truth[taken], taken))
            self.assertEqual(own.state, truth[number])
            self.assertEqual(own.waiting, number - taken)
        self.assertEqual(own.corrections, 0)

    @settings(max_examples=100)
    @given(
        st.lists(
            st.tuples(st.integers(0, 255), st.booleans(), st.integers(0, 9), st.booleans()),
            min_size=1,
            max_size=200,
        )
    )
    def test_ends_at_the_servers_state_whatever_is_lost(
        self, ticks: list[tuple[int, bool, int, bool]]
    ) -> None:
        """Inputs lost, states late, overtaken or lost."""
        own = Predictor(step, 7)
        server = 7
        arriving: list[tuple[int, int, int]] = []
        for number, (buttons, lost, delay, dropped) in enumerate(ticks, 1):
            own.apply(number, buttons)
            server = step(server, 1 if lost else buttons)
            if not dropped:
                arriving.append((number + delay, server, number))
            for when, state, taken in list(arriving):
                if when <= number:
                    own.reconcile(state, taken)
                    arriving.remove((when, state, taken))
            self.assertLessEqual(own.waiting, MAX_KEPT)
        self.assertTrue(own.reconcile(server, len(ticks)))
        self.assertEqual(own.state, server)
        self.assertEqual(own.waiting, 0)

    def test_older_state_is_ignored(self) -> None:
        own = Predictor(step, 0)
        for number in (1, 2, 3):
            own.apply(number, 5)
        own.reconcile(100, 2)
        before = own.state
        self.assertFalse(own.reconcile(999, 1))
        self.assertEqual((own.state, own.ignored, own.acknowledged), (before, 1, 2))

    def test_keeps_so_many_inputs(self) -> None:
        own = Predictor(walk, 0.0)
        for number in range(1, MAX_KEPT + 6):
            own.apply(number, 1)
        self.assertEqual((own.waiting, own.given_up), (MAX_KEPT, 5))
        own.reconcile(0.0, 0)
        self.assertEqual(own.state, MAX_KEPT)

    def test_acknowledged_beyond_what_was_sent(self) -> None:
        own = Predictor(walk, 0.0)
        own.apply(1, 1)
        own.reconcile(9.0, 4_000_000_000)
        own.apply(2, 1)
        self.assertTrue(own.reconcile(20.0, 2))
        self.assertEqual(own.state, 20.0)

    def test_numbers_rise_until_reset(self) -> None:
        own = Predictor(walk, 0.0)
        self.assertRaisesRegex(ValueError, "numbers rise", own.apply, 0, 1)
        own.apply(2, 1)
        self.assertRaisesRegex(ValueError, "numbers rise", own.apply, 1, 1)
        own.reset(5.0)
        self.assertEqual((own.apply(1, 1), own.waiting), (6.0, 1))

    def test_the_same_number_again_is_in_the_place_of_the_first(self) -> None:
        own = Predictor(walk, 0.0)
        own.apply(1, 1)
        own.apply(2, 1)
        self.assertEqual((own.apply(2, 0), own.waiting), (1.0, 2))
        own.reconcile(10.0, 1)  # replays what stands there now
        self.assertEqual(own.state, 10.0)
        self.assertEqual(own.apply(2, 1), 11.0)
        own.reconcile(11.0, 2)
        self.assertEqual((own.apply(2, 1), own.waiting), (11.0, 0))  # the server has had it

    def test_a_tick_may_send_twice_and_a_session_end_between(self) -> None:
        """What ``send_input`` returns may be handed on, whatever happens."""
        with Simulation(clients=["ada"]) as simulation:
            (client,) = simulation.clients
            own = Predictor(walk, 0.0)
            simulation.step(3)
            for buttons in (1, 0):
                own.apply(client.send_input(buttons), buttons)
            self.assertEqual((own.state, own.waiting), (0.0, 1))
            simulation.server.events()
            simulation.server.disconnect(simulation.server.find("ada"))
            for _ in range(20):
                own.apply(client.send_input(1), 1)
                simulation.step()
            self.assertIn(Disconnected, [type(event) for event in client.events()])

    def test_arguments(self) -> None:
        for wrong in (
            {"add": add},
            {"difference": difference},
            {"smooth_seconds": -1.0},
            {"smooth_seconds": nan},
            {"snap": nan},
            {"tolerance": -1.0},
        ):
            self.assertRaises(ValueError, Predictor, walk, 0.0, **wrong)
        self.assertRaises(ValueError, smooth().shown, -0.1)
        self.assertRaises(ValueError, smooth().shown, nan)


class SmoothingTests(SynchronousTestCase):
    """What is drawn."""

    @settings(max_examples=100)
    @given(
        st.floats(-1e6, 1e6),
        st.lists(st.floats(0, 0.5), max_size=40),
    )
    def test_error_shrinks_without_overshoot_and_ends(
        self, off: float, frames: list[float]
    ) -> None:
        own = smooth()
        own.reconcile(off, 0)
        self.assertEqual(own.state, off)
        last = abs(off)
        for dt in frames:
            gap = own.shown(dt) - own.state
            self.assertLessEqual(abs(gap), last * (1 + 1e-9) + 1e-9)
            self.assertLessEqual(gap * off, 0.0)
            last = abs(gap)
        own.shown(5.0)
        self.assertEqual((own.shown(0.0), own.error), (off, 0.0))

    def test_drawn_stays_where_it_is_when_corrected(self) -> None:
        own = smooth()
        own.reconcile(1.0, 0)
        self.assertEqual(own.shown(0.0), 0.0)
        drawn = own.shown(0.05)
        own.reconcile(3.0, 0)
        self.assertAlmostEqual(own.shown(0.0), drawn)
        self.assertEqual((own.corrections, own.last_correction), (2, 2.0))

    def test_shrinks_to_one_over_e(self) -> None:
        own = smooth(smooth_seconds=0.2)
        own.reconcile(1.0, 0)
        self.assertAlmostEqual(own.shown(0.2), 1 - 0.36787944)

    def test_snaps(self) -> None:
        own = smooth(snap=2.0)
        own.reconcile(2.0, 0)
        self.assertEqual((own.shown(0.0), own.snaps), (0.0, 0))
        own.reconcile(10.0, 0)
        self.assertEqual((own.shown(0.0), own.snaps), (10.0, 1))
        endless = smooth()
        endless.reconcile(inf, 0)
        self.assertEqual((endless.shown(0.0), endless.snaps), (inf, 1))

    def test_at_once_without_smoothing(self) -> None:
        for own in (Predictor(walk, 0.0), smooth(smooth_seconds=0.0)):
            own.reconcile(4.0, 0)
            self.assertEqual((own.shown(0.0), own.corrections), (4.0, 1))

    def test_rounding_is_not_counted(self) -> None:
        own = smooth(tolerance=0.01)
        own.reconcile(0.005, 0)
        self.assertEqual((own.corrections, own.shown(0.0)), (0, 0.0))


class PageTests(SynchronousTestCase):
    """The docs page and the plot."""

    def test_example_runs(self) -> None:
        text = (ROOT / "docs" / "PREDICTION.rst").read_text()
        blocks = text.split("::\n\n")[1:]
        names: dict[str, object] = {}
        for block in blocks:
            lines = []
            for line in block.splitlines():
                if line and not line.startswith("    "):
                    break
                lines.append(line[4:])
            exec("\n".join(lines), names)  # noqa: S102
        self.assertEqual(names["drawn"], (0.0, 0.0))
        self.assertEqual(names["hit"], True)

    def test_smoothing_helps_on_a_bad_path(self) -> None:
        figures = runpy.run_path(str(ROOT / "docs" / "plots" / "prediction.py"))["figures"]()
        self.assertGreater(figures["prediction_corrections"], 5)
        self.assertLess(
            figures["prediction_jump_smoothed_max_m"], figures["prediction_jump_max_m"] / 3
        )

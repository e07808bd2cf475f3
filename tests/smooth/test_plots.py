"""The figures that the documentation quotes are those that ``make plots`` would write today."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "plots"


class PlotTests(SynchronousTestCase):
    """What is in ``docs/plots``."""

    def test_the_figures_are_those_of_this_code(self) -> None:
        self.patch(sys, "path", [str(FOLDER), *sys.path])
        for name in ("clock", "interpolation", "prediction", "states"):
            self.addCleanup(sys.modules.pop, name, None)
        written = json.loads((FOLDER / "figures.json").read_text(encoding="utf-8"))
        found = runpy.run_path(str(FOLDER / "make.py"))["figures"]()
        self.assertEqual(list(written), list(found))
        for name, value in found.items():
            self.assertAlmostEqual(written[name], value, delta=1e-4 * abs(value), msg=name)
        self.assertLessEqual(found["clock_error_p99_ms"], 5.0)
        for profile in ("perfect", "wifi", "cellular"):
            self.assertLessEqual(found[f"state_bytes_share_{profile}"], 0.25)

    def test_every_drawing_is_there_and_on_a_page(self) -> None:
        pages = "".join(path.read_text(encoding="utf-8") for path in FOLDER.parent.glob("*.rst"))
        drawn = [path.name for path in FOLDER.glob("*.svg")]
        self.assertGreaterEqual(len(drawn), 4)
        for name in drawn:
            self.assertIn(f"image:: plots/{name}", pages)

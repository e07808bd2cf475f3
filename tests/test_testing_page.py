"""The listings of the page about testing are files, and the files are what runs."""

from __future__ import annotations

import inspect
import re
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.impairment import PROFILES
from gamenet.testing import Pair, SimulatedNetwork, Simulation

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "TESTING.rst").read_text(encoding="utf-8")
LISTINGS = ("test_walk.py", "test_walk_trial.py", "test_tag.py", "test_echo.py")


class TestingPageTests(SynchronousTestCase):
    def test_every_listing_is_an_example_file(self) -> None:
        blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", PAGE)
        found = [textwrap.dedent(block).strip() + "\n" for block in blocks]
        files = [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in LISTINGS]
        self.assertEqual(found, files)

    def test_the_first_test_is_as_short_as_promised(self) -> None:
        lines = (ROOT / "examples" / LISTINGS[0]).read_text(encoding="utf-8").splitlines()
        self.assertLessEqual(len([line for line in lines[1:] if line]), 16)

    def test_every_name_is_there(self) -> None:
        for kind in (Simulation, SimulatedNetwork):
            public = [name for name in vars(kind) if not name.startswith("_")]
            named = re.findall(r"^``(\w+)[(`]", PAGE, re.MULTILINE)
            promised = [name for name in named if name in public]
            self.assertGreaterEqual(len(promised), 4, kind)
            for name in promised:
                self.assertTrue(inspect.getdoc(getattr(kind, name)), name)
        self.assertIn("client", vars(Pair))
        for name in PROFILES:
            self.assertIn(name, PAGE)

"""The API reference leaves nothing out: no exported name, no setting, no method of a facade."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import gamenet
import gamenet.discovery
import gamenet.testing
from gamenet.bots import Bot
from gamenet.interest import Interest, Priorities
from gamenet.smooth import History, Interpolator, Predictor

ROOT = Path(__file__).parent.parent
PAGES = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/api").glob("*.rst"))]
DIRECTIVE = re.compile(r"^\.\. (?:auto\w+|py:\w+):: ([\w.]+)", re.MULTILINE)
# Those that are shown with all their methods, because games call them.
WHOLE = (
    *(gamenet.Game, gamenet.GameServer, gamenet.GameClient, gamenet.Snapshot),
    *(gamenet.testing.Simulation, gamenet.testing.Pair, Bot),
    *(Interest, Priorities, History, Interpolator, Predictor),
)


def documented() -> set[str]:
    """What the pages have an entry for."""
    return {name for page in PAGES for name in DIRECTIVE.findall(page)}


class ApiPagesTests(SynchronousTestCase):
    def test_every_exported_name_has_an_entry(self) -> None:
        for module in (gamenet, gamenet.testing, gamenet.discovery):
            names = {f"{module.__name__}.{name}" for name in module.__all__}
            self.assertEqual(names - documented(), set())

    def test_nothing_has_two(self) -> None:
        found = [name for page in PAGES for name in DIRECTIVE.findall(page)]
        self.assertEqual(len(found), len(set(found)))

    def test_every_setting_says_what_it_does(self) -> None:
        """One without a text under it would not be on the page."""
        for name in ("settings", "limits", "config"):
            source = (ROOT / "gamenet" / f"{name}.py").read_text(encoding="utf-8")
            for kind in ast.parse(source).body:
                if not isinstance(kind, ast.ClassDef):
                    continue
                for field, text in zip(kind.body, kind.body[1:], strict=False):
                    if isinstance(field, ast.AnnAssign):
                        self.assertIsInstance(text, ast.Expr, ast.unparse(field))

    def test_every_method_of_what_games_use_says_what_it_does(self) -> None:
        for kind in WHOLE:
            for name, member in inspect.getmembers(kind):
                if not name.startswith("_") and (callable(member) or isinstance(member, property)):
                    self.assertTrue(inspect.getdoc(member), f"{kind.__name__}.{name}")

    def test_all_of_it_is_shown(self) -> None:
        """Either whole, or with what was left out named."""
        text = "\n".join(PAGES)
        for kind in WHOLE:
            [entry] = re.findall(
                rf"^\.\. autoclass:: gamenet[\w.]*\.{kind.__name__}\n((?:   .*\n)*)", text, re.M
            )
            self.assertNotIn("no-members", entry)
            left_out = re.findall(r":exclude-members: (.*)", entry)
            for name in (", ".join(left_out)).split(", ") if left_out else ():
                self.assertTrue(hasattr(kind, name), f"{kind.__name__} has no {name} any more")

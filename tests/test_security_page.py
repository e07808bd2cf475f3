"""``docs/SECURITY.rst`` against the tests: what it names exists, and no attack is left out."""

from __future__ import annotations

import ast
import re
from dataclasses import fields
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ServerConfig

TESTS = Path(__file__).parent
PAGE = (TESTS.parent / "docs" / "SECURITY.rst").read_text(encoding="utf-8")
TABLE = PAGE[PAGE.index("Threats\n-------") :]
NAMED = re.findall(r"``((?:\w+\.)*test_\w+(?:\.\w+)*)``", TABLE)


def found_in(path: Path) -> set[str]:
    """The tests of a file: functions, classes, and methods behind the name of their class."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            own = {name for name in methods if name.startswith("test_")}
            # One without tests of its own may run those that it inherits.
            if own or node.name.endswith("Tests"):
                found.add(node.name)
            found.update(f"{node.name}.{name}" for name in own)
    return found


def split(named: str) -> tuple[Path, str]:
    """The file that a name on the page is in, and what it names there."""
    parts = named.split(".")
    count = next(index for index, part in enumerate(parts) if part.startswith("test_")) + 1
    return TESTS.joinpath(*parts[:count]).with_suffix(".py"), ".".join(parts[count:])


class SecurityPageTests(SynchronousTestCase):
    def test_everyTestThatItNamesExists(self) -> None:
        self.assertGreater(len(NAMED), 50)
        for named in NAMED:
            path, test = split(named)
            self.assertTrue(path.is_file(), named)
            self.assertTrue(not test or test in found_in(path), named)

    def test_everyThreatHasOne(self) -> None:
        rows = re.split(r"^   \* - ", TABLE, flags=re.MULTILINE)[2:]
        self.assertGreater(len(rows), 25)
        for row in rows:
            self.assertRegex(row, r"``(\w+\.)*test_\w+", row)

    def test_everyTestOfAThreatIsOnIt(self) -> None:
        named = {split(each) for each in NAMED}
        for path in (TESTS / "threats").glob("test_*.py"):
            for test in found_in(path):
                name, _, method = test.partition(".")
                if not method:
                    there = {one for file, one in named if file == path}
                    self.assertTrue(
                        any(one == name or one.startswith(f"{name}.") for one in there),
                        f"{path.name}: {name} is not on the page",
                    )

    def test_settingsThatItNamesExist(self) -> None:
        known = {item.name for item in fields(ServerConfig)}
        named = set(re.findall(r"``(\w+_\w+)``", PAGE)) - {"bench_trust"}
        settings = {name for name in named if not name.startswith("test_")}
        self.assertGreater(len(settings), 5)
        self.assertEqual(settings - known, set())

    def test_itInventsNoAddressToReportTo(self) -> None:
        self.assertNotRegex(PAGE, r"\S@\S")
        self.assertIn("Report a vulnerability", PAGE)

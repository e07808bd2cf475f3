"""The README's listings are files that run, and its commands exist."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet import cli

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.rst").read_text(encoding="utf-8")
LISTINGS = ("tag.py", "play.py", "test_walk.py", "echo.py")


def listings() -> list[str]:
    """The Python listings of the README, in order."""
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", README)
    return [textwrap.dedent(block).strip() + "\n" for block in blocks]


class ReadmeTests(SynchronousTestCase):
    def test_every_listing_is_an_example_file(self) -> None:
        files = [(ROOT / "examples" / name).read_text(encoding="utf-8") for name in LISTINGS]
        self.assertEqual(listings(), files)

    def test_it_names_files_that_exist(self) -> None:
        for path in re.findall(r"``((?:gamenet|docs)/[\w/.-]*)``", README):
            self.assertTrue((ROOT / path).exists() or path == "docs/_build/html", path)

    def test_the_commands_are_known(self) -> None:
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        for target in re.findall(r"``?(?:make )(\S+?)``|^    make (\S+)", README, re.MULTILINE):
            name = target[0] or target[1]
            self.assertRegex(makefile, rf"(?m)^{name}:|^\.PHONY:.*\b{name}\b")
        commands = re.findall(r"^    gamenet (\w+)", README, re.MULTILINE)
        known = ["bots", "cert", "chat", "demo", "doctor", "play", "proxy"]
        self.assertEqual(sorted(set(commands)), known)
        parser = cli._parser()
        for command in commands:
            self.assertIn(command, parser.format_help())

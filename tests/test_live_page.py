"""
The files of the live page, as far as they show without a browser.

``tests/browser``, which ``make test-browser`` runs, looks at the page in one.
"""

from __future__ import annotations

import io
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests import apt
from tests.browser import __main__ as command
from tests.browser import webdriver

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "gamenet" / "metrics" / "page"
MODULES = sorted(PAGE.glob("*.js"))
IMPORT = re.compile(r'^import .* from "\./(.+)";$', re.MULTILINE)
# What makes markup or code of text; the page knows textContent and setAttribute instead.
DANGEROUS = (
    "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(",
    "DOMParser", "createContextualFragment", "setHTML", "srcdoc", "localStorage",
    "sessionStorage", "document.cookie", "indexedDB", 'setAttribute("style', 'setAttribute("on',
)  # fmt: skip


class Index(HTMLParser):
    """What the index holds."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.inline: list[str] = []
        self._open = ""
        self.feed((PAGE / "index.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open = tag
        for name, value in attrs:
            self.attributes.append((tag, name, value or ""))
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        if self._open in ("script", "style") and data.strip():
            self.inline.append(data)

    def files(self) -> set[str]:
        """What it has the browser load."""
        return {
            value
            for tag, name, value in self.attributes
            if (tag, name) in {("link", "href"), ("script", "src")}
        }


class PageTests(SynchronousTestCase):
    def test_nothingIsInlineAndNothingComesFromElsewhere(self) -> None:
        index = Index()
        self.assertEqual(index.inline, [])
        for tag, name, value in index.attributes:
            self.assertFalse(name == "style" or name.startswith("on"), (tag, name))
            self.assertNotIn("//", value, (tag, name))
        for path in [*MODULES, *PAGE.glob("*.css")]:
            text = path.read_text(encoding="utf-8")
            for url in re.findall(r"\w+://[^\s\"']+|url\(", text):
                # The name of a kind of elements, which nobody loads.
                self.assertEqual(url, "http://www.w3.org/2000/svg", path.name)

    def test_textNeverBecomesMarkupAndNothingIsKept(self) -> None:
        for path in MODULES:
            text = path.read_text(encoding="utf-8")
            found = [word for word in DANGEROUS if word in text]
            self.assertEqual(found, [], path.name)

    def test_everyFileIsUsedAndThere(self) -> None:
        used = Index().files() | {"index.html"}
        for path in MODULES:
            used |= set(IMPORT.findall(path.read_text(encoding="utf-8")))
        there = {path.name for path in PAGE.iterdir() if path.suffix not in (".py", "")}
        self.assertEqual(used, there)

    def test_everyElementThatTheCodeAsksForIsThereOnce(self) -> None:
        ids = Index().ids
        self.assertEqual(sorted(set(ids)), sorted(ids))
        for path in MODULES:
            asked = re.findall(r'\$\("([^"]+)"\)', path.read_text(encoding="utf-8"))
            self.assertEqual(set(asked) - set(ids), set(), path.name)

    def test_labelsNameWhatIsThere(self) -> None:
        index = Index()
        named = {value for _, name, value in index.attributes if name == "aria-labelledby"}
        self.assertEqual(named - set(index.ids), set())


class CommandTests(SynchronousTestCase):
    """``python -m tests.browser`` where there is no browser."""

    def setUp(self) -> None:
        self.ran: list[list[str]] = []
        self.there: set[str] = set()
        self.patch(command, "find", lambda what: what if what in self.there else None)
        self.patch(apt.subprocess, "run", self.run_fake)
        self.said = ""

    def run_fake(self, arguments: list[str], **_: Any) -> Any:
        self.ran.append(arguments)
        if self.said:
            return SimpleNamespace(stderr=self.said)
        if arguments[1:2] == ["-y"]:
            self.there = {"browser", "driver"}
        return SimpleNamespace(stderr="")

    def be(self, user: int) -> None:
        self.patch(os, "geteuid", lambda: user)

    def test_neitherPytestNorTrialCollectsIt(self) -> None:
        modules = [path.name for path in (ROOT / "tests" / "browser").glob("*.py")]
        self.assertIn("real_cases.py", modules)
        self.assertEqual([name for name in modules if re.match(r"test_|.*_test\.py", name)], [])

    def test_saysWhatToInstall(self) -> None:
        self.be(1000)
        self.assertEqual(
            command.come_by_browser(),
            "no Chromium browser and no driver here; install them: "
            "sudo apt-get install chromium chromium-driver",
        )
        self.there = {"browser"}
        self.assertIn("no Chromium driver here", command.come_by_browser())
        self.assertEqual(self.ran, [])

    def test_installsWhatIsMissingWhereItMay(self) -> None:
        self.be(0)
        self.assertEqual(command.come_by_browser(), "")
        self.assertEqual([step[0] for step in self.ran], ["apt-get", "apt-get"])
        self.assertEqual(self.ran[1][-2:], ["chromium", "chromium-driver"])
        self.assertEqual(command.come_by_browser(), "")
        self.assertEqual(len(self.ran), 2)

    def test_saysWhyItCannotInstall(self) -> None:
        self.be(0)
        self.said = "E: one\nE: Unable to locate package chromium"
        problem = command.come_by_browser()
        self.assertIn("failed: E: Unable to locate package chromium", problem)
        self.assertNotIn("\n", problem)

        def refuse(*_: Any, **__: Any) -> None:
            raise FileNotFoundError(2, "No such file or directory")

        self.patch(apt.subprocess, "run", refuse)
        problem = command.come_by_browser()
        self.assertIn("apt-get does not run", problem)
        self.assertNotIn("\n", problem)

    def test_endsInOneLine(self) -> None:
        self.be(1000)
        err = io.StringIO()
        self.patch(sys, "stderr", err)
        self.assertEqual(command.main([]), 1)
        self.assertEqual(len(err.getvalue().splitlines()), 1)

    def test_theDriverIsLookedForInThePath(self) -> None:
        self.patch(
            webdriver.shutil,
            "which",
            lambda name: f"/x/{name}" if name == "chromium-browser" else None,
        )
        self.assertEqual(webdriver.find("browser"), "/x/chromium-browser")
        self.assertIsNone(webdriver.find("driver"))

"""The tutorial's text and its files belong together; ``make packaging`` has somebody follow it."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.tutorial.pages import EXAMPLES, Commands, Listing, new_lines, page_names, steps

DOCS = Path(__file__).parent.parent / "docs"
STEPS = sorted(path.name for path in EXAMPLES.glob("step*"))


def listings() -> list[Listing]:
    """All listings of the tutorial, in the order in which they are read."""
    return [step for page in page_names() for step in steps(page) if isinstance(step, Listing)]


class TutorialTests(SynchronousTestCase):
    def test_each_page_is_read_and_each_step_has_one(self) -> None:
        pages = {path.stem for path in (DOCS / "tutorial").glob("*.rst")} - {"index"}
        self.assertEqual(set(page_names()), pages)
        self.assertEqual(sorted({it.source.parent.name for it in listings()}), STEPS)
        self.assertTrue(any(isinstance(step, Commands) for step in steps("install")))

    def test_a_listing_has_the_name_of_its_file(self) -> None:
        for listing in listings():
            self.assertEqual(listing.name, listing.source.name)

    def test_the_files_of_a_step_are_what_a_reader_has_by_then(self) -> None:
        has: dict[str, str] = {}
        for step in STEPS:
            shown = [it for it in listings() if it.source.parent.name == step]
            has |= {it.name: it.source.read_text(encoding="utf-8") for it in shown}
            folder = {
                path.name: path.read_text(encoding="utf-8")
                for path in (EXAMPLES / step).glob("*.py")
            }
            self.assertEqual(folder, has, step)

    def test_the_lines_that_are_new_are_marked_and_no_others(self) -> None:
        before: dict[str, str] = {}
        for listing in listings():
            text = listing.source.read_text(encoding="utf-8")
            new = new_lines(before[listing.name], text) if listing.name in before else []
            self.assertEqual(listing.marked, new, str(listing.source))
            before[listing.name] = text

    def test_a_listing_can_be_read_without_scrolling_sideways(self) -> None:
        for listing in listings():
            for line in listing.source.read_text(encoding="utf-8").splitlines():
                self.assertLessEqual(len(line), 88, line)


class IncludedTests(SynchronousTestCase):
    def test_every_file_that_a_page_shows_exists_and_is_python(self) -> None:
        found = 0
        for page in DOCS.rglob("*.rst"):
            text = page.read_text(encoding="utf-8")
            for name in re.findall(r"^ *\.\. literalinclude:: (\S+)", text, re.MULTILINE):
                path = page.parent / name
                source = path.read_text(encoding="utf-8")
                if path.suffix == ".py":
                    compile(source, str(path), "exec")
                found += 1
        self.assertGreater(found, len(STEPS))

"""
The tests of the live page: ``python -m tests.browser``.

``--screenshots FOLDER`` takes the pictures of the documentation instead. Ends with status 1 if a
test failed, or if there is no browser, and says then how to come by one.
"""

from __future__ import annotations

import argparse
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING

from tests.apt import come_by
from tests.browser.webdriver import HOW_TO_INSTALL, NEEDED, find

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES = ("tests.browser.canned_cases", "tests.browser.real_cases")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.browser", description=__doc__)
    parser.add_argument("tests", nargs="*", help="names of tests; all without")
    parser.add_argument("--screenshots", metavar="FOLDER", type=Path)
    options = parser.parse_args(arguments)
    if problem := come_by_browser():
        print(f"make test-browser: {problem}", file=sys.stderr)
        return 1
    if options.screenshots:
        from tests.browser.pictures import take

        take(options.screenshots)
        return 0
    suite = unittest.defaultTestLoader.loadTestsFromNames(options.tests or CASES)
    return not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


def come_by_browser() -> str:
    """Have a browser and its driver; what is wrong if there is none."""
    return come_by(lack, HOW_TO_INSTALL)


def lack() -> str:
    """What is missing of a browser and its driver, in words."""
    missing = [what for what in NEEDED if find(what) is None]
    return f"no Chromium {' and no '.join(missing)} here" if missing else ""


if __name__ == "__main__":
    raise SystemExit(main())

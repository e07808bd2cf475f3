"""
The tests of the game's window: ``python -m tests.display``.

``--screenshots FOLDER`` takes the picture of the documentation instead. Ends with status 1 if a
test failed, or if there is no display to be had, and says then how to come by one.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import unittest
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

NEEDED: Final = ("Xvfb", "xdotool")
HOW_TO_INSTALL: Final = "apt-get install xvfb xdotool"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.display", description=__doc__)
    parser.add_argument("tests", nargs="*", help="names of tests; all without")
    parser.add_argument("--screenshots", metavar="FOLDER", type=Path)
    options = parser.parse_args(arguments)
    if problem := come_by_display():
        print(f"make test-play: {problem}", file=sys.stderr)
        return 1
    if options.screenshots:
        from tests.display.pictures import take

        take(options.screenshots)
        return 0
    suite = unittest.defaultTestLoader.loadTestsFromNames(options.tests or ["tests.display.cases"])
    return not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


def come_by_display() -> str:
    """Have what shows a window nobody sees, and what presses keys; what is wrong if it is not."""
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if not missing:
        return ""
    lack = f"no {' and no '.join(missing)} here"
    if getattr(os, "geteuid", lambda: 1)() != 0:
        return f"{lack}; install them: sudo {HOW_TO_INSTALL}"
    command, *rest = HOW_TO_INSTALL.split()
    print(f"{lack}: {HOW_TO_INSTALL}", file=sys.stderr)
    said = ""
    for step in (
        [command, "-qq", "update"],
        [command, "-y", "-qq", "--no-install-recommends", *rest],
    ):
        try:
            done = subprocess.run(
                step,
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            return f"{lack}, and {command} does not run ({error.strerror}); install them yourself"
        said = done.stderr.strip() or said
    if all(map(shutil.which, NEEDED)):
        return ""
    return f"{lack}, and '{HOW_TO_INSTALL}' failed: {(said or 'no reason').splitlines()[-1]}"


if __name__ == "__main__":
    raise SystemExit(main())

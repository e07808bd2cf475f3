"""
The tests of the recipes whose packages are large: ``python -m tests.recipes``.

The engines are Python packages, which ``make test-recipes`` installs. What they need of the system
is installed here, where it is missing and that is possible. Ends with status 1 if a test failed, or
if something is missing, and says then how to come by it.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import subprocess
import sys
import unittest
from typing import TYPE_CHECKING, Final

from tests.apt import come_by

if TYPE_CHECKING:
    from collections.abc import Sequence

CASES: Final = ("tests.recipes.env_cases", "tests.recipes.engine_cases")
PACKAGES: Final = ("arcade", "panda3d", "pettingzoo", "gymnasium", "numpy")
HOW_TO_INSTALL: Final = "apt-get install libegl1 libgl1-mesa-dri"
NO_SCREEN: Final = "import arcade; arcade.Window(8, 8).close()"
"""What needs them: a window of arcade that nobody sees."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.recipes", description=__doc__)
    parser.add_argument("tests", nargs="*", help="names of tests; all without")
    options = parser.parse_args(arguments)
    if problem := missing_packages() or come_by(lack, HOW_TO_INSTALL):
        print(f"make test-recipes: {problem}", file=sys.stderr)
        return 1
    suite = unittest.defaultTestLoader.loadTestsFromNames(options.tests or CASES)
    return not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful()


def missing_packages() -> str:
    """What to say if Python packages are missing, or ""."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if not missing:
        return ""
    return f"no {' and no '.join(missing)} here; install them: pip install -e '.[recipes]'"


def lack() -> str:
    """What is wrong with drawing without a screen; "" for nothing."""
    done = subprocess.run(
        [sys.executable, "-c", NO_SCREEN],
        env={**os.environ, "ARCADE_HEADLESS": "True"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return ""
    said = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
    return f"no libraries to draw without a screen here ({said})"


if __name__ == "__main__":
    raise SystemExit(main())

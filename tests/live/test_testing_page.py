"""The examples of tests pass, under both runners."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.live.processes import HANGS_SECONDS, ROOT

if TYPE_CHECKING:
    from pathlib import Path


def run(folder: Path, *words: str) -> str:
    """Run a runner on a copy of the examples; what it printed."""
    shutil.copytree(ROOT / "examples", folder / "examples")
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder / "examples",
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_under_pytest(tmp_path: Path) -> None:
    out = run(tmp_path, "pytest", "-p", "pytest_gamenet", "-W", "error")
    assert "9 passed" in out  # three of them are the guides'


def test_under_trial(tmp_path: Path) -> None:
    assert "PASSED (successes=1)" in run(tmp_path, "twisted.trial", "test_walk_trial")

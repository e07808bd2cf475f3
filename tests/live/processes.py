"""Processes of their own, for what would disturb the one that runs the tests."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Longer than anything here takes on the slowest machine: it only ends a test that hangs.
HANGS_SECONDS = 120


def run(source: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(source), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )


def output(source: str, *arguments: str) -> str:
    """What a script prints that must end well."""
    done = run(source, *arguments)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def start(source: str, *arguments: str) -> subprocess.Popen[str]:
    """Begin to run a script."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(source), *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )

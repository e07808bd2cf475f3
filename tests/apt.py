"""Packages of the system that some tests need, installed where they are missing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def come_by(lack: Callable[[], str], how_to_install: str) -> str:
    """Have what is needed of the system, installed by root if it is missing.

    :param lack: says what is missing; "" for nothing.
    :param how_to_install: a command of apt-get.
    :returns: what is wrong if it is still missing, and what to do.
    """
    missing = lack()
    if not missing:
        return ""
    if getattr(os, "geteuid", lambda: 1)() != 0:
        return f"{missing}; install them: sudo {how_to_install}"
    print(f"{missing}: {how_to_install}", file=sys.stderr)
    command, verb, *packages = how_to_install.split()
    said = ""
    for step in ("-qq", "update"), ("-y", "-qq", "--no-install-recommends", verb, *packages):
        try:
            done = subprocess.run(
                [command, *step],
                env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            problem = f"{command} does not run ({error.strerror})"
            return f"{missing}, and {problem}; install them yourself"
        said = done.stderr.strip() or said
    missing = lack()
    if not missing:
        return ""
    return f"{missing}, and '{how_to_install}' failed: {(said or 'no reason').splitlines()[-1]}"

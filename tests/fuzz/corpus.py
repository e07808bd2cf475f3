"""Where inputs are: those kept in the repository, and those of this machine's own runs."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fuzz.harness import Target

KEPT = Path(__file__).with_name("corpus")
"""A folder for each target; what it holds is run by every ``make test``."""
REGRESSION = "regression-"
"""How the name of a kept input begins that once found something; it is never minimised away."""
WORK = Path(__file__).resolve().parents[2] / ".fuzz"
"""What runs leave on this machine, so that the next begins where the last one ended."""


def kept(target: Target) -> dict[str, bytes]:
    """The inputs in the repository, by file name."""
    folder = KEPT / target.name
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*")) if path.is_file()}


def folder(kind: str, target: str) -> Path:
    """A folder of this machine's own, made where it is missing."""
    path = WORK / kind / target
    path.mkdir(parents=True, exist_ok=True)
    return path


def write_seeds(target: Target) -> Path:
    """The target's seeds as files, those of earlier versions removed."""
    path = folder("seeds", target.name)
    shutil.rmtree(path)
    write(folder("seeds", target.name), target.seeds())
    return path


def write(path: Path, inputs: Iterable[bytes]) -> None:
    """Write inputs under the names that libFuzzer would give them."""
    for data in inputs:
        (path / hashlib.sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)


def found(target: str) -> list[Path]:
    """The reproducers of what was found and is not removed, newest first."""
    paths = folder("found", target).iterdir()
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)

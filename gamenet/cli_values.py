"""What flags take: numbers within limits, shares, ports, names of files.

Layer 4. Runs on: any thread; pure functions.

Each is a ``type`` of ``argparse``: it refuses a text with a sentence that says what would be right.
"""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_SECONDS: Final = 86_400.0
_MOST_SHOWN: Final = 40
_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")


def number(least: float, most: float) -> Callable[[str], float]:
    """A number from *least* to *most*, both included."""

    def parse(text: str) -> float:
        value = _float(text)
        if not least <= value <= most:
            raise ArgumentTypeError(
                f"{shown(text)} is not a number from {least:.12g} to {most:.12g}"
            )
        return value

    return parse


def seconds(least: float = 0.0, most: float = MOST_SECONDS) -> Callable[[str], float]:
    """A number of seconds from *least* to *most*; no least one is above 0."""

    def parse(text: str) -> float:
        value = _float(text)
        if least and not least <= value <= most:
            raise ArgumentTypeError(
                f"{shown(text)} is not a number of seconds from {least:.12g} to {most:.12g}"
            )
        if not 0 < value <= most:
            raise ArgumentTypeError(
                f"{shown(text)} is not a number of seconds above 0, at most {most:.12g}"
            )
        return value

    return parse


def above_zero(text: str) -> float:
    """A number above 0."""
    value = _float(text)
    if not 0 < value < math.inf:
        raise ArgumentTypeError(f"{shown(text)} is not a number above 0")
    return value


def whole(least: int, most: int) -> Callable[[str], int]:
    """A whole number from *least* to *most*, both included."""

    def parse(text: str) -> int:
        if not (_WHOLE.fullmatch(text) and least <= int(text) <= most):
            raise ArgumentTypeError(f"{shown(text)} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def seed(text: str) -> int:
    """What chance begins with: any whole number that fits on a line."""
    if not _WHOLE.fullmatch(text):
        raise ArgumentTypeError(
            f"{shown(text)} is not a whole number of at most 18 digits, such as 42"
        )
    return int(text)


def port(text: str) -> int:
    """A port that somebody can have."""
    if not (_WHOLE.fullmatch(text) and 0 < int(text) <= 65_535):
        raise ArgumentTypeError(f"{shown(text)} is not a port, 1 to 65535")
    return int(text)


def count_of_bytes(text: str) -> int:
    """A number of bytes, from 1."""
    if not (_WHOLE.fullmatch(text) and 0 < int(text) < 10**12):
        raise ArgumentTypeError(f"{shown(text)} is not a number of bytes from 1")
    return int(text)


def share(text: str) -> float:
    """A share: ``0.05``, or ``5%``."""
    amount, percent, rest = text.partition("%")
    value = _float(amount) / (100 if percent else 1)
    if rest or not 0 <= value <= 1:
        raise ArgumentTypeError(f"{shown(text)} is not a share: 0 to 1, or 5% for 0.05")
    return value


def named(what: str) -> Callable[[str], str]:
    """Any text but none: scripts have an empty one where a variable of theirs is not set.

    :param what: that is named, such as "a file".
    """

    def parse(text: str) -> str:
        if not text:
            raise ArgumentTypeError(f"'' does not name {what}; leave the flag out, or name one")
        return text

    return parse


def shown(text: str) -> str:
    """A text as a message has it: quoted, and no longer than anybody reads."""
    return repr(text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}...")


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan

"""Figures in words, with their units; "?" for what is no number.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from gamenet.overlay.shapes import finite
from gamenet.top import words
from gamenet.top.words import NONE


def ms(seconds: float | None) -> str:
    """A time."""
    return f"{words.millis(finite(seconds))} ms"


def share(part: float | None) -> str:
    """A part of 1."""
    return words.share(finite(part))


def size(count: float | None) -> str:
    """Bytes."""
    return words.size(finite(count))


def count(number: float | None) -> str:
    """How many, or how many a second."""
    number = finite(number)
    if number is None:
        return NONE
    return f"{number:,.0f}" if number == round(number) else words.short(number)

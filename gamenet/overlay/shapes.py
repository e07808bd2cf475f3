"""What there is to draw, as plain values that any engine can draw.

Layer 4. Runs on: any thread; immutable values.
"""

from __future__ import annotations

from math import isfinite
from typing import Final, Literal, NamedTuple

from gamenet.samples import MAX_SAMPLES, SAMPLE_HZ

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""
Style = Literal["solid", "dashed", "dotted"]
"""How a curve is drawn, so that nobody has to tell colours apart."""
Verdict = Literal["", "good", "fair", "poor"]
"""One word for a figure; "" where there is nothing to say."""

STEPS: Final = (1, 2, 5, 10)
"""Tops of a scale, times a power of ten."""


class Line(NamedTuple):
    """One figure."""

    name: str
    value: str
    verdict: Verdict = ""

    def __str__(self) -> str:
        said = f", {self.verdict}" if self.verdict else ""
        return f"{self.name} {self.value}{said}"


class Curve(NamedTuple):
    """One line of a plot."""

    name: str
    values: tuple[float | None, ...]
    """The newest last, one for each tenth of a second; None leaves a gap."""
    style: Style
    colour: Colour


class Plot(NamedTuple):
    """Curves over the last 30 seconds: the newest value at the right edge, zero at the bottom."""

    title: str
    unit: str
    top: float
    """What is at the upper edge; a value above it is drawn there."""
    curves: tuple[Curve, ...]
    slots: int = MAX_SAMPLES
    """Values that the width has room for; a curve with fewer begins further right."""
    seconds: float = MAX_SAMPLES / SAMPLE_HZ
    """What the width stands for."""


class Bar(NamedTuple):
    """One type of message: what came and what went."""

    name: str
    coming: float
    going: float
    note: str
    """The same in words."""


class Bars(NamedTuple):
    """Amounts beside each other, the longest bar is *top*."""

    title: str
    unit: str
    top: float
    bars: tuple[Bar, ...]
    colours: tuple[Colour, Colour]
    """Of what came and of what went; the latter is drawn as an outline."""


def finite(value: float | None) -> float | None:
    """The value, unless it is none that can be drawn."""
    return value if value is not None and isfinite(value) else None


def top_of(curves: tuple[Curve, ...], least: float) -> float:
    """A round number that no value exceeds.

    :param least: so that little looks like little.
    """
    most = (max(filter(None, curve.values), default=0.0) for curve in curves)
    return max(least, round_up(max(most)))


def round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, ...; 0 for what is not above it."""
    if not value > 0:
        return 0.0
    power = 1e-9
    while power * STEPS[-1] < value:
        power *= 10
    return next((step * power for step in STEPS if step * power >= value), value)

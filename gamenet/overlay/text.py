"""The net graph as lines of characters, for games in a terminal and for logs.

Layer 4. Runs on: the game thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.overlay.shapes import Plot
from gamenet.top.glyphs import bar, glyphs_of, spark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gamenet.overlay.model import NetGraph
    from gamenet.overlay.shapes import Bars
    from gamenet.top.glyphs import Glyphs

NAME_WIDTH: Final = 18
BAR_WIDTH: Final = 12
LEAST_WIDTH: Final = 20


def rows(graph: NetGraph, width: int = 78, encoding: str | None = "utf-8") -> list[str]:
    """The net graph at its level; no rows at level 0.

    :param width: of the longest row, from 20.
    :param encoding: of where it is shown; what cannot draw blocks gets plain ASCII.
    :raises ValueError: for less width.
    """
    if width < LEAST_WIDTH:
        raise ValueError(f"width must be at least {LEAST_WIDTH}, not {width!r}")
    glyphs = glyphs_of(encoding)
    found = [
        f"{line.name:<{NAME_WIDTH}}{line.value}{f', {line.verdict}' if line.verdict else ''}"
        for line in graph.texts()
    ]
    found += [f"! {sentence}" for sentence in graph.advice()]
    for shape in graph.graphs():
        found += _plot(shape, width, glyphs) if isinstance(shape, Plot) else _bars(shape, glyphs)
    return [row[:width].rstrip() for row in found]


def _plot(plot: Plot, width: int, glyphs: Glyphs) -> Iterator[str]:
    """A row for each curve, the newest value at the right; each character is its greatest."""
    scale = f" {plot.top:,.0f} {plot.unit}"
    room = max(1, width - NAME_WIDTH - len(scale))
    together = -(-plot.slots // room)
    for curve in plot.curves:
        name = f"{plot.title} {curve.name}"
        values = [
            _most(curve.values[-end - together : -end or None])
            for end in range(0, len(curve.values), together)
        ]
        # All curves of a plot have one scale, which no value exceeds.
        drawn = spark(values[::-1], plot.top, room, glyphs)
        yield f"{name[: NAME_WIDTH - 1]:<{NAME_WIDTH}}{drawn}{scale}"


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def _bars(bars: Bars, glyphs: Glyphs) -> Iterator[str]:
    for one in bars.bars:
        drawn = bar(one.coming + one.going, 2 * bars.top, BAR_WIDTH, glyphs)
        yield f"{one.name:<{NAME_WIDTH}}{drawn} {one.note}"

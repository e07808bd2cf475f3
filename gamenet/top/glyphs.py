"""Graphs out of characters.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Glyphs(NamedTuple):
    """What a terminal can draw with."""

    levels: str
    """From the least to the most, of a graph."""
    parts: str
    """Of one character of a bar, from nearly nothing to the whole."""
    tiles: dict[str, str]
    """Of a map, by the letters that the status site has; ground is blank."""
    is_ascii: bool


BLOCKS: Final = Glyphs("▁▂▃▄▅▆▇█", "▏▎▍▌▋▊▉█", {"#": "▒", "~": "≈", "=": "="}, False)
ASCII: Final = Glyphs("_.-:=+*#", "#", {"#": "#", "~": "~", "=": "="}, True)


def glyphs_of(encoding: str | None) -> Glyphs:
    """The best that text of this encoding can hold."""
    try:
        (BLOCKS.levels + BLOCKS.parts + "".join(BLOCKS.tiles.values())).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return ASCII
    return BLOCKS


def spark(values: Sequence[float | None], least: float, width: int, glyphs: Glyphs) -> str:
    """The last *width* values as a line of characters, the newest at the right.

    :param values: None leaves a gap.
    :param least: the least top of the scale, so that little looks like little.
    """
    shown = values[-width:]
    top = max((value for value in shown if value is not None), default=0.0)
    top = max(top, least)
    levels = glyphs.levels
    drawn = "".join(
        " " if value is None else levels[min(len(levels) - 1, int(len(levels) * value / top))]
        for value in shown
    )
    return drawn.rjust(width)


def bar(amount: float, most: float, width: int, glyphs: Glyphs) -> str:
    """*amount* as a bar that fills *width* characters where it is *most*; never quite empty."""
    steps = len(glyphs.parts)
    filled = max(1, round(width * steps * amount / most)) if most > 0 and amount > 0 else 0
    whole, rest = divmod(filled, steps)
    return (glyphs.parts[-1] * whole + (glyphs.parts[rest - 1] if rest else "")).ljust(width)

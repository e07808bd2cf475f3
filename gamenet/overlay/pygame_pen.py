"""Draws the parts of the net graph with pygame-ce, at one scale.

Layer 4. Runs on: the thread that draws. ``pygame_ce`` imports it, and says what to do where there
is no pygame.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import pygame

from gamenet.overlay import palette
from gamenet.overlay.shapes import Plot

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gamenet.overlay.shapes import Bars, Colour, Curve, Line, Verdict

FONT_SIZE: Final = 16
PAD: Final = 6
PLOT_WIDTH: Final = 300
"""One dot for each sample."""
PLOT_HEIGHT: Final = 44
SCALE_WIDTH: Final = 60
"""Beside a plot, for what is at its top."""
VALUE_AT: Final = 88
BARS_WIDTH: Final = 64
LEGEND_WIDTH: Final = 18
DASH: Final = (6, 10)
"""So many samples of so many are drawn."""
DOT: Final = 4
"""Every so many samples one is drawn."""
MOST_TEXTS: Final = 512
"""Drawn texts that are kept."""


class Pen:
    """Draws on a surface, at one scale; keeps the texts that it has drawn."""

    def __init__(self, scale: float) -> None:
        if not pygame.font.get_init():
            pygame.font.init()
        self._scale = scale
        self._font = pygame.font.Font(None, round(FONT_SIZE * scale))
        self._texts: dict[tuple[str, Colour], pygame.Surface] = {}
        self._rows: dict[str, list[str]] = {}
        self.surface = pygame.Surface((0, 0))
        self.row = self._font.get_linesize()
        self.pad = self.px(PAD)
        self.width = self.px(PLOT_WIDTH) + self.px(SCALE_WIDTH)
        self.thick = max(1, round(scale))

    def px(self, length: float) -> int:
        """A length at this scale."""
        return round(length * self._scale)

    @property
    def is_of_use(self) -> bool:
        """False once pygame has ended since, and its fonts with it."""
        try:
            self._font.get_height()
        except pygame.error:
            return False
        return True

    # Text.

    def text(self, text: str, x: int, y: int, colour: Colour, *, right: bool = False) -> int:
        """Write; with *right*, up to x.

        :returns: the width.
        """
        drawn = self._texts.get((text, colour))
        if drawn is None:
            if len(self._texts) >= MOST_TEXTS:
                self._texts.clear()
            drawn = self._texts[text, colour] = self._font.render(text, True, colour)
        width = drawn.get_width()
        self.surface.blit(drawn, (x - width if right else x, y))
        return width

    def wrapped(self, sentence: str) -> list[str]:
        """The sentence in rows that fit; there are but a dozen, so their rows are kept."""
        rows = self._rows.get(sentence)
        if rows is not None:
            return rows
        rows = self._rows[sentence] = [""]
        for word in sentence.split():
            longer = f"{rows[-1]} {word}".strip()
            if rows[-1] and self._font.size(longer)[0] > self.width:
                rows.append(word)
            else:
                rows[-1] = longer
        return rows

    def line(self, line: Line, y: int) -> None:
        """A figure: its name, its value, and the verdict as a mark and a word."""
        self.text(line.name, self.pad, y, palette.GREY)
        self.text(line.value, self.pad + self.px(VALUE_AT), y, palette.WHITE)
        if line.verdict:
            right = self.pad + self.width
            colour = palette.OF_VERDICT[line.verdict]
            width = self.text(line.verdict, right, y, colour, right=True)
            side = 2 * self.row // 3
            x = right - width - side - self.px(4)
            area = pygame.Rect(x, y + (self.row - side) // 2, side, side)
            self.mark(line.verdict, area, colour)

    def mark(self, verdict: Verdict, area: pygame.Rect, colour: Colour) -> None:
        """A disc is good, a triangle fair, a cross poor."""
        surface = self.surface
        if verdict == "good":
            pygame.draw.circle(surface, colour, area.center, area.width / 2)
        elif verdict == "fair":
            pygame.draw.polygon(surface, colour, (area.midtop, area.bottomright, area.bottomleft))
        else:
            pygame.draw.line(surface, colour, area.topleft, area.bottomright, self.thick + 1)
            pygame.draw.line(surface, colour, area.bottomleft, area.topright, self.thick + 1)

    # Graphs.

    def height_of(self, graph: Plot | Bars) -> int:
        """How much room it takes."""
        if isinstance(graph, Plot):
            return self.row + self.px(PLOT_HEIGHT) + self.pad
        return self.row * (1 + max(1, len(graph.bars))) + self.pad

    def plot(self, plot: Plot, x: int, y: int) -> pygame.Rect:
        """Curves in a frame, with a legend above.

        :returns: the frame's inside.
        """
        area = pygame.Rect(x, y + self.row, self.px(PLOT_WIDTH), self.px(PLOT_HEIGHT))
        x += self.text(plot.title, x, y, palette.WHITE) + self.px(10)
        for curve in plot.curves:
            middle = y + self.row // 2
            self._curve(curve, [(x + step, middle) for step in range(self.px(LEGEND_WIDTH))])
            x += self.px(LEGEND_WIDTH) + self.px(4)
            x += self.text(curve.name, x, y, curve.colour) + self.px(10)
        self.text(f"{plot.seconds:.0f} s", area.right, y, palette.GREY, right=True)
        pygame.draw.rect(self.surface, palette.GREY, area.inflate(2, 2), 1)
        beside = area.right + self.px(4)
        self.text(f"{plot.top:,.0f} {plot.unit}", beside, area.top, palette.GREY)
        self.text("0", beside, area.bottom - self.row, palette.GREY)
        for curve in plot.curves:
            self._curve(curve, places_of(curve, plot, area))
        return area

    def _curve(self, curve: Curve, places: Sequence[tuple[int, int] | None]) -> None:
        """A curve in its style; where there is no place, there is a gap."""
        surface, colour = self.surface, curve.colour
        if curve.style == "dotted":
            side = self.thick + 1
            # Counted from the newest, which is always there.
            for place in places[::-DOT]:
                if place is not None:
                    surface.fill(colour, (place[0] - side // 2, place[1] - side // 2, side, side))
            return
        drawn, of = DASH if curve.style == "dashed" else (len(places), len(places))
        for run in _runs(places, drawn, of):
            if len(run) == 1:
                surface.fill(colour, (*run[0], self.thick + 1, self.thick + 1))
            else:
                pygame.draw.lines(surface, colour, False, run, self.thick)

    def bars(self, bars: Bars, x: int, y: int) -> None:
        """A row for each type of message: what came as a bar, what went as its outline below."""
        coming, going = bars.colours
        left, right, side = x, x + self.width, self.row // 2
        x += self.text(bars.title, x, y, palette.WHITE) + self.px(10)
        for name, colour, outline in (("in", coming, 0), ("out", going, self.thick)):
            pygame.draw.rect(self.surface, colour, (x, y + side // 2, side, side), outline)
            x += side + self.px(4)
            x += self.text(name, x, y, colour) + self.px(10)
        self.text(f"longest {bars.top:,.0f} {bars.unit}", right, y, palette.GREY, right=True)
        if not bars.bars:
            self.text("nothing in the last second", left, y + self.row, palette.GREY)
        for bar in bars.bars:
            y += self.row
            self.text(bar.name, left, y, palette.GREY)
            x = left + self.px(VALUE_AT)
            self._bar(bar.coming / bars.top, x, y, coming, 0)
            self._bar(bar.going / bars.top, x, y + self.row // 2, going, self.thick)
            self.text(bar.note, x + self.px(BARS_WIDTH + 6), y, palette.WHITE)

    def _bar(self, part: float, x: int, y: int, colour: Colour, outline: int) -> None:
        if part > 0:
            width = max(1, round(self.px(BARS_WIDTH) * min(1.0, part)))
            height = max(2, self.row // 2 - 1)
            pygame.draw.rect(self.surface, colour, (x, y, width, height), outline)


def places_of(curve: Curve, plot: Plot, area: pygame.Rect) -> list[tuple[int, int] | None]:
    """Where each value is: the newest at the right edge of *area*, zero at its bottom."""
    values, top = curve.values[-plot.slots :], plot.top
    bottom, high = area.bottom - 0.5, (area.height - 1) / top
    columns = _columns(area.left, area.width, plot.slots)[plot.slots - len(values) :]
    return [
        None
        if value is None
        else (x, int(bottom - high * (value if 0 < value < top else top if value > 0 else 0)))
        for x, value in zip(columns, values, strict=True)
    ]


@lru_cache(maxsize=16)
def _columns(left: int, width: int, slots: int) -> tuple[int, ...]:
    """Where on the surface each of so many values is."""
    wide = (width - 1) / max(1, slots - 1)
    return tuple(left + round(slot * wide) for slot in range(slots))


def _runs(
    places: Sequence[tuple[int, int] | None], drawn: int, of: int
) -> Iterator[list[tuple[int, int]]]:
    """What is to be drawn without a gap: of each *of* places from the newest, the first *drawn*."""
    run: list[tuple[int, int]] = []
    for age, place in enumerate(reversed(places)):
        if place is not None and age % of < drawn:
            run.append(place)
        elif run:
            yield run
            run = []
    if run:
        yield run

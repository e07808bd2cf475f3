"""The net graph, drawn with pygame-ce.

Layer 4. Runs on: the thread that draws. What is drawn is kept, and copied until there is something
new, ten times a second.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Final, Literal
from weakref import WeakKeyDictionary

from gamenet.overlay import palette
from gamenet.overlay.shapes import Plot

try:
    import pygame
except ImportError:
    raise ImportError(
        "drawing the net graph needs pygame-ce: pip install 'gamenet[play]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gamenet.overlay.model import NetGraph
    from gamenet.overlay.shapes import Bars, Colour, Curve, Line, Verdict

Corner = Literal["top left", "top right", "bottom left", "bottom right"]

CORNERS: Final = ("top left", "top right", "bottom left", "bottom right")
LEAST_SCALE: Final = 0.5
MOST_SCALE: Final = 8.0
OPAQUE: Final = 240
"""Of 255: enough of the game shows through, and every text has its contrast."""
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
MOST_ADVICE: Final = 2
MOST_TEXTS: Final = 512
"""Drawn texts that are kept."""

_panels: WeakKeyDictionary[NetGraph, Panel] = WeakKeyDictionary()


def draw(
    surface: pygame.Surface, graph: NetGraph, corner: Corner = "top right", scale: float = 1.0
) -> pygame.Rect:
    """Draw the net graph over *surface*; nothing at level 0.

    :param corner: where, such as ``"top right"``.
    :param scale: of text and graphs, 0.5 to 8.
    :returns: where it was drawn; what does not fit is cut off.
    :raises ValueError: for another corner or scale.
    """
    if corner not in CORNERS:
        raise ValueError(f"corner must be one of {', '.join(CORNERS)}, not {corner!r}")
    if not LEAST_SCALE <= scale <= MOST_SCALE:
        raise ValueError(f"scale must be from {LEAST_SCALE} to {MOST_SCALE:g}, not {scale!r}")
    if not graph.level:
        return pygame.Rect(0, 0, 0, 0)
    panel = panel_of(graph, scale)
    panel.refresh(graph, surface.get_height())
    where = panel.surface.get_rect()
    setattr(where, corner.replace(" ", ""), getattr(surface.get_rect(), corner.replace(" ", "")))
    # Of one that is larger than the surface, the upper left part is what says most.
    where.left, where.top = max(0, where.left), max(0, where.top)
    return surface.blit(panel.surface, where)


def panel_of(graph: NetGraph, scale: float = 1.0) -> Panel:
    """What keeps the drawing of a graph."""
    panel = _panels.get(graph)
    if panel is None or panel.scale != scale:
        panel = _panels[graph] = Panel(scale)
    return panel


class Panel:
    """The drawing of one graph.

    What is new is drawn part by part, one in each frame, so that none takes long.
    """

    def __init__(self, scale: float) -> None:
        self.scale = scale
        self.surface = pygame.Surface((0, 0))
        self.plots: dict[str, tuple[Plot, pygame.Rect]] = {}
        """By title: what was drawn last, and where on the surface."""
        self._shown = (-1, 0, 0)
        self._layout: tuple[int, ...] = ()
        self._parts: list[Callable[[], None]] = []
        """What is still to be drawn of the newest."""
        self._pen: Pen | None = None

    def refresh(self, graph: NetGraph, height: int) -> None:
        """Draw a part of what is new, if anything is; all of it where its place has changed.

        :param height: that there is; where it is too little, graphs stand beside the text.
        """
        pen = self._usable_pen()
        key = graph.version, graph.level, height
        if key != self._shown:
            self._finish()
            self._shown = key
            self._plan(pen, graph, height)
        elif self._parts:
            self._parts.pop(0)()

    def _usable_pen(self) -> Pen:
        if self._pen is None or not self._pen.is_of_use:
            self._pen = Pen(self.scale)
            self._parts = []
            self._layout, self._shown = (), (-1, 0, 0)
        return self._pen

    def _finish(self) -> None:
        while self._parts:
            self._parts.pop(0)()

    def _plan(self, pen: Pen, graph: NetGraph, height: int) -> None:
        """Where everything goes."""
        lines, graphs = graph.texts(), graph.graphs()
        advice = [row for said in graph.advice()[:MOST_ADVICE] for row in pen.wrapped(said)]
        text_height = pen.row * (len(lines) + len(advice))
        heights = [pen.height_of(shape) for shape in graphs]
        width, high = pen.width + 2 * pen.pad, text_height + sum(heights)
        x, y = pen.pad, pen.pad + text_height
        if graphs and high + 2 * pen.pad > height:
            x, y = width, pen.pad
            width, high = 2 * width - pen.pad, max(text_height, sum(heights))
        layout = width, high + 2 * pen.pad, x, y, *heights
        is_new = layout != self._layout
        if is_new:
            self._layout = layout
            self.surface = pygame.Surface(layout[:2])
            self.surface.set_alpha(OPAQUE)
            self.surface.fill(palette.GROUND)
            self.plots = {}
        pen.surface = self.surface
        self._parts = [partial(self._write, pen, lines, advice)]
        for shape, tall in zip(graphs, heights, strict=True):
            area = pygame.Rect(x, y, pen.width, tall)
            self._parts.append(partial(self._draw, pen, shape, area))
            y += tall
        if is_new:
            self._finish()

    def _write(self, pen: Pen, lines: Sequence[Line], advice: Sequence[str]) -> None:
        y = pen.pad
        rows = pen.row * (len(lines) + len(advice))
        self.surface.fill(palette.GROUND, (pen.pad, y, pen.width, rows))
        for line in lines:
            pen.line(line, y)
            y += pen.row
        for row in advice:
            pen.text(row, pen.pad, y, palette.WHITE)
            y += pen.row

    def _draw(self, pen: Pen, shape: Plot | Bars, area: pygame.Rect) -> None:
        # The frame of a plot is around its area.
        self.surface.fill(palette.GROUND, area.inflate(2, 0))
        if isinstance(shape, Plot):
            self.plots[shape.title] = shape, pen.plot(shape, *area.topleft)
        else:
            pen.bars(shape, *area.topleft)


class Pen:
    """Draws on a surface, at one scale; keeps the texts that it has drawn."""

    def __init__(self, scale: float) -> None:
        if not pygame.font.get_init():
            pygame.font.init()
        self._scale = scale
        self._font = pygame.font.Font(None, round(FONT_SIZE * scale))
        self._texts: dict[tuple[str, Colour], pygame.Surface] = {}
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
        """The sentence in rows that fit."""
        rows = [""]
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

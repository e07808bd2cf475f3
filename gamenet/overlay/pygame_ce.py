"""The net graph, drawn with pygame-ce.

Layer 4. Runs on: the thread that draws. What is drawn is kept, and copied until there is something
new, ten times a second.
"""

from __future__ import annotations

from functools import partial
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

from gamenet.overlay.pygame_pen import Pen

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gamenet.overlay.model import NetGraph
    from gamenet.overlay.shapes import Bars, Line

Corner = Literal["top left", "top right", "bottom left", "bottom right"]

CORNERS: Final = ("top left", "top right", "bottom left", "bottom right")
LEAST_SCALE: Final = 0.5
MOST_SCALE: Final = 8.0
MOST_ADVICE: Final = 2

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
            self.surface.fill(palette.GROUND)
            self.plots = {}
        pen.surface = self.surface
        # Beside graphs, text has all of the height, however much of it there was before.
        tall = text_height if x == pen.pad else high
        column = pygame.Rect(pen.pad, pen.pad, pen.width, tall)
        self._parts = [partial(self._write, pen, lines, advice, column)]
        for shape, tall in zip(graphs, heights, strict=True):
            area = pygame.Rect(x, y, pen.width, tall)
            self._parts.append(partial(self._draw, pen, shape, area))
            y += tall
        if is_new:
            self._finish()

    def _write(
        self, pen: Pen, lines: Sequence[Line], advice: Sequence[str], area: pygame.Rect
    ) -> None:
        self.surface.fill(palette.GROUND, area)
        y = area.top
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

"""Speech bubbles: what somebody says, over its head.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pygame

from gamenet.play.art.palette import INK, STONE, WHITE
from gamenet.play.art.pixels import paint
from gamenet.play.lettering import Lettering

MOST_LINES: Final = 3
TEXT_WIDTH: Final = 112
"""What a line has room for, in pixels of the map: seven tiles."""
MOST_KEPT: Final = 64
_MARGIN: Final = (5, 3)
"""Between text and edge, in pixels of the map."""
_TAIL: Final = (
    "owwwwwo",
    ".owwwo.",
    "..owo..",
    "...o...",
)
_CORNER: Final = ((0, 0), (1, 0), (0, 1))


class Bubbles:
    """Speech bubbles at the size of a window.

    :param zoom: pixels of the window in the side of one of the map.
    """

    def __init__(self, zoom: int) -> None:
        self._zoom = zoom
        self.lettering = Lettering(max(13, 3 + 4 * zoom))
        self._bubble = lru_cache(maxsize=MOST_KEPT)(self._drawn)
        tail = pygame.Surface((len(_TAIL[0]), len(_TAIL)), pygame.SRCALPHA)
        paint(tail, _TAIL, {"o": INK, "w": WHITE})
        self._tail = pygame.transform.scale_by(tail, zoom).convert_alpha()

    def draw(self, surface: pygame.Surface, text: str, at: tuple[int, int]) -> None:
        """Draw a bubble whose tail points to a place; all of it is within the window."""
        lines = self.lettering.wrapped(text, TEXT_WIDTH * self._zoom, MOST_LINES)
        if not lines:
            return
        bubble = self._bubble(lines)
        tail = self._tail.get_rect(midbottom=at)
        # The tail's first row of pixels is in the bubble's edge.
        rect = bubble.get_rect(midbottom=(at[0], tail.top + self._zoom))
        rect.clamp_ip(surface.get_rect())
        tail.top = rect.bottom - self._zoom
        surface.blit(bubble, rect)
        if rect.left < tail.left and tail.right < rect.right:
            surface.blit(self._tail, tail)

    def _drawn(self, lines: tuple[str, ...]) -> pygame.Surface:
        pictures = [self.lettering.line(line, INK) for line in lines]
        zoom = self._zoom
        text_width = max(picture.get_width() for picture in pictures)
        text_height = self.lettering.height * len(lines)
        wide = max(-(-text_width // zoom) + 2 * _MARGIN[0], len(_TAIL[0]) + 4)
        high = -(-text_height // zoom) + 2 * _MARGIN[1]
        bubble = pygame.transform.scale_by(_panel(wide, high), zoom)
        top = (bubble.get_height() - text_height) // 2
        for number, picture in enumerate(pictures):
            middle = (bubble.get_width() // 2, top + number * self.lettering.height)
            bubble.blit(picture, picture.get_rect(midtop=middle))
        return bubble.convert_alpha()


def _panel(wide: int, high: int) -> pygame.Surface:
    """A white sheet with an edge and round corners."""
    panel = pygame.Surface((wide, high), pygame.SRCALPHA)
    panel.fill(INK)
    panel.fill(WHITE, (1, 1, wide - 2, high - 2))
    panel.fill(STONE[5], (1, high - 2, wide - 2, 1))
    for right in (0, wide - 1):
        for bottom in (0, high - 1):
            for x, y in _CORNER:
                panel.set_at((abs(right - x), abs(bottom - y)), (0, 0, 0, 0))
            panel.set_at((abs(right - 1), abs(bottom - 1)), INK)
    return panel

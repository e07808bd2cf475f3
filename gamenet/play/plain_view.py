"""The field as rectangles and circles.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.demo.field import ROWS, TILES_HIGH, TILES_WIDE
from gamenet.play.widgets import ACCENT, INK, NIGHT, PANEL, SMALL, Colour, write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.play.sight import Sight

TILE: Final = 40
COLOURS: Final[dict[str, Colour]] = {
    "#": (90, 84, 80),
    "~": (52, 96, 150),
    ".": (70, 110, 66),
    "=": (134, 104, 70),
}


class FieldView:
    """Draws the field around a place."""

    def __init__(self) -> None:
        self._map = pygame.Surface((TILES_WIDE * TILE, TILES_HIGH * TILE))
        for row, tiles in enumerate(ROWS):
            for column, tile in enumerate(tiles):
                self._map.fill(COLOURS[tile], (column * TILE, row * TILE, TILE, TILE))
        self._corner = (0.0, 0.0)

    def pixel_of(self, x: float, y: float) -> tuple[int, int]:
        """Where a place in tiles was last drawn."""
        return round(x * TILE - self._corner[0]), round(y * TILE - self._corner[1])

    def draw(
        self,
        surface: pygame.Surface,
        sights: Sequence[Sight],
        centre: tuple[float, float],
        now_seconds: float,
    ) -> None:
        """Draw all of it."""
        width, height = surface.get_size()
        self._corner = (
            min(max(centre[0] * TILE - width / 2, 0), TILES_WIDE * TILE - width),
            min(max(centre[1] * TILE - height / 2, 0), TILES_HIGH * TILE - height),
        )
        surface.fill(NIGHT)
        surface.blit(self._map, self.pixel_of(0, 0))
        for sight in sights:
            at = self.pixel_of(sight.x, sight.y)
            pygame.draw.circle(surface, ACCENT if sight.own else INK, at, 14)
            if sight.away:
                pygame.draw.circle(surface, PANEL, at, 8)
            write(surface, sight.name, (at[0], at[1] + 16), size=SMALL, centred=True)
            if sight.bubble:
                write(surface, sight.bubble, (at[0], at[1] - 40), size=SMALL, centred=True)

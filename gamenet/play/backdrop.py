"""The field behind the screens that are not the field: far away, and dimmed.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from math import cos, sin
from typing import TYPE_CHECKING, Final

from gamenet.demo.field import TILES_HIGH, TILES_WIDE
from gamenet.play.writing import shade

if TYPE_CHECKING:
    import pygame

    from gamenet.play.stage import View

ROUND_SECONDS: Final = 60.0
"""How long the camera takes for a sixth of its way around."""
REACH: Final = 0.3
"""How far it goes from the middle, as a share of the map."""
DIMNESS: Final = 205
"""Of 255: what is written on it has its contrast, whatever is below."""


def draw_backdrop(surface: pygame.Surface, view: View, now: float) -> None:
    """Fill the surface with it."""
    angle = now / ROUND_SECONDS
    centre = (
        TILES_WIDE * (0.5 + REACH * cos(angle)),
        TILES_HIGH * (0.5 + REACH * sin(angle)),
    )
    view.draw(surface, (), centre, now)
    shade(surface, surface.get_rect(), DIMNESS)

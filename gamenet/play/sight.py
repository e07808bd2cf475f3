"""What there is to draw: the seam between the model, which knows, and the view, which draws.

Layer 4. Runs on: the game thread. No pygame.
"""

from __future__ import annotations

from typing import NamedTuple


class Sight(NamedTuple):
    """One hero as it is to be drawn now."""

    hero_id: int
    name: str
    """"" while it is not known."""
    x: float
    """Tiles from the left edge of the map to its middle."""
    y: float
    """Tiles from the upper edge."""
    facing: int
    """``FACING_UP``, ``_DOWN``, ``_LEFT`` or ``_RIGHT`` of :mod:`gamenet.demo.field`."""
    walking: bool
    own: bool
    """Whether it is the player's own."""
    bubble: str = ""
    """What it says; "" is nothing."""
    away: bool = False
    """Whether its player's connection is lost just now."""

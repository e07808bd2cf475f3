"""Water: its shores, and how it moves.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.play.art.palette import EARTH, FOAM, GRASS, WATER
from gamenet.play.art.pixels import EAST, EVERYWHERE, NORTH, SOUTH, WEST, depth, each, noise, tile

if TYPE_CHECKING:
    import pygame

FRAMES: Final = 4
"""Pictures of each tile, shown in turn."""
FRAME_MS: Final = 280
OPEN_WATERS: Final = 4
"""Kinds of a tile with water all around it."""

_SWELL: Final = (0.0, 0.5, 1.0, 0.5)
"""How far the foam comes up the shore in each frame, in pixels."""


def water(mask: int, frame: int, variant: int = 0) -> pygame.Surface:
    """A tile of water, transparent where the shore is; it lies lower than the land in the north."""
    surface = tile()
    for x, y in each():
        far = depth(mask, x, y)
        # The other edges, as if there were none in the north: the bank is seen only there.
        elsewhere = depth(mask | NORTH, x, y)
        bank = 4.0 if far < elsewhere else 0.0
        if far < 1.0:
            continue
        if far < 2.0:
            colour = GRASS[0]
        elif far < 2.0 + bank:
            colour = EARTH[0] if far < 3.0 or noise(x, y, 21) > 190 else EARTH[1]
        elif far < 3.2 + bank + 0.8 * _SWELL[frame]:
            colour = FOAM if bank or elsewhere < 4 else WATER[3]
        elif far < 4.6 + bank + _SWELL[frame]:
            colour = WATER[3]
        elif bank and far < 8 + bank:
            colour = WATER[1]
        else:
            colour = WATER[2]
        surface.set_at((x, y), colour)
    _ripples(surface, mask, frame, variant)
    return surface


def _ripples(surface: pygame.Surface, mask: int, frame: int, variant: int) -> None:
    """Short lines that come, drift and go."""
    salt = variant if mask == EVERYWHERE else mask
    for number in range(3):
        phase = (noise(number, salt, 22) + frame) % FRAMES
        y = 1 + (number * 5 + noise(number, salt, 23) % 4) % 14
        left = noise(number, salt, 24) % 10 + (phase + 1) // 2
        width = (3, 5, 6, 4)[phase]
        for x in range(left, min(left + width, 16)):
            if depth(mask, x, y) > 9 or mask & (NORTH | EAST | SOUTH | WEST) == 85:
                light = phase in (1, 2) and left < x < left + width - 1
                surface.set_at((x, y), WATER[4] if light and number == 0 else WATER[3])
        for x in range(left + 1, min(left + width + 1, 16)):
            if (depth(mask, x, y + 1) > 9) and phase in (1, 2):
                surface.set_at((x, y + 1), WATER[1])

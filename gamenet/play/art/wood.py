"""The bridges.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.play.art.palette import INK, SHADE, WOOD
from gamenet.play.art.pixels import EAST, NORTH, SOUTH, TILE, WEST, dot, noise, tile

if TYPE_CHECKING:
    import pygame


def bridge(mask: int) -> pygame.Surface:
    """Planks across, and a rail where the bridge ends in the north."""
    surface = tile(WOOD[3])
    for left in range(0, TILE, 4):
        surface.fill(WOOD[4] if noise(left, mask, 31) % 3 == 0 else WOOD[3], (left, 0, 3, TILE))
        surface.fill(WOOD[1], (left + 3, 0, 1, TILE))
        knot = noise(left, mask, 32) % 14
        surface.fill(WOOD[2], (left + 1, knot, 1, 2))
        dot(surface, [(left + 1, 4), (left + 1, 12)], WOOD[1])
    if not mask & WEST:
        surface.fill(WOOD[1], (0, 0, 1, TILE))
    if not mask & EAST:
        surface.fill(WOOD[1], (TILE - 1, 0, 1, TILE))
    if not mask & NORTH:
        surface.fill(WOOD[1], (0, 5, TILE, 1))
        rail(surface, 0)
    if not mask & SOUTH:
        surface.fill(WOOD[0], (0, TILE - 1, TILE, 1))
    return surface


def rail_in_front() -> pygame.Surface:
    """The rail in the south, which hides the feet of those behind it."""
    surface = tile()
    rail(surface, TILE - 5)
    return surface


def pier() -> pygame.Surface:
    """What is seen of a bridge over the water south of it: its side, and its shadow."""
    surface = tile()
    surface.fill(WOOD[1], (0, 0, TILE, 2))
    surface.fill(WOOD[0], (0, 2, TILE, 1))
    surface.fill((*SHADE, 110), (0, 3, TILE, 4))
    surface.fill((*SHADE, 60), (0, 7, TILE, 2))
    for left in (2, 11):
        surface.fill(WOOD[0], (left, 2, 3, 6))
        surface.fill(WOOD[2], (left, 2, 1, 6))
    return surface


def rail(surface: pygame.Surface, top: int) -> None:
    """A beam on two posts, five pixels high."""
    surface.fill(INK, (0, top, TILE, 4))
    surface.fill(WOOD[4], (0, top + 1, TILE, 1))
    surface.fill(WOOD[2], (0, top + 2, TILE, 1))
    for left in (2, 11):
        surface.fill(INK, (left - 1, top, 5, 5))
        surface.fill(WOOD[3], (left, top, 3, 4))
        surface.fill(WOOD[4], (left, top, 2, 1))
        surface.fill(WOOD[1], (left + 2, top + 1, 1, 3))

"""Walls of stone and hedges, seen from above and a little from the south.

Layer 4. A wall is as high as half a tile. So the upper half of a tile shows its top, and the lower
half its front, or the top of the next one; the rest of the top, its *ridge*, is drawn over the tile
in the north, in front of who stands there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.play.art.palette import INK, LEAVES, STONE, WHITE, YELLOW
from gamenet.play.art.pixels import EAST, SOUTH, SOUTH_EAST, SOUTH_WEST, TILE, WEST, noise, tile

if TYPE_CHECKING:
    from collections.abc import Callable

    import pygame

    from gamenet.play.art.palette import Colour

    Texture = Callable[[int, int, int], Colour]

MATERIALS: Final = ("stone", "hedge")
PLAIN: Final = 0
MOSS: Final = 1
WINDOW: Final = 2
VARIANTS: Final = (PLAIN, MOSS, WINDOW)
_HALF: Final = TILE // 2
_MATTER: Final = EAST | SOUTH | WEST
_BELOW: Final = SOUTH_EAST | SOUTH_WEST


def matters(mask: int) -> int:
    """The part of a mask that makes a difference for a wall."""
    return mask & (_MATTER | _BELOW) if mask & SOUTH else mask & _MATTER


WALL_MASKS: Final = tuple(sorted({matters(mask) for mask in range(256)}))
RIDGE_MASKS: Final = (0, EAST, WEST, EAST | WEST)


def wall(material: str, mask: int, variant: int = 0) -> pygame.Surface:
    """A tile of wall, with the same all around where the mask says so."""
    surface = tile()
    _top(surface, material, 0, mask & WEST, mask & EAST, _HALF)
    if mask & SOUTH:
        _top(surface, material, _HALF, mask & SOUTH_WEST, mask & SOUTH_EAST, 0)
        return surface
    front = _brick if material == "stone" else _trunk
    for y in range(_HALF, TILE):
        for x in range(TILE):
            surface.set_at((x, y), front(x, y - _HALF, variant))
    if material == "stone":
        surface.fill(STONE[5], (0, _HALF - 1, TILE, 1))
        if variant == WINDOW:
            surface.fill(STONE[0], (4, _HALF + 1, 8, 6))
            surface.fill(YELLOW, (5, _HALF + 2, 6, 4))
            surface.fill(WHITE, (5, _HALF + 2, 2, 2))
            surface.fill(STONE[0], (8, _HALF + 2, 1, 4))
    _ends(surface, 0, TILE, mask & WEST, mask & EAST)
    return surface


def ridge(material: str, mask: int) -> pygame.Surface:
    """The upper part of a wall's top, for the tile north of it."""
    surface = tile()
    _top(surface, material, _HALF, mask & WEST, mask & EAST, 0)
    surface.fill(INK, (0, _HALF, TILE, 1))
    if material == "stone":
        surface.fill(STONE[4], (0, _HALF + 1, TILE, 1))
    else:
        for x in range(TILE):
            if noise(x // 2, mask, 41) % 3 == 0:
                surface.set_at((x, _HALF), (0, 0, 0, 0))
                surface.set_at((x, _HALF + 1), INK)
    _ends(surface, _HALF, TILE, mask & WEST, mask & EAST)
    return surface


def _top(
    surface: pygame.Surface, material: str, first: int, west: int, east: int, half: int
) -> None:
    """Half a tile of a wall's top: the *half* of it that begins there, from row *first* on."""
    texture = _slab if material == "stone" else _leaves
    for y in range(_HALF):
        for x in range(TILE):
            surface.set_at((x, first + y), texture(x, y + half, 0))
    if material == "stone":
        if not west:
            surface.fill(STONE[5], (1, first, 1, _HALF))
        if not east:
            surface.fill(STONE[2], (TILE - 2, first, 1, _HALF))
    _ends(surface, first, first + _HALF, west, east)


def _ends(surface: pygame.Surface, top: int, bottom: int, west: int, east: int) -> None:
    for x, goes_on in ((0, west), (TILE - 1, east)):
        if not goes_on:
            surface.fill(INK, (x, top, 1, bottom - top))


def _slab(x: int, y: int, _: int) -> Colour:
    if y % 8 == 7 or (x + 8 * (y // 8)) % 16 == 15:
        return STONE[2]
    if y % 8 == 0 or (x + 8 * (y // 8)) % 16 == 0:
        return STONE[4]
    chance = noise(x, y, 42)
    return STONE[2] if chance < 8 else STONE[4] if chance > 246 else STONE[3]


def _brick(x: int, y: int, variant: int) -> Colour:
    if y == 0:
        return STONE[0]
    course, across = divmod(y - 1, 4)
    along = (x + 4 * course) % 8
    if across == 3 or along == 7:
        return STONE[0]
    if across == 0 or along == 0:
        return STONE[2]
    moss = variant == MOSS and noise(x // 2, y // 2, 43) < 60 + 12 * y
    return LEAVES[2] if moss else STONE[1]


def _leaves(x: int, y: int, _: int) -> Colour:
    """Clumps of four by four pixels, each lit from the upper left."""
    row = y // 4
    x = (x + 2 * (row % 2)) % TILE
    chance = noise(x // 4, row, 44)
    bright = (x % 4) + (y % 4) < 3
    if (x % 4, y % 4) in ((3, 3), (0, 3), (3, 0)):
        return LEAVES[1]
    if bright and chance > 90:
        return LEAVES[4] if chance > 200 and (x % 4) + (y % 4) < 2 else LEAVES[3]
    return LEAVES[2]


def _trunk(x: int, y: int, variant: int) -> Colour:
    hanging = 2 + noise(x // 2, variant, 45) % 3
    if y < hanging:
        return LEAVES[2] if y == 0 and x % 4 < 2 else LEAVES[1]
    if y == TILE // 2 - 1:
        return INK
    return LEAVES[1] if noise(x, y, 46) < 40 else LEAVES[0]

"""Pencils: noise that is always the same, pictures from text, and tiles that join up.

Layer 4. Nothing here but whole numbers and square roots, so that every machine draws the same.
"""

from __future__ import annotations

from functools import cache
from math import sqrt
from typing import TYPE_CHECKING, Final

import pygame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from gamenet.play.art.palette import Colour

TILE: Final = 16
"""Pixels in the side of a tile."""

NORTH: Final = 1
NORTH_EAST: Final = 2
EAST: Final = 4
SOUTH_EAST: Final = 8
SOUTH: Final = 16
SOUTH_WEST: Final = 32
WEST: Final = 64
NORTH_WEST: Final = 128
EVERYWHERE: Final = 255

AROUND: Final = {
    NORTH: (0, -1),
    NORTH_EAST: (1, -1),
    EAST: (1, 0),
    SOUTH_EAST: (1, 1),
    SOUTH: (0, 1),
    SOUTH_WEST: (-1, 1),
    WEST: (-1, 0),
    NORTH_WEST: (-1, -1),
}
"""Where the tiles lie that a mask has bits for."""
CORNERS: Final = {
    NORTH_EAST: (NORTH, EAST),
    SOUTH_EAST: (SOUTH, EAST),
    SOUTH_WEST: (SOUTH, WEST),
    NORTH_WEST: (NORTH, WEST),
}
# How far an edge is from straight; the same in each tile, so that edges go on in the next one.
_WOBBLE: Final = (0.0, 0.2, 0.6, 0.9, 0.9, 0.5, 0.0, -0.2, 0.0, 0.5, 0.8, 0.5, 0.0, -0.3, -0.2, 0.0)
_ROUND: Final = 7.0
"""Radius of a corner that stands out, in pixels."""


def noise(x: int, y: int = 0, salt: int = 0) -> int:
    """A number from 0 to 255 that looks like chance and is the same each time."""
    value = (x * 374_761_393 + y * 668_265_263 + salt * 2_246_822_519 + 1) & 0xFFFFFFFF
    value = ((value ^ (value >> 13)) * 1_274_126_177) & 0xFFFFFFFF
    value = ((value ^ (value >> 16)) * 2_246_822_507) & 0xFFFFFFFF
    return (value ^ (value >> 13)) & 0xFF


def tile(colour: Colour | None = None) -> pygame.Surface:
    """A tile of one colour; transparent without."""
    surface = pygame.Surface((TILE, TILE), pygame.SRCALPHA)
    if colour is not None:
        surface.fill(colour)
    return surface


def each() -> Iterable[tuple[int, int]]:
    """The pixels of a tile."""
    return ((x, y) for y in range(TILE) for x in range(TILE))


def dot(surface: pygame.Surface, places: Iterable[tuple[int, int]], colour: Sequence[int]) -> None:
    """Colour some pixels; what lies outside is left out."""
    for place in places:
        surface.set_at(place, colour)


def paint(
    surface: pygame.Surface,
    rows: Sequence[str],
    colours: Mapping[str, Sequence[int]],
    at: tuple[int, int] = (0, 0),
) -> None:
    """Draw what is written in rows of one character a pixel; those without a colour stay."""
    for y, row in enumerate(rows):
        for x, mark in enumerate(row):
            if mark in colours:
                surface.set_at((at[0] + x, at[1] + y), colours[mark])


def shade(surface: pygame.Surface, place: tuple[int, int], colour: Colour, alpha: int) -> None:
    """Mix a pixel with a colour: 0 leaves it, 255 covers it."""
    old = surface.get_at(place)
    surface.set_at(
        place,
        [(was * (255 - alpha) + new * alpha) // 255 for was, new in zip(old, colour, strict=False)],
    )


def without_idle_corners(mask: int) -> int:
    """The mask without corners that make no difference: those beside an edge."""
    for corner, sides in CORNERS.items():
        if not all(mask & side for side in sides):
            mask &= ~corner
    return mask


MASKS: Final = tuple(sorted({without_idle_corners(mask) for mask in range(256)}))
"""All that can surround a tile which joins up with others of its kind: 47."""


def mask_of(same: Callable[[int, int], bool], column: int, row: int) -> int:
    """Where around a place there is more of the same."""
    return sum(bit for bit, (x, y) in AROUND.items() if same(column + x, row + y))


@cache
def depth(mask: int, x: int, y: int) -> float:
    """How many pixels a pixel lies within a shape; the edges waver, and corners are round."""
    wave_x, wave_y = _WOBBLE[x], _WOBBLE[y]
    sides = {
        NORTH: y + 0.5 + wave_x,
        EAST: TILE - 0.5 - x + wave_y,
        SOUTH: TILE - 0.5 - y + wave_x,
        WEST: x + 0.5 + wave_y,
    }
    found = min([float(TILE), *(far for side, far in sides.items() if not mask & side)])
    for corner, (first, second) in CORNERS.items():
        one, other = sides[first], sides[second]
        if not mask & first and not mask & second:
            if one < _ROUND and other < _ROUND:
                found = min(found, _ROUND - sqrt((_ROUND - one) ** 2 + (_ROUND - other) ** 2))
        elif mask & first and mask & second and not mask & corner:
            found = min(found, sqrt(max(one, 0) ** 2 + max(other, 0) ** 2))
    return found

"""Trees, bushes and high grass: in nobody's way, but one is seen less behind them.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.play.art.palette import (
    BLOSSOM,
    GRASS,
    INK,
    LEAVES,
    MEADOW,
    NEEDLES,
    RED,
    SHADE,
    WOOD,
)
from gamenet.play.art.pixels import TILE, dot, noise, paint, tile

if TYPE_CHECKING:
    from gamenet.play.art.palette import Colour

TREES: Final = ("oak", "blossom", "pine")
TREE_WIDE: Final = 2
TREE_HIGH: Final = 3
"""A tree in tiles; the lowest ones are the trunk, which is behind heroes."""

# Middle and radius of clumps of leaves, from the back to the front.
_CLUMPS: Final = (
    (16, 11, 9), (9, 15, 8), (23, 15, 8), (16, 18, 9), (8, 22, 7), (24, 22, 7), (16, 26, 9),
)  # fmt: skip
_LILY: Final = (
    ("..oooo..", ".ollmo..", "olmmoomo", "ommmmmmo", ".odmmdo.", "..oooo.."),
    ("..oooo..", ".ollppo.", "olmpwpmo", "ommppmmo", ".odmmdo.", "..oooo.."),
)
_TIERS: Final = ((4, 3, 7), (9, 6, 10), (15, 9, 12), (22, 12, 13))
"""Of a pine: top, and half of the width and the height of a triangle."""


def tree(kind: str) -> pygame.Surface:
    """A whole tree."""
    surface = pygame.Surface((TREE_WIDE * TILE, TREE_HIGH * TILE), pygame.SRCALPHA)
    _shadow(surface, 16, 42, 12, 5)
    _trunk(surface, 13, 32, 6, 11)
    if kind == "pine":
        _needles(surface)
    else:
        shades = BLOSSOM if kind == "blossom" else LEAVES
        # The outline first: each clump a pixel larger.
        for x, y, radius in _CLUMPS:
            _disc(surface, x, y + 2, radius + 1, INK)
        for number, (x, y, radius) in enumerate(_CLUMPS):
            _clump(surface, x, y + 2, radius, shades, number)
    return surface


def bush(variant: int) -> pygame.Surface:
    """A bush in a tile; some bear berries."""
    surface = tile()
    _shadow(surface, 8, 13, 7, 2)
    clumps = ((5, 9, 4), (11, 9, 4), (8, 7, 5))
    for x, y, radius in clumps:
        _disc(surface, x, y, radius + 1, INK)
    for number, (x, y, radius) in enumerate(clumps):
        _clump(surface, x, y, radius, LEAVES, number + variant)
    if variant:
        for at in ((5, 8), (10, 6), (8, 11), (12, 10)):
            dot(surface, [at], RED)
    return surface


def lily(variant: int) -> pygame.Surface:
    """A leaf on the water, or two; one may have a blossom."""
    surface = tile()
    colours = {
        "o": LEAVES[1],
        "d": LEAVES[2],
        "m": LEAVES[3],
        "l": LEAVES[4],
        "p": BLOSSOM[3],
        "w": BLOSSOM[4],
    }
    paint(surface, _LILY[variant], colours, (1 + 5 * variant, 3))
    if not variant:
        paint(surface, [row[::-1] for row in _LILY[0]], colours, (7, 9))
    return surface


def high_grass(front: bool) -> pygame.Surface:
    """Blades that one wades through; the *front* ones hide the feet."""
    surface = tile()
    for foot in (15,) if front else (5, 10, 15):
        for x in range(foot % 2, TILE, 2):
            lean = noise(x, foot, 51) % 3 - 1
            height = 4 + noise(x, foot, 52) % 4
            for step in range(height):
                colour = GRASS[0] if step < 2 else MEADOW[3] if step == height - 1 else GRASS[3]
                y = foot - noise(x, foot, 55) % 4 - step
                dot(surface, [(x + (lean if 2 * step > height else 0), y)], colour)
                if step < height - 2:
                    dot(surface, [(x + 1, y)], GRASS[1])
    return surface


def _disc(surface: pygame.Surface, x: int, y: int, radius: int, colour: Colour) -> None:
    for down in range(-radius, radius + 1):
        for right in range(-radius, radius + 1):
            if right * right + down * down <= radius * radius + 1:
                surface.set_at((x + right, y + down), colour)


def _clump(
    surface: pygame.Surface, x: int, y: int, radius: int, shades: tuple[Colour, ...], salt: int
) -> None:
    """Leaves with light from the upper left."""
    for down in range(-radius, radius + 1):
        for right in range(-radius, radius + 1):
            if right * right + down * down > radius * radius + 1:
                continue
            # Away from the light, from -1 to 1 in hundredths; roughened, so that leaves show.
            away = 100 * (right + 2 * down) // (3 * radius)
            away += noise((x + right) // 2, (y + down) // 2, salt + 53) * 50 // 255 - 25
            colour = shades[4 if away < -62 else 3 if away < -22 else 2 if away < 34 else 1]
            surface.set_at((x + right, y + down), colour)


def _needles(surface: pygame.Surface) -> None:
    for outline in (True, False):
        for top, half, height in _TIERS:
            for down in range(height + 1):
                wide = half * down // height + 1
                if down == height:
                    wide -= 1
                for right in range(-wide, wide):
                    at = (16 + right, top + down)
                    if outline:
                        dot(surface, [(at[0] + 1, at[1]), (at[0] - 1, at[1])], INK)
                        dot(surface, [(at[0], at[1] + 1), (at[0], at[1] - 1)], INK)
                        continue
                    away = 4 * right + noise(at[0] // 2, at[1], 54) // 12 - 8
                    shade = 1 if down > height - 3 else 4 if away < -26 else 3 if away < -6 else 2
                    surface.set_at(at, NEEDLES[shade])


def _trunk(surface: pygame.Surface, left: int, top: int, width: int, height: int) -> None:
    surface.fill(INK, (left - 1, top, width + 2, height))
    surface.fill(INK, (left - 2, top + height - 2, width + 4, 2))
    surface.fill(WOOD[1], (left, top, width, height - 1))
    surface.fill(WOOD[2], (left + 1, top, 2, height - 1))
    surface.fill(WOOD[0], (left + width - 2, top, 2, height - 1))


def _shadow(surface: pygame.Surface, x: int, y: int, wide: int, high: int) -> None:
    for down in range(-high, high + 1):
        for right in range(-wide, wide + 1):
            far = (right * right * 100) // (wide * wide) + (down * down * 100) // (high * high)
            if far <= 100:
                surface.set_at((x + right, y + down), (*SHADE, 84 if far < 50 else 52))

"""What heroes walk on: grass, meadows, paths and floors.

Layer 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.play.art.palette import (
    BLUE,
    EARTH,
    FLAGS,
    GRASS,
    INK,
    MEADOW,
    RED,
    RUG,
    SHADE,
    STONE,
    VIOLET,
    WHITE,
    WOOD,
    YELLOW,
)
from gamenet.play.art.pixels import (
    EAST,
    NORTH,
    NORTH_WEST,
    SOUTH,
    TILE,
    WEST,
    depth,
    dot,
    each,
    noise,
    paint,
    tile,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pygame

    from gamenet.play.art.palette import Colour

GRASSES: Final = 12
"""How many kinds of grass there are; most are nearly plain, or a meadow would look like a rug."""
FLOORS: Final = 4
FLOWERS: Final = {"red": RED, "yellow": YELLOW, "white": WHITE, "violet": VIOLET, "blue": BLUE}

_BLADES = (
    ("..l", "l.m", "ml.", "dm."),
    ("l..", "m.l", ".lm", ".md"),
    ("l.l", "m.m", "dmd"),
    (".l.", ".m."),
)
_FLOWER = (".p.", "pyp", ".pg", ".g.")
_PEBBLES = ("..oo...", ".olmo..", ".omdo..", "..oo.oo", ".....om", "......o")
_MUSHROOM = (".ooo.", "orrro", "orwro", ".owo.", ".owo.")


def grass(variant: int) -> pygame.Surface:
    """Grass as good as everywhere."""
    return _blades(tile(GRASS[2]), GRASS, variant, variant // 3)


def meadow(mask: int) -> pygame.Surface:
    """Where the grass is lighter."""
    surface = _blades(tile(GRASS[2]), GRASS, 0, 0)
    for x, y in each():
        far = depth(mask, x, y) + noise(x, y, 3) / 128
        if far > 4.2:
            surface.set_at((x, y), MEADOW[2])
        elif far > 2.6:
            surface.set_at((x, y), MEADOW[1])
    return _blades(surface, MEADOW, mask, 2, lambda x, y: depth(mask, x, y) > 6)


def path(mask: int) -> pygame.Surface:
    """Trodden earth, a little lower than the grass around it."""
    surface = grass(0)
    for x, y in each():
        far = depth(mask, x, y)
        if far <= 1.6:
            continue
        chance = noise(x, y, mask)
        colour = EARTH[3]
        if far < 2.6:
            colour = GRASS[1]
        elif far < 3.6:
            colour = EARTH[1] if depth(mask | SOUTH | EAST, x, y) < 3.6 else EARTH[2]
        elif chance < 10:
            colour = EARTH[2]
        elif chance > 246:
            colour = EARTH[4]
        surface.set_at((x, y), colour)
    for number in range(2):
        x, y = 3 + noise(number, mask, 5) % 10, 3 + noise(number, mask, 6) % 10
        if depth(mask, x, y) > 5 and depth(mask, x + 1, y + 1) > 5:
            dot(surface, [(x, y), (x + 1, y)], EARTH[4])
            dot(surface, [(x, y + 1), (x + 1, y + 1)], EARTH[1])
    return surface


def flags(variant: int) -> pygame.Surface:
    """Stone slabs."""
    surface = tile(FLAGS[2])
    for left, top, width, height in _SLABS[variant % 2]:
        tone = FLAGS[2 + noise(left, top, variant) % 2]
        surface.fill(tone, (left, top, width, height))
        surface.fill(FLAGS[4], (left, top, width - 1, 1))
        surface.fill(FLAGS[1], (left, top + height - 1, width, 1))
        surface.fill(FLAGS[1], (left + width - 1, top, 1, height))
    if variant == 3:
        dot(surface, [(4, 2), (5, 3), (5, 4), (6, 5)], FLAGS[1])
    return surface


def boards(variant: int) -> pygame.Surface:
    """A wooden floor."""
    surface = tile(WOOD[2])
    for number in range(4):
        top = 4 * number
        surface.fill(WOOD[3] if (number + variant) % 3 else WOOD[2], (0, top, TILE, 3))
        surface.fill(WOOD[1], (0, top + 3, TILE, 1))
        joint = (noise(number, variant, 7) % 4) * 4 + 2
        surface.fill(WOOD[1], (joint, top, 1, 3))
        dot(surface, [(joint + 2, top + 1)], WOOD[1])
        grain = noise(number, variant, 8) % 12
        surface.fill(WOOD[4] if number % 2 else WOOD[3], (grain, top, 4, 1))
    return surface


def rug(mask: int) -> pygame.Surface:
    """A red rug on boards."""
    surface = boards(0)
    for x, y in each():
        straight = min(
            [
                float(TILE),
                *([y] if not mask & NORTH else []),
                *([TILE - 1 - x] if not mask & EAST else []),
                *([TILE - 1 - y] if not mask & SOUTH else []),
                *([x] if not mask & WEST else []),
            ]
        )
        if straight >= 2:
            surface.set_at((x, y), RUG[2] if (x + y) % 4 or (x - y) % 4 else RUG[1])
        if straight in (2, 5):
            surface.set_at((x, y), RUG[0] if straight == 2 else RUG[1])
        if straight in (3, 4):
            surface.set_at((x, y), RUG[3] if straight == 3 else RUG[2])
    return surface


def flower(colour: Colour, variant: int) -> pygame.Surface:
    """A few flowers of one colour; the rest is transparent."""
    surface = tile()
    colours = {"p": colour, "y": YELLOW if colour != YELLOW else RED, "g": GRASS[0]}
    for number in range(3):
        x = 1 + number * 4 + noise(number, variant, 9) % 3
        y = 1 + noise(number, variant, 10) % 10
        dot(surface, [(x, y + 4), (x + 1, y + 4), (x + 2, y + 4)], GRASS[1])
        paint(surface, _FLOWER, colours, (x, y))
    return surface


def pebbles(variant: int) -> pygame.Surface:
    """A stone or two."""
    surface = tile()
    rows = _PEBBLES if variant else [row[::-1] for row in _PEBBLES]
    colours = {"o": STONE[1], "l": STONE[5], "m": STONE[4], "d": STONE[3]}
    paint(surface, rows, colours, (4, 5))
    return surface


def mushroom() -> pygame.Surface:
    """Two mushrooms."""
    surface = tile()
    for at in ((2, 3), (8, 8)):
        paint(surface, _MUSHROOM, {"o": INK, "r": RED, "w": WHITE}, at)
    return surface


def shadow(mask: int) -> pygame.Surface:
    """What walls in the north and the west throw on the ground."""
    surface = tile()
    for x, y in each():
        dark = 0
        if mask & NORTH:
            dark = max(dark, 92 - 20 * y)
        if mask & WEST:
            dark = max(dark, 80 - 16 * x)
        if mask & NORTH_WEST and not mask & (NORTH | WEST):
            dark = max(dark, 80 - 18 * max(x, y))
        if dark > 0:
            surface.set_at((x, y), (*SHADE, dark))
    return surface


_SLABS = (
    ((0, 0, 8, 8), (8, 0, 8, 8), (0, 8, 5, 8), (5, 8, 11, 8)),
    ((0, 0, 11, 8), (11, 0, 5, 8), (0, 8, 8, 8), (8, 8, 8, 8)),
)


def _blades(
    surface: pygame.Surface,
    shades: tuple[Colour, ...],
    salt: int,
    count: int,
    where: Callable[[int, int], bool] = lambda x, y: True,
) -> pygame.Surface:
    """Strew blades of grass about."""
    colours = {"l": shades[3], "m": shades[3], "d": shades[1]}
    for number in range(count):
        x, y = noise(number, salt, 1) % 13, noise(number, salt, 2) % 12
        if not where(x + 1, y + 1):
            continue
        paint(surface, _BLADES[noise(number, salt, 4) % len(_BLADES)], colours, (x, y))
    return surface

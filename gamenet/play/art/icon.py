"""The icon of the window: a hero on the grass.

Layer 4.
"""

from __future__ import annotations

from typing import Final

import pygame

from gamenet.demo.field import FACING_DOWN
from gamenet.play.art import heroes
from gamenet.play.art.palette import (
    GRASS,
    HAIR,
    HAIR_KEYS,
    INK,
    MEADOW,
    SHADE,
    SHIRT_KEYS,
    SHIRTS,
    SKIN,
    SKIN_KEYS,
)

SIDE: Final = 64
_ROUND: Final = 6


def draw() -> pygame.Surface:
    """The icon."""
    small = pygame.Surface((SIDE // 2, SIDE // 2), pygame.SRCALPHA)
    pygame.draw.rect(small, INK, small.get_rect(), border_radius=_ROUND)
    pygame.draw.rect(small, MEADOW[2], small.get_rect().inflate(-2, -2), border_radius=_ROUND - 1)
    pygame.draw.rect(small, GRASS[2], (1, 22, 30, 9), border_bottom_left_radius=5)
    small.fill(SHADE, (10, 26, 12, 3))
    hero = heroes.frame(0, FACING_DOWN, 0)
    pixels = pygame.PixelArray(hero)
    pairs = zip((HAIR_KEYS, SKIN_KEYS, SHIRT_KEYS), (HAIR[0], SKIN[0], SHIRTS[0]), strict=True)
    for keys, colours in pairs:
        for key, colour in zip(keys, colours, strict=True):
            pixels.replace(key, colour)
    pixels.close()
    small.blit(hero, (8, 5))
    return pygame.transform.scale(small, (SIDE, SIDE))

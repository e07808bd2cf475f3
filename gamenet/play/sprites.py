"""The heroes' pictures: each in colours of its own, at the size of the window.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import pygame

from gamenet.play.art.heroes import FACINGS, HIGH, STEPS, STYLES, WIDE
from gamenet.play.art.palette import (
    HAIR,
    HAIR_KEYS,
    INK,
    SHADE,
    SHIRT_KEYS,
    SHIRTS,
    SKIN,
    SKIN_KEYS,
    YELLOW,
)
from gamenet.play.art.pixels import paint
from gamenet.play.field_map import ASSETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STEPS_HZ: Final = 9.0
"""Pictures of a walk in a second."""
MOST_KEPT: Final = 1024
"""Pictures kept: of 50 heroes all 20 there are."""
AWAY_OPACITY: Final = 130
_SHADOW: Final = (
    "...11111111...",
    ".112222222211.",
    "12222222222221",
    ".112222222211.",
    "...11111111...",
)


_RING: Final = (
    ".....yyyyyyyy.....",
    "..yyy........yyy..",
    ".y..............y.",
    "y................y",
    "y................y",
    "y................y",
    "oy..............yo",
    ".oyyy........yyyo.",
    "...oyyyyyyyyyyo...",
    ".....oooooooo.....",
)


class Look(NamedTuple):
    """What one hero is told from others by, besides the name."""

    style: int
    hair: int
    skin: int
    shirt: int


def look_of(hero_id: int) -> Look:
    """The same each time; twelve heroes who join one after another have twelve shirts."""
    return Look(
        hero_id % STYLES,
        (hero_id + hero_id // 3) % len(HAIR),
        (hero_id + hero_id // 5) % len(SKIN),
        hero_id % len(SHIRTS),
    )


def pose_of(walking: bool, hero_id: int, now_seconds: float) -> int:
    """The column of the sheet; heroes do not walk in step."""
    return 1 + int(now_seconds * STEPS_HZ + 0.37 * hero_id) % STEPS if walking else 0


class Sprites:
    """Heroes as they are drawn.

    :param zoom: pixels of the window in the side of one of theirs.
    """

    def __init__(self, zoom: int) -> None:
        self._zoom = zoom
        self._sheet = pygame.image.load(ASSETS / "heroes.png")
        self._sheets = lru_cache(maxsize=len(SHIRTS) * len(HAIR))(self._dressed)
        self.frame = lru_cache(maxsize=MOST_KEPT)(self._frame)
        self.shadow = self._scaled(_SHADOW, {"1": (*SHADE, 46), "2": (*SHADE, 84)})
        self.own_shadow = self._scaled(_RING, {"o": (*INK, 120), "y": (*YELLOW, 255)})
        """Of the player's own hero: in a ring, so that one finds oneself."""
        self.own_shadow.blit(
            self.shadow, self.shadow.get_rect(center=self.own_shadow.get_rect().center)
        )

    def _frame(self, look: Look, facing: int, pose: int, away: bool = False) -> pygame.Surface:
        """One picture; grey and half transparent if the player is *away*."""
        row = look.style * FACINGS + facing % FACINGS
        area = (pose * WIDE, row * HIGH, WIDE, HIGH)
        picture = self._sheets(look).subsurface(area)
        if away:
            picture = pygame.transform.grayscale(picture)
        picture = pygame.transform.scale_by(picture, self._zoom).convert_alpha()
        if away:
            picture.set_alpha(AWAY_OPACITY)
        return picture

    def _dressed(self, look: Look) -> pygame.Surface:
        """The whole sheet in the colours of a look."""
        sheet = self._sheet.copy()
        pixels = pygame.PixelArray(sheet)
        for keys, colours in (
            (HAIR_KEYS, HAIR[look.hair]),
            (SKIN_KEYS, SKIN[look.skin]),
            (SHIRT_KEYS, SHIRTS[look.shirt]),
        ):
            for key, colour in zip(keys, colours, strict=True):
                pixels.replace(key, colour)
        pixels.close()
        return sheet

    def _scaled(self, rows: Sequence[str], colours: Mapping[str, Sequence[int]]) -> pygame.Surface:
        picture = pygame.Surface((len(rows[0]), len(rows)), pygame.SRCALPHA)
        paint(picture, rows, colours)
        return pygame.transform.scale_by(picture, self._zoom).convert_alpha()

"""The field as a player sees it: the map around a place, heroes, their names, and what they say.

Layer 4. Runs on: the game thread. Needs pygame-ce, its fonts, and a display.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.demo.field import REACH, TILES_HIGH, TILES_WIDE, UNITS_PER_TILE
from gamenet.play.art.palette import INK, WHITE, YELLOW
from gamenet.play.bubbles import TEXT_WIDTH, Bubbles
from gamenet.play.field_map import load
from gamenet.play.lettering import Lettering
from gamenet.play.scenery import NIGHT, Scenery
from gamenet.play.sprites import Sprites, look_of, pose_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.play.field_map import FieldMap
    from gamenet.play.sight import Sight

TILES_SEEN: Final = (20, 11)
"""How many tiles a window shows, about: a little more than a hero sees."""
FIRST_SIZE: Final = (960, 540)
"""What it is ready for, before it has drawn anything."""
AWAY: Final = " (away)"
NAME_COLOUR: Final = WHITE
OWN_COLOUR: Final = YELLOW
_FEET: Final = REACH / UNITS_PER_TILE
"""How far a hero's feet are below its middle, in tiles."""


class FieldView:
    """Draws the field.

    :param field_map: by default the game's own.
    :raises ConfigError: if a picture that the map names cannot be read.
    """

    def __init__(self, field_map: FieldMap | None = None) -> None:
        pygame.font.init()
        self._scenery = Scenery(load() if field_map is None else field_map)
        self._size = (0, 0)
        self._corner = (0, 0)
        self._fit(FIRST_SIZE)

    @property
    def zoom(self) -> int:
        """Pixels of the window in the side of one of the map."""
        return self._scenery.zoom

    def pixel_of(self, x: float, y: float) -> tuple[int, int]:
        """Where a place in tiles was last drawn."""
        return round(x * self._side) - self._corner[0], round(y * self._side) - self._corner[1]

    def draw(
        self,
        surface: pygame.Surface,
        sights: Sequence[Sight],
        centre: tuple[float, float],
        now_seconds: float,
    ) -> None:
        """Draw all of it.

        :param centre: what is in the middle, in tiles; at the edges of the map it is not.
        :param now_seconds: any clock's, for what moves by itself.
        """
        if surface.get_size() != self._size:
            self._fit(surface.get_size())
        self._look_at(centre)
        if any(edge < 0 for edge in self._corner):
            surface.fill(NIGHT)
        self._scenery.draw_below(surface, self._corner, now_seconds)
        # From the back to the front; one's own after others at the same place.
        seen = sorted((sight for sight in sights if self._is_near(sight)), key=_depth)
        for sight in seen:
            self._draw_shadow(surface, sight)
        behind = 0.0
        for sight in seen:
            feet = sight.y + _FEET
            self._draw_standing(surface, now_seconds, behind, feet)
            self._draw_hero(surface, sight, now_seconds)
            behind = feet
        self._draw_standing(surface, now_seconds, behind, TILES_HIGH + 1)
        self._scenery.draw_above(surface, self._corner, now_seconds)
        # Text can be read, whatever stands before its hero.
        for sight in seen:
            self._draw_name(surface, sight)
        for sight in seen:
            if sight.bubble:
                self._draw_bubble(surface, sight)

    # ------------------------------------------------------------------------------ the window

    def _fit(self, size: tuple[int, int]) -> None:
        """Begin to draw for a window of another size."""
        self._size = size
        tile = self._scenery.tile_side
        zoom = max(
            1,
            min(
                round(length / (tiles * tile))
                for length, tiles in zip(size, TILES_SEEN, strict=True)
            ),
        )
        changed = zoom != self.zoom
        self._scenery.resize(zoom, size)
        if not changed:
            return
        self._side = tile * zoom
        self._sprites = Sprites(zoom)
        self._names = Lettering(max(12, 2 + 4 * zoom))
        self._bubbles = Bubbles(zoom)

    def _look_at(self, centre: tuple[float, float]) -> None:
        """Have the camera there, and never beyond the map, unless the window is larger than it."""
        corner = []
        for at, tiles, length in zip(centre, (TILES_WIDE, TILES_HIGH), self._size, strict=True):
            most = tiles * self._side - length
            if most < 0:
                corner.append(most // 2)
            else:
                corner.append(min(max(round(at * self._side) - length // 2, 0), most))
        self._corner = (corner[0], corner[1])

    def _is_near(self, sight: Sight) -> bool:
        """Whether anything of a hero, its name and its words can be in the window."""
        x, y = self.pixel_of(sight.x, sight.y)
        margin = TEXT_WIDTH * self.zoom
        return -margin < x < self._size[0] + margin and -2 * self._side < y < self._size[1] + margin

    # ------------------------------------------------------------------------------ the heroes

    def _feet(self, sight: Sight) -> tuple[int, int]:
        x, y = self.pixel_of(sight.x, sight.y)
        return x, y + round(_FEET * self._side)

    def _draw_shadow(self, surface: pygame.Surface, sight: Sight) -> None:
        x, y = self._feet(sight)
        shadow = self._sprites.own_shadow if sight.own else self._sprites.shadow
        surface.blit(shadow, shadow.get_rect(center=(x, y - self.zoom)))

    def _draw_hero(self, surface: pygame.Surface, sight: Sight, now_seconds: float) -> None:
        pose = pose_of(sight.walking and not sight.away, sight.hero_id, now_seconds)
        picture = self._sprites.frame(look_of(sight.hero_id), sight.facing, pose, sight.away)
        surface.blit(picture, picture.get_rect(midbottom=self._feet(sight)))

    def _draw_standing(
        self, surface: pygame.Surface, now_seconds: float, behind: float, before: float
    ) -> None:
        feet = (behind, before)
        self._scenery.draw_standing(surface, self._corner, now_seconds, feet)

    def _head(self, sight: Sight) -> tuple[int, int]:
        """Just above it."""
        x, y = self._feet(sight)
        return x, y - 23 * self.zoom

    def _draw_name(self, surface: pygame.Surface, sight: Sight) -> None:
        if not sight.name:
            return
        colour = OWN_COLOUR if sight.own else NAME_COLOUR
        text = sight.name + (AWAY if sight.away else "")
        picture = self._names.line(text, colour, INK)
        surface.blit(picture, picture.get_rect(midbottom=self._head(sight)))

    def _draw_bubble(self, surface: pygame.Surface, sight: Sight) -> None:
        x, y = self._head(sight)
        self._bubbles.draw(surface, sight.bubble, (x, y - self._names.height - self.zoom))


def _depth(sight: Sight) -> tuple[float, bool, int]:
    return sight.y, sight.own, sight.hero_id

"""The map as pictures: what never changes is put together once, what moves as often as it is drawn.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pygame
from pytmx.util_pygame import handle_transformation

from gamenet.demo.field import TILES_HIGH, TILES_WIDE
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gamenet.play.field_map import FieldMap, Frame, Placed

Place = tuple[int, int]
Tiles = dict[int, list["Placed"]]
"""By row."""
NIGHT: Final = (20, 24, 38)
"""Beyond the map, where the window is larger."""


class Scenery:
    """The map at the size of its own pixels, and at that of the window.

    :raises ConfigError: if a picture that the map names cannot be read.
    """

    def __init__(self, field_map: FieldMap) -> None:
        self.tile_side = field_map.tile_side
        self.zoom = 0
        self._pictures = _Pictures(field_map)
        size = (TILES_WIDE * self.tile_side, TILES_HIGH * self.tile_side)
        self._still = pygame.Surface(size).convert()
        self._still.fill(NIGHT)
        self._moving: dict[Place, tuple[Frame, ...]] = {}
        for tile in field_map.below:
            if len(tile.frames) > 1:
                self._moving[tile.column, tile.row] = tile.frames
            else:
                at = (tile.column * self.tile_side, tile.row * self.tile_side)
                self._still.blit(self._pictures.small(tile.frames[0]), at)
        self._standing = _by_row(field_map.standing)
        self._above = _by_row(field_map.above)
        self._canvas = pygame.Surface((1, 1))
        self._scaled = pygame.Surface((1, 1))

    def resize(self, zoom: int, size: tuple[int, int]) -> None:
        """Be drawn at another size from now on."""
        if zoom != self.zoom:
            self.zoom = zoom
            self._pictures.resize(zoom)
        # One more along each axis: the first pixel is seldom seen whole.
        wide, high = (
            min(length // zoom + 2, whole)
            for length, whole in zip(size, self._still.get_size(), strict=True)
        )
        self._canvas = pygame.Surface((wide, high)).convert()
        self._scaled = pygame.Surface((wide * zoom, high * zoom)).convert()

    def draw_below(self, surface: pygame.Surface, corner: Place, now_seconds: float) -> None:
        """Draw what heroes stand on.

        :param corner: which pixel of the map, zoomed, is the upper left one of *surface*.
        """
        wide, high = self._canvas.get_size()
        left, top = (
            max(0, min(at // self.zoom, whole - length))
            for at, whole, length in zip(corner, self._still.get_size(), (wide, high), strict=True)
        )
        self._canvas.blit(self._still, (0, 0), (left, top, wide, high))
        area = pygame.Rect(left, top, wide, high)
        self._canvas.blits(list(self._now_moving(area, now_seconds)), False)
        pygame.transform.scale(self._canvas, self._scaled.get_size(), self._scaled)
        surface.blit(self._scaled, (left * self.zoom - corner[0], top * self.zoom - corner[1]))

    def draw_standing(
        self,
        surface: pygame.Surface,
        corner: Place,
        now_seconds: float,
        feet: tuple[float, float],
    ) -> None:
        """Draw what stands between two heroes, of whom one is further back.

        :param feet: how far down they are, in tiles.
        """
        rows = range(ceil(feet[0]) - 1, ceil(feet[1]) - 1)
        self._draw_tall(surface, corner, now_seconds, self._standing, rows)

    def draw_above(self, surface: pygame.Surface, corner: Place, now_seconds: float) -> None:
        """Draw what every hero stands behind."""
        self._draw_tall(surface, corner, now_seconds, self._above, range(TILES_HIGH))

    def _draw_tall(
        self,
        surface: pygame.Surface,
        corner: Place,
        now_seconds: float,
        tiles: Tiles,
        rows: range,
    ) -> None:
        side = self.tile_side * self.zoom
        area = pygame.Rect(*corner, *surface.get_size())
        first, last = max(rows.start, area.top // side), min(rows.stop, -(-area.bottom // side))
        for row in range(first, last):
            surface.blits(
                [
                    (
                        self._pictures.large(frame_at(tile.frames, now_seconds)),
                        (tile.column * side - corner[0], row * side - corner[1]),
                    )
                    for tile in tiles.get(row, ())
                    if area.left < (tile.column + 1) * side and tile.column * side < area.right
                ],
                False,
            )

    def _now_moving(
        self, area: pygame.Rect, now_seconds: float
    ) -> Iterator[tuple[pygame.Surface, Place]]:
        side = self.tile_side
        for column, row in _within(area, side):
            frames = self._moving.get((column, row))
            if frames is not None:
                picture = self._pictures.small(frame_at(frames, now_seconds))
                yield picture, (column * side - area.x, row * side - area.y)


class _Pictures:
    """The pictures of all tiles, in both sizes."""

    def __init__(self, field_map: FieldMap) -> None:
        tiles = (*field_map.below, *field_map.standing, *field_map.above)
        frames = {frame for tile in tiles for frame in tile.frames}
        self._sheets = {name: _sheet(name) for name in {frame.picture for frame in frames}}
        self._small = {frame: self._cut(frame) for frame in frames}
        self._large: dict[Frame, pygame.Surface] = {}
        self._zoom = 1

    def resize(self, zoom: int) -> None:
        self._zoom = zoom
        self._large.clear()

    def small(self, frame: Frame) -> pygame.Surface:
        return self._small[frame]

    def large(self, frame: Frame) -> pygame.Surface:
        """Made when it is first seen: most tiles are never above anybody."""
        found = self._large.get(frame)
        if found is None:
            found = pygame.transform.scale_by(self._small[frame], self._zoom).convert_alpha()
            self._large[frame] = found
        return found

    def _cut(self, frame: Frame) -> pygame.Surface:
        tile = self._sheets[frame.picture]
        if frame.area is not None:
            try:
                tile = tile.subsurface(frame.area)
            except ValueError:
                raise ConfigError(
                    "map", f"its picture {frame.picture} is smaller than the map says"
                ) from None
        if any(frame.flips):
            tile = handle_transformation(tile, frame.flips)
        return tile.convert_alpha()


def frame_at(frames: tuple[Frame, ...], now_seconds: float) -> Frame:
    """Which of a tile's pictures is shown at a time."""
    if len(frames) == 1:
        return frames[0]
    left = now_seconds % (sum(frame.seconds for frame in frames) or 1)
    for frame in frames:
        left -= frame.seconds
        if left < 0:
            return frame
    return frames[-1]


def _by_row(tiles: Iterable[Placed]) -> Tiles:
    found: Tiles = {}
    for tile in tiles:
        found.setdefault(tile.row, []).append(tile)
    return found


def _sheet(name: str) -> pygame.Surface:
    try:
        return pygame.image.load(name)
    except (OSError, pygame.error) as error:
        why = error if Path(name).is_file() else "there is no such file"
        raise ConfigError("map", f"cannot read its picture {name}: {why}") from None


def _within(area: pygame.Rect, side: int) -> Iterable[Place]:
    """The tiles that an area has any part of."""
    return (
        (column, row)
        for row in range(max(0, area.top // side), min(TILES_HIGH, -(-area.bottom // side)))
        for column in range(max(0, area.left // side), min(TILES_WIDE, -(-area.right // side)))
    )

"""The sheet of tiles: every tile by name, and where on the sheet it is.

Layer 4.
"""

from __future__ import annotations

from typing import Final

import pygame

from gamenet.play.art import ground, plants, walls, water, wood
from gamenet.play.art.pixels import EAST, EVERYWHERE, MASKS, NORTH, NORTH_WEST, SOUTH, TILE, WEST

COLUMNS: Final = 16
SIDE_MASKS: Final = tuple(mask for mask in range(256) if not mask & ~(NORTH | EAST | SOUTH | WEST))
SHADOW_MASKS: Final = tuple(
    mask for mask in range(256) if mask and not mask & ~(NORTH | WEST | NORTH_WEST)
)


class Sheet:
    """Tiles in the order in which they were added."""

    def __init__(self) -> None:
        self.names: dict[str, int] = {}
        """The number of each tile, from 0 on."""
        self._pictures: list[pygame.Surface] = []

    def add(self, name: str, picture: pygame.Surface) -> None:
        """Add a tile, of a name that is new."""
        assert name not in self.names, name
        self.names[name] = len(self._pictures)
        self._pictures.append(picture)

    @property
    def rows(self) -> int:
        """Of the picture."""
        return -(-len(self._pictures) // COLUMNS)

    def picture(self) -> pygame.Surface:
        """All of them, ``COLUMNS`` a row."""
        surface = pygame.Surface((COLUMNS * TILE, self.rows * TILE), pygame.SRCALPHA)
        for number, picture in enumerate(self._pictures):
            surface.blit(picture, (number % COLUMNS * TILE, number // COLUMNS * TILE))
        return surface


def draw() -> Sheet:
    """Draw every tile there is."""
    sheet = Sheet()
    _add_ground(sheet)
    _add_water(sheet)
    for material in walls.MATERIALS:
        for mask in walls.WALL_MASKS:
            # Where the front is not seen, or the material has none, they do not differ.
            for variant in walls.VARIANTS:
                sheet.add(f"{material}/{mask}/{variant}", walls.wall(material, mask, variant))
        for mask in walls.RIDGE_MASKS:
            sheet.add(f"{material}-ridge/{mask}", walls.ridge(material, mask))
    for mask in SIDE_MASKS:
        sheet.add(f"bridge/{mask}", wood.bridge(mask))
    sheet.add("rail", wood.rail_in_front())
    sheet.add("pier", wood.pier())
    _add_plants(sheet)
    return sheet


def _add_ground(sheet: Sheet) -> None:
    for variant in range(ground.GRASSES):
        sheet.add(f"grass/{variant}", ground.grass(variant))
    for mask in MASKS:
        sheet.add(f"meadow/{mask}", ground.meadow(mask))
    for mask in MASKS:
        sheet.add(f"path/{mask}", ground.path(mask))
    for variant in range(ground.FLOORS):
        sheet.add(f"flags/{variant}", ground.flags(variant))
        sheet.add(f"boards/{variant}", ground.boards(variant))
    for mask in SIDE_MASKS:
        sheet.add(f"rug/{mask}", ground.rug(mask))
    for mask in SHADOW_MASKS:
        sheet.add(f"shadow/{mask}", ground.shadow(mask))
    for name, colour in ground.FLOWERS.items():
        for variant in range(2):
            sheet.add(f"flower-{name}/{variant}", ground.flower(colour, variant))
    for variant in range(2):
        sheet.add(f"pebbles/{variant}", ground.pebbles(variant))
    sheet.add("mushroom", ground.mushroom())


def _add_water(sheet: Sheet) -> None:
    """A tile's frames stand one after another; the first is the one that a map names."""
    for mask in MASKS:
        for variant in range(water.OPEN_WATERS if mask == EVERYWHERE else 1):
            for frame in range(water.FRAMES):
                sheet.add(f"water/{mask}/{variant}/{frame}", water.water(mask, frame, variant))


def _add_plants(sheet: Sheet) -> None:
    for kind in plants.TREES:
        picture = plants.tree(kind)
        for row in range(plants.TREE_HIGH):
            for column in range(plants.TREE_WIDE):
                area = (column * TILE, row * TILE, TILE, TILE)
                sheet.add(f"{kind}/{column}/{row}", picture.subsurface(area))
    for variant in range(2):
        sheet.add(f"bush/{variant}", plants.bush(variant))
        sheet.add(f"lily/{variant}", plants.lily(variant))
    sheet.add("high-grass", plants.high_grass(False))
    sheet.add("high-grass-front", plants.high_grass(True))

"""What lies where: the demo's map, and what makes it a landscape.

Layer 4. Walls, water and bridges are those of :data:`gamenet.demo.field.MAP`; the rest is mere
decoration. Heroes stand before the layers up to the walls, among ``standing``, and behind what is
``above``.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from gamenet.demo.field import TILES_HIGH, TILES_WIDE
from gamenet.play.art import ground, planting, walls, water
from gamenet.play.art.pixels import (
    EAST,
    EVERYWHERE,
    NORTH,
    NORTH_WEST,
    SOUTH,
    WEST,
    mask_of,
    noise,
    without_idle_corners,
)
from gamenet.play.art.places import Layer, Place, at, everywhere

# Left, top, width and height, doorways included.
_FLAGS: Final = (
    (18, 4, 6, 4), (17, 5, 1, 1), (20, 8, 1, 1),
    (55, 5, 5, 4), (54, 7, 1, 1),
    (7, 16, 5, 4), (9, 15, 1, 1), (12, 18, 1, 1),
    (18, 15, 7, 6), (17, 17, 1, 1), (17, 18, 1, 1), (25, 16, 1, 3), (21, 21, 1, 1),
)  # fmt: skip
_BOARDS: Final = (
    (6, 5, 8, 5), (14, 7, 1, 1), (9, 10, 1, 1),
    (43, 4, 8, 6), (42, 6, 1, 1), (51, 6, 1, 2), (46, 10, 1, 1),
    (54, 14, 6, 5), (53, 15, 1, 2), (56, 19, 1, 1),
    (43, 15, 4, 3), (44, 14, 1, 1), (47, 16, 1, 1),
)  # fmt: skip
_RUGS: Final = ((8, 6, 4, 3), (45, 6, 4, 2), (55, 15, 4, 3))
_PATHS: Final = (
    # From the bridge to the west, and along the houses there.
    (1, 12, 26, 1), (26, 9, 8, 2), (26, 9, 1, 4), (9, 11, 1, 2), (15, 5, 2, 1), (15, 5, 1, 8),
    (20, 9, 1, 4), (9, 12, 1, 3), (13, 18, 2, 1), (14, 17, 3, 1), (14, 12, 1, 7),
    # South, over the other bridge.
    (21, 22, 1, 4), (21, 25, 5, 2), (14, 18, 1, 7), (14, 24, 8, 1),
    # From the bridge to the east.
    (38, 8, 3, 2), (40, 6, 1, 7), (40, 6, 2, 1), (40, 12, 22, 1), (46, 11, 1, 2), (52, 6, 1, 7),
    (52, 7, 2, 1), (44, 12, 1, 2), (51, 12, 1, 4), (51, 15, 2, 1), (56, 20, 1, 1),
    # To the lake and around it.
    (40, 12, 1, 13), (40, 24, 3, 1), (30, 25, 11, 2), (47, 24, 4, 1), (40, 24, 1, 6),
    (40, 29, 21, 1), (60, 20, 1, 10), (56, 20, 5, 1), (61, 12, 1, 9),
)  # fmt: skip


def layers() -> dict[str, Layer]:
    """The tiles of every layer."""
    floors = _floors()
    paths = {place for place in _within(_PATHS) if place not in floors}
    ridges = _ridges()
    found = {
        "ground": _ground(floors, paths),
        "details": _shadows(),
        "walls": _walls(floors),
        "standing": {},
        "above": ridges,
    }
    planting.plant(found, floors.keys() | paths)
    return found


def _within(areas: tuple[tuple[int, int, int, int], ...]) -> list[Place]:
    """The tiles of bare ground in some rectangles."""
    return [
        (column, row)
        for left, top, width, height in areas
        for row in range(top, top + height)
        for column in range(left, left + width)
        if at(column, row) == "."
    ]


def _is_border(column: int, row: int) -> bool:
    return not (0 < column < TILES_WIDE - 1 and 0 < row < TILES_HIGH - 1)


def _material(column: int, row: int) -> str:
    """What a wall is made of; "" where there is none."""
    if at(column, row) != "#":
        return ""
    return "hedge" if _is_border(column, row) else "stone"


# ------------------------------------------------------------------------------------- ground


def _floors() -> dict[Place, str]:
    rugs = set(_within(_RUGS))
    found = {place: f"boards/{noise(*place, 61) % ground.FLOORS}" for place in _within(_BOARDS)}
    found |= {place: f"flags/{_mostly_whole(place)}" for place in _within(_FLAGS)}
    for column, row in rugs:
        mask = mask_of(lambda x, y: (x, y) in rugs, column, row)
        found[column, row] = f"rug/{mask & (NORTH | EAST | SOUTH | WEST)}"
    return found


def _mostly_whole(place: Place) -> int:
    """A kind of slab; the cracked one is rare."""
    return noise(*place, 62) % 3 if noise(*place, 63) < 225 else 3


def _ground(floors: dict[Place, str], paths: set[Place]) -> Layer:
    # A path goes on below walls, doors and bridges, so that it does not end in front of them.
    def is_path(x: int, y: int) -> bool:
        return (x, y) in paths or (x, y) in floors or at(x, y) == "="

    meadows = {
        place
        for place in everywhere()
        if _lush(*place) and place not in paths and place not in floors and at(*place) in ".#"
    }
    found = {}
    for column, row in everywhere():
        place = (column, row)
        if at(column, row) == "=":
            mask = mask_of(lambda x, y: at(x, y) == "=", column, row)
            found[place] = f"bridge/{mask & (NORTH | EAST | SOUTH | WEST)}"
        elif place in floors:
            found[place] = floors[place]
        elif place in paths:
            found[place] = f"path/{without_idle_corners(mask_of(is_path, column, row))}"
        elif place in meadows:
            mask = mask_of(lambda x, y: (x, y) in meadows, column, row)
            found[place] = f"meadow/{without_idle_corners(mask)}"
        else:
            found[place] = f"grass/{noise(column, row, 64) % ground.GRASSES}"
    return found


def _lush(column: int, row: int) -> bool:
    """Smooth chance: large spots, with smaller ones on them."""
    return 2 * _smooth(column, row, 6) + _smooth(column, row, 3) > 3 * 143


def _smooth(column: int, row: int, step: int) -> int:
    """Noise at every *step*-th tile, and in between what lies between."""
    left, right = divmod(column, step)
    top, down = divmod(row, step)
    corners = [
        noise(left + x, top + y, step)
        * (right if x else step - right)
        * (down if y else step - down)
        for x in (0, 1)
        for y in (0, 1)
    ]
    return sum(corners) // (step * step)


# -------------------------------------------------------------------------------------- walls


def _walls(floors: dict[Place, str]) -> Layer:
    found = {}
    for column, row in everywhere():
        if at(column, row) == "~":
            found[column, row] = _water(column, row)
        elif material := _material(column, row):
            mask = mask_of(partial(_joins, material), column, row)
            found[column, row] = f"{material}/{walls.matters(mask)}/{_front(column, row, floors)}"
    return found


def _front(column: int, row: int, floors: dict[Place, str]) -> int:
    """A kind of wall: some have moss, and those of houses have windows, not side by side."""
    if _is_border(column, row):
        return walls.PLAIN
    chance = noise(column, row, 66)
    house = (column, row - 1) in floors or (column, row + 1) in floors
    if house and column % 3 == 0 and chance > 60:
        return walls.WINDOW
    return walls.MOSS if chance < 80 else walls.PLAIN


def _joins(material: str, column: int, row: int) -> bool:
    """Whether the same wall is there; the hedge goes on outside of the map."""
    outside = not (0 <= column < TILES_WIDE and 0 <= row < TILES_HIGH)
    return material == "hedge" if outside else _material(column, row) == material


def _water(column: int, row: int) -> str:
    # Below the border it goes on.
    def is_water(x: int, y: int) -> bool:
        return at(x, y) in "~=" or _is_border(x, y)

    mask = without_idle_corners(mask_of(is_water, column, row))
    variant = noise(column, row, 67) % water.OPEN_WATERS if mask == EVERYWHERE else 0
    return f"water/{mask}/{variant}/0"


def _ridges() -> Layer:
    """What stands out over the tiles in the north: tops of walls, rails of bridges."""
    found = {}
    for column, row in everywhere():
        below = _material(column, row + 1) if row + 1 < TILES_HIGH else ""
        if below and _material(column, row) != below:
            mask = mask_of(partial(_joins, below), column, row + 1)
            found[column, row] = f"{below}-ridge/{mask & (EAST | WEST)}"
        elif at(column, row) == "=" and at(column, row + 1) != "=":
            found[column, row] = "rail"
        elif at(column, row) == "~" and at(column, row - 1) == "=":
            found[column, row] = "pier"
    return found


def _shadows() -> Layer:
    found = {}
    for column, row in everywhere():
        if at(column, row) in ".=":
            mask = mask_of(lambda x, y: at(x, y) == "#", column, row)
            mask &= NORTH | WEST | NORTH_WEST
            # In the shade of the one in the north-west, only if both others do not stand there.
            if mask & (NORTH | WEST):
                mask &= ~NORTH_WEST
            if mask:
                found[column, row] = f"shadow/{mask}"
    return found

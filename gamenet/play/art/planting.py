"""What grows where: trees at chosen places, small things wherever chance has them.

Layer 4.
"""

from __future__ import annotations

from typing import Final

from gamenet.play.art import ground, plants
from gamenet.play.art.pixels import EVERYWHERE, noise
from gamenet.play.art.places import Layer, Place, at, everywhere

# Column and row of the upper left tile of each tree.
TREES: Final = (
    ("oak", 1, 1), ("pine", 3, 2), ("oak", 11, 1), ("blossom", 27, 2), ("pine", 29, 3),
    ("oak", 1, 7), ("pine", 2, 14), ("oak", 2, 20), ("pine", 3, 23), ("blossom", 15, 20),
    ("oak", 28, 13), ("pine", 14, 1), ("oak", 26, 5), ("blossom", 38, 3), ("oak", 36, 13),
    ("pine", 35, 17), ("oak", 33, 20), ("blossom", 37, 21), ("oak", 39, 1), ("pine", 52, 1),
    ("oak", 60, 1), ("pine", 61, 8), ("oak", 50, 17), ("pine", 42, 18), ("blossom", 57, 21),
    ("oak", 61, 22), ("pine", 61, 28), ("oak", 33, 28), ("pine", 38, 30), ("blossom", 36, 32),
    ("oak", 18, 31), ("pine", 22, 32), ("oak", 26, 32), ("blossom", 2, 31), ("oak", 5, 31),
    ("pine", 10, 31), ("oak", 17, 26), ("pine", 22, 27), ("blossom", 48, 21), ("oak", 55, 32),
    ("pine", 47, 32), ("oak", 41, 32), ("pine", 31, 20), ("oak", 13, 32), ("oak", 1, 26),
)  # fmt: skip
_GROVES: Final = ((3, 9, 2), (29, 7, 2), (20, 1, 3), (44, 1, 3), (38, 27, 2), (56, 30, 3))
"""High grass: middle and radius."""


def plant(found: dict[str, Layer], taken: set[Place]) -> None:
    """Add to the layers what grows.

    :param taken: where only trees may.
    """
    _plant_trees(found)
    _float_lilies(found)
    _strew(found, taken)


def _plant_trees(found: dict[str, Layer]) -> None:
    for kind, left, top in TREES:
        for row in range(plants.TREE_HIGH):
            for column in range(plants.TREE_WIDE):
                foot = row == plants.TREE_HIGH - 1
                layer = found["details" if foot else "above"]
                layer[left + column, top + row] = f"{kind}/{column}/{row}"


def _float_lilies(found: dict[str, Layer]) -> None:
    """Leaves on still water, which is all but the river's; no hero is ever below them."""
    for column, row in everywhere():
        still = not 24 < column < 39
        if still and found["walls"].get((column, row), "").startswith(f"water/{EVERYWHERE}/"):
            chance = noise(column, row, 70)
            if chance < 60 and (column, row) not in found["above"]:
                found["above"][column, row] = f"lily/{int(chance < 20)}"


def _strew(found: dict[str, Layer], taken: set[Place]) -> None:
    """Small things on the grass that is left."""
    groves = {
        (column, row)
        for column, row in everywhere()
        for middle, height, radius in _GROVES
        if (column - middle) ** 2 + (row - height) ** 2 <= radius * radius
    }
    for place in everywhere():
        if at(*place) != "." or place in taken or place in found["details"]:
            continue
        chance = noise(*place, 68)
        if place in groves:
            found["details"][place] = "high-grass"
            found["standing"][place] = "high-grass-front"
        elif chance < 34:
            names = tuple(ground.FLOWERS)
            # The same colour for a while.
            name = names[noise(place[0] // 7, place[1] // 6, 69) % len(names)]
            found["details"][place] = f"flower-{name}/{chance % 2}"
        elif chance < 42:
            found["details"][place] = f"pebbles/{chance % 2}"
        elif chance < 46:
            found["details"][place] = "mushroom"
        elif chance < 58:
            found["standing"][place] = f"bush/{chance % 2}"

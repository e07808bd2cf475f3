"""Places of the demo's map.

Layer 4.
"""

from __future__ import annotations

from gamenet.demo.field import ROWS, TILES_HIGH, TILES_WIDE

Place = tuple[int, int]
"""Column and row."""
Layer = dict[Place, str]
"""The name of the tile at each place that has one."""


def at(column: int, row: int) -> str:
    """The map's mark for a place; outside, all is border."""
    if 0 <= column < TILES_WIDE and 0 <= row < TILES_HIGH:
        return ROWS[row][column]
    return "#"


def everywhere() -> list[Place]:
    return [(column, row) for row in range(TILES_HIGH) for column in range(TILES_WIDE)]

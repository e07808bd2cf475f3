"""What the game shows: a map of characters, or whatever else in one line.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gamenet.core.text import clean
from gamenet.top.table import STYLES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamenet.top.glyphs import Glyphs
    from gamenet.top.table import Line

TALL: Final = 2
"""A character is about so many times as high as wide, so it stands for as many rows of tiles."""
MOST_TILES: Final = 4
"""With more tiles to a character there is little to see."""
WORST: Final = ("bad", "poor")
LEGEND: Final = "map: @ one, 2-9 many, ! a poor path"


class World(NamedTuple):
    """A map as the site has it (``docs/STATUS.rst``), looked through."""

    rows: list[str]
    heroes: list[tuple[int, float, float]]
    """Id of the player, and where it is, in tiles."""

    @property
    def width(self) -> int:
        """Tiles."""
        return max(len(row) for row in self.rows)


def world_of(shown: Any) -> World | None:
    """The map that a game shows; None if it shows none, or what is none."""
    try:
        if shown["kind"] != "map":
            return None
        rows = [str(row) for row in shown["walls"]]
        heroes = [(int(one["id"]), float(one["x"]), float(one["y"])) for one in shown["heroes"]]
        return World(rows, heroes) if any(rows) else None
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def other(shown: Any) -> str:
    """What is shown and is no map, in one line."""
    return "the game shows: " + clean(json.dumps(shown, ensure_ascii=False))


def tiles_a_character(world: World, width: int, height: int) -> int:
    """How many tiles wide a character stands for, so that the map fits; 0 if it does not."""
    for tiles in range(1, MOST_TILES + 1):
        columns, lines = size_of(world, tiles)
        if columns <= width and lines <= height:
            return tiles
    return 0


def size_of(world: World, tiles: int) -> tuple[int, int]:
    """Columns, and lines with the legend, of a map with so many tiles to a character."""
    return -(-world.width // tiles), -(-len(world.rows) // (tiles * TALL)) + 1


def draw(world: World, tiles: int, labels: Mapping[int, str], glyphs: Glyphs) -> list[Line]:
    """The map, and a legend.

    :param labels: of the paths of players, by their ids.
    """
    columns, lines = size_of(world, tiles)
    found: list[Line] = [[(LEGEND[:columns].ljust(columns), "dim")]]
    here: dict[tuple[int, int], list[str]] = {}
    for number, x, y in world.heroes:
        if 0 <= x < world.width and 0 <= y < len(world.rows):
            place = int(y) // (tiles * TALL), int(x) // tiles
            here.setdefault(place, []).append(labels.get(number, "unknown"))
    for line in range(lines - 1):
        spans: Line = []
        for column in range(columns):
            those = here.get((line, column))
            if those:
                spans.append(_heroes(those))
            else:
                spans.append((_ground(world, line, column, tiles, glyphs), ""))
        found.append(spans)
    return found


def _heroes(labels: list[str]) -> tuple[str, str]:
    """Those who are at one place; the worst path is what somebody wants to see."""
    for worst in WORST:
        if worst in labels:
            return "!", STYLES[worst]
    return ("@" if len(labels) == 1 else str(min(len(labels), 9))), STYLES.get(labels[0], "bold")


def _ground(world: World, line: int, column: int, tiles: int, glyphs: Glyphs) -> str:
    """What most of the tiles are that a character stands for."""
    rows = world.rows[line * tiles * TALL : (line + 1) * tiles * TALL]
    letters = Counter("".join(row[column * tiles : (column + 1) * tiles] for row in rows))
    most = max(letters, key=lambda letter: (letters[letter], letter in glyphs.tiles), default=" ")
    return glyphs.tiles.get(most, " ")

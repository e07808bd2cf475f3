"""Fits what there is to show to the room that there is, the most important first.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from gamenet.top.glyphs import bar, spark
from gamenet.top.table import table
from gamenet.top.world import draw, size_of, tiles_a_character

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.top.glyphs import Glyphs
    from gamenet.top.table import Line
    from gamenet.top.watch import Panel, Tile, View

GAP: Final = 2
TILE_WIDTH: Final = 38
"""The least that a tile needs; a row has as many as fit."""
PANEL_WIDTH: Final = 38
TITLE_WIDTH: Final = 10
FEW_ENTRIES: Final = 6
"""A list has no more while there is something else to show."""
FEW_PLAYERS: Final = 5
"""So many have their lines before lists and map have theirs."""
MAP_LINES: Final = 20
"""What the lists leave to a map, however few the players."""
TABLE_WIDTH: Final = 78
"""What a map beside the table leaves to it at least."""
LEAST_BAR: Final = 5
MOST_BAR: Final = 20


def fit(view: View, width: int, height: int | None, glyphs: Glyphs) -> list[Line]:
    """The lines to show, none of them longer than *width*.

    :param height: how many there may be; None for all.
    """
    lines: list[Line] = [
        [(text, "bold" if not index else "")] for index, text in enumerate(view.head)
    ]
    lines += _tiles(view.tiles, width, glyphs)
    if view.tiles:
        room = None if height is None else height - len(lines)
        bands = _bands(view, width, room, glyphs)
        lines += bands
        lines += _below(view, width, None if room is None else room - len(bands), glyphs)
    return [_cut(line, width, glyphs) for line in lines[:height]]


def text(lines: Sequence[Line]) -> str:
    """Lines without their styles."""
    return "\n".join("".join(part for part, _ in line).rstrip() for line in lines)


def _cut(line: Line, width: int, glyphs: Glyphs) -> Line:
    """At most *width* characters, of those that the terminal has."""
    found: Line = []
    for part, style in line:
        if glyphs.is_ascii:
            part = part.encode("ascii", "replace").decode()
        found.append((part[:width], style))
        width = max(0, width - len(part))
    return found


def _tiles(tiles: Sequence[Tile], width: int, glyphs: Glyphs) -> list[Line]:
    """The figures of the server, some to a row, each with its graph."""
    across = max(1, (width + GAP) // (TILE_WIDTH + GAP))
    wide = (width + GAP) // across - GAP
    longest = max((len(tile.text) for tile in tiles), default=0)
    graph = min(30, wide - TITLE_WIDTH - longest - 1)
    cells: list[Line] = []
    for tile in tiles:
        drawn = spark(tile.graph, tile.least, graph, glyphs) if graph > 0 else ""
        said = f"{tile.text.ljust(longest)} {drawn}"[: max(0, wide - TITLE_WIDTH)]
        cells.append(
            [(tile.title.ljust(TITLE_WIDTH), "bold"), (said.ljust(wide - TITLE_WIDTH), "")]
        )
    return [_beside(cells[first : first + across]) for first in range(0, len(cells), across)]


def _beside(cells: Sequence[Line]) -> Line:
    """Cells of one width, in one line."""
    line: Line = []
    for cell in cells:
        if line:
            line.append((" " * GAP, ""))
        line += cell
    return line


def _bands(view: View, width: int, room: int | None, glyphs: Glyphs) -> list[Line]:
    """The lists, side by side where there is room, as far as the lines go.

    :param room: lines that there are, for players and map as well; None for as many as it takes.
    """
    panels, players = view.panels, len(view.players)
    across = max(1, min(len(panels), (width + GAP) // (PANEL_WIDTH + GAP)))
    wide = (width + GAP) // across - GAP
    rows = [panels[first : first + across] for first in range(0, len(panels), across)]
    most = None
    if room is not None and rows:
        wanted = max(players + 1, MAP_LINES if view.world is not None else 0)
        most = max(FEW_ENTRIES, (room - wanted) // len(rows) - 1)
        room -= min(players, FEW_PLAYERS) + 1
    lines: list[Line] = []
    blank: Line = [(" " * wide, "")]
    for row in rows:
        if room is not None and most is not None:
            most = min(most, room - len(lines) - 1)
            if most < 1:
                break
        drawn = [_panel(panel, wide, most, glyphs) for panel in row]
        lines += [_beside(cells) for cells in zip_longest(*drawn, fillvalue=blank)]
    return lines


def _panel(panel: Panel, width: int, most: int | None, glyphs: Glyphs) -> list[Line]:
    """A list with its title, all lines of one width."""
    entries = panel.entries[:most]
    left = len(panel.entries) - len(entries)
    title = f"{panel.title}, {left} more" if left else panel.title
    texts = max(len(entry.text) for entry in entries)
    mores = max(len(entry.more) for entry in entries)
    names = max(len(entry.name) for entry in entries)
    figures = 1 + texts + (1 + mores if mores else 0)
    # The name gives way to the figures, and has what a short bar leaves.
    names = max(1, min(names, width - figures - 1 - LEAST_BAR))
    long = min(MOST_BAR, max(0, width - names - figures - 1))
    largest = max(entry.amount for entry in entries)
    lines: list[Line] = [[(title[:width].ljust(width), "bold")]]
    for entry in entries:
        line = f"{entry.name[:names].ljust(names)} {bar(entry.amount, largest, long, glyphs)}"
        line += f" {entry.text.rjust(texts)}" + (f" {entry.more.rjust(mores)}" if mores else "")
        lines.append([(line[:width].ljust(width), "")])
    return lines


def _below(view: View, width: int, room: int | None, glyphs: Glyphs) -> list[Line]:
    """The players, and what the game shows: beside them, or else under them."""
    players, world = view.players, view.world
    if world is None:
        lines = table(players, width, room, glyphs)
        if view.other and (room is None or len(lines) < room):
            lines.append([(view.other, "")])
        return lines
    least = 1 + min(len(players), FEW_PLAYERS)
    tall = least + len(world.rows) + 1 if room is None else room
    tiles = tiles_a_character(world, width - TABLE_WIDTH - GAP, tall)
    if tiles:
        wide = width - size_of(world, tiles)[0] - GAP
        return _join(table(players, wide, room, glyphs), wide, _drawn(view, tiles, glyphs))
    tiles = tiles_a_character(world, width, tall - least)
    if not tiles:
        return table(players, width, room, glyphs)
    drawn = _drawn(view, tiles, glyphs)
    rest = None if room is None else room - len(drawn)
    return table(players, width, rest, glyphs) + drawn


def _drawn(view: View, tiles: int, glyphs: Glyphs) -> list[Line]:
    assert view.world is not None
    return draw(view.world, tiles, {one.id: one.label for one in view.players}, glyphs)


def _join(left: list[Line], width: int, right: list[Line]) -> list[Line]:
    """Lines side by side, those at the left filled up to *width*."""
    found = []
    nothing: Line = []
    for here, there in zip_longest(left, right, fillvalue=nothing):
        used = sum(len(part) for part, _ in here)
        found.append([*here, (" " * (width - used + GAP), ""), *there])
    return found

"""The table of players, in as many columns as fit.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.top.glyphs import spark
from gamenet.top.words import millis, share, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gamenet.top.glyphs import Glyphs
    from gamenet.top.players import Player, Points

GAP: Final = 2
"""Blanks between columns."""
GRAPH_WIDTHS: Final = (30, 20, 10)
"""The first with which every column fits, or else the last."""
STYLES: Final = {
    "excellent": "green", "good": "green", "fair": "yellow", "poor": "red", "bad": "bold red",
    "away": "red",
}  # fmt: skip
"""Colours of words; a word is always there, whatever the colour."""
ALWAYS: Final = 99

Span = tuple[str, str]
"""Text, and its style as rich has it, or ""."""
Line = list[Span]


class Column(NamedTuple):
    """What the table says of a player."""

    title: str
    worth: int
    """Where there is no room for all, the least goes first."""
    tell: Callable[[Player], str]
    is_word: bool = False
    """Words begin at the left of their column, numbers end at the right."""


class Graph(NamedTuple):
    """What it draws of a player."""

    title: str
    worth: int
    points: Callable[[Player], Points]
    least: float
    """The least top of its scale."""


COLUMNS: Final[tuple[Column | Graph, ...]] = (
    Column("player", ALWAYS, lambda one: one.name, is_word=True),
    Column("path", 14, lambda one: one.path, is_word=True),
    Column("quality", 12, lambda one: one.label, is_word=True),
    Column("rtt ms", 13, lambda one: millis(one.rtt)),
    Graph("", 9, lambda one: one.rtt_points, 0.1),
    Column("jitter", 8, lambda one: millis(one.jitter)),
    Graph("", 3, lambda one: one.jitter_points, 0.05),
    Column("loss in", 10, lambda one: share(one.loss_in)),
    Column("loss out", 11, lambda one: share(one.loss_out)),
    Graph("", 4, lambda one: one.loss_points, 0.05),
    Column("in/s", 6, lambda one: size(one.bytes_in)),
    Column("out/s", 7, lambda one: size(one.bytes_out)),
    Column("mostly", 2, lambda one: one.mostly, is_word=True),
    Column("queued", 5, lambda one: f"{one.queued:,}"),
    Column("address", 1, lambda one: one.address, is_word=True),
)


def table(
    players: Sequence[Player],
    width: int,
    height: int | None,
    glyphs: Glyphs,
) -> list[Line]:
    """The lines of the table, its head among them.

    :param height: lines that it may have; None for as many as there are players.
    """
    count = len(players)
    if height is not None and count + 1 > height:
        count = max(0, height - 2)
    shown = players[:count]
    columns = _columns(shown, width, glyphs)
    lines = [_line(row, is_head=not index) for index, row in enumerate(zip(*columns, strict=True))]
    if count < len(players):
        lines.append([(f"and {len(players) - count} more, whose RTT is lower", "dim")])
    return lines


def _columns(players: Sequence[Player], width: int, glyphs: Glyphs) -> list[list[str]]:
    """As many as fit; longer graphs only where all do."""
    for graph_width in GRAPH_WIDTHS[:-1]:
        columns = [_column(one, players, graph_width, glyphs) for one in COLUMNS]
        if _width(columns) <= width:
            return columns
    columns = [_column(one, players, GRAPH_WIDTHS[-1], glyphs) for one in COLUMNS]
    worth = [one.worth for one in COLUMNS]
    while _width(columns) > width and len(columns) > 1:
        least = worth.index(min(worth))
        del columns[least], worth[least]
    return columns


def _column(
    column: Column | Graph, players: Sequence[Player], graph_width: int, glyphs: Glyphs
) -> list[str]:
    """Its cells, the title first, all of one width."""
    if isinstance(column, Graph):
        least = column.least
        cells = [spark(column.points(one), least, graph_width, glyphs) for one in players]
    else:
        cells = [column.tell(one) for one in players]
    cells.insert(0, column.title)
    width = max(len(cell) for cell in cells)
    if isinstance(column, Column) and column.is_word:
        return [cell.ljust(width) for cell in cells]
    return [cell.rjust(width) for cell in cells]


def _width(columns: list[list[str]]) -> int:
    return sum(len(cells[0]) + GAP for cells in columns) - GAP


def _line(cells: Sequence[str], *, is_head: bool) -> Line:
    line: Line = []
    for cell in cells:
        if line:
            line.append((" " * GAP, ""))
        line.append((cell, "bold" if is_head else STYLES.get(cell.strip(), "")))
    return line

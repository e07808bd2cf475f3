"""The world of the demo: a map with walls and water, and heroes who walk on it.

Layer 4. Runs on: the game thread. Pure logic: no networking, no clock, no randomness, so a test
or a client can walk through it step by step.

Positions are whole numbers, 256 units to a tile, x to the right and y down. A hero is a square of
twice ``REACH`` units around its position and no part of it ever enters a wall or the water.
"""

from __future__ import annotations

from typing import Final

MAP: Final = """\
################################################################
#..............................~~~~............................#
#...............................~~~~...........................#
#................########.......~~~~......##########...........#
#....##########..#......#........~~~~.....#........#..#######..#
#....#........#.........#........~~~~.....#........#..#.....#..#
#....#........#..#......#.........~~~~.............#..#.....#..#
#....#...........#......#.........~~~~....#........#........#..#
#....#........#..###.####.........====....#........#..#.....#..#
#....#........#...................====....#........#..#######..#
#....####.#####...................~~~~....####.#####...........#
#................................~~~~..........................#
#................................~~~~..........................#
#...............................~~~~.................########..#
#................#########.....~~~~.......##.###.....#......#..#
#.....###.###....#.......#.....~~~~.......#....#............#..#
#.....#.....#....#..###..#....~~~~........#....#.....#......#..#
#.....#.....#.......###..#...~~~~.........#....#.....#......#..#
#.....#..........#..###.....~~~~..........######.....#......#..#
#.....#.....#....#.......#..~~~~.....................###.####..#
#.....#######....#.......#.~~~~................~~~~~...........#
#................####.####.~~~~..............~~~~~~~~~.........#
#.........................~~~~.............~~~~~~~~~~~~~.......#
#.........................~~~~.............~~~~~...~~~~~.......#
#.........................~~~~.............====.....~~~~.......#
#.........................====.............~~~~~...~~~~~.......#
#.......~~~~~...#.........====.............~~~~~~~~~~~~~.......#
#.....~~~~~~~~~.#..........~~~~..............~~~~~~~~~.........#
#.....~~~~~~~~~............~~~~................~~~~~...........#
#.....~~~~~~~~~.............~~~~...............................#
#.......~~~~~...####..#####..~~~~..............................#
#...............#.............~~~~......####..#########..#####.#
#...............#.............~~~~.............................#
#...............#..............~~~~............................#
#...............................~~~~...........................#
################################################################
"""
"""One character a tile: ``#`` wall, ``~`` water, ``.`` ground, ``=`` bridge."""

UNITS_PER_TILE: Final = 256
"""Units in the side of a tile; a power of two."""
REACH: Final = 80
"""Half the side of a hero in units: less than half a tile, so that heroes pass any gap."""
WALK_UNITS: Final = 32
"""Units of a step along one axis: 3.75 tiles a second at 30 steps a second."""
DIAGONAL_UNITS: Final = 23
"""Units along each axis of a diagonal step, which makes it as long as a straight one."""
HOLD_STEPS: Final = 30
"""Steps after which a hero stands still if nothing more is heard of its buttons."""
VIEW_UNITS: Final = 8 * UNITS_PER_TILE
"""How far a hero sees, in units along each axis."""
MAX_IN_VIEW: Final = 64
"""Heroes that one sees at most, oneself included; in a crowd the nearest ones."""

UP: Final = 1
DOWN: Final = 2
LEFT: Final = 4
RIGHT: Final = 8
ALL_BUTTONS: Final = UP | DOWN | LEFT | RIGHT

FACING_UP: Final = 0
FACING_DOWN: Final = 1
FACING_LEFT: Final = 2
FACING_RIGHT: Final = 3

ROWS: Final = MAP.split()
"""The map, a row of tiles each."""
TILES_WIDE: Final = len(ROWS[0])
TILES_HIGH: Final = len(ROWS)
# Walls all around the map keep every index that a hero leads to within these.
_OPEN_BY_ROW: Final = tuple(bytes(tile in ".=" for tile in row) for row in ROWS)
_OPEN_BY_COLUMN: Final = tuple(bytes(column) for column in zip(*_OPEN_BY_ROW, strict=True))
_STARTS: Final = tuple(
    (column, row)
    for row in range(TILES_HIGH)
    for column in range(TILES_WIDE)
    if _OPEN_BY_ROW[row][column]
)

_TILE_SHIFT: Final = UNITS_PER_TILE.bit_length() - 1
# The view is found by looking in a cell of its size and in the eight around it.
_CELL_SHIFT: Final = VIEW_UNITS.bit_length() - 1
_CELLS_WIDE: Final = ((TILES_WIDE << _TILE_SHIFT) >> _CELL_SHIFT) + 3
# Spreads heroes who join one after another; any number without a common factor with the count of
# open tiles visits each of them before one comes again.
_START_STRIDE: Final = 769


def is_open(column: int, row: int) -> bool:
    """True for a tile of the map that a hero may stand on; False outside the map."""
    return 0 <= column < TILES_WIDE and 0 <= row < TILES_HIGH and bool(_OPEN_BY_ROW[row][column])


def fits(x: int, y: int) -> bool:
    """True where a hero can be: all of it on the map, no part in a wall or in water.

    :param x: units from the left edge of the map.
    :param y: units from its upper edge.
    """
    left, right = (x - REACH) >> _TILE_SHIFT, (x + REACH) >> _TILE_SHIFT
    upper, lower = (y - REACH) >> _TILE_SHIFT, (y + REACH) >> _TILE_SHIFT
    return (
        is_open(left, upper)
        and is_open(right, upper)
        and is_open(left, lower)
        and is_open(right, lower)
    )


class Hero:
    """Somebody on the field. Only the field changes one."""

    __slots__ = ("buttons", "cell", "facing", "hold", "id", "walking", "x", "y")

    def __init__(self, hero_id: int, x: int, y: int) -> None:
        self.id = hero_id
        self.x = x
        self.y = y
        self.facing = FACING_DOWN
        self.walking = False
        self.buttons = 0
        self.hold = 0
        self.cell = _cell(x, y)

    def __repr__(self) -> str:
        return f"<Hero {self.id} at {self.x / UNITS_PER_TILE:.2f}, {self.y / UNITS_PER_TILE:.2f}>"


_NOBODY: Final[dict[int, Hero]] = {}


class Field:
    """All heroes on the map.

    Heroes are named by a number, which for a server is the player's id.
    """

    def __init__(self) -> None:
        self.heroes: dict[int, Hero] = {}
        self._cells: dict[int, dict[int, Hero]] = {}

    def add(self, hero_id: int, at: tuple[int, int] | None = None) -> Hero:
        """Put a hero on the field.

        :param at: x and y in units; without it the hero starts on the open tile that belongs to
            its number, whether or not somebody is there.
        :raises ValueError: if the hero is on the field already, or cannot be at that place.
        """
        if hero_id in self.heroes:
            raise ValueError(f"hero {hero_id} is on the field already")
        if at is None:
            at = _middle(_STARTS[hero_id * _START_STRIDE % len(_STARTS)])
        if not fits(*at):
            raise ValueError(f"no hero can be at {at}")
        hero = Hero(hero_id, *at)
        self.heroes[hero_id] = hero
        self._cells.setdefault(hero.cell, {})[hero_id] = hero
        return hero

    def place_beside(self, hero_id: int) -> tuple[int, int]:
        """The middle of the nearest tile on foot where nobody stands; one's own if there is none.

        :raises KeyError: if the hero is not on the field.
        """
        hero = self.heroes[hero_id]
        taken = {_tile(other) for other in self.heroes.values()}
        here = _tile(hero)
        near, known = [here], {here}
        for tile in near:
            if tile not in taken:
                return _middle(tile)
            column, row = tile
            for step in (
                (column + 1, row),
                (column - 1, row),
                (column, row + 1),
                (column, row - 1),
            ):
                if step not in known and is_open(*step):
                    known.add(step)
                    near.append(step)
        return _middle(here)

    def remove(self, hero_id: int) -> None:
        """Take a hero off the field; one who is not there is no error."""
        hero = self.heroes.pop(hero_id, None)
        if hero is not None:
            del self._cells[hero.cell][hero_id]

    def steer(self, hero_id: int, buttons: int) -> None:
        """Hold these buttons from the next step on; bits without a meaning are ignored."""
        hero = self.heroes.get(hero_id)
        if hero is not None:
            hero.buttons = buttons & ALL_BUTTONS
            hero.hold = HOLD_STEPS

    def step(self) -> None:
        """Let every hero walk for one step by the buttons that it holds."""
        for hero in self.heroes.values():
            if hero.hold:
                hero.hold -= 1
                self._walk(hero)
            else:
                hero.walking = False

    def near(self, hero_id: int) -> list[Hero]:
        """Whom a hero sees: itself first, then all within ``VIEW_UNITS`` along both axes.

        :returns: at most ``MAX_IN_VIEW`` heroes; where there are more, the nearest ones.
        :raises KeyError: if the hero is not on the field.
        """
        hero = self.heroes[hero_id]
        x, y, middle = hero.x, hero.y, hero.cell
        seen = [hero]
        for row in (middle - _CELLS_WIDE, middle, middle + _CELLS_WIDE):
            for cell in (row - 1, row, row + 1):
                seen += [
                    other
                    for other in self._cells.get(cell, _NOBODY).values()
                    if -VIEW_UNITS <= other.x - x <= VIEW_UNITS
                    and -VIEW_UNITS <= other.y - y <= VIEW_UNITS
                    and other is not hero
                ]
        if len(seen) > MAX_IN_VIEW:
            seen[1:] = sorted(seen[1:], key=lambda other: (other.x - x) ** 2 + (other.y - y) ** 2)[
                : MAX_IN_VIEW - 1
            ]
        return seen

    def _walk(self, hero: Hero) -> None:
        hero.x, hero.y, hero.facing, hero.walking = walked(
            hero.x, hero.y, hero.facing, hero.buttons
        )
        cell = _cell(hero.x, hero.y)
        if cell != hero.cell:
            del self._cells[hero.cell][hero.id]
            self._cells.setdefault(cell, {})[hero.id] = hero
            hero.cell = cell


def walked(x: int, y: int, facing: int, buttons: int) -> tuple[int, int, int, bool]:
    """One step of a hero: the same on the server, which decides, and on a client that predicts.

    :param x: units from the left edge of the map, a place where a hero fits.
    :param y: units from its upper edge.
    :returns: x, y and facing after it, and whether the hero walks, be it against a wall.
    """
    right = bool(buttons & RIGHT) - bool(buttons & LEFT)
    down = bool(buttons & DOWN) - bool(buttons & UP)
    if not (right or down):
        return x, y, facing, False
    length = DIAGONAL_UNITS if right and down else WALK_UNITS
    if right:
        facing = FACING_RIGHT if right > 0 else FACING_LEFT
        x = _slide(x, right * length, y, _OPEN_BY_COLUMN)
    if down:
        facing = facing if right else (FACING_DOWN if down > 0 else FACING_UP)
        y = _slide(y, down * length, x, _OPEN_BY_ROW)
    return x, y, facing, True


def _slide(position: int, step: int, across: int, lines: tuple[bytes, ...]) -> int:
    """Where one axis of a hero ends: *step* further, or against the first tile that is closed.

    :param position: units along the axis of the step.
    :param step: units to go, less than a tile.
    :param across: units along the other axis.
    :param lines: which tiles are open, by line along the axis of the step.
    """
    line = (position + step + (REACH if step > 0 else -REACH)) >> _TILE_SHIFT
    tiles = lines[line]
    if tiles[(across - REACH) >> _TILE_SHIFT] and tiles[(across + REACH) >> _TILE_SHIFT]:
        return position + step
    if step > 0:
        return (line << _TILE_SHIFT) - REACH - 1
    return ((line + 1) << _TILE_SHIFT) + REACH


def _tile(hero: Hero) -> tuple[int, int]:
    return hero.x >> _TILE_SHIFT, hero.y >> _TILE_SHIFT


def _middle(tile: tuple[int, int]) -> tuple[int, int]:
    column, row = tile
    return (2 * column + 1) * UNITS_PER_TILE // 2, (2 * row + 1) * UNITS_PER_TILE // 2


def _cell(x: int, y: int) -> int:
    return (y >> _CELL_SHIFT) * _CELLS_WIDE + (x >> _CELL_SHIFT)

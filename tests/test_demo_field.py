"""The world of the demo, and the states that tell of it."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo.field import (
    ALL_BUTTONS,
    DIAGONAL_UNITS,
    DOWN,
    FACING_LEFT,
    FACING_RIGHT,
    FACING_UP,
    HOLD_STEPS,
    LEFT,
    MAP,
    MAX_IN_VIEW,
    REACH,
    RIGHT,
    TILES_HIGH,
    TILES_WIDE,
    UNITS_PER_TILE,
    UP,
    VIEW_UNITS,
    WALK_UNITS,
    Field,
    Hero,
    fits,
    is_open,
)
from gamenet.demo.game import MAGIC, SeenHero, decode_state, join_state, pack_hero

ROWS = MAP.split()
CENTRE = UNITS_PER_TILE // 2


def place(field: Field, hero_id: int, column: int, row: int) -> Hero:
    """Put a hero in the middle of a tile."""
    return field.add(hero_id, at=(column * UNITS_PER_TILE + CENTRE, row * UNITS_PER_TILE + CENTRE))


class MapTests(SynchronousTestCase):
    """The drawing itself."""

    def test_everyRowIsAsLongAsTheFirst(self) -> None:
        self.assertEqual({len(row) for row in ROWS}, {TILES_WIDE})
        self.assertEqual(len(ROWS), TILES_HIGH)
        self.assertEqual(set("".join(ROWS)), set("#~.="))

    def test_wallsAllAround(self) -> None:
        """The walking code relies on it: nobody's edge ever leaves the map."""
        around = ROWS[0] + ROWS[-1] + "".join(row[0] + row[-1] for row in ROWS)
        self.assertEqual(set(around), {"#"})

    def test_everyOpenTileCanBeReached(self) -> None:
        todo = [(1, 1)]
        reached = set(todo)
        while todo:
            column, row = todo.pop()
            for dx, dy in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                tile = (column + dx, row + dy)
                if is_open(*tile) and tile not in reached:
                    reached.add(tile)
                    todo.append(tile)
        every = {(x, y) for y in range(TILES_HIGH) for x in range(TILES_WIDE) if is_open(x, y)}
        self.assertEqual(reached, every)

    def test_outsideTheMapNothingIsOpen(self) -> None:
        for tile in ((-1, 5), (5, -1), (TILES_WIDE, 5), (5, TILES_HIGH)):
            self.assertFalse(is_open(*tile))


class WalkTests(SynchronousTestCase):
    """Heroes walk by the buttons they hold, and stop at what is closed."""

    def test_straightAndDiagonalStepsAreEquallyLong(self) -> None:
        field = Field()
        hero = place(field, 1, 3, 12)
        x, y = hero.x, hero.y
        field.steer(1, RIGHT)
        field.step()
        self.assertEqual((hero.x - x, hero.y - y), (WALK_UNITS, 0))
        field.steer(1, LEFT | UP)
        field.step()
        self.assertEqual((hero.x - x, hero.y - y), (WALK_UNITS - DIAGONAL_UNITS, -DIAGONAL_UNITS))
        self.assertLess(abs(2**0.5 * DIAGONAL_UNITS - WALK_UNITS), 1)

    def test_oppositeButtonsCancel(self) -> None:
        field = Field()
        hero = place(field, 1, 3, 12)
        before = (hero.x, hero.y)
        field.steer(1, ALL_BUTTONS)
        field.step()
        self.assertEqual((hero.x, hero.y), before)
        self.assertFalse(hero.walking)

    def test_buttonsWithoutAMeaningAreIgnored(self) -> None:
        field = Field()
        hero = place(field, 1, 3, 12)
        field.steer(1, 0xFFF0)
        field.step()
        self.assertFalse(hero.walking)

    def test_aHeroWhoseButtonsAreNoLongerHeardOfStops(self) -> None:
        field = Field()
        hero = place(field, 1, 2, 12)
        field.steer(1, RIGHT)
        for _ in range(HOLD_STEPS + 10):
            field.step()
        self.assertEqual(hero.x, 2 * UNITS_PER_TILE + CENTRE + HOLD_STEPS * WALK_UNITS)
        self.assertFalse(hero.walking)

    def test_aHeroTouchesTheWallAndSlidesAlongIt(self) -> None:
        field = Field()
        hero = place(field, 1, 1, 5)
        for _ in range(20):
            field.steer(1, LEFT | DOWN)
            field.step()
        self.assertEqual(hero.x, UNITS_PER_TILE + REACH)
        self.assertEqual(hero.y, 5 * UNITS_PER_TILE + CENTRE + 20 * DIAGONAL_UNITS)

    def test_waterStopsAndABridgeCarries(self) -> None:
        field = Field()
        self.assertEqual(ROWS[2][32:36], "~~~~")
        hero = place(field, 1, 31, 2)
        for _ in range(30):
            field.steer(1, RIGHT)
            field.step()
        self.assertEqual(hero.x, 32 * UNITS_PER_TILE - REACH - 1)
        self.assertEqual(ROWS[8][34:38], "====")
        hero = place(field, 2, 33, 8)
        for _ in range(60):
            field.steer(2, RIGHT)
            field.step()
        self.assertGreater(hero.x, 38 * UNITS_PER_TILE)

    def test_whereAHeroLooks(self) -> None:
        field = Field()
        hero = place(field, 1, 3, 12)
        for buttons, facing in ((UP, FACING_UP), (LEFT, FACING_LEFT), (DOWN | RIGHT, FACING_RIGHT)):
            field.steer(1, buttons)
            field.step()
            self.assertEqual(hero.facing, facing)

    @given(
        hero_id=st.integers(1, 2**32 - 1),
        buttons=st.lists(
            st.tuples(st.integers(0, 2**16 - 1), st.integers(1, 40)), min_size=1, max_size=40
        ),
    )
    def test_noButtonsLeadIntoAWallOrIntoWater(
        self, hero_id: int, buttons: list[tuple[int, int]]
    ) -> None:
        field = Field()
        hero = field.add(hero_id)
        self.assertTrue(fits(hero.x, hero.y))
        for held, steps in buttons:
            for _ in range(steps):
                field.steer(hero_id, held)
                x, y = hero.x, hero.y
                field.step()
                self.assertTrue(fits(hero.x, hero.y), hero)
                self.assertLessEqual(abs(hero.x - x), WALK_UNITS)
                self.assertLessEqual(abs(hero.y - y), WALK_UNITS)


class FieldTests(SynchronousTestCase):
    """Coming, going and seeing."""

    def test_heroesStartApart(self) -> None:
        field = Field()
        heroes = [field.add(number) for number in range(1, 1001)]
        self.assertEqual(len({(hero.x, hero.y) for hero in heroes}), 1000)

    def test_thereIsRoomBesideAHeroAsLongAsThereIsRoomAtAll(self) -> None:
        field = Field()
        tiles = set()
        last = field.add(1)
        for hero_id in range(2, 40):
            hero = field.add(hero_id, field.place_beside(last.id))
            tiles.add((hero.x // UNITS_PER_TILE, hero.y // UNITS_PER_TILE))
            if hero_id == 2:
                self.assertEqual(abs(hero.x - last.x) + abs(hero.y - last.y), UNITS_PER_TILE)
            self.assertIn(last.id, [seen.id for seen in field.near(hero.id)])
            last = hero
        self.assertEqual(len(tiles), 38)

    def test_onAFullFieldTheyShareATile(self) -> None:
        field = Field()
        for hero_id in range(1, sum(row.count(".") + row.count("=") for row in ROWS) + 1):
            field.add(hero_id)
        hero = field.add(5_000, field.place_beside(7))
        self.assertEqual((hero.x, hero.y), (field.heroes[7].x, field.heroes[7].y))

    def test_aHeroCannotComeTwice(self) -> None:
        field = Field()
        field.add(1)
        self.assertRaises(ValueError, field.add, 1)

    def test_aHeroCannotComeIntoAWall(self) -> None:
        self.assertRaises(ValueError, Field().add, 1, at=(CENTRE, CENTRE))

    def test_goneHeroesAreSeenAndSteeredNoMore(self) -> None:
        field = Field()
        place(field, 1, 3, 12)
        place(field, 2, 4, 12)
        field.remove(2)
        field.remove(2)
        field.steer(2, RIGHT)
        self.assertEqual([hero.id for hero in field.near(1)], [1])
        self.assertRaises(KeyError, field.near, 2)

    def test_theViewEndsAtItsRadius(self) -> None:
        field = Field()
        middle = place(field, 1, 17, 12)
        for hero_id, dx in enumerate((-VIEW_UNITS - 1, -VIEW_UNITS, VIEW_UNITS, VIEW_UNITS + 1), 2):
            field.add(hero_id, at=(middle.x + dx, middle.y))
        self.assertEqual({hero.id for hero in field.near(1)}, {1, 3, 4})

    def test_inACrowdTheNearestAreSeen(self) -> None:
        field = Field()
        middle = place(field, 1, 17, 12)
        for distance in range(MAX_IN_VIEW + 20):
            field.add(1000 - distance, at=(middle.x + distance, middle.y))
        seen = [hero.x - middle.x for hero in field.near(1)]
        self.assertEqual(sorted(seen), [0, *range(MAX_IN_VIEW - 1)])

    @given(
        count=st.integers(1, 40),
        moves=st.lists(st.tuples(st.integers(1, 40), st.integers(0, 15)), max_size=60),
    )
    def test_theViewIsWhatComparingEverybodyGives(
        self, count: int, moves: list[tuple[int, int]]
    ) -> None:
        field = Field()
        for hero_id in range(1, count + 1):
            field.add(hero_id)
        for hero_id, held in moves:
            field.steer(hero_id, held)
            field.step()
        for hero in field.heroes.values():
            near = field.near(hero.id)
            expected = {
                other.id
                for other in field.heroes.values()
                if max(abs(other.x - hero.x), abs(other.y - hero.y)) <= VIEW_UNITS
            }
            self.assertIs(near[0], hero)
            self.assertEqual({other.id for other in near}, expected)
            self.assertEqual(len(near), len(expected))


class StateTests(SynchronousTestCase):
    """What the server sends and a client reads."""

    def state(self, *heroes: tuple[int, int, int, int], magic: bytes = MAGIC) -> bytes:
        packed = b"".join(struct.pack("!IHHB", *hero) for hero in heroes)
        return magic + bytes([len(heroes)]) + packed

    def test_theBytes(self) -> None:
        hero = Hero(7, 0x0180, 0x0C80)
        hero.facing, hero.walking = FACING_LEFT, True
        self.assertEqual(
            join_state([pack_hero(hero)]).hex(" ", 1),
            "47 4e 44 31 01 00 00 00 07 01 80 0c 80 06",
        )

    def test_theLargestStateFitsADatagram(self) -> None:
        hero = pack_hero(Field().add(1))
        self.assertEqual(len(join_state([hero] * MAX_IN_VIEW)), 581)

    @given(
        count=st.integers(1, 200),
        moves=st.lists(st.tuples(st.integers(1, 200), st.integers(0, 15)), max_size=40),
    )
    def test_whatIsSentIsWhatIsRead(self, count: int, moves: list[tuple[int, int]]) -> None:
        field = Field()
        for hero_id in range(1, count + 1):
            field.add(hero_id)
        for hero_id, held in moves:
            field.steer(hero_id, held)
            field.step()
        near = field.near(1)
        view = decode_state(join_state([pack_hero(hero) for hero in near]))
        self.assertEqual(
            [view.own, *view.others],
            [SeenHero(hero.id, hero.x, hero.y, hero.facing, hero.walking) for hero in near],
        )

    @given(data=st.binary(max_size=700))
    def test_anyBytesAreAViewOrAValueError(self, data: bytes) -> None:
        for bytes_sent in (data, MAGIC + data, MAGIC + bytes([len(data) // 9]) + data):
            try:
                decode_state(bytes_sent)
            except ValueError:
                pass

    def test_wrongStatesAreRefused(self) -> None:
        good = (7, 0x0180, 0x0C80, 0)
        self.assertEqual(decode_state(self.state(good)).own.id, 7)
        for wrong in (
            b"",
            MAGIC,
            self.state(),
            self.state(good)[:-1],
            self.state(good) + b"\0",
            self.state(good, magic=b"GND2"),
            self.state(good, good),
            self.state((0, 0x0180, 0x0C80, 0)),
            self.state((7, 0x0180, 0x0C80, 8)),
            self.state((7, 0x0080, 0x0C80, 0)),
            self.state((7, 0xFFFF, 0xFFFF, 0)),
            self.state(*((number, 0x0180, 0x0C80, 0) for number in range(1, MAX_IN_VIEW + 2))),
        ):
            self.assertRaises(ValueError, decode_state, wrong)

    def test_bytesInARowAreWhole(self) -> None:
        """Heroes follow one another without gaps, in the order in which they are seen."""
        heroes = [(number, 0x0180 + number, 0x0C80, 0) for number in range(1, 5)]
        view = decode_state(self.state(*heroes))
        ids = [view.own.id, *(hero.id for hero in view.others)]
        self.assertTrue(all(second == first + 1 for first, second in pairwise(ids)))

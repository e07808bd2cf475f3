"""Which maps are taken, and what is said of the others."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo.field import ROWS, TILES_HIGH, TILES_WIDE
from gamenet.errors import ConfigError
from gamenet.play.field_map import FIELD, LAYERS, load

TEXT = FIELD.read_text(encoding="utf-8")
WALLS = re.compile(r'(name="walls".*?<data encoding="csv">\n)(.*?)(\n</data>)', re.DOTALL)


class MapCase(SynchronousTestCase):
    """Has maps that are wrong."""

    def refused(self, text: str) -> str:
        """What is said of a map; it is one sentence."""
        path = Path(self.mktemp()).with_suffix(".tmx")
        path.write_text(text, encoding="utf-8")
        problem = str(self.assertRaises(ConfigError, load, path))
        self.assertTrue(problem.startswith("map: "), problem)
        self.assertNotIn("\n", problem)
        self.assertIn(path.name, problem)
        return problem


def with_walls(rows: list[list[str]]) -> str:
    """The game's map with other tiles in the layer of its walls."""
    data = ",\n".join(",".join(row) for row in rows)
    return WALLS.sub(lambda found: found[1] + data + found[3], TEXT)


def walls() -> list[list[str]]:
    """The tiles of that layer."""
    found = WALLS.search(TEXT)
    assert found is not None
    return [line.rstrip(",").split(",") for line in found[2].split("\n")]


class TakenTests(MapCase):
    """Maps that can be played on."""

    def test_the_games_own_covers_every_place(self) -> None:
        found = load()
        self.assertEqual(found.tile_side, 16)
        everywhere = {(x, y) for x in range(TILES_WIDE) for y in range(TILES_HIGH)}
        self.assertEqual({(tile.column, tile.row) for tile in found.below}, everywhere)
        self.assertTrue(found.standing)
        self.assertTrue(found.above)

    def test_water_moves_and_nothing_else_does(self) -> None:
        moving = {(tile.column, tile.row) for tile in load().below if len(tile.frames) > 1}
        water = {
            (column, row)
            for row, marks in enumerate(ROWS)
            for column, mark in enumerate(marks)
            if mark == "~"
        }
        self.assertEqual(moving, water)

    def test_only_the_three_layers_are_needed(self) -> None:
        text = re.sub(r'<layer id="\d" name="(details|standing)".*?</layer>', "", TEXT, flags=re.S)
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        found = load(path)
        self.assertEqual(found.standing, ())
        self.assertTrue(found.below)


class RefusedTests(MapCase):
    """Maps that cannot."""

    def test_no_file(self) -> None:
        path = Path(self.mktemp()) / "field.tmx"
        problem = str(self.assertRaises(ConfigError, load, path))
        self.assertEqual(problem, f"map: cannot read {path}: No such file or directory")

    def test_a_folder(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        self.assertIn("Is a directory", str(self.assertRaises(ConfigError, load, path)))

    def test_what_is_no_map(self) -> None:
        broken = (
            "",
            "hello",
            "<map/>",
            "<html></html>",
            "\x00\x01\x02",
            TEXT[:1000],
            TEXT[:-20],
            TEXT.replace('encoding="csv"', 'encoding="base64"'),
            TEXT.replace('encoding="csv"', 'encoding="other"'),
            TEXT.replace('width="64"', 'width="wide"'),
            TEXT.replace("<data", "<chunks").replace("</data", "</chunks"),
            TEXT.replace('<data encoding="csv">', '<data encoding="csv"><chunk/>'),
            TEXT.replace('<data encoding="csv">', '<data encoding="csv"><tile/>'),
            TEXT.replace('source="tiles.png"', 'source="tiles.png" width="x"', 1),
        )
        for text in broken:
            self.assertTrue(self.refused(text), text[:60])

    def test_each_layer_is_needed(self) -> None:
        for name in LAYERS:
            problem = self.refused(TEXT.replace(f'name="{name}"', 'name="other"'))
            self.assertIn(f"has no tile layer '{name}'", problem)
            self.assertIn("ground, walls, above", problem)

    def test_another_size(self) -> None:
        higher = [*walls(), ["0"] * TILES_WIDE]
        self.assertIn("'walls' of", self.refused(with_walls(higher)))
        self.assertIn("is 64 x 37 tiles", self.refused(with_walls(higher)))
        self.assertIn("is 64 x 35 tiles", self.refused(with_walls(walls()[:-1])))
        self.assertIn("the field of the game is 64 x 36", self.refused(with_walls(walls()[:-1])))
        narrower = [row[:-1] for row in walls()]
        self.assertIn("the field of the game is 64 x 36", self.refused(with_walls(narrower)))
        self.assertTrue(self.refused(with_walls([])))

    def test_tiles_that_are_not_square(self) -> None:
        problem = self.refused(TEXT.replace('tileheight="16" infinite', 'tileheight="8" infinite'))
        self.assertIn("16 x 8 pixels", problem)

    def test_a_wall_where_one_can_walk(self) -> None:
        changed = walls()
        self.assertEqual(ROWS[1][2], ".")
        changed[1][2] = changed[0][2]
        problem = self.refused(with_walls(changed))
        self.assertIn("column 2, row 1 is open there and closed on the map", problem)

    def test_no_wall_where_one_cannot_walk(self) -> None:
        changed = walls()
        self.assertEqual(ROWS[3][17], "#")
        changed[3][17] = "0"
        problem = self.refused(with_walls(changed))
        self.assertIn("column 17, row 3 is closed there and open on the map", problem)

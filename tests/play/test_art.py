"""The script that draws the game: what it makes, and that the files in the repository are that."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from itertools import pairwise
from pathlib import Path

import pygame
from twisted.trial.unittest import SynchronousTestCase

from gamenet.play.art import heroes, plants
from gamenet.play.art.__main__ import ASSETS, TILES, drawn, main
from gamenet.play.art.palette import HAIR_KEYS, SHIRT_KEYS, SKIN_KEYS
from gamenet.play.art.pixels import MASKS, depth
from gamenet.play.art.places import at
from gamenet.play.art.planting import TREES
from tests.play.looking import pixels

DRAWN = cache(drawn)
KEPT = {path.name for path in ASSETS.iterdir() if path.suffix in (".png", ".tmx")}
AGAIN = "is not what the script makes: run `make art`, and look at the pictures"


class FilesTests(SynchronousTestCase):
    """What is kept is what is made."""

    def test_the_kept_files_are_what_the_script_makes(self) -> None:
        pictures, texts = DRAWN()
        for name, picture in pictures.items():
            # Not the bytes of the file: those are up to the library that packs them.
            self.assertEqual(
                pixels(pygame.image.load(ASSETS / name)), pixels(picture), f"{name} {AGAIN}"
            )
        for name, text in texts.items():
            self.assertEqual((ASSETS / name).read_text(encoding="utf-8"), text, f"{name} {AGAIN}")
        self.assertEqual(KEPT, {*pictures, *texts})

    def test_it_writes_into_a_folder_and_says_what(self) -> None:
        folder = Path(self.mktemp())
        with redirect_stdout(io.StringIO()) as said:
            self.assertEqual(main([str(folder)]), 0)
        names = {path.name for path in folder.iterdir()}
        self.assertEqual(names, KEPT)
        for name in names:
            self.assertIn(name, said.getvalue())

    def test_a_folder_that_cannot_be_written_to_is_named(self) -> None:
        path = Path(self.mktemp())
        path.write_text("a file")
        with redirect_stderr(io.StringIO()) as said:
            self.assertEqual(main([str(path)]), 1)
        self.assertEqual(said.getvalue().count("\n"), 1)
        self.assertIn(str(path), said.getvalue())


class TileTests(SynchronousTestCase):
    """The sheet of tiles, and the map made from it."""

    def test_no_tile_has_a_colour_that_stands_for_one_of_a_hero(self) -> None:
        picture = DRAWN()[0][TILES]
        keys = {*HAIR_KEYS, *SKIN_KEYS, *SHIRT_KEYS}
        data = pixels(picture)
        found = set(zip(data[::4], data[1::4], data[2::4], strict=True))
        self.assertEqual(found & keys, set())

    def test_shapes_join_up_wherever_they_go_on(self) -> None:
        """Where a neighbour is the same, a tile's edge is as far within as that one's."""
        self.assertEqual(len(MASKS), 47)
        for y in range(16):
            # Open to the north: the edge of two tiles side by side goes on.
            self.assertEqual(depth(0b01111100, 15, y), depth(0b01111100, 0, y))
        self.assertGreater(depth(255, 0, 0), 15)
        self.assertLess(depth(0, 0, 0), 1)
        self.assertGreater(depth(0, 8, 8), 5)

    def test_trees_stand_on_open_ground(self) -> None:
        for kind, left, top in TREES:
            for column in range(plants.TREE_WIDE):
                foot = (left + column, top + plants.TREE_HIGH - 1)
                self.assertEqual(at(*foot), ".", f"the {kind} at {foot}")


class HeroTests(SynchronousTestCase):
    """The sheet of heroes."""

    def test_directions_and_styles_are_told_apart(self) -> None:
        standing = {
            pixels(heroes.frame(style, facing, 0))
            for style in range(heroes.STYLES)
            for facing in range(heroes.FACINGS)
        }
        self.assertEqual(len(standing), heroes.STYLES * heroes.FACINGS)

    def test_every_step_is_another_picture_than_the_one_before(self) -> None:
        for style in range(heroes.STYLES):
            for facing in range(heroes.FACINGS):
                steps = [pixels(heroes.frame(style, facing, pose)) for pose in (1, 2, 3, 4, 1)]
                for one, next_one in pairwise(steps):
                    self.assertNotEqual(one, next_one)
                self.assertGreaterEqual(len(set(steps)), 3)

    def test_each_picture_is_where_the_sheet_has_it(self) -> None:
        whole = heroes.sheet()
        for style, facing, pose in ((0, 0, 0), (1, 3, 2), (2, 2, 4)):
            at = (pose * heroes.WIDE, (style * heroes.FACINGS + facing) * heroes.HIGH)
            cut = whole.subsurface((*at, heroes.WIDE, heroes.HIGH))
            self.assertEqual(pixels(cut), pixels(heroes.frame(style, facing, pose)))

"""What is drawn, and where."""

from __future__ import annotations

import re
from math import cos, sin
from pathlib import Path
from typing import TYPE_CHECKING

import pygame
from hypothesis import given, settings
from hypothesis import strategies as st

from gamenet.demo.field import (
    FACING_DOWN,
    FACING_LEFT,
    FACING_RIGHT,
    FACING_UP,
    REACH,
    TILES_HIGH,
    TILES_WIDE,
    UNITS_PER_TILE,
    fits,
)
from gamenet.errors import ConfigError
from gamenet.play.art.palette import INK
from gamenet.play.field_map import FIELD, Frame, load
from gamenet.play.lettering import MOST_KEPT, Lettering, Ruler
from gamenet.play.scenery import NIGHT, frame_at
from gamenet.play.sight import Sight
from gamenet.play.sprites import STEPS_HZ, Sprites, look_of, pose_of
from gamenet.play.view import NAME_COLOUR, OWN_COLOUR, FieldView
from tests.play.looking import DrawnCase, find, pixels, share

if TYPE_CHECKING:
    from collections.abc import Sequence

MAP = load()
MIDDLE = (39.5, 14.5)
"""A place on grass, with nothing tall around it."""
FACINGS = (FACING_UP, FACING_DOWN, FACING_LEFT, FACING_RIGHT)
FEET = REACH / UNITS_PER_TILE


def hero(
    hero_id: int = 3,
    at: tuple[float, float] = MIDDLE,
    name: str = "",
    facing: int = FACING_DOWN,
    *,
    walking: bool = False,
    own: bool = False,
    bubble: str = "",
    away: bool = False,
) -> Sight:
    """Somebody who stands in the middle."""
    return Sight(hero_id, name, *at, facing, walking, own, bubble, away)


class ViewCase(DrawnCase):
    """Has a view of the game's own map."""

    def setUp(self) -> None:
        super().setUp()
        self.view = FieldView(MAP)

    def draw(
        self,
        *sights: Sight,
        centre: tuple[float, float] = MIDDLE,
        now: float = 0.0,
        size: tuple[int, int] = (960, 540),
    ) -> pygame.Surface:
        """The window as it is then."""
        window = pygame.Surface(size)
        self.view.draw(window, sights, centre, now)
        return window

    def shared(
        self, window: pygame.Surface, sight: Sight, facing: int | None = None, pose: int = 0
    ) -> float:
        """How much of a hero's picture is where the hero is said to be."""
        facing = sight.facing if facing is None else facing
        picture = Sprites(self.view.zoom).frame(look_of(sight.hero_id), facing, pose)
        feet = self.view.pixel_of(sight.x, sight.y)[1] + round(FEET * 16 * self.view.zoom)
        left = self.view.pixel_of(sight.x, sight.y)[0] - picture.get_width() // 2
        return share(window, picture, (left, feet - picture.get_height()))


class CameraTests(ViewCase):
    """What of the map is in the window."""

    def test_the_centre_is_in_the_middle(self) -> None:
        self.draw(centre=(32.0, 18.0))
        self.assertEqual(self.view.pixel_of(32.0, 18.0), (480, 270))
        self.assertEqual(self.view.pixel_of(33.0, 17.0), (528, 222))

    def test_it_never_looks_beyond_the_map(self) -> None:
        for centre in ((0, 0), (-50, -50), (1, 2)):
            window = self.draw(centre=centre)
            self.assertEqual(self.view.pixel_of(0, 0), (0, 0))
            self.assertNotEqual(window.get_at((0, 0))[:3], NIGHT)
        for centre in ((TILES_WIDE, TILES_HIGH), (500, 500)):
            window = self.draw(centre=centre)
            self.assertEqual(self.view.pixel_of(TILES_WIDE, TILES_HIGH), (960, 540))
            self.assertNotEqual(window.get_at((959, 539))[:3], NIGHT)

    def test_in_a_window_larger_than_the_map_the_map_is_in_the_middle(self) -> None:
        window = self.draw(size=(300, 1400))
        self.assertEqual(self.view.zoom, 1)
        self.assertEqual(self.view.pixel_of(0, 0)[1], (1400 - 16 * TILES_HIGH) // 2)
        self.assertEqual(window.get_at((150, 5))[:3], NIGHT)
        self.assertEqual(window.get_at((150, 1395))[:3], NIGHT)
        self.assertNotEqual(window.get_at((150, 700))[:3], NIGHT)

    def test_the_zoom_is_whole_and_follows_the_window(self) -> None:
        sizes = {(960, 540): 3, (1280, 720): 4, (1920, 1080): 6, (800, 600): 2, (1, 1): 1}
        for size, zoom in sizes.items():
            self.draw(hero(bubble="hello", name="ada"), size=size)
            self.assertEqual(self.view.zoom, zoom)

    def test_every_part_of_the_map_is_drawn_where_it_belongs(self) -> None:
        """A window that moves pixel by pixel shows the same map as one that stands still."""
        still = self.draw(centre=(20, 10))
        for step in range(1, 8):
            moved = self.draw(centre=(20 + step / 48, 10 + 2 * step / 48))
            whole = still.subsurface((step, 2 * step, 960 - step, 540 - 2 * step))
            self.assertEqual(
                pixels(whole), pixels(moved.subsurface((0, 0, 960 - step, 540 - 2 * step)))
            )


class SceneryTests(ViewCase):
    """The map itself."""

    def test_water_moves_and_comes_back(self) -> None:
        river = (35.5, 4.5)
        shown = [pixels(self.draw(centre=river, now=0.28 * n + 0.01)) for n in range(5)]
        self.assertEqual(len(set(shown[:4])), 4)
        self.assertEqual(shown[4], shown[0])

    def test_grass_does_not(self) -> None:
        size = (48, 48)
        first = self.draw(centre=(39.5, 14.5), size=size)
        self.assertEqual(pixels(first), pixels(self.draw(centre=(39.5, 14.5), now=0.3, size=size)))

    def test_the_picture_of_a_time(self) -> None:
        frames = tuple(Frame("", None, (), seconds) for seconds in (0.1, 0.2, 0.3))
        at = {0.0: 0, 0.05: 0, 0.15: 1, 0.29: 1, 0.35: 2, 0.59: 2, 0.65: 0, 6.05: 0}
        for now, number in at.items():
            self.assertIs(frame_at(frames, now), frames[number])
        none = (Frame("", None, (), 0.0), Frame("", None, (), 0.0))
        self.assertIn(frame_at(none, 3.0), none)

    def test_the_same_map_in_a_larger_window_is_the_same_map_larger(self) -> None:
        self.draw(centre=(20, 10), size=(320, 176))
        small = self.draw(centre=(20, 10), size=(320, 176))
        large = self.draw(centre=(20, 10), size=(960, 528))
        self.assertEqual(pixels(pygame.transform.scale_by(small, 3)), pixels(large))

    def test_a_picture_that_is_not_there_is_named(self) -> None:
        path = Path(self.mktemp())
        path.write_text(FIELD.read_text(encoding="utf-8"), encoding="utf-8")
        problem = str(self.assertRaises(ConfigError, FieldView, load(path)))
        self.assertTrue(problem.startswith("map: cannot read its picture "), problem)
        self.assertIn(str(path.parent / "tiles.png"), problem)
        self.assertIn("no such file", problem)
        (path.parent / "tiles.png").write_text("no picture")
        problem = str(self.assertRaises(ConfigError, FieldView, load(path)))
        self.assertNotIn("no such file", problem)

    def test_a_picture_that_is_too_small_is_named(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        (path / "field.tmx").write_text(FIELD.read_text(encoding="utf-8"), encoding="utf-8")
        pygame.image.save(pygame.Surface((16, 16)), path / "tiles.png")
        problem = str(self.assertRaises(ConfigError, FieldView, load(path / "field.tmx")))
        self.assertIn("smaller than the map says", problem)

    def test_a_tile_that_is_turned_is_drawn_turned(self) -> None:
        path = Path(self.mktemp())
        path.mkdir()
        text = FIELD.read_text(encoding="utf-8")
        rows = re.search(r'name="ground".*?<data encoding="csv">\n(.*?)\n</data>', text, re.S)
        first = rows[1].split(",")[0]
        flipped = str(int(first) | 0x80000000)
        # The corner alone, and nothing over it.
        text = text.replace(
            f'<data encoding="csv">\n{first},', f'<data encoding="csv">\n{flipped},', 1
        )
        (path / "field.tmx").write_text(text, encoding="utf-8")
        (path / "tiles.png").write_bytes((FIELD.parent / "tiles.png").read_bytes())
        turned = [tile for tile in load(path / "field.tmx").below if any(tile.frames[0].flips)]
        self.assertEqual([(tile.column, tile.row) for tile in turned], [(0, 0)])
        picture = FieldView(load(path / "field.tmx"))._scenery._pictures
        plain = picture.small(turned[0].frames[0]._replace(flips=MAP.below[0].frames[0].flips))
        self.assertEqual(
            pixels(picture.small(turned[0].frames[0])),
            pixels(pygame.transform.flip(plain, True, False)),
        )


class HeroTests(ViewCase):
    """Heroes are where they are, and look as they do."""

    def test_a_hero_is_drawn_where_it_is(self) -> None:
        for at in (MIDDLE, (39.61, 14.37), (40.2, 15.0), (40.9, 14.7)):
            for size in ((960, 540), (1280, 720), (500, 300)):
                sight = hero(at=at)
                window = self.draw(sight, size=size)
                self.assertEqual(self.shared(window, sight), 1.0, (at, size))
                elsewhere = hero(at=(at[0] + 0.1, at[1]))
                self.assertLess(self.shared(window, elsewhere), 0.9)

    def test_nothing_else_is_changed(self) -> None:
        sight = hero()
        empty, window = self.draw(), self.draw(sight)
        x, y = self.view.pixel_of(*MIDDLE)
        changed = [
            (column, row)
            for column in range(960)
            for row in range(540)
            if empty.get_at((column, row)) != window.get_at((column, row))
        ]
        self.assertTrue(changed)
        for column, row in changed:
            self.assertTrue(abs(column - x) <= 24 and -60 <= row - y <= 24, (column, row))

    def test_it_faces_where_it_faces(self) -> None:
        for facing in FACINGS:
            window = self.draw(hero(facing=facing))
            for other in FACINGS:
                found = self.shared(window, hero(), other)
                self.assertEqual(found == 1.0, other == facing, (facing, other))

    def test_it_walks_while_it_walks(self) -> None:
        sight = hero(walking=True)
        for step in range(6):
            now = step / STEPS_HZ
            window = self.draw(sight, now=now)
            pose = pose_of(True, sight.hero_id, now)
            self.assertEqual(self.shared(window, sight, pose=pose), 1.0)
            self.assertLess(self.shared(window, sight, pose=0), 1.0)
        poses = [pose_of(True, 3, step / STEPS_HZ) for step in range(8)]
        self.assertEqual(sorted(set(poses)), [1, 2, 3, 4])
        self.assertEqual(poses[:4], poses[4:])
        self.assertEqual(pose_of(False, 3, 12.3), 0)

    def test_who_is_away_is_grey_and_stands_still(self) -> None:
        picture = Sprites(3).frame(look_of(3), FACING_DOWN, 0, True)
        for x, y in ((24, 20), (24, 50)):
            red, green, blue, alpha = picture.get_at((x, y))
            self.assertEqual((red, green), (green, blue))
            self.assertEqual(alpha, 255)
        here, gone = hero(walking=True), hero(walking=True, away=True)
        self.assertNotEqual(pixels(self.draw(here)), pixels(self.draw(gone)))
        self.assertLess(self.shared(self.draw(gone), gone), 0.5)
        self.assertEqual(pixels(self.draw(gone)), pixels(self.draw(gone, now=1 / STEPS_HZ)))

    def test_who_is_further_down_is_in_front(self) -> None:
        front, back = hero(3, (39.5, 14.6)), hero(4, (39.5, 14.3))
        for order in ((front, back), (back, front)):
            window = self.draw(*order)
            self.assertEqual(self.shared(window, front), 1.0)
            self.assertLess(self.shared(window, back), 0.8)

    def test_walls_hide_the_feet_of_those_behind_them(self) -> None:
        at = (10.5, 4 - FEET)
        self.assertTrue(fits(int(at[0] * 256), int(at[1] * 256) - 1))
        sight = hero(at=at)
        window = self.draw(sight, centre=at)
        self.assertGreater(self.shared(window, sight), 0.5)
        self.assertLess(self.shared(window, sight), 0.9)

    def test_walls_do_not_hide_those_before_them(self) -> None:
        at = (10.5, 11 + FEET + 0.01)
        self.assertTrue(fits(int(at[0] * 256), int(at[1] * 256)))
        sight = hero(at=at)
        self.assertEqual(self.shared(self.draw(sight, centre=at), sight), 1.0)

    def test_a_bush_hides_only_those_behind_it(self) -> None:
        bush = next(tile for tile in MAP.standing if tile.row > 3)
        behind = hero(at=(bush.column + 0.5, bush.row + 0.5))
        before = hero(at=(bush.column + 0.5, bush.row + 1.0))
        centre = (bush.column, bush.row)
        self.assertLess(self.shared(self.draw(behind, centre=centre), behind), 1.0)
        self.assertEqual(self.shared(self.draw(before, centre=centre), before), 1.0)

    def test_one_finds_oneself(self) -> None:
        self.assertNotEqual(pixels(self.draw(hero())), pixels(self.draw(hero(own=True))))

    def test_who_is_not_in_the_window_is_not_drawn(self) -> None:
        empty = pixels(self.draw())
        for at in ((5.5, 5.5), (39.5, 30.5), (-900.0, 14.0), (1e9, -1e9)):
            window = self.draw(hero(at=at, name="ada", bubble="hello"))
            self.assertEqual(pixels(window), empty, at)

    def test_twelve_in_a_row_have_twelve_shirts(self) -> None:
        for first in (0, 1, 17, 4_000_000_000):
            shirts = {look_of(first + number).shirt for number in range(12)}
            self.assertEqual(len(shirts), 12)

    def test_any_id_and_direction_can_be_drawn(self) -> None:
        for hero_id in (0, 1, 2**32 - 1, 2**64):
            for facing in (0, 3, 4, 255):
                self.draw(hero(hero_id, facing=facing, walking=True))


class TextTests(ViewCase):
    """Names and speech bubbles."""

    def name_shared(self, window: pygame.Surface, text: str, colour: tuple[int, int, int]) -> float:
        """How much of a name is where it should be: in the middle, over the head."""
        picture = Lettering(14).line(text, colour, INK)
        x, y = self.view.pixel_of(*MIDDLE)
        place = picture.get_rect(midbottom=(x, y + 15 - 23 * 3))
        return share(window, picture, place.topleft)

    def bubble_line(self, text: str) -> pygame.Surface:
        """A line of a bubble as it is in the window."""
        line = self.view._bubbles.lettering.line(text, INK)
        paper = pygame.Surface(line.get_size())
        paper.fill((246, 242, 232))
        paper.blit(line, (0, 0))
        return paper

    def test_the_name_is_over_the_head(self) -> None:
        window = self.draw(hero(name="ada"))
        self.assertEqual(self.name_shared(window, "ada", NAME_COLOUR), 1.0)
        self.assertLess(self.name_shared(window, "eve", NAME_COLOUR), 1.0)
        self.assertLess(self.name_shared(self.draw(hero()), "ada", NAME_COLOUR), 0.5)

    def test_ones_own_has_another_colour(self) -> None:
        window = self.draw(hero(name="ada", own=True))
        self.assertEqual(self.name_shared(window, "ada", OWN_COLOUR), 1.0)

    def test_who_is_away_is_said_to_be(self) -> None:
        window = self.draw(hero(name="ada", away=True))
        self.assertEqual(self.name_shared(window, "ada (away)", NAME_COLOUR), 1.0)

    def test_what_is_said_is_in_a_bubble_over_the_name(self) -> None:
        window = self.draw(hero(name="ada", bubble="Good morning!"))
        found = find(window, self.bubble_line("Good morning!"))
        assert found is not None
        x, y = self.view.pixel_of(*MIDDLE)
        middle = found[0] + self.bubble_line("Good morning!").get_width() / 2
        self.assertTrue(abs(middle - x) <= 3, middle)
        self.assertTrue(y - 140 < found[1] < y - 70, found)
        self.assertEqual(self.name_shared(window, "ada", NAME_COLOUR), 1.0)
        self.assertIsNone(find(window, self.bubble_line("Good evening!")))
        self.assertIsNone(find(self.draw(hero(name="ada")), self.bubble_line("Good morning!")))

    def test_long_text_is_wrapped_and_cut_after_three_lines(self) -> None:
        text = "word " * 60
        lines = self.view._bubbles.lettering.wrapped(text, 7 * 48, 3)
        self.assertEqual(len(lines), 3)
        self.assertTrue(lines[-1].endswith("..."))
        window = self.draw(hero(bubble=text))
        for line in lines:
            self.assertIsNotNone(find(window, self.bubble_line(line)), line)
            self.assertLessEqual(self.bubble_line(line).get_width(), 7 * 48)

    def test_a_bubble_is_all_in_the_window_wherever_its_hero_is(self) -> None:
        for number in range(16):
            at = (MIDDLE[0] + 9.5 * cos(number), MIDDLE[1] + 5 * sin(number))
            window = self.draw(hero(at=at, bubble="Here I am, at the edge"))
            self.assertIsNotNone(find(window, self.bubble_line("Here I am, at the edge")), at)

    def test_nothing_to_be_seen_is_no_bubble(self) -> None:
        bare = pixels(self.draw(hero()))
        for text in ("", " ", "\u200b", "\0\0", "\n\t", "\ud800"):
            self.assertEqual(pixels(self.draw(hero(bubble=text))), bare, repr(text))

    def test_text_is_drawn_once(self) -> None:
        for _ in range(5):
            self.draw(hero(name="ada", bubble="hello"))
        self.assertEqual(self.view._names.line.cache_info().misses, 1)
        self.assertEqual(self.view._bubbles.lettering.line.cache_info().misses, 1)

    def test_what_is_kept_is_bounded(self) -> None:
        for number in range(MOST_KEPT + 50):
            self.draw(hero(number, name=f"n{number}", bubble=f"b{number}"), size=(320, 180))
        lettering = (self.view._names, self.view._bubbles.lettering)
        for cache in (*(one.line for one in lettering), *(one.wrapped for one in lettering)):
            self.assertLessEqual(cache.cache_info().currsize, MOST_KEPT)
        self.assertEqual(self.view._bubbles._bubble.cache_info().currsize, 64)

    def test_whatever_comes_from_the_network_can_be_drawn(self) -> None:
        hostile = (
            "\0", "a\0b", "\ud800", "\U0001f600" * 50, "\u202e\u200f\u05e9\u05dc\u05d5\u05dd",
            "\u0301" * 500, "a" + "\u0301" * 499, "\u200d", "\ufeff", "W" * 100_000, " " * 10_000,
            "\x1b[31mred", "\uffff", "\U0010ffff", "a\r\nb", "\u2028\u2029", "\u0627\u0644\u0639",
        )  # fmt: skip
        for text in hostile:
            self.draw(hero(name=text, bubble=text, away=True, own=True))

    def test_any_text_can_be_drawn(self) -> None:
        @given(st.text(st.characters(), max_size=80))
        @settings(deadline=None, max_examples=60, database=None)
        def drawn(text: str) -> None:
            self.draw(hero(name=text, bubble=text), size=(320, 180))

        drawn()


class LetteringTests(DrawnCase):
    """How lines are broken."""

    def setUp(self) -> None:
        super().setUp()
        pygame.font.init()
        self.lettering = Lettering(14)

    def lines(self, text: str, width: int = 100) -> Sequence[str]:
        return self.lettering.wrapped(text, width, 3)

    def width(self, text: str) -> int:
        return self.lettering.line(text, INK).get_width()

    def test_short_text_is_one_line(self) -> None:
        self.assertEqual(self.lines("hi there"), ("hi there",))

    def test_words_go_on_in_the_next_line(self) -> None:
        lines = self.lines("one two three four five")
        self.assertEqual(" ".join(lines), "one two three four five")
        self.assertGreater(len(lines), 1)

    def test_a_word_that_is_too_long_is_broken(self) -> None:
        word = "abcdefghijklmnopqrstuvwxyz"
        self.assertEqual("".join(self.lines(word)), word)
        self.assertEqual(len(self.lines("M" * 100, 3)), 3)

    def test_no_line_is_wider_than_it_may_be(self) -> None:
        for text in ("word " * 30, "x" * 300, "a " * 200, "one " + "y" * 90):
            for line in self.lines(text):
                self.assertLessEqual(self.width(line), 100)

    def test_dots_say_that_there_was_more(self) -> None:
        self.assertTrue(self.lines("word " * 30)[2].endswith("..."))
        self.assertFalse(self.lines("one two three")[-1].endswith("..."))

    def test_a_line_of_many_scripts_is_broken_without_being_measured(self) -> None:
        measured: list[str] = []

        class Font:
            def size(self, text: str) -> tuple[int, int]:
                measured.append(text)
                return 7 * len(text), 12

        ruler = Ruler(Font())
        lines = list(ruler.lines("w\N{CYRILLIC SMALL LETTER YA}\u0301\u5b57" * 125, 70))
        self.assertEqual({len(line) for line in lines}, {10})
        self.assertEqual(set("".join(measured)), set("w\N{CYRILLIC SMALL LETTER YA}\u0301\u5b57 "))
        self.assertLessEqual(len(measured), 2 * 5)

    def test_an_outline_is_around_every_letter(self) -> None:
        plain = self.lettering.line("i", (255, 255, 255))
        outlined = self.lettering.line("i", (255, 255, 255), (1, 2, 3))
        self.assertEqual(outlined.get_width(), plain.get_width() + 2)
        colours = {tuple(outlined.get_at((x, y))) for x in range(3) for y in range(10)}
        self.assertIn((1, 2, 3, 255), colours)

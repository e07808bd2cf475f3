"""The net graph as pygame-ce draws it, without a display."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pygame
from twisted.trial.unittest import SynchronousTestCase

from gamenet.overlay import NetGraph, Plot, palette, verdicts
from gamenet.overlay.pygame_ce import CORNERS, draw, panel_of
from gamenet.overlay.pygame_pen import FONT_SIZE, MOST_TEXTS, Pen
from gamenet.samples import TypeRate
from gamenet.smooth import Interpolator, Predictor
from tests.overlay.scenes import FINE, ODD, Outside, Told, packed

if TYPE_CHECKING:
    from gamenet.overlay.shapes import Colour

ROOT = Path(__file__).resolve().parents[2]
SIZE = (960, 720)
FIELD = (40, 90, 60)
"""What the game has drawn before."""


def is_written(text: str, colour: Colour, drawn: pygame.Surface) -> bool:
    """Whether *text* is on *drawn*, dot by dot, with nothing drawn over it."""
    letters = pygame.font.Font(None, FONT_SIZE).render(text, True, colour)
    wanted = pygame.Surface(letters.get_size())
    wanted.fill(palette.GROUND)
    wanted.blit(letters, (0, 0))
    wanted = wanted.subsurface(letters.get_bounding_rect())
    width, height = wanted.get_size()
    rows = [pygame.image.tobytes(wanted.subsurface((0, y, width, 1)), "RGB") for y in range(height)]
    there = pygame.image.tobytes(drawn, "RGB")
    line = 3 * drawn.get_width()
    start = there.find(rows[0])
    while start >= 0:
        if all(there[start + y * line :][: 3 * width] == row for y, row in enumerate(rows)):
            return True
        start = there.find(rows[0], start + 1)
    return False


class Drawing(SynchronousTestCase):
    """A surface, and a net graph that has looked once."""

    def setUp(self) -> None:
        pygame.font.init()
        self.surface = self.field(SIZE)

    def field(self, size: tuple[int, int]) -> pygame.Surface:
        surface = pygame.Surface(size)
        surface.fill(FIELD)
        return surface

    def graph(self, client: Any = None, level: int = 4, **others: Any) -> NetGraph:
        graph = NetGraph(client or Told(FINE), level=level, **others)
        graph.update(0.0)
        return graph

    def assertUntouched(self, surface: pygame.Surface, apart: pygame.Rect) -> None:
        """Nothing is drawn but in one place."""
        surface.fill(FIELD, apart)
        found = pygame.mask.from_threshold(surface, FIELD, (1, 1, 1))
        self.assertEqual(found.count(), surface.get_width() * surface.get_height())


class TextTests(Drawing):
    """What the lines say is there to be read."""

    def test_each_value_and_verdict_is_written(self) -> None:
        graph = self.graph(interpolator=Interpolator())
        draw(self.surface, graph)
        drawn = panel_of(graph).surface
        for line in graph.texts():
            for text, colour in (
                (line.name, palette.GREY),
                (line.value, palette.WHITE),
                (line.verdict, palette.OF_VERDICT[line.verdict]),
            ):
                if text:
                    self.assertTrue(is_written(text, colour, drawn), line)
        self.assertTrue(is_written("48 ms", palette.WHITE, drawn))
        self.assertFalse(is_written("47 ms", palette.WHITE, drawn))

    def test_what_is_new_replaces_what_was(self) -> None:
        client = Told(FINE)
        graph = self.graph(client, level=1)
        draw(self.surface, graph)
        client.told = replace(FINE, rtt_seconds=0.147)
        graph.update(0.1)
        draw(self.surface, graph)
        drawn = panel_of(graph).surface
        self.assertTrue(is_written("147 ms", palette.WHITE, drawn))
        self.assertTrue(is_written("fair", palette.OF_VERDICT["fair"], drawn))
        self.assertFalse(is_written("48 ms", palette.WHITE, drawn))

    def test_advice_is_wrapped_and_whole(self) -> None:
        client = Told(replace(FINE, path="tcp", label="bad"))
        graph = self.graph(client, level=1)
        graph.update(10.0)
        draw(self.surface, graph)
        pen = Pen(1.0)
        rows = pen.wrapped(verdicts.BLOCKED)
        self.assertGreater(len(rows), 1)
        self.assertEqual(" ".join(rows), verdicts.BLOCKED)
        for row in rows:
            self.assertTrue(is_written(row, palette.WHITE, panel_of(graph).surface), row)

    def test_a_word_that_is_too_long_stands_alone(self) -> None:
        word = "x" * 200
        self.assertEqual(Pen(1.0).wrapped(f"a {word} b"), ["a", word, "b"])

    def test_marks_differ_in_shape(self) -> None:
        pen = Pen(1.0)
        shapes = set()
        for verdict in ("good", "fair", "poor"):
            pen.surface = pygame.Surface((12, 12))
            pen.mark(verdict, pygame.Rect(2, 2, 8, 8), palette.WHITE)
            mask = pygame.mask.from_threshold(pen.surface, palette.WHITE, (9, 9, 9))
            self.assertGreater(mask.count(), 10)
            shapes.add(pygame.image.tobytes(pen.surface, "RGB"))
        self.assertEqual(len(shapes), 3)

    def test_texts_that_are_kept_are_bounded(self) -> None:
        pen = Pen(1.0)
        pen.surface = pygame.Surface((400, 20))
        for number in range(2 * MOST_TEXTS):
            pen.text(str(number), 0, 0, palette.WHITE)
        self.assertLessEqual(len(pen._texts), MOST_TEXTS)


class PlotTests(Drawing):
    """Curves go where the samples say."""

    def plot(self, graph: NetGraph, title: str) -> tuple[Plot, pygame.Rect, pygame.Surface]:
        draw(self.surface, graph)
        panel = panel_of(graph)
        return *panel.plots[title], panel.surface

    def test_a_ping_that_rises_and_falls(self) -> None:
        # Up to 200 ms, the top of the scale, back down, and 50 ms for the last 10 s. The jitter is
        # drawn at the bottom.
        rtts = [*range(20, 200, 2), *range(200, 0, -2), *[50] * 110]
        rtts = [max(20, rtt) for rtt in rtts]
        client = Told(replace(FINE, packed_samples=packed(*((rtt, 0, 0, 0) for rtt in rtts))))
        plot, area, drawn = self.plot(self.graph(client), "latency")
        self.assertEqual((plot.top, area.width), (200.0, 300))
        for index, rtt in enumerate(rtts):
            y = round(area.bottom - 1 - rtt / 200 * (area.height - 1))
            near = [drawn.get_at((area.left + index, y + off))[:3] for off in (-1, 0, 1)]
            self.assertIn(palette.FIRST, near, (index, rtt))
        # Where the ping is 50 ms, nothing of it is in the upper half.
        upper = drawn.subsurface((area.left + 205, area.top, 90, area.height // 2))
        self.assertEqual(pygame.mask.from_threshold(upper, palette.FIRST, (9, 9, 9)).count(), 0)

    def test_few_samples_are_at_the_right(self) -> None:
        client = Told(replace(FINE, packed_samples=packed(*((80, 5, 0, 0),) * 20)))
        _, area, drawn = self.plot(self.graph(client), "latency")
        left = drawn.subsurface((area.left, area.top, area.width - 21, area.height))
        for colour in (palette.FIRST, palette.SECOND, palette.THIRD):
            self.assertEqual(pygame.mask.from_threshold(left, colour, (9, 9, 9)).count(), 0)
        right = drawn.subsurface((area.right - 20, area.top, 20, area.height))
        self.assertGreaterEqual(
            pygame.mask.from_threshold(right, palette.FIRST, (9, 9, 9)).count(), 20
        )

    def test_styles_can_be_told_apart_without_colours(self) -> None:
        # Three curves that stand still, at heights of their own.
        graph = self.graph(
            Told(replace(FINE, packed_samples=packed(*((90, 30, 0, 0),) * 300))),
            interpolator=(smooth := Interpolator[int]()),
        )
        smooth.delay_seconds = 0.06
        for step in range(310):
            graph.update(step / 10)
        plot, area, drawn = self.plot(graph, "latency")
        shares = []
        for curve in plot.curves:
            band = pygame.mask.from_threshold(drawn.subsurface(area), curve.colour, (9, 9, 9))
            columns = sum(
                any(band.get_at((x, y)) for y in range(area.height)) for x in range(area.width)
            )
            shares.append(columns / area.width)
        solid, dashed, dotted = shares
        self.assertEqual([curve.style for curve in plot.curves], ["solid", "dashed", "dotted"])
        self.assertEqual(solid, 1.0)
        self.assertTrue(0.55 <= dashed <= 0.75, shares)
        self.assertTrue(0.4 <= dotted <= 0.55, shares)

    def test_bars_are_as_long_as_the_types_say(self) -> None:
        graph = self.graph()
        draw(self.surface, graph)
        drawn = panel_of(graph).surface
        # Of the types of FINE: 1,400 B/s of states came, 600 B/s of inputs went; the top is 2,000.
        longest = {}
        for colour in (palette.FIRST, palette.SECOND):
            mask = pygame.mask.from_threshold(drawn, colour, (9, 9, 9))
            found = [part for part in mask.get_bounding_rects() if part.left == 6 + 88]
            longest[colour] = max(part.width for part in found)
        self.assertEqual(longest, {palette.FIRST: round(64 * 0.7), palette.SECOND: round(64 * 0.3)})


class PlaceTests(Drawing):
    """Where it is drawn, and what does not fit."""

    def test_nothing_is_drawn_at_level_0(self) -> None:
        where = draw(self.surface, self.graph(level=0))
        self.assertEqual(where.size, (0, 0))
        self.assertUntouched(self.surface, pygame.Rect(0, 0, 0, 0))

    def test_each_corner(self) -> None:
        graph = self.graph(level=2)
        for corner in CORNERS:
            surface = self.field(SIZE)
            where = draw(surface, graph, corner)
            attribute = corner.replace(" ", "")
            self.assertEqual(getattr(where, attribute), getattr(surface.get_rect(), attribute))
            self.assertNotEqual(surface.get_at(where.center)[:3], FIELD)
            self.assertUntouched(surface, where)

    def test_higher_levels_are_larger(self) -> None:
        graph = self.graph(level=1)
        heights = []
        for level in range(1, 5):
            graph.level = level
            heights.append(draw(self.surface, graph).height)
        self.assertEqual(heights, sorted(set(heights)))

    def test_where_the_height_is_too_little_graphs_stand_beside_the_text(self) -> None:
        graph = self.graph()
        one = draw(self.surface, graph)
        two = draw(self.field((960, one.height - 1)), graph)
        self.assertLess(two.height, one.height)
        self.assertGreater(two.width, one.width)
        self.assertTrue(
            all(area.left > one.width // 2 for _, area in panel_of(graph).plots.values())
        )

    def test_small_surfaces(self) -> None:
        graph = self.graph(interpolator=Interpolator())
        for size in ((1, 1), (0, 0), (10, 500), (500, 10), (319, 200)):
            for level in range(5):
                graph.level = level
                for corner in CORNERS:
                    where = draw(self.field(size), graph, corner)
                    self.assertTrue(where.width <= size[0] and where.height <= size[1])

    def test_of_what_does_not_fit_the_beginning_is_there(self) -> None:
        graph = self.graph()
        found = set()
        for corner in CORNERS:
            surface = self.field((200, 90))
            draw(surface, graph, corner)
            found.add(pygame.image.tobytes(surface, "RGB"))
        self.assertEqual(len(found), 1)

    def test_scale(self) -> None:
        graph = self.graph(level=2)
        one, two = draw(self.surface, graph), draw(self.field((2000, 2000)), graph, scale=2.0)
        self.assertApproximates(two.width / one.width, 2.0, 0.05)
        self.assertApproximates(two.height / one.height, 2.0, 0.2)
        for wrong in (0, -1, 0.1, 100, float("nan"), float("inf")):
            self.assertRaises(ValueError, draw, self.surface, graph, scale=wrong)

    def test_another_corner_is_the_callers_mistake(self) -> None:
        error = self.assertRaises(ValueError, draw, self.surface, self.graph(), "middle")
        self.assertIn("top right", str(error))


class LifeTests(Drawing):
    """It is drawn anew only when there is something new, and survives its surroundings."""

    def test_between_two_looks_it_is_only_copied(self) -> None:
        graph = self.graph()
        lines: list[str] = []
        panel = panel_of(graph)
        self.patch(Pen, "line", lambda pen, line, y: lines.append(line.name))
        for frame in range(61):
            graph.update(frame / 60, 1 / 60)
            draw(self.surface, graph)
        self.assertIs(panel_of(graph), panel)
        self.assertTrue(9 <= lines.count("ping") <= 11, lines.count("ping"))

    def test_what_is_new_is_drawn_part_by_part(self) -> None:
        client = Told(FINE)
        graph = self.graph(client)
        draw(self.surface, graph)
        plots: list[str] = []
        real = Pen.plot
        self.patch(Pen, "plot", lambda pen, *args: plots.append(args[0].title) or real(pen, *args))
        client.told = replace(FINE, rtt_seconds=0.049)
        graph.update(0.1)
        found = []
        for _ in range(7):
            draw(self.surface, graph)
            found.append(len(plots))
            self.assertLessEqual(len(plots) - ([0, *found][-2]), 1)
        self.assertEqual(plots, ["latency", "loss", "traffic", "lateness"])
        self.assertTrue(is_written("49 ms", palette.WHITE, panel_of(graph).surface))
        self.assertFalse(is_written("48 ms", palette.WHITE, panel_of(graph).surface))

    def test_nothing_of_what_was_is_left(self) -> None:
        client = Told(FINE)
        graph = self.graph(client)
        draw(self.surface, graph)
        client.told = replace(
            FINE,
            rtt_seconds=0.044,
            types_in={"state": TypeRate(9.0, 200.0)},
            packed_samples=packed(*((90, 9, 0.0, 0.03),) * 200),
        )
        graph.update(0.1)
        for _ in range(7):
            draw(self.surface, graph)
        fresh = self.graph(client)
        fresh.update(0.1)
        draw(self.surface, fresh)
        self.assertEqual(
            *(pygame.image.tobytes(panel_of(one).surface, "RGB") for one in (graph, fresh))
        )

    def test_advice_that_is_over_leaves_nothing_beside_graphs(self) -> None:
        client = Told(replace(FINE, jitter_seconds=0.3, rtt_seconds=0.9))
        graph = self.graph(client)
        low = self.field((960, 400))
        draw(low, graph)
        self.assertTrue(graph.advice())
        size = panel_of(graph).surface.get_size()
        client.told = FINE
        graph.update(0.1)
        for _ in range(7):
            draw(low, graph)
        fresh = self.graph(client)
        draw(low, fresh)
        self.assertEqual(panel_of(graph).surface.get_size(), size)
        self.assertEqual(
            *(pygame.image.tobytes(panel_of(one).surface, "RGB") for one in (graph, fresh))
        )

    def test_what_is_not_drawn_yet_is_drawn_before_the_next(self) -> None:
        client = Told(FINE)
        graph = self.graph(client)
        for number in range(4):
            client.told = replace(FINE, rtt_seconds=0.04 + number / 1000)
            graph.update(number / 10)
            draw(self.surface, graph)
        # Drawn ten times a second, it is one look behind.
        self.assertTrue(is_written("42 ms", palette.WHITE, panel_of(graph).surface))

    def test_parts_that_leave_no_room_for_each_other(self) -> None:
        # One line more and one bar less: as high as before, and everything is elsewhere.
        client = Told(replace(FINE, types_in={"state": TypeRate(20.0, 1_400.0)}))
        graph = self.graph(client)
        draw(self.surface, graph)
        client.told = replace(client.told or FINE, types_out={})
        graph.predictor = Predictor(lambda state, buttons: state, 0)
        graph.update(0.1)
        draw(self.surface, graph)
        fresh = self.graph(client, predictor=graph.predictor)
        fresh.update(0.1)
        draw(self.surface, fresh)
        self.assertEqual(
            *(pygame.image.tobytes(panel_of(one).surface, "RGB") for one in (graph, fresh))
        )

    def test_odd_values(self) -> None:
        graph = self.graph(Told(ODD), interpolator=Interpolator())
        draw(self.surface, graph)
        self.assertTrue(is_written("? ms", palette.WHITE, panel_of(graph).surface))

    def test_before_the_join_and_before_the_first_look(self) -> None:
        for graph in (self.graph(Outside()), NetGraph(Told(FINE), level=4)):
            where = draw(self.surface, graph)
            self.assertGreater(where.height, 0)

    def test_pygame_that_ends_and_begins_again(self) -> None:
        client = Told(FINE)
        graph = self.graph(client)
        for number, begin in enumerate((lambda: None, pygame.font.init, lambda: None), 1):
            draw(self.surface, graph)
            client.told = replace(FINE, rtt_seconds=0.06 + number / 1000)
            graph.update(number / 10)
            draw(self.surface, graph)  # some of it is still to be drawn
            pygame.font.quit()
            begin()
            draw(self.surface, graph)
            self.assertTrue(is_written(f"{60 + number} ms", palette.WHITE, panel_of(graph).surface))

    def test_a_graph_that_is_gone_keeps_nothing(self) -> None:
        from gamenet.overlay import pygame_ce

        graph = self.graph()
        draw(self.surface, graph)
        before = len(pygame_ce._panels)
        del graph
        self.assertEqual(len(pygame_ce._panels), before - 1)

    def test_without_pygame_there_is_a_sentence_and_the_model_needs_none(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                "import sys\n"
                "sys.modules['pygame'] = None\n"
                "import gamenet.overlay.text\n"
                "print('rich' in sys.modules)\n"
                "import gamenet.overlay.pygame_ce\n",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        self.assertEqual(done.stdout, "False\n")
        self.assertEqual(
            done.stderr.splitlines()[-1],
            "ImportError: drawing the net graph needs pygame-ce: pip install 'gamenet[play]'",
        )

"""The listing of the page about the net graph runs, and the page shows what it is."""

from __future__ import annotations

from pathlib import Path

import pygame
from twisted.trial.unittest import SynchronousTestCase

from gamenet.overlay import NetGraph, palette
from gamenet.overlay.verdicts import OF_LABEL
from tests.overlay import example
from tests.overlay.scenes import FINE, Told

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "OVERLAY.rst").read_text(encoding="utf-8")


class ExampleTests(SynchronousTestCase):
    def test_f3_goes_through_the_levels(self) -> None:
        sizes: list[int] = []

        def each_frame(number: int) -> None:
            if number % 10 == 0:
                drawn = pygame.mask.from_threshold(
                    pygame.display.get_surface(), pygame.Color("darkslategray"), (1, 1, 1)
                )
                drawn.invert()
                sizes.append(drawn.count())
                pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_F3))

        example.play((960, 720), 1.2, each_frame=each_frame)
        one, two, three, four, off, again = sizes[:6]
        self.assertTrue(0 < one < two < three < four, sizes)
        self.assertEqual(off, 0)
        self.assertGreater(again, 0)

    def test_what_it_draws_is_in_the_corner(self) -> None:
        screen = example.play((960, 720), 0.5, level=2)
        right, left = screen.get_at((950, 3))[:3], screen.get_at((3, 3))[:3]
        self.assertEqual(left, pygame.Color("darkslategray")[:3])
        for part, ground in zip(right, palette.GROUND, strict=True):
            self.assertApproximates(part, ground, 12)


class PageTests(SynchronousTestCase):
    def test_the_listing_is_the_example(self) -> None:
        self.assertIn(".. literalinclude:: ../examples/net_graph.py", PAGE)
        self.assertTrue((ROOT / "docs" / "images" / "net_graph.png").exists())

    def test_every_line_and_graph_is_explained(self) -> None:
        graph = NetGraph(Told(FINE), level=4, server=Server())
        graph.update(0.0, 1 / 60)
        for name in {line.name for line in graph.texts()} - {""}:
            self.assertIn(f"``{name}``", PAGE)
        for shape in graph.graphs():
            self.assertIn(f"``{shape.title}``", PAGE)
        for label in OF_LABEL:
            self.assertIn(label, PAGE)


class Server:
    """Says that it is fine."""

    def stats(self) -> dict[str, float]:
        return {"players": 1}

    def loop_stats(self) -> dict[str, float]:
        return {"rate": 20.0, "per_second": 20.0, "late_p99_ms": 0.2, "skipped": 0}

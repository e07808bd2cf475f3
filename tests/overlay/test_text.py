"""The net graph as lines of characters."""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from gamenet.overlay import NetGraph, text, verdicts
from gamenet.smooth import Interpolator
from tests.overlay.scenes import FINE, ODD, Outside, Told, packed


def rows_of(client: Told, level: int = 4, **others: object) -> list[str]:
    graph = NetGraph(client, level=level, interpolator=Interpolator())
    graph.update(0.0)
    return text.rows(graph, **others)  # type: ignore[arg-type]


class RowTests(SynchronousTestCase):
    def test_values_and_advice_are_rows(self) -> None:
        rows = rows_of(Told(replace(FINE, jitter_seconds=0.2)), 1)
        self.assertIn("ping              48 ms, good", rows)
        self.assertIn(f"! {verdicts.UNEVEN}", rows)

    def test_nothing_at_level_0(self) -> None:
        self.assertEqual(rows_of(Told(FINE), 0), [])

    def test_no_row_is_longer_than_there_is_room(self) -> None:
        for width in (20, 33, 78, 400):
            for client in (Told(FINE), Told(ODD), Outside()):
                rows = rows_of(client, width=width)
                self.assertTrue(rows)
                self.assertLessEqual(max(map(len, rows)), width)
        self.assertRaises(ValueError, rows_of, Told(FINE), width=19)

    def test_a_curve_is_all_of_the_30_seconds(self) -> None:
        high = packed(*((200, 0, 0, 0),) * 150, *((10, 0, 0, 0),) * 150)
        (row,) = (
            row
            for row in rows_of(Told(replace(FINE, packed_samples=high)))
            if row.startswith("latency ping")
        )
        drawn = row[18:].split(" 2")[0]
        self.assertEqual(set(drawn.strip()), {"█", "▁"})
        self.assertEqual((drawn.strip()[0], drawn[-1]), ("█", "▁"))
        self.assertApproximates(drawn.count("█"), drawn.count("▁"), 1)

    def test_where_blocks_cannot_be_shown_it_is_ascii(self) -> None:
        for row in rows_of(Told(FINE), encoding="ascii"):
            self.assertTrue(row.isascii(), row)

"""Every kind of bad network: what must arrive does, once and in order, and nobody is lost."""

from __future__ import annotations

import itertools
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.impairment import PROFILES, Profile
from gamenet.testing import Simulation
from tests.promises.talk import Talk

AXES: dict[str, tuple[float, ...]] = {
    "loss": (0.0, 0.01, 0.02, 0.05, 0.10, 0.20),
    "latency_ms": (0, 5, 10, 25, 50, 100),
    "jitter_ms": (0, 10, 50),
    "duplicate": (0.0, 0.01, 0.05),
    "reorder": (0.0, 0.01, 0.04, 0.30),
}
HARD: tuple[dict[str, Any], ...] = (
    {"bandwidth_bytes": 64_000},
    {"bandwidth_bytes": 64_000, "latency_ms": 100, "loss": 0.05},
    {"bandwidth_bytes": 250_000, "loss": 0.20, "latency_ms": 100},
    {"bandwidth_bytes": 2_000_000, "loss": 0.20, "latency_ms": 100, "jitter_ms": 50},
    {"latency_ms": 40, "reorder": 0.30},
    {"latency_ms": 20, "loss": 0.05, "burst": 4},
    {"latency_ms": 50, "jitter_ms": 50, "loss": 0.20, "burst": 8, "duplicate": 0.05},
    {"latency_ms": 25, "corrupt": 0.05},
)
"""Beside the pairs: a narrow link, heavy loss far away, heavy reordering, bursts, damage."""
TICKS = 600
SLACK = 0.005
"""Half a point: by so much the share that arrives may differ from what the network let through."""


def pairwise(axes: dict[str, tuple[float, ...]]) -> list[dict[str, float]]:
    """Few cells that have every pair of values of every two axes, the same ones each time."""
    names = list(axes)
    open_pairs = {
        (one, a, other, b)
        for one, other in itertools.combinations(names, 2)
        for a in axes[one]
        for b in axes[other]
    }
    every = [dict(zip(names, values, strict=True)) for values in itertools.product(*axes.values())]
    cells = []
    while open_pairs:
        best = max(every, key=lambda cell: len(open_pairs & _pairs(cell)))
        open_pairs -= _pairs(best)
        cells.append(best)
    return cells


def _pairs(cell: dict[str, float]) -> set[tuple[str, float, str, float]]:
    return {(one, cell[one], other, cell[other]) for one, other in itertools.combinations(cell, 2)}


class Tally:
    """Unreliable messages of many cells, beside what was asked for."""

    def __init__(self) -> None:
        self.sent = 0
        self.came = 0
        self.expected = 0.0


class MatrixTests(SynchronousTestCase):
    """A third of the cells each, so that a run says early which is wrong."""

    def play(self, number: int, profile: Profile, tally: Tally | None = None) -> None:
        """One cell: 20 s of talk, then quiet until all is there."""
        said = f"cell {number}: {profile}"
        with Simulation(seed=number, profile=profile) as simulation:
            talk = Talk(simulation)
            machine = simulation.network.machine_of(talk.client)
            talk.bind(self)
            before = [(way.sent, way.lost + way.queued_out) for way in machine.ways]
            for tick in range(TICKS):
                talk.toss()
                if tick % 3 == 0:
                    talk.say()
                talk.step()
            after = [(way.sent, way.lost + way.queued_out) for way in machine.ways]
            talk.finish()
            talk.check_exact(self, said)
            for heard, then, now in zip(
                (talk.at_server, talk.at_client), before, after, strict=True
            ):
                sent, lost = now[0] - then[0], now[1] - then[1]
                let_through = (1 - lost / sent) * (1 - profile.corrupt)
                share = len(heard.unreliable) / talk.unreliable_sent
                self.assertGreaterEqual(share, let_through - SLACK, said)
                self.assertLessEqual(share, let_through + SLACK, said)
                if tally is not None:
                    tally.sent += talk.unreliable_sent
                    tally.came += len(heard.unreliable)
                    tally.expected += talk.unreliable_sent * (1 - profile.loss)

    def test_every_pair_of_conditions(self) -> None:
        cells = pairwise(AXES)
        self.assertTrue(36 <= len(cells) <= 48, len(cells))
        tally = Tally()
        for number, cell in enumerate(cells):
            self.play(number, Profile(name="cell", **cell), tally)
        # Over all cells chance has evened out: what came is what was asked for.
        self.assertGreaterEqual(tally.came / tally.sent, tally.expected / tally.sent - SLACK)
        self.assertLessEqual(tally.came / tally.sent, tally.expected / tally.sent + SLACK)

    def test_narrow_far_burst_and_damaged(self) -> None:
        for number, cell in enumerate(HARD, 100):
            self.play(number, Profile(name="cell", **cell))

    def test_the_named_profiles(self) -> None:
        for number, (name, profile) in enumerate(PROFILES.items(), 200):
            if name != "train":
                self.play(number, profile)

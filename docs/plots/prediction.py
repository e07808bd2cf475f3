"""What prediction does on a bad path: 100 ms +- 40 ms each way, 5 % loss, seeded.

The server takes one input a tick and, when one is late, holds the last buttons; it gives a missing
number up. Each state carries the hero and the newest number taken.
"""

from __future__ import annotations

from math import hypot
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from gamenet.smooth.prediction import Predictor

if TYPE_CHECKING:
    from collections.abc import Sequence

Hero = tuple[float, float]
HZ = 60
SECONDS = 20
SPEED = 5.0
LATENCY_SECONDS, JITTER_SECONDS, LOSS = 0.1, 0.04, 0.05
LEAD_TICKS = 8


def step(hero: Hero, buttons: int) -> Hero:
    """One tick of walking: bits are right, left, up, down."""
    pace = SPEED / HZ
    right = (buttons & 1) - (buttons >> 1 & 1)
    up = (buttons >> 2 & 1) - (buttons >> 3 & 1)
    return hero[0] + right * pace, hero[1] + up * pace


def difference(a: Hero, b: Hero) -> Hero:
    return a[0] - b[0], a[1] - b[1]


def add(hero: Hero, offset: Sequence[float]) -> Hero:
    return hero[0] + offset[0], hero[1] + offset[1]


def run(smooth_seconds: float) -> tuple[list[float], list[float], Predictor[Hero]]:
    """:returns: of each frame: how far the drawn hero is from the predicted one, and how far a
    correction moved it beyond its own step; and the predictor.
    """
    random = Random(5)
    own = Predictor(step, (0.0, 0.0), difference=difference, add=add, smooth_seconds=smooth_seconds)
    server, held, taken = (0.0, 0.0), 0, 0
    inputs: dict[int, tuple[float, int]] = {}
    states: list[tuple[float, int, Hero]] = []
    buttons, off, jumps = 0, [], []

    def arrival(sent: float) -> float | None:
        delay = LATENCY_SECONDS + random.uniform(-JITTER_SECONDS, JITTER_SECONDS)
        return None if random.random() < LOSS else sent + delay

    for tick in range(1, HZ * SECONDS + 1):
        now = tick / HZ
        if random.random() < 0.1:
            buttons = random.randrange(16)
        drawn = own.shown(0.0)
        before = own.state
        own.apply(tick, buttons)
        there = arrival(now)
        if there is not None:
            inputs[tick] = there, buttons
        # The server runs so many ticks behind the client's inputs.
        due = tick - LEAD_TICKS
        if due > 0:
            there, value = inputs.pop(due, (now + 1.0, 0))
            held = value if there <= now else held
            server, taken = step(server, held), due
            back = arrival(now) if tick % 3 == 0 else None
            if back is not None:
                states.append((back, taken, server))
        moved = difference(own.state, before)
        for state in sorted(state for state in states if state[0] <= now):
            own.reconcile(state[2], state[1])
        states = [state for state in states if state[0] > now]
        shown = own.shown(1 / HZ)
        off.append(hypot(*difference(shown, own.state)))
        jumps.append(hypot(*difference(difference(shown, drawn), moved)))
    return off, jumps, own


def figures() -> dict[str, float]:
    """Corrections, and the largest jump on screen in metres, with and without smoothing."""
    _, rough, own = run(0.0)
    off, smooth, _ = run(0.1)
    return {
        "prediction_corrections": own.corrections,
        "prediction_jump_max_m": max(rough),
        "prediction_jump_smoothed_max_m": max(smooth),
        "prediction_error_shown_max_m": max(off),
    }


def draw(folder: str | Path) -> None:
    """Write ``prediction.svg`` into a folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "gamenet"
    _, rough, _ = run(0.0)
    _, smooth, _ = run(0.1)
    times = [tick / HZ for tick in range(len(rough))]
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    axes.plot(times, rough, linewidth=0.8, label="corrected at once")
    axes.plot(times, smooth, linewidth=1.2, label="smoothed, 0.1 s")
    axes.set_xlabel("seconds")
    axes.set_ylabel("jump of the drawn hero, m a frame")
    axes.set_title("Own hero, 100 ms ± 40 ms each way, 5 % loss, 60 Hz")
    axes.legend()
    figure.tight_layout()
    figure.savefig(Path(folder) / "prediction.svg", metadata={"Date": None})
    pyplot.close(figure)

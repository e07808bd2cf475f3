"""Interpolation over a bad path: 100 ms +- 40 ms, 5 % loss, 20 snapshots a second, seeded."""

from __future__ import annotations

from math import sin
from pathlib import Path
from random import Random

from gamenet.smooth.interpolation import Interpolator

INTERVAL = 0.05
SECONDS = 60


def position(time: float) -> float:
    """Where the drawn thing truly is."""
    return sin(2 * time)


def run() -> tuple[Interpolator[float], list[tuple[float, float, float, float]]]:
    """The buffer, and now, delay, drawn position, newest arrived position of each frame."""
    random = Random(5)
    arrivals = []
    for number in range(int(SECONDS / INTERVAL)):
        sent = number * INTERVAL
        if random.random() >= 0.05:
            arrivals.append((sent + random.uniform(0.06, 0.14), sent))
    arrivals.sort(reverse=True)
    buffer: Interpolator[float] = Interpolator(interval=INTERVAL)
    rows = []
    raw = 0.0
    for number in range(SECONDS * 60):
        now = number / 60
        while arrivals and arrivals[-1][0] <= now:
            came, sent = arrivals.pop()
            raw = position(sent)
            buffer.push(sent, raw, came)
        drawn = buffer.mixed(now, lambda before, after, alpha: before + alpha * (after - before))
        if drawn is not None:
            rows.append((now, buffer.delay_seconds, drawn, raw))
    return buffer, rows


def figures() -> dict[str, float]:
    """The figures that the page quotes; steps are the largest from one frame to the next."""
    buffer, rows = run()
    settled = [row for row in rows if row[0] >= 5]
    return {
        "interpolation_delay_mean_ms": 1000 * sum(row[1] for row in settled) / len(settled),
        "interpolation_delay_max_ms": 1000 * max(row[1] for row in settled),
        "interpolation_jitter_ms": 1000 * buffer.jitter_seconds,
        "interpolation_starved": float(buffer.starved),
        "interpolation_late": float(buffer.late),
        "interpolation_drawn_step_max": max(
            abs(settled[i + 1][2] - settled[i][2]) for i in range(len(settled) - 1)
        ),
        "interpolation_raw_step_max": max(
            abs(settled[i + 1][3] - settled[i][3]) for i in range(len(settled) - 1)
        ),
    }


def draw(folder: str | Path) -> None:
    """Write ``interpolation.svg`` into *folder*."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "gamenet"
    from matplotlib import pyplot

    rows = run()[1]
    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(8, 6))
    upper.plot([row[0] for row in rows], [1000 * row[1] for row in rows])
    upper.set(xlabel="seconds", ylabel="delay behind the mean arrival, ms")
    part = [row for row in rows if 10 <= row[0] < 13]
    now = [row[0] for row in part]
    lower.step(now, [row[3] for row in part], where="post", label="raw arrival")
    lower.plot(now, [row[2] for row in part], label="interpolated")
    lower.set(xlabel="seconds", ylabel="position")
    lower.legend()
    figure.tight_layout()
    figure.savefig(Path(folder) / "interpolation.svg", metadata={"Date": None})
    pyplot.close(figure)

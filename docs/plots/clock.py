"""The server's clock as a client knows it: 50 ± 10 ms each way, 2 % loss, in virtual time."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from gamenet.impairment import Profile
from gamenet.testing import Simulation

PATH = Profile(latency_ms=50, jitter_ms=10, loss=0.02)
SECONDS = 60
HZ = 30
SEEDS = range(3)


@cache
def run(seed: int) -> list[tuple[float, float]]:
    """Seconds since the join, and how many ms the client's idea of the time is off."""
    found = []
    with Simulation(clients=1, seed=seed, profile=PATH, tick_rate=HZ) as simulation:
        (client,), server = simulation.clients, simulation.server
        start = server.time()
        for tick in range(SECONDS * HZ):
            for _ in server.ticks(wait=False):
                for player in server.players:
                    server.send_state(player, b"state")
            for _ in client.ticks(HZ, wait=False):
                client.send_input(tick & 1)
            simulation.run(1 / HZ)
            found.append((server.time() - start, 1000 * (client.server_time() - server.time())))
    return found


def figures() -> dict[str, float]:
    """Errors after ten seconds, the worst of all seeds, and how long it took to get below 5 ms."""
    runs = [run(seed) for seed in SEEDS]
    errors = [sorted(abs(error) for time, error in rows if time >= 10) for rows in runs]
    return {
        "clock_error_p50_ms": max(row[len(row) // 2] for row in errors),
        "clock_error_p99_ms": max(row[len(row) * 99 // 100] for row in errors),
        "clock_error_max_ms": max(row[-1] for row in errors),
        "clock_converged_seconds": max(
            max([time for time, error in rows if abs(error) > 5], default=0.0) for rows in runs
        ),
    }


def draw(folder: str | Path) -> None:
    """Write ``clock.svg`` into a folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "gamenet"
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    for seed in SEEDS:
        times, errors = zip(*run(seed)[::6], strict=True)
        axes.plot(times, errors, linewidth=0.9, label=f"seed {seed}")
    axes.set_xlabel("seconds since the join")
    axes.set_ylabel("client's server_time() less the truth, ms")
    axes.set_title("Clock, 50 ± 10 ms each way, 2 % loss")
    axes.legend()
    figure.tight_layout()
    figure.savefig(Path(folder) / "clock.svg", metadata={"Date": None})
    pyplot.close(figure)

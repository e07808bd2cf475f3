"""Bytes of a state with and without delta: the demo's field, 32 heroes, 20 states a second."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

from gamenet.demo import field, game
from gamenet.testing import Simulation

HEROES = 32
TICKS = 200
PATHS = ("perfect", "wifi", "cellular")


class Crowded(field.Field):
    """All begin in the same part of the map, and see each other."""

    def add(self, hero_id: int, at: tuple[int, int] | None = None) -> field.Hero:
        dice = Random(hero_id)
        while at is None or not field.fits(*at):
            at = dice.randrange(14 * 256, 22 * 256), dice.randrange(10 * 256, 17 * 256)
        return super().add(hero_id, at)


@cache
def run(profile: str) -> tuple[list[tuple[float, float, float]], float, float]:
    """Seconds, bytes a state whole and as sent in each half second; and the means of both."""
    dice = Random(1)
    rows = []
    held, buttons = [0] * HEROES, [0] * HEROES
    with (
        patch.object(game, "Field", Crowded),
        Simulation(game.main, clients=HEROES, tick_rate=20, profile=profile) as simulation,
    ):
        before = (0.0, 0.0, 0.0)
        for tick in range(TICKS):
            for index, client in enumerate(simulation.clients):
                if not held[index]:
                    held[index], buttons[index] = dice.randint(5, 60), dice.randint(0, 15)
                held[index] -= 1
                client.send_input(buttons[index])
                client.events()
                client.take_state()
            simulation.step()
            if tick % 10 == 9:
                stats = simulation.server.stats()
                now = stats["states_sent"], stats["state_bytes_full"], stats["state_bytes_sent"]
                count, full, sent = (new - old for new, old in zip(now, before, strict=True))
                rows.append(((tick + 1) / 20, full / count, sent / count))
                before = now
    return rows, before[1] / before[0], before[2] / before[0]


def figures() -> dict[str, float]:
    """Mean bytes of a state, headers left out, and the share of the whole."""
    found = {}
    for profile in PATHS:
        _, full, sent = run(profile)
        found[f"state_bytes_full_{profile}"] = full
        found[f"state_bytes_sent_{profile}"] = sent
        found[f"state_bytes_share_{profile}"] = sent / full
    return found


def draw(folder: str | Path) -> None:
    """Write ``states.svg`` into a folder."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "gamenet"
    figure, axes = pyplot.subplots(figsize=(8, 3.5))
    times, full, _ = zip(*run("perfect")[0], strict=True)
    axes.plot(times, full, label="whole")
    for profile in PATHS:
        times, _, sent = zip(*run(profile)[0], strict=True)
        axes.plot(times, sent, linewidth=1.0, label=f"as sent, {profile}")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("seconds since the start")
    axes.set_ylabel("bytes a state")
    axes.set_title("32 heroes in a crowd, 20 states a second")
    axes.legend()
    figure.tight_layout()
    figure.savefig(Path(folder) / "states.svg", metadata={"Date": None})
    pyplot.close(figure)

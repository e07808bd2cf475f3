"""What must be right when a simulation is over: nothing is left, and everything had one fate.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.host import Host
    from gamenet.testing.baton import GameThread, SteppedGame
    from gamenet.testing.network import SimulatedNetwork


def problems_of(
    network: SimulatedNetwork, hosts: Iterable[Host], runner: GameThread | SteppedGame | None
) -> list[str]:
    """What is wrong, each in a line."""
    problems = [f"left behind: {each}" for each in network.left_behind()]
    if runner is not None and runner.is_alive:
        problems.append("left behind: the game's thread")
    for host in hosts:
        problems += _sessions_left(host)
        problems += _wrong_books(host)
    return problems


def _sessions_left(host: Host) -> list[str]:
    names = [session.player.name for session in host.sessions()]
    return [f"left behind: the session of {name!r}" for name in names]


def _wrong_books(host: Host) -> list[str]:
    """What came and is neither delivered nor dropped for a counted cause."""
    counts = host.counters.snapshot()
    problems = []
    for kind in ("datagram", "frame"):
        came, delivered = counts[f"{kind}s_in"], counts[f"{kind}s_delivered"]
        dropped = {
            name: count
            for name, count in counts.items()
            if name.startswith(f"drop_{kind}_") and count
        }
        if came != delivered + sum(dropped.values()):
            problems.append(
                f"{type(host).__name__}: {came} {kind}s came, of which {delivered} were delivered "
                f"and {sum(dropped.values())} dropped: {dropped}"
            )
    return problems

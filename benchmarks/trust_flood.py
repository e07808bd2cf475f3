"""How long a flood can hold up a server's timers, by the size of what is thrown."""

from __future__ import annotations

import random
import statistics
import tempfile
from pathlib import Path
from typing import Any

import flood_throw
import rig
from rig import Row
from trust_joins import GAME
from trust_watch import Watcher

GAP_BAR_MS = 25.0


def timer_gaps(options: Any) -> list[Row]:
    """Datagrams that belong nowhere, as fast as one process throws them."""
    rows: list[Row] = []
    chance = random.Random(0)
    with (
        tempfile.TemporaryDirectory() as folder,
        rig.Daemon(Path(folder), *GAME, tls=True, on=rig.first_core()) as daemon,
        rig.Child(flood_throw.__file__, "throw", None, rig.other_cores()) as thrower,
        Watcher(daemon.place) as watcher,
    ):
        watcher.begin()
        watcher.watch(options.seconds)
        calm = watcher.seen()
        rows.append(
            Row("calm_timer_gap_max", calm.timer_gap_ms, "ms", "", None,
                f"a 5 ms timer of the reactor, {options.seconds:g} s without a flood")
        )  # fmt: skip
        for size in flood_throw.GARBAGE_SIZES:
            gaps, rates, drops, late = [], [], daemon.udp().drops, []
            pool = [data.hex() for data in flood_throw.garbage_pool(size, set(), chance)]
            for _ in range(options.rounds):
                watcher.begin()
                thrown = thrower.ask(
                    {
                        "pool": pool,
                        "count": 1 << 30,
                        "per_second": 0,
                        "target": daemon.place[:2],
                        "sources": ["127.0.0.1"],
                        "seconds": options.seconds,
                        "linger": 0.0,
                    }
                )
                seen = watcher.seen()
                gaps.append(seen.timer_gap_ms)
                late.append(seen.late_p99_ms)
                rates.append(thrown["sent"] / thrown["seconds"])
                if thrown["back"]:
                    raise RuntimeError("the server answered a stranger")
            gap = statistics.median(gaps)
            drops = daemon.udp().drops - drops
            rows.append(
                Row(f"flood_{size}_timer_gap", gap, "ms", f"<= {GAP_BAR_MS:g}",
                    gap <= GAP_BAR_MS,
                    f"{statistics.median(rates):,.0f} datagrams/s, worst in {options.seconds:g} s, "
                    f"median of {options.rounds} (all: {', '.join(f'{g:.1f}' for g in gaps)}); "
                    f"kernel dropped {drops}; ticks 99 % late by at most "
                    f"{statistics.median(late):.1f} ms")
            )  # fmt: skip
            rig.note(f"{size} bytes: {gap:.1f} ms at {statistics.median(rates):,.0f}/s")
    return rows

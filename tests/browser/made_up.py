"""A server that does not exist, as ``/api/status`` would tell of it."""

from __future__ import annotations

import random
import time
from typing import Any, Final

from gamenet.demo.field import MAP, TILES_HIGH, TILES_WIDE, UNITS_PER_TILE, Field

LABELS: Final = ("excellent", "good", "fair", "poor", "bad", "unknown")
POINTS: Final = 30


class MadeUpServer:
    """Players who go on for ever; ``status`` is what it says now.

    :param players: how many.
    :param names: of the first ones; the others are called by their number.
    """

    def __init__(self, players: int, names: tuple[str, ...] = ()) -> None:
        self._random = random.Random(7)
        self._began = time.monotonic()
        self._field = Field()
        self._walked = 0
        self.ids = list(range(1, players + 1))
        self.names = dict(zip(self.ids, names, strict=False))
        self.more: dict[str, Any] = {}
        """What to say beside, or instead."""
        for number in self.ids:
            self._field.add(number)

    def join(self, number: int) -> None:
        """One more player."""
        self._field.add(number)
        self.ids.append(number)

    def leave(self, number: int) -> None:
        """A player is there no more."""
        self.ids.remove(number)
        self._field.remove(number)

    def name(self, number: int) -> str:
        """What a player is called."""
        return self.names.get(number, f"player-{number}")

    def status(self) -> dict[str, Any]:
        """Everything, and all of it different from the last time."""
        uptime = 1_000 + time.monotonic() - self._began
        players = [self._player(number) for number in self.ids]
        return {
            "game": "made-up/1",
            "version": "1.2.3",
            "secure": True,
            "ready": True,
            "draining": False,
            "drain_seconds_left": None,
            "uptime_seconds": uptime,
            "cpu_seconds": uptime / 5,
            "max_players": 2_000,
            "players": players,
            "paths": {way: sum(one["path"] == way for one in players) for way in ("udp", "tcp")},
            "ticks": {
                "rate": 30, "number": int(30 * uptime), "per_second": self._random.gauss(30, 0.1),
                "late_p50_ms": 0.1, "late_p99_ms": 1.5, "skipped": 0,
                "took_p50_ms": 2.0, "took_p99_ms": 4.0,
            },
            "suspended": 0,
            "stalled": False,
            "reactor": {"beat_late_max_ms": 3.0},
            "clock_zero": self._began,
            "inputs": {"taken": int(30 * uptime), "missing": 3, "late": 2, "early": 0},
            "drops": {"drop_datagram_replayed": int(uptime), "drop_send_full": 3},
            "refusals": {"FULL": 0, "CREDENTIALS": 5},
            "queues": {"events": 0, "commands": 0},
            "counters": {"joins": len(players)},
            "errors": 0,
            "types": {
                "in": {"input": {"messages": 1, "bytes": int(600 * uptime)}},
                "out": {"state": {"messages": 1, "bytes": int(9_000 * uptime)}},
            },
            "frames": {
                "in": {"ack": {"frames": 1, "bytes": int(13 * uptime)}},
                "out": {"data": {"frames": 1, "bytes": int(70 * uptime)}},
            },
            "history": {
                "step_seconds": 1.0, "points": POINTS, "time_unit_seconds": 0.0001,
                "loss_unit": 1 / 255,
            },
            "histograms": {
                "tick_seconds": {"bounds": [0.001, 0.002, 0.004], "counts": [9, 99, 5, 1]},
            },
            "actions": ["kick", "ban", "say", "drain", "dump"],
            "view": self._view(),
            **self.more,
        }  # fmt: skip

    def _player(self, number: int) -> dict[str, Any]:
        rtt = 20.0 + 7 * (number % 50)
        history = [int(10 * self._random.gauss(rtt, rtt / 10)) for _ in range(POINTS)]
        return {
            "id": number,
            "name": self.name(number),
            "address": f"192.0.2.{number % 250}:{40_000 + number}",
            "suspended": False,
            "path": "tcp" if number % 9 == 0 else "udp",
            "label": LABELS[number % len(LABELS)],
            "rtt_seconds": history[-1] / 10_000,
            "rtt_latest_seconds": history[-1] / 10_000,
            "rtt_min_seconds": min(history) / 10_000,
            "jitter_seconds": 0.004,
            "loss_in": 0.0,
            "loss_out": number % 7 / 100,
            "bytes_in": 10_000 * number,
            "bytes_out": 90_000 * number,
            "bytes_per_second_in": 1_800,
            "bytes_per_second_out": 12_000 + number,
            "types_in": {"input": 630, "state_ack": 80},
            "types_out": {"state": 9_800, "input_ack": 120},
            "queued_messages": number % 3,
            "history": {
                "rtt": history,
                "jitter": [self._random.randrange(10, 60) for _ in range(POINTS)],
                "loss_in": [0] * POINTS,
                "loss_out": [self._random.choice((0, 0, 3)) for _ in range(POINTS)],
            },
        }

    def _view(self) -> dict[str, Any]:
        for number in self.ids:
            if self._random.random() < 0.3:
                self._field.steer(number, self._random.choice((1, 2, 4, 8, 5, 10)))
        for _ in range(30):
            self._field.step()
        heroes = [
            {
                "id": one.id,
                "name": self.name(one.id),
                "x": one.x / UNITS_PER_TILE,
                "y": one.y / UNITS_PER_TILE,
            }
            for one in self._field.heroes.values()
        ]
        return {
            "kind": "map", "width": TILES_WIDE, "height": TILES_HIGH, "walls": MAP.split(),
            "heroes": heroes,
        }  # fmt: skip

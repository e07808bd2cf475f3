"""The player who asks ``trust_game`` how late things were."""

from __future__ import annotations

import select
import time
from typing import NamedTuple

import lean
import rig
from trust_game import FIGURES, GAP, WATCHER


class Seen(NamedTuple):
    """One measurement."""

    ticks: int
    late_p50_ms: float
    late_p99_ms: float
    late_max_ms: float
    players: int
    timer_gap_ms: float


class Watcher:
    """Joined from the beginning to the end of ``with``."""

    def __init__(self, place: rig.Place) -> None:
        self._client = lean.LeanClient(place.host, place.port, tls=place.tls, user=WATCHER)
        self._measurement = 0

    def __enter__(self) -> Watcher:
        self._client.join().bind()
        return self

    def __exit__(self, *error: object) -> None:
        self._client.close()

    def begin(self) -> None:
        """Measure anew from now on."""
        self._measurement += 1
        self._client.press(self._measurement)
        self._until(self._measurement, 0)

    def watch(self, seconds: float) -> None:
        """Stay in the game for so long."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._look(min(left, 0.05))

    def seen(self) -> Seen:
        """How it was since the last ``begin``."""
        self.watch(0.2)
        return self._until(self._measurement, 1)

    def _look(self, seconds: float) -> None:
        client = self._client
        select.select([client.udp], [], [], seconds)
        client.look_at_udp()
        client.look_at_tcp()
        client.flush()

    def _until(self, measurement: int, ticks: int) -> Seen:
        until = time.monotonic() + rig.ANSWER_SECONDS
        while time.monotonic() < until:
            self._look(0.05)
            state = self._client.state
            if len(state) >= FIGURES.size + GAP.size:
                found, *rest = FIGURES.unpack_from(state)
                if found == measurement and rest[0] >= ticks:
                    return Seen(*rest, *GAP.unpack_from(state, FIGURES.size))
        raise TimeoutError("the game does not tell how it does")

"""A game that sends every player a state each tick, and tells a watcher how late things were.

``twistd gamenet --game trust_game:main`` runs it for the benchmarks. Beside the game a timer of the
reactor beats, because what an attack may do at worst is to hold that up.
"""

from __future__ import annotations

import struct
import time
from bisect import insort
from typing import Any

import gamenet

WATCHER = "watcher"
"""The player whose buttons begin a new measurement, whenever they change."""
PROBE_SECONDS = 0.005
FIGURES = struct.Struct("!IIfffI")
"""Number of the measurement, ticks in it, their lateness in ms (half, 99 %, most), players."""
GAP = struct.Struct("!f")
"""How late the timer was at most, in ms."""
STATE_BYTES = 200


class Probe:
    """A timer of the reactor, and how late it came at worst."""

    def __init__(self) -> None:
        self.worst = 0.0
        self._due = 0.0

    def start(self, reactor: Any) -> None:
        """Begin; on the reactor thread."""
        self._reactor = reactor
        self._again()

    def _beat(self) -> None:
        self.worst = max(self.worst, time.monotonic() - self._due)
        self._again()

    def _again(self) -> None:
        self._due = time.monotonic() + PROBE_SECONDS
        self._reactor.callLater(PROBE_SECONDS, self._beat)


@gamenet.game(tick_rate=60)
def main(server: gamenet.GameServer) -> None:
    """Run until the server stops."""
    from twisted.internet import reactor

    probe = Probe()
    reactor.callFromThread(probe.start, reactor)
    measurement = 0
    late: list[float] = []
    for tick in server.ticks():
        for event in tick.events:
            if type(event) is not gamenet.Input or event.player.name != WATCHER:
                continue
            if event.buttons != measurement:
                measurement = event.buttons
                late.clear()
                probe.worst = 0.0
        insort(late, tick.late_seconds * 1e3)
        figures = FIGURES.pack(
            measurement, len(late), late[len(late) // 2], late[len(late) * 99 // 100], late[-1],
            len(server.players),
        ) + GAP.pack(probe.worst * 1e3)  # fmt: skip
        state = figures.ljust(STATE_BYTES, b"\0")
        for player in server.players:
            server.send_state(player, state)

"""The server's clock as the client knows it, from the states that arrive.

Layer 1. Runs on: the reactor thread; read from any.

Each state carries the server's game clock. The one that came with the least delay tells most, so
the offset follows the quickest arrivals of the last seconds, less half the smallest round trip.
It never runs backwards.
"""

from __future__ import annotations

from typing import Final

FORGET_SECONDS: Final = 5.0
"""After this long without a quicker arrival, a slower one is believed: clocks drift."""


class ServerClock:
    """Maps our monotonic clock to the server's game clock and tick."""

    __slots__ = ("_last", "_offset", "_set_at", "_shown", "known")

    def __init__(self) -> None:
        self.known = False
        """False until the first state came."""
        self._offset = 0.0
        self._set_at = 0.0
        self._shown = 0.0
        self._last = (0.0, 0)

    def observe(self, server_time: float, tick: int, now: float, rtt: float) -> None:
        """A state of *server_time* seconds and *tick* came at *now*; *rtt* is the smallest."""
        offset = server_time + rtt / 2 - now
        if not self.known or offset > self._offset or now - self._set_at > FORGET_SECONDS:
            self._offset = offset
            self._set_at = now
            self.known = True
        self._last = (server_time, tick)

    def time(self, now: float) -> float:
        """The server's game clock in seconds at our *now*; 0 while unknown."""
        if not self.known:
            return 0.0
        self._shown = max(self._shown, now + self._offset)
        return self._shown

    def tick(self, now: float, tick_rate: float) -> float:
        """The server's tick, with its fraction, at our *now*."""
        server_time, tick = self._last
        return tick + max(0.0, self.time(now) - server_time) * tick_rate if self.known else 0.0

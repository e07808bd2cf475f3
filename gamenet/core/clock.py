"""The server's game clock as the client knows it, from the answers to ``TIME``.

Layer 1. Runs on: the reactor thread; read from any.

A question and its answer bear four times, as in RFC 5905 section 8: from them follow the offset
between the clocks and the round trip. The truth lies within half a round trip of each offset
(Marzullo's intervals), and the shorter the trip, the closer: the slower half of the newest samples
does not count, the rest counts by how near it is to the quickest. What is shown moves to the
estimate by a bounded rate and never runs backwards. Until the first answer came, the states that
arrive give a rough time.
"""

from __future__ import annotations

from collections import deque
from math import copysign, inf, remainder, sqrt
from statistics import median
from typing import Final, NamedTuple

WINDOW: Final = 32
"""Samples that count: 16 s of them at two a second. More would follow a drift too slowly."""
FLOOR_SECONDS: Final = 0.002
"""With half of what the median is longer than the quickest: a round trip longer by so much counts
a quarter of the quickest. Without that half one sample would outweigh all others."""
STRAYS: Final = 3
"""So many samples in a row that cannot be true if the others are: the server's clock has jumped,
and the others are forgotten. Fewer are ignored."""
STRAY_SECONDS: Final = 0.01
"""How far apart two samples' intervals must be for that: clocks drift while samples age."""
SLEW: Final = 0.05
"""Seconds a second by which what is shown is moved to the estimate."""
FAR_SECONDS: Final = 0.05
FAR_SLEW: Final = 0.9
"""The same where it is further away than ``FAR_SECONDS``."""
STEP_SECONDS: Final = 1.0
"""Where it is behind by more than this, it steps: no game can wait that long."""
WRAP_SECONDS: Final = 2**32 / 1000
"""States carry the clock modulo this."""
RATE_SECONDS: Final = 1.0
"""How long the ticks of states are counted for their rate: a stamp is rounded to a millisecond."""
RATE_OFF: Final = 0.02
"""Two counts in a row that are so near to each other, and not to the rate told, are believed: the
game may run at another one, and change it."""
MOST_RATE: Final = 1_000.0
"""Ticks a second; no game has more."""


class Sample(NamedTuple):
    """One question and its answer, in seconds."""

    offset: float
    rtt: float


class Line(NamedTuple):
    """What is shown: an offset that moves to another one."""

    since: float
    offset: float
    target: float
    rate: float

    def at(self, now: float) -> float:
        """The offset at our *now*."""
        way, most = self.target - self.offset, self.rate * max(0.0, now - self.since)
        return self.target if abs(way) <= most else self.offset + copysign(most, way)


class ServerClock:
    """Maps our monotonic clock to the server's game clock and tick."""

    __slots__ = (
        "_counted",
        "_last",
        "_line",
        "_mark",
        "_rate",
        "_shown",
        "_shown_tick",
        "_strays",
        "_window",
        "samples",
        "uncertainty",
    )

    def __init__(self) -> None:
        self._window: deque[Sample] = deque(maxlen=WINDOW)
        self._strays = 0
        self._line: Line | None = None
        self._shown = 0.0
        self._shown_tick = 0.0
        self._last: tuple[float, int] | None = None
        self._mark: tuple[float, int] | None = None
        self._counted = self._rate = 0.0
        self.samples = 0
        """Answers that were taken in."""
        self.uncertainty = inf
        """Seconds by which jitter may have put the estimate wrong: two standard errors of the
        samples that count, and half a round trip at most; infinite before the first answer. That
        the ways there and back differ cannot be seen: it adds half of the difference."""

    @property
    def known(self) -> bool:
        """False until the first answer or state came."""
        return self._line is not None

    @property
    def offset(self) -> float:
        """The estimate: the server's game clock less our clock, in seconds; 0 while unknown."""
        return self._line.target if self._line is not None else 0.0

    def observe(self, sent: float, came: float, left: float, now: float) -> None:
        """Take in the answer to a question about the time.

        :param sent: when the question left, by our clock, in seconds.
        :param came: when it came, by the server's game clock.
        :param left: when the answer left, by the server's game clock.
        :param now: when it came, by our clock.
        """
        rtt = max(0.0, (now - sent) - (left - came))
        sample = Sample(((came - sent) + (left - now)) / 2, rtt)
        window = self._window
        if window:
            apart = abs(sample.offset - self.offset) - (rtt + min(s.rtt for s in window)) / 2
            if apart <= STRAY_SECONDS:
                self._strays = 0
            else:
                self._strays += 1
                if self._strays < STRAYS:
                    return
                self._strays = 0
                window.clear()
        window.append(sample)
        self.samples += 1
        self._aim(self._estimate(), now)

    def _estimate(self) -> float:
        window = self._window
        middle, quickest = median(s.rtt for s in window), min(s.rtt for s in window)
        floor = FLOOR_SECONDS + (middle - quickest) / 2
        kept = [(s.offset, (s.rtt - quickest + floor) ** -2) for s in window if s.rtt <= middle]
        # Differences to one of them, as large numbers would lose the microseconds.
        base = kept[0][0]
        total = sum(weight for _, weight in kept)
        mean = sum(weight * (offset - base) for offset, weight in kept) / total
        self.uncertainty = quickest / 2
        if len(kept) > 2:
            squares = sum(weight * (offset - base - mean) ** 2 for offset, weight in kept) / total
            share = sum(weight * weight for _, weight in kept) / total**2
            self.uncertainty = min(self.uncertainty, 2 * sqrt(squares * share))
        return base + mean

    def _aim(self, target: float, now: float) -> None:
        """Have what is shown move to *target*."""
        shown = self._line.at(now) if self._line is not None else target
        ahead = target - shown
        if ahead > STEP_SECONDS or (self.samples == 1 and ahead > 0.0):
            shown = target
        self._line = Line(now, shown, target, FAR_SLEW if abs(ahead) > FAR_SECONDS else SLEW)

    def state_came(self, server_time: float, tick: int, now: float, rtt: float) -> None:
        """A state of *server_time* seconds and *tick* came at *now*; *rtt* is the smallest.

        The one that came with the least delay tells most of the time, while nothing tells better.
        """
        self._last = (server_time, tick)
        since, first = self._mark or self._last
        if not 0.0 <= server_time - since < RATE_SECONDS or self._mark is None:
            self._mark = self._last
            if server_time > since:
                counted = (tick - first) / (server_time - since)
                if 0.0 < counted <= MOST_RATE and abs(counted - self._counted) < RATE_OFF * counted:
                    self._rate = counted
                self._counted = counted
        offset = server_time + rtt / 2 - now
        if not self.samples and (self._line is None or offset > self._line.target):
            self._line = Line(now, offset, offset, SLEW)

    def time(self, now: float) -> float:
        """The server's game clock in seconds at our *now*; 0 while unknown."""
        line = self._line
        if line is not None:
            self._shown = max(self._shown, now + line.at(now))
        return self._shown

    def rate(self, tick_rate: float) -> float:
        """Ticks a second: as they were told, unless states show another rate."""
        found = self._rate
        return found if found and abs(found - tick_rate) > RATE_OFF * found else tick_rate

    def tick(self, now: float, tick_rate: float) -> float:
        """The server's tick, with its fraction, at our *now*; 0 until the first state came.

        It goes back only by more than a second's: a game that changes to a lower rate numbers its
        ticks anew.
        """
        last = self._last
        if last is not None:
            server_time, tick = last
            since = max(0.0, remainder(self.time(now) - server_time, WRAP_SECONDS))
            rate = self.rate(tick_rate)
            at = tick + since * rate
            if at > self._shown_tick or self._shown_tick - at > STEP_SECONDS * rate:
                self._shown_tick = at
        return self._shown_tick

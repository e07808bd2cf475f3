"""Draw between two snapshots, a little in the past, on a clock that never goes backwards.

Layer 2. Runs on: the game thread; times come in, nothing here reads a clock. The idea of a delay
that adapts and a playback clock sped up or slowed down by a few percent is that of Mirror's
snapshot interpolation; jitter is smoothed by a sixteenth a sample, as in RFC 3550.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
U = TypeVar("U")

CATCH_UP: Final = 0.02
SLOW_DOWN: Final = 0.04
GAPS: Final = 16
GRAIN_SECONDS: Final = 1e-6
"""Two snapshots closer than this are the same one, come twice."""


class Shown(NamedTuple, Generic[T]):
    """What to draw: *before* and *after* mixed by *alpha*, which is above 1 past the newest."""

    before: T
    after: T
    alpha: float
    time: float


class Interpolator(Generic[T]):
    """A snapshot interpolation buffer.

    :param interval: send interval to assume until two snapshots came, in seconds.
    :param min_delay: least delay behind the arrivals, in seconds.
    :param max_delay: greatest.
    :param jitter_times: the delay is two send intervals and so many times the jitter.
    :param extrapolate: seconds to go on past the newest snapshot; then the clock holds.
    :param hard_limit: seconds of error from which the clock steps ahead, or waits.
    :param capacity: most snapshots kept.
    """

    __slots__ = (
        "_extrapolate",
        "_first_interval",
        "_gaps",
        "_hard_limit",
        "_interval",
        "_jitter_times",
        "_max_delay",
        "_min_delay",
        "_now",
        "_off",
        "_offset",
        "_starving",
        "_time",
        "_times",
        "_values",
        "capacity",
        "delay_seconds",
        "duplicates",
        "jitter_seconds",
        "late",
        "snaps",
        "starved",
    )

    def __init__(
        self,
        *,
        interval: float = 0.05,
        min_delay: float = 0.02,
        max_delay: float = 1.0,
        jitter_times: float = 2.0,
        extrapolate: float = 0.25,
        hard_limit: float = 0.5,
        capacity: int = 64,
    ) -> None:
        if not 0 < interval < float("inf"):
            raise ValueError("give an interval above 0, in seconds")
        if not 0 <= min_delay <= max_delay < float("inf"):
            raise ValueError("give 0 <= min_delay <= max_delay, in seconds")
        if not (0 <= jitter_times < float("inf") and 0 <= extrapolate < float("inf")):
            raise ValueError("give jitter_times and extrapolate as finite numbers from 0 up")
        if not 0 < hard_limit < float("inf"):
            raise ValueError("give a hard_limit above 0, in seconds")
        if capacity < 2:
            raise ValueError("give a capacity of at least 2 snapshots")
        self._first_interval = interval
        self._min_delay = min_delay
        self._max_delay = max_delay
        self._jitter_times = jitter_times
        self._extrapolate = extrapolate
        self._hard_limit = hard_limit
        self.capacity = capacity
        self.late = 0
        """Snapshots dropped because what they show is past."""
        self.duplicates = 0
        """Snapshots dropped because they were there already."""
        self.starved = 0
        """How often the clock ran past the newest snapshot."""
        self.snaps = 0
        """How often the clock was off by more than the hard limit."""
        self.reset()

    def reset(self) -> None:
        """Forget all snapshots and the clock, for a new session; the counters stay."""
        self._times: list[float] = []
        self._values: list[T] = []
        self._gaps: deque[float] = deque(maxlen=GAPS)
        self._interval = self._first_interval
        self._offset: float | None = None
        self._time: float | None = None
        self._now = 0.0
        self._starving = self._off = False
        self.jitter_seconds = 0.0
        """Smoothed deviation of the arrivals from the mean one."""
        self.delay_seconds = 0.0
        """How far the time shown is behind the mean arrival, at the last sample."""

    def __len__(self) -> int:
        return len(self._times)

    @property
    def wanted_seconds(self) -> float:
        """The delay that the clock is steered to."""
        wanted = 2 * self._interval + self._jitter_times * self.jitter_seconds
        return min(max(wanted, self._min_delay), self._max_delay)

    def push(self, server_time: float, value: T, now: float) -> None:
        """Take in a snapshot that came.

        :param server_time: seconds on the server's clock that it shows.
        :param now: seconds on the clock that `sample` gets.
        """
        if not (isfinite(server_time) and isfinite(now)):
            raise ValueError("give server_time and now as finite seconds")
        times = self._times
        at = bisect_right(times, server_time)
        if (at and server_time - times[at - 1] < GRAIN_SECONDS) or (
            at < len(times) and times[at] - server_time < GRAIN_SECONDS
        ):
            self.duplicates += 1
            return
        self._measure(server_time - now)
        if at < len(times) and self._time is not None and server_time <= self._time:
            self.late += 1
            return
        if times and at == len(times):
            self._gaps.append(server_time - times[-1])
            # The median: a loss, a pause or a swap does not change it, a new rate soon does.
            self._interval = sorted(self._gaps)[len(self._gaps) // 2]
        times.insert(at, server_time)
        self._values.insert(at, value)
        if len(times) > self.capacity:
            del times[0], self._values[0]

    def _measure(self, offset: float) -> None:
        if self._offset is None or abs(offset - self._offset) > self._hard_limit:
            self._offset = offset
            return
        off = offset - self._offset
        self._offset += off / 16
        self.jitter_seconds += (abs(off) - self.jitter_seconds) / 16

    def sample(self, now: float) -> Shown[T] | None:
        """What to draw now; None before the first snapshot."""
        if not isfinite(now):
            raise ValueError("give now as finite seconds")
        times = self._times
        if not times or self._offset is None:
            return None
        time = self._advance(now, now + self._offset)
        starving = time > times[-1]
        if starving and not self._starving:
            self.starved += 1
        self._starving = starving
        # What is before the pair shown is not needed again; two stay to extrapolate from.
        spare = min(bisect_right(times, time) - 1, len(times) - 2)
        if spare > 0:
            del times[:spare], self._values[:spare]
        before = self._values[0]
        if len(times) == 1 or time <= times[0]:
            return Shown(before, before, 0.0, time)
        return Shown(before, self._values[1], (time - times[0]) / (times[1] - times[0]), time)

    def mixed(self, now: float, mix: Callable[[T, T, float], U]) -> U | None:
        """``mix(before, after, alpha)`` of what to draw now; None before the first snapshot."""
        shown = self.sample(now)
        return None if shown is None else mix(shown.before, shown.after, shown.alpha)

    def _advance(self, now: float, mean: float) -> float:
        """Move the clock; *mean* is the server time that a mean arrival would show now."""
        target = mean - self.wanted_seconds
        if self._time is None:
            self._time = target
            self._now = now
        passed = max(0.0, now - self._now)
        self._now += passed
        error = target - self._time - passed
        off = abs(error) > self._hard_limit
        if off:
            time = target
        else:
            time = self._time + passed * (1 + min(CATCH_UP, max(-SLOW_DOWN, error)))
        time = max(self._time, min(time, self._times[-1] + self._extrapolate))
        if off and not self._off:
            self.snaps += 1
        self._off = off
        self._time = time
        self.delay_seconds = mean - time
        return time

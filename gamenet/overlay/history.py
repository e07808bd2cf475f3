"""What was, for graphs and for changes: values by tenths of a second, counts by time, frames.

Layer 4. Runs on: the game thread; times come in, nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import TYPE_CHECKING, Final

from gamenet.samples import MAX_SAMPLES, SAMPLE_HZ

if TYPE_CHECKING:
    from collections.abc import Mapping

WINDOW_SECONDS: Final = 10.0
"""Counts are shown as what they rose by in so long."""
FRAME_SECONDS: Final = 1.0
"""Frames are counted over so long."""


class History:
    """The last 300 values, one for each tenth of a second; the greatest of one tenth stays."""

    def __init__(self) -> None:
        self._values: deque[float | None] = deque(maxlen=MAX_SAMPLES)
        self._slot = 0

    def put(self, now: float, value: float | None) -> None:
        """Note a value of now; None if there was none."""
        if value is not None and not isfinite(value):
            value = None
        slot = int(now * SAMPLE_HZ)
        values = self._values
        passed = slot - self._slot if values else 1
        self._slot = slot
        if passed < 0:
            values.clear()
        elif passed == 0:
            before = values.pop()
            if value is None or (before is not None and before > value):
                value = before
        else:
            values.extend([None] * min(passed - 1, MAX_SAMPLES))
        values.append(value)

    def clear(self) -> None:
        """Forget all."""
        self._values.clear()

    @property
    def values(self) -> tuple[float | None, ...]:
        """The newest last; None where nothing was noted."""
        return tuple(self._values)


class Changes:
    """By how much counts rose within the last ten seconds."""

    def __init__(self) -> None:
        self._noted: deque[tuple[float, Mapping[str, float]]] = deque()

    def put(self, now: float, counts: Mapping[str, float]) -> None:
        """Note what the counts are now. One that fell belongs to another run: all begins anew."""
        noted = self._noted
        if noted:
            when, before = noted[-1]
            if now < when or any(before.get(name, 0) > count for name, count in counts.items()):
                noted.clear()
        noted.append((now, counts))
        while now - noted[0][0] > WINDOW_SECONDS:
            noted.popleft()

    def clear(self) -> None:
        """Forget all."""
        self._noted.clear()

    def of(self, name: str) -> float:
        """By how much it rose; 0 for what was not counted."""
        if not self._noted:
            return 0
        newest = self._noted[-1][1]
        return newest.get(name, 0) - self._noted[0][1].get(name, newest.get(name, 0))


class Frames:
    """How often the game draws, over the last second."""

    def __init__(self) -> None:
        self._frames: deque[float] = deque()
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Note a frame; one that took no time, or nobody knows how much, does not count."""
        if not 0 < seconds < float("inf"):
            return
        frames = self._frames
        frames.append(seconds)
        self._sum += seconds
        while len(frames) > 1 and self._sum - frames[0] >= FRAME_SECONDS:
            self._sum -= frames.popleft()

    @property
    def per_second(self) -> float:
        """0 before the first."""
        return len(self._frames) / self._sum if self._frames else 0.0

    @property
    def worst_seconds(self) -> float:
        """The longest of them."""
        return max(self._frames, default=0.0)

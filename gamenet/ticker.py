"""When the game's next step is due: by deadline, with a cap on catching up.

Layer 2. Runs on: the game thread; the time comes in, nothing sleeps here.

Steps lie on a fixed grid, so a late one does not shift those after it, and a game that is slow for
a moment catches up. One that stays slow gives up ticks instead of falling behind for ever, and is
told how many.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

SAMPLES: Final = 1_024
GRAIN_SECONDS: Final = 1e-9
"""A step that is due so soon is due: rounding must not put it off to the next look."""


class Due(NamedTuple):
    """A step that should run now."""

    number: int
    late_seconds: float
    skipped: int


class Ticker:
    """A grid of steps.

    :param dt: seconds between two steps.
    :param start: monotonic seconds of the first.
    :param catch_up: late steps made up for before the rest are skipped.
    :param first: its number.
    """

    __slots__ = ("_catch_up", "_late", "_origin", "_ran", "dt", "number", "skipped", "stamp")

    def __init__(self, dt: float, start: float, catch_up: int, first: int = 1) -> None:
        self.dt = dt
        self.number = first - 1
        """The newest step that ran; steps count from 1."""
        self.skipped = 0
        """All steps ever given up."""
        self.stamp = (0, 0)
        """The newest step and the milliseconds of the game clock that it stands for."""
        self._origin = start - first * dt
        self._catch_up = catch_up
        self._late: deque[float] = deque(maxlen=SAMPLES)
        self._ran: deque[float] = deque(maxlen=SAMPLES)

    @property
    def origin(self) -> float:
        """Zero of the game clock in monotonic seconds: step n is due n * dt after it."""
        return self._origin

    @property
    def deadline(self) -> float:
        """When the next step is due, in monotonic seconds."""
        return self._origin + (self.number + 1) * self.dt

    def force(self) -> Due:
        """The next step, now, ahead of its time: the last one of a run."""
        self._step()
        return Due(self.number, 0.0, 0)

    def _step(self) -> None:
        self.number += 1
        self.stamp = (self.number, int(self.number * self.dt * 1000))

    def due(self, now: float) -> Due | None:
        """The step that should run now, which then counts as run; None if it is too early."""
        late = now - self.deadline
        if late < 0:
            if late < -GRAIN_SECONDS:
                return None
            late = 0.0
        # One that is due so soon is one of those that would have to be made up for.
        skipped = int((late + GRAIN_SECONDS) / self.dt)
        if skipped > self._catch_up:
            self.skipped += skipped
            self.number += skipped
            late = max(0.0, now - self.deadline)
        else:
            skipped = 0
        self._step()
        self._late.append(late)
        self._ran.append(now)
        return Due(self.number, late, skipped)

    def late_since(self, when: float) -> float:
        """The most that a step was late which ran after *when*, in seconds; from any thread."""
        worst = 0.0
        for late, ran in zip(reversed(self._late.copy()), reversed(self._ran.copy()), strict=False):
            if ran < when:
                break
            worst = max(worst, late)
        return worst

    def stats(self) -> dict[str, float]:
        """Rate and lateness over the last thousand steps; from any thread."""
        late = sorted(self._late.copy())
        ran = self._ran.copy()
        span = ran[-1] - ran[0] if len(ran) > 1 else 0.0
        return {
            "rate": 1 / self.dt,
            "number": self.number,
            "per_second": (len(ran) - 1) / span if span > 0 else 0.0,
            "late_p50_ms": late[len(late) // 2] * 1000 if late else 0.0,
            "late_p99_ms": late[len(late) * 99 // 100] * 1000 if late else 0.0,
            "skipped": self.skipped,
        }

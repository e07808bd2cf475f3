"""Calls that are due later, thousands of them, on one timer of the reactor.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

import math
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable

log = Logger()
GRAIN_SECONDS: Final = 0.0005
"""What is due so soon after a timer happens with it."""


class Delays:
    """What is due later, in order of time; of two at one time what was asked for first.

    :param reactor: whose timer it is; its clock, from zero now on, is :meth:`now`.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._origin: float = reactor.seconds()
        self._waiting: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._numbers = count()
        self._timer: Any = None
        self._timer_at = math.inf
        self._is_stopped = False

    def now(self) -> float:
        """Seconds since this began."""
        seconds: float = self._reactor.seconds()
        return seconds - self._origin

    def __len__(self) -> int:
        return len(self._waiting)

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Have *call* called at the time *when*, or soon if that is over."""
        if self._is_stopped:
            return
        heappush(self._waiting, (when, next(self._numbers), call, args))
        if when < self._timer_at:
            self._set_timer(when)

    def stop(self) -> None:
        """Forget everything; nothing happens any more."""
        self._is_stopped = True
        self._waiting.clear()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _set_timer(self, when: float) -> None:
        self._timer_at = when
        seconds = max(0.0, when - self.now())
        if self._timer is not None:
            self._timer.reset(seconds)
        else:
            self._timer = self._reactor.callLater(seconds, self._fire)

    def _fire(self) -> None:
        self._timer = None
        self._timer_at = -math.inf  # calls that ask for more are heard at the end
        until = self.now() + GRAIN_SECONDS
        waiting = self._waiting
        while waiting and waiting[0][0] <= until:
            _, _, call, args = heappop(waiting)
            try:
                call(*args)
            except Exception:
                log.failure("a delayed call failed")
        self._timer_at = math.inf
        if waiting and not self._is_stopped:
            self._set_timer(waiting[0][0])

"""Virtual time: it stands still until it is told to pass, and then jumps from wake to wake.

Layer 4. Runs on: the thread that lets time pass; ``at`` from any.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS_AT: Final = 10_080.0
"""A monotonic clock is never at zero when a program starts. Divisible by nearly anything, so that
what comes back every few seconds begins with the run."""
GRAIN_SECONDS: Final = 1e-9
"""What is due so soon after the end of a run belongs to it: rounding must not put it off."""
MOST_AT_ONCE: Final = 1_000_000
"""Calls at one instant; more of them means that something asks for itself for ever."""


@implementer(IDelayedCall)
class Timer:
    """A call that is due later, as a reactor's ``callLater`` returns it."""

    __slots__ = ("_entry", "_entry_time", "_time", "_timeline", "args", "func", "kw", "owner")

    def __init__(
        self,
        timeline: Timeline,
        owner: object,
        when: float,
        call: Callable[..., object],
        args: tuple[Any, ...],
        named: dict[str, Any],
    ) -> None:
        self._timeline = timeline
        self.owner = owner
        """Whose timer it is."""
        self.func = call
        self.args = args
        self.kw = named
        self._time = when
        self._entry_time = when
        self._entry = timeline._push(when, self)

    def __call__(self, entry: int) -> None:
        """An entry of it is due: the newest one counts, unless its time was put off."""
        if entry != self._entry:
            return
        if self._time > self._entry_time:
            self._enter()
            return
        self._entry = CALLED
        self.func(*self.args, **self.kw)

    def __repr__(self) -> str:
        name = getattr(self.func, "__qualname__", None) or repr(self.func)
        left = self._time - self._timeline.now
        state = {CALLED: "called", CANCELLED: "cancelled"}.get(self._entry, f"in {left:g} s")
        return f"<timer {state}: {name}>"

    def _enter(self) -> None:
        self._entry_time = self._time
        self._entry = self._timeline._push(self._time, self)

    def _check(self) -> None:
        if self._entry == CALLED:
            raise AlreadyCalled
        if self._entry == CANCELLED:
            raise AlreadyCancelled

    def getTime(self) -> float:
        """When it is due."""
        return self._time

    def cancel(self) -> None:
        """Never mind."""
        self._check()
        self._entry = CANCELLED
        del self.args, self.kw

    def delay(self, secondsLater: float) -> None:
        """Put it off."""
        self._check()
        self._move(self._time + secondsLater)

    def reset(self, secondsFromNow: float) -> None:
        """Count from now."""
        self._check()
        self._move(self._timeline.now + secondsFromNow)

    def _move(self, when: float) -> None:
        self._time = when
        if when < self._entry_time:
            self._enter()

    def active(self) -> bool:
        """Whether it is still to come."""
        return self._entry >= 0


CALLED: Final = -1
CANCELLED: Final = -2


class Timeline:
    """A clock, and what is due on it.

    Of two calls that are due at the same time, the one asked for first comes first.
    """

    def __init__(self, starts_at: float = STARTS_AT) -> None:
        self.now = starts_at
        """Monotonic seconds."""
        self.is_running = False
        """Whether time is passing right now: the caller is one of the calls that were due."""
        # Time, number, what to call and with what. One is added in one step of the interpreter, so
        # any thread may.
        self._heap: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._number = count().__next__

    def seconds(self) -> float:
        """What time it is."""
        return self.now

    def at(self, when: float, call: Callable[..., object], *args: Any) -> None:
        """Have *call* called at the time *when*. From any thread."""
        heappush(self._heap, (when, self._number(), call, args))

    def _push(self, when: float, timer: Timer) -> int:
        number = self._number()
        call: Callable[..., object] = timer
        heappush(self._heap, (when, number, call, (number,)))
        return number

    def callLater(
        self, seconds: float, call: Callable[..., object], *args: Any, **named: Any
    ) -> Timer:
        """A timer that nobody in particular owns."""
        return self.timer(None, seconds, call, args, named)

    def timer(
        self,
        owner: object,
        seconds: float,
        call: Callable[..., object],
        args: tuple[Any, ...],
        named: dict[str, Any],
    ) -> Timer:
        """A call that is due after *seconds*, and can be put off or cancelled."""
        if not callable(call):
            raise TypeError(f"{call!r} cannot be called")
        if not seconds >= 0:
            raise ValueError(f"{seconds!r} seconds from now are over")
        return Timer(self, owner, self.now + seconds, call, args, named)

    @property
    def timers(self) -> list[Timer]:
        """Every timer that is still to come, in order of time."""
        found = [
            (timer.getTime(), number, timer)
            for _, number, timer, _ in self._heap
            if isinstance(timer, Timer) and timer._entry == number
        ]
        return [timer for _, _, timer in sorted(found)]

    # Passing.

    def run_to(self, end: float) -> None:
        """Let time pass until *end*; what is due then happens."""
        self._run(end, None)
        if end > self.now:
            self.now = end

    def run_until(self, done: Callable[[], bool], end: float) -> bool:
        """Let time pass until *done* says so, which is asked after each call, at most to *end*.

        :returns: what *done* said last.
        """
        if done() or self._run(end, done):
            return True
        if end > self.now:
            self.now = end
        return False

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        self.run_to(self.now)

    def advance(self, seconds: float) -> None:
        """Let *seconds* pass."""
        self.run_to(self.now + seconds)

    def _run(self, end: float, done: Callable[[], bool] | None) -> bool:
        heap = self._heap
        limit = end + GRAIN_SECONDS
        before, self.is_running = self.is_running, True
        at_once = 0
        try:
            while heap and heap[0][0] <= limit:
                when, _, call, args = heappop(heap)
                if when > self.now:
                    self.now = when
                    at_once = 0
                else:
                    at_once += 1
                    if at_once > MOST_AT_ONCE:
                        raise AssertionError(
                            f"time stands still: {call!r} asks for itself for ever"
                        )
                call(*args)
                if done is not None and done():
                    return True
        finally:
            self.is_running = before
        return False

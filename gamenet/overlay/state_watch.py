"""How well the server keeps its ticks, as a client can know it: by the states that come.

Layer 4. Runs on: the game thread; times come in. A state bears its number, its tick and the
server's game clock. Its number says how many were sent before it, its tick how many ticks the
server's game gave up, and the clock when it was due here: as long after it was made as the quickest
of the last ten seconds took.
"""

from __future__ import annotations

from collections import Counter, deque
from math import inf, isfinite
from typing import TYPE_CHECKING, NamedTuple

from gamenet.overlay.history import WINDOW_SECONDS

if TYPE_CHECKING:
    from gamenet.events import State

USUAL_OF = 32
"""The usual way from one state to the next is the most frequent of so many."""


class Seen(NamedTuple):
    """A state, and when the game had it."""

    number: int
    tick: int
    server_time: float
    came: float
    skipped: int
    """Ticks that the server gave up before it."""
    is_late: bool

    @property
    def offset(self) -> float:
        """Our clock less the server's, and the way here."""
        return self.came - self.server_time


class StateWatch:
    """The states of the last ten seconds."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Another session begins."""
        self._seen: deque[Seen] = deque()
        self._steps: deque[tuple[int, float]] = deque(maxlen=USUAL_OF)
        self._least = inf

    def take(self, state: State, now: float) -> float | None:
        """Note the newest state there is; one that was noted before changes nothing.

        :returns: how many seconds after it was due it came, or None if it is not new.
        """
        number, tick, made = state.number, state.tick, state.server_time
        if not isfinite(made):
            return None
        last = self._seen[-1] if self._seen else None
        if last is not None:
            if number == last.number:
                return None
            if number < last.number or tick < last.tick or now < last.came:
                # Another session, or the game's ticks are numbered anew.
                self.clear()
                last = None
        self._forget(now)
        skipped = 0
        if last is not None:
            skipped = self._step(number - last.number, tick - last.tick, made - last.server_time)
        offset = now - made
        self._least = min(self._least, offset)
        late = offset - self._least
        is_late = late > self._interval > 0
        self._seen.append(Seen(number, tick, made, now, skipped, is_late))
        return late

    def _step(self, states: int, ticks: int, seconds: float) -> int:
        """:returns: the ticks that were given up on the way from one state to a later one."""
        self._steps.append((ticks // states, seconds / states))
        return max(0, ticks - states * self._usual)

    @property
    def _usual(self) -> int:
        """Ticks from one state to the next, as a rule."""
        return Counter(ticks for ticks, _ in self._steps).most_common(1)[0][0]

    @property
    def _interval(self) -> float:
        """Seconds from one state to the next, as a rule; 0 while it is not known."""
        if not self._steps:
            return 0.0
        return sorted(seconds for _, seconds in self._steps)[len(self._steps) // 2]

    def _forget(self, now: float) -> None:
        seen = self._seen
        while seen and now - seen[0].came > WINDOW_SECONDS:
            gone = seen.popleft()
            if gone.offset <= self._least:
                self._least = min((one.offset for one in seen), default=inf)

    # What it comes to.

    @property
    def seconds(self) -> float:
        """What is known of, by the server's clock; 0 if that is nothing yet."""
        return self._seen[-1].server_time - self._seen[0].server_time if self._seen else 0.0

    @property
    def ticks_per_second(self) -> float | None:
        """Ticks that the server's game ran; those that it gave up do not count."""
        if self.seconds <= 0:
            return None
        return (self._seen[-1].tick - self._seen[0].tick - self.skipped) / self.seconds

    @property
    def states_per_second(self) -> float | None:
        """States that were sent, whether they came or not."""
        return self.sent / self.seconds if self.seconds > 0 else None

    @property
    def sent(self) -> int:
        """How many were sent from the first that is known of to the newest."""
        return self._seen[-1].number - self._seen[0].number if self._seen else 0

    @property
    def skipped(self) -> int:
        """Ticks that the server's game gave up, as far as the states tell."""
        seen = iter(self._seen)
        next(seen, None)  # what was before the first is not part of it
        return sum(one.skipped for one in seen)

    @property
    def late_share(self) -> float:
        """The share of states that came when the next one was due already."""
        return sum(one.is_late for one in self._seen) / len(self._seen) if self._seen else 0.0

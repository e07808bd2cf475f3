"""One's own hero without waiting for the server: predict, reconcile, smooth the correction.

Layer 2. Runs on: the game thread; the time comes in, nothing is read from a clock. The scheme is
that of Yahn Bernier, "Latency Compensating Methods in Client/Server In-game Protocol Design and
Optimization" (2001).
"""

from __future__ import annotations

from collections import deque
from math import exp, hypot, inf
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

S = TypeVar("S")

MAX_KEPT: Final = 120
"""Inputs kept for replay: as many as the client resends; the server never takes older ones."""
GONE: Final = 1e-9
"""An error of this size is none."""


class Predictor(Generic[S]):
    """The state that the server will reach, and the one to draw meanwhile.

    :param step: the next state from a state and the buttons of one tick, as the server does it; it
        leaves the state it is given as it was.
    :param state: where to start.
    :param difference: what to add to the second state to get the first, as numbers (metres or the
        like; take the short way round for angles). Without it corrections show at once.
    :param add: a state moved by such numbers; goes with *difference*.
    :param smooth_seconds: time in which an error shrinks to 1/e; 0 corrects at once.
    :param snap: an error longer than this is corrected at once: a respawn, not a slip.
    :param tolerance: a correction up to this length, such as rounding on the wire, is not counted.
    """

    __slots__ = (
        "_add",
        "_before",
        "_difference",
        "_error",
        "_kept",
        "_smooth_seconds",
        "_snap",
        "_step",
        "_tolerance",
        "acknowledged",
        "corrections",
        "given_up",
        "ignored",
        "last_correction",
        "newest",
        "snaps",
        "state",
    )

    def __init__(
        self,
        step: Callable[[S, int], S],
        state: S,
        *,
        difference: Callable[[S, S], Sequence[float]] | None = None,
        add: Callable[[S, Sequence[float]], S] | None = None,
        smooth_seconds: float = 0.1,
        snap: float = inf,
        tolerance: float = 0.0,
    ) -> None:
        if (difference is None) != (add is None):
            raise ValueError("difference and add go together: give both or neither")
        if not 0 <= smooth_seconds < inf:
            raise ValueError("smooth_seconds must be 0 or more, such as 0.1")
        if not (snap >= 0 and tolerance >= 0):
            raise ValueError("snap and tolerance are lengths: give 0 or more")
        self._step = step
        self._difference = difference
        self._add = add
        self._smooth_seconds = smooth_seconds
        self._snap = snap
        self._tolerance = tolerance
        self.corrections = 0
        """How often the server's state proved a prediction wrong."""
        self.last_correction = 0.0
        """Length of the newest correction; stays 0 without *difference*."""
        self.snaps = 0
        """Errors that were longer than *snap*."""
        self.given_up = 0
        """Inputs forgotten unacknowledged because 120 were kept."""
        self.ignored = 0
        """Authoritative states that were older than one already taken."""
        self.reset(state)

    def reset(self, state: S) -> None:
        """Start again from *state*, as after a new connection; numbers may start again too."""
        self.state = state
        """The predicted truth: rules of the game look at this, not at what is drawn."""
        self.newest = 0
        """The newest input applied."""
        self.acknowledged = 0
        """The newest input that the server had taken."""
        self._kept: deque[tuple[int, int]] = deque()
        self._before = state  # the newest input; of use while that is kept
        self._error: tuple[float, ...] = ()

    @property
    def waiting(self) -> int:
        """Inputs applied and not yet acknowledged."""
        return len(self._kept)

    @property
    def error(self) -> float:
        """Length of what is still smoothed away: how far the drawn state is off."""
        return hypot(*self._error)

    def apply(self, number: int, buttons: int) -> S:
        """Take one's own input at once, and keep it until the server has taken it.

        :param number: what ``send_input`` returned. The same again is another input in its place,
            as it is for the client; it changes nothing once the server has taken that one.
        :returns: the predicted state.
        :raises ValueError: if numbers fall.
        """
        if number < max(self.newest, 1):
            raise ValueError(
                f"input {number} after {self.newest}: numbers rise; reset() after a new connection"
            )
        if number == self.newest:
            if self._kept:
                self._kept[-1] = (number, buttons)
                self.state = self._step(self._before, buttons)
            return self.state
        self._before = self.state
        self.state = self._step(self.state, buttons)
        self.newest = number
        if len(self._kept) == MAX_KEPT:
            self._kept.popleft()
            self.given_up += 1
        self._kept.append((number, buttons))
        return self.state

    def reconcile(self, state: S, input_number: int) -> bool:
        """Take the server's state and replay on it what the server had not taken by then.

        :param input_number: the ``input_number`` of the ``State`` event.
        :returns: False if a newer one was taken before; nothing changes then.
        """
        if input_number < self.acknowledged:
            self.ignored += 1
            return False
        self.acknowledged = min(input_number, self.newest)
        kept = self._kept
        while kept and kept[0][0] <= input_number:
            kept.popleft()
        for _, buttons in kept:
            self._before = state
            state = self._step(state, buttons)
        before, self.state = self.state, state
        if self._difference is None:
            self.corrections += before != state
        else:
            self._correct(tuple(self._difference(before, state)))
        return True

    def _correct(self, offset: tuple[float, ...]) -> None:
        size = hypot(*offset)
        if size == 0:
            return
        if not size <= self._tolerance:
            self.corrections += 1
            self.last_correction = size
        # What is drawn stays where it is: the old error and the new one add up.
        if self._error:
            offset = tuple(a + b for a, b in zip(self._error, offset, strict=True))
        size = hypot(*offset)
        if not size < inf or size > self._snap:
            self.snaps += 1
            offset = ()
        self._error = offset if self._smooth_seconds else ()

    def shown(self, dt: float) -> S:
        """What to draw: the predicted state, off by an error that shrinks and never overshoots.

        :param dt: seconds since the last call; 0 looks without moving on.
        """
        if not dt >= 0:
            raise ValueError("dt is the seconds since the last frame: give 0 or more")
        if not self._error or self._add is None:
            return self.state
        if dt:
            left = exp(-dt / self._smooth_seconds)
            self._error = tuple(part * left for part in self._error)
            if hypot(*self._error) < GONE:
                self._error = ()
                return self.state
        return self._add(self.state, self._error)

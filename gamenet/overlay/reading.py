"""What the net graph knows at one moment, and where it knows it from.

Layer 4. Runs on: the game thread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from gamenet.events import Quality
from gamenet.overlay.history import Changes
from gamenet.overlay.state_watch import StateWatch

if TYPE_CHECKING:
    from gamenet.events import Player, State

Standing = Literal["outside", "playing", "away", "over"]
"""Not joined yet, joined, joined without its connection, or not joined any more."""
Way = Literal["udp", "trying", "blocked", "silent"]
"""What low-latency traffic takes: UDP, or TCP because UDP has not answered yet, never answers, or
does not answer any more."""


class Watched(Protocol):
    """What is asked of a client; a :class:`~gamenet.GameClient` has it."""

    @property
    def player(self) -> Player: ...
    @property
    def joined(self) -> bool: ...
    @property
    def suspended(self) -> bool: ...
    @property
    def tick_rate(self) -> float: ...
    @property
    def newest_state(self) -> State | None: ...
    def quality(self) -> Quality: ...
    def stats(self) -> Mapping[str, float]: ...


class Smoothing(Protocol):
    """What is asked of a :class:`~gamenet.smooth.interpolation.Interpolator`."""

    @property
    def delay_seconds(self) -> float: ...
    @property
    def wanted_seconds(self) -> float: ...
    @property
    def starved(self) -> int: ...
    @property
    def snaps(self) -> int: ...


class Predicting(Protocol):
    """What is asked of a :class:`~gamenet.smooth.prediction.Predictor`."""

    @property
    def waiting(self) -> int: ...
    @property
    def corrections(self) -> int: ...


class Serving(Protocol):
    """What is asked of a :class:`~gamenet.GameServer` in the same program."""

    def stats(self) -> Mapping[str, float]: ...
    def loop_stats(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, slots=True)
class Reading:
    """One moment."""

    standing: Standing
    way: Way
    quality: Quality
    tick_rate: float
    """Ticks a second that the server promised."""
    frames_per_second: float
    worst_frame_seconds: float
    states: StateWatch
    changes: Changes
    """Counts of client, smoothing and prediction, of the last ten seconds."""
    smoothing: Smoothing | None
    predicting: Predicting | None
    server: Mapping[str, float] | None
    """What the server in this program says of itself; None without one, or while it is stopped."""

    @property
    def missing_states(self) -> float:
        """The share of the states sent in the last ten seconds that nobody here could take: lost,
        overtaken, or replaced by a newer one before they left."""
        sent = self.changes.of("state_number")
        came = self.changes.of("states_received")
        return min(1.0, max(0.0, 1 - came / sent)) if sent > 0 else 0.0

    @property
    def late_inputs(self) -> float:
        """The share of the inputs of the last ten seconds that came when their tick had begun."""
        made = self.changes.of("inputs_sent")
        return min(1.0, self.changes.of("inputs_late") / made) if made > 0 else 0.0

"""What one turn of the reactor hands over: events for the game, sessions to flush.

Layer 1. Runs on: the reactor thread.

Events are collected in a plain list while the turn lasts and published once at its end, so that a
burst costs the game thread one wake. ``emit`` is that list's own ``append``.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from gamenet.core.frame_sums import FrameSums
from gamenet.core.state_channel import Shrinker
from gamenet.core.traffic import Sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.core.counters import Counters
    from gamenet.core.reliable_half import ReliableHalf
    from gamenet.core.session import Session
    from gamenet.events import Event


class Turn:
    """The window through which sessions speak.

    ``Joined``, ``Left`` and reliable messages always enter: the first two are few and the others
    have their room by the reliable window. Inputs and unreliable messages enter while
    ``len(batch) < room``.
    """

    __slots__ = (
        "awaiting",
        "batch",
        "counters",
        "dirty",
        "emit",
        "frames",
        "game_clock_zero",
        "listener",
        "published",
        "room",
        "shrinker",
        "sums",
        "taken",
        "tick_seconds",
    )

    def __init__(self, counters: Counters, room: int) -> None:
        self.batch: list[Event] = []
        self.emit = self.batch.append
        self.room = room
        self.taken = 0
        """Events that the game had taken when the turn began."""
        self.published = 0
        """Events handed over in earlier turns; with the place in the batch, an event's index."""
        self.awaiting: deque[tuple[int, ReliableHalf]] = deque()
        """Index and receiver of each reliable event that the game has not taken, in order."""
        self.dirty: list[Session] = []
        """Sessions with something to send, each once."""
        self.counters = counters
        self.game_clock_zero: float | None = None
        """Zero of a server's game clock, in monotonic seconds; None until its game has begun."""
        self.tick_seconds = 0.0
        """Length of a server's tick: tick n begins so many times n after that."""
        self.shrinker = Shrinker()
        """What makes states smaller, for all sessions."""
        self.listener: Callable[[Event], None] | None = None
        """Who hears besides the game of what changes a player's state."""
        self.sums = Sums()
        """Messages and bytes of all sessions by type."""
        self.frames = FrameSums()
        """Frames and bytes of all connections by kind."""

    def tell(self, event: Event) -> None:
        """Emit an event that changes a player's state, as few do."""
        self.emit(event)
        if self.listener is not None:
            self.listener(event)

    def settle(self, taken: int, now: float) -> None:
        """Tell the receivers of reliable events about those that the game has taken.

        :param taken: how many events it has taken since the beginning.
        """
        awaiting = self.awaiting
        while awaiting and awaiting[0][0] < taken:
            awaiting.popleft()[1].game_took(now)

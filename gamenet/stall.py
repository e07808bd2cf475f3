"""Notices a game that takes nothing of what waits for it.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations


class Stall:
    """Looks at what a game takes, beat by beat.

    :param seconds: without taking anything, while something waits, that make a stall.
    """

    __slots__ = ("_taken", "is_on", "seconds", "since")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_on = False
        """True from the moment when the time is over until the game takes something."""
        self.since: float | None = None
        """When the game took something last, while something waits."""
        self._taken = 0

    def look(self, waiting: int, taken: int, now: float) -> bool:
        """:returns: True once for each stall, when it is one."""
        if not waiting or taken != self._taken:
            self._taken = taken
            self.since = now if waiting else None
            self.is_on = False
            return False
        if self.since is None:
            self.since = now
        began = not self.is_on and now - self.since >= self.seconds
        self.is_on = self.is_on or began
        return began

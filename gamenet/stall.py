"""Notices a game that takes nothing of what waits for it.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations


class Stall:
    """Looks at what a game takes, beat by beat.

    :param seconds: without taking anything, while something waits, that make a stall.
    """

    __slots__ = ("_since", "_taken", "is_on", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_on = False
        """True from the moment when the time is over until the game takes something."""
        self._since: float | None = None
        self._taken = 0

    def look(self, waiting: int, taken: int, now: float) -> bool:
        """:returns: True once for each stall, when it is one."""
        if not waiting or taken != self._taken:
            self._taken = taken
            self._since = now if waiting else None
            self.is_on = False
            return False
        if self._since is None:
            self._since = now
        began = not self.is_on and now - self._since >= self.seconds
        self.is_on = self.is_on or began
        return began

"""A player's place at the bridge: what the sending thread may know about a session.

Layer 1. Fields named ``submitted_*`` and the numbers are written by the game thread, fields named
``released_*`` by the reactor thread; each reads the other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gamenet.events import Player


class Seat:
    """Counts of one player's queue, and the newest numbers of its states and inputs.

    :param messages: how many reliable messages may be queued, the window included.
    :param size: how many bytes of them.
    """

    __slots__ = (
        "_messages",
        "_size",
        "cut",
        "input_number",
        "player",
        "released_bytes",
        "released_messages",
        "state_number",
        "submitted_bytes",
        "submitted_messages",
        "wants_room",
    )

    def __init__(self, player: Player, messages: int, size: int) -> None:
        self.player = player
        self._messages = messages
        self._size = size
        self.submitted_messages = 0
        self.submitted_bytes = 0
        self.released_messages = 0
        self.released_bytes = 0
        self.state_number = 0
        self.input_number = 0
        """The newest input that the game has taken from this player."""
        self.wants_room = False
        """The game was told that the queue is full, and waits for ``Writable``."""
        self.cut = False
        """The game sent so far beyond the cap that the player is being cut."""

    @property
    def queued_messages(self) -> int:
        """Reliable messages that the peer's game has not taken."""
        return self.submitted_messages - self.released_messages

    @property
    def queued_bytes(self) -> int:
        """Bytes of such messages."""
        return self.submitted_bytes - self.released_bytes

    def has_room(self, size: int, factor: int = 1) -> bool:
        """Whether one more message of *size* bytes stays within *factor* times the cap."""
        return (
            self.queued_messages < factor * self._messages
            and self.queued_bytes + size <= factor * self._size
        )

    def submit(self, size: int) -> None:
        """One more message is on its way to the session."""
        self.submitted_messages += 1
        self.submitted_bytes += size

    def release(self, messages: int, size: int) -> bool:
        """The peer's game took so many; True if who waited for room should hear of it now."""
        self.released_messages += messages
        self.released_bytes += size
        if (
            self.wants_room
            and self.queued_messages * 2 <= self._messages
            and self.queued_bytes * 2 <= self._size
        ):
            self.wants_room = False
            return True
        return False

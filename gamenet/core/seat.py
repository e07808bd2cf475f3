"""A player's place at the bridge: what the sending thread may know about a session.

Layer 1. Fields named ``submitted_*`` and the numbers are written by the game thread, fields named
``released_*`` by the reactor thread; each reads the other's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from gamenet.events import Player

PROBE_SECONDS: Final = 5.0
"""A probe that takes longer says nothing of the path: the other game was not playing."""
NO_PROBE: Final = 1 << 62
"""The number of a probe that does not run: later than every state and input."""


class Seat:
    """Counts of one player's queue, and the newest numbers of its states and inputs.

    :param messages: how many reliable messages may be queued, the window included.
    :param size: how many bytes of them.
    """

    __slots__ = (
        "_messages",
        "_size",
        "cut",
        "end_to_end_seconds",
        "input_number",
        "player",
        "probe",
        "probe_began",
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
        self.probe = NO_PROBE
        """Of what we send, the number that the other game is to answer: of a state on a server, of
        an input on a client. Asked and set in place by the game thread."""
        self.probe_began = 0.0
        """When that was sent, in monotonic seconds."""
        self.end_to_end_seconds = 0.0
        """From this game to the other and back, smoothed; 0 while unknown."""

    @property
    def queued_messages(self) -> int:
        """Reliable messages that the peer's game has not taken."""
        return self.submitted_messages - self.released_messages

    @property
    def queued_bytes(self) -> int:
        """Bytes of such messages."""
        return self.submitted_bytes - self.released_bytes

    def probe_answered(self, now: float) -> None:
        """The other game has taken what the probe is about, and says so in what was taken here."""
        self.probe = NO_PROBE
        took = now - self.probe_began
        if took <= PROBE_SECONDS:
            known = self.end_to_end_seconds
            self.end_to_end_seconds = known + (took - known) / 8 if known else took

    def has_room(self, size: int, factor: int = 1) -> bool:
        """Whether one more message of *size* bytes stays within *factor* times the cap."""
        return (
            self.submitted_messages - self.released_messages < factor * self._messages
            and self.submitted_bytes - self.released_bytes + size <= factor * self._size
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

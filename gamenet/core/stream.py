"""The reliable stream of one session: numbered, windowed, acknowledged when taken.

Layer 1. Runs on: the reactor thread. PROTOCOL section 2.

DATA and SAY frames are numbered from 1 by their order alone. An ACK tells how many the peer's
*game* has taken; a sender keeps each message until then, and may have only a window of them on
their way. Back-pressure is this window, never a paused connection.

What is queued is in lists, from whose beginning many are taken at once: an empty deque takes
0.7 KiB, and most players have nothing under way.
"""

from __future__ import annotations

from gamenet.core.frames import MAX_FRAME_BYTES
from gamenet.errors import RemoteProtocolError


class Outgoing:
    """Messages to the peer: first those on their way, then those that wait for the window.

    :param window_messages: how many the peer lets be on their way.
    :param window_bytes: how many bytes of them, counted as kind and body of each frame.
    """

    __slots__ = (
        "_flying",
        "_flying_bytes",
        "_waiting",
        "_waiting_bytes",
        "_window_bytes",
        "_window_messages",
        "acknowledged",
        "sent",
    )

    def __init__(self, window_messages: int, window_bytes: int) -> None:
        self._window_messages = window_messages
        self._window_bytes = window_bytes
        self._flying: list[bytes] = []
        self._flying_bytes = 0
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self.sent = 0
        self.acknowledged = 0

    def put(self, frame: bytes) -> None:
        """Queue a DATA or SAY frame."""
        self._waiting.append(frame)
        self._waiting_bytes += len(frame)

    def take(self) -> list[bytes]:
        """The frames that may be written now, in order; they are on their way from here on."""
        waiting = self._waiting
        room, size = self._window_bytes - self._flying_bytes, 0
        count = 0
        for frame in waiting[: max(0, self._window_messages - len(self._flying))]:
            if size + len(frame) > room:
                break
            size += len(frame)
            count += 1
        frames = waiting[:count]
        del waiting[:count]
        self._waiting_bytes -= size
        self._flying += frames
        self._flying_bytes += size
        self.sent += count
        return frames

    def acknowledge(self, count: int) -> tuple[int, int]:
        """The peer's game has taken *count* messages since the session began.

        :returns: messages and bytes that this frees.
        :raises RemoteProtocolError: if it never got so many, or takes an ACK back.
        """
        if not self.acknowledged <= count <= self.sent:
            raise RemoteProtocolError(f"ACK {count} outside {self.acknowledged}..{self.sent}")
        messages = count - self.acknowledged
        size = sum(map(len, self._flying[:messages]))
        del self._flying[:messages]
        self._flying_bytes -= size
        self.acknowledged = count
        return messages, size

    def resumes_at(self, received: int) -> bool:
        """Whether the peer can have received just so many."""
        return self.acknowledged <= received <= self.sent

    def resume(self, received: int) -> None:
        """Another connection: what went by the old one and never arrived is written again.

        :param received: how many the peer has received since the session began.
        :raises RemoteProtocolError: if that cannot be.
        """
        if not self.resumes_at(received):
            raise RemoteProtocolError(
                f"{received} received outside {self.acknowledged}..{self.sent}"
            )
        kept = len(self._flying) - (self.sent - received)
        frames = self._flying[kept:]
        del self._flying[kept:]
        size = sum(map(len, frames))
        self._flying_bytes -= size
        self._waiting[:0] = frames
        self._waiting_bytes += size
        self.sent = received

    @property
    def messages(self) -> int:
        """Messages that the peer's game has not taken."""
        return len(self._flying) + len(self._waiting)

    @property
    def size(self) -> int:
        """Bytes of such messages."""
        return self._flying_bytes + self._waiting_bytes

    @property
    def waiting_messages(self) -> int:
        """Messages beyond the window."""
        return len(self._waiting)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of such messages."""
        return self._waiting_bytes

    def unacknowledged(self) -> list[bytes]:
        """All frames that the peer's game never took, oldest first."""
        return [*self._flying, *self._waiting]


class Incoming:
    """Messages from the peer: accepted by the bridge, then taken by the game, then acknowledged.

    :param window_messages: how many we let be on their way; the peer is cut beyond it.
    :param window_bytes: how many bytes of them.
    """

    __slots__ = (
        "_flying_bytes",
        "_half_bytes",
        "_sizes",
        "_window_bytes",
        "_window_messages",
        "acknowledged",
        "received",
        "taken",
    )

    def __init__(self, window_messages: int, window_bytes: int) -> None:
        self._window_messages = window_messages
        self._window_bytes = window_bytes
        self._half_bytes = (window_bytes + 1) // 2
        if MAX_FRAME_BYTES <= window_bytes < 2 * MAX_FRAME_BYTES:
            # What is left has room for a frame of any size, so that none waits for a late ACK.
            self._half_bytes = window_bytes - MAX_FRAME_BYTES
        self._sizes: list[int] = []
        self._flying_bytes = 0
        self.received = 0
        self.taken = 0
        self.acknowledged = 0

    def accept(self, size: int) -> None:
        """A DATA or SAY frame of *size* bytes came.

        :raises RemoteProtocolError: if the peer overran its window.
        """
        self._sizes.append(size)
        self._flying_bytes += size
        if len(self._sizes) > self._window_messages or self._flying_bytes > self._window_bytes:
            raise RemoteProtocolError("more reliable messages than the window allows")
        self.received += 1

    @property
    def is_half_open(self) -> bool:
        """True when so much was taken that the peer should hear of it at once."""
        owed = self.taken - self.acknowledged
        return owed * 2 >= self._window_messages or (
            owed > 0 and self._flying_bytes >= self._half_bytes
        )

    def ack(self) -> int | None:
        """The count to write in an ACK now, or None if the peer knows it."""
        if self.taken == self.acknowledged:
            return None
        owed = self.taken - self.acknowledged
        self._flying_bytes -= sum(self._sizes[:owed])
        del self._sizes[:owed]
        self.acknowledged = self.taken
        return self.taken

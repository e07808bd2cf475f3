"""Low-latency traffic inside the reliable transport, while datagrams do not pass.

Layer 1. Runs on: the reactor thread. PROTOCOL section 5.

What goes this way must never make a reliable message wait: it goes behind them, only while the
connection takes what is written, and only so much of it that is not acknowledged. The rest is not
sent at all: a state is replaced by the next one, an input goes with the next message.
"""

from __future__ import annotations

from typing import Final

from gamenet.core import frames
from gamenet.core.wire import ACKS_BYTES, MAX_BODY_BYTES

MAX_FLYING_BYTES: Final = 20_480
"""Of bodies with messages that the peer has not acknowledged: one state of full size has room."""


class Tunnel:
    """The frames that wait for the next flush, and the bytes that are on their way."""

    __slots__ = ("_flying", "_flying_bytes", "frames", "writable")

    def __init__(self) -> None:
        self._flying: list[tuple[int, int]] = []
        self._flying_bytes = 0
        self.frames: list[bytes] = []
        """What the next flush of the reliable half writes."""
        self.writable = False
        """Whether there is a connection that takes what is written; the host sets it."""

    def has_room(self, acknowledged: int, size: int = MAX_BODY_BYTES) -> bool:
        """Whether as much more may leave.

        :param acknowledged: the highest packet number that the peer has acknowledged.
        :param size: bytes of all bodies; by default of one, however long.
        """
        flying = self._flying
        count = 0
        for number, size_of_it in flying:
            if number > acknowledged:
                break
            self._flying_bytes -= size_of_it
            count += 1
        del flying[:count]
        return self.writable and self._flying_bytes <= MAX_FLYING_BYTES - size

    def put(self, number: int, body: bytes) -> bool:
        """Send *body* under *number* with the next flush; False, and nothing done, for no room."""
        size = len(body)
        if size > ACKS_BYTES:
            if self._flying_bytes + size > MAX_FLYING_BYTES:
                return False
            self._flying.append((number, size))
            self._flying_bytes += size
        self.frames.append(frames.encode_tunnel(number, body))
        return True

    def take(self) -> list[bytes]:
        """The frames to write now."""
        out, self.frames = self.frames, []
        return out

    def clear(self) -> None:
        """The connection is gone, and all that was on its way with it."""
        self._flying.clear()
        self._flying_bytes = 0
        self.frames = []
        self.writable = False

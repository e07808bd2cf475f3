"""What all connections together have got and sent, by kind of frame.

Layer 1. Runs on: the reactor thread.

Each frame is one addition to a list, as a message of a datagram is (``traffic.py``), at the place
of its first byte. A peer may write anything there, so there is a place for each of 256: a frame of
no known kind costs no more than any other.
"""

from __future__ import annotations

from typing import Final

from gamenet.core.frames import Kind
from gamenet.core.traffic import ONE

LENGTH_BYTES: Final = 4
"""Of the length before each frame."""
ONE_FRAME: Final = ONE + LENGTH_BYTES
"""What a frame adds to a count, beside 1 for each of its bytes."""
UNKNOWN: Final = "unknown"
_NAMES: Final = {int(kind): kind.name.lower() for kind in Kind}


class FrameSums:
    """Frames and bytes of both ways since the beginning, by the first byte of the frame.

    All bytes of the count are all that went by TCP, apart from frames that were not whole.
    """

    __slots__ = ("came", "sent")

    def __init__(self) -> None:
        self.came = [0] * 256
        self.sent = [0] * 256


def by_kind(counts: list[int]) -> list[tuple[str, int, int]]:
    """Name in lower case, frames and bytes of each kind that occurs; ``UNKNOWN`` for all others."""
    found: dict[str, int] = {}
    for kind, count in enumerate(counts):
        if count:
            name = _NAMES.get(kind, UNKNOWN)
            found[name] = found.get(name, 0) + count
    return [(name, count // ONE, count % ONE) for name, count in found.items()]

"""What happened, as a digest.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_PARTS: Final = 4_096


class Trace:
    """A digest of things in their order, such as all that crossed one link.

    Things are many and small, so they are digested many at a time.
    """

    __slots__ = ("_hash", "_parts")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._parts: list[bytes] = []

    def note(self, *parts: bytes) -> None:
        """This happened."""
        self._parts += parts
        if len(self._parts) > MOST_PARTS:
            self._digest()

    def _digest(self) -> None:
        self._hash.update(b"".join(self._parts))
        self._parts.clear()

    def digest(self) -> bytes:
        """Of all that happened so far."""
        self._digest()
        return self._hash.digest()

    @staticmethod
    def of(traces: Iterable[Trace]) -> str:
        """Of several, each of which had an order of its own."""
        return blake2b(b"".join(trace.digest() for trace in traces), digest_size=16).hexdigest()

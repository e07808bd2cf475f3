"""What a game shows on the status page, made only while somebody looks.

Layer 2. ``make`` and ``encoded`` are written by the game thread, ``looked_at`` by the reactor
thread; each reads the other's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LOOKED_SECONDS: Final = 5.0
"""Who has looked within that time is taken to look still."""
EVERY_SECONDS: Final = 1.0
"""A view is made no more often."""
MAX_VIEW_BYTES: Final = 65_536
"""Of a view as JSON."""


class Showing:
    """The view of one game."""

    __slots__ = ("_due", "encoded", "looked_at", "make")

    def __init__(self) -> None:
        self.make: Callable[[], Mapping[str, Any]] | None = None
        """What the game gave to be called for a view."""
        self.encoded: bytes | None = None
        """The newest view as JSON; None while there is none."""
        self.looked_at = float("-inf")
        """When somebody last looked, in monotonic seconds."""
        self._due = float("-inf")

    def show(self, make: Callable[[], Mapping[str, Any]] | None) -> None:
        """Call this for views from now on; None shows nothing any more."""
        self.make = make
        self.encoded = None
        self._due = float("-inf")

    def is_due(self, now: float) -> bool:
        """Whether the game's pass should make a view."""
        return self.make is not None and now < self.looked_at + LOOKED_SECONDS and now >= self._due

    def refresh(self, now: float) -> None:
        """Make a view. What goes wrong is the game's, which is asked no more.

        :raises Exception: whatever the game's function raises.
        :raises TypeError: for what is no dict, or holds what JSON has not.
        :raises ValueError: for more than ``MAX_VIEW_BYTES``.
        """
        make = self.make
        assert make is not None
        self._due = now + EVERY_SECONDS
        self.make = self.encoded = None
        view = make()
        if not isinstance(view, dict):
            raise TypeError(f"a view is a dict that JSON can hold, not {type(view).__name__}")
        found = as_json(view)
        if len(found) > MAX_VIEW_BYTES:
            raise ValueError(f"a view of {len(found)} bytes; JSON of {MAX_VIEW_BYTES} is the most")
        self.make, self.encoded = make, found


def as_json(value: Any) -> bytes:
    """JSON in pure ASCII: nothing that a name holds can break out of a string or upset a terminal.

    :raises TypeError: for what JSON has not.
    """
    try:
        found = msgspec.json.encode(value)
        if found.isascii():
            return found
        return json.dumps(json.loads(found)).encode("ascii")
    except UnicodeEncodeError:
        pass  # half of a surrogate pair, which JSON can spell
    return json.dumps(value, default=_decoded, allow_nan=False).encode("ascii")


def _decoded(value: object) -> Any:
    """What the encoder for pure ASCII does not know and the other one does."""
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    return msgspec.to_builtins(value)

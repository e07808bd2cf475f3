"""World states: only the newest counts, on the way out, on the wire and on the way in.

Layer 1. Runs on: the reactor thread. PROTOCOL section 4, STATE.

A state is never resent: the next one replaces it. The receiver refuses any state older than the
newest it has, so a late datagram cannot turn the world back.
"""

from __future__ import annotations

from gamenet.core.wire import STATE, WHOLE
from gamenet.errors import WireError

_HALF = 1 << 31
_MASK = (1 << 32) - 1


Fields = tuple[int, bytes, int, int, int, int]
"""A state on its way out: number, payload, flag, tick, server ms, input number."""


class StateSender:
    """The server's side: at most one state waits for a player."""

    __slots__ = ("newest", "replaced", "waiting")

    def __init__(self) -> None:
        self.waiting: Fields | None = None
        """The state that the next datagram carries; who sends it sets this to None."""
        self.newest = 0
        """The newest number put in."""
        self.replaced = 0
        """States that a newer one replaced before they were sent."""

    def put(
        self,
        number: int,
        payload: bytes,
        flag: int,
        tick: int,
        server_ms: int,
        input_number: int,
    ) -> None:
        """Make this the state that the next datagram carries.

        :param flag: ``wire.IS_MESSAGE`` for a typed message, else 0.
        """
        if self.waiting is not None:
            self.replaced += 1
        self.newest = number
        self.waiting = (number, payload, flag, tick, server_ms, input_number)

    def take(self) -> tuple[int, bytes] | None:
        """The waiting state as (flag, STATE message), once."""
        if self.waiting is None:
            return None
        number, payload, flag, tick, server_ms, input_number = self.waiting
        self.waiting = None
        header = STATE.pack(number, tick & _MASK, server_ms & _MASK, input_number, WHOLE)
        return flag, header + payload


class StateReceiver:
    """The client's side: lets a state pass if it is newer than every one before."""

    __slots__ = ("_server_ms", "newest", "outdated", "received")

    def __init__(self) -> None:
        self.newest = 0
        self.outdated = 0
        """States that came after a newer one, dropped."""
        self.received = 0
        self._server_ms = 0

    def receive(self, data: bytes) -> tuple[int, int, int, int, bytes] | None:
        """:returns: (number, tick, server ms, input number, payload), or None for an old state.
            The clock goes on counting where the wire's 32 bits of it wrap, every 49.7 days.
        :raises WireError: if it cannot be decoded.
        """
        if len(data) < STATE.size:
            raise WireError("STATE ends early")
        number, tick, server_ms, input_number, encoding = STATE.unpack_from(data)
        if encoding != WHOLE:
            raise WireError(f"STATE in encoding {encoding}")
        if number <= self.newest:
            self.outdated += 1
            return None
        self.newest = number
        self.received += 1
        if not self.received - 1:
            self._server_ms = server_ms
        self._server_ms += ((server_ms - self._server_ms + _HALF) & _MASK) - _HALF
        return number, tick, self._server_ms, input_number, data[STATE.size :]

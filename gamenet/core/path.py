"""The low-latency path of a session: how it is bound, and to which address.

Layer 1. Runs on: the reactor thread. PROTOCOL section 3, Binding.

The server learns a client's address from a datagram that opened under the session's key, and
believes it once a challenge sent there came back from there. Nothing a client *says* about its
address is ever used, so translated addresses work and spoofed ones do not.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final

from gamenet.core.wire import CHALLENGE_BYTES, MAX_BODY_BYTES, PADDING, DatagramKind

if TYPE_CHECKING:
    from collections.abc import Callable

Address = tuple[str, int] | tuple[str, int, int, int]
"""Host and port, and for IPv6 also flow and scope, as the socket gave it."""

BIND_SECONDS: Final = (0.0, 0.25, 0.5, 1.0, 2.0)
"""When a client tries, counted from the join; afterwards the pause doubles."""
CHALLENGES_PER_SECOND: Final = 3


class ServerPath:
    """The server's side: no address until a challenge proves one."""

    __slots__ = ("_candidate", "_challenge", "_challenged", "_random_bytes", "address")

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._random_bytes = random_bytes
        self.address: Address | None = None
        """Where datagrams go; None until one is validated."""
        self._candidate: Address | None = None
        self._challenge = b""
        self._challenged: list[float] = []

    def bind(self, body: bytes, address: Address, now: float) -> tuple[int, bytes] | None:
        """An authentic BIND came.

        :returns: the (kind, body) to answer that address with, or None to stay silent.
        """
        if len(body) != MAX_BODY_BYTES:
            return None
        if address == self.address:
            return DatagramKind.BOUND, b""
        self._challenged = [when for when in self._challenged if now - when < 1.0]
        if len(self._challenged) >= CHALLENGES_PER_SECOND:
            return None
        self._challenged.append(now)
        if address != self._candidate:
            self._candidate = address
            self._challenge = self._random_bytes(CHALLENGE_BYTES)
        return DatagramKind.CHALLENGE, self._challenge + PADDING[CHALLENGE_BYTES:]

    def respond(self, body: bytes, address: Address) -> bool:
        """An authentic RESPONSE came; True if it proves its address, which is then in use."""
        if address == self.address and self._candidate is None:
            return True
        if address != self._candidate or not hmac.compare_digest(body, self._challenge):
            return False
        self.address = address
        self._candidate = None
        self._challenge = b""
        return True


class ClientPath:
    """The client's side: tries until the server's answer shows that datagrams pass both ways.

    :param address: the host that TCP reached and the UDP port that ACCEPT named.
    :param longest_pause_seconds: between two attempts.
    """

    __slots__ = ("_attempts", "_longest", "_next", "_started", "address", "bound")

    def __init__(self, address: Address, longest_pause_seconds: float) -> None:
        self.address = address
        self.bound = False
        self._attempts = 0
        self._longest = longest_pause_seconds
        self._started: float | None = None
        self._next = 0.0

    def attempt_due(self, now: float) -> bool:
        """True if a BIND should leave now; the next is scheduled by it."""
        if self.bound:
            return False
        if self._started is None:
            self._started = self._next = now
        if now < self._next:
            return False
        self._attempts += 1
        if self._attempts < len(BIND_SECONDS):
            self._next = self._started + BIND_SECONDS[self._attempts]
        else:
            pause = BIND_SECONDS[-1] * 2 ** min(self._attempts - len(BIND_SECONDS), 10)
            self._next = now + min(pause, self._longest)
        return True

    @property
    def next_attempt(self) -> float:
        """When the next BIND is due."""
        return self._next

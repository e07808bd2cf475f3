"""The low-latency path of a session: how it is bound, and to which address.

Layer 1. Runs on: the reactor thread. PROTOCOL section 3, Binding.

The server learns a client's address from a datagram that opened under the session's key, and
believes it once a challenge sent there came back from there. Nothing a client *says* about its
address is ever used, so translated addresses work and spoofed ones do not.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Final, Literal

from gamenet.core.wire import CHALLENGE_BYTES, MAX_BODY_BYTES, PADDING, DatagramKind

if TYPE_CHECKING:
    from collections.abc import Callable

Address = tuple[str, int] | tuple[str, int, int, int]
"""Host and port, and for IPv6 also flow and scope, as the socket gave it."""

BIND_SECONDS: Final[tuple[float, ...]] = (0.0, 0.25, 0.5, 1.0, 2.0)
"""When a client tries, counted from the join; afterwards the pause doubles."""


Rebind = Literal["any", "same-ip", "off"]


class ServerPath:
    """The server's side: no address until a challenge proves one, and no other one either.

    :param rebind: which other address a bound path may move to.
    :param challenges_per_second: for the whole session, however many addresses appear.
    :param switches_per_minute: moves to another address.
    :param home: the host that the player's TCP connection came from. Moves to it are not limited,
        or somebody who races the player for its path could use up all moves and keep it.
    """

    __slots__ = (
        "_challenge",
        "_challenged",
        "_challenges_per_second",
        "_home",
        "_proof",
        "_random_bytes",
        "_rebind",
        "_switched",
        "_switches_per_minute",
        "address",
        "candidate",
    )

    def __init__(
        self,
        random_bytes: Callable[[int], bytes],
        rebind: Rebind = "any",
        challenges_per_second: int = 3,
        switches_per_minute: int = 10,
        home: str = "",
    ) -> None:
        self._random_bytes = random_bytes
        self._rebind = rebind
        self._challenges_per_second = challenges_per_second
        self._switches_per_minute = switches_per_minute
        self._home = home
        self.address: Address | None = None
        """Where datagrams go; None until one is validated."""
        self.candidate: Address | None = None
        """An address that a challenge is to prove."""
        self._challenge = b""
        self._proof = b""
        """The answer that proved the address in use."""
        self._challenged: list[float] = []
        self._switched: list[float] = []

    def bind(
        self, body: bytes, address: Address, newest: bool, now: float
    ) -> tuple[int, bytes] | None:
        """An authentic BIND came.

        :param newest: it has the highest number so far.
        :returns: the (kind, body) to answer that address with, or None to stay silent.
        """
        if len(body) != MAX_BODY_BYTES:
            return None
        if address == self.address:
            return DatagramKind.BOUND, b""
        challenge = self._challenged_at(address, newest, now)
        if not challenge:
            return None
        # As long as what was asked with: the exchange shows that such datagrams pass both ways.
        return DatagramKind.CHALLENGE, challenge + PADDING[CHALLENGE_BYTES:]

    def heard(self, address: Address, now: float) -> tuple[int, bytes] | None:
        """The newest authentic datagram so far came from *address*.

        :returns: the (kind, body) to challenge that address with, or None.
        """
        if self.address is None:
            return None
        if address == self.address:
            # The old address is alive and newer than whoever tried to be it.
            self.candidate = None
            return None
        challenge = self._challenged_at(address, True, now)
        # Unpadded: this datagram may be short, and its sender's address is not proved.
        return (DatagramKind.CHALLENGE, challenge) if challenge else None

    def _challenged_at(self, address: Address, newest: bool, now: float) -> bytes:
        """What to challenge an address with; b"" if it is not to be."""
        if self.address is not None and not (newest and self._may_move(address, now)):
            return b""
        self._challenged = [when for when in self._challenged if now - when < 1.0]
        if len(self._challenged) >= self._challenges_per_second:
            return b""
        self._challenged.append(now)
        if address != self.candidate:
            self.candidate = address
            self._challenge = self._random_bytes(CHALLENGE_BYTES)
        return self._challenge

    def _may_move(self, address: Address, now: float) -> bool:
        assert self.address is not None
        if self._rebind == "off" or (self._rebind == "same-ip" and address[0] != self.address[0]):
            return False
        if address[0] == self._home:
            return True
        self._switched = [when for when in self._switched if now - when < 60.0]
        return len(self._switched) < self._switches_per_minute

    def respond(self, body: bytes, address: Address, now: float) -> bool:
        """An authentic RESPONSE came; True if it proves its address, which is then in use."""
        if address == self.address and hmac.compare_digest(body, self._proof):
            return True
        if address != self.candidate or not hmac.compare_digest(body, self._challenge):
            return False
        if self.address is not None and address[0] != self._home:
            self._switched.append(now)
        self.address = address
        self.candidate = None
        self._proof, self._challenge = self._challenge, b""
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

    def restart(self) -> None:
        """Datagrams do not pass any more: try again from the beginning."""
        self.bound = False
        self._attempts = 0
        self._started = None
        self._next = 0.0

    @property
    def next_attempt(self) -> float:
        """When the next BIND is due."""
        return self._next

"""What the examination finds out, before anybody says what it means.

Layer 4. Runs on: any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from gamenet.addresses import join_address

Outcome = Literal["connected", "refused", "timed out", "unreachable", "failed"]
Answer = Literal["http", "ssh", "tls", "other", "closed", "silent", "nobody"]
"""What something at a TCP port says to a stranger who asks in HTTP."""


class Found(NamedTuple):
    """What a name stands for."""

    places: tuple[tuple[int, Any], ...]
    """Family and socket address of each, in the order in which they are tried."""
    problem: Literal["", "unknown", "no answer", "failed"] = ""
    words: str = ""
    """The system's own, of the problem."""


class Attempt(NamedTuple):
    """A TCP connection to one address."""

    host: str
    port: int
    outcome: Outcome
    seconds: float = 0.0
    words: str = ""

    def __str__(self) -> str:
        return join_address(self.host, self.port)

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is of IPv6."""
        return ":" in self.host


class Shown(NamedTuple):
    """How a TLS handshake went."""

    problem: str = ""
    """A sentence; "" when the server proved what it had to."""
    fingerprint: str = ""
    version: str = ""
    expires: str = ""
    """The last day, such as 2027-01-31."""
    days_left: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Datagrams:
    """What became of datagrams of ours, as the server acknowledged them inside TCP or by UDP."""

    sent: dict[int, int] = field(default_factory=dict)
    """How many of each size left."""
    arrived: dict[int, int] = field(default_factory=dict)
    """How many of each size the server had."""
    answers: list[int] = field(default_factory=list)
    """Sizes of what came back."""
    error: str = ""
    """What the system or a router said: "refused", "forbidden", "unreachable" or "too long"."""
    dont_fragment: bool = False
    """They were sent whole or not at all."""
    kernel_mtu: int = 0
    """What this system takes for the path's, IP header included; 0 where it does not say."""

    @property
    def largest(self) -> int:
        """The size of the largest that arrived; 0 for none."""
        return max((size for size, count in self.arrived.items() if count), default=0)


class Measured(NamedTuple):
    """A path over some seconds."""

    path: Literal["udp", "tcp"]
    seconds: float
    round_trips: tuple[float, ...]
    """In seconds, without what the server waited."""
    jitter: float
    up_lost: int
    up_sent: int
    down_lost: int
    down_sent: int
    clock_offset: float
    clock_uncertainty: float
    changed: str = ""
    """What befell the path meanwhile."""

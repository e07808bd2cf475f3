"""What a session is made of.

Layer 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from gamenet.core.keyring import Keyring
from gamenet.core.seat import Seat
from gamenet.core.turn import Turn
from gamenet.events import Player
from gamenet.messages import Codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a session takes from the configuration and from ACCEPT."""

    window_messages: int
    """Reliable messages on their way that the receiving game has not taken, each way."""
    window_bytes: int
    unreliable_messages: int
    ping_seconds: float
    dead_seconds: float
    udp_bind_seconds: float = 5.0
    """Datagrams that do not pass so long after the join are called blocked."""
    udp_owed_seconds: float = 3.0
    """Silence on UDP, with an ack owed to us, after which it is down."""
    udp_idle_seconds: float = 15.0
    """Silence on UDP after which it is down in any case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What every session is made of."""

    player: Player
    """Whom the session is for."""
    author: Player
    """Whom its messages are from, as the game sees it."""
    seat: Seat
    """Where the sending thread keeps count of what it gave us."""
    session_id: bytes
    cid: int
    """Connection id, the routing key of its datagrams."""
    keys: Keyring
    limits: Limits
    codec: Codec
    turn: Turn
    now: float
    """Monotonic seconds."""

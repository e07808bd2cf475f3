"""The vocabulary that crosses from the network to the game.

Layer 0. Made on: the reactor thread. Read on: the game thread.

Every event has ``player``: whom it is from, else whom it is about. Match them by position::

    match event:
        case gamenet.Joined(player):
            ...
        case gamenet.Chat(player, text):
            ...

Frequent events are unfrozen msgspec structs without garbage-collector tracking, because one is
made for each message; rare ones are frozen dataclasses. Treat all of them as read-only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, TypeAlias

import msgspec

from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.messages import Payload
from gamenet.samples import Sample, TypeRate, unpacked


@dataclass(frozen=True, eq=False, slots=True)
class Player:
    """Who somebody is: one object per player for its life, compared by identity."""

    __match_args__: ClassVar[tuple[str, ...]] = ("id", "name", "account")

    id: int
    """From 1, never reused by a server; 0 is the server itself."""
    name: str
    """As typed; unique on the server without regard to case."""
    account: str
    """The identity that credentials proved, "" for a guest."""
    home: object = field(default=None, repr=False)
    """Marks the server that issued this player; of no use to games."""

    def __str__(self) -> str:
        return self.name


SERVER = Player(0, "", "")
"""The author of messages that no player wrote."""


@dataclass(frozen=True, slots=True)
class Joined:
    """A player is in. Servers only."""

    player: Player
    address: str
    """Host and port as text, for logs and bans."""
    secure: bool
    """True when the join came over TLS."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The client is in; ``player`` is oneself. Clients only."""

    player: Player
    secure: bool


@dataclass(frozen=True, slots=True)
class Left:
    """A player is gone. Comes exactly once for each ``Joined``. Servers only."""

    player: Player
    reason: DisconnectReason
    text: str = ""
    unacknowledged: tuple[Payload, ...] = ()
    """The first 1,024 payloads sent to the player that its game never took."""
    unacknowledged_count: int = 0
    """How many reliable messages its game never took, chat included."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The session is over; nothing comes after it, unless ``rejoining``. Clients only."""

    player: Player
    reason: DisconnectReason
    text: str = ""
    refusal: RefusalReason | None = None
    """Why the server said no: when ``reason`` is ``REFUSED``, or to a session that is to go on."""
    unacknowledged: tuple[Payload, ...] = ()
    """The first 1,024 payloads that the server's game never took, up to those that were sent just
    before this event was taken."""
    unacknowledged_count: int = 0
    """How many reliable messages its game never took, chat included."""
    rejoining: bool = False
    """With ``rejoin=True``: the client joins anew by itself, so this is not the last event yet."""

    __match_args__: ClassVar[tuple[str, ...]] = (
        "reason",
        "text",
        "refusal",
        "unacknowledged",
        "unacknowledged_count",
    )


@dataclass(frozen=True, slots=True)
class Suspended:
    """The reliable connection is lost, and the session goes on: nothing is lost, all waits.

    ``Resumed`` follows, or in the end ``Left`` or ``Disconnected``. Low-latency traffic goes on
    meanwhile where datagrams still pass.
    """

    player: Player
    """Whose; on a client oneself."""
    reason: DisconnectReason
    """``SESSION_LOST``: the connection broke. ``TIMEOUT``: it went silent."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """The reliable connection is back; what was sent meanwhile follows, in order, once."""

    player: Player
    away_seconds: float
    """Since ``Suspended``."""


@dataclass(frozen=True, slots=True)
class Writable:
    """A queue that was full has room again; comes once after ``QueueFull``."""

    player: Player


@dataclass(frozen=True, slots=True)
class PathChanged:
    """Low-latency traffic now takes this path."""

    player: Player
    path: Literal["udp", "tcp"]
    reason: Literal["bound", "blocked", "silent", "moved", "back"]


@dataclass(frozen=True, slots=True)
class Posted:
    """A value that some thread handed over with ``post``."""

    value: object

    @property
    def player(self) -> Player:
        """Nobody's: the server's own."""
        return SERVER


class Input(msgspec.Struct, gc=False, eq=False):
    """The buttons of one tick of one player: each number once, in order. Servers only."""

    player: Player
    number: int
    """From 1; the sender's tick."""
    buttons: int
    """The bits that were held."""
    missing: int
    """How many numbers just before this one were given up."""
    seen: int
    """The newest state number that the sender's game had taken."""
    tick: int = 0
    """The server's tick that it was meant for; ``ticks()`` holds it until then, unless it came too
    late. 0 if its sender did not know the tick yet."""


class Received(msgspec.Struct, gc=False, eq=False):
    """A reliable message, in order."""

    player: Player
    payload: Payload
    channel: int


class Unreliable(msgspec.Struct, gc=False, eq=False):
    """A message that could have been lost, and may have overtaken another."""

    player: Player
    payload: Payload


class Chat(msgspec.Struct, gc=False, eq=False):
    """A line of text. The server fills in the author; control characters are removed."""

    player: Player
    text: str
    private: bool


class State(msgspec.Struct, gc=False, eq=False):
    """A world state as the client takes it: only ever the newest."""

    number: int
    """Rises with each state sent to this player; gaps are states that newer ones replaced."""
    payload: Payload
    tick: int
    """The server's tick when it was made."""
    server_time: float
    """The server's game clock when it was made, in seconds."""
    input_number: int
    """The newest of one's own inputs that the game had taken by then; 0 for none."""


class Tick(msgspec.Struct, eq=False):
    """One step of a game loop."""

    number: int
    time: float
    """The game clock in seconds: ``number * dt``."""
    dt: float
    """Length of a step in seconds: always ``1 / hz``."""
    events: Sequence[Event]
    """All that arrived since the last tick, in order."""
    late_seconds: float
    """How long after its time this tick began."""
    skipped: int
    """Ticks given up just before this one because the game could not keep up."""


@dataclass(frozen=True, slots=True)
class Quality:
    """How the path to one peer is doing; ``docs/QUALITY.rst`` says how each figure is measured.

    Losses are smoothed over about ten seconds; rates are those of the last whole second.
    """

    path: Literal["udp", "tcp"]
    label: Literal["excellent", "good", "fair", "poor", "bad", "unknown"]
    rtt_seconds: float
    rtt_min_seconds: float
    jitter_seconds: float
    loss_in: float
    """Share of the peer's datagrams that never came, 0 to 1."""
    loss_out: float
    """Share of our datagrams that the peer did not acknowledge, 0 to 1."""
    bytes_in: int
    bytes_out: int
    datagrams_in: int
    datagrams_out: int
    queued_messages: int
    """Reliable messages that the peer's game has not taken."""
    queued_bytes: int
    rtt_latest_seconds: float = 0.0
    """The newest measurement of the network's round trip, not smoothed."""
    end_to_end_seconds: float = 0.0
    """From this game to the other and back, with all waits for ticks; smoothed. 0 while unknown."""
    bytes_per_second_in: float = 0.0
    bytes_per_second_out: float = 0.0
    datagrams_per_second_in: float = 0.0
    datagrams_per_second_out: float = 0.0
    types_in: Mapping[str, TypeRate] = field(default_factory=dict, hash=False)
    """What came in datagrams, by type of message: ``"input"``, ``"state"`` and others. Types of
    which nothing came are not there."""
    types_out: Mapping[str, TypeRate] = field(default_factory=dict, hash=False)
    """The same of what was sent."""
    queued_unreliable: int = 0
    """Unreliable messages that wait to leave."""
    queued_state_bytes: int = 0
    """Bytes of a state that wait to leave. Servers only."""
    send_bytes_per_second: float = 0.0
    """What the send budget lets out to this player in the long run. Servers only."""
    input_lead_seconds: float = 0.0
    """On a client, how long its inputs may take to the server. On a server, how long before its
    tick the hastiest of the latest inputs came; below 0 it came too late."""
    inputs_late: int = 0
    """Inputs that the server had when their tick had begun, since the join."""
    inputs_early: int = 0
    """Inputs that the server had far before their tick."""
    inputs_missing: int = 0
    """Inputs that the server never had."""
    clock_offset_seconds: float = 0.0
    """The server's game clock less this machine's monotonic clock. 0 on a server, which has that
    clock, and while it is not known."""
    clock_uncertainty_seconds: float = 0.0
    """How far that may be off; infinite while it is not known, and 0 on a server."""
    packed_samples: bytes = field(default=b"", repr=False)
    """What ``samples`` makes readable."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The last 30 s in tenths of a second, the newest last; made anew by each reading."""
        return unpacked(self.packed_samples)


NO_QUALITY = Quality("tcp", "unknown", *(0.0,) * 5, *(0,) * 6)
"""Of a player who is gone."""

Event: TypeAlias = (
    Joined
    | Connected
    | Left
    | Disconnected
    | Suspended
    | Resumed
    | Writable
    | PathChanged
    | Posted
    | Input
    | Received
    | Unreliable
    | Chat
)
"""Everything that ``ticks()`` and ``events()`` can yield."""

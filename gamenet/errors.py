"""Everything that can be refused, ended or raised, with a sentence for each.

Layer 0. Runs on: any thread.

Exceptions are for callers: a mistake raises at the call that made it. What a *peer* does never
raises in the game; it becomes a :class:`DisconnectReason` or a :class:`RefusalReason`, which are
data. ``docs/ERRORS.rst`` maps every failure to one of three severities.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class DisconnectReason(IntEnum):
    """Why a session ended; the value is also the byte that a ``BYE`` frame carries.

    1-127 are orderly ends, 128-255 are failures.
    """

    QUIT = 1
    """The player left on purpose."""
    STOPPED = 2
    """The server is shutting down."""
    KICKED = 3
    """The game called ``disconnect``."""
    REPLACED = 4
    """The same account joined again and took over."""
    DRAINED = 5
    """The server is being emptied for maintenance."""
    TIMEOUT = 128
    """Nothing was heard from the peer for the dead-peer time."""
    SESSION_LOST = 129
    """The connection broke and the session could not be continued."""
    SLOW_CONSUMER = 130
    """The peer did not take its reliable messages in time."""
    RATE = 131
    """The peer sent far more than its limits allow."""
    BAD_DATA = 132
    """The peer broke the protocol."""
    GAME_ERROR = 133
    """The game on the server raised an exception."""
    REFUSED = 134
    """The server refused the join; see ``refusal``."""
    UNREACHABLE = 135
    """No server answered at the address."""
    INTERNAL = 136
    """A defect in gamenet itself; the log has the traceback."""

    @property
    def orderly(self) -> bool:
        """True when somebody chose this end, False when something failed."""
        return self < 128


class RefusalReason(IntEnum):
    """Why a server said no to a join; the value is the code of a ``REFUSE`` frame."""

    VERSION = 1
    """The two sides speak different versions of the protocol."""
    GAME = 2
    """The server runs another game: ``game_name`` differs."""
    SCHEMA = 3
    """The declared messages differ."""
    CREDENTIALS = 4
    """The name is unknown, or the secret is wrong."""
    NAME = 5
    """The name is none that a player can have."""
    FULL = 6
    """``max_players`` or ``max_players_per_address`` are in."""
    BUSY = 7
    """Too many log in at once, or this one must wait."""
    DUPLICATE = 8
    """Somebody of that name is in."""
    BANNED = 9
    """The account or the address is banned."""
    INSECURE = 10
    """One side wants TLS and the other does not, or a secret would go without it."""
    NO_SESSION = 11
    """The session that was to go on is over."""
    INTERNAL = 12
    """A defect; the server's log has the traceback."""
    TICKET_INVALID = 13
    """The ticket is not signed by whom the server trusts."""
    TICKET_EXPIRED = 14
    """The ticket has ended."""
    TICKET_EARLY = 15
    """The ticket has not begun; clocks differ."""
    TICKET_AUDIENCE = 16
    """The ticket is for another server."""
    TICKET_USED = 17
    """Somebody has joined with that ticket."""
    DRAINING = 18
    """The server is being emptied."""


REFUSAL_TEXTS: Final[dict[RefusalReason, str]] = {
    RefusalReason.VERSION: "This game speaks another version of the network protocol than the "
    "server. Update the older of the two.",
    RefusalReason.GAME: "That server runs a different game.",
    RefusalReason.SCHEMA: "Your copy of the game does not match the server's. "
    "Update the older one.",
    RefusalReason.CREDENTIALS: "The server does not know that name, or the secret is wrong.",
    RefusalReason.NAME: "Names have 1 to 32 letters, digits, dots, dashes or underscores. "
    "Choose another.",
    RefusalReason.FULL: "The server is full. Try again later.",
    RefusalReason.BUSY: "The server is busy. Try again in a moment.",
    RefusalReason.DUPLICATE: "Somebody with that name is already playing.",
    RefusalReason.BANNED: "You are banned from this server.",
    RefusalReason.INSECURE: "The server and your game do not agree about encryption: without it "
    "both sides must say insecure=True, and passwords and tickets are not accepted.",
    RefusalReason.NO_SESSION: "Your earlier session has ended. Join again.",
    RefusalReason.INTERNAL: "The server made a mistake while you joined. Its operator can read why "
    "in its log.",
    RefusalReason.TICKET_INVALID: "Your ticket is damaged, or somebody else than this server "
    "trusts signed it. Get a new one.",
    RefusalReason.TICKET_EXPIRED: "Your ticket has expired. Get a new one and join at once.",
    RefusalReason.TICKET_EARLY: "Your ticket is not valid yet. The clock of this server or of "
    "whoever issued the ticket is wrong.",
    RefusalReason.TICKET_AUDIENCE: "Your ticket is for another server.",
    RefusalReason.TICKET_USED: "Your ticket has been used already. Get a new one.",
    RefusalReason.DRAINING: "The server is about to stop for maintenance and lets nobody in. "
    "Come back in a few minutes.",
}
"""What a player reads for each refusal. The wire carries only the code."""

DISCONNECT_TEXTS: Final[dict[DisconnectReason, str]] = {
    DisconnectReason.QUIT: "left the game",
    DisconnectReason.STOPPED: "the server is shutting down",
    DisconnectReason.KICKED: "removed by the game",
    DisconnectReason.REPLACED: "joined again from somewhere else",
    DisconnectReason.DRAINED: "the server is being emptied",
    DisconnectReason.TIMEOUT: "the connection went silent",
    DisconnectReason.SESSION_LOST: "the connection broke",
    DisconnectReason.SLOW_CONSUMER: "messages were not taken in time",
    DisconnectReason.RATE: "too many messages",
    DisconnectReason.BAD_DATA: "the other side broke the protocol",
    DisconnectReason.GAME_ERROR: "the game on the server failed",
    DisconnectReason.REFUSED: "the server refused",
    DisconnectReason.UNREACHABLE: "no server answered",
    DisconnectReason.INTERNAL: "a defect in gamenet",
}
"""A phrase for each end, used where the peer sent no text of its own."""


class GamenetError(Exception):
    """Base of every exception that gamenet raises."""


class ConfigError(GamenetError, ValueError):
    """A setting is wrong. ``field`` names it, the text says what would be right."""

    def __init__(self, field: str, text: str) -> None:
        super().__init__(f"{field}: {text}" if field else text)
        self.field = field


class LocalProtocolError(GamenetError):
    """The caller broke a rule; the text says which, and what to do instead."""


class MessageTooLarge(LocalProtocolError, ValueError):
    """The payload does not fit the channel it was given to."""


class QueueFull(LocalProtocolError):
    """The peer takes messages more slowly than they are sent; wait for ``Writable``."""


class NotJoined(LocalProtocolError):
    """The client has not joined a server yet."""


class UnknownPlayer(LocalProtocolError):
    """The object is not a player that this server ever issued."""


class BridgeClosed(LocalProtocolError):
    """The server or client has been stopped; start it again to go on."""


class RemoteProtocolError(GamenetError):
    """The peer broke a rule. Never leaves the reactor thread: the session ends with ``reason``."""

    def __init__(self, text: str, reason: DisconnectReason = DisconnectReason.BAD_DATA) -> None:
        super().__init__(text)
        self.reason = reason


class WireError(RemoteProtocolError):
    """Bytes from the network that cannot be decoded. The only exception a decoder raises."""


class ListenFailed(GamenetError, OSError):
    """A port could not be opened, with the address and the reason in one line.

    ``errno`` is the system's number of the reason, or None if it has none.
    """


class JoinRefused(GamenetError):
    """The server answered and said no.

    ``reason`` is a :class:`RefusalReason`, ``text`` a sentence a player can read, and
    ``retry_after_seconds`` is greater than zero when trying again makes sense.
    """

    def __init__(self, reason: RefusalReason, text: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text
        self.retry_after_seconds = retry_after_seconds


class ConnectionFailed(GamenetError, ConnectionError):
    """No session came about: nobody answers at the address, or the connection broke."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

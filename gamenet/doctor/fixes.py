"""Causes and cures of what keeps players out, a sentence each.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import Final

from gamenet.errors import DisconnectReason, RefusalReason

REFUSAL_FIXES: Final[dict[RefusalReason, str]] = {
    RefusalReason.VERSION: "one side is older than the other: install the gamenet here that the "
    "server has",
    RefusalReason.GAME: "the address belongs to another game: ask its operator for the right one",
    RefusalReason.SCHEMA: "both sides are of different versions of the game: update the older one",
    RefusalReason.CREDENTIALS: "the name or the secret is wrong, or this server wants one: give "
    "--user with --password-file or --ticket-file, as its operator told you",
    RefusalReason.NAME: "the server does not allow this name: give another one with --user",
    RefusalReason.FULL: "all places are taken, or as many as one address may have: try again "
    "later, or have its operator raise max_players or max_players_per_address",
    RefusalReason.BUSY: "the server lets nobody in at the moment, or too many logins have failed: "
    "try again after the pause that it asks for, or in a moment",
    RefusalReason.DRAINING: "its operator is emptying the server for maintenance: come back after "
    "the pause that it asks for",
    RefusalReason.DUPLICATE: "somebody plays under this name, maybe yourself in another window: "
    "leave there, or give another name with --user",
    RefusalReason.BANNED: "the server's operator or its game keeps this account or address out: "
    "ask them, for nothing is wrong with the network",
    RefusalReason.INSECURE: "only one side was told to do without encryption: leave --insecure "
    "out, or have the server run with it",
    RefusalReason.NO_SESSION: "an earlier session has ended: try again",
    RefusalReason.INTERNAL: "the server failed: its operator finds the reason in its log",
    RefusalReason.TICKET_INVALID: "the ticket is damaged or was signed with another key: get a "
    "new one, and have the operator compare the keys",
    RefusalReason.TICKET_EXPIRED: "the ticket is too old: get a new one and use it at once",
    RefusalReason.TICKET_EARLY: "the clock of the server or of whoever signed the ticket is "
    "wrong: have the operator set both",
    RefusalReason.TICKET_AUDIENCE: "the ticket was made for another server: get one for this "
    "server, whose operator knows its audience",
    RefusalReason.TICKET_USED: "each ticket is good for one join: get a new one",
}
"""What to do about each refusal."""

_IN_A_WHILE: Final = (
    "its operator stops or restarts it: try again in a few minutes, and ask them if it stays away"
)
_FAILED: Final = "its game or the server failed: tell its operator, who finds the reason in its log"
_TOO_MUCH: Final = (
    "the server takes this program for one that breaks its rules: compare the versions of gamenet "
    "on both sides, and ask its operator"
)
END_FIXES: Final[dict[DisconnectReason, str]] = {
    DisconnectReason.STOPPED: _IN_A_WHILE,
    DisconnectReason.DRAINED: _IN_A_WHILE,
    DisconnectReason.KICKED: "its game or its operator put the player out, maybe for pressing "
    "nothing: ask the operator, for nothing is wrong with the network",
    DisconnectReason.REPLACED: "somebody has joined under the same name, maybe yourself in another "
    "window: leave there, or give another name with --user",
    DisconnectReason.GAME_ERROR: _FAILED,
    DisconnectReason.INTERNAL: _FAILED,
    DisconnectReason.RATE: _TOO_MUCH,
    DisconnectReason.BAD_DATA: _TOO_MUCH,
    DisconnectReason.SLOW_CONSUMER: "this machine or its line takes too slowly what the server "
    "sends: end what else uses them, and try again",
}
"""What to do about each end that the server tells of. All others are for the doctor to look at."""

SAYS_NOTHING: Final = "the server says nothing"

ANSWERS: Final = {
    "http": "a web server answers at TCP port {port}, not a game server: use the port of the "
    "game, which the line 'ready: address=' of the server's log has",
    "ssh": "an SSH server answers at TCP port {port}, not a game server: use the port of the "
    "game, which the line 'ready: address=' of the server's log has",
    "tls": "the server has TLS and nothing else: leave --insecure out, and use the address with "
    "its fingerprint, which its operator has",
    "other": "something else than a game server answers at TCP port {port}: use the port of the "
    "game, which the line 'ready: address=' of the server's log has",
    "nobody": "the server went away a moment ago: try again in a minute, and if it stays away ask "
    "its operator, who finds the reason in its log",
    "silent": "something holds TCP port {port} open and says nothing, so it is no game server or "
    "one that hangs: have its operator look at it, and compare the port with its log",
}
"""What to do about a stranger at the port, by what it says."""

TLS_PROBLEMS: Final = (
    (
        "is not the pinned one",
        "the server's certificate is not the pinned one",
        "the operator has made a new certificate or somebody else answers in the server's place: "
        "get the address anew from the operator, and do not join by this one until then",
    ),
    (
        "does not answer in TLS",
        "the server does not answer in TLS",
        "the server runs without TLS or is no game server: if its operator says that it has none, "
        "say --insecure",
    ),
    (
        "hung up",
        "the server hung up before TLS began",
        "the server runs without TLS or has too many newcomers: if its operator says that it has "
        "none, say --insecure, else try again in a moment",
    ),
    (
        "does not speak TLS 1.3",
        "the server does not speak TLS 1.3",
        "the server is too old, and nothing older will do: its operator must update it",
    ),
    (
        "is not for ",
        "the certificate is not for this name",
        "the address has another name than the certificate: use the name that it was made for, or "
        "the address with a fingerprint that the operator has",
    ),
    (
        "expired on",
        "the certificate has expired",
        "the operator must renew the certificate, unless this machine's clock is wrong",
    ),
    (
        "is not valid before",
        "the certificate is not valid yet",
        "a clock is wrong: set that of this machine, or have the operator set the server's",
    ),
    (
        "nobody but the server itself vouches",
        "nobody but the server itself vouches for its certificate",
        "it is a certificate of the server's own making: get the address with its fingerprint "
        "from the operator, who has it from 'gamenet cert'",
    ),
    (
        "does not know the authority",
        "this machine does not know the authority that vouches for the certificate",
        "it is an authority of the operator's own: give its file with --ca, or use the address "
        "with a fingerprint",
    ),
    (
        "too weak",
        "the certificate is too weak",
        "nobody should trust it: the operator must make a new one, such as with 'gamenet cert'",
    ),
    (
        "cannot be trusted",
        "the certificate cannot be trusted",
        "something in it is wrong: the operator must make a new one, such as with 'gamenet cert'",
    ),
    (
        "cannot be read",
        "the certificate cannot be read",
        "something in it is wrong: the operator must make a new one, such as with 'gamenet cert'",
    ),
    (
        "no server answers",
        "the server does not answer any more",
        "it went away a moment ago: try again, and ask the operator whether it was restarted",
    ),
    (
        SAYS_NOTHING,
        "the server accepts the connection and says nothing",
        "it hangs or is no game server: have its operator look at it",
    ),
)
"""Words of a sentence of ``gamenet.tls_problems`` or of ours, what a line has room for, and what to
do."""


def remedy(reason: DisconnectReason, refusal: RefusalReason | None, doctor: str) -> str:
    """What the player can do about an end; "" about one of their own making.

    :param doctor: what to say where only a look at the way to the server helps.
    """
    if refusal is not None:
        return f"fix: {REFUSAL_FIXES[refusal]}"
    if reason is DisconnectReason.QUIT:
        return ""
    return f"fix: {END_FIXES[reason]}" if reason in END_FIXES else doctor


def tls_words(problem: str) -> tuple[str, str]:
    """A TLS problem in short, and what to do about it."""
    for words, text, fix in TLS_PROBLEMS:
        if words in problem:
            return text, fix
    return problem, (
        "something on the way breaks encryption: try from another network, and ask the operator"
    )

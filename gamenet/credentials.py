"""What a joining player shows, and what a portal gives for it.

Layer 3. Runs on: the reactor thread. The shapes are ``twisted.cred``'s, so any portal of a Twisted
application can decide who plays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from twisted.cred.credentials import ICredentials
from twisted.cred.error import UnauthorizedLogin
from zope.interface import Attribute, Interface, implementer

from gamenet.core import frames
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.config import ClientConfig
    from gamenet.errors import RefusalReason


class IClaimedName(ICredentials):
    """A name that a player claims and does not prove."""

    name = Attribute("the name, 1-32 of [A-Za-z0-9_.-], as typed")


class ITicket(ICredentials):
    """A ticket that somebody whom the server trusts signed for one player and one join.

    A ticket is pending until the player has shown that the answer to its join arrived, then it is
    used up. The checker puts into ``settle`` what must be called to tell it which of both.
    """

    data = Attribute("the ticket's bytes, as the client sent them")
    name = Attribute("the name that the ticket vouches for, filled in by the checker, or ''")
    settle = Attribute("called once with True if the join came about, else with False")


class IPlayerAvatar(Interface):
    """What a portal's realm must give for a login to gamenet."""

    account = Attribute("the identity that the credentials proved, or '' for a guest")


@implementer(IClaimedName)
class ClaimedName:
    """The credentials of a player who only said a name."""

    def __init__(self, name: str) -> None:
        self.name = name


@implementer(IPlayerAvatar)
class PlayerAvatar:
    """The plainest avatar: an account and nothing else."""

    def __init__(self, account: str) -> None:
        self.account = account


@implementer(ITicket)
class Ticket:
    """The credentials of a player who brought a ticket."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.name = ""
        self.settle: Callable[[bool], None] = _nothing

    def __repr__(self) -> str:
        # Whoever reads a ticket before it is used can join with it.
        return f"<Ticket of {len(self.data)} bytes>"


def _nothing(used: bool) -> None:
    """No checker waits to hear what became of the ticket."""


class LoginRefused(UnauthorizedLogin):
    """A checker's no that says more than "wrong name or secret".

    :param retry_after_seconds: when trying again makes sense; 0 for never.
    """

    def __init__(self, refusal: RefusalReason, retry_after_seconds: int = 0) -> None:
        super().__init__(refusal.name)
        self.refusal = refusal
        self.retry_after_seconds = retry_after_seconds


class Secret(NamedTuple):
    """What proves who a client is."""

    mechanism: int = frames.ANONYMOUS
    data: bytes = b""

    def __repr__(self) -> str:
        return "<Secret>"


def make_secret(
    config: ClientConfig, user: str, password: str | None, ticket: bytes | None
) -> Secret:
    """The proof for HELLO.

    :raises ConfigError: if it cannot be sent, or must not be.
    """
    if password is None and ticket is None:
        return Secret()
    name = "password" if ticket is None else "ticket"
    if password is not None and ticket is not None:
        raise ConfigError("ticket", "give a password or a ticket, not both")
    if config.insecure:
        raise ConfigError(name, "never sent over plain TCP; leave insecure=True out")
    if password is not None:
        if not user:
            raise ConfigError("user", "a password needs the name of its account")
        if not isinstance(password, str):
            raise ConfigError("password", f"must be text, not {type(password).__name__}")
        secret = Secret(frames.PASSWORD, password.encode(errors="surrogatepass"))
    else:
        if not isinstance(ticket, bytes):
            raise ConfigError("ticket", f"must be bytes, not {type(ticket).__name__}")
        secret = Secret(frames.TICKET, ticket.strip())
    if not 1 <= len(secret.data) <= frames.MAX_AUTH_BYTES:
        raise ConfigError(name, f"must have 1 to {frames.MAX_AUTH_BYTES} bytes")
    return secret

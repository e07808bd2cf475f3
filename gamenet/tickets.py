"""Players who come with a ticket of a backend that the server trusts.

Layer 4. Runs on: the reactor thread; issuing: any thread. ``docs/IDENTITIES.rst``.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from twisted.cred.checkers import ICredentialsChecker
from twisted.logger import Logger
from zope.interface import implementer

from gamenet.core.text import checked_name
from gamenet.core.ticket import (
    MAX_ID_CHARACTERS,
    MAX_TICKET_BYTES,
    Claims,
    Ledger,
    TicketError,
    is_identifier,
    judge,
    read_ticket,
    sign_ticket,
)
from gamenet.credentials import ITicket, LoginRefused
from gamenet.errors import ConfigError, RefusalReason
from gamenet.keyfiles import check_private
from gamenet.limits import ServerLimits

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.credentials import Ticket

log = Logger()
BUSY_SECONDS: Final = 5
"""When a player should try again while the ledger of used tickets is full."""
MAX_KEY_FILE_BYTES: Final = 65_536
TICKET_SECONDS: Final = ServerLimits().ticket_seconds
"""How long a ticket is good where nobody says otherwise."""


@implementer(ICredentialsChecker)
class TicketChecker:
    """Lets in whoever shows a ticket that is signed, meant for this server, fresh and unused.

    The account is the ticket's ``sub``. The ticket's ``settle`` and ``name`` are filled in.

    :param public_key: of whoever may make tickets.
    :param audience: what this server is called in tickets.
    :param now: the wall clock, in seconds since 1970.
    """

    credentialInterfaces = (ITicket,)

    def __init__(
        self,
        public_key: Ed25519PublicKey,
        audience: str,
        limits: ServerLimits | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        limits = limits or ServerLimits()
        self._key = public_key
        self._audience = audience
        self._seconds = limits.ticket_seconds
        self._skew = limits.ticket_skew_seconds
        self._now = now
        self._told: set[str] = set()
        self.ledger = Ledger(limits.max_used_tickets)

    def requestAvatarId(self, credentials: Ticket) -> Any:
        """The account that the ticket names.

        :raises LoginRefused: if it lets nobody in, saying why.
        """
        now = self._now()
        try:
            claims = read_ticket(credentials.data, self._key)
            judge(claims, self._audience, now, self._seconds, self._skew)
            settle = self.ledger.show(claims.jti, claims.exp + self._skew, now)
        except TicketError as error:
            self._tell(error)
            busy = error.refusal is RefusalReason.BUSY
            raise LoginRefused(error.refusal, BUSY_SECONDS if busy else 0) from None
        credentials.name = claims.player_name
        credentials.settle = settle
        return claims.sub

    def _tell(self, error: TicketError) -> None:
        """Log a mistake of the trusted issuer or this machine, each kind once."""
        if error.cause and error.cause not in self._told:
            self._told.add(error.cause)
            log.warn("a ticket with a good signature was refused: {cause}", cause=error.cause)


class TicketIssuer:
    """Makes tickets: what a backend in Python can use, and ``gamenet ticket`` does.

    :param audience: what the server is called that the tickets are for.
    :param seconds: how long each is good.
    """

    def __init__(
        self,
        private_key: Ed25519PrivateKey,
        audience: str,
        seconds: float = TICKET_SECONDS,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        if not audience:
            raise ConfigError("audience", "a ticket is for one server; say which")
        if not 0 < seconds < float("inf"):
            raise ConfigError("seconds", f"must be a number above zero, not {seconds!r}")
        self._key = private_key
        self._audience = audience
        self._seconds = seconds
        self._now = now

    def issue(self, account: str, name: str = "") -> bytes:
        """A new ticket.

        :param name: what the player is called in the game; "" calls them by *account*.
        :raises ConfigError: if no server would take it.
        """
        if not is_identifier(account):
            raise ConfigError("account", f"must be 1 to {MAX_ID_CHARACTERS} readable characters")
        if checked_name(name or account) is None:
            field = "name" if name else "account"
            hint = "" if name else "; give the player's name besides"
            raise ConfigError(
                field,
                f"{(name or account)[:64]!r} is not a name; names have 1 to 32 letters, digits, "
                f"dots, dashes or underscores{hint}",
            )
        now = int(self._now())
        ticket = sign_ticket(
            self._key,
            Claims(
                sub=account,
                aud=self._audience,
                exp=now + self._seconds,
                jti=secrets.token_urlsafe(16),
                iat=now,
                name=name or None,
            ),
        )
        if len(ticket) > MAX_TICKET_BYTES:
            raise ConfigError("audience", f"a ticket has at most {MAX_TICKET_BYTES} bytes")
        return ticket


def read_public_key(path: str | Path, field: str = "auth") -> Ed25519PublicKey:
    """The key of a PEM file.

    :raises ConfigError: naming the file and what is wrong with it.
    """
    data = _read(path, field)
    if b"PRIVATE KEY-----" in data:
        raise ConfigError(
            field,
            f"{path} is the private key, which belongs to whoever makes tickets; give the "
            "public one, such as the .pub file beside it",
        )
    try:
        key = load_pem_public_key(data)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(field, f"{path} holds no public key in PEM") from None
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError(
            field, f"{path} is not an Ed25519 key; 'gamenet ticket --make-key' makes one"
        )
    return key


def read_private_key(path: str | Path, field: str = "key") -> Ed25519PrivateKey:
    """The key of a PEM file that nobody else can read.

    :raises ConfigError: naming the file and what is wrong with it.
    """
    data = _read(path, field, secret=True)
    try:
        key = load_pem_private_key(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            field, f"{path} holds no private key in PEM without a passphrase"
        ) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(
            field, f"{path} is not an Ed25519 key; 'gamenet ticket --make-key' makes one"
        )
    return key


def make_key(path: str | Path) -> Path:
    """Write a new private key to *path*, which must not exist, and its public key beside it.

    :returns: where the public key is.
    :raises ConfigError: if a file cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    beside = Path(f"{path}.pub")
    made: list[Path] = []
    try:
        for target, data, mode in ((beside, public, 0o644), (Path(path), pem, 0o600)):
            handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            made.append(target)
            with open(handle, "wb") as file:
                file.write(data)
    except OSError as error:
        for target in made:
            target.unlink(missing_ok=True)
        if isinstance(error, FileExistsError):
            problem = f"{error.filename} exists already; give the keys another name"
        else:
            problem = f"cannot write {error.filename}: {error.strerror}"
        raise ConfigError("make-key", problem) from None
    return beside


def _read(path: str | Path, field: str, *, secret: bool = False) -> bytes:
    """:raises ConfigError: if it cannot be read, or is not fit to be a key."""
    try:
        with open(path, "rb") as file:
            if secret:
                check_private(os.fstat(file.fileno()), str(path), field)
            return file.read(MAX_KEY_FILE_BYTES)
    except OSError as error:
        raise ConfigError(
            field,
            f"cannot read {path}: {error.strerror}; 'gamenet ticket --make-key FILE' makes keys",
        ) from None

"""Tickets: what a backend signed so that one player can join one server once.

Layer 1. Runs on: the reactor thread; pure, ``now`` is handed in. ``docs/IDENTITIES.rst``.

A ticket is a JSON Web Token in its compact form, signed with Ed25519 (RFC 7519, RFC 8037). Nothing
in it is looked at before its signature is known to be good.
"""

from __future__ import annotations

import binascii
import heapq
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any, Final

import msgspec
from cryptography.exceptions import InvalidSignature

from gamenet.core.frames import MAX_AUTH_BYTES
from gamenet.core.text import checked_name, clean
from gamenet.errors import GamenetError, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

MAX_TICKET_BYTES: Final = MAX_AUTH_BYTES
MAX_ID_CHARACTERS: Final = 64
"""Of ``sub`` and of ``jti``."""
MAX_TIME: Final = 1 << 40
"""Seconds since 1970 that a claim can name at most; exact as a float."""
ALGORITHMS: Final = ("EdDSA", "Ed25519")
"""Two names of the same signature: that of RFC 8037 and the newer one of RFC 9864."""

_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{86}")
_HEADER: Final = b'{"alg":"EdDSA","typ":"JWT"}'
_NOT_DECODED: Final = (ValueError, RecursionError)


class TicketError(GamenetError):
    """A ticket that does not let anybody in.

    :param cause: what is wrong with a ticket that the trusted key did sign, for whoever runs the
        server; "" for all others, whose senders deserve no line in a log.
    """

    def __init__(self, refusal: RefusalReason, cause: str = "") -> None:
        super().__init__(cause or refusal.name)
        self.refusal = refusal
        self.cause = cause


class Claims(msgspec.Struct, frozen=True):
    """What a ticket says; claims that are not listed here are not looked at."""

    sub: str
    aud: str | list[str]
    exp: int | float
    jti: str
    nbf: int | float | None = None
    iat: int | float | None = None
    name: str | None = None

    def __repr__(self) -> str:
        return f"<Claims of {self.sub!r}>"

    @property
    def player_name(self) -> str:
        """The name that the ticket vouches for, "" if it has none."""
        return checked_name(self.sub if self.name is None else self.name) or ""


class _Header(msgspec.Struct):
    alg: str
    crit: Any = msgspec.UNSET


_decode_header: Final = msgspec.json.Decoder(_Header).decode
_decode_claims: Final = msgspec.json.Decoder(Claims).decode


def sign_ticket(key: Ed25519PrivateKey, claims: Claims) -> bytes:
    """The ticket that says *claims*."""
    given = msgspec.structs.asdict(claims).items()
    said = {name: value for name, value in given if value is not None}
    signed = _encode(_HEADER) + b"." + _encode(msgspec.json.encode(said))
    return signed + b"." + _encode(key.sign(signed))


def read_ticket(data: bytes, key: Ed25519PublicKey) -> Claims:
    """What *data* says, if *key* vouches for it.

    :raises TicketError: as TICKET_INVALID.
    """
    if len(data) > MAX_TICKET_BYTES or not _COMPACT.fullmatch(data):
        raise TicketError(RefusalReason.TICKET_INVALID)
    signed, _, signature = data.rpartition(b".")
    try:
        key.verify(_decode(signature), signed)
    except (InvalidSignature, *_NOT_DECODED):
        raise TicketError(RefusalReason.TICKET_INVALID) from None
    header, _, body = signed.partition(b".")
    try:
        said = _decode_header(_decode(header))
        claims = _decode_claims(_decode(body))
    except _NOT_DECODED:
        raise _unusable("it is not made of what docs/IDENTITIES.rst lists") from None
    if said.alg not in ALGORITHMS or said.crit is not msgspec.UNSET:
        raise _unusable("its header asks for something else than alg EdDSA")
    for name in ("sub", "jti"):
        value = getattr(claims, name)
        if not is_identifier(value):
            raise _unusable(f"{name} is not 1 to {MAX_ID_CHARACTERS} readable characters")
    if not claims.player_name:
        raise _unusable("neither name nor sub is a name of 1 to 32 of A-Z a-z 0-9 _ . -")
    if any(abs(time or 0) > MAX_TIME for time in (claims.exp, claims.nbf, claims.iat)):
        raise _unusable("a time in it is beyond all bounds")
    return claims


def judge(claims: Claims, audience: str, now: float, seconds: float, skew: float) -> None:
    """Whether a ticket is for this server and this moment.

    :param seconds: the life that a ticket may have.
    :param skew: how far the clocks of server and issuer may differ.
    :raises TicketError: as TICKET_AUDIENCE, TICKET_EXPIRED, TICKET_EARLY or TICKET_INVALID.
    """
    meant = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    if audience not in meant:
        raise TicketError(RefusalReason.TICKET_AUDIENCE)
    if now >= claims.exp + skew:
        raise TicketError(RefusalReason.TICKET_EXPIRED)
    if any(start is not None and start > now + skew for start in (claims.nbf, claims.iat)):
        raise TicketError(RefusalReason.TICKET_EARLY, "it is made out for later: compare clocks")
    made = now if claims.iat is None else min(now, claims.iat)
    if claims.exp - made > seconds + skew:
        raise _unusable(f"it is made out for longer than ticket_seconds, which is {seconds:g}")


class Ledger:
    """Which tickets are in use or used up, so that each lets one player in.

    A ticket is remembered from the moment it is shown until it has expired, unless its join came
    to nothing. When the ledger is full, tickets are refused: forgetting one would let it in twice.

    :param capacity: tickets remembered at once.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._shown: dict[str, object] = {}
        self._due: dict[int, set[str]] = {}
        self._seconds: list[int] = []  # a heap of the keys of _due
        self._forgotten = 0

    def __len__(self) -> int:
        """Tickets in use or used up."""
        return len(self._shown)

    def show(self, jti: str, expires: float, now: float) -> Callable[[bool], None]:
        """Somebody shows a ticket that is good but for this.

        :param jti: what tells it from all others.
        :param expires: when it stops being good, skew included.
        :returns: to be called once with whether the join came about; if not, the ticket is as new.
        :raises TicketError: as TICKET_USED, TICKET_EXPIRED or BUSY.
        """
        self._forget(now)
        second = int(expires) + 1
        if second <= self._forgotten:
            # Only after the clock was set back, and whether it was used is forgotten by now.
            raise TicketError(RefusalReason.TICKET_EXPIRED, "the clock of this server went back")
        if jti in self._shown:
            raise TicketError(RefusalReason.TICKET_USED)
        if len(self._shown) >= self._capacity:
            raise TicketError(RefusalReason.BUSY, "max_used_tickets are in use or used up")
        mark = self._shown[jti] = object()
        if second not in self._due:
            self._due[second] = set()
            heapq.heappush(self._seconds, second)
        self._due[second].add(jti)
        settled = False

        def settle(used: bool) -> None:
            nonlocal settled
            if not (used or settled) and self._shown.get(jti) is mark:
                del self._shown[jti]
                self._due[second].discard(jti)
            settled = True

        return settle

    def _forget(self, now: float) -> None:
        """Drop what has expired."""
        while self._seconds and self._seconds[0] <= now:
            second = heapq.heappop(self._seconds)
            for jti in self._due.pop(second):
                del self._shown[jti]
                self._forgotten = second


def is_identifier(text: str) -> bool:
    """Whether *text* can be a ``sub`` or a ``jti``."""
    return 0 < len(text) <= MAX_ID_CHARACTERS and clean(text) == text


def _unusable(cause: str) -> TicketError:
    return TicketError(RefusalReason.TICKET_INVALID, cause)


def _encode(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _decode(data: bytes) -> bytes:
    """:raises ValueError: for anything but the one right spelling of some bytes."""
    decoded = urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    if _encode(decoded) != data:
        raise binascii.Error("bits that mean nothing")
    return decoded

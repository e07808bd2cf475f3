"""What can go wrong with TLS, in sentences for players.

Layer 3. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from OpenSSL import SSL

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from twisted.python.failure import Failure

NOT_TLS: Final = (
    "the server does not answer in TLS; if it runs with --insecure, say so here too (--insecure, "
    "insecure=True), else it is no gamenet server"
)
HUNG_UP: Final = (
    "the server hung up before TLS began: it may be too busy, so try again in a moment; if it runs "
    "with --insecure, say so here too (--insecure, insecure=True)"
)
OLD_TLS: Final = "the server does not speak TLS 1.3, and nothing older will do"

# What OpenSSL says of bytes that are no TLS, and of a peer that has only older versions of it.
_NOT_TLS_REASONS: Final = (
    "wrong version number",
    "packet length too long",
    "bad record type",
    "unexpected message",
    "http request",
    "record too small",
    "invalid record type",
)
_OLD_TLS_REASONS: Final = ("protocol version", "unsupported protocol", "no protocols available")

# X509_V_ERR_* of OpenSSL, which pyOpenSSL does not name in all its versions.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_SELF_SIGNED: Final = 18
_UNKNOWN_AUTHORITY: Final = frozenset({2, 19, 20, 21, 27})
_WEAK: Final = frozenset({66, 67, 68})


class TlsProblem(Exception):
    """A connection that must not be used, with a sentence for the player."""


def explain(failure: Failure) -> str | None:
    """Why a connection could not be trusted or encrypted; None if it ended for another reason.

    :param failure: what ``connectionLost`` was given, or a failed attempt to connect.
    """
    error = failure.value
    if isinstance(error, TlsProblem):
        return str(error)
    if not isinstance(error, SSL.Error):
        return None
    reason = words_of(error)
    if any(known in reason for known in _OLD_TLS_REASONS):
        return OLD_TLS
    if any(known in reason for known in _NOT_TLS_REASONS):
        return NOT_TLS
    return f"the encrypted connection failed: {reason}"


def words_of(error: SSL.Error) -> str:
    """OpenSSL's own words; never anything that a peer has sent."""
    words = error.args[-1] if error.args else ""
    if isinstance(words, list):
        words = words[-1][-1] if words else ""
    return str(words).lower() or "it was closed without a word"


def wrong_pin(expected: str, presented: str) -> str:
    """The sentence for another certificate than the pinned one."""
    return (
        "the server's certificate is not the pinned one: either its operator has a new one, or "
        f"somebody else answers. Expected sha256={expected}, presented sha256={presented}"
    )


def wrong_name(host: str) -> str:
    """The sentence for a certificate of somebody else."""
    return (
        f"the server's certificate is not for {host}; use the name that it is for, or an address "
        "with a pin (HOST:PORT#sha256=...)"
    )


def fault(shown: Certificate, fingerprint: str, error: int, depth: int) -> str:
    """The sentence for what OpenSSL found wrong with a certificate."""
    whose = "the server's certificate" if depth == 0 else "the certificate of its authority"
    if error == _EXPIRED:
        day = f"{shown.not_valid_after_utc:%Y-%m-%d}"
        return f"{whose} expired on {day}; its operator must renew it"
    if error == _NOT_YET_VALID:
        day = f"{shown.not_valid_before_utc:%Y-%m-%d}"
        return f"{whose} is not valid before {day}; see whether this machine's clock is right"
    if error == _SELF_SIGNED:
        return (
            "nobody but the server itself vouches for its certificate: get the whole address from "
            "its operator, who has it from 'gamenet cert' (HOST:PORT#sha256=...). This one's is "
            f"sha256={fingerprint}"
        )
    if error in _UNKNOWN_AUTHORITY:
        return (
            "this machine does not know the authority that vouches for the server's certificate; "
            "give its file (--ca FILE, ca_file=), or use an address with a pin "
            "(HOST:PORT#sha256=...)"
        )
    if error in _WEAK:
        return f"{whose} has a key or signature that is too weak"
    return f"{whose} cannot be trusted (OpenSSL's verification error {error})"

"""Who may come back to a session: the tokens, and the reasons of those that are over.

Layer 1. Runs on: the reactor thread. PROTOCOL section 2, Resume.

A token is good for one return. The one before stays good until the client has shown that it has
the new one, so an ACCEPT that is lost on its way locks nobody out. Only hashes are kept.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gamenet.core.server_session import ServerSession
    from gamenet.errors import DisconnectReason


class Claim:
    """What a token opens: a session, or the reason why there is none any more."""

    __slots__ = ("current", "offered", "reason", "session", "text", "until")

    def __init__(self, session: ServerSession) -> None:
        self.session: ServerSession | None = session
        self.current = b""
        """Hash of the token that the client has shown to have."""
        self.offered = b""
        """Hash of the one that it was sent."""
        self.reason: DisconnectReason | None = None
        self.text = ""
        self.until = 0.0

    def _opens(self, shown: bytes) -> bool:
        current = hmac.compare_digest(shown, self.current)
        offered = hmac.compare_digest(shown, self.offered)
        return current or offered


class Claims:
    """The claims of one server, by session id.

    :param most: sessions that are over and whose reasons are kept; the oldest give way.
    """

    __slots__ = ("_by_id", "_over", "most")

    def __init__(self, most: int) -> None:
        self._by_id: dict[bytes, Claim] = {}
        self._over: OrderedDict[bytes, Claim] = OrderedDict()
        self.most = most
        """The reasons that are kept."""

    def __len__(self) -> int:
        return len(self._by_id)

    def find(self, session_id: bytes, token: bytes, now: float) -> Claim | None:
        """The claim that *token* opens; nothing is changed by asking."""
        claim = self._by_id.get(session_id)
        if claim is None or not claim._opens(_hash(token)):
            return None
        if claim.session is None and now >= claim.until:
            return None
        return claim

    def offer(self, session: ServerSession, token: bytes, shown: bytes = b"") -> None:
        """The client is being sent a new token.

        :param shown: the one that it came back with.
        """
        claim = self._by_id.get(session.session_id)
        if claim is None:
            claim = self._by_id[session.session_id] = Claim(session)
        if shown:
            claim.current = _hash(shown)
        claim.offered = _hash(token)

    def confirm(self, session: ServerSession) -> None:
        """The client has the token that it was sent: no other one is good any more."""
        claim = self._by_id.get(session.session_id)
        if claim is not None and claim.offered:
            claim.current, claim.offered = claim.offered, b""

    def forget(self, session: ServerSession) -> None:
        """The session is over, and its client knows why, or nobody does."""
        self._by_id.pop(session.session_id, None)

    def bury(
        self, session: ServerSession, reason: DisconnectReason, text: str, until: float
    ) -> None:
        """The session is over, and its client may come back to hear why."""
        claim = self._by_id.get(session.session_id)
        if claim is None:
            return
        claim.session, claim.reason, claim.text, claim.until = None, reason, text, until
        self._over[session.session_id] = claim
        while len(self._over) > self.most:
            self._by_id.pop(self._over.popitem(last=False)[0], None)

    def expire(self, now: float) -> None:
        """Forget the reasons that nobody came for."""
        over = self._over
        while over:
            session_id, claim = next(iter(over.items()))
            if now < claim.until:
                return
            del over[session_id]
            self._by_id.pop(session_id, None)


def _hash(token: bytes) -> bytes:
    return sha256(token).digest()

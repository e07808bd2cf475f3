"""The way back of a player whose connection was lost: the same session on another connection.

Layer 3. Runs on: the reactor thread. PROTOCOL section 2, Resume.

Everything is looked at first, and nothing is changed until all of it is right; what is refused
leaves no trace, so nobody can spoil a session whose token they only guess at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core import frames
from gamenet.core.keyring import Keyring
from gamenet.core.record import Schedule
from gamenet.core.states import Input, State
from gamenet.errors import DisconnectReason, RefusalReason

if TYPE_CHECKING:
    from gamenet.core.claims import Claim
    from gamenet.core.server_session import ServerSession
    from gamenet.joining import Door
    from gamenet.reliable import ReliableProtocol
    from gamenet.server_host import ServerHost


def resume(host: ServerHost, door: Door, protocol: ReliableProtocol, back: frames.Resume) -> None:
    """Give a session another connection, if the token is good; it beats one that still stands."""
    claim = host.claims.find(back.session_id, back.token, host.time)
    if claim is None or not _fits(host, claim, protocol, back):
        host.counters.resumes_refused += 1
        host.refuse(protocol, RefusalReason.NO_SESSION)
        return
    session = claim.session
    if session is None:
        assert claim.reason is not None
        protocol.finish(frames.encode_bye(claim.reason, claim.text), Input.BYE)
        return
    cid = host.registry.new_cid()
    exporter = protocol.exporter(session.session_id + cid.to_bytes(4, "big"))
    token = host.random_bytes(frames.TOKEN_BYTES)
    # Nothing can be wrong any more. What the old connection brings from here on is not read, so
    # that ``received`` is final.
    old = host.connection_of(session)
    if old is not None:
        if old.state is State.UNCONFIRMED and not session.is_suspended:
            host.confirm(old)  # who has the token has read ACCEPT
        host.connection_failed(old, DisconnectReason.SESSION_LOST)
        old.abort()
    accept = door.terms(
        protocol,
        session.config,
        session.player,
        session_id=session.session_id,
        cid=cid,
        token=token,
        received=session.incoming.received,
        flags=frames.ACCEPT_RESUMED,
    )
    keys = Keyring(Schedule(accept, exporter), cid, is_server=True, now=host.time)
    host.claims.offer(session, token, back.token)
    host.moved(protocol, session, cid, keys)
    session.reconnected(back.received, host.time)
    protocol.step(Input.GRANT)
    host.add_session(protocol, session, State.UNCONFIRMED)
    protocol.send_frames([frames.encode_accept(accept)])


def _fits(host: ServerHost, claim: Claim, protocol: ReliableProtocol, back: frames.Resume) -> bool:
    session: ServerSession | None = claim.session
    if session is None:
        return True
    return session.outgoing.resumes_at(back.received) and host.was_secure(session) == (
        protocol.secure
    )

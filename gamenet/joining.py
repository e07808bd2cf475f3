"""The door of a server: from a HELLO to a session, or to a refusal.

Layer 3. Runs on: the reactor thread. PROTOCOL section 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.cred.credentials import Anonymous
from twisted.cred.error import LoginFailed, UnhandledCredentials
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger

from gamenet.addresses import unmapped
from gamenet.core import frames
from gamenet.core.record import SECRET_BYTES, Opener, Sealer, session_keys
from gamenet.core.seat import Seat
from gamenet.core.server_session import ServerSession
from gamenet.core.session import Limits, Setup
from gamenet.core.states import Input, State
from gamenet.core.text import checked_name
from gamenet.core.wire import MAX_DATAGRAM_BYTES
from gamenet.credentials import ClaimedName, IPlayerAvatar
from gamenet.errors import RefusalReason
from gamenet.events import Player
from gamenet.messages import NO_SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.cred.portal import Portal
    from twisted.python.failure import Failure

    from gamenet.reliable import ReliableProtocol
    from gamenet.server import ServerHost

log = Logger()
HIGH_WATER = 0.75
"""Share of the bridge's capacity over which newcomers are told to come back."""
Login = tuple[Any, Any, "Callable[[], None]"]
"""What a portal gives: the interface, the avatar, and what to call at the end."""


class Door:
    """Decides over joins, one connection at a time.

    :param portal: decides who may join; None lets everybody in as a guest.
    """

    def __init__(self, host: ServerHost, portal: Portal | None) -> None:
        self._host = host
        self._portal = portal

    def hello(self, protocol: ReliableProtocol, data: bytes) -> None:
        """A frame came on a connection that has not joined: it must be its HELLO.

        :raises RemoteProtocolError: if it is anything else.
        """
        if protocol.state is not State.AWAITING_HELLO:
            protocol.step(Input.HELLO)
        hello = frames.decode_hello(data)
        protocol.step(Input.HELLO)
        name = checked_name(hello.user) if hello.user else ""
        reason = self._objection(protocol, hello, name)
        if reason is not None or name is None:
            self._host.refuse(protocol, reason or RefusalReason.NAME)
            return
        if self._portal is None:
            self._granted((IPlayerAvatar, None, _nothing), protocol, name)
            return
        credentials: Any = ClaimedName(name) if name else Anonymous()
        login = maybeDeferred(self._portal.login, credentials, None, IPlayerAvatar)
        login.addCallbacks(self._granted, self._denied, (protocol, name), {}, (protocol,))
        login.addErrback(self._login_broke, protocol)

    def _objection(
        self, protocol: ReliableProtocol, hello: frames.Hello, name: str | None
    ) -> RefusalReason | None:
        """What speaks against a join, before any credentials are looked at."""
        host = self._host
        config = host.config
        schema = host.codec.schema_hash
        if host.closed_because is not None:
            return host.closed_because
        if not (hello.min_version <= frames.VERSION <= hello.max_version):
            return RefusalReason.VERSION
        if not hello.suites & 1 << (frames.SUITE_AES_256_GCM - 1):
            return RefusalReason.VERSION
        if not hello.flags & frames.HELLO_ACCEPTS_INSECURE:
            return RefusalReason.INSECURE
        if hello.game and config.game_name and hello.game != config.game_name:
            return RefusalReason.GAME
        if NO_SCHEMA not in (schema, hello.schema_hash) and hello.schema_hash != schema:
            return RefusalReason.SCHEMA
        if hello.input_bits not in (0, config.input_bits):
            return RefusalReason.SCHEMA
        if hello.flags & frames.HELLO_RESUME:
            return RefusalReason.NO_SESSION
        if hello.mechanism != frames.ANONYMOUS:
            return RefusalReason.INSECURE
        if name is None:
            return RefusalReason.NAME
        if host.is_banned("address", address_of(protocol)):
            return RefusalReason.BANNED
        if host.sink.waiting_events > HIGH_WATER * config.bridge_events:
            return RefusalReason.BUSY
        # A takeover is decided once the credentials have vouched for the name.
        return host.registry.admission(name, replacing=config.duplicate == "takeover")

    def _denied(self, failure: Failure, protocol: ReliableProtocol) -> None:
        reason = RefusalReason.CREDENTIALS
        if not failure.check(LoginFailed, UnhandledCredentials):
            log.failure("the portal failed", failure)
            reason = RefusalReason.INTERNAL
        if protocol.state is State.AWAITING_LOGIN:
            self._host.run(self._host.refuse, protocol, reason)

    def _login_broke(self, failure: Failure, protocol: ReliableProtocol) -> None:
        log.failure("a defect in gamenet, please report it", failure)
        if protocol.state is State.AWAITING_LOGIN:
            self._host.run(self._host.refuse, protocol, RefusalReason.INTERNAL)

    def _granted(self, login: Login, protocol: ReliableProtocol, name: str) -> None:
        """The credentials are good."""
        if protocol.state is State.AWAITING_LOGIN:
            self._host.run(self._join_or_refuse, login, protocol, name)
        else:
            log_out(login[2])

    def _join_or_refuse(self, login: Login, protocol: ReliableProtocol, name: str) -> None:
        """Whatever a portal gave, the player gets an answer."""
        try:
            self._join(login, protocol, name)
        except Exception:
            log.failure("a join failed")
            if protocol.state is State.AWAITING_LOGIN:
                self._host.refuse(protocol, RefusalReason.INTERNAL)

    def _join(self, login: Login, protocol: ReliableProtocol, name: str) -> None:
        """Look again, for others may have come in meanwhile; then create the session."""
        host = self._host
        _, avatar, logout = login
        account = str(getattr(avatar, "account", ""))
        name = name or host.registry.guest_name()
        reason = host.closed_because or self._late_objection(name, account)
        if reason is not None:
            log_out(logout)
            host.refuse(protocol, reason)
            return
        holder = host.registry.holder(name)
        if holder is not None:
            host.replace(holder)
        player = Player(host.registry.new_player_id(), name, account, host.home)
        accept = self._accept(protocol, player)
        session = self._session(accept, player)
        protocol.step(Input.GRANT)
        host.welcome(protocol, session, logout)
        protocol.send_frames([frames.encode_accept(accept)])

    def _late_objection(self, name: str, account: str) -> RefusalReason | None:
        """What speaks against a join now that the identity is known."""
        host = self._host
        if account and host.is_banned("account", account):
            return RefusalReason.BANNED
        holder = host.registry.holder(name)
        replacing = (
            holder is not None
            and host.config.duplicate == "takeover"
            and account != ""
            and holder.player.account == account
        )
        return host.registry.admission(name, replacing=replacing)

    def _accept(self, protocol: ReliableProtocol, player: Player) -> frames.Accept:
        """The terms of a session, with fresh secrets."""
        host = self._host
        config = host.config
        return frames.Accept(
            version=frames.VERSION,
            suite=frames.SUITE_AES_256_GCM,
            flags=frames.ACCEPT_INSECURE,
            session_id=host.random_bytes(16),
            cid=host.registry.new_cid(),
            udp_secret=host.random_bytes(SECRET_BYTES),
            resume_token=host.random_bytes(32),
            resume_seconds=0,
            udp_port=config.advertised_udp_port or host.told_udp_port(protocol),
            received=0,
            max_frame=frames.MAX_FRAME_BYTES,
            max_datagram=MAX_DATAGRAM_BYTES,
            datagrams_per_second=min(max(128, 2 * config.max_input_hz), 0xFFFF),
            window_messages=config.window_messages,
            window_bytes=config.window_bytes,
            tick_rate_x100=max(1, round(config.tick_rate * 100)),
            max_input_hz=config.max_input_hz,
            input_bits=config.input_bits,
            player_id=player.id,
            name=player.name,
        )

    def _session(self, accept: frames.Accept, player: Player) -> ServerSession:
        """Our end of the session that *accept* describes."""
        host = self._host
        config = host.config
        to_server, to_client = session_keys(accept)
        return ServerSession(
            Setup(
                player=player,
                author=player,
                seat=Seat(
                    player,
                    config.window_messages + config.queue_messages,
                    config.window_bytes + config.queue_bytes,
                ),
                session_id=accept.session_id,
                cid=accept.cid,
                sealer=Sealer(to_client, accept.cid),
                opener=Opener(to_server),
                limits=Limits(
                    window_messages=config.window_messages,
                    window_bytes=config.window_bytes,
                    unreliable_messages=config.unreliable_messages,
                    ping_seconds=config.ping_seconds,
                    dead_seconds=config.dead_seconds,
                ),
                codec=host.codec,
                turn=host.turn,
                now=host.time,
            ),
            input_bits=config.input_bits,
            max_input_hz=config.max_input_hz,
            random_bytes=host.random_bytes,
            queue_messages=config.queue_messages,
            queue_bytes=config.queue_bytes,
            slow_seconds=config.slow_seconds,
        )


def address_of(protocol: ReliableProtocol) -> str:
    """The peer's address without wrapping or scope; "" where it has none."""
    host = getattr(protocol.peer, "host", "")
    try:
        return str(unmapped(host))
    except ValueError:
        return ""


def log_out(logout: Callable[[], None]) -> None:
    """Tell a portal that its player is gone; what goes wrong there harms nobody here."""
    try:
        logout()
    except Exception:
        log.failure("the portal's logout failed")


def _nothing() -> None:
    """The logout of a login without a portal."""

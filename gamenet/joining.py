"""The door of a server: from a HELLO to a session, or to a refusal.

Layer 3. Runs on: the reactor thread. PROTOCOL section 1.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from twisted.cred.credentials import Anonymous, UsernamePassword
from twisted.cred.error import LoginFailed, UnhandledCredentials
from twisted.internet.defer import CancelledError, maybeDeferred
from twisted.logger import Logger

from gamenet.addresses import unmapped
from gamenet.core import frames
from gamenet.core.keyring import Keyring
from gamenet.core.record import SECRET_BYTES, Schedule
from gamenet.core.seat import Seat
from gamenet.core.server_session import ServerSession
from gamenet.core.setup import Limits, Setup
from gamenet.core.states import Input, State
from gamenet.core.text import checked_name, name_key
from gamenet.core.wire import MAX_DATAGRAM_BYTES
from gamenet.credentials import ClaimedName, IPlayerAvatar, LoginRefused, Ticket
from gamenet.errors import RefusalReason
from gamenet.events import Player
from gamenet.faults import DEFECT, shown
from gamenet.gate import address_key
from gamenet.messages import NO_SCHEMA
from gamenet.returning import resume

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.cred.portal import Portal
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from gamenet.config import ServerConfig
    from gamenet.reliable import ReliableProtocol
    from gamenet.server_host import ServerHost

log = Logger()
HIGH_WATER = 0.75
"""Share of the bridge's capacity over which newcomers are told to come back."""
_MECHANISMS: Final = frozenset({frames.ANONYMOUS, frames.PASSWORD, frames.TICKET})
Login = tuple[Any, Any, "Callable[[], None]"]
"""What a portal gives: the interface, the avatar, and what to call at the end."""


class Door:
    """Decides over joins, one connection at a time.

    :param portal: decides who may join; None lets everybody in as a guest.
    """

    def __init__(self, host: ServerHost, portal: Portal | None) -> None:
        self._host = host
        self._portal = portal
        self._tickets: dict[ReliableProtocol, Ticket] = {}
        """Those whose joins are under way."""
        self._guesses: dict[ReliableProtocol, str] = {}
        """Accounts whose passwords are being checked."""
        self._logins: dict[ReliableProtocol, Deferred[Any]] = {}
        """Those that the portal has not answered."""

    def hello(self, protocol: ReliableProtocol, data: bytes) -> None:
        """A frame came on a connection that has not joined: it must be its HELLO.

        :raises RemoteProtocolError: if it is anything else.
        """
        if protocol.state is not State.AWAITING_HELLO:
            protocol.step(Input.HELLO)
        hello = frames.decode_hello(data)
        protocol.step(Input.HELLO)
        name = checked_name(hello.user) if hello.user else ""
        reason = self._disagreement(protocol, hello)
        if reason is None and hello.resume is not None:
            resume(self._host, self, protocol, hello.resume)
            return
        reason = reason or self._objection(protocol, hello, name)
        if reason is not None or name is None:
            self._host.refuse(
                protocol, reason or RefusalReason.NAME, self._retry_seconds(reason, name)
            )
            return
        credentials = self._credentials(protocol, hello, name)
        if credentials is None:
            return
        if self._portal is None:
            self._granted((IPlayerAvatar, None, _nothing), protocol, name, credentials)
            return
        login = maybeDeferred(self._portal.login, credentials, None, IPlayerAvatar)
        self._logins[protocol] = login
        login.addBoth(self._answered, protocol)
        login.addCallbacks(
            self._granted, self._denied, (protocol, name, credentials), {}, (protocol, name)
        )
        login.addErrback(self._login_broke, protocol)

    def _credentials(self, protocol: ReliableProtocol, hello: frames.Hello, name: str) -> Any:
        """What the player shows, for the portal; None if the answer was no already."""
        if hello.mechanism == frames.ANONYMOUS:
            return ClaimedName(name) if name else Anonymous()
        host = self._host
        if self._portal is None or (hello.mechanism == frames.PASSWORD and not name):
            host.refuse(protocol, RefusalReason.CREDENTIALS)
            return None
        if hello.mechanism == frames.PASSWORD:
            # Before the secret is looked at: what costs us must not be had for the asking.
            wait = host.gate.login_wait(name_key(name), protocol.key, host.time)
            if wait:
                host.counters.logins_delayed += 1
                host.refuse(protocol, RefusalReason.BUSY, wait)
                return None
            host.gate.login_begins(name_key(name), protocol.key, host.time)
            self._guesses[protocol] = name_key(name)
            return UsernamePassword(name.encode(), hello.auth)
        ticket = self._tickets[protocol] = Ticket(hello.auth)
        return ticket

    def confirmed(self, protocol: ReliableProtocol) -> None:
        """The player has shown that it is in: its ticket is used up."""
        ticket = self._tickets.pop(protocol, None)
        if ticket is not None:
            settle(ticket, used=True)

    def _answered(self, result: Any, protocol: ReliableProtocol) -> Any:
        self._logins.pop(protocol, None)
        return result

    def dropped(self, protocol: ReliableProtocol) -> None:
        """The connection is over: unless the join came about, its ticket can be used again."""
        ticket = self._tickets.pop(protocol, None)
        if ticket is not None:
            settle(ticket, used=False)
        # Who hangs up before the answer has made us work all the same.
        self._guess_ends(protocol, well=False)
        login = self._logins.pop(protocol, None)
        if login is not None and getattr(self._portal, "cancels_logins", False):
            # What waits for a thread leaves the queue. Other portals may have to be told later
            # that a player is gone whom they let in.
            try:
                login.cancel()
            except Exception:
                log.failure("the portal's login could not be given up")

    def _guess_ends(self, protocol: ReliableProtocol, *, well: bool | None) -> None:
        """A password was right, wrong, or, for None, not looked at."""
        account = self._guesses.pop(protocol, None)
        if account is not None:
            self._host.gate.login_ends(account, protocol.key, well, self._host.now())

    def _disagreement(
        self, protocol: ReliableProtocol, hello: frames.Hello
    ) -> RefusalReason | None:
        """Why the two sides cannot play with each other at all."""
        host = self._host
        config = host.config
        schema = host.codec.schema_hash
        if not (hello.min_version <= frames.VERSION <= hello.max_version):
            return RefusalReason.VERSION
        if not hello.suites & 1 << (frames.SUITE_AES_256_GCM - 1):
            return RefusalReason.VERSION
        if not protocol.secure and not (
            config.insecure and hello.flags & frames.HELLO_ACCEPTS_INSECURE
        ):
            return RefusalReason.INSECURE
        if hello.game and config.game_name and hello.game != config.game_name:
            return RefusalReason.GAME
        if NO_SCHEMA not in (schema, hello.schema_hash) and hello.schema_hash != schema:
            return RefusalReason.SCHEMA
        if hello.input_bits not in (0, config.input_bits):
            return RefusalReason.SCHEMA
        if host.is_banned("address", ban_key(protocol)):
            return RefusalReason.BANNED
        return None

    def _objection(
        self, protocol: ReliableProtocol, hello: frames.Hello, name: str | None
    ) -> RefusalReason | None:
        """What speaks against a new player, before any credentials are looked at."""
        host = self._host
        config = host.config
        if host.closed_because is not None:
            return host.closed_because
        if hello.mechanism not in _MECHANISMS:
            return RefusalReason.CREDENTIALS
        if hello.mechanism != frames.ANONYMOUS and not protocol.secure:
            return RefusalReason.INSECURE
        if name is None:
            return RefusalReason.NAME
        holder = host.registry.holder(name)
        # Decided once the credentials have vouched for the name.
        may_replace = holder is not None and self._gives_way(holder)
        if not may_replace and not host.gate.has_room(protocol.key):
            return RefusalReason.FULL
        if host.sink.waiting_events > HIGH_WATER * config.bridge_events:
            return RefusalReason.BUSY
        return host.registry.admission(name, replacing=may_replace)

    def _gives_way(self, holder: ServerSession) -> bool:
        """Whether a name may go to who proves that it is theirs."""
        return self._host.config.duplicate == "takeover" or holder.is_suspended

    def _retry_seconds(self, reason: RefusalReason | None, name: str | None) -> float:
        """When a name that somebody has will be free, if that is known."""
        if reason is not RefusalReason.DUPLICATE or not name:
            return 0.0
        holder = self._host.registry.holder(name)
        if holder is None or not holder.is_suspended:
            return 0.0
        return max(0.0, holder.resume_until - self._host.time)

    def _denied(self, failure: Failure, protocol: ReliableProtocol, name: str) -> None:
        if failure.check(CancelledError):
            return  # its player is gone
        host = self._host
        reason, retry = RefusalReason.CREDENTIALS, 0.0
        if isinstance(failure.value, LoginRefused):
            reason = failure.value.refusal
            retry = failure.value.retry_after_seconds
        elif not failure.check(LoginFailed, UnhandledCredentials):
            host.failed("the portal failed", failure)
            reason = RefusalReason.INTERNAL
        is_answer = reason not in (RefusalReason.INTERNAL, RefusalReason.BUSY)
        self._guess_ends(protocol, well=False if is_answer else None)
        if is_answer:
            self._log_denied(address_of(protocol), name, reason)
        if protocol.state is State.AWAITING_LOGIN:
            host.run(host.refuse, protocol, reason, retry)

    def _log_denied(self, address: str, name: str, reason: RefusalReason) -> None:
        host = self._host
        host.counters.logins_failed += 1
        count = host.faults.note("login", address, host.now())
        if count:
            log.info(
                "login of {name!r} from {address} failed: {reason} ({count} such)",
                name=shown(name),
                address=address,
                reason=reason.name,
                count=count,
            )

    def _login_broke(self, failure: Failure, protocol: ReliableProtocol) -> None:
        self._host.failed(DEFECT, failure)
        if protocol.state is State.AWAITING_LOGIN:
            self._host.run(self._host.refuse, protocol, RefusalReason.INTERNAL)

    def _granted(
        self, login: Login, protocol: ReliableProtocol, name: str, credentials: object
    ) -> None:
        """The credentials are good."""
        if protocol.state is State.AWAITING_LOGIN:
            self._host.run(self._join_or_refuse, login, protocol, name, credentials)
        else:
            log_out(login[2])
            if isinstance(credentials, Ticket):
                # The checker may have put its word in only now that nobody waits any more.
                settle(credentials, used=False)

    def _join_or_refuse(
        self, login: Login, protocol: ReliableProtocol, name: str, credentials: object
    ) -> None:
        """Whatever a portal gave, the player gets an answer."""
        try:
            proved = not isinstance(credentials, ClaimedName | Anonymous)
            if isinstance(credentials, Ticket) and credentials.name:
                vouched = checked_name(credentials.name)
                if vouched is None or (name and name_key(name) != name_key(vouched)):
                    log_out(login[2])
                    self._host.refuse(protocol, RefusalReason.NAME)
                    return
                name = vouched
            self._guess_ends(protocol, well=True)
            self._join(login, protocol, name, proved)
        except Exception:
            self._host.failed("a join failed")
            if protocol.state is State.AWAITING_LOGIN:
                self._host.refuse(protocol, RefusalReason.INTERNAL)
                if isinstance(login, tuple):  # or it may be what did not work
                    log_out(login[2])

    def _join(self, login: Login, protocol: ReliableProtocol, name: str, proved: bool) -> None:
        """Look again, for others may have come in meanwhile; then create the session."""
        host = self._host
        _, avatar, logout = login
        account = str(getattr(avatar, "account", ""))
        name = name or host.registry.guest_name()
        reason = host.closed_because or self._late_objection(protocol, name, account, proved)
        if reason is not None:
            log_out(logout)
            host.refuse(protocol, reason, self._retry_seconds(reason, name))
            return
        holder = host.registry.holder(name)
        if holder is not None:
            host.replace(holder)
        player = Player(host.registry.new_player_id(), name, account, host.home)
        accept = self.terms(
            protocol,
            host.config,
            player,
            session_id=host.random_bytes(16),
            cid=host.registry.new_cid(),
            token=host.random_bytes(frames.TOKEN_BYTES),
        )
        exporter = protocol.exporter(accept.session_id + accept.cid.to_bytes(4, "big"))
        session = self._session(accept, player, exporter, address_of(protocol))
        protocol.step(Input.GRANT)
        host.welcome(protocol, session, logout)
        if host.config.resume_seconds:
            host.claims.offer(session, accept.resume_token)
        protocol.send_frames([frames.encode_accept(accept)])

    def _late_objection(
        self, protocol: ReliableProtocol, name: str, account: str, proved: bool
    ) -> RefusalReason | None:
        """What speaks against a join now that the identity is known."""
        host = self._host
        if account and host.is_banned("account", account):
            return RefusalReason.BANNED
        holder = host.registry.holder(name)
        # A guest who has only claimed the name gives way to whoever proves it.
        replacing = (
            holder is not None
            and self._gives_way(holder)
            and proved
            and account != ""
            and holder.player.account in ("", account)
        )
        leaving = host.key_of(holder) if replacing and holder is not None else None
        if not host.gate.has_room(protocol.key) and leaving != protocol.key:
            return RefusalReason.FULL
        return host.registry.admission(name, replacing=replacing)

    def terms(
        self,
        protocol: ReliableProtocol,
        config: ServerConfig,
        player: Player,
        *,
        session_id: bytes,
        cid: int,
        token: bytes,
        received: int = 0,
        flags: int = 0,
    ) -> frames.Accept:
        """The terms of a session on this connection, with a fresh secret.

        :param config: what holds for the session; a resumed one keeps its own.
        """
        host = self._host
        trust = frames.ACCEPT_EXPORTER if protocol.secure else frames.ACCEPT_INSECURE
        return frames.Accept(
            version=frames.VERSION,
            suite=frames.SUITE_AES_256_GCM,
            flags=trust | flags,
            session_id=session_id,
            cid=cid,
            udp_secret=host.random_bytes(SECRET_BYTES),
            resume_token=token,
            resume_seconds=ceil(config.resume_seconds),
            udp_port=config.advertised_udp_port or host.told_udp_port(protocol),
            received=received,
            max_frame=frames.MAX_FRAME_BYTES,
            max_datagram=MAX_DATAGRAM_BYTES,
            datagrams_per_second=config.datagrams_per_second,
            window_messages=config.window_messages,
            window_bytes=config.window_bytes,
            tick_rate_x100=max(1, round(config.tick_rate * 100)),
            max_input_hz=config.max_input_hz,
            input_bits=config.input_bits,
            player_id=player.id,
            name=player.name,
        )

    def _session(
        self, accept: frames.Accept, player: Player, exporter: bytes, home: str
    ) -> ServerSession:
        """Our end of the session that *accept* describes."""
        host = self._host
        config = host.config
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
                keys=Keyring(Schedule(accept, exporter), accept.cid, is_server=True, now=host.time),
                limits=Limits(
                    window_messages=config.window_messages,
                    window_bytes=config.window_bytes,
                    unreliable_messages=config.unreliable_messages,
                    ping_seconds=config.ping_seconds,
                    dead_seconds=config.dead_seconds,
                    udp_bind_seconds=config.udp_bind_seconds,
                    udp_owed_seconds=config.udp_owed_seconds,
                    udp_idle_seconds=config.udp_idle_seconds,
                ),
                codec=host.codec,
                turn=host.turn,
                now=host.time,
            ),
            config=config,
            random_bytes=host.random_bytes,
            home=home,
        )


def address_of(protocol: ReliableProtocol) -> str:
    """The peer's address without wrapping or scope; "" where it has none."""
    host = getattr(protocol.peer, "host", "")
    try:
        return str(unmapped(host))
    except ValueError:
        return ""


def ban_key(protocol: ReliableProtocol) -> str:
    """What a ban of the peer's address is for: IPv6 by /64, this machine's own as well."""
    return address_key(str(getattr(protocol.peer, "host", "")))


def log_out(logout: Callable[[], None]) -> None:
    """Tell a portal that its player is gone; what goes wrong there harms nobody here."""
    try:
        logout()
    except Exception:
        log.failure("the portal's logout failed")


def settle(ticket: Ticket, *, used: bool) -> None:
    """Tell a checker what became of its ticket; what goes wrong there harms nobody here."""
    try:
        ticket.settle(used)
    except Exception:
        log.failure("the settling of a ticket failed")


def _nothing() -> None:
    """The logout of a login without a portal."""

"""The server's end: joins, players, and what their game's verbs do.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 to 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any, Final, Literal

from twisted.logger import Logger

from gamenet import ports
from gamenet.addresses import join_address
from gamenet.bridge import Bridge
from gamenet.core import frames
from gamenet.core.claims import Claims
from gamenet.core.rates import FrameRates
from gamenet.core.registry import Registry
from gamenet.core.server_session import ServerSession
from gamenet.core.states import Input, State
from gamenet.errors import DISCONNECT_TEXTS, DisconnectReason, RefusalReason
from gamenet.events import Event, Joined, Left
from gamenet.gate import RESERVED_FILES, Gate, Recent
from gamenet.joining import Door, address_of, ban_key, log_out
from gamenet.server_commands import ServerCommands
from gamenet.server_verbs import ServerVerbs
from gamenet.verbs import DirectOutbox

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.cred.portal import Portal
    from twisted.python.failure import Failure

    from gamenet.config import ServerConfig
    from gamenet.core.keyring import Keyring
    from gamenet.core.seat import Seat
    from gamenet.core.session import Session
    from gamenet.low_latency import LowLatencyProtocol
    from gamenet.reliable import ReliableProtocol
    from gamenet.sinks import Sink

log = Logger()
UNJOINED_FILES: Final = 16
"""Of the connections that the process can carry, those that are kept for newcomers, so that they
can be told that the server is full."""
REST_SECONDS: Final = 0.002
"""How long at most. What comes in 2 ms from a thousand players fits the smallest buffer."""
REST_PLAYERS: Final = 16
"""With fewer, a rest would cost more than it spares."""
REST_BEFORE_SECONDS: Final = 0.001
"""So long before the game's next pass the port is read without a rest."""
GRAIN_SECONDS: Final = 1e-9
"""Rounding must not make it a tick more."""
CLIENT_REASONS: Final = frozenset(
    {
        DisconnectReason.QUIT,
        DisconnectReason.TIMEOUT,
        DisconnectReason.BAD_DATA,
        DisconnectReason.INTERNAL,
    }
)
"""What a client may give as the reason of its BYE."""


@dataclass(slots=True)
class Stay:
    """What the server keeps of a player besides the session."""

    logout: Callable[[], None]
    key: str
    """What the player's address counts as at the gate."""
    secure: bool
    rates: FrameRates | None = None
    """None until the game knows the player."""


class ServerHost(ServerCommands):
    """The conductor of a server.

    :param portal: decides who may join; None lets everybody in as a guest.
    """

    config: ServerConfig

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ServerConfig,
        portal: Portal | None,
        reactor: Any,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.verbs = ServerVerbs()
        super().__init__(sink, config, reactor, now, random_bytes)
        self.verbs._connect(self, DirectOutbox(self))
        self.registry = Registry(config.max_players, random_bytes)
        self.seats: dict[int, Seat] = {}
        """The seats of the players that the game knows or will know."""
        self.refusals: dict[RefusalReason, int] = dict.fromkeys(RefusalReason, 0)
        self.turn.tick_seconds = 1 / config.tick_rate
        if not isinstance(sink, Bridge):
            self.begin_clock()
        self._door = Door(self, portal)
        self._unjoined: dict[ReliableProtocol, None] = {}
        """Connections that have not joined, the oldest first."""
        self._stays: dict[int, Stay] = {}
        self._away: dict[ServerSession, None] = {}
        """Suspended sessions, the one that has waited longest first."""
        self.claims = Claims(config.max_players + config.max_suspended)
        """Who may come back."""
        self._bans: dict[tuple[str, str], float] = {}
        self._came_as: Recent[int, tuple[str, str]] = Recent(
            config.address_table + config.max_players, lambda: ("", "")
        )
        """Account and address of the latest players, to ban them by."""
        self.gate = Gate(config, now)
        """What one address may ask."""
        self._limit_players()
        self.closed_because: RefusalReason | None = None
        """Why nobody may join any more."""
        self.opens_again = 0.0
        """When a server that is being emptied is over at the latest, in monotonic seconds."""

    def _limit_players(self) -> None:
        """Let as many in as are to be, and as the process can carry."""
        most, wanted = self.gate.max_sockets, self.config.max_players
        self.registry.max_players = wanted
        if most is not None and wanted > most - UNJOINED_FILES:
            log.warn(
                "max_players={wanted}, but this process may have {files} files open, so at most "
                "{players} can play; raise the limit (ulimit -n, LimitNOFILE=)",
                wanted=wanted,
                files=most + RESERVED_FILES,
                players=max(1, most - UNJOINED_FILES),
            )
            self.registry.max_players = max(1, most - UNJOINED_FILES)

    def reconfigure(self, config: ServerConfig) -> None:
        """Have other settings hold from now on; those who are in keep what is theirs.

        :param config: differs only in what ``live_settings`` names.
        """
        self.config = config
        self.gate.reconfigure(config)
        self._limit_players()
        self.claims.most = config.max_players + config.max_suspended
        self._came_as.size = config.address_table + config.max_players
        self._stall.seconds = config.stall_seconds
        self.faults.limit(config.log_seconds, config.log_lines_per_second)

    def begin_clock(self) -> float:
        """Have the game clock run, which begins when its game first asks for something.

        :returns: its zero in monotonic seconds.
        """
        zero = self.turn.game_clock_zero
        if zero is None:
            zero = self.turn.game_clock_zero = self.now()
        return zero

    def align_clock(self, now: float, dt: float) -> int:
        """Have a tick begin *now*, and one each *dt* seconds; the clock goes forward for it.

        :returns: the tick's number.
        """
        turn = self.turn
        since = 0.0 if turn.game_clock_zero is None else now - turn.game_clock_zero
        number = max(1, ceil((since - GRAIN_SECONDS) / dt))
        turn.game_clock_zero, turn.tick_seconds = now - max(number * dt, since), dt
        return number

    def _observe(self, event: Event) -> None:
        self.verbs.observe(event)

    def rest_seconds(self, now: float) -> float:
        """A game that keeps a rate takes what has come at its next pass: until then datagrams are
        read a few at a time, where there are many, as each look at the port costs more than what
        it finds."""
        if self._collector is None or len(self.datagram_routes) < REST_PLAYERS:
            return 0.0
        until_pass = self.sink.next_pass - REST_BEFORE_SECONDS - now  # type: ignore[union-attr]
        return min(REST_SECONDS, until_pass)

    def sessions(self) -> Iterable[Session]:
        return self.registry.sessions

    # Joining.

    def admits(self, key: str) -> bool:
        """Whether one more connection may try to join.

        :param key: what its address counts as at the gate.
        """
        most = self.gate.max_sockets
        if most is not None and len(self._alive) >= most:
            self.counters.unjoined_refused += 1
            return False
        if not self.gate.accepts(key, self.now()):
            self.counters.address_refused += 1
            return False
        if len(self._unjoined) >= self.config.max_unjoined and not self._makes_room(key):
            self.counters.unjoined_refused += 1
            return False
        return True

    def _makes_room(self, key: str) -> bool:
        """Cut somebody who says nothing, so that many of those keep nobody else out.

        It is the oldest of the address that has the most of them. Whoever means to join has said
        so within a few round trips, and is not among them.
        """
        counts: dict[str, int] = {}
        oldest: dict[str, ReliableProtocol] = {}
        for protocol in self._unjoined:
            if protocol.state is State.AWAITING_HELLO:
                counts[protocol.key] = counts.get(protocol.key, 0) + 1
                oldest.setdefault(protocol.key, protocol)
        if not counts:
            return False
        silent = oldest[max(counts, key=counts.__getitem__)]
        self.counters.unjoined_cut += 1
        self._is_through(silent)
        self.run(silent.abort)
        return True

    def connection_made(self, protocol: ReliableProtocol) -> None:
        self._unjoined[protocol] = None
        self.gate.came(protocol.key)
        self.track(protocol)
        ports.set_tcp_buffers(
            protocol.transport, self.config.tcp_send_buffer_bytes, self.config.tcp_unsent_bytes
        )

    def _tick_sessions(self) -> None:
        self.claims.expire(self.time)
        self._let_go()
        super()._tick_sessions()

    def connection_ready(self, protocol: ReliableProtocol) -> None:
        """The peer speaks first."""

    def wrong_tls(self, protocol: ReliableProtocol) -> None:
        protocol.abort()

    def _is_through(self, protocol: ReliableProtocol) -> None:
        """It does not try to join any more."""
        if protocol in self._unjoined:
            del self._unjoined[protocol]
            self.gate.gone(protocol.key)

    def connection_lost(self, protocol: ReliableProtocol, failure: Failure) -> None:
        # Not before: a socket is a socket, refused, cut or gone.
        self._is_through(protocol)
        super().connection_lost(protocol, failure)

    def join_frame(self, protocol: ReliableProtocol, data: bytes) -> None:
        if protocol.state is State.UNCONFIRMED:
            self.confirm(protocol)
            session = protocol.session
            assert session is not None
            session.receive_frame(data, self.time)
        else:
            self._door.hello(protocol, data)

    def refuse(
        self, protocol: ReliableProtocol, reason: RefusalReason, retry_after_seconds: float = 0.0
    ) -> None:
        """Answer a join with no.

        :param retry_after_seconds: when trying again makes sense; BUSY says a second by itself.
        """
        self.refusals[reason] += 1
        # Counted as unjoined until it is closed: a socket is a socket, refused or not.
        if reason is RefusalReason.DRAINING:
            retry_after_seconds = max(1.0, self.opens_again - self.now())
        elif reason is RefusalReason.BUSY:
            retry_after_seconds = max(1.0, retry_after_seconds)
        retry = ceil(retry_after_seconds)
        protocol.finish(frames.encode_refuse(reason, retry), Input.REFUSE)

    def welcome(
        self, protocol: ReliableProtocol, session: ServerSession, logout: Callable[[], None]
    ) -> None:
        """A join is granted: the session exists, and waits for the peer to confirm it.

        :param logout: called once when the session is over.
        """
        self._stays[session.player.id] = Stay(logout, protocol.key, protocol.secure)
        self.registry.add(session)
        self.gate.joined(protocol.key)
        self._came_as.put(session.player.id, (session.player.account, ban_key(protocol)))
        self.add_session(protocol, session, State.UNCONFIRMED)

    def replace(self, session: ServerSession) -> None:
        """End a session whose player has joined again."""
        self.end_session(session, DisconnectReason.REPLACED)

    def told_udp_port(self, protocol: ReliableProtocol) -> int:
        """The UDP port for ACCEPT: 0 where it equals the port that the client dialled."""
        local = protocol.transport.getHost()
        host, dialled = getattr(local, "host", ""), getattr(local, "port", 0)
        for port in self._ports:
            bound = port.transport.getHost()
            if (":" in bound.host) == (":" in str(host)):
                return 0 if bound.port == dialled else int(bound.port)
        return 0

    def confirm(self, protocol: ReliableProtocol) -> None:
        """The peer has shown that it read ACCEPT: the game may know the player."""
        protocol.step(Input.TRAFFIC)
        protocol.expect_no_more()
        session = protocol.session
        assert isinstance(session, ServerSession)
        self._is_through(protocol)
        self._door.confirmed(protocol)
        self.claims.confirm(session)
        self.datagram_routes[session.cid] = self.newcomers.pop(session.cid)
        stay = self._stays[session.player.id]
        if stay.rates is None:
            stay.rates = self._frame_rates(session)
            self.counters.joins += 1
            self.seats[session.player.id] = session.seat
            peer = protocol.peer
            address = join_address(str(getattr(peer, "host", "")), int(getattr(peer, "port", 0)))
            self._tell(Joined(session.player, address, secure=protocol.secure))
        else:
            self._away.pop(session, None)
            self.counters.resumes += 1
            session.resumed(self.time)
        protocol.rates = stay.rates
        session.begin(self.time)

    def _frame_rates(self, session: ServerSession) -> FrameRates:
        """What a player's connections may bring; a new connection brings no new allowance."""
        config = session.config
        return FrameRates(
            config.frames_per_second,
            config.frames_burst,
            config.tcp_bytes_per_second,
            config.chats_per_second,
            config.frames_per_read,
            self.time,
        )

    def control_came(self, session: Session, port: LowLatencyProtocol) -> None:
        protocol = self.connection_of(session)
        if protocol is not None and protocol.state is State.UNCONFIRMED:
            self.confirm(protocol)
        super().control_came(session, port)

    def _tell(self, event: Event) -> None:
        """Emit what changes who is here; our own verbs know it at once beside a bridge."""
        self.turn.tell(event)
        if isinstance(self.sink, Bridge):
            self.verbs.observe(event)

    # Ends.

    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        if reason in CLIENT_REASONS:
            return reason
        # Who is kicked, or that the game failed, is not for a client to say.
        return DisconnectReason.QUIT if reason.orderly else DisconnectReason.SESSION_LOST

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        self._door.dropped(protocol)
        if isinstance(protocol.session, ServerSession):
            self._over(protocol.session, reason, text)

    def _over(self, session: ServerSession, reason: DisconnectReason, text: str) -> None:
        """Forget a session, and tell the game if it knew the player."""
        player = session.player
        if self.registry.by_player.get(player.id) is not session:
            return
        stay = self._stays.pop(player.id, None)
        if stay is None:
            return  # it is being forgotten
        # What the game has said to the player by now is the player's.
        knew = self.seats.pop(player.id, None) is not None
        self.drain()
        self.registry.remove(session)
        self.gate.left(stay.key)
        self.forget_session(session)
        session.traffic.finish()
        self._away.pop(session, None)
        if knew and reason not in (DisconnectReason.QUIT, DisconnectReason.SESSION_LOST):
            self.claims.bury(session, reason, text, self.time + session.config.resume_seconds)
        else:
            self.claims.forget(session)
        if knew:
            self.counters.leaves += 1
            self._tell(Left(player, reason, text, *session.unacknowledged()))
        log_out(stay.logout)

    def end_session(
        self, session: Session | None, reason: DisconnectReason, text: str = ""
    ) -> None:
        protocol = self.connection_of(session) if session is not None else None
        if protocol is not None:
            self.end(protocol, reason, text)
        elif isinstance(session, ServerSession):
            self._over(session, reason, text or DISCONNECT_TEXTS[reason])

    def end_all(self, reason: DisconnectReason, text: str = "") -> None:
        self.begin_turn()
        try:
            super().end_all(reason, text)
            for session in list(self._away):
                self.end_session(session, reason, text)
        finally:
            self.end_turn()

    # Sessions without a connection.

    def seconds_to_wait(self, session: Session) -> float:
        assert isinstance(session, ServerSession)
        return session.config.resume_seconds if session.player.id in self.seats else 0.0

    def left_alone(self, session: Session) -> None:
        assert isinstance(session, ServerSession)
        if session in self._away:
            return
        self._away[session] = None
        self.counters.suspensions += 1
        self.ensure_beat()

    def _let_go(self) -> None:
        """Those who have waited longest are out when too many wait.

        Done at the beat, because one who takes a connection over that still stands does not wait.
        """
        most = self.config.max_suspended
        if len(self._away) > most:
            waiting = [each for each in self._away if self.connection_of(each) is None]
            for session in waiting[: max(0, len(waiting) - most)]:
                self._over(session, DisconnectReason.SESSION_LOST, "too many others wait as well")

    @property
    def is_busy(self) -> bool:
        # Who waits is out when the time is over, also where no connection and no port is left.
        return super().is_busy or bool(self._away)

    @property
    def suspended(self) -> int:
        """Players without a connection, whose sessions wait for another."""
        return len(self._away)

    def waited_too_long(self, session: Session, reason: DisconnectReason) -> None:
        assert isinstance(session, ServerSession)
        self._over(session, reason, DISCONNECT_TEXTS[reason])
        self._check_idle()

    def key_of(self, session: ServerSession) -> str:
        """What a player's address counts as at the gate."""
        return self._stays[session.player.id].key

    def was_secure(self, session: ServerSession) -> bool:
        """Whether a session began over TLS."""
        return self._stays[session.player.id].secure

    def moved(
        self, protocol: ReliableProtocol, session: ServerSession, cid: int, keys: Keyring
    ) -> None:
        """A session goes on over another connection, maybe from another address."""
        stay = self._stays[session.player.id]
        self.gate.left(stay.key)
        stay.key = protocol.key
        self.gate.joined(stay.key)
        self._came_as.put(session.player.id, (session.player.account, ban_key(protocol)))
        self.forget_session(session)
        self.registry.move(session, cid)
        session.take_keys(cid, keys)
        session.move(address_of(protocol))

    def refuse_newcomers(self, reason: RefusalReason = RefusalReason.BUSY) -> None:
        """Let nobody join any more."""
        self.closed_because = reason

    def can_ban(self, player_id: int) -> bool:
        """Whether it still is known by what to ban a player."""
        return any(self._came_as.peek(player_id) or ())

    def ban(self, player_id: int, seconds: float) -> None:
        account, address = self._came_as.get(player_id)
        bans = {key: until for key, until in self._bans.items() if until > self.time}
        who = (("account", account), ("address", address))
        bans.update((key, self.time + seconds) for key in who if key[1])
        self._bans = bans

    def is_banned(self, kind: Literal["account", "address"], value: str) -> bool:
        """Whether an account or address is to stay out."""
        return self.time < self._bans.get((kind, value), 0.0)

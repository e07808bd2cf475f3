"""The players of a server: their sessions, with and without a connection, and how they end.

Layer 3. Runs on: the reactor thread. PROTOCOL section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from gamenet.addresses import join_address
from gamenet.bridge import Bridge
from gamenet.core.claims import Claims
from gamenet.core.rates import FrameRates
from gamenet.core.registry import Registry
from gamenet.core.server_session import ServerSession
from gamenet.core.states import State
from gamenet.errors import DISCONNECT_TEXTS, DisconnectReason
from gamenet.events import Event, Joined, Left
from gamenet.gate import Gate, Recent
from gamenet.joining import address_of, ban_key, log_out
from gamenet.server_commands import ServerCommands
from gamenet.server_verbs import ServerVerbs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.config import ServerConfig
    from gamenet.core.keyring import Keyring
    from gamenet.core.seat import Seat
    from gamenet.core.session import Session
    from gamenet.reliable import ReliableProtocol
    from gamenet.sinks import Sink

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


class ServerPlayers(ServerCommands):
    """Knows who is in, who waits to come back, and who is to stay out."""

    config: ServerConfig

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ServerConfig,
        reactor: Any,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.verbs = ServerVerbs()
        super().__init__(sink, config, reactor, now, random_bytes)
        self.registry = Registry(config.max_players, random_bytes)
        self.seats: dict[int, Seat] = {}
        """The seats of the players that the game knows or will know."""
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

    def reconfigure(self, config: ServerConfig) -> None:
        """Have other settings hold from now on; those who are in keep what is theirs."""
        self.config = config
        self.gate.reconfigure(config)
        self.claims.most = config.max_players + config.max_suspended
        self._came_as.size = config.address_table + config.max_players

    def sessions(self) -> Iterable[Session]:
        return self.registry.sessions

    def _tick_sessions(self) -> None:
        self.claims.expire(self.time)
        self._let_go()
        super()._tick_sessions()

    def _observe(self, event: Event) -> None:
        self.verbs.observe(event)

    def _tell(self, event: Event) -> None:
        """Emit what changes who is here; our own verbs know it at once beside a bridge."""
        self.turn.tell(event)
        if isinstance(self.sink, Bridge):
            self.verbs.observe(event)

    # Coming.

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

    def _came(self, protocol: ReliableProtocol, session: ServerSession) -> None:
        """A player is in, or back: the game may know."""
        stay = self._stays[session.player.id]
        if stay.rates is None:
            stay.rates = _frame_rates(session, self.time)
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

    def replace(self, session: ServerSession) -> None:
        """End a session whose player has joined again."""
        self.end_session(session, DisconnectReason.REPLACED)

    def key_of(self, session: ServerSession) -> str:
        """What a player's address counts as at the gate."""
        return self._stays[session.player.id].key

    def was_secure(self, session: ServerSession) -> bool:
        """Whether a session began over TLS."""
        return self._stays[session.player.id].secure

    # Without a connection.

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

    # Ends.

    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        if reason in CLIENT_REASONS:
            return reason
        # Who is kicked, or that the game failed, is not for a client to say.
        return DisconnectReason.QUIT if reason.orderly else DisconnectReason.SESSION_LOST

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

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
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

    # Kept out.

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


def _frame_rates(session: ServerSession, now: float) -> FrameRates:
    """What a player's connections may bring; a new connection brings no new allowance."""
    config = session.config
    return FrameRates(
        config.frames_per_second,
        config.frames_burst,
        config.tcp_bytes_per_second,
        config.chats_per_second,
        config.frames_per_read,
        now,
    )

"""The server's end: joins, players, and what their game's verbs do.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 to 3.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Literal

from twisted.internet.protocol import ServerFactory

from gamenet import ports
from gamenet.addresses import join_address
from gamenet.bridge import Bridge
from gamenet.core import frames
from gamenet.core.registry import Registry
from gamenet.core.server_session import ServerSession
from gamenet.core.states import Input, State
from gamenet.errors import ConfigError, DisconnectReason, RefusalReason
from gamenet.events import Event, Joined, Left, Quality
from gamenet.host import Host, quality_of
from gamenet.joining import Door, address_of, log_out
from gamenet.low_latency import LowLatencyProtocol
from gamenet.reliable import ReliableProtocol
from gamenet.server_verbs import ServerVerbs
from gamenet.verbs import DirectOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from twisted.cred.portal import Portal
    from twisted.internet.interfaces import IAddress, IListeningPort

    from gamenet.config import ServerConfig
    from gamenet.core.seat import Seat
    from gamenet.core.session import Session
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


class ServerHost(Host):
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
        self.started = now()
        """Zero of the game clock, in monotonic seconds."""
        self._door = Door(self, portal)
        self._unjoined: set[ReliableProtocol] = set()
        self._logouts: dict[int, Callable[[], None]] = {}
        self._bans: dict[tuple[str, str], float] = {}
        self.closed_because: RefusalReason | None = None
        """Why nobody may join any more."""

    def _observe(self, event: Event) -> None:
        self.verbs.observe(event)

    def sessions(self) -> Iterable[Session]:
        return self.registry.sessions

    # Joining.

    def admit(self) -> bool:
        """Whether one more connection may try to join."""
        if len(self._unjoined) >= self.config.max_unjoined:
            self.counters.unjoined_refused += 1
            return False
        return True

    def connection_made(self, protocol: ReliableProtocol) -> None:
        self._unjoined.add(protocol)
        self.track(protocol)

    def join_frame(self, protocol: ReliableProtocol, data: bytes) -> None:
        if protocol.state is State.UNCONFIRMED:
            self._confirm(protocol)
            session = protocol.session
            assert session is not None
            session.receive_frame(data, self.time)
        else:
            self._door.hello(protocol, data)

    def refuse(self, protocol: ReliableProtocol, reason: RefusalReason) -> None:
        """Answer a join with no."""
        self.refusals[reason] += 1
        # Counted as unjoined until it is closed: a socket is a socket, refused or not.
        retry = 1 if reason is RefusalReason.BUSY else 0
        protocol.finish(frames.encode_refuse(reason, retry), Input.REFUSE)

    def welcome(
        self, protocol: ReliableProtocol, session: ServerSession, logout: Callable[[], None]
    ) -> None:
        """A join is granted: the session exists, and waits for the peer to confirm it.

        :param logout: called once when the session is over.
        """
        self._logouts[session.player.id] = logout
        self.registry.add(session)
        self.add_session(protocol, session, State.UNCONFIRMED)

    def replace(self, session: ServerSession) -> None:
        """End a session whose player has joined again."""
        self._end_session(session, DisconnectReason.REPLACED)

    def told_udp_port(self, protocol: ReliableProtocol) -> int:
        """The UDP port for ACCEPT: 0 where it equals the port that the client dialled."""
        local = protocol.transport.getHost()
        host, dialled = getattr(local, "host", ""), getattr(local, "port", 0)
        for port in self._ports:
            bound = port.transport.getHost()
            if (":" in bound.host) == (":" in str(host)):
                return 0 if bound.port == dialled else int(bound.port)
        return 0

    def _confirm(self, protocol: ReliableProtocol) -> None:
        """The peer has shown that it read ACCEPT: the game may know the player."""
        protocol.step(Input.TRAFFIC)
        protocol.expect_no_more()
        session = protocol.session
        assert session is not None
        self._unjoined.discard(protocol)
        self.counters.joins += 1
        self.seats[session.player.id] = session.seat
        self.datagram_routes[session.cid] = self.newcomers.pop(session.cid)
        peer = protocol.peer
        address = join_address(str(getattr(peer, "host", "")), int(getattr(peer, "port", 0)))
        self._tell(Joined(session.player, address, secure=False))

    def control_came(self, session: Session, port: LowLatencyProtocol) -> None:
        protocol = self.connection_of(session)
        if protocol is not None and protocol.state is State.UNCONFIRMED:
            self._confirm(protocol)
        super().control_came(session, port)

    def _tell(self, event: Event) -> None:
        """Emit what changes who is here; our own verbs know it at once beside a bridge."""
        self.turn.emit(event)
        if isinstance(self.sink, Bridge):
            self.verbs.observe(event)

    # Ends.

    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        if reason in CLIENT_REASONS:
            return reason
        # Who is kicked, or that the game failed, is not for a client to say.
        return DisconnectReason.QUIT if reason.orderly else DisconnectReason.SESSION_LOST

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        self._unjoined.discard(protocol)
        session = protocol.session
        if session is None:
            return
        if self.registry.by_player.get(session.player.id) is not session:
            return
        assert isinstance(session, ServerSession)
        player = session.player
        self.registry.remove(session)
        self.forget_session(session)
        if self.seats.pop(player.id, None) is not None:
            self.counters.leaves += 1
            self._tell(Left(player, reason, text, *session.unacknowledged()))
        logout = self._logouts.pop(player.id, None)
        if logout is not None:
            log_out(logout)

    def _end_session(
        self, session: Session | None, reason: DisconnectReason, text: str = ""
    ) -> None:
        protocol = self.connection_of(session) if session is not None else None
        if protocol is not None:
            self.end(protocol, reason, text)

    def refuse_newcomers(self, reason: RefusalReason = RefusalReason.BUSY) -> None:
        """Let nobody join any more."""
        self.closed_because = reason

    def is_banned(self, kind: Literal["account", "address"], value: str) -> bool:
        """Whether an account or address is to stay out."""
        return self.time < self._bans.get((kind, value), 0.0)

    # What verbs do here.

    def fetch(self, bridge: Bridge) -> None:
        states = bridge.states
        sessions = self.registry.by_player
        # Until empty, so that one that was put here meanwhile is not left behind; but not for ever.
        for _ in range(2 * len(sessions) + len(states)):
            if not states:
                return
            player_id, fields = states.popitem()
            session = sessions.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += 1
            else:
                session.queue_state(*fields)

    def queue_state(self, player_id: int, fields: tuple[Any, ...]) -> None:
        """Make this a player's newest state."""
        session = self.registry.by_player.get(player_id)
        if session is None:
            self.counters.drop_verb_gone += 1
        else:
            session.queue_state(*fields)

    def queue_frame(self, player_ids: Collection[int], frame: bytes) -> None:
        """Queue one DATA or SAY frame for each of these players."""
        for player_id in player_ids:
            session = self.registry.by_player.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += 1
            else:
                session.queue_frame(frame)

    def queue_unreliable(self, player_ids: Collection[int], flag: int, payload: bytes) -> None:
        """Queue one unreliable message for each of these players."""
        for player_id in player_ids:
            session = self.registry.by_player.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += 1
            else:
                session.queue_unreliable(flag, payload)

    def kick(self, player_id: int, reason: DisconnectReason, text: str, ban_seconds: float) -> None:
        """End a player's session, and keep account and address out for a while."""
        session = self.registry.by_player.get(player_id)
        if session is None:
            self.counters.drop_verb_gone += 1
            return
        protocol = self.connection_of(session)
        if ban_seconds > 0 and protocol is not None:
            bans = {key: until for key, until in self._bans.items() if until > self.time}
            who = (("account", session.player.account), ("address", address_of(protocol)))
            bans.update((key, self.time + ban_seconds) for key in who if key[1])
            self._bans = bans
        self._end_session(session, reason, text)

    def cut_slow(self, player_id: int) -> None:
        """End the session of a player whose queue is far over its cap."""
        self._end_session(self.registry.by_player.get(player_id), DisconnectReason.SLOW_CONSUMER)

    def quality(self, player_id: int) -> Quality | None:
        """The path to a player; from any thread."""
        session = self.registry.by_player.get(player_id)
        return None if session is None else quality_of(session)


class GameServerFactory(ServerFactory):
    """A game server for those who own the reactor: listen with it, then ``listen_udp``.

    :param sink: a :class:`~gamenet.bridge.Bridge` for a game thread, or any object with
        ``offer(event) -> bool`` called on the reactor thread.
    :param config: its ``listen`` and ``udp`` are not used; you listen.
    :param portal: a ``twisted.cred`` portal whose realm gives
        :class:`~gamenet.credentials.IPlayerAvatar`; None lets everybody in as a guest.
    :raises ConfigError: if the config asks for security that this version does not have.
    """

    noisy = False

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ServerConfig,
        *,
        portal: Portal | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if not config.insecure:
            raise ConfigError(
                "insecure",
                "this version has no TLS yet: say insecure=True (--insecure) to play over plain "
                "TCP, on this machine only unless insecure_anywhere=True",
            )
        if reactor is None:
            from twisted.internet import reactor
        self.host = ServerHost(sink, config, portal, reactor, now, random_bytes)

    @property
    def verbs(self) -> ServerVerbs:
        """The server's verbs, for use on the reactor thread."""
        return self.host.verbs

    def buildProtocol(self, addr: IAddress | None) -> ReliableProtocol | None:
        """Called by Twisted for each connection; None closes it."""
        if not self.host.admit():
            return None
        protocol = ReliableProtocol(self.host, State.AWAITING_HELLO)
        protocol.factory = self
        return protocol

    def listen_udp(self, port: int, interface: str = "") -> IListeningPort:
        """Open the UDP side: a port that reads a bounded number of datagrams a turn.

        :raises twisted.internet.error.CannotListenError: if the address is taken.
        """
        return ports.listen(
            self.host.reactor,
            port,
            LowLatencyProtocol(self.host),
            interface,
            budget=self.host.config.datagrams_per_turn,
            buffer_bytes=self.host.config.udp_buffer_bytes,
        )

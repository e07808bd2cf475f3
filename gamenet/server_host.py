"""The server's end: its clock, who may try to join, and how a join comes about.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 to 3.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from gamenet import ports
from gamenet.bridge import Bridge
from gamenet.core import frames
from gamenet.core.server_session import ServerSession
from gamenet.core.states import Input, State
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.gate import RESERVED_FILES
from gamenet.joining import Door
from gamenet.server_players import ServerPlayers
from gamenet.verbs import DirectOutbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.cred.portal import Portal
    from twisted.python.failure import Failure

    from gamenet.config import ServerConfig
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


class ServerHost(ServerPlayers):
    """The conductor of a server.

    :param portal: decides who may join; None lets everybody in as a guest.
    """

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ServerConfig,
        portal: Portal | None,
        reactor: Any,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(sink, config, reactor, now, random_bytes)
        self.verbs._connect(self, DirectOutbox(self))
        self.refusals: dict[RefusalReason, int] = dict.fromkeys(RefusalReason, 0)
        self.turn.tick_seconds = 1 / config.tick_rate
        if not isinstance(sink, Bridge):
            self.begin_clock()
        self._door = Door(self, portal)
        self._unjoined: dict[ReliableProtocol, None] = {}
        """Connections that have not joined, the oldest first."""
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
        super().reconfigure(config)
        self._limit_players()
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

    def rest_seconds(self, now: float) -> float:
        """A game that keeps a rate takes what has come at its next pass: until then datagrams are
        read a few at a time, where there are many, as each look at the port costs more than what
        it finds."""
        if self._collector is None or len(self.datagram_routes) < REST_PLAYERS:
            return 0.0
        until_pass = self.sink.next_pass - REST_BEFORE_SECONDS - now  # type: ignore[union-attr]
        return min(REST_SECONDS, until_pass)

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
        self._came(protocol, session)

    def control_came(self, session: Session, port: LowLatencyProtocol) -> None:
        protocol = self.connection_of(session)
        if protocol is not None and protocol.state is State.UNCONFIRMED:
            self.confirm(protocol)
        super().control_came(session, port)

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        self._door.dropped(protocol)
        super().session_over(protocol, reason, text)

    def refuse_newcomers(self, reason: RefusalReason = RefusalReason.BUSY) -> None:
        """Let nobody join any more."""
        self.closed_because = reason

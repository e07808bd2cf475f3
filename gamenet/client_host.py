"""The client's end: one session, the connection that carries it, one UDP port.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 to 3.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gamenet import ports
from gamenet.bridge import Bridge
from gamenet.client_commands import ClientCommands, TooLate
from gamenet.client_verbs import ClientVerbs
from gamenet.core import frames
from gamenet.core.client_session import ClientSession
from gamenet.core.keyring import Keyring
from gamenet.core.record import Schedule
from gamenet.core.seat import Seat
from gamenet.core.setup import Limits, Setup
from gamenet.core.states import Input, State
from gamenet.core.text import clean
from gamenet.credentials import Secret
from gamenet.errors import (
    DISCONNECT_TEXTS,
    REFUSAL_TEXTS,
    DisconnectReason,
    RefusalReason,
    RemoteProtocolError,
)
from gamenet.events import SERVER, Connected, Disconnected, Player
from gamenet.low_latency import LowLatencyProtocol
from gamenet.verbs import DirectOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.interfaces import IListeningPort
    from twisted.python.failure import Failure

    from gamenet.config import ClientConfig
    from gamenet.core.path import Address
    from gamenet.core.session import Session
    from gamenet.events import Event
    from gamenet.events import State as WorldState
    from gamenet.redial import Dialler
    from gamenet.reliable import ReliableProtocol
    from gamenet.sinks import Sink

log = Logger()


HUNG_UP: Final = "the server closed the connection before answering"
HUNG_UP_PLAIN: Final = (
    "the server hung up without answering; if it has TLS, leave --insecure (insecure=True) out"
)


TRIED_AGAIN: Final = frozenset({DisconnectReason.SESSION_LOST, DisconnectReason.TIMEOUT})
"""How an attempt to get the connection back may end without ending the session."""


class ClientHost(ClientCommands):
    """The conductor of a client.

    :param user: the name to ask for; "" has the server name a guest.
    :param secret: what proves it; forgotten once the server has let us in.
    """

    config: ClientConfig

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ClientConfig,
        user: str,
        secret: Secret,
        reactor: Any,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(sink, config, reactor, now, random_bytes)
        self.verbs = ClientVerbs()
        self.verbs._connect(self, DirectOutbox(self))
        self.user = user
        self._secret = secret
        self._problem: str | None = None
        """What was wrong with TLS, in words for a player."""
        self.player = SERVER
        self.seat: Seat | None = None
        """The place of the running session; None before it and after it."""
        self.sending = threading.RLock()
        """Held while a reliable message is queued, and while the place is given up: so each is
        either with the session when it ends, or too late."""
        self.too_late = TooLate()
        self.ever_joined = False
        self.over = False
        self._is_ending = False
        self.retry_after_seconds = 0.0
        self.input_bits = config.input_bits or 16
        self.max_input_hz = 120
        self.tick_rate = 0.0
        self.state: WorldState | None = None
        self.dialler: Dialler | None = None
        """Gets lost connections back; None if whoever connects does it once."""
        self._session: ClientSession | None = None
        self._token = b""
        """What the session can be resumed with."""
        self._resume_seconds = 0.0
        self._rejoin_until: float | None = None
        """While the client joins anew by itself: when it gives up."""
        self._connection: ReliableProtocol | None = None
        """The newest connection."""
        self._udp: IListeningPort | None = None

    def sessions(self) -> Iterable[Session]:
        return () if self._session is None or self.over else (self._session,)

    def _observe(self, event: Event) -> None:
        pass

    # Joining.

    def connection_made(self, protocol: ReliableProtocol) -> None:
        self.track(protocol)
        self._connection = protocol
        if self.over:
            protocol.abort()

    def connection_ready(self, protocol: ReliableProtocol) -> None:
        if self.over:
            return
        if not protocol.secure and not self.config.insecure:
            protocol.abort()
            self._disconnected(
                DisconnectReason.REFUSED,
                "this connection has no TLS, and insecure=True was not given",
                RefusalReason.INSECURE,
            )
            return
        hello = frames.Hello(
            min_version=frames.VERSION,
            max_version=frames.VERSION,
            suites=1 << (frames.SUITE_AES_256_GCM - 1),
            flags=frames.HELLO_WANTS_UDP
            | (frames.HELLO_ACCEPTS_INSECURE if self.config.insecure else 0),
            schema_hash=self.codec.schema_hash,
            input_bits=self.config.input_bits,
            mechanism=self._secret.mechanism,
            game=self.config.game_name,
            user=self.user,
            auth=self._secret.data,
        )
        session = self._session
        if session is not None:
            back = frames.Resume(session.session_id, self._token, session.incoming.received)
            hello = hello._replace(mechanism=frames.ANONYMOUS, auth=b"", resume=back)
        protocol.send_frames([frames.encode_hello(hello)])

    def wrong_tls(self, protocol: ReliableProtocol) -> None:
        self._problem = "the server's TLS is older than 1.3; it must be updated"
        protocol.abort()

    def connection_lost(self, protocol: ReliableProtocol, failure: Failure) -> None:
        if not self.ever_joined and self._problem is None and protocol.is_tls:
            # Here, because it brings OpenSSL's binding with it, which plain TCP does without.
            from gamenet.tls_problems import explain

            self._problem = explain(failure)
        super().connection_lost(protocol, failure)

    def join_frame(self, protocol: ReliableProtocol, data: bytes) -> None:
        kind = data[0] if data else 0
        if kind == frames.Kind.REFUSE:
            reason, retry = frames.decode_refuse(data)
            protocol.step(Input.REFUSE)
            protocol.close_quietly()
            self._refused(reason, float(retry))
        elif kind == frames.Kind.ACCEPT:
            accept = frames.decode_accept(data)
            if bool(accept.flags & frames.ACCEPT_EXPORTER) != protocol.secure or bool(
                accept.flags & frames.ACCEPT_INSECURE
            ) != (not protocol.secure):
                raise RemoteProtocolError("ACCEPT says something else about TLS than is the case")
            if self._session is None:
                protocol.step(Input.ACCEPT)
                protocol.expect_no_more()
                self._accepted(protocol, accept)
            else:
                self._resumed(protocol, self._session, accept)
        else:
            protocol.step(Input.TRAFFIC)

    def _accepted(self, protocol: ReliableProtocol, accept: frames.Accept) -> None:
        config = self.config
        self.input_bits = accept.input_bits
        self.max_input_hz = accept.max_input_hz
        self.tick_rate = accept.tick_rate_x100 / 100
        self.player = Player(accept.player_id, clean(accept.name), "", self.home)
        seat = Seat(
            self.player,
            accept.window_messages + config.queue_messages,
            accept.window_bytes + config.queue_bytes,
        )
        exporter = protocol.exporter(accept.session_id + accept.cid.to_bytes(4, "big"))
        session = ClientSession(
            Setup(
                player=self.player,
                author=SERVER,
                seat=seat,
                session_id=accept.session_id,
                cid=accept.cid,
                keys=Keyring(
                    Schedule(accept, exporter), accept.cid, is_server=False, now=self.time
                ),
                limits=Limits(
                    window_messages=accept.window_messages,
                    window_bytes=accept.window_bytes,
                    unreliable_messages=config.unreliable_messages,
                    ping_seconds=config.ping_seconds,
                    dead_seconds=config.dead_seconds,
                    udp_bind_seconds=config.udp_bind_seconds,
                    udp_owed_seconds=config.udp_owed_seconds,
                    udp_idle_seconds=config.udp_idle_seconds,
                ),
                codec=self.codec,
                turn=self.turn,
                now=self.time,
            ),
            address=self._udp_address(protocol, accept.udp_port),
            longest_pause_seconds=config.bind_retry_seconds,
            datagrams_per_second=accept.datagrams_per_second,
            input_bits=accept.input_bits,
            tick_rate=self.tick_rate,
            take_state=self._take_state,
            seen_state=self._seen_state,
        )
        self._session = session
        self._connected(protocol, accept)
        self.add_session(protocol, session, State.OPEN)
        session.confirm_received()
        self.seat = seat
        self.ever_joined = True
        self._rejoin_until = None
        if not self._may_rejoin:
            self._secret = Secret()
        self.turn.emit(Connected(self.player, secure=protocol.secure))
        self._open_udp(session)

    def _connected(self, protocol: ReliableProtocol, accept: frames.Accept) -> None:
        """This connection serves; with the next it takes another token."""
        self._token = accept.resume_token
        self._resume_seconds = float(accept.resume_seconds)
        if self.dialler is not None:
            self.dialler.rest()

    def _resumed(
        self, protocol: ReliableProtocol, session: ClientSession, accept: frames.Accept
    ) -> None:
        """The session goes on over *protocol*."""
        if (
            not accept.flags & frames.ACCEPT_RESUMED
            or accept.session_id != session.session_id
            or accept.player_id != self.player.id
            or not session.outgoing.resumes_at(accept.received)
        ):
            raise RemoteProtocolError("ACCEPT of another session than the one to resume")
        protocol.step(Input.ACCEPT)
        protocol.expect_no_more()
        exporter = protocol.exporter(accept.session_id + accept.cid.to_bytes(4, "big"))
        keys = Keyring(Schedule(accept, exporter), accept.cid, is_server=False, now=self.time)
        self.forget_session(session)
        self._connected(protocol, accept)
        session.take_keys(accept.cid, keys)
        session.reach(
            self._udp_address(protocol, accept.udp_port), self.config.bind_retry_seconds, self.time
        )
        session.reconnected(accept.received, self.time)
        self.add_session(protocol, session, State.OPEN)
        session.resumed(self.time)
        self.counters.resumes += 1
        self._open_udp(session)

    def _udp_address(self, protocol: ReliableProtocol, port: int) -> Address:
        """The host that TCP reached, and the port that ACCEPT named or TCP dialled."""
        peer = protocol.peer
        host, dialled = str(peer.host), int(peer.port)
        if ":" in host:
            return host, port or dialled, getattr(peer, "flowInfo", 0), getattr(peer, "scopeID", 0)
        return host, port or dialled

    def _open_udp(self, session: ClientSession) -> None:
        """Open our own port, of the server's family, unconnected; unless there is one."""
        session.next_tick = 0.0
        interface = "::" if ":" in session.path.address[0] else "0.0.0.0"
        if self._udp is not None:
            bound: Any = self._udp.getHost()
            if (":" in bound.host) == (":" in interface):
                self.run(self._tick_sessions)
                return
            maybeDeferred(self._udp.stopListening)
            self._udp = None
        try:
            self._udp = ports.listen(
                self.reactor,
                0,
                LowLatencyProtocol(self),
                interface,
                budget=self.config.datagrams_per_turn,
                buffer_bytes=self.config.udp_buffer_bytes,
            )
        except (CannotListenError, OSError) as error:
            log.warn("no UDP port can be opened, playing on without: {error}", error=str(error))
        self.run(self._tick_sessions)

    # Ends.

    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        return reason

    @property
    def _is_waiting(self) -> bool:
        """Whether another connection is being tried for."""
        session = self._session
        if self.over or self.dialler is None:
            return False
        return self._rejoin_until is not None or (session is not None and session.is_suspended)

    @property
    def is_busy(self) -> bool:
        return super().is_busy or self._is_waiting

    def seconds_to_wait(self, session: Session) -> float:
        return self._resume_seconds if self.dialler is not None else 0.0

    def left_alone(self, session: Session) -> None:
        assert self.dialler is not None
        self.counters.suspensions += 1
        self._connection = None
        self.ensure_beat()
        self.dialler.again()

    def waited_too_long(self, session: Session, reason: DisconnectReason) -> None:
        self._lost(DISCONNECT_TEXTS[reason], None)

    def dismissed(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        # Whatever the reason: who has been told to go does not come back.
        if protocol is self._connection:
            self._disconnected(reason, text)

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        if protocol is not self._connection:
            return  # an earlier one
        if self._is_waiting and protocol.session is None and reason in TRIED_AGAIN:
            assert self.dialler is not None
            self._connection = None
            self._again(text)
            return
        if reason is DisconnectReason.SESSION_LOST and not self.ever_joined:
            reason = DisconnectReason.UNREACHABLE
            text = self._problem or (HUNG_UP if protocol.is_tls else HUNG_UP_PLAIN)
        self._disconnected(reason, text or DISCONNECT_TEXTS[reason])

    def dial_failed(self, text: str) -> None:
        """An attempt to connect came to nothing."""
        if self._is_waiting:
            self.run(self._again, text)
        else:
            self.unreachable(text)

    def _again(self, text: str, at_least: float = 0.0) -> None:
        """Try once more after a pause, unless it is too late to join anew."""
        assert self.dialler is not None
        if self._rejoin_until is not None and self.time + at_least >= self._rejoin_until:
            self._disconnected(DisconnectReason.UNREACHABLE, text)
        else:
            self.dialler.again(at_least)

    def _refused(self, reason: RefusalReason, retry: float) -> None:
        self.retry_after_seconds = retry
        self._connection = None
        if self._is_waiting and reason in (RefusalReason.BUSY, RefusalReason.DRAINING):
            self._again(REFUSAL_TEXTS[reason], retry)
        elif self._session is not None and reason is RefusalReason.NO_SESSION:
            self._lost(REFUSAL_TEXTS[reason], reason)
        else:
            self._disconnected(DisconnectReason.REFUSED, REFUSAL_TEXTS[reason], reason)

    def _lost(self, text: str, refusal: RefusalReason | None) -> None:
        """The session cannot be continued: that was all, or a new one begins."""
        session = self._session
        if session is None or not self._may_rejoin or self.dialler is None:
            self._disconnected(DisconnectReason.SESSION_LOST, text, refusal)
            return
        self._close_seat()
        self.forget_session(session)
        self._session = None
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()
        self.turn.emit(
            Disconnected(
                self.player,
                DisconnectReason.SESSION_LOST,
                text,
                refusal,
                *session.unacknowledged(),
                rejoining=True,
            )
        )
        self._forget_state()
        self.verbs.begin_again()
        self._rejoin_until = self.time + self._resume_seconds
        self.dialler.rest()
        self._again(text)

    @property
    def _may_rejoin(self) -> bool:
        return self.config.rejoin and self._secret.mechanism != frames.TICKET

    def unreachable(self, text: str) -> None:
        """No connection came about."""
        self.run(self._disconnected, DisconnectReason.UNREACHABLE, text)

    def _disconnected(
        self, reason: DisconnectReason, text: str, refusal: RefusalReason | None = None
    ) -> None:
        if self._is_ending:
            return
        self._is_ending = True
        self._close_seat()
        self.over = True
        self._secret = Secret()
        left: tuple[Any, int] = ((), 0)
        if self._session is not None:
            left = self._session.unacknowledged()
            self.forget_session(self._session)
        self.turn.emit(Disconnected(self.player, reason, text, refusal, *left))
        udp, self._udp = self._udp, None
        if udp is not None:
            maybeDeferred(udp.stopListening)
        if self.dialler is not None:
            self.dialler.stop()
        connection = self._connection
        if connection is not None and connection.state is State.AWAITING_ACCEPT:
            connection.abort()
        self._check_idle()

    def _close_seat(self) -> None:
        """Nothing more is queued; what has been is with the session from here on."""
        with self.sending:
            self.seat = None
            # A game on this thread is told before it can say anything more.
            self.too_late = TooLate(is_told=not isinstance(self.sink, Bridge))
        self.drain()

    def leave(self) -> None:
        """Say BYE and close, or give up an attempt that is still under way."""
        self.end_all(DisconnectReason.QUIT)
        self.run(self._disconnected, DisconnectReason.QUIT, DISCONNECT_TEXTS[DisconnectReason.QUIT])

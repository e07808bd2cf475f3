"""The conductor of the reactor thread: ports, connections, flushes, and how sessions end.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from gamenet.core import frames
from gamenet.core.states import Input, State
from gamenet.core.text import clean
from gamenet.errors import DISCONNECT_TEXTS, DisconnectReason, RemoteProtocolError, WireError
from gamenet.events import Quality
from gamenet.faults import DEFECT, shown
from gamenet.messages import Codec
from gamenet.sinks import OfferSink, Sink
from gamenet.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.python.failure import Failure

    from gamenet.bridge import Bridge
    from gamenet.core.session import Session
    from gamenet.low_latency import LowLatencyProtocol
    from gamenet.reliable import ReliableProtocol
    from gamenet.settings import CommonConfig

log = Logger()


class Host(Turns):
    """What the server's and the client's reactor sides have in common.

    :param sink: a :class:`~gamenet.bridge.Bridge`, or anything with ``offer(event) -> bool``.
    :param reactor: the reactor that runs, or a simulated one.
    :param now: monotonic seconds; never the reactor's wall clock.
    :param random_bytes: source of keys, ids and challenges.
    """

    def __init__(
        self,
        sink: Bridge | Sink,
        config: CommonConfig,
        reactor: Any,
        now: Callable[[], float],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        super().__init__(sink, config, reactor, now)
        self.random_bytes = random_bytes
        self.codec = Codec(config.messages)
        self.home = object()
        """Marks the players that this host issued."""
        self.datagram_routes: dict[int, Session] = {}
        """Sessions by connection id."""
        self.newcomers: dict[int, Session] = {}
        """Those that the game does not know yet: a datagram may show that ACCEPT was read, but
        nothing that comes in one may reach the game before ``Joined``."""
        self._session_ports: dict[int, LowLatencyProtocol] = {}
        self._connections: dict[int, ReliableProtocol] = {}
        self._alive: set[ReliableProtocol] = set()
        self._ports: list[LowLatencyProtocol] = []
        self._idle: list[Deferred[None]] = []

    # What a side adds.

    @abstractmethod
    def connection_made(self, protocol: ReliableProtocol) -> None:
        """A TCP connection stands."""

    @abstractmethod
    def connection_ready(self, protocol: ReliableProtocol) -> None:
        """Frames may go: it is plain TCP, or TLS stands."""

    @abstractmethod
    def wrong_tls(self, protocol: ReliableProtocol) -> None:
        """TLS stands, but not in version 1.3."""

    @abstractmethod
    def join_frame(self, protocol: ReliableProtocol, data: bytes) -> None:
        """A frame came before the join was through.

        :raises RemoteProtocolError: if it may not come now.
        """

    @abstractmethod
    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        """The connection's session, if it had one, is over: forget it and tell the game."""

    @abstractmethod
    def waited_too_long(self, session: Session, reason: DisconnectReason) -> None:
        """No other connection came for a suspended session: it is over."""

    @abstractmethod
    def seconds_to_wait(self, session: Session) -> float:
        """How long a session that loses its connection may wait for another; 0 for not at all."""

    @abstractmethod
    def left_alone(self, session: Session) -> None:
        """A session has lost its connection and waits."""

    @abstractmethod
    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        """The reason of a peer's BYE as this side may believe it."""

    @abstractmethod
    def sessions(self) -> Iterable[Session]:
        """Every session there is."""

    def _flush(self) -> None:
        turn = self.turn
        dirty, turn.dirty = turn.dirty, []
        now, connection_of, port_of = self.time, self._connections.get, self._session_ports.get
        for session in dirty:
            session.dirty = False
            connection = connection_of(session.cid)
            if connection is None and not session.is_suspended:
                continue  # it ended within the turn
            try:
                if session.tunnelled:
                    session.tunnel.writable = connection is not None and connection.writable
                out = session.datagrams_to_send(now)
                if out:
                    port = port_of(session.cid) or self._first_port(session)
                    if port is not None:
                        for data, address in out:
                            port.send(data, address)
                # What waits for a peer that does not read is bounded by the window; a PONG or an
                # ACK more for each of its frames would not be.
                if session.frames_due and connection is not None and connection.writable:
                    frames_out = session.frames_to_send(now)
                    if frames_out:
                        connection.send_frames(frames_out)
            except Exception:
                self.failed(DEFECT)

    def _first_port(self, session: Session) -> LowLatencyProtocol | None:
        """The port of a session that has not heard a datagram yet."""
        return self._ports[0] if self._ports else None

    # Time.

    def _tick_sessions(self) -> None:
        if isinstance(self.sink, OfferSink):
            self.sink.push()
        now = self.time
        # A list, because a session that ends is forgotten while we go through them.
        for session in [session for session in self.sessions() if session.next_tick <= now]:
            try:
                reason = session.tick(now)
            except Exception:
                self.failed(DEFECT)
                reason = DisconnectReason.INTERNAL
            if reason is not None:
                self._time_is_up(session, reason)

    def _time_is_up(self, session: Session, reason: DisconnectReason) -> None:
        connection = self._connections.get(session.cid)
        if connection is None:
            self.waited_too_long(session, reason)
        elif reason is DisconnectReason.TIMEOUT and self._unplug(connection, session, reason):
            connection.abort()
        else:
            self.end(connection, reason)

    @property
    def is_busy(self) -> bool:
        """Whether a connection or a UDP port is left."""
        return bool(self._alive or self._ports)

    # Ports and connections.

    def rest_seconds(self, now: float) -> float:
        """How long the UDP port may rest, now that everything is read."""
        return 0.0

    def port_opened(self, protocol: LowLatencyProtocol) -> None:
        """A UDP port of this host is open."""
        self._ports.append(protocol)
        self.begin()

    def port_closed(self, protocol: LowLatencyProtocol) -> None:
        """A UDP port of this host is closed."""
        if protocol in self._ports:
            self._ports.remove(protocol)
        for cid in [cid for cid, port in self._session_ports.items() if port is protocol]:
            del self._session_ports[cid]
        self._check_idle()

    def control_came(self, session: Session, port: LowLatencyProtocol) -> None:
        """An authentic datagram other than DATA came by *port*: answers leave by it too."""
        if session.cid in self.datagram_routes:
            self._session_ports[session.cid] = port

    def track(self, protocol: ReliableProtocol) -> None:
        """A connection that the end of this host must wait for."""
        self._alive.add(protocol)
        self.begin()

    def add_session(self, protocol: ReliableProtocol, session: Session, state: State) -> None:
        """A join is granted: route its datagrams and frames."""
        protocol.joined(session, state)
        self._connections[session.cid] = protocol
        routes = self.newcomers if state is State.UNCONFIRMED else self.datagram_routes
        routes[session.cid] = session

    def forget_session(self, session: Session) -> None:
        """Route nothing to it any more."""
        self._connections.pop(session.cid, None)
        self._session_ports.pop(session.cid, None)
        self.datagram_routes.pop(session.cid, None)
        self.newcomers.pop(session.cid, None)

    def _unplug(
        self, protocol: ReliableProtocol, session: Session, reason: DisconnectReason
    ) -> bool:
        """Take a connection that is of no use any more from its session, which then waits.

        :returns: False, and nothing done, if it is not to wait.
        """
        if self._connections.get(session.cid) is not protocol:
            return False
        if not session.is_suspended:
            seconds = self.seconds_to_wait(session)
            if seconds <= 0:
                return False
            session.suspend(reason, self.time, seconds)
        session.unplug()
        protocol.session = None
        del self._connections[session.cid]
        self.newcomers.pop(session.cid, None)
        self.left_alone(session)
        return True

    def connection_failed(
        self, protocol: ReliableProtocol, reason: DisconnectReason, text: str = ""
    ) -> None:
        """A connection is gone, or to be given up: its session waits for another, or is over."""
        session = protocol.session
        if session is None or not self._unplug(protocol, session, reason):
            self.session_over(protocol, reason, text or DISCONNECT_TEXTS[reason])

    def connection_of(self, session: Session) -> ReliableProtocol | None:
        """The connection that carries a session."""
        return self._connections.get(session.cid)

    # Frames, and ends.

    def frame_received(self, protocol: ReliableProtocol, data: bytes) -> None:
        """A frame came. Never raises: whatever is wrong with it ends the connection."""
        counters = self.counters
        try:
            if protocol.state is _OPEN and data[:1] != _BYE:
                session = protocol.session
                assert session is not None
                session.receive_frame(data, self.time)
            elif data[:1] == _BYE:
                self._bye(protocol, data)
            else:
                self.join_frame(protocol, data)
        except WireError as error:
            counters.drop_frame_malformed += 1
            self._broken(protocol, error)
        except RemoteProtocolError as error:
            counters.drop_frame_unexpected += 1
            self._broken(protocol, error)
        except Exception:
            counters.drop_frame_unexpected += 1
            self.failed(DEFECT)
            self.end(protocol, DisconnectReason.INTERNAL)
        else:
            counters.frames_delivered += 1

    def _bye(self, protocol: ReliableProtocol, data: bytes) -> None:
        reason, text = frames.decode_bye(data)
        protocol.step(Input.BYE)
        protocol.close_quietly()
        reason = self.reason_of_bye(reason)
        self.dismissed(protocol, reason, clean(text) or DISCONNECT_TEXTS[reason])

    def dismissed(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        """The peer has said BYE."""
        self.session_over(protocol, reason, text)

    def _broken(self, protocol: ReliableProtocol, error: RemoteProtocolError) -> None:
        """The peer broke the protocol: undecodable input is cut, the rest is told first."""
        peer = _host_of(protocol)
        count = self.faults.note("protocol", peer, self.time)
        if count:
            log.info(
                "connection from {peer} broke the protocol: {error!r} ({count} such)",
                peer=peer,
                error=shown(str(error)),
                count=count,
            )
        if protocol.session is None or isinstance(error, WireError):
            protocol.abort()
            self.session_over(protocol, error.reason, DISCONNECT_TEXTS[error.reason])
        else:
            self.end(protocol, error.reason)

    def oversize_frame(self, protocol: ReliableProtocol) -> None:
        """A length prefix was beyond the limit."""
        self.counters.frames_in += 1
        self.counters.drop_frame_malformed += 1
        self._broken(protocol, WireError("frame longer than the limit"))

    def end(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str = "") -> None:
        """End a session from this side: tell the peer, after all that it was to hear before."""
        session = protocol.session
        if session is not None and protocol.state is State.OPEN:
            self.turn.settle(self.sink.taken, self.time)
            last = session.last_frames(self.time)
            if last:
                protocol.send_frames(last)
        protocol.finish(frames.encode_bye(reason, text), Input.BYE)
        self.session_over(protocol, reason, text or DISCONNECT_TEXTS[reason])

    def join_timed_out(self, protocol: ReliableProtocol) -> None:
        """The join deadline passed."""
        protocol.abort()
        self.connection_failed(protocol, DisconnectReason.TIMEOUT, "the join took too long")

    def connection_lost(self, protocol: ReliableProtocol, failure: Failure) -> None:
        """A connection is gone."""
        self._alive.discard(protocol)
        if protocol.state is not State.CLOSED:
            protocol.step(Input.LOST)
        self.connection_failed(protocol, DisconnectReason.SESSION_LOST)
        self._check_idle()

    def end_all(self, reason: DisconnectReason, text: str = "") -> None:
        """Say BYE on every connection."""
        self.begin_turn()
        try:
            for protocol in list(self._alive):
                if protocol.session is not None:
                    self.end(protocol, reason, text)
                elif protocol.state is not State.CLOSING:
                    protocol.abort()
                    self.session_over(protocol, reason, text)
        finally:
            self.end_turn()

    def when_idle(self) -> Deferred[None]:
        """Fires when no connection and no UDP port of this host is left."""
        done: Deferred[None] = Deferred()
        self._idle.append(done)
        self._check_idle()
        return done

    def _check_idle(self) -> None:
        if self.is_busy:
            return
        if self._collector is not None:
            self._collector.cancel()
        if self._beating is not None and not self._is_owed:
            self._beating.cancel()
            self._beating = None
        waiting, self._idle = self._idle, []
        for done in waiting:
            done.callback(None)


_BYE: Final = bytes((frames.Kind.BYE,))
_OPEN: Final = State.OPEN


def _host_of(protocol: ReliableProtocol) -> str:
    return str(getattr(protocol.peer, "host", "?"))


def quality_of(session: Session, now: float) -> Quality:
    """What a session knows about its path; from any thread.

    :param now: monotonic seconds.
    """
    quality = session.quality
    estimator = quality.estimator
    rates = session.traffic.rates(now)
    lead, late, early, missing = session.input_figures
    offset, uncertainty = session.server_clock
    return Quality(
        path="tcp" if session.tunnelled else "udp",
        label=quality.label,
        rtt_seconds=estimator.rtt,
        rtt_min_seconds=estimator.rtt_min,
        jitter_seconds=estimator.jitter,
        loss_in=quality.loss_in,
        loss_out=quality.loss_out,
        bytes_in=session.bytes_in,
        bytes_out=session.bytes_out,
        datagrams_in=session.datagrams_in,
        datagrams_out=session.datagrams_out,
        queued_messages=session.outgoing.messages,
        queued_bytes=session.outgoing.size,
        rtt_latest_seconds=estimator.latest,
        end_to_end_seconds=session.seat.end_to_end_seconds,
        bytes_per_second_in=rates.bytes_in,
        bytes_per_second_out=rates.bytes_out,
        datagrams_per_second_in=rates.datagrams_in,
        datagrams_per_second_out=rates.datagrams_out,
        types_in=rates.types_in,
        types_out=rates.types_out,
        queued_unreliable=session.queued_unreliable,
        queued_state_bytes=session.queued_state_bytes,
        send_bytes_per_second=session.send_bytes_per_second,
        input_lead_seconds=lead,
        inputs_late=late,
        inputs_early=early,
        inputs_missing=missing,
        clock_offset_seconds=offset,
        clock_uncertainty_seconds=uncertainty,
        packed_samples=session.traffic.samples(now, quality),
    )

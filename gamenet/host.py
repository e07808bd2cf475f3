"""The conductor of the reactor thread: turns, commands, time, flushes, the end.

Layer 3. Runs on: the reactor thread.

Whatever happens, happens in a turn: datagrams and frames are fed to their sessions, commands are
sorted into theirs, timers are looked at; then the turn's events are published in one batch and
every session with something to say is flushed, one write per datagram and one per connection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from gamenet.bridge import Bridge
from gamenet.collector import Collector
from gamenet.core import frames
from gamenet.core.counters import Counters
from gamenet.core.states import Input, State
from gamenet.core.text import clean
from gamenet.core.turn import Turn
from gamenet.errors import DISCONNECT_TEXTS, DisconnectReason, RemoteProtocolError, WireError
from gamenet.events import Event, Quality
from gamenet.faults import DEFECT, FaultLog, shown
from gamenet.messages import Codec
from gamenet.sinks import AnySink, OfferSink, Sink

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.interfaces import IDelayedCall

    from gamenet.core.session import Session
    from gamenet.low_latency import LowLatencyProtocol
    from gamenet.reliable import ReliableProtocol
    from gamenet.settings import CommonConfig

log = Logger()
BEAT_SECONDS: Final = 0.05
"""Nothing that only time brings about comes later than this: acks, timeouts, resends."""


class Host(ABC):
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
        self.config = config
        self.reactor = reactor
        self.now = now
        self.random_bytes = random_bytes
        self.codec = Codec(config.messages)
        self.counters = Counters()
        self.home = object()
        """Marks the players that this host issued."""
        self.sink: AnySink
        self._collector: Collector | None = None
        if isinstance(sink, Bridge):
            self.sink = sink
            self._collector = Collector(self, sink)
        else:
            self.sink = OfferSink(
                sink, config.bridge_events, self._observe, self.counters, self.failed
            )
        self.turn = Turn(self.counters, self.sink.room)
        self.time = now()
        """When the current turn began."""
        self.datagram_routes: dict[int, Session] = {}
        """Sessions by connection id."""
        self.newcomers: dict[int, Session] = {}
        """Those that the game does not know yet: a datagram may show that ACCEPT was read, but
        nothing that comes in one may reach the game before ``Joined``."""
        self._session_ports: dict[int, LowLatencyProtocol] = {}
        self._connections: dict[int, ReliableProtocol] = {}
        self._alive: set[ReliableProtocol] = set()
        self._ports: list[LowLatencyProtocol] = []
        self._depth = 0
        self._beating: IDelayedCall | None = None
        self._beat_due = 0.0
        self.beat_late_max = 0.0
        """The longest that a beat came late, in seconds: how long something held up the reactor."""
        self.faults = FaultLog(config.log_seconds, config.log_lines_per_second, self.time)
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
    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        """The reason of a peer's BYE as this side may believe it."""

    @abstractmethod
    def sessions(self) -> Iterable[Session]:
        """Every session there is."""

    @abstractmethod
    def fetch(self, bridge: Bridge) -> None:
        """Sort the states or inputs that wait at the bridge into their sessions."""

    @abstractmethod
    def _observe(self, event: Event) -> None:
        """An event is about to be offered to a sink on this thread."""

    # Turns.

    def begin_turn(self) -> float:
        """Everything until the matching ``end_turn`` is one turn.

        :returns: monotonic seconds, read once for the whole turn.
        """
        self._depth += 1
        if self._depth == 1:
            self.time = self.now()
            self.turn.room = self.sink.room
            self.turn.taken = self.sink.taken
        return self.time

    def end_turn(self) -> None:
        """Publish the turn's events, notice what the game has taken, flush."""
        try:
            if self._depth == 1:
                turn = self.turn
                sink = self.sink
                while turn.batch:
                    batch = turn.batch[:]
                    turn.batch.clear()
                    turn.published += len(batch)
                    sink.publish(batch)
                    if self._is_owed:
                        self.ensure_beat()
                if turn.awaiting:
                    turn.settle(sink.taken)
                if turn.dirty:
                    self._flush()
        finally:
            self._depth -= 1

    def run(self, call: Callable[..., None], *args: Any) -> None:
        """Call *call* in a turn of its own; a defect of ours is logged and goes no further."""
        self.begin_turn()
        try:
            call(*args)
        except Exception:
            self.failed(DEFECT)
        finally:
            self.end_turn()

    def failed(self, what: str, failure: Failure | None = None) -> None:
        """Log a failure of ours, or of what others gave us, with its traceback.

        The same one comes again and again, as often as somebody makes it happen; so each gets a
        traceback once in a while.

        :param failure: None is the exception at hand.
        """
        failure = failure or Failure()
        place = " ".join(f"{frame[0]}:{frame[2]}" for frame in failure.frames[-4:])
        if self.faults.note(f"{what} {failure.type} {place}", "", self.now()):
            log.failure(what, failure)

    def _flush(self) -> None:
        turn = self.turn
        dirty, turn.dirty = turn.dirty, []
        now = self.time
        for session in dirty:
            session.dirty = False
            connection = self._connections.get(session.cid)
            if connection is None:
                continue  # it ended within the turn
            try:
                port = self._session_ports.get(session.cid) or self._first_port(session)
                if port is not None:
                    for data, address in session.datagrams_to_send(now):
                        port.send(data, address)
                # What waits for a peer that does not read is bounded by the window; a PONG or an
                # ACK more for each of its frames would not be.
                if session.frames_due and connection.writable:
                    out = session.frames_to_send(now)
                    if out:
                        connection.send_frames(out)
            except Exception:
                self.failed(DEFECT)

    def _first_port(self, session: Session) -> LowLatencyProtocol | None:
        """The port of a session that has not heard a datagram yet."""
        return self._ports[0] if self._ports else None

    def drain(self) -> None:
        """Carry out what waits at the bridge, where there is one."""
        if self._collector is not None:
            self._collector.drain()

    # Time.

    def ensure_beat(self) -> None:
        """Start the one timer that serves all sessions."""
        if self._beating is None:
            self._beating = self.reactor.callLater(BEAT_SECONDS, self._beat)
            self._beat_due = self.now() + BEAT_SECONDS

    def _beat(self) -> None:
        self._beating = None
        late = self.now() - self._beat_due
        if late > self.beat_late_max:
            self.beat_late_max = late
        try:
            self.drain()
            self.run(self._tick_sessions)
        finally:
            if self.is_busy or self._is_owed:
                self.ensure_beat()

    @property
    def is_busy(self) -> bool:
        """Whether a connection or a UDP port is left."""
        return bool(self._alive or self._ports)

    @property
    def _is_owed(self) -> bool:
        """Whether a sink of the user's said no to an event, which it is offered again."""
        return isinstance(self.sink, OfferSink) and self.sink.waiting_events > 0

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
                connection = self._connections.get(session.cid)
                if connection is not None:
                    self.end(connection, reason)

    # Ports and connections.

    def port_opened(self, protocol: LowLatencyProtocol) -> None:
        """A UDP port of this host is open."""
        self._ports.append(protocol)
        self.ensure_beat()

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
        self.ensure_beat()

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

    def connection_of(self, session: Session) -> ReliableProtocol | None:
        """The connection that carries a session."""
        return self._connections.get(session.cid)

    # Frames, and ends.

    def frame_received(self, protocol: ReliableProtocol, data: bytes) -> None:
        """A frame came. Never raises: whatever is wrong with it ends the connection."""
        counters = self.counters
        try:
            if protocol.state is State.OPEN and data[:1] != _BYE:
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
        self.session_over(protocol, reason, clean(text) or DISCONNECT_TEXTS[reason])

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
            last = session.frames_to_send(self.time)
            if last:
                protocol.send_frames(last)
        protocol.finish(frames.encode_bye(reason, text), Input.BYE)
        self.session_over(protocol, reason, text or DISCONNECT_TEXTS[reason])

    def join_timed_out(self, protocol: ReliableProtocol) -> None:
        """The join deadline passed."""
        protocol.abort()
        self.session_over(protocol, DisconnectReason.TIMEOUT, "the join took too long")

    def connection_lost(self, protocol: ReliableProtocol, failure: Failure) -> None:
        """A connection is gone."""
        self._alive.discard(protocol)
        if protocol.state is not State.CLOSED:
            protocol.step(Input.LOST)
        text = DISCONNECT_TEXTS[DisconnectReason.SESSION_LOST]
        self.session_over(protocol, DisconnectReason.SESSION_LOST, text)
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


def _host_of(protocol: ReliableProtocol) -> str:
    return str(getattr(protocol.peer, "host", "?"))


def quality_of(session: Session) -> Quality:
    """What a session knows about its path; from any thread."""
    quality = session.quality
    estimator = quality.estimator
    return Quality(
        path="tcp" if session.route is None else "udp",
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
    )

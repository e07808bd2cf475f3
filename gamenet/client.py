"""The client's end: one connection, one session, one UDP port.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 to 3.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger

from gamenet import ports
from gamenet.bridge import Bridge
from gamenet.checks import check_label
from gamenet.client_verbs import ClientVerbs
from gamenet.core import frames
from gamenet.core.client_session import ClientSession
from gamenet.core.keyring import Keyring
from gamenet.core.record import Schedule
from gamenet.core.seat import Seat
from gamenet.core.setup import Limits, Setup
from gamenet.core.states import Input, State
from gamenet.core.text import clean
from gamenet.credentials import Secret, make_secret
from gamenet.errors import (
    DISCONNECT_TEXTS,
    REFUSAL_TEXTS,
    DisconnectReason,
    RefusalReason,
    RemoteProtocolError,
)
from gamenet.events import SERVER, Connected, Disconnected, Player, Quality
from gamenet.host import Host, quality_of
from gamenet.low_latency import LowLatencyProtocol
from gamenet.reliable import ReliableProtocol
from gamenet.verbs import DirectOutbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IListeningPort
    from twisted.python.failure import Failure

    from gamenet.config import ClientConfig
    from gamenet.core.path import Address
    from gamenet.core.session import Session
    from gamenet.events import Event
    from gamenet.events import State as WorldState
    from gamenet.sinks import Sink

log = Logger()


HUNG_UP: Final = "the server closed the connection before answering"
HUNG_UP_PLAIN: Final = (
    "the server hung up without answering; if it has TLS, leave --insecure (insecure=True) out"
)


class ClientHost(Host):
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
        self.ever_joined = False
        self.over = False
        """True once ``Disconnected`` is emitted."""
        self.retry_after_seconds = 0.0
        self.input_bits = config.input_bits or 16
        self.max_input_hz = 120
        self.tick_rate = 0.0
        self.state: WorldState | None = None
        self.attempt: Deferred[Any] | None = None
        """The connection attempt that ``leave`` must call off."""
        self._session: ClientSession | None = None
        self._udp: IListeningPort | None = None

    def sessions(self) -> Iterable[Session]:
        return () if self._session is None or self.over else (self._session,)

    def _observe(self, event: Event) -> None:
        pass

    # Joining.

    def connection_made(self, protocol: ReliableProtocol) -> None:
        self.track(protocol)
        self.attempt = None
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
            self.retry_after_seconds = float(retry)
            self._disconnected(DisconnectReason.REFUSED, REFUSAL_TEXTS[reason], reason)
        elif kind == frames.Kind.ACCEPT:
            accept = frames.decode_accept(data)
            if bool(accept.flags & frames.ACCEPT_EXPORTER) != protocol.secure or bool(
                accept.flags & frames.ACCEPT_INSECURE
            ) != (not protocol.secure):
                raise RemoteProtocolError("ACCEPT says something else about TLS than is the case")
            protocol.step(Input.ACCEPT)
            protocol.expect_no_more()
            self._accepted(protocol, accept)
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
                ),
                codec=self.codec,
                turn=self.turn,
                now=self.time,
            ),
            address=self._udp_address(protocol, accept.udp_port),
            longest_pause_seconds=config.bind_retry_seconds,
            datagrams_per_second=accept.datagrams_per_second,
            input_bits=accept.input_bits,
            take_state=self._take_state,
            seen_state=self._seen_state,
        )
        self._session = session
        self.add_session(protocol, session, State.OPEN)
        session.confirm_received()
        self.seat = seat
        self.ever_joined = True
        self._secret = Secret()
        self.turn.emit(Connected(self.player, secure=protocol.secure))
        self._open_udp(session)

    def _udp_address(self, protocol: ReliableProtocol, port: int) -> Address:
        """The host that TCP reached, and the port that ACCEPT named or TCP dialled."""
        peer = protocol.peer
        host, dialled = str(peer.host), int(peer.port)
        if ":" in host:
            return host, port or dialled, getattr(peer, "flowInfo", 0), getattr(peer, "scopeID", 0)
        return host, port or dialled

    def _open_udp(self, session: ClientSession) -> None:
        """Open our own port, of the server's family, unconnected."""
        interface = "::" if ":" in session.path.address[0] else "0.0.0.0"
        try:
            self._udp = ports.listen(
                self.reactor,
                0,
                LowLatencyProtocol(self),
                interface,
                budget=self.config.datagrams_per_turn,
                buffer_bytes=self.config.udp_buffer_bytes,
            )
        except CannotListenError as error:
            log.warn("no UDP port can be opened, playing on without: {error}", error=str(error))
        session.next_tick = 0.0
        self.run(self._tick_sessions)

    # Ends.

    def reason_of_bye(self, reason: DisconnectReason) -> DisconnectReason:
        return reason

    def session_over(self, protocol: ReliableProtocol, reason: DisconnectReason, text: str) -> None:
        if reason is DisconnectReason.SESSION_LOST and not self.ever_joined:
            reason = DisconnectReason.UNREACHABLE
            text = self._problem or (HUNG_UP if protocol.is_tls else HUNG_UP_PLAIN)
        self._disconnected(reason, text or DISCONNECT_TEXTS[reason])

    def unreachable(self, text: str) -> None:
        """No connection came about."""
        self.run(self._disconnected, DisconnectReason.UNREACHABLE, text)

    def _disconnected(
        self, reason: DisconnectReason, text: str, refusal: RefusalReason | None = None
    ) -> None:
        if self.over:
            return
        self.over = True
        self.seat = None
        left: tuple[Any, int] = ((), 0)
        if self._session is not None:
            left = self._session.unacknowledged()
            self.forget_session(self._session)
        self.turn.emit(Disconnected(self.player, reason, text, refusal, *left))
        udp, self._udp = self._udp, None
        if udp is not None:
            maybeDeferred(udp.stopListening)

    def leave(self) -> None:
        """Say BYE and close, or give up an attempt that is still under way."""
        self.end_all(DisconnectReason.QUIT)
        self.run(self._disconnected, DisconnectReason.QUIT, DISCONNECT_TEXTS[DisconnectReason.QUIT])
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.cancel()

    # What verbs do here.

    def fetch(self, bridge: Bridge) -> None:
        inputs = bridge.inputs
        for number in sorted(list(inputs)):
            # The game may have taken the newest back for a moment, to replace it.
            buttons = inputs.pop(number, None)
            if buttons is not None:
                self.queue_input(number, buttons)

    def queue_input(self, number: int, buttons: int) -> None:
        """Add an input; one that was replaced too late is already on its way."""
        session = self._session
        if session is None or self.over:
            self.counters.drop_verb_gone += 1
        elif number == session.inputs.newest + 1:
            session.queue_input(number, buttons)

    def queue_frame(self, frame: bytes) -> None:
        """Queue a DATA or SAY frame."""
        if self._session is None or self.over:
            self.counters.drop_verb_gone += 1
        else:
            self._session.queue_frame(frame)

    def queue_unreliable(self, flag: int, payload: bytes) -> None:
        """Queue an unreliable message."""
        if self._session is None or self.over:
            self.counters.drop_verb_gone += 1
        else:
            self._session.queue_unreliable(flag, payload)

    # What any thread may ask.

    def _take_state(self, state: WorldState) -> None:
        if isinstance(self.sink, Bridge):
            self.sink.state = state
        self.state = state

    def _seen_state(self) -> int:
        if isinstance(self.sink, Bridge):
            return self.sink.seen_state
        return self.state.number if self.state is not None else 0

    def quality(self) -> Quality:
        """The path to the server."""
        assert self._session is not None
        return quality_of(self._session)

    def server_time(self) -> float:
        """The server's game clock in seconds."""
        return self._session.clock.time(self.now()) if self._session is not None else 0.0

    def server_tick(self) -> float:
        """The server's tick with its fraction."""
        if self._session is None:
            return 0.0
        return self._session.clock.tick(self.now(), self.tick_rate)

    def input_stats(self) -> dict[str, float]:
        """What became of the inputs."""
        if self._session is None:
            return {"inputs_in_flight": 0, "inputs_given_up": 0}
        inputs = self._session.inputs
        return {
            "inputs_in_flight": inputs.newest - inputs.acknowledged,
            "inputs_given_up": inputs.given_up,
        }


class GameClientFactory(ClientFactory):
    """A game client for those who own the reactor: connect an endpoint with it, once.

    :param sink: a :class:`~gamenet.bridge.Bridge`, or any object with ``offer(event) -> bool``.
    :param user: the name to ask for; "" has the server name a guest.
    :param password: the secret of the account of that name.
    :param ticket: what somebody whom the server trusts signed for this player.
    :raises ConfigError: if *user* or a secret cannot be sent.

    Connect by TLS unless the config says ``insecure``; :mod:`gamenet.dial` has an endpoint that
    does, and checks the server's certificate.
    """

    noisy = False

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ClientConfig,
        *,
        user: str = "",
        password: str | None = None,
        ticket: bytes | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        check_label("user", user)
        if reactor is None:
            from twisted.internet import reactor
        secret = make_secret(config, user, password, ticket)
        self.host = ClientHost(sink, config, user, secret, reactor, now, random_bytes)

    @property
    def verbs(self) -> ClientVerbs:
        """The client's verbs, for use on the reactor thread."""
        return self.host.verbs

    def buildProtocol(self, addr: IAddress | None) -> ReliableProtocol | None:
        """Called by Twisted once connected."""
        protocol = ReliableProtocol(self.host, State.AWAITING_ACCEPT)
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        """Called by Twisted when no connection came about."""
        self.host.unreachable(reason.getErrorMessage())

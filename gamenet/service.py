"""The service tree: TCP, UDP and, with a game, its thread.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

import errno
import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    TimeoutError,
    inlineCallbacks,
    maybeDeferred,
)
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gamenet.addresses import Place, join_address, parse_listen
from gamenet.bridge import Bridge
from gamenet.errors import ConfigError, DisconnectReason, ListenFailed
from gamenet.game import AnyGame, GameThread
from gamenet.server import GameServerFactory
from gamenet.threads import note_use

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twisted.cred.portal import Portal
    from twisted.python.failure import Failure

    from gamenet.config import ServerConfig
    from gamenet.facade import GameServer
    from gamenet.server import ServerHost
    from gamenet.server_verbs import ServerVerbs
    from gamenet.sinks import Sink

log = Logger()
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
FREE_PORT_TRIES = 10
"""Attempts to find one number that is free for TCP and UDP in both families."""


class GameServerService(Service):
    """A game server as a Twisted service.

    :param game: run on a thread of its own, behind a bridge of its own.
    :param sink: where events go when there is no *game*.
    :param portal: decides who may join; None builds one from ``config.auth``.
    :param facade: what the game thread will hold; None makes one.
    :raises ConfigError: if the config cannot be served.
    """

    def __init__(
        self,
        config: ServerConfig,
        game: AnyGame | None = None,
        *,
        sink: Bridge | Sink | None = None,
        portal: Portal | None = None,
        facade: GameServer | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        from gamenet.auth import make_portal
        from gamenet.facade import GameServer

        if reactor is None:
            from twisted.internet import reactor
        self.config = config
        self.bridge: Bridge | None = sink if isinstance(sink, Bridge) else None
        if config.duplicate == "takeover" and portal is None and "anonymous" in config.auth:
            raise ConfigError(
                "duplicate",
                "a takeover needs credentials that vouch for a name, such as auth memory:ada,bob "
                "(--auth memory:ada,bob); guests have none",
            )
        if sink is None:
            self.bridge = sink = Bridge(config)
        self.factory = GameServerFactory(
            sink,
            config,
            portal=portal or make_portal(config.auth),
            reactor=reactor,
            now=now,
            random_bytes=random_bytes,
        )
        self.on_game_end: Callable[[bool], None] = self._game_ended
        """Called on the reactor thread when the game returned or raised by itself."""
        self.game_failed = False
        self._reactor = reactor
        # Any, because Twisted's interface does not say that an address has a host and a port.
        self._tcp: list[Any] = []
        self._udp: list[Any] = []
        self._stopping = False
        self._is_stopped = False
        self._stop_waiters: list[Deferred[None]] = []
        self._game_done: Deferred[None] | None = None
        self.facade: GameServer | None = facade
        """What the game thread holds."""
        self._thread: GameThread | None = None
        if self.bridge is not None:
            self.facade = facade or GameServer.attach(self.bridge)
        if game is not None:
            assert self.facade is not None, "a game needs the bridge, so give no other sink"
            self._thread = GameThread(game, self.facade, self._thread_ended)
            if facade is None:
                self.facade.serve_through(self)

    @property
    def host(self) -> ServerHost:
        """The conductor of the reactor thread."""
        return self.factory.host

    @property
    def verbs(self) -> ServerVerbs:
        """The server's verbs, for use on the reactor thread."""
        return self.factory.verbs

    @property
    def thread(self) -> GameThread | None:
        """The game's thread, if the service runs a game."""
        return self._thread

    # Listening.

    def privilegedStartService(self) -> None:
        """Open the ports, while the process may still be privileged.

        :raises ListenFailed: with the address and the reason.
        """
        Service.privilegedStartService(self)
        if not self._tcp:
            self._listen()

    def startService(self) -> None:
        """Open the ports unless they are, and start the game."""
        if not self._tcp:
            self._listen()
        Service.startService(self)
        note_use()
        if self.facade is not None:
            self.facade.opened_at(self.address)
        if self.config.insecure:
            log.warn(
                "INSECURE: plain TCP. Whoever is on the path can read, change and take over "
                "sessions; use it on this machine and for trying things out"
            )
        if self.bridge is not None:
            log.info(
                "Python's thread switch interval is {seconds} s while the server runs",
                seconds=self.config.switch_interval_seconds,
            )
        if self._thread is not None:
            self._game_done = Deferred()
            self._thread.start()

    def _listen(self) -> None:
        place = parse_listen(self.config.listen, "listen")
        for attempt in range(FREE_PORT_TRIES):
            try:
                self._open(place)
            except ListenFailed:
                self._close_ports()
                # With a port of our own choosing, another one may be free for all sockets.
                if place.port or attempt == FREE_PORT_TRIES - 1:
                    raise
            else:
                return

    def _open(self, place: Place) -> None:
        """Open TCP and UDP on every address that *place* stands for."""
        reactor = self._reactor
        port = place.port
        for interface in self._interfaces(place):
            try:
                tcp = reactor.listenTCP(
                    port, self.factory, backlog=self.config.listen_backlog, interface=interface
                )
            except (CannotListenError, OSError) as error:
                self._cannot("TCP", interface, port, error)
                continue
            self._tcp.append(tcp)
            port = tcp.getHost().port
            if interface == "::":
                break
        udp_place = place if self.config.udp is None else parse_listen(self.config.udp, "udp")
        udp_port = port if self.config.udp is None else udp_place.port
        for interface in self._interfaces(udp_place, udp=True):
            try:
                udp: Any = self.factory.listen_udp(udp_port, interface)
            except (CannotListenError, OSError) as error:
                self._cannot("UDP", interface, udp_port, error)
                continue
            self._udp.append(udp)
            udp_port = udp.getHost().port
            log.info(
                "UDP {where}: buffers of {asked} bytes asked, {granted} granted (in, out)",
                where=join_address(interface, udp_port),
                asked=self.config.udp_buffer_bytes,
                granted=getattr(udp, "granted", None),
            )
        if not self._tcp or not self._udp:
            raise ListenFailed(f"no address to listen on at {place!r}")

    def _interfaces(self, place: Place, *, udp: bool = False) -> tuple[str, ...]:
        """The addresses to bind: both families, and only this machine's when insecure."""
        if place.interface:
            return (place.interface,)
        if self.config.insecure and not self.config.insecure_anywhere:
            return ("127.0.0.1", "::1")
        # A TCP socket on :: serves both families, where there are both; UDP has one for each.
        return ("0.0.0.0", "::") if udp else ("::", "0.0.0.0")

    def _cannot(self, kind: str, interface: str, port: int, error: Exception) -> None:
        """A port cannot be opened: without IPv6 that is normal, otherwise it is the end."""
        cause = getattr(error, "socketError", error)
        reason = getattr(cause, "strerror", None) or str(cause)
        if interface in ("::1", "::") and getattr(cause, "errno", None) in _NO_IPV6:
            log.info("not listening on {interface}: {reason}", interface=interface, reason=reason)
            return
        where = join_address(interface, port)
        hint = ""
        if getattr(cause, "errno", None) == errno.EADDRINUSE:
            hint = "; another server is running there, or choose another port with --listen"
        raise ListenFailed(f"cannot listen on {kind} {where}: {reason}{hint}")

    def _close_ports(self) -> Deferred[Any]:
        listening, self._tcp, self._udp = [*self._tcp, *self._udp], [], []
        return DeferredList([maybeDeferred(port.stopListening) for port in listening])

    @property
    def port(self) -> int:
        """The TCP port in use."""
        return int(self._tcp[0].getHost().port) if self._tcp else 0

    @property
    def udp_port(self) -> int:
        """The UDP port in use."""
        return int(self._udp[0].getHost().port) if self._udp else 0

    @property
    def address(self) -> str:
        """An address that a client on this machine can use."""
        if not self._tcp:
            return ""
        host = str(self._tcp[0].getHost().host)
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        return join_address(host, self.port)

    # The game.

    def _thread_ended(self, well: bool) -> None:
        self._reactor.callFromThread(self._game_over, well)

    def _game_over(self, well: bool) -> None:
        done, self._game_done = self._game_done, None
        self.game_failed = not well
        if not well:
            self.host.refuse_newcomers()
            self.host.drain()
            self.host.end_all(DisconnectReason.GAME_ERROR)
        if done is not None:
            done.callback(None)
        if not self._stopping or not well:
            self.on_game_end(well)

    def game_stops(self) -> None:
        """The game asked for the end, from its own thread."""
        if not self._stopping:
            self.on_game_end(True)

    def _game_ended(self, well: bool) -> None:
        self.stopService()

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing, with what it took of the inputs."""
        return self.facade.loop_stats() if self.facade is not None else {}

    # The end.

    def stopService(self) -> Deferred[None]:
        """Say BYE to everybody, let the game return, close the ports.

        :returns: fires when no socket and no timer is left.
        """
        done: Deferred[None] = Deferred()
        self._stop_waiters.append(done)
        if not self._stopping:
            self._stopping = True
            Service.stopService(self)
            self._stop().addErrback(self._stop_failed).addCallback(self._stopped)
        elif self._is_stopped:
            self._stopped(None)
        return done

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        host = self.host
        host.refuse_newcomers()
        host.drain()
        host.end_all(DisconnectReason.STOPPED)
        if self.bridge is not None:
            self.bridge.close()
        closing = self._close_ports()
        if self._game_done is not None:
            try:
                yield self._game_done.addTimeout(self.config.stop_seconds, self._reactor)
            except TimeoutError:
                log.warn(
                    "the game did not return within {seconds:g} s of ticks() ending; going on "
                    "without it",
                    seconds=self.config.stop_seconds,
                )
        yield closing
        yield host.when_idle()

    def _stop_failed(self, failure: Failure) -> None:
        log.failure("stopping went wrong", failure)

    def _stopped(self, result: None) -> None:
        self._is_stopped = True
        waiting, self._stop_waiters = self._stop_waiters, []
        for done in waiting:
            done.callback(None)

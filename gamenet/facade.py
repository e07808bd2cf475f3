"""Servers and clients for game threads: no reactor, factory or Deferred to be seen.

Layer 4. Runs on: game threads.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

from gamenet.addresses import DEFAULT_PORT, join_address, parse_address
from gamenet.bridge import Bridge
from gamenet.client_verbs import ClientVerbs
from gamenet.config import ClientConfig, ServerConfig, build
from gamenet.errors import (
    ConfigError,
    ConnectionFailed,
    JoinRefused,
    ListenFailed,
    LocalProtocolError,
)
from gamenet.events import SERVER, Connected, Disconnected, Event, Input, Player, State
from gamenet.game import AnyGame, checked_game, settings_of
from gamenet.loop import GameLoop
from gamenet.server_verbs import ServerVerbs
from gamenet.threads import (
    call_in_reactor,
    check_may_block,
    ensure_reactor,
    release_pool_threads,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from gamenet.client import ClientHost
    from gamenet.service import GameServerService


class GameServer(GameLoop, ServerVerbs):
    """A game server, started and stopped from the game's own thread.

    :param listen: a port, or an endpoint such as ``"tcp:7777:interface=127.0.0.1"``.
    :param game: run it on a thread of its own: host and play in one process.
    :param config: instead of, or beneath, the fields given by name.
    :param fields: any field of :class:`~gamenet.config.ServerConfig`.
    :raises ConfigError: naming the field that is wrong.
    """

    def __init__(
        self,
        listen: int | str = DEFAULT_PORT,
        *,
        game: AnyGame | None = None,
        config: ServerConfig | None = None,
        **fields: Any,
    ) -> None:
        GameLoop.__init__(self)
        ServerVerbs.__init__(self)
        if game is not None:
            checked_game(game, "game=")
        if config is None:
            config = build(ServerConfig, {**settings_of(game), "listen": listen, **fields})
        else:
            if listen != DEFAULT_PORT:
                fields["listen"] = listen
            given = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
            config = build(ServerConfig, {**given, **fields})
        self._config = config
        self._game = game
        self._service: GameServerService | None = None
        self._reactor: Any = None

    @classmethod
    def attach(cls, bridge: Bridge) -> Self:
        """The server behind *bridge*, for a game thread beside a reactor of one's own.

        Give the bridge to a ``GameServerFactory`` or ``GameServerService`` as its sink.
        """
        server = cls.__new__(cls)
        GameLoop.__init__(server)
        ServerVerbs.__init__(server)
        if bridge.link is None:
            raise LocalProtocolError("give the bridge to a GameServerFactory first, as its sink")
        server._config = bridge.link.config
        server._game = None
        server._service = None
        server._reactor = None
        server._started(bridge)
        server._connect(bridge.link, bridge)
        return server

    # Life.

    def start(self, timeout: float = 10.0) -> None:
        """Open the ports and begin.

        :raises ListenFailed: if an address cannot be opened.
        :raises LocalProtocolError: if it runs already, or waiting is impossible here.
        """
        check_may_block()
        if self.running:
            raise LocalProtocolError("the server runs already")
        self._reactor = ensure_reactor(monotonic=self._config.monotonic_clock)

        bridge = Bridge(self._config)
        self._players, self._snapshot, self._seats = {}, (), {}
        self._started(bridge)

        def begin() -> GameServerService:
            from gamenet.service import GameServerService

            service = GameServerService(
                self._config, self._game, sink=bridge, facade=self, reactor=self._reactor
            )
            self._connect(service.host, bridge)
            self._service = service
            service.startService()
            return service

        try:
            call_in_reactor(self._reactor, timeout, begin)
        except BaseException:
            self._service = None
            bridge.finish()
            raise

    def stop(self, timeout: float = 5.0) -> None:
        """Say BYE to everybody and close; returns at once when the game itself calls it."""
        service, bridge = self._service, self._bridge
        if service is None or bridge is None:
            if bridge is not None and bridge.link is not None:
                raise LocalProtocolError("whoever started this server stops it")
            return
        thread = service.thread
        if thread is not None and thread.is_current:
            self._reactor.callFromThread(service.stopService)
            return
        check_may_block()
        self._service = None
        try:
            call_in_reactor(self._reactor, timeout, service.stopService)
        except TimeoutError:
            raise LocalProtocolError(
                f"the server did not stop within {timeout:g} s; it goes on stopping by itself"
            ) from None
        finally:
            bridge.finish()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the game given as ``game=`` to end.

        :returns: True if it has ended, by itself or by ``stop``.
        """
        service = self._service
        if service is None or service.thread is None:
            raise LocalProtocolError("there is no game thread to wait for; it is given as game=")
        service.thread.join(timeout)
        return not service.thread.is_alive

    # What it is.

    @property
    def running(self) -> bool:
        """True from ``start`` until the end."""
        return self._bridge is not None and not self._bridge.closed

    @property
    def config(self) -> ServerConfig:
        """The settings in force."""
        return self._config

    @property
    def options(self) -> Mapping[str, Any]:
        """The ``[game]`` table of the config file."""
        return self._config.options

    @property
    def port(self) -> int:
        """The TCP port in use; 0 when not running."""
        return self._service.port if self._service is not None else 0

    @property
    def udp_port(self) -> int:
        """The UDP port in use; 0 when not running."""
        return self._service.udp_port if self._service is not None else 0

    @property
    def address(self) -> str:
        """An address that a client on this machine can use."""
        return self._service.address if self._service is not None else ""

    @property
    def failed(self) -> bool:
        """True if the game given as ``game=`` has raised."""
        return self._service is not None and self._service.game_failed

    # The loop.

    def _take(self, events: list[Event]) -> None:
        seats = self._seats
        taken = self._taken
        for event in events:
            # Inputs are nearly all of it, so they are noted here, as ``observe`` would.
            if type(event) is Input:
                seat = seats.get(event.player.id)
                if seat is not None:
                    seat.input_number = event.number
                taken["inputs_taken"] += 1
                taken["inputs_missing"] += event.missing
            else:
                self.observe(event)

    def _hz(self) -> float:
        return self._config.tick_rate

    def _catch_up(self) -> int:
        return self._config.catch_up_ticks

    def _clock_starts(self, origin: float) -> None:
        host, _ = self._live()
        host.started = origin

    def _stamp(self) -> tuple[int, int]:
        ticker = self._ticker
        return super()._stamp() if ticker is None else ticker.stamp

    def loop_stats(self) -> dict[str, float]:
        """How the loop keeps its rate, and what it took of the inputs."""
        return {**super().loop_stats(), **self._taken}


class GameClient(GameLoop, ClientVerbs):
    """A player's end of the session.

    :param address: ``host``, ``host:7777``, ``[v6]:7777`` or ``gamenet://host:7777``.
    :param user: the name to play under; "" has the server name a guest.
    :param config: instead of, or beneath, the fields given by name.
    :param fields: any field of :class:`~gamenet.config.ClientConfig`.
    :raises ConfigError: naming the field that is wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        user: str = "",
        config: ClientConfig | None = None,
        **fields: Any,
    ) -> None:
        GameLoop.__init__(self)
        ClientVerbs.__init__(self)
        self._place = parse_address(address)
        if config is not None:
            given = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
            fields = {**given, **fields}
        for secret in ("password", "ticket"):
            if secret in fields:
                raise ConfigError(secret, "secrets need TLS, which this version does not have")
        self._config = build(ClientConfig, fields)
        self._user = user
        self._reactor: Any = None
        self._player = SERVER
        self._joined = False
        self._secure = False
        self._taken_state = 0
        self._input_tick = 0

    # Life.

    def start(self, timeout: float = 10.0, *, wait: bool = True) -> None:
        """Connect and join.

        :param wait: False returns at once; ``Connected`` or ``Disconnected`` tell the outcome.
        :raises JoinRefused: if the server says no, with a sentence a player can read.
        :raises ConnectionFailed: if there is no answer, or none in time.
        :raises LocalProtocolError: if it runs already, or waiting is impossible here.
        """
        check_may_block()
        if self._bridge is not None and not self._bridge.closed:
            raise LocalProtocolError("the client runs already; stop() it first")
        self._reactor = ensure_reactor(monotonic=self._config.monotonic_clock)
        bridge = Bridge(self._config)
        self._player, self._joined, self._secure = SERVER, False, False
        self._taken_state = self._input_number = 0
        self._input_made = -1.0
        self._started(bridge)
        host = call_in_reactor(self._reactor, timeout, lambda: self._connect_from(bridge))
        self._connect(host, bridge)
        if wait:
            self._wait_for_join(bridge, monotonic() + timeout)

    def _connect_from(self, bridge: Bridge) -> ClientHost:
        """Begin to connect; on the reactor thread."""
        from twisted.internet.endpoints import HostnameEndpoint

        from gamenet.client import GameClientFactory

        factory = GameClientFactory(bridge, self._config, user=self._user, reactor=self._reactor)
        name, port = self._place
        endpoint = HostnameEndpoint(self._reactor, name, port, timeout=self._config.join_seconds)
        where = join_address(name, port)
        attempt = endpoint.connect(factory)
        factory.host.attempt = attempt
        attempt.addErrback(
            lambda failure: factory.host.unreachable(
                f"no server answers at {where}: "
                + failure.getErrorMessage().partition(":")[0].rstrip(".")
            )
        )
        return factory.host

    def _wait_for_join(self, bridge: Bridge, deadline: float) -> None:
        where = join_address(*self._place)
        taken: list[Event] = []
        try:
            while True:
                events = bridge.poll()
                self._take(events)
                taken += events
                for event in events:
                    if isinstance(event, Connected):
                        # The loop sees what was taken here, Connected included.
                        self._held = taken
                        return
                    if isinstance(event, Disconnected):
                        if event.refusal is not None:
                            retry = self._retry_after()
                            raise JoinRefused(event.refusal, event.text, retry)
                        raise ConnectionFailed(f"cannot join {where}: {event.text}")
                left = deadline - monotonic()
                if left <= 0:
                    raise ConnectionFailed(f"{where} did not answer in time")
                bridge.wait(left)
        except BaseException:
            self.stop()
            raise

    def _retry_after(self) -> float:
        return self._host.retry_after_seconds if self._host is not None else 0.0

    def stop(self, timeout: float = 5.0) -> None:
        """Leave the server and close; can be called twice, from any thread but the reactor's."""
        bridge, host = self._bridge, self._host
        if bridge is None or host is None or bridge.finished:
            return
        check_may_block()

        def leave() -> Any:
            host.drain()
            host.leave()
            return host.when_idle()

        try:
            call_in_reactor(self._reactor, timeout, leave)
        except TimeoutError:
            raise LocalProtocolError(
                f"the client did not stop within {timeout:g} s; it goes on stopping by itself"
            ) from None
        finally:
            bridge.finish()
            release_pool_threads(self._reactor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # What it is.

    @property
    def config(self) -> ClientConfig:
        """The settings in force."""
        return self._config

    @property
    def player(self) -> Player:
        """Who I am; ``SERVER`` until ``Connected`` is taken."""
        return self._player

    @property
    def joined(self) -> bool:
        """True between taking ``Connected`` and ``Disconnected``."""
        return self._joined

    @property
    def secure(self) -> bool:
        """True when the join came over TLS."""
        return self._secure

    @property
    def tick_rate(self) -> float:
        """The server's ticks a second; 0 before the join."""
        return self._host.tick_rate if self._host is not None else 0.0

    # The loop.

    def _take(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, Connected):
                self._player, self._secure, self._joined = event.player, event.secure, True
            elif isinstance(event, Disconnected):
                self._joined = False
                if self._bridge is not None:
                    self._bridge.close()

    def _hz(self) -> float:
        return self.tick_rate or 30.0

    def _catch_up(self) -> int:
        return self._config.catch_up_ticks

    def _clock_starts(self, origin: float) -> None:
        pass

    def _is_same_tick(self, host: ClientHost) -> bool:
        if not self._in_tick or self._ticker is None:
            return super()._is_same_tick(host)
        if self._input_tick == self._ticker.number and self._input_number:
            return True
        self._input_tick = self._ticker.number
        self._input_made = host.now()
        return False

    def take_state(self) -> State | None:
        """The newest world state that was not taken yet, or None.

        :raises LocalProtocolError: on a second thread.
        """
        bridge = self._claim()
        state = bridge.state
        if state is None or state.number <= self._taken_state:
            return None
        self._taken_state = bridge.seen_state = state.number
        return state


def serve(game: AnyGame, listen: int | str = DEFAULT_PORT, **fields: Any) -> int:
    """Run a server until its game returns, somebody stops it, or Ctrl-C.

    :param fields: any field of :class:`~gamenet.config.ServerConfig`.
    :returns: the exit status: 0, or 1 if no port could be opened or the game raised.
    :raises ConfigError: naming the field that is wrong.
    """
    server = GameServer(listen, game=game, **fields)
    try:
        server.start()
    except ListenFailed as error:
        print(f"gamenet: {error}", file=sys.stderr)
        return 1
    print(f"gamenet: listening on {server.address}", flush=True)
    before: Any = None
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and hasattr(signal, "SIGTERM"):
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        server.wait()
    except KeyboardInterrupt:
        pass
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
        failed = server.failed
        server.stop(server.config.stop_seconds + server.config.close_seconds + 1)
    return 1 if failed else 0

"""Servers for game threads: no reactor, factory or Deferred to be seen.

Layer 4. Runs on: game threads.
"""

from __future__ import annotations

import dataclasses
import signal
import sys
import threading
from math import inf
from typing import TYPE_CHECKING, Any, Final, Self

from gamenet.addresses import DEFAULT_PORT
from gamenet.bridge import Bridge
from gamenet.checks import build
from gamenet.config import ServerConfig
from gamenet.draining import checked_words
from gamenet.errors import (
    ListenFailed,
    LocalProtocolError,
)
from gamenet.events import (
    Event,
    Input,
    Joined,
    Left,
)
from gamenet.game import AnyGame, GameThread, checked_game, settings_of
from gamenet.input_hold import InputHold
from gamenet.loop import GameLoop
from gamenet.server_verbs import ServerVerbs
from gamenet.threads import (
    call_in_reactor,
    check_may_block,
    ensure_reactor,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from gamenet.service import GameServerService


_OF_WHO_IS_HERE: Final = frozenset({Joined, Left})
_INTERRUPTIBLE_SECONDS: Final = 1.0
"""On Windows Ctrl-C is heard only between two waits, so no wait of the main thread is endless."""


class GameServer(GameLoop, ServerVerbs):
    """A game server, started and stopped from the game's own thread.

    :param listen: a port, 7777 unless given, or an endpoint such as
        ``"tcp:7777:interface=127.0.0.1"``.
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
        config.check_servable()
        self._config = config
        self._game = game
        self._service: GameServerService | None = None
        self._is_served = False
        self._game_thread: GameThread | None = None
        self._opened = ""
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
        server._is_served = False
        server._game_thread = None
        server._opened = ""
        server._reactor = None
        server._started(bridge)
        server._connect(bridge.link, bridge)
        return server

    def serve_through(self, service: GameServerService) -> None:
        """Called by a service that made this server for its game thread."""
        self._service = service
        self._is_served = True
        self._game_thread = service.thread
        self._reactor = service.host.reactor

    def opened_at(self, address: str) -> None:
        """Called by the service once its ports are open."""
        self._opened = address

    def reconfigured(self, config: ServerConfig) -> None:
        """Called by the service, on the reactor thread, when settings have changed."""
        self._config = config

    # Life.

    def start(self, timeout: float = 10.0) -> None:
        """Open the ports and begin.

        :raises ListenFailed: if an address cannot be opened.
        :raises LocalProtocolError: if it runs already, or waiting is impossible here.
        """
        check_may_block()
        if self.running:
            raise LocalProtocolError("the server runs already")
        if self._game_thread is not None and self._game_thread.is_alive:
            raise LocalProtocolError("the game of the last run has not returned yet; wait for it")
        self._reactor = ensure_reactor(monotonic=self._config.monotonic_clock)

        bridge = Bridge(self._config)
        self._players, self._snapshot, self._seats = {}, (), {}
        self._taken = dict.fromkeys(self._taken, 0)
        self._started(bridge)

        def begin() -> GameServerService:
            from gamenet.service import GameServerService

            if bridge.finished:
                raise LocalProtocolError("nobody waits for this server any more")
            service = GameServerService(
                self._config, self._game, sink=bridge, facade=self, reactor=self._reactor
            )
            self._connect(service.host, bridge)
            self._service = service
            self._game_thread = service.thread
            try:
                service.startService()
            except BaseException:
                service.stopService()  # a port may be open, and nobody else knows of it
                raise
            return service

        try:
            call_in_reactor(self._reactor, timeout, begin)
        except BaseException as error:
            self._service = None
            bridge.finish()
            if isinstance(error, TimeoutError):
                raise LocalProtocolError(
                    f"the network thread did not answer within {timeout:g} s"
                ) from None
            raise

    def stop(self, timeout: float = 5.0) -> None:
        """Say BYE to everybody and close; returns at once when the game itself calls it.

        Can be called twice.

        :param timeout: seconds; a game given as ``game=`` has ``stop_seconds`` on top of them.
        :raises LocalProtocolError: if it takes longer than that, or waiting is impossible.
        """
        service, bridge = self._service, self._bridge
        if service is None or bridge is None:
            if bridge is not None and bridge.link is not None and not bridge.finished:
                raise LocalProtocolError("whoever started this server stops it")
            return
        thread = service.thread
        if self._is_served or (thread is not None and thread.is_current):
            # The one who owns the service decides what else ends with it: a daemon's process does.
            self._reactor.callFromThread(service.game_stops)
            return
        check_may_block()
        self._service = None
        if thread is not None:
            timeout += self._config.stop_seconds
        try:
            call_in_reactor(self._reactor, timeout, service.stopService)
        except TimeoutError:
            raise LocalProtocolError(
                f"the server did not stop within {timeout:g} s; it goes on stopping by itself"
            ) from None
        finally:
            bridge.finish()

    def drain(self, seconds: float | None = None, text: str = "") -> None:
        """Empty the server: let nobody in any more, and end once nobody is in. From any thread.

        It returns at once, and the game goes on. Players read in the chat how long they have, and
        newcomers when they may come back. When the time is over, who is still in is sent away, and
        the game hears ``Left`` with the reason ``DRAINED``. Then ``ticks()`` yields its last tick,
        as after ``stop``, and ``running`` is False; ``stop`` is still to be called by whoever
        called ``start``. A daemon's process ends with status 0.

        A second call changes nothing, and there is no way back; ``stop`` ends it before its time.

        :param seconds: until those who are still in are sent away; None is ``drain_seconds``.
        :param text: why, for the players, at most 400 characters; "" has words of its own.
        :raises ValueError: for a time that is none, or a text that is no line of chat.
        :raises LocalProtocolError: if it is not started, or another one's: its service drains it.
        :raises BridgeClosed: once ``stop`` has returned.
        """
        checked_words(self._config.drain_seconds if seconds is None else seconds, text)
        _, out = self._open()
        service = self._service
        if service is None:
            raise LocalProtocolError(
                "whoever started this server empties it, by GameServerService.drain()"
            )
        # The way of all verbs: what the game has said before is heard before.
        out.submit(service.game_drains, seconds, text)

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
    def draining(self) -> bool:
        """Whether the server is being emptied: from a moment after ``drain`` until it is over."""
        service = self._service
        return self.running and service is not None and service.draining

    @property
    def drain_seconds_left(self) -> float:
        """Until those who are still in are sent away; 0.0 if nobody is going to be."""
        service = self._service
        return 0.0 if service is None else service.drain_seconds_left

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
        """An address that a client on this machine can use, with a pin if it needs one."""
        return self._service.address if self._service is not None else ""

    @property
    def failed(self) -> bool:
        """True if the game given as ``game=`` has raised."""
        return self._game_thread is not None and self._game_thread.failed

    def show(self, view: Callable[[], Mapping[str, Any]] | None) -> None:
        """Have the status page show what *view* returns: a dict that JSON can hold, of 64 KiB.

        It is called on this thread when a pass ends, once a second, and only while somebody looks
        at the page. With ``"kind": "map"`` the page draws it (``docs/STATUS.rst``). One that raises
        is called no more, and the log says why.

        :param view: None shows nothing any more.
        """
        self._live_bridge().showing.show(view)

    # The loop.

    def _started(self, bridge: Bridge) -> None:
        super()._started(bridge)
        self._inputs = InputHold()

    @property
    def _holds(self) -> bool:
        return super()._holds or self._inputs.holds

    def _due(self, events: list[Event], tick: float) -> list[Event]:
        config, ticker = self._config, self._ticker
        hold = config.input_hold_seconds
        if not hold:
            return events
        # A game that is late is behind the tick by which the session judged.
        ahead = inf if ticker is None else hold / ticker.dt + config.catch_up_ticks + 1
        return self._inputs.due(events, tick, ahead)

    def _take(self, events: list[Event]) -> None:
        seats = self._seats
        inputs = missing = 0
        for event in events:
            # Inputs are nearly all of it, so they are noted here, as ``observe`` would.
            if type(event) is Input:
                seat = seats.get(event.player.id)
                if seat is not None:
                    seat.input_number = event.number
                    if event.seen >= seat.probe:
                        seat.probe_answered(self._live()[0].now())
                inputs += 1
                missing += event.missing
            elif type(event) in _OF_WHO_IS_HERE:
                self.observe(event)
        if inputs:
            taken = self._taken
            taken["inputs_taken"] += inputs
            taken["inputs_missing"] += missing

    def _hz(self) -> float:
        return self._config.tick_rate

    def _catch_up(self) -> int:
        return self._config.catch_up_ticks

    def _first_step(self, now: float, dt: float) -> int:
        host, _ = self._live()
        return host.align_clock(now, dt)

    def _begin_clock(self) -> None:
        host, _ = self._live()
        host.begin_clock()

    def _stamp(self) -> tuple[int, int]:
        ticker = self._ticker
        if ticker is None:
            return super()._stamp()
        if not self._in_tick:
            late = self._clock() - ticker.deadline
            if late > self._catch_up() * ticker.dt:
                # The game goes on without steps: what it sends is of now, not of the last one.
                now = self.time()
                return int(now / ticker.dt), int(now * 1000)
        return ticker.stamp

    def loop_stats(self) -> dict[str, float]:
        """How the loop keeps its rate, and what it took of the inputs."""
        return {**super().loop_stats(), **self._taken}


def serve(game: AnyGame, listen: int | str = DEFAULT_PORT, **fields: Any) -> int:
    """Run a server until its game returns, somebody stops it, or Ctrl-C.

    :param game: a function of the server, a :class:`~gamenet.Game` or its class.
    :param listen: as for :class:`~gamenet.GameServer`.
    :param fields: any field of :class:`~gamenet.config.ServerConfig`.
    :returns: the exit status: 0, or 1 if no port could be opened or the game raised.
    :raises ConfigError: naming the field that is wrong.
    """
    server = GameServer(listen, game=game, **fields)
    before: Any = None
    in_main = threading.current_thread() is threading.main_thread()
    if in_main and hasattr(signal, "SIGTERM"):
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        try:
            server.start()
            # Not ``address``: a quick game may be over by now.
            print(f"gamenet: listening on {server._opened}", flush=True)
            while not server.wait(_INTERRUPTIBLE_SECONDS):
                pass
        except ListenFailed as error:
            print(f"gamenet: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            pass
        server.stop(server.config.stop_seconds + server.config.close_seconds + 1)
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)
    return 1 if server.failed else 0

"""A server, its clients and the network between them, in one thread and in virtual time.

Layer 4. Runs on: the thread that made it, whichever that is; a function game on one of its own.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from gamenet.checks import build
from gamenet.config import ServerConfig
from gamenet.errors import LocalProtocolError
from gamenet.game import AnyGame, Game, checked_game, settings_of
from gamenet.service import GameServerService
from gamenet.testing.baton import IN_A_HOOK, GameThread, SteppedGame
from gamenet.testing.books import problems_of
from gamenet.testing.bridge import SimulatedBridge
from gamenet.testing.network import SimulatedNetwork
from gamenet.testing.players import SimulatedClient, SimulatedServer
from gamenet.testing.reactor import SimulatedReactor
from gamenet.testing.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from gamenet.client_host import ClientHost
    from gamenet.impairment import Profile
    from gamenet.settings import CommonConfig

T = TypeVar("T")
JOIN_SECONDS: Final = 10.0
"""What a join may take, as by default everywhere."""
SERVER_ADDRESS: Final = "10.0.0.1"
GRAIN: Final = 1e-6
"""Of a tick, that rounding may make of it."""
MOST_ERRORS: Final = 100
"""Raised while a simulation ends, before it is given up."""
_SHARED: Final = ("game_name", "messages", "insecure")
"""What a server and its clients must agree on."""


class Simulation:
    """One server and any number of clients in virtual time: no sockets, no waiting.

    Once made, all clients have joined, and the server's game knows them. Time passes only in
    :meth:`step`, :meth:`run`, :meth:`until` and :meth:`join`, and in whatever waits elsewhere
    (``client.ticks()``, ``events(timeout)``). The same seed gives the same run, byte for byte; over
    TLS, which draws secrets of its own, event by event.

    :param game: a game as :func:`gamenet.serve` takes it: a :class:`~gamenet.Game` is stepped by
        call, a function runs on a thread that takes turns with this one. None leaves the server
        to the test.
    :param clients: how many, or the names to play under.
    :param seed: decides ids, keys, delays and losses.
    :param profile: conditions of every client's link, by name or as a
        :class:`~gamenet.impairment.Profile`.
    :param fields: of :class:`~gamenet.ServerConfig`; ``insecure=True`` is the default here.
    :raises ConfigError: naming what is wrong.
    :raises JoinRefused: if a client is not let in.
    :raises ConnectionFailed: if one gets no answer.
    """

    def __init__(
        self,
        game: AnyGame | None = None,
        *,
        clients: int | Sequence[str] = 1,
        seed: int | str = 0,
        profile: str | Profile = "perfect",
        **fields: Any,
    ) -> None:
        if game is not None:
            game = checked_game(game, "game=")
        insecure = fields.get("insecure", not fields.get("cert_file"))
        given = {**settings_of(game), "insecure": insecure, "insecure_anywhere": True, **fields}
        config = build(ServerConfig, given)
        self.seed = seed
        self.network = SimulatedNetwork(seed)
        """What is between them; its ``link``, ``cut_tcp``, ``block_udp`` and ``change_address``
        make it worse."""
        self.network.link(profile=profile)
        self.network.is_opaque = not config.insecure
        self.game: Any = game() if isinstance(game, type) else game
        """The game; made here, if a class was given."""
        self.clients: list[SimulatedClient] = []
        """The clients, in order of joining."""
        self.game_failed = False
        """Whether the game has raised."""
        self._timeline = self.network.timeline
        self._began = self._timeline.now
        """When the server's ticks begin."""
        self._ready = self._began
        self._dt = 1 / config.tick_rate
        self._config = config
        self._hosts: list[ClientHost] = []
        """The clients' ends; one that was started twice had two."""
        self._bridges: list[SimulatedBridge] = []
        self._traces: list[Trace] = []
        self._fingerprint = ""
        self._has_stopped = False
        self._is_ending = False
        self._is_closed = False
        reactor = SimulatedReactor(self.network, SERVER_ADDRESS, linked=False)
        self.server = SimulatedServer(self, reactor, config)
        """The server."""
        bridge = self.new_bridge(config)
        self._service = GameServerService(
            config,
            sink=bridge,
            facade=self.server,
            reactor=reactor,
            now=reactor.seconds,
            random_bytes=Random(f"{seed}/server").randbytes,
        )
        self.server.begin(bridge, self._service)
        self._runner: GameThread | SteppedGame | None = None
        if self.game is not None:
            kind: Any = SteppedGame if isinstance(self.game, Game) else GameThread
            self._runner = kind(self.game, self.server, self._timeline, self._game_ended)
            bridge.runner = self._runner
        try:
            self._service.startService()
            self._address = self._service.address
            if self._runner is not None:
                self._runner.start()
            if isinstance(clients, int):
                clients = [f"player{number}" for number in range(1, clients + 1)]
            for name in clients:
                self._new_client(name, {}).start(wait=False)
            for client in self.clients:
                self._wait_for_join(client)
            self._pass_to_tick(0)
            self._ready = self._timeline.now
        except BaseException:
            self._abandon()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self._abandon()

    # Time.

    @property
    def time(self) -> float:
        """Simulated seconds since the simulation was made."""
        return round(self._timeline.now - self._ready, 9)

    def step(self, ticks: int = 1) -> None:
        """Let time pass up to and including the server's next tick, or the one *ticks* from here.

        Ticks come ``tick_rate`` times a second, as those of its game do.
        """
        self._pass_to_tick(ticks)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self._pass_to(self._timeline.now + seconds)

    def until(self, predicate: Callable[[], T], limit_seconds: float = 30.0) -> T:
        """Let time pass until *predicate* is true, which is asked once each tick.

        :param limit_seconds: of simulated time.
        :returns: what it said.
        :raises AssertionError: if it is not true by then.
        """
        limit = self._timeline.now + limit_seconds
        while True:
            found = predicate()
            if found:
                return found
            if self._timeline.now >= limit:
                code = getattr(predicate, "__code__", None)
                where = f" ({code.co_filename}:{code.co_firstlineno})" if code else ""
                raise AssertionError(
                    f"not so after {limit_seconds:g} s of simulated time: {predicate!r}{where}; "
                    f"it said {found!r}"
                )
            self._pass_to_tick(1, limit)

    def join(self, user: str = "", **settings: Any) -> SimulatedClient:
        """Another client, which has joined when this returns.

        :param user: the name to play under; "" has the server name a guest.
        :param settings: ``password``, ``ticket``, or any field of :class:`~gamenet.ClientConfig`.
        :raises JoinRefused: if the server says no.
        :raises ConnectionFailed: if there is no answer.
        """
        self.check_may_wait()
        client = self._new_client(user, settings)
        try:
            client.start(wait=False)
            self._wait_for_join(client)
            self._pass_to_tick(0)
        except BaseException:
            self.clients.remove(client)
            raise
        return client

    def fingerprint(self) -> str:
        """A digest of all that crossed the network and of all events, up to now or to the end."""
        if self._is_ending:
            return self._fingerprint
        machines = [machine.trace for machine in self.network.machines]
        return Trace.of([*machines, *self._traces])

    # What the server and the clients of it use.

    def _new_client(self, user: str, settings: dict[str, Any]) -> SimulatedClient:
        shared = {name: getattr(self._config, name) for name in _SHARED}
        reactor = SimulatedReactor(self.network)
        client = SimulatedClient(
            self,
            reactor,
            self._address,
            len(self.clients) + 1,
            user=user,
            **{**shared, **settings},
        )
        self.clients.append(client)
        return client

    def _wait_for_join(self, client: SimulatedClient) -> None:
        """Until both sides know of it, and the game if there is one."""
        limit = self._timeline.now + JOIN_SECONDS
        client.wait_for_join(JOIN_SECONDS)
        number, server = client.player.id, self.server

        def knows() -> bool:
            if self._runner is None:
                return number in self._service.host.seats
            return server.find(number) is not None or self._runner.is_over()

        self.wait_until(knows, limit)

    def new_bridge(self, config: CommonConfig) -> SimulatedBridge:
        """A bridge of this simulation."""
        trace = Trace()
        self._traces.append(trace)
        bridge = SimulatedBridge(config, self._timeline, trace, self.wait_until)
        self._bridges.append(bridge)
        return bridge

    def add_host(self, host: ClientHost) -> None:
        """A client whose books are to be right at the end."""
        self._hosts.append(host)

    def check_may_take(self) -> None:
        """Refuse to take a server's events from its game.

        :raises LocalProtocolError: then.
        """
        if self._runner is None:
            return
        self._runner.look_at_end()
        if not self._runner.is_current:
            raise LocalProtocolError(
                "the game takes this server's events; look at what it makes of them"
            )

    def wait_until(self, done: Callable[[], bool], deadline: float) -> bool:
        """Let time pass until *done*, at most to *deadline*.

        :returns: what *done* said last.
        """
        self.check_may_wait()
        return self._timeline.run_until(done, deadline)

    def _pass_to(self, end: float) -> None:
        self.check_may_wait()
        self._timeline.run_to(end)

    def _pass_to_tick(self, ticks: int, limit: float = math.inf) -> None:
        """Let time pass to a tick: the next is 1, and 0 is now, if there is one now."""
        passed = (self._timeline.now - self._began) / self._dt
        number = math.floor(passed + GRAIN) if ticks else math.ceil(passed - GRAIN)
        self._pass_to(min(limit, self._began + (number + ticks) * self._dt))

    def check_may_wait(self) -> None:
        """Refuse to let time pass where that cannot be.

        :raises LocalProtocolError: if it passes already, or the simulation is closed.
        """
        if self._timeline.is_running:
            raise LocalProtocolError(IN_A_HOOK)
        if self._is_closed:
            raise LocalProtocolError("this simulation is closed; make another one")

    # The end.

    def _game_ended(self, error: BaseException | None) -> None:
        self.game_failed = error is not None
        self._service.thread_ended(error is None)
        if error is not None:
            raise error

    def _begin_to_stop(self) -> None:
        self._service.stopService().addBoth(lambda result: self._stopped())

    def _stopped(self) -> None:
        self._has_stopped = True

    @property
    def _server_is_gone(self) -> bool:
        return self._has_stopped and (self._runner is None or self._runner.is_over())

    def stop_server(self, timeout: float) -> None:
        """As ``stop`` of the server."""
        if self._timeline.is_running:
            self.server.reactor.callFromThread(self._service.game_stops)
            return
        if not self.server.running:
            return
        self._begin_to_stop()
        try:
            deadline = self._timeline.now + timeout + self._config.stop_seconds
            if not self.wait_until(lambda: self._server_is_gone, deadline):
                raise LocalProtocolError(f"the server did not stop within {timeout:g} s")
        finally:
            self._bridges[0].finish()

    def close(self) -> None:
        """End it all, and make sure that nothing is left and that the books are right.

        Can be called twice.

        :raises AssertionError: saying what is left: a timer, a connection, a port, a thread; or
            which datagrams or frames have come that were neither delivered nor dropped.
        """
        problems = self._end()
        if problems:
            raise AssertionError("\n  ".join(["a simulation ended badly:", *problems]))

    def _abandon(self) -> None:
        """End it where something has gone wrong already, which is what there is to hear of."""
        try:
            self._end()
        except Exception:
            pass

    def _end(self) -> list[str]:
        """:returns: what is wrong."""
        if self._is_ending:
            return []
        self._fingerprint = self.fingerprint()
        self._is_ending = True
        errors: list[Exception] = []
        self.network.link(profile="perfect")
        self.network.block_udp(on=False)
        for connection in self.network.connections:
            connection.resumeProducing()
        limit = self._timeline.now + 3 * self._config.close_seconds + self._config.stop_seconds
        for client in self._hosts:
            client.drain()
            client.leave()
        self._let_end(lambda: not any(host.is_busy for host in self._hosts), limit, errors)
        self._begin_to_stop()
        self._let_end(lambda: self._server_is_gone, limit, errors)
        for bridge in self._bridges:
            bridge.finish()
        self._let_end(lambda: False, self._timeline.now, errors)
        self._is_closed = True
        if errors:
            raise errors[0]
        return problems_of(self.network, [self._service.host, *self._hosts], self._runner)

    def _let_end(self, done: Callable[[], bool], limit: float, errors: list[Exception]) -> None:
        """Let time pass, whatever is raised meanwhile."""
        while len(errors) < MOST_ERRORS:
            try:
                self.wait_until(done, limit)
            except Exception as error:
                errors.append(error)
            else:
                return


class Pair(Simulation):
    """A simulation with one client."""

    def __init__(self, game: AnyGame | None = None, **same: Any) -> None:
        same.setdefault("clients", 1)
        super().__init__(game, **same)

    @property
    def client(self) -> SimulatedClient:
        """The client."""
        return self.clients[0]

"""The server and the clients of a simulation: the facades that games have everywhere.

Layer 4. Runs on: the thread that lets time pass, and the game's; never both at once.

What would wait for another thread elsewhere lets virtual time pass here.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any

from gamenet.client_facade import GameClient
from gamenet.errors import LocalProtocolError
from gamenet.facade import GameServer

if TYPE_CHECKING:
    from gamenet.bridge import Bridge
    from gamenet.config import ServerConfig
    from gamenet.service import GameServerService
    from gamenet.testing.reactor import SimulatedReactor
    from gamenet.testing.simulation import Simulation


class SimulatedServer(GameServer):
    """The server of a simulation, which starts and stops with it."""

    def __init__(
        self, simulation: Simulation, reactor: SimulatedReactor, config: ServerConfig
    ) -> None:
        super().__init__(config.listen, config=config)
        self._simulation = simulation
        self.reactor = reactor
        """The machine it runs on."""

    def begin(self, bridge: Bridge, service: GameServerService) -> None:
        """The service is there: from here on this is its game's end."""
        self._started(bridge)
        self._connect(service.host, bridge)
        self.serve_through(service)

    def start(self, timeout: float = 10.0) -> None:
        """A simulation starts its server, once.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError("a simulation starts its own server, once; make another one")

    def stop(self, timeout: float = 5.0) -> None:
        """Say BYE to everybody and close; returns at once when the game itself calls it.

        :param timeout: in simulated seconds; a game has ``stop_seconds`` on top of them.
        :raises LocalProtocolError: if it takes longer than that.
        """
        self._simulation.stop_server(timeout)

    def _claim(self) -> Bridge:
        self._simulation.check_may_take()
        return super()._claim()

    @property
    def failed(self) -> bool:
        """True if the game has raised."""
        return self._simulation.game_failed

    @property
    def next_tick(self) -> float:
        """When the next step of the running loop is due."""
        if self._ticker is None:
            return self._clock()
        return self._ticker.deadline

    @property
    def has_ended(self) -> bool:
        """Whether the last tick was yielded."""
        return self._ended


class SimulatedClient(GameClient):
    """A client of a simulation.

    :param number: makes its randomness its own.
    """

    def __init__(
        self,
        simulation: Simulation,
        reactor: SimulatedReactor,
        address: str,
        number: int,
        **settings: Any,
    ) -> None:
        super().__init__(address, **settings)
        self._simulation = simulation
        self._number = number
        self._runs = 0
        self.reactor = reactor
        """The machine it runs on."""

    def start(self, timeout: float = 10.0, *, wait: bool = True) -> None:
        """Connect and join, in simulated time; again, after ``stop``.

        :param wait: False returns at once; ``Connected`` or ``Disconnected`` tell the outcome.
        :raises JoinRefused: if the server says no.
        :raises ConnectionFailed: if there is no answer in time.
        :raises LocalProtocolError: if it runs already.
        """
        if self._bridge is not None and not self._bridge.closed:
            raise LocalProtocolError("the client runs already; stop() it first")
        simulation = self._simulation
        if wait:
            simulation.check_may_wait()
        self._runs += 1
        bridge = simulation.new_bridge(self._config)
        self._begin(bridge)
        random = Random(f"{simulation.seed}/client/{self._number}/{self._runs}")
        host = self._connect_from(
            bridge, self.reactor, now=self.reactor.seconds, random_bytes=random.randbytes
        )
        self._connect(host, bridge)
        simulation.add_host(host)
        if wait:
            self.wait_for_join(timeout)

    def wait_for_join(self, timeout: float) -> None:
        """As ``start`` waits; what else came meanwhile is taken with the next events."""
        bridge = self._live_bridge()
        self._wait_for_join(bridge, bridge.clock() + timeout)

    def stop(self, timeout: float = 5.0) -> None:
        """Leave the server and close; can be called twice.

        :param timeout: in simulated seconds.
        :raises LocalProtocolError: if it takes longer than that.
        """
        bridge, host = self._bridge, self._host
        if bridge is None or host is None or bridge.finished:
            return
        gone: list[object] = []
        self._simulation.check_may_wait()
        host.drain()
        host.leave()
        host.when_idle().addBoth(gone.append)
        try:
            if not self._simulation.wait_until(lambda: bool(gone), bridge.clock() + timeout):
                raise LocalProtocolError(f"the client did not stop within {timeout:g} s")
        finally:
            bridge.finish()

"""Fixtures of pytest's for tests of games: in virtual time, and over real sockets.

pytest loads this module in every run on a machine that has gamenet, so it imports neither gamenet
nor a reactor before a test asks for one of its fixtures. ``docs/TESTING.rst`` has examples.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamenet.game import AnyGame
    from gamenet.testing import Pair, SimulatedNetwork

__all__ = ["gamenet_network", "gamenet_pair", "gamenet_server"]


class MakePair(Protocol):
    """What ``gamenet_pair`` is."""

    def __call__(self, game: AnyGame | None = None, **same: Any) -> Pair:
        """A server and a client, which are closed when the test ends."""


class MakeNetwork(Protocol):
    """What ``gamenet_network`` is."""

    def __call__(self, seed: int | str = 0) -> SimulatedNetwork:
        """A network, which must be empty when the test ends."""


class StartServer(Protocol):
    """What ``gamenet_server`` is."""

    def __call__(self, game: object, **fields: Any) -> str:
        """The address of a server that runs until the test ends."""


@pytest.fixture
def gamenet_pair() -> Iterator[MakePair]:
    """Makes :class:`gamenet.testing.Pair` objects: a server and a client in virtual time.

    Call it with a game and with what :class:`gamenet.testing.Simulation` takes; any number of times
    in a test. Each is closed when the test ends, which fails if anything is left then.
    """
    made: list[Pair] = []

    def make(game: AnyGame | None = None, **same: Any) -> Pair:
        from gamenet.testing import Pair

        made.append(Pair(game, **same))
        return made[-1]

    yield make
    _end([pair.close for pair in reversed(made)])


@pytest.fixture
def gamenet_network() -> Iterator[MakeNetwork]:
    """Makes :class:`gamenet.testing.SimulatedNetwork` objects, each of a seed: call it.

    For those who own the reactor: put :class:`gamenet.testing.SimulatedReactor` machines on it.
    When the test ends no connection, port or timer may be left on it.
    """
    made: list[SimulatedNetwork] = []

    def make(seed: int | str = 0) -> SimulatedNetwork:
        from gamenet.testing import SimulatedNetwork

        made.append(SimulatedNetwork(seed))
        return made[-1]

    def check(network: SimulatedNetwork) -> None:
        network.settle()
        left = network.left_behind()
        if left:
            raise AssertionError("\n  ".join(["left on the simulated network:", *left]))

    yield make
    _end([partial(check, network) for network in made])


@pytest.fixture
def gamenet_server() -> Iterator[StartServer]:
    """Starts real servers, each in a process of its own on a free port of this machine: call it.

    Give it a game, as ``"module:name"`` or as a function or class at the top of a module, and
    fields of :class:`gamenet.ServerConfig`; it returns the address for a client. The processes are
    ended with the test, which fails if a game has raised.
    """
    made: list[Any] = []

    def start(game: object, **fields: Any) -> str:
        from gamenet.testing.live import LiveServer

        made.append(LiveServer(game, **fields))
        address: str = made[-1].address
        return address

    yield start
    _end([server.stop for server in reversed(made)])


def _end(steps: list[Callable[[], None]]) -> None:
    """Do all of it, and raise what the first that failed raised."""
    errors: list[Exception] = []
    for step in steps:
        try:
            step()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]

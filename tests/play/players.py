"""Players of the field without a window: worlds on a simulated server, a frame at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamenet.demo import field, game
from gamenet.play.world import World
from gamenet.testing import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from gamenet.testing.players import SimulatedClient

FRAME = 1 / 60
ADD = field.Field.add


def add_beside(self: field.Field, hero_id: int, at: Any = None) -> field.Hero:
    """Put everybody next to each other, in sight."""
    return ADD(self, hero_id, (field.UNITS_PER_TILE * (2 * hero_id + 25) // 2, 2944))


class Players:
    """A server of the field, and the worlds of its players.

    :param fields: of the simulation.
    """

    def __init__(self, *names: str, game_: Any = game.main, **fields: Any) -> None:
        self.fields: list[field.Field] = []
        """The server's own field."""
        self.simulation = Simulation(game_, clients=list(names), **fields)
        self.worlds = [World(client, self.time) for client in self.simulation.clients]
        self.held = [0] * len(names)
        """The buttons that each of them holds."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.simulation.__exit__(kind, error, trace)

    @property
    def time(self) -> float:
        return self.simulation.time

    @property
    def clients(self) -> list[SimulatedClient]:
        return self.simulation.clients

    def frames(self, count: int = 1) -> None:
        """Let everybody draw some frames."""
        for _ in range(count):
            self.simulation.run(FRAME)
            for world, buttons in zip(self.worlds, self.held, strict=True):
                world.frame(self.time, buttons)

    def until(self, done: Callable[[], object], most: int = 3600) -> None:
        """Draw frames until something is so."""
        for _ in range(most):
            if done():
                return
            self.frames()
        raise AssertionError(f"not so after {most} frames")

"""The whole game but its window and its sockets: real screens, on a simulated server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Self

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pygame

from gamenet.addresses import parse_address
from gamenet.demo import game
from gamenet.discovery import Found
from gamenet.play.app import App, Window, close_window, open_window
from gamenet.play.hosting import Hosting
from gamenet.play.stage import Wish
from gamenet.play.view import FieldView
from gamenet.testing import SimulatedReactor, Simulation
from gamenet.testing.players import SimulatedClient

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gamenet.play.sight import Sight

FRAME = 1 / 60
PLAYED = Wish("field.example", "ada", insecure=True)


def nearby(name: str, host: str, **details: Any) -> Found:
    """A server that was found."""
    given: dict[str, Any] = {
        "game": game.GAME_NAME,
        "address": f"{host}:7777",
        "host": host,
        "port": 7777,
        "pin": "",
        "players": 1,
        "max_players": 8,
        "secure": False,
        "needs_proof": False,
        "is_open": True,
        "is_known": True,
    }
    return Found(name=name, **{**given, **details})


class FakeLan:
    """Finds what the test says."""

    def __init__(self) -> None:
        self.found: Sequence[Found] = ()
        self.problem = ""
        self.looks = False

    def start(self) -> None:
        self.looks = True

    def servers(self) -> Sequence[Found]:
        return self.found

    def stop(self) -> None:
        self.looks = False


class FakeHosting(Hosting):
    """A server that runs when the test says so."""

    def __init__(self) -> None:
        super().__init__(0)
        self.starts = self.stops = 0

    def start(self) -> None:
        self.starts += 1

    def stop(self, timeout: float = 0.0) -> None:
        self.stops += 1


class AtOnce:
    """Closes things in the middle of the test instead of on threads."""

    def begin(self, stop: Callable[[], object]) -> None:
        stop()

    def wait(self, seconds: float) -> None:
        pass


class Onlooker:
    """Keeps what there was to draw last, and draws nothing of it."""

    def __init__(self) -> None:
        self.sights: Sequence[Sight] = ()
        self.centre = (0.0, 0.0)

    def draw(
        self,
        surface: pygame.Surface,
        sights: Sequence[Sight],
        centre: tuple[float, float],
        now_seconds: float,
    ) -> None:
        self.sights, self.centre = sights, centre


class Theatre:
    """An app on a simulated server.

    :param others: who is there already.
    :param draws: draw the field, too; it takes a quarter of a second to get ready.
    :param fields: of the simulation.
    """

    def __init__(
        self, *others: str, game_: Any = game.main, draws: bool = False, **fields: Any
    ) -> None:
        self.simulation = Simulation(game_, clients=list(others), **fields)
        self.others = list(self.simulation.clients)
        self.lan = FakeLan()
        self.hosting = FakeHosting()
        self.told: list[str] = []
        self._waiting: list[pygame.event.Event] = []
        surface = open_window(Window((640, 360)))
        self.app = App(
            surface,
            FieldView() if draws else Onlooker(),
            self.hosting,
            self.lan,
            make_client=self._client,
            events=self._take,
            clock=lambda: self.simulation.time,
            closing=AtOnce(),
        )
        self.app.tell = self.told.append  # type: ignore[method-assign]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.app.scene.close()
            self.simulation.__exit__(kind, *error)
        finally:
            close_window()

    def _client(self, address: str, **settings: Any) -> SimulatedClient:
        simulation = self.simulation
        parse_address(address)  # as a client does, which here has another one
        settings = {**settings, "insecure": True}
        reactor = SimulatedReactor(simulation.network)
        client = SimulatedClient(
            simulation, reactor, "10.0.0.1", len(simulation.clients) + 1, **settings
        )
        simulation.clients.append(client)
        return client

    def _take(self) -> list[pygame.event.Event]:
        taken, self._waiting = self._waiting, []
        return taken

    @property
    def scene(self) -> Any:
        return self.app.scene

    def frames(self, count: int = 1) -> None:
        """Let the game draw some frames, a sixtieth of a second each."""
        for _ in range(count):
            self.simulation.run(FRAME)
            self.app.frame()

    def until(self, done: Callable[[], object], most: int = 1200) -> None:
        """Draw frames until something is so."""
        for _ in range(most):
            if done():
                return
            self.frames()
        raise AssertionError(f"not so after {most} frames: {done}")

    def happens(self, kind: int, **details: Any) -> None:
        """An event of pygame's, in a frame of its own."""
        self._waiting.append(pygame.event.Event(kind, **details))
        self.frames()

    def down(self, key: int, mod: int = 0) -> None:
        self.happens(pygame.KEYDOWN, key=key, mod=mod)

    def up(self, key: int) -> None:
        self.happens(pygame.KEYUP, key=key, mod=0)

    def press(self, *keys: int, mod: int = 0) -> None:
        """Press keys, one after another."""
        for key in keys:
            self.down(key, mod)
            self.up(key)

    def type(self, text: str) -> None:
        self.happens(pygame.TEXTINPUT, text=text)

    def click(self, widget: Any) -> None:
        self.frames()  # which puts it where it is
        self.happens(pygame.MOUSEBUTTONDOWN, button=1, pos=widget.rect.center)

    def play(self) -> Any:
        """Join, and see the field."""
        self.app.to_join(PLAYED, at_once=True)
        self.until(lambda: hasattr(self.scene, "world") and self.scene.world.own is not None)
        return self.scene

    def save(self, path: str | Path) -> None:
        """A picture of the window, to look at."""
        pygame.image.save(self.app.surface, str(path))

"""What a screen has to work with, and what every screen is.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pygame

    from gamenet.client_facade import GameClient
    from gamenet.discovery import Found
    from gamenet.play.controls import Action, Controls
    from gamenet.play.endings import Over
    from gamenet.play.hosting import Hosting
    from gamenet.play.sight import Sight
    from gamenet.play.world import World


class Wish(NamedTuple):
    """Which server to join, and as whom."""

    address: str = ""
    name: str = ""
    password: str = ""
    ca_file: str = ""
    insecure: bool = False


class Lan(Protocol):
    """Who looks for servers on the local network, such as ``gamenet.discovery.Browser``."""

    @property
    def problem(self) -> str:
        """Why nobody can be found, as a sentence; "" while somebody can be."""

    def start(self) -> None:
        """Begin to look, if it has not begun."""

    def servers(self) -> Sequence[Found]:
        """Those that were heard of lately."""

    def stop(self) -> None:
        """Look no more; can be called twice."""


class View(Protocol):
    """What draws the field."""

    def draw(
        self,
        surface: pygame.Surface,
        sights: Sequence[Sight],
        centre: tuple[float, float],
        now_seconds: float,
    ) -> None:
        """Draw all of it."""


class Stay(NamedTuple):
    """One stay on a server: from the attempt to join until the player leaves."""

    wish: Wish
    client: GameClient
    world: World


class Stage(Protocol):
    """What a screen has to work with."""

    controls: Controls
    view: View
    lan: Lan
    hosting: Hosting

    def to_join(self, wish: Wish, *, at_once: bool = False) -> None:
        """Go on with the join screen; *at_once* begins to join what it says."""

    def to_play(self, stay: Stay) -> None:
        """Go on with the field."""

    def to_end(self, wish: Wish, over: Over) -> None:
        """Go on with how it ended."""

    def quit(self) -> None:
        """Close the window."""

    def join(self, wish: Wish) -> Stay:
        """Begin to join a server; its world tells what comes of it.

        :raises GamenetError: if there is something wrong with the wish itself.
        """

    def leave(self, stay: Stay) -> None:
        """Be done with a server, without waiting for it."""

    def tell(self, text: str) -> None:
        """Say a sentence at the terminal, too."""


class Scene(ABC):
    """A screen."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @abstractmethod
    def handle(self, event: pygame.event.Event, action: Action | None) -> None:
        """Take in an event; *action* is what it means in a menu."""

    @abstractmethod
    def update(self, now: float) -> None:
        """Once a frame, before it is drawn."""

    @abstractmethod
    def draw(self, surface: pygame.Surface, now: float) -> None:
        """Draw all of the window."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """The window closes: give back what this screen holds."""

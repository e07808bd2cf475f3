"""The game's window and its loop.

Layer 4. Runs on: the game thread, which is the main one. Needs pygame-ce.

Nothing in the loop waits for the network: a join goes on by itself and is looked at once a frame,
and what takes a while to end does so on a thread of its own, after the window is gone.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

import pygame

from gamenet.client_facade import GameClient
from gamenet.demo.game import GAME_NAME
from gamenet.errors import GamenetError
from gamenet.play.closing import Closing
from gamenet.play.controls import Controls
from gamenet.play.field_map import ASSETS
from gamenet.play.scenes.join import JoinScene
from gamenet.play.scenes.over import OverScene
from gamenet.play.scenes.playing import PlayingScene
from gamenet.play.stage import Lan, Scene, Stay, View, Wish
from gamenet.play.world import World
from gamenet.play.writing import forget_fonts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gamenet.play.endings import Over
    from gamenet.play.hosting import Hosting

FRAMES_PER_SECOND: Final = 60
START_SECONDS: Final = 2.0
"""How long the network's thread may take to begin a join, which it does at once."""
STOP_SECONDS: Final = 1.0
"""How long a server is waited for when the player leaves it."""
END_SECONDS: Final = 6.0
"""How long the process lives on without its window, at most."""
UNSEEN: Final = frozenset({"dummy", "offscreen"})
"""What SDL draws into where it finds no display, which is of use only to who has asked for it."""


class PlayError(GamenetError):
    """The game cannot be shown here; the text says why."""


class Window(NamedTuple):
    """What the window is like."""

    size: tuple[int, int] = (960, 540)
    fullscreen: bool = False


def open_window(window: Window) -> pygame.Surface:
    """Open the window; of pygame only what the game uses is begun, and sound is not.

    :raises PlayError: where there is no display.
    """
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
        if driver in UNSEEN and os.environ.get("SDL_VIDEODRIVER") != driver:
            raise pygame.error("there is no display")
        pygame.font.init()
        flags = pygame.FULLSCREEN | pygame.SCALED if window.fullscreen else pygame.RESIZABLE
        pygame.display.set_icon(pygame.image.load(ASSETS / "icon.png"))
        surface = pygame.display.set_mode(window.size, flags)
    except pygame.error as error:
        close_window()
        raise PlayError(
            f"no window can be opened here ({error}): the game needs a screen, and over SSH one "
            "that is forwarded; 'gamenet chat' needs only a terminal"
        ) from None
    pygame.display.set_caption("gamenet")
    # Held keys are told once, but a held backspace many times.
    pygame.key.set_repeat(400, 40)
    try:
        pygame.joystick.init()
    except pygame.error:
        pass  # no gamepads on this machine
    return surface


def close_window() -> None:
    """Close the window, whatever of it is open."""
    forget_fonts()
    pygame.joystick.quit()
    pygame.font.quit()
    pygame.display.quit()


class App:
    """The game from the first screen to the last.

    :param surface: of the window.
    :param view: what draws the field.
    :param hosting: a server of one's own, which need not run.
    :param lan: who looks for servers nearby.
    :param make_client: as :class:`~gamenet.GameClient`.
    :param events: what has happened since the last call, as pygame says it.
    :param clock: seconds.
    :param closing: what ends things beside the loop.
    """

    def __init__(
        self,
        surface: pygame.Surface,
        view: View,
        hosting: Hosting,
        lan: Lan,
        *,
        make_client: Callable[..., GameClient] = GameClient,
        events: Callable[[], Iterable[pygame.event.Event]] = pygame.event.get,
        clock: Callable[[], float] = time.monotonic,
        closing: Closing | None = None,
    ) -> None:
        self.surface = surface
        self.view = view
        self.hosting = hosting
        self.lan = lan
        self.controls = Controls()
        self.is_over = False
        """Whether the player wants the window to close."""
        self._make_client = make_client
        self._events = events
        self._clock = clock
        self._closing = closing or Closing()
        self.scene: Scene
        """The screen at hand."""
        self.to_join(Wish())

    # The loop.

    def run(self, interrupted: Callable[[], bool]) -> None:
        """Play until the player, or the system, closes the window.

        :param interrupted: asked each frame; True ends it.
        """
        pace = pygame.time.Clock()
        try:
            while not (self.is_over or interrupted()):
                self.frame()
                pygame.display.flip()
                pace.tick(FRAMES_PER_SECOND)
        finally:
            close_window()
            self.close()

    def frame(self) -> None:
        """One frame: what has happened, what follows from it, and a picture of it."""
        for event in self._events():
            if event.type == pygame.QUIT:
                self.quit()
            elif event.type == pygame.KEYDOWN and event.key == pygame.K_F11:
                _toggle_fullscreen()
            else:
                self.scene.handle(event, self.controls.handle(event))
        if self.is_over:
            return
        now = self._clock()
        self.scene.update(now)
        self.scene.draw(self.surface, now)

    def close(self) -> None:
        """Be done with servers, one's own included; waits for them, though not forever."""
        self.scene.close()
        self.lan.stop()
        self._closing.begin(self.hosting.stop)
        self._closing.wait(END_SECONDS)

    # What the screens work with.

    def to_join(self, wish: Wish, *, at_once: bool = False) -> None:
        scene = self._join_scene(wish)
        if at_once:
            scene.join()

    def to_host(self, wish: Wish) -> None:
        """Start a server of one's own, and join it."""
        self._join_scene(wish).host()

    def _join_scene(self, wish: Wish) -> JoinScene:
        self.lan.start()
        self.scene = scene = JoinScene(self, wish)
        return scene

    def to_play(self, stay: Stay) -> None:
        self.lan.stop()
        self.scene = PlayingScene(self, stay)

    def to_end(self, wish: Wish, over: Over) -> None:
        self.scene = OverScene(self, wish, over)

    def quit(self) -> None:
        self.is_over = True

    def join(self, wish: Wish) -> Stay:
        client = new_client(self._make_client, wish)
        client.start(START_SECONDS, wait=False)
        return Stay(wish, client, World(client, self._clock()))

    def leave(self, stay: Stay) -> None:
        self._closing.begin(lambda: stay.client.stop(STOP_SECONDS))

    def tell(self, text: str) -> None:
        try:
            print(f"gamenet play: {text}", file=sys.stderr, flush=True)
        except OSError:
            pass  # the terminal has gone, or its disk is full: the window says it as well


def new_client(make: Callable[..., GameClient], wish: Wish) -> GameClient:
    """A client that has not started.

    :raises ConfigError: naming the field that is wrong.
    """
    return make(
        wish.address,
        user=wish.name,
        password=wish.password or None,
        ca_file=wish.ca_file,
        insecure=wish.insecure,
        game_name=GAME_NAME,
    )


def _toggle_fullscreen() -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a window that is made anew, which nobody minds
            pygame.display.toggle_fullscreen()
    except pygame.error:
        pass  # a display that cannot; the window stays as it is

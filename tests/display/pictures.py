"""The picture of the documentation: ``python -m tests.display --screenshots docs/images``."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pygame

from tests.display.screen import Screen
from tests.display.stage import game, heroes, wait_for, walker
from tests.display.window import Window
from tests.live.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE: Final = (960, 540)
NAME: Final = "ada"
SETTLES_SECONDS: Final = 0.2
"""After which the status site has looked anew."""
GREETING: Final = "Who is for a race to the lake?"
CROWD: Final = (
    ("grace", 36, 8, "?Which way is it?"),
    ("linus", 41, 10, ""),
    ("barbara", 45, 12, "?Me! Just a moment ..."),
    ("ken", 43, 13, ""),
    ("edsger", 33, 6, ""),
    ("mia", 47, 7, "?Not me, it is warm in here"),
    ("bob", 32, 11, ""),
)
"""Names, places, and what they say."""


def take(folder: Path) -> None:
    """Write ``play.png``: the game by the bridge, with others."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, contextlib.ExitStack() as players:
        screen = players.enter_context(Screen(SIZE))
        server = players.enter_context(Daemon(Path(scratch)))
        players.enter_context(game(server, screen, Path(scratch), NAME, SIZE))
        window = players.enter_context(Window(screen, server, SIZE, NAME))
        window.wait_until_drawn(NAME)
        crowd = [
            players.enter_context(walker(server, name, column, row, text))
            for name, column, row, text in CROWD
        ]
        walk_up(screen, 9.5, lambda: heroes(server)[NAME].y)
        for walks in crowd:
            walks.wait_for("there")
        screen.press("Down", "Return")
        screen.write(GREETING)
        screen.press("Return")
        said = [GREETING, *(text[1:] for _, _, _, text in CROWD if text)]
        wait_for("all that is said", lambda: all(map(window.where_is_said, said)))
        picture = screen.picture()
    path = folder / "play.png"
    pygame.image.save(picture, path)
    print(f"{path}: {path.stat().st_size} bytes")


def walk_up(screen: Screen, row: float, where: Callable[[], float]) -> None:
    """Walk until one is no further down: by steps in the end, as the server tells it late."""
    screen.hold("Up")
    try:
        wait_for("most of the way", lambda: where() < row + 4)
    finally:
        screen.let_go("Up")

    def step() -> bool:
        screen.press("Up")
        time.sleep(SETTLES_SECONDS)
        where()
        time.sleep(SETTLES_SECONDS)
        return where() < row

    wait_for("the end of the way", step)

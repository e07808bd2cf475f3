"""Plays the listing of the documentation against the README's server, in virtual time."""

from __future__ import annotations

import os
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pygame

from gamenet.testing import Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def play(
    size: tuple[int, int],
    seconds: float,
    *,
    level: int = 1,
    profile: str = "perfect",
    each_frame: Callable[[int], None] = lambda number: None,
) -> pygame.Surface:
    """Let the listing run, and close its window.

    :param each_frame: called with the frame's number when it is shown.
    :returns: its last frame.
    """
    listing = runpy.run_path(str(EXAMPLES / "net_graph.py"))
    server: Any = runpy.run_path(str(EXAMPLES / "tag.py"))["main"]
    shown = 0

    def flip() -> None:
        nonlocal shown
        shown += 1
        each_frame(shown)
        if shown == round(60 * seconds):
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    with mock.patch.dict(os.environ, SDL_VIDEODRIVER="dummy"):
        pygame.display.init()
    try:
        screen = pygame.display.set_mode(size)
        with (
            Simulation(server, clients=["ada"], profile=profile, seed=4) as simulation,
            mock.patch.object(pygame.display, "flip", flip),
        ):
            listing["play"](simulation.clients[0], screen, level)
        return screen.copy()
    finally:
        pygame.display.quit()

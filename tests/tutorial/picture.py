"""The picture of the tutorial: ``python -m tests.tutorial.picture FOLDER``."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.tutorial.plays import Play
from tests.tutorial.windows import Window, Windows, until

STEP: Final = 5
GAP: Final = 12
"""Pixels between the two windows."""
TALK: Final = (
    ("ada", "hi bob"),
    ("bob", "hello ada"),
    ("ada", "shall we meet in the middle?"),
)


def take(folder: Path) -> None:
    """Write ``tutorial.png``: the windows of two who play step 5, side by side."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        windows = stack.enter_context(Windows())
        play = Play(STEP, scratch / "step", stack)
        play.wait_for_server()
        players = {}
        for name in ("ada", "bob"):
            play.open_window(name, windows)
            players[name] = windows.next()
        for window in players.values():
            window.find("gold")
            window.find("skyblue")
        for name, text in TALK:
            players[name].type(text)
            for window in players.values():
                wait_for_line(window, text)
        pictures = [scratch / f"{name}.png" for name in players]
        for window, picture in zip(players.values(), pictures, strict=True):
            window.find("gold")  # so that what was read is drawn
            window.save(picture)
        join(pictures, folder / "tutorial.png")


def wait_for_line(window: Window, text: str) -> None:
    """Until a line of chat is there."""
    until(lambda: text in window.variable("chat"), f"somebody reads {text!r}")


def join(parts: list[Path], path: Path) -> None:
    """Put pictures side by side into one."""
    os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
    import pygame

    loaded = [pygame.image.load(part) for part in parts]
    width, height = loaded[0].get_size()
    whole = pygame.Surface((len(loaded) * (width + GAP) - GAP, height), pygame.SRCALPHA)
    for column, picture in enumerate(loaded):
        whole.blit(picture, (column * (width + GAP), 0))
    pygame.image.save(whole, path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    take(Path(sys.argv[1]))

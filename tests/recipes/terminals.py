"""Terminals with a program in them, as a person has them: keys in, a screen out."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import termios
import time
from typing import TYPE_CHECKING, Self

from tests.live.daemon import environment
from tests.recipes.stage import HANGS_SECONDS, RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable

FRAME, END_OF_FRAME = "\x1b[H", "\x1b[J"
POLL_SECONDS = 0.02


class Terminal:
    """A terminal of its own, with a recipe in it until the end of a ``with`` block.

    :param arguments: of the recipe.
    """

    def __init__(self, *arguments: str) -> None:
        self._keyboard, line = pty.openpty()
        self._settings = termios.tcgetattr(line)
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=RECIPES,
            env=environment(),
            stdin=line,
            stdout=line,
            stderr=line,
            # Its controlling terminal, so that Ctrl-C is what it is.
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
        )
        self._line = line
        self._out = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._keyboard)
        os.close(self._line)

    @property
    def out(self) -> str:
        """All that was written so far."""
        while select.select([self._keyboard], [], [], 0)[0]:
            self._out += os.read(self._keyboard, 65_536).decode()
        return self._out

    @property
    def screen(self) -> list[str]:
        """The newest whole picture, by lines."""
        before, _, _ = self.out.rpartition(END_OF_FRAME)
        return before.rpartition(FRAME)[2].replace("\x1b[K", "").replace("\r", "").split("\n")

    @property
    def as_it_was(self) -> bool:
        """Whether the terminal's settings are those from before the program."""
        return termios.tcgetattr(self._line) == self._settings

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._keyboard, keys.encode())

    def until(self, predicate: Callable[[], object]) -> None:
        """Wait until it is true.

        :raises AssertionError: with the screen, if that takes too long.
        """
        ends = time.monotonic() + HANGS_SECONDS
        while not predicate():
            assert time.monotonic() < ends, self.out[-2_000:]
            time.sleep(POLL_SECONDS)

    def status(self) -> int:
        """The exit status, once the program has ended."""
        self.until(lambda: self.out is not None and self._process.poll() is not None)
        return self._process.returncode


def column_of(letter: str, terminal: Terminal) -> int:
    """Where somebody is on the plaza of the screen; -1 for nowhere."""
    return max((line.find(letter) for line in terminal.screen[:18]), default=-1)

"""A real server, the game in a window, and other players."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeVar

from tests.live.daemon import HANGS_SECONDS, Daemon, environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.display.screen import Screen

T = TypeVar("T")

POLL_SECONDS: Final = 0.1


class Placed(NamedTuple):
    """A hero as the server's status site tells of it."""

    id: int
    name: str
    x: float
    y: float


def heroes(server: Daemon) -> dict[str, Placed]:
    """Who is where, by name."""
    code, body = server.get("/api/status")
    assert code == 200
    view: dict[str, Any] = json.loads(body)["view"] or {"heroes": []}
    return {hero["name"]: Placed(**hero) for hero in view["heroes"]}


def wait_for(what: str, look: Callable[[], T | None]) -> T:
    """Look until something is there.

    :raises AssertionError: naming *what*, if it does not come.
    """
    end = time.monotonic() + HANGS_SECONDS / 4
    while time.monotonic() < end:
        if found := look():
            return found
        time.sleep(POLL_SECONDS)
    raise AssertionError(f"this did not come: {what}")


class Player:
    """A process that plays, killed at the end of a ``with`` block."""

    def __init__(self, arguments: Sequence[str], more: dict[str, str] | None = None) -> None:
        self._err = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**environment(), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._err,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._hangs = threading.Timer(HANGS_SECONDS, self._process.kill)
        self._hangs.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        self._process.kill()
        self._process.communicate()
        self._err.close()

    def wait_for(self, text: str) -> None:
        """Read what it prints until a line has *text*."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return
        raise AssertionError(f"it ended without {text!r}: {self.complaints()}")

    def leave(self) -> None:
        """Have it go, in good order."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(HANGS_SECONDS)

    def end(self) -> int:
        """Its exit status, once it has ended by itself."""
        return self._process.wait(HANGS_SECONDS)

    def complaints(self) -> str:
        """What it wrote to standard error."""
        self._err.seek(0)
        return self._err.read()


def game(server: Daemon, screen: Screen, folder: Path, name: str, size: tuple[int, int]) -> Player:
    """``gamenet play`` in a window on a display, with a home of its own."""
    shown = "x".join(map(str, size))
    return Player(
        ["-m", "gamenet", "play", server.address, "--insecure", "--name", name, "--size", shown],
        {**screen.environment, "SDL_VIDEODRIVER": "x11", "XDG_DATA_HOME": str(folder)},
    )


def walker(server: Daemon, name: str, column: int, row: int, text: str = "") -> Player:
    """Somebody who walks to a tile, and says something there."""
    where = [str(column), str(row)]
    return Player(["-m", "tests.display.walker", server.address, name, *where, text])


def bots(server: Daemon, count: int) -> Player:
    """``gamenet bots``, who walk about."""
    return Player(
        ["-m", "gamenet", "bots", server.address, "--insecure", "--count", str(count), "--quiet",
         "--seconds", str(HANGS_SECONDS)]
    )  # fmt: skip

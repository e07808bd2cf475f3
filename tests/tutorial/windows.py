"""Windows of programs in other processes, worked by their hands (``hands/sitecustomize.py``)."""

from __future__ import annotations

import json
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable

HANDS = Path(__file__).parent / "hands"
# Longer than anything here takes on the slowest machine: it only ends what hangs.
HANGS_SECONDS = 120
PAUSE_SECONDS = 0.05


def until(predicate: Callable[[], object], what: str) -> None:
    """Ask until it is true.

    :raises AssertionError: saying *what* did not come.
    """
    ends = time.monotonic() + HANGS_SECONDS
    while not predicate():
        if time.monotonic() > ends:
            raise AssertionError(f"in {HANGS_SECONDS} s this did not happen: {what}")
        time.sleep(PAUSE_SECONDS)


class Window:
    """One window, from the moment that it is open."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._stream = line.makefile("rw")
        self.arguments: list[str] = json.loads(self._stream.readline())
        """Of the program's command line, without its own name."""
        del self.arguments[0]

    def _do(self, *order: object) -> Any:
        self._stream.write(json.dumps(order) + "\n")
        self._stream.flush()
        answer = self._stream.readline()
        assert answer, f"the window of {self.arguments} is gone"
        return json.loads(answer)

    def hold(self, key: str) -> None:
        """Press a key, and keep it down."""
        self._do("press", key)

    def release(self, key: str) -> None:
        """Let go of a key."""
        self._do("release", key)

    def type(self, text: str) -> None:
        """Type a line, and press Enter."""
        self._do("type_text", text)

    def square(self, colour: str) -> tuple[int, int] | None:
        """The middle of the square of that colour, as it is drawn; None if there is none."""
        found = self._do("square", colour)
        return found and tuple(found)

    def find(self, colour: str) -> tuple[int, int]:
        """Look until a square of that colour is drawn.

        :returns: its middle.
        """
        found: list[tuple[int, int]] = []

        def is_drawn() -> bool:
            place = self.square(colour)
            if place is not None:
                found.append(place)
            return bool(found)

        until(is_drawn, f"{self.arguments} shows something {colour}")
        return found[0]

    def variable(self, name: str) -> str:
        """What the program has under a name, as ``repr`` shows it."""
        found: str = self._do("variable", name)
        return found

    def save(self, path: Path) -> None:
        """Write what is drawn into a file."""
        self._do("save", str(path))

    def close(self) -> None:
        """Close the window by its button."""
        self._do("close")
        self.forget()

    def forget(self) -> None:
        """Let go of it."""
        self._stream.close()
        self._line.close()


class Windows:
    """Where windows report once they are open."""

    def __init__(self) -> None:
        self._port = socket.create_server(("127.0.0.1", 0))
        self._port.settimeout(HANGS_SECONDS)
        self._open: list[Window] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for window in self._open:
            window.forget()
        self._port.close()

    def environment(self, *folders: Path) -> dict[str, str]:
        """What a program needs to be given hands, and to need no screen.

        :param folders: where it finds more modules; nothing of the caller's own is inherited.
        """
        host, port = self._port.getsockname()
        return {
            "PYTHONPATH": os.pathsep.join(map(str, (HANDS, *folders))),
            "TUTORIAL_HANDS": f"{host}:{port}",
            "SDL_VIDEODRIVER": "dummy",
            "SDL_AUDIODRIVER": "dummy",
        }

    def next(self) -> Window:
        """The next window that opens."""
        line, _ = self._port.accept()
        line.settimeout(HANGS_SECONDS)
        window = Window(line)
        self._open.append(window)
        return window

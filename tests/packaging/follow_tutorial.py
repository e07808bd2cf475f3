"""
Follow the book's tutorial to the letter, as somebody who reads it for the first time.

Run by ``make packaging``, with the wheel that it has built. The pages say all of it: which files to
write, what to type into which terminal, and what is shown there. Each terminal has a shell of its
own in a clean environment. Windows have no screen, but hands that press keys and eyes that see what
is drawn (``tests/tutorial``); what to do with them is here, since the pages say it in prose.
"""

from __future__ import annotations

import os
import socket
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.tutorial.pages import Commands, Listing, Shown, page_names, steps
from tests.tutorial.terminals import INTERRUPTED, Terminal
from tests.tutorial.windows import Window, Windows, until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LASTING = {
    "python server.py": "listening on",
    "gamenet chat": "you are",
    "gamenet proxy": "passes on",
}
"""Commands that run until Ctrl-C, and what they show once they have begun."""
WINDOW = "python window.py"
FOLDER = "meadow-game"
PORTS = {"python server.py": 7777, "gamenet proxy": 7778}
"""Where they listen; somebody may play on this computer while it checks packages."""
OWN_ADDRESS = ("192.168.1.20", "127.0.0.1")
"""The address on the pages, and that of the reader's computer."""


class Reader:
    """Somebody who follows the tutorial.

    :param home: where their terminals open.
    :param environment: of these.
    """

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._windows = Windows()
        self._environment = {**environment, **self._windows.environment()}
        self.terminals: dict[int, Terminal] = {}
        self._fingerprint = ""
        self._open: dict[int, Window] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for terminal in self.terminals.values():
            terminal.__exit__()
        self._windows.__exit__()

    def window(self, name: str) -> Window:
        """The window in which *name* plays."""
        (found,) = (it for it in self._open.values() if it.arguments[0] == name)
        return found

    def sees(self) -> str:
        """The end of what each terminal shows."""
        return "\n".join(
            f"-- terminal {number}\n{terminal.shown[-2_000:]}"
            for number, terminal in self.terminals.items()
        )

    def read(self, page: str) -> None:
        """Do what a page says, and try out what came of it."""
        for step in steps(page):
            match step:
                case Listing(name, source):
                    text = source.read_text(encoding="utf-8")
                    (self._home / FOLDER / name).write_text(text, encoding="utf-8")
                case Commands(terminal, lines):
                    self._type(terminal, lines)
                case Shown(terminal, lines):
                    self._look(terminal, lines)
        if page in TRIALS:
            TRIALS[page](self)

    def _type(self, number: int, lines: list[str]) -> None:
        if number not in self.terminals:
            self.terminals[number] = Terminal(self._home, self._environment)
        terminal = self.terminals[number]
        self.end(number)
        for line in lines:
            line = line.replace(*OWN_ADDRESS).replace("sha256=…", self._fingerprint)
            for port in (PORTS[it] for it in PORTS if line.startswith(it)):
                until(partial(is_free, port), f"nobody else listens at port {port}")
            terminal.type(line)
            if line.startswith(WINDOW):
                self._open[number] = self._windows.next()
            elif begun := [LASTING[it] for it in LASTING if line.startswith(it)]:
                terminal.expect(begun[0])
            else:
                status = terminal.finish()
                assert status == 0, f"exit status {status} from {line}"

    def _look(self, number: int, lines: list[str]) -> None:
        for line in lines:
            found = self.terminals[number].expect(line.replace(*OWN_ADDRESS))
            if line.startswith("fingerprint"):
                self._fingerprint = found.split()[1]

    def end(self, number: int) -> None:
        """Close what runs in a terminal, in the way that one does: it has to end well."""
        terminal = self.terminals[number]
        if number in self._open:
            self._open.pop(number).close()
            status = terminal.finish()
            assert status == 0, f"exit status {status} from a window that was closed"
        elif terminal.busy:
            status = terminal.interrupt()
            assert status in (0, INTERRUPTED), f"exit status {status} after Ctrl-C"
        assert "Traceback" not in terminal.shown, "a program failed"


# ------------------------------------------------------- what the pages have their reader try out


def leave_the_chat(reader: Reader) -> None:
    reader.end(2)
    reader.terminals[1].expect("ada has gone")


def close_the_window(reader: Reader) -> None:
    ada = reader.window("ada")
    until(lambda: ada.variable("status") == "'You are ada'", "ada is in")
    reader.end(2)
    reader.terminals[1].expect("ada has gone")


def walk_alone(reader: Reader) -> None:
    walk(reader.window("ada"), reader.window("ada"), "gold")


def watch_ada_walk(reader: Reader) -> None:
    walk(reader.window("ada"), reader.window("bob"), "skyblue")


def say_hello(reader: Reader) -> None:
    ada, bob = reader.window("ada"), reader.window("bob")
    bob.find("skyblue")
    ada.type("hello")
    until(lambda: "ada: hello" in ada.variable("chat"), "ada reads what she has said")
    until(lambda: "ada: hello" in bob.variable("chat"), "bob reads what ada has said")


def play(reader: Reader) -> None:
    say_hello(reader)
    watch_ada_walk(reader)


def end(reader: Reader) -> None:
    """Everything, windows first."""
    for number in sorted(reader.terminals, reverse=True):
        reader.end(number)


TRIALS: dict[str, Callable[[Reader], None]] = {
    "server": leave_the_chat,
    "window": close_the_window,
    "walking": walk_alone,
    "seeing": watch_ada_walk,
    "chat": say_hello,
    "friend": play,
    "network": play,
    "onward": end,
}


def walk(walker: Window, watcher: Window, colour: str) -> None:
    """Hold an arrow key until the watcher sees the walker, who has that colour there, elsewhere."""
    start = watcher.find(colour)
    # Away from the nearer edge.
    key, sign = ("right", 1) if start[0] < 320 else ("left", -1)

    def has_walked() -> bool:
        place = watcher.square(colour)
        if place is None:
            return False
        # A square that another, or a line of text, covers in part has its middle elsewhere.
        return (place[0] - start[0]) * sign >= 40 and abs(place[1] - start[1]) < 10

    walker.hold(key)
    until(has_walked, f"the walker has gone {key}")
    walker.release(key)


def is_free(port: int) -> bool:
    """Whether nobody on this computer listens at the port."""
    try:
        with socket.create_server(("", port)):
            return True
    except OSError:
        return False


def follow(home: Path, environment: Mapping[str, str]) -> None:
    """Read all pages.

    :param home: an empty folder.
    :param environment: in which pip finds gamenet.
    :raises AssertionError: saying what does not come as the tutorial says.
    """
    # The Python that runs this is the one of that computer, and nothing that it has installed.
    programs = home / "programs"
    programs.mkdir()
    python = programs / "python3"
    python.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    path = os.pathsep.join([str(programs), os.defpath])
    with Reader(home, {**environment, "PATH": path}) as reader:
        for page in page_names():
            try:
                reader.read(page)
            except AssertionError as failed:
                raise AssertionError(f"page {page!r}: {failed}\n{reader.sees()}") from None

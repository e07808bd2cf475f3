"""``gamenet play`` as people run it: a process with a window that nobody sees, and real sockets."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Self

import pytest

from tests.live.daemon import HANGS_SECONDS, Daemon, environment
from tests.live.processes import output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server that runs the game of the demo."""
    with Daemon(tmp_path_factory.mktemp("daemon")) as started:
        yield started


class Game:
    """``gamenet play``, killed at the end of a ``with`` block if it has not ended by itself."""

    def __init__(self, folder: Path, *arguments: str, driver: str = "dummy") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gamenet", "play", *arguments],
            cwd=folder,
            env=clean_environment(folder, driver),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        self._hangs = threading.Timer(HANGS_SECONDS, self._process.kill)
        self._hangs.start()
        self.said: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        self._process.kill()
        self._process.communicate()

    def wait_for(self, pattern: str) -> str:
        """Read what it says until a line matches."""
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.said.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"not said: {pattern}\n{''.join(self.said)}")

    def end(self, number: int | None = None) -> int:
        """Its exit status, after a signal if one is given; there is no traceback."""
        if number is not None:
            self._process.send_signal(number)
        out, err = self._process.communicate()
        assert out == ""
        assert "Traceback" not in "".join(self.said) + err
        self.said.append(err)
        return self._process.returncode


def clean_environment(folder: Path, driver: str) -> dict[str, str]:
    """Without a display, and with the user's data in the test's folder."""
    kept = {
        name: value
        for name, value in environment().items()
        if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
    }
    return {**kept, "XDG_DATA_HOME": str(folder), **({"SDL_VIDEODRIVER": driver} if driver else {})}


def test_itJoinsThroughABadNetworkAndCtrlCClosesIt(daemon: Daemon, tmp_path: Path) -> None:
    network = ("--sim-profile", "wifi")
    with Game(tmp_path, daemon.address, "--insecure", "--name", "ada", *network) as game:
        game.wait_for("wifi")
        assert "in, as ada" in game.wait_for("in, as")
        assert game.end(signal.SIGINT) == 130


def test_aSignalClosesItWhileItJoins(tmp_path: Path) -> None:
    """Somebody accepts the connection, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with Game(tmp_path, address, "--insecure") as game, silent.accept()[0] as connection:
            assert connection.recv(1)
            assert game.end(signal.SIGTERM) == 143


def test_aServerThatIsNotThereIsASentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    with Game(tmp_path, f"127.0.0.1:{port}", "--insecure") as game:
        said = game.wait_for("gamenet play")
        assert said.startswith(f"gamenet play: No server answers at 127.0.0.1:{port}")
        assert game.end(signal.SIGTERM) == 143


def test_aServerThatIsKilledLeavesAWindowThatCloses(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, Game(tmp_path, daemon.address, "--insecure") as game:
        game.wait_for("in, as")
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert game.end(signal.SIGINT) == 130


def test_aServerThatStopsSaysWhy(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon, Game(tmp_path, daemon.address, "--insecure") as game:
        game.wait_for("in, as")
        daemon.signal(signal.SIGTERM)
        assert "The server is shutting down." in game.wait_for("shutting down")
        assert game.end(signal.SIGINT) == 130


def test_whoHostsPlaysOnTheirOwnServerAndOthersCanJoin(tmp_path: Path) -> None:
    with Game(tmp_path, "--host", "--port", "0", "--name", "ada") as host:
        invitation = host.wait_for("others can join with")
        host.wait_for("in, as ada")
        found = re.search(r"gamenet://\S+:(\d+)#sha256=\w+", invitation)
        assert found
        pin = found[0].partition("#")[2]
        with Game(tmp_path, f"127.0.0.1:{found[1]}#sha256={'ab' * 32}") as mistaken:
            mistaken.wait_for("certificate is not the pinned one")
            assert mistaken.end(signal.SIGINT) == 130
        with Game(tmp_path, f"127.0.0.1:{found[1]}#{pin}", "--name", "bob") as guest:
            guest.wait_for("in, as bob")
            assert host.end(signal.SIGINT) == 130
            guest.wait_for("The server is shutting down")
            assert guest.end(signal.SIGINT) == 130


def test_aPortInUseIsASentence(tmp_path: Path) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = str(taken.getsockname()[1])
        with Game(tmp_path, "--host", "--port", port) as game:
            said = game.wait_for("gamenet play")
            assert "No server can be started here" in said
            assert port in said
            assert game.end(signal.SIGTERM) == 143


def test_noDisplayIsASentence(tmp_path: Path) -> None:
    with Game(tmp_path, driver="") as game:
        assert game.end() == 1
        assert "no window can be opened here" in game.said[-1]
        assert game.said[-1].count("gamenet play") == 1


def test_aPersonWalksAndIsHeard(daemon: Daemon) -> None:
    """Fingers on real events of pygame's, in a process of its own."""
    said = output(
        """
        import os, sys
        os.environ["SDL_VIDEODRIVER"] = "dummy"
        os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
        import pygame
        from gamenet.discovery import Browser
        from gamenet.play.app import App, Window, open_window
        from gamenet.play.hosting import Hosting
        from gamenet.play.scenes.playing import PlayingScene
        from gamenet.play.stage import Wish
        from gamenet.play.view import FieldView

        app = App(open_window(Window()), FieldView(), Hosting(0), Browser())
        app.to_join(Wish(sys.argv[1], "eve", insecure=True), at_once=True)

        def press(kind, **details):
            pygame.event.post(pygame.event.Event(kind, mod=0, **details))

        def person():
            while not isinstance(app.scene, PlayingScene):
                yield
            world = app.scene.world
            while world.own is None:
                yield
            start = world.own.predictor.state
            tried = 0
            while world.own.predictor.state[:2] == start[:2]:
                key = (pygame.K_w, pygame.K_a, pygame.K_s, pygame.K_d)[tried % 4]
                press(pygame.KEYDOWN, key=key)
                for _ in range(20):
                    yield
                press(pygame.KEYUP, key=key)
                tried += 1
            print("walked")
            press(pygame.KEYDOWN, key=pygame.K_RETURN)
            press(pygame.KEYUP, key=pygame.K_RETURN)
            yield
            pygame.event.post(pygame.event.Event(pygame.TEXTINPUT, text="hello"))
            press(pygame.KEYDOWN, key=pygame.K_RETURN)
            while not any(sight.bubble == "hello" for sight in world.sights()):
                yield
            print("heard")
            press(pygame.QUIT)
            while True:
                yield

        life = person()
        app.run(lambda: next(life))
        print("closed", pygame.display.get_init())
        """,
        daemon.address,
    )
    assert said.splitlines() == ["walked", "heard", "closed False"]

"""Each step of the tutorial plays, on a port of the test's choosing: a server, and a window."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from gamenet.certificates import make_certificate, write_certificate
from tests.live.daemon import HANGS_SECONDS
from tests.live.processes import ROOT
from tests.tutorial.pages import EXAMPLES
from tests.tutorial.windows import Window, Windows, until

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = "cert_file='gamenet-cert.pem', key_file='gamenet-key.pem'"


class Play:
    """One step in a folder of its own, with what was made of it running."""

    def __init__(self, step: int, folder: Path, stack: ExitStack) -> None:
        shutil.copytree(EXAMPLES / f"step{step}", folder)
        write_certificate(folder, make_certificate(["localhost"]))
        self.step = step
        self._folder = folder
        self._stack = stack
        trust = CERTIFICATE if step >= 6 else "insecure=True"
        self.server = self._start(
            "-c", f"import sys, gamenet, server; sys.exit(gamenet.serve(server.main, 0, {trust}))"
        )

    def _start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=self._folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        # The last to be called first: the end of the process is the end of what it shows.
        self._stack.callback(process.communicate)
        self._stack.callback(process.kill)
        return process

    def open_window(self, windows: Windows) -> None:
        """Start the window, as soon as the server says where it is."""
        assert self.server.stdout is not None
        lines = iter(self.server.stdout)
        address = next(line for line in lines if "listening on" in line).split()[-1]
        arguments = ["window.py", f"ada{self.step}"]
        if self.step >= 6:
            arguments.append(address)
        else:
            program = self._folder / "window.py"
            text = program.read_text(encoding="utf-8")
            assert text.count('"localhost"') == 1
            program.write_text(text.replace('"localhost"', f'"{address}"'), encoding="utf-8")
        self.window = self._start(*arguments, **windows.environment)


def test_each_step_plays_and_ends_well(tmp_path: Path) -> None:
    with ExitStack() as stack:
        windows = stack.enter_context(Windows())
        plays = [Play(step, tmp_path / str(step), stack) for step in range(2, 8)]
        for play in plays:
            play.open_window(windows)
        opened = [windows.next() for _ in plays]
        seen = {window.arguments[0]: window for window in opened}
        for play in plays:
            joins_and_ends(play, seen[f"ada{play.step}"])


def joins_and_ends(play: Play, window: Window) -> None:
    until(lambda: "You are ada" in window.variable("status"), "somebody is in")
    if play.step >= 3:
        window.find("gold")
    play.server.terminate()
    assert play.server.wait(HANGS_SECONDS) == 0
    until(lambda: "shutting down" in window.variable("status"), "the server is gone")
    window.close()
    assert play.window.wait(HANGS_SECONDS) == 0
    assert play.window.stdout is not None
    assert "Traceback" not in play.window.stdout.read()


def test_a_window_refuses_an_address_that_is_none_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "window.py", "ada", "x#sha256=1"],
        cwd=EXAMPLES / "step7",
        env={**os.environ, "PYTHONPATH": str(ROOT), "SDL_VIDEODRIVER": "dummy"},
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "fingerprint" in done.stderr
    assert "Traceback" not in done.stderr

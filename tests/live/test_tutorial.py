"""Each step of the tutorial plays, on a port of the test's choosing: a server, and a window."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

from tests.live.daemon import HANGS_SECONDS
from tests.live.processes import ROOT
from tests.tutorial.pages import EXAMPLES
from tests.tutorial.plays import Play
from tests.tutorial.windows import Window, Windows, until

if TYPE_CHECKING:
    from pathlib import Path


def test_each_step_plays_and_ends_well(tmp_path: Path) -> None:
    with ExitStack() as stack:
        windows = stack.enter_context(Windows())
        plays = [Play(step, tmp_path / str(step), stack) for step in range(2, 8)]
        processes = []
        for play in plays:
            play.wait_for_server()
            processes.append(play.open_window(f"ada{play.step}", windows))
        opened = [windows.next() for _ in plays]
        seen = {window.arguments[0]: window for window in opened}
        for play, process in zip(plays, processes, strict=True):
            joins_and_ends(play, process, seen[f"ada{play.step}"])


def joins_and_ends(play: Play, process: subprocess.Popen[str], window: Window) -> None:
    until(lambda: "You are ada" in window.variable("status"), "somebody is in")
    if play.step >= 3:
        window.find("gold")
    play.server.terminate()
    assert play.server.wait(HANGS_SECONDS) == 0
    until(lambda: "shutting down" in window.variable("status"), "the server is gone")
    window.close()
    assert process.wait(HANGS_SECONDS) == 0
    assert process.stdout is not None
    assert "Traceback" not in process.stdout.read()


def test_a_name_is_free_again_at_once_after_ctrl_c_at_a_window(tmp_path: Path) -> None:
    with ExitStack() as stack:
        windows = stack.enter_context(Windows())
        play = Play(2, tmp_path / "2", stack)
        play.wait_for_server()
        for is_last in (False, True):
            process = play.open_window("ada", windows)
            window = windows.next()
            until(partial(has_an_answer, window), "the server has answered")
            assert window.variable("status") == "'You are ada'"
            if not is_last:
                process.send_signal(signal.SIGINT)
                process.wait(HANGS_SECONDS)
            window.forget()


def has_an_answer(window: Window) -> bool:
    status = window.variable("status")
    return "You are" in status or "over" in status


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

"""``gamenet top`` as people run it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.live.daemon import HANGS_SECONDS, Daemon, RawClient, environment

if TYPE_CHECKING:
    from pathlib import Path


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gamenet", "top", *arguments]


def top(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments), env=environment(), capture_output=True, text=True,
        timeout=HANGS_SECONDS, check=False,
    )  # fmt: skip


def test_itShowsWhoIsThere(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        with RawClient(daemon.address, "ada") as ada:
            ada.join()
            done = top(daemon.status, "--once", "--every", "0.1")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("players   1: ") == 2
        assert "ada" in done.stdout
        assert "in hello by TCP" in done.stdout
        assert "map: @ one" in done.stdout

        running = subprocess.Popen(
            command(daemon.status), env=environment(), stdout=subprocess.PIPE, text=True
        )
        assert running.stdout is not None
        with running.stdout:
            assert "gamenet" in running.stdout.readline()
            running.send_signal(signal.SIGINT)
            running.stdout.read()
        assert running.wait(HANGS_SECONDS) == 130

        done = top(daemon.address, "--once")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"gamenet top: {daemon.address} is not a status site of gamenet's; name the address of "
            "--status, which is not the one that players join\n"
        )


def test_aClosedPortIsOneLine() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = top(f"127.0.0.1:{port}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"gamenet top: nothing listens at 127.0.0.1:{port}; start the server with "
        f"--status tcp:{port}\n"
    )


def test_aWrongAddressIsOneLine() -> None:
    done = top("game.example")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gamenet top: status: 'game.example' is no address of a status site, such as "
        "127.0.0.1:9777\n"
    )


@pytest.mark.parametrize("command", ["top", "doctor", "chat", "bots"])
def test_streamsThatAreClosedAreEmpty(command: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f'exec "$0" -m gamenet {command} 127.0.0.1:1 <&- >&-', sys.executable],
        env=environment(), stderr=subprocess.PIPE, text=True, timeout=HANGS_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr

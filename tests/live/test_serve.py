"""``gamenet serve``, and logs of JSON, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from gamenet.core import frames
from gamenet.errors import DisconnectReason
from tests.live.daemon import HANGS_SECONDS, TWISTD, Daemon, RawClient, environment
from tests.live.test_daemon import folder, is_clean

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["folder"]
# The log goes to standard error; here it is read from standard output.
SERVE = ("sh", "-c", 'exec "$@" 2>&1', "sh", sys.executable, "-m", "gamenet", "serve")
# As in a frozen build, where no plug-in is found.
UNPLUGGED = """
import sys, twisted.plugin
def nothing(*_):
    raise AssertionError("plug-ins are looked for")
twisted.plugin.getPlugins = nothing
from gamenet.cli import main
sys.exit(main(sys.argv[1:]))
"""
CHATTY = """
import gamenet
from twisted.logger import Logger

log = Logger()

@gamenet.game(game_name="live/1", tick_rate=50)
def main(server):
    for tick in server.ticks():
        for event in tick.events:
            if isinstance(event, gamenet.Chat):
                log.info("{player} says {text}", player=event.player.name, text=event.text)
                print(event.text)
                if event.text == "fall":
                    raise RuntimeError('the "sky" fell')
                server.say("noted")
"""
HOSTILE = ('x", "level": "critical', "\\ \" ' {0} {text} %s", "${jndi:x} <script>", "🎲")


def serving(folder: Path, *arguments: str, command: tuple[str, ...] = SERVE) -> Daemon:
    """``gamenet serve`` on ports of its own."""
    return Daemon(folder, *arguments, command=command)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_aSignalEndsItAsItEndsTheDaemon(folder: Path, number: signal.Signals) -> None:
    with (
        serving(folder, "--game", "live_game:main") as server,
        RawClient(server.address, "ada") as ada,
    ):
        ada.join()
        assert server.get("/healthz") == (200, b"ok\n")
        server.signal(number)
        assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = server.wait()
    assert ended.status == -number
    assert is_clean(ended), ended
    assert (folder / "saved").read_text() == "the world"


def test_aGameThatReturnsOrRaisesIsTheStatus(folder: Path) -> None:
    for word, reason, status in (
        ("leave", DisconnectReason.STOPPED, 0),
        ("fall", DisconnectReason.GAME_ERROR, 1),
    ):
        with (
            serving(folder, "live_game:main") as server,
            RawClient(server.address, "ada") as ada,
        ):
            ada.join()
            ada.send(frames.encode_say(word))
            assert ada.expect_bye() is reason
            ended = server.wait()
        assert ended.status == status
        assert ended.out.count("Traceback") == status


def test_itLooksForNoPlugIns(folder: Path) -> None:
    command = (*SERVE[:5], "-c", UNPLUGGED, "serve")
    with serving(folder, "--game", "live_game:main", command=command) as server:
        with RawClient(server.address, "ada") as ada:
            ada.join()
        server.signal(signal.SIGTERM)
        ended = server.wait()
    assert ended.status == -signal.SIGTERM
    assert is_clean(ended), ended


def test_aPortInUseIsOneLine(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*SERVE[4:], "live_game:main", "--insecure", "--listen", port],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=HANGS_SECONDS,
            check=False,
        )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert f"cannot listen on TCP 127.0.0.1:{port}" in done.stderr
    assert "stop it, or listen on another port" in done.stderr


def test_itIsEmptiedAndReloadedAsTheDaemonIs(folder: Path) -> None:
    file = folder / "server.toml"
    file.write_text("max_players = 4\n")
    with (
        serving(folder, "--game", "live_game:main", "--config", "server.toml") as server,
        RawClient(server.address, "ada") as ada,
    ):
        ada.join()
        file.write_text("max_players = 5\n")
        server.signal(signal.SIGHUP)
        server.wait_for(r"settings changed: max_players=5 \(was 4\)")
        server.signal(signal.SIGUSR1)
        ada.expect(frames.Kind.SAY)
        ada.send(frames.encode_bye(DisconnectReason.QUIT))
        ended = server.wait()
    assert ended.status == 0
    assert is_clean(ended), ended


def check(text: str) -> list[dict[str, Any]]:
    """Every line of a log, which must be an object of JSON."""
    lines = [json.loads(line) for line in text.splitlines()]
    for line in lines:
        assert {"time", "level", "namespace", "message"} <= set(line)
    return lines


@pytest.mark.parametrize("command", ["twistd", "serve"])
def test_everyLineOfALogOfJsonIsAnObject(folder: Path, command: str) -> None:
    (folder / "chatty.py").write_text(CHATTY)
    twistd = (*TWISTD, "-n", "--pidfile=", "gamenet")
    with (
        Daemon(
            folder, "--game", "chatty:main", "--log-format", "json",
            command=SERVE if command == "serve" else twistd,
        ) as server,
        RawClient(server.address, "ada") as ada,
    ):  # fmt: skip
        ada.join()
        for text in HOSTILE:
            ada.send(frames.encode_say(text))
            ada.expect(frames.Kind.SAY)
        ada.send(frames.encode_say("fall"))
        assert ada.expect_bye() is DisconnectReason.GAME_ERROR
        # What the test has read of it so far, and the rest.
        ended = server.wait()
    assert (ended.status, ended.err) == (1, "")
    lines = check(ended.out)
    said = [line["text"] for line in lines if line.get("player") == "ada"]
    assert said == [*HOSTILE, "fall"]
    printed = [line["message"] for line in lines if line["namespace"] == "stdout"]
    assert printed == [*HOSTILE, "fall"]
    (failed,) = (line for line in lines if line["level"] == "critical")
    assert failed["message"] == "the game failed"
    assert 'RuntimeError: the "sky" fell' in failed["traceback"]


def test_inTheBackgroundTheLogFileHasIt(folder: Path) -> None:
    log, pid_file = folder / "server.log", folder / "server.pid"
    reader, writer = os.pipe()
    with open(reader, "rb") as alive:
        try:
            subprocess.run(
                [*TWISTD, f"--logfile={log}", f"--pidfile={pid_file}", "gamenet", "--insecure",
                 "--game", "live_game:main", "--listen", "tcp:0:interface=127.0.0.1",
                 "--log-format", "json"],
                cwd=folder,
                env=environment(),
                pass_fds=[writer],
                timeout=HANGS_SECONDS,
                check=True,
            )  # fmt: skip
        finally:
            os.close(writer)
        os.kill(int(pid_file.read_text()), signal.SIGUSR1)
        assert alive.read() == b""
    messages = [line["message"] for line in check(log.read_text())]
    assert any(message.startswith("ready: address=") for message in messages)
    assert "drained: nobody is in any more" in messages
    assert not pid_file.exists()

"""The daemon as people run it: ``twistd gamenet`` in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from typing import TYPE_CHECKING

import pytest

from gamenet.core import frames
from gamenet.errors import DisconnectReason, RefusalReason
from tests.live.daemon import (
    HANGS_SECONDS,
    TWISTD,
    Daemon,
    Ended,
    RawClient,
    environment,
    get,
    run_daemon,
    run_twistd,
)

if TYPE_CHECKING:
    from pathlib import Path

GAME = """
import atexit, threading
from pathlib import Path
import gamenet

atexit.register(lambda: Path("at_exit").write_text("ran"))

@gamenet.game(game_name="live/1", tick_rate=50)
def main(server):
    for tick in server.ticks():
        for event in tick.events:
            match event:
                case gamenet.Chat(_, "fall"):
                    raise RuntimeError("the sky fell")
                case gamenet.Chat(_, "leave"):
                    return
                case gamenet.Chat(player, text):
                    server.say(text, author=player)
    Path("saved").write_text("the world")

def stillborn(server):
    raise RuntimeError("no map")

def deaf(server):
    main(server)
    threading.Event().wait()

def homing(server):
    for tick in server.ticks():
        print("at", server.address, server.port, server.udp_port, flush=True)
        server.stop()

class Spoiler(gamenet.Game):
    def on_stop(self):
        raise RuntimeError("the disk is full")

def forking(server):
    import os
    child = os.fork()
    if child == 0:
        other = gamenet.GameServer(0, insecure=True)
        for use in (lambda: next(server.ticks()), other.start):
            try:
                use()
            except gamenet.LocalProtocolError as error:
                os.write(1, f"refused: {'spawn' in str(error)}\\n".encode())
        os._exit(0)
    os.waitpid(child, 0)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working directory with a game in it."""
    (tmp_path / "live_game.py").write_text(GAME)
    return tmp_path


def is_clean(ended: Ended) -> bool:
    """Whether nothing went wrong as far as the log knows."""
    wrong = ("Traceback", "#error]", "#critical]")
    return not ended.err and not any(word in ended.out for word in wrong)


def test_servesItsGameAndTellsHowItDoes(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:main", "--auth", "memory:Ada") as daemon:
        assert daemon.get("/healthz") == (200, b"ok\n")
        with RawClient(daemon.address, "ada") as ada, RawClient(daemon.address, "eve") as eve:
            assert ada.join().name == "ada"
            refused = frames.decode_refuse(eve.expect(frames.Kind.REFUSE))
            assert refused[0] is RefusalReason.CREDENTIALS
            ada.send(frames.encode_say("hello"))
            assert frames.decode_said(ada.expect(frames.Kind.SAY))[2] == "hello"
            code, body = daemon.get("/api/status")
        assert code == 200
        status = json.loads(body)
        (player,) = status["players"]
        assert (player["name"], player["path"]) == ("ada", "tcp")
        assert player["address"].startswith("127.0.0.1:")
        assert status["game"] == "live/1"
        assert status["refusals"]["CREDENTIALS"] == 1
        assert status["ticks"]["rate"] == 50
        assert status["ticks"]["number"] > 0
        assert (status["secure"], status["errors"]) == (False, 0)
        assert daemon.get("/nowhere")[0] == 404
        daemon.signal(signal.SIGTERM)
        assert is_clean(daemon.wait())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_aSignalSaysByeAndLetsTheGameReturn(folder: Path, number: signal.Signals) -> None:
    with (
        Daemon(folder, "--game", "live_game:main") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        daemon.signal(number)
        assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = daemon.wait()
    assert ended.status == -number
    assert is_clean(ended), ended
    assert (folder / "saved").read_text() == "the world"


def test_aGameThatDoesNotReturnHasStopSeconds(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:deaf", "--stop-seconds", "0.2") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        daemon.signal(signal.SIGTERM)
        assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = daemon.wait()
    assert ended.status == -signal.SIGTERM
    assert "the game did not return within 0.2 s" in ended.out
    assert is_clean(ended), ended


def test_aSecondInterruptIsNoError(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:deaf", "--stop-seconds", "1") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        daemon.signal(signal.SIGINT)
        assert ada.expect_bye() is DisconnectReason.STOPPED
        daemon.signal(signal.SIGINT)
        ended = daemon.wait()
    assert "Traceback" not in ended.out
    assert "critical" not in ended.out


def test_aGameThatRaisesEndsTheProcessWithItsTracebackLoggedOnce(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:main") as daemon,
        RawClient(daemon.address, "ada") as ada,
        RawClient(daemon.address, "bob") as bob,
    ):
        ada.join()
        bob.join()
        ada.send(frames.encode_say("fall"))
        assert ada.expect_bye() is DisconnectReason.GAME_ERROR
        assert bob.expect_bye() is DisconnectReason.GAME_ERROR
        ended = daemon.wait()
    assert ended.status == 1
    assert ended.err == ""
    assert ended.out.count("Traceback") == 1
    assert ended.out.count("RuntimeError: the sky fell") == 1
    assert "Main loop terminated" in ended.out
    assert (folder / "at_exit").exists()


def test_aGameThatRaisesAtOnceDoesTheSame(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:stillborn") as daemon:
        ended = daemon.wait()
    assert ended.status == 1
    assert ended.err == ""
    assert ended.out.count("Traceback") == 1
    assert ended.out.count("RuntimeError: no map") == 1


def test_aGameThatReturnsEndsTheProcessWell(folder: Path) -> None:
    with (
        Daemon(folder, "--game", "live_game:main") as daemon,
        RawClient(daemon.address, "ada") as ada,
    ):
        ada.join()
        ada.send(frames.encode_say("leave"))
        assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = daemon.wait()
    assert ended.status == 0
    assert is_clean(ended), ended


def test_aGameKnowsItsAddressAndMayEndTheProcess(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:homing") as daemon:
        port = daemon.address.rpartition(":")[2]
        ended = daemon.wait()
    assert f"at 127.0.0.1:{port} {port} {port}" in ended.out
    assert ended.status == 0
    assert "Traceback" not in ended.out


def test_aGameThatFailsWhileStoppingIsAFailureToo(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:Spoiler") as daemon:
        with RawClient(daemon.address, "ada") as ada:
            ada.join()
            daemon.signal(signal.SIGTERM)
            assert ada.expect_bye() is DisconnectReason.STOPPED
        ended = daemon.wait()
    assert ended.out.count("RuntimeError: the disk is full") == 1
    assert ended.status != 0


def test_aForkedChildIsRefusedAtOnce(folder: Path) -> None:
    with Daemon(folder, "--game", "live_game:forking") as daemon:
        ended = daemon.wait()
    assert ended.out.count("refused: True") == 2
    assert ended.status == 0


def test_checkConfigPrintsTheSettingsInForce(folder: Path) -> None:
    (folder / "server.toml").write_text("max_players = 7\n[game]\nmap = 'x'\n")
    done = run_daemon(
        folder, "--check-config", "--insecure", "--game", "live_game:main",
        "--config", "server.toml",
    )  # fmt: skip
    assert (done.status, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "max_players = 7" in lines
    assert "tick_rate = 50" in lines
    assert 'options = {"map": "x"}' in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "to try things out on this machine only, say --insecure"),
        (["--insecure", "--tick-rat", "30", "extra"], "unexpected argument 'extra'"),
        (["--insecure", "--no-such-flag"], "--no-such-flag"),
        (["--insecure", "--config", "absent.toml"], "cannot read absent.toml"),
        (["--insecure", "--config", "misspelt.toml"], "did you mean max_players?"),
        (["--insecure", "--game", "absent:main"], "'absent'"),
        (["--insecure", "--game", "live_game:absent"], "'absent'"),
        (["--insecure", "--game", "live_game:GAME"], "live_game:GAME"),
        (["--insecure", "--game", "broken:main"], "broken.py, line 2"),
        (["--insecure", "--auth", "memory:ada:secret"], "passwords come with TLS"),
        (["--insecure", "--status", "here"], "'here' is not a place to listen"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_aRefusalIsOneLineAndStatusOne(folder: Path, arguments: list[str], said: str) -> None:
    (folder / "live_game.py").write_text(GAME + "\nGAME = 1\n")
    (folder / "broken.py").write_text("import gamenet\ndef main(server:\n")
    (folder / "misspelt.toml").write_text("max_player = 7\n")
    done = run_daemon(folder, *arguments)
    assert done.status == 1
    assert done.out == ""
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("gamenet: ")
    assert said in done.err


@pytest.mark.parametrize("kind", ["TCP", "UDP", "status"])
def test_aPortInUseIsOneLineAndStatusOne(folder: Path, kind: str) -> None:
    with socket.socket(
        socket.AF_INET, socket.SOCK_DGRAM if kind == "UDP" else socket.SOCK_STREAM
    ) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind != "UDP":
            taken.listen()
        port = str(taken.getsockname()[1])
        where = {
            "TCP": ["--listen", port],
            "UDP": ["--listen", "0", "--udp", port],
            "status": ["--listen", "0", "--status", port],
        }
        done = run_daemon(folder, "--insecure", *where[kind])
    assert done.status == 1
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("gamenet: cannot ")
    assert f"127.0.0.1:{port}" in done.err
    assert "Traceback" not in done.out


def test_inTheBackgroundItListensWhenTheCommandReturns(folder: Path) -> None:
    # The daemon holds the writing end; the end of the pipe is the end of the daemon.
    reader, writer = os.pipe()
    log, pid_file = folder / "server.log", folder / "server.pid"
    with open(reader, "rb") as alive:
        try:
            done = subprocess.run(
                [*TWISTD, f"--logfile={log}", f"--pidfile={pid_file}", "gamenet", "--insecure",
                 "--listen", "tcp:0:interface=127.0.0.1", "--status", "0"],
                cwd=folder,
                env=environment(),
                pass_fds=[writer],
                timeout=HANGS_SECONDS,
                check=False,
            )  # fmt: skip
        finally:
            os.close(writer)
        assert done.returncode == 0
        pid = int(pid_file.read_text())
        try:
            words = log.read_text().split()
            address, status = (
                word.partition("=")[2] for word in words if word.startswith(("address=", "status="))
            )
            assert get(status, "/healthz") == (200, b"ok\n")
            with RawClient(address, "ada") as ada:
                ada.join()
                os.kill(pid, signal.SIGTERM)
                assert ada.expect_bye() is DisconnectReason.STOPPED
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        assert alive.read() == b""
    assert not pid_file.exists()
    assert "Traceback" not in log.read_text()


def test_inTheBackgroundARefusalReachesTheTerminal(folder: Path) -> None:
    log, pid_file = folder / "server.log", folder / "server.pid"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run_twistd(
            folder, f"--logfile={log}", f"--pidfile={pid_file}",
            "gamenet", "--insecure", "--listen", port,
        )  # fmt: skip
    assert done.status == 1
    assert f"cannot listen on TCP 127.0.0.1:{port}" in done.err
    assert not pid_file.exists()
    assert "Traceback" not in log.read_text()

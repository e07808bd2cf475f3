"""A real daemon whose game, or whose reactor, is held up, stands still or raises."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.live.daemon import HANGS_SECONDS, Daemon, environment, run_daemon
from tests.live.processes import output

if TYPE_CHECKING:
    from pathlib import Path

GAME = """
import time
import gamenet

def guilty(seconds):
    time.sleep(seconds)

def in_the_reactor():
    guilty(1.0)

@gamenet.game(tick_rate=30)
def main(server):
    for tick in server.ticks():
        for event in tick.events:
            if not isinstance(event, gamenet.Chat):
                continue
            if event.text == "game":
                guilty(1.0)
            elif event.text == "reactor":
                from twisted.internet import reactor
                reactor.callFromThread(in_the_reactor)
            elif event.text == "raise":
                raise ZeroDivisionError("a secret of the game's")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One with that game in it."""
    (tmp_path / "blocks.py").write_text(GAME)
    return tmp_path


def say(daemon: Daemon, text: str) -> None:
    """Join, say something, and leave."""
    done = subprocess.run(
        [sys.executable, "-m", "gamenet", "chat", daemon.address, "--insecure", "--user", "ada"],
        env=environment(),
        input=f"{text}\n",
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode in (0, 1), done


def records(folder: Path) -> list[list[dict[str, Any]]]:
    """What every record in a folder says."""
    return [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(folder.glob("gamenet-*.jsonl"))
    ]


class TestHeldUp:
    def test_whatBlocksTheGameIsNamedWhileItDoes(self, folder: Path) -> None:
        with Daemon(folder, "--game", "blocks:main") as daemon:
            say(daemon, "game")
            found = daemon.wait_for(r"the game's tick is held up, .* at (\S+) guilty < (\S+) main")
            assert found[1].endswith("blocks.py:6")

    def test_whatBlocksTheReactorIsNamedWhileItDoes(self, folder: Path) -> None:
        with Daemon(folder, "--game", "blocks:main") as daemon:
            say(daemon, "reactor")
            found = daemon.wait_for(r"the reactor is held up, .* at (\S+) guilty < \S+ in_the_rea")
            assert found[1].endswith("blocks.py:6")

    def test_withZeroNobodyLooks(self, folder: Path) -> None:
        (folder / "quiet.toml").write_text("held_up_seconds = 0\n")
        with Daemon(folder, "--game", "blocks:main", "--config", "quiet.toml") as daemon:
            say(daemon, "game")
            say(daemon, "raise")
            ended = daemon.wait()
        assert "held up" not in ended.out
        (record,) = records(folder)
        assert "held_up" not in [line["kind"] for line in record]

    def test_aProgramOfItsOwnHasNoThreadForIt(self) -> None:
        names = output(
            """
            import threading, time
            import gamenet

            with gamenet.GameServer("tcp:0:interface=127.0.0.1", insecure=True) as server:
                for tick in server.ticks(100):
                    if tick.number == 5:
                        break
                print(sorted(each.name for each in threading.enumerate()))
            """
        )
        assert "gamenet-reactor" in names
        assert "stuck" not in names


class TestRecord:
    def test_aGameThatRaisesLeavesOne(self, folder: Path) -> None:
        flights = folder / "flights"
        flights.mkdir()
        with Daemon(
            folder, "--game", "blocks:main", "--record-dir", "flights", "--auth", "memory:ada"
        ) as daemon:
            say(daemon, "game")
            say(daemon, "raise")
            ended = daemon.wait()
        assert ended.status == 1, ended
        assert f"flight record (crash): {flights}" in ended.out
        (path,) = flights.iterdir()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        (record,) = records(flights)
        head = record[0]
        assert (head["kind"], head["reason"], head["lines"]) == ("record", "crash", len(record) - 1)
        kinds = {line["kind"] for line in record}
        assert kinds >= {"joined", "left", "held_up", "failure", "log"}
        (failure,) = (line for line in record if line["kind"] == "failure")
        assert failure["error"] == "ZeroDivisionError"
        assert failure["stack"][0].startswith("blocks.py:")
        assert {line["name"] for line in record if line["kind"] == "joined"} == {"ada"}
        assert [line["at"] for line in record[1:]] == sorted(line["at"] for line in record[1:])
        assert "a secret" not in path.read_text()

    def test_aGoodEndLeavesNone(self, folder: Path) -> None:
        with Daemon(folder, "--game", "blocks:main") as daemon:
            say(daemon, "hello")
            daemon.signal(signal.SIGTERM)
            daemon.wait()
        assert records(folder) == []

    def test_aFolderThatCannotBeIsRefusedAtOnce(self, folder: Path) -> None:
        ended = run_daemon(folder, "--insecure", "--record-dir", "absent")
        assert (ended.status, ended.err.count("\n")) == (1, 1), ended
        assert ended.err.startswith("gamenet: record_dir: cannot write into ")

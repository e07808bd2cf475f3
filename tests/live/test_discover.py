"""Servers that are found, on the real sockets of this machine.

Whoever else runs servers on this network must not be in the way, so these have a game of their
own.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import pytest

from gamenet.certificates import make_certificate
from tests import certificates
from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon, RawClient, environment
from tests.live.processes import output

if TYPE_CHECKING:
    from pathlib import Path

GAME = f"live-{token_hex(8)}/1"
GAMENET = [sys.executable, "-P", "-m", "gamenet"]
SECONDS = "0.7"
"""Three queries; on this machine each answer takes a few milliseconds."""
HOST_AND_PLAY = """
import sys, time
import gamenet
from gamenet.discovery import Browser

@gamenet.game(game_name=sys.argv[1])
def main(server):
    for tick in server.ticks():
        pass

insecure = {"insecure": True}
with (
    gamenet.GameServer(0, game=main, beacon="Ada's", **insecure) as ada,
    gamenet.GameServer(0, game=main, beacon="Bob's", **insecure) as bob,
    Browser(sys.argv[1]) as browser,
):
    while len(browser.servers()) < 2:
        time.sleep(0.02)
    for found in browser.servers():
        with gamenet.GameClient(found.address, insecure=not found.secure) as client:
            print(found.name, found.port in (ada.port, bob.port), client.player.id)
print("left", browser.servers())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a game that has the name."""
    (tmp_path / "found_game.py").write_text(
        f"import gamenet\n\n@gamenet.game(game_name={GAME!r})\ndef main(server):\n"
        "    for tick in server.ticks():\n"
        "        for event in tick.events:\n"
        "            if isinstance(event, gamenet.Chat):\n"
        "                server.say(event.text, author=event.player)\n",
        encoding="utf-8",
    )
    return tmp_path


def gamenet(*arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GAMENET, *arguments],
        env=environment(),
        input=typed,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )


def discover(*arguments: str) -> list[dict[str, Any]]:
    """What ``gamenet discover --json`` finds."""
    done = gamenet("discover", "--seconds", SECONDS, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)["servers"]
    return found


def example(name: str) -> list[str]:
    """What an example prints that is told the game's name."""
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "finding" / name, GAME],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def test_serversOfOneMachineAreFoundAndJoined(folder: Path) -> None:
    files = certificates.write(folder, make_certificate(["localhost"]))
    game = ("--game", "found_game:main")
    with (
        Daemon(folder, *game, "--beacon", "Room 12", cert=files) as secure,
        Daemon(folder, *game, "--beacon", "Room 13", "--max-players", "9") as insecure,
        RawClient(insecure.address, "ada") as ada,
    ):
        ada.join()
        room_12, room_13 = discover("--game", GAME)
        assert (room_12["name"], room_13["name"]) == ("Room 12", "Room 13")
        assert (room_12["secure"], room_13["secure"]) == (True, False)
        assert (room_13["players"], room_13["max_players"], room_13["game"]) == (1, 9, GAME)
        # As each server itself says: with the pin of its certificate.
        assert (room_12["address"], room_13["address"]) == (secure.address, insecure.address)
        talk = gamenet("chat", room_12["address"], "--user", "bob", typed="found you\n")
        assert "<bob> found you" in talk.stdout, talk
        assert example("who_is_there.py") == [
            f"Room 12: 0 of 256 play at {secure.address}",
            f"Room 13: 1 of 9 play at {insecure.address}",
        ]
        joined = example("join_screen.py")[-1]
        assert re.fullmatch(r"guest-\d has joined Room 1[23]", joined), joined
        _, metrics = insecure.get("/metrics")
        counts = dict(line.rsplit(b" ", 1) for line in metrics.splitlines() if line[:1] != b"#")
        assert float(counts[b"gamenet_beacon_answers_total"]) >= 1
        for server in (secure, insecure):
            server.signal(signal.SIGTERM)
            ended = server.wait()
            assert "Traceback" not in ended.out + ended.err
            assert "the beacon is on" in ended.out


def test_nobodyThereIsASentenceWithTheFix() -> None:
    nobody = f"nobody-{token_hex(8)}/1"
    done = gamenet("discover", "--seconds", "0.2", "--game", nobody, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (1, {"servers": []})
    assert done.stderr.count("\n") == 1
    for words in (f"gamenet discover: no server of {nobody!r}", "--beacon", "firewall", "school"):
        assert words in done.stderr


def test_aGameHostsAndAnotherFindsIt() -> None:
    said = output(HOST_AND_PLAY, f"hosted-{token_hex(8)}/1").splitlines()
    assert said == ["Ada's True 1", "Bob's True 1", "left []"]

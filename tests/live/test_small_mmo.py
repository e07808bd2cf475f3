"""The small MMO of the book as its page starts it: accounts, the daemon, players, a restart."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

from gamenet.account_file import change
from gamenet.certificates import make_certificate
from gamenet.passwords import new_record
from tests import certificates
from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon, environment

if TYPE_CHECKING:
    from pathlib import Path

RECIPES = ROOT / "examples" / "recipes"


def surroundings() -> dict[str, str]:
    found = environment()
    return {**found, "PYTHONPATH": f"{RECIPES}:{found['PYTHONPATH']}"}


class Bot:
    """``python -m small_mmo.bot``, killed at the end of a ``with`` block."""

    def __init__(self, address: str, name: str, password: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "small_mmo.bot", address, name],
            cwd=RECIPES,
            env=surroundings(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._hangs = threading.Timer(HANGS_SECONDS, self._process.kill)
        self.say(password)

    def __enter__(self) -> Bot:
        self._hangs.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        self._process.kill()
        self._process.communicate()

    def say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def hears(self, pattern: str) -> re.Match[str]:
        """What matches in the next line that has it.

        :raises AssertionError: if the output ends before.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no {pattern!r} before the end: {self._process.communicate()}")

    def rest(self) -> tuple[int, str]:
        """Its exit status, and what it has complained about."""
        _, err = self._process.communicate()
        return self._process.returncode, err


def register(folder: Path, name: str, password: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gamenet", "passwd", "players", name, "--log2-n", "10"],
        cwd=folder,
        env=environment(),
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_register_walk_talk_be_muted_and_find_it_all_again(
    tmp_path: Path, monkeypatch: Any
) -> None:
    certificates.write(tmp_path, make_certificate(["127.0.0.1"]), "gamenet")
    config = RECIPES / "small_mmo" / "small_mmo.toml"
    register(tmp_path, "ada", "secret of ada")
    change(str(tmp_path / "players"), "mod", new_record("mod", b"secret of mod", 10))
    monkeypatch.setenv("PYTHONPATH", str(RECIPES))

    def server() -> Daemon:
        files = (str(tmp_path / "gamenet-cert.pem"), str(tmp_path / "gamenet-key.pem"))
        arguments = ("--config", str(config), "--game", "small_mmo.realm:Realm")
        return Daemon(tmp_path, *arguments, cert=files)

    with server() as daemon:
        with (
            Bot(daemon.address, "ada", "secret of ada") as ada,
            Bot(daemon.address, "mod", "secret of mod") as mod,
        ):
            ada.hears("in the meadow")
            start = ada.hears(r"at (\S+) (\S+)")
            mod.hears("ada is here")
            ada.say("east 1")
            place = ada.hears(r"at (\S+) (\S+)")
            assert float(place[1]) > float(start[1])
            ada.say("well, darn")
            mod.hears(r"<ada> well, \*\*\*")
            mod.say("/mute ada 60")
            mod.hears("Done: mute ada 60")
            ada.say("what?")
            ada.hears("You are muted")
            daemon.signal(signal.SIGTERM)
            ada.hears("over: ")
            assert ada.rest() == (0, "")
        assert "Traceback" not in daemon.wait().out
    with server() as daemon, Bot(daemon.address, "ada", "secret of ada") as ada:
        assert ada.hears(r"at (\S+) (\S+)")[0] == place[0]
        ada.say("/all am I still?")
        ada.hears("You are muted")
        ada.say("leave")
        assert ada.rest() == (0, "")

"""A real server for the page to look at, and real players."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Final

from tests.live.daemon import HANGS_SECONDS, ROOT, Daemon

if TYPE_CHECKING:
    from pathlib import Path

TOKEN: Final = "0123456789abcdef-for-tests"
PLAYER: Final = textwrap.dedent("""
    import sys, gamenet
    address, name = sys.argv[1:]
    client = gamenet.GameClient(address, user=name, game_name="gamenet-demo/1", insecure=True)
    try:
        client.start()
    except gamenet.errors.JoinRefused as refused:
        raise SystemExit(print("refused", refused.reason.name))
    for frame in client.ticks(30):
        client.send_input(1 << frame.number // 20 % 4)
        for event in frame.events:
            match event:
                case gamenet.Chat(_, text): print("heard", text, flush=True)
                case gamenet.Disconnected(reason, _): print("over", reason.name, flush=True)
""")


def token_file(folder: Path) -> Path:
    """The file that ``--status-token`` names, as only its owner may read it."""
    path = folder / "token"
    path.write_text(TOKEN + "\n", encoding="ascii")
    path.chmod(0o600)
    return path


def daemon(folder: Path, status: str = "tcp:0:interface=127.0.0.1") -> Daemon:
    """``twistd -n gamenet`` with a status site that offers actions."""
    token = token_file(folder)
    return Daemon(folder, "--status", status, "--status-token", str(token))


class Crowd:
    """A process that plays, ended with a ``with`` block.

    :param arguments: of Python.
    """

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout

    def __enter__(self) -> Crowd:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()

    def wait_for(self, text: str) -> None:
        """Read what it prints until a line has *text*.

        :raises AssertionError: if it ends before.
        """
        for line in self._out:
            if text in line:
                return
        raise AssertionError(f"the player ended without {text!r}")


def player(address: str, name: str) -> Crowd:
    """Somebody who walks about, and prints what is heard."""
    return Crowd("-c", PLAYER, address, name)


def bots(address: str, count: int, profile: str) -> Crowd:
    """``gamenet bots`` in a bad network, for longer than anything here takes."""
    return Crowd(
        "-m", "gamenet", "bots", address, "--insecure", "--count", str(count),
        "--seconds", str(HANGS_SECONDS), "--sim-profile", profile, "--quiet",
    )  # fmt: skip

"""``gamenet bots --bot``: players of one's own class on a real server."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from gamenet.demo.report import KEYS
from tests.live.daemon import HANGS_SECONDS, Daemon, environment

if TYPE_CHECKING:
    from pathlib import Path

RUNNERS = """
    from gamenet import Received
    from gamenet.bots import Bot


    class Runner(Bot):
        game_name = "sum/1"

        def on_join(self):
            self.client.send(b"%d" % self.index)

        def on_event(self, event):
            if isinstance(event, Received):
                with open(f"{event.payload.decode()}.heard", "w") as file:
                    file.write(type(self).__name__)

        def on_tick(self, tick):
            self.client.send_input(self.random.getrandbits(4))


    class Breaks(Runner):
        def on_tick(self, tick):
            self.clientt


    class Elsewhere(Runner):
        game_name = "another/1"


    def function(server):
        for tick in server.ticks():
            for event in tick.events:
                if isinstance(event, Received):
                    server.send(event.player, event.payload)


    function.game_name = "sum/1"
"""


def bots(folder: Path, address: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gamenet", "bots", address, "--insecure", "--seconds", "1",
         "--quiet", *arguments],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )  # fmt: skip


def report_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    found = json.loads(done.stdout)
    assert list(found) == list(KEYS)
    return dict(found)


def test_theyPlayWithTheHooksOfTheirClass(tmp_path: Path) -> None:
    (tmp_path / "runners.py").write_text(textwrap.dedent(RUNNERS))
    with Daemon(tmp_path, "--game", "runners:function") as daemon:
        done = bots(tmp_path, daemon.address, "--bot", "runners:Runner", "--count", "3", "--json",
                    "--ramp", "20", "--max-rtt-ms", "5000", "--max-loss", "50%")  # fmt: skip
        report = report_of(done)
        assert (done.returncode, report["errors"]) == (0, 0), report
        assert (report["joined"], report["udp_bound"]) == (3, 3)
        assert report["inputs_sent"] >= 15
        assert sorted(path.name for path in tmp_path.glob("*.heard")) == [
            "1.heard", "2.heard", "3.heard"
        ]  # fmt: skip

        # Nothing takes no time at all.
        done = bots(tmp_path, daemon.address, "--bot", "runners:Runner", "--count", "2", "--json",
                    "--max-rtt-ms", "0.000001")  # fmt: skip
        report = report_of(done)
        assert done.returncode == 1
        assert report["errors"] == 1
        assert "more than --max-rtt-ms 1e-06" in report["error_lines"][0]

        done = bots(tmp_path, daemon.address, "--bot", "runners:Breaks", "--count", "2", "--json")
        report = report_of(done)
        assert done.returncode == 1
        assert report["errors"] == 2
        assert "'Breaks' object has no attribute 'clientt'" in report["error_lines"][0]
        assert "runners.py, line 23)" in report["error_lines"][0]

        done = bots(tmp_path, daemon.address, "--bot", "runners:Elsewhere", "--count", "1")
        assert done.returncode == 1
        assert "could not join: REFUSED" in done.stdout
        assert "nobody joined: That server runs a different game; fix: the address" in done.stdout


def test_whatIsNoBotIsRefusedInOneLine(tmp_path: Path) -> None:
    (tmp_path / "runners.py").write_text(textwrap.dedent(RUNNERS))
    for path, text in (
        ("runners", "'runners' is not module:attribute, such as mygame:Runner"),
        ("", "'' is not module:attribute, such as mygame:Runner"),
        ("runners:function", "runners:function is not a class made from gamenet.bots.Bot"),
        ("runners:Walker", "module 'runners' has no 'Walker'"),
        ("nowhere:Runner", "cannot import 'nowhere'"),
    ):
        done = bots(tmp_path, "127.0.0.1:9", "--bot", path)
        assert done.returncode == 1
        assert done.stderr.startswith("gamenet bots: bot: "), done.stderr
        assert text in done.stderr
        assert done.stderr.count("\n") == 1

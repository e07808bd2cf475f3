"""``gamenet chat`` and ``gamenet bots`` against a server that the daemon runs."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
# Longer than anything here takes on the slowest machine: it only ends a test that hangs.
HANGS_SECONDS = 120
TWISTD = "from twisted.scripts.twistd import run; run()"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where a server listens that runs the game of the demo."""
    server = subprocess.Popen(
        [sys.executable, "-c", TWISTD, "-n", "--pidfile=", "gamenet", "--insecure",
         "--listen", "tcp:0:interface=127.0.0.1", "--status", "tcp:0:interface=127.0.0.1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    assert server.stdout is not None
    log = []
    try:
        for line in server.stdout:
            log.append(line)
            if found := re.search(r"ready: address=(\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail("the server did not start:\n" + "".join(log))
    finally:
        server.terminate()
        log += server.stdout.readlines()
        server.wait()
        server.stdout.close()
    assert not [line for line in log if re.search("#error|#critical|Traceback", line)], log


def gamenet(*arguments: str, typed: str | bytes = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, with *typed* on its standard input."""
    done = subprocess.run(
        [sys.executable, "-m", "gamenet", *arguments],
        cwd=ROOT,
        input=typed.encode() if isinstance(typed, str) else typed,
        capture_output=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def test_whatIsPipedInIsSaidAndHeard(address: str) -> None:
    listener = subprocess.Popen(
        [sys.executable, "-m", "gamenet", "chat", address, "--user", "bob", "--insecure"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert listener.stdout is not None
    try:
        assert listener.stdout.readline() == (
            "* you are bob, not encrypted; Ctrl-D or /quit leaves\n"
        )
        done = gamenet(
            "chat", address, "--user", "ada", "--insecure",
            typed=b"hello\n\x1b[31mred\x1b[0m \xff\xc2\x9b2J\n\n" + b"x" * 501 + b"\nbye",
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        heard = [listener.stdout.readline() for _ in range(5)]
        out, err = listener.communicate("/quit\n", timeout=HANGS_SECONDS)
    finally:
        listener.kill()
    assert heard == [
        "<ada> hello\n",
        "<ada> [31mred[0m \ufffd2J\n",
        f"<ada> {'x' * 500}\n",
        "<ada> x\n",
        "<ada> bye\n",
    ]
    assert (listener.returncode, out, err) == (0, "", "")


def test_throughABadNetwork(address: str) -> None:
    done = gamenet(
        "chat", address, "--user", "eve", "--insecure",
        "--sim-latency-ms", "80", "--sim-jitter-ms", "60", "--sim-loss", "5%", "--sim-seed", "3",
        typed="hello\n",
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stderr == ("SIMULATED NETWORK custom: 80±60 ms each way, 5 % lost; seed 3\n")
    assert done.stdout.startswith("* you are eve, not encrypted; Ctrl-D or /quit leaves\n")
    done = gamenet(
        "bots", address, "--count", "3", "--seconds", "4", "--insecure", "--json", "--quiet",
        "--sim-profile", "cellular", "--chaos", "cut@1,move@2",
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert (done.returncode, report["errors"]) == (0, 0), report
    assert report["rtt_p50_ms"] > 50
    assert report["suspended"] >= report["resumed"] >= 3
    assert report["reliable_sent"] == report["reliable_received"] > 0
    said = done.stderr.splitlines()
    assert said[0].startswith("SIMULATED NETWORK cellular: 50±30 ms each way, 2 % lost")
    assert said[1:] == ["chaos: cut@1", "chaos: move@2"]


def test_badNetworksOnTheWayToNowhere() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        done = gamenet("chat", address, "--insecure", "--sim-profile", "wifi")
        assert (done.returncode, done.stdout) == (1, "")
        banner, said = done.stderr.splitlines()
        assert banner.startswith("SIMULATED NETWORK wifi")
        assert said.startswith("gamenet chat: ")
        assert said.endswith(f"; try: gamenet doctor {address} --insecure")
    done = gamenet("chat", "nobody.invalid", "--insecure", "--sim-profile", "wifi")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gamenet chat: there is no host of the name 'nobody.invalid'; "
        "try: gamenet doctor nobody.invalid --insecure\n"
    )


def test_aRefusedNameIsOneReadableLine(address: str) -> None:
    done = gamenet("chat", address, "--user", "no such name!", "--insecure")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gamenet chat: ")
    assert done.stderr.endswith("give another one with --user\n")
    assert done.stderr.count("\n") == 1


def test_aServerThatIsNotThereIsOneReadableLine() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        done = gamenet("chat", address, "--user", "ada", "--insecure")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("gamenet chat: ")
        assert done.stderr.endswith(f"; try: gamenet doctor {address} --insecure\n")
        assert done.stderr.count("\n") == 1
        done = gamenet("bots", address, "--count", "2", "--seconds", "1", "--insecure", "--json")
        report = json.loads(done.stdout)
        assert done.returncode == 1
        assert (report["bots"], report["joined"]) == (2, 0)
        assert report["errors"] == 2
        assert report["error_lines"][0].startswith("nobody joined: no server answers at ")
        assert report["error_lines"][0].endswith(f"; try: gamenet doctor {address} --insecure")


OTHER_GAME = """
import gamenet, sys

@gamenet.game(game_name="tag/1", tick_rate=20, input_bits=1)
def main(server):
    for tick in server.ticks():
        for player in server.players:
            server.send_state(player, b"who is it?")

sys.exit(gamenet.serve(main, "tcp:0:interface=127.0.0.1", insecure=True))
"""


def test_botsPlayGamesThatTheyDoNotKnow() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", OTHER_GAME],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[-1]
        done = gamenet("bots", address, "--count", "2", "--seconds", "1", "--insecure", "--json")
    finally:
        server.terminate()
        server.wait()
        server.stdout.close()
    report = json.loads(done.stdout)
    assert (done.returncode, report["errors"]) == (0, 0), report
    assert report["joined"] == report["udp_bound"] == 2
    assert report["inputs_sent"] > 0
    assert report["inputs_in_flight"] == 0
    assert report["states_received"] > 0
    assert report["chat_received"] == 0


def test_nobodyReadsTheOutput() -> None:
    """A reader that has gone is no reason for a traceback."""
    bots = subprocess.Popen(
        [sys.executable, "-m", "gamenet", "bots", "127.0.0.1:1", "--insecure", "--json", "--quiet"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert bots.stdout is not None
    assert bots.stderr is not None
    bots.stdout.close()
    assert bots.stderr.read() == ""
    bots.stderr.close()
    assert bots.wait() == 1


def test_botsAloneKnowOnlyTheirSide(address: str) -> None:
    done = gamenet("bots", address, "--count", "3", "--seconds", "2", "--insecure", "--json")
    assert done.stdout.count("\n") == 1, done.stderr
    report = json.loads(done.stdout)
    assert (done.returncode, report["errors"]) == (0, 0), report
    assert report["joined"] == report["udp_bound"] == 3
    assert report["chat_sent"] >= 3
    assert report["chat_received"] == report["chat_expected"] == 3 * report["chat_sent"]
    unknown = {key for key, value in report.items() if value is None}
    assert unknown == {
        "players",
        "ticks_per_second",
        "tick_late_p99_ms",
        "inputs_applied",
        "inputs_missing",
        "inputs_late",
        "inputs_early",
        "clock_error_p99_ms",
        "state_bytes_full_mean",
        "state_bytes_sent_mean",
        "cpu_us_per_client_tick",
    }

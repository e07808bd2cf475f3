"""``gamenet demo`` as people run it: a server process and a bot process over real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gamenet.demo.report import KEYS

ROOT = Path(__file__).resolve().parent.parent.parent
# Longer than anything here takes on the slowest machine: it only ends a test that hangs.
HANGS_SECONDS = 120


def demo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "gamenet", "demo", *arguments]


def test_everythingThatWasSentArrived() -> None:
    done = subprocess.run(
        demo("--seconds", "4", "--bots", "6", "--json"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert list(report) == list(KEYS)
    assert report["errors"] == 0, report
    assert report["error_lines"] == []
    assert report["bots"] == report["joined"] == report["udp_bound"] == report["players"] == 6
    assert report["secure"] is True
    assert report["chat_sent"] >= 6
    assert report["chat_received"] == report["chat_expected"] == 6 * report["chat_sent"]
    assert report["inputs_sent"] > 0
    assert report["inputs_sent"] == (
        report["inputs_applied"] + report["inputs_missing"] + report["inputs_in_flight"]
    )
    assert report["inputs_missing"] == 0
    assert report["states_received"] > 0
    assert None not in report.values(), report
    assert done.returncode == 0


def test_whateverHappensToTheNetworkNothingIsLost(tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    done = subprocess.run(
        demo("--seconds", "9", "--bots", "6", "--json", "--sim-profile", "wifi",
             "--chaos", "cut@1,move@3,kill@6", "--trace", str(trace)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert (report["errors"], report["error_lines"], done.returncode) == (0, [], 0), report
    assert "SIMULATED NETWORK wifi" in done.stderr
    assert report["bots"] == report["joined"] == report["players"] == 6
    # The cut and the kill are seen by everybody; a move may be over before TCP is missed.
    assert report["suspended"] >= 12
    assert 6 <= report["resumed"] <= report["suspended"]
    assert report["sessions_lost"] == 6
    # A busy machine plays slowly.
    assert report["reliable_sent"] >= report["reliable_received"] > 6 * 5
    assert report["reliable_sent"] == (
        report["reliable_received"]
        + report["reliable_unacknowledged"]
        + report["reliable_unanswered"]
    )
    for what in ("lost", "duplicated", "reordered"):
        assert report[f"reliable_{what}"] == 0
    assert report["chat_expected"] is report["inputs_applied"] is report["inputs_missing"] is None

    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    assert [line["event"] for line in lines if line["bot"] is None] == ["cut", "move", "kill"]
    for bot in {line["bot"] for line in lines} - {None}:
        saw = [line["event"] for line in lines if line["bot"] == bot]
        assert saw[0] == "Connected"
        assert saw[-1] == "end"
        assert saw.count("Connected") == 2
        assert saw.count("Disconnected") == 1
        assert "Suspended" in saw


@pytest.mark.parametrize("everybody", [False, True], ids=["parent", "process group"])
def test_ctrlCEndsParentAndChildren(everybody: bool) -> None:
    parent = subprocess.Popen(
        demo("--seconds", "60", "--bots", "3", "--json"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert parent.stderr is not None
    try:
        for line in parent.stderr:
            if line.startswith("3 of 3 in"):
                break
        children = descendants(parent.pid)
        assert len(children) == 2, children
        if everybody:
            os.killpg(parent.pid, signal.SIGINT)
        else:
            parent.send_signal(signal.SIGINT)
        out, err = parent.communicate(timeout=HANGS_SECONDS)
    finally:
        parent.kill()
    assert parent.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert [pid for pid in children if is_running(pid)] == []


def descendants(pid: int) -> list[int]:
    """Every process below *pid*."""
    listed = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True
    )
    parents = {int(line.split()[0]): int(line.split()[1]) for line in listed.stdout.splitlines()}
    below = [child for child, parent in parents.items() if parent == pid]
    return below + [grandchild for child in below for grandchild in descendants(child)]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

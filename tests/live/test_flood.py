"""The attack on a real daemon that ``make flood`` runs, small: what is counted must be right."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.live.daemon import HANGS_SECONDS, ROOT, environment

GARBAGE, FORGED, REPLAYS, BOTS = 2_000, 600, 400, 3
SMALL = {
    "--garbage": GARBAGE,
    "--forged": FORGED,
    "--replays": REPLAYS,
    "--bots": BOTS,
    "--loris": 10,
    "--join-seconds": 2,
    "--calm-seconds": 0.5,
}


def test_nothingThatAStrangerSendsIsAnsweredOrBelieved() -> None:
    options = [str(part) for pair in SMALL.items() for part in pair]
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "flood.py"), *options],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = done.stdout.splitlines()
    figures = json.loads(line)
    expected = {
        "garbage_sent": GARBAGE,
        "bytes_out": 0,
        "forged_sent": FORGED,
        "forged_accepted": 0,
        "replays_sent": REPLAYS,
        "replays_accepted": 0,
        "others": BOTS,
        "others_gone": 0,
        "others_lost": 0,
        "others_inputs_missing": 0,
        "unaccounted": 0,
        "errors": 0,
        "secure": True,
    }
    assert {name: figures[name] for name in expected} == expected
    # Of two; one that comes in one piece with the end of the TLS handshake is cut for that.
    assert figures["oversize_frames_seen"] in (1, 2)
    # Answered at all, or it would say nothing.
    assert 0 < figures["bind_ratio"] <= 1
    for name in ("oversize_gone_seconds", "loris_gone_seconds"):
        assert figures[name] is not None, name

"""Players for a long time on a network that loses datagrams: does the server grow?

Progress on standard error, one line of JSON on standard output; README.rst beside this file says
what each figure is. Exit status 1 if anything went wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import rig

PROCESSES = 2
"""Of bots: one cannot play for two hundred."""
LINE_SECONDS = 10.0
SAMPLE_SECONDS = 2.0
SPARE_SECONDS = 90.0
"""What joining and leaving may take on top."""
LEAST_WARM_UP_SECONDS = 30.0
WARM_UP = 0.2
"""Share of the time that is not looked at: caches fill, memory pools grow."""
SETTLE_SECONDS = 3.0
"""After the last player has gone, until descriptors are counted again."""
SUMS = (
    "joined",
    "errors",
    "suspended",
    "resumed",
    "sessions_lost",
    "reliable_sent",
    "reliable_received",
    "reliable_lost",
    "reliable_duplicated",
    "reliable_reordered",
    "inputs_sent",
    "states_received",
    "chat_expected",
    "chat_received",
)
"""Figures of the bots that are added up."""


class Sample(NamedTuple):
    """How the server was at one moment of play."""

    at: float
    rss: int
    bots_rss: int
    descriptors: int


def descriptors(pid: int) -> int | None:
    """Open files of a process, where the system says."""
    try:
        return len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None


def rss(pid: int) -> int:
    """Memory of a process that is in use; 0 where the system does not say, or it has ended."""
    try:
        return rig.resident_bytes(pid)
    except (OSError, IndexError):
        return 0


def slope(points: list[tuple[float, float]]) -> float | None:
    """The straight line through points, by least squares: its rise a second."""
    if len(points) < 3:
        return None
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    spread = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / spread if spread else None


def mb_per_hour(points: list[tuple[float, float]]) -> float | None:
    """The slope of bytes over seconds."""
    found = slope([point for point in points if point[1]])
    return None if found is None else round(found * 3_600 / 1e6, 3)


class Soak:
    """One run.

    :param options: as the command line gives them.
    """

    def __init__(self, options: argparse.Namespace, daemon: rig.Daemon) -> None:
        self._options = options
        self._daemon = daemon
        self._seconds = 60.0 * options.minutes
        self._samples: list[Sample] = []
        self._bots: list[subprocess.Popen[str]] = []
        self._last: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Play, watch, and say what came of it."""
        before = descriptors(self._daemon.pid)
        try:
            self._start_bots()
            self._watch()
            reports = [self._report(bots) for bots in self._bots]
        finally:
            for bots in self._bots:
                if bots.poll() is None:
                    bots.kill()
                bots.wait()
        time.sleep(SETTLE_SECONDS)
        return self._figures(reports, before)

    def _start_bots(self) -> None:
        found = re.search(r"ready: address=(\S+)", self._daemon.log())
        assert found is not None
        processes = min(PROCESSES, self._options.bots)
        for number in range(processes):
            count = self._options.bots // processes
            count += number < self._options.bots % processes
            self._bots.append(
                subprocess.Popen(
                    [
                        sys.executable, "-m", "gamenet", "bots", found[1], "--json", "--quiet",
                        "--count", str(count), "--seconds", f"{self._seconds:g}",
                        "--seed", str(number), "--sim-seed", str(number),
                        "--sim-loss", str(self._options.loss),
                        *(["--sim-profile", self._options.profile]
                          if self._options.profile else []),
                    ],
                    env=rig.environment(),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                )
            )  # fmt: skip

    def _watch(self) -> None:
        began = time.monotonic()
        line_at = began
        while any(bots.poll() is None for bots in self._bots):
            now = time.monotonic()
            if now - began > self._seconds + SPARE_SECONDS or not self._daemon.is_up():
                rig.note("the server is gone" if not self._daemon.is_up() else "too slow, cut")
                break
            try:
                status = self._daemon.status()
            except (OSError, ValueError):
                status = None
            if status is not None and len(status["players"]) == self._options.bots:
                self._last = status
                self._samples.append(
                    Sample(
                        now,
                        rss(self._daemon.pid),
                        sum(rss(bots.pid) for bots in self._bots),
                        descriptors(self._daemon.pid) or 0,
                    )
                )
            if now >= line_at:
                line_at = now + LINE_SECONDS
                self._say(now - began, status)
            time.sleep(SAMPLE_SECONDS)

    def _say(self, seconds: float, status: dict[str, Any] | None) -> None:
        if status is None:
            rig.note(f"{seconds:.0f} s: the server's status page does not answer")
            return
        rig.note(
            f"{seconds:.0f} s of {self._seconds:.0f}: {len(status['players'])} players, "
            f"{status['ticks']['per_second'] or 0:.1f} ticks/s, "
            f"server {rss(self._daemon.pid) / 1e6:.1f} MB, "
            f"{descriptors(self._daemon.pid)} files, {status['errors']} errors"
        )

    def _report(self, bots: subprocess.Popen[str]) -> dict[str, Any]:
        try:
            said = bots.communicate(timeout=SPARE_SECONDS)[0]
            report: dict[str, Any] = json.loads(said.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError):
            return {"errors": 1, "error_lines": ["bots ended without a report"]}
        if bots.returncode and not report["errors"]:
            report["errors"] = 1
            report["error_lines"] = [f"bots ended with exit status {bots.returncode}"]
        return report

    def _figures(self, reports: list[dict[str, Any]], before: int | None) -> dict[str, Any]:
        warm = max(LEAST_WARM_UP_SECONDS, WARM_UP * self._seconds)
        samples = self._samples
        seen = [each for each in samples if each.at - samples[0].at >= warm] if samples else []
        figures: dict[str, Any] = {
            "minutes": self._options.minutes,
            "bots": self._options.bots,
            "loss": self._options.loss,
        }
        for name in SUMS:
            values = [report.get(name) for report in reports]
            figures[name] = sum(value for value in values if value is not None)
        after = descriptors(self._daemon.pid)
        lines = [line for report in reports for line in report.get("error_lines", ())]
        log = self._daemon.log()
        logged = [line for line in log.splitlines() if re.search(r"#error\]|#critical\]", line)]
        figures["errors"] += len(logged)
        if after != before:
            figures["errors"] += 1
            lines.append(f"the server has {after} files open and began with {before}")
        if figures["joined"] != self._options.bots:
            figures["errors"] += 1
            lines.append(f"{figures['joined']} of {self._options.bots} joined")
        figures |= {
            "error_lines": [*lines, *logged][:20],
            "ticks_per_second": round((self._last.get("ticks") or {}).get("per_second") or 0, 2),
            "rss_start_mb": round(seen[0].rss / 1e6, 2) if seen else None,
            "rss_end_mb": round(seen[-1].rss / 1e6, 2) if seen else None,
            "rss_mb_per_hour": mb_per_hour([(each.at, each.rss) for each in seen]),
            "bots_rss_mb_per_hour": mb_per_hour([(each.at, each.bots_rss) for each in seen]),
            "samples": len(seen),
            "descriptors_start": before,
            "descriptors_playing": max((each.descriptors for each in seen), default=None),
            "descriptors_end": after,
        }
        return figures


def main() -> int:
    """Soak, and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--loss", type=float, default=0.05, help="share of datagrams")
    parser.add_argument("--profile", default="", help="more than loss, such as train")
    options = parser.parse_args()
    if not 0 < options.minutes <= 1_440 or not 1 <= options.bots <= 1_000:
        parser.error("from a moment to a day, and 1 to 1000 bots")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="gamenet-soak-") as folder,
        rig.Daemon(
            Path(folder), "--game", "gamenet.demo.game:main",
            "--max-players", str(max(256, options.bots)), tls=True,
        ) as daemon,
    ):  # fmt: skip
        figures = Soak(options, daemon).run()
    print(json.dumps({**figures, **rig.machine()}), flush=True)
    for line in figures["error_lines"]:
        rig.note(line)
    return 1 if figures["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""gamenet and what else a Python game could be built on, side by side in one run.

Rounds take turns over all peers of a workload, server and load are processes on cores of their own,
and what counts is the CPU time of the server's process as the operating system accounts it. Prints
progress to stderr and a table to stdout, and writes it as JSON. See README.rst beside this file.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import bench_report as report
import rig
from bench_report import Case, Peer, Sample

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE: Final = Path(__file__).resolve().parent
CONTEST: Final = HERE / "contest"
PEERS_FOLDER: Final = rig.ROOT / ".venv-peers"
COPY: Final = rig.ROOT / "build" / "compiled"
CASE_SECONDS: Final = 90.0
"""After so long beside what is measured a contestant is killed, whatever it does."""
SETTLE_SECONDS: Final = 0.25
"""After the load has stopped: until what it sent has reached the game."""
USUAL: Final = {
    "hz": 60, "input_bytes": 32, "state_bytes": 200, "window": 64, "message_bytes": 64,
    "broadcast_bytes": 256, "loss": 0.0,
}  # fmt: skip
SECURED: Final = {"aioquic"} | {
    name for name, peer in report.PEERS.items() if peer.transport == "tls"
}
"""Who needs a certificate."""
LOAD_LATE_MS: Final = 5.0
"""A load that is later than this, 1 % of the time, may be what is measured."""


class Failed(Exception):
    """A contestant that did not play; the text says why."""


class Contestant:
    """A process that hears and says lines of JSON; gone at the end of ``with``."""

    def __init__(
        self, command: Sequence[str], on: Sequence[int], tree: Path = rig.ROOT, seconds: float = 0.0
    ) -> None:
        self._name = Path(command[-1]).name
        self._seconds = CASE_SECONDS + seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        paths = (str(tree), str(HERE)) if command[0] == sys.executable else ()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            text=True,
            # Ctrl-C is for us; the end of its stdin ends it, even if we are killed.
            start_new_session=True,
            preexec_fn=(lambda: os.sched_setaffinity(0, on)) if on else None,
        )
        self._hangs = threading.Timer(CASE_SECONDS + seconds, self._process.kill)
        self._hangs.daemon = True
        self._hangs.start()
        self.pid = self._process.pid

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(0.0 if any(error) else 2.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._errors.close()

    def ask(self, value: Any) -> Any:
        """Write a line, and read the answer."""
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._why()) from None
        return self.hear()

    def hear(self) -> Any:
        """The next line.

        :raises Failed: if the process ended instead.
        """
        line = self._process.stdout.readline()
        if not line:
            raise Failed(self._why())
        return json.loads(line)

    def _why(self) -> str:
        status = self._process.wait()
        if status < 0:
            name = signal.Signals(-status).name
            return f"{self._name} died of {name}, which it gets after {self._seconds:g} s"
        self._errors.seek(0)
        said = self._errors.read().decode(errors="replace").strip().splitlines()
        return f"{self._name}: {said[-1] if said else 'ended'}"


class Bench:
    """All that the cases of one run share.

    :param folder: for a certificate and what is compiled; removed by the caller.
    """

    def __init__(self, folder: Path, warm: float, seconds: float) -> None:
        self._folder = folder
        self._warm, self._seconds = warm, seconds
        self.versions: dict[str, str] = {}
        self.missing: dict[str, str] = {}
        """Packages that are not installed, and why."""
        self.limits: dict[str, dict[str, Any]] = {}
        """What gamenet allows beyond its defaults, by workload."""
        self.floor = ""
        """The compiled server; empty where there is no compiler."""
        self.has_copy = any((COPY / "gamenet" / "core").glob("session.*.so"))
        """Whether there is a gamenet whose hot path is compiled."""

    def prepare(self, cases: Sequence[Case]) -> None:
        """Look for the peers, compile, and make a certificate."""
        packages = {report.PEERS[case.peer].package for case in cases} - {""}
        for package in sorted(packages):
            self._look_for(package)
        if any(case.peer == "c" for case in cases):
            self._compile()
        if not self.has_copy and any(report.PEERS[case.peer].compiled for case in cases):
            rig.note("without a compiled gamenet: make compiled-copy, which needs a C compiler")
        if any(case.peer in SECURED for case in cases):
            rig.make_certificate(self._folder)

    def _look_for(self, package: str) -> None:
        python = PEERS_FOLDER / "bin" / "python"
        module = {"pyenet": "enet"}.get(package, package)
        told = PEERS_FOLDER / f".{package}-failed"
        look = f"import {module}, importlib.metadata as m; print(m.version({package!r}))"
        try:
            found = subprocess.run(
                [python, "-c", look], capture_output=True, text=True, timeout=60.0, check=False
            )
        except OSError:
            self.missing[package] = f"{PEERS_FOLDER.name} is not there: make bench makes it"
            return
        if found.returncode == 0:
            self.versions[package] = found.stdout.strip()
        elif told.exists() and (why := told.read_text(encoding="utf-8").strip()):
            self.missing[package] = f"cannot be installed: {why.splitlines()[-1]}"
        else:
            self.missing[package] = (found.stderr.strip().splitlines() or ["does not import"])[-1]

    def _compile(self) -> None:
        compiler = shutil.which("cc")
        if compiler is None:
            rig.note("no C compiler: without the limit in C")
            return
        floor = str(self._folder / "floor_server")
        source = str(CONTEST / "floor_server.c")
        made = subprocess.run(
            [compiler, "-O2", "-pthread", "-o", floor, source],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            rig.note(f"the limit in C does not compile here:\n{made.stderr}")
        else:
            self.floor = floor

    def spec(self, case: Case) -> dict[str, Any]:
        """What both sides of a case are told."""
        transport = report.PEERS[case.peer].transport
        return {
            **USUAL,
            "workload": case.workload,
            "n": case.n,
            "seconds": self._seconds,
            "transport": transport,
            "tls": transport == "tls",
            "cert_file": str(self._folder / "gamenet-cert.pem"),
            "key_file": str(self._folder / "gamenet-key.pem"),
            **dict(case.spec),
        }

    def _command(self, peer: Peer, script: str) -> list[str]:
        if script.endswith(".c"):
            return [self.floor]
        own = not peer.package or script == "plain_load.py"
        python = sys.executable if own else str(PEERS_FOLDER / "bin" / "python")
        return [python, str(CONTEST / script)]

    def measure(self, case: Case) -> Sample:
        """One run of one case.

        :raises Failed: if a side does not play.
        """
        peer = report.PEERS[case.peer]
        if peer.package in self.missing:
            raise Failed(self.missing[peer.package])
        spec = self.spec(case)
        tree = COPY if peer.compiled else rig.ROOT
        seconds = spec["seconds"]
        with Contestant(
            self._command(peer, peer.server), rig.first_core(), tree, seconds
        ) as server:
            said = server.ask(spec)
            self._note_limits(case.workload, said.get("limits") or {})
            # The server's own first figures pay for what it has not touched yet.
            server.ask("figures")
            script = peer.ping if case.workload == "W4" and peer.ping else peer.load
            with Contestant(
                self._command(peer, script), rig.other_cores()[:1], rig.ROOT, seconds
            ) as load:
                first = load.ask({**spec, **said})
                if case.workload == "W6":
                    return self._crowd(case, server, load)
                if not first.get("ready"):
                    raise Failed(f"the load is not ready: {first}")
                if case.unit == report.QUEUED:
                    return self._queue(server, load)
                return self._play(case, server, load)

    def _note_limits(self, workload: str, raised: dict[str, Any]) -> None:
        known = self.limits.setdefault(workload, {}) if raised else {}
        for name, value in raised.items():
            known[name] = max(value, known.get(name, value))

    def _queue(self, server: Contestant, load: Contestant) -> Sample:
        """What messages take that wait for clients who do not acknowledge any."""
        resident = rig.resident_bytes(server.pid)
        before = server.ask("figures")
        server.ask("fill")
        time.sleep(self._warm)
        grown = rig.resident_bytes(server.pid) - resident
        queued = server.ask("figures")["queued"] - before["queued"]
        load.ask("stop")
        if not queued:
            raise Failed("nothing is queued")
        return Sample({report.QUEUED: grown / queued})

    def _play(self, case: Case, server: Contestant, load: Contestant) -> Sample:
        seconds = dict(case.spec).get("seconds", self._seconds)
        time.sleep(self._warm)
        before = server.ask("figures")
        time.sleep(seconds)
        after = server.ask("figures")
        done = load.ask("stop")
        late = done.get("load_late_p99_ms") or 0.0
        if late > LOAD_LATE_MS:
            rig.note(f"    the load itself was late, by up to {late:.1f} ms")
        time.sleep(SETTLE_SECONDS)
        end = server.ask("figures")
        if case.workload in ("W3", "W5", "W7", "W8") and after["players"] != case.n:
            raise Failed(f"{after['players']} of {case.n} clients play")
        microseconds = (after["cpu"] - before["cpu"]) * 1e6
        counter, each = {
            "W3": ("ticks", case.n), "W7": ("ticks", case.n), "W8": ("ticks", case.n),
            "W5": ("deliveries", 1),
        }.get(case.workload, ("messages", 1))  # fmt: skip
        count = (after[counter] - before[counter]) * each
        if not count:
            raise Failed(f"no {counter} in {seconds:g} s")
        if case.workload == "W4":
            figures = {report.MEDIAN_TRIP: done["p50_us"], report.SLOW_TRIP: done["p99_us"]}
        elif case.workload == "W8":
            figures = {
                report.CLIENT_TICK: microseconds / count,
                report.REACTOR_PAUSE: after["reactor_pause_ms"],
                report.TICK_PAUSE: after["latest_tick_ms"],
                report.COLLECTOR: 1e8 * (after["gc"] - before["gc"]) / microseconds,
            }
        else:
            figures = {case.unit: microseconds / count}
        return Sample(figures, _loss(case, done, end), after.get("tick_late_p99_ms"))

    def _crowd(self, case: Case, server: Contestant, load: Contestant) -> Sample:
        resident = rig.resident_bytes(server.pid)
        joined = load.ask("go")
        time.sleep(self._warm)
        grown = rig.resident_bytes(server.pid) - resident
        before = server.ask("figures")
        begun = time.monotonic()
        time.sleep(self._seconds)
        after = server.ask("figures")
        seconds = time.monotonic() - begun
        share = (after["cpu"] - before["cpu"]) / seconds * case.n / after["players"]
        load.ask("stop")
        return Sample(
            {
                report.JOINS: joined["joins_per_second"],
                report.MEMORY: grown / case.n / 1_024,
                report.IDLE: share * 100,
            }
        )


def _loss(case: Case, done: dict[str, Any], end: dict[str, Any]) -> float | None:
    """The share that did not arrive of what one side sent; of inputs or states, what is more."""
    if case.workload in ("W3", "W7", "W8"):
        states = done["lost"] / max(1, done["received"] + done["lost"])
        inputs = 1 - end["inputs"] / max(1, done["sent"])
        return max(0.0, states, inputs)
    if case.workload in ("W1", "W4"):
        return done["lost"] / max(1, done["sent"])
    return None


def selected(workloads: Sequence[str], peers: Sequence[str], counts: Sequence[int]) -> list[Case]:
    """The cases asked for; nothing asked for is all.

    :raises SystemExit: for names that there are not.
    """
    for names, known in ((workloads, report.WORKLOADS), (peers, tuple(report.PEERS))):
        if unknown := [name for name in names if name not in known]:
            raise SystemExit(f"bench: no {', '.join(unknown)}; there are {', '.join(known)}")
    return [
        case
        for case in report.CASES
        if (not workloads or case.workload in workloads)
        and (not peers or case.peer in peers)
        and (not counts or case.n in counts)
    ]


def run(bench: Bench, cases: Sequence[Case], runs: int) -> list[dict[str, Any]]:
    """All rounds of all cases, workload by workload; the rows."""
    samples: dict[Case, list[Sample]] = {}
    errors: dict[Case, str] = {}
    workloads = dict.fromkeys(case.workload for case in cases)
    for workload in workloads:
        turn = [case for case in cases if case.workload == workload]
        for number in range(runs):
            # There and back, so that nobody always comes after the same neighbour.
            for case in turn if number % 2 == 0 else reversed(turn):
                if case.peer == "c" and not bench.floor:
                    continue
                if report.PEERS[case.peer].compiled and not bench.has_copy:
                    continue
                if case.workload == "W8" and number:
                    continue  # it takes ten minutes
                if report.PEERS[case.peer].package in bench.missing and case in errors:
                    continue
                head = f"run {number + 1}/{runs}  {workload} {case.peer} n={case.n}"
                try:
                    sample = bench.measure(case)
                except (Failed, OSError, LookupError, ValueError) as error:
                    # Whatever a contestant says or leaves out, the others are measured.
                    why = str(error) if isinstance(error, Failed) else repr(error)
                    errors[case] = why
                    rig.note(f"{head}: {why}")
                    continue
                samples.setdefault(case, []).append(sample)
                rig.note(f"{head}: {_told(sample)}")
    measured = [case for case in cases if case in samples or case in errors]
    return report.build_rows(measured, samples, errors)


def _told(sample: Sample) -> str:
    parts = [f"{value:,.2f} {unit}" for unit, value in sample.figures.items()]
    if sample.loss is not None:
        parts.append(f"{sample.loss:.2%} lost")
    if sample.late_ms is not None:
        parts.append(f"late {sample.late_ms:.2f} ms")
    return ", ".join(parts)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default="", help="such as 'W1 W3'; all")
    parser.add_argument("--peers", default="", help="such as 'gamenet pyenet'; all")
    parser.add_argument("--clients", default="", help="numbers of them, such as '400'; all")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="measured in each run")
    parser.add_argument("--warm", type=float, default=1.0, help="before it")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "latest.json")
    options = parser.parse_args()
    counts = [int(count) for count in options.clients.split()]
    cases = selected(options.workloads.split(), options.peers.split(), counts)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.warm, options.seconds)
        try:
            bench.prepare(cases)
            head = rig.machine()
            rows = run(bench, cases, options.runs)
        except KeyboardInterrupt:
            rig.note("stopped")
            return 130
    head |= {
        "peers": bench.versions, "limits": bench.limits, "runs": options.runs,
        "seconds": options.seconds, "warm": options.warm, "c_compiler": bool(shutil.which("cc")),
        "took_seconds": round(time.monotonic() - begun),
    }  # fmt: skip
    print(json.dumps(head))
    print(report.table(rows))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"head": head, "rows": rows}, indent=1)
    options.out.write_text(text + "\n", encoding="utf-8")
    rig.note(f"written to {options.out}")
    return report.exit_status(rows)


if __name__ == "__main__":
    sys.exit(main())

"""``gamenet demo``: a real server and real players, each in a process, and what they measured.

Layer 4. Runs on: the main thread of a process that has no network of its own.

The server is the daemon, ``twistd gamenet``, with its status page and a certificate that is thrown
away afterwards; the players are ``gamenet bots``, who have it pinned. This process starts both,
asks the server how it does while they play, and joins what the two sides counted, each for itself,
into one report.

The bots have the bad network and the script of what happens to it. When they say that the server
is to be killed, this process kills it and starts another one in its place at once.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.addresses import parse_address
from gamenet.certificates import CERT_FILE, KEY_FILE, make_certificate, write_certificate
from gamenet.chaos import Chaos
from gamenet.demo.bots import (
    DRAIN_SECONDS,
    JOIN_SECONDS,
    LEAVE_SECONDS,
    TROUBLE_SECONDS,
    check_chaos,
)
from gamenet.demo.child import Child, taken
from gamenet.demo.report import LiveLine, Problems, Report, added, blank, causes, rounded
from gamenet.demo.status import Sample, ask, ask_anew
from gamenet.demo.trace import Trace
from gamenet.errors import GamenetError

if TYPE_CHECKING:
    from gamenet.demo.bots import Interrupted

READY_SECONDS: Final = 15.0
"""How long the server may take to listen."""
TICKS_SECONDS: Final = 2.0
"""How long its game may then take to begin."""
SPARE_SECONDS: Final = 6.0
"""What starting Python and a busy machine may add to the phases of the bots."""
SAMPLE_SECONDS: Final = 0.5
"""From one look at the server's status page to the next."""
LOOKS_A_LINE: Final = 2
"""Looks for each live line, which makes it one a second."""
SETTLE_SECONDS: Final = 0.2
"""A few ticks: until the game has taken what came last."""
STOP_SECONDS: Final = 5.0
"""How long the server may take to stop."""
INTERRUPTED_SECONDS: Final = 1.2
"""How long the children have to end after Ctrl-C."""
LAST_LINES: Final = 20
"""Lines of the bots that are kept, should they end without a report."""
_POLL_SECONDS: Final = 0.02

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_READY: Final = re.compile(r"ready: address=(\S+) status=(\S+)")
_KILL: Final = re.compile(r"chaos: kill@")
_ERROR_IN_LOG: Final = re.compile(r"#(?:error|critical)\]|^Traceback \(most recent call last\)")


class DemoFailed(GamenetError):
    """The demo could not be played; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to play."""

    seconds: float
    bots: int
    simulation: tuple[str, ...] = ()
    """Flags of ``gamenet bots`` that ask for a bad network."""
    chaos: str = ""
    """A script, as it was typed."""
    script: tuple[Chaos, ...] = ()
    """The same, read."""
    trace: str = ""
    """File for what each bot saw."""
    delta: bool = True
    """Whether the server sends states as their difference to earlier ones."""

    @property
    def slack(self) -> float:
        """How much longer than usual everything may take."""
        return TROUBLE_SECONDS if self.simulation or self.script else 0.0


class Demo:
    """One run: a server, its bots, and what both report."""

    def __init__(self, plan: Plan, interrupted: Interrupted, live: LiveLine) -> None:
        self.plan = plan
        self.seconds = plan.seconds
        self.bots = plan.bots
        self.problems = Problems()
        self._folder = Path()
        self._server: Child
        self._status = ""
        """Where the server says how it does; "" while it starts again."""
        self._kills = 0
        self._ready_by = 0.0
        self._bots_said: deque[str] = deque(maxlen=LAST_LINES)
        self._before: list[Sample] = []
        """Of a server that was killed."""
        self._interrupted = interrupted
        self._live = live
        self._children: list[Child] = []
        self._samples: list[Sample] = []
        self._logged_errors: list[str] = []
        self._looks = 0

    def run(self) -> tuple[Report, bool] | None:
        """Play.

        :returns: the report, and whether all went well; None if it was interrupted.
        :raises DemoFailed: if the server or the bots could not be started.
        """
        try:
            with tempfile.TemporaryDirectory(prefix="gamenet-demo-") as folder:
                return self._run(Path(folder))
        except DemoFailed:
            # Ctrl-C goes to the children too, which then end in the middle of whatever it was.
            if self._interrupted():
                return None
            raise
        finally:
            self._live.end()
            self._end_children(INTERRUPTED_SECONDS)

    def _run(self, folder: Path) -> tuple[Report, bool] | None:
        self._folder = folder
        write_certificate(folder, make_certificate(["localhost", "127.0.0.1"], days=1))
        self._server = self._start_server("tcp:0:interface=127.0.0.1")
        ready = self._wait_until_ready(self._server)
        if ready is None:
            return None
        address, self._status = ready
        bots = self._start(
            "-m", "gamenet", "bots", address, "--json", "--quiet",
            "--count", str(self.bots), "--seconds", f"{self.seconds:g}",
            *self._clock(), *self._trouble(),
        )  # fmt: skip
        if not self._watch(bots, parse_address(address).port):
            return None
        report, well = self._bots_report(bots)
        self._settle()
        last = ask_anew(self._status)
        if last is None:
            self.problems.add("the server did not say how it ended")
        ended = self._stop(self._server)
        if self._interrupted():
            return None
        self._merge(report, last)
        return report, well and ended and not self.problems.count

    def _clock(self) -> list[str]:
        """The flags of the bots that tell them where the server's game clock began."""
        end = time.monotonic() + TICKS_SECONDS
        while time.monotonic() < end and not self._interrupted():
            status = ask(self._status)
            zero = None if status is None else Sample.of(status).clock_zero
            if zero is not None:
                return ["--clock-zero", repr(zero)]
            time.sleep(_POLL_SECONDS)
        return []

    def _trouble(self) -> list[str]:
        """The flags of the bots that are about the network."""
        plan = self.plan
        flags = list(plan.simulation)
        if plan.chaos:
            flags += ["--chaos", plan.chaos, "--kill-elsewhere"]
        if plan.trace:
            flags += ["--trace", os.path.abspath(plan.trace)]
        return flags

    def _start_server(self, listen: str) -> Child:
        return self._start(
            "-c", _TWISTD, "-n", "--pidfile=", "gamenet",
            "--cert", str(self._folder / CERT_FILE), "--key", str(self._folder / KEY_FILE),
            "--game", "gamenet.demo.game:main",
            "--listen", listen,
            "--max-players", str(max(256, self.bots)),
            "--status", "tcp:0:interface=127.0.0.1",
            *self._settings(),
        )  # fmt: skip

    def _settings(self) -> list[str]:
        """The flags for what only a file can set."""
        if self.plan.delta:
            return []
        path = self._folder / "settings.toml"
        path.write_text("baseline_bytes = 0\n", encoding="utf-8")
        return ["--config", str(path)]

    def _start(self, *arguments: str) -> Child:
        try:
            child = Child(arguments)
        except OSError as error:
            raise DemoFailed(f"cannot start {arguments[0]}: {error}") from None
        self._children.append(child)
        return child

    def _wait_until_ready(self, server: Child) -> tuple[str, str] | None:
        end = time.monotonic() + READY_SECONDS
        said: list[str] = []
        while time.monotonic() < end:
            over = server.wait(0) is not None
            lines = self._server_lines(server)
            said += lines
            ready = _ready_in(lines)
            if ready is not None:
                return ready
            if over:
                last = next((line for line in reversed(said) if line.strip()), "it said nothing")
                raise DemoFailed(f"the server did not start: {last}")
            if self._interrupted():
                return None
            time.sleep(_POLL_SECONDS)
        raise DemoFailed(f"the server was not ready within {READY_SECONDS:g} s")

    def _server_lines(self, server: Child) -> list[str]:
        """What the server logged since the last look; what is an error is kept."""
        lines = taken(server.out) + taken(server.err)
        self._logged_errors += [line for line in lines if _ERROR_IN_LOG.search(line)]
        return lines

    def _watch(self, bots: Child, port: int) -> bool:
        """Look on until either child has ended; False if the person at the terminal ends it.

        :param port: where a server that is killed has to be again.
        """
        end = time.monotonic() + self.seconds + SPARE_SECONDS
        end += JOIN_SECONDS + DRAIN_SECONDS + LEAVE_SECONDS + 2 * self.plan.slack
        sample_at = time.monotonic()
        while bots.status is None:
            now = time.monotonic()
            if self._interrupted():
                return False
            if now >= end:
                self.problems.add("the bots did not end in time")
                return True
            for line in taken(bots.err):
                self._bots_said.append(line)
                if line.startswith("chaos: "):
                    self._live.show(line)
                if _KILL.search(line):
                    self._kill(port)
            if self._server.status is not None:
                return True
            if now >= sample_at:
                sample_at = now + (SAMPLE_SECONDS if self._status else _POLL_SECONDS)
                lines = self._server_lines(self._server)
                if self._status:
                    self._look(ask(self._status))
                else:
                    self._look_whether_ready(lines, now)
            time.sleep(_POLL_SECONDS)
        return True

    def _kill(self, port: int) -> None:
        """Give the server no time for anything, and start another one in its place."""
        self._server_lines(self._server)
        self._server.kill()
        self._kills += 1
        self._before = max(self._before, self._samples, key=len)
        self._samples = []
        self._status = ""
        self._ready_by = time.monotonic() + READY_SECONDS
        self._server = self._start_server(f"tcp:{port}:interface=127.0.0.1")
        self._live.show("the server was killed, and starts again")

    def _look_whether_ready(self, lines: list[str], now: float) -> None:
        ready = _ready_in(lines)
        if ready is not None:
            self._status = ready[1]
        elif now >= self._ready_by:
            raise DemoFailed("the server that was killed did not start again")

    def _look(self, status: dict[str, Any] | None) -> None:
        if status is None:
            self._live.show("the server's status page does not answer")
            return
        sample = Sample.of(status)
        # Play is when everybody is in and inputs come: neither joining nor leaving.
        earlier = self._samples[-1].inputs if self._samples else 0
        everybody, playing = sample.players == self.bots, sample.inputs > earlier
        first = not self._samples
        if everybody and playing:
            self._samples.append(sample)
        self._looks += 1
        # Once they leave, the last line of play stays.
        if self._looks % LOOKS_A_LINE == 0 and (first or everybody or playing):
            self._live.show(
                f"{sample.players} of {self.bots} in, {sample.on_udp} over UDP, "
                f"{sample.ticks_per_second:.1f} ticks/s, "
                f"99 % at most {sample.late_p99_ms:.2f} ms late, {sample.inputs} inputs"
            )

    def _bots_report(self, bots: Child) -> tuple[Report, bool]:
        status = bots.wait(STOP_SECONDS if bots.status is not None else 0)
        lines = taken(bots.out)
        try:
            report: Report = {**blank(), **json.loads(lines[-1])}
        except (IndexError, ValueError):
            report = {**blank(), "bots": self.bots, "errors": 0, "error_lines": []}
            words = [line for line in [*self._bots_said, *taken(bots.err)] if line.strip()]
            self.problems.add(f"the bots have no report: {words[-1] if words else 'no output'}")
        if status and not report["errors"]:
            self.problems.add(f"the bots ended with exit status {status}")
        return report, status == 0

    def _settle(self) -> None:
        end = time.monotonic() + SETTLE_SECONDS
        while time.monotonic() < end and not self._interrupted():
            time.sleep(_POLL_SECONDS)

    def _stop(self, server: Child) -> bool:
        by_itself = server.status is not None
        server.ask_to_end()
        end = time.monotonic() + STOP_SECONDS
        while (status := server.wait(_POLL_SECONDS)) is None:
            if self._interrupted():
                return False
            if time.monotonic() >= end:
                self.problems.add(f"the server did not stop within {STOP_SECONDS:g} s")
                return False
        self._server_lines(server)
        # The signal itself is a good end, by whichever of its two names.
        if status in (0, -15, 143) and not by_itself:
            return True
        self.problems.add(
            f"the server ended{' by itself' if by_itself else ''} with exit status {status}"
        )
        return False

    def _merge(self, report: Report, last: dict[str, Any] | None) -> None:
        """Add the server's side to what the bots reported."""
        samples = max(self._before, self._samples, key=len)
        if len(samples) > 1:
            first, end = samples[0], samples[-1]
            ticks = end.tick - first.tick
            report["players"] = end.players
            report["ticks_per_second"] = rounded(end.ticks_per_second, 2)
            report["tick_late_p99_ms"] = rounded(end.late_p99_ms, 3)
            if ticks > 0:
                cpu = end.cpu_seconds - first.cpu_seconds
                report["cpu_us_per_client_tick"] = rounded(cpu / ticks / end.players * 1e6, 2)
        logged = len(self._logged_errors)
        if last is not None:
            if not self._kills:
                report["inputs_applied"] = int(last["inputs"]["taken"])
                report["inputs_missing"] = int(last["inputs"]["missing"])
                report["inputs_late"] = int(last["inputs"]["late"])
                report["inputs_early"] = int(last["inputs"]["early"])
                counts = last["counters"]
                states = counts["states_sent"] or 1
                report["state_bytes_full_mean"] = rounded(counts["state_bytes_full"] / states, 1)
                report["state_bytes_sent_mean"] = rounded(counts["state_bytes_sent"] / states, 1)
            report["drops"] = added(report["drops"] or {}, causes(last["drops"]))
            logged = max(logged, last["errors"])
        if logged:
            lines = self._logged_errors or ["the server counted errors that are not in its log"]
            self.problems.add(f"the server logged: {lines[0]}", logged)
            for line in lines[1:]:
                self.problems.add(f"the server logged: {line}", 0)
        for line in report["error_lines"]:
            self.problems.add(line, 0)
        report["errors"] += self.problems.count
        report["error_lines"] = list(self.problems.lines)

    def _end_children(self, seconds: float) -> None:
        """Leave no child behind, whatever happened."""
        end = time.monotonic() + seconds
        for child in self._children:
            child.ask_to_end()
        for child in self._children:
            child.wait(end - time.monotonic())
            child.kill()


def _ready_in(lines: list[str]) -> tuple[str, str] | None:
    """The server's address, and that of its status page, once it has said them."""
    found = next(filter(None, map(_READY.search, lines)), None)
    return None if found is None else (found[1], found[2])


def run_demo(plan: Plan, interrupted: Interrupted, err: TextIO) -> tuple[Report, bool] | None:
    """Play the demo: a server and its bots, each a process of its own.

    :param err: where the live line goes.
    :returns: as :meth:`Demo.run`.
    :raises DemoFailed: if the server or the bots could not be started.
    :raises ConfigError: for a script that is longer than the play, or a trace that cannot be
        written.
    """
    check_chaos(plan.script, plan.seconds)
    Trace(plan.trace).close()  # whose file the bots would find out about only after the server ran
    return Demo(plan, interrupted, LiveLine(err)).run()

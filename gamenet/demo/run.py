"""``gamenet demo``: a real server and real players, each in a process, and what they measured.

Layer 4. Runs on: the main thread of a process that has no network of its own.

The server is the daemon, ``twistd gamenet``, with its status page and a certificate that is thrown
away afterwards; the players are ``gamenet bots``, who have it pinned. This process starts both,
asks the server how it does while they play, and joins what the two sides counted, each for itself,
into one report.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.certificates import CERT_FILE, KEY_FILE, make_certificate, write_certificate
from gamenet.demo.bots import DRAIN_SECONDS, JOIN_SECONDS, LEAVE_SECONDS
from gamenet.demo.child import Child, taken
from gamenet.demo.report import LiveLine, Problems, Report, added, blank, causes, rounded
from gamenet.demo.status import Sample, ask
from gamenet.errors import GamenetError

if TYPE_CHECKING:
    from gamenet.demo.bots import Interrupted

READY_SECONDS: Final = 15.0
"""How long the server may take to listen."""
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
_POLL_SECONDS: Final = 0.02

_TWISTD: Final = "from twisted.scripts.twistd import run; run()"
_READY: Final = re.compile(r"ready: address=(\S+) status=(\S+)")
_ERROR_IN_LOG: Final = re.compile(r"#(?:error|critical)\]|^Traceback \(most recent call last\)")


class DemoFailed(GamenetError):
    """The demo could not be played; the text says why."""


class Demo:
    """One run: a server, its bots, and what both report."""

    def __init__(self, seconds: float, bots: int, interrupted: Interrupted, live: LiveLine) -> None:
        self.seconds = seconds
        self.bots = bots
        self.problems = Problems()
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
        write_certificate(folder, make_certificate(["localhost", "127.0.0.1"], days=1))
        server = self._start(
            "-c", _TWISTD, "-n", "--pidfile=", "gamenet",
            "--cert", str(folder / CERT_FILE), "--key", str(folder / KEY_FILE),
            "--game", "gamenet.demo.game:main",
            "--listen", "tcp:0:interface=127.0.0.1",
            "--max-players", str(max(256, self.bots)),
            "--status", "tcp:0:interface=127.0.0.1",
        )  # fmt: skip
        ready = self._wait_until_ready(server)
        if ready is None:
            return None
        address, status = ready
        bots = self._start(
            "-m", "gamenet", "bots", address, "--json", "--quiet",
            "--count", str(self.bots), "--seconds", f"{self.seconds:g}",
        )  # fmt: skip
        if not self._watch(server, bots, status):
            return None
        report, well = self._bots_report(bots)
        self._settle()
        last = ask(status)
        if last is None:
            self.problems.add("the server did not say how it ended")
        ended = self._stop(server)
        if self._interrupted():
            return None
        self._merge(report, last)
        return report, well and ended and not self.problems.count

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
            for line in self._server_lines(server):
                said.append(line)
                if found := _READY.search(line):
                    return found[1], found[2]
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

    def _watch(self, server: Child, bots: Child, status: str) -> bool:
        """Look on until either child has ended; False if the person at the terminal ends it."""
        end = time.monotonic() + self.seconds + SPARE_SECONDS
        end += JOIN_SECONDS + DRAIN_SECONDS + LEAVE_SECONDS
        sample_at = time.monotonic()
        while bots.status is None:
            now = time.monotonic()
            if self._interrupted():
                return False
            if now >= end:
                self.problems.add("the bots did not end in time")
                return True
            if server.status is not None:
                return True
            if now >= sample_at:
                sample_at = now + SAMPLE_SECONDS
                self._look(ask(status))
                self._server_lines(server)
            time.sleep(_POLL_SECONDS)
        return True

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
            words = [line for line in taken(bots.err) if line.strip()]
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
        if len(self._samples) > 1:
            first, end = self._samples[0], self._samples[-1]
            ticks = end.tick - first.tick
            report["players"] = end.players
            report["ticks_per_second"] = rounded(end.ticks_per_second, 2)
            report["tick_late_p99_ms"] = rounded(end.late_p99_ms, 3)
            if ticks > 0:
                cpu = end.cpu_seconds - first.cpu_seconds
                report["cpu_us_per_client_tick"] = rounded(cpu / ticks / end.players * 1e6, 2)
        logged = len(self._logged_errors)
        if last is not None:
            report["inputs_applied"] = int(last["inputs"]["taken"])
            report["inputs_missing"] = int(last["inputs"]["missing"])
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


def run_demo(
    seconds: float, bots: int, interrupted: Interrupted, err: TextIO
) -> tuple[Report, bool] | None:
    """Play the demo: a server and its bots, each a process of its own.

    :param seconds: how long the bots play.
    :param bots: how many.
    :param err: where the live line goes.
    :returns: as :meth:`Demo.run`.
    :raises DemoFailed: if the server or the bots could not be started.
    """
    return Demo(seconds, bots, interrupted, LiveLine(err)).run()

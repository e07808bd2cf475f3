"""Players without people: what ``gamenet bots`` runs, and ``gamenet demo`` against its own server.

Layer 4. Runs on: the main thread, which is the game thread of every bot at once.

One loop drives all clients the way an engine that owns its loop does: each round it takes the
ticks that are due from each client and sleeps until the next round. A run has four phases: all
join; all play; inputs and chat on their way arrive; all leave.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TextIO

from twisted.logger import globalLogPublisher

from gamenet.demo.bot import CHAT_SECONDS, SILENT, Bot, Load
from gamenet.demo.game import TICK_RATE
from gamenet.demo.report import (
    LiveLine,
    Problems,
    Report,
    added,
    blank,
    causes,
    percentile,
    rounded,
)

JOIN_SECONDS: Final = 10.0
"""How long the others wait for the last one to join and to open its UDP path."""
JOINS_A_ROUND: Final = 20
"""Bots that knock in one round: a rush of 600 a second, but not all in one instant."""
QUIET_SECONDS: Final = 1.0
"""The end of play in which nobody begins to speak, so that all is heard before it ends."""
DRAIN_SECONDS: Final = 4.0
"""How long what is on its way may take to arrive."""
LEAVE_SECONDS: Final = 3.0
"""How long leaving may take, for all together."""
INTERRUPTED_SECONDS: Final = 0.7
"""The same after Ctrl-C."""
_LEAVERS: Final = 16

Interrupted = Callable[[], bool]
"""Asked again and again; True once the person at the terminal wants to end."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Counters of all bots together, at one moment."""

    time: float
    inputs_sent: int
    inputs_in_flight: int
    states_received: int
    bytes_in: int
    bytes_out: int


class Crowd:
    """All bots of a run."""

    def __init__(self, load: Load, problems: Problems, live: LiveLine) -> None:
        run = secrets.token_hex(3)
        self.load = load
        self.bots = [Bot(load, index, run, problems) for index in range(1, load.count + 1)]
        self._problems = problems
        self._live = live
        self._round_at = time.monotonic()
        self._live_at = 0.0
        self._rtts: list[float] = []

    def run(self, interrupted: Interrupted) -> tuple[Report, bool] | None:
        """Join, play, drain and leave.

        :returns: the report, and whether every bot joined and played to the end; None if it was
            interrupted.
        """
        report = None
        try:
            report = self._run(interrupted)
        finally:
            self._leave(INTERRUPTED_SECONDS if report is None else LEAVE_SECONDS)
            self._live.end()
        if report is None:
            return None
        report["errors"] = self._problems.count
        report["error_lines"] = list(self._problems.lines)
        return report, report.pop("played") == self.load.count and not self._problems.count

    def _run(self, interrupted: Interrupted) -> Report | None:
        bots = self.bots
        waiting = deque(bots)
        end = time.monotonic() + JOIN_SECONDS
        while time.monotonic() < end and not all(bot.over or bot.on_udp for bot in bots):
            for _ in range(min(JOINS_A_ROUND, len(waiting))):
                waiting.popleft().start()
            if self._round("joining", False, interrupted):
                return None
        for bot in bots:
            if not (bot.joined or bot.over):
                bot.over = True
                self._problems.add(f"{bot.name} did not join within {JOIN_SECONDS:g} s")

        seconds = self.load.seconds if any(bot.joined for bot in bots) else 0.0
        first = self._sums()
        end = first.time + seconds
        speak = max(seconds - QUIET_SECONDS, seconds / 2)
        for index, bot in enumerate(bots):
            bot.speaks_at = first.time + min(CHAT_SECONDS, speak) * index / len(bots)
        while time.monotonic() < end and any(bot.joined and not bot.over for bot in bots):
            if time.monotonic() >= first.time + speak:
                self._hush()
            if self._round("playing", True, interrupted):
                return None
        self._hush()
        last = self._sums()
        report = self._played(first, last)

        end = last.time + DRAIN_SECONDS
        while time.monotonic() < end and not self._drained():
            if self._round("ending", False, interrupted):
                return None
        self._finish(report)
        return report

    def _round(self, phase: str, playing: bool, interrupted: Interrupted) -> bool:
        """One round and the sleep after it; True if it is time to end."""
        now = time.monotonic()
        for bot in self.bots:
            bot.round(playing, now)
        if now >= self._live_at:
            self._live_at = now + 1.0
            self._look(phase, playing)
        self._round_at = max(self._round_at + 1.0 / TICK_RATE, now)
        time.sleep(max(0.0, self._round_at - time.monotonic()))
        return interrupted()

    def _look(self, phase: str, playing: bool) -> None:
        rtts = [bot.client.quality().rtt_seconds for bot in self.bots if bot.on_udp]
        if playing:
            self._rtts += [rtt for rtt in rtts if rtt > 0]
        heard = sum(len(bot.heard) for bot in self.bots)
        self._live.show(
            f"{phase}: {sum(bot.joined and not bot.over for bot in self.bots)} of "
            f"{len(self.bots)} in, {len(rtts)} over UDP, "
            f"round trip {(percentile(rtts, 0.5) or 0.0) * 1e3:.1f} ms, {heard} lines heard, "
            f"{self._problems.count} errors"
        )

    def _hush(self) -> None:
        for bot in self.bots:
            bot.speaks_at = SILENT

    def _drained(self) -> bool:
        """True when nothing is on its way any more from or to a bot that is still there."""
        said = sum(bot.lines_sent for bot in self.bots)
        return all(
            len(bot.heard) >= said and not bot.client.stats().get("inputs_in_flight")
            for bot in self.bots
            if bot.joined and not bot.over
        )

    def _sums(self) -> Sums:
        stats = [bot.client.stats() for bot in self.bots]

        def total(name: str) -> int:
            return int(sum(counters.get(name, 0) for counters in stats))

        return Sums(
            time.monotonic(),
            total("inputs_sent"),
            total("inputs_in_flight"),
            total("states_received"),
            total("bytes_in") + total("tcp_bytes_in"),
            total("bytes_out") + total("tcp_bytes_out"),
        )

    def _played(self, first: Sums, last: Sums) -> Report:
        """What is to be said of the time of play."""
        joined = [bot for bot in self.bots if bot.joined]
        seconds = last.time - first.time
        report = blank()
        report["seconds"] = round(seconds, 2)
        report["bots"] = len(self.bots)
        report["joined"] = len(joined)
        report["udp_bound"] = sum(bot.on_udp for bot in joined)
        report["secure"] = bool(joined) and all(bot.client.secure for bot in joined)
        if not joined:
            return report
        inputs = last.inputs_sent - first.inputs_sent
        states = last.states_received - first.states_received
        report["inputs_per_second"] = rounded(inputs / seconds, 1)
        report["states_per_second"] = rounded(states / seconds, 1)
        for key, share in (("rtt_p50_ms", 0.5), ("rtt_p99_ms", 0.99)):
            rtt = percentile(self._rtts, share)
            report[key] = rounded(None if rtt is None else rtt * 1e3, 3)
        qualities = [bot.client.quality() for bot in joined]
        losses = [(quality.loss_in + quality.loss_out) / 2 for quality in qualities]
        report["loss"] = rounded(sum(losses) / len(losses), 5)
        up, down = last.bytes_out - first.bytes_out, last.bytes_in - first.bytes_in
        report["bytes_up_per_client_second"] = rounded(up / seconds / len(joined), 1)
        report["bytes_down_per_client_second"] = rounded(down / seconds / len(joined), 1)
        return report

    def _finish(self, report: Report) -> None:
        """Add what only the end of the run can tell."""
        sums = self._sums()
        sent = sum(bot.lines_sent for bot in self.bots)
        report["chat_sent"] = sent
        report["chat_expected"] = sent * report["joined"]
        report["chat_received"] = sum(len(bot.heard) for bot in self.bots)
        report["inputs_sent"] = sums.inputs_sent
        report["inputs_in_flight"] = sums.inputs_in_flight
        report["states_received"] = sums.states_received
        stats = [bot.client.stats() for bot in self.bots]
        report["drops"] = added(*(causes(counters) for counters in stats))
        report["played"] = sum(
            bot.joined
            and not bot.over
            and counters.get("inputs_sent", 0) > counters.get("inputs_in_flight", 0)
            for bot, counters in zip(self.bots, stats, strict=True)
        )

    def _leave(self, timeout: float) -> None:
        """Stop all clients, several at a time, because each waits for its last bytes to go."""
        end = time.monotonic() + timeout
        left = deque(self.bots)

        def leave_some() -> None:
            while left:
                try:
                    bot = left.popleft()
                    bot.client.stop(max(0.1, end - time.monotonic()))
                except IndexError:
                    return
                except Exception as error:
                    self._problems.add(f"a bot could not leave: {type(error).__name__}: {error}")

        leavers = [threading.Thread(target=leave_some, daemon=True) for _ in range(_LEAVERS)]
        for leaver in leavers:
            leaver.start()
        for leaver in leavers:
            leaver.join(max(0.0, end - time.monotonic()))


def run_bots(
    load: Load, interrupted: Interrupted, err: TextIO, *, quiet: bool = False
) -> tuple[Report, bool] | None:
    """Run a crowd of bots against a server.

    :param err: where the live line goes, unless *quiet*.
    :returns: as :meth:`Crowd.run`.
    :raises ConfigError: for an address that is none.
    """
    problems = Problems()
    hook = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        problems.add(f"a thread failed: {args.exc_type.__name__}: {args.exc_value}")
        hook(args)

    globalLogPublisher.addObserver(problems)
    threading.excepthook = note
    try:
        return Crowd(load, problems, LiveLine(err, quiet)).run(interrupted)
    finally:
        threading.excepthook = hook
        globalLogPublisher.removeObserver(problems)

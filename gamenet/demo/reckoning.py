"""What a run of bots comes to: sums over all of them, and the report.

Layer 4. Runs on: the game thread, which all bots of a process share.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gamenet.cli_doctor import advised
from gamenet.core.text import clean
from gamenet.demo.report import added, blank, causes, percentile, rounded
from gamenet.doctor.fixes import remedy
from gamenet.errors import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.demo.bot import Bot, Load
    from gamenet.demo.report import Problems, Report
    from gamenet.demo.trace import Trace

LEDGER: Final = (
    "sent",
    "received",
    "unacknowledged",
    "unanswered",
    "lost",
    "duplicated",
    "reordered",
)
"""Counts of numbered messages."""

NO_SECRETS: Final = (
    "fix: bots have no passwords and no tickets, so have the server let everybody in: --auth "
    "anonymous"
)


@dataclass(frozen=True, slots=True)
class Sums:
    """Counters of all bots together, at one moment."""

    time: float
    inputs_sent: int
    inputs_in_flight: int
    states_received: int
    bytes_in: int
    bytes_out: int
    tunnel_seconds: float


class Reckoning:
    """Adds up what the bots of a run have seen."""

    def __init__(self, load: Load, bots: Sequence[Bot], problems: Problems, trace: Trace) -> None:
        self._load = load
        self._bots = bots
        self._problems = problems
        self._trace = trace

    @property
    def chat_is_exact(self) -> bool:
        """Whether it is known who must hear a line: another game need not relay any, and what was
        said to a server that was then killed, nobody knows who heard."""
        return self.at_the_demo and not any(bot.sessions_lost for bot in self._bots)

    @property
    def at_the_demo(self) -> bool:
        """Whether the server runs the demo's game."""
        return any(bot.at_the_demo for bot in self._bots)

    def sums(self) -> Sums:
        """What all bots have counted by now."""
        stats = [bot.client.stats() for bot in self._bots]

        def total(name: str) -> int:
            return int(sum(counters.get(name, 0) for counters in stats))

        return Sums(
            time.monotonic(),
            sum(bot.inputs_sent for bot in self._bots),
            total("inputs_in_flight"),
            total("states_received"),
            total("bytes_in") + total("tcp_bytes_in"),
            total("bytes_out") + total("tcp_bytes_out"),
            sum(bot.tunnel_seconds for bot in self._bots),
        )

    def played(self, first: Sums, last: Sums, rtts: Sequence[float]) -> Report:
        """What is to be said of the time of play.

        :param rtts: round trips of all bots, in seconds.
        """
        joined = [bot for bot in self._bots if bot.was_in]
        seconds = last.time - first.time
        report = blank()
        report["seconds"] = round(seconds, 2)
        report["bots"] = len(self._bots)
        report["joined"] = len(joined)
        report["udp_bound"] = sum(bot.was_on_udp for bot in joined)
        report["secure"] = bool(joined) and all(bot.client.secure for bot in joined)
        if not joined:
            return report
        inputs = last.inputs_sent - first.inputs_sent
        states = last.states_received - first.states_received
        report["inputs_per_second"] = rounded(inputs / seconds, 1)
        report["states_per_second"] = rounded(states / seconds, 1)
        for key, share in (("rtt_p50_ms", 0.5), ("rtt_p99_ms", 0.99)):
            rtt = percentile(rtts, share)
            report[key] = rounded(None if rtt is None else rtt * 1e3, 3)
        report["clock_error_p99_ms"] = self.clock_error_ms()
        qualities = [bot.quality() for bot in joined]
        losses = [(quality.loss_in + quality.loss_out) / 2 for quality in qualities]
        report["loss"] = rounded(sum(losses) / len(losses), 5)
        up, down = last.bytes_out - first.bytes_out, last.bytes_in - first.bytes_in
        report["bytes_up_per_client_second"] = rounded(up / seconds / len(joined), 1)
        report["bytes_down_per_client_second"] = rounded(down / seconds / len(joined), 1)
        report["tunnel_seconds"] = rounded(last.tunnel_seconds - first.tunnel_seconds, 3)
        return report

    def why_nobody_joined(self) -> str:
        """In a line, with what to do."""
        if all(bot.failed for bot in self._bots):
            return "nobody joined: every bot failed by itself, as told below"
        load = self._load
        doctor = advised(load.address, insecure=load.insecure, ca_file=load.ca_file)
        end = next((bot.end for bot in self._bots if bot.end is not None), None)
        if end is None:
            return f"nobody joined: the server did not answer in time; {doctor}"
        text = clean(end.text).rstrip(".")
        if end.refusal is RefusalReason.CREDENTIALS:
            return f"nobody joined: {text}; {NO_SECRETS}"
        return f"nobody joined: {text}; {remedy(end.reason, end.refusal, doctor)}"

    def clock_error_ms(self) -> float | None:
        """By how much 99 of 100 ideas of the server's clock were off at most."""
        # A server that is killed takes its clock along, and the next one has another.
        if any(bot.kills for bot in self._bots):
            return None
        worst = percentile([error for bot in self._bots for error in bot.clock_errors], 0.99)
        return rounded(None if worst is None else worst * 1e3, 3)

    def finish(self, report: Report) -> None:
        """Add what only the end of the run can tell."""
        sums = self.sums()
        sent = sum(bot.lines_sent for bot in self._bots)
        heard = sum(bot.heard for bot in self._bots)
        expected = sent * report["joined"]
        report["chat_sent"] = sent
        report["chat_received"] = heard
        if self.chat_is_exact:
            report["chat_expected"] = expected
            if heard < expected and not any(bot.over for bot in self._bots):
                self._problems.add(f"{expected - heard} lines of chat never arrived")
        report["inputs_sent"] = sums.inputs_sent
        report["inputs_in_flight"] = sums.inputs_in_flight
        report["states_received"] = sums.states_received
        for bot in self._bots:
            if bot.was_in and not bot.joined and not bot.over:
                bot.over = True
                self._problems.add(f"{bot.name} did not get back in")
        self._count_sessions(report)
        stats = [bot.client.stats() for bot in self._bots]
        report["drops"] = added(*(causes(counters) for counters in stats))
        report["played"] = sum(
            bot.played(counters) for bot, counters in zip(self._bots, stats, strict=True)
        )

    def _count_sessions(self, report: Report) -> None:
        """What became of sessions, and of every numbered message."""
        for name in ("suspended", "resumed", "sessions_lost", "moves"):
            report[name] = sum(getattr(bot, name) for bot in self._bots)
        for bot in self._bots:
            books = bot.ledger
            books.close()
            self._trace.note(
                bot.name,
                "end",
                **{name: getattr(books, name) for name in LEDGER},
                suspended=bot.suspended,
                resumed=bot.resumed,
                sessions_lost=bot.sessions_lost,
                moves=bot.moves,
                tunnel_seconds=round(bot.tunnel_seconds, 3),
            )
        if self.at_the_demo:
            for name in LEDGER:
                report[f"reliable_{name}"] = sum(getattr(bot.ledger, name) for bot in self._bots)

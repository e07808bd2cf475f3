"""Players without people: what ``gamenet bots`` runs, and ``gamenet demo`` against its own server.

Layer 4. Runs on: the main thread, which is the game thread of every bot at once.

One loop drives all clients the way an engine that owns its loop does: each round it takes the
ticks that are due from each client and sleeps until the next round. A run has four phases: all
join; all play; inputs, chat and answers on their way arrive; all leave.

Where a bad network is asked for, a proxy in this process stands between all bots and the server.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TextIO

from twisted.logger import globalLogPublisher

from gamenet.cli_doctor import advised
from gamenet.cli_network import banner
from gamenet.core.text import clean
from gamenet.demo.bot import NUMBERED_SECONDS, SILENT, Bot, Load
from gamenet.demo.game import TICK_RATE
from gamenet.demo.guest import Guest
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
from gamenet.demo.trace import Trace
from gamenet.doctor.fixes import remedy
from gamenet.errors import ConfigError, ConnectionFailed, RefusalReason
from gamenet.gate import raise_open_files
from gamenet.proxy import Mischief, Proxy

if TYPE_CHECKING:
    from gamenet.chaos import Chaos

JOIN_SECONDS: Final = 10.0
"""How long the others wait for the last one to join and to open its UDP path."""
QUIET_SECONDS: Final = 1.0
"""The end of play in which nobody begins to speak, so that all is heard before it ends."""
DRAIN_SECONDS: Final = 4.0
"""How long what is on its way may take to arrive."""
TROUBLE_SECONDS: Final = 20.0
"""What joining and draining may take longer where the network is made bad on purpose."""
LEAVE_SECONDS: Final = 3.0
"""How long leaving may take, for all together."""
MOST_RTTS: Final = 50_000
"""Of the newest round trips; enough for two minutes of 400 bots."""
FILES_PER_BOT: Final = 6
"""Open files: TCP and UDP of the bot, and what a proxy has for it."""
INTERRUPTED_SECONDS: Final = 0.7
"""The same after Ctrl-C."""
_LEAVERS: Final = 16
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
    tunnel_seconds: float


class Crowd:
    """All bots of a run.

    :param proxy: what stands between them and the server, if anything does.
    :param say: prints a line for a person, or for the process that started this one.
    """

    def __init__(
        self,
        load: Load,
        problems: Problems,
        live: LiveLine,
        proxy: Proxy | None = None,
        trace: Trace | None = None,
        say: Callable[[str], object] = lambda line: None,
    ) -> None:
        run = secrets.token_hex(3)
        self.load = load
        via = "" if proxy is None else f"127.0.0.1:{proxy.port}"
        self._trace = trace or Trace()
        make = Bot if load.own is None else Guest
        self.bots = [
            make(load, index, run, problems, via=via, trace=self._trace)
            for index in range(1, load.count + 1)
        ]
        self._problems = problems
        self._live = live
        self._say = say
        self._mischief = Mischief(proxy, load.chaos, self._happened)
        self._slack = TROUBLE_SECONDS if load.in_trouble else 0.0
        self._round_at = time.monotonic()
        self._round_seconds = 1.0 / (TICK_RATE if load.own is None else load.own.tick_rate)
        self._live_at = 0.0
        self._playing_since = 0.0
        self._rtts: deque[float] = deque(maxlen=MOST_RTTS)

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
        if not report["joined"]:
            report["error_lines"].insert(0, self._why_nobody_joined())
        return report, report.pop("played") == self.load.count and not self._problems.count

    def _run(self, interrupted: Interrupted) -> Report | None:
        bots = self.bots
        waiting = deque(bots)
        limit = JOIN_SECONDS + self._slack + len(bots) / self.load.ramp
        begun = time.monotonic()
        end = begun + limit
        while time.monotonic() < end and not all(bot.over or bot.was_on_udp for bot in bots):
            due = 1 + int((time.monotonic() - begun) * self.load.ramp)
            for _ in range(due - (len(bots) - len(waiting))):
                if waiting:
                    waiting.popleft().start()
            if self._round("joining", False, interrupted):
                return None
        for bot in bots:
            if not (bot.joined or bot.over):
                bot.over = True
                self._problems.add(f"{bot.name} did not join within {limit:g} s")

        seconds = self.load.seconds if any(bot.joined for bot in bots) else 0.0
        first = self._sums()
        self._trace.begin(first.time)
        self._playing_since = first.time
        end = first.time + seconds
        speak = max(seconds - QUIET_SECONDS, seconds / 2)
        for index, bot in enumerate(bots):
            bot.speaks_at = first.time + min(self.load.chat_seconds, speak) * index / len(bots)
            bot.sends_at = first.time + NUMBERED_SECONDS * index / len(bots)
        while time.monotonic() < end and any(bot.was_in and not bot.over for bot in bots):
            self._mischief.go_on(time.monotonic() - first.time)
            if time.monotonic() >= first.time + speak:
                self._hush()
            if self._round("playing", True, interrupted):
                return None
        self._hush()
        last = self._sums()
        report = self._played(first, last)

        end = last.time + DRAIN_SECONDS + self._slack
        while time.monotonic() < end and not self._drained():
            if self._round("ending", False, interrupted):
                return None
        self._finish(report)
        return report

    def _happened(self, event: Chaos, seconds: float) -> None:
        """Something of the script happens now."""
        self._trace.note(None, event.what, asked=event.at)
        self._live.end()
        self._say(f"chaos: {event}")
        if event.what == "kill":
            for bot in self.bots:
                bot.kills += 1

    def _round(self, phase: str, playing: bool, interrupted: Interrupted) -> bool:
        """One round and the sleep after it; True if it is time to end."""
        now = time.monotonic()
        for bot in self.bots:
            bot.round(playing, now)
        if now >= self._live_at:
            self._live_at = now + 1.0
            self._look(phase, playing)
        self._round_at = max(self._round_at + self._round_seconds, now)
        time.sleep(max(0.0, self._round_at - time.monotonic()))
        return interrupted()

    def _look(self, phase: str, playing: bool) -> None:
        rtts = [bot.quality().rtt_seconds for bot in self.bots if bot.on_udp]
        if playing:
            self._rtts += [rtt for rtt in rtts if rtt > 0]
        heard = sum(bot.heard for bot in self.bots)
        self._live.show(
            f"{phase}: {sum(bot.joined and not bot.over for bot in self.bots)} of "
            f"{len(self.bots)} in, {len(rtts)} over UDP, "
            f"round trip {(percentile(rtts, 0.5) or 0.0) * 1e3:.1f} ms, {heard} lines heard, "
            f"{self._problems.count} errors",
            self._share_done(phase),
        )

    def _share_done(self, phase: str) -> float:
        """How much of the run is over, 0 to 1: of joining by bots, then of playing by time."""
        if phase == "joining":
            return sum(bot.over or bot.was_on_udp for bot in self.bots) / len(self.bots)
        if phase == "playing":
            return min(1.0, (time.monotonic() - self._playing_since) / self.load.seconds)
        return 1.0

    def _hush(self) -> None:
        for bot in self.bots:
            bot.speaks_at = bot.sends_at = SILENT

    def _drained(self) -> bool:
        """True when nothing is on its way any more from or to a bot that is still there."""
        said = sum(bot.lines_sent for bot in self.bots) if self._chat_is_exact else 0
        return all(
            bot.joined
            and bot.heard >= said
            and not bot.ledger.pending
            and not bot.client.stats().get("inputs_in_flight")
            for bot in self.bots
            if bot.was_in and not bot.over
        )

    @property
    def _chat_is_exact(self) -> bool:
        """Whether it is known who must hear a line: another game need not relay any, and what was
        said to a server that was then killed, nobody knows who heard."""
        return self._at_the_demo and not any(bot.sessions_lost for bot in self.bots)

    @property
    def _at_the_demo(self) -> bool:
        return any(bot.at_the_demo for bot in self.bots)

    def _sums(self) -> Sums:
        stats = [bot.client.stats() for bot in self.bots]

        def total(name: str) -> int:
            return int(sum(counters.get(name, 0) for counters in stats))

        return Sums(
            time.monotonic(),
            sum(bot.inputs_sent for bot in self.bots),
            total("inputs_in_flight"),
            total("states_received"),
            total("bytes_in") + total("tcp_bytes_in"),
            total("bytes_out") + total("tcp_bytes_out"),
            sum(bot.tunnel_seconds for bot in self.bots),
        )

    def _played(self, first: Sums, last: Sums) -> Report:
        """What is to be said of the time of play."""
        joined = [bot for bot in self.bots if bot.was_in]
        seconds = last.time - first.time
        report = blank()
        report["seconds"] = round(seconds, 2)
        report["bots"] = len(self.bots)
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
            rtt = percentile(self._rtts, share)
            report[key] = rounded(None if rtt is None else rtt * 1e3, 3)
        report["clock_error_p99_ms"] = self._clock_error_ms()
        qualities = [bot.quality() for bot in joined]
        losses = [(quality.loss_in + quality.loss_out) / 2 for quality in qualities]
        report["loss"] = rounded(sum(losses) / len(losses), 5)
        up, down = last.bytes_out - first.bytes_out, last.bytes_in - first.bytes_in
        report["bytes_up_per_client_second"] = rounded(up / seconds / len(joined), 1)
        report["bytes_down_per_client_second"] = rounded(down / seconds / len(joined), 1)
        report["tunnel_seconds"] = rounded(last.tunnel_seconds - first.tunnel_seconds, 3)
        return report

    def _why_nobody_joined(self) -> str:
        """In a line, with what to do."""
        if all(bot.failed for bot in self.bots):
            return "nobody joined: every bot failed by itself, as told below"
        load = self.load
        doctor = advised(load.address, insecure=load.insecure, ca_file=load.ca_file)
        end = next((bot.end for bot in self.bots if bot.end is not None), None)
        if end is None:
            return f"nobody joined: the server did not answer in time; {doctor}"
        text = clean(end.text).rstrip(".")
        if end.refusal is RefusalReason.CREDENTIALS:
            return f"nobody joined: {text}; {NO_SECRETS}"
        return f"nobody joined: {text}; {remedy(end.reason, end.refusal, doctor)}"

    def _clock_error_ms(self) -> float | None:
        """By how much 99 of 100 ideas of the server's clock were off at most."""
        # A server that is killed takes its clock along, and the next one has another.
        if any(bot.kills for bot in self.bots):
            return None
        worst = percentile([error for bot in self.bots for error in bot.clock_errors], 0.99)
        return rounded(None if worst is None else worst * 1e3, 3)

    def _finish(self, report: Report) -> None:
        """Add what only the end of the run can tell."""
        sums = self._sums()
        sent = sum(bot.lines_sent for bot in self.bots)
        heard = sum(bot.heard for bot in self.bots)
        expected = sent * report["joined"]
        report["chat_sent"] = sent
        report["chat_received"] = heard
        if self._chat_is_exact:
            report["chat_expected"] = expected
            if heard < expected and not any(bot.over for bot in self.bots):
                self._problems.add(f"{expected - heard} lines of chat never arrived")
        report["inputs_sent"] = sums.inputs_sent
        report["inputs_in_flight"] = sums.inputs_in_flight
        report["states_received"] = sums.states_received
        for bot in self.bots:
            if bot.was_in and not bot.joined and not bot.over:
                bot.over = True
                self._problems.add(f"{bot.name} did not get back in")
        self._count_sessions(report)
        stats = [bot.client.stats() for bot in self.bots]
        report["drops"] = added(*(causes(counters) for counters in stats))
        report["played"] = sum(
            bot.played(counters) for bot, counters in zip(self.bots, stats, strict=True)
        )

    def _count_sessions(self, report: Report) -> None:
        """What became of sessions, and of every numbered message."""
        for name in ("suspended", "resumed", "sessions_lost", "moves"):
            report[name] = sum(getattr(bot, name) for bot in self.bots)
        for bot in self.bots:
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
        if self._at_the_demo:
            for name in LEDGER:
                report[f"reliable_{name}"] = sum(getattr(bot.ledger, name) for bot in self.bots)

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


def check_chaos(chaos: tuple[Chaos, ...], seconds: float) -> None:
    """Refuse a script that goes on after the end of play.

    :raises ConfigError: naming what would not happen.
    """
    late = [event for event in chaos if event.at >= seconds]
    if late:
        raise ConfigError("chaos", f"{late[0]} is not within the {seconds:g} s of play")


def run_bots(
    load: Load, interrupted: Interrupted, err: TextIO, *, quiet: bool = False
) -> tuple[Report, bool] | None:
    """Run a crowd of bots against a server.

    :param err: where the live line goes, unless *quiet*, and what happens to the network.
    :returns: as :meth:`Crowd.run`.
    :raises ConfigError: for an address that is none, a script that is too long, or a file that
        cannot be written.
    """
    check_chaos(load.chaos, load.seconds)
    raise_open_files(64 + FILES_PER_BOT * load.count)
    problems = Problems()
    hook = threading.excepthook

    def note(args: threading.ExceptHookArgs) -> None:
        problems.add(f"a thread failed: {args.exc_type.__name__}: {args.exc_value}")
        hook(args)

    def say(line: str) -> None:
        print(line, file=err, flush=True)

    trace = Trace(load.trace)
    proxy = None
    globalLogPublisher.addObserver(problems)
    threading.excepthook = note
    try:
        if load.in_trouble:
            proxy = Proxy(load.address, profile=load.profile or "perfect", seed=load.sim_seed)
            try:
                proxy.start()
            except ConnectionFailed as error:
                doctor = advised(load.address, insecure=load.insecure, ca_file=load.ca_file)
                raise ConnectionFailed(f"{error}; {doctor}") from None
        if load.profile is not None:
            say(banner(load.profile, load.sim_seed))
        crowd = Crowd(load, problems, LiveLine(err, quiet), proxy, trace, say)
        return crowd.run(interrupted)
    finally:
        if proxy is not None:
            proxy.stop()
        trace.close()
        threading.excepthook = hook
        globalLogPublisher.removeObserver(problems)

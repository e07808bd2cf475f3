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
from typing import TYPE_CHECKING, Final, TextIO

from twisted.logger import globalLogPublisher

from gamenet.cli_doctor import advised
from gamenet.cli_network import banner
from gamenet.demo.bot import NUMBERED_SECONDS, SILENT, Bot, Load
from gamenet.demo.game import TICK_RATE
from gamenet.demo.guest import Guest
from gamenet.demo.reckoning import Reckoning
from gamenet.demo.report import LiveLine, Problems, Report, percentile
from gamenet.demo.trace import Trace
from gamenet.errors import ConfigError, ConnectionFailed
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
Interrupted = Callable[[], bool]
"""Asked again and again; True once the person at the terminal wants to end."""


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
        self._reckoning = Reckoning(load, self.bots, problems, self._trace)
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
            report["error_lines"].insert(0, self._reckoning.why_nobody_joined())
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
        first = self._reckoning.sums()
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
        last = self._reckoning.sums()
        report = self._reckoning.played(first, last, self._rtts)

        end = last.time + DRAIN_SECONDS + self._slack
        while time.monotonic() < end and not self._drained():
            if self._round("ending", False, interrupted):
                return None
        self._reckoning.finish(report)
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
        said = sum(bot.lines_sent for bot in self.bots) if self._reckoning.chat_is_exact else 0
        return all(
            bot.joined
            and bot.heard >= said
            and not bot.ledger.pending
            and not bot.client.stats().get("inputs_in_flight")
            for bot in self.bots
            if bot.was_in and not bot.over
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

"""The checks in their order, each within a time of its own.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

from gamenet.doctor import path_findings, reach, reach_findings
from gamenet.doctor.check import NAMES, TITLES, TO_GET_IN, Check
from gamenet.doctor.ending import ended_check, gone_check, is_told
from gamenet.doctor.facts import Attempt, Datagrams
from gamenet.doctor.patience import Patience, Stuck
from gamenet.doctor.probe import ALL_SIZES, LONGEST, probe
from gamenet.doctor.trust import Look
from gamenet.doctor.visit import RETURN_SECONDS, Visit
from gamenet.errors import DisconnectReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.addresses import Target
    from gamenet.config import ClientConfig
    from gamenet.doctor.facts import Answer, Measured, Shown

NAME_SECONDS: Final = 5.0
TLS_SECONDS: Final = 4.0
JOIN_SECONDS: Final = 5.0
BIND_SECONDS: Final = 3.0
"""Until datagrams must pass: the session has tried five times by then."""
FALLBACK_SECONDS: Final = 2.0
FALLBACK_TRIPS: Final = 20
LEAVE_SECONDS: Final = 3.0
SETTLE_SECONDS: Final = 0.5
"""Until the server has had an input; it takes a tick and a round trip."""


class Progress(Protocol):
    """Who shows how it goes."""

    def begins(self, name: str) -> None:
        """A check begins."""

    def done(self, check: Check) -> None:
        """A check is done."""


class Examination:
    """One go through all checks.

    :param who: user, password and ticket, as ``GameClientFactory`` takes them.
    :param seconds: how long the path is measured.
    :raises ConfigError: if the server could not be joined with these.
    """

    def __init__(
        self,
        target: Target,
        config: ClientConfig,
        who: dict[str, Any],
        seconds: float,
        patience: Patience,
    ) -> None:
        self._target = target
        self._config = config
        self._who = who
        self._seconds = seconds
        self._patience = patience
        self._places: tuple[tuple[int, Any], ...] = ()
        self._answering: tuple[int, Any] | None = None
        """The place that answered by TCP."""
        self._visit = self._new_visit()
        self._visits: list[Visit] = []
        """Those that have begun and are not over."""
        self._look: Look | None = None
        if not config.insecure:
            self._look = Look(target, config, patience.reactor)
        self._measured: Measured | None = None
        self._steps: dict[str, Callable[[], Check]] = {
            "name": self._name,
            "tcp": self._tcp,
            "tls": self._tls,
            "join": self._join,
            "udp": self._udp,
            "mtu": self._mtu,
            "rtt": self._rtt,
            "loss": self._loss,
            "clock": self._clock,
            "fallback": self._fallback,
        }

    def _new_visit(self, *, deaf: bool = False) -> Visit:
        return Visit(self._target, self._config, self._who, self._patience.reactor, deaf=deaf)

    def run(self, progress: Progress) -> list[Check]:
        """Make every check.

        :raises Interrupted: if the person wants to leave.
        """
        checks: list[Check] = []
        stopper = ""
        try:
            for name in NAMES:
                progress.begins(name)
                began = time.monotonic()
                if stopper:
                    check = Check(name, "not tried", f"because {stopper}")
                else:
                    check = self._make(name)
                check.seconds = time.monotonic() - began
                checks.append(check)
                if check.verdict == "failed" and name in TO_GET_IN:
                    stopper = f"{TITLES[name]} failed"
                elif check.figures.get("ended"):
                    stopper = "the session ended"
                progress.done(check)
        finally:
            self._leave()
        return checks

    def _make(self, name: str) -> Check:
        try:
            check = self._steps[name]()
            return check if name in TO_GET_IN else self._gone(name) or check
        except Stuck:
            return Check(
                name,
                "failed",
                "this program's network thread does not answer",
                "this machine is overloaded: end other programs and try again",
            )

    def _leave(self) -> None:
        """Say goodbye, whoever wants to leave at once."""
        calm = Patience(self._patience.reactor, lambda: False)
        if self._look is not None:
            self._patience.reactor.callFromThread(self._look.stop)
        while self._visits:
            self._end(self._visits.pop(), calm)

    def _end(self, visit: Visit, patience: Patience) -> None:
        gone: list[Any] = []
        patience.reactor.callFromThread(lambda: visit.leave().addBoth(gone.append))
        patience.until(lambda: gone, LEAVE_SECONDS)

    def _begin(self, visit: Visit) -> None:
        self._visits.append(visit)
        self._patience.call(visit.start)

    # Getting there.

    def _name(self) -> Check:
        found: list[Any] = []
        target = self._target
        reach.on_thread(found, lambda: reach.resolve(target.host, target.port))
        if not self._patience.until(lambda: found, NAME_SECONDS):
            return reach_findings.name_check(target, None)
        self._places = found[0].places
        return reach_findings.name_check(target, found[0])

    def _tcp(self) -> Check:
        results: dict[tuple[int, Any], list[Any]] = {place: [] for place in self._places}
        for place, into in results.items():
            reach.on_thread(into, partial(reach.connect, *place))
        self._patience.until(lambda: all(results.values()), reach.CONNECT_SECONDS + 1.0)
        attempts = []
        for place, into in results.items():
            attempts += into
            if into and into[0].outcome == "connected" and self._answering is None:
                self._answering = place
        return reach_findings.tcp_check(self._target, attempts)

    def _sniff(self) -> Answer | None:
        if self._answering is None:
            return None
        heard: list[Any] = []
        family, address = self._answering
        reach.on_thread(heard, lambda: reach.sniff(family, address))
        self._patience.until(lambda: heard, reach.SNIFF_SECONDS + 1.0)
        return heard[0] if heard else None

    def _tls(self) -> Check:
        look = self._look
        if look is None:
            return reach_findings.no_tls()
        self._patience.call(look.start)
        self._patience.until(lambda: look.shown, TLS_SECONDS)
        shown: Shown | None = look.shown
        answer = None
        if shown is None:
            self._patience.call(look.stop)
            answer = self._sniff()
            look.ended("it took too long")
        elif reach_findings.is_no_tls(shown.problem):
            answer = self._sniff()
        return reach_findings.tls_check(self._target, shown, answer)

    def _join(self) -> Check:
        visit = self._visit
        began = time.monotonic()
        self._begin(visit)
        self._patience.until(lambda: visit.joined or visit.over, JOIN_SECONDS)
        if visit.joined is not None:
            return reach_findings.joined_check(
                visit.joined.player.name, visit.joined.secure, visit.joined_at - began
            )
        over = visit.over
        if over is None:
            text = f"the server does not answer within {JOIN_SECONDS:g} s"
            return reach_findings.not_joined_check(self._target, text, self._sniff())
        if over.refusal is not None:
            return reach_findings.refused_check(over.refusal, over.text, visit.retry_after_seconds)
        return reach_findings.not_joined_check(self._target, over.text, self._sniff())

    # The path.

    def _udp(self) -> Check:
        visit = self._visit
        bound = self._patience.until(lambda: visit.is_bound or visit.is_gone, BIND_SECONDS)
        port = self._patience.call(lambda: visit.udp_address[1])
        if bound and visit.is_bound:
            return path_findings.udp_check(port, visit.bound_at - visit.joined_at, Datagrams())
        probed = Datagrams()
        if self._patience.until(lambda: visit.may_probe or visit.over, SETTLE_SECONDS):
            probed = probe(visit, self._patience, ALL_SIZES)
        return path_findings.udp_check(port, None, probed)

    def _gone(self, name: str) -> Check | None:
        """What to say if the server has gone or has put us out; None if the session goes on."""
        visit = self._visit
        # A connection that was just lost may come back.
        self._patience.until(lambda: visit.is_gone or not visit.lost_at, RETURN_SECONDS + 1.0)
        over = visit.over
        if not visit.is_gone or (over is not None and over.reason is DisconnectReason.REFUSED):
            return None
        if over is not None and is_told(over):
            return ended_check(name, over)
        assert self._answering is not None
        attempts: list[Attempt] = []
        reach.on_thread(attempts, partial(reach.connect, *self._answering))
        self._patience.until(lambda: attempts, reach.CONNECT_SECONDS + 1.0)
        host, port = self._answering[1][:2]
        now = attempts[0] if attempts else Attempt(host, port, "timed out")
        return gone_check(name, over, now)

    def _mtu(self) -> Check:
        visit = self._visit
        if not visit.is_bound:
            return Check("mtu", "not tried", "because UDP does not pass")
        if not self._patience.until(lambda: visit.may_probe or visit.over, SETTLE_SECONDS):
            return Check("mtu", "not tried", "because the server's game takes no inputs")
        probed = probe(visit, self._patience, LONGEST)
        if not probed.arrived and visit.over is None:
            shorter = probe(visit, self._patience, ALL_SIZES[:-1])
            shorter.kernel_mtu = min(
                filter(None, (probed.kernel_mtu, shorter.kernel_mtu)), default=0
            )
            probed = shorter
        return path_findings.mtu_check(probed)

    def _rtt(self) -> Check:
        visit = self._visit
        self._patience.call(visit.begin)
        self._patience.until(lambda: visit.is_gone, self._seconds)
        self._measured = self._patience.call(visit.end)
        assert self._measured is not None
        return path_findings.rtt_check(self._measured)

    def _loss(self) -> Check:
        assert self._measured is not None
        return path_findings.loss_check(self._measured)

    def _clock(self) -> Check:
        assert self._measured is not None
        return path_findings.clock_check(self._measured)

    def _fallback(self) -> Check:
        measured = self._measured
        assert measured is not None
        if measured.path == "tcp":
            return path_findings.fallback_check(measured, is_forced=False)
        if self._who.get("ticket") is not None:
            return Check(
                "fallback", "not tried", "it takes a second join, and a ticket is good for one"
            )
        self._visits.remove(self._visit)
        self._end(self._visit, self._patience)
        visit = self._visit = self._new_visit(deaf=True)
        self._begin(visit)
        self._patience.until(lambda: visit.joined or visit.over, JOIN_SECONDS)
        if visit.joined is None:
            text = "it did not answer" if visit.over is None else visit.over.text
            return path_findings.no_second_join_check(text)
        self._patience.call(visit.begin)
        enough = self._patience.until
        enough(lambda: len(visit.trips) >= FALLBACK_TRIPS or visit.over, FALLBACK_SECONDS)
        return path_findings.fallback_check(self._patience.call(visit.end), is_forced=True)

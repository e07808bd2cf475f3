"""What ``/api/status`` says of the server.

Layer 4. Runs on: the reactor thread.

Times are in seconds unless a name ends in ``_ms``, sizes in bytes, losses shares from 0 to 1. A
number that is not known yet is null. ``clock_zero`` is where the game clock began, in monotonic
seconds of the machine; null until it has.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from gamenet._version import __version__
from gamenet.bridge import Bridge
from gamenet.buckets import Buckets
from gamenet.core.frame_sums import by_kind
from gamenet.core.traffic import by_type
from gamenet.metrics.players import (
    POINTS,
    STEP_SECONDS,
    Crowd,
    RoundTrips,
    describe,
    finite,
)
from gamenet.samples import LOSS_STEPS, MAX_SAMPLES, TIMES_A_SECOND
from gamenet.showing import as_json

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from gamenet.core.server_session import ServerSession
    from gamenet.server_host import ServerHost

PLAYERS_A_TURN: Final = 32
"""So many are looked at in one turn of the reactor: about half a millisecond."""
_NO_PASSES: Final = Buckets(())
_TICKS: Final = ("rate", "number", "per_second", "late_p50_ms", "late_p99_ms", "skipped")


class StatusSource(Protocol):
    """What the site asks a service.

    One that can be drained also says so by the attributes ``draining`` and ``drain_seconds_left``.
    """

    running: bool | int

    @property
    def host(self) -> ServerHost:
        """The conductor."""

    @property
    def errors(self) -> int:
        """How many errors were logged since the start."""

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing; empty without a game."""


def is_draining(service: StatusSource) -> bool:
    """Whether the server waits for its players to leave."""
    return bool(getattr(service, "draining", False))


def why_not_ready(service: StatusSource) -> str:
    """Why newcomers should not be sent here; "" where they may be."""
    host = service.host
    if not service.running:
        return "stopping"
    if is_draining(service):
        return "draining"
    if host.closed_because is not None:
        return "closed to newcomers"
    if isinstance(host.sink, Bridge) and not host.sink.passes:
        return "starting: the game has not come for its first events"
    return ""


def _drain_seconds_left(service: StatusSource) -> float | None:
    left: float | None = getattr(service, "drain_seconds_left", None)
    return left if is_draining(service) else None


def status(service: StatusSource, started: float) -> dict[str, Any]:
    """What ``/api/status`` says, in one go.

    :param started: when the service started, in monotonic seconds.
    """
    host, crowd = service.host, Crowd()
    players = describe(host, host.registry.sessions, crowd, RoundTrips(), 0)
    return {**Report(service, started).head(crowd), "players": players}


class Snapshot:
    """How the server did at one moment; made once for all who ask about then.

    :param made: when it was begun, in monotonic seconds.
    """

    def __init__(self, number: int, made: float) -> None:
        self.number = number
        self.made = made
        self.crowd = Crowd()
        self.head: dict[str, Any] = {}
        """All but the players."""
        self.body = b""
        """The whole as JSON."""


class Report:
    """Makes snapshots.

    :param started: when the service started, in monotonic seconds.
    :param actions: what may be asked of the server by its page.
    """

    def __init__(
        self, service: StatusSource, started: float, actions: Collection[str] = ()
    ) -> None:
        self._service = service
        self._started = started
        self._actions = list(actions)
        self._trips = RoundTrips()
        self._rows_made = started
        self.count = 0
        """Snapshots so far."""
        self.took: float | None = None
        """Seconds that it took to make the newest one."""

    def make(self, *, history: bool = True) -> Iterator[Snapshot | None]:
        """Make one, a share at each step; the last step yields it.

        :param history: whether it has what was in the last 30 s of each player.
        """
        host, trips = self._service.host, self._trips
        now = host.now()
        self.count += 1
        snapshot = Snapshot(self.count, now)
        # Which of the rows of a tenth of a second are new.
        before, self._rows_made = self._rows_made, now
        new_rows = min(MAX_SAMPLES, int(now * 10) - int(before * 10))
        sessions = list(host.registry.sessions)
        parts = []
        for first in range(0, len(sessions), PLAYERS_A_TURN):
            if first:
                yield None
            share: list[ServerSession] = sessions[first : first + PLAYERS_A_TURN]
            looked = describe(host, share, snapshot.crowd, trips, new_rows, history=history)
            found = as_json(looked)[1:-1]
            if found:
                parts.append(found)
        trips.settle()
        snapshot.head = self.head(snapshot.crowd)
        snapshot.body = b'%b,"players":[%b]}\n' % (as_json(snapshot.head)[:-1], b",".join(parts))
        yield snapshot

    def head(self, crowd: Crowd) -> dict[str, Any]:
        """All but the players themselves."""
        service = self._service
        host = service.host
        stats = service.game_stats()
        bridge = host.sink if isinstance(host.sink, Bridge) else None
        passes = bridge.pass_seconds if bridge is not None else _NO_PASSES
        view = bridge.showing.encoded if bridge is not None else None

        def stat(name: str) -> float | None:
            return finite(stats.get(name, 0))

        return {
            "game": host.config.game_name,
            "version": __version__,
            "secure": not host.config.insecure,
            "insecure": int(host.config.insecure),
            "uptime_seconds": host.now() - self._started,
            "cpu_seconds": time.process_time(),
            "ready": not why_not_ready(service),
            "draining": is_draining(service),
            "drain_seconds_left": _drain_seconds_left(service),
            "max_players": host.registry.max_players,
            "paths": crowd.paths,
            "labels": crowd.labels,
            "ticks": {
                **{name: stat(name) for name in _TICKS},
                "took_p50_ms": _milliseconds(passes.quantile(0.5)),
                "took_p99_ms": _milliseconds(passes.quantile(0.99)),
            },
            "suspended": host.suspended,
            "stalled": host.is_stalled,
            "reactor": {"beat_late_max_ms": 1_000 * host.beat_late_max},
            "clock_zero": host.turn.game_clock_zero,
            "inputs": {
                "taken": stat("inputs_taken"),
                "missing": stat("inputs_missing"),
                "late": host.counters.inputs_late,
                "early": host.counters.inputs_early,
            },
            "types": {
                "in": _types(host.turn.sums.came),
                "out": _types(host.turn.sums.sent),
            },
            "frames": {
                "in": _frames(host.turn.frames.came),
                "out": _frames(host.turn.frames.sent),
            },
            "drops": host.counters.drops(),
            "refusals": {reason.name: count for reason, count in host.refusals.items()},
            "queues": {"events": host.sink.waiting_events, "commands": _waiting(bridge)},
            "counters": host.counters.snapshot(),
            "errors": service.errors,
            "histograms": {
                "rtt_seconds": _histogram(self._trips.buckets),
                "tick_seconds": _histogram(passes),
            },
            "history": {
                "points": POINTS,
                "step_seconds": STEP_SECONDS,
                "time_unit_seconds": 1 / TIMES_A_SECOND,
                "loss_unit": 1 / LOSS_STEPS,
            },
            "snapshot": {"number": self.count, "took_ms": _milliseconds(self.took)},
            "actions": self._actions,
            "view": msgspec.Raw(view or b"null"),
        }


def _waiting(bridge: Bridge | None) -> int:
    """What the game has said and the reactor has not fetched; states count once a player."""
    return bridge.waiting_commands + len(bridge.states) if bridge is not None else 0


def _types(counts: list[int]) -> dict[str, dict[str, int]]:
    return {name: {"messages": messages, "bytes": size} for name, messages, size in by_type(counts)}


def _frames(counts: list[int]) -> dict[str, dict[str, int]]:
    return {name: {"frames": frames, "bytes": size} for name, frames, size in by_kind(counts)}


def _histogram(buckets: Buckets) -> dict[str, Any]:
    return {
        "bounds": buckets.bounds,
        "counts": buckets.counts.copy(),
        "sum": buckets.sum,
    }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else 1_000 * seconds

"""The daemon's flight recorder: what happened in the last minute, when something went wrong.

Layer 4. Runs on: the reactor thread, but for what the log tells, which comes from any.

It listens to what changes a player's state, samples the host's counters once a second, notes
warnings and errors by their kind, and writes all that out when the game has raised, when something
of ours or of the user's has failed, and when somebody asks.
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any, Final

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher
from zope.interface import implementer

from gamenet._version import __version__
from gamenet.errors import ConfigError
from gamenet.record_folder import RecordError, RecordFolder
from gamenet.recorder import KEPT_SECONDS, Recorder, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.internet.interfaces import IDelayedCall
    from twisted.logger import LogEvent
    from twisted.python.failure import Failure

    from gamenet.server_host import ServerHost
    from gamenet.service import GameServerService
    from gamenet.stuck import Held

log = Logger()
SAMPLE_SECONDS: Final = 1.0
"""From one look at the counters to the next."""
FORMAT: Final = 1
"""Of the file; it rises when a line's meaning changes."""
_LEVELS: Final = frozenset({LogLevel.warn, LogLevel.error, LogLevel.critical})
_GAME: Final = "gamenet.game"
"""Who logs that a game has raised; its end is told of by another way as well."""


@implementer(ILogObserver)
class FlightRecorder(Service):
    """Records a server, from the start of the service to its end.

    :param server: which.
    :param folder: where records are written; "" is the working directory.
    """

    def __init__(self, server: GameServerService, folder: str, reactor: Any) -> None:
        self._server = server
        self._folder = RecordFolder(folder)
        self._reactor = reactor
        self._recorder = Recorder(server.host.now)
        self._next: IDelayedCall | None = None
        self._counts: dict[str, int] = {}
        self._refusals: dict[str, int] = {}
        self._sampled_at = 0.0
        self._ticks = self._skipped = 0.0
        self._dumped_at: float | None = None

    def startService(self) -> None:
        """Begin to listen."""
        Service.startService(self)
        try:
            self._folder.check()
        except ConfigError as error:
            # It was in order when the command line was read, maybe as root.
            log.warn("no flight record could be written: {error}", error=str(error))
        host = self._server.host
        host.turn.listener = self._recorder.hear
        self._server.note = self._recorder.note
        self._sampled_at = host.now()
        self._next = self._reactor.callLater(SAMPLE_SECONDS, self._sample)
        globalLogPublisher.addObserver(self)

    def stopService(self) -> None:
        """Listen no more; what was recorded is forgotten with the process."""
        Service.stopService(self)
        globalLogPublisher.removeObserver(self)
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

    # What is noted.

    def _sample(self) -> None:
        """What has changed since the last look, without what has not."""
        self._next = self._reactor.callLater(SAMPLE_SECONDS, self._sample)
        host = self._server.host
        counts = host.counters.snapshot()
        refusals = {reason.name: count for reason, count in host.refusals.items()}
        now = host.now()
        fields: dict[str, Any] = {
            "seconds": round(now - self._sampled_at, 3),
            "players": len(host.seats),
            "suspended": host.suspended,
            "waiting_events": host.sink.waiting_events,
            "beat_late_ms": round(1_000 * host.beat_late_lately, 1),
            **self._of_the_loop(self._sampled_at),
        }
        if changed := _changes(self._counts, counts):
            fields["counters"] = changed
        if changed := _changes(self._refusals, refusals):
            fields["refusals"] = changed
        if host.is_stalled:
            fields["stalled"] = True
        if self._server.draining:
            fields["draining"] = True
        host.beat_late_lately = 0.0
        self._counts, self._refusals, self._sampled_at = counts, refusals, now
        self._recorder.note("second", **fields)

    def _of_the_loop(self, since: float) -> dict[str, float]:
        loop = self._server.facade
        steps = None if loop is None else loop.steps()
        if loop is None or steps is None:
            return {}
        (ticks, skipped), before = steps, (self._ticks, self._skipped)
        self._ticks, self._skipped = ticks, skipped
        return {
            "ticks": ticks - before[0],
            "skipped": skipped - before[1],
            "tick_late_ms": round(1_000 * loop.late_since(since), 1),
        }

    def held_up(self, held: Held) -> None:
        """The game or the reactor is held up. From any thread."""
        self._recorder.note(
            "held_up",
            who=held.who,
            seconds=round(held.seconds, 3),
            stack=held.stack,
            meanwhile=held.meanwhile,
        )

    def __call__(self, event: LogEvent) -> None:
        """Called by Twisted's log for each event, on the thread that logs."""
        level = event.get("log_level")
        if level is None or level not in _LEVELS:
            return
        source = str(event.get("log_namespace"))
        # Without its values: they may be anybody's words.
        text = str(event.get("log_format") or "")[:200]
        self._recorder.note("log", level=level.name, source=source, text=text)
        failure = event.get("log_failure")
        if failure is not None:
            self._recorder.note("failure", error=_name(failure), stack=_stack(failure))
            # Twisted says so of a second signal, while all goes well to its end.
            is_late = failure.check(ReactorNotRunning) is not None
            if source != _GAME and not is_late:
                self._reactor.callFromThread(self._failed)

    def _failed(self) -> None:
        """Something has failed that should not: at most one record a minute tells of it."""
        now = self._server.host.now()
        if self._dumped_at is None or now - self._dumped_at >= KEPT_SECONDS:
            self._dumped_at = now
            self.write_down("failure")

    # What is written.

    def write_down(self, reason: str) -> None:
        """Write a record because something went wrong; that this fails is one line of the log."""
        try:
            path = self.dump(reason)
        except RecordError as error:
            log.error("there is no flight record: {error}", error=str(error))
        else:
            log.warn("flight record ({reason}): {path}", reason=reason, path=path)

    def dump(self, reason: str = "asked") -> str:
        """Write a record.

        :returns: the path of the file.
        :raises RecordError: saying why there is none.
        """
        return self._folder.write(list(self._lines(reason)))

    def _lines(self, reason: str) -> Iterator[bytes]:
        host, now = self._server.host, time.time()
        kept = self._recorder.lines()
        head = {
            "format": FORMAT,
            "reason": reason,
            "version": __version__,
            "game": host.config.game_name,
            "process": os.getpid(),
            "kept_seconds": KEPT_SECONDS,
            "lines": len(kept),
            "forgotten": self._recorder.forgotten,
        }
        yield encoded("record", now, head)
        yield from kept
        for fields in _players(host):
            yield encoded("player", now, fields)


def _changes(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {
        name: count - before.get(name, 0)
        for name, count in after.items()
        if count != before.get(name, 0)
    }


def _players(host: ServerHost) -> Iterator[dict[str, Any]]:
    """Who is there now, and how."""
    for session in list(host.registry.sessions):
        rtt = session.quality.estimator.rtt
        yield {
            "player": session.player.id,
            "name": session.player.name,
            "path": "tcp" if session.tunnelled else "udp",
            "suspended": session.is_suspended,
            "rtt_ms": round(1_000 * rtt, 1) if math.isfinite(rtt) else None,
            "queued_messages": session.outgoing.messages,
        }


def _name(failure: Failure) -> str:
    return str(getattr(failure.type, "__qualname__", failure.type))


def _stack(failure: Failure) -> list[str]:
    """Where it was raised, the innermost first, and not what it says: that may hold anything."""
    frames = failure.frames[-8:]
    return [f"{os.path.basename(frame[1])}:{frame[2]} {frame[0]}" for frame in reversed(frames)]

"""Names the call that holds up the game or the reactor, while it does.

Layer 4. Runs on: a thread of its own, which sleeps; the two that it watches do nothing for it but
note the time, as they do anyway.

A tick that should be over, or a beat of the reactor that should have come, is late by the clock.
Then the stack of the thread that is late is looked at, from outside, and what it is doing is one
line of the log. A call that keeps Python's lock keeps this thread from looking as well: it looks
as soon as the lock is free, and tells of both threads where the reactor only waits.
"""

from __future__ import annotations

import sys
import threading
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from twisted.application.service import Service
from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from gamenet.bridge import Bridge
    from gamenet.server_host import ServerHost
    from gamenet.service import GameServerService

log = Logger()
Who = Literal["game", "reactor"]
MAX_FRAMES: Final = 12
"""Calls of a stack that are told, the innermost first."""
_WORDS: Final = {"game": "the game's tick", "reactor": "the reactor"}
_IDLE: Final = frozenset({"doPoll", "doSelect", "doKEvent", "doWaitForMultipleEvents", "select"})
"""Functions in which a reactor waits for something to do."""
_OUTER: Final = frozenset({("gamenet.game", "_run"), ("twisted.internet.base", "runUntilCurrent")})
"""Where a stack begins to say nothing."""


class Held(NamedTuple):
    """Something is held up."""

    who: Who
    seconds: float
    """For how long, when it was looked at."""
    stack: tuple[str, ...]
    """What the thread was doing: ``file:line function``, the innermost first."""
    meanwhile: tuple[str, ...] = ()
    """What the game was doing, where the reactor only waited for its turn."""


class Threads(NamedTuple):
    """The two that are watched, by their idents."""

    reactor: int
    game: int | None


class StuckWatch:
    """Looks at a server's threads, many times a second.

    :param seconds: how long one may be held up before it is told.
    :param tell: called with what was found, each time that something new is held up.
    """

    def __init__(
        self,
        host: ServerHost,
        bridge: Bridge,
        threads: Threads,
        seconds: float,
        tell: Callable[[Held], object],
    ) -> None:
        self._host = host
        self._bridge = bridge
        self._threads = threads
        self._seconds = seconds
        self._tell = tell
        self._seen: dict[Who, float] = {}
        """What was held up last, by the time at which it should have been over."""
        self._silent_until: dict[Who, float] = {}
        self._untold: dict[Who, int] = {"game": 0, "reactor": 0}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gamenet-stuck-watch", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; the thread is gone then."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause = min(1.0, self._seconds / 2)
        while not self._stopped.wait(pause):
            self.look(self._host.now())

    def look(self, now: float) -> None:
        """One look: tell of what is held up."""
        host, bridge = self._host, self._bridge
        due = host.beat_due
        if host.is_busy and now - due > self._seconds:
            self._held("reactor", due, now)
        # In this order: a pass that begins meanwhile has a later end.
        if bridge.in_pass:
            due = bridge.pass_due
            if now - due > self._seconds:
                self._held("game", due, now)
        elif (since := host.stalled_since) is not None:
            # It keeps no rate, or is somewhere else: late it is all the same.
            self._held("game", since, now)

    def _held(self, who: Who, due: float, now: float) -> None:
        is_new = self._seen.get(who) != due
        may_log = now >= self._silent_until.get(who, now)
        if not is_new and not may_log:
            return
        self._seen[who] = due
        held = self._looked_at(who, now - due)
        if is_new:
            self._untold[who] += 1
            self._tell(held)
        if may_log:
            self._silent_until[who] = now + self._host.config.log_seconds
            count, self._untold[who] = self._untold[who], 0
            _say(held, max(1, count))

    def _looked_at(self, who: Who, seconds: float) -> Held:
        frames = sys._current_frames()
        game = _stack(frames.get(self._threads.game or 0))
        if who == "game":
            return Held(who, seconds, game)
        frame = frames.get(self._threads.reactor)
        waits = frame is not None and frame.f_code.co_name in _IDLE
        return Held(who, seconds, _stack(frame), game if waits else ())


def _say(held: Held, count: int) -> None:
    log.warn(
        "{what} is held up, for {seconds:.2f} s by now, at {stack}{meanwhile} ({count} such)",
        what=_WORDS[held.who],
        seconds=held.seconds,
        stack=" < ".join(held.stack) or "an unknown place",
        meanwhile=f"; it waits for its turn, and the game is at {' < '.join(held.meanwhile)}"
        if held.meanwhile
        else "",
        count=count,
    )


def _stack(frame: FrameType | None) -> tuple[str, ...]:
    """The calls that a thread is in, the innermost first, without those that are always there."""
    found: list[str] = []
    while frame is not None and len(found) < MAX_FRAMES:
        code = frame.f_code
        if (frame.f_globals.get("__name__"), code.co_name) in _OUTER:
            break
        place = "/".join(PurePath(code.co_filename).parts[-2:])
        call = f"{place}:{frame.f_lineno} {code.co_qualname}"
        found.append("".join(each if each.isprintable() else "?" for each in call))
        frame = frame.f_back
    return tuple(found)


class StuckService(Service):
    """Has a daemon's server watched while the reactor runs.

    :param server: which is watched; it must have a game.
    :param seconds: as ``StuckWatch`` has it; 0 for not at all.
    :param tell: the same.
    """

    def __init__(
        self,
        server: GameServerService,
        seconds: float,
        reactor: Any,
        tell: Callable[[Held], object],
    ) -> None:
        self._server = server
        self._seconds = seconds
        self._reactor = reactor
        self._tell = tell
        self._watch: StuckWatch | None = None

    def startService(self) -> None:
        """Begin once the reactor runs: before, it is late by nature."""
        Service.startService(self)
        if self._seconds:
            self._reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        server = self._server
        if not self.running or server.bridge is None or server.thread is None:
            return
        watch = StuckWatch(
            server.host,
            server.bridge,
            Threads(threading.get_ident(), server.thread.ident),
            self._seconds,
            self._tell,
        )
        try:
            watch.start()
        except RuntimeError as error:
            log.warn("nobody looks for what holds the server up: {error}", error=error)
        else:
            self._watch = watch

    def stopService(self) -> None:
        """End the thread."""
        Service.stopService(self)
        watch, self._watch = self._watch, None
        if watch is not None:
            watch.stop()

"""The daemon as a service of systemd: when it is ready, that it goes on, when it stops.

Layer 4. Runs on: the reactor thread.

``READY=1`` is said once the ports are open and the game has come for its first events. A watchdog
is fed only while the game's loop goes on, and from a timer of the reactor, so both have to live.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.application.service import Service
from twisted.logger import Logger

from gamenet.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from gamenet.bridge import Bridge
    from gamenet.server_host import ServerHost

log = Logger()
READY_SECONDS: Final = 0.05
"""From one look at whether the game runs to the next, until it does."""
STATUS_SECONDS: Final = 5.0
"""From one look to the next after that, unless a watchdog wants it more often."""


class Served(Protocol):
    """What is told about."""

    @property
    def host(self) -> ServerHost:
        """The conductor."""

    @property
    def bridge(self) -> Bridge | None:
        """Where the game's loop takes its events."""

    @property
    def draining(self) -> bool:
        """Whether it is being emptied."""

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing."""


class Pulse:
    """Whether a game's loop goes on, look by look."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._passes = 0

    def beats(self, now: float) -> bool:
        """Whether the game has come for events since the last look, or waits for the next."""
        bridge = self._bridge
        before, self._passes = self._passes, bridge.passes
        sleeps = not bridge.in_pass and bridge.next_pass > now
        return self._passes != before or bridge.is_waiting or sleeps


class SystemdService(Service):
    """Tells systemd how the daemon is; without systemd it does nothing.

    :param served: the server; asked when there is something to tell.
    """

    def __init__(self, served: Served, reactor: Any) -> None:
        self._served = served
        self._reactor = reactor
        self._notifier = Notifier(os.environ)
        self._pulse: Pulse | None = None
        self._is_ready = False
        self._is_stopping = False
        self._is_starved = False
        self._watchdog = 0.0
        self._status = ""
        self._next: IDelayedCall | None = None
        self.on_starved: Callable[[], object] | None = None
        """Called once each time that the watchdog is not fed, because the game stands still."""

    def startService(self) -> None:
        """Look for the game to run; it is called once the ports are open."""
        Service.startService(self)
        if self._notifier.is_wanted:
            self._watchdog = self._notifier.watchdog_seconds
            self._look()

    def stopping(self) -> None:
        """The end has begun; the game may take its time, and systemd has a deadline for it."""
        if self._notifier.is_wanted and not self._is_stopping:
            self._is_stopping = True
            self._notifier.tell("STOPPING=1", "STATUS=stopping")

    def stopService(self) -> None:
        """Say no more."""
        Service.stopService(self)
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

    def _look(self) -> None:
        bridge = self._served.bridge
        if bridge is not None and bridge.passes and not self._is_ready:
            self._pulse = Pulse(bridge)
            # What did not leave is said again: systemd would wait for it.
            self._is_ready = self._notifier.tell("READY=1", self._new_status())
        if self._is_ready:
            self._feed()
        self._next = self._reactor.callLater(self._pause(), self._look)

    def _pause(self) -> float:
        if not self._is_ready:
            return READY_SECONDS
        return min(STATUS_SECONDS, self._watchdog / 2) if self._watchdog else STATUS_SECONDS

    def _feed(self) -> None:
        """Tell what has changed, and that all goes on, if it does."""
        lines = []
        if self._watchdog and self._goes_on():
            lines.append("WATCHDOG=1")
        before = self._status
        if not self._is_stopping and (status := self._new_status()) != before:
            lines.append(status)
        if lines and not self._notifier.tell(*lines):
            self._status = ""

    def _goes_on(self) -> bool:
        assert self._pulse is not None
        beats = self._pulse.beats(self._served.host.now())
        if beats or self._is_stopping:
            self._is_starved = False
            return True
        if not self._is_starved:
            self._is_starved = True
            log.warn(
                "the game's loop stands still, so systemd's watchdog is not fed; it ends the "
                "process after {seconds:g} s of that",
                seconds=self._watchdog,
            )
            if self.on_starved is not None:
                self.on_starved()
        return False

    def _new_status(self) -> str:
        host, stats = self._served.host, self._served.game_stats()
        draining = "draining, " if self._served.draining else ""
        self._status = f"STATUS={draining}{len(host.seats)} of {host.registry.max_players} players"
        if rate := stats.get("rate"):
            self._status += f", {stats['per_second']:.0f} of {rate:g} ticks a second"
        return self._status

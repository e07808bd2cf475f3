"""The game's loop, the same on both sides: steps by deadline, events in order.

Layer 4. Runs on: the game thread.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from twisted.logger import Logger

from gamenet.errors import LocalProtocolError
from gamenet.events import Tick
from gamenet.threads import check_may_block
from gamenet.ticker import Ticker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamenet.bridge import Bridge
    from gamenet.events import Event

log = Logger()


class GameLoop(ABC):
    """What takes events from a bridge, for one thread."""

    def __init__(self) -> None:
        self._bridge: Bridge | None = None
        self._clock = monotonic
        self._ticker: Ticker | None = None
        self._in_tick = False
        self._held: list[Event] = []
        self._owner: int | None = None
        self._ended = False

    @abstractmethod
    def _take(self, events: list[Event]) -> None:
        """Note what the events change, in order."""

    @abstractmethod
    def _hz(self) -> float:
        """The rate of ``ticks()`` where the caller names none."""

    @abstractmethod
    def _catch_up(self) -> int:
        """Late ticks made up for before the rest are skipped."""

    def _first_step(self, now: float, dt: float) -> int:
        """The number of a step that begins *now*, the first of steps *dt* seconds long."""
        return 1

    @abstractmethod
    def _begin_clock(self) -> None:
        """Have the game clock run, where there is one besides the loop's own."""

    def _due(self, events: list[Event], tick: float) -> list[Event]:
        """What of *events*, and of earlier ones that were held, is for this tick."""
        return events

    @property
    def _holds(self) -> bool:
        """Whether something taken from the bridge waits here for a step."""
        return bool(self._held)

    def _started(self, bridge: Bridge) -> None:
        """A new run begins."""
        self._bridge = bridge
        self._clock = bridge.clock
        self._ticker = None
        self._in_tick = False
        self._held = []
        self._owner = None
        self._ended = False

    def _live_bridge(self) -> Bridge:
        if self._bridge is None:
            raise LocalProtocolError("not started; call start(), or use a with block")
        return self._bridge

    def _claim(self) -> Bridge:
        """Refuse a second thread, and threads that must not be here at all."""
        if self._bridge is None or self._bridge.blocks:
            check_may_block()
        bridge = self._live_bridge()
        mine = threading.get_ident()
        if self._owner is None:
            self._owner = mine
        elif self._owner != mine:
            raise LocalProtocolError(
                "events are taken by one thread, and another one takes them here already; "
                "use post() to hand it something"
            )
        return bridge

    def _collect(self, bridge: Bridge, tick: float = inf) -> list[Event]:
        events = self._due(bridge.poll(), tick)
        self._take(events)
        if self._held:
            events = self._held + events
            self._held = []
        return events

    def ticks(self, hz: float | None = None, *, wait: bool = True) -> Iterator[Tick]:
        """The steps of the game, by deadline; ends when the run is over.

        :param hz: steps a second; by default the server's ``tick_rate``.
        :param wait: False yields only the steps that are due by now, for a loop that an engine
            owns: call it once a frame.
        :raises LocalProtocolError: on a second thread, or where waiting is impossible.
        """
        bridge = self._claim()
        rate = self._hz() if hz is None else hz
        if not 0 < rate <= 1000:
            raise ValueError(f"hz must be above 0 and at most 1000, not {rate!r}")
        ticker = self._ticker
        if ticker is None or ticker.dt != 1 / rate:
            dt = 1 / rate
            now = self._clock()
            ticker = Ticker(dt, now, self._catch_up(), self._first_step(now, dt))
            self._ticker = ticker
        return self._run(bridge, ticker, wait)

    def _run(self, bridge: Bridge, ticker: Ticker, wait: bool) -> Iterator[Tick]:
        now = self._clock()
        while not self._ended:
            if wait:
                bridge.sleep_until(ticker.deadline)
                now = self._clock()
            elif bridge.is_spent and not self._holds:
                self._ended = True
                return
            # Read before the events are taken: whatever closed the bridge was published first.
            closing = bridge.closed
            due = ticker.due(now)
            if due is None:
                if not closing:
                    return
                # The last step comes at once, with whatever is left.
                due = ticker.force()
            # The last step takes what is left, also what is meant for later.
            events = self._collect(bridge, inf if closing else due.number)
            # A client's end is one of the events just taken.
            self._ended = closing or bridge.is_spent
            self._in_tick = bridge.in_pass = True
            began = self._clock()
            try:
                yield Tick(
                    due.number,
                    due.number * ticker.dt,
                    ticker.dt,
                    events,
                    due.late_seconds,
                    due.skipped,
                )
            finally:
                ended = self._clock()
                bridge.pass_seconds.add(ended - began)
                self._in_tick = bridge.in_pass = False
                bridge.next_pass = ticker.deadline
                bridge.end_pass()
                if bridge.showing.is_due(ended):
                    self._make_view(bridge, ended)

    def events(self, timeout: float = 0.0) -> list[Event]:
        """What has arrived since the last call, in order; waits at most *timeout* seconds for it.

        :raises LocalProtocolError: as ``ticks``.
        """
        bridge = self._claim()
        self._begin_clock()
        bridge.next_pass = 0.0
        bridge.end_pass()
        if bridge.showing.is_due(now := self._clock()):
            self._make_view(bridge, now)
        if timeout > 0 and not self._held:
            bridge.wait(timeout)
        return self._collect(bridge)

    def _make_view(self, bridge: Bridge, now: float) -> None:
        """Somebody looks at the status page: have the game say what it shows there."""
        try:
            bridge.showing.refresh(now)
        except Exception:
            log.failure("the view of the status page failed, so the game shows nothing there")

    def flush(self) -> None:
        """Send what this pass has queued now, instead of when it ends. From any thread."""
        self._live_bridge().end_pass()

    def post(self, value: object) -> None:
        """Put a ``Posted`` with *value* into the next tick. From any thread.

        :raises QueueFull: when too many of them wait.
        """
        self._live_bridge().post(value)

    def loop_stats(self) -> dict[str, float]:
        """How the loop keeps its rate."""
        return self._ticker.stats() if self._ticker is not None else {}

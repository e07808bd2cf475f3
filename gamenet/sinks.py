"""Where events go when the game runs on the reactor thread itself.

Layer 3. Runs on: the reactor thread.

A sink is any object with ``offer(event) -> bool``. It takes an event by returning True; after
False the event is offered again, in order, before any later one. A :class:`~gamenet.bridge.Bridge`
is the sink for a game on a thread of its own.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

from gamenet.bridge import Bridge
from gamenet.events import Event, Unreliable

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.core.counters import Counters


class Sink(Protocol):
    """What factories hand events to."""

    def offer(self, event: Event) -> bool:
        """Take *event* and return True, or return False to have it offered again later."""


class OfferSink:
    """Gives a sink the shape of a bridge: batches in, a count of what was taken out.

    :param sink: the user's object.
    :param capacity: events that may wait for it before unreliable ones are refused.
    :param observe: called with each event just before it is first offered.
    :param failed: called with words for the log while an exception of the sink is at hand.
    """

    def __init__(
        self,
        sink: Sink,
        capacity: int,
        observe: Callable[[Event], None],
        counters: Counters,
        failed: Callable[[str], None],
    ) -> None:
        self._sink = sink
        self._capacity = capacity
        self._observe = observe
        self._counters = counters
        self._failed = failed
        self._pending: deque[Event] = deque()
        self._observed = False
        self._taken = 0

    @property
    def room(self) -> int:
        """How many more events may be published before unreliable ones are refused."""
        return self._capacity - len(self._pending)

    @property
    def waiting_events(self) -> int:
        """Events that the sink has not taken."""
        return len(self._pending)

    @property
    def taken(self) -> int:
        """Events handed out in order; the sink's own ``taken`` wins where it has one."""
        own = getattr(self._sink, "taken", None)
        return own if isinstance(own, int) else self._taken

    def publish(self, batch: list[Event]) -> None:
        """Offer a turn's events, behind those that still wait."""
        self._pending.extend(batch)
        self.push()

    def push(self) -> None:
        """Offer what waits until the sink says no."""
        pending = self._pending
        while pending:
            event = pending[0]
            if not self._observed:
                self._observe(event)
                self._observed = True
            try:
                taken = self._sink.offer(event)
            except Exception:
                # Offered again it would only raise again; the game's defect must not stop others.
                self._failed(f"the sink failed on {type(event).__name__}")
                taken = True
            if not taken:
                if type(event) is not Unreliable:
                    return
                self._counters.events_refused += 1
            pending.popleft()
            self._observed = False
            self._taken += 1


AnySink = Bridge | OfferSink
"""What a host publishes to."""

"""Turns of the reactor thread, and the one timer that serves all sessions.

Layer 3. Runs on: the reactor thread.

Whatever happens, happens in a turn: datagrams and frames are fed to their sessions, commands are
sorted into theirs, timers are looked at; then the turn's events are published in one batch and
every session with something to say is flushed, one write per datagram and one per connection.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger
from twisted.python.failure import Failure

from gamenet.bridge import Bridge
from gamenet.collector import Collector
from gamenet.core.counters import Counters
from gamenet.core.turn import Turn
from gamenet.faults import DEFECT, FaultLog
from gamenet.sinks import AnySink, OfferSink, Sink
from gamenet.stall import Stall

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from gamenet.events import Event
    from gamenet.settings import CommonConfig

log = Logger()
BEAT_SECONDS: Final = 0.05
"""Nothing that only time brings about comes later than this: acks, timeouts, resends."""


class Turns(ABC):
    """Time, and what goes to and comes from the game, of one side of a session.

    :param sink: a :class:`~gamenet.bridge.Bridge`, or anything with ``offer(event) -> bool``.
    :param reactor: the reactor that runs, or a simulated one.
    :param now: monotonic seconds; never the reactor's wall clock.
    """

    def __init__(
        self, sink: Bridge | Sink, config: CommonConfig, reactor: Any, now: Callable[[], float]
    ) -> None:
        self.config = config
        self.reactor = reactor
        self.now = now
        self.counters = Counters()
        self.sink: AnySink
        self._collector: Collector | None = None
        if isinstance(sink, Bridge):
            self.sink = sink
            self._collector = Collector(self, sink)
        else:
            self.sink = OfferSink(
                sink, config.bridge_events, self._observe, self.counters, self.failed
            )
        self.turn = Turn(self.counters, self.sink.room)
        self.time = now()
        """When the current turn began."""
        self._depth = 0
        self._beating: IDelayedCall | None = None
        self.beat_due = 0.0
        """When the next beat should come; past by more than a moment, the reactor is held up."""
        self.beat_late_max = 0.0
        """The longest that a beat came late, in seconds: how long something held up the reactor."""
        self.beat_late_lately = 0.0
        """The same since whoever reads it has set it back to 0."""
        self.flush_seconds = 0.0
        """How long it took to carry out, and send, what the game's last pass had left."""
        self._stall = Stall(config.stall_seconds)
        self.faults = FaultLog(config.log_seconds, config.log_lines_per_second, self.time)

    # What others add.

    @property
    @abstractmethod
    def is_busy(self) -> bool:
        """Whether anything is left that needs the time."""

    @abstractmethod
    def fetch(self, bridge: Bridge) -> None:
        """Sort the states or inputs that wait at the bridge into their sessions."""

    @abstractmethod
    def queue_unreliable(
        self, player_ids: tuple[int, ...], messages: list[tuple[int, bytes]]
    ) -> None:
        """Queue unreliable messages, type byte and payload each, for each of these players.

        :param player_ids: empty on a client, which has nobody but the server.
        """

    @abstractmethod
    def _observe(self, event: Event) -> None:
        """An event is about to be offered to a sink on this thread."""

    @abstractmethod
    def _flush(self) -> None:
        """Send what the turn's sessions have to say."""

    @abstractmethod
    def _tick_sessions(self) -> None:
        """Have the sessions look at the time, in a turn of its own."""

    # Turns.

    def begin_turn(self) -> float:
        """Everything until the matching ``end_turn`` is one turn.

        :returns: monotonic seconds, read once for the whole turn.
        """
        self._depth += 1
        if self._depth == 1:
            self.time = self.now()
            if self._collector is not None:
                self._collector.turn_begins()
            self.turn.room = self.sink.room
            self.turn.taken = self.sink.taken
        return self.time

    def end_turn(self) -> None:
        """Publish the turn's events, notice what the game has taken, flush."""
        try:
            if self._depth == 1:
                turn = self.turn
                sink = self.sink
                while turn.batch:
                    batch = turn.batch[:]
                    turn.batch.clear()
                    turn.published += len(batch)
                    sink.publish(batch)
                    if self._is_owed:
                        self.ensure_beat()
                if turn.awaiting:
                    turn.settle(sink.taken, self.time)
                if turn.dirty:
                    self._flush()
        finally:
            self._depth -= 1
            if self._depth == 0 and self._collector is not None:
                self._collector.turn_ends()

    def run(self, call: Callable[..., None], *args: Any) -> None:
        """Call *call* in a turn of its own; a defect of ours is logged and goes no further."""
        self.begin_turn()
        try:
            call(*args)
        except Exception:
            self.failed(DEFECT)
        finally:
            self.end_turn()

    def failed(self, what: str, failure: Failure | None = None) -> None:
        """Log a failure of ours, or of what others gave us, with its traceback.

        The same one comes again and again, as often as somebody makes it happen; so each gets a
        traceback once in a while.

        :param failure: None is the exception at hand.
        """
        failure = failure or Failure()
        place = " ".join(f"{frame[0]}:{frame[2]}" for frame in failure.frames[-4:])
        if self.faults.note(f"{what} {failure.type} {place}", "", self.now()):
            log.failure(what, failure)

    def drain(self) -> None:
        """Carry out what waits at the bridge, where there is one."""
        if self._collector is not None:
            self._collector.drain()

    # Time.

    def begin(self) -> None:
        """Something is there that needs the time, and a short way from the game. Repeatable."""
        self.ensure_beat()
        if self._collector is not None:
            self._collector.begin()

    def ensure_beat(self) -> None:
        """Start the one timer that serves all sessions."""
        if self._beating is None:
            self._beating = self.reactor.callLater(BEAT_SECONDS, self._beat)
            self.beat_due = self.now() + BEAT_SECONDS

    def _beat(self) -> None:
        self._beating = None
        late = self.now() - self.beat_due
        if late > self.beat_late_lately:
            self.beat_late_lately = late
        if late > self.beat_late_max:
            self.beat_late_max = late
        try:
            self.drain()
            self._look_for_stall()
            self.run(self._tick_sessions)
        finally:
            if self.is_busy or self._is_owed:
                self.ensure_beat()

    def _look_for_stall(self) -> None:
        if self._stall.look(self.sink.waiting_events, self.sink.taken, self.now()):
            self.counters.stalls += 1
            log.warn(
                "the game has taken no event for {seconds:g} s; {count} wait. Players stay, and "
                "what they send is kept up to the limits",
                seconds=self._stall.seconds,
                count=self.sink.waiting_events,
            )

    @property
    def is_stalled(self) -> bool:
        """Whether the game takes nothing, though something waits for it."""
        return self._stall.is_on

    @property
    def stalled_since(self) -> float | None:
        """When the game took its last event, while it ``is_stalled``; else None."""
        return self._stall.since if self._stall.is_on else None

    @property
    def _is_owed(self) -> bool:
        """Whether a sink of the user's said no to an event, which it is offered again."""
        return isinstance(self.sink, OfferSink) and self.sink.waiting_events > 0

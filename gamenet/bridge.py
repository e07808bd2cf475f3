"""The only object that two threads may touch.

Layer 2. The game thread calls ``poll``, ``wait``, ``submit`` and their kin; the reactor thread
calls ``offer``, ``publish`` and ``drain``. Twisted is not imported: waking the reactor is a
callable that the host hands over.

Events cross in batches, one append and at most one wake for each turn of the reactor. Commands
cross when the game's pass ends, when it says ``flush``, or after 5 ms at the latest. Python's
``deque`` and ``dict`` operations used here are atomic under the interpreter's lock; each counter
has one writer.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from gamenet.buckets import Buckets
from gamenet.config import ServerConfig
from gamenet.errors import BridgeClosed, QueueFull
from gamenet.events import Event, Posted, State
from gamenet.showing import Showing

if TYPE_CHECKING:
    from gamenet.settings import CommonConfig

LATEST_SECONDS: Final = 0.005
"""A command waits no longer than this for the end of the game's pass."""

PASS_BOUNDS: Final = (
    *(0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.033),
    *(0.05, 0.1, 0.25, 0.5, 1.0),
)
"""Seconds; a game at 60 ticks a second should stay below 16 ms, at 30 below 33 ms."""

Command = tuple[Callable[..., None], tuple[Any, ...]]
"""What the reactor thread is to call, and with what."""
Loose = tuple[tuple[int, ...], tuple[int, bytes]]
"""Ids of the players that an unreliable message is for, none on a client; type byte and payload."""


class SwitchInterval:
    """Python's thread switch interval, shortened while any bridge is open."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._before = 0.0

    def shorten(self, seconds: float) -> None:
        """One more bridge is open."""
        with self._lock:
            if self._open == 0:
                self._before = sys.getswitchinterval()
            self._open += 1
            sys.setswitchinterval(min(seconds, sys.getswitchinterval()))

    def restore(self) -> None:
        """One bridge less; the last one gives the old interval back."""
        with self._lock:
            self._open -= 1
            if self._open == 0:
                sys.setswitchinterval(self._before)


SWITCH_INTERVAL: Final = SwitchInterval()


class Bridge:
    """Events to the game, commands to the reactor, both bounded.

    :param config: for its limits; a default :class:`~gamenet.config.ServerConfig` if left out.
    :param clock: monotonic seconds, if not the system's.
    """

    blocks = True
    """Waiting here stops the thread, which the reactor's own must never do."""

    def __init__(
        self, config: CommonConfig | None = None, *, clock: Callable[[], float] | None = None
    ) -> None:
        config = config or ServerConfig()
        self.clock = clock or monotonic
        """The clock of the loop that takes the events."""
        self._capacity = config.bridge_events
        self._post_capacity = config.post_values
        self._switch_seconds = config.switch_interval_seconds
        self._inbox: deque[list[Event]] = deque()
        self._posted: deque[object] = deque()
        self._published = 0
        self.taken = 0
        """Events handed out in order; acknowledging reliable messages hangs on it."""
        self._commands: deque[Command] = deque()
        self.unreliable: deque[Loose] = deque(maxlen=config.bridge_events)
        """Messages that may be lost; the oldest give way when the reactor does not keep up."""
        self.dropped_unreliable = 0
        """How many of them gave way."""
        self.states: dict[int, tuple[Any, ...]] = {}
        """The newest state of each player that the reactor has not fetched, by player id."""
        self.inputs: dict[int, int] = {}
        """Buttons by input number that the reactor has not fetched."""
        self.state: State | None = None
        """The newest state that came, on a client."""
        self.seen_state = 0
        """The number of the newest state that the game took, on a client."""
        self.link: Any = None
        """The host at the other end, once there is one."""
        self.closed = False
        """No more events will come; loops end."""
        self.finished = False
        """Stopped for good; from here on a verb is a mistake, not merely late."""
        self.late_verbs = 0
        """Commands that came between the end and ``stop`` having returned."""
        self._wake: Callable[[float], None] | None = None
        self._woken = False
        self._armed_until = 0.0
        self.next_pass = 0.0
        """When the game's next pass begins, in monotonic seconds; 0 if it keeps no rate."""
        self.in_pass = False
        """True while the game is between taking its events and ending its pass."""
        self.looked_at = float("-inf")
        """When the reactor looks here next without being woken; it sets this."""
        self.pass_seconds = Buckets(PASS_BOUNDS)
        """How long the game's passes took."""
        self.showing = Showing()
        """What the game shows on the status page."""
        self.pass_begins: Callable[[], None] | None = None
        """Called by ``publish`` before it wakes a game that waits."""
        self._waiting = False
        self._wakeup = threading.Lock()
        self._wakeup.acquire()
        self._shortened = False
        self._close_lock = threading.Lock()

    # The reactor thread's side.

    def attach(self, link: object, wake: Callable[[float], None]) -> None:
        """Connect the reactor's end.

        :param link: the host.
        :param wake: called from any thread with a delay in seconds; has ``drain`` run by then.
        """
        self.link = link
        self._wake = wake
        if not self._shortened:
            self._shortened = True
            SWITCH_INTERVAL.shorten(self._switch_seconds)

    @property
    def room(self) -> int:
        """How many more events may be published before unreliable ones are refused."""
        return self._capacity - (self._published - self.taken)

    @property
    def waiting_events(self) -> int:
        """Events that the game has not taken."""
        return self._published - self.taken

    @property
    def waiting_commands(self) -> int:
        """Commands that the reactor thread has not fetched."""
        return len(self._commands)

    @property
    def is_spent(self) -> bool:
        """Nothing is left for the game, and nothing more will come."""
        return self.closed and not (self._inbox or self._posted)

    def publish(self, batch: list[Event]) -> None:
        """Hand a turn's events to the game: one append, one wake if it waits."""
        self._published += len(batch)
        self._inbox.append(batch)
        if self._waiting:
            if self.pass_begins is not None:
                self.pass_begins()
            self._signal()

    def offer(self, event: Event) -> bool:
        """Hand over one event; False, and nothing done, when the bridge is full or closed."""
        if self.closed or self.room <= 0:
            return False
        self.publish([event])
        return True

    def drain(self, *, by_wake: bool = True) -> deque[Command]:
        """The commands submitted so far, for the reactor thread to pop from the left.

        :param by_wake: the wake of the end of a pass has come; until it has, there is no other, or
            a reactor that is late would find ever more of them.
        """
        if by_wake:
            self._woken = False
        # Whoever still trusts the old look has put its command here already.
        self.looked_at = float("-inf")
        return self._commands

    # The game thread's side.

    def poll(self) -> list[Event]:
        """All events published since the last call, in order. Never waits."""
        events: list[Event] = []
        inbox = self._inbox
        while inbox:
            events += inbox.popleft()
        self.taken += len(events)
        while self._posted:
            events.append(Posted(self._posted.popleft()))
        return events

    def wait(self, seconds: float) -> None:
        """Return when there is something to ``poll``, the bridge closes, or time is up."""
        deadline = self.clock() + seconds
        # Raised before the first look: whoever publishes after it sees the flag and wakes us. A
        # wake meant for an earlier wait may still be there, so looking goes on until time is up.
        self._waiting = True
        try:
            while not (self._inbox or self._posted or self.closed):
                left = deadline - self.clock()
                if left <= 0:
                    return
                self._wakeup.acquire(timeout=min(left, threading.TIMEOUT_MAX))
        finally:
            self._waiting = False

    def sleep_until(self, deadline: float) -> None:
        """Return at *deadline* on the monotonic clock, or as soon as the bridge closes."""
        while not self.closed:
            left = deadline - self.clock()
            if left <= 0:
                return
            self._wakeup.acquire(timeout=min(left, threading.TIMEOUT_MAX))

    def submit(self, call: Callable[..., None], *args: Any) -> None:
        """Have the reactor thread call *call* with *args*; from any thread.

        :raises BridgeClosed: once ``finish`` was called; between ``close`` and that, a no-op.
        """
        if self._is_over():
            return
        self._commands.append((call, args))
        self.arm()

    def put_unreliable(self, player_ids: tuple[int, ...], message: tuple[int, bytes]) -> None:
        """Leave a message that may be lost: the oldest gives way when too many wait.

        :param player_ids: who it is for; empty on a client.
        :param message: type byte and payload.
        :raises BridgeClosed: as ``submit``.
        """
        if self.closed and self._is_over():
            return
        waiting = self.unreliable
        if len(waiting) == waiting.maxlen:
            self.dropped_unreliable += 1
        waiting.append((player_ids, message))
        if len(waiting) == 1:
            self.arm()

    def put_state(self, player_id: int, fields: tuple[Any, ...]) -> None:
        """Make this the newest state of a player; one that waits is forgotten. From any thread."""
        if self.closed and self._is_over():
            return
        states = self.states
        states[player_id] = fields
        if len(states) == 1:
            self.arm()

    def put_input(self, number: int, buttons: int) -> None:
        """Leave the input of *number*."""
        if self._is_over():
            return
        self.inputs[number] = buttons
        self.arm()

    def replace_input(self, number: int, buttons: int) -> bool:
        """Replace the input of *number* if the reactor has not fetched it."""
        # Popped first: the reactor may fetch it between a look and a store.
        if self.inputs.pop(number, None) is None:
            return False
        self.inputs[number] = buttons
        return True

    def _is_over(self) -> bool:
        if self.finished:
            raise BridgeClosed("this server or client is stopped; start it again")
        if self.closed:
            self.late_verbs += 1
        return self.closed

    def arm(self) -> None:
        """Make sure that the reactor fetches what was just put here within 5 ms."""
        now = self.clock()
        if 0.0 <= self.looked_at - now <= LATEST_SECONDS:
            return
        if now >= self._armed_until and self._wake is not None:
            self._armed_until = now + LATEST_SECONDS
            self._wake(LATEST_SECONDS)

    def end_pass(self) -> None:
        """The game's pass is over: have the reactor fetch what it left, now."""
        if (
            (self._commands or self.unreliable or self.states or self.inputs)
            and not self._woken
            and self._wake is not None
        ):
            self._woken = True
            self._wake(0.0)

    def post(self, value: object) -> None:
        """Put a :class:`~gamenet.events.Posted` into the game's next events; from any thread.

        :raises QueueFull: when 1,024 of them wait (``post_values``).
        :raises BridgeClosed: as ``submit``.
        """
        if self._is_over():
            return
        if len(self._posted) >= self._post_capacity:
            raise QueueFull(f"{len(self._posted)} posted values wait for the game already")
        self._posted.append(value)
        if self._waiting:
            self._signal()

    def close(self) -> None:
        """Wake whoever waits; what is submitted from here on is dropped, counted.

        From any thread, repeatable.
        """
        with self._close_lock:
            self.closed = True
            if self._shortened:
                self._shortened = False
                SWITCH_INTERVAL.restore()
        self._signal()

    def finish(self) -> None:
        """Close, and have verbs raise from here on."""
        self.close()
        self.finished = True

    def _signal(self) -> None:
        """Let the waiting thread go on; once is as good as twice."""
        try:
            self._wakeup.release()
        except RuntimeError:
            pass

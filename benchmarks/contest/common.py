"""What every contestant of ``bench.py`` shares: how it talks, what it plays, how it counts.

A contestant is a server script and a load script, each a process of its own: the server on the
first core, the load on the second. Both hear and say lines of JSON over stdin and stdout.

1. The first line that both hear is the spec: ``workload`` ("W1" to "W8"), ``n`` clients, ``hz``,
   ``seconds`` of the window, ``input_bytes``, ``state_bytes``, ``window`` messages in flight (W1,
   W2), ``message_bytes`` (W1, W2, W4), ``broadcast_bytes`` (W5), ``loss`` (share of datagrams that
   the load sheds itself, each way: W7), ``tls``, ``transport`` ("udp", "tcp" or "tls"; scripts that
   know one only ignore it), ``cert_file`` and ``key_file`` of "localhost".
2. The server says ``{"port": ...}``, and whatever else its load has to know (``limits``, a dict of
   the limits that it raised, is printed with the table). The load's spec holds all that the server
   said.
3. The load says ``{"ready": true}`` once every client is in and plays. In W6 it first lets a
   quarter of ``n`` join, who pay for what all share, says ``{"warm": how many}``, waits for the
   line ``"go"`` (``next(questions())``, before it makes a ``Told``), has ``n`` more join as fast as
   it can, and is ready with ``joins_per_second``; then all are idle. The server's memory and CPU
   are looked at from outside.
4. The server answers each line ``"figures"`` with its counters since it began, and ``cpu``,
   ``tick_late_p99_ms`` since the question before: see ``answer_figures``. Which counter is counted
   depends on the workload: ``messages`` echoed (W1, W2, W4), ``ticks`` and ``inputs`` that reached
   the game (W3, W7), ``deliveries`` handed to the transport (W5), ``players`` always where known.
5. The load plays on until it hears ``"stop"``, then says its figures since it began: ``sent`` and
   ``received`` messages, ``lost`` (what the server sent and never came, told by gaps in its
   numbers), ``cpu``, and for W4 ``p50_us``, ``p99_us`` of a round trip. In W3 and W7 ``sent``
   counts inputs and ``received`` states, so that the share of inputs lost is what the server's
   ``inputs`` lacks; ``load_late_p99_ms`` tells whether the load itself kept up.
6. The end of stdin ends either process, at once.

In W3 and W7 a state's first four bytes are the tick's number, big-endian: see ``States``. A server
that knows its players before they play sends none until all are in: the load is busy joining.
"""

from __future__ import annotations

import gc
import json
import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

HOST: Final = "127.0.0.1"
RECEIVE_BUFFER_BYTES: Final = 4 * 1024 * 1024
"""What every UDP server asks the kernel for, as gamenet does: while a tick sends, inputs wait."""
SPIN_SECONDS: Final = 100e-6
"""Pauses shorter than this are spun: a sleep of the kernel's is longer by half of that."""
DEAF_SECONDS: Final = 0.25
"""W1, W4: so long without an echo, and what is in flight is lost; more than any pause of a machine
that others use as well."""


# How a contestant talks.


def spec() -> dict[str, Any]:
    """The first line that comes."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit("this is a part of a benchmark; see README.rst in the folder above")
    return dict(json.loads(line))


def say(value: Any) -> None:
    """Write one line."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def questions() -> Iterator[str]:
    """The lines that come after the spec, until stdin ends."""
    while line := sys.stdin.readline():
        yield json.loads(line)


def answer_figures(
    figures: Callable[[], dict[str, Any]],
    *,
    then_exit: bool = True,
    fill: Callable[[], None] | None = None,
) -> None:
    """In a server: answer each line with ``cpu`` of this process and what *figures* returns.

    For a thread of its own, as ``in_background`` makes it, or for the main one while the game has
    another.

    :param then_exit: whether the process ends with its stdin, whatever its other threads do.
    :param fill: what the line ``"fill"`` asks for beforehand (W8).
    """
    for line in questions():
        if line == "fill" and fill is not None:
            fill()
        # First the time, so that collecting figures is never counted.
        cpu = time.process_time()
        say({"cpu": cpu, **figures()})
    if then_exit:
        os._exit(0)


def in_background(call: Callable[..., None], *arguments: Any, **named: Any) -> threading.Thread:
    """Call it on a daemon thread."""
    thread = threading.Thread(target=call, args=arguments, kwargs=named, daemon=True)
    thread.start()
    return thread


class Told:
    """In a load: whether "stop" was heard; the process ends with its stdin.

    Reading the attribute is all it costs.
    """

    __slots__ = ("stop",)

    def __init__(self) -> None:
        self.stop = False
        in_background(self._listen)

    def _listen(self) -> None:
        for _ in questions():
            self.stop = True
        # Nobody reads what a load without a listener says.
        os._exit(0)

    def finish(self, **figures: Any) -> None:
        """Say the figures and ``cpu``, and wait for the end of stdin.

        :returns: never, unless stdin stays open for a minute.
        """
        say({"cpu": time.process_time(), **figures})
        time.sleep(60.0)


def deepen(descriptor: int) -> None:
    """In a server: have its UDP socket hold what comes while a tick sends.

    What a slow server loses is then its own doing, and not a default of the kernel's.
    """
    with socket.socket(fileno=os.dup(descriptor)) as udp:
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


# What is played.


class States:
    """States that nothing can shrink: random bytes behind the tick's number.

    :param size: in bytes, at least 4.
    """

    __slots__ = ("_bodies",)

    COUNT: Final = 64
    """So many are made beforehand; no receiver keeps that many to compare with."""

    def __init__(self, size: int) -> None:
        if size < 4:
            raise ValueError("a state holds the number of its tick: 4 bytes")
        self._bodies = [os.urandom(size - 4) for _ in range(self.COUNT)]

    def at(self, tick: int) -> bytes:
        """The state of a tick."""
        return tick.to_bytes(4, "big") + self._bodies[tick % self.COUNT]


class Gaps:
    """Counts what came and what did not, by numbers that grow by one: one client's view."""

    __slots__ = ("first", "newest", "received")

    def __init__(self) -> None:
        self.first = self.newest = -1
        self.received = 0

    def came(self, number: int) -> None:
        """One of them is here; each but once."""
        self.received += 1
        if self.first < 0:
            self.first = number
        if number > self.newest:
            self.newest = number

    @property
    def lost(self) -> int:
        """How many between the first and the newest never came."""
        return 0 if self.first < 0 else self.newest - self.first + 1 - self.received


class Ticks:
    """A fixed grid of ticks. Those that are missed altogether are skipped, or a server that is late
    once would have no time to read.

    :param hz: ticks a second.
    """

    __slots__ = ("due", "late", "number", "period")

    def __init__(self, hz: float) -> None:
        self.period = 1.0 / hz
        self.number = 0
        """How many have started."""
        self.late = Lateness()
        self.due = time.monotonic() + self.period
        """When the next tick is to start."""

    def left(self) -> float:
        """Seconds until then; never negative."""
        return max(0.0, self.due - time.monotonic())

    def start(self) -> bool:
        """Whether a tick is due; if so, it has started."""
        late = time.monotonic() - self.due
        if late < 0:
            return False
        self.late.add(late)
        self.number += 1
        self.due += self.period * (1 + int(late / self.period))
        return True


class Lateness:
    """How late ticks were, since somebody asked."""

    __slots__ = ("_seconds",)

    def __init__(self) -> None:
        self._seconds: list[float] = []

    def add(self, seconds: float) -> None:
        """One more."""
        self._seconds.append(seconds)

    def take(self) -> float | None:
        """99 % were late by at most so many milliseconds; then begin anew."""
        seconds, self._seconds = self._seconds, []
        return quantile(seconds, 0.99, 1e3)


class Pauses:
    """How long a server's reactor and its game's ticks were kept, since somebody asked, and what
    the garbage collector took.

    The reactor has a timer of its own for it, each 10 ms: what it is late beside its period is a
    pause, whatever it was busy with.
    """

    BEAT_SECONDS: Final = 0.01

    def __init__(self) -> None:
        self.latest_tick = self._longest = self._collecting = self._began = self._beat_due = 0.0

    def watch(self) -> None:
        """Begin to look. The reactor runs, on a thread of its own."""
        from twisted.internet import reactor
        from twisted.internet.task import LoopingCall

        gc.callbacks.append(self._collect)
        reactor.callFromThread(LoopingCall(self._beat).start, self.BEAT_SECONDS)  # type: ignore[attr-defined]

    def _beat(self) -> None:
        now = time.monotonic()
        if self._beat_due:
            self._longest = max(self._longest, now - self._beat_due)
        self._beat_due = now + self.BEAT_SECONDS

    def _collect(self, phase: str, _: object) -> None:
        if phase == "start":
            self._began = time.thread_time()
        else:
            self._collecting += time.thread_time() - self._began

    def take(self) -> dict[str, float]:
        """The figures, in milliseconds and, for all time, seconds; then begin anew."""
        longest, self._longest = self._longest, 0.0
        latest, self.latest_tick = self.latest_tick, 0.0
        return {
            "reactor_pause_ms": 1e3 * longest,
            "latest_tick_ms": 1e3 * latest,
            "gc": self._collecting,
        }


class Phases:
    """When which of *n* clients plays: each once a tick, evenly spread, as players are.

    A load that beats in bursts hides what it costs to be woken for each datagram.
    """

    __slots__ = ("_begun", "_step", "_step_seconds", "late")

    def __init__(self, n: int, hz: float) -> None:
        self.late = Lateness()
        """Of the load itself; its figures have it as ``load_late_p99_ms``."""
        self._step_seconds = 1.0 / hz / n
        self._step = 0
        self._begun = time.monotonic()

    def due(self) -> range:
        """The steps whose time has come since the last call, oldest first; a client's index is
        its step modulo *n*, and its tick the quotient."""
        now = time.monotonic() - self._begun
        steps = range(self._step, max(self._step, int(now / self._step_seconds)))
        if steps:
            self.late.add(now - (steps.start + 1) * self._step_seconds)
            self._step = steps.stop
        return steps

    def pause(self) -> float:
        """Seconds until the next step; 0 where that is to be spun."""
        left = self._begun + (self._step + 1) * self._step_seconds - time.monotonic()
        return left if left > SPIN_SECONDS else 0.0

    def rest(self) -> None:
        """Sleep until the next step, unless it is so near that a sleep would miss it."""
        if pause := self.pause():
            time.sleep(pause)


# How it is counted.


def arrived(gaps: Iterable[Gaps]) -> dict[str, int]:
    """``received`` and ``lost`` of all clients."""
    views = list(gaps)
    return {
        "received": sum(view.received for view in views),
        "lost": sum(view.lost for view in views),
    }


def quantile(values: Iterable[float], share: float, scale: float = 1.0) -> float | None:
    """The value that *share* of them do not exceed, times *scale*; ``None`` of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * scale


def round_trips(seconds: list[float]) -> dict[str, float | None]:
    """``p50_us`` and ``p99_us`` of them."""
    return {"p50_us": quantile(seconds, 0.5, 1e6), "p99_us": quantile(seconds, 0.99, 1e6)}


def resident_kib() -> float:
    """Memory of this process that is in use; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
    except OSError:
        return 0.0


def settle() -> None:
    """In a load, before it plays: collect garbage once, and never again.

    What a load costs is not measured; that it pauses would be.
    """
    gc.collect()
    gc.disable()

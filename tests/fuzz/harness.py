"""
What a fuzz target is, and what one input may cost.

A target is handed bytes. It feeds them to a parser through a :class:`Meter`, catches what the
parser is documented to raise, and checks what must hold afterwards. Whatever else comes out of it
is a finding.
"""

from __future__ import annotations

import time
import tracemalloc
import unicodedata
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

try:
    import resource
except ImportError:  # not everywhere, and the fuzzer does not run there either
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ResultT = TypeVar("ResultT")

MAX_SECONDS = 0.05
"""Processor time of one input."""
MAX_BYTES = 1 << 20
"""Memory that one input may cause to be held at once."""
ATTEMPTS = 6
"""A machine that does other things as well makes an input slow now and then, not every time."""
ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Categories of characters that move a cursor, end a line or turn the direction of writing."""
WEIGHED = 8
"""One input of so many is weighed while fuzzing; weighing takes three times as long."""
SUSPICIOUS_KIB = 256
"""One that makes the process grow by so much is weighed in any case."""


class Broken(AssertionError):
    """Something that must hold whatever the bytes are does not."""


class TooSlow(Broken):
    """One input took too long, every time."""


class TooLarge(Broken):
    """One input made too much be held in memory."""


def check(holds: object, text: str, *details: object) -> None:
    """Raise unless *holds*."""
    if not holds:
        raise Broken(" ".join([text, *map(repr, details)]))


def is_safe(text: str) -> bool:
    """Whether nothing in *text* can act on a terminal or a log; the two joiners do not."""
    return all(
        letter in "\u200c\u200d" or unicodedata.category(letter) not in ACTING for letter in text
    )


class Meter:
    """Calls the code under test, and keeps count of what it uses.

    :param weigh: whether to trace memory, too; tracing makes everything slower, so an input is
        either timed or weighed.
    """

    def __init__(self, *, weigh: bool = False) -> None:
        self.seconds = 0.0
        """Processor time so far."""
        self.bytes = 0
        """The most that was held at once beyond what was held before the first call."""
        self._weigh = weigh
        self._base: int | None = None

    def __call__(self, call: Callable[..., ResultT], *args: Any, **named: Any) -> ResultT:
        """Make one call; its result and its exceptions are handed on."""
        if self._weigh:
            if self._base is None:
                self._base = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            try:
                return call(*args, **named)
            finally:
                held = tracemalloc.get_traced_memory()[1] - self._base
                self.bytes = max(self.bytes, held)
        start = time.thread_time()
        try:
            return call(*args, **named)
        finally:
            self.seconds += time.thread_time() - start


class Cursor:
    """Takes an input apart; beyond its end there are zeros and nothing."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._offset = 0

    @property
    def is_empty(self) -> bool:
        """Whether everything is taken."""
        return self._offset >= len(self._data)

    def take(self, count: int) -> bytes:
        """The next *count* bytes, or as many as are left."""
        taken = self._data[self._offset : self._offset + count]
        self._offset += len(taken)
        return taken

    def number(self, size: int = 1) -> int:
        """The next number of *size* bytes."""
        return int.from_bytes(self.take(size).ljust(size, b"\0"), "big")

    def rest(self) -> bytes:
        """All that is left."""
        return self.take(len(self._data))


class Target(ABC):
    """One parser and what must hold of it."""

    name: ClassVar[str]
    max_bytes: ClassVar[int] = 4_096
    """Inputs are not longer than this."""
    most_seconds: ClassVar[float] = MAX_SECONDS
    """Processor time that one of them may take."""
    most_held: ClassVar[int] = MAX_BYTES
    """Memory that one of them may cause to be held."""

    @abstractmethod
    def seeds(self) -> Iterable[bytes]:
        """Inputs to begin with: what the real encoders write, and known edges."""

    @abstractmethod
    def run(self, data: bytes, meter: Meter) -> None:
        """Feed one input to the parser and look at what comes of it.

        :raises Broken: if something does not hold; any other exception is a finding as well.
        """


def examine(target: Target, data: bytes, *, timed: bool = True, weighed: bool = True) -> None:
    """Run one input, and measure it.

    :raises Exception: whatever the target found.
    """
    meter = Meter()
    grown = _peak_kib()
    target.run(data, meter)
    grown = _peak_kib() - grown
    if timed and meter.seconds > target.most_seconds:
        _time_again(target, data, meter.seconds)
    if weighed or grown > SUSPICIOUS_KIB:
        _weigh(target, data)


def _time_again(target: Target, data: bytes, best: float) -> None:
    for _ in range(ATTEMPTS):
        meter = Meter()
        target.run(data, meter)
        best = min(best, meter.seconds)
        if best <= target.most_seconds:
            return
    raise TooSlow(f"{best * 1000:.0f} ms for {len(data)} bytes, {target.name}")


def _weigh(target: Target, data: bytes) -> None:
    was_tracing = tracemalloc.is_tracing()
    if not was_tracing:
        tracemalloc.start()
    try:
        meter = Meter(weigh=True)
        target.run(data, meter)
        if meter.bytes > target.most_held:
            # What is made once and kept, such as a table, is not the second input's.
            meter = Meter(weigh=True)
            target.run(data, meter)
    finally:
        if not was_tracing:
            tracemalloc.stop()
    if meter.bytes > target.most_held:
        raise TooLarge(f"{meter.bytes} bytes held for {len(data)} bytes, {target.name}")


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss if resource is not None else 0

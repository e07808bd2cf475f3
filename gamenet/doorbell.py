"""What one thread rings and another one hears, through the kernel.

Layer 2. Runs on: any thread.

Ringing lets go of the interpreter's lock, unlike the release of a ``threading.Lock``: a thread that
wakes on the same core as the one that rang finds it free. Otherwise it would have to wait for it,
and the two change hands six times instead of once.
"""

from __future__ import annotations

import os
import select
import sys
from threading import TIMEOUT_MAX, Lock, RLock
from typing import Any, Final

_ONE: Final = (1).to_bytes(8, sys.byteorder)
"""What an eventfd adds to its counter; to a pipe it is eight bytes like any others."""
_MOST_BYTES: Final = 4_096
"""Read at once; an eventfd gives eight."""
_LONGEST_SECONDS: Final = 3_600.0
HAS_EVENTFD: Final = hasattr(os, "eventfd")
HAS_BENCH: Final = HAS_EVENTFD and hasattr(select, "epoll")
"""Whether there is a ``Bench``: else a thread waits for a ``threading.Lock``."""
GRAIN_SECONDS: Final = 0.001
"""``epoll`` counts in these, and rounds up."""


class Doorbell:
    """An eventfd, or a pipe where the system has none.

    :raises OSError: if no descriptor is left.
    """

    def __init__(self) -> None:
        self._in = self._out = -1
        # Held while it is written to: once closed, a descriptor's number may be another's. A signal
        # handler may run in the middle of that, and ring as well.
        self._lock = RLock()
        self._in, self._out = _descriptors()

    def __del__(self) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor to poll; -1 once closed."""
        return self._in

    def ring(self) -> bool:
        """Ring; False, and nothing done, once it is closed. From any thread."""
        with self._lock:
            if self._out < 0:
                return False
            try:
                os.write(self._out, _ONE)
            except BlockingIOError:
                pass  # it was rung as often as it can, and nobody has heard it yet
            except OSError:
                return False
            return True

    def hear(self) -> bool:
        """Whether it was rung since the last call."""
        try:
            return bool(os.read(self._in, _MOST_BYTES))
        except OSError:
            return False

    def close(self) -> bool:
        """Close it. Repeatable, from any thread.

        :returns: whether it was rung, and nobody has heard it.
        """
        with self._lock:
            if self._in < 0:
                return False
            rung = self.hear()
            ends = {self._in, self._out}
            self._in = self._out = -1
            for descriptor in ends:
                os.close(descriptor)
            return rung


class Bench:
    """Where one thread sits until another one rings, or time is up.

    On Linux it listens to a bell from the first ``open`` to ``close``. Elsewhere, and for what is
    shorter than ``epoll`` can count, it is a ``threading.Lock``.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._lock.acquire()
        self._bell: Doorbell | None = None
        self._epoll: Any = None
        self._may_open = HAS_BENCH

    def open(self) -> None:
        """Have a bell, where that is possible. Only the first call does anything."""
        if not self._may_open:
            return
        self._may_open = False
        try:
            bell = Doorbell()
            self._epoll = select.epoll(1)
            # By edge: each ring counts, and nobody has to read it.
            self._epoll.register(bell.fileno(), select.EPOLLIN | select.EPOLLET)
            self._bell = bell
        except OSError:
            pass  # no descriptor is left; a bell that was made closes itself

    def sit(self, seconds: float) -> None:
        """Return when somebody rings, or has since the last time, or a little before *seconds*."""
        if self._bell is not None and seconds > GRAIN_SECONDS:
            self._epoll.poll(min(seconds - GRAIN_SECONDS, _LONGEST_SECONDS), 1)
        else:
            self.sit_still(seconds)

    def sit_still(self, seconds: float) -> None:
        """Sit for exactly so long, unless somebody rings."""
        self._lock.acquire(timeout=min(seconds, TIMEOUT_MAX))

    def ring(self) -> None:
        """Let it get up; once is as good as twice. From any thread."""
        bell = self._bell
        if bell is not None:
            bell.ring()
        if self._lock.locked():
            try:
                self._lock.release()
            except RuntimeError:
                pass  # another one was quicker

    def close(self) -> None:
        """Have no bell any more. Repeatable, but not while anybody may ``sit`` here."""
        bell, self._bell = self._bell, None
        self._may_open = False
        if bell is not None:
            self._epoll.close()
            bell.close()


def _descriptors() -> tuple[int, int]:
    """What to read from, and what to write to; neither ever blocks."""
    if HAS_EVENTFD:
        both = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return both, both
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends

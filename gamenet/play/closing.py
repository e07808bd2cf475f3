"""Ends that take a while: they go on by themselves, so that the window need not wait for them.

Layer 4. Runs on: the game thread; each end on a thread of its own. No pygame.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from gamenet.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable


class Closing:
    """What is being closed just now."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []

    def begin(self, stop: Callable[[], object]) -> None:
        """Have *stop* called soon; it may block."""
        thread = threading.Thread(target=_stop, args=(stop,), name="gamenet-closing", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            return  # the system has no more of them; who is left finds out by the silence
        self._threads = [*(other for other in self._threads if other.is_alive()), thread]

    def wait(self, seconds: float) -> None:
        """Until all is closed, but not for longer than *seconds*."""
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _stop(stop: Callable[[], object]) -> None:
    try:
        stop()
    except LocalProtocolError:
        pass  # not within its time; it goes on stopping by itself, and nobody waits for it

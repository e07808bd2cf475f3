"""How many errors were logged.

Layer 4. Runs on: any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from twisted.logger import ILogObserver, LogLevel, globalLogPublisher
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.logger import LogEvent


@implementer(ILogObserver)
class ErrorCounter:
    """Counts what is logged as an error while it is started; the failures of a game among it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0
        """Errors so far."""

    def __call__(self, event: LogEvent) -> None:
        """Called by Twisted's log for each event, on the thread that logs."""
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            with self._lock:
                self.count += 1

    def start(self) -> None:
        """Count from now on."""
        globalLogPublisher.addObserver(self)

    def stop(self) -> None:
        """Count no more; repeatable."""
        globalLogPublisher.removeObserver(self)

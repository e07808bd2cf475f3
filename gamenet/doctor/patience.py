"""Waiting for other threads, without keeping anybody from leaving.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import maybeDeferred

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_SECONDS: Final = 0.02
"""How often it is looked whether the wait is over."""
CALL_SECONDS: Final = 2.0
"""For what the reactor thread does at once."""


class Interrupted(Exception):
    """The person at the terminal wants to leave."""


class Stuck(Exception):
    """The reactor thread does not answer."""


class Patience:
    """Waits, and looks meanwhile whether it should.

    :param interrupted: asked many times a second; True once the person wants to leave.
    """

    def __init__(self, reactor: Any, interrupted: Callable[[], bool]) -> None:
        self.reactor = reactor
        self._interrupted = interrupted

    def until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Wait until *condition* holds.

        :returns: False if it does not within *seconds*.
        :raises Interrupted: if the person wants to leave.
        """
        end = time.monotonic() + seconds
        while not condition():
            if self._interrupted():
                raise Interrupted
            if time.monotonic() >= end:
                return False
            time.sleep(STEP_SECONDS)
        return True

    def call(self, call: Callable[[], Any]) -> Any:
        """What *call* returns, on the reactor thread.

        :raises Stuck: if that does not come to it.
        """
        results: list[Any] = []
        self.reactor.callFromThread(
            lambda: maybeDeferred(call).addBoth(lambda result: results.append(result))
        )
        if not self.until(lambda: results, CALL_SECONDS):
            raise Stuck
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

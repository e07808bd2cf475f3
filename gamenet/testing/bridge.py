"""Bridges of simulated games.

Layer 4. Runs on: the thread that lets time pass, and the game's; never both at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.bridge import Bridge
from gamenet.events import Input

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.events import Event
    from gamenet.settings import CommonConfig
    from gamenet.testing.baton import GameThread, SteppedGame
    from gamenet.testing.timeline import Timeline
    from gamenet.testing.trace import Trace


class SimulatedBridge(Bridge):
    """A bridge on which waiting lets virtual time pass.

    :param wait_until: lets time pass until something is so, or a time has come.
    """

    blocks = False

    def __init__(
        self,
        config: CommonConfig,
        timeline: Timeline,
        trace: Trace,
        wait_until: Callable[[Callable[[], bool], float], object],
    ) -> None:
        super().__init__(config, clock=timeline.seconds)
        self._timeline = timeline
        self._trace = trace
        self._wait_until = wait_until
        self.runner: GameThread | SteppedGame | None = None
        """Who else may wait here."""

    def publish(self, batch: list[Event]) -> None:
        """Hand events to the game, and note them."""
        for event in batch:
            if type(event) is Input:
                text = f"{event.player.id} {event.number} {event.buttons} {event.missing}"
            else:
                text = repr(event)
            self._trace.note(text.encode())
        super().publish(batch)

    def post(self, value: object) -> None:
        """As any bridge; what the value looks like is its own affair."""
        self._trace.note(b"posted")
        super().post(value)

    def arm(self) -> None:
        """What is left here while time stands still goes once it passes, before it gets later."""
        if not self._timeline.is_running:
            self.end_pass()
        elif not self.in_pass:
            super().arm()

    def poll(self) -> list[Event]:
        """Everything that came; a loop that only looks is told so."""
        if self.runner is not None and self.runner.is_current:
            self.runner.look()
        return super().poll()

    def wait(self, seconds: float) -> None:
        """Let time pass until there is something to ``poll``, or it is over."""
        deadline = self.clock() + seconds
        self._waiting = True
        try:
            while not self._has_something and self.clock() < deadline:
                self._sleep(deadline, lambda: self._has_something)
        finally:
            self._waiting = False

    def sleep_until(self, deadline: float) -> None:
        """Let time pass until *deadline*, or until the bridge closes."""
        while not self.closed and self.clock() < deadline:
            self._sleep(deadline, lambda: self.closed)

    def _sleep(self, deadline: float, done: Callable[[], bool]) -> None:
        if self.runner is not None and self.runner.is_current:
            self.end_pass()
            self.runner.sleep(deadline)
        else:
            self._wait_until(done, deadline)

    def _signal(self) -> None:
        super()._signal()
        if self.runner is not None:
            self.runner.wake()

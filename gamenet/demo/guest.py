"""A bot of somebody else's class among those that ``gamenet bots`` runs.

Layer 4. Runs on: the game thread, which all bots of a process share.
"""

from __future__ import annotations

import traceback
from random import Random
from typing import TYPE_CHECKING, Any

import gamenet
from gamenet.demo.bot import Bot, Load
from gamenet.game import settings_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamenet.events import Event


class _Counting(gamenet.GameClient):
    """Counts the inputs that are sent, each number once."""

    inputs_sent = 0
    _newest = 0

    def send_input(self, buttons: int) -> int:
        """As every client's."""
        number = super().send_input(buttons)
        self.inputs_sent += number != self._newest
        self._newest = number
        return number


class Guest(Bot):
    """One player, whose playing is up to an object of ``load.own``."""

    client_class = _Counting
    # Not whoever sits at the terminal: their Ctrl-C is a signal that the command has for itself.
    mistakes = (Exception, SystemExit, KeyboardInterrupt)

    def __init__(self, load: Load, index: int, *arguments: Any, **named: Any) -> None:
        super().__init__(load, index, *arguments, **named)
        assert load.own is not None
        self._own_class = load.own
        self._hz = load.own.tick_rate
        self._own: Any = None
        self._index = index
        self._chance = Random(f"{load.seed}/{index}")
        self._ticks = 0

    @staticmethod
    def settings(load: Load) -> dict[str, Any]:
        """What its class says about the game, as its client takes it."""
        settings = settings_of(load.own)
        del settings["tick_rate"]  # the server's own
        return settings

    def start(self) -> None:
        """Make the object, and begin to join."""
        self._guarded(self._make)
        if not self.over:
            super().start()

    def _make(self) -> None:
        own = self._own_class()
        own.client, own.index, own.random = self.client, self._index, self._chance
        self._own = own

    def _round(self, playing: bool, now: float) -> None:
        own = self._own
        for tick in self.client.ticks(self._hz, wait=False):
            for event in tick.events:
                self.take(event)
                own.on_event(event)
                if isinstance(event, gamenet.Connected):
                    own.on_join()
            if playing and self.joined and not self.over:
                own.on_tick(tick)
                self._ticks += 1
        if isinstance(self.client, _Counting):
            self.inputs_sent = self.client.inputs_sent

    def take(self, event: Event) -> None:
        """Note what an event means; what was said or sent is for the object."""
        if not isinstance(event, gamenet.Chat | gamenet.Received):
            super().take(event)

    def played(self, counters: Mapping[str, float]) -> bool:
        """Whether it was in to the end, and had a step of its own."""
        return self.joined and not self.over and self._ticks > 0

    def _tell(self, error: BaseException) -> str:
        place = traceback.extract_tb(error.__traceback__)[-1]
        return f"{super()._tell(error)} ({place.filename}, line {place.lineno})"

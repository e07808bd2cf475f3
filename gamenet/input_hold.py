"""Inputs that came before the tick they are meant for, kept until then.

Layer 2. Runs on: the game thread.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from gamenet.events import Input, Left

if TYPE_CHECKING:
    from gamenet.events import Event, Player

_ALL: Final = float("inf")
MAX_HELD: Final = 64
"""Of one player: half a second at twice the usual rate. Of more, the oldest goes at once."""


class InputHold:
    """One queue for each player, so that the order of a player's inputs stays as it was."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[Player, deque[Input]] = {}

    @property
    def holds(self) -> bool:
        """Whether anything is kept."""
        return any(self._queues.values())

    def due(self, events: list[Event], tick: float, ahead: float = _ALL) -> list[Event]:
        """What the game gets in this tick: what was held for it, then what came, in order.

        An input for a later tick, and those behind it, stay here. Before its ``Left`` a player's
        inputs are all let go.

        :param events: what has arrived.
        :param tick: the tick's number; infinity lets everything go.
        :param ahead: an input for a tick further off than so many goes at once: no session lets
            one come so early, so the game has numbered its ticks anew since.
        """
        queues = self._queues
        ready: list[Event] = []
        last = tick + ahead
        for queue in queues.values():
            while queue and not tick < queue[0].tick <= last:
                ready.append(queue.popleft())
        if tick == _ALL:
            ready += events
            queues.clear()
            return ready
        for event in events:
            if type(event) is Input:
                waiting = queues.get(event.player)
                if tick < event.tick <= last or waiting:
                    if waiting is None:
                        waiting = queues[event.player] = deque()
                    waiting.append(event)
                    if len(waiting) > MAX_HELD:
                        ready.append(waiting.popleft())
                    continue
            elif type(event) is Left:
                ready += queues.pop(event.player, ())
            ready.append(event)
        return ready

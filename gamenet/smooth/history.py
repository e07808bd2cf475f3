"""Lag compensation on the server: the world as a player saw it when it pressed the button.

Layer 2. Runs on: the game thread. The idea is that of Yahn Bernier, "Latency Compensating Methods
in Client/Server In-game Protocol Design and Optimization" (2001).

A modified client can claim to have seen an old state. How far back that takes it is bounded by
what is kept here and nothing else: keep no more ticks than the worst delay that the game forgives.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")

DEFAULT_TICKS: Final = 60
"""One second at 60 Hz; pass the game's own ``hz`` for a second at another rate."""
DEFAULT_STATES: Final = 128
"""State numbers kept of a player: two seconds at 60 states a second."""


class Past(NamedTuple, Generic[T]):
    """What ``History.at`` found."""

    value: T
    tick: float
    """The tick that it stands for: the one asked for, or the nearest kept."""
    clamped: bool
    """Whether the tick asked for is older or newer than everything kept."""


class History(Generic[T]):
    """The values of the newest ticks.

    :param ticks: how far back it goes, which is also the longest rewind.
    :param mix: the value a share (0 to 1) of the way from one to another, for times between two
        ticks and for skipped ones; without it the older of the two is taken.
    """

    __slots__ = ("_mix", "_ticks", "_values", "ticks")

    def __init__(
        self, ticks: int = DEFAULT_TICKS, *, mix: Callable[[T, T, float], T] | None = None
    ) -> None:
        if ticks < 1:
            raise ValueError("ticks must be 1 or more, such as the game's hz for one second")
        self.ticks = ticks
        self._mix = mix
        self._ticks: list[int] = []
        self._values: list[T] = []

    def __len__(self) -> int:
        return len(self._ticks)

    @property
    def oldest(self) -> int | None:
        """The oldest tick kept; None before the first."""
        return self._ticks[0] if self._ticks else None

    @property
    def newest(self) -> int | None:
        """The newest tick recorded; None before the first."""
        return self._ticks[-1] if self._ticks else None

    def record(self, tick: int, value: T) -> None:
        """Keep the value of a tick; it must not be changed afterwards. Ticks may be skipped.

        :raises ValueError: unless ticks rise.
        """
        if self._ticks and tick <= self._ticks[-1]:
            raise ValueError(f"tick {tick} after {self._ticks[-1]}: record each tick once, rising")
        self._ticks.append(tick)
        self._values.append(value)
        stale = bisect_right(self._ticks, tick - self.ticks)
        if stale:
            del self._ticks[:stale]
            del self._values[:stale]

    def at(self, tick: float) -> Past[T]:
        """The value at a tick, or the nearest kept, which says that it is clamped.

        :raises ValueError: before anything is recorded, and for a tick that is not a number.
        """
        ticks, values = self._ticks, self._values
        if not ticks:
            raise ValueError("nothing to look back at: record() a tick first")
        if tick != tick:
            raise ValueError("tick is not a number")
        if tick < ticks[0]:
            return Past(values[0], ticks[0], True)
        if tick > ticks[-1]:
            return Past(values[-1], ticks[-1], True)
        after = bisect_right(ticks, tick)
        before = after - 1
        start = ticks[before]
        if self._mix is None or tick == start:
            return Past(values[before], tick, False)
        share = (tick - start) / (ticks[after] - start)
        return Past(self._mix(values[before], values[after], share), tick, False)


class SeenTicks:
    """Which tick a player's state number stood for: from ``Input.seen`` to a tick.

    :param states: numbers kept of each player; older ones are forgotten.
    """

    __slots__ = ("_sent", "_states")

    def __init__(self, states: int = DEFAULT_STATES) -> None:
        if states < 1:
            raise ValueError("states must be 1 or more, such as two seconds' worth")
        self._states = states
        self._sent: dict[Hashable, deque[tuple[int, int]]] = {}

    def sent(self, player: Hashable, number: int, tick: int) -> None:
        """A state went out.

        :param player: any key, such as ``player.id``.
        :param number: what ``send_state`` returned; 0, for a player who has left, is ignored.
        """
        if number == 0:
            return
        sent = self._sent.get(player)
        if sent is None:
            sent = self._sent[player] = deque(maxlen=self._states)
        sent.append((number, tick))

    def seen(self, player: Hashable, number: int) -> int | None:
        """The tick of a state number; None for none seen, one forgotten, or one never sent."""
        for known, tick in reversed(self._sent.get(player, ())):
            if known == number:
                return tick
        return None

    def forget(self, player: Hashable) -> None:
        """Drop what is kept of a player who has left."""
        self._sent.pop(player, None)

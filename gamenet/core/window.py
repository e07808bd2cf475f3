"""The replay window: which packet numbers have been seen, and what to acknowledge.

Layer 1. Runs on: the reactor thread. PROTOCOL section 3.

Kept as the highest number and the set of numbers missing below it: in order, which is nearly
always, a packet costs one comparison and one store. All tests subtract; an addition could
overflow a port of this code to another language.
"""

from __future__ import annotations

from typing import Final

WIDTH: Final = 1_024
"""Numbers at or below ``highest - WIDTH`` are refused unseen."""
MAX_NUMBER: Final = 1 << 48
"""Packet numbers stay below this."""
_HALF: Final = 1 << 31
_MODULUS: Final = 1 << 32


class ReplayWindow:
    """Accepts each packet number once."""

    __slots__ = ("highest", "missing")

    def __init__(self) -> None:
        self.highest = -1
        """The highest number marked so far; -1 before the first."""
        self.missing: set[int] = set()
        """Numbers below it that were not marked, and some that are too old to be; bounded."""

    def expand(self, low: int) -> int:
        """The full number whose low 32 bits are *low*: the one nearest to ``highest + 1``."""
        expected = self.highest + 1
        distance = (low - expected) % _MODULUS
        if distance >= _HALF:
            distance -= _MODULUS
        number = expected + distance
        if number < 0:
            number += _MODULUS
        return number

    def is_fresh(self, number: int) -> bool:
        """True if *number* was never marked and is not too old to tell."""
        highest = self.highest
        if number > highest:
            return number < MAX_NUMBER
        return highest - number < WIDTH and number in self.missing

    def mark(self, number: int) -> None:
        """Remember a fresh *number*. Call it only for datagrams that opened under their key."""
        highest = self.highest
        if number == highest + 1:
            self.highest = number
        elif number > highest:
            oldest = number - WIDTH + 1
            if len(self.missing) >= WIDTH:
                # Only now and then: what is too old does no harm, and a lossy path has many gaps.
                self.missing = {old for old in self.missing if old >= oldest}
            self.missing.update(range(max(highest + 1, oldest), number))
            self.highest = number
        else:
            self.missing.discard(number)

    def acks(self) -> tuple[int, int]:
        """Low 16 bits of the highest number; bit i tells whether ``highest - 1 - i`` came."""
        highest = self.highest
        bits = 0xFFFFFFFF if highest >= 32 else (1 << max(highest, 0)) - 1
        missing = self.missing
        if missing:
            if len(missing) > 32:
                # A peer that leaves many gaps must not slow down all that we send.
                missing = missing.intersection(range(highest - 32, highest))
            for number in missing:
                distance = highest - 1 - number
                if distance < 32:
                    bits &= ~(1 << distance)
        return highest & 0xFFFF, bits

"""The log of what others do wrong: never more lines than it can stand.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from gamenet.core.rates import Bucket

DEFECT: Final = "a defect in gamenet, please report it"
MAX_LOGGED: Final = 64
"""Characters of what a peer sent that a line shows."""
TABLE: Final = 4_096
"""Kinds of fault and addresses remembered; then the oldest is forgotten."""


class FaultLog:
    """Decides whether a fault gets a line: one for each kind and address in a while.

    :param seconds: how long a kind of fault of an address stays silent after its line.
    :param lines_per_second: of all of them together.
    """

    def __init__(self, seconds: float, lines_per_second: int, now: float) -> None:
        self._seconds = seconds
        self._lines = Bucket(lines_per_second, lines_per_second, now)
        self._table: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def limit(self, seconds: float, lines_per_second: int) -> None:
        """Have other limits hold from now on."""
        self._seconds = seconds
        self._lines.rate = self._lines.burst = lines_per_second

    def note(self, kind: str, address: str, now: float) -> int:
        """A fault happened.

        :returns: how many of its kind and address a line would tell of; 0 for no line now.
        """
        key = (kind, address)
        until, count = self._table.pop(key, (0.0, 0))
        count += 1
        write = now >= until and self._lines.allows(1, now)
        self._table[key] = (now + self._seconds, 0) if write else (until, count)
        if len(self._table) > TABLE:
            self._table.popitem(last=False)
        return count if write else 0


def shown(text: str) -> str:
    """What a peer sent, as a log line may show it; to be formatted with ``!r``."""
    return text if len(text) <= MAX_LOGGED else text[:MAX_LOGGED] + "..."

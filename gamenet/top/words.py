"""Numbers as people read them, as on the page (``metrics/page/words.js``).

Layer 4. Runs on: any thread; pure functions. A number that is not known is None.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

NONE: Final = "?"
MOST: Final = 1e18
"""Beyond it nothing is an amount: all bytes that a server can send are less."""


def number(value: Any) -> float | None:
    """What a site says, as a number that can be shown.

    :raises TypeError, ValueError: if it is none, or one that nothing can be counted by.
    """
    if value is None:
        return None
    found = float(value)
    if not 0 <= found <= MOST:
        raise ValueError(f"{found} is no amount")
    return found


def short(number: float, digits: int = 1) -> str:
    """With a place after the point only where that tells something."""
    return f"{number:,.0f}" if number == 0 or number >= 10 else f"{number:.{digits}f}"


def millis(seconds: float | None) -> str:
    """A time, without its unit."""
    return NONE if seconds is None else short(1_000 * seconds)


def share(part: float | None) -> str:
    """A part of 1."""
    return NONE if part is None else short(100 * part) + "%"


def size(count: float | None) -> str:
    """Bytes."""
    if count is None:
        return NONE
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1_000:
            return f"{count:.0f} B" if unit == "B" else f"{short(count)} {unit}"
        count /= 1_000
    return f"{short(count)} TB"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def known(numbers: Iterable[float | None]) -> list[float]:
    """Those that are, the least first."""
    return sorted(number for number in numbers if number is not None)


def middle(numbers: Iterable[float | None], at: float = 0.5) -> float | None:
    """The number that a share of *at* does not exceed."""
    found = known(numbers)
    return found[min(len(found) - 1, int(at * len(found)))] if found else None


def mean(numbers: Iterable[float | None]) -> float | None:
    """Their mean."""
    found = known(numbers)
    return sum(found) / len(found) if found else None

"""How often a figure was how large: the counts of a histogram.

Layer 0. Written on one thread, read on any.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Buckets:
    """Counts of observations, by the smallest bound that is not below them.

    :param bounds: ascending.
    """

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        """Observations up to each bound and above the one before; the last are above all."""
        self.sum = 0.0
        """Of all observations."""

    def add(self, value: float, times: int = 1) -> None:
        """Observe a value, maybe several times."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.sum += value * times

    def quantile(self, share: float) -> float | None:
        """The value that so large a share of the observations does not exceed, as if those between
        two bounds were spread evenly.

        :returns: None without observations; the last bound for what is above all.
        """
        counts = self.counts.copy()
        wanted = share * sum(counts)
        if not wanted:
            return None
        seen, before = 0, 0.0
        for bound, count in zip(self.bounds, counts, strict=False):
            if seen + count >= wanted:
                return before + (bound - before) * (wanted - seen) / count
            seen, before = seen + count, bound
        return before

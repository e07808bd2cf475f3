"""When the pages that show what is so now are to ask again.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import Final

LOOK_AGAIN: Final = b"Look-Again-Ms"
"""The header of an answer that says it, in milliseconds."""
AT_ONCE: Final = 5
"""So many come in one moment; the further ones in that after it. More of them see less often what
is new, and cost no more."""
LEAST_SECONDS: Final = 0.5
MOST_SECONDS: Final = 5
"""However many there are; so that nobody who asks all the time has the others wait."""


class Looks:
    """Hands out moments, which are the whole seconds of a clock.

    Who comes in the same moment as others costs a fraction: the snapshot is made once, and what
    answers is in the processor's caches.
    """

    def __init__(self) -> None:
        self._given: dict[int, int] = {}

    def again_ms(self, now: float) -> int:
        """When whoever asks now is to come again.

        :param now: monotonic seconds.
        """
        self._given = {moment: count for moment, count in self._given.items() if moment > now}
        first = int(now + LEAST_SECONDS) + 1
        for moment in range(first, first + MOST_SECONDS):
            if self._given.get(moment, 0) < AT_ONCE:
                break
        self._given[moment] = self._given.get(moment, 0) + 1
        return round(1_000 * (moment - now))

"""One snapshot a second of a kind for everybody who asks, and none where nobody does.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gamenet.core.rates import Bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamenet.metrics.report import Report, Snapshot

FAILED: Final = "the status page failed"
PER_SECOND: Final = 1.0
"""Snapshots in the long run, however many ask."""
BURST: Final = 4
"""So many after a rest: whoever asks now and then, or twice in a row, gets what is so now."""


class Snapshots:
    """Has snapshots made, a share in each turn of the reactor, so that no turn is long.

    :param history: whether they have what was in the last 30 s of each player.
    :param now: monotonic seconds.
    :param failed: called with words for the log where the exception at hand is a defect.
    """

    def __init__(
        self,
        report: Report,
        reactor: Any,
        now: Callable[[], float],
        failed: Callable[[str], None],
        *,
        history: bool = True,
    ) -> None:
        self._history = history
        self._failed = failed
        self._report = report
        self._reactor = reactor
        self._now = now
        self._newest: Snapshot | None = None
        self._bucket = Bucket(PER_SECOND, BURST, now())
        self._steps: Iterator[Snapshot | None] | None = None
        self._took = 0.0
        self._waiting: list[Callable[[Snapshot | None], None]] = []

    def ask(self, answer: Callable[[Snapshot | None], None]) -> None:
        """Have *answer* called with a snapshot, or None if that fails.

        It is a new one, unless too many were made of late, and the newest one then. It is called at
        once where there is little to do.
        """
        if self._steps is None:
            if not self._bucket.allows(1.0, self._now()) and self._newest is not None:
                answer(self._newest)
                return
            self._steps = self._report.make(history=self._history)
            self._waiting.append(answer)
            self._step()
        else:
            self._waiting.append(answer)

    def _step(self) -> None:
        """Do the next share, and see to the one after it."""
        assert self._steps is not None
        began = self._now()
        try:
            made = next(self._steps)
        except Exception:
            self._failed(FAILED)
            self._steps = None
            self._tell(None)
            return
        self._took += self._now() - began
        if made is None:
            self._reactor.callLater(0.0, self._step)
            return
        self._newest, self._steps = made, None
        self._report.took, self._took = self._took, 0.0
        self._tell(made)

    def _tell(self, found: Snapshot | None) -> None:
        waiting, self._waiting = self._waiting, []
        for answer in waiting:
            answer(found)

"""How much a server sends to one client over the low-latency layer: never more, and less in time.

Layer 1. Runs on: the reactor thread. ``docs/BUDGET.rst`` has the reasons.

A token bucket bounds what leaves. How fast it fills is set by additive increase and multiplicative
decrease, after two signs of a path that is too narrow: datagrams are lost, by the rule of Google
Congestion Control (draft-ietf-rmcat-gcc-02, section 6; Carlucci et al., MMSys 2016), or the round
trip takes longer than it can, by the base delay of LEDBAT (RFC 6817); then the rate goes to a share
of what has arrived, as in section 5.5 of that draft.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.core.wire import MAX_DATAGRAM_BYTES

if TYPE_CHECKING:
    from gamenet.core.quality import Estimator, PathQuality

LEAST_BYTES_PER_SECOND: Final = 4_096
"""The smallest budget: below it acknowledgements alone would take most of it."""
MOST_BYTES_PER_SECOND: Final = 1 << 40
"""The largest budget: no line carries it, and sums of it are exact; infinity is none."""
BURST_SHARE: Final = 1 / 8
"""Of a second's bytes that may leave at once: it takes up what came due between two beats."""
RESERVE_BYTES: Final = 1_600
"""What states and unreliable messages leave to answers: the longest is as long as a datagram."""
LEAST_RESERVE_BYTES: Final = 400
LEAST_BURST_BYTES: Final = MAX_DATAGRAM_BYTES + LEAST_RESERVE_BYTES
"""Whatever the rate, a datagram of full size must be able to leave some time."""
LEAST_ALLOWED: Final = 2_048.0
"""Bytes a second that no path takes away: acknowledgements, and a state now and then ..."""
LEAST_SHARE: Final = 1 / 8
"""... or so much of what the budget allows: another's download on the same line fills its queue
whatever we do, and must not end the game."""

LOOK_SECONDS: Final = 0.25
"""How often the rate changes at most: several round trips of a good path, a part of a bad one."""
INCREASE_SECONDS: Final = 8.0
"""From nothing to all: slow enough to notice the queue that each step makes."""
LOSS_DATAGRAMS: Final = 50
"""So many must be acknowledged or lost for a verdict; with fewer, chance would make one of 5 %."""
LOSS_IGNORED: Final = 0.02
"""Of datagrams: as many are lost on good paths, whatever is sent."""
LOSS_TOO_MUCH: Final = 0.10
"""Of datagrams: beyond it the path is too narrow; between the two the rate stays as it is."""
QUEUE_SECONDS: Final = 0.05
"""What may queue on the path beside its jitter, half of the most that LEDBAT allows: a queue of
ours delays the inputs that the player sees answered."""
DECREASE: Final = 0.85
"""Of what has arrived, when the queue is longer."""
BASE_SECONDS: Final = 30.0
"""The shortest round trip is that of this time and as much again: a path may become longer."""

HELPLESS_SECONDS: Final = 5.0
"""A round trip that stays long for so long, with the rate at its least, is no queue of ours."""

_NEVER: Final = float("inf")


class Budget:
    """The bytes that may leave for one client.

    Who sends takes from ``level``, after ``refill``, what leaves: never more than there is. A
    session does that sum in place, so that a flush costs no call.

    :param bytes_per_second: the most in any second.
    :raises ValueError: if that is less than 4,096, or more than 2 ** 40.
    """

    __slots__ = (
        "_acked",
        "_base",
        "_base_before",
        "_base_since",
        "_datagrams_then",
        "_estimator",
        "_is_lossy",
        "_least",
        "_least_since",
        "_look_due",
        "_looked",
        "_loss_acked",
        "_loss_lost",
        "_most",
        "_sent_then",
        "allowed",
        "burst",
        "ceiling",
        "level",
        "reserve",
        "when",
    )

    def __init__(self, bytes_per_second: int | float, now: float) -> None:
        self.ceiling = 0
        """The most bytes in any second."""
        self.allowed = 0.0
        """Bytes a second at which the bucket fills now: what leaves in the long run."""
        self._least = self._most = 0.0
        self._least_since = now
        """Until when ``allowed`` was more than the least."""
        self.burst = _NEVER
        """Bytes that the bucket holds."""
        self.reserve = 0.0
        """Bytes of them that states and unreliable messages leave."""
        self.level = _NEVER
        """Bytes that might leave at ``when``."""
        self.when = now
        self._estimator: Estimator | None = None
        """Of the path that the figures below are about."""
        self._look_due = now
        self._looked = now
        self._base = self._base_before = _NEVER
        self._base_since = now
        self._is_lossy = False
        self._loss_acked = self._loss_lost = 0
        self._acked = self._sent_then = self._datagrams_then = 0
        self.limit(bytes_per_second, now)

    def limit(self, bytes_per_second: int | float, now: float) -> None:
        """From here on this is the most in any second.

        :raises ValueError: if that is no budget.
        """
        check_budget(bytes_per_second)
        self.refill(now)
        was_all = self.allowed >= self._most
        self.ceiling = int(bytes_per_second)
        # What is full at first, and fills for a closed second, is never more than the budget.
        self._most = bytes_per_second - _burst(bytes_per_second)
        self._least = max(LEAST_ALLOWED, LEAST_SHARE * self._most)
        self._allow(self._most if was_all else self.allowed)

    def _allow(self, rate: float) -> None:
        """Fill at this rate from now on, within the bounds; call ``refill`` before."""
        allowed = self.allowed = min(max(rate, self._least), self._most)
        # The bucket becomes smaller with the rate: its burst is what queues first.
        share = allowed / self._most
        burst = self.burst = max(share * _burst(self.ceiling), LEAST_BURST_BYTES)
        self.reserve = min(RESERVE_BYTES, burst - MAX_DATAGRAM_BYTES)
        self.level = min(self.level, burst)

    def refill(self, now: float) -> float:
        """Bring ``level`` up to *now*.

        :returns: it.
        """
        level = min(self.burst, self.level + (now - self.when) * self.allowed)
        self.level = level
        self.when = now
        return level

    # What the path can take.

    def look(self, quality: PathQuality, bytes_out: int, datagrams_out: int, now: float) -> None:
        """Set the rate by what became of the last quarter of a second; asked at each beat.

        :param bytes_out: sent to this client so far; what is sent inside TCP too.
        :param datagrams_out: datagrams so far.
        """
        if now < self._look_due:
            return
        seconds = now - self._looked
        self._look_due = now + LOOK_SECONDS
        self._looked = now
        sent, self._sent_then = bytes_out - self._sent_then, bytes_out
        datagrams, self._datagrams_then = datagrams_out - self._datagrams_then, datagrams_out
        acked, self._acked = quality.acked - self._acked, quality.acked
        estimator = quality.estimator
        least, estimator.least = estimator.least, _NEVER
        if estimator is not self._estimator:
            # Another path, whose first samples say how long it is.
            self._estimator = estimator
            self._base, self._base_before, self._base_since = least, _NEVER, now
            self._loss_acked, self._loss_lost = quality.acked, quality.lost
            self._is_lossy = False
            return
        self.refill(now)
        if self.allowed > self._least:
            self._least_since = now
        if self._look_at_loss(quality) or least == _NEVER:
            return
        if self._queued(least, now) > QUEUE_SECONDS + estimator.jitter:
            # Datagrams of one time are of much the same size, so those that arrived tell how many
            # bytes did.
            arrived = acked * sent / max(datagrams, 1) / seconds
            self._allow(min(self.allowed, DECREASE * arrived))
            if now - self._least_since >= HELPLESS_SECONDS:
                self._base, self._base_before, self._base_since = least, _NEVER, now
        elif not self._is_lossy:
            # Where the session looked late, as much as for a second at most.
            self._allow(self.allowed + self._most * min(seconds, 1.0) / INCREASE_SECONDS)

    def rested(self, now: float) -> None:
        """Nothing was sent or acknowledged until *now*, where the last look would have been."""
        if self.allowed > self._least:
            self._least_since = now
        self._looked = now
        self._look_due = now + LOOK_SECONDS

    def _look_at_loss(self, quality: PathQuality) -> bool:
        """Judge the losses, once there is enough to judge; True if the rate fell for them."""
        acked, lost = quality.acked - self._loss_acked, quality.lost - self._loss_lost
        if acked + lost < LOSS_DATAGRAMS:
            return False
        self._loss_acked, self._loss_lost = quality.acked, quality.lost
        share = lost / (acked + lost)
        self._is_lossy = share >= LOSS_IGNORED
        if share <= LOSS_TOO_MUCH:
            return False
        self._allow(self.allowed * (1 - share / 2))
        return True

    def _queued(self, least: float, now: float) -> float:
        """How much longer the shortest round trip of late was than the shortest of a long time."""
        if now - self._base_since >= BASE_SECONDS:
            self._base_before, self._base, self._base_since = self._base, least, now
        elif least < self._base:
            self._base = least
        return least - min(self._base, self._base_before)


def check_budget(bytes_per_second: int | float) -> None:
    """Refuse what is no budget.

    :raises ValueError: if it is less than 4,096, or more than 2 ** 40.
    """
    if not LEAST_BYTES_PER_SECOND <= bytes_per_second <= MOST_BYTES_PER_SECOND:
        raise ValueError(
            f"a budget must be at least {LEAST_BYTES_PER_SECOND} bytes a second and at most "
            f"{MOST_BYTES_PER_SECOND}, not {bytes_per_second!r}"
        )


def _burst(bytes_per_second: float) -> float:
    return max(BURST_SHARE * bytes_per_second, LEAST_BURST_BYTES)

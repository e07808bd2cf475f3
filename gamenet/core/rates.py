"""How much of something a peer may do: so much a second, and a burst of it at once.

Layer 1. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import Final

from gamenet.core.frames import Kind

LONGEST_PAUSE_SECONDS: Final = 1.0
"""Nobody's frames wait longer than this for a rate limit alone."""
BYTES_BURST_SECONDS: Final = 2.0
"""What so many seconds allow in bytes may come at once."""
_ROUNDING: Final = 0.001
"""Of a datagram or byte, so that sums of fractions do not cost a whole one."""
ANSWERS_FACTOR: Final = 10
"""So many times as many answers as other frames may come."""
_ANSWERS: Final = frozenset(map(int, (Kind.ACK, Kind.PONG, Kind.REKEYED, Kind.BYE, Kind.TUNNEL)))
"""Kinds of frame that answer ours, or end it all, or have the limit of datagrams: waiting for them
would make what is reliable wait."""
_SAY: Final = int(Kind.SAY)


class Bucket:
    """Fills at a rate up to a burst. What is taken may be more than there is: it owes the rest.

    :param rate: units a second.
    :param burst: units that may be taken at once after a rest.
    """

    __slots__ = ("_level", "_when", "burst", "rate")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self.rate = rate
        self.burst = burst
        self._level = float(burst)
        self._when = now

    def take(self, amount: float, now: float) -> float:
        """Take, whatever is there.

        :returns: seconds until it owes nothing; 0.0 if it owes nothing now.
        """
        level = self._level + (now - self._when) * self.rate
        if level > self.burst:
            level = self.burst
        level -= amount
        self._when = now
        self._level = level
        return 0.0 if level >= 0 else -level / self.rate

    def allows(self, amount: float, now: float) -> bool:
        """Take if it is there; nothing is taken otherwise."""
        level = min(self.burst, self._level + (now - self._when) * self.rate)
        self._when = now
        allowed = level >= amount
        self._level = level - amount if allowed else level
        return allowed

    def wait(self, amount: float, now: float) -> float:
        """Seconds until so much is there."""
        level = min(self.burst, self._level + (now - self._when) * self.rate)
        return max(0.0, (amount - level) / self.rate)

    def is_full(self, now: float) -> bool:
        """True if it is as it was at the beginning, so that it can be forgotten."""
        return self._level + (now - self._when) * self.rate >= self.burst


class FrameRates:
    """What one player's connection may bring: frames, bytes and lines of chat.

    Over its limits nothing is lost: the connection is not read for as long as it takes.
    """

    __slots__ = ("_answers", "_bytes", "_chats", "_frames", "per_read")

    def __init__(
        self,
        frames_per_second: float,
        frames_burst: int,
        bytes_per_second: int,
        chats_per_second: float,
        per_read: int,
        now: float,
    ) -> None:
        self._frames = Bucket(frames_per_second, frames_burst, now)
        self._answers = Bucket(
            ANSWERS_FACTOR * frames_per_second, ANSWERS_FACTOR * frames_burst, now
        )
        self._bytes = Bucket(bytes_per_second, BYTES_BURST_SECONDS * bytes_per_second, now)
        self._chats = Bucket(chats_per_second, chats_per_second, now)
        self.per_read = per_read
        """Frames handled before other connections get a turn."""

    def charge(self, frame: bytes, now: float) -> float:
        """A frame was read.

        :returns: seconds for which no more should be read.
        """
        wait = self._bytes.take(len(frame) + 4, now)
        kind = frame[0] if frame else 0
        if kind in _ANSWERS:
            more = self._answers.take(1, now)
        else:
            more = self._frames.take(1, now)
            if kind == _SAY:
                more = max(more, self._chats.take(1, now))
        if more > wait:
            wait = more
        return wait if wait < LONGEST_PAUSE_SECONDS else LONGEST_PAUSE_SECONDS


class DatagramRates:
    """What one player's datagrams may come to: how many, how many bytes, and for how long more.

    The session itself does the sum for each datagram, so that it costs no call.

    :param factor: this many times the rate is abuse ...
    :param abuse_seconds: ... after so many whole seconds of it on end.
    """

    __slots__ = (
        "_abuse_seconds",
        "_abusive",
        "_second",
        "_seen",
        "_too_many",
        "bytes",
        "datagrams",
    )

    def __init__(
        self,
        datagrams_per_second: int,
        datagrams_burst: int,
        bytes_per_second: int,
        factor: int,
        abuse_seconds: int,
        now: float,
    ) -> None:
        self.datagrams = (
            1 / datagrams_per_second,
            (datagrams_burst + _ROUNDING) / datagrams_per_second,
        )
        """Seconds that one takes, and seconds that may be taken at once."""
        self.bytes = (1 / bytes_per_second, BYTES_BURST_SECONDS + _ROUNDING / bytes_per_second)
        """The same for a byte."""
        self._too_many = factor * datagrams_per_second
        self._abuse_seconds = abuse_seconds
        self._second = now
        self._seen = 0
        self._abusive = 0.0

    def is_calm(self, seen: int) -> bool:
        """Whether another look would find nothing, as long as nothing comes."""
        return seen == self._seen and not self._abusive

    def rested(self, now: float) -> None:
        """Nothing came until *now*, where the last look would have been."""
        self._second = now

    def is_abused(self, seen: int, now: float) -> bool:
        """Look at the last seconds; asked now and then.

        :param seen: datagrams of this player so far, refused ones too.
        :returns: True if the player must be cut.
        """
        passed = now - self._second
        if passed >= 1.0:
            if seen - self._seen >= self._too_many * passed:
                self._abusive += passed
            else:
                self._abusive = 0.0
            self._second = now
            self._seen = seen
        return self._abusive >= self._abuse_seconds

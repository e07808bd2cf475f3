"""What a session sends and gets: counts by type of message, rates, and a history for graphs.

Layer 1. Runs on: the reactor thread; read from any.

Counting is in the way of every datagram, so it is one addition for a message, made in place by
whoever has the message. The rest happens ten times a second at most, with a datagram that leaves
anyway or when the session looks at the time; a session where nothing happens is not woken for it.
"""

from __future__ import annotations

from operator import add
from struct import error as StructError
from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.core.wire import INPUT_ACK, STATE, TYPE_MASK, MessageType
from gamenet.samples import LOSS_STEPS, MAX_SAMPLES, ROW, SAMPLE_HZ, TIMES_A_SECOND, TypeRate

if TYPE_CHECKING:
    from gamenet.core.quality import PathQuality

RATE_SECONDS: Final = 1.0
"""Rates are those of the last whole period of so many seconds."""
EARLY_SECONDS: Final = 0.05
"""A period may be so much shorter: it ends with one of the looks, which are a tenth apart."""
_ONE_BITS: Final = 48
ONE: Final = 1 << _ONE_BITS
"""What one message adds to a count, and each of its bytes 1: one addition for both."""
ACKED_STATE: Final = 0
"""In the place of no type, a server counts an INPUT_ACK and a STATE that it sends in one go; with
the bytes of what that holds behind its header."""
_ONE_LESS: Final = ONE - 1
_TYPES: Final = max(MessageType) + 1
_NAMES: Final = tuple((int(kind), kind.name.lower()) for kind in MessageType)
_PLACES: Final = ("", *(name for _, name in _NAMES))
"""Their names by the places of their counts."""
_MOST_16: Final = 0xFFFF
_MOST_8: Final = 0xFF
_RING_BYTES: Final = MAX_SAMPLES * ROW.size
_pack: Final = ROW.pack

Totals = tuple[int, int, int, int]
"""Bytes in and out, datagrams in and out."""
NOTHING: Final[Totals] = (0, 0, 0, 0)


class Period(NamedTuple):
    """What was counted in about a second."""

    seconds: float
    totals: Totals
    came: list[int]
    sent: list[int]


class Rates(NamedTuple):
    """What went each way in a second."""

    bytes_in: float
    bytes_out: float
    datagrams_in: float
    datagrams_out: float
    types_in: dict[str, TypeRate]
    """By the name of the type in lower case; only those that came."""
    types_out: dict[str, TypeRate]


class Sums:
    """What all sessions together have got and sent since the beginning, by type; see ``ONE``.

    Each session adds what it has counted when a period of its own is over, and when it ends.
    """

    __slots__ = ("came", "sent")

    def __init__(self) -> None:
        self.came = [0] * _TYPES
        self.sent = [0] * _TYPES

    def add(self, came: list[int], sent: list[int]) -> None:
        """So much more."""
        self.came = list(map(add, self.came, came))
        self.sent = list(map(add, self.sent, sent))


class Series:
    """The last 300 tenths of a second, packed.

    :param now: monotonic seconds.
    """

    __slots__ = ("_rows", "_tenth", "_totals", "due")

    def __init__(self, now: float) -> None:
        self._rows = bytearray()
        self._tenth = int(now * SAMPLE_HZ)
        self._totals = NOTHING
        self.due = (self._tenth + 1) / SAMPLE_HZ
        """When the next row is complete, in monotonic seconds."""

    def add(
        self,
        now: float,
        rtt: float,
        jitter: float,
        loss_in: float,
        loss_out: float,
        totals: Totals,
    ) -> None:
        """Write the rows of the tenths that have passed: one, or more where nobody looked.

        Rows of the same call share evenly what was counted, so that their sum is right.

        :param totals: all that was counted by now.
        """
        tenth = int(now * SAMPLE_HZ)
        count = tenth - self._tenth
        if count <= 0:
            return
        self._tenth = tenth
        self.due = (tenth + 1) / SAMPLE_HZ
        before, self._totals = self._totals, totals
        rows = self._rows
        if count == 1:
            try:
                rows += _pack(
                    int(rtt * TIMES_A_SECOND + 0.5),
                    int(jitter * TIMES_A_SECOND + 0.5),
                    int(loss_in * LOSS_STEPS + 0.5),
                    int(loss_out * LOSS_STEPS + 0.5),
                    totals[0] - before[0],
                    totals[1] - before[1],
                    totals[2] - before[2],
                    totals[3] - before[3],
                )
            except StructError:
                # Something is beyond its most.
                self._fill(1, rtt, jitter, loss_in, loss_out, totals, before)
        else:
            self._fill(count, rtt, jitter, loss_in, loss_out, totals, before)
        if len(rows) > _RING_BYTES:
            # Cheap: a bytearray only remembers that it begins further on.
            del rows[:-_RING_BYTES]

    def _fill(
        self,
        count: int,
        rtt: float,
        jitter: float,
        loss_in: float,
        loss_out: float,
        totals: Totals,
        before: Totals,
    ) -> None:
        """Write *count* rows, whatever they hold."""
        if totals == before:
            # Nothing came and nothing went: all are the same.
            row_bytes = _pack(
                min(int(rtt * TIMES_A_SECOND + 0.5), _MOST_16),
                min(int(jitter * TIMES_A_SECOND + 0.5), _MOST_16),
                int(loss_in * LOSS_STEPS + 0.5),
                int(loss_out * LOSS_STEPS + 0.5),
                *NOTHING,
            )
            self._rows += row_bytes * min(count, MAX_SAMPLES)
            return
        for row in range(max(0, count - MAX_SAMPLES), count):
            came, went, datagrams_came, datagrams_went = (
                _share(by_now - by_then, row, count)
                for by_now, by_then in zip(totals, before, strict=True)
            )
            self._rows += _pack(
                min(int(rtt * TIMES_A_SECOND + 0.5), _MOST_16),
                min(int(jitter * TIMES_A_SECOND + 0.5), _MOST_16),
                int(loss_in * LOSS_STEPS + 0.5),
                int(loss_out * LOSS_STEPS + 0.5),
                min(came, _MOST_16),
                min(went, _MOST_16),
                min(datagrams_came, _MOST_8),
                min(datagrams_went, _MOST_8),
            )

    def rows(self) -> bytes:
        """All rows, packed, the newest last; from any thread."""
        return bytes(self._rows)[-_RING_BYTES:]


class Traffic:
    """Counts of a session's messages, and what follows from them.

    :param now: monotonic seconds.
    :param sums: where they are added to those of other sessions.
    """

    __slots__ = ("_began", "_last", "_sums", "_totals", "came", "due", "sent", "series")

    def __init__(self, now: float, sums: Sums | None = None) -> None:
        self._sums = sums or Sums()
        self.came = [0] * _TYPES
        """The messages that came in this period, by type; see ``ONE``."""
        self.sent = [0] * _TYPES
        """Those that were sent; see ``ACKED_STATE``, too."""
        self.series = Series(now)
        self.due = self.series.due
        """When ``look`` has something to do, in monotonic seconds."""
        self._began = now
        self._totals = NOTHING
        self._last = Period(RATE_SECONDS, NOTHING, self.came[:], self.sent[:])

    def count_sent(self, messages: list[tuple[int, bytes]]) -> None:
        """Messages leave: (type byte, payload) each."""
        sent = self.sent
        for kind, payload in messages:
            sent[kind & TYPE_MASK] += ONE + len(payload)

    def look(self, now: float, totals: Totals, quality: PathQuality) -> None:
        """``due`` has come: write down what the path is like.

        :param totals: all that was counted by now.
        """
        estimator = quality.estimator
        series = self.series
        series.add(
            now, estimator.latest, estimator.jitter, quality.loss_in, quality.loss_out, totals
        )
        self.due = series.due
        seconds = now - self._began
        if seconds >= RATE_SECONDS - EARLY_SECONDS:
            self._began = now
            before, self._totals = self._totals, totals
            more = (
                totals[0] - before[0],
                totals[1] - before[1],
                totals[2] - before[2],
                totals[3] - before[3],
            )
            # One assignment, since other threads read it.
            self._last = Period(seconds, more, self.came, self.sent)
            self.finish()

    def finish(self) -> None:
        """The period is over, or the session is: what it counted belongs to the sums."""
        self._sums.add(self.came, self.sent)
        self.came, self.sent = [0] * _TYPES, [0] * _TYPES

    def period(self) -> Period:
        """The last whole second, as it was counted."""
        return self._last

    def rates(self) -> Rates:
        """Rates of the last whole second; all zero in the first. From any thread."""
        seconds, totals, came, sent = self._last
        bytes_in, bytes_out, datagrams_in, datagrams_out = totals
        return Rates(
            bytes_in / seconds,
            bytes_out / seconds,
            datagrams_in / seconds,
            datagrams_out / seconds,
            _by_name(came, seconds),
            _by_name(sent, seconds),
        )


def _share(number: int, row: int, rows: int) -> int:
    """What the *row*-th of so many rows gets of a number."""
    return number * (row + 1) // rows - number * row // rows


def _by_name(counts: list[int], seconds: float) -> dict[str, TypeRate]:
    return {
        name: TypeRate(messages / seconds, size / seconds)
        for name, messages, size in by_type(counts)
    }


def by_type(counts: list[int]) -> list[tuple[str, int, int]]:
    """Name in lower case, messages and bytes of each type that occurs in counts of messages."""
    together = counts[ACKED_STATE]
    if together:
        counts = counts[:]
        messages = together // ONE
        counts[MessageType.INPUT_ACK] += messages * (ONE + INPUT_ACK.size)
        counts[MessageType.STATE] += together + messages * STATE.size
    return [
        (name, counts[kind] // ONE, counts[kind] % ONE) for kind, name in _NAMES if counts[kind]
    ]


def bytes_by_type(counts: list[int]) -> dict[str, int]:
    """Bytes of each type that occurs in counts of messages, by its name in lower case."""
    found = {name: count & _ONE_LESS for name, count in zip(_PLACES, counts, strict=True) if count}
    together = counts[ACKED_STATE]
    if together:
        del found[""]
        messages = together >> _ONE_BITS
        found["input_ack"] = found.get("input_ack", 0) + messages * INPUT_ACK.size
        found["state"] = found.get("state", 0) + (together & _ONE_LESS) + messages * STATE.size
    return found

"""What the status site says of each player, and of all of them together.

Layer 4. Runs on: the reactor thread.

Read from the sessions themselves, not by way of ``Quality``: with 200 players this runs once a
second between two turns of a server that has better things to do.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from gamenet.addresses import join_address
from gamenet.buckets import Buckets
from gamenet.core.traffic import bytes_by_type
from gamenet.samples import MAX_SAMPLES, ROW, SAMPLE_HZ, TIMES_A_SECOND

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.core.server_session import ServerSession
    from gamenet.server_host import ServerHost

EVERY: Final = 10
"""Of a session's rows, each so-manieth is in the history."""
POINTS: Final = MAX_SAMPLES // EVERY
STEP_SECONDS: Final = EVERY / SAMPLE_HZ
IS_LITTLE: Final = sys.byteorder == "little"
_WORDS: Final = ROW.size // 2
_LOSS_AT: Final = 4
"""Where in a row the byte of the loss inwards is; the other one follows."""
RTT_BOUNDS: Final = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
"""Seconds; where the label of a path changes, and between."""


class Crowd:
    """All players as of one look: by path and by label."""

    def __init__(self) -> None:
        self.paths = {"udp": 0, "tcp": 0}
        self.labels: Counter[str] = Counter()


class RoundTrips:
    """A histogram of what was measured on every path, ten times a second.

    It is brought up to date when somebody looks, from the rows that the sessions keep anyway. What
    nobody has looked at for 30 s is not in it.
    """

    def __init__(self) -> None:
        self.buckets = Buckets(RTT_BOUNDS)
        self.found: list[int] = []
        """Round trips as rows have them; 0 is none yet."""

    def settle(self) -> None:
        """All that was found is counted."""
        for measured, times in Counter(self.found).items():
            if measured:
                self.buckets.add(measured / TIMES_A_SECOND, times)
        self.found = []


def describe(
    host: ServerHost,
    sessions: Iterable[ServerSession],
    crowd: Crowd,
    trips: RoundTrips,
    new_rows: int,
    *,
    history: bool = True,
) -> list[dict[str, Any]]:
    """What the page says of each, of those that the game knows.

    :param crowd: takes note of them.
    :param trips: takes note of their round trips.
    :param new_rows: how many rows a session may have that no look before has seen.
    :param history: whether to say what was in the last 30 s.
    """
    seats, now = host.seats, host.now()
    found = []
    for session in sessions:
        if session.player.id in seats:
            one = _player(host, session, now)
            rows = session.traffic.samples(now, session.quality)
            if new_rows:
                trips.found += _words(rows[-new_rows * ROW.size :])[::_WORDS].tolist()
            if history:
                one["history"] = _history(rows)
            crowd.paths[one["path"]] += 1
            crowd.labels[one["label"]] += 1
            found.append(one)
    return found


def _player(host: ServerHost, session: ServerSession, now: float) -> dict[str, Any]:
    quality = session.quality
    estimator = quality.estimator
    known = estimator.samples > 0
    connection = host.connection_of(session)
    peer = connection.peer if connection is not None else None
    seconds, totals, came, sent = session.traffic.period(now)
    _, late, early, missing = session.input_figures
    player, outgoing = session.player, session.outgoing
    return {
        "id": player.id,
        "name": player.name,
        "address": join_address(str(getattr(peer, "host", "")), int(getattr(peer, "port", 0))),
        "suspended": session.is_suspended,
        "path": "tcp" if session.tunnelled else "udp",
        "label": quality.label,
        "rtt_seconds": estimator.rtt if known else None,
        "rtt_min_seconds": estimator.rtt_min if known else None,
        "rtt_latest_seconds": estimator.latest if known else None,
        "end_to_end_seconds": session.seat.end_to_end_seconds or None,
        "jitter_seconds": estimator.jitter if known else None,
        "loss_in": quality.loss_in,
        "loss_out": quality.loss_out,
        "bytes_in": session.bytes_in,
        "bytes_out": session.bytes_out,
        "bytes_per_second_in": int(totals[0] / seconds),
        "bytes_per_second_out": int(totals[1] / seconds),
        "datagrams_per_second_in": int(totals[2] / seconds),
        "datagrams_per_second_out": int(totals[3] / seconds),
        "types_in": bytes_by_type(came),
        "types_out": bytes_by_type(sent),
        "queued_messages": outgoing.messages,
        "queued_bytes": outgoing.size,
        "queued_state_bytes": session.queued_state_bytes,
        "send_bytes_per_second": int(session.send_bytes_per_second),
        "send_bytes_per_second_most": session.budget.ceiling,
        "inputs_late": late,
        "inputs_early": early,
        "inputs_missing": missing,
    }


def _words(rows: bytes) -> array[int]:
    words = array("H", rows)
    if IS_LITTLE:
        words.byteswap()
    return words


def _history(rows: bytes) -> dict[str, list[int]]:
    """Each tenth row, the newest among them, in the units that rows have."""
    words = _words(rows)
    count = len(rows) // ROW.size
    first = (count - 1) % EVERY if count else 0
    loss_at = first * ROW.size + _LOSS_AT
    return {
        "rtt": words[first * _WORDS :: EVERY * _WORDS].tolist(),
        "jitter": words[first * _WORDS + 1 :: EVERY * _WORDS].tolist(),
        "loss_in": list(rows[loss_at :: EVERY * ROW.size]),
        "loss_out": list(rows[loss_at + 1 :: EVERY * ROW.size]),
    }


def finite(number: float) -> float | None:
    """JSON has no infinities."""
    return number if math.isfinite(number) else None

"""What a path was like in each tenth of a second, for graphs; and rates by type of message.

Layer 0. Rows are packed by ``core/traffic.py``, and unpacked here once somebody asks.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

SAMPLE_HZ: Final = 10
"""Rows a second."""
MAX_SAMPLES: Final = 300
"""Rows that a session keeps: the last 30 s."""

# row        u16 RTT, 0.1 ms | u16 jitter, 0.1 ms | u8 loss in, 1/255 | u8 loss out, 1/255
#            | u16 bytes in | u16 bytes out | u8 datagrams in | u8 datagrams out
#            each at its most where it is beyond that
ROW: Final = Struct("!HHBBHHBB")
TIMES_A_SECOND: Final = 10_000
LOSS_STEPS: Final = 255


class TypeRate(NamedTuple):
    """How much of one type of message went one way in the last whole second."""

    messages_per_second: float
    bytes_per_second: float
    """Of the messages alone, without what a datagram puts around them."""


class Sample(NamedTuple):
    """A path at the end of one tenth of a second, and what went over it meanwhile."""

    rtt_seconds: float
    """The newest measurement by then, not smoothed; at most 6.5535. 0 while there is none."""
    jitter_seconds: float
    """At most 6.5535."""
    loss_in: float
    """Smoothed as in ``Quality``, 0 to 1 in steps of 1/255."""
    loss_out: float
    bytes_in: int
    """At most 65,535, as ``bytes_out``; while little happens, an even share of up to a second."""
    bytes_out: int
    datagrams_in: int
    """At most 255, as ``datagrams_out``."""
    datagrams_out: int


def unpacked(rows: bytes) -> tuple[Sample, ...]:
    """The samples of packed rows, in their order."""
    return tuple(
        Sample(
            rtt / TIMES_A_SECOND,
            jitter / TIMES_A_SECOND,
            loss_in / LOSS_STEPS,
            loss_out / LOSS_STEPS,
            *counts,
        )
        for rtt, jitter, loss_in, loss_out, *counts in ROW.iter_unpack(rows)
    )

"""Whether inputs arrive in time for their tick, and how far ahead a client has to be for that.

Layer 1. Runs on: the reactor thread; read from any. PROTOCOL section 4, INPUT and INPUT_TIMING.

A client that waits to see the server's tick before it makes an input for it is always too late. So
it makes each input for the first tick that begins when the input will be there. The server keeps
the input until then, and tells how much time the hastiest one had left. What the client has allowed
less that time is what the way took, with the loss of a datagram and the wait for the next one in
it. The longest but one of the newest such times, and a margin, is the lead: what happens once in
four seconds is a hiccup, for which a player is not to wait all the time. That the buffer's depth
follows the path by reports of the server is how the client of *Overwatch* does it (T. Ford,
"Overwatch Gameplay Architecture and Netcode", GDC 2017).
"""

from __future__ import annotations

from array import array
from collections import deque
from math import floor
from struct import Struct
from typing import TYPE_CHECKING, Final

from gamenet.errors import WireError

if TYPE_CHECKING:
    from gamenet.core.counters import Counters

# INPUT_TIMING  server to client: u32 late | u32 early | u32 missing, all since the join
#               | u32 number of the input that had the least time left since the last INPUT_TIMING;
#               0 for none | i32 that time in microseconds
INPUT_TIMING: Final = Struct("!IIIIi")
TOLD_SECONDS: Final = 0.5
"""How often the server tells at most."""
EARLY_SECONDS: Final = 0.1
"""An input that waits for longer than this and a tick is early."""
MARGIN_SECONDS: Final = 0.005
"""The time left that a client aims at: what the two threads and the kernel may take at times."""
MAX_LEAD_SECONDS: Final = 1.0
"""No client waits longer for its own inputs, whatever it is told."""
MAX_WAY_SECONDS: Final = 5.0
"""A way that seems longer is none: the game has numbered its ticks anew, or the server lies."""
WAYS: Final = 8
"""Reports whose longest way but one counts: four seconds of them."""
EASE: Final = 8
"""The lead falls by this part of what it is too long, with each report."""
NUMBERS: Final = 256
"""Inputs whose departure is remembered: more than may be unacknowledged."""
_MOST: Final = 0x7FFFFFFF
_LOW: Final = 0xFFFFFFFF


class InputTiming:
    """The server's side, for one player.

    :param hold_seconds: an input that comes longer before its tick is not held for so long; with 0
        none is held at all.
    :param counters: where the late and early ones of all players are counted.
    """

    __slots__ = (
        "_counters",
        "_hold_seconds",
        "_least",
        "_least_number",
        "due",
        "early",
        "late",
        "lead",
        "missing",
        "told_at",
    )

    def __init__(self, hold_seconds: float, counters: Counters) -> None:
        self._hold_seconds = hold_seconds
        self._counters = counters
        self.late = 0
        """Inputs that came when their tick had begun."""
        self.early = 0
        """Inputs that came more than 0.1 s and a tick before theirs."""
        self.missing = 0
        """Inputs that never came."""
        self.lead = 0.0
        """Seconds of time left that the hastiest input had, when that was told last."""
        self.due = False
        """Something is to be told."""
        self.told_at = 0.0
        """When something was last to be told."""
        self._least = 0.0
        self._least_number = 0

    def came(self, number: int, low: int, now: float, zero: float, dt: float) -> int:
        """An input came.

        :param low: low half of the tick that it is meant for.
        :param now: monotonic seconds.
        :param zero: when tick 0 began, in monotonic seconds.
        :param dt: length of a tick.
        :returns: the tick to hold it for, at most ``hold_seconds`` ahead, or the next.
        """
        # As ``Ticker`` numbers them: tick n begins n * dt after zero.
        here = int((now - zero) / dt)
        tick = here + ((low - here + 0x8000) & 0xFFFF) - 0x8000
        left = zero + tick * dt - now
        if not self._least_number or left < self._least:
            self._least, self._least_number = left, number
        if left < 0.0:
            self.late += 1
            self._counters.inputs_late += 1
        elif left > EARLY_SECONDS + dt:
            self.early += 1
            self._counters.inputs_early += 1
        if 0.0 < self._hold_seconds < left and tick > here + 1:
            tick = max(here + 1, tick - floor((left - self._hold_seconds) / dt) - 1)
        return max(tick, 1)

    def look(self, missing: int, now: float) -> None:
        """Inputs came, and ``TOLD_SECONDS`` have passed: have the next flush tell of them.

        :param missing: inputs of this player that never came.
        """
        self.missing = missing
        self.told_at = now
        self.due = True

    def report(self) -> bytes:
        """The INPUT_TIMING to send; the next one counts from here."""
        self.due = False
        number, self._least_number = self._least_number, 0
        self.lead = self._least if number else 0.0
        left = max(-_MOST, min(_MOST, int(self.lead * 1e6)))
        return INPUT_TIMING.pack(
            self.late & _LOW, self.early & _LOW, self.missing & _LOW, number, left
        )


class InputLead:
    """The client's side: for which tick each input is meant."""

    __slots__ = ("_left_at", "_newest", "_tick", "_ways", "early", "late", "lead", "missing")

    def __init__(self) -> None:
        self.late = 0
        """Inputs that the server had when their tick had begun."""
        self.early = 0
        """Inputs that the server had more than 0.1 s and a tick before theirs."""
        self.missing = 0
        """Inputs that the server never had."""
        self.lead = 0.0
        """Seconds that an input is allowed to take to the server."""
        self._ways: deque[float] = deque(maxlen=WAYS)
        self._left_at = array("d", bytes(8 * NUMBERS))
        """How long before its tick each input left, in seconds, by number."""
        self._newest = 0
        self._tick = 0

    def guess(self, rtt: float, jitter: float) -> None:
        """Go by the round trip as long as the server has told nothing.

        :param rtt: in seconds, as *jitter*.
        """
        if not self._ways:
            self.lead = min(rtt / 2 + 2 * jitter + MARGIN_SECONDS, MAX_LEAD_SECONDS)

    def aim(self, number: int, server_tick: float, tick_rate: float) -> int:
        """The next input leaves now.

        :param number: of the input.
        :param server_tick: with its fraction, as of now; 0 while it is not known.
        :param tick_rate: ticks a second.
        :returns: the tick it is meant for, never before that of the last one unless the server
            has numbered its ticks anew; 0 while unknown.
        """
        self._newest = number
        if server_tick <= 0.0:
            self._left_at[number % NUMBERS] = 0.0
            return 0
        tick = floor(server_tick + self.lead * tick_rate) + 1
        if tick < self._tick <= server_tick + MAX_LEAD_SECONDS * tick_rate + 1:
            tick = self._tick
        self._tick = tick
        self._left_at[number % NUMBERS] = (tick - server_tick) / tick_rate
        return tick

    def told(self, data: bytes) -> None:
        """An INPUT_TIMING came.

        :raises WireError: for another length, or an input that was never sent.
        """
        if len(data) != INPUT_TIMING.size:
            raise WireError("INPUT_TIMING of the wrong length")
        late, early, missing, number, left = INPUT_TIMING.unpack(data)
        if number > self._newest:
            raise WireError("INPUT_TIMING of an input never sent")
        # Datagrams overtake each other; counts do not fall.
        self.late = max(self.late, late)
        self.early = max(self.early, early)
        self.missing = max(self.missing, missing)
        if not number or number <= self._newest - NUMBERS:
            return
        allowed = self._left_at[number % NUMBERS]
        if not allowed:
            return
        way = allowed - left / 1e6
        if way > MAX_WAY_SECONDS:
            return
        self._ways.append(way)
        way = sorted(self._ways)[-2 if len(self._ways) > 1 else -1]
        wanted = min(max(0.0, way) + MARGIN_SECONDS, MAX_LEAD_SECONDS)
        if wanted >= self.lead or len(self._ways) == 1:
            self.lead = wanted
        else:
            self.lead += (wanted - self.lead) / EASE

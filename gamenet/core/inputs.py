"""Inputs: the buttons of each tick, resent until acknowledged, emitted once and in order.

Layer 1. Runs on: the reactor thread. PROTOCOL section 4, INPUT; the idea of one bit for an
unchanged tick is from Glenn Fiedler, "Deterministic Lockstep" (2014).

Every INPUT message carries all inputs that the server has not acknowledged, so a lost datagram
costs nothing while any later one arrives. The sender keeps at most 120; older ones are given up,
and the receiver learns of it from where the next message starts.
"""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import Final

from gamenet.core.counters import Counters
from gamenet.errors import WireError

# INPUT      u32 newest number | u32 seen (newest state number taken)
#            | u16 due: low half of the server's tick that the newest is meant for
#            | u8 span: how many ticks before it is the oldest one's; 255: for no tick, and due is 0
#            | u8 count 1..120 | u8 bits 1..64 | bits, first first: the oldest value whole, then for
#            each next tick 0 = same as before, or 1 and the new value; padded with zeros to a byte
INPUT: Final = Struct("!IIHBBB")
MAX_INPUTS: Final = 120
NO_TICK: Final = 255
"""The span of inputs that are meant for no tick."""
MAX_SPAN: Final = 254
MAX_NUMBER: Final = 0xFFFFFFFF
RATE_WINDOW_SECONDS: Final = 2.0


Inputs = tuple[int, int, int, list[int], int, int]
"""What an INPUT says: newest number, seen, bits, values from the oldest on, due, span."""


def encode_inputs(
    newest: int,
    seen: int,
    values: deque[int] | list[int],
    bits: int,
    due: int = 0,
    span: int = NO_TICK,
) -> bytes:
    """An INPUT message.

    :param values: the buttons of ``newest - len(values) + 1`` up to ``newest``.
    :param bits: width of a value, 1 to 64.
    :param due: low 16 bits of the tick that the newest is meant for.
    :param span: how many ticks before it is the oldest one's, 0 to 254; 255 for no tick at all.
    """
    iterator = iter(values)
    last = stream = next(iterator)
    length = bits
    changed = 1 << bits
    for value in iterator:
        if value == last:
            stream <<= 1
            length += 1
        else:
            stream = stream << (bits + 1) | changed | value
            length += bits + 1
            last = value
    padding = -length % 8
    packed = (stream << padding).to_bytes((length + padding) // 8, "big")
    return INPUT.pack(newest, seen, due, span, len(values), bits) + packed


def decode_inputs(data: bytes) -> Inputs:
    """Take an INPUT message apart.

    :raises WireError: unless the stream is exactly as long as it says and padded with zeros.
    """
    if len(data) <= INPUT.size:
        raise WireError("INPUT ends early")
    newest, seen, due, span, count, bits = INPUT.unpack_from(data)
    if not (1 <= count <= MAX_INPUTS and 1 <= bits <= 64 and count <= newest):
        raise WireError("INPUT with values out of range")
    if due if span == NO_TICK else span and count == 1:
        raise WireError("INPUT for ticks that cannot be")
    left = (len(data) - INPUT.size) * 8
    stream = int.from_bytes(data[INPUT.size :], "big")
    left -= bits
    if left < 0:
        raise WireError("INPUT ends early")
    last = stream >> left
    values = [last]
    mask = (1 << bits) - 1
    for _ in range(count - 1):
        left -= 1
        if left < 0:
            raise WireError("INPUT ends early")
        if stream >> left & 1:
            left -= bits
            if left < 0:
                raise WireError("INPUT ends early")
            last = stream >> left & mask
        values.append(last)
    if left >= 8 or stream & ((1 << left) - 1):
        raise WireError("INPUT with bytes to spare")
    return newest, seen, bits, values, due, span


class InputSender:
    """The client's side: inputs not yet acknowledged."""

    __slots__ = (
        "_message",
        "_seen",
        "_ticks",
        "acknowledged",
        "bits",
        "given_up",
        "newest",
        "values",
    )

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self.newest = 0
        """The newest number put in; numbers start at 1."""
        self.acknowledged = 0
        """Everything up to here is emitted by the server, or given up."""
        self.given_up = 0
        """How many inputs were dropped unacknowledged because 120 were waiting."""
        self.values: deque[int] = deque()
        self._ticks: deque[int] = deque()
        """What tick each of them is meant for."""
        self._message = b""
        self._seen = 0

    def put(self, number: int, buttons: int, tick: int = 0) -> None:
        """Add the input of the next number.

        :param tick: the server's tick that it is meant for, 0 for none in particular. Those of
            inputs under way lie between that of the oldest and this one.
        """
        assert number == self.newest + 1, "inputs are numbered without gaps"
        self.newest = number
        self.values.append(buttons)
        self._ticks.append(tick)
        if len(self.values) > MAX_INPUTS:
            self.values.popleft()
            self._ticks.popleft()
            self.given_up += 1
        self._message = b""

    def acknowledge(self, number: int) -> bool:
        """Forget all inputs up to *number*.

        :returns: False for a number that was never sent; nothing changes then.
        """
        if number > self.newest:
            return False
        if number > self.acknowledged:
            self.acknowledged = number
            waiting = self.newest - number
            while len(self.values) > waiting:
                self.values.popleft()
                self._ticks.popleft()
            self._message = b""
        return True

    def message(self, seen: int) -> bytes:
        """The INPUT message with everything unacknowledged; b"" when there is nothing."""
        if not self.values:
            return b""
        if not self._message or seen != self._seen:
            ticks = self._ticks
            oldest, due = ticks[0], ticks[-1]
            if not due:
                span = NO_TICK
            else:
                # The first ones may be meant for none, or for a tick as they were numbered before;
                # they come too late for any.
                span = max(0, min(due - oldest, MAX_SPAN)) if oldest else 0
            self._message = encode_inputs(
                self.newest, seen, self.values, self.bits, due & 0xFFFF, span
            )
            self._seen = seen
        return self._message


class InputReceiver:
    """The server's side: emits each number once, in order, with the gaps reported."""

    __slots__ = (
        "_allowance",
        "_counters",
        "_emitted",
        "_full",
        "_since",
        "_single_bytes",
        "_single_padding",
        "bits",
        "max_hz",
        "missing",
        "over_rate",
        "refused",
        "seen",
        "settled",
    )

    def __init__(self, bits: int, max_hz: int, counters: Counters | None = None) -> None:
        self.bits = bits
        self.max_hz = max_hz
        self._counters = counters or Counters()
        self._full = max_hz * RATE_WINDOW_SECONDS
        self._single_padding = -bits % 8
        self._single_bytes = INPUT.size + (bits + 7) // 8
        self.settled = 0
        """Everything up to here is emitted or given up; this is what INPUT_ACK carries."""
        self._emitted = 0
        self.seen = 0
        """The newest state number that the sender's game has taken."""
        self.missing = 0
        """Numbers that the sender gave up, or that were over its rate."""
        self.over_rate = 0
        """Inputs dropped because the sender makes more than ``max_hz`` of them."""
        self.refused = 0
        """Messages with inputs for which there was no room."""
        self._allowance = self._full
        self._since = 0.0

    def receive(
        self, data: bytes, now: float, room: int, newest_state: int
    ) -> list[tuple[int, int, int, int]]:
        """The new inputs in an INPUT message, in order.

        Each is (number, buttons, missing before it, low half of the tick it is meant for); the
        last is -1 for none. The ticks of those between the oldest and the newest lie evenly.

        :param room: at most so many; the rest stay unacknowledged and will come again.
        :param newest_state: the number of the newest state that the sender can have taken.
        :raises WireError: if the message cannot be decoded, has another width than agreed or saw
            a state that was never sent.
        """
        if len(data) <= INPUT.size:
            raise WireError("INPUT ends early")
        newest, seen, due, span, count, bits = INPUT.unpack_from(data)
        settled = self.settled
        if 0 < newest <= settled:
            return []
        if (
            count == 1
            and bits == self.bits
            and len(data) == self._single_bytes
            and newest
            and (not span or (span == NO_TICK and not due))
        ):
            # Nearly every message on a good path.
            padded = int.from_bytes(data[INPUT.size :], "big")
            value = padded >> self._single_padding
            if value << self._single_padding != padded:
                raise WireError("INPUT with bytes to spare")
            values = [value]
        else:
            newest, seen, bits, values, due, span = decode_inputs(data)
            if bits != self.bits:
                raise WireError(f"INPUT of {bits} bits where {self.bits} were agreed")
        if seen > self.seen:
            if seen > newest_state:
                raise WireError("INPUT that saw a state never sent")
            self.seen = seen
        # A token bucket of two seconds' worth of inputs.
        allowance = self._allowance + (now - self._since) * self.max_hz
        if allowance > self._full:
            allowance = self._full
        self._since = now
        number = newest - len(values)
        fresh: list[tuple[int, int, int, int]] = []
        for buttons in values:
            number += 1
            if number <= settled:
                continue
            if len(fresh) >= room:
                self.refused += 1
                self._counters.events_refused += 1
                break
            settled = number
            if allowance >= 1.0:
                allowance -= 1.0
                missing = number - self._emitted - 1
                if missing:
                    self.missing += missing
                    self._counters.inputs_missing += missing
                if span == NO_TICK:
                    tick = -1
                elif number == newest:
                    tick = due
                else:
                    steps = count - 1
                    tick = due - (2 * span * (newest - number) + steps) // (2 * steps) & 0xFFFF
                fresh.append((number, buttons, missing, tick))
                self._emitted = number
            else:
                # Settled without being emitted: nobody resends it, and the next one that is
                # emitted reports the hole.
                self.over_rate += 1
                self._counters.inputs_over_rate += 1
        self.settled = settled
        self._allowance = allowance
        self._counters.inputs_emitted += len(fresh)
        return fresh

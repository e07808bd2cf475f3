"""World states: only the newest counts, on the way out, on the wire and on the way in.

Layer 1. Runs on: the reactor thread. PROTOCOL section 4, STATE, FRAGMENT and STATE_ACK.

A state is never resent: the next one replaces it. The receiver refuses any state older than the
newest it has, so a late datagram cannot turn the world back. Where the receiver is known to hold an
earlier state, a new one goes as its difference to that, if the difference is smaller; one that does
not fit a datagram goes in fragments.
"""

from __future__ import annotations

from typing import Final

from gamenet.core.counters import Counters
from gamenet.core.delta import decode_delta, encode_delta
from gamenet.core.wire import (
    BASELINE,
    BASELINE_SPAN,
    DELTA,
    FRAGMENT_BYTES,
    MAX_FRAGMENTS,
    PLACE,
    SINGLE_STATE_BYTES,
    STATE,
    WHOLE,
    MessageType,
)
from gamenet.errors import WireError

_HALF = 1 << 31
_MASK = (1 << 32) - 1
_STATE: Final = int(MessageType.STATE)
_FRAGMENT: Final = int(MessageType.FRAGMENT)
SMALLEST_BYTES: Final = 16
"""A state of fewer bytes goes whole: a difference has hardly anything to leave out."""
TRIES_SPARED: Final = 15
"""So many states go whole, unlooked at, after one whose difference was no smaller."""
MAX_SHARED: Final = 64
"""Differences remembered for one state that many players get."""

Fields = tuple[int, bytes, int, int, int, int]
"""A state on its way out: number, payload, flag, tick, server ms, input number."""


class Shrinker:
    """Differences, each made once: players who get the same state often hold the same one, too."""

    __slots__ = ("_found", "_payload")

    def __init__(self) -> None:
        self._payload = b""
        self._found: dict[int, tuple[bytes, bytes]] = {}
        """By the baseline's identity, with the baseline, so that it stays its own."""

    def difference(self, payload: bytes, baseline: bytes) -> bytes:
        """The delta that turns *baseline* into *payload*."""
        if payload is not self._payload or len(self._found) >= MAX_SHARED:
            self._payload = payload
            self._found.clear()
        found = self._found.get(id(baseline))
        if found is None:
            found = self._found[id(baseline)] = (baseline, encode_delta(payload, baseline))
        return found[1]


class StateSender:
    """The server's side: at most one state waits for a player.

    :param baseline_bytes: what the sent states may hold that the player has not acknowledged;
        with 0 every state goes whole.
    :param shrinker: shared by all players.
    :param counters: where what is sent is counted.
    """

    __slots__ = (
        "_baseline",
        "_baseline_bytes",
        "_counters",
        "_history",
        "_history_bytes",
        "_shrinker",
        "_spared",
        "held",
        "newest",
        "replaced",
        "waiting",
    )

    def __init__(
        self,
        baseline_bytes: int = 0,
        shrinker: Shrinker | None = None,
        counters: Counters | None = None,
    ) -> None:
        self._counters = counters or Counters()
        self.waiting: Fields | None = None
        """The state that the next datagram carries; who sends it sets this to None."""
        self.newest = 0
        """The newest number put in."""
        self.replaced = 0
        """States that a newer one replaced before they were sent."""
        self.held = 0
        """The newest number that the player is known to hold; 0 for none."""
        self._baseline = b""
        self._baseline_bytes = baseline_bytes
        self._shrinker = shrinker or Shrinker()
        self._history: list[tuple[int, bytes]] = []
        self._history_bytes = 0
        self._spared = 0

    def put(
        self,
        number: int,
        payload: bytes,
        flag: int,
        tick: int,
        server_ms: int,
        input_number: int,
    ) -> None:
        """Make this the state that the next datagram carries.

        :param flag: ``wire.IS_MESSAGE`` for a typed message, else 0.
        """
        if self.waiting is not None:
            self.replaced += 1
        self.newest = number
        self.waiting = (number, payload, flag, tick, server_ms, input_number)

    def acknowledge(self, number: int) -> bool:
        """The player holds the state of that number; with 0 it lacks what it was sent a delta to.

        :returns: False for a number that was never sent; nothing changes then.
        """
        if number > self.newest:
            return False
        if not number:
            self.held = 0
            self._baseline = b""
        # What is older than the baseline is not here any more.
        count = 0
        for found, payload in self._history:
            if found > number:
                break
            count += 1
            self._history_bytes -= len(payload)
            if found == number:
                self.held = number
                self._baseline = payload
        if count:
            del self._history[:count]
        return True

    def shrink(self, number: int, payload: bytes) -> tuple[int, bytes]:
        """How a state goes: (encoding, content); it counts as sent."""
        size = len(payload)
        encoding, content = WHOLE, payload
        if self._baseline_bytes:
            if self._spared:
                self._spared -= 1
            elif size >= SMALLEST_BYTES and self.held and number - self.held <= BASELINE_SPAN:
                delta = self._shrinker.difference(payload, self._baseline)
                if BASELINE.size + len(delta) < size:
                    encoding, content = DELTA, BASELINE.pack(number - self.held) + delta
                else:
                    self._spared = TRIES_SPARED
            self._history.append((number, payload))
            self._history_bytes += size
            while self._history_bytes > self._baseline_bytes or len(self._history) > BASELINE_SPAN:
                self._history_bytes -= len(self._history.pop(0)[1])
        counters = self._counters
        counters.states_sent += 1
        counters.state_bytes_full += size
        counters.state_bytes_sent += len(content)
        return encoding, content

    def take(self) -> list[tuple[int, bytes]]:
        """The waiting state as messages, (type and flag, bytes) each, once."""
        if self.waiting is None:
            return []
        number, payload, flag, tick, server_ms, input_number = self.waiting
        self.waiting = None
        encoding, content = self.shrink(number, payload)
        header = STATE.pack(number, tick & _MASK, server_ms & _MASK, input_number, encoding)
        return split_state(header, content, flag)


def split_state(header: bytes, content: bytes, flag: int) -> list[tuple[int, bytes]]:
    """A state as one STATE or as FRAGMENTs."""
    if len(content) <= SINGLE_STATE_BYTES:
        return [(_STATE | flag, header + content)]
    parts = [
        content[start : start + FRAGMENT_BYTES] for start in range(0, len(content), FRAGMENT_BYTES)
    ]
    return [
        (_FRAGMENT | flag, header + PLACE.pack(index, len(parts)) + part)
        for index, part in enumerate(parts)
    ]


class StateReceiver:
    """The client's side: lets a state pass if it is newer than every one before.

    :param counters: where what is dropped is counted.
    """

    __slots__ = (
        "_counters",
        "_header",
        "_held",
        "_missing",
        "_parts",
        "_server_ms",
        "_tick",
        "_told",
        "newest",
        "outdated",
        "received",
    )

    def __init__(self, counters: Counters | None = None) -> None:
        self._counters = counters or Counters()
        self.newest = 0
        self.outdated = 0
        """States that came after a newer one, dropped."""
        self.received = 0
        self._server_ms = 0
        self._tick = 0
        self._held: dict[int, bytes] = {}
        """Payloads that may yet be a baseline, by number, rising."""
        self._told = 0
        self._header = b""
        """Of the state whose fragments are being put together."""
        self._parts: list[bytes | None] = []
        self._missing = 0

    def to_acknowledge(self) -> int | None:
        """The number to tell the server that we hold; None if it was told."""
        return None if self._told == self._holds else self._holds

    @property
    def _holds(self) -> int:
        return next(reversed(self._held), 0)

    def acknowledged(self) -> None:
        """The server is being told now."""
        self._told = self._holds

    def receive(self, data: bytes) -> tuple[int, int, int, int, bytes] | None:
        """Take in a STATE.

        :returns: (number, tick, server ms, input number, payload), or None for an old state, or
            one that cannot be told without another. Clock and tick go on counting where the wire's
            32 bits of them wrap, every 49.7 days at a thousand a second.
        :raises WireError: if it cannot be decoded.
        """
        if len(data) < STATE.size:
            raise WireError("STATE ends early")
        number, tick, server_ms, input_number, encoding = STATE.unpack_from(data)
        if encoding > DELTA:
            raise WireError(f"STATE in encoding {encoding}")
        if number <= self.newest:
            self.outdated += 1
            self._counters.states_outdated += 1
            return None
        payload: bytes | None = data[STATE.size :]
        if encoding == DELTA:
            payload = self._restored(number, data)
            if payload is None:
                return None
        assert payload is not None
        if self._header and number >= STATE.unpack(self._header)[0]:
            self._give_up()
        held = self._held
        held[number] = payload
        if len(held) > BASELINE_SPAN:
            del held[next(iter(held))]
        self.newest = number
        self.received += 1
        if not self.received - 1:
            self._server_ms, self._tick = server_ms, tick
        self._server_ms += ((server_ms - self._server_ms + _HALF) & _MASK) - _HALF
        self._tick += ((tick - self._tick + _HALF) & _MASK) - _HALF
        return number, self._tick, self._server_ms, input_number, payload

    def _restored(self, number: int, data: bytes) -> bytes | None:
        """The payload that a delta tells, or None without its baseline."""
        start = STATE.size + BASELINE.size
        if len(data) < start:
            raise WireError("STATE ends early")
        back = BASELINE.unpack_from(data, STATE.size)[0]
        base = number - back
        if not 1 <= back <= BASELINE_SPAN or base < 1:
            raise WireError("STATE with a baseline out of range")
        held = self._held
        baseline = held.get(base)
        if baseline is None:
            self._counters.drop_state_baseline += 1
            # Nothing here is of use to the server any more: it is asked for a whole one.
            held.clear()
            self._told = -1
            return None
        payload = decode_delta(data[start:], baseline)
        # A server goes on to newer baselines, never back.
        while next(iter(held)) < base:
            del held[next(iter(held))]
        return payload

    def receive_fragment(self, data: bytes) -> tuple[int, int, int, int, bytes] | None:
        """Take in a FRAGMENT; as ``receive`` once it is the last that was missing.

        One state is put together at a time, the newest.
        """
        start = STATE.size + PLACE.size
        if len(data) <= start:
            raise WireError("FRAGMENT ends early")
        index, count = PLACE.unpack_from(data, STATE.size)
        size = len(data) - start
        if not (index < count and 2 <= count <= MAX_FRAGMENTS):
            raise WireError("FRAGMENT out of range")
        if size > FRAGMENT_BYTES or (size < FRAGMENT_BYTES and index < count - 1):
            raise WireError("FRAGMENT of the wrong length")
        header = data[: STATE.size]
        number, *_, encoding = STATE.unpack(header)
        if encoding > DELTA:
            raise WireError(f"FRAGMENT in encoding {encoding}")
        if number <= self.newest:
            self._counters.drop_fragment_outdated += 1
            return None
        if header != self._header:
            if self._header:
                assembling = STATE.unpack(self._header)[0]
                if number == assembling:
                    raise WireError("FRAGMENT that contradicts another")
                if number < assembling:
                    self._counters.drop_fragment_outdated += 1
                    return None
                self._give_up()
            self._header = header
            self._parts = [None] * count
            self._missing = count
        if count != len(self._parts):
            raise WireError("FRAGMENT that contradicts another")
        if self._parts[index] is not None:
            self._counters.drop_fragment_outdated += 1
            return None
        self._parts[index] = data[start:]
        self._missing -= 1
        if self._missing:
            return None
        whole = header + b"".join(part for part in self._parts if part)
        self._forget_parts()
        return self.receive(whole)

    def _give_up(self) -> None:
        self._counters.drop_state_incomplete += 1
        self._forget_parts()

    def _forget_parts(self) -> None:
        self._header = b""
        self._parts = []
        self._missing = 0

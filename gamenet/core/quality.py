"""What the path is doing: round-trip time, jitter, loss, from the acks of datagrams.

Layer 1. Runs on: the reactor thread. Smoothing after RFC 6298 (RTT) and RFC 3550 (jitter).

A datagram that asks for an ack is remembered until an ack covers it, or until 32 newer ones are
acknowledged without it: then it is lost. An ack rides on the peer's next datagram, so a sample
holds up to one frame of the peer's waiting; where the peer answers ``TIME`` the wait is known and
taken out.
"""

from __future__ import annotations

from typing import Final, Literal

from gamenet.core.wire import TIME_REPLY
from gamenet.errors import WireError

ACK_SPAN: Final = 32
ROLL_SECONDS: Final = 1.0
MAX_OUTSTANDING: Final = 4_096

Label = Literal["excellent", "good", "fair", "poor", "bad", "unknown"]


class Estimator:
    """Smoothed, smallest and latest RTT, and its jitter, in seconds."""

    __slots__ = ("jitter", "latest", "least", "rtt", "rtt_min", "samples")

    def __init__(self) -> None:
        self.rtt = 0.0
        self.rtt_min = 0.0
        self.jitter = 0.0
        self.latest = 0.0
        self.least = float("inf")
        """The smallest sample since whoever asks last asked, and set it back."""
        self.samples = 0

    def add(self, sample: float) -> None:
        """Take in one measurement."""
        if sample < 0.0:
            sample = 0.0
        if self.samples == 0:
            self.rtt = self.rtt_min = sample
        else:
            self.jitter += (abs(sample - self.latest) - self.jitter) / 16
            self.rtt += (sample - self.rtt) / 8
            if sample < self.rtt_min:
                self.rtt_min = sample
        if sample < self.least:
            self.least = sample
        self.latest = sample
        self.samples += 1


class PathQuality:
    """Follows one direction's datagrams by their acks, and the other's by their numbers."""

    __slots__ = (
        "_expected",
        "_holes",
        "_last_ack",
        "_last_bits",
        "_rolled",
        "_rolled_acked",
        "_rolled_expected",
        "_rolled_lost",
        "_rolled_received",
        "_sent",
        "acked",
        "acknowledged_up_to",
        "estimator",
        "has_clock",
        "loss_in",
        "loss_out",
        "lost",
        "received",
    )

    def __init__(self) -> None:
        self._sent: list[tuple[int, float]] = []
        self._holes: list[int] = []
        self._last_ack = -1
        self._last_bits = 0
        self.estimator = Estimator()
        self.has_clock = False
        """True once ``TIME`` gave exact samples; acks then count for loss only."""
        self.acked = 0
        self.acknowledged_up_to = -1
        """The highest of our packet numbers that the peer has acknowledged."""
        self.lost = 0
        self.received = 0
        self._expected = 0
        self.loss_in = 0.0
        self.loss_out = 0.0
        self._rolled = 0.0
        self._rolled_acked = self._rolled_lost = 0
        self._rolled_received = self._rolled_expected = 0

    @property
    def oldest_sent(self) -> float | None:
        """When the oldest datagram left that asks for an ack and may still get it."""
        return self._sent[0][1] if self._sent else None

    def sent(self, number: int, now: float) -> None:
        """A datagram that asks for an ack left."""
        self._sent.append((number, now))
        if len(self._sent) > MAX_OUTSTANDING:
            del self._sent[0]
            self.lost += 1

    def acknowledged(self, low: int, bits: int, next_number: int, now: float) -> bool:
        """Take in the acks of a datagram that came.

        :param low: low 16 bits of the peer's highest number.
        :param bits: bit i is set if that number less ``1 + i`` came.
        :param next_number: our next packet number; nothing from there on was sent.
        :returns: False if it acknowledges what was never sent.
        """
        if low == self._last_ack and bits == self._last_bits:
            return True
        highest = next_number - 1
        highest -= (highest - low) & 0xFFFF
        if highest < 0:
            return highest == -1  # the peer has received nothing yet
        self._last_ack = low
        self._last_bits = bits
        if highest > self.acknowledged_up_to:
            self.acknowledged_up_to = highest
        count = 0
        for number, when in self._sent:
            if number > highest:
                break
            count += 1
            distance = highest - number
            if distance == 0:
                self.acked += 1
                if not self.has_clock:
                    self.estimator.add(now - when)
            elif distance <= ACK_SPAN and bits >> (distance - 1) & 1:
                self.acked += 1
            else:
                self._holes.append(number)
        if count:
            del self._sent[:count]
        if self._holes:
            self._settle(highest, bits)
        return True

    def covers(self, number: int) -> bool:
        """Whether the latest acks say that a packet of ours came; they know the last 33."""
        newest = self.acknowledged_up_to
        distance = newest - (newest - self._last_ack & 0xFFFF) - number
        return not distance or (
            0 < distance <= ACK_SPAN and bool(self._last_bits >> (distance - 1) & 1)
        )

    def _settle(self, highest: int, bits: int) -> None:
        """Decide which holes were filled late and which are losses."""
        open_holes = []
        for number in self._holes:
            distance = highest - number
            if distance > ACK_SPAN:
                self.lost += 1
            elif distance > 0 and bits >> (distance - 1) & 1:
                self.acked += 1
            else:
                open_holes.append(number)
        self._holes = open_holes

    def time_reply(self, data: bytes, now: float) -> tuple[float, float, float] | None:
        """Take in the answer to a ``TIME`` query: the peer's waiting is known and taken out.

        :returns: when the query left by our clock, when it came and when the answer left by the
            peer's game clock, in seconds; None if that cannot be.
        :raises WireError: for a wrong length.
        """
        if len(data) != TIME_REPLY.size:
            raise WireError("TIME of the wrong length")
        asked, came, waited = TIME_REPLY.unpack(data)
        away = (microseconds(now) - asked) & 0xFFFFFFFF
        if waited > away or away > 0x7FFFFFFF:
            return None
        if not self.has_clock:
            self.has_clock = True
            self.estimator = Estimator()
        self.estimator.add((away - waited) / 1e6)
        return now - away / 1e6, came / 1e6, (came + waited) / 1e6

    def restart(self, highest: int) -> None:
        """The path is another one: what the old one was like says nothing about it.

        :param highest: the highest packet number received.
        """
        self.estimator = Estimator()
        self.has_clock = False
        self.loss_in = self.loss_out = 0.0
        self._sent.clear()
        self._holes = []
        self._rolled_acked, self._rolled_lost = self.acked, self.lost
        self._rolled_received, self._rolled_expected = self.received, highest + 1

    def roll(self, now: float, highest: int) -> None:
        """Once a second, turn counts into smoothed losses.

        :param highest: the highest packet number received; gaps below it are losses.
        """
        if now - self._rolled < ROLL_SECONDS:
            return
        self._rolled = now
        self._expected = highest + 1
        acked, lost = self.acked - self._rolled_acked, self.lost - self._rolled_lost
        came = self.received - self._rolled_received
        expected = self._expected - self._rolled_expected
        if acked + lost:
            self.loss_out += (lost / (acked + lost) - self.loss_out) / 8
        if expected > 0:
            self.loss_in += (max(0.0, 1 - came / expected) - self.loss_in) / 8
        self._rolled_acked, self._rolled_lost = self.acked, self.lost
        self._rolled_received, self._rolled_expected = self.received, self._expected

    def is_settled(self, highest: int) -> bool:
        """Whether another roll would find nothing to count, as long as nothing happens.

        :param highest: the highest packet number received.
        """
        return (
            not self._sent
            and self._rolled_received == self.received
            and self._rolled_expected == highest + 1
            and self._rolled_acked == self.acked
            and self._rolled_lost == self.lost
        )

    def rested(self, now: float) -> None:
        """Nothing was counted until *now*, where the last roll would have been."""
        self._rolled = now

    @property
    def label(self) -> Label:
        """One word for a player; the bounds are Mirror's for RTT and jitter, halved for fairness
        to action games, with loss added."""
        estimator = self.estimator
        if not estimator.samples:
            return "unknown"
        loss = max(self.loss_in, self.loss_out)
        bounds: tuple[tuple[Label, float, float, float], ...] = (
            ("excellent", 0.05, 0.02, 0.005),
            ("good", 0.1, 0.05, 0.02),
            ("fair", 0.2, 0.1, 0.05),
            ("poor", 0.4, 0.2, 0.15),
        )
        for label, rtt, jitter, lost in bounds:
            if estimator.rtt <= rtt and estimator.jitter <= jitter and loss <= lost:
                return label
        return "bad"


def microseconds(now: float) -> int:
    """The clock as ``TIME`` carries it."""
    return int(now * 1e6) & 0xFFFFFFFF

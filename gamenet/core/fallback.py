"""Which transport low-latency traffic takes, and how it goes inside TCP while UDP does not carry.

Layer 1. Runs on: the reactor thread. PROTOCOL section 5.

A session begins inside TCP, so that nothing waits for UDP to open. It goes over to datagrams once
they are shown to pass both ways, comes back when they fall silent, and goes on trying. Bodies,
numbers, acks and the replay window are the same on both ways; only the seal is not needed here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, Literal

from gamenet.core import frames
from gamenet.core.quality import PathQuality
from gamenet.core.reliable_half import ReliableHalf
from gamenet.core.traffic import ONE, Traffic
from gamenet.core.window import ReplayWindow
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    MAX_BODY_BYTES,
    TYPE_MASK,
    pack_messages,
    split_messages,
)
from gamenet.events import PathChanged

if TYPE_CHECKING:
    from gamenet.core.setup import Setup

ACK_SECONDS: Final = 0.05
"""A datagram that asks for an ack waits no longer for one of ours to carry it."""
ACK_DATAGRAMS: Final = 16
OWED_ATTEMPTS: Final = 4
"""Into so many parts the time is cut in which an ack may be owed: each asks once more for it."""
PROVED_SECONDS: Final = 2.0
"""So long after datagrams were shown to pass, what still comes inside TCP was sent before."""


class Fallback(ReliableHalf):
    """The reliable half, with a way through it for what is not reliable."""

    __slots__ = (
        "_acks_due",
        "_acks_owed",
        "_burst",
        "_burst_bytes",
        "_due",
        "_due_bytes",
        "_has_to_wait",
        "_interval",
        "_interval_bytes",
        "_proved",
        "_told",
        "_unbound_since",
        "_unheard",
        "_unreliable",
        "bytes_in",
        "bytes_out",
        "datagrams_in",
        "datagrams_out",
        "keys",
        "last_datagram_out",
        "quality",
        "rate_dropped",
        "sealer",
        "traffic",
        "tunnelled",
        "udp_heard",
        "was_bound",
        "window",
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self.keys = setup.keys
        self.sealer = setup.keys.sealer
        self.window = ReplayWindow()
        self.quality = PathQuality()
        # The peer's limits, as two token buckets: each is kept as the time when it will be full
        # again, which a datagram puts off by its interval; later than now would be overdrawn.
        self._interval = self._burst = self._due = 0.0
        self._interval_bytes = self._burst_bytes = self._due_bytes = 0.0
        self.rate_dropped = 0
        """Authentic datagrams beyond the peer's limits, without copies and latecomers."""
        self._acks_owed = 0
        self._acks_due = False
        self._unheard = True
        """Whether the next DATA means something; asked instead of calling."""
        self._has_to_wait = False
        """There was no room inside TCP for what is to be sent: the next look at the time tries."""
        self.tunnelled = True
        """Whether messages go inside TCP: until datagrams pass, and while they do not any more."""
        self.udp_heard = setup.now
        """When the last authentic datagram came."""
        self.was_bound = False
        self._unbound_since = float("inf")
        """Since when datagrams should pass, and do not."""
        self._proved = float("-inf")
        """When it was last shown that datagrams pass both ways."""
        self._told = ""
        """The path that the game was told of; "" for none yet."""
        self._unreliable: deque[tuple[int, bytes]] = deque()
        self.bytes_in = self.bytes_out = 0
        self.datagrams_in = self.datagrams_out = 0
        self.traffic = Traffic(setup.now, setup.turn.sums)
        self.last_datagram_out = setup.now

    # What each side adds.

    @abstractmethod
    def _receive_message(self, kind: int, payload: bytes, now: float) -> None:
        """Act on one message of a DATA body; raises WireError if it does not belong."""

    @abstractmethod
    def _messages(self, now: float) -> list[tuple[int, bytes]]:
        """The messages, besides unreliable ones, that leave with this flush."""

    def _messages_to_send(self, now: float) -> list[tuple[int, bytes]]:
        """All messages that leave with this flush."""
        messages = self._messages(now)
        if self._unreliable:
            messages += self._unreliable
            self._unreliable.clear()
        return messages

    def _size_to_send(self) -> int:
        """Bytes of the bodies that the next flush would fill at most, or one."""
        return MAX_BODY_BYTES

    @abstractmethod
    def _ask_for_ack(self) -> None:
        """Have the next datagram hold a message that the peer answers."""

    @abstractmethod
    def _udp_left(self, now: float) -> None:
        """Datagrams do not pass any more: messages go inside TCP from here on."""

    # In.

    def _receive_tunnel(self, data: bytes, now: float) -> None:
        counters = self.counters
        counters.tunnel_in += 1
        low, body = frames.decode_tunnel(data)
        window = self.window
        number = window.expand(low)
        if not window.is_fresh(number):
            counters.drop_tunnel_replayed += 1
            return
        if self._is_over_rate(len(body), now):
            counters.drop_tunnel_rate += 1
            return
        window.mark(number)
        self.quality.received += 1
        self.datagrams_in += 1
        self.bytes_in += len(body)
        if number == window.highest and not self.tunnelled and now - self._proved >= PROVED_SECONDS:
            self._leave_udp(now, "silent")
        self._receive_body(body, now)
        counters.tunnel_delivered += 1

    def _receive_body(self, body: bytes, now: float) -> None:
        """Take in the acks and the messages of a DATA body that came by the tunnel.

        :raises WireError: if it cannot be decoded.
        """
        ack, bits = ACKS.unpack_from(body)
        if not self.quality.acknowledged(ack, bits, self.sealer.number, now):
            self.counters.acks_of_unsent += 1
        messages = split_messages(body)
        if messages:
            self._acks_owed += 1
            self.next_tick = min(self._timer, now + ACK_SECONDS)
            if self._acks_owed >= ACK_DATAGRAMS:
                self._acks_due = True
                self.mark_dirty()
        came = self.traffic.came
        for kind, payload in messages:
            self._receive_message(kind, payload, now)
            came[kind & TYPE_MASK] += ONE + len(payload)

    def _is_over_rate(self, size: int, now: float) -> bool:
        """As for every datagram, whose path has no time for a call."""
        due = max(self._due, now - self._burst) + self._interval
        due_bytes = max(self._due_bytes, now - self._burst_bytes) + self._interval_bytes * size
        if due > now or due_bytes > now:
            self.rate_dropped += 1
            return True
        self._due, self._due_bytes = due, due_bytes
        return False

    # Out.

    def _fill_tunnel(self, now: float) -> None:
        """What would else be datagrams, as far as it may go inside TCP; the rest waits here."""
        tunnel, sealer = self.tunnel, self.sealer
        if not tunnel.writable:
            return
        messages: list[tuple[int, bytes]] = []
        if tunnel.has_room(self.quality.acknowledged_up_to, self._size_to_send()):
            messages = self._messages_to_send(now)
        else:
            # Acknowledgements cause no flush of their own, and in a quiet game nothing else does.
            self._has_to_wait = True
            self._timer = self.next_tick = 0.0
        if not (messages or self._acks_due):
            return
        self.traffic.count_sent(messages)
        acks = ACKS.pack(*self.window.acks())
        for part in pack_messages(messages) if messages else [b""]:
            number = sealer.skip()
            if not tunnel.put(number, acks + part):
                self.counters.drop_send_tunnel += 1
                continue
            if part:
                self.quality.sent(number, now)
            self.datagrams_out += 1
            self.bytes_out += ACKS_BYTES + len(part)
        self._acks_owed = 0
        self._acks_due = False
        self.last_datagram_out = now
        self.frames_due = True  # in this flush

    def look_at_traffic(self, now: float) -> None:
        """Write down what the path is like; due when ``traffic.due`` has come."""
        totals = (self.bytes_in, self.bytes_out, self.datagrams_in, self.datagrams_out)
        self.traffic.look(now, totals, self.quality)

    # The path.

    def _take_udp(self, now: float) -> None:
        """Datagrams pass both ways: messages go by them from here on."""
        self.tunnelled = self._unheard = False
        self._proved = self.udp_heard = now
        self.quality.restart(self.window.highest)
        self._tell_path("udp", "back" if self.was_bound else "bound")
        self.was_bound = True
        self.mark_dirty()

    def _leave_udp(self, now: float, reason: Literal["silent", "blocked"]) -> None:
        self.tunnelled = self._unheard = True
        self._unbound_since = now
        self.quality.restart(self.window.highest)
        self._tell_path("tcp", reason)
        self._udp_left(now)
        self.mark_dirty()

    def _tell_path(
        self,
        path: Literal["udp", "tcp"],
        reason: Literal["bound", "blocked", "silent", "moved", "back"],
    ) -> None:
        if path != self._told:
            self._told = path
            self.turn.emit(PathChanged(self.player, path, reason))

    def _watch_path(self, now: float) -> float:
        """Notice that datagrams do not pass, or not any more.

        :returns: when to look again.
        """
        limits = self.limits
        if self.tunnelled:
            if now - self._unbound_since < limits.udp_bind_seconds:
                return self._unbound_since + limits.udp_bind_seconds
            self._tell_path("tcp", "blocked")
            return float("inf")
        silent_at = self.udp_heard + limits.udp_idle_seconds
        owed_since = self.quality.oldest_sent
        if owed_since is not None:
            owed_since = max(owed_since, self.udp_heard)
            silent_at = min(silent_at, owed_since + limits.udp_owed_seconds)
        if now >= silent_at:
            self._leave_udp(now, "silent")
        elif owed_since is not None:
            # Where the game is quiet one lost datagram is no silence: only another one can tell.
            pause = limits.udp_owed_seconds / OWED_ATTEMPTS
            if now - max(owed_since, self.last_datagram_out) >= pause:
                self._ask_for_ack()
                self.mark_dirty()
                return min(silent_at, now + pause)
            return min(silent_at, max(owed_since, self.last_datagram_out) + pause)
        return silent_at

    def reconnected(self, received: int, now: float) -> None:
        """As for the reliable half; with new keys and numbers, datagrams begin anew."""
        super().reconnected(received, now)
        self.window = ReplayWindow()
        self.quality = PathQuality()
        self._acks_owed = 0
        self._acks_due = False
        self.tunnelled = self._unheard = True
        self.udp_heard = now
        self._proved = float("-inf")

"""One peer: both transports, their queues and acks, whatever the side.

Layer 1. Runs on: the reactor thread. PROTOCOL sections 2 to 4.

Bytes and the time come in through ``receive_datagram``, ``receive_frame`` and ``tick``; events
leave through the turn's ``emit``; bytes leave when the host asks for them. Receiving never sends:
it marks the session as dirty, and the flush at the end of the turn does the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from gamenet.core.fallback import ACK_DATAGRAMS, ACK_SECONDS, Fallback
from gamenet.core.quality import ACK_SPAN, ROLL_SECONDS
from gamenet.core.record import Forged
from gamenet.core.traffic import ONE
from gamenet.core.window import MAX_NUMBER
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    HEADER_BYTES,
    IS_LAST,
    IS_MESSAGE,
    LENGTH_BYTES,
    TYPE_MASK,
    DatagramKind,
    MessageType,
    pack_messages,
    split_messages,
)
from gamenet.errors import DisconnectReason, WireError
from gamenet.events import Unreliable

if TYPE_CHECKING:
    from gamenet.core.keyring import Keyring
    from gamenet.core.path import Address
    from gamenet.core.record import Opener
    from gamenet.core.setup import Setup
    from gamenet.messages import Payload

_DATA: Final = int(DatagramKind.DATA)
_UNRELIABLE: Final = int(MessageType.UNRELIABLE)
_LOW: Final = 0xFFFFFFFF
_ONE_LAST: Final = ONE - ACKS_BYTES - 1
# Of several messages: what each counts for less its head, and what is no message's or the last's.
_ONE_BETWEEN: Final = ONE - 1 - LENGTH_BYTES
_ENDS: Final = LENGTH_BYTES - ACKS_BYTES
_ONLY_UNRELIABLE: Final = frozenset((_UNRELIABLE,))


class Session(Fallback):
    """What both sides have in common: frames, and datagrams beside or inside them."""

    __slots__ = (
        "_control",
        "_decrypt",
        "_epoch_bits",
        "_expected",
        "_iv",
        "_newest_dropped",
        "_share",
        "_taken_then",
        "_waiting",
        "newest",
    )

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._use(setup.keys.opener)
        self._expected: Address | None = None
        """Where the peer's datagrams come from; None has each looked at."""
        self._newest_dropped = -1
        self._control: list[tuple[int, bytes, Address]] = []
        self._share = 1 << 30
        """Events of this peer that may wait for the game, those that must arrive not counted."""
        self._waiting = 0
        self._taken_then = 0
        self.newest = False
        """Whether the control datagram at hand has the highest number so far."""

    # What each side adds.

    @property
    @abstractmethod
    def route(self) -> Address | None:
        """Where datagrams go; None while there is no proven path."""

    @abstractmethod
    def _receive_control(self, kind: int, body: bytes, address: Address, now: float) -> bool:
        """Act on an authentic datagram that is not DATA; False if it does not belong."""

    @abstractmethod
    def _address_heard(self, address: Address, now: float) -> None:
        """The newest DATA so far came from another address than the expected one."""

    @abstractmethod
    def _data_came(self, address: Address, newest: bool, now: float) -> None:
        """An authentic DATA datagram came while ``_unheard`` was set.

        :param newest: it has the highest number so far.
        """

    # What each side may know, for whoever asks how it goes.

    @property
    @abstractmethod
    def input_figures(self) -> tuple[float, int, int, int]:
        """The lead of inputs in seconds, and how many were late, early and missing."""

    @property
    def queued_unreliable(self) -> int:
        """Unreliable messages that wait to leave."""
        return len(self._unreliable)

    @property
    def queued_state_bytes(self) -> int:
        """Bytes of a state that wait to leave; servers only."""
        return 0

    @property
    def send_bytes_per_second(self) -> float:
        """What may leave for this peer in the long run; servers only."""
        return 0.0

    @property
    def server_clock(self) -> tuple[float, float]:
        """The server's game clock less our monotonic one, and how far that may be off, in seconds;
        clients only."""
        return 0.0, 0.0

    # In.

    def receive_datagram(
        self, data: bytes, address: Address, now: float, first: int, low: int
    ) -> None:
        """A datagram with this session's cid: checked, opened, marked, then acted on.

        Never raises, whatever arrives.

        :param first: its first byte.
        :param low: the low half of its packet number.
        """
        counters = self.counters
        window = self.window
        number = window.highest + 1
        if low != number & _LOW or number >= MAX_NUMBER:
            number = window.expand(low)
            if not window.is_fresh(number):
                counters.drop_datagram_replayed += 1
                return
        decrypt, iv = self._decrypt, self._iv
        in_other_epoch = first & 0x30 != self._epoch_bits
        if in_other_epoch:
            other = self.keys.other
            if other is None or first & 0x30 != other.epoch_bits:
                counters.drop_datagram_epoch += 1
                return
            decrypt, iv = other.decrypt, other.iv
        try:
            body = decrypt(
                (iv ^ number).to_bytes(12, "big"), data[HEADER_BYTES:], data[:HEADER_BYTES]
            )
        except Forged:
            counters.drop_datagram_forged += 1
            return
        due, due_bytes = now - self._burst, now - self._burst_bytes
        if self._due > due:
            due = self._due
        if self._due_bytes > due_bytes:
            due_bytes = self._due_bytes
        due += self._interval
        due_bytes += self._interval_bytes * len(data)
        if due > now or due_bytes > now:
            counters.drop_datagram_rate += 1
            if number > self._newest_dropped:
                # Not being marked, a copy of it could come again: not its sender's doing.
                self._newest_dropped = number
                self.rate_dropped += 1
            return
        self._due = due
        self._due_bytes = due_bytes
        if in_other_epoch and not self.keys.other_until:
            self.keys.came(window.highest, now)
            self._use(self.keys.opener)
        if number == window.highest + 1:
            window.highest = number
        else:
            window.mark(number)
        self.udp_heard = now
        quality = self.quality
        quality.received += 1
        self.datagrams_in += 1
        self.bytes_in += len(data)
        if first & 0x0F != _DATA:
            self.newest = number == window.highest
            if self._receive_control(first & 0x0F, body, address, now):
                counters.datagrams_delivered += 1
            else:
                counters.drop_datagram_unexpected += 1
            return
        if self._unheard:
            self._data_came(address, number == window.highest, now)
        if address != self._expected and number == window.highest:
            self._address_heard(address, now)
        # From here on as ``_receive_body``, in place.
        try:
            if len(body) < ACKS_BYTES:
                raise WireError("DATA ends early")
            ack, bits = ACKS.unpack_from(body)
            if not quality.acknowledged(ack, bits, self.sealer.number, now):
                counters.acks_of_unsent += 1
            if len(body) > ACKS_BYTES:
                owed = self._acks_owed = self._acks_owed + 1
                if owed == 1:
                    due = now + ACK_SECONDS
                    self.next_tick = due if due < self._timer else self._timer
                elif owed == ACK_DATAGRAMS:
                    self._acks_due = True
                    self.mark_dirty()
                kind = body[ACKS_BYTES]
                came = self.traffic.came
                if kind & IS_LAST:
                    self._receive_message(kind & ~IS_LAST, body[ACKS_BYTES + 1 :], now)
                    came[kind & TYPE_MASK] += len(body) + _ONE_LAST
                else:
                    self._receive_several(body, now)
        except WireError:
            counters.drop_datagram_malformed += 1
            return
        counters.datagrams_delivered += 1

    def reconnected(self, received: int, now: float) -> None:
        super().reconnected(received, now)
        self._expected = None
        self._newest_dropped = -1
        self._control = []

    def take_keys(self, cid: int, keys: Keyring) -> None:
        """The keys of another connection id, whose packet numbers begin at 0."""
        self.cid = cid
        self.keys = keys
        self.sealer = keys.sealer
        self._use(keys.opener)

    def _use(self, opener: Opener) -> None:
        """Open with these keys first."""
        self._decrypt = opener.decrypt
        self._iv = opener.iv
        self._epoch_bits = opener.epoch_bits

    def _room(self) -> int:
        """How many more events of this peer, which need not arrive, may wait for the game."""
        turn = self.turn
        if turn.taken != self._taken_then:
            # A game takes all there is, so what waits is what came since.
            self._taken_then = turn.taken
            self._waiting = 0
        room, share = turn.room - len(turn.batch), self._share - self._waiting
        return room if room < share else share

    def _receive_several(self, body: bytes, now: float) -> None:
        """Act on the messages of a DATA body, in order."""
        messages = split_messages(body)
        came = self.traffic.came
        if {kind for kind, _ in messages} == _ONLY_UNRELIABLE:
            count, room = len(messages), max(0, self._room())
            author = self.author
            taken = messages if count <= room else messages[:room]
            self.turn.batch += [Unreliable(author, payload) for _, payload in taken]
            self._waiting += len(taken)
            self.counters.events_refused += count - len(taken)
            came[_UNRELIABLE] += count * _ONE_BETWEEN + len(body) + _ENDS
            return
        for kind, payload in messages:
            self._receive_message(kind, payload, now)
            came[kind & TYPE_MASK] += ONE + len(payload)

    def _receive_unreliable(self, kind: int, payload: bytes) -> None:
        turn = self.turn
        value: Payload = self.codec.decode(payload) if kind & IS_MESSAGE else payload
        # As ``_room``, in place.
        if turn.taken != self._taken_then:
            self._taken_then = turn.taken
            self._waiting = 0
        if turn.room > len(turn.batch) and self._share > self._waiting:
            self._waiting += 1
            turn.emit(Unreliable(self.author, value))
        else:
            self.counters.events_refused += 1

    # Out.

    def mark_dirty(self) -> None:
        if not self.dirty:
            self.dirty = True
            self.turn.dirty.append(self)

    def mark_frames(self) -> None:
        self.frames_due = True
        if not self.dirty:
            self.dirty = True
            self.turn.dirty.append(self)

    def queue_unreliable(self, messages: list[tuple[int, bytes]]) -> None:
        """Queue unreliable messages; the oldest give way when too many wait.

        :param messages: type byte, without the last mark, and payload of each.
        """
        waiting = self._unreliable
        waiting.extend(messages)
        while len(waiting) > self.limits.unreliable_messages:
            waiting.popleft()
            self.counters.drop_send_unreliable += 1
        self.mark_dirty()

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """The datagrams of this flush, sealed: answers first, then messages, packed."""
        if now >= self.traffic.due:
            self.look_at_traffic(now)
        out: list[tuple[bytes, Address]] = []
        seal = self.sealer.seal
        try:
            if self._control:
                for kind, body, address in self._control:
                    out.append((seal(kind, body), address))
                self._control.clear()
            route = self.route
            if self.tunnelled:
                self._fill_tunnel(now)
            elif route is not None:
                messages = self._messages_to_send(now)
                if messages:
                    self.traffic.count_sent(messages)
                    window = self.window
                    if window.missing or window.highest < ACK_SPAN:
                        acks = ACKS.pack(*window.acks())
                    else:
                        acks = ACKS.pack(window.highest & 0xFFFF, _LOW)
                    for part in pack_messages(messages):
                        self.quality.sent(self.sealer.number, now)
                        out.append((seal(_DATA, acks + part), route))
                    self._acks_owed = 0
                elif self._acks_due:
                    out.append((seal(_DATA, ACKS.pack(*self.window.acks())), route))
                    self._acks_owed = 0
                self._acks_due = False
        except OverflowError:
            # The key is used up; the reliable transport goes on alone.
            self.counters.drop_send_full += 1
            self._control.clear()
        if out:
            self.last_datagram_out = now
            self.datagrams_out += len(out)
            for data, _ in out:
                self.bytes_out += len(data)
        return out

    def tick(self, now: float) -> DisconnectReason | None:
        """Everything that happens because time passes; due when ``next_tick`` has come.

        :returns: why the session must end now, or None.
        """
        limits = self.limits
        if self._has_to_wait:
            self._has_to_wait = False
            self.mark_dirty()
        if self._acks_owed and now - self.last_datagram_out >= ACK_SECONDS:
            self._acks_due = True
            self.mark_dirty()
        taken_due = self._look_at_taken(now)
        if self.is_suspended:
            if now >= self.resume_until:
                return DisconnectReason.SESSION_LOST
            liveness = self.resume_until
        elif now - self.frame_heard >= limits.dead_seconds:
            return DisconnectReason.TIMEOUT
        else:
            if now - self.frame_spoken >= limits.ping_seconds:
                self.ping(now)
            liveness = min(
                self.frame_heard + limits.dead_seconds, self.frame_spoken + limits.ping_seconds
            )
        look_at_path = self._watch_path(now)
        self.keys.expire(now)
        self.quality.roll(now, self.window.highest)
        if now >= self.traffic.due:
            self.look_at_traffic(now)
        self._timer = self.next_tick = min(now + ROLL_SECONDS, liveness, look_at_path, taken_due)
        if self._acks_owed and not self._acks_due:
            self.next_tick = min(self.next_tick, self.last_datagram_out + ACK_SECONDS)
        return None

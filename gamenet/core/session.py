"""One peer: both transports, their queues and acks, whatever the side.

Layer 1. Runs on: the reactor thread. PROTOCOL sections 2 to 4.

Bytes and the time come in through ``receive_datagram``, ``receive_frame`` and ``tick``; events
leave through the turn's ``emit``; bytes leave when the host asks for them. Receiving never sends:
it marks the session as dirty, and the flush at the end of the turn does the rest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.quality import ACK_SPAN, ROLL_SECONDS, PathQuality
from gamenet.core.record import Forged, Opener, Sealer
from gamenet.core.seat import Seat
from gamenet.core.stream import Incoming, Outgoing
from gamenet.core.turn import Turn
from gamenet.core.window import MAX_NUMBER, ReplayWindow
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    HEADER_BYTES,
    IS_LAST,
    IS_MESSAGE,
    DatagramKind,
    MessageType,
    pack_messages,
    split_messages,
)
from gamenet.errors import DisconnectReason, RemoteProtocolError, WireError
from gamenet.events import Player, Received, Unreliable, Writable
from gamenet.messages import Codec, Payload

if TYPE_CHECKING:
    from gamenet.core.path import Address

ACK_SECONDS: Final = 0.05
"""A datagram that asks for an ack waits no longer for one of ours to carry it."""
ACK_DATAGRAMS: Final = 16
MAX_UNACKNOWLEDGED: Final = 1_024
"""Payloads handed back with the end of a session."""
_DATA: Final = int(DatagramKind.DATA)
_UNRELIABLE: Final = int(MessageType.UNRELIABLE)
_LOW: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a session takes from the configuration and from ACCEPT."""

    window_messages: int
    """Reliable messages on their way that the receiving game has not taken, each way."""
    window_bytes: int
    unreliable_messages: int
    ping_seconds: float
    dead_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What every session is made of."""

    player: Player
    """Whom the session is for."""
    author: Player
    """Whom its messages are from, as the game sees it."""
    seat: Seat
    """Where the sending thread keeps count of what it gave us."""
    session_id: bytes
    cid: int
    """Connection id, the routing key of its datagrams."""
    sealer: Sealer
    opener: Opener
    limits: Limits
    codec: Codec
    turn: Turn
    now: float
    """Monotonic seconds."""


class Session(ABC):
    """What both sides have in common."""

    __slots__ = (
        "_acks_due",
        "_acks_owed",
        "_control",
        "_control_frames",
        "_decrypt",
        "_epoch_bits",
        "_iv",
        "_ping_number",
        "_pings",
        "_pong",
        "_taken_due",
        "_timer",
        "_unheard",
        "_unreliable",
        "author",
        "bytes_in",
        "bytes_out",
        "cid",
        "codec",
        "counters",
        "datagrams_in",
        "datagrams_out",
        "dirty",
        "frame_heard",
        "frame_spoken",
        "frames_due",
        "incoming",
        "last_datagram_out",
        "limits",
        "next_tick",
        "outgoing",
        "player",
        "quality",
        "sealer",
        "seat",
        "session_id",
        "tcp_rtt",
        "turn",
        "window",
    )

    def __init__(self, setup: Setup) -> None:
        limits, now = setup.limits, setup.now
        self.player = setup.player
        self.author = setup.author
        self.seat = setup.seat
        self.session_id = setup.session_id
        self.cid = setup.cid
        self.sealer = setup.sealer
        self._decrypt = setup.opener.decrypt
        self._iv = setup.opener.iv
        self._epoch_bits = setup.sealer.first_byte & 0x30
        self.window = ReplayWindow()
        self.quality = PathQuality()
        self.outgoing = Outgoing(limits.window_messages, limits.window_bytes)
        self.incoming = Incoming(limits.window_messages, limits.window_bytes)
        self.limits = limits
        self.codec = setup.codec
        self.turn = setup.turn
        self.counters = setup.turn.counters
        self.dirty = False
        self.frames_due = False
        """Whether ``frames_to_send`` may have something."""
        self.next_tick = now
        """``tick`` has nothing to do before this time; 0 means at the host's next beat."""
        self._timer = setup.now
        """When ``tick`` is due for anything but acks."""
        self._acks_owed = 0
        self._acks_due = False
        self._taken_due = False
        self._unheard = False
        """Whether the first DATA still means something; asked instead of calling."""
        self._control_frames: list[bytes] = []
        self._pong = b""
        """The answer to the newest PING; of many that come together only that one is answered."""
        self._control: list[tuple[int, bytes, Address]] = []
        self._unreliable: deque[tuple[int, bytes]] = deque()
        self.bytes_in = self.bytes_out = 0
        self.datagrams_in = self.datagrams_out = 0
        self.frame_heard = self.frame_spoken = now
        self.last_datagram_out = now
        self._pings: dict[int, float] = {}
        self._ping_number = 0
        self.tcp_rtt = 0.0

    # What each side adds.

    @property
    @abstractmethod
    def route(self) -> Address | None:
        """Where datagrams go; None while there is no proven path."""

    @abstractmethod
    def _receive_message(self, kind: int, payload: bytes, now: float) -> None:
        """Act on one message of a DATA body; raises WireError if it does not belong."""

    @abstractmethod
    def _receive_control(self, kind: int, body: bytes, address: Address, now: float) -> bool:
        """Act on an authentic datagram that is not DATA; False if it does not belong."""

    @abstractmethod
    def _receive_say(self, data: bytes) -> None:
        """Emit a chat line; raises WireError if it cannot be decoded."""

    @abstractmethod
    def _messages(self, now: float) -> list[tuple[int, bytes]]:
        """The messages, besides unreliable ones, that leave with this flush."""

    @abstractmethod
    def _data_came(self) -> None:
        """An authentic DATA datagram came while ``_unheard`` was set."""

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
        if first & 0x30 != self._epoch_bits:
            counters.drop_datagram_epoch += 1
            return
        decrypt = self._decrypt
        try:
            body = decrypt(
                (self._iv ^ number).to_bytes(12, "big"), data[HEADER_BYTES:], data[:HEADER_BYTES]
            )
        except Forged:
            counters.drop_datagram_forged += 1
            return
        if number == window.highest + 1:
            window.highest = number
        else:
            window.mark(number)
        quality = self.quality
        quality.received += 1
        self.datagrams_in += 1
        self.bytes_in += len(data)
        if first & 0x0F != _DATA:
            if self._receive_control(first & 0x0F, body, address, now):
                counters.datagrams_delivered += 1
            else:
                counters.drop_datagram_unexpected += 1
            return
        try:
            if len(body) < ACKS_BYTES:
                raise WireError("DATA ends early")
            ack, bits = ACKS.unpack_from(body)
            if not quality.acknowledged(ack, bits, self.sealer.number, now):
                counters.acks_of_unsent += 1
            if self._unheard:
                self._data_came()
            if len(body) > ACKS_BYTES:
                owed = self._acks_owed = self._acks_owed + 1
                if owed == 1:
                    due = now + ACK_SECONDS
                    self.next_tick = due if due < self._timer else self._timer
                elif owed == ACK_DATAGRAMS:
                    self._acks_due = True
                    self.mark_dirty()
                kind = body[ACKS_BYTES]
                if kind & IS_LAST:
                    self._receive_message(kind & ~IS_LAST, body[ACKS_BYTES + 1 :], now)
                else:
                    for kind, payload in split_messages(body):
                        self._receive_message(kind, payload, now)
        except WireError:
            counters.drop_datagram_malformed += 1
            return
        counters.datagrams_delivered += 1

    def _receive_unreliable(self, kind: int, payload: bytes) -> None:
        turn = self.turn
        value: Payload = self.codec.decode(payload) if kind & IS_MESSAGE else payload
        if len(turn.batch) < turn.room:
            turn.emit(Unreliable(self.author, value))
        else:
            self.counters.events_refused += 1

    def receive_frame(self, data: bytes, now: float) -> None:
        """A frame of a joined peer, other than BYE.

        :raises RemoteProtocolError: if it breaks the protocol; the session is over then.
        """
        kind = data[0] if data else 0
        if kind == Kind.DATA:
            is_message, channel, payload = frames.decode_data(data)
            self.incoming.accept(len(data))
            value: Payload = self.codec.decode(payload) if is_message else payload
            self._await_taking()
            self.turn.emit(Received(self.author, value, channel))
        elif kind == Kind.ACK:
            messages, size = self.outgoing.acknowledge(frames.decode_ack(data))
            if self.seat.release(messages, size):
                self.turn.emit(Writable(self.author))
            if self.outgoing.waiting_messages:
                self.mark_frames()
        elif kind == Kind.SAY:
            self.incoming.accept(len(data))
            self._receive_say(data)
        elif kind == Kind.PING:
            self._pong = frames.encode_ping(Kind.PONG, frames.decode_ping(data))
            self.mark_frames()
        elif kind == Kind.PONG:
            asked = self._pings.pop(frames.decode_ping(data), None)
            if asked is not None:
                self.tcp_rtt = now - asked
        else:
            raise RemoteProtocolError(f"frame of kind {kind} from a joined peer")

    def _await_taking(self) -> None:
        """The event about to be emitted is reliable: notice when the game takes it."""
        turn = self.turn
        turn.awaiting.append((turn.published + len(turn.batch), self))

    def game_took(self) -> None:
        """The game has taken one reliable event; the peer hears of it at the next beat."""
        self.incoming.taken += 1
        self._timer = self.next_tick = 0.0
        if self.incoming.is_half_open:
            self._taken_due = True
            self.mark_frames()

    # Out.

    def mark_dirty(self) -> None:
        """Ask for a flush at the end of the turn."""
        if not self.dirty:
            self.dirty = True
            self.turn.dirty.append(self)

    def mark_frames(self) -> None:
        """Ask for a flush of frames, too."""
        self.frames_due = True
        self.mark_dirty()

    def queue_frame(self, frame: bytes) -> None:
        """Queue a DATA or SAY frame."""
        self.outgoing.put(frame)
        self.mark_frames()

    def queue_unreliable(self, flag: int, payload: bytes) -> None:
        """Queue an unreliable message; the oldest gives way when too many wait.

        :param flag: ``wire.IS_MESSAGE`` for a typed message, else 0.
        """
        if len(self._unreliable) >= self.limits.unreliable_messages:
            self._unreliable.popleft()
            self.counters.drop_send_unreliable += 1
        self._unreliable.append((_UNRELIABLE | flag, payload))
        self.mark_dirty()

    def frames_to_send(self, now: float) -> list[bytes]:
        """The frames that may be written now, without their length prefixes."""
        self.frames_due = False
        out = self.outgoing.take() if self.outgoing.waiting_messages else []
        if self._control_frames:
            out += self._control_frames
            self._control_frames = []
        if self._pong:
            out.append(self._pong)
            self._pong = b""
        if self._taken_due:
            self._taken_due = False
            taken = self.incoming.ack()
            if taken is not None:
                out.append(frames.encode_ack(taken))
        if out:
            self.frame_spoken = now
        return out

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """The datagrams of this flush, sealed: answers first, then messages, packed."""
        out: list[tuple[bytes, Address]] = []
        seal = self.sealer.seal
        try:
            if self._control:
                for kind, body, address in self._control:
                    out.append((seal(kind, body), address))
                self._control.clear()
            route = self.route
            if route is not None:
                messages = self._messages(now)
                if self._unreliable:
                    messages += self._unreliable
                    self._unreliable.clear()
                if messages:
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
        if self._acks_owed and now - self.last_datagram_out >= ACK_SECONDS:
            self._acks_due = True
            self.mark_dirty()
        if self.incoming.taken != self.incoming.acknowledged:
            self._taken_due = True
            self.mark_frames()
        if now - self.frame_heard >= limits.dead_seconds:
            return DisconnectReason.TIMEOUT
        if now - self.frame_spoken >= limits.ping_seconds:
            self._ping_number = (self._ping_number + 1) & _LOW
            self._pings = {self._ping_number: now}
            self._control_frames.append(frames.encode_ping(Kind.PING, self._ping_number))
            self.frame_spoken = now
            self.mark_frames()
        self.quality.roll(now, self.window.highest)
        self._timer = self.next_tick = min(
            now + ROLL_SECONDS,
            self.frame_heard + limits.dead_seconds,
            self.frame_spoken + limits.ping_seconds,
        )
        if self._acks_owed and not self._acks_due:
            self.next_tick = min(self.next_tick, self.last_datagram_out + ACK_SECONDS)
        return None

    def confirm_received(self) -> None:
        """Acknowledge at the next flush even if nothing was taken: the join's confirmation."""
        self._control_frames.append(frames.encode_ack(self.incoming.taken))
        self.mark_frames()

    def unacknowledged(self) -> tuple[tuple[Payload, ...], int]:
        """What the peer's game never took: the first 1,024 payloads, and the count of all."""
        left = self.outgoing.unacknowledged()
        payloads: list[Payload] = []
        for frame in left:
            if frame[0] == Kind.DATA and len(payloads) < MAX_UNACKNOWLEDGED:
                is_message, _, payload = frames.decode_data(frame)
                try:
                    payloads.append(self.codec.decode(payload) if is_message else payload)
                except WireError:
                    # Whatever it is, the end of a session must not fail on it.
                    payloads.append(payload)
        return tuple(payloads), len(left)

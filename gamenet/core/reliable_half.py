"""The reliable half of a session: its frames, its window, its liveness.

Layer 1. Runs on: the reactor thread. PROTOCOL section 2.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.stream import Incoming, Outgoing
from gamenet.core.tunnel import Tunnel
from gamenet.errors import RemoteProtocolError, WireError
from gamenet.events import Received, Resumed, Suspended, Writable

if TYPE_CHECKING:
    from gamenet.core.setup import Setup
    from gamenet.errors import DisconnectReason
    from gamenet.messages import Payload

MAX_CONTROL_FRAMES: Final = 8
"""Of those that wait for a peer that does not read; a PING more would tell us nothing."""
MAX_UNACKNOWLEDGED: Final = 1_024
"""Payloads handed back with the end of a session."""
RIDING_ACK_SECONDS: Final = 0.05
"""An ACK that is so old leaves with whatever frame leaves anyway ..."""
LONE_ACK_SECONDS: Final = 0.2
"""... and one that is so old by itself, at the next look at the time. Each costs the other end a
read, and who sends has half a window left until then."""
_DATA: Final = int(Kind.DATA)
_SAY: Final = int(Kind.SAY)
_ACK: Final = int(Kind.ACK)
_PING: Final = int(Kind.PING)
_PONG: Final = int(Kind.PONG)
_TUNNEL: Final = int(Kind.TUNNEL)
_LOW: Final = 0xFFFFFFFF
_NEVER: Final = float("inf")


class ReliableHalf(ABC):
    """What travels by TCP, whatever the side."""

    __slots__ = (
        "_control_frames",
        "_ping_number",
        "_pings",
        "_pong",
        "_slow_since",
        "_taken_due",
        "_taken_since",
        "_timer",
        "author",
        "cid",
        "codec",
        "counters",
        "dirty",
        "frame_heard",
        "frame_spoken",
        "frames_due",
        "incoming",
        "is_suspended",
        "limits",
        "next_tick",
        "outgoing",
        "player",
        "resume_until",
        "seat",
        "session_id",
        "suspended_at",
        "tcp_rtt",
        "tunnel",
        "turn",
    )

    def __init__(self, setup: Setup) -> None:
        limits, now = setup.limits, setup.now
        self.player = setup.player
        self.author = setup.author
        self.seat = setup.seat
        self.session_id = setup.session_id
        self.cid = setup.cid
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
        self._timer = now
        """When ``tick`` is due for anything but acks of datagrams."""
        self._taken_since = _NEVER
        """Since when the game has taken something that the peer was not told of."""
        self._taken_due = False
        self._control_frames: list[bytes] = []
        self._pong = b""
        """The answer to the newest PING; of many that come together only that one is answered."""
        self.frame_heard = self.frame_spoken = now
        self._pings: dict[int, float] = {}
        self._ping_number = 0
        self._slow_since: float | None = None
        """Since when the peer ``_lags``."""
        self.tcp_rtt = 0.0
        self.tunnel = Tunnel()
        self.is_suspended = False
        """The game was told that the connection is lost, and not yet that there is another."""
        self.suspended_at = 0.0
        self.resume_until = 0.0
        """While suspended: when it is too late for another connection."""

    # What each side adds.

    @abstractmethod
    def mark_dirty(self) -> None:
        """Ask for a flush at the end of the turn."""

    @abstractmethod
    def _receive_tunnel(self, data: bytes, now: float) -> None:
        """Act on a TUNNEL frame; raises WireError if its body cannot be decoded."""

    @abstractmethod
    def _receive_rekey(self, data: bytes, now: float) -> None:
        """Act on a REKEY or REKEYED frame; raises RemoteProtocolError if it does not belong."""

    @abstractmethod
    def _receive_say(self, data: bytes) -> None:
        """Emit a chat line; raises WireError if it cannot be decoded."""

    def _lags(self) -> bool:
        """Whether more waits for the peer than may in the long run. Servers cut whoever lags."""
        return False

    # In.

    def receive_frame(self, data: bytes, now: float) -> None:
        """A frame of a joined peer, other than BYE.

        :raises RemoteProtocolError: if it breaks the protocol; the session is over then.
        """
        kind = data[0] if data else 0
        if kind == _DATA:
            is_message, channel, payload = frames.decode_data(data)
            self.incoming.accept(len(data))
            value: Payload = self.codec.decode(payload) if is_message else payload
            self._await_taking()
            self.turn.emit(Received(self.author, value, channel))
        elif kind == _ACK:
            messages, size = self.outgoing.acknowledge(frames.decode_ack(data))
            if self.seat.release(messages, size):
                self.turn.emit(Writable(self.author))
            if self.outgoing.waiting_messages:
                self.mark_frames()
            if self._slow_since is not None and not self._lags():
                self._slow_since = None
        elif kind == _TUNNEL:
            self._receive_tunnel(data, now)
        elif kind == _SAY:
            self.incoming.accept(len(data))
            self._receive_say(data)
        elif kind == _PING:
            self._pong = frames.encode_ping(Kind.PONG, frames.decode_ping(data))
            self.mark_frames()
        elif kind == _PONG:
            asked = self._pings.pop(frames.decode_ping(data), None)
            if asked is not None:
                self.tcp_rtt = now - asked
        elif kind in (Kind.REKEY, Kind.REKEYED):
            self._receive_rekey(data, now)
        else:
            raise RemoteProtocolError(f"frame of kind {kind} from a joined peer")

    def _await_taking(self) -> None:
        """The event about to be emitted is reliable: notice when the game takes it."""
        turn = self.turn
        turn.awaiting.append((turn.published + len(turn.batch), self))

    def game_took(self, now: float) -> None:
        """The game has taken one reliable event; the peer hears of it a little later."""
        self.incoming.taken += 1
        if now < self._taken_since:
            self._taken_since = now
            due = now + LONE_ACK_SECONDS
            self._timer = min(self._timer, due)
            self.next_tick = min(self.next_tick, due)
        if self.incoming.is_half_open:
            self._taken_due = True
            self.mark_frames()

    def _look_at_taken(self, now: float) -> float:
        """Have the peer hear of what the game took long enough ago.

        :returns: when to look again.
        """
        due = self._taken_since + LONE_ACK_SECONDS
        if now < due:
            return due
        self._taken_due = True
        self.mark_frames()
        return _NEVER

    # Out.

    def mark_frames(self) -> None:
        """Ask for a flush of frames, too."""
        self.frames_due = True
        self.mark_dirty()

    def queue_frame(self, frame: bytes) -> None:
        """Queue a DATA or SAY frame."""
        self.outgoing.put(frame)
        self.mark_frames()

    def frames_to_send(self, now: float) -> list[bytes]:
        """The frames that may be written now, without their length prefixes."""
        self.frames_due = False
        out = self.outgoing.take()
        if self._control_frames:
            out += self._control_frames
            self._control_frames = []
        if self._pong:
            out.append(self._pong)
            self._pong = b""
        tunnelled = self.tunnel.frames
        if self._taken_due or (
            now >= self._taken_since + RIDING_ACK_SECONDS and (out or tunnelled)
        ):
            self._taken_due = False
            self._taken_since = _NEVER
            taken = self.incoming.ack()
            if taken is not None:
                out.append(frames.encode_ack(taken))
        if tunnelled:
            # Behind all that is reliable.
            out += self.tunnel.take()
        if out:
            self.frame_spoken = now
        return out

    def last_frames(self, now: float) -> list[bytes]:
        """As ``frames_to_send``, at the end: all that the game has taken is acknowledged."""
        self._taken_due = True
        return self.frames_to_send(now)

    def ping(self, now: float) -> None:
        """Have the peer show by TCP that it is there."""
        if len(self._control_frames) < MAX_CONTROL_FRAMES:
            self._ping_number = (self._ping_number + 1) & _LOW
            self._pings = {self._ping_number: now}
            self._control_frames.append(frames.encode_ping(Kind.PING, self._ping_number))
        self.frame_spoken = now
        self.mark_frames()

    def confirm_received(self) -> None:
        """Acknowledge at the next flush even if nothing was taken: the join's confirmation."""
        self.incoming.ack()
        self._taken_since = _NEVER
        self._control_frames.append(frames.encode_ack(self.incoming.taken))
        self.mark_frames()

    # Without a connection, and with another one.

    def suspend(self, reason: DisconnectReason, now: float, seconds: float) -> None:
        """The connection is lost; the session waits *seconds* for another one."""
        self.is_suspended = True
        self.suspended_at = now
        self.resume_until = now + seconds
        self.next_tick = self._timer = 0.0
        self.unplug()
        self.turn.tell(Suspended(self.player, reason))

    def unplug(self) -> None:
        """Forget what belonged to the connection that is gone: all but the reliable messages."""
        self._control_frames = []
        self._pong = b""
        self._pings = {}
        self._taken_due = False
        self.tunnel.clear()

    def reconnected(self, received: int, now: float) -> None:
        """There is another connection: write what the peer lacks, and what our game has taken.

        :param received: reliable messages that the peer has received.
        :raises RemoteProtocolError: if that cannot be.
        """
        self.outgoing.resume(received)
        self.unplug()
        self.frame_heard = self.frame_spoken = now
        self.next_tick = self._timer = 0.0
        # Which of our ACKs arrived, nobody knows.
        self.confirm_received()

    def resumed(self, now: float) -> None:
        """The peer has shown that it is on the other connection, too."""
        self.is_suspended = False
        self.turn.tell(Resumed(self.player, now - self.suspended_at))

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

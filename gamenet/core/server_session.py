"""The server's side of one peer: what comes in, and what time brings about.

Layer 1. Runs on: the reactor thread. PROTOCOL sections 3 and 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.core import frames
from gamenet.core.budget import LOOK_SECONDS
from gamenet.core.frames import Kind
from gamenet.core.input_timing import TOLD_SECONDS
from gamenet.core.path import Address, ServerPath
from gamenet.core.record import SECRET_BYTES
from gamenet.core.server_rest import ServerRest
from gamenet.core.text import checked_chat
from gamenet.core.wire import (
    STATE_ACK,
    TIME_QUERY,
    TYPE_MASK,
    DatagramKind,
    MessageType,
)
from gamenet.errors import DisconnectReason, RemoteProtocolError, WireError
from gamenet.events import Chat, Input, PathChanged

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.config import ServerConfig
    from gamenet.core.setup import Setup

QUIET_SECONDS: Final = 1.0
"""Who was sent nothing for so long is not waited for: a question about the time is answered."""
_INPUT: Final = int(MessageType.INPUT)
_INPUT_ACK: Final = int(MessageType.INPUT_ACK)
_INPUT_TIMING: Final = int(MessageType.INPUT_TIMING)
_UNRELIABLE: Final = int(MessageType.UNRELIABLE)
_STATE: Final = int(MessageType.STATE)
_STATE_ACK: Final = int(MessageType.STATE_ACK)
_TIME: Final = int(MessageType.TIME)
_DATA: Final = int(DatagramKind.DATA)


class ServerSession(ServerRest):
    """One player, as the server's reactor thread sees it.

    :param random_bytes: source of challenges and of the salt of new keys.
    :param config: its limits hold for this player.
    :param home: the host that its TCP connection came from, as a socket shows it.
    """

    __slots__ = ("_random_bytes",)

    def __init__(
        self,
        setup: Setup,
        config: ServerConfig,
        random_bytes: Callable[[int], bytes],
        home: str = "",
    ) -> None:
        super().__init__(setup, config)
        self._random_bytes = random_bytes
        self.path = self._new_path(home)
        self._interval, self._burst = self._rates.datagrams
        self._interval_bytes, self._burst_bytes = self._rates.bytes
        self._share = config.bridge_events_per_player

    @property
    def route(self) -> Address | None:
        return self.path.address

    def _data_awaited(self, address: Address, newest: bool, now: float) -> None:
        if newest and address == self.path.address:
            self._take_udp(now)

    def _udp_left(self, now: float) -> None:
        """Our challenge has proved the path; the client finds out when it carries again."""
        self._parts = []  # some went a way that carries nothing

    def begin(self, now: float) -> None:
        """The game knows the player: from here on it is told what becomes of the path."""
        self._unbound_since = now
        self.next_tick = self._timer = 0.0

    def reconnected(self, received: int, now: float) -> None:
        super().reconnected(received, now)
        self._parts = []
        self._unbound_since = float("inf")
        self._input_ack_due = True
        self._time_asked = None

    def move(self, home: str) -> None:
        """The player's TCP connection comes from another host."""
        self.path = self._new_path(home)

    def _new_path(self, home: str) -> ServerPath:
        config = self.config
        return ServerPath(
            self._random_bytes,
            config.rebind,
            config.challenges_per_second,
            config.switches_per_minute,
            home,
        )

    def _address_heard(self, address: Address, now: float) -> None:
        challenge = self.path.heard(address, now)
        self._expected = self.path.address if self.path.candidate is None else None
        if challenge is not None:
            self.counters.path_challenges += 1
            self._control.append((*challenge, address))
            self.mark_dirty()

    def _receive_message(self, kind: int, payload: bytes, now: float) -> None:
        if kind == _INPUT:
            turn, inputs, player = self.turn, self.inputs, self.player
            timing, zero, dt = self.input_timing, turn.game_clock_zero, turn.tick_seconds
            room, newest = self._room(), self.states.newest
            fresh = inputs.receive(payload, now, room, newest)
            if fresh:
                seen, emit = inputs.seen, turn.emit
                for number, buttons, missing, low in fresh:
                    tick = 0
                    if low >= 0 and zero is not None:
                        tick = timing.came(number, low, now, zero, dt)
                    emit(Input(player, number, buttons, missing, seen, tick))
                self._waiting += len(fresh)
            self._input_ack_due = True
            if now - timing.told_at >= TOLD_SECONDS:
                timing.look(inputs.missing, now)
        elif kind & TYPE_MASK == _UNRELIABLE:
            self._receive_unreliable(kind, payload)
        elif kind == _STATE_ACK:
            if len(payload) != STATE_ACK.size:
                raise WireError("STATE_ACK of the wrong length")
            if not self.states.acknowledge(STATE_ACK.unpack(payload)[0]):
                raise WireError("STATE_ACK of a state never sent")
        elif kind == _TIME:
            if len(payload) != TIME_QUERY.size:
                raise WireError("TIME of the wrong length")
            if self.turn.game_clock_zero is not None:
                # Rides on the next datagram; the wait is told, so it does not count as round trip.
                self._time_asked = (TIME_QUERY.unpack(payload)[0], now)
            if now - self.last_datagram_out >= QUIET_SECONDS:
                # But no other is to be expected: what is owed leaves now, and nobody waits for it.
                self._acks_due = True
                self.next_tick = self._timer
                self.mark_dirty()
        else:
            raise WireError(f"message of type {kind} from a client")

    def _receive_control(self, kind: int, body: bytes, address: Address, now: float) -> bool:
        if self.rests:
            self.stir(now)
        if kind == DatagramKind.BIND:
            answer = self.path.bind(body, address, self.newest, now)
            if answer is None:
                return False
            self._expected = None
            self._control.append((*answer, address))
        elif kind == DatagramKind.RESPONSE:
            before = self.path.address
            if not self.path.respond(body, address, now):
                return False
            self._expected = address
            self._control.append((DatagramKind.BOUND, b"", address))
            if before not in (None, address):
                self.counters.path_switches += 1
            if self.tunnelled:
                self._take_udp(now)
            elif before != address:
                self.quality.restart(self.window.highest)
                self.turn.tell(PathChanged(self.player, "udp", "moved"))
        elif kind == DatagramKind.PING and len(body) == 4 and self.path.address is not None:
            if self.newest and address != self._expected:
                self._address_heard(address, now)
            if address != self.path.address:
                return True
            self._control.append((DatagramKind.PONG, body, address))
        else:
            return False
        self.mark_dirty()
        return True

    def _receive_rekey(self, data: bytes, now: float) -> None:
        if data[0] != Kind.REKEYED:
            raise RemoteProtocolError("REKEY from a client")
        self.keys.answered(frames.decode_rekeyed(data))

    def _rekey_if_due(self, now: float) -> None:
        if self.is_suspended:
            return  # REKEY goes by TCP, and another connection brings new keys anyway
        config = self.config
        if self.keys.is_due(self.window.highest, now, config.rekey_datagrams, config.rekey_seconds):
            salt = self._random_bytes(SECRET_BYTES)
            self._control_frames.append(frames.encode_rekey(self.keys.propose(salt), salt))
            self.counters.rekeys += 1
            self.mark_frames()

    def _receive_say(self, data: bytes) -> None:
        try:
            text = checked_chat(frames.decode_say(data))
        except ValueError as error:
            raise RemoteProtocolError(str(error)) from None
        self._await_taking()
        self.turn.emit(Chat(self.player, text, False))

    def _lags(self, times: int = 1) -> bool:
        """Whether more than the queue's cap waits, or so many *times* the cap."""
        outgoing, config = self.outgoing, self.config
        # Beyond the window, used or not: without a connection nothing is on its way.
        messages = outgoing.messages - self.limits.window_messages
        size = outgoing.size - self.limits.window_bytes
        return messages > times * config.queue_messages or size > times * config.queue_bytes

    def tick(self, now: float) -> DisconnectReason | None:
        if self.rests and self.ping_at_rest(now):
            return None
        if self._lags():
            if self._slow_since is None:
                self._slow_since = now
            if now - self._slow_since >= self.config.slow_seconds or self._lags(2):
                return DisconnectReason.SLOW_CONSUMER
        else:
            self._slow_since = None
        if self._rates.is_abused(self.datagrams_in + self.rate_dropped, now):
            return DisconnectReason.RATE
        self._rekey_if_due(now)
        self.budget.look(self.quality, self.bytes_out, self.datagrams_out, now)
        reason = super().tick(now)
        if self.quality.oldest_sent is not None:
            # Something is on its way: the budget looks what becomes of it.
            self._timer = min(self._timer, now + LOOK_SECONDS)
            self.next_tick = min(self.next_tick, self._timer)
        elif reason is None:
            self.rest_if_quiet(now)
        return reason

"""The client's side of the session: inputs out, states in, the clock, the binding of UDP.

Layer 1. Runs on: the reactor thread. PROTOCOL sections 3 and 4.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from gamenet.core import frames
from gamenet.core.clock import ServerClock
from gamenet.core.fallback import ACK_SECONDS
from gamenet.core.frames import Kind
from gamenet.core.input_timing import InputLead
from gamenet.core.inputs import InputSender
from gamenet.core.path import Address, ClientPath
from gamenet.core.quality import microseconds
from gamenet.core.rates import Bucket
from gamenet.core.session import Session
from gamenet.core.state_channel import StateReceiver
from gamenet.core.text import clean
from gamenet.core.wire import (
    CHALLENGE_BYTES,
    INPUT_ACK,
    IS_MESSAGE,
    PADDING,
    STATE_ACK,
    TIME_QUERY,
    TYPE_MASK,
    DatagramKind,
    MessageType,
)
from gamenet.errors import DisconnectReason, RemoteProtocolError, WireError
from gamenet.events import SERVER, Chat, PathChanged, Player, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.core.setup import Setup

TIME_SECONDS: Final = 0.5
"""How often the client asks for the time, once it has so many answers."""
SETTLED_SAMPLES: Final = 16
QUICK_SECONDS: Final = 0.1
"""How often it asks until then."""
LONE_SECONDS: Final = 0.5
"""How much longer a question waits that would leave with acks alone: its answer is to be
acknowledged, too, so two silent games would keep each other talking."""
SETTLED_LONE_SECONDS: Final = 4.5
"""The same once it has so many answers: clocks drift apart by a tenth of a millisecond meanwhile,
and a thousand silent players cost a server next to nothing."""
STATE_ACK_SECONDS: Final = 0.05
"""How often the client says at most which state it holds: a baseline this much older costs less
than a message more in each datagram."""
PACE: Final = 0.95
"""Share of the server's limit on datagrams that we use."""
PROBE_SECONDS: Final = 2.0
"""How long TCP may take to show that it is alive, once our address has changed."""
MAX_AUTHORS: Final = 1_024
"""Chat authors remembered as one object each."""
_INPUT: Final = int(MessageType.INPUT)
_INPUT_ACK: Final = int(MessageType.INPUT_ACK)
_INPUT_TIMING: Final = int(MessageType.INPUT_TIMING)
_UNRELIABLE: Final = int(MessageType.UNRELIABLE)
_STATE: Final = int(MessageType.STATE)
_FRAGMENT: Final = int(MessageType.FRAGMENT)
_STATE_ACK: Final = int(MessageType.STATE_ACK)
_TIME: Final = int(MessageType.TIME)


class ClientSession(Session):
    """The joined session, as the client's reactor thread sees it.

    :param datagrams_per_second: what the server lets us send; messages wait for their turn.
    :param tick_rate: the server's ticks a second.
    :param take_state: called with each newer state; keeps only the last.
    :param seen_state: tells the newest state number that the game has taken.
    """

    __slots__ = (
        "_authors",
        "_held_back",
        "_moving",
        "_next_state_ack",
        "_next_time",
        "_pace",
        "_probed",
        "_seen_state",
        "_take_state",
        "_tick_rate",
        "clock",
        "input_timing",
        "inputs",
        "path",
        "states",
    )

    def __init__(
        self,
        setup: Setup,
        *,
        address: Address,
        longest_pause_seconds: float,
        datagrams_per_second: int,
        input_bits: int,
        tick_rate: float,
        take_state: Callable[[State], None],
        seen_state: Callable[[], int],
    ) -> None:
        super().__init__(setup)
        self.path = ClientPath(address, longest_pause_seconds)
        # Kept a little below what the server allows, whose clock may run faster than ours.
        rate = max(1.0, PACE * datagrams_per_second)
        self._pace = Bucket(rate, max(1.0, rate / 4), setup.now)
        self.inputs = InputSender(input_bits)
        self.input_timing = InputLead()
        self._tick_rate = tick_rate
        self.states = StateReceiver(self.counters)
        self.clock = ServerClock()
        self._take_state = take_state
        self._seen_state = seen_state
        self._next_time = -inf
        self._next_state_ack = 0.0
        self._authors: dict[int, Player] = {self.player.id: self.player, 0: SERVER}
        self._unbound_since = setup.now
        self._probed: float | None = None
        """When we asked whether TCP is alive, until we know."""
        self._held_back = False
        """Something to send waits for its turn."""
        self._moving = False
        """The server asked for a proof of our address although the path was bound."""

    @property
    def route(self) -> Address | None:
        return self.path.address if self.path.bound else None

    @property
    def input_figures(self) -> tuple[float, int, int, int]:
        timing = self.input_timing
        return timing.lead, timing.late, timing.early, timing.missing

    @property
    def server_clock(self) -> tuple[float, float]:
        return self.clock.offset, self.clock.uncertainty

    def queue_input(self, number: int, buttons: int, now: float) -> None:
        """Add the next input; it goes with every datagram until the server has it."""
        timing, rate = self.input_timing, self.clock.rate(self._tick_rate)
        estimator = self.quality.estimator
        timing.guess(estimator.rtt, estimator.jitter)
        self.inputs.put(number, buttons, timing.aim(number, self.clock.tick(now, rate), rate))
        self._timer = self.next_tick = 0.0
        self.mark_dirty()

    def _data_came(self, address: Address, newest: bool, now: float) -> None:
        self._bound(now)

    def _ask_for_ack(self) -> None:
        self._next_time = -inf

    def _udp_left(self, now: float) -> None:
        self.path.restart()
        self._moving = False
        self.next_tick = self._timer = 0.0

    def _address_heard(self, address: Address, now: float) -> None:
        # A server may answer from any of its addresses; what counts is that it can seal.
        self._expected = address

    def _receive_rekey(self, data: bytes, now: float) -> None:
        if data[0] != Kind.REKEY:
            raise RemoteProtocolError("REKEYED from a server")
        epoch, salt = frames.decode_rekey(data)
        self.keys.follow(epoch, salt, self.window.highest, now)
        self._use(self.keys.opener)
        self.counters.rekeys += 1
        self._control_frames.append(frames.encode_rekeyed(epoch))
        self.mark_frames()

    def _bound(self, now: float) -> None:
        self.path.bound = True
        self._take_udp(now)
        self._next_time = -inf  # how long this path takes is not known yet
        # A server that sends inside TCP, too, follows the next datagram with a body.
        self._acks_due = True

    def reach(self, address: Address, longest_pause_seconds: float, now: float) -> None:
        """Where the server's datagrams are to go, over the connection that we have now."""
        self.path = ClientPath(address, longest_pause_seconds)
        self._moving = False
        self._unbound_since = now

    def _receive_message(self, kind: int, payload: bytes, now: float) -> None:
        plain = kind & TYPE_MASK
        if plain in (_STATE, _FRAGMENT):
            self._receive_state(kind, payload, now)
        elif kind == _INPUT_ACK:
            if len(payload) != INPUT_ACK.size:
                raise WireError("INPUT_ACK of the wrong length")
            if not self.inputs.acknowledge(INPUT_ACK.unpack(payload)[0]):
                raise WireError("INPUT_ACK of an input never sent")
        elif plain == _UNRELIABLE:
            self._receive_unreliable(kind, payload)
        elif kind == _INPUT_TIMING:
            self.input_timing.told(payload)
        elif kind == _TIME:
            times = self.quality.time_reply(payload, now)
            if times is not None:
                self.clock.observe(*times, now)
        else:
            raise WireError(f"message of type {kind} from a server")

    def _receive_state(self, kind: int, payload: bytes, now: float) -> None:
        states = self.states
        if kind & TYPE_MASK == _STATE:
            fields = states.receive(payload)
        else:
            fields = states.receive_fragment(payload)
        if fields is None:
            return
        number, tick, server_ms, input_number, data = fields
        value = self.codec.decode(data) if kind & IS_MESSAGE else data
        self.counters.states_received += 1
        seconds = server_ms / 1000
        self.clock.state_came(seconds, tick, now, self.quality.estimator.rtt_min)
        self._take_state(State(number, value, tick, seconds, input_number))

    def _receive_control(self, kind: int, body: bytes, address: Address, now: float) -> bool:
        if kind == DatagramKind.CHALLENGE and len(body) >= CHALLENGE_BYTES:
            # One answer, however many ask; and only ever to where the server is.
            self._control = [one for one in self._control if one[0] != DatagramKind.RESPONSE]
            self._control.append((DatagramKind.RESPONSE, body[:CHALLENGE_BYTES], self.path.address))
            # The answer to a BIND is padded; a short one comes of our other datagrams' address.
            self._moving = self.path.bound and len(body) == CHALLENGE_BYTES
            self.mark_dirty()
        elif kind == DatagramKind.BOUND and not body:
            if not self.path.bound:
                self._bound(now)
            elif self._moving:
                self._moved(now)
        elif kind != DatagramKind.PONG or len(body) != 4:
            return False
        return True

    def _moved(self, now: float) -> None:
        """The server follows us to our new address, where our TCP connection may be a dead one."""
        self._moving = False
        if not self.is_suspended:
            self.ping(now)
            self._probed = now
            self.next_tick = self._timer = 0.0
        self.quality.restart(self.window.highest)
        self.counters.path_switches += 1
        self.turn.emit(PathChanged(self.player, "udp", "moved"))

    def _receive_say(self, data: bytes) -> None:
        author, name, text, private = frames.decode_said(data)
        player = self._authors.get(author)
        if player is None:
            if len(self._authors) >= MAX_AUTHORS:
                self._authors = {self.player.id: self.player, 0: SERVER}
            player = self._authors[author] = Player(author, clean(name), "")
        self._await_taking()
        self.turn.emit(Chat(player, clean(text), private))

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """As for every session, but at the pace that the server allows."""
        if self._pace.wait(1, now) and not self._control:
            self._held_back = True
            self._timer = self.next_tick = 0.0
            return []
        # The few answers and attempts to bind are not held against messages: inputs that wait for
        # too long are given up.
        before = self.datagrams_out + len(self._control)
        out = super().datagrams_to_send(now)
        if self.datagrams_out > before:
            self._held_back = False
            self._pace.take(self.datagrams_out - before, now)
        return out

    def _messages(self, now: float) -> list[tuple[int, bytes]]:
        messages: list[tuple[int, bytes]] = []
        held = self.states.to_acknowledge()
        if held is not None and now >= self._next_state_ack:
            self._next_state_ack = now + STATE_ACK_SECONDS
            self.states.acknowledged()
            messages.append((_STATE_ACK, STATE_ACK.pack(held)))
        inputs = self.inputs.message(self._seen_state())
        if inputs:
            messages.append((_INPUT, inputs))
        if self._asks_time(now, lone=not messages):
            # Often at first, so that a client knows soon; then seldom.
            self._next_time = now + (TIME_SECONDS if self._is_settled else QUICK_SECONDS)
            messages.insert(0, (_TIME, TIME_QUERY.pack(microseconds(now))))
        return messages

    @property
    def _is_settled(self) -> bool:
        return self.quality.estimator.samples >= SETTLED_SAMPLES

    def _asks_time(self, now: float, *, lone: bool) -> bool:
        """Whether a datagram that leaves now asks for the time.

        :param lone: it would bear acknowledgements alone.
        """
        wait = (SETTLED_LONE_SECONDS if self._is_settled else LONE_SECONDS) if lone else 0.0
        return now >= self._next_time + wait

    def tick(self, now: float) -> DisconnectReason | None:
        path = self.path
        if self._held_back:
            self.mark_dirty()
        silent = now - self.last_datagram_out
        if path.attempt_due(now):
            self._control.append((DatagramKind.BIND, PADDING, path.address))
            self.mark_dirty()
        elif self.inputs.values and silent >= ACK_SECONDS:
            self.mark_dirty()
        elif path.bound and silent >= self.limits.ping_seconds:
            # A question about the time keeps the path as well, and has an answer, too.
            if not self._asks_time(now, lone=True):
                number = self._ping_number.to_bytes(4, "big")
                self._control.append((DatagramKind.PING, number, path.address))
            self.mark_dirty()
        reason = super().tick(now)
        if self._probed is not None and not self.is_suspended:
            if self.frame_heard >= self._probed:
                self._probed = None
            elif now >= self._probed + PROBE_SECONDS:
                return DisconnectReason.TIMEOUT
            else:
                self._timer = min(self._timer, self._probed + PROBE_SECONDS)
        if not path.bound:
            self._timer = min(self._timer, path.next_attempt)
        if self.inputs.values:
            self._timer = min(self._timer, self.last_datagram_out + ACK_SECONDS)
        elif path.bound:
            self._timer = min(self._timer, self.last_datagram_out + self.limits.ping_seconds)
        self.next_tick = min(self.next_tick, self._timer)
        return reason

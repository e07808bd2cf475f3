"""What leaves for one player: answers, states and unreliable messages, as far as the budget goes.

Layer 1. Runs on: the reactor thread. PROTOCOL section 4; ``docs/BUDGET.rst``.
"""

from __future__ import annotations

from abc import abstractmethod
from struct import Struct
from typing import TYPE_CHECKING, Final

from gamenet.core.budget import Budget
from gamenet.core.input_timing import INPUT_TIMING, InputTiming
from gamenet.core.inputs import InputReceiver
from gamenet.core.quality import ACK_SPAN
from gamenet.core.session import Session
from gamenet.core.state_channel import Fields, StateSender, split_state
from gamenet.core.traffic import ACKED_STATE, ONE
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    INPUT_ACK,
    IS_LAST,
    LENGTH_BYTES,
    MAX_BODY_BYTES,
    MAX_DATAGRAM_BYTES,
    MAX_MESSAGES,
    MAX_UNRELIABLE_BYTES,
    OVERHEAD_BYTES,
    SINGLE_STATE_BYTES,
    STATE,
    TIME_REPLY,
    DatagramKind,
    MessageType,
    pack_messages,
)

if TYPE_CHECKING:
    from gamenet.config import ServerConfig
    from gamenet.core.path import Address, ServerPath
    from gamenet.core.setup import Setup

_INPUT_ACK: Final = int(MessageType.INPUT_ACK)
_INPUT_TIMING: Final = int(MessageType.INPUT_TIMING)
_STATE: Final = int(MessageType.STATE)
_TIME: Final = int(MessageType.TIME)
_DATA: Final = int(DatagramKind.DATA)
# Acks, INPUT_ACK with its length, and STATE as the last message: wire.py has them one by one.
_ACKED_STATE: Final = Struct("!HIBHIBIIIIB")
_SHORT_CUT_BYTES: Final = SINGLE_STATE_BYTES - sum(
    1 + LENGTH_BYTES + answer.size for answer in (INPUT_ACK, INPUT_TIMING, TIME_REPLY)
)
ANSWERS_BYTES: Final = 128
"""A datagram with every answer that one flush may have, and nothing else, is smaller."""
MAX_CONTROL: Final = 8
"""Control datagrams that wait for the budget; the peer asks again for what it lacks."""
_BEGUN_BYTES: Final = OVERHEAD_BYTES + ACKS_BYTES + 1
"""What a message costs beside its payload if a datagram begins with it ..."""
_ADDED_BYTES: Final = LENGTH_BYTES + 1
"""... and if it is added to one."""


class ServerFlush(Session):
    """The sending side of a player's session.

    :param config: its limits hold for this player.
    """

    __slots__ = (
        "_input_ack_due",
        "_lead",
        "_parts",
        "_time_asked",
        "budget",
        "input_timing",
        "inputs",
        "path",
        "rests",
        "states",
    )

    path: ServerPath
    """Where it goes; whoever receives sets it."""

    def __init__(self, setup: Setup, config: ServerConfig) -> None:
        super().__init__(setup)
        self.inputs = InputReceiver(config.input_bits, config.max_input_hz, self.counters)
        self.input_timing = InputTiming(config.input_hold_seconds, self.counters)
        self.states = StateSender(config.baseline_bytes, setup.turn.shrinker, self.counters)
        self._input_ack_due = False
        self.budget = Budget(config.send_bytes_per_second, setup.now)
        """What may be sent to the client, reliable messages apart."""
        self._parts: list[tuple[int, bytes]] = []
        """What is left of a state under way; newer ones wait, and replace each other."""
        self._lead = 0
        """Bytes that unreliable messages had before states, of what both wait for."""
        self._time_asked: tuple[int, float] | None = None
        self.rests = False
        """Whether nothing has happened since the last look at the time, and nothing is left to be
        counted: ``ServerRest``."""

    @abstractmethod
    def stir(self, now: float) -> None:
        """Something happens to a session that rests."""

    @property
    def input_figures(self) -> tuple[float, int, int, int]:
        timing = self.input_timing
        return timing.lead, timing.late, timing.early, timing.missing

    @property
    def queued_state_bytes(self) -> int:
        waiting = self.states.waiting
        size = len(waiting[1]) if waiting is not None else 0
        return size + sum(len(payload) for _, payload in self._parts)

    @property
    def send_bytes_per_second(self) -> float:
        return self.budget.allowed

    def put_state(self, fields: Fields) -> None:
        """Make this the state that the player gets next; an older one waiting is forgotten."""
        states = self.states
        if states.waiting is not None:
            states.replaced += 1
            self.counters.states_replaced += 1
        states.newest = fields[0]
        states.waiting = fields
        if not self.dirty:
            self.dirty = True
            self.turn.dirty.append(self)

    def _ask_for_ack(self) -> None:
        self._input_ack_due = True

    def _size_to_send(self) -> int:
        waiting = self.states.waiting
        size = sum(len(part) for _, part in self._parts)
        if not size and waiting is not None and len(waiting[1]) > SINGLE_STATE_BYTES:
            size = len(waiting[1])
        # As many of its fragments as may leave now; an eighth more holds their headers.
        room = max(0, int(self.budget.level - self.budget.reserve))
        return MAX_BODY_BYTES + min(size * 9 // 8, room)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """As for every session; the flush that a tick of the game causes takes a short cut.

        That flush holds a state and answers, most often only the ack of the inputs, and it is
        nearly all that a server does: its body is packed in one go.
        """
        states = self.states
        fields = states.waiting
        if fields is None and not (
            self._input_ack_due
            or self._acks_due
            or self._unreliable
            or self._parts
            or self._control
            or self._time_asked is not None
            or self.input_timing.due
            or self.tunnelled
        ):
            # The flush is one of frames; a ping alone does not stir.
            if self.rests and self.outgoing.waiting_messages:
                self.stir(now)
            return []
        budget = self.budget
        level = budget.level + (now - budget.when) * budget.allowed
        if level > budget.burst:
            level = budget.burst
        budget.level = level
        budget.when = now
        route = self.path.address
        if (
            fields is None
            or self.tunnelled
            or level < budget.reserve + MAX_DATAGRAM_BYTES
            or self._parts
            or route is None
            or self._control
            or self._unreliable
            or self.sealer.number >= self.sealer.stop
        ):
            return self._datagrams_in_budget(now)
        states.waiting = None
        number, payload, flag, tick, server_ms, input_number = fields
        encoding, content = states.shrink(number, payload)
        if len(content) > _SHORT_CUT_BYTES:
            header = STATE.pack(
                number, tick & 0xFFFFFFFF, server_ms & 0xFFFFFFFF, input_number, encoding
            )
            self._parts = split_state(header, content, flag)
            return self._datagrams_in_budget(now)
        window = self.window
        if window.missing or window.highest < ACK_SPAN:
            ack, bits = window.acks()
        else:
            ack, bits = window.highest & 0xFFFF, 0xFFFFFFFF
        traffic = self.traffic
        if now >= traffic.due:
            self.look_at_traffic(now)
        if self._input_ack_due and self._time_asked is None and not self.input_timing.due:
            traffic.sent[ACKED_STATE] += ONE + len(content)
            body = (
                _ACKED_STATE.pack(
                    ack,
                    bits,
                    _INPUT_ACK,
                    INPUT_ACK.size,
                    self.inputs.settled,
                    _STATE | IS_LAST | flag,
                    number,
                    tick & 0xFFFFFFFF,
                    server_ms & 0xFFFFFFFF,
                    input_number,
                    encoding,
                )
                + content
            )
        else:
            header = STATE.pack(
                number, tick & 0xFFFFFFFF, server_ms & 0xFFFFFFFF, input_number, encoding
            )
            messages = self._messages(now)
            messages.append((_STATE | flag, header + content))
            traffic.count_sent(messages)
            body = ACKS.pack(ack, bits) + pack_messages(messages)[0]
        sealer = self.sealer
        self.quality.sent(sealer.number, now)
        data = sealer.seal(_DATA, body)
        self._input_ack_due = self._acks_due = False
        self._acks_owed = 0
        self.last_datagram_out = now
        self.datagrams_out += 1
        self.bytes_out += len(data)
        budget.level = level - len(data)
        return [(data, route)]

    def _datagrams_in_budget(self, now: float) -> list[tuple[bytes, Address]]:
        """As for every session, as far as the budget goes; what it does not allow waits."""
        budget = self.budget
        level = budget.level
        control, held = self._control, []
        for index, (_, body, _) in enumerate(control):
            budget.level -= OVERHEAD_BYTES + len(body)
            if budget.level < 0:
                # What is not so urgent lets the room for it grow.
                held = control[index:][-MAX_CONTROL:]
                del control[index:]
                break
        if budget.level < ANSWERS_BYTES:
            self._acks_due = False
        before = self.bytes_out
        out = super().datagrams_to_send(now)
        budget.level = level - (self.bytes_out - before)
        if held:
            self._control = held
            self._wait_for_budget()
        return out

    def _wait_for_budget(self) -> None:
        """Something is left for a later flush; the next beat has one, if nothing else has."""
        self.counters.budget_waits += 1
        self._has_to_wait = True
        self._timer = self.next_tick = 0.0

    def _messages_to_send(self, now: float) -> list[tuple[int, bytes]]:
        budget = self.budget
        if budget.level < ANSWERS_BYTES:
            self._wait_for_budget()
            return []
        bulk: list[tuple[int, bytes]] = []
        if self._parts or self._unreliable or self.states.waiting is not None:
            is_done = self._fill(bulk, budget.level - budget.reserve)
            if not is_done:
                self._wait_for_budget()
            if not (is_done or bulk or self._acks_due or self._time_asked is not None):
                # A datagram of its own for each input would take what the state waits for: they
                # are answered when acknowledgements are due.
                return bulk
        return self._messages(now) + bulk

    def _fill(self, bulk: list[tuple[int, bytes]], room: float) -> bool:
        """Move states and unreliable messages to *bulk* while they cost no more than *room* bytes.

        Where both wait they take turns, so that each gets half.

        :returns: False if something is left.
        """
        states, unreliable = self.states, self._unreliable
        if not self._parts and states.waiting is None:
            # At most, as if each began a datagram.
            most = len(unreliable) * _BEGUN_BYTES + sum([len(payload) for _, payload in unreliable])
            if most <= room:
                bulk += unreliable
                unreliable.clear()
                return True
        free = count = 0  # of the datagram that is being filled
        while True:
            parts, waiting = self._parts, states.waiting
            if unreliable and (self._lead <= 0 or not (parts or waiting)):
                size = len(unreliable[0][1])
                mine = 1
            elif parts:
                size = len(parts[0][1])
                mine = -1
            elif waiting is not None:
                size = min(STATE.size + len(waiting[1]), MAX_UNRELIABLE_BYTES)
                mine = 0
            else:
                return True
            begins = count == MAX_MESSAGES or size + _ADDED_BYTES > free
            cost = size + (_BEGUN_BYTES if begins else _ADDED_BYTES)
            if cost > room:
                return False
            if not mine:
                # Only now it is decided what the state is told by: it begins with what is known.
                self._parts = states.take()
                continue
            bulk.append(unreliable.popleft() if mine > 0 else parts.pop(0))
            room -= cost
            free = (MAX_DATAGRAM_BYTES if begins else free) - cost
            count = 1 if begins else count + 1
            lead = self._lead + mine * cost
            self._lead = max(-MAX_DATAGRAM_BYTES, min(lead, MAX_DATAGRAM_BYTES))

    def _messages(self, now: float) -> list[tuple[int, bytes]]:
        messages: list[tuple[int, bytes]] = []
        if self._input_ack_due:
            self._input_ack_due = False
            messages.append((_INPUT_ACK, INPUT_ACK.pack(self.inputs.settled)))
        if self.input_timing.due:
            messages.append((_INPUT_TIMING, self.input_timing.report()))
        zero = self.turn.game_clock_zero
        if self._time_asked is not None and zero is not None:
            asked, came = self._time_asked
            self._time_asked = None
            # One that came before the clock began is not answered: the client asks again.
            if came >= zero:
                waited = min(int((now - came) * 1e6), 0xFFFFFFFF)
                messages.append((_TIME, TIME_REPLY.pack(asked, int((came - zero) * 1e6), waited)))
        return messages

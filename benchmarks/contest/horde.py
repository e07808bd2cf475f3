"""Very many players in one process: the lean load of W3 and W7.

Each has joined over TCP and proved its UDP address, then sends what gamenet's own client sends, as
often: each tick an input that is meant for a tick of the server's, with acknowledgements; the state
that it holds every 50 ms; a question about the time every half second; answers to what comes on
TCP. What a real client does and nobody else sees is left out: only one state in 50 ms is opened,
the others are known by the numbers in their headers. While that one shows that the server keeps up,
inputs count as acknowledged as soon as something came after them; they are sent again otherwise.
"""

from __future__ import annotations

import ctypes
import sys
import time
from random import random
from struct import Struct
from typing import TYPE_CHECKING, Any, Final

import common
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gamenet.core import wire
from gamenet.core.client_session import STATE_ACK_SECONDS, TIME_SECONDS
from gamenet.core.inputs import NO_TICK, encode_inputs
from gamenet.core.quality import microseconds
from gamenet.core.record import IV_BYTES, Schedule

if TYPE_CHECKING:
    from lean import LeanClient

LEAD_SECONDS: Final = 0.003
"""How long before its tick an input leaves at least: on loopback a client's lead is about that."""
SWEEP_TICKS: Final = 8
"""So often the socket is read until it is empty: to find it so costs as much as a datagram."""
TCP_TICKS: Final = 60
SPIN_SECONDS: Final = 60e-6
"""What is left of a pause after a sleep, which may be so much too long."""
MOST_READ: Final = 256
MOST_INPUTS: Final = 100
"""In one message: what 64 bits each leave room for."""
TRUSTED_TICKS: Final = 4
"""A server that acknowledges the input of so many ticks ago keeps up."""
LOOK_STEPS: Final = 16
"""So often it notes how late it is."""
BITS: Final = 64
_INPUT: Final = int(wire.MessageType.INPUT)
_STATE_ACK: Final = int(wire.MessageType.STATE_ACK)
_TIME: Final = int(wire.MessageType.TIME)
_MASK32: Final = 0xFFFFFFFF
_MASK64: Final = (1 << BITS) - 1
_GOLDEN: Final = 0x9E3779B97F4A7C15
_FIRST: Final = wire.PREFIX | int(wire.DatagramKind.DATA)
_LOW: Final = Struct("!I")
_LOW_AT: Final = 5
# Acks, and one input of 64 bits as the last message; the same with STATE_ACK before it.
_ONE: Final = Struct("!HIBIIHBBBQ")
_ACK_AND_ONE: Final = Struct("!HIBHIBIIHBBBQ")


class Clock:
    """When the server's ticks begin: the same clock here and there, as both are on one machine."""

    __slots__ = ("dt", "zero")

    def __init__(self, hz: float) -> None:
        self.dt = 1.0 / hz
        self.zero = float("inf")
        """When tick 0 began, in monotonic seconds: of all that states said, the earliest."""

    def state_came(self, tick: int, now: float) -> None:
        """A state that was made in *tick* is read."""
        self.zero = min(self.zero, now - tick * self.dt)


class Rider:
    """One player.

    :param client: joined and bound; from here on only its TCP connection is its own.
    :param parts: datagrams that a state comes in.
    :param loss: share of datagrams that are shed, each way.
    """

    __slots__ = (
        "_bits",
        "_cid",
        "_clock",
        "_encrypt",
        "_first",
        "_high",
        "_iv",
        "_left",
        "_loss",
        "_next_ack",
        "_next_time",
        "_number",
        "_open",
        "_open_iv",
        "_owed",
        "_parts",
        "_read",
        "_seen",
        "_send",
        "_shed_high",
        "_tick",
        "_trusts",
        "client",
        "inputs",
        "received",
        "shed",
    )

    def __init__(self, client: LeanClient, clock: Clock, parts: int, loss: float) -> None:
        self.client = client
        accept, udp = client.accept, client.udp
        assert udp is not None
        udp.connect(client.server)
        self._send, self._read = udp.send, udp.recv_into
        context = accept.session_id + accept.cid.to_bytes(4, "big")
        ours, theirs = Schedule(accept, client.stream.exporter(context)).directions()
        self._encrypt, self._open = AESGCM(ours.key).encrypt, AESGCM(theirs.key).decrypt
        self._iv, self._open_iv = (int.from_bytes(keys.iv, "big") for keys in (ours, theirs))
        self._cid = accept.cid
        self._number = client.sealer.number
        self._high, (_, self._bits) = client.window.highest, client.window.acks()
        self._first = self._high + 1
        self._clock = clock
        self._parts, self._loss = parts, loss
        # What players do now and then they do each at another time.
        now = time.monotonic()
        self._next_ack = now + random() * STATE_ACK_SECONDS
        self._next_time = now + random() * TIME_SECONDS
        self._tick = int(random() * TCP_TICKS)
        self._seen = 0
        """The newest state that it holds, as far as it has looked."""
        self._left = False
        """Whether the last input has left and not been shed."""
        self._owed = 0
        """How many of its newest inputs are not acknowledged, as far as it knows."""
        self._trusts = True
        """Whether the server was seen to keep up: then it is taken to have what has left."""
        self._shed_high = -1
        self.inputs = 0
        """How many it has made."""
        self.received = 0
        """Datagrams that came, shed or not."""
        self.shed = 0

    @property
    def lost(self) -> int:
        """Datagrams that left the server and never came, up to the newest that did."""
        return max(self._high, self._shed_high) - self._first + 1 - self.received

    def play(self, now: float, buffer: bytearray) -> None:
        """Take what came, and send what a player sends in a tick.

        :param buffer: room for a datagram, for all riders.
        """
        tick = self._tick = self._tick + 1
        read, loss, high, bits = self._read, self._loss, self._high, self._bits
        size = number = 0
        # As many as a tick brings, and now and then whatever is there.
        most = self._parts if tick % SWEEP_TICKS else MOST_READ
        try:
            for _ in range(most):
                length = read(buffer)
                self.received += 1
                came = _LOW.unpack_from(buffer, _LOW_AT)[0]
                if loss and random() < loss:
                    self.shed += 1
                    if came > self._shed_high:
                        self._shed_high = came
                    size = 0
                    continue
                size, number = length, came
                ahead = number - high
                if ahead == 1:
                    bits = (bits << 1 | 1) & _MASK32
                    high = number
                elif ahead > 1:
                    bits = (bits << ahead | 1 << (ahead - 1)) & _MASK32
                    high = number
                elif -32 <= ahead < 0:
                    bits |= 1 << (-ahead - 1)
        except BlockingIOError:
            pass
        if high != self._high and self._left and self._trusts:
            # Whatever the server sends acknowledges all inputs that have reached it.
            self._owed = 0
        self._high, self._bits = high, bits
        held = 0
        if size and now >= self._next_ack:
            held = self._look(number, bits, bytes(memoryview(buffer)[:size]), now)
            if held:
                self._next_ack = now + STATE_ACK_SECONDS
        inputs = self.inputs = self.inputs + 1
        owed = self._owed = self._owed + 1
        value = inputs * _GOLDEN & _MASK64
        clock = self._clock
        due = 0
        if inputs > SWEEP_TICKS and clock.zero < now:
            due = int((now + LEAD_SECONDS - clock.zero) / clock.dt) + 1
        if owed > 1 or now >= self._next_time:
            body = self._pack(now, held, due)
        elif held:
            body = _ACK_AND_ONE.pack(
                high & 0xFFFF, bits, _STATE_ACK, 4, held, _INPUT | wire.IS_LAST, inputs, self._seen,
                due & 0xFFFF, 0 if due else NO_TICK, 1, BITS, value,
            )  # fmt: skip
        else:
            body = _ONE.pack(
                high & 0xFFFF, bits, _INPUT | wire.IS_LAST, inputs, self._seen, due & 0xFFFF,
                0 if due else NO_TICK, 1, BITS, value,
            )  # fmt: skip
        number = self._number
        self._number = number + 1
        if loss and random() < loss:
            self._left = False
        else:
            self._left = True
            header = wire.HEADER.pack(_FIRST, self._cid, number)
            nonce = (self._iv ^ number).to_bytes(IV_BYTES, "big")
            self._send(header + self._encrypt(nonce, body, header))
        if tick % TCP_TICKS == 0:
            self.client.look_at_tcp()

    def _pack(self, now: float, held: int, due: int) -> bytes:
        """The body of a datagram that has more in it than most have."""
        messages = []
        if now >= self._next_time:
            self._next_time = now + TIME_SECONDS
            messages.append((_TIME, wire.TIME_QUERY.pack(microseconds(now))))
        if held:
            messages.append((_STATE_ACK, wire.STATE_ACK.pack(held)))
        newest, count = self.inputs, min(self._owed, MOST_INPUTS)
        values = [number * _GOLDEN & _MASK64 for number in range(newest - count + 1, newest + 1)]
        # One for each tick.
        span = count - 1 if due else NO_TICK
        message = encode_inputs(newest, self._seen, values, BITS, due & 0xFFFF, span)
        messages.append((_INPUT, message))
        (packed,) = wire.pack_messages(messages)
        return wire.ACKS.pack(self._high & 0xFFFF, self._bits) + packed

    def _look(self, number: int, bits: int, data: bytes, now: float) -> int:
        """Open a datagram.

        :returns: the number of the state that it completes, 0 if none.
        """
        nonce = (self._open_iv ^ number).to_bytes(IV_BYTES, "big")
        header, sealed = data[: wire.HEADER_BYTES], data[wire.HEADER_BYTES :]
        held = 0
        for kind, payload in wire.split_messages(self._open(nonce, sealed, header)):
            if kind == wire.MessageType.INPUT_ACK:
                owed = self.inputs - wire.INPUT_ACK.unpack(payload)[0]
                self._trusts = owed <= TRUSTED_TICKS
                if not self._trusts:
                    self._owed = owed
            if kind not in (wire.MessageType.STATE, wire.MessageType.FRAGMENT):
                continue
            state, tick, *_ = wire.STATE.unpack_from(payload)
            self._clock.state_came(tick, now)
            before = 0
            if kind == wire.MessageType.FRAGMENT:
                index, count = wire.PLACE.unpack_from(payload, wire.STATE.size)
                before = (1 << (count - 1)) - 1
                if index < count - 1:
                    continue
            if number == self._high and bits & before == before:
                held = self._seen = state
        return held


def ride(riders: list[Rider], hz: float, told: common.Told) -> dict[str, Any]:
    """Play until somebody says stop: each once a tick, at a time of its own.

    :returns: besides what came, ``busy_us``, the load's CPU for a client and tick, and
        ``load_late_p99_ms``, how late it was.
    """
    sharpen_sleep()
    common.settle()
    n = len(riders)
    gap = 1.0 / hz / n
    buffer = bytearray(2_048)
    monotonic, sleep, thread_time = time.monotonic, time.sleep, time.thread_time
    begun = monotonic()
    # The CPU time at its beginning, and what of it went while nothing was to be done.
    spent = thread_time()
    late: list[float] = []
    step = 0
    while not told.stop:
        now = monotonic()
        due = begun + step * gap
        if now < due:
            spent -= thread_time()
            while now < due:
                if due - now > common.SPIN_SECONDS:
                    sleep(due - now - SPIN_SECONDS)
                now = monotonic()
            spent += thread_time()
        if not step % LOOK_STEPS:
            late.append(now - due)
        riders[step % n].play(now, buffer)
        step += 1
    spent = thread_time() - spent
    return {
        "sent": sum(rider.inputs for rider in riders),
        "received": sum(rider.received for rider in riders),
        "lost": sum(rider.lost for rider in riders),
        "shed": sum(rider.shed for rider in riders),
        "busy_us": spent / max(1, step) * 1e6,
        "load_late_p99_ms": common.quantile(late, 0.99, 1e3),
    }


def sharpen_sleep() -> None:
    """Have the kernel end sleeps of this thread when they are over, where that can be had.

    Linux adds up to 50 microseconds otherwise, to wake up for several at once.
    """
    if sys.platform == "linux":
        set_timer_slack = 29
        ctypes.CDLL(None).prctl(set_timer_slack, 1_000, 0, 0, 0)

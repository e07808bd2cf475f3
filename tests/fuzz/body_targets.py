"""What is inside a datagram: the split into messages, and each message that has a decoder."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING

from gamenet.core.delta import encode_delta
from gamenet.core.inputs import INPUT, MAX_INPUTS, InputReceiver, decode_inputs, encode_inputs
from gamenet.core.quality import PathQuality
from gamenet.core.state_channel import StateReceiver, StateSender
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    BASELINE,
    INPUT_ACK,
    IS_LAST,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    MAX_MESSAGES,
    STATE,
    TIME_REPLY,
    WHOLE,
    MessageType,
    pack_messages,
    split_messages,
)
from gamenet.errors import WireError
from tests.fuzz.harness import Cursor, Meter, Target, check

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = 1_000.0
MAX_NUMBER = 0xFFFFFFFF
NOTHING = 0xFFFF
"""The ack of who has received nothing yet: the low half of -1."""


class BodyTarget(Target):
    """A DATA body, behind its acks."""

    name = "body"
    max_bytes = MAX_BODY_BYTES + 8

    def seeds(self) -> Iterable[bytes]:
        acks = ACKS.pack(0xFFFF, 0)
        yield acks
        for messages in (
            [(int(MessageType.UNRELIABLE), b"boo")],
            [(MessageType.UNRELIABLE | IS_MESSAGE, b"\x91\xa1x"), (2, b""), (3, INPUT_ACK.pack(9))],
            [(4, b"")] * MAX_MESSAGES,
            [(4, bytes(500)), (4, bytes(500))],
        ):
            (part,) = pack_messages(messages)
            yield acks + part
        yield acks + b"\x04\x00\x00" * 17 + b"\x44"
        yield acks + b"\x04\xff\xff"
        yield acks + b"\x04\x00\x01x"

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            messages = meter(split_messages, data)
        except WireError:
            return
        check(len(messages) <= MAX_MESSAGES, "too many messages", len(messages))
        check(all(not kind & IS_LAST for kind, _ in messages), "a mark in a type", messages)
        if messages and len(data) <= MAX_BODY_BYTES:
            packed = pack_messages(messages)
            check(packed == [data[ACKS_BYTES:]], "a body that reads differently", messages)


class InputTarget(Target):
    """INPUT: the first byte is the width that was agreed, the second the room for them."""

    name = "input"
    max_bytes = MAX_BODY_BYTES

    def seeds(self) -> Iterable[bytes]:
        for newest, seen, bits, values in (
            (1, 0, 16, [0x8001]),
            (12, 9, 4, [5, 5, 6, 6]),
            (300, 70, 1, [0, 1, 1, 1, 0, 0, 0, 0, 0, 1]),
            (MAX_NUMBER, MAX_NUMBER, 64, [2**64 - 1, 0]),
            (120, 3, 16, [7] * 120),
            (120, 0, 64, [number % 2 * (2**64 - 1) for number in range(MAX_INPUTS)]),
        ):
            head = bytes((bits - 1, 120))
            yield head + encode_inputs(newest, seen, values, bits)
            yield head + encode_inputs(newest, seen, values, bits) + b"\0"
            yield head + encode_inputs(newest, seen, values, bits)[:-1]
            yield head + encode_inputs(newest, seen, values, bits, 65_535, min(len(values) - 1, 99))
            yield head + encode_inputs(newest, seen, values, bits, 7)
        yield bytes((3, 120)) + encode_inputs(12, 9, [5, 5, 6, 6], 4)[:-1] + b"\x81"

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        agreed, room, message = cursor.number() % 64 + 1, cursor.number(), cursor.rest()
        receiver = InputReceiver(agreed, 65_535)
        try:
            newest, seen, bits, values, due, span = meter(decode_inputs, message)
        except WireError:
            self._refused(receiver, message, room, meter)
            return
        check(1 <= len(values) <= min(newest, MAX_INPUTS), "inputs without numbers", newest)
        check(1 <= bits <= 64 and all(value >> bits == 0 for value in values), "too wide", values)
        spare = self._spare(message, len(values), bits)
        check(len(spare) < 8 and "1" not in spare, "bits to spare", spare)
        shortest = encode_inputs(newest, seen, values, bits, due, span)
        check(len(shortest) <= len(message), "longer than it was", values)
        again_read = decode_inputs(shortest)
        check(again_read == (newest, seen, bits, values, due, span), "reads differently", values)
        if bits != agreed:
            self._refused(receiver, message, room, meter)
            return
        fresh = meter(receiver.receive, message, NOW, room, MAX_NUMBER)
        first = newest - len(values) + 1
        expected = [
            (
                first + place,
                value,
                0 if place else first - 1,
                self._low(place, len(values), due, span),
            )
            for place, value in enumerate(values[:room])
        ]
        check(fresh == expected, "other inputs than decoded", fresh, expected)
        check(receiver.settled == (expected[-1][0] if expected else 0), "settled something else")
        again = meter(receiver.receive, message, NOW, 255, MAX_NUMBER)
        check(len(fresh) + len(again) == len(values), "inputs lost or doubled", fresh, again)

    def _low(self, place: int, count: int, due: int, span: int) -> int:
        """The tick that the value at that place is meant for, by a reckoning of our own."""
        if span == 255:
            return -1
        # Halves are rounded up, by whole numbers: floats would not be exact.
        back, rest = divmod(span * (count - 1 - place), max(count - 1, 1))
        back += 2 * rest >= max(count - 1, 1)
        return (due + 0x10000 - back) % 0x10000

    def _spare(self, message: bytes, count: int, bits: int) -> str:
        """What is left of the bits once so many values are taken, by a reader of our own."""
        stream = "".join(f"{byte:08b}" for byte in message[INPUT.size :])[bits:]
        for _ in range(count - 1):
            stream = stream[1 + bits :] if stream[:1] == "1" else stream[1:]
        return stream

    def _refused(self, receiver: InputReceiver, message: bytes, room: int, meter: Meter) -> None:
        try:
            fresh = meter(receiver.receive, message, NOW, room, MAX_NUMBER)
        except WireError:
            check((receiver.settled, receiver.seen) == (0, 0), "refused and used all the same")
        else:
            check(False, "inputs of a message that cannot be decoded", fresh)


class StateTarget(Target):
    """STATE, several in a row: a byte of length before each."""

    name = "state"

    def seeds(self) -> Iterable[bytes]:
        sender = StateSender()
        run = b""
        for number, payload, ms in ((1, b"world", 5), (2, b"", 2**32 - 1), (9, b"x", 2**32 + 9)):
            sender.put(number, payload, 0, number, ms, 3)
            ((_, data),) = sender.take()
            run += bytes((len(data),)) + data
            yield run
        yield run + run
        late = STATE.pack(3, 0, 0, 0, 0)
        yield run + bytes((len(late),)) + late
        yield bytes((STATE.size,)) + STATE.pack(1, 0, 0, 0, 1)
        base, change = bytes(range(60)), bytes(range(59)) + b"other"
        delta = STATE.pack(3, 0, 0, 0, 1) + BASELINE.pack(1) + encode_delta(change, base)
        for message in (STATE.pack(2, 0, 0, 0, 0) + base, delta):
            run += bytes((len(message),)) + message
        yield run[-len(delta) - STATE.size - 62 :]
        yield run

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        receiver = StateReceiver()
        newest = 0
        held: dict[int, bytes] = {}
        while not cursor.is_empty:
            message = cursor.take(cursor.number())
            try:
                fields = meter(receiver.receive, message)
            except WireError:
                continue
            if fields is None:
                continue
            number, tick, ms, taken, payload = fields
            check(number > newest, "the world turns back", number, newest)
            newest = number
            again = STATE.pack(
                number, tick & MAX_NUMBER, ms & MAX_NUMBER, taken, message[STATE.size - 1]
            )
            if message[STATE.size - 1] == WHOLE:
                again += payload
            else:
                back = BASELINE.unpack_from(message, STATE.size)[0]
                again += BASELINE.pack(back) + encode_delta(payload, held[number - back])
            check(again == message, "a STATE that reads differently", fields)
            held[number] = payload
            check(abs(ms) < 2**45, "a clock that runs away", ms)
        check(receiver.newest == newest, "another newest than taken", receiver.newest)


class QualityTarget(Target):
    """The acks and the TIME answers of a peer: what they say of the path stays a number."""

    name = "quality"

    def seeds(self) -> Iterable[bytes]:
        now = int(NOW * 1e6) & MAX_NUMBER
        yield b"\x00" + TIME_REPLY.pack(now - 40_000, 5, 1_005)
        yield b"\x00" + TIME_REPLY.pack(now, 0, MAX_NUMBER)
        yield b"\x00" + TIME_REPLY.pack((now + 1_000) & MAX_NUMBER, 0, 0)
        yield b"\x00" + TIME_REPLY.pack(now - 1, 0xFFFFFFFF, 0) * 2
        yield b"\x01\x08" + b"\x02" + ACKS.pack(7, 0xFFFFFFFF)
        yield b"\x01\xff" + b"\x02" + ACKS.pack(200, 0) + b"\x02" + ACKS.pack(250, 0b1010)
        yield b"\x01\x03" + b"\x02" + ACKS.pack(NOTHING, 0) + b"\x03"
        yield b"\x02" + ACKS.pack(NOTHING, 0) + b"\x01\x03" + b"\x02" + ACKS.pack(2, 0b11)
        yield b"\x01\x03" + b"\x02" + ACKS.pack(NOTHING, MAX_NUMBER) + b"\x02" + ACKS.pack(3, 0)
        yield (
            b"\x02"
            + ACKS.pack(NOTHING - 1, 0)
            + b"\x01\xff" * 257
            + b"\x02"
            + ACKS.pack(NOTHING, 1)
        )

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        quality = PathQuality()
        now, sent, highest = NOW, 0, -1
        while not cursor.is_empty:
            step = cursor.number() % 4
            now += 0.01
            if step == 0:
                try:
                    meter(quality.time_reply, cursor.take(TIME_REPLY.size), now)
                except WireError:
                    pass
            elif step == 1:
                for _ in range(cursor.number()):
                    quality.sent(sent, now)
                    sent += 1
            elif step == 2:
                acks = cursor.take(ACKS_BYTES).ljust(ACKS_BYTES, b"\0")
                low, bits = ACKS.unpack(acks)
                before = quality.acked, quality.lost, quality.acknowledged_up_to
                known = meter(quality.acknowledged, low, bits, sent, now)
                check(known == (low < sent or low == NOTHING), "an ack of what?", low, sent)
                after = quality.acked, quality.lost, quality.acknowledged_up_to
                check(low < sent or after == before, "an ack of nothing that tells something", low)
            else:
                now += 1.0
                highest += cursor.number()
                quality.received += 1
                meter(quality.roll, now, highest)
            self._check(quality, sent)

    def _check(self, quality: PathQuality, sent: int) -> None:
        estimator = quality.estimator
        times = (estimator.rtt, estimator.rtt_min, estimator.jitter, estimator.latest)
        check(all(isfinite(value) and value >= 0.0 for value in times), "no time", times)
        check(estimator.latest < 2_148, "a time that cannot be", times)
        check(estimator.rtt_min <= estimator.rtt + 1e-9, "less than the least", times)
        check(0.0 <= quality.loss_in <= 1.0, "no share", quality.loss_in)
        check(0.0 <= quality.loss_out <= 1.0, "no share", quality.loss_out)
        check(quality.acked + quality.lost <= sent, "more acknowledged than sent", quality.acked)
        check(quality.acknowledged_up_to < sent, "acknowledged before it was sent", sent)
        check(quality.label, "no word for the path")


TARGETS = (BodyTarget(), InputTarget(), StateTarget(), QualityTarget())

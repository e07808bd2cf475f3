"""States as they come to a client: whole, as differences, in fragments, and all of it damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core.counters import Counters
from gamenet.core.delta import encode_delta
from gamenet.core.state_channel import StateReceiver, StateSender, split_state
from gamenet.core.wire import (
    BASELINE,
    BASELINE_SPAN,
    DELTA,
    FRAGMENT_BYTES,
    MAX_FRAGMENTS,
    MAX_STATE_BYTES,
    PLACE,
    STATE,
    WHOLE,
    MessageType,
)
from gamenet.errors import WireError
from tests.fuzz.harness import Cursor, Meter, Target, check

if TYPE_CHECKING:
    from collections.abc import Iterable

STATE_COMES, FRAGMENT_COMES, MADE, REAL, AGAIN, ACKNOWLEDGED = range(6)
"""What an input may have come next; its other bytes say what of it."""
MOST_STEPS = 200
MOST_REAL = BASELINE_SPAN + 8
"""States of a real server in one input."""
MOST_SENT = 64
"""Messages that an input can have come again."""
COUNTED = (
    "states_outdated",
    "drop_fragment_outdated",
    "drop_state_baseline",
    "drop_state_incomplete",
)
HEADER_BYTES = STATE.size
START = HEADER_BYTES + PLACE.size


class Reference:
    """What a receiver must make of it, in the plainest way.

    ``take_state`` and ``take_fragment`` return number and payload of a state that is delivered, and
    None for what is kept or dropped.

    :raises WireError: for what no server would have sent.
    """

    def __init__(self) -> None:
        self.newest = 0
        self.held: dict[int, bytes] = {}
        self.told = 0
        self.header = b""
        self.count = 0
        self.parts: dict[int, bytes] = {}
        self.counters = Counters()

    @property
    def to_acknowledge(self) -> int | None:
        """The newest that is held, unless the server was told of it."""
        holds = max(self.held, default=0)
        return None if holds == self.told else holds

    def take_state(self, data: bytes) -> tuple[int, bytes] | None:
        """A STATE, or the fragments of one in a row."""
        if len(data) < HEADER_BYTES or data[HEADER_BYTES - 1] > DELTA:
            raise WireError("no STATE")
        number = int.from_bytes(data[:4], "big")
        if number <= self.newest:
            self.counters.states_outdated += 1
            return None
        payload = data[HEADER_BYTES:]
        if data[HEADER_BYTES - 1] == DELTA:
            base = number - payload[0] if payload else 0
            if not 0 < base < number or number - base > BASELINE_SPAN:
                raise WireError("no baseline can be there")
            if base not in self.held:
                self.counters.drop_state_baseline += 1
                self.held, self.told = {}, -1
                return None
            payload = undo(payload[1:], self.held[base])
            self.held = {each: held for each, held in self.held.items() if each >= base}
        if self.header and int.from_bytes(self.header[:4], "big") <= number:
            self.give_up()
        self.newest = number
        self.held[number] = payload
        if len(self.held) > BASELINE_SPAN:
            del self.held[min(self.held)]
        return number, payload

    def take_fragment(self, data: bytes) -> tuple[int, bytes] | None:
        """A FRAGMENT."""
        if len(data) <= START:
            raise WireError("no part")
        header, index, count, part = (
            data[:HEADER_BYTES],
            data[START - 2],
            data[START - 1],
            data[START:],
        )
        fits = len(part) == FRAGMENT_BYTES or (len(part) < FRAGMENT_BYTES and index == count - 1)
        if not (2 <= count <= MAX_FRAGMENTS and index < count and fits and header[-1] <= DELTA):
            raise WireError("no place for it")
        number, under_way = (
            int.from_bytes(header[:4], "big"),
            int.from_bytes(self.header[:4], "big"),
        )
        another = (header, count) != (self.header, self.count)
        if number > self.newest and number == under_way and another:
            raise WireError("another state of that number")
        if number <= self.newest or number < under_way or index in self.parts_of(number):
            self.counters.drop_fragment_outdated += 1
            return None
        if number > under_way:
            if under_way:
                self.give_up()
            self.header, self.count = header, count
        self.parts[index] = part
        if len(self.parts) < count:
            return None
        whole = header + b"".join(self.parts[index] for index in range(count))
        self.forget()
        return self.take_state(whole)

    def parts_of(self, number: int) -> dict[int, bytes]:
        """The parts that are there of the state of that number."""
        return self.parts if number == int.from_bytes(self.header[:4], "big") else {}

    def give_up(self) -> None:
        """The parts that are there are of no use any more."""
        self.counters.drop_state_incomplete += 1
        self.forget()

    def forget(self) -> None:
        """No state is under way."""
        self.header, self.count, self.parts = b"", 0, {}


def undo(delta: bytes, baseline: bytes) -> bytes:
    """The payload that a delta tells, bit by bit.

    :raises WireError: if it is none.
    """
    size = int.from_bytes(delta[:2], "big")
    masked = -(-size // 8)
    place = 2 + -(-masked // 8)
    if len(delta) < place or size > MAX_STATE_BYTES:
        raise WireError("no delta")

    def spread(mask: bytes, count: int, place: int) -> tuple[bytearray, int]:
        made = bytearray(count)
        for bit in range(8 * len(mask)):
            if mask[bit // 8] >> bit % 8 & 1:
                if bit >= count or not delta[place : place + 1].strip(b"\0"):
                    raise WireError("no delta")
                made[bit] = delta[place]
                place += 1
        return made, place

    mask, place = spread(delta[2:place], masked, place)
    payload, place = spread(bytes(mask), size, place)
    if place != len(delta):
        raise WireError("no delta")
    for index, byte in enumerate(baseline[:size]):
        payload[index] ^= byte
    return bytes(payload)


def made(number: int, index: int, count: int, how: int, size: int, fill: int) -> bytes:
    """A FRAGMENT, right or wrong.

    :param how: the encoding in its lowest two bits, and the tick in the others.
    """
    content = bytes((fill,)) * (size % (FRAGMENT_BYTES + 2))
    return STATE.pack(number, how >> 2, 0, 0, how & 3) + PLACE.pack(index, count) + content


class FragmentTarget(Target):
    """STATEs and FRAGMENTs in any order: of a real server, made up, and those once more.

    A byte says what comes, the bytes behind it say what of it:

    - STATE or FRAGMENT as it stands, a u16 of length before it;
    - a FRAGMENT that is made: number, index, count, how, u16 size, fill;
    - a state of a real server: how much its number rises, u16 size, fill, how many bytes of it are
      other than that, and how many of its messages come, with the place of each;
    - one of the messages that came before: which, u16 offset of a byte, and what is changed in it;
    - the server is told what the client holds.
    """

    name = "fragment"
    max_bytes = 8_192
    most_held = (BASELINE_SPAN + 32) * MAX_STATE_BYTES
    """What a client may hold, and what reading one more state takes."""

    def seeds(self) -> Iterable[bytes]:
        def real(rise: int, size: int, fill: int, other: int, order: Iterable[int]) -> bytes:
            places = bytes(order)
            head = bytes((REAL, rise)) + size.to_bytes(2, "big")
            return head + bytes((fill, other, len(places))) + places

        def raw(messages: Iterable[tuple[int, bytes]]) -> bytes:
            kinds = {MessageType.STATE: STATE_COMES, MessageType.FRAGMENT: FRAGMENT_COMES}
            return b"".join(
                bytes((kinds[MessageType(kind)],)) + len(data).to_bytes(2, "big") + data
                for kind, data in messages
            )

        def step(number: int, index: int, count: int, how: int, size: int, fill: int) -> bytes:
            head = bytes((MADE, number, index, count, how))
            return head + size.to_bytes(2, "big") + bytes((fill,))

        def again(which: int, offset: int, change: int) -> bytes:
            return bytes((AGAIN, which)) + offset.to_bytes(2, "big") + bytes((change,))

        told = bytes((ACKNOWLEDGED,))
        first = real(1, 3_000, 7, 0, (0, 1, 2))
        yield first
        yield real(1, 3_000, 7, 0, (2, 0, 1)) + told + real(1, 3_100, 7, 40, (0,))
        yield real(1, MAX_STATE_BYTES, 9, 255, range(16)) + told + real(2, 16_000, 9, 3, (0, 0))
        yield real(1, 5_000, 1, 0, (0, 1, 3)) + real(1, 2_000, 2, 0, (1, 0)) + again(0, 0, 0)
        yield first + again(0, 3, 3) + again(1, 3, 3) + again(2, 3, 3)
        # Contradictions: another count, another header, a part that is too short or too long.
        yield step(5, 0, 3, 0, 1_024, 1) + step(5, 1, 2, 0, 1_024, 1) + step(5, 1, 3, 4, 1_024, 1)
        yield step(5, 2, 3, 0, 9, 1) + step(5, 2, 3, 0, 8, 2) + step(5, 0, 3, 0, 1_023, 1)
        yield step(5, 0, 3, 0, 1_025, 1) + step(5, 0, 1, 0, 9, 1) + step(5, 0, 17, 0, 1_024, 1)
        yield step(5, 3, 3, 0, 9, 1) + step(5, 1, 2, 0, 0, 1) + step(5, 1, 2, 2, 9, 1)
        # One newer than the other, never complete; then an older one.
        yield b"".join(step(number, 0, 16, 0, 1_024, number) for number in range(1, 120))
        yield step(9, 0, 2, 0, 1_024, 1) + step(8, 1, 2, 0, 9, 1) + step(9, 1, 2, 0, 9, 1)
        # Differences to what is not there, to what comes later, and by more than there may be.
        yield b"".join(step(3, index, 2, 1, 1_024, back) for back in (1, 9, 0) for index in (0, 1))
        yield step(200, 0, 2, 1, 1_024, 65) + step(200, 1, 2, 1, 4, 65)
        base = bytes(range(256)) * 6
        change = bytes(255 - byte for byte in base)
        delta = BASELINE.pack(1) + encode_delta(change, base)
        whole = split_state(STATE.pack(1, 0, 0, 0, WHOLE), base, 0)
        parts = split_state(STATE.pack(2, 0, 0, 0, DELTA), delta, 0)
        yield raw(whole + parts)
        yield raw(parts + whole + parts)
        yield raw(whole + [(kind, data[:-1]) for kind, data in parts[::-1]])
        # More than may be held; and with some of them held, the difference to one that is not.
        few = [
            (int(MessageType.STATE), STATE.pack(number, 0, 0, 0, WHOLE) + bytes((number,)))
            for number in range(1, BASELINE_SPAN + 3)
        ]
        lie = STATE.pack(70, 0, 0, 0, DELTA) + BASELINE.pack(3) + encode_delta(b"xy", b"")
        yield raw(few) + told + raw([(int(MessageType.STATE), lie)]) + told
        # A state that comes whole while its fragments do, and one that comes before they all have.
        yield step(5, 0, 3, 0, 1_024, 1) + raw([few[4]]) + step(5, 1, 3, 0, 1_024, 1)
        yield step(5, 0, 3, 0, 1_024, 1) + raw([few[3], few[6]]) + step(5, 1, 3, 0, 1_024, 1)
        # As much held as may be.
        yield (
            real(0, MAX_STATE_BYTES, 1, 0, range(16))
            + told
            + b"".join(real(0, MAX_STATE_BYTES, 1, 2, (0,)) for _ in range(BASELINE_SPAN + 3))
        )
        # Nothing changed, of a large state: many large ones are held, for a few bytes each.
        large = b"\0" * MAX_STATE_BYTES
        grown = [
            (int(MessageType.STATE), STATE.pack(number, 0, 0, 0, DELTA) + BASELINE.pack(1) + delta)
            for number, delta in (
                (2, encode_delta(large, b"x")),
                *((number, encode_delta(large, large)) for number in range(3, 14)),
            )
        ]
        yield raw([(int(MessageType.STATE), STATE.pack(1, 0, 0, 0, WHOLE) + b"x"), *grown])

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        run = Run(meter)
        for _ in range(MOST_STEPS):
            if cursor.is_empty:
                return
            kind = cursor.number() % 6
            if kind in (STATE_COMES, FRAGMENT_COMES):
                run.comes(kind == FRAGMENT_COMES, cursor.take(cursor.number(2)))
            elif kind == MADE:
                number, index, count, how = (cursor.number() for _ in range(4))
                part = made(number, index, count, how, cursor.number(2), cursor.number())
                run.comes(True, part)
            elif kind == REAL:
                run.real(cursor)
            elif kind == AGAIN:
                run.again(cursor.number(), cursor.number(2), cursor.number())
            else:
                run.acknowledge()


class Run:
    """One input: a server that sends, what is done to it, and the client."""

    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.counters = Counters()
        self.receiver = StateReceiver(self.counters)
        self.reference = Reference()
        self.sender = StateSender(4 * MAX_STATE_BYTES)
        self.real_states = 0
        self.sent: list[tuple[bool, bytes]] = []

    def real(self, cursor: Cursor) -> None:
        """A state of the server, some of whose messages come, in some order."""
        rise, size, fill, other = (
            cursor.number(),
            cursor.number(2),
            cursor.number(),
            cursor.number(),
        )
        order = cursor.take(cursor.number())
        self.real_states += 1
        if self.real_states > MOST_REAL:
            return
        number = self.sender.newest + 1 + rise % 80
        payload = bytearray((fill,)) * (size % (MAX_STATE_BYTES + 1))
        for place in range(0, len(payload) if other else 0, len(payload) // max(1, other) + 1):
            payload[place] ^= number & 0xFF
        self.sender.put(number, bytes(payload), 0, number, number, 0)
        messages = self.sender.take()
        for place in order[: 2 * MAX_FRAGMENTS]:
            kind, message = messages[place % len(messages)]
            self.comes(kind == MessageType.FRAGMENT, message)

    def again(self, which: int, offset: int, change: int) -> None:
        """One that came before, with a byte changed or none."""
        if not self.sent:
            return
        is_fragment, message = self.sent[which % len(self.sent)]
        damaged = bytearray(message)
        if damaged:
            damaged[offset % len(damaged)] ^= change
        self.comes(is_fragment, bytes(damaged))

    def acknowledge(self) -> None:
        """The server is told what the client holds."""
        number = self.receiver.to_acknowledge()
        if number is not None:
            self.receiver.acknowledged()
            self.reference.told = number
            self.sender.acknowledge(number)

    def comes(self, is_fragment: bool, message: bytes) -> None:
        """A message comes; the receiver does what the reference does."""
        if len(self.sent) < MOST_SENT:
            self.sent.append((is_fragment, message))
        reference, receiver = self.reference, self.receiver
        told: tuple[int, bytes] | None = None
        refused = False
        try:
            told = (reference.take_fragment if is_fragment else reference.take_state)(message)
        except WireError:
            refused = True
        call = receiver.receive_fragment if is_fragment else receiver.receive
        try:
            fields = self.meter(call, message)
        except WireError as error:
            check(refused, "refused what is right", error, message[:START])
            fields = None
        else:
            check(not refused, "took what is wrong", message[:START])
        found = None if fields is None else (fields[0], fields[-1])
        check(found == told, "another state than its parts make", found, told)
        if found is not None and found[0] in reference.held:
            reference.held[found[0]] = found[1]  # one object instead of two
        self._check_state()

    def _check_state(self) -> None:
        reference, receiver = self.reference, self.receiver
        parts = {index: part for index, part in enumerate(receiver._parts) if part is not None}
        check(parts == reference.parts, "other parts than came", sorted(parts))
        check(sum(map(len, parts.values())) <= MAX_STATE_BYTES, "too many parts", len(parts))
        check(list(receiver._held) == list(reference.held), "holds others", list(receiver._held))
        check(len(receiver._held) <= BASELINE_SPAN, "holds too many", len(receiver._held))
        longest = max(map(len, receiver._held.values()), default=0)
        check(longest <= MAX_STATE_BYTES, "holds one that is too long", longest)
        check(receiver.newest == reference.newest, "another newest", receiver.newest)
        tells = receiver.to_acknowledge()
        check(tells == reference.to_acknowledge, "tells the server something else", tells)
        for name in COUNTED:
            count = getattr(self.counters, name)
            check(count == getattr(reference.counters, name), "counted wrong", name, count)


TARGETS = (FragmentTarget(),)

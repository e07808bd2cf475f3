"""The datagrams: a stranger's, and those of a peer that holds the keys, beside and inside TCP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.inputs import encode_inputs
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    CHALLENGE_BYTES,
    HEADER,
    HEADER_BYTES,
    INPUT_ACK,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    MAX_DATAGRAM_BYTES,
    OVERHEAD_BYTES,
    STATE,
    TIME_QUERY,
    TIME_REPLY,
    DatagramKind,
    MessageType,
    pack_messages,
)
from gamenet.errors import DisconnectReason
from gamenet.events import Unreliable
from tests.core.pair import (
    CID,
    CLIENT_ADDRESS,
    MOVES,
    PERFECT,
    SERVER_ADDRESS,
    STRANGER,
    Conditions,
    Move,
    Pair,
)
from tests.fakes import PORT
from tests.fakes import SERVER_ADDRESS as WORLD_ADDRESS
from tests.fuzz.harness import Cursor, Meter, Target, check
from tests.fuzz.worlds import check_readable, new_world

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.core.pair import Side
    from tests.world import World

FROM_STRANGER = 0x10
"""In the byte of kind: from another address than the peer's."""
SKIP = 0x20
"""In the byte of kind: a byte follows, of so many numbers that are never used."""
PADDED = 0x40
"""In the byte of kind: the body is filled up to what a BIND has."""
UNSEALED = 0x80
"""In the byte of kind: under the right header, the body as it is instead of a sealed one."""
NOTHING = Conditions(loss=1.0)
"""Datagrams do not pass."""
MOST = 24
"""Datagrams of one input."""


def record(kind: int, body: bytes, skip: int = 0) -> bytes:
    """One datagram of an input."""
    extra = bytes((skip,)) if kind & SKIP else b""
    return bytes((kind,)) + extra + len(body).to_bytes(2, "big") + body


def data(*messages: tuple[int, bytes], ack: int = 0xFFFF, bits: int = 0) -> bytes:
    """A DATA datagram of an input."""
    (part,) = pack_messages(list(messages)) or [b""]
    return record(DatagramKind.DATA, ACKS.pack(ack, bits) + part)


class SealedTarget(Target):
    """Bodies under a good seal, to either end, and others under none in between."""

    name = "sealed"
    TO_CLIENT, NEW_KEYS, NEW_KEYS_LATER = 1, 2, 4
    """In the first byte: the receiver, and whether keys change before, or after the first one."""

    def seeds(self) -> Iterable[bytes]:
        bind = record(DatagramKind.BIND | PADDED, b"")
        typed = MOVES.encode(Move(0.5))
        inputs = encode_inputs(3, 0, [1, 1, 2], 16)
        state = STATE.pack(5, 2, 3, 0, 0) + b"world"
        question, answer = TIME_QUERY.pack(1), TIME_REPLY.pack(1, 2, 3)
        up = data((2, inputs), (4, b"boo"), (4 | IS_MESSAGE, typed), (6, question), ack=0, bits=1)
        down = data((3, INPUT_ACK.pack(0)), (1, state), (4, b"boo"), (6, answer), ack=1, bits=3)
        yield b"\x00" + up
        yield b"\x01" + down
        for to in (b"\x00", b"\x01", b"\x02", b"\x05", b"\x07"):
            yield to + bind + record(DatagramKind.RESPONSE, bytes(CHALLENGE_BYTES))
            yield to + bytes((DatagramKind.BIND | PADDED | FROM_STRANGER, 0, 0)) * 5
            yield to + record(DatagramKind.PING, b"1234") + record(DatagramKind.PONG, b"1234")
            yield to + record(DatagramKind.PING | FROM_STRANGER, b"1234") + up + down
            yield to + record(DatagramKind.CHALLENGE | PADDED, b"12345678")
            yield to + record(DatagramKind.BOUND, b"") + record(DatagramKind.DATA, b"")
            yield to + record(DatagramKind.DATA | SKIP, ACKS.pack(9, 5), 255) + up + down
            yield to + record(DatagramKind.DATA | UNSEALED, bytes(16)) + record(15, b"x")
            yield to + record(DatagramKind.BIND | FROM_STRANGER, b"") * 4
            yield to + data((6, b"x")) + data((6, bytes(5))) + data((3, b""))
            yield to + data((5, b"x")) + data((1, b"")) + data((2, b"")) + data((3, b"x"))
            yield to + data(*[(4, b"")] * 16) + data((4, bytes(MAX_BODY_BYTES - 7)))
            yield to + record(DatagramKind.DATA | FROM_STRANGER, ACKS.pack(0, 0)) + up + down
        for message in MessageType:
            yield b"\x00" + data((message | IS_MESSAGE, b"\xc0"))
            yield b"\x01" + data((message | IS_MESSAGE, STATE.pack(1, 0, 0, 0, 0) + typed))

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        pair = Pair(codec=MOVES)
        pair.bind()
        first = cursor.number()
        side = pair.client if first & self.TO_CLIENT else pair.server
        pair.send_input(3)
        pair.send_state(b"before")
        pair.advance(0.1)
        allowed = 0
        for place in range(MOST):
            if cursor.is_empty:
                break
            if first & (self.NEW_KEYS_LATER if place else self.NEW_KEYS):
                first &= ~(self.NEW_KEYS_LATER if place else self.NEW_KEYS)
                pair.rekey()
            allowed += self._datagram(pair, side, cursor, meter)
        meter(pair.advance, 0.2)
        self._check(pair, side, allowed)

    def _datagram(self, pair: Pair, side: Side, cursor: Cursor, meter: Meter) -> int:
        """Deliver one; how many bytes may be sent to where it came from, if that is elsewhere."""
        kind = cursor.number()
        sender = pair.other(side)
        if kind & SKIP:
            sender.session.sealer.number += cursor.number()
        body = cursor.take(cursor.number(2))[:MAX_BODY_BYTES]
        if kind & PADDED:
            body = body.ljust(MAX_BODY_BYTES, b"\0")
        if kind & UNSEALED:
            number = sender.session.sealer.number & 0xFFFFFFFF
            sealed = HEADER.pack(0x40 | kind & 0x3F, CID, number) + body
        else:
            sealed = pair.sealed(sender, kind & 0x0F, body)
        home = SERVER_ADDRESS if side is pair.client else CLIENT_ADDRESS
        address = STRANGER if kind & FROM_STRANGER else home
        meter(pair.inject, side, sealed, address)
        counters, told = side.counters, len(side.events)
        delivered = counters.datagrams_delivered
        meter(pair.inject, side, sealed, address)
        after = counters.datagrams_delivered, len(side.events)
        check(after == (delivered, told), "a replay was delivered", sealed)
        # As many as came, or a challenge's eight where less than eight came.
        return max(len(sealed), OVERHEAD_BYTES + CHALLENGE_BYTES) if kind & FROM_STRANGER else 0

    def _check(self, pair: Pair, side: Side, allowed: int) -> None:
        check((pair.server.unaccounted(), pair.client.unaccounted()) == (0, 0), "uncounted")
        check((pair.server.ended, pair.client.ended) == (None, None), "a datagram ended a session")
        if pair.server_session.path.address != STRANGER:
            answered = sum(len(sent) for sent, _ in pair.strays)
            check(answered <= allowed, "more answered than asked", answered, allowed)
            # What happens here takes less than a second.
            check(len(pair.strays) <= 3, "more challenges than allowed", len(pair.strays))
        for sent, _ in pair.strays:
            check(len(sent) <= MAX_DATAGRAM_BYTES, "too long a datagram", len(sent))
        for event in side.of(Unreliable):
            check(isinstance(event.payload, bytes | Move), "an undeclared message", event)
        numbers = [state.number for state in pair.states]
        check(numbers == sorted(set(numbers)), "the world turned back", numbers)
        # Both ways still carry what must arrive.
        before = len(pair.server.events), len(pair.client.events)
        pair.send(pair.client, b"up")
        pair.send(pair.server, b"down")
        pair.advance(0.2)
        after = len(pair.server.events), len(pair.client.events)
        check(after[0] > before[0] and after[1] > before[1], "the session is dead", before, after)


class StrangerTarget(Target):
    """Datagrams to a server's port under no seal: nothing comes of any of them.

    Before each a byte says whether it gets the header of a session that plays.
    """

    name = "stranger"
    WITH_HEADER = 1
    SOURCE = ("203.0.113.66", 6_666)

    def seeds(self) -> Iterable[bytes]:
        for body in (b"", bytes(15), bytes(16), bytes(1_191), bytes(1_192), b"\x45" * 40):
            yield b"\x01" + len(body).to_bytes(2, "big") + body
            yield b"\x00" + len(body).to_bytes(2, "big") + body
        for first in (0x00, 0x41, 0x45, 0x55, 0x75, 0x80, 0xC5, 0x4F):
            sealed = HEADER.pack(first, 0, 0) + bytes(16)
            yield b"\x00" + len(sealed).to_bytes(2, "big") + sealed
            yield b"\x01" + bytes((0, 16)) + bytes(16) + bytes((first, 0, 20)) + bytes(20)

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        with new_world() as world:
            ada = world.join("ada")
            cid = ada.session.cid
            world.server.forget()
            before = self._state(world)
            came = 0
            for _ in range(MOST):
                if cursor.is_empty:
                    break
                came += 1
                flags = cursor.number()
                sent = cursor.take(cursor.number(2))
                if flags & self.WITH_HEADER:
                    sent = HEADER.pack(0x40 | flags >> 2, cid, flags) + sent
                elif len(sent) >= HEADER_BYTES and sent[1:5] == cid.to_bytes(4, "big"):
                    sent = sent[:1]
                meter(world.network.inject, sent, self.SOURCE, (WORLD_ADDRESS, PORT))
            after = self._state(world)
            check(after[:-2] == before[:-2], "a stranger had an effect", before, after)
            check(after[-1] - before[-1] == came, "datagrams uncounted", before, after)
            check(after[-2] - before[-2] == came, "datagrams not dropped", before, after)
            check(not world.server.events, "the game was told", world.server.events)

    def _state(self, world: World) -> tuple[object, ...]:
        """What a stranger may not change, then what it must: the drops, and what came in."""
        counters = world.server.counters
        session = world.server.session_of("ada")
        dropped = sum(
            count
            for name, count in counters.snapshot().items()
            if name.startswith("drop_datagram_")
        )
        return (
            counters.datagrams_out,
            counters.datagrams_delivered,
            counters.bytes_out,
            session.path.address,
            session.window.highest,
            session.datagrams_in,
            len(world.network.datagrams),
            dropped,
            counters.datagrams_in,
        )


class TunnelTarget(Target):
    """What would be datagrams inside TCP, to either end, with and without datagrams beside them.

    Before each a byte of flags, maybe a number, and a u16, its length.
    """

    name = "tunnel"
    TO_CLIENT, BOUND, LATER = 1, 2, 4
    """In the first byte: the receiver, whether datagrams pass, and whether they have for long."""
    NUMBERED, AS_IT_IS, BOTH_WAYS, PAUSED = 1, 2, 4, 8
    """In the flags: a u32 follows that is the number; the frame is just what follows its kind; a
    datagram of the same number goes before; a second passes first."""

    def seeds(self) -> Iterable[bytes]:
        typed = MOVES.encode(Move(0.5))
        boos = ((4, b"boo"), (4 | IS_MESSAGE, typed))
        up = self._body((2, encode_inputs(3, 0, [1, 1, 2], 16)), (6, TIME_QUERY.pack(1)), *boos)
        state = STATE.pack(5, 2, 3, 0, 0) + b"world"
        down = self._body((3, INPUT_ACK.pack(0)), (1, state), (6, TIME_REPLY.pack(1, 2, 3)), *boos)
        for first in range(8):
            body = down if first & self.TO_CLIENT else up
            to = bytes((first,))
            yield to + self._one(body) * 3
            yield to + self._one(body, self.BOTH_WAYS) + self._one(body, self.PAUSED) * 2
            yield to + self._one(body, number=5) + self._one(body, number=4) + self._one(body) * 6
            yield to + self._one(body, number=2**32 - 1) + self._one(body, number=2**31)
            yield to + self._one(body, number=2**31 - 1) * 2 + self._one(body, number=2**32 - 2)
            yield to + self._one(down if body is up else up) + self._one(body)
            yield to + self._one(ACKS.pack(9, 5)) + self._one(body)
            yield to + self._one(ACKS.pack(0, 0)) * 20
            yield to + self._one(self._body((4, bytes(MAX_BODY_BYTES - 7)))) * 3
            yield to + self._one(bytes(MAX_BODY_BYTES + 1))
            yield to + self._one(bytes(ACKS_BYTES - 1))
            yield to + self._one(body[:-1] + b"\x04\xff\xff")
            yield to + self._one(bytes(4), self.AS_IT_IS) + self._one(b"", self.AS_IT_IS)
        for message in MessageType:
            yield b"\x00" + self._one(self._body((message | IS_MESSAGE, b"\xc0")))
            changed = (message | IS_MESSAGE, STATE.pack(1, 0, 0, 0, 0) + typed)
            yield b"\x01" + self._one(self._body(changed))

    def _body(self, *messages: tuple[int, bytes]) -> bytes:
        (part,) = pack_messages(list(messages))
        return ACKS.pack(0xFFFF, 0) + part

    def _one(self, body: bytes, flags: int = 0, number: int | None = None) -> bytes:
        numbered = b""
        if number is not None:
            flags |= self.NUMBERED
            numbered = number.to_bytes(4, "big")
        return bytes((flags,)) + numbered + len(body).to_bytes(2, "big") + body

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        first = cursor.number()
        pair = Pair(codec=MOVES, conditions=PERFECT if first & self.BOUND else NOTHING)
        pair.advance(3.0 if first & self.LATER else 0.5)
        side = pair.client if first & self.TO_CLIENT else pair.server
        pair.send_input(3)
        pair.send_state(b"before")
        pair.advance(0.1)
        for _ in range(MOST):
            if cursor.is_empty or side.ended is not None:
                break
            self._frame(pair, side, cursor, meter)
        meter(pair.advance, 0.2)
        self._check(pair, side)

    def _frame(self, pair: Pair, side: Side, cursor: Cursor, meter: Meter) -> None:
        flags = cursor.number()
        if flags & self.PAUSED:
            meter(pair.advance, 1.0)
        sealer, counters = pair.other(side).session.sealer, side.counters
        number = cursor.number(4) if flags & self.NUMBERED else sealer.number
        body = cursor.take(cursor.number(2))
        frame = frames.encode_tunnel(number, body)
        if flags & self.AS_IT_IS:
            frame = bytes((Kind.TUNNEL,)) + body
        elif flags & self.NUMBERED:
            pass
        elif flags & self.BOTH_WAYS and ACKS_BYTES <= len(body) <= MAX_BODY_BYTES:
            home = SERVER_ADDRESS if side is pair.client else CLIENT_ADDRESS
            sealed = pair.sealed(pair.other(side), DatagramKind.DATA, body)
            taken = side.session.datagrams_in
            meter(pair.inject, side, sealed, home)
            self._deliver(side, frame, meter)
            check(side.session.datagrams_in <= taken + 1, "taken both ways", number)
        else:
            sealer.skip()
        self._deliver(side, frame, meter)
        if side.ended is None:
            before = counters.tunnel_delivered, len(side.events)
            self._deliver(side, frame, meter)
            after = counters.tunnel_delivered, len(side.events)
            check(after == before, "a replay was delivered", frame)

    def _deliver(self, side: Side, frame: bytes, meter: Meter) -> None:
        counters = side.counters
        meter(side.frame_came, frame)
        fates = counters.tunnel_delivered, counters.drop_tunnel_rate, counters.drop_tunnel_replayed
        check(counters.tunnel_in == sum(fates) + (side.ended is not None), "uncounted", frame)

    def _check(self, pair: Pair, side: Side) -> None:
        check((pair.server.unaccounted(), pair.client.unaccounted()) == (0, 0), "uncounted")
        # The other one may be told of inputs that it has never sent.
        ends = {pair.server.ended, pair.client.ended} - {None}
        check(ends <= {DisconnectReason.BAD_DATA}, "another end than that", ends)
        for each in (pair.server, pair.client):
            said = [frame for sender, frame in pair.frames if sender is each]
            check_readable(said, from_server=each is pair.server)
        for event in side.of(Unreliable):
            check(isinstance(event.payload, bytes | Move), "an undeclared message", event)
        numbers = [state.number for state in pair.states]
        check(numbers == sorted(set(numbers)), "the world turned back", numbers)
        if not ends:
            before = len(pair.server.events), len(pair.client.events)
            pair.send(pair.client, b"up")
            pair.send(pair.server, b"down")
            pair.advance(0.2)
            after = len(pair.server.events), len(pair.client.events)
            check(after[0] > before[0] and after[1] > before[1], "the session is dead", before)


TARGETS = (SealedTarget(), StrangerTarget(), TunnelTarget())

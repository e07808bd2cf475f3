"""
The TCP stream into a real connection, in each state that a stranger can bring it to.

The first byte chooses the state, the second how the stream is cut into reads. Then either the
stream follows as it is, or steps do, each behind a u16: frames that are put behind a true length,
frames as long as a real one may be, and time that passes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.inputs import encode_inputs
from gamenet.core.wire import (
    ACKS,
    INPUT_ACK,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    STATE,
    TIME_QUERY,
    TIME_REPLY,
    MessageType,
    pack_messages,
)
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import (
    Chat,
    Connected,
    Disconnected,
    Joined,
    Left,
    Received,
    Resumed,
    Suspended,
    Unreliable,
)
from tests.core.terms import SESSION_ID
from tests.fakes import framed
from tests.fuzz.harness import Cursor, Meter, Target, check, is_safe
from tests.fuzz.worlds import Nudge, SlowPortal, check_readable, meet, meet_again, new_world
from tests.world import ClientEnd, World, accept, hello

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.fakes import Stranger

AS_IT_IS = 0x80
"""In the first byte: no steps, only a stream."""
TIME = 0x8000
"""In the u16 of a step: so many tenths of a second pass."""
LONG = 0x4000
"""In the u16 of a step: the frame is filled up to sixteen times this many bytes."""
WINDOW = 8
"""Messages that may be on their way."""
MOST_BYTES = 200_000
"""Of one stream, filling included."""
MOST_SECONDS = 20.0
"""That pass in one stream; enough for every deadline."""


def step(frame: bytes) -> bytes:
    """A frame as a step."""
    return len(frame).to_bytes(2, "big") + frame


def wait(tenths: int) -> bytes:
    """Time as a step."""
    return (TIME | tenths).to_bytes(2, "big")


def long(frame: bytes, size: int) -> bytes:
    """A frame filled with zeros as a step."""
    return (LONG | size // 16).to_bytes(2, "big") + bytes((len(frame),)) + frame


def tunnel(number: int, *messages: tuple[int, bytes], ack: int = 0xFFFF, bits: int = 0) -> bytes:
    """A TUNNEL frame as a step."""
    (part,) = pack_messages(list(messages)) if messages else [b""]
    return step(frames.encode_tunnel(number, ACKS.pack(ack, bits) + part))


def tunnels(*good: tuple[int, bytes]) -> Iterator[bytes]:
    """Steps with TUNNEL frames: what is right with these messages, and what is wrong with any."""
    yield b"".join(tunnel(number, each) for number, each in enumerate(good)) + tunnel(9, *good)
    yield tunnel(0, *good) * 2 + tunnel(2, *good) + tunnel(1, good[0], ack=0) + tunnel(1)
    yield tunnel(0xFFFFFFFF, *good) + tunnel(0x7FFFFFFF, *good) + tunnel(0, *good)
    yield tunnel(0, ack=0) + tunnel(1, ack=0x7FFF, bits=0xFFFFFFFF) + tunnel(2) * 20
    yield tunnel(0, *good, ack=1, bits=1) + wait(30) + tunnel(1, *good) + wait(160)
    yield tunnel(0, (MessageType.UNRELIABLE, bytes(1_000))) + tunnel(1, *good) * 3
    yield tunnel(0, *[(int(MessageType.UNRELIABLE), b"")] * 16)
    for kind in (*MessageType, 0, 7):
        yield tunnel(0, good[0], (kind, b"x"))
        yield tunnel(0, (kind | IS_MESSAGE, b"\xc0"), good[0])
    whole = frames.encode_tunnel(0, bytes(6) + b"\x44boo")
    yield step(whole[:5])
    yield step(whole[:10])
    yield step(whole[:-4] + b"\x04\xff\xff")
    yield step(whole[:-4] + b"\x04\x00\x00" * 17)
    yield long(whole[:-4] + b"\x44", 5 + MAX_BODY_BYTES) + long(whole, 65_536)


def feed(world: World, stranger: Stranger, cursor: Cursor, meter: Meter, *, raw: bool) -> None:
    """Do what the rest of an input says."""
    chunk = cursor.number() or 65_536
    if raw:
        meter(stranger.say, cursor.rest(), chunk=chunk)
        return
    room, time = MOST_BYTES, MOST_SECONDS
    while not cursor.is_empty and room > 0:
        size = cursor.number(2)
        if size & TIME:
            seconds = min((size & 0xFF) / 10, time)
            time -= seconds
            world.run(seconds)
            continue
        if size & LONG:
            frame = cursor.take(cursor.number())
            frame += bytes(max(0, (size & 0x1FFF) * 16 - len(frame)))
        else:
            frame = cursor.take(size & 0x1FFF)
        room -= len(frame)
        meter(stranger.say, framed(frame), chunk=max(chunk, len(frame) // 64))


class ServerStreamTarget(Target):
    """What comes to a server: before the join, while it is being decided, and in the game."""

    name = "server_stream"
    UNJOINED, DECIDING, UNCONFIRMED, JOINED, NOT_TAKING = range(5)
    BESIDE_ADA = 0x40
    """In the first byte: somebody else plays, who must not notice."""

    def seeds(self) -> Iterable[bytes]:
        say_hello = step(frames.encode_hello(hello("eve")))
        ack = step(frames.encode_ack(0))
        typed = frames.encode_data(True, 1, b"\x92\xa5Nudge\xca\x3f\x00\x00\x00")
        talk = b"".join(
            map(
                step,
                (
                    frames.encode_ack(2),
                    frames.encode_data(False, 0, b"hello"),
                    typed,
                    frames.encode_say("Grüße"),
                    frames.encode_ping(Kind.PING, 7),
                    frames.encode_ping(Kind.PONG, 1),
                ),
            )
        )
        bye = step(frames.encode_bye(DisconnectReason.QUIT, "bye"))
        yield bytes((self.UNJOINED, 0)) + say_hello + ack + talk + bye
        yield bytes((self.UNJOINED, 1)) + say_hello + say_hello
        yield bytes((self.UNJOINED, 3)) + wait(60) + say_hello
        for changed in (
            {"user": "ada"}, {"user": ""}, {"user": "a b"}, {"user": "x" * 33}, {"flags": 0},
            {"min_version": 2, "max_version": 3}, {"suites": 2}, {"schema_hash": b"12345678"},
            {"mechanism": 2, "auth": b"secret"}, {"mechanism": 3, "auth": b"a.b.c"},
            {"mechanism": 9}, {"input_bits": 3}, {"game": "chess"},
        ):  # fmt: skip
            frame = frames.encode_hello(hello(**{"user": "eve", **changed}))
            yield bytes((self.UNJOINED, 0)) + step(frame)
        back = step(
            frames.encode_hello(hello("eve", resume=frames.Resume(SESSION_ID, bytes(32), 0)))
        )
        yield bytes((self.UNJOINED, 0)) + back
        yield bytes((self.UNJOINED | self.BESIDE_ADA, 1)) + back + back
        yield bytes((self.UNJOINED, 0)) + back + say_hello + ack
        yield bytes((self.DECIDING | self.BESIDE_ADA, 0)) + say_hello + back
        yield bytes((self.UNCONFIRMED, 0)) + back
        for second in (say_hello, back):
            yield bytes((self.JOINED | self.BESIDE_ADA, 0)) + talk + second + talk
        yield bytes((self.UNJOINED | AS_IT_IS, 0)) + framed(frames.encode_hello(hello("eve")))
        yield bytes((self.UNJOINED | AS_IT_IS, 0)) + b"GET / HTTP/1.1\r\n\r\n"
        yield bytes((self.UNJOINED | AS_IT_IS, 0)) + b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        yield bytes((self.UNJOINED | AS_IT_IS, 2)) + b"\x00\x00\x10\x01" + bytes(50)
        for more in (b"", ack, bye, say_hello, wait(60)):
            yield bytes((self.DECIDING, 0)) + say_hello + more
        yield bytes((self.DECIDING | self.BESIDE_ADA, 0)) + step(frames.encode_hello(hello("Ada")))
        yield bytes((self.UNCONFIRMED, 0)) + talk + bye
        yield bytes((self.UNCONFIRMED, 0)) + bye
        yield bytes((self.UNCONFIRMED, 0)) + wait(60) + ack
        yield bytes((self.JOINED, 5)) + talk * 2
        yield bytes((self.JOINED, 0)) + step(frames.encode_ack(3)) + wait(160)
        yield bytes((self.JOINED, 0)) + talk + step(frames.encode_ack(1))
        yield bytes((self.JOINED, 0)) + long(typed[:3], 65_536) + long(b"\x04\0\0", 65_600)
        yield bytes((self.JOINED, 0)) + step(frames.encode_rekeyed(1)) + talk
        inputs = (int(MessageType.INPUT), encode_inputs(3, 0, [1, 1, 2], 16))
        boo = (int(MessageType.UNRELIABLE), b"boo")
        asks = (int(MessageType.TIME), TIME_QUERY.pack(7))
        for through in tunnels(inputs, boo, (boo[0] | IS_MESSAGE, typed[3:]), asks):
            yield bytes((self.JOINED, 0)) + through
        yield bytes((self.UNCONFIRMED, 0)) + tunnel(0, inputs)
        yield bytes((self.NOT_TAKING, 0)) + tunnel(0, inputs, boo) + tunnel(1, boo) * 9
        yield bytes((self.UNJOINED, 0)) + tunnel(0, boo)
        for kind in range(14):
            yield bytes((self.JOINED, 0)) + step(bytes((kind,)) + bytes(8))
        yield bytes((self.JOINED, 0)) + step(b"")
        yield bytes((self.NOT_TAKING, 0)) + step(frames.encode_data(False, 0, b"x")) * 9
        yield bytes((self.NOT_TAKING, 0)) + long(b"\x04\0\0", 65_536) * 2

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        first = cursor.number()
        state = first % self.BESIDE_ADA % 5
        portal = SlowPortal()
        with new_world(portal=portal, window_messages=WINDOW, window_bytes=70_000) as world:
            ada = world.join("ada") if first & self.BESIDE_ADA else None
            portal.decides = state != self.DECIDING
            stranger = self._stranger(world, state)
            # A full recorder is what a game is that takes nothing.
            world.server.recorder.taking = state != self.NOT_TAKING
            feed(world, stranger, cursor, meter, raw=bool(first & AS_IT_IS))
            world.server.recorder.taking = True
            meter(portal.decide)
            world.run(0.2)
            self._check(world, stranger, state)
            if ada is not None:
                check(ada.joined, "somebody else was thrown out", ada.events)
            stranger.abort()
            world.settle()
            self._check_left(world)
        check(portal.logins == portal.logouts, "logged in and not out", portal.logins)

    def _stranger(self, world: World, state: int) -> Stranger:
        if state in (self.UNJOINED, self.DECIDING):
            return world.stranger()
        puppet = world.puppet("eve")
        if state != self.UNCONFIRMED:
            puppet.confirm()
            (player,) = (each for each in world.server.players.values() if each.name == "eve")
            for payload in (b"one", b"two", Nudge(0.5)):
                world.server.verbs.send(player, payload)
            world.settle()
        return puppet.wire

    def _check(self, world: World, stranger: Stranger, state: int) -> None:
        said = stranger.frames
        check_readable(said, from_server=True)
        answers = [frame[0] for frame in said if frame[0] in (Kind.ACCEPT, Kind.REFUSE)]
        check(len(answers) <= 1, "more than one answer to a HELLO", answers)
        if not any(event.player.name != "ada" for event in world.server.of(Joined)):
            most = sum(len(frame) + 4 for frame in said if frame[0] in answers)
            check(len(stranger.heard) <= most + 130, "a stranger is told more than an answer")
        for event in world.server.of(Chat):
            check(event.text.strip() == event.text != "", "chat that is not cleaned", event.text)
        said_so = [event for event in world.server.events if isinstance(event, Chat | Received)]
        if state == self.NOT_TAKING:
            check(len(said_so) <= WINDOW, "more messages than the window allows", len(said_so))
        for event in (*world.server.of(Received), *world.server.of(Unreliable)):
            check(isinstance(event.payload, bytes | Nudge), "an undeclared message", event.payload)

    def _check_left(self, world: World) -> None:
        joined = [event.player.id for event in world.server.of(Joined)]
        left = [event.player.id for event in world.server.of(Left)]
        check(len(set(joined)) == len(joined) and len(set(left)) == len(left), "told twice", left)
        check(set(left) <= set(joined), "left without having joined", joined, left)
        check(len(joined) - len(left) <= 1, "still here after the connection is gone", joined)


class ClientStreamTarget(Target):
    """What comes to a client: as the answer to its HELLO, in the game, and when it comes back."""

    name = "client_stream"
    AWAITING, JOINED, NOT_TAKING = range(3)
    BACK = 0x40
    """In the first byte: it had joined and lost its connection, and this is what another brings."""
    TERMS = accept(window_messages=WINDOW, window_bytes=70_000, resume_seconds=5)
    RESUMED = TERMS._replace(flags=frames.ACCEPT_INSECURE | frames.ACCEPT_RESUMED, cid=0xBACC)

    def seeds(self) -> Iterable[bytes]:
        accepted = step(frames.encode_accept(accept()))
        talk = b"".join(
            map(
                step,
                (
                    frames.encode_ack(1),
                    frames.encode_data(False, 0, b"hello"),
                    frames.encode_data(True, 1, b"\x92\xa5Nudge\xca\x3f\x00\x00\x00"),
                    frames.encode_said(9, "bob", "hi", private=False),
                    frames.encode_said(0, "", "restarting", private=True),
                    frames.encode_said(7, "a\x1b[2Jda", "\x1b[31mred\r\n\u202e", private=False),
                    frames.encode_ping(Kind.PING, 7),
                    frames.encode_ping(Kind.PONG, 1),
                ),
            )
        )
        bye = step(frames.encode_bye(DisconnectReason.KICKED, "\x1b]0;owned\x07"))
        yield bytes((self.AWAITING, 0)) + accepted + talk + bye
        yield bytes((self.AWAITING, 1)) + accepted + accepted
        yield bytes((self.AWAITING, 0)) + wait(60)
        yield bytes((self.AWAITING, 0)) + bye
        for reason in (*RefusalReason, 99):
            yield bytes((self.AWAITING, 0)) + step(bytes((Kind.REFUSE, reason, 0, 3)))
        for fields in (
            {"name": "a\x1b[2Jda"}, {"window_messages": 1}, {"window_bytes": 65_600}, {"cid": 0},
            {"udp_port": 65_535}, {"input_bits": 1}, {"input_bits": 65}, {"max_datagram": 0},
            {"player_id": 2**32 - 1}, {"flags": 0xFF}, {"tick_rate_x100": 1}, {"flags": 0},
        ):  # fmt: skip
            yield bytes((self.AWAITING, 0)) + step(frames.encode_accept(accept(**fields))) + talk
        yield bytes((self.AWAITING | AS_IT_IS, 0)) + b"HTTP/1.1 400 Bad Request\r\n\r\n"
        yield bytes((self.AWAITING | AS_IT_IS, 7)) + framed(frames.encode_accept(accept()))
        yield bytes((self.JOINED, 0)) + talk + wait(160)
        yield bytes((self.JOINED, 9)) + talk * 2 + bye
        yield bytes((self.JOINED, 0)) + step(frames.encode_ack(4))
        yield bytes((self.JOINED, 0)) + step(frames.encode_rekey(1, bytes(32))) + talk
        yield bytes((self.JOINED, 0)) + step(frames.encode_rekey(2, bytes(32)))
        yield bytes((self.JOINED, 0)) + long(b"\x04\0\0", 65_536) * 3
        for kind in range(14):
            yield bytes((self.JOINED, 0)) + step(bytes((kind,)) + bytes(8))
        yield bytes((self.NOT_TAKING, 0)) + step(frames.encode_data(False, 0, b"x")) * 9
        state = (int(MessageType.STATE), STATE.pack(5, 2, 3, 0, 0) + b"world")
        boo = (int(MessageType.UNRELIABLE), b"boo")
        settled = (int(MessageType.INPUT_ACK), INPUT_ACK.pack(0))
        tells = (int(MessageType.TIME), TIME_REPLY.pack(1, 2, 3))
        for through in tunnels(state, boo, settled, tells):
            yield bytes((self.JOINED, 0)) + through
        yield bytes((self.AWAITING, 0)) + tunnel(0, boo)
        yield bytes((self.NOT_TAKING, 0)) + tunnel(0, state, boo) + tunnel(1, boo) * 9
        yield from self._seeds_of_who_comes_back(talk, bye, tunnel(0, state, boo))

    def _seeds_of_who_comes_back(self, talk: bytes, bye: bytes, through: bytes) -> Iterable[bytes]:
        resumed = step(frames.encode_accept(self.RESUMED))
        yield bytes((self.AWAITING, 0)) + resumed + talk
        yield bytes((self.AWAITING | self.BACK, 0)) + resumed + talk + through + bye
        yield bytes((self.AWAITING | self.BACK, 1)) + resumed + resumed
        yield bytes((self.AWAITING | self.BACK, 0)) + wait(60)
        yield bytes((self.AWAITING | self.BACK, 0)) + bye
        yield bytes((self.AWAITING | self.BACK, 0)) + through + resumed
        for reason in (*RefusalReason, 99):
            yield bytes((self.AWAITING | self.BACK, 0)) + step(bytes((Kind.REFUSE, reason, 0, 3)))
        for fields in (
            {"flags": frames.ACCEPT_INSECURE}, {"flags": 0xFF}, {"session_id": bytes(16)},
            {"player_id": 8}, {"received": 1}, {"received": 3}, {"received": 4},
            {"received": 2**64 - 1}, {"cid": self.TERMS.cid}, {"udp_port": 1}, {"name": "eve"},
            {"window_messages": 1}, {"input_bits": 1}, {"resume_seconds": 0},
        ):  # fmt: skip
            changed = self.RESUMED._replace(**fields)
            yield bytes((self.AWAITING | self.BACK, 0)) + step(frames.encode_accept(changed)) + talk
        yield bytes((self.AWAITING | self.BACK | AS_IT_IS, 7)) + framed(
            frames.encode_accept(self.RESUMED)
        )
        yield bytes((self.JOINED | self.BACK, 9)) + talk * 2 + through * 2 + bye
        yield bytes((self.JOINED | self.BACK, 0)) + step(frames.encode_ack(3)) + wait(160)
        yield (
            bytes((self.JOINED | self.BACK, 0)) + step(frames.encode_rekey(1, bytes(32))) + through
        )
        yield bytes((self.NOT_TAKING | self.BACK, 0)) + step(frames.encode_data(False, 0, b"x")) * 9

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        first = cursor.number()
        state, back = first % self.BACK % 3, bool(first & self.BACK)
        with new_world() as world:
            client, server = meet(world, redials=back)
            if back or state != self.AWAITING:
                server.say_frame(frames.encode_accept(self.TERMS))
                client.verbs.send(b"one")
                client.verbs.send(Nudge(0.5))
                client.verbs.say("hello")
                world.settle()
            before = server
            if back:
                server = meet_again(world, before)
                if state != self.AWAITING:
                    server.say_frame(frames.encode_accept(self.RESUMED))
            client.recorder.taking = state != self.NOT_TAKING
            feed(world, server, cursor, meter, raw=bool(first & AS_IT_IS))
            client.recorder.taking = True
            world.run(0.2)
            check_readable(server.frames, from_server=False)
            if back:
                self._check_back(client, before, server)
            server.abort()
            client.host.leave()
            world.settle()
            self._check(client)
            if state == self.NOT_TAKING:
                came = [each for each in client.events if isinstance(each, Chat | Received)]
                check(len(came) <= WINDOW, "more messages than the window allows", len(came))

    def _check_back(self, client: ClientEnd, before: Stranger, server: Stranger) -> None:
        back = frames.decode_hello(server.frames[0]).resume
        shown = frames.Resume(self.TERMS.session_id, self.TERMS.resume_token, 0)
        check(back == shown, "another session to resume than the one it had", back)
        said, again = (
            [frame for frame in each.frames if frame[0] in (Kind.DATA, Kind.SAY)]
            for each in (before, server)
        )
        check(said[len(said) - len(again) :] == again, "not the rest of what it had said", again)
        told = [type(each) for each in client.events if isinstance(each, Suspended | Resumed)]
        most = [Suspended, Resumed, Suspended]  # the last for a connection that falls silent
        check(told and told == most[: len(told)], "not told what became of it", told)
        answered = any(frame[0] == Kind.ACK for frame in server.frames)
        check(answered <= (Resumed in told), "an ACK to who has not resumed it", server.frames)

    def _check(self, client: ClientEnd) -> None:
        check(len(client.of(Disconnected)) == 1, "no end, or more than one", client.events)
        check(len(client.of(Connected)) <= 1, "connected more than once", client.events)
        check(isinstance(client.events[-1], Disconnected), "told more after the end", client.events)
        for event in client.of(Chat):
            check(is_safe(event.text) and is_safe(event.player.name), "not cleaned", event)
        for end in client.of(Disconnected):
            check(end.text and is_safe(end.text), "an end that is not cleaned", end)
            no_session = client.of(Suspended) and end.refusal is RefusalReason.NO_SESSION
            refused = DisconnectReason.SESSION_LOST if no_session else DisconnectReason.REFUSED
            check((end.refusal is not None) == (end.reason is refused), "why", end)
        for event in (*client.of(Received), *client.of(Unreliable)):
            check(isinstance(event.payload, bytes | Nudge), "an undeclared message", event.payload)


TARGETS = (ServerStreamTarget(), ClientStreamTarget())

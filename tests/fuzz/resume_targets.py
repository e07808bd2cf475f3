"""
Lost connections, and who comes back: a session goes on for whoever has its token, and for nobody
else.

An input is steps, each a byte that says what happens and then what it needs. Eve has joined by the
first connection; what is said goes by the connection at hand, which is at first that one.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Any

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.states import State
from gamenet.core.wire import ACKS
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Chat, Joined, Left, Received, Resumed, Suspended
from tests.fuzz.harness import Cursor, Meter, Target, check
from tests.fuzz.worlds import SlowPortal, check_readable, new_world
from tests.world import World, hello

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fakes import Stranger

WINDOW = 8
"""Messages that may be on their way."""
WAITS = 6.0
"""Seconds that a session waits for another connection; longer than a join may take."""
MOST = 24
"""Steps of one input."""
MOST_LINES = 8
MOST_SECONDS = 20.0


class Step(IntEnum):
    """What happens; the byte is taken modulo their number."""

    COME = 0
    """Another connection, which is at hand from here on."""
    CUT = 1
    """The connection at hand is lost."""
    SAY = 2
    """By it, a frame: a u16, its length, and what it is."""
    BACK = 3
    """Another connection, by which somebody wants the session: a byte that tells what is shown, and
    one for the count of messages received. Of raw bytes, 48 follow."""
    WAIT = 4
    """A byte of tenths of a second pass."""
    SEND = 5
    """The server's game has a message for Eve."""
    TURN = 6
    """An earlier connection is at hand: a byte, which."""
    KICK = 7
    """The server's game throws Eve out."""


class Shown(IntEnum):
    """What somebody shows who wants a session; the byte is taken modulo their number."""

    NEWEST, BEFORE, OLDEST, RAW, FLIPPED, FOREIGN, FOREIGN_SESSION = range(7)


def say(*said: bytes) -> bytes:
    """Frames as steps."""
    return b"".join(bytes((Step.SAY,)) + len(each).to_bytes(2, "big") + each for each in said)


def back(shown: Shown, received: int = 0) -> bytes:
    """Somebody who wants the session, as a step."""
    return bytes((Step.BACK, shown, received))


CUT, COME, SEND, KICK = (bytes((each,)) for each in (Step.CUT, Step.COME, Step.SEND, Step.KICK))


def wait(tenths: int) -> bytes:
    """Time as a step."""
    return bytes((Step.WAIT, tenths))


def turn(line: int) -> bytes:
    """An earlier connection as a step."""
    return bytes((Step.TURN, line))


class Eve:
    """Who has a session, its tokens, and the connections that she or somebody else has made.

    :param ada: the id and the token of somebody else's session.
    """

    def __init__(self, world: World, ada: tuple[bytes, bytes]) -> None:
        self.world = world
        self.host: Any = world.server.host
        self.ada = ada
        puppet = world.puppet("eve")
        puppet.confirm()
        self.wire = puppet.wire
        """The connection at hand."""
        self.lines = [puppet.wire]
        self.session: Any = world.server.session_of("eve")
        self.player = self.session.player
        self.tokens: list[bytes] = []
        """All that were given out."""
        self.good: set[bytes] = set()
        """Those with which somebody may come back."""
        self.sent: list[bytes] = []
        """What the server's game has had for her."""
        self.resumed: list[tuple[Stranger, int]] = []
        """Connections that have got the session, and the count that they came with."""
        for payload in (b"one", b"two", b"three"):
            self.send(payload)
        self.look()

    @property
    def is_over(self) -> bool:
        """Whether the game was told that she is gone."""
        return any(event.player is self.player for event in self.world.server.of(Left))

    def come(self) -> Stranger:
        """Another connection is at hand."""
        self.wire = self.world.stranger()
        self.lines.append(self.wire)
        return self.wire

    def send(self, payload: bytes) -> None:
        """The server's game sends a message."""
        if not self.is_over:
            self.sent.append(payload)
            self.world.server.verbs.send(self.player, payload)
            self.world.settle()

    def look(self) -> None:
        """Find out which tokens there are, and which are good."""
        for wire in self.lines:
            for frame in wire.frames:
                if frame[0] == Kind.ACCEPT:
                    accept = frames.decode_accept(frame)
                    if accept.session_id == self.session.session_id:
                        self._given(accept.resume_token)
        connection = self.host.connection_of(self.session)
        if connection is not None and connection.state is State.OPEN:
            self.good = {self.tokens[-1]}

    def _given(self, token: bytes) -> None:
        if token not in self.tokens:
            self.tokens.append(token)
            self.good.add(token)

    def shown(self, what: Shown, cursor: Cursor) -> tuple[bytes, bytes]:
        """A session id and a token."""
        mine, tokens = self.session.session_id, self.tokens
        if what is Shown.RAW:
            return cursor.take(16).ljust(16, b"\0"), cursor.take(32).ljust(32, b"\0")
        return {
            Shown.NEWEST: (mine, tokens[-1]),
            Shown.BEFORE: (mine, tokens[-2:][0]),
            Shown.OLDEST: (mine, tokens[0]),
            Shown.FLIPPED: (mine, tokens[-1][:-1] + bytes((tokens[-1][-1] ^ 1,))),
            Shown.FOREIGN: (mine, self.ada[1]),
            Shown.FOREIGN_SESSION: (self.ada[0], tokens[-1]),
        }[what]

    def state(self) -> tuple[object, ...]:
        """All that nobody may change who does not have the token."""
        session, host = self.session, self.host
        return (
            self.is_over,
            session.cid,
            session.keys,
            session.is_suspended,
            session.resume_until,
            session.outgoing.sent,
            session.outgoing.acknowledged,
            session.incoming.received,
            host.connection_of(session),
            host.suspended,
            len(host.registry),
            len(host.claims),
        )


class ResumeTarget(Target):
    """Eve, her lost connections, and who wants her session; Ada plays on."""

    name = "resume"
    max_bytes = 1_024

    def seeds(self) -> Iterable[bytes]:
        ack = frames.encode_ack(0)
        talk = say(frames.encode_data(False, 0, b"hello"), frames.encode_say("hello"))
        bye = say(frames.encode_bye(DisconnectReason.QUIT))
        through = say(frames.encode_tunnel(0, ACKS.pack(0xFFFF, 0) + b"\x44boo"))
        joins = say(frames.encode_hello(hello("eve")))
        for shown in Shown:
            yield back(shown) + say(ack)
            yield CUT + back(shown) + say(ack) + talk
            yield talk + CUT + SEND + back(shown, 2) + SEND + say(frames.encode_ack(2)) + CUT
            yield CUT + back(shown, 4) + back(shown, 3) + wait(70)
            yield KICK + back(shown)
            yield bye + back(shown)
            yield CUT + wait(70) + back(shown)
            yield CUT + back(Shown.NEWEST) + say(ack) + CUT + back(shown) + say(ack) + back(shown)
            yield CUT + back(Shown.NEWEST) + back(Shown.NEWEST) + back(shown) + say(ack)
        fresh = back(Shown.NEWEST)
        yield CUT + COME + joins
        yield CUT + wait(70) + COME + joins + say(ack) + turn(0) + talk
        yield CUT + fresh + joins
        yield CUT + fresh + say(ack) + joins
        yield CUT + fresh + wait(50) + back(Shown.BEFORE) + say(ack)
        yield CUT + fresh + wait(30) + fresh + wait(40) + fresh
        yield CUT + fresh + bye + back(Shown.NEWEST)
        yield CUT + fresh + say(b"\x0d") + fresh
        yield CUT + fresh + CUT + fresh + CUT + back(Shown.BEFORE) + through + talk
        yield CUT + fresh + KICK + fresh
        yield fresh + turn(0) + talk + bye + turn(1) + talk + say(ack)
        yield (SEND + CUT + fresh + say(ack) + through + talk) * 5
        yield SEND * 20 + CUT + back(Shown.NEWEST, WINDOW) + say(frames.encode_ack(WINDOW)) + SEND
        yield say(frames.encode_ack(3)) + CUT + back(Shown.NEWEST, 2) + back(Shown.NEWEST, 3)
        yield through + fresh + through * 2 + say(frames.encode_rekeyed(1))
        yield bye + wait(5) + COME + joins + say(ack) + fresh
        yield say(b"") + fresh

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        portal = SlowPortal()
        with new_world(
            portal=portal, resume_seconds=WAITS, window_messages=WINDOW, window_bytes=70_000
        ) as world:
            ada = world.join("ada")
            eve = Eve(world, (ada.session.session_id, ada.host._token))
            seconds = MOST_SECONDS
            for _ in range(MOST):
                if cursor.is_empty:
                    break
                seconds -= self._step(eve, cursor, seconds, meter)
                eve.look()
            for wire in eve.lines:
                wire.abort()
            world.settle()
            self._check(eve)
            check(ada.joined and not ada.of(Suspended), "somebody else was thrown out", ada.events)
            # The longest that anything waits: who is gone, and then the reason of an end.
            world.run(2 * WAITS + 1.0)
            self._check_forgotten(eve)
            check(portal.logins - portal.logouts == 1, "logged in and not out", portal.logins)
        check(portal.logins == portal.logouts, "logged in and not out", portal.logins)

    def _step(self, eve: Eve, cursor: Cursor, most: float, meter: Meter) -> float:
        """One step; the seconds that it takes."""
        world, step = eve.world, Step(cursor.number() % len(Step))
        if step is Step.COME and len(eve.lines) < MOST_LINES:
            eve.come()
        elif step is Step.CUT:
            eve.wire.abort()
        elif step is Step.SAY:
            meter(eve.wire.say_frame, cursor.take(cursor.number(2)))
        elif step is Step.BACK and len(eve.lines) < MOST_LINES:
            shown = Shown(cursor.number() % len(Shown))
            received = cursor.number()
            self._back(eve, frames.Resume(*eve.shown(shown, cursor), received), meter)
        elif step is Step.WAIT:
            seconds = min(cursor.number() / 10, most)
            meter(world.run, seconds)
            return seconds
        elif step is Step.SEND:
            eve.send(b"%d" % len(eve.sent))
        elif step is Step.TURN:
            eve.wire = eve.lines[cursor.number() % len(eve.lines)]
        elif step is Step.KICK and not eve.is_over:
            world.server.verbs.disconnect(eve.player)
            world.settle()
        return 0.0

    def _back(self, eve: Eve, resume: frames.Resume, meter: Meter) -> None:
        """Somebody says HELLO for the session."""
        session, was_over = eve.session, eve.is_over
        is_good = resume.session_id == session.session_id and resume.token in eve.good
        fits = session.outgoing.acknowledged <= resume.received <= session.outgoing.sent
        took = self._count(eve)
        wire = eve.come()
        before = eve.state()
        meter(wire.say_frame, frames.encode_hello(hello("eve", resume=resume)))
        check(len(wire.frames) <= 1 or wire.frames[0][0] == Kind.ACCEPT, "more than an answer")
        (answer, *_) = wire.frames or [b"\0"]
        if not was_over and is_good and fits:
            check(answer[0] == Kind.ACCEPT, "locked out with a good token", answer)
            accept = frames.decode_accept(answer)
            check(accept.flags & frames.ACCEPT_RESUMED, "resumed, and not told so", accept)
            check(accept.session_id == session.session_id, "another session", accept)
            check(accept.player_id == eve.player.id and accept.name == "eve", "another", accept)
            check(accept.received == took, "another count than the game was told of", accept)
            check(accept.resume_token not in eve.tokens, "a token given out twice")
            check(accept.cid == session.cid != before[1], "no other connection id", accept)
            check(session.is_suspended, "back before ACCEPT was read")
            eve.good = {resume.token}
            eve.resumed.append((wire, resume.received))
            return
        check(eve.state() == before, "changed by who has no right to it", before, eve.state())
        if was_over and is_good and answer[0] == Kind.BYE:
            (left,) = (each for each in eve.world.server.of(Left) if each.player is eve.player)
            check(frames.decode_bye(answer)[0] is left.reason, "another reason", answer)
        else:
            check(answer[0] == Kind.REFUSE, "neither told the end nor refused", answer)
            check(frames.decode_refuse(answer) == (RefusalReason.NO_SESSION, 0), "why", answer)

    def _of(self, eve: Eve) -> list[Any]:
        """What the game was told of Eve."""
        return [
            event for event in eve.world.server.events if getattr(event, "player", 0) is eve.player
        ]

    def _count(self, eve: Eve) -> int:
        return sum(isinstance(event, Chat | Received) for event in self._of(eve))

    def _check(self, eve: Eve) -> None:
        for wire in eve.lines:
            check_readable(wire.frames, from_server=True)
        is_away = False
        for place, event in enumerate(told := self._of(eve)):
            check((place == 0) == isinstance(event, Joined), "joined again, or never", told)
            check(not isinstance(event, Left) or event is told[-1], "told after the end", told)
            if isinstance(event, Suspended | Resumed):
                check(is_away == isinstance(event, Resumed), "suspended or resumed twice", told)
                is_away = not is_away
            check(not (is_away and isinstance(event, Chat | Received)), "by no connection", told)
        for wire, received in [(eve.lines[0], 0), *eve.resumed]:
            came = [frames.decode_data(each)[2] for each in wire.frames if each[0] == Kind.DATA]
            check(came == eve.sent[received:][: len(came)], "not the next messages", came, received)

    def _check_forgotten(self, eve: Eve) -> None:
        host = eve.host
        check(eve.is_over, "still here after all that time", self._of(eve))
        left = (len(host.registry), len(host._stays), len(host.seats), len(host.claims))
        check(left == (1, 1, 1, 1), "more is left than Ada", left)
        routes = (len(host.datagram_routes), len(host._connections), len(host.newcomers))
        check(routes == (1, 1, 0), "more is routed than Ada", routes)
        check(host.suspended == 0 and not host.claims._over, "waits for nobody", host.suspended)


TARGETS = (ResumeTarget(),)

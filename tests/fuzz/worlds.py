"""
The real ends on a network that is not there, for targets that need more than a function.

What must hold of every world: it is asked for each time an input has been fed.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ClientConfig
from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.wire import split_messages
from gamenet.credentials import IPlayerAvatar, PlayerAvatar
from gamenet.errors import WireError
from gamenet.messages import Message, Unit
from tests.fakes import Stranger, StrangerFactory
from tests.fuzz.harness import check
from tests.world import ClientEnd, World

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twisted.logger import LogEvent

ELSEWHERE = ("10.66.66.66", 1)
MAX_LINE = 400
"""Nothing that somebody sent makes a line of the log longer than this."""


class Nudge(Message):
    """What the games of these worlds declare."""

    by: Unit


class SlowPortal:
    """A portal that lets everybody in, at once or when it is told to."""

    def __init__(self) -> None:
        self.decides = True
        """Whether it does so at once."""
        self.logins = 0
        self.logouts = 0
        self._waiting: list[Deferred[Any]] = []

    def login(self, credentials: Any, mind: object, *interfaces: object) -> Deferred[Any]:
        """Let somebody in, as a guest."""
        login: Deferred[Any] = Deferred()
        self._waiting.append(login)
        if self.decides:
            self.decide()
        return login

    def decide(self) -> None:
        """Let everybody in who waits."""
        waiting, self._waiting = self._waiting, []
        self.logins += len(waiting)
        for login in waiting:
            login.callback((IPlayerAvatar, PlayerAvatar(""), self._logout))

    def _logout(self) -> None:
        self.logouts += 1


class Case(SynchronousTestCase):
    """Whom a world asks whether things are equal."""

    def runTest(self) -> None:
        """Nothing: the world runs, not the case."""


@contextmanager
def new_world(**fields: Any) -> Iterator[World]:
    """A world that is closed again, with its books checked and its log read."""
    events: list[LogEvent] = []
    globalLogPublisher.addObserver(events.append)
    try:
        world = World(Case(), messages=(Nudge,), **fields)
        yield world
        world.close()
    finally:
        globalLogPublisher.removeObserver(events.append)
    for event in events:
        line = formatEvent(event)
        check(event["log_level"] < LogLevel.error, "a defect", event.get("log_failure", line))
        check(line.isprintable() and len(line) <= MAX_LINE, "not one clean line of a log", line)


def meet(
    world: World, user: str = "ada", *, redials: bool = False, **fields: Any
) -> tuple[ClientEnd, Stranger]:
    """A client of *world* that has said HELLO to a server which is none.

    :param redials: it gets its connection back when it loses it.
    """
    factory, listening = _listen(world)
    config = ClientConfig(insecure=True, messages=(Nudge,), **fields)
    client = ClientEnd(world.machine(), config, user, None, ELSEWHERE, redials=redials)
    listening.stopListening()
    world.clients.append(client)
    world.strangers += factory.made
    world.settle()
    return client, factory.made[0]


def meet_again(world: World, stranger: Stranger) -> Stranger:
    """Cut the connection of a client that redials, and let it come back to who is no server."""
    factory, listening = _listen(world)
    stranger.abort()
    world.run(1.0)
    listening.stopListening()
    world.strangers += factory.made
    world.settle()
    (again,) = factory.made
    return again


def _listen(world: World) -> tuple[StrangerFactory, Any]:
    factory = StrangerFactory()
    return factory, world.machine().listenTCP(ELSEWHERE[1], factory, interface=ELSEWHERE[0])


def check_readable(said: list[bytes], *, from_server: bool) -> None:
    """Everything that one of our ends wrote is a frame that the other reads."""
    for frame in said:
        try:
            _DECODERS[frame[0], from_server](frame)
        except (KeyError, WireError) as error:
            check(False, "our own frame cannot be read", frame[:64], error)


def _decode_tunnel(frame: bytes) -> list[tuple[int, bytes]]:
    """The messages in a TUNNEL."""
    return split_messages(frames.decode_tunnel(frame)[1])


_BOTH: dict[Kind, Any] = {
    Kind.DATA: frames.decode_data,
    Kind.ACK: frames.decode_ack,
    Kind.PING: frames.decode_ping,
    Kind.PONG: frames.decode_ping,
    Kind.TUNNEL: _decode_tunnel,
    Kind.BYE: frames.decode_bye,
}
_DECODERS: dict[tuple[int, bool], Any] = {
    **{(kind, side): decode for kind, decode in _BOTH.items() for side in (False, True)},
    (Kind.HELLO, False): frames.decode_hello,
    (Kind.ACCEPT, True): frames.decode_accept,
    (Kind.REFUSE, True): frames.decode_refuse,
    (Kind.SAY, False): frames.decode_say,
    (Kind.SAY, True): frames.decode_said,
    (Kind.REKEY, True): frames.decode_rekey,
    (Kind.REKEYED, False): frames.decode_rekeyed,
}

"""A server's and a client's session, joined by a bad network in virtual time.

The network is seeded, so a run can be repeated. Datagrams are lost, doubled, delayed and overtake
each other; frames arrive late but in order. Each side has what a host gives a session: a turn for
its events, a beat of 50 ms, a flush at the end of whatever happened, and a game that takes events
when it likes.

The connection can be cut, and another one made, step by step as a client and a server do it.
"""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gamenet.config import ServerConfig
from gamenet.core import frames
from gamenet.core.client_session import ClientSession
from gamenet.core.counters import Counters
from gamenet.core.keyring import Keyring
from gamenet.core.record import Schedule
from gamenet.core.seat import Seat
from gamenet.core.server_session import ServerSession
from gamenet.core.setup import Limits, Setup
from gamenet.core.turn import Turn
from gamenet.core.wire import (
    ACKS,
    HEADER,
    IS_MESSAGE,
    MAX_DATAGRAM_BYTES,
    OVERHEAD_BYTES,
    PREFIX,
    PREFIX_MASK,
    DatagramKind,
    MessageType,
    pack_messages,
)
from gamenet.errors import DisconnectReason, RemoteProtocolError
from gamenet.events import SERVER, Event, Player, State
from gamenet.messages import Codec, Message, Unit
from tests.core.terms import accept

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.core.path import Address
    from gamenet.core.session import Session

BEAT_SECONDS = 0.05
RESUME_SECONDS = 60.0
CID = 0xC0FFEE11
SERVER_ADDRESS: Address = ("192.0.2.1", 7_777)
CLIENT_ADDRESS: Address = ("198.51.100.7", 40_000)
STRANGER: Address = ("203.0.113.66", 666)
ADA = Player(7, "ada", "")
TICK_RATE = 50.0
"""Of the server's game."""
EventT = TypeVar("EventT", bound=Event)


class Move(Message):
    """A typed message."""

    dx: Unit


MOVES = Codec([Move])


@dataclass
class Conditions:
    """What the network does to datagrams; probabilities, and seconds one way."""

    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.02
    spread: float = 0.0
    """Delays are drawn from ``delay`` to ``delay + spread``; what leaves later may arrive first."""


PERFECT = Conditions()
BAD = Conditions(loss=0.3, duplicate=0.2, delay=0.03, spread=0.2)


class Side:
    """One end: what a host is to a session.

    :param pair: the network.
    :param room: events that one turn may publish.
    """

    def __init__(self, pair: Pair, name: str, room: int) -> None:
        self.name = name
        self.counters = Counters()
        self.turn = Turn(self.counters, room)
        self.events: list[Event] = []
        """All events published so far."""
        self.taken = 0
        """How many of them the game has taken."""
        self.takes = True
        """Whether the game takes events as they come."""
        self.ended: DisconnectReason | None = None
        self.connected = True
        """Whether it has a connection, by its own judgement."""
        self.writable = True
        """Whether that takes what is written."""
        self.confirmed = True
        """Whether the peer has shown that it is on the connection, too."""
        self.session: Session
        self._pair = pair

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The published events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def take(self, count: int) -> None:
        """The game takes this many events more."""
        self.taken = min(len(self.events), self.taken + count)
        self.run(lambda: None)

    def run(self, call: Callable[[], object]) -> None:
        """A turn: *call*, then publish, settle and flush, as a host does."""
        turn, pair = self.turn, self._pair
        turn.taken = self.taken
        try:
            call()
        except RemoteProtocolError as error:
            self.end(error.reason)
        turn.published += len(turn.batch)
        self.events += turn.batch
        turn.batch.clear()
        if self.takes:
            self.taken = len(self.events)
        turn.settle(self.taken, pair.now)
        dirty, turn.dirty = turn.dirty, []
        for session in dirty:
            session.dirty = False
            if self.ended is None:
                writes = self.connected and self.writable
                session.tunnel.writable = writes
                for data, address in session.datagrams_to_send(pair.now):
                    pair.carry_datagram(self, data, address)
                if session.frames_due and writes:
                    for frame in session.frames_to_send(pair.now):
                        pair.carry_frame(self, frame)

    def end(self, reason: DisconnectReason) -> None:
        """The session is over, by this side's judgement."""
        if self.ended is None:
            self.ended = reason

    def beat(self) -> None:
        """Look at the time."""

        def tick() -> None:
            if self.ended is None and self.session.next_tick <= self._pair.now:
                reason = self.session.tick(self._pair.now)
                if reason is DisconnectReason.TIMEOUT and self._pair.comes_back:
                    gone.append(reason)
                elif reason is not None:
                    self.end(reason)

        gone: list[DisconnectReason] = []
        self.run(tick)
        if gone:
            self._pair.cut()

    def frame_came(self, data: bytes) -> None:
        """A frame arrived."""

        def receive() -> None:
            self._confirm()
            self.session.receive_frame(data, self._pair.now)

        if self.ended is None:
            self.session.frame_heard = self._pair.now
            self.run(receive)

    def _confirm(self) -> None:
        """The peer is on the connection: only who read ACCEPT can say anything by it."""
        if not self.confirmed:
            self.confirmed = True
            self.session.resumed(self._pair.now)
            assert isinstance(self.session, ServerSession)
            self.session.begin(self._pair.now)

    def cut(self) -> None:
        """This side sees that its connection is gone."""

        def suspend() -> None:
            if not self.session.is_suspended:
                self.session.suspend(
                    DisconnectReason.SESSION_LOST, self._pair.now, self._pair.resume_seconds
                )
            self.session.unplug()

        if self.connected:
            self.connected = False
            self.confirmed = True
            self.run(suspend)

    def datagram_came(self, data: bytes, address: Address) -> None:
        """A datagram arrived: what a UDP protocol does with it."""
        counters = self.counters
        counters.datagrams_in += 1
        counters.bytes_in += len(data)
        if len(data) < OVERHEAD_BYTES:
            counters.drop_datagram_short += 1
        elif len(data) > MAX_DATAGRAM_BYTES:
            counters.drop_datagram_long += 1
        else:
            first, cid, low = HEADER.unpack_from(data)
            if first & PREFIX_MASK != PREFIX:
                counters.drop_datagram_not_ours += 1
            elif (
                cid != self.session.cid
                or self.ended is not None
                or (not self.confirmed and first & 0x0F == DatagramKind.DATA)
            ):
                counters.drop_datagram_unknown_session += 1
            else:
                self.run(lambda: self._receive_datagram(data, address, first, low))

    def _receive_datagram(self, data: bytes, address: Address, first: int, low: int) -> None:
        session = self.session
        authentic = session.datagrams_in
        session.receive_datagram(data, address, self._pair.now, first, low)
        if session.datagrams_in != authentic:
            self._confirm()

    def unaccounted(self) -> int:
        """Datagrams that were neither delivered nor dropped for a cause; must be 0."""
        counts = self.counters.snapshot()
        return (
            counts["datagrams_in"]
            - counts["datagrams_delivered"]
            - sum(count for name, count in counts.items() if name.startswith("drop_datagram_"))
        )


class Pair:
    """Two joined sessions and the network between them.

    :param seed: of the network's dice and of every secret.
    :param conditions: of the datagrams, both ways; may be exchanged at any time.
    :param comes_back: whoever hears nothing on the connection gives up the connection, and not the
        session.
    """

    def __init__(
        self,
        seed: int = 0,
        conditions: Conditions = PERFECT,
        *,
        codec: Codec | None = None,
        window_messages: int = 256,
        window_bytes: int = 262_144,
        queue_messages: int = 1_024,
        queue_bytes: int = 1_048_576,
        slow_seconds: float = 10.0,
        limits_of_server: dict[str, Any] | None = None,
        unreliable_messages: int = 64,
        ping_seconds: float = 5.0,
        dead_seconds: float = 15.0,
        input_bits: int = 16,
        max_input_hz: int = 65_535,
        room: int = 8_192,
        frame_delay: float = 0.02,
        resume_seconds: float = RESUME_SECONDS,
        comes_back: bool = False,
        start: float = 1_000.0,
    ) -> None:
        self.dice = random.Random(seed)
        self.conditions = conditions
        self.frame_delay = frame_delay
        self.resume_seconds = resume_seconds
        self.comes_back = comes_back
        self.now = start
        self.client_address = CLIENT_ADDRESS
        """Where the client's datagrams come from, as the server sees it."""
        self.wire: list[tuple[Side, bytes, Address]] = []
        """Every datagram that was sent: by whom, what, where to."""
        self.strays: list[tuple[bytes, Address]] = []
        """Datagrams sent to addresses at which nobody of the two is."""
        self.frames: list[tuple[Side, bytes]] = []
        """Every frame that was sent."""
        self.states: list[State] = []
        """States that reached the client's game, in the order of their arrival."""
        self.seen_state = 0
        self._state_number = 0
        self._input_number = 0
        self._next_beat = start + BEAT_SECONDS
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._frame_arrival = {"server": start, "client": start}
        self._connection = 0
        self._cid = CID
        secret, session_id = self.dice.randbytes(32), self.dice.randbytes(16)
        terms = accept(udp_secret=secret, session_id=session_id, cid=CID)
        limits = Limits(
            window_messages=window_messages,
            window_bytes=window_bytes,
            unreliable_messages=unreliable_messages,
            ping_seconds=ping_seconds,
            dead_seconds=dead_seconds,
            udp_idle_seconds=max(15.0, 2 * ping_seconds),
        )
        self.codec = codec or Codec()
        self.server = Side(self, "server", room)
        self.server.turn.game_clock_zero = 0.0
        self.server.turn.tick_seconds = 1 / TICK_RATE
        self.client = Side(self, "client", room)

        def setup(side: Side, author: Player) -> Setup:
            return Setup(
                player=ADA,
                author=author,
                seat=Seat(ADA, window_messages + queue_messages, window_bytes + queue_bytes),
                session_id=session_id,
                cid=CID,
                keys=Keyring(Schedule(terms), CID, is_server=side is self.server, now=start),
                limits=limits,
                codec=self.codec,
                turn=side.turn,
                now=start,
            )

        self.server_session = ServerSession(
            setup(self.server, ADA),
            config=ServerConfig(
                insecure=True,
                input_bits=input_bits,
                max_input_hz=max_input_hz,
                queue_messages=queue_messages,
                queue_bytes=queue_bytes,
                slow_seconds=slow_seconds,
                **(limits_of_server or {}),
            ),
            random_bytes=self.dice.randbytes,
        )
        self.client_session = ClientSession(
            setup(self.client, SERVER),
            address=SERVER_ADDRESS,
            longest_pause_seconds=30.0,
            datagrams_per_second=self.server_session.config.datagrams_per_second,
            input_bits=input_bits,
            tick_rate=TICK_RATE,
            take_state=self.states.append,
            seen_state=lambda: self.seen_state,
        )
        self.server.session = self.server_session
        self.client.session = self.client_session
        self.server_session.begin(start)

    # The network.

    def carry_frame(self, sender: Side, data: bytes) -> None:
        """Deliver a frame later, in order, unless the connection is lost before."""
        self.frames.append((sender, data))
        receiver, connection = self.other(sender), self._connection
        arrival = max(self._frame_arrival[receiver.name], self.now + self.frame_delay)
        self._frame_arrival[receiver.name] = arrival

        def arrive() -> None:
            if connection == self._connection and receiver.connected:
                receiver.frame_came(data)

        self._at(arrival, arrive)

    def carry_datagram(self, sender: Side, data: bytes, address: Address) -> None:
        """Deliver a datagram never, once or twice, whenever it pleases."""
        self.wire.append((sender, data, address))
        if sender is self.client:
            receiver, source, home = self.server, self.client_address, SERVER_ADDRESS
        else:
            receiver, source, home = self.client, SERVER_ADDRESS, self.client_address
        if address != home:
            self.strays.append((data, address))
            return
        conditions, dice = self.conditions, self.dice
        for _ in range(1 + (dice.random() < conditions.duplicate)):
            if dice.random() >= conditions.loss:
                delay = conditions.delay + dice.random() * conditions.spread
                self._at(self.now + delay, lambda: receiver.datagram_came(data, source))

    # The connection.

    def cut(self, *seen_by: Side) -> None:
        """The connection is lost, with all that was on its way; both sides see it, or only some."""
        self._connection += 1
        for side in seen_by or (self.server, self.client):
            side.cut()

    def resume(self) -> None:
        """Another connection: the client shows its token, and the server says yes.

        The client hears of it a frame's delay later, unless that connection is cut as well.
        """
        assert not self.client.connected, "a client that has a connection asks for no other"
        session, received = self.server_session, self.client_session.incoming.received
        self._connection += 1
        self.server.cut()
        self._cid += 1
        terms = accept(
            udp_secret=self.dice.randbytes(32), session_id=session.session_id, cid=self._cid
        )._replace(received=session.incoming.received)
        connection = self._connection
        arrival = max(self._frame_arrival["client"], self.now + self.frame_delay)
        self._frame_arrival["client"] = arrival

        def arrive() -> None:
            if connection == self._connection and self.client.ended is None:
                self.client.connected = True
                self.client.run(lambda: self._client_resumes(terms))

        def reconnect() -> None:
            keys = Keyring(Schedule(terms), terms.cid, is_server=True, now=self.now)
            session.take_keys(terms.cid, keys)
            session.move(str(self.client_address[0]))
            session.reconnected(received, self.now)

        self._at(arrival, arrive)
        self.server.connected, self.server.confirmed = True, False
        self.server.run(reconnect)

    def _client_resumes(self, terms: frames.Accept) -> None:
        """The client reads the server's yes."""
        session = self.client_session
        keys = Keyring(Schedule(terms), terms.cid, is_server=False, now=self.now)
        session.take_keys(terms.cid, keys)
        session.reach(SERVER_ADDRESS, 30.0, self.now)
        session.reconnected(terms.received, self.now)
        session.resumed(self.now)

    def other(self, side: Side) -> Side:
        """The side that *side* talks to."""
        return self.client if side is self.server else self.server

    def _at(self, when: float, call: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, call))

    def advance(self, seconds: float) -> None:
        """Let virtual time pass."""
        until = self.now + seconds
        queue = self._queue
        while True:
            when = queue[0][0] if queue else until + 1.0
            if min(when, self._next_beat) > until:
                break
            if when <= self._next_beat:
                _, _, call = heapq.heappop(queue)
                self.now = max(self.now, when)
                call()
            else:
                self.now = self._next_beat
                self._next_beat += BEAT_SECONDS
                self.server.beat()
                self.client.beat()
        self.now = until

    def bind(self) -> None:
        """Let the UDP path come about."""
        before, self.conditions = self.conditions, PERFECT
        self.advance(0.5)
        self.conditions = before
        assert self.client_session.path.bound, "the path was not bound"

    # What the games say.

    def send(self, side: Side, payload: bytes, channel: int = 0, *, message: bool = False) -> None:
        """A reliable message."""
        frame = frames.encode_data(message, channel, payload)
        side.session.seat.submit(len(frame))
        side.run(lambda: side.session.queue_frame(frame))

    def say(self, text: str) -> None:
        """Chat of the client."""
        self.client.run(lambda: self.client_session.queue_frame(frames.encode_say(text)))

    def said(self, text: str, author: Player = ADA, *, private: bool = False) -> None:
        """Chat of the server."""
        frame = frames.encode_said(author.id, author.name, text, private=private)
        self.server.run(lambda: self.server_session.queue_frame(frame))

    def send_unreliable(self, side: Side, payload: bytes, *, message: bool = False) -> None:
        """An unreliable message."""
        flag = IS_MESSAGE if message else 0
        side.run(lambda: side.session.queue_unreliable([(MessageType.UNRELIABLE | flag, payload)]))

    def send_input(self, buttons: int) -> int:
        """The client's input of one tick."""
        self._input_number += 1
        number = self._input_number
        self.client.run(lambda: self.client_session.queue_input(number, buttons, self.now))
        return number

    def send_state(self, payload: bytes, taken: int = 0, *, flag: int = 0) -> int:
        """A state for the client."""
        self._state_number += 1
        number, ms, tick = self._state_number, int(self.now * 1000), int(self.now * TICK_RATE)
        self.server.run(
            lambda: self.server_session.put_state((number, payload, flag, tick, ms, taken))
        )
        return number

    # Keys.

    def rekey(self) -> bool:
        """Have the server's keys be old enough for new ones.

        :returns: False where new ones are not to be had yet, because a change is under way.
        """
        session = self.server_session
        keys, began = session.keys, self.server.counters.rekeys
        since, keys._since = keys._since, -math.inf
        self.server.run(lambda: session._rekey_if_due(self.now))
        if self.server.counters.rekeys == began:
            keys._since = since
            return False
        return True

    # Hostility.

    def sealed(self, side: Side, kind: int, body: bytes) -> bytes:
        """A datagram that *side* could have sent, whatever it holds."""
        return side.session.sealer.seal(kind, body)

    def body(self, side: Side, *messages: tuple[int, bytes]) -> bytes:
        """A DATA body of *side* with these messages and true acks."""
        acks = ACKS.pack(*side.session.window.acks())
        return acks + (pack_messages(list(messages)) or [b""])[0]

    def deliver(self, sender: Side, *messages: tuple[int, bytes]) -> None:
        """Hand the other side a DATA datagram with these messages, at once."""
        data = self.sealed(sender, DatagramKind.DATA, self.body(sender, *messages))
        source = CLIENT_ADDRESS if sender is self.client else SERVER_ADDRESS
        self.inject(self.other(sender), data, source)

    def inject(self, receiver: Side, data: bytes, address: Address = STRANGER) -> None:
        """A datagram out of nowhere."""
        receiver.datagram_came(data, address)

    def kinds_sent(self, side: Side) -> list[DatagramKind]:
        """The kinds of all datagrams that *side* has sent."""
        return [DatagramKind(data[0] & 0x0F) for sender, data, _ in self.wire if sender is side]

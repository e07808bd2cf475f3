"""What a server's game can say, and who is there to hear it.

Layer 3. Runs on: any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from gamenet.core import frames
from gamenet.core.budget import check_budget
from gamenet.core.text import checked_chat, name_key
from gamenet.errors import DisconnectReason, LocalProtocolError, QueueFull, UnknownPlayer
from gamenet.events import NO_QUALITY, SERVER, Event, Input, Joined, Left, Player, Quality
from gamenet.verbs import LOOSE, STATE, UNRELIABLE, check_open, data_frame, encoded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from gamenet.core.seat import Seat
    from gamenet.messages import Payload
    from gamenet.server_host import ServerHost
    from gamenet.verbs import Outbox

_LOOSE_LIMIT: Final = UNRELIABLE.limit
CUT_FACTOR: Final = 2
"""A queue this many times over its cap cuts the player at once."""


class ServerVerbs:
    """The verbs of a server, and the players as of the events taken so far."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._out: Outbox | None = None
        self._host: ServerHost | None = None
        self._players: dict[int, Player] = {}
        self._snapshot: tuple[Player, ...] = ()
        self._seats: dict[int, Seat] = {}
        self._taken = {"inputs_taken": 0, "inputs_missing": 0, "verbs_for_gone": 0}

    def _connect(self, host: ServerHost, outbox: Outbox) -> None:
        """Point the verbs at a host."""
        self._host = host
        self._out = outbox

    def _live(self) -> tuple[ServerHost, Outbox]:
        if self._host is None or self._out is None:
            raise LocalProtocolError("the server is not running; start() it, or use a with block")
        return self._host, self._out

    def _open(self) -> tuple[ServerHost, Outbox]:
        """As ``_live``, for what is to leave.

        :raises BridgeClosed: once ``stop`` has returned.
        """
        host, out = self._live()
        check_open(out)
        return host, out

    # Who is here.

    def observe(self, event: Event) -> None:
        """Note what an event changes; called with each event as it is taken, in order."""
        kind = type(event)
        if kind is Input:
            seat = self._seats.get(event.player.id)
            if seat is not None:
                seat.input_number = event.number  # type: ignore[union-attr]
                if event.seen >= seat.probe:  # type: ignore[union-attr]
                    seat.probe_answered(self._live()[0].now())
            self._taken["inputs_taken"] += 1
            self._taken["inputs_missing"] += event.missing  # type: ignore[union-attr]
        elif kind is Joined:
            player = event.player
            host, _ = self._live()
            seat = host.seats.get(player.id)
            if seat is not None:
                self._seats[player.id] = seat
            self._players[player.id] = player
            self._snapshot = tuple(self._players.values())
        elif kind is Left:
            self._players.pop(event.player.id, None)
            self._seats.pop(event.player.id, None)
            self._snapshot = tuple(self._players.values())

    @property
    def players(self) -> Collection[Player]:
        """Everybody who is in; changes only when events are taken."""
        return self._snapshot

    def find(self, name_or_id: str | int) -> Player | None:
        """The player of that id, or of that name without regard to case."""
        if isinstance(name_or_id, int):
            return self._players.get(name_or_id)
        key = name_key(name_or_id)
        return next((player for player in self._snapshot if name_key(player.name) == key), None)

    def _seat(self, player: Player) -> Seat | None:
        """The seat of a player who is in; None for one who has left.

        :raises UnknownPlayer: for anything that this server never issued.
        """
        host, _ = self._open()
        check_ours(host, player)
        seat = host.seats.get(player.id)
        if seat is None:
            self._taken["verbs_for_gone"] += 1
        return seat

    # Reliable.

    def send(self, player: Player, payload: Payload, channel: int = 0) -> None:
        """Send a message that arrives, in order; the channel, 0 to 255, is a label.

        :raises MessageTooLarge: beyond 64 KiB.
        :raises UnknownPlayer: for an object that this server never issued.
        :raises QueueFull: with ``on_full="raise"``, when the player does not keep up.
        """
        host, _ = self._live()
        frame = data_frame(host, payload, channel)
        seat = self._seat(player)
        if seat is not None:
            self._submit((seat,), frame)

    def broadcast(
        self,
        payload: Payload,
        channel: int = 0,
        *,
        to: Iterable[Player] | None = None,
        exclude: Collection[Player] = (),
        reliable: bool = True,
    ) -> None:
        """Send one message to everybody, or to those of *to*; it is encoded once.

        :raises MessageTooLarge: beyond 64 KiB, or one datagram when not *reliable*.
        """
        host, out = self._open()
        if reliable:
            frame = data_frame(host, payload, channel)
            self._submit(self._audience(to, exclude), frame)
        else:
            flag, data = encoded(host, payload, UNRELIABLE)
            ids = tuple(seat.player.id for seat in self._audience(to, exclude))
            if ids:
                out.put_unreliable(ids, (LOOSE | flag, data))

    def _audience(
        self, to: Iterable[Player] | None, exclude: Collection[Player] = ()
    ) -> Collection[Seat]:
        """The seats of those who are meant and still in."""
        host, _ = self._open()
        chosen: Iterable[Player] = self._snapshot if to is None else tuple(to)
        if exclude:
            chosen = [player for player in chosen if player not in exclude]
        seat_of, home = host.seats.get, host.home
        seats = []
        # As ``_seat``, which is a call for each.
        for player in chosen:
            if getattr(player, "home", None) is not home:
                check_ours(host, player)
            seat = seat_of(player.id)
            if seat is None:
                self._taken["verbs_for_gone"] += 1
            else:
                seats.append(seat)
        return seats

    def _submit(self, seats: Collection[Seat], frame: bytes) -> None:
        """Queue one frame for each of *seats*, within their caps."""
        host, out = self._live()
        size = len(frame)
        raises = host.config.on_full == "raise"
        ids = []
        with self._lock:
            if raises:
                for seat in seats:
                    if not seat.has_room(size):
                        seat.wants_room = True
                        raise QueueFull(
                            f"{seat.player.name} has {seat.queued_messages} messages waiting; "
                            "wait for Writable"
                        )
            for seat in seats:
                if seat.cut:
                    continue
                if not seat.has_room(size):
                    if not seat.has_room(size, CUT_FACTOR):
                        seat.cut = True
                        out.submit(host.cut_slow, seat.player.id)
                        continue
                    seat.wants_room = True
                seat.submit(size)
                ids.append(seat.player.id)
        if ids:
            out.submit(host.queue_frame, ids, frame)

    def say(
        self,
        text: str,
        to: Player | Iterable[Player] | None = None,
        author: Player | None = None,
    ) -> None:
        """Show a line of chat to everybody, to one player (private) or to some.

        :param author: the player it is from; None for the server itself.
        :raises ValueError: if nothing readable is left of it, or beyond 500 characters.
        """
        self._open()
        line = checked_chat(text)
        writer = author or SERVER
        private = isinstance(to, Player)
        chosen = (to,) if isinstance(to, Player) else to
        frame = frames.encode_said(writer.id, writer.name, line, private=private)
        self._submit(self._audience(chosen), frame)

    # Low latency.

    def send_state(self, player: Player, payload: Payload) -> int:
        """Give a player the newest view of the world; one not yet sent is replaced.

        What changed since a state that the player is known to hold is all that is sent of it, where
        that is less; one that does not fit a datagram goes in several and is lost with any of them.

        :returns: its number, or 0 if the player has just left.
        :raises MessageTooLarge: beyond 16 KiB.
        """
        seat = self._seats.get(getattr(player, "id", 0))
        if type(payload) is bytes and len(payload) <= STATE.limit and seat is not None:
            flag, data = 0, payload
        else:
            flag, data = encoded(self._live()[0], payload, STATE)
        if seat is None or seat.player is not player:
            # Not among the players that events told of: gone, or not yet taken, or nobody's.
            seat = self._seat(player)
            if seat is None:
                return 0
        number = seat.state_number = seat.state_number + 1
        if seat.probe > number:
            seat.probe_began, seat.probe = self._live()[0].now(), number
        tick, server_ms = self._stamp()
        assert self._out is not None
        self._out.put_state(player.id, (number, data, flag, tick, server_ms, seat.input_number))
        return number

    def send_unreliable(self, player: Player, payload: Payload) -> None:
        """Send a message that may be lost or overtaken.

        :raises MessageTooLarge: beyond one datagram.
        """
        seat = self._seats.get(getattr(player, "id", 0))
        if type(payload) is bytes and len(payload) <= _LOOSE_LIMIT and seat is not None:
            kind, data = LOOSE, payload
        else:
            flag, data = encoded(self._live()[0], payload, UNRELIABLE)
            kind = LOOSE | flag
        if seat is None or seat.player is not player:
            seat = self._seat(player)
            if seat is None:
                return
        assert self._out is not None
        self._out.put_unreliable((player.id,), (kind, data))

    def set_budget(self, player: Player, bytes_per_second: int) -> None:
        """Send a player at most so many bytes in any second, reliable messages apart.

        It holds for as long as the player is in; until then ``send_bytes_per_second`` holds.

        :raises ValueError: below 4,096, or beyond 2 ** 40.
        :raises UnknownPlayer: for an object that this server never issued.
        """
        host, out = self._live()
        check_budget(bytes_per_second)
        if self._seat(player) is not None:
            out.submit(host.set_budget, player.id, bytes_per_second)

    # The rest.

    def disconnect(self, player: Player, text: str = "", *, ban_seconds: float = 0.0) -> None:
        """Remove a player, who reads *text*; with a ban, account and address stay out so long.

        A ban holds for one who has just left, too.

        :raises UnknownPlayer: for an object that this server never issued.
        :raises ValueError: for a time that is none.
        """
        host, out = self._live()
        if not 0 <= ban_seconds < float("inf"):
            raise ValueError(f"ban_seconds must be a number of seconds, not {ban_seconds!r}")
        if self._seat(player) is not None or ban_seconds:
            out.submit(host.kick, player.id, DisconnectReason.KICKED, text, ban_seconds)

    def quality(self, player: Player) -> Quality:
        """How the path to a player is doing; all zeros and "unknown" for one who has left, as all
        have once the server is stopped.

        :raises UnknownPlayer: for an object that this server never issued.
        """
        host, _ = self._live()
        check_ours(host, player)
        return host.quality(player.id) or NO_QUALITY

    def time(self) -> float:
        """The server's game clock in seconds; states carry it. It runs from when the game first
        asked for events, ticks or the time."""
        host, _ = self._live()
        zero = host.begin_clock()  # before the time is read: it may begin now
        return host.now() - zero

    def _stamp(self) -> tuple[int, int]:
        """The tick and the milliseconds of the game clock that states are stamped with."""
        host, _ = self._live()
        now = self.time()
        return int(now * host.config.tick_rate), int(now * 1000)

    def stats(self) -> dict[str, float]:
        """All counters by name, for graphs and tests."""
        host, _ = self._live()
        return {
            **host.counters.snapshot(),
            **self._taken,
            "players": len(self._snapshot),
            "suspended": host.suspended,
            "stalled": int(host.is_stalled),
        }


def check_ours(host: ServerHost, player: Player) -> None:
    """Refuse what no event of this server's told of.

    :raises UnknownPlayer: then.
    """
    if getattr(player, "home", None) is not host.home:
        raise UnknownPlayer(f"{player!r} is not a player of this server")

"""What one player knows of the field: the model of the game, which draws nothing.

Layer 4. Runs on: the game thread, which is the one that draws; times come in. No pygame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.core.text import clean
from gamenet.demo import names
from gamenet.demo.field import TILES_HIGH, TILES_WIDE, UNITS_PER_TILE
from gamenet.demo.game import decode_state
from gamenet.events import (
    Chat,
    Connected,
    Disconnected,
    PathChanged,
    Received,
    Resumed,
    Suspended,
    Unreliable,
)
from gamenet.play.endings import Over, in_words
from gamenet.play.heroes import OtherHeroes, OwnHero
from gamenet.play.sight import Sight
from gamenet.play.talk import Talk

if TYPE_CHECKING:
    from gamenet.client_facade import GameClient
    from gamenet.demo.game import View
    from gamenet.events import Event, Tick
    from gamenet.messages import Payload
    from gamenet.play.heroes import Pose

JOIN_SECONDS: Final = 15.0
"""How long a join may take in all."""
SILENT_SECONDS: Final = 1.0
"""Without a state for so long, the hero stands: so it does on the server, which hears no inputs."""
MOST_NAMES: Final = 4_096
"""Of other players that are kept; a server with more is not one of this game."""


class Acquaintance(NamedTuple):
    """A line of the list of players."""

    id: int
    name: str
    own: bool
    in_view: bool
    away: bool


class World:
    """One stay on a server, from the attempt to join to the end.

    :param client: started, and of this world alone.
    :param now: seconds on the clock of the game thread, here and everywhere below.
    """

    def __init__(self, client: GameClient, now: float) -> None:
        self._client = client
        self._began = now
        self.talk = Talk()
        self.over: Over | None = None
        """How it has ended; None while it has not."""
        self.away_since: float | None = None
        """When the connection was lost; None while there is one."""
        self.path = "tcp"
        """What low-latency traffic takes: "udp" or "tcp"."""
        self.unreadable = 0
        """States and messages that no server of this game would send; they were dropped."""
        self.own: OwnHero | None = None
        """One's own hero, as soon as a state has told of it."""
        self.others = OtherHeroes()
        self._who: dict[int, names.Who] = {}
        self._is_in = False
        self._state_at = now
        self._ticked_at = now
        self._dt = 1 / 30
        self._centre = TILES_WIDE / 2, TILES_HIGH / 2
        self._sights: list[Sight] = []

    # What happens.

    def frame(self, now: float, buttons: int) -> None:
        """Take what has come, and send the inputs of the ticks that are due. Call it each frame.

        :param buttons: those that are held now, of :mod:`gamenet.demo.field`.
        """
        if self.over is not None:
            return
        if self._client.joined:
            self._take_state(now)
        for tick in self._client.ticks(wait=False):
            for event in tick.events:
                self._happened(event, now)
            if self._client.joined:
                self._take_state(now)
                self._steer(tick, now, buttons)
                self.talk.send(self._client)
        if self.joining and now - self._began > JOIN_SECONDS:
            text = f"The server did not answer in {JOIN_SECONDS:g} seconds."
            self.over = Over(text, was_in=False, orderly=False)
        self.talk.forget_old(now)
        self._look(now)

    def say(self, text: str) -> bool:
        """Say a line; while the connection is lost it is kept until it is back.

        :returns: False if there is nothing in it to say, or too much waits already.
        """
        return self.talk.say(text)

    def _happened(self, event: Event, now: float) -> None:
        match event:
            case Connected():
                self._is_in = True
                self._state_at = now
                self._client.send(names.ASK)
            case Chat(player):
                self.talk.heard(event, now, own=player.id == self._client.player.id)
            case Received(_, payload):
                self._told(payload)
            case Unreliable():
                self.unreadable += 1
            case PathChanged(_, path, reason):
                self._path_changed(path, reason, now)
            case Suspended():
                self.away_since = now
            case Resumed(_, away_seconds):
                self.away_since = None
                self.talk.note(f"connected again after {away_seconds:.1f} seconds", now)
            case Disconnected():
                self.over = Over(
                    in_words(event),
                    self._is_in,
                    event.reason.orderly,
                    event.refusal,
                    len(self.talk.waiting),
                )

    def _path_changed(self, path: str, reason: str, now: float) -> None:
        self.path = path
        if path == "tcp":
            why = "is blocked" if reason == "blocked" else "does not pass just now"
            self.talk.note(f"UDP {why}: playing on over TCP, which may be less smooth", now)
        elif reason == "back":
            self.talk.note("UDP passes again", now)

    def _told(self, payload: Payload) -> None:
        """Who is who."""
        try:
            said = names.read(payload)
        except ValueError:
            self.unreadable += 1
            return
        if isinstance(said, names.Gone):
            self._who.pop(said.id, None)
        elif said.id in self._who or len(self._who) < MOST_NAMES:
            self._who[said.id] = said
        else:
            self.unreadable += 1

    def _take_state(self, now: float) -> None:
        state = self._client.take_state()
        if state is None:
            return
        view = _view_of(state.payload)
        if view is None or view.own.id != self._client.player.id:
            self.unreadable += 1
            return
        self._state_at = now
        if self.own is None:
            self.own = OwnHero(view.own)
        self.own.reconcile(view.own, state.input_number)
        self.others.push(state.server_time, view.others, now)

    def _steer(self, tick: Tick, now: float, buttons: int) -> None:
        self._ticked_at = now - tick.late_seconds
        self._dt = tick.dt
        if self.own is None:
            return
        if now - self._state_at > SILENT_SECONDS:
            buttons = 0
        try:
            number = self._client.send_input(buttons)
        except ValueError:  # a server with fewer buttons than this game
            self.unreadable += 1
            return
        self.own.steer(number, buttons)

    # What is to be seen.

    @property
    def joining(self) -> bool:
        """Whether the server has not let the player in yet, nor refused to."""
        return not self._is_in and self.over is None

    @property
    def suspended(self) -> bool:
        """Whether the connection is lost, and being tried for."""
        return self.away_since is not None and self.over is None

    def silence(self, now: float) -> float:
        """How long nothing has been seen of the field that comes many times a second, in seconds;
        0.0 before there was anything to see, and once it is over."""
        return 0.0 if self.own is None or self.over is not None else now - self._state_at

    @property
    def blind(self) -> bool:
        """Whether the player is in, and nothing has been seen of the field so far."""
        return self._is_in and self.own is None

    @property
    def name(self) -> str:
        """One's own name; "" before the join."""
        return clean(self._client.player.name)

    @property
    def centre(self) -> tuple[float, float]:
        """What the camera looks at, in tiles."""
        return self._centre

    def sights(self) -> list[Sight]:
        """Whom to draw, and where, as of the last frame; one's own hero first."""
        return self._sights

    def players(self) -> list[Acquaintance]:
        """Oneself, and all who were met and have not left, by name."""
        own_id = self._client.player.id
        seen = {sight.hero_id for sight in self._sights}
        met = [
            Acquaintance(who.id, who.name, False, who.id in seen, who.away)
            for who in self._who.values()
            if who.id != own_id
        ]
        met.sort(key=lambda other: (other.name.casefold(), other.id))
        me = Acquaintance(own_id, self.name, True, self.own is not None, self.suspended)
        return [me, *met] if self._is_in else []

    def _look(self, now: float) -> None:
        if self.own is None:
            return
        share = (now - self._ticked_at) / self._dt
        own = self.own.shown(now, min(1.0, max(0.0, share)))
        own_id = self._client.player.id
        self._centre = own.x / UNITS_PER_TILE, own.y / UNITS_PER_TILE
        mine = self._sight(own_id, own, now)
        self._sights = [mine._replace(own=True, name=self.name, away=self.suspended)]
        self._sights += [
            self._sight(hero_id, pose, now)
            for hero_id, pose in self.others.shown(now)
            if hero_id != own_id
        ]

    def _sight(self, hero_id: int, pose: Pose, now: float) -> Sight:
        who = self._who.get(hero_id)
        return Sight(
            hero_id,
            "" if who is None else who.name,
            pose.x / UNITS_PER_TILE,
            pose.y / UNITS_PER_TILE,
            pose.facing,
            pose.walking,
            own=False,
            bubble=self.talk.bubble(hero_id, now),
            away=who is not None and who.away,
        )


def _view_of(payload: Payload) -> View | None:
    """What a state shows; None if it is none of this game."""
    if not isinstance(payload, bytes):
        return None
    try:
        return decode_state(payload)
    except ValueError:
        return None

"""The server of the demo: it alone moves the heroes, and tells each player what is near.

Layer 4. Runs on: the game thread; the encoding and decoding of states on any.

A player's state is the heroes within view, the player's own first. What ``decode_state`` reads is
checked against the map, so a client sees at once if a server ever let a hero into a wall.

::

    state   4s "GND1" | u8 heroes 1..64 | the heroes, one's own first
    hero    u32 id | u16 x | u16 y | u8 pose (bits 0-1 facing, bit 2 walking, the others zero)

Numbers are in network byte order, positions in units of 1/256 tile.

Numbered reliable messages (:mod:`gamenet.demo.ledger`) go back to their sender as they came, so
that bots can tell what became of each. Who asks (:mod:`gamenet.demo.names`) is told the names of
the heroes in view.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import gamenet
from gamenet.demo.field import (
    MAX_IN_VIEW,
    ROWS,
    TILES_HIGH,
    TILES_WIDE,
    UNITS_PER_TILE,
    Field,
    Hero,
    fits,
)
from gamenet.demo.ledger import MAGIC as NUMBERED
from gamenet.demo.names import Names

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAGIC: Final = b"GND1"
"""How every state of this game begins."""
GAME_NAME: Final = "gamenet-demo/1"
TICK_RATE: Final = 30
APART: Final = "apart"
TOGETHER: Final = "together"

_HEADER: Final = struct.Struct("!4sB")
_HERO: Final = struct.Struct("!IHHB")
_FACING: Final = 0b011
_WALKING: Final = 0b100


class SeenHero(NamedTuple):
    """A hero as a state tells of it."""

    id: int
    """The id of its player."""
    x: int
    """Units of 1/256 tile from the left edge of the map."""
    y: int
    """The same from the upper edge."""
    facing: int
    """``FACING_UP``, ``_DOWN``, ``_LEFT`` or ``_RIGHT`` of :mod:`gamenet.demo.field`."""
    walking: bool


class View(NamedTuple):
    """What one player sees."""

    own: SeenHero
    others: tuple[SeenHero, ...]


@gamenet.game(game_name=GAME_NAME, tick_rate=TICK_RATE)
def main(server: gamenet.GameServer) -> None:
    """Run the field until the server stops.

    The option ``start``, of the ``[game]`` table, says where heroes begin: ``"apart"``, all over
    the map, or ``"together"``, beside the one who came last, as friends who look for each other
    would like.

    :raises ConfigError: for another ``start``.
    """
    start = server.options.get("start", APART)
    if start not in (APART, TOGETHER):
        raise gamenet.ConfigError("start", f'write "{APART}" or "{TOGETHER}", not {start!r}')
    field = Field()
    views: dict[int, Order] = {}
    names = Names(server)
    server.show(lambda: map_of(field, server.players))
    for tick in server.ticks():
        for event in tick.events:
            match event:
                case gamenet.Joined(player):
                    last = next(reversed(field.heroes), 0) if start == TOGETHER else 0
                    field.add(player.id, field.place_beside(last) if last else None)
                case gamenet.Left(player):
                    field.remove(player.id)
                    views.pop(player.id, None)
                    names.left(player)
                case gamenet.Suspended(player):
                    names.suspended(player)
                case gamenet.Resumed(player):
                    names.resumed(player)
                case gamenet.Input(player, _, buttons):
                    field.steer(player.id, buttons)
                case gamenet.Chat(player, text):
                    server.say(text, author=player)
                case gamenet.Received(player, payload):
                    if isinstance(payload, bytes) and payload.startswith(NUMBERED):
                        server.send(player, payload)
                    else:
                        names.heard(player, payload)
        field.step()
        packed = {hero_id: pack_hero(hero) for hero_id, hero in field.heroes.items()}
        for player in server.players:
            view = views.setdefault(player.id, Order())
            seen = view.arrange([hero.id for hero in field.near(player.id)])
            server.send_state(player, join_state([packed[hero_id] for hero_id in seen]))
            names.seen(player, seen)


def map_of(field: Field, players: Iterable[gamenet.Player]) -> dict[str, Any]:
    """What the status page draws: the map, and who is where in it, in tiles."""
    heroes = field.heroes
    return {
        "kind": "map",
        "width": TILES_WIDE,
        "height": TILES_HIGH,
        "walls": ROWS,
        "heroes": [
            {
                "id": player.id,
                "name": player.name,
                "x": round(heroes[player.id].x / UNITS_PER_TILE, 2),
                "y": round(heroes[player.id].y / UNITS_PER_TILE, 2),
            }
            for player in players
            if player.id in heroes
        ],
    }


class Order:
    """The places of the heroes in one player's states.

    Whoever stays in view keeps its place, so that a state differs from earlier ones only by what
    moved, and little of it has to be sent.
    """

    def __init__(self) -> None:
        self._places: list[int] = []

    def arrange(self, seen: Sequence[int]) -> list[int]:
        """The ids of *seen* in their places; the first one, the player's own, is always first."""
        places = self._places
        there, placed = set(seen), set(places)
        new = [hero_id for hero_id in seen if hero_id not in placed]
        for index in range(len(places) - 1, -1, -1):
            if places[index] not in there:
                if new:
                    places[index] = new.pop(0)
                else:
                    last = places.pop()
                    if index < len(places):
                        places[index] = last
        places += new
        return places


def pack_hero(hero: Hero) -> bytes:
    """The nine bytes of one hero, the same in every state that tells of it."""
    pose = hero.facing | (_WALKING if hero.walking else 0)
    return _HERO.pack(hero.id, hero.x, hero.y, pose)


def join_state(heroes: Sequence[bytes]) -> bytes:
    """A state of packed heroes, the receiver's own first; 581 bytes at most."""
    return _HEADER.pack(MAGIC, len(heroes)) + b"".join(heroes)


def decode_state(data: bytes) -> View:
    """What a player sees, from the bytes that the server sent.

    :raises ValueError: for anything that this game's server would not have sent; nothing else is
        raised whatever the bytes are.
    """
    if len(data) < _HEADER.size:
        raise ValueError(f"a state of {len(data)} bytes is shorter than its header")
    magic, count = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ValueError(f"not a state of {GAME_NAME}: it begins with {magic!r}")
    if not 1 <= count <= MAX_IN_VIEW or len(data) != _HEADER.size + count * _HERO.size:
        raise ValueError(f"{count} heroes do not fill a state of {len(data)} bytes")
    heroes = []
    for hero_id, x, y, pose in _HERO.iter_unpack(data[_HEADER.size :]):
        if not hero_id or pose > _FACING | _WALKING:
            raise ValueError(f"no hero is {hero_id} with pose {pose}")
        if not fits(x, y):
            raise ValueError(f"hero {hero_id} is in a wall or in water at {x}, {y}")
        heroes.append(SeenHero(hero_id, x, y, pose & _FACING, pose >= _WALKING))
    if len({hero.id for hero in heroes}) != count:
        raise ValueError("a hero is in the state twice")
    return View(heroes[0], tuple(heroes[1:]))

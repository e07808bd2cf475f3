"""Who is who: a state has numbers of heroes only, so the names come beside it, reliably.

Layer 4. Runs on: the game thread; reading and writing messages on any.

Only a player who asks is told, so programs that need no names, such as bots, get nothing. Who has
asked hears of each hero once, when it first comes into view, again when its player's connection is
lost or back, and a last time when it has left the game.

::

    ask     4s "GNA1"
    who     4s "GNW1" | u32 id | u8 away: 0 or 1 | 1 to 32 bytes of name
    gone    4s "GNL1" | u32 id

Numbers are in network byte order; a name is what a server of gamenet lets in, which is ASCII.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.core.text import checked_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.events import Player
    from gamenet.messages import Payload
    from gamenet.server_verbs import ServerVerbs

ASK: Final = b"GNA1"
"""What a player sends who wants to hear names."""
_WHO: Final = struct.Struct("!4sIB")
_WHO_MAGIC: Final = b"GNW1"
_GONE: Final = struct.Struct("!4sI")
_GONE_MAGIC: Final = b"GNL1"


class Who(NamedTuple):
    """Whose a hero is."""

    id: int
    name: str
    away: bool
    """Whether its player's connection is lost just now, and the hero stands and waits."""


class Gone(NamedTuple):
    """A hero that will not come back."""

    id: int


def write_who(who: Who) -> bytes:
    """The message that says it."""
    return _WHO.pack(_WHO_MAGIC, who.id, who.away) + who.name.encode("ascii")


def write_gone(hero_id: int) -> bytes:
    """The message that says it."""
    return _GONE.pack(_GONE_MAGIC, hero_id)


def read(payload: Payload) -> Who | Gone:
    """What a message says.

    :raises ValueError: for anything that this game's server would not have sent; nothing else is
        raised whatever the bytes are.
    """
    if not isinstance(payload, bytes):
        raise ValueError("not bytes")
    if payload.startswith(_GONE_MAGIC) and len(payload) == _GONE.size:
        return Gone(_GONE.unpack(payload)[1])
    if not payload.startswith(_WHO_MAGIC) or len(payload) <= _WHO.size:
        raise ValueError("does not say who somebody is")
    _, hero_id, away = _WHO.unpack_from(payload)
    name = payload[_WHO.size :].decode("ascii")  # what it raises is a ValueError
    if not hero_id or away > 1 or checked_name(name) != name:
        raise ValueError(f"no player is {hero_id} called {name!r}, away {away}")
    return Who(hero_id, name, bool(away))


class Names:
    """The server's side: who has asked, and what each of them has been told.

    :param server: what sends.
    """

    def __init__(self, server: ServerVerbs) -> None:
        self._server = server
        self._away: set[int] = set()
        self._told: dict[int, dict[int, bool]] = {}
        """By the id of who asked: the heroes told of, and whether as away."""

    def heard(self, player: Player, payload: Payload) -> None:
        """A player has sent something; what does not ask for names is no matter of these."""
        if payload == ASK:
            self._told.setdefault(player.id, {})

    def suspended(self, player: Player) -> None:
        """A player's connection is lost."""
        self._away.add(player.id)

    def resumed(self, player: Player) -> None:
        """And back."""
        self._away.discard(player.id)

    def left(self, player: Player) -> None:
        """A player is gone: whoever knew the hero hears of it."""
        self._told.pop(player.id, None)
        self._away.discard(player.id)
        for asker_id, told in self._told.items():
            asker = self._server.find(asker_id)
            if told.pop(player.id, None) is not None and asker is not None:
                self._server.send(asker, write_gone(player.id))

    def seen(self, asker: Player, hero_ids: Iterable[int]) -> None:
        """What a player sees now; tells what is new of it, if the player has asked."""
        told = self._told.get(asker.id)
        if told is None:
            return
        for hero_id in hero_ids:
            away = hero_id in self._away
            if told.get(hero_id) is away:
                continue
            player = self._server.find(hero_id)
            if player is not None:
                told[hero_id] = away
                self._server.send(asker, write_who(Who(hero_id, player.name, away)))

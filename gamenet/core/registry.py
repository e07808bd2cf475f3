"""Who is here: sessions by connection id, players by id and name, and who may still come in.

Layer 1. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.core.text import name_key
from gamenet.errors import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from gamenet.core.server_session import ServerSession


class Registry:
    """The sessions of one server.

    :param max_players: joins beyond it are refused as ``FULL``.
    :param random_bytes: source of connection ids.
    """

    __slots__ = ("_last_player", "_names", "_random_bytes", "by_cid", "by_player", "max_players")

    def __init__(self, max_players: int, random_bytes: Callable[[int], bytes]) -> None:
        self.max_players = max_players
        """Joins beyond it are refused as ``FULL``."""
        self._random_bytes = random_bytes
        self._last_player = 0
        self.by_cid: dict[int, ServerSession] = {}
        """Routing table of the datagrams."""
        self.by_player: dict[int, ServerSession] = {}
        self._names: dict[str, ServerSession] = {}

    def __len__(self) -> int:
        return len(self.by_player)

    @property
    def sessions(self) -> Collection[ServerSession]:
        """Every session, confirmed or not."""
        return self.by_player.values()

    def holder(self, name: str) -> ServerSession | None:
        """Who has this name, without regard to case."""
        return self._names.get(name_key(name))

    def admission(self, name: str, *, replacing: bool = False) -> RefusalReason | None:
        """Why nobody can join under *name* now, or None if somebody can.

        Asked before the credentials are checked, and again in the turn that creates the session.

        :param replacing: the newcomer may take over the name, and with it the place.
        """
        holder = self.holder(name)
        if holder is not None:
            return None if replacing else RefusalReason.DUPLICATE
        if len(self.by_player) >= self.max_players:
            return RefusalReason.FULL
        return None

    def new_cid(self) -> int:
        """A connection id that no session has."""
        while True:
            cid = int.from_bytes(self._random_bytes(4), "big")
            if cid not in self.by_cid:
                return cid

    def new_player_id(self) -> int:
        """The next player id; none is ever used twice."""
        self._last_player += 1
        return self._last_player

    def guest_name(self) -> str:
        """A free name for somebody who gave none."""
        number = self._last_player + 1
        while self.holder(f"guest-{number}") is not None:
            number += 1
        return f"guest-{number}"

    def add(self, session: ServerSession) -> None:
        """Let datagrams, verbs and name checks find *session*."""
        self.by_cid[session.cid] = session
        self.by_player[session.player.id] = session
        self._names[name_key(session.player.name)] = session

    def move(self, session: ServerSession, cid: int) -> None:
        """Its datagrams have another connection id from here on."""
        self.by_cid.pop(session.cid, None)
        self.by_cid[cid] = session

    def remove(self, session: ServerSession) -> None:
        """Forget *session*; its name is free at once."""
        self.by_cid.pop(session.cid, None)
        self.by_player.pop(session.player.id, None)
        key = name_key(session.player.name)
        if self._names.get(key) is session:
            del self._names[key]

"""What a server's verbs do once they have come to the reactor thread.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from gamenet.errors import DisconnectReason
from gamenet.host import Host, quality_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from gamenet.bridge import Bridge
    from gamenet.core.registry import Registry
    from gamenet.core.session import Session
    from gamenet.events import Quality


class ServerCommands(Host):
    """Finds the sessions of the players that a verb is for; whoever has just left is counted."""

    registry: Registry

    @abstractmethod
    def end_session(
        self, session: Session | None, reason: DisconnectReason, text: str = ""
    ) -> None:
        """End a player's session, with or without a connection."""

    @abstractmethod
    def ban(self, player_id: int, seconds: float) -> None:
        """Keep the account and the address of a player out for a while."""

    def fetch(self, bridge: Bridge) -> None:
        states = bridge.states
        sessions = self.registry.by_player
        # Until empty, so that one that was put here meanwhile is not left behind; but not for ever.
        for _ in range(2 * len(sessions) + len(states)):
            if not states:
                return
            player_id, fields = states.popitem()
            session = sessions.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += 1
            else:
                session.put_state(fields)

    def queue_state(self, player_id: int, fields: tuple[Any, ...]) -> None:
        """Make this a player's newest state."""
        session = self.registry.by_player.get(player_id)
        if session is None:
            self.counters.drop_verb_gone += 1
        else:
            session.put_state(fields)

    def queue_frame(self, player_ids: Collection[int], frame: bytes) -> None:
        """Queue one DATA or SAY frame for each of these players."""
        sessions = self.registry.by_player
        for player_id in player_ids:
            session = sessions.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += 1
            else:
                session.queue_frame(frame)

    def queue_unreliable(
        self, player_ids: tuple[int, ...], messages: list[tuple[int, bytes]]
    ) -> None:
        for player_id in player_ids:
            session = self.registry.by_player.get(player_id)
            if session is None:
                self.counters.drop_verb_gone += len(messages)
            else:
                session.queue_unreliable(messages)

    def set_budget(self, player_id: int, bytes_per_second: int) -> None:
        """Send a player no more than that in any second."""
        session = self.registry.by_player.get(player_id)
        if session is None:
            self.counters.drop_verb_gone += 1
        else:
            session.budget.limit(bytes_per_second, self.time)

    def kick(self, player_id: int, reason: DisconnectReason, text: str, ban_seconds: float) -> None:
        """End a player's session, and keep account and address out for a while."""
        if ban_seconds > 0:
            # Also for one who has just left: a ban must not be a matter of being quick.
            self.ban(player_id, ban_seconds)
        session = self.registry.by_player.get(player_id)
        if session is None:
            self.counters.drop_verb_gone += 1
        else:
            self.end_session(session, reason, text)

    def cut_slow(self, player_id: int) -> None:
        """End the session of a player whose queue is far over its cap."""
        self.end_session(self.registry.by_player.get(player_id), DisconnectReason.SLOW_CONSUMER)

    def quality(self, player_id: int) -> Quality | None:
        """The path to a player; from any thread."""
        session = self.registry.by_player.get(player_id)
        return None if session is None else quality_of(session, self.now())

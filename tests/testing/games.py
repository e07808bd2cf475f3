"""Games for simulated servers."""

from __future__ import annotations

from typing import Any

import gamenet
from gamenet.events import Chat, Disconnected, Event, Input, Joined, Left, Received


class Walk(gamenet.Game):
    """Heroes who take one step for each tick that they hold a button."""

    tick_rate = 30.0

    def on_start(self) -> None:
        self.places: dict[gamenet.Player, int] = {}
        self.ticks: list[int] = []
        self.stops = 0
        self.said: list[str] = []

    def on_join(self, player: gamenet.Player) -> None:
        self.places[player] = 0

    def on_leave(self, player: gamenet.Player, reason: gamenet.DisconnectReason) -> None:
        del self.places[player]

    def on_input(self, player: gamenet.Player, number: int, buttons: int) -> None:
        self.places[player] += buttons

    def on_chat(self, player: gamenet.Player, text: str) -> None:
        self.said.append(text)
        self.server.say(text.upper(), author=player)

    def on_message(self, player: gamenet.Player, payload: Any, channel: int) -> None:
        self.server.send(player, payload, channel)

    def on_tick(self, tick: gamenet.Tick) -> None:
        self.ticks.append(tick.number)
        for player in self.server.players:
            self.server.send_state(player, b"%d" % self.places[player])

    def on_stop(self) -> None:
        self.stops += 1


@gamenet.game(tick_rate=30.0)
def walk(server: gamenet.GameServer) -> None:
    """The same as a function."""
    places: dict[gamenet.Player, int] = {}
    for tick in server.ticks():
        for event in tick.events:
            match event:
                case Joined(player):
                    places[player] = 0
                case Left(player):
                    del places[player]
                case Input(player, _, buttons):
                    places[player] += buttons
                case Chat(player, text):
                    server.say(text.upper(), author=player)
                case Received(player, payload, channel):
                    server.send(player, payload, channel)
        for player in server.players:
            server.send_state(player, b"%d" % places[player])


def last(events: list[Event]) -> Disconnected:
    """How it ended, as the last of *events* says."""
    assert isinstance(events[-1], Disconnected), events
    return events[-1]

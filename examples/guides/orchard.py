# orchard.py: players walk about and pick apples
from typing import Annotated

import gamenet
from gamenet.snapshot import Rows, Scaled, Snapshot, Whole

WIDE, HIGH = 32.0, 18.0  # metres
STEP = 0.2  # metres in a tick; at 30 ticks a second 6 metres a second
REACH = 1.0  # how far an arm is
LEFT, RIGHT, UP, DOWN, PICK = 1, 2, 4, 8, 16  # one bit for each button

# What a player may be told. Both sides declare the same.

X = Annotated[float, Scaled(0.0, WIDE, bits=16)]
Y = Annotated[float, Scaled(0.0, HIGH, bits=16)]


class Seen(Snapshot, frozen=True):
    id: Annotated[int, Whole(32)]
    x: X
    y: Y


class View(Snapshot, frozen=True):
    heroes: Annotated[list[Seen], Rows(64)]
    apples: Annotated[list[Seen], Rows(64)]


class Picked(gamenet.Message):
    name: str
    apples: int


class Point(gamenet.Message):
    x: gamenet.messages.Fraction  # of the width, 0 to 1
    y: gamenet.messages.Fraction
    name: str = ""  # filled in by the server


MESSAGES = (Picked, Point)


def step(place, buttons):
    """Where a hero is one tick later. The server and the player's screen both use it."""
    x = place[0] + STEP * (bool(buttons & RIGHT) - bool(buttons & LEFT))
    y = place[1] + STEP * (bool(buttons & DOWN) - bool(buttons & UP))
    return min(max(x, 0.0), WIDE), min(max(y, 0.0), HIGH)


class Hero:
    def __init__(self):
        self.place = (WIDE / 2, HIGH / 2)
        self.buttons = 0
        self.apples = 0


class Orchard(gamenet.Game):
    game_name = "orchard/1"
    tick_rate = 30
    messages = MESSAGES

    def on_start(self):
        self.heroes = {}  # player -> Hero
        self.apples = {number: (1.0 + 3 * number, 4.0 + number) for number in range(1, 9)}

    def on_join(self, player):
        self.heroes[player] = Hero()

    def on_leave(self, player, reason):
        del self.heroes[player]

    # Inputs: what a player wants.
    def on_input(self, player, number, buttons):
        hero = self.heroes[player]
        pressed = buttons & ~hero.buttons  # down now, and up in the input before
        hero.buttons = buttons
        if pressed & PICK:
            self.pick(player, hero)

    # Reliable: what has happened, for everybody, once.
    def pick(self, player, hero):
        for number, (x, y) in self.apples.items():
            if abs(x - hero.place[0]) <= REACH and abs(y - hero.place[1]) <= REACH:
                del self.apples[number]
                hero.apples += 1
                self.server.broadcast(Picked(player.name, hero.apples))
                return

    # Unreliable: look there! The next one comes in a moment.
    def on_message(self, player, payload, channel):
        if isinstance(payload, Point):
            point = Point(payload.x, payload.y, player.name)
            self.server.broadcast(point, exclude=[player], reliable=False)

    # States: what is so now, thirty times a second.
    def on_tick(self, tick):
        for hero in self.heroes.values():
            hero.place = step(hero.place, hero.buttons)
        view = self.view().encode()
        for player in self.server.players:
            self.server.send_state(player, view)

    def view(self):
        return View(
            [Seen(player.id, *hero.place) for player, hero in self.heroes.items()],
            [Seen(number, x, y) for number, (x, y) in self.apples.items()],
        )

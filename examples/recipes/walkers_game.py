"""The game of the recipe: whoever stands on a coin first has it."""

from random import Random
from typing import Annotated

import gamenet
from gamenet.snapshot import Rows, Whole

MAP = """\
############
#..........#
#..#....#..#
#..........#
#....##....#
#..........#
#..#....#..#
#..........#
############
"""
FIELD = MAP.split()
GROUND = [(x, y) for y, row in enumerate(FIELD) for x, tile in enumerate(row) if tile == "."]
STEPS = {1: (0, -1), 2: (0, 1), 4: (-1, 0), 8: (1, 0)}  # by button
COINS = 3


class Walker(gamenet.Snapshot, frozen=True):
    id: Annotated[int, Whole(32)]
    x: Annotated[int, Whole(8)]
    y: Annotated[int, Whole(8)]


class Coin(gamenet.Snapshot, frozen=True):
    x: Annotated[int, Whole(8)]
    y: Annotated[int, Whole(8)]


class View(gamenet.Snapshot, frozen=True):
    walkers: Annotated[list[Walker], Rows(256)]
    coins: Annotated[list[Coin], Rows(COINS)]


class Walkers(gamenet.Game):
    game_name = "walkers/1"
    tick_rate = 10.0
    input_bits = 4

    def __init__(self, seed=None):
        self.random = Random(seed)  # all chance of the game; a real server gives no seed
        self.places = {}  # player: (x, y)
        self.gathered = {}  # name: coins
        self.coins = [self.random.choice(GROUND) for _ in range(COINS)]

    def on_join(self, player):
        self.places[player] = self.random.choice(GROUND)
        self.gathered[player.name] = 0

    def on_leave(self, player, reason):
        del self.places[player], self.gathered[player.name]

    def on_input(self, player, number, buttons):
        x, y = self.places[player]
        right, down = STEPS.get(buttons, (0, 0))
        if FIELD[y + down][x + right] == ".":
            self.places[player] = x, y = x + right, y + down
        for number, coin in enumerate(self.coins):
            if coin == (x, y):
                self.gathered[player.name] += 1
                self.coins[number] = self.random.choice(GROUND)

    def on_tick(self, tick):
        walkers = [Walker(player.id, x, y) for player, (x, y) in self.places.items()]
        state = View(walkers, [Coin(x, y) for x, y in self.coins]).encode()
        for player in self.places:
            self.server.send_state(player, state)

"""What travels, as both sides declare it."""

from typing import Annotated

import gamenet
from gamenet.snapshot import Rows, Scaled, Whole

GAME = "small-mmo/1"
ZONES = ("meadow", "forest", "caves")  # from west to east
SIDE = 64.0  # metres of a zone, from west to east and from north to south
MOST_SEEN = 64
NORTH, SOUTH, WEST, EAST = 1, 2, 4, 8  # one bit for each button


class Hero(gamenet.Snapshot, frozen=True):
    id: Annotated[int, Whole(32)]
    x: Annotated[float, Scaled(0.0, SIDE, bits=16)]
    y: Annotated[float, Scaled(0.0, SIDE, bits=16)]


class View(gamenet.Snapshot, frozen=True):
    """Where everybody near is; twenty times a second, so without what does not change."""

    zone: Annotated[int, Whole(8)]  # a state may arrive when its receiver has gone on to another
    heroes: Annotated[list[Hero], Rows(MOST_SEEN)]


class Entered(gamenet.Message):
    """You are in this zone now; nobody from the last one is near any more."""

    zone: str


class Appeared(gamenet.Message):
    id: int
    name: str


class Vanished(gamenet.Message):
    id: int


MESSAGES = (Entered, Appeared, Vanished)

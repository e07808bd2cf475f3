"""Somebody who walks to a place on the field and stays there: a player without a window.

``python -m tests.display.walker ADDRESS NAME COLUMN ROW [TEXT]`` prints "there" once it is, and
what it hears. The text it says again and again; one that begins with a question mark, which is
left out, only once, in answer to whatever it hears first.
"""

from __future__ import annotations

import math
import sys
import time
from collections import deque

import gamenet
from gamenet.demo.field import DOWN, LEFT, RIGHT, UP, is_open
from gamenet.demo.game import GAME_NAME
from gamenet.play.talk import BUBBLE_SECONDS
from gamenet.play.world import World

Tile = tuple[int, int]
NEAR = 0.15
"""Of a tile: more than a step, or one would pass a place forever; and less than doors leave."""
HZ = 30


def way(start: Tile, end: Tile) -> list[Tile]:
    """The tiles to walk over, one beside the other."""
    came_from: dict[Tile, Tile] = {end: end}
    queue = deque([end])
    while start not in came_from:
        column, row = queue.popleft()
        for tile in ((column, row - 1), (column, row + 1), (column - 1, row), (column + 1, row)):
            if is_open(*tile) and tile not in came_from:
                came_from[tile] = (column, row)
                queue.append(tile)
    tiles = [start]
    while tiles[-1] != end:
        tiles.append(came_from[tiles[-1]])
    return tiles


def buttons_to(tile: Tile, at: tuple[float, float]) -> int:
    """What to hold to come to the middle of a tile beside; 0 is there."""
    right, down = tile[0] + 0.5 - at[0], tile[1] + 0.5 - at[1]
    if abs(right) > NEAR:
        return RIGHT if right > 0 else LEFT
    if abs(down) > NEAR:
        return DOWN if down > 0 else UP
    return 0


class Speaker:
    """Says a text, as the description of this module has it."""

    def __init__(self, world: World, text: str) -> None:
        self._world = world
        self._text = text.removeprefix("?")
        self._answers = text.startswith("?")
        self._heard = 0
        self._next_at = math.inf if self._answers or not text else 0.0

    def frame(self, now: float, is_there: bool) -> None:
        """Print what was heard since, and say what is due."""
        lines = list(self._world.talk.lines)[self._heard :]
        self._heard += len(lines)
        for line in lines:
            print("heard", line.name, line.text, flush=True)
            if self._answers and line.name and is_there:
                self._next_at = now
        if is_there and now >= self._next_at:
            self._world.say(self._text)
            self._next_at = math.inf if self._answers else now + BUBBLE_SECONDS - 1
            self._answers = False


def main(address: str, name: str, column: str, row: str, text: str = "") -> None:
    """Walk there, and stay."""
    end = (int(column), int(row))
    if not is_open(*end):
        raise SystemExit(f"nobody can stand at {end}")
    client = gamenet.GameClient(address, user=name, game_name=GAME_NAME, insecure=True)
    client.start()
    world = World(client, time.monotonic())
    speaker = Speaker(world, text)
    path: list[Tile] | None = None
    while world.over is None:
        now = time.monotonic()
        buttons = 0
        if world.own is not None and not world.blind:
            at = world.centre
            if path is None:
                path = way((int(at[0]), int(at[1])), end)
            while path and not (buttons := buttons_to(path[0], at)):
                path.pop(0)
                if not path:
                    print("there", flush=True)
        world.frame(now, buttons)
        speaker.frame(now, path == [])
        time.sleep(1 / HZ)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except KeyboardInterrupt:
        pass  # its client says goodbye as the process ends

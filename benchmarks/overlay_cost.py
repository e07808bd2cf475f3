"""What the net graph costs the game thread in each frame, by level.

A client whose session is half a minute old is watched and drawn 60 times a second, by pygame-ce and
without a display. What counts is the processor time of the thread: a machine that is busy with
something else changes nothing. Prints one JSON line; the exit status is 1 if a frame takes more
than 1 ms at any level, on average.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pygame

from gamenet.overlay import MOST_LEVEL, NetGraph
from gamenet.overlay.pygame_ce import draw
from gamenet.smooth import Interpolator
from gamenet.testing import Pair

BAR_MS = 1.0
HZ = 60
SECONDS = 30
WINDOW = (1280, 720)


def main() -> int:
    """Measure; returns the exit status."""
    pygame.display.init()
    screen = pygame.display.set_mode(WINDOW)
    with Pair(profile="cellular", tick_rate=HZ) as pair:
        pair.server.events()
        smooth: Interpolator[object] = Interpolator(interval=1 / HZ)
        graph = NetGraph(pair.client, interpolator=smooth)
        found = {}
        for level in range(MOST_LEVEL + 1):
            graph.level = level
            spent = []
            for _ in range(SECONDS * HZ):
                play(pair, smooth)
                began = time.thread_time()
                graph.update(pair.time, 1 / HZ)
                draw(screen, graph)
                spent.append(1000 * (time.thread_time() - began))
            spent.sort()
            found[f"level_{level}_mean_ms"] = round(sum(spent) / len(spent), 3)
            found[f"level_{level}_p99_ms"] = round(spent[len(spent) * 99 // 100], 3)
    print(json.dumps(found))
    return max(value for name, value in found.items() if name.endswith("mean_ms")) > BAR_MS


def play(pair: Pair, smooth: Interpolator[object]) -> None:
    """One frame of a game."""
    for _ in pair.server.ticks(wait=False):
        for player in pair.server.players:
            pair.server.send_state(player, bytes(200))
    for _ in pair.client.ticks(HZ, wait=False):
        pair.client.send_input(1)
    state = pair.client.take_state()
    if state is not None:
        smooth.push(state.server_time, state.payload, pair.time)
    smooth.sample(pair.time)
    pair.step()


if __name__ == "__main__":
    sys.exit(main())

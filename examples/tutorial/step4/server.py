import random
import sys

import gamenet

from meadow import DOWN, GAME, HEIGHT, LEFT, RIGHT, UP, WIDTH, Meadow

STEP = 4                                     # pixels in a tick


def walk(x, y, buttons):
    if buttons & LEFT:
        x -= STEP
    if buttons & RIGHT:
        x += STEP
    if buttons & UP:
        y -= STEP
    if buttons & DOWN:
        y += STEP
    return min(max(x, 0), WIDTH), min(max(y, 0), HEIGHT)


@gamenet.game(game_name=GAME, tick_rate=30, messages=[Meadow])
def main(server):
    places = {}                              # name -> (x, y)
    for tick in server.ticks():              # 30 times a second
        held = {}                            # name -> the buttons held in this tick
        for event in tick.events:            # what has happened since the last tick
            match event:
                case gamenet.Joined(player):
                    print(player.name, "has come")
                    x, y = random.randrange(WIDTH), random.randrange(HEIGHT)
                    places[player.name] = x, y
                case gamenet.Left(player):
                    print(player.name, "has gone")
                    del places[player.name]
                case gamenet.Input(player, number, buttons):
                    held[player.name] = buttons
        for player in server.players:
            x, y = places[player.name]
            places[player.name] = walk(x, y, held.get(player.name, 0))
        for player in server.players:
            server.send_state(player, Meadow(places))


if __name__ == "__main__":
    sys.exit(gamenet.serve(main, insecure=True))

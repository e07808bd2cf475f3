"""A plaza on which people walk about and talk: the rules, and the server, python plaza.py"""

import sys

import gamenet

GAME = "plaza/1"
TICK_RATE = 30
WIDTH, HEIGHT = 32.0, 18.0  # metres; x to the right, y up
LEFT, RIGHT, UP, DOWN = 1, 2, 4, 8  # one bit for each button
STEP = 0.2  # metres in a tick


class View(gamenet.Message):
    """What everybody sees, once a tick."""

    places: dict[str, tuple[float, float]]  # name -> where


MESSAGES = [View]
# One input is one step, so this is a speed limit, too.
MAX_INPUT_HZ = TICK_RATE + 10


def walk(place, buttons):
    """Where one step leads. The server walks by it, and each window beforehand."""
    x = place[0] + STEP * (bool(buttons & RIGHT) - bool(buttons & LEFT))
    y = place[1] + STEP * (bool(buttons & UP) - bool(buttons & DOWN))
    return min(max(x, 0.0), WIDTH), min(max(y, 0.0), HEIGHT)


class Plaza:
    """The rules. They know no thread, and of the network what a server can say and hear.

    :param server: a ``GameServer``, or the verbs of a service; both speak alike.
    """

    def __init__(self, server):
        self.server = server
        self.places = {}

    def hear(self, event):
        match event:
            case gamenet.Joined(player):
                self.places[player.name] = (4.0 + 3.0 * (player.id % 9), HEIGHT / 2)
            case gamenet.Left(player):
                del self.places[player.name]
            case gamenet.Input(player, _, buttons):
                self.places[player.name] = walk(self.places[player.name], buttons)
            case gamenet.Chat(player, text):
                self.server.say(text, author=player)

    def show(self):
        view = View(self.places)
        for player in self.server.players:
            self.server.send_state(player, view)


@gamenet.game(game_name=GAME, tick_rate=TICK_RATE, messages=MESSAGES)
def main(server):
    plaza = Plaza(server)
    for tick in server.ticks():
        for event in tick.events:
            plaza.hear(event)
        plaza.show()


if __name__ == "__main__":
    sys.exit(gamenet.serve(main, insecure=True, max_input_hz=MAX_INPUT_HZ))

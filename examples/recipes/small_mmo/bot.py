"""A player without a window: python -m small_mmo.bot ADDRESS NAME

The first line of standard input is the password; then "east 2" walks for two seconds, "leave"
leaves, and all else is said. What happens is printed.
"""

import sys
import threading
from queue import SimpleQueue

import gamenet
from small_mmo.shared import EAST, GAME, MESSAGES, NORTH, SOUTH, WEST, ZONES
from small_mmo.shared import Appeared, Entered, Vanished, View

BUTTONS = {"north": NORTH, "south": SOUTH, "west": WEST, "east": EAST}


class Player:
    def __init__(self, client, lines):
        self.client, self.lines = client, lines
        self.zone, self.names = "", {}
        self.place = self.told = None
        self.held, self.until = 0, 0.0

    def play(self):
        for tick in self.client.ticks(20):
            for event in tick.events:
                self.hear(event)
            if state := self.client.take_state():
                self.look(View.decode(state.payload))
            if tick.time >= self.until:
                self.held = 0
            self.client.send_input(self.held)
            while not self.held and not self.lines.empty():
                line = self.lines.get()
                if line == "leave":
                    return
                self.do(line, tick.time)

    def hear(self, event):
        match event:
            case gamenet.Chat(player, text, _):
                say(f"<{player}> {text}" if player.id else f"* {text}")
            case gamenet.Received(_, Entered(zone)):
                self.zone = zone
                self.names.clear()
                say(f"in the {zone}")
            case gamenet.Received(_, Appeared(number, name)):
                self.names[number] = name
                say(f"{name} is here")
            case gamenet.Received(_, Vanished(number)):
                say(f"{self.names.pop(number)} is gone")
            case gamenet.Disconnected(_, text):
                say(f"over: {text}")

    def look(self, view):
        """Tell once where oneself stands."""
        own = [hero for hero in view.heroes if hero.id == self.client.player.id]
        if own and ZONES[view.zone] == self.zone:
            before, self.place = self.place, own[0]
            if before == self.place != self.told:
                self.told = self.place
                say(f"at {self.place.x:.1f} {self.place.y:.1f}")

    def do(self, line, now):
        word, _, seconds = line.partition(" ")
        if word in BUTTONS and seconds.isdecimal():
            self.held, self.until = BUTTONS[word], now + int(seconds)
            return
        try:
            self.client.say(line)
        except ValueError as error:
            say(f"* {error}")


def say(text):
    print(text, flush=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    address, name = sys.argv[1:]
    password = sys.stdin.readline().rstrip("\n")
    lines = SimpleQueue()
    with gamenet.GameClient(address, user=name, password=password,
                            game_name=GAME, messages=MESSAGES) as client:
        read = threading.Thread(target=lambda: [lines.put(line.strip()) for line in sys.stdin])
        read.daemon = True
        read.start()
        Player(client, lines).play()


if __name__ == "__main__":
    try:
        main()
    except gamenet.GamenetError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)

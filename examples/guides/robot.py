# robot.py: a robot that picks apples. Make it cleverer!
import sys

import gamenet
from gamenet.discovery import find
from orchard import DOWN, LEFT, MESSAGES, PICK, RIGHT, STEP, UP, View


def think(me, apples):
    """Which buttons to hold, given where I am and where the apples are."""
    apple = min(apples, key=lambda apple: abs(apple[0] - me[0]) + abs(apple[1] - me[1]))
    right, down = apple[0] - me[0], apple[1] - me[1]
    if abs(right) > STEP:
        return RIGHT if right > 0 else LEFT
    if abs(down) > STEP:
        return DOWN if down > 0 else UP
    return PICK


def play(client, most=1_000_000):
    """Play until so many apples are picked, or the server stops."""
    buttons = picked = 0
    for tick in client.ticks():
        for event in tick.events:
            match event:
                case gamenet.Chat(player, text):
                    print(f"<{player}> {text}")
                case gamenet.Disconnected(_, text):
                    print(f"The game is over: {text}")
                case gamenet.Received(_, told) if told.name == client.player.name:
                    picked = told.apples
        state = client.take_state()
        if state is not None:
            view = View.decode(state.payload)
            me = next((h.x, h.y) for h in view.heroes if h.id == client.player.id)
            wanted = think(me, [(apple.x, apple.y) for apple in view.apples])
            # PICK counts when it goes down, so it has to come up again.
            buttons = 0 if buttons == wanted == PICK else wanted
        if picked >= most:
            return picked
        if client.joined:
            client.send_input(buttons)
    return picked


def server_of_the_class():
    """The address of the first orchard in this network."""
    found = find(2.0, game="orchard/1")
    if not found:
        sys.exit("No server answers. Ask for its address, and write it behind your name.")
    return found[0].address


if __name__ == "__main__":
    name, address = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else server_of_the_class()
    with gamenet.GameClient(
        address, user=name, game_name="orchard/1", messages=MESSAGES
    ) as client:
        try:
            play(client)
        except KeyboardInterrupt:  # Ctrl-C; the end of "with" says goodbye
            pass

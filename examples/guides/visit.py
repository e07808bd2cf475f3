# visit.py: join a server elsewhere, or say in one sentence why not
import getpass
import sys

import gamenet
from orchard import MESSAGES


def main(address, user):
    password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().strip()
    try:
        with gamenet.GameClient(
            address, user=user, password=password, game_name="orchard/1", messages=MESSAGES
        ) as client:
            client.say(f"hello from {client.player.name}")
            for tick in client.ticks():
                for event in tick.events:
                    match event:
                        case gamenet.Chat(player, text):
                            print(f"<{player}> {text}", flush=True)
                        case gamenet.Disconnected(_, text):
                            print(f"The game is over: {text}", flush=True)
    except gamenet.GamenetError as error:  # refused, not reachable, not trusted
        sys.exit(str(error))


if __name__ == "__main__":
    main(*sys.argv[1:])

import sys

import gamenet


@gamenet.game(game_name="meadow/1", tick_rate=30)
def main(server):
    for tick in server.ticks():              # 30 times a second
        for event in tick.events:            # what has happened since the last tick
            match event:
                case gamenet.Joined(player):
                    print(player.name, "has come")
                case gamenet.Left(player):
                    print(player.name, "has gone")


if __name__ == "__main__":
    sys.exit(gamenet.serve(main, insecure=True))

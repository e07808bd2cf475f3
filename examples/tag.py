# tag.py
import sys, gamenet

@gamenet.game(game_name="tag/1", tick_rate=30)
def main(server):                              # runs on the game's own thread
    places = {}
    for tick in server.ticks():                # drift-free; ends when the server stops
        for event in tick.events:
            match event:
                case gamenet.Joined(player): places[player] = 0
                case gamenet.Left(player): places.pop(player)
                case gamenet.Input(player, number, buttons): places[player] += buttons
                case gamenet.Chat(player, text): server.say(text, author=player)
        for player in server.players:
            server.send_state(player, b"%d" % places[player])

if __name__ == "__main__":
    sys.exit(gamenet.serve(main, insecure=True))

# whiteboard.py: draw together          python whiteboard.py serve          python whiteboard.py ada
import sys

import gamenet


class Line(gamenet.Message):  # was {"action": "line", "points": ..., "id": ...}
    points: list[tuple[int, int]]
    player: int = 0  # filled in by the server


class Whiteboard(gamenet.Game):  # was Server, and Channel for each player
    game_name = "whiteboard/1"
    messages = (Line,)

    def on_start(self):
        self.lines = []

    def on_join(self, player):  # was Server.Connected
        for line in self.lines:
            self.server.send(player, line)

    def on_message(self, player, line, channel):  # was Channel.Network_line
        line = Line(line.points, player.id)
        self.lines.append(line)
        self.server.broadcast(line)

    def on_leave(self, player, reason):  # was Channel.Close
        self.server.say(f"{player} has put the pen down.")


class Board:  # was ConnectionListener
    def __init__(self, client):
        self.client = client
        self.lines = []
        self.words = []

    def pump(self):  # was connection.Pump() and self.Pump(), once a frame
        for tick in self.client.ticks(60, wait=False):
            for event in tick.events:
                match event:
                    case gamenet.Received(_, line):
                        self.lines.append(line)
                    case gamenet.Chat(_, text):
                        self.words.append(text)
                    case gamenet.Disconnected(_, text):  # was Network_disconnected, Network_error
                        self.words.append(text)

    def draw(self, points):  # was connection.Send({"action": "line", ...})
        self.client.send(Line(points))


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(gamenet.serve(Whiteboard, insecure=True))
    fields = {"game_name": "whiteboard/1", "messages": (Line,), "insecure": True}
    with gamenet.GameClient("localhost:7777", user=sys.argv[1], **fields) as client:
        board = Board(client)
        board.draw([(0, 0), (10, 20)])
        while client.joined and not board.lines:  # your engine's loop
            board.pump()
        print(board.lines)

# ships.py: fly and shoot          python ships.py serve          python ships.py ada
import struct
import sys

import gamenet

SHIP = struct.Struct("!Iff")  # the bytes are your own affair, as they were


@gamenet.game(game_name="ships/1", tick_rate=30)
def main(server):
    ships = {}
    for tick in server.ticks():  # was while True: event = host.service(33)
        for event in tick.events:
            match event:
                case gamenet.Joined(player):  # was EVENT_TYPE_CONNECT
                    ships[player] = (0.0, 0.0)
                case gamenet.Left(player, reason):  # was EVENT_TYPE_DISCONNECT
                    del ships[player]
                case gamenet.Unreliable(player, data):  # was EVENT_TYPE_RECEIVE, channel 0
                    if len(data) == SHIP.size:
                        ships[player] = SHIP.unpack(data)[1:]
                case gamenet.Received(player, data):  # was EVENT_TYPE_RECEIVE, channel 1
                    server.broadcast(b"%d shoots" % player.id)  # was host.broadcast(1, ...)
        where = b"".join(SHIP.pack(player.id, *place) for player, place in ships.items())
        for player in server.players:
            server.send_state(player, where)  # was peer.send(0, enet.Packet(where))


def fly(client, x, y):
    """Once a frame; gives where everybody is, as far as that is news, and who has shot."""
    client.send_unreliable(SHIP.pack(0, x, y))  # was peer.send(0, enet.Packet(...))
    shots = []
    for tick in client.ticks(60, wait=False):  # was host.service(0), until there is no event
        shots += [event.payload for event in tick.events if isinstance(event, gamenet.Received)]
    state = client.take_state()
    ships = None if state is None else {i: (x, y) for i, x, y in SHIP.iter_unpack(state.payload)}
    return ships, shots


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(gamenet.serve(main, insecure=True))
    with gamenet.GameClient(
        "localhost:7777", user=sys.argv[1], game_name="ships/1", insecure=True
    ) as client:
        client.send(b"")  # a shot; was peer.send(1, enet.Packet(b"", PACKET_FLAG_RELIABLE))
        shots = []
        while client.joined and not shots:
            ships, shots = fly(client, 1.0, 2.0)
        print(shots)

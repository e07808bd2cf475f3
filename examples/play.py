# play.py
import gamenet

with gamenet.GameClient("localhost:7777", user="ada", game_name="tag/1", insecure=True) as client:
    client.say("hello from " + client.player.name)
    state = None
    for frame in client.ticks(60):             # your game loop
        client.send_input(1)                   # one int of held buttons per tick
        for event in frame.events:
            match event:
                case gamenet.Chat(player, text): print(f"<{player}> {text}")
                case gamenet.Disconnected(reason, text): print("over:", text)
        state = client.take_state() or state   # the newest, or None if none is new
        if state and frame.number % 60 == 0:
            print(state.payload.decode())

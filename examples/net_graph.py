# net_graph.py
import gamenet, pygame
from gamenet.overlay import NetGraph
from gamenet.overlay.pygame_ce import draw
from gamenet.smooth import Interpolator

def play(client, screen, level=1):
    smooth = Interpolator(interval=1 / client.tick_rate)
    graph = NetGraph(client, interpolator=smooth, level=level)
    last = 0.0
    for frame in client.ticks(60):                      # your game loop
        now = frame.time + frame.late_seconds
        for event in pygame.event.get():
            if event.type == pygame.QUIT: return
            if event.type == pygame.KEYDOWN and event.key == pygame.K_F3: graph.next_level()
        client.send_input(0)
        if state := client.take_state(): smooth.push(state.server_time, state.payload, now)
        screen.fill("darkslategray")
        smooth.sample(now)                              # ... and draw your game
        graph.update(now, now - last)                   # once a frame, after take_state()
        draw(screen, graph, corner="top right")         # over all else
        pygame.display.flip()
        last = now

if __name__ == "__main__":
    pygame.display.init()
    with gamenet.GameClient("localhost:7777", game_name="tag/1", insecure=True) as client:
        play(client, pygame.display.set_mode((960, 600)))

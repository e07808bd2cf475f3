import atexit
import sys

import gamenet
import pygame

from meadow import DOWN, GAME, HEIGHT, LEFT, RIGHT, UP, WIDTH, Place

KEYS = {
    pygame.K_LEFT: LEFT,
    pygame.K_RIGHT: RIGHT,
    pygame.K_UP: UP,
    pygame.K_DOWN: DOWN,
}

pygame.init()
screen = pygame.display.set_mode((WIDTH, HEIGHT))
pygame.display.set_caption("Meadow")
font = pygame.font.Font(None, 28)
clock = pygame.time.Clock()

me = sys.argv[1] if len(sys.argv) > 1 else ""     # no name: the server finds one
client = gamenet.GameClient(
    "localhost", user=me, game_name=GAME, messages=[Place], insecure=True
)
client.start(wait=False)                          # the answer comes later
atexit.register(client.stop)                      # says goodbye, whatever happens

status = "Joining ..."
buttons = 0                                       # the arrow keys that are down
place = None                                      # where I am, from the server
running = True
while running:
    # What has the player done?
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            running = False
        elif event.type == pygame.KEYDOWN:
            buttons |= KEYS.get(event.key, 0)
        elif event.type == pygame.KEYUP:
            buttons &= ~KEYS.get(event.key, 0)

    # What has the server said?
    for tick in client.ticks(wait=False):
        for event in tick.events:
            match event:
                case gamenet.Connected(player):
                    status = f"You are {player.name}"
                case gamenet.Disconnected(reason, text):
                    status = f"The game is over: {text}"
        if client.joined:
            client.send_input(buttons)
    state = client.take_state()                   # the newest, or None
    if state:
        place = state.payload

    # Draw it all.
    screen.fill("darkgreen")
    if place:
        pygame.draw.rect(screen, "gold", (place.x - 10, place.y - 10, 20, 20))
    screen.blit(font.render(status, True, "white", wraplength=WIDTH - 20), (10, 10))
    pygame.display.flip()
    clock.tick(60)

pygame.quit()

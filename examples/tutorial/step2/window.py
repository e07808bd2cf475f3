import atexit
import sys

import gamenet
import pygame

pygame.init()
screen = pygame.display.set_mode((640, 360))
pygame.display.set_caption("Meadow")
font = pygame.font.Font(None, 28)
clock = pygame.time.Clock()

me = sys.argv[1] if len(sys.argv) > 1 else ""     # no name: the server finds one
client = gamenet.GameClient("localhost", user=me, game_name="meadow/1", insecure=True)
client.start(wait=False)                          # the answer comes later
atexit.register(client.stop)                      # says goodbye, whatever happens

status = "Joining ..."
running = True
while running:
    # What has the player done?
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            running = False

    # What has the server said?
    for tick in client.ticks(wait=False):
        for event in tick.events:
            match event:
                case gamenet.Connected(player):
                    status = f"You are {player.name}"
                case gamenet.Disconnected(reason, text):
                    status = f"The game is over: {text}"

    # Draw it all.
    screen.fill("darkgreen")
    screen.blit(font.render(status, True, "white", wraplength=620), (10, 10))
    pygame.display.flip()
    clock.tick(60)

pygame.quit()

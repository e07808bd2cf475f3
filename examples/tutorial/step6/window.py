import atexit
import sys

import gamenet
import pygame

from meadow import DOWN, GAME, HEIGHT, LEFT, RIGHT, UP, WIDTH, Meadow

KEYS = {
    pygame.K_LEFT: LEFT,
    pygame.K_RIGHT: RIGHT,
    pygame.K_UP: UP,
    pygame.K_DOWN: DOWN,
}

if len(sys.argv) != 3:
    sys.exit("Say who you are and where the server is: python window.py NAME ADDRESS")
me, address = sys.argv[1:]

pygame.init()
screen = pygame.display.set_mode((WIDTH, HEIGHT))
pygame.display.set_caption("Meadow")
font = pygame.font.Font(None, 28)
clock = pygame.time.Clock()

try:
    client = gamenet.GameClient(address, user=me, game_name=GAME, messages=[Meadow])
except gamenet.ConfigError as error:              # the address is not one
    sys.exit(str(error))
client.start(wait=False)                          # the answer comes later
atexit.register(client.stop)                      # says goodbye, whatever happens

status = "Joining ..."
buttons = 0                                       # the arrow keys that are down
heroes = {}                                       # name -> (x, y), from the server
chat = []                                         # the last lines that were said
typed = ""                                        # the line that I am typing
running = True
while running:
    # What has the player done?
    for event in pygame.event.get():
        if event.type == pygame.QUIT:
            running = False
        elif event.type == pygame.TEXTINPUT:
            typed = (typed + event.text)[:60]
        elif event.type == pygame.KEYDOWN:
            buttons |= KEYS.get(event.key, 0)
            if event.key == pygame.K_BACKSPACE:
                typed = typed[:-1]
            elif event.key == pygame.K_RETURN:
                if client.joined and typed.strip():
                    client.say(typed)
                typed = ""
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
                case gamenet.Chat(player, text):
                    chat = [*chat, f"{player.name}: {text}"][-5:]
        if client.joined:
            client.send_input(buttons)
    state = client.take_state()                   # the newest, or None
    if state:
        heroes = state.payload.heroes

    # Draw it all.
    screen.fill("darkgreen")
    for name, (x, y) in heroes.items():
        colour = "gold" if name == client.player.name else "skyblue"
        pygame.draw.rect(screen, colour, (x - 10, y - 10, 20, 20))
        screen.blit(font.render(name, True, colour), (x - 10, y - 32))
    lines = "\n".join([status, *chat])
    screen.blit(font.render(lines, True, "white", wraplength=WIDTH - 20), (10, 10))
    screen.blit(font.render(f"> {typed}", True, "white"), (10, HEIGHT - 30))
    pygame.display.flip()
    clock.tick(60)

pygame.quit()

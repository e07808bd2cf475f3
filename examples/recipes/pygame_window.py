"""The plaza in a window of pygame-ce: python pygame_window.py [NAME [ADDRESS]]"""

import sys
import time

try:
    import pygame
except ImportError:
    sys.exit("This needs pygame-ce: pip install pygame-ce")

from plaza import DOWN, HEIGHT, LEFT, RIGHT, UP, WIDTH
from visit import Visit, client_from

FRAMES = 60  # a second; the server has 30 ticks, and that does not matter here
SCALE = 30  # pixels to the metre
KEYS = {pygame.K_LEFT: LEFT, pygame.K_RIGHT: RIGHT, pygame.K_UP: UP, pygame.K_DOWN: DOWN}
GRASS, OTHERS, ME, WORDS = "darkgreen", "skyblue", "gold", "white"


def to_screen(place):
    """Pixels from the upper left corner, for metres from the lower left."""
    return round(place[0] * SCALE), round((HEIGHT - place[1]) * SCALE)


class Window:
    def __init__(self, visit):
        self.screen = pygame.display.set_mode((WIDTH * SCALE, HEIGHT * SCALE))
        pygame.display.set_caption("Plaza")
        self.font = pygame.font.Font(None, 26)
        self.visit = visit
        self.buttons = 0
        self.typed = ""
        self.is_open = True

    def run(self):
        clock = pygame.time.Clock()
        while self.is_open:
            for event in pygame.event.get():
                self.handle(event)
            self.visit.update(self.buttons, time.monotonic())
            self.draw()
            clock.tick(FRAMES)

    def handle(self, event):
        if event.type == pygame.QUIT:
            self.is_open = False
        elif event.type == pygame.TEXTINPUT:
            self.typed = (self.typed + event.text)[:80]
        elif event.type == pygame.KEYDOWN:
            self.buttons |= KEYS.get(event.key, 0)
            if event.key == pygame.K_BACKSPACE:
                self.typed = self.typed[:-1]
            elif event.key == pygame.K_RETURN:
                self.visit.say(self.typed)
                self.typed = ""
        elif event.type == pygame.KEYUP:
            self.buttons &= ~KEYS.get(event.key, 0)
        elif event.type == pygame.WINDOWFOCUSLOST:
            self.buttons = 0  # its key-up goes to another window

    def draw(self):
        self.screen.fill(GRASS)
        for name, place in self.visit.places.items():
            colour = ME if name == self.visit.client.player.name else OTHERS
            x, y = to_screen(place)
            pygame.draw.circle(self.screen, colour, (x, y), SCALE // 2)
            tag = self.font.render(name, True, colour)
            self.screen.blit(tag, tag.get_rect(midbottom=(x, y - SCALE // 2)))
        for row, line in enumerate([*self.visit.lines, f"> {self.typed}"]):
            self.screen.blit(self.font.render(line, True, WORDS), (10, 10 + 22 * row))
        pygame.display.flip()


def main():
    visit = Visit(client_from(sys.argv[1:]))
    pygame.font.init()  # and no pygame.init(), which would look for a sound card as well
    try:
        pygame.display.init()
        window = Window(visit)
    except pygame.error as error:
        sys.exit(f"No window can be opened: {error}")
    with visit:
        window.run()
    pygame.quit()


if __name__ == "__main__":
    main()

"""The plaza in a window of arcade: python arcade_window.py [NAME [ADDRESS]]"""

import sys
import time

try:
    import arcade
except ImportError:
    sys.exit("This needs arcade: pip install arcade")

from plaza import DOWN, HEIGHT, LEFT, RIGHT, UP, WIDTH
from visit import Visit, client_from

SCALE = 30  # pixels to the metre; arcade's y goes up, as the plaza's
KEYS = {
    arcade.key.LEFT: LEFT,
    arcade.key.RIGHT: RIGHT,
    arcade.key.UP: UP,
    arcade.key.DOWN: DOWN,
}
GRASS, WORDS = arcade.color.DARK_GREEN, arcade.color.WHITE
OTHERS, ME = arcade.color.SKY_BLUE, arcade.color.GOLD


class Person(arcade.SpriteCircle):
    def __init__(self, name, colour):
        super().__init__(SCALE // 2, colour)
        self.tag = arcade.Text(name, 0, 0, colour, 14, anchor_x="center")

    def stand_at(self, place):
        self.position = place[0] * SCALE, place[1] * SCALE
        self.tag.position = self.center_x, self.top + 4


class PlazaWindow(arcade.Window):
    def __init__(self, visit):
        try:
            super().__init__(int(WIDTH * SCALE), int(HEIGHT * SCALE), "Plaza")
        except Exception as error:  # each system has its own
            sys.exit(f"No window can be opened: {error}")
        self.background_color = GRASS
        self.visit = visit
        self.people = {}  # name -> Person
        self.sprites = arcade.SpriteList()
        self.buttons = 0
        self.typed = ""
        self.words = arcade.Text(
            "", 10, self.height - 24, WORDS, 14, width=self.width - 20, multiline=True
        )

    def on_update(self, delta_time):
        self.visit.update(self.buttons, time.monotonic())
        for name in self.people.keys() - self.visit.places.keys():
            self.people.pop(name).remove_from_sprite_lists()
        for name, place in self.visit.places.items():
            if name not in self.people:
                colour = ME if name == self.visit.client.player.name else OTHERS
                self.people[name] = Person(name, colour)
                self.sprites.append(self.people[name])
            self.people[name].stand_at(place)
        words = "\n".join([*self.visit.lines, f"> {self.typed}"])
        if words != self.words.text:  # to lay out text takes longer than to draw it
            self.words.text = words

    def on_draw(self):
        self.clear()
        self.sprites.draw()
        for person in self.people.values():
            person.tag.draw()
        self.words.draw()

    def on_key_press(self, symbol, modifiers):
        self.buttons |= KEYS.get(symbol, 0)
        if symbol == arcade.key.BACKSPACE:
            self.typed = self.typed[:-1]

    def on_key_release(self, symbol, modifiers):
        self.buttons &= ~KEYS.get(symbol, 0)

    def on_text(self, text):
        if text in "\r\n":
            self.visit.say(self.typed)
            self.typed = ""
        else:
            self.typed = (self.typed + text)[:80]

    def on_deactivate(self):
        self.buttons = 0  # their release goes to another window


def main():
    visit = Visit(client_from(sys.argv[1:]))
    PlazaWindow(visit)
    with visit:
        arcade.run()


if __name__ == "__main__":
    main()

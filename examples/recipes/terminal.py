"""The plaza in a terminal, without any library: python terminal.py [NAME [ADDRESS]]"""

import codecs
import os
import re
import select
import sys
import time

try:
    import termios
    import tty
except ImportError:
    sys.exit("This needs a terminal as Linux and macOS have them; on Windows, WSL has one")

from plaza import DOWN, HEIGHT, LEFT, RIGHT, TICK_RATE, UP, WIDTH
from visit import Visit, client_from

COLUMNS, ROWS = 64, 18  # of the plaza on the screen
ARROWS = {"\x1b[A": UP, "\x1b[B": DOWN, "\x1b[C": RIGHT, "\x1b[D": LEFT}
KEY = re.compile(r"\x1b\[[0-9;]*[A-Za-z~]|.", re.DOTALL)
BEGUN = re.compile(r"\x1b(\[[0-9;]*)?$")  # of a key that comes in two pieces
HELD_SECONDS = 0.2  # terminals tell of no key-up, so a key is up when it does not come again
OPEN, CLOSE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # another screen, without a cursor
HOME, TO_END_OF_LINE, BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


class Terminal:
    """Keys without waiting for Enter, and a screen that is as it was in the end."""

    def __enter__(self):
        self.decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.shown = None
        self.before = termios.tcgetattr(sys.stdin)
        tty.setcbreak(sys.stdin)  # Ctrl-C stays Ctrl-C
        self.write(OPEN)
        return self

    def __exit__(self, *error):
        self.write(CLOSE)
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self.before)

    def read(self, seconds):
        """What was typed, waiting so long for it; None when the terminal is closed."""
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return ""
        data = os.read(sys.stdin.fileno(), 1024)
        return self.decode(data) if data else None

    def show(self, lines):
        if lines != self.shown:
            self.shown = lines
            self.write(HOME + "".join(f"{line}{TO_END_OF_LINE}\r\n" for line in lines) + BELOW)

    def write(self, text):
        sys.stdout.write(text)
        sys.stdout.flush()


class Player:
    """Who sits at the keyboard."""

    def __init__(self, visit):
        self.visit = visit
        self.typed = self.begun = ""
        self.held, self.until = 0, 0.0

    def press(self, keys, now):
        keys = self.begun + keys
        begun = BEGUN.search(keys)
        self.begun = begun[0] if begun else ""
        for key in KEY.findall(keys.removesuffix(self.begun)):
            if key in ARROWS:
                self.held, self.until = ARROWS[key], now + HELD_SECONDS
            elif key == "\n":
                self.visit.say(self.typed)
                self.typed = ""
            elif key in "\x7f\b":
                self.typed = self.typed[:-1]
            elif key.isprintable():
                self.typed += key

    def buttons(self, now):
        return self.held if now < self.until else 0

    def picture(self):
        ground = [["."] * COLUMNS for _ in range(ROWS)]
        for name, (x, y) in self.visit.places.items():
            column = min(int(x / WIDTH * COLUMNS), COLUMNS - 1)
            row = min(int((HEIGHT - y) / HEIGHT * ROWS), ROWS - 1)
            ground[row][column] = "@" if name == self.visit.client.player.name else name[0]
        words = [*self.visit.lines, f"> {self.typed}"]
        return [*map("".join, ground), *(line[:COLUMNS] for line in words)]


def main():
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        sys.exit("This is to be played in a terminal")
    player = Player(Visit(client_from(sys.argv[1:])))
    with player.visit, Terminal() as terminal:
        while not player.visit.over:
            keys = terminal.read(1 / TICK_RATE)  # the only place that waits
            if keys is None or "\x04" in keys:  # Ctrl-D
                return
            now = time.monotonic()
            player.press(keys, now)
            player.visit.update(player.buttons(now), now)
            terminal.show(player.picture())
    print(player.visit.lines[-1])  # why it is over, on the screen that stays


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)

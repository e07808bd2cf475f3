"""Text over the field: whatever comes from the network can be drawn, and is drawn once.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

import pygame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamenet.play.art.palette import Colour

MOST_LETTERS: Final = 2_048
"""Whose widths are kept."""
ROW: Final = 8
"""So many letters in a row tell how wide one is among others."""
MOST_KEPT: Final = 256
"""Texts whose pictures are kept; those of a full view, and of what was said in it lately."""
MOST_CHARACTERS: Final = 500
"""Looked at; a chat line has no more, and nothing that is drawn has room for as many."""
DOTS: Final = "..."


def legible(text: str) -> str:
    """*text* in one line, without the characters that are not seen, or that pygame refuses."""
    words = text[:MOST_CHARACTERS].split()
    return "".join(mark for mark in " ".join(words) if mark.isprintable())


def inked(font: pygame.font.Font, text: str, colour: Colour) -> pygame.Surface:
    """A picture of any *text*, though pygame has none of what has no width."""
    text = "".join(mark for mark in text if mark.isprintable())
    if not font.size(text)[0]:
        return pygame.Surface((0, font.get_height()), pygame.SRCALPHA)
    return font.render(text, True, colour)


class Ruler:
    """How wide text is in a font: letter by letter, each of which is measured once.

    pygame itself takes milliseconds to measure a line of chat whose letters are of several scripts,
    and finding out where such a line has to be broken takes hundreds of measurements. Pairs of
    letters that stand closer are not looked for, so what fits by this measure does fit.
    """

    def __init__(self, font: pygame.font.Font) -> None:
        self._font = font
        self._letter = lru_cache(maxsize=MOST_LETTERS)(self._measured)

    def _measured(self, letter: str) -> int:
        if not letter.isprintable():
            return 0
        alone = self._font.size(letter)[0]
        # Among others it may take a fraction of a pixel more.
        others = self._font.size(letter * (1 + ROW))[0] - alone
        return max(alone, -(-others // ROW))

    def width(self, text: str) -> int:
        """In pixels."""
        return sum(map(self._letter, text))

    def room(self, text: str, width: int) -> int:
        """How many letters of *text* have room in *width* pixels."""
        for count, letter in enumerate(text):
            width -= self._letter(letter)
            if width < 0:
                return count
        return len(text)

    def lines(self, text: str, width: int) -> Iterator[str]:
        """*text* in lines of at most *width* pixels; a word that is longer is cut."""
        line, left = "", 0
        space = self._letter(" ")
        for word in text.split():
            wide = self.width(word)
            if line and space + wide <= left:
                line = f"{line} {word}"
                left -= space + wide
                continue
            if line:
                yield line
            while (length := self.room(word, width)) < len(word):
                length = max(1, length)
                yield word[:length]
                word = word[length:]
            line, left = word, width - self.width(word)
        if line:
            yield line


class Lettering:
    """pygame's own font in one size.

    Characters that it lacks are boxes, and right-to-left text runs from left to right.

    :param height: of a line, in pixels.
    """

    def __init__(self, height: int) -> None:
        # Its lines are about three quarters as high as what one asks for.
        self._font = pygame.font.Font(None, round(height * 4 / 3))
        self._ruler = Ruler(self._font)
        self.height = self._font.get_linesize()
        self.line = lru_cache(maxsize=MOST_KEPT)(self._line)
        self.wrapped = lru_cache(maxsize=MOST_KEPT)(self._wrapped)

    def _line(self, text: str, colour: Colour, outline: Colour | None = None) -> pygame.Surface:
        """A picture of *text*, with a pixel of *outline* around every letter."""
        letters = inked(self._font, legible(text), colour)
        if not outline:
            return letters
        edge = inked(self._font, legible(text), outline)
        width, height = letters.get_size()
        surface = pygame.Surface((width + 2, height + 2), pygame.SRCALPHA)
        for x in (0, 1, 2):
            for y in (0, 1, 2):
                surface.blit(edge, (x, y))
        surface.blit(letters, (1, 1))
        return surface.convert_alpha()

    def _wrapped(self, text: str, width: int, most: int) -> tuple[str, ...]:
        """*text* in at most so many lines; dots say that there was more."""
        lines = list(islice(self._ruler.lines(legible(text), width), most + 1))
        if len(lines) > most:
            more = lines.pop()
            lines[-1] = self.cut(f"{lines[-1]} {more}", width)
        return tuple(lines)

    def cut(self, text: str, width: int) -> str:
        """The beginning of *text* that has room, with dots."""
        length = self._ruler.room(text, width - self._ruler.width(DOTS))
        return text[:length].rstrip() + DOTS

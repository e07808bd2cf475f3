"""Text over the field: whatever comes from the network can be drawn, and is drawn once.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import pygame

if TYPE_CHECKING:
    from gamenet.play.art.palette import Colour

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


class Lettering:
    """pygame's own font in one size.

    Characters that it lacks are boxes, and right-to-left text runs from left to right.

    :param height: of a line, in pixels.
    """

    def __init__(self, height: int) -> None:
        # Its lines are about three quarters as high as what one asks for.
        self._font = pygame.font.Font(None, round(height * 4 / 3))
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
        words = legible(text).split()
        lines: list[str] = []
        while words:
            line = self._filled(words, width)
            if len(lines) == most - 1 and words:
                lines.append(self.cut(f"{line} {words[0]}", width))
                break
            lines.append(line)
        return tuple(lines)

    def cut(self, text: str, width: int) -> str:
        """The beginning of *text* that has room, with dots."""
        while text and self._font.size(text + DOTS)[0] > width:
            text = text[:-1]
        return text.rstrip() + DOTS

    def _filled(self, words: list[str], width: int) -> str:
        """Take from *words* what a line has room for; a word that has none itself is broken."""
        line = words.pop(0)
        if self._font.size(line)[0] > width:
            whole = line
            while len(line) > 1 and self._font.size(line)[0] > width:
                line = line[:-1]
            words.insert(0, whole[len(line) :])
            return line
        while words and self._font.size(f"{line} {words[0]}")[0] <= width:
            line = f"{line} {words.pop(0)}"
        return line

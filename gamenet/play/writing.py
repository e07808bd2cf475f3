"""Colours, and text: in lines that fit, and on what is drawn already.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import pygame

from gamenet.play.lettering import DOTS, Ruler, inked

Colour = tuple[int, int, int]

# Told apart by lightness as well as by colour, for those who see colours differently.
NIGHT: Final[Colour] = (22, 26, 36)
PANEL: Final[Colour] = (38, 44, 58)
EDGE: Final[Colour] = (98, 108, 130)
INK: Final[Colour] = (236, 240, 246)
FAINT: Final[Colour] = (164, 174, 192)
ACCENT: Final[Colour] = (86, 180, 233)
WRONG: Final[Colour] = (255, 170, 90)

SMALL: Final = 15
NORMAL: Final = 19
LARGE: Final = 40


@lru_cache(maxsize=8)
def font(size: int) -> pygame.font.Font:
    """pygame's own font; made once for each size."""
    return pygame.font.Font(None, size + 4)


@lru_cache(maxsize=8)
def ruler(size: int) -> Ruler:
    """What measures text in that size."""
    return Ruler(font(size))


def forget_fonts() -> None:
    """Before pygame's fonts are shut down: none of them may be used again."""
    ruler.cache_clear()
    font.cache_clear()


def write(
    surface: pygame.Surface,
    text: str,
    at: tuple[int, int],
    *,
    size: int = NORMAL,
    colour: Colour = INK,
    centred: bool = False,
) -> pygame.Rect:
    """Draw a line of text.

    :param at: its upper left corner, or the middle of its upper edge if it is *centred*.
    :returns: where it is.
    """
    drawn = inked(font(size), text, colour)
    rect = drawn.get_rect(midtop=at) if centred else drawn.get_rect(topleft=at)
    surface.blit(drawn, rect)
    return rect


@lru_cache(maxsize=256)
def wrapped(text: str, width: int, size: int = NORMAL) -> tuple[str, ...]:
    """*text* in lines of at most *width* pixels; a word that is longer is cut."""
    return tuple(ruler(size).lines(text, width))


def write_lines(
    surface: pygame.Surface,
    text: str,
    at: tuple[int, int],
    width: int,
    *,
    size: int = NORMAL,
    colour: Colour = INK,
    centred: bool = False,
) -> int:
    """Draw text in as many lines as it needs.

    :returns: where the next line would begin, in pixels from the top.
    """
    x, y = at
    for line in wrapped(text, width, size):
        write(surface, line, (x, y), size=size, colour=colour, centred=centred)
        y += font(size).get_linesize()
    return y


def shade(surface: pygame.Surface, rect: pygame.Rect, opacity: int = 190) -> None:
    """Darken a part of what is drawn already, so that text on it can be read."""
    veil = pygame.Surface(rect.size, pygame.SRCALPHA)
    veil.fill((*NIGHT, opacity))
    surface.blit(veil, rect)


def fitting(text: str, width: int) -> str:
    """*text*, cut with dots where it has no room."""
    measure = ruler(NORMAL)
    if measure.width(text) <= width:
        return text
    return text[: measure.room(text, width - measure.width(DOTS))] + DOTS

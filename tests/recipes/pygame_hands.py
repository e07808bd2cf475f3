"""Hands at the window of pygame-ce: ``python -m tests.recipes.pygame_hands PLAY ADDRESS``."""

from __future__ import annotations

import sys
from typing import Any

import pygame
import pygame_window

from tests.recipes.play import begin

LINES = 8


class Hands:
    """At the window's keyboard."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.visit = window.visit

    def hold(self, button: int) -> None:
        _post(pygame.KEYDOWN, key=_key(button))

    def release(self, button: int) -> None:
        _post(pygame.KEYUP, key=_key(button))

    def type(self, text: str) -> None:
        for character in f"{text}!":
            _post(pygame.TEXTINPUT, text=character)
        _post(pygame.KEYDOWN, key=pygame.K_BACKSPACE)
        _post(pygame.KEYDOWN, key=pygame.K_RETURN)

    def close(self) -> None:
        _post(pygame.QUIT)

    def somebody_at(self, place: tuple[float, float]) -> bool:
        found = self.window.screen.get_at(pygame_window.to_screen(place))
        return bool(found == pygame.Color(pygame_window.OTHERS))

    def shows(self, line: str) -> bool:
        words = self.window.font.render(line, True, pygame_window.WORDS)
        wanted = pygame.Surface(words.get_size())
        wanted.fill(pygame_window.GRASS)
        wanted.blit(words, (0, 0))
        rows = [words.get_rect(topleft=(10, 10 + 22 * row)) for row in range(LINES)]
        screen = self.window.screen
        return any(_pixels(screen.subsurface(row)) == _pixels(wanted) for row in rows)


class Window(pygame_window.Window):  # type: ignore[misc]
    """The recipe's, with hands at it once a frame is drawn."""

    def __init__(self, visit: Any) -> None:
        super().__init__(visit)
        self._play = begin(name, Hands(self), *arguments)

    def draw(self) -> None:
        super().draw()
        self._play.step()


def _post(kind: int, **fields: object) -> None:
    pygame.event.post(pygame.event.Event(kind, fields))


def _key(button: int) -> int:
    return next(key for key, found in pygame_window.KEYS.items() if found == button)


def _pixels(surface: pygame.Surface) -> bytes:
    return bytes(pygame.image.tobytes(surface, "RGB"))


name, *arguments = sys.argv[1:]
sys.argv[1:] = ["ada", arguments[0]]
pygame_window.Window = Window
pygame_window.main()

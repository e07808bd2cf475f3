"""Hands at the window of arcade: ``python -m tests.recipes.arcade_hands PLAY ADDRESS``."""

from __future__ import annotations

import sys
from typing import Any

import arcade
import arcade_window
import pyglet

from tests.recipes.play import begin


class Hands:
    """At the window's keyboard."""

    def __init__(self, window: Any) -> None:
        self.window = window
        self.visit = window.visit

    def hold(self, button: int) -> None:
        self.window.dispatch_event("on_key_press", _key(button), 0)

    def release(self, button: int) -> None:
        self.window.dispatch_event("on_key_release", _key(button), 0)

    def type(self, text: str) -> None:
        for character in f"{text}!":
            self.window.dispatch_event("on_text", character)
        self.window.dispatch_event("on_key_press", arcade.key.BACKSPACE, 0)
        self.window.dispatch_event("on_text", "\r")

    def close(self) -> None:
        self.window.dispatch_event("on_close")

    def somebody_at(self, place: tuple[float, float]) -> bool:
        x, y = (round(part * arcade_window.SCALE) for part in place)
        return bool(arcade.get_pixel(x, y) == arcade_window.OTHERS.rgb)

    def shows(self, line: str) -> bool:
        words = self.window.words
        return line in words.text.split("\n") and self._is_drawn(words)

    def _is_drawn(self, words: arcade.Text) -> bool:
        """Whether something of its colour is where a text is."""
        width, height = words.content_width, words.content_height
        top = round(words.y) + 20
        image = arcade.get_image(round(words.x), top - height, width, height)
        return arcade_window.WORDS.rgb in {pixel[:3] for _, pixel in image.getcolors(1 << 24)}


class PlazaWindow(arcade_window.PlazaWindow):  # type: ignore[misc]
    """The recipe's, with hands at it once a frame is drawn."""

    def __init__(self, visit: Any) -> None:
        super().__init__(visit)
        self._play = begin(name, Hands(self), *arguments)

    def on_draw(self) -> None:
        super().on_draw()
        self._play.step()


def _key(button: int) -> int:
    return next(key for key, found in arcade_window.KEYS.items() if found == button)


# Without a screen arcade has a loop of its own, which handles no events; pyglet's does.
arcade.run = lambda: pyglet.app.run(None)
name, *arguments = sys.argv[1:]
sys.argv[1:] = ["ada", arguments[0]]
arcade_window.PlazaWindow = PlazaWindow
arcade_window.main()

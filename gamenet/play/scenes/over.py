"""How it ended, and what can be done about it.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pygame

from gamenet.play.backdrop import draw_backdrop
from gamenet.play.controls import Action
from gamenet.play.stage import Scene, Stage, Wish
from gamenet.play.widgets import Button, Form
from gamenet.play.writing import FAINT, INK, LARGE, WRONG, write, write_lines

if TYPE_CHECKING:
    from gamenet.play.endings import Over


class OverScene(Scene):
    """The last screen of a stay.

    :param wish: of the stay that is over.
    """

    def __init__(self, stage: Stage, wish: Wish, over: Over) -> None:
        super().__init__(stage)
        self._wish = wish
        self.over = over
        self.form = Form(
            [
                Button("Join again", self.retry),
                Button("Back to the join screen", self.back),
                Button("Quit", stage.quit),
            ]
        )

    def retry(self) -> None:
        """Join the same server again."""
        self.stage.to_join(self._wish, at_once=True)

    def back(self) -> None:
        """To where another server can be chosen."""
        self.stage.to_join(self._wish)

    def handle(self, event: pygame.event.Event, action: Action | None) -> None:
        if action is Action.BACK:
            self.back()
        else:
            self.form.handle(event, action)

    def update(self, now: float) -> None:
        """Nothing happens here any more."""

    def draw(self, surface: pygame.Surface, now: float) -> None:
        draw_backdrop(surface, self.stage.view, now)
        width, height = surface.get_size()
        middle = width // 2
        write(surface, "The game is over", (middle, height // 5), size=LARGE, centred=True)
        y = height // 5 + 70
        colour = INK if self.over.orderly else WRONG
        y = write_lines(
            surface, self.over.text, (middle, y), width - 80, colour=colour, centred=True
        )
        if self.over.unheard:
            lost = "One line" if self.over.unheard == 1 else f"{self.over.unheard} lines"
            y = write_lines(
                surface,
                f"{lost} that you said may not have been heard.",
                (middle, y + 6),
                width - 80,
                colour=FAINT,
                centred=True,
            )
        self.form.draw(surface, pygame.Rect(middle - 140, y + 24, 280, 0))

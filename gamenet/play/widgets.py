"""The few things that screens are made of: fields, buttons, and a form of them.

Layer 4. Runs on: the game thread. Needs pygame-ce.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pygame

from gamenet.play.controls import Action
from gamenet.play.lettering import inked
from gamenet.play.writing import (
    ACCENT,
    EDGE,
    FAINT,
    INK,
    NIGHT,
    NORMAL,
    PANEL,
    SMALL,
    WRONG,
    Colour,
    fitting,
    font,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ROW: Final = 34
"""Height of a field or a button, in pixels."""


class Widget:
    """Something in a form that can have the focus."""

    height = ROW

    def __init__(self, label: str) -> None:
        self.label = label
        self.rect = pygame.Rect(0, 0, 0, 0)

    def handle(self, event: pygame.event.Event) -> None:
        """An event while it has the focus."""

    def press(self) -> None:
        """It was clicked, or confirmed."""

    def draw(self, surface: pygame.Surface, *, focused: bool) -> None:
        """Draw it at its ``rect``."""
        raise NotImplementedError


class Button(Widget):
    """Something to press.

    :param action: what is called then.
    """

    def __init__(self, label: str, action: Callable[[], object]) -> None:
        super().__init__(label)
        self._action = action

    def press(self) -> None:
        self._action()

    def draw(self, surface: pygame.Surface, *, focused: bool) -> None:
        pygame.draw.rect(surface, PANEL, self.rect, border_radius=6)
        pygame.draw.rect(
            surface, ACCENT if focused else EDGE, self.rect, 3 if focused else 1, border_radius=6
        )
        shown = fitting(self.label, self.rect.width - 20)
        top = self.rect.centery - font(NORMAL).get_height() // 2
        write(surface, shown, (self.rect.centerx, top), centred=True)


class CheckBox(Widget):
    """Something that is so or not."""

    height = 26

    def __init__(self, label: str, checked: bool) -> None:
        super().__init__(label)
        self.checked = checked

    def press(self) -> None:
        self.checked = not self.checked

    def draw(self, surface: pygame.Surface, *, focused: bool) -> None:
        box = pygame.Rect(self.rect.x + 2, self.rect.centery - 9, 18, 18)
        pygame.draw.rect(surface, PANEL, box, border_radius=4)
        pygame.draw.rect(
            surface, ACCENT if focused else EDGE, box, 3 if focused else 1, border_radius=4
        )
        if self.checked:
            pygame.draw.lines(
                surface, INK, False, [box.move(4, 9).topleft, box.move(8, 13).topleft,
                                      box.move(14, 4).topleft], 3)  # fmt: skip
        top = self.rect.centery - font(SMALL).get_height() // 2
        write(surface, self.label, (box.right + 10, top), size=SMALL)


class TextField(Widget):
    """A line of text to be typed.

    :param most: characters that it takes; more are not typed.
    :param secret: show dots instead.
    """

    height = ROW + 18

    def __init__(
        self, label: str, text: str = "", *, most: int, secret: bool = False, hint: str = ""
    ) -> None:
        super().__init__(label)
        self.text = text[:most]
        self.hint = hint
        self.problem = ""
        """What is wrong with it, as a sentence; "" is nothing."""
        self._most = most
        self._secret = secret

    def type(self, text: str) -> None:
        """Add to the end, as far as there is room."""
        # No more is looked at than may come of it: a clipboard can hold a whole film.
        start = text[: 2 * self._most]
        typed = "".join(character for character in start if character.isprintable())
        self.text = (self.text + typed)[: self._most]

    def handle(self, event: pygame.event.Event) -> None:
        if event.type == pygame.TEXTINPUT:
            self.type(event.text)
        elif event.type == pygame.KEYDOWN and event.key == pygame.K_BACKSPACE:
            self.text = "" if event.mod & pygame.KMOD_CTRL else self.text[:-1]
        elif (
            event.type == pygame.KEYDOWN
            and event.key == pygame.K_v
            and event.mod & (pygame.KMOD_CTRL | pygame.KMOD_META)
        ):
            self.type(_clipboard())

    def draw(self, surface: pygame.Surface, *, focused: bool) -> None:
        write(surface, self.label, self.rect.topleft, size=SMALL, colour=FAINT)
        box = pygame.Rect(self.rect.x, self.rect.y + 18, self.rect.width, ROW)
        edge = ACCENT if focused else WRONG if self.problem else EDGE
        draw_typed(surface, box, self._shown(), edge=edge, focused=focused, hint=self.hint)

    def _shown(self) -> str:
        return "\N{BULLET}" * len(self.text) if self._secret else self.text


def draw_typed(
    surface: pygame.Surface,
    box: pygame.Rect,
    text: str,
    *,
    edge: Colour,
    focused: bool,
    hint: str = "",
) -> None:
    """A box with what was typed so far: its end, where all of it has no room."""
    pygame.draw.rect(surface, NIGHT, box, border_radius=6)
    pygame.draw.rect(surface, edge, box, 3 if focused else 1, border_radius=6)
    inner = box.inflate(-20, 0)
    drawn = inked(font(NORMAL), text or hint, INK if text else EDGE)
    top = inner.centery - drawn.get_height() // 2
    clip = surface.get_clip()
    surface.set_clip(inner.clip(clip))
    left = min(inner.x, inner.right - 4 - drawn.get_width()) if text else inner.x
    surface.blit(drawn, (left, top))
    surface.set_clip(clip)
    if focused:
        x = left + drawn.get_width() + 1 if text else inner.x
        pygame.draw.line(surface, INK, (x, top), (x, top + drawn.get_height()), 2)


class Form:
    """Widgets below each other, of which one has the focus."""

    def __init__(self, widgets: Sequence[Widget] = ()) -> None:
        self.widgets = list(widgets)
        self.focus = 0

    @property
    def focused(self) -> Widget | None:
        """The widget that hears what is typed."""
        return self.widgets[self.focus] if self.focus < len(self.widgets) else None

    def handle(self, event: pygame.event.Event, action: Action | None) -> None:
        """Move the focus, press something, or pass the event on."""
        is_tab = event.type == pygame.KEYDOWN and event.key == pygame.K_TAB
        if action is Action.UP or (is_tab and event.mod & pygame.KMOD_SHIFT):
            self._move(-1)
        elif action is Action.DOWN or is_tab:
            self._move(1)
        elif self.focused is not None and (action is Action.CONFIRM or self._is_space(event)):
            self.focused.press()
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._clicked(event.pos)
        elif self.focused is not None:
            self.focused.handle(event)

    def _is_space(self, event: pygame.event.Event) -> bool:
        """Whether the space bar was pressed, and not to type."""
        is_space = event.type == pygame.KEYDOWN and event.key == pygame.K_SPACE
        return is_space and not isinstance(self.focused, TextField)

    def _move(self, by: int) -> None:
        if self.widgets:
            self.focus = (self.focus + by) % len(self.widgets)

    def _clicked(self, at: tuple[int, int]) -> None:
        for index, widget in enumerate(self.widgets):
            if widget.rect.collidepoint(at):
                self.focus = index
                if not isinstance(widget, TextField):
                    widget.press()
                return

    def draw(
        self,
        surface: pygame.Surface,
        area: pygame.Rect,
        widgets: Sequence[Widget] | None = None,
        gap: int = 8,
    ) -> int:
        """Draw widgets from the top of *area* down.

        :param widgets: some of the form's, for one with columns; by default all.
        :returns: where the next one would be, in pixels from the top.
        """
        y = area.y
        for widget in self.widgets if widgets is None else widgets:
            widget.rect = pygame.Rect(area.x, y, area.width, widget.height)
            widget.draw(surface, focused=widget is self.focused)
            y += widget.height + gap
        return y


def _clipboard() -> str:
    try:
        return pygame.scrap.get_text()
    except pygame.error:
        return ""  # none on this machine, or nothing readable in it

"""Text, fields, buttons and forms."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.play import theatre  # noqa: F401 - which says how pygame is to be loaded

import pygame  # isort: skip

from gamenet.play import widgets, writing
from gamenet.play.controls import Action
from gamenet.play.widgets import Button, CheckBox, Form, TextField
from gamenet.play.writing import font, wrapped


def key(number: int, mod: int = 0) -> pygame.event.Event:
    return pygame.event.Event(pygame.KEYDOWN, key=number, mod=mod)


class DrawnCase(SynchronousTestCase):
    """There is a font, and something to draw on."""

    def setUp(self) -> None:
        pygame.font.init()
        self.addCleanup(pygame.font.quit)
        self.addCleanup(writing.forget_fonts)
        self.surface = pygame.Surface((400, 300))


class WrappingTests(DrawnCase):
    """Lines of text."""

    def test_every_line_fits_and_no_word_is_lost(self) -> None:
        text = "the quick brown fox jumps over the lazy dog " * 3
        lines = wrapped(text, 120)
        self.assertGreater(len(lines), 3)
        self.assertEqual(" ".join(lines).split(), text.split())
        for line in lines:
            self.assertLessEqual(font(writing.NORMAL).size(line)[0], 120)

    def test_a_word_without_end_is_cut(self) -> None:
        lines = wrapped("x" * 500, 100)
        self.assertEqual("".join(lines), "x" * 500)
        for line in lines:
            self.assertLessEqual(font(writing.NORMAL).size(line)[0], 100)

    def test_where_nothing_fits_there_is_a_character_a_line(self) -> None:
        self.assertEqual(wrapped("abc", 1), ("a", "b", "c"))

    def test_nothing_is_no_line(self) -> None:
        self.assertEqual(wrapped("   ", 100), ())

    def test_what_has_no_width_is_drawn_as_nothing(self) -> None:
        rect = writing.write(self.surface, "\u200d\u200d\0", (10, 10))
        self.assertEqual(rect.width, 0)

    @given(st.text(max_size=60))
    def test_any_text_can_be_drawn(self, text: str) -> None:
        pygame.font.init()
        writing.write_lines(pygame.Surface((100, 100)), text, (0, 0), 80)

    def test_what_pygame_has_no_picture_of_is_drawn_as_nothing(self) -> None:
        for text in ("", "\0", "\u200b", "\u034f", "\ud800", "\u200d" * 90):
            self.assertEqual(widgets.write(self.surface, text, (5, 5)).width, 0, repr(text))


class FieldTests(DrawnCase):
    """What is typed."""

    def test_it_takes_what_is_typed_up_to_its_length(self) -> None:
        field = TextField("Name", most=5)
        field.handle(pygame.event.Event(pygame.TEXTINPUT, text="abc"))
        field.handle(pygame.event.Event(pygame.TEXTINPUT, text="d\ne\x1bfg"))
        self.assertEqual(field.text, "abcde")
        field.handle(key(pygame.K_BACKSPACE))
        self.assertEqual(field.text, "abcd")
        field.handle(key(pygame.K_BACKSPACE, pygame.KMOD_LCTRL))
        self.assertEqual(field.text, "")

    def test_it_takes_what_is_pasted(self) -> None:
        field = TextField("Address", most=100)
        for found, text in (("a\nb", "ab"), (pygame.error("none"), "ab")):

            def get_text(found: Any = found) -> str:
                if isinstance(found, Exception):
                    raise found
                return str(found)

            self.patch(pygame.scrap, "get_text", get_text)
            field.handle(key(pygame.K_v, pygame.KMOD_LCTRL))
            self.assertEqual(field.text, text)
        field.handle(key(pygame.K_v))
        self.assertEqual(field.text, "ab")

    def test_no_more_of_a_film_in_the_clipboard_is_looked_at_than_there_is_room_for(self) -> None:
        looked: list[str] = []

        class Film(str):
            def __getitem__(self, part: Any) -> str:
                looked.append(str.__getitem__(self, part))
                return looked[-1]

            def __iter__(self) -> Any:
                raise AssertionError("all of it is looked at")

        field = TextField("Name", most=4)
        field.type(Film("x" * 1_000_000))
        self.assertEqual((field.text, [len(each) for each in looked]), ("xxxx", [8]))

    def test_a_secret_is_not_shown(self) -> None:
        drawn: list[str] = []
        real = widgets.draw_typed

        def draw(surface: Any, box: Any, text: str, **how: Any) -> None:
            drawn.append(text)
            real(surface, box, text, **how)

        self.patch(widgets, "draw_typed", draw)
        field = TextField("Password", "hunter2", most=20, secret=True)
        field.rect = pygame.Rect(0, 0, 200, 50)
        field.draw(self.surface, focused=True)
        self.assertEqual(drawn, ["\N{BULLET}" * 7])


class FormTests(DrawnCase):
    """One widget has the focus."""

    def setUp(self) -> None:
        super().setUp()
        self.pressed: list[str] = []
        self.box = CheckBox("really", False)
        self.field = TextField("Name", most=10)
        self.form = Form(
            [
                self.field,
                self.box,
                Button("one", lambda: self.pressed.append("one")),
                Button("two", lambda: self.pressed.append("two")),
            ]
        )
        self.form.draw(self.surface, pygame.Rect(10, 10, 200, 0))

    def test_keys_move_the_focus_around(self) -> None:
        for event, action, focus in (
            (key(pygame.K_DOWN), Action.DOWN, 1),
            (key(pygame.K_TAB), None, 2),
            (key(pygame.K_TAB, pygame.KMOD_LSHIFT), None, 1),
            (key(pygame.K_UP), Action.UP, 0),
            (key(pygame.K_UP), Action.UP, 3),
        ):
            self.form.handle(event, action)
            self.assertEqual(self.form.focus, focus)
        self.form.handle(key(pygame.K_RETURN), Action.CONFIRM)
        self.assertEqual(self.pressed, ["two"])

    def test_the_space_bar_presses_what_is_no_field(self) -> None:
        space = key(pygame.K_SPACE)
        self.form.handle(space, None)
        self.form.focus = 1
        self.form.handle(space, None)
        self.assertEqual((self.box.checked, self.field.text), (True, ""))

    def test_a_click_presses_what_is_there(self) -> None:
        for widget in (self.form.widgets[2], self.box, self.field):
            self.form.handle(
                pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=widget.rect.center), None
            )
            self.assertIs(self.form.focused, widget)
        self.assertEqual((self.pressed, self.box.checked), (["one"], True))
        self.form.handle(pygame.event.Event(pygame.MOUSEBUTTONDOWN, button=1, pos=(399, 299)), None)
        self.form.handle(pygame.event.Event(pygame.TEXTINPUT, text="hi"), None)
        self.assertEqual(self.field.text, "hi")

    def test_widgets_stand_below_each_other(self) -> None:
        bottoms = [widget.rect.bottom for widget in self.form.widgets]
        tops = [widget.rect.top for widget in self.form.widgets]
        self.assertEqual([b + 8 for b in bottoms[:-1]], tops[1:])

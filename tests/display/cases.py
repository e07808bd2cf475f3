"""The window of the game, as who sits before it sees it, beside what the server says."""

from __future__ import annotations

import signal
import tempfile
import unittest
from functools import partial
from pathlib import Path
from typing import Final

from gamenet.play.writing import LARGE, NORMAL
from tests.display.screen import Screen
from tests.display.stage import Placed, bots, game, heroes, wait_for, walker
from tests.display.window import Window
from tests.live.daemon import Daemon
from tests.play.looking import pixels

SIZE: Final = (960, 540)
GUESTS: Final = {
    "bea": ((35, 16), "This way"),
    "cyd": ((41, 16), ""),
    "dan": ((41, 13), ""),
}
"""Where they walk to, all of it in view of where ada starts, and what they say."""
NAME: Final = "ada"


class WindowCase(unittest.TestCase):
    """A server, and a window in which ada plays."""

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.screen = cls.enterClassContext(Screen(SIZE))
        cls.server = cls.enterClassContext(Daemon(folder))
        cls.ada = cls.enterClassContext(game(cls.server, cls.screen, folder, NAME, SIZE))
        cls.window = cls.enterClassContext(Window(cls.screen, cls.server, SIZE, NAME))
        cls.window.wait_until_drawn(NAME)


class FieldTests(WindowCase):
    """What is in the window, and what keys do, with others around and bots who walk about."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.guests = {
            name: cls.enterClassContext(walker(cls.server, name, *place, text))
            for name, (place, text) in GUESTS.items()
        }
        cls.enterClassContext(bots(cls.server, 5))
        for guest in cls.guests.values():
            guest.wait_for("there")

    def test_heroes_are_drawn_where_the_server_says(self) -> None:
        for name in (NAME, "bea", "cyd"):
            self.window.wait_until_drawn(name)
        # Each of them at its own place: it is not so that all of them are everywhere.
        found, picture = heroes(self.server), self.screen.picture()
        moved = found["bea"]._replace(x=found["cyd"].x, y=found["cyd"].y)
        self.assertFalse(self.window.is_drawn(picture, moved, found[NAME]))

    def test_who_has_left_is_no_longer_drawn(self) -> None:
        self.window.wait_until_drawn("dan")
        found = heroes(self.server)
        self.guests["dan"].leave()
        wait_for(
            "nobody where dan was",
            lambda: not self.window.is_drawn(self.screen.picture(), found["dan"], found[NAME]),
        )

    def test_what_is_said_is_in_a_bubble_over_who_says_it(self) -> None:
        _, text = GUESTS["bea"]
        self.window.wait_until_drawn("bea")
        at = wait_for("the bubble", lambda: self.window.where_is_said(text))
        found = heroes(self.server)
        x, y = self.window.pixel_of(found["bea"], found[NAME])
        self.assertLess(abs(at[0] - x), 8)
        self.assertTrue(y - 130 < at[1] < y - 70, (at, y))
        self.assertIsNone(self.window.where_is_said(text[::-1]))

    def test_what_is_typed_is_heard_by_others(self) -> None:
        self.screen.press("Return")
        self.screen.write("Hello from the window")
        self.screen.press("Return")
        wait_for("the bubble", lambda: self.window.where_is_said("Hello from the window"))
        self.guests["cyd"].wait_for(f"heard {NAME} Hello from the window")


class KeyTests(WindowCase):
    """The hero walks, and the window goes, when the player wants it to."""

    def test_keys_move_ones_hero_and_the_menu_ends_the_game(self) -> None:
        for key, way in (("Up", -1), ("Down", 1)):
            start = heroes(self.server)[NAME]
            self.screen.hold(key)
            try:
                wait_for(f"ada further {key}", partial(self.has_moved, start, way))
            finally:
                self.screen.let_go(key)
            self.window.wait_until_drawn(NAME)
            self.assertEqual(heroes(self.server)[NAME].x, start.x)
        self.screen.press("Escape", "Down", "Down", "Return")
        self.assertEqual(self.ada.end(), 0, self.ada.complaints())
        wait_for("an empty display", lambda: not any(pixels(self.screen.picture())[::4]))
        self.assertNotIn("Traceback", self.ada.complaints())

    def has_moved(self, start: Placed, way: int) -> bool:
        """Whether ada is more than a tile further down, or up if *way* is -1."""
        return way * (heroes(self.server)[NAME].y - start.y) > 1


class ServerTests(WindowCase):
    """What is seen of a server that stops."""

    def test_the_end_of_the_server_is_said_and_the_window_closes(self) -> None:
        self.server.signal(signal.SIGTERM)
        wait_for("the last screen", lambda: self.window.shows("The game is over", LARGE))
        self.assertFalse(self.window.shows("The game goes on", LARGE))
        reason = "The server is shutting down."
        self.assertTrue(self.window.shows(reason, NORMAL), self.ada.complaints())
        self.screen.press("Down", "Down", "Return")
        self.assertEqual(self.ada.end(), 0, self.ada.complaints())
        self.assertIn(reason, self.ada.complaints())
        self.assertNotIn("Traceback", self.ada.complaints())

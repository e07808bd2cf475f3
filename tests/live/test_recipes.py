"""The recipes of the book that need nothing large: pygame-ce, a terminal, a Twisted tree."""

from __future__ import annotations

import json
import os
import signal
from typing import ClassVar
from urllib.error import HTTPError
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.live.daemon import environment
from tests.recipes.stage import RECIPES, Program, WindowCases, address_of, hands, plaza
from tests.recipes.terminals import Terminal, column_of

RIGHT, CTRL_C, CTRL_D = "\x1b[C", "\x03", "\x04"
BACK = "\x1b[?25h\x1b[?1049l"
"""What gives a terminal its cursor and its own screen back."""


class PygameTests(WindowCases, SynchronousTestCase):
    engine = "pygame"
    recipe = "pygame_window.py"
    package = "pygame"
    told = "This needs pygame-ce: pip install pygame-ce"
    headless: ClassVar = {"SDL_VIDEODRIVER": "dummy"}
    no_display: ClassVar = {"SDL_VIDEODRIVER": "x11"}

    def test_it_closes_while_the_server_stands_still(self) -> None:
        with plaza() as server:
            frozen = "frozen", address_of(server), str(server.pid)
            with hands("pygame", *frozen, **self.headless) as window:
                status, out, err = window.rest()
            os.kill(server.pid, signal.SIGCONT)
        self.assertEqual((status, out.splitlines()[-1:]), (0, ["closing"]), err)


class TerminalTests(SynchronousTestCase):
    def test_two_see_each_other_walk_and_talk_until_the_server_ends(self) -> None:
        with plaza() as server:
            address = address_of(server)
            with (
                Terminal("terminal.py", "ada", address) as ada,
                Terminal("terminal.py", "bob", address) as bob,
                Terminal("terminal.py", "eve", address) as eve,
            ):
                ada.until(lambda: min(column_of(letter, ada) for letter in "@be") > 0)
                eve.press(CTRL_C)
                self.assertEqual((eve.status(), eve.as_it_was), (130, True))
                ada.until(lambda: column_of("e", ada) < 0)

                start, seen = column_of("@", bob), column_of("b", ada)
                bob.press(RIGHT[:2])
                bob.until(lambda: column_of("@", bob) == start)
                bob.press(RIGHT[2:])
                bob.until(lambda: column_of("@", bob) > start)
                ada.until(lambda: column_of("b", ada) > seen)
                bob.press("good\x1b[5~ morninh\x7fg\n")
                ada.until(lambda: "bob: good morning" in ada.screen)
                bob.press(CTRL_D)
                self.assertEqual((bob.status(), bob.as_it_was), (0, True))
                self.assertTrue(bob.out.endswith(BACK))

                server.end()
                self.assertEqual((ada.status(), ada.as_it_was), (0, True))
                after = ada.out.rpartition(BACK)[2].strip()
                self.assertEqual(after, "It is over: the server is shutting down")
                self.assertNotIn("Traceback", ada.out + bob.out + eve.out)

    def test_without_a_terminal_it_says_so(self) -> None:
        with Program("terminal.py", cwd=RECIPES) as program:
            status, out, err = program.rest()
        self.assertEqual((status, out, err), (1, "", "This is to be played in a terminal\n"))


class ServiceTreeTests(SynchronousTestCase):
    def test_players_and_a_web_site_share_the_game_without_a_thread(self) -> None:
        here = "tcp:0:interface=127.0.0.1"
        twistd = "from twisted.scripts.twistd import run; run()"
        # As the installed script runs: the working directory is not searched, unless asked for.
        command = "-P", "-c", twistd, "-n", "--pidfile=", "-y", "service_tree.py"
        path = os.pathsep.join((".", environment()["PYTHONPATH"]))
        settings = {"PYTHONPATH": path, "PLAZA_LISTEN": here, "PLAZA_WEB": here}
        with Program(*command, cwd=RECIPES, **settings) as tree:
            port = tree.line_with(r"Site starting on (\d+)")[1]
            page = f"http://127.0.0.1:{port}/"
            with urlopen(page) as answer:
                self.assertEqual(answer.headers["Content-Type"], "application/json")
                found = json.load(answer)
            self.assertEqual(found["places"], {})

            dummy = {"SDL_VIDEODRIVER": "dummy"}
            with hands("pygame", "together", found["address"], **dummy) as window:
                window.line_with("played")
                with urlopen(page) as answer:
                    self.assertEqual(set(json.load(answer)["places"]), {"ada", "bob"})
                with urlopen(page, data=b"back in an hour") as answer:
                    self.assertEqual(answer.read(), b"said\n")
                with self.assertRaises(HTTPError) as refused, urlopen(page, data=b"\x07"):
                    pass
                refused.exception.close()
                self.assertEqual(refused.exception.code, 400)
                tree.end()
                status, out, err = window.rest()
            self.assertEqual(status, 0, out + err)
            self.assertIn("back in an hour", json.loads(out))
            status, out, _ = tree.rest()
        # Twisted ends by the signal that it was sent, once all services have stopped.
        self.assertEqual(status, -signal.SIGTERM, out)
        self.assertNotIn("Traceback", out)

"""Processes of the recipes, and what is true of every window of theirs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, ClassVar, Self

from tests.live.daemon import environment

ROOT = Path(__file__).resolve().parent.parent.parent
RECIPES = ROOT / "examples" / "recipes"
# Longer than anything here takes on the slowest machine: it only ends what hangs.
HANGS_SECONDS = 100


class Program:
    """A process, killed at the end of a ``with`` block.

    :param arguments: of Python.
    :param settings: of its environment.
    """

    def __init__(self, *arguments: str, cwd: Path = ROOT, **settings: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=cwd,
            env={**environment(), **settings},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._hangs = threading.Timer(HANGS_SECONDS, self._process.kill)

    def __enter__(self) -> Self:
        self._hangs.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._hangs.cancel()
        self._process.kill()
        self._process.communicate()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    def line_with(self, pattern: str) -> re.Match[str]:
        """What matches in the next line that has it.

        :raises AssertionError: if the output ends before.
        """
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no {pattern!r} before the end: {self._process.communicate()}")

    def end(self) -> None:
        """Ask it to end, as a service manager does."""
        self._process.terminate()

    def rest(self) -> tuple[int, str, str]:
        """Its exit status, and what it has printed since, once it has ended."""
        out, err = self._process.communicate()
        return self._process.returncode, out, err


def plaza() -> Program:
    """The server as its listing has it, on a port of this machine that is free."""
    listing = (RECIPES / "plaza.py").read_text(encoding="utf-8")
    # Who does not say that they leave is waited for, longer than any test.
    here = listing.replace("gamenet.serve(main, ", "gamenet.serve(main, 0, resume_seconds=3600, ")
    assert here != listing
    return Program("-c", here, cwd=RECIPES)


def address_of(server: Program) -> str:
    """Where it listens."""
    return server.line_with(r"listening on (\S+)")[1]


def hands(engine: str, play: str, *arguments: str, **settings: str) -> Program:
    """A window of a recipe that nobody sees, with hands at it."""
    path = os.pathsep.join((str(RECIPES), environment()["PYTHONPATH"]))
    module = f"tests.recipes.{engine}_hands"
    return Program("-m", module, play, *arguments, PYTHONPATH=path, **settings)


class WindowCases:
    """What is true of every window. For a ``TestCase`` beside it."""

    engine = ""
    """Of the ``_hands`` module."""
    recipe = ""
    """Its file."""
    package = ""
    """What it imports first."""
    told = ""
    """What is to be installed, as the recipe says it."""
    headless: ClassVar[dict[str, str]] = {}
    """What has the engine need no display."""
    no_display: ClassVar[dict[str, str]] = {}
    """What has it find none."""

    def test_two_see_each_other_walk_and_talk_until_the_server_ends(self: Any) -> None:
        with plaza() as server:
            with hands(self.engine, "together", address_of(server), **self.headless) as window:
                window.line_with("played")
                server.end()
                status, out, err = window.rest()
            self.assertEqual((status, server.rest()[0]), (0, 0), out + err)
        lines = json.loads(out)
        self.assertIn("ada: and a good day", lines)
        self.assertEqual(lines[-1], "It is over: the server is shutting down")
        self.assertNotIn("Traceback", err)

    def test_a_server_that_is_not_there_is_a_sentence_in_the_window(self: Any) -> None:
        with hands(self.engine, "alone", "127.0.0.1:1", **self.headless) as window:
            status, out, err = window.rest()
        self.assertEqual(status, 0, out + err)
        joining, over, _ = json.loads(out.splitlines()[-1])
        self.assertEqual(joining, "Joining ...")
        self.assertRegex(over, r"^It is over: \S+")
        self.assertNotIn("Traceback", err)

    def test_without_its_library_it_says_what_to_install(self: Any) -> None:
        without = f"import sys, runpy; sys.modules[{self.package!r}] = None; "
        without += f"sys.path.insert(0, '.'); runpy.run_path({self.recipe!r}, run_name='__main__')"
        with Program("-c", without, cwd=RECIPES) as window:
            status, out, err = window.rest()
        self.assertEqual((status, out, err.strip()), (1, "", self.told))

    def test_without_a_display_it_says_so(self: Any) -> None:
        with Program(self.recipe, cwd=RECIPES, **{"DISPLAY": "", **self.no_display}) as window:
            status, _, err = window.rest()
        self.assertEqual(status, 1)
        self.assertRegex(err, r"(?m)^No window can be opened: \S.*$")
        self.assertNotIn("Traceback", err)

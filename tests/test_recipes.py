"""
The recipes as far as they show without a window.

A visit to their plaza in virtual time is what windows draw over a bad network. ``tests/live`` and
``make test-recipes`` play the recipes themselves.
"""

from __future__ import annotations

import io
import os
import re
import sys
from math import dist
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.testing import Simulation
from tests import apt
from tests.recipes import __main__ as command
from tests.recipes.stage import RECIPES, ROOT

FRAME_SECONDS = 1 / 60
LOST, BACK = "The connection is lost. Please wait ...", "Back again."


class VisitTests(SynchronousTestCase):
    def setUp(self) -> None:
        sys.path.insert(0, str(RECIPES))
        self.addCleanup(sys.path.remove, str(RECIPES))
        import plaza
        import visit

        self.plaza: Any = plaza
        self.client_from: Any = visit.client_from
        self.simulation = Simulation(plaza.main, clients=["ada", "bob"], profile="wifi", seed=8)
        self.addCleanup(self.simulation.close)
        self.ada, self.bob = (visit.Visit(client) for client in self.simulation.clients)
        self.frames(60)

    def frames(self, count: int, buttons: int = 0) -> list[tuple[Any, Any]]:
        """Where ada sees herself, and bob sees her, while she holds buttons."""
        seen = []
        for _ in range(count):
            now = self.simulation.time
            self.ada.update(buttons, now)
            self.bob.update(0, now)
            seen.append((self.ada.places.get("ada"), self.bob.places.get("ada")))
            self.simulation.run(FRAME_SECONDS)
        return seen

    def test_one_walks_at_once_and_is_seen_to_walk_smoothly(self) -> None:
        start = self.ada.places["ada"]
        own, others = zip(*self.frames(60, self.plaza.RIGHT), strict=True)
        # Long before the server has heard of it.
        self.assertGreater(own[4][0], start[0])
        self.assertEqual(others[4], start)
        self.frames(60)
        self.assertEqual(self.ada.places["ada"], self.bob.places["ada"])
        self.assertEqual(self.ada.places["ada"], self.simulation_place())
        step = 1.05 * self.plaza.STEP * self.plaza.TICK_RATE * FRAME_SECONDS
        for seen in (own, others):
            self.assertLess(max(map(dist, seen, seen[1:])), step)

    def simulation_place(self) -> Any:
        """Where the newest state has ada."""
        self.simulation.step(5)
        state = self.simulation.clients[0].take_state()
        assert state is not None
        return state.payload.places["ada"]

    def test_it_tells_what_is_said_and_what_happens_to_the_connection(self) -> None:
        self.bob.say("hello")
        self.bob.say("  ")
        self.bob.say("x" * 501)
        self.simulation.network.cut_tcp(self.simulation.clients[0])
        self.frames(120)
        for line in ("bob: hello", LOST, BACK):
            self.assertIn(line, self.ada.lines)
        self.assertRegex(self.bob.lines[-2], "^That was not said: ")
        self.assertEqual(self.bob.lines[-1], "bob: hello")

    def test_an_address_that_is_none_is_a_sentence(self) -> None:
        with self.assertRaises(SystemExit) as ended:
            self.client_from(["ada", "here:there"])
        self.assertRegex(str(ended.exception.code), "^address: .*the port must be a number")

    def test_who_has_left_is_not_there(self) -> None:
        self.simulation.clients[1].stop()
        self.frames(60)
        self.assertEqual(list(self.ada.places), ["ada"])


class CommandTests(SynchronousTestCase):
    """``python -m tests.recipes`` where something is missing."""

    def setUp(self) -> None:
        self.ran: list[list[str]] = []
        self.lack = "no libraries here"
        self.patch(command, "lack", lambda: self.lack)
        self.patch(apt.subprocess, "run", self.run_fake)
        self.patch(command, "PACKAGES", ("gamenet",))
        self.err = io.StringIO()
        self.patch(sys, "stderr", self.err)

    def run_fake(self, arguments: list[str], **_: Any) -> Any:
        self.ran.append(arguments)
        return SimpleNamespace(stderr="E: no network")

    def test_neither_pytest_nor_trial_collects_it(self) -> None:
        modules = [path.name for path in (ROOT / "tests" / "recipes").glob("*.py")]
        self.assertIn("engine_cases.py", modules)
        self.assertEqual([name for name in modules if re.match(r"test_|.*_test\.py", name)], [])

    def test_a_missing_engine_is_named_with_what_installs_it(self) -> None:
        self.patch(command, "PACKAGES", ("gamenet", "no_engine_has_this_name"))
        self.assertEqual(command.main([]), 1)
        self.assertEqual(
            self.err.getvalue(),
            "make test-recipes: no no_engine_has_this_name here; "
            "install them: pip install -e '.[recipes]'\n",
        )

    def test_who_may_not_install_libraries_is_told_how(self) -> None:
        self.patch(os, "geteuid", lambda: 1000)
        self.assertEqual(command.main([]), 1)
        self.assertIn(
            "no libraries here; install them: sudo apt-get install libegl1", self.err.getvalue()
        )
        self.assertEqual(self.ran, [])

    def test_libraries_that_cannot_be_installed_are_a_failure(self) -> None:
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(command.main([]), 1)
        self.assertEqual(self.ran[1][-2:], ["libegl1", "libgl1-mesa-dri"])
        self.assertIn("failed: E: no network", self.err.getvalue())

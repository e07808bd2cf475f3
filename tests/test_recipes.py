"""A visit to the recipes' plaza, in virtual time: what its windows draw over a bad network."""

from __future__ import annotations

import sys
from math import dist
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.testing import Simulation
from tests.recipes.stage import RECIPES

FRAME_SECONDS = 1 / 60
LOST, BACK = "The connection is lost. Please wait ...", "Back again."


class VisitTests(SynchronousTestCase):
    def setUp(self) -> None:
        sys.path.insert(0, str(RECIPES))
        self.addCleanup(sys.path.remove, str(RECIPES))
        import plaza
        import visit

        self.plaza: Any = plaza
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

    def test_who_has_left_is_not_there(self) -> None:
        self.simulation.clients[1].stop()
        self.frames(60)
        self.assertEqual(list(self.ada.places), ["ada"])

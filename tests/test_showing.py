"""What a game shows on the status page."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo.field import MAP, Field
from gamenet.demo.game import map_of
from gamenet.errors import LocalProtocolError
from gamenet.events import Player
from gamenet.facade import GameServer
from gamenet.showing import LOOKED_SECONDS, MAX_VIEW_BYTES, Showing, as_json
from tests.world import World


class ShowingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.showing = Showing()
        self.made = 0

    def view(self) -> dict[str, Any]:
        self.made += 1
        return {"made": self.made}

    def test_nothing_is_made_unless_somebody_looks(self) -> None:
        self.showing.show(self.view)
        self.assertFalse(self.showing.is_due(0.0))
        self.showing.looked_at = 1.0
        self.assertTrue(self.showing.is_due(1.0))
        self.assertFalse(self.showing.is_due(1.0 + LOOKED_SECONDS))

    def test_nothing_is_due_without_a_view(self) -> None:
        self.showing.looked_at = 1.0
        self.assertFalse(self.showing.is_due(1.0))
        self.showing.show(self.view)
        self.showing.show(None)
        self.assertFalse(self.showing.is_due(1.0))

    def test_once_a_second_at_most(self) -> None:
        self.showing.show(self.view)
        self.showing.looked_at = 0.0
        for tenth in range(30):
            if self.showing.is_due(tenth / 10):
                self.showing.refresh(tenth / 10)
        self.assertEqual(self.made, 3)
        self.assertEqual(self.showing.encoded, b'{"made":3}')

    def test_another_view_is_made_at_once_and_the_old_one_forgotten(self) -> None:
        self.showing.show(self.view)
        self.showing.looked_at = 0.0
        self.showing.refresh(0.0)
        self.showing.show(lambda: {"other": 1})
        self.assertIsNone(self.showing.encoded)
        self.assertTrue(self.showing.is_due(0.0))

    def refuse(self, view: Any, error: type[Exception]) -> None:
        self.showing.show(lambda: view)
        self.assertRaises(error, self.showing.refresh, 0.0)
        self.assertIsNone(self.showing.encoded)
        self.showing.looked_at = 100.0
        self.assertFalse(self.showing.is_due(100.0))

    def test_what_is_no_view_is_asked_for_no_more(self) -> None:
        self.refuse([1, 2], TypeError)
        self.refuse({"a": object()}, TypeError)

    def test_a_view_is_bounded(self) -> None:
        self.showing.show(lambda: {"a": "x" * (MAX_VIEW_BYTES - 8)})
        self.showing.refresh(0.0)
        self.assertEqual(len(self.showing.encoded or b""), MAX_VIEW_BYTES)
        self.refuse({"a": "x" * (MAX_VIEW_BYTES - 7)}, ValueError)


class JsonTests(SynchronousTestCase):
    def test_it_is_pure_ascii_whatever_it_holds(self) -> None:
        for text in ("plain", 'a"b\\', "é", "\u2028", "\udc80", "\x00\x1b", "</script>"):
            found = as_json({"name": text})
            self.assertTrue(found.isascii())
            self.assertEqual(json.loads(found), {"name": text})

    def test_a_number_that_is_none_is_null_beside_whatever_text(self) -> None:
        for name in ("ada", "adé"):
            self.assertEqual(
                json.loads(as_json({"name": name, "x": math.nan})), {"name": name, "x": None}
            )

    def test_what_is_encoded_already_stays_what_it_is(self) -> None:
        for name in ("ada", "adé"):
            found = as_json({"name": name, "view": msgspec.Raw(b'{"a":[1]}')})
            self.assertEqual(json.loads(found), {"name": name, "view": {"a": [1]}})


class GameTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World(self, bridged=True, tick_rate=8.0)
        self.server: GameServer = self.world.server.verbs
        assert self.world.server.bridge is not None
        self.showing = self.world.server.bridge.showing
        self.calls = 0
        self.server.show(self.view)

    def view(self) -> dict[str, Any]:
        self.calls += 1
        return {"calls": self.calls}

    def look(self) -> None:
        self.showing.looked_at = self.world.network.seconds()

    def play(self, seconds: float) -> int:
        """Ticks of so many seconds; how often the view was made."""
        before = self.calls
        for _ in range(int(8 * seconds)):
            self.world.run(0.125)
            list(self.server.ticks(wait=False))
        return self.calls - before

    def test_it_costs_a_game_nothing_that_nobody_looks_at(self) -> None:
        self.assertEqual(self.play(10), 0)

    def test_while_somebody_looks_it_is_made_once_a_second(self) -> None:
        self.look()
        self.assertEqual(self.play(4), 4)
        self.assertEqual(self.showing.encoded, b'{"calls":4}')
        self.assertEqual(self.play(10), 1)

    def test_a_game_without_ticks_shows_something_too(self) -> None:
        self.look()
        self.server.events()
        self.assertEqual(self.calls, 1)

    def test_a_view_that_raises_is_logged_once_and_the_game_goes_on(self) -> None:
        self.server.show(lambda: {}["nothing"])
        self.look()
        self.play(3)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
        self.server.show(self.view)
        self.assertEqual(self.play(1), 1)

    def test_the_time_of_passes_is_counted(self) -> None:
        bridge = self.world.server.bridge
        assert bridge is not None
        before = sum(bridge.pass_seconds.counts)
        for _ in self.server.ticks(wait=False):
            self.world.run(0.03)
        self.assertEqual(sum(bridge.pass_seconds.counts) - before, 1)
        self.assertAlmostEqual(bridge.pass_seconds.sum, 0.03)
        self.assertEqual(bridge.pass_seconds.counts[bridge.pass_seconds.bounds.index(0.033)], 1)

    def test_before_it_is_started_there_is_nowhere_to_show_it(self) -> None:
        server = GameServer(0, insecure=True)
        self.assertRaises(LocalProtocolError, server.show, self.view)


class DemoTests(SynchronousTestCase):
    def test_the_demo_shows_its_map_and_who_is_where(self) -> None:
        field = Field()
        field.add(7, (2 * 256 + 96, 9 * 256 + 128))
        players = [Player(7, "ada", ""), Player(8, "not yet", "")]
        self.assertEqual(
            map_of(field, players),
            {
                "kind": "map",
                "width": 64,
                "height": 36,
                "walls": MAP.split(),
                "heroes": [{"id": 7, "name": "ada", "x": 2.38, "y": 9.5}],
            },
        )

    def test_a_full_map_fits(self) -> None:
        field = Field()
        players = [Player(number, "x" * 32, "") for number in range(1, 257)]
        for player in players:
            field.add(player.id)
        self.assertLess(len(as_json(map_of(field, players))), MAX_VIEW_BYTES)

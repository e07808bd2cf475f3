"""What the demo's states cost on the wire; ``tests/smooth/test_plots.py`` has them in a crowd."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo import game
from gamenet.demo.field import UNITS_PER_TILE
from gamenet.demo.game import Order, decode_state
from gamenet.errors import ConfigError
from gamenet.testing import Simulation


class StateTests(SynchronousTestCase):
    """Thirty-two heroes who wander about, twenty states a second."""

    def share(self, **fields: Any) -> tuple[float, float]:
        """Bytes of a state on the wire, and the same whole."""
        dice = Random(1)
        with Simulation(game.main, clients=32, tick_rate=20, **fields) as simulation:
            held = [0] * 32
            buttons = [0] * 32
            for _ in range(200):
                for index, client in enumerate(simulation.clients):
                    if not held[index]:
                        held[index], buttons[index] = dice.randint(5, 60), dice.randint(0, 15)
                    held[index] -= 1
                    client.send_input(buttons[index])
                    client.events()
                    state = client.take_state()
                    if state is not None:
                        view = decode_state(state.payload)  # type: ignore[arg-type]
                        self.assertEqual(view.own.id, client.player.id)
                simulation.step()
            stats = simulation.server.stats()
            self.assertEqual(simulation.clients[0].stats()["drop_state_baseline"], 0)
        count = stats["states_sent"]
        return stats["state_bytes_sent"] / count, stats["state_bytes_full"] / count

    def test_all_over_the_map_where_each_sees_few_they_shrink_too(self) -> None:
        sent, full = self.share()
        self.assertLess(full, 60)
        self.assertLessEqual(sent, full / 3)

    def test_with_no_room_for_baselines_they_go_whole(self) -> None:
        sent, full = self.share(baseline_bytes=0)
        self.assertEqual(sent, full)


class OrderTests(SynchronousTestCase):
    """Heroes keep their places."""

    def test_who_stays_keeps_the_place_and_who_comes_takes_a_free_one(self) -> None:
        order = Order()
        self.assertEqual(order.arrange([7, 1, 2, 3]), [7, 1, 2, 3])
        self.assertEqual(order.arrange([7, 3, 2, 4]), [7, 4, 2, 3])
        self.assertEqual(order.arrange([7, 3, 4]), [7, 4, 3])
        self.assertEqual(order.arrange([7, 3, 4, 9]), [7, 4, 3, 9])
        self.assertEqual(order.arrange([7]), [7])

    def test_all_are_there_once_and_ones_own_is_first(self) -> None:
        dice = Random(2)
        order = Order()
        for _ in range(300):
            seen = [0, *dice.sample(range(1, 30), dice.randint(0, 20))]
            arranged = order.arrange(seen)
            self.assertEqual(arranged[0], 0)
            self.assertEqual(sorted(arranged), sorted(seen))


class StartTests(SynchronousTestCase):
    """Where heroes begin."""

    def farthest(self, **fields: Any) -> float:
        """How far apart two who join one after the other are, in tiles."""
        with Simulation(game.main, clients=["ada", "bob"], **fields) as simulation:
            simulation.run(0.5)
            heroes = [
                decode_state(client.take_state().payload).own for client in simulation.clients
            ]
        (ada, bob) = heroes
        return max(abs(ada.x - bob.x), abs(ada.y - bob.y)) / UNITS_PER_TILE

    def test_friendsBeginBesideEachOther(self) -> None:
        self.assertEqual(self.farthest(options={"start": "together"}), 1.0)
        self.assertGreater(self.farthest(), 8.0)
        self.assertGreater(self.farthest(options={"start": "apart"}), 8.0)

    def test_elsewhereIsRefusedByName(self) -> None:
        error = self.assertRaises(ConfigError, self.farthest, options={"start": "here"})
        self.assertIn('start: write "apart" or "together"', str(error))

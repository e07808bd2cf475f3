"""What states tell about the server that sent them."""

from __future__ import annotations

from math import inf, nan

from twisted.trial.unittest import SynchronousTestCase

from gamenet.events import State
from gamenet.overlay import NetGraph, verdicts
from gamenet.overlay.state_watch import StateWatch
from tests.overlay.scenes import FINE, Told


class StateWatchTests(SynchronousTestCase):
    """Ten seconds of states, at 20 ticks a second unless a test says otherwise."""

    def setUp(self) -> None:
        self.watch = StateWatch()

    def take(self, number: int, tick: int, came: float, hz: float = 20.0) -> float | None:
        return self.watch.take(State(number, b"", tick, tick / hz, 0), came)

    def test_nothing_is_known_of_nothing(self) -> None:
        watch = self.watch
        self.assertEqual((watch.ticks_per_second, watch.states_per_second), (None, None))
        self.assertEqual((watch.seconds, watch.sent, watch.skipped, watch.late_share), (0, 0, 0, 0))
        self.take(1, 20, 1.0)
        self.assertEqual((watch.ticks_per_second, watch.late_share), (None, 0))

    def test_a_server_that_keeps_its_ticks(self) -> None:
        for number in range(1, 101):
            self.assertApproximates(self.take(number, number, number / 20 + 0.05) or 0.0, 0.0, 1e-6)
        self.assertApproximates(self.watch.ticks_per_second or 0, 20.0, 1e-6)
        self.assertApproximates(self.watch.states_per_second or 0, 20.0, 1e-6)
        self.assertEqual((self.watch.sent, self.watch.skipped), (99, 0))

    def test_a_state_for_each_third_tick_skips_none(self) -> None:
        for number in range(1, 101):
            self.take(number, 3 * number, 3 * number / 60 + 0.05, hz=60.0)
        self.assertEqual(self.watch.skipped, 0)
        self.assertApproximates(self.watch.ticks_per_second or 0, 60.0, 1e-6)
        self.assertApproximates(self.watch.states_per_second or 0, 20.0, 1e-6)

    def test_ticks_that_the_server_gave_up(self) -> None:
        tick = 0
        for number in range(1, 101):
            tick += 5 if number % 10 == 0 else 1
            self.take(number, tick, tick / 20 + 0.05)
        self.assertEqual(self.watch.skipped, 40)
        ran = 99 / (139 / 20)
        self.assertApproximates(self.watch.ticks_per_second or 0, ran, 0.001)

    def test_states_that_were_lost_are_no_ticks_given_up(self) -> None:
        for number in range(1, 101):
            if number % 7:
                self.take(number, number, number / 20 + 0.05)
        self.assertEqual((self.watch.skipped, self.watch.sent), (0, 99))

    def test_one_that_comes_when_the_next_is_due_is_late(self) -> None:
        for number in range(1, 101):
            delay = 0.09 if number % 10 == 0 else 0.02
            late = self.take(number, number, number / 20 + delay)
            assert late is not None
            self.assertApproximates(late, delay - 0.02, 1e-6)
        self.assertApproximates(self.watch.late_share, 0.1, 1e-6)

    def test_what_is_due_follows_the_way(self) -> None:
        for number in range(1, 401):
            way = 0.02 if number < 20 else 0.2
            late = self.take(number, number, number / 20 + way)
        # The quick ones are more than ten seconds ago.
        self.assertApproximates(late or 0.0, 0.0, 1e-6)

    def test_the_same_state_twice_is_one(self) -> None:
        self.take(1, 1, 1.0)
        self.assertIsNone(self.take(1, 1, 1.1))
        self.assertEqual(self.watch.sent, 0)

    def test_ticks_or_numbers_that_go_back_begin_anew(self) -> None:
        for number in range(1, 21):
            self.take(number, 3 * number, number / 20, hz=60.0)
        for number in range(21, 41):  # the game runs at 20 now, and numbers its ticks by that
            self.take(number, number, number / 20)
        self.assertApproximates(self.watch.ticks_per_second or 0, 20.0, 1e-6)
        self.assertEqual(self.watch.skipped, 0)
        self.take(1, 41, 2.1)
        self.assertEqual(self.watch.sent, 0)

    def test_a_stamp_that_is_no_number(self) -> None:
        for made in (nan, inf):
            self.assertIsNone(self.watch.take(State(1, b"", 1, made, 0), 1.0))

    def test_only_ten_seconds_are_kept(self) -> None:
        for number in range(1, 2001):
            self.take(number, number, number / 20)
        self.assertApproximates(self.watch.seconds, 10.0, 0.06)


class ShownTests(SynchronousTestCase):
    """The same in the net graph."""

    def graph(self, skip: int, received: float = 1.0) -> NetGraph:
        client = Told(FINE)
        graph = NetGraph(client, level=4)
        tick = 0
        for number in range(1, 101):
            tick += skip if number % 10 == 0 else 1
            client.newest_state = State(number, b"", tick, tick / 20, 0)
            client.counts = {"states_received": round(received * number)}
            graph.update(tick / 20)
        return graph

    def test_a_slow_server_is_told_from_a_bad_path(self) -> None:
        slow = {line.name: line for line in self.graph(skip=5).texts()}
        self.assertEqual(slow["server ticks"].verdict, "poor")
        self.assertRegex(slow["server ticks"].value, r"^14 of 20/s$")
        self.assertEqual(slow["states"].value, "14/s sent, 0% missing")
        self.assertEqual(self.graph(skip=5).advice(), (verdicts.SERVER_SLOW,))

    def test_a_bad_path_is_told_from_a_slow_server(self) -> None:
        lossy = {line.name: line for line in self.graph(skip=1, received=0.7).texts()}
        self.assertEqual(str(lossy["server ticks"]), "server ticks 20 of 20/s, good")
        self.assertRegex(str(lossy["states"]), "^states 20/s sent, 3[01]% missing, poor$")

    def test_more_that_came_than_were_sent_is_no_share(self) -> None:
        found = {line.name: line for line in self.graph(skip=1, received=1.5).texts()}
        self.assertEqual(str(found["states"]), "states 20/s sent, 0% missing, good")

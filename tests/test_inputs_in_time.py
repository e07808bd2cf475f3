"""Inputs reach the game in the tick they are meant for, over any path, and just in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.core.input_timing import MAX_LEAD_SECONDS
from gamenet.events import Input, Joined, Left, Player, Received
from gamenet.impairment import Profile
from gamenet.input_hold import MAX_HELD, InputHold
from gamenet.testing import Simulation

STEP = 1 / 240
CALM = Profile(name="calm", latency_ms=50)
JUMPY = Profile(name="jumpy", latency_ms=100, jitter_ms=20, loss=0.02)
FAR = Profile(name="far", latency_ms=200, jitter_ms=20, loss=0.02)


@dataclass
class Play:
    """A server's game that takes inputs, and one client's that makes one in each of its ticks.

    :param hz: ticks a second of the client's game.
    :param late: seconds by which its ticks come after those of the server.
    """

    simulation: Simulation
    hz: float = 60.0
    late: float = 0.0
    taken: list[tuple[int, Input]] = field(default_factory=list)
    """Each input, and the tick in which the game took it."""
    leads: list[float] = field(default_factory=list)

    def run(self, seconds: float) -> None:
        simulation = self.simulation
        server, client = simulation.server, simulation.clients[0]
        if self.late:
            simulation.run(self.late)
            self.late = 0.0
        end = simulation.time + seconds
        while simulation.time < end:
            simulation.run(STEP)
            for tick in server.ticks(wait=False):
                self.taken += [(tick.number, event) for event in tick.events if is_input(event)]
                for player in server.players:
                    server.send_state(player, b"%d" % tick.number)
            for _ in client.ticks(self.hz, wait=False):
                client.take_state()
                client.send_input(1)
            self.leads.append(client.quality().input_lead_seconds)

    def forget(self) -> None:
        """What was is of no interest any more."""
        self.taken.clear()
        self.leads.clear()

    @property
    def late_share(self) -> float:
        """Of the inputs, those that the game took after their tick."""
        return sum(taken > event.tick for taken, event in self.taken) / len(self.taken)


def is_input(event: gamenet.Event) -> bool:
    return isinstance(event, Input)


def one_client(profile: Profile, **fields: float) -> Simulation:
    return Simulation(profile=profile, tick_rate=60.0, **fields)


def assert_near(test: SynchronousTestCase, found: float, wanted: float, within: float) -> None:
    """Within so much."""
    test.assertLessEqual(abs(found - wanted), within, f"{found} is not {wanted}")


class InTimeTests(SynchronousTestCase):
    """The lead of a client follows its path."""

    def test_on_a_calm_path_each_input_is_taken_in_its_tick_one_in_each(self) -> None:
        for late in (0.0, 0.004, 0.011):
            with one_client(CALM) as simulation:
                play = Play(simulation, late=late)
                play.run(2.0)
                play.forget()
                play.run(5.0)
                self.assertEqual(
                    [taken - event.tick for taken, event in play.taken], [0] * len(play.taken)
                )
                ticks = [taken for taken, _ in play.taken]
                self.assertEqual({b - a for a, b in pairwise(ticks)}, {1})
                # The way takes 50 ms; more than a tick and some margin is not waited.
                left = simulation.clients[0].quality().input_lead_seconds
                self.assertTrue(0.05 <= left <= 0.05 + 0.015, left)

    def test_on_a_bad_path_few_come_late_and_none_waits_long(self) -> None:
        with one_client(JUMPY) as simulation:
            play = Play(simulation)
            play.run(5.0)
            play.forget()
            play.run(30.0)
            self.assertLess(play.late_share, 0.01)
            # 120 ms is the longest way, and a lost one comes with the next, a tick later.
            self.assertLess(max(play.leads), 0.12 + 0.04)
            self.assertGreater(min(play.leads), 0.1)

    def test_a_way_that_grows_longer_is_followed_within_two_seconds(self) -> None:
        with one_client(CALM) as simulation:
            play = Play(simulation)
            play.run(3.0)
            simulation.network.link(profile=FAR)
            play.forget()
            play.run(2.0)
            self.assertGreater(play.late_share, 0.1, "nothing was late, so nothing is shown")
            play.forget()
            play.run(10.0)
            self.assertLess(play.late_share, 0.01)

    def test_a_way_that_grows_shorter_is_followed_within_twenty(self) -> None:
        with one_client(FAR) as simulation:
            play = Play(simulation)
            play.run(5.0)
            self.assertGreater(play.leads[-1], 0.2)
            simulation.network.link(profile=CALM)
            play.run(20.0)
            self.assertLess(play.leads[-1], 0.08)
            play.forget()
            play.run(5.0)
            self.assertEqual(play.late_share, 0.0)

    def test_a_client_that_is_faster_or_slower_than_the_server_is_in_time_too(self) -> None:
        for hz in (20.0, 75.0, 144.0):
            with Simulation(profile=CALM, tick_rate=30.0, max_input_hz=200) as simulation:
                play = Play(simulation, hz=hz)
                play.run(2.0)
                play.forget()
                play.run(5.0)
                self.assertEqual(play.late_share, 0.0, hz)
                self.assertEqual(
                    [event.number for _, event in play.taken],
                    list(range(play.taken[0][1].number, play.taken[-1][1].number + 1)),
                )

    def test_both_sides_count_the_same(self) -> None:
        with one_client(JUMPY) as simulation:
            play = Play(simulation)
            play.run(3.0)
            simulation.network.link(profile=FAR)
            play.run(4.0)
            simulation.network.link(profile=Profile(name="good", latency_ms=5))
            play.run(25.0)
            (player,) = simulation.server.players
            server, client = simulation.server.quality(player), simulation.clients[0].quality()
            found = (client.inputs_late, client.inputs_early, client.inputs_missing)
            self.assertEqual(found, (server.inputs_late, server.inputs_early, 0))
            self.assertGreater(client.inputs_late, 0)
            self.assertGreater(client.inputs_early, 0)
            stats = simulation.server.stats()
            self.assertEqual((stats["inputs_late"], stats["inputs_early"]), found[:2])

    def test_the_hold_can_be_turned_off(self) -> None:
        with Simulation(profile=CALM, tick_rate=10.0, input_hold_seconds=0.0) as simulation:
            play = Play(simulation)
            play.run(3.0)
            # Each in the first tick after it came, whatever it was meant for.
            self.assertTrue(any(taken < event.tick for taken, event in play.taken))

    def test_at_the_end_nothing_that_was_held_is_lost(self) -> None:
        with Simulation(profile=CALM, tick_rate=10.0, input_hold_seconds=5.0) as simulation:
            play = Play(simulation)
            play.run(3.0)
            client = simulation.clients[0]
            sent = client.stats()["inputs_sent"]
            timing = simulation.server._host.registry.sessions  # type: ignore[union-attr]
            self.assertTrue(list(timing))
            client.stop()
            simulation.run(0.3)
            events: list[gamenet.Event] = []
            for tick in simulation.server.ticks(wait=False):
                events += tick.events
            got = [event.number for _, event in play.taken]
            got += [event.number for event in events if isinstance(event, Input)]
            self.assertEqual(got, list(range(1, len(got) + 1)))
            self.assertIsInstance(events[-1], Left)
            # What was on its way when the client said goodbye is not the server's to have.
            self.assertGreater(len(got), sent - 10)


class HoldTests(SynchronousTestCase):
    """The queue of each player."""

    def setUp(self) -> None:
        self.hold = InputHold()
        self.ada, self.bob = Player(1, "ada", ""), Player(2, "bob", "")

    def input(self, number: int, tick: int, player: Player | None = None) -> Input:
        return Input(player or self.ada, number, 0, 0, 0, tick)

    def numbers(self, events: list[gamenet.Event], tick: float) -> list[int]:
        ready = self.hold.due(events, tick)
        return [event.number for event in ready if isinstance(event, Input)]

    def test_each_comes_out_in_its_tick(self) -> None:
        early = [self.input(number, 10 + number) for number in (1, 2, 3)]
        self.assertEqual(self.numbers([*early], 10), [])
        self.assertTrue(self.hold.holds)
        self.assertEqual([self.numbers([], tick) for tick in (11, 12, 13)], [[1], [2], [3]])
        self.assertFalse(self.hold.holds)

    def test_one_behind_an_early_one_waits_with_it_and_nobody_else_does(self) -> None:
        events = [self.input(1, 12), self.input(2, 5), self.input(1, 9, self.bob)]
        self.assertEqual(self.hold.due([*events], 10), [events[2]])
        self.assertEqual(self.hold.due([], 12), events[:2])

    def test_those_that_name_no_tick_go_at_once(self) -> None:
        self.assertEqual(self.numbers([self.input(1, 0), self.input(2, 0)], 1), [1, 2])

    def test_what_is_no_input_does_not_wait(self) -> None:
        said = Received(self.ada, b"x", 0)
        joined = Joined(self.ada, "", False)
        self.assertEqual(self.hold.due([joined, self.input(1, 99), said], 10), [joined, said])

    def test_before_left_come_the_players_own(self) -> None:
        left = Left(self.ada, gamenet.DisconnectReason.QUIT)
        mine, other = self.input(1, 99), self.input(1, 99, self.bob)
        self.assertEqual(self.hold.due([mine, other], 10), [])
        self.assertEqual(self.hold.due([left], 11), [mine, left])
        self.assertEqual(self.hold.due([], 99), [other])

    def test_of_too_many_the_oldest_go(self) -> None:
        events: list[gamenet.Event] = [
            self.input(number, 10**6) for number in range(1, MAX_HELD + 4)
        ]
        self.assertEqual(self.numbers(events, 1), [1, 2, 3])

    def test_everything_comes_out_at_the_end(self) -> None:
        self.assertEqual(self.numbers([self.input(1, 99)], 10), [])
        self.assertEqual(self.numbers([self.input(2, 99)], float("inf")), [1, 2])
        self.assertFalse(self.hold.holds)


class ClockBeginsTests(SynchronousTestCase):
    """The game clock begins with the game, and never again."""

    def test_nobody_is_told_a_time_before_the_game_has_begun(self) -> None:
        with Simulation(tick_rate=20.0) as simulation:
            client = simulation.clients[0]
            simulation.run(10.0)
            self.assertEqual(client.server_time(), 0.0)
            for _ in range(40):
                simulation.run(0.05)
                for tick in simulation.server.ticks(wait=False):
                    for player in simulation.server.players:
                        simulation.server.send_state(player, b"x")
                    number = tick.number
            assert_near(self, client.server_time(), simulation.server.time(), 0.01)
            assert_near(self, simulation.server.time(), 2.0, 0.1)
            assert_near(self, client.server_tick(), number, 1.5)

    def test_a_game_that_looked_at_events_first_goes_on_with_the_same_clock(self) -> None:
        with Simulation(tick_rate=20.0) as simulation:
            server = simulation.server
            server.events()
            simulation.run(3.02)
            before = server.time()
            assert_near(self, before, 3.02, 0.001)
            # A step begins at once; the clock goes forward to where it is on the grid.
            ticks = [tick for _ in range(3) for tick in self.next_ticks(simulation)]
            self.assertEqual([tick.number for tick in ticks], [62, 63, 64])
            assert_near(self, simulation.server.time(), 3.2, 1e-6)

    def test_another_rate_does_not_turn_the_clock_back(self) -> None:
        with Simulation(tick_rate=20.0) as simulation:
            first = [tick for _ in range(20) for tick in self.next_ticks(simulation)]
            simulation.run(0.013)
            then = next(iter(simulation.server.ticks(50.0, wait=False)), None)
            while then is None:
                simulation.run(0.001)
                then = next(iter(simulation.server.ticks(50.0, wait=False)), None)
            self.assertGreater(then.time, first[-1].time)
            assert_near(self, then.time, then.number / 50, 1e-9)

    @staticmethod
    def next_ticks(simulation: Simulation) -> list[gamenet.Tick]:
        simulation.run(0.05)
        return list(simulation.server.ticks(wait=False))


class LimitTests(SynchronousTestCase):
    """No report makes a client wait for ever."""

    def test_the_lead_is_bounded(self) -> None:
        with one_client(CALM) as simulation:
            simulation.network.link(profile=Profile(name="moon", latency_ms=2_500))
            play = Play(simulation)
            play.run(20.0)
            self.assertLessEqual(max(play.leads), MAX_LEAD_SECONDS)
            self.assertGreater(max(play.leads), 0.5)

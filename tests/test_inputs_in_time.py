"""Inputs reach the game in the tick they are meant for, over any path, and just in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, pairwise
from random import Random
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.core.counters import Counters
from gamenet.core.input_timing import MAX_LEAD_SECONDS, InputLead
from gamenet.core.turn import Turn
from gamenet.events import Input, Joined, Left, Player, Received
from gamenet.impairment import Profile
from gamenet.input_hold import MAX_HELD, InputHold
from gamenet.server_host import ServerHost
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
    server_hz: float | None = None
    """Those of the server's, if not as it told its clients."""
    taken: list[tuple[int, Input]] = field(default_factory=list)
    """Each input, and the tick in which the game took it."""
    leads: list[float] = field(default_factory=list)
    sent: dict[int, float] = field(default_factory=dict)
    """When each input was made, by number."""
    waits: list[float] = field(default_factory=list)
    """Seconds from then until the game took it."""

    def run(self, seconds: float) -> None:
        simulation = self.simulation
        server, client = simulation.server, simulation.clients[0]
        if self.late:
            simulation.run(self.late)
            self.late = 0.0
        end = simulation.time + seconds
        while simulation.time < end:
            simulation.run(STEP)
            for tick in server.ticks(self.server_hz, wait=False):
                for event in tick.events:
                    if isinstance(event, Input):
                        self.taken.append((tick.number, event))
                        self.waits.append(simulation.time - self.sent[event.number])
                for player in server.players:
                    server.send_state(player, b"%d" % tick.number)
            for _ in client.ticks(self.hz, wait=False):
                client.take_state()
                self.sent[client.send_input(1)] = simulation.time
            self.leads.append(client.quality().input_lead_seconds)

    def forget(self) -> None:
        """What was is of no interest any more."""
        self.taken.clear()
        self.waits.clear()
        self.leads.clear()

    @property
    def late_share(self) -> float:
        """Of the inputs, those that the game took after their tick."""
        return sum(taken > event.tick for taken, event in self.taken) / len(self.taken)


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

    def test_a_game_at_another_rate_than_it_told_gets_them_in_time_too(self) -> None:
        for hz in (10.0, 25.0, 60.0, 200.0):
            with one_client(CALM) as simulation:
                play = Play(simulation, server_hz=hz)
                play.run(20.0)
                play.forget()
                play.run(4.0)
                self.assertEqual(play.late_share, 0.0, hz)
                # The way, a tick and the margin; and one of the test's steps on each side.
                self.assertLess(max(play.waits), 0.05 + 1 / hz + 0.015 + 2 * STEP, hz)

    def test_a_game_that_changes_its_rate_gets_them_in_time_again(self) -> None:
        with one_client(CALM) as simulation:
            play = Play(simulation)
            play.run(60.0)
            for hz in (20.0, 120.0, 45.0):
                play.server_hz = hz
                play.run(10.0)
                play.forget()
                play.run(5.0)
                self.assertEqual(play.late_share, 0.0, hz)
                self.assertLess(max(play.waits), 0.15, hz)
                self.assertEqual(
                    [event.number for _, event in play.taken],
                    list(range(play.taken[0][1].number, play.taken[-1][1].number + 1)),
                )
                number = play.taken[-1][0]
                assert_near(self, simulation.clients[0].server_tick(), number, 0.05 * hz + 1)

    def test_one_that_names_any_tick_delays_nobody_but_itself_and_that_not_for_long(self) -> None:
        dice, honest = Random(1), InputLead.aim
        with Simulation(profile=CALM, tick_rate=20.0, clients=["eve", "ada"]) as simulation:
            host = simulation.clients[0]._host
            assert host is not None
            assert host._session is not None
            eve = host._session.input_timing

            def aim(lead: InputLead, number: int, at: float, rate: float) -> int:
                tick = honest(lead, number, at, rate)
                return dice.randrange(1 << 20) if lead is eve and tick else tick

            self.patch(InputLead, "aim", aim)
            sent: dict[tuple[str, int], float] = {}
            waits: dict[str, list[float]] = {"eve": [], "ada": []}
            taken: dict[str, list[int]] = {"eve": [], "ada": []}
            for _ in range(8 * 240):
                simulation.run(STEP)
                for tick in simulation.server.ticks(wait=False):
                    for event in tick.events:
                        if isinstance(event, Input):
                            name = event.player.name
                            taken[name].append(event.number)
                            waits[name].append(simulation.time - sent[name, event.number])
                    for player in simulation.server.players:
                        simulation.server.send_state(player, b"x")
                for name, client in zip(("eve", "ada"), simulation.clients, strict=True):
                    for _ in client.ticks(60.0, wait=False):
                        client.take_state()
                        sent[name, client.send_input(1)] = simulation.time
            for numbers in taken.values():
                self.assertEqual(numbers, [*range(1, len(numbers) + 1)])
            # The way, a tick and the margin; and half a second for the liar.
            self.assertLess(max(waits["ada"]), 0.05 + 0.05 + 0.01)
            self.assertTrue(0.3 < max(waits["eve"]) < 0.05 + 0.05 + 0.5, max(waits["eve"]))

    def test_what_was_held_for_a_tick_of_another_rate_is_let_go(self) -> None:
        # Nobody makes inputs after the change, so nothing pushes those that are held.
        with one_client(CALM, input_hold_seconds=0.5, catch_up_ticks=1) as simulation:
            play = Play(simulation)
            play.run(60.0)
            taken = play.taken[-1][1].number
            simulation.run(0.2)
            sent = max(play.sent)
            self.assertGreater(sent, taken)
            events = []
            for _ in range(4):
                for tick in simulation.server.ticks(20.0, wait=False):
                    events += tick.events
                simulation.run(0.05)
            numbers = [event.number for event in events if isinstance(event, Input)]
            self.assertEqual(numbers, [*range(taken + 1, sent + 1)])

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

    def test_what_is_too_far_off_goes_at_once(self) -> None:
        near, far = self.input(1, 40), self.input(1, 41, self.bob)
        self.assertEqual(self.hold.due([near, far], 10, 30), [far])
        # Ticks are numbered anew, and what was near is not any more.
        self.assertEqual(self.hold.due([], 5, 30), [near])

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

    def test_whoever_asks_for_the_time_first_is_told_zero_or_more(self) -> None:
        with Simulation(tick_rate=20.0) as simulation:
            host, _ = simulation.server._live()
            times = count(100.0, 0.25)
            self.patch(host, "now", lambda: next(times))
            self.assertEqual(simulation.server.time(), 0.25)

    @given(
        st.floats(0.0, 1e6),
        st.integers(1, 10**7),
        st.sampled_from((0.0, 5e-10, -5e-10, 0.3)),
        st.sampled_from((1.0, 7.0, 30.0, 144.0, 655.0)),
    )
    def test_no_step_turns_the_clock_back(
        self, zero: float, number: int, off: float, hz: float
    ) -> None:
        dt = 1 / hz
        now = zero + (number + off) * dt
        turn = Turn(Counters(), 1)
        turn.game_clock_zero = zero
        found = ServerHost.align_clock(SimpleNamespace(turn=turn), now, dt)  # type: ignore[arg-type]
        self.assertGreaterEqual(now - turn.game_clock_zero, now - zero)
        assert_near(self, now - turn.game_clock_zero, found * dt, 1e-6)

    def test_a_game_that_goes_on_without_steps_stamps_its_states_with_the_time(self) -> None:
        with Simulation(tick_rate=20.0) as simulation:
            server, client = simulation.server, simulation.clients[0]
            for _ in range(20):
                list(self.next_ticks(simulation))
            (player,) = server.players
            found = []
            for _ in range(3):
                simulation.run(2.0)
                server.events()
                before = server.time()
                server.send_state(player, b"x")
                server.flush()
                simulation.run(0.2)
                client.events()
                state = client.take_state()
                assert state is not None
                assert_near(self, state.server_time, before, 0.002)
                assert_near(self, state.tick, before * 20, 1.001)
                found.append(state.tick)
            # And with steps again, on the same grid.
            tick = self.next_ticks(simulation)[-1]
            self.assertGreater(tick.number, found[-1])
            # Shortly after one the state is of that step.
            server.send_state(player, b"y")
            server.flush()
            simulation.run(0.04)
            client.events()
            state = client.take_state()
            assert state is not None
            self.assertEqual(state.tick, tick.number)

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

"""A server and its clients in virtual time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet import threads
from gamenet.certificates import make_certificate
from gamenet.errors import (
    ConfigError,
    ConnectionFailed,
    DisconnectReason,
    JoinRefused,
    LocalProtocolError,
    NotJoined,
    RefusalReason,
)
from gamenet.events import Chat, Connected, Disconnected, Input, Joined, Left, Posted, Received
from gamenet.impairment import Profile
from gamenet.testing import Pair, Simulation
from tests import certificates
from tests.testing.games import Walk, last, walk

ROOT = Path(__file__).resolve().parent.parent.parent


class Step(gamenet.Message):
    """A typed message."""

    x: int


class Base(SynchronousTestCase):
    def simulate(self, game: Any = None, **same: Any) -> Simulation:
        simulation = Simulation(game, **same)
        self.addCleanup(simulation.close)
        return simulation

    def pair(self, game: Any = None, **same: Any) -> Pair:
        pair = Pair(game, **same)
        self.addCleanup(pair.close)
        return pair


class BeginTests(Base):
    """What there is once a simulation is made."""

    def test_all_clients_have_joined(self) -> None:
        simulation = self.simulate(clients=3)
        self.assertEqual(
            [client.player.name for client in simulation.clients],
            ["player1", "player2", "player3"],
        )
        self.assertTrue(all(client.joined for client in simulation.clients))
        joined = [event for event in simulation.server.events() if isinstance(event, Joined)]
        self.assertEqual([event.player.name for event in joined], ["player1", "player2", "player3"])
        self.assertEqual(len(simulation.server.players), 3)
        for client in simulation.clients:
            self.assertIsInstance(client.events()[0], Connected)

    def test_names_can_be_given_and_there_can_be_nobody(self) -> None:
        simulation = self.simulate(clients=["ada", "bob"])
        self.assertEqual([client.player.name for client in simulation.clients], ["ada", "bob"])
        empty = self.simulate(clients=0)
        empty.step()
        self.assertEqual(empty.server.events(), [])

    def test_however_far_away_the_server_is_at_a_tick_and_knows_everybody(self) -> None:
        for latency in (0.0, 3.0, 33.4, 210.0):
            pair = self.pair(Walk, profile=Profile(latency_ms=latency), tick_rate=30.0)
            self.assertEqual(pair.time, 0.0)
            self.assertEqual([player.id for player in pair.game.places], [pair.client.player.id])
            before = len(pair.game.ticks)
            pair.run(1 / 30 - 0.0001)
            self.assertEqual(len(pair.game.ticks), before)
            pair.run(0.0002)
            self.assertEqual(len(pair.game.ticks), before + 1)

    def test_a_game_says_its_settings_and_fields_win(self) -> None:
        class Named(Walk):
            game_name = "walk/1"
            tick_rate = 20.0
            messages = (Step,)

        pair = self.pair(Named)
        self.assertEqual((pair.server.config.tick_rate, pair.client.tick_rate), (20.0, 20.0))
        self.assertEqual(pair.client.config.game_name, "walk/1")
        self.assertEqual(self.pair(Named, tick_rate=50.0).client.tick_rate, 50.0)
        pair.client.send(Step(x=4))
        pair.step(2)
        received = [event for event in pair.client.events() if isinstance(event, Received)]
        self.assertEqual([event.payload for event in received], [Step(x=4)])

    def test_an_instance_is_used_and_a_class_is_made_one(self) -> None:
        game = Walk()
        self.assertIs(self.pair(game).game, game)
        self.assertIsInstance(self.pair(Walk).game, Walk)
        self.assertIs(self.pair(walk).game, walk)

    def test_what_is_wrong_is_said_before_anything_begins(self) -> None:
        before = threading.active_count()
        self.assertRaises(ConfigError, Simulation, tick_rat=3)
        self.assertRaises(ConfigError, Simulation, profile="wify")
        self.assertRaises(ConfigError, Simulation, 7)
        self.assertRaises(JoinRefused, Simulation, walk, clients=["ada", "ada"])
        refused = self.assertRaises(JoinRefused, Simulation, walk, clients=2, max_players=1)
        self.assertEqual(refused.reason, RefusalReason.FULL)
        self.assertEqual(threading.active_count(), before)


class TimeTests(Base):
    """How time passes."""

    def test_a_step_is_a_tick(self) -> None:
        for rate in (1.0, 7.0, 30.0, 60.0, 144.0):
            for game in (Walk, walk):
                pair = self.pair(game, tick_rate=rate)
                pair.step(100)
                self.assertAlmostEqual(pair.time, 100 / rate)
                stats = pair.server.loop_stats()
                # Two are over when it is made: the first of all, and the one with the client.
                self.assertEqual((stats["number"], stats["skipped"]), (102, 0), (rate, game))

    def test_an_hour_is_counted_in_ticks(self) -> None:
        pair = self.pair(Walk, tick_rate=1.0)
        for _ in range(3_600):
            pair.step()
        self.assertEqual(pair.game.ticks, list(range(1, 3_603)))
        self.assertEqual(pair.time, 3_600)

    def test_steps_keep_to_the_ticks_whatever_passes_in_between(self) -> None:
        pair = self.pair(Walk, tick_rate=10.0)
        pair.run(0.25)
        pair.step()
        self.assertAlmostEqual(pair.time, 0.3)
        pair.run(0.1)
        pair.step(3)
        self.assertAlmostEqual(pair.time, 0.7)
        self.assertEqual(pair.game.ticks, [1, 2, *range(3, 10)])

    def test_an_input_of_each_step_arrives_and_so_does_each_state(self) -> None:
        for game in (Walk, walk):
            pair = self.pair(game)
            for number in range(1, 61):
                pair.client.send_input(1)
                pair.step()
                state = pair.client.take_state()
                assert state is not None
                self.assertEqual((int(state.payload), state.input_number), (number, number))

    def test_nobody_sleeps_and_there_is_no_socket(self) -> None:
        def forbidden(*args: Any, **named: Any) -> None:
            raise AssertionError("this is a simulation")

        self.patch(time, "sleep", forbidden)
        self.patch(socket, "socket", forbidden)
        with Simulation(walk, clients=2, profile="train") as simulation:
            simulation.run(600)
            self.assertGreaterEqual(simulation.time, 600)

    def test_until_asks_once_a_tick_and_gives_the_answer(self) -> None:
        pair = self.pair(Walk, tick_rate=10.0)
        times: list[float] = []

        def late() -> str:
            times.append(pair.time)
            return "there" if pair.time > 0.35 else ""

        self.assertEqual(pair.until(late), "there")
        self.assertEqual(times, [0.0, 0.1, 0.2, 0.3, 0.4])

    def test_until_gives_up(self) -> None:
        pair = self.pair(Walk)
        error = self.assertRaises(AssertionError, pair.until, lambda: [], 2.5)
        for text in ("2.5 s of simulated time", "test_simulation.py", "[]"):
            self.assertIn(text, str(error))
        self.assertAlmostEqual(pair.time, 2.5)

    def test_what_is_said_between_two_steps_leaves_at_once(self) -> None:
        pair = self.pair(profile=Profile(latency_ms=20), tick_rate=10.0)
        pair.server.events()
        begin = pair.time
        pair.client.send(b"now")
        pair.run(0.0199)
        self.assertEqual(pair.server.events(), [])
        pair.run(0.0002)
        self.assertEqual([event.payload for event in pair.server.events()], [b"now"])
        self.assertLess(pair.time - begin, 0.021)


class ClientTests(Base):
    """Clients are facades, and waiting lets virtual time pass."""

    def test_a_loop_of_ticks_is_as_it_is_everywhere(self) -> None:
        pair = self.pair(Walk)
        for tick in pair.client.ticks(60):
            pair.client.send_input(1)
            if tick.number == 120:
                break
        self.assertAlmostEqual(pair.time, 119 / 60)
        pair.step(2)
        self.assertEqual(pair.game.places[pair.game.server.find("player1")], 120)

    def test_ticks_that_are_due(self) -> None:
        pair = self.pair(tick_rate=30.0)
        numbers = [tick.number for tick in pair.client.ticks(wait=False)]
        for _ in range(10):
            pair.step()
            numbers += [tick.number for tick in pair.client.ticks(wait=False)]
            numbers += [tick.number for tick in pair.server.ticks(wait=False)]
        self.assertEqual(numbers[0], 1)
        self.assertEqual(sorted(numbers), sorted([*range(1, 12), *range(1, 11)]))

    def test_events_wait_until_something_comes(self) -> None:
        pair = self.pair(Walk, profile=Profile(latency_ms=40))
        pair.client.events()
        pair.run(2)
        pair.client.events()
        begin = pair.time
        pair.client.say("hello")
        (event,) = pair.client.events(10.0)
        self.assertIsInstance(event, Chat)
        # There, to the next tick, and back.
        self.assertTrue(0.08 <= pair.time - begin < 0.08 + 2 / 30, pair.time - begin)
        begin = pair.time
        self.assertEqual(pair.client.events(1.5), [])
        self.assertAlmostEqual(pair.time - begin, 1.5)

    def test_the_path_has_figures(self) -> None:
        pair = self.pair(Walk, profile=Profile(latency_ms=50), tick_rate=60.0)
        for _ in range(600):
            pair.client.send_input(1)
            pair.step()
        quality = pair.client.quality()
        self.assertEqual(quality.path, "udp")
        self.assertTrue(0.0999 < quality.rtt_seconds < 0.12, quality)
        self.assertAlmostEqual(pair.client.server_time(), pair.server.time(), 1)

    def test_another_one_joins(self) -> None:
        simulation = self.simulate(clients=["ada"])
        bob = simulation.join("bob")
        self.assertIs(simulation.clients[1], bob)
        self.assertEqual(bob.player.name, "bob")
        guest = simulation.join()
        self.assertNotEqual(guest.player.name, "")
        joined = [event for event in simulation.server.events() if isinstance(event, Joined)]
        self.assertEqual([event.player.name for event in joined][:2], ["ada", "bob"])

    def test_one_who_may_not_join(self) -> None:
        simulation = self.simulate(clients=["ada"], game_name="mine/1")
        refused = self.assertRaises(JoinRefused, simulation.join, "ADA")
        self.assertEqual(refused.reason, RefusalReason.DUPLICATE)
        self.assertEqual(len(simulation.clients), 1)
        self.assertRaises(JoinRefused, simulation.join, "bob", game_name="other/2")

    def test_one_who_gets_no_answer(self) -> None:
        simulation = self.simulate(clients=["ada"])
        simulation.server.stop()
        failed = self.assertRaises(ConnectionFailed, simulation.join, "bob")
        self.assertIn("10.0.0.1:7777", str(failed))

    def test_one_stops_and_starts_again(self) -> None:
        pair = self.pair()
        client = pair.client
        self.assertRaises(LocalProtocolError, client.start)
        client.stop()
        client.stop()
        self.assertEqual(last(client.events()).reason, DisconnectReason.QUIT)
        left = [event for event in pair.server.events() if isinstance(event, Left)]
        self.assertEqual([event.reason for event in left], [DisconnectReason.QUIT])
        client.start()
        self.assertEqual(client.player.id, 2)
        client.stop()
        with client:
            self.assertTrue(client.joined)

    def test_starting_need_not_wait(self) -> None:
        pair = self.pair(profile=Profile(latency_ms=100))
        pair.client.stop()
        pair.client.start(wait=False)
        self.assertRaises(NotJoined, pair.client.send, b"early")
        self.assertFalse(pair.client.joined)
        pair.until(lambda: any(isinstance(event, Connected) for event in pair.client.events()))
        self.assertTrue(pair.client.joined)

    def test_a_connection_that_is_cut_comes_back_with_nothing_lost(self) -> None:
        pair = self.pair(Walk, profile="cellular")
        said = []
        for number in range(200):
            if number % 50 == 25:
                pair.network.cut_tcp()
            said.append(b"%d" % number)
            pair.client.send(said[-1])
            pair.client.send_input(1)
            pair.step()
        pair.run(5)
        received = [event for event in pair.client.events() if isinstance(event, Received)]
        self.assertEqual([event.payload for event in received], said)
        self.assertEqual(pair.game.places[pair.game.server.find("player1")], 200)

    def test_over_tls(self) -> None:
        with TemporaryDirectory() as folder:
            files = certificates.write(Path(folder), make_certificate(["server.example"]))
            runs = []
            for _ in range(2):
                with Pair(Walk, cert_file=files.cert, key_file=files.key) as pair:
                    self.assertTrue(pair.client.secure)
                    pair.network.cut_tcp()
                    pair.client.say("hello")
                    pair.step(60)
                    self.assertEqual(pair.game.said, ["hello"])
                    runs.append(pair.fingerprint())
            self.assertEqual(*runs)


class ServerTests(Base):
    """The server is a facade too."""

    def test_without_a_game_it_is_the_tests(self) -> None:
        pair = self.pair()
        (player,) = (event.player for event in pair.server.events() if isinstance(event, Joined))
        pair.server.send(player, b"hello")
        pair.server.post("mine")
        pair.client.send_input(5)
        pair.step()
        received = [event for event in pair.client.events() if isinstance(event, Received)]
        self.assertEqual([event.payload for event in received], [b"hello"])
        events = pair.server.events()
        self.assertIn(5, [event.buttons for event in events if isinstance(event, Input)])
        self.assertIn("mine", [event.value for event in events if isinstance(event, Posted)])
        self.assertEqual((pair.server.port, pair.server.udp_port), (7777, 7777))
        self.assertEqual(pair.server.address, "10.0.0.1:7777")

    def test_with_one_its_events_are_the_games(self) -> None:
        for game in (Walk, walk):
            pair = self.pair(game)
            for call in (pair.server.events, pair.server.ticks):
                error = self.assertRaises(LocalProtocolError, call)
                self.assertIn("the game takes this server's events", str(error))
            # Verbs are for everybody.
            pair.server.broadcast(b"from the test")
            pair.step()
            self.assertIn(
                b"from the test",
                [event.payload for event in pair.client.events() if isinstance(event, Received)],
            )

    def test_it_starts_with_the_simulation_and_can_be_stopped(self) -> None:
        for game in (None, Walk, walk):
            pair = self.pair(game)
            self.assertRaises(LocalProtocolError, pair.server.start)
            self.assertTrue(pair.server.running)
            pair.server.stop()
            pair.server.stop()
            self.assertFalse(pair.server.running)
            self.assertEqual(last(pair.client.events()).reason, DisconnectReason.STOPPED)
            self.assertFalse(pair.server.failed)

    def test_waiting_where_time_passes_already_is_refused(self) -> None:
        refused: list[str] = []
        waits: list[Any] = []

        class Waits(Walk):
            def on_tick(self, tick: gamenet.Tick) -> None:
                for wait in waits:
                    try:
                        wait()
                    except LocalProtocolError as error:
                        refused.append(str(error))

        pair = self.pair(Waits, tick_rate=10.0)
        pair.step()
        pair.client.events()
        waits += [
            pair.step,
            lambda: pair.client.events(1.0),
            pair.client.stop,
            lambda: pair.join("bob"),
            lambda: pair.server.events(1.0),
        ]
        pair.step()
        waits.clear()
        self.assertEqual(len(refused), 5)
        self.assertTrue(all("time passes already" in text for text in refused), refused)
        self.assertTrue(pair.client.joined)


class SurroundingsTests(Base):
    """Where a simulation runs does not matter, and it leaves nothing behind."""

    def test_it_runs_on_any_thread(self) -> None:
        prints: list[str] = []

        def run() -> None:
            with Pair(walk, seed=4) as pair:
                pair.step(20)
                prints.append(pair.fingerprint())

        run()
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        self.assertEqual(len(set(prints)), 1)
        self.assertEqual(len(prints), 2)

    def test_the_process_can_be_forked_afterwards(self) -> None:
        self.patch(threads, "_IN_USE", False)
        with Pair(walk) as pair:
            pair.step()
        self.assertFalse(threads._IN_USE)

    def test_several_at_once_do_not_disturb_each_other(self) -> None:
        def alone() -> str:
            with Pair(Walk, seed=1, profile="wifi") as pair:
                pair.step(50)
                return pair.fingerprint()

        one, other = self.pair(Walk, seed=1, profile="wifi"), self.pair(walk, seed=2)
        for _ in range(50):
            one.step()
            other.step()
        self.assertEqual(one.fingerprint(), alone())

    def test_no_reactor_is_installed(self) -> None:
        source = """if True:
            import sys
            from gamenet.testing import Simulation
            from tests.testing.games import walk
            with Simulation(walk, clients=2, profile="cellular") as simulation:
                simulation.network.cut_tcp()
                for tick in simulation.clients[0].ticks(60):
                    if tick.number == 60:
                        break
            assert "twisted.internet.reactor" not in sys.modules
        """
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=ROOT, capture_output=True, text=True
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_closed_one_does_nothing_any_more(self) -> None:
        pair = self.pair()
        pair.close()
        for call in (pair.step, lambda: pair.run(1), lambda: pair.join("bob")):
            error = self.assertRaises(LocalProtocolError, call)
            self.assertIn("closed", str(error))

    def test_events_of_the_end_can_still_be_taken(self) -> None:
        pair = self.pair()
        pair.close()
        self.assertIsInstance(pair.client.events()[-1], Disconnected)

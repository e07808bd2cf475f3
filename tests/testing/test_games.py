"""Games in a simulation: stepped by call, or on a thread that takes turns."""

from __future__ import annotations

import threading
import time
from typing import Any

from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.errors import DisconnectReason, LocalProtocolError
from gamenet.events import Chat, Joined, Posted, Received
from gamenet.impairment import Profile
from gamenet.testing import Pair, baton
from tests.testing.games import Walk, last, walk


class Broken(Exception):
    """What a game of these tests raises."""


class Base(SynchronousTestCase):
    def pair(self, game: Any = None, **same: Any) -> Pair:
        pair = Pair(game, **same)
        self.addCleanup(pair.close)
        return pair

    def game_threads(self) -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name == "gamenet-game"]


class TurnTests(Base):
    """One thread runs at a time, and virtual time decides which."""

    def test_never_two_at_once(self) -> None:
        running: list[str] = []
        turns: list[str] = []

        def turn(name: str) -> None:
            """Long enough for another thread to get in, if it could."""
            running.append(name)
            turns.append(name)
            end = time.perf_counter() + 0.002
            while time.perf_counter() < end:
                assert running == [name], running
            assert running.pop() == name

        def game(server: gamenet.GameServer) -> None:
            for tick in server.ticks(20.0):
                turn("game")
                if tick.events:
                    server.broadcast(b"to all")

        pair = self.pair(game, profile="cellular")
        loop = LoopingCall(turn, "network")
        loop.clock = pair.client.reactor
        loop.start(0.03)
        for _ in range(40):
            turn("test")
            pair.client.send(b"x")
            pair.step()
        loop.stop()
        self.assertEqual(set(turns), {"test", "game", "network"})

    def test_a_function_has_one_thread_and_a_class_none(self) -> None:
        mine: list[int] = []

        @gamenet.game(tick_rate=10.0)
        def game(server: gamenet.GameServer) -> None:
            for _ in server.ticks():
                mine[:] = [*mine, threading.get_ident()]

        class Here(Walk):
            def on_tick(self, tick: gamenet.Tick) -> None:
                mine.append(threading.get_ident())

        before = self.game_threads()
        for each, threads in ((game, 1), (Here, 0)):
            mine.clear()
            pair = self.pair(each)
            pair.step(5)
            self.assertEqual(len(set(mine)), 1)
            self.assertEqual(threading.get_ident() in mine, not threads)
            self.assertEqual(len(self.game_threads()) - len(before), threads)
            pair.close()
            self.assertEqual(self.game_threads(), before)

    def test_both_ways_the_same_game_is_the_same_run(self) -> None:
        runs = []
        for game in (Walk, walk):
            with Pair(game, profile="wifi", seed=9) as pair:
                for number in range(60):
                    pair.client.send_input(number & 3)
                    if number % 20 == 10:
                        pair.client.say("hello")
                        pair.client.send(b"there and back")
                    pair.step()
                runs.append((pair.fingerprint(), pair.client.events()))
        self.assertEqual(runs[0][0], runs[1][0])
        self.assertEqual([str(event) for event in runs[0][1]], [str(event) for event in runs[1][1]])

    def test_a_game_can_wait_for_events(self) -> None:
        heard: list[tuple[float, str]] = []

        def game(server: gamenet.GameServer) -> None:
            while server.running:
                for event in server.events(2.0):
                    heard.append((server.time(), type(event).__name__))
                    if isinstance(event, Chat):
                        server.say("heard", author=event.player)
                heard.append((server.time(), "look"))

        pair = self.pair(game, profile=Profile(latency_ms=40))
        pair.run(10)
        heard.clear()
        pair.client.events()
        begin, sent = pair.server.time(), pair.time
        pair.client.say("hello")
        (event,) = pair.client.events(5.0)
        assert isinstance(event, Chat)
        self.assertEqual(event.text, "heard")
        # At once when it came, and neither at the end of the wait nor with some tick.
        self.assertEqual([what for _, what in heard[:2]], ["Chat", "look"])
        self.assertAlmostEqual(heard[0][0] - begin, 0.04, 3)
        self.assertAlmostEqual(pair.time - sent, 0.08, 3)
        heard.clear()
        pair.run(10)
        self.assertEqual({what for _, what in heard}, {"look"})
        self.assertIn(len(heard), (4, 5))

    def test_what_a_test_posts_is_in_the_next_tick(self) -> None:
        found: list[tuple[int, object]] = []

        def game(server: gamenet.GameServer) -> None:
            for tick in server.ticks(10.0):
                posted = [event for event in tick.events if isinstance(event, Posted)]
                found.extend((tick.number, event.value) for event in posted)

        pair = self.pair(game, tick_rate=10.0)
        pair.server.post("one")
        self.assertEqual(found, [])
        pair.step()
        self.assertEqual(found, [(3, "one")])

    def test_what_a_pass_says_leaves_when_it_ends(self) -> None:
        sent: list[float] = []

        def game(server: gamenet.GameServer) -> None:
            for tick in server.ticks(10.0):
                for event in tick.events:
                    if isinstance(event, Received):
                        sent.append(server.time())
                        server.broadcast(b"answer")

        class Answers(Walk):
            def on_message(self, player: gamenet.Player, payload: Any, channel: int) -> None:
                sent.append(self.server.time())
                self.server.broadcast(b"answer")

        for each in (game, Answers):
            sent.clear()
            pair = self.pair(each, tick_rate=10.0, profile=Profile(latency_ms=30))
            pair.step(5)
            pair.client.events()
            pair.client.send(b"question")
            (event,) = pair.client.events(5.0)
            assert isinstance(event, Received)
            self.assertAlmostEqual(pair.server.time() - sent[0], 0.03, 4)


class EndTests(Base):
    """Games always end, and their failures are the test's."""

    def test_what_a_game_raises_fails_the_test(self) -> None:
        error = Broken("on purpose")

        def function(server: gamenet.GameServer) -> None:
            for tick in server.ticks(30.0):
                if tick.number == 10:
                    raise error

        class Method(Walk):
            def on_tick(self, tick: gamenet.Tick) -> None:
                if tick.number == 10:
                    raise error

        for game in (function, Method):
            for wait in ("step", "run", "until", "events"):
                pair = self.pair(game)
                self.assertFalse(pair.server.failed)
                calls: dict[str, Any] = {
                    "step": lambda pair=pair: pair.step(20),
                    "run": lambda pair=pair: pair.run(20),
                    "until": lambda pair=pair: pair.until(lambda: False),
                    "events": lambda pair=pair: [pair.client.events(5.0) for _ in range(9)],
                }
                raised = self.assertRaises(Broken, calls[wait])
                self.assertIs(raised, error)
                self.assertTrue(pair.server.failed)
                # Its players are told as they are everywhere, and the rest is in order.
                pair.run(1)
                self.assertEqual(last(pair.client.events()).reason, DisconnectReason.GAME_ERROR)
                pair.close()
        self.assertEqual(self.game_threads(), [])

    def test_every_hook_can_fail_and_on_stop_is_called_once(self) -> None:
        for hook in ("on_start", "on_join", "on_input", "on_event", "on_tick"):
            stops: list[str] = []

            def fail(self: Any, *args: Any) -> None:
                raise Broken

            fields = {hook: fail, "on_stop": lambda self, stops=stops: stops.append("stop")}
            kind = type("Fails", (gamenet.Game,), fields)

            def play(kind: Any = kind) -> None:
                with Pair(kind) as pair:
                    pair.client.send_input(1)
                    pair.step(3)

            self.assertRaises(Broken, play)
            # What has not started need not stop.
            self.assertEqual(len(stops), hook != "on_start", hook)

    def test_what_is_raised_at_the_end_comes_out_of_close(self) -> None:
        def function(server: gamenet.GameServer) -> None:
            for _ in server.ticks():
                pass
            raise Broken

        class Method(Walk):
            def on_stop(self) -> None:
                raise Broken

        for game in (function, Method):
            pair = Pair(game)
            pair.step()
            self.assertRaises(Broken, pair.close)
            pair.close()
        self.assertEqual(self.game_threads(), [])

    def test_the_last_tick_holds_what_was_left(self) -> None:
        seen: list[list[str]] = []

        def game(server: gamenet.GameServer) -> None:
            for tick in server.ticks(10.0):
                names = [type(event).__name__ for event in tick.events]
                seen.extend([names])

        class Sees(Walk):
            def on_event(self, event: Any) -> None:
                seen.append([type(event).__name__])

        for each in (game, Sees):
            seen.clear()
            pair = self.pair(each)
            pair.step()
            pair.close()
            self.assertIn("Left", seen[-1])
            if isinstance(pair.game, Walk):
                self.assertEqual(pair.game.stops, 1)

    def test_a_game_that_returns_stops_its_server(self) -> None:
        def game(server: gamenet.GameServer) -> None:
            for tick in server.ticks(30.0):
                if tick.number == 5:
                    return

        pair = self.pair(game)
        pair.step(10)
        self.assertEqual(last(pair.client.events()).reason, DisconnectReason.STOPPED)
        self.assertFalse(pair.server.running)
        self.assertFalse(pair.server.failed)
        self.assertEqual(self.game_threads(), [])

    def test_a_game_can_stop_its_server(self) -> None:
        def function(server: gamenet.GameServer) -> None:
            for tick in server.ticks(30.0):
                if tick.number == 5:
                    server.stop()

        class Method(Walk):
            def on_tick(self, tick: gamenet.Tick) -> None:
                if tick.number == 5:
                    self.server.stop()

        for game in (function, Method):
            pair = self.pair(game)
            pair.step(10)
            self.assertEqual(last(pair.client.events()).reason, DisconnectReason.STOPPED)
            self.assertFalse(pair.server.failed)

    def test_giving_up_is_a_failure_unless_it_says_that_all_is_well(self) -> None:
        def give_up(code: object) -> Any:
            def game(server: gamenet.GameServer) -> None:
                for tick in server.ticks(30.0):
                    if tick.number == 5:
                        raise SystemExit(code)

            return game

        def leave(code: object) -> Any:
            class Method(Walk):
                def on_tick(self, tick: gamenet.Tick) -> None:
                    if tick.number == 5:
                        raise SystemExit(code)

            return Method

        for kind in (give_up, leave):
            for well in (None, 0):
                pair = self.pair(kind(well))
                pair.step(10)
                self.assertFalse(pair.server.failed)
                self.assertFalse(pair.server.running)
            pair = self.pair(kind("no map"))
            error = self.assertRaises(AssertionError, pair.step, 10)
            self.assertIn("no map", str(error))
            self.assertTrue(pair.server.failed)
        self.assertEqual(pair.game.stops, 1)

    def test_a_loop_that_ignores_the_end_is_ended(self) -> None:
        def waits(server: gamenet.GameServer) -> None:
            while True:
                server.events(0.1)

        def ticks(server: gamenet.GameServer) -> None:
            while True:
                for _ in server.ticks(30.0):
                    pass

        for game in (waits, ticks):
            pair = Pair(game)
            pair.step(3)
            error = self.assertRaises(LocalProtocolError, pair.close)
            self.assertIn("did not return", str(error))
            self.assertEqual(self.game_threads(), [])

    def test_a_loop_that_lets_no_time_pass_is_ended(self) -> None:
        def looks(server: gamenet.GameServer) -> None:
            while server.running:
                server.events()

        error = self.assertRaises(LocalProtocolError, Pair, looks)
        self.assertIn("never waits", str(error))
        self.assertEqual(self.game_threads(), [])

    def test_a_game_that_hangs_is_given_up(self) -> None:
        self.patch(baton, "HANGS_SECONDS", 0.05)
        lock = threading.Lock()

        def hangs(server: gamenet.GameServer) -> None:
            for tick in server.ticks(30.0):
                if any(isinstance(event, Joined) for event in tick.events):
                    lock.acquire()

        lock.acquire()
        try:
            error = self.assertRaises(AssertionError, Pair, hangs)
            self.assertIn("not handed over for 0.05 s", str(error))
        finally:
            (thread,) = self.game_threads()
            lock.release()
        # It finds itself alone, and nobody waits for it.
        self.assertTrue(thread.daemon)

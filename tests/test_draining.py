"""Emptying a server: who is told what and when, who may still come, and how it ends."""

from __future__ import annotations

import json
import math
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.bridge import Bridge
from gamenet.config import ServerConfig
from gamenet.draining import MAX_CHARACTERS, Drain, calls, line, spell
from gamenet.errors import (
    REFUSAL_TEXTS,
    BridgeClosed,
    ConfigError,
    DisconnectReason,
    LocalProtocolError,
    QueueFull,
    RefusalReason,
)
from gamenet.events import Chat, Disconnected, Joined, Left, Received, Resumed
from gamenet.facade import GameServer
from gamenet.flight import FlightRecorder
from gamenet.game import Game
from gamenet.testing import Simulation
from tests.test_service import ServiceCase
from tests.world import ClientEnd, World


class WordsTests(SynchronousTestCase):
    def test_the_calls_are_at_once_at_half_a_minute_and_ten_seconds_before(self) -> None:
        self.assertEqual(calls(300.0), [300.0, 150.0, 60.0, 10.0])
        self.assertEqual(calls(600.0), [600.0, 300.0, 60.0, 10.0])

    def test_a_last_call_is_not_made_before_half_of_the_time(self) -> None:
        self.assertEqual(calls(120.0), [120.0, 60.0, 10.0])
        self.assertEqual(calls(100.0), [100.0, 50.0, 10.0])
        self.assertEqual(calls(12.0), [12.0, 6.0])
        self.assertEqual(calls(2.0), [2.0, 1.0])

    def test_times_are_as_people_say_them(self) -> None:
        for seconds, words in (
            (300.0, "5 minutes"),
            (150.0, "2 minutes 30 seconds"),
            (61.0, "1 minute 1 second"),
            (60.0 + 1e-9, "1 minute"),
            (59.2, "1 minute"),
            (10.0, "10 seconds"),
            (0.3, "1 second"),
            (0.0, "a moment"),
            (7_201.0, "121 minutes"),
        ):
            self.assertEqual(spell(seconds), words)

    def test_the_line_has_the_reason_and_the_end(self) -> None:
        self.assertEqual(
            line("Version 2 comes", 60.0),
            "Version 2 comes. The server ends in 1 minute; come back after that.",
        )
        self.assertTrue(line("Now!", 60.0).startswith("Now! The"))

    def test_the_longest_text_with_the_longest_time_is_a_line_of_chat(self) -> None:
        self.assertLessEqual(len(line("x" * MAX_CHARACTERS, 86_399.0)), 500)


class DrainTests(SynchronousTestCase):
    """The emptying itself, on a network that is not there."""

    def begin(
        self, world: World, seconds: float = 300.0, text: str = "", done: Any = None
    ) -> Drain:
        self.ends: list[float] = []
        host = world.server.host

        def note() -> None:
            self.ends.append(host.now() - self.began)

        self.began = host.now()
        drain = Drain(host, world.server.machine, seconds, text, done or note)
        self.addCleanup(drain.cancel)
        return drain

    def heard(self, client: ClientEnd) -> list[str]:
        """What the server has said to a player."""
        return [event.text for event in client.of(Chat) if event.player.id == 0]

    def times(self, client: ClientEnd) -> list[str]:
        """The times in it."""
        return [text.partition(" in ")[2].partition(";")[0] for text in self.heard(client)]

    def test_everybody_is_told_at_once_and_three_times_more(self) -> None:
        for bridged in (False, True):
            with self.subTest(bridged=bridged):
                world = World(self, bridged=bridged)
                players = [world.join(name) for name in ("ada", "bob", "eve")]
                self.begin(world)
                for until, wanted in (
                    (0.5, ["5 minutes"]),
                    (149.0, ["5 minutes"]),
                    (151.0, ["5 minutes", "2 minutes 30 seconds"]),
                    (239.0, ["5 minutes", "2 minutes 30 seconds"]),
                    (241.0, ["5 minutes", "2 minutes 30 seconds", "1 minute"]),
                    (289.0, ["5 minutes", "2 minutes 30 seconds", "1 minute"]),
                    (291.0, ["5 minutes", "2 minutes 30 seconds", "1 minute", "10 seconds"]),
                ):
                    world.play(until - (world.server.host.now() - self.began))
                    for player in players:
                        self.assertEqual(self.times(player), wanted)
                self.assertEqual(self.ends, [])
                world.close()

    def test_the_operators_words_are_in_the_chat_and_in_the_goodbye(self) -> None:
        world = World(self)
        client = world.join("ada")
        self.begin(world, 2.0, "Version 2 comes")
        world.play(3.0)
        self.assertEqual(len(self.heard(client)), 2)
        for text in self.heard(client):
            self.assertTrue(text.startswith("Version 2 comes. "), text)
        self.assertEqual(client.end().text, "Version 2 comes")

    def test_newcomers_read_that_they_may_come_back_and_when(self) -> None:
        world = World(self)
        world.join("ada")
        self.begin(world, 300.0)
        world.play(100.0)
        late = world.client("bob")
        world.play(0.5)
        ended = late.end()
        self.assertIs(ended.refusal, RefusalReason.DRAINING)
        self.assertEqual(ended.text, REFUSAL_TEXTS[RefusalReason.DRAINING])
        self.assertIn("Come back", ended.text)
        self.assertAlmostEqual(late.host.retry_after_seconds, 200.0, delta=1.0)
        self.assertEqual(world.server.host.refusals[RefusalReason.DRAINING], 1)
        self.assertEqual(list(world.server.players), ["ada"])

    def test_who_lost_the_connection_may_still_come_back_and_is_told_then(self) -> None:
        world = World(self, resume_seconds=60.0)
        client = world.join("ada", redials=True)
        assert client.transport is not None
        client.transport.abortConnection()
        self.begin(world, 300.0)
        world.play(5.0)
        self.assertEqual(len(client.of(Resumed)), 1)
        self.assertEqual(self.times(client), ["5 minutes"])
        self.assertEqual(self.ends, [])

    def test_it_is_over_as_soon_as_the_last_one_has_left(self) -> None:
        world = World(self)
        players = [world.join(name) for name in ("ada", "bob")]
        self.begin(world, 300.0)
        world.play(20.0)
        players[0].host.leave()
        world.play(20.0)
        self.assertEqual(self.ends, [])
        players[1].host.leave()
        world.play(1.0)
        (end,) = self.ends
        self.assertLess(end, 41.0)
        world.play(300.0)
        self.assertEqual(len(self.ends), 1)

    def test_who_waits_for_another_connection_counts_until_the_wait_is_over(self) -> None:
        world = World(self, resume_seconds=30.0)
        client = world.join("ada")
        assert client.transport is not None
        client.transport.abortConnection()
        world.play(0.1)
        self.begin(world, 300.0)
        world.play(29.0)
        self.assertEqual(self.ends, [])
        world.play(2.0)
        self.assertEqual(len(self.ends), 1)

    def test_who_waits_for_another_connection_does_not_outlast_the_time(self) -> None:
        world = World(self, resume_seconds=60.0)
        client = world.join("ada")
        assert client.transport is not None
        client.transport.abortConnection()
        world.play(0.1)
        self.begin(world, 10.0)
        world.play(10.1)
        self.assertEqual(len(self.ends), 1)
        (left,) = world.server.of(Left)
        self.assertIs(left.reason, DisconnectReason.DRAINED)

    def test_who_is_joining_just_now_counts(self) -> None:
        world = World(self)
        world.network.delay = 0.3
        client = world.client("ada")
        while not len(world.server.host.registry):
            world.run(0.05)
        self.assertEqual(world.server.of(Joined), [])
        self.begin(world, 5.0)
        world.play(1.0)
        self.assertEqual(self.ends, [])
        self.assertTrue(client.joined)
        # The first call came too early for it; the next one does not.
        world.play(3.0)
        self.assertEqual(len(self.heard(client)), 1)

    def test_with_nobody_in_it_is_over_in_the_next_turn(self) -> None:
        world = World(self)
        self.begin(world)
        self.assertEqual(self.ends, [])
        world.run(0.01)
        self.assertEqual(len(self.ends), 1)

    def test_when_the_time_is_over_the_rest_are_sent_away(self) -> None:
        for bridged in (False, True):
            with self.subTest(bridged=bridged):
                world = World(self, bridged=bridged)
                players = [world.join(name) for name in ("ada", "bob")]
                self.begin(world, 20.0)
                world.play(19.0)
                for player in players:
                    self.assertTrue(player.joined)
                world.play(1.5)
                for player in players:
                    ended = player.end()
                    self.assertIs(ended.reason, DisconnectReason.DRAINED)
                    self.assertTrue(ended.reason.orderly)
                    self.assertEqual(ended.text, "the server is being emptied")
                (end,) = self.ends
                self.assertAlmostEqual(end, 20.0, delta=0.01)
                world.close()

    def test_what_the_game_said_last_goes_out_before_the_goodbye(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        drain = self.begin(world, 5.013)  # not at a beat, which would look for what was said
        world.play(4.9)
        world.run(drain.seconds_left - 0.001)
        world.server.take()
        world.server.verbs.broadcast(b"famous last words")
        world.play(0.5)
        self.assertEqual([type(event) for event in client.events[-2:]], [Received, Disconnected])

    def test_one_who_is_far_behind_keeps_it_from_nobody(self) -> None:
        world = World(self, on_full="raise", window_messages=1, queue_messages=1)
        slow, other = world.join("slow"), world.join("other")
        verbs, players = world.server.verbs, world.server.players
        world.network.delay = 1.0
        with self.assertRaises(QueueFull):
            while True:
                verbs.send(players["slow"], b"x")
        world.network.delay = 0.0
        self.begin(world)
        self.assertEqual(world.server.host.seats[players["other"].id].queued_messages, 1)
        world.play(0.2)
        self.assertEqual(self.times(other), ["5 minutes"])
        self.assertTrue(slow.joined)

    def test_a_time_or_a_text_that_is_none_changes_nothing(self) -> None:
        world = World(self)
        for seconds in (0.0, -1.0, math.nan, math.inf):
            self.assertRaises(ValueError, self.begin, world, seconds)
        self.assertRaises(ValueError, self.begin, world, 10.0, "x" * (MAX_CHARACTERS + 1))
        self.assertRaises(ValueError, self.begin, world, 10.0, "\x00\x01")
        self.assertIsNone(world.server.host.closed_because)
        world.join("ada")


class ServiceDrainTests(ServiceCase):
    def test_it_has_the_time_that_the_config_says_and_stops_by_itself(self) -> None:
        service = self.service(drain_seconds=40.0)
        service.startService()
        player, _ = self.join(service)
        self.assertFalse(service.draining)
        self.assertEqual(service.drain_seconds_left, 0.0)
        self.assertTrue(service.drain())
        self.assertTrue(service.draining)
        self.network.run(39.0)
        self.assertTrue(service.running)
        self.assertAlmostEqual(service.drain_seconds_left, 1.0, delta=0.01)
        self.network.run(5.0)
        self.assertFalse(service.running)
        ended = player.events[-1]
        assert isinstance(ended, Disconnected)
        self.assertIs(ended.reason, DisconnectReason.DRAINED)

    def test_the_flight_record_has_its_begin_and_its_end(self) -> None:
        for stays in (True, False):
            service = self.service()
            recorder = FlightRecorder(service, "", self.machine)
            service.startService()
            recorder.startService()
            players = [self.join(service, name)[1].host for name in ("ada", "bob")]
            service.drain(40.0, "secret plans")
            service.drain(50.0)
            players[0].leave()
            if not stays:
                players[1].leave()
            self.network.run(45.0)
            recorder.stopService()
            lines = [json.loads(line) for line in recorder._lines("asked")]
            begin, end = (line for line in lines if line["kind"].startswith("drain"))
            self.assertEqual(
                (begin["kind"], begin["seconds"], begin["players"]), ("drain", 40.0, 2)
            )
            self.assertEqual((end["kind"], end["sent_away"]), ("drained", int(stays)))
            self.assertNotIn("secret plans", str(lines))

    def test_a_second_one_changes_nothing(self) -> None:
        service = self.service()
        service.startService()
        player, _ = self.join(service)
        service.drain(100.0, "first")
        self.network.run(10.0)
        self.assertFalse(service.drain(500.0, "second"))
        self.network.run(0.5)
        self.assertAlmostEqual(service.drain_seconds_left, 89.5, delta=0.01)
        said = [event.text for event in player.events if isinstance(event, Chat)]
        self.assertEqual(len(said), 1)

    def test_a_bad_one_leaves_the_way_to_a_good_one(self) -> None:
        service = self.service()
        service.startService()
        self.assertRaises(ValueError, service.drain, -1.0)
        self.assertFalse(service.draining)
        self.assertTrue(service.drain(1.0))

    def test_before_it_runs_there_is_nothing_to_empty(self) -> None:
        error = self.assertRaises(LocalProtocolError, self.service().drain)
        self.assertIn("does not run yet", str(error))

    def test_stopping_goes_on_at_once_and_leaves_no_timer(self) -> None:
        service = self.service()
        service.startService()
        player, _ = self.join(service)
        over: list[bool] = []
        service.on_drained = lambda: over.append(True)
        service.drain()
        service.stopService()
        self.network.run(1.0)
        ended = player.events[-1]
        assert isinstance(ended, Disconnected)
        self.assertIs(ended.reason, DisconnectReason.STOPPED)
        self.assertEqual(self.network.timers, [])
        self.assertFalse(service.drain())
        self.assertEqual(over, [])

    def test_whoever_runs_the_service_may_end_it_otherwise(self) -> None:
        service = self.service()
        told: list[bool] = []
        service.on_drained = lambda: told.append(True)
        service.startService()
        service.drain()
        self.network.run(1.0)
        self.assertEqual(told, [True])
        self.assertTrue(service.running)

    def test_the_time_is_a_setting(self) -> None:
        for wrong in (0.0, -1.0, math.inf):
            error = self.assertRaises(ConfigError, ServerConfig, drain_seconds=wrong)
            self.assertEqual(error.field, "drain_seconds")


class Match(Game):
    """Has the server emptied as soon as somebody is in."""

    def on_start(self) -> None:
        self.ticks_drained = 0
        self.left: list[str] = []
        self.is_over = False

    def on_join(self, player: Any) -> None:
        self.server.broadcast(b"the last match")
        self.server.drain(2.0, "The match is over")
        self.server.drain(500.0, "a second one")

    def on_tick(self, tick: Any) -> None:
        self.ticks_drained += self.server.draining

    def on_leave(self, player: Any, reason: DisconnectReason) -> None:
        self.left.append(reason.name)

    def on_stop(self) -> None:
        self.is_over = True


class GameDrainTests(ServiceCase):
    """Games that have their server emptied, by their own end of it."""

    def test_the_game_goes_on_and_its_loop_ends_once_everybody_was_sent_away(self) -> None:
        game = Match()
        with Simulation(game, clients=["ada"]) as world:
            (ada,) = world.clients
            events = []
            world.run(1.0)
            events += ada.events()
            self.assertTrue(world.server.draining)
            self.assertAlmostEqual(world.server.drain_seconds_left, 1.0, delta=0.1)
            self.assertFalse(game.is_over)
            world.run(3.0)
            events += ada.events()
            self.assertEqual((world.server.running, world.server.draining), (False, False))
            self.assertEqual((game.left, game.is_over), (["DRAINED"], True))
            self.assertGreater(game.ticks_drained, 30)
            heard = [event for event in events if isinstance(event, Received | Chat | Disconnected)]
            self.assertEqual([type(event) for event in heard], [Received, Chat, Chat, Disconnected])
            self.assertEqual(heard[1].text, line("The match is over", 2.0))  # type: ignore[union-attr]
            world.server.drain()  # late, and no mistake

    def test_a_server_without_anybody_in_it_is_over_at_once(self) -> None:
        with Simulation(clients=0) as world:
            world.server.drain()
            ticks = list(world.server.ticks())
            self.assertLess(len(ticks), 30)
            self.assertFalse(world.server.running)

    def test_a_mistake_is_told_at_the_call(self) -> None:
        with Simulation() as world:
            for seconds, text in ((0.0, ""), (math.nan, ""), (None, "x" * 401), (None, "\x00")):
                self.assertRaises(ValueError, world.server.drain, seconds, text)
            world.run(1.0)
            self.assertFalse(world.server.draining)

    def test_one_that_is_attached_leaves_it_to_whoever_has_the_service(self) -> None:
        bridge = Bridge(ServerConfig(insecure=True))
        self.sink = lambda fields: bridge  # type: ignore[method-assign]
        self.service().startService()
        server = GameServer.attach(bridge)
        error = self.assertRaises(LocalProtocolError, server.drain)
        self.assertIn("GameServerService.drain()", str(error))
        bridge.finish()
        self.assertRaises(BridgeClosed, server.drain)

"""The game's loop on both sides, in virtual time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from twisted.python import threadable
from twisted.trial.unittest import SynchronousTestCase

from gamenet import threads as threads_module
from gamenet.bridge import LATEST_SECONDS
from gamenet.client_facade import GameClient
from gamenet.errors import DisconnectReason, LocalProtocolError
from gamenet.events import Chat, Connected, Disconnected, Joined, Left, Posted, Received, Tick
from gamenet.facade import GameServer
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

HANGS_SECONDS = 60.0


class LoopCase(SynchronousTestCase):
    """A server and a client whose games a test steps by hand."""

    def setUp(self) -> None:
        self.world = World(self, bridged=True, tick_rate=8.0)
        self.client = self.world.client("ada")
        self.world.settle()
        self.server: GameServer = self.world.server.verbs
        self.game: GameClient = self.client.verbs

    def due(self, loop: GameServer | GameClient, hz: float | None = None) -> list[Tick]:
        """The ticks that are due."""
        return list(loop.ticks(hz, wait=False))


class TicksTests(LoopCase):
    """What ticks hold and when they come."""

    def test_without_waiting_those_that_are_due_come_and_no_more(self) -> None:
        self.assertEqual([tick.number for tick in self.due(self.server)], [1])
        self.assertEqual(self.due(self.server), [])
        self.world.run(0.375)
        self.assertEqual([tick.number for tick in self.due(self.server)], [2, 3, 4])

    def test_a_slow_game_gets_only_those_that_were_due_when_it_asked(self) -> None:
        numbers = []
        for tick in self.server.ticks(wait=False):
            numbers.append(tick.number)
            self.world.run(1.0)
        self.assertEqual(numbers, [1])

    def test_a_tick_says_its_number_time_length_lateness_and_what_was_skipped(self) -> None:
        self.due(self.server)
        self.world.run(0.1875)
        (tick,) = self.due(self.server)
        self.assertEqual((tick.number, tick.time, tick.dt, tick.skipped), (2, 0.25, 0.125, 0))
        self.assertEqual(tick.late_seconds, 0.0625)
        self.world.run(2.0)
        (tick,) = self.due(self.server)
        self.assertEqual((tick.number, tick.skipped), (18, 15))
        self.assertEqual(tick.late_seconds, 0.0625)
        self.assertEqual(self.server.loop_stats()["skipped"], 15)

    def test_the_events_of_a_tick_are_all_that_arrived_since_the_last_in_order(self) -> None:
        (tick,) = self.due(self.server)
        self.assertEqual([type(event) for event in tick.events][:1], [Joined])
        self.due(self.game)
        self.game.say("one")
        self.game.say("two")
        self.server.post("three")
        self.world.run(0.125)
        (tick,) = self.due(self.server)
        self.assertEqual(
            [event.text if isinstance(event, Chat) else event for event in tick.events],
            ["one", "two", Posted("three")],
        )

    def test_players_change_when_events_are_taken_and_not_before(self) -> None:
        self.assertEqual(list(self.server.players), [])
        self.due(self.server)
        self.assertEqual([player.name for player in self.server.players], ["ada"])
        self.client.host.leave()
        self.world.run(0.125)
        self.assertEqual([player.name for player in self.server.players], ["ada"])
        self.due(self.server)
        self.assertEqual(list(self.server.players), [])

    def test_a_client_is_joined_when_it_takes_connected_and_not_before(self) -> None:
        self.assertEqual((self.game.joined, self.game.player.id), (False, 0))
        self.due(self.game)
        self.assertEqual((self.game.joined, self.game.player.name), (True, "ada"))
        self.world.server.host.end_all(DisconnectReason.STOPPED)
        self.world.run(0.125)
        self.assertTrue(self.game.joined)
        self.due(self.game)
        self.assertFalse(self.game.joined)

    def test_a_client_knows_its_path_when_it_takes_the_change_and_not_before(self) -> None:
        self.assertEqual((self.game.path, self.client.host.quality().path), ("tcp", "udp"))
        self.due(self.game)
        self.assertEqual(self.game.path, "udp")

    def test_a_client_ticks_at_the_rate_of_its_server_unless_told_otherwise(self) -> None:
        self.assertEqual(self.due(self.game)[0].dt, 0.125)
        self.assertEqual(self.due(self.game, 50.0)[0].dt, 0.02)

    def test_rates_that_are_none_are_the_callers_mistake(self) -> None:
        for hz in (0.0, -1.0, 1000.5, float("nan"), float("inf")):
            self.assertRaises(ValueError, self.server.ticks, hz)


class LastTickTests(LoopCase):
    """What ends a loop is in its last tick."""

    def check_last(self, ticks: list[Tick], kind: type) -> None:
        self.assertIsInstance(ticks[-1].events[-1], kind)
        self.assertEqual(
            [event for tick in ticks[:-1] for event in tick.events if isinstance(event, kind)], []
        )

    def test_the_last_tick_of_a_client_holds_disconnected(self) -> None:
        for wait in (True, False):
            client = self.world.client(f"bob-{wait}")
            self.world.settle()
            self.world.server.host.end_all(DisconnectReason.KICKED)
            self.world.run(1.0)
            ticks = list(client.verbs.ticks(wait=wait))
            self.assertIsInstance(ticks[0].events[0], Connected)
            self.check_last(ticks, Disconnected)
            self.assertEqual(list(client.verbs.ticks(wait=wait)), [])
            self.assertEqual(client.verbs.events(), [])

    def test_a_client_that_never_got_in_hears_it_in_its_last_tick(self) -> None:
        client = self.world.client("no such name!")
        self.world.settle()
        ticks = list(client.verbs.ticks(30.0))
        self.assertEqual(len(ticks), 1)
        (ended,) = ticks[0].events
        self.assertEqual(ended.reason, DisconnectReason.REFUSED)

    def test_the_last_tick_of_a_server_holds_the_final_lefts(self) -> None:
        for wait in (True, False):
            with self.subTest(wait=wait):
                world = World(self, bridged=True)
                for user in ("ada", "bob", "eve"):
                    world.client(user)
                world.settle()
                self.due(world.server.verbs)
                world.server.host.end_all(DisconnectReason.STOPPED)
                world.server.bridge.close()
                ticks = list(world.server.verbs.ticks(wait=wait))
                self.assertEqual([type(event) for event in ticks[-1].events], [Left] * 3)
                self.assertEqual(list(world.server.verbs.players), [])
                self.assertEqual(list(world.server.verbs.ticks(wait=wait)), [])

    def test_the_last_tick_comes_at_once(self) -> None:
        self.due(self.server)
        before = self.world.network.seconds()
        self.world.server.bridge.close()
        (tick,) = list(self.server.ticks())
        self.assertEqual((tick.number, tick.late_seconds), (2, 0.0))
        self.assertEqual(self.world.network.seconds(), before)

    def test_what_was_posted_before_the_end_is_not_lost(self) -> None:
        self.due(self.server)
        self.server.post("last")
        self.world.server.bridge.close()
        (tick,) = self.due(self.server)
        self.assertIn(Posted("last"), tick.events)


class PassTests(LoopCase):
    """What a pass has said leaves when it ends."""

    def test_the_end_of_a_tick_wakes_the_reactor_once(self) -> None:
        self.world.take()
        machine = self.world.server.machine
        self.world.run(1.0)
        for tick in self.server.ticks(wait=False):
            before = machine.wakes
            for _ in range(50):
                self.server.broadcast(b"x")
            # Those are the 5 ms ones; the end of the tick brings the other.
            self.assertEqual(machine.wakes - before, 1)
            if tick.number:
                break
        self.assertEqual(machine.wakes - before, 2)

    def test_leaving_the_loop_in_the_middle_ends_the_pass_as_well(self) -> None:
        self.world.take()
        self.world.run(1.0)
        for _ in self.server.ticks(wait=False):
            self.server.broadcast(b"before the break")
            break
        self.world.settle()
        self.client.take()
        self.assertEqual(len(self.client.events), 3)

    def test_flush_sends_in_the_middle_of_a_pass(self) -> None:
        self.world.take()
        self.world.run(1.0)
        for _ in self.server.ticks(wait=False):
            self.server.broadcast(b"now")
            self.server.flush()
            self.world.settle()
            self.client.take()
            self.assertEqual(len(self.client.events), 3)
            break

    def test_events_are_given_and_commands_sent_without_ticks(self) -> None:
        self.world.take()
        self.server.broadcast(b"x")
        self.assertEqual(self.server.events(), [])
        self.world.settle()
        self.assertEqual(len(self.game.events()), 1)


class LatestTests(SynchronousTestCase):
    """What a long pass leaves at the bridge does not wait for its end."""

    @settings(max_examples=60)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["wait", "say", "state", "fast", "end"]), st.integers(0, 30)),
            max_size=30,
        )
    )
    # Said between two passes, while the reactor means to look 5 ms into the next one.
    @example([("end", 1), ("say", 1), ("end", 7), ("say", 10)])
    @example([("end", 1), ("say", 1), ("end", 7), ("state", 10)])
    def test_everything_said_leaves_within_5_ms(self, steps: list[tuple[str, int]]) -> None:
        world = World(self, bridged=True, tick_rate=50.0)
        world.join("ada")
        world.play(0.3)
        server, bridge, now = world.server.verbs, world.server.bridge, world.network.seconds
        assert bridge is not None
        player = world.server.players["ada"]
        carried_out = world.server.counters.commands
        said: list[float] = []
        state_waits_since = 0.0
        ticks = server.ticks(wait=False)
        for what, milliseconds in steps:
            if what == "end":
                ticks.close()
                ticks = server.ticks(wait=False)
                next(ticks, None)
            elif what == "say":
                server.send(player, b"x")
                said.append(now())
            elif what == "fast":
                server.send_unreliable(player, b"x")
                said.append(now())
            elif what == "state":
                if not bridge.states:
                    state_waits_since = now()
                server.send_state(player, b"x")
            for _ in range(milliseconds):
                world.run(0.001)
                latest = now() - LATEST_SECONDS - 1e-6
                overdue = sum(when < latest for when in said)
                self.assertGreaterEqual(world.server.counters.commands - carried_out, overdue)
                self.assertFalse(bridge.states and state_waits_since < latest)
        ticks.close()
        world.close()

    def test_a_game_that_keeps_its_rate_wakes_the_reactor_once_a_pass(self) -> None:
        world = World(self, bridged=True, tick_rate=64.0)
        world.join("ada")
        server = world.server.verbs
        wakes: list[int] = []
        for _ in range(30):
            before = world.server.machine.wakes
            for _tick in server.ticks(wait=False):
                for player in server.players:
                    for _ in range(10):
                        server.send(player, b"x")
                        server.send_state(player, b"x")
                        server.send_unreliable(player, b"x")
                world.run(2 / 1024)
            world.run(14 / 1024)
            wakes.append(world.server.machine.wakes - before)
            for client in world.clients:
                client.take()
        self.assertEqual(wakes[5:], [1] * 25)

    def test_a_reactor_that_is_late_finds_one_wake_and_no_more(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        server, machine, ada = world.server.verbs, world.server.machine, world.server.players["ada"]
        wakes = []
        for number in range(5):
            server.send(ada, b"%d" % number)
            server.flush()
            wakes.append(machine.wakes)
            # The beat carries out what is there, before the wake has its turn.
            world.server.host.drain()
        self.assertEqual(len(set(wakes)), 1, wakes)
        world.settle()
        server.send(ada, b"last")
        server.flush()
        self.assertGreater(machine.wakes, wakes[-1])
        world.settle()
        client.take()
        payloads = [event.payload for event in client.of(Received)]
        self.assertEqual(payloads, [b"0", b"1", b"2", b"3", b"4", b"last"])

    def test_a_game_that_waits_for_events_wakes_the_reactor_once_for_its_answer(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        server, machine, ada = world.server.verbs, world.server.machine, world.server.players["ada"]
        for _ in range(3):
            world.run(1.0)
            server._bridge._waiting = True  # as in wait(), which this one thread cannot stay in
            client.verbs.send(b"ping")
            client.verbs.flush()
            world.settle()
            server._bridge._waiting = False
            before = machine.wakes
            self.assertTrue(server.events())
            server.send(ada, b"pong")
            self.assertEqual(machine.wakes, before)
            server.events()
            self.assertEqual(machine.wakes, before + 1)
            world.settle()

    def test_an_answer_that_takes_long_is_fetched_after_5_ms_all_the_same(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        server, ada = world.server.verbs, world.server.players["ada"]
        server._bridge._waiting = True
        client.verbs.send(b"ping")
        client.verbs.flush()
        world.settle()
        server._bridge._waiting = False
        self.assertTrue(server.events())
        server.send(ada, b"pong")
        carried_out = world.server.counters.commands
        world.run(LATEST_SECONDS + 1e-6)
        self.assertEqual(world.server.counters.commands, carried_out + 1)

    def test_passes_in_quick_succession_share_one_timer(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        world.run(1.0)
        server, host, bridge = world.server.verbs, world.server.host, world.server.bridge
        assert bridge is not None
        assert bridge.pass_begins is not None
        looks: list[float] = []
        look_at = host._collector._look_at

        def count(due: float, now: float) -> None:
            looks.append(due)
            look_at(due, now)

        self.patch(host._collector, "_look_at", count)
        for _ in range(4):
            host.begin_turn()
            bridge.pass_begins()
            host.end_turn()
            world.run(0.001)
        self.assertEqual(len(looks), 1)
        # Without a wake, and no later than by a timer of its own.
        wakes, carried_out = world.server.machine.wakes, host.counters.commands
        server.send(world.server.players["ada"], b"x")
        world.run(LATEST_SECONDS + 1e-6)
        self.assertEqual(world.server.machine.wakes, wakes)
        self.assertEqual(host.counters.commands, carried_out + 1)

    def test_what_comes_while_the_reactor_fetches_is_fetched_after_5_ms(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        server, host, ada = world.server.verbs, world.server.host, world.server.players["ada"]
        queue, meanwhile = host.queue_unreliable, [b"second"]

        def queue_and_go_on(*args: Any) -> None:
            queue(*args)
            if meanwhile:
                # As if the game's thread had said it just now.
                server.send_unreliable(ada, meanwhile.pop())

        self.patch(host, "queue_unreliable", queue_and_go_on)
        carried_out = host.counters.commands
        server.send_unreliable(ada, b"first")
        server.flush()
        world.settle()
        self.assertEqual(host.counters.commands, carried_out + 1)
        world.run(LATEST_SECONDS + 1e-6)
        self.assertEqual(host.counters.commands, carried_out + 2)


class ThreadTests(LoopCase):
    """One thread takes, others are refused."""

    def from_another_thread(self, call: Callable[[], Any]) -> BaseException | None:
        failed: list[BaseException | None] = []

        def run() -> None:
            try:
                call()
            except BaseException as error:
                failed.append(error)
            else:
                failed.append(None)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(HANGS_SECONDS)
        return failed[0]

    def test_a_second_thread_is_refused_by_everything_that_takes(self) -> None:
        self.server.events()
        self.game.events()
        takers: list[Callable[[], Any]] = [
            self.server.ticks,
            self.server.events,
            self.game.ticks,
            self.game.events,
            self.game.take_state,
        ]
        for taker in takers:
            error = self.from_another_thread(taker)
            self.assertIsInstance(error, LocalProtocolError)
            self.assertIn("post()", str(error))

    def test_a_thread_that_was_let_in_is_refused_once_it_must_not_wait(self) -> None:
        from twisted.internet import reactor

        server = self.server
        server.events()
        self.patch(threadable, "ioThread", threading.get_ident())
        server.events()  # it is the reactor's, but that does not run
        self.patch(reactor, "running", True)
        self.assertRaises(LocalProtocolError, server.events)
        self.patch(reactor, "running", False)
        self.patch(threads_module, "_IN_CHILD", True)
        self.patch(threadable, "ioThread", None)
        self.assertRaises(LocalProtocolError, server.events)

    def test_a_second_thread_may_say_and_post_and_ask(self) -> None:
        self.world.take()
        verbs: list[Callable[[], Any]] = [
            lambda: self.server.broadcast(b"x"),
            lambda: self.server.say("x"),
            lambda: self.server.post(1),
            lambda: self.server.flush(),
            lambda: self.server.stats(),
            lambda: self.game.send(b"x"),
            lambda: self.game.say("x"),
            lambda: self.game.post(1),
            lambda: self.game.flush(),
            lambda: self.game.stats(),
            lambda: self.game.quality(),
        ]
        for verb in verbs:
            self.assertIsNone(self.from_another_thread(verb))

    def test_before_the_start_it_says_what_to_do(self) -> None:
        for loop in (GameServer(0, insecure=True), GameClient("localhost", insecure=True)):
            for call in (loop.ticks, loop.events, loop.flush, lambda loop=loop: loop.post(1)):
                error = self.assertRaises(LocalProtocolError, call)
                self.assertIn("start()", str(error))

"""The client's end: joining, inputs, states, clocks, and ends of every kind."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from gamenet import ports
from gamenet.client import GameClientFactory
from gamenet.client_facade import GameClient
from gamenet.config import ClientConfig
from gamenet.core.wire import DatagramKind
from gamenet.errors import DisconnectReason, NotJoined, QueueFull
from gamenet.events import (
    SERVER,
    Connected,
    Disconnected,
    Input,
    Left,
    PathChanged,
    Received,
    State,
    Unreliable,
    Writable,
)
from gamenet.impairment import Profile
from gamenet.messages import Message
from gamenet.testing import Pair
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tests.fakes import Datagram


class Move(Message):
    dx: int
    dy: int


class AskTests(SynchronousTestCase):
    """What a client says of itself."""

    def test_it_is_suspended_while_its_connection_is_gone(self) -> None:
        with Pair(profile=Profile(latency_ms=100)) as pair:
            client = pair.client
            for _ in range(2):
                self.assertFalse(client.suspended)
                pair.network.cut_tcp()
                client.events(timeout=0.05)
                self.assertEqual((client.suspended, client.joined), (True, True))
                pair.run(3.0)
                client.events()
            pair.network.cut_tcp()
            client.events(timeout=0.05)
            self.assertTrue(client.suspended)
            pair.server.stop()
            client.stop()
            client.events()
            self.assertEqual((client.suspended, client.joined), (False, False))

    def test_looking_at_the_newest_state_does_not_take_it(self) -> None:
        with Pair() as pair:
            client, server = pair.client, pair.server
            self.assertIsNone(client.newest_state)
            server.events()
            for payload in (b"one", b"two"):
                server.send_state(server.players[0], payload)
                pair.run(0.1)
                newest = client.newest_state
                assert newest is not None
                self.assertEqual(newest.payload, payload)
                self.assertIs(client.take_state(), newest)
                self.assertIs(client.newest_state, newest)
                self.assertIsNone(client.take_state())

    def test_one_that_was_not_started(self) -> None:
        client = GameClient("localhost", insecure=True)
        self.assertEqual((client.suspended, client.newest_state), (False, None))


class JoinTests(SynchronousTestCase):
    """Coming in."""

    def test_connected_is_the_first_event_and_says_who_i_am(self) -> None:
        world = World(self)
        client = world.join("ada")
        (connected,) = client.of(Connected)
        self.assertIs(client.events[0], connected)
        self.assertEqual((connected.player.name, connected.secure), ("ada", False))
        self.assertEqual(connected.player.id, world.server.players["ada"].id)

    def test_the_terms_of_the_server_hold(self) -> None:
        world = World(self, tick_rate=12.5, input_bits=20, max_input_hz=40, window_messages=7)
        client = world.join("ada")
        host = client.host
        self.assertEqual((host.tick_rate, host.input_bits, host.max_input_hz), (12.5, 20, 40))
        self.assertEqual(client.session.limits.window_messages, 7)

    def test_before_the_join_verbs_say_so(self) -> None:
        world = World(self)
        world.network.delay = 1.0
        client = world.client("ada")
        for verb in (
            lambda: client.verbs.send(b"x"),
            lambda: client.verbs.say("x"),
            lambda: client.verbs.send_unreliable(b"x"),
            lambda: client.verbs.send_input(1),
            client.verbs.quality,
            client.verbs.server_time,
            client.verbs.server_tick,
        ):
            error = self.assertRaises(NotJoined, verb)
            self.assertIn("Connected", str(error))
        self.assertEqual(client.verbs.stats()["inputs_sent"], 0)
        world.network.delay = 0.0
        world.run(5.0)

    def test_leaving_in_the_middle_of_a_join_is_an_end(self) -> None:
        for delay in (0.0, 0.5, 1.5):
            world = World(self)
            world.network.delay = 1.0
            client = world.client("ada")
            world.run(delay)
            client.host.leave()
            world.run(10.0)
            self.assertEqual(client.end().reason, DisconnectReason.QUIT)
            self.assertEqual(len(client.events), 1)
            world.network.delay = 0.0
            self.assertEqual(len(world.server.host.registry), 0)

    def test_a_connection_that_comes_after_leaving_joins_nobody(self) -> None:
        world = World(self)
        client = world.join("ada")
        factory = GameClientFactory(
            client.recorder,
            ClientConfig(insecure=True),
            user="ghost",
            reactor=client.machine,
            now=client.machine.seconds,
        )
        factory.host.leave()
        client.machine.connect(factory, (world.address, 7777))
        world.run(1.0)
        self.assertNotIn("ghost", world.server.players)
        self.assertEqual(len(world.server.host.registry), 1)

    def test_a_client_whose_udp_cannot_be_opened_plays_on_without(self) -> None:
        def refuses(*args: Any, **named: Any) -> Any:
            raise CannotListenError("0.0.0.0", 0, OSError(24, "Too many open files"))

        world = World(self)
        self.patch(ports, "listen", refuses)
        client = world.client("ada")
        world.settle()
        self.assertTrue(client.joined)
        client.verbs.send(b"x")
        client.verbs.send_input(1)
        world.run(3.0)
        self.assertEqual(len(world.server.of(Received)), 1)
        self.assertEqual(client.of(PathChanged), [])


class InputTests(SynchronousTestCase):
    """One input a tick, resent until the server has it, each once and in order."""

    def test_inputs_come_once_in_order_and_are_then_acknowledged(self) -> None:
        world = World(self)
        client = world.join("ada")
        for number in range(1, 101):
            self.assertEqual(client.verbs.send_input(number & 0xFF), number)
            world.run(1 / 60)
        world.run(0.2)
        self.assertEqual(
            [(event.number, event.buttons, event.missing) for event in world.server.of(Input)],
            [(number, number & 0xFF, 0) for number in range(1, 101)],
        )
        stats = client.verbs.stats()
        self.assertEqual(
            (stats["inputs_sent"], stats["inputs_in_flight"], stats["inputs_given_up"]), (100, 0, 0)
        )

    def test_inputs_survive_a_network_that_loses_two_of_three(self) -> None:
        world = World(self)
        client = world.join("ada")
        count = [0]

        def loses(datagram: Datagram) -> Iterable[Datagram]:
            count[0] += 1
            return (datagram,) if count[0] % 3 == 0 else ()

        world.network.filter = loses
        for number in range(1, 201):
            client.verbs.send_input(number % 5)
            world.run(1 / 60)
        world.run(1.0)
        self.assertEqual(
            [(event.number, event.buttons, event.missing) for event in world.server.of(Input)],
            [(number, number % 5, 0) for number in range(1, 201)],
        )

    def test_inputs_older_than_120_ticks_are_given_up_and_reported_as_missing(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.network.filter = lambda datagram: ()
        for number in range(1, 151):
            client.verbs.send_input(number & 7)
            world.run(1 / 60)
        world.network.filter = lambda datagram: (datagram,)
        world.run(0.2)
        inputs = world.server.of(Input)
        self.assertEqual((inputs[0].number, inputs[0].missing), (31, 30))
        self.assertEqual([event.number for event in inputs], list(range(31, 151)))
        self.assertEqual(sum(event.missing for event in inputs), 30)
        self.assertEqual(client.verbs.stats()["inputs_given_up"], 30)

    def test_a_second_input_in_a_tick_replaces_the_first(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        for _ in client.verbs.ticks(60.0, wait=False):
            self.assertEqual(client.verbs.send_input(1), 1)
            self.assertEqual(client.verbs.send_input(2), 1)
        world.run(1 / 60)
        for _ in client.verbs.ticks(60.0, wait=False):
            self.assertEqual(client.verbs.send_input(3), 2)
        world.take()
        self.assertEqual(
            [(event.number, event.buttons) for event in world.server.of(Input)], [(1, 2), (2, 3)]
        )

    def test_a_second_input_after_a_flush_comes_too_late_and_is_counted(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        for _ in client.verbs.ticks(60.0, wait=False):
            client.verbs.send_input(1)
            client.verbs.flush()
            world.settle()
            self.assertEqual(client.verbs.send_input(2), 1)
        world.take()
        self.assertEqual([event.buttons for event in world.server.of(Input)], [1])
        self.assertEqual(client.verbs.stats()["inputs_dropped"], 1)

    def test_an_input_taken_back_for_a_moment_to_be_replaced_is_not_missed(self) -> None:
        class Replaced(dict[int, int]):
            """Inputs whose newest the game takes back just when the reactor looks."""

            def __iter__(self) -> Iterator[int]:
                numbers = list(super().__iter__())
                self.clear()
                return iter(numbers)

        world = World(self, bridged=True)
        client = world.join("ada")
        assert client.bridge is not None
        client.verbs.send_input(1)
        client.bridge.inputs = Replaced(client.bridge.inputs)
        world.settle()
        client.host.drain()
        client.bridge.inputs = {1: 2}
        client.take()
        world.take()
        self.assertEqual(
            [(event.number, event.buttons) for event in world.server.of(Input)], [(1, 2)]
        )

    def test_outside_ticks_calls_closer_than_the_server_allows_are_one_input(self) -> None:
        world = World(self, bridged=True, max_input_hz=50)
        client = world.join("ada")
        numbers = []
        for _ in range(10):
            numbers.append(client.verbs.send_input(len(numbers)))
            world.run(0.0101)
        self.assertEqual(numbers, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5])

    def test_inputs_that_do_not_fit_are_the_callers_mistake(self) -> None:
        world = World(self, input_bits=4)
        client = world.join("ada")
        for buttons in (-1, 16, 1 << 64):
            error = self.assertRaises(ValueError, client.verbs.send_input, buttons)
            self.assertIn("4 bits", str(error))
        client.verbs.send_input(15)
        world.settle()
        self.assertEqual([event.buttons for event in world.server.of(Input)], [15])

    def test_an_unchanged_input_costs_one_bit(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.network.filter = lambda datagram: ()
        sizes = []
        for _ in range(33):
            before = len(world.network.datagrams)
            client.verbs.send_input(5)
            world.settle()
            sizes.append(len(world.network.datagrams[before].data))
            world.run(1 / 60)
        # The TIME query that rides along now and then is of a fixed size.
        plain = [size for size in sizes[1:] if size < sizes[0] + 6]
        self.assertLessEqual(plain[-1] - plain[0], 4)

    @settings(max_examples=30)
    @given(
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60),
        st.booleans(),
    )
    def test_each_input_is_emitted_once_and_in_order_whatever_the_network_does(
        self, steps: list[tuple[int, int]], doubled: bool
    ) -> None:
        world = World(self)
        client = world.join("ada")
        fate = [0]

        def treats(datagram: Datagram) -> Iterable[Datagram]:
            if fate[0] == 0:
                return ()
            return (datagram, datagram) if doubled else (datagram,)

        world.network.filter = treats
        for buttons, fate[0] in steps:
            client.verbs.send_input(buttons)
            world.run(1 / 60)
        world.network.filter = lambda datagram: (datagram,)
        world.run(0.5)
        self.assertEqual(
            [(event.number, event.buttons, event.missing) for event in world.server.of(Input)],
            [(number, buttons, 0) for number, (buttons, _) in enumerate(steps, 1)],
        )
        world.close()


class StateTests(SynchronousTestCase):
    """Only the newest world counts."""

    def test_the_newest_state_wins_on_the_way_out(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        for number in range(1, 6):
            self.assertEqual(world.server.verbs.send_state(player, bytes((number,))), number)
        world.take()
        state = client.verbs.take_state()
        self.assertEqual((state.number, state.payload), (5, b"\x05"))
        self.assertEqual(client.counters.states_received, 1)

    def test_a_state_is_taken_once(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        self.assertIsNone(client.verbs.take_state())
        world.server.verbs.send_state(world.server.players["ada"], b"x")
        world.take()
        self.assertIsInstance(client.verbs.take_state(), State)
        self.assertIsNone(client.verbs.take_state())

    def test_a_late_state_does_not_turn_the_world_back(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        kept: list[Datagram] = []
        world.network.filter = lambda datagram: (kept.append(datagram), ())[1]
        world.server.verbs.send_state(player, b"old")
        world.settle()
        world.network.filter = lambda datagram: (datagram,)
        world.server.verbs.send_state(player, b"new")
        world.settle()
        for datagram in kept:
            world.network.deliver(datagram)
        self.assertEqual(client.host.state.payload, b"new")
        self.assertEqual(client.counters.states_outdated, 1)

    def test_players_get_their_own_states_with_numbers_of_their_own(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        players = world.server.players
        self.assertEqual(world.server.verbs.send_state(players["ada"], b"for ada"), 1)
        self.assertEqual(world.server.verbs.send_state(players["ada"], b"for ada"), 2)
        self.assertEqual(world.server.verbs.send_state(players["bob"], b"for bob"), 1)
        world.settle()
        self.assertEqual((ada.host.state.payload, ada.host.state.number), (b"for ada", 2))
        self.assertEqual((bob.host.state.payload, bob.host.state.number), (b"for bob", 1))

    def test_a_state_says_which_input_the_game_had_taken(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        for number in range(1, 4):
            client.verbs.send_input(number)
            client.take()
            world.run(0.02)
        world.settle()
        # Three have arrived, and the game has taken none of them.
        world.server.verbs.send_state(player, b"x")
        world.server.verbs.flush()
        world.settle()
        self.assertEqual(client.verbs.take_state().input_number, 0)
        world.server.take()
        self.assertEqual(len(world.server.of(Input)), 3)
        world.server.verbs.send_state(player, b"x")
        world.take()
        self.assertEqual(client.verbs.take_state().input_number, 3)

    def test_an_input_says_which_state_its_sender_had_taken(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        for _ in range(3):
            world.server.verbs.send_state(player, b"x")
        world.take()
        client.verbs.send_input(1)
        world.take()
        self.assertEqual(world.server.of(Input)[-1].seen, 0, "it came, but was not taken")
        client.verbs.take_state()
        world.run(0.1)
        client.verbs.send_input(2)
        world.take()
        self.assertEqual(world.server.of(Input)[-1].seen, 3)

    def test_a_state_carries_its_tick_and_the_servers_clock(self) -> None:
        world = World(self, bridged=True, tick_rate=8.0)
        client = world.join("ada")
        ticks = list(world.server.verbs.ticks(wait=False))
        world.run(0.5)
        for tick in world.server.verbs.ticks(wait=False):
            world.server.verbs.send_state(world.server.players["ada"], b"x")
            ticks.append(tick)
        world.settle()
        state = client.verbs.take_state()
        self.assertEqual((state.tick, ticks[-1].number), (5, 5))
        self.assertAlmostEqual(state.server_time, ticks[-1].time, places=3)

    def test_typed_states_arrive_typed(self) -> None:
        world = World(self, bridged=True, messages=(Move,))
        client = world.join("ada", messages=(Move,))
        world.server.verbs.send_state(world.server.players["ada"], Move(3, 4))
        world.take()
        self.assertEqual(client.verbs.take_state().payload, Move(3, 4))


class ClockTests(SynchronousTestCase):
    """The server's clock, as the client knows it."""

    def assert_near(self, found: float, wanted: float, within: float) -> None:
        self.assertTrue(abs(found - wanted) <= within, f"{found} is not about {wanted}")

    def test_the_servers_time_is_known_at_once_and_its_tick_from_its_states(self) -> None:
        world = World(self, bridged=True, tick_rate=50.0)
        world.network.delay = 0.05
        client = world.client("ada")
        world.play(1.0)
        shown = client.verbs.server_time()
        self.assert_near(shown, world.server.verbs.time(), 0.001)
        self.assertEqual(client.verbs.server_tick(), 0.0)
        for _ in range(150):
            world.run(0.02)
            for _tick in world.server.verbs.ticks(wait=False):
                world.server.verbs.send_state(world.server.players["ada"], b"x")
            for _tick in client.verbs.ticks(50.0, wait=False):
                client.verbs.take_state()
            now = client.verbs.server_time()
            self.assertGreaterEqual(now, shown, "the clock ran backwards")
            shown = now
        self.assert_near(shown, world.server.verbs.time(), 0.001)
        self.assert_near(client.verbs.server_tick(), shown * 50.0, 1.0)

    def test_a_game_clock_that_starts_later_is_followed(self) -> None:
        world = World(self, bridged=True, tick_rate=50.0)
        client = world.client("ada")
        world.play(1.0)
        zero = world.server.host.turn.game_clock_zero
        assert zero is not None
        world.server.host.turn.game_clock_zero = zero - 100.0
        self.assert_near(world.server.verbs.time(), 101.0, 0.5)
        for _ in range(150):
            world.run(0.02)
            for _tick in client.verbs.ticks(50.0, wait=False):
                client.verbs.send_input(0)
        self.assert_near(client.verbs.server_time(), world.server.verbs.time(), 0.005)

    def test_the_round_trip_is_measured_without_the_waiting(self) -> None:
        world = World(self, bridged=True, tick_rate=50.0)
        world.network.delay = 0.04
        client = world.client("ada")
        world.play(1.0)
        for _ in range(200):
            world.run(0.02)
            for _tick in world.server.verbs.ticks(wait=False):
                world.server.verbs.send_state(world.server.players["ada"], b"x")
            for _tick in client.verbs.ticks(50.0, wait=False):
                client.verbs.send_input(1)
        self.assert_near(client.verbs.quality().rtt_min_seconds, 0.08, 0.001)
        self.assert_near(client.verbs.quality().rtt_seconds, 0.08, 0.02)

    def test_losses_are_seen_from_both_ends(self) -> None:
        world = World(self)
        client = world.join("ada")
        count = [0]

        def loses(datagram: Datagram) -> Iterable[Datagram]:
            count[0] += datagram.source[0] == client.machine.address
            return () if count[0] % 4 == 0 and datagram.source[0] != "10.0.0.1" else (datagram,)

        world.network.filter = loses
        for _ in range(1_500):
            client.verbs.send_input(1)
            world.server.verbs.send_state(world.server.players["ada"], b"x")
            world.run(1 / 60)
        ours, theirs = (
            client.verbs.quality(),
            world.server.verbs.quality(world.server.players["ada"]),
        )
        self.assert_near(ours.loss_out, 0.25, 0.05)
        self.assert_near(theirs.loss_in, 0.25, 0.05)
        self.assertEqual((ours.loss_in, theirs.loss_out), (0.0, 0.0))


class QueueTests(SynchronousTestCase):
    """A server that does not keep up."""

    def test_a_full_queue_raises_and_writable_tells_when_to_go_on(self) -> None:
        world = World(self)
        client = world.join("ada", queue_messages=10)
        world.server.recorder.taking = False
        for _ in range(256 + 10):
            client.verbs.send(b"x")
        error = self.assertRaises(QueueFull, client.verbs.send, b"x")
        self.assertIn("Writable", str(error))
        self.assertRaises(QueueFull, client.verbs.say, "x")
        world.run(1.0)
        self.assertEqual(client.of(Writable), [])
        world.server.recorder.taking = True
        world.run(1.0)
        self.assertEqual(len(client.of(Writable)), 1)
        client.verbs.send(b"y")
        world.run(0.2)
        self.assertEqual(len(world.server.of(Received)), 267)
        self.assertEqual(len(client.of(Writable)), 1)

    def test_a_queue_is_bounded_in_bytes_as_well(self) -> None:
        world = World(self)
        client = world.join("ada", queue_bytes=65_600)
        world.server.recorder.taking = False
        sent = 0
        with self.assertRaises(QueueFull):
            while True:
                client.verbs.send(bytes(65_536))
                sent += 1
        # Four fill the window, one more the queue.
        self.assertTrue(3 <= sent <= 5, sent)
        world.server.recorder.taking = True
        world.run(1.0)
        self.assertEqual(len(world.server.of(Received)), sent)

    def test_a_server_never_cuts_a_client_that_it_keeps_waiting(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.recorder.taking = False
        for _ in range(1_000):
            client.verbs.send(b"x")
        world.run(60.0)
        self.assertTrue(client.joined)
        world.server.recorder.taking = True
        world.run(10.0)
        self.assertEqual(len(world.server.of(Received)), 1_000)

    def test_unreliable_messages_replace_the_oldest_counted(self) -> None:
        world = World(self)
        world.network.filter = lambda datagram: ()
        client = world.client("ada")
        world.settle()
        # TCP takes nothing either.
        client.host.connection_of(client.session).writable = False
        for number in range(100):
            client.verbs.send_unreliable(bytes((number,)))
        world.network.filter = lambda datagram: (datagram,)
        world.run(3.0)
        self.assertEqual(
            [event.payload[0] for event in world.server.of(Unreliable)], list(range(36, 100))
        )
        self.assertEqual(client.counters.drop_send_unreliable, 36)


class EndTests(SynchronousTestCase):
    """The end, once, with what was left."""

    def test_what_the_server_never_took_is_handed_back(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.recorder.taking = False
        client.verbs.send(b"one")
        client.verbs.say("two")
        client.verbs.send(b"three")
        world.settle()
        assert client.transport is not None
        client.transport.abortConnection()
        world.settle()
        ended = client.end()
        self.assertEqual(ended.unacknowledged, (b"one", b"three"))
        self.assertEqual(ended.unacknowledged_count, 3)
        world.server.recorder.taking = True

    def test_at_most_1024_payloads_are_handed_back_and_all_are_counted(self) -> None:
        world = World(self)
        client = world.join("ada", queue_messages=2_000)
        world.server.recorder.taking = False
        for _ in range(1_500):
            client.verbs.send(b"x")
        client.host.leave()
        ended = client.end()
        self.assertEqual((len(ended.unacknowledged), ended.unacknowledged_count), (1_024, 1_500))
        world.server.recorder.taking = True

    def test_after_the_end_verbs_are_counted_no_ops(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.settle()
        before = client.verbs.stats()["verbs_for_gone"]
        client.verbs.send(b"x")
        client.verbs.say("x")
        client.verbs.send_unreliable(b"x")
        client.verbs.send_input(1)
        self.assertEqual(client.verbs.stats()["verbs_for_gone"] - before, 4)
        client.verbs.quality()

    def test_disconnected_is_the_last_event(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        world.server.verbs.send(player, b"last")
        world.server.verbs.disconnect(player, "so long")
        world.run(1.0)
        self.assertIsInstance(client.events[-1], Disconnected)
        self.assertEqual(client.end().text, "so long")
        self.assertEqual(client.end().player.name, "ada")

    def test_quitting_says_so_to_the_server(self) -> None:
        world = World(self)
        client = world.join("ada")
        client.host.leave()
        world.settle()
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.QUIT)

    def test_authors_of_messages_are_the_server(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        world.server.verbs.send(player, b"x")
        world.server.verbs.send_unreliable(player, b"x")
        world.settle()
        self.assertIs(client.of(Received)[0].player, SERVER)
        self.assertIs(client.of(Unreliable)[0].player, SERVER)


class KeepaliveTests(SynchronousTestCase):
    """An idle path is kept open through routers that forget."""

    def test_on_an_idle_path_something_passes_every_5_s_both_ways(self) -> None:
        world = World(self)
        client = world.join("ada")
        times: dict[bool, list[float]] = {True: [], False: []}

        def notes(datagram: Datagram) -> Iterable[Datagram]:
            times[datagram.source[0] == client.machine.address].append(world.network.seconds())
            return (datagram,)

        world.network.filter = notes
        world.run(60.0)
        for sent in times.values():
            pauses = [after - before for before, after in itertools.pairwise(sent)]
            self.assertGreaterEqual(len(pauses), 10)
            self.assertLess(max(pauses), 5.2)
        self.assertTrue(client.joined)

    def test_a_path_in_use_is_not_pinged(self) -> None:
        world = World(self)
        client = world.join("ada")
        before = len(world.network.datagrams)
        for _ in range(20 * 30):
            client.verbs.send_input(1)
            world.run(1 / 30)
        kinds = {each.data[0] & 0x0F for each in world.network.datagrams[before:]}
        self.assertEqual(kinds, {DatagramKind.DATA})

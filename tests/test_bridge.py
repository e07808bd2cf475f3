"""The door between two threads: bounded both ways, in order, and never asleep with work inside."""

from __future__ import annotations

import sys
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet import bridge as bridge_module
from gamenet.bridge import LATEST_SECONDS, SWITCH_INTERVAL, Bridge
from gamenet.config import ServerConfig
from gamenet.errors import BridgeClosed, QueueFull
from gamenet.events import SERVER, Event, Posted, Unreliable

if TYPE_CHECKING:
    from collections.abc import Callable

HANGS_SECONDS = 60.0
"""Longer than anything here takes: it only ends a test that hangs."""


def event(number: int) -> Event:
    return Unreliable(SERVER, number.to_bytes(4, "big"))


def number_of(taken: Event) -> int:
    assert isinstance(taken, Unreliable)
    assert isinstance(taken.payload, bytes)
    return int.from_bytes(taken.payload, "big")


def nothing(*args: Any) -> None:
    """A command that does nothing."""


class BridgeCase(SynchronousTestCase):
    """A bridge with a clock of its own and a wake that is counted."""

    def setUp(self) -> None:
        self.now = 100.0
        self.patch(bridge_module, "monotonic", lambda: self.now)
        self.wakes: list[float] = []

    def open(self, **fields: Any) -> Bridge:
        bridge = Bridge(ServerConfig(**fields))
        bridge.attach(object(), self.wakes.append)
        self.addCleanup(bridge.close)
        return bridge


class EventTests(BridgeCase):
    """Towards the game."""

    @given(st.lists(st.integers(0, 5), max_size=30))
    def test_batches_come_out_whole_and_in_order(self, sizes: list[int]) -> None:
        bridge = Bridge()
        made = 0
        taken: list[int] = []
        for size in sizes:
            bridge.publish([event(made + place) for place in range(size)])
            made += size
            if size == 0:
                taken += [number_of(each) for each in bridge.poll()]
                self.assertEqual(bridge.taken, len(taken))
        taken += [number_of(each) for each in bridge.poll()]
        self.assertEqual(taken, list(range(made)))
        self.assertEqual((bridge.taken, bridge.waiting_events), (made, 0))

    def test_room_shrinks_with_each_event_and_grows_as_the_game_takes(self) -> None:
        bridge = self.open(bridge_events=10)
        self.assertEqual(bridge.room, 10)
        bridge.publish([event(number) for number in range(7)])
        self.assertEqual((bridge.room, bridge.waiting_events), (3, 7))
        bridge.poll()
        self.assertEqual((bridge.room, bridge.waiting_events), (10, 0))

    def test_an_offer_is_refused_when_full_and_when_closed(self) -> None:
        bridge = self.open(bridge_events=2)
        self.assertEqual([bridge.offer(event(number)) for number in range(3)], [True, True, False])
        self.assertEqual([number_of(each) for each in bridge.poll()], [0, 1])
        self.assertTrue(bridge.offer(event(3)))
        bridge.close()
        self.assertFalse(bridge.offer(event(4)))
        self.assertEqual([number_of(each) for each in bridge.poll()], [3])

    def test_what_was_published_before_the_close_is_still_there_after_it(self) -> None:
        bridge = self.open()
        bridge.publish([event(1)])
        bridge.close()
        self.assertEqual([number_of(each) for each in bridge.poll()], [1])

    def test_posted_values_come_in_order_behind_events_and_do_not_count_as_taken(self) -> None:
        bridge = self.open()
        bridge.post("first")
        bridge.publish([event(1)])
        bridge.post("second")
        taken = bridge.poll()
        self.assertEqual(taken[1:], [Posted("first"), Posted("second")])
        self.assertEqual(bridge.taken, 1)

    def test_posting_is_bounded(self) -> None:
        bridge = self.open(post_values=2)
        bridge.post(1)
        bridge.post(2)
        self.assertRaises(QueueFull, bridge.post, 3)
        bridge.poll()
        bridge.post(3)
        self.assertEqual(bridge.poll(), [Posted(3)])


class CommandTests(BridgeCase):
    """Towards the reactor."""

    def test_commands_are_carried_out_in_order(self) -> None:
        bridge = self.open()
        done: list[int] = []
        for number in range(5):
            bridge.submit(done.append, number)
        commands = bridge.drain()
        while commands:
            call, args = commands.popleft()
            call(*args)
        self.assertEqual(done, [0, 1, 2, 3, 4])

    def test_one_pass_wakes_once_however_much_it_submits(self) -> None:
        bridge = self.open()
        for _ in range(100):
            bridge.submit(nothing)
            bridge.put_state(1, (1,))
            bridge.put_input(1, 0)
        bridge.end_pass()
        bridge.end_pass()
        self.assertEqual(self.wakes.count(0.0), 1)

    def test_a_pass_that_submits_nothing_wakes_nobody(self) -> None:
        bridge = self.open()
        for _ in range(10):
            bridge.end_pass()
        self.assertEqual(self.wakes, [])

    def test_each_kind_of_command_wakes_at_the_end_of_its_pass(self) -> None:
        for submit in (
            lambda bridge: bridge.submit(nothing),
            lambda bridge: bridge.put_unreliable((1,), (4, b"x")),
            lambda bridge: bridge.put_state(1, ()),
            lambda bridge: bridge.put_input(1, 0),
        ):
            bridge = self.open()
            self.wakes.clear()
            submit(bridge)
            bridge.end_pass()
            self.assertEqual(self.wakes.count(0.0), 1)

    def test_after_a_drain_the_next_pass_wakes_again(self) -> None:
        bridge = self.open()
        for _ in range(3):
            bridge.submit(nothing)
            bridge.end_pass()
            bridge.drain().clear()
        self.assertEqual(self.wakes.count(0.0), 3)

    def test_an_input_that_was_just_fetched_is_not_replaced(self) -> None:
        bridge = Bridge()
        bridge.put_input(1, 0b01)
        self.assertTrue(bridge.replace_input(1, 0b10))
        self.assertEqual(bridge.inputs, {1: 0b10})
        bridge.inputs.pop(1)
        self.assertFalse(bridge.replace_input(1, 0b11))
        self.assertEqual(bridge.inputs, {})

    def test_a_pass_without_end_is_fetched_within_5_ms_and_armed_once_for_them(self) -> None:
        bridge = self.open()
        for _ in range(100):
            bridge.submit(nothing)
            self.now += LATEST_SECONDS / 1_000
        self.assertEqual(self.wakes, [LATEST_SECONDS])
        self.now += LATEST_SECONDS
        bridge.submit(nothing)
        bridge.submit(nothing)
        self.assertEqual(self.wakes, [LATEST_SECONDS, LATEST_SECONDS])

    @given(st.lists(st.floats(0, 0.02), min_size=1, max_size=40))
    def test_no_submit_waits_longer_than_5_ms_for_an_armed_wake(self, pauses: list[float]) -> None:
        now = [0.0]
        self.patch(bridge_module, "monotonic", lambda: now[0])
        bridge = Bridge()
        due: list[float] = []
        bridge.attach(object(), lambda delay: due.append(now[0] + delay))
        for pause in pauses:
            now[0] += pause
            bridge.submit(nothing)
            fetched = min(each for each in due if each >= now[0])
            self.assertLessEqual(fetched - now[0], LATEST_SECONDS + 1e-9)
        self.assertLessEqual(len(due), sum(pauses) / LATEST_SECONDS + 1.001)
        bridge.close()

    def test_only_the_newest_state_of_each_player_waits(self) -> None:
        bridge = self.open()
        for number in range(1_000):
            bridge.put_state(number % 3, (number,))
        self.assertEqual(bridge.states, {0: (999,), 1: (997,), 2: (998,)})

    def test_an_input_can_be_replaced_until_it_is_fetched(self) -> None:
        bridge = self.open()
        bridge.put_input(1, 5)
        self.assertTrue(bridge.replace_input(1, 6))
        self.assertEqual(bridge.inputs, {1: 6})
        bridge.inputs.clear()
        self.assertFalse(bridge.replace_input(1, 7))
        self.assertEqual(bridge.inputs, {})

    def test_unreliable_commands_are_bounded_the_oldest_giving_way_counted(self) -> None:
        bridge = self.open(bridge_events=10)
        for number in range(25):
            bridge.put_unreliable((1,), (4, b"%d" % number))
        left = [message for _, message in bridge.unreliable]
        self.assertEqual(left, [(4, b"%d" % number) for number in range(15, 25)])
        self.assertEqual(bridge.dropped_unreliable, 15)


class EndTests(BridgeCase):
    """Closing wakes, drops and counts; finishing makes later verbs a mistake."""

    def verbs(self, bridge: Bridge) -> list[Callable[[], object]]:
        return [
            lambda: bridge.submit(nothing),
            lambda: bridge.put_unreliable((1,), (4, b"x")),
            lambda: bridge.put_state(1, ()),
            lambda: bridge.put_input(1, 0),
            lambda: bridge.post(1),
        ]

    def test_between_close_and_finish_verbs_are_counted_no_ops(self) -> None:
        bridge = self.open()
        bridge.close()
        for verb in self.verbs(bridge):
            verb()
        self.assertEqual(bridge.late_verbs, 5)
        self.assertEqual(
            (len(bridge.drain()), len(bridge.unreliable), bridge.states, bridge.inputs),
            (0, 0, {}, {}),
        )
        self.assertEqual(bridge.poll(), [])
        self.assertEqual(self.wakes, [])

    def test_after_finish_and_only_then_verbs_raise(self) -> None:
        bridge = self.open()
        bridge.finish()
        for verb in self.verbs(bridge):
            self.assertRaises(BridgeClosed, verb)
        self.assertEqual(bridge.poll(), [])

    def test_closing_twice_is_closing_once(self) -> None:
        bridge = self.open()
        bridge.close()
        bridge.close()
        bridge.finish()
        bridge.finish()
        self.assertTrue(bridge.closed)


class SwitchIntervalTests(SynchronousTestCase):
    """The switch interval is Python's own business again after the last bridge."""

    def setUp(self) -> None:
        self.addCleanup(sys.setswitchinterval, sys.getswitchinterval())
        sys.setswitchinterval(0.005)

    def test_it_is_shortened_by_the_first_and_restored_by_the_last(self) -> None:
        before = sys.getswitchinterval()
        self.assertEqual(SWITCH_INTERVAL._open, 0, "an earlier test left a bridge open")
        bridges = [Bridge(ServerConfig(switch_interval_seconds=0.0005)) for _ in range(3)]
        self.assertEqual(sys.getswitchinterval(), before)
        for bridge in bridges:
            bridge.attach(object(), nothing)
            self.assertAlmostEqual(sys.getswitchinterval(), 0.0005)
        for bridge in bridges[:-1]:
            bridge.close()
            bridge.close()
            bridge.finish()
            self.assertAlmostEqual(sys.getswitchinterval(), 0.0005)
        bridges[-1].finish()
        self.assertEqual(sys.getswitchinterval(), before)

    def test_a_bridge_that_was_never_attached_changes_nothing(self) -> None:
        before = sys.getswitchinterval()
        Bridge().close()
        self.assertEqual(sys.getswitchinterval(), before)

    def test_it_is_never_lengthened(self) -> None:
        before = sys.getswitchinterval()
        bridge = Bridge(ServerConfig(switch_interval_seconds=1.0))
        bridge.attach(object(), nothing)
        self.assertEqual(sys.getswitchinterval(), before)
        bridge.close()
        self.assertEqual(sys.getswitchinterval(), before)


class WaitTests(SynchronousTestCase):
    """A game thread that waits, and those that wake it."""

    def wait_for(self, bridge: Bridge, wake: Callable[[], object], call: Callable[[], Any]) -> None:
        """*call* on another thread comes back because of *wake*, not because of its timeout."""
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        wake()
        thread.join(HANGS_SECONDS)
        self.assertFalse(thread.is_alive(), "it still waits")

    def test_an_event_wakes_a_waiting_game(self) -> None:
        bridge = Bridge()
        self.wait_for(
            bridge, lambda: bridge.publish([event(1)]), lambda: bridge.wait(10 * HANGS_SECONDS)
        )

    def test_a_posted_value_wakes_a_waiting_game(self) -> None:
        bridge = Bridge()
        self.wait_for(bridge, lambda: bridge.post(1), lambda: bridge.wait(10 * HANGS_SECONDS))

    def test_closing_wakes_a_waiting_game(self) -> None:
        bridge = Bridge()
        self.wait_for(bridge, bridge.close, lambda: bridge.wait(10 * HANGS_SECONDS))

    def test_closing_wakes_a_game_that_sleeps_until_its_next_tick(self) -> None:
        bridge = Bridge()
        self.wait_for(
            bridge, bridge.close, lambda: bridge.sleep_until(monotonic() + 10 * HANGS_SECONDS)
        )

    def test_an_event_does_not_cut_the_sleep_before_a_tick_short(self) -> None:
        bridge = Bridge()
        woken: list[float] = []
        deadline = monotonic() + 0.05

        def sleep() -> None:
            bridge.sleep_until(deadline)
            woken.append(monotonic())

        self.wait_for(bridge, lambda: bridge.publish([event(1)]), sleep)
        self.assertGreaterEqual(woken[0], deadline)

    def test_an_old_wake_does_not_end_a_later_wait(self) -> None:
        bridge = Bridge()
        # A wake that came too late for the wait it was meant for.
        bridge._signal()
        entered = threading.Event()
        results: list[list[Event]] = []

        def game() -> None:
            entered.set()
            bridge.wait(10 * HANGS_SECONDS)
            results.append(bridge.poll())

        thread = threading.Thread(target=game, daemon=True)
        thread.start()
        entered.wait(HANGS_SECONDS)
        bridge.publish([event(1)])
        thread.join(HANGS_SECONDS)
        self.assertEqual([[number_of(each) for each in result] for result in results], [[1]])

    def test_waiting_ends_at_once_when_something_is_there(self) -> None:
        bridge = Bridge()
        bridge.publish([event(1)])
        bridge.wait(10 * HANGS_SECONDS)
        bridge.poll()
        bridge.post(1)
        bridge.wait(10 * HANGS_SECONDS)
        bridge.close()
        bridge.poll()
        bridge.wait(10 * HANGS_SECONDS)


class StressTests(SynchronousTestCase):
    """Real threads, as fast as they can: nothing lost, nothing out of order, no wake missed."""

    EVENTS = 20_000
    COMMANDS = 20_000

    def test_a_waiting_game_gets_every_event_in_order(self) -> None:
        bridge = Bridge(ServerConfig(bridge_events=64))
        taken: list[int] = []

        def game() -> None:
            while len(taken) < self.EVENTS:
                bridge.wait(10 * HANGS_SECONDS)
                taken.extend(number_of(each) for each in bridge.poll())

        thread = threading.Thread(target=game, daemon=True)
        thread.start()
        made = 0
        end = monotonic() + HANGS_SECONDS
        while made < self.EVENTS:
            assert monotonic() < end, "the game was never woken"
            if bridge.offer(event(made)):
                made += 1
        thread.join(HANGS_SECONDS)
        self.assertFalse(thread.is_alive(), "a wake was lost")
        self.assertEqual(taken, list(range(self.EVENTS)))
        self.assertEqual(bridge.taken, self.EVENTS)

    def test_every_command_of_several_threads_is_carried_out_in_their_order(self) -> None:
        bridge = Bridge()
        woken = threading.Event()

        def wake(delay: float) -> None:
            # Who promises to come within 5 ms is not counted on: the end of the pass must do.
            if not delay:
                woken.set()

        bridge.attach(object(), wake)
        done: list[tuple[int, int]] = []
        writers = 4

        def game(writer: int) -> None:
            for number in range(self.COMMANDS // writers):
                bridge.submit(done.append, (writer, number))
                bridge.end_pass()

        def reactor() -> None:
            while len(done) < self.COMMANDS:
                if not woken.wait(HANGS_SECONDS):
                    return
                woken.clear()
                commands = bridge.drain()
                for _ in range(len(commands)):
                    call, args = commands.popleft()
                    call(*args)

        threads = [
            threading.Thread(target=game, args=(writer,), daemon=True) for writer in range(writers)
        ]
        network = threading.Thread(target=reactor, daemon=True)
        for thread in (*threads, network):
            thread.start()
        for thread in (*threads, network):
            thread.join(HANGS_SECONDS)
        self.assertFalse(network.is_alive(), "a wake was lost")
        bridge.close()
        for writer in range(writers):
            self.assertEqual(
                [number for who, number in done if who == writer],
                list(range(self.COMMANDS // writers)),
            )

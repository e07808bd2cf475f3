"""Virtual time, and the reactor's timers on it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import AlreadyCalled, AlreadyCancelled
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gamenet.testing import SimulatedReactor
from gamenet.testing import timeline as timeline_module
from gamenet.testing.timeline import STARTS_AT, Timeline

STEPS = st.one_of(
    st.tuples(st.just("later"), st.integers(0, 40)),
    st.tuples(st.just("pass"), st.integers(0, 20)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("reset"), st.integers(0, 30), st.integers(0, 40)),
    st.tuples(st.just("delay"), st.integers(0, 30), st.integers(0, 40)),
)


class TimeTests(SynchronousTestCase):
    """What is due happens, at its time and in order."""

    def setUp(self) -> None:
        self.timeline = Timeline()
        self.heard: list[tuple[float, object]] = []

    def note(self, what: object) -> None:
        self.heard.append((self.timeline.now - STARTS_AT, what))

    def test_time_stands_still_until_it_is_told_to_pass(self) -> None:
        self.timeline.callLater(0, self.note, "now")
        self.assertEqual(self.heard, [])
        self.timeline.settle()
        self.assertEqual(self.heard, [(0.0, "now")])
        self.assertEqual(self.timeline.now, STARTS_AT)

    def test_it_jumps_from_wake_to_wake(self) -> None:
        for seconds in (3.0, 1.0, 2.0):
            self.timeline.callLater(seconds, self.note, seconds)
        self.timeline.advance(2.5)
        self.assertEqual(self.heard, [(1.0, 1.0), (2.0, 2.0)])
        self.assertEqual(self.timeline.now, STARTS_AT + 2.5)
        self.timeline.advance(3600.0)
        self.assertEqual(self.heard[2:], [(3.0, 3.0)])
        self.assertEqual(self.timeline.now, STARTS_AT + 3602.5)

    def test_of_two_at_one_time_the_one_asked_for_first_comes_first(self) -> None:
        for number in range(10):
            self.timeline.at(STARTS_AT + 1, self.note, number)
        self.timeline.advance(1.0)
        self.assertEqual([what for _, what in self.heard], list(range(10)))

    def test_what_is_asked_for_meanwhile_comes_as_well(self) -> None:
        self.timeline.callLater(1, lambda: self.timeline.callLater(1, self.note, "then"))
        self.timeline.advance(2.0)
        self.assertEqual(self.heard, [(2.0, "then")])

    def test_rounding_puts_nothing_off(self) -> None:
        self.timeline.at(STARTS_AT + 0.1 + 0.2, self.note, "due")
        self.timeline.run_to(STARTS_AT + 0.3)
        self.assertEqual(len(self.heard), 1)

    def test_a_run_ends_when_what_was_waited_for_is_there(self) -> None:
        for seconds in (1.0, 2.0, 3.0):
            self.timeline.callLater(seconds, self.note, seconds)
        found = self.timeline.run_until(lambda: len(self.heard) == 2, STARTS_AT + 10)
        self.assertTrue(found)
        self.assertEqual(self.timeline.now, STARTS_AT + 2)
        self.assertFalse(self.timeline.run_until(lambda: False, STARTS_AT + 10))
        self.assertEqual(self.timeline.now, STARTS_AT + 10)

    def test_time_that_stands_still_for_ever_is_an_error(self) -> None:
        self.patch(timeline_module, "MOST_AT_ONCE", 100)

        def again() -> None:
            self.timeline.callLater(0, again)

        again()
        error = self.assertRaises(AssertionError, self.timeline.settle)
        self.assertIn("again", str(error))

    def test_what_a_call_raises_comes_out_and_the_rest_is_still_due(self) -> None:
        self.timeline.callLater(1, lambda: 1 / 0)
        self.timeline.callLater(1, self.note, "after")
        self.assertRaises(ZeroDivisionError, self.timeline.advance, 2.0)
        self.assertFalse(self.timeline.is_running)
        self.timeline.advance(0.0)
        self.assertEqual(self.heard, [(1.0, "after")])

    def test_nonsense_is_refused(self) -> None:
        self.assertRaises(TypeError, self.timeline.callLater, 1, "not callable")
        self.assertRaises(ValueError, self.timeline.callLater, -1, self.note)
        self.assertRaises(ValueError, self.timeline.callLater, float("nan"), self.note)


class TimerTests(SynchronousTestCase):
    """What ``callLater`` returns."""

    def setUp(self) -> None:
        self.reactor = SimulatedReactor()
        self.heard: list[float] = []

    def hear(self) -> None:
        self.heard.append(self.reactor.seconds() - STARTS_AT)

    def test_it_is_a_delayed_call(self) -> None:
        timer = self.reactor.callLater(1.5, self.hear)
        verifyObject(IDelayedCall, timer)
        self.assertTrue(timer.active())
        self.assertEqual(timer.getTime(), STARTS_AT + 1.5)
        self.assertIn("in 1.5 s", repr(timer))
        self.assertIn("hear", repr(timer))

    def test_arguments_arrive(self) -> None:
        given: list[object] = []
        self.reactor.callLater(0, lambda *args, **named: given.extend([args, named]), 1, two=2)
        self.reactor.run(0)
        self.assertEqual(given, [(1,), {"two": 2}])

    def test_one_that_was_called_or_cancelled_is_over(self) -> None:
        called = self.reactor.callLater(0, self.hear)
        cancelled = self.reactor.callLater(0, self.hear)
        cancelled.cancel()
        self.reactor.run(1)
        self.assertEqual(self.heard, [0.0])
        for timer, error in ((called, AlreadyCalled), (cancelled, AlreadyCancelled)):
            self.assertFalse(timer.active())
            self.assertRaises(error, timer.cancel)
            self.assertRaises(error, timer.reset, 1)
            self.assertRaises(error, timer.delay, 1)

    def test_it_can_be_put_off_and_brought_forward(self) -> None:
        timer = self.reactor.callLater(5, self.hear)
        timer.delay(5)
        self.reactor.run(7)
        self.assertEqual(self.heard, [])
        timer.reset(1)
        self.reactor.run(1)
        self.assertEqual(self.heard, [8.0])
        self.reactor.run(10)
        self.assertEqual(self.heard, [8.0])

    def test_each_machine_has_its_own(self) -> None:
        other = SimulatedReactor(self.reactor.network)
        mine = self.reactor.callLater(2, self.hear)
        first = self.reactor.callLater(1, self.hear)
        other.callLater(1, self.hear)
        self.assertEqual(self.reactor.getDelayedCalls(), [first, mine])
        self.assertEqual(len(other.getDelayedCalls()), 1)

    def test_looping_calls_keep_their_time(self) -> None:
        loop = LoopingCall(self.hear)
        loop.clock = self.reactor
        loop.start(0.25)
        self.reactor.run(1)
        loop.stop()
        self.assertEqual(self.heard, [0.0, 0.25, 0.5, 0.75, 1.0])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_calls_from_threads_come_once_time_passes(self) -> None:
        self.reactor.callFromThread(self.hear)
        self.reactor.callFromThread(lambda **named: self.heard.append(named["then"]), then=7.0)
        self.assertEqual(self.heard, [])
        self.reactor.run(0)
        self.assertEqual(self.heard, [0.0, 7.0])

    @given(st.lists(STEPS, max_size=40))
    def test_timers_keep_every_promise_however_they_are_moved(self, steps: list[tuple]) -> None:
        """Beside a list that is sorted for each question."""
        timeline = Timeline()
        timers: list = []
        due: dict[int, float] = {}
        heard: list[tuple[float, int]] = []
        wanted: list[tuple[float, int]] = []
        for step in steps:
            now = timeline.now
            if step[0] == "later":
                number = len(timers)
                due[number] = now + step[1]
                timers.append(
                    timeline.callLater(step[1], lambda n=number: heard.append((timeline.now, n)))
                )
            elif step[0] == "pass":
                end = now + step[1]
                over = sorted((when, number) for number, when in due.items() if when <= end)
                wanted += over
                for _, number in over:
                    del due[number]
                timeline.advance(step[1])
            elif step[1] in due:
                timer = timers[step[1]]
                if step[0] == "cancel":
                    timer.cancel()
                    del due[step[1]]
                elif step[0] == "reset":
                    timer.reset(step[2])
                    due[step[1]] = now + step[2]
                else:
                    timer.delay(step[2])
                    due[step[1]] += step[2]
            self.assertEqual({timer.getTime() for timer in timeline.timers}, set(due.values()))
        # Of those at one time the order depends on who was moved, which nobody is promised.
        self.assertEqual(sorted(heard), sorted(wanted))
        self.assertEqual([when for when, _ in heard], sorted(when for when, _ in heard))

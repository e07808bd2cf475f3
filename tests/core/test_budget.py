"""What a server sends one client: never beyond the budget, and no more than the path carries."""

from __future__ import annotations

import random
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ServerConfig
from gamenet.core.budget import (
    DECREASE,
    HELPLESS_SECONDS,
    INCREASE_SECONDS,
    LEAST_BYTES_PER_SECOND,
    LOOK_SECONDS,
    LOSS_DATAGRAMS,
    MOST_BYTES_PER_SECOND,
    QUEUE_SECONDS,
    Budget,
)
from gamenet.core.frames import Kind
from gamenet.core.quality import PathQuality
from gamenet.core.server_flush import ANSWERS_BYTES, MAX_CONTROL
from gamenet.core.wire import (
    MAX_DATAGRAM_BYTES,
    MAX_STATE_BYTES,
    TIME_QUERY,
    DatagramKind,
    MessageType,
)
from gamenet.errors import ConfigError
from gamenet.events import Input, Unreliable
from gamenet.impairment import Impairment, Profile
from tests.core.pair import CLIENT_ADDRESS, PERFECT, SERVER_ADDRESS, Conditions, Pair

DEFAULT = 65_536
TICK = 1 / 60
NOTHING = Conditions(loss=1.0)


def most_in_a_second(sends: list[tuple[float, int]]) -> int:
    """The most bytes of all windows of one second, both ends counted; times rise."""
    most = size = first = 0
    for when, count in sends:
        size += count
        while sends[first][0] < when - 1.0:
            size -= sends[first][1]
            first += 1
        most = max(most, size)
    return most


class Line(Pair):
    """A pair that notes what the server sends, and whose datagrams down go through a link.

    :param profile: of the link; a perfect one by default.
    """

    def __init__(
        self,
        budget: int = DEFAULT,
        seed: int = 0,
        conditions: Conditions = PERFECT,
        profile: Profile | None = None,
    ) -> None:
        self.sends: list[tuple[float, int]] = []
        """When, and how many bytes."""
        self.waited: list[tuple[float, float]] = []
        """When a datagram left, and how long it was under way."""
        self.link = Impairment(profile or Profile(latency_ms=20), seed)
        super().__init__(seed, conditions, limits_of_server={"send_bytes_per_second": budget})
        self.budget = self.server_session.budget

    def carry_datagram(self, sender: object, data: bytes, address: object) -> None:
        if sender is not self.server or self.conditions is NOTHING:
            if sender is self.server:
                self.sends.append((self.now, len(data)))
            super().carry_datagram(sender, data, address)  # type: ignore[arg-type]
            return
        self.sends.append((self.now, len(data)))
        self.wire.append((self.server, data, CLIENT_ADDRESS))
        for when, copy in self.link.datagram(data, self.now):
            self.waited.append((self.now, when - self.now))
            self._at(when, lambda copy=copy: self.client.datagram_came(copy, SERVER_ADDRESS))  # type: ignore[misc]

    def carry_frame(self, sender: object, data: bytes) -> None:
        if sender is self.server and data[0] == Kind.TUNNEL:
            self.sends.append((self.now, len(data) - 5))
        super().carry_frame(sender, data)  # type: ignore[arg-type]

    def play(self, seconds: float, size: int, unreliable: int = 0, every: int = 1) -> None:
        """Both games talk at 60 Hz.

        :param size: of a state; random, so that no difference is smaller.
        :param unreliable: bytes of the unreliable message that goes with each tick; 0 for none.
        :param every: a state in so many ticks.
        """
        for tick in range(round(seconds * 60)):
            self.send_input(tick & 7)
            if not tick % every:
                self.send_state(self.dice.randbytes(size))
            if unreliable:
                self.send_unreliable(self.server, bytes(unreliable))
            self.advance(TICK)

    def sent(self, since: float) -> int:
        """Bytes sent since then."""
        return sum(size for when, size in self.sends if when >= since)


class BucketTests(SynchronousTestCase):
    """``Budget`` alone."""

    @given(
        st.one_of(
            st.integers(LEAST_BYTES_PER_SECOND, 20_000),
            st.integers(LEAST_BYTES_PER_SECOND, 1 << 30),
        ),
        st.lists(
            st.tuples(
                st.one_of(st.sampled_from((0.0, 1.0)), st.floats(0, 3)),
                st.sampled_from((1, 10, 40)),
                st.one_of(st.sampled_from((0.016, 0.05, 0.1)), st.floats(0, 0.2)),
                st.sampled_from((0.01, 0.1, 1.0)),
                st.one_of(st.none(), st.just(0.0), st.floats(0, 1 << 31)),
            ),
            max_size=10,
        ),
        st.floats(0, 1e7),
    )
    def test_no_second_carries_more(
        self, most: int, steps: list[tuple[float, int, float, float, float | None]], now: float
    ) -> None:
        budget = Budget(most, now)
        done = []
        for pause, count, tick, share, rate in steps:
            now += pause
            if rate is not None:
                # Whatever the controller makes of the path.
                budget.refill(now)
                budget._allow(rate)
            size = 1 + int(share * most / 8)
            for _ in range(count):
                # As much as may leave, and again a tick later.
                while budget.refill(now) >= size:
                    budget.level -= size
                    done.append((now, size))
                now += tick
        self.assertLessEqual(most_in_a_second(done), most)

    @given(st.integers(LEAST_BYTES_PER_SECOND, 1 << 30), st.floats(0, 1))
    def test_a_datagram_of_full_size_can_always_leave_some_time(
        self, most: int, share: float
    ) -> None:
        budget = Budget(most, 0.0)
        budget._allow(share * most)
        self.assertGreaterEqual(budget.refill(10.0) - budget.reserve, MAX_DATAGRAM_BYTES)
        self.assertGreater(budget.reserve, ANSWERS_BYTES)

    def test_what_is_not_used_is_lost_but_for_a_burst(self) -> None:
        budget = Budget(DEFAULT, 0.0)
        self.assertEqual(budget.refill(100.0), DEFAULT / 8)
        self.assertEqual(budget.allowed, DEFAULT * 7 / 8)
        budget._allow(DEFAULT * 7 / 16)
        self.assertEqual(budget.refill(200.0), DEFAULT / 16)

    def test_another_limit_holds_at_once(self) -> None:
        budget = Budget(DEFAULT, 0.0)
        budget.limit(8_000, 5.0)
        self.assertEqual(budget.ceiling, 8_000)
        self.assertLessEqual(budget.refill(5.0) + budget.allowed, 8_000)
        budget.limit(1_000_000, 6.0)
        self.assertEqual(budget.allowed + budget.burst, 1_000_000)

    def test_a_higher_limit_does_not_widen_the_path(self) -> None:
        budget = Budget(DEFAULT, 0.0)
        budget._allow(20_000)
        budget.limit(2 * DEFAULT, 1.0)
        self.assertEqual(budget.allowed, 20_000)

    def test_less_than_the_least_and_more_than_the_most_are_refused_by_name(self) -> None:
        beyond = (float("inf"), MOST_BYTES_PER_SECOND + 1, 10**400)
        for wrong in (LEAST_BYTES_PER_SECOND - 1, 0, -1, float("nan"), *beyond):
            self.assertRaises(ValueError, Budget, wrong, 0.0)
            budget = Budget(DEFAULT, 0.0)
            self.assertRaises(ValueError, budget.limit, wrong, 0.0)
            self.assertEqual(budget.ceiling, DEFAULT)
        for wrong in (LEAST_BYTES_PER_SECOND - 1, MOST_BYTES_PER_SECOND + 1):
            error = self.assertRaises(
                ConfigError, ServerConfig, insecure=True, send_bytes_per_second=wrong
            )
            self.assertIn("send_bytes_per_second", str(error))
        budget = Budget(MOST_BYTES_PER_SECOND, 0.0)
        self.assertEqual(budget.allowed + budget.burst, MOST_BYTES_PER_SECOND)


class Path:
    """What a budget hears of a path, by hand: all that may leave does, in ten datagrams a look."""

    def __init__(self) -> None:
        self.now = 0.0
        self.quality = PathQuality()
        self.budget = Budget(DEFAULT, 0.0)
        self._bytes = self._datagrams = 0

    def look(self, rtt: float = 0.1, lost: int = 0, acked: int = 10) -> float:
        """A quarter of a second passes.

        :returns: the rate then.
        """
        self.now += LOOK_SECONDS
        self.quality.acked += acked
        self.quality.lost += lost
        self._datagrams += 10
        self._bytes += round(self.budget.allowed * LOOK_SECONDS)
        if acked:
            self.quality.estimator.add(rtt)
            self.quality.estimator.jitter = 0.0
        self.budget.look(self.quality, self._bytes, self._datagrams, self.now)
        return self.budget.allowed


class ControllerTests(SynchronousTestCase):
    """``Budget.look``."""

    def path(self, allowed: float | None = None) -> Path:
        """A path whose shortest round trip is known to be 0.1 s."""
        path = Path()
        for _ in range(4):
            path.look()
        if allowed is not None:
            path.budget._allow(allowed)
        return path

    def test_a_good_path_gets_all_of_it_within_eight_seconds(self) -> None:
        path = self.path(8_000)
        before = path.budget.allowed
        steps = round(INCREASE_SECONDS / LOOK_SECONDS)
        self.assertEqual(path.look() - before, 57_344 / steps)
        for _ in range(steps):
            path.look()
        self.assertEqual(path.budget.allowed, 57_344)

    def test_a_queue_makes_it_a_share_of_what_arrived(self) -> None:
        path = self.path()
        # Six of ten arrived.
        self.assertAlmostEqual(
            path.look(0.1 + QUEUE_SECONDS + 0.001, acked=6), DECREASE * 0.6 * 57_344
        )

    def test_what_is_within_the_jitter_is_no_queue(self) -> None:
        path = self.path(20_000)
        for jitter, rises in ((0.0, False), (0.1, True)):
            before = path.budget.allowed
            path.quality.estimator.add(0.18)
            path.quality.estimator.jitter = jitter
            path.now += LOOK_SECONDS
            path.quality.acked += 10
            path.budget.look(path.quality, 10**6, 10**6, path.now)
            self.assertEqual(path.budget.allowed > before, rises)

    def test_the_shortest_round_trip_counts_not_each(self) -> None:
        path = self.path(20_000)
        path.quality.estimator.add(0.5)
        self.assertGreater(path.look(0.11), 20_000)

    def test_losses(self) -> None:
        for lost, verdict in ((0, 1), (2, 0), (10, 0), (11, -1), (20, -1)):
            path = self.path(20_000)
            # Of 100 each time; the first looks finish what went before.
            for _ in range(3):
                path.look(lost=lost, acked=100 - lost)
            before = path.budget.allowed
            after = path.look(lost=lost, acked=100 - lost)
            self.assertEqual((after > before) - (after < before), verdict, lost)
            if verdict < 0:
                self.assertAlmostEqual(after, before * (1 - lost / 200))

    def test_a_few_losses_are_no_share(self) -> None:
        path = self.path(20_000)
        path.look(acked=LOSS_DATAGRAMS)
        self.assertGreater(path.look(lost=5, acked=10), path.budget.allowed - 1)
        before = path.budget.allowed
        self.assertGreater(path.look(lost=5, acked=10), before)
        self.assertLess(path.look(lost=5, acked=20), before)

    def test_without_news_nothing_changes(self) -> None:
        path = self.path(20_000)
        for _ in range(20):
            self.assertEqual(path.look(acked=0), 20_000)

    def test_another_path_is_measured_anew(self) -> None:
        path = self.path(20_000)
        path.quality.lost += 1_000
        path.quality.restart(0)
        for _ in range(10):
            before = path.budget.allowed
            self.assertGreaterEqual(path.look(0.4), before)
        self.assertGreater(path.budget.allowed, 30_000)

    def test_a_path_that_became_longer_is_believed_in_the_end(self) -> None:
        path = self.path()
        least = path.budget.allowed / 8
        for _ in range(round(HELPLESS_SECONDS / LOOK_SECONDS)):
            path.look(0.3)
        self.assertEqual(path.budget.allowed, least)
        for _ in range(round((HELPLESS_SECONDS + INCREASE_SECONDS) / LOOK_SECONDS) + 40):
            path.look(0.3)
        self.assertEqual(path.budget.allowed, 57_344)

    def test_the_base_is_forgotten_after_twice_its_time(self) -> None:
        path = self.path()
        path.budget._allow(40_000)
        for _ in range(round(62.0 / LOOK_SECONDS)):
            path.look(0.14)
        # From here on 0.14 s is the shortest, so that 0.18 s is no queue.
        path.budget._allow(40_000)
        self.assertGreater(path.look(0.18), 40_000)

    def test_it_looks_four_times_a_second_at_most(self) -> None:
        path = self.path(20_000)
        path.quality.estimator.add(0.1)
        path.budget.look(path.quality, 0, 0, path.now + LOOK_SECONDS / 2)
        self.assertEqual(path.budget.allowed, 20_000)
        self.assertEqual(path.quality.estimator.least, 0.1)


class SessionTests(SynchronousTestCase):
    """``ServerSession`` sends within its budget."""

    @settings(max_examples=60, deadline=None)
    @given(
        st.sampled_from((LEAST_BYTES_PER_SECOND, 10_000, DEFAULT, 300_000)),
        st.sampled_from((True, False)),
        st.sampled_from((0.0, 0.3)),
        st.lists(
            st.tuples(
                st.sampled_from(
                    ("play", "state", "unreliable", "time", "ping", "bind", "inputs", "path")
                ),
                st.integers(1, 40),
                st.sampled_from((0, 30, 1_100, 5_000, MAX_STATE_BYTES)),
                st.sampled_from((0.0, 0.004, 0.016, 0.1)),
            ),
            max_size=12,
        ),
    )
    def test_no_second_carries_more(
        self, most: int, bound: bool, loss: float, steps: list[tuple[str, int, int, float]]
    ) -> None:
        line = Line(most, conditions=PERFECT if bound else NOTHING)
        if bound:
            line.bind()
            line.conditions = Conditions(loss=loss)
        line.link.profile = Profile(latency_ms=20, loss=loss)
        for what, count, size, pause in steps:
            for _ in range(count):
                if what == "play":
                    line.send_input(1)
                    line.send_state(bytes(size))
                    line.send_unreliable(line.server, bytes(min(size, 1_100)))
                elif what == "state":
                    line.send_state(line.dice.randbytes(size))
                elif what == "unreliable":
                    line.send_unreliable(line.server, bytes(min(size, 1_100)))
                elif what == "time":
                    line.deliver(line.client, (MessageType.TIME, TIME_QUERY.pack(1)))
                    line.server.run(line.server_session.mark_dirty)
                elif what in ("ping", "bind"):
                    kind = DatagramKind.PING if what == "ping" else DatagramKind.BIND
                    body = bytes(4) if what == "ping" else bytes(1_175)
                    line.inject(line.server, line.sealed(line.client, kind, body), CLIENT_ADDRESS)
                elif what == "inputs":
                    line.send_input(1)
                    line.server.run(line.server_session.mark_frames)
                else:
                    line.server_session._udp_left(line.now)
                line.advance(pause)
                self.assertGreaterEqual(line.budget.level, 0)
                self.assertLessEqual(len(line.server_session._control), MAX_CONTROL)
        line.advance(2.0)
        self.assertLessEqual(most_in_a_second(line.sends), most)

    def test_the_largest_states_at_60_hz_arrive_one_after_the_other(self) -> None:
        for bound in (True, False):
            line = Line(conditions=PERFECT if bound else NOTHING)
            if bound:
                line.bind()
            began = line.now
            under_way = []
            for _ in range(600):
                line.play(TICK, MAX_STATE_BYTES)
                numbers = {payload[:4] for _, payload in line.server_session._parts}
                self.assertLessEqual(len(numbers), 1)
                under_way.append(bool(numbers))
            line.advance(1.0)
            # Ten seconds of 57,344 bytes have room for 33 of them.
            self.assertGreater(len(line.states), 28)
            self.assertGreater(sum(under_way), 500)
            self.assertGreater(line.sent(began) / (line.now - began - 1.0), 50_000)
            self.assertLessEqual(most_in_a_second(line.sends), DEFAULT)
            self.assertEqual(line.client.counters.drop_state_incomplete, 0)
            counts = line.server.counters
            self.assertEqual(counts.drops(), {})
            self.assertGreater(counts.budget_waits, 500)
            self.assertEqual(
                counts.states_sent
                + counts.states_replaced
                + (line.server_session.states.waiting is not None),
                600,
            )
            for state in line.states:
                self.assertEqual(len(bytes(state.payload)), MAX_STATE_BYTES)  # type: ignore[arg-type]

    def test_what_fits_never_waits(self) -> None:
        line = Line()
        line.bind()
        began = len(line.states)
        line.play(10.0, 700)
        line.advance(0.1)
        self.assertEqual(len(line.states) - began, 600)
        self.assertEqual(line.server.counters.budget_waits, 0)

    def test_what_fits_almost_is_thinned(self) -> None:
        line = Line()
        line.bind()
        line.play(10.0, 1_100)
        line.advance(0.1)
        self.assertLessEqual(most_in_a_second(line.sends), DEFAULT)
        # 57,344 bytes a second instead of 69,000.
        self.assertGreater(len(line.states), 480)
        self.assertLess(len(line.states), 520)

    def test_a_state_that_waits_is_the_newest(self) -> None:
        line = Line(LEAST_BYTES_PER_SECOND)
        line.bind()
        line.play(10.0, 1_000)
        line.advance(2.0)
        self.assertEqual(line.states[-1].number, 600)
        self.assertLess(len(line.states), 50)
        self.assertLessEqual(most_in_a_second(line.sends), LEAST_BYTES_PER_SECOND)
        for before, after in pairwise(line.states):
            self.assertLess(before.number, after.number)

    def test_states_and_unreliable_messages_share(self) -> None:
        for size in (1_000, MAX_STATE_BYTES):
            line = Line()
            line.bind()
            began = len(line.states)
            line.play(20.0, size, unreliable=1_000)
            of_states = (len(line.states) - began) * size
            of_others = 1_000 * len(line.client.of(Unreliable))
            self.assertGreater(of_states, 0.35 * 20 * 57_344)
            self.assertGreater(of_others, 0.35 * 20 * 57_344)
            self.assertGreater(line.server.counters.drop_send_unreliable, 0)

    def test_a_lone_message_does_not_wait_for_the_states(self) -> None:
        line = Line()
        line.bind()
        line.play(3.0, MAX_STATE_BYTES)
        sent = line.now
        line.send_unreliable(line.server, b"now")
        for _ in range(6):
            line.play(TICK, MAX_STATE_BYTES)
        self.assertEqual([event.payload for event in line.client.of(Unreliable)], [b"now"])
        self.assertLessEqual(line.now - sent, 0.101)

    def test_answers_go_on_while_states_wait(self) -> None:
        line = Line(LEAST_BYTES_PER_SECOND)
        line.bind()
        line.play(1.0, MAX_STATE_BYTES, unreliable=1_000)
        began = len(line.sends)
        samples = line.client_session.quality.estimator.samples
        line.play(10.0, MAX_STATE_BYTES, unreliable=1_000)
        times = [when for when, _ in line.sends[began:]]
        # Each 50 ms, or with the next beat.
        self.assertLess(max(after - before for before, after in pairwise(times)), 0.12)
        self.assertLess(len(line.client_session.inputs.values), 16)
        self.assertGreater(line.client_session.quality.estimator.samples - samples, 15)
        line.advance(0.5)
        self.assertEqual([event.number for event in line.server.of(Input)], [*range(1, 661)])

    def test_not_even_answers_overdraw_it(self) -> None:
        line = Line(LEAST_BYTES_PER_SECOND)
        line.bind()
        line.advance(2.0)

        def ask() -> None:
            line.deliver(line.client, (MessageType.TIME, TIME_QUERY.pack(1)))
            line.server.run(line.server_session.mark_dirty)

        for _ in range(60):
            ask()
            self.assertGreaterEqual(line.budget.level, 0)
        # Each sixteen of them are owed an acknowledgement.
        for _ in range(10 * 16):
            line.deliver(line.client, (MessageType.UNRELIABLE, b""))
            self.assertGreaterEqual(line.budget.level, 0)
        self.assertLess(line.budget.level, ANSWERS_BYTES)
        line.advance(1.0)
        sent = len(line.sends)
        ask()
        self.assertEqual(len(line.sends), sent + 1)
        self.assertLessEqual(most_in_a_second(line.sends), LEAST_BYTES_PER_SECOND)

    def test_a_flood_of_pings_gets_as_many_answers_as_there_is_budget_for(self) -> None:
        line = Line(LEAST_BYTES_PER_SECOND)
        line.bind()
        line.advance(2.0)
        for _ in range(100):
            data = line.sealed(line.client, DatagramKind.PING, bytes(4))
            line.inject(line.server, data, CLIENT_ADDRESS)
        self.assertEqual(len(line.server_session._control), MAX_CONTROL)
        line.advance(0.5)
        self.assertEqual(line.server_session._control, [])
        self.assertLessEqual(most_in_a_second(line.sends), LEAST_BYTES_PER_SECOND)

    def test_it_looks_often_while_anything_is_on_its_way(self) -> None:
        # Where the client is quiet, too.
        line = Line()
        line.bind()
        line.advance(3.0)
        looks = set()
        for _ in range(4 * 60):
            line.send_unreliable(line.server, bytes(500))
            line.advance(TICK)
            looks.add(line.budget._looked)
        self.assertGreaterEqual(len(looks), 10)

    def test_the_wish_of_a_new_limit_is_heard(self) -> None:
        line = Line()
        line.bind()
        line.play(3.0, MAX_STATE_BYTES)
        line.budget.limit(10_000, line.now)
        began = line.now + TICK
        line.play(5.0, MAX_STATE_BYTES)
        after = [send for send in line.sends if send[0] >= began]
        self.assertLessEqual(most_in_a_second(after), 10_000)
        self.assertGreater(line.sent(began), 5 * 7_000)

    def test_what_is_left_of_a_state_is_forgotten_with_its_way(self) -> None:
        for is_cut in (False, True):
            line = Line(10_000)
            line.bind()
            session = line.server_session
            line.send_state(bytes(MAX_STATE_BYTES - 1) + b"x")
            self.assertTrue(session._parts)
            if is_cut:
                line.cut()
                line.resume()
            else:
                session._leave_udp(line.now, "silent")
            self.assertFalse(session._parts)
            line.advance(3.0)
            number = line.send_state(b"small")
            line.advance(1.0)
            self.assertEqual(line.states[-1].number, number)

    def test_all_answers_of_one_flush_fit_what_is_kept_for_them(self) -> None:
        line = Line()
        line.bind()
        line.play(1.0, 100)
        session = line.server_session
        session._input_ack_due = True
        session.input_timing.due = True
        session._time_asked = (1, line.now)
        sent = len(line.sends)
        line.server.run(session.mark_dirty)
        self.assertEqual(len(line.sends), sent + 1)
        self.assertLess(line.sends[-1][1], ANSWERS_BYTES)


class NarrowTests(SynchronousTestCase):
    """A path that carries less than the budget."""

    WIDE = Profile(latency_ms=20)

    def line(self, seed: int = 1) -> Line:
        line = Line(seed=seed)
        line.bind()
        line.play(2.0, 2_000, every=2)
        return line

    def delays(self, line: Line, since: float) -> list[float]:
        """Seconds that datagrams waited in the queue, rising."""
        return sorted(took - 0.02 for when, took in line.waited if when >= since)

    def test_the_rate_falls_before_it_queues_and_rises_again(self) -> None:
        for queue_seconds in (0.2, 1.0):
            narrow = Profile(latency_ms=20, bandwidth_bytes=24_000, queue_seconds=queue_seconds)
            line = self.line()
            self.assertEqual(line.budget.allowed, 57_344)
            line.link.profile = narrow
            inputs, began = len(line.server.of(Input)), line.now
            states = len(line.states)
            line.play(15.0, 2_000, every=2)
            settled = self.delays(line, began + 3.0)
            # Without the controller the queue is always full: 0.2 s and 1 s.
            self.assertLess(settled[len(settled) // 2], 0.08)
            self.assertLess(settled[-1], 0.25)
            self.assertLess(sum(settled) / len(settled), 0.1)
            # The path is used all the same.
            self.assertGreater(line.sent(began + 3.0) / (line.now - began - 3.0), 0.65 * 24_000)
            self.assertGreater(len(line.states) - states, 100)
            # Inputs and their answers go on.
            self.assertGreaterEqual(len(line.server.of(Input)) - inputs, 895)
            self.assertLess(len(line.client_session.inputs.values), 40)
            line.link.profile = self.WIDE
            line.play(INCREASE_SECONDS + 1.0, 2_000, every=2)
            self.assertEqual(line.budget.allowed, 57_344)
            states = len(line.states)
            line.play(5.0, 2_000, every=2)
            self.assertGreater((len(line.states) - states) / 5, 22)

    def test_without_it_the_queue_is_full(self) -> None:
        # So the test before has something to find.
        line = self.line()
        line.link.profile = Profile(latency_ms=20, bandwidth_bytes=24_000, queue_seconds=1.0)
        line.budget._look_due = float("inf")
        began = line.now
        line.play(6.0, 2_000, every=2)
        self.assertGreater(self.delays(line, began + 3.0)[0], 0.9)

    def test_losses_of_a_fifth_slow_it_and_of_a_twentieth_do_not(self) -> None:
        found = {}
        for loss in (0.0, 0.05, 0.2):
            rates = []
            for seed in range(4):
                line = self.line(seed)
                line.link.profile = Profile(latency_ms=20, loss=loss)
                began = line.now
                line.play(10.0, 2_000, every=2)
                rates.append(line.sent(began) / 10)
            found[loss] = sum(rates) / 4
        self.assertGreater(found[0.05], 0.9 * found[0.0])
        self.assertLess(found[0.2], 0.8 * found[0.0])

    def test_a_path_that_only_jitters_keeps_all_of_it(self) -> None:
        line = self.line()
        line.link.profile = Profile(latency_ms=50, jitter_ms=30)
        line.play(15.0, 2_000, every=2)
        self.assertGreater(line.budget.allowed, 50_000)

    def test_the_least_is_left_to_a_game_on_a_line_that_others_fill(self) -> None:
        line = self.line()
        line.link.profile = Profile(latency_ms=300)
        dice = random.Random(1)
        lowest = 57_344.0
        for _ in range(60):
            line.play(0.1, 400, every=6)
            lowest = min(lowest, line.budget.allowed)
            line.link.profile = Profile(latency_ms=300 + dice.randrange(20))
        self.assertEqual(lowest, 57_344 / 8)
        states = len(line.states)
        line.play(3.0, 400, every=6)
        self.assertGreater(len(line.states) - states, 25)

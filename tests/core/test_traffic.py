"""Rates by type, and the ring of samples: against what was really sent and got."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.client_session import ClientSession
from gamenet.core.inputs import INPUT
from gamenet.core.quality import PathQuality
from gamenet.core.server_session import ServerSession
from gamenet.core.traffic import ACKED_STATE, ONE, Series, Traffic
from gamenet.core.wire import INPUT_ACK, IS_MESSAGE, MAX_MESSAGES, STATE, TYPE_MASK, MessageType
from gamenet.samples import MAX_SAMPLES, ROW, Sample, TypeRate, unpacked
from tests.core.pair import MOVES, Conditions, Move, Pair

if TYPE_CHECKING:
    from gamenet.core.session import Session

START = 1_000.0
STATE_TYPE = int(MessageType.STATE)


def deep_size(value: Any) -> int:
    """Bytes of memory of an object and all that it alone refers to."""
    seen: set[int] = set()

    def size(one: Any) -> int:
        if id(one) in seen or one is None or isinstance(one, type):
            return 0
        seen.add(id(one))
        inside = one if isinstance(one, list | tuple) else ()
        named = [
            getattr(one, name)
            for kind in type(one).__mro__
            for name in (*getattr(kind, "__slots__", ()), *getattr(kind, "__mypyc_attrs__", ()))
            if hasattr(one, name)
        ]
        return sys.getsizeof(one) + sum(map(size, inside)) + sum(map(size, named))

    return size(value)


class SeriesTests(SynchronousTestCase):
    """The ring."""

    def test_a_sample_says_what_was_written(self) -> None:
        series = Series(START)
        series.add(START + 0.1, 0.1234, 0.0056, 0.2, 1.0, (500, 700, 6, 7))
        series.add(START + 0.2, 0.05, 0.0, 0.0, 0.0, (510, 900, 6, 9))
        self.assertEqual(
            unpacked(series.rows()),
            (
                Sample(0.1234, 0.0056, 0.2, 1.0, 500, 700, 6, 7),
                Sample(0.05, 0.0, 0.0, 0.0, 10, 200, 0, 2),
            ),
        )

    def test_what_does_not_fit_is_at_its_most(self) -> None:
        series = Series(START)
        series.add(START + 0.1, 60.0, 7.0, 1.0, 1.0, (65_536, 1 << 40, 256, 9_999))
        series.add(START + 1.2, 60.0, 7.0, 1.0, 1.0, (1 << 41, 1 << 41, 99_999, 99_999))
        samples = unpacked(series.rows())
        self.assertEqual(len(samples), 12)
        self.assertEqual(set(samples), {Sample(6.5535, 6.5535, 1.0, 1.0, 65_535, 65_535, 255, 255)})

    def test_nothing_is_written_before_it_is_due(self) -> None:
        series = Series(START + 0.03)
        self.assertAlmostEqual(series.due, START + 0.1)
        for now in (START + 0.03, START + 0.05, START + 0.0999):
            series.add(now, 0.1, 0.0, 0.0, 0.0, (9, 9, 9, 9))
        self.assertEqual(series.rows(), b"")
        series.add(START + 0.1, 0.1, 0.0, 0.0, 0.0, (9, 9, 9, 9))
        self.assertEqual([sample.bytes_in for sample in unpacked(series.rows())], [9])
        self.assertAlmostEqual(series.due, START + 0.2)

    def test_tenths_at_which_nobody_looked_share_evenly(self) -> None:
        series = Series(START)
        series.add(START + 1.0, 0.1, 0.0, 0.0, 0.0, (1_005, 20, 3, 0))
        samples = unpacked(series.rows())
        self.assertEqual(len(samples), 10)
        self.assertEqual(sum(sample.bytes_in for sample in samples), 1_005)
        self.assertEqual({sample.bytes_in for sample in samples}, {100, 101})
        self.assertEqual({sample.bytes_out for sample in samples}, {2})
        self.assertEqual(sum(sample.datagrams_in for sample in samples), 3)
        self.assertEqual({sample.rtt_seconds for sample in samples}, {0.1})

    def test_the_newest_300_are_kept_in_order(self) -> None:
        series = Series(START)
        for tenth in range(1, 1_001):
            series.add(START + tenth / 10, 0.0, 0.0, 0.0, 0.0, (tenth * (tenth + 1) // 2, 0, 0, 0))
        samples = unpacked(series.rows())
        self.assertEqual([sample.bytes_in for sample in samples], list(range(701, 1_001)))

    def test_a_pause_of_hours_is_300_samples(self) -> None:
        series = Series(START)
        series.add(START + 0.1, 0.1, 0.0, 0.0, 0.0, (60, 60, 1, 1))
        series.add(START + 36_000.0, 0.2, 0.0, 0.0, 0.0, (60, 60, 1, 1))
        self.assertEqual(set(unpacked(series.rows())), {Sample(0.2, 0, 0, 0, 0, 0, 0, 0)})
        self.assertEqual(len(series.rows()), MAX_SAMPLES * ROW.size)

    @given(st.lists(st.tuples(st.integers(1, 25), st.integers(0, 300)), max_size=40))
    def test_there_are_ten_a_second_and_they_add_up(self, steps: list[tuple[int, int]]) -> None:
        series = Series(START)
        tenths = size = 0
        sizes: list[int] = []
        for passed, more in steps:
            tenths += passed
            size += more
            # Anywhere within the tenth.
            series.add(START + tenths / 10 + 0.07, 0.1, 0.0, 0.0, 0.0, (size, 0, size // 9, 0))
            sizes += [0] * (passed - 1) + [more]
        samples = unpacked(series.rows())
        self.assertEqual(len(samples), min(tenths, MAX_SAMPLES))
        if tenths <= MAX_SAMPLES:
            self.assertEqual(sum(sample.bytes_in for sample in samples), size)
            self.assertEqual(sum(sample.datagrams_in for sample in samples), size // 9)

    def test_it_takes_4_kb_at_most_however_long_it_is_used(self) -> None:
        series = Series(START)
        largest = 0
        for tenth in range(1, 20_000):
            series.add(START + tenth / 10, 0.1, 0.0, 0.0, 0.0, (tenth, tenth, tenth, tenth))
            largest = max(largest, sys.getsizeof(series._rows))
        self.assertLess(largest, 4_400)


class TrafficTests(SynchronousTestCase):
    """Rates, from counts."""

    def count(self, traffic: Traffic, kind: MessageType, messages: int, size: int) -> None:
        traffic.came[kind] += messages * (ONE + size)

    def test_nothing_is_known_in_the_first_second(self) -> None:
        traffic, quality = Traffic(START), PathQuality()
        self.count(traffic, MessageType.INPUT, 9, 12)
        traffic.look(START + 0.9, (1, 1, 1, 1), quality)
        self.assertEqual(traffic.rates(), (0.0, 0.0, 0.0, 0.0, {}, {}))
        traffic.look(START + 1.0, (1, 2, 3, 4), quality)
        self.assertEqual(traffic.rates()[:4], (1.0, 2.0, 3.0, 4.0))

    def test_rates_are_those_of_the_last_whole_second(self) -> None:
        traffic, quality = Traffic(START), PathQuality()
        self.count(traffic, MessageType.INPUT, 9, 12)
        traffic.look(START + 1.0, (900, 800, 9, 8), quality)
        self.count(traffic, MessageType.INPUT, 60, 17)
        self.count(traffic, MessageType.TIME, 3, 4)
        traffic.count_sent([(STATE_TYPE, bytes(100)), (STATE_TYPE | IS_MESSAGE, bytes(50))])
        traffic.look(START + 3.0, (2_900, 3_800, 69, 38), quality)
        self.count(traffic, MessageType.INPUT, 1_000, 12)
        traffic.look(START + 3.5, (10_000, 10_000, 1_000, 1_000), quality)
        rates = traffic.rates()
        self.assertEqual(rates[:4], (1_000.0, 1_500.0, 30.0, 15.0))
        self.assertEqual(
            rates.types_in, {"input": TypeRate(30.0, 510.0), "time": TypeRate(1.5, 6.0)}
        )
        self.assertEqual(rates.types_out, {"state": TypeRate(1.0, 75.0)})

    def test_what_stops_is_gone_a_second_later(self) -> None:
        traffic, quality = Traffic(START), PathQuality()
        self.count(traffic, MessageType.INPUT, 60, 12)
        for second in (1.0, 2.0):
            traffic.look(START + second, (720, 0, 60, 0), quality)
        self.assertEqual(traffic.rates(), (0.0, 0.0, 0.0, 0.0, {}, {}))

    def test_the_samples_hold_the_path_as_it_is(self) -> None:
        traffic, quality = Traffic(START), PathQuality()
        for sample in (0.1, 0.3):
            quality.estimator.add(sample)
        quality.loss_in, quality.loss_out = 0.4, 0.6
        traffic.look(START + 0.1, (1, 2, 3, 4), quality)
        # The newest round trip, since a smoothed one hides what a graph is for.
        self.assertEqual(
            unpacked(traffic.series.rows()), (Sample(0.3, 0.0125, 0.4, 0.6, 1, 2, 3, 4),)
        )

    def test_every_type_has_its_place(self) -> None:
        for kind in MessageType:
            self.assertTrue(kind != ACKED_STATE and kind == kind & TYPE_MASK)
        traffic = Traffic(START)
        traffic.count_sent([(kind, bytes(10 * kind)) for kind in MessageType])
        traffic.look(START + 1.0, (0, 0, 0, 0), PathQuality())
        self.assertEqual(
            traffic.rates().types_out,
            {kind.name.lower(): TypeRate(1.0, 10.0 * kind) for kind in MessageType},
        )


class SessionTests(SynchronousTestCase):
    """What two sessions count, against what their games said."""

    def play(self, pair: Pair, seconds: int, *, states: int = 20, unreliable: int = 10) -> None:
        """20 inputs and *states* of 200 bytes a second, and *unreliable* of 33 bytes each way."""
        for tick in range(20 * seconds):
            if tick % 20 < states:
                pair.send_state(tick.to_bytes(200, "big"))
            if tick % 20 < unreliable:
                pair.send_unreliable(pair.server, bytes(33))
                pair.send_unreliable(pair.client, bytes(33))
            pair.send_input(tick & 1)
            pair.advance(0.05)

    def check(self, pair: Pair) -> None:
        server, client = (side.session.traffic.rates() for side in (pair.server, pair.client))
        self.assertApproximates(server.types_out["state"].messages_per_second, 20.0, 1.0)
        # Without a baseline to be had, states go whole.
        self.assertApproximates(
            server.types_out["state"].bytes_per_second, 20 * (200 + STATE.size), 300
        )
        self.assertApproximates(server.types_out["input_ack"].messages_per_second, 20.0, 1.0)
        self.assertEqual(
            server.types_out["input_ack"].bytes_per_second,
            server.types_out["input_ack"].messages_per_second * INPUT_ACK.size,
        )
        self.assertApproximates(server.types_out["unreliable"].messages_per_second, 10.0, 1.0)
        self.assertApproximates(server.types_out["unreliable"].bytes_per_second, 330.0, 33.0)
        self.assertApproximates(server.types_in["unreliable"].bytes_per_second, 330.0, 33.0)
        # With its own datagram, and again with each unreliable message before the next one.
        self.assertApproximates(server.types_in["input"].messages_per_second, 30.0, 2.0)
        self.assertGreaterEqual(
            server.types_in["input"].bytes_per_second,
            server.types_in["input"].messages_per_second * (INPUT.size + 2),
        )
        self.assertApproximates(server.types_in["time"].messages_per_second, 2.0, 1.0)
        self.assertEqual(set(server.types_in) & {"state", "input_ack", "input_timing"}, set())
        # Whatever leaves one end comes to the other.
        for ours, theirs in (
            (server.types_out, client.types_in),
            (client.types_out, server.types_in),
        ):
            self.assertEqual(set(ours), set(theirs))
            for name, rate in ours.items():
                self.assertApproximates(
                    rate.messages_per_second, theirs[name].messages_per_second, 2.0, name
                )
                self.assertApproximates(
                    rate.bytes_per_second, theirs[name].bytes_per_second, 500, name
                )
        self.assertApproximates(server.bytes_out, client.bytes_in, 600)
        self.assertApproximates(server.datagrams_in, client.datagrams_out, 2)
        # The parts and what is around them.
        of_types = sum(rate.bytes_per_second for rate in server.types_out.values())
        self.assertTrue(of_types < server.bytes_out < 1.6 * of_types, (of_types, server))

    def test_rates_by_type_over_udp(self) -> None:
        pair = Pair(limits_of_server={"baseline_bytes": 0})
        pair.bind()
        self.play(pair, 5)
        self.assertFalse(pair.server_session.tunnelled)
        self.check(pair)

    def test_rates_by_type_inside_tcp(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0), limits_of_server={"baseline_bytes": 0})
        self.play(pair, 5)
        self.assertTrue(pair.server_session.tunnelled)
        self.check(pair)

    def test_the_short_cut_counts_as_the_long_way(self) -> None:
        counts = []
        for is_long in (False, True):
            pair = Pair(limits_of_server={"baseline_bytes": 0})
            pair.bind()
            pair.advance(5.0)
            session = pair.server_session
            for tick in range(60):
                pair.send_input(tick & 1)
                pair.advance(0.025)
                if is_long:
                    # Something else that is to leave is in the way of the short cut.
                    session._unreliable.append((int(MessageType.UNRELIABLE), b"xyz"))
                pair.send_state(tick.to_bytes(200, "big"))
                pair.advance(0.025)
            rates = session.traffic.rates().types_out
            counts.append([round(one, 6) for one in (*rates["state"], *rates["input_ack"])])
            took = session.traffic._last.sent[ACKED_STATE] // ONE
            if is_long:
                self.assertEqual(took, 0)
                self.assertAlmostEqual(rates["unreliable"].bytes_per_second, 60.0, places=6)
            else:
                self.assertGreater(took, 10)
        self.assertEqual(counts[0], counts[1])
        self.assertEqual(counts[0], [20.0, 20.0 * (200 + STATE.size), 20.0, 80.0])

    def test_typed_messages_count_as_their_type(self) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        pair.server_session.traffic.due = math.inf  # so that these counts go on
        came = pair.server_session.traffic.came
        before = came[:]
        pair.send_unreliable(pair.client, MOVES.encode(Move(0.5)), message=True)
        pair.advance(0.1)
        self.assertEqual(
            came[MessageType.UNRELIABLE] - before[MessageType.UNRELIABLE],
            ONE + len(MOVES.encode(Move(0.5))),
        )

    def test_what_does_not_belong_is_not_counted(self) -> None:
        pair = Pair()
        pair.bind()
        came = pair.server_session.traffic.came
        before = came[:]
        for kind in (0, 33, TYPE_MASK, MessageType.STATE):
            pair.deliver(pair.client, (kind, b"x"))
            pair.deliver(pair.client, *[(kind, b"x")] * MAX_MESSAGES)
        self.assertEqual(pair.server.counters.drop_datagram_malformed, 8)
        self.assertEqual(came, before)

    def test_after_40_seconds_there_are_300_samples_at_both_ends(self) -> None:
        pair = Pair()
        pair.bind()
        self.play(pair, 40)
        for session in (pair.server_session, pair.client_session):
            samples = unpacked(session.traffic.series.rows())
            self.assertEqual(len(samples), MAX_SAMPLES)
            self.assertEqual({sample.datagrams_out for sample in samples[-50:]} - {2, 3, 4}, set())
            self.assertApproximates(
                sum(sample.bytes_out for sample in samples[-100:]),
                10 * session.traffic.rates().bytes_out,
                0.05 * 10 * session.traffic.rates().bytes_out,
            )

    def test_an_idle_session_has_300_samples_too_and_is_not_woken_for_them(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(5.0)
        ticks: dict[type[Session], int] = {}
        for kind in (ServerSession, ClientSession):

            def tick(
                session: Any, now: float, real: Any = kind.tick, kind: type[Session] = kind
            ) -> Any:
                ticks[kind] = ticks.get(kind, 0) + 1
                return real(session, now)

            self.patch(kind, "tick", tick)
        pair.advance(40.0)
        for session in (pair.server_session, pair.client_session):
            self.assertEqual(len(session.traffic.series.rows()), MAX_SAMPLES * ROW.size)
            self.assertApproximates(
                session.traffic.series.due, pair.now, 1.2, "a second behind at most"
            )
            self.assertLess(ticks[type(session)], 40 * 2.5)

    def test_all_of_it_takes_8_kib_at_most(self) -> None:
        pair = Pair()
        pair.bind()
        self.play(pair, 40)
        for session in (pair.server_session, pair.client_session):
            self.assertGreater(deep_size(session.traffic), MAX_SAMPLES * ROW.size)
            self.assertLess(deep_size(session.traffic), 8_192)

    def test_another_connection_goes_on_counting(self) -> None:
        pair = Pair()
        pair.bind()
        self.play(pair, 3)
        traffic = pair.server_session.traffic
        rows = len(traffic.series.rows())
        pair.cut()
        pair.advance(1.0)
        pair.resume()
        pair.bind()
        self.play(pair, 2)
        self.assertIs(pair.server_session.traffic, traffic)
        self.assertApproximates(traffic.rates().types_out["state"].messages_per_second, 20.0, 1.0)
        self.assertApproximates(len(traffic.series.rows()), rows + 35 * ROW.size, 2 * ROW.size)

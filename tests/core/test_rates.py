"""How much a peer may do, against a reference that knows only what was taken and when."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ServerConfig
from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.rates import LONGEST_PAUSE_SECONDS, Bucket, DatagramRates, FrameRates
from gamenet.core.wire import DatagramKind
from gamenet.errors import DisconnectReason
from gamenet.events import Unreliable
from tests.core.pair import CLIENT_ADDRESS, STRANGER, Conditions, Pair

if TYPE_CHECKING:
    from typing import Any

START = 1_000.0
eighths = st.integers(0, 80).map(lambda eighth: eighth / 8)
"""Seconds that floats add up exactly."""
ANSWERS = (Kind.ACK, Kind.PONG, Kind.REKEYED, Kind.BYE, Kind.TUNNEL)


class Reference:
    """A bucket by its definition: in no time since anything was more taken than may be."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.taken: list[tuple[float, float]] = []

    def level(self, now: float) -> float:
        """What is there; below zero it is owed."""
        least = self.burst
        amount = 0.0
        for when, each in reversed(self.taken):
            amount += each
            least = min(least, self.burst + (now - when) * self.rate - amount)
        return least


class BucketTests(SynchronousTestCase):
    """``Bucket``."""

    @given(
        st.integers(1, 64),
        st.integers(1, 64),
        st.lists(
            st.tuples(st.sampled_from(("take", "allows", "wait")), st.integers(0, 100), eighths),
            max_size=30,
        ),
    )
    def test_it_is_the_reference(
        self, rate: int, burst: int, steps: list[tuple[str, int, float]]
    ) -> None:
        bucket, reference, now = Bucket(rate, burst, START), Reference(rate, burst), START
        self.assertEqual((bucket.rate, bucket.burst), (rate, burst))
        for what, amount, pause in steps:
            now += pause
            level = reference.level(now)
            self.assertEqual(bucket.is_full(now), level == burst)
            self.assertAlmostEqual(bucket.wait(amount, now), max(0.0, (amount - level) / rate))
            if what == "take":
                reference.taken.append((now, amount))
                self.assertAlmostEqual(
                    bucket.take(amount, now), max(0.0, (amount - level) / rate), 9
                )
            elif what == "allows":
                allowed = bucket.allows(amount, now)
                self.assertEqual(allowed, level >= amount)
                if allowed:
                    reference.taken.append((now, amount))

    def test_what_is_not_there_is_not_taken(self) -> None:
        bucket = Bucket(1, 5, START)
        self.assertFalse(bucket.allows(6, START))
        self.assertTrue(bucket.allows(5, START))
        self.assertFalse(bucket.allows(1, START + 0.999))
        self.assertTrue(bucket.allows(1, START + 1.0))

    def test_what_is_taken_beyond_it_is_owed(self) -> None:
        bucket = Bucket(10, 5, START)
        self.assertEqual(bucket.take(4.5, START), 0.0)
        self.assertEqual(bucket.take(0.5, START), 0.0)
        self.assertEqual(bucket.take(10, START), 1.0)
        self.assertEqual(bucket.take(10, START), 2.0)
        self.assertFalse(bucket.allows(1, START + 2.0))
        self.assertEqual(bucket.wait(5, START + 2.0), 0.5)

    def test_to_wait_takes_nothing(self) -> None:
        bucket = Bucket(1, 1, START)
        for _ in range(5):
            self.assertEqual(bucket.wait(1, START), 0.0)
            self.assertEqual(bucket.wait(3, START), 2.0)
        self.assertTrue(bucket.allows(1, START))

    def test_no_rest_makes_more_than_the_burst(self) -> None:
        bucket = Bucket(10, 5, START)
        self.assertTrue(bucket.allows(5, START + 1_000))
        self.assertFalse(bucket.allows(1, START + 1_000))


def frame_rates(**fields: Any) -> FrameRates:
    values = {
        "frames_per_second": 100.0,
        "frames_burst": 200,
        "bytes_per_second": 1 << 30,
        "chats_per_second": 20.0,
        "per_read": 512,
        "now": START,
    }
    return FrameRates(**{**values, **fields})


DATA = frames.encode_data(False, 0, b"x")
SAY = frames.encode_say("x")


class FrameRatesTests(SynchronousTestCase):
    """``FrameRates``."""

    def test_a_burst_is_free_and_each_one_more_waits_its_turn(self) -> None:
        rates = frame_rates()
        self.assertEqual(rates.per_read, 512)
        for _ in range(200):
            self.assertEqual(rates.charge(DATA, START), 0.0)
        self.assertAlmostEqual(rates.charge(DATA, START), 0.01)
        self.assertAlmostEqual(rates.charge(DATA, START), 0.02)
        self.assertAlmostEqual(rates.charge(DATA, START + 0.02), 0.01)
        self.assertEqual(rates.charge(DATA, START + 0.05), 0.0)

    def test_lines_of_chat_have_a_limit_of_their_own(self) -> None:
        rates = frame_rates()
        for _ in range(20):
            self.assertEqual(rates.charge(SAY, START), 0.0)
        self.assertAlmostEqual(rates.charge(SAY, START), 0.05)
        self.assertEqual(rates.charge(DATA, START), 0.0)
        # They are frames, too.
        for _ in range(200 - 22):
            self.assertEqual(rates.charge(DATA, START), 0.0)
        self.assertAlmostEqual(rates.charge(DATA, START), 0.01)

    def test_two_seconds_of_bytes_may_come_at_once(self) -> None:
        rates = frame_rates(bytes_per_second=1_000)
        for _ in range(19):
            self.assertEqual(rates.charge(b"\x04" + bytes(95), START), 0.0)
        self.assertEqual(rates.charge(b"\x04" + bytes(95), START), 0.0)
        # The length in front of a frame is paid for as well.
        self.assertAlmostEqual(rates.charge(b"\x04", START), 0.005)

    def test_ten_times_as_many_answers_to_ours_may_come(self) -> None:
        for kind in ANSWERS:
            rates = frame_rates(frames_burst=1)
            for _ in range(10):
                self.assertEqual(rates.charge(bytes((kind,)), START), 0.0)
            self.assertAlmostEqual(rates.charge(bytes((kind,)), START), 0.001)
            self.assertEqual(rates.charge(DATA, START), 0.0)
            self.assertAlmostEqual(rates.charge(DATA, START), 0.01)
            rates = frame_rates(bytes_per_second=100)
            self.assertEqual(rates.charge(bytes((kind,)) + bytes(195), START), 0.0)
            self.assertAlmostEqual(rates.charge(bytes((kind,)), START), 0.05)

    def test_everything_else_is_not(self) -> None:
        for kind in {*range(256)} - {*ANSWERS}:
            rates = frame_rates(frames_burst=1)
            self.assertEqual(rates.charge(bytes((kind,)), START), 0.0)
            self.assertGreater(rates.charge(bytes((kind,)), START), 0.0, kind)
        rates = frame_rates(frames_burst=1)
        self.assertEqual(rates.charge(b"", START), 0.0)
        self.assertGreater(rates.charge(b"", START), 0.0)

    def test_no_wait_is_longer_than_a_second(self) -> None:
        self.assertEqual(LONGEST_PAUSE_SECONDS, 1.0)
        for fields in (
            {"frames_per_second": 0.1, "frames_burst": 1},
            {"chats_per_second": 1.0},
            {"bytes_per_second": 1},
        ):
            rates = frame_rates(**fields)
            waits = [rates.charge(SAY, START) for _ in range(10)]
            self.assertEqual(max(waits), 1.0, fields)

    @given(
        st.integers(1, 20),
        st.integers(1, 20),
        st.integers(1, 500),
        st.integers(1, 20),
        st.lists(
            st.tuples(st.sampled_from(Kind), st.integers(0, 300), st.just(0.0) | eighths),
            max_size=40,
        ),
    )
    def test_it_is_three_references(
        self,
        rate: int,
        burst: int,
        size: int,
        chats: int,
        steps: list[tuple[Kind, int, float]],
    ) -> None:
        rates = frame_rates(
            frames_per_second=rate,
            frames_burst=burst,
            bytes_per_second=size,
            chats_per_second=chats,
        )
        all_frames, all_bytes = Reference(rate, burst), Reference(size, 2 * size)
        answers, lines = Reference(10 * rate, 10 * burst), Reference(chats, chats)
        now = START
        for kind, length, pause in steps:
            now += pause
            paid = [(all_bytes, length + 5)]
            paid.append((answers if kind in ANSWERS else all_frames, 1))
            if kind is Kind.SAY:
                paid.append((lines, 1))
            waits = []
            for reference, amount in paid:
                reference.taken.append((now, amount))
                waits.append(max(0.0, -reference.level(now) / reference.rate))
            wait = rates.charge(bytes((kind,)) + bytes(length), now)
            self.assertAlmostEqual(wait, min(1.0, max(waits)))


class DatagramRatesTests(SynchronousTestCase):
    """``DatagramRates`` by itself."""

    def rates(self, **fields: Any) -> DatagramRates:
        values = {
            "datagrams_per_second": 10,
            "datagrams_burst": 40,
            "bytes_per_second": 1_000,
            "factor": 5,
            "abuse_seconds": 4,
            "now": START,
        }
        return DatagramRates(**{**values, **fields})

    def test_a_datagram_and_a_byte_take_their_time_and_so_does_a_burst(self) -> None:
        rates = self.rates()
        for (interval, burst), one, whole in (
            (rates.datagrams, 0.1, 4.0),
            (rates.bytes, 0.001, 2.0),
        ):
            self.assertAlmostEqual(interval, one)
            self.assertAlmostEqual(burst, whole, 3)

    def test_abuse_is_so_many_times_the_rate_for_so_long_on_end(self) -> None:
        rates, seen = self.rates(), 0
        for second in range(1, 4):
            seen += 50
            self.assertFalse(rates.is_abused(seen, START + second))
        self.assertTrue(rates.is_abused(seen + 50, START + 4))

    def test_one_less_is_not(self) -> None:
        rates, seen = self.rates(), 0
        for second in range(1, 60):
            seen += 49
            self.assertFalse(rates.is_abused(seen, START + second))

    def test_a_second_without_it_begins_the_count_anew(self) -> None:
        rates, seen = self.rates(), 0
        for second in range(1, 60):
            seen += 49 if second % 4 == 0 else 1_000
            self.assertFalse(rates.is_abused(seen, START + second), second)

    def test_however_often_it_is_asked(self) -> None:
        for step in (0.05, 0.3, 0.99, 1.0, 1.05):
            rates, now = self.rates(), START
            while now < START + 4.0 - 1e-9:
                self.assertFalse(rates.is_abused(int((now - START) * 60), now), (step, now))
                now += step
            while not rates.is_abused(int((now - START) * 60), now):
                now += step
                self.assertLess(now, START + 4.0 + 1.0 + 2 * step)

    def test_a_late_look_counts_the_whole_time(self) -> None:
        rates = self.rates()
        self.assertFalse(rates.is_abused(4 * 50 - 1, START + 4))
        self.assertTrue(self.rates().is_abused(4 * 50, START + 4))


class SessionTests(SynchronousTestCase):
    """What a server does with datagrams beyond a player's limits."""

    def pair(self, **limits: Any) -> Pair:
        pair = Pair(
            limits_of_server={
                "datagrams_per_second": 8,
                "datagrams_burst": 16,
                "datagram_bytes_per_second": 65_536,
                **limits,
            }
        )
        pair.bind()
        pair.advance(30.0)
        return pair

    def flood(self, pair: Pair, count: int, size: int = 1) -> list[bytes]:
        """Datagrams of the client all at once, past its own pace."""
        sent = []
        for number in range(count):
            body = pair.body(pair.client, (4, b"%d" % number + bytes(size)))
            sent.append(pair.sealed(pair.client, DatagramKind.DATA, body))
            pair.inject(pair.server, sent[-1], CLIENT_ADDRESS)
        return sent

    def test_refused_ones_are_counted_and_nothing_else(self) -> None:
        pair = self.pair()
        before = pair.server.counters.snapshot()
        size = pair.server_session.bytes_in
        sent = self.flood(pair, 100)
        heard = len(pair.server.of(Unreliable))
        self.assertGreaterEqual(heard, 14)
        self.assertLess(heard, 50)
        counters = pair.server.counters
        self.assertEqual(counters.drop_datagram_rate, 100 - heard)
        self.assertEqual(counters.datagrams_delivered, before["datagrams_delivered"] + heard)
        self.assertEqual(pair.server_session.rate_dropped, 100 - heard)
        taken = sum(len(data) for data in sent[:heard])
        self.assertEqual(pair.server_session.bytes_in, size + taken)
        self.assertEqual(pair.server.unaccounted(), 0)
        session = pair.server_session
        # Neither marked nor acknowledged: the same datagram is welcome later.
        highest = session.window.highest
        self.assertEqual(highest, pair.client_session.sealer.number - 1 - (100 - heard))
        self.assertEqual(session.window.missing, set())
        acked = session.window.acks()[0]
        self.assertEqual(acked, highest)
        pair.advance(2.0)
        pair.inject(pair.server, sent[-1], CLIENT_ADDRESS)
        self.assertEqual(len(pair.server.of(Unreliable)), heard + 1)
        pair.inject(pair.server, sent[-1], CLIENT_ADDRESS)
        self.assertEqual(counters.drop_datagram_replayed, before["drop_datagram_replayed"] + 1)

    def test_a_flood_does_not_silence_its_sender_for_good(self) -> None:
        pair = self.pair()
        for _ in range(20):
            self.flood(pair, 500)
        heard = len(pair.server.of(Unreliable))
        pair.advance(1.0)
        self.flood(pair, 100)
        self.assertApproximates(len(pair.server.of(Unreliable)) - heard, 8, 2)

    def test_bytes_have_a_limit_of_their_own(self) -> None:
        pair = self.pair(datagrams_burst=1_000, datagram_bytes_per_second=1_200)
        before = len(pair.server.of(Unreliable))
        self.flood(pair, 50, 1_100)
        heard = len(pair.server.of(Unreliable)) - before
        self.assertTrue(2 <= heard <= 4, heard)
        self.assertEqual(pair.server.counters.drop_datagram_rate, 50 - heard)
        pair.advance(1.0)
        self.flood(pair, 5, 1_100)
        self.assertEqual(len(pair.server.of(Unreliable)) - before - heard, 1)

    def test_forged_and_repeated_ones_cost_the_player_nothing(self) -> None:
        pair = self.pair()
        copies = self.flood(pair, 5)
        highest = pair.server_session.window.highest
        for number in range(500):
            forged = bytearray(copies[0])
            forged[5:9] = (highest + 1 + number % 7).to_bytes(4, "big")
            pair.inject(pair.server, bytes(forged), STRANGER)
            pair.inject(pair.server, copies[number % 5], STRANGER)
        heard = len(pair.server.of(Unreliable))
        self.flood(pair, 9)
        self.assertEqual(len(pair.server.of(Unreliable)), heard + 9)
        self.assertEqual(pair.server.counters.drop_datagram_rate, 0)

    @settings(max_examples=60, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(1, 30), st.integers(0, 1_100), eighths), max_size=30),
    )
    def test_who_keeps_to_the_limits_loses_nothing(
        self, bursts: list[tuple[int, int, float]]
    ) -> None:
        pair = self.pair(datagram_bytes_per_second=1_200)
        # What the client sends by itself is lost, so that all is the test's.
        pair.conditions = Conditions(loss=1.0)
        carry = pair.carry_frame
        self.patch(
            pair,
            "carry_frame",
            lambda sender, data: None if data[0] == Kind.TUNNEL else carry(sender, data),
        )
        pair.advance(30.0)
        datagrams, size = Reference(8, 16), Reference(1_200, 2_400)
        expected = 0
        for count, length, pause in bursts:
            pair.advance(pause)
            for number in range(count):
                body = pair.body(pair.client, (4, b"%d" % number + bytes(length)))
                data = 25 + len(body)
                # A little less than all of it, because floats do not add up exactly.
                if datagrams.level(pair.now) > 1.001 and size.level(pair.now) > data + 0.001:
                    datagrams.taken.append((pair.now, 1))
                    size.taken.append((pair.now, data))
                    sealed = pair.sealed(pair.client, DatagramKind.DATA, body)
                    pair.inject(pair.server, sealed, CLIENT_ADDRESS)
                    expected += 1
        self.assertEqual(len(pair.server.of(Unreliable)), expected)
        self.assertEqual(pair.server.counters.drop_datagram_rate, 0)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(st.integers(1, 40), eighths), min_size=1, max_size=30))
    def test_in_no_time_come_more_than_a_burst_and_what_that_time_allows(
        self, bursts: list[tuple[int, float]]
    ) -> None:
        pair = self.pair()
        pair.conditions = Conditions(loss=1.0)
        pair.advance(30.0)
        times: list[float] = []
        for count, pause in bursts:
            pair.advance(pause)
            before = len(pair.server.of(Unreliable))
            self.flood(pair, count)
            times += [pair.now] * (len(pair.server.of(Unreliable)) - before)
        for first, time in enumerate(times):
            for last in range(first, len(times)):
                self.assertLessEqual(last - first + 1, 16 + 8 * (times[last] - time) + 0.01)

    def abuse(self, pair: Pair, rate: float, seconds: float) -> None:
        """The client sends so many datagrams a second."""
        until = pair.now + seconds
        owed = 0.0
        body = pair.body(pair.client, (4, b"x"))
        while pair.now < until - 1e-9 and pair.server.ended is None:
            owed += rate * 0.05
            while owed >= 1:
                owed -= 1
                data = pair.sealed(pair.client, DatagramKind.DATA, body)
                pair.inject(pair.server, data, CLIENT_ADDRESS)
            pair.advance(0.05)

    def test_ten_seconds_of_ten_times_the_rate_are_the_end(self) -> None:
        pair = self.pair()
        began = pair.now
        self.abuse(pair, 82.0, 9.9)
        self.assertIs(pair.server.ended, None)
        self.abuse(pair, 82.0, 5.0)
        self.assertIs(pair.server.ended, DisconnectReason.RATE)
        self.assertLess(pair.now - began, 12.5)
        self.assertGreater(pair.server.counters.drop_datagram_rate, 500)

    def test_nine_times_the_rate_is_not(self) -> None:
        pair = self.pair()
        self.abuse(pair, 75.0, 30.0)
        self.assertIs(pair.server.ended, None)
        self.assertGreater(pair.server.counters.drop_datagram_rate, 1_000)

    def test_nine_seconds_again_and_again_are_not(self) -> None:
        pair = self.pair()
        for _ in range(4):
            self.abuse(pair, 100.0, 8.9)
            pair.advance(2.2)
        self.assertIs(pair.server.ended, None)

    def test_nobody_else_can_bring_a_player_to_that_end(self) -> None:
        pair = self.pair()
        self.abuse(pair, 8.0, 1.0)
        copies = self.flood(pair, 40)
        self.assertGreater(pair.server_session.rate_dropped, 10)
        dropped = pair.server_session.rate_dropped
        for _ in range(300):
            # What was refused is not marked, so a copy of it is not known for one.
            for data in copies[-10:]:
                pair.inject(pair.server, data, CLIENT_ADDRESS)
            for number in range(20):
                forged = bytearray(copies[0])
                forged[9 + number % 20] ^= 1
                forged[5:9] = (pair.server_session.window.highest + 3).to_bytes(4, "big")
                pair.inject(pair.server, bytes(forged), CLIENT_ADDRESS)
                pair.inject(pair.server, copies[0], CLIENT_ADDRESS)
            pair.advance(0.05)
        self.assertIs(pair.server.ended, None)
        self.assertEqual(pair.server_session.rate_dropped, dropped)

    def test_the_configured_limits_are_those_that_hold(self) -> None:
        pair = self.pair(rate_abuse_factor=2, rate_abuse_seconds=3)
        self.abuse(pair, 17.0, 2.9)
        self.assertIs(pair.server.ended, None)
        self.abuse(pair, 17.0, 3.0)
        self.assertIs(pair.server.ended, DisconnectReason.RATE)
        config = ServerConfig(insecure=True)
        self.assertEqual((config.rate_abuse_factor, config.rate_abuse_seconds), (10, 10))

"""Round-trip times and losses: what the acks say, checked against what happened."""

from __future__ import annotations

import random
from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.quality import (
    ACK_SPAN,
    MAX_OUTSTANDING,
    Estimator,
    PathQuality,
    microseconds,
)
from gamenet.core.window import ReplayWindow
from gamenet.errors import WireError
from tests.core.pair import Conditions, Pair
from tests.core.strategies import u16, u32


def outstanding(quality: PathQuality) -> int:
    """Datagrams of which nothing is known yet."""
    return len(quality._sent) + len(quality._holes)


class EstimatorTests(SynchronousTestCase):
    """Smoothing."""

    def test_a_steady_path_is_measured_exactly(self) -> None:
        estimator = Estimator()
        for _ in range(50):
            estimator.add(0.08)
        self.assertEqual((estimator.rtt_min, estimator.latest), (0.08, 0.08))
        self.assertAlmostEqual(estimator.rtt, 0.08)
        self.assertEqual(estimator.jitter, 0.0)

    def test_a_changed_path_is_followed(self) -> None:
        estimator = Estimator()
        for sample in [0.02] * 20 + [0.2] * 60:
            estimator.add(sample)
        self.assertAlmostEqual(estimator.rtt, 0.2, places=3)
        self.assertEqual(estimator.rtt_min, 0.02)

    def test_alternating_samples_are_jitter(self) -> None:
        estimator = Estimator()
        for number in range(200):
            estimator.add(0.05 + 0.02 * (number % 2))
        self.assertAlmostEqual(estimator.jitter, 0.02, places=3)

    def test_a_clock_that_ran_back_counts_as_no_time(self) -> None:
        estimator = Estimator()
        estimator.add(-1.0)
        self.assertEqual((estimator.rtt, estimator.rtt_min), (0.0, 0.0))


class AckTests(SynchronousTestCase):
    """Acks against the truth."""

    @settings(max_examples=200)
    @given(
        st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=200),
        st.integers(0, 2**17),
    )
    def test_losses_are_counted_exactly_while_acks_arrive(
        self, fates: list[tuple[bool, bool]], first: int
    ) -> None:
        # Each datagram is lost or not; each that arrives is acknowledged at once, by an ack that
        # may be lost while no 32 in a row are.
        quality, window = PathQuality(), ReplayWindow()
        if first:
            window.mark(first - 1)
        arrived = lost_acks = 0
        number = first - 1
        for is_lost, ack_is_lost in fates:
            number += 1
            quality.sent(number, 0.0)
            if is_lost:
                continue
            window.mark(number)
            arrived += 1
            if ack_is_lost and lost_acks < ACK_SPAN - 1:
                lost_acks += 1
                continue
            lost_acks = 0
            self.assertTrue(quality.acknowledged(*window.acks(), number + 1, 0.05))
        # Enough datagrams behind the last one to know its fate.
        for _ in range(ACK_SPAN + 1):
            number += 1
            quality.sent(number, 0.0)
            window.mark(number)
            arrived += 1
            self.assertTrue(quality.acknowledged(*window.acks(), number + 1, 0.05))
        self.assertEqual(quality.acked, self.visible(fates, arrived))
        self.assertEqual(quality.acked + quality.lost, number + 1 - first)
        self.assertEqual(outstanding(quality), 0)

    @staticmethod
    def visible(fates: list[tuple[bool, bool]], arrived: int) -> int:
        """Arrivals that some ack covered: those whose ack, or one at most 32 later, came back."""
        total = len(fates) + ACK_SPAN + 1
        heard: list[int] = []
        lost_acks = 0
        for place in range(total):
            is_lost, ack_is_lost = fates[place] if place < len(fates) else (False, False)
            if is_lost:
                continue
            if ack_is_lost and lost_acks < ACK_SPAN - 1:
                lost_acks += 1
                continue
            lost_acks = 0
            heard.append(place)
        covered = {
            place
            for ack in heard
            for place in range(ack - ACK_SPAN, ack + 1)
            if place >= 0 and (place >= len(fates) or not fates[place][0])
        }
        assert len(covered) <= arrived
        return len(covered)

    @settings(max_examples=300)
    @given(
        st.integers(0, 2**17),
        st.lists(
            st.one_of(st.integers(1, 40), st.tuples(u16, u32), st.tuples(st.integers(0, 50), u32)),
            max_size=40,
        ),
    )
    def test_any_acks_keep_the_books_straight(
        self, number: int, steps: list[int | tuple[int, int]]
    ) -> None:
        quality = PathQuality()
        sent = 0
        for step in steps:
            if isinstance(step, int):
                for _ in range(step):
                    quality.sent(number, 0.0)
                    number += 1
                    sent += 1
            else:
                known = quality.acknowledged(*step, number, 1.0)
                if number > 0xFFFF:
                    self.assertTrue(known, "every low half is that of some number sent")
            self.assertEqual(quality.acked + quality.lost + outstanding(quality), sent)
            self.assertLessEqual(len(quality._holes), sent)

    def test_acks_of_what_was_never_sent(self) -> None:
        quality = PathQuality()
        self.assertFalse(quality.acknowledged(0, 0, 0, 1.0))
        self.assertFalse(quality.acknowledged(0xFFFE, 0, 0, 1.0))
        for number in range(3):
            quality.sent(number, 0.0)
        for low in (3, 4, 0x8000, 0xFFFE):
            self.assertFalse(quality.acknowledged(low, 0xFFFFFFFF, 3, 1.0))
        self.assertEqual((quality.acked, quality.lost, outstanding(quality)), (0, 0, 3))
        self.assertEqual(quality.acknowledged_up_to, -1)
        self.assertTrue(quality.acknowledged(2, 0b11, 3, 1.0))
        self.assertEqual((quality.acked, outstanding(quality)), (3, 0))

    def test_who_has_received_nothing_yet_acknowledges_nothing(self) -> None:
        quality, window = PathQuality(), ReplayWindow()
        for number in range(3):
            quality.sent(number, 0.0)
        self.assertEqual(window.acks(), (0xFFFF, 0))
        self.assertTrue(quality.acknowledged(*window.acks(), 3, 1.0))
        self.assertEqual((quality.acked, quality.lost, outstanding(quality)), (0, 0, 3))
        self.assertEqual(quality.acknowledged_up_to, -1)

    def test_the_highest_number_acknowledged_never_goes_back(self) -> None:
        quality = PathQuality()
        for number in range(10):
            quality.sent(number, 0.0)
        for low, wanted in ((3, 3), (7, 7), (5, 7), (0xFFFF, 7), (9, 9)):
            self.assertTrue(quality.acknowledged(low, 0, 10, 1.0))
            self.assertEqual(quality.acknowledged_up_to, wanted)

    def test_when_the_oldest_left_that_may_still_be_acknowledged(self) -> None:
        quality = PathQuality()
        self.assertIsNone(quality.oldest_sent)
        for number in range(4):
            quality.sent(number, 1.0 + number)
        self.assertEqual(quality.oldest_sent, 1.0)
        quality.acknowledged(1, 0, 4, 5.0)
        self.assertEqual(quality.oldest_sent, 3.0)
        quality.acknowledged(3, 0, 4, 5.0)
        self.assertIsNone(quality.oldest_sent)

    def test_an_ack_means_the_newest_number_with_that_low_half(self) -> None:
        quality = PathQuality()
        quality.sent(0x1_0005, 0.0)
        self.assertTrue(quality.acknowledged(5, 0, 0x1_0006, 0.1))
        self.assertEqual(quality.acked, 1)
        quality.sent(0x1_0006, 0.0)
        self.assertTrue(quality.acknowledged(0xFFFF, 0, 0x1_0007, 0.1))
        self.assertEqual((quality.acked, outstanding(quality)), (1, 1))

    def test_which_numbers_the_latest_acks_cover(self) -> None:
        quality = PathQuality()
        self.assertFalse(quality.covers(0))
        came = {0, 2, 70_000, 70_001, 70_033}
        window = ReplayWindow()
        for number in sorted(came):
            window.mark(number)
            self.assertTrue(quality.acknowledged(*window.acks(), number + 7, 0.0))
            for asked in range(number - 40, number + 40):
                known = asked in came and number - ACK_SPAN <= asked <= number
                self.assertEqual(quality.covers(asked), known, (number, asked))
        # One that comes late tells of older numbers.
        self.assertTrue(quality.acknowledged(70_001 & 0xFFFF, 1, 70_040, 0.0))
        self.assertTrue(quality.covers(70_000))
        self.assertFalse(quality.covers(70_033))

    def test_late_arrivals_within_32_are_no_losses(self) -> None:
        quality, window = PathQuality(), ReplayWindow()
        for number in range(ACK_SPAN + 1):
            quality.sent(number, 0.0)
        for number in range(1, ACK_SPAN + 1):
            window.mark(number)
        quality.acknowledged(*window.acks(), ACK_SPAN + 1, 0.1)
        self.assertEqual((quality.acked, quality.lost), (ACK_SPAN, 0))
        window.mark(0)
        quality.acknowledged(*window.acks(), ACK_SPAN + 1, 0.1)
        self.assertEqual((quality.acked, quality.lost), (ACK_SPAN + 1, 0))

    def test_acks_that_overtook_each_other_change_no_count(self) -> None:
        quality, window = PathQuality(), ReplayWindow()
        acks = []
        for number in range(200):
            quality.sent(number, 0.0)
            if number % 5:
                window.mark(number)
            if number > 5:
                acks.append(window.acks())
        shuffler = random.Random(7)
        for start in range(0, len(acks), 8):
            chunk = acks[start : start + 8]
            shuffler.shuffle(chunk)
            acks[start : start + 8] = chunk
        for ack in acks:
            self.assertTrue(quality.acknowledged(*ack, 200, 0.1))
        self.assertEqual(quality.acked, 160)
        self.assertEqual(quality.lost + outstanding(quality), 40)

    def test_the_round_trip_is_that_of_the_acknowledged_datagram(self) -> None:
        quality = PathQuality()
        quality.sent(0, 10.0)
        quality.sent(1, 10.03)
        quality.acknowledged(1, 0b1, 2, 10.1)
        self.assertAlmostEqual(quality.estimator.latest, 0.07)
        quality.acknowledged(1, 0b1, 2, 99.0)
        self.assertEqual(quality.estimator.samples, 1, "a repeated ack is no sample")

    def test_a_peer_that_never_acknowledges_costs_bounded_memory(self) -> None:
        quality = PathQuality()
        for number in range(MAX_OUTSTANDING + 500):
            quality.sent(number, 0.0)
        self.assertEqual((outstanding(quality), quality.lost), (MAX_OUTSTANDING, 500))


class TimeTests(SynchronousTestCase):
    """``TIME``: the peer's own wait is taken out."""

    def reply(
        self, quality: PathQuality, asked: int, came: int, wait: int, now: float
    ) -> tuple[float, float, float] | None:
        return quality.time_reply(pack("!IQI", asked, came, wait), now)

    def test_the_wait_does_not_count(self) -> None:
        quality = PathQuality()
        self.reply(quality, microseconds(5.0), 77, 40_000, 5.1)
        self.assertAlmostEqual(quality.estimator.rtt, 0.06)

    def test_the_four_times_come_in_seconds(self) -> None:
        times = self.reply(PathQuality(), microseconds(5.0), 2**40, 40_000, 5.1)
        assert times is not None
        for found, wanted in zip(times, (5.0, 2**40 / 1e6, 2**40 / 1e6 + 0.04), strict=True):
            self.assertAlmostEqual(found, wanted, places=5)

    def test_acks_count_for_loss_only_once_there_is_a_clock(self) -> None:
        quality = PathQuality()
        quality.sent(0, 0.0)
        quality.acknowledged(0, 0, 1, 0.3)
        self.assertEqual(quality.estimator.rtt, 0.3)
        self.reply(quality, microseconds(5.0), 0, 0, 5.1)
        quality.sent(1, 6.0)
        quality.acknowledged(1, 1, 2, 6.9)
        self.assertAlmostEqual(quality.estimator.rtt, 0.1)
        self.assertEqual((quality.estimator.samples, quality.acked), (1, 2))

    def test_our_clock_may_wrap(self) -> None:
        quality = PathQuality()
        wrap = 2**32 / 1e6
        times = self.reply(quality, microseconds(wrap - 0.01), 0, 10_000, wrap + 0.04)
        self.assertAlmostEqual(quality.estimator.rtt, 0.04, places=5)
        assert times is not None
        self.assertAlmostEqual(times[0], wrap - 0.01, places=5)

    def test_answers_that_cannot_be_are_no_samples(self) -> None:
        quality = PathQuality()
        self.assertIsNone(self.reply(quality, microseconds(5.0), 0, 200_000, 5.1))
        self.assertIsNone(self.reply(quality, microseconds(9.0), 0, 0, 5.1))
        self.assertEqual((quality.estimator.samples, quality.has_clock), (0, False))

    @given(st.binary(max_size=20) | st.binary(min_size=16, max_size=16), st.floats(0, 1e9))
    def test_any_bytes_give_a_sample_or_none_or_a_wire_error(self, data: bytes, now: float) -> None:
        quality = PathQuality()
        try:
            quality.time_reply(data, now)
        except WireError:
            self.assertNotEqual(len(data), 16)
            return
        self.assertEqual(len(data), 16)
        self.assertGreaterEqual(quality.estimator.rtt, 0.0)


class RollTests(SynchronousTestCase):
    """Losses a player can read."""

    def test_losses_of_both_directions(self) -> None:
        quality = PathQuality()
        for second in range(1, 60):
            quality.received += 30
            quality.acked += 45
            quality.lost += 5
            quality.roll(float(second), second * 40 - 1)
        self.assertAlmostEqual(quality.loss_in, 0.25, places=3)
        self.assertAlmostEqual(quality.loss_out, 0.1, places=3)

    def test_at_most_once_a_second(self) -> None:
        quality = PathQuality()
        quality.roll(10.0, 9)
        quality.lost = 10
        for now in (10.1, 10.5, 10.999):
            quality.roll(now, 9)
            self.assertEqual(quality.loss_out, 0.0)
        quality.roll(11.0, 9)
        self.assertEqual(quality.loss_out, 1 / 8)

    def test_silence_is_no_loss(self) -> None:
        quality = PathQuality()
        for second in range(1, 10):
            quality.roll(float(second), -1)
        self.assertEqual((quality.loss_in, quality.loss_out), (0.0, 0.0))

    def test_late_datagrams_of_an_earlier_second_do_not_make_less_than_none(self) -> None:
        quality = PathQuality()
        quality.received = 10
        quality.roll(1.0, 19)
        quality.received += 20
        quality.roll(2.0, 29)
        self.assertGreaterEqual(quality.loss_in, 0.0)

    def test_each_direction_of_a_lossy_path_is_right(self) -> None:
        for seed in range(3):
            pair = Pair(seed, Conditions(loss=0.05))
            pair.bind()
            for number in range(60 * 60):
                pair.send_input(number & 1)
                pair.send_state(number.to_bytes(40, "big"))
                pair.advance(1 / 60)
            self.assertFalse(pair.server_session.tunnelled)
            for session in (pair.server_session, pair.client_session):
                quality = session.quality
                # Smoothed over some 500 datagrams: a standard deviation is 0.01.
                self.assertApproximates(quality.loss_in, 0.05, 0.03)
                self.assertApproximates(quality.loss_out, 0.05, 0.03)
                # Over all of them it is a tenth of a percent, and acks miss none of it.
                self.assertApproximates(quality.lost / (quality.lost + quality.acked), 0.05, 0.015)

    def test_the_bounds_of_the_labels(self) -> None:
        bounds = (
            ("excellent", 0.05, 0.02, 0.005),
            ("good", 0.1, 0.05, 0.02),
            ("fair", 0.2, 0.1, 0.05),
            ("poor", 0.4, 0.2, 0.15),
        )
        labels = [label for label, *_ in bounds] + ["bad"]
        for place, (label, *most) in enumerate(bounds):
            for figure in range(4):
                for more, wanted in ((0.0, label), (1e-6, labels[place + 1])):
                    quality = PathQuality()
                    quality.estimator.add(0.001)
                    value = most[min(figure, 2)] + more
                    if figure == 0:
                        quality.estimator.rtt = value
                    elif figure == 1:
                        quality.estimator.jitter = value
                    elif figure == 2:
                        quality.loss_in = value
                    else:
                        quality.loss_out = value
                    self.assertEqual(quality.label, wanted, (label, figure, more))

    def test_the_label_follows_the_worst_of_the_three(self) -> None:
        quality = PathQuality()
        self.assertEqual(quality.label, "unknown")
        quality.estimator.add(0.03)
        self.assertEqual(quality.label, "excellent")
        for rtt, jitter, loss, label in (
            (0.06, 0.0, 0.0, "good"),
            (0.03, 0.06, 0.0, "fair"),
            (0.03, 0.0, 0.1, "poor"),
            (0.5, 0.0, 0.0, "bad"),
            (0.03, 0.0, 0.5, "bad"),
        ):
            quality.estimator.rtt, quality.estimator.jitter = rtt, jitter
            quality.loss_in, quality.loss_out = 0.0, loss
            self.assertEqual(quality.label, label)
            quality.loss_in, quality.loss_out = loss, 0.0
            self.assertEqual(quality.label, label)

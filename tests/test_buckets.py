"""Counts of a histogram."""

from __future__ import annotations

from bisect import bisect_left
from math import ceil

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.buckets import Buckets

VALUES = st.lists(st.floats(0, 10), max_size=50)


class BucketsTests(SynchronousTestCase):
    def test_a_value_belongs_to_the_first_bound_that_is_not_below_it(self) -> None:
        buckets = Buckets((1, 2, 4))
        for value in (0.5, 1, 1.5, 2, 4, 4.5):
            buckets.add(value)
        self.assertEqual(buckets.counts, [2, 2, 1, 1])
        self.assertEqual(buckets.sum, 13.5)

    def test_several_at_once_are_as_one_after_another(self) -> None:
        one, other = Buckets((1, 2)), Buckets((1, 2))
        for _ in range(3):
            one.add(1.5)
        other.add(1.5, 3)
        self.assertEqual((one.counts, one.sum), (other.counts, other.sum))

    def test_without_observations_there_is_no_quantile(self) -> None:
        self.assertIsNone(Buckets((1, 2)).quantile(0.5))

    def test_a_quantile_is_spread_evenly_between_two_bounds(self) -> None:
        buckets = Buckets((1, 2, 4))
        buckets.add(1.5, 2)
        buckets.add(3, 2)
        self.assertEqual(buckets.quantile(0.25), 1.5)
        self.assertEqual(buckets.quantile(0.5), 2.0)
        self.assertEqual(buckets.quantile(0.75), 3.0)

    def test_beyond_all_bounds_is_the_last_one(self) -> None:
        buckets = Buckets((1, 2))
        buckets.add(100)
        self.assertEqual(buckets.quantile(0.99), 2)

    @given(VALUES, st.floats(0.01, 1))
    def test_quantiles_are_within_a_bucket_of_the_truth(
        self, values: list[float], share: float
    ) -> None:
        bounds = (1.0, 2.0, 3.0, 5.0, 8.0, 10.0)
        buckets = Buckets(bounds)
        for value in values:
            buckets.add(value)
        self.assertEqual(sum(buckets.counts), len(values))
        found = buckets.quantile(share)
        if not values:
            self.assertIsNone(found)
            return
        assert found is not None
        one = sorted(values)[max(0, ceil(share * len(values) - 1e-9) - 1)]
        upper = bisect_left(bounds, one)
        self.assertLessEqual((0.0, *bounds)[upper] - 1e-9, found)
        self.assertLessEqual(found, bounds[upper] + 1e-9)

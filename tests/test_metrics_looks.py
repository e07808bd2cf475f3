"""When those who look at the live page are to come again."""

from __future__ import annotations

from collections import Counter

from twisted.trial.unittest import SynchronousTestCase

from gamenet.metrics.looks import AT_ONCE, MOST_SECONDS, Looks
from tests.status import SiteTestCase


class LooksTests(SynchronousTestCase):
    def come(self, viewers: int, seconds: float) -> Counter[float]:
        """How many came in each moment, of *viewers* who do as they are told."""
        looks, came = Looks(), Counter[float]()
        due = [(0.1 + 0.01 * (viewer % 7), viewer) for viewer in range(viewers)]
        while due:
            due.sort()
            now, viewer = due.pop(0)
            if now > seconds:
                break
            came[round(now, 2)] += 1
            due.append((now + looks.again_ms(now) / 1_000, viewer))
        return came

    def test_one_looks_each_second(self) -> None:
        self.assertEqual(dict(self.come(1, 5.0)), {0.1: 1, 1.0: 1, 2.0: 1, 3.0: 1, 4.0: 1, 5.0: 1})

    def test_more_come_together_and_less_often(self) -> None:
        for viewers in (AT_ONCE, 2 * AT_ONCE, 4 * AT_ONCE):
            came = {when: count for when, count in self.come(viewers, 12.0).items() if when >= 1}
            self.assertEqual(set(came.values()), {AT_ONCE}, viewers)
            self.assertTrue(all(when == int(when) for when in came), viewers)

    def test_nobody_waits_long_and_nothing_piles_up(self) -> None:
        looks = Looks()
        waits = {looks.again_ms(7.9) for _ in range(1_000)}
        self.assertEqual((min(waits), max(waits)), (1_100, 1_100 + 1_000 * (MOST_SECONDS - 1)))
        self.assertEqual(len(looks._given), MOST_SECONDS)
        self.assertEqual(looks.again_ms(100.0), 1_000)
        self.assertEqual(len(looks._given), 1)


class HeaderTests(SiteTestCase):
    def test_each_answer_says_it(self) -> None:
        for path in (b"/api/status", b"/api/status?history=no"):
            code, headers, _ = self.get(path)
            self.assertEqual(code, 200)
            self.assertTrue(500 <= int(headers[b"look-again-ms"]) <= 1_500)
        self.assertNotIn(b"look-again-ms", self.get(b"/metrics")[1])

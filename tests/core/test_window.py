"""The replay window against a model that remembers every number it ever saw."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.window import MAX_NUMBER, WIDTH, ReplayWindow

LOW = 0xFFFFFFFF
# Where a port of the arithmetic would go wrong, each with its neighbours.
EDGES = sorted(
    {
        number
        for power in (0, 1, 5, 8, 10, 15, 16, 31, 32, 33, 40, 47, 48)
        for number in range(2**power - 2, 2**power + 3)
        if 0 <= number < MAX_NUMBER
    }
)


class Model:
    """What the window must do, said plainly and without care for memory."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    @property
    def highest(self) -> int:
        return max(self.seen, default=-1)

    def is_fresh(self, number: int) -> bool:
        return (
            0 <= number < MAX_NUMBER and number > self.highest - WIDTH and number not in self.seen
        )

    def acks(self) -> tuple[int, int]:
        highest = self.highest
        bits = sum(1 << i for i in range(32) if highest - 1 - i in self.seen)
        return highest & 0xFFFF, bits

    def expand(self, low: int) -> int:
        expected = self.highest + 1
        base = expected >> 32 << 32
        candidates = [base + shift + low for shift in (-(2**32), 0, 2**32)]
        return min(
            (number for number in candidates if number >= 0),
            key=lambda number: (abs(number - expected), number),
        )


def reached(highest: int) -> ReplayWindow:
    """A window that has seen *highest* and nothing else."""
    window = ReplayWindow()
    if highest >= 0:
        window.mark(highest)
    return window


class ModelTests(SynchronousTestCase):
    """Any sequence of numbers: the same answers as the model."""

    @settings(max_examples=300)
    @given(
        st.sampled_from([-1, *EDGES]),
        st.lists(
            st.one_of(
                st.integers(-40, 40),
                st.integers(-WIDTH - 2, WIDTH + 2),
                st.sampled_from((-WIDTH - 1, -WIDTH, -WIDTH + 1, WIDTH - 1, WIDTH, WIDTH + 1)),
                st.just(1),
                st.integers(-(2**33), 2**33),
            ),
            max_size=80,
        ),
    )
    def test_as_the_model(self, start: int, steps: list[int]) -> None:
        window, model = ReplayWindow(), Model()
        if start >= 0:
            window.mark(start)
            model.seen.add(start)
        for step in steps:
            number = max(window.highest + step, 0)
            self.assertEqual(window.is_fresh(number), model.is_fresh(number), number)
            if window.is_fresh(number):
                window.mark(number)
                model.seen.add(number)
                self.assertFalse(window.is_fresh(number), "a number came twice")
            self.assertEqual(window.highest, model.highest)
            self.assertEqual(window.acks(), model.acks())
            self.assertLess(len(window.missing), 2 * WIDTH)

    @given(st.sampled_from([-1, *EDGES]), st.integers(0, LOW))
    def test_expanding_as_the_model(self, highest: int, low: int) -> None:
        model = Model()
        if highest >= 0:
            model.seen.add(highest)
        self.assertEqual(reached(highest).expand(low), model.expand(low))


class EdgeTests(SynchronousTestCase):
    """Each power of two, each neighbour."""

    def test_the_numbers_of_the_protocol(self) -> None:
        self.assertEqual((WIDTH, MAX_NUMBER), (1_024, 2**48))

    def test_every_edge_is_accepted_once(self) -> None:
        window = ReplayWindow()
        for number in EDGES:
            self.assertTrue(window.is_fresh(number), number)
            window.mark(number)
            self.assertFalse(window.is_fresh(number), number)
        for number in EDGES:
            self.assertFalse(window.is_fresh(number), number)

    def test_no_number_from_two_to_the_48_on(self) -> None:
        for highest in (-1, MAX_NUMBER - 2, MAX_NUMBER - 1):
            for number in (MAX_NUMBER, MAX_NUMBER + 1, 2**63, 2**64):
                self.assertFalse(reached(highest).is_fresh(number))

    def test_the_width_is_exact(self) -> None:
        for edge in EDGES:
            highest = edge + WIDTH
            if highest >= MAX_NUMBER:
                continue
            window = reached(highest)
            self.assertFalse(window.is_fresh(highest - WIDTH), edge)
            self.assertTrue(window.is_fresh(highest - WIDTH + 1), edge)
            window.mark(highest - WIDTH + 1)
            self.assertFalse(window.is_fresh(highest - WIDTH + 1), edge)

    def test_expansion_around_every_wrap(self) -> None:
        near = [*range(-1_100, 1_100)]
        far = [
            sign * 2**power + small
            for power in range(10, 32)
            for sign in (-1, 1)
            for small in (-2, -1, 0, 1, 2)
        ]
        offsets = [offset for offset in near + far if -(2**31) < offset < 2**31]
        highests = [-1, 0, 1, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1, 2**32, 2**32 + 1]
        highests += [2**33 - 1, 2**40, 2**47 + 2**31, 2**48 - 2, 2**48 - 1]
        for highest in highests:
            window = reached(highest)
            for offset in offsets:
                number = highest + 1 + offset
                if 0 <= number < MAX_NUMBER:
                    self.assertEqual(window.expand(number & LOW), number, (highest, offset))

    def test_expansion_at_the_bottom_never_goes_below_zero(self) -> None:
        for highest in (-1, 0, 5, 2**31 - 2):
            for low in (0, 1, 2**31 - 1, 2**31, 2**31 + 1, LOW - 1, LOW):
                self.assertGreaterEqual(reached(highest).expand(low), 0)

    def test_expansion_at_the_top_gives_nothing_fresh_beyond_it(self) -> None:
        window = reached(MAX_NUMBER - 1)
        for low in (0, 1, 2**31 - 1, LOW):
            self.assertFalse(window.is_fresh(window.expand(low)))


class AckTests(SynchronousTestCase):
    """What a peer is told."""

    def test_nothing_came_yet(self) -> None:
        self.assertEqual(ReplayWindow().acks(), (0xFFFF, 0))

    def test_in_order_from_the_beginning(self) -> None:
        window = ReplayWindow()
        for number in range(40):
            window.mark(number)
            self.assertEqual(window.acks(), (number, (1 << min(number, 32)) - 1))

    def test_the_low_half_wraps(self) -> None:
        self.assertEqual(reached(0x1_0000).acks(), (0, 0))
        self.assertEqual(reached(0x1_FFFF).acks(), (0xFFFF, 0))

    def test_a_gap_filled_late_shows(self) -> None:
        window = ReplayWindow()
        for number in (0, 1, 3):
            window.mark(number)
        self.assertEqual(window.acks(), (3, 0b110))
        window.mark(2)
        self.assertEqual(window.acks(), (3, 0b111))

    def test_many_gaps_cost_no_more_than_few(self) -> None:
        # A peer that leaves gaps on purpose must not make every datagram of ours slow: far gaps
        # are not looked at one by one.
        window = ReplayWindow()
        window.mark(0)
        window.mark(WIDTH - 1)
        for number in range(WIDTH, WIDTH + 40):
            window.mark(number)
        self.assertEqual(window.acks(), ((WIDTH + 39) & 0xFFFF, 0xFFFFFFFF))
        looked_at: list[int] = []

        class Counting(set[int]):
            def __iter__(self):  # type: ignore[no-untyped-def]
                for number in super().__iter__():
                    looked_at.append(number)
                    yield number

        window.missing = Counting(window.missing)
        window.acks()
        self.assertLessEqual(len(looked_at), 32)

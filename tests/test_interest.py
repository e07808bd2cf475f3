"""Who sees what, against a model that compares every pair; and that nothing visible starves."""

from __future__ import annotations

from math import hypot, inf, nan
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.interest import FAR_CELLS, Interest, Priorities

if TYPE_CHECKING:
    from collections.abc import Hashable

near = st.one_of(
    st.integers(-12, 12).map(float),
    st.floats(-25, 25),
    st.sampled_from([-1e-20, -5e-324, 10.0, 10.0 + 2e-15, 11.0, -11.0]),
)
far = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10 * FAR_CELLS, 10 * FAR_CELLS + 5, -11 * FAR_CELLS, -11 * FAR_CELLS - 9]),
)
KEYS = st.integers(0, 5)
VIEWERS = st.sampled_from(["ann", "bob"])


def actions(where: st.SearchStrategy[float]) -> st.SearchStrategy[list[tuple[Hashable, ...]]]:
    """What a game may do, with many updates among it."""
    return st.lists(
        st.one_of(
            st.tuples(st.just("place"), KEYS, where, where),
            st.tuples(st.just("place"), KEYS, where, where),
            st.tuples(st.just("watch"), VIEWERS, where, where),
            st.tuples(st.just("remove"), KEYS),
            st.tuples(st.just("unwatch"), VIEWERS),
            st.tuples(st.just("update")),
            st.tuples(st.just("update")),
        ),
        max_size=60,
    )


class Model:
    """The same by comparing every viewer with every key."""

    def __init__(self, radius: float, margin: float) -> None:
        self.radius, self.outer = radius, radius + margin
        self.at: dict[int, tuple[float, float]] = {}
        self.eyes: dict[str, tuple[float, float]] = {}
        self.seen: dict[str, set[int]] = {}

    def update(self) -> None:
        for viewer, (vx, vy) in self.eyes.items():
            before = self.seen.get(viewer, set())
            self.seen[viewer] = {
                key
                for key, (x, y) in self.at.items()
                if hypot(x - vx, y - vy) <= (self.outer if key in before else self.radius)
            }


def seeing(keys: dict[str, float], radius: float = 10.0) -> Interest[str, str]:
    """A viewer at the origin and keys on the x axis, updated."""
    interest: Interest[str, str] = Interest(radius)
    interest.watch("ann", 0, 0)
    for key, x in keys.items():
        interest.place(key, x, 0)
    interest.update()
    return interest


class VisibleTests(SynchronousTestCase):
    """The grid and its hysteresis."""

    def check(self, steps: list[tuple[Hashable, ...]], margin: float, cell: float | None) -> None:
        interest: Interest[str, int] = Interest(10.0, margin=margin, cell=cell)
        model = Model(10.0, margin)
        orders: dict[str, tuple[int, ...]] = {}
        told: dict[str, set[int]] = {}
        for name, *rest in [*steps, ("update",)]:
            if name != "update":
                getattr(interest, str(name))(*rest)
            if name == "place":
                model.at[rest[0]] = rest[1], rest[2]
            elif name == "remove":
                model.at.pop(rest[0], None)
            elif name == "watch":
                model.eyes[rest[0]] = rest[1], rest[2]
            elif name == "unwatch":
                for kept in (model.eyes, model.seen, orders, told):
                    kept.pop(rest[0], None)
            else:
                interest.update()
                model.update()
                for number, viewer in enumerate(model.eyes):
                    order = interest.visible(viewer)
                    self.assertEqual(set(order), model.seen[viewer])
                    self.assertEqual(len(order), len(set(order)))
                    self.check_order(orders.get(viewer, ()), order)
                    orders[viewer] = order
                    if number % 2 == 0 or len(order) % 2:  # some look less often than others
                        self.check_changes(interest, viewer, told.setdefault(viewer, set()))

    def check_order(self, before: tuple[int, ...], after: tuple[int, ...]) -> None:
        """No more keys have moved than there are holes which no newcomer filled."""
        stayed = set(before) & set(after)
        moved = [key for key in stayed if before.index(key) != after.index(key)]
        self.assertLessEqual(len(moved), max(0, len(before) - len(after)))

    def check_changes(self, interest: Interest[str, int], viewer: str, told: set[int]) -> None:
        entered, left = interest.changes(viewer)
        self.assertEqual(len(entered) + len(left), len(set(entered) | set(left)))
        self.assertLessEqual(set(left), told)
        self.assertFalse(set(entered) & told)
        told -= set(left)
        told |= set(entered)
        self.assertEqual(told, set(interest.visible(viewer)))
        self.assertEqual(interest.changes(viewer), ((), ()))

    @settings(max_examples=200)
    @given(
        actions(near),
        st.sampled_from([0.0, 1.0, 7.5]),
        st.sampled_from([None, 0.7, 3.0, 5.0, 10.0, 64.0]),
    )
    def test_it_sees_what_comparing_every_pair_sees(
        self, steps: list[tuple[Hashable, ...]], margin: float, cell: float | None
    ) -> None:
        self.check(steps, margin, cell)

    @given(actions(far))
    def test_so_it_does_anywhere_that_a_float_can_reach(
        self, steps: list[tuple[Hashable, ...]]
    ) -> None:
        self.check(steps, 1.0, None)

    def test_rounding_at_the_edge_of_a_cell_hides_nobody(self) -> None:
        interest: Interest[str, str] = Interest(1.0, margin=0)
        interest.watch("ann", -1e-20, 0)
        interest.place("rat", 1.0, 0)
        interest.update()
        self.assertEqual(interest.visible("ann"), ("rat",))

    def test_it_enters_at_the_radius_and_leaves_past_the_margin(self) -> None:
        interest = seeing({"rat": 10.5})
        for x, expected in ((10.5, ()), (10.0, ("rat",)), (11.0, ("rat",)), (11.1, ()), (10.5, ())):
            interest.place("rat", x, 0)
            interest.update()
            self.assertEqual(interest.visible("ann"), expected)

    def test_who_stays_keeps_its_index(self) -> None:
        interest = seeing({"a": 1, "b": 2, "c": 3, "d": 4})
        self.assertEqual(interest.visible("ann"), ("a", "b", "c", "d"))
        interest.place("b", 99, 0)
        interest.place("e", 1, 0)
        interest.update()
        self.assertEqual(interest.visible("ann"), ("a", "e", "c", "d"))
        interest.remove("a")
        interest.update()
        self.assertEqual(interest.visible("ann"), ("d", "e", "c"))
        interest.remove("c")
        interest.place("f", 1, 0)
        interest.place("g", 1, 0)
        interest.update()
        self.assertEqual(interest.visible("ann"), ("d", "e", "f", "g"))

    def test_changes_are_since_the_last_look_and_cancel_out(self) -> None:
        interest = seeing({"a": 1, "b": 2})
        self.assertEqual(interest.changes("ann"), (("a", "b"), ()))
        interest.place("a", 99, 0)
        interest.place("c", 1, 0)
        interest.update()
        interest.place("a", 1, 0)
        interest.remove("b")
        interest.remove("c")
        interest.update()
        self.assertEqual(interest.changes("ann"), ((), ("b",)))
        self.assertEqual(interest.changes("ann"), ((), ()))

    def test_the_weights_fall_with_distance_and_stay_above_the_least(self) -> None:
        interest = seeing({"a": 0.0, "b": 5.5, "c": 10.0, "d": 1.0})
        interest.place("c", 500, 0)
        interest.remove("d")
        self.assertEqual(interest.visible("ann"), ("a", "b", "c", "d"))
        weights = interest.weights("ann", least=0.25)
        for weight, expected in zip(weights, (1.0, 0.625, 0.25, 0.25), strict=True):
            self.assertAlmostEqual(weight, expected)

    def test_a_position_that_is_none_is_refused_and_changes_nothing(self) -> None:
        interest = seeing({"rat": 1})
        for bad in (nan, inf, -inf):
            for x, y in ((bad, 0.0), (0.0, bad)):
                self.assertRaises(ValueError, interest.place, "rat", x, y)
                self.assertRaises(ValueError, interest.watch, "ann", x, y)
                self.assertRaises(ValueError, interest.watch, "new", x, y)
        interest.update()
        self.assertEqual(interest.visible("ann"), ("rat",))
        self.assertRaises(ValueError, interest.visible, "new")

    def test_lengths_that_cannot_be_are_refused(self) -> None:
        for radius in (0, -1, nan, inf):
            self.assertRaises(ValueError, Interest, radius)
        for margin in (-1, nan, inf):
            self.assertRaises(ValueError, Interest, 1, margin=margin)
        for cell in (0, -1, nan, inf, 0.01):
            self.assertRaises(ValueError, Interest, 1, cell=cell)

    def test_who_does_not_watch_is_told_so(self) -> None:
        interest = seeing({})
        interest.unwatch("ann")
        interest.unwatch("ann")
        for ask in (interest.visible, interest.changes, interest.weights):
            self.assertRaisesRegex(ValueError, r"call watch\(\)", ask, "ann")


class PriorityTests(SynchronousTestCase):
    """The accumulator."""

    @settings(max_examples=200)
    @given(
        st.lists(
            st.tuples(st.floats(0.05, 4), st.integers(1, 100), st.integers(0, 20)),
            min_size=1,
            max_size=8,
        ),
        st.integers(100, 300),
    )
    def test_everything_is_sent_in_bounded_time_and_the_budget_holds(
        self, entities: list[tuple[float, int, int]], budget: int
    ) -> None:
        priorities: Priorities[str, int] = Priorities()
        bounds = [2 * (sum(1 + v / w for v, _, _ in entities) - 2) + 2 for w, _, _ in entities]
        waited = [0] * len(entities)
        for number in range(20 + 2 * int(max(bounds))):
            keys = [key for key, (_, _, since) in enumerate(entities) if number >= since]
            weights = [entities[key][0] for key in keys]
            sent = priorities.fill("ann", keys, weights, budget, lambda key: entities[key][1])
            self.assertLessEqual(sum(entities[key][1] for key in sent), budget)
            self.assertEqual(len(sent), len(set(sent)))
            self.assertLessEqual(set(sent), set(keys))
            for key in keys:
                waited[key] = 0 if key in sent else waited[key] + 1
                self.assertLess(waited[key], bounds[key])
            room = budget - sum(entities[key][1] for key in sent)
            for key in set(keys) - set(sent):  # nothing that would have fitted stays behind
                self.assertGreater(entities[key][1], room)

    def fill(
        self, priorities: Priorities[str, str], keys: str, budget: int, **weights: float
    ) -> str:
        each = [weights.get(key, 1.0) for key in keys]
        return "".join(priorities.fill("ann", list(keys), each, budget, lambda _: 10))

    def test_equals_take_turns_in_the_order_of_the_keys(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        sent = [self.fill(priorities, "abcde", 20) for _ in range(5)]
        self.assertEqual(sent, ["ab", "cd", "ea", "bc", "da"])

    def test_the_heavier_comes_more_often(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        sent = "".join(self.fill(priorities, "ab", 10, a=3.0) for _ in range(40))
        self.assertEqual((sent.count("a"), sent.count("b")), (30, 10))

    def test_no_budget_sends_nothing_and_lets_them_wait(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        self.assertEqual(self.fill(priorities, "b", 0), "")
        self.assertEqual(self.fill(priorities, "b", 9), "")
        self.assertEqual(self.fill(priorities, "ab", 10, a=2.5), "b")

    def test_what_does_not_fit_keeps_its_priority(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        sizes = {"a": 50, "b": 10}
        for _ in range(3):
            sent = priorities.fill("ann", ["b", "a"], [1.0, 1.5], 20, sizes.__getitem__)
            self.assertEqual(sent, ["b"])
        sent = priorities.fill("ann", ["b", "a"], [5.0, 1.5], 50, sizes.__getitem__)
        self.assertEqual(sent, ["a"])

    def test_viewers_are_apart_and_who_is_gone_is_forgotten(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        self.fill(priorities, "b", 0)
        sent = priorities.fill("bob", ["a", "b"], [1.0, 1.0], 10, lambda _: 10)
        self.assertEqual(sent, ["a"])
        priorities.forget("ann")
        priorities.forget("ann")
        self.assertEqual(self.fill(priorities, "ab", 10), "a")

    def test_a_key_out_of_sight_is_forgotten(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        self.fill(priorities, "b", 0)
        self.fill(priorities, "", 0)
        self.assertEqual(self.fill(priorities, "ab", 10), "a")

    def test_weights_and_sizes_that_cannot_be_are_refused_and_change_nothing(self) -> None:
        priorities: Priorities[str, str] = Priorities()
        self.fill(priorities, "b", 0)
        for weight in (0.0, -1.0, nan, inf):
            self.assertRaises(ValueError, self.fill, priorities, "ab", 10, a=weight)
            self.assertRaises(ValueError, self.fill, priorities, "ab", 10, b=weight)
        self.assertRaises(ValueError, priorities.fill, "ann", ["a"], [], 10, lambda _: 10)
        for size in (0, -1):
            with self.assertRaises(ValueError):
                priorities.fill("ann", ["a", "b"], [9.0, 9.0], 10, lambda _, size=size: size)
        self.assertEqual(self.fill(priorities, "ab", 10, a=1.5), "b")

"""Who sees what, and what of it to send first: a uniform grid, and a priority accumulator.

Layer 2. Runs on: the game thread. Pure logic; nothing here knows the network.

A state of the whole world costs every player the bytes of all entities. :class:`Interest` keeps for
each viewer the few that are near, and :class:`Priorities` divides a byte budget among them when
even those are too many. The accumulator is the idea of Glenn Fiedler, "State Synchronization"
(2015): what waits gains priority until it is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from math import hypot, isfinite
from typing import Final, Generic, TypeVar

FAR_CELLS: Final = float(2**40)
"""Columns and rows further out than this are one: beyond it a float no longer counts cells."""
MAX_REACH: Final = 16
"""A radius may span so many cells; with more of them the search costs more than it saves."""
ROUNDING: Final = 1e-9

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class _View(Generic[K]):
    """What one viewer sees."""

    __slots__ = ("cell", "entered", "left", "members", "order", "x", "y")

    def __init__(self) -> None:
        self.x = self.y = 0.0
        self.cell = (0.0, 0.0)
        self.members: set[K] = set()
        self.order: tuple[K, ...] = ()
        # Keys only, in order; since the last look.
        self.entered: dict[K, None] = {}
        self.left: dict[K, None] = {}

    def replace(self, fresh: Sequence[K], gone: set[K]) -> None:
        """Put newcomers into the places of those who left, and close what holes remain."""
        waiting = list(reversed(fresh))
        order = list(self.order)
        holes = [slot for slot, key in enumerate(order) if key in gone] if gone else []
        _net([order[slot] for slot in holes], self.left, self.entered)
        _net(fresh, self.entered, self.left)
        for slot in holes:
            if waiting:
                order[slot] = waiting.pop()
                continue
            # No newcomer is left: the last that stays moves up.
            while order and order[-1] in gone:
                order.pop()
            if slot >= len(order):
                break
            order[slot] = order.pop()
        order.extend(reversed(waiting))
        self.order = tuple(order)
        self.members.difference_update(gone)
        self.members.update(fresh)


def _net(keys: Iterable[K], done: dict[K, None], undone: dict[K, None]) -> None:
    """Note changes; one that takes back an earlier one cancels it."""
    for key in keys:
        if key in undone:
            del undone[key]
        else:
            done[key] = None


class Interest(Generic[V, K]):
    """Which keys each viewer sees: those that came within a radius, until they are well out of it.

    Keys and viewers are any hashable values: entity numbers, players. Place and watch what moved,
    then call :meth:`update` once; the answers are those of the last update.

    :param radius: a key this near, or nearer, enters. In the game's own unit of length.
    :param margin: it leaves when further than ``radius + margin``, so that one on the border does
        not flicker; a tenth of the radius unless given, and 0 for none.
    :param cell: side of a grid cell; ``radius + margin`` unless given, which is right for most.
    :raises ValueError: for lengths that cannot be.
    """

    __slots__ = ("_cell", "_far", "_outer", "_places", "_radius", "_reach", "_views")

    def __init__(
        self, radius: float, *, margin: float | None = None, cell: float | None = None
    ) -> None:
        if margin is None:
            margin = 0.1 * radius
        if not (radius > 0 and margin >= 0 and isfinite(radius + margin)):
            raise ValueError(
                f"radius {radius!r} must be above 0, margin {margin!r} at least 0, both finite"
            )
        if cell is None:
            cell = radius + margin
        if not (cell > 0 and isfinite(cell)) or radius > cell * MAX_REACH:
            raise ValueError(
                f"cell {cell!r} must be finite and at least a {MAX_REACH}th of the radius; "
                "leave it out for a good one"
            )
        self._radius = float(radius)
        self._outer = float(radius + margin)
        self._cell = float(cell)
        self._far = self._cell * FAR_CELLS
        # The slack is for a distance that rounding made no longer than the radius.
        self._reach = int(radius / cell * (1 + ROUNDING)) + 1
        self._places: dict[K, tuple[K, float, float, tuple[float, float]]] = {}
        self._views: dict[V, _View[K]] = {}

    def _cell_of(self, x: float, y: float) -> tuple[float, float]:
        far = self._far
        if -far < x < far and -far < y < far:
            return x // self._cell, y // self._cell
        if not (isfinite(x) and isfinite(y)):
            raise ValueError(f"position ({x!r}, {y!r}) must be finite numbers")
        return min(max(x, -far), far) // self._cell, min(max(y, -far), far) // self._cell

    def place(self, key: K, x: float, y: float) -> None:
        """Add a key, or move it.

        :raises ValueError: for a position that is infinite or not a number.
        """
        self._places[key] = (key, x, y, self._cell_of(x, y))

    def remove(self, key: K) -> None:
        """Take a key out; it leaves all views at the next update. Unknown keys are no error.

        One that is placed again before that update never left.
        """
        self._places.pop(key, None)

    def watch(self, viewer: V, x: float, y: float) -> None:
        """Add a viewer, or move it; it sees its own body like any other key.

        :raises ValueError: for a position that is infinite or not a number.
        """
        cell = self._cell_of(x, y)
        view = self._views.get(viewer)
        if view is None:
            view = self._views[viewer] = _View()
        view.x, view.y, view.cell = x, y, cell

    def unwatch(self, viewer: V) -> None:
        """Forget a viewer. Unknown ones are no error."""
        self._views.pop(viewer, None)

    def update(self) -> None:
        """Look again for every viewer: once a tick, or once for every state sent."""
        places = self._places
        cells: dict[tuple[float, float], list[tuple[K, float, float, tuple[float, float]]]] = {}
        for place in places.values():
            if place[3] in cells:
                cells[place[3]].append(place)
            else:
                cells[place[3]] = [place]
        steps = range(-self._reach, self._reach + 1)
        offsets = [(across, down) for across in steps for down in steps]
        # Viewers in one cell share what lies around it.
        around: dict[tuple[float, float], list[tuple[K, float, float, tuple[float, float]]]] = {}
        radius = self._radius
        outer = self._outer
        for view in self._views.values():
            vx, vy = view.x, view.y
            nearby = around.get(view.cell)
            if nearby is None:
                column, row = view.cell
                nearby = around[view.cell] = []
                for across, down in offsets:
                    if (found := cells.get((column + across, row + down))) is not None:
                        nearby += found
            inside = [key for key, x, y, _ in nearby if hypot(x - vx, y - vy) <= radius]
            members = view.members
            gone = members.difference(inside)
            if gone:
                # Few: those in the margin, and those who left.
                for key in list(gone):
                    at = places.get(key)
                    if at is not None and hypot(at[1] - vx, at[2] - vy) <= outer:
                        gone.discard(key)
            if gone or not members.issuperset(inside):
                view.replace([key for key in inside if key not in members], gone)

    def _view(self, viewer: V) -> _View[K]:
        try:
            return self._views[viewer]
        except KeyError:
            raise ValueError(f"{viewer!r} is no viewer; call watch() for it first") from None

    def visible(self, viewer: V) -> tuple[K, ...]:
        """What it saw at the last update, in a stable order.

        Who stays keeps the same index, who enters takes the index of one who left or comes last,
        and only where nobody enters does the last one move into a hole: a state that is laid out in
        this order differs little from the one before.

        :raises ValueError: for one that does not watch.
        """
        return self._view(viewer).order

    def changes(self, viewer: V) -> tuple[tuple[K, ...], tuple[K, ...]]:
        """Who entered and who left since the last call; one who did both is in neither.

        :raises ValueError: for one that does not watch.
        """
        view = self._view(viewer)
        entered, left = tuple(view.entered), tuple(view.left)
        view.entered.clear()
        view.left.clear()
        return entered, left

    def weights(self, viewer: V, *, least: float = 0.1) -> list[float]:
        """How near each key of :meth:`visible` is: 1 at the viewer, falling evenly to *least*.

        :raises ValueError: for one that does not watch.
        """
        view = self._view(viewer)
        places = self._places
        vx, vy = view.x, view.y
        slope = (1 - least) / self._outer
        weights = []
        for key in view.order:
            at = places.get(key)
            weight = least if at is None else 1 - slope * hypot(at[1] - vx, at[2] - vy)
            weights.append(weight if weight > least else least)
        return weights


class Priorities(Generic[V, K]):
    """What to send each viewer when not everything fits: the most stale and most relevant first.

    Every round each key gains its weight, those sent start again from nothing, and the rest keep
    what they have. Where every key fits into the budget alone, one of weight w that stays is
    therefore sent within ``2 * sum(1 + v / w) + 2`` rounds, v being the weights of the others: each
    of them can come first only until what w has gathered is more than it gains in between.
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[V, dict[K, float]] = {}

    def fill(
        self,
        viewer: V,
        keys: Sequence[K],
        weights: Sequence[float],
        budget_bytes: int,
        size_of: Callable[[K], int],
    ) -> list[K]:
        """One round: what to send, most urgent first; among equals the first in *keys*.

        A key that does not fit gives way to smaller ones and keeps its priority. Keys that are not
        in *keys* any more are forgotten.

        :param weights: the relevance of each key, above 0, in the order of *keys*; for instance
            :meth:`Interest.weights`.
        :param budget_bytes: the sizes of those returned add up to no more; 0 only lets them wait.
        :param size_of: bytes that a key would take; asked only while there is budget.
        :raises ValueError: for a weight or a size that cannot be; nothing is changed then.
        """
        if len(keys) != len(weights):
            raise ValueError(f"{len(keys)} keys and {len(weights)} weights; give one for each key")
        if keys and not (isfinite(sum(weights)) and min(weights) > 0):
            raise ValueError("every weight must be a finite number above 0; leave the key out")
        had = self._waiting.get(viewer, {})
        waiting = {
            key: had.get(key, 0.0) + weight for key, weight in zip(keys, weights, strict=True)
        }
        picked = []
        for key in sorted(waiting, key=waiting.__getitem__, reverse=True):
            if budget_bytes <= 0:
                break
            size = size_of(key)
            if size <= 0:
                raise ValueError(f"size_of({key!r}) is {size!r}; it must be at least 1 byte")
            if size <= budget_bytes:
                budget_bytes -= size
                picked.append(key)
        for key in picked:
            waiting[key] = 0.0
        self._waiting[viewer] = waiting
        return picked

    def forget(self, viewer: V) -> None:
        """Drop what is kept for a viewer that is gone. Unknown ones are no error."""
        self._waiting.pop(viewer, None)

"""Where the heroes are to be drawn: one's own is predicted, the others interpolated.

Layer 4. Runs on: the game thread; times come in. No pygame.

Both halves are of :mod:`gamenet.smooth`. The own hero walks at once, by the same step as on the
server (:func:`gamenet.demo.field.walked`), and what the server says about it later is reconciled;
the others are shown a little in the past, between two states.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.demo.field import UNITS_PER_TILE, walked
from gamenet.smooth import Interpolator, Predictor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gamenet.demo.game import SeenHero

SNAP_UNITS: Final = 4.0 * UNITS_PER_TILE
"""A correction longer than this is no slip: the hero is simply somewhere else."""
EXTRAPOLATE_SECONDS: Final = 0.1
"""How far others go on when nothing comes; longer, and they would walk through walls."""


class Pose(NamedTuple):
    """A hero somewhere, in units of the map; whole ones, except to draw."""

    x: float
    y: float
    facing: int
    walking: bool


def step(pose: Pose, buttons: int) -> Pose:
    """A step, as the server does it."""
    return Pose(*walked(int(pose.x), int(pose.y), pose.facing, buttons))


def _difference(one: Pose, other: Pose) -> tuple[float, float]:
    return one.x - other.x, one.y - other.y


def _add(pose: Pose, offset: Sequence[float]) -> Pose:
    return pose._replace(x=pose.x + offset[0], y=pose.y + offset[1])


class OwnHero:
    """One's own hero.

    :param hero: as the first state of a session tells of it.
    """

    def __init__(self, hero: SeenHero) -> None:
        self.predictor: Predictor[Pose] = Predictor(
            step, Pose(*hero[1:]), difference=_difference, add=_add, snap=SNAP_UNITS
        )
        self._stride = (0.0, 0.0)
        self._drawn_at: float | None = None

    def steer(self, number: int, buttons: int) -> None:
        """Walk by an input that was just sent."""
        if number <= self.predictor.newest:
            return  # the client has put it in the place of one of the same tick
        before = self.predictor.state
        self._stride = _difference(self.predictor.apply(number, buttons), before)

    def reconcile(self, hero: SeenHero, input_number: int) -> None:
        """Take what the server says, and replay on it what it did not know."""
        self.predictor.reconcile(Pose(*hero[1:]), input_number)

    def shown(self, now: float, tick_share: float) -> Pose:
        """What to draw.

        :param tick_share: how much of a tick has passed since the last input, 0 to 1. So far has
            the hero come on the step that the input made.
        """
        dt = 0.0 if self._drawn_at is None else max(0.0, now - self._drawn_at)
        self._drawn_at = now
        left = tick_share - 1
        return _add(self.predictor.shown(dt), (self._stride[0] * left, self._stride[1] * left))


class OtherHeroes:
    """Everybody else in view."""

    def __init__(self) -> None:
        self.interpolator: Interpolator[dict[int, SeenHero]] = Interpolator(
            extrapolate=EXTRAPOLATE_SECONDS
        )

    def push(self, server_time: float, heroes: Iterable[SeenHero], now: float) -> None:
        """A state has come."""
        self.interpolator.push(server_time, {hero.id: hero for hero in heroes}, now)

    def shown(self, now: float) -> Iterator[tuple[int, Pose]]:
        """Whom to draw: who has come into view by the time shown, and not left it again."""
        shown = self.interpolator.sample(now)
        if shown is None:
            return
        before, after, alpha = shown.before, shown.after, shown.alpha
        for hero_id, hero in (before if alpha < 1 else after).items():
            a, b = before.get(hero_id, hero), after.get(hero_id, hero)
            x, y = a.x + (b.x - a.x) * alpha, a.y + (b.y - a.y) * alpha
            yield hero_id, Pose(x, y, hero.facing, hero.walking)

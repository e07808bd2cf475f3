"""What a status site says of a player, looked through.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

from gamenet.core.text import clean
from gamenet.top.words import number, share

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME_CHARACTERS = 24

Points = tuple[float | None, ...]
"""Numbers for a graph, the newest last; None is not known."""


class Player(NamedTuple):
    """What can be shown of one; times in seconds, losses parts of 1."""

    id: int
    name: str
    address: str
    path: str
    label: str
    """Of the quality of the path."""
    rtt: float | None
    jitter: float | None
    loss_in: float | None
    loss_out: float | None
    bytes_in: float | None
    """A second, as ``bytes_out``."""
    bytes_out: float | None
    queued: int
    mostly: str
    """The type that most bytes of the last second went for, and its part of them."""
    rtt_points: Points
    jitter_points: Points
    loss_points: Points
    """Of the two directions the worse, at each point."""

    @classmethod
    def of(cls, found: Mapping[str, Any], units: Mapping[str, Any]) -> Self:
        """The player of an answer.

        :param units: of what the history holds.
        :raises KeyError, TypeError, ValueError, AttributeError: if it cannot be read.
        """
        history = found["history"]
        losses = zip(history["loss_in"], history["loss_out"], strict=True)
        return cls(
            int(found["id"]),
            clean(str(found["name"]))[:MAX_NAME_CHARACTERS],
            clean(str(found["address"])),
            "away" if found["suspended"] else clean(str(found["path"])),
            clean(str(found["label"])),
            number(found["rtt_seconds"]),
            number(found["jitter_seconds"]),
            number(found["loss_in"]),
            number(found["loss_out"]),
            number(found["bytes_per_second_in"]),
            number(found["bytes_per_second_out"]),
            int(found["queued_messages"]),
            _mostly([*found["types_out"].items(), *found["types_in"].items()]),
            _times(history["rtt"], units),
            _times(history["jitter"], units),
            tuple(number(max(both) * units["loss_unit"]) for both in losses),
        )


def _times(values: list[int], units: Mapping[str, Any]) -> Points:
    """A time of 0 is not known."""
    unit = units["time_unit_seconds"]
    return tuple(number(value * unit) if value else None for value in values)


def _mostly(types: list[tuple[str, int]]) -> str:
    total = sum(count for _, count in types)
    if not total:
        return ""
    name, most = max(types, key=lambda one: one[1])
    return f"{clean(name).replace('_', ' ')} {share(most / total)}"

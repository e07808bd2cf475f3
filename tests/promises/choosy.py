"""A network whose every datagram is in a test's hands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamenet.impairment import Impairment
from gamenet.testing import network

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.trial.unittest import SynchronousTestCase

    Rule = Callable[["Choosy", bytes], list[bytes]]
    """What becomes of a datagram that goes one way: none of it, itself, several."""


def untouched(way: Choosy, data: bytes) -> list[bytes]:
    """Everything passes."""
    return [data]


class Choosy(Impairment):
    """One way of a client's link: what a rule makes of each datagram suffers the usual."""

    rule: Rule = staticmethod(untouched)  # type: ignore[assignment]

    def __init__(self, profile: Any, seed: int | str = 0) -> None:
        super().__init__(profile, seed)
        self.is_up = str(seed).endswith("up")
        """From the client to the server."""
        self.added = 0
        """Datagrams that the rule has put in."""

    def datagram(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        made = type(self).rule(self, data)
        self.added += max(0, len(made) - 1)
        return [arrival for each in made for arrival in super(Choosy, self).datagram(each, now)]


def obey(test: SynchronousTestCase, rule: Rule) -> None:
    """For this test, every link obeys *rule*."""
    test.patch(network, "Impairment", Choosy)
    test.patch(Choosy, "rule", staticmethod(rule))

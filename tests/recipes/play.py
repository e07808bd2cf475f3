"""
What every window of the recipes has to go through, whatever engine it is of.

Runs inside the window's own process, a step a frame. The other player, bob, is in this process as
well: a visit without a window, to the same server.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from typing import TYPE_CHECKING, Any, Protocol

from plaza import LEFT, RIGHT, UP
from visit import Visit, client_from

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Wanted = tuple[str, "Callable[[], object]"]
HANGS_SECONDS = 60.0
"""Longer than any play takes on the slowest machine."""
METRES = 2.0
"""How far somebody walks."""
SAME_METRES = 0.01
NOBODY_HEARS = "Nobody hears you: you are not on the plaza."
FRAME_SECONDS = 0.01
"""As no screen slows down a window here."""


class Hands(Protocol):
    """At a window: its keyboard, its close button, and eyes on it."""

    visit: Any

    def hold(self, button: int) -> None:
        """Press the key of a button of the plaza, and keep it down."""

    def release(self, button: int) -> None:
        """Let go of it."""

    def type(self, text: str) -> None:
        """Type a line, and Enter."""

    def close(self) -> None:
        """The window's close button."""

    def somebody_at(self, place: tuple[float, float]) -> bool:
        """Whether one of the others is drawn there."""

    def shows(self, line: str) -> bool:
        """Whether it can be read."""


class Bob:
    """The other player."""

    def __init__(self, address: str) -> None:
        self.visit: Any = Visit(client_from(["bob", address]))
        self.buttons = 0
        self.visit.__enter__()

    @property
    def place(self) -> tuple[float, float]:
        place: tuple[float, float] = self.visit.places["bob"]
        return place


class Play:
    """Takes a plot on by a step a frame.

    :param plot: what is to be done, with what has to be seen before it goes on.
    :param visit: of the window.
    """

    def __init__(self, plot: Iterator[Wanted], visit: Any, bob: Bob | None = None) -> None:
        self._plot = plot
        self._visit = visit
        self._bob = bob
        self._wanted: Wanted | None = ("the beginning", lambda: True)
        self._hangs = time.monotonic() + HANGS_SECONDS

    def step(self) -> None:
        """One frame has been drawn.

        :raises SystemExit: naming what did not happen.
        """
        time.sleep(FRAME_SECONDS)
        if self._bob is not None:
            self._bob.visit.update(self._bob.buttons, time.monotonic())
        while self._wanted is not None and self._wanted[1]():
            self._wanted = next(self._plot, None)
        if self._wanted is not None and time.monotonic() > self._hangs:
            visits = [self._visit, *([self._bob.visit] if self._bob is not None else [])]
            known = [(visit.places, list(visit.lines)) for visit in visits]
            raise SystemExit(f"this did not happen: {self._wanted[0]}; what is known: {known}")


def begin(name: str, hands: Hands, address: str, *arguments: str) -> Play:
    """The play of that name."""
    if name == "together":
        bob = Bob(address)
        return Play(together(hands, bob), hands.visit, bob)
    if name == "alone":
        return Play(alone(hands), hands.visit)
    return Play(frozen(hands, int(arguments[0])), hands.visit)


def together(hands: Hands, bob: Bob) -> Iterator[Wanted]:
    """Two players see each other walk, and talk, until the server ends."""
    ada = hands.visit

    def same(name: str) -> bool:
        return math.dist(ada.places[name], bob.visit.places[name]) < SAME_METRES

    for visit in (ada, bob.visit):
        yield "both are seen", lambda: len(visit.places) == 2  # noqa: B023
    before = bob.place
    yield "bob is drawn", lambda: hands.somebody_at(before)
    bob.buttons = UP | RIGHT
    yield "bob has walked", lambda: math.dist(bob.place, before) > METRES
    bob.buttons = 0
    yield "bob is known where he stands", lambda: same("bob")
    yield "bob is drawn where he stands", lambda: hands.somebody_at(bob.place)
    yield "bob is drawn there only", lambda: not hands.somebody_at(before)
    bob.visit.say("good morning")
    yield "what bob said is shown", lambda: hands.shows("bob: good morning")
    # And back: a key that does not come up again would hold her where she is.
    for button in (RIGHT, LEFT):
        start = ada.places["ada"]
        hands.hold(button)
        yield "ada has walked", lambda: math.dist(bob.visit.places["ada"], start) > METRES  # noqa: B023
        hands.release(button)
        yield "ada is known where she stands", lambda: same("ada")
    hands.type("and a good day")
    yield "what ada said is heard", lambda: "ada: and a good day" in bob.visit.lines
    print("played", flush=True)
    yield "the end of the server is told", lambda: ada.over
    yield "the end can be read", lambda: hands.shows("It is over: the server is shutting down")
    print(json.dumps(list(ada.lines)), flush=True)
    hands.close()


def alone(hands: Hands) -> Iterator[Wanted]:
    """Nobody is at the address; the window says so, and can be closed."""
    yield "it is told", lambda: hands.visit.over
    yield "it can be read", lambda: hands.shows(hands.visit.lines[-1])
    hands.type("hello?")
    yield "so can that nobody hears", lambda: hands.shows(NOBODY_HEARS)
    print(json.dumps(list(hands.visit.lines)), flush=True)
    hands.close()


def frozen(hands: Hands, server: int) -> Iterator[Wanted]:
    """The server stands still, and the window can be closed.

    :param server: the number of its process.
    """
    yield "ada is in", lambda: "ada" in hands.visit.places
    os.kill(server, signal.SIGSTOP)
    print("closing", flush=True)
    hands.close()

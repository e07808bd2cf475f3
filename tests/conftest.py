"""What pytest needs beyond what trial has by itself."""

from __future__ import annotations

import unittest
from typing import TYPE_CHECKING, Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

if TYPE_CHECKING:
    from collections.abc import Iterator

# A connection that a test has just closed needs a few turns of the reactor to be gone.
TURNS_TO_CLOSE = 10


def is_trial_test(item: pytest.Item) -> bool:
    owner = getattr(item, "cls", None)
    return owner is not None and issubclass(owner, unittest.TestCase)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run the TestCase classes first.

    An asynchronous TestCase of trial finds a dirty reactor once pytest-twisted has run any
    function test in the same process. The sort is stable, so a random order stays random on both
    sides of it.
    """
    items.sort(key=lambda item: not is_trial_test(item))


@pytest.fixture(autouse=True)
def clean_reactor(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Fail a function test that leaves a timer or a socket in the reactor.

    trial looks for these after each TestCase; nothing else looks after a function. The reactor is
    running before the first function test, so that none depends on whether another one ran.
    """
    if is_trial_test(request.node):
        yield
        return
    from twisted.internet import reactor

    if not reactor.running:
        pytest_twisted.blockon(next_turn(reactor))
    before = scheduled_in(reactor)
    yield
    left = scheduled_in(reactor) - before
    for _turn in range(TURNS_TO_CLOSE):
        if not left:
            return
        pytest_twisted.blockon(next_turn(reactor))
        left = scheduled_in(reactor) - before
    if left:
        pytest.fail(f"left in the reactor: {sorted(map(repr, left))}", pytrace=False)


def scheduled_in(reactor: Any) -> set[Any]:
    return {*reactor.getDelayedCalls(), *reactor.getReaders(), *reactor.getWriters()}


def next_turn(reactor: Any) -> Deferred[None]:
    turn: Deferred[None] = Deferred()
    reactor.callLater(0, turn.callback, None)
    return turn

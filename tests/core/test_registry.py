"""Who is here: ids never reused, names unique without regard to case, places counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.registry import Registry
from gamenet.errors import RefusalReason
from gamenet.events import Player
from tests.core.pair import Pair

if TYPE_CHECKING:
    from gamenet.core.server_session import ServerSession


def session(registry: Registry, name: str) -> ServerSession:
    """A session as a join would make it."""
    made = Pair().server_session
    made.cid = registry.new_cid()
    made.player = Player(registry.new_player_id(), name, "")
    return made


def from_list(*cids: int):  # type: ignore[no-untyped-def]
    """Random bytes that come from a list."""
    left = list(cids)
    return lambda size: left.pop(0).to_bytes(size, "big")


class RegistryTests(SynchronousTestCase):
    """Single operations."""

    def setUp(self) -> None:
        numbers = iter(range(1, 10_000))
        self.registry = Registry(3, lambda size: next(numbers).to_bytes(size, "big"))

    def join(self, name: str) -> ServerSession:
        made = session(self.registry, name)
        self.registry.add(made)
        return made

    def test_a_session_is_found_by_everything_it_has(self) -> None:
        ada = self.join("Ada")
        self.assertIs(self.registry.by_cid[ada.cid], ada)
        self.assertIs(self.registry.by_player[ada.player.id], ada)
        for name in ("Ada", "ada", "ADA", "\uff21da"):
            self.assertIs(self.registry.holder(name), ada)
        self.assertEqual((len(self.registry), list(self.registry.sessions)), (1, [ada]))

    def test_nothing_is_left_of_one_that_is_removed(self) -> None:
        ada = self.join("Ada")
        self.registry.remove(ada)
        self.registry.remove(ada)
        self.assertEqual(len(self.registry), 0)
        self.assertEqual((self.registry.by_cid, self.registry.by_player), ({}, {}))
        self.assertIs(self.registry.holder("ada"), None)
        self.assertIs(self.registry.admission("ada"), None)

    def test_removing_an_old_session_does_not_free_a_name_that_was_taken_over(self) -> None:
        old = self.join("Ada")
        new = self.join("ada")
        self.registry.remove(old)
        self.assertIs(self.registry.holder("Ada"), new)
        self.assertIs(self.registry.admission("ADA"), RefusalReason.DUPLICATE)

    def test_a_connection_id_in_use_is_not_given_again(self) -> None:
        registry = Registry(3, from_list(5, 5, 5, 6))
        first = session(registry, "a")
        registry.add(first)
        self.assertEqual((first.cid, registry.new_cid()), (5, 6))

    def test_player_ids_are_never_used_twice(self) -> None:
        seen = []
        for number in range(10):
            made = self.join(f"p{number}")
            seen.append(made.player.id)
            self.registry.remove(made)
        self.assertEqual(seen, list(range(1, 11)))

    def test_full_is_full(self) -> None:
        for name in ("a", "b", "c"):
            self.assertIs(self.registry.admission(name), None)
            self.join(name)
        self.assertIs(self.registry.admission("d"), RefusalReason.FULL)
        self.assertIs(self.registry.admission("d", replacing=True), RefusalReason.FULL)

    def test_a_takeover_needs_no_place_of_its_own(self) -> None:
        for name in ("a", "b", "c"):
            self.join(name)
        self.assertIs(self.registry.admission("A"), RefusalReason.DUPLICATE)
        self.assertIs(self.registry.admission("A", replacing=True), None)

    def test_guests_get_free_names(self) -> None:
        self.join("Guest-2")
        names = set()
        for _ in range(2):
            name = self.registry.guest_name()
            self.assertIs(self.registry.admission(name), None)
            self.join(name)
            names.add(name)
        self.assertEqual(len(names), 2)


class RegistryMachine(RuleBasedStateMachine):
    """Joins and leaves, against a plain list of who is in."""

    def __init__(self) -> None:
        super().__init__()
        numbers = iter(range(1, 10_000))
        self.registry = Registry(4, lambda size: next(numbers).to_bytes(size, "big"))
        self.inside: list[ServerSession] = []
        self.ids: list[int] = []

    @rule(name=st.sampled_from(("ada", "ADA", "bob", "Cy", "cy", "dee", "eve", "")))
    def join(self, name: str) -> None:
        name = name or self.registry.guest_name()
        taken = name.lower() in {session.player.name.lower() for session in self.inside}
        wanted = None
        if taken:
            wanted = RefusalReason.DUPLICATE
        elif len(self.inside) >= 4:
            wanted = RefusalReason.FULL
        assert self.registry.admission(name) is wanted
        if wanted is None:
            made = session(self.registry, name)
            self.registry.add(made)
            self.inside.append(made)
            self.ids.append(made.player.id)

    @rule(place=st.integers(0, 9))
    def leave(self, place: int) -> None:
        if self.inside:
            self.registry.remove(self.inside.pop(place % len(self.inside)))

    @invariant()
    def all_tables_tell_the_same(self) -> None:
        assert len(self.registry) == len(self.inside)
        assert set(self.registry.by_cid.values()) == set(self.inside)
        assert set(self.registry.sessions) == set(self.inside)
        assert self.ids == sorted(set(self.ids))
        for made in self.inside:
            assert self.registry.holder(made.player.name.upper()) is made


class MachineTests(SynchronousTestCase):
    """The machine above."""

    def test_any_joins_and_leaves(self) -> None:
        run_state_machine_as_test(
            RegistryMachine, settings=settings(max_examples=50, deadline=None)
        )

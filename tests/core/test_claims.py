"""Who may come back to a session: tokens that are good once, and reasons that are kept a while."""

from __future__ import annotations

import hmac
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import claims as claims_module
from gamenet.core.claims import Claims
from gamenet.errors import DisconnectReason

KICKED = DisconnectReason.KICKED


class Session:
    """What claims know of a session."""

    def __init__(self, number: int = 0) -> None:
        self.session_id = number.to_bytes(16, "big")


def token(number: int) -> bytes:
    return number.to_bytes(32, "big")


class TokenTests(SynchronousTestCase):
    """A token is good for one return; the one before it until the client has shown the next."""

    def setUp(self) -> None:
        self.claims = Claims(10)
        self.session: Any = Session()
        self.claims.offer(self.session, token(1))

    def good(self) -> list[int]:
        """The tokens that open the session."""
        found = []
        for number in range(10):
            claim = self.claims.find(self.session.session_id, token(number), 0.0)
            if claim is not None:
                self.assertIs(claim.session, self.session)
                found.append(number)
        return found

    def test_the_one_of_accept_is_good_at_once(self) -> None:
        self.assertEqual(self.good(), [1])

    def test_it_goes_on_being_good_once_the_client_has_shown_that_it_has_it(self) -> None:
        self.claims.confirm(self.session)
        self.assertEqual(self.good(), [1])

    def test_a_return_brings_a_new_one_and_the_old_one_is_good_until_that_is_confirmed(
        self,
    ) -> None:
        self.claims.confirm(self.session)
        self.claims.offer(self.session, token(2), token(1))
        self.assertEqual(self.good(), [1, 2])
        self.claims.confirm(self.session)
        self.assertEqual(self.good(), [2])

    def test_however_many_answers_are_lost_nobody_is_locked_out(self) -> None:
        self.claims.confirm(self.session)
        for number in range(2, 8):
            # The client never read the one before, and comes back with what it has.
            self.claims.offer(self.session, token(number), token(1))
            self.assertEqual(self.good(), [1, number])
        self.claims.confirm(self.session)
        self.assertEqual(self.good(), [7])

    def test_who_comes_back_with_the_new_one_has_it_though_nothing_confirmed_it(self) -> None:
        self.claims.confirm(self.session)
        self.claims.offer(self.session, token(2), token(1))
        self.claims.offer(self.session, token(3), token(2))
        self.assertEqual(self.good(), [2, 3])

    def test_confirming_twice_changes_nothing(self) -> None:
        for _ in range(3):
            self.claims.confirm(self.session)
            self.assertEqual(self.good(), [1])

    def test_no_token_opens_another_session(self) -> None:
        other: Any = Session(2)
        self.claims.offer(other, token(5))
        self.assertEqual(self.good(), [1])
        self.assertIsNone(self.claims.find(other.session_id, token(1), 0.0))
        self.assertIsNone(self.claims.find(Session(3).session_id, token(1), 0.0))
        claim = self.claims.find(other.session_id, token(5), 0.0)
        assert claim is not None
        self.assertIs(claim.session, other)

    def test_nothing_is_no_token_whatever_is_kept(self) -> None:
        # Of a session that is confirmed, or is not yet, one of two places is empty.
        for _ in range(2):
            for shown in (b"", bytes(32), b"\x00", token(1)[:-1], token(1) + b"\x00"):
                self.assertIsNone(self.claims.find(self.session.session_id, shown, 0.0))
            self.claims.confirm(self.session)

    @settings(max_examples=300)
    @given(st.binary(max_size=64))
    def test_no_other_bytes_are_good(self, shown: bytes) -> None:
        claim = self.claims.find(self.session.session_id, shown, 0.0)
        self.assertEqual(claim is not None, shown == token(1))

    def test_asking_changes_nothing(self) -> None:
        claim = self.claims.find(self.session.session_id, token(1), 0.0)
        before = [getattr(claim, name) for name in claims_module.Claim.__slots__]
        for shown in (token(1), token(2), b""):
            for _ in range(10):
                self.claims.find(self.session.session_id, shown, 1e9)
        self.assertEqual([getattr(claim, name) for name in claims_module.Claim.__slots__], before)

    def test_only_hashes_are_kept_and_they_are_compared_in_constant_time(self) -> None:
        compared: list[tuple[bytes, bytes]] = []

        def compare(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return compare_digest(one, other)

        compare_digest = hmac.compare_digest
        self.patch(claims_module.hmac, "compare_digest", compare)
        self.claims.offer(self.session, token(2), token(1))
        claims = self.claims
        claim = claims.find(self.session.session_id, token(1), 0.0)
        assert claim is not None
        # Both, whichever of them it is.
        self.assertEqual([pair[1] for pair in compared], [claim.current, claim.offered])
        compared.clear()
        self.assertIsNotNone(claims.find(self.session.session_id, token(2), 0.0))
        self.assertIsNone(claims.find(self.session.session_id, token(3), 0.0))
        self.assertEqual(len(compared), 4)
        for number in (1, 2):
            for kept in (claim.current, claim.offered):
                self.assertNotIn(token(number), kept)

    def test_forgotten_is_forgotten(self) -> None:
        self.claims.forget(self.session)
        self.assertEqual((self.good(), len(self.claims)), ([], 0))
        self.claims.forget(self.session)
        self.claims.confirm(self.session)
        self.claims.bury(self.session, KICKED, "", 100.0)
        self.assertEqual(len(self.claims), 0)


class GraveTests(SynchronousTestCase):
    """A session that is over keeps its reason for whoever comes for it, for a while."""

    def buried(self, count: int, most: int = 10) -> tuple[Claims, list[Any]]:
        claims = Claims(most)
        sessions: list[Any] = [Session(number) for number in range(count)]
        for number, session in enumerate(sessions):
            claims.offer(session, token(number))
            claims.confirm(session)
            claims.bury(session, KICKED, f"{number}", 60.0 + number)
        return claims, sessions

    def test_who_has_the_token_learns_the_reason(self) -> None:
        claims, (session,) = self.buried(1)
        for _ in range(2):
            claim = claims.find(session.session_id, token(0), 59.9)
            assert claim is not None
            self.assertEqual((claim.session, claim.reason, claim.text), (None, KICKED, "0"))
        self.assertIsNone(claims.find(session.session_id, token(1), 59.9))

    def test_until_the_time_is_over(self) -> None:
        claims, (session,) = self.buried(1)
        self.assertIsNone(claims.find(session.session_id, token(0), 60.0))
        claims.expire(59.9)
        self.assertEqual(len(claims), 1)
        claims.expire(60.0)
        self.assertEqual(len(claims), 0)

    def test_each_at_its_own_time(self) -> None:
        claims, sessions = self.buried(10)
        for number in range(10):
            claims.expire(60.0 + number)
            left = [claims.find(each.session_id, token(i), 0.0) for i, each in enumerate(sessions)]
            self.assertEqual([one is None for one in left], [i <= number for i in range(10)])

    def test_there_are_never_more_than_allowed_and_the_oldest_give_way(self) -> None:
        claims, sessions = self.buried(1_000)
        self.assertEqual(len(claims), 10)
        for number in range(990, 1_000):
            self.assertIsNotNone(claims.find(sessions[number].session_id, token(number), 0.0))
        self.assertIsNone(claims.find(sessions[989].session_id, token(989), 0.0))

    def test_those_that_live_do_not_count(self) -> None:
        claims, _ = self.buried(10)
        living: list[Any] = [Session(10_000 + number) for number in range(100)]
        for number, session in enumerate(living):
            claims.offer(session, token(number))
        self.assertEqual(len(claims), 110)
        claims.expire(1e9)
        self.assertEqual(len(claims), 100)
        for number, session in enumerate(living):
            self.assertIsNotNone(claims.find(session.session_id, token(number), 1e12))


class ClaimsMachine(RuleBasedStateMachine):
    """A server's claims, and beside them what each client knows."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = Claims(3)
        self.count = 0
        self.session: Any = Session(1)
        self.has = b""
        """What the client has."""
        self.sent = b""
        """What was sent to it last."""
        self.spent: set[bytes] = set()
        """What must not open anything any more."""
        self.join()

    def fresh(self) -> bytes:
        self.count += 1
        return token(self.count)

    @rule()
    def join(self) -> None:
        """Anew, after the session before is over and forgotten."""
        self.claims.forget(self.session)
        self.spent |= {self.has, self.sent}
        self.session = Session(1)
        self.has = self.sent = self.fresh()
        self.claims.offer(self.session, self.sent)

    @rule(reads=st.booleans(), confirms=st.booleans())
    def come_back(self, reads: bool, confirms: bool) -> None:
        """With the newest token that the client has read; it may read the answer or not."""
        assert self.claims.find(self.session.session_id, self.has, 0.0) is not None
        before, self.sent = {self.has, self.sent}, self.fresh()
        self.claims.offer(self.session, self.sent, self.has)
        self.spent |= before - {self.has}
        if reads:
            if confirms:
                self.claims.confirm(self.session)
                self.spent |= {self.has}
            self.has = self.sent

    @precondition(lambda self: self.has == self.sent)
    @rule()
    def confirm(self) -> None:
        self.claims.confirm(self.session)
        self.spent |= {token(number) for number in range(1, self.count)} - {self.has}

    @rule()
    def somebody_else_is_thrown_out(self) -> None:
        self.count += 1
        other: Any = Session(1_000_000 + self.count)
        self.claims.offer(other, token(1_000_000 + self.count))
        self.claims.bury(other, KICKED, "", 10.0)

    @invariant()
    def the_owner_can_always_come_back(self) -> None:
        claim = self.claims.find(self.session.session_id, self.has, 0.0)
        assert claim is not None
        assert claim.session is self.session

    @invariant()
    def nothing_spent_opens_anything(self) -> None:
        for shown in self.spent - {self.has}:
            assert self.claims.find(self.session.session_id, shown, 0.0) is None

    @invariant()
    def memory_is_bounded(self) -> None:
        assert len(self.claims) <= 1 + 3


class MachineTests(SynchronousTestCase):
    """The machine above."""

    def test_no_sequence_of_returns_locks_out_or_lets_in(self) -> None:
        run_state_machine_as_test(
            ClaimsMachine,
            settings=settings(max_examples=200, stateful_step_count=40, deadline=None),
        )

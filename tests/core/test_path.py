"""Binding: an address is believed once a challenge sent there came back from there."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.path import BIND_SECONDS, Address, ClientPath, ServerPath
from gamenet.core.wire import CHALLENGE_BYTES, MAX_BODY_BYTES, PADDING, DatagramKind

if TYPE_CHECKING:
    from gamenet.core.path import Address, Rebind

HOME, AWAY, ELSE = ("192.0.2.1", 4_000), ("198.51.100.7", 5_000), ("2001:db8::1", 6_000, 0, 0)


class Numbered:
    """Random bytes that tests can foretell."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, size: int) -> bytes:
        self.calls += 1
        return self.calls.to_bytes(size, "big")


class ServerPathTests(SynchronousTestCase):
    """The server's side."""

    def setUp(self) -> None:
        self.random = Numbered()
        self.path = ServerPath(self.random)

    def challenge(self, address: tuple[str, int], now: float = 0.0) -> bytes:
        answer = self.path.bind(PADDING, address, True, now)
        assert answer is not None
        kind, body = answer
        self.assertEqual((kind, len(body)), (DatagramKind.CHALLENGE, MAX_BODY_BYTES))
        return body[:CHALLENGE_BYTES]

    def test_nothing_is_believed_before_the_answer(self) -> None:
        self.assertIs(self.path.address, None)
        self.challenge(HOME)
        self.assertIs(self.path.address, None)

    def test_the_echo_from_the_same_address_binds(self) -> None:
        echo = self.challenge(HOME)
        self.assertTrue(self.path.respond(echo, HOME, 0.0))
        self.assertEqual(self.path.address, HOME)

    def test_the_echo_from_another_address_does_not(self) -> None:
        echo = self.challenge(HOME)
        self.assertFalse(self.path.respond(echo, AWAY, 0.0))
        self.assertIs(self.path.address, None)

    def test_a_wrong_or_short_or_empty_echo_does_not(self) -> None:
        echo = self.challenge(HOME)
        for wrong in (b"", bytes(CHALLENGE_BYTES), echo[:-1], echo + b"\x00"):
            self.assertFalse(self.path.respond(wrong, HOME, 0.0))
        self.assertIs(self.path.address, None)

    def test_an_echo_that_nobody_asked_for_does_not(self) -> None:
        self.assertFalse(self.path.respond(b"", HOME, 0.0))
        self.assertFalse(self.path.respond(bytes(CHALLENGE_BYTES), HOME, 0.0))
        self.assertIs(self.path.address, None)

    def test_a_bind_shorter_than_the_answer_stays_unanswered(self) -> None:
        for size in (0, 1, CHALLENGE_BYTES, MAX_BODY_BYTES - 1, MAX_BODY_BYTES + 1):
            self.assertIs(self.path.bind(bytes(size), HOME, True, 0.0), None)
        self.assertEqual(self.random.calls, 0)

    def test_no_answer_is_larger_than_the_question(self) -> None:
        answer = self.path.bind(PADDING, HOME, True, 0.0)
        assert answer is not None
        self.assertLessEqual(len(answer[1]), len(PADDING))

    def test_retries_from_one_address_get_the_same_challenge(self) -> None:
        # Otherwise an answer on its way would be made worthless by the retry behind it.
        self.assertEqual(self.challenge(HOME, 0.0), self.challenge(HOME, 0.25))

    def test_another_address_gets_another_challenge(self) -> None:
        first = self.challenge(HOME)
        second = self.challenge(AWAY)
        self.assertNotEqual(first, second)
        self.assertFalse(self.path.respond(first, AWAY, 0.0))
        self.assertTrue(self.path.respond(second, AWAY, 0.0))

    def test_challenges_are_limited_a_second(self) -> None:
        answers = [self.path.bind(PADDING, HOME, True, number / 100) for number in range(100)]
        self.assertEqual(sum(answer is not None for answer in answers), 3)
        self.assertIsNot(self.path.bind(PADDING, HOME, True, 1.5), None)

    def test_the_limit_holds_for_all_addresses_together(self) -> None:
        answers = [self.path.bind(PADDING, ("192.0.2.1", port), True, 0.0) for port in range(50)]
        self.assertEqual(sum(answer is not None for answer in answers), 3)

    def test_a_bound_address_is_told_so_again(self) -> None:
        self.path.respond(self.challenge(HOME), HOME, 0.0)
        for number in range(10):
            self.assertEqual(
                self.path.bind(PADDING, HOME, True, number / 100), (DatagramKind.BOUND, b"")
            )

    def test_a_repeated_answer_is_no_breach(self) -> None:
        echo = self.challenge(HOME)
        self.path.respond(echo, HOME, 0.0)
        self.assertTrue(self.path.respond(echo, HOME, 0.0))
        self.assertFalse(self.path.respond(echo, AWAY, 0.0))
        self.assertEqual(self.path.address, HOME)

    def test_the_path_moves_only_when_the_new_address_answers(self) -> None:
        self.path.respond(self.challenge(HOME), HOME, 0.0)
        echo = self.challenge(AWAY)
        self.assertEqual(self.path.address, HOME)
        self.assertFalse(self.path.respond(echo, HOME, 0.0))
        self.assertTrue(self.path.respond(echo, AWAY, 0.0))
        self.assertEqual(self.path.address, AWAY)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from((HOME, AWAY, ELSE)),
                st.one_of(st.none(), st.integers(0, 9)),
                st.floats(0, 0.5),
            ),
            max_size=40,
        )
    )
    def test_an_address_in_use_always_answered_a_challenge_sent_to_it(
        self, steps: list[tuple[tuple[str, int], int | None, float]]
    ) -> None:
        path = ServerPath(Numbered())
        sent: dict[bytes, set[object]] = {}
        now = 0.0
        for address, echo, pause in steps:
            now += pause
            if echo is None:
                answer = path.bind(PADDING, address, True, now)
                if answer is not None and answer[0] == DatagramKind.CHALLENGE:
                    sent.setdefault(answer[1][:CHALLENGE_BYTES], set()).add(address)
                continue
            before = path.address
            data = echo.to_bytes(CHALLENGE_BYTES, "big")
            if path.respond(data, address, 0.0) and path.address != before:
                self.assertIn(address, sent[data])
                self.assertEqual(path.address, address)


class MigrationTests(SynchronousTestCase):
    """The server's side once it is bound: which other address it moves to."""

    def bound(self, **limits: Any) -> ServerPath:
        """A path bound to HOME."""
        path = ServerPath(Numbered(), **limits)
        self.move(path, HOME, -100.0)
        return path

    def ask(self, path: ServerPath, address: Address, now: float = 0.0) -> bytes:
        """The challenge that the newest datagram from *address* causes; b"" for none."""
        answer = path.heard(address, now)
        if answer is None:
            return b""
        kind, body = answer
        self.assertEqual((kind, len(body)), (DatagramKind.CHALLENGE, CHALLENGE_BYTES))
        return body

    def move(self, path: ServerPath, address: Address, now: float = 0.0) -> bool:
        """Let a client prove an address; False if it is not asked to."""
        answer = path.bind(PADDING, address, True, now)
        if answer is None or answer[0] == DatagramKind.BOUND:
            return False
        self.assertTrue(path.respond(answer[1][:CHALLENGE_BYTES], address, now))
        self.assertEqual(path.address, address)
        return True

    def test_before_it_is_bound_no_address_is_heard(self) -> None:
        path = ServerPath(Numbered())
        self.assertEqual(self.ask(path, HOME), b"")
        self.assertIs(path.candidate, None)

    def test_the_newest_datagram_makes_a_candidate_that_must_prove_itself(self) -> None:
        path = self.bound()
        challenge = self.ask(path, AWAY)
        self.assertEqual((path.address, path.candidate), (HOME, AWAY))
        self.assertFalse(path.respond(challenge, HOME, 0.0))
        self.assertFalse(path.respond(challenge, ELSE, 0.0))
        self.assertFalse(path.respond(bytes(CHALLENGE_BYTES), AWAY, 0.0))
        self.assertEqual((path.address, path.candidate), (HOME, AWAY))
        self.assertTrue(path.respond(challenge, AWAY, 0.0))
        self.assertEqual((path.address, path.candidate), (AWAY, None))

    def test_a_bind_that_is_not_the_newest_makes_none(self) -> None:
        path = self.bound()
        self.assertIs(path.bind(PADDING, AWAY, False, 0.0), None)
        self.assertIs(path.candidate, None)
        self.assertIsNot(path.bind(PADDING, AWAY, True, 0.0), None)
        self.assertEqual(path.candidate, AWAY)

    def test_before_it_is_bound_any_bind_will_do(self) -> None:
        path = ServerPath(Numbered())
        self.assertIsNot(path.bind(PADDING, HOME, False, 0.0), None)

    def test_the_old_address_cancels_the_candidate(self) -> None:
        path = self.bound()
        challenge = self.ask(path, AWAY)
        self.assertEqual(self.ask(path, HOME), b"")
        self.assertIs(path.candidate, None)
        self.assertFalse(path.respond(challenge, AWAY, 0.0))
        self.assertEqual(path.address, HOME)
        # And later it is asked anew.
        again = self.ask(path, AWAY, 1.0)
        self.assertNotEqual(again, challenge)
        self.assertTrue(path.respond(again, AWAY, 1.0))

    def test_a_newer_candidate_takes_the_place_of_an_older(self) -> None:
        path = self.bound()
        first, second = self.ask(path, AWAY), self.ask(path, ELSE)
        self.assertFalse(path.respond(first, AWAY, 0.0))
        self.assertFalse(path.respond(first, ELSE, 0.0))
        self.assertTrue(path.respond(second, ELSE, 0.0))

    def test_a_candidate_is_asked_the_same_again(self) -> None:
        # An answer to the first question would be worthless otherwise.
        path = self.bound()
        self.assertEqual(self.ask(path, AWAY, 0.0), self.ask(path, AWAY, 0.1))

    def test_challenges_are_limited_a_second_for_all_addresses_together(self) -> None:
        for limit in (1, 3, 7):
            path = self.bound(challenges_per_second=limit)
            times = []
            for step in range(400):
                address = ("203.0.113.1", step % 50)
                if self.ask(path, address, step / 100):
                    times.append(step)
            self.assertEqual(len(times), 4 * limit)
            for start in range(400):
                seen = [time for time in times if start <= time < start + 100]
                self.assertLessEqual(len(seen), limit)

    def test_one_that_is_not_asked_for_the_limit_is_no_candidate(self) -> None:
        path = self.bound(challenges_per_second=1)
        challenge = self.ask(path, AWAY)
        self.assertEqual(self.ask(path, ELSE), b"")
        self.assertEqual(path.candidate, AWAY)
        self.assertTrue(path.respond(challenge, AWAY, 0.0))

    def test_switches_are_limited_a_minute(self) -> None:
        for limit in (1, 2, 10):
            path = self.bound(switches_per_minute=limit)
            moves = [
                step for step in range(300) if self.move(path, ("203.0.113.1", step), float(step))
            ]
            self.assertEqual(moves[:limit], [*range(limit)])
            self.assertEqual(len(moves), 5 * limit)
            for start in range(300):
                seen = [time for time in moves if start <= time < start + 60]
                self.assertLessEqual(len(seen), limit)

    def test_the_first_address_is_no_switch(self) -> None:
        path = ServerPath(Numbered(), switches_per_minute=1)
        self.assertTrue(self.move(path, HOME))
        self.assertTrue(self.move(path, AWAY))
        self.assertFalse(self.move(path, ELSE))

    def test_neither_are_an_answer_again_nor_a_refused_one(self) -> None:
        path = ServerPath(Numbered(), switches_per_minute=1)
        answer = path.bind(PADDING, HOME, True, 0.0)
        assert answer is not None
        for _ in range(5):
            self.assertTrue(path.respond(answer[1][:CHALLENGE_BYTES], HOME, 0.0))
            self.assertFalse(path.respond(bytes(CHALLENGE_BYTES), AWAY, 0.0))
        self.assertTrue(self.move(path, AWAY))

    def test_a_session_that_has_moved_too_often_stays_reachable_where_it_is(self) -> None:
        path = self.bound(switches_per_minute=1)
        self.move(path, AWAY)
        self.assertEqual(self.ask(path, HOME, 30.0), b"")
        self.assertEqual((path.address, path.candidate), (AWAY, None))
        self.assertEqual(path.bind(PADDING, AWAY, True, 30.0), (DatagramKind.BOUND, b""))
        self.assertNotEqual(self.ask(path, HOME, 60.0), b"")

    def test_the_way_home_is_always_open(self) -> None:
        # Somebody who has raced the player for its path must not keep it by using up all moves.
        path = self.bound(switches_per_minute=1, home=HOME[0])
        self.assertTrue(self.move(path, AWAY, 0.0))
        self.assertFalse(self.move(path, ELSE, 1.0))
        self.assertTrue(self.move(path, HOME, 1.0))
        self.assertFalse(self.move(path, ELSE, 2.0))
        self.assertTrue(self.move(path, (HOME[0], 9), 2.0))
        self.assertTrue(self.move(path, HOME, 3.0))
        # To go home is not counted, either.
        self.assertTrue(self.move(path, ELSE, 60.0))
        self.assertFalse(self.move(path, AWAY, 119.0))

    def test_home_is_no_way_around_what_is_not_allowed_at_all(self) -> None:
        for rebind in ("same-ip", "off"):
            path = self.bound(rebind=rebind, home=AWAY[0])
            self.assertEqual(self.ask(path, AWAY), b"")
        path = self.bound(rebind="same-ip", home=HOME[0], switches_per_minute=1)
        for port in range(1, 5):
            self.assertTrue(self.move(path, (HOME[0], port), float(port)))

    def test_same_ip_follows_to_other_ports_only(self) -> None:
        path = self.bound(rebind="same-ip")
        for address in (AWAY, ELSE, ("192.0.2.10", HOME[1])):
            self.assertEqual(self.ask(path, address), b"")
            self.assertIs(path.bind(PADDING, address, True, 0.0), None)
            self.assertIs(path.candidate, None)
        near = (HOME[0], HOME[1] + 1)
        self.assertTrue(path.respond(self.ask(path, near), near, 0.0))
        self.assertEqual(path.address, near)

    def test_off_follows_nowhere(self) -> None:
        path = self.bound(rebind="off")
        for address in (AWAY, ELSE, (HOME[0], HOME[1] + 1)):
            self.assertEqual(self.ask(path, address), b"")
            self.assertIs(path.bind(PADDING, address, True, 0.0), None)
            self.assertFalse(path.respond(b"", address, 0.0))
        self.assertEqual((path.address, path.candidate), (HOME, None))

    def test_off_and_same_ip_bind_to_any_address_at_first(self) -> None:
        for rebind in ("off", "same-ip"):
            path = ServerPath(Numbered(), rebind)
            self.assertIsNot(path.bind(PADDING, AWAY, True, 0.0), None)
            self.assertTrue(self.move(path, ELSE))

    def test_the_answer_that_moved_it_may_come_again_but_no_older_one(self) -> None:
        path = self.bound()
        first = self.ask(path, AWAY)
        self.assertTrue(path.respond(first, AWAY, 0.0))
        self.assertTrue(path.respond(first, AWAY, 0.0))
        back = self.ask(path, HOME)
        self.assertTrue(path.respond(back, HOME, 0.0))
        for old in (first, b"", bytes(CHALLENGE_BYTES)):
            self.assertFalse(path.respond(old, AWAY, 0.0))
            self.assertFalse(path.respond(old, HOME, 0.0))
        self.assertTrue(path.respond(back, HOME, 0.0))

    def test_an_answer_counts_once(self) -> None:
        # Back at the old address, what once proved the new one proves nothing.
        path = self.bound()
        first = self.ask(path, AWAY)
        self.assertTrue(path.respond(first, AWAY, 0.0))
        self.assertTrue(path.respond(self.ask(path, HOME), HOME, 0.0))
        self.assertNotEqual(self.ask(path, AWAY, 5.0), first)
        self.assertFalse(path.respond(first, AWAY, 5.0))

    @given(
        st.sampled_from(("any", "same-ip", "off")),
        st.integers(1, 3),
        st.integers(1, 3),
        st.lists(
            st.tuples(
                st.sampled_from(("heard", "bind", "old bind", "respond", "wrong")),
                st.integers(0, 3),
                st.sampled_from((0.0, 0.1, 0.9, 20.0)),
            ),
            max_size=60,
        ),
    )
    def test_any_sequence_keeps_the_rules(
        self,
        rebind: Rebind,
        challenges: int,
        switches: int,
        steps: list[tuple[str, int, float]],
    ) -> None:
        places: list[Address] = [HOME, (HOME[0], 1), AWAY, ELSE]
        path = ServerPath(Numbered(), rebind, challenges, switches)
        asked: list[tuple[float, Address, bytes]] = []
        moved: list[float] = []
        now = 0.0
        for what, place, pause in steps:
            now += pause
            address, before = places[place], path.address
            answer: tuple[int, bytes] | None = None
            if what == "heard":
                answer = path.heard(address, now)
            elif what in ("bind", "old bind"):
                answer = path.bind(PADDING, address, what == "bind", now)
                if before is not None and address != before and what == "old bind":
                    self.assertIs(answer, None)
            else:
                echo = asked[-1][2] if asked and what == "respond" else bytes(CHALLENGE_BYTES)
                if path.respond(echo, address, now) and path.address != before:
                    self.assertIn((address, echo), [each[1:] for each in asked])
                    if before is not None:
                        self.assertNotEqual(rebind, "off")
                        self.assertTrue(rebind == "any" or address[0] == before[0])
                        moved.append(now)
                    self.assertEqual(path.address, address)
                    continue
            self.assertEqual(path.address, before)
            if answer is not None and answer[0] == DatagramKind.CHALLENGE:
                self.assertEqual(path.candidate, address)
                asked.append((now, address, answer[1][:CHALLENGE_BYTES]))
        for time, _, _ in asked:
            seen = [each for each, _, _ in asked if time <= each < time + 0.999]
            self.assertLessEqual(len(seen), challenges)
        for time in moved:
            seen = [each for each in moved if time <= each < time + 59.999]
            self.assertLessEqual(len(seen), switches)


class ClientPathTests(SynchronousTestCase):
    """The client's side: when it tries."""

    def attempts(self, path: ClientPath, until: float, step: float = 0.01) -> list[float]:
        times = []
        for number in range(round(until / step)):
            now = 50.0 + number * step
            if path.attempt_due(now):
                times.append(round(now - 50.0, 6))
        return times

    def test_the_first_five_then_twice_the_pause_up_to_the_longest(self) -> None:
        times = self.attempts(ClientPath(HOME, 30.0), 150.0)
        self.assertEqual(tuple(times[:5]), BIND_SECONDS)
        pauses = [round(b - a, 2) for a, b in pairwise(times[4:])]
        self.assertEqual(pauses[:6], [2.0, 4.0, 8.0, 16.0, 30.0, 30.0])

    def test_a_shorter_longest_pause_wins(self) -> None:
        times = self.attempts(ClientPath(HOME, 3.0), 20.0)
        pauses = [round(b - a, 2) for a, b in pairwise(times[5:])]
        self.assertEqual(set(pauses), {3.0})

    def test_none_once_bound(self) -> None:
        path = ClientPath(HOME, 30.0)
        self.assertTrue(path.attempt_due(1.0))
        path.bound = True
        self.assertEqual([path.attempt_due(now) for now in (1.5, 5.0, 500.0)], [False] * 3)

    def test_the_next_is_known(self) -> None:
        path = ClientPath(HOME, 30.0)
        for _ in range(30):
            now = path.next_attempt
            self.assertTrue(path.attempt_due(now))
            self.assertGreater(path.next_attempt, now)
            self.assertFalse(path.attempt_due(now))

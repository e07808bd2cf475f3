"""Binding: an address is believed once a challenge sent there came back from there."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.path import BIND_SECONDS, CHALLENGES_PER_SECOND, ClientPath, ServerPath
from gamenet.core.wire import CHALLENGE_BYTES, MAX_BODY_BYTES, PADDING, DatagramKind

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
        answer = self.path.bind(PADDING, address, now)
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
        self.assertTrue(self.path.respond(echo, HOME))
        self.assertEqual(self.path.address, HOME)

    def test_the_echo_from_another_address_does_not(self) -> None:
        echo = self.challenge(HOME)
        self.assertFalse(self.path.respond(echo, AWAY))
        self.assertIs(self.path.address, None)

    def test_a_wrong_or_short_or_empty_echo_does_not(self) -> None:
        echo = self.challenge(HOME)
        for wrong in (b"", bytes(CHALLENGE_BYTES), echo[:-1], echo + b"\x00"):
            self.assertFalse(self.path.respond(wrong, HOME))
        self.assertIs(self.path.address, None)

    def test_an_echo_that_nobody_asked_for_does_not(self) -> None:
        self.assertFalse(self.path.respond(b"", HOME))
        self.assertFalse(self.path.respond(bytes(CHALLENGE_BYTES), HOME))
        self.assertIs(self.path.address, None)

    def test_a_bind_shorter_than_the_answer_stays_unanswered(self) -> None:
        for size in (0, 1, CHALLENGE_BYTES, MAX_BODY_BYTES - 1, MAX_BODY_BYTES + 1):
            self.assertIs(self.path.bind(bytes(size), HOME, 0.0), None)
        self.assertEqual(self.random.calls, 0)

    def test_no_answer_is_larger_than_the_question(self) -> None:
        answer = self.path.bind(PADDING, HOME, 0.0)
        assert answer is not None
        self.assertLessEqual(len(answer[1]), len(PADDING))

    def test_retries_from_one_address_get_the_same_challenge(self) -> None:
        # Otherwise an answer on its way would be made worthless by the retry behind it.
        self.assertEqual(self.challenge(HOME, 0.0), self.challenge(HOME, 0.25))

    def test_another_address_gets_another_challenge(self) -> None:
        first = self.challenge(HOME)
        second = self.challenge(AWAY)
        self.assertNotEqual(first, second)
        self.assertFalse(self.path.respond(first, AWAY))
        self.assertTrue(self.path.respond(second, AWAY))

    def test_challenges_are_limited_a_second(self) -> None:
        answers = [self.path.bind(PADDING, HOME, number / 100) for number in range(100)]
        self.assertEqual(sum(answer is not None for answer in answers), CHALLENGES_PER_SECOND)
        self.assertIsNot(self.path.bind(PADDING, HOME, 1.5), None)

    def test_the_limit_holds_for_all_addresses_together(self) -> None:
        answers = [self.path.bind(PADDING, ("192.0.2.1", port), 0.0) for port in range(50)]
        self.assertEqual(sum(answer is not None for answer in answers), CHALLENGES_PER_SECOND)

    def test_a_bound_address_is_told_so_again(self) -> None:
        self.path.respond(self.challenge(HOME), HOME)
        for number in range(10):
            self.assertEqual(self.path.bind(PADDING, HOME, number / 100), (DatagramKind.BOUND, b""))

    def test_a_repeated_answer_is_no_breach(self) -> None:
        echo = self.challenge(HOME)
        self.path.respond(echo, HOME)
        self.assertTrue(self.path.respond(echo, HOME))
        self.assertFalse(self.path.respond(echo, AWAY))
        self.assertEqual(self.path.address, HOME)

    def test_the_path_moves_only_when_the_new_address_answers(self) -> None:
        self.path.respond(self.challenge(HOME), HOME)
        echo = self.challenge(AWAY)
        self.assertEqual(self.path.address, HOME)
        self.assertFalse(self.path.respond(echo, HOME))
        self.assertTrue(self.path.respond(echo, AWAY))
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
                answer = path.bind(PADDING, address, now)
                if answer is not None and answer[0] == DatagramKind.CHALLENGE:
                    sent.setdefault(answer[1][:CHALLENGE_BYTES], set()).add(address)
                continue
            before = path.address
            data = echo.to_bytes(CHALLENGE_BYTES, "big")
            if path.respond(data, address) and path.address != before:
                self.assertIn(address, sent[data])
                self.assertEqual(path.address, address)


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

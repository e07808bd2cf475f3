"""A client keeps below the datagrams a second that its server allows, and loses nothing by it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.client_session import PACE
from gamenet.core.wire import DatagramKind, MessageType
from gamenet.events import Input, Unreliable
from tests.core.pair import BEAT_SECONDS, PERFECT, SERVER_ADDRESS, Conditions, Pair


class Paced(Pair):
    """A pair that notes when the client sends."""

    def __init__(self, rate: int, seed: int = 0, conditions: Conditions = PERFECT) -> None:
        self.times: list[float] = []
        super().__init__(seed, conditions, limits_of_server={"datagrams_per_second": rate})
        self.rate = rate

    def carry_datagram(self, sender: object, data: bytes, address: object) -> None:
        if sender is self.client:
            self.times.append(self.now)
        super().carry_datagram(sender, data, address)  # type: ignore[arg-type]


class PacingTests(SynchronousTestCase):
    """``ClientSession.datagrams_to_send``."""

    def check_pace(self, pair: Paced, extra: int = 0) -> None:
        """In no time were more datagrams sent than allowed.

        :param extra: of those, datagrams that do not wait: answers and pings.
        """
        times = pair.times
        own = max(1.0, PACE * pair.rate)
        for first in range(len(times)):
            for last in range(first, len(times)):
                seconds = times[last] - times[first]
                count = last - first + 1 - extra
                self.assertLessEqual(count, max(1.0, own / 4) + own * seconds + 1e-6)
                if seconds >= 5.0 and pair.rate > 1:
                    self.assertLessEqual(count, pair.rate * seconds + 1e-6)
        self.assertEqual(pair.server.counters.drop_datagram_rate, 0)

    def test_a_fast_game_is_slowed_to_the_pace_and_no_more(self) -> None:
        for rate in (4, 10, 30, 60):
            pair = Paced(rate)
            pair.bind()
            pair.advance(1.0)
            pair.times.clear()
            for _ in range(120 * 8):
                pair.send_input(1)
                pair.advance(1 / 120)
            self.check_pace(pair)
            self.assertGreater(len(pair.times), 0.8 * PACE * rate * 8, rate)

    def test_a_game_within_it_is_not_slowed_at_all(self) -> None:
        pair = Paced(128)
        pair.bind()
        pair.advance(1.0)
        for _ in range(60 * 10):
            sent = len(pair.times)
            pair.send_input(1)
            self.assertEqual(pair.times[sent:], [pair.now])
            pair.advance(1 / 60)
        self.check_pace(pair)

    def test_inputs_lose_nothing_and_keep_their_order(self) -> None:
        for rate in (1, 3, 10, 60):
            pair = Paced(rate)
            pair.bind()
            for number in range(600):
                pair.send_input(number)
                pair.advance(1 / 60)
            pair.advance(3.0)
            inputs = pair.server.of(Input)
            self.assertEqual([event.number for event in inputs], [*range(1, 601)], rate)
            self.assertEqual([event.buttons for event in inputs], [*range(600)])
            self.check_pace(pair, 2)

    def test_unreliable_messages_wait_together(self) -> None:
        pair = Paced(10)
        pair.bind()
        pair.advance(2.0)
        for number in range(300):
            pair.send_unreliable(pair.client, b"%d" % number)
            pair.advance(0.02)
        pair.advance(1.0)
        heard = [event.payload for event in pair.server.of(Unreliable)]
        self.assertEqual(heard, [b"%d" % number for number in range(300)])
        self.assertEqual(pair.client.counters.drop_send_unreliable, 0)
        self.check_pace(pair, 2)

    def test_what_waits_leaves_with_the_next_beat_after_its_turn_has_come(self) -> None:
        pair = Paced(5)
        pair.bind()
        pair.advance(5.0)
        for _ in range(10):
            pair.send_unreliable(pair.client, b"x")
        sent, began = len(pair.times), pair.now
        pair.send_unreliable(pair.client, b"last")
        self.assertEqual(len(pair.times), sent)
        # A second for all that was spent, TIME included, is more than enough at five a second.
        while len(pair.times) == sent:
            pair.advance(0.01)
        self.assertLessEqual(pair.now - began, 2 / (PACE * 5) + BEAT_SECONDS + 0.011)
        pair.advance(0.1)
        self.assertEqual(pair.server.of(Unreliable)[-1].payload, b"last")

    def test_who_has_waited_falls_silent_again(self) -> None:
        pair = Paced(5)
        pair.bind()
        for _ in range(20):
            pair.send_unreliable(pair.client, b"x")
        pair.advance(10.0)
        self.assertFalse(pair.client_session._held_back)
        sent = len(pair.times)
        pair.advance(4.0)
        self.assertLessEqual(len(pair.times) - sent, 2)

    def test_one_large_flush_is_paid_for_afterwards(self) -> None:
        pair = Paced(20)
        pair.bind()
        pair.advance(5.0)
        sent, began = len(pair.times), pair.now

        def burst() -> None:
            for _ in range(30):
                pair.client_session.queue_unreliable([(MessageType.UNRELIABLE, bytes(1_000))])

        pair.client.run(burst)
        self.assertEqual(len(pair.times) - sent, 30)
        pair.send_unreliable(pair.client, b"later")
        self.assertEqual(len(pair.times) - sent, 30)
        while len(pair.times) - sent == 30:
            pair.advance(0.05)
        self.assertGreaterEqual(pair.now - began, (30 - 20 * PACE / 4) / (20 * PACE))

    def test_answers_do_not_wait(self) -> None:
        pair = Paced(1)
        pair.bind()
        for _ in range(5):
            pair.send_unreliable(pair.client, b"x")
        self.assertGreater(pair.client_session._pace.wait(1, pair.now), 0.5)
        sent = len(pair.kinds_sent(pair.client))
        challenge = pair.sealed(pair.server, DatagramKind.CHALLENGE, bytes(8))
        pair.inject(pair.client, challenge, SERVER_ADDRESS)
        self.assertIn(DatagramKind.RESPONSE, pair.kinds_sent(pair.client)[sent:])

    def test_binding_does_not_wait(self) -> None:
        pair = Paced(1, conditions=Conditions(loss=1.0))
        pair.advance(2.2)
        self.assertEqual(len(pair.times), 5)

    @settings(max_examples=40, deadline=None)
    @given(
        st.integers(1, 150),
        st.sampled_from((0.0, 0.3)),
        st.lists(
            st.tuples(
                st.sampled_from(("input", "unreliable", "state", "many states", "wait")),
                st.integers(1, 15),
                st.sampled_from((0.001, 0.016, 0.1, 1.0)),
            ),
            max_size=25,
        ),
    )
    def test_whatever_the_games_do(
        self, rate: int, loss: float, steps: list[tuple[str, int, float]]
    ) -> None:
        pair = Paced(rate)
        pair.bind()
        pair.conditions = Conditions(loss=loss)
        for what, count, pause in steps:
            for _ in range(count):
                if what == "input":
                    pair.send_input(pair._input_number)
                elif what == "unreliable":
                    pair.send_unreliable(pair.client, b"x")
                elif what == "state":
                    pair.send_state(b"state")
                elif what == "many states":
                    for _ in range(20):
                        pair.deliver(pair.server, (4, b"x"))
                pair.advance(pause)
        # BIND and RESPONSE, a ping after five seconds of silence, and what waited together and is
        # too much for one datagram: 64 unreliable messages and the inputs fill five.
        self.check_pace(pair, 2 + round((pair.now - 1_000.0) / 5) + 4)
        if not loss:
            pair.advance(3.0)
            inputs = pair.server.of(Input)
            self.assertEqual(
                len(inputs) + sum(event.missing for event in inputs), pair._input_number
            )
            self.assertEqual([event.missing for event in inputs], [0] * len(inputs))

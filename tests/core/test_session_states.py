"""States between two sessions: large ones, differences, and what becomes of them on a bad path."""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import MAX_STATE_BYTES, STATE_ACK, MessageType
from tests.core.pair import BAD, PERFECT, Conditions, Pair

BLOCKED = Conditions(loss=1.0)
"""No datagram passes, so all goes inside TCP."""


def worlds(seed: int, size: int, count: int) -> list[bytes]:
    """States of one world in which a hundredth of the bytes changes from each to the next."""
    dice = random.Random(seed)
    world = bytearray(dice.randbytes(size))
    found = []
    for _ in range(count):
        for _ in range(1 + size // 100):
            world[dice.randrange(size)] = dice.randrange(256)
        found.append(bytes(world))
    return found


class StateTests(SynchronousTestCase):
    """From ``put_state`` to the game on the other side."""

    def play(self, pair: Pair, states: list[bytes], seconds: float = 0.05) -> None:
        for state in states:
            pair.send_state(state)
            pair.advance(seconds)
        pair.advance(1.0)
        for state in pair.states:
            self.assertEqual(state.payload, states[state.number - 1])

    def test_over_a_good_path_all_arrive_and_shrink(self) -> None:
        pair = Pair()
        pair.bind()
        self.play(pair, worlds(1, 600, 40))
        self.assertEqual(len(pair.states), 40)
        counts = pair.server.counters
        self.assertEqual((counts.states_sent, counts.state_bytes_full), (40, 24_000))
        self.assertLess(counts.state_bytes_sent, 6_000)

    def test_without_a_game_that_sends_inputs_it_is_the_same(self) -> None:
        # The answer rides on acknowledgements.
        pair = Pair()
        pair.bind()
        self.play(pair, worlds(2, 600, 40), seconds=0.1)
        self.assertLess(pair.server.counters.state_bytes_sent, 6_000)
        self.assertGreater(pair.client.counters.states_received, 38)

    def test_whatever_the_path_does_what_arrives_is_what_was_sent(self) -> None:
        for seed in range(6):
            pair = Pair(seed, Conditions(delay=0.02))
            pair.bind()
            pair.conditions = BAD
            # Slowly: so many losses make the budget small.
            self.play(pair, worlds(seed, 3_000, 60), seconds=0.1)
            self.assertGreater(len(pair.states), 10)
            counts = pair.client.counters
            self.assertEqual(counts.drop_state_baseline, 0)
            self.assertEqual(counts.drop_datagram_malformed, 0)
            self.assertEqual((pair.client.unaccounted(), pair.server.unaccounted()), (0, 0))

    def test_the_largest_goes_in_datagrams_and_inside_tcp(self) -> None:
        for bound in (True, False):
            pair = Pair(3, PERFECT if bound else BLOCKED)
            if bound:
                pair.bind()
            states = [random.Random(n).randbytes(MAX_STATE_BYTES) for n in range(4)]
            self.play(pair, states, seconds=0.5)
            self.assertEqual(len(pair.states), 4)
            self.assertEqual(pair.server_session.tunnelled, not bound)

    def test_inside_tcp_a_large_state_waits_until_all_of_it_has_room(self) -> None:
        pair = Pair(4, BLOCKED, limits_of_server={"send_bytes_per_second": 1 << 20})
        states = [random.Random(n).randbytes(MAX_STATE_BYTES) for n in range(60)]
        self.play(pair, states, seconds=0.02)
        self.assertGreater(len(pair.states), 10)
        self.assertEqual(pair.states[-1].payload, states[-1])
        self.assertEqual(pair.client.counters.drop_state_incomplete, 0)
        self.assertEqual(pair.server.counters.drop_send_tunnel, 0)
        self.assertTrue(pair.server_session.tunnelled)

    def test_it_goes_on_over_another_connection(self) -> None:
        pair = Pair(5)
        pair.bind()
        states = worlds(5, 600, 40)
        for state in states[:20]:
            pair.send_state(state)
            pair.advance(0.05)
        pair.cut()
        pair.resume()
        pair.advance(1.0)
        sent = pair.server.counters.state_bytes_sent
        for state in states[20:]:
            pair.send_state(state)
            pair.advance(0.05)
        pair.advance(1.0)
        self.assertEqual(pair.states[-1].payload, states[-1])
        self.assertLess(pair.server.counters.state_bytes_sent - sent, 6_000)
        self.assertEqual(pair.client.counters.drop_state_baseline, 0)

    def test_an_acknowledgement_of_a_state_never_sent_is_malformed(self) -> None:
        pair = Pair(6)
        pair.bind()
        self.play(pair, worlds(6, 100, 3))
        for payload in (STATE_ACK.pack(4), STATE_ACK.pack(0xFFFFFFFF), b"", bytes(3), bytes(5)):
            before = pair.server.counters.drop_datagram_malformed
            pair.deliver(pair.client, (MessageType.STATE_ACK, payload))
            self.assertEqual(pair.server.counters.drop_datagram_malformed, before + 1)
        self.assertEqual(pair.server_session.states.held, 3)

    def test_states_go_down_only_and_their_acknowledgements_up_only(self) -> None:
        pair = Pair(7)
        pair.bind()
        for sender, receiver, kind, payload in (
            (pair.client, pair.server, MessageType.FRAGMENT, bytes(1_043)),
            (pair.server, pair.client, MessageType.STATE_ACK, STATE_ACK.pack(0)),
        ):
            pair.deliver(sender, (kind, payload))
            self.assertEqual(receiver.counters.drop_datagram_malformed, 1)

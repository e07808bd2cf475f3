"""How the UDP path of a session comes about."""

from __future__ import annotations

from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import CHALLENGE_BYTES, MAX_BODY_BYTES, PADDING, DatagramKind
from gamenet.events import Input, PathChanged, Unreliable
from tests.core.pair import (
    BAD,
    BEAT_SECONDS,
    CLIENT_ADDRESS,
    PERFECT,
    SERVER_ADDRESS,
    STRANGER,
    Conditions,
    Pair,
)


class BindingTests(SynchronousTestCase):
    """The UDP path comes about, and nothing else than a challenge answered makes it."""

    def test_four_datagrams_bind_both_sides(self) -> None:
        pair = Pair()
        pair.advance(0.2)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        self.assertTrue(pair.client_session.path.bound)
        for side in (pair.server, pair.client):
            self.assertEqual(
                [(event.path, event.reason) for event in side.of(PathChanged)], [("udp", "bound")]
            )
        self.assertEqual(
            [kind.name for kind in pair.kinds_sent(pair.client)][:2], ["BIND", "RESPONSE"]
        )
        self.assertEqual(
            [kind.name for kind in pair.kinds_sent(pair.server)][:2], ["CHALLENGE", "BOUND"]
        )

    def test_it_comes_about_through_a_bad_network(self) -> None:
        for seed in range(20):
            pair = Pair(seed, BAD)
            for _ in range(120):
                pair.send_input(1)
                pair.send_state(b"state")
                pair.advance(1 / 60)
            pair.conditions = PERFECT
            pair.advance(5.0)
            self.assertTrue(pair.client_session.path.bound, seed)
            for side in (pair.server, pair.client):
                self.assertEqual([event.reason for event in side.of(PathChanged)], ["bound"])
                self.assertEqual(side.unaccounted(), 0)

    def test_where_nearly_nothing_is_sent_a_bad_network_looks_silent_now_and_then(self) -> None:
        # Of two datagrams in five seconds a third is lost: what is owed an ack may wait for long.
        for seed in range(20):
            pair = Pair(seed, BAD)
            pair.advance(120.0)
            for side in (pair.server, pair.client):
                told = [(event.path, event.reason) for event in side.of(PathChanged)]
                self.assertIn(told[0], [("udp", "bound"), ("tcp", "blocked")])
                for before, after in pairwise(told):
                    self.assertNotEqual(before[0], after[0], "each is news")
                self.assertLessEqual(
                    {reason for _, reason in told[1:]}, {"silent", "bound", "back"}, seed
                )
                self.assertEqual(side.unaccounted(), 0)
                self.assertIs(side.ended, None)
            pair.conditions = PERFECT
            pair.advance(40.0)
            for side in (pair.server, pair.client):
                self.assertEqual(side.of(PathChanged)[-1].path, "udp", seed)
                self.assertFalse(side.session.tunnelled)

    def test_a_client_tries_at_its_times_give_or_take_a_beat(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        times = []
        for step in range(1, 801):
            before = len(pair.wire)
            pair.advance(0.01)
            times += [step / 100] * (len(pair.wire) - before)
        self.assertLessEqual(times[0], BEAT_SECONDS)
        for wanted, sent in zip((0.0, 0.25, 0.5, 1.0, 2.0, 4.0), times, strict=True):
            late = sent - times[0] - wanted
            self.assertTrue(-0.001 <= late <= 2 * BEAT_SECONDS + 0.02, (wanted, times))

    def test_the_address_is_the_one_that_datagrams_come_from(self) -> None:
        pair = Pair()
        pair.client_address = ("203.0.113.9", 61_234)
        pair.advance(0.5)
        self.assertEqual(pair.server_session.path.address, ("203.0.113.9", 61_234))
        self.assertTrue(pair.client_session.path.bound)

    def test_no_messages_are_sent_by_it_before(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        for number in range(30):
            pair.send_input(number)
            pair.send_state(b"state")
            pair.send_unreliable(pair.server, b"x")
            pair.send_unreliable(pair.client, b"x")
            pair.advance(0.1)
        self.assertEqual(set(pair.kinds_sent(pair.client)), {DatagramKind.BIND})
        self.assertEqual(pair.kinds_sent(pair.server), [])
        # They go inside TCP.
        pair.advance(0.1)
        self.assertEqual(len(pair.server.of(Input)), 30)
        self.assertEqual(len(pair.states), 30)
        for side in (pair.server, pair.client):
            self.assertEqual(len(side.of(Unreliable)), 30)

    def test_what_waited_goes_once_it_is_there(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        for side in (pair.server, pair.client):
            side.writable = False
        for number in range(5):
            pair.send_input(number)
            pair.send_state(b"state %d" % number)
        pair.send_unreliable(pair.server, b"down")
        pair.send_unreliable(pair.client, b"up")
        pair.advance(1.0)
        pair.conditions = PERFECT
        pair.advance(2.0)
        self.assertEqual([event.number for event in pair.server.of(Input)], [1, 2, 3, 4, 5])
        self.assertEqual([state.payload for state in pair.states], [b"state 4"])
        self.assertEqual([event.payload for event in pair.client.of(Unreliable)], [b"down"])
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"up"])

    def test_a_lost_bound_is_made_up_for_by_data(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0))
        pair.inject(pair.server, pair.sealed(pair.client, 1, PADDING), CLIENT_ADDRESS)
        challenge = pair.server_session.path._challenge
        pair.inject(pair.server, pair.sealed(pair.client, 3, challenge), CLIENT_ADDRESS)
        self.assertFalse(pair.client_session.path.bound)
        pair.conditions = PERFECT
        pair.send_state(b"state")
        pair.advance(0.03)
        # Not a BIND, which would do it too.
        self.assertEqual(pair.kinds_sent(pair.client), [DatagramKind.DATA])
        self.assertTrue(pair.client_session.path.bound)
        self.assertEqual(len(pair.client.of(PathChanged)), 1)

    def test_an_authentic_bind_from_elsewhere_moves_nothing_by_itself(self) -> None:
        # Somebody on the path took a BIND of the client and sent it from another address.
        pair = Pair()
        pair.bind()
        stolen = pair.sealed(pair.client, 1, PADDING)
        pair.inject(pair.server, stolen, STRANGER)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        data, address = pair.strays[-1]
        self.assertEqual((data[0] & 0x0F, address), (DatagramKind.CHALLENGE, STRANGER))
        self.assertLessEqual(len(data), len(stolen))
        pair.send_state(b"state")
        self.assertEqual(pair.wire[-1][2], CLIENT_ADDRESS)

    def test_control_datagrams_that_do_not_fit_are_counted(self) -> None:
        pair = Pair()
        pair.bind()
        before = pair.server.counters.drop_datagram_unexpected
        wrong = [
            (DatagramKind.BIND, b""),
            (DatagramKind.BIND, bytes(MAX_BODY_BYTES - 1)),
            (DatagramKind.CHALLENGE, PADDING),
            (DatagramKind.RESPONSE, b""),
            (DatagramKind.RESPONSE, bytes(CHALLENGE_BYTES + 1)),
            (DatagramKind.BOUND, b""),
            (DatagramKind.PING, b""),
            (DatagramKind.PING, b"12345"),
            (DatagramKind.PONG, b"1234"),
            (0, b""),
            *[(kind, b"x") for kind in range(8, 16)],
        ]
        sent = len(pair.wire)
        for kind, data in wrong:
            pair.inject(pair.server, pair.sealed(pair.client, kind, data), STRANGER)
        self.assertEqual(pair.server.counters.drop_datagram_unexpected - before, len(wrong))
        self.assertEqual(len(pair.wire), sent)

    def test_control_datagrams_that_do_not_fit_are_counted_by_the_client_too(self) -> None:
        wrong = [
            (DatagramKind.BIND, PADDING),
            (DatagramKind.CHALLENGE, b""),
            (DatagramKind.CHALLENGE, bytes(CHALLENGE_BYTES - 1)),
            (DatagramKind.RESPONSE, bytes(CHALLENGE_BYTES)),
            (DatagramKind.BOUND, b"x"),
            (DatagramKind.PING, b"1234"),
            (DatagramKind.PONG, b""),
            (DatagramKind.PONG, b"12345"),
            (0, b""),
            *[(kind, b"x") for kind in range(8, 16)],
        ]
        pair = Pair(conditions=Conditions(loss=1.0))
        for count, (kind, data) in enumerate(wrong, 1):
            pair.inject(pair.client, pair.sealed(pair.server, kind, data), SERVER_ADDRESS)
            self.assertEqual(pair.client.counters.drop_datagram_unexpected, count, kind)
        self.assertFalse(pair.client_session.path.bound)
        self.assertEqual(pair.wire, [])
        pair.inject(pair.client, pair.sealed(pair.server, DatagramKind.PONG, b"1234"))
        pair.inject(pair.client, pair.sealed(pair.server, DatagramKind.BOUND, b""))
        self.assertTrue(pair.client_session.path.bound)
        self.assertEqual(pair.client.counters.datagrams_delivered, 2)

    def test_only_the_bound_address_gets_a_pong(self) -> None:
        pair = Pair()
        pair.bind()
        for address, answer in (
            (STRANGER, DatagramKind.CHALLENGE),
            (CLIENT_ADDRESS, DatagramKind.PONG),
        ):
            sent = len(pair.wire)
            pair.inject(pair.server, pair.sealed(pair.client, 6, b"1234"), address)
            ((_, data, target),) = pair.wire[sent:]
            self.assertEqual((data[0] & 0x0F, target), (answer, address))

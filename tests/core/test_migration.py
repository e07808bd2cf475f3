"""A client whose address changes in the middle of a game, and somebody who would like to be it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import HEADER, PADDING, DatagramKind
from gamenet.events import Input, PathChanged, Unreliable
from tests.core.pair import (
    CLIENT_ADDRESS,
    PERFECT,
    SERVER_ADDRESS,
    STRANGER,
    Conditions,
    Pair,
)

if TYPE_CHECKING:
    from gamenet.core.path import Address
    from tests.core.pair import Side

ELSEWHERE: Address = ("198.51.100.99", 41_000)
OTHER_PORT: Address = (CLIENT_ADDRESS[0], 41_000)


class MigrationTests(SynchronousTestCase):
    """The path follows, once the new address has proved itself."""

    def pair(self, seed: int = 0, conditions: Conditions = PERFECT, **limits: Any) -> Pair:
        pair = Pair(seed, conditions, limits_of_server=limits)
        pair.bind()
        pair.advance(1.0)
        return pair

    def play(self, pair: Pair, seconds: float) -> None:
        """Both games talk."""
        for _ in range(round(seconds * 50)):
            pair.send_input(pair._input_number & 7)
            pair.send_state(b"state")
            pair.advance(0.02)

    def told(self, side: Side) -> list[str]:
        return [event.reason for event in side.of(PathChanged)]

    def assertMoved(self, pair: Pair, times: int, address: Address) -> None:
        self.assertEqual(pair.server_session.path.address, address)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), ["bound", *["moved"] * times], side.name)
            self.assertEqual(side.counters.path_switches, times)
            self.assertEqual(side.unaccounted(), 0)

    def sent_to(self, pair: Pair, since: int) -> list[tuple[DatagramKind, Address]]:
        """What the server sent, and where to."""
        return [
            (DatagramKind(data[0] & 0x0F), address)
            for side, data, address in pair.wire[since:]
            if side is pair.server
        ]

    def test_a_new_address_is_followed_in_a_round_trip(self) -> None:
        for address in (ELSEWHERE, OTHER_PORT):
            pair = self.pair()
            self.play(pair, 1.0)
            pair.client_address = address
            self.play(pair, 0.1)
            self.assertMoved(pair, 1, address)
            self.assertEqual(pair.server.counters.path_challenges, 2)
            pair.advance(0.1)
            inputs = pair.server.of(Input)
            self.assertEqual([event.number for event in inputs], [*range(1, 56)])
            states = len(pair.states)
            self.play(pair, 1.0)
            pair.advance(0.1)
            self.assertEqual(len(pair.states), states + 50)

    def test_until_then_everything_but_the_challenge_goes_to_the_old_one(self) -> None:
        pair = self.pair()
        self.play(pair, 1.0)
        pair.client_address = ELSEWHERE
        pair.send_input(1)
        pair.advance(0.0201)
        sent = len(pair.wire)
        pair.send_state(b"state")
        pair.send_input(1)
        pair.advance(0.0201)
        pair.send_state(b"state")
        self.assertEqual(
            set(self.sent_to(pair, sent)),
            {(DatagramKind.DATA, CLIENT_ADDRESS), (DatagramKind.CHALLENGE, ELSEWHERE)},
        )
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        pair.advance(0.0201)
        self.assertEqual(pair.server_session.path.address, ELSEWHERE)
        self.assertEqual((self.told(pair.server)[1:], self.told(pair.client)[1:]), (["moved"], []))
        sent = len(pair.wire)
        pair.send_state(b"state")
        self.assertEqual(self.sent_to(pair, sent), [(DatagramKind.DATA, ELSEWHERE)])

    def test_the_challenge_of_a_new_address_is_small(self) -> None:
        pair = self.pair()
        pair.client_address = ELSEWHERE
        pair.send_input(1)
        pair.advance(0.03)
        (challenge,) = [
            data
            for side, data, address in pair.wire
            if side is pair.server and address == ELSEWHERE
        ]
        self.assertEqual(len(challenge), 25 + 8)

    def test_a_client_that_only_pings_is_followed_too(self) -> None:
        pair = self.pair()
        pair.client_address = ELSEWHERE
        pair.advance(6.5)
        self.assertMoved(pair, 1, ELSEWHERE)

    def test_one_that_binds_again_is_followed_too(self) -> None:
        # It has not heard that it is bound.
        pair = Pair()
        original = pair.client.datagram_came
        self.patch(
            pair.client,
            "datagram_came",
            lambda data, address: (
                original(data, address) if data[0] & 0x0F == DatagramKind.CHALLENGE else None
            ),
        )
        pair.advance(0.2)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        self.assertFalse(pair.client_session.path.bound)
        self.patch(pair.client, "datagram_came", original)
        pair.client_address = ELSEWHERE
        pair.advance(2.0)
        self.assertEqual(pair.server_session.path.address, ELSEWHERE)
        self.assertEqual(self.told(pair.server), ["bound", "moved"])
        self.assertEqual(self.told(pair.client), ["bound"])

    def test_the_first_binding_told_twice_is_no_move(self) -> None:
        # A challenge or the word that the path is bound, late or doubled by the network.
        for padded in (True, False):
            pair = Pair()
            if padded:
                pair.bind()
            pair.inject(pair.server, pair.sealed(pair.client, DatagramKind.BIND, PADDING))
            path = pair.server_session.path
            body = path._proof or path._challenge
            if padded:
                body += PADDING[len(body) :]
            challenge = pair.sealed(pair.server, DatagramKind.CHALLENGE, body)
            pair.inject(pair.client, challenge, SERVER_ADDRESS)
            pair.advance(0.5)
            for _ in range(2):
                word = pair.sealed(pair.server, DatagramKind.BOUND, b"")
                pair.inject(pair.client, word, SERVER_ADDRESS)
            self.assertEqual(self.told(pair.client), ["bound"], padded)

    def test_many_challenges_at_once_get_one_answer_and_cost_nothing_else(self) -> None:
        pair = self.pair()
        sent = len(pair.wire)
        session = pair.client_session

        def turn() -> None:
            session._control.append((DatagramKind.PING, b"1234", SERVER_ADDRESS))
            for number in range(5):
                body = number.to_bytes(8, "big")
                data = pair.sealed(pair.server, DatagramKind.CHALLENGE, body)
                first, _, low = HEADER.unpack_from(data)
                session.receive_datagram(data, SERVER_ADDRESS, pair.now, first, low)

        pair.client.run(turn)
        kinds = [data[0] & 0x0F for side, data, _ in pair.wire[sent:] if side is pair.client]
        self.assertEqual(kinds.count(DatagramKind.RESPONSE), 1)
        self.assertEqual(kinds.count(DatagramKind.PING), 1)

    def test_only_the_newest_datagram_speaks_for_an_address(self) -> None:
        pair = self.pair()
        late = [
            pair.sealed(pair.client, kind, body)
            for kind, body in (
                (DatagramKind.DATA, pair.body(pair.client, (4, b"late"))),
                (DatagramKind.PING, b"1234"),
                (DatagramKind.BIND, PADDING),
            )
        ]
        pair.send_input(1)
        pair.advance(0.1)
        sent = len(pair.wire)
        for data in late:
            pair.inject(pair.server, data, ELSEWHERE)
        self.assertEqual([address for _, address in self.sent_to(pair, sent)], [])
        self.assertIs(pair.server_session.path.candidate, None)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"late"])

    def test_late_datagrams_from_the_old_address_do_not_call_it_back(self) -> None:
        pair = self.pair()
        late = [pair.sealed(pair.client, DatagramKind.DATA, pair.body(pair.client, (4, b"late")))]
        pair.client_address = ELSEWHERE
        self.play(pair, 0.2)
        for data in late:
            pair.inject(pair.server, data, CLIENT_ADDRESS)
        self.play(pair, 0.2)
        self.assertMoved(pair, 1, ELSEWHERE)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"late"])

    def test_back_and_forth(self) -> None:
        pair = self.pair()
        for number in range(1, 9):
            pair.client_address = ELSEWHERE if number % 2 else CLIENT_ADDRESS
            self.play(pair, 1.0)
            self.assertMoved(pair, number, pair.client_address)

    def test_no_more_than_ten_times_a_minute(self) -> None:
        pair = self.pair()
        began = pair.now
        for number in range(12):
            pair.client_address = ("198.51.100.99", 42_000 + number)
            self.play(pair, 2.0)
        self.assertEqual(pair.server_session.path.address, ("198.51.100.99", 42_009))
        # What the server sends goes nowhere now, so it goes inside TCP.
        self.assertEqual(self.told(pair.server), ["bound", *["moved"] * 10, "silent"])
        self.assertIs(pair.server.ended, None)
        # It tries every 30 s at last.
        self.play(pair, began + 61.0 + 31.0 - pair.now)
        self.assertEqual(pair.server_session.path.address, ("198.51.100.99", 42_011))
        self.assertEqual(pair.server.counters.path_switches, 11)
        self.assertFalse(pair.server_session.tunnelled or pair.client_session.tunnelled)

    def test_what_the_old_path_was_like_is_forgotten_by_both(self) -> None:
        pair = self.pair(4, Conditions(loss=0.4, delay=0.3))
        self.play(pair, 20.0)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            self.assertGreater(quality.estimator.rtt, 0.5)
            self.assertGreater(min(quality.loss_in, quality.loss_out), 0.1)
        pair.conditions = Conditions(delay=0.01)
        pair.advance(2.0)
        pair.client_address = ELSEWHERE
        self.play(pair, 0.06)
        self.assertMoved(pair, 1, ELSEWHERE)
        pair.advance(0.5)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            self.assertEqual((quality.loss_in, quality.loss_out), (0.0, 0.0), side.name)
            self.assertLess(quality.estimator.rtt, 0.15)
        self.play(pair, 5.0)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            self.assertEqual((quality.loss_in, quality.loss_out), (0.0, 0.0), side.name)
            self.assertLess(quality.estimator.rtt_min, 0.05)
        self.assertLess(pair.client_session.quality.estimator.rtt, 0.021)

    def test_losses_of_the_new_path_count(self) -> None:
        pair = self.pair()
        self.play(pair, 2.0)
        pair.client_address = ELSEWHERE
        self.play(pair, 0.2)
        self.assertMoved(pair, 1, ELSEWHERE)
        pair.conditions = Conditions(loss=0.3)
        self.play(pair, 20.0)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            self.assertApproximates(quality.loss_in, 0.3, 0.12)
            self.assertApproximates(quality.loss_out, 0.3, 0.12)

    def test_same_ip(self) -> None:
        pair = self.pair(rebind="same-ip")
        pair.client_address = ELSEWHERE
        self.play(pair, 2.0)
        self.assertMoved(pair, 0, CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.path_challenges, 0)
        pair.client_address = OTHER_PORT
        self.play(pair, 2.0)
        self.assertMoved(pair, 1, OTHER_PORT)

    def test_off(self) -> None:
        pair = self.pair(rebind="off")
        for address in (ELSEWHERE, OTHER_PORT):
            pair.client_address = address
            self.play(pair, 2.0)
            pair.advance(8.0)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.path_switches, 0)
        # What goes to the old address arrives nowhere, so both go on inside TCP.
        self.assertEqual(self.told(pair.server)[:2], ["bound", "silent"])
        self.assertTrue(pair.client_session.tunnelled)
        self.assertEqual(pair.server.counters.path_challenges, 0)
        self.assertTrue(all(address == CLIENT_ADDRESS for _, address in self.sent_to(pair, 0)))
        # What comes from there is authentic all the same.
        self.assertEqual(len(pair.server.of(Input)), 200)

    def test_a_server_that_answers_from_another_address_is_heard(self) -> None:
        pair = self.pair()
        sent = len(pair.wire)
        body = pair.body(pair.server, (4, b"x"))
        data = pair.sealed(pair.server, DatagramKind.DATA, body)
        pair.inject(pair.client, data, ("192.0.2.2", 9_999))
        self.assertEqual([event.payload for event in pair.client.of(Unreliable)], [b"x"])
        pair.send_input(1)
        self.assertEqual({address for _, _, address in pair.wire[sent:]}, {SERVER_ADDRESS})
        self.assertEqual(self.told(pair.client), ["bound"])


class RaceTests(SynchronousTestCase):
    """Somebody on the way copies what the client sends and is faster."""

    def race(self, pair: Pair, seconds: float) -> None:
        for _ in range(round(seconds * 50)):
            sent = len(pair.wire)
            pair.send_input(3)
            for side, data, _ in pair.wire[sent:]:
                if side is pair.client:
                    pair.inject(pair.server, data, STRANGER)
            pair.send_state(b"state")
            pair.advance(0.02)

    def test_gets_a_few_challenges_and_nothing_else(self) -> None:
        pair = Pair()
        pair.bind()
        self.race(pair, 10.0)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        kinds = [data[0] & 0x0F for data, address in pair.strays if address == STRANGER]
        self.assertEqual(set(kinds), {int(DatagramKind.CHALLENGE)})
        self.assertLessEqual(len(kinds), 3 * 11)
        self.assertGreater(len(kinds), 20)
        self.assertEqual(pair.server.counters.path_challenges, len(kinds))
        pair.advance(0.1)
        self.assertEqual(len(pair.states), 500)
        self.assertEqual(len(pair.server.of(Input)), 500)
        for side in (pair.server, pair.client):
            self.assertEqual([event.reason for event in side.of(PathChanged)], ["bound"])

    def test_is_forgotten_with_the_next_datagram_of_the_client(self) -> None:
        for stolen_kind in (DatagramKind.DATA, DatagramKind.BIND, DatagramKind.PING):
            for kind in (DatagramKind.DATA, DatagramKind.PING):
                pair = Pair()
                pair.bind()
                pair.send_input(1)
                pair.advance(0.1)
                bodies = {
                    DatagramKind.DATA: pair.body(pair.client, (4, b"x")),
                    DatagramKind.BIND: PADDING,
                    DatagramKind.PING: b"1234",
                }
                stolen = pair.sealed(pair.client, stolen_kind, bodies[stolen_kind])
                pair.inject(pair.server, stolen, STRANGER)
                self.assertEqual(pair.server_session.path.candidate, STRANGER)
                data = pair.sealed(pair.client, kind, bodies[kind])
                pair.inject(pair.server, data, CLIENT_ADDRESS)
                self.assertIs(pair.server_session.path.candidate, None, (stolen_kind, kind))

    def test_does_not_keep_the_client_from_moving(self) -> None:
        pair = Pair()
        pair.bind()
        self.race(pair, 2.0)
        pair.client_address = ELSEWHERE
        pair.advance(1.0)
        for _ in range(100):
            pair.send_input(3)
            pair.advance(0.02)
        self.assertEqual(pair.server_session.path.address, ELSEWHERE)

    def test_a_stolen_answer_from_elsewhere_proves_nothing(self) -> None:
        pair = Pair()
        pair.bind()
        pair.client_address = ELSEWHERE
        pair.send_input(1)
        pair.advance(0.03)
        original = pair.carry_datagram
        stolen = []
        self.patch(
            pair, "carry_datagram", lambda sender, data, address: stolen.append((sender, data))
        )
        pair.advance(0.02)
        self.patch(pair, "carry_datagram", original)
        (answer,) = [
            data
            for sender, data in stolen
            if sender is pair.client and data[0] & 0x0F == DatagramKind.RESPONSE
        ]
        before = pair.server.counters.drop_datagram_unexpected
        pair.inject(pair.server, answer, STRANGER)
        self.assertEqual(pair.server.counters.drop_datagram_unexpected, before + 1)
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)

    def test_a_challenge_passed_on_to_the_client_moves_nothing(self) -> None:
        pair = Pair()
        pair.bind()
        stolen = pair.sealed(pair.client, DatagramKind.DATA, pair.body(pair.client, (4, b"x")))
        pair.inject(pair.server, stolen, STRANGER)
        ((challenge, address),) = pair.strays
        self.assertEqual(address, STRANGER)
        pair.inject(pair.client, challenge, SERVER_ADDRESS)
        pair.advance(1.0)
        self.assertIn(DatagramKind.RESPONSE, pair.kinds_sent(pair.client)[2:])
        self.assertEqual(pair.server_session.path.address, CLIENT_ADDRESS)
        for side in (pair.server, pair.client):
            self.assertEqual([event.reason for event in side.of(PathChanged)], ["bound"])

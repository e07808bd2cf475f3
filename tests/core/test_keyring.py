"""New keys in the middle of a game: who seals and opens with which, and that nothing is lost."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames, record
from gamenet.core.frames import Kind
from gamenet.core.keyring import OLD_KEYS_SECONDS, Keyring
from gamenet.core.quality import ROLL_SECONDS
from gamenet.core.record import Forged, Opener, Schedule
from gamenet.core.wire import HEADER, PADDING, DatagramKind
from gamenet.errors import DisconnectReason, RemoteProtocolError
from gamenet.events import Input, Unreliable
from tests.core.pair import (
    BAD,
    BEAT_SECONDS,
    CLIENT_ADDRESS,
    PERFECT,
    SERVER_ADDRESS,
    Conditions,
    Pair,
)
from tests.core.terms import accept

if TYPE_CHECKING:
    from tests.core.pair import Side

CID = 0xC0FFEE11
NEVER = 1e9
SALT = bytes(range(32))
NOTHING = Conditions(loss=1.0)
LATE = ROLL_SECONDS + BEAT_SECONDS
"""How much later than due a session may look at the time."""


def rings(now: float = 0.0) -> tuple[Keyring, Keyring]:
    """A server's and a client's."""
    server, client = (
        Keyring(Schedule(accept()), CID, is_server=is_server, now=now)
        for is_server in (True, False)
    )
    return server, client


def epoch_bits(data: bytes) -> int:
    return data[0] >> 4 & 3


class RingTests(SynchronousTestCase):
    """``Keyring`` by itself."""

    def setUp(self) -> None:
        self.server, self.client = rings()

    def assertOpens(self, opener: Opener | None, sealer: record.Sealer) -> None:
        assert opener is not None
        data = sealer.seal(DatagramKind.DATA, b"body")
        self.assertEqual(opener.open(sealer.number - 1, data), b"body")
        self.assertEqual(opener.epoch_bits >> 4, epoch_bits(data))

    def assertDoesNotOpen(self, opener: Opener, sealer: record.Sealer) -> None:
        data = sealer.seal(DatagramKind.DATA, b"body")
        self.assertRaises(Forged, opener.open, sealer.number - 1, data)

    def change(self, salt: bytes = SALT) -> None:
        """A whole change of keys, one minute long."""
        server, client = self.server, self.client
        epoch = server.propose(salt)
        client.follow(epoch, salt, server.sealer.number - 1, 0.0)
        server.came(client.sealer.number - 1, 0.0)
        client.came(server.sealer.number - 1, 0.0)
        server.answered(epoch)
        for ring in (server, client):
            ring.expire(60.0)

    def test_each_opens_what_the_other_seals(self) -> None:
        self.assertOpens(self.server.opener, self.client.sealer)
        self.assertOpens(self.client.opener, self.server.sealer)
        self.assertDoesNotOpen(self.server.opener, self.server.sealer)

    def test_due_by_the_count_of_either_direction_and_not_one_before(self) -> None:
        server = self.server
        self.assertFalse(server.is_due(8, 0.0, 10, NEVER))
        self.assertTrue(server.is_due(9, 0.0, 10, NEVER))
        for _ in range(9):
            server.sealer.seal(5, b"")
        self.assertFalse(server.is_due(-1, 0.0, 10, NEVER))
        server.sealer.seal(5, b"")
        self.assertTrue(server.is_due(-1, 0.0, 10, NEVER))

    def test_due_by_age_only_if_the_keys_did_anything(self) -> None:
        server = self.server
        self.assertFalse(server.is_due(0, 59.9, 100, 60.0))
        self.assertTrue(server.is_due(0, 60.0, 100, 60.0))
        self.assertFalse(server.is_due(-1, 60.0, 100, 60.0))
        server.sealer.seal(5, b"")
        self.assertTrue(server.is_due(-1, 60.0, 100, 60.0))

    def test_counts_and_age_begin_anew_with_the_new_keys(self) -> None:
        server, client = self.server, self.client
        for _ in range(10):
            server.sealer.seal(5, b"")
        client.follow(server.propose(SALT), SALT, -1, 100.0)
        server.answered(1)
        server.came(19, 100.0)
        server.expire(110.0)
        self.assertFalse(server.is_due(28, 159.9, 10, 60.0))
        self.assertTrue(server.is_due(29, 159.9, 10, 60.0))
        self.assertFalse(server.is_due(19, 160.0, 10, 60.0))
        self.assertTrue(server.is_due(20, 160.0, 10, 60.0))
        self.assertFalse(server.is_due(20, 159.9, 10, 60.0))
        for _ in range(10):
            self.assertFalse(server.is_due(19, 110.0, 10, NEVER))
            server.sealer.seal(5, b"")
        self.assertTrue(server.is_due(19, 110.0, 10, NEVER))

    def test_one_at_a_time(self) -> None:
        server, client = self.server, self.client
        self.assertTrue(server.is_due(100, 0.0, 10, 1.0))
        client.follow(server.propose(SALT), SALT, -1, 0.0)
        self.assertFalse(server.is_due(100, NEVER, 10, 1.0))
        server.answered(1)
        self.assertFalse(server.is_due(100, NEVER, 10, 1.0))
        server.came(100, 50.0)
        self.assertFalse(server.is_due(1_000, NEVER, 10, 1.0))
        server.expire(50.0 + OLD_KEYS_SECONDS - 0.001)
        self.assertFalse(server.is_due(1_000, NEVER, 10, 1.0))
        server.expire(50.0 + OLD_KEYS_SECONDS)
        self.assertTrue(server.is_due(1_000, NEVER, 10, 1.0))

    def test_the_server_opens_both_and_seals_in_the_old_until_it_is_answered(self) -> None:
        server, client = self.server, self.client
        self.assertEqual(server.propose(SALT), 1)
        self.assertEqual(server.epoch, 1)
        self.assertOpens(client.opener, server.sealer)
        self.assertOpens(server.opener, client.sealer)
        client.follow(1, SALT, -1, 0.0)
        self.assertOpens(server.other, client.sealer)
        self.assertDoesNotOpen(server.opener, client.sealer)
        # Not answered yet, so the server's are still of the old epoch.
        self.assertOpens(client.opener, server.sealer)
        server.answered(1)
        self.assertOpens(client.other, server.sealer)
        self.assertDoesNotOpen(client.opener, server.sealer)

    def test_the_first_datagram_of_the_new_epoch_is_an_answer_too(self) -> None:
        server, client = self.server, self.client
        client.follow(server.propose(SALT), SALT, -1, 0.0)
        server.came(-1, 0.0)
        self.assertOpens(client.other, server.sealer)
        server.answered(1)
        self.assertOpens(client.other, server.sealer)

    def test_the_old_keys_live_ten_seconds_after_the_first_new_datagram(self) -> None:
        self.assertEqual(OLD_KEYS_SECONDS, 10.0)
        server, client = self.server, self.client
        late = client.sealer.seal(5, b"late")
        client.follow(server.propose(SALT), SALT, -1, 0.0)
        for ring in (server, client):
            ring.expire(NEVER)  # what is new does not grow old
            assert ring.other is not None
            ring.came(5, 100.0)
            ring.expire(109.999)
            self.assertIsNot(ring.other, None)
        assert server.other is not None
        self.assertEqual(server.other.open(0, late), b"late")
        for ring in (server, client):
            ring.expire(110.0)
            self.assertIs(ring.other, None)
            self.assertEqual(ring.other_until, 0.0)

    def test_a_client_takes_no_other_epoch_than_the_next(self) -> None:
        for before in range(3):
            for wrong in {0, 1, 2, 3, 4, 5, 0xFFFFFFFF} - {before + 1}:
                number = self.client.sealer.number
                self.assertRaises(
                    RemoteProtocolError, self.client.follow, wrong, bytes(32), -1, 0.0
                )
                self.assertEqual((self.client.epoch, self.client.sealer.number), (before, number))
                self.assertOpens(self.server.opener, self.client.sealer)
            self.change()

    def test_a_server_takes_no_answer_that_it_did_not_ask_for(self) -> None:
        for before in range(3):
            for wrong in {0, 1, 2, 3, 4, 5, 0xFFFFFFFF} - ({before} if before else set()):
                self.assertRaises(RemoteProtocolError, self.server.answered, wrong)
                self.assertOpens(self.client.opener, self.server.sealer)
            self.change()

    def test_a_client_that_heard_nothing_new_follows_on(self) -> None:
        # The server goes on only once it has heard the client; that the client heard nothing in
        # the epoch between was the network's doing.
        server, client = self.server, self.client
        client.follow(server.propose(SALT), SALT, -1, 0.0)
        server.came(0, 0.0)
        between = server.sealer.seal(5, b"between")
        server.expire(10.0)
        client.follow(server.propose(bytes(32)), bytes(32), 7, 20.0)
        self.assertEqual(client.opener.open(0, between), b"between")
        server.came(1, 20.0)
        self.assertOpens(client.other, server.sealer)
        self.assertEqual(client.other_until, 0.0)

    def test_numbers_go_on_through_every_epoch(self) -> None:
        for number in range(0, 40, 2):
            for ring in (self.server, self.client):
                self.assertEqual(ring.sealer.number, number)
                ring.sealer.seal(5, b"")
                ring.sealer.seal(5, b"")
            self.change()

    def test_each_epoch_has_its_own_keys_and_depends_on_every_salt(self) -> None:
        def keys(*salts: bytes) -> list[tuple[bytes, ...]]:
            schedule = Schedule(accept())
            found = [tuple(part for way in schedule.directions() for part in way)]
            for salt in salts:
                schedule.advance(salt)
                found.append(tuple(part for way in schedule.directions() for part in way))
            return found

        one, other = keys(SALT, SALT, SALT), keys(bytes(32), SALT, SALT)
        parts = [part for found in (one, other[1:]) for epoch in found for part in epoch]
        self.assertEqual(len(parts), len(set(parts)))

    def test_what_a_key_may_seal_is_counted_for_each(self) -> None:
        self.patch(record, "HARD_STOP", 5)
        self.server, self.client = rings()
        for epoch in range(4):
            for ring in (self.server, self.client):
                for _ in range(5):
                    ring.sealer.seal(5, b"")
                self.assertRaises(OverflowError, ring.sealer.seal, 5, b"")
                self.assertEqual(ring.sealer.number, 5 * epoch + 5)
            self.change()


class RekeyTests(SynchronousTestCase):
    """Between two sessions."""

    def pair(self, seed: int = 0, conditions: Conditions = PERFECT, **limits: Any) -> Pair:
        pair = Pair(seed, conditions, limits_of_server=limits)
        pair.bind()
        return pair

    def play(self, pair: Pair, seconds: float, rate: float = 20.0) -> None:
        """Both games talk."""
        for _ in range(round(seconds * rate)):
            pair.send_input(pair._input_number & 7)
            pair.send_state(b"state")
            pair.advance(1 / rate)

    def kinds(self, pair: Pair, side: Side) -> list[int]:
        return [data[0] for sender, data in pair.frames if sender is side]

    def rekeys(self, pair: Pair) -> int:
        """How many began; every one of them must have been answered, once, in order."""
        asked = [frames.decode_rekey(data)[0] for _, data in pair.frames if data[0] == Kind.REKEY]
        told = [frames.decode_rekeyed(data) for _, data in pair.frames if data[0] == Kind.REKEYED]
        self.assertEqual(asked, [*range(1, len(asked) + 1)])
        self.assertEqual(told, asked)
        for side in (pair.server, pair.client):
            self.assertEqual(side.counters.rekeys, len(asked))
            self.assertIs(side.ended, None)
        return len(asked)

    def assertNothingLost(self, pair: Pair, *but: str) -> None:
        """Everything that came opened, except for copies."""
        for side in (pair.server, pair.client):
            drops = set(side.counters.drops()) - {"drop_datagram_replayed", *but}
            self.assertEqual(drops, set(), side.name)
            self.assertEqual(side.unaccounted(), 0)

    def test_by_count(self) -> None:
        for sender in ("server", "client"):
            pair = self.pair(rekey_datagrams=300)
            side = getattr(pair, sender)
            while side.session.sealer.number < 299:
                pair.deliver(side, (4, b"x"))
                pair.advance(0.01)
            began = pair.now
            self.assertEqual(self.kinds(pair, pair.server).count(Kind.REKEY), 0)
            while side.session.sealer.number < 305:
                pair.deliver(side, (4, b"x"))
                pair.advance(0.01)
            pair.advance(began + LATE + 0.1 - pair.now)
            self.assertEqual(self.rekeys(pair), 1, sender)

    def test_by_age_and_not_before(self) -> None:
        pair = Pair(limits_of_server={"rekey_seconds": 60.0})
        began = pair.now
        self.play(pair, 59.9)
        self.assertEqual(self.rekeys(pair), 0)
        pair.advance(began + 60.1 + LATE - pair.now)
        self.assertEqual(self.rekeys(pair), 1)
        self.play(pair, 58.0)
        self.assertEqual(self.rekeys(pair), 1)
        self.play(pair, 4.0)
        self.assertEqual(self.rekeys(pair), 2)
        self.assertNothingLost(pair)

    def test_the_defaults_are_an_hour_and_half_of_what_a_key_may_seal(self) -> None:
        config = self.pair().server_session.config
        self.assertEqual(config.rekey_seconds, 3_600.0)
        self.assertEqual(2 * config.rekey_datagrams, record.HARD_STOP)

    def test_a_session_that_never_used_a_number_keeps_its_keys(self) -> None:
        pair = Pair(
            conditions=NOTHING, limits_of_server={"rekey_seconds": 60.0}, dead_seconds=1_000.0
        )
        for side in (pair.server, pair.client):
            side.writable = False  # or it would go inside TCP, under the same numbers
        pair.advance(600.0)
        self.assertEqual(self.rekeys(pair), 0)
        pair.conditions = PERFECT
        for side in (pair.server, pair.client):
            side.writable = True
        pair.advance(31.0 + LATE)
        self.assertTrue(pair.client_session.path.bound)
        self.assertEqual(self.rekeys(pair), 1)

    def test_the_client_answers_at_once_and_seals_in_the_new_epoch_from_then_on(self) -> None:
        pair = self.pair()
        self.play(pair, 1.0)
        self.assertTrue(pair.rekey())
        salt = frames.decode_rekey(pair.frames[-1][1])[1]
        sent = len(pair.wire)
        pair.client.frame_came(frames.encode_rekey(1, salt))
        self.assertEqual(pair.frames[-1], (pair.client, frames.encode_rekeyed(1)))
        pair.send_input(1)
        self.assertEqual({epoch_bits(data) for _, data, _ in pair.wire[sent:]}, {1})

    def test_the_server_follows_with_the_answer(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        self.assertTrue(pair.rekey())
        sent = len(pair.wire)
        pair.send_state(b"old")
        pair.advance(2 * pair.frame_delay - 0.001)
        pair.send_state(b"old")
        self.assertTrue(self.from_server(pair, sent))
        self.assertEqual(set(self.from_server(pair, sent)), {0})
        pair.advance(0.002)
        sent = len(pair.wire)
        pair.send_state(b"new")
        self.assertEqual(self.from_server(pair, sent), [1])

    def test_the_server_follows_with_the_first_datagram_if_that_is_sooner(self) -> None:
        pair = self.pair()
        self.assertTrue(pair.rekey())
        pair.frame_delay = 5.0  # of the answer
        pair.advance(0.021)
        sent = len(pair.wire)
        pair.send_state(b"old")
        pair.send_input(1)
        pair.advance(0.01)
        pair.send_state(b"old")
        self.assertEqual(self.from_server(pair, sent), [0, 0])
        pair.advance(0.011)
        sent = len(pair.wire)
        pair.send_state(b"new")
        self.assertEqual(self.from_server(pair, sent), [1])
        pair.advance(6.0)
        self.assertEqual(self.rekeys(pair), 1)
        self.assertNothingLost(pair)

    def from_server(self, pair: Pair, since: int) -> list[int]:
        return [epoch_bits(data) for side, data, _ in pair.wire[since:] if side is pair.server]

    def test_a_datagram_that_was_refused_for_its_rate_does_not_count_as_the_first(self) -> None:
        pair = self.pair(datagrams_burst=10, datagrams_per_second=1)
        self.assertTrue(pair.rekey())
        salt = frames.decode_rekey(pair.frames[-1][1])[1]
        body = pair.body(pair.client, (4, b"x"))
        for _ in range(20):  # until the bucket is empty
            old = pair.sealed(pair.client, DatagramKind.DATA, body)
            pair.inject(pair.server, old, CLIENT_ADDRESS)
        before = pair.server.counters.drop_datagram_rate
        pair.client_session.keys.follow(1, salt, pair.client_session.window.highest, pair.now)
        new = pair.sealed(pair.client, DatagramKind.DATA, body)
        pair.inject(pair.server, new, CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.drop_datagram_rate, before + 1)
        self.assertEqual(pair.server_session.sealer.first_byte >> 4 & 3, 0)
        self.assertEqual(pair.server_session.keys.other_until, 0.0)

    def test_old_keys_open_for_ten_seconds_and_not_much_longer(self) -> None:
        for name in ("server", "client"):
            for wait, opens in ((9.9, True), (10.0 + LATE + 0.1, False)):
                pair = self.pair()
                sender, receiver = pair.other(getattr(pair, name)), getattr(pair, name)
                body = pair.body(sender, (4, b"late"))
                late = pair.sealed(sender, DatagramKind.DATA, body)
                self.assertTrue(pair.rekey())
                pair.advance(0.1)
                pair.deliver(sender, (4, b"first"))
                pair.advance(wait)
                source = CLIENT_ADDRESS if sender is pair.client else SERVER_ADDRESS
                pair.inject(receiver, late, source)
                heard = [event.payload for event in receiver.of(Unreliable)]
                self.assertEqual(heard, [b"first", b"late"] if opens else [b"first"], (name, wait))
                self.assertEqual(receiver.counters.drop_datagram_epoch, 0 if opens else 1)

    def test_what_comes_late_does_not_prolong_their_time(self) -> None:
        pair = self.pair()
        body = pair.body(pair.client, (4, b"late"))
        late = [pair.sealed(pair.client, DatagramKind.DATA, body) for _ in range(3)]
        self.assertTrue(pair.rekey())
        pair.advance(0.1)
        pair.deliver(pair.client, (4, b"first"))
        for data, wait in zip(late, (5.0, 4.5, 2.0), strict=True):
            pair.advance(wait)
            pair.inject(pair.server, data, CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.drop_datagram_epoch, 1)
        self.assertIs(pair.server_session.keys.other, None)

    def test_old_keys_wait_for_the_first_new_datagram_however_long_that_takes(self) -> None:
        pair = self.pair()
        late = pair.sealed(pair.client, DatagramKind.DATA, pair.body(pair.client, (4, b"late")))
        pair.conditions = NOTHING
        self.assertTrue(pair.rekey())
        pair.advance(120.0)
        pair.inject(pair.server, late, CLIENT_ADDRESS)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [b"late"])

    def test_one_at_a_time(self) -> None:
        pair = self.pair(rekey_datagrams=1)
        began = []
        for _ in range(20 * 120):
            before = self.kinds(pair, pair.server).count(Kind.REKEY)
            pair.send_input(1)
            pair.send_state(b"state")
            pair.advance(1 / 20)
            if self.kinds(pair, pair.server).count(Kind.REKEY) > before:
                began.append(pair.now)
        pauses = [b - a for a, b in pairwise(began)]
        self.assertGreater(len(pauses), 8)
        self.assertGreaterEqual(min(pauses), 10.0)
        self.assertLessEqual(max(pauses), 10.0 + LATE + 0.2)

    def test_many_in_a_row_through_bad_networks_lose_nothing(self) -> None:
        for conditions in (
            BAD,
            Conditions(duplicate=0.5, spread=0.3),
            Conditions(loss=0.9),
            Conditions(delay=0.5, spread=8.0),
        ):
            pair = self.pair(6, conditions, rekey_datagrams=20, datagrams_burst=5_000)
            self.play(pair, 75.0, rate=15.0)
            self.assertNothingLost(pair)
            pair.conditions = PERFECT
            pair.advance(10.0)
            self.assertGreaterEqual(self.rekeys(pair), 5, conditions)
            pair.send_state(b"the end")
            pair.advance(1.0)
            self.assertNothingLost(pair)
            inputs = pair.server.of(Input)
            self.assertEqual(len(inputs) + sum(event.missing for event in inputs), 15 * 75)
            self.assertEqual(pair.states[-1].payload, b"the end")

    def test_nothing_is_lost_in_a_network_that_loses_nothing(self) -> None:
        pair = self.pair(5, Conditions(spread=0.2), rekey_datagrams=20)
        for number in range(15 * 60):
            pair.send_unreliable(pair.server, b"%d" % number)
            pair.send_unreliable(pair.client, b"%d" % number)
            pair.advance(1 / 15)
        pair.advance(1.0)
        self.assertGreater(self.rekeys(pair), 4)
        for side in (pair.server, pair.client):
            self.assertEqual(len(side.of(Unreliable)), 15 * 60)
            self.assertEqual(side.session.quality.lost, 0)
            self.assertEqual(side.counters.drops(), {})

    def test_idle_sides_change_keys_with_their_pings_alone(self) -> None:
        pair = self.pair(rekey_seconds=60.0)
        pair.advance(400.0)
        self.assertGreaterEqual(self.rekeys(pair), 5)
        self.assertNothingLost(pair)
        bits = {epoch_bits(data) for _, data, _ in pair.wire}
        self.assertEqual(bits, {0, 1, 2, 3})

    def test_one_way_traffic_changes_keys_too(self) -> None:
        for talker in ("server", "client"):
            pair = self.pair(rekey_datagrams=50)
            side = getattr(pair, talker)
            for _ in range(20 * 70):
                pair.send_unreliable(side, b"x")
                pair.advance(1 / 20)
            pair.advance(1.0)
            self.assertGreaterEqual(self.rekeys(pair), 5)
            self.assertEqual(len(pair.other(side).of(Unreliable)), 20 * 70)
            self.assertNothingLost(pair)

    def test_a_client_that_hears_nothing_by_udp_goes_along(self) -> None:
        pair = self.pair(rekey_datagrams=20)
        deaf = pair.client.datagram_came
        self.patch(pair.client, "datagram_came", lambda data, address: None)
        self.play(pair, 80.0)
        self.assertGreaterEqual(self.rekeys(pair), 5)
        self.assertEqual(pair.server.counters.drops(), {})
        self.patch(pair.client, "datagram_came", deaf)
        self.play(pair, 1.0)
        self.assertGreater(len(pair.states), 10)
        self.assertNothingLost(pair)

    def test_a_server_that_hears_nothing_by_udp_changes_keys_once(self) -> None:
        pair = self.pair(rekey_datagrams=20)
        hears = pair.server.datagram_came
        self.patch(pair.server, "datagram_came", lambda data, address: None)
        self.play(pair, 60.0)
        self.assertEqual(self.rekeys(pair), 1)
        self.assertGreater(len(pair.states), 1_100)
        self.patch(pair.server, "datagram_came", hears)
        self.play(pair, 30.0)
        self.assertGreater(self.rekeys(pair), 2)
        self.assertNothingLost(pair)

    def test_while_the_path_is_not_bound(self) -> None:
        for lost in (
            {DatagramKind.RESPONSE},
            {DatagramKind.BOUND, DatagramKind.DATA},
            {DatagramKind.CHALLENGE},
        ):
            pair = Pair(limits_of_server={"rekey_datagrams": 1})
            original = pair.carry_datagram

            def carry(
                sender: Side,
                data: bytes,
                address: Any,
                original: Any = original,
                lost: set[DatagramKind] = lost,
            ) -> None:
                if data[0] & 0x0F not in lost:
                    original(sender, data, address)

            self.patch(pair, "carry_datagram", carry)
            pair.advance(20.0)
            self.assertFalse(pair.client_session.path.bound)
            self.assertGreaterEqual(self.rekeys(pair), 1)
            self.patch(pair, "carry_datagram", original)
            pair.advance(31.0)
            self.assertTrue(pair.client_session.path.bound)
            self.assertNothingLost(pair)

    def test_a_binding_between_the_keys(self) -> None:
        # The challenge of the old epoch is answered in the new one.
        pair = Pair()
        pair.inject(pair.server, pair.sealed(pair.client, DatagramKind.BIND, PADDING))
        challenge = pair.server_session.path._challenge
        self.assertTrue(pair.rekey())
        pair.advance(0.03)
        answer = pair.sealed(pair.client, DatagramKind.RESPONSE, challenge)
        self.assertEqual(epoch_bits(answer), 1)
        pair.inject(pair.server, answer)
        self.assertIsNot(pair.server_session.path.address, None)

    def test_an_epoch_that_is_not_the_next_ends_the_session(self) -> None:
        for before in range(3):
            for wrong in {0, 1, 2, 3, 4, 0xFFFFFFFF} - {before + 1}:
                pair = self.pair()
                for _ in range(before):
                    self.assertTrue(pair.rekey())
                    self.play(pair, 12.0, rate=2.0)
                pair.client.frame_came(frames.encode_rekey(wrong, SALT))
                self.assertIs(pair.client.ended, DisconnectReason.BAD_DATA, (before, wrong))

    def test_an_answer_to_no_question_ends_the_session(self) -> None:
        for before in range(3):
            for wrong in {0, 1, 2, 3, 4, 0xFFFFFFFF} - ({before} if before else set()):
                pair = self.pair()
                for _ in range(before):
                    self.assertTrue(pair.rekey())
                    self.play(pair, 12.0, rate=2.0)
                pair.server.frame_came(frames.encode_rekeyed(wrong))
                self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA, (before, wrong))

    def test_from_the_wrong_side_it_ends_the_session(self) -> None:
        for side, frame in (
            ("server", frames.encode_rekey(1, SALT)),
            ("client", frames.encode_rekeyed(0)),
            ("client", frames.encode_rekeyed(1)),
            ("client", bytes((Kind.REKEYED,)) + frames.encode_rekey(1, SALT)[1:]),
        ):
            pair = self.pair()
            getattr(pair, side).frame_came(frame)
            self.assertIs(getattr(pair, side).ended, DisconnectReason.BAD_DATA)
        pair = self.pair()
        self.assertTrue(pair.rekey())
        pair.server.frame_came(frames.encode_rekey(1, SALT))
        self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)
        pair = self.pair()
        self.assertTrue(pair.rekey())
        pair.server.frame_came(bytes((Kind.REKEY,)) + frames.encode_rekeyed(1)[1:])
        self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)

    def test_of_the_wrong_length_it_ends_the_session(self) -> None:
        for side, frame in (
            ("client", frames.encode_rekey(1, SALT)),
            ("server", frames.encode_rekeyed(1)),
        ):
            for wrong in (frame[:-1], frame + b"\x00", frame[:1]):
                pair = self.pair()
                self.assertTrue(pair.rekey())
                getattr(pair, side).frame_came(wrong)
                self.assertIs(getattr(pair, side).ended, DisconnectReason.BAD_DATA)

    def test_a_forged_datagram_of_the_new_epoch_changes_nothing(self) -> None:
        pair = self.pair()
        self.assertTrue(pair.rekey())
        number = pair.server_session.window.highest + 1
        forged = HEADER.pack(0x55, CID, number) + bytes(40)
        pair.inject(pair.server, forged, CLIENT_ADDRESS)
        self.assertEqual(pair.server.counters.drop_datagram_forged, 1)
        self.assertEqual(pair.server_session.keys.other_until, 0.0)
        self.assertEqual(pair.server_session.window.highest, number - 1)
        self.assertEqual(pair.server_session.sealer.first_byte, 0x40)

    def test_datagrams_of_epochs_without_keys_are_counted(self) -> None:
        pair = self.pair()
        for bits in (1, 2, 3):
            data = HEADER.pack(0x40 | bits << 4 | 5, CID, 1_000) + bytes(40)
            for side in (pair.server, pair.client):
                pair.inject(side, data)
                self.assertEqual(side.counters.drop_datagram_epoch, bits)
        self.assertTrue(pair.rekey())
        for count, bits in enumerate((2, 3), 4):
            data = HEADER.pack(0x40 | bits << 4 | 5, CID, 1_000) + bytes(40)
            pair.inject(pair.server, data)
            self.assertEqual(pair.server.counters.drop_datagram_epoch, count)

    def test_copies_from_before_and_after_are_copies(self) -> None:
        pair = self.pair()
        self.play(pair, 1.0)
        self.assertTrue(pair.rekey())
        self.play(pair, 1.0)
        for number, (sender, data, _) in enumerate(list(pair.wire)):
            receiver = pair.other(sender)
            before = receiver.counters.drop_datagram_replayed
            pair.inject(receiver, data, CLIENT_ADDRESS)
            self.assertEqual(receiver.counters.drop_datagram_replayed, before + 1, number)

    def test_a_key_that_has_sealed_all_it_may_falls_silent_until_it_is_replaced(self) -> None:
        self.patch(record, "HARD_STOP", 200)
        pair = self.pair(rekey_datagrams=100)
        hears = pair.server.frame_came
        self.patch(pair.server, "frame_came", lambda data: None)  # the answer never comes
        self.patch(pair.server, "datagram_came", lambda data, address: None)
        for _ in range(240):
            pair.send_state(b"state")
            pair.advance(0.01)
        self.assertEqual(pair.server_session.sealer.number, 200)
        self.assertGreater(pair.server.counters.drop_send_full, 0)
        heard = len(pair.states)
        self.assertIs(pair.server.ended, None)
        pair.send(pair.server, b"reliable")
        pair.server_session.frame_heard = pair.now
        hears(frames.encode_rekeyed(1))
        for _ in range(50):
            pair.send_state(b"state")
            pair.advance(0.01)
        pair.advance(0.02)
        self.assertEqual(len(pair.states), heard + 50)
        self.assertEqual(pair.server_session.sealer.number, 250)

    @settings(max_examples=15, deadline=None)
    @given(
        st.integers(0, 2**32),
        st.lists(
            st.tuples(
                st.builds(
                    Conditions,
                    loss=st.sampled_from((0.0, 0.3, 0.9, 1.0)),
                    duplicate=st.sampled_from((0.0, 0.4)),
                    delay=st.sampled_from((0.0, 0.02, 1.0)),
                    spread=st.sampled_from((0.0, 0.2, 3.0)),
                ),
                st.sampled_from((0.01, 0.02, 2.0)),
                st.integers(1, 200),
                st.sampled_from((1 / 60, 0.1, 1.0)),
            ),
            min_size=1,
            max_size=5,
        ),
    )
    def test_no_key_ever_meets_a_nonce_twice(
        self, seed: int, weathers: list[tuple[Conditions, float, int, float]]
    ) -> None:
        used: set[tuple[bytes, bytes]] = set()

        class Watched:
            """The cipher, with a memory."""

            def __init__(self, key: bytes) -> None:
                self._key = key
                self._cipher = AESGCM(key)
                self.decrypt = self._cipher.decrypt

            def encrypt(self, nonce: bytes, data: bytes, header: bytes) -> bytes:
                assert (self._key, nonce) not in used
                used.add((self._key, nonce))
                return self._cipher.encrypt(nonce, data, header)

        with patch.object(record, "AESGCM", Watched):
            pair = Pair(
                seed,
                limits_of_server={"rekey_datagrams": 5, "datagrams_burst": 10_000},
                dead_seconds=60.0,
            )
            for conditions, frame_delay, count, pause in weathers:
                pair.conditions, pair.frame_delay = conditions, frame_delay
                for _ in range(count):
                    pair.send_input(1)
                    pair.send_state(b"state")
                    pair.advance(pause)
        self.assertEqual(len(used), len(pair.wire))
        for side in (pair.server, pair.client):
            numbers = [HEADER.unpack_from(data)[2] for each, data, _ in pair.wire if each is side]
            self.assertEqual(numbers, sorted(set(numbers)))
            inside = [
                frames.decode_tunnel(data)[0]
                for each, data in pair.frames
                if each is side and data[0] == Kind.TUNNEL
            ]
            left_out = side.counters.drop_send_tunnel
            self.assertEqual(len({*numbers, *inside}), len(numbers) + len(inside))
            self.assertEqual(len(numbers) + len(inside) + left_out, side.session.sealer.number)
            epochs = [epoch_bits(data) for each, data, _ in pair.wire if each is side]
            steps = {(b - a) % 4 for a, b in pairwise(epochs)}
            self.assertLessEqual(steps, {0, 1})
        # A BIND too many within a second is not answered.
        self.assertNothingLost(pair, "drop_datagram_unexpected")

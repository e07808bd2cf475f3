"""A quiet player's session rests, and nobody can tell by its figures."""

from __future__ import annotations

import math
import random
from dataclasses import asdict
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import tests.core.pair
from gamenet.core.frames import Kind
from gamenet.core.server_rest import ServerRest
from gamenet.core.server_session import ServerSession
from gamenet.core.wire import TIME_QUERY, DatagramKind, MessageType
from gamenet.errors import DisconnectReason
from gamenet.host import quality_of
from gamenet.samples import MAX_SAMPLES, unpacked
from tests.core.pair import CLIENT_ADDRESS, Conditions, Pair

START = 1_024.0
BEAT = 1 / 16
"""And all other times are of such parts: their sums are exact, so both runs look at once."""
LOSSY = Conditions(loss=0.3, duplicate=0.1, delay=1 / 64)
CLEAN = Conditions(delay=1 / 64)
OPS = ("state", "loose", "reliable", "input", "ping", "acks", "time", "said", "garbage", "tunnel")


def do(pair: Pair, what: str) -> None:
    """Something happens to the server's session."""
    client = pair.client
    if what == "state":
        pair.send_state(bytes(300))
    elif what == "loose":
        pair.send_unreliable(client, b"loose")
    elif what == "reliable":
        pair.send(client, b"reliable")
    elif what == "input":
        pair.send_input(3)
    elif what == "said":
        pair.said("hear, hear")
    elif what == "time":
        pair.deliver(client, (MessageType.TIME, TIME_QUERY.pack(0)))
    elif what == "acks":
        pair.deliver(client)
    elif what == "ping":
        data = pair.sealed(client, DatagramKind.PING, b"1234")
        pair.inject(pair.server, data, CLIENT_ADDRESS)
    elif what == "garbage":
        data = pair.sealed(client, DatagramKind.PONG, b"")
        pair.inject(pair.server, data, CLIENT_ADDRESS)
    elif what == "tunnel":
        pair.client.run(lambda: pair.client_session._leave_udp(pair.now, "silent"))


def figures(pair: Pair) -> dict[str, Any]:
    """All that anybody can know of the server's session."""
    session = pair.server_session
    budget, rates = session.budget, session._rates
    return {
        "quality": asdict(quality_of(session, pair.now)),
        "budget": (budget.allowed, budget.refill(pair.now)),
        "rates": (rates._seen, rates._abusive),
        "ended": pair.server.ended,
        "sent": len(pair.wire),
    }


class RestTests(SynchronousTestCase):
    """``ServerRest``."""

    def setUp(self) -> None:
        self.patch(tests.core.pair, "BEAT_SECONDS", BEAT)

    def play(self, seed: int) -> tuple[list[dict[str, Any]], int]:
        """All that is shown of a session to which something happens now and then.

        :returns: and how often it was found at rest.
        """
        dice = random.Random(seed)
        pair = Pair(
            seed,
            CLEAN,
            frame_delay=1 / 64,
            start=START,
            ping_seconds=1_000.0,
            dead_seconds=3_000.0,
            limits_of_server={"datagrams_per_second": 40, "rate_abuse_seconds": 3},
        )
        pair.bind()
        pair.advance(BEAT / 8)  # nothing comes just when it is looked at
        shown, rests = [], 0
        for _ in range(12):
            pair.conditions = dice.choice((CLEAN, CLEAN, LOSSY))
            what = dice.choice(OPS)
            for _ in range(dice.choice((1, 1, 1, 100))):
                do(pair, what)
            pair.advance(dice.randint(1, 128) * BEAT)
            rests += pair.server_session.rests
            shown.append(figures(pair))
        return shown, rests

    def test_its_figures_are_those_of_one_that_is_looked_at_each_second(self) -> None:
        seeds = range(40)
        rested = [self.play(seed) for seed in seeds]
        self.patch(ServerRest, "rest_if_quiet", lambda session, now: None)
        for seed, (shown, _) in zip(seeds, rested, strict=True):
            looked, never = self.play(seed)
            self.assertEqual(never, 0)
            for step, (one, other) in enumerate(zip(shown, looked, strict=True)):
                for name in one:
                    self.assertEqual(one[name], other[name], f"{name}, seed {seed}, step {step}")
        self.assertGreater(sum(rests for _, rests in rested), 40)

    def test_a_quiet_player_is_looked_at_for_its_pings_and_once_more_after_what_came(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(6.0)
        looks: list[float] = []
        real = ServerSession.tick

        def tick(session: ServerSession, now: float) -> DisconnectReason | None:
            looks.append(now)
            return real(session, now)

        self.patch(ServerSession, "tick", tick)
        began = len(pair.wire)
        pair.advance(100.0)
        came = sum(sender is pair.client for sender, _, _ in pair.wire[began:])
        self.assertGreater(came, 19)
        self.assertLess(len(looks), 100.0 / 5 * 5)

    def test_while_nothing_comes_only_pings_wake_it(self) -> None:
        pair = Pair(conditions=Conditions(delay=1 / 64))
        pair.bind()
        pair.advance(3.0)
        pair.client_session.next_tick = pair.client_session._timer = math.inf
        pair.conditions = Conditions(loss=1.0)  # the client's flush of an answer asks for the time
        self.assertTrue(pair.server_session.rests)
        looks: list[float] = []
        real = ServerSession.tick

        def tick(session: ServerSession, now: float) -> DisconnectReason | None:
            looks.append(now)
            return real(session, now)

        self.patch(ServerSession, "tick", tick)
        sent = len(pair.frames)
        pair.advance(10.5)
        self.assertTrue(pair.server_session.rests)
        asked = [data for sender, data in pair.frames[sent:] if sender is pair.server]
        self.assertEqual([data[0] for data in asked], [Kind.PING] * len(looks))
        self.assertEqual(len(asked), 2)

    def test_its_end_comes_no_later(self) -> None:
        for rests in (True, False):
            pair = Pair(frame_delay=1 / 64, start=START)
            pair.bind()
            pair.advance(20.0)
            if not rests:
                self.patch(ServerRest, "rest_if_quiet", lambda session, now: None)
            pair.client.beat = lambda: None  # type: ignore[method-assign]
            pair.client.frame_came = lambda data: None  # type: ignore[method-assign]
            heard = pair.server_session.frame_heard
            while pair.server.ended is None:
                pair.advance(BEAT)
            self.assertIs(pair.server.ended, DisconnectReason.TIMEOUT)
            self.assertLess(pair.now - heard, 15.0 + 3 * BEAT)

    def test_a_path_that_falls_silent_is_left_no_later(self) -> None:
        pair = Pair(frame_delay=1 / 64, start=START)
        pair.bind()
        pair.advance(20.0)
        pair.conditions = Conditions(loss=1.0)
        heard = pair.server_session.udp_heard
        while not pair.server_session.tunnelled:
            pair.advance(BEAT)
        self.assertLess(pair.now - heard, 15.0 + 3 * BEAT)

    def test_new_keys_are_due_while_it_rests(self) -> None:
        pair = Pair(frame_delay=1 / 64, start=START, limits_of_server={"rekey_seconds": 60.0})
        pair.bind()
        pair.advance(61.0)
        self.assertEqual(pair.server.counters.rekeys, 1)

    def test_what_is_asked_meanwhile_is_told_without_being_written(self) -> None:
        pair = Pair(ping_seconds=1_000.0, dead_seconds=3_000.0, start=START)
        pair.bind()
        for _ in range(30):
            pair.send_unreliable(pair.client, b"busy")
            pair.advance(2 * BEAT)
        pair.advance(2.0)
        session = pair.server_session
        self.assertTrue(session.rests)
        written = session.traffic.series.rows()
        pair.advance(3.0)
        quality = quality_of(session, pair.now)
        self.assertEqual((quality.bytes_per_second_in, quality.types_in), (0.0, {}))
        samples = unpacked(quality.packed_samples)
        self.assertEqual(session.traffic.series.rows(), written)
        self.assertGreaterEqual(len(samples), len(unpacked(written)) + 20)
        self.assertEqual(samples[-1], samples[-10])
        pair.advance(60.0)
        self.assertEqual(len(unpacked(quality_of(session, pair.now).packed_samples)), MAX_SAMPLES)

    def test_another_connection_leaves_what_was_measured_on_the_one_before(self) -> None:
        pair = Pair(conditions=CLEAN, ping_seconds=1_000.0, dead_seconds=3_000.0, start=START)
        pair.bind()
        pair.advance(10.0 + 3.5 * BEAT)  # between two looks
        session = pair.server_session
        self.assertTrue(session.rests)
        before = unpacked(quality_of(session, pair.now).packed_samples)
        self.assertGreater(before[-1].rtt_seconds, 0.0)
        pair.cut()
        pair.resume()
        after = unpacked(quality_of(session, pair.now).packed_samples)
        self.assertEqual(after[len(before) - 5], before[-5])

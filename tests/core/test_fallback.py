"""Which way messages take: UDP where it carries, TCP where it does not, and who is told."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.fallback import PROVED_SECONDS
from gamenet.core.frames import Kind
from gamenet.core.wire import DatagramKind
from gamenet.events import Input, PathChanged, Resumed, Suspended, Unreliable
from tests.core.pair import (
    BEAT_SECONDS,
    CLIENT_ADDRESS,
    PERFECT,
    Conditions,
    Pair,
)

if TYPE_CHECKING:
    from gamenet.core.path import Address
    from tests.core.pair import Side

NOTHING = Conditions(loss=1.0)
LATE = 2 * BEAT_SECONDS + 0.02
"""How much later than due a side may look at the time."""
OWED_SECONDS, IDLE_SECONDS, BIND_SECONDS = 3.0, 15.0, 5.0


class Base(SynchronousTestCase):
    """What the tests share."""

    def told(self, side: Side) -> list[tuple[str, str]]:
        return [(event.path, event.reason) for event in side.of(PathChanged)]

    def play(self, pair: Pair, seconds: float, rate: float = 50.0) -> None:
        """Both games talk."""
        for _ in range(round(seconds * rate)):
            pair.send_input(3)
            pair.send_state(b"state")
            pair.advance(1 / rate)

    def block(self, pair: Pair, *ways: str) -> None:
        """Datagrams of these senders are lost from here on; of nobody else."""
        original = getattr(self, "_carry", None) or pair.carry_datagram
        self._carry = original

        def carry(sender: Side, data: bytes, address: Address) -> None:
            if sender.name not in ways:
                original(sender, data, address)

        self.patch(pair, "carry_datagram", carry)

    def pair(self, **given: Any) -> Pair:
        self._carry = None
        pair = Pair(**given)
        pair.bind()
        self.play(pair, PROVED_SECONDS)
        return pair

    def when(self, pair: Pair, side: Side, path: str, limit: float = 60.0) -> float:
        """Seconds until a side is told that it is on *path*."""
        began = pair.now
        while pair.now - began < limit:
            told = self.told(side)
            if told and told[-1][0] == path:
                return pair.now - began
            pair.advance(0.01)
        raise AssertionError(f"{side.name} is not on {path}: {self.told(side)}")


class NoticeTests(Base):
    """When UDP counts as down."""

    def test_before_it_is_bound_all_goes_by_tcp_and_after_five_seconds_it_is_blocked(self) -> None:
        pair = Pair(conditions=NOTHING)
        self.play(pair, BIND_SECONDS - 0.1)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [])
        self.play(pair, 0.1 + LATE)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("tcp", "blocked")])
        pair.advance(0.1)
        self.assertEqual(len(pair.server.of(Input)), round(BIND_SECONDS * 50 + LATE * 50))
        self.assertEqual(pair.states[-1].number, pair.server_session.states.newest)
        pair.advance(120.0)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("tcp", "blocked")])
            self.assertIs(side.ended, None)

    def test_a_path_that_is_bound_in_time_was_never_blocked(self) -> None:
        pair = Pair(conditions=NOTHING)
        self.play(pair, 3.9)
        pair.conditions = PERFECT
        self.play(pair, 2.0)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")])

    def test_three_seconds_of_silence_while_an_ack_is_owed(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        for _ in range(round((OWED_SECONDS - 0.1) * 50)):
            pair.send_input(3)
            pair.send_state(b"state")
            pair.advance(0.02)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")], side.name)
        self.play(pair, 0.1 + LATE + 0.05)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side)[1:], [("tcp", "silent")], side.name)
        # From here on nothing is missing.
        first = pair.server_session.states.newest
        count = len(pair.states)
        self.play(pair, 5.0)
        pair.advance(0.1)
        self.assertEqual(len(pair.states) - count, pair.server_session.states.newest - first)

    def test_the_inputs_of_those_seconds_come_all_the_same(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        self.play(pair, 4.0, rate=20.0)
        pair.advance(0.2)
        inputs = pair.server.of(Input)
        self.assertEqual(len(inputs), pair._input_number)
        self.assertEqual(sum(event.missing for event in inputs), 0)

    def test_fifteen_seconds_where_nobody_owes_anything(self) -> None:
        pair = self.pair(ping_seconds=7.0)
        pair.advance(4.0)  # the last acks are in
        self.assertIsNone(pair.server_session.quality.oldest_sent)
        self.block(pair, "client")
        # The client notices sooner, because its pings are not answered, and would say so.
        hears = pair.server.frame_came
        self.patch(
            pair.server,
            "frame_came",
            lambda data: None if data[0] == Kind.TUNNEL else hears(data),
        )
        heard = pair.server_session.udp_heard
        self.when(pair, pair.server, "tcp")
        self.assertApproximates(pair.now - heard, IDLE_SECONDS, LATE)
        self.assertEqual(self.told(pair.server)[-1], ("tcp", "silent"))

    def test_any_authentic_datagram_is_a_sign_of_life(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        for _ in range(20):
            pair.send_input(1)
            for sender, kind, body in (
                (pair.client, DatagramKind.PING, b"1234"),
                (pair.server, DatagramKind.PONG, b"1234"),
            ):
                data = pair.sealed(sender, kind, body)
                pair.inject(pair.other(sender), data, CLIENT_ADDRESS)
            pair.advance(1.0)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")])

    def test_a_forged_one_is_not(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        for _ in range(35):
            pair.send_input(1)
            pair.send_state(b"state")
            for side, first in ((pair.server, 0x45), (pair.client, 0x45)):
                number = side.session.window.highest + 1
                header = bytes((first,)) + pair._cid.to_bytes(4, "big") + number.to_bytes(4, "big")
                pair.inject(side, header + bytes(40), CLIENT_ADDRESS)
            pair.advance(0.1)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side)[-1], ("tcp", "silent"))

    def test_one_lost_datagram_in_a_quiet_game_is_not_silence(self) -> None:
        # What is owed is the ack of that one; there is nothing else that could bring it.
        for name in ("server", "client"):
            for quiet in range(50, 100, 5):
                pair = self.pair()
                pair.advance(quiet / 10)
                pair.conditions = NOTHING
                pair.send_unreliable(getattr(pair, name), b"lost")
                pair.conditions = PERFECT
                pair.advance(60.0)
                for side in (pair.server, pair.client):
                    self.assertEqual(self.told(side), [("udp", "bound")], (name, quiet))


class BackTests(Base):
    """UDP is tried all the time, and taken back."""

    def test_it_is_taken_back_as_soon_as_an_attempt_gets_through(self) -> None:
        for away in (4.0, 10.0, 60.0):
            pair = self.pair()
            pair.conditions = NOTHING
            self.play(pair, away)
            pair.conditions = PERFECT
            self.play(pair, 31.0)
            for side in (pair.server, pair.client):
                self.assertEqual(self.told(side)[1:], [("tcp", "silent"), ("udp", "back")])
                self.assertFalse(side.session.tunnelled)
            frames = len(pair.frames)
            self.play(pair, 1.0)
            self.assertNotIn(Kind.TUNNEL, [data[0] for _, data in pair.frames[frames:]])

    def test_the_attempts_begin_anew_when_it_falls_silent(self) -> None:
        pair = self.pair()
        pair.conditions = NOTHING
        self.play(pair, 3.2)
        self.assertTrue(pair.client_session.tunnelled)
        sent = len(pair.wire)
        self.play(pair, 4.2)
        binds = [
            1
            for side, data, _ in pair.wire[sent:]
            if side is pair.client and data[0] & 0x0F == DatagramKind.BIND
        ]
        self.assertGreaterEqual(len(binds), 4)

    def test_nothing_is_doubled_lost_or_put_out_of_order_by_going_over(self) -> None:
        # Frames are slow: what went inside TCP comes after what went by UDP.
        pair = self.pair(frame_delay=0.7)
        for _ in range(4):
            pair.conditions = NOTHING if pair.conditions is PERFECT else PERFECT
            self.play(pair, 8.0, rate=20.0)
        pair.advance(3.0)
        inputs = pair.server.of(Input)
        self.assertEqual([event.number for event in inputs], list(range(1, len(inputs) + 1)))
        self.assertEqual(len(inputs), pair._input_number)
        numbers = [state.number for state in pair.states]
        self.assertEqual(numbers, sorted(set(numbers)))
        self.assertEqual(numbers[-1], pair.server_session.states.newest)

    def test_unreliable_messages_come_at_most_once(self) -> None:
        pair = self.pair(frame_delay=0.3)
        for number in range(2_000):
            if number % 400 == 0:
                pair.conditions = NOTHING if pair.conditions is PERFECT else PERFECT
            pair.send_unreliable(pair.server, b"%d" % number)
            pair.send_unreliable(pair.client, b"%d" % number)
            pair.advance(0.02)
        pair.advance(2.0)
        for side in (pair.server, pair.client):
            heard = [event.payload for event in side.of(Unreliable)]
            self.assertEqual(len(heard), len(set(heard)))
            self.assertGreater(len(heard), 1_400)

    def test_figures_begin_anew(self) -> None:
        pair = self.pair(frame_delay=0.2)
        for side in (pair.server, pair.client):
            self.assertLess(side.session.quality.estimator.rtt, 0.1)
        pair.conditions = NOTHING
        # Those that were sent while one side knew and the other did not are lost indeed.
        self.play(pair, 40.0)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            self.assertApproximates(quality.estimator.rtt, 0.4, 0.05)
            self.assertLess(max(quality.loss_in, quality.loss_out), 0.01)


class OneWayTests(Base):
    """Datagrams pass in one direction only."""

    def test_both_go_over_whichever_way_is_blocked(self) -> None:
        for way in ("server", "client"):
            pair = self.pair()
            self.block(pair, way)
            self.play(pair, OWED_SECONDS + 0.5)
            for side in (pair.server, pair.client):
                self.assertEqual(self.told(side)[1:], [("tcp", "silent")], (way, side.name))
            newest, inputs = pair.states[-1].number, len(pair.server.of(Input))
            self.play(pair, 1.0)
            pair.advance(0.1)
            self.assertEqual(pair.states[-1].number - newest, 50, way)
            self.assertEqual(len(pair.server.of(Input)) - inputs, 50, way)

    def test_and_stay_there_while_it_is(self) -> None:
        for way in ("server", "client"):
            pair = self.pair()
            self.block(pair, way)
            self.play(pair, 60.0)
            for side in (pair.server, pair.client):
                self.assertEqual(self.told(side)[1:], [("tcp", "silent")], (way, side.name))

    def test_blocked_from_the_beginning(self) -> None:
        for way in ("server", "client"):
            self._carry = None
            pair = Pair()
            self.block(pair, way)
            self.play(pair, 60.0)
            for side in (pair.server, pair.client):
                self.assertEqual(self.told(side), [("tcp", "blocked")], (way, side.name))
            self.assertEqual(len(pair.server.of(Input)), pair._input_number)
            self.block(pair)
            self.play(pair, 31.0)
            for side in (pair.server, pair.client):
                self.assertEqual(self.told(side)[-1], ("udp", "bound"), (way, side.name))

    def test_a_path_that_comes_and_goes_does_not_flap_faster_than_it_does(self) -> None:
        for way in ("server", "client"):
            for period in (0.5, 1.0, 2.0, 4.0, 8.0):
                pair = self.pair()
                cycles = 0
                while cycles * 2 * period < 120.0:
                    self.block(pair, way)
                    self.play(pair, period, rate=20.0)
                    self.block(pair)
                    self.play(pair, period, rate=20.0)
                    cycles += 1
                for side in (pair.server, pair.client):
                    changes = len(self.told(side)) - 1
                    # Twice a cycle at most, and no more often than silence takes to be one.
                    self.assertLessEqual(changes, 2 * cycles, (way, period, side.name))
                    self.assertLessEqual(changes, 2 * (120.0 / OWED_SECONDS + 1))
                    if period < OWED_SECONDS:
                        self.assertEqual(changes, 0, (way, period, side.name))
                    self.assertIs(side.ended, None)
                pair.advance(0.2)
                self.assertEqual(len(pair.server.of(Input)), pair._input_number)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(((), ("server",), ("client",), ("server", "client"))),
                st.sampled_from((0.3, 1.0, 3.5, 7.0, 16.0)),
                st.sampled_from((1.0, 20.0)),
            ),
            max_size=10,
        )
    )
    def test_whatever_is_blocked_when_both_agree_in_the_end(
        self, phases: list[tuple[tuple[str, ...], float, float]]
    ) -> None:
        pair = self.pair()
        for ways, seconds, rate in phases:
            self.block(pair, *ways)
            self.play(pair, seconds, rate)
        self.block(pair)
        self.play(pair, 35.0, 20.0)
        for side in (pair.server, pair.client):
            self.assertFalse(side.session.tunnelled, side.name)
            paths = [path for path, _ in self.told(side)]
            self.assertEqual(paths[-1], "udp")
            self.assertTrue(all(a != b for a, b in itertools.pairwise(paths)), paths)
            self.assertIs(side.ended, None)
        pair.advance(0.3)
        inputs = pair.server.of(Input)
        self.assertEqual(len(inputs) + sum(event.missing for event in inputs), pair._input_number)


class SuspendedTests(Base):
    """Without a connection there is only UDP; with another one there are other keys."""

    def test_udp_carries_on(self) -> None:
        pair = self.pair()
        pair.cut()
        states, inputs = len(pair.states), len(pair.server.of(Input))
        self.play(pair, 20.0)
        pair.advance(0.1)
        self.assertEqual(len(pair.states) - states, 1_000)
        self.assertEqual(len(pair.server.of(Input)) - inputs, 1_000)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")])

    def test_with_neither_everything_waits_and_the_newest_is_kept(self) -> None:
        pair = self.pair()
        pair.cut()
        pair.conditions = NOTHING
        self.play(pair, 20.0)
        inputs = len(pair.server.of(Input))
        states = len(pair.states)
        pair.resume()
        pair.advance(0.3)
        self.assertEqual(len(pair.states), states + 1)
        self.assertEqual(pair.states[-1].number, pair.server_session.states.newest)
        later = pair.server.of(Input)[inputs:]
        self.assertEqual(len(later), 120, "as many as are kept")
        self.assertEqual(len(pair.server.of(Input)) + later[0].missing, pair._input_number)

    def test_a_path_that_is_bound_again_after_a_return_is_no_news(self) -> None:
        pair = self.pair()
        pair.cut()
        pair.advance(1.0)
        pair.resume()
        self.play(pair, 3.0)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")])
            self.assertFalse(side.session.tunnelled)

    def test_one_that_is_not_is_blocked_after_five_seconds(self) -> None:
        pair = self.pair()
        pair.cut()
        pair.conditions = NOTHING
        pair.advance(0.5)
        pair.resume()
        pair.advance(BIND_SECONDS)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side), [("udp", "bound")])
        pair.advance(0.2)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side)[1:], [("tcp", "blocked")])
        pair.conditions = PERFECT
        pair.advance(31.0)
        for side in (pair.server, pair.client):
            self.assertEqual(self.told(side)[2:], [("udp", "back")])

    def test_datagrams_of_the_old_connection_id_bring_nothing(self) -> None:
        pair = self.pair()
        late = pair.sealed(pair.client, DatagramKind.DATA, pair.body(pair.client, (4, b"late")))
        pair.cut()
        pair.resume()
        pair.advance(0.5)
        pair.inject(pair.server, late, CLIENT_ADDRESS)
        self.assertEqual(pair.server.of(Unreliable), [])
        self.assertEqual(pair.server.counters.drop_datagram_unknown_session, 1)

    def test_a_datagram_that_is_no_data_confirms_a_return_and_data_does_not(self) -> None:
        pair = self.pair()
        pair.cut()
        pair.resume()
        pair.advance(pair.frame_delay)
        pair.server.frame_came = lambda data: None  # type: ignore[method-assign]
        self.assertEqual(pair.server.of(Resumed), [])
        body = pair.body(pair.client, (4, b"x"))
        pair.inject(pair.server, pair.sealed(pair.client, DatagramKind.DATA, body), CLIENT_ADDRESS)
        self.assertEqual((pair.server.of(Resumed), pair.server.of(Unreliable)), ([], []))
        pair.inject(pair.server, pair.sealed(pair.client, DatagramKind.PING, b"1234"))
        self.assertEqual(len(pair.server.of(Resumed)), 1)

    def test_a_return_is_told_once_and_when_the_other_side_is_there(self) -> None:
        pair = self.pair()
        for count in range(1, 4):
            pair.cut()
            pair.advance(1.0)
            for _ in range(3):
                pair.resume()
                pair.advance(pair.frame_delay / 2)
                pair.cut()  # before the client has read it
                pair.advance(1.0)
            pair.resume()
            pair.advance(1.0)
            for side in (pair.server, pair.client):
                self.assertEqual(len(side.of(Suspended)), count)
                self.assertEqual(len(side.of(Resumed)), count)
                self.assertApproximates(side.of(Resumed)[-1].away_seconds, 4.1, 0.1)

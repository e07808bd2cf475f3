"""Inputs, states and unreliable messages of a session, their acks, and its signs of life."""

from __future__ import annotations

import math

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.inputs import encode_inputs
from gamenet.core.session import ACK_DATAGRAMS
from gamenet.core.traffic import ONE
from gamenet.core.wire import (
    IS_MESSAGE,
    MAX_STATE_BYTES,
    MAX_UNRELIABLE_BYTES,
    PADDING,
    TIME_QUERY,
    TIME_REPLY,
    DatagramKind,
    MessageType,
)
from gamenet.errors import DisconnectReason
from gamenet.events import Input, Received, Unreliable
from tests.core.pair import (
    BAD,
    BEAT_SECONDS,
    CLIENT_ADDRESS,
    MOVES,
    PERFECT,
    Conditions,
    Move,
    Pair,
)


class LowLatencyTests(SynchronousTestCase):
    """Inputs, states, unreliable messages."""

    def test_a_round_through_a_bad_network(self) -> None:
        for seed in range(5):
            pair = Pair(seed, BAD)
            pair.bind()
            for number in range(1, 241):
                pair.send_input(number & 0xFFFF)
                pair.send_state(b"%d" % number, taken=len(pair.server.of(Input)))
                pair.seen_state = pair.states[-1].number if pair.states else 0
                pair.advance(1 / 60)
            pair.conditions = PERFECT
            pair.send_state(b"241")
            pair.advance(2.0)
            inputs = pair.server.of(Input)
            self.assertEqual(
                [(event.number, event.buttons) for event in inputs],
                [(number, number) for number in range(1, 241)],
            )
            self.assertEqual(sum(event.missing for event in inputs), 0)
            seen = [event.seen for event in inputs]
            self.assertEqual(seen, sorted(seen))
            self.assertGreater(seen[-1], 200)
            counters = pair.client.counters
            self.assertEqual(counters.states_received, len(pair.states))
            self.assertEqual(counters.states_outdated, pair.client_session.states.outdated)
            self.assertGreater(counters.states_outdated, 5)
            numbers = [state.number for state in pair.states]
            self.assertEqual(numbers, sorted(set(numbers)))
            self.assertEqual(numbers[-1], 241)
            self.assertTrue(all(state.payload == b"%d" % state.number for state in pair.states))
            self.assertEqual(pair.client_session.inputs.message(0), b"")

    def test_inputs_of_a_game_that_fell_silent_are_repeated_without_being_asked(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(2.0)
        pair.conditions = Conditions(loss=1.0)
        pair.send_input(7)
        for _ in range(10):
            sent = len(pair.wire)
            pair.advance(0.05 + BEAT_SECONDS + 0.001)
            self.assertGreater(len(pair.wire), sent)
        pair.conditions = PERFECT
        pair.advance(0.2)
        self.assertEqual([event.buttons for event in pair.server.of(Input)], [7])

    def test_several_messages_share_a_datagram(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        sent = len(pair.wire)

        def burst() -> None:
            for number in range(10):
                pair.server_session.queue_unreliable([(MessageType.UNRELIABLE, b"%d" % number)])
            pair.server_session.put_state((1, b"state", 0, 1, 1, 0))

        pair.server.run(burst)
        self.assertEqual(len(pair.wire) - sent, 1)
        pair.advance(0.1)
        self.assertEqual(len(pair.client.of(Unreliable)), 10)
        self.assertEqual(len(pair.states), 1)

    @given(
        st.sets(st.integers(0, 50)),
        st.integers(0, 60),
        st.one_of(st.integers(0, 30), st.integers(1_130, MAX_STATE_BYTES)),
        st.sampled_from((0, IS_MESSAGE)),
        st.tuples(*[st.integers(0, 2**40)] * 2),
        st.booleans(),
    )
    def test_the_short_cut_of_the_usual_flush_writes_what_the_long_way_writes(
        self,
        lost: set[int],
        heard: int,
        size: int,
        flag: int,
        clocks: tuple[int, int],
        owed: bool,
    ) -> None:
        pairs = [Pair(8), Pair(8)]
        for pair in pairs:
            pair.bind()
            pair.send_input(5)
            pair.advance(0.5)
            session = pair.server_session
            start = session.window.highest + 1
            for number in range(heard):
                if number not in lost:
                    session.window.mark(start + number)
            session._input_ack_due = owed
            session.put_state((9, bytes(size), flag, *clocks, 1))
        quick, plain = (pair.server_session for pair in pairs)
        now = pairs[0].now
        plain.budget.refill(now)
        self.assertEqual(quick.datagrams_to_send(now), plain._datagrams_in_budget(now))
        names = ("last_datagram_out", "datagrams_out", "bytes_out")
        for name in (*names, "_acks_owed", "_acks_due", "_parts"):
            self.assertEqual(getattr(quick, name), getattr(plain, name), name)
        self.assertEqual(quick.budget.level, plain.budget.level)
        self.assertEqual(quick.quality._sent, plain.quality._sent)
        self.assertEqual(quick._input_ack_due, plain._input_ack_due)
        self.assertEqual(quick.datagrams_to_send(now), [])

    @given(*[st.booleans()] * 5)
    def test_a_flush_for_frames_only_finds_what_the_long_way_finds(
        self, input_ack: bool, acks: bool, asked: bool, message: bool, timing: bool
    ) -> None:
        pairs = [Pair(8), Pair(8)]
        for pair in pairs:
            pair.bind()
            pair.send_input(5)
            pair.advance(0.5)
            session = pair.server_session
            session._input_ack_due = input_ack
            session._acks_due = acks
            session._time_asked = (7, pair.now) if asked else None
            session.input_timing.due = timing
            if message:
                session.queue_unreliable([(MessageType.UNRELIABLE, b"x")])
        quick, plain = (pair.server_session for pair in pairs)
        now = pairs[0].now
        plain.budget.refill(now)
        out = quick.datagrams_to_send(now)
        self.assertEqual(out, plain._datagrams_in_budget(now))
        self.assertEqual(bool(out), input_ack or acks or asked or message or timing)

    def test_a_waiting_state_is_replaced_not_queued(self) -> None:
        pair = Pair()
        pair.bind()

        def burst() -> None:
            for number in range(1, 6):
                pair.server_session.put_state((number, b"%d" % number, 0, number, number, 0))

        pair.server.run(burst)
        pair.advance(0.1)
        self.assertEqual([state.payload for state in pair.states], [b"5"])
        self.assertEqual(pair.server_session.states.replaced, 4)
        self.assertEqual(pair.server.counters.states_replaced, 4)

    def test_the_largest_of_each_fits(self) -> None:
        pair = Pair()
        pair.bind()
        pair.send_state(bytes(MAX_STATE_BYTES))
        pair.send_unreliable(pair.server, bytes(MAX_UNRELIABLE_BYTES))
        pair.send_unreliable(pair.client, bytes(MAX_UNRELIABLE_BYTES))
        pair.advance(0.5)
        self.assertEqual([len(state.payload) for state in pair.states], [MAX_STATE_BYTES])  # type: ignore[arg-type]
        for side in (pair.server, pair.client):
            (event,) = side.of(Unreliable)
            self.assertEqual(event.payload, bytes(MAX_UNRELIABLE_BYTES))
        self.assertLessEqual(max(len(data) for _, data, _ in pair.wire), 1_200)

    def test_the_oldest_unreliable_message_gives_way(self) -> None:
        pair = Pair(conditions=Conditions(loss=1.0), unreliable_messages=3)
        pair.client.writable = False
        for number in range(5):
            pair.send_unreliable(pair.client, b"%d" % number)
        self.assertEqual(pair.client.counters.drop_send_unreliable, 2)
        pair.conditions = PERFECT
        pair.advance(1.0)
        self.assertEqual(
            [event.payload for event in pair.server.of(Unreliable)], [b"2", b"3", b"4"]
        )

    def test_typed_states_and_messages(self) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        pair.send_state(MOVES.encode(Move(0.5)), flag=IS_MESSAGE)
        pair.send_unreliable(pair.client, MOVES.encode(Move(-0.5)), message=True)
        pair.advance(0.2)
        self.assertEqual([state.payload for state in pair.states], [Move(0.5)])
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)], [Move(-0.5)])

    def test_a_typed_unreliable_message_that_lies_is_counted_and_forgotten(self) -> None:
        pair = Pair(codec=MOVES)
        pair.bind()
        lie = msgspec.msgpack.encode(["Move", 7.0])
        pair.send_unreliable(pair.client, lie, message=True)
        pair.send_state(lie, flag=IS_MESSAGE)
        pair.advance(0.2)
        for side in (pair.server, pair.client):
            self.assertEqual(side.counters.drop_datagram_malformed, 1)
            self.assertIs(side.ended, None)
        self.assertEqual((pair.states, pair.server.of(Unreliable)), ([], []))

    def test_what_a_full_bridge_refuses_is_counted_and_inputs_come_again(self) -> None:
        pair = Pair()
        pair.bind()
        pair.server.turn.room = 0
        pair.deliver(pair.client, (MessageType.UNRELIABLE, b"x"), (MessageType.UNRELIABLE, b"y"))
        self.assertEqual(pair.server.counters.events_refused, 2)
        pair.send_input(1)
        pair.send_input(2)
        pair.send(pair.client, b"reliable")
        pair.advance(0.3)
        self.assertEqual((pair.server.of(Input), pair.server.of(Unreliable)), ([], []))
        self.assertGreater(pair.server.counters.events_refused, 2)
        self.assertEqual(len(pair.server.of(Received)), 1, "reliable messages have their room")
        pair.server.turn.room = 100
        pair.advance(0.3)
        self.assertEqual([event.buttons for event in pair.server.of(Input)], [1, 2])
        self.assertEqual(pair.client_session.inputs.message(0), b"")

    def test_of_a_datagram_only_the_first_messages_enter_where_room_is_short(self) -> None:
        pair = Pair()
        pair.bind()
        several = [(MessageType.UNRELIABLE, b"%d" % number) for number in range(5)]
        pair.server.turn.room = 3
        pair.deliver(pair.client, *several)
        self.assertEqual(
            [event.payload for event in pair.server.of(Unreliable)], [b"0", b"1", b"2"]
        )
        self.assertEqual(pair.server.counters.events_refused, 2)
        pair.server.turn.room = 100
        pair.server_session._share = 2  # of what the game has not taken
        pair.deliver(pair.client, *several)
        self.assertEqual([event.payload for event in pair.server.of(Unreliable)[3:]], [b"0", b"1"])
        self.assertEqual(pair.server.counters.events_refused, 5)

    def test_messages_of_several_types_in_a_datagram_keep_their_order_and_are_counted(self) -> None:
        pair = Pair()
        pair.bind()
        session = pair.server_session
        session.traffic.due = math.inf  # so that these counts go on
        before = session.traffic.came[:]
        first = (MessageType.UNRELIABLE, b"first")
        for between in ([], [(MessageType.INPUT, encode_inputs(1, 0, [1], 16))]):
            pair.deliver(pair.client, first, *between, (MessageType.UNRELIABLE, b"then"))
        kinds = [type(event).__name__ for event in pair.server.events[-5:]]
        self.assertEqual(kinds, ["Unreliable", "Unreliable", "Unreliable", "Input", "Unreliable"])
        unreliable = int(MessageType.UNRELIABLE)
        self.assertEqual(session.traffic.came[unreliable] - before[unreliable], 4 * ONE + 18)

    def test_inputs_beyond_the_allowed_rate_are_counted(self) -> None:
        pair = Pair(max_input_hz=10)
        pair.bind()
        for _ in range(100):
            pair.send_input(1)
            pair.advance(0.01)
        pair.advance(0.2)
        counters = pair.server.counters
        self.assertEqual(counters.inputs_emitted, len(pair.server.of(Input)))
        self.assertLessEqual(counters.inputs_emitted, 32)
        self.assertEqual(counters.inputs_emitted + counters.inputs_over_rate, 100)

    def test_the_clock_of_the_server_is_known_within_the_round_trip(self) -> None:
        pair = Pair(5, Conditions(loss=0.2, delay=0.04, spread=0.03))
        pair.bind()
        for _ in range(120):
            pair.send_state(b"state")
            pair.send_input(0)
            pair.advance(1 / 30)
        self.assertApproximates(pair.client_session.clock.time(pair.now), pair.now, 0.04)


class AckTests(SynchronousTestCase):
    """Acks ride along, are never late, and never keep each other alive."""

    def test_a_side_that_only_listens_acknowledges_after_50_ms_and_a_beat(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        pair.send_state(b"state")
        number = pair.server_session.sealer.number - 1
        pair.advance(0.02 + 0.05 + BEAT_SECONDS + 0.02 + 0.001)
        self.assertEqual(pair.server_session.quality._last_ack, number)

    def test_an_answer_that_carries_no_acks_does_not_put_them_off(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(2.0)
        pair.deliver(pair.client, (MessageType.UNRELIABLE, b"x"))
        number = pair.server_session.window.highest
        pair.advance(0.03)
        pair.inject(pair.server, pair.sealed(pair.client, 6, b"ping"), CLIENT_ADDRESS)
        pair.advance(0.05 + BEAT_SECONDS + 0.02 + 0.001)
        self.assertGreaterEqual(pair.client_session.quality._last_ack, number)

    def test_sixteen_datagrams_are_acknowledged_at_once(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        pair.advance(0.001)
        sent = len(pair.wire)
        for _ in range(ACK_DATAGRAMS):
            pair.deliver(pair.server, (MessageType.UNRELIABLE, b"x"))
        self.assertEqual(
            [(sender.name, len(data) <= 25 + 6 + 5) for sender, data, _ in pair.wire[sent:]],
            [("client", True)],
        )

    def test_a_server_with_nothing_to_say_does_so_too(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.001)
        sent = len(pair.wire)
        for count in range(1, ACK_DATAGRAMS + 1):
            self.assertEqual(len(pair.wire), sent)
            pair.deliver(pair.client, (MessageType.UNRELIABLE, b"%d" % count))
        self.assertEqual(
            [(sender.name, len(data)) for sender, data, _ in pair.wire[sent:]],
            [("server", 25 + 6)],
        )

    def test_a_question_about_the_time_is_answered_by_the_next_datagram(self) -> None:
        # Also by the flush of a tick, whose usual short cut has no place for it.
        pair = Pair()
        pair.bind()
        pair.advance(2.0)
        asked = int(pair.now * 1e6) & 0xFFFFFFFF
        pair.deliver(
            pair.client,
            (MessageType.TIME, TIME_QUERY.pack(asked)),
            (MessageType.INPUT, encode_inputs(1, 0, [1], 16)),
        )
        samples = pair.client_session.quality.estimator.samples
        pair.client_session.inputs.newest = 1
        pair.send_state(b"state")
        pair.advance(0.02)
        self.assertEqual(len(pair.states), 1)
        self.assertEqual(pair.client_session.quality.estimator.samples, samples + 1)
        self.assertApproximates(pair.client_session.quality.estimator.latest, 0.02, 1e-5)

    def test_two_silent_games_fall_silent(self) -> None:
        pair = Pair(ping_seconds=60.0, dead_seconds=200.0)
        pair.bind()
        pair.send_input(1)
        pair.send_state(b"state")
        pair.advance(2.0)
        sent = len(pair.wire), len(pair.frames)
        pair.advance(30.0)
        self.assertEqual((len(pair.wire), len(pair.frames)), sent)

    def test_an_ack_alone_asks_for_none_and_never_counts_as_lost(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        owed = pair.server_session._acks_owed
        data = pair.sealed(pair.client, DatagramKind.DATA, pair.body(pair.client))
        pair.inject(pair.server, data, CLIENT_ADDRESS)
        self.assertEqual(pair.server_session._acks_owed, owed)

    def test_losses_and_round_trips_are_those_of_the_network(self) -> None:
        pair = Pair(11, Conditions(loss=0.1, delay=0.05))
        pair.bind()
        for _ in range(60 * 60):
            pair.send_input(1)
            pair.send_state(b"state")
            pair.advance(1 / 60)
        for session in (pair.server_session, pair.client_session):
            quality = session.quality
            self.assertApproximates(quality.loss_in, 0.1, 0.06)
            self.assertApproximates(quality.loss_out, 0.1, 0.06)
            total = quality.lost / (quality.lost + quality.acked)
            self.assertApproximates(total, 0.1, 0.02)
        # The client knows how long its question waited; the server's samples hold up to a tick.
        self.assertApproximates(pair.client_session.quality.estimator.rtt, 0.1, 0.001)
        self.assertApproximates(pair.server_session.quality.estimator.rtt, 0.1, 0.02)
        self.assertEqual(pair.client_session.quality.label, "poor")


class LivenessTests(SynchronousTestCase):
    """Pings, and the end of who does not answer."""

    def test_an_idle_session_lives(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(300.0)
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))
        self.assertApproximates(pair.client_session.tcp_rtt, 0.04, 0.001)
        self.assertApproximates(pair.server_session.tcp_rtt, 0.04, 0.001)

    def test_each_ping_is_answered_once(self) -> None:
        pair = Pair()
        pair.advance(60.0)
        for side in (pair.server, pair.client):
            kinds = [data[0] for sender, data in pair.frames if sender is side]
            answers = [data[0] for sender, data in pair.frames if sender is pair.other(side)]
            self.assertGreaterEqual(kinds.count(Kind.PING), 10)
            self.assertLessEqual(
                kinds.count(Kind.PING) - answers.count(Kind.PONG), 1, "one may be on its way"
            )
            self.assertLessEqual(answers.count(Kind.PONG), kinds.count(Kind.PING))

    def test_who_talks_does_not_ping(self) -> None:
        pair = Pair()
        for _ in range(20):
            pair.send(pair.client, b"x")
            pair.send(pair.server, b"x")
            pair.advance(1.0)
        self.assertEqual([data for _, data in pair.frames if data[0] == Kind.PING], [])

    def test_the_udp_path_is_kept_open_in_silence(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(1.0)
        for _ in range(10):
            sent = len(pair.kinds_sent(pair.client))
            pair.advance(6.0)
            self.assertGreater(len(pair.kinds_sent(pair.client)), sent)

    def test_a_question_about_the_time_is_all_that_keeps_the_path_open(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(100.0)
        sent = len(pair.wire)
        pair.advance(100.0)
        for side, most in ((pair.client, 2), (pair.server, 1)):
            kinds = [data[0] & 0x0F for sender, data, _ in pair.wire[sent:] if sender is side]
            self.assertEqual(set(kinds), {DatagramKind.DATA})
            self.assertApproximates(len(kinds), most * 100 / 5.1, most * 2)

    def test_a_server_that_is_silent_answers_it_at_once(self) -> None:
        for zero in (0.0, None):
            pair = Pair()
            pair.bind()
            pair.advance(3.0)
            pair.server.turn.game_clock_zero = zero
            sent = len(pair.wire)
            pair.deliver(pair.client, (MessageType.TIME, TIME_QUERY.pack(9)))
            self.assertEqual([sender.name for sender, _, _ in pair.wire[sent:]], ["server"])
            size = len(pair.wire[sent][1]) - 25 - 6
            self.assertEqual(size, 0 if zero is None else 1 + TIME_REPLY.size)
            pair.deliver(pair.client, (MessageType.TIME, TIME_QUERY.pack(9)))
            self.assertEqual(len(pair.wire), sent + 1, "that one waits for another")

    def test_a_silent_peer_is_given_up_after_the_dead_time(self) -> None:
        pair = Pair()
        pair.advance(1.0)
        for side in (pair.server, pair.client):
            side.frame_came = lambda data: None  # type: ignore[method-assign]
        pair.advance(14.0)
        self.assertEqual((pair.server.ended, pair.client.ended), (None, None))
        pair.advance(1.1)
        self.assertEqual(
            (pair.server.ended, pair.client.ended),
            (DisconnectReason.TIMEOUT, DisconnectReason.TIMEOUT),
        )

    def test_an_answer_to_no_ping_is_no_measurement(self) -> None:
        pair = Pair()
        for number in (0, 1, 0xFFFFFFFF):
            pair.client.frame_came(frames.encode_ping(Kind.PONG, number))
        self.assertEqual((pair.client_session.tcp_rtt, pair.client.ended), (0.0, None))

    def test_a_key_that_is_used_up_stops_datagrams_and_nothing_else(self) -> None:
        pair = Pair()
        pair.bind()
        for side in (pair.server, pair.client):
            side.session.sealer.number = side.session.sealer.stop = 1_000
        sent = len(pair.wire)
        for number in range(400):
            pair.send_input(number)
            pair.send_state(b"state")
            # What one of them sealed before may still come, and asks for an answer.
            for side, kind, data in (
                (pair.client, DatagramKind.PING, b"1234"),
                (pair.server, DatagramKind.CHALLENGE, PADDING),
            ):
                sealer = side.session.sealer
                sealer.number = 100 + number
                late = sealer.seal(kind, data)
                sealer.number = 1_000
                pair.inject(pair.other(side), late, CLIENT_ADDRESS)
            pair.advance(0.1)
        self.assertEqual(len(pair.wire), sent)
        self.assertGreater(pair.server.counters.drop_send_full, 0)
        for side in (pair.server, pair.client):
            self.assertLessEqual(len(side.session._control), 1)
        pair.send(pair.client, b"still here")
        pair.advance(1.0)
        self.assertEqual([event.payload for event in pair.server.of(Received)], [b"still here"])

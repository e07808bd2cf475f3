"""Low-latency traffic inside TCP: so much of it at once, and never before what is reliable."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.tunnel import MAX_FLYING_BYTES, Tunnel
from gamenet.core.wire import ACKS_BYTES, MAX_BODY_BYTES, MAX_UNRELIABLE_BYTES, MessageType
from gamenet.events import Received, Unreliable
from tests.core.pair import PERFECT, Conditions, Pair

NOTHING = Conditions(loss=1.0)
WIDE = {"send_bytes_per_second": 1 << 20}
"""A budget that leaves it to the connection how much goes."""


class BudgetTests(SynchronousTestCase):
    """At most 16 KiB of bodies with messages are on their way."""

    @settings(max_examples=300)
    @given(
        st.lists(
            st.one_of(
                st.integers(ACKS_BYTES, MAX_BODY_BYTES).map(lambda size: ("put", size)),
                st.integers(0, 20).map(lambda count: ("acknowledge", count)),
                st.just(("take", 0)),
                st.just(("lose", 0)),
            ),
            max_size=120,
        )
    )
    def test_whatever_is_put_and_acknowledged(self, steps: list[tuple[str, int]]) -> None:
        tunnel = Tunnel()
        tunnel.writable = True
        flying: dict[int, int] = {}
        waiting: list[bytes] = []
        number = acknowledged = 0
        for what, value in steps:
            if what == "put":
                body = bytes(value)
                fits = sum(flying.values()) + value <= MAX_FLYING_BYTES
                alone = value == ACKS_BYTES
                self.assertEqual(tunnel.put(number, body), fits or alone)
                if fits or alone:
                    waiting.append(frames.encode_tunnel(number, body))
                if fits and not alone:
                    flying[number] = value
                number += 1
            elif what == "acknowledge":
                acknowledged = min(number - 1, acknowledged + value)
                flying = {each: size for each, size in flying.items() if each > acknowledged}
                room = sum(flying.values()) <= MAX_FLYING_BYTES - MAX_BODY_BYTES
                self.assertEqual(tunnel.has_room(acknowledged), room)
            elif what == "take":
                self.assertEqual(tunnel.take(), waiting)
                waiting = []
            else:
                tunnel.clear()
                flying, waiting = {}, []
                self.assertFalse(tunnel.has_room(acknowledged))
                tunnel.writable = True
            self.assertEqual(tunnel.frames, waiting)
            self.assertLessEqual(sum(flying.values()), MAX_FLYING_BYTES)

    def test_there_is_no_room_where_nothing_can_be_written(self) -> None:
        tunnel = Tunnel()
        self.assertFalse(tunnel.has_room(-1))
        tunnel.writable = True
        self.assertTrue(tunnel.has_room(-1))

    def test_acks_alone_pass_when_nothing_else_does(self) -> None:
        tunnel = Tunnel()
        tunnel.writable = True
        whole = MAX_FLYING_BYTES // MAX_BODY_BYTES
        for number in range(whole):
            self.assertTrue(tunnel.put(number, bytes(MAX_BODY_BYTES)))
        self.assertFalse(tunnel.has_room(-1))
        self.assertFalse(tunnel.put(whole, bytes(MAX_BODY_BYTES)))
        for number in range(whole, 1_000):
            self.assertTrue(tunnel.put(number, bytes(ACKS_BYTES)))
        self.assertFalse(tunnel.has_room(-1))
        self.assertTrue(tunnel.has_room(whole - 1))
        self.assertEqual(len(tunnel._flying), 0)


class FlowTests(SynchronousTestCase):
    """Two sessions whose datagrams do not pass."""

    def flying(self, pair: Pair, name: str) -> int:
        """Bytes of bodies that a side has written, and nobody has acknowledged."""
        side = getattr(pair, name)
        return sum(
            len(data) - 5
            for sender, data in pair.frames
            if sender is side
            and data[0] == Kind.TUNNEL
            and len(data) > 5 + ACKS_BYTES
            and frames.decode_tunnel(data)[0] > side.session.quality.acknowledged_up_to
        )

    def test_never_more_than_16_kib_are_unacknowledged(self) -> None:
        for name in ("server", "client"):
            pair = Pair(
                conditions=NOTHING,
                frame_delay=0.5,
                unreliable_messages=10_000,
                limits_of_server=WIDE,
            )
            side = getattr(pair, name)
            most = 0
            for _ in range(400):
                pair.send_unreliable(side, bytes(1_000))
                pair.advance(0.01)
                flying = self.flying(pair, name)
                self.assertLessEqual(flying, MAX_FLYING_BYTES)
                most = max(most, flying)
            self.assertGreater(most, MAX_FLYING_BYTES - MAX_BODY_BYTES)
            # The rest waits, or is gone; it is not in TCP.
            self.assertLess(len(pair.other(side).of(Unreliable)), 200)
            pair.advance(10.0)
            self.assertLess(self.flying(pair, name), 100, "but for what has just left")

    def test_many_at_once_fill_it_and_the_rest_is_dropped_and_counted(self) -> None:
        pair = Pair(conditions=NOTHING, limits_of_server=WIDE)
        pair.advance(0.1)

        def burst() -> None:
            for number in range(40):
                payload = b"%02d" % number + bytes(MAX_UNRELIABLE_BYTES - 2)
                pair.server_session.queue_unreliable([(MessageType.UNRELIABLE, payload)])

        pair.server.run(burst)
        dropped = pair.server.counters.drop_send_tunnel
        self.assertEqual(dropped, 40 - MAX_FLYING_BYTES // MAX_BODY_BYTES)
        pair.advance(1.0)
        came = [bytes(event.payload)[:2] for event in pair.client.of(Unreliable)]  # type: ignore[arg-type]
        self.assertEqual(came, [b"%02d" % number for number in range(40 - dropped)])

    def test_nothing_is_written_while_the_connection_takes_nothing(self) -> None:
        pair = Pair(conditions=NOTHING, dead_seconds=1_000.0)
        pair.advance(0.5)
        pair.server.writable = False
        written = len(pair.frames)
        for number in range(100):
            pair.send_state(b"%d" % number)
            pair.send_unreliable(pair.server, b"x")
            pair.send(pair.server, b"reliable")
            pair.advance(0.05)
        self.assertEqual([each for each in pair.frames[written:] if each[0] is pair.server], [])
        self.assertEqual(pair.server_session.tunnel.frames, [])
        pair.server.writable = True
        pair.server.run(pair.server_session.mark_frames)
        mine = [data[0] for side, data in pair.frames[written:] if side is pair.server]
        # First what is reliable, all of it; and of the states the newest.
        self.assertEqual(mine[:100], [Kind.DATA] * 100)
        self.assertEqual(mine[-1], Kind.TUNNEL)
        pair.advance(0.1)
        self.assertEqual(pair.states[-1].payload, b"99")
        self.assertLessEqual(len(pair.states), 1 + 10)

    def test_within_a_flush_it_goes_behind_what_is_reliable(self) -> None:
        pair = Pair(conditions=NOTHING)
        pair.advance(0.5)
        written = len(pair.frames)

        def turn() -> None:
            pair.server_session.queue_unreliable([(MessageType.UNRELIABLE, b"loose")])
            pair.server_session.ping(pair.now)
            pair.server_session.queue_frame(frames.encode_data(False, 0, b"first"))

        pair.server.run(turn)
        kinds = [data[0] for side, data in pair.frames[written:]]
        self.assertEqual(kinds, [Kind.DATA, Kind.PING, Kind.TUNNEL])

    def test_acks_flow_while_the_budget_is_used_up(self) -> None:
        # The server's own messages wait for an ack that is late; what it acknowledges does not.
        pair = Pair(conditions=NOTHING, unreliable_messages=10_000, limits_of_server=WIDE)
        pair.advance(0.5)
        hears = pair.server.frame_came
        waiting: list[bytes] = []
        for _ in range(60):
            pair.send_unreliable(pair.server, bytes(1_000))
        self.assertFalse(pair.server_session.tunnel.has_room(-1))
        self.patch(
            pair.server,
            "frame_came",
            lambda data: waiting.append(data) if data[0] == Kind.TUNNEL else hears(data),
        )
        pair.advance(1.0)
        self.patch(pair.server, "frame_came", hears)
        # Messages of the client, whose acks are taken out: so nothing of the server's is freed.
        acks = frames.decode_tunnel(waiting[0])[1][:0] + b"\xff\xff" + bytes(4)
        written = len(pair.frames)
        for number in range(16):
            low = pair.client_session.sealer.skip()
            message = bytes((0x44, number))
            pair.server.frame_came(frames.encode_tunnel(low, acks + message))
        self.assertEqual(len(pair.server.of(Unreliable)), 16)
        mine = [data for side, data in pair.frames[written:] if side is pair.server]
        self.assertEqual([len(data) for data in mine], [5 + ACKS_BYTES])

    def test_a_lost_connection_empties_it(self) -> None:
        pair = Pair(conditions=NOTHING, limits_of_server=WIDE)
        for _ in range(30):
            pair.send_unreliable(pair.server, bytes(1_000))
        self.assertGreater(self.flying(pair, "server"), 10_000)
        pair.cut()
        tunnel = pair.server_session.tunnel
        self.assertEqual((tunnel.frames, tunnel._flying_bytes, len(tunnel._flying)), ([], 0, 0))
        self.assertFalse(tunnel.writable)
        pair.resume()
        pair.advance(0.1)
        pair.send_unreliable(pair.server, b"again")
        pair.advance(0.1)
        self.assertEqual(pair.client.of(Unreliable)[-1].payload, b"again")


class NumberTests(SynchronousTestCase):
    """One space of numbers, one window, one set of acks for both ways."""

    def test_the_numbers_go_on_from_tcp_to_udp_and_back(self) -> None:
        pair = Pair(conditions=NOTHING)
        for _ in range(3):
            for _ in range(50):
                pair.send_input(1)
                pair.send_state(b"state")
                pair.advance(0.02)
            pair.conditions = PERFECT if pair.conditions is NOTHING else NOTHING
            pair.advance(9.0)
        for side in (pair.server, pair.client):
            by_udp = [
                int.from_bytes(data[5:9], "big") for each, data, _ in pair.wire if each is side
            ]
            by_tcp = [
                frames.decode_tunnel(data)[0]
                for each, data in pair.frames
                if each is side and data[0] == Kind.TUNNEL
            ]
            self.assertGreater(min(len(by_udp), len(by_tcp)), 20)
            self.assertEqual(
                sorted(by_udp + by_tcp), list(range(side.session.sealer.number)), side.name
            )

    def test_a_copy_of_what_came_by_udp_is_a_copy(self) -> None:
        pair = Pair()
        pair.bind()
        pair.advance(2.1)
        body = pair.body(pair.client, (4, b"x"))
        data = pair.sealed(pair.client, 5, body)
        number = int.from_bytes(data[5:9], "big")
        pair.inject(pair.server, data, pair.client_address)
        pair.server.frame_came(frames.encode_tunnel(number, body))
        self.assertEqual(len(pair.server.of(Unreliable)), 1)
        self.assertEqual(pair.server.counters.drop_tunnel_replayed, 1)
        self.assertFalse(pair.server_session.tunnelled, "what is old says nothing of the path")

    def test_and_the_other_way_about(self) -> None:
        pair = Pair(conditions=NOTHING)
        body = pair.body(pair.client, (4, b"x"))
        data = pair.sealed(pair.client, 5, body)
        number = int.from_bytes(data[5:9], "big")
        for _ in range(3):
            pair.server.frame_came(frames.encode_tunnel(number, body))
        pair.inject(pair.server, data, pair.client_address)
        self.assertEqual(len(pair.server.of(Unreliable)), 1)
        self.assertEqual(pair.server.counters.drop_tunnel_replayed, 2)
        self.assertEqual(pair.server.counters.drop_datagram_replayed, 1)

    def test_every_one_has_one_fate(self) -> None:
        pair = Pair(conditions=NOTHING, limits_of_server={"datagrams_burst": 10})
        body = pair.body(pair.client, (4, b"x"))
        first = 500
        for number in (0, 1, 1, *range(2, 59), 0):
            pair.server.frame_came(frames.encode_tunnel(first + number, body))
        counters = pair.server.counters
        self.assertEqual(counters.tunnel_in, 61)
        self.assertEqual(len(pair.server.of(Unreliable)), counters.tunnel_delivered)
        self.assertGreater(counters.drop_tunnel_rate, 40)
        self.assertEqual(counters.drop_tunnel_replayed, 2)
        self.assertEqual(
            counters.tunnel_delivered,
            counters.tunnel_in - counters.drop_tunnel_rate - counters.drop_tunnel_replayed,
        )
        self.assertEqual(len(pair.server.of(Received)), 0)
        self.assertEqual(len(pair.server.of(Unreliable)), counters.tunnel_delivered)
        # What was refused for its rate is not marked, and comes through later.
        self.assertEqual(pair.server_session.rate_dropped, counters.drop_tunnel_rate)
        heard = len(pair.server.of(Unreliable))
        pair.advance(1.0)
        pair.server.frame_came(frames.encode_tunnel(first + 58, body))
        self.assertEqual(len(pair.server.of(Unreliable)), heard + 1)
        self.assertEqual(counters.drop_tunnel_replayed, 2)

    def test_quality_means_the_same_inside_tcp(self) -> None:
        pair = Pair(conditions=NOTHING, frame_delay=0.05)
        for _ in range(60 * 20):
            pair.send_input(1)
            pair.send_state(b"state")
            pair.advance(1 / 60)
        for side in (pair.server, pair.client):
            quality = side.session.quality
            # The attempts to open UDP are lost indeed.
            self.assertLess(max(quality.loss_in, quality.loss_out), 0.005, side.name)
            self.assertApproximates(quality.estimator.rtt, 0.1, 0.02)
            self.assertGreater(side.session.datagrams_in, 1_000)
        self.assertEqual(pair.client_session.quality.label, "good")

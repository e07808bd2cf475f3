"""``quality()`` at both ends, against a network whose truth is known."""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.traffic import ONE, Period
from gamenet.core.wire import MessageType
from gamenet.errors import DisconnectReason
from gamenet.events import NO_QUALITY, Quality
from gamenet.impairment import Profile
from gamenet.samples import MAX_SAMPLES, ROW, Sample, TypeRate
from gamenet.testing import Pair
from tests.world import World

if TYPE_CHECKING:
    from gamenet.events import Player

DT = 0.05
STATE = bytes(range(200))


class Base(SynchronousTestCase):
    """Two games of 20 ticks a second, at the same moments."""

    def pair(self, latency_ms: float, **fields: Any) -> Pair:
        pair = Pair(profile=Profile(latency_ms=latency_ms), tick_rate=1 / DT, **fields)
        self.addCleanup(pair.close)
        pair.server.events()
        return pair

    def player(self, pair: Pair) -> Player:
        (player,) = pair.server.players
        return player

    def play(self, pair: Pair, seconds: float) -> None:
        player = self.player(pair)
        for _ in range(round(seconds / DT)):
            for _tick in pair.server.ticks(wait=False):
                pair.server.send_state(player, STATE)
            for _tick in pair.client.ticks(wait=False):
                pair.client.take_state()
                pair.client.send_input(1)
            pair.step()

    def both(self, pair: Pair) -> tuple[Quality, Quality]:
        """As the client and as the server sees it."""
        return pair.client.quality(), pair.server.quality(self.player(pair))


class RoundTripTests(Base):
    """The network's, and that from game to game."""

    def test_the_one_is_the_networks_and_the_other_has_the_waits_for_ticks_in_it(self) -> None:
        for latency_ms in (20, 45, 50, 70):
            pair = self.pair(latency_ms, input_hold_seconds=0.0)
            self.play(pair, 10)
            truth = 2 * latency_ms / 1000
            # Whoever gets something takes it in its next tick.
            waiting = 2 * ceil(latency_ms / 1000 / DT) * DT
            ours, theirs = self.both(pair)
            self.assertApproximates(ours.rtt_seconds, truth, 0.002)
            # What is acknowledged waits for a datagram of the client's, a tick at most.
            self.assertTrue(truth - 0.002 <= theirs.rtt_seconds <= truth + DT, theirs)
            for quality in (ours, theirs):
                self.assertApproximates(quality.end_to_end_seconds, waiting, 0.001)
                self.assertGreater(quality.end_to_end_seconds, truth - 1e-6)

    def test_an_input_that_is_held_for_its_tick_is_under_way_for_longer(self) -> None:
        pair = self.pair(45)
        self.play(pair, 10)
        for quality in self.both(pair):
            # There it is one tick early, as the client makes sure of 5 ms.
            self.assertApproximates(quality.end_to_end_seconds, 0.15, 0.001)

    def test_at_100_ms_and_60_ticks_a_second(self) -> None:
        pair = Pair(profile=Profile(latency_ms=50), tick_rate=60.0)
        self.addCleanup(pair.close)
        pair.server.events()
        player = self.player(pair)
        for _ in range(600):
            for _tick in pair.server.ticks(wait=False):
                pair.server.send_state(player, STATE)
            for _tick in pair.client.ticks(60.0, wait=False):
                pair.client.take_state()
                pair.client.send_input(1)
            pair.step()
        for quality in self.both(pair):
            self.assertApproximates(quality.rtt_seconds, 0.1, 0.003)
            self.assertTrue(0.1 <= quality.end_to_end_seconds <= 0.1 + 2 / 60 + 0.001, quality)

    def test_nothing_is_known_of_games_that_do_not_play(self) -> None:
        pair = self.pair(50)
        for _ in range(40):
            # Inputs and states, but nobody takes a state.
            for _tick in pair.server.ticks(wait=False):
                pair.server.send_state(self.player(pair), STATE)
            for _tick in pair.client.ticks(wait=False):
                pair.client.send_input(1)
            pair.step()
        self.assertEqual([one.end_to_end_seconds for one in self.both(pair)], [0.0, 0.0])
        self.assertApproximates(pair.client.quality().rtt_seconds, 0.1, 0.002)

    def test_a_pause_of_the_game_is_no_round_trip(self) -> None:
        pair = self.pair(20, input_hold_seconds=0.0)
        self.play(pair, 2)
        pair.run(6.0)
        self.play(pair, 2)
        for quality in self.both(pair):
            self.assertLess(quality.end_to_end_seconds, 0.2)

    def test_another_session_has_a_seat_of_its_own(self) -> None:
        pair = self.pair(20, input_hold_seconds=0.0)
        self.play(pair, 2)
        self.assertGreater(pair.client.quality().end_to_end_seconds, 0.0)
        pair.client.stop()
        pair.run(1.0)
        list(pair.client.events())
        pair.server.events()
        other = pair.join("other")
        pair.server.events()
        self.assertEqual(other.quality().end_to_end_seconds, 0.0)

    def test_who_has_no_bridge_is_measured_too(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.network.delay = 0.04
        player = world.server.players["ada"]
        for number in range(100):
            client.verbs.send_input(number & 1)
            world.run(0.03)
            world.server.verbs.send_state(player, STATE)
            world.run(0.03)
        for quality in (client.verbs.quality(), world.server.verbs.quality(player)):
            # There at once; back with what is sent next.
            self.assertTrue(0.08 <= quality.end_to_end_seconds <= 0.08 + 0.061, quality)

    def test_latest_smoothed_and_smallest(self) -> None:
        pair = self.pair(20)
        self.play(pair, 10)
        ours, _ = self.both(pair)
        self.assertApproximates(ours.rtt_latest_seconds, 0.04, 0.001)
        pair.network.link(profile=Profile(latency_ms=120))
        self.play(pair, 1.5)
        ours, theirs = self.both(pair)
        self.assertApproximates(ours.rtt_latest_seconds, 0.24, 0.001)
        self.assertApproximates(ours.rtt_min_seconds, 0.04, 0.001)
        # Two or three answers since, of which each counts an eighth.
        self.assertTrue(0.06 < ours.rtt_seconds < 0.12, ours)
        self.assertTrue(0.24 <= theirs.rtt_latest_seconds <= 0.24 + DT, theirs)
        self.assertGreater(ours.jitter_seconds, 0.005)


class FigureTests(Base):
    """Everything else."""

    def test_rates_of_both_ends_agree(self) -> None:
        pair = self.pair(20, baseline_bytes=0)
        self.play(pair, 5)
        ours, theirs = self.both(pair)
        self.assertApproximates(ours.types_in["state"].messages_per_second, 20.0, 1.0)
        self.assertApproximates(ours.types_in["state"].bytes_per_second, 20 * 217, 217)
        self.assertApproximates(ours.types_out["input"].messages_per_second, 20.0, 1.0)
        self.assertApproximates(theirs.types_in["input"].messages_per_second, 20.0, 1.0)
        self.assertApproximates(theirs.types_out["state"].messages_per_second, 20.0, 1.0)
        self.assertNotIn("state", theirs.types_in)
        self.assertNotIn("input", theirs.types_out)
        for one, other in (
            (ours.bytes_per_second_out, theirs.bytes_per_second_in),
            (theirs.bytes_per_second_out, ours.bytes_per_second_in),
        ):
            self.assertApproximates(one, other, 0.1 * other)
        self.assertGreater(theirs.bytes_per_second_out, 2 * theirs.bytes_per_second_in)
        for rate in (
            ours.datagrams_per_second_in,
            ours.datagrams_per_second_out,
            theirs.datagrams_per_second_in,
            theirs.datagrams_per_second_out,
        ):
            self.assertApproximates(rate, 20.0, 3.0)
        # Sums of all since the join, which grow with the rates.
        self.assertGreater(theirs.bytes_out, 4 * theirs.bytes_per_second_out)

    def test_there_are_300_samples_after_40_seconds(self) -> None:
        pair = self.pair(20)
        self.play(pair, 20)
        pair.network.link(profile=Profile(latency_ms=60))
        self.play(pair, 20)
        for quality in self.both(pair):
            samples = quality.samples
            self.assertEqual(len(samples), MAX_SAMPLES)
            self.assertIsInstance(samples[0], Sample)
            # The newest is last: 20 s ago it was another path.
            self.assertLess(samples[0].rtt_seconds, 0.1)
            self.assertLess(samples[90].rtt_seconds, 0.1)
            self.assertGreater(samples[115].rtt_seconds, 0.115)
            self.assertGreater(samples[-1].rtt_seconds, 0.115)
            counts = {sample.datagrams_out for sample in samples[-100:]}
            self.assertEqual(counts - {1, 2, 3, 4}, set())

    def test_there_are_300_samples_of_idle_games_too(self) -> None:
        pair = self.pair(20)
        pair.run(40.0)
        for quality in self.both(pair):
            self.assertEqual(len(quality.samples), MAX_SAMPLES)
            self.assertLess(sum(sample.datagrams_out for sample in quality.samples), 60)
            self.assertEqual((quality.bytes_per_second_in > 2_000, quality.types_in), (False, {}))

    def test_samples_are_only_unpacked_when_somebody_asks(self) -> None:
        quality = Quality(
            *("tcp", "unknown", *(0.0,) * 5, *(0,) * 6),  # type: ignore[arg-type]
            packed_samples=ROW.pack(1_000, 0, 0, 255, 9, 8, 7, 6),
        )
        self.assertEqual(quality.samples, (Sample(0.1, 0.0, 0.0, 1.0, 9, 8, 7, 6),))
        self.assertNotIn("packed", repr(quality))
        self.assertEqual(hash(quality), hash(quality))

    def test_unreliable_messages_that_wait_are_told(self) -> None:
        world = World(self)
        world.network.filter = lambda datagram: ()
        client = world.client("ada")
        world.settle()
        client.host.connection_of(client.session).writable = False
        for number in range(7):
            client.verbs.send_unreliable(bytes((number,)))
        self.assertEqual(client.verbs.quality().queued_unreliable, 7)
        client.host.connection_of(client.session).writable = True
        world.network.filter = lambda datagram: (datagram,)
        world.run(1.0)
        self.assertEqual(client.verbs.quality().queued_unreliable, 0)

    def test_a_state_that_waits_is_told(self) -> None:
        world = World(self)
        world.network.filter = lambda datagram: ()
        world.client("ada")
        world.settle()
        player, verbs = world.server.players["ada"], world.server.verbs
        session = world.server.session_of("ada")
        connection = world.server.host.connection_of(session)
        connection.writable = False
        verbs.send_state(player, bytes(999))
        self.assertEqual(verbs.quality(player).queued_state_bytes, 999)
        verbs.send_state(player, bytes(500))
        self.assertEqual(verbs.quality(player).queued_state_bytes, 500, "only the newest waits")
        connection.writable = True
        world.run(1.0)
        self.assertEqual(verbs.quality(player).queued_state_bytes, 0)
        # What is left of one under way counts as well.
        session._parts = [(5, bytes(1_042)), (5, bytes(300))]
        self.assertEqual(verbs.quality(player).queued_state_bytes, 1_342)
        session._parts = []

    def test_what_the_send_budget_allows(self) -> None:
        pair = self.pair(20, send_bytes_per_second=20_000)
        self.play(pair, 1)
        ours, theirs = self.both(pair)
        self.assertEqual(ours.send_bytes_per_second, 0.0)
        self.assertTrue(2_000 < theirs.send_bytes_per_second <= 20_000, theirs)

    def test_inputs_that_come_in_time_and_too_late(self) -> None:
        pair = self.pair(45)
        self.play(pair, 5)
        ours, theirs = self.both(pair)
        self.assertEqual((ours.inputs_late, theirs.inputs_late), (0, 0))
        self.assertApproximates(ours.input_lead_seconds, 0.05, 0.002)
        self.assertTrue(0.0 < theirs.input_lead_seconds < 0.1, theirs)
        pair.network.link(profile=Profile(latency_ms=145))
        self.play(pair, 5)
        ours, theirs = self.both(pair)
        self.assertGreater(theirs.inputs_late, 0)
        self.assertEqual(ours.inputs_late, theirs.inputs_late)
        self.assertApproximates(ours.input_lead_seconds, 0.15, 0.03)
        self.assertEqual((ours.inputs_missing, theirs.inputs_missing), (0, 0))

    def test_no_figure_stands_for_another(self) -> None:
        world = World(self)
        world.join("ada")
        session = world.server.session_of("ada")
        came, sent = ([0] * len(session.traffic.came) for _ in range(2))
        came[MessageType.UNRELIABLE] = 21 * ONE + 22
        sent[MessageType.FRAGMENT] = 23 * ONE + 24
        session.traffic._last = Period(1.0, (31, 32, 33, 34), came, sent)
        timing, estimator = session.input_timing, session.quality.estimator
        timing.lead, timing.late, timing.early, timing.missing = 0.4, 41, 42, 43
        estimator.rtt, estimator.rtt_min, estimator.latest, estimator.jitter = 0.5, 0.3, 0.6, 0.2
        session.quality.loss_in, session.quality.loss_out = 0.51, 0.52
        session.seat.end_to_end_seconds = 0.7
        quality = world.server.verbs.quality(world.server.players["ada"])
        self.assertEqual(
            (
                quality.bytes_per_second_in,
                quality.bytes_per_second_out,
                quality.datagrams_per_second_in,
                quality.datagrams_per_second_out,
            ),
            (31.0, 32.0, 33.0, 34.0),
        )
        self.assertEqual(quality.types_in, {"unreliable": TypeRate(21.0, 22.0)})
        self.assertEqual(quality.types_out, {"fragment": TypeRate(23.0, 24.0)})
        self.assertEqual(
            (
                quality.input_lead_seconds,
                quality.inputs_late,
                quality.inputs_early,
                quality.inputs_missing,
            ),
            (0.4, 41, 42, 43),
        )
        self.assertEqual(
            (
                quality.rtt_seconds,
                quality.rtt_min_seconds,
                quality.rtt_latest_seconds,
                quality.jitter_seconds,
                quality.end_to_end_seconds,
            ),
            (0.5, 0.3, 0.6, 0.2, 0.7),
        )
        self.assertEqual((quality.loss_in, quality.loss_out), (0.51, 0.52))

    def test_the_clock_of_the_server(self) -> None:
        pair = self.pair(20)
        self.play(pair, 10)
        ours, theirs = self.both(pair)
        now = pair.client._host.now()  # type: ignore[union-attr]
        self.assertApproximates(now + ours.clock_offset_seconds, pair.server.time(), 0.005)
        self.assertLess(ours.clock_uncertainty_seconds, 0.005)
        self.assertEqual(
            (theirs.clock_offset_seconds, theirs.clock_uncertainty_seconds), (0.0, 0.0)
        )

    def test_a_clock_that_is_not_known_may_be_off_by_anything(self) -> None:
        world = World(self)
        world.network.filter = lambda datagram: ()
        client = world.client("ada")
        world.settle()
        client.host.connection_of(client.session).writable = False
        quality = client.verbs.quality()
        self.assertEqual(
            (quality.clock_offset_seconds, quality.clock_uncertainty_seconds), (0.0, inf)
        )
        client.host.connection_of(client.session).writable = True

    def test_nothing_is_known_while_a_client_joins_anew(self) -> None:
        pair = self.pair(100, clients=0)
        client = pair.join("ada", rejoin=True)
        first = client.player
        pair.network.cut_tcp()
        host, _ = pair.server._live()
        host.end_session(host.registry.holder("ada"), DisconnectReason.SESSION_LOST)
        found: list[Quality] = []
        while client.player is first:
            pair.run(0.1)
            client.events()
            found.append(client.quality())
        self.assertIn(NO_QUALITY, found)
        self.assertIsNot(found[-1], NO_QUALITY)

    def test_of_one_who_is_gone_nothing_is_known(self) -> None:
        self.assertEqual(NO_QUALITY.label, "unknown")
        self.assertEqual(NO_QUALITY.samples, ())
        self.assertEqual((dict(NO_QUALITY.types_in), dict(NO_QUALITY.types_out)), ({}, {}))
        figures = [
            getattr(NO_QUALITY, name)
            for name in Quality.__dataclass_fields__
            if name not in ("path", "label", "types_in", "types_out", "packed_samples")
        ]
        self.assertEqual(set(figures), {0})

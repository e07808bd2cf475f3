"""The conductor: turns that end whatever happens in them, a timer that goes on, a true end."""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from gamenet.bridge import LATEST_SECONDS, Bridge
from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.reliable_half import LONE_ACK_SECONDS
from gamenet.core.turn import Turn
from gamenet.errors import DisconnectReason
from gamenet.events import Chat, Disconnected, Left, Received, Unreliable
from gamenet.turns import BEAT_SECONDS
from tests.fakes import FIN
from tests.world import World


class Broken(Exception):
    """A defect that a test put there."""


def breaks(*args: Any, **named: Any) -> Any:
    raise Broken


class TurnTests(SynchronousTestCase):
    """One batch of events, one flush, and no defect that stops the others."""

    def test_the_events_of_a_turn_are_published_as_one_batch(self) -> None:
        world = World(self, bridged=True)
        puppet = world.puppet().confirm()
        world.take()
        batches: list[int] = []
        bridge = world.server.bridge
        assert bridge is not None
        publish = bridge.publish
        self.patch(bridge, "publish", lambda batch: (batches.append(len(batch)), publish(batch)))
        puppet.wire.say_frame(*[frames.encode_say("hello")] * 20)
        self.assertEqual(batches, [20])

    def test_a_session_that_cannot_be_flushed_does_not_stop_the_others(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        session = type(world.server.session_of("ada"))
        original = session.frames_to_send

        def frames_to_send(self: Any, now: float) -> list[bytes]:
            if self.player.name == "ada":
                raise Broken
            found: list[bytes] = original(self, now)
            return found

        self.patch(session, "frames_to_send", frames_to_send)
        world.server.verbs.broadcast(b"to all")
        world.settle()
        self.assertEqual([len(each.of(Received)) for each in (ada, bob)], [0, 1])
        self.assertGreaterEqual(len(self.flushLoggedErrors(Broken)), 1)
        self.assertEqual(world.server.host._depth, 0)
        self.patch(session, "frames_to_send", original)
        world.server.verbs.broadcast(b"again")
        world.settle()
        self.assertEqual([len(each.of(Received)) for each in (ada, bob)], [2, 2])

    def test_a_command_that_breaks_does_not_stop_the_others(self) -> None:
        world = World(self, bridged=True)
        ada = world.join("ada")
        bridge = world.server.bridge
        assert bridge is not None
        bridge.submit(breaks)
        self.patch(world.server.host, "queue_unreliable", breaks)
        world.server.verbs.broadcast(b"lost with the defect", reliable=False)
        world.server.verbs.broadcast(b"x")
        world.take()
        # One line for each place.
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 2)
        self.assertEqual(len(ada.of(Received)), 1)

    def test_a_defect_while_a_frame_is_read_ends_that_session_alone(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        session = type(world.server.session_of("ada"))
        original = session._receive_say

        def receive_say(self: Any, data: bytes) -> None:
            if self.player.name == "ada":
                raise Broken
            original(self, data)

        self.patch(session, "_receive_say", receive_say)
        ada.verbs.say("hello")
        bob.verbs.say("hello")
        world.settle()
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)
        self.assertEqual(ada.end().reason, DisconnectReason.INTERNAL)
        self.assertEqual([event.player.name for event in world.server.of(Left)], ["ada"])
        self.assertEqual([event.player.name for event in world.server.of(Chat)], ["bob"])

    def test_a_session_that_ended_within_the_turn_sends_nothing_more(self) -> None:
        world = World(self, bridged=True)
        world.join("ada")
        player = world.server.players["ada"]
        before = len(world.network.datagrams)
        world.server.verbs.disconnect(player)
        world.server.verbs.send_state(player, b"too late")
        world.server.verbs.send_unreliable(player, b"too late")
        world.take()
        self.assertEqual(world.network.datagrams[before:], [])

    def test_what_waited_for_a_session_that_ends_in_the_same_turn_is_not_sent(self) -> None:
        world = World(self)
        world.join("ada")
        player = world.server.players["ada"]
        world.run(1.0)
        before = len(world.network.datagrams)
        world.server.host.begin_turn()
        world.server.verbs.send_state(player, b"x")
        world.server.verbs.send_unreliable(player, b"x")
        world.server.verbs.disconnect(player)
        world.server.host.end_turn()
        world.settle()
        self.assertEqual(world.network.datagrams[before:], [])

    def test_a_turn_ends_even_if_its_end_breaks(self) -> None:
        world = World(self)
        client = world.join("ada")
        original = Turn.settle
        host = world.server.host
        host.begin_turn()
        world.server.verbs.broadcast(b"x")
        host.turn.awaiting.append((10_000, client.session))
        self.patch(Turn, "settle", breaks)
        self.assertRaises(Broken, host.end_turn)
        self.patch(Turn, "settle", original)
        host.turn.awaiting.clear()
        client.verbs.send(b"x")
        world.settle()
        self.assertEqual(len(world.server.of(Received)), 1)
        self.assertEqual(len(client.of(Received)), 1)

    def test_the_end_of_a_player_of_another_family_in_the_turn_of_his_state_harms_nobody(
        self,
    ) -> None:
        # Two ports, as a server has that listens on both families; eve is not on the first.
        world = World(self, address="fd00::1")
        world.server.udp.stopListening()
        world.settle()
        world.server.machine.address = "10.0.0.1"
        four = world.server.factory.listen_udp(7777)
        world.server.machine.address = "fd00::1"
        world.server.udp = world.server.factory.listen_udp(7777)
        eve, ivy = world.join("eve"), world.join("ivy")
        players = world.server.players
        host = world.server.host
        host.begin_turn()
        world.server.verbs.send_state(players["eve"], b"x")
        world.server.verbs.disconnect(players["eve"])
        world.server.verbs.send_unreliable(players["ivy"], b"for ivy")
        host.end_turn()
        world.settle()
        self.assertEqual(eve.end().reason, DisconnectReason.KICKED)
        self.assertEqual(len(ivy.of(Unreliable)), 1)
        four.stopListening()
        world.settle()

    def test_verbs_within_offer_leave_in_the_same_turn(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        record = world.server.recorder.offer

        def offer(event: Any) -> bool:
            if isinstance(event, Chat):
                world.server.verbs.say(event.text, author=event.player)
                world.server.verbs.send(event.player, b"one")
                world.server.verbs.send(event.player, b"two")
            return record(event)

        self.patch(world.server.recorder, "offer", offer)
        writes: list[bytes] = []
        connection = world.server.host.connection_of(world.server.session_of("ada"))
        write = connection.transport.write
        self.patch(connection.transport, "write", lambda data: (writes.append(data), write(data)))
        ada.verbs.say("hello")
        world.settle()
        self.assertEqual(len(writes), 1, "the answers should share one write")
        self.assertEqual([event.text for event in bob.of(Chat)], ["hello"])
        self.assertEqual([event.payload for event in ada.of(Received)], [b"one", b"two"])


class BeatTests(SynchronousTestCase):
    """One timer for everybody, which nothing stops."""

    def test_there_is_one_timer_however_many_play(self) -> None:
        world = World(self)
        for number in range(5):
            world.join(f"p{number}")
        mine = [
            call
            for call in world.network.timers
            if getattr(call.func, "__self__", None) is world.server.host
        ]
        self.assertEqual(len(mine), 1)

    def test_a_defect_in_what_the_timer_does_ends_that_session_alone(self) -> None:
        world = World(self)
        ada, bob = world.join("ada"), world.join("bob")
        session = type(world.server.session_of("ada"))
        original = session.tick

        def tick(self: Any, now: float) -> Any:
            if self.player.name == "ada":
                raise Broken
            return original(self, now)

        self.patch(session, "tick", tick)
        world.run(2.0)
        self.assertEqual(len(self.flushLoggedErrors(Broken)), 1)
        self.assertEqual(ada.end().reason, DisconnectReason.INTERNAL)
        # The timer goes on: bob, who falls silent, is given up in time.
        assert bob.transport is not None
        bob.transport.stop_reading()
        bob.host._tick_sessions = lambda: None
        world.run(16.0)
        self.assertEqual(
            [(event.player.name, event.reason) for event in world.server.of(Left)],
            [("ada", DisconnectReason.INTERNAL), ("bob", DisconnectReason.TIMEOUT)],
        )

    def test_what_only_time_brings_comes_within_a_beat(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        client.verbs.send(b"x")
        client.take()
        world.settle()
        self.assertEqual(client.verbs.quality().queued_messages, 1)
        world.server.take()
        # At the first beat it is noticed, at another one it is told.
        world.run(LONE_ACK_SECONDS)
        self.assertEqual(client.verbs.quality().queued_messages, 1)
        world.run(2 * BEAT_SECONDS + 0.001)
        self.assertEqual(client.verbs.quality().queued_messages, 0)


class LivenessTests(SynchronousTestCase):
    """Silence is broken in time, and given up in time, on both sides."""

    def pings_of(self, written: bytes) -> int:
        found = 0
        while written:
            size = int.from_bytes(written[:4], "big")
            found += written[4] == Kind.PING
            written = written[4 + size :]
        return found

    def test_both_sides_ping_after_5_s_of_their_own_silence(self) -> None:
        world = World(self)
        client = world.join("ada")
        assert client.transport is not None
        ends = (client.transport, client.transport.peer)
        for end in ends:
            self.assertEqual(self.pings_of(end.written), 0)
        world.run(4.9)
        for end in ends:
            self.assertEqual(self.pings_of(end.written), 0)
        world.run(0.2)
        self.assertEqual(sum(self.pings_of(end.written) > 0 for end in ends), 2)
        world.run(60.0)
        for end in ends:
            self.assertTrue(8 <= self.pings_of(end.written) <= 14, self.pings_of(end.written))
        self.assertTrue(client.joined)

    def test_a_server_gives_up_a_silent_client_after_15_s(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        world.run(14.9)
        self.assertEqual(world.server.of(Left), [])
        world.run(0.2)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.TIMEOUT)
        self.assertEqual(puppet.wire.frames[-1][:2], bytes((Kind.BYE, DisconnectReason.TIMEOUT)))

    def test_a_client_gives_up_a_silent_server_after_15_s(self) -> None:
        world = World(self)
        client = world.join("ada")
        assert client.transport is not None
        client.transport.stop_reading()
        world.run(14.9)
        self.assertEqual(client.of(Disconnected), [])
        world.run(0.2)
        self.assertEqual(client.end().reason, DisconnectReason.TIMEOUT)
        world.run(3.0)
        (left,) = world.server.of(Left)
        self.assertIn(left.reason, (DisconnectReason.TIMEOUT, DisconnectReason.SESSION_LOST))

    def test_any_byte_is_life(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        # One frame in pieces, for a minute.
        slow = (1_000).to_bytes(4, "big") + frames.encode_data(False, 0, bytes(997))
        for place in range(60):
            puppet.wire.say(slow[place : place + 1])
            world.run(1.0)
        self.assertEqual(world.server.of(Left), [])

    def test_a_pong_measures_the_round_trip(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.network.delay = 0.1
        world.run(6.0)
        self.assertAlmostEqual(client.session.tcp_rtt, 0.2, places=1)


class EndTests(SynchronousTestCase):
    """Everybody hears the end once, and then nothing is left."""

    def test_a_bye_reaches_the_application_once_whichever_side_says_it(self) -> None:
        world = World(self)
        client = world.join("ada")
        client.host.leave()
        client.host.leave()
        world.settle()
        self.assertEqual([event.reason for event in world.server.of(Left)], [DisconnectReason.QUIT])
        self.assertEqual(client.end().reason, DisconnectReason.QUIT)
        other = world.join("bob")
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.settle()
        self.assertEqual(other.end().reason, DisconnectReason.STOPPED)
        self.assertEqual(len(world.server.of(Left)), 2)

    def test_both_saying_bye_at_once_is_one_end_each(self) -> None:
        world = World(self)
        client = world.join("ada")
        world.network.delay = 0.05
        client.host.leave()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.run(1.0)
        self.assertEqual(client.end().reason, DisconnectReason.QUIT)
        self.assertEqual(len(world.server.of(Left)), 1)

    def test_a_connection_that_just_breaks_is_an_end_on_both_sides(self) -> None:
        world = World(self)
        client = world.join("ada")
        assert client.transport is not None
        client.transport.peer.abortConnection()
        world.settle()
        self.assertEqual(client.end().reason, DisconnectReason.SESSION_LOST)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.SESSION_LOST)

    def test_a_client_that_quits_leaves_nothing_behind(self) -> None:
        world = World(self)
        client = world.join("ada")
        client.verbs.send(b"x")
        client.verbs.send_input(1)
        client.host.leave()
        world.run(0.5)
        machine = client.machine
        self.assertEqual([port for port in world.network.udp if port[0] == machine.address], [])
        self.assertEqual(world.network.connections, [])
        (mine,) = world.network.timers
        self.assertIs(mine.func.__self__, world.server.host)

    def test_a_game_that_speaks_as_it_quits_leaves_no_timer_behind(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        # Not at the end of a pass: the reactor would come for it within 5 ms.
        client.verbs.send(b"x")
        client.host.drain()
        client.host.leave()
        world.settle()
        mine = [
            call
            for call in world.network.timers
            if getattr(call.func, "__self__", None) is client.host
        ]
        self.assertEqual(mine, [])

    def test_a_wake_that_comes_when_all_is_over_sets_no_timer(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        client.host.leave()
        world.run(1.0)
        before = len(world.network.timers)
        done: list[int] = []
        assert client.bridge is not None
        client.bridge.submit(done.append, 1)
        world.settle()
        self.assertEqual(done, [1])
        self.assertEqual(len(world.network.timers), before)

    def test_a_server_that_stops_leaves_nothing_behind(self) -> None:
        world = World(self)
        for name in ("ada", "bob"):
            world.join(name)
        world.stranger()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.server.udp.stopListening()
        done: list[None] = []
        world.server.host.when_idle().addCallback(done.append)
        self.assertEqual(done, [])
        world.settle()
        self.assertEqual(done, [None])
        self.assertEqual(world.network.connections, [])
        self.assertEqual(world.network.timers, [])
        self.assertEqual(world.network.udp, {})

    def test_waiting_for_idleness_twice_and_late_works(self) -> None:
        world = World(self)
        world.server.udp.stopListening()
        world.settle()
        done: list[None] = []
        for _ in range(2):
            world.server.host.when_idle().addCallback(done.append)
        self.assertEqual(done, [None, None])

    def test_an_unjoined_connection_is_cut_when_the_server_stops(self) -> None:
        world = World(self)
        stranger = world.stranger()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.settle()
        self.assertNotEqual(stranger.ended, "")
        self.assertEqual(stranger.heard, b"")

    def test_messages_still_in_the_window_go_out_before_the_bye(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        world.server.verbs.broadcast(b"server closes")
        world.server.host.drain()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.take()
        self.assertEqual(len(client.of(Received)), 1)
        self.assertEqual(client.end().reason, DisconnectReason.STOPPED)


class WakeTests(SynchronousTestCase):
    """How the reactor hears of the game's commands."""

    def test_a_wake_of_the_game_drains_at_once(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        world.server.verbs.broadcast(b"x")
        world.server.take()
        before = world.network.seconds()
        world.settle()
        client.take()
        self.assertEqual(len(client.of(Received)), 1)
        self.assertEqual(world.network.seconds(), before)

    def test_a_game_that_never_ends_its_pass_is_heard_within_5_ms(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        world.server.verbs.broadcast(b"x")
        world.run(0.0051)
        client.take()
        self.assertEqual(len(client.of(Received)), 1)

    def test_no_command_waits_longer_than_5_ms_whoever_gives_it(self) -> None:
        """Also not one that trusted a look which the end of a pass then moved."""
        world = World(self, bridged=True)
        bridge = world.server.bridge
        assert bridge is not None
        chance = random.Random(20)
        waits: list[float] = []

        def note(given: float) -> None:
            waits.append(world.network.seconds() - given)

        for _ in range(2_000):
            world.run(chance.choice((0.0, 0.0005, 0.002, 0.004)))
            now = world.network.seconds()
            if chance.random() < 0.3:
                # A pass of a game at 20 Hz; its thread says nothing, others do.
                bridge.next_pass = now + 0.05
                bridge.end_pass()
            if chance.random() < 0.5:
                bridge.submit(note, now)
        world.run(0.01)
        self.assertGreater(len(waits), 500)
        self.assertLessEqual(max(waits), LATEST_SECONDS + 1e-6)

    def test_a_bridge_serves_the_reactor_that_it_was_given(self) -> None:
        clock = Clock()
        bridge = Bridge()
        woken: list[float] = []
        bridge.attach(clock, woken.append)
        self.assertIs(bridge.link, clock)
        bridge.close()


class PathTests(SynchronousTestCase):
    """Peers are told by how they end."""

    def test_an_orderly_close_before_any_answer_is_unreachable(self) -> None:
        world = World(self, max_unjoined_per_address=1)
        machine = world.machine()
        world.stranger(machine)
        client = world.client("ada", machine=machine)
        world.settle()
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        self.assertIn("hung up", client.end().text)

    def test_no_listener_is_unreachable(self) -> None:
        world = World(self)
        world.server.listening.stopListening()
        client = world.client("ada")
        world.settle()
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)

    def test_a_stranger_who_hangs_up_is_nobody(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.close()
        self.assertEqual((stranger.ended, world.server.events), (FIN, []))

"""
A session that loses its TCP connection and goes on over another one.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import (
    Chat,
    Connected,
    Disconnected,
    Joined,
    Left,
    PathChanged,
    Received,
    Resumed,
    Suspended,
)
from tests.world import ClientEnd, World


class Base(SynchronousTestCase):
    """A server that waits for those who lose their connection, and one who comes back."""

    def begin(self, *, user: str = "ada", **fields: Any) -> tuple[World, ClientEnd]:
        world = World(self, **{"resume_seconds": 60.0, **fields})
        return world, world.join(user, redials=True)

    def cut(self, client: ClientEnd) -> None:
        """Both ends learn at once that the connection is gone."""
        assert client.transport is not None
        client.transport.abortConnection()
        client.machine.network.settle()

    def payloads(self, end: Any) -> list[bytes]:
        return [event.payload for event in end.of(Received)]


class ResumeTests(Base):
    def test_both_sides_are_told_and_the_session_goes_on(self) -> None:
        for secure in (False, True):
            with self.subTest(secure=secure):
                world, client = self.begin(secure=secure)
                player = world.server.players["ada"]
                self.cut(client)
                (suspended,) = world.server.of(Suspended)
                self.assertIs(suspended.player, player)
                self.assertEqual(suspended.reason, DisconnectReason.SESSION_LOST)
                (mine,) = client.of(Suspended)
                self.assertIs(mine.player, client.host.player)
                world.play(1.0)
                (resumed,) = world.server.of(Resumed)
                self.assertIs(resumed.player, player)
                self.assertEqual(len(client.of(Resumed)), 1)
                self.assertTrue(0 < resumed.away_seconds < 1)
                self.assertEqual(len(world.server.of(Joined)), 1)
                self.assertEqual(world.server.of(Left), [])
                self.assertEqual(len(client.of(Connected)), 1)
                self.assertEqual(client.host.quality().path, "udp")
                world.close()

    def test_what_was_on_its_way_arrives_once_and_in_order(self) -> None:
        world, client = self.begin()
        player = world.server.players["ada"]
        world.network.delay = 0.05
        number = 0
        for _ in range(20):
            for _ in range(7):
                number += 1
                world.server.verbs.send(player, b"s%d" % number)
                client.verbs.send(b"c%d" % number)
            world.run(0.03)
            self.cut(client)
            world.play(1.0)
        world.play(2.0)
        wanted = [b"%d" % each for each in range(1, number + 1)]
        self.assertEqual(self.payloads(client), [b"s" + each for each in wanted])
        self.assertEqual(self.payloads(world.server), [b"c" + each for each in wanted])
        self.assertEqual(len(world.server.of(Suspended)), 20)
        self.assertEqual(len(world.server.of(Resumed)), 20)
        self.assertEqual(len(client.of(Resumed)), 20)

    def test_what_is_said_meanwhile_waits(self) -> None:
        world, client = self.begin()
        self.cut(client)
        client.verbs.send(b"early")
        client.verbs.say("hello")
        world.server.verbs.send(world.server.players["ada"], b"late")
        self.assertEqual(self.payloads(world.server), [])
        world.play(1.0)
        self.assertEqual(self.payloads(world.server), [b"early"])
        self.assertEqual([event.text for event in world.server.of(Chat)], ["hello"])
        self.assertEqual(self.payloads(client), [b"late"])

    def test_datagrams_go_on_meanwhile(self) -> None:
        world, client = self.begin()
        world.server.listening.stopListening()
        self.cut(client)
        world.play(1.0)
        world.server.forget()
        client.verbs.send_input(5)
        world.server.verbs.send_state(next(iter(world.server.verbs.players)), b"state")
        world.play(0.2)
        self.assertEqual([event.buttons for event in world.server.events], [5])
        self.assertEqual(client.host.state.payload, b"state")

    def test_inputs_and_states_keep_their_numbers(self) -> None:
        world, client = self.begin()
        player = world.server.players["ada"]
        world.server.verbs.send_state(player, b"one")
        client.verbs.send_input(1)
        world.play(0.2)
        self.cut(client)
        world.play(1.0)
        self.assertEqual(client.verbs.send_input(2), 2)
        self.assertEqual(world.server.verbs.send_state(player, b"two"), 2)
        world.play(0.2)
        self.assertEqual((client.host.state.number, client.host.state.payload), (2, b"two"))

    def test_a_new_connection_id_and_new_keys(self) -> None:
        world, client = self.begin()
        session = world.server.session_of("ada")
        before = session.cid, session.keys, session.sealer
        routes = dict(world.server.host.datagram_routes)
        self.cut(client)
        world.play(1.0)
        self.assertIs(world.server.session_of("ada"), session)
        self.assertNotEqual(session.cid, before[0])
        self.assertIsNot(session.keys, before[1])
        self.assertNotIn(before[0], world.server.host.datagram_routes)
        self.assertEqual(len(routes), len(world.server.host.datagram_routes))
        self.assertEqual(session.cid, client.session.cid)

    def test_nobody_comes_back_within_the_window(self) -> None:
        world, client = self.begin()
        world.server.listening.stopListening()
        player = world.server.players["ada"]
        world.server.verbs.send(player, b"taken")
        client.verbs.send(b"taken, too")
        world.play(0.3)
        self.cut(client)
        for number in range(3):
            world.server.verbs.send(player, b"s%d" % number)
            client.verbs.send(b"c%d" % number)
        world.play(59.0)
        self.assertEqual(world.server.of(Left), [])
        self.assertEqual(client.of(Disconnected), [])
        world.play(2.0)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.SESSION_LOST)
        self.assertEqual(left.unacknowledged, (b"s0", b"s1", b"s2"))
        end = client.end()
        self.assertEqual(end.reason, DisconnectReason.SESSION_LOST)
        self.assertEqual((end.unacknowledged, end.unacknowledged_count), ((b"c0", b"c1", b"c2"), 3))
        self.assertEqual(len(world.server.host.registry), 0)

    def test_a_lost_accept_locks_nobody_out(self) -> None:
        world, client = self.begin()
        world.network.delay = 0.05
        attempts = client.line.attempts
        for _ in range(5):
            self.cut(client)
            # Cut again between the server's ACCEPT and its arrival.
            while client.line.attempts == attempts or not client.transport.peer.written:
                world.run(0.01)
            attempts = client.line.attempts
            self.assertTrue(client.session.is_suspended)
        self.cut(client)
        world.play(3.0)
        self.assertFalse(client.session.is_suspended)
        self.assertEqual(len(world.server.of(Resumed)), 1)
        self.assertEqual(len(world.server.of(Suspended)), 1)

    def test_a_valid_resume_beats_a_connection_that_still_stands(self) -> None:
        world, client = self.begin()
        # The client's end is gone, and nobody tells the server.
        old = client.transport
        assert old is not None
        old.peer.arrive = lambda *args: None
        old.abortConnection()
        world.play(1.0)
        self.assertEqual(len(client.of(Resumed)), 1)
        self.assertEqual(
            [type(event) for event in world.server.events if type(event) in (Suspended, Resumed)],
            [Suspended, Resumed],
        )
        self.assertFalse(old.peer.connected)

    def test_a_client_does_not_redial_after_an_end_that_somebody_chose(self) -> None:
        world, client = self.begin()
        attempts = client.line.attempts
        world.server.verbs.disconnect(world.server.players["ada"], "enough")
        world.play(10.0)
        self.assertEqual(client.end().reason, DisconnectReason.KICKED)
        self.assertEqual(client.line.attempts, attempts)

    def test_who_is_removed_while_suspended_learns_why(self) -> None:
        world, client = self.begin()
        self.cut(client)
        world.server.verbs.disconnect(world.server.players["ada"], "enough")
        (left,) = world.server.of(Left)
        self.assertEqual((left.reason, left.text), (DisconnectReason.KICKED, "enough"))
        world.play(1.0)
        end = client.end()
        self.assertEqual((end.reason, end.text), (DisconnectReason.KICKED, "enough"))

    def test_whatever_the_reason_who_is_told_to_go_does_not_come_back(self) -> None:
        world, client = self.begin()
        self.cut(client)
        session = world.server.session_of("ada")
        world.server.host.end_session(session, DisconnectReason.TIMEOUT)
        world.play(10.0)
        self.assertEqual(client.end().reason, DisconnectReason.TIMEOUT)
        self.assertEqual(client.line.attempts, 2)

    def test_beyond_the_most_that_may_wait_the_longest_is_out(self) -> None:
        world, ada = self.begin(max_suspended=2)
        others = [world.join(name, redials=True) for name in ("bob", "eve")]
        listening = world.network.tcp.copy()
        world.network.tcp.clear()
        for client in (ada, *others):
            self.cut(client)
            world.run(0.1)
        (left,) = world.server.of(Left)
        self.assertEqual((left.player.name, left.reason), ("ada", DisconnectReason.SESSION_LOST))
        self.assertEqual(world.server.host.suspended, 2)
        world.network.tcp.update(listening)
        world.play(3.0)
        self.assertEqual({event.player.name for event in world.server.of(Resumed)}, {"bob", "eve"})

    def test_who_takes_over_a_connection_that_stands_is_not_one_more_who_waits(self) -> None:
        world, ada = self.begin(max_suspended=1)
        bob = world.join("bob", redials=True)
        listening = world.network.tcp.copy()
        world.network.tcp.clear()
        self.cut(ada)
        world.network.tcp.update(listening)
        ada.host.dialler.stop()
        # Bob's end is gone, and nobody tells the server.
        bob.transport.peer.arrive = lambda *args: None
        bob.transport.abortConnection()
        world.play(2.0)
        self.assertEqual([event.player.name for event in world.server.of(Resumed)], ["bob"])
        self.assertEqual(world.server.of(Left), [])

    def test_a_server_that_forgot(self) -> None:
        world, client = self.begin()
        client.verbs.send(b"taken")
        world.play(0.3)
        self.cut(client)
        client.verbs.send(b"never taken")
        world.server.host.claims.forget(world.server.session_of("ada"))
        world.play(1.0)
        end = client.end()
        self.assertEqual(end.reason, DisconnectReason.SESSION_LOST)
        self.assertEqual(end.refusal, RefusalReason.NO_SESSION)
        self.assertEqual(end.unacknowledged, (b"never taken",))
        world.play(60.0)


class RejoinTests(Base):
    def test_it_joins_anew_by_itself(self) -> None:
        world = World(self, resume_seconds=60.0)
        client = world.join("ada", redials=True, rejoin=True)
        client.verbs.send_input(3)
        world.server.verbs.send_state(world.server.players["ada"], b"old")
        world.play(0.2)
        self.cut(client)
        client.verbs.send(b"lost")
        world.server.host.end_session(world.server.session_of("ada"), DisconnectReason.SESSION_LOST)
        world.play(2.0)
        kinds = [type(event) for event in client.events]
        lost = client.of(Disconnected)[0]
        self.assertTrue(lost.rejoining)
        self.assertEqual(lost.unacknowledged, (b"lost",))
        self.assertEqual(len(client.of(Connected)), 2)
        self.assertGreater(
            len(kinds) - kinds[::-1].index(Connected), kinds.index(Disconnected), kinds
        )
        self.assertNotEqual(client.of(Connected)[0].player, client.of(Connected)[1].player)
        self.assertEqual(client.verbs.send_input(1), 1)
        world.server.verbs.send_state(world.server.players["ada"], b"new")
        world.play(0.2)
        self.assertEqual((client.host.state.number, client.host.state.payload), (1, b"new"))

    def test_it_waits_for_a_server_that_is_being_emptied(self) -> None:
        world = World(self, resume_seconds=60.0)
        client = world.join("ada", redials=True, rejoin=True)
        self.cut(client)
        world.server.host.end_session(world.server.session_of("ada"), DisconnectReason.SESSION_LOST)
        world.server.host.opens_again = world.server.host.now() + 20.0
        world.server.host.refuse_newcomers(RefusalReason.DRAINING)
        world.play(10.0)
        self.assertEqual(world.server.host.refusals[RefusalReason.DRAINING], 1)
        world.server.host.closed_because = None
        world.play(15.0)
        self.assertEqual(len(client.of(Connected)), 2)

    def test_it_gives_up_in_the_end(self) -> None:
        world = World(self, resume_seconds=10.0)
        client = world.join("ada", redials=True, rejoin=True)
        world.server.listening.stopListening()
        self.cut(client)
        world.play(30.0)
        ends = client.of(Disconnected)
        self.assertEqual(
            [(end.reason, end.rejoining) for end in ends],
            [(DisconnectReason.SESSION_LOST, True), (DisconnectReason.UNREACHABLE, False)],
        )


class TunnelTests(Base):
    def block(self, world: World) -> None:
        world.network.filter = lambda datagram: ()

    def test_without_udp_everything_goes_by_tcp(self) -> None:
        world = World(self, resume_seconds=60.0)
        self.block(world)
        client = world.client("ada")
        world.play(1.0)
        player = world.server.players["ada"]
        for number in range(1, 50):
            client.verbs.send_input(number)
            client.verbs.send_unreliable(b"u%d" % number)
            world.server.verbs.send_state(player, b"s%d" % number)
            world.play(0.02)
            self.assertEqual(client.host.state.payload, b"s%d" % number)
        inputs = [event.buttons for event in world.server.events if hasattr(event, "buttons")]
        self.assertEqual(inputs, list(range(1, 50)))
        world.play(5.0)
        for end in (world.server, client):
            (change,) = end.of(PathChanged)
            self.assertEqual((change.path, change.reason), ("tcp", "blocked"))

    def test_udp_that_falls_silent_and_comes_back(self) -> None:
        world, client = self.begin()
        player = world.server.players["ada"]
        told = []
        for second in range(20):
            if second == 2:
                self.block(world)
            if second == 12:
                world.network.filter = lambda datagram: (datagram,)
            for _ in range(30):
                client.verbs.send_input(1)
                world.server.verbs.send_state(player, b"s%d" % second)
                world.play(1 / 30)
            told.append(client.host.state.payload)
        for end in (world.server, client):
            changes = [(event.path, event.reason) for event in end.of(PathChanged)]
            self.assertEqual(changes, [("udp", "bound"), ("tcp", "silent"), ("udp", "back")])
        # For three seconds nobody knew; afterwards every state arrived.
        self.assertEqual(told[6:], [b"s%d" % second for second in range(6, 20)])

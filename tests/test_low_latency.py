"""The UDP end: a path that binds itself, through routers and losses, and datagrams that count."""

from __future__ import annotations

import errno
import itertools
from typing import TYPE_CHECKING

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import (
    ACKS,
    MAX_DATAGRAM_BYTES,
    PADDING,
    DatagramKind,
    MessageType,
    split_messages,
)
from gamenet.events import Input, PathChanged, Unreliable
from tests.fakes import PORT, SERVER_ADDRESS, Datagram, Machine
from tests.world import ClientEnd, World

if TYPE_CHECKING:
    from collections.abc import Iterable

BINDING = (
    DatagramKind.BIND,
    DatagramKind.CHALLENGE,
    DatagramKind.RESPONSE,
    DatagramKind.BOUND,
)


def kind_of(datagram: Datagram) -> int:
    return datagram.data[0] & 0x0F


class Loses:
    """A network that loses the first of the datagrams of some kinds."""

    def __init__(self, *kinds: int) -> None:
        self.left = list(kinds)

    def __call__(self, datagram: Datagram) -> Iterable[Datagram]:
        if kind_of(datagram) in self.left:
            self.left.remove(kind_of(datagram))
            return ()
        return (datagram,)


class BindingTests(SynchronousTestCase):
    """The path binds itself, and both games hear of it once."""

    def check_bound_once(self, world: World, client: ClientEnd) -> None:
        self.assertEqual(
            [(event.player, event.path, event.reason) for event in client.of(PathChanged)],
            [(client.host.player, "udp", "bound")],
        )
        self.assertEqual(
            [(event.player, event.path, event.reason) for event in world.server.of(PathChanged)],
            [(world.server.players["ada"], "udp", "bound")],
        )
        self.assertEqual(client.verbs.quality().path, "udp")
        self.assertEqual(world.server.verbs.quality(world.server.players["ada"]).path, "udp")

    def test_the_handshake_is_four_datagrams(self) -> None:
        world = World(self)
        client = world.join("ada")
        self.check_bound_once(world, client)
        self.assertEqual(
            [kind_of(each) for each in world.network.datagrams[:4]], [int(kind) for kind in BINDING]
        )

    def test_who_asks_spends_as_many_bytes_as_the_answer_has(self) -> None:
        world = World(self)
        world.join("ada")
        bind, challenge = world.network.datagrams[:2]
        self.assertEqual(len(bind.data), MAX_DATAGRAM_BYTES)
        self.assertEqual(len(challenge.data), MAX_DATAGRAM_BYTES)

    def test_the_server_learns_the_address_from_the_datagram(self) -> None:
        world = World(self)
        machine = Machine(world.network, "192.168.1.5", public_address="203.0.113.9")
        client = world.client("ada", machine=machine)
        world.settle()
        self.check_bound_once(world, client)
        host, port = world.server.session_of("ada").path.address
        self.assertEqual(host, "203.0.113.9")
        self.assertEqual(world.network.translations[host, port][0], "192.168.1.5")
        world.server.verbs.send_unreliable(world.server.players["ada"], b"through the router")
        world.settle()
        self.assertEqual(
            [event.payload for event in client.of(Unreliable)], [b"through the router"]
        )

    def test_two_players_behind_one_router_are_two(self) -> None:
        world = World(self)
        for user, address in (("ada", "192.168.1.5"), ("bob", "192.168.1.6")):
            world.client(
                user, machine=Machine(world.network, address, public_address="203.0.113.9")
            )
        world.settle()
        for user in ("ada", "bob"):
            world.server.verbs.send_unreliable(world.server.players[user], user.encode())
        world.settle()
        self.assertEqual(
            [[event.payload for event in client.of(Unreliable)] for client in world.clients],
            [[b"ada"], [b"bob"]],
        )

    def test_each_lost_step_of_the_handshake_is_made_up_for(self) -> None:
        for lost in BINDING:
            world = World(self)
            world.network.filter = Loses(lost)
            client = world.client("ada")
            world.settle()
            # For a lost BOUND whatever the server sends does as well.
            self.assertEqual(client.bound, lost is DatagramKind.BOUND, lost)
            world.run(3.0)
            self.check_bound_once(world, client)

    def test_a_handshake_that_loses_every_step_twice_comes_through(self) -> None:
        world = World(self)
        world.network.filter = Loses(*BINDING, *BINDING)
        client = world.client("ada")
        # Six attempts fail; the seventh is at 8 s, and what the server sends does for BOUND.
        world.run(7.9)
        self.assertFalse(client.bound)
        world.run(1.0)
        for end in (world.server, client):
            self.assertEqual(
                [(event.path, event.reason) for event in end.of(PathChanged)],
                [("tcp", "blocked"), ("udp", "bound")],
            )

    def test_the_attempts_keep_to_their_times_and_back_off(self) -> None:
        world = World(self, dead_seconds=1000.0)
        times: list[float] = []
        start = world.network.seconds()
        world.network.filter = lambda _: (times.append(world.network.seconds() - start), ())[1]
        world.client("ada", bind_retry_seconds=30.0, dead_seconds=1000.0)
        world.run(160.0)
        beat = 0.051
        for made, wanted in zip(times[:5], (0.0, 0.25, 0.5, 1.0, 2.0), strict=True):
            self.assertTrue(wanted <= made <= wanted + beat, (made, wanted))
        pauses = [after - before for before, after in itertools.pairwise(times[4:])]
        for pause, wanted in zip(pauses, (2, 4, 8, 16, 30, 30, 30), strict=False):
            self.assertTrue(wanted <= pause <= wanted + beat, (pauses, wanted))
        self.assertGreaterEqual(len(pauses), 6)

    def test_bound_is_told_once_however_often_it_is_answered(self) -> None:
        world = World(self)

        def doubled(datagram: Datagram) -> Iterable[Datagram]:
            return (datagram, datagram)

        world.network.filter = doubled
        client = world.client("ada")
        world.run(3.0)
        self.check_bound_once(world, client)
        self.assertGreater(world.server.counters.drop_datagram_replayed, 0)

    def test_the_udp_port_that_players_are_told_can_differ(self) -> None:
        world = World(self, advertised_udp_port=9999)
        # A port map: what arrives at 9999 goes to the real port.
        world.network.translations[SERVER_ADDRESS, 9999] = (SERVER_ADDRESS, PORT)
        client = world.client("ada")
        world.settle()
        self.assertTrue(client.bound)
        self.assertEqual({each.target[1] for each in world.network.datagrams[:1]}, {9999})

    def test_both_families_work(self) -> None:
        world = World(self, address="fd00::1")
        client = world.join("ada")
        self.check_bound_once(world, client)
        self.assertEqual(len(world.server.session_of("ada").path.address), 4)


class BeforeBoundTests(SynchronousTestCase):
    """No datagram carries game data before its path is proven."""

    def test_nothing_of_the_game_is_sent_before_bound(self) -> None:
        world = World(self)
        world.network.filter = Loses(*[DatagramKind.BOUND, DatagramKind.DATA] * 200)
        client = world.client("ada")
        world.settle()
        for number in range(60):
            client.verbs.send_input(number)
            client.verbs.send_unreliable(b"early")
            world.run(0.02)
        sent = [
            each for each in world.network.datagrams if each.source[0] == client.machine.address
        ]
        self.assertEqual({kind_of(each) for each in sent}, {DatagramKind.BIND, 3})
        # It has gone inside TCP.
        self.assertEqual([event.buttons for event in world.server.of(Input)], list(range(60)))
        self.assertEqual(len(world.server.of(Unreliable)), 60)

    def test_the_server_sends_no_data_to_an_address_that_is_not_proven(self) -> None:
        world = World(self)
        world.network.filter = Loses(*[DatagramKind.RESPONSE] * 20)
        world.client("ada")
        world.settle()
        player = world.server.players["ada"]
        for _ in range(60):
            world.server.verbs.send_state(player, b"world")
            world.server.verbs.send_unreliable(player, b"early")
            world.run(0.02)
        sent = [each for each in world.network.datagrams if each.source == (SERVER_ADDRESS, PORT)]
        self.assertEqual({kind_of(each) for each in sent}, {DatagramKind.CHALLENGE})

    def test_what_waited_leaves_once_bound(self) -> None:
        world = World(self)
        world.network.filter = lambda datagram: ()
        client = world.client("ada")
        world.settle()
        # TCP takes nothing either.
        for end, session in (
            (client, client.session),
            (world.server, world.server.session_of("ada")),
        ):
            end.host.connection_of(session).writable = False
        player = world.server.players["ada"]
        for number in range(1, 4):
            client.verbs.send_input(number)
            world.server.verbs.send_state(player, bytes((number,)))
            world.run(0.02)
        world.network.filter = lambda datagram: (datagram,)
        world.run(3.0)
        self.assertEqual(
            [(event.number, event.buttons, event.missing) for event in world.server.of(Input)],
            [(1, 1, 0), (2, 2, 0), (3, 3, 0)],
        )
        self.assertEqual(client.host.state.payload, b"\x03")


class PackingTests(SynchronousTestCase):
    """Several messages share a datagram."""

    def test_what_is_queued_in_one_pass_leaves_in_one_datagram(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        before = len(world.network.datagrams)
        world.server.verbs.send_state(player, b"world")
        for number in range(5):
            world.server.verbs.send_unreliable(player, bytes((number,)))
        world.server.take()
        world.settle()
        sent = world.network.datagrams[before:]
        self.assertEqual(len(sent), 1)
        body = client_opens(world, "ada", sent[0])
        kinds = [kind & 0x3F for kind, _ in split_messages(body)]
        self.assertEqual(kinds.count(MessageType.STATE), 1)
        self.assertEqual(kinds.count(MessageType.UNRELIABLE), 5)
        client.take()
        self.assertEqual(
            [event.payload for event in client.of(Unreliable)],
            [bytes((number,)) for number in range(5)],
        )
        self.assertEqual(client.verbs.take_state().payload, b"world")

    def test_what_does_not_fit_takes_another_datagram_and_no_more(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        before = len(world.network.datagrams)
        for _ in range(6):
            world.server.verbs.send_unreliable(player, bytes(500))
        world.server.take()
        world.settle()
        sent = world.network.datagrams[before:]
        self.assertEqual(len(sent), 3)
        self.assertTrue(all(len(each.data) <= MAX_DATAGRAM_BYTES for each in sent))
        client.take()
        self.assertEqual(len(client.of(Unreliable)), 6)

    def test_a_datagram_has_at_most_sixteen_messages(self) -> None:
        world = World(self, bridged=True)
        client = world.join("ada")
        player = world.server.players["ada"]
        before = len(world.network.datagrams)
        for _ in range(40):
            world.server.verbs.send_unreliable(player, b"")
        world.server.take()
        world.settle()
        self.assertEqual(len(world.network.datagrams) - before, 3)
        client.take()
        self.assertEqual(len(client.of(Unreliable)), 40)

    def test_the_largest_unreliable_message_and_state_fill_one_datagram_exactly(self) -> None:
        from gamenet.core.wire import MAX_UNRELIABLE_BYTES, SINGLE_STATE_BYTES

        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for send, size in (
            (world.server.verbs.send_unreliable, MAX_UNRELIABLE_BYTES),
            (world.server.verbs.send_state, SINGLE_STATE_BYTES),
        ):
            world.run(1.0)
            before = len(world.network.datagrams)
            send(player, bytes(size))
            world.settle()
            (sent,) = world.network.datagrams[before:]
            self.assertEqual(len(sent.data), MAX_DATAGRAM_BYTES)
        self.assertEqual(len(client.of(Unreliable)[0].payload), MAX_UNRELIABLE_BYTES)
        self.assertEqual(len(client.host.state.payload), SINGLE_STATE_BYTES)


def client_opens(world: World, user: str, datagram: Datagram) -> bytes:
    """The body of a datagram to a client."""
    client = next(each for each in world.clients if each.host.user == user)
    session = client.session
    low = int.from_bytes(datagram.data[5:9], "big")
    nonce = (session._iv ^ low).to_bytes(12, "big")
    body: bytes = session._decrypt(nonce, datagram.data[9:], datagram.data[:9])
    return body


class SendErrorTests(SynchronousTestCase):
    """Whatever the kernel says to a datagram, the port lives and time goes on."""

    ERRORS = (
        *("EMSGSIZE", "EHOSTUNREACH", "ENOBUFS", "ENOMEM", "EPERM"),
        *("ECONNREFUSED", "EAGAIN", "EINTR", "ENETUNREACH", "EACCES"),
    )

    def test_no_errno_kills_the_port_or_stops_a_timer(self) -> None:
        world = World(self)
        client = world.join("ada")
        player = world.server.players["ada"]
        for name in self.ERRORS:
            number = getattr(errno, name)
            world.network.send_error = OSError(number, name)
            server, ours = world.server.counters, client.counters
            before = (server.drop_send_error, ours.drop_send_error)
            for _ in range(10):
                world.server.verbs.send_state(player, b"lost")
                client.verbs.send_unreliable(b"lost")
                world.run(0.05)
            self.assertGreaterEqual(server.drop_send_error - before[0], 10, name)
            self.assertGreaterEqual(ours.drop_send_error - before[1], 10, name)
            world.network.send_error = None
            world.server.verbs.send_unreliable(player, name.encode())
            world.run(0.05)
            self.assertEqual(client.of(Unreliable)[-1].payload, name.encode())
        # The beat still beats: a ping is written after silence, and nobody is given up.
        world.run(60.0)
        self.assertTrue(client.joined)

    def test_a_player_of_the_other_family_whose_port_has_closed_costs_only_his_datagrams(
        self,
    ) -> None:
        world = World(self)
        client = world.join("ada")
        six = World(self, address="fd00::1")
        six.join("eve")
        player = six.server.players["eve"]
        # One more port, of the other family; then the one that eve came by goes away.
        four = six.server.machine.listenUDP(
            7778, type(six.server.udp.protocol)(six.server.host), "10.9.9.9"
        )
        six.server.udp.stopListening()
        six.settle()
        six.server.verbs.send_unreliable(player, b"nowhere to go")
        six.run(1.0)
        self.assertEqual(six.server.counters.drop_send_error > 0, True)
        self.assertEqual(six.server.host._depth, 0)
        self.assertTrue(client.joined)
        four.stopListening()


class BatchTests(SynchronousTestCase):
    """A batch of datagrams is one turn: one flush, whatever its size."""

    def test_sixteen_datagrams_are_acknowledged_by_one(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm().bind()
        protocol = world.server.udp.protocol
        before = len(world.network.datagrams)
        protocol.begin_turn()
        for _ in range(16):
            body = ACKS.pack(0xFFFF, 0) + bytes((MessageType.UNRELIABLE | 0x40,)) + b"x"
            protocol.datagramReceived(puppet.seal(DatagramKind.DATA, body), puppet.address)
        self.assertEqual(len(world.network.datagrams) - before, 0)
        protocol.end_turn()
        self.assertEqual(len(world.network.datagrams) - before, 1)
        self.assertEqual(len(world.server.of(Unreliable)), 16)

    def test_a_few_datagrams_are_acknowledged_soon(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm().bind()
        world.run(0.2)
        before = len(world.network.datagrams)
        puppet.send_messages((MessageType.UNRELIABLE, b"x"))
        self.assertEqual(len(world.network.datagrams) - before, 0)
        # 50 ms in the hope that something else leaves, and up to a beat.
        world.run(0.101)
        self.assertEqual(len(world.network.datagrams) - before, 1)

    def test_an_acknowledgement_is_not_acknowledged(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm().bind()
        world.run(0.2)
        before = len(world.network.datagrams)
        for _ in range(40):
            puppet.send(DatagramKind.DATA, ACKS.pack(0xFFFF, 0))
        world.run(1.0)
        self.assertEqual(len(world.network.datagrams) - before, 0)

    def test_a_stock_port_works_as_well(self) -> None:
        # The fake reactor's port is one: it knows no budget and opens no turns.
        world = World(self)
        client = world.join("ada")
        client.verbs.send_unreliable(b"x")
        world.settle()
        self.assertEqual(len(world.server.of(Unreliable)), 1)


class MigrationTests(SynchronousTestCase):
    """Only whoever has the keys and answers from there can move a path."""

    def test_a_bind_from_another_address_moves_the_path_once_it_answered(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm().bind()
        old = puppet.address
        puppet.address = ("198.51.100.7", 4242)
        puppet.send(DatagramKind.BIND, PADDING)
        session = world.server.session_of("mallory")
        self.assertEqual(session.path.address, old)
        ((kind, body),) = puppet.heard()
        self.assertEqual(kind, DatagramKind.CHALLENGE)
        puppet.send(DatagramKind.RESPONSE, body[:8])
        self.assertEqual(session.path.address, puppet.address)
        self.assertEqual(
            [event.reason for event in world.server.of(PathChanged)], ["bound", "moved"]
        )

    def test_a_response_from_elsewhere_proves_nothing(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.send(DatagramKind.BIND, PADDING)
        ((_, body),) = puppet.heard()
        puppet.address = ("198.51.100.7", 4242)
        puppet.send(DatagramKind.RESPONSE, body[:8])
        self.assertEqual(puppet.heard(), [])
        self.assertIsNone(world.server.session_of("mallory").path.address)
        self.assertEqual(world.server.counters.drop_datagram_unexpected, 1)

    def test_challenges_are_limited_to_three_a_second(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        before = len(world.network.datagrams)
        for number in range(20):
            puppet.address = ("198.51.100.7", 5000 + number)
            puppet.send(DatagramKind.BIND, PADDING)
        self.assertEqual(len(world.network.datagrams) - before, 3)
        self.assertEqual(world.server.counters.drop_datagram_unexpected, 17)


class ShareTests(SynchronousTestCase):
    """Nobody fills the bridge alone."""

    def world(self) -> World:
        return World(
            self,
            bridged=True,
            bridge_events=1_000,
            datagrams_burst=5_000,
            datagrams_per_second=5_000,
        )

    def test_a_noisy_player_gets_its_share_and_no_more(self) -> None:
        world = self.world()
        mallory = world.puppet().confirm().bind()
        bob = world.join("bob")
        for _ in range(2):
            world.server.forget()
            for _ in range(600):
                mallory.send_messages((MessageType.UNRELIABLE, b"noise"))
            bob.verbs.send_unreliable(b"and me")
            bob.take()
            world.settle()
            world.server.take()
            names = [event.player.name for event in world.server.of(Unreliable)]
            self.assertEqual((names.count("mallory"), names.count("bob")), (256, 1))
        self.assertEqual(world.server.counters.events_refused, 2 * (600 - 256))

    def test_inputs_beyond_the_share_come_again_and_none_is_missing(self) -> None:
        world = World(self, bridged=True, bridge_events_per_player=10)
        ada = world.join("ada")
        for number in range(30):
            ada.verbs.send_input(number & 1)
            ada.take()
            world.run(0.02)
        self.assertLessEqual(world.server.host.sink.waiting_events, 12)
        for _ in range(10):
            world.take()
            world.run(0.1)
        came = world.server.of(Input)
        self.assertEqual([event.number for event in came], list(range(1, 31)))
        self.assertEqual(sum(event.missing for event in came), 0)

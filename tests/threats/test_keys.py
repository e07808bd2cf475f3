"""Keys: no nonce twice, nothing opens after tampering, and nobody plays in clear by accident."""

from __future__ import annotations

import secrets
from typing import Any

from cryptography.exceptions import InvalidTag
from twisted.trial.unittest import SynchronousTestCase

from gamenet.client import GameClientFactory
from gamenet.config import ClientConfig
from gamenet.core import frames, record
from gamenet.core.record import Opener, Schedule
from gamenet.core.wire import HEADER, PADDING, DatagramKind
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Connected, Disconnected, Input, Joined, PathChanged
from gamenet.testing import Simulation
from tests import world as world_module
from tests.fakes import PORT, SERVER_ADDRESS, StrangerFactory
from tests.threats.attack import NO_ACCEPT_LIMITS, ThreatCase, plain_stranger
from tests.world import ClientEnd, Recorder, World, hello

RESTARTS = 20
JOINS = 10_000 // RESTARTS


class NonceTests(SynchronousTestCase):
    """AES-GCM is broken by one nonce that is used twice under one key."""

    def setUp(self) -> None:
        self.used: set[bytes] = set()
        self.keys: set[bytes] = set()
        self.repeated = 0
        original = record.AESGCM
        case = self

        class Recorded:
            """Notes everything that is sealed."""

            def __init__(self, key: bytes) -> None:
                real = original(key)
                self.decrypt = real.decrypt

                def encrypt(nonce: bytes, data: bytes, header: bytes) -> bytes:
                    pair = key + nonce
                    case.repeated += pair in case.used
                    case.used.add(pair)
                    case.keys.add(key)
                    return real.encrypt(nonce, data, header)

                self.encrypt = encrypt

        self.patch(record, "AESGCM", Recorded)
        # What servers have unless a test says otherwise.
        self.patch(world_module, "random_bytes", lambda seed: secrets.token_bytes)

    def test_tenThousandJoinsAndRestartsRepeatNone(self) -> None:
        """The same players from the same addresses, again and again, on servers that restart."""
        joins = 0
        for restart in range(RESTARTS):
            world = World(self, **NO_ACCEPT_LIMITS)
            machine = world.machine()
            for number in range(JOINS):
                puppet = world.puppet(f"p{number % 5}")
                puppet.address = (machine.address, 50_000)
                puppet.confirm()
                if number % 2:
                    puppet.bind()
                    player = world.server.session_of(f"p{number % 5}").player
                    world.server.verbs.send_state(player, b"state")
                    world.settle()
                else:
                    puppet.send(DatagramKind.BIND, PADDING)
                puppet.wire.abort()
                joins += 1
                world.strangers.clear()
            self.assertEqual(len(world.server.of(Joined)), JOINS, restart)
            world.close()
        self.assertEqual(joins, 10_000)
        self.assertEqual(self.repeated, 0)
        # Each join has a key of its own in each direction.
        self.assertEqual(len(self.keys), 20_000)
        self.assertEqual(len(self.used), 20_000 + 3 * 5_000)

    def test_aThousandReturnsToSessionsRepeatNone(self) -> None:
        """The same session on one connection after another, on servers that restart."""
        for restart in range(2):
            with Simulation(seed=f"returns {restart}") as simulation:
                server, client = simulation.server, simulation.clients[0]
                server.events()
                (player,) = server.players
                returns = 0
                while returns < 500:
                    client.send_input(returns & 7)
                    server.send_state(player, b"state")
                    simulation.step(2)
                    simulation.network.cut_tcp(client)
                    simulation.until(lambda: client.stats()["resumes"] > returns)  # noqa: B023
                    simulation.step()
                    client.events()
                    returns += 1
        self.assertEqual(self.repeated, 0)
        # Each connection has a key of its own in each direction.
        self.assertEqual(len(self.keys), 2 * (2 * 500 + 2))
        self.assertGreater(len(self.used), 4 * 1_000)

    def test_newKeysInTheMiddleOfAGameRepeatNone(self) -> None:
        world = World(self, secure=True, rekey_datagrams=40)
        players = [world.join(name) for name in ("ada", "bob", "eve")]
        for number in range(900):
            for client in players:
                client.verbs.send_input(number & 7)
            for player in world.server.players.values():
                world.server.verbs.send_state(player, b"state")
            world.run(0.05)
        self.assertGreater(world.server.counters.rekeys, 8)
        self.assertEqual(len(world.server.of(Input)), 3 * 900)
        self.assertEqual(self.repeated, 0)
        self.assertGreater(len(self.keys), 2 * (3 + 8))

    def test_whatIsRecordedHereWouldShowARepeat(self) -> None:
        keys = record.Keys(bytes(32), bytes(12))
        for _ in range(2):
            record.Sealer(keys, 1).seal(DatagramKind.DATA, b"")
        self.assertEqual(self.repeated, 1)


class TamperingTests(SynchronousTestCase):
    """What is agreed at the join is part of the keys: a change on the way leaves no key."""

    def meet(self, **changed: Any) -> tuple[World, ClientEnd]:
        """A player whose ACCEPT was changed on its way."""
        encode = frames.encode_accept

        def tampered(accept: frames.Accept) -> bytes:
            fields = {name: change(getattr(accept, name)) for name, change in changed.items()}
            return encode(accept._replace(**fields))

        self.patch(frames, "encode_accept", tampered)
        world = World(self)
        client = world.client("ada")
        world.settle()
        self.patch(frames, "encode_accept", encode)
        for _ in range(50):
            if client.joined:
                client.verbs.send_input(1)
            world.run(0.1)
        return world, client

    def check_no_datagram_opens(self, **changed: Any) -> ClientEnd:
        world, client = self.meet(**changed)
        self.assertEqual(world.server.counters.datagrams_delivered, 0, changed)
        self.assertEqual(client.counters.datagrams_delivered, 0, changed)
        for side in (world.server, client):
            self.assertNotIn("udp", [event.path for event in side.of(PathChanged)], changed)
        return client

    def test_withoutTamperingTheyOpen(self) -> None:
        _, client = self.meet()
        self.assertTrue(client.bound)

    def test_nothingThatTheKeysAreMadeOfCanBeChanged(self) -> None:
        for name, change in (
            ("session_id", lambda value: bytes((value[0] ^ 1,)) + value[1:]),
            ("cid", lambda value: value ^ 1),
            ("udp_secret", lambda value: value[:-1] + bytes((value[-1] ^ 128,))),
            ("flags", lambda value: value ^ frames.ACCEPT_RESUMED),
            ("flags", lambda value: value ^ 8),
            ("flags", lambda value: value ^ 128),
        ):
            self.check_no_datagram_opens(**{name: change})

    def test_anotherVersionOrSuiteEndsTheJoin(self) -> None:
        for name, change in (
            ("version", lambda value: value + 1),
            ("version", lambda value: 0),
            ("suite", lambda value: value + 1),
            ("suite", lambda value: 0),
        ):
            client = self.check_no_datagram_opens(**{name: change})
            self.assertEqual(client.of(Connected), [])
            self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA)

    def test_lyingAboutTlsEndsTheJoin(self) -> None:
        for flags in (0, frames.ACCEPT_EXPORTER, frames.ACCEPT_EXPORTER | frames.ACCEPT_INSECURE):
            client = self.check_no_datagram_opens(flags=lambda value, flags=flags: flags)
            self.assertEqual(client.of(Connected), [])
            self.assertEqual(client.end().reason, DisconnectReason.BAD_DATA)

    def test_aClientThatOffersLessGetsNoLess(self) -> None:
        """Taking suites or versions out of a HELLO ends in a refusal, not in a weaker session."""
        world = World(self)
        for fields in (
            {"suites": 0},
            {"suites": 2},
            {"min_version": 2, "max_version": 9},
        ):
            stranger = world.stranger()
            stranger.say_frame(frames.encode_hello(hello("ada", **fields)))
            self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.VERSION)])


class ExporterTests(ThreatCase):
    """Over TLS, the frames alone do not give the keys away."""

    secure = True

    def test_whoeverReadsTheFramesAloneOpensNothing(self) -> None:
        mallory = self.world.puppet().confirm().bind()
        (answer,) = [
            each.data
            for each in self.world.network.datagrams
            if each.target == mallory.address and each.data[0] & 0x0F == DatagramKind.BOUND
        ]
        _, _, number = HEADER.unpack_from(answer)
        self.assertEqual(mallory.opener.open(number, answer), b"")
        for exporter in (b"", bytes(32), b"x" * 32):
            _, to_client = Schedule(mallory.accept, exporter).directions()
            self.assertRaises(InvalidTag, Opener(to_client).open, number, answer)

    def test_noTwoSessionsExportTheSame(self) -> None:
        exported = set()
        for number in range(5):
            puppet = self.world.puppet(f"p{number}")
            protocol = self.world.server.host.connection_of(self.session(f"p{number}"))
            for context in (puppet.accept.session_id, puppet.accept.session_id + b"x"):
                exported.add(protocol.exporter(context))
        self.assertEqual(len(exported), 10)

    def test_nothingOfAJoinIsReadableOnTheWire(self) -> None:
        self.world.client("secret-name", password="secret-word")
        self.world.settle()
        wire = b"".join(each.written for each in self.world.network.connections)
        self.assertNotIn(b"secret", wire)
        self.assertNotIn(frames.MAGIC, wire)


class OptInTests(SynchronousTestCase):
    """Without TLS nobody plays who did not say so, and what is said is nothing."""

    def dial_plainly(self, world: World) -> tuple[Any, Recorder]:
        recorder = Recorder()
        factory = GameClientFactory(
            recorder,
            ClientConfig(),
            user="ada",
            password="secret-word",
            reactor=(machine := world.machine()),
            now=machine.seconds,
        )
        transport = machine.connect(factory, (SERVER_ADDRESS, PORT))
        world.run(3.0)
        return transport, recorder

    def test_aClientThatDidNotSaySoSendsNothingAndRefuses(self) -> None:
        world = World(self)
        transport, recorder = self.dial_plainly(world)
        self.assertEqual(transport.written, b"")
        (ended,) = recorder.events
        assert isinstance(ended, Disconnected)
        self.assertEqual(
            (ended.reason, ended.refusal), (DisconnectReason.REFUSED, RefusalReason.INSECURE)
        )
        self.assertEqual(world.server.events, [])

    def test_aServerWithoutTlsHearsNoSecretFromAClientThatWantsIt(self) -> None:
        world = World(self)
        client = world.client("secret-name", password="secret-word", insecure=False)
        transport = client.transport
        assert transport is not None
        world.run(3.0)
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        for part in (b"secret", frames.MAGIC):
            self.assertNotIn(part, transport.written)
        self.assertEqual(world.server.events, [])

    def test_aServerThatDidNotSaySoRefusesWhoeverComesInClear(self) -> None:
        """Even where whoever owns the reactor listens without TLS by mistake."""
        world = World(self, secure=True)
        listening = world.server.machine.listenTCP(PORT + 1, world.server.factory)
        factory = StrangerFactory()
        world.machine().connect(factory, (SERVER_ADDRESS, PORT + 1))
        world.settle()
        (stranger,) = factory.made
        world.strangers.append(stranger)
        stranger.say_frame(frames.encode_hello(hello("ada")))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.INSECURE)])
        listening.stopListening()
        self.assertEqual(world.server.of(Joined), [])

    def test_aServerWithTlsDoesNotAnswerWhoeverComesInClear(self) -> None:
        world = World(self, secure=True)
        stranger = plain_stranger(world)
        stranger.say_frame(frames.encode_hello(hello("ada")))
        world.run(6.0)
        self.assertNotIn(bytes((frames.Kind.ACCEPT,)), stranger.heard[:5])
        self.assertEqual(world.server.of(Joined), [])
        self.assertNotEqual(stranger.ended, "")

    def test_somebodyInTheMiddleWithACertificateOfTheirOwnHearsNothing(self) -> None:
        from gamenet.certificates import make_certificate
        from gamenet.tls import client_creator, wrap_client

        world = World(self, secure=True)
        recorder = Recorder()
        machine = world.machine()
        factory = GameClientFactory(
            recorder,
            ClientConfig(),
            user="secret-name",
            password="secret-word",
            reactor=machine,
            now=machine.seconds,
        )
        pin = make_certificate([SERVER_ADDRESS]).fingerprint
        creator = client_creator(SERVER_ADDRESS, pin=pin)
        machine.connect(wrap_client(creator, factory), (SERVER_ADDRESS, PORT))
        world.run(3.0)
        (ended,) = recorder.events
        assert isinstance(ended, Disconnected)
        self.assertEqual(ended.reason, DisconnectReason.UNREACHABLE)
        self.assertEqual(world.server.counters.frames_in, 0)

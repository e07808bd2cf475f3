"""A server's beacon: whom it answers, how often, with what, and what it does where it cannot."""

from __future__ import annotations

import dataclasses
import errno
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import Portal
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import eventAsText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet import beacon as beacon_module
from gamenet.auth import PlayerRealm
from gamenet.beacon import (
    ADDRESSES,
    ANSWERS_BURST,
    ANSWERS_BURST_PER_ADDRESS,
    ANSWERS_PER_SECOND_AND_ADDRESS,
    LOOK_SECONDS,
    Beacon,
)
from gamenet.certificates import make_certificate
from gamenet.config import ServerConfig
from gamenet.core.beacon import (
    BROADCAST,
    CLOSED,
    GROUP,
    MAX_NAME_BYTES,
    NEEDS_PROOF,
    NO_PIN,
    PORT,
    SECURE,
    Answer,
    Query,
    decode_answer,
    encode_query,
)
from gamenet.errors import ConfigError
from gamenet.lan import Interface
from gamenet.service import GameServerService
from gamenet.testing import SimulatedNetwork, SimulatedReactor
from tests import certificates
from tests.fakes import random_bytes
from tests.world import Recorder


class Asker(DatagramProtocol):
    """Somebody on the network who asks.

    :param port: of theirs; 0 is a free one.
    """

    noisy = False

    def __init__(self, network: SimulatedNetwork, address: str = "", port: int = 0) -> None:
        self.heard: list[bytes] = []
        self.sources: list[Any] = []
        self.sent_bytes = 0
        self._network = network
        self._random = random_bytes(len(network.machines))
        self.machine = SimulatedReactor(network, address)
        self.port = self.machine.listenUDP(port, self)

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)
        self.sources.append(addr)

    def ask(
        self,
        game: str = "",
        *,
        token: bytes | None = None,
        to: str = GROUP,
        data: bytes | None = None,
    ) -> list[Answer]:
        """Send a query, or whatever *data* is.

        :returns: the answers to it.
        """
        before = len(self.heard)
        token = self._random(8) if token is None else token
        data = encode_query(Query(token, game)) if data is None else data
        self.sent_bytes += len(data)
        self.port.socket.sendto(data, (to, PORT))
        self._network.settle()
        return [decode_answer(each) for each in self.heard[before:]]


class BeaconCase(SynchronousTestCase):
    """Servers on a network that is not there."""

    def setUp(self) -> None:
        self.network = SimulatedNetwork(1)
        self.services: list[GameServerService] = []
        self.addCleanup(self.finish)
        self.lines: list[str] = []
        observer = lambda event: self.lines.append(  # noqa: E731
            f"{event['log_level'].name} {eventAsText(event, includeTimestamp=False)}"
        )
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def server(
        self,
        beacon: str = "Room 12",
        *,
        portal: Portal | None = None,
        machine: type[SimulatedReactor] = SimulatedReactor,
        **fields: Any,
    ) -> GameServerService:
        """A server that others can reach, on a machine of its own."""
        reactor = machine(self.network, linked=False)
        if "cert_file" not in fields:
            fields = {"insecure": True, "insecure_anywhere": True, **fields}
        service = GameServerService(
            ServerConfig(beacon=beacon, **fields),
            sink=Recorder(),
            portal=portal,
            reactor=reactor,
            now=reactor.seconds,
            random_bytes=random_bytes(len(self.network.machines)),
        )
        self.services.append(service)
        service.startService()
        return service

    def finish(self) -> None:
        """Nothing is left of any server once it has ended."""
        for service in self.services:
            if service.running:
                service.stopService()
        self.network.run(20.0)
        left = [each for each in self.network.left_behind() if "Asker" not in each]
        self.assertEqual(left, [])
        for service in self.services:
            self.check_counts(service)

    def check_counts(self, service: GameServerService) -> None:
        """Each datagram that was heard is counted, once."""
        counts = service.host.counters.snapshot()
        others = ("beacon_answers", "beacon_other_game", "beacon_repeats")
        drops = [name for name in counts if name.startswith("drop_beacon_")]
        ends = sum(counts[name] for name in (*others, *drops))
        self.assertEqual(counts["beacon_queries"], ends)

    def asker(self, address: str = "", port: int = 0) -> Asker:
        return Asker(self.network, address, port)

    def logged(self, *words: str) -> list[str]:
        return [line for line in self.lines if all(word in line for word in words)]


class AnswerTests(BeaconCase):
    """What is told, and to whom."""

    def test_whoeverAsksOnTheNetworkIsTold(self) -> None:
        service = self.server(listen=7001, max_players=9, game_name="tag/1")
        asker = self.asker()
        for to in (GROUP, BROADCAST, service.address.rpartition(":")[0]):
            (answer,) = asker.ask(to=to)
            self.assertEqual((answer.name, answer.game), ("Room 12", "tag/1"))
            self.assertEqual((answer.port, answer.players, answer.max_players), (7001, 0, 9))
            self.assertEqual((answer.version, answer.flags, answer.pin), (1, 0, NO_PIN))
            self.assertEqual(asker.sources[-1], (service.address.rpartition(":")[0], PORT))
        self.assertEqual(service.host.counters.beacon_answers, 3)
        self.assertEqual(len(self.logged("info", "the beacon is on", "'Room 12'", "7776")), 1)

    def test_withoutANameNothingIsOpenAndNobodyAnswers(self) -> None:
        service = self.server("")
        self.assertEqual([where for where in self.network.udp if where[1] == PORT], [])
        self.assertEqual(self.asker().ask(), [])
        self.assertEqual(service.host.counters.beacon_queries, 0)
        self.assertEqual(self.logged("beacon"), [])

    def test_severalServersAnswerEachForItself(self) -> None:
        self.server("one", listen=7001)
        self.server("two", listen=7002)
        self.server("")
        asker = self.asker()
        answers = asker.ask()
        self.assertEqual(
            {(each.name, each.port) for each in answers}, {("one", 7001), ("two", 7002)}
        )
        again = asker.ask()
        self.assertEqual({each.server_id for each in answers}, {each.server_id for each in again})
        self.assertEqual(len({each.server_id for each in answers}), 2)

    def test_onlyServersOfTheGameThatIsAskedFor(self) -> None:
        service = self.server(game_name="tag/1")
        self.server("nameless")
        asker = self.asker()
        self.assertEqual([each.name for each in asker.ask("tag/1")], ["Room 12"])
        self.assertEqual(asker.ask("tag/2"), [])
        self.assertEqual(asker.ask("tag"), [])
        self.assertEqual(service.host.counters.beacon_other_game, 2)
        self.assertEqual(len(asker.ask()), 2)

    def test_playersAreCountedAsTheyComeAndGo(self) -> None:
        service = self.server(max_players=2)
        asker = self.asker()
        for players in (0, 2, 1):
            service.host.seats.clear()
            service.host.seats.update(dict.fromkeys(range(players)))  # type: ignore[arg-type]
            self.assertEqual(asker.ask()[0].players, players)
        service.host.seats.clear()

    def test_moreThanFitIsToldAsTheMost(self) -> None:
        service = self.server()
        service.host.registry.max_players = 100_000
        self.assertEqual(self.asker().ask()[0].max_players, 0xFFFF)

    def test_whoNeedsASecretIsTold(self) -> None:
        secret = Portal(PlayerRealm(), [InMemoryUsernamePasswordDatabaseDontUse()])
        self.server("closed club", portal=secret)
        self.server("claimed names", auth=("memory:ada,bob",))
        asker = self.asker()
        flags = {each.name: each.flags for each in asker.ask()}
        self.assertEqual(flags, {"closed club": NEEDS_PROOF, "claimed names": 0})

    def test_aServerThatIsBeingEmptiedSaysSo(self) -> None:
        service = self.server()
        asker = self.asker()
        self.assertEqual(asker.ask()[0].flags, 0)
        service.on_drained = lambda: None
        service.drain()
        self.assertEqual(asker.ask()[0].flags, CLOSED)

    def test_thePinIsThatOfTheCertificateInUse(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        files = certificates.write(Path(folder.name), make_certificate(["a.example"]))
        service = self.server(cert_file=files.cert, key_file=files.key)
        asker = self.asker()
        (answer,) = asker.ask()
        self.assertEqual(answer.pin.hex(), service.fingerprint)
        self.assertEqual(answer.flags, SECURE)
        certificates.write(Path(folder.name), make_certificate(["b.example"]))
        self.assertTrue(service.reload())
        (renewed,) = asker.ask()
        self.assertNotEqual(renewed.pin, answer.pin)
        self.assertEqual(renewed.pin.hex(), service.fingerprint)

    def test_whatEndsAnswersNoMore(self) -> None:
        service = self.server()
        asker = self.asker()
        self.assertEqual(len(asker.ask()), 1)
        service.stopService()
        self.assertEqual(asker.ask(), [])


class StrangerTests(BeaconCase):
    """Who is not answered, and what is not."""

    def test_theInternetIsNotAnswered(self) -> None:
        service = self.server()
        for number, address in enumerate(("203.0.113.7", "8.8.8.8", "100.64.0.9"), 1):
            self.assertEqual(self.asker(address).ask(), [])
            self.assertEqual(service.host.counters.drop_beacon_stranger, number)
        self.assertEqual(len(self.asker("192.168.7.7").ask()), 1)

    def test_thePortsOfServicesAreNotAnswered(self) -> None:
        service = self.server()
        for port in (53, 1_023):
            self.assertEqual(self.asker(port=port).ask(), [])
        self.assertEqual(service.host.counters.drop_beacon_stranger, 2)
        self.assertEqual(len(self.asker(port=1_024).ask()), 1)

    def test_aServerOfThisMachineAloneAnswersNobodyElse(self) -> None:
        service = self.server(insecure_anywhere=False)
        self.assertEqual(self.asker().ask(), [])
        self.assertEqual(service.host.counters.drop_beacon_stranger, 1)
        warned = self.logged("warn", "this machine alone", "gamenet cert", "--insecure")
        self.assertEqual(len(warned), 1)

    def test_oneOfThisMachineIsAnsweredFromWhereItListens(self) -> None:
        service = self.server(insecure_anywhere=False, listen=7001)
        inside = Asker.__new__(Asker)
        inside.heard, inside.sources = [], []
        service.host.reactor.listenUDP(5_000, inside, "127.0.0.1")
        service._beacon.heard(encode_query(Query(bytes(8), "")), ("127.0.0.1", 5_000))
        self.network.settle()
        self.assertEqual(decode_answer(inside.heard[0]).port, 7001)
        self.assertEqual(inside.sources, [("127.0.0.1", PORT)])
        inside.transport.stopListening()  # type: ignore[union-attr]

    def test_whatIsNoQueryIsCountedAndNothingMore(self) -> None:
        service = self.server()
        asker = self.asker()
        good = encode_query(Query(bytes(8), ""))
        bad = [b"", b"?", good[:-1], good + b"\0", b"XXXX" + good[4:], bytes(512), b"\xff" * 1_500]
        lines = len(self.lines)
        for data in bad:
            self.assertEqual(asker.ask(data=data), [])
        self.assertEqual(service.host.counters.drop_beacon_malformed, len(bad))
        self.assertEqual(len(self.lines), lines)
        self.assertEqual(len(asker.ask()), 1)

    def test_anAnswerIsNotAnswered(self) -> None:
        """Or two servers could be set on each other."""
        service = self.server()
        asker = self.asker()
        asker.ask()
        self.assertEqual(asker.ask(data=asker.heard[0]), [])
        self.assertEqual(asker.ask(data=asker.heard[0].ljust(512, b"\0")), [])
        self.assertEqual(service.host.counters.drop_beacon_malformed, 2)


class RateTests(BeaconCase):
    """How often one is answered, and all are."""

    def test_aQueryIsAnsweredOnceByWhateverWayItComes(self) -> None:
        service = self.server()
        asker = self.asker()
        self.assertEqual(len(asker.ask(token=b"the same")), 1)
        self.assertEqual(asker.ask(token=b"the same", to=BROADCAST), [])
        self.assertEqual(service.host.counters.beacon_repeats, 1)
        self.assertEqual(len(self.asker().ask(token=b"the same")), 1)
        self.assertEqual(len(asker.ask(token=b"the next")), 1)

    def test_oneAddressIsAnsweredSoOften(self) -> None:
        service = self.server()
        asker = self.asker()
        for _ in range(ANSWERS_BURST_PER_ADDRESS + 50):
            asker.ask()
        self.assertEqual(len(asker.heard), ANSWERS_BURST_PER_ADDRESS)
        self.assertEqual(service.host.counters.drop_beacon_rate, 50)
        # Nobody else has to bear it, and it comes to an end.
        self.assertEqual(len(self.asker().ask()), 1)
        self.network.run(1.0)
        for _ in range(50):
            asker.ask()
        more = int(ANSWERS_PER_SECOND_AND_ADDRESS)
        self.assertEqual(len(asker.heard), ANSWERS_BURST_PER_ADDRESS + more)

    def test_allTogetherAreAnsweredSoOften(self) -> None:
        service = self.server()
        answered = 0
        for host in range(200):
            asker = self.asker(f"192.168.1.{host}")
            answered += sum(len(asker.ask()) for _ in range(3))
        self.assertEqual(answered, ANSWERS_BURST)
        self.assertEqual(service.host.counters.drop_beacon_rate, 600 - ANSWERS_BURST)

    def test_noMoreAddressesAreRememberedThanFit(self) -> None:
        service = self.server()
        data = encode_query(Query(bytes(8), ""))
        for number in range(ADDRESSES + 100):
            address = f"10.9.{number // 250}.{number % 250}"
            service._beacon.heard(data, (address, 5_000))
        self.assertEqual(len(service._beacon._askers), ADDRESSES)

    def test_whatItSendsIsLessThanWhatItGot(self) -> None:
        self.server("n" * MAX_NAME_BYTES, game_name="g" * 255)
        asker = self.asker()
        for _ in range(30):
            asker.ask()
        self.assertEqual(len(asker.heard), 30)
        self.assertLess(sum(map(len, asker.heard)), asker.sent_bytes)


class SwitchTests(BeaconCase):
    """On, off and renamed while a server runs."""

    def set(self, service: GameServerService, **fields: Any) -> None:
        service.reconfigure(dataclasses.replace(service.config, **fields))

    def test_aReloadNamesItAnewAndSwitchesItOffAndOn(self) -> None:
        service = self.server()
        asker = self.asker()
        self.set(service, beacon="Room 13")
        self.assertEqual([each.name for each in asker.ask()], ["Room 13"])
        self.set(service, beacon="")
        self.assertEqual(asker.ask(), [])
        self.network.run(0.1)
        self.assertEqual([where for where in self.network.udp if where[1] == PORT], [])
        self.set(service, beacon="Room 14", max_players=3)
        (answer,) = asker.ask()
        self.assertEqual((answer.name, answer.max_players), ("Room 14", 3))
        self.assertEqual(len(self.logged("the beacon is on")), 2)

    def test_anyOtherChangeLeavesItAlone(self) -> None:
        service = self.server()
        ears = dict(service._beacon._ears)
        self.set(service, max_players=3)
        self.assertEqual(service._beacon._ears, ears)
        self.assertEqual(len(self.logged("the beacon is on")), 1)

    def test_aNameThatCannotBeShownIsRefused(self) -> None:
        for name in ("\x1b[2J", "a\nb", " Room", "Room ", "n" * 65, "\u202eRoom", "\ud800"):
            error = self.assertRaises(ConfigError, ServerConfig, beacon=name)
            self.assertEqual(error.field, "beacon")
        for name in ("Room 12", "n" * 64, "Zażółć", "\N{GAME DIE}"):
            self.assertEqual(ServerConfig(beacon=name).beacon, name)


class Deaf(SimulatedReactor):
    """A machine on which another program has the port."""

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> Any:
        if port == PORT:
            cause = OSError(errno.EADDRINUSE, "Address already in use")
            raise CannotListenError(interface, port, cause)
        return super().listenUDP(port, protocol, interface, maxPacketSize)


class UnusableTests(BeaconCase):
    """Where there can be no beacon the server serves without."""

    def test_aPortThatIsTakenIsOneWarning(self) -> None:
        service = self.server(machine=Deaf)
        warned = self.logged("warn", "there is no beacon", "7776", "Address already in use")
        self.assertEqual(len(warned), 1)
        self.assertEqual(self.logged("the beacon is on"), [])
        self.assertTrue(service.running)
        self.network.run(60.0)
        self.assertEqual(len(self.logged("beacon")), 1)
        service.reconfigure(dataclasses.replace(service.config, beacon=""))
        self.assertEqual(self.asker().ask(), [])

    def test_networksThatComeUpLaterAreJoined(self) -> None:
        service = self.server("")
        there = [Interface("127.0.0.1", 1, "lo")]
        joined: list[Interface] = []
        refused: list[Interface] = []

        def join(port: Any, way: Interface) -> bool:
            (joined if way not in refused else []).append(way)
            return way not in refused

        self.patch(beacon_module, "join_group", join)
        beacon = Beacon(
            service.host, service._listening, None, service.host.reactor, ways=lambda: there
        )
        service.host.reconfigure(dataclasses.replace(service.config, beacon="later"))
        beacon.update()
        self.addCleanup(beacon.stop)
        self.assertEqual(joined, there)
        cable, wifi = Interface("10.0.0.9", 2, "eth0"), Interface("10.1.0.9", 3, "wlan0")
        refused.append(wifi)
        there += [cable, wifi]
        self.network.run(LOOK_SECONDS + 0.1)
        self.assertEqual(joined, there[:2])
        refused.clear()
        self.network.run(LOOK_SECONDS)
        self.assertEqual(joined, there)
        # One that was away and is back is joined again.
        there.remove(cable)
        self.network.run(LOOK_SECONDS)
        there.append(cable)
        self.network.run(LOOK_SECONDS)
        self.assertEqual(joined.count(cable), 2)

    def test_anAnswerThatCannotBeSentIsCounted(self) -> None:
        service = self.server()
        service._beacon.heard(encode_query(Query(bytes(8), "")), ("fe80::1", 5_000, 0, 2))
        self.assertEqual(service.host.counters.drop_beacon_send, 1)

    def test_anErrorOfTheSocketIsCounted(self) -> None:
        service = self.server()
        (ear,) = service._beacon._ears.values()
        ear.protocol.receive_failed(OSError(errno.ENETDOWN, "Network is down"))
        self.assertEqual(service.host.counters.receive_errors, 1)
        self.assertEqual(len(self.asker().ask()), 1)

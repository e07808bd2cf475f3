"""Who looks for servers: whom it asks, what it believes, and how much of it it keeps."""

from __future__ import annotations

import errno
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase

from gamenet import discovery, seeking
from gamenet.addresses import parse_address
from gamenet.core.beacon import (
    CLOSED,
    NEEDS_PROOF,
    NO_PIN,
    PORT,
    SECURE,
    Answer,
    Query,
    decode_query,
    encode_answer,
)
from gamenet.discovery import Browser, Found, find
from gamenet.errors import ConfigError
from gamenet.lan import Interface
from gamenet.seeking import (
    FORGET_SECONDS,
    KEPT_TOKENS,
    MAX_HOSTS_PER_SERVER,
    MAX_SERVERS,
    MAX_SERVERS_PER_HOST,
    NO_NETWORK,
    PAUSE_SECONDS,
    PUBLISH_SECONDS,
    Seeker,
)
from gamenet.testing import SimulatedNetwork, SimulatedReactor
from tests.fakes import random_bytes

PIN = bytes(range(32))
ANSWER = Answer(
    token=bytes(8),
    server_id=b"serverid",
    version=1,
    flags=SECURE,
    port=7777,
    players=3,
    max_players=8,
    pin=PIN,
    name="Room 12",
    game="tag/1",
)


class Server(DatagramProtocol):
    """Somebody who hears queries, and answers as a test says.

    :param answers: with the token of each query.
    """

    noisy = False

    def __init__(self, network: SimulatedNetwork, *answers: Answer, address: str = "") -> None:
        self.answers = answers
        self.heard: list[Query] = []
        self.port = SimulatedReactor(network, address, linked=False).listenUDP(PORT, self)

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        query = decode_query(data)
        self.heard.append(query)
        for answer in self.answers:
            self.say(answer._replace(token=query.token), addr)

    def say(self, answer: Answer, to: tuple[str, int]) -> None:
        self.port.socket.sendto(encode_answer(answer), to)


class SeekerCase(SynchronousTestCase):
    """Somebody who looks, on a network that is not there."""

    def setUp(self) -> None:
        self.network = SimulatedNetwork(1)
        self.machine = SimulatedReactor(self.network, "10.0.0.7")
        self.ways = [Interface("0.0.0.0", 1, "eth0")]
        self.seekers: list[Seeker] = []
        self.addCleanup(self.finish)

    def seeker(self, game: str = "") -> Seeker:
        seeker = self.made(self.machine, game)
        self.seekers.append(seeker)
        seeker.start()
        self.network.run(0.1)
        return seeker

    def made(self, reactor: Any, game: str) -> Seeker:
        return Seeker(
            reactor,
            game,
            ways=lambda: list(self.ways),
            random_bytes=random_bytes(1),
            now=self.machine.seconds,
        )

    def finish(self) -> None:
        """Nothing is left of whoever has looked."""
        for seeker in self.seekers:
            seeker.stop()
        self.network.run(1.0)
        left = [each for each in self.network.left_behind() if "of Server" not in each]
        self.assertEqual(left, [])

    def hear(self, seeker: Seeker, answer: Answer, *address: Any) -> None:
        """An answer with a good token comes from an address."""
        data = encode_answer(answer._replace(token=seeker._tokens[-1]))
        seeker._heard(data, address or ("10.0.0.9", PORT))

    def found(self, seeker: Seeker) -> tuple[Found, ...]:
        self.network.run(2 * PUBLISH_SECONDS)
        return seeker.found


class FindingTests(SeekerCase):
    """What there is to see."""

    def test_aServerWithAllThatItSays(self) -> None:
        Server(self.network, ANSWER, address="10.0.0.20")
        (found,) = self.seeker().found
        self.assertEqual(
            found,
            Found(
                name="Room 12",
                game="tag/1",
                address=f"gamenet://10.0.0.20:7777#sha256={PIN.hex()}",
                host="10.0.0.20",
                port=7777,
                pin=PIN.hex(),
                players=3,
                max_players=8,
                secure=True,
                needs_proof=False,
                is_open=True,
                is_known=True,
            ),
        )
        self.assertEqual(parse_address(found.address), ("10.0.0.20", 7777, PIN.hex()))
        self.assertFalse(found.is_full)

    def test_oneWithoutACertificate(self) -> None:
        Server(self.network, ANSWER._replace(flags=0, pin=NO_PIN, players=8), address="10.0.0.20")
        (found,) = self.seeker().found
        self.assertEqual((found.address, found.pin), ("10.0.0.20:7777", ""))
        self.assertEqual((found.secure, found.is_full), (False, True))

    def test_flagsAndVersionsOfOthers(self) -> None:
        Server(self.network, ANSWER._replace(flags=0xF8 | NEEDS_PROOF | CLOSED, version=2))
        (found,) = self.seeker().found
        self.assertEqual((found.needs_proof, found.is_open, found.is_known), (True, False, False))

    def test_severalByNameThenByAddress(self) -> None:
        names = ("zoo", "Alpha", "beta", "alpha")
        for number, name in enumerate(names):
            Server(self.network, ANSWER._replace(name=name, port=7000 + number))
        found = self.seeker().found
        self.assertEqual([each.name for each in found][-2:], ["beta", "zoo"])
        self.assertEqual({each.name for each in found[:2]}, {"Alpha", "alpha"})
        self.assertLess(found[0].address, found[1].address)

    def test_onlyTheGameThatIsLookedFor(self) -> None:
        Server(self.network, ANSWER, ANSWER._replace(game="chess/2", server_id=b"another1"))
        server = Server(self.network)
        self.assertEqual([each.game for each in self.seeker("chess/2").found], ["chess/2"])
        self.assertEqual({query.game for query in server.heard}, {"chess/2"})

    def test_theNewestAnswerCounts(self) -> None:
        server = Server(self.network, ANSWER)
        seeker = self.seeker()
        server.answers = (ANSWER._replace(players=4, name="Room 13"),)
        self.network.run(2 * PAUSE_SECONDS)
        (found,) = seeker.found
        self.assertEqual((found.name, found.players), ("Room 13", 4))

    def test_oneThatIsGoneIsForgotten(self) -> None:
        server = Server(self.network, ANSWER)
        seeker = self.seeker()
        server.answers = ()
        self.network.run(FORGET_SECONDS - 1)
        self.assertEqual(len(seeker.found), 1)
        self.network.run(PAUSE_SECONDS + 1)
        self.assertEqual(seeker.found, ())
        server.answers = (ANSWER,)
        self.network.run(PAUSE_SECONDS)
        self.assertEqual(len(seeker.found), 1)

    def test_itAsksThriceInASecondAndThenEachTwo(self) -> None:
        """By multicast and by broadcast, with a token for each time."""
        server = Server(self.network)
        self.seeker()
        self.network.run(0.9)
        self.assertEqual(len(server.heard), 2 * 3)
        self.network.run(10 * PAUSE_SECONDS)
        self.assertEqual(len(server.heard), 2 * 13)
        self.assertEqual(len({query.token for query in server.heard}), 13)

    def test_afterTheEndNothingIsAskedOrHeard(self) -> None:
        server = Server(self.network, ANSWER)
        seeker = self.seeker()
        asked = len(server.heard)
        seeker.stop()
        seeker.stop()
        self.network.run(20.0)
        self.assertEqual(len(server.heard), asked)


class WaysTests(SeekerCase):
    """Several ways to one server, and which of them is shown."""

    def shown(self, *addresses: Any) -> str:
        seeker = self.seeker()
        for address in addresses:
            self.hear(seeker, ANSWER, *address)
        (found,) = self.found(seeker)
        self.assertEqual(parse_address(found.address), (found.host, 7777, PIN.hex()))
        return found.host

    def test_theOneThatCanBeHandedOnTheFurthest(self) -> None:
        link = ("fe80::7", PORT, 0, 0)
        lan, other = ("192.168.1.5", PORT), ("172.17.0.1", PORT)
        here, here_too = ("127.0.0.1", PORT), ("::1", PORT, 0, 0)
        self.assertEqual(self.shown(link, here, ("fd00::2", PORT, 0, 0), lan, other), lan[0])
        self.assertEqual(self.shown(other, lan), other[0])
        self.assertEqual(self.shown(here, ("169.254.3.4", PORT)), "169.254.3.4")
        self.assertEqual(self.shown(here_too, here, ("fd00::2", PORT, 0, 0)), "fd00::2")
        self.assertEqual(self.shown(link, here), here[0])

    def test_anAddressOfALinkHasItsScope(self) -> None:
        self.patch(seeking.socket, "if_indextoname", {4: "eth0"}.__getitem__)
        self.assertEqual(self.shown(("fe80::7", PORT, 0, 4)), "fe80::7%eth0")
        self.assertEqual(self.shown(("fe80::7%4", PORT, 0, 4)), "fe80::7%eth0")

        def unknown(number: int) -> str:
            raise OSError(errno.ENXIO, "No such device")

        self.patch(seeking.socket, "if_indextoname", unknown)
        self.assertEqual(self.shown(("fe80::7", PORT, 0, 4)), "fe80::7%4")

    def test_ofTwoAddressesTheOneThatStillAnswers(self) -> None:
        seeker = self.seeker()
        self.hear(seeker, ANSWER, "192.168.1.5", PORT)
        self.network.run(FORGET_SECONDS - 1)
        self.hear(seeker, ANSWER, "fd00::2", PORT, 0, 0)
        self.network.run(PAUSE_SECONDS + 1)
        self.assertEqual([each.host for each in seeker.found], ["fd00::2"])

    def test_addressesComeAndGo(self) -> None:
        server = Server(self.network)
        self.ways = []
        seeker = self.seeker()
        self.assertEqual(seeker.problem, NO_NETWORK)
        self.assertEqual(server.heard, [])
        self.ways = [Interface("0.0.0.0", 1, "eth0")]
        self.network.run(PAUSE_SECONDS)
        self.assertEqual(seeker.problem, "")
        self.assertNotEqual(server.heard, [])
        self.ways = [Interface("127.0.0.1", 1, "lo")]
        self.network.run(PAUSE_SECONDS)
        asked = [each for each in self.network.udp if each[1] != PORT]
        self.assertEqual([host for host, _ in asked], ["127.0.0.1"])

    def test_anAddressThatCannotBeUsedKeepsNoOtherFromBeing(self) -> None:
        server = Server(self.network, ANSWER)
        self.ways = [Interface("10.9.9.9", 1, "down0"), Interface("", 3, "six0"), *self.ways]
        seeker = self.seeker()
        self.assertEqual(len(seeker.found), 1)
        self.assertEqual(seeker.problem, "")
        self.assertNotEqual(server.heard, [])

    def test_withoutASocketThereIsAProblemAndThenNone(self) -> None:
        Server(self.network, ANSWER)
        listen = self.machine.listenUDP

        def refuse(*arguments: Any, **named: Any) -> Any:
            raise CannotListenError("", 0, OSError(errno.EMFILE, "Too many open files"))

        self.machine.listenUDP = refuse  # type: ignore[method-assign]
        seeker = self.seeker()
        self.assertEqual(seeker.problem, NO_NETWORK)
        self.machine.listenUDP = listen  # type: ignore[method-assign]
        self.network.run(PAUSE_SECONDS)
        self.assertEqual((seeker.problem, len(seeker.found)), ("", 1))


class HostileTests(SeekerCase):
    """What others make up."""

    def test_whoHasNotSeenTheQueryIsNotBelieved(self) -> None:
        seeker = self.seeker()
        (asked,) = (each for each in self.network.udp if each[1] != PORT)
        mallory = Server(self.network)
        draw = random_bytes(2)
        for _ in range(500):
            mallory.say(ANSWER._replace(token=draw(8)), asked)
        self.assertEqual(self.found(seeker), ())
        self.hear(seeker, ANSWER)
        self.assertEqual(len(self.found(seeker)), 1)

    def test_anOldTokenIsWorthNothing(self) -> None:
        seeker = self.seeker()
        first = seeker._tokens[0]
        self.network.run((KEPT_TOKENS + 1) * PAUSE_SECONDS)
        seeker._heard(encode_answer(ANSWER._replace(token=first)), ("10.0.0.9", PORT))
        self.assertEqual(self.found(seeker), ())

    def test_garbageIsDropped(self) -> None:
        seeker = self.seeker()
        good = encode_answer(ANSWER._replace(token=seeker._tokens[-1]))
        for data in (b"", b"?", good[:-1], good + b"\0", bytes(512), b"\xff" * 383):
            seeker._heard(data, ("10.0.0.9", PORT))
        self.assertEqual(self.found(seeker), ())

    def test_namesAreCleaned(self) -> None:
        seeker = self.seeker()
        self.hear(seeker, ANSWER._replace(name="\x1b[2J\u202eRoom\r\n", game="\x07tag"))
        (found,) = self.found(seeker)
        self.assertEqual((found.name, found.game), ("[2JRoom", "tag"))

    def test_noMoreServersAreKeptThanFitOrThanOneAddressMayHave(self) -> None:
        seeker = self.seeker()
        for number in range(1_000):
            self.hear(seeker, ANSWER._replace(server_id=number.to_bytes(8, "big")))
        self.assertEqual(len(self.found(seeker)), MAX_SERVERS_PER_HOST)
        for number in range(1_000):
            answer = ANSWER._replace(server_id=number.to_bytes(8, "little"))
            self.hear(seeker, answer, f"10.1.{number // 250}.{number % 250}", PORT)
        self.assertEqual(len(self.found(seeker)), MAX_SERVERS)

    def test_noMoreAddressesOfAServerAreKeptThanFit(self) -> None:
        seeker = self.seeker()
        for number in range(100):
            self.hear(seeker, ANSWER, f"10.1.1.{number}", PORT)
        (entry,) = seeker._entries.values()
        self.assertEqual(len(entry.hosts), MAX_HOSTS_PER_SERVER)

    def test_whoCopiesAnIdWithAnotherPinIsAServerOfItsOwn(self) -> None:
        seeker = self.seeker()
        self.hear(seeker, ANSWER, "10.0.0.20", PORT)
        self.hear(seeker, ANSWER._replace(pin=PIN[::-1], players=7), "10.0.0.66", PORT)
        found = {each.pin: each for each in self.found(seeker)}
        self.assertEqual(found[PIN.hex()].host, "10.0.0.20")
        self.assertEqual(found[PIN.hex()].players, 3)
        self.assertEqual(len(found), 2)

    def test_aFloodIsSortedOnceInAWhile(self) -> None:
        seeker = self.seeker()
        published: list[int] = []
        publish = seeker._publish
        seeker._publish = lambda: (published.append(1), publish())[1]  # type: ignore[method-assign]
        for number in range(500):
            self.hear(seeker, ANSWER._replace(players=number))
        self.network.run(PUBLISH_SECONDS)
        self.assertLessEqual(len(published), 2)
        self.assertEqual(seeker.found[0].players, 499)

    def test_aDefectOfOursIsLoggedOnce(self) -> None:
        protocol = seeking.SeekerProtocol(lambda data, address: None)
        for _ in range(3):
            try:
                raise ZeroDivisionError
            except ZeroDivisionError:
                protocol.defect()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_anAnswerJustBeforeTheNextQueryLeavesNoTimer(self) -> None:
        seeker = self.seeker()
        self.hear(seeker, ANSWER)
        seeker._forget()
        seeker.stop()
        self.assertEqual(self.network.timeline.timers, [])
        self.assertEqual(len(seeker.found), 1)


class BrowserTests(SeekerCase):
    """What a join screen has."""

    def browser(self, game: str = "") -> Browser:
        self.patch(discovery, "Seeker", self.made)
        return Browser(game, reactor=self.machine)

    def test_itStartsStopsAndStartsAgain(self) -> None:
        server = Server(self.network, ANSWER)
        browser = self.browser()
        self.assertEqual((browser.servers(), browser.problem), ([], ""))
        browser.stop()
        for _ in range(2):
            browser.start()
            browser.start()
            self.assertEqual(browser.servers(), [])
            self.network.run(0.1)
            self.assertEqual([each.name for each in browser.servers()], ["Room 12"])
            browser.stop()
            browser.stop()
            self.assertEqual(browser.servers(), [])
            self.network.run(1.0)
        self.assertEqual(len(server.heard), 2 * 2)
        self.assertEqual(self.network.timeline.timers, [])

    def test_whatItGivesIsTheCallersOwn(self) -> None:
        Server(self.network, ANSWER)
        with self.browser() as browser:
            self.network.run(0.1)
            browser.servers().clear()
            self.assertEqual(len(browser.servers()), 1)
        self.network.run(0.1)

    def test_itTellsWhyNobodyCanBeAsked(self) -> None:
        self.ways = []
        with self.browser() as browser:
            self.network.run(0.1)
            self.assertEqual(browser.problem, NO_NETWORK)
        self.network.run(0.1)

    def test_theGameIsLookedAtAtOnce(self) -> None:
        self.assertRaises(ConfigError, Browser, "g" * 256)
        self.assertRaises(ConfigError, Browser, None)
        self.assertRaises(ConfigError, find, 0.1, game="\ud800")

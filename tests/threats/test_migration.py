"""Nobody takes a player's path over, and no address is challenged more often than it should be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import ACKS, DatagramKind
from gamenet.events import Input, Left, PathChanged
from tests.threats.attack import HERE, ThreatCase
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fakes import Datagram
    from tests.world import Puppet

THIEF = ("198.51.100.66", 6_666)
NO_MESSAGE = ACKS.pack(0xFFFF, 0)


def kinds(datagrams: Iterable[bytes]) -> list[int]:
    return [data[0] & 0x0F for data in datagrams]


class CopyAndRaceTests(ThreatCase):
    """Somebody on the path copies what a player sends and has it arrive first, from elsewhere."""

    def setUp(self) -> None:
        super().setUp()
        self.home = self.session("ada").path.address
        self.racing, self.racing_answers, self.forward = True, True, False
        self.world.network.filter = self.race

    def race(self, datagram: Datagram) -> Iterable[Datagram]:
        """The copy first, then what was copied; what the thief hears may go to the player."""
        is_answer = datagram.data[0] & 0x0F == DatagramKind.RESPONSE
        is_raced = self.racing and (self.racing_answers or not is_answer)
        if is_raced and datagram.target == HERE and datagram.source == self.home:
            yield datagram._replace(source=THIEF)
        if self.forward and datagram.target == THIEF:
            yield datagram._replace(target=self.home)
        yield datagram

    def play(self, seconds: float) -> None:
        player = self.world.server.players["ada"]
        for number in range(round(seconds * 30)):
            self.ada.verbs.send_input(number & 7)
            self.world.server.verbs.send_state(player, b"state")
            self.world.run(1 / 30)

    def check_home(self) -> None:
        """The session stays where it was, and nobody else got anything of the game."""
        session = self.session("ada")
        self.assertEqual(session.path.address, self.home)
        self.assertEqual(set(kinds(self.sent_to(THIEF))), {int(DatagramKind.CHALLENGE)})
        moved = [event.reason for event in self.world.server.of(PathChanged)]
        self.assertEqual(moved, ["bound"])
        self.assertEqual(self.counters.path_switches, 0)

    def test_theSessionStaysWithThePlayer(self) -> None:
        self.play(10.0)
        self.check_home()
        self.assertEqual(len(self.inputs_of("ada")), 300)
        # Three challenges in any second, at most.
        self.assertLessEqual(len(self.sent_to(THIEF)), 3 * 11)
        self.assertGreater(len(self.sent_to(THIEF)), 3)

    def test_passingTheChallengeOnToThePlayerProvesNothing(self) -> None:
        self.forward, self.racing_answers = True, False
        self.play(10.0)
        self.check_home()
        self.assertEqual(len(self.inputs_of("ada")), 300)

    def test_whoRelaysEverythingLosesThePathOnStopping(self) -> None:
        """Faster than the path itself and in both directions: that is to be on the path."""
        self.forward = True
        self.play(3.0)
        self.assertEqual(self.session("ada").path.address, THIEF)
        self.assertEqual(self.ada.host.state.payload, b"state")
        self.racing = self.forward = False
        self.play(2.0)
        self.assertEqual(self.session("ada").path.address, self.home)
        self.assertEqual(len(self.inputs_of("ada")), 150)
        self.assertLessEqual(self.counters.path_switches, 2)

    def test_whoRelaysFromManyPortsCannotUseUpTheWayHome(self) -> None:
        self.forward = True
        thieves = [(THIEF[0], THIEF[1] + number) for number in range(12)]
        session = self.session("ada")

        def race(datagram: Datagram) -> Iterable[Datagram]:
            if datagram.target == HERE and datagram.source == self.home:
                yield datagram._replace(source=thieves[0])
            if datagram.target in thieves:
                yield datagram._replace(target=self.home)
            yield datagram

        self.world.network.filter = race
        for _ in range(600):
            self.play(1 / 30)
            if session.path.address == thieves[0] and len(thieves) > 1:
                thieves.append(thieves.pop(0))
        self.assertNotEqual(session.path.address, self.home)
        self.assertGreaterEqual(self.counters.path_switches, 10)
        self.world.network.filter = lambda datagram: (datagram,)
        self.play(1.0)
        self.assertEqual(session.path.address, self.home)

    def test_thePlayersOwnMoveStillWorksAfterwards(self) -> None:
        self.play(3.0)
        moved = ("10.0.0.2", 50_123)
        network = self.world.network

        def router(datagram: Datagram) -> Iterable[Datagram]:
            if datagram.source == self.home:
                return (datagram._replace(source=moved),)
            if datagram.target == moved:
                return (datagram._replace(target=self.home),)
            return (datagram,)

        network.filter = router
        self.play(3.0)
        self.assertEqual(self.session("ada").path.address, moved)
        self.assertEqual(len(self.inputs_of("ada")), 180)
        self.assertEqual(self.ada.host.state.payload, b"state")

    def test_anOldDatagramFromElsewhereMovesNothing(self) -> None:
        """Kept back and sent later: the number is not the newest any more."""
        kept: list[Datagram] = []

        def keep(datagram: Datagram) -> Iterable[Datagram]:
            if datagram.target == HERE and len(kept) < 20:
                kept.append(datagram)
                return ()
            return (datagram,)

        self.world.network.filter = keep
        self.play(2.0)
        self.world.network.filter = lambda datagram: (datagram,)
        sent = len(self.sent_to(THIEF))
        for datagram in kept:
            self.world.network.inject(datagram.data, THIEF, HERE)
        self.assertEqual(len(self.sent_to(THIEF)), sent)
        self.assertEqual(self.session("ada").path.address, self.home)


class ChallengeTests(ThreatCase):
    """A player who seems to be everywhere."""

    fields: ClassVar[dict[str, Any]] = {
        "datagrams_burst": 60_000,
        "datagrams_per_second": 60_000,
        "datagram_bytes_per_second": 1 << 26,
    }

    def setUp(self) -> None:
        super().setUp()
        self.mallory = self.world.puppet().confirm().bind()
        self.world.run(1.01)
        self.sent_before = len(self.world.network.datagrams)

    def challenges(self) -> list[tuple[str, int]]:
        """Whom the server has challenged since the beginning."""
        found = self.world.network.datagrams[self.sent_before :]
        return [
            each.target
            for each in found
            if each.source == HERE and each.data[0] & 0x0F == DatagramKind.CHALLENGE
        ]

    def test_tenThousandAddressesGetThreeChallengesASecond(self) -> None:
        for kind, body in (
            (DatagramKind.PING, bytes(4)),
            (DatagramKind.DATA, NO_MESSAGE),
            (DatagramKind.BIND, bytes(1_175)),
        ):
            self.sent_before = len(self.world.network.datagrams)
            for second in range(1, 4):
                self.throw(
                    (self.mallory.seal(kind, body), (f"203.0.{number >> 8}.{number & 255}", 9))
                    for number in range(3_400)
                )
                self.assertLessEqual(len(self.challenges()), 3 * second, kind)
                self.world.run(1.01)
            self.assertEqual(len(self.challenges()), 9, kind)
            self.assertEqual(self.session("mallory").path.address, self.mallory.address)
            self.world.run(1.01)

    def test_onePlayersChallengesTakeNobodyElsesAway(self) -> None:
        self.throw(
            (self.mallory.seal(DatagramKind.PING, bytes(4)), ("203.0.113.1", port))
            for port in range(1, 500)
        )
        self.assertEqual(len(self.challenges()), 3)
        self.world.join("bob")


class SwitchTests(SynchronousTestCase):
    """How far and how often a player may move."""

    HOME, OTHER_PORT, OTHER_HOST = ("192.0.2.1", 4_000), ("192.0.2.1", 4_001), ("192.0.2.9", 4_000)

    def serve(self, **fields: Any) -> Puppet:
        self.world = World(self, **fields)
        puppet = self.world.puppet().confirm()
        puppet.address = self.HOME
        return puppet.bind()

    def move(self, puppet: Puppet, address: tuple[str, int]) -> bool:
        """Send from elsewhere and answer what comes.

        :returns: whether the server believes it.
        """
        puppet.address = address
        puppet.send(DatagramKind.PING, bytes(4))
        for kind, body in puppet.heard():
            if kind == DatagramKind.CHALLENGE:
                puppet.send(DatagramKind.RESPONSE, body)
        route: tuple[str, int] = self.world.server.session_of("mallory").route
        return route == address

    def test_anywhereUnlessToldOtherwise(self) -> None:
        puppet = self.serve()
        self.assertTrue(self.move(puppet, self.OTHER_PORT))
        self.assertTrue(self.move(puppet, self.OTHER_HOST))
        moved = [event.reason for event in self.world.server.of(PathChanged)]
        self.assertEqual(moved, ["bound", "moved", "moved"])

    def test_sameIpIsAnotherPortAtMost(self) -> None:
        puppet = self.serve(rebind="same-ip")
        self.assertTrue(self.move(puppet, self.OTHER_PORT))
        self.assertFalse(self.move(puppet, self.OTHER_HOST))
        self.assertEqual(puppet.heard(), [])

    def test_offIsNowhere(self) -> None:
        puppet = self.serve(rebind="off")
        for address in (self.OTHER_PORT, self.OTHER_HOST):
            self.assertFalse(self.move(puppet, address))
            self.assertEqual(puppet.heard(), [])
        # What is authentic still counts, wherever it comes from: it just is not answered there.
        before = self.world.server.session_of("mallory").datagrams_in
        puppet.send(DatagramKind.PING, bytes(4))
        self.assertEqual(self.world.server.session_of("mallory").datagrams_in - before, 1)

    def test_tenMovesAMinute(self) -> None:
        puppet = self.serve(dead_seconds=1_000.0)
        moves = 0
        for number in range(110):
            moves += self.move(puppet, ("192.0.2.1", 5_000 + number))
            self.world.run(0.5)
        self.assertEqual(moves, 10)
        self.assertEqual(self.world.server.counters.path_switches, 10)
        self.world.run(10.0)
        self.assertTrue(self.move(puppet, self.OTHER_HOST))
        self.assertEqual(self.world.server.of(Left), [])
        self.assertEqual(self.world.server.of(Input), [])

    def test_aGuessedAnswerDoesNotMoveThem(self) -> None:
        puppet = self.serve()
        puppet.address = self.OTHER_HOST
        puppet.send(DatagramKind.PING, bytes(4))
        ((kind, body),) = puppet.heard()
        self.assertEqual(kind, DatagramKind.CHALLENGE)
        for number in range(200):
            wrong = bytes((body[0] ^ 1,)) + number.to_bytes(7, "big")
            puppet.send(DatagramKind.RESPONSE, wrong)
        # Nor does the right one from a third place.
        puppet.address = ("192.0.2.77", 1)
        puppet.send(DatagramKind.RESPONSE, body)
        self.assertEqual(self.world.server.session_of("mallory").route, self.HOME)

"""Nobody can have the server send to somebody else, or be somebody else, without a key."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from gamenet.core.wire import ACKS, HEADER, MAX_DATAGRAM_BYTES, PADDING, PREFIX, DatagramKind
from gamenet.events import Input, Left, PathChanged, Unreliable
from tests.threats.attack import ThreatCase, forged, send_input

if TYPE_CHECKING:
    from collections.abc import Iterable

GARBAGE = 100_000
FORGED = 99_999
VICTIM = ("203.0.113.66", 6_666)
"""Whom an attacker would like the server to send to."""
NO_MESSAGE = ACKS.pack(0xFFFF, 0)


def kinds(datagrams: list[bytes]) -> set[int]:
    return {data[0] & 0x0F for data in datagrams}


class ReflectionTests(ThreatCase):
    """A server that strangers send to is silent."""

    def garbage(self) -> Iterable[tuple[bytes, tuple[str, int]]]:
        draw = random.Random(7)
        cid = self.session("ada").cid
        for index in range(GARBAGE):
            data = draw.randbytes(draw.randrange(MAX_DATAGRAM_BYTES + 100))
            if index % 3 == 1:
                data = bytes((PREFIX | draw.getrandbits(6),)) + data
            elif index % 3 == 2:
                data = HEADER.pack(PREFIX | draw.getrandbits(6), cid, draw.getrandbits(32)) + data
            yield data, (f"198.51.100.{index % 250}", 1_024 + index % 60_000)

    def test_garbageIsAnsweredWithNothing(self) -> None:
        sent = self.sent()
        lost = sum(self.counters.drops().values())
        events = len(self.world.server.events)
        count, _ = self.throw(self.garbage())
        self.assertEqual(count, GARBAGE)
        self.assertEqual(self.sent(), sent)
        self.assertEqual(sum(self.counters.drops().values()) - lost, GARBAGE)
        self.assertEqual(len(self.world.server.events), events)
        # Nor later: nothing of it is kept.
        self.world.run(3.0)
        others = {each.target for each in self.world.network.datagrams}
        self.assertEqual([target for target in others if target[0].startswith("198.51.")], [])

    def test_joiningByGarbageMakesNoSession(self) -> None:
        before = dict(self.world.server.host.datagram_routes)
        self.throw(self.garbage())
        self.assertEqual(self.world.server.host.datagram_routes, before)
        self.assertEqual(self.world.server.host.newcomers, {})

    def test_aBindIsAnsweredWithNoMoreThanItHas(self) -> None:
        mallory = self.world.puppet().confirm()
        mallory.address = VICTIM
        received = 0
        for _ in range(200):
            datagram = mallory.seal(DatagramKind.BIND, PADDING)
            received += len(datagram)
            mallory.send_sealed(datagram)
            self.world.run(0.05)
        answers = self.sent_to(VICTIM)
        self.assertEqual(kinds(answers), {DatagramKind.CHALLENGE})
        self.assertLessEqual(sum(map(len, answers)) / received, 1.0)
        # And not as often as asked.
        self.assertLessEqual(len(answers), 33)

    def test_aWholeBindingGivesNoMoreThanItTakes(self) -> None:
        mallory = self.world.puppet().confirm().bind()
        sent = [each for each in self.world.network.datagrams if each.target == mallory.address]
        took = MAX_DATAGRAM_BYTES + len(mallory.seal(DatagramKind.RESPONSE, bytes(8)))
        self.assertLessEqual(sum(len(each.data) for each in sent), took)

    def test_anAddressThatHasProvedNothingGetsNoneOfTheGame(self) -> None:
        mallory = self.world.puppet().confirm()
        player = self.world.server.players["mallory"]
        for _ in range(50):
            mallory.send(DatagramKind.BIND, PADDING)
            send_input(mallory, mallory.sealer.number)
            mallory.send(DatagramKind.PING, bytes(4))
            self.world.server.verbs.send_state(player, bytes(1_000))
            self.world.server.verbs.send_unreliable(player, bytes(1_000))
            self.world.run(0.1)
        self.assertEqual(kinds(self.sent_to(mallory.address)), {DatagramKind.CHALLENGE})

    def test_anotherAddressOfAPlayerGetsThreeTimesWhatItSentAtMost(self) -> None:
        for kind, body in (
            (DatagramKind.DATA, NO_MESSAGE),
            (DatagramKind.PING, bytes(4)),
            (DatagramKind.BIND, PADDING),
            (DatagramKind.RESPONSE, bytes(8)),
        ):
            mallory = self.world.puppet(f"mallory-{kind.name}").confirm().bind()
            player = self.world.server.players[f"mallory-{kind.name}"]
            elsewhere = ("203.0.113.66", 7_000 + kind)
            received = 0
            for _ in range(40):
                datagram = mallory.seal(kind, body)
                received += len(datagram)
                mallory.send_sealed(datagram, elsewhere)
                self.world.server.verbs.send_state(player, bytes(1_000))
                self.world.server.verbs.send_unreliable(player, bytes(1_000))
                self.world.run(0.05)
            answers = self.sent_to(elsewhere)
            self.assertLessEqual(kinds(answers), {DatagramKind.CHALLENGE}, kind)
            self.assertLessEqual(sum(map(len, answers)), 3 * received, kind)
            self.assertEqual(self.session(f"mallory-{kind.name}").route, mallory.address)
            self.assertIn(DatagramKind.DATA, kinds(self.sent_to(mallory.address)))

    def test_whatIsSealedForAnEarlierPlayerMovesNothing(self) -> None:
        """The end of a session is the end of its keys: nothing sealed under them is answered."""
        mallory = self.world.puppet().confirm().bind()
        kept = [mallory.seal(kind, PADDING) for kind in DatagramKind for _ in range(5)]
        mallory.wire.abort()
        self.world.puppet("eve").confirm().bind()
        sent = self.sent()
        for data in kept:
            mallory.send_sealed(data, VICTIM)
        self.assertEqual(self.sent(), sent)


class SpoofedSourceTests(ThreatCase):
    """Where a datagram says it is from shows nothing."""

    def test_whoeverHasNoKeyIsNobody(self) -> None:
        session = self.session("ada")
        host, port = session.path.address
        player = self.world.server.players["ada"]
        for source in (VICTIM, (host, port + 1), (host, port)):
            authentic, highest = session.datagrams_in, session.window.highest
            sent, events = self.sent(), len(self.world.server.events)
            before = sum(self.counters.drops().values())
            self.throw((data, source) for data in forged(session.cid, FORGED // 3, port))
            self.assertEqual(sum(self.counters.drops().values()) - before, FORGED // 3)
            self.assertEqual(session.datagrams_in, authentic)
            self.assertEqual(session.window.highest, highest)
            self.assertEqual(session.path.address, (host, port))
            self.assertIsNone(session.path.candidate)
            self.assertEqual(self.sent(), sent)
            self.assertEqual(len(self.world.server.events), events)
            self.assertEqual(self.world.server.of(Left), [])
            self.check_unharmed(self.ada)
        self.assertEqual(session.player, player)

    def test_forgeriesDoNotUseUpWhatTheirVictimMaySend(self) -> None:
        session = self.session("ada")
        self.throw((data, VICTIM) for data in forged(session.cid, 5_000))
        for _ in range(100):
            self.ada.verbs.send_input(3)
            self.world.run(1 / 60)
        self.assertEqual(len(self.inputs_of("ada")), 100)
        self.assertEqual(session.rate_dropped, 0)
        # Nor does a flood of them, kept up for long, get their victim cut for its rate.
        for _ in range(15):
            self.throw((data, session.path.address) for data in forged(session.cid, 1_500))
            self.world.run(1.0)
        self.assertEqual(self.world.server.of(Left), [])

    def test_oneSessionsDatagramsAreNotAnothers(self) -> None:
        """A player's own datagrams under the connection id of somebody else are forgeries."""
        mallory = self.world.puppet().confirm().bind()
        session = self.session("ada")
        address = session.path.address
        for index in range(64):
            own = mallory.seal(DatagramKind.DATA, NO_MESSAGE + b"\x44mallory")
            stolen = HEADER.pack(own[0], session.cid, index) + own[HEADER.size :]
            mallory.send_sealed(stolen, address)
        self.assertEqual(self.world.server.of(Unreliable), [])
        self.assertEqual(session.path.address, address)

    def test_oneAddressIsNotOnePlayer(self) -> None:
        """Two behind one router, even one port: each datagram counts for whoever has its key."""
        mallory = self.world.puppet().confirm().bind()
        mallory.address = self.session("ada").path.address
        mallory.bind()
        send_input(mallory, 1, 2)
        self.assertEqual([event.player.name for event in self.world.server.of(Input)], ["mallory"])
        moved = [event.player.name for event in self.world.server.of(PathChanged)]
        self.assertEqual(moved, ["ada", "mallory", "mallory"])

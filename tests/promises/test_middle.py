"""Somebody on the way who changes, doubles and makes datagrams: none counts but the true ones."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.wire import HEADER_BYTES, DatagramKind
from gamenet.events import PathChanged
from gamenet.testing import Simulation
from tests.promises.choosy import Choosy, obey
from tests.promises.talk import Talk

TICKS = 600


class MiddleTests(SynchronousTestCase):
    """Every datagram is joined by another one, both ways."""

    def play(self, said: str) -> list[dict[str, int]]:
        """20 s of talk, of which nothing may be missing.

        :returns: why the server and the client have dropped datagrams: as many as were put in.
        """
        with Simulation(seed=said) as simulation:
            simulation.network.link(latency_ms=10)
            talk = Talk(simulation)
            talk.bind(self)
            paths = []
            for tick in range(TICKS):
                talk.toss()
                if tick % 3 == 0:
                    talk.say()
                simulation.step()
                events = simulation.server.events()
                paths += [event for event in events if isinstance(event, PathChanged)]
                talk.at_server.take(events)
                talk.at_client.take(talk.client.events())
            talk.finish()
            talk.check_exact(self, said)
            # Nothing is lost here, so nothing may be missing either.
            for heard in (talk.at_server, talk.at_client):
                self.assertEqual(heard.unreliable, list(range(1, TICKS + 1)), said)
            self.assertEqual(paths, [], said)
            self.assertEqual(talk.client.path, "udp")
            up, down = simulation.network.machine_of(talk.client).ways
            counted = []
            for end, way in ((simulation.server, up), (talk.client, down)):
                counts = end.stats()
                assert isinstance(way, Choosy)
                drops = {
                    name: int(count)
                    for name, count in counts.items()
                    if name.startswith("drop_datagram_") and count
                }
                self.assertGreater(way.added, TICKS, said)
                self.assertEqual(sum(drops.values()), way.added, (said, drops))
                counted.append(drops)
            return counted

    def test_every_datagram_comes_twice(self) -> None:
        obey(self, lambda way, data: [data, data])
        for drops in self.play("doubled"):
            self.assertEqual(set(drops), {"drop_datagram_replayed"})

    def test_every_datagram_is_followed_by_a_damaged_copy(self) -> None:
        dice = Random(2)

        def rule(way: Choosy, data: bytes) -> list[bytes]:
            # Behind the header: what the header says is another matter, below.
            bit = dice.randrange(8 * HEADER_BYTES, 8 * len(data))
            damaged = bytearray(data)
            damaged[bit >> 3] ^= 1 << (bit & 7)
            return [bytes(damaged), data]

        obey(self, rule)
        for drops in self.play("damaged"):
            self.assertEqual(set(drops), {"drop_datagram_forged"})

    def test_every_header_is_damaged_once(self) -> None:
        dice = Random(3)

        def rule(way: Choosy, data: bytes) -> list[bytes]:
            bit = dice.randrange(8 * HEADER_BYTES)
            damaged = bytearray(data)
            damaged[bit >> 3] ^= 1 << (bit & 7)
            return [bytes(damaged), data]

        obey(self, rule)
        for drops in self.play("headers"):
            self.assertNotIn("drop_datagram_malformed", drops)
            self.assertGreaterEqual(
                set(drops), {"drop_datagram_not_ours", "drop_datagram_unknown_session"}
            )

    def test_noise_between_them(self) -> None:
        dice = Random(4)
        obey(self, lambda way, data: [dice.randbytes(dice.randrange(0, 1_300)), data])
        for drops in self.play("noise"):
            self.assertIn("drop_datagram_not_ours", drops)

    def test_kinds_that_would_move_or_end_something_are_forged(self) -> None:
        dice = Random(5)

        def rule(way: Choosy, data: bytes) -> list[bytes]:
            kind = dice.choice(list(DatagramKind))
            head = bytes((data[0] & 0xF0 | kind,)) + data[1:5]
            number = (int.from_bytes(data[5:9], "big") + dice.randrange(1, 9)).to_bytes(4, "big")
            return [head + number + dice.randbytes(dice.choice((16, 24, 1_191))), data]

        obey(self, rule)
        for drops in self.play("forged kinds"):
            # Until the server knows that its ACCEPT was read, nobody has this cid.
            early = drops.pop("drop_datagram_unknown_session", 0)
            self.assertLess(early, 5)
            self.assertEqual(set(drops), {"drop_datagram_forged"})

"""Joins over a network that loses just what they need."""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from gamenet.events import Connected, Disconnected, Input
from gamenet.testing import Simulation
from tests.promises.choosy import Choosy, obey
from tests.promises.talk import Talk

WAYS = {"up": (True,), "down": (False,), "both": (True, False)}
MOST_RUNNING = 10
"""A third is lost, but never more than so many in a row."""


class LossTests(SynchronousTestCase):
    """Datagrams of the handshake that never arrive: the game goes on by TCP until others do."""

    def check(self, said: str, seconds: float) -> None:
        """Join, play all the while, and be on UDP at both ends within *seconds*."""
        with Simulation(seed=said) as simulation:
            simulation.network.link(latency_ms=20)
            talk = Talk(simulation)
            server, client = simulation.server, talk.client
            taken: list[Input] = []
            states = sent = ticks_on_udp = 0
            while ticks_on_udp < 60:
                sent = client.send_input(sent % 8)
                server.send_state(talk.player, b"state")
                talk.toss()
                simulation.step()
                events = server.events()
                talk.at_server.take(events)
                talk.at_client.take(client.events())
                taken += [event for event in events if isinstance(event, Input)]
                states += client.take_state() is not None
                ticks_on_udp += client.path == server.quality(talk.player).path == "udp"
                self.assertTrue(ticks_on_udp or simulation.time <= seconds, said)
            simulation.run(0.5)
            taken += [event for event in server.events() if isinstance(event, Input)]
            self.assertEqual([event.number for event in taken], list(range(1, sent + 1)), said)
            self.assertEqual(sum(event.missing for event in taken), 0, said)
            self.assertGreater(states, sent // 2, said)
            talk.check_exact(self, said)

    def test_the_first_of_each_way(self) -> None:
        for name, ways in WAYS.items():
            # As PROTOCOL has the attempts: at 0, 0.25, 0.5, 1, 2, 4 and 8 s.
            for count, seconds in ((1, 0.75), (3, 8.5 if name == "both" else 2.5)):
                lost = {True: 0, False: 0}

                def rule(
                    way: Choosy, data: bytes, ways: tuple[bool, ...] = ways, count: int = count,
                    lost: dict[bool, int] = lost,
                ) -> list[bytes]:  # fmt: skip
                    if way.is_up in ways and lost[way.is_up] < count:
                        lost[way.is_up] += 1
                        return []
                    return [data]

                obey(self, rule)
                self.check(f"{name}, first {count}", seconds)
                for way in ways:
                    self.assertEqual(lost[way], count)

    def test_a_third(self) -> None:
        for name, ways in WAYS.items():
            for seed in range(10):
                dice = Random(seed)
                running = {True: 0, False: 0}

                def rule(
                    way: Choosy, data: bytes, ways: tuple[bool, ...] = ways, dice: Random = dice,
                    running: dict[bool, int] = running,
                ) -> list[bytes]:  # fmt: skip
                    if way.is_up not in ways or running[way.is_up] == MOST_RUNNING:
                        running[way.is_up] = 0
                        return [data]
                    if dice.random() < 1 / 3:
                        running[way.is_up] += 1
                        return []
                    running[way.is_up] = 0
                    return [data]

                obey(self, rule)
                self.check(f"{name}, a third, {seed}", 120.0)

    def test_all(self) -> None:
        """UDP is blocked from the beginning and stays so: nothing but the path is another."""
        obey(self, lambda way, data: [])
        with Simulation(seed=1, tick_rate=110) as simulation:
            talk = Talk(simulation)
            for tick in range(1_200):
                if tick % 4 == 0:
                    talk.say()
                talk.toss()
                talk.client.send_input(tick & 3)
                talk.step()
                talk.client.take_state()
            talk.finish()
            talk.check_exact(self, "blocked")
            self.assertEqual(talk.client.path, "tcp")
            # What goes this way has the limit of datagrams; reading never waited because of it.
            self.assertEqual(simulation.server.stats()["reads_paused"], 0)
            self.assertEqual(simulation.server.stats()["drop_tunnel_rate"], 0)
            self.assertEqual(len(talk.at_server.unreliable), 1_200)
            self.assertEqual(len(talk.at_client.unreliable), 1_200)


class BreakTests(SynchronousTestCase):
    """The connection breaks in the middle of a join: a clean end, or the game goes on."""

    def test_at_any_moment(self) -> None:
        ends = set()
        for step in range(40):
            with Simulation(seed=step) as simulation:
                network = simulation.network
                network.link(latency_ms=30)
                client = simulation.clients[0]
                client.stop()
                simulation.server.events()
                client.start(wait=False)
                simulation.run(step * 0.005)
                network.cut_tcp(client)
                simulation.run(6.0)
                events = client.events()
                kinds = {type(event) for event in events}
                over, joined = Disconnected in kinds, Connected in kinds
                self.assertTrue(over or joined, step)
                simulation.server.events()
                players = len(simulation.server.players)
                self.assertEqual(players, int(joined and not over), step)
                ends.add((joined, over))
        # Both come about, so the moments were well chosen.
        self.assertIn((True, False), ends)
        self.assertIn((False, True), ends)

"""TCP connections that break, whatever was under way: nothing is lost, doubled or out of order."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import DisconnectReason
from gamenet.testing import SimulatedNetwork, Simulation
from gamenet.testing.streams import SimulatedTransport
from tests.promises.talk import Talk, number_of, numbered

CUTS = 1_000
SIZES = (0, 300, 3_000, 9_000)
"""Of messages; the large ones take several pieces."""


class Shredded(SimulatedTransport):
    """A connection whose bytes arrive in pieces, each at its own time."""

    dice = Random(0)

    def write(self, data: bytes) -> None:
        while data:
            size = self.dice.randrange(1, 800)
            super().write(data[:size])
            data = data[size:]


class CutTests(SynchronousTestCase):
    """P1: in order, exactly once, across any number of lost connections."""

    def setUp(self) -> None:
        self.patch(SimulatedNetwork, "transport_type", Shredded)
        self.patch(Shredded, "dice", Random(4))

    def half_frames(self, simulation: Simulation) -> int:
        """Ends that have a part of a frame and wait for the rest."""
        protocols = [connection.protocol for connection in simulation.network.connections]
        return sum(bool(getattr(protocol, "_unprocessed", b"")) for protocol in protocols)

    def back(self, talk: Talk) -> None:
        """Let time pass until the session has a connection again at both ends."""
        for _ in range(600):
            if talk.at_server.resumed == talk.at_server.suspended and (
                talk.at_client.resumed == talk.at_client.suspended
            ):
                return
            talk.step()
        self.fail("the session did not get its connection back within 20 s")

    def test_a_thousand_cuts_while_both_ends_send(self) -> None:
        dice = Random(7)
        with Simulation(seed=7) as simulation:
            simulation.network.link(latency_ms=25, jitter_ms=25)
            talk = Talk(simulation)
            within_a_frame = 0
            for _ in range(CUTS):
                for _ in range(dice.randrange(1, 4)):
                    talk.say(dice.choice(SIZES))
                    simulation.run(dice.random() / 60)
                simulation.run(dice.random() / 15)
                within_a_frame += self.half_frames(simulation) > 0
                simulation.network.cut_tcp(talk.client)
                talk.step()
                self.back(talk)
            talk.finish()
            talk.check_exact(self, "a thousand cuts")
            self.assertEqual(talk.at_server.suspended, CUTS)
            self.assertEqual(talk.at_client.resumed, CUTS)
            # So that the test is what its name says.
            self.assertGreater(within_a_frame, CUTS // 10)

    def test_connections_that_break_while_they_are_being_made(self) -> None:
        dice = Random(11)
        with Simulation(seed=11) as simulation:
            simulation.network.link(latency_ms=40, jitter_ms=20)
            talk = Talk(simulation)
            for _ in range(200):
                talk.say()
                # The way back takes some 300 ms; the cut comes anywhere in it.
                simulation.network.cut_tcp(talk.client)
                simulation.run(dice.random() / 2)
                talk.listen()
            talk.finish()
            talk.check_exact(self, "cut again")
            self.assertLess(talk.at_client.resumed, 200)
            self.assertEqual(talk.at_client.resumed, talk.at_client.suspended)
            self.assertEqual(talk.at_server.resumed, talk.at_server.suspended)

    def test_another_address_each_time_and_no_word_that_the_old_connection_is_dead(self) -> None:
        with Simulation(seed=13) as simulation:
            simulation.network.link(latency_ms=20)
            talk = Talk(simulation)
            talk.bind(self)
            for _ in range(30):
                for _ in range(10):
                    talk.say()
                    talk.toss()
                    talk.step()
                simulation.network.change_address(talk.client)
                for _ in range(10):
                    talk.say()
                    talk.toss()
                    talk.step()
                talk.step(150)
            talk.finish()
            talk.check_exact(self, "another address")
            self.assertEqual(talk.at_client.resumed, talk.at_client.suspended)
            self.assertGreaterEqual(talk.at_client.resumed, 30)

    def test_both_transports_at_once(self) -> None:
        with Simulation(seed=17) as simulation:
            talk = Talk(simulation)
            talk.bind(self)
            for number in range(30):
                talk.say(3_000)
                simulation.network.block_udp(talk.client)
                simulation.network.cut_tcp(talk.client)
                for _ in range(15 + 10 * (number % 12)):
                    talk.say()
                    talk.toss()
                    talk.step()
                simulation.network.block_udp(talk.client, on=False)
                talk.step(60)
            talk.finish()
            talk.check_exact(self, "both at once")
            self.assertEqual(talk.client.path, "udp")

    def test_on_a_train(self) -> None:
        with Simulation(seed=19, profile="train") as simulation:
            talk = Talk(simulation)
            for tick in range(60 * 30):
                talk.toss()
                if tick % 3 == 0:
                    talk.say()
                talk.step()
                if tick % 400 == 399:
                    simulation.network.cut_tcp(talk.client)
            talk.finish()
            talk.check_exact(self, "on a train")


class TooLateTests(SynchronousTestCase):
    """Beyond the window the session is over, and what was never taken is given back."""

    def lose(self, **fields: Any) -> Talk:
        with Simulation(seed=23, resume_seconds=5.0, **fields) as simulation:
            talk = Talk(simulation)
            talk.say()
            talk.step(10)
            listener = simulation.network.tcp.copy()
            simulation.network.tcp.clear()
            simulation.network.block_udp(talk.client)
            simulation.network.cut_tcp(talk.client)
            for _ in range(20):
                talk.say()
            talk.step(30 * 10)
            simulation.network.tcp.update(listener)
        return talk

    def test_a_client_that_talks_on_until_it_hears_of_the_end(self) -> None:
        for seed in range(20):
            with Simulation(seed=seed, resume_seconds=2.0) as simulation:
                talk = Talk(simulation)
                client, sent = talk.client, 0
                simulation.network.tcp.clear()
                simulation.network.cut_tcp(client)
                while not talk.at_client.ended:
                    # More than once a tick, as the end comes anywhere in one.
                    for _ in range(3):
                        simulation.run(1 / 170)
                        sent += 1
                        client.send(numbered(sent))
                    talk.at_client.take(client.events())
                (event,) = talk.at_client.ended
                left = [number_of(payload) for payload in event.unacknowledged]  # type: ignore[union-attr]
                self.assertEqual(left, list(range(1, sent + 1)), seed)
                self.assertEqual(event.unacknowledged_count, sent)  # type: ignore[union-attr]
                # Now it knows, and what it sends is nobody's.
                client.send(b"nobody hears this")
                stats = client.stats()
                self.assertEqual((stats["drop_verb_gone"], stats["verbs_for_gone"]), (0, 1))

    def test_both_ends_get_back_exactly_what_the_other_never_took(self) -> None:
        talk = self.lose()
        for heard in (talk.at_server, talk.at_client):
            (event,) = heard.ended
            reason = event.reason  # type: ignore[union-attr]
            self.assertEqual(reason, DisconnectReason.SESSION_LOST)
            left = [number_of(payload) for payload in event.unacknowledged]  # type: ignore[union-attr]
            self.assertEqual(left, list(range(2, 22)))
            self.assertEqual(event.unacknowledged_count, 20)  # type: ignore[union-attr]
            self.assertEqual(heard.reliable, [1])
            self.assertEqual((heard.suspended, heard.resumed), (1, 0))

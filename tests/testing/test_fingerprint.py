"""The same seed, the same run; another seed, another."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.events import Player, Unreliable
from gamenet.testing import Simulation
from gamenet.testing.trace import MOST_PARTS, Trace
from tests.testing.games import Walk, walk

ROOT = Path(__file__).resolve().parent.parent.parent


def run(seed: int | str = 1, game: object = Walk, **changes: object) -> str:
    """A run with everything in it."""
    same = {"clients": 3, "profile": "cellular", "seed": seed, **changes}
    with Simulation(game, **same) as simulation:  # type: ignore[arg-type]
        network, clients = simulation.network, simulation.clients
        for number in range(120):
            for client in clients:
                client.send_input(number & 7)
                client.events()
                client.take_state()
            if number == 20:
                clients[0].send(b"hello")
                clients[1].say("hello")
            if number == 40:
                network.cut_tcp(clients[1])
            if number == 50:
                network.block_udp(clients[2])
            if number == 60:
                network.change_address(clients[0])
            if number == 80:
                network.link(loss=0.3, duplicate=0.1, reorder=0.1)
                simulation.join("late")
            simulation.step()
        return simulation.fingerprint()


class FingerprintTests(SynchronousTestCase):
    def test_equal_seeds(self) -> None:
        for game in (Walk, walk):
            self.assertEqual(run(game=game), run(game=game))

    def test_other_seeds(self) -> None:
        self.assertEqual(len({run(seed) for seed in (1, 2, 3, "1/2")}), 4)

    def test_other_processes_whatever_their_hashes(self) -> None:
        source = "from tests.testing.test_fingerprint import run; print(run())"
        found = set()
        for hashes in ("0", "1", "12345"):
            done = subprocess.run(
                [sys.executable, "-c", source],
                cwd=ROOT,
                env={**os.environ, "PYTHONHASHSEED": hashes},
                capture_output=True,
                text=True,
                check=False,
            )
            self.assertEqual(done.stderr, "")
            found.add(done.stdout.strip())
        self.assertEqual(found, {run()})

    def test_whatever_is_different_shows(self) -> None:
        runs = [
            run(),
            run(clients=2 + 2),
            run(profile="wifi"),
            run(tick_rate=31.0),
            run(clients=["ada", "bob", "eve"]),
        ]
        self.assertEqual(len(set(runs)), len(runs))

    def test_closing_does_not_change_it(self) -> None:
        simulation = Simulation(Walk)
        simulation.step()
        before = simulation.fingerprint()
        simulation.close()
        self.assertEqual(simulation.fingerprint(), before)

    def test_time_alone_changes_nothing_but_traffic_and_events_do(self) -> None:
        with Simulation() as simulation:
            simulation.step(30)
            prints = [simulation.fingerprint()]
            self.assertEqual(simulation.fingerprint(), prints[0])
            simulation.clients[0].send_input(1)
            simulation.step()
            prints.append(simulation.fingerprint())
            simulation.server.post("mine")
            prints.append(simulation.fingerprint())
            simulation._bridges[0].publish([Unreliable(Player(1, "", ""), b"x")])
            prints.append(simulation.fingerprint())
            self.assertEqual(len(set(prints)), 4)

    def test_long_runs_are_digested_on_the_way(self) -> None:
        short, long = Trace(), Trace()
        for number in range(3 * MOST_PARTS):
            long.note(b"%d" % number)
            self.assertLessEqual(len(long._parts), MOST_PARTS + 1)
        for number in range(3 * MOST_PARTS):
            short.note(b"%d" % number)
            if number % 7 == 0:
                short.digest()
        self.assertEqual(short.digest(), long.digest())
        self.assertNotEqual(Trace().digest(), long.digest())
        self.assertNotEqual(Trace.of([short, Trace()]), Trace.of([Trace(), short]))

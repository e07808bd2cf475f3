"""How long an hour of a simulated session takes: one server, two players, 60 ticks a second.

Each tick every player sends an input and takes the state that the server has sent it. Prints one
JSON line. See README.rst beside this file.
"""

from __future__ import annotations

import argparse
import json
import time

from gamenet import Game, Player, Tick
from gamenet.testing import Simulation

HZ = 60


class Field(Game):
    """Adds up what each player holds, and shows everybody their sum."""

    tick_rate = HZ

    def on_start(self) -> None:
        self.sums: dict[Player, int] = {}
        self.inputs = 0

    def on_join(self, player: Player) -> None:
        self.sums[player] = 0

    def on_input(self, player: Player, number: int, buttons: int) -> None:
        self.sums[player] += buttons
        self.inputs += 1

    def on_tick(self, tick: Tick) -> None:
        self.ticks = tick.number
        for player in self.server.players:
            self.server.send_state(player, b"%d" % self.sums[player])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3_600, help="of simulated time")
    parser.add_argument("--clients", type=int, default=2)
    parser.add_argument("--profile", default="cellular")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    states = 0
    began = time.perf_counter()
    simulation = Simulation(
        Field, clients=options.clients, profile=options.profile, seed=options.seed
    )
    with simulation:
        for number in range(int(options.seconds * HZ)):
            for client in simulation.clients:
                client.send_input(number >> 4 & 3)
                client.events()
                if client.take_state() is not None:
                    states += 1
            simulation.step()
    took = time.perf_counter() - began
    game = simulation.game
    assert isinstance(game, Field)
    result = {
        "simulated_seconds": round(simulation.time, 1),
        "real_seconds": round(took, 1),
        "ticks": game.ticks,
        "microseconds_per_tick": round(1e6 * took / game.ticks, 1),
        "clients": options.clients,
        "profile": options.profile,
        "inputs": game.inputs,
        "states": states,
        "fingerprint": simulation.fingerprint(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""What it costs a reliable message that its session can be resumed.

Messages go both ways through all of gamenet, from a game's ``send`` to the other's ``events``, over
the simulated network, where nothing else is. The same with a sender that keeps nothing of what it
has sent, and so has neither a window nor anything to write again, is what it is compared with: more
is left out than resuming alone needs, so the share is at most what this prints. In turns, so that
the machine's moods meet both. Prints one JSON line; the exit status is 1 if the share is over 5 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

from gamenet.core import stream
from gamenet.testing import Simulation

BAR = 0.05
EACH_TICK = 100
"""Messages each way."""
PAYLOAD = bytes(64)
FRAME_BYTES = 3 + len(PAYLOAD)
UNLIMITED = {
    "frames_per_second": 1e6,
    "frames_burst": 1_000_000,
    "frames_per_read": 100_000,
    "tcp_bytes_per_second": 1 << 30,
}
"""Messages come as fast as they can."""


class Forgetful(stream.Outgoing):
    """Writes at once whatever it is given, and keeps none of it."""

    __slots__ = ()

    def take(self) -> list[bytes]:
        frames = list(self._waiting)
        self._waiting.clear()
        self._waiting_bytes = 0
        self.sent += len(frames)
        return frames

    def acknowledge(self, count: int) -> tuple[int, int]:
        messages = count - self.acknowledged
        self.acknowledged = count
        return messages, messages * FRAME_BYTES


def play(ticks: int) -> float:
    """:returns: CPU seconds a message."""
    with Simulation(seed=1, **UNLIMITED) as simulation:
        server, client = simulation.server, simulation.clients[0]
        server.events()
        (player,) = server.players
        heard = 0
        began = time.process_time()
        for _ in range(ticks):
            for _ in range(EACH_TICK):
                server.send(player, PAYLOAD)
                client.send(PAYLOAD)
            simulation.step()
            heard += len(server.events()) + len(client.events())
        used = time.process_time() - began
        assert heard >= 2 * (ticks - 1) * EACH_TICK, heard
        return used / (2 * ticks * EACH_TICK)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--ticks", type=int, default=100, help="of each round")
    options = parser.parse_args()
    real = stream.Outgoing
    take, acknowledge = real.take, real.acknowledge
    kept: list[float] = []
    forgotten: list[float] = []
    play(options.ticks)
    for number in range(options.rounds):
        # Each is first as often as the other.
        for forgets in (number % 2 == 0, number % 2 != 0):
            real.take = Forgetful.take if forgets else take  # type: ignore[method-assign]
            real.acknowledge = (  # type: ignore[method-assign]
                Forgetful.acknowledge if forgets else acknowledge
            )
            (forgotten if forgets else kept).append(play(options.ticks))
    shares = [1 - without / whole for whole, without in zip(kept, forgotten, strict=True)]
    quarters = statistics.quantiles(shares, n=4)
    share = statistics.median(shares)
    result = {
        "microseconds_per_message": round(1e6 * statistics.median(kept), 3),
        "without_microseconds_per_message": round(1e6 * statistics.median(forgotten), 3),
        "share": round(share, 4),
        "share_quartiles": [round(quarters[0], 4), round(quarters[2], 4)],
        "bar": BAR,
        "rounds": options.rounds,
        "messages_per_round": 2 * options.ticks * EACH_TICK,
        "payload_bytes": len(PAYLOAD),
    }
    print(json.dumps(result))
    return int(share > BAR)


if __name__ == "__main__":
    sys.exit(main())

"""The lean client of the benchmarks: what it puts on a server is what a real player does."""

from __future__ import annotations

import importlib.util
import select
import time
from typing import Any

import gamenet
from tests.live.daemon import HANGS_SECONDS, ROOT
from tests.live.test_facade import on_a_game_thread

HERE = "tcp:0:interface=127.0.0.1"
SAME = bytes(range(250))


def lean() -> Any:
    """The module, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("lean", ROOT / "benchmarks" / "lean.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@on_a_game_thread
def test_statesComeAsDifferencesAndInputsAreMeantForTicks() -> None:
    with gamenet.GameServer(HERE, insecure=True, tick_rate=60, input_bits=16) as server:
        client = lean().LeanClient("127.0.0.1", server.port, tls=False)
        try:
            client.join().bind()
            until = time.monotonic() + HANGS_SECONDS
            meant = seen = 0
            stats: dict[str, float] = {}
            while time.monotonic() < until:
                for tick in server.ticks(wait=False):
                    for event in tick.events:
                        if isinstance(event, gamenet.Input):
                            meant += event.tick == tick.number
                            seen = max(seen, event.seen)
                    for player in server.players:
                        server.send_state(player, SAME + tick.number.to_bytes(4, "big"))
                    client.look_at_udp()
                    client.press(tick.number & 0xFFFF)
                    client.flush()
                stats = server.stats()
                sent, full = stats["state_bytes_sent"], stats["state_bytes_full"]
                if client.states > 30 and sent < full / 3 and meant > 30 and seen:
                    break
                select.select([client.udp], [], [], 0.002)
            assert client.states > 30
            assert stats["state_bytes_sent"] < stats["state_bytes_full"] / 3
            assert client.state.startswith(SAME)
            assert stats["drop_state_baseline"] == 0
            assert meant > 30
            assert seen > 0
        finally:
            client.close()

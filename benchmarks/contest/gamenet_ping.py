"""W4: one message in flight, from one game's thread to the other's and back.

Both ends are gamenet as its users run it: a game that waits in ``events()``.
"""

from __future__ import annotations

import time
from typing import Any, Final

import common

import gamenet

WAIT_SECONDS: Final = 1.0
JOIN_SECONDS: Final = 20.0


def play(spec: dict[str, Any]) -> None:
    """Ping until somebody says stop.

    :raises RuntimeError: if the session ends, or UDP does not carry.
    """
    payload = bytes(spec["message_bytes"])
    client = gamenet.GameClient(f"{common.HOST}:{spec['port']}", insecure=True)
    with client:
        until = time.monotonic() + JOIN_SECONDS
        while client.path != "udp":
            if time.monotonic() > until:
                raise RuntimeError("UDP does not carry")
            client.events(WAIT_SECONDS)
        told = common.Told()
        common.say({"ready": True})
        common.settle()
        lost = 0
        taken: list[float] = []
        clock = time.perf_counter
        while not told.stop:
            begun = clock()
            client.send_unreliable(payload)
            if _echoed(client):
                taken.append(clock() - begun)
            elif client.joined:
                lost += 1
            else:
                raise RuntimeError("the session is over")
        told.finish(
            sent=len(taken) + lost, received=len(taken), lost=lost, **common.round_trips(taken)
        )


def _echoed(client: gamenet.GameClient) -> bool:
    """Wait for an echo; False after a while without one."""
    until = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < until:
        for event in client.events(WAIT_SECONDS):
            if type(event) is gamenet.Unreliable:
                return True
            if type(event) is gamenet.Disconnected:
                return False
    return False

"""A game server library on Twisted's reactor with a game thread: sealed."""

from __future__ import annotations

import logging
import time
from typing import Any

import common
from mpgameserver import EventHandler, ServerContext, TwistedServer
from mpgameserver.connection import RetryMode

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "players": 0}


class Game(EventHandler):
    """Echoes, or plays: what the workload asks for."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._echoes = spec["workload"] != "W3"
        self._retry = RetryMode.RETRY_ON_TIMEOUT if spec["workload"] == "W2" else RetryMode.NONE
        self._states = common.States(spec["state_bytes"])
        self._players: set[Any] = set()
        self._n = spec["n"]
        self._begun = False
        self._period = 1.0 / spec["hz"]
        self._before = time.monotonic()
        self.late = common.Lateness()

    def connect(self, client: Any) -> None:
        self._players.add(client)

    def disconnect(self, client: Any) -> None:
        self._players.discard(client)

    def handle_message(self, client: Any, seqnum: Any, msg: bytes = b"") -> None:
        if self._echoes:
            client.send(msg, retry=self._retry)
            COUNTERS["messages"] += 1
        else:
            COUNTERS["inputs"] += 1

    def update(self, delta_t: float) -> None:
        # It keeps no grid: late is what comes more than a period after the one before.
        now = time.monotonic()
        self.late.add(max(0.0, now - self._before - self._period))
        self._before = now
        COUNTERS["ticks"] += 1
        COUNTERS["players"] = len(self._players)
        self._begun = self._begun or len(self._players) >= self._n
        if self._begun and not self._echoes:
            state = self._states.at(COUNTERS["ticks"])
            for client in self._players:
                client.send(state)


def main() -> None:
    """Serve what the spec asks for."""
    from twisted.internet import reactor

    logging.disable(logging.CRITICAL)
    spec = common.spec()
    game = Game(spec)
    context = ServerContext(game)
    context.setInterval(1.0 / spec["hz"])
    server = TwistedServer(context, (common.HOST, 0), install_signals=False)

    def begin() -> None:
        common.deepen(server.transport.fileno())
        key = context.server_root_key.getPublicKey().getBytes().hex()
        common.say({"port": server.transport.getHost().port, "root_key": key})

    reactor.callWhenRunning(begin)
    common.in_background(
        common.answer_figures, lambda: {**COUNTERS, "tick_late_p99_ms": game.late.take()}
    )
    server.run()


if __name__ == "__main__":
    main()

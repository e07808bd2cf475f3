"""WebSocket over TCP in Python: unsealed, without compression."""

from __future__ import annotations

import asyncio
from typing import Any

import common
from websockets.asyncio.server import ServerConnection, broadcast, serve

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "deliveries": 0, "players": 0}


async def run(spec: dict[str, Any]) -> None:
    """Serve what the spec asks for, for good."""
    echoes = spec["workload"] == "W2"
    players: set[ServerConnection] = set()

    async def handle(connection: ServerConnection) -> None:
        players.add(connection)
        try:
            async for message in connection:
                if echoes:
                    await connection.send(message)
                    COUNTERS["messages"] += 1
                else:
                    COUNTERS["inputs"] += 1
        finally:
            players.discard(connection)

    async with serve(
        handle, common.HOST, 0, compression=None, ping_interval=None, open_timeout=60
    ) as server:
        ticks = common.Ticks(spec["hz"])
        size = spec["broadcast_bytes" if spec["workload"] == "W5" else "state_bytes"]
        states = common.States(size)
        common.say({"port": server.sockets[0].getsockname()[1]})
        common.in_background(
            common.answer_figures, lambda: {**COUNTERS, "tick_late_p99_ms": ticks.late.take()}
        )
        while echoes:
            await asyncio.sleep(60.0)
        begun = False
        while True:
            await asyncio.sleep(ticks.left())
            if ticks.start():
                begun = begun or len(players) >= spec["n"]
                COUNTERS["ticks"] += 1
                COUNTERS["players"] = len(players)
                if begun:
                    broadcast(players, states.at(ticks.number))
                    COUNTERS["deliveries"] += len(players)


if __name__ == "__main__":
    asyncio.run(run(common.spec()))

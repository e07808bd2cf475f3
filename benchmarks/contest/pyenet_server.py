"""ENet through its Python binding: unsealed."""

from __future__ import annotations

import math
from typing import Any

import common
import enet

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "deliveries": 0, "players": 0}
ECHO_FLAGS = {"W1": 0, "W2": enet.PACKET_FLAG_RELIABLE, "W4": 0}
WAIT_MS = 100


def echo(host: Any, flags: int) -> None:
    """W1, W2, W4: every message goes back."""
    service, packet, received = host.service, enet.Packet, enet.EVENT_TYPE_RECEIVE
    while True:
        event = service(WAIT_MS)
        if event.type == received:
            event.peer.send(0, packet(event.packet.data, flags))
            COUNTERS["messages"] += 1


def play(host: Any, n: int, ticks: common.Ticks, states: common.States, *, reliable: bool) -> None:
    """W3: each player gets a state each tick. W5: all get what is sent to all."""
    service, received = host.service, enet.EVENT_TYPE_RECEIVE
    flags = enet.PACKET_FLAG_RELIABLE if reliable else 0
    players: dict[int, Any] = {}
    while True:
        if ticks.start() and len(players) >= n:
            # One packet for all, which ENet counts references of.
            packet = enet.Packet(states.at(ticks.number), flags)
            if reliable:
                host.broadcast(0, packet)
            else:
                for peer in players.values():
                    peer.send(0, packet)
            COUNTERS["deliveries"] += len(players)
            COUNTERS["ticks"] += 1
        # It waits whole milliseconds, and sends what there is to send before it waits.
        event = service(math.ceil(ticks.left() * 1e3))
        if event.type == received:
            COUNTERS["inputs"] += 1
        elif event.type == enet.EVENT_TYPE_CONNECT:
            players[event.peer.incomingPeerID] = event.peer
            COUNTERS["players"] = len(players)
        elif event.type == enet.EVENT_TYPE_DISCONNECT:
            players.pop(event.peer.incomingPeerID, None)


def main() -> None:
    """Serve what the spec asks for."""
    spec = common.spec()
    host = enet.Host(enet.Address(common.HOST.encode(), 0), spec["n"] + 1, 1, 0, 0)
    common.deepen(host.socket.fileno())
    ticks = common.Ticks(spec["hz"])
    common.say({"port": host.address.port})
    common.in_background(
        common.answer_figures, lambda: {**COUNTERS, "tick_late_p99_ms": ticks.late.take()}
    )
    if spec["workload"] in ECHO_FLAGS:
        echo(host, ECHO_FLAGS[spec["workload"]])
    else:
        reliable = spec["workload"] == "W5"
        size = spec["broadcast_bytes" if reliable else "state_bytes"]
        play(host, spec["n"], ticks, common.States(size), reliable=reliable)


if __name__ == "__main__":
    main()

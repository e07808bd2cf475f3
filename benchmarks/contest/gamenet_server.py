"""gamenet as its users run it: a game on a thread of its own, the bridge, sealed datagrams.

Nothing here is made for a benchmark: the limits that are raised are fields of the public
configuration, and are told to whoever prints the table.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import Any

import common

import gamenet
from gamenet.tickets import make_key

WAIT_SECONDS = 1.0
"""A game without ticks waits for so long at most; it is woken by what comes."""
AUDIENCE = "bench"
ECHOES = ("W1", "W2", "W4")
FASTEST = 65_535
"""As many datagrams a second as the protocol can name."""
MUCH = 1 << 28
"""Bytes a second that no workload comes to."""


def limits(spec: dict[str, Any]) -> dict[str, Any]:
    """What a server of this workload has to allow beyond the defaults, by public fields."""
    raised: dict[str, Any] = {}
    if spec["n"] + spec["n"] // 4 >= 256:
        raised["max_players"] = 2 * spec["n"]
    if spec["workload"] in ("W1", "W4"):
        # One client in the place of very many.
        raised |= {
            "datagrams_per_second": FASTEST,
            "datagrams_burst": FASTEST,
            "datagram_bytes_per_second": MUCH,
            "send_bytes_per_second": MUCH,
        }
    if spec["workload"] == "W2":
        raised |= {
            "frames_per_second": 1e6,
            "frames_burst": 1_000_000,
            "tcp_bytes_per_second": MUCH,
        }
    if spec["workload"] in ("W3", "W7", "W8") and spec["state_bytes"] * spec["hz"] > 32_768:
        raised["send_bytes_per_second"] = 4 * int(spec["state_bytes"] * spec["hz"])
    return raised


class Game:
    """What runs on the game's thread, and what it has counted."""

    def __init__(self, server: gamenet.GameServer, spec: dict[str, Any]) -> None:
        self.server = server
        self.spec = spec
        self.messages = self.ticks = self.inputs = self.deliveries = 0
        self.late = common.Lateness()
        self.filled = threading.Event()
        self.pauses = common.Pauses()
        if spec["workload"] == "W8":
            self.pauses.watch()

    def run(self) -> None:
        """Play what the workload asks for."""
        workload = self.spec["workload"]
        if workload == "W6":
            self.sit()
        elif workload == "W5":
            self.tell_all()
        elif self.spec.get("queued"):
            self.fill_all()
        elif workload in ECHOES:
            self.echo_reliable() if workload == "W2" else self.echo()
        else:
            self.show_all()

    def echo(self) -> None:
        """Every unreliable message goes back."""
        server = self.server
        while server.running:
            for event in server.events(WAIT_SECONDS):
                if type(event) is gamenet.Unreliable:
                    server.send_unreliable(event.player, event.payload)
                    self.messages += 1

    def echo_reliable(self) -> None:
        """Every reliable message goes back."""
        server = self.server
        while server.running:
            for event in server.events(WAIT_SECONDS):
                if type(event) is gamenet.Received:
                    server.send(event.player, event.payload)
                    self.messages += 1

    def show_all(self) -> None:
        """Take every input, and send every player a state each tick, once all are in."""
        server, n = self.server, self.spec["n"]
        states = common.States(self.spec["state_bytes"])
        begun = False
        for tick in server.ticks():
            for event in tick.events:
                if type(event) is gamenet.Input:
                    self.inputs += 1
            players = server.players
            begun = begun or len(players) >= n
            if begun:
                state = states.at(tick.number)
                for player in players:
                    server.send_state(player, state)
                self.ticks += 1
                self.late.add(tick.late_seconds)
                self.pauses.latest_tick = max(self.pauses.latest_tick, tick.late_seconds)

    def tell_all(self) -> None:
        """Send everybody the same message each tick, once all are in."""
        server, n = self.server, self.spec["n"]
        messages = common.States(self.spec["broadcast_bytes"])
        begun = False
        for tick in server.ticks():
            begun = begun or len(server.players) >= n
            if begun:
                server.broadcast(messages.at(tick.number))
                self.deliveries += len(server.players)
                self.ticks += 1
                self.late.add(tick.late_seconds)

    def fill_all(self) -> None:
        """When asked to, send everybody messages that nobody acknowledges."""
        server, size = self.server, self.spec["message_bytes"]
        while server.running:
            for event in server.events(WAIT_SECONDS):
                if type(event) is gamenet.Posted:
                    for _ in range(self.spec["queued"]):
                        for player in server.players:
                            server.send(player, os.urandom(size))
                    self.filled.set()

    def fill(self) -> None:
        """Have that done; returns when it is. On the thread that answers questions."""
        self.server.post("fill")
        self.filled.wait()

    def sit(self) -> None:
        """See players come."""
        while self.server.running:
            self.server.events(WAIT_SECONDS)

    def figures(self) -> dict[str, Any]:
        """What was counted since the server began."""
        stats = self.server.stats()
        return {
            "messages": self.messages,
            "ticks": self.ticks,
            "inputs": self.inputs,
            "deliveries": self.deliveries,
            "players": len(self.server.players),
            "tick_late_p99_ms": self.late.take(),
            "inputs_missing": stats["inputs_missing"],
            "states_replaced": stats["states_replaced"],
            "queued": sum(self.server.quality(it).queued_messages for it in self.server.players),
            **self.pauses.take(),
            "dropped": {
                name: count for name, count in stats.items() if name.startswith("drop_") and count
            },
        }


def main() -> None:
    """Serve what the spec asks for."""
    spec = common.spec()
    raised = limits(spec)
    fields: dict[str, Any] = {"tick_rate": float(spec["hz"]), "input_bits": 64}
    said: dict[str, Any] = {"limits": raised}
    if spec["tls"]:
        fields |= {"cert_file": spec["cert_file"], "key_file": spec["key_file"]}
        if spec["workload"] == "W6":
            # Beside the certificate, which is removed with its folder.
            issuer = f"{tempfile.mkdtemp(dir=Path(spec['cert_file']).parent)}/issuer"
            public = make_key(issuer)
            fields["auth"] = (f"ticket:{public}:{AUDIENCE}",)
            said |= {"issuer": issuer, "audience": AUDIENCE}
    else:
        fields["insecure"] = True
    server = gamenet.GameServer(f"tcp:0:interface={common.HOST}", **fields, **raised)
    server.start()
    game = Game(server, spec)
    threading.Thread(target=game.run, daemon=True).start()
    common.say({"port": server.port, **said})
    common.answer_figures(game.figures, fill=game.fill)


if __name__ == "__main__":
    main()

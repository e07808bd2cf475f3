"""Server CPU per client and tick: gamenet beside plain Twisted, in one run.

Prints progress to stderr and one JSON line to stdout. See README.rst beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time

import lean
import rig

CLIENTS = 100
HZ = 60
INPUT_BYTES = 32
STATE = bytes(200)


# Servers: print a line when ready, then answer each line on stdin with CPU seconds and ticks.


def serve_gamenet(clients: int) -> None:
    """A game thread that takes every input and sends every player a state, each tick."""
    import gamenet

    state = {"ticks": 0, "inputs": 0}
    server = gamenet.GameServer(
        0, insecure=True, tick_rate=HZ, input_bits=64, max_players=clients + 1
    )
    server.start()

    def game() -> None:
        for tick in server.ticks():
            for event in tick.events:
                if type(event) is gamenet.Input:
                    state["inputs"] += 1
            for player in server.players:
                server.send_state(player, STATE)
            state["ticks"] += 1

    threading.Thread(target=game, daemon=True).start()
    print(server.port, flush=True)
    _answer(lambda: {**state, "players": len(server.players)})
    server.stop()


def serve_plain(clients: int) -> None:
    """One DatagramProtocol: remembers who sent, sends each of them a state, each tick."""
    from twisted.internet import reactor, task
    from twisted.internet.protocol import DatagramProtocol

    state = {"ticks": 0, "inputs": 0}

    class Plain(DatagramProtocol):
        noisy = False

        def __init__(self) -> None:
            self.players: dict[tuple[str, int], bytes] = {}

        def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:
            self.players[addr] = data
            state["inputs"] += 1

        def tick(self) -> None:
            write = self.transport.write
            for addr in self.players:
                write(STATE, addr)
            state["ticks"] += 1

    plain = Plain()
    port = reactor.listenUDP(0, plain, interface="127.0.0.1")
    task.LoopingCall(plain.tick).start(1 / HZ)
    print(port.getHost().port, flush=True)

    def answer() -> None:
        _answer(lambda: {**state, "players": len(plain.players)})
        reactor.callFromThread(reactor.stop)

    threading.Thread(target=answer, daemon=True).start()
    reactor.run()


def _answer(figures: object) -> None:
    for _ in sys.stdin:
        print(json.dumps({"cpu": time.process_time(), **figures()}), flush=True)  # type: ignore[operator]


# Load: connects, prints a line when all are in, then plays until stdin closes. One thread, plain
# sockets, the same loop for both kinds. Every client has its own phase, as players have: a load
# that beats in bursts would hide what it costs to be woken for each datagram.


class PlainClient:
    """Sends one datagram a tick, and reads what comes."""

    def __init__(self, port: int) -> None:
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.setblocking(False)
        self.server = ("127.0.0.1", port)

    def play(self, number: int) -> None:
        """One tick's input leaves."""
        self.udp.sendto(bytes(INPUT_BYTES), self.server)

    def look_at_udp(self) -> None:
        """Take what came."""
        try:
            while True:
                self.udp.recv(1500)
        except BlockingIOError:
            pass

    def look_at_tcp(self) -> None:
        """Whatever does not hurry."""


class GamenetClient(lean.LeanClient):
    """A player who is joined over TCP and bound over UDP."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, tls=False)
        self.join().bind()

    def play(self, number: int) -> None:
        """One tick's input leaves."""
        # A new value each tick, so that every input travels whole.
        self.press(number * 40503 & 0xFFFF)
        self.flush()


def load(make: type[PlainClient] | type[GamenetClient], clients: int, port: int) -> None:
    """Play until stdin closes."""
    players = [make(port) for _ in range(clients)]
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    begun = time.monotonic()
    step = 0
    while not ended.is_set():
        number, index = divmod(step, clients)
        players[index].play(number + 1)
        # Half a tick later it reads what has come.
        reader = players[(index + clients // 2) % clients]
        reader.look_at_udp()
        if number % HZ == 0:
            reader.look_at_tcp()
        step += 1
        rig.sleep_until(begun + step / clients / HZ)


def load_gamenet(clients: int, port: int) -> None:
    load(GamenetClient, clients, port)


def load_plain(clients: int, port: int) -> None:
    load(PlainClient, clients, port)


ROLES = {
    ("gamenet", "serve"): serve_gamenet,
    ("plain", "serve"): serve_plain,
    ("gamenet", "load"): load_gamenet,
    ("plain", "load"): load_plain,
}


# The run.


def measure(kind: str, clients: int, warm: float, window: float) -> dict[str, float]:
    """One round of one kind: server CPU microseconds per client and tick, and what it did."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    with _child(kind, "serve", clients, cores[:1]) as server:
        port = int(server.stdout.readline())
        with _child(kind, "load", clients, cores[1:2], port) as load:
            load.stdout.readline()
            time.sleep(warm)
            before = _ask(server)
            time.sleep(window)
            after = _ask(server)
            load.stdin.close()
            load.wait(10)
        server.stdin.close()
        server.wait(10)
    ticks = after["ticks"] - before["ticks"]
    return {
        "us": (after["cpu"] - before["cpu"]) / (ticks * clients) * 1e6,
        "players": after["players"],
        "ticks_per_second": ticks / window,
        "inputs_per_second": (after["inputs"] - before["inputs"]) / window,
    }


def _child(kind: str, role: str, clients: int, cores: list[int], *rest: int) -> subprocess.Popen:
    def pin() -> None:
        if cores:
            os.sched_setaffinity(0, cores)

    command = [sys.executable, __file__, "--role", f"{kind}:{role}", "--clients", str(clients)]
    command += [str(value) for value in rest]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=pin
    )


def _ask(server: subprocess.Popen) -> dict[str, float]:
    server.stdin.write("figures\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def main() -> int:
    """Run all rounds and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="measured in each round")
    parser.add_argument("--warm", type=float, default=1.0, help="before it")
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs="*", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.role:
        kind, role = options.role.split(":")
        ROLES[kind, role](options.clients, *options.rest)
        return 0
    rounds: dict[str, list[dict[str, float]]] = {"gamenet": [], "plain": []}
    for number in range(options.rounds):
        for kind, results in rounds.items():
            result = measure(kind, options.clients, options.warm, options.seconds)
            results.append(result)
            print(
                f"round {number + 1} {kind:8} {result['us']:6.2f} us per client and tick, "
                f"{result['ticks_per_second']:.1f} ticks/s, "
                f"{result['inputs_per_second']:.0f} inputs/s",
                file=sys.stderr,
            )
    line: dict[str, object] = {"clients": options.clients, "hz": HZ, "rounds": options.rounds}
    medians = {}
    for kind, results in rounds.items():
        figures = [result["us"] for result in results]
        medians[kind] = statistics.median(figures)
        line[f"{kind}_us_per_client_tick"] = round(medians[kind], 2)
        line[f"{kind}_us_min"] = round(min(figures), 2)
        line[f"{kind}_us_max"] = round(max(figures), 2)
        line[f"{kind}_inputs_per_second"] = round(
            statistics.median(result["inputs_per_second"] for result in results)
        )
    line["ratio"] = round(medians["gamenet"] / medians["plain"], 3)
    print(json.dumps(line))
    return 0


if __name__ == "__main__":
    sys.exit(main())

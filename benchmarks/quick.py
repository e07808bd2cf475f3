"""Server CPU per client and tick: gamenet beside plain Twisted, in one run.

Prints progress to stderr and one JSON line to stdout. See README.rst beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

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

    def datagrams(self, number: int) -> list[bytes]:
        return [bytes(INPUT_BYTES)]

    def received(self, data: bytes, now: float) -> None:
        pass

    def every_second(self, now: float) -> None:
        pass


class GamenetClient(PlainClient):
    """A client of gamenet's own core on plain sockets: joined, bound, one input a tick."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        from gamenet.core import frames
        from gamenet.core.client_session import ClientSession
        from gamenet.core.counters import Counters
        from gamenet.core.record import Opener, Sealer, session_keys
        from gamenet.core.seat import Seat
        from gamenet.core.session import Limits, Setup
        from gamenet.core.turn import Turn
        from gamenet.events import SERVER, Player
        from gamenet.messages import NO_SCHEMA, Codec

        self.tcp = socket.create_connection(("127.0.0.1", port))
        self.unread = b""
        self._send(frames.encode_hello(frames.Hello(1, 1, 1, 5, NO_SCHEMA, 0, 1, "", "", b"")))
        accept = frames.decode_accept(self._frame())
        player = Player(accept.player_id, accept.name, "")
        to_server, to_client = session_keys(accept)
        self.turn = Turn(Counters(), 1 << 20)
        self.session = ClientSession(
            Setup(
                player=player,
                author=SERVER,
                seat=Seat(player, 1024, 1 << 20),
                session_id=accept.session_id,
                cid=accept.cid,
                sealer=Sealer(to_server, accept.cid),
                opener=Opener(to_client),
                limits=Limits(
                    window_messages=accept.window_messages,
                    window_bytes=accept.window_bytes,
                    unreliable_messages=64,
                    ping_seconds=5.0,
                    dead_seconds=15.0,
                ),
                codec=Codec(),
                turn=self.turn,
                now=time.monotonic(),
            ),
            address=self.server,
            longest_pause_seconds=30.0,
            input_bits=accept.input_bits,
            take_state=lambda state: None,
            seen_state=lambda: 0,
        )
        self.session.confirm_received()
        self.tcp.setblocking(False)
        self.udp.setblocking(True)
        self.udp.settimeout(5.0)
        while not self.session.path.bound:
            now = time.monotonic()
            self.every_second(now)
            for data in self.datagrams(0):
                self.udp.sendto(data, self.server)
            self.received(self.udp.recv(1500), time.monotonic())
            for data in self.datagrams(0):
                self.udp.sendto(data, self.server)
        self.udp.setblocking(False)

    def _send(self, frame: bytes) -> None:
        self.tcp.sendall(len(frame).to_bytes(4, "big") + frame)

    def _frame(self) -> bytes:
        while len(self.unread) < 4 or len(self.unread) - 4 < int.from_bytes(self.unread[:4]):
            self.unread += self.tcp.recv(65536)
        size = int.from_bytes(self.unread[:4])
        frame, self.unread = self.unread[4 : 4 + size], self.unread[4 + size :]
        return frame

    def datagrams(self, number: int) -> list[bytes]:
        if number:
            # A new value each tick, so that every input travels whole.
            self.session.queue_input(self.session.inputs.newest + 1, number * 40503 & 0xFFFF)
        return [data for data, _ in self.session.datagrams_to_send(time.monotonic())]

    def received(self, data: bytes, now: float) -> None:
        first, _, low = HEADER.unpack_from(data)
        self.session.receive_datagram(data, self.server, now, first, low)

    def every_second(self, now: float) -> None:
        try:
            while data := self.tcp.recv(65536):
                self.unread += data
        except BlockingIOError:
            pass
        while len(self.unread) >= 4:
            self.session.receive_frame(self._frame(), now)
        self.session.frame_heard = now
        self.session.tick(now)
        for frame in self.session.frames_to_send(now):
            self._send(frame)


HEADER = struct.Struct("!BII")


def load(make: type[PlainClient], clients: int, port: int) -> None:
    """Play until stdin closes."""
    players = [make(port) for _ in range(clients)]
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    begun = time.monotonic()
    step = 0
    while not ended.is_set():
        number, index = divmod(step, clients)
        player = players[index]
        for data in player.datagrams(number + 1):
            player.udp.sendto(data, player.server)
        # Half a tick later it reads what has come.
        now = time.monotonic()
        reader = players[(index + clients // 2) % clients]
        try:
            while True:
                reader.received(reader.udp.recv(1500), now)
        except BlockingIOError:
            pass
        if number % HZ == 0:
            reader.every_second(now)
        step += 1
        time.sleep(max(0.0, begun + step / clients / HZ - time.monotonic()))


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

"""A bare ``socket`` and a loop: what Python itself costs. Unsealed, no sessions."""

from __future__ import annotations

import select
import socket
from typing import Any

import common

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "players": 0}


def echo(server: socket.socket) -> None:
    """W1, W4: every datagram goes back."""
    recvfrom, sendto = server.recvfrom, server.sendto
    while True:
        data, address = recvfrom(1_500)
        sendto(data, address)
        COUNTERS["messages"] += 1


def play(server: socket.socket, spec: dict[str, Any], ticks: common.Ticks) -> None:
    """W3: whoever sent anything gets a state each tick."""
    server.setblocking(False)
    states = common.States(spec["state_bytes"])
    recvfrom, sendto = server.recvfrom, server.sendto
    players: dict[tuple[str, int], bytes] = {}
    while True:
        if ticks.start():
            state = states.at(ticks.number)
            for address in players:
                sendto(state, address)
            COUNTERS["ticks"] += 1
            COUNTERS["players"] = len(players)
        select.select([server], [], [], ticks.left())
        try:
            while ticks.left():
                data, address = recvfrom(1_500)
                players[address] = data
                COUNTERS["inputs"] += 1
        except BlockingIOError:
            pass


def echo_stream(server: socket.socket) -> None:
    """W2: what one connection sends goes back, frame by frame."""
    server.listen()
    connection, _ = server.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unread = b""
    while data := connection.recv(65_536):
        unread += data
        at = 0
        answers = []
        while len(unread) - at >= 4:
            end = at + 4 + int.from_bytes(unread[at : at + 4], "big")
            if end > len(unread):
                break
            answers.append(unread[at:end])
            at = end
        unread = unread[at:]
        COUNTERS["messages"] += len(answers)
        connection.sendall(b"".join(answers))


def main() -> None:
    """Serve what the spec asks for."""
    spec = common.spec()
    stream = spec["transport"] == "tcp"
    ticks = common.Ticks(spec["hz"])
    with socket.socket(
        socket.AF_INET, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    ) as server:
        server.bind((common.HOST, 0))
        common.deepen(server.fileno())
        common.say({"port": server.getsockname()[1]})
        common.in_background(
            common.answer_figures,
            lambda: {**COUNTERS, "tick_late_p99_ms": ticks.late.take()},
        )
        if spec["workload"] == "W3":
            play(server, spec, ticks)
        elif stream:
            echo_stream(server)
        else:
            echo(server)


if __name__ == "__main__":
    main()

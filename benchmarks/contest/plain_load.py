"""The load of every peer that is a plain socket on the wire: UDP, frames over TCP or TLS, or
WebSocket ("ws").

One process, one thread, plain sockets and epoll; each of many clients has a phase of its own.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Any, Final

import common

LENGTH_BYTES: Final = 4
READ_BYTES: Final = 65_536
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# One client that keeps a window in flight.


def echo_datagrams(spec: dict[str, Any]) -> None:
    """W1: as many messages as come back leave anew."""
    window, size = spec["window"], spec["message_bytes"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((common.HOST, spec["port"]))
        udp.setblocking(False)
        told = common.Told()
        common.settle()
        common.say({"ready": True})
        recv, send = udp.recv, udp.send
        sent = received = lost = 0
        generation = flying = 0
        message = bytes(size)
        while not told.stop:
            for _ in range(window - flying):
                send(message)
            sent += window - flying
            flying = window
            if not select.select([udp], [], [], common.DEAF_SECONDS)[0]:
                # Those that are late after all belong to a window that is written off.
                lost += flying
                flying = 0
                generation += 1
                message = generation.to_bytes(4, "big").ljust(size, b"\0")
                continue
            try:
                while True:
                    if recv(1_500) == message:
                        flying -= 1
                        received += 1
            except BlockingIOError:
                pass
        told.finish(sent=sent, received=received, lost=lost)


def echo_stream(spec: dict[str, Any]) -> None:
    """W2: the same over a connection, where nothing is lost."""
    window, frame = spec["window"], framed(spec, spec["message_bytes"])
    size = framed_bytes(spec, spec["message_bytes"])
    connection = connect(spec)
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    connection.sendall(frame * window)
    sent, received, odd = window, 0, 0
    while not told.stop:
        odd += len(connection.recv(READ_BYTES))
        whole, odd = divmod(odd, size)
        connection.sendall(frame * whole)
        sent += whole
        received += whole
    told.finish(sent=sent, received=received, lost=0)


def ping(spec: dict[str, Any]) -> None:
    """W4: one message there and back at a time."""
    seconds: list[float] = []
    sent = lost = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((common.HOST, spec["port"]))
        udp.settimeout(common.DEAF_SECONDS)
        told = common.Told()
        common.settle()
        common.say({"ready": True})
        while not told.stop:
            message = sent.to_bytes(4, "big").ljust(spec["message_bytes"], b"\0")
            begun = time.perf_counter()
            udp.send(message)
            sent += 1
            try:
                while udp.recv(1_500) != message:
                    pass  # one that was given up
            except TimeoutError:
                lost += 1
            else:
                seconds.append(time.perf_counter() - begun)
    told.finish(sent=sent, received=len(seconds), lost=lost, **common.round_trips(seconds))


def connect(spec: dict[str, Any]) -> socket.socket:
    """A connection to the server; nothing is verified: it is the benchmark's own."""
    connection = socket.create_connection((common.HOST, spec["port"]), 20.0)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if spec["transport"] == "ws":
        connection.sendall(UPGRADE)
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            # A byte at a time, so that none of a frame's is taken.
            answer += connection.recv(1)
    if spec["transport"] != "tls":
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def framed(spec: dict[str, Any], size: int) -> bytes:
    """A message of that many bytes, at most 125, as it is sent."""
    if spec["transport"] == "ws":
        # Binary, masked by zeros.
        return bytes((0x82, 0x80 | size)) + bytes(4 + size)
    return size.to_bytes(LENGTH_BYTES, "big") + bytes(size)


def framed_bytes(spec: dict[str, Any], size: int) -> int:
    """How many bytes one such message is as it comes from the server."""
    if spec["transport"] == "ws":
        return size + (2 if size < 126 else 4)
    return LENGTH_BYTES + size


# Many clients.


class Crowd:
    """Sockets of all clients, and what came over each."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self._epoll = select.epoll(len(sockets))
        self._by_descriptor: dict[int, tuple[Any, int]] = {}
        for index, one in enumerate(sockets):
            one.setblocking(False)
            self._epoll.register(one.fileno(), select.EPOLLIN)
            self._by_descriptor[one.fileno()] = (one.recv, index)
        self.gaps = [common.Gaps() for _ in sockets]
        self.octets = 0

    def read_states(self) -> None:
        """Datagrams: each is a state with a number."""
        by_descriptor, gaps = self._by_descriptor, self.gaps
        for descriptor, _ in self._epoll.poll(0):
            recv, index = by_descriptor[descriptor]
            came = gaps[index].came
            try:
                while True:
                    came(int.from_bytes(recv(1_500)[:4], "big"))
            except BlockingIOError:
                pass

    def read_streams(self) -> None:
        """Frames of one size: their bytes are counted."""
        by_descriptor = self._by_descriptor
        for descriptor, _ in self._epoll.poll(0):
            recv, _ = by_descriptor[descriptor]
            try:
                # A record of TLS at a time; what OpenSSL holds back no epoll would tell of.
                while data := recv(READ_BYTES):
                    self.octets += len(data)
            except (BlockingIOError, ssl.SSLWantReadError):
                pass


def play(spec: dict[str, Any]) -> None:
    """W3: every client sends an input each tick, at its own time, and takes states."""
    n, stream = spec["n"], spec["transport"] != "udp"
    message = bytes(spec["input_bytes"])
    if stream:
        sockets = [connect(spec) for _ in range(n)]
        message = framed(spec, spec["input_bytes"])
    else:
        sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(n)]
        for one in sockets:
            one.connect((common.HOST, spec["port"]))
    crowd = Crowd(sockets)
    read = crowd.read_streams if stream else crowd.read_states
    sends = [one.send for one in sockets]
    sent = 0
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    phases = common.Phases(n, spec["hz"])
    while not told.stop:
        for step in phases.due():
            sends[step % n](message)
            sent += 1
        read()
        phases.rest()
    if stream:
        received = crowd.octets // framed_bytes(spec, spec["state_bytes"])
    else:
        received = sum(gaps.received for gaps in crowd.gaps)
    told.finish(
        sent=sent,
        received=received,
        lost=sum(gaps.lost for gaps in crowd.gaps),
        load_late_p99_ms=phases.late.take(),
    )


def listen(spec: dict[str, Any]) -> None:
    """W5: every client takes what is sent to all."""
    crowd = Crowd([connect(spec) for _ in range(spec["n"])])
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    while not told.stop:
        crowd.read_streams()
        time.sleep(0.001)
    received = crowd.octets // framed_bytes(spec, spec["broadcast_bytes"])
    told.finish(sent=0, received=received, lost=0)


def main() -> None:
    """Play what the spec asks for."""
    spec = common.spec()
    if spec["workload"] == "W1":
        echo_datagrams(spec)
    elif spec["workload"] == "W2":
        echo_stream(spec)
    elif spec["workload"] == "W4":
        ping(spec)
    elif spec["workload"] == "W5":
        listen(spec)
    else:
        play(spec)


if __name__ == "__main__":
    main()

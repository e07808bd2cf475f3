"""The load for QUIC: the library's connection without its asyncio, over plain sockets."""

from __future__ import annotations

import select
import socket
import ssl
import time
from typing import Any, Final

import common
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import DatagramFrameReceived, HandshakeCompleted, StreamDataReceived

JOIN_SECONDS: Final = 20.0


class Client:
    """One connection, its handshake done."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        address = (common.HOST, spec["port"])
        self.socket.connect(address)
        self.socket.setblocking(False)
        self._address = address
        self.quic = QuicConnection(
            configuration=QuicConfiguration(
                alpn_protocols=["bench"],
                max_datagram_frame_size=65_536,
                verify_mode=ssl.CERT_NONE,
                server_name="localhost",
            )
        )
        self.datagrams: list[bytes] = []
        self.octets = 0
        self._is_in = False
        self.quic.connect(address, time.time())
        self.flush()
        until = time.monotonic() + JOIN_SECONDS
        while not self._is_in:
            if time.monotonic() > until:
                raise TimeoutError("the server does not answer")
            select.select([self.socket], [], [], 0.05)
            self.read()

    def flush(self) -> None:
        """Send what there is to send."""
        for data, _ in self.quic.datagrams_to_send(time.time()):
            self.socket.send(data)

    def read(self) -> None:
        """Take what came, and answer it."""
        now = time.time()
        try:
            while True:
                self.quic.receive_datagram(self.socket.recv(2_048), self._address, now)
        except BlockingIOError:
            pass
        while (event := self.quic.next_event()) is not None:
            if type(event) is DatagramFrameReceived:
                self.datagrams.append(event.data)
            elif type(event) is StreamDataReceived:
                self.octets += len(event.data)
            elif type(event) is HandshakeCompleted:
                self._is_in = True
        timer = self.quic.get_timer()
        if timer is not None and timer <= now:
            self.quic.handle_timer(now)
        self.flush()


def echo(spec: dict[str, Any]) -> None:
    """W1, W2: as many messages as come back leave anew."""
    client = Client(spec)
    reliable = spec["workload"] == "W2"
    window = spec["window"]
    message = bytes(spec["message_bytes"])
    stream = client.quic.get_next_available_stream_id() if reliable else 0
    size = 4 + len(message)
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    sent = received = lost = flying = 0
    while not told.stop:
        free = window - flying
        if reliable and free:
            client.quic.send_stream_data(stream, bytes(size * free))
        elif free:
            for _ in range(free):
                client.quic.send_datagram_frame(message)
        sent += free
        flying = window
        client.flush()
        heard = select.select([client.socket], [], [], common.DEAF_SECONDS)[0]
        client.read()
        if reliable:
            came, client.octets = divmod(client.octets, size)
        else:
            came = len(client.datagrams)
            client.datagrams.clear()
        received += came
        flying = max(0, flying - came)
        if not heard and not reliable:
            lost += flying
            flying = 0
    told.finish(sent=sent, received=received, lost=lost)


def play(spec: dict[str, Any]) -> None:
    """W3: every client sends an input each tick, at its own time, and takes states."""
    n = spec["n"]
    clients = [Client(spec) for _ in range(n)]
    gaps = [common.Gaps() for _ in clients]
    message = bytes(spec["input_bytes"])
    sent = 0
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    phases = common.Phases(n, spec["hz"])
    while not told.stop:
        for step in phases.due():
            client, came = clients[step % n], gaps[step % n].came
            client.quic.send_datagram_frame(message)
            sent += 1
            client.read()
            for state in client.datagrams:
                came(int.from_bytes(state[:4], "big"))
            client.datagrams.clear()
        phases.rest()
    told.finish(sent=sent, **common.arrived(gaps), load_late_p99_ms=phases.late.take())


def main() -> None:
    """Play what the spec asks for."""
    spec = common.spec()
    if spec["workload"] == "W3":
        play(spec)
    else:
        echo(spec)


if __name__ == "__main__":
    main()

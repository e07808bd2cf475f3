"""The load for mpgameserver: the library's connection over plain sockets.

Its own client takes one datagram a call and holds messages back for a tick; this one does neither,
which is in the server's favour.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from typing import Any, Final

import common
from mpgameserver import EllipticCurvePublicKey
from mpgameserver.connection import (
    ClientServerConnection,
    ConnectionStatus,
    PacketHeader,
    RetryMode,
)

JOIN_SECONDS: Final = 20.0
RETRY_SECONDS: Final = 1.0
"""It does not say hello again by itself."""


class Client:
    """One connection."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self._server = (common.HOST, spec["port"])
        self.socket: socket.socket
        self.hello()

    def hello(self) -> None:
        """Begin, from an address that the server does not know."""
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(self._server)
        self.socket.setblocking(False)
        self.connection = ClientServerConnection(self._server)
        self.connection.setServerPublicKey(
            EllipticCurvePublicKey.fromBytes(bytes.fromhex(self._spec["root_key"]))
        )
        self.connection.send_interval = 0.0
        self.connection._sendClientHello()
        self._asked = time.monotonic()
        self.flush()

    def is_in(self) -> bool:
        """Whether the server has answered; if not for long, say hello again."""
        self.read()
        if self.connection.status == ConnectionStatus.CONNECTED:
            self.flush()
            return True
        if time.monotonic() - self._asked > RETRY_SECONDS:
            self.socket.close()
            self.hello()
        return False

    def read(self) -> list[bytes]:
        """The messages that came."""
        connection = self.connection
        try:
            while True:
                data = self.socket.recv(2_048)
                connection._recv_datagram(PacketHeader.from_bytes(False, data), data)
        except BlockingIOError:
            pass
        messages, connection.incoming_messages = connection.incoming_messages, []
        return [message for _, message in messages]

    def flush(self) -> None:
        """Send what there is to send."""
        connection = self.connection
        connection.update()
        while (packet := connection._build_packet()) is not None:
            self.socket.send(connection._encode_packet(packet))
            if not connection.outgoing_messages:
                break
        connection._check_timeout(connection.clock())


def join(clients: list[Client]) -> None:
    """Wait until all are in."""
    until = time.monotonic() + JOIN_SECONDS
    waiting = list(clients)
    while waiting:
        if time.monotonic() > until:
            raise TimeoutError(f"{len(waiting)} of {len(clients)} are not let in")
        time.sleep(0.005)
        waiting = [client for client in waiting if not client.is_in()]


def echo(spec: dict[str, Any]) -> None:
    """W1, W2: as many messages as come back leave anew."""
    client = Client(spec)
    join([client])
    retry = RetryMode.RETRY_ON_TIMEOUT if spec["workload"] == "W2" else RetryMode.NONE
    message = bytes(spec["message_bytes"])
    told = common.Told()
    common.settle()
    common.say({"ready": True})
    sent = received = lost = flying = 0
    # Its ticks are slow: a window that is out for some of them is not lost.
    deaf_seconds = 4 / spec["hz"] + common.DEAF_SECONDS
    heard_at = time.monotonic()
    while not told.stop:
        for _ in range(spec["window"] - flying):
            client.connection.send(message, retry=retry)
            sent += 1
            flying += 1
        client.flush()
        select.select([client.socket], [], [], 0.01)
        came = len(client.read())
        received += came
        flying = max(0, flying - came)
        now = time.monotonic()
        if came:
            heard_at = now
        elif now - heard_at > deaf_seconds and retry == RetryMode.NONE:
            lost += flying
            flying = 0
            heard_at = now
    told.finish(sent=sent, received=received, lost=lost)


def play(spec: dict[str, Any]) -> None:
    """W3: every client sends an input each tick, at its own time, and takes states."""
    n = spec["n"]
    clients = [Client(spec) for _ in range(n)]
    join(clients)
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
            for state in client.read():
                came(int.from_bytes(state[:4], "big"))
            client.connection.send(message)
            sent += 1
            client.flush()
        phases.rest()
    told.finish(sent=sent, **common.arrived(gaps), load_late_p99_ms=phases.late.take())


def main() -> None:
    """Play what the spec asks for."""
    logging.disable(logging.CRITICAL)
    spec = common.spec()
    if spec["workload"] == "W3":
        play(spec)
    else:
        echo(spec)


if __name__ == "__main__":
    main()

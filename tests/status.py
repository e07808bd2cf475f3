"""A status site and the server that it tells about, both without sockets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gamenet.config import ServerConfig
from gamenet.core import frames
from gamenet.metrics import StatusSite, status_site
from gamenet.server import GameServerFactory

if TYPE_CHECKING:
    from gamenet.bridge import Bridge

STATS = {
    "rate": 30.0,
    "number": 90,
    "per_second": 29.9,
    "late_p50_ms": 0.1,
    "late_p99_ms": 1.5,
    "skipped": 2,
    "inputs_taken": 7,
    "inputs_missing": 1,
}


class Transport(StringTransport):
    """A transport that knows whether it was cut."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class Sink:
    """A game that takes nothing."""

    def offer(self, event: object) -> bool:
        return False


class Server:
    """A server as the site sees one."""

    running: bool | int = True
    errors = 3

    def __init__(self, clock: Clock, sink: Bridge | Sink | None = None, **fields: Any) -> None:
        config = ServerConfig(insecure=True, game_name="tag/1", **fields)
        self.factory = GameServerFactory(sink or Sink(), config, reactor=clock, now=clock.seconds)
        self.host = self.factory.host
        self.stats: dict[str, float] = dict(STATS)

    def game_stats(self) -> dict[str, float]:
        return self.stats

    def connect(
        self,
        user: str,
        *,
        version: int = frames.VERSION,
        confirm: bool = True,
        address: str = "10.0.0.7",
    ) -> Any:
        """A connection that has said HELLO, and with *confirm* something after it."""
        protocol = self.factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport(peerAddress=IPv4Address("TCP", address, 5000)))
        hello = frames.Hello(
            version, version, 1, frames.HELLO_ACCEPTS_INSECURE, bytes(8), 0,
            frames.ANONYMOUS, "tag/1", user, b"",
        )  # fmt: skip
        said = [frames.encode_hello(hello)] + [frames.encode_ack(0)] * confirm
        for frame in said:
            protocol.dataReceived(len(frame).to_bytes(4, "big") + frame)
        return protocol


class SiteTestCase(SynchronousTestCase):
    """A site; a test may make another one."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.server = Server(self.clock)
        self.site: StatusSite = status_site(self.server, reactor=self.clock)

    def connect(self) -> tuple[Any, Transport]:
        channel = self.site.buildProtocol(None)
        transport = Transport(peerAddress=IPv4Address("TCP", "10.0.0.9", 4000))
        channel.makeConnection(transport)
        self.addCleanup(self.hang_up, channel)
        return channel, transport

    def hang_up(self, channel: Any) -> None:
        if channel.transport is not None:
            channel.connectionLost(Failure(ConnectionDone()))
            channel.transport = None

    def ask(self, request: bytes) -> tuple[int, dict[bytes, bytes], bytes]:
        """The answer to a request, which closes the connection: status, headers and body."""
        channel, transport = self.connect()
        channel.dataReceived(request)
        self.assertTrue(transport.disconnecting, transport.value())
        self.hang_up(channel)
        head, _, body = transport.value().partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(b": ")
            headers[name.lower()] = value
        return int(first.split()[1]), headers, body

    def get(self, path: bytes, method: bytes = b"GET") -> tuple[int, dict[bytes, bytes], bytes]:
        return self.ask(method + b" " + path + b" HTTP/1.1\r\nHost: localhost:9777\r\n\r\n")

    def status(self) -> Any:
        code, _, body = self.get(b"/api/status")
        self.assertEqual(code, 200)
        return json.loads(body)

"""The status site: HTTP as a stranger on the operator's network may speak it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogLevel, globalLogPublisher
from twisted.python.failure import Failure

from gamenet.config import ServerConfig
from gamenet.metrics import CONNECTION_SECONDS, MAX_HEADER_BYTES, Access, status_site
from gamenet.server import GameServerFactory
from tests.fuzz.harness import Cursor, Meter, Target, check
from tests.world import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twisted.logger import LogEvent

CODES = frozenset({200, 400, 401, 403, 404, 405, 413, 415, 421, 429, 501, 505})
TOKEN = "a-token-of-the-fuzzer"
HANG_UP = 0x80
NEXT = re.compile(rb"(?=HTTP/1\.[01] \d{3} )")
"""Where a connection that is kept has a further answer."""
ANSWER = re.compile(rb"HTTP/1\.[01] (\d{3}) [ -~]*\r\n((?:[!-~]+: [ -~]*\r\n)*)\r\n(.*)\Z", re.S)


class Transport(StringTransport):
    """A transport that knows whether it was cut."""

    aborted = False

    def abortConnection(self) -> None:
        """Cut it."""
        self.aborted = True
        self.disconnecting = True


class Server:
    """A server as the site sees one."""

    running = True
    errors = 0

    def __init__(self, clock: Clock) -> None:
        config = ServerConfig(insecure=True)
        self.host = GameServerFactory(Recorder(), config, reactor=clock, now=clock.seconds).host

    def game_stats(self) -> dict[str, float]:
        """No game runs."""
        return {}


class StatusTarget(Target):
    """One connection: the first byte says how the request is cut, and whether it is hung up on."""

    name = "status"
    max_bytes = MAX_HEADER_BYTES + 2_048

    def seeds(self) -> Iterable[bytes]:
        for request in (
            b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /api/status HTTP/1.0\r\n\r\n",
            b"HEAD /api/status HTTP/1.1\r\n\r\n",
            b"POST /healthz HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
            b"GET /healthz HTTP/1.1\r\nContent-Length: 1025\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            b"GET / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            b"GET http://[::1/ HTTP/1.1\r\n\r\n",
            b"GET //healthz?a=%ff;b=\xff HTTP/1.1\r\nA:\tb\r\n c\r\n\r\n",
            b"GET /healthz HTTP/1.1\r\nCookie: a=b; c\r\nAuthorization: Basic //\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            b"Content-Length: 40\r\n\r\n--x\r\nContent-Disposition: form-data; n\r\n--",
            b"POST / HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 9\r\n\r\na=%zz&b&=",
            b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; a\x85b\r\n"
            b"Content-Length: 1\r\n\r\nx",
            b"GET /metrics HTTP/1.1\r\nHost: [::1]:1\r\n\r\n",
            b"GET / HTTP/1.1\r\nHost: localhost\xe9\r\n\r\n",
            b"POST /api/kick HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\n"
            b"Sec-Fetch-Site: same-origin\r\nAuthorization: Bearer a-token-of-the-fuzzer\r\n"
            b'Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"player":1}',
            b"POST /api/say HTTP/1.1\r\nAuthorization: Bearer a-token-of-the-fuzzer\r\n"
            b'Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{"text":"\xe2\x82\xac"}',
            b"POST /api/ban HTTP/1.1\r\nAuthorization: Bearer a-token-of-the-fuzzer\r\n"
            b"Content-Type: application/json\r\nContent-Length: 26\r\n\r\n"
            b'{"player":1,"seconds":1e9}',
            b"GET /healthz HTTP/1.1\r\nConnection: keep-alive\r\n\r\n" * 3,
            b"HEAD /api/status?history=no HTTP/1.1\r\nConnection: keep-alive\r\n\r\n",
            b"GET /healthz HTTP/2.0\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
            b"\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n" * 2,
            b"GET\0/healthz\0HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"A: " + b"x" * 9_000,
            b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 70 + b"\r\n",
        ):
            yield b"\0" + request
            yield b"\x83" + request

    def run(self, data: bytes, meter: Meter) -> None:
        cursor = Cursor(data)
        first = cursor.number()
        size = first % HANG_UP * 4 or len(data)
        clock = Clock()
        site = status_site(
            Server(clock), reactor=clock, access=Access((), TOKEN), drain=dict, dump=dict
        )
        channel: Any = site.buildProtocol(None)
        transport = Transport()
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        try:
            channel.makeConnection(transport)
            while not cursor.is_empty and not transport.disconnecting:
                meter(channel.dataReceived, cursor.take(size))
            if not first & HANG_UP:
                meter(clock.advance, CONNECTION_SECONDS)
                # Whatever came, nobody holds a connection for longer than that.
                check(transport.disconnecting, "a connection that stays", data[:64])
            self._check_answer(transport.value())
            channel.connectionLost(Failure(ConnectionDone()))
        finally:
            globalLogPublisher.removeObserver(events.append)
        check(not clock.getDelayedCalls(), "a timer is left", clock.getDelayedCalls())
        check(site.connections == 0, "a connection is still counted", site.connections)
        bad = [event for event in events if event["log_level"] >= LogLevel.error]
        check(not bad, "a defect", *[event.get("log_failure") for event in bad])

    def _check_answer(self, said: bytes) -> None:
        for one in NEXT.split(said.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")):
            if one:
                self._check_one(one)

    def _check_one(self, said: bytes) -> None:
        match = ANSWER.match(said)
        check(match, "no answer in HTTP", said[:200])
        assert match is not None
        code, headers, body = int(match[1]), match[2].lower(), match[3]
        check(code in CODES, "an unexpected answer", code, said[:200])
        check(headers.count(b"content-length:") <= 1, "two lengths", said[:200])
        if b"content-type: application/json" in headers and body:
            json.loads(body)


TARGETS = (StatusTarget(),)

"""The connections of the status site: how little a client may ask, and what every answer forbids.

Layer 4. Runs on: the reactor thread.

A client that is slow, greedy or one of too many is cut. One that looks over and over may say so, by
``Connection: keep-alive`` as browsers do, and keep its connection for a while: to make one costs
more than an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger
from twisted.web.http import HTTPChannel
from twisted.web.server import Site

from gamenet.metrics.actions import MAX_ACTION_BYTES

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.python.failure import Failure
    from twisted.web.http import Request
    from twisted.web.http_headers import Headers
    from twisted.web.resource import Resource

    from gamenet.metrics.report import StatusSource

log = Logger()

CONNECTION_SECONDS: Final = 10.0
"""From connecting, or the first byte of a further request, to the last byte of the answer; an
absolute deadline."""
KEPT_SECONDS: Final = 60.0
"""From connecting on; the first answer after that closes the connection."""
IDLE_SECONDS: Final = 5.0
"""Silence in the middle of a request, or before a further one."""
MAX_CONNECTIONS: Final = 48
"""At once; further ones are closed unanswered."""
MAX_HEADER_BYTES: Final = 8_192
"""Of a request, its first line included."""
MAX_BODY_BYTES: Final = 1_024
"""No page wants a body; this much is read so that the answer to it arrives. An action may have
``MAX_ACTION_BYTES``."""
JSON: Final = b"application/json"
API: Final = b"/api/"
HEADERS: Final = (
    b"Cache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\n"
    b"Referrer-Policy: no-referrer\r\n"
    b"Cross-Origin-Resource-Policy: same-origin\r\n"
    b"Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    b"connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
    b"frame-ancestors 'none'\r\n"
)
"""Of every answer: nothing is kept, guessed, framed, or loaded from elsewhere."""


class StatusChannel(HTTPChannel):
    """A connection: small requests, one after the other, each within a deadline."""

    MAX_LENGTH = MAX_HEADER_BYTES
    totalHeadersSize = MAX_HEADER_BYTES
    maxHeaders = 64
    transport: Any  # more than ITransport: it can abort
    _deadline: IDelayedCall | None = None
    _kept_until = 0.0
    _refused = False
    _half = False
    """Whether a part of a request has come."""
    _answers = False
    """Whether a request is whole, so that no further one may begin with what came."""

    def connectionMade(self) -> None:
        """Called by Twisted once connected."""
        self.factory.connections += 1
        self._deadline = self.callLater(CONNECTION_SECONDS, self._cut)
        self._kept_until = self.factory.now() + KEPT_SECONDS
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Called by Twisted once the connection is gone."""
        self.factory.connections -= 1
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._half:
            self.factory.note("sent no whole request within the limits", self.getPeer())
        super().connectionLost(reason)

    def _cut(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        """Called by Twisted after too long a silence."""
        self.transport.abortConnection()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """One request is all, so that no client holds a connection, unless it looks again.

        One with a body is not kept: Twisted reads on behind it before we hear of it.
        """
        wish = request.requestHeaders.getRawHeaders(b"connection", [b""])
        if (
            version == b"HTTP/1.1"
            and self._command in (b"GET", b"HEAD")
            and self.length == 0
            and wish[0].lower() == b"keep-alive"
            and self.factory.now() < self._kept_until
        ):
            return True
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    # What comes.

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what came."""
        if self._refused:
            return
        if not self.requests and not self._half and self._deadline is not None:
            self._deadline.reset(CONNECTION_SECONDS)
        self._answers = bool(self.requests) and not self._half
        self._half = not self._answers
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """Called by Twisted for each line of a request's head."""
        if self._answers:
            self._end()
        else:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """What follows the headers."""
        if self._answers:
            self._end()
        else:
            super().rawDataReceived(data)

    def _end(self) -> None:
        """Who does not wait for the answer has many made in one turn: there is no further one."""
        self.persistent = False
        if not self.requests:
            self.loseConnection()

    def allHeadersReceived(self) -> None:
        """A body beyond the limit, or of unknown length, is refused before it is read."""
        is_action = self._command == b"POST" and self._path.startswith(API)
        most = MAX_ACTION_BYTES if is_action else MAX_BODY_BYTES
        if self.length is not None and self.length <= most:
            headers = self.requests[-1].requestHeaders
            if not headers.getRawHeaders(b"content-type", [b""])[0].lower().startswith(JSON):
                # Twisted would take a form to pieces.
                headers.removeHeader(b"content-type")
            super().allHeadersReceived()
            return
        self._refuse(b"413 Content Too Large")

    def allContentReceived(self) -> None:
        """Called by Twisted once a request is whole."""
        self._half = False
        self._answers = True
        super().allContentReceived()

    # What leaves.

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Called by Twisted with the head of an answer: it gets what every answer has."""
        head = [version, b" ", code, b" ", reason, b"\r\n", HEADERS]
        for name, values in headers.getAllRawHeaders():
            if name != b"Server":
                for value in values:
                    head += (name, b": ", value, b"\r\n")
        head.append(b"\r\n")
        self.transport.writeSequence(head)

    def _respondToBadRequestAndDisconnect(self) -> None:
        """Called by Twisted for what is no request, before there is anything to answer with."""
        self._refuse(b"400 Bad Request")

    def _refuse(self, status: bytes) -> None:
        self._refused = True
        self.transport.writeSequence(
            (
                *(b"HTTP/1.1 ", status, b"\r\n", HEADERS),
                b"Connection: close\r\nContent-Length: 0\r\n\r\n",
            )
        )
        self.loseConnection()


class StatusSite(Site):
    """The site: no access log, no sessions, few connections."""

    noisy = False
    protocol: Any = StatusChannel

    def __init__(self, resource: Resource, reactor: Any, service: StatusSource) -> None:
        super().__init__(resource, timeout=IDLE_SECONDS, reactor=reactor)
        self._service = service
        self.now = service.host.now
        """Monotonic seconds."""
        self.connections = 0
        """How many there are."""

    def startFactory(self) -> None:
        """Called by Twisted; the stock method would start an access log and its timer."""

    def stopFactory(self) -> None:
        """Called by Twisted."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Called by Twisted for each connection; None closes it."""
        if self.connections < MAX_CONNECTIONS:
            return super().buildProtocol(addr)
        self.note("is one connection too many", addr)
        return None

    def note(self, what: str, peer: object) -> None:
        """A client misbehaved: a line in the log, once in a while for each."""
        host = self._service.host
        address = str(getattr(peer, "host", "?"))
        count = host.faults.note(f"status site {what}", address, host.now())
        if count:
            log.info(
                "status site: {address} {what} ({count} such)",
                address=address,
                what=what,
                count=count,
            )

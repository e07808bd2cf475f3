"""The status site: how a running server does, as JSON.

Layer 4. Runs on: the reactor thread, except :class:`ErrorCounter`, which any thread may call.

Two pages, for machines: ``/healthz`` and ``/api/status``. There is no HTML, nothing can be changed
from here, and a client that is slow, greedy or one of too many is cut.
"""

from __future__ import annotations

import json
import math
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.logger import ILogObserver, Logger, LogLevel, globalLogPublisher
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from gamenet._version import __version__
from gamenet.addresses import join_address
from gamenet.bridge import Bridge
from gamenet.host import quality_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.logger import LogEvent
    from twisted.python.failure import Failure
    from twisted.web.http import Request

    from gamenet.core.session import Session
    from gamenet.server_host import ServerHost

log = Logger()

CONNECTION_SECONDS: Final = 10.0
"""From connecting to the last byte of the answer; an absolute deadline."""
IDLE_SECONDS: Final = 5.0
"""Silence in the middle of a request."""
MAX_CONNECTIONS: Final = 32
"""At once; further ones are closed unanswered."""
MAX_HEADER_BYTES: Final = 8_192
"""Of a request, its first line included."""
MAX_BODY_BYTES: Final = 1_024
"""No page wants a body; this much is read so that the answer to it arrives."""


class StatusSource(Protocol):
    """What the site asks a service."""

    running: bool | int

    @property
    def host(self) -> ServerHost:
        """The conductor."""

    @property
    def errors(self) -> int:
        """How many errors were logged since the start."""

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing; empty without a game."""


@implementer(ILogObserver)
class ErrorCounter:
    """Counts what is logged as an error while it is started; the failures of a game among it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0
        """Errors so far."""

    def __call__(self, event: LogEvent) -> None:
        """Called by Twisted's log for each event, on the thread that logs."""
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            with self._lock:
                self.count += 1

    def start(self) -> None:
        """Count from now on."""
        globalLogPublisher.addObserver(self)

    def stop(self) -> None:
        """Count no more; repeatable."""
        globalLogPublisher.removeObserver(self)


def status(service: StatusSource, started: float) -> dict[str, Any]:
    """What ``/api/status`` says.

    :param started: when the service started, in monotonic seconds.

    Times are in seconds unless a name ends in ``_ms``, sizes in bytes, losses shares from 0 to 1.
    A number that is not known yet is null. ``clock_zero`` is where the game clock began, in
    monotonic seconds of the machine; null until it has.
    """
    host = service.host
    stats = service.game_stats()

    def stat(name: str) -> float | None:
        return _finite(stats.get(name, 0))

    return {
        "game": host.config.game_name,
        "version": __version__,
        "secure": not host.config.insecure,
        "insecure": int(host.config.insecure),
        "uptime_seconds": host.now() - started,
        "cpu_seconds": time.process_time(),
        "players": [
            _player(host, session)
            for session in host.registry.sessions
            if session.player.id in host.seats
        ],
        "ticks": {
            name: stat(name)
            for name in ("rate", "number", "per_second", "late_p50_ms", "late_p99_ms", "skipped")
        },
        "suspended": host.suspended,
        "stalled": host.is_stalled,
        "reactor": {"beat_late_max_ms": 1_000 * host.beat_late_max},
        "clock_zero": host.turn.game_clock_zero,
        "inputs": {
            "taken": stat("inputs_taken"),
            "missing": stat("inputs_missing"),
            "late": host.counters.inputs_late,
            "early": host.counters.inputs_early,
        },
        "drops": host.counters.drops(),
        "refusals": {reason.name: count for reason, count in host.refusals.items()},
        "queues": {"events": host.sink.waiting_events, "commands": _waiting_commands(host)},
        "counters": host.counters.snapshot(),
        "errors": service.errors,
    }


def _waiting_commands(host: ServerHost) -> int:
    """What the game has said and the reactor has not fetched; states count once a player."""
    bridge = host.sink
    return bridge.waiting_commands + len(bridge.states) if isinstance(bridge, Bridge) else 0


def _player(host: ServerHost, session: Session) -> dict[str, Any]:
    quality = quality_of(session, host.now())
    known = quality.label != "unknown"
    connection = host.connection_of(session)
    peer = connection.peer if connection is not None else None
    return {
        "id": session.player.id,
        "name": session.player.name,
        "address": join_address(str(getattr(peer, "host", "")), int(getattr(peer, "port", 0))),
        "suspended": session.is_suspended,
        "path": quality.path,
        "label": quality.label,
        "rtt_seconds": _finite(quality.rtt_seconds) if known else None,
        "end_to_end_seconds": quality.end_to_end_seconds or None,
        "jitter_seconds": _finite(quality.jitter_seconds) if known else None,
        "loss_in": _finite(quality.loss_in),
        "loss_out": _finite(quality.loss_out),
        "bytes_in": quality.bytes_in,
        "bytes_out": quality.bytes_out,
        "queued_messages": quality.queued_messages,
    }


def _finite(number: float) -> float | None:
    """JSON has no infinities."""
    return number if math.isfinite(number) else None


class StatusResource(Resource):
    """Every page of the site."""

    isLeaf = True

    def __init__(self, service: StatusSource) -> None:
        Resource.__init__(self)
        self._service = service
        self._started = service.host.now()

    def render(self, request: Request) -> bytes:
        """Called by Twisted for each request; never raises."""
        body = self._answer(request)
        if request.method != b"HEAD":
            return body
        request.setHeader(b"Content-Length", b"%d" % len(body))
        return b""

    def _answer(self, request: Request) -> bytes:
        request.setHeader(b"Cache-Control", b"no-store")
        request.setHeader(b"X-Content-Type-Options", b"nosniff")
        request.setHeader(b"Content-Type", b"application/json")
        request.responseHeaders.removeHeader(b"Server")
        page = {b"/healthz": self._health, b"/api/status": self._status}.get(request.path)
        if page is None:
            return _problem(request, 404, "no such page; there are /healthz and /api/status")
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _problem(request, 405, "only GET and HEAD")
        try:
            return page(request)
        except Exception:
            log.failure("the status page failed")
            return _problem(request, 500, "the server's log says why")

    def _health(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        if self._service.running:
            return b"ok\n"
        request.setResponseCode(503)
        return b"stopping\n"

    def _status(self, request: Request) -> bytes:
        return _encoded(status(self._service, self._started))


def _problem(request: Request, code: int, text: str) -> bytes:
    request.setResponseCode(code)
    return _encoded({"error": text})


def _encoded(value: dict[str, Any]) -> bytes:
    # Pure ASCII: nothing that a name holds can break out of a string or upset a terminal.
    return json.dumps(value, allow_nan=False).encode("ascii") + b"\n"


class StatusChannel(HTTPChannel):
    """A connection: one small request, one answer, within a deadline."""

    MAX_LENGTH = MAX_HEADER_BYTES
    totalHeadersSize = MAX_HEADER_BYTES
    maxHeaders = 64
    transport: Any  # more than ITransport: it can abort
    _deadline: IDelayedCall | None = None
    _done = False

    def connectionMade(self) -> None:
        """Called by Twisted once connected."""
        self.factory.connections += 1
        self._deadline = self.callLater(CONNECTION_SECONDS, self._cut)
        super().connectionMade()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Called by Twisted once the connection is gone."""
        self.factory.connections -= 1
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().connectionLost(reason)

    def _cut(self) -> None:
        self._deadline = None
        self.transport.abortConnection()

    def timeoutConnection(self) -> None:
        """Called by Twisted after too long a silence."""
        self.transport.abortConnection()

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """One request is all, so that no client holds a connection."""
        request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
        return False

    def allHeadersReceived(self) -> None:
        """A body beyond the limit, or of unknown length, is refused before it is read."""
        if self.length is not None and self.length <= MAX_BODY_BYTES:
            self.requests[-1].requestHeaders.removeHeader(b"content-type")
            super().allHeadersReceived()
            return
        self._done = True
        self.transport.write(
            b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        self.loseConnection()

    def rawDataReceived(self, data: bytes) -> None:
        """What follows the headers."""
        if not self._done:
            super().rawDataReceived(data)


class StatusSite(Site):
    """The site: no access log, no sessions, few connections."""

    noisy = False
    protocol: Any = StatusChannel

    def __init__(self, resource: Resource, reactor: Any = None) -> None:
        super().__init__(resource, timeout=IDLE_SECONDS, reactor=reactor)
        self.connections = 0
        """How many there are."""

    def startFactory(self) -> None:
        """Called by Twisted; the stock method would start an access log and its timer."""

    def stopFactory(self) -> None:
        """Called by Twisted."""

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Called by Twisted for each connection; None closes it."""
        return super().buildProtocol(addr) if self.connections < MAX_CONNECTIONS else None


def status_site(service: StatusSource, *, reactor: Any = None) -> StatusSite:
    """The factory of the status site, to listen with.

    :param service: the server it tells about.
    :param reactor: whose timers cut slow clients; None is the one that runs.
    """
    return StatusSite(StatusResource(service), reactor)

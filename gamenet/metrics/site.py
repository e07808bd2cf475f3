"""The status site: its pages. ``connections`` has how little a client may ask of it.

Layer 4. Runs on: the reactor thread.

Nothing is changed by ``GET``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from gamenet.bridge import Bridge
from gamenet.metrics import prometheus
from gamenet.metrics.actions import Actions, Refused
from gamenet.metrics.connections import API, JSON, StatusSite
from gamenet.metrics.files import read_page
from gamenet.metrics.guard import Access, header_of
from gamenet.metrics.looks import LOOK_AGAIN, Looks
from gamenet.metrics.report import Report, why_not_ready
from gamenet.metrics.snapshots import FAILED, Snapshots
from gamenet.showing import as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure
    from twisted.web.http import Request

    from gamenet.metrics.report import Snapshot, StatusSource

TEXT: Final = b"text/plain; charset=utf-8"
NOT_HERE: Final = (
    "this name is not known to lead here; ask by address, or start the server with "
    "--status-host NAME"
)


class StatusResource(Resource):
    """Every page of the site.

    :param reactor: whose turns snapshots are made in.
    :param access: who may ask; None for whoever reaches the port, and no actions.
    :param drain: has the server emptied, where it can be.
    :param dump: has the last minute written down, where it can be.
    """

    isLeaf = True

    def __init__(
        self,
        service: StatusSource,
        reactor: Any = None,
        access: Access | None = None,
        drain: Callable[..., object] | None = None,
        dump: Callable[[], object] | None = None,
    ) -> None:
        Resource.__init__(self)
        self._service = service
        self._access = access or Access()
        self._actions = Actions(service, self._access, drain, dump)
        now = service.host.now
        report = Report(service, now(), self._actions.names)
        self._whole = Snapshots(report, reactor, now, self._failed)
        self._brief = Snapshots(report, reactor, now, self._failed, history=False)
        self._looks = Looks()
        self._files = read_page()
        self._open: dict[bytes, Callable[[Request], bytes | None]] = {
            b"/healthz": self._health,
            b"/readyz": self._ready,
        }
        """What anybody may ask, by whatever name: nothing in it is worth hiding."""
        self._pages: dict[bytes, Callable[[Request], bytes | None]] = {
            b"/api/status": self._status,
            b"/metrics": self._metrics,
            **dict.fromkeys(self._files, self._file),
        }

    def render(self, request: Request) -> Any:
        """Called by Twisted for each request; never raises."""
        request.setHeader(b"Content-Type", JSON)
        body = self._safely(request, lambda: self._answer(request))
        return NOT_DONE_YET if body is None else _of_method(request, body)

    def _safely(self, request: Request, answer: Callable[[], bytes | None]) -> bytes | None:
        """What *answer* returns; a defect is logged, and not shown."""
        try:
            return answer()
        except Exception:
            self._failed(FAILED)
            return _failed(request)

    def _failed(self, what: str) -> None:
        """The exception at hand is a defect: a traceback in the log, once in a while."""
        self._service.host.failed(what)

    def _answer(self, request: Request) -> bytes | None:
        """The body; None if it comes later."""
        path = request.path
        page = self._open.get(path)
        if page is None:
            if not self._access.knows(header_of(request, b"host")):
                return _problem(request, 421, NOT_HERE)
            page = self._pages.get(path)
        if page is None:
            return self._act(request, path)
        if request.method not in (b"GET", b"HEAD"):
            request.setHeader(b"Allow", b"GET, HEAD")
            return _problem(request, 405, "only GET and HEAD")
        return page(request)

    # Pages.

    def _health(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", TEXT)
        if self._service.running:
            return b"ok\n"
        request.setResponseCode(503)
        return b"stopping\n"

    def _ready(self, request: Request) -> bytes:
        request.setHeader(b"Content-Type", TEXT)
        reason = why_not_ready(self._service)
        if not reason:
            return b"ready\n"
        request.setResponseCode(503)
        return reason.encode("ascii") + b"\n"

    def _file(self, request: Request) -> bytes:
        kind, content = self._files[request.path]
        request.setHeader(b"Content-Type", kind)
        return content

    def _status(self, request: Request) -> bytes | None:
        host = self._service.host
        if isinstance(host.sink, Bridge):
            host.sink.showing.looked_at = host.now()
        is_brief = (request.args or {}).get(b"history") == [b"no"]
        request.setHeader(LOOK_AGAIN, b"%d" % self._looks.again_ms(host.now()))
        snapshots = self._brief if is_brief else self._whole
        return self._from_snapshot(request, snapshots, lambda snapshot: snapshot.body)

    def _metrics(self, request: Request) -> bytes | None:
        if not prometheus.IS_THERE:
            request.setHeader(b"Content-Type", TEXT)
            request.setResponseCode(501)
            return prometheus.MISSING
        request.setHeader(b"Content-Type", prometheus.CONTENT_TYPE)
        return self._from_snapshot(request, self._brief, prometheus.exposition)

    def _from_snapshot(
        self,
        request: Request,
        snapshots: Snapshots,
        make: Callable[[Snapshot], bytes | None],
    ) -> bytes | None:
        """What *make* makes of a fresh snapshot; None if that takes some turns of the reactor."""
        pending = Pending(request)

        def take(snapshot: Snapshot | None) -> None:
            if snapshot is None:
                pending.answer(_failed(request))
            else:
                pending.answer(self._safely(request, lambda: make(snapshot)))

        snapshots.ask(take)
        return pending.wait()

    # Actions.

    def _act(self, request: Request, path: bytes) -> bytes:
        name = path.removeprefix(API).decode("latin-1") if path.startswith(API) else ""
        if name not in self._actions.names:
            return _problem(request, 404, "no such page, and no such action is offered here")
        if request.method != b"POST":
            request.setHeader(b"Allow", b"POST")
            return _problem(request, 405, "only POST")
        try:
            return as_json({"done": self._actions.run(name, request)}) + b"\n"
        except Refused as refused:
            return _problem(request, refused.code, refused.text)


class Pending:
    """An answer that may have to wait for a snapshot."""

    def __init__(self, request: Request) -> None:
        self._request: Request | None = request
        self._body: bytes | None = None
        self._is_late = False

    def answer(self, body: bytes | None) -> None:
        """The body is known."""
        self._body = body
        if self._is_late and self._request is not None:
            self._request.write(_of_method(self._request, body or b""))
            self._request.finish()

    def wait(self) -> bytes | None:
        """The body, if it is known by now; it is written later otherwise."""
        if self._body is None and self._request is not None:
            self._is_late = True
            self._request.notifyFinish().addErrback(self._gone)
        return self._body

    def _gone(self, reason: Failure) -> None:
        """Nobody waits for it any more."""
        self._request = None


def _of_method(request: Request, body: bytes) -> bytes:
    """The body, or none where only the headers are asked for."""
    request.setHeader(b"Content-Length", b"%d" % len(body))
    return b"" if request.method == b"HEAD" else body


def _problem(request: Request, code: int, text: str) -> bytes:
    request.setResponseCode(code)
    request.setHeader(b"Content-Type", JSON)
    return as_json({"error": text}) + b"\n"


def _failed(request: Request) -> bytes:
    return _problem(request, 500, "the server's log says why")


def status_site(
    service: StatusSource,
    *,
    reactor: Any = None,
    access: Access | None = None,
    drain: Callable[..., object] | None = None,
    dump: Callable[[], object] | None = None,
) -> StatusSite:
    """The factory of the status site, to listen with.

    :param service: the server it tells about.
    :param reactor: whose timers cut slow clients; None is the one that runs.
    :param access: who may ask; None for whoever reaches the port, and no actions.
    :param drain: called when the page asks for the server to be emptied; with seconds and a text
        where it says so.
    :param dump: called when the page asks for the last minute to be written down; text that it
        returns says where it is.
    """
    if reactor is None:
        from twisted.internet import reactor
    resource = StatusResource(service, reactor, access, drain, dump)
    return StatusSite(resource, reactor, service)

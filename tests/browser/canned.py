"""A status site without a server: the files of the page, and answers that a test makes up."""

from __future__ import annotations

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "gamenet" / "metrics" / "page"
# As strict as a policy can be; the server's own allows no more than this.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
TYPES: Final = {
    ".svg": "image/svg+xml",
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
}


class CannedSite:
    """Serves the page on a port of this machine; for a ``with`` block.

    :param status: makes the answer of ``/api/status``.
    """

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self.status = status
        self.posted: list[tuple[str, str, Any]] = []
        """Path, authorization and body of each action."""
        self.reply: tuple[int, dict[str, str]] = (200, {"done": "It is done."})
        """What an action is answered."""
        self.code = 200
        """Of the answer to ``/api/status``."""
        self.again = ""
        """Milliseconds after which the page is to ask again, if it is told."""
        self.asked: list[str] = []
        """How the status was asked for, each time."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}/"

    @property
    def polls(self) -> int:
        """How often the status was asked for."""
        return len(self.asked)

    def __enter__(self) -> CannedSite:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        site = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *ignored: object) -> None:
                """Say nothing."""

            def answer(self, code: int, kind: str, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Security-Policy", POLICY)
                self.send_header("X-Content-Type-Options", "nosniff")
                if site.again:
                    self.send_header("Look-Again-Ms", site.again)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                with contextlib.suppress(ConnectionError):  # the browser went elsewhere
                    self.wfile.write(body)

            def do_GET(self) -> None:
                if self.path.partition("?")[0] == "/api/status":
                    site.asked.append(self.path)
                    status = site.status()
                    if self.path.endswith("?history=no"):
                        for one in status["players"]:
                            del one["history"]
                    body = json.dumps(status).encode()
                    return self.answer(site.code, "application/json", body)
                file = PAGE / (self.path[1:] or "index.html")
                if file.parent != PAGE or not file.is_file():
                    return self.answer(404, "text/plain", b"no such page\n")
                return self.answer(200, TYPES[file.suffix], file.read_bytes())

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                site.posted.append((self.path, self.headers["Authorization"], json.loads(body)))
                code, said = site.reply
                self.answer(code, "application/json", json.dumps(said).encode())

        return Handler

"""The files of the page, read once.

Layer 4. Runs on: the reactor thread, when the site is made.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Final

TYPES: Final = {
    ".css": b"text/css; charset=utf-8",
    ".html": b"text/html; charset=utf-8",
    ".ico": b"image/x-icon",
    ".js": b"text/javascript; charset=utf-8",
    ".png": b"image/png",
    ".svg": b"image/svg+xml",
}
"""What is served, by how its name ends."""
INDEX: Final = "index.html"


@cache
def read_page() -> dict[bytes, tuple[bytes, bytes]]:
    """Type and content of each file, by the path that it is served under; the index is ``/``."""
    found = {}
    for entry in files("gamenet.metrics.page").iterdir():
        kind = TYPES.get("." + entry.name.rpartition(".")[2])
        if kind is not None and entry.is_file():
            path = "/" if entry.name == INDEX else f"/{entry.name}"
            found[path.encode("ascii")] = (kind, entry.read_bytes())
    return found

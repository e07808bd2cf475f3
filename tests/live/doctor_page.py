"""The examples of ``docs/DOCTOR.rst``, made by the command itself.

``python -m tests.live.doctor_page`` runs every case on this machine and writes the page anew.
"""

from __future__ import annotations

import contextlib
import io
import re
import socket
import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import gamenet
from gamenet.certificates import make_certificate
from gamenet.cli import main
from gamenet.proxy import Proxy
from tests.certificates import write
from tests.live.processes import ROOT
from tests.testing.games import walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAGE: Final = ROOT / "docs" / "DOCTOR.rst"
HERE: Final = "tcp:0:interface=127.0.0.1"
WIDTH: Final = 96
INDENT: Final = " " * 23


@contextlib.contextmanager
def _server() -> Iterator[gamenet.GameServer]:
    made = make_certificate(["127.0.0.1"])
    with tempfile.TemporaryDirectory() as folder:
        cert, key = write(Path(folder), made)
        with gamenet.GameServer(HERE, game=walk, cert_file=cert, key_file=key) as server:
            yield server


@contextlib.contextmanager
def healthy() -> Iterator[tuple[str, int]]:
    """A server as it should be."""
    with _server() as server:
        yield server.address, server.port


@contextlib.contextmanager
def blocked() -> Iterator[tuple[str, int]]:
    """A network that lets no datagram pass."""
    with _server() as server, Proxy(server.address) as proxy:
        proxy.block_udp()
        yield proxy.address, proxy.port


@contextlib.contextmanager
def wrong_pin() -> Iterator[tuple[str, int]]:
    """Another certificate than the pinned one."""
    with _server() as server:
        yield f"{server.address[:-64]}{'5e' * 32}", server.port


@contextlib.contextmanager
def closed() -> Iterator[tuple[str, int]]:
    """A port where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        yield f"gamenet://127.0.0.1:{port}#sha256={'5e' * 32}", port


CASES: Final[dict[str, Callable[[], Any]]] = {
    "healthy": healthy,
    "blocked": blocked,
    "wrong pin": wrong_pin,
    "closed": closed,
}
"""By the name that the page has them under."""


def examine(name: str, *arguments: str) -> str:
    """What the command prints in a case, with the usual port in it."""
    out = io.StringIO()
    with CASES[name]() as (address, port):
        with contextlib.redirect_stdout(out):
            main(["doctor", address, *arguments])
        return re.sub(rf"\b{port}\b", "7777", out.getvalue())


def wrapped(text: str) -> str:
    """The output as the page has it, in short lines."""
    lines = []
    for line in text.splitlines():
        start = line[: len(INDENT)].rstrip().ljust(len(INDENT)) if line[:2].strip() else INDENT
        if len(line) <= WIDTH:
            lines.append(line)
        elif re.match("ok|warning|failed|not tried| {23}", line):
            words = line[len(INDENT) :]
            lines += textwrap.wrap(
                words, WIDTH, initial_indent=start, subsequent_indent=INDENT, break_on_hyphens=False
            )
        else:
            lines += textwrap.wrap(line, WIDTH, break_on_hyphens=False)
    return "\n".join(lines)


def shown(page: str, name: str) -> str:
    """The output that the page has for a case."""
    found = re.search(
        rf"\.\. output {name}\n\n\.\. code-block:: text\n\n((?:   .*\n|\n)+)\.\. end", page
    )
    assert found, f"no output {name}"
    return textwrap.dedent(found[1]).strip() + "\n"


def replaced(page: str, name: str, output: str) -> str:
    """The page with another output for a case."""
    block = textwrap.indent(wrapped(output), "   ")
    return re.sub(
        rf"(\.\. output {name}\n\n\.\. code-block:: text\n\n)(?:   .*\n|\n)*(\.\. end)",
        lambda found: f"{found[1]}{block}\n\n{found[2]}",
        page,
    )


def write_page() -> None:
    """Make all outputs of the page anew."""
    page = PAGE.read_text(encoding="utf-8")
    for name in CASES:
        page = replaced(page, name, examine(name))
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    write_page()

"""The first steps, on plain sockets: what a name stands for, and who answers there.

Layer 4. Runs on: threads of its own, which nobody has to wait for.
"""

from __future__ import annotations

import errno
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from gamenet.doctor.facts import Answer, Attempt, Found, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_ADDRESSES: Final = 8
"""Of a name; the rest is not tried."""
CONNECT_SECONDS: Final = 3.0
SNIFF_SECONDS: Final = 1.5
SNIFF_BYTES: Final = 64
QUESTION: Final = b"GET / HTTP/1.0\r\n\r\n"
"""What most servers of the internet have some answer to."""

_UNREACHABLE: Final = frozenset(
    {errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    | {errno.ENETDOWN, errno.EHOSTDOWN}
)


def on_thread(results: list[Any], call: Callable[[], Any]) -> None:
    """Have *call* called on a thread of its own, and its result put into *results*."""
    threading.Thread(
        target=lambda: results.append(call()), name="gamenet-doctor", daemon=True
    ).start()


def resolve(host: str, port: int) -> Found:
    """All addresses of a host. Takes as long as the system's resolver does."""
    try:
        entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        words = error.strerror or str(error)
        if error.errno == socket.EAI_AGAIN:
            return Found((), "no answer", words)
        return Found((), "unknown", words)
    except (OSError, UnicodeError) as error:  # the latter for a label of 64 letters
        return Found((), "failed", str(error))
    places = dict.fromkeys((family, address) for family, _, _, _, address in entries)
    return Found(tuple(places)[:MOST_ADDRESSES])


def connect(family: int, address: Any, seconds: float = CONNECT_SECONDS) -> Attempt:
    """Connect to one address by TCP, and hang up."""
    began = time.monotonic()
    outcome: Outcome = "connected"
    words = ""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.settimeout(seconds)
            stream.connect(address)
    except OSError as error:
        outcome, words = outcome_of(error), error.strerror or str(error)
    return Attempt(address[0], address[1], outcome, time.monotonic() - began, words)


def outcome_of(error: OSError) -> Outcome:
    """What an attempt to connect came to."""
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "timed out"
    if error.errno == errno.ECONNREFUSED:
        return "refused"
    return "unreachable" if error.errno in _UNREACHABLE else "failed"


def sniff(family: int, address: Any, seconds: float = SNIFF_SECONDS) -> Answer:
    """What somebody who answers at a TCP port seems to be."""
    answer = _ask(family, address, QUESTION, seconds)
    if answer == "closed" and _ask(family, address, _hello(), seconds) == "tls":
        return "tls"
    return answer


def _ask(family: int, address: Any, question: bytes, seconds: float) -> Answer:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as stream:
            stream.settimeout(seconds)
            stream.connect(address)
            stream.sendall(question)
            return answer_of(stream.recv(SNIFF_BYTES))
    except OSError as error:
        if isinstance(error, TimeoutError):
            return "silent"
        return "nobody" if isinstance(error, ConnectionRefusedError) else "closed"


def _hello() -> bytes:
    """How a TLS handshake begins."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass  # it waits for the answer, which somebody else reads
    return outgoing.read()


def answer_of(data: bytes) -> Answer:
    """What the first bytes of an answer tell."""
    if not data:
        return "closed"
    if data.startswith(b"HTTP/") or data.lstrip()[:1] == b"<":
        return "http"
    if data.startswith(b"SSH-"):
        return "ssh"
    if data[:2] in (b"\x15\x03", b"\x16\x03"):
        return "tls"
    return "other"

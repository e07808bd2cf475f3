"""Who may ask the status site: by which name, from which page, and with which token.

Layer 4. Runs on: the reactor thread; the token is read when a server starts.
"""

from __future__ import annotations

import ipaddress
import os
import re
from hmac import compare_digest
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from gamenet.core.rates import Bucket
from gamenet.errors import ConfigError
from gamenet.gate import Recent
from gamenet.keyfiles import check_private

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.web.http import Request

LEAST_TOKEN: Final = 16
MOST_TOKEN: Final = 256
"""Characters of a token."""
ATTEMPTS: Final = 10
"""Wrong tokens that an address may send at once ..."""
ATTEMPTS_PER_SECOND: Final = 0.2
"""... and in the long run."""
ADDRESSES: Final = 1_024
"""Of which wrong tokens are remembered."""
HOW_TO_MAKE: Final = (
    "(umask 077; python3 -c 'import secrets; print(secrets.token_hex(32))' >{path})"
)


_NAME: Final = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?", re.ASCII)


class Access:
    """How the site is guarded.

    :param hosts: names by which it may be asked for, besides addresses and ``localhost``.
    :param token: what an action must bring; empty for no actions at all.
    """

    __slots__ = ("hosts", "token")

    def __init__(self, hosts: tuple[str, ...] = (), token: str = "") -> None:
        self.hosts = frozenset(hosts)
        self.token = token.encode("ascii")

    def __repr__(self) -> str:
        return f"Access(hosts={sorted(self.hosts)}, token={'yes' if self.token else 'no'})"

    def knows(self, host: str | None) -> bool:
        """Whether a ``Host`` header may lead here.

        A page of another site reaches a server behind its visitor's firewall by having its own
        name resolve to the server's address; the browser takes both for the same site. So a name
        must be known. An address needs no name to resolve, and whoever sends none is no browser.
        """
        if host is None:
            return True
        name = _hostname(host)
        return name is not None and (
            name in self.hosts
            or name == "localhost"
            or name.endswith(".localhost")
            or _is_address(name)
        )

    def is_same_origin(self, host: str | None, origin: str | None, site: str | None) -> bool:
        """Whether a request comes from our own page, or from no page.

        :param host: the header of that name, as ``origin`` and, of ``Sec-Fetch-Site``, ``site``.
        """
        if site is not None and site != "same-origin":
            return False
        if origin is None:
            return True
        scheme, _, rest = origin.partition("://")
        if scheme not in ("http", "https"):
            return False
        # What is behind a proxy does not see the name that the browser has asked for.
        return rest.lower() == (host or "").lower() or _hostname(rest) in self.hosts


def header_of(request: Request, name: bytes) -> str | None:
    """A header as it came, byte by byte; several of a name are one that fits nothing."""
    values = request.requestHeaders.getRawHeaders(name)
    return None if values is None else b", ".join(values).decode("latin-1")


def _hostname(host: str) -> str | None:
    """The name or address in ``host:port``, in lower case; None if it is neither."""
    try:
        parts = urlsplit("//" + host)
        if parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            return None
        _ = parts.port
        return (parts.hostname or "").rstrip(".") or None
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True


def read_access(hosts: str | None, token: str | None, *, is_served: bool) -> Access:
    """How the command line has the site guarded.

    :param hosts: of ``--status-host``.
    :param token: the file of ``--status-token``.
    :param is_served: whether there is a site.
    :raises ConfigError: for flags that cannot be followed.
    """
    for name, value in (("status-host", hosts), ("status-token", token)):
        if value is not None and not is_served:
            raise ConfigError(name, "there is no status site; add --status tcp:9777")
    return Access(
        () if hosts is None else read_hosts(hosts), "" if token is None else read_token(token)
    )


def read_hosts(text: str) -> tuple[str, ...]:
    """The names of ``--status-host``, between commas.

    :raises ConfigError: for what is no name.
    """
    names = []
    for part in text.split(","):
        name = part.strip().lower()
        if _NAME.fullmatch(name) is None:
            raise ConfigError(
                "status-host",
                f"{part.strip()!r} is no host name; write the name in the page's address, without "
                "port: status.example.org",
            )
        names.append(name)
    return tuple(names)


def read_token(path: str) -> str:
    """The token of the actions, from its file.

    :raises ConfigError: naming the file, and what to do.
    """
    field = "status-token"
    make = HOW_TO_MAKE.format(path=path)
    try:
        with open(path, "rb") as file:
            check_private(os.fstat(file.fileno()), path, field, "token")
            data = file.read(MOST_TOKEN + 2)
    except OSError as error:
        raise ConfigError(
            field, f"cannot read {path}: {error.strerror}; make one: {make}"
        ) from None
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if not LEAST_TOKEN <= len(token) <= MOST_TOKEN or not token.isprintable() or " " in token:
        raise ConfigError(
            field,
            f"{path} must hold one word of {LEAST_TOKEN} to {MOST_TOKEN} letters, digits or signs; "
            f"make one: {make}",
        )
    return token


class Tokens:
    """Compares tokens, and slows down who brings wrong ones.

    :param token: the right one.
    :param now: monotonic seconds.
    """

    def __init__(self, token: bytes, now: Callable[[], float]) -> None:
        self._token = token
        self._now = now
        self._tries: Recent[str, Bucket] = Recent(
            ADDRESSES, lambda: Bucket(ATTEMPTS_PER_SECOND, ATTEMPTS, now())
        )

    def wait_seconds(self, peer: str) -> float:
        """How long an address has to wait before it is compared again; 0 for not at all."""
        tries = self._tries.peek(peer)
        return 0.0 if tries is None else tries.take(0.0, self._now())

    def is_right(self, header: str | None, peer: str) -> bool:
        """Whether an ``Authorization`` header has the token; a wrong one is counted."""
        kind, _, token = (header or "").partition(" ")
        try:
            given = token.strip().encode("ascii")
        except UnicodeEncodeError:
            given = b""
        if kind.lower() == "bearer" and compare_digest(given, self._token):
            return True
        self._tries.get(peer).take(1.0, self._now())
        return False

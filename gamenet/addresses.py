"""Addresses as people write them.

Layer 0. Runs on: any thread.
"""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from gamenet.errors import ConfigError

DEFAULT_PORT = 7777
"""The port of a game server that names no other."""


class Place:
    """Where to listen: a port and, if one was named, an interface's address.

    :param endpoint: instead of both, a description for Twisted's ``serverFromString``, or ``fd:N``.
    """

    __slots__ = ("endpoint", "interface", "port")

    def __init__(self, port: int, interface: str = "", endpoint: str = "") -> None:
        self.port = port
        self.interface = interface
        self.endpoint = endpoint

    def __repr__(self) -> str:
        if self.endpoint:
            return self.endpoint
        host = f"[{self.interface}]" if ":" in self.interface else self.interface
        return f"{host}:{self.port}" if host else f"port {self.port}"

    @property
    def has_tls(self) -> bool:
        """Whether the endpoint itself does TLS."""
        return self.endpoint.startswith(("ssl:", "tls:"))

    @property
    def is_descriptor(self) -> bool:
        """Whether it is a socket that somebody else has opened."""
        return self.endpoint.startswith(("systemd:", "fd:"))


def parse_listen(value: int | str, name: str) -> Place:
    """Read a port, ``tcp:7777:interface=A``, ``7777:interface=A``, ``host:7777`` or an endpoint.

    :raises ConfigError: naming the field *name* and the forms that work.
    """
    if isinstance(value, int):
        return Place(_port(str(value), name, value))
    text = value.strip()
    scheme, _, rest = text.partition(":")
    if scheme in ("tcp", "tcp6", "udp", "udp6"):
        text = rest
    elif scheme in ("ssl", "tls", "systemd", "fd"):
        return Place(0, endpoint=text)
    elif scheme == "unix":
        raise ConfigError(name, "players come over TCP and UDP, not over a file; use tcp:PORT")
    head, mark, interface = text.partition(":interface=")
    if mark:
        address = interface.replace("\\:", ":").strip("[]")
        return Place(_port(head, name, value), _address(address, name))
    if text.startswith("["):
        host, _, port = text[1:].partition("]:")
        return Place(_port(port, name, value), _address(host, name))
    if ":" in text:
        host, _, port = text.rpartition(":")
        return Place(_port(port, name, value), _address(host, name))
    return Place(_port(text, name, value))


def _port(text: str, name: str, whole: object) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535):
        raise ConfigError(
            name,
            f"{whole!r} is not a place to listen; write a port from 0 to 65535 such as 7777, "
            'or "tcp:7777:interface=127.0.0.1"',
        )
    return int(text)


def _address(text: str, name: str) -> str:
    if text == "localhost":
        return "127.0.0.1"
    try:
        if not text.isprintable() or set(text) & set(" /@[]"):
            raise ValueError  # ipaddress lets anything stand behind a %
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigError(
            name, f"{text!r} is not an IP address; an interface is given by its address"
        ) from None


def is_loopback(host: str) -> bool:
    """True for an address that only this machine can reach; IPv4-mapped ones are unmapped first."""
    return unmapped(host).is_loopback


def unmapped(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The address without an IPv6 wrapping or scope."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


class Target(NamedTuple):
    """Where a server is."""

    host: str
    port: int
    pin: str = ""
    """SHA-256 of its certificate in DER form, 64 lower hex digits; "" where none is pinned."""

    def __str__(self) -> str:
        return join_address(self.host, self.port)


PIN_DIGITS = 64


def parse_address(text: str) -> Target:
    """Read ``host``, ``host:7777``, ``[v6]:7777`` or ``gamenet://host:7777#sha256=PIN``.

    :raises ConfigError: with the forms that work.
    """
    rest, mark, pinned = text.strip().partition("#")
    rest = rest.removeprefix("gamenet://").rstrip("/")
    pin = ""
    if mark:
        kind, _, digits = pinned.partition("=")
        pin = digits.replace(":", "").lower()
        if kind != "sha256" or len(pin) != PIN_DIGITS or not set(pin) <= set("0123456789abcdef"):
            raise ConfigError(
                "address",
                f"{text!r}: after # comes sha256= and the {PIN_DIGITS} hex digits of the "
                "certificate's fingerprint, as 'gamenet cert' prints them",
            )
    port = str(DEFAULT_PORT)
    if rest.startswith("["):
        host, mark, tail = rest[1:].partition("]")
        if not mark or (tail and not tail.startswith(":")):
            raise ConfigError("address", f"{text!r} is not an address; write [::1]:7777")
        port = tail[1:] or port
    elif rest.count(":") > 1:
        host = rest
    else:
        host, _, tail = rest.partition(":")
        port = tail or port
    if not host or not host.isprintable() or set(host) & set(" /@[]") or "//" in rest:
        raise ConfigError("address", f"{text!r} is not an address; write host or host:7777")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65_535):
        raise ConfigError("address", f"{text!r}: the port must be a number from 1 to 65535")
    return Target(host, int(port), pin)


def join_address(host: str, port: int) -> str:
    """``host:port``, with brackets where the host is an IPv6 address."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

"""Sockets that somebody else has opened: systemd, a parent process, a server that makes way.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

import os
import socket
from typing import Final

from gamenet.addresses import is_loopback
from gamenet.errors import ListenFailed

_INTERNET: Final = (socket.AF_INET, socket.AF_INET6)
_NAMES: Final = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


def copied(number: int, kind: socket.SocketKind, *, stays_here: bool) -> socket.socket:
    """The socket of a descriptor, looked over and set not to block.

    :param number: of the descriptor, which stays open.
    :param kind: what it must be, ``SOCK_STREAM`` or ``SOCK_DGRAM``.
    :param stays_here: refuse one that other machines can reach.
    :raises ListenFailed: saying what is wrong with it.
    :raises OSError: if it is no socket at all.
    """
    copy = os.dup(number)
    try:
        found = socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise
    try:
        _check(found, number, kind, stays_here=stays_here)
        found.setblocking(False)
    except BaseException:
        found.close()
        raise
    return found


def _check(found: socket.socket, number: int, kind: socket.SocketKind, *, stays_here: bool) -> None:
    """:raises ListenFailed: if players cannot come in there."""
    if found.family not in _INTERNET or found.type != kind:
        raise ListenFailed(f"descriptor {number} is not a {_NAMES[kind]} socket{_hint(found)}")
    host, port = found.getsockname()[:2]
    if not port:
        raise ListenFailed(f"descriptor {number} is a socket without an address; bind it first")
    if stays_here and not is_loopback(host):
        raise ListenFailed(
            f"an insecure server may not listen on {host}, which other machines can "
            f"reach, as the socket of descriptor {number} does; give a certificate, or "
            "allow it with insecure_anywhere=True (--insecure-anywhere)"
        )


def _hint(found: socket.socket) -> str:
    """What is wrong where TCP and UDP were taken for each other."""
    other = _NAMES.get(found.type) if found.family in _INTERNET else None
    if other is None:
        return ""
    return f", it is for {other}: --listen takes TCP (ListenStream=), --udp UDP (ListenDatagram=)"

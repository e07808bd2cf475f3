"""A server's open ports: TCP, with TLS where there is a certificate, and UDP beside it.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gamenet.addresses import Place, join_address, parse_listen
from gamenet.descriptors import copied
from gamenet.entrance import entrance
from gamenet.errors import ListenFailed
from gamenet.tls import wrap_server

if TYPE_CHECKING:
    from gamenet.config import ServerConfig
    from gamenet.server import GameServerFactory

log = Logger()
FREE_PORT_TRIES: Final = 10
"""Attempts to find one number that is free for TCP and UDP in both families."""
WARNING_SECONDS: Final = 600.0
"""From one warning about an insecure server to the next."""
_NO_IPV6: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Listening:
    """The ports of one server.

    :param factory: what serves the connections, and opens the UDP ports.
    :raises ConfigError: if the settings, or the files that they name, cannot be used.
    """

    def __init__(self, config: ServerConfig, factory: GameServerFactory, reactor: Any) -> None:
        self._config = config
        self._reactor = reactor
        self._factory = factory
        self._entrance = entrance(config, reactor)
        creator = self._entrance.creator
        factory.closes_at_once = True
        self._served: Any = factory if creator is None else wrap_server(creator, factory)
        # Any, because Twisted's interface does not say that an address has a host and a port.
        self._tcp: list[Any] = []
        self._udp: list[Any] = []

    @property
    def secure(self) -> bool:
        """Whether connections have TLS."""
        return self._entrance.creator is not None

    @property
    def fingerprint(self) -> str:
        """What a client can pin; "" if no certificate of ours is in use."""
        context = self._entrance.context
        return context.fingerprint if context is not None else ""

    @property
    def is_open(self) -> bool:
        """Whether there are ports."""
        return bool(self._tcp)

    @property
    def hosts(self) -> list[str]:
        """The addresses that TCP is open at; "::" serves both families."""
        return [str(port.getHost().host) for port in self._tcp]

    @property
    def port(self) -> int:
        """The TCP port in use."""
        return int(self._tcp[0].getHost().port) if self._tcp else 0

    @property
    def udp_port(self) -> int:
        """The UDP port in use."""
        return int(self._udp[0].getHost().port) if self._udp else 0

    @property
    def address(self) -> str:
        """An address that a client on this machine can use."""
        if not self._tcp:
            return ""
        host = str(self._tcp[0].getHost().host)
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1"
        address = join_address(host, self.port)
        context = self._entrance.context
        if context is not None and context.is_self_signed:
            return f"gamenet://{address}#sha256={context.fingerprint}"
        return address

    def reload(self) -> bool:
        """Read the certificate and the key again; connections that stand keep the old.

        :returns: False if there are none of ours to read.
        :raises ConfigError: saying what is wrong; the old ones stay in use.
        """
        context = self._entrance.context
        if context is None:
            return False
        context.reload()
        return True

    # Opening and closing.

    def open(self) -> None:
        """Open all ports.

        :raises ListenFailed: with the address and the reason.
        """
        place = self._entrance.place
        for attempt in range(FREE_PORT_TRIES):
            try:
                self._open(place)
            except ListenFailed:
                self.close()
                # With a port of our own choosing, another one may be free for all sockets.
                given = self._entrance.descriptor or self._entrance.udp_descriptor
                is_free = not place.port and given is None
                if not is_free or attempt == FREE_PORT_TRIES - 1:
                    raise
            else:
                return

    def close(self) -> Deferred[Any]:
        """Close all ports.

        :returns: fires when they are closed.
        """
        listening, self._tcp, self._udp = [*self._tcp, *self._udp], [], []
        return DeferredList([maybeDeferred(port.stopListening) for port in listening])

    def _open(self, place: Place) -> None:
        """Open TCP and UDP on every address that *place* stands for."""
        descriptor, udp_descriptor = self._entrance.descriptor, self._entrance.udp_descriptor
        number = None if descriptor is None else descriptor()
        udp_number = None if udp_descriptor is None else udp_descriptor()
        if number is not None and number == udp_number:
            raise ListenFailed(f"listen and udp name the same socket, descriptor {number}")
        if number is not None:
            place = self._adopt(number)
        else:
            self._open_tcp(place)
        if udp_number is not None:
            self._adopt_udp(udp_number)
        else:
            self._open_udp(place)
        if not self._tcp or not self._udp:
            raise ListenFailed(f"no address to listen on at {place!r}")

    def _open_udp(self, place: Place) -> None:
        udp_place = place if self._config.udp is None else parse_listen(self._config.udp, "udp")
        udp_port = self.port if self._config.udp is None else udp_place.port
        for interface in self._interfaces(udp_place, udp=True):
            try:
                udp: Any = self._factory.listen_udp(udp_port, interface)
            except (CannotListenError, OSError) as error:
                self._cannot("UDP", interface, udp_port, error)
                continue
            udp_port = udp.getHost().port
            self._udp_is_open(udp, interface)

    def _udp_is_open(self, udp: Any, interface: str) -> None:
        self._udp.append(udp)
        log.info(
            "UDP {where}: buffers of {asked} bytes asked, {granted} granted (in, out)",
            where=join_address(interface, udp.getHost().port),
            asked=self._config.udp_buffer_bytes,
            granted=getattr(udp, "granted", None),
        )

    def _open_tcp(self, place: Place) -> None:
        port = place.port
        for interface in self._interfaces(place):
            try:
                tcp = self._reactor.listenTCP(
                    port,
                    self._served,
                    backlog=self._config.listen_backlog,
                    interface=interface,
                )
            except (CannotListenError, OSError) as error:
                self._cannot("TCP", interface, port, error)
                continue
            self._tcp.append(tcp)
            port = tcp.getHost().port
            if interface == "::":
                break

    def _adopt(self, number: int) -> Place:
        """Listen on a socket that is open already, and becomes ours.

        :returns: where that is, as UDP is to be opened; "::" serves both families, like TCP.
        :raises ListenFailed: if it is no socket to listen on, or others could reach it.
        """
        try:
            with copied(number, socket.SOCK_STREAM, stays_here=self._is_local) as found:
                host, port = found.getsockname()[:2]
                found.listen(self._config.listen_backlog)
                self._tcp.append(self._reactor.adoptStreamPort(number, found.family, self._served))
        except OSError as error:
            raise _no_socket(number, error) from None
        os.close(number)  # the reactor has a copy
        return Place(port, "" if host == "::" else host)

    def _adopt_udp(self, number: int) -> None:
        """Play over a UDP socket that is open already, and becomes ours.

        :raises ListenFailed: as ``_adopt``.
        """
        try:
            with copied(number, socket.SOCK_DGRAM, stays_here=self._is_local) as found:
                host = found.getsockname()[0]
                udp = self._factory.adopt_udp(found)
        except (CannotListenError, OSError) as error:
            raise _no_socket(number, error) from None
        self._udp_is_open(udp, host)
        os.close(number)  # the port has a copy

    @property
    def _is_local(self) -> bool:
        """Whether only this machine may come."""
        return self._config.insecure and not self._config.insecure_anywhere

    def _interfaces(self, place: Place, *, udp: bool = False) -> tuple[str, ...]:
        """The addresses to bind: both families, and only this machine's when insecure."""
        if place.interface:
            return (place.interface,)
        if self._is_local:
            return ("127.0.0.1", "::1")
        # A TCP socket on :: serves both families, where there are both; UDP has one for each.
        return ("0.0.0.0", "::") if udp else ("::", "0.0.0.0")

    def _cannot(self, kind: str, interface: str, port: int, error: Exception) -> None:
        """A port cannot be opened: without IPv6 that is normal, otherwise it is the end."""
        cause = getattr(error, "socketError", error)
        reason = _reason(error)
        if interface in ("::1", "::") and getattr(cause, "errno", None) in _NO_IPV6:
            log.info("not listening on {interface}: {reason}", interface=interface, reason=reason)
            return
        where = join_address(interface, port)
        number = getattr(cause, "errno", None)
        hint = ""
        if number == errno.EADDRINUSE:
            hint = "; perhaps another server is running there: stop it, or listen on another port"
        failure = ListenFailed(f"cannot listen on {kind} {where}: {reason}{hint}")
        failure.errno = number
        raise failure


def _no_socket(number: int, error: Exception) -> ListenFailed:
    return ListenFailed(f"descriptor {number} is not a socket to listen on: {_reason(error)}")


def _reason(error: Exception) -> str:
    cause = getattr(error, "socketError", error)
    return getattr(cause, "strerror", None) or str(cause)


class InsecureWarning:
    """Says in the log that a server has no TLS: when it starts, and every ten minutes."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._next: Any = None

    def start(self) -> None:
        """Say it now, and go on."""
        log.warn(
            "INSECURE: plain TCP. Whoever is on the path can read, change and take over "
            "sessions; use it on this machine and for trying things out"
        )
        self._next = self._reactor.callLater(WARNING_SECONDS, self.start)

    def stop(self) -> None:
        """Say no more; repeatable."""
        following, self._next = self._next, None
        if following is not None:
            following.cancel()

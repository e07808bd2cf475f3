"""A relay: both ports of a server once more, with a bad network in between.

Layer 3. Runs on: the reactor thread.

It understands nothing of what it carries: TLS, keys and pins go through it untouched.
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import CannotListenError
from twisted.internet.threads import deferToThreadPool

from gamenet.addresses import Place, Target, is_loopback, join_address, unmapped
from gamenet.delays import Delays
from gamenet.errors import ConfigError, ConnectionFailed, ListenFailed
from gamenet.impairment import Impairment, Profile
from gamenet.relay_tcp import Connections
from gamenet.relay_udp import LISTENING_BUFFER_BYTES, Clients, Socket

if TYPE_CHECKING:
    from twisted.internet.interfaces import IStreamClientEndpoint
    from twisted.python.failure import Failure

BACKLOG: Final = 512
CONNECT_SECONDS: Final = 10.0
FREE_PORT_TRIES: Final = 10
"""Attempts to find one number that is free for TCP and UDP."""
COUNTERS: Final = (
    "sent",
    "lost",
    "duplicated",
    "reordered",
    "corrupted",
    "queued_out",
    "blacked_out",
)
"""Of :class:`~gamenet.impairment.Impairment`."""
_NO_IPV6: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


class Relay:
    """Passes everything on between clients and one server.

    :param target: the server.
    :param place: where to listen; without an interface on this machine's own addresses only.
    :param udp_port: of the server, if it is not that of TCP; the relay then has it too, because
        the server tells its clients the number.
    :param seed: with the order in which clients come it decides every draw.
    :param endpoint: how to connect to the server, instead of by its address.
    """

    def __init__(
        self,
        reactor: Any,
        target: Target,
        place: Place,
        profile: Profile,
        seed: int | str = 0,
        *,
        udp_port: int = 0,
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        self.target = target
        self._reactor = reactor
        self._place = place
        self._profile = profile
        self._seed = seed
        self._udp_port = udp_port
        self._is_blocked = False
        self._past = [dict.fromkeys(COUNTERS, 0), dict.fromkeys(COUNTERS, 0)]
        """What clients did who are forgotten, up and down."""
        self.cuts = 0
        self.moves = 0
        self._tcp: list[Any] = []
        self._udp: list[Socket] = []
        self._delays = Delays(reactor)
        self._clients = Clients(reactor, self._delays, self._impairments, self._retired)
        self._connections = Connections(
            self._delays, endpoint or self._endpoint(), self._impairments, self._reached
        )

    def _endpoint(self) -> IStreamClientEndpoint:
        host, port, _ = self.target
        kind: Any = HostnameEndpoint
        if isIPAddress(host):
            kind = TCP4ClientEndpoint
        elif isIPv6Address(host):
            kind = TCP6ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, host, port, timeout=CONNECT_SECONDS)
        return endpoint

    # Opening and closing.

    def start(self) -> Deferred[None]:
        """Open the ports, and find out where the server is.

        :returns: fires when clients may come; fails with ListenFailed, ConfigError if the server
            is this relay, or ConnectionFailed if nobody knows the server's name.
        """
        host = self.target.host
        if isIPAddress(host) or isIPv6Address(host):
            found: Deferred[Any] = succeed([(None, None, None, "", (host, self.target.port))])
        else:
            found = deferToThreadPool(
                self._reactor,
                self._reactor.getThreadPool(),
                socket.getaddrinfo,
                host,
                self.target.port,
                type=socket.SOCK_STREAM,
            )
        found.addCallbacks(self._found, self._not_found)
        return found

    def _not_found(self, failure: Failure) -> None:
        failure.trap(OSError, UnicodeError)
        raise ConnectionFailed(f"there is no host of the name {self.target.host!r}")

    def _found(self, addresses: list[tuple[Any, ...]]) -> None:
        for attempt in range(FREE_PORT_TRIES):
            try:
                self._open()
                break
            except ListenFailed:
                self._close_ports()
                # With a port of our own choosing, another one may be free for all sockets.
                if self._place.port or attempt == FREE_PORT_TRIES - 1:
                    raise
        if any(self._is_us(entry[4][0]) for entry in addresses):
            self._close_ports()
            raise ConfigError("target", f"{self.target} is this proxy itself")
        # Until a connection shows which of its addresses answers.
        self._clients.server = self._udp_address(addresses[0][4][0])
        self._clients.start()

    def _open(self) -> None:
        port = self._place.port
        interfaces = (self._place.interface,) if self._place.interface else ("127.0.0.1", "::1")
        for interface in interfaces:
            try:
                tcp = self._reactor.listenTCP(
                    port, self._connections, backlog=BACKLOG, interface=interface
                )
            except (CannotListenError, OSError) as error:
                self._cannot("TCP", interface, port, error)
                continue
            self._tcp.append(tcp)
            port = tcp.getHost().port
            number = self._udp_port or port
            udp = Socket(self._clients.received)
            try:
                udp.open(self._reactor, number, interface, LISTENING_BUFFER_BYTES)
            except (CannotListenError, OSError) as error:
                self._cannot("UDP", interface, number, error)
                continue
            self._udp.append(udp)
        if not self._tcp or not self._udp:
            raise ListenFailed(f"no address to listen on at {self._place!r}")

    def _cannot(self, kind: str, interface: str, port: int, error: Exception) -> None:
        """A port cannot be opened: without IPv6 that is normal, otherwise it is the end."""
        cause: Any = getattr(error, "socketError", error)
        if interface == "::1" and not self._place.interface and cause.errno in _NO_IPV6:
            return
        reason = getattr(cause, "strerror", None) or str(cause)
        raise ListenFailed(f"cannot listen on {kind} {join_address(interface, port)}: {reason}")

    def _is_us(self, host: str) -> bool:
        everywhere = self._place.interface and unmapped(self._place.interface).is_unspecified
        return any(
            port.getHost().port == self.target.port
            and (
                unmapped(port.getHost().host) == unmapped(host)
                or bool(everywhere and is_loopback(host))
            )
            for port in self._tcp
        )

    def stop(self) -> Deferred[Any]:
        """Close everything.

        :returns: fires when the ports are closed.
        """
        self._connections.is_closed = True
        self._connections.cut()
        self._clients.close()
        self._delays.stop()
        return self._close_ports()

    def _close_ports(self) -> Deferred[Any]:
        tcp, self._tcp = self._tcp, []
        udp, self._udp = self._udp, []
        closing = [maybeDeferred(port.stopListening) for port in tcp]
        return DeferredList([*closing, *(port.close() for port in udp)])

    @property
    def port(self) -> int:
        """The TCP port, which is that of UDP too unless another one was asked for."""
        return int(self._tcp[0].getHost().port) if self._tcp else 0

    @property
    def udp_port(self) -> int:
        """The UDP port."""
        return self._udp[0].port if self._udp else 0

    @property
    def host(self) -> str:
        """The address that it listens on, or the first of them."""
        return str(self._tcp[0].getHost().host) if self._tcp else ""

    # The server's address.

    def _reached(self, peer: Any) -> None:
        """A connection to the server stands: datagrams go to the same address."""
        self._clients.server = self._udp_address(
            str(peer.host), getattr(peer, "flowInfo", 0), getattr(peer, "scopeID", 0)
        )

    def _udp_address(self, host: str, flow: int = 0, scope: int = 0) -> tuple[Any, ...]:
        port = self._udp_port or self.target.port
        return (host, port, flow, scope) if ":" in host else (host, port)

    # What the network does.

    @property
    def profile(self) -> Profile:
        """What every link does."""
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile
        for impairment in self._living():
            impairment.profile = profile

    def _impairments(self, name: str) -> tuple[Impairment, Impairment]:
        """Both directions of a new link: what they draw depends on the seed and the name."""
        up = Impairment(self._profile, f"{self._seed}/{name}/up")
        down = Impairment(self._profile, f"{self._seed}/{name}/down")
        up.blocked = down.blocked = self._is_blocked
        return up, down

    def _living(self) -> list[Impairment]:
        clients = self._clients.table.values()
        links = self._connections.links
        return [
            *(each for client in clients for each in (client.up, client.down)),
            *(end.impairment for link in links for end in (link.client, link.server)),
        ]

    def cut_tcp(self) -> None:
        """Reset every TCP connection, at both ends; new ones are taken."""
        self.cuts += 1
        self._connections.cut()

    def block_udp(self, on: bool = True) -> None:
        """Let no datagram pass, or let them pass again."""
        self._is_blocked = on
        for impairment in self._living():
            impairment.blocked = on

    def change_address(self) -> None:
        """Have every client come from elsewhere: as when a phone leaves the house.

        Datagrams go on, from other ports. Nothing more passes through the TCP connections that
        stand, and neither end is told.
        """
        self.moves += 1
        self._clients.change_address()
        self._connections.black_out()

    # Counting.

    def _retired(self, up: Impairment, down: Impairment) -> None:
        for past, impairment in zip(self._past, (up, down), strict=True):
            for name in COUNTERS:
                past[name] += getattr(impairment, name)

    def counts(self) -> dict[str, int]:
        """What has passed and what has not: datagrams each way by their fate, and the rest."""
        up, down = (dict(past) for past in self._past)
        for client in self._clients.table.values():
            for counts, impairment in ((up, client.up), (down, client.down)):
                for name in COUNTERS:
                    counts[name] += getattr(impairment, name)
        found = {f"up_{name}": count for name, count in up.items()}
        found |= {f"down_{name}": count for name, count in down.items()}
        clients, connections = self._clients, self._connections
        return found | {
            "udp_clients": clients.accepted,
            "udp_clients_now": len(clients.table),
            "udp_strange": clients.strange,
            "udp_overrun": clients.overrun,
            "udp_turned_away": clients.turned_away,
            "tcp_connections": connections.accepted,
            "tcp_connections_now": len(connections.links),
            "tcp_bytes_up": connections.bytes_up,
            "tcp_bytes_down": connections.bytes_down,
            "tcp_unanswered": connections.unanswered,
            "tcp_turned_away": connections.turned_away,
            "cuts": self.cuts,
            "moves": self.moves,
        }

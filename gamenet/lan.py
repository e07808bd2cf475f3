"""This machine's ways into the local network, and the sockets for them.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

import socket
import sys
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import DatagramProtocol

from gamenet import ports
from gamenet.core.beacon import GROUP, GROUP_IPV6

if TYPE_CHECKING:
    from gamenet.core.path import Address

DATAGRAMS_PER_TURN: Final = 64
BUFFER_BYTES: Final = 65_536
"""Asked of the kernel for each direction."""
MOST_INTERFACES: Final = 64
SO_REUSEPORT: int | None = (
    None if sys.platform == "linux" else getattr(socket, "SO_REUSEPORT", None)
)
"""BSD and macOS want it for a port that several programs hear; Linux and Windows do without."""
EVERYWHERE: Final = "0.0.0.0"
EVERYWHERE_IPV6: Final = "::"
_NUMBER: Final = Struct("@I")


class Interface(NamedTuple):
    """One way into a network: an address, or, for IPv6, the number of an interface."""

    address: str
    """IPv4; "" where it is one of IPv6."""
    number: int
    """What the system counts the interface as; 0 for the default one."""
    name: str

    @property
    def is_ipv6(self) -> bool:
        """Whether it stands for the IPv6 of an interface."""
        return not self.address


DEFAULT: Final = (Interface(EVERYWHERE, 0, ""), Interface("127.0.0.1", 0, ""), Interface("", 0, ""))
"""Where the system does not say what there is: wherever it sends by itself, and this machine."""


def interfaces() -> list[Interface]:
    """What there is at the moment, in the system's order; at most 64 of them."""
    import ifaddr  # which brings ctypes along

    try:
        adapters = list(ifaddr.get_adapters())
    except OSError:
        return list(DEFAULT)
    found = []
    for adapter in adapters:
        number = adapter.index or 0
        found += [Interface(str(ip.ip), number, adapter.name) for ip in adapter.ips if ip.is_IPv4]
        if number and any(ip.is_IPv6 for ip in adapter.ips):
            found.append(Interface("", number, adapter.name))
    return found[:MOST_INTERFACES] or list(DEFAULT)


class LanProtocol(DatagramProtocol):
    """Datagrams read a bounded number at a time; none of them can raise, or close the port."""

    noisy = False
    transport: Any

    def begin_turn(self) -> None:
        """A batch begins."""

    def end_turn(self) -> None:
        """The batch is over."""

    def now(self) -> float:
        """Asked only where there is a time until which to read on."""
        return 0.0

    def read_until(self) -> float:
        """Never beyond a turn's worth."""
        return 0.0

    def rest_seconds(self) -> float:
        """No rest."""
        return 0.0

    def receive_failed(self, error: OSError) -> None:
        """The kernel reported an error on the socket: it stays open, and nothing was lost."""

    def defect(self) -> None:
        """A datagram met a defect of ours."""

    def datagrams_received(self, batch: list[tuple[bytes, Address]]) -> None:
        """Datagrams came, each with where it comes from."""
        for data, address in batch:
            self.datagramReceived(data, address)

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """A datagram came."""

    def send(self, data: bytes, address: Address) -> bool:
        """Write one datagram.

        :returns: False if the system has something against it.
        """
        transport = self.transport
        if transport is None or not transport.connected:
            return False
        try:
            transport.socket.sendto(data, address)
        except (OSError, TypeError):  # the latter where the address is of the other family
            return False
        return True


def open_port(
    reactor: Any, protocol: LanProtocol, host: str, port: int = 0, *, shared: bool = False
) -> Any:
    """Open a UDP port that hears and sends broadcasts and multicasts.

    :param shared: with other programs that have it shared as well.
    :returns: the port, for ``stopListening``.
    :raises OSError: if it cannot be opened.
    :raises twisted.internet.error.CannotListenError: likewise.
    """
    if not IReactorFDSet.providedBy(reactor):
        # A simulated one, or IOCP, which share no ports: one server of a machine is found.
        return reactor.listenUDP(port, protocol, interface=host)
    opened = _bound(host, port, shared)
    return ports.adopt(
        reactor, opened, protocol, budget=DATAGRAMS_PER_TURN, buffer_bytes=BUFFER_BYTES
    )


def _bound(host: str, port: int, shared: bool) -> socket.socket:
    is_ipv6 = ":" in host
    made = socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        if shared:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if SO_REUSEPORT is not None:
                made.setsockopt(socket.SOL_SOCKET, SO_REUSEPORT, 1)
        if is_ipv6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        else:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            if host != EVERYWHERE:
                made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(host))
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return made


def join_group(port: Any, interface: Interface) -> bool:
    """Have a port hear what is sent to the group of servers on an interface.

    :returns: False if that interface carries no such thing.
    """
    opened = getattr(port, "socket", None)
    if not isinstance(opened, socket.socket):
        return True  # simulated: all of them hear everything
    try:
        if interface.is_ipv6:
            group = socket.inet_pton(socket.AF_INET6, GROUP_IPV6) + _NUMBER.pack(interface.number)
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        else:
            group = socket.inet_aton(GROUP) + socket.inet_aton(interface.address)
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
    except OSError:
        return False
    return True

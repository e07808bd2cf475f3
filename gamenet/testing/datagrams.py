"""UDP ports that are not there.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort, IUDPTransport
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.testing.network import Address
    from gamenet.testing.reactor import SimulatedReactor


class SimulatedSocket:
    """What writes a port's datagrams, with the signature of a socket's ``sendto``."""

    def __init__(self, port: SimulatedPort) -> None:
        self._port = port
        self._parts = 4 if ":" in port.where[0] else 2
        self._machine = port.machine
        self._send = port.machine.network.send_datagram

    def sendto(self, data: bytes, address: tuple[Any, ...]) -> int:
        """Send; as with a real one, an address of the wrong kind is an error."""
        port = self._port
        if not port.connected:
            raise OSError(errno.EBADF, "Bad file descriptor")
        if len(address) != self._parts:
            raise TypeError(f"an address has {self._parts} parts here, not {address!r}")
        self._send(self._machine, port.where, address[:2], data)
        return len(data)


@implementer(IListeningPort, IUDPTransport)
class SimulatedPort:
    """An open UDP port, and the transport of its protocol.

    :param where: host and port number.
    :param longest: bytes of a datagram that fit the buffer; the rest is cut off, as a kernel does.
    """

    socket_type: type[SimulatedSocket] = SimulatedSocket

    def __init__(
        self,
        machine: SimulatedReactor,
        where: Address,
        protocol: Any,
        longest: int,
        *,
        everywhere: bool = False,
    ) -> None:
        self.machine = machine
        self.where = where
        self.protocol = protocol
        self.longest = longest
        self.everywhere = everywhere
        """Open at whatever address the machine has."""
        self.socket = self.socket_type(self)
        self.connected = 1
        self._target: Address | None = None
        self._closing: Deferred[None] | None = None
        self._begin: Callable[[], object] | None = getattr(protocol, "begin_turn", None)
        self._end: Callable[[], object] | None = getattr(protocol, "end_turn", None)
        machine.network.udp[where] = self

    def __repr__(self) -> str:
        return f"<UDP port {self.where[0]}:{self.where[1]} of {type(self.protocol).__name__}>"

    def startListening(self) -> None:
        """It listens already."""

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it is open."""
        kind: Any = IPv6Address if ":" in self.where[0] else IPv4Address
        address: IPv4Address | IPv6Address = kind("UDP", *self.where)
        return address

    def receive(self, batch: list[tuple[bytes, Address]]) -> None:
        """Datagrams came at one time; where the protocol has turns, they are one turn."""
        if self._begin is not None and self._end is not None and len(batch) > 1:
            self._begin()
            try:
                self._hand_over(batch)
            finally:
                self._end()
        else:
            self._hand_over(batch)

    def _hand_over(self, batch: list[tuple[bytes, Address]]) -> None:
        received, longest = self.protocol.datagramReceived, self.longest
        for data, source in batch:
            if self._target is not None and source != self._target:
                continue
            address: tuple[Any, ...] = (*source, 0, 0) if ":" in source[0] else source
            received(data if len(data) <= longest else data[:longest], address)

    def write(self, packet: bytes, addr: tuple[Any, ...] | None = None) -> None:
        """Send a datagram, to the address connected to if there is no other."""
        target = addr or self._target
        if target is None:
            raise ValueError("where to?")
        host, port = target[:2]
        self.socket.sendto(packet, (host, port, 0, 0) if ":" in self.where[0] else (host, port))

    def connect(self, host: str, port: int) -> None:
        """From here on there is one other end."""
        self._target = (host, port)

    def setBroadcastAllowed(self, enabled: bool) -> None:
        """It always is."""

    def getBroadcastAllowed(self) -> bool:
        """It always is."""
        return True

    def stopListening(self) -> Deferred[None]:
        """Close it.

        :returns: fires once the protocol was told.
        """
        network = self.machine.network
        if self.connected:
            self.connected = 0
            if network.udp.get(self.where) is self:
                del network.udp[self.where]
            self._closing = Deferred()
            network.timeline.at(network.timeline.now, self._closed, self._closing)
        return self._closing or succeed(None)

    loseConnection = stopListening

    def _closed(self, done: Deferred[None]) -> None:
        self.protocol.doStop()
        self._closing = None
        done.callback(None)

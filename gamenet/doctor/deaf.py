"""A network that lets no datagram through, on this machine alone.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address

if TYPE_CHECKING:
    from gamenet.core.path import Address


class Deaf:
    """A reactor of which every UDP port swallows what is sent, and hears nothing."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)  # it must not pass for all that the reactor is
        return getattr(self._reactor, name)

    def listenUDP(self, port: int, protocol: Any, **settings: Any) -> Swallower:
        """As the reactor's."""
        return Swallower(protocol)


class Swallower:
    """The UDP port of such a network."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self.swallowed = 0
        """Datagrams that did not get out."""
        protocol.makeConnection(self)

    def write(self, data: bytes, address: Address) -> None:
        """Swallow a datagram."""
        self.swallowed += 1

    def getHost(self) -> IPv4Address:
        """Nowhere."""
        return IPv4Address("UDP", "0.0.0.0", 0)

    def stopListening(self) -> None:
        """Close it."""
        self._protocol.doStop()

"""A reactor of Twisted's for each simulated machine.

Layer 4. Runs on: the thread that lets time pass; ``callFromThread`` from any.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IReactorFromThreads,
    IReactorTCP,
    IReactorTime,
    IReactorUDP,
)
from zope.interface import implementer

from gamenet.testing.connecting import SimulatedConnector, SimulatedListener
from gamenet.testing.datagrams import SimulatedPort
from gamenet.testing.network import SimulatedNetwork

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.impairment import Impairment
    from gamenet.testing.network import Address
    from gamenet.testing.timeline import Timer
    from gamenet.testing.trace import Trace

LOOPBACK: Final = ("127.0.0.1", "::1")
"""Of all machines at once: there is one such port of a number on a network."""


@implementer(IReactorTime, IReactorTCP, IReactorUDP, IReactorFromThreads)
class SimulatedReactor:
    """A machine on a simulated network, and the reactor of the one program that runs there.

    Timers, TCP and UDP as Twisted's interfaces have them, in virtual time: nothing happens unless
    somebody lets time pass, by :meth:`run` here or ``run`` of the network.

    :param network: None makes one, with this as its only machine.
    :param address: "" takes a free one.
    :param linked: False for a server: its own link is perfect, so that what is between it and a
        client are the conditions of the client's.
    """

    port_type: type[SimulatedPort] = SimulatedPort
    listener_type: type[SimulatedListener] = SimulatedListener

    def __init__(
        self, network: SimulatedNetwork | None = None, address: str = "", *, linked: bool = True
    ) -> None:
        self.network = network if network is not None else SimulatedNetwork()
        self.running = True
        self.ways: tuple[Impairment, ...] = ()
        """What the machine's link does: to what leaves, and to what comes. Empty for a server."""
        self.trace: Trace
        self.address = self.network.add(self, address, linked=linked)
        """Where it is; it can change."""
        self._timeline = self.network.timeline
        self.seconds: Callable[[], float] = self._timeline.seconds
        """The network's clock."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {self.address}>"

    # Time.

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Timer:
        """A timer on the network's clock."""
        return self._timeline.timer(self, delay, callable, args, kw)

    def getDelayedCalls(self) -> list[Timer]:
        """This machine's timers that are still to come, in order of time."""
        return [timer for timer in self._timeline.timers if timer.owner is self]

    def callFromThread(self, callable: Callable[..., Any], *args: Any, **kw: Any) -> None:
        """Have it called at this time, once time passes. From any thread."""
        timeline = self._timeline
        if kw:
            timeline.at(timeline.now, lambda: callable(*args, **kw))
        else:
            timeline.at(timeline.now, callable, *args)

    def run(self, seconds: float) -> None:
        """Let time pass on the whole network."""
        self.network.run(seconds)

    # Ports.

    def free_port(self) -> int:
        """A port number that was never used."""
        return self.network.free_port()

    def address_towards(self, host: str) -> str:
        """Where a connection to *host* comes from."""
        return host if host in LOOPBACK else self.address

    def _place(self, interface: str, port: int, open_ports: dict[Address, Any]) -> Address:
        """Where something is to be open.

        :raises CannotListenError: if it is taken, or no interface of this machine.
        """
        host = self._host_of(interface)
        port = port or self.free_port()
        number, text = 0, ""
        if not host:
            number, text = errno.EADDRNOTAVAIL, "Cannot assign requested address"
        elif (host, port) in open_ports:
            number, text = errno.EADDRINUSE, "Address already in use"
        if number:
            raise CannotListenError(interface, port, OSError(number, text))
        return host, port

    def _host_of(self, interface: str) -> str:
        """The address that an interface stands for; "" if there is no such interface."""
        everywhere = "::" if ":" in self.address else "0.0.0.0"
        if interface in ("", everywhere):
            return self.address
        return interface if interface in (self.address, *LOOPBACK) else ""

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> SimulatedListener:
        """Take connections.

        :raises CannotListenError: if that cannot be.
        """
        where = self._place(interface, port, self.network.tcp)
        return self.listener_type(
            self, where, factory, backlog, everywhere=interface in ("", "0.0.0.0", "::")
        )

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> SimulatedConnector:
        """Begin to connect.

        :param host: an IP address: there are no names here.
        """
        local = None
        if bindAddress is not None:
            local = (bindAddress[0] or self.address, bindAddress[1] or self.free_port())
        connector = SimulatedConnector(self, (host, port), factory, timeout, local)
        connector.connect()
        return connector

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> SimulatedPort:
        """Open a port for datagrams.

        :raises CannotListenError: if that cannot be.
        """
        where = self._place(interface, port, self.network.udp)
        opened = self.port_type(
            self,
            where,
            protocol,
            maxPacketSize,
            everywhere=interface in ("", "0.0.0.0", "::"),
        )
        protocol.makeConnection(opened)
        return opened

"""How simulated TCP connections come about: ports that listen, and attempts to connect.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

import errno
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import (
    ConnectionRefusedError,
    NotConnectingError,
    TimeoutError,
    UserError,
)
from twisted.internet.interfaces import IConnector, IListeningPort
from twisted.python.failure import Failure
from zope.interface import implementer

from gamenet.testing.streams import OPEN, SimulatedTransport, tcp_address

if TYPE_CHECKING:
    from twisted.internet.address import IPv4Address, IPv6Address

    from gamenet.testing.network import Address, SimulatedNetwork
    from gamenet.testing.reactor import SimulatedReactor
    from gamenet.testing.timeline import Timer


@implementer(IListeningPort)
class SimulatedListener:
    """A listening TCP port.

    :param where: host and port number.
    """

    def __init__(
        self,
        machine: SimulatedReactor,
        where: Address,
        factory: Any,
        backlog: int,
        *,
        everywhere: bool = False,
    ) -> None:
        self.machine = machine
        self.where = where
        self.factory = factory
        self.backlog = backlog
        self.everywhere = everywhere
        """Open at whatever address the machine has."""
        machine.network.tcp[where] = self
        factory.doStart()

    def __repr__(self) -> str:
        return f"<TCP port {self.where[0]}:{self.where[1]} of {type(self.factory).__name__}>"

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens."""
        return tcp_address(*self.where)

    def startListening(self) -> None:
        """It listens already."""

    def stopListening(self) -> Deferred[None]:
        """Take no more connections."""
        network = self.machine.network
        if network.tcp.get(self.where) is self:
            del network.tcp[self.where]
            self.factory.doStop()
        return succeed(None)

    loseConnection = stopListening

    def accept(self, source: Address) -> Any:
        """The protocol of a connection that stands; None if there is to be none."""
        if self.machine.network.tcp.get(self.where) is not self:
            return None
        return self.factory.buildProtocol(tcp_address(*source))


@implementer(IConnector)
class SimulatedConnector:
    """An attempt to connect, and the connection that comes of it."""

    def __init__(
        self, machine: SimulatedReactor, target: Address, factory: Any, seconds: float, local: Any
    ) -> None:
        self._machine = machine
        self._network: SimulatedNetwork = machine.network
        self._target = target
        self._factory = factory
        self._seconds = seconds
        self._local = local
        self._transport: SimulatedTransport | None = None
        self._timer: Timer | None = None
        self._attempt = 0
        self._is_started = False
        self.state = "disconnected"

    def __repr__(self) -> str:
        return f"<{self.state}: {self._machine.address} to {self._target[0]}:{self._target[1]}>"

    def getDestination(self) -> IPv4Address | IPv6Address:
        """Where to."""
        return tcp_address(*self._target)

    def connect(self) -> None:
        """Try."""
        if self.state != "disconnected":
            raise RuntimeError("this connector has a connection, or tries for one")
        self.state = "connecting"
        self._attempt += 1
        if not self._is_started:
            self._is_started = True
            self._factory.doStart()
        self._timer = self._machine.callLater(self._seconds, self._failed, TimeoutError())
        self._factory.startedConnecting(self)
        if self.state == "connecting":
            self._network.knock(self._machine, self._target, self._answered, self._attempt)

    def stopConnecting(self) -> None:
        """Never mind."""
        if self.state != "connecting":
            raise NotConnectingError("this connector does not try to connect")
        self._failed(UserError())

    def disconnect(self) -> None:
        """Close the connection, or give the attempt up."""
        if self.state == "connecting":
            self.stopConnecting()
        elif self._transport is not None:
            self._transport.loseConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _failed(self, reason: Exception) -> None:
        self.state = "disconnected"
        self._stop_timer()
        self._factory.clientConnectionFailed(self, Failure(reason))
        self._check_over()

    def _answered(self, listener: SimulatedListener | None, attempt: int) -> None:
        """The other machine has said whether somebody listens."""
        if self.state != "connecting" or attempt != self._attempt:
            return
        if listener is None:
            self._failed(
                ConnectionRefusedError(errno.ECONNREFUSED, "nobody listens at this address")
            )
            return
        self._stop_timer()
        self.state = "connected"
        machine = self._machine
        local = self._local or (machine.address_towards(self._target[0]), machine.free_port())
        protocol = self._factory.buildProtocol(tcp_address(*self._target))
        kind = self._network.transport_type
        ours = kind(machine, local, self._target, protocol)
        theirs = kind(listener.machine, self._target, local, None)
        theirs.accept = partial(listener.accept, local)
        ours.meet(theirs)
        ours.on_lost = self._lost
        self._transport = ours
        ours._send(OPEN)
        if protocol is None:
            ours.loseConnection()
        else:
            protocol.makeConnection(ours)

    def _lost(self, failure: Failure) -> None:
        self._transport = None
        self.state = "disconnected"
        self._factory.clientConnectionLost(self, failure)
        self._check_over()

    def _check_over(self) -> None:
        """The factory is done with, unless it has begun to try again."""
        if self.state == "disconnected" and self._is_started:
            self._is_started = False
            self._factory.doStop()

"""Protocols that do only what a test says, and keep what they hear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from zope.interface import implementer

from gamenet.testing import SimulatedNetwork, SimulatedReactor

if TYPE_CHECKING:
    from twisted.python.failure import Failure

PORT = 7777


class Talker(Protocol):
    """One end of a connection."""

    transport: Any

    def __init__(self) -> None:
        self.heard = b""
        self.when: list[float] = []
        """When each piece came."""
        self.ended: Failure | None = None

    def dataReceived(self, data: bytes) -> None:
        self.heard += data
        self.when.append(self.transport.network.seconds())

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        self.ended = reason

    def why(self) -> str:
        """How it ended; "" if it has not."""
        return "" if self.ended is None else type(self.ended.value).__name__


@implementer(IHalfCloseableProtocol)
class HalfTalker(Talker):
    """One that can hear after it has said everything."""

    peer_is_done = False

    def readConnectionLost(self) -> None:
        self.peer_is_done = True

    def writeConnectionLost(self) -> None:
        """Nothing to do."""


class Talkers(Factory):
    """Makes them."""

    noisy = False

    def __init__(self, kind: type[Talker] = Talker) -> None:
        self.kind = kind
        self.made: list[Talker] = []
        self.refuses = False
        self.starts = 0
        self.stops = 0

    def doStart(self) -> None:
        self.starts += 1

    def doStop(self) -> None:
        self.stops += 1

    def buildProtocol(self, addr: object) -> Any:
        if self.refuses:
            return None
        self.made.append(self.kind())
        return self.made[-1]


class Listener(DatagramProtocol):
    """A UDP port that keeps what it hears."""

    noisy = False
    transport: Any

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.sources: list[Any] = []
        self.when: list[float] = []
        self.stopped = False

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self.heard.append(datagram)
        self.sources.append(addr)
        self.when.append(self.transport.machine.seconds())

    def stopProtocol(self) -> None:
        self.stopped = True


class Place:
    """A server and a client, each on a machine."""

    def __init__(self, seed: int = 1, kind: type[Talker] = Talker, factory: Any = None) -> None:
        self.network = SimulatedNetwork(seed)
        self.server = SimulatedReactor(self.network, "10.0.0.1", linked=False)
        self.client = SimulatedReactor(self.network)
        self.factory = factory or Talkers(kind)
        self.listening = self.server.listenTCP(PORT, self.factory)
        self.start = self.network.seconds()

    @property
    def elapsed(self) -> float:
        return round(self.network.seconds() - self.start, 6)

    def meet(self, kind: type[Talker] = Talker) -> tuple[Any, Any]:
        """Both ends of a new connection, the client's first."""
        from twisted.internet.endpoints import TCP4ClientEndpoint

        ours = Talkers(kind)
        TCP4ClientEndpoint(self.client, "10.0.0.1", PORT).connect(ours)
        self.network.run(2)
        return ours.made[0], self.factory.made[-1]

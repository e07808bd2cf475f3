"""TCP connections that are not there.

Layer 4. Runs on: the thread that lets time pass.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gamenet.testing.network import Address, SimulatedNetwork
    from gamenet.testing.reactor import SimulatedReactor

PILE_BYTES: Final = 65_536
"""Unread bytes at which Twisted tells a producer to pause."""
HEADER_BYTES: Final = 60
"""Of a packet that carries none of the program's bytes."""
OPEN, DATA, FIN, RST = "open", "data", "fin", "rst"


def tcp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """An address as Twisted gives it."""
    kind: Any = IPv6Address if ":" in host else IPv4Address
    address: IPv4Address | IPv6Address = kind("TCP", host, port)
    return address


@implementer(ITCPTransport)
class SimulatedTransport:
    """One end of a TCP connection, with the manners of Twisted's and of the kernel's.

    A closed socket that is sent more, or closed with bytes unread, resets the connection, and what
    the other side has not read by then is gone.
    """

    def __init__(
        self, machine: SimulatedReactor, local: Address, remote: Address, protocol: Any
    ) -> None:
        self.machine = machine
        self.network: SimulatedNetwork = machine.network
        self.local = local
        self.remote = remote
        self.protocol = protocol
        self.peer: SimulatedTransport
        self.connected = True
        self.reading = True
        """False while the program does not read what has come."""
        self.is_dead = False
        """Nothing arrives any more, in either direction, and nobody says so."""
        self.producer: Any = None
        self.chunk = PILE_BYTES
        """Most bytes handed over at once."""
        self.unread_bytes = 0
        """Bytes that have come and are not read."""
        self.accept: Callable[[], Any] | None = None
        """Makes the protocol once it is open; None if nobody listens any more."""
        self.on_lost: Callable[[Failure], None] | None = None
        self._unsent = 0
        self._is_piled = False
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._said_fin = False
        self._ending = False
        self.network.connections.append(self)

    def __repr__(self) -> str:
        where = f"{self.local[0]}:{self.local[1]} to {self.remote[0]}:{self.remote[1]}"
        return f"<connection from {where}>"

    def meet(self, peer: SimulatedTransport) -> None:
        """These two are the ends of one connection."""
        self.peer, peer.peer = peer, self

    # What a program does.

    def write(self, data: bytes) -> None:
        """Send *data*, unless this half is closed."""
        if not isinstance(data, bytes):
            raise TypeError(f"bytes go over a connection, not {type(data).__name__}")
        if self.connected and not self._said_fin and data:
            self._send(DATA, data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Send them all."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        """Close, once everything is written."""
        if self.connected and not self._ending:
            self._ending = True
            self._soon(self._close, ConnectionDone())

    def loseWriteConnection(self) -> None:
        """Close our half."""
        if self.connected and not self._said_fin:
            self._said_fin = True
            self._send(FIN)

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self.connected:
            self._ending = True
            self._soon(self._reset)

    @property
    def disconnecting(self) -> bool:
        """Whether the program has closed it."""
        return self._ending

    def pauseProducing(self) -> None:
        """Leave what comes unread."""
        self.reading = False

    def resumeProducing(self) -> None:
        """Read again, but not before the caller is through."""
        if self.connected:
            self.reading = True
            self._soon(self._read_on)

    def stopProducing(self) -> None:
        """Close."""
        self.loseConnection()

    def _read_on(self) -> None:
        self._read()
        self.peer._look_at_pile()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell *producer* when what it writes piles up."""
        if not streaming:
            raise NotImplementedError("a simulated connection takes producers that push")
        if self.producer is not None:
            raise RuntimeError(f"{self.producer!r} produces for this connection already")
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self.producer = None

    def _look_at_pile(self) -> None:
        """Pause whoever writes while the peer does not read, and resume it when it does."""
        if self.producer is not None and self.connected:
            unread = self.peer.unread_bytes
            if not self._is_piled and unread + self._unsent > PILE_BYTES:
                self._is_piled = True
                self.producer.pauseProducing()
            elif self._is_piled and unread == 0 and self._unsent <= PILE_BYTES // 2:
                self._is_piled = False
                self.producer.resumeProducing()

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our address."""
        return tcp_address(*self.local)

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The other end's address."""
        return tcp_address(*self.remote)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing waits for more of it here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """The kernel asks nobody here."""

    def getTcpNoDelay(self) -> bool:
        """Nothing waits for more of it here."""
        return True

    def getTcpKeepAlive(self) -> bool:
        """The kernel asks nobody here."""
        return False

    # What the kernel does.

    def _soon(self, call: Callable[..., object], *args: Any) -> None:
        timeline = self.network.timeline
        timeline.at(timeline.now, call, *args)

    def _send(self, kind: str, data: bytes = b"") -> None:
        """What happens to our half arrives at the other end."""
        if self.is_dead or self.network.send_stream(self, kind, data):
            self._unsent += len(data)
            self._look_at_pile()

    def sent(self, size: int) -> None:
        """So many bytes have left a link that is slow."""
        self._unsent -= size
        self._look_at_pile()

    def arrive(self, kind: str, data: bytes = b"") -> None:
        """Something came from the other end."""
        if self.is_dead:
            return
        if not self.connected:
            if kind in (DATA, OPEN):
                self._send(RST)
            return
        if kind == DATA:
            self.unread_bytes += len(data)
        elif kind == RST:
            self._lose(ConnectionLost())
            return
        elif kind == OPEN:
            self._open()
            return
        self._inbox.append((kind, data))
        self._read()
        self.peer._look_at_pile()

    def _open(self) -> None:
        """The other end knows that the connection stands: here the program is told as well."""
        accept, self.accept = self.accept, None
        self.protocol = accept() if accept is not None else None
        if self.protocol is None:
            self._close(ConnectionDone())
        else:
            self.protocol.makeConnection(self)

    def _read(self) -> None:
        while self._inbox and self.reading and self.connected:
            kind, data = self._inbox.popleft()
            if kind == FIN:
                if self._said_fin or not IHalfCloseableProtocol.providedBy(self.protocol):
                    self._close(ConnectionDone())
                else:
                    self.protocol.readConnectionLost()
                return
            self.unread_bytes -= len(data)
            self._hand_over(data)

    def _hand_over(self, data: bytes) -> None:
        for start in range(0, len(data), self.chunk):
            if not self.connected:
                return
            self.protocol.dataReceived(data[start : start + self.chunk])

    def _close(self, reason: Exception) -> None:
        if not self.connected:
            return
        if self.unread_bytes:
            self._send(RST)
        elif not self._said_fin:
            self._said_fin = True
            self._send(FIN)
        self._lose(reason)

    def _reset(self) -> None:
        if self.connected:
            self._send(RST)
            self._lose(ConnectionAborted())

    def cut(self) -> None:
        """The connection breaks; this end learns it at once, and what was under way is lost."""
        self.is_dead = True
        if self.connected:
            self._lose(ConnectionLost())

    def _lose(self, reason: Exception) -> None:
        self.connected = False
        self._inbox.clear()
        self.unread_bytes = 0
        self.network.connections.remove(self)
        failure = Failure(reason)
        if self.protocol is not None:
            self.protocol.connectionLost(failure)
        if self.on_lost is not None:
            self.on_lost(failure)

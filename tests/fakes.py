"""
A network that is not there: TCP connections and UDP ports in memory, in virtual time.

Machines have addresses and share one clock. What they send arrives after the network's delay, in
order, unless a test's ``filter`` does something to it. Nothing here waits, and nothing happens
unless a test says ``settle`` or ``run``.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import (
    CannotListenError,
    ConnectionAborted,
    ConnectionDone,
    ConnectionLost,
)
from twisted.internet.interfaces import IHalfCloseableProtocol, ITCPTransport
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SERVER_ADDRESS = "10.0.0.1"
PORT = 7777
FIRST_FREE_PORT = 40_000
STARTS_AT = 1_000.0
"""A monotonic clock is never at zero when a program starts."""
MAX_STEPS = 1_000_000
"""Timers of one ``run``; more of them means that something reschedules itself for ever."""


class Datagram(NamedTuple):
    """One datagram on its way."""

    data: bytes
    source: tuple[str, int]
    target: tuple[str, int]


class Network:
    """Machines, what is between them, and the time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = STARTS_AT
        self.delay = 0.0
        """Seconds that everything takes to arrive."""
        self.filter: Callable[[Datagram], Iterable[Datagram]] = lambda datagram: (datagram,)
        """What becomes of each datagram: nothing, itself, several, others."""
        self.datagrams: list[Datagram] = []
        """Every datagram ever sent, before ``filter``, as it left the sender's router."""
        self.send_error: OSError | None = None
        """Raised by every ``sendto`` while set."""
        self.udp: dict[tuple[str, int], FakeDatagramPort] = {}
        self.tcp: dict[tuple[str, int], FakeListener] = {}
        self.translations: dict[tuple[str, int], tuple[str, int]] = {}
        """What routers know: the public address of a datagram's sender, to the private one."""
        self.connections: list[FakeTransport] = []
        """Every end of every connection that is not lost."""
        self._next_port = FIRST_FREE_PORT

    # Time.

    def seconds(self) -> float:
        """What time it is."""
        now: float = self.clock.seconds()
        return now

    def settle(self) -> None:
        """Let everything happen that needs no time to pass."""
        self.run(0.0)

    def run(self, seconds: float) -> None:
        """Let time pass, timer by timer."""
        clock = self.clock
        end = clock.seconds() + seconds
        for _ in range(MAX_STEPS):
            calls = clock.getDelayedCalls()
            due = min((call.getTime() for call in calls), default=end + 1)
            if due > end:
                break
            # Set and not added, so that rounding cannot stop just before the timer for ever.
            clock.rightNow = max(due, clock.rightNow)
            clock.advance(0)
        else:
            raise AssertionError("timers do not come to an end")
        clock.rightNow = end

    @property
    def timers(self) -> list[Any]:
        """Everything that would still happen."""
        calls: list[Any] = self.clock.getDelayedCalls()
        return calls

    def later(self, call: Callable[..., Any], *args: Any) -> None:
        """Have something arrive."""
        self.clock.callLater(self.delay, call, *args)

    # Addresses.

    def free_port(self) -> int:
        """A port number that was never used."""
        self._next_port += 1
        return self._next_port

    # UDP.

    def send_datagram(self, datagram: Datagram) -> None:
        """Carry a datagram to whoever listens at its target."""
        self.datagrams.append(datagram)
        for passed in self.filter(datagram):
            self.later(self.deliver, passed)

    def deliver(self, datagram: Datagram) -> None:
        """A datagram arrives."""
        target = self.translations.get(datagram.target, datagram.target)
        port = self.udp.get(target)
        if port is not None:
            port.receive(datagram.data, datagram.source)

    def inject(self, data: bytes, source: tuple[str, int], target: tuple[str, int]) -> None:
        """A stranger's datagram arrives at once."""
        self.deliver(Datagram(data, source, target))
        self.settle()


class Machine:
    """What gamenet asks of a reactor, on a machine of its own.

    :param address: where its sockets are.
    :param public_address: what others see, if a router translates between them.
    """

    def __init__(
        self, network: Network, address: str = SERVER_ADDRESS, public_address: str = ""
    ) -> None:
        self.network = network
        self.address = address
        self.public_address = public_address
        self.running = True
        self.wakes = 0
        """Calls of ``callFromThread``."""

    def seconds(self) -> float:
        """The network's clock."""
        return self.network.seconds()

    def callLater(self, seconds: float, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """A timer on the network's clock."""
        return self.network.clock.callLater(seconds, call, *args, **named)

    def callFromThread(self, call: Callable[..., Any], *args: Any, **named: Any) -> None:
        """As soon as the network settles."""
        self.wakes += 1
        self.network.clock.callLater(0, call, *args, **named)

    def public(self, local: tuple[str, int]) -> tuple[str, int]:
        """The address that the world sees for one of ours; a router makes one up."""
        if not self.public_address:
            return local
        translations = self.network.translations
        for outside, inside in translations.items():
            if inside == local:
                return outside
        outside = (self.public_address, self.network.free_port())
        translations[outside] = local
        return outside

    def listenTCP(
        self, port: int, factory: Any, backlog: int = 50, interface: str = ""
    ) -> FakeListener:
        """Take connections."""
        host = interface or self.address
        port = port or self.network.free_port()
        if (host, port) in self.network.tcp:
            raise CannotListenError(host, port, OSError(98, "Address already in use"))
        return FakeListener(self, (host, port), factory, backlog)

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> FakeDatagramPort:
        """Open a port for datagrams."""
        host = self.address if interface in ("", "0.0.0.0", "::") else interface
        port = port or self.network.free_port()
        if (host, port) in self.network.udp:
            raise CannotListenError(host, port, OSError(98, "Address already in use"))
        opened = FakeDatagramPort(self, (host, port), protocol, maxPacketSize)
        protocol.makeConnection(opened)
        return opened

    def connect(self, factory: Any, target: tuple[str, int]) -> FakeTransport | None:
        """Connect *factory* to whoever listens at *target*; None if refused.

        :returns: our end.
        """
        network = self.network
        listener = network.tcp.get(target)
        if listener is None:
            factory.clientConnectionFailed(None, Failure(ConnectionLost("nobody listens there")))
            return None
        source = (self.public_address or self.address, network.free_port())
        client_protocol = factory.buildProtocol(tcp_address(*target))
        if client_protocol is None:
            return None
        server_protocol = listener.factory.buildProtocol(tcp_address(*source))
        if server_protocol is None:
            client = FakeTransport(network, source, target, client_protocol)
            client.peer = FakeTransport(network, target, source, Stranger())
            client.peer.peer = client
            client.peer.connected = False
            network.connections.remove(client.peer)
            client_protocol.makeConnection(client)
            network.later(client.arrive, FIN)
            return client
        client = FakeTransport(network, source, target, client_protocol)
        server = FakeTransport(network, target, source, server_protocol)
        client.peer, server.peer = server, client
        server_protocol.makeConnection(server)
        client_protocol.makeConnection(client)
        return client


def tcp_address(host: str, port: int) -> IPv4Address | IPv6Address:
    """An address as Twisted gives it."""
    kind: Any = IPv6Address if ":" in host else IPv4Address
    address: IPv4Address | IPv6Address = kind("TCP", host, port)
    return address


class FakeListener:
    """A listening TCP port."""

    def __init__(
        self, machine: Machine, where: tuple[str, int], factory: Any, backlog: int
    ) -> None:
        self.machine = machine
        self.where = where
        self.factory = factory
        self.backlog = backlog
        machine.network.tcp[where] = self
        factory.doStart()

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it listens."""
        return tcp_address(*self.where)

    def stopListening(self) -> None:
        """Take no more connections."""
        if self.machine.network.tcp.pop(self.where, None) is not None:
            self.factory.doStop()


class FakeSocket:
    """The part of a socket that gamenet writes datagrams to."""

    def __init__(self, port: FakeDatagramPort) -> None:
        self._port = port

    def sendto(self, data: bytes, address: tuple[Any, ...]) -> int:
        """As a real one: the wrong kind of address is an error, and so is what a test asks for."""
        network = self._port.machine.network
        if not self._port.connected:
            raise OSError(9, "Bad file descriptor")
        wants = 4 if ":" in self._port.where[0] else 2
        if len(address) != wants:
            raise TypeError(f"this socket wants an address of {wants} parts, not {address!r}")
        if network.send_error is not None:
            raise network.send_error
        source = self._port.machine.public(self._port.where)
        network.send_datagram(Datagram(data, source, (address[0], address[1])))
        return len(data)


class FakeDatagramPort:
    """An open UDP port, and the transport of its protocol."""

    def __init__(
        self, machine: Machine, where: tuple[str, int], protocol: Any, longest: int
    ) -> None:
        self.machine = machine
        self.where = where
        self.protocol = protocol
        self.longest = longest
        self.socket = FakeSocket(self)
        self.connected = 1
        machine.network.udp[where] = self

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it is open."""
        kind: Any = IPv6Address if ":" in self.where[0] else IPv4Address
        address: IPv4Address | IPv6Address = kind("UDP", *self.where)
        return address

    def receive(self, data: bytes, source: tuple[str, int]) -> None:
        """A datagram came; what is too long for the buffer is cut, as the kernel does it."""
        address: tuple[Any, ...] = (*source, 0, 0) if ":" in source[0] else source
        self.protocol.datagramReceived(data[: self.longest], address)

    def stopListening(self) -> None:
        """Close it."""
        if self.machine.network.udp.pop(self.where, None) is not None:
            self.connected = 0
            self.machine.callLater(0, self.protocol.doStop)


PILE_BYTES = 65_536
"""Unread bytes at which Twisted tells a producer to pause."""
DATA, FIN, RST = "data", "fin", "rst"


@implementer(ITCPTransport)
class FakeTransport:
    """One end of a TCP connection, with the manners of Twisted's and of the kernel's.

    A closed socket that is sent more, or closed with bytes unread, resets the connection, and what
    the other side has not read by then is gone.
    """

    def __init__(
        self, network: Network, local: tuple[str, int], remote: tuple[str, int], protocol: Any
    ) -> None:
        self.network = network
        self.local = local
        self.remote = remote
        self.protocol = protocol
        self.peer: FakeTransport
        self.connected = True
        self.reading = True
        """False while the program does not read what has come."""
        self.producer: Any = None
        self._is_piled = False
        self.chunk = 65_536
        """Most bytes handed over at once."""
        self.written = b""
        """Everything written."""
        self._inbox: deque[tuple[str, bytes]] = deque()
        self._said_fin = False
        self._heard_fin = False
        self._ending = False
        network.connections.append(self)

    # What a program does.

    def write(self, data: bytes) -> None:
        """Send *data*, unless this half is closed."""
        assert isinstance(data, bytes), f"{type(data)} on the wire"
        if self.connected and not self._said_fin and data:
            self.written += data
            self.network.later(self.peer.arrive, DATA, data)

    def writeSequence(self, parts: Iterable[bytes]) -> None:
        """Send them all."""
        self.write(b"".join(parts))

    def loseConnection(self) -> None:
        """Close, once everything is written."""
        if self.connected and not self._ending:
            self._ending = True
            self.network.clock.callLater(0, self._close, ConnectionDone())

    def loseWriteConnection(self) -> None:
        """Close our half."""
        if self.connected and not self._said_fin:
            self._said_fin = True
            self.network.later(self.peer.arrive, FIN)

    def abortConnection(self) -> None:
        """Reset the connection."""
        if self.connected:
            self._ending = True
            self.network.clock.callLater(0, self._reset)

    def stop_reading(self) -> None:
        """Leave what comes unread."""
        self.reading = False

    def read_again(self) -> None:
        """Read what has come."""
        self.reading = True
        self._read_on()
        self.network.settle()

    pauseProducing = stop_reading

    def resumeProducing(self) -> None:
        """Read again, but not before the caller is through."""
        if self.connected:
            self.reading = True
            self.network.later(self._read_on)

    def _read_on(self) -> None:
        self._read()
        self.peer._look_at_pile()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Tell *producer* when what it writes piles up."""
        assert streaming, "a pulled producer"
        assert self.producer is None, "a second producer"
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Tell nobody any more."""
        self.producer = None

    def _look_at_pile(self) -> None:
        """Pause whoever writes while the peer does not read, and resume it when it does."""
        if self.producer is not None and self.connected:
            if not self._is_piled and self.peer.unread_bytes > PILE_BYTES:
                self._is_piled = True
                self.producer.pauseProducing()
            elif self._is_piled and self.peer.unread_bytes == 0:
                self._is_piled = False
                self.producer.resumeProducing()

    def getHost(self) -> IPv4Address | IPv6Address:
        """Our address."""
        return tcp_address(*self.local)

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The other end's address."""
        return tcp_address(*self.remote)

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed here."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nobody vanishes here."""

    def getTcpNoDelay(self) -> bool:
        """Nothing is delayed here."""
        return True

    def getTcpKeepAlive(self) -> bool:
        """Nobody vanishes here."""
        return False

    # What the kernel does.

    @property
    def unread_bytes(self) -> int:
        """Bytes that have come and are not read."""
        return sum(len(data) for _, data in self._inbox)

    def arrive(self, kind: str, data: bytes = b"") -> None:
        """Something came from the other end."""
        if not self.connected:
            if kind == DATA:
                self.network.later(self.peer.arrive, RST)
            return
        if kind == RST:
            self._inbox.clear()
            self._lose(ConnectionLost())
            return
        self._inbox.append((kind, data))
        self._read()
        self.peer._look_at_pile()

    def _read(self) -> None:
        while self._inbox and self.reading and self.connected:
            kind, data = self._inbox.popleft()
            if kind == FIN:
                self._heard_fin = True
                if self._said_fin or not IHalfCloseableProtocol.providedBy(self.protocol):
                    self._close(ConnectionDone())
                else:
                    self.protocol.readConnectionLost()
                return
            for start in range(0, len(data), self.chunk):
                if not self.connected:
                    return
                self.protocol.dataReceived(data[start : start + self.chunk])

    def _close(self, reason: Exception) -> None:
        if not self.connected:
            return
        if any(kind == DATA for kind, _ in self._inbox):
            self.network.later(self.peer.arrive, RST)
        elif not self._said_fin:
            self._said_fin = True
            self.network.later(self.peer.arrive, FIN)
        self._lose(reason)

    def _reset(self) -> None:
        if self.connected:
            self.network.later(self.peer.arrive, RST)
            self._lose(ConnectionAborted())

    def _lose(self, reason: Exception) -> None:
        self.connected = False
        self.network.connections.remove(self)
        self.protocol.connectionLost(Failure(reason))


@implementer(IHalfCloseableProtocol)
class Stranger(Protocol):
    """A peer that says only what a test has it say, and closes only when told to."""

    def __init__(self) -> None:
        self.heard = b""
        """Everything that came."""
        self.ended = ""
        """How the other side ended it: "" not yet, "fin" in an orderly way, "rst" not."""
        self.transport: Any = None

    def dataReceived(self, data: bytes) -> None:
        """Keep it."""
        self.heard += data

    def readConnectionLost(self) -> None:
        """The other side has closed its half."""
        self.ended = self.ended or FIN

    def writeConnectionLost(self) -> None:
        """Our half is closed."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """It is over."""
        if reason is not None and not reason.check(ConnectionDone, ConnectionAborted):
            self.ended = self.ended or RST
        self.ended = self.ended or FIN

    # What a test has it do.

    def say(self, data: bytes, *, chunk: int = 65_536) -> None:
        """Send bytes, which the other end reads in pieces of *chunk*."""
        self.transport.peer.chunk = chunk
        self.transport.write(data)
        self.transport.network.settle()

    def say_frame(self, *frames: bytes) -> None:
        """Send frames, each behind its length, in one piece."""
        self.say(b"".join(framed(frame) for frame in frames))

    def close(self) -> None:
        """End it in an orderly way."""
        self.transport.loseConnection()
        self.transport.network.settle()

    def abort(self) -> None:
        """Reset it."""
        self.transport.abortConnection()
        self.transport.network.settle()

    @property
    def frames(self) -> list[bytes]:
        """The whole frames that came."""
        found, rest = [], self.heard
        while len(rest) >= 4 and len(rest) >= 4 + int.from_bytes(rest[:4], "big"):
            end = 4 + int.from_bytes(rest[:4], "big")
            found.append(rest[4:end])
            rest = rest[end:]
        return found


def framed(frame: bytes) -> bytes:
    """A frame as it is on the wire."""
    return len(frame).to_bytes(4, "big") + frame


class StrangerFactory:
    """Makes strangers, on either end of a connection."""

    def __init__(self) -> None:
        self.made: list[Stranger] = []

    def doStart(self) -> None:
        """Nothing to do."""

    def doStop(self) -> None:
        """Nothing to do."""

    def buildProtocol(self, address: object) -> Stranger:
        """Another one."""
        self.made.append(Stranger())
        return self.made[-1]


def random_bytes(seed: int) -> Callable[[int], bytes]:
    """A source of bytes that are the same in every run."""
    return random.Random(seed).randbytes

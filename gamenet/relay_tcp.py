"""The TCP half of a relay: connections that are passed on, late.

Layer 3. Runs on: the reactor thread.

What one end sends is held until the link's direction lets it arrive, and longer while the other
end does not take it. Once much is held, the sender is not read from any more, so that back-pressure
passes through. Half-closes and resets arrive like data, behind what was sent before them.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Factory, Protocol, connectionDone
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
    from twisted.python.failure import Failure

    from gamenet.delays import Delays
    from gamenet.impairment import Impairment

MOST_HELD_BYTES: Final = 524_288
"""Of one direction of one connection; what is on its way counts."""
MAX_LINKS: Final = 4_096
_END: Final = b""
"""Held in the place of data: the sender has closed its half."""


@implementer(IHalfCloseableProtocol, IPushProducer)
class End(Protocol):
    """One end of a link: reads from its peer, and writes what the other end has read.

    :param impairment: the direction from here to the other end.
    """

    transport: Any

    def __init__(self, link: Link, impairment: Impairment) -> None:
        self._link = link
        self._delays = link.delays
        self.impairment = impairment
        self.other: End
        self.held: deque[bytes] = deque()
        """What was read here and the other end has not written."""
        self.bytes_read = 0
        self.is_open = False
        self.is_gone = False
        """Connected once, and not any more."""
        self._held_bytes = 0
        self._due = 0
        """How many of those held have arrived."""
        self._is_reading = True
        self._takes = False
        """Whether our own transport has room."""
        self._read_all = False
        self._wrote_all = False

    # Reading, towards the other end.

    def connectionMade(self) -> None:
        """Called by Twisted."""
        self.is_open = True
        try:
            self.transport.setTcpNoDelay(True)
            self.transport.setTcpKeepAlive(True)  # a client whose machine is gone says nothing
        except OSError:
            pass  # some systems refuse both where the peer has just reset the connection
        self.transport.registerProducer(self, True)
        self._link.opened(self)
        if self._link.is_over:
            self.abort()
        else:
            self.resumeProducing()

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what the peer sent."""
        if self._link.is_black or self.other.is_gone:
            return
        self.bytes_read += len(data)
        self._hold(data)
        if self._is_reading and self._held_bytes > MOST_HELD_BYTES:
            self._is_reading = False
            self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        """Called by Twisted: the peer will send no more."""
        self._read_all = True
        if self._link.is_black:
            self.transport.unregisterProducer()
            self.transport.loseConnection()
        else:
            self._hold(_END)
            self._close_if_done()

    def writeConnectionLost(self) -> None:
        """Called by Twisted: our half is closed."""

    def _hold(self, data: bytes) -> None:
        when = self.impairment.stream(len(data), self._delays.now())
        self.held.append(data)
        self._held_bytes += len(data)
        self._delays.at(when, self._arrived)

    def _arrived(self) -> None:
        """The oldest of those that are on their way is at the other end."""
        self._due += 1
        self.pour()

    def pour(self) -> None:
        """Give the other end what has arrived, as far as it takes it."""
        other = self.other
        while self._due and self.held and other._takes:
            self._due -= 1
            data = self.held.popleft()
            if data == _END:
                other.end_writing()
                break
            self._held_bytes -= len(data)
            try:
                other.transport.write(data)
            except OSError:
                self._link.cut()  # the reactor cannot watch the socket, and no byte may be missing
                return
        if self._held_bytes <= MOST_HELD_BYTES // 2:
            self._read_on()

    def _read_on(self) -> None:
        if not self._is_reading and self.is_open:
            self._is_reading = True
            self.transport.resumeProducing()

    # Writing, for the other end.

    def pauseProducing(self) -> None:
        """Called by our transport: the peer does not take what we write."""
        self._takes = False

    def resumeProducing(self) -> None:
        """Called by our transport: there is room again."""
        self._takes = self.is_open and not self._wrote_all
        if self._takes:
            self.other.pour()

    def stopProducing(self) -> None:
        """Called by our transport: it is closed."""
        self._takes = False

    def end_writing(self) -> None:
        """All has been written: the peer is told."""
        self._wrote_all = True
        self._takes = False
        self.transport.unregisterProducer()
        self.transport.loseWriteConnection()
        self._close_if_done()

    # The end.

    def _close_if_done(self) -> None:
        if self._read_all and self._wrote_all:
            self.transport.loseConnection()

    def abort(self) -> None:
        """Reset the connection to the peer."""
        if self.is_open:
            self.transport.abortConnection()

    def forget(self) -> None:
        """Drop what is held; whatever else comes is read and dropped too."""
        self.held.clear()
        self._held_bytes = self._due = 0
        self._read_on()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted once the connection to the peer is gone."""
        self.is_open = self._takes = False
        self.is_gone = True
        self.other.forget()
        if self._link.is_black or self._link.is_over:
            self.forget()
        elif not reason.check(ConnectionDone):
            # A reset comes behind what was sent, but waits for nobody who does not read.
            when = self.impairment.stream(0, self._delays.now())
            self._delays.at(when, self._link.reset, self.other)
        elif not self._read_all:
            self._read_all = True
            self._hold(_END)
        self._link.closed(self)


class Link:
    """One client's connection, and the one to the server that goes with it.

    :param up: the direction from the client to the server.
    """

    def __init__(
        self, connections: Connections, delays: Delays, up: Impairment, down: Impairment
    ) -> None:
        self.delays = delays
        self.is_over = False
        self.is_black = False
        """Nothing passes any more, and neither end is told."""
        self._connections = connections
        self.client = End(self, up)
        self.server = End(self, down)
        self.client.other, self.server.other = self.server, self.client
        self._attempt: Deferred[Any] | None = None

    def connect(self, endpoint: IStreamClientEndpoint) -> None:
        """Connect the server's end."""
        if self.is_over:
            return
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: self.server  # type: ignore[method-assign]
        self._attempt = attempt = maybeDeferred(endpoint.connect, factory)
        attempt.addCallbacks(self._connected, self._failed)

    def _connected(self, _: object) -> None:
        self._attempt = None

    def _failed(self, _: Failure) -> None:
        self._attempt = None
        if not self.is_over:
            self._connections.unanswered += 1
            self.cut()

    def opened(self, end: End) -> None:
        """One end is connected."""
        if end is self.server:
            self._connections.reached(end.transport.getPeer())

    def closed(self, end: End) -> None:
        """One end's connection is gone."""
        if end is self.client and self.is_black:
            self._give_up()
        self._finish_if_closed()

    def reset(self, end: End) -> None:
        """The other end's connection was reset: so is this one's."""
        if end is self.server:
            self._give_up()
        end.abort()
        self._finish_if_closed()

    def cut(self) -> None:
        """Reset both ends at once; what is on its way is lost."""
        self.is_over = True
        self._give_up()
        for end in (self.client, self.server):
            end.forget()
            end.abort()
        self._finish_if_closed()

    def black_out(self) -> None:
        """From here on nothing passes, and nobody is told."""
        self.is_black = True
        self.client.forget()
        self.server.forget()

    def _give_up(self) -> None:
        """Nobody is left to connect to the server for."""
        attempt, self._attempt = self._attempt, None
        if attempt is not None:
            self.is_over = True
            attempt.cancel()

    def _finish_if_closed(self) -> None:
        if self._attempt is None and not (self.client.is_open or self.server.is_open):
            self.is_over = True
            self.client.forget()
            self.server.forget()
            self._connections.gone(self)


class Connections(Factory):
    """Every connection of a relay; the factory of its listening ports.

    :param endpoint: connects to the server.
    :param impairments: makes both directions of a new link, from its name.
    :param reached: told the address of the server whenever a connection to it stands.
    """

    noisy = False

    def __init__(
        self,
        delays: Delays,
        endpoint: IStreamClientEndpoint,
        impairments: Callable[[str], tuple[Impairment, Impairment]],
        reached: Callable[[Any], object],
    ) -> None:
        self._delays = delays
        self._endpoint = endpoint
        self._impairments = impairments
        self.reached = reached
        self.links: dict[Link, None] = {}
        self.accepted = 0
        self.turned_away = 0
        """Because there were too many."""
        self.unanswered = 0
        """Because the server could not be reached."""
        self.is_closed = False
        self._bytes_up = 0
        self._bytes_down = 0

    def buildProtocol(self, addr: IAddress | None) -> End | None:
        """Called by Twisted for each client that connects; None closes it."""
        if self.is_closed:
            return None
        if len(self.links) >= MAX_LINKS:
            # One through which nothing passes can go first.
            black = next((link for link in self.links if link.is_black), None)
            if black is None:
                self.turned_away += 1
                return None
            self.gone(black)
            black.cut()
        self.accepted += 1
        up, down = self._impairments(f"tcp/{self.accepted}")
        link = Link(self, self._delays, up, down)
        self.links[link] = None
        # Not before the client's end stands.
        self._delays.at(0.0, link.connect, self._endpoint)
        return link.client

    def gone(self, link: Link) -> None:
        """A link is closed."""
        if link in self.links:
            del self.links[link]
            self._bytes_up += link.client.bytes_read
            self._bytes_down += link.server.bytes_read

    @property
    def bytes_up(self) -> int:
        """Bytes that clients have sent."""
        return self._bytes_up + sum(link.client.bytes_read for link in self.links)

    @property
    def bytes_down(self) -> int:
        """Bytes that servers have sent."""
        return self._bytes_down + sum(link.server.bytes_read for link in self.links)

    def cut(self) -> None:
        """Reset every connection."""
        for link in list(self.links):
            link.cut()

    def black_out(self) -> None:
        """Let nothing pass through the connections that stand."""
        for link in self.links:
            link.black_out()

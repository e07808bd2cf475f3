"""A UDP port that no flood can make hog the reactor and no error can kill.

Layer 3. Runs on: the reactor thread.

Twisted's own port reads until 256 KiB came in, and empty datagrams never count: a flood of them
was measured to freeze every timer for as long as it lasted. It also dies of any unusual errno.
This one reads at most a budget of datagrams a turn, whatever their size, and counts errors.
"""

from __future__ import annotations

import errno
import socket
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from twisted.internet import udp
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet

from gamenet.core.wire import MAX_DATAGRAM_BYTES

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IListeningPort
    from twisted.python.failure import Failure

    from gamenet.core.path import Address

IP_MTU_DISCOVER: int | None = getattr(
    socket, "IP_MTU_DISCOVER", 10 if sys.platform == "linux" else None
)
"""Linux has it, and Python got a name for it in 3.14."""
IP_PMTUDISC_DONT: Final = 0
TCP_NOTSENT_LOWAT: int | None = getattr(
    socket, "TCP_NOTSENT_LOWAT", 25 if sys.platform == "linux" else None
)


MOST_BEFORE_REST: Final = 32
"""Who reads more at once is in no need of a rest, and maybe in a flood."""


class Reader(Protocol):
    """What a budgeted port asks of its protocol, besides what Twisted does."""

    def begin_turn(self) -> None:
        """A batch of datagrams begins."""

    def end_turn(self) -> None:
        """The batch is over."""

    def now(self) -> float:
        """Monotonic seconds."""

    def read_until(self) -> float:
        """Until when to read on although a turn's worth is read; 0 for not at all."""

    def rest_seconds(self) -> float:
        """How long nothing needs to be read, now that all is; 0 for not at all."""

    def datagrams_received(self, batch: list[tuple[bytes, Address]]) -> None:
        """Datagrams came, within a turn."""

    def receive_failed(self, error: OSError) -> None:
        """The kernel reported an error on the socket."""

    def defect(self) -> None:
        """A datagram met a defect of ours."""


class OpenSocket(socket.socket):
    """One that somebody else has opened, and has bound already."""

    def bind(self, address: Any) -> None:
        """Called by Twisted's port; the socket keeps the address that it has."""


class BudgetedPort(udp.Port):
    """Reads a bounded number of datagrams each turn and hands them over as one batch.

    :param budget: datagrams a turn; empty ones count.
    :param buffer_bytes: asked of the kernel for each direction.
    :param opened: a socket to use instead of one of its own.
    """

    def __init__(
        self,
        port: int,
        protocol: Reader,
        interface: str,
        reactor: Any,
        budget: int,
        buffer_bytes: int,
        opened: OpenSocket | None = None,
    ) -> None:
        # One byte more than allowed, so that a longer datagram shows instead of being cut.
        udp.Port.__init__(self, port, protocol, interface, MAX_DATAGRAM_BYTES + 1, reactor)
        self._opened = opened
        self._made: socket.socket | None = None
        self._budget = budget
        self._buffer_bytes = buffer_bytes
        self.granted: tuple[int, ...] = ()
        """Bytes of buffer that the kernel gave, in and out."""
        self._resting: IDelayedCall | None = None

    def createInternetSocket(self) -> socket.socket:
        """The port's socket, with the buffers asked for."""
        created: socket.socket = self._opened or udp.Port.createInternetSocket(self)
        try:
            self._make_ready(created)
        except OSError:
            created.close()
            raise
        self._made = created
        return created

    def startListening(self) -> None:
        """Open it. Where it cannot be bound, Twisted leaves its socket to the garbage collector."""
        try:
            udp.Port.startListening(self)
        except CannotListenError:
            if self._made is not None:
                self._made.close()
            raise

    def _make_ready(self, created: socket.socket) -> None:
        # Whoever opened it has said which families it is for, and may have meant both; and may have
        # been allowed larger buffers than we are.
        is_given = self._opened is not None
        granted = []
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            has = created.getsockopt(socket.SOL_SOCKET, option) if is_given else 0
            try:
                if has < self._buffer_bytes:
                    created.setsockopt(socket.SOL_SOCKET, option, self._buffer_bytes)
            except OSError:
                pass
            granted.append(created.getsockopt(socket.SOL_SOCKET, option))
        is_ipv6 = self.addressFamily == socket.AF_INET6 and hasattr(socket, "IPV6_V6ONLY")
        if is_ipv6 and not is_given:
            created.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if IP_MTU_DISCOVER is not None and (self.addressFamily == socket.AF_INET or is_given):
            # Never let a forged "fragmentation needed" message shrink or stop our datagrams.
            try:
                created.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT)
            except OSError:
                pass
        self.granted = tuple(granted)

    def doRead(self) -> None:
        """Read up to the budget, or for as long as sending has taken; never raises."""
        protocol: Reader = self.protocol
        until = protocol.read_until()
        # The socket is closed where a datagram had the game close the port.
        while self._read() and until and self.connected and protocol.now() < until:
            pass

    def _read(self) -> bool:
        """One turn.

        :returns: True if there may be more to read.
        """
        protocol: Reader = self.protocol
        receive = self.socket.recvfrom
        size = self.maxPacketSize
        batch: list[tuple[bytes, Address]] = []
        came = batch.append
        protocol.begin_turn()
        try:
            for _ in range(self._budget):
                try:
                    came(receive(size))
                except (BlockingIOError, InterruptedError):
                    if len(batch) <= MOST_BEFORE_REST:
                        self._rest(protocol.rest_seconds())
                    break
                except OSError as error:
                    protocol.receive_failed(error)
                    break
            protocol.datagrams_received(batch)
        except Exception:
            # Twisted would close the port for everybody.
            protocol.defect()
        finally:
            protocol.end_turn()
        return len(batch) == self._budget

    def _rest(self, seconds: float) -> None:
        """Do not read for so long, so that more comes at once; 0 goes on."""
        if seconds > 0.0 and self._resting is None:
            self.stopReading()
            reactor: Any = self.reactor
            self._resting = reactor.callLater(seconds, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        self.startReading()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Called by Twisted when the port is closed."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        udp.Port.connectionLost(self, reason)


def set_tcp_buffers(transport: Any, send_bytes: int, unsent_bytes: int) -> None:
    """Bound what the kernel keeps of a connection's outgoing bytes, where there is a socket."""
    options: Any = getattr(getattr(transport, "socket", None), "setsockopt", None)
    if options is None:
        return
    wanted = [(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)]
    if TCP_NOTSENT_LOWAT is not None:
        wanted.append((socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, unsent_bytes))
    for level, option, value in wanted:
        try:
            options(level, option, value)
        except OSError:
            pass


def listen(
    reactor: Any,
    port: int,
    protocol: Reader,
    interface: str,
    *,
    budget: int,
    buffer_bytes: int,
) -> IListeningPort:
    """Open a UDP port for *protocol*: budgeted where the reactor reads sockets by readiness.

    :raises twisted.internet.error.CannotListenError: if the address is taken.
    """
    if IReactorFDSet.providedBy(reactor):
        budgeted = BudgetedPort(port, protocol, interface, reactor, budget, buffer_bytes)
        try:
            budgeted.startListening()
        except OSError:
            # The reactor cannot watch it, but it is open already, and its protocol was told.
            budgeted.stopListening()
            raise
        return budgeted
    listening: IListeningPort = reactor.listenUDP(
        port, protocol, interface=interface, maxPacketSize=MAX_DATAGRAM_BYTES + 1
    )
    return listening


def adopt(
    reactor: Any,
    opened: socket.socket,
    protocol: Reader,
    *,
    budget: int,
    buffer_bytes: int,
) -> IListeningPort:
    """Play over a UDP socket that somebody else has opened and bound; it becomes the port's.

    :raises OSError: if the reactor cannot read it.
    :raises twisted.internet.error.CannotListenError: if the socket cannot be used.
    """
    host, port = opened.getsockname()[:2]
    mine = OpenSocket(fileno=opened.detach())
    if not IReactorFDSet.providedBy(reactor):
        mine.close()
        raise OSError(errno.ENOTSUP, "the reactor in use cannot take a UDP socket over")
    adopted = BudgetedPort(port, protocol, host, reactor, budget, buffer_bytes, mine)
    try:
        adopted.startListening()
    except OSError:
        adopted.stopListening()
        raise
    return adopted

"""The UDP end: datagrams to sessions by their connection id, and back out.

Layer 3. Runs on: the reactor thread. PROTOCOL section 3.

The address a datagram comes from is a route, never an identity: what counts is that it opens under
its session's key. Nothing that fails to is ever answered, logged or allowed to raise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from gamenet.core.wire import (
    HEADER,
    MAX_DATAGRAM_BYTES,
    OVERHEAD_BYTES,
    PREFIX,
    PREFIX_MASK,
    DatagramKind,
)
from gamenet.faults import DEFECT
from gamenet.ports import BudgetedPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamenet.core.path import Address
    from gamenet.host import Host

log = Logger()
LONG_FLUSH_SECONDS: Final = 0.002
"""A flush that takes longer than this is made up for by reading as long ..."""
MOST_READ_SECONDS: Final = 0.01
"""... but no longer than this, for timers must not wait."""
_DATA: Final = int(DatagramKind.DATA)
_DATA_MASK: Final = PREFIX_MASK | 0x0F
_DATA_BYTE: Final = PREFIX | _DATA


class LowLatencyProtocol(DatagramProtocol):
    """Datagrams of every session of one host, on one socket.

    :param host: the conductor that the sessions belong to.
    """

    noisy = False
    transport: Any  # Twisted's port, whose socket is written to directly

    def __init__(self, host: Host) -> None:
        self._host = host
        self._counters = host.counters
        self._sessions = host.datagram_routes
        self._newcomers = host.newcomers
        self._now = 0.0
        self._in_turn = False
        self._sendto: Callable[[bytes, Address], int] | None = None

    def startProtocol(self) -> None:
        """Called by Twisted once the socket is open."""
        self._sendto = getattr(getattr(self.transport, "socket", None), "sendto", None)
        self._host.port_opened(self)
        if not isinstance(self.transport, BudgetedPort):
            log.info(
                "this UDP port has no read budget, a flood can delay timers; "
                "open it with factory.listen_udp"
            )

    def stopProtocol(self) -> None:
        """Called by Twisted once the socket is closed."""
        self._sendto = None
        self._host.port_closed(self)

    def begin_turn(self) -> None:
        """A batch of datagrams begins: one look at the clock, one flush at its end."""
        self._now = self._host.begin_turn()
        self._in_turn = True

    def end_turn(self) -> None:
        """The batch is over."""
        self._in_turn = False
        self._host.end_turn()

    def now(self) -> float:
        """Monotonic seconds."""
        return self._host.now()

    def read_until(self) -> float:
        """Until when to read on although a turn's worth is read; 0 for not at all.

        A server that is full would else spend all of its time on what its game sends.
        """
        seconds = self._host.flush_seconds
        if seconds < LONG_FLUSH_SECONDS:
            return 0.0
        return self._host.now() + min(seconds, MOST_READ_SECONDS)

    def rest_seconds(self) -> float:
        """How long nothing needs to be read, now that all is; 0 for not at all."""
        return self._host.rest_seconds(self._now)

    def receive_failed(self, error: OSError) -> None:
        """The kernel reported an error on the socket: an ICMP message or a lack of memory."""
        self._counters.receive_errors += 1

    def defect(self) -> None:
        """A datagram met a defect of ours: logged now and then, for its sender can send more."""
        self._counters.drop_datagram_defect += 1
        self._host.failed(DEFECT)

    def datagrams_received(self, batch: list[tuple[bytes, Address]]) -> None:
        """Datagrams came, within a turn. Never raises, whatever they hold: one that meets a defect
        of ours keeps none of the others out.

        :param batch: each with the address that it comes from.
        """
        left = iter(batch)
        while True:
            try:
                self._receive_all(left)
                return
            except Exception:
                self.defect()

    def _receive_all(self, batch: Iterator[tuple[bytes, Address]]) -> None:
        """Nearly all datagrams are DATA of a session that is known: those are seen to here."""
        counters, sessions, now = self._counters, self._sessions, self._now
        for data, address in batch:
            size = len(data)
            if OVERHEAD_BYTES <= size <= MAX_DATAGRAM_BYTES and data[0] & _DATA_MASK == _DATA_BYTE:
                first, cid, low = HEADER.unpack_from(data)
                session = sessions.get(cid)
                if session is not None:
                    counters.datagrams_in += 1
                    counters.bytes_in += size
                    session.receive_datagram(data, address, now, first, low)
                    continue
            self.datagramReceived(data, address)

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """A datagram came. Never raises, whatever it holds.

        :param addr: host and port, and for IPv6 flow and scope.
        """
        if not self._in_turn:
            self.begin_turn()
            try:
                self.datagramReceived(data, addr)
            except Exception:
                self.defect()
            finally:
                self.end_turn()
            return
        counters = self._counters
        counters.datagrams_in += 1
        size = len(data)
        counters.bytes_in += size
        if size < OVERHEAD_BYTES:
            counters.drop_datagram_short += 1
            return
        if size > MAX_DATAGRAM_BYTES:
            counters.drop_datagram_long += 1
            return
        first, cid, low = HEADER.unpack_from(data)
        if first & PREFIX_MASK != PREFIX:
            counters.drop_datagram_not_ours += 1
            return
        session = self._sessions.get(cid)
        if session is None:
            session = self._newcomers.get(cid)
            if session is None or first & 0x0F == _DATA:
                counters.drop_datagram_unknown_session += 1
                return
        if first & 0x0F == _DATA:
            session.receive_datagram(data, addr, self._now, first, low)
            return
        authentic = session.datagrams_in
        session.receive_datagram(data, addr, self._now, first, low)
        if session.datagrams_in != authentic:
            self._host.control_came(session, self)

    def send(self, data: bytes, address: Address) -> None:
        """Write one datagram; whatever the kernel says, it is counted and nothing raises."""
        sendto = self._sendto
        if sendto is None:
            self._send_plainly(data, address)
            return
        counters = self._counters
        try:
            sendto(data, address)
        except (OSError, TypeError):  # the latter where the address is of the other family
            counters.drop_send_error += 1
        else:
            counters.datagrams_out += 1
            counters.bytes_out += len(data)

    def _send_plainly(self, data: bytes, address: Address) -> None:
        """Write by a transport that is no socket, such as a test's; or that is closed."""
        transport = self.transport
        if transport is None or getattr(transport, "connected", True) == 0:
            self._counters.drop_send_error += 1
            return
        try:
            transport.write(data, address[:2])
        except OSError:
            self._counters.drop_send_error += 1
        else:
            self._counters.datagrams_out += 1
            self._counters.bytes_out += len(data)

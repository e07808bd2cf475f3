"""The UDP half of a relay: datagrams that are passed on, late, or not at all.

Layer 3. Runs on: the reactor thread.

Each client, known by the address its datagrams come from, has a socket of its own towards the
server, so that the server sees as many addresses as there are clients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.defer import maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol
from twisted.logger import Logger

from gamenet import ports
from gamenet.core.wire import MAX_DATAGRAM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.delays import Delays
    from gamenet.impairment import Impairment

    Address = tuple[Any, ...]
    """Host and port, and for IPv6 flow and scope."""

log = Logger()
IDLE_SECONDS: Final = 60.0
"""A client who has sent nothing for so long is forgotten; players send something every 5 s."""
SWEEP_SECONDS: Final = 5.0
MAX_CLIENTS: Final = 4_096
MAX_IN_FLIGHT: Final = 65_536
"""Datagrams on their way; beyond it they are dropped."""
BUDGET: Final = 64
"""Datagrams read in one turn of the reactor."""
LISTENING_BUFFER_BYTES: Final = 4_194_304
CLIENT_BUFFER_BYTES: Final = 262_144


class Socket(DatagramProtocol):
    """A UDP socket of the relay.

    :param received: called with each datagram and where it came from.
    """

    noisy = False
    transport: Any

    def __init__(self, received: Callable[[Socket, bytes, Address], object]) -> None:
        self._received = received
        self._sendto: Callable[[bytes, Address], int] | None = None
        self.errors = 0

    def open(self, reactor: Any, port: int, interface: str, buffer_bytes: int) -> None:
        """Open it.

        :raises twisted.internet.error.CannotListenError: if the address is taken.
        """
        protocol: Any = self
        ports.listen(reactor, port, protocol, interface, budget=BUDGET, buffer_bytes=buffer_bytes)

    def startProtocol(self) -> None:
        """Called by Twisted once it is open."""
        self._sendto = self.transport.socket.sendto

    def stopProtocol(self) -> None:
        """Called by Twisted once it is closed."""
        self._sendto = None

    def close(self) -> Any:
        """Close it.

        :returns: fires when it is closed.
        """
        self._sendto = None
        return maybeDeferred(self.transport.stopListening)

    @property
    def port(self) -> int:
        """Its number."""
        return int(self.transport.getHost().port)

    def send(self, data: bytes, address: Address) -> None:
        """Write one datagram, or not if the kernel will not."""
        if self._sendto is not None:
            try:
                self._sendto(data, address)
            except (OSError, TypeError):  # the latter where the address is of the other family
                self.errors += 1

    # What a budgeted port asks of its protocol.

    def begin_turn(self) -> None:
        """A batch of datagrams begins."""

    def end_turn(self) -> None:
        """The batch is over."""

    def datagrams_received(self, batch: list[tuple[bytes, Address]]) -> None:
        """Datagrams came, each with the address that it comes from."""
        for data, address in batch:
            try:
                self.datagramReceived(data, address)
            except Exception:
                self.defect()

    def now(self) -> float:
        """Of no use here."""
        return 0.0

    def read_until(self) -> float:
        """One turn's worth at a time."""
        return 0.0

    def rest_seconds(self) -> float:
        """What comes is to go on at once."""
        return 0.0

    def receive_failed(self, error: OSError) -> None:
        """The kernel reported an error on the socket."""
        self.errors += 1

    def defect(self) -> None:
        """A datagram met a defect of ours."""
        log.failure("a datagram could not be passed on")

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """Called with each datagram that came."""
        self._received(self, data, addr)


class Client:
    """One client: where it is, and its own socket towards the server."""

    __slots__ = ("address", "down", "heard_at", "listening", "socket", "up")

    def __init__(
        self, listening: Socket, address: Address, up: Impairment, down: Impairment
    ) -> None:
        self.listening = listening
        self.address = address
        self.up = up
        self.down = down
        self.heard_at = 0.0
        self.socket: Socket | None = None
        """None once the client is forgotten."""


class Clients:
    """Every UDP client of a relay.

    :param impairments: makes both directions of a new client, from its name.
    :param retired: told of both when the client is forgotten.
    """

    def __init__(
        self,
        reactor: Any,
        delays: Delays,
        impairments: Callable[[str], tuple[Impairment, Impairment]],
        retired: Callable[[Impairment, Impairment], object],
    ) -> None:
        self._reactor = reactor
        self._delays = delays
        self._impairments = impairments
        self._retired = retired
        self.server: Address | None = None
        """Where datagrams go; without it nowhere."""
        self.table: dict[tuple[Socket, Address], Client] = {}
        self.accepted = 0
        self.turned_away = 0
        """Datagrams of clients for whom there was no room, or no socket."""
        self.strange = 0
        """Datagrams that came from elsewhere than the server, or are longer than gamenet's."""
        self.overrun = 0
        """Datagrams dropped because too many were on their way."""

    def start(self) -> None:
        """Forget idle clients from now on."""
        self._delays.at(self._delays.now() + SWEEP_SECONDS, self._sweep)

    def received(self, listening: Socket, data: bytes, address: Address) -> None:
        """A client's datagram came."""
        now = self._delays.now()
        client = self.table.get((listening, address)) or self._new(listening, address, now)
        if client is None:
            self.turned_away += 1
        elif len(data) > MAX_DATAGRAM_BYTES:
            self.strange += 1
        else:
            client.heard_at = now
            for when, copy in client.up.datagram(data, now):
                if when <= now:
                    self._to_server(client, copy)
                else:
                    self._later(when, self._to_server, client, copy)

    def _answered(self, client: Client, socket: Socket, data: bytes, address: Address) -> None:
        """The server's datagram came."""
        if client.socket is not socket:
            return  # it was closed in the same turn
        if len(data) > MAX_DATAGRAM_BYTES or not _is_from(address, self.server):
            self.strange += 1
            return
        now = self._delays.now()
        for when, copy in client.down.datagram(data, now):
            if when <= now:
                self._to_client(client, copy)
            else:
                self._later(when, self._to_client, client, copy)

    def _later(
        self, when: float, call: Callable[[Client, bytes], object], client: Client, data: bytes
    ) -> None:
        if len(self._delays) < MAX_IN_FLIGHT:
            self._delays.at(when, call, client, data)
        else:
            self.overrun += 1

    def _to_server(self, client: Client, data: bytes) -> None:
        if client.socket is not None and self.server is not None:
            client.socket.send(data, self.server)

    def _to_client(self, client: Client, data: bytes) -> None:
        client.listening.send(data, client.address)

    # Clients.

    def _new(self, listening: Socket, address: Address, now: float) -> Client | None:
        if self.server is None:
            return None
        if len(self.table) >= MAX_CLIENTS:
            self._forget_idle(now, SWEEP_SECONDS)
            if len(self.table) >= MAX_CLIENTS:
                return None
        up, down = self._impairments(f"udp/{self.accepted + 1}")
        client = Client(listening, address, up, down)
        if not self._open(client):
            return None
        self.accepted += 1
        self.table[listening, address] = client
        return client

    def _open(self, client: Client) -> bool:
        """Give it a socket of its own towards the server."""
        assert self.server is not None

        def received(socket: Socket, data: bytes, address: Address) -> None:
            self._answered(client, socket, data, address)

        socket = Socket(received)
        try:
            interface = "::" if ":" in self.server[0] else "0.0.0.0"
            socket.open(self._reactor, 0, interface, CLIENT_BUFFER_BYTES)
        except (CannotListenError, OSError):
            return False
        client.socket = socket
        return True

    def _forget(self, client: Client) -> None:
        if self.table.pop((client.listening, client.address), None) is not None:
            self._close(client)
            self._retired(client.up, client.down)

    def _close(self, client: Client) -> None:
        socket, client.socket = client.socket, None
        if socket is not None:
            socket.close()

    def _sweep(self) -> None:
        self._forget_idle(self._delays.now(), IDLE_SECONDS)
        self.start()

    def _forget_idle(self, now: float, seconds: float) -> None:
        for client in list(self.table.values()):
            if now - client.heard_at >= seconds:
                self._forget(client)

    # What a test, or somebody at a terminal, has happen to all of them.

    def change_address(self) -> None:
        """Give each client another socket: the server sees it come from elsewhere.

        What is on its way from the server to the old one is lost.
        """
        for client in list(self.table.values()):
            self._close(client)
            if not self._open(client):
                self._forget(client)

    def close(self) -> None:
        """Forget everybody."""
        for client in list(self.table.values()):
            self._forget(client)


def _is_from(address: Address, server: Address | None) -> bool:
    return (
        server is not None
        and address[1] == server[1]
        and address[0].partition("%")[0] == server[0].partition("%")[0]
    )

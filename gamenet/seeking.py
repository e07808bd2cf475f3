"""Asks the local network for servers, and keeps what they answer.

Layer 4. Runs on: the reactor thread, but for :attr:`Seeker.found` and :attr:`Seeker.problem`,
which any thread may read.
"""

from __future__ import annotations

import secrets
import socket
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from gamenet.addresses import is_loopback, unmapped
from gamenet.core.beacon import (
    BROADCAST,
    GROUP,
    GROUP_IPV6,
    LOOPBACK_BROADCAST,
    PORT,
    TOKEN_BYTES,
    Query,
    decode_answer,
    encode_query,
)
from gamenet.errors import WireError
from gamenet.faults import DEFECT
from gamenet.found import Entry
from gamenet.lan import EVERYWHERE_IPV6, Interface, LanProtocol, interfaces, open_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gamenet.core.path import Address
    from gamenet.found import Found

log = Logger()
FIRST_PAUSES: Final = (0.25, 0.5)
"""Between the first queries; on Wi-Fi the first one is often lost."""
PAUSE_SECONDS: Final = 2.0
"""Between later ones."""
FORGET_SECONDS: Final = 7.0
"""A server that has not answered for so long is gone."""
PUBLISH_SECONDS: Final = 0.05
"""What comes within so long is sorted once."""
KEPT_TOKENS: Final = 4
"""An answer to one of so many last queries counts."""
MAX_SERVERS: Final = 256
MAX_SERVERS_PER_HOST: Final = 64
MAX_HOSTS_PER_SERVER: Final = 8
NO_NETWORK: Final = "this machine has no network that takes a query: is Wi-Fi or the cable on?"


class SeekerProtocol(LanProtocol):
    """One way into the network, and what comes back by it."""

    def __init__(self, heard: Callable[[bytes, Address], None]) -> None:
        self._heard = heard
        self._has_failed = False

    def defect(self) -> None:
        """A datagram met a defect of ours: logged once, for its sender can send more."""
        if not self._has_failed:
            self._has_failed = True
            log.failure(DEFECT)

    def datagramReceived(self, data: bytes, addr: Address) -> None:
        """A datagram came."""
        self._heard(data, addr)


class Seeker:
    """Asks again and again, until it is stopped.

    :param game: servers of other games are left out; "" takes all.
    """

    def __init__(
        self,
        reactor: Any,
        game: str = "",
        *,
        ways: Callable[[], list[Interface]] = interfaces,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.found: tuple[Found, ...] = ()
        """By name, then by address."""
        self.problem = ""
        """Why nobody can be asked; "" while somebody can be."""
        self._reactor = reactor
        self._game = game
        self._ways = ways
        self._random_bytes = random_bytes
        self._now = now
        self._tokens: deque[bytes] = deque(maxlen=KEPT_TOKENS)
        self._pauses = iter(FIRST_PAUSES)
        self._ports: dict[Interface | None, Any] = {}
        self._entries: dict[tuple[bytes, bytes, int], Entry] = {}
        self._next: Any = None
        self._publishing: Any = None

    def start(self) -> None:
        """Ask now, and go on."""
        self._next = self._reactor.callLater(next(self._pauses, PAUSE_SECONDS), self.start)
        self._forget()
        token = self._random_bytes(TOKEN_BYTES)
        self._tokens.append(token)
        there = self._ways()
        self._open(there)
        self.problem = (
            "" if self._ask(encode_query(Query(token, self._game)), there) else NO_NETWORK
        )

    def stop(self) -> None:
        """Ask nobody any more; can be called twice."""
        for call in (self._next, self._publishing):
            if call is not None and call.active():
                call.cancel()
        self._next = self._publishing = None
        ports, self._ports = self._ports, {}
        for port in ports.values():
            port.stopListening()

    # Asking.

    def _open(self, there: list[Interface]) -> None:
        """Have a port for each address, and one for all of IPv6; addresses come and go."""
        wanted: dict[Interface | None, str] = {way: way.address for way in there if not way.is_ipv6}
        if len(wanted) < len(there):
            wanted[None] = EVERYWHERE_IPV6
        for way in [each for each in self._ports if each not in wanted]:
            self._ports.pop(way).stopListening()
        for way, host in wanted.items():
            port = self._ports.get(way)
            if port is not None and port.connected:
                continue
            try:
                self._ports[way] = open_port(self._reactor, SeekerProtocol(self._heard), host)
            except (CannotListenError, OSError):
                self._ports.pop(way, None)

    def _ask(self, query: bytes, there: list[Interface]) -> bool:
        """:returns: whether anything has left."""
        sent = False
        for way in there:
            port = self._ports.get(None if way.is_ipv6 else way)
            if port is not None:
                for target in _targets(way):
                    sent = port.protocol.send(query, target) or sent
        return sent

    # Hearing.

    def _heard(self, data: bytes, address: Address) -> None:
        """A datagram came, from anybody."""
        try:
            answer = decode_answer(data)
        except WireError:
            return
        if answer.token not in self._tokens or self._game not in ("", answer.game):
            return
        key = (answer.server_id, answer.pin, answer.port)
        host = _host(address)
        entry = self._entries.get(key)
        if entry is None:
            if len(self._entries) >= MAX_SERVERS or self._is_crowded(host):
                return
            entry = self._entries[key] = Entry(answer)
        entry.answer = answer
        if host in entry.hosts or len(entry.hosts) < MAX_HOSTS_PER_SERVER:
            entry.hosts[host] = self._now()
        if self._publishing is None:
            self._publishing = self._reactor.callLater(PUBLISH_SECONDS, self._publish)

    def _is_crowded(self, host: str) -> bool:
        """Whether as many servers are known at an address as one may have."""
        here = sum(host in entry.hosts for entry in self._entries.values())
        return here >= MAX_SERVERS_PER_HOST

    def _forget(self) -> None:
        """Drop what has not answered for long."""
        long_ago = self._now() - FORGET_SECONDS
        for key, entry in list(self._entries.items()):
            for host in [host for host, when in entry.hosts.items() if when < long_ago]:
                del entry.hosts[host]
            if not entry.hosts:
                del self._entries[key]
        self._publish()

    def _publish(self) -> None:
        waiting, self._publishing = self._publishing, None
        if waiting is not None and waiting.active():
            waiting.cancel()
        found = (entry.found() for entry in self._entries.values())
        self.found = tuple(sorted(found, key=lambda each: (each.name.casefold(), each.address)))


def _targets(way: Interface) -> Iterator[Any]:
    """Whom to ask: the group, and who hears no multicast, by broadcast.

    On this machine also straight: some systems have neither there, and then one server is found.
    """
    if way.is_ipv6:
        yield (GROUP_IPV6, PORT, 0, way.number)
        yield ("::1", PORT, 0, 0)
        return
    yield (GROUP, PORT)
    if is_loopback(way.address):
        yield (LOOPBACK_BROADCAST, PORT)
        yield ("127.0.0.1", PORT)
    else:
        yield (BROADCAST, PORT)


def _host(address: Address) -> str:
    """The host of an address, with its scope where it needs one."""
    host = str(address[0]).partition("%")[0]
    scope = address[3] if len(address) > 3 else 0
    if not scope or not unmapped(host).is_link_local:
        return host
    try:
        return f"{host}%{socket.if_indextoname(scope)}"
    except OSError:
        return f"{host}%{scope}"

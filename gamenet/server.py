"""Servers for those who own the reactor.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol, ServerFactory

from gamenet import ports
from gamenet.core.states import State
from gamenet.low_latency import LowLatencyProtocol
from gamenet.reliable import ReliableProtocol
from gamenet.server_host import ServerHost

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from twisted.cred.portal import Portal
    from twisted.internet.interfaces import IAddress, IListeningPort

    from gamenet.bridge import Bridge
    from gamenet.config import ServerConfig
    from gamenet.server_verbs import ServerVerbs
    from gamenet.sinks import Sink


class TurnedAway(Protocol):
    """A connection beyond the limits: cut before a byte is read or written.

    Twisted's TLS cannot stand a factory that makes no protocol, so there is one.
    """

    def connectionMade(self) -> None:
        """Called by Twisted once connected."""
        transport: Any = self.transport
        transport.abortConnection()


class GameServerFactory(ServerFactory):
    """A game server for those who own the reactor: listen with it, then ``listen_udp``.

    :param sink: a :class:`~gamenet.bridge.Bridge` for a game thread, or any object with
        ``offer(event) -> bool`` called on the reactor thread.
    :param config: its ``listen`` and ``udp`` are not used; you listen.
    :param portal: a ``twisted.cred`` portal whose realm gives
        :class:`~gamenet.credentials.IPlayerAvatar`; None lets everybody in as a guest.

    Listen with TLS 1.3, unless the config says ``insecure``: plain connections are refused then.
    """

    noisy = False

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ServerConfig,
        *,
        portal: Portal | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.host = ServerHost(sink, config, portal, reactor, now, random_bytes)
        self.closes_at_once = False
        """Whether whoever wraps this factory can stand that it makes no protocol. A connection
        beyond the limits is then closed before the next is accepted, and holds no file."""

    @property
    def verbs(self) -> ServerVerbs:
        """The server's verbs, for use on the reactor thread."""
        return self.host.verbs

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Called by Twisted for each connection; None closes it."""
        key = self.host.gate.key(str(getattr(addr, "host", "")))
        if not self.host.admits(key):
            return None if self.closes_at_once else TurnedAway()
        protocol = ReliableProtocol(self.host, State.AWAITING_HELLO, key)
        protocol.factory = self
        return protocol

    def listen_udp(self, port: int, interface: str = "") -> IListeningPort:
        """Open the UDP side: a port that reads a bounded number of datagrams a turn.

        :raises twisted.internet.error.CannotListenError: if the address is taken.
        """
        return ports.listen(
            self.host.reactor,
            port,
            LowLatencyProtocol(self.host),
            interface,
            budget=self.host.config.datagrams_per_turn,
            buffer_bytes=self.host.config.udp_buffer_bytes,
        )

    def adopt_udp(self, opened: socket.socket) -> IListeningPort:
        """Take a UDP socket over that somebody else has opened and bound, and does not block.

        :raises OSError: if it cannot be read; the socket is closed then.
        :raises twisted.internet.error.CannotListenError: if it cannot be used.
        """
        return ports.adopt(
            self.host.reactor,
            opened,
            LowLatencyProtocol(self.host),
            budget=self.host.config.datagrams_per_turn,
            buffer_bytes=self.host.config.udp_buffer_bytes,
        )

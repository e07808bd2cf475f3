"""Clients for those who own the reactor.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import ClientFactory

from gamenet.checks import check_label
from gamenet.client_host import ClientHost
from gamenet.core.states import State
from gamenet.credentials import make_secret
from gamenet.redial import Dialler
from gamenet.reliable import ReliableProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IStreamClientEndpoint

    from gamenet.bridge import Bridge
    from gamenet.client_verbs import ClientVerbs
    from gamenet.config import ClientConfig
    from gamenet.sinks import Sink


class GameClientFactory(ClientFactory):
    """A game client for those who own the reactor: ``dial`` an endpoint with it, once.

    :param sink: a :class:`~gamenet.bridge.Bridge`, or any object with ``offer(event) -> bool``.
    :param user: the name to ask for; "" has the server name a guest.
    :param password: the secret of the account of that name.
    :param ticket: what somebody whom the server trusts signed for this player.
    :raises ConfigError: if *user* or a secret cannot be sent.

    Whoever connects it in another way has a client that does not come back when its connection is
    lost. Connect by TLS unless the config says ``insecure``: :mod:`gamenet.dial` has an endpoint
    that does, and checks the server's certificate.
    """

    noisy = False

    def __init__(
        self,
        sink: Bridge | Sink,
        config: ClientConfig,
        *,
        user: str = "",
        password: str | None = None,
        ticket: bytes | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        check_label("user", user)
        if reactor is None:
            from twisted.internet import reactor
        secret = make_secret(config, user, password, ticket)
        self.host = ClientHost(sink, config, user, secret, reactor, now, random_bytes)

    @property
    def verbs(self) -> ClientVerbs:
        """The client's verbs, for use on the reactor thread."""
        return self.host.verbs

    def dial(self, endpoint: IStreamClientEndpoint) -> Deferred[None]:
        """Connect by *endpoint*, and again whenever the connection is lost.

        A session whose connection is lost then waits for the next one instead of being over.

        :param endpoint: one of Twisted's, or a :class:`~gamenet.dial.Dial`.
        :returns: fires when the first attempt is over; how it went is an event, as always.
        """
        self.host.dialler = Dialler(self.host, self, endpoint)
        return self.host.dialler.connect()

    def buildProtocol(self, addr: IAddress | None) -> ReliableProtocol | None:
        """Called by Twisted once connected."""
        host = self.host
        if host.over:
            return None
        protocol = ReliableProtocol(host, State.AWAITING_ACCEPT)
        protocol.factory = self
        return protocol

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        """Called by Twisted when no connection came about."""
        self.host.unreachable(reason.getErrorMessage())

"""The one way to a server: an address dialled over TLS, or over plain TCP.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from gamenet.tls import client_creator, explain, wrap_client

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IProtocol, IProtocolFactory
    from twisted.python.failure import Failure

    from gamenet.addresses import Target
    from gamenet.config import ClientConfig


@implementer(IStreamClientEndpoint)
class Dial:
    """An endpoint of Twisted's that connects factories to a server, any number of times.

    :param target: where the server is, and what certificate it must show if that is pinned.
    :param config: whether there is TLS, whom to trust, and how long to try.
    :param reactor: None is the one that runs.
    :param via: where to connect instead: somebody who passes on what *target* must still prove.
    :raises ConfigError: if the host is no name, or the file of authorities cannot be used.
    """

    def __init__(
        self,
        target: Target,
        config: ClientConfig,
        reactor: Any = None,
        *,
        via: Target | None = None,
    ) -> None:
        if reactor is None:
            from twisted.internet import reactor
        self.target = target
        self._creator = (
            None
            if config.insecure
            else client_creator(target.host, ca_file=config.ca_file, pin=target.pin)
        )
        place = via or target
        kind: Any
        if isIPAddress(place.host):
            kind = TCP4ClientEndpoint
        elif isIPv6Address(place.host):
            kind = TCP6ClientEndpoint
        else:
            # Looks the name up on a thread of the reactor's pool, and tries all its addresses.
            kind = HostnameEndpoint
        self._endpoint: IStreamClientEndpoint = kind(
            reactor, place.host, place.port, timeout=config.join_seconds
        )

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect *protocolFactory*; TLS begins once the connection stands.

        :returns: fires with the outermost protocol; fails if nobody answers.
        """
        factory = protocolFactory
        if self._creator is not None:
            factory = wrap_client(self._creator, factory)
        connected: Deferred[IProtocol] = self._endpoint.connect(factory)
        return connected

    def why(self, failure: Failure) -> str:
        """Why an attempt to connect came to nothing, for the player."""
        text = explain(failure)
        if text is not None:
            return text
        if failure.check(DNSLookupError):
            return f"there is no host of the name {self.target.host!r}"
        if failure.check(ConnectError):
            text = failure.getErrorMessage().partition(":")[0].rstrip(".")
            return f"no server answers at {self.target}: {text}"
        return f"no server answers at {self.target}: {type(failure.value).__name__}"

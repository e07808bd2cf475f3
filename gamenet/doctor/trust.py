"""Whether the server proves who it is: a TLS handshake, and nothing after it.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory, Protocol, connectionDone
from zope.interface import implementer

from gamenet.dial import Dial
from gamenet.doctor.facts import Shown
from gamenet.tls import explain, fingerprint_of

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from gamenet.addresses import Target
    from gamenet.config import ClientConfig

HUNG_UP: Final = "the server hung up during the TLS handshake"


class Look:
    """One handshake with the server, verified as a client does it.

    :raises ConfigError: if the file of authorities cannot be used.
    """

    def __init__(self, target: Target, config: ClientConfig, reactor: Any) -> None:
        self.shown: Shown | None = None
        """How it went, once it is over."""
        self._dial = Dial(target, config, reactor)
        self._began = 0.0
        self._connected: Any = None
        self.connection: Any = None

    def start(self) -> None:
        """Connect."""
        self._began = time.monotonic()
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = self._build  # type: ignore[assignment,method-assign]
        self._connected = self._dial.connect(factory)
        self._connected.addErrback(self._failed)

    def stop(self) -> None:
        """Give up what is still under way."""
        if self._connected is not None:
            self._connected.cancel()
        if self.connection is not None:
            self.connection.abortConnection()

    def _build(self, address: IAddress | None) -> Protocol:
        return _Listener(self)

    def _failed(self, failure: Failure) -> None:
        self.ended(self._dial.why(failure))

    def ended(self, problem: str) -> None:
        """The connection is gone, or was never there."""
        if self.shown is None:
            self.shown = Shown(problem)

    def stands(self, handle: Any) -> None:
        """The server has proved what it had to."""
        certificate = handle.get_peer_certificate().to_cryptography()
        until = certificate.not_valid_after_utc
        self.shown = Shown(
            fingerprint=fingerprint_of(certificate),
            version=handle.get_protocol_version_name(),
            expires=f"{until:%Y-%m-%d}",
            days_left=(until - datetime.now(UTC)).days,
            seconds=time.monotonic() - self._began,
        )


@implementer(IHandshakeListener)
class _Listener(Protocol):
    """Tells how the handshake went, and hangs up."""

    transport: Any

    def __init__(self, look: Look) -> None:
        self._look = look

    def connectionMade(self) -> None:
        """Called by Twisted once TCP stands."""
        self._look.connection = self.transport

    def handshakeCompleted(self) -> None:
        """Called by Twisted once TLS stands."""
        self._look.stands(self.transport.getHandle())
        self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted once the connection is gone."""
        self._look.connection = None
        self._look.ended(explain(reason) or HUNG_UP)

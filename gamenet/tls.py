"""TLS 1.3 for the TCP end: whom a server says it is, and whom a client believes.

Layer 3. Runs on: the reactor thread.

A client trusts the system's authorities, a file of authorities, or one pinned certificate. Whatever
goes wrong while it makes sure becomes a sentence for the player, which :func:`explain` finds in the
failure that ends the connection.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any, Final

import idna
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import VerificationError
from service_identity.cryptography import verify_certificate_hostname, verify_certificate_ip_address
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IOpenSSLClientConnectionCreator,
    IOpenSSLServerConnectionCreator,
)
from twisted.internet.protocol import connectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gamenet.authorities import new_context, trusting, trusting_nobody
from gamenet.errors import ConfigError
from gamenet.keyfiles import Identity, read_identity
from gamenet.tls_problems import (
    HUNG_UP,
    TlsProblem,
    explain,
    fault,
    words_of,
    wrong_name,
    wrong_pin,
)

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from OpenSSL.crypto import X509
    from twisted.internet.interfaces import IAddress, IProtocolFactory

__all__ = [
    "ClientCreator",
    "ServerContext",
    "TlsProblem",
    "client_creator",
    "explain",
    "fingerprint_of",
    "wrap_client",
    "wrap_server",
]


MAX_HANDSHAKE_BYTES: Final = 16_384
"""Of one side, until its TLS handshake is through; some authorities' chains have 10,000."""


def fingerprint_of(certificate: Certificate) -> str:
    """SHA-256 of the certificate in DER form, 64 lower hex digits: what a client can pin."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


class _BoundedTls(TLSMemoryBIOProtocol):
    """Reads no endless handshake.

    OpenSSL keeps what a peer has sent of a message until all of it is there, and would take 128 KiB
    of a stranger.
    """

    _early_bytes = 0

    def dataReceived(self, data: bytes) -> None:
        """Called by Twisted with what came, still encrypted."""
        if self._early_bytes <= MAX_HANDSHAKE_BYTES and not self._handshakeDone:
            self._early_bytes += len(data)
            if self._early_bytes > MAX_HANDSHAKE_BYTES:
                self.abortConnection()
                return
        super().dataReceived(data)


class TlsFactory(TLSMemoryBIOFactory):
    """Wraps the connections of another factory; what is written goes out at once.

    Twisted's own would hold every write back for a turn of the reactor, to join small ones, which
    ours are already. And it would fail where the wrapped factory refuses a connection.
    """

    protocol: type[TLSMemoryBIOProtocol] = _BoundedTls

    def __init__(self, creator: Any, is_client: bool, factory: IProtocolFactory) -> None:
        # The clock is for joining writes, which is not done here.
        super().__init__(creator, is_client, factory, Clock())

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Called by Twisted for each connection; None closes it."""
        wrapped = self.wrappedFactory.buildProtocol(addr)
        return None if wrapped is None else self.protocol(self, wrapped)


# The server's end.


@implementer(IOpenSSLServerConnectionCreator)
class ServerContext:
    """A server's certificate and key, which can be read again while it runs.

    :param cert_file: PEM file with the certificate, and those that vouch for it after it.
    :param key_file: PEM file with its private key, which nobody else may read.
    :param chain_file: PEM file with more certificates that vouch for it.
    :raises ConfigError: naming the file's field and what is wrong.
    """

    def __init__(self, cert_file: str, key_file: str, chain_file: str = "") -> None:
        # Absolute, because a daemon may change its working directory before it reads them again.
        self._cert_file = os.path.abspath(cert_file)
        self._key_file = os.path.abspath(key_file)
        self._chain_file = os.path.abspath(chain_file) if chain_file else ""
        self._identity: Identity
        self._context: SSL.Context
        self.reload()

    def reload(self) -> None:
        """Read the files again; connections made from here on get what they hold.

        :raises ConfigError: as at first; the certificate in use stays.
        """
        identity = read_identity(self._cert_file, self._key_file, self._chain_file)
        context = new_context()
        try:
            context.use_certificate(identity.chain[0])
            for certificate in identity.chain[1:]:
                context.add_extra_chain_cert(certificate)
            context.use_privatekey(identity.key)
            context.check_privatekey()
        except (SSL.Error, TypeError) as error:
            why = words_of(error) if isinstance(error, SSL.Error) else "no such kind of key"
            raise ConfigError(
                "cert_file", f"{self._cert_file} cannot be used for TLS 1.3: {why}"
            ) from None
        self._identity, self._context = identity, context

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in DER form, 64 lower hex digits: what a client can pin."""
        return fingerprint_of(self._identity.chain[0])

    @property
    def is_self_signed(self) -> bool:
        """Whether nobody but the certificate itself vouches for it."""
        certificate = self._identity.chain[0]
        return certificate.issuer == certificate.subject

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Called by Twisted for each connection."""
        return SSL.Connection(self._context, None)


def wrap_server(context: Any, factory: IProtocolFactory) -> TLSMemoryBIOFactory:
    """A factory for plain connections that serves those of *factory* over TLS.

    :param context: a :class:`ServerContext`, or any ``IOpenSSLServerConnectionCreator``.
    """
    return TlsFactory(context, False, factory)


# The client's end.


class _ClientTls(TLSMemoryBIOProtocol):
    """Notices a server that hangs up instead of answering in TLS."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Called by Twisted once the connection is gone."""
        if self._reason is None and reason.check(ConnectionDone, ConnectionLost):
            handle = self.getHandle()
            if handle is not None and handle.get_finished() is None:
                self._reason = Failure(TlsProblem(HUNG_UP))
        super().connectionLost(reason)


class _ClientTlsFactory(TlsFactory):
    protocol = _ClientTls


@implementer(IOpenSSLClientConnectionCreator)
class ClientCreator:
    """Makes a client's connections, each of which verifies the server's certificate.

    :param host: the name or address that the certificate must be for, unless there is a pin.
    :param ca_file: PEM file of the authorities to trust; "" has the system's.
    :param pin: fingerprint of the one certificate to trust, whoever vouches for it or does not.
    :raises ConfigError: if the host is no name, or the file of authorities cannot be used.
    """

    def __init__(self, host: str, ca_file: str = "", pin: str = "") -> None:
        self._host = host
        self._pin = pin
        self._is_address = isIPAddress(host) or isIPv6Address(host)
        self._name = host.partition("%")[0] if self._is_address else _ascii_name(host)
        self._context = trusting_nobody() if pin else trusting(ca_file)

    def clientConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Called by Twisted for each connection."""
        connection = SSL.Connection(self._context, None)
        if not self._is_address:
            connection.set_tlsext_host_name(self._name.encode("ascii"))

        def verify(_: SSL.Connection, shown: X509, error: int, depth: int, ok: int) -> bool:
            """Called by OpenSSL for each certificate, and for each fault that it finds."""
            try:
                problem = self._problem(shown.to_cryptography(), error, depth, bool(ok))
            except Exception as defect:
                # Nothing that a certificate holds may get it accepted.
                problem = f"the server's certificate cannot be read: {type(defect).__name__}"
            if problem is not None:
                protocol.failVerification(Failure(TlsProblem(problem)))
            return problem is None

        connection.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verify)
        return connection

    def _problem(self, shown: Certificate, error: int, depth: int, ok: bool) -> str | None:
        presented = fingerprint_of(shown)
        if self._pin:
            # Who vouches for it, for which name and until when, makes no difference.
            if depth or hmac.compare_digest(presented, self._pin):
                return None
            return wrong_pin(self._pin, presented)
        if not ok:
            return fault(shown, presented, error, depth)
        if depth == 0:
            try:
                if self._is_address:
                    verify_certificate_ip_address(shown, self._name)
                else:
                    verify_certificate_hostname(shown, self._name)
            except VerificationError:
                return wrong_name(self._host)
        return None


def client_creator(target_host: str, *, ca_file: str = "", pin: str = "") -> ClientCreator:
    """What makes a client's connections to *target_host*; see :class:`ClientCreator`."""
    return ClientCreator(target_host, ca_file, pin)


def wrap_client(creator: ClientCreator, factory: IProtocolFactory) -> TLSMemoryBIOFactory:
    """A factory for plain connections that plays those of *factory* over TLS."""
    return _ClientTlsFactory(creator, True, factory)


def _ascii_name(host: str) -> str:
    name = host.rstrip(".")
    if name.isascii():
        return name.lower()
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise ConfigError("address", f"{host!r} is not the name of a host") from None

"""Certificates and keys for tests, made when a test asks for them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from gamenet.certificates import Made, make_certificate
from gamenet.tls import fingerprint_of

if TYPE_CHECKING:
    from pathlib import Path

DAY = timedelta(days=1)


class Files(NamedTuple):
    """A certificate and its key in files."""

    cert: str
    key: str


def write(folder: Path, made: Made, name: str = "server") -> Files:
    """Put a certificate and its key into files, the key for our eyes only."""
    cert, key = folder / f"{name}-cert.pem", folder / f"{name}-key.pem"
    cert.write_bytes(made.certificate)
    key.write_bytes(made.key)
    key.chmod(0o600)
    return Files(os.fspath(cert), os.fspath(key))


def expired(*names: str) -> Made:
    """One that was good for a day, two days ago."""
    return make_certificate(names, 1, start=datetime.now(UTC) - 2 * DAY - timedelta(hours=1))


def early(*names: str) -> Made:
    """One that will be good from tomorrow on."""
    return make_certificate(names, 1, start=datetime.now(UTC) + DAY)


class Authority:
    """Vouches for certificates, as those do that systems trust."""

    def __init__(self, name: str = "an authority") -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign(self._name, self._key.public_key(), 30 * DAY, is_ca=True)

    @property
    def pem(self) -> bytes:
        """What a client is given to trust."""
        return self.certificate.public_bytes(Encoding.PEM)

    def vouch(self, *names: str, end: timedelta = 10 * DAY, begin: timedelta = -5 * DAY) -> Made:
        """A certificate for host names, with the authority's own after it.

        :param end: when it ends, from now.
        :param begin: when its life begins, from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        signed = self._sign(subject, key.public_key(), end, begin=begin, names=names)
        return Made(
            signed.public_bytes(Encoding.PEM) + self.pem,
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            fingerprint_of(signed),
        )

    def _sign(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        end: timedelta,
        *,
        begin: timedelta = -5 * DAY,
        names: tuple[str, ...] = (),
        is_ca: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names:
            dns = [x509.DNSName(name) for name in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(dns), critical=False)
        return builder.sign(self._key, SHA256())

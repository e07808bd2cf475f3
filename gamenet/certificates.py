"""Certificates that vouch for themselves: ``gamenet cert``.

Layer 4. Runs on: the main thread.

Such a certificate costs nothing and needs no authority: players get its fingerprint with the
server's address, and their clients accept that certificate and no other.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import idna
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gamenet.addresses import DEFAULT_PORT, join_address
from gamenet.cli_values import whole
from gamenet.errors import ConfigError
from gamenet.tls import fingerprint_of

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

CERT_FILE: Final = "gamenet-cert.pem"
KEY_FILE: Final = "gamenet-key.pem"
DAYS: Final = 3_650
"""A pinned certificate's dates make no difference to those who pin it."""
MAX_DAYS: Final = 36_500
_EARLY: Final = timedelta(days=1)
"""How much earlier than now its life begins, for clocks that are late."""


class Made(NamedTuple):
    """A certificate and its key, in PEM form."""

    certificate: bytes
    key: bytes
    fingerprint: str

    def __repr__(self) -> str:
        return f"Made({self.fingerprint})"


def make_certificate(
    names: Sequence[str], days: int = DAYS, *, start: datetime | None = None
) -> Made:
    """A self-signed certificate on the curve P-256.

    :param names: host names and addresses that it is for, at least one.
    :param start: the beginning of its life; by default now, with a day for late clocks.
    :raises ConfigError: if a name is none.
    """
    subjects = x509.SubjectAlternativeName([_general_name(name) for name in names])
    begins = start or datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - (timedelta() if start else _EARLY))
        .not_valid_after(begins + timedelta(days=days))
        .add_extension(subjects, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(subject_key, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(subject_key),
            critical=False,
        )
    )
    certificate = builder.sign(key, SHA256())
    return Made(
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        fingerprint_of(certificate),
    )


def _general_name(name: str) -> x509.GeneralName:
    with contextlib.suppress(ValueError):
        return x509.IPAddress(ipaddress.ip_address(name))
    try:
        return x509.DNSName(idna.encode(name, uts46=True, std3_rules=True).decode("ascii"))
    except (idna.IDNAError, ValueError):
        raise ConfigError(
            "name", f"{name!r} is neither the name of a host nor an address; leave the port out"
        ) from None


def _own_name() -> list[str]:
    """What this machine calls itself, if that can be the name of a host."""
    own = socket.gethostname()
    try:
        _general_name(own)
    except ConfigError:
        return []
    return [own]


def own_names() -> list[str]:
    """What a server on this machine may be called by those who join it from here."""
    return [*_own_name(), "localhost", "127.0.0.1", "::1"]


def write_certificate(folder: Path, made: Made, *, force: bool = False) -> None:
    """Write both files, the key so that nobody else can read it.

    :param force: replace what is there.
    :raises ConfigError: if something is there, and need not be replaced.
    """
    there = [name for name in (CERT_FILE, KEY_FILE) if os.path.lexists(folder / name)]
    if there and not force:
        raise ConfigError(
            "",
            f"{' and '.join(there)} {'are' if len(there) > 1 else 'is'} here already, and players "
            "may have pinned it; to replace it, say --force",
        )
    _write(folder / KEY_FILE, made.key, 0o600, force)
    _write(folder / CERT_FILE, made.certificate, 0o644, force)


def _write(path: Path, data: bytes, mode: int, force: bool) -> None:
    """:raises ConfigError: if it cannot be written, or is there and need not be replaced."""
    # Never through a link or into a file of somebody else's: the file is always a new one.
    made = path.with_name(f"{path.name}.{os.getpid()}.new") if force else path
    try:
        descriptor = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with open(descriptor, "wb") as file:
                file.write(data)
            if force:
                os.replace(made, path)
        except OSError:
            made.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError("", f"cannot write {path.name}: {error.strerror}") from None


def add_command(commands: Any) -> None:
    """Add ``gamenet cert`` to what ``ArgumentParser.add_subparsers`` returned."""
    cert = commands.add_parser(
        "cert",
        help="make a certificate for a server",
        description=f"Write {CERT_FILE} and {KEY_FILE} to the working directory: a certificate "
        "that vouches for itself, and its key. Players get its fingerprint with the server's "
        "address, and trust that certificate and no other.",
    )
    cert.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="HOST",
        help="a name or address of the server; may be repeated (default: this machine's)",
    )
    cert.add_argument(
        "--days",
        type=whole(1, MAX_DAYS),
        default=DAYS,
        metavar="N",
        help=f"of its life (default {DAYS})",
    )
    cert.add_argument("--force", action="store_true", help="replace files that are there")
    cert.set_defaults(run=run_cert)


def run_cert(arguments: argparse.Namespace) -> int:
    """``gamenet cert``: make both files in the working directory, and say how to use them.

    :returns: the exit status.
    :raises ConfigError: if a name is none, or a file is there already.
    """
    names = arguments.name or own_names()
    made = make_certificate(names, arguments.days)
    write_certificate(Path(), made, force=arguments.force)
    address = f"gamenet://{join_address(names[0], DEFAULT_PORT)}#sha256={made.fingerprint}"
    print(
        f"written      {CERT_FILE} and {KEY_FILE}, which is yours alone; for "
        f"{arguments.days} days\n"
        f"fingerprint  sha256={made.fingerprint}\n"
        f"serve        twistd -n gamenet --cert {CERT_FILE} --key {KEY_FILE}\n"
        f"share        {address}",
        flush=True,
    )
    return 0

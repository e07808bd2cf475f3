"""A server's certificate and private key, read from their files and looked over.

Layer 3. Runs on: any thread.
"""

from __future__ import annotations

import os
import stat
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509 import Certificate, load_pem_x509_certificates

from gamenet.errors import ConfigError

MAX_FILE_BYTES = 1_048_576
"""A file of keys is a few kilobytes; whatever is larger is another file."""


KEY_MARK = b"PRIVATE KEY-----"
"""In every PEM file that holds a private key."""


class Identity(NamedTuple):
    """Who a server says it is."""

    chain: list[Certificate]
    """Its certificate, then those that vouch for it."""
    key: Any
    """The private key of the first."""

    def __repr__(self) -> str:
        return f"Identity({len(self.chain)} certificates)"


def read_identity(cert_file: str, key_file: str, chain_file: str = "") -> Identity:
    """Read the files.

    :param chain_file: more certificates that vouch for the server's; "" for none.
    :raises ConfigError: naming ``cert_file`` or ``key_file``, and what is wrong.
    """
    chain = _read_chain(cert_file)
    key = _read_key(key_file)
    theirs, ours = (
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for public in (chain[0].public_key(), key.public_key())
    )
    if theirs != ours:
        raise ConfigError(
            "key_file", f"{key_file} is not the key of the certificate in {cert_file}"
        )
    if chain_file:
        chain += _certificates(chain_file)
    return Identity(chain, key)


def _read_chain(path: str) -> list[Certificate]:
    chain = _certificates(path)
    now = datetime.now(UTC)
    if chain[0].not_valid_after_utc < now:
        raise ConfigError(
            "cert_file",
            f"the certificate in {path} expired on {chain[0].not_valid_after_utc:%Y-%m-%d}; get a "
            "new one, or make one with 'gamenet cert --force'",
        )
    if chain[0].not_valid_before_utc > now:
        raise ConfigError(
            "cert_file",
            f"the certificate in {path} is not valid before "
            f"{chain[0].not_valid_before_utc:%Y-%m-%d}; see whether this machine's clock is right",
        )
    return chain


def _certificates(path: str) -> list[Certificate]:
    data = _read(path, "cert_file")
    try:
        return load_pem_x509_certificates(data)
    except ValueError:
        raise ConfigError("cert_file", f"{path} holds no certificate in PEM form") from None


def _read_key(path: str) -> Any:
    data = _read(path, "key_file", secret=True)
    try:
        return load_pem_private_key(data, None)
    except TypeError:
        raise ConfigError(
            "key_file",
            f"{path} is locked with a passphrase, which nobody could type when a server starts; "
            f"write it without: openssl pkey -in {path} -out NEW",
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        # Without the cause: a library's words about a key's bytes may quote them.
        raise ConfigError("key_file", f"{path} holds no private key in PEM form") from None


def _read(path: str, field: str, *, secret: bool = False) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
            if secret and KEY_MARK in data:
                check_private(os.fstat(file.fileno()), path, field)
    except OSError as error:
        raise ConfigError(field, f"cannot read {path}: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(field, f"{path} is too large to be a file in PEM form")
    return data


def check_private(found: os.stat_result, path: str, field: str, what: str = "private key") -> None:
    """Refuse a file of secrets that others on this machine can read.

    A group may read one that belongs to root, which is how a system's own groups for keys work.

    :param what: the secret, in words.
    :raises ConfigError: saying how to close it.
    """
    if os.name != "posix":
        return
    closed = stat.S_IRWXG | stat.S_IRWXO
    if found.st_uid == 0:
        closed &= ~stat.S_IRGRP
    if found.st_mode & closed:
        raise ConfigError(
            field,
            f"others on this machine can read the {what} in {path}; close it with: "
            f"chmod 600 {path}",
        )

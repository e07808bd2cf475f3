"""Whom clients believe: contexts of OpenSSL with the authorities of the system or of a file.

Layer 3. Runs on: the reactor thread.
"""

from __future__ import annotations

import os
import ssl
import stat
import sys
from functools import lru_cache
from typing import Any

from cryptography.x509 import load_der_x509_certificate
from OpenSSL import SSL
from OpenSSL.crypto import X509

from gamenet.errors import ConfigError


def new_context() -> SSL.Context:
    """What both ends have in common: TLS 1.3 only, and no buffers for connections at rest."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    return context


@lru_cache(maxsize=1)
def trusting_nobody() -> SSL.Context:
    """The context of clients that know their server's certificate."""
    return new_context()


def trusting(ca_file: str) -> SSL.Context:
    """The context of clients that trust the authorities in *ca_file*, or those of the system.

    :raises ConfigError: if the file cannot be used.
    """
    if not ca_file:
        return _read("", 0, 0)
    try:
        found = os.stat(ca_file)
    except OSError as error:
        raise ConfigError("ca_file", f"cannot read {ca_file}: {error.strerror}") from None
    if stat.S_ISDIR(found.st_mode):
        raise ConfigError(
            "ca_file", f"{ca_file} is a directory; name one file with the certificates to trust"
        )
    return _read(ca_file, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=8)
def _read(ca_file: str, changed: int, size: int) -> SSL.Context:
    """Kept, because the system's authorities take milliseconds to read, and bots are many."""
    context = new_context()
    if not ca_file:
        _trust_system(context)
        return context
    try:
        context.load_verify_locations(ca_file)
    except SSL.Error:
        raise ConfigError(
            "ca_file",
            f"{ca_file} holds no certificate in PEM form that could be used; ask whoever runs the "
            "server for the file, or for an address with its fingerprint",
        ) from None
    return context


def _trust_system(context: SSL.Context) -> None:
    """Trust what the system trusts: OpenSSL's places, Python's, and the store of Windows."""
    context.set_default_verify_paths()
    places = [ssl.get_default_verify_paths().cafile]
    if sys.platform == "darwin":
        places.append("/etc/ssl/cert.pem")
    for place in filter(None, places):
        try:
            context.load_verify_locations(place)
        except SSL.Error:
            pass  # another of the places will do
    list_windows: Any = getattr(ssl, "enum_certificates", None)
    if list_windows is None:
        return
    store: Any = context.get_cert_store()
    for der, encoding, _ in list_windows("ROOT"):
        if encoding == "x509_asn":
            store.add_cert(X509.from_cryptography(load_der_x509_certificate(der)))

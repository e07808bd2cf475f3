"""The record layer: every datagram sealed with AES-256-GCM under keys of its session.

Layer 1. Runs on: the reactor thread. PROTOCOL section 3; HKDF is RFC 5869, GCM is NIST SP 800-38D.

Keys never outlive one connection id, each direction has its own, and a packet number is never
used twice, so no (key, nonce) pair ever repeats. The cipher objects are kept for the session:
making one costs more than sealing a small datagram.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gamenet.core.window import MAX_NUMBER
from gamenet.core.wire import HEADER, HEADER_BYTES, PREFIX

if TYPE_CHECKING:
    from gamenet.core.frames import Accept

KEY_BYTES: Final = 32
IV_BYTES: Final = 12
SECRET_BYTES: Final = 32
HARD_STOP = 1 << 23
"""Datagrams under one key; sealing one more is refused (the bound of RFC 9001 section 6.6)."""

CLIENT_TO_SERVER: Final = b"c2s"
SERVER_TO_CLIENT: Final = b"s2c"

Forged = InvalidTag
"""Raised by ``Opener.open`` for a datagram that was not sealed under its key."""


class Keys(NamedTuple):
    """One direction of one epoch."""

    key: bytes
    iv: bytes

    def __repr__(self) -> str:
        return "<Keys>"


class Schedule:
    """Where the keys of one connection id come from, epoch after epoch.

    :param exporter: 32 bytes of TLS keying material, or b"" where there is no TLS.
    """

    __slots__ = ("_context", "_prk", "epoch")

    def __init__(self, accept: Accept, exporter: bytes = b"") -> None:
        self._prk = _extract(exporter, accept.udp_secret)
        self._context = _context(accept.session_id, accept.cid, accept.suite, accept.flags)
        self.epoch = 0

    def directions(self) -> tuple[Keys, Keys]:
        """Client to server, server to client."""
        context = self._context + self.epoch.to_bytes(4, "big")
        return (
            _direction(self._prk, CLIENT_TO_SERVER, context),
            _direction(self._prk, SERVER_TO_CLIENT, context),
        )

    def advance(self, salt: bytes) -> None:
        """Go to the next epoch; what this one's keys came from is forgotten.

        :param salt: 32 random bytes that REKEY delivered.
        """
        self._prk = _extract(salt, self._prk)
        self.epoch += 1


def _extract(salt: bytes, secret: bytes) -> bytes:
    """HKDF-Extract."""
    return hmac.digest(salt or bytes(SECRET_BYTES), secret, "sha256")


def _context(session_id: bytes, cid: int, suite: int, flags: int) -> bytes:
    return b"".join((session_id, cid.to_bytes(4, "big"), bytes((suite, flags))))


def _direction(prk: bytes, direction: bytes, context: bytes) -> Keys:
    return Keys(
        _expand(prk, b"gamenet1 " + direction + b" key" + context, KEY_BYTES),
        _expand(prk, b"gamenet1 " + direction + b" iv" + context, IV_BYTES),
    )


def _expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand for at most one block of SHA-256."""
    assert length <= hashlib.sha256().digest_size
    return hmac.digest(prk, info + b"\x01", "sha256")[:length]


class Sealer:
    """Seals the datagrams of one direction; counts its packet numbers up from 0."""

    __slots__ = ("_cid", "_encrypt", "_iv", "began", "first_byte", "number", "stop")

    def __init__(self, keys: Keys, cid: int, epoch: int = 0) -> None:
        self._cid = cid
        self.number = 0
        """The packet number that the next datagram gets."""
        self.rekey(keys, epoch)

    def rekey(self, keys: Keys, epoch: int) -> None:
        """Seal with other keys from the next datagram on; the numbers go on."""
        self._encrypt = AESGCM(keys.key).encrypt
        self._iv = int.from_bytes(keys.iv, "big")
        self.first_byte = PREFIX | (epoch & 3) << 4
        self.began = self.number
        """The first number under these keys."""
        self.stop = min(self.number + HARD_STOP, MAX_NUMBER)
        """The first number that is refused."""

    def skip(self) -> int:
        """A number for what does not need the key, because it goes by another transport."""
        number = self.number
        self.number = number + 1
        return number

    def seal(self, kind: int, body: bytes) -> bytes:
        """The next datagram.

        :raises OverflowError: past the hard stop of the key.
        """
        number = self.number
        if number >= self.stop:
            raise OverflowError("this key has sealed as many datagrams as it safely may")
        self.number = number + 1
        header = HEADER.pack(self.first_byte | kind, self._cid, number & 0xFFFFFFFF)
        encrypt = self._encrypt
        return header + encrypt((self._iv ^ number).to_bytes(12, "big"), body, header)


class Opener:
    """Opens the datagrams of one direction."""

    __slots__ = ("decrypt", "epoch_bits", "iv")

    def __init__(self, keys: Keys, epoch: int = 0) -> None:
        self.epoch_bits = (epoch & 3) << 4
        """What the first byte of its datagrams says of the epoch."""
        self.decrypt = AESGCM(keys.key).decrypt
        """``(nonce, ciphertext, header) -> body``; raises :data:`Forged`."""
        self.iv = int.from_bytes(keys.iv, "big")
        """XORed with the packet number it makes the nonce."""

    def open(self, number: int, data: bytes) -> bytes:
        """The body of a datagram whose full packet number is *number*.

        :raises Forged: if it was not sealed under this key with this number.
        """
        nonce = (self.iv ^ number).to_bytes(IV_BYTES, "big")
        return self.decrypt(nonce, data[HEADER_BYTES:], data[:HEADER_BYTES])

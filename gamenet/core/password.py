"""Passwords as they are kept: never the password, only what scrypt makes of it.

Layer 1. Runs on: any thread; pure functions, salts are handed in.

A record is one line ``name:$scrypt$ln=14,r=8,p=1$SALT$HASH``, which is the PHC string format:
``ln`` is the cost as a power of two, salt and hash are base64 without padding. Passwords are UTF-8
in Unicode's NFC form, so that the same letters typed on different systems are the same password.
"""

from __future__ import annotations

import hmac
import re
import unicodedata
from base64 import b64decode, b64encode
from hashlib import scrypt
from typing import Final, NamedTuple

from gamenet.core.text import checked_name

MAX_PASSWORD_BYTES: Final = 1_024
A_PASSWORD: Final = (
    f"a password has 1 to {MAX_PASSWORD_BYTES} bytes of UTF-8 and no control characters"
)
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32
LEAST_LOG2_N: Final = 10
MOST_LOG2_N: Final = 17

_BLOCK_SIZE: Final = 8
_PARALLEL: Final = 1
_MEMORY_LIMIT: Final = 2 * 128 * _BLOCK_SIZE << MOST_LOG2_N
_PHC: Final = re.compile(
    r"\$scrypt\$ln=([1-9][0-9]?),r=([0-9]{1,9}),p=([0-9]{1,9})"
    r"\$([A-Za-z0-9+/]{22,86})\$([A-Za-z0-9+/]{43})\Z"
)


class Record(NamedTuple):
    """What is kept of one account."""

    name: str
    log2_n: int
    salt: bytes
    hash: bytes

    def __repr__(self) -> str:
        return f"<Record of {self.name!r}>"

    def line(self) -> str:
        """The record as it stands in a file."""
        salt, hashed = (b64encode(part).rstrip(b"=").decode() for part in (self.salt, self.hash))
        cost = f"ln={self.log2_n},r={_BLOCK_SIZE},p={_PARALLEL}"
        return f"{self.name}:$scrypt${cost}${salt}${hashed}"


def normal_password(password: bytes) -> bytes | None:
    """The bytes that are hashed, or None for what cannot be a password."""
    if not 0 < len(password) <= MAX_PASSWORD_BYTES:
        return None
    try:
        text = unicodedata.normalize("NFC", password.decode())
    except UnicodeDecodeError:
        return None
    # HMAC, which scrypt is made of, pads with NUL: with it at the end other bytes would do as well.
    if any(unicodedata.category(character) == "Cc" for character in text):
        return None
    return text.encode()


def make_record(name: str, password: bytes, salt: bytes, log2_n: int) -> Record:
    """The record of a new password.

    :param password: in its normal form.
    :param salt: fresh random bytes.
    """
    return Record(name, log2_n, salt, _hash(password, salt, log2_n))


def is_password(record: Record, password: bytes) -> bool:
    """Whether *record* was made of *password*; costs the same for yes and no.

    :param password: in its normal form.
    """
    return hmac.compare_digest(_hash(password, record.salt, record.log2_n), record.hash)


def _hash(password: bytes, salt: bytes, log2_n: int) -> bytes:
    return scrypt(
        password,
        salt=salt,
        n=1 << log2_n,
        r=_BLOCK_SIZE,
        p=_PARALLEL,
        maxmem=_MEMORY_LIMIT,
        dklen=HASH_BYTES,
    )


def parse_record(line: str) -> Record:
    """Read one line.

    :raises ValueError: saying what is wrong with it, but nothing of what it holds beyond the name.
    """
    name, colon, phc = line.partition(":")
    normal = checked_name(name)
    if not colon or normal is None:
        raise ValueError("it does not begin with the name of a player and a colon")
    found = _PHC.match(phc)
    if found is None:
        raise ValueError(f"what follows {normal}: is not what 'gamenet passwd' writes")
    log2_n, block_size, parallel = (int(number) for number in found.groups()[:3])
    if (block_size, parallel) != (_BLOCK_SIZE, _PARALLEL):
        raise ValueError(f"{normal} needs r={_BLOCK_SIZE},p={_PARALLEL}")
    if not LEAST_LOG2_N <= log2_n <= MOST_LOG2_N:
        raise ValueError(f"{normal} needs ln from {LEAST_LOG2_N} to {MOST_LOG2_N}, not {log2_n}")
    try:
        salt, hashed = (b64decode(part + "=" * (-len(part) % 4)) for part in found.groups()[3:])
    except ValueError:
        raise ValueError(f"what follows {normal}: is not what 'gamenet passwd' writes") from None
    return Record(normal, log2_n, salt, hashed)

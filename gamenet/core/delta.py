"""A state as its difference to an earlier one: only the bytes that changed.

Layer 1. Runs on: the reactor thread; pure functions. PROTOCOL section 4, STATE.

The difference is the exclusive or of both, byte by byte. Zeros are left out of it and a mask says
where they were; the zeros of the mask are left out in the same way. Both steps are a handful of
calls into C whatever the size, and each difference has exactly one form: the decoder refuses any
other.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from gamenet.core.wire import MAX_STATE_BYTES
from gamenet.errors import WireError

# delta      u16 length of the state | mask of the mask | mask bytes that are not 0
#            | bytes of the difference that are not 0
#            bit i of a mask, the lowest first, tells whether byte i of what it is for is not 0
_LENGTH: Final = Struct("!H")
_LENGTH_BYTES: Final = _LENGTH.size
_ZERO: Final = b"\0"
_DIGITS: Final = b"0" + b"1" * 255
"""A byte as one binary digit: whether it is not 0."""


def encode_delta(data: bytes, baseline: bytes) -> bytes:
    """What turns *baseline* into *data*; bytes beyond the baseline's end count as 0 there."""
    size = len(data)
    if not size:
        return _LENGTH.pack(0)
    changed = int.from_bytes(data, "little") ^ int.from_bytes(baseline[:size], "little")
    difference = changed.to_bytes(size, "little")
    mask = _mask(difference)
    return b"".join(
        (
            _LENGTH.pack(size),
            _mask(mask),
            mask.translate(None, _ZERO),
            difference.translate(None, _ZERO),
        )
    )


def decode_delta(delta: bytes, baseline: bytes) -> bytes:
    """The state that ``encode_delta`` was given.

    :raises WireError: for anything that it would not have made; never more than
        ``MAX_STATE_BYTES`` are built before that is known.
    """
    if len(delta) < _LENGTH_BYTES:
        raise WireError("delta ends early")
    size = _LENGTH.unpack_from(delta)[0]
    if size > MAX_STATE_BYTES:
        raise WireError("delta of a state that is too long")
    mask_size = (size + 7) // 8
    start = _LENGTH_BYTES + (mask_size + 7) // 8
    mask, start = _spread(delta[_LENGTH_BYTES:start], mask_size, delta, start)
    difference, end = _spread(mask, size, delta, start)
    if end != len(delta):
        raise WireError("delta with bytes to spare")
    changed = int.from_bytes(difference, "little") ^ int.from_bytes(baseline[:size], "little")
    return changed.to_bytes(size, "little")


def _mask(data: bytes) -> bytes:
    """Which bytes of *data*, one at least, are not 0."""
    digits = data.translate(_DIGITS)[::-1]
    return int(digits, 2).to_bytes((len(data) + 7) // 8, "little")


def _spread(mask: bytes, size: int, delta: bytes, start: int) -> tuple[bytes, int]:
    """*size* bytes, 0 or from *delta* as the mask says; and where those from it end.

    :raises WireError: unless the mask fits and none of them is 0.
    """
    bits = int.from_bytes(mask, "little")
    if bits >> size:
        raise WireError("delta with a mask for more than there is")
    if not bits:
        return bytes(size), start
    end = start + bits.bit_count()
    values = delta[start:end]
    if len(values) < end - start:
        raise WireError("delta ends early")
    if _ZERO in values:
        raise WireError("delta that names a byte that did not change")
    template = f"{bits:0{size}b}"[::-1].replace("1", "%c").replace("0", "\0")
    return template.encode() % tuple(values), end

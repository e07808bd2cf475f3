"""Datagrams: the header outside the seal, and the messages inside.

Layer 1. Runs on: the reactor thread; pure functions. PROTOCOL sections 3 and 4.

Network byte order. Decoders check every length and raise only
:class:`~gamenet.errors.WireError`; no loop runs longer than the bytes that are there.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final

from gamenet.errors import WireError

# Datagram   0  u8   bits 7-6 = 01, bits 5-4 = key epoch mod 4, bits 3-0 = kind
#            1  u32  cid
#            5  u32  low 32 bits of the packet number
#            9  ...  ciphertext, then 16 B of tag           bytes 0..8 are authenticated as well
HEADER: Final = Struct("!BII")
HEADER_BYTES: Final = HEADER.size
TAG_BYTES: Final = 16
OVERHEAD_BYTES: Final = HEADER_BYTES + TAG_BYTES
MAX_DATAGRAM_BYTES: Final = 1_200
MAX_BODY_BYTES: Final = MAX_DATAGRAM_BYTES - OVERHEAD_BYTES
PREFIX: Final = 0x40
PREFIX_MASK: Final = 0xC0


class DatagramKind(IntEnum):
    """The low four bits of a datagram's first byte."""

    BIND = 1
    CHALLENGE = 2
    RESPONSE = 3
    BOUND = 4
    DATA = 5
    PING = 6
    PONG = 7


CHALLENGE_BYTES: Final = 8
PADDING: Final = bytes(MAX_BODY_BYTES)
"""The body of a BIND: a stranger must spend as many bytes as the answer to it will have."""

# DATA body  u16 ack | u32 ack bits | up to 16 messages
# message    u8 type: bit 7 = payload is a Message, bit 6 = the last one, bits 5-0 the type
#            | u16 length, not in the last | payload; the last one runs to the end
ACKS: Final = Struct("!HI")
ACKS_BYTES: Final = ACKS.size
MAX_MESSAGES: Final = 16
_LENGTH: Final = Struct("!H")
_HEAD: Final = Struct("!BH")
LENGTH_BYTES: Final = _LENGTH.size


class MessageType(IntEnum):
    """What one message of a DATA body is."""

    STATE = 1
    INPUT = 2
    INPUT_ACK = 3
    UNRELIABLE = 4
    FRAGMENT = 5
    TIME = 6
    STATE_ACK = 7
    INPUT_TIMING = 8


IS_MESSAGE: Final = 0x80
IS_LAST: Final = 0x40
TYPE_MASK: Final = 0x3F

# INPUT_ACK  u32 all numbers up to it are emitted or given up
INPUT_ACK: Final = Struct("!I")

# STATE      u32 number | u32 tick | u32 server time, ms | u32 input number
#            | u8 encoding | content
#            encoding 0: the content is the payload
#            encoding 1: the content is u8 number less the baseline's, 1..64 | delta (core/delta.py)
STATE: Final = Struct("!IIIIB")
WHOLE: Final = 0
DELTA: Final = 1
BASELINE: Final = Struct("!B")
BASELINE_SPAN: Final = 64
"""A baseline is at most so many states older than what is told by its difference to it."""

# FRAGMENT   as STATE up to the encoding | u8 index | u8 count 2..16 | a part of the content,
#            1,024 bytes in all but the last
PLACE: Final = Struct("!BB")
FRAGMENT_BYTES: Final = 1_024
MAX_FRAGMENTS: Final = 16

# STATE_ACK  client to server: u32 number of the newest state that it holds; 0: send the next whole
STATE_ACK: Final = Struct("!I")

# TIME       client to server: u32 t0, the client's microseconds modulo 2^32
#            server to client: u32 t0 | u64 t1, the server's game clock in microseconds when the
#            question came | u32 microseconds from then until the answer left
TIME_QUERY: Final = Struct("!I")
TIME_REPLY: Final = Struct("!IQI")

MAX_UNRELIABLE_BYTES: Final = MAX_BODY_BYTES - ACKS_BYTES - 1
SINGLE_STATE_BYTES: Final = MAX_UNRELIABLE_BYTES - STATE.size
"""What of a state fits one datagram."""
MAX_STATE_BYTES: Final = MAX_FRAGMENTS * FRAGMENT_BYTES


def split_messages(body: bytes) -> list[tuple[int, bytes]]:
    """The messages of a DATA body behind its acks: (type byte, payload), at most 16.

    :raises WireError: if a length lies, the last mark is missing, or there are more than 16.
    """
    messages: list[tuple[int, bytes]] = []
    offset, end = ACKS_BYTES, len(body)
    while offset < end:
        if len(messages) == MAX_MESSAGES:
            raise WireError("more than 16 messages in a datagram")
        kind = body[offset]
        if kind & IS_LAST:
            messages.append((kind & ~IS_LAST, body[offset + 1 :]))
            return messages
        start = offset + 1 + LENGTH_BYTES
        if start > end:
            raise WireError("message ends early")
        offset = start + _LENGTH.unpack_from(body, offset + 1)[0]
        if offset > end:
            raise WireError("message longer than its datagram")
        messages.append((kind, body[start:offset]))
    if messages:
        raise WireError("no message is marked as the last")
    return messages


def pack_messages(messages: list[tuple[int, bytes]]) -> list[bytes]:
    """Message parts of DATA bodies, without acks, as few as fit, in order.

    :param messages: (type byte without the last mark, payload) each small enough for one datagram.
    """
    if len(messages) <= MAX_MESSAGES:
        *before, (kind, payload) = messages or [(0, b"")]
        parts = []
        for each, body in before:
            parts.append(_HEAD.pack(each, len(body)))
            parts.append(body)
        parts.append(_LAST_BYTE[kind])
        parts.append(payload)
        packed = b"".join(parts)
        if len(packed) <= MAX_BODY_BYTES - ACKS_BYTES and messages:
            return [packed]
    return _pack_several(messages)


def _pack_several(messages: list[tuple[int, bytes]]) -> list[bytes]:
    """As ``pack_messages``, where one datagram may not be enough."""
    head = _HEAD.pack
    parts = [head(kind, len(payload)) + payload for kind, payload in messages]
    bodies: list[bytes] = []
    begin, count = 0, len(parts)
    while begin < count:
        end = min(begin + MAX_MESSAGES, count)
        size = sum(map(len, parts[begin:end])) - LENGTH_BYTES  # which the last does without
        while size > MAX_BODY_BYTES - ACKS_BYTES:
            end -= 1
            size -= len(parts[end])
        kind, payload = messages[end - 1]
        bodies.append(b"".join(parts[begin : end - 1]) + _LAST_BYTE[kind] + payload)
        begin = end
    return bodies


_LAST_BYTE: Final = [bytes((kind | IS_LAST,)) for kind in range(256)]

"""The frames of the reliable transport: bytes to tuples and back.

Layer 1. Runs on: the reactor thread; pure functions. PROTOCOL section 1.

A frame on TCP is a u32 length, then one byte of kind, then the body. The length belongs to the
transport (an ``Int32StringReceiver``); here a frame is kind and body. Network byte order.
Decoders check every length and raise only :class:`~gamenet.errors.WireError`.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple

from gamenet.core.wire import ACKS_BYTES, MAX_BODY_BYTES
from gamenet.errors import DisconnectReason, RefusalReason, WireError

VERSION: Final = 1
MAGIC: Final = b"GNT1"
MAX_HELLO_BYTES: Final = 4_096
MAX_PAYLOAD_BYTES: Final = 65_536
MAX_FRAME_BYTES: Final = 65_600
MAX_AUTH_BYTES: Final = 2_048
MAX_BYE_BYTES: Final = 120
TOKEN_BYTES: Final = 32
"""Of the token with which a client may come back."""


class Kind(IntEnum):
    """The first byte of every frame."""

    HELLO = 1
    ACCEPT = 2
    REFUSE = 3
    DATA = 4
    SAY = 5
    ACK = 6
    PING = 7
    PONG = 8
    REKEY = 9
    REKEYED = 10
    TUNNEL = 11
    BYE = 12


SUITE_AES_256_GCM: Final = 1

HELLO_WANTS_UDP: Final = 1
HELLO_RESUME: Final = 2
HELLO_ACCEPTS_INSECURE: Final = 4

ACCEPT_EXPORTER: Final = 1
ACCEPT_INSECURE: Final = 2
ACCEPT_RESUMED: Final = 4

ANONYMOUS: Final = 1
"""The mechanism of a client that claims a name, or none, and proves nothing."""
PASSWORD: Final = 2
"""The user's password as auth data, in UTF-8. Over TLS only."""
TICKET: Final = 3
"""A ticket as auth data. Over TLS only."""

# HELLO      u8 1 | 4s "GNT1" | u16 min | u16 max version | u8 suites (bitmap) | u8 flags
#            | 8s schema hash | u8 input bits | u8 mechanism | u8 n + game | u8 n + user
#            | u16 n + auth data | if resuming: 16s session id, 32s token, u64 received
_HELLO: Final = Struct("!B4sHHBB8sBB")
_RESUME: Final = Struct("!16s32sQ")
_U8: Final = Struct("!B")
_U16: Final = Struct("!H")


class Resume(NamedTuple):
    """What a client says who comes back."""

    session_id: bytes
    token: bytes
    received: int
    """DATA and SAY that it has accepted since the session began."""

    def __repr__(self) -> str:
        return f"<Resume received={self.received}>"


class Hello(NamedTuple):
    """What a client says first."""

    min_version: int
    max_version: int
    suites: int
    flags: int
    schema_hash: bytes
    input_bits: int
    mechanism: int
    game: str
    user: str
    auth: bytes
    resume: Resume | None = None
    """Set exactly if the flags say so."""

    def __repr__(self) -> str:
        # What proves an identity must not reach a log by way of a message or a traceback.
        return f"<Hello user={self.user!r} mechanism={self.mechanism}>"


def encode_hello(hello: Hello) -> bytes:
    """The HELLO frame; it resumes a session if *hello* has one to resume."""
    game, user = hello.game.encode(), hello.user.encode()
    return b"".join(
        (
            _HELLO.pack(
                Kind.HELLO,
                MAGIC,
                hello.min_version,
                hello.max_version,
                hello.suites,
                hello.flags | (HELLO_RESUME if hello.resume is not None else 0),
                hello.schema_hash,
                hello.input_bits,
                hello.mechanism,
            ),
            _U8.pack(len(game)),
            game,
            _U8.pack(len(user)),
            user,
            _U16.pack(len(hello.auth)),
            hello.auth,
            _RESUME.pack(*hello.resume) if hello.resume is not None else b"",
        )
    )


def decode_hello(data: bytes) -> Hello:
    """:raises WireError: for anything but exactly one HELLO."""
    if not _HELLO.size <= len(data) <= MAX_HELLO_BYTES:
        raise WireError(f"HELLO of {len(data)} bytes")
    kind, magic, low, high, suites, flags, schema, bits, mechanism = _HELLO.unpack_from(data)
    if kind != Kind.HELLO or magic != MAGIC:
        raise WireError("not a HELLO")
    game, offset = _short(data, _HELLO.size)
    user, offset = _short(data, offset)
    if len(data) < offset + 2:
        raise WireError("HELLO ends early")
    (size,) = _U16.unpack_from(data, offset)
    offset += 2
    if size > MAX_AUTH_BYTES:
        raise WireError("HELLO with too much auth data")
    auth = data[offset : offset + size]
    offset += size
    resumes = bool(flags & HELLO_RESUME)
    if offset + resumes * _RESUME.size != len(data):
        raise WireError("HELLO of the wrong length")
    resume = Resume._make(_RESUME.unpack_from(data, offset)) if resumes else None
    if not 1 <= low <= high:
        raise WireError("HELLO with an empty version range")
    names = _text(game), _text(user)
    return Hello(low, high, suites, flags, schema, bits, mechanism, *names, auth, resume)


# ACCEPT     u8 2 | u16 version | u8 suite | u8 flags | 16s session id | u32 cid | 32s udp secret
#            | 32s resume token | u16 resume window s | u16 UDP port (0 = the port dialled)
#            | u64 received | u32 max frame | u16 max datagram | u16 datagrams/s
#            | u16 window messages | u32 window bytes | u16 tick rate x100 | u16 max input hz
#            | u8 input bits | u32 player id | u8 n + name
_ACCEPT: Final = Struct("!BHBB16sI32s32sHHQIHHHIHHBI")


class Accept(NamedTuple):
    """What a server answers to a join that it grants."""

    version: int
    suite: int
    flags: int
    session_id: bytes
    cid: int
    udp_secret: bytes
    resume_token: bytes
    resume_seconds: int
    udp_port: int
    received: int
    max_frame: int
    max_datagram: int
    datagrams_per_second: int
    window_messages: int
    window_bytes: int
    tick_rate_x100: int
    max_input_hz: int
    input_bits: int
    player_id: int
    name: str

    def __repr__(self) -> str:
        # The secrets of a session must not reach a log by way of a message or a traceback.
        return f"<Accept player={self.player_id} name={self.name!r} cid={self.cid:#x}>"


def encode_accept(accept: Accept) -> bytes:
    """The ACCEPT frame."""
    name = accept.name.encode()
    return _ACCEPT.pack(Kind.ACCEPT, *accept[:-1]) + _U8.pack(len(name)) + name


def decode_accept(data: bytes) -> Accept:
    """:raises WireError: for anything but exactly one usable ACCEPT."""
    if len(data) < _ACCEPT.size:
        raise WireError(f"ACCEPT of {len(data)} bytes")
    kind, *fields = _ACCEPT.unpack_from(data)
    if kind != Kind.ACCEPT:
        raise WireError("not an ACCEPT")
    name, offset = _short(data, _ACCEPT.size)
    if offset != len(data):
        raise WireError("ACCEPT of the wrong length")
    accept = Accept._make((*fields, _text(name)))
    if (
        accept.version != VERSION
        or accept.suite != SUITE_AES_256_GCM
        or not 1 <= accept.input_bits <= 64
        or accept.window_messages < 1
        or accept.window_bytes < MAX_FRAME_BYTES
        or accept.max_input_hz < 1
        or accept.tick_rate_x100 < 1
        or accept.player_id < 1
    ):
        raise WireError("ACCEPT with values out of range")
    return accept


# REFUSE     u8 3 | u8 code | u16 retry after, s
_REFUSE: Final = Struct("!BBH")


def encode_refuse(reason: RefusalReason, retry_after_seconds: int = 0) -> bytes:
    """The REFUSE frame; the client holds the sentence for the code."""
    return _REFUSE.pack(Kind.REFUSE, reason, min(retry_after_seconds, 65_535))


def decode_refuse(data: bytes) -> tuple[RefusalReason, int]:
    """:raises WireError: for a wrong length; an unknown code reads as ``INTERNAL``."""
    if len(data) != _REFUSE.size:
        raise WireError(f"REFUSE of {len(data)} bytes")
    _, code, retry = _REFUSE.unpack(data)
    try:
        return RefusalReason(code), retry
    except ValueError:
        return RefusalReason.INTERNAL, retry


# DATA       u8 4 | u8 flags (1 = payload is a Message) | u8 channel | payload
_DATA: Final = Struct("!BBB")
DATA_HEADER_BYTES: Final = _DATA.size
FLAG_MESSAGE: Final = 1


def encode_data(is_message: bool, channel: int, payload: bytes) -> bytes:
    """The DATA frame of one reliable message."""
    return _DATA.pack(Kind.DATA, FLAG_MESSAGE if is_message else 0, channel) + payload


def decode_data(data: bytes) -> tuple[bool, int, bytes]:
    """:returns: whether the payload is a Message, its channel, the payload."""
    if not _DATA.size <= len(data) <= _DATA.size + MAX_PAYLOAD_BYTES:
        raise WireError(f"DATA of {len(data)} bytes")
    if data[1] > FLAG_MESSAGE:
        raise WireError("DATA with unknown flags")
    return data[1] == FLAG_MESSAGE, data[2], data[3:]


# SAY        client to server: u8 5 | text
#            server to client: u8 5 | u32 author (0 = the server) | u8 flags (1 = private)
#            | u8 n + author's name | text                                   text is UTF-8
_SAY: Final = Struct("!BIB")
FLAG_PRIVATE: Final = 1
MAX_SAY_BYTES: Final = 4 * 500 + _SAY.size + 1 + 255


def encode_say(text: str) -> bytes:
    """The SAY frame of a client."""
    return bytes((Kind.SAY,)) + text.encode()


def decode_say(data: bytes) -> str:
    """The text that a client said, not yet cleaned."""
    if not 1 < len(data) <= MAX_SAY_BYTES:
        raise WireError(f"SAY of {len(data)} bytes")
    return _text(data[1:])


def encode_said(author: int, name: str, text: str, *, private: bool) -> bytes:
    """The SAY frame of a server, author filled in."""
    label = name.encode()
    flags = FLAG_PRIVATE if private else 0
    return b"".join(
        (_SAY.pack(Kind.SAY, author, flags), _U8.pack(len(label)), label, text.encode())
    )


def decode_said(data: bytes) -> tuple[int, str, str, bool]:
    """:returns: the author's id and name, the text, whether it is private."""
    if not _SAY.size < len(data) <= MAX_SAY_BYTES:
        raise WireError(f"SAY of {len(data)} bytes")
    _, author, flags = _SAY.unpack_from(data)
    if flags > FLAG_PRIVATE:
        raise WireError("SAY with unknown flags")
    name, offset = _short(data, _SAY.size)
    return author, _text(name), _text(data[offset:]), flags == FLAG_PRIVATE


# ACK        u8 6 | u64 count of DATA and SAY that the game has taken
_ACK: Final = Struct("!BQ")


def encode_ack(taken: int) -> bytes:
    """The ACK frame."""
    return _ACK.pack(Kind.ACK, taken)


def decode_ack(data: bytes) -> int:
    """:returns: the count."""
    if len(data) != _ACK.size:
        raise WireError(f"ACK of {len(data)} bytes")
    return int(_ACK.unpack(data)[1])


# PING PONG  u8 7 or 8 | u32 chosen by who pings
_PING: Final = Struct("!BI")


def encode_ping(kind: Kind, number: int) -> bytes:
    """The PING or PONG frame."""
    return _PING.pack(kind, number)


def decode_ping(data: bytes) -> int:
    """:returns: the number to echo, or the echo."""
    if len(data) != _PING.size:
        raise WireError(f"PING of {len(data)} bytes")
    return int(_PING.unpack(data)[1])


# REKEY      u8 9 | u32 epoch | 32s salt           REKEYED    u8 10 | u32 epoch
_REKEY: Final = Struct("!BI32s")
_REKEYED: Final = Struct("!BI")


def encode_rekey(epoch: int, salt: bytes) -> bytes:
    """The REKEY frame."""
    return _REKEY.pack(Kind.REKEY, epoch, salt)


def decode_rekey(data: bytes) -> tuple[int, bytes]:
    """:returns: the epoch and the salt."""
    if len(data) != _REKEY.size:
        raise WireError(f"REKEY of {len(data)} bytes")
    _, epoch, salt = _REKEY.unpack(data)
    return epoch, salt


def encode_rekeyed(epoch: int) -> bytes:
    """The REKEYED frame."""
    return _REKEYED.pack(Kind.REKEYED, epoch)


def decode_rekeyed(data: bytes) -> int:
    """:returns: the epoch."""
    if len(data) != _REKEYED.size:
        raise WireError(f"REKEYED of {len(data)} bytes")
    return int(_REKEYED.unpack(data)[1])


# TUNNEL     u8 11 | u32 low 32 bits of a packet number | DATA body
_TUNNEL: Final = Struct("!BI")


def encode_tunnel(number: int, body: bytes) -> bytes:
    """The TUNNEL frame: a DATA body that would else have been a datagram."""
    return _TUNNEL.pack(Kind.TUNNEL, number & 0xFFFFFFFF) + body


def decode_tunnel(data: bytes) -> tuple[int, bytes]:
    """:returns: the low half of the packet number, and the DATA body."""
    size = len(data) - _TUNNEL.size
    if not ACKS_BYTES <= size <= MAX_BODY_BYTES:
        raise WireError(f"TUNNEL of {len(data)} bytes")
    return int(_TUNNEL.unpack_from(data)[1]), data[_TUNNEL.size :]


# BYE        u8 12 | u8 reason (0-127 orderly, 128-255 failure) | text, at most 120 B of UTF-8
_BYE: Final = Struct("!BB")


def encode_bye(reason: DisconnectReason, text: str = "") -> bytes:
    """The BYE frame; a longer text is cut at a character."""
    label = text.encode(errors="ignore")[:MAX_BYE_BYTES].decode(errors="ignore").encode()
    return _BYE.pack(Kind.BYE, reason) + label


def decode_bye(data: bytes) -> tuple[DisconnectReason, str]:
    """An unknown reason reads as ``QUIT`` or ``INTERNAL``, by its half of the range."""
    if not _BYE.size <= len(data) <= _BYE.size + MAX_BYE_BYTES:
        raise WireError(f"BYE of {len(data)} bytes")
    code = data[1]
    try:
        reason = DisconnectReason(code)
    except ValueError:
        reason = DisconnectReason.QUIT if code < 128 else DisconnectReason.INTERNAL
    return reason, _text(data[2:])


def _short(data: bytes, offset: int) -> tuple[bytes, int]:
    """The bytes behind a one-byte length at *offset*, and the offset after them."""
    if offset >= len(data):
        raise WireError("frame ends early")
    end = offset + 1 + data[offset]
    if end > len(data):
        raise WireError("frame ends early")
    return data[offset + 1 : end], end


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("text is not UTF-8") from None

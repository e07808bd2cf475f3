"""The datagrams by which servers on the local network are found: a query, and its answers.

Layer 1. Runs on: the reactor thread; pure functions. PROTOCOL, "The beacon".

Network byte order. Decoders check every length and raise only
:class:`~gamenet.errors.WireError`. Neither datagram is sealed: whoever is on the network may ask,
and may answer, so all that an answer proves is that its sender has seen the query.
"""

from __future__ import annotations

from enum import IntEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from struct import Struct
from typing import Final, NamedTuple

from gamenet.addresses import unmapped
from gamenet.checks import MAX_NAME_BYTES
from gamenet.core.text import clean
from gamenet.errors import WireError

PORT: Final = 7776
"""Where servers hear queries, and where answers come from."""
GROUP: Final = "239.255.119.118"
"""The group of servers in IPv4; administratively scoped, so no router hands it on (RFC 2365)."""
GROUP_IPV6: Final = "ff12::6761:6d65:7776"
"""The same in IPv6: of the link alone, and assigned to nobody (RFC 4291)."""
BROADCAST: Final = "255.255.255.255"
LOOPBACK_BROADCAST: Final = "127.255.255.255"

MAGIC: Final = b"GNB1"
TOKEN_BYTES: Final = 8
SERVER_ID_BYTES: Final = 8
MAX_GAME_BYTES: Final = 255
FIRST_PORT: Final = 1_024
"""Below are the ports of services, which ask for no servers."""


class BeaconKind(IntEnum):
    """The byte behind the magic."""

    QUERY = 1
    ANSWER = 2


# QUERY   4s "GNB1" | u8 1 | 8s token | n + game | zeros, up to 512 bytes in all
QUERY_BYTES: Final = 512
"""Of every query; longer than the longest answer, so that none is worth provoking."""
_QUERY: Final = Struct("!4sB8sB")

# ANSWER  4s "GNB1" | u8 2 | 8s token | 8s server id | u16 version | u8 flags | u16 TCP port
#         | u16 players | u16 max players | 32s pin | n + name | n + game
_ANSWER: Final = Struct("!4sB8s8sHBHHH32s")
MAX_ANSWER_BYTES: Final = _ANSWER.size + 1 + MAX_NAME_BYTES + 1 + MAX_GAME_BYTES
SECURE: Final = 0x01
NEEDS_PROOF: Final = 0x02
CLOSED: Final = 0x04
NO_PIN: Final = bytes(32)

_NEAR: Final[tuple[IPv4Network | IPv6Network, ...]] = tuple(
    map(
        ip_network,
        (
            *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"),
            *("::1/128", "fe80::/10", "fc00::/7"),
        ),
    )
)


class Query(NamedTuple):
    """Who is there?"""

    token: bytes
    """8 random bytes, which each answer repeats."""
    game: str
    """Servers of other games keep silent; "" asks all."""


class Answer(NamedTuple):
    """What one server says of itself."""

    token: bytes
    server_id: bytes
    """8 random bytes, the same in all answers of a server, by whatever way they come."""
    version: int
    """Of the wire protocol."""
    flags: int
    port: int
    """TCP."""
    players: int
    max_players: int
    pin: bytes
    """SHA-256 of the certificate; all zeros where there is none to pin."""
    name: str
    game: str


def is_near(host: str) -> bool:
    """Whether an address is this machine's, or of a private network: what a server answers to.

    Those that are shared behind a provider's router (100.64.0.0/10) are not.
    """
    try:
        address = unmapped(host)
    except ValueError:
        return False
    return any(address in network for network in _NEAR)


def encode_query(query: Query) -> bytes:
    """The datagram of a query."""
    game = query.game.encode()
    head = _QUERY.pack(MAGIC, BeaconKind.QUERY, query.token, len(game))
    return (head + game).ljust(QUERY_BYTES, b"\0")


def decode_query(data: bytes) -> Query:
    """The query in a datagram; what is behind the game's name is ignored.

    :raises WireError: if it is none.
    """
    if len(data) != QUERY_BYTES:
        raise WireError("not as long as a query")
    magic, kind, token, size = _QUERY.unpack_from(data)
    if magic != MAGIC or kind != BeaconKind.QUERY:
        raise WireError("not a query")
    return Query(token, _text(data[_QUERY.size : _QUERY.size + size]))


def encode_answer(answer: Answer) -> bytes:
    """The datagram of an answer."""
    name, game = answer.name.encode(), answer.game.encode()
    head = _ANSWER.pack(
        MAGIC,
        BeaconKind.ANSWER,
        answer.token,
        answer.server_id,
        answer.version,
        answer.flags,
        answer.port,
        answer.players,
        answer.max_players,
        answer.pin,
    )
    return head + bytes([len(name)]) + name + bytes([len(game)]) + game


def decode_answer(data: bytes) -> Answer:
    """The answer in a datagram, its texts cleaned.

    :raises WireError: if it is none.
    """
    if not _ANSWER.size + 2 <= len(data) <= MAX_ANSWER_BYTES:
        raise WireError("not as long as an answer")
    magic, kind, token, server_id, version, flags, port, players, most, pin = _ANSWER.unpack_from(
        data
    )
    if magic != MAGIC or kind != BeaconKind.ANSWER:
        raise WireError("not an answer")
    if not port:
        raise WireError("port 0")
    name, rest = _counted(data[_ANSWER.size :])
    game, rest = _counted(rest)
    if len(name.encode()) > MAX_NAME_BYTES or rest:
        raise WireError("not as long as its fields say")
    name, game = clean(name), clean(game)
    if not name:
        raise WireError("no name")
    return Answer(token, server_id, version, flags, port, players, most, pin, name, game)


def _counted(data: bytes) -> tuple[str, bytes]:
    """The text behind a count, and what follows it."""
    if not data or len(data) <= data[0]:
        raise WireError("ends within a text")
    end = 1 + data[0]
    return _text(data[1:end]), data[end:]


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("not UTF-8") from None

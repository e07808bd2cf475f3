"""What is known of a server that has answered, and by which address it is best reached.

Layer 4. Runs on: the reactor thread; what is made of it can be read on any.
"""

from __future__ import annotations

from dataclasses import dataclass

from gamenet.addresses import join_address, unmapped
from gamenet.core import frames
from gamenet.core.beacon import CLOSED, NEEDS_PROOF, NO_PIN, SECURE, Answer


@dataclass(frozen=True, slots=True)
class Found:
    """A server that has answered. What it says of itself is a stranger's word, but cleaned."""

    name: str
    """What its owner calls it, 1 to 64 characters; several may have the same."""
    game: str
    """Name and version of the game, such as ``"tag/1"``; "" if it does not say."""
    address: str
    """For ``GameClient`` and every command: ``gamenet://HOST:PORT#sha256=PIN``, or ``HOST:PORT``
    where there is no certificate to pin."""
    host: str
    """Where the answer came from."""
    port: int
    """TCP."""
    pin: str
    """SHA-256 of the certificate, 64 lower hex digits; "" for none."""
    players: int
    """Who play."""
    max_players: int
    """Who fit."""
    secure: bool
    """Whether it has TLS; one that has not is joined with ``insecure=True``."""
    needs_proof: bool
    """Whether nobody may join without a password or a ticket."""
    is_open: bool
    """False while newcomers are refused, such as before a restart."""
    is_known: bool
    """False if it speaks another version of the protocol, and cannot be joined with this one."""

    @property
    def is_full(self) -> bool:
        """Whether there is no place left."""
        return self.players >= self.max_players


class Entry:
    """What is known of one server."""

    __slots__ = ("answer", "hosts")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.hosts: dict[str, float] = {}
        """Where answers came from, and when the last one did; the oldest way first."""

    def found(self) -> Found:
        """What whoever looks is shown."""
        answer = self.answer
        host = min(self.hosts, key=_rank)
        pin = "" if answer.pin == NO_PIN else answer.pin.hex()
        address = join_address(host, answer.port)
        return Found(
            name=answer.name,
            game=answer.game,
            address=f"gamenet://{address}#sha256={pin}" if pin else address,
            host=host,
            port=answer.port,
            pin=pin,
            players=answer.players,
            max_players=answer.max_players,
            secure=bool(answer.flags & SECURE),
            needs_proof=bool(answer.flags & NEEDS_PROOF),
            is_open=not answer.flags & CLOSED,
            is_known=answer.version == frames.VERSION,
        )


def _rank(host: str) -> int:
    """How far an address can be handed on; less is further."""
    address = unmapped(host)
    if address.version == 4:
        return 3 if address.is_loopback else int(address.is_link_local)
    if address.is_link_local:
        return 4  # its scope means something on this machine alone
    return 3 if address.is_loopback else 2

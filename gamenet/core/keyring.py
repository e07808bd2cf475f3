"""The keys of one connection id, epoch after epoch, and how both sides change them together.

Layer 1. Runs on: the reactor thread. PROTOCOL section 3, Rekey.

The server makes the next epoch's receiving keys ready, then tells the client by TCP; the client
takes both and answers in the new epoch; the server follows. So whoever seals in an epoch knows
that the other can open it, and no datagram has to be tried with two keys.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from gamenet.core.record import Opener, Sealer
from gamenet.errors import RemoteProtocolError

if TYPE_CHECKING:
    from gamenet.core.record import Keys, Schedule

OLD_KEYS_SECONDS: Final = 10.0
"""How long datagrams under the old keys are still opened, after the first one under the new."""


class Keyring:
    """One side's keys.

    :param schedule: where both directions' keys come from.
    :param is_server: which of them are ours.
    """

    __slots__ = (
        "_is_server",
        "_opened_before",
        "_schedule",
        "_seal_next",
        "_since",
        "opener",
        "other",
        "other_until",
        "sealer",
    )

    def __init__(self, schedule: Schedule, cid: int, *, is_server: bool, now: float) -> None:
        self._schedule = schedule
        self._is_server = is_server
        ours, theirs = self._keys()
        self.sealer = Sealer(ours, cid)
        self.opener = Opener(theirs)
        self.other: Opener | None = None
        """The next epoch's opener until a datagram comes under it; then the old one's."""
        self.other_until = 0.0
        """When the old one is forgotten; 0 while *other* is the next."""
        self._seal_next: Keys | None = None
        self._since = now
        self._opened_before = 0

    def _keys(self) -> tuple[Keys, Keys]:
        to_server, to_client = self._schedule.directions()
        return (to_client, to_server) if self._is_server else (to_server, to_client)

    @property
    def epoch(self) -> int:
        """The newest epoch that both sides know of, or are being told of."""
        return self._schedule.epoch

    def is_due(self, highest: int, now: float, datagrams: int, seconds: float) -> bool:
        """Whether the keys in use have done enough.

        :param highest: the highest packet number that was opened.
        :param datagrams: in either direction.
        """
        if self.other is not None or self._seal_next is not None:
            return False
        sealed = self.sealer.number - self.sealer.began
        opened = highest + 1 - self._opened_before
        if sealed >= datagrams or opened >= datagrams:
            return True
        return now - self._since >= seconds and sealed + opened > 0

    def due_at(self, highest: int, seconds: float) -> float:
        """When keys that are not due become so by the time alone; never if nothing was sealed.

        :param highest: the highest packet number that was opened.
        """
        used = self.sealer.number - self.sealer.began + highest + 1 - self._opened_before
        return self._since + seconds if used > 0 else inf

    def propose(self, salt: bytes) -> int:
        """Server: make the next epoch's keys; datagrams under them may come from now on.

        :returns: the epoch, for REKEY.
        """
        self._schedule.advance(salt)
        self._seal_next, theirs = self._keys()
        self._expect(theirs)
        return self._schedule.epoch

    def follow(self, epoch: int, salt: bytes, highest: int, now: float) -> None:
        """Client: take the next epoch's keys, and seal with them at once.

        :raises RemoteProtocolError: if it is not the next epoch.
        """
        if epoch != self._schedule.epoch + 1:
            raise RemoteProtocolError(f"REKEY to epoch {epoch} in epoch {self._schedule.epoch}")
        if self.other is not None and not self.other_until:
            self.came(highest, now)  # the server is through with that one, or it would not go on
        self._schedule.advance(salt)
        ours, theirs = self._keys()
        self._expect(theirs)
        self.sealer.rekey(ours, epoch)

    def answered(self, epoch: int) -> None:
        """Server: the client has the keys.

        :raises RemoteProtocolError: if nobody asked.
        """
        if epoch != self._schedule.epoch or not epoch:
            raise RemoteProtocolError(f"REKEYED {epoch} in epoch {self._schedule.epoch}")
        self._seal_with_next()

    def came(self, highest: int, now: float) -> None:
        """The first datagram under the next epoch's keys opened."""
        assert self.other is not None
        self.opener, self.other = self.other, self.opener
        self.other_until = now + OLD_KEYS_SECONDS
        self._since = now
        self._opened_before = highest + 1
        self._seal_with_next()

    def expire(self, now: float) -> None:
        """Forget old keys whose time is over."""
        if self.other_until and now >= self.other_until:
            self.other = None
            self.other_until = 0.0

    def _expect(self, theirs: Keys) -> None:
        self.other = Opener(theirs, self._schedule.epoch)
        self.other_until = 0.0

    def _seal_with_next(self) -> None:
        if self._seal_next is not None:
            self.sealer.rekey(self._seal_next, self._schedule.epoch)
            self._seal_next = None

"""What a TCP connection writes: at once where it can, and how it hears that it piles up.

Layer 3. Runs on: the reactor thread.

Twisted keeps what is written until its next look at the socket, for which it has the kernel watch
it, and no longer: two system calls more for each write, and another way through the reactor. As
long as nothing waits there, what is to be written can be sent past it.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

PILE_BYTES: Final = 65_536
"""Waiting bytes beyond which only what must is written; Twisted has the same bound."""


class Writer(Protocol):
    """Who is told."""

    writable: bool

    def write_again(self) -> None:
        """What was written has left."""


@implementer(IPushProducer)
class Tap:
    """Told by any transport when what we write piles up."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def pauseProducing(self) -> None:
        self._writer.writable = False

    def resumeProducing(self) -> None:
        self._writer.write_again()

    def stopProducing(self) -> None:
        self._writer.writable = False


@implementer(IPullProducer)
class DirectTap:
    """Sends past a transport while nothing waits in it, and is told each time that nothing does.

    Twisted tells a producer that pulls whenever its buffer is empty, one that pushes only if there
    was too much in it.
    """

    def __init__(self, writer: Writer, transport: Any) -> None:
        self._writer = writer
        self._transport = transport
        self._socket = transport.getHandle()
        self._waiting = 0
        """Bytes that the transport was given since nothing waited in it."""

    def send(self, data: bytes) -> bytes:
        """Send what the kernel takes at once.

        :returns: the rest, which the caller must give the transport to write.
        """
        if not self._waiting and len(data) <= PILE_BYTES:
            try:
                sent = self._socket.send(data)
            except OSError:
                # It would block; or it failed, which the transport finds out as well when its turn
                # comes, and ends the connection from there, not in the middle of a flush.
                sent = 0
            if sent == len(data):
                return b""
            data = data[sent:]
        self._waiting += len(data)
        if self._waiting > PILE_BYTES:
            self._writer.writable = False
        return data

    def resumeProducing(self) -> None:
        """Called by the transport when nothing waits in it."""
        self._waiting = 0
        if self._transport.disconnecting:
            # Somebody closes it, which a producer would keep it from.
            self._transport.unregisterProducer()
        elif not self._writer.writable:
            self._writer.write_again()

    def stopProducing(self) -> None:
        """Called by the transport at its end."""
        self._writer.writable = False


def can_send_directly(transport: Any, is_tls: bool) -> bool:
    """Whether the bytes of a transport are those of its socket, and Twisted's own code has it."""
    return isinstance(transport, Connection) and not is_tls

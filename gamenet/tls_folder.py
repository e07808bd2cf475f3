"""The certificates of a folder, chosen by the server name that a client asks for.

Layer 4. Runs on: the reactor thread.

Twisted reads the folder and follows its changes. The choice is made here, because Twisted's own
writes a line, or a traceback, into the log for each name that it does not know; and any stranger
can ask for such names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from gamenet.authorities import new_context

if TYPE_CHECKING:
    from collections.abc import Callable


@implementer(IOpenSSLServerConnectionCreator)
class FolderContexts:
    """Makes the server's end of a TLS 1.3 connection.

    :param lookup: the context for a name in ASCII, or for no name; None if there is none.
    """

    def __init__(self, lookup: Callable[[bytes | None], SSL.Context | None]) -> None:
        self._lookup = lookup
        self._context = new_context()
        self._context.set_tlsext_servername_callback(self._choose)

    def serverConnectionForTLS(self, protocol: Any) -> SSL.Connection:
        """Called by Twisted's TLS for each connection."""
        return SSL.Connection(self._context)

    def _choose(self, connection: SSL.Connection) -> None:
        """The client has said hello, with a name or without one."""
        name = connection.get_servername()
        found = None
        if name:
            found = self._find(name) or self._find(b"*." + name.partition(b".")[2])
        found = found or self._find(None)
        if found is not None:
            connection.set_context(found)

    def _find(self, name: bytes | None) -> SSL.Context | None:
        try:
            return self._lookup(name)
        except ValueError:  # what no host is called
            return None

"""A short way to wake the reactor: a descriptor that it polls beside the sockets.

Layer 3. Runs on: the reactor thread; ``wake`` from any.

``callFromThread`` costs a pipe of Twisted's, a queue, and another round of the reactor's loop; from
here, what is to be done is called straight from the poll. Where a reactor polls no descriptors, or
the system has none left, it is ``callFromThread`` all the same.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from zope.interface import implementer

from gamenet.doorbell import Doorbell

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.python.failure import Failure

_IS_POSIX: Final = os.name == "posix"
"""Elsewhere ``select`` watches sockets alone."""


@implementer(IReadDescriptor)
class Waker:
    """Polled while it is open.

    :param reactor: the reactor that runs, or a simulated one.
    :param woken: called on the reactor thread, at least once after each ``wake``.
    """

    def __init__(self, reactor: Any, woken: Callable[[], None]) -> None:
        self._reactor = reactor
        self._woken = woken
        self._bell: Doorbell | None = None

    def wake(self) -> None:
        """Have the reactor call. From any thread."""
        bell = self._bell
        if bell is None or not bell.ring():
            self._reactor.callFromThread(self._woken)

    def open(self) -> None:
        """Have it polled from here on, where the reactor can. Repeatable."""
        if self._bell is not None or not _IS_POSIX:
            return
        if not IReactorFDSet.providedBy(self._reactor):
            return
        try:
            self._bell = Doorbell()
            self._reactor.addReader(self)
        except OSError:
            self._let_go()

    def close(self) -> None:
        """Have it polled no more. Repeatable."""
        if self._bell is not None:
            self._reactor.removeReader(self)
            self._let_go()

    def _let_go(self) -> None:
        """Close the descriptor; a wake that the reactor has not seen takes the other way."""
        bell, self._bell = self._bell, None
        if bell is not None and bell.close():
            self._reactor.callFromThread(self._woken)

    # What a reactor asks of what it polls.

    def fileno(self) -> int:
        """The descriptor."""
        return -1 if self._bell is None else self._bell.fileno()

    def logPrefix(self) -> str:
        """Whose doing it is, for Twisted's log."""
        return type(self).__name__

    def doRead(self) -> None:
        """Called by the reactor after a wake."""
        if self._bell is not None:
            # Heard first: a wake from here on is another one.
            self._bell.hear()
            self._woken()

    def connectionLost(self, reason: Failure) -> None:
        """Called by the reactor when it stops, or after an exception of ``woken``."""
        self._let_go()

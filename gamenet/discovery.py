"""Servers on the local network, for those who want to join one.

Layer 4. Runs on: any thread.

Only servers that have a beacon (``--beacon NAME``) answer. What they say is not signed: whoever is
on the same network can call a server anything. ``docs/DISCOVERY.rst`` says what that means.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Self

from gamenet.checks import check_label
from gamenet.found import Found
from gamenet.seeking import Seeker
from gamenet.threads import check_may_block, ensure_reactor

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Browser", "Found", "find"]


def find(seconds: float = 1.0, *, game: str = "") -> list[Found]:
    """Ask who is there, and wait for the answers. For scripts; a game uses :class:`Browser`.

    :param seconds: how long to wait; most servers answer within a tenth.
    :param game: the servers of this game alone, such as ``"tag/1"``; "" takes all.
    :returns: by name, then by address.
    :raises LocalProtocolError: where waiting is impossible, such as on the reactor's own thread.
    """
    check_may_block()
    with Browser(game) as browser:
        time.sleep(seconds)
        return browser.servers()


class Browser:
    """A list of servers that keeps itself up to date, for a join screen. It never blocks.

    ::

        browser = Browser("tag/1")
        browser.start()
        while choosing:
            for server in browser.servers():
                draw(server.name, server.players, server.address)
        browser.stop()

    It asks each two seconds, on the same thread that ``GameClient`` uses, and forgets a server that
    has not answered for seven. All methods can be called from any thread, and in any order.

    :param game: the servers of this game alone, such as ``"tag/1"``; "" takes all.
    :param reactor: None is the one of gamenet's own thread, or the one that runs.
    :raises ConfigError: if *game* cannot be the name of a game.
    """

    def __init__(self, game: str = "", *, reactor: Any = None) -> None:
        check_label("game", game)
        self._game = game
        self._reactor = reactor
        self._lock = threading.Lock()
        self._seeker: Seeker | None = None

    def start(self) -> None:
        """Begin to ask; nothing happens if it has begun.

        :raises LocalProtocolError: if the process has no network thread any more.
        """
        with self._lock:
            if self._seeker is not None:
                return
            if self._reactor is None:
                self._reactor = ensure_reactor()
            self._seeker = Seeker(self._reactor, self._game)
            self._reactor.callFromThread(self._seeker.start)

    def servers(self) -> list[Found]:
        """Those that answer at the moment, by name; empty before ``start`` and after ``stop``."""
        seeker = self._seeker
        return [] if seeker is None else list(seeker.found)

    @property
    def problem(self) -> str:
        """Why nobody can be asked, in a sentence; "" while somebody can be."""
        seeker = self._seeker
        return "" if seeker is None else seeker.problem

    def stop(self) -> None:
        """Ask nobody any more; can be called twice, and ``start`` begins anew."""
        with self._lock:
            seeker, self._seeker = self._seeker, None
            if seeker is not None:
                self._reactor.callFromThread(seeker.stop)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

"""The last minute of a server, in a ring of lines that never grows.

Layer 4. Runs on: any thread.

What a line tells is what the host tells anyway, and what its counters say once a second: nothing is
done for a datagram. There are no secrets in it and nothing that players wrote, their names apart,
which are escaped.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from gamenet.events import Joined, Left, PathChanged, Resumed, Suspended

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.events import Event

KEPT_SECONDS: Final = 60.0
"""How long a line is kept."""
MAX_BYTES: Final = 1_048_576
"""Of all lines; the oldest give way."""
MAX_LINE_BYTES: Final = 4_096
"""Of one line; a longer one is not kept, but counted."""


class Recorder:
    """Keeps lines of JSON for a minute.

    :param now: monotonic seconds.
    :param wall: the time of day, which lines tell.
    """

    def __init__(self, now: Callable[[], float], wall: Callable[[], float] = time.time) -> None:
        self._now = now
        self._wall = wall
        self._lock = threading.Lock()
        self._ring: deque[tuple[float, bytes]] = deque()
        self._bytes = 0
        self.forgotten = 0
        """Lines that were given up before their time, for want of room."""

    def note(self, kind: str, **fields: Any) -> None:
        """Keep a line. From any thread."""
        now = self._now()
        line = encoded(kind, self._wall(), fields)
        with self._lock:
            if len(line) > MAX_LINE_BYTES:
                self.forgotten += 1
                return
            self._ring.append((now, line))
            self._bytes += len(line)
            self._trim(now)

    def hear(self, event: Event) -> None:
        """An event changes what a player's state is. Runs on the reactor thread."""
        match event:
            case Joined(player, address, secure):
                self._of(player, "joined", address=address, secure=secure)
            case Left(player, reason):
                self._of(player, "left", reason=reason.name)
            case Suspended(player, reason):
                self._of(player, "suspended", reason=reason.name)
            case Resumed(player, away_seconds):
                self._of(player, "resumed", away_seconds=round(away_seconds, 3))
            case PathChanged(player, path, reason):
                self._of(player, "path", path=path, reason=reason)

    def _of(self, player: Any, kind: str, **fields: Any) -> None:
        self.note(kind, player=player.id, name=player.name, **fields)

    def lines(self) -> list[bytes]:
        """What is kept, the oldest first."""
        with self._lock:
            self._trim(self._now())
            return [line for _, line in self._ring]

    def _trim(self, now: float) -> None:
        ring = self._ring
        while ring and (now - ring[0][0] > KEPT_SECONDS or self._bytes > MAX_BYTES):
            if now - ring[0][0] <= KEPT_SECONDS:
                self.forgotten += 1
            self._bytes -= len(ring.popleft()[1])


def encoded(kind: str, at: float, fields: dict[str, Any]) -> bytes:
    """One line. Pure ASCII: nothing that a name holds can break out of it or upset a terminal."""
    line = {"at": round(at, 3), "kind": kind, **fields}
    return json.dumps(line, allow_nan=False, default=str).encode("ascii") + b"\n"

"""What each bot saw, as lines of JSON in a file.

Layer 4. Runs on: the game thread of the bots.

Every line has ``time`` in seconds of play, below zero before it; ``bot``, which is null for what
happens to the network; and ``event``, with that event's own fields behind it.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.errors import ConfigError
from gamenet.events import Connected, Disconnected, PathChanged, Resumed, Suspended

if TYPE_CHECKING:
    from gamenet.events import Event

MOST_LINES: Final = 1_000_000


class Trace:
    """A file of what happened; without a name it is none.

    :raises ConfigError: if the file cannot be written.
    """

    def __init__(self, path: str = "") -> None:
        self._file: TextIO | None = None
        self._lines = 0
        self._began: float | None = None
        self._early: list[tuple[float, dict[str, Any]]] = []
        if path:
            try:
                self._file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed by close()
            except OSError as error:
                raise ConfigError(
                    "trace",
                    f"cannot write {path}: {error.strerror}; name a file that you may write",
                ) from None

    def begin(self, now: float) -> None:
        """Play begins; what was noted before is written now."""
        self._began = now
        early, self._early = self._early, []
        for when, line in early:
            self._write(when, line)

    def note(self, bot: str | None, event: str, **more: Any) -> None:
        """Something happened."""
        if self._file is None:
            return
        line = {"bot": bot, "event": event, **more}
        now = time.monotonic()
        if self._began is None:
            self._early.append((now, line))
        else:
            self._write(now, line)

    def took(self, bot: str, event: Event, **more: Any) -> None:
        """A bot took an event; those that come many times a second are not noted."""
        match event:
            case Connected(player, secure):
                self.note(bot, "Connected", player=player.id, secure=secure)
            case Suspended(_, reason):
                self.note(bot, "Suspended", reason=reason.name, **more)
            case Resumed(_, away_seconds):
                self.note(bot, "Resumed", away_seconds=round(away_seconds, 3), **more)
            case PathChanged(_, path, reason):
                self.note(bot, "PathChanged", path=path, reason=reason)
            case Disconnected(reason, text, refusal, _, count):
                self.note(
                    bot,
                    "Disconnected",
                    reason=reason.name,
                    refusal=None if refusal is None else refusal.name,
                    text=text,
                    unacknowledged_count=count,
                    **more,
                )

    def _write(self, when: float, line: dict[str, Any]) -> None:
        if self._file is None or self._lines >= MOST_LINES:
            return
        self._lines += 1
        seconds = when - (self._began or when)
        self._file.write(json.dumps({"time": round(seconds, 3), **line}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """No more; repeatable."""
        if self._file is not None:
            if self._began is None:
                self.begin(time.monotonic())
            self._file.close()
            self._file = None

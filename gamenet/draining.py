"""Emptying a server: newcomers are refused, players are told, and it ends once nobody is in.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from math import ceil, isfinite
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger

from gamenet.core.text import checked_chat
from gamenet.errors import DisconnectReason, QueueFull, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from gamenet.server_host import ServerHost

log = Logger()
WORDS: Final = "Maintenance is due."
"""What players are told where the operator gives no text."""
MAX_CHARACTERS: Final = 400
"""Of the operator's text; with the time behind it, it still is a line of chat."""
LAST_CALLS: Final = (60.0, 10.0)
"""Seconds before the end at which players are told once more, besides half of the time."""
LOOK_SECONDS: Final = 0.25
"""From one look at who is still in to the next."""
ROUNDING: Final = 1e-6
"""A clock that adds up fractions must not make a call late."""


def calls(seconds: float) -> list[float]:
    """When players are told that the server ends, in seconds before it, the first at once.

    A last call that would follow the first by less than the half-time call does is left out.
    """
    half = seconds / 2
    return [seconds, *sorted({half, *(last for last in LAST_CALLS if last < half)}, reverse=True)]


def spell(seconds: float) -> str:
    """A time as players read it."""
    minutes, rest = divmod(ceil(seconds - ROUNDING), 60)
    if seconds > 60 * 60:
        minutes, rest = minutes + bool(rest), 0
    words = [
        f"{count} {unit}{'s' if count > 1 else ''}"
        for count, unit in ((minutes, "minute"), (rest, "second"))
        if count
    ]
    return " ".join(words) or "a moment"


def line(text: str, seconds: float) -> str:
    """What players read."""
    end = "" if text.endswith((".", "!", "?")) else "."
    return f"{text}{end} The server ends in {spell(seconds)}; come back after that."


def checked_words(seconds: float, text: str) -> str:
    """The text as players will see it.

    :raises ValueError: for a time that is none, or a text that is no line of chat.
    """
    if not (isfinite(seconds) and seconds > 0):
        raise ValueError(f"seconds must be above 0, not {seconds!r}; to end at once, stop it")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"text has {len(text)} characters, at most {MAX_CHARACTERS} may be")
    return checked_chat(text) if text else ""


class Drain:
    """One emptying of a server, from the first word to the end.

    :param seconds: until those who are still in are told to go.
    :param text: why, for the players; "" has words of its own.
    :param done: called once nobody is in any more.
    :raises ValueError: for a time that is none, or a text that is no line of chat.
    """

    def __init__(
        self,
        host: ServerHost,
        reactor: Any,
        seconds: float,
        text: str,
        done: Callable[[], object],
    ) -> None:
        self._words = checked_words(seconds, text)
        self._host = host
        self._reactor = reactor
        self._done = done
        self.sent_away = 0
        """Players who were still in when the time was over."""
        self._calls = calls(seconds)
        self.deadline = host.now() + seconds
        """When it ends at the latest, in monotonic seconds."""
        host.opens_again = self.deadline
        host.refuse_newcomers(RefusalReason.DRAINING)
        log.info(
            "draining: newcomers are refused, and {count} players have {seconds:g} s to leave",
            count=len(host.seats),
            seconds=seconds,
        )
        self._tell(seconds)
        # In a turn of its own: whoever asked for it is not in the middle of anything then.
        self._timer: IDelayedCall | None = reactor.callLater(0, self._look)

    @property
    def seconds_left(self) -> float:
        """Until it ends at the latest."""
        return max(0.0, self.deadline - self._host.now())

    def cancel(self) -> None:
        """The server stops for another reason."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _look(self) -> None:
        self._timer = None
        host = self._host
        left = self.seconds_left
        # Those who wait for another connection count: they may come back.
        count = len(host.registry)
        if count and left > ROUNDING:
            self._tell(left)
            self._timer = self._reactor.callLater(min(LOOK_SECONDS, left), self._look)
            return
        if count:
            log.info("drained: the time is over, and {count} players are sent away", count=count)
            host.drain()  # what the game has said by now is heard before the end
            host.end_all(DisconnectReason.DRAINED, self._words)
            self.sent_away = count
        else:
            log.info("drained: nobody is in any more")
        self._done()

    def _tell(self, left: float) -> None:
        """Tell everybody, if a call is due."""
        if not self._calls or left > self._calls[0] + ROUNDING:
            return
        while self._calls and left <= self._calls[0] + ROUNDING:
            self._calls.pop(0)
        words = line(self._words or WORDS, left)
        verbs = self._host.verbs
        for player in verbs.players:
            try:
                verbs.say(words, to=(player,))
            except QueueFull:
                pass  # with on_full="raise"; who is so far behind must not keep it from the others

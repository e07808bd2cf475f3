"""What is said: the lines so far, the speech bubbles, and what still waits to be heard.

Layer 4. Runs on: the game thread; times come in. No pygame.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from gamenet.core.text import checked_chat, clean
from gamenet.errors import QueueFull

if TYPE_CHECKING:
    from gamenet.client_facade import GameClient
    from gamenet.events import Chat

BUBBLE_SECONDS: Final = 5.0
MOST_LINES: Final = 200
MOST_BUBBLES: Final = 256
"""More than there are heroes in view; the oldest ones go first."""
MOST_WAITING: Final = 50
"""Of one's own lines that nobody has heard yet; a person who has typed so many is told to wait."""


class Line(NamedTuple):
    """A line of the history."""

    name: str
    """Who said it; "" is the server, or the game itself."""
    text: str
    at: float
    """Seconds on the clock of the game thread."""
    private: bool = False


class Talk:
    """The conversation as one player knows it.

    The server sends every line to everybody, its author included. So a line of one's own that has
    not come back is one that nobody has heard, and is kept in ``waiting`` until it does.
    """

    def __init__(self) -> None:
        self.lines: deque[Line] = deque(maxlen=MOST_LINES)
        """What was said, the oldest first."""
        self._to_send: deque[str] = deque()
        self._sent: deque[str] = deque()
        self._bubbles: dict[int, tuple[str, float]] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """One's own lines that nobody has heard yet, the oldest first."""
        return (*self._sent, *self._to_send)

    def say(self, text: str) -> bool:
        """Say a line as soon as the server takes it.

        :returns: False if there is nothing in it to say, or too much waits already.
        """
        try:
            line = checked_chat(text)
        except ValueError:
            return False
        if len(self._sent) + len(self._to_send) >= MOST_WAITING:
            return False
        self._to_send.append(line)
        return True

    def send(self, client: GameClient) -> None:
        """Hand the client what was said, as far as it takes it."""
        while self._to_send:
            try:
                client.say(self._to_send[0])
            except QueueFull:
                return
            self._sent.append(self._to_send.popleft())

    def heard(self, chat: Chat, now: float, *, own: bool) -> None:
        """Somebody has said something; *own* is oneself."""
        name, text = clean(chat.player.name), clean(chat.text)
        if own and text in self._sent:
            while self._sent.popleft() != text:
                pass
        self.lines.append(Line(name, text, now, chat.private))
        if chat.player.id:
            self._bubbles.pop(chat.player.id, None)
            self._bubbles[chat.player.id] = text, now + BUBBLE_SECONDS
            if len(self._bubbles) > MOST_BUBBLES:
                del self._bubbles[next(iter(self._bubbles))]

    def note(self, text: str, now: float) -> None:
        """A line of the game's own."""
        self.lines.append(Line("", text, now))

    def bubble(self, hero_id: int, now: float) -> str:
        """What hangs above a hero; "" is nothing."""
        text, until = self._bubbles.get(hero_id, ("", 0.0))
        return text if now < until else ""

    def forget_old(self, now: float) -> None:
        """Drop the bubbles that are over."""
        over = [hero_id for hero_id, (_, until) in self._bubbles.items() if now >= until]
        for hero_id in over:
            del self._bubbles[hero_id]

"""What became of each reliable message of one bot: the proof that nothing is lost or doubled.

Layer 4. Runs on: the game thread of the bots; reading and writing messages on any.

A bot numbers its reliable messages from 1 for its whole life, over all its sessions, and the demo's
game sends each back as it came. So of every message one of four things is true in the end::

    sent == received + unacknowledged + unanswered + lost

- *received*: its answer came back.
- *unacknowledged*: the session was lost for good, and ``Disconnected.unacknowledged`` named it: the
  server's game never took it, as far as anybody can tell.
- *unanswered*: the session was lost for good after the server's game had taken it, and before the
  answer came. What a server owes when it is killed, nobody can collect.
- *lost*: neither. There must never be one.

Whatever can end a *connection* leaves no mark here; only the death of a server does, and then
the messages of these kinds are the last ones of its session, in this order.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gamenet.messages import Payload

MAGIC: Final = b"GNR1"
"""How every numbered message begins."""
_HEADER: Final = struct.Struct("!4sQ")
MOST_NAMED: Final = 1_024
"""Messages that ``Disconnected`` names."""
_FILL: Final = 97
"""Messages are 12 to 108 bytes long, so that frames end everywhere in a segment."""


def write(number: int) -> bytes:
    """The message of a number."""
    return _HEADER.pack(MAGIC, number) + bytes([number & 0xFF]) * (number % _FILL)


def read(payload: Payload) -> int | None:
    """The number of a message; None if it is damaged, or none of ours."""
    if not isinstance(payload, bytes) or len(payload) < _HEADER.size:
        return None
    number: int = _HEADER.unpack_from(payload)[1]
    return number if payload == write(number) else None


class Ledger:
    """The books of one bot.

    :param problem: told, in a sentence, of everything that must not happen.
    """

    def __init__(self, problem: Callable[[str], object]) -> None:
        self._problem = problem
        self.sent = 0
        self.received = 0
        self.unacknowledged = 0
        self.unanswered = 0
        self.duplicated = 0
        """Answers that came once more."""
        self.reordered = 0
        """Answers that came behind a later one."""
        self._newest = 0
        """The highest number whose answer came."""
        self._pending: deque[int] = deque()
        """Sent in this session and not answered, oldest first."""
        self._skipped: set[int] = set()
        """Not answered although a later one was."""

    @property
    def pending(self) -> int:
        """Messages whose answer may still come."""
        return len(self._pending)

    @property
    def lost(self) -> int:
        """Messages that a later answer has overtaken for good."""
        return len(self._skipped)

    def next(self) -> bytes:
        """The next message; :meth:`was_sent` says that it was."""
        return write(self.sent + 1)

    def was_sent(self) -> None:
        """The session took the message."""
        self.sent += 1
        self._pending.append(self.sent)

    def take(self, payload: Payload) -> None:
        """An answer came."""
        number = read(payload)
        if number is None or not 0 < number <= self.sent:
            self._problem("an answer came to what was never sent")
        elif number > self._newest:
            self._newest = number
            while self._pending and self._pending[0] < number:
                self._skipped.add(self._pending.popleft())
            if self._pending and self._pending[0] == number:
                self._pending.popleft()
                self.received += 1
            else:
                self._problem(f"message {number} was answered after its session was lost")
        elif number in self._skipped:
            self._skipped.discard(number)
            self.received += 1
            self.reordered += 1
            self._problem(f"the answer to {number} came after that to {self._newest}")
        else:
            self.duplicated += 1
            self._problem(f"the answer to {number} came twice")

    def session_lost(self, unacknowledged: Sequence[Payload], count: int) -> None:
        """The session is over for good.

        :param unacknowledged: what ``Disconnected`` named, chat aside.
        :param count: how many it counted, chat included; it names the first 1,024.
        """
        named = {
            number for number in (read(payload) for payload in unacknowledged) if number is not None
        }
        first = min(named, default=self.sent + 1)
        if count > len(unacknowledged) >= MOST_NAMED and named:
            named.update(range(max(named) + 1, self.sent + 1))
        for number in self._pending:
            if number in named:
                self.unacknowledged += 1
            else:
                self.unanswered += 1
                if number > first:
                    self._problem(
                        f"message {number} was sent before its session was lost, and neither "
                        "taken nor given back"
                    )
        if named and max(named) > self.sent:
            self._problem("a message was given back that was never sent")
        self._pending.clear()

    def close(self) -> None:
        """No more answers will come: what has none now is lost."""
        self._skipped.update(self._pending)
        self._pending.clear()
        if self._skipped:
            some = ", ".join(str(number) for number in sorted(self._skipped)[:5])
            self._problem(f"{len(self._skipped)} reliable messages were lost, such as {some}")

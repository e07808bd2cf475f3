"""How a stay on a server ends, in words.

Layer 4. Runs on: the game thread. No pygame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gamenet.chat import farewell
from gamenet.errors import DisconnectReason

if TYPE_CHECKING:
    from gamenet.errors import RefusalReason
    from gamenet.events import Disconnected


class Over(NamedTuple):
    """How a stay has ended."""

    text: str
    """Why, as a sentence."""
    was_in: bool
    """Whether the player was in; if not, the join came to nothing."""
    orderly: bool
    """Whether somebody chose this end."""
    refusal: RefusalReason | None = None
    """Why the server did not let the player in, if that is what it was."""
    unheard: int = 0
    """Lines that the player has said, and that may have reached nobody."""


def in_words(event: Disconnected) -> str:
    """Why it is over, as a sentence."""
    text = farewell(event.reason, event.text, event.refusal)
    if event.reason is DisconnectReason.KICKED and event.text:
        text = f"the game has sent you away: {text}"
    return sentence(text)


def sentence(text: str) -> str:
    """*text* with a capital letter in front and a full stop behind."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."

"""Names and chat: what people type, made safe for those who read it.

Layer 1. Runs on: any thread; pure functions.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

MAX_CHAT_CHARACTERS: Final = 500
MAX_NAME_CHARACTERS: Final = 32

_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,32}\Z")
# Controls, surrogates, and line and paragraph separators; of the invisible format characters only
# the two joiners stay, because scripts and emoji need them. What goes here could move a cursor,
# start an escape sequence or turn the writing direction of a terminal.
_UNSAFE_CATEGORIES: Final = frozenset({"Cc", "Cs", "Cf", "Zl", "Zp"})
_JOINERS: Final = frozenset("\u200c\u200d")


def clean(text: str) -> str:
    """*text* without characters that could act on a terminal or a log, ends stripped."""
    if text.isascii() and text.isprintable():
        return text.strip()
    return "".join(
        character
        for character in text
        if unicodedata.category(character) not in _UNSAFE_CATEGORIES or character in _JOINERS
    ).strip()


def checked_chat(text: str) -> str:
    """The line as others will see it.

    :raises ValueError: if nothing readable is left, or it is longer than 500 characters.
    """
    cleaned = clean(text)
    if not cleaned or all(character in _JOINERS or character.isspace() for character in cleaned):
        raise ValueError("a chat line needs at least one readable character")
    if len(cleaned) > MAX_CHAT_CHARACTERS:
        raise ValueError(f"a chat line has at most {MAX_CHAT_CHARACTERS} characters")
    return cleaned


def checked_name(name: str) -> str | None:
    """The name in its normal form (NFKC), or None if it is not 1-32 of ``[A-Za-z0-9_.-]``."""
    normal = unicodedata.normalize("NFKC", name)
    return normal if _NAME.match(normal) else None


def name_key(name: str) -> str:
    """Names with equal keys are the same name."""
    return unicodedata.normalize("NFKC", name).casefold()

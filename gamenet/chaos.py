"""A script of bad luck: what is to happen to the network, and when.

Layer 0. Runs on: any thread.

``cut@8,block@14:6,move@24`` cuts TCP after eight seconds, blocks UDP from second 14 to second 20,
and has everybody's address change after 24.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gamenet.errors import ConfigError

WHAT: Final = {
    "cut": "every TCP connection is reset",
    "block": "no datagram passes",
    "move": "every client's address changes",
    "kill": "the server's process is killed and started again",
}
"""What can happen."""
FORMS: Final = "cut@SECONDS, block@SECONDS:FOR, move@SECONDS"
MOST_EVENTS: Final = 100
MOST_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True, order=True)
class Chaos:
    """One thing that happens."""

    at: float
    """Seconds after the beginning."""
    what: str
    """One of :data:`WHAT`, or ``unblock``."""

    def __str__(self) -> str:
        return f"{self.what}@{self.at:g}"


def parse_chaos(text: str, *, may_kill: bool = False) -> tuple[Chaos, ...]:
    """Read a script.

    :param may_kill: whether there is a server to kill.
    :returns: what happens, in order of time; a block that ends is an ``unblock``.
    :raises ConfigError: naming what cannot be read, and the forms that can.
    """
    found: list[Chaos] = []
    blocks: list[tuple[float, float]] = []
    parts = text.split(",")
    if len(parts) > MOST_EVENTS:
        raise ConfigError("chaos", f"at most {MOST_EVENTS} events, not {len(parts)}")
    for part in parts:
        what, mark, when = part.strip().partition("@")
        begins, _, lasts = when.partition(":")
        if what == "kill" and not may_kill:
            raise ConfigError("chaos", "only gamenet demo has a server to kill")
        if what not in WHAT or not mark or (what == "block") != (":" in when):
            forms = f"{FORMS}, kill@SECONDS" if may_kill else FORMS
            raise ConfigError("chaos", f"{part!r} is none of {forms}")
        at = _seconds(begins, part)
        if what == "block":
            blocks.append((at, at + _seconds(lasts, part)))
        else:
            found.append(Chaos(at, what))
    found += _joined(blocks)
    return tuple(sorted(found))


def _seconds(text: str, part: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= MOST_SECONDS:
        raise ConfigError("chaos", f"{part!r}: {text!r} is not a number of seconds from 0")
    return seconds


def _joined(blocks: list[tuple[float, float]]) -> list[Chaos]:
    """Blocks that overlap are one."""
    found: list[Chaos] = []
    end = -1.0
    for begins, ends in sorted(blocks):
        if begins > end:
            if found:
                found.append(Chaos(end, "unblock"))
            found.append(Chaos(begins, "block"))
        end = max(end, ends)
    if found:
        found.append(Chaos(end, "unblock"))
    return found

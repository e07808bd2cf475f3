"""How the demo's server does, as its status page tells it.

Layer 4. Runs on: the main thread of ``gamenet demo``.
"""

from __future__ import annotations

import http.client
import json
import time
from dataclasses import dataclass
from typing import Any, Final, Self

ANSWER_SECONDS: Final = 0.5
"""How long the page may take to answer."""
ANEW_SECONDS: Final = 2.0
"""Twice the time after which it looks anew."""
POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the page said at one moment."""

    cpu_seconds: float
    """Of the server's process since it began."""
    tick: int
    """Number of the game's newest tick."""
    ticks_per_second: float
    late_p99_ms: float
    players: int
    on_udp: int
    """Players whose UDP path is open."""
    inputs: int
    """Inputs that the game has taken since the server began."""
    clock_zero: float | None
    """Where the game clock began, in monotonic seconds of this machine; None before its start."""

    @classmethod
    def of(cls, status: dict[str, Any]) -> Self:
        """The sample in what ``/api/status`` answered; numbers it does not know yet are 0."""
        ticks, players = status["ticks"], status["players"]
        return cls(
            cpu_seconds=status["cpu_seconds"],
            tick=int(ticks["number"] or 0),
            ticks_per_second=ticks["per_second"] or 0.0,
            late_p99_ms=ticks["late_p99_ms"] or 0.0,
            players=len(players),
            on_udp=sum(player["path"] == "udp" for player in players),
            inputs=int(status["inputs"]["taken"] or 0),
            clock_zero=status["clock_zero"],
        )


def ask(address: str) -> dict[str, Any] | None:
    """What ``/api/status`` at ``host:port`` says; None if it does not answer."""
    page = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    try:
        page.request("GET", "/api/status")
        answer = page.getresponse()
        found = json.loads(answer.read()) if answer.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        page.close()
    return found if isinstance(found, dict) else None


def ask_anew(address: str) -> dict[str, Any] | None:
    """As ``ask``, of a moment after this call: the page does not look anew for each who asks."""
    first = ask(address)
    end = time.monotonic() + ANEW_SECONDS
    while first is not None and time.monotonic() < end:
        found = ask(address)
        if found is None or found["snapshot"] != first["snapshot"]:
            return found
        time.sleep(POLL_SECONDS)
    return None

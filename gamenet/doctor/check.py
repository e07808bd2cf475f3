"""What a check found: a verdict in words, its figures, and what to do.

Layer 4. Runs on: any thread.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

Verdict = Literal["ok", "warning", "failed", "not tried"]

NAMES: Final = (
    "name",
    "tcp",
    "tls",
    "join",
    "udp",
    "mtu",
    "rtt",
    "loss",
    "clock",
    "fallback",
)
"""Every check, in the order in which they are made."""
TITLES: Final = {
    "name": "name",
    "tcp": "TCP",
    "tls": "TLS",
    "join": "join",
    "udp": "UDP",
    "mtu": "path MTU",
    "rtt": "round trip",
    "loss": "loss",
    "clock": "clock",
    "fallback": "fallback",
}
"""What a person reads for each."""
TO_GET_IN: Final = ("name", "tcp", "tls", "join")
"""Those without which there is nothing else to look at."""


@dataclass(slots=True)
class Check:
    """One line of the examination."""

    name: str
    """One of :data:`NAMES`."""
    verdict: Verdict
    text: str
    """What was found."""
    fix: str = ""
    """The likely cause and what to do, in a sentence; "" where nothing is to be done."""
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """How long it took."""

    @property
    def is_well(self) -> bool:
        """Whether there is nothing to do about it: a warning is not well, either."""
        return self.verdict in ("ok", "not tried")

    def report(self) -> dict[str, Any]:
        """The check as ``--json`` has it."""
        return {
            "name": self.name,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "text": self.text,
            "fix": self.fix,
            "figures": self.figures,
        }


def milliseconds(seconds: float) -> float:
    """Seconds as a report has them: thousandths, with three digits behind the point."""
    return round(seconds * 1_000, 3)


def ms(seconds: float) -> str:
    """Seconds as a person reads them."""
    thousandths = seconds * 1_000
    digits = 2 if thousandths < 1 else 1 if thousandths < 9.95 else 0
    return f"{thousandths:.{digits}f} ms"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} and {words[-1]}"

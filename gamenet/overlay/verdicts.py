"""What a figure means: good, fair or poor, and what to do about it.

Layer 4. Runs on: any thread; pure functions. The bounds of round trip, jitter and loss are those of
``Quality.label`` (``docs/QUALITY.rst``).
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamenet.overlay.reading import Reading, Way
    from gamenet.overlay.shapes import Verdict


class Bounds(NamedTuple):
    """Up to *good* it is good, up to *fair* it is fair; the less the better."""

    good: float
    fair: float

    def of(self, value: float) -> Verdict:
        """The word for *value*; "" for what is no number."""
        if not isfinite(value):
            return ""
        return "good" if value <= self.good else "fair" if value <= self.fair else "poor"


PING: Final = Bounds(0.1, 0.2)
JITTER: Final = Bounds(0.05, 0.1)
LOSS: Final = Bounds(0.02, 0.05)
MISSING: Final = Bounds(0.05, 0.15)
"""Of states: what is overtaken on an uneven way is missing, too, and harms little."""
LATE: Final = Bounds(0.02, 0.1)
FRAME: Final = Bounds(1 / 45, 1 / 25)
"""Seconds for each."""
GIVEN_UP: Final = Bounds(0.005, 0.05)
"""The share of its ticks that a server's game gives up."""
LATENESS: Final = Bounds(0.25, 1.0)
"""How late a server's ticks begin, in ticks."""
STARVED: Final = Bounds(1, 5)
"""How often smoothing ran dry in ten seconds."""
WAITING: Final = Bounds(0.1, 0.3)
"""Seconds from game to game beyond what network and ticks account for."""
FULL_LINE_SECONDS: Final = 0.05
"""A round trip that is twice the smallest and longer by so much: something fills the line."""

OF_LABEL: Final[dict[str, Verdict]] = {
    "excellent": "good",
    "good": "good",
    "fair": "fair",
    "poor": "poor",
    "bad": "poor",
}
OF_WAY: Final[dict[Way, Verdict]] = {
    "udp": "good",
    "trying": "",
    "blocked": "poor",
    "silent": "poor",
}

OUTSIDE: Final = "Not joined: there is nothing to measure yet."
AWAY: Final = "The connection is lost and being restored: nothing that was sent is lost."
OVER: Final = "The session is over: these are its last figures."
BLOCKED: Final = (
    "UDP is blocked: everything goes inside TCP, so one lost packet delays all that follow. "
    "Open the server's UDP port, or try another network."
)
SILENT: Final = "UDP is silent: everything goes inside TCP until datagrams pass again."
LOST_IN: Final = "States get lost on the way here: try a cable instead of wireless."
LOST_OUT: Final = "Inputs get lost on the way and are sent again: try a cable instead of wireless."
FULL: Final = "Something fills the line: stop downloads, or lower the game's send budget."
FAR: Final = "The way is long: choose a server that is nearer."
UNEVEN: Final = "The way is uneven: try a cable instead of wireless, or smooth more."
SLOW_DRAWING: Final = "The drawing is slow, the network is not to blame: lower the graphics."
DRY: Final = "Others stutter as their states come too late: let the smoothing wait longer."
SERVER_SLOW: Final = "The server's game gives up ticks: it, or its machine, is too slow."
INPUTS_LOST: Final = "Some inputs never reached the server: your moves are not all played."
INPUTS_LATE: Final = "Inputs come late, as the way became longer: it settles within seconds."
GAMES_WAIT: Final = "The games wait longer than the network: a low tick rate, or a late game."


def spare_wait(reading: Reading) -> float:
    """Seconds from game to game that neither the network nor three ticks explain."""
    quality = reading.quality
    if not quality.end_to_end_seconds or not reading.tick_rate > 0:
        return 0.0
    return quality.end_to_end_seconds - quality.rtt_seconds - 3 / reading.tick_rate


def given_up(reading: Reading) -> float | None:
    """The share of its ticks that the server's game gave up; None while it is not known."""
    ran = reading.states.ticks_per_second
    if ran is None:
        return None
    skipped = reading.states.skipped
    return skipped / (skipped + ran * reading.states.seconds) if skipped else 0.0


def advice(reading: Reading) -> tuple[str, ...]:
    """What is wrong and what to do about it, the worst first; nothing where all is good."""
    if reading.standing == "outside":
        return (OUTSIDE,)
    if reading.standing == "over":
        return (OVER,)
    found = sorted(_found(reading), key=lambda one: one[0] != "poor")
    first = (AWAY,) if reading.standing == "away" else ()
    return (*first, *(sentence for verdict, sentence in found if verdict in ("fair", "poor")))


def _found(reading: Reading) -> Iterator[tuple[Verdict, str]]:
    """Verdicts, and what to say where they are not good."""
    quality, changes = reading.quality, reading.changes
    if reading.way in ("blocked", "silent"):
        yield "poor", BLOCKED if reading.way == "blocked" else SILENT
    yield LOSS.of(quality.loss_in), LOST_IN
    yield LOSS.of(quality.loss_out), LOST_OUT
    rtt, least = quality.rtt_seconds, quality.rtt_min_seconds
    if rtt > 2 * least and rtt - least > FULL_LINE_SECONDS:
        yield PING.of(rtt), FULL
    else:
        yield PING.of(rtt), FAR
    yield JITTER.of(quality.jitter_seconds), UNEVEN
    yield GIVEN_UP.of(given_up(reading) or 0.0), SERVER_SLOW
    if changes.of("inputs_missing") > 0:
        yield "poor", INPUTS_LOST
    yield LATE.of(reading.late_inputs), INPUTS_LATE
    yield STARVED.of(changes.of("starved")), DRY
    yield WAITING.of(spare_wait(reading)), GAMES_WAIT
    if 0 < reading.frames_per_second < 1 / FRAME.fair:
        yield "poor", SLOW_DRAWING

"""The figures of the four levels, as text.

Layer 4. Runs on: any thread; pure functions.
"""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final

from gamenet.overlay import verdicts
from gamenet.overlay.shapes import Line
from gamenet.overlay.words import count, ms, share, size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamenet.overlay.reading import Reading, Standing, Way
    from gamenet.overlay.shapes import Verdict

STANDINGS: Final[dict[Standing, str]] = {
    "outside": "not joined",
    "playing": "joined",
    "away": "suspended",
    "over": "over",
}
WAYS: Final[dict[Way, str]] = {
    "udp": "UDP",
    "trying": "TCP, trying UDP",
    "blocked": "TCP, UDP is blocked",
    "silent": "TCP, UDP is silent",
}

WORSE: Final[tuple[Verdict, ...]] = ("", "good", "fair", "poor")


def text(reading: Reading) -> list[Line]:
    """Level 1: the path, the ping, what goes over it, and how often the game draws."""
    quality = reading.quality
    playing = reading.standing == "playing"
    label = quality.label if playing else STANDINGS[reading.standing]
    found = [Line("connection", label, verdicts.OF_LABEL.get(label, ""))]
    if reading.standing != "outside":
        known = quality.label != "unknown"
        ping = quality.rtt_seconds if known else None
        found += [
            Line("path", WAYS[reading.way], verdicts.OF_WAY[reading.way]),
            Line("ping", ms(ping), verdicts.PING.of(quality.rtt_seconds) if known else ""),
            Line("in", _flow(quality.bytes_per_second_in, quality.datagrams_per_second_in)),
            Line("out", _flow(quality.bytes_per_second_out, quality.datagrams_per_second_out)),
        ]
    rate = reading.frames_per_second
    if rate > 0:
        worst = ms(reading.worst_frame_seconds)
        found.append(Line("frames", f"{count(rate)}/s, worst {worst}", verdicts.FRAME.of(1 / rate)))
    return found


def _flow(size_a_second: float, datagrams: float) -> str:
    return f"{size(size_a_second)}/s, {count(datagrams)} datagrams/s"


def latency(reading: Reading) -> list[Line]:
    """Level 2: what a game feels of the path, and what smooths it."""
    quality, changes = reading.quality, reading.changes
    coming, going = share(quality.loss_in), share(quality.loss_out)
    lost = _worse(verdicts.LOSS.of(quality.loss_in), verdicts.LOSS.of(quality.loss_out))
    felt = quality.end_to_end_seconds or None
    found = [
        Line("jitter", ms(quality.jitter_seconds), verdicts.JITTER.of(quality.jitter_seconds)),
        Line("loss", f"{coming} in, {going} out", lost),
        Line("end to end", ms(felt), verdicts.WAITING.of(verdicts.spare_wait(reading))),
    ]
    if reading.smoothing is not None:
        dry = changes.of("starved")
        behind = ms(reading.smoothing.delay_seconds)
        found.append(
            Line("smoothing", f"{behind} behind, dry {dry:.0f} times", verdicts.STARVED.of(dry))
        )
    if reading.predicting is not None:
        waiting, wrong = reading.predicting.waiting, changes.of("corrections")
        found.append(Line("prediction", f"{waiting} inputs ahead, corrected {wrong:.0f} times"))
    return found


def traffic(reading: Reading) -> list[Line]:
    """Level 3: all that went, and what waits."""
    quality = reading.quality
    return [
        Line("since join", f"{size(quality.bytes_in)} in, {size(quality.bytes_out)} out"),
        Line("waiting", f"{quality.queued_messages} messages, {size(quality.queued_bytes)}"),
    ]


def health(reading: Reading) -> list[Line]:
    """Level 4: the server's ticks, the states and inputs that hang on them, and its clock."""
    quality, states = reading.quality, reading.states
    gave_up = verdicts.given_up(reading)
    ran, promised = count(states.ticks_per_second), count(reading.tick_rate or None)
    missing = reading.missing_states
    known = states.seconds > 0
    inputs = quality.inputs_late, quality.inputs_early, quality.inputs_missing
    lost = reading.changes.of("inputs_missing") > 0
    found = [
        Line(
            "server ticks",
            f"{ran} of {promised}/s",
            "" if gave_up is None else verdicts.GIVEN_UP.of(gave_up),
        ),
        Line(
            "states",
            f"{count(states.states_per_second)}/s sent, {share(missing)} missing",
            verdicts.MISSING.of(missing) if known else "",
        ),
        Line("", f"{share(states.late_share)} came when the next was due"),
        Line(
            "inputs",
            "{} late, {} early, {} missing".format(*inputs),
            "poor" if lost else verdicts.LATE.of(reading.late_inputs),
        ),
        Line("input lead", ms(quality.input_lead_seconds)),
        Line("clock", _clock(quality.clock_offset_seconds, quality.clock_uncertainty_seconds)),
    ]
    return found + (_server(reading.server) if reading.server is not None else [])


def _worse(one: Verdict, other: Verdict) -> Verdict:
    return max(one, other, key=WORSE.index)


def _clock(offset: float, uncertainty: float) -> str:
    if not (isfinite(offset) and isfinite(uncertainty)):
        return "not known yet"
    return f"{offset:+,.3f} s, sure to {ms(uncertainty)}"


def _server(server: Mapping[str, float]) -> list[Line]:
    """What the server in this program says of itself."""
    rate, late = server.get("rate", 0.0), server.get("late_p99_ms", 0.0) / 1000
    skipped = count(server.get("skipped"))
    ran, players = count(server.get("per_second")), count(server.get("players"))
    slow = verdicts.LATENESS.of(late * rate) if rate > 0 else ""
    return [
        Line("own server", f"{ran} of {count(rate or None)}/s, {players} in"),
        Line("", f"99% at most {ms(late)} late, {skipped} given up", slow),
    ]

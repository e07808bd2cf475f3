"""The graphs of the four levels.

Layer 4. Runs on: any thread; pure functions. The last 30 s of the path are those that ``quality()``
keeps; what the network does not know, such as the delay of the smoothing, the model keeps itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gamenet.overlay import palette
from gamenet.overlay.shapes import Bar, Bars, Curve, Plot, finite, round_up, top_of
from gamenet.overlay.words import count, size
from gamenet.samples import SAMPLE_HZ, TypeRate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gamenet.overlay.reading import Reading
    from gamenet.samples import Sample

LEAST_MS: Final = 100.0
LEAST_LOSS: Final = 5.0
LEAST_BYTES: Final = 1_000.0
NOTHING: Final = TypeRate(0.0, 0.0)


def latency(samples: Sequence[Sample], delays: tuple[float | None, ...] | None) -> list[Plot]:
    """Level 2.

    :param delays: of the smoothing, in seconds; None without one.
    """
    # 0 is no measurement: none has come yet.
    ping = tuple(1000 * s.rtt_seconds if s.rtt_seconds else None for s in samples)
    jitter = tuple(1000 * s.jitter_seconds if s.rtt_seconds else None for s in samples)
    curves = [
        Curve("ping", ping, "solid", palette.FIRST),
        Curve("jitter", jitter, "dotted", palette.THIRD),
    ]
    if delays is not None:
        shown = tuple(None if delay is None else finite(1000 * delay) for delay in delays)
        curves.insert(1, Curve("smoothing", shown, "dashed", palette.SECOND))
    loss = (
        Curve("in", tuple(100 * s.loss_in for s in samples), "solid", palette.FIRST),
        Curve("out", tuple(100 * s.loss_out for s in samples), "dashed", palette.SECOND),
    )
    return [
        Plot("latency", "ms", top_of(tuple(curves), LEAST_MS), tuple(curves)),
        Plot("loss", "%", top_of(loss, LEAST_LOSS), loss),
    ]


def traffic(reading: Reading, samples: Sequence[Sample]) -> list[Plot | Bars]:
    """Level 3."""
    curves = (
        Curve("in", tuple(float(SAMPLE_HZ * s.bytes_in) for s in samples), "solid", palette.FIRST),
        Curve(
            "out", tuple(float(SAMPLE_HZ * s.bytes_out) for s in samples), "dashed", palette.SECOND
        ),
    )
    return [Plot("traffic", "B/s", top_of(curves, LEAST_BYTES), curves), types(reading)]


def types(reading: Reading) -> Bars:
    """What came and went by type of message, the most first."""
    coming, going = reading.quality.types_in, reading.quality.types_out
    bars = [
        _bar(name, coming.get(name, NOTHING), going.get(name, NOTHING))
        for name in {*coming, *going}
    ]
    bars.sort(key=lambda bar: (-bar.coming - bar.going, bar.name))
    most = max((max(bar.coming, bar.going) for bar in bars), default=0.0)
    colours = (palette.FIRST, palette.SECOND)
    return Bars("by type", "B/s", max(LEAST_BYTES, round_up(most)), tuple(bars), colours)


def _bar(name: str, coming: TypeRate, going: TypeRate) -> Bar:
    notes = (
        f"{word} {count(rate.messages_per_second)}/s {size(rate.bytes_per_second)}/s"
        for word, rate in (("in", coming), ("out", going))
        if rate.messages_per_second
    )
    return Bar(
        name.replace("_", " "),
        finite(coming.bytes_per_second) or 0.0,
        finite(going.bytes_per_second) or 0.0,
        ", ".join(notes),
    )


def health(lateness: tuple[float | None, ...]) -> list[Plot]:
    """Level 4: how late the latest state of each tenth came.

    :param lateness: in seconds.
    """
    late = tuple(None if value is None else finite(1000 * value) for value in lateness)
    curves = (Curve("states", late, "solid", palette.FIRST),)
    return [Plot("lateness", "ms", top_of(curves, LEAST_MS), curves)]

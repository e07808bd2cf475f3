"""``/metrics``: the plain counters as Prometheus reads them.

Layer 4. Runs on: the reactor thread. Needs ``prometheus-client``, the extra ``[metrics]``.

Nothing is counted for this page: it reads, once for each scrape, what the server counts anyway.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gamenet.core.counters import LOSSES
from gamenet.metrics.names import BYTES, of_counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gamenet.metrics.report import Snapshot

CONTENT_TYPE: Final = b"text/plain; version=0.0.4; charset=utf-8"
MISSING: Final = (
    b"this page needs prometheus-client: pip install 'gamenet[metrics]', and start again\n"
)

try:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import (
        CounterMetricFamily,
        GaugeMetricFamily,
        HistogramMetricFamily,
    )
    from prometheus_client.exposition import generate_latest
except ImportError:
    IS_THERE = False
else:
    IS_THERE = True


def exposition(snapshot: Snapshot) -> bytes | None:
    """The page; None where ``prometheus-client`` is not installed."""
    if not IS_THERE:
        return None
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collector(snapshot))
    return generate_latest(registry)


class Collector:
    """One snapshot, for ``prometheus_client``."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._crowd = snapshot.crowd
        self._head = snapshot.head

    def collect(self) -> Iterator[Any]:
        """Called by ``prometheus_client``: every metric there is."""
        yield from self._server()
        yield from self._players()
        yield from self._ticks()
        yield from self._traffic()
        yield from self._counters()

    def _server(self) -> Iterator[Any]:
        head = self._head
        info = GaugeMetricFamily(
            "gamenet_info", "The server; always 1", labels=["game", "version", "secure"]
        )
        info.add_metric([head["game"], head["version"], str(head["secure"]).lower()], 1)
        yield info
        yield _gauge("gamenet_uptime_seconds", "Since the server began", head["uptime_seconds"])
        yield _counter("process_cpu_seconds", "CPU time of the process", head["cpu_seconds"])
        yield _gauge("gamenet_ready", "1 while newcomers may come", head["ready"])
        yield _gauge("gamenet_draining", "1 while the server is being emptied", head["draining"])
        yield _gauge("gamenet_stalled", "1 while the game takes no events", head["stalled"])
        yield _gauge(
            "gamenet_reactor_late_max_seconds",
            "The longest that anything held up the reactor since the start",
            head["reactor"]["beat_late_max_ms"] / 1_000,
        )
        yield _counter("gamenet_errors", "Errors in the log", head["errors"])
        waiting = GaugeMetricFamily(
            "gamenet_queued", "What waits between game and reactor", labels=["what"]
        )
        for what, count in head["queues"].items():
            waiting.add_metric([what], count)
        yield waiting

    def _players(self) -> Iterator[Any]:
        head, crowd = self._head, self._crowd
        paths = GaugeMetricFamily("gamenet_players", "Players by path", labels=["path"])
        for path, count in crowd.paths.items():
            paths.add_metric([path], count)
        yield paths
        labels = GaugeMetricFamily(
            "gamenet_players_by_quality", "Players by the label of their path", labels=["label"]
        )
        for label, count in crowd.labels.items():
            labels.add_metric([label], count)
        yield labels
        yield _gauge("gamenet_players_max", "Players that fit", head["max_players"])
        yield _gauge(
            "gamenet_players_suspended",
            "Players without a connection, whose sessions wait for another",
            head["suspended"],
        )
        yield _histogram(
            "gamenet_rtt_seconds",
            "Round trips as measured on every path, ten a second",
            head["histograms"]["rtt_seconds"],
        )
        refusals = CounterMetricFamily(
            "gamenet_refusals", "Joins that were refused, by reason", labels=["reason"]
        )
        for reason, count in head["refusals"].items():
            refusals.add_metric([reason.lower()], count)
        yield refusals

    def _ticks(self) -> Iterator[Any]:
        ticks = self._head["ticks"]
        yield _gauge("gamenet_tick_rate_hertz", "Ticks a second, as wanted", ticks["rate"])
        yield _counter("gamenet_ticks", "The number of the newest tick", ticks["number"])
        yield _counter("gamenet_ticks_skipped", "Ticks given up to catch up", ticks["skipped"])
        late = GaugeMetricFamily(
            "gamenet_tick_late_seconds",
            "How late ticks began, of the last thousand",
            labels=["quantile"],
        )
        for quantile, name in (("0.5", "late_p50_ms"), ("0.99", "late_p99_ms")):
            if ticks[name] is not None:
                late.add_metric([quantile], ticks[name] / 1_000)
        yield late
        yield _histogram(
            "gamenet_tick_seconds",
            "How long the game's ticks took",
            self._head["histograms"]["tick_seconds"],
        )

    def _traffic(self) -> Iterator[Any]:
        counters = self._head["counters"]
        for direction in ("received", "sent"):
            size = CounterMetricFamily(
                f"gamenet_{direction}_bytes", f"Bytes {direction}", labels=["transport"]
            )
            for slot, (way, transport) in BYTES.items():
                if way == direction:
                    size.add_metric([transport], counters[slot])
            yield size
        labels = ["direction", "type"]
        count = CounterMetricFamily(
            "gamenet_messages", "Messages in datagrams, by type", labels=labels
        )
        size = CounterMetricFamily(
            "gamenet_message_bytes", "Bytes of messages in datagrams, by type", labels=labels
        )
        for key, direction in (("in", "received"), ("out", "sent")):
            for kind, figures in self._head["types"][key].items():
                count.add_metric([direction, kind], figures["messages"])
                size.add_metric([direction, kind], figures["bytes"])
        yield count
        yield size
        count = CounterMetricFamily("gamenet_frames", "Frames over TCP, by type", labels=labels)
        size = CounterMetricFamily(
            "gamenet_frame_bytes", "Bytes of frames over TCP, by type", labels=labels
        )
        for key, direction in (("in", "received"), ("out", "sent")):
            for kind, figures in self._head["frames"][key].items():
                count.add_metric([direction, kind], figures["frames"])
                size.add_metric([direction, kind], figures["bytes"])
        yield count
        yield size

    def _counters(self) -> Iterator[Any]:
        drops = CounterMetricFamily(
            "gamenet_drops", "What was lost or refused, by cause", labels=["cause"]
        )
        taken = self._head["inputs"]
        for slot, count in self._head["counters"].items():
            if slot.startswith(LOSSES):
                drops.add_metric([slot.removeprefix("drop_")], count)
            elif slot not in BYTES:
                yield _counter(*of_counter(slot), count)
        yield drops
        yield _counter("gamenet_inputs_taken", "Inputs that the game took", taken["taken"])


def _gauge(name: str, meaning: str, value: float | None) -> Any:
    return GaugeMetricFamily(name, meaning, value=float(value or 0))


def _counter(name: str, meaning: str, value: float | None) -> Any:
    return CounterMetricFamily(name, meaning, value=float(value or 0))


def _histogram(name: str, meaning: str, found: dict[str, Any]) -> Any:
    """Prometheus counts everything up to a bound, not from the one before."""
    total, buckets = 0, []
    for bound, count in zip((*found["bounds"], "+Inf"), found["counts"], strict=True):
        total += count
        buckets.append((str(bound), total))
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=found["sum"])

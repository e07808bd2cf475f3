"""What ``bench.py`` measures, what each figure must be, and the table of them."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

KEYS: Final = (
    "workload", "peer", "n", "unit", "median", "min", "max", "ratio_to_pyenet",
    "ratio_to_twisted", "loss", "tick_late_p99_ms", "bar", "meets_bar",
)  # fmt: skip
"""Of a row; ``error`` comes beside them where something went wrong."""

MESSAGE: Final = "us/message"
CLIENT_TICK: Final = "us/client-tick"
DELIVERY: Final = "us/delivery"
MEDIAN_TRIP: Final = "us p50"
SLOW_TRIP: Final = "us p99"
JOINS: Final = "joins/s"
MEMORY: Final = "KiB/client"
IDLE: Final = "% of a core"
QUEUED: Final = "B/queued message"
REACTOR_PAUSE: Final = "ms longest pause of the reactor"
TICK_PAUSE: Final = "ms latest tick"
COLLECTOR: Final = "% of CPU in the collector"
HELD: Final = "clients held"

LONG_SECONDS: Final = 600.0

MOST_LATE_MS: Final = 5.0
MOST_LOSS: Final = 0.001
"""A number of clients is held while 99 % of ticks and all but this share of inputs and states come
in time, at the median of the runs."""


class Peer(NamedTuple):
    """What is measured.

    :param server: and *load*: the scripts in ``contest/``.
    :param package: what has to be in the peers' environment; none runs in gamenet's own.
    :param compiled: whether its server runs from the copy that ``make compiled-copy`` makes.
    """

    server: str
    load: str
    package: str = ""
    transport: str = "udp"
    ping: str = ""
    """The load of W4, where that is another."""
    compiled: bool = False


PEERS: Final = {
    "gamenet": Peer("gamenet_server.py", "gamenet_load.py"),
    "gamenet-compiled": Peer("gamenet_server.py", "gamenet_load.py", compiled=True),
    "gamenet-tls": Peer("gamenet_server.py", "gamenet_load.py", transport="tls"),
    "pyenet": Peer("pyenet_server.py", "pyenet_load.py", "pyenet"),
    "aioquic": Peer("aioquic_server.py", "aioquic_load.py", "aioquic"),
    "mpgameserver": Peer("mpgameserver_server.py", "mpgameserver_load.py", "mpgameserver"),
    "websockets": Peer("websockets_server.py", "plain_load.py", "websockets", "ws"),
    "twisted-udp": Peer("twisted_server.py", "plain_load.py", ping="twisted_load.py"),
    "twisted-tcp": Peer("twisted_server.py", "plain_load.py", transport="tcp"),
    "twisted-tls": Peer("twisted_server.py", "plain_load.py", transport="tls"),
    "socket": Peer("socket_server.py", "plain_load.py"),
    "socket-tcp": Peer("socket_server.py", "plain_load.py", transport="tcp"),
    "c": Peer("floor_server.c", "plain_load.py"),
}


class Case(NamedTuple):
    """One thing to measure: a workload, a peer, a number of clients, and what is not as usual."""

    workload: str
    peer: str
    n: int
    unit: str
    spec: tuple[tuple[str, Any], ...] = ()


def _cases() -> Iterable[Case]:
    for peer in (
        "gamenet", "gamenet-compiled", "pyenet", "twisted-udp", "socket", "c", "aioquic",
        "mpgameserver",
    ):  # fmt: skip
        yield Case("W1", peer, 1, MESSAGE)
    for peer in (
        "gamenet-tls", "pyenet", "twisted-tcp", "twisted-tls", "socket-tcp", "websockets",
        "aioquic", "mpgameserver",
    ):  # fmt: skip
        yield Case("W2", peer, 1, MESSAGE)
    for n in (100, 400, 1_200):
        for peer in (
            "gamenet", "gamenet-compiled", "pyenet", "twisted-udp", "twisted-tcp", "socket", "c",
        ):  # fmt: skip
            yield Case("W3", peer, n, CLIENT_TICK)
    # Up to where each of them no longer holds.
    for peer, counts in (("aioquic", (50, 75, 100)), ("mpgameserver", (100, 125, 150))):
        for n in counts:
            yield Case("W3", peer, n, CLIENT_TICK)
    yield Case("W3", "websockets", 100, CLIENT_TICK)
    for peer in ("gamenet", "pyenet", "twisted-udp", "socket", "c"):
        yield Case("W4", peer, 1, MEDIAN_TRIP)
    for peer in (
        "gamenet", "gamenet-compiled", "gamenet-tls", "twisted-tcp", "twisted-tls", "pyenet",
        "websockets",
    ):  # fmt: skip
        yield Case("W5", peer, 200, DELIVERY, (("hz", 30),))
    for peer in ("gamenet", "gamenet-tls"):
        yield Case("W6", peer, 1_000, JOINS)
    for n in (50, 100, 200, 400, 700, 1_000, 2_000):
        yield Case("W7", "gamenet", n, CLIENT_TICK)
    for size in (50, 1_000, 4_000):
        unit = f"{CLIENT_TICK}, {size} B"
        yield Case("W7", "gamenet", 200, unit, (("state_bytes", size),))
    for loss in (5, 20):
        unit = f"{CLIENT_TICK}, {loss} % lost"
        yield Case("W7", "gamenet", 200, unit, (("loss", loss / 100),))
    yield Case("W8", "gamenet", 50, QUEUED, (("queued", 500),))
    yield Case("W8", "gamenet", 400, REACTOR_PAUSE, (("seconds", LONG_SECONDS),))


CASES: Final = tuple(_cases())
WORKLOADS: Final = tuple(dict.fromkeys(case.workload for case in CASES))


class Bar(NamedTuple):
    """What a figure must be.

    :param of: what is looked at: "median", "loss", "tick_late_p99_ms", a ratio's key, or "base",
        the ratio to the same at a hundred clients.
    """

    workload: str
    peer: str
    unit: str
    of: str
    limit: float
    counts: tuple[int, ...] = ()
    """Numbers of clients that it holds for; none: for all."""
    at_least: bool = False

    def text(self) -> str:
        """As the table has it."""
        name = {
            "median": "", "ratio_to_pyenet": " of pyenet", "ratio_to_twisted": " of twisted",
            "loss": " lost", "tick_late_p99_ms": " ms late", "base": " of n=100",
        }[self.of]  # fmt: skip
        limit = f"{self.limit:,.0f}" if self.limit >= 100 else f"{self.limit:.3g}"
        if self.of == "loss":
            limit = f"{self.limit:.1%}"
        return f"{'>=' if self.at_least else '<='} {limit}{name}"


BARS: Final = (
    Bar("W1", "gamenet", MESSAGE, "ratio_to_pyenet", 1.1),
    Bar("W1", "gamenet", MESSAGE, "ratio_to_twisted", 1 / 3),
    Bar("W2", "gamenet-tls", MESSAGE, "ratio_to_pyenet", 1.1),
    Bar("W1", "gamenet-compiled", MESSAGE, "ratio_to_pyenet", 1.1),
    Bar("W3", "gamenet", CLIENT_TICK, "ratio_to_pyenet", 1.35, (400,)),
    Bar("W3", "gamenet-compiled", CLIENT_TICK, "ratio_to_pyenet", 1.35, (400,)),
    Bar("W3", "gamenet", CLIENT_TICK, "tick_late_p99_ms", MOST_LATE_MS, (1_200,)),
    Bar("W3", "gamenet", CLIENT_TICK, "loss", MOST_LOSS, (1_200,)),
    Bar("W4", "gamenet", MEDIAN_TRIP, "ratio_to_twisted", 2.2),
    Bar("W4", "gamenet", SLOW_TRIP, "median", 1_000.0),
    Bar("W5", "gamenet", DELIVERY, "ratio_to_twisted", 1.0),
    Bar("W5", "gamenet-compiled", DELIVERY, "ratio_to_twisted", 1.0),
    Bar("W5", "gamenet-tls", DELIVERY, "ratio_to_twisted", 0.9),
    Bar("W6", "gamenet", JOINS, "median", 1_000.0, at_least=True),
    Bar("W6", "gamenet-tls", JOINS, "median", 500.0, at_least=True),
    Bar("W6", "gamenet", MEMORY, "median", 20.0),
    Bar("W6", "gamenet-tls", MEMORY, "median", 60.0),
    Bar("W6", "gamenet", IDLE, "median", 2.0),
    Bar("W6", "gamenet-tls", IDLE, "median", 2.0),
    Bar("W7", "gamenet", CLIENT_TICK, "base", 1.1, (200, 400, 700, 1_000)),
    # A server that is full costs no more for more players: it leaves them out.
    Bar("W7", "gamenet", CLIENT_TICK, "loss", MOST_LOSS, (200, 400, 700, 1_000)),
)
TIMES_THE_SLOW: Final = 8
"""W3: so many times the clients of each sealed peer must be held."""
SEALED_PEERS: Final = ("aioquic", "mpgameserver")


class Sample(NamedTuple):
    """What one run of a case gave."""

    figures: Mapping[str, float]
    """By unit."""
    loss: float | None = None
    late_ms: float | None = None


def units(case: Case) -> tuple[str, ...]:
    """The rows that come of a case."""
    if case.workload == "W4":
        return (MEDIAN_TRIP, SLOW_TRIP)
    if case.workload == "W6":
        return (JOINS, MEMORY, IDLE)
    if case.unit == REACTOR_PAUSE:
        return (CLIENT_TICK, REACTOR_PAUSE, TICK_PAUSE, COLLECTOR)
    return (case.unit,)


def twin(workload: str, peer: str) -> str:
    """Which way of using plain Twisted a peer is compared with."""
    if workload == "W5":
        return "twisted-tls" if PEERS[peer].transport == "tls" else "twisted-tcp"
    return "twisted-tls" if workload == "W2" else "twisted-udp"


def build_rows(
    cases: Sequence[Case],
    samples: Mapping[Case, Sequence[Sample]],
    errors: Mapping[Case, str],
) -> list[dict[str, Any]]:
    """The table: a row for each unit of each case, with ``KEYS`` and, where so, ``error``."""
    rows = []
    for case in cases:
        taken = samples.get(case, ())
        for unit in units(case):
            figures = [sample.figures[unit] for sample in taken if unit in sample.figures]
            row: dict[str, Any] = dict.fromkeys(KEYS)
            row |= {"workload": case.workload, "peer": case.peer, "n": case.n, "unit": unit}
            row["bar"] = ""
            if figures:
                row["median"] = statistics.median(figures)
                row["min"], row["max"] = min(figures), max(figures)
            row["loss"] = _median(sample.loss for sample in taken)
            row["tick_late_p99_ms"] = _median(sample.late_ms for sample in taken)
            if case in errors:
                row["error"] = errors[case]
            rows.append(row)
    by_key = {(row["workload"], row["peer"], row["n"], row["unit"]): row for row in rows}
    for row in rows:
        workload, peer, n, unit = row["workload"], row["peer"], row["n"], row["unit"]
        row["ratio_to_pyenet"] = _ratio(row, by_key.get((workload, "pyenet", n, unit)))
        row["ratio_to_twisted"] = _ratio(row, by_key.get((workload, twin(workload, peer), n, unit)))
    for row in rows:
        base = _ratio(row, by_key.get((row["workload"], row["peer"], 100, row["unit"])))
        _judge(row, base)
    return rows + _held(rows)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _ratio(row: Mapping[str, Any], to: Mapping[str, Any] | None) -> float | None:
    if to is None or row["median"] is None or not to["median"]:
        return None
    return float(row["median"] / to["median"])


def _judge(row: dict[str, Any], base: float | None) -> None:
    bars = [
        bar
        for bar in BARS
        if (bar.workload, bar.peer, bar.unit) == (row["workload"], row["peer"], row["unit"])
        and (not bar.counts or row["n"] in bar.counts)
    ]
    if not bars:
        return
    row["bar"] = " and ".join(bar.text() for bar in bars)
    met: list[bool | None] = []
    for bar in bars:
        value = base if bar.of == "base" else row[bar.of]
        if value is None:
            met.append(None)
        else:
            met.append(value >= bar.limit if bar.at_least else value <= bar.limit)
    # One that is missed is enough to tell; what could not be compared tells nothing.
    row["meets_bar"] = False if False in met else None if None in met else True


def _held(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """W3: the largest number of clients that each peer held, of those that were tried."""
    held: dict[str, int] = {}
    for row in sorted((row for row in rows if row["workload"] == "W3"), key=lambda row: row["n"]):
        late, loss = row["tick_late_p99_ms"], row["loss"]
        if late is None or loss is None:
            continue
        held.setdefault(row["peer"], 0)
        if late <= MOST_LATE_MS and loss <= MOST_LOSS:
            held[row["peer"]] = row["n"]
    found = []
    for peer, count in held.items():
        row = dict.fromkeys(KEYS)
        row |= {"workload": "W3", "peer": peer, "n": count, "unit": HELD, "bar": ""}
        row |= {"median": count, "min": count, "max": count}
        if held.get("pyenet"):
            row["ratio_to_pyenet"] = count / held["pyenet"]
        if held.get("twisted-udp"):
            row["ratio_to_twisted"] = count / held["twisted-udp"]
        if peer == "gamenet":
            row["bar"] = f">= {TIMES_THE_SLOW} times " + " and ".join(SEALED_PEERS)
            if all(other in held for other in SEALED_PEERS):
                most = max(held[other] for other in SEALED_PEERS)
                row["meets_bar"] = count >= TIMES_THE_SLOW * most
        found.append(row)
    return found


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows for people."""
    lines = [
        ["", "peer", "n", "unit", "median", "min", "max", "/pyenet", "/twisted", "lost",
         "late p99 ms", "bar", "met"],
    ]  # fmt: skip
    for row in rows:
        lines.append(
            [
                row["workload"], row["peer"], str(row["n"]), row["unit"],
                *(_figure(row[key]) for key in ("median", "min", "max")),
                *(_figure(row[key], 2) for key in ("ratio_to_pyenet", "ratio_to_twisted")),
                "" if row["loss"] is None else f"{row['loss']:.2%}",
                _figure(row["tick_late_p99_ms"], 2),
                row["bar"],
                {True: "yes", False: "NO", None: "?" if row["bar"] else ""}[row["meets_bar"]],
            ]
        )  # fmt: skip
        if "error" in row:
            lines[-1][-2:] = ["error: " + row["error"], ""]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]) - 2)]
    text = []
    for line in lines:
        cells = [
            cell.rjust(width) if column in (2, 4, 5, 6, 7, 8, 9, 10) else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ]
        text.append("  ".join([*cells, "  ".join(line[-2:])]).rstrip())
    return "\n".join(text)


def _figure(value: float | None, digits: int | None = None) -> str:
    if value is None:
        return ""
    if digits is None:
        digits = 0 if value >= 100 else 1 if value >= 20 else 2
    return f"{value:,.{digits}f}"


def exit_status(rows: Iterable[Mapping[str, Any]]) -> int:
    """0, or 1 if a peer is missing or failed; a bar that is missed does not change it."""
    return int(any("error" in row for row in rows))

"""What successive answers of a status site come to.

Layer 4. Runs on: the main thread.

Names and causes are other people's text: nothing in them reaches the terminal but letters.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gamenet.core.text import clean
from gamenet.top.players import Player
from gamenet.top.site import NoAnswer
from gamenet.top.words import NONE, duration, mean, middle, millis, number, share, size
from gamenet.top.world import World, other, world_of

if TYPE_CHECKING:
    from collections.abc import Iterable

POINTS: Final = 30
"""Answers that a graph shows, as the page does."""


class Tile(NamedTuple):
    """One figure of the server, and how it went."""

    title: str
    text: str
    graph: tuple[float | None, ...] = ()
    least: float = 1.0
    """The least top of the graph's scale."""


class Entry(NamedTuple):
    """A line of a list, which has a bar."""

    name: str
    amount: float
    text: str
    more: str = ""


class Panel(NamedTuple):
    """A list of what is counted."""

    title: str
    entries: tuple[Entry, ...]


class View(NamedTuple):
    """One look: what there is to show, however much room there may be."""

    head: tuple[str, ...]
    tiles: tuple[Tile, ...] = ()
    panels: tuple[Panel, ...] = ()
    """The most important first; none is empty."""
    players: tuple[Player, ...] = ()
    """The longest round trip first."""
    world: World | None = None
    """The map that the game shows."""
    other: str = ""
    """What it shows that is no map."""


Figure = tuple[str, str, float | None, float]
"""Title, text, number and least top of the scale of a tile."""


class Watch:
    """Remembers what it takes to tell rates, and to draw graphs."""

    def __init__(self) -> None:
        self._last: dict[str, Any] | None = None
        self._view: View | None = None
        self._past: dict[str, deque[float | None]] = {}

    def take(self, now: dict[str, Any]) -> View:
        """What there is to show after one more answer.

        :raises NoAnswer: if it cannot be read.
        """
        try:
            return self._take(now)
        except (
            LookupError,
            TypeError,
            ValueError,
            ArithmeticError,
            AttributeError,
            RecursionError,
        ):
            raise NoAnswer("the status site is of another version of gamenet") from None

    def _take(self, now: dict[str, Any]) -> View:
        before = self._last
        if before is not None and self._view is not None:
            if now["uptime_seconds"] == before["uptime_seconds"]:
                return self._view  # the server has not looked anew
            is_older = now["uptime_seconds"] > before["uptime_seconds"]
            if not is_older or now["clock_zero"] != before["clock_zero"]:
                # Another process, or another game: there is nothing to compare with.
                before = None
                self._past = {}
        players = [Player.of(one, now["history"]) for one in now["players"]]
        players.sort(key=lambda one: one.rtt or 0.0, reverse=True)
        world = world_of(now["view"])
        view = View(
            _head(now),
            tuple(self._tiles(_figures(now, before, players))),
            tuple(panel for panel in _panels(now, before) if panel.entries),
            tuple(players),
            world,
            "" if world is not None or now["view"] is None else other(now["view"]),
        )
        self._last, self._view = now, view
        return view

    def _tiles(self, figures: Iterable[Figure]) -> Iterable[Tile]:
        """The figures of the server, and what came before of each."""
        for title, text, value, least in figures:
            past = self._past.setdefault(title, deque(maxlen=POINTS))
            past.append(value)
            yield Tile(title, text, tuple(past), least)


def _head(now: dict[str, Any]) -> tuple[str, ...]:
    state = "stalled" if now["stalled"] else "running" if now["ready"] else "not ready"
    if now["draining"]:
        left = number(now["drain_seconds_left"])
        state = "draining" if left is None else f"draining, {duration(left)} left"
    name = clean(str(now["game"])) or "a game without a name"
    safety = "" if now["secure"] else ", insecure"
    queues, inputs = now["queues"], now["inputs"]
    return (
        f"{name}, gamenet {clean(str(now['version']))}, {state}{safety}, "
        f"up {duration(now['uptime_seconds'])}, {int(now['errors'])} errors",
        f"room for {int(now['max_players'])}, {int(now['suspended'])} suspended; "
        f"waiting: {int(queues['events'])} events, {int(queues['commands'])} commands; "
        f"inputs: {int(inputs['missing'] or 0)} missing, {int(inputs['late'])} late; "
        f"reactor at most {_ms(now['reactor']['beat_late_max_ms'])} ms late",
    )


def _figures(
    now: dict[str, Any], before: dict[str, Any] | None, players: list[Player]
) -> Iterable[Figure]:
    paths, ticks = now["paths"], now["ticks"]
    times, jitter = [one.rtt for one in players], [one.jitter for one in players]
    lost_in = mean(one.loss_in for one in players)
    lost_out = mean(one.loss_out for one in players)
    bytes_in = sum(one.bytes_in or 0.0 for one in players)
    bytes_out = sum(one.bytes_out or 0.0 for one in players)
    cpu = None
    if before is not None:
        seconds = now["uptime_seconds"] - before["uptime_seconds"]
        cpu = number((now["cpu_seconds"] - before["cpu_seconds"]) / seconds)
    per_second, rate = number(ticks["per_second"]), number(ticks["rate"])
    late = number(ticks["late_p99_ms"])
    speed = NONE if per_second is None else f"{per_second:.1f}"
    most = middle(jitter, 0.95)
    on_udp, on_tcp = int(paths["udp"]), int(paths["tcp"])
    return (
        ("players", f"{len(players)}: {on_udp} udp, {on_tcp} tcp", len(players), 4),
        (
            "ticks/s",
            f"{speed} of {rate or 0:g}, {int(ticks['skipped'] or 0)} skipped",
            per_second,
            rate or 1,
        ),
        (
            "tick late",
            f"{_ms(ticks['late_p50_ms'])}, 99 % {_ms(late)} ms",
            late,
            5,
        ),
        ("CPU", f"{share(cpu)} of a core", cpu, 0.25),
        (
            "RTT",
            f"{millis(middle(times))}, 95 % {millis(middle(times, 0.95))} ms",
            middle(times),
            0.05,
        ),
        ("jitter", f"{millis(middle(jitter))}, 95 % {millis(most)} ms", middle(jitter), 0.02),
        ("loss out", f"{share(lost_out)}, in {share(lost_in)}", lost_out, 0.02),
        ("out", f"{size(bytes_out)}/s, in {size(bytes_in)}/s", bytes_out, 1_000),
    )


def _ms(milliseconds: Any) -> str:
    found = number(milliseconds)
    return millis(None if found is None else found / 1_000)


def _panels(now: dict[str, Any], before: dict[str, Any] | None) -> Iterable[Panel]:
    for title in ("drops", "refusals"):
        was = before[title] if before is not None else None
        yield Panel(
            f"{title} by {'cause' if title == 'drops' else 'reason'}", _causes(now[title], was)
        )
    seconds = now["uptime_seconds"] - before["uptime_seconds"] if before is not None else 0.0
    entries: list[Entry] = []
    for key, tail in (("types", ""), ("frames", " by TCP")):
        was = before[key] if before is not None else None
        entries += _types(now[key], was, seconds, tail)
    yield Panel("bytes by type", _sorted(entries))
    ticks = now["ticks"]
    title = f"ticks by ms; median {_ms(ticks['took_p50_ms'])}, 99 % {_ms(ticks['took_p99_ms'])}"
    yield Panel(title, tuple(_durations(now["histograms"]["tick_seconds"])))


def _causes(now: dict[str, Any], before: dict[str, Any] | None) -> tuple[Entry, ...]:
    """Causes that have counted anything, with what came since the last look."""
    found = []
    for name, count in now.items():
        if count:
            more = int(count) - int(before.get(name, 0)) if before is not None else 0
            word = _spaced(name.removeprefix("drop_")).lower()
            found.append(Entry(word, int(count), f"{int(count):,}", f"+{more:,}" if more else ""))
    return _sorted(found)


def _types(
    now: dict[str, Any], before: dict[str, Any] | None, seconds: float, tail: str
) -> Iterable[Entry]:
    for way in ("out", "in"):
        for name, figures in now[way].items():
            total = number(figures["bytes"]) or 0.0
            speed = None
            if before is not None:
                was = before[way].get(name)
                speed = (total - (was["bytes"] if was else 0)) / seconds
            yield Entry(f"{way} {_spaced(name)}{tail}", total, f"{size(speed)}/s", size(total))


def _durations(found: dict[str, Any]) -> Iterable[Entry]:
    bounds, counts = found["bounds"], found["counts"]
    for index, count in enumerate(counts):
        if count:
            word = f"to {millis(bounds[index])}" if index < len(bounds) else "beyond"
            yield Entry(word, count, f"{int(count):,}")


def _sorted(entries: list[Entry]) -> tuple[Entry, ...]:
    return tuple(sorted(entries, key=lambda entry: entry.amount, reverse=True))


def _spaced(name: str) -> str:
    return clean(name).replace("_", " ")

"""What a run of bots has to say: the keys of its report, the table and the live line.

Layer 4. Runs on: the main thread; ``Problems`` on any.
"""

from __future__ import annotations

import math
import shutil
import threading
from typing import TYPE_CHECKING, Any, Final, TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from gamenet.core.text import clean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KEYS: Final = (
    "seconds",
    "bots",
    "joined",
    "udp_bound",
    "secure",
    "players",
    "ticks_per_second",
    "tick_late_p99_ms",
    "inputs_per_second",
    "states_per_second",
    "rtt_p50_ms",
    "rtt_p99_ms",
    "clock_error_p99_ms",
    "loss",
    "chat_sent",
    "chat_expected",
    "chat_received",
    "inputs_sent",
    "inputs_applied",
    "inputs_missing",
    "inputs_in_flight",
    "inputs_late",
    "inputs_early",
    "states_received",
    "suspended",
    "resumed",
    "sessions_lost",
    "reliable_sent",
    "reliable_received",
    "reliable_unacknowledged",
    "reliable_unanswered",
    "reliable_lost",
    "reliable_duplicated",
    "reliable_reordered",
    "tunnel_seconds",
    "moves",
    "bytes_up_per_client_second",
    "bytes_down_per_client_second",
    "state_bytes_full_mean",
    "state_bytes_sent_mean",
    "cpu_us_per_client_tick",
    "drops",
    "errors",
    "error_lines",
)
"""Every key of a report, in its order. A value is None where it cannot be known: ``gamenet bots``
does not see into the server, and when a server is killed its own counts die with it. Rates are of
all bots together unless the key says otherwise.

``clock_error_p99_ms`` is by how much what bots take for the server's game clock is off: server and
bots of the demo are on one machine, so the truth is known. ``inputs_late`` and ``inputs_early``
count inputs that came after their tick, or too long before it.

``state_bytes_full_mean`` is what a state of the game was long, ``state_bytes_sent_mean`` what of it
went on the wire, headers left out of both.

``suspended``, ``resumed`` and ``moves`` count the events of these names that bots took, ``moves``
those of ``PathChanged`` with that reason. ``sessions_lost`` counts sessions that ended without
being meant to. ``tunnel_seconds`` is how long bots were in without a UDP path during play, added
up. The ``reliable`` counts are of numbered messages; :mod:`gamenet.demo.ledger` says what each
means, and why sent is always received + unacknowledged + unanswered + lost."""

MAX_ERROR_LINES: Final = 20
"""Lines of text that a report holds about what went wrong; ``errors`` counts all of it."""
MAX_LINE_CHARACTERS: Final = 400
BAR_CHARACTERS: Final = 20

Report = dict[str, Any]
"""A value for each of :data:`KEYS`."""


@implementer(ILogObserver)
class Problems:
    """Counts what went wrong and keeps the first lines of it. Any thread may add to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0
        self.lines: list[str] = []

    def add(self, text: str, count: int = 1) -> None:
        """Note *count* problems that one line of text tells of."""
        line = clean(" ".join(text.split()))[:MAX_LINE_CHARACTERS]
        with self._lock:
            self.count += count
            if len(self.lines) < MAX_ERROR_LINES and line not in self.lines:
                self.lines.append(line)

    def __call__(self, event: LogEvent) -> None:
        """A log observer's: an event of level error or critical is a problem."""
        if event.get("log_level") in (LogLevel.error, LogLevel.critical):
            text = formatEvent(event)
            failure = event.get("log_failure")
            if failure is not None:
                text += f": {failure.type.__name__}: {failure.getErrorMessage()}"
            self.add(text or "an error without a text was logged")


def blank() -> Report:
    """A report in which nothing is known yet."""
    return dict.fromkeys(KEYS)


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least *share* (0 to 1) of them do not exceed; None for none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def rounded(value: float | None, digits: int) -> float | None:
    """The value as a report shows it: rounded, and None where there is none."""
    if value is None or not math.isfinite(value):
        return None
    return round(value, digits)


def causes(counters: Mapping[str, float]) -> dict[str, int]:
    """The counters that tell of something lost, by cause, without zeros."""
    return {
        name.removeprefix("drop_"): int(value)
        for name, value in sorted(counters.items())
        if value and (name.startswith("drop_") or name.endswith("_refused"))
    }


def added(*tables: Mapping[str, int]) -> dict[str, int]:
    """The sum of several tables of causes, without zeros."""
    names = sorted({name for table in tables for name in table})
    sums = {name: sum(table.get(name, 0) for table in tables) for name in names}
    return {name: count for name, count in sums.items() if count}


def beyond(report: Report, max_rtt_ms: float | None, max_loss: float | None) -> list[str]:
    """What of a report is worse than somebody allows, a sentence each.

    :param max_rtt_ms: of 99 in 100 round trips.
    :param max_loss: of datagrams, 0 to 1; the mean of both ways and all bots.
    """
    found = []
    for key, most, name, flag in (
        ("rtt_p99_ms", max_rtt_ms, "99 % of round trips: {} ms", "--max-rtt-ms"),
        ("loss", max_loss, "lost datagrams: a share of {}", "--max-loss"),
    ):
        if most is None:
            continue
        value = report[key]
        if value is None:
            found.append(f"{flag} {most:g} cannot be told: nothing was measured")
        elif value > most:
            found.append(f"{name.format(f'{value:g}')}, more than {flag} {most:g}")
    return found


def table(report: Report) -> str:
    """A report for people to read: a line for each thing that somebody wants to know."""

    def show(key: str, digits: int = 0) -> str:
        value = report[key]
        if value is None:
            return "?"
        return f"{value:,.{digits}f}" if isinstance(value, int | float) else str(value)

    players = f"{show('joined')} of {show('bots')} joined"
    if report["joined"]:
        players += f", {show('udp_bound')} over UDP, "
        players += "encrypted join" if report["secure"] else "join not encrypted"
    rows = [
        ("players", players),
        ("played", f"{show('seconds', 1)} s"),
        (
            "server",
            f"{show('ticks_per_second', 2)} ticks/s, 99 % at most {show('tick_late_p99_ms', 2)} ms "
            f"late, {show('cpu_us_per_client_tick', 1)} us of CPU per client and tick",
        ),
        (
            "inputs",
            f"{show('inputs_per_second')}/s, {show('inputs_sent')} sent = "
            f"{show('inputs_applied')} applied + {show('inputs_missing')} missing + "
            f"{show('inputs_in_flight')} in flight; {show('inputs_late')} late, "
            f"{show('inputs_early')} early",
        ),
        ("states", f"{show('states_per_second')}/s, {show('states_received')} received"),
        (
            "chat",
            f"{show('chat_sent')} lines sent, {show('chat_received')} of "
            f"{show('chat_expected')} received",
        ),
        (
            "reliable",
            f"{show('reliable_sent')} sent = {show('reliable_received')} received + "
            f"{show('reliable_unacknowledged')} given back + "
            f"{show('reliable_unanswered')} unanswered + {show('reliable_lost')} lost; "
            f"{show('reliable_duplicated')} doubled, {show('reliable_reordered')} out of order",
        ),
        (
            "sessions",
            f"{show('suspended')} suspended, {show('resumed')} resumed, "
            f"{show('sessions_lost')} lost; {show('moves')} moves, "
            f"{show('tunnel_seconds', 1)} s without UDP",
        ),
        (
            "network",
            f"round trip {show('rtt_p50_ms', 2)} ms, 99 % {show('rtt_p99_ms', 2)} ms; "
            f"loss {show('loss', 4)}",
        ),
        ("clock", f"99 % at most {show('clock_error_p99_ms', 3)} ms off the server's"),
        (
            "traffic",
            f"{show('bytes_up_per_client_second')} B/s up and "
            f"{show('bytes_down_per_client_second')} B/s down per client",
        ),
        (
            "a state",
            f"{show('state_bytes_full_mean', 1)} B of the game's, as "
            f"{show('state_bytes_sent_mean', 1)} B on the wire",
        ),
        ("drops", ", ".join(f"{n} {cause}" for cause, n in (report["drops"] or {}).items()) or "0"),
        ("errors", show("errors")),
    ]
    if report["reliable_sent"] is None:
        rows = [row for row in rows if row[0] != "reliable"]
    if report["ticks_per_second"] is None:
        rows = [row for row in rows if row[0] != "server"]
    if report["clock_error_p99_ms"] is None:
        rows = [row for row in rows if row[0] != "clock"]
    if report["state_bytes_full_mean"] is None:
        rows = [row for row in rows if row[0] != "a state"]
    if not report["joined"]:
        rows = [row for row in rows if row[0] in ("players", "drops", "errors")]
    rows += [("", line) for line in report["error_lines"] or ()]
    return "\n".join(f"  {name:<9}{text}".rstrip() for name, text in rows)


class LiveLine:
    """A line a second that says how it goes: rewritten on a terminal, else one after another."""

    def __init__(self, stream: TextIO, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._terminal = stream.isatty()
        self._width = 0

    def show(self, text: str, share: float | None = None) -> None:
        """Say how it goes now.

        :param share: how much is done, 0 to 1: a bar on a terminal. None has none.
        """
        if self._quiet:
            return
        if self._terminal:
            if share is not None:
                done = round(share * BAR_CHARACTERS)
                text = f"[{'#' * done}{'.' * (BAR_CHARACTERS - done)}] {text}"
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def end(self) -> None:
        """Leave the last line standing; what is printed next begins below it."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

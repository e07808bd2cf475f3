"""``gamenet top``: what a server's status site tells, once a second, in a terminal.

Layer 4. Runs on: the main thread.

With rich (``pip install gamenet[top]``) and a terminal the view stays in its place; else each look
is a block of text. Names are other people's: nothing in them reaches the terminal but letters.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TextIO

from gamenet.core.text import clean
from gamenet.errors import ConfigError, GamenetError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

ANSWER_SECONDS: Final = 5.0
"""How long the site may take to answer."""
LOOK_SECONDS: Final = 0.05
"""From one look for Ctrl-C to the next."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
MAX_NAME_CHARACTERS: Final = 24
MAX_REFUSAL: Final = 200
"""Characters of what a site says where it gives no answer."""
COLUMNS: Final = (
    "player", "path", "quality", "rtt ms", "jitter", "loss in", "out", "B/s in", "out", "queued",
)  # fmt: skip
LABELS: Final = {"excellent": "green", "good": "green", "fair": "yellow", "poor": "red"}
"""Colours; the word is always there as well."""


class NoAnswer(GamenetError):
    """The site does not answer as one of gamenet's; the text says what to do."""


class View(NamedTuple):
    """One look: what to show, already text."""

    lines: tuple[str, ...]
    """About the server."""
    rows: tuple[tuple[str, ...], ...]
    """A row of ``COLUMNS`` for each player, the worst first."""


class Site:
    """The status site of a server.

    :param address: ``HOST:PORT``, or the URL of any of its pages.
    :raises ConfigError: if it is none.
    """

    def __init__(self, address: str) -> None:
        place = address.removeprefix("http://").split("/", 1)[0]
        host, colon, port = place.rpartition(":")
        if not (colon and host and port.isdecimal() and len(port) < 6 and int(port) < 65_536):
            raise ConfigError(
                "status", f"{address!r} is no address of a status site, such as 127.0.0.1:9777"
            )
        self._host, self._port = host.strip("[]"), int(port)
        self.name = place
        self._socket: socket.socket | None = None

    def look(self) -> dict[str, Any]:
        """What ``/api/status`` says.

        :raises NoAnswer: with the likely cause, and the fix.
        """
        page = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            page.connect()
            self._socket = page.sock
            page.request("GET", "/api/status")
            answer = page.getresponse()
            found = json.loads(answer.read(MAX_ANSWER_BYTES))
            if answer.status == 200 and isinstance(found, dict) and "players" in found:
                return found
            if isinstance(found, dict) and isinstance(found.get("error"), str):
                # A name that the site does not know, for one; it says what to do.
                raise NoAnswer(f"{self.name} refuses: {clean(found['error'])[:MAX_REFUSAL]}")
        except ConnectionRefusedError:
            raise NoAnswer(
                f"nothing listens at {self.name}; start the server with --status tcp:{self._port}"
            ) from None
        except TimeoutError:
            raise self._is_late() from None
        except (
            http.client.HTTPException,
            ValueError,
            RecursionError,
            ConnectionResetError,
            BrokenPipeError,
        ):
            pass  # something else listens there
        except OSError as error:
            raise NoAnswer(f"cannot reach {self.name}: {error.strerror or error}") from None
        finally:
            page.close()
        raise NoAnswer(
            f"{self.name} is not a status site of gamenet's; name the address of --status, which "
            "is not the one that players join"
        )

    def look_until(self, interrupted: Callable[[], bool]) -> dict[str, Any] | None:
        """As :meth:`look`, but the whole answer has ``ANSWER_SECONDS``, however slowly it trickles.

        :returns: None once interrupted.
        """
        found: list[dict[str, Any]] = []
        failed: list[Exception] = []

        def look() -> None:
            try:
                found.append(self.look())
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=look, name="gamenet top", daemon=True)
        thread.start()
        due = time.monotonic() + ANSWER_SECONDS
        while True:
            thread.join(LOOK_SECONDS)
            if failed:
                raise failed[0]
            if found:
                return found[0]
            if interrupted():
                self._cut()
                return None
            if time.monotonic() > due:
                self._cut()
                raise self._is_late()

    def _cut(self) -> None:
        """Have a thread that waits for the site end."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _is_late(self) -> NoAnswer:
        return NoAnswer(
            f"{self.name} does not answer within {ANSWER_SECONDS:g} s; compare it with the address "
            "of --status"
        )


def view(now: dict[str, Any], before: dict[str, Any] | None) -> View:
    """What a look tells, and what has changed since the one before.

    :raises NoAnswer: if what the site says cannot be read.
    """
    try:
        return _view(now, before)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NoAnswer("the status site is of another version of gamenet") from None


def _view(now: dict[str, Any], before: dict[str, Any] | None) -> View:
    ticks, players = now["ticks"], now["players"]
    seconds = now["uptime_seconds"] - before["uptime_seconds"] if before else 0.0
    cpu = "?"
    if before and seconds > 0:
        cpu = f"{(now['cpu_seconds'] - before['cpu_seconds']) / seconds:.0%}"
    on_udp = sum(player["path"] == "udp" for player in players)
    left = now.get("drain_seconds_left")
    state = "draining" if now.get("draining") else "stalled" if now["stalled"] else "running"
    if now.get("draining") and left is not None:
        state += f", {_duration(left)} left"
    name = clean(str(now["game"])) or "a game without a name"
    lines = [
        f"{name}, gamenet {clean(str(now['version']))}, {state}, "
        f"up {_duration(now['uptime_seconds'])}, CPU {cpu}",
        f"{len(players)} players, {on_udp} by UDP, {now['suspended']} suspended; "
        f"{_number(ticks['per_second'], 1)} of {_number(ticks['rate'], 0)} ticks/s, "
        f"99 % at most {_number(ticks['late_p99_ms'], 2)} ms late; {now['errors']} errors",
    ]
    for what in ("drops", "refusals"):
        counts = _grown(now[what], before[what] if before else None)
        if counts:
            lines.append(f"{what}: {counts}")
    traffic = {one["id"]: one for one in before["players"]} if before else {}
    rows = [
        _row(player, traffic.get(player["id"]), seconds)
        for player in sorted(players, key=lambda one: one["rtt_seconds"] or 0.0, reverse=True)
    ]
    return View(tuple(lines), tuple(rows))


def _row(player: dict[str, Any], before: dict[str, Any] | None, seconds: float) -> tuple[str, ...]:
    def rate(name: str) -> str:
        if before is None or seconds <= 0:
            return "?"
        return f"{(player[name] - before[name]) / seconds:,.0f}"

    return (
        clean(str(player["name"]))[:MAX_NAME_CHARACTERS],
        "away" if player["suspended"] else clean(str(player["path"])),
        clean(str(player["label"])),
        _number(player["rtt_seconds"], 1, 1e3),
        _number(player["jitter_seconds"], 1, 1e3),
        _number(player["loss_in"], 1, 100) + "%",
        _number(player["loss_out"], 1, 100) + "%",
        rate("bytes_in"),
        rate("bytes_out"),
        str(int(player["queued_messages"])),
    )


def _grown(now: dict[str, Any], before: dict[str, Any] | None) -> str:
    """Causes that have counted anything, with what came since the last look."""
    found = []
    for name, count in now.items():
        if count:
            more = int(count) - int(before.get(name, 0)) if before is not None else 0
            since = f" (+{more:,})" if more else ""
            found.append(f"{clean(str(name)).lower()} {int(count):,}{since}")
    return ", ".join(found)


def _number(value: float | None, digits: int, scale: float = 1.0) -> str:
    return "?" if value is None else f"{value * scale:,.{digits}f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def text(shown: View) -> str:
    """A view as plain text."""
    table = [COLUMNS, *shown.rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(COLUMNS))]
    lines = list(shown.lines)
    for row in table:
        cells = [
            cell.ljust(width) if column < 3 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def run_top(
    address: str,
    interrupted: Callable[[], bool],
    out: TextIO,
    *,
    seconds: float = 1.0,
    looks: int | None = None,
) -> None:
    """Look and show, until interrupted.

    :param seconds: from one look to the next.
    :param looks: how many; None is no end.
    :raises NoAnswer: if the first look fails. Later ones are tried again.
    """
    site = Site(address)
    before, now = None, site.look_until(interrupted)
    if now is None:
        return
    show, screen = _screen(out)
    with screen:
        while True:
            show(view(now, before))
            if looks is not None:
                looks -= 1
                if looks <= 0:
                    return
            due = time.monotonic() + seconds
            before = now
            while True:
                while time.monotonic() < due:
                    if interrupted():
                        return
                    time.sleep(min(LOOK_SECONDS, seconds))
                try:
                    now = site.look_until(interrupted)
                    if now is None:
                        return
                    break
                except NoAnswer as error:
                    show(View((str(error), "trying again; Ctrl-C ends this"), ()))
                    due = time.monotonic() + seconds


def _screen(out: TextIO) -> tuple[Callable[[View], None], Any]:
    """How a view is shown, and what is entered for as long as that goes on."""
    if out.isatty() and os.environ.get("TERM") != "dumb":  # where rich would draw nothing
        try:
            from rich.console import Console
            from rich.live import Live
        except ImportError:
            pass
        else:
            live = Live(console=Console(file=out), auto_refresh=False, screen=True)
            return lambda shown: live.update(_drawn(shown), refresh=True), live

    def show(shown: View) -> None:
        print(text(shown) + "\n", file=out, flush=True)

    return show, nullcontext()


def _drawn(shown: View) -> RenderableType:
    """A view in colours."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column, name in enumerate(COLUMNS):
        table.add_column(name, justify="left" if column < 3 else "right", no_wrap=True)
    for row in shown.rows:
        # Texts, not strings: brackets in a name are no markup.
        table.add_row(*(Text(cell, style=_style(row, column)) for column, cell in enumerate(row)))
    return Group(*(Text(line) for line in shown.lines), table)


def _style(row: Sequence[str], column: int) -> str:
    return LABELS.get(row[2], "") if column == 2 else "red" if row[column] == "away" else ""

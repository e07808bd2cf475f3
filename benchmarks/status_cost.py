"""What it costs a server of 200 players that ten browsers and Prometheus look at it each second.

A daemon, as users run it, on the first core; 200 players of the lean load of W3, and those who
look, on the other. Windows with nobody looking and with all of them take turns, each first as often
as the other: with players who play, which says what the server spends in a second, and with players
who do next to nothing, so that what looking costs stands out from what the windows differ by. The
one as a share of the other is the figure. Prints progress to stderr and one line of JSON to stdout;
the exit status is 1 if the share is over 3 %. See README.rst beside this file.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import textwrap
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import random
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import rig

sys.path.append(str(Path(__file__).resolve().parent / "contest"))

if TYPE_CHECKING:
    from collections.abc import Iterator

    import lean

BAR = 3.0
CLIENTS = 200
HZ = 60
QUIET_HZ = 0
"""Of players who rest: they are in, and answer what they are asked."""
ANSWER_SECONDS = 2.0
"""So often one who rests looks at what came."""
BROWSERS = 10
STATUS = "/api/status?history=no"
"""What the page asks for once it has the histories."""
EVERY_SECONDS = 1.0
FILL_SECONDS = 31.0
"""After the players are in: by then a history is as long as it gets."""
SETTLE_SECONDS = 1.5
"""When those who look begin or end."""
GAME = """
    import gamenet

    @gamenet.game(input_bits=64)
    def rest(server):
        while server.running:
            server.events(1.0)

    @gamenet.game(input_bits=64)
    def main(server):
        for tick in server.ticks():
            state = tick.number.to_bytes(4, "big") + bytes(196)
            for player in server.players:
                server.send_state(player, state)
"""
HEADERS = {
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-GB,en;q=0.9",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "Pragma": "no-cache",
    "Referer": "http://127.0.0.1/",
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/140.0.0.0 Safari/537.36",
}
"""What a browser sends with each question."""


# Children: they hear and say lines of JSON, as rig.Child does.


def play(lines: Iterator[Any]) -> None:
    """All players, on one thread, until stdin closes."""
    import common
    import horde
    import lean

    spec = next(lines)
    clients = [
        lean.LeanClient("127.0.0.1", spec["port"], tls=False).join().bind()
        for _ in range(spec["clients"])
    ]
    if not spec["hz"]:
        threading.Thread(target=rest, args=[clients], daemon=True).start()
        rig.answer("ready")
        for _ in lines:
            pass
        return
    clock = horde.Clock(spec["hz"])
    riders = [horde.Rider(client, clock, 1, 0.0) for client in clients]
    rig.answer("ready")
    told = common.Told()
    told.finish(**horde.ride(riders, spec["hz"], told))


def rest(clients: list[lean.LeanClient]) -> NoReturn:
    """Look at what came, one after the other, over and over."""
    while True:
        for client in clients:
            client.look_at_tcp()
            client.look_at_udp()
            time.sleep(ANSWER_SECONDS / len(clients))


class Look:
    """Somebody who asks for a page about each second, while that is wanted.

    It comes again when the answer says, as the live page does, and keeps its connection for as long
    as the server does, as browsers and Prometheus do.
    """

    def __init__(self, address: str, path: str, wanted: threading.Event) -> None:
        self.count = self.bytes = self.failed = 0
        self._path = path
        self._page = HTTPConnection(address, timeout=rig.ANSWER_SECONDS)
        self._wanted = wanted
        self._again = EVERY_SECONDS
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            time.sleep(random() * EVERY_SECONDS)
            while self._wanted.is_set():
                self._once()
                time.sleep(self._again)
            self._page.close()

    def _once(self) -> None:
        try:
            self._page.request("GET", self._path, headers=HEADERS)
            answer = self._page.getresponse()
            body = answer.read()
            self._again = float(answer.headers.get("Look-Again-Ms", 1_000 * EVERY_SECONDS)) / 1_000
            self.count += 1
            self.bytes += len(body)
            self.failed += answer.status != 200
        except (OSError, HTTPException):
            self.failed += 1
            self._page.close()


def look(lines: Iterator[Any]) -> None:
    """Ten browsers and Prometheus; ``true`` and ``false`` have them begin and end."""
    spec = next(lines)
    wanted = threading.Event()
    those = [Look(spec["address"], path, wanted) for path in [STATUS] * BROWSERS + ["/metrics"]]
    for line in lines:
        if line:
            wanted.set()
        else:
            wanted.clear()
        rig.answer(
            {
                "asked": sum(one.count for one in those),
                "bytes": sum(one.bytes for one in those),
                "failed": sum(one.failed for one in those),
            }
        )


# The run.


class Window(NamedTuple):
    """What the server spent, in seconds of CPU a second, and how many of the inputs came."""

    cpu: float
    inputs: float


class Found(NamedTuple):
    """All windows of one load."""

    watched: list[Window]
    alone: list[Window]
    asked_per_second: float
    bytes_per_answer: float
    failed: int
    snapshot_ms: float

    def extra(self) -> list[float]:
        """Seconds of CPU a second that each pair differs by."""
        return [
            with_them.cpu - without.cpu
            for with_them, without in zip(self.watched, self.alone, strict=True)
        ]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, finer than the kernel's ticks where that can be had."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)
    return rig.cpu_seconds(pid)


def window(daemon: rig.Daemon, clients: int, hz: int, seconds: float) -> Window:
    """One window."""
    began = daemon.status()
    cpu, at = cpu_seconds(daemon.pid), time.monotonic()
    rig.sleep_until(at + seconds)
    cpu, took = cpu_seconds(daemon.pid) - cpu, time.monotonic() - at
    ended = daemon.status()
    if len(ended["players"]) != clients:
        raise RuntimeError(f"{len(ended['players'])} players are in, not {clients}")
    apart = ended["uptime_seconds"] - began["uptime_seconds"]
    inputs = (ended["inputs"]["taken"] - began["inputs"]["taken"]) / apart
    return Window(cpu / took, inputs / (hz * clients) if hz else 1.0)


def measure(clients: int, hz: int, rounds: int, seconds: float) -> Found:
    """All windows with players who play *hz* times a second."""
    found: dict[bool, list[Window]] = {True: [], False: []}
    asked = size = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "status_game.py").write_text(textwrap.dedent(GAME))
        arguments = ("--game", f"status_game:{'main' if hz else 'rest'}", "--max-players", "256")
        if hz:
            arguments += ("--tick-rate", str(hz))
        with (
            rig.Daemon(folder, *arguments, tls=False, on=rig.first_core()) as daemon,
            rig.Child(
                __file__,
                "play",
                {"port": daemon.place.port, "clients": clients, "hz": hz},
                rig.other_cores(),
                3_600.0,
            ) as players,
            rig.Child(
                __file__, "look", {"address": daemon.status_address}, rig.other_cores(), 3_600.0
            ) as watchers,
        ):
            players.hear()
            time.sleep(FILL_SECONDS)
            for number in range(rounds):
                for is_watched in (number % 2 == 0, number % 2 != 0):
                    watchers.ask(is_watched)
                    time.sleep(SETTLE_SECONDS)
                    before = watchers.ask(is_watched)
                    one = window(daemon, clients, hz, seconds)
                    after = watchers.ask(False)
                    found[is_watched].append(one)
                    asked += after["asked"] - before["asked"]
                    size += after["bytes"] - before["bytes"]
                    rig.note(
                        f"{hz} Hz, round {number + 1} {'watched' if is_watched else 'alone':8} "
                        f"{1_000 * one.cpu:6.1f} ms of CPU a second"
                    )
            took = daemon.status()["snapshot"]["took_ms"]
    return Found(
        found[True],
        found[False],
        asked / (rounds * seconds),
        size / max(1, asked),
        after["failed"],
        took,
    )


def report(options: argparse.Namespace) -> dict[str, Any]:
    """What is printed."""
    playing = measure(options.clients, HZ, options.rounds, options.seconds)
    quiet = measure(options.clients, QUIET_HZ, options.quiet_rounds, options.seconds)
    whole = statistics.median(one.cpu for one in playing.alone)
    watched = statistics.median(one.cpu for one in playing.watched)
    pairs, direct = (statistics.quantiles(found.extra(), n=4) for found in (playing, quiet))
    return {
        "clients": options.clients,
        "hz": HZ,
        "rounds": options.rounds,
        "quiet_rounds": options.quiet_rounds,
        "alone_ms_per_second": round(1_000 * whole, 1),
        "alone_us": round(1e6 * whole / (options.clients * HZ), 2),
        "direct_ms_per_second": [round(1_000 * one, 2) for one in direct],
        "percent": round(100 * direct[1] / whole, 2),
        "percent_quartiles": [round(100 * one / whole, 2) for one in direct],
        "percent_of_pairs": round(100 * pairs[1] / whole, 2),
        "percent_of_pairs_quartiles": [round(100 * one / whole, 2) for one in pairs],
        "percent_of_medians": round(100 * (watched / whole - 1), 2),
        "bar_percent": BAR,
        "asked_per_second": round(quiet.asked_per_second, 1),
        "bytes_per_answer": round(quiet.bytes_per_answer),
        "snapshot_ms": round(quiet.snapshot_ms, 2),
        "failed": playing.failed + quiet.failed,
        "least_inputs": round(min(one.inputs for one in playing.watched + playing.alone), 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--rounds", type=int, default=4, help="pairs of windows, players playing")
    parser.add_argument("--quiet-rounds", type=int, default=10, help="the same, next to idle")
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window")
    options = parser.parse_args()
    result = report(options)
    print(json.dumps(result))
    return int(result["percent"] > BAR)


if __name__ == "__main__":
    if "--role" in sys.argv:
        rig.run_role({"play": play, "look": look})
    else:
        sys.exit(main())

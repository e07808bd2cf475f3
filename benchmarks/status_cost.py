"""What it costs a server of 200 players that ten browsers and Prometheus look at it each second.

One daemon, as users run it, on the first core; 200 players of the lean load of W3, and those who
look, on the other. Windows with nobody looking and with all of them take turns, each first as often
as the other. Prints progress to stderr and one line of JSON to stdout; the exit status is 1 if the
share is over 3 %. See README.rst beside this file.
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
from http.client import HTTPConnection
from pathlib import Path
from random import random
from typing import TYPE_CHECKING, Any

import rig

sys.path.append(str(Path(__file__).resolve().parent / "contest"))

if TYPE_CHECKING:
    from collections.abc import Iterator

BAR = 3.0
CLIENTS = 200
HZ = 60
BROWSERS = 10
EVERY_SECONDS = 1.0
SETTLE_SECONDS = 1.0
"""After the players are in, and when those who look begin or end."""
GAME = """
    import gamenet

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
    clock = horde.Clock(HZ)
    riders = [horde.Rider(client, clock, 1, 0.0) for client in clients]
    rig.answer("ready")
    told = common.Told()
    told.finish(**horde.ride(riders, HZ, told))


class Look:
    """Somebody who asks for a page once a second, while that is wanted."""

    def __init__(self, address: str, path: str, wanted: threading.Event) -> None:
        self.count = self.bytes = self.failed = 0
        self._ask = (address, path)
        self._wanted = wanted
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        time.sleep(random() * EVERY_SECONDS)
        due = time.monotonic()
        while True:
            self._wanted.wait()
            self._once(*self._ask)
            due = max(due + EVERY_SECONDS, time.monotonic())
            rig.sleep_until(due)

    def _once(self, address: str, path: str) -> None:
        page = HTTPConnection(address, timeout=rig.ANSWER_SECONDS)
        try:
            page.request("GET", path, headers=HEADERS)
            answer = page.getresponse()
            body = answer.read()
            self.count += 1
            self.bytes += len(body)
            self.failed += answer.status != 200
        except OSError:
            self.failed += 1
        finally:
            page.close()


def look(lines: Iterator[Any]) -> None:
    """Ten browsers and Prometheus; ``true`` and ``false`` have them begin and end."""
    spec = next(lines)
    wanted = threading.Event()
    paths = ["/api/status"] * BROWSERS + ["/metrics"]
    those = [Look(spec["address"], path, wanted) for path in paths]
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


def cpu_seconds(pid: int) -> float:
    """CPU time of a process so far, finer than the kernel's ticks where that can be had."""
    if sys.platform == "linux":
        return time.clock_gettime(~pid << 3 | 2)
    return rig.cpu_seconds(pid)


def window(daemon: rig.Daemon, clients: int, seconds: float) -> tuple[float, float]:
    """One window.

    :returns: CPU microseconds of the server for a client and tick, by the inputs that reached the
        game; and how many of them did of those that were due.
    """
    began = daemon.status()
    cpu, at = cpu_seconds(daemon.pid), time.monotonic()
    rig.sleep_until(at + seconds)
    cpu, took = cpu_seconds(daemon.pid) - cpu, time.monotonic() - at
    ended = daemon.status()
    if len(ended["players"]) != clients:
        raise RuntimeError(f"{len(ended['players'])} players are in, not {clients}")
    apart = ended["uptime_seconds"] - began["uptime_seconds"]
    inputs = (ended["inputs"]["taken"] - began["inputs"]["taken"]) * took / apart
    return cpu / inputs * 1e6, inputs / (took * HZ * clients)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All windows."""
    watched: list[float] = []
    alone: list[float] = []
    least = 1.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "status_game.py").write_text(textwrap.dedent(GAME))
        arguments = ("--game", "status_game:main", "--tick-rate", str(HZ), "--max-players", "256")
        with (
            rig.Daemon(folder, *arguments, tls=False, on=rig.first_core()) as daemon,
            rig.Child(
                __file__,
                "play",
                {"port": daemon.place.port, "clients": options.clients},
                rig.other_cores(),
                3_600.0,
            ) as players,
            rig.Child(
                __file__, "look", {"address": daemon.status_address}, rig.other_cores(), 3_600.0
            ) as watchers,
        ):
            players.hear()
            time.sleep(SETTLE_SECONDS)
            for number in range(options.rounds):
                for is_watched in (number % 2 == 0, number % 2 != 0):
                    before = watchers.ask(is_watched)
                    time.sleep(SETTLE_SECONDS)
                    found, share = window(daemon, options.clients, options.seconds)
                    least = min(least, share)
                    after = watchers.ask(False)
                    (watched if is_watched else alone).append(found)
                    if is_watched:
                        asked = after["asked"] - before["asked"]
                        size = (after["bytes"] - before["bytes"]) / max(1, asked)
                    rig.note(
                        f"round {number + 1} {'watched' if is_watched else 'alone':8} "
                        f"{found:6.2f} us per client and tick"
                    )
            took = daemon.status()["snapshot"]["took_ms"]
    low, extra, high = statistics.quantiles(
        [with_them - without for with_them, without in zip(watched, alone, strict=True)], n=4
    )
    whole = statistics.median(alone)
    return {
        "clients": options.clients,
        "hz": HZ,
        "rounds": options.rounds,
        "alone_us": round(whole, 2),
        "watched_us": round(statistics.median(watched), 2),
        "percent": round(100 * extra / whole, 2),
        "percent_of_medians": round(100 * (statistics.median(watched) / whole - 1), 2),
        "percent_quartiles": [round(100 * low / whole, 2), round(100 * high / whole, 2)],
        "bar_percent": BAR,
        "asked_per_second": round(asked / (options.seconds + SETTLE_SECONDS), 1),
        "bytes_per_answer": round(size),
        "snapshot_ms": round(took, 2),
        "failed": after["failed"],
        "least_inputs": round(least, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each window")
    options = parser.parse_args()
    result = measure(options)
    print(json.dumps(result))
    return int(result["percent"] > BAR)


if __name__ == "__main__":
    if "--role" in sys.argv:
        rig.run_role({"play": play, "look": look})
    else:
        sys.exit(main())

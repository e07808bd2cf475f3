"""Attack a real daemon on loopback while bots play on it, and print what came of it as JSON.

One line on standard output, progress on standard error; README.rst beside this file says what each
figure is. Exit status 1 if a figure is one that a server must never show.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import select
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import flood_bots
import flood_throw
import lean
import rig
from flood_hold import Dribblers, seconds_to_be_cut
from flood_throw import GARBAGE_SIZES, forged_pool, garbage_pool, hear_back

from gamenet.core import wire
from gamenet.core.wire import DatagramKind

if TYPE_CHECKING:
    from collections.abc import Iterator

PACED_PER_SECOND = 20_000
"""Slow enough that the kernel drops nothing, so that everything can be counted."""
PHASE_SECONDS = 60.0
HELD_OFF = ("forged", "replayed", "epoch", "unknown_session", "short", "long", "not_ours")
"""Causes of a drop, before a datagram is believed to be its session's."""


# The attacks.


class Flood:
    """One run against one daemon.

    :param options: as the command line gives them.
    """

    def __init__(
        self, options: argparse.Namespace, daemon: rig.Daemon, bots: rig.Child, thrower: rig.Child
    ) -> None:
        self._options = options
        self._daemon = daemon
        self._bots = bots
        self._thrower = thrower
        self._chance = random.Random(0)
        self._address = (daemon.place.host, daemon.place.port)
        self._sources = [source for source in ("127.0.0.1", rig.OTHER_ADDRESS)
                         if rig.can_use(source)]  # fmt: skip
        self.figures: dict[str, Any] = {}
        self.bytes_out = 0

    def run(self) -> dict[str, Any]:
        """Everything, one after another."""
        cid = self._bots.hear()["cid"]
        self._sent = 0
        figures = self.figures
        rig.note("the bots play undisturbed")
        time.sleep(self._options.calm_seconds)
        recorded = self._bots.ask("recorded")
        started = self._daemon.settled()
        figures["timer_gap_calm_ms"] = beat_late_max_ms(started)
        self._garbage({cid})
        self._forged(cid)
        self._replayed(recorded)
        self._unproved()
        self._oversize()
        self._loris()
        self._settle(started)
        figures["bytes_out"] = self.bytes_out
        return figures

    def _throw(self, what: str, pool: list[bytes], count: int, per_second: int) -> dict[str, Any]:
        thrown = self._thrower.ask(
            {
                "pool": [data.hex() for data in pool],
                "count": count,
                "per_second": per_second,
                "target": self._address,
                "sources": self._sources if per_second else self._sources[:1],
                "seconds": PHASE_SECONDS,
                "linger": 0.5,
            }
        )
        self.bytes_out += thrown["back"]
        self._sent += thrown["sent"]
        rate = thrown["sent"] / max(thrown["seconds"], 1e-9)
        rig.note(f"threw {thrown['sent']} {what}, {rate:,.0f} a second; "
                 f"{thrown['back']} bytes came back")  # fmt: skip
        if thrown["sent"] < count:
            rig.note(f"scaled down: this machine does not throw {count} in {PHASE_SECONDS:g} s")
        return thrown

    def _garbage(self, cids: set[int]) -> None:
        sent = 0
        gaps = {}
        for size in GARBAGE_SIZES:
            pool = garbage_pool(size, cids, self._chance)
            count = self._options.garbage // len(GARBAGE_SIZES)
            sent += self._throw(f"datagrams of {size} bytes", pool, count, 0)["sent"]
            gaps[str(size)] = beat_late_max_ms(self._daemon.settled())
        self.figures["garbage_sent"] = sent
        self.figures["timer_gap_max_ms"] = max(filter(None, gaps.values()), default=None)
        if self.figures["timer_gap_max_ms"] is None:
            rig.note("this daemon's status page does not say how late its timers were")

    def _counted(self, what: str, pool: list[bytes], count: int) -> tuple[int, int]:
        """Throw, slowly enough to see what became of each.

        :returns: how many were sent, and how many of them the server believed.
        """
        daemon, bots = self._daemon, self._bots
        played, before = bots.ask("totals"), daemon.settled()["counters"]
        drops = daemon.udp().drops
        sent = self._throw(what, pool, count, PACED_PER_SECOND)["sent"]
        after = daemon.settled()["counters"]
        played = bots.ask("totals")["sent"] - played["sent"]
        drops = daemon.udp().drops - drops
        grown = {name: after[name] - before[name] for name in after}
        held_off = sum(grown[f"drop_datagram_{cause}"] for cause in HELD_OFF)
        believed = grown["datagrams_in"] - held_off
        if drops:
            rig.note(f"the kernel dropped {drops} meanwhile")
        # Each of the two would show one that is believed: it is missing among those held off, or
        # it is one more than the players have sent.
        return sent, max(0, sent - held_off - drops, believed - played)

    def _forged(self, cid: int) -> None:
        number = self._bots.ask("totals")["victim_number"]
        pool = forged_pool(cid, number, self._chance)
        sent, accepted = self._counted("forged datagrams", pool, self._options.forged)
        self.figures |= {"forged_sent": sent, "forged_accepted": accepted}

    def _replayed(self, recorded: list[str]) -> None:
        pool = [bytes.fromhex(data) for data in recorded]
        count = self._options.replays
        sent, accepted = self._counted("replayed datagrams", pool, count)
        self.figures |= {"replays_sent": sent, "replays_accepted": accepted}

    def _unproved(self) -> None:
        """A client that is one, at an address that it never proves to be its own."""
        place = self._daemon.place
        client = lean.LeanClient(place.host, place.port, tls=place.tls, user="binder").join()
        figures = self.figures
        figures["bind_ratio"] = self._ratio(client, DatagramKind.BIND, wire.PADDING)
        client.udp.close()
        client.bind().udp.close()
        # Bound, it turns up elsewhere with the smallest datagram there is.
        figures["move_ratio"] = self._ratio(client, DatagramKind.DATA, bytes(wire.ACKS_BYTES))
        self._sent += client.datagrams_sent
        client.leave()
        rig.note(f"answered for each byte at most: BIND {figures['bind_ratio']}, from another "
                 f"address {figures['move_ratio']}")  # fmt: skip

    @staticmethod
    def _ratio(client: lean.LeanClient, kind: DatagramKind, body: bytes) -> float:
        """Bytes that come back to a new address for each byte sent from there, at worst."""
        udp = client.open_udp()
        worst = 0.0
        # One, which has an answer; then many at once, when it may be answered again.
        for burst, pause in ((1, 0.0), (20, 1.0)):
            time.sleep(pause)
            sent = sum(client.send(kind, body) for _ in range(burst))
            back = {"bytes": 0, "datagrams": 0}
            until = time.monotonic() + 0.5
            while (left := until - time.monotonic()) > 0:
                select.select([udp], [], [], left)
                hear_back([udp], back)
            worst = max(worst, back["bytes"] / sent)
        return round(worst, 4)

    def _oversize(self) -> None:
        place = self._daemon.place
        before = self._daemon.status()["counters"]
        memory = rig.resident_bytes(self._daemon.pid) if os.path.exists("/proc/self/statm") else 0
        seconds: list[float | None] = []
        for joined in (False, True):
            if joined:
                client = lean.LeanClient(place.host, place.port, tls=place.tls, user="big").join()
                stream = client.stream
            else:
                stream = lean.connect(place.host, place.port, tls=place.tls)
            seconds.append(seconds_to_be_cut(stream))
            stream.socket.close()
        after = self._daemon.status()["counters"]
        gone = None if None in seconds else max(filter(None, seconds))
        self.figures["oversize_gone_seconds"] = gone if gone is None else round(gone, 4)
        self.figures["oversize_frames_seen"] = (
            after["drop_frame_malformed"] - before["drop_frame_malformed"]
        )
        if memory:
            grown = rig.resident_bytes(self._daemon.pid) - memory
            self.figures["oversize_memory_kib"] = grown // 1_024
        rig.note(f"an oversize frame: gone after {gone} s")

    def _loris(self) -> None:
        place = self._daemon.place
        with Dribblers(place, self._options.loris) as dribblers:
            joins = []
            while not dribblers.are_gone() and not dribblers.is_hopeless():
                begun = time.monotonic()
                client = lean.LeanClient(place.host, place.port, tls=place.tls)
                client.join().bind()
                joins.append(time.monotonic() - begun)
                self._sent += client.datagrams_sent
                client.leave()
                time.sleep(0.2)
            gone = max(dribblers.ages) if dribblers.are_gone() else None
        self.figures["loris_gone_seconds"] = gone if gone is None else round(gone, 3)
        self.figures["loris_sockets"] = self._options.loris
        self.figures["loris_join_max_ms"] = round(max(joins, default=0) * 1e3, 1)
        rig.note(f"{self._options.loris} dribblers: gone after {gone} s")
        rig.note(f"{len(joins)} joins meanwhile took {max(joins, default=0):.3f} s at most")

    def _settle(self, started: dict[str, Any]) -> None:
        """What the players have lost, after all that."""
        played = self._bots.ask("settle")
        status = self._daemon.settled()
        udp = self._daemon.udp()
        counters = status["counters"]
        unaccounted = self._sent + played["sent"] - counters["datagrams_in"] - udp.drops
        lost = played["inputs"] - counters["inputs_emitted"]
        if not udp.known:
            rig.note("this system does not say what its kernel dropped; all is on the server")
        self.figures |= {
            "others_lost": max(0, lost - udp.drops),
            "others": len(status["players"]),
            "others_gone": played["gone"],
            "others_inputs": played["inputs"],
            "others_inputs_missing": lost,
            "kernel_drops": udp.drops,
            "unaccounted": unaccounted,
            "errors": status["errors"] - started["errors"],
            "log_lines": self._daemon.log().count("\n"),
        }


def beat_late_max_ms(status: dict[str, Any]) -> float | None:
    """How late the reactor's timers were at worst, where the daemon says so."""
    found = (status.get("reactor") or {}).get("beat_late_max_ms")
    return None if found is None else round(found, 2)


ORDER = (
    "garbage_sent",
    "bytes_out",
    "forged_sent",
    "forged_accepted",
    "replays_accepted",
    "bind_ratio",
    "timer_gap_max_ms",
    "others_lost",
    "oversize_gone_seconds",
    "loris_gone_seconds",
)


RATIOS = {"bind_ratio": 1.0, "move_ratio": 3.0}
"""Bytes that may be answered to an address that is not proved, for each byte from there."""


def wrongs(figures: dict[str, Any]) -> list[str]:
    """The figures that no load and no machine excuses."""
    found = [
        name
        for name in ("bytes_out", "forged_accepted", "replays_accepted", "others_lost",
                     "others_gone", "errors", "unaccounted")
        if figures[name]
    ]  # fmt: skip
    found += [name for name, most in RATIOS.items() if figures[name] > most]
    found += [name for name in ("oversize_gone_seconds", "loris_gone_seconds")
              if figures[name] is None]  # fmt: skip
    return found


@contextlib.contextmanager
def daemon_with(config: str, tls: bool, on: list[int]) -> Iterator[rig.Daemon]:
    """A daemon in a folder of its own.

    :param config: the text of its config file.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "flood.toml").write_text(config, encoding="utf-8")
        with rig.Daemon(Path(folder), "--config", "flood.toml", tls=tls, on=on) as daemon:
            yield daemon


def attack(options: argparse.Namespace) -> dict[str, Any]:
    """A daemon, its players, its attackers, and what came of it."""
    if len(rig.cores()) == 1:
        for name in ("garbage", "forged", "replays"):
            setattr(options, name, max(1, getattr(options, name) // 10))
        rig.note("scaled down: one core has a tenth of the datagrams")
    tls = not options.insecure
    limits = f"join_seconds = {options.join_seconds}\n"
    measured, rest = rig.first_core(), rig.other_cores()
    with (
        daemon_with(limits, tls, measured) as daemon,
        rig.Child(
            flood_bots.__file__, "bots", {"place": daemon.place, "count": options.bots}, rest
        ) as bots,
        rig.Child(flood_throw.__file__, "throw", None, rest) as thrower,
    ):
        flood = Flood(options, daemon, bots, thrower)
        figures = flood.run()
    ordered = {name: figures.pop(name) for name in ORDER}
    return {**ordered, **figures, "secure": tls, **rig.machine()}


def main() -> int:
    """Run the attack and print the line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--garbage", type=int, default=1_000_000, help="datagrams of no session")
    parser.add_argument("--forged", type=int, default=100_000, help="datagrams under no key")
    parser.add_argument("--replays", type=int, default=20_000, help="datagrams that came before")
    parser.add_argument("--bots", type=int, default=12, help="players, of which one is the victim")
    parser.add_argument("--loris", type=int, default=300, help="sockets that dribble")
    parser.add_argument("--join-seconds", type=float, default=5.0, help="the server's deadline")
    parser.add_argument("--calm-seconds", type=float, default=3.0, help="before the attack")
    parser.add_argument("--insecure", action="store_true", help="play over plain TCP")
    options = parser.parse_args()
    figures = attack(options)
    print(json.dumps(figures), flush=True)
    for name in wrongs(figures):
        rig.note(f"wrong: {name} is {figures[name]}")
    return 1 if wrongs(figures) else 0


if __name__ == "__main__":
    sys.exit(main())

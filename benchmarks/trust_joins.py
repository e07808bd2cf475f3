"""What joining costs a server, and what those can do to it who are not let in."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import lean
import rig
from flood_hold import Dribblers
from rig import Row
from trust_watch import Watcher

from gamenet.core import frames
from gamenet.errors import RefusalReason

HERE = Path(__file__).resolve().parent
GAME = ("--game", "trust_game:main", "--app-dir", str(HERE))
AUDIENCE = "trust"
MEMORY_BAR_KIB = 60
JOINS_BAR = 500
TIMING_BAR = 0.05
THREADS = 8
STORM_PER_SECOND = 1_000
STORM_THREADS = 128
"""More than can wait for the server's threads, or the storm would wait as well."""
DRIBBLERS = 5_000


# Children.


def join_many(questions: Any) -> None:
    """In a child: join and leave with each ticket, some at a time, and say how long it took."""
    for spec in questions:
        rig.answer(_each(spec, THREADS, _join_and_leave))


def storm(questions: Any) -> None:
    """In a child: try so many wrong passwords a second."""
    for spec in questions:
        users = [f"user-{index % 50}" for index in range(spec["count"])]
        spec["logins"] = [[user, frames.PASSWORD, b"wrong".hex()] for user in users]
        rig.answer(_each(spec, STORM_THREADS, _join_and_leave))


def hold(questions: Any) -> None:
    """In a child: join players for good, some more with each question, all of whom play."""
    players: list[lean.LeanClient] = []
    for spec in questions:
        place = rig.Place(*spec["place"])
        for _ in range(spec["count"]):
            players.append(lean.LeanClient(place.host, place.port, tls=place.tls).join().bind())
            if len(players) % 5 == 0:
                _play_once(players)
        for _ in range(20):
            _play_once(players)
            time.sleep(0.05)
        rig.answer(len(players))


def _play_once(players: list[lean.LeanClient]) -> None:
    for player in players:
        player.look_at_udp()
        player.look_at_tcp()
        player.press(player.inputs.newest & 0xFF)
        player.flush()


def dribble(questions: Any) -> None:
    """In a child: many sockets that say a byte a second."""
    spec = next(questions)
    place = rig.Place(*spec["place"])
    with Dribblers(place, spec["count"], spec["source"]) as dribblers:
        while not dribblers.are_gone() and not dribblers.is_hopeless():
            time.sleep(0.05)
        gone = dribblers.are_gone()
        rig.answer({"gone": max(dribblers.ages) if gone else None, "most": dribblers.most})


ROLES = {"join_many": join_many, "storm": storm, "hold": hold, "dribble": dribble}


def _each(spec: dict[str, Any], threads: int, call: Any) -> dict[str, Any]:
    """Call for each of the logins, evenly over the time where a rate is given."""
    place = rig.Place(*spec["place"])
    logins = list(enumerate(spec["logins"]))
    logins.reverse()
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()
    begun = time.monotonic()

    def work() -> None:
        while True:
            try:
                index, login = logins.pop()
            except IndexError:
                return
            if rate := spec.get("per_second"):
                rig.sleep_until(begun + index / rate)
                if time.monotonic() - begun > len(spec["logins"]) / rate:
                    return  # it is not up to that rate
            outcome = call(place, *login)
            with lock:
                outcomes[outcome] += 1

    workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"seconds": time.monotonic() - begun, "outcomes": outcomes}


def _join_and_leave(place: rig.Place, user: str, mechanism: int, auth: str) -> str:
    try:
        client = lean.LeanClient(
            place.host, place.port, tls=place.tls, user=user, mechanism=mechanism,
            auth=bytes.fromhex(auth),
        )  # fmt: skip
    except OSError as error:
        return type(error).__name__
    try:
        client.join()
    except (lean.Refused, lean.Gone, OSError) as error:
        client.close()
        return error.reason.name if isinstance(error, lean.Refused) else type(error).__name__
    client.leave()
    return "joined"


# Measures.


def memory(options: Any) -> list[Row]:
    """Memory of a server for one more player, over TLS and UDP."""
    found = []
    count = options.held
    for _ in range(options.rounds):
        with _daemon("--max-players", str(2 * count + 100)) as daemon:
            spec = {"place": daemon.place, "count": count // 4}
            # The first ones pay for what all share.
            with rig.Child(__file__, "hold", spec, rig.other_cores()) as players:
                players.hear()
                before = rig.resident_bytes(daemon.pid)
                spec["count"] = count
                players.ask(spec)
                found.append((rig.resident_bytes(daemon.pid) - before) / count / 1_024)
                rig.note(f"a player takes {found[-1]:.1f} KiB")
    figure = statistics.median(found)
    return [
        Row(
            "joined_client_memory", figure, "KiB", f"<= {MEMORY_BAR_KIB}",
            figure <= MEMORY_BAR_KIB,
            f"resident memory, {count} TLS clients after {count // 4} others, bound and playing, "
            f"median of {options.rounds} servers",
        )
    ]  # fmt: skip


def ticket_joins(options: Any) -> list[Row]:
    """Joins with tickets over TLS: server CPU, and how many there were a second."""
    from gamenet.tickets import TicketIssuer, read_private_key

    rates, per_cpu = [], []
    count = options.joins
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        gamenet(folder, "ticket", "--make-key", "backend")
        issuer = TicketIssuer(read_private_key(f"{folder}/backend"), AUDIENCE)
        daemon = stack.enter_context(
            _daemon("--auth", f"ticket:{folder}/backend.pub:{AUDIENCE}", "--max-players", "1000")
        )
        load = stack.enter_context(
            rig.Child(
                __file__, "join_many", _logins(daemon, issuer, "warm", 200), rig.other_cores()
            )
        )
        load.hear()
        for number in range(options.rounds):
            spec = _logins(daemon, issuer, f"r{number}", count)
            before = daemon.status()
            done = load.ask(spec)
            after = daemon.status()
            joins = after["counters"]["joins"] - before["counters"]["joins"]
            if done["outcomes"] != {"joined": count} or joins != count:
                raise RuntimeError(f"{joins} of {count} joined: {done['outcomes']}")
            rates.append(count / done["seconds"])
            per_cpu.append(count / (after["cpu_seconds"] - before["cpu_seconds"]))
            rig.note(f"{rates[-1]:.0f} joins/s, {per_cpu[-1]:.0f} per second of server CPU")
    figure, rate = statistics.median(per_cpu), statistics.median(rates)
    on = f"TLS 1.3, EC P-256, full handshakes, {count} joins and leaves, median of {options.rounds}"
    return [
        Row("ticket_joins_per_core_second", figure, "1/s CPU", f">= {JOINS_BAR}",
            figure >= JOINS_BAR, on + "; the server's own CPU time"),
        Row("ticket_joins", rate, "1/s", "", None,
            f"wall clock, {THREADS} at a time; the server on one core, "
            f"{rate / figure:.0%} of it busy"),
    ]  # fmt: skip


def _logins(daemon: rig.Daemon, issuer: Any, name: str, count: int) -> dict[str, Any]:
    return {
        "place": daemon.place,
        "logins": [
            ["", frames.TICKET, issuer.issue(f"{name}-{index}").hex()] for index in range(count)
        ],
    }


def login_storm(options: Any) -> list[Row]:
    """Ticks of a game while somebody tries passwords, and what is answered."""
    calm, stormy, gaps, rates = [], [], [], []
    outcomes: Counter[str] = Counter()
    with _with_accounts() as daemon, Watcher(daemon.place) as watcher:
        for number in range(options.rounds):
            watcher.watch(0.5)
            watcher.begin()
            watcher.watch(options.seconds)
            calm.append(watcher.seen().late_p99_ms)
            count = int(STORM_PER_SECOND * options.seconds)
            spec = {"place": daemon.place, "count": count, "per_second": STORM_PER_SECOND}
            with rig.Child(__file__, "storm", spec, rig.other_cores()) as load:
                watcher.begin()
                done = _watching(watcher, load)
            seen = watcher.seen()
            stormy.append(seen.late_p99_ms)
            gaps.append(seen.timer_gap_ms)
            rates.append(sum(done["outcomes"].values()) / options.seconds)
            outcomes.update(done["outcomes"])
            rig.note(f"round {number + 1}: {rates[-1]:.0f} logins/s, ticks 99 % late by at most "
                     f"{stormy[-1]:.2f} ms, without them {calm[-1]:.2f} ms")  # fmt: skip
        unjoined = daemon.status()["counters"]["unjoined_refused"]
    if "joined" in outcomes:
        raise RuntimeError("a wrong password let somebody in")
    answered = ", ".join(f"{name} {count}" for name, count in sorted(outcomes.items()))
    on = f"60 Hz game, medians of {options.rounds} rounds of {options.seconds:g} s"
    return [
        Row("storm_tick_late_p99", statistics.median(stormy), "ms", "", None,
            f"{on}, wrong passwords over TLS: {answered}; {unjoined} closed unanswered"),
        Row("calm_tick_late_p99", statistics.median(calm), "ms", "", None, "the same without"),
        Row("storm_timer_gap_max", max(gaps), "ms", "", None, "worst of all rounds, 5 ms timer"),
        Row("storm_logins", statistics.median(rates), "1/s", "", None,
            f"{STORM_PER_SECOND} asked for"),
    ]  # fmt: skip


def _watching(watcher: Watcher, load: rig.Child) -> Any:
    """The child's answer, while the watcher goes on playing."""
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(load.hear()), daemon=True)
    thread.start()
    while thread.is_alive():
        watcher.watch(0.1)
    if not box:
        raise RuntimeError("the load ended early")
    return box[0]


def login_timing(options: Any) -> list[Row]:
    """Whether an answer's time tells if an account exists."""
    taken: dict[str, list[float]] = {"user-0": [], "nobody": []}
    with _with_accounts() as daemon:
        for _ in range(options.logins):
            for user, times in taken.items():
                client = lean.LeanClient(
                    daemon.place.host, daemon.place.port, tls=daemon.place.tls, user=user,
                    mechanism=frames.PASSWORD, auth=b"wrong",
                )  # fmt: skip
                begun = time.perf_counter()
                try:
                    client.join()
                except lean.Refused as error:
                    if error.reason is not RefusalReason.CREDENTIALS:
                        raise
                times.append(time.perf_counter() - begun)
                client.close()
    # What others do to the machine only ever adds, so the faster answers tell more than the middle.
    known, unknown = (statistics.quantiles(times, n=4)[0] * 1e3 for times in taken.values())
    apart = abs(known - unknown) / known
    on = f"lower quartile of {options.logins} each, alternating, one at a time"
    middle = [statistics.median(times) * 1e3 for times in taken.values()]
    return [
        Row("login_known_and_unknown_apart", apart * 100, "%", f"< {TIMING_BAR:.0%}",
            apart < TIMING_BAR, on),
        Row("login_known_user", known, "ms", "", None,
            f"wrong password, HELLO to REFUSE; median {middle[0]:.2f} ms"),
        Row("login_unknown_user", unknown, "ms", "", None, f"the same; median {middle[1]:.2f} ms"),
    ]  # fmt: skip


def loris(options: Any) -> list[Row]:
    """Joins of an honest player while another address holds sockets open."""
    there = rig.can_use(rig.OTHER_ADDRESS)
    count = options.dribblers if there else min(300, options.dribblers)
    source = rig.OTHER_ADDRESS if there else "127.0.0.1"
    joins: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "limits.toml")
        # On loopback addresses do not count unless it says so.
        config.write_text(f"limit_loopback = {json.dumps(there)}\n", encoding="utf-8")
        with _daemon("--config", str(config)) as daemon:
            before = rig.resident_bytes(daemon.pid)
            spec = {"place": daemon.place, "count": count, "source": source}
            with rig.Child(__file__, "dribble", spec, rig.other_cores()) as load:
                box: list[Any] = []
                thread = threading.Thread(target=lambda: box.append(load.hear()), daemon=True)
                thread.start()
                grown = 0
                while thread.is_alive():
                    begun = time.monotonic()
                    client = lean.LeanClient(
                        daemon.place.host, daemon.place.port, tls=daemon.place.tls
                    )
                    client.join()
                    joins.append(time.monotonic() - begun)
                    client.leave()
                    grown = max(grown, rig.resident_bytes(daemon.pid) - before)
                    time.sleep(0.2)
    if not box:
        raise RuntimeError("the dribblers ended early")
    joins.sort()
    gone, most = box[0]["gone"], box[0]["most"]
    on = f"{count} dribblers from one address, {most} open at once at most; {len(joins)} joins"
    return [
        Row("loris_join_p50", statistics.median(joins) * 1e3, "ms", "", None, on),
        Row("loris_join_max", joins[-1] * 1e3, "ms", "< 1000", joins[-1] < 1.0, on),
        Row("loris_gone", gone, "s", "<= 6", gone is not None and gone <= 6.0,
            "the last one, from its own connecting"),
        Row("loris_memory", grown / 1_024, "KiB", "", None, "the server's growth at most"),
    ]  # fmt: skip


# Daemons.


def _daemon(*arguments: str) -> Any:
    return _Kept(arguments)


class _Kept:
    """A daemon in a folder of its own."""

    def __init__(self, arguments: tuple[str, ...], accounts: int = 0) -> None:
        self._arguments = arguments
        self._accounts = accounts
        self._stack = ExitStack()

    def __enter__(self) -> rig.Daemon:
        with self._stack as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            for index in range(self._accounts):
                gamenet(folder, "passwd", "accounts", f"user-{index}", words=f"secret-{index}\n")
            daemon = rig.Daemon(
                Path(folder), *GAME, *self._arguments, tls=True, on=rig.first_core()
            )
            stack.enter_context(daemon)
            self._stack = stack.pop_all()
        return daemon

    def __exit__(self, *error: object) -> None:
        self._stack.close()


def _with_accounts() -> _Kept:
    """Guests may join, and so may accounts with their passwords."""
    return _Kept(("--auth", "anonymous", "--auth", "file:accounts"), accounts=3)


def gamenet(folder: str, *arguments: str, words: str = "") -> None:
    """Run a command of gamenet's in a folder."""
    subprocess.run(
        [sys.executable, "-m", "gamenet", *arguments],
        cwd=folder,
        env=rig.environment(),
        input=words,
        text=True,
        capture_output=True,
        check=True,
        timeout=rig.START_SECONDS,
    )


if __name__ == "__main__":
    rig.run_role(ROLES)
    sys.exit(0)

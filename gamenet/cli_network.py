"""Bad networks on the command line: ``gamenet proxy``, and the flags of other commands.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TextIO

from gamenet.chaos import parse_chaos
from gamenet.cli_values import MOST_SECONDS, count_of_bytes, named, number, port, seed, share
from gamenet.errors import ConnectionFailed, ListenFailed
from gamenet.impairment import PROFILES, Profile, find_profile
from gamenet.proxy import Mischief, Proxy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from gamenet.chaos import Chaos

LINE_SECONDS: Final = 1.0
POLL_SECONDS: Final = 0.05
MOST_MS: Final = 60_000.0


def add_proxy(commands: Any) -> None:
    """Add ``gamenet proxy`` to what ``ArgumentParser.add_subparsers`` returned."""
    proxy = commands.add_parser(
        "proxy",
        help="a bad network between any client and any server",
        description="Pass TCP and UDP on between clients and one server, the way a bad network "
        "would. TLS goes through it untouched: clients verify the server, not the proxy.",
    )
    proxy.add_argument(
        "listen",
        metavar="LISTEN",
        help="where clients come: PORT for this machine only, or HOST:PORT",
    )
    proxy.add_argument(
        "target",
        metavar="TARGET",
        help="the server: HOST[:7777], [IPV6]:PORT or gamenet://HOST:PORT#sha256=FINGERPRINT",
    )
    proxy.add_argument(
        "--udp-port",
        type=port,
        default=0,
        metavar="PORT",
        help="of the server, and of the proxy, where it is not that of TCP",
    )
    _add_flags(proxy, "--profile", "--seed")
    for name, what in (
        ("duplicate", "arrive twice"),
        ("reorder", "are held back, so that later ones overtake them"),
        ("corrupt", "get one bit flipped"),
    ):
        proxy.add_argument(
            f"--sim-{name}", type=share, metavar="SHARE", help=f"datagrams that {what}"
        )
    proxy.add_argument(
        "--sim-burst",
        type=number(1.0, 1e6),
        metavar="N",
        help="mean length of a run of lost datagrams",
    )
    proxy.add_argument(
        "--sim-bandwidth-bytes", type=count_of_bytes, metavar="N", help="bytes a second each way"
    )
    add_chaos(proxy)
    proxy.add_argument(
        "--seconds",
        type=number(0.001, MOST_SECONDS),
        metavar="S",
        help="end after so long (default: at Ctrl-C)",
    )
    proxy.add_argument(
        "--json", action="store_true", help="at the end all counts as one line of JSON"
    )


def add_simulation(parser: argparse.ArgumentParser) -> None:
    """Add the flags that put a bad network between a command's clients and the server."""
    _add_flags(parser, "--sim-profile", "--sim-seed")


def add_chaos(parser: argparse.ArgumentParser, *, may_kill: bool = False) -> None:
    """Add ``--chaos``."""
    kill = ", kill@S kills and restarts the server" if may_kill else ""
    parser.add_argument(
        "--chaos",
        type=named("what happens"),
        metavar="SCRIPT",
        help="what happens when, in seconds: cut@S resets TCP, block@S:FOR stops UDP, move@S "
        f"changes addresses{kill}; such as cut@8,block@14:6,move@24",
    )


def add_trace(parser: argparse.ArgumentParser) -> None:
    """Add ``--trace``."""
    parser.add_argument(
        "--trace",
        type=named("a file"),
        metavar="FILE",
        help="write what each bot saw, as lines of JSON",
    )


def _add_flags(parser: argparse.ArgumentParser, profile_flag: str, seed_flag: str) -> None:
    group = parser.add_argument_group("bad network")
    group.add_argument(
        profile_flag,
        dest="sim_profile",
        type=named("a network"),
        metavar="NAME",
        help=f"what the network does: {', '.join(PROFILES)}",
    )
    group.add_argument(
        "--sim-latency-ms", type=number(0.0, MOST_MS), metavar="MS", help="delay, one way"
    )
    group.add_argument(
        "--sim-jitter-ms",
        type=number(0.0, MOST_MS),
        metavar="MS",
        help="how much more or less it is",
    )
    group.add_argument("--sim-loss", type=share, metavar="SHARE", help="of datagrams: 0.05, or 5%%")
    group.add_argument(
        seed_flag,
        dest="sim_seed",
        type=seed,
        default=0,
        metavar="N",
        help="what decides all that is left to chance (default 0)",
    )


CHANGES: Final = {
    "sim_latency_ms": "latency_ms",
    "sim_jitter_ms": "jitter_ms",
    "sim_loss": "loss",
    "sim_burst": "burst",
    "sim_duplicate": "duplicate",
    "sim_reorder": "reorder",
    "sim_corrupt": "corrupt",
    "sim_bandwidth_bytes": "bandwidth_bytes",
}
"""Flags, and the fields of a profile that they change."""


def profile_of(arguments: argparse.Namespace) -> Profile | None:
    """What the flags ask for; None if they ask for nothing.

    :raises ConfigError: for a profile that does not exist.
    """
    changes = {
        field: getattr(arguments, flag)
        for flag, field in CHANGES.items()
        if getattr(arguments, flag, None) is not None
    }
    if arguments.sim_profile is None and not changes:
        return None
    profile = find_profile(arguments.sim_profile or "perfect")
    if changes:
        name = "custom" if arguments.sim_profile is None else f"{profile.name}, changed"
        profile = replace(profile, name=name, **changes)
    return profile


def simulation_flags(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The flags of :func:`add_simulation` again, as they were given."""
    if profile_of(arguments) is None:
        return ()
    flags = ["--sim-seed", str(arguments.sim_seed)]
    for name in ("sim_profile", "sim_latency_ms", "sim_jitter_ms", "sim_loss"):
        value = getattr(arguments, name)
        if value is not None:
            flags += [f"--{name.replace('_', '-')}", str(value)]
    return tuple(flags)


def banner(profile: Profile, seed: int | str) -> str:
    """What tells that the network is not as good as it could be."""
    return f"SIMULATED NETWORK {profile}; seed {seed}"


def run_proxy(arguments: argparse.Namespace, interrupted: Callable[[], bool]) -> int:
    """``gamenet proxy``.

    :returns: the exit status.
    :raises ConfigError: if the arguments make no sense.
    :raises ListenFailed: if the ports cannot be opened.
    """
    from gamenet.demo.report import LiveLine

    profile = profile_of(arguments) or PROFILES["perfect"]
    script = parse_chaos(arguments.chaos) if arguments.chaos else ()
    proxy = Proxy(
        arguments.target,
        listen=arguments.listen,
        udp_port=arguments.udp_port,
        profile=profile,
        seed=arguments.sim_seed,
    )
    err = sys.stderr
    try:
        proxy.start()
    except ListenFailed as error:
        raise ListenFailed(f"{error}; choose another port or address for LISTEN") from None
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error}; try: gamenet doctor {arguments.target}") from None
    try:
        _say(err, f"proxy: {proxy.address} passes on to {proxy.target}")
        _say(err, banner(profile, arguments.sim_seed))
        live = LiveLine(err, quiet=not err.isatty())
        counts = _watch(proxy, script, arguments.seconds or math.inf, interrupted, live, err)
    finally:
        proxy.stop()
    if arguments.json:
        print(json.dumps(counts, allow_nan=False), flush=True)
    return 0


def _watch(
    proxy: Proxy,
    script: Sequence[Chaos],
    seconds: float,
    interrupted: Callable[[], bool],
    live: Any,
    err: TextIO,
) -> dict[str, Any]:
    began = time.monotonic()

    def happened(event: Chaos, at: float) -> None:
        live.end()
        _say(err, f"chaos: {event}")

    mischief = Mischief(proxy, script, happened)
    line_at = began
    while (now := time.monotonic()) - began < seconds and not interrupted():
        mischief.go_on(now - began)
        if now >= line_at:
            line_at = now + LINE_SECONDS
            live.show(line_of(proxy.counts()))
        time.sleep(POLL_SECONDS)
    live.end()
    return {
        "seconds": round(time.monotonic() - began, 2),
        "profile": proxy.profile.name,
        **proxy.counts(),
    }


def line_of(counts: dict[str, int]) -> str:
    """Counts as one line for a person."""

    def way(name: str) -> str:
        return (
            f"{counts[f'{name}_sent']} {name}, "
            f"{counts[f'{name}_lost'] + counts[f'{name}_queued_out']} lost, "
            f"{counts[f'{name}_blacked_out']} blocked"
        )

    return (
        f"{counts['tcp_connections_now']} TCP and {counts['udp_clients_now']} UDP clients; "
        f"datagrams {way('up')}; {way('down')}; "
        f"TCP {counts['tcp_bytes_up']} up, {counts['tcp_bytes_down']} down bytes"
    )


def _say(err: TextIO, line: str) -> None:
    print(line, file=err, flush=True)

"""``gamenet demo`` and ``gamenet bots`` on the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any, Final

from gamenet.chaos import parse_chaos
from gamenet.cli_network import (
    add_chaos,
    add_simulation,
    add_trace,
    banner,
    profile_of,
    simulation_flags,
)
from gamenet.cli_values import above_zero, number, seconds, seed, share, whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.demo.report import Report

MAX_BOTS: Final = 10_000
SLOWEST_RAMP: Final = 0.01
FASTEST_RAMP: Final = 10_000.0


def add_load(commands: Any, add_address: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add both commands to what ``ArgumentParser.add_subparsers`` returned.

    :param add_address: what adds the arguments that all clients take.
    """
    demo = commands.add_parser(
        "demo",
        help="a real server and bots on this machine, and what was measured",
        description="Start the demo game's server and bots, each in a process of its own, let "
        "them play over real sockets, and say what both sides measured.",
    )
    demo.add_argument(
        "--bots", type=whole(1, MAX_BOTS), default=50, metavar="N", help="players (default 50)"
    )
    _add_run(demo, 20.0)
    demo.add_argument(
        "--no-delta",
        dest="delta",
        action="store_false",
        help="send every state whole, to see what differences save",
    )
    add_simulation(demo)
    add_chaos(demo, may_kill=True)
    add_trace(demo)

    bots = commands.add_parser(
        "bots",
        help="players without people, against any gamenet server",
        description="Let bots join a server and play: they press buttons, speak, and count what "
        "arrives. What only the server knows is reported as unknown.",
    )
    add_address(bots)
    bots.add_argument(
        "--count", type=whole(1, MAX_BOTS), default=10, metavar="N", help="players (default 10)"
    )
    _add_run(bots, 10.0)
    bots.add_argument(
        "--ramp",
        type=number(SLOWEST_RAMP, FASTEST_RAMP),
        default=600.0,
        metavar="N",
        help="joins a second (default 600)",
    )
    bots.add_argument(
        "--bot",
        metavar="MODULE:CLASS",
        help="your own players: a class made from gamenet.bots.Bot, looked for here first",
    )
    bots.add_argument(
        "--max-rtt-ms",
        type=above_zero,
        metavar="MS",
        help="fail if 1 in 100 round trips takes longer",
    )
    bots.add_argument(
        "--max-loss",
        type=share,
        metavar="SHARE",
        help="fail if more datagrams are lost: 0.05, or 5%%",
    )
    bots.add_argument("--seed", type=seed, default=0, help="where the bots go (default 0)")
    bots.add_argument("--quiet", action="store_true", help="no line a second")
    add_simulation(bots)
    add_chaos(bots)
    add_trace(bots)
    # For the demo, which has the server: a kill is told, and the sessions it costs are no errors.
    bots.add_argument("--kill-elsewhere", action="store_true", help=argparse.SUPPRESS)
    # And where the clock of that server began, to tell how well the bots know it.
    bots.add_argument("--clock-zero", type=float, help=argparse.SUPPRESS)


def _add_run(parser: argparse.ArgumentParser, usual: float) -> None:
    parser.add_argument(
        "--seconds",
        type=seconds(),
        default=usual,
        metavar="S",
        help=f"of play, joining and leaving not counted (default {usual:g})",
    )
    parser.add_argument(
        "--json", action="store_true", help="the report as one line of JSON on standard output"
    )


def run_load(arguments: argparse.Namespace, interrupt: Any) -> int:
    """``gamenet demo`` and ``gamenet bots``.

    :param interrupt: asked whether the person wants to leave, and with what exit status.
    :returns: the exit status.
    :raises GamenetError: in one line, if it cannot be played.
    """
    profile = profile_of(arguments)
    may_kill = arguments.command == "demo" or arguments.kill_elsewhere
    script = parse_chaos(arguments.chaos, may_kill=may_kill) if arguments.chaos else ()
    if arguments.command == "demo":
        from gamenet.demo.run import Plan, run_demo

        if profile is not None:
            print(banner(profile, arguments.sim_seed), file=sys.stderr, flush=True)
        plan = Plan(
            seconds=arguments.seconds,
            bots=arguments.bots,
            simulation=simulation_flags(arguments),
            chaos=arguments.chaos or "",
            script=script,
            trace=arguments.trace or "",
            delta=arguments.delta,
        )
        outcome = run_demo(plan, interrupt, sys.stderr)
    else:
        from gamenet.bots import load_bot
        from gamenet.demo.bot import Load
        from gamenet.demo.bots import run_bots

        if arguments.bot is not None and os.getcwd() not in sys.path[:1]:
            sys.path.insert(0, os.getcwd())
        load = Load(
            address=arguments.address,
            count=arguments.count,
            seconds=arguments.seconds,
            insecure=arguments.insecure,
            ca_file=arguments.ca or "",
            seed=arguments.seed,
            profile=profile,
            sim_seed=arguments.sim_seed,
            chaos=script,
            trace=arguments.trace or "",
            ramp=arguments.ramp,
            own=None if arguments.bot is None else load_bot(arguments.bot),
            clock_zero=arguments.clock_zero,
        )
        outcome = run_bots(load, interrupt, sys.stderr, quiet=arguments.quiet)
    if outcome is None:
        return int(interrupt.status)
    report, well = outcome
    if arguments.command == "bots":
        for line in _beyond(report, arguments.max_rtt_ms, arguments.max_loss):
            report["errors"] += 1
            report["error_lines"].append(line)
            well = False
    _print(report, arguments.json, f"gamenet {arguments.command}")
    return 0 if well else 1


def _beyond(report: Report, max_rtt_ms: float | None, max_loss: float | None) -> list[str]:
    from gamenet.demo.report import beyond

    return beyond(report, max_rtt_ms, max_loss)


def _print(report: Report, as_json: bool, title: str) -> None:
    from gamenet.demo.report import table

    if as_json:
        print(json.dumps(report, allow_nan=False), flush=True)
    else:
        print(f"{title}\n{table(report)}", flush=True)

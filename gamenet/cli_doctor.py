"""``gamenet doctor`` on the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import json
import shlex
import sys
from typing import TYPE_CHECKING, Any, Final

from gamenet.cli_values import number

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from gamenet.doctor.check import Check

SECONDS: Final = 5.0
MOST_SECONDS: Final = 600.0


def add_doctor(commands: Any, *add: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add ``gamenet doctor`` to what ``ArgumentParser.add_subparsers`` returned.

    :param add: what adds the arguments that all clients take.
    """
    doctor = commands.add_parser(
        "doctor",
        help="what is wrong between here and a server, and what to do about it",
        description="Join a server as a player who does nothing, look at every step of the way, "
        "and say for each that fails the likely cause and the fix. The exit status is 1 if one "
        "has failed; warnings alone leave it 0, unless --strict is said.",
    )
    for each in add:
        each(doctor)
    doctor.add_argument(
        "--seconds",
        type=number(0.5, MOST_SECONDS),
        default=SECONDS,
        metavar="S",
        help=f"how long round trips and losses are measured (default {SECONDS:g})",
    )
    doctor.add_argument("--strict", action="store_true", help="exit status 1 for warnings, too")
    doctor.add_argument(
        "--json", action="store_true", help="the report as one line of JSON on standard output"
    )


def run_doctor(arguments: argparse.Namespace, proof: dict[str, Any], interrupt: Any) -> int:
    """``gamenet doctor``.

    :param proof: what is to prove who the player is.
    :param interrupt: asked whether the person wants to leave, and with what exit status.
    :returns: the exit status.
    :raises ConfigError: if the arguments make no sense.
    """
    from gamenet.addresses import parse_address
    from gamenet.client_facade import GameClient
    from gamenet.doctor.examination import JOIN_SECONDS, Examination
    from gamenet.doctor.patience import Interrupted, Patience
    from gamenet.doctor.show import Lines, Nothing, report
    from gamenet.doctor.summary import summary
    from gamenet.threads import ensure_reactor, release_pool_threads

    client = GameClient(  # which looks at all of it, as for every player
        arguments.address,
        user=arguments.user,
        insecure=arguments.insecure,
        ca_file=arguments.ca or "",
        join_seconds=JOIN_SECONDS,
        udp_bind_seconds=JOIN_SECONDS,
        **proof,
    )
    target = parse_address(arguments.address)
    reactor = ensure_reactor()
    who = {"user": arguments.user, **proof}
    patience = Patience(reactor, interrupt)
    examination = Examination(target, client.config, who, arguments.seconds, patience)
    stream = sys.stderr if arguments.json else sys.stdout
    lines = None if arguments.json and not stream.isatty() else Lines(stream)
    try:
        if lines is not None:
            lines.title(target)
        checks = examination.run(lines or Nothing())
    except Interrupted:
        if lines is not None:
            lines.broken_off()
        return int(interrupt.status)
    finally:
        release_pool_threads(reactor)
    well = all(check.is_well for check in checks)
    said = summary(target, checks)
    if lines is not None:
        lines.end(said)
    if arguments.json:
        print(json.dumps(report(target, checks, said, well), allow_nan=False), flush=True)
    return exit_status(checks, strict=arguments.strict)


def advised(address: str, *, insecure: bool, ca_file: str) -> str:
    """What another command says to somebody whom it cannot tell why there is no way to a server."""
    words = ["gamenet", "doctor", address]
    words += ["--insecure"] if insecure else ["--ca", ca_file] if ca_file else []
    return f"try: {shlex.join(words)}"


def exit_status(checks: Sequence[Check], *, strict: bool) -> int:
    """1 if something is broken; a game can be played in spite of a warning.

    :param strict: count warnings, too.
    """
    bad = ("failed", "warning") if strict else ("failed",)
    return int(any(check.verdict in bad for check in checks))

"""``gamenet top`` on the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from gamenet.cli_values import seconds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable


def add_top(commands: Any) -> None:
    """Add the command."""
    top = commands.add_parser(
        "top",
        help="how a running server and its players do, in the terminal",
        description="Look at a server's status site once a second. The server serves it with "
        "--status tcp:9777.",
    )
    top.add_argument("status", metavar="ADDRESS", help="of the status site: HOST:PORT")
    top.add_argument(
        "--every",
        type=seconds(0.1, 3_600),
        default=1.0,
        metavar="S",
        help="from look to look (default 1)",
    )
    top.add_argument("--once", action="store_true", help="two looks, then end: rates need two")


def run(arguments: argparse.Namespace, interrupted: Callable[[], bool]) -> None:
    """Show it until interrupted.

    :raises GamenetError: in one line, if there is nothing to see.
    """
    from gamenet.top.run import run_top

    looks = 2 if arguments.once else None
    run_top(arguments.status, interrupted, sys.stdout, seconds=arguments.every, looks=looks)

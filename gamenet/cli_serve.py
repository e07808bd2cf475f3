"""``gamenet serve``: the daemon's service without ``twistd`` and without its search for plug-ins.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import argparse
from typing import Any


def add_serve(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    parser = commands.add_parser(
        "serve",
        help="a server in the foreground, without twistd",
        # Nothing is a flag here: all that follows is for the daemon's own options.
        prefix_chars="\0",
        add_help=False,
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    parser.set_defaults(run=run_serve)


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until a signal, the game or a drain ends it.

    :returns: the exit status; a signal ends the process as it does under ``twistd``.
    """
    # Not for those who only play: it is the whole of a server.
    from gamenet.serving import serve

    return serve(arguments.arguments)

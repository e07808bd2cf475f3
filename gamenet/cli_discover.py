"""``gamenet discover`` on the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from gamenet.cli_values import seconds

if TYPE_CHECKING:
    import argparse

    from gamenet.found import Found

SECONDS: Final = 2.0
MOST_SECONDS: Final = 60.0
MOST_SHOWN: Final = 32
"""Characters of the name of a game."""
NOBODY: Final = (
    "answered. A server is found if it was started with --beacon NAME and listens to "
    "more than this machine; a firewall on either machine may block UDP port 7776; and many school "
    "and guest networks keep their devices apart: then join by the server's address"
)


def add_discover(commands: Any) -> None:
    """Add the command to what ``ArgumentParser.add_subparsers`` returned."""
    parser = commands.add_parser(
        "discover",
        help="the servers on the local network",
        description="Ask the local network which servers are there, and print where to join them. "
        "Only servers with --beacon NAME answer. The exit status is 0 if there is one.",
    )
    parser.add_argument(
        "--seconds",
        type=seconds(0.1, MOST_SECONDS),
        default=SECONDS,
        metavar="S",
        help=f"how long to wait for answers (default {SECONDS:g})",
    )
    parser.add_argument(
        "--game", default="", metavar="NAME", help="servers of this game alone, such as tag/1"
    )
    parser.add_argument(
        "--json", action="store_true", help="what was found as one line of JSON on standard output"
    )
    parser.set_defaults(run=run_discover)


def run_discover(arguments: argparse.Namespace) -> int:
    """``gamenet discover``.

    :returns: the exit status.
    :raises ConfigError: if the arguments make no sense.
    """
    # Not for those who type an address: it starts the reactor.
    from gamenet.discovery import Browser

    with Browser(arguments.game) as browser:
        time.sleep(arguments.seconds)
        found, problem = browser.servers(), browser.problem
    if arguments.json:
        servers = [dataclasses.asdict(server) for server in found]
        print(json.dumps({"servers": servers}), flush=True)
    elif found:
        # A terminal that has not all letters shows another for those that it lacks.
        encoding = sys.stdout.encoding or "utf-8"
        print(table(found).encode(encoding, "replace").decode(encoding), flush=True)
    if not found:
        who = f"no server of {arguments.game!r}" if arguments.game else "no server"
        print(f"gamenet discover: {problem or f'{who} {NOBODY}'}", file=sys.stderr)
    return 0 if found else 1


def table(found: list[Found]) -> str:
    """A line for each server with what is to know of it, and one with its address."""
    rows = [("NAME", "GAME", "PLAYERS", "")]
    rows += [
        (
            each.name,
            each.game[:MOST_SHOWN] or "-",
            f"{each.players}/{each.max_players}",
            ", ".join(notes(each)),
        )
        for each in found
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]])
        for row in rows
    ]
    for index in range(len(found), 0, -1):
        lines.insert(index + 1, f"  {found[index - 1].address}")
    return "\n".join(line.rstrip() for line in lines)


def notes(server: Found) -> list[str]:
    """What whoever wants to join should know first."""
    said = {
        "password or ticket": server.needs_proof,
        "join with --insecure": not server.secure,
        "full": server.is_full,
        "lets nobody in at the moment": not server.is_open,
        "speaks another version of the protocol": not server.is_known,
    }
    return [text for text, holds in said.items() if holds]

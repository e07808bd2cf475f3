"""The commands that make identities: ``gamenet passwd`` and ``gamenet ticket``.

Layer 4. Runs on: the main thread.

A password is asked for twice at a terminal, and read as one line where standard input is none. It
is never taken from the command line, which everybody on the machine can read.
"""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING, Any, Final

from gamenet.account_file import change, check
from gamenet.cli_values import named, seconds, whole
from gamenet.config import ServerConfig
from gamenet.core.password import LEAST_LOG2_N, MAX_PASSWORD_BYTES, MOST_LOG2_N
from gamenet.core.text import checked_name
from gamenet.errors import ConfigError
from gamenet.passwords import new_record
from gamenet.tickets import TICKET_SECONDS, TicketIssuer, make_key, read_private_key

if TYPE_CHECKING:
    import argparse

MOST_LIFE_SECONDS: Final = 366 * 86_400.0
"""Of a ticket. Servers take far less, unless they are told to."""


def add_commands(commands: Any) -> None:
    """Add both commands to what ``ArgumentParser.add_subparsers`` returned.

    The arguments get ``run``, which is to be called with them and returns the exit status. It may
    wait at the terminal, so Ctrl-C must raise ``KeyboardInterrupt`` as it does by default.
    """
    passwd = commands.add_parser(
        "passwd",
        help="add, change or delete an account of a password file",
        description="Set the password of an account in a file for 'twistd gamenet --auth "
        "file:FILE'; a file that is not there is made. A running server notices by itself.",
    )
    passwd.add_argument("file", type=named("a file"), metavar="FILE", help="the file of accounts")
    passwd.add_argument("name", metavar="NAME", help="the account, which is the player's name")
    passwd.add_argument("--delete", action="store_true", help="delete the account instead")
    passwd.add_argument(
        "--log2-n",
        type=whole(LEAST_LOG2_N, MOST_LOG2_N),
        default=ServerConfig().scrypt_log2_n,
        metavar="N",
        help="what each check costs, as a power of two, 10 to 17 (default %(default)s, some 30 ms)",
    )
    passwd.set_defaults(run=run_passwd)

    ticket = commands.add_parser(
        "ticket",
        help="make a ticket, or the keys for tickets",
        description="Make a ticket that lets one player join a server once, or the pair of keys: "
        "the private one makes tickets, the public one is for 'twistd gamenet --auth ticket:'.",
    )
    what = ticket.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--make-key",
        type=named("a file"),
        metavar="FILE",
        help="write new keys to FILE and FILE.pub",
    )
    what.add_argument(
        "--key", type=named("a file"), metavar="FILE", help="the private key to sign a ticket with"
    )
    ticket.add_argument("--account", metavar="NAME", help="whom the ticket is for")
    ticket.add_argument("--name", default="", help="the player's name (default: the account)")
    ticket.add_argument("--audience", help="what the server is called: its --auth, or game_name")
    ticket.add_argument(
        "--seconds",
        type=seconds(most=MOST_LIFE_SECONDS),
        default=TICKET_SECONDS,
        metavar="S",
        help="how long it is good (default %(default)g, the most that servers take by default)",
    )
    ticket.set_defaults(run=run_ticket)


def run_passwd(arguments: argparse.Namespace) -> int:
    """``gamenet passwd``.

    :raises ConfigError: if the account cannot be set or deleted.
    """
    name = checked_name(arguments.name)
    if name is None:
        raise ConfigError(
            "NAME",
            f"{arguments.name[:64]!r} is not a name; names have 1 to 32 letters, digits, dots, "
            "dashes or underscores",
        )
    check(arguments.file)
    if arguments.delete:
        if not change(arguments.file, name, None):
            raise ConfigError("NAME", f"there is no account {name} in {arguments.file}")
        said = f"deleted {name}"
    else:
        try:
            record = new_record(name, _ask(name), arguments.log2_n)
        except ValueError as error:
            raise ConfigError("", str(error)) from None
        known = change(arguments.file, name, record)
        said = f"changed the password of {name}" if known else f"added {name}"
    print(said, file=sys.stderr)
    return 0


def _ask(name: str) -> bytes:
    """:raises ValueError: if no password came."""
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(MAX_PASSWORD_BYTES + 3)
        if not line:
            raise ValueError(
                "no password came on standard input; run it at a terminal, which asks for one, "
                "or give it one line"
            )
        return line.removesuffix(b"\n").removesuffix(b"\r")
    password = getpass.getpass(f"Password of {name}: ")
    if getpass.getpass("Once more: ") != password:
        raise ValueError("these are two different passwords; nothing is changed")
    return password.encode(errors="surrogateescape")


def run_ticket(arguments: argparse.Namespace) -> int:
    """``gamenet ticket``.

    :raises ConfigError: if the key or the ticket cannot be made.
    """
    if arguments.make_key is not None:
        for name in ("account", "name", "audience"):
            if getattr(arguments, name):
                raise ConfigError("make-key", f"makes keys only; leave --{name} out")
        public = make_key(arguments.make_key)
        print(
            f"wrote {arguments.make_key}, which makes tickets: keep it where they are made\n"
            f"wrote {public}, for servers: --auth ticket:{public}:AUDIENCE",
            file=sys.stderr,
        )
        return 0
    for name in ("account", "audience"):
        if not getattr(arguments, name):
            raise ConfigError(name, f"a ticket needs it: --{name} ...")
    key = read_private_key(arguments.key)
    issuer = TicketIssuer(key, arguments.audience, arguments.seconds)
    print(issuer.issue(arguments.account, arguments.name).decode())
    return 0

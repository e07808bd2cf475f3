"""The ``gamenet`` command: playing and loading servers, and making certificates and identities.

Layer 4. Runs on: the main thread.

Results go to standard output, everything else to standard error. The exit status is 0 when all
went well, 1 for anything else, 130 after Ctrl-C; a mistake of the person who typed the command is
one line.
"""

from __future__ import annotations

import argparse
import contextlib
import getpass
import os
import signal
import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from gamenet._version import __version__
from gamenet.certificates import add_command as add_cert
from gamenet.cli_completion import add_completion
from gamenet.cli_discover import add_discover
from gamenet.cli_doctor import add_doctor, run_doctor
from gamenet.cli_load import add_load, run_load
from gamenet.cli_network import add_proxy, add_simulation, profile_of, run_proxy
from gamenet.cli_play import add_play
from gamenet.cli_play import run as run_play
from gamenet.cli_serve import add_serve
from gamenet.cli_top import add_top
from gamenet.cli_top import run as run_top
from gamenet.cli_trust import add_commands
from gamenet.cli_values import named, shown
from gamenet.errors import GamenetError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

MAX_MESSAGE_CHARACTERS: Final = 400
MAX_SECRET_BYTES: Final = 4_096
"""Of a line with a password or a ticket; the protocol takes half of that."""

_ENDING_SIGNALS: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


class UsageError(GamenetError):
    """The command line cannot be understood; the text says why."""


class Interrupt:
    """Notes that the person at the terminal, or the system, wants the command to end.

    While it is entered, Ctrl-C and its like only set ``requested``; the command looks at it many
    times a second and ends in good order. Outside the main thread, where Python has no signals,
    it stays False.
    """

    def __init__(self) -> None:
        self.requested = False
        self.status = 128 + signal.SIGINT
        """The exit status that tells which signal it was."""
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for name in _ENDING_SIGNALS:
            number = getattr(signal, name, None)
            if number is None:
                continue
            if name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup: meant to outlive its terminal
            with contextlib.suppress(ValueError):
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        for signal_number, before in self._before.items():
            signal.signal(signal_number, before)  # type: ignore[arg-type]

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.status = 128 + number

    def __call__(self) -> bool:
        return self.requested


class _Parser(argparse.ArgumentParser):
    """Refuses with an exception instead of ending the process with its own status."""

    def error(self, message: str) -> NoReturn:
        if len(message) > MAX_MESSAGE_CHARACTERS:
            message = f"{message[:MAX_MESSAGE_CHARACTERS]}..."
        raise UsageError(f"{message} (see {self.prog} --help)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line *argv*, by default the process's own.

    :returns: the exit status.
    """
    command = "gamenet"
    _open_closed_streams()
    try:
        try:
            arguments, more = _parser().parse_known_args(argv)
        except SystemExit as done:  # --help and --version have printed what they are for
            return int(done.code or 0)
        command = f"gamenet {arguments.command}"
        if more:
            raise UsageError(f"it takes no {shown(more[0])} (see {command} --help)")
        if arguments.command in ("chat", "demo", "bots", "play", "proxy", "top", "doctor"):
            return _play(arguments)
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except GamenetError as error:
        print(f"{command}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if not isinstance(error, BrokenPipeError):  # whoever read our output may go when it likes
            print(f"{command}: {error.strerror or error}", file=sys.stderr)
        # Python flushes standard output once more at exit: let that succeed.
        with contextlib.suppress(OSError, ValueError), open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), sys.stdout.fileno())
        return 1


def _open_closed_streams() -> None:
    """Python has None for a stream that was closed at the start (``>&-``): make it an empty one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="gamenet",
        description="Play, load and try out gamenet servers, and make what they need to know "
        "each other. The server itself is 'twistd -n gamenet'.",
    )
    parser.add_argument("--version", action="version", version=f"gamenet {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)

    add_load(commands, _add_address)

    chat = commands.add_parser(
        "chat",
        help="talk on a server from a terminal",
        description="Talk on a server: type a line to say it. Ctrl-D, Ctrl-C and /quit leave.",
    )
    _add_address(chat)
    _add_who(chat)
    add_simulation(chat)

    add_play(commands)
    add_top(commands)
    add_doctor(commands, _add_address, _add_who)
    add_discover(commands)
    add_serve(commands)
    add_proxy(commands)
    add_cert(commands)
    add_commands(commands)
    add_completion(commands, parser)
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        help="HOST[:7777], [IPV6]:PORT or gamenet://HOST:PORT#sha256=FINGERPRINT",
    )
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument(
        "--ca",
        type=named("a file"),
        metavar="FILE",
        help="authorities to trust instead of the system's",
    )
    trust.add_argument(
        "--insecure", action="store_true", help="join without encryption; the server must allow it"
    )


def _add_who(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user", default="", metavar="NAME", help="who to be (default: the server names a guest)"
    )
    proof = parser.add_mutually_exclusive_group()
    proof.add_argument("--password", action="store_true", help="ask for the account's password")
    proof.add_argument(
        "--password-file",
        type=named("a file"),
        metavar="FILE",
        help="read the password from a file",
    )
    proof.add_argument(
        "--ticket-file", type=named("a file"), metavar="FILE", help="join with the ticket in a file"
    )


def _play(arguments: argparse.Namespace) -> int:
    """The commands that go on until somebody ends them."""
    # Before signals are only noted: whoever is asked for a password may leave by Ctrl-C.
    proof = _proof(arguments) if arguments.command in ("chat", "doctor") else {}
    with Interrupt() as interrupt:
        if arguments.command == "chat":
            return _chat(arguments, proof, interrupt)
        if arguments.command == "doctor":
            return run_doctor(arguments, proof, interrupt)
        if arguments.command == "proxy":
            return run_proxy(arguments, interrupt)
        if arguments.command == "play":
            run_play(arguments, interrupt)
            return interrupt.status if interrupt.requested else 0
        if arguments.command == "top":
            run_top(arguments, interrupt)
            return interrupt.status if interrupt.requested else 0
        return run_load(arguments, interrupt)


def _proof(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is to prove who a player is, as ``GameClient`` takes it."""
    if arguments.password:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", getpass.GetPassWarning)
                return {"password": getpass.getpass()}
        except (EOFError, getpass.GetPassWarning):
            raise UsageError(
                "there is no terminal to ask for the password; give --password-file FILE"
            ) from None
    if arguments.password_file:
        try:
            return {"password": _first_line(arguments.password_file).decode()}
        except UnicodeDecodeError:
            raise UsageError(
                f"{arguments.password_file} is not text in UTF-8; name another file, or save it so"
            ) from None
    if arguments.ticket_file:
        return {"ticket": _first_line(arguments.ticket_file)}
    return {}


def _first_line(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            line = file.readline(MAX_SECRET_BYTES).rstrip(b"\r\n")
    except OSError as error:
        raise UsageError(
            f"cannot read {path}: {error.strerror}; name a file that you may read"
        ) from None
    if not line:
        raise UsageError(f"the first line of {path} is empty; write the password or ticket there")
    return line


def _chat(arguments: argparse.Namespace, proof: dict[str, Any], interrupt: Interrupt) -> int:
    """``gamenet chat``."""
    from gamenet.chat import run_chat

    return run_chat(
        arguments.address,
        interrupt,
        user=arguments.user,
        insecure=arguments.insecure,
        ca_file=arguments.ca or "",
        profile=profile_of(arguments),
        sim_seed=arguments.sim_seed,
        **proof,
    )

"""``gamenet completion``: a script that has a shell complete the command line.

Layer 4. Runs on: the main thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from gamenet.errors import ConfigError

if TYPE_CHECKING:
    import argparse

SHELLS: Final = ("bash", "zsh", "tcsh")


def add_completion(commands: Any, parser: argparse.ArgumentParser) -> None:
    """Add the command.

    :param parser: the whole command line, which is what is completed.
    """
    completion = commands.add_parser(
        "completion",
        help="a script that has your shell complete gamenet's command line",
        description="Print a script for a shell. For bash, once: gamenet completion bash > "
        "~/.local/share/bash-completion/completions/gamenet",
    )
    completion.add_argument("shell", choices=SHELLS, help="whose script it is to be")
    completion.set_defaults(run=lambda arguments: run_completion(arguments, parser))


def run_completion(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Print the script.

    :raises ConfigError: without the library that writes it.
    """
    try:
        import shtab
    except ImportError:
        raise ConfigError(
            "completion", "needs shtab, which is not installed: pip install gamenet[completion]"
        ) from None
    print(shtab.complete(parser, shell=arguments.shell))
    return 0

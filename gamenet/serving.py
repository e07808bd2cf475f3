"""The daemon's service in the foreground, without ``twistd``.

Layer 4. Runs on: the main thread.

For systems where ``twistd`` cannot be a daemon anyway, such as Windows, and for programs that are
frozen into one file, where plug-ins are not found. The flags are those of ``twistd gamenet``; the
log goes to standard error.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from gamenet import tap
from gamenet.daemon import exit_status
from gamenet.log_format import observer

if TYPE_CHECKING:
    from collections.abc import Sequence


class ServeOptions(tap.Options):
    """The command line of ``gamenet serve``: that of ``twistd gamenet``, with the game in front."""

    longdesc = tap.Options.longdesc.replace("twistd -n gamenet", "gamenet serve")

    def getSynopsis(self) -> str:
        """Called by Twisted for the first line of ``--help``."""
        return (
            "Usage: gamenet serve [MODULE:ATTRIBUTE] --cert FILE --key FILE | --insecure [options]"
        )

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Twisted's own would stop at the first word that is no flag."""
        given = list(options or ())
        if given and not given[0].startswith("-"):
            given[:1] = ["--game", given[0]]
        super().parseOptions(given)

    def parseArgs(self, *arguments: str) -> None:
        """The game may stand at the end as well."""
        if len(arguments) == 1 and self["game"] == tap.DEMO:
            self["game"] = arguments[0]
        else:
            super().parseArgs(*arguments)


def serve(arguments: Sequence[str]) -> int:
    """Serve until a signal, the game or a drain ends it.

    :param arguments: the command line after ``gamenet serve``.
    :returns: the exit status; a signal ends the process as it does under ``twistd``.
    """
    from twisted.internet import reactor

    try:
        options = ServeOptions()
        options.parseOptions(arguments)
        _run(options, reactor)
    except SystemExit as end:  # --help has been printed, or one line has said what is wrong
        return int(end.code or 0)
    return exit_status()


def _run(options: ServeOptions, reactor: Any) -> None:
    from twisted.logger import globalLogBeginner

    service = tap.makeService(options, reactor)
    # Before the log begins, so that a port in use is one line on the terminal and no more.
    service.privilegedStartService()
    globalLogBeginner.beginLoggingTo([observer(options.plan.log_format or "text", sys.stderr)])
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    number = getattr(reactor, "_exitSignal", None)
    if number is not None:
        _end_by(number)


def _end_by(number: int) -> None:
    """End as a process does that the signal has killed, for whoever waits for it."""
    if os.name == "nt":
        raise SystemExit(128 + number)
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)

"""The ``gamenet`` command: what it understands, and what it says when it does not."""

from __future__ import annotations

import contextlib
import io
import signal

from twisted.trial.unittest import SynchronousTestCase

from gamenet._version import __version__
from gamenet.cli import Interrupt, main


class CommandLineTests(SynchronousTestCase):
    """The command line."""

    def gamenet(self, *argv: str) -> tuple[int, str, str]:
        """The exit status, and what was said on standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(argv)
        return status, out.getvalue(), err.getvalue()

    def test_version(self) -> None:
        self.assertEqual(self.gamenet("--version"), (0, f"gamenet {__version__}\n", ""))

    def test_helpNamesTheCommands(self) -> None:
        status, out, err = self.gamenet("--help")
        self.assertEqual((status, err), (0, ""))
        for command in ("demo", "bots", "chat"):
            self.assertIn(command, out)
            self.assertEqual(self.gamenet(command, "--help")[0], 0)

    def test_aMistakeIsOneReadableLine(self) -> None:
        for argv, expected in (
            ((), "required: COMMAND"),
            (("fly",), "fly"),
            (("bots",), "ADDRESS"),
            (("chat",), "ADDRESS"),
            (("demo", "--bots", "0"), "'0' is not a whole number from 1 to 10000"),
            (("demo", "--bots", "many"), "'many'"),
            (("demo", "--seconds", "-1"), "'-1' is not a number of seconds above 0"),
            (("demo", "--seconds", "nan"), "'nan'"),
            (("demo", "--fast"), "--fast"),
            (("bots", "no such host:7777", "--insecure"), "not an address"),
            (("bots", "localhost:99999", "--insecure"), "port"),
            (("chat", "localhost:99999", "--insecure"), "port"),
        ):
            status, out, err = self.gamenet(*argv)
            self.assertEqual((status, out), (1, ""), argv)
            self.assertTrue(err.startswith("gamenet"), err)
            self.assertIn(expected, err)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertTrue(err.endswith("\n"))


class InterruptTests(SynchronousTestCase):
    """Ctrl-C ends a command in good order."""

    def test_itIsNotedAndTheOldHandlerComesBack(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with Interrupt() as interrupt:
            self.assertFalse(interrupt())
            signal.raise_signal(signal.SIGINT)
            self.assertTrue(interrupt())
            self.assertEqual(interrupt.status, 130)
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_theStatusTellsTheSignal(self) -> None:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
        self.assertEqual(interrupt.status, 143)

"""Ctrl-C while the ``gamenet`` command is being loaded."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

import gamenet_command
from tests.test_packaging import setup_arguments

ROOT = Path(__file__).resolve().parent.parent
HANGS_SECONDS = 120
PROGRAM = """
    import signal, sys

    handler, where = sys.argv.pop(1), sys.argv.pop(1)
    signal.signal(signal.SIGINT, getattr(signal, handler))

    class Interrupter:
        def find_spec(self, name, path=None, target=None):
            if name == where:
                try:
                    signal.raise_signal(signal.SIGINT)
                except BaseException:
                    pass  # as a module may do that tries what there is

    sys.meta_path.insert(0, Interrupter())
    from gamenet_command import main

    sys.exit(main())
"""


def interrupted(where: str, handler: str = "default_int_handler") -> tuple[int, str, str]:
    """Run ``gamenet --version``, with a Ctrl-C as soon as this module is asked for.

    :returns: its exit status, and what it printed on both streams.
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), handler, where, "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


class LoadingTests(SynchronousTestCase):
    def test_ctrl_c_ends_it_without_a_word(self) -> None:
        for where in ("gamenet", "twisted.internet.defer", "gamenet.cli_trust"):
            self.assertEqual(interrupted(where), (130, "", ""), where)

    def test_between_loading_and_running_it_is_no_traceback_either(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with patch("gamenet.cli.main", side_effect=KeyboardInterrupt):
            self.assertEqual(gamenet_command.main(), 130)
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_a_job_in_the_background_that_ignores_it_goes_on(self) -> None:
        status, out, err = interrupted("gamenet.cli", "SIG_IGN")
        self.assertEqual((status, out[:8], err), (0, "gamenet ", ""))

    def test_it_is_what_is_installed(self) -> None:
        given = setup_arguments()
        self.assertEqual(
            given["entry_points"]["console_scripts"], ["gamenet = gamenet_command:main"]
        )
        self.assertIn("gamenet_command", given["py_modules"])

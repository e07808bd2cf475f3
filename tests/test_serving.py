"""The command line of ``gamenet serve``."""

from __future__ import annotations

import os
import signal
from typing import Any

from gamenet import cli_serve, serving, tap
from gamenet.cli import main
from tests.test_tap import CommandLineTestCase


class ServeOptionsTests(CommandLineTestCase):
    def settle(self, *arguments: str) -> Any:
        options = serving.ServeOptions()
        options.parseOptions(["--insecure", "--app-dir", str(self.folder), *arguments])
        return options.plan

    def test_theGameStandsInFrontOrBehind(self) -> None:
        options = serving.ServeOptions()
        options.parseOptions(["tag:main", "--insecure", "--app-dir", str(self.folder)])
        self.assertEqual(options.plan.config.game_name, "tag/1")
        self.assertEqual(self.settle("tag:main").config.game_name, "tag/1")
        self.assertEqual(self.settle("--game", "tag:main").config.game_name, "tag/1")

    def test_withoutOneItIsTheDemo(self) -> None:
        self.assertEqual(self.settle().path, tap.DEMO)

    def test_moreThanOneIsRefused(self) -> None:
        self.assertRaises(SystemExit, self.settle, "tag:main", "tag:Tag")
        self.assertIn("unexpected argument", self.err.getvalue())

    def test_itHasEveryFlagOfTheDaemon(self) -> None:
        self.assertEqual(set(serving.ServeOptions().longOpt), set(tap.Options().longOpt))
        config = self.settle("--max-players", "3", "--drain-seconds", "4").config
        self.assertEqual((config.max_players, config.drain_seconds), (3, 4.0))

    def test_helpIsItsOwn(self) -> None:
        self.assertEqual(main(["serve", "--help"]), 0)
        shown = " ".join(self.out.getvalue().split())
        self.assertTrue(shown.startswith("Usage: gamenet serve [MODULE:ATTRIBUTE]"), shown)
        self.assertIn("gamenet serve --insecure", shown)
        self.assertNotIn("twistd", shown)

    def test_theVersionIsOurs(self) -> None:
        self.assertEqual(main(["serve", "--version"]), 0)
        self.assertTrue(self.out.getvalue().startswith("gamenet "))

    def test_aMistakeIsOneLineAndStatusOne(self) -> None:
        for arguments, said in (
            (["tag"], "'tag' is not module:attribute"),
            (["--no-such-flag"], "--no-such-flag"),
            (["--insecure", "--config", "absent.toml"], "cannot read"),
            ([], "gamenet cert"),
        ):
            self.err.truncate(self.err.seek(0))
            self.assertEqual(main(["serve", *arguments]), 1)
            self.assertEqual(self.err.getvalue().count("\n"), 1)
            self.assertIn(said, self.err.getvalue())

    def test_whoOnlyPlaysDoesNotLoadAServer(self) -> None:
        self.assertFalse(hasattr(cli_serve, "serving"))
        self.assertFalse(hasattr(cli_serve, "serve"))


class EndTests(CommandLineTestCase):
    def test_aSignalIsPassedOn(self) -> None:
        sent: list[tuple[int, int]] = []
        self.patch(os, "kill", lambda *call: sent.append(call))
        self.addCleanup(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
        serving._end_by(signal.SIGTERM)
        self.assertEqual(sent, [(os.getpid(), signal.SIGTERM)])
        self.assertIs(signal.getsignal(signal.SIGTERM), signal.SIG_DFL)

    def test_onWindowsItIsTheExitStatus(self) -> None:
        self.patch(serving.os, "name", "nt")
        ended = self.assertRaises(SystemExit, serving._end_by, 2)
        self.patch(serving.os, "name", "posix")
        self.assertEqual(ended.code, 130)

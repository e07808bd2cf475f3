"""The log as lines of JSON, and where ``--log-format`` is heard."""

from __future__ import annotations

import io
import json
import math
import os
import signal
import sys
from typing import Any

from twisted.application.service import Application
from twisted.logger import ILogObserver, Logger, LogLevel, LogPublisher
from twisted.python import log as older_log
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from gamenet import log_format, tap
from gamenet.errors import ConfigError, DisconnectReason
from gamenet.log_format import choose, json_line, observer, twistd_stream
from tests.test_daemon import DaemonTestCase

HOSTILE = (
    'ada", "level": "error',
    "two\nlines\r\nand more",
    "\x00\x1b[2J\x7f\x85",
    "\u2028\u2029\u202e\ufeff",
    "{name} {0} %s %(x)s",
    "\ud800 half of a pair",
    "'\\'; \\\" </script>",
    "🎲" * 10,
)


class LineTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.out = io.StringIO()
        publisher = LogPublisher(observer("json", self.out))
        self.log = Logger("gamenet.test", observer=publisher)

    def lines(self) -> list[dict[str, Any]]:
        """Every line, as JSON has it."""
        text = self.out.getvalue()
        self.assertTrue(text.isascii())
        self.assertEqual(text.count("\n"), len(text.splitlines()))
        return [json.loads(line, parse_constant=self.fail) for line in text.splitlines()]

    def test_anEventIsOneObjectOnOneLine(self) -> None:
        self.log.info("{count} players in {place}", count=3, place="the hall", share=0.5, none=None)
        (line,) = self.lines()
        self.assertRegex(line.pop("time"), r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertEqual(
            line,
            {
                "level": "info",
                "namespace": "gamenet.test",
                "message": "3 players in the hall",
                "count": 3,
                "place": "the hall",
                "share": 0.5,
                "none": None,
            },
        )

    def test_theTimeIsThatOfTheEventInUtc(self) -> None:
        line = json.loads(json_line({"log_time": 1_000_000_000.25, "log_format": "x"}))
        self.assertEqual(line["time"], "2001-09-09T01:46:40.250Z")

    def test_levelsHaveTheirNames(self) -> None:
        for level in ("debug", "info", "warn", "error", "critical"):
            getattr(self.log, level)("x")
        self.assertEqual(
            [line["level"] for line in self.lines()], ["debug", "info", "warn", "error", "critical"]
        )

    def test_hostileNamesStayText(self) -> None:
        for name in HOSTILE:
            self.log.info("login of {name} failed: {name!r}", name=name)
        lines = self.lines()
        self.assertEqual([line["name"] for line in lines], list(HOSTILE))
        for line, name in zip(lines, HOSTILE, strict=True):
            self.assertEqual(line["message"], f"login of {name} failed: {name!r}")
            self.assertEqual(line["level"], "info")

    def test_aHostileKeyStaysAKey(self) -> None:
        self.log.info("x", **{'a": 1, "b': 2, "two\nlines": 3})
        (line,) = self.lines()
        self.assertEqual((line['a": 1, "b'], line["two\nlines"]), (2, 3))

    def test_anEventCannotChangeWhatTheKeysMean(self) -> None:
        theirs = {name: "x" for name in ("level", "message", "time", "namespace", "traceback")}
        ours = {"log_format": "y", "log_level": LogLevel.warn, "log_namespace": "gamenet.test"}
        line = json.loads(json_line({**theirs, **ours}))
        self.assertEqual((line["level"], line["message"]), ("warn", "y"))
        self.assertEqual(line["namespace"], "gamenet.test")
        self.assertNotEqual(line["time"], "x")
        self.assertNotIn("traceback", line)

    def test_whatJsonDoesNotHaveIsLeftOut(self) -> None:
        self.log.info(
            "{what}", what=object, nan=math.nan, far=-math.inf, data=b"x", many=[1], big=1 << 70
        )
        (line,) = self.lines()
        self.assertEqual(set(line), {"time", "level", "namespace", "message"})

    def test_reasonsHaveTheirNames(self) -> None:
        self.log.info("x", reason=DisconnectReason.DRAINED)
        self.assertEqual(self.lines()[0]["reason"], "DRAINED")

    def test_aFailureHasItsTracebackInAString(self) -> None:
        try:
            raise RuntimeError("the sky\nfell")
        except RuntimeError:
            self.log.failure("the game failed")
        (line,) = self.lines()
        self.assertEqual((line["level"], line["message"]), ("critical", "the game failed"))
        self.assertIn("RuntimeError: the sky\nfell", line["traceback"])
        self.assertIn("test_aFailureHasItsTracebackInAString", line["traceback"])

    def test_whatCannotBeFormattedIsALineAllTheSame(self) -> None:
        class Broken:
            def __repr__(self) -> str:
                raise RuntimeError("no words")

        self.log.info("{a.b.c} {missing}", a=Broken())
        self.log.failure("x", Failure(Exception(Broken())))
        self.assertEqual(len(self.lines()), 2)

    def test_eventsOfTheOlderLogAreLinesToo(self) -> None:
        events: list[Any] = []
        older_log.addObserver(events.append)
        self.addCleanup(older_log.removeObserver, events.append)
        older_log.msg("Port", 7, "Closed", peer="ada\n")
        line = json.loads(json_line(events[-1]))
        self.assertEqual(line["message"], "Port 7 Closed")
        self.assertEqual(set(line), {"time", "level", "namespace", "message", "peer"})

    def test_textIsAsTwistedHasIt(self) -> None:
        out = io.StringIO()
        observer("text", out)(
            {"log_time": 0.0, "log_format": "x", "log_level": LogLevel.info, "log_namespace": "n"}
        )
        self.assertRegex(out.getvalue(), r"^\S+ \[n#info\] x\n$")


class ChoiceTests(DaemonTestCase):
    """``--log-format``, under ``twistd`` and ``twist``."""

    def setUp(self) -> None:
        super().setUp()
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        test = self

        class Closed(LogFile):
            def __init__(self, *args: Any, **named: Any) -> None:
                super().__init__(*args, **named)
                test.addCleanup(self.close)

        self.patch(log_format, "LogFile", Closed)
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))

    def chosen(self, *arguments: str, **twistd: object) -> Any:
        """What a ``twistd`` with these flags finds to log with."""
        made = self.make(*arguments, **{"nodaemon": True, **twistd})
        application = Application("gamenet")
        made.setServiceParent(application)
        self.addCleanup(made.disownServiceParent)
        return application.getComponent(ILogObserver, None)  # type: ignore[attr-defined]

    def say(self, found: Any) -> None:
        Logger("gamenet.test", observer=LogPublisher(found)).info("{a}", a="b\n")

    def test_withoutTheFlagItIsTwistds(self) -> None:
        self.assertIsNone(self.chosen())
        self.assertIsNone(self.chosen("--log-format", "text"))

    def test_inTheForegroundJsonGoesToStandardOutput(self) -> None:
        for logfile in (None, "-"):
            found = self.chosen("--log-format", "json", logfile=logfile)
            self.out.truncate(self.out.seek(0))
            self.say(found)
            self.assertEqual(json.loads(self.out.getvalue())["a"], "b\n")

    def test_orToTheFileThatTwistdIsGiven(self) -> None:
        path = self.folder / "log"
        self.say(self.chosen("--log-format", "json", logfile=str(path)))
        self.assertEqual(json.loads(path.read_text())["message"], "b\n")

    def test_inTheBackgroundToTheFileThatTwistdWouldTake(self) -> None:
        self.say(self.chosen("--log-format", "json", nodaemon=False))
        self.assertEqual(json.loads((self.folder / "twistd.log").read_text())["a"], "b\n")

    def test_whereItCannotGoIsOneLine(self) -> None:
        for twistd, said in (
            ({"logfile": "-", "nodaemon": False}, "a daemon has no standard output"),
            ({"logfile": str(self.folder / "absent" / "log")}, "No such file or directory"),
        ):
            self.err.truncate(self.err.seek(0))
            ended = self.assertRaises(SystemExit, self.chosen, "--log-format", "json", **twistd)
            self.assertEqual(ended.code, 1)
            self.assertIn(said, self.err.getvalue())
            self.assertEqual(self.err.getvalue().count("\n"), 1)

    def test_otherFormatsAreRefused(self) -> None:
        self.assertIn(
            "log_format: must be text or json, not 'xml'", self.refusal("--log-format=xml")
        )

    def test_loggersWithAFormatOfTheirOwnAreRefused(self) -> None:
        for name in ("logger", "syslog"):
            error = self.assertRaises(ConfigError, choose, "json", {name: "something"})
            self.assertIn(f"--{name}", str(error))
        self.assertIsNone(choose(None, {"syslog": True}))

    def test_twistIsGivenItBeforeItBegins(self) -> None:
        options = tap.Options()
        options.parent = usage.Options()
        options.parent["fileLogObserverFactory"] = None
        options.parseOptions(["--insecure", "--log-format", "json"])
        out = io.StringIO()
        self.say(options.parent["fileLogObserverFactory"](out))
        self.assertEqual(json.loads(out.getvalue())["a"], "b\n")

    def test_theStreamIsStandardOutputAsItWasThen(self) -> None:
        self.assertIs(twistd_stream({"nodaemon": True}), sys.stdout)
        self.assertIs(twistd_stream({"logfile": None}), sys.stdout, "Windows has no such flag")

"""The life of the daemon's process, without a process."""

from __future__ import annotations

import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.python import usage

from gamenet import daemon, tap
from gamenet.errors import ConfigError, ListenFailed
from gamenet.game import Game
from tests.test_tap import CommandLineTestCase

if TYPE_CHECKING:
    from gamenet.config import ServerConfig


class Server(Service):
    """Stands for the game server's service."""

    address = "127.0.0.1:7777"
    problem: ClassVar[Exception | None] = None
    opened = 0
    secure = False
    fingerprint = "ab" * 32
    bridge = None
    thread = None
    read: ClassVar[list[object]] = []
    """What reading the certificate again comes to, each time."""

    def __init__(self, config: ServerConfig, game: Any, *, portal: Any, reactor: Any) -> None:
        self.given = (config, game, portal, reactor)
        self.config = config
        self.host = self
        self.now = Clock().seconds
        self.turn = SimpleNamespace(listener=None)
        self.stopping: Deferred[None] = Deferred()
        self.on_game_end: Any = None
        self.on_drained: Any = None
        self.draining = False
        self.drain_seconds_left = 0.0
        self.noted: list[dict[str, Any]] = []
        self.note = lambda kind, **fields: self.noted.append({"kind": kind, **fields})

    def privilegedStartService(self) -> None:
        self.opened += 1
        if self.problem is not None:
            raise self.problem

    def stopService(self) -> Deferred[None]:
        Service.stopService(self)
        return succeed(None) if self.stopping.called else self.stopping

    def game_stats(self) -> dict[str, float]:
        return {"rate": 1.0}

    def failed(self, text: str) -> None:
        raise AssertionError(text)

    def reconfigure(self, config: ServerConfig) -> None:
        self.config = config

    def drain(self, seconds: float | None, text: str) -> bool:
        began = bool(self.running) and not self.draining
        if began:
            self.drained_for = (seconds, text)
            self.draining, self.drain_seconds_left = True, seconds or 300.0
        return began

    def reload(self) -> bool:
        result = self.read.pop(0)
        if isinstance(result, Exception):
            raise result
        return bool(result)


class Reactor(MemoryReactorClock):
    """A reactor with a clock of its own, that can refuse to listen and to stop."""

    problem: Exception | None = None
    stop_problem: Exception | None = None

    def listenTCP(self, port: int, *args: Any, **named: Any) -> Any:
        if self.problem is not None:
            raise self.problem
        return super().listenTCP(port, *args, **named)

    def callFromThread(self, call: Any, *args: Any) -> None:
        self.callLater(0, call, *args)

    def stop(self) -> None:
        if self.stop_problem is not None:
            raise self.stop_problem
        super().stop()


class DaemonTestCase(CommandLineTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.patch(daemon, "GameServerService", Server)
        self.patch(daemon, "_exit_status", 0)
        self.reactor = Reactor()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def make(self, *arguments: str, **twistd: object) -> Any:
        options = self.parse(*arguments)
        if twistd:
            options.parent = usage.Options()
            options.parent.update(twistd)
        made = tap.makeService(options, self.reactor)
        self.addCleanup(made._error_counter.stop)
        self.written: list[str] = []
        self.patch(made._flight, "write_down", self.written.append)
        self.addCleanup(globalLogPublisher.removeObserver, made._flight)
        return made

    def logged(self) -> list[str]:
        return [
            event["log_format"].format(**event)
            for event in self.events
            if event["log_namespace"].startswith("gamenet")
        ]


class MakeServiceTests(DaemonTestCase):
    def test_theServerGetsWhatWasSettled(self) -> None:
        made = self.make("--game", "tag:Tag", "--max-players", "4")
        self.assertIsInstance(made, MultiService)
        config, game, portal, reactor = made.server.given
        self.assertEqual(config.max_players, 4)
        self.assertTrue(issubclass(game, Game))
        self.assertEqual(len(portal.checkers), 2)
        self.assertIs(reactor, self.reactor)

    def test_aReactorWithTheTimeOfDayGetsAClockThatCannotJump(self) -> None:
        self.reactor.advance(time.time())
        self.make()
        self.assertIs(self.reactor.seconds, time.monotonic)

    def test_aReactorWithAnotherClockKeepsIt(self) -> None:
        self.make()
        self.assertEqual(self.reactor.seconds(), 0)

    def test_aReactorWithTimersKeepsItsClock(self) -> None:
        self.reactor.advance(time.time())
        self.reactor.callLater(1, lambda: None)
        self.make()
        self.assertIsNot(self.reactor.seconds, time.monotonic)

    def test_theClockStaysIfTheConfigSaysSo(self) -> None:
        self.reactor.advance(time.time())
        self.make("--config", str(self.write("c.toml", "monotonic_clock = false\n")))
        self.assertIsNot(self.reactor.seconds, time.monotonic)


class StartTests(DaemonTestCase):
    def test_oneLineSaysWhenAndWhereItListens(self) -> None:
        made = self.make("--status", "tcp:9777")
        made.privilegedStartService()
        made.startService()
        (port,) = self.reactor.tcpServers
        self.assertEqual((port[0], port[3]), (9777, "127.0.0.1"))
        ready = [line for line in self.logged() if line.startswith("ready:")]
        self.assertEqual(len(ready), 1)
        self.assertTrue(ready[0].startswith("ready: address=127.0.0.1:7777 status="))

    def test_thePageOffersWhatTheDaemonCanDo(self) -> None:
        path = self.write("token", "x" * 20)
        path.chmod(0o600)
        made = self.make("--status", "tcp:9777", "--status-token", str(path))
        given: list[Any] = []
        self.patch(daemon, "status_site", lambda *_, **named: given.append(named))
        for can in (False, True):
            made.drain = made.dump = print if can else None  # type: ignore[attr-defined]
            made._status.privilegedStartService()
        self.assertEqual([one["access"].token for one in given], [b"x" * 20] * 2)
        self.assertEqual(
            [(one["drain"], one["dump"]) for one in given], [(None, None), (print, print)]
        )

    def test_withoutAStatusSiteTheLineNamesNone(self) -> None:
        made = self.make()
        made.privilegedStartService()
        made.startService()
        self.assertIn("ready: address=127.0.0.1:7777", self.logged())

    def test_twistStartsServicesWithoutPrivileges(self) -> None:
        made = self.make("--status", "9777")
        made.startService()
        self.assertEqual(made.server.opened, 1)
        self.assertEqual(len(self.reactor.tcpServers), 1)


class HangupTests(DaemonTestCase):
    """SIGHUP reads the certificate again."""

    def setUp(self) -> None:
        super().setUp()
        self.before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, self.before)

    def start(self, *, secure: bool) -> Any:
        self.patch(Server, "secure", secure)
        made = self.make()
        with patch.dict(sys.modules, {"twisted.internet.reactor": self.reactor}):
            made.startService()
        return made

    def hang_up(self, *results: object) -> list[str]:
        """What the log says of signals that have these results."""
        self.patch(Server, "read", list(results))
        self.events.clear()
        for _ in results:
            signal.raise_signal(signal.SIGHUP)
            self.reactor.advance(0)
        return self.logged()

    def test_theCertificateIsReadAgain(self) -> None:
        self.start(secure=True)
        (line,) = self.hang_up(True)
        self.assertEqual(line, f"the certificate was read again: sha256={'ab' * 32}")

    def test_whatCannotBeUsedIsOneLineOfError(self) -> None:
        made = self.start(secure=True)
        (line,) = self.hang_up(ConfigError("key_file", "it is gone"))
        self.assertIn("the certificate in use stays", line)
        self.assertIn("key_file: it is gone", line)
        self.assertEqual(made.errors, 1)

    def test_itCanBeTriedAgain(self) -> None:
        self.start(secure=True)
        lines = self.hang_up(ConfigError("key_file", "it is gone"), True)
        self.assertEqual(len(lines), 2)
        self.assertIn("was read again", lines[1])

    def test_certificatesOfOthersAreTheirsToRead(self) -> None:
        self.start(secure=True)
        (line,) = self.hang_up(False)
        self.assertIn("itself", line)

    def test_withoutTlsItDoesNoHarm(self) -> None:
        daemon = self.start(secure=False)
        self.assertIsNot(signal.getsignal(signal.SIGHUP), self.before)
        daemon.reload()
        self.assertIn("no certificate to read again", self.logged()[-1])


class DrainTests(DaemonTestCase):
    """SIGUSR1 empties the server."""

    def setUp(self) -> None:
        super().setUp()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.made = self.make()
        with patch.dict(sys.modules, {"twisted.internet.reactor": self.reactor}):
            self.made.startService()

    def test_theSignalBeginsItOnTheReactorThread(self) -> None:
        self.assertFalse(self.made.draining)
        signal.raise_signal(signal.SIGUSR1)
        self.assertFalse(self.made.draining)
        self.reactor.advance(0)
        self.assertTrue(self.made.draining)
        self.assertEqual(self.made.server.drained_for, (None, ""))

    def test_aSecondOneIsALineOfTheLogAndNoMore(self) -> None:
        self.assertTrue(self.made.drain(120.0, "first"))
        self.events.clear()
        signal.raise_signal(signal.SIGUSR1)
        self.reactor.advance(0)
        (line,) = self.logged()
        self.assertIn("being emptied already, and ends in 120 s", line)
        self.assertEqual(self.made.drain_seconds_left, 120.0)
        self.assertEqual(self.made.server.drained_for, (120.0, "first"))
        self.assertFalse(self.made.drain(1.0))

    def test_whileItStopsItIsALineToo(self) -> None:
        self.made.server.running = 0
        self.events.clear()
        self.assertFalse(self.made.drain())
        (line,) = self.logged()
        self.assertIn("stopping already", line)

    def test_itsEndIsTheEndOfTheProcessAndAGoodOne(self) -> None:
        self.made.server.on_drained()
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(daemon._exit_status, 0)


class RootTests(DaemonTestCase):
    def warnings(self, user: int) -> list[str]:
        self.patch(os, "geteuid", lambda: user)
        self.make().startService()
        return [line for line in self.logged() if "root" in line]

    def test_rootIsWarnedOnce(self) -> None:
        (line,) = self.warnings(0)
        self.assertIn("--uid", line)

    def test_othersAreNot(self) -> None:
        self.assertEqual(self.warnings(1000), [])


class RefusedStartTests(DaemonTestCase):
    def fail(self, made: Any) -> str:
        ended = self.assertRaises(SystemExit, made.privilegedStartService)
        self.assertEqual(ended.code, 1)
        said = self.err.getvalue()
        self.assertEqual(said.count("\n"), 1, said)
        return said

    def test_aPortInUse(self) -> None:
        self.patch(Server, "problem", ListenFailed("cannot listen on UDP 127.0.0.1:7777: in use"))
        said = self.fail(self.make())
        self.assertEqual(said, "gamenet: cannot listen on UDP 127.0.0.1:7777: in use\n")
        self.assertIn("cannot listen on UDP 127.0.0.1:7777: in use", self.logged())

    def test_theStatusPortInUse(self) -> None:
        self.reactor.problem = CannotListenError(
            "127.0.0.1", 9777, OSError(98, "Address already in use")
        )
        said = self.fail(self.make("--status", "9777"))
        self.assertIn("status site on TCP 127.0.0.1:9777: Address already in use", said)

    def test_noPidFileStays(self) -> None:
        self.patch(Server, "problem", ListenFailed("no"))
        path = self.write("twistd.pid", "1")
        self.fail(self.make(pidfile=str(path), nodaemon=True))
        self.assertFalse(path.exists())

    def test_aPidFileThatCannotGoIsNoFurtherProblem(self) -> None:
        self.patch(Server, "problem", ListenFailed("no"))
        self.fail(self.make(pidfile=str(self.folder / "absent.pid")))

    def test_theProcessThatWaitsForTheDaemonIsTold(self) -> None:
        self.patch(Server, "problem", ListenFailed("cannot listen " + "é" * 200))
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.fail(self.make(statusPipe=writer))
        os.close(writer)
        told = os.read(reader, 1_000)
        self.assertTrue(told.startswith(b"1 gamenet: cannot listen "), told)
        self.assertEqual(len(told), 100)


class EndTests(DaemonTestCase):
    def test_theStatusSiteAnswersUntilTheServerHasStopped(self) -> None:
        made = self.make("--status", "9777")
        made.startService()
        closed: list[bool] = []
        self.patch(made._status._port, "stopListening", lambda: closed.append(True))
        stopped = made.stopService()
        self.assertFalse(made.running)
        self.assertEqual(closed, [])
        self.assertNoResult(stopped)
        made.server.stopping.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(closed, [True])

    def test_errorsAreCountedWhileItRuns(self) -> None:
        made = self.make()
        made.startService()
        daemon.log.error("one")
        self.assertEqual(made.errors, 1)
        made.server.stopping.callback(None)
        self.successResultOf(made.stopService())
        daemon.log.error("another")
        self.assertEqual(made.errors, 1)

    def test_theStatusSiteIsToldOfTheServer(self) -> None:
        made = self.make()
        self.assertIs(made.host, made.server.host)
        self.assertEqual(made.game_stats(), {"rate": 1.0})

    def test_aGameThatReturnsEndsTheProcessWell(self) -> None:
        made = self.make()
        made.server.on_game_end(True)
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(daemon._exit_status, 0)
        self.assertEqual(self.written, [])

    def test_aGameThatRaisesEndsTheProcessWithStatusOne(self) -> None:
        made = self.make()
        made.server.on_game_end(False)
        self.assertTrue(self.reactor.hasStopped)
        self.assertEqual(self.written, ["crash"])
        left: list[int] = []
        self.patch(os, "_exit", left.append)
        daemon._leave()
        self.assertEqual(left, [1])

    def test_aGameThatEndsWhileTheReactorStops(self) -> None:
        made = self.make()
        self.reactor.stop_problem = ReactorNotRunning()
        made.server.on_game_end(False)
        self.assertEqual(daemon._exit_status, 1)
        self.assertEqual(self.written, ["crash"])

    def test_anOrderlyEndLeavesTheStatusToOthers(self) -> None:
        left: list[int] = []
        self.patch(os, "_exit", left.append)
        daemon._leave()
        self.assertEqual(left, [])

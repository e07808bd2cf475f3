"""Who holds up the game or the reactor is named, while it does; otherwise nothing is said."""

from __future__ import annotations

import sys
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from gamenet.bridge import Bridge
from gamenet.config import ServerConfig
from gamenet.game import GameThread
from gamenet.stuck import MAX_FRAMES, Held, StuckService, StuckWatch, Threads

if TYPE_CHECKING:
    from collections.abc import Callable

LIMIT = 0.1
INNERMOST = {"guilty", "doPoll"}
"""The functions below that wait."""


class Host:
    """What the watch asks of a server's host."""

    def __init__(self) -> None:
        self.beat_due = 0.05
        self.is_busy = True
        self.stalled_since: float | None = None
        self.time = 0.0
        self.config = ServerConfig(insecure=True)

    def now(self) -> float:
        """Monotonic seconds."""
        return self.time


class Blocked:
    """A thread that is in a function until it is let go."""

    def __init__(self, function: Callable[[Callable[[], object]], object]) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        # No call of Python's own: the innermost one is the function's.
        self._thread = threading.Thread(target=function, args=(self._lock.acquire,))
        self._thread.start()
        assert self._thread.ident is not None
        self.ident: int = self._thread.ident
        while sys._current_frames()[self.ident].f_code.co_name not in INNERMOST:
            time.sleep(0.001)

    def release(self) -> None:
        """Let it go, and wait for its end."""
        self._lock.release()
        self._thread.join()


def guilty(wait: Callable[[], object]) -> None:
    """What holds something up."""
    wait()


def caller(wait: Callable[[], object]) -> None:
    """Who asked for it."""
    guilty(wait)


def deep(wait: Callable[[], object], calls: int = 50) -> None:
    """Calls that are more than anybody wants to read."""
    if calls:
        deep(wait, calls - 1)
    else:
        guilty(wait)


def doPoll(wait: Callable[[], object]) -> None:
    """Where a reactor waits."""
    wait()


class StuckCase(SynchronousTestCase):
    """Two threads that are blocked, and a watch that looks when told to."""

    def setUp(self) -> None:
        self.host: Any = Host()
        self.bridge = Bridge()
        self.addCleanup(self.bridge.finish)
        self.told: list[Held] = []

    def block(self, function: Callable[..., object] = caller) -> int:
        blocked = Blocked(function)
        self.addCleanup(blocked.release)
        return blocked.ident

    def watch(self, game: int | None = None, reactor: int = 0) -> StuckWatch:
        return StuckWatch(self.host, self.bridge, Threads(reactor, game), LIMIT, self.told.append)

    def look(self, watch: StuckWatch, now: float) -> list[str]:
        """What the log has of a look."""
        with capturedLogs() as logs:
            watch.look(now)
        self.assertTrue(all(event["log_level"] is LogLevel.warn for event in logs))
        return [formatEvent(event) for event in logs]

    def in_tick(self, due: float) -> None:
        """The game is in a tick that should be over then."""
        self.bridge.in_pass, self.bridge.pass_due = True, due
        self.host.beat_due = float("inf")


class GameTests(StuckCase):
    def test_whatBlocksATickIsNamed(self) -> None:
        watch = self.watch(game=self.block())
        self.in_tick(due=1.0)
        self.assertEqual(self.look(watch, 1.05), [])
        (line,) = self.look(watch, 1.15)
        self.assertTrue(line.startswith("the game's tick is held up, for 0.15 s by now, at "), line)
        self.assertRegex(line, r"tests/test_stuck.py:\d+ guilty < tests/test_stuck.py:\d+ caller")
        (held,) = self.told
        self.assertEqual((held.who, round(held.seconds, 3)), ("game", 0.15))
        self.assertIn("guilty", held.stack[0])
        self.assertIn("caller", held.stack[1])

    def test_aTickThatIsInTimeIsNot(self) -> None:
        watch = self.watch(game=self.block())
        for tick in range(100):
            self.in_tick(due=tick + 1.0)
            self.assertEqual(self.look(watch, tick + 1.09), [])
        self.bridge.in_pass = False  # between two ticks it may sleep for as long as it likes
        self.assertEqual(self.look(watch, 1_000.0), [])
        self.assertEqual(self.told, [])

    def test_oneThatHoldsOnIsToldNowAndThen(self) -> None:
        watch = self.watch(game=self.block())
        self.in_tick(due=1.0)
        lines = [line for now in range(2, 32) for line in self.look(watch, float(now))]
        self.assertEqual(len(lines), 3)
        self.assertIn("for 21.00 s by now", lines[-1])
        self.assertEqual(len(self.told), 1)

    def test_howOftenThatIsMayChangeMeanwhile(self) -> None:
        watch = self.watch(game=self.block())
        self.in_tick(due=1.0)
        self.assertEqual(len(self.look(watch, 2.0)), 1)
        self.host.config = ServerConfig(insecure=True, log_seconds=2.0)
        lines = [line for now in range(3, 13) for line in self.look(watch, float(now))]
        self.assertEqual(len(lines), 1)
        lines = [line for now in range(13, 23) for line in self.look(watch, float(now))]
        self.assertEqual(len(lines), 5)

    def test_manyFillOneLine(self) -> None:
        watch = self.watch(game=self.block())
        lines = []
        for tick in range(100):
            self.in_tick(due=tick / 10)
            lines += self.look(watch, tick / 10 + 0.15)
        self.assertEqual(len(lines), 1)
        self.in_tick(due=20.0)
        (line,) = self.look(watch, 20.2)
        self.assertTrue(line.endswith("(100 such)"), line)
        self.assertEqual(len(self.told), 101)

    def test_aStackThatIsDeepIsCut(self) -> None:
        watch = self.watch(game=self.block(deep))
        self.in_tick(due=1.0)
        self.look(watch, 2.0)
        self.assertEqual(len(self.told[0].stack), MAX_FRAMES)

    def test_whatAlwaysIsThereIsNot(self) -> None:
        """The loop that runs the game is no news."""
        inside, over = threading.Event(), threading.Event()

        def game(server: Any) -> None:
            inside.set()
            over.wait()

        server: Any = None
        thread = GameThread(game, server, lambda well: None)
        thread.start()
        inside.wait()
        self.addCleanup(thread.join)
        self.addCleanup(over.set)
        self.in_tick(due=1.0)
        self.look(self.watch(game=thread.ident), 2.0)
        self.assertIn("game", self.told[0].stack[-1])
        self.assertNotIn("_run", " ".join(self.told[0].stack))

    def test_aGameWithoutARateIsNamedOnceItHasStalled(self) -> None:
        watch = self.watch(game=self.block())
        self.host.beat_due = float("inf")
        self.assertEqual(self.look(watch, 5.0), [])
        self.host.stalled_since = 1.0
        (line,) = self.look(watch, 6.5)
        self.assertIn("for 5.50 s by now", line)
        self.assertIn("guilty", line)

    def test_aThreadThatIsGone(self) -> None:
        watch = self.watch(game=None)
        self.in_tick(due=1.0)
        (line,) = self.look(watch, 2.0)
        self.assertIn("an unknown place", line)


class ReactorTests(StuckCase):
    def test_whatBlocksTheReactorIsNamed(self) -> None:
        watch = self.watch(reactor=self.block())
        self.assertEqual(self.look(watch, 0.14), [])
        (line,) = self.look(watch, 0.2)
        self.assertTrue(line.startswith("the reactor is held up, for 0.15 s by now, at "), line)
        self.assertRegex(line, r"tests/test_stuck.py:\d+ guilty")
        self.assertNotIn("waits for its turn", line)

    def test_aReactorThatBeatsIsNot(self) -> None:
        watch = self.watch(reactor=self.block())
        for beat in range(1_000):
            self.host.beat_due = (beat + 1) * 0.05
            self.assertEqual(self.look(watch, beat * 0.05 + 0.02), [])

    def test_oneWithNothingToDoIsNot(self) -> None:
        self.host.is_busy = False
        self.assertEqual(self.look(self.watch(reactor=self.block()), 1_000.0), [])

    def test_oneThatOnlyWaitsForItsTurnHasTheGameNamed(self) -> None:
        """A call that keeps Python's lock holds up the reactor, which is not to blame."""
        watch = self.watch(reactor=self.block(doPoll), game=self.block())
        self.host.beat_due = 0.05
        (line,) = self.look(watch, 1.0)
        self.assertRegex(line, "doPoll.*; it waits for its turn, and the game is at .*guilty")
        self.assertIn("guilty", self.told[0].meanwhile[0])


class ThreadTests(StuckCase):
    """The thread that looks: by itself, in time, and gone at the end."""

    def service(self, seconds: float = LIMIT) -> tuple[StuckService, MemoryReactorClock]:
        reactor = MemoryReactorClock()
        thread = SimpleNamespace(ident=self.block())
        server: Any = SimpleNamespace(host=self.host, bridge=self.bridge, thread=thread)
        made = StuckService(server, seconds, reactor, self.told.append)
        self.addCleanup(made.stopService)
        return made, reactor

    def threads(self) -> list[str]:
        return [each.name for each in threading.enumerate() if each.name.startswith("gamenet")]

    def test_itLooksByItselfWhileTheReactorRuns(self) -> None:
        seen = threading.Event()
        service, reactor = self.service(0.002)
        service._tell = lambda held: (self.told.append(held), seen.set())
        service.startService()
        self.assertEqual(self.threads(), [])
        self.in_tick(due=-1.0)
        with capturedLogs() as logs:
            for hook in reactor.whenRunningHooks:
                hook[0](*hook[1], **hook[2])
            seen.wait()
            service.stopService()
        self.assertEqual(self.threads(), [])
        self.assertEqual(len(logs), 1)
        self.assertIn("guilty", " ".join(self.told[0].stack))

    def test_withZeroThereIsNone(self) -> None:
        service, reactor = self.service(0.0)
        service.startService()
        self.assertEqual(reactor.whenRunningHooks, [])

    def test_oneThatIsStoppedBeforeTheReactorRunsNeverBegins(self) -> None:
        service, reactor = self.service()
        service.startService()
        service.stopService()
        for hook in reactor.whenRunningHooks:
            hook[0](*hook[1], **hook[2])
        self.assertEqual(self.threads(), [])

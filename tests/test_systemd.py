"""What systemd is told, and when; the socket is a real one, the time is not."""

from __future__ import annotations

import os
import socket
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from gamenet.bridge import Bridge
from gamenet.notify import Notifier
from gamenet.systemd import Pulse, SystemdService

STEP = 0.0625
"""A tick of the game, without rounding."""


class Manager:
    """Listens as systemd does.

    :param name: a path, or ``@`` and an abstract name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name[0] == "@" else name)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """The lines that have come."""
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4_096).decode().split("\n")
            except BlockingIOError:
                return lines


class ManagedCase(SynchronousTestCase):
    """Has a folder, and somebody who listens."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.manager = self.listen(str(self.folder / "notify"))

    def listen(self, name: str) -> Manager:
        made = Manager(name)
        self.addCleanup(made.socket.close)
        return made


class NotifierTests(ManagedCase):
    def test_aPathAndAnAbstractName(self) -> None:
        for name in (str(self.folder / "other"), f"@gamenet-test-{os.getpid()}"):
            manager = self.listen(name)
            notifier = Notifier({"NOTIFY_SOCKET": name})
            self.assertTrue(notifier.is_wanted)
            self.assertTrue(notifier.tell("READY=1", "STATUS=fine"))
            self.assertEqual(manager.heard(), ["READY=1", "STATUS=fine"])

    def test_withoutSystemdNothingIsWanted(self) -> None:
        notifier = Notifier({"WATCHDOG_USEC": "1000000"})
        self.assertFalse(notifier.is_wanted)
        self.assertFalse(notifier.tell("READY=1"))
        self.assertEqual(notifier.watchdog_seconds, 0.0)

    def test_addressesThatAreNoneAreSaid(self) -> None:
        for name in ("vsock:2:9", "relative", "@", "/"):
            with capturedLogs() as logs:
                self.assertFalse(Notifier({"NOTIFY_SOCKET": name}).is_wanted)
            self.assertEqual(len(logs), 1, name)

    def test_aManagerThatIsGoneIsSaidOnce(self) -> None:
        notifier = Notifier({"NOTIFY_SOCKET": str(self.folder / "absent")})
        with capturedLogs() as logs:
            self.assertFalse(notifier.tell("READY=1"))
            self.assertFalse(notifier.tell("READY=1"))
        (line,) = logs
        self.assertEqual(line["first"], "READY=1")
        self.assertIn("No such file", line["reason"])

    def test_nothingWaitsForAManagerThatDoesNotRead(self) -> None:
        notifier = Notifier({"NOTIFY_SOCKET": self.manager.name})
        with capturedLogs():
            while notifier.tell("STATUS=" + "x" * 1_000):
                pass
        self.manager.heard()
        self.assertTrue(notifier.tell("READY=1"))

    def test_theWatchdogIsForOneProcess(self) -> None:
        for variables, seconds in (
            ({"WATCHDOG_USEC": "30000000"}, 30.0),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": str(os.getpid())}, 0.5),
            ({"WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"}, 0.0),
            ({"WATCHDOG_PID": str(os.getpid())}, 0.0),
            ({"WATCHDOG_USEC": "18446744073709551615"}, 0.0),
        ):
            notifier = Notifier({"NOTIFY_SOCKET": self.manager.name, **variables})
            self.assertEqual(notifier.watchdog_seconds, seconds, variables)

    def test_aWishThatIsNoNumberIsSaid(self) -> None:
        for wish in ("soon", "0", "-5", "\u0663"):
            notifier = Notifier({"NOTIFY_SOCKET": self.manager.name, "WATCHDOG_USEC": wish})
            with capturedLogs() as logs:
                self.assertEqual(notifier.watchdog_seconds, 0.0)
            self.assertEqual(len(logs), 1)


class PulseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bridge = Bridge()
        self.addCleanup(self.bridge.finish)
        self.pulse = Pulse(self.bridge)

    def test_aGameThatComesForEventsGoesOn(self) -> None:
        self.assertFalse(self.pulse.beats(0.0))
        self.bridge.poll()
        self.assertTrue(self.pulse.beats(1.0))
        self.assertFalse(self.pulse.beats(2.0))

    def test_oneThatWaitsForThemGoesOn(self) -> None:
        self.bridge._waiting = True
        self.assertTrue(self.pulse.beats(0.0))

    def test_oneThatSleepsUntilItsNextTickGoesOnUntilThen(self) -> None:
        self.bridge.next_pass = 10.0
        self.assertTrue(self.pulse.beats(9.0))
        self.assertFalse(self.pulse.beats(11.0))

    def test_oneThatIsInATickForTooLongDoesNot(self) -> None:
        self.bridge.next_pass, self.bridge.in_pass = 10.0, True
        self.assertFalse(self.pulse.beats(9.0))


class ServiceTests(ManagedCase):
    """A daemon whose game is a bridge that the test takes events from."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Clock()
        self.bridge = Bridge(clock=self.reactor.seconds)
        self.addCleanup(self.bridge.finish)
        self.seats: dict[int, object] = {}
        self.stats = {"rate": 30.0, "per_second": 29.97}

    def start(self, watchdog: str = "") -> SystemdService:
        variables = {"NOTIFY_SOCKET": self.manager.name}
        if watchdog:
            variables["WATCHDOG_USEC"] = watchdog
        self.patch(os, "environ", variables)
        self.served: Any = SimpleNamespace(
            bridge=self.bridge,
            draining=False,
            host=SimpleNamespace(
                now=self.reactor.seconds,
                seats=self.seats,
                registry=SimpleNamespace(max_players=256),
            ),
            game_stats=lambda: self.stats,
        )
        made = SystemdService(self.served, self.reactor)
        made.startService()
        return made

    def play(self, seconds: float, *, goes_on: bool = True) -> list[str]:
        """Let time pass, in which the game comes for events or does not."""
        said: list[str] = []
        for _ in range(round(seconds / STEP)):
            if goes_on:
                self.bridge.poll()
            self.reactor.advance(STEP)
            said += self.manager.heard()
        return said

    def test_readyIsSaidOnceWhenTheGameHasComeForEvents(self) -> None:
        self.start()
        self.assertEqual(self.play(60.0, goes_on=False), [])
        said = self.play(60.0)
        self.assertEqual(said, ["READY=1", "STATUS=0 of 256 players, 30 of 30 ticks a second"])

    def test_theStatusIsSaidWhenItChanges(self) -> None:
        self.start()
        self.play(1.0)
        self.seats[1] = object()
        self.assertEqual(self.play(10.0), ["STATUS=1 of 256 players, 30 of 30 ticks a second"])
        self.stats = {}
        self.assertEqual(self.play(10.0), ["STATUS=1 of 256 players"])
        self.served.draining = True
        self.assertEqual(self.play(10.0), ["STATUS=draining, 1 of 256 players"])

    def test_theWatchdogIsFedTwiceInItsInterval(self) -> None:
        self.start("2000000")
        self.assertEqual(self.play(10.5).count("WATCHDOG=1"), 11)

    def test_aLongIntervalIsFedAsOftenAsThereMayBeSomethingToSay(self) -> None:
        self.start("60000000")
        self.assertEqual(self.play(11.0).count("WATCHDOG=1"), 3)

    def test_withoutAWatchdogNothingIsFed(self) -> None:
        self.start()
        self.assertNotIn("WATCHDOG=1", self.play(60.0))

    def test_aGameThatStandsStillStarvesIt(self) -> None:
        made = self.start("2000000")
        starved: list[float] = []
        made.on_starved = lambda: starved.append(self.reactor.seconds())
        self.play(2.1)
        with capturedLogs() as logs:
            self.assertEqual(self.play(10.0, goes_on=False).count("WATCHDOG=1"), 1)
        self.assertEqual(len(logs), 1)
        self.assertEqual(len(starved), 1)
        self.assertEqual(self.play(2.0).count("WATCHDOG=1"), 2)

    def test_aReactorThatStandsStillStarvesIt(self) -> None:
        """It is fed by a timer of the reactor, and by nothing else."""
        self.start("2000000")
        self.play(1.0)
        for _ in range(100):
            self.bridge.poll()
        self.assertEqual(self.manager.heard(), [])

    def test_whatDidNotLeaveIsSaidAgain(self) -> None:
        self.start("2000000")
        os.unlink(self.manager.name)
        with capturedLogs():
            self.play(3.0)
        self.manager = self.listen(self.manager.name)
        self.assertEqual(self.play(1.0)[0], "READY=1")

    def test_theEndIsSaidOnceAndTheWatchdogIsFedUntilTheGameIsOver(self) -> None:
        made = self.start("2000000")
        self.play(1.0)
        made.stopping()
        made.stopping()
        said = self.play(4.0, goes_on=False)
        self.assertEqual(said[:2], ["STOPPING=1", "STATUS=stopping"])
        self.assertEqual(said[2:], ["WATCHDOG=1"] * 4)
        made.stopService()
        self.assertEqual(self.play(10.0), [])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_withoutSystemdThereIsNoTimer(self) -> None:
        self.manager.name = ""
        made = self.start()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        made.stopping()
        made.stopService()

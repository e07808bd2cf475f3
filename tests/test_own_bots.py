"""Bots of one's own, and when a run of bots has gone well enough."""

from __future__ import annotations

import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.bots import Bot as OwnBot
from gamenet.bots import load_bot
from gamenet.demo import bots as bots_module
from gamenet.demo.bot import Load
from gamenet.demo.bots import Crowd
from gamenet.demo.guest import Guest
from gamenet.demo.reckoning import NO_SECRETS
from gamenet.demo.report import LiveLine, Problems, beyond, blank, table
from gamenet.doctor.fixes import REFUSAL_FIXES
from gamenet.errors import ConfigError, DisconnectReason, RefusalReason
from gamenet.events import SERVER, Disconnected

LOAD = Load(address="127.0.0.1:7777", count=9, seconds=1.0, insecure=True)

DOCTOR = "try: gamenet doctor 127.0.0.1:7777 --insecure"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class GuestTests(SynchronousTestCase):
    def test_eachHasAnObjectWithAChanceOfItsOwn(self) -> None:
        load = Load(address="127.0.0.1:7777", count=2, seconds=1.0, own=OwnBot, seed=3)
        guests = [Guest(load, index, "abc123", Problems()) for index in (1, 2, 2)]
        for guest in guests:
            guest._make()
        self.assertEqual([guest._own.index for guest in guests], [1, 2, 2])
        drawn = [guest._own.random.random() for guest in guests]
        self.assertNotEqual(drawn[0], drawn[1])
        self.assertEqual(drawn[1], drawn[2])
        self.assertIs(guests[0]._own.client, guests[0].client)

    def test_itsClientIsOfItsGame(self) -> None:
        class Runner(OwnBot):
            game_name = "sum/1"
            input_bits = 8

        load = Load(address="127.0.0.1:7777", count=1, seconds=1.0, own=Runner)
        guest = Guest(load, 1, "abc123", Problems())
        config = guest.client.config
        self.assertEqual((config.game_name, config.input_bits), ("sum/1", 8))

    def test_oneThatCannotBeMadeIsAProblemAndNotTheEnd(self) -> None:
        class Picky(OwnBot):
            def __init__(self, needed: int) -> None:
                self.needed = needed

        problems = Problems()
        load = Load(address="127.0.0.1:7777", count=1, seconds=1.0, own=Picky)
        guest = Guest(load, 1, "abc123", problems)
        guest.start()
        self.assertTrue(guest.over)
        self.assertIn("missing 1 required positional argument: 'needed'", problems.lines[0])

    def test_oneThatWantsToEndTheProcessEndsItself(self) -> None:
        for mistake in (SystemExit("enough"), KeyboardInterrupt()):

            class Quitter(OwnBot):
                def __init__(self, mistake: BaseException = mistake) -> None:
                    raise mistake

            problems = Problems()
            load = Load(address="127.0.0.1:7777", count=1, seconds=1.0, own=Quitter)
            guest = Guest(load, 1, "abc123", problems)
            guest.start()
            self.assertEqual((guest.over, guest.failed, problems.count), (True, True, 1))
            self.assertIn(f"failed: {type(mistake).__name__}", problems.lines[0])
            self.assertIn("test_own_bots.py, line ", problems.lines[0])


class FastBot(OwnBot):
    tick_rate = 1e9


class WordyBot(OwnBot):
    tick_rate: Any = "30"


class StillBot(OwnBot):
    tick_rate = 0.0


class LoadTests(SynchronousTestCase):
    def test_aRateThatNobodyCanKeepIsRefusedBeforeItBegins(self) -> None:
        for name in ("FastBot", "WordyBot", "StillBot"):
            error = self.assertRaises(ConfigError, load_bot, f"{__name__}:{name}")
            self.assertIn(f"{name}.tick_rate must be a number above 0, at most 1000", str(error))
        self.assertIs(load_bot("gamenet.bots:Bot"), OwnBot)


class RampTests(SynchronousTestCase):
    def starts(self, ramp: float, rounds_a_second: float, rounds: int) -> list[int]:
        """How many knock in each round."""
        now = [0.0]
        self.patch(bots_module.time, "monotonic", lambda: now[0])
        load = Load(address="127.0.0.1:7777", count=9, seconds=1.0, ramp=ramp)
        crowd = Crowd(load, Problems(), LiveLine(io.StringIO(), quiet=True))
        started: list[float] = []
        for bot in crowd.bots:
            self.patch(bot, "start", lambda: started.append(now[0]))
        counts: list[int] = []

        def round_(phase: str, playing: bool, interrupted: object) -> bool:
            counts.append(len(started) - sum(counts))
            now[0] += 1 / rounds_a_second
            return len(counts) >= rounds

        self.patch(crowd, "_round", round_)
        self.assertIs(crowd._run(lambda: False), None)
        return counts

    def test_soManyKnockInASecond(self) -> None:
        self.assertEqual(self.starts(4.0, 4.0, 4), [1, 1, 1, 1])
        self.assertEqual(self.starts(64.0, 32.0, 6), [1, 2, 2, 2, 2, 0])


class NobodyTests(SynchronousTestCase):
    """It is told why nobody joined, and what to do."""

    def why(self, *ends: Disconnected, failed: bool = False) -> str:
        crowd = Crowd(LOAD, Problems(), LiveLine(io.StringIO(), quiet=True))
        for bot, end in zip(crowd.bots, ends, strict=False):
            bot.take(end)
        for bot in crowd.bots:
            bot.failed = failed
        return crowd._reckoning.why_nobody_joined()

    def end(self, reason: DisconnectReason, text: str, *refusal: RefusalReason) -> Disconnected:
        return Disconnected(SERVER, reason, text, *refusal)

    def test_theReasonOfTheFirstWhoWasTold(self) -> None:
        unreachable = self.end(DisconnectReason.UNREACHABLE, "no server answers")
        full = self.end(DisconnectReason.REFUSED, "The server is full.", RefusalReason.FULL)
        secret = self.end(DisconnectReason.REFUSED, "No.", RefusalReason.CREDENTIALS)
        for ends, expected in (
            ((), f"the server did not answer in time; {DOCTOR}"),
            ((unreachable, full), f"no server answers; {DOCTOR}"),
            ((full,), f"The server is full; fix: {REFUSAL_FIXES[RefusalReason.FULL]}"),
            ((secret,), f"No; {NO_SECRETS}"),
        ):
            self.assertEqual(self.why(*ends), f"nobody joined: {expected}")
        self.assertIn("every bot failed by itself", self.why(failed=True))

    def test_theReportBeginsWithIt(self) -> None:
        crowd = Crowd(LOAD, Problems(), LiveLine(io.StringIO(), quiet=True))
        for bot in crowd.bots:
            bot.take(self.end(DisconnectReason.UNREACHABLE, "no server answers"))
        self.patch(crowd, "_run", lambda interrupted: blank() | {"joined": 0, "played": 0})
        outcome = crowd.run(lambda: False)
        assert outcome is not None
        report, well = outcome
        self.assertEqual((well, report["errors"]), (False, 9))
        self.assertEqual(report["error_lines"][0], f"nobody joined: no server answers; {DOCTOR}")
        shown = table(report)
        self.assertIn("players  0 of ? joined\n", shown)
        self.assertNotIn("encrypted", shown)


class ThresholdTests(SynchronousTestCase):
    def test_whatIsNotAskedForIsNotJudged(self) -> None:
        self.assertEqual(beyond(blank(), None, None), [])

    def test_whatIsWorseIsTold(self) -> None:
        report = blank() | {"rtt_p99_ms": 63.5, "loss": 0.02}
        self.assertEqual(beyond(report, 63.5, 0.02), [])
        self.assertEqual(
            beyond(report, 50.0, 0.01),
            [
                "99 % of round trips: 63.5 ms, more than --max-rtt-ms 50",
                "lost datagrams: a share of 0.02, more than --max-loss 0.01",
            ],
        )

    def test_whatWasNotMeasuredIsNotGoodEnough(self) -> None:
        self.assertEqual(
            beyond(blank(), 50.0, 0.1),
            [
                "--max-rtt-ms 50 cannot be told: nothing was measured",
                "--max-loss 0.1 cannot be told: nothing was measured",
            ],
        )


class BarTests(SynchronousTestCase):
    def test_aTerminalHasABarWhereItIsKnownHowMuchIsDone(self) -> None:
        terminal = Terminal()
        line = LiveLine(terminal)
        for share in (0.0, 0.5, 1.0, None):
            line.show("playing", share)
        shown = [part.rstrip() for part in terminal.getvalue().split("\r")[1:]]
        self.assertEqual(
            shown,
            [
                f"[{'.' * 20}] playing",
                f"[{'#' * 10}{'.' * 10}] playing",
                f"[{'#' * 20}] playing",
                "playing",
            ],
        )

    def test_elsewhereThereIsNone(self) -> None:
        stream = io.StringIO()
        LiveLine(stream).show("playing", 0.5)
        self.assertEqual(stream.getvalue(), "playing\n")

"""The bots: what they do, what they notice, and the report they make."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.demo import bot as bot_module
from gamenet.demo import run as run_module
from gamenet.demo.bot import Bot, Load
from gamenet.demo.bots import Crowd
from gamenet.demo.field import ALL_BUTTONS, Field
from gamenet.demo.game import join_state, pack_hero
from gamenet.demo.report import (
    KEYS,
    MAX_ERROR_LINES,
    LiveLine,
    Problems,
    Report,
    added,
    blank,
    causes,
    percentile,
    rounded,
    table,
)
from gamenet.demo.run import Demo, Plan
from gamenet.errors import DisconnectReason
from gamenet.events import SERVER, Chat, Connected, Disconnected, PathChanged, Player

LOAD = Load(address="127.0.0.1:7777", count=2, seconds=1.0, insecure=True)
RUN = "abc123"


class BotTests(SynchronousTestCase):
    """One bot, without a server."""

    def setUp(self) -> None:
        self.problems = Problems()
        self.bot = Bot(LOAD, 7, RUN, self.problems)
        self.me = Player(7, self.bot.name, "")
        self.other = Player(8, f"bot-{RUN}-008", "")

    def state(self, hero_id: int) -> bytes:
        return join_state([pack_hero(Field().add(hero_id))])

    def test_joining(self) -> None:
        self.assertFalse(self.bot.joined)
        self.bot.take(Connected(self.me, False))
        self.assertTrue(self.bot.joined)
        self.assertFalse(self.bot.on_udp)
        self.bot.take(PathChanged(SERVER, "udp", "bound"))
        self.assertTrue(self.bot.on_udp)
        self.bot.take(PathChanged(SERVER, "tcp", "silent"))
        self.assertFalse(self.bot.on_udp)

    def test_anEndIsAProblem(self) -> None:
        self.bot.take(Connected(self.me, False))
        self.bot.take(Disconnected(self.me, DisconnectReason.TIMEOUT, "it went silent"))
        self.assertTrue(self.bot.over)
        self.assertEqual(
            self.problems.lines, [f"{self.bot.name} lost its session: TIMEOUT: it went silent"]
        )

    def test_aRefusalIsAProblem(self) -> None:
        self.bot.take(Disconnected(self.me, DisconnectReason.REFUSED, "The server is full."))
        self.assertEqual(
            self.problems.lines, [f"{self.bot.name} could not join: REFUSED: The server is full."]
        )

    def test_everyLineIsHeardOnce(self) -> None:
        self.bot.take(Chat(self.other, f"{self.other.name} line 1", False))
        self.bot.take(Chat(self.other, f"{self.other.name} line 2", False))
        self.assertEqual(self.bot.heard, 2)
        self.assertEqual(self.problems.count, 0)
        self.bot.take(Chat(self.other, f"{self.other.name} line 2", False))
        self.assertEqual(self.bot.heard, 2)
        self.assertEqual(self.problems.count, 1)

    def test_whatOthersSayIsNotCounted(self) -> None:
        self.bot.take(Chat(Player(9, "ada", ""), "hello, bot-000000-001 line 1", False))
        self.assertEqual(self.bot.heard, 0)

    def test_atTheDemoALineHasItsAuthor(self) -> None:
        self.bot.take(Chat(SERVER, f"{self.other.name} line 1", False))
        self.assertEqual(self.problems.count, 0)
        self.bot.look(self.state(7), 7)
        self.bot.take(Chat(SERVER, f"{self.other.name} line 2", False))
        self.assertEqual(self.problems.count, 1)

    def test_statesOfOtherGamesAreNotRead(self) -> None:
        self.bot.look(b"anything at all", 7)
        self.assertEqual(self.problems.count, 0)

    def test_statesOfTheDemoAreChecked(self) -> None:
        self.bot.look(self.state(7), 7)
        self.assertEqual(self.problems.count, 0)
        self.bot.look(self.state(8), 7)
        self.bot.look(b"anything at all", 7)
        self.bot.look(self.state(7)[:-1], 7)
        self.assertEqual(self.problems.count, 3)

    def test_theSameSeedWalksTheSameWay(self) -> None:
        again = Bot(LOAD, 7, "other0", self.problems)
        walk = [self.bot.wander() for _ in range(500)]
        self.assertEqual(walk, [again.wander() for _ in range(500)])
        self.assertTrue(all(0 <= buttons <= ALL_BUTTONS for buttons in walk))
        self.assertGreater(len(set(walk)), 4)
        neighbour = Bot(LOAD, 8, RUN, self.problems)
        self.assertNotEqual(walk, [neighbour.wander() for _ in range(500)])


class ClockTests(SynchronousTestCase):
    """How well bots know the clock of a server on the same machine."""

    def setUp(self) -> None:
        self.times: list[float] = []
        self.patch(bot_module, "monotonic", lambda: self.times.pop(0))

    def compare(self, bot: Bot, at: float, shown: float, took: float = 0.0) -> None:
        """Have a bot compare the clocks, when the server's seems to say *shown*."""
        self.patch(bot.client, "server_time", lambda: shown)
        self.times = [at, at + took]
        bot._compare_clocks(100.0, at)

    def crowd(self) -> Crowd:
        load = replace(LOAD, clock_zero=100.0)
        return Crowd(load, Problems(), LiveLine(io.StringIO(), quiet=True))

    def test_aSecondAfterPlayBegan(self) -> None:
        bot = self.crowd().bots[0]
        for at in (103.0, 103.5, 103.99):
            self.compare(bot, at, 9.0)
        self.assertEqual(list(bot.clock_errors), [])
        self.compare(bot, 104.0, 4.25)
        self.compare(bot, 105.0, 4.5)
        self.assertEqual(list(bot.clock_errors), [0.25, 0.5])

    def test_aLookThatWasInterruptedSaysNothing(self) -> None:
        bot = self.crowd().bots[0]
        self.compare(bot, 103.0, 3.0)
        self.compare(bot, 105.0, 9.0, took=0.001)
        self.assertEqual(list(bot.clock_errors), [])
        self.compare(bot, 106.0, 6.0, took=0.0004)
        self.assertAlmostEqual(bot.clock_errors[0], 0.0002)

    def test_theReportHasNinetyNineOfAHundred(self) -> None:
        crowd = self.crowd()
        self.assertIsNone(crowd._reckoning.clock_error_ms())
        for number, bot in enumerate(crowd.bots):
            bot.clock_errors.extend([0.001 * (number + 1)] * 99 + [5.0])
        self.assertEqual(crowd._reckoning.clock_error_ms(), 2.0)
        crowd.bots[1].kills = 1
        self.assertIsNone(crowd._reckoning.clock_error_ms())

    def test_whereTheServersClockIsUnknownNobodyLooks(self) -> None:
        bot = Crowd(LOAD, Problems(), LiveLine(io.StringIO(), quiet=True)).bots[0]
        bot.started = bot.joined = True
        self.patch(bot.client, "ticks", lambda *args, **named: [gamenet.Tick(1, 0, 0, [], 0, 0)])
        self.patch(bot.client, "send_input", lambda buttons: 1)
        self.patch(bot.client, "take_state", lambda: None)
        looked: list[float] = []
        self.patch(bot, "_compare_clocks", lambda zero, now: looked.append(zero))
        bot.round(True, 103.0)
        self.assertEqual((bot.inputs_sent, looked), (1, []))
        bot._clock_zero = 100.0
        bot.round(True, 104.0)
        bot.round(False, 105.0)
        self.assertEqual(looked, [100.0])


class StatusTests(SynchronousTestCase):
    """What the demo takes from the status page, and hands on."""

    def status(self, zero: float | None) -> dict[str, Any]:
        return {
            "cpu_seconds": 1.5,
            "clock_zero": zero,
            "ticks": {"number": 3, "per_second": 30.0, "late_p99_ms": None},
            "players": [{"path": "udp"}, {"path": "tcp"}],
            "inputs": {"taken": 9, "missing": 4, "late": 3, "early": 2},
            "counters": {"states_sent": 0, "state_bytes_full": 0, "state_bytes_sent": 0},
            "drops": {},
            "errors": 0,
        }

    def demo(self) -> Demo:
        plan = Plan(seconds=5, bots=1)
        return Demo(plan, lambda: False, LiveLine(io.StringIO(), quiet=True))

    def test_theClocksZeroIsHandedToTheBots(self) -> None:
        answers = [None, self.status(None), self.status(12.345678901234)]
        self.patch(run_module, "ask", lambda address: answers.pop(0))
        self.patch(run_module.time, "sleep", lambda seconds: None)
        self.assertEqual(self.demo()._clock(), ["--clock-zero", "12.345678901234"])
        self.assertEqual(answers, [])

    def test_inputsAtTheWrongTimeAreInTheReport(self) -> None:
        report = {**blank(), "errors": 0, "error_lines": []}
        self.demo()._merge(report, self.status(1.0))
        self.assertEqual((report["inputs_late"], report["inputs_early"]), (3, 2))

    def test_aServerThatWasKilledHasTakenThemAlong(self) -> None:
        demo = self.demo()
        demo._kills = 1
        report = {**blank(), "errors": 0, "error_lines": []}
        demo._merge(report, self.status(1.0))
        self.assertEqual((report["inputs_late"], report["inputs_early"]), (None, None))


class ProblemTests(SynchronousTestCase):
    """Everything that goes wrong is counted; the first lines of it are kept."""

    def test_linesAreFewShortAndSafe(self) -> None:
        problems = Problems()
        problems.add("two\nlines \x1b[2J" + "x" * 1000)
        for number in range(100):
            problems.add(f"problem {number}")
        self.assertEqual(problems.count, 101)
        self.assertEqual(len(problems.lines), MAX_ERROR_LINES)
        self.assertTrue(problems.lines[0].startswith("two lines [2Jxxx"))
        self.assertTrue(all(len(line) <= 400 for line in problems.lines))

    def test_theSameLineIsKeptOnce(self) -> None:
        problems = Problems()
        problems.add("again")
        problems.add("again", 3)
        self.assertEqual((problems.count, problems.lines), (4, ["again"]))

    def test_errorsInTheLogAreProblems(self) -> None:
        problems = Problems()
        log = Logger("gamenet.test", observer=LogPublisher(problems))
        log.info("all is well")
        log.warn("all is nearly well")
        self.assertEqual(problems.count, 0)
        log.error("player {name!r} broke it", name="ada")
        log.failure("while playing", Failure(ValueError("wrong")))
        self.assertEqual(problems.count, 2)
        self.assertEqual(
            problems.lines, ["player 'ada' broke it", "while playing: ValueError: wrong"]
        )


class ReportTests(SynchronousTestCase):
    """The report that both halves fill in."""

    def full(self) -> Report:
        report = blank()
        for key in KEYS:
            report[key] = 7
        report["secure"] = False
        report["drops"] = {"datagram_forged": 3}
        report["error_lines"] = ["something broke"]
        return report

    def test_theKeys(self) -> None:
        self.assertEqual(
            " ".join(KEYS),
            "seconds bots joined udp_bound secure players ticks_per_second tick_late_p99_ms "
            "inputs_per_second states_per_second rtt_p50_ms rtt_p99_ms clock_error_p99_ms loss "
            "chat_sent chat_expected chat_received inputs_sent inputs_applied inputs_missing "
            "inputs_in_flight inputs_late inputs_early states_received suspended resumed "
            "sessions_lost reliable_sent reliable_received reliable_unacknowledged "
            "reliable_unanswered reliable_lost reliable_duplicated reliable_reordered "
            "tunnel_seconds moves bytes_up_per_client_second bytes_down_per_client_second "
            "state_bytes_full_mean state_bytes_sent_mean cpu_us_per_client_tick drops errors "
            "error_lines",
        )
        self.assertEqual(list(json.loads(json.dumps(blank()))), list(KEYS))

    def test_theTableTellsAllOfIt(self) -> None:
        shown = table(self.full())
        for text in (
            "7 of 7 joined",
            "7 sent = 7 applied + 7 missing + 7 in flight; 7 late, 7 early",
            "at most 7.000 ms off",
            "3 datagram_forged",
            "something broke",
            "not encrypted",
            "server",
        ):
            self.assertIn(text, shown)

    def test_theTableOfTheLoadHalfLeavesTheServerOut(self) -> None:
        report = blank()
        report.update(bots=2, joined=0, errors=2, error_lines=["nobody there"])
        shown = table(report)
        self.assertIn("0 of 2 joined", shown)
        self.assertIn("nobody there", shown)
        self.assertEqual(len(shown.splitlines()), 4)
        report.update(joined=1)
        shown = table(report)
        self.assertIn("? applied", shown)
        self.assertNotIn("server", shown)

    def test_causesOfLossAddUp(self) -> None:
        ours = causes({"drop_a": 1.0, "drop_b": 0.0, "bytes_in": 9.0, "c_refused": 2.0})
        self.assertEqual(ours, {"a": 1, "c_refused": 2})
        self.assertEqual(added(ours, {"a": 2, "c": 0}, {"b": 5}), {"a": 3, "b": 5, "c_refused": 2})
        self.assertEqual(added(), {})

    def test_percentiles(self) -> None:
        self.assertIsNone(percentile([], 0.5))
        self.assertEqual(percentile([3.0], 0.99), 3.0)
        values = [float(number) for number in range(100, 0, -1)]
        self.assertEqual(percentile(values, 0.5), 50.0)
        self.assertEqual(percentile(values, 0.99), 99.0)
        self.assertEqual(percentile(values, 0.0), 1.0)

    @given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
    def test_aPercentileIsOneOfTheValues(self, values: list[float], share: float) -> None:
        found = percentile(values, share)
        self.assertIn(found, values)
        assert found is not None
        below = sum(value <= found for value in values)
        self.assertGreaterEqual(below + 1e-6, share * len(values))

    def test_numbersThatAreNoneAreNotShown(self) -> None:
        self.assertIsNone(rounded(None, 1))
        self.assertIsNone(rounded(float("nan"), 1))
        self.assertIsNone(rounded(float("inf"), 1))
        self.assertEqual(rounded(1.26, 1), 1.3)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class LiveLineTests(SynchronousTestCase):
    """A line a second, in place on a terminal and one below the other elsewhere."""

    def test_onATerminalTheLineIsRewritten(self) -> None:
        stream = Terminal()
        live = LiveLine(stream)
        live.show("a longer line")
        live.show("short")
        live.end()
        live.end()
        self.assertEqual(stream.getvalue(), "\ra longer line\rshort        \n")

    def test_elsewhereThereAreLines(self) -> None:
        stream = io.StringIO()
        live = LiveLine(stream)
        live.show("one")
        live.show("two")
        live.end()
        self.assertEqual(stream.getvalue(), "one\ntwo\n")

    def test_quiet(self) -> None:
        stream = Terminal()
        live = LiveLine(stream, quiet=True)
        live.show("one")
        live.end()
        self.assertEqual(stream.getvalue(), "")

"""The books of a bot: of every reliable message it is known what became of it."""

from __future__ import annotations

import io
import json
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.chaos import parse_chaos
from gamenet.demo.bot import Bot, Load
from gamenet.demo.bots import Crowd, check_chaos
from gamenet.demo.ledger import MAGIC, Ledger, read, write
from gamenet.demo.report import LiveLine, Problems
from gamenet.demo.run import Demo, Plan
from gamenet.demo.trace import Trace
from gamenet.errors import ConfigError, DisconnectReason, RefusalReason
from gamenet.events import (
    SERVER,
    Connected,
    Disconnected,
    PathChanged,
    Player,
    Received,
    Resumed,
    Suspended,
)

LOAD = Load(address="127.0.0.1:7777", count=2, seconds=30.0, insecure=True)
TROUBLE = Load(
    address="127.0.0.1:7777",
    count=2,
    seconds=30.0,
    insecure=True,
    chaos=parse_chaos("cut@1,kill@20", may_kill=True),
)


class MessageTests(SynchronousTestCase):
    """Numbers on the wire."""

    @given(st.integers(0, 2**64 - 1))
    def test_whatIsWrittenIsRead(self, number: int) -> None:
        self.assertEqual(read(write(number)), number)

    @given(st.integers(0, 2**32), st.data())
    def test_damageShows(self, number: int, data: Any) -> None:
        sent = bytearray(write(number))
        place = data.draw(st.integers(0, len(sent) - 1))
        sent[place] ^= 1 << data.draw(st.integers(0, 7))
        self.assertNotEqual(read(bytes(sent)), number)

    def test_whatIsNoneOfOurs(self) -> None:
        for payload in (b"", MAGIC, b"hello", write(7) + b"x", write(7)[:-1]):
            self.assertIsNone(read(payload))


class LedgerTests(SynchronousTestCase):
    """Sent is received, or given back, or unanswered, or lost."""

    def setUp(self) -> None:
        self.said: list[str] = []
        self.books = Ledger(self.said.append)

    def send(self, count: int) -> list[bytes]:
        sent = []
        for _ in range(count):
            sent.append(self.books.next())
            self.books.was_sent()
        return sent

    def figures(self) -> tuple[int, ...]:
        books = self.books
        self.assertEqual(
            books.sent,
            books.received + books.unacknowledged + books.unanswered + books.lost + books.pending,
        )
        return (
            books.sent,
            books.received,
            books.unacknowledged,
            books.unanswered,
            books.lost,
            books.duplicated,
            books.reordered,
        )

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 30), st.integers(0, 30), st.integers(0, 30), st.integers(0, 5)
            ),
            max_size=6,
        )
    )
    def test_serversThatDieCostNothingUnknown(
        self, sessions: list[tuple[int, int, int, int]]
    ) -> None:
        """Each session sends; the server takes some, answers fewer, and dies."""
        said: list[str] = []
        self.books = Ledger(said.append)
        received = given_back = unanswered = 0
        for sent, taken, answered, acknowledged_less in sessions:
            messages = self.send(sent)
            taken = min(sent, taken)
            answered = min(taken, answered)
            acknowledged = max(0, taken - acknowledged_less)
            for message in messages[:answered]:
                self.books.take(message)
            self.books.session_lost(messages[acknowledged:], sent - acknowledged)
            received += answered
            unanswered += max(0, acknowledged - answered)
            given_back += sent - max(acknowledged, answered)
        last = self.send(5)
        for message in last:
            self.books.take(message)
        self.books.close()
        self.assertEqual(said, [])
        self.assertEqual(self.figures()[1:], (received + 5, given_back, unanswered, 0, 0, 0))

    def test_oneThatNeverComes(self) -> None:
        sent = self.send(4)
        for message in (sent[0], sent[2], sent[3]):
            self.books.take(message)
        self.books.close()
        self.assertEqual(self.figures(), (4, 3, 0, 0, 1, 0, 0))
        self.assertEqual(self.said, ["1 reliable messages were lost, such as 2"])

    def test_theLastThatNeverCome(self) -> None:
        self.send(3)
        self.assertEqual(self.books.pending, 3)
        self.books.close()
        self.assertEqual(self.figures(), (3, 0, 0, 0, 3, 0, 0))
        self.assertEqual(self.said, ["3 reliable messages were lost, such as 1, 2, 3"])

    def test_oneThatComesTwice(self) -> None:
        first, second = self.send(2)
        for message in (first, second, second, first):
            self.books.take(message)
        self.assertEqual(self.figures(), (2, 2, 0, 0, 0, 2, 0))
        self.assertEqual(len(self.said), 2)

    def test_oneThatComesLate(self) -> None:
        first, second = self.send(2)
        self.books.take(second)
        self.assertEqual(self.books.lost, 1)
        self.books.take(first)
        self.assertEqual(self.figures(), (2, 2, 0, 0, 0, 0, 1))
        self.assertEqual(self.said, ["the answer to 1 came after that to 2"])

    def test_whatWasNeverSent(self) -> None:
        self.send(1)
        for payload in (write(0), write(2), b"GNR1 nonsense", b""):
            self.books.take(payload)
        self.assertEqual(self.said, ["an answer came to what was never sent"] * 4)
        self.books.session_lost([write(9)], 1)
        self.assertIn("a message was given back that was never sent", self.said)

    def test_aHoleInWhatIsGivenBack(self) -> None:
        sent = self.send(4)
        self.books.session_lost([sent[1], sent[3]], 2)
        self.assertEqual(
            self.said,
            [
                "message 3 was sent before its session was lost, and neither taken nor given back",
            ],
        )

    def test_answersOfTheDead(self) -> None:
        sent = self.send(2)
        self.books.session_lost(sent, 2)
        self.books.take(sent[1])
        self.assertEqual(self.said, ["message 2 was answered after its session was lost"])

    def test_onlyTheFirstThousandAreNamed(self) -> None:
        sent = self.send(1_500)
        self.books.session_lost(sent[:1_024], 1_500)
        self.assertEqual(self.figures(), (1_500, 0, 1_500, 0, 0, 0, 0))
        self.assertEqual(self.said, [])


class BotTests(SynchronousTestCase):
    """A bot whose connection comes and goes."""

    def bot(self, load: Load) -> Bot:
        self.problems = Problems()
        bot = Bot(load, 1, "abc123", self.problems)
        self.me = Player(7, bot.name, "")
        bot.at_the_demo = True
        bot.take(Connected(self.me, True))
        return bot

    def lose(self, bot: Bot, rejoining: bool) -> None:
        bot.take(
            Disconnected(
                self.me,
                DisconnectReason.SESSION_LOST,
                "gone",
                RefusalReason.NO_SESSION,
                rejoining=rejoining,
            )
        )

    def test_suspendedAndResumedAreNoProblem(self) -> None:
        bot = self.bot(LOAD)
        bot.take(Suspended(self.me, DisconnectReason.SESSION_LOST))
        bot.take(Resumed(self.me, 0.5))
        bot.take(PathChanged(self.me, "udp", "bound"))
        bot.take(PathChanged(self.me, "udp", "moved"))
        self.assertEqual((bot.suspended, bot.resumed, bot.moves), (1, 1, 1))
        self.assertEqual(self.problems.count, 0)
        self.assertTrue(bot.joined)

    def test_aSessionThatAKilledServerCost(self) -> None:
        bot = self.bot(TROUBLE)
        self.assertTrue(bot.client.config.rejoin)
        bot.kills = 1
        message = bot.ledger.next()
        bot.ledger.was_sent()
        self.lose(bot, True)
        self.assertEqual((bot.joined, bot.over, bot.sessions_lost), (False, False, 1))
        bot.take(Connected(self.me, True))
        self.assertTrue(bot.joined)
        self.assertEqual(bot.ledger.unanswered, 1)
        bot.take(Received(SERVER, message, 0))
        self.assertEqual(self.problems.count, 1)

    def test_aSessionThatNothingCost(self) -> None:
        bot = self.bot(TROUBLE)
        self.lose(bot, True)
        self.assertFalse(bot.over)
        self.assertEqual(self.problems.count, 1)
        self.assertIn("lost its session", self.problems.lines[0])

    def test_noWayBackIn(self) -> None:
        bot = self.bot(TROUBLE)
        bot.kills = 1
        self.lose(bot, True)
        self.lose(bot, False)
        self.assertTrue(bot.over)
        self.assertEqual(bot.sessions_lost, 1)
        self.assertIn("did not get back in", self.problems.lines[0])

    def test_withoutChaosALostSessionIsTheEnd(self) -> None:
        self.assertFalse(self.bot(LOAD).client.config.rejoin)

    def test_timeWithoutUdp(self) -> None:
        with patch("gamenet.demo.bot.monotonic") as now:
            now.return_value = 10.0
            bot = self.bot(LOAD)
            now.return_value = 11.0
            self.assertEqual(bot.tunnel_seconds, 1.0)
            bot.take(PathChanged(self.me, "udp", "bound"))
            now.return_value = 20.0
            bot.take(PathChanged(self.me, "udp", "moved"))
            bot.take(PathChanged(self.me, "tcp", "silent"))
            now.return_value = 22.5
            bot.take(PathChanged(self.me, "udp", "back"))
            now.return_value = 30.0
            self.assertEqual(bot.tunnel_seconds, 3.5)
            bot.take(PathChanged(self.me, "tcp", "silent"))
            now.return_value = 31.0
            self.lose(bot, True)
            now.return_value = 40.0
            self.assertEqual(bot.tunnel_seconds, 4.5)


class CrowdTests(SynchronousTestCase):
    """What is asked of the network, and told of it."""

    def test_aKillIsToldToEverybody(self) -> None:
        said: list[str] = []
        live = LiveLine(io.StringIO(), quiet=True)
        crowd = Crowd(TROUBLE, Problems(), live, None, None, said.append)
        crowd._mischief.go_on(21.0)
        self.assertEqual(said, ["chaos: cut@1", "chaos: kill@20"])
        self.assertEqual([bot.kills for bot in crowd.bots], [1, 1])

    def test_aScriptMustEndWithThePlay(self) -> None:
        check_chaos(parse_chaos("cut@9,block@1:8"), 9.5)
        for script in ("cut@10", "block@5:5"):
            with self.assertRaisesRegex(ConfigError, "is not within the 10 s of play"):
                check_chaos(parse_chaos(script), 10.0)

    def test_manyBotsSpeakMoreSeldom(self) -> None:
        self.assertEqual(LOAD.chat_seconds, 3.0)
        self.assertEqual(Load(address="a", count=200, seconds=1.0).chat_seconds, 12.0)

    def test_theDemoHandsItOn(self) -> None:
        plan = Plan(
            seconds=5,
            bots=1,
            simulation=("--sim-profile", "train"),
            chaos="kill@1",
            script=parse_chaos("kill@1", may_kill=True),
            trace="t.jsonl",
        )
        demo = Demo(plan, lambda: False, LiveLine(io.StringIO(), quiet=True))
        flags = demo._trouble()
        self.assertEqual(
            flags[:5], ["--sim-profile", "train", "--chaos", "kill@1", "--kill-elsewhere"]
        )
        self.assertEqual(flags[5:], ["--trace", str(Path("t.jsonl").absolute())])
        self.assertGreater(plan.slack, 0)
        self.assertEqual(Plan(seconds=5, bots=1).slack, 0)


class TraceTests(SynchronousTestCase):
    """What each bot saw, in a file."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "trace.jsonl")

    def test_timesAreOfPlay(self) -> None:
        player = Player(3, "ada", "")
        with patch("gamenet.demo.trace.time.monotonic") as now:
            now.return_value = 100.0
            trace = Trace(str(self.path))
            trace.took("ada", Connected(player, True))
            now.return_value = 102.0
            trace.begin(102.0)
            now.return_value = 103.5
            trace.note(None, "cut", asked=1.5)
            trace.took("ada", Suspended(player, DisconnectReason.SESSION_LOST), unanswered=2)
            trace.took("ada", Resumed(player, 0.25))
            trace.took("ada", Received(SERVER, b"x", 0))
            trace.took(
                "ada",
                Disconnected(player, DisconnectReason.SESSION_LOST, "gone", None, (b"x",), 3),
            )
            trace.close()
            trace.close()
            trace.note(None, "late")
        lines = [json.loads(line) for line in self.path.read_text().splitlines()]
        self.assertEqual(
            lines,
            [
                {"time": -2.0, "bot": "ada", "event": "Connected", "player": 3, "secure": True},
                {"time": 1.5, "bot": None, "event": "cut", "asked": 1.5},
                {
                    "time": 1.5,
                    "bot": "ada",
                    "event": "Suspended",
                    "reason": "SESSION_LOST",
                    "unanswered": 2,
                },
                {"time": 1.5, "bot": "ada", "event": "Resumed", "away_seconds": 0.25},
                {
                    "time": 1.5,
                    "bot": "ada",
                    "event": "Disconnected",
                    "reason": "SESSION_LOST",
                    "refusal": None,
                    "text": "gone",
                    "unacknowledged_count": 3,
                },
            ],
        )

    def test_aRunThatNeverBegan(self) -> None:
        trace = Trace(str(self.path))
        trace.note("ada", "Connected")
        trace.close()
        self.assertEqual(len(self.path.read_text().splitlines()), 1)

    def test_noFileIsNoFile(self) -> None:
        trace = Trace()
        trace.note("ada", "Connected")
        trace.begin(0.0)
        trace.close()

    def test_aFileThatCannotBe(self) -> None:
        with self.assertRaisesRegex(ConfigError, "cannot write /nowhere/t: No such file"):
            Trace("/nowhere/t")

"""The flight recorder: what is kept, for how long, how much of it, and where it is written."""

from __future__ import annotations

import json
import os
import stat
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.task import Clock
from twisted.logger import Logger, capturedLogs, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet import flight
from gamenet.errors import ConfigError, DisconnectReason
from gamenet.events import Chat, Joined, Left, PathChanged, Player, Resumed, Suspended
from gamenet.flight import FlightRecorder
from gamenet.record_folder import MAX_FILES, RecordError, RecordFolder
from gamenet.recorder import KEPT_SECONDS, MAX_BYTES, MAX_LINE_BYTES, Recorder
from gamenet.stuck import Held
from tests.world import World

HOSTILE = 'ada"\n\x1b[2J{}\u202e'


def parsed(lines: list[bytes]) -> list[dict[str, Any]]:
    """What lines say, without the time of day."""
    found = [json.loads(line) for line in lines]
    return [{name: value for name, value in each.items() if name != "at"} for each in found]


class RingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.recorder = Recorder(self.clock.seconds, lambda: 1_000.0 + self.clock.seconds())

    def test_aLineTellsWhenAndWhat(self) -> None:
        self.clock.advance(1.25)
        self.recorder.note("thing", number=5)
        self.assertEqual(
            self.recorder.lines(), [b'{"at": 1001.25, "kind": "thing", "number": 5}\n']
        )

    def test_aMinuteIsKept(self) -> None:
        for number in range(100):
            self.recorder.note("thing", number=number)
            self.clock.advance(1.0)
        numbers = [line["number"] for line in parsed(self.recorder.lines())]
        self.assertEqual(numbers, list(range(100 - int(KEPT_SECONDS), 100)))
        self.assertEqual(self.recorder.forgotten, 0)
        self.clock.advance(1_000.0)
        self.assertEqual(self.recorder.lines(), [])

    def test_theBytesAreBounded(self) -> None:
        for number in range(2_000):
            self.recorder.note("thing", number=number, text="x" * 1_000)
        lines = self.recorder.lines()
        self.assertLessEqual(sum(map(len, lines)), MAX_BYTES)
        self.assertGreater(sum(map(len, lines)), MAX_BYTES - 2_000)
        self.assertEqual(self.recorder.forgotten, 2_000 - len(lines))
        self.assertEqual(parsed(lines)[-1]["number"], 1_999)

    def test_aLineThatIsTooLongIsNotKept(self) -> None:
        self.recorder.note("thing", text="x" * MAX_LINE_BYTES)
        self.assertEqual(self.recorder.lines(), [])
        self.assertEqual(self.recorder.forgotten, 1)

    def test_threadsLoseNothing(self) -> None:
        def write() -> None:
            for _ in range(500):
                self.recorder.note("thing")

        threads = [threading.Thread(target=write) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = self.recorder.lines()
        self.assertEqual(len(lines), 2_000)
        self.assertEqual(self.recorder._bytes, sum(map(len, lines)))

    def test_whatChangesAPlayersState(self) -> None:
        ada = Player(7, HOSTILE, "her account")
        for event in (
            Joined(ada, "10.0.0.2:5000", True),
            PathChanged(ada, "udp", "bound"),
            Suspended(ada, DisconnectReason.TIMEOUT),
            Resumed(ada, 1.23456),
            Chat(ada, "a secret", False),
            Left(ada, DisconnectReason.QUIT, "words", (b"payload",), 1),
        ):
            self.recorder.hear(event)
        lines = self.recorder.lines()
        who = {"player": 7, "name": HOSTILE}
        self.assertEqual(
            parsed(lines),
            [
                {"kind": "joined", **who, "address": "10.0.0.2:5000", "secure": True},
                {"kind": "path", **who, "path": "udp", "reason": "bound"},
                {"kind": "suspended", **who, "reason": "TIMEOUT"},
                {"kind": "resumed", **who, "away_seconds": 1.235},
                {"kind": "left", **who, "reason": "QUIT"},
            ],
        )
        whole = b"".join(lines)
        self.assertEqual(whole.count(b"\n"), len(lines), "a name breaks out of its line")
        self.assertTrue(all(32 <= byte < 127 for byte in whole.replace(b"\n", b"")))
        for secret in (b"secret", b"words", b"payload", b"account"):
            self.assertNotIn(secret, whole)


class FolderCase(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name).resolve()

    def names(self) -> list[str]:
        return sorted(os.listdir(self.path))


class FolderTests(FolderCase):
    def test_aRecordIsANewFileForItsOwnerAlone(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        path = Path(RecordFolder(str(self.path)).write([b"one\n", b"two\n"]))
        self.assertEqual(path.parent, self.path)
        self.assertRegex(path.name, rf"gamenet-\d{{8}}T\d{{6}}Z-{os.getpid()}-00.jsonl")
        self.assertEqual(path.read_bytes(), b"one\ntwo\n")
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)

    def test_withoutAFolderItIsTheWorkingDirectory(self) -> None:
        self.addCleanup(os.chdir, os.getcwd())
        folder = RecordFolder("")
        folder.check()
        os.chdir(self.path)
        self.assertEqual(Path(folder.write([])).parent, self.path)

    def test_aWorkingDirectoryThatIsGone(self) -> None:
        self.addCleanup(os.chdir, os.getcwd())
        gone = self.path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        error = self.assertRaises(RecordError, RecordFolder("").write, [])
        self.assertIn("--record-dir", str(error))

    def test_oneThatIsNamedStaysWhereItWasNamed(self) -> None:
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.path)
        folder = RecordFolder(".")
        os.chdir("/")
        self.assertEqual(Path(folder.write([])).parent, self.path)

    def test_theNewestAreKept(self) -> None:
        for day in range(10, 30):
            (self.path / f"gamenet-202601{day}T000000Z-1-00.jsonl").touch()
        others = ["gamenet-notes.jsonl", "server.log"]
        for other in others:
            (self.path / other).touch()
        newest = Path(RecordFolder(str(self.path)).write([])).name
        left = [name for name in self.names() if name not in others]
        self.assertEqual(len(left), MAX_FILES)
        self.assertIn(newest, left)
        self.assertEqual(left[0], "gamenet-20260121T000000Z-1-00.jsonl")
        self.assertEqual([name for name in self.names() if name in others], others)

    def test_theNewOneIsKeptAlsoWhenTheClockWasSetBack(self) -> None:
        for day in range(10, 20):
            (self.path / f"gamenet-299901{day}T000000Z-1-00.jsonl").touch()
        newest = Path(RecordFolder(str(self.path)).write([])).name
        self.assertIn(newest, self.names())
        self.assertEqual(len(self.names()), MAX_FILES)

    def test_manyInASecondHaveNamesOfTheirOwn(self) -> None:
        folder = RecordFolder(str(self.path))
        self.assertEqual(len({folder.write([b"x"]) for _ in range(5)}), 5)

    def test_aLinkInItsPlaceIsNotFollowed(self) -> None:
        target = self.path / "target"
        folder = RecordFolder(str(self.path))
        name = Path(folder.write([b"first"])).name
        (self.path / name).unlink()
        for number in range(100):
            link = self.path / f"{name[: -len('00.jsonl')]}{number:02}.jsonl"
            link.symlink_to(target)
        try:
            folder.write([b"second"])  # in the same second there is no name left
        except RecordError as error:
            self.assertIn("File exists", str(error))
        self.assertFalse(target.exists())

    def test_foldersThatAreNotTaken(self) -> None:
        link = self.path / "link"
        link.symlink_to(self.path)
        file = self.path / "file"
        file.touch()
        everybody = self.path / "everybody"
        everybody.mkdir()
        everybody.chmod(0o777)
        for path, words in (
            (link, "is a link; name the folder itself"),
            (file, "Not a directory"),
            (self.path / "absent", "No such file or directory"),
            (everybody, "everybody on this machine can write into"),
        ):
            folder = RecordFolder(str(path))
            error = self.assertRaises(ConfigError, folder.check)
            self.assertEqual(error.field, "record_dir")
            self.assertIn(words, str(error))
            self.assertIn(words, str(self.assertRaises(RecordError, folder.write, [])))
        everybody.chmod(0o1777)  # nobody can take away what is another's
        RecordFolder(str(everybody)).check()

    def test_aFolderThatWeMayNotWriteInto(self) -> None:
        self.patch(os, "access", lambda path, mode: False)
        error = self.assertRaises(ConfigError, RecordFolder(str(self.path)).check)
        self.assertIn("may not write", str(error))


class FlightTests(FolderCase):
    """A world whose server is recorded."""

    def setUp(self) -> None:
        super().setUp()
        self.made = World(self, resume_seconds=30.0)
        self.server: Any = SimpleNamespace(host=self.made.server.host, facade=None, draining=False)
        self.flight = FlightRecorder(self.server, str(self.path), self.made.server.machine)
        self.flight.startService()
        self.addCleanup(self.flight.stopService)

    def lines(self, kind: str = "") -> list[dict[str, Any]]:
        found = parsed(Path(self.flight.dump()).read_bytes().splitlines(keepends=True))
        return [line for line in found if not kind or line["kind"] == kind]

    def test_whoCameWentAndCameBack(self) -> None:
        ada = self.made.join("ada", redials=True)
        self.made.run(1.0)
        assert ada.transport is not None
        ada.transport.abortConnection()
        self.made.run(2.0)
        bob = self.made.join("bob")
        self.made.server.host.kick(bob.host.player.id, DisconnectReason.KICKED, "", 0.0)
        self.made.run(1.0)
        kinds = [(line["kind"], line.get("name")) for line in self.lines()]
        for kind, name in (
            ("joined", "ada"),
            ("path", "ada"),
            ("suspended", "ada"),
            ("resumed", "ada"),
            ("joined", "bob"),
            ("left", "bob"),
        ):
            self.assertIn((kind, name), kinds)
        (player,) = self.lines("player")
        self.assertEqual((player["name"], player["suspended"]), ("ada", False))

    def test_theHeadSaysWhatTheRestIs(self) -> None:
        head = self.lines()[0]
        self.assertEqual((head["kind"], head["format"]), ("record", flight.FORMAT))
        self.assertEqual((head["reason"], head["process"]), ("asked", os.getpid()))
        self.assertEqual((head["lines"], head["forgotten"]), (0, 0))

    def test_onceASecondWhatHasChanged(self) -> None:
        self.made.join("ada")
        host = self.made.server.host
        host.counters.drop_verb_gone += 5
        self.made.run(1.5)
        host.counters.drop_verb_gone += 2
        host.beat_late_lately = 0.25
        self.made.run(1.0)
        self.made.run(1.0)
        seconds = self.lines("second")
        drops = [line.get("counters", {}).get("drop_verb_gone") for line in seconds]
        self.assertEqual([drop for drop in drops if drop], [5, 2])
        self.assertEqual([line["players"] for line in seconds][-1], 1)
        self.assertEqual([line["beat_late_ms"] for line in seconds].count(250.0), 1)
        self.assertNotIn("refusals", seconds[-1])

    def test_thatTheServerIsBeingEmptied(self) -> None:
        self.made.run(1.1)
        self.server.draining = True
        self.made.run(1.0)
        before, after = self.lines("second")
        self.assertNotIn("draining", before)
        self.assertTrue(after["draining"])

    def test_refusalsByReason(self) -> None:
        host = self.made.server.host
        host.refuse_newcomers()
        self.made.client("ada")
        self.made.run(1.5)
        self.assertIn({"BUSY": 1}, [line.get("refusals") for line in self.lines("second")])

    def test_nothingIsDoneForADatagram(self) -> None:
        """The only calls are those of the sample, once a second, and of what few events tell."""
        ada = self.made.join("ada")
        self.made.run(2.0)
        notes: list[str] = []
        note = self.flight._recorder.note
        self.patch(
            self.flight._recorder, "note", lambda kind, **fields: (notes.append(kind), note(kind))
        )
        came = self.made.server.counters.datagrams_in
        for _ in range(60):
            ada.verbs.send_input(1)
            self.made.run(1 / 30)
        self.assertGreater(self.made.server.counters.datagrams_in - came, 30)
        self.assertEqual(set(notes), {"second"})
        self.assertLessEqual(len(notes), 3)

    def test_aLoopsStepsAndLateness(self) -> None:
        self.flight._server.facade = SimpleNamespace(  # type: ignore[assignment]
            steps=lambda: (30.0, 2.0), late_since=lambda since: 0.0125
        )
        self.made.run(1.1)
        (second,) = self.lines("second")
        told = (second["ticks"], second["skipped"], second["tick_late_ms"])
        self.assertEqual(told, (30.0, 2.0, 12.5))

    def test_whatIsHeldUp(self) -> None:
        self.flight.held_up(Held("reactor", 0.123456, ("a.py:1 f",), ("b.py:2 g",)))
        (line,) = self.lines("held_up")
        self.assertEqual(
            (line["who"], line["seconds"], line["stack"], line["meanwhile"]),
            ("reactor", 0.123, ["a.py:1 f"], ["b.py:2 g"]),
        )

    def test_whatTheLogWarnsOfWithoutItsValues(self) -> None:
        log = Logger("gamenet.turns")
        log.info("all is well")
        log.warn("somebody said {text}", text="a secret")
        (line,) = self.lines("log")
        self.assertEqual(
            (line["level"], line["source"], line["text"]),
            ("warn", "gamenet.turns", "somebody said {text}"),
        )

    def fail(  # type: ignore[override]
        self, source: str = "gamenet.turns", kind: type[Exception] = ZeroDivisionError
    ) -> None:
        """Something raises, and is logged."""
        try:
            raise kind("a secret")
        except kind:
            Logger(source).failure("a defect")

    def test_aDefectIsWrittenDownOnceAMinute(self) -> None:
        with capturedLogs() as logs:
            self.fail()
            self.fail()
            self.made.run(0.1)
        self.assertEqual(len(self.names()), 1)
        (told,) = [event for event in logs if "flight record" in event["log_format"]]
        text = (self.path / self.names()[0]).read_text()
        self.assertIn(str(self.path / self.names()[0]), formatEvent(told))
        self.assertNotIn("a secret", text)
        found = parsed(text.encode().splitlines())
        self.assertEqual(found[0]["reason"], "failure")
        failure = next(line for line in found if line["kind"] == "failure")
        self.assertEqual(failure["error"], "ZeroDivisionError")
        self.assertRegex(failure["stack"][0], r"^test_recorder.py:\d+ fail$")
        self.made.run(KEPT_SECONDS)
        self.fail()
        self.made.run(0.1)
        self.assertEqual(len(self.names()), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_aGameThatRaisedIsWrittenDownByWhoEndsTheServer(self) -> None:
        self.fail("gamenet.game")
        self.made.run(0.1)
        self.assertEqual(self.names(), [])
        self.assertEqual(len(self.lines("failure")), 1)
        self.flushLoggedErrors(ZeroDivisionError)

    def test_aSecondSignalIsNoDefect(self) -> None:
        self.fail("twisted.internet.base", ReactorNotRunning)
        self.made.run(0.1)
        self.assertEqual(self.names(), [])
        self.flushLoggedErrors(ReactorNotRunning)

    def test_aFolderThatIsGoneIsOneLineOfTheLog(self) -> None:
        self.flight._folder = RecordFolder(str(self.path / "absent"))
        with capturedLogs() as logs:
            self.flight.write_down("crash")
        (event,) = logs
        self.assertIn("there is no flight record: cannot write into", formatEvent(event))
        self.assertRaises(RecordError, self.flight.dump)

    def test_aFolderThatCannotBeUsedIsSaidAtTheStart(self) -> None:
        folder = str(self.path / "absent")
        flight = FlightRecorder(self.server, folder, self.made.server.machine)
        with capturedLogs() as logs:
            flight.startService()
        self.addCleanup(flight.stopService)
        (event,) = logs
        self.assertIn("no flight record could be written: record_dir: ", formatEvent(event))
        self.assertIn(folder, formatEvent(event))

    def test_theEndLeavesNothing(self) -> None:
        self.flight.stopService()
        self.assertNotIn(self.flight, globalLogPublisher._observers)
        self.made.run(5.0)
        self.assertEqual(self.lines("second"), [])

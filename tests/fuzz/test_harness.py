"""The harness itself: what one input may cost, and what the driver says and ends with."""

from __future__ import annotations

import contextlib
import io
import itertools
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz import __main__ as driver
from tests.fuzz import corpus, harness
from tests.fuzz.harness import Broken, Cursor, Meter, Target, TooLarge, TooSlow, check, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REFUSES = b"\x03\x01\x00\x00"
CRASHED = """\
#2  INITED cov: 4 ft: 4

 === Uncaught Python exception: ===
ValueError: of what it died
Traceback (most recent call last):

==5803== ERROR: libFuzzer: fuzz target exited
SUMMARY: libFuzzer: fuzz target exited
artifact_prefix='{0}'; Test unit written to {0}crash-51
stat::number_of_executed_units: 676
"""


class Costly(Target):
    """One that does as it is told."""

    name = "costly"

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.runs = 0

    def seeds(self) -> Iterable[bytes]:
        """None."""
        return ()

    def run(self, data: bytes, meter: Meter) -> None:
        """Do it."""
        self.runs += 1
        meter(self.call)


class CostTests(SynchronousTestCase):
    """Time and memory of one input."""

    def clock(self, *seconds: float) -> None:
        """Let the calls take so long, one after the other, and the last from then on."""
        now = 0.0
        times = []
        for each in itertools.chain(seconds, itertools.repeat(seconds[-1], 20)):
            times += [now, now + each]
            now += each
        self.patch(harness.time, "thread_time", iter(times).__next__)

    def test_what_is_slow_each_time_is_found(self) -> None:
        self.clock(0.06)
        target = Costly(lambda: None)
        self.assertRaises(TooSlow, examine, target, b"", weighed=False)
        self.assertEqual(target.runs, 1 + harness.ATTEMPTS)

    def test_what_is_slow_now_and_then_is_the_machine(self) -> None:
        self.clock(5.0, 0.06, 0.04)
        target = Costly(lambda: None)
        examine(target, b"", weighed=False)
        self.assertEqual(target.runs, 3)

    def test_a_replay_does_not_look_at_the_clock(self) -> None:
        self.clock(5.0)
        target = Costly(lambda: None)
        examine(target, b"", timed=False, weighed=False)
        self.assertEqual(target.runs, 1)

    def test_calls_of_one_input_add_up(self) -> None:
        self.clock(0.25)
        meter = Meter()
        meter(int)
        meter(int)
        self.assertEqual(meter.seconds, 0.5)

    def test_what_is_held_is_found_even_if_it_is_let_go(self) -> None:
        self.assertRaises(TooLarge, examine, Costly(lambda: bytes(1 << 20)), b"", timed=False)
        examine(Costly(lambda: bytes(1 << 19)), b"", timed=False)

    def test_what_is_made_only_once_is_not_the_inputs_fault(self) -> None:
        kept: list[bytes] = []
        examine(Costly(lambda: kept or kept.append(bytes(1 << 21))), b"", timed=False)

    def test_an_input_that_is_not_weighed_is_weighed_if_the_process_grows(self) -> None:
        sizes = iter((1_000, 1_000 + harness.SUSPICIOUS_KIB + 1, 0, 0))
        self.patch(harness, "_peak_kib", lambda: next(sizes))
        target = Costly(lambda: bytes(1 << 21))
        self.assertRaises(TooLarge, examine, target, b"", timed=False, weighed=False)

    def test_results_and_exceptions_pass_through(self) -> None:
        for meter in (Meter(), Meter(weigh=False)):
            self.assertEqual(meter(int, "7"), 7)
            self.assertRaises(ValueError, meter, int, "x")

    def test_a_check_says_what_does_not_hold(self) -> None:
        check(True, "never said")
        error = self.assertRaises(Broken, check, False, "what", b"\x00", 5)
        self.assertEqual(str(error), r"what b'\x00' 5")


class CursorTests(SynchronousTestCase):
    """Taking an input apart."""

    def test_beyond_the_end_there_is_nothing(self) -> None:
        cursor = Cursor(b"\x01\x02\x03\x04")
        self.assertEqual((cursor.number(), cursor.number(2)), (1, 0x0203))
        self.assertFalse(cursor.is_empty)
        self.assertEqual((cursor.number(2), cursor.is_empty), (0x0400, True))
        self.assertEqual((cursor.number(4), cursor.take(9), cursor.rest()), (0, b"", b""))


class DriverTests(SynchronousTestCase):
    """``python -m tests.fuzz``."""

    def setUp(self) -> None:
        self.patch(corpus, "WORK", Path(self.mktemp()).resolve() / ".fuzz")
        self.ran: list[tuple[str, ...]] = []

    def drive(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and all that was said."""
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            status = driver.main(arguments)
        return status, said.getvalue()

    def worker(self, status: int, says: str) -> None:
        """Let workers end so."""

        def run(name: str, log: Path, *flags: str) -> int:
            self.ran.append((name, *flags))
            found = next(flag for flag in flags if flag.startswith("-artifact_prefix="))
            log.write_text(says.format(found.partition("=")[2]))
            return status

        self.patch(driver, "run_worker", run)
        self.patch(driver.importlib.util, "find_spec", lambda name: name)

    def test_without_atheris_one_line_says_so(self) -> None:
        self.patch(driver.importlib.util, "find_spec", lambda name: None)
        status, said = self.drive("--seconds", "1")
        self.assertEqual((status, said.count("\n")), (2, 1))
        self.assertIn("atheris", said)

    def test_nothing_found(self) -> None:
        self.worker(0, "stat::number_of_executed_units: 1234\n")
        status, said = self.drive("--seconds", "9", "--target", "hello", "--target", "refuse")
        self.assertEqual(status, 0)
        _, hello, refuse, last = said.splitlines()
        self.assertRegex(hello, r"^hello +1,234 runs +0 new  nothing found$")
        self.assertTrue(refuse.startswith("refuse "))
        self.assertEqual(last, "nothing found")

    def test_what_is_found_is_told_with_its_file_and_its_cause(self) -> None:
        self.worker(77, CRASHED)
        status, said = self.drive("--target", "hello")
        self.assertEqual(status, 1)
        line = said.splitlines()[1]
        reproducer = corpus.WORK / "found" / "hello" / "crash-51"
        self.assertIn(f"676 runs      0 new  FOUND {reproducer}: ValueError: of what", line)

    def test_a_worker_that_cannot_work_is_a_failure(self) -> None:
        self.worker(1, "ImportError: no such thing\n")
        status, said = self.drive("--target", "hello")
        self.assertEqual(status, 1)
        self.assertIn("ImportError: no such thing", said)

    def test_the_time_is_divided_over_targets_and_cores(self) -> None:
        self.worker(0, "")
        self.patch(driver, "cores", lambda: 3)
        self.drive("--seconds", "90", "--target", "hello", "--target", "refuse", "--target", "body")
        self.assertEqual(len(self.ran), 3)
        for flags in self.ran:
            self.assertIn("-max_total_time=60", flags)

    def test_what_was_found_is_tried_again_in_the_next_run(self) -> None:
        self.worker(0, "")
        self.drive("--target", "hello")
        self.assertIn(str(corpus.WORK / "found" / "hello"), self.ran[0])
        self.assertIn(str(corpus.KEPT / "hello"), self.ran[0])

    def test_the_worker_is_given_the_seeds(self) -> None:
        self.worker(0, "")
        self.drive("--target", "refuse")
        folder = corpus.WORK / "seeds" / "refuse"
        self.assertIn(str(folder), self.ran[0])
        written = {path.read_bytes() for path in folder.iterdir()}
        self.assertEqual(written, set(driver.TARGETS["refuse"].seeds()))

    def test_an_input_is_replayed(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(REFUSES)
        self.assertEqual(self.drive("--target", "refuse", "--replay", str(path))[0], 0)

        def run(data: bytes, meter: Meter) -> None:
            raise KeyError(data)

        self.patch(driver.TARGETS["refuse"], "run", run)
        status, said = self.drive("--target", "refuse", "--replay", str(path))
        self.assertEqual(status, 1)
        self.assertIn(f"KeyError: {REFUSES!r}", said)

    def test_a_replay_knows_the_target_by_the_folder(self) -> None:
        path = corpus.folder("found", "refuse") / "crash-1"
        path.write_bytes(REFUSES)
        self.assertEqual(self.drive("--replay", str(path)), (0, "nothing found\n"))
        other = Path(self.mktemp())
        other.write_bytes(REFUSES)
        self.assertEqual(self.drive("--replay", str(other))[0], 2)

    def test_all_targets_are_listed(self) -> None:
        status, said = self.drive("--list")
        self.assertEqual(status, 0)
        self.assertEqual([line.split()[0] for line in said.splitlines()], list(driver.TARGETS))
        self.assertTrue(all(len(line.split()) > 3 for line in said.splitlines()), said)


class CommandTests(SynchronousTestCase):
    """The command as it is typed."""

    def test_it_runs(self) -> None:
        done: Any = subprocess.run(
            [sys.executable, "-m", "tests.fuzz", "--list"],
            cwd=corpus.KEPT.parents[2],
            capture_output=True,
            text=True,
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("server_stream", done.stdout)

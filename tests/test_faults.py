"""The log of what others do wrong: enough to see it, never more than it can stand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet import faults
from gamenet.faults import FaultLog, shown

START = 1_000.0


class FaultLogTests(SynchronousTestCase):
    """``FaultLog``."""

    def test_one_line_for_each_kind_and_address_in_a_while(self) -> None:
        log = FaultLog(10.0, 100, START)
        self.assertEqual(log.note("login", "a", START), 1)
        self.assertEqual(log.note("login", "a", START), 0)
        self.assertEqual(log.note("login", "b", START), 1)
        self.assertEqual(log.note("protocol", "a", START), 1)
        self.assertEqual(log.note("login", "a", START + 9.999), 0)

    def test_a_line_tells_how_many_there_were_since_the_last(self) -> None:
        log = FaultLog(10.0, 100, START)
        for _ in range(5):
            log.note("login", "a", START)
        self.assertEqual(log.note("login", "a", START + 10.0), 5)
        self.assertEqual(log.note("login", "a", START + 10.0), 0)
        self.assertEqual(log.note("login", "a", START + 20.0), 2)
        self.assertEqual(log.note("login", "a", START + 30.0), 1)

    def test_so_many_lines_a_second_altogether(self) -> None:
        log = FaultLog(10.0, 3, START)
        lines = [log.note("login", f"{number}", START) for number in range(100)]
        self.assertEqual(lines, [1] * 3 + [0] * 97)
        lines = [log.note("login", f"later {number}", START + 1.0) for number in range(100)]
        self.assertEqual(sum(lines), 3)

    def test_one_that_got_no_line_gets_it_with_its_count_as_soon_as_there_is_room(self) -> None:
        log = FaultLog(10.0, 1, START)
        self.assertEqual(log.note("login", "a", START), 1)
        self.assertEqual(log.note("login", "b", START), 0)
        self.assertEqual(log.note("login", "b", START + 0.5), 0)
        self.assertEqual(log.note("login", "b", START + 1.0), 3)

    def test_one_that_is_silent_takes_nobody_elses_line(self) -> None:
        log = FaultLog(10.0, 2, START)
        self.assertEqual(log.note("login", "a", START), 1)
        for _ in range(50):
            self.assertEqual(log.note("login", "a", START), 0)
        self.assertEqual(log.note("login", "b", START), 1)

    def test_the_table_is_bounded_and_forgets_the_oldest(self) -> None:
        self.patch(faults, "TABLE", 4)
        log = FaultLog(1_000.0, 1_000_000, START)
        for name in "abcd":
            log.note("login", name, START)
        log.note("login", "a", START)
        log.note("login", "e", START)
        self.assertEqual(len(log._table), 4)
        self.assertEqual(log.note("login", "a", START + 1), 0)
        self.assertEqual(log.note("login", "b", START + 1), 1)
        self.assertEqual(len(log._table), 4)

    def test_the_real_table_is_bounded_too(self) -> None:
        log = FaultLog(10.0, 100, START)
        for number in range(2 * faults.TABLE):
            log.note("login", f"{number}", START)
        self.assertEqual(len(log._table), faults.TABLE)

    @given(
        st.lists(
            st.tuples(
                st.sampled_from(("login", "protocol")),
                st.sampled_from("abc"),
                st.sampled_from((0.0, 0.25, 1.0, 4.0)),
            )
        ),
        st.integers(1, 3),
    )
    def test_every_fault_is_told_of_once_and_lines_are_as_far_apart_as_they_must(
        self, steps: list[tuple[str, str, float]], most: int
    ) -> None:
        log = FaultLog(5.0, most, START)
        now = START
        happened: dict[tuple[str, str], int] = {}
        told: dict[tuple[str, str], list[tuple[float, int]]] = {}
        lines: list[float] = []
        for kind, address, pause in steps:
            now += pause
            key = (kind, address)
            happened[key] = happened.get(key, 0) + 1
            count = log.note(kind, address, now)
            if count:
                lines.append(now)
                before = told.setdefault(key, [])
                self.assertEqual(count, happened[key] - sum(each for _, each in before))
                self.assertTrue(not before or now - before[-1][0] >= 5.0)
                before.append((now, count))
        for first, time in enumerate(lines):
            for last in range(first, len(lines)):
                self.assertLessEqual(last - first + 1, most + most * (lines[last] - time) + 1e-6)


class ShownTests(SynchronousTestCase):
    """``shown``."""

    def test_what_a_peer_sent_is_cut_to_64_characters(self) -> None:
        for size in (0, 1, 63, 64):
            self.assertEqual(shown("x" * size), "x" * size)
        self.assertEqual(shown("x" * 65), "x" * 64 + "...")
        self.assertEqual(shown("é" * 10_000), "é" * 64 + "...")

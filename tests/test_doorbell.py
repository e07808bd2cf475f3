"""What wakes the other thread: rung once or often, heard, closed, and nothing left of it."""

from __future__ import annotations

import os
import sys
import threading

from twisted.trial.unittest import SynchronousTestCase

from gamenet import doorbell as doorbell_module
from gamenet.bridge import Bridge
from gamenet.doorbell import HAS_BENCH, Bench, Doorbell
from tests.promises.faults import descriptors
from tests.test_bridge import HANGS_SECONDS, WaitTests, event

MOST = (2**64 - 2).to_bytes(8, sys.byteorder)
"""So often can an eventfd be rung."""


class DescriptorCase(SynchronousTestCase):
    """Nothing is open at the end that was not at the beginning."""

    def setUp(self) -> None:
        before = descriptors()
        self.addCleanup(lambda: self.assertEqual(descriptors(), before))

    def has_as_many(self, more: int, than: list[str]) -> None:
        self.assertEqual(len(descriptors()), len(than) + more)


class DoorbellTests(DescriptorCase):
    """An eventfd."""

    def make(self) -> Doorbell:
        bell = Doorbell()
        self.addCleanup(bell.close)
        return bell

    def test_it_is_heard_once_however_often_it_was_rung(self) -> None:
        bell = self.make()
        self.assertFalse(bell.hear())
        self.assertTrue(bell.ring())
        self.assertTrue(bell.ring())
        self.assertTrue(bell.hear())
        self.assertFalse(bell.hear())

    def test_full_it_is_still_heard(self) -> None:
        bell = self.make()
        self.fill(bell)
        self.assertTrue(bell.ring())
        self.assertTrue(bell.hear())

    def fill(self, bell: Doorbell) -> None:
        os.write(bell._out, MOST)

    def test_closed_it_cannot_be_rung_and_says_what_nobody_has_heard(self) -> None:
        bell, silent = self.make(), self.make()
        bell.ring()
        self.assertTrue(bell.close())
        self.assertFalse(bell.close())
        self.assertFalse(silent.close())
        self.assertFalse(bell.ring())
        self.assertFalse(bell.hear())
        self.assertEqual(bell.fileno(), -1)

    def test_a_signal_handler_may_ring_in_the_middle_of_a_ring(self) -> None:
        bell = Doorbell()
        write = os.write
        rung: list[bool | None] = []

        def interrupted(end: int, data: bytes) -> int:
            if not rung:
                rung.append(None)
                rung.append(bell.ring())
            return write(end, data)

        self.patch(doorbell_module.os, "write", interrupted)
        thread = threading.Thread(target=lambda: rung.append(bell.ring()), daemon=True)
        thread.start()
        thread.join(HANGS_SECONDS)
        self.assertFalse(thread.is_alive(), "it waits for itself")
        self.assertEqual(rung, [None, True, True])
        self.assertTrue(bell.close())

    def test_one_that_is_forgotten_closes_itself(self) -> None:
        before = descriptors()
        bell = Doorbell()
        self.assertNotEqual(descriptors(), before)
        del bell
        self.assertEqual(descriptors(), before)


class PipeTests(DoorbellTests):
    """A pipe, where there is no eventfd."""

    def setUp(self) -> None:
        self.patch(doorbell_module, "HAS_EVENTFD", False)
        super().setUp()

    def fill(self, bell: Doorbell) -> None:
        self.assertRaises(BlockingIOError, self._fill, bell._out)

    def _fill(self, end: int) -> None:
        while True:
            os.write(end, b"x" * 4_096)

    def test_full_it_is_still_heard(self) -> None:
        bell = self.make()
        self.fill(bell)
        self.assertTrue(bell.ring())
        self.assertTrue(bell.hear())


class BenchTests(DescriptorCase):
    """Where a game's thread sits."""

    if not HAS_BENCH:
        skip = "there is no epoll here"

    def test_a_ring_from_before_counts_and_each_only_once(self) -> None:
        bench = Bench()
        bench.open()
        bench.ring()
        bench.ring()
        bench.sit(HANGS_SECONDS)
        bench.sit(0.001)
        bench.ring()
        bench.sit(HANGS_SECONDS)
        bench.close()
        bench.close()
        bench.ring()
        bench.sit(HANGS_SECONDS)

    def test_a_game_that_waits_has_one_until_the_bridge_closes(self) -> None:
        before, bridge = descriptors(), Bridge()
        self.has_as_many(0, before)
        bridge.wait(0.005)
        self.has_as_many(2, before)
        bridge.wait(0.005)
        self.has_as_many(2, before)
        bridge.close()
        self.has_as_many(0, before)
        bridge.wait(HANGS_SECONDS)
        self.has_as_many(0, before)
        bridge.publish([event(1)])
        bridge.close()

    def test_a_game_that_the_close_finds_waiting_takes_it_along(self) -> None:
        before, bridge = descriptors(), Bridge()
        thread = threading.Thread(target=bridge.wait, args=(10 * HANGS_SECONDS,), daemon=True)
        thread.start()
        while not bridge._waiting:
            pass
        bridge.close()
        thread.join(HANGS_SECONDS)
        self.assertFalse(thread.is_alive())
        self.has_as_many(0, before)

    def test_a_wait_that_is_over_before_it_begins_does_without(self) -> None:
        before, bridge = descriptors(), Bridge()
        bridge.publish([event(1)])
        bridge.wait(HANGS_SECONDS)
        self.has_as_many(0, before)
        bridge.close()


class LockedWaitTests(WaitTests):
    """The same where there is no bench: the game waits for a lock."""

    def setUp(self) -> None:
        self.patch(doorbell_module, "HAS_BENCH", False)

"""The threads that check passwords: few, with a short queue, in nobody's way."""

from __future__ import annotations

import queue
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gamenet import login_pool
from gamenet.credentials import LoginRefused
from gamenet.errors import RefusalReason
from gamenet.login_pool import LoginPool, LoginThreads

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class ManualThreads:
    """Threads that work when a test says so, on the test's own."""

    def __init__(self, least: int, most: int, name: str) -> None:
        self.most = most
        self.jobs: list[Any] = []
        self.started = 0
        self.stopped = 0

    def start(self) -> None:
        self.started += 1

    def stop(self) -> None:
        self.stopped += 1

    def callInThreadWithCallback(self, on_result: Any, call: Any, *arguments: Any) -> None:
        self.jobs.append((on_result, call, arguments))

    def work(self) -> None:
        """Do the oldest job."""
        on_result, call, arguments = self.jobs.pop(0)
        try:
            result = call(*arguments)
        except Exception:
            on_result(False, Failure())
        else:
            on_result(True, result)


class FromThread:
    """A reactor that does what threads ask for at once."""

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        call(*arguments)


class PoolTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.made: list[ManualThreads] = []

        def make(*arguments: Any) -> ManualThreads:
            self.made.append(ManualThreads(*arguments))
            return self.made[-1]

        self.patch(login_pool, "LoginThreads", make)
        self.done: list[Any] = []

    def pool(self, threads: int = 2, queue: int = 3) -> LoginPool:
        return LoginPool(threads, queue, FromThread())

    def run_in(self, pool: LoginPool, name: Any) -> Deferred[Any]:
        """A job that notes when it is done."""
        return pool.run(self.done.append, name)

    def assertBusy(self, result: Deferred[Any]) -> None:
        refused: Any = self.failureResultOf(result, LoginRefused).value
        self.assertEqual((refused.refusal, refused.retry_after_seconds), (RefusalReason.BUSY, 1))


class QueueTests(PoolTestCase):
    def test_threadsStartWithTheFirstJob(self) -> None:
        pool = self.pool()
        self.assertEqual(self.made, [])
        for name in range(3):
            self.run_in(pool, name)
        (threads,) = self.made
        self.assertEqual((threads.most, threads.started), (2, 1))

    def test_noMoreJobsThanThreadsAreGiven(self) -> None:
        pool = self.pool()
        results = [self.run_in(pool, name) for name in range(5)]
        (threads,) = self.made
        self.assertEqual((len(threads.jobs), pool.running, pool.waiting, pool.jobs), (2, 2, 3, 2))
        threads.work()
        self.assertEqual((len(threads.jobs), pool.running, pool.waiting, pool.jobs), (2, 2, 2, 3))
        for _ in range(4):
            threads.work()
        self.assertEqual(self.done, [0, 1, 2, 3, 4])
        self.assertEqual([self.successResultOf(result) for result in results], [None] * 5)
        self.assertEqual((pool.running, pool.waiting, pool.jobs, pool.refused), (0, 0, 5, 0))

    def test_aFullQueueRefusesAndForgets(self) -> None:
        pool = self.pool()
        for name in range(5):
            self.run_in(pool, name)
        self.assertBusy(self.run_in(pool, "late"))
        self.assertEqual((pool.refused, pool.waiting), (1, 3))
        (threads,) = self.made
        threads.work()
        later = self.run_in(pool, "later")
        while threads.jobs:
            threads.work()
        self.successResultOf(later)
        self.assertNotIn("late", self.done)

    def test_resultsAndFailuresArrive(self) -> None:
        pool = self.pool()
        result = pool.run(divmod, 7, 2)
        failure = pool.run(divmod, 7, 0)
        self.made[0].work()
        self.made[0].work()
        self.assertEqual(self.successResultOf(result), (3, 1))
        self.failureResultOf(failure, ZeroDivisionError)
        self.assertEqual(pool.running, 0)

    def test_itShowsNothingOfItsJobs(self) -> None:
        pool = self.pool()
        pool.run(self.done.append, "secret")
        self.assertEqual(repr(pool), "<LoginPool: 1 running, 0 waiting>")


class CancelTests(PoolTestCase):
    """Somebody who waits for a login goes away."""

    def test_aWaitingJobLeavesTheQueue(self) -> None:
        pool = self.pool()
        results = [self.run_in(pool, name) for name in range(5)]
        results[3].cancel()
        self.failureResultOf(results[3], LoginRefused)
        self.assertEqual(pool.waiting, 2)
        last = self.run_in(pool, 5)
        while self.made[0].jobs:
            self.made[0].work()
        self.assertEqual(self.done, [0, 1, 2, 4, 5])
        self.successResultOf(last)

    def test_aRunningJobEndsUnheard(self) -> None:
        pool = self.pool(threads=1)
        first, second = self.run_in(pool, 1), self.run_in(pool, 2)
        first.cancel()
        self.failureResultOf(first, LoginRefused)
        self.assertEqual((pool.running, pool.waiting), (1, 1))
        self.made[0].work()
        self.made[0].work()
        self.successResultOf(second)
        self.assertEqual((pool.running, pool.jobs), (0, 2))


class StopTests(PoolTestCase):
    def test_withoutJobsThereIsNothingToStop(self) -> None:
        self.assertIsNone(self.successResultOf(self.pool().stop()))
        self.assertEqual(self.made, [])

    def test_whatWaitsIsRefusedAndWhatRunsIsHeard(self) -> None:
        pool = self.pool()
        results = [self.run_in(pool, name) for name in range(4)]
        stopped = pool.stop()
        again = pool.stop()
        self.assertBusy(results[2])
        self.assertBusy(results[3])
        (threads,) = self.made
        threads.work()
        self.assertNoResult(stopped)
        self.assertEqual(threads.stopped, 0)
        threads.work()
        self.assertIsNone(self.successResultOf(stopped))
        self.assertIsNone(self.successResultOf(again))
        self.assertEqual((self.done, threads.stopped), ([0, 1], 1))
        self.successResultOf(results[0])
        self.successResultOf(results[1])

    def test_afterwardsItRefusesUntilItIsStarted(self) -> None:
        pool = self.pool()
        self.run_in(pool, 0)
        self.made[0].work()
        self.successResultOf(pool.stop())
        self.assertBusy(self.run_in(pool, 1))
        pool.start()
        result = self.run_in(pool, 2)
        self.made[1].work()
        self.successResultOf(result)
        self.assertEqual((self.done, len(self.made)), ([0, 2], 2))

    def test_startedAgainWhileJobsRunItKeepsItsThreads(self) -> None:
        pool = self.pool()
        self.run_in(pool, 0)
        stopped = pool.stop()
        pool.start()
        self.successResultOf(stopped)
        self.made[0].work()
        result = self.run_in(pool, 1)
        (threads,) = self.made
        threads.work()
        self.successResultOf(result)
        self.assertEqual(threads.stopped, 0)


class RealThreadsTests(SynchronousTestCase):
    """The same with threads."""

    def test_jobsRunElsewhereAndTheirResultsComeHere(self) -> None:
        arrived: queue.Queue[Any] = queue.Queue()

        class Reactor:
            def callFromThread(self, *call: Any) -> None:
                arrived.put(call)

        pool = LoginPool(1, 2, Reactor())
        results = [pool.run(threading.current_thread) for _ in range(3)]
        for _ in results:
            call, *arguments = arrived.get(timeout=60)
            call(*arguments)
        threads = {self.successResultOf(result) for result in results}
        (thread,) = threads
        self.assertIsNot(thread, threading.current_thread())
        self.assertTrue(thread.daemon)
        self.assertIn("gamenet-login", thread.name)
        self.successResultOf(pool.stop())
        self.assertFalse(thread.is_alive())

    def test_noProcessWaitsForAJobAtItsEnd(self) -> None:
        done = subprocess.run(
            [
                sys.executable,
                "-c",
                textwrap.dedent(
                    """
                    import threading
                    from gamenet.login_pool import LoginPool

                    started = threading.Event()
                    pool = LoginPool(1, 1, None)
                    pool.run(lambda: (started.set(), threading.Event().wait()))
                    assert started.wait(60)
                    """
                ),
            ],
            capture_output=True,
            text=True,
            timeout=120,
        )
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))

    def test_theThreadsAreTwistedsOwnKind(self) -> None:
        threads = LoginThreads(0, 1, "x")
        self.assertEqual((threads.min, threads.max, threads.started), (0, 1, False))

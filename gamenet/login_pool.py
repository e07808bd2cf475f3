"""The threads that check passwords, apart from the reactor's own.

Layer 4. Runs on: the reactor thread, except for the jobs themselves.

Checking a password costs tens of milliseconds on purpose. A rush of logins must take neither the
reactor's turn nor the threads that resolve names, so these threads are few, and what waits for
them is bounded. They start with the first job, and being daemon threads they keep no process from
exiting.
"""

from __future__ import annotations

from collections import deque
from threading import Thread
from typing import TYPE_CHECKING, Any, Final, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from gamenet.credentials import LoginRefused
from gamenet.errors import RefusalReason

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
RETRY_SECONDS: Final = 1
"""When a player should try again who found the queue full."""


class _DaemonThread(Thread):
    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named, daemon=True)


class LoginThreads(ThreadPool):
    """Twisted's threads, none of which a process waits for when it ends."""

    threadFactory = _DaemonThread


class _Job:
    __slots__ = ("arguments", "call", "done")

    def __init__(self, done: Deferred[Any], call: Callable[..., Any], arguments: Any) -> None:
        self.done = done
        self.call = call
        self.arguments = arguments


class LoginPool:
    """A few threads, and a short queue before them.

    :param threads: jobs that run at once.
    :param queue: jobs that may wait; further ones are refused as BUSY.
    :param reactor: where results arrive; None is the one that runs.
    """

    def __init__(self, threads: int, queue: int, reactor: Any = None) -> None:
        self._threads = threads
        self._queue = queue
        self._reactor = reactor
        self._pool: Any = None
        self._waiting: deque[_Job] = deque()
        self._running = 0
        self._stopped = False
        self._stopping: list[Deferred[None]] = []
        self.jobs = 0
        """Jobs that were given to a thread."""
        self.refused = 0
        """Jobs that found the queue full."""

    def __repr__(self) -> str:
        return f"<LoginPool: {self._running} running, {len(self._waiting)} waiting>"

    @property
    def running(self) -> int:
        """Jobs in a thread."""
        return self._running

    @property
    def waiting(self) -> int:
        """Jobs in the queue."""
        return len(self._waiting)

    def run(self, call: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Have a thread call *call*.

        :returns: fires on the reactor thread, as BUSY if nothing came of the job. Cancelling it
            while the job waits takes the job out of the queue; one that runs ends unheard.
        """
        if self._stopped or (self._running >= self._threads and self.waiting >= self._queue):
            self.refused += 1
            busy: Deferred[T] = Deferred()
            busy.errback(LoginRefused(RefusalReason.BUSY, RETRY_SECONDS))
            return busy
        done: Deferred[T] = Deferred(self._cancelled)
        self._waiting.append(_Job(done, call, arguments))
        self._fill()
        return done

    def start(self) -> None:
        """Take jobs again after a stop, which is over then."""
        self._stopped = False
        self._tell_stopped()

    def stop(self) -> Deferred[None]:
        """Refuse what waits and what comes; let what runs end.

        :returns: fires when the last thread has nothing to do any more. Waiting for it is not
            needed for the process to exit.
        """
        self._stopped = True
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.done.errback(LoginRefused(RefusalReason.BUSY, RETRY_SECONDS))
        if not self._running:
            self._end_threads()
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._stopping.append(done)
        return done

    def _cancelled(self, done: Deferred[Any]) -> None:
        """Whoever wanted to know is gone."""
        for job in self._waiting:
            if job.done is done:
                self._waiting.remove(job)
                break
        done.errback(LoginRefused(RefusalReason.BUSY))

    def _fill(self) -> None:
        while self._waiting and self._running < self._threads:
            if self._pool is None:
                self._pool = self._start_threads()
            job = self._waiting.popleft()
            self._running += 1
            self.jobs += 1
            try:
                self._pool.callInThreadWithCallback(
                    lambda well, result, job=job: self._reactor.callFromThread(
                        self._ended, job, result
                    ),
                    job.call,
                    *job.arguments,
                )
            except RuntimeError:
                # The system has no thread for us now.
                self._running -= 1
                self.jobs -= 1
                self.refused += 1
                job.done.errback(LoginRefused(RefusalReason.BUSY, RETRY_SECONDS))

    def _start_threads(self) -> Any:
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = reactor
        pool = LoginThreads(0, self._threads, "gamenet-login")
        pool.start()
        return pool

    def _ended(self, job: _Job, result: Any) -> None:
        """On the reactor thread: a job has its result, or its failure."""
        self._running -= 1
        if not job.done.called:
            if isinstance(result, Failure):
                job.done.errback(result)
            else:
                job.done.callback(result)
        self._fill()
        if self._stopped and not self._running:
            self._end_threads()
            self._tell_stopped()

    def _tell_stopped(self) -> None:
        waiting, self._stopping = self._stopping, []
        for done in waiting:
            done.callback(None)

    def _end_threads(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

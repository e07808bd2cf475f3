"""The reactor's thread: started once in a process, kept for its life.

Layer 4. Runs on: game threads.

A reactor cannot be started twice, so the thread stays when servers and clients stop; it is a
daemon thread, so it never keeps a process from exiting. Signals are left alone. Under a reactor
that runs already (a daemon, a test runner) no thread is started.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.logger import Logger
from twisted.python import threadable

from gamenet.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

log = Logger()
T = TypeVar("T")
_LOCK = threading.Lock()
_THREAD: threading.Thread | None = None

OWN_THREAD = (
    "this is the reactor's own thread, which must not wait. In a test or a Twisted program use "
    "GameServerFactory and GameClientFactory here, or run the game on another thread "
    "(twisted.internet.threads.deferToThread)."
)
STOPPED = (
    "the reactor of this process has been stopped, and Twisted cannot start it a second time; "
    "start gamenet before, or in another process."
)
FORKED = (
    "this process was forked from one in which gamenet was running, and its network thread did "
    "not survive that. Start processes by multiprocessing's 'spawn' method instead: "
    "multiprocessing.set_start_method('spawn')."
)


_IN_USE = False
"""True once this process has opened ports, or the reactor's thread."""
_IN_CHILD = False
"""True in a process that was forked from one that had: what it has is a copy that does not run."""


def note_use() -> None:
    """From here on a forked child cannot use gamenet.

    Not to be called before a daemon has put itself in the background, which is a fork as well.
    """
    global _IN_USE
    _IN_USE = True


def _note_fork() -> None:
    global _IN_CHILD
    _IN_CHILD = _IN_CHILD or _IN_USE


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def check_may_block() -> None:
    """Refuse to wait where waiting would never end.

    :raises LocalProtocolError: on the reactor's own thread, and in a forked child.
    """
    from twisted.internet import reactor

    if _IN_CHILD:
        raise LocalProtocolError(FORKED)
    if getattr(reactor, "running", False) and threadable.isInIOThread():
        raise LocalProtocolError(OWN_THREAD)


def may_still_block(thread: int) -> bool:
    """Whether the thread at hand, which was let wait before, may; False says to look closer.

    :param thread: its number.
    """
    return not _IN_CHILD and threadable.ioThread != thread


def ensure_reactor(*, monotonic: bool = True) -> Any:
    """The reactor, running; started on a thread of its own if it does not run yet.

    :param monotonic: give it a clock that cannot jump, if it is ours to start.
    """
    global _THREAD
    from twisted.internet import reactor

    running: Any = reactor
    with _LOCK:
        note_use()
        if running.running or _THREAD is not None:
            return running
        if _is_held_by_tests():
            raise LocalProtocolError(OWN_THREAD)
        if monotonic:
            use_monotonic_clock(running)
        _log_to_stdlib()
        started = threading.Event()
        running.callWhenRunning(started.set)
        thread = threading.Thread(
            target=_run, args=(running, started), name="gamenet-reactor", daemon=True
        )
        thread.start()
        started.wait()
        if not running.running:
            raise LocalProtocolError(STOPPED)
        _THREAD = thread
    return running


def _run(reactor: Any, started: threading.Event) -> None:
    """The life of the reactor's thread."""
    from twisted.internet.error import ReactorNotRestartable

    try:
        reactor.run(installSignalHandlers=False)
    except ReactorNotRestartable:
        pass
    finally:
        started.set()


def _is_held_by_tests() -> bool:
    """True where pytest-twisted will run the reactor itself, and just has not begun."""
    instances = getattr(sys.modules.get("pytest_twisted"), "_instances", None)
    return getattr(instances, "gr_twisted", None) is not None


def use_monotonic_clock(reactor: Any) -> None:
    """Give a reactor that does not run yet a clock that cannot jump.

    Twisted's clock is the time of day: set back an hour, every timer would stop for one. Where
    timers are pending already it stays as it is, for they would never fire.
    """
    if _keeps_wall_time(reactor) and not reactor.getDelayedCalls():
        reactor.seconds = time.monotonic
        log.info("the reactor's clock is monotonic")


def release_pool_threads(reactor: Any) -> None:
    """Let the threads end that looked up host names, if the reactor is ours."""
    if _THREAD is not None:
        reactor.callFromThread(_shrink_pool, reactor)


def _shrink_pool(reactor: Any) -> None:
    pool = reactor.getThreadPool()
    limit = pool.max
    pool.adjustPoolsize(maxthreads=0)
    pool.adjustPoolsize(maxthreads=limit)
    # The pool keeps every thread it ever had, to join them at its own end.
    pool.threads[:] = [thread for thread in pool.threads if thread.is_alive()]


def _keeps_wall_time(reactor: Any) -> bool:
    """True for reactors whose clock follows the system's time of day."""
    from twisted.python.runtime import seconds

    return getattr(reactor, "seconds", None) == seconds or abs(reactor.seconds() - time.time()) < 60


def _log_to_stdlib() -> None:
    """Send Twisted's log to Python's ``logging`` unless somebody has begun it already."""
    from twisted.logger import STDLibLogObserver, globalLogBeginner

    if getattr(globalLogBeginner, "_temporaryObserver", None) is not None:
        globalLogBeginner.beginLoggingTo([STDLibLogObserver("gamenet")], redirectStandardIO=False)


def call_in_reactor(reactor: Any, seconds: float, call: Callable[[], Any]) -> Any:
    """Call *call* on the reactor thread and wait for what its Deferred gives.

    :returns: the result.
    :raises TimeoutError: if it takes longer than *seconds*.
    """
    from twisted.internet.defer import Deferred, maybeDeferred
    from twisted.python.failure import Failure

    done = threading.Event()
    results: list[Any] = []

    def finish(result: Any) -> None:
        results.append(result)
        done.set()

    def start() -> None:
        deferred: Deferred[Any] = maybeDeferred(call)
        deferred.addBoth(finish)

    reactor.callFromThread(start)
    if not done.wait(seconds):
        raise TimeoutError
    result = results[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result

"""How simulated games run: functions on a thread that takes turns, classes step by step.

Layer 4. Runs on: the thread that lets time pass, and the game's; never both at once.

A game that is a function has a thread of its own, as it has everywhere. Here that thread runs only
while the other one waits for it, and hands over whenever it would wait itself: which of them runs
is decided by virtual time alone, so that a run can be repeated.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Final

from gamenet.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from gamenet.game import GameFunction
    from gamenet.testing.players import SimulatedServer
    from gamenet.testing.timeline import Timeline

HANGS_SECONDS: Final = 60.0
"""Of real time, after which a game's thread that does not hand over is given up."""
MOST_LOOKS: Final = 1_000
"""At the events in one instant, and waits after the end: more are a loop that never ends."""
ENDLESS: Final = (
    "this loop never waits, so no time can pass: use server.ticks(), or server.events(timeout)"
)
DEAF: Final = (
    "the game did not return when its server stopped: leave the loop when ticks() ends, or once "
    "server.running is False"
)
HANGS: Final = (
    "the game has not handed over for {seconds:g} s of real time. In a simulation it waits by "
    "server.ticks() or server.events(timeout), and by nothing else"
)
IN_A_HOOK: Final = (
    "time passes already, and this was called by something that was due: nothing can wait here"
)


def failure_of(raised: BaseException) -> BaseException | None:
    """What is wrong with a game that raised this; nothing, if it left by ``sys.exit()``."""
    if not isinstance(raised, SystemExit):
        return raised
    if raised.code in (None, 0):
        return None
    return AssertionError(f"the game gave up: {raised.code!r}")


class GameThread:
    """A function game on a thread that runs only while the simulation waits for it.

    :param ended: called, on the simulation's thread, when the game is over, with what it raised.
    """

    def __init__(
        self,
        game: GameFunction,
        server: SimulatedServer,
        timeline: Timeline,
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._game = game
        self._server = server
        self._timeline = timeline
        self._ended = ended
        self._mine = threading.Lock()
        self._mine.acquire()
        self._theirs = threading.Lock()
        self._theirs.acquire()
        self._sleeps = 0
        self._is_asleep = True
        self._looks = 0
        self._looked_at = -1.0
        self._error: BaseException | None = None
        self._is_over = False
        self._thread = threading.Thread(target=self._run, name="gamenet-game", daemon=True)

    @property
    def is_current(self) -> bool:
        """True on the game's own thread."""
        return threading.current_thread() is self._thread

    def is_over(self) -> bool:
        """Whether the game has returned, or raised."""
        return self._is_over

    @property
    def is_alive(self) -> bool:
        """Whether there is a thread."""
        return self._thread.is_alive()

    # The simulation's thread.

    def start(self) -> None:
        """The game begins as soon as time passes."""
        self._timeline.at(self._timeline.now, self._resume, self._sleeps)

    def wake(self) -> None:
        """Something has happened that the game may wait for."""
        if self._is_asleep and self._thread.ident is not None:
            self._timeline.at(self._timeline.now, self._resume, self._sleeps)

    def _resume(self, sleep: int) -> None:
        """Let the game run until it waits; *sleep* is what it is to be woken from."""
        if sleep != self._sleeps or not self._is_asleep or self.is_over():
            return
        self._is_asleep = False
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._mine.release()
        if not self._theirs.acquire(timeout=HANGS_SECONDS):
            self._is_over = True
            self._ended(AssertionError(HANGS.format(seconds=HANGS_SECONDS)))
        elif self.is_over():
            self._thread.join(HANGS_SECONDS)
            self._ended(self._error)

    # The game's thread.

    def _run(self) -> None:
        try:
            self._game(self._server)
        except BaseException as raised:
            self._error = failure_of(raised)
        finally:
            self._is_over = True
            self._theirs.release()

    def sleep(self, deadline: float) -> None:
        """Hand over until *deadline*, or until something wakes us."""
        self._sleeps += 1
        self._is_asleep = True
        self._timeline.at(deadline, self._resume, self._sleeps)
        self._theirs.release()
        self._mine.acquire()

    def look(self) -> None:
        """The game looks at its events; without end, if no time passes in between.

        :raises LocalProtocolError: then.
        """
        if self._looked_at != self._timeline.now:
            self._looked_at, self._looks = self._timeline.now, 0
        self._looks += 1
        if self._looks > MOST_LOOKS:
            raise LocalProtocolError(ENDLESS if self._server.running else DEAF)

    def look_at_end(self) -> None:
        """The game asks for ticks, of which there may be no more."""
        if not self._server.running:
            self.look()


class SteppedGame:
    """A ``Game``, which needs no thread: each of its steps is a call.

    :param ended: as of :class:`GameThread`.
    """

    is_alive = False

    def __init__(
        self,
        game: Any,
        server: SimulatedServer,
        timeline: Timeline,
        ended: Callable[[BaseException | None], None],
    ) -> None:
        self._game = game
        self._server = server
        self._timeline = timeline
        self._ended = ended
        self._begun = False
        self._wakes = 0
        self.is_current = False
        """Whether one of its hooks runs."""
        self._is_over = False

    def is_over(self) -> bool:
        """Whether the game has stopped, or raised."""
        return self._is_over

    def start(self) -> None:
        """The game begins as soon as time passes."""
        self.wake()

    def look(self) -> None:
        """It looks once a step."""

    look_at_end = look

    def sleep(self, deadline: float) -> None:
        """There is no thread here that could.

        :raises LocalProtocolError: always.
        """
        raise LocalProtocolError(IN_A_HOOK)

    def wake(self) -> None:
        """The next step is due, or the end."""
        self._wake_at(self._timeline.now)

    def _wake_at(self, when: float) -> None:
        self._wakes += 1
        self._timeline.at(when, self._resume, self._wakes)

    def _resume(self, wake: int) -> None:
        if self._is_over or wake != self._wakes:
            return
        error: BaseException | None = None
        self.is_current = True
        try:
            self._steps()
            self._is_over = self._server.has_ended
        except BaseException as raised:
            self._is_over = True
            error = failure_of(raised)
        if self._is_over and self._begun:
            try:
                self._game.on_stop()
            except BaseException as raised:
                error = error or failure_of(raised)
        self.is_current = False
        if self._is_over:
            self._ended(error)
        else:
            self._wake_at(self._server.next_tick)

    def _steps(self) -> None:
        game, server = self._game, self._server
        if not self._begun:
            game.server = server
            game.on_start()
            self._begun = True
        for tick in server.ticks(wait=False):
            game._step(tick)

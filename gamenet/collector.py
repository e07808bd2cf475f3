"""The reactor's end of the bridge: woken, or on time, it carries out what the game left there.

Layer 3. Runs on: the reactor thread; ``wake`` from any.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gamenet.bridge import LATEST_SECONDS
from gamenet.faults import DEFECT
from gamenet.waker import Waker

if TYPE_CHECKING:
    from collections import deque

    from twisted.internet.interfaces import IDelayedCall

    from gamenet.bridge import Bridge, Loose
    from gamenet.turns import Turns


class Collector:
    """Fetches commands, states and inputs, and sees that none waits longer than 5 ms.

    :param host: whose sessions they are for.
    """

    def __init__(self, host: Turns, bridge: Bridge) -> None:
        self._host = host
        self._bridge = bridge
        self._look: IDelayedCall | None = None
        self._look_due = 0.0
        self._armed: IDelayedCall | None = None
        self._dropped_unreliable = 0
        self._is_draining = False
        self._waker = Waker(host.reactor, self._woken)
        bridge.attach(host, self.wake)
        bridge.pass_begins = self._pass_begins

    def wake(self, delay: float) -> None:
        """Have the bridge drained within *delay* seconds. From any thread."""
        if delay:
            self._host.reactor.callFromThread(self._look_after, delay)
        else:
            self._waker.wake()

    def _look_after(self, delay: float) -> None:
        if not self._host.is_busy:
            # Nobody is there, and no timer may outlive the last of them.
            self.drain()
        elif self._armed is None:
            self._armed = self._host.reactor.callLater(delay, self._armed_look)

    def _armed_look(self) -> None:
        self._armed = None
        self.drain()

    def _woken(self) -> None:
        self.drain(by_wake=True)

    def drain(self, *, by_wake: bool = False) -> None:
        """Carry out what waits.

        :param by_wake: the game's thread asked for it at the end of its pass.
        """
        host, bridge = self._host, self._bridge
        commands, unreliable = bridge.drain(by_wake=by_wake), bridge.unreliable
        if not (commands or unreliable or bridge.states or bridge.inputs or host.turn.awaiting):
            if self._look is not None:
                bridge.looked_at = self._look_due
            return
        began = host.begin_turn()
        try:
            # As many as there are now: a game that never stops must not keep us here.
            for _ in range(len(commands)):
                if not commands:
                    break  # what ends a session looks here, too
                call, args = commands.popleft()
                host.counters.commands += 1
                try:
                    call(*args)
                except Exception:
                    host.failed(DEFECT)
            if unreliable:
                self._sort(unreliable)
            if unreliable:
                # Only the first that is put there asks to be fetched, and it is gone.
                self._look_after(LATEST_SECONDS)
            host.fetch(bridge)
            dropped = bridge.dropped_unreliable
            host.counters.drop_send_unreliable += dropped - self._dropped_unreliable
            self._dropped_unreliable = dropped
            self._look_during_pass()
        finally:
            host.end_turn()
            host.flush_seconds = host.now() - began

    def _sort(self, unreliable: deque[Loose]) -> None:
        """Hand over the unreliable messages that wait now, those for the same players at once."""
        host = self._host
        count = len(unreliable)
        host.counters.commands += count
        player_ids, message = unreliable.popleft()
        run = [message]
        for _ in range(count - 1):
            for_whom, message = unreliable.popleft()
            if for_whom != player_ids:
                host.run(host.queue_unreliable, player_ids, run)
                player_ids, run = for_whom, []
            run.append(message)
        host.run(host.queue_unreliable, player_ids, run)

    def turn_begins(self) -> None:
        """Nobody needs to wake the reactor from here on: it looks at the turn's end."""
        self._bridge.attended = not self._is_draining

    def turn_ends(self) -> None:
        """Fetch what a game that was quick has answered within the turn, but only once: what it
        says after that is fetched by a wake, when all else has been polled."""
        bridge = self._bridge
        if bridge.attended:
            bridge.attended = False
            if bridge.asked:
                bridge.asked = False
                self._is_draining = True
                try:
                    self.drain()
                except Exception:
                    # Whoever has ended a turn must not bear it: Twisted would close the UDP port.
                    self._host.failed(DEFECT)
                finally:
                    self._is_draining = False

    def _look_during_pass(self) -> None:
        """Look at the bridge 5 ms into the game's next pass.

        What a long pass leaves there must not wait for its end, and a timer of ours costs the
        game nothing, where a wake of ours in mid-pass costs both threads a change of hands.
        """
        host, bridge = self._host, self._bridge
        if not (bridge.in_pass or bridge.next_pass) or not host.is_busy:
            return
        now = host.now()
        due = (now if bridge.in_pass else bridge.next_pass) + LATEST_SECONDS
        if due > now:
            self._look_at(due, now)

    def _pass_begins(self) -> None:
        """The game is about to be woken: what it leaves is fetched at the end of its pass, or by a
        timer of ours, so it need not ask for one."""
        host = self._host
        now = host.time
        if self._look is not None and self._look_due > now:
            # Early enough. A timer put off with each message that comes would cost more.
            self._bridge.looked_at = self._look_due
        elif host.is_busy:
            self._look_at(now + LATEST_SECONDS, now)

    def _look_at(self, due: float, now: float) -> None:
        if self._look is None:
            self._look = self._host.reactor.callLater(due - now, self._look_now)
        else:
            self._look.reset(due - now)
        self._bridge.looked_at = self._look_due = due

    def _look_now(self) -> None:
        self._look = None
        self.drain()

    def begin(self) -> None:
        """Somebody is there: from here on the game's wakes take the short way. Repeatable."""
        self._waker.open()

    def cancel(self) -> None:
        """Nobody is there any more: no timer is left behind, and no descriptor."""
        self._waker.close()
        for timer in (self._look, self._armed):
            if timer is not None:
                timer.cancel()
        self._look = self._armed = None

"""What a client's verbs do once they have come to the reactor thread, and what they may ask.

Layer 3. Runs on: the reactor thread; what is only asked, on any.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from gamenet.bridge import Bridge
from gamenet.core.reliable_half import MAX_UNACKNOWLEDGED
from gamenet.events import NO_QUALITY
from gamenet.host import Host, quality_of
from gamenet.messages import Payload

if TYPE_CHECKING:
    from gamenet.core.client_session import ClientSession
    from gamenet.core.seat import Seat
    from gamenet.events import Disconnected, Quality
    from gamenet.events import State as WorldState


@dataclass(slots=True)
class TooLate:
    """What a game sent between the end of a session and hearing of it; from any thread, with a lock
    held."""

    payloads: list[Payload] = field(default_factory=list)
    count: int = 0
    is_told: bool = False
    """The game knows that it is over: no more is kept."""

    def add(self, payload: Payload | None) -> bool:
        """Keep a message; None is a line of chat, which is only counted.

        :returns: False, and nothing done, if the game knows that it is over.
        """
        if self.is_told:
            return False
        self.count += 1
        if payload is not None and len(self.payloads) < MAX_UNACKNOWLEDGED:
            self.payloads.append(payload)
        return True

    def complete(self, event: Disconnected) -> Disconnected:
        """The event as it is to be taken: with all that came too late, of which no more is kept."""
        self.is_told = True
        if not self.count:
            return event
        payloads = (*event.unacknowledged, *self.payloads)[:MAX_UNACKNOWLEDGED]
        count = event.unacknowledged_count + self.count
        return replace(event, unacknowledged=payloads, unacknowledged_count=count)


class ClientCommands(Host):
    """Does for the running session what a verb says; without one it is counted."""

    over: bool
    """True once the last ``Disconnected`` is emitted."""
    tick_rate: float
    state: WorldState | None
    seat: Seat | None
    _session: ClientSession | None

    def fetch(self, bridge: Bridge) -> None:
        inputs = bridge.inputs
        for number in sorted(list(inputs)):
            # The game may have taken the newest back for a moment, to replace it.
            buttons = inputs.pop(number, None)
            if buttons is not None:
                self.queue_input(number, buttons)

    def queue_input(self, number: int, buttons: int) -> None:
        """Add an input; one that was replaced too late is already on its way."""
        session = self._session
        if session is None or self.over:
            self.counters.drop_verb_gone += 1
        elif number == session.inputs.newest + 1:
            session.queue_input(number, buttons, self.time)

    def queue_frame(self, frame: bytes) -> None:
        """Queue a DATA or SAY frame."""
        if self._session is None or self.over:
            self.counters.drop_verb_gone += 1
        else:
            self._session.queue_frame(frame)

    def queue_unreliable(
        self, player_ids: tuple[int, ...], messages: list[tuple[int, bytes]]
    ) -> None:
        if self._session is None or self.over:
            self.counters.drop_verb_gone += len(messages)
        else:
            self._session.queue_unreliable(messages)

    # What any thread may ask.

    def _take_state(self, state: WorldState) -> None:
        if isinstance(self.sink, Bridge):
            self.sink.state = state
        elif self.seat is not None and state.input_number >= self.seat.probe:
            # Whoever has no bridge takes it now.
            self.seat.probe_answered(self.now())
        self.state = state

    def _forget_state(self) -> None:
        """The next session's states have nothing to do with those of the last."""
        self.state = None
        if isinstance(self.sink, Bridge):
            self.sink.state = None
            self.sink.seen_state = 0

    def _seen_state(self) -> int:
        if isinstance(self.sink, Bridge):
            return self.sink.seen_state
        return self.state.number if self.state is not None else 0

    def quality(self) -> Quality:
        """The path to the server; nothing is known of it while the client joins anew."""
        session = self._session
        return NO_QUALITY if session is None else quality_of(session, self.now())

    def server_time(self) -> float:
        """The server's game clock in seconds."""
        return self._session.clock.time(self.now()) if self._session is not None else 0.0

    def server_tick(self) -> float:
        """The server's tick with its fraction."""
        if self._session is None:
            return 0.0
        return self._session.clock.tick(self.now(), self.tick_rate)

    def input_stats(self) -> dict[str, float]:
        """What became of the inputs."""
        if self._session is None:
            return {"inputs_in_flight": 0, "inputs_given_up": 0}
        inputs = self._session.inputs
        return {
            "inputs_in_flight": len(inputs.values),
            "inputs_given_up": inputs.given_up,
        }

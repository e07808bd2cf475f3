"""Two ends that send numbered messages to each other, and the account of what came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gamenet.events import Disconnected, Event, Left, Received, Resumed, Suspended, Unreliable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.testing import Simulation
    from gamenet.testing.players import SimulatedClient

FILLING = b"." * 40


def numbered(number: int, size: int = 0) -> bytes:
    """The message with this number."""
    return b"%d " % number + FILLING + bytes(max(0, size - len(FILLING) - 10))


def number_of(payload: Any) -> int:
    """The number of a message."""
    return int(payload.partition(b" ")[0])


@dataclass
class Heard:
    """What one end has heard of one peer."""

    reliable: list[int] = field(default_factory=list)
    unreliable: list[int] = field(default_factory=list)
    suspended: int = 0
    resumed: int = 0
    ended: list[Event] = field(default_factory=list)

    def take(self, events: Iterable[Event]) -> None:
        """Note what these events are."""
        for event in events:
            match event:
                case Received(_, payload):
                    self.reliable.append(number_of(payload))
                case Unreliable(_, payload):
                    self.unreliable.append(number_of(payload))
                case Suspended():
                    self.suspended += 1
                case Resumed():
                    self.resumed += 1
                case Left() | Disconnected():
                    self.ended.append(event)


class Talk:
    """A server and one client of a simulation that talk both ways.

    The simulation has no game: what the server hears is taken here.
    """

    def __init__(self, simulation: Simulation, client: SimulatedClient | None = None) -> None:
        self.simulation = simulation
        self.client = client or simulation.clients[0]
        self.at_server = Heard()
        self.at_client = Heard()
        self.sent = 0
        self.unreliable_sent = 0
        server = simulation.server
        self.at_server.take(server.events())
        (self.player,) = (each for each in server.players if each.id == self.client.player.id)

    def say(self, size: int = 0) -> None:
        """One more reliable message each way."""
        self.sent += 1
        self.simulation.server.send(self.player, numbered(self.sent, size))
        self.client.send(numbered(self.sent, size))

    def toss(self) -> None:
        """One more unreliable message each way, in a datagram of its own."""
        self.unreliable_sent += 1
        self.simulation.server.send_unreliable(self.player, numbered(self.unreliable_sent))
        self.client.send_unreliable(numbered(self.unreliable_sent))

    def listen(self) -> None:
        """Take what has come at both ends."""
        self.at_server.take(self.simulation.server.events())
        self.at_client.take(self.client.events())

    def step(self, ticks: int = 1) -> None:
        """Let ticks pass, and listen at each."""
        for _ in range(ticks):
            self.simulation.step()
            self.listen()

    def bind(self, test: Any) -> None:
        """Let time pass until datagrams go by UDP both ways."""
        for _ in range(300):
            self.step()
            if self.client.path == self.simulation.server.quality(self.player).path == "udp":
                return
        test.fail("UDP was not bound within ten seconds")

    @property
    def has_all(self) -> bool:
        """Whether both ends have as many reliable messages as were sent."""
        return len(self.at_server.reliable) >= self.sent <= len(self.at_client.reliable)

    def finish(self, limit_seconds: float = 60.0) -> None:
        """Let time pass until everything reliable has come, and a little more."""
        for _ in range(round(limit_seconds * 30)):
            if self.has_all:
                break
            self.step()
        self.step(30)

    def check_exact(self, test: Any, said: str) -> None:
        """Everything reliable came both ways, once and in order; nobody was lost or came twice."""
        wanted = list(range(1, self.sent + 1))
        for name, heard in (("server", self.at_server), ("client", self.at_client)):
            test.assertEqual(heard.reliable, wanted, f"{said}: reliable, at the {name}")
            test.assertEqual(
                len(set(heard.unreliable)), len(heard.unreliable), f"{said}: doubled, at the {name}"
            )
            test.assertEqual(heard.ended, [], f"{said}: at the {name}")

"""What attacks have in common: somebody else plays meanwhile, who must not notice."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

from twisted.logger import eventAsText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.inputs import encode_inputs
from gamenet.core.wire import HEADER, PREFIX, MessageType
from gamenet.events import Chat, Input
from tests.fakes import PORT, SERVER_ADDRESS, Datagram, FakeTransport, Stranger, StrangerFactory
from tests.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.core.counters import Counters
    from tests.world import ClientEnd, Puppet

HERE = (SERVER_ADDRESS, PORT)
NO_ACCEPT_LIMITS: dict[str, Any] = {
    "accepts_per_second": 1e6,
    "accepts_burst": 1_000_000,
    "max_unjoined_per_address": 1_000_000,
}
"""For attacks on what comes behind the limits of connections for each address."""


class ThreatCase(SynchronousTestCase):
    """Ada plays while somebody else attacks."""

    fields: ClassVar[dict[str, Any]] = {}
    """Of the server's configuration."""
    secure = False

    def setUp(self) -> None:
        self.world = World(self, secure=self.secure, **self.fields)
        self.ada = self.world.join("ada")
        self.world.run(1.0)

    def tearDown(self) -> None:
        """Ada has noticed nothing."""
        if not self.world.closed:
            self.check_unharmed(self.ada)

    @property
    def counters(self) -> Counters:
        """The server's."""
        return self.world.server.counters

    def session(self, name: str) -> Any:
        """The server's end of somebody's session."""
        return self.world.server.session_of(name)

    def check_unharmed(self, client: ClientEnd) -> None:
        """Inputs, chat and states of *client* arrive, and its datagrams still pass."""
        world = self.world
        name = client.host.player.name
        player = world.server.players[name]
        world.run(0.5)
        before = [event.number for event in self.inputs_of(name)]
        number = client.verbs.send_input(5)
        client.verbs.say("still here")
        world.server.verbs.send_state(player, b"still there")
        world.settle()
        self.assertEqual([event.number for event in self.inputs_of(name)], [*before, number])
        self.assertEqual(world.server.of(Chat)[-1].text, "still here")
        self.assertEqual(client.host.state.payload, b"still there")
        self.assertEqual(client.verbs.quality().path, "udp")

    def inputs_of(self, name: str) -> list[Input]:
        """The inputs of one player, as the game was told."""
        return [event for event in self.world.server.of(Input) if event.player.name == name]

    def throw(self, datagrams: Iterable[tuple[bytes, tuple[str, int]]]) -> tuple[int, int]:
        """Have datagrams arrive at the server as fast as they can.

        :returns: how many, and their bytes.
        """
        deliver = self.world.network.deliver
        count = size = 0
        for data, source in datagrams:
            deliver(Datagram(data, source, HERE))
            count += 1
            size += len(data)
        self.world.settle()
        return count, size

    def sent(self) -> tuple[int, int]:
        """Bytes that the server has sent so far, in datagrams and over TCP."""
        network = self.world.network
        datagrams = sum(len(each.data) for each in network.datagrams if each.source == HERE)
        return datagrams, sum(len(each.written) for each in network.connections if is_servers(each))

    def sent_to(self, *addresses: tuple[str, int]) -> list[bytes]:
        """The datagrams that the server has sent to these addresses."""
        return [
            each.data
            for each in self.world.network.datagrams
            if each.source == HERE and each.target in addresses
        ]


def is_servers(transport: FakeTransport) -> bool:
    """Whether this is the server's end of a connection."""
    return transport.local == HERE


def forged(cid: int, count: int, seed: int = 1) -> Iterable[bytes]:
    """Datagrams for a session, by somebody who has everything but the key."""
    draw = random.Random(seed)
    for index in range(count):
        # Numbers that are due, that were, and that are far ahead; every kind, every key epoch.
        low = draw.choice((index, draw.getrandbits(10), draw.getrandbits(32), 0xFFFFFFFF))
        first = PREFIX | draw.getrandbits(6)
        yield HEADER.pack(first, cid, low) + draw.randbytes(draw.randrange(16, 1_192))


def send_input(puppet: Puppet, number: int, buttons: int = 1, seen: int = 0) -> None:
    """One input of a puppet."""
    puppet.send_messages((MessageType.INPUT, encode_inputs(number, seen, [buttons], 16)))


def plain_stranger(world: World, machine: Any = None) -> Stranger:
    """Somebody who connects without TLS, whatever the server has."""
    factory = StrangerFactory()
    (machine or world.machine()).connect(factory, (world.address, PORT))
    world.settle()
    (stranger,) = factory.made
    world.strangers.append(stranger)
    return stranger


class Log:
    """Everything that is logged while a test runs."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        test.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    @property
    def texts(self) -> list[str]:
        """Each event as a log file would show it, traceback and all."""
        return [eventAsText(event) for event in self.events]

    @property
    def lines(self) -> list[str]:
        """The same without time and place, as gamenet wrote it."""
        return [
            eventAsText(event, includeTimestamp=False, includeSystem=False)
            for event in self.events
            if str(event.get("log_namespace", "")).startswith("gamenet")
        ]


def hang_up(stranger: Stranger) -> None:
    """Reset a connection, unless it is closed already, which Twisted's TLS cannot stand."""
    if getattr(stranger.transport, "_tlsConnection", stranger) is not None:
        stranger.abort()

"""
A server, its clients and its strangers on a network that is not there.

Every world checks at its end what must hold whatever happened in it: each datagram and each frame
was delivered or dropped for one counted cause, and nothing is left behind once everybody has gone.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from zope.interface import implementer

from gamenet import bridge as bridge_module
from gamenet import loop as loop_module
from gamenet.bridge import Bridge
from gamenet.certificates import make_certificate
from gamenet.client import GameClientFactory
from gamenet.client_facade import GameClient
from gamenet.config import ClientConfig, ServerConfig
from gamenet.core import frames
from gamenet.core.record import Opener, Schedule, Sealer
from gamenet.core.wire import ACKS, HEADER, PADDING, DatagramKind, pack_messages
from gamenet.events import Connected, Disconnected, Event, Joined, Left, PathChanged, Player
from gamenet.facade import GameServer
from gamenet.reliable import EXPORTER_LABEL
from gamenet.server import GameServerFactory
from gamenet.tls import ClientCreator, ServerContext, client_creator, wrap_client, wrap_server
from tests import certificates
from tests.core.terms import accept as accept
from tests.fakes import (
    PORT,
    SERVER_ADDRESS,
    FakeTransport,
    Machine,
    Network,
    Stranger,
    StrangerFactory,
    random_bytes,
)

if TYPE_CHECKING:
    from twisted.trial.unittest import SynchronousTestCase

    from gamenet.core.counters import Counters
    from gamenet.host import Host

EventT = TypeVar("EventT")
CLOSE_SECONDS = 3.0
"""Longer than any closing connection may linger."""


_made: list[Any] = []


def identity() -> ServerContext:
    """The certificate that every secure world's server has."""
    if not _made:
        # Removed with the process.
        folder = TemporaryDirectory()
        files = certificates.write(Path(folder.name), make_certificate(["server.example"]))
        _made.extend((ServerContext(files.cert, files.key), folder))
    context: ServerContext = _made[0]
    return context


def pinned() -> ClientCreator:
    """Trusts that certificate and no other."""
    return client_creator("server.example", pin=identity().fingerprint)


class Recorder:
    """A sink that keeps what it takes."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.taking = True
        """False while it takes nothing."""

    def offer(self, event: Event) -> bool:
        """Take *event*, unless told not to."""
        if self.taking:
            self.events.append(event)
        return self.taking


class End:
    """One side: its host, what its game can say, and what it was told."""

    host: Any
    verbs: Any

    def __init__(self, machine: Machine, bridge: Bridge | None, recorder: Recorder) -> None:
        self.machine = machine
        self.bridge = bridge
        self.recorder = recorder
        self.events = recorder.events
        """Everything that the game was told, in order."""

    @property
    def sink(self) -> Any:
        """What the factory is given."""
        return self.bridge or self.recorder

    def take(self) -> list[Event]:
        """The game makes one pass; what it had said in the last one leaves.

        :returns: what is new.
        """
        taken: list[Event] = []
        if self.bridge is not None:
            taken = self.verbs.events()
            self.events += taken
        return taken

    def of(self, kind: type[EventT]) -> list[EventT]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def forget(self) -> None:
        """Begin a new list of events."""
        self.events.clear()

    @property
    def counters(self) -> Counters:
        """What happened to frames and datagrams."""
        counters: Counters = self.host.counters
        return counters


class ServerEnd(End):
    """The server."""

    def __init__(
        self,
        machine: Machine,
        config: ServerConfig,
        bridge: Bridge | None = None,
        portal: Any = None,
    ) -> None:
        super().__init__(machine, bridge, Recorder())
        self.config = config
        self.secure = not config.insecure
        self.factory = GameServerFactory(
            self.sink,
            config,
            portal=portal,
            reactor=machine,
            now=machine.seconds,
            random_bytes=random_bytes(1),
        )
        self.host = self.factory.host
        self.verbs = self.factory.verbs if bridge is None else GameServer.attach(bridge)
        self.listening = machine.listenTCP(
            PORT, wrap_server(identity(), self.factory) if self.secure else self.factory
        )
        self.udp: Any = self.factory.listen_udp(PORT)

    @property
    def players(self) -> dict[str, Player]:
        """Who is in, by name, as the game was told."""
        found: dict[str, Player] = {}
        for event in self.events:
            if isinstance(event, Joined):
                found[event.player.name] = event.player
            elif isinstance(event, Left) and found.get(event.player.name) is event.player:
                del found[event.player.name]
        return found

    def session_of(self, name: str) -> Any:
        """The session behind a name."""
        return self.host.registry.holder(name)


@implementer(IStreamClientEndpoint)
class Line:
    """The way from a machine to a server, as an endpoint of Twisted's."""

    def __init__(self, machine: Machine, server: tuple[str, int], *, secure: bool) -> None:
        self._machine = machine
        self._server = server
        self._secure = secure
        self.attempts = 0
        self.transport: FakeTransport | None = None
        """Our end of the newest connection."""

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect, at once."""
        self.attempts += 1
        wrapped = wrap_client(pinned(), factory) if self._secure else factory
        if self._server not in self._machine.network.tcp and getattr(factory.host, "dialler", None):
            return fail(ConnectionRefusedError())
        self.transport = self._machine.connect(wrapped, self._server)
        return succeed(None if self.transport is None else self.transport.protocol)


class ClientEnd(End):
    """One player's game."""

    def __init__(
        self,
        machine: Machine,
        config: ClientConfig,
        user: str,
        bridge: Bridge | None,
        server: tuple[str, int],
        password: str | None = None,
        ticket: bytes | None = None,
        *,
        redials: bool = False,
    ) -> None:
        super().__init__(machine, bridge, Recorder())
        self.factory = GameClientFactory(
            self.sink,
            config,
            user=user,
            password=password,
            ticket=ticket,
            reactor=machine,
            now=machine.seconds,
            random_bytes=random_bytes(2),
        )
        self.host = self.factory.host
        if bridge is None:
            self.verbs: Any = self.factory.verbs
        else:
            self.verbs = GameClient(
                "localhost", user=user, password=password, ticket=ticket, config=config
            )
            self.verbs._started(bridge)
            self.verbs._connect(self.host, bridge)
        self.line = Line(machine, server, secure=not config.insecure)
        if redials:
            self.factory.dial(self.line)
        else:
            self.line.connect(self.factory)

    @property
    def transport(self) -> FakeTransport | None:
        """Our end of the newest connection; None if it was refused."""
        return self.line.transport

    @property
    def session(self) -> Any:
        """The client's session."""
        return self.host._session

    @property
    def joined(self) -> bool:
        """Told that it is in, and not that it is out."""
        return bool(self.of(Connected)) and not self.of(Disconnected)

    @property
    def bound(self) -> bool:
        """Told that its datagrams pass."""
        return any(event.path == "udp" for event in self.of(PathChanged))

    def end(self) -> Disconnected:
        """How it ended; exactly once."""
        (ended,) = self.of(Disconnected)
        return ended


class World:
    """One server and everybody who comes.

    :param test: whose end closes the world and checks the books.
    :param bridged: games behind bridges, which take events when a test says ``take``; otherwise
        games on the reactor thread, which take them at once.
    :param secure: over TLS; everybody who comes pins the server's certificate.
    :param fields: of the server's configuration.
    """

    def __init__(
        self,
        test: SynchronousTestCase,
        *,
        bridged: bool = False,
        secure: bool = False,
        portal: Any = None,
        address: str = SERVER_ADDRESS,
        **fields: Any,
    ) -> None:
        self.test = test
        self.network = Network()
        self.bridged = bridged
        self.address = address
        self.clients: list[ClientEnd] = []
        self.strangers: list[Stranger] = []
        self.closed = False
        if bridged:
            test.patch(bridge_module, "monotonic", self.network.seconds)
            test.patch(loop_module, "monotonic", self.network.seconds)
        self.secure = secure
        # Unless a test is about it, who loses the connection is out at once.
        fields.setdefault("resume_seconds", 0.0)
        config = ServerConfig(insecure=not secure, **fields)
        self.server = ServerEnd(
            Machine(self.network, address), config, Bridge(config) if bridged else None, portal
        )
        self.settle, self.run = self.network.settle, self.network.run
        self._machines = 1
        test.addCleanup(self.close)

    # Who comes.

    def machine(self, public_address: str = "") -> Machine:
        """Another machine."""
        self._machines += 1
        prefix = "fd00::" if ":" in self.address else "10.0.0."
        return Machine(self.network, f"{prefix}{self._machines}", public_address)

    def client(
        self,
        user: str = "",
        *,
        machine: Machine | None = None,
        password: str | None = None,
        ticket: bytes | None = None,
        redials: bool = False,
        **fields: Any,
    ) -> ClientEnd:
        """A client that has just begun to join.

        :param redials: it gets its connection back when it loses it.
        """
        config = ClientConfig(**{"insecure": not self.secure, **fields})
        bridge = Bridge(config) if self.bridged else None
        client = ClientEnd(
            machine or self.machine(),
            config,
            user,
            bridge,
            (self.address, PORT),
            password,
            ticket,
            redials=redials,
        )
        self.clients.append(client)
        return client

    def join(self, user: str = "", **fields: Any) -> ClientEnd:
        """A client that is in, and whose datagrams pass."""
        client = self.client(user, **fields)
        self.take()
        self.test.assertTrue(client.joined, f"{user} has not joined: {client.events}")
        self.test.assertTrue(client.bound, f"the datagrams of {user} do not pass")
        return client

    def stranger(self, machine: Machine | None = None) -> Stranger:
        """Somebody who connects and says nothing yet."""
        factory = StrangerFactory()
        (machine or self.machine()).connect(
            wrap_client(pinned(), factory) if self.secure else factory, (self.address, PORT)
        )
        self.settle()
        (stranger,) = factory.made
        self.strangers.append(stranger)
        return stranger

    def puppet(self, user: str = "mallory", **hello: Any) -> Puppet:
        """A peer that has been let in and does exactly what a test says."""
        puppet = Puppet(self, self.stranger())
        puppet.say_hello(user, **hello)
        return puppet

    # What happens.

    def take(self) -> None:
        """Let everything happen that needs no time, games included."""
        for _ in range(4):
            self.settle()
            self.server.take()
            for client in self.clients:
                client.take()
        self.settle()

    def play(self, seconds: float, tick: float = 0.02) -> None:
        """Let time pass while all games make their passes."""
        end = self.network.seconds() + seconds
        while self.network.seconds() < end - 1e-9:
            self.run(min(tick, end - self.network.seconds()))
            self.server.take()
            for client in self.clients:
                client.take()
        self.settle()

    @property
    def ends(self) -> list[End]:
        """Everybody who plays by the rules."""
        return [self.server, *self.clients]

    # The end.

    def check_books(self) -> None:
        """Each datagram and each frame has exactly one fate."""
        for end in self.ends:
            counts = end.counters.snapshot()
            for kind in ("datagram", "frame"):
                lost = sum(
                    count for name, count in counts.items() if name.startswith(f"drop_{kind}_")
                )
                self.test.assertEqual(
                    counts[f"{kind}s_in"], counts[f"{kind}s_delivered"] + lost, (kind, counts)
                )

    def close(self) -> None:
        """Everybody leaves; nothing may be left, and the books must be right."""
        if self.closed:
            return
        self.closed = True
        self.network.send_error = None
        for connection in list(self.network.connections):
            connection.read_again()
        for client in self.clients:
            client.host.leave()
        self.settle()
        self.server.host.end_all(frames.DisconnectReason.STOPPED)
        self.server.listening.stopListening()
        self.server.udp.stopListening()
        self.settle()
        for stranger in self.strangers:
            # Twisted's TLS raises if what it wraps is closed already.
            if getattr(stranger.transport, "_tlsConnection", self) is not None:
                stranger.transport.abortConnection()
        self.run(CLOSE_SECONDS)
        self.check_books()
        for end in self.ends:
            if end.bridge is not None:
                end.bridge.finish()
        self.settle()
        self.check_empty()
        self.test.assertEqual(list(self.server.host._unjoined), [], "counted as joining")
        self.test.assertEqual(len(self.server.host.registry), 0)
        for end in self.ends:
            self.test.assertEqual(end.host.datagram_routes, {})
            self.test.assertEqual(end.host._connections, {})
            self.test.assertEqual(end.host._session_ports, {})
        self.test.assertEqual(self.server.host.newcomers, {})

    def check_empty(self) -> None:
        """No timer, no socket."""
        self.test.assertEqual(self.network.timers, [])
        self.test.assertEqual(self.network.udp, {})
        self.test.assertEqual(self.network.connections, [])


class Puppet:
    """A joined peer in a test's hands: it can seal and open, and keeps no rule by itself."""

    def __init__(self, world: World, wire: Stranger) -> None:
        self.world = world
        self.wire = wire
        self.address = (wire.transport.local[0], world.network.free_port())
        """Where its datagrams come from."""
        self.accept: frames.Accept
        self.sealer: Sealer
        self.opener: Opener
        self._datagrams_before = 0

    def say_hello(self, user: str = "mallory", **fields: Any) -> None:
        """Ask to be let in; keys are made if the answer is yes."""
        self.wire.say_frame(frames.encode_hello(hello(user, **fields)))
        answer = self.wire.frames[0] if self.wire.frames else b""
        if answer[:1] == bytes((frames.Kind.ACCEPT,)):
            self.accept = frames.decode_accept(answer)
            self.use_keys(self.accept)

    def use_keys(self, accept: frames.Accept) -> None:
        """Seal and open as the client of this session."""
        exporter = b""
        if self.world.secure:
            exporter = self.wire.transport.getHandle().export_keying_material(
                EXPORTER_LABEL, 32, accept.session_id + accept.cid.to_bytes(4, "big")
            )
        self.schedule = Schedule(accept, exporter)
        to_server, to_client = self.schedule.directions()
        self.sealer = Sealer(to_server, accept.cid)
        self.opener = Opener(to_client)

    def confirm(self) -> Puppet:
        """Acknowledge, as every client does at once: the game is told of the player."""
        self.wire.say_frame(frames.encode_ack(0))
        return self

    def bind(self) -> Puppet:
        """Prove the address of the datagrams."""
        self.send(DatagramKind.BIND, PADDING)
        ((kind, body),) = self.heard()
        assert kind == DatagramKind.CHALLENGE
        self.send(DatagramKind.RESPONSE, body[:8])
        ((kind, _),) = self.heard()
        assert kind == DatagramKind.BOUND
        return self

    def seal(self, kind: int, body: bytes) -> bytes:
        """The next datagram."""
        return self.sealer.seal(kind, body)

    def send(self, kind: int, body: bytes) -> None:
        """Send one datagram."""
        self.send_sealed(self.seal(kind, body))

    def send_messages(self, *messages: tuple[int, bytes]) -> None:
        """Send one DATA datagram."""
        (body,) = pack_messages(list(messages))
        self.send(DatagramKind.DATA, ACKS.pack(0xFFFF, 0) + body)

    def send_sealed(self, data: bytes, source: tuple[str, int] | None = None) -> None:
        """Send bytes as a datagram."""
        self._datagrams_before = len(self.world.network.datagrams)
        self.world.network.inject(data, source or self.address, (self.world.address, PORT))

    def heard(self) -> list[tuple[int, bytes]]:
        """Kind and body of the datagrams that came since the last one was sent."""
        found = []
        highest = 0
        for datagram in self.world.network.datagrams[self._datagrams_before :]:
            if datagram.target == self.address:
                first, _, low = HEADER.unpack_from(datagram.data)
                highest = max(highest, low)
                found.append((first & 0x0F, self.opener.open(low, datagram.data)))
        return found


def hello(user: str, **fields: Any) -> frames.Hello:
    """A HELLO that nobody could object to, but for *fields*."""
    values: dict[str, Any] = {
        "min_version": frames.VERSION,
        "max_version": frames.VERSION,
        "suites": 1,
        "flags": frames.HELLO_WANTS_UDP | frames.HELLO_ACCEPTS_INSECURE,
        "schema_hash": bytes(8),
        "input_bits": 0,
        "mechanism": frames.ANONYMOUS,
        "game": "",
        "user": user,
        "auth": b"",
    }
    return frames.Hello(**{**values, **fields})


def hosts(world: World) -> list[Host]:
    """Both sides' conductors."""
    return [end.host for end in world.ends]

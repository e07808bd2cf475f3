"""Whatever fails, fails alone: every place where the system, or somebody's callback, can.

Each test is a row of a table: what fails, how, and what must be true after it, as
``docs/ERRORS.rst`` has it. The table is held complete by the sources themselves; after each row
nothing is left, no session, timer, connection, descriptor or thread.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import io
import os
import select
import socket
import sys
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import ifaddr
from OpenSSL import SSL
from twisted.application.service import MultiService
from twisted.cred.credentials import IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.internet.interfaces import IReactorFDSet
from twisted.logger import Logger, capturedLogs, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.test.requesthelper import DummyRequest
from zope.interface import directlyProvides, implementer

import gamenet
from gamenet import (
    account_file,
    auth,
    authorities,
    certificates,
    chat,
    cli,
    client_facade,
    daemon,
    entrance,
    facade,
    gate,
    lan,
    log_format,
    notify,
    passwords,
    ports,
    proxy,
    record_folder,
    seeking,
    stuck,
    tap,
    tickets,
    tls,
)
from gamenet.addresses import Target, parse_listen
from gamenet.auth import make_portal
from gamenet.bridge import Bridge
from gamenet.certificates import make_certificate
from gamenet.checkers import UnownedNameChecker
from gamenet.client import GameClientFactory
from gamenet.client_host import ClientHost
from gamenet.config import ClientConfig, ServerConfig
from gamenet.core import frames
from gamenet.core.server_session import ServerSession
from gamenet.core.wire import PADDING, DatagramKind
from gamenet.credentials import ClaimedName, IClaimedName, IPlayerAvatar, LoginRefused, PlayerAvatar
from gamenet.delays import Delays
from gamenet.dial import Dial
from gamenet.doctor import probe, reach
from gamenet.errors import (
    ConfigError,
    ConnectionFailed,
    DisconnectReason,
    ListenFailed,
    LocalProtocolError,
    RefusalReason,
)
from gamenet.events import Disconnected, Joined, Left, Received, Resumed, Suspended
from gamenet.game import Game, GameThread, load_game
from gamenet.impairment import Profile
from gamenet.lan import Interface, LanProtocol, join_group, open_port
from gamenet.login_pool import LoginPool, LoginThreads
from gamenet.low_latency import LowLatencyProtocol
from gamenet.messages import Message
from gamenet.metrics import StatusResource
from gamenet.metrics.guard import read_token
from gamenet.metrics.snapshots import Snapshots
from gamenet.relay import Relay
from gamenet.relay_udp import Socket
from gamenet.seeking import Seeker
from gamenet.server import GameServerFactory
from gamenet.service import GameServerService
from gamenet.testing import Simulation, live
from gamenet.testing.books import problems_of
from gamenet.testing.datagrams import SimulatedPort
from gamenet.waker import Waker
from tests import certificates as made_here
from tests.fakes import FakeTransport, Machine, Network, Stranger, StrangerFactory, random_bytes
from tests.promises.faults import (
    EXCLUDED,
    ROWS,
    Fault,
    FaultCase,
    Strike,
    at,
    descriptors,
    row,
    sites,
)
from tests.promises.talk import Talk
from tests.test_ports import SocketReactor, TappedSocket
from tests.world import ClientEnd, Recorder, World

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPBACK = "127.0.0.1"
KERNEL = (
    *("EMSGSIZE", "EHOSTUNREACH", "ENOBUFS", "ENOMEM", "EPERM", "ECONNREFUSED", "ENETUNREACH"),
    *("EACCES", "ENETDOWN", "EIO", "EINVAL", "EBADF"),
)
"""What a kernel may say of a datagram."""
DISK = ("EIO", "EACCES", "EMFILE")
"""What it may say of a file."""
LISTEN = ("EADDRINUSE", "EACCES", "EMFILE", "ENOBUFS")
"""What it may say of a port."""


def failing(*names: str) -> tuple[OSError, ...]:
    """The errors of these names, as the system raises them."""
    return tuple(os_error(name) for name in names)


def os_error(name: str) -> OSError:
    """As Python makes it: of the class that goes with its number."""
    number = getattr(errno, name)
    return OSError(number, os.strerror(number))


class UdpTests(FaultCase):
    """The UDP port, on a real socket."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = SocketReactor()
        self.network = self.reactor.network
        self.option_strike: Callable[[TappedSocket], object] = lambda tapped: None
        original = ports.udp.Port.createInternetSocket

        def create(port: Any) -> Any:
            self.tapped = TappedSocket(original(port))
            self.option_strike(self.tapped)
            return self.tapped

        self.patch(ports.udp.Port, "createInternetSocket", create)
        self.peer = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.peer.close)
        self.peer.bind((LOOPBACK, 0))
        self.factory = GameServerFactory(
            Recorder(),
            ServerConfig(insecure=True),
            reactor=self.reactor,
            now=self.reactor.seconds,
        )
        self.host = self.factory.host
        self.counters = self.host.counters

    def open(self, interface: str = LOOPBACK) -> Any:
        port: Any = self.factory.listen_udp(0, interface)
        self.addCleanup(self.network.run, 1.0)
        self.addCleanup(port.stopListening)
        return port

    def is_alive(self, port: Any) -> None:
        """It reads, writes, and its host has the one timer that it needs."""
        self.assertEqual(self.reactor.readers, {port})
        came = self.counters.datagrams_in
        self.peer.sendto(b"after it", (LOOPBACK, port.getHost().port))
        port.doRead()
        self.assertEqual(self.counters.datagrams_in, came + 1)
        port.protocol.send(b"answer", self.peer.getsockname())
        self.assertEqual(self.peer.recv(100), b"answer")
        self.network.run(0.2)
        self.assertEqual(len(self.network.timers), 1)

    def is_gone(self) -> None:
        """Nothing of the port is left, and nobody waits for it to close."""
        self.network.run(1.0)
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.network.timers, [])
        self.assertFalse(self.host.is_busy)

    @row(
        at(
            "ports.BudgetedPort._read",
            "recvfrom as a value",
            "except BlockingIOError, InterruptedError",
            "except OSError",
        ),
        seen="receive_errors",
    )
    def test_reading(self) -> None:
        port = self.open()
        self.strike(self.tapped, "recvfrom", *failing(*KERNEL, "EAGAIN", "EINTR"))
        for number in range(len(KERNEL)):
            port.doRead()
            self.assertEqual(self.counters.receive_errors, number + 1)
        for _ in ("EAGAIN", "EINTR"):
            port.doRead()
        self.assertEqual(self.counters.receive_errors, len(KERNEL))
        self.is_alive(port)

    @row(
        at("low_latency.LowLatencyProtocol.send", "sendto", "except OSError, TypeError"),
        seen="drop_send_error",
    )
    def test_writing(self) -> None:
        port = self.open()
        errors = (*failing(*KERNEL, "EAGAIN"), TypeError("an address of the other family"))
        self.strike(port.protocol, "_sendto", *errors)
        for number in range(len(errors)):
            port.protocol.send(b"lost", self.peer.getsockname())
            self.assertEqual(self.counters.drop_send_error, number + 1)
        self.assertEqual(self.counters.datagrams_out, 0)
        self.is_alive(port)

    @row(
        at("low_latency.LowLatencyProtocol._send_plainly", "transport.write", "except OSError"),
        seen="drop_send_error",
    )
    def test_writing_by_a_transport_that_is_no_socket(self) -> None:
        plain = LowLatencyProtocol(self.host)
        plain.transport = SimpleNamespace(write=self.callback(*failing(*KERNEL)))
        for number in range(len(KERNEL)):
            plain.send(b"lost", (LOOPBACK, 1))
            self.assertEqual(self.counters.drop_send_error, number + 1)
        plain.send(b"sent", (LOOPBACK, 1))
        self.assertEqual(self.counters.datagrams_out, 1)

    @row(at("low_latency.LowLatencyProtocol.datagrams_received", "except Exception"))
    def test_a_defect_of_ours(self) -> None:
        port = self.open()
        self.strike(port.protocol, "datagramReceived", Fault())
        for data in (b"?", b"!"):
            self.peer.sendto(data, (LOOPBACK, port.getHost().port))
        port.doRead()
        self.assertEqual(self.counters.drop_datagram_defect, 1)
        self.assertEqual(self.counters.datagrams_in, 1, "the one behind it was not read")
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)
        self.is_alive(port)

    @row(at("ports.BudgetedPort._read", "except Exception"))
    def test_a_defect_of_ours_besides_the_datagrams(self) -> None:
        port = self.open()
        self.strike(port.protocol, "rest_seconds", Fault())
        port.doRead()
        self.assertEqual(self.counters.drop_datagram_defect, 1)
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)
        self.is_alive(port)

    @row(
        at(
            "ports.BudgetedPort._make_ready",
            *("setsockopt", "except OSError", "setsockopt 3", "except OSError 2"),
        ),
        seen="granted size in the log",
    )
    def test_options_that_the_kernel_refuses(self) -> None:
        self.patch(ports, "IP_MTU_DISCOVER", 10)
        errors = failing("EPERM", "ENOBUFS", "EINVAL")
        self.option_strike = lambda tapped: self.strike(tapped, "setsockopt", *errors)
        port = self.open()
        self.assertEqual(len(port.granted), 2)
        self.is_alive(port)

    @row(
        at("ports.BudgetedPort._make_ready", "getsockopt 2", "setsockopt 2"),
        at("ports.BudgetedPort.createInternetSocket", "except OSError"),
        at("ports.listen", "startListening"),
        at("server.GameServerFactory.listen_udp", "ports.listen"),
    )
    def test_a_socket_that_cannot_be_made_ready(self) -> None:
        self.option_strike = lambda tapped: self.strike(tapped, "getsockopt", os_error("ENOBUFS"))
        self.assertRaises(CannotListenError, self.factory.listen_udp, 0, LOOPBACK)
        self.assertEqual(self.tapped.fileno(), -1)
        self.option_strike = lambda tapped: self.strike(
            tapped, "setsockopt", os_error("ENOPROTOOPT"), after=2
        )
        # The socket is one of IPv4, for machines without the other; it is not asked.
        self.patch(socket, "AF_INET6", socket.AF_INET)
        self.assertRaises(CannotListenError, self.factory.listen_udp, 0, "::1")
        self.assertEqual(self.tapped.fileno(), -1)
        self.is_gone()

    @row(at("ports.listen", "startListening", "except OSError"))
    def test_a_reactor_that_cannot_watch_the_socket(self) -> None:
        """``epoll_ctl`` can fail when the port is open already."""
        self.strike(self.reactor, "addReader", os_error("ENOSPC"))
        self.assertRaises(OSError, self.factory.listen_udp, 0, LOOPBACK)
        self.is_gone()
        self.is_alive(self.open())

    @row(at("ports.listen", "listenUDP"), at("server.GameServerFactory.listen_udp", "ports.listen"))
    def test_a_reactor_without_readiness(self) -> None:
        machine = Machine(Network(), LOOPBACK)
        factory = GameServerFactory(
            Recorder(), ServerConfig(insecure=True), reactor=machine, now=machine.seconds
        )
        self.strike(machine, "listenUDP", CannotListenError("", 1, os_error("EADDRINUSE")))
        self.assertRaises(CannotListenError, factory.listen_udp, 1)
        self.assertEqual(machine.network.timers, [])
        self.assertFalse(factory.host.is_busy)


class Portal:
    """Lets everybody in by default, and counts."""

    def __init__(self) -> None:
        self.logins = 0
        self.logouts = 0
        self.avatar: Any = PlayerAvatar("")
        self.logout: Callable[[], object] = lambda: None

    def login(self, credentials: Any, mind: object, *interfaces: object) -> Any:
        """Let somebody in."""
        self.logins += 1
        return IPlayerAvatar, self.avatar, self._out

    def _out(self) -> None:
        self.logouts += 1
        self.logout()


class TicketPortal(Portal):
    """Has tickets that want to hear what became of them."""

    def __init__(self, settle: Callable[[bool], object]) -> None:
        super().__init__()
        self.settle = settle
        self.decides = True

    def login(self, credentials: Any, mind: object, *interfaces: object) -> Any:
        """Let the bearer in."""
        credentials.settle = self.settle
        self.avatar = PlayerAvatar("ada@example")
        return super().login(credentials, mind) if self.decides else Deferred()


def refusal_of(client: ClientEnd) -> RefusalReason | None:
    """Why it was not let in."""
    return client.end().refusal


class WorldCase(FaultCase):
    """A server and clients in memory, whose books are checked when they close."""

    def world(self, **fields: Any) -> World:
        self.made = World(self, **fields)
        return self.made

    def logged(self, kind: type[Exception] = Fault, count: int = 1) -> None:
        """So many of these were logged."""
        self.assertEqual(len(self.flushLoggedErrors(kind)), count)

    def plays(self, client: ClientEnd) -> None:
        """What it says arrives."""
        before = len(self.made.server.of(Received))
        client.verbs.send(b"hello")
        self.made.play(0.3)
        self.assertEqual(len(self.made.server.of(Received)), before + 1)


class JoiningTests(WorldCase):
    """Portals, secrets, and where keys come from."""

    @row(
        at("joining.Door._join", "random_bytes", "random_bytes 2"),
        at("joining.Door.terms", "random_bytes"),
        at("joining.Door._join_or_refuse", "except Exception"),
        at("core.registry.Registry.new_cid", "_random_bytes"),
        seen="INTERNAL",
    )
    def test_no_randomness(self) -> None:
        portal = Portal()
        world = self.world(portal=portal)
        host = world.server.host
        for owner, name, after in (
            (host, "random_bytes", 0),
            (host, "random_bytes", 1),
            (host, "random_bytes", 2),
            (host.registry, "_random_bytes", 0),
        ):
            self.strike(owner, name, os_error("EIO"), after=after)
            client = world.client("ada")
            world.play(0.2)
            self.assertEqual(refusal_of(client), RefusalReason.INTERNAL)
            self.assertEqual(portal.logouts, portal.logins)
        self.logged(OSError, 4)
        self.plays(world.join("ada"))

    @row(at("returning.resume", "random_bytes"), at("host.Host.frame_received", "except Exception"))
    def test_no_randomness_for_one_who_comes_back(self) -> None:
        world = self.world(resume_seconds=5.0)
        ada, bob = world.join("ada", redials=True), world.join("bob")
        self.strike(world.server.host, "random_bytes", os_error("EIO"))
        assert ada.transport is not None
        ada.transport.abortConnection()
        world.play(2.0)
        self.assertEqual(ada.end().reason, DisconnectReason.INTERNAL)
        self.logged(OSError)
        world.play(5.0)
        self.assertEqual(len(world.server.of(Left)), 1)
        self.plays(bob)

    @row(
        at("core.path.ServerPath._challenged_at", "_random_bytes"),
        at("low_latency.LowLatencyProtocol.datagramReceived", "except Exception"),
    )
    def test_no_randomness_for_a_challenge(self) -> None:
        world = self.world()
        puppet = world.puppet("ada").confirm()
        self.strike(world.server.session_of("ada").path, "_random_bytes", os_error("EIO"))
        puppet.send(DatagramKind.BIND, PADDING)
        self.assertEqual(world.server.counters.drop_datagram_defect, 1)
        self.logged(OSError)
        world.play(2.0)
        puppet.send(DatagramKind.BIND, PADDING)

    @row(
        at("core.server_session.ServerSession._rekey_if_due", "_random_bytes"),
        at("host.Host._tick_sessions", "except Exception"),
        seen="INTERNAL",
    )
    def test_no_randomness_for_new_keys(self) -> None:
        world = self.world(rekey_seconds=60.0)
        ada, bob = world.join("ada"), world.join("bob")
        self.strike(world.server.session_of("ada"), "_random_bytes", os_error("EIO"))
        world.play(61.0, 0.5)
        self.assertEqual(ada.end().reason, DisconnectReason.INTERNAL)
        self.logged(OSError)
        self.plays(bob)

    @row(at("redial.Dialler._jitter", "random_bytes"), at("turns.Turns.run", "except Exception"))
    def test_no_randomness_for_a_pause(self) -> None:
        world = self.world(resume_seconds=5.0)
        ada = world.join("ada", redials=True)
        self.strike(ada.host, "random_bytes", os_error("EIO"))
        assert ada.transport is not None
        ada.transport.abortConnection()
        world.play(6.0)
        self.logged(OSError)
        self.assertEqual(world.server.of(Left)[0].reason, DisconnectReason.SESSION_LOST)
        self.assertEqual(ada.end().reason, DisconnectReason.SESSION_LOST)

    @row(at("joining.Door.hello", "_portal.login as a value"), seen=("CREDENTIALS", "INTERNAL"))
    def test_a_portal_that_raises_and_one_that_fails(self) -> None:
        portal = Portal()
        world = self.world(portal=portal)
        let_in = portal.login
        for error, refusal in (
            (Fault(), RefusalReason.INTERNAL),
            (os_error("ECONNREFUSED"), RefusalReason.INTERNAL),
            (UnauthorizedLogin(), RefusalReason.CREDENTIALS),
        ):
            for late in (False, True):
                strike = self.callback(error, then=let_in)
                waiting: Deferred[Any] = Deferred()
                answer = waiting.addCallback(strike) if late else None
                portal.login = strike if answer is None else (lambda *_, given=answer: given)  # type: ignore[method-assign]
                client = world.client("ada")
                world.play(0.1)
                if late:
                    waiting.callback(None)
                    world.play(0.1)
                self.assertEqual(refusal_of(client), refusal)
        portal.login = let_in  # type: ignore[method-assign]
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 2)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        self.plays(world.join("ada"))

    @row(at("joining.Door._join_or_refuse", "except Exception"), seen="INTERNAL")
    def test_an_avatar_that_raises(self) -> None:
        account = self.callback()

        class Avatar:
            @property
            def account(self) -> str:
                return str(account() or "")

        portal = Portal()
        portal.avatar = Avatar()
        world = self.world(portal=portal)
        client = world.client("ada")
        world.play(0.2)
        self.assertEqual(refusal_of(client), RefusalReason.INTERNAL)
        self.assertEqual((portal.logins, portal.logouts), (1, 1))
        self.logged()
        self.plays(world.join("ada"))

    @row(at("joining.log_out", "logout", "except Exception"))
    def test_a_logout_that_raises(self) -> None:
        portal = Portal()
        world = self.world(portal=portal)
        ada, bob = world.join("ada"), world.join("bob")
        portal.logout = self.callback()
        ada.host.leave()
        world.play(0.2)
        self.assertEqual([each.player.name for each in world.server.of(Left)], ["ada"])
        self.logged()
        self.plays(bob)

    def bearer(self, portal: TicketPortal) -> tuple[World, ClientEnd]:
        world = self.world(portal=portal, secure=True)
        client = world.client("ada", ticket=b"ticket")
        world.take()
        return world, client

    @row(at("joining.settle", "ticket.settle", "except Exception"))
    def test_a_ticket_that_cannot_be_told_that_it_is_used(self) -> None:
        _, ada = self.bearer(TicketPortal(self.callback()))
        self.assertTrue(ada.joined)
        self.logged()
        self.plays(ada)

    @row(at("joining.settle", "ticket.settle", "except Exception"))
    def test_a_ticket_that_cannot_be_told_that_it_is_not(self) -> None:
        portal = TicketPortal(self.callback())
        world = self.world(portal=portal, secure=True)
        stranger = world.stranger()
        stranger.say_frame(
            frames.encode_hello(
                frames.Hello(
                    *(frames.VERSION, frames.VERSION, 1, frames.HELLO_WANTS_UDP, bytes(8), 0),
                    *(frames.TICKET, "", "ada", b"ticket"),
                )
            )
        )
        self.assertEqual(len(world.server.host.registry), 1)
        stranger.abort()
        world.strangers.clear()
        world.play(0.2)
        self.assertEqual(len(world.server.host.registry), 0)
        self.assertEqual((portal.logins, portal.logouts), (1, 1))
        self.logged()

    @row(at("joining.settle", "ticket.settle", "except Exception"))
    def test_a_ticket_of_somebody_who_has_gone(self) -> None:
        late: list[Any] = []

        class Late(TicketPortal):
            def login(self, credentials: Any, mind: object, *interfaces: object) -> Any:
                late.append(credentials)
                self.waiting: Deferred[Any] = Deferred()
                return self.waiting

        portal = Late(self.callback())
        world, ada = self.bearer(portal)
        ada.host.leave()
        world.play(0.2)
        late[0].settle = portal.settle
        portal.waiting.callback((IPlayerAvatar, PlayerAvatar(""), portal._out))
        world.play(0.2)
        self.assertEqual(portal.logouts, 1)
        self.logged()

    @row(at("joining.Door.dropped", "login.cancel", "except Exception"))
    def test_a_login_that_cannot_be_given_up(self) -> None:
        portal = Portal()
        portal.cancels_logins = True  # type: ignore[attr-defined]
        refuses = self.callback()
        portal.login = lambda *_: Deferred(refuses)  # type: ignore[method-assign]
        world = self.world(portal=portal)
        client = world.client("ada")
        world.play(0.1)
        client.host.leave()
        world.play(0.2)
        self.logged()
        self.assertEqual(world.server.host._door._logins, {})
        # The one connection is gone, so whoever waits for the end is told.
        self.assertEqual(world.server.host._alive, set())

    @row(
        at("reliable.ReliableProtocol.exporter", "export_keying_material"),
        at("joining.Door._join_or_refuse", "except Exception"),
        at("host.Host.frame_received", "except Exception"),
        seen="INTERNAL",
    )
    def test_keying_material_that_cannot_be_had(self) -> None:
        portal = Portal()
        world = self.world(secure=True, portal=portal)
        self.strike(SSL.Connection, "export_keying_material", SSL.Error(), by="reliable")
        server_side = world.client("ada")
        world.play(0.2)
        self.assertEqual(refusal_of(server_side), RefusalReason.INTERNAL)
        self.assertEqual(portal.logouts, 1)
        self.logged(SSL.Error)
        self.strike(SSL.Connection, "export_keying_material", SSL.Error(), by="reliable", after=1)
        client_side = world.client("ada")
        world.play(0.2)
        self.assertEqual(client_side.end().reason, DisconnectReason.INTERNAL)
        self.logged(SSL.Error)
        world.play(0.2)
        self.assertEqual(portal.logouts, 2)
        self.plays(world.join("ada"))

    @row(at("server_host.ServerHost.told_udp_port", "transport.getHost", "transport.getHost 2"))
    def test_a_socket_that_does_not_know_its_name(self) -> None:
        portal = Portal()
        world = self.world(portal=portal)
        for kind in (FakeTransport, SimulatedPort):
            self.strike(kind, "getHost", os_error("ENOBUFS"), by="server_host")
            client = world.client("ada")
            world.play(0.2)
            self.assertEqual(refusal_of(client), RefusalReason.INTERNAL)
            self.assertEqual(portal.logouts, portal.logins)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 2)
        self.plays(world.join("ada"))

    @row(at("tls.ClientCreator.clientConnectionForTLS.<locals>.verify", "except Exception"))
    def test_a_certificate_that_cannot_be_looked_at(self) -> None:
        world = self.world(secure=True)
        self.strike(tls.ClientCreator, "_problem", Fault())
        client = world.client("ada")
        world.play(0.2)
        self.assertIn("certificate cannot be read", client.end().text)
        self.plays(world.join("ada"))


class Trade(Message):
    """A message that looks at itself when it is made."""

    look: ClassVar[Any]
    number: int

    def __post_init__(self) -> None:
        type(self).look()


Trade.look = staticmethod(lambda: None)


class SessionTests(WorldCase):
    """What happens to a session once it is there."""

    @row(
        at("sinks.OfferSink.push", "_sink.offer", "except Exception"),
        seen="the event counts as taken",
    )
    def test_a_sink_that_raises(self) -> None:
        world = self.world()
        ada = world.join("ada")
        self.strike(world.server.recorder, "offer", Fault())
        for payload in (b"1", b"2"):
            ada.verbs.send(payload)
        world.play(0.3)
        self.assertEqual([each.payload for each in world.server.of(Received)], [b"2"])
        self.assertEqual(ada.verbs.quality().queued_messages, 0)
        self.logged()

    @row(seen="stalled")
    def test_an_observer_of_the_log_that_raises(self) -> None:
        """Twisted keeps it from us, and goes on without it."""
        world = self.world(bridged=True, stall_seconds=1.0)
        ada = world.join("ada")
        observer = self.callback()
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        ada.verbs.send(b"hello")
        ada.take()
        world.run(3.0)
        self.assertEqual(world.server.counters.stalls, 1)
        self.logged()
        world.play(0.5)
        self.assertEqual(len(world.server.of(Received)), 1)

    @row(at("loop.GameLoop._make_view", "except Exception"))
    def test_a_view_that_raises(self) -> None:
        world = self.world(bridged=True)
        world.server.verbs.show(self.callback())
        bridge = world.server.bridge
        assert bridge is not None
        bridge.showing.looked_at = world.network.seconds()
        for _ in range(2):
            world.server.verbs.events()
        self.assertIsNone(bridge.showing.make)
        self.logged()

    @row(at("collector.Collector.drain", "except Exception"))
    def test_a_command_that_raises(self) -> None:
        world = self.world(bridged=True)
        ada = world.join("ada")
        assert world.server.bridge is not None
        world.server.bridge.submit(self.callback())
        world.server.verbs.send(world.server.players["ada"], b"after it")
        world.play(0.3)
        self.assertEqual(len(ada.of(Received)), 1)
        self.logged()

    @row(
        at("messages.Codec.decode", "_decoder.decode", "except Exception"),
        seen=("drop_frame_malformed", "BAD_DATA"),
    )
    def test_a_message_that_raises_when_it_is_read(self) -> None:
        world = self.world(messages=(Trade,))
        ada, bob = world.join("ada", messages=(Trade,)), world.join("bob")
        # Made, and checked before it is sent.
        self.patch(Trade, "look", staticmethod(self.callback(Fault())))
        self.strikes[-1]._after = 2
        ada.verbs.send(Trade(1))
        world.play(0.3)
        self.assertEqual(world.server.of(Left)[0].reason, DisconnectReason.BAD_DATA)
        self.assertEqual(world.server.counters.drop_frame_malformed, 1)
        self.assertNotEqual(ada.end().reason, DisconnectReason.INTERNAL)
        self.assertFalse(bob.of(Disconnected))

    @row(at("messages.Codec.encode", "_decoder.decode", "except Exception"))
    def test_a_message_that_raises_when_it_is_written(self) -> None:
        """A caller's mistake is raised at the call."""
        world = self.world(messages=(Trade,))
        ada = world.join("ada", messages=(Trade,))
        self.patch(Trade, "look", staticmethod(self.callback(Fault())))
        self.strikes[-1]._after = 1
        self.assertRaises(LocalProtocolError, ada.verbs.send, Trade(1))
        ada.verbs.send(Trade(2))
        world.play(0.3)
        self.assertEqual([each.payload.number for each in world.server.of(Received)], [2])  # type: ignore[union-attr]

    @row(at("messages.Codec.encode", "self._encode", "except Exception"))
    def test_a_message_that_cannot_be_written(self) -> None:
        world = self.world(messages=(Trade,))
        ada = world.join("ada", messages=(Trade,))
        self.strike(ada.host.codec, "_encode", OverflowError())
        self.assertRaises(LocalProtocolError, ada.verbs.send, Trade(1))
        ada.verbs.send(Trade(2))
        world.play(0.3)
        self.assertEqual(len(world.server.of(Received)), 1)

    @row(at("host.Host.frame_received", "except Exception"), seen="INTERNAL")
    def test_a_defect_with_a_frame(self) -> None:
        world = self.world()
        ada, bob = world.join("ada"), world.join("bob")
        self.strike(ServerSession, "receive_frame", Fault())
        ada.verbs.send(b"?")
        world.play(0.3)
        self.assertEqual(ada.end().reason, DisconnectReason.INTERNAL)
        self.assertEqual(world.server.of(Left)[0].reason, DisconnectReason.INTERNAL)
        self.logged()
        self.plays(bob)

    @row(at("host.Host._flush", "except Exception"))
    def test_a_defect_with_what_leaves(self) -> None:
        world = self.world()
        ada, bob = world.join("ada"), world.join("bob")
        self.strike(ServerSession, "datagrams_to_send", Fault())
        for client in (ada, bob):
            world.server.verbs.send(world.server.players[client.host.user], b"hello")
        world.play(1.0)
        self.assertEqual([len(each.of(Received)) for each in (ada, bob)], [1, 1])
        self.logged()

    @row(at("turns.Turns.run", "except Exception"), seen="TIMEOUT")
    def test_a_defect_at_the_beginning(self) -> None:
        world = self.world(join_seconds=1.0)
        self.strike(ClientHost, "connection_ready", Fault())
        client = world.client("ada", join_seconds=2.0)
        world.play(3.0)
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        self.logged()
        self.plays(world.join("ada"))

    @row(
        at("reliable.ReliableProtocol.connectionMade", "setTcpNoDelay", "setTcpKeepAlive"),
        at("reliable.ReliableProtocol.connectionMade", "except OSError"),
    )
    def test_options_of_a_connection(self) -> None:
        """Some systems refuse them where the peer has reset it meanwhile."""
        world = self.world()
        self.strike(FakeTransport, "setTcpNoDelay", os_error("EINVAL"))
        self.plays(world.join("ada"))
        self.strike(FakeTransport, "setTcpKeepAlive", os_error("EINVAL"))
        self.plays(world.join("bob"))

    @row(
        at("ports.set_tcp_buffers", "setsockopt as a value", "except OSError"),
    )
    def test_buffers_of_a_connection(self) -> None:
        refuses = self.callback(*failing("EPERM", "ENOBUFS"))
        ports.set_tcp_buffers(
            SimpleNamespace(socket=SimpleNamespace(setsockopt=refuses)), 4_096, 4_096
        )

    @row(
        at("reliable.ReliableProtocol.send_frames", "transport.write", "except OSError"),
        seen=("Suspended", "Resumed"),
    )
    def test_a_write_that_raises(self) -> None:
        """As when the reactor cannot watch the socket: nothing is lost, whatever was kept."""
        write = FakeTransport.write
        for keeps in (False, True):
            for at_server in (True, False):
                world = self.world(resume_seconds=30.0)
                ada = world.join("ada", redials=True)
                protocol = ada.host._connection
                if at_server:
                    protocol = world.server.host.connection_of(world.server.session_of("ada"))
                strike = self.callback(os_error("ENOSPC"))

                def fails(
                    data: bytes, strike: Strike = strike, to: Any = protocol, keep: bool = keeps
                ) -> None:
                    if keep or not strike.left:
                        write(to.transport, data)
                    strike()

                self.patch(protocol.transport, "write", fails)
                for number in range(3):
                    ada.verbs.send(b"%d" % number)
                    world.server.verbs.send(world.server.players["ada"], b"%d" % number)
                world.play(3.0)
                for end in (world.server, ada):
                    heard = [each.payload for each in end.of(Received)]
                    self.assertEqual(heard, [b"0", b"1", b"2"], (keeps, at_server))
                self.assertEqual(len(world.server.of(Resumed)), 1)
                self.assertFalse(world.server.of(Left))
                world.close()

    @row(
        at("reliable.ReliableProtocol.send_frames", "transport.write", "except OSError"),
    )
    def test_a_last_word_that_cannot_be_written(self) -> None:
        world = self.world(resume_seconds=30.0)
        ada = world.join("ada", redials=True)
        protocol = world.server.host.connection_of(world.server.session_of("ada"))
        self.strike(protocol.transport, "write", os_error("ENOSPC"))
        world.server.verbs.disconnect(world.server.players["ada"], "out")
        world.play(3.0)
        self.assertEqual(world.server.of(Left)[0].reason, DisconnectReason.KICKED)
        # Who comes back is told.
        self.assertEqual(ada.end().reason, DisconnectReason.KICKED)

    @row(
        at("reliable.ReliableProtocol.finish", "loseWriteConnection as a value"),
        at("host.Host.frame_received", "except Exception"),
    )
    def test_a_half_that_cannot_be_closed(self) -> None:
        world = self.world()
        client = world.client("not a name")
        self.strike(FakeTransport, "loseWriteConnection", os_error("ENOSPC"))
        world.play(3.0)
        self.assertEqual(refusal_of(client), RefusalReason.NAME)
        self.assertEqual(world.server.host._alive, set())
        self.flushLoggedErrors(OSError)

    @row(
        at("reliable.ReliableProtocol.close_quietly", "loseConnection"),
        at("host.Host.frame_received", "except Exception"),
    )
    def test_a_connection_that_cannot_be_closed(self) -> None:
        """Its player is out all the same, and it is cut a little later."""
        world = self.world()
        ada, bob = world.join("ada"), world.join("bob")
        self.strike(FakeTransport, "loseConnection", os_error("ENOSPC"), by="reliable")
        ada.host.leave()
        world.play(3.0)
        self.assertEqual([each.player.name for each in world.server.of(Left)], ["ada"])
        self.logged(OSError)
        self.plays(bob)

    @row(at("reliable.ReliableProtocol.finish", "loseConnection"))
    def test_a_connection_over_tls_that_cannot_be_closed(self) -> None:
        world = self.world(secure=True)
        client = world.client("not a name")
        self.strike(TLSMemoryBIOProtocol, "loseConnection", os_error("ENOSPC"), by="reliable")
        world.play(3.0)
        self.assertEqual(refusal_of(client), RefusalReason.NAME)
        self.assertEqual(world.server.host._alive, set())
        self.flushLoggedErrors(OSError)

    @row(
        at("redial.Dialler.connect", "_endpoint.connect as a value"),
        at("redial.Dialler._failed", "why", "except Exception"),
        seen="UNREACHABLE",
    )
    def test_an_endpoint_that_raises(self) -> None:
        """Not that it may; but whoever plays must hear of the end."""
        machine = Machine(Network())
        for explains in (False, True):
            recorder = Recorder()
            factory = GameClientFactory(
                recorder,
                ClientConfig(insecure=True),
                reactor=machine,
                now=machine.seconds,
                random_bytes=random_bytes(1),
            )
            endpoint: Any = SimpleNamespace(connect=self.callback(os_error("EMFILE")))
            if explains:
                endpoint.why = self.callback()
            self.successResultOf(factory.dial(endpoint))
            machine.run(1.0)
            (event,) = recorder.events
            assert isinstance(event, Disconnected)
            self.assertEqual(event.reason, DisconnectReason.UNREACHABLE)
            self.assertIn("Too many open files", event.text)
            self.assertFalse(factory.host.is_busy)
        self.logged()
        self.assertEqual(machine.network.timers, [])

    @row(at("dial.Dial.connect", "_endpoint.connect"), seen="UNREACHABLE")
    def test_a_socket_to_dial_with_that_cannot_be_had(self) -> None:
        machine = Machine(Network())
        recorder = Recorder()
        settings = ClientConfig(insecure=True)
        factory = GameClientFactory(recorder, settings, reactor=machine, now=machine.seconds)
        dial = Dial(Target("10.0.0.9", 1), settings, machine)
        self.strike(dial._endpoint, "connect", os_error("EMFILE"))
        self.successResultOf(factory.dial(dial))
        (event,) = recorder.events
        assert isinstance(event, Disconnected)
        self.assertEqual(event.text, "no server answers at 10.0.0.9:1: OSError")
        self.assertFalse(factory.host.is_busy)

    @row(
        at(
            "client_host.ClientHost._open_udp",
            "ports.listen",
            "except CannotListenError, OSError",
        ),
        seen="one warning; reliable messages go on",
    )
    def test_a_client_without_a_port(self) -> None:
        world = self.world()
        for error in (
            *(CannotListenError("", 0, each) for each in failing(*LISTEN)),
            *failing("ENOSPC", "ENOMEM"),
        ):
            machine = world.machine()
            self.strike(machine, "listenUDP", error)
            client = world.client(f"of{len(self.strikes)}", machine=machine)
            world.play(0.3)
            self.assertTrue(client.joined)
            self.assertFalse(client.bound)
            self.plays(client)

    @row(at("client_host.ClientHost._disconnected", "stopListening as a value"))
    def test_a_port_that_complains_when_it_is_closed(self) -> None:
        world = self.world()
        ada = world.join("ada")
        port = ada.host._udp
        close = port.stopListening
        self.strike(port, "stopListening", os_error("EIO"))
        ada.host.leave()
        world.play(0.3)
        self.assertEqual(ada.end().reason, DisconnectReason.QUIT)
        close()
        world.play(0.3)
        self.assertFalse(ada.host.is_busy)
        self.logged(OSError)


@implementer(IReactorFDSet)
class SteppedReactor(SocketReactor):
    """Watches real sockets for reading and writing; each turn is taken by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.writers: set[Any] = set()

    def addWriter(self, writer: Any) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: Any) -> None:
        self.writers.discard(writer)

    def turn(self) -> None:
        """Read and write everywhere once, as Twisted does: who fails is closed."""
        for group, name in ((self.readers, "doRead"), (self.writers, "doWrite")):
            for each in sorted(group, key=id):
                if each in group:
                    why = getattr(each, name)()
                    if why is not None:
                        self.readers.discard(each)
                        self.writers.discard(each)
                        each.connectionLost(Failure(why))

    def play(self, seconds: float) -> None:
        """Let time pass, with some turns in each bit of it."""
        for _ in range(round(seconds / 0.05)):
            for _ in range(4):
                self.turn()
            self.network.run(0.05)


class Pipe(TappedSocket):
    """One end of a pair of sockets of this process, in the clothes of TCP."""

    most = 1 << 20
    """Bytes that one send takes; 0 says that it would block."""

    def send(self, data: Any) -> int:
        """Take some of it."""
        if not self.most:
            raise os_error("EAGAIN")
        return self.real.send(data[: self.most])

    def recv(self, size: int) -> bytes:
        """What came."""
        return self.real.recv(size)

    def shutdown(self, how: int) -> None:
        """Close a half."""
        self.real.shutdown(how)

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """A pair has none of TCP's."""

    def getsockopt(self, level: int, option: int) -> int:
        """Nor can it be asked."""
        return 0

    def getsockname(self) -> tuple[str, int]:
        """As those of TCP have it."""
        return LOOPBACK, 7777


class WireTests(FaultCase):
    """Twisted's own TCP connections, on real descriptors: short writes, and what kernels say."""

    def setUp(self) -> None:
        tcp._reservedFD.reserve()  # Twisted keeps one for the life of a process
        super().setUp()
        self.reactor = SteppedReactor()
        config = ServerConfig(insecure=True, resume_seconds=2.0)
        self.recorder, self.heard = Recorder(), Recorder()
        sources: Any = {"reactor": self.reactor, "now": self.reactor.seconds}
        self.server = GameServerFactory(
            self.recorder, config, random_bytes=random_bytes(1), **sources
        )
        self.client = GameClientFactory(
            self.heard,
            ClientConfig(insecure=True),
            random_bytes=random_bytes(2),
            user="ada",
            **sources,
        )
        self.ends: list[tuple[Pipe, Any]] = []
        self.addCleanup(self.leave)
        for factory, pipe in zip((self.server, self.client), socket.socketpair(), strict=True):
            self.connect(factory, pipe)
        self.reactor.play(0.5)

    def connect(self, factory: Any, real: socket.socket) -> None:
        real.setblocking(False)
        pipe = Pipe(real)
        protocol = factory.buildProtocol(None)
        near: Any = pipe
        transport = tcp.Server(near, protocol, (LOOPBACK, 1), None, 1, self.reactor)  # type: ignore[arg-type]
        self.ends.append((pipe, transport))
        protocol.makeConnection(transport)

    def leave(self) -> None:
        self.client.host.leave()
        self.server.host.end_all(DisconnectReason.STOPPED)
        self.reactor.play(3.0)
        self.assertEqual(self.reactor.readers, set())
        self.assertEqual(self.reactor.writers, set())
        self.assertEqual(self.reactor.network.timers, [])
        for host in (self.server.host, self.client.host):
            self.assertFalse(host.is_busy)
            self.assertEqual(list(host.sessions()), [])
            counts = host.counters.snapshot()
            self.assertEqual(
                counts["frames_in"],
                counts["frames_delivered"]
                + sum(number for name, number in counts.items() if name.startswith("drop_frame_")),
            )

    def of(self, recorder: Recorder, kind: type[Any]) -> list[Any]:
        return [event for event in recorder.events if isinstance(event, kind)]

    def say(self, number: int) -> None:
        payload = b"%d " % number + bytes(number * 37 % 900)
        self.client.verbs.send(payload)
        (joined,) = self.of(self.recorder, Joined)
        self.server.verbs.send(joined.player, payload)

    def test_short_writes(self) -> None:
        """P1: frames arrive whole and in order, in whatever bits the kernel takes them."""
        for number in range(200):
            for pipe, _ in self.ends:
                pipe.most = (0, 1, 2, 3, 5, 7, 64, 4_096)[(number * 5 + pipe.fileno()) % 8]
            self.say(number)
            self.reactor.play(0.05)
        for pipe, _ in self.ends:
            pipe.most = 1_000
        self.reactor.play(20.0)
        for recorder in (self.recorder, self.heard):
            heard = [int(each.payload.split()[0]) for each in self.of(recorder, Received)]
            self.assertEqual(heard, list(range(200)))
            self.assertEqual(self.of(recorder, Left) + self.of(recorder, Disconnected), [])

    def test_a_write_that_would_block_for_ever(self) -> None:
        """Who takes nothing is cut after a while, and what was theirs is freed."""
        self.ends[0][0].most = 0
        for number in range(20):
            self.say(number)
        self.reactor.play(30.0)
        self.assertEqual(len(self.of(self.recorder, Left)), 1)
        self.assertEqual(len(self.of(self.heard, Disconnected)), 1)

    @row(
        at("outflow.DirectTap.send", "_socket.send", "except OSError"),
        seen=("Suspended", "SESSION_LOST"),
    )
    def test_writing_fails(self) -> None:
        pipe, _ = self.ends[0]
        self.strike(pipe, "send", *failing("EINTR", "ENOBUFS", "EAGAIN", "EPIPE"))
        self.say(1)
        self.say(2)
        self.reactor.play(1.0)
        self.assertEqual(len(self.of(self.recorder, Suspended)), 1)
        self.reactor.play(4.0)
        (left,) = self.of(self.recorder, Left)
        self.assertEqual(left.reason, DisconnectReason.SESSION_LOST)
        self.assertEqual(left.unacknowledged_count, 2)

    @row(seen=("Suspended", "SESSION_LOST"))
    def test_reading_fails(self) -> None:
        pipe, _ = self.ends[0]
        self.strike(pipe, "recv", *failing("EAGAIN", "ETIMEDOUT"))
        self.say(1)
        self.reactor.play(4.0)
        (left,) = self.of(self.recorder, Left)
        self.assertEqual(left.reason, DisconnectReason.SESSION_LOST)
        self.assertEqual(len(self.of(self.recorder, Suspended)), 1)

    def test_the_end_of_a_server_while_something_waits(self) -> None:
        """All that was said comes before the goodbye."""
        pipe, _ = self.ends[0]
        pipe.most = 0
        for number in range(20):
            self.say(number)
        self.reactor.play(0.1)
        self.server.host.end_all(DisconnectReason.STOPPED)
        pipe.most = 2_000
        self.reactor.play(1.0)
        heard = [int(each.payload.split()[0]) for each in self.of(self.heard, Received)]
        self.assertEqual(heard, list(range(20)))
        (gone,) = self.of(self.heard, Disconnected)
        self.assertEqual(gone.reason, DisconnectReason.STOPPED)

    @row(seen="EMFILE")
    def test_accepting_fails(self) -> None:
        port: Any = tcp.Port(0, self.server, 5, LOOPBACK, self.reactor)
        port.startListening()
        port.socket = tapped = TappedSocket(port.socket)
        self.addCleanup(self.reactor.play, 0.1)
        self.addCleanup(port.stopListening)
        errors = ("EMFILE", "EAGAIN", "ENOBUFS", "ENFILE", "ECONNABORTED", "EPERM", "EAGAIN")
        accepts = self.strike(tapped, "accept", *failing(*errors))
        while accepts.left:
            port.doRead()
        self.assertIn(port, self.reactor.readers)
        self.say(1)
        self.reactor.play(0.5)
        self.assertEqual(len(self.of(self.recorder, Received)), 1)

    @row(seen="BYE")
    def test_closing_a_half_fails(self) -> None:
        """Twisted passes over it; the other end hears the last word, and our end is cut."""
        pipe, _ = self.ends[0]
        self.strike(pipe, "shutdown", os_error("ENOTCONN"))
        self.server.verbs.disconnect(self.of(self.recorder, Joined)[0].player, "out")
        self.reactor.play(4.0)
        self.assertEqual(self.of(self.heard, Disconnected)[0].reason, DisconnectReason.KICKED)
        self.assertEqual(len(self.of(self.recorder, Left)), 1)

    @row(
        at("reliable.ReliableProtocol.send_frames", "transport.write", "except OSError"),
        seen="Suspended",
    )
    def test_a_reactor_that_cannot_watch_for_writing(self) -> None:
        self.ends[0][0].most = 0  # what the kernel takes at once needs no watching
        self.strike(self.reactor, "addWriter", os_error("ENOSPC"))
        (joined,) = self.of(self.recorder, Joined)
        self.server.verbs.send(joined.player, b"hello")
        self.reactor.play(1.0)
        self.assertEqual(len(self.of(self.recorder, Suspended)), 1)


class WakeTests(FaultCase):
    """The ways between the two threads: where the short one fails, the long one is taken."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = SocketReactor()
        self.bridge = Bridge()
        self.addCleanup(self.bridge.close)
        self.factory = GameServerFactory(
            self.bridge,
            ServerConfig(insecure=True),
            reactor=self.reactor,
            now=self.reactor.seconds,
        )

    def open(self) -> None:
        port: Any = self.factory.listen_udp(0, LOOPBACK)
        self.addCleanup(self.reactor.network.run, 1.0)
        self.addCleanup(port.stopListening)

    def is_carried_out(self, times: int = 1) -> None:
        """What the game says is carried out, however often it says something."""
        done: list[int] = []
        for number in range(times):
            self.bridge.submit(done.append, number)
            self.bridge.end_pass()
            for each in list(self.reactor.readers):
                if isinstance(each, Waker):
                    each.doRead()
            self.reactor.run(0.0)
        self.assertEqual(done, list(range(times)))

    @row(at("doorbell._descriptors", "eventfd"), at("waker.Waker.open", "except OSError"))
    def test_no_descriptor_is_left_for_the_reactor(self) -> None:
        self.strike(os, "eventfd", os_error("EMFILE"), by="doorbell")
        self.open()
        self.assertFalse([each for each in self.reactor.readers if isinstance(each, Waker)])
        self.is_carried_out(2)

    @row(at("waker.Waker.open", "except OSError"))
    def test_the_reactor_can_poll_no_more(self) -> None:
        self.strike(self.reactor, "addReader", os_error("ENOSPC"), by="waker")
        self.open()
        self.is_carried_out(2)

    @row(at("doorbell.Doorbell.ring", "os.write", "except BlockingIOError", "except OSError"))
    def test_waking_fails(self) -> None:
        self.open()
        (waker,) = (each for each in self.reactor.readers if isinstance(each, Waker))
        waker.wake()  # what is full holds a wake already
        self.strike(os, "write", *failing("EAGAIN", "EBADF", "EIO"), by="doorbell")
        self.is_carried_out(4)

    @row(at("collector.Collector.turn_ends", "except Exception"))
    def test_a_defect_of_ours_at_the_end_of_a_turn(self) -> None:
        self.open()
        host = self.factory.host
        self.strike(host, "fetch", Fault())
        host.begin_turn()
        self.bridge.submit(lambda: None)
        self.bridge.end_pass()
        host.end_turn()
        self.is_carried_out(2)
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)

    @row(at("doorbell.Doorbell.hear", "os.read", "except OSError"))
    def test_hearing_fails(self) -> None:
        self.open()
        self.strike(os, "read", *failing("EAGAIN", "EIO"), by="doorbell")
        self.is_carried_out(3)

    @row(at("doorbell.Bench.open", "except OSError"), at("doorbell._descriptors", "eventfd"))
    def test_no_descriptor_is_left_for_the_game(self) -> None:
        self.strike(os, "eventfd", os_error("EMFILE"), by="doorbell")
        self.is_woken()

    @row(at("doorbell.Bench.open", "except OSError"))
    def test_only_one_descriptor_is_left_for_the_game(self) -> None:
        self.strike(select, "epoll", os_error("EMFILE"), by="doorbell")
        self.is_woken()

    def is_woken(self) -> None:
        """A game that waits hears of an event all the same."""
        game = threading.Thread(target=self.bridge.wait, args=(60.0,), daemon=True)
        game.start()
        while not self.bridge._waiting:
            pass
        self.bridge.post("now")
        game.join(60.0)
        self.assertFalse(game.is_alive())


class RelayTests(FaultCase):
    """The bad network of ``gamenet proxy``."""

    PLACE = "10.0.0.5:7000"

    def setUp(self) -> None:
        super().setUp()
        self.network = Network()
        self.machine = Machine(self.network, "10.0.0.5")
        self.server = StrangerFactory()
        self.server_machine = Machine(self.network)
        self.server_machine.listenTCP(7777, self.server)
        self.endpoint: Any = SimpleNamespace(connect=self.reach)
        self.addCleanup(self.empty)

    def reach(self, factory: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred()
        transport = self.machine.connect(factory, ("10.0.0.1", 7777))
        done.callback(transport)
        return done

    def relay(self, target: str = "10.0.0.1") -> Relay:
        made = Relay(
            self.machine,
            Target(target, 7777),
            parse_listen(self.PLACE, "listen"),
            Profile(),
            endpoint=self.endpoint,
        )
        self.addCleanup(self.network.run, 1.0)
        self.addCleanup(made.stop)
        return made

    def empty(self) -> None:
        self.network.tcp.pop(("10.0.0.1", 7777), None)
        for each in list(self.network.connections):
            each.abortConnection()
        self.network.run(1.0)
        self.assertEqual(self.network.left_behind(), [])

    def client(self) -> Stranger:
        factory = StrangerFactory()
        Machine(self.network, f"10.1.0.{self.network.free_port() % 250}").connect(
            factory, ("10.0.0.5", 7000)
        )
        self.network.settle()
        return factory.made[0]

    @row(
        at(
            "relay.Relay._open",
            *("listenTCP", "except CannotListenError, OSError"),
            *("udp.open", "except CannotListenError, OSError 2"),
        ),
        at("relay_udp.Socket.open", "ports.listen"),
    )
    def test_a_port_that_cannot_be_opened(self) -> None:
        for name in ("listenTCP", "listenUDP"):
            for error in (
                *failing("EMFILE"),
                *(CannotListenError("", 7000, each) for each in failing(*LISTEN)),
            ):
                self.strike(self.machine, name, error)
                self.failureResultOf(self.relay().start(), ListenFailed)
                self.network.run(0.1)
                self.assertEqual(self.network.udp, {})
                self.assertEqual(list(self.network.tcp), [("10.0.0.1", 7777)])
        self.successResultOf(self.relay().start())

    @row(
        at("relay.Relay.start", "deferToThreadPool"),
        at("relay.Relay.start", "socket.getaddrinfo as a value"),
    )
    def test_a_name_that_nobody_knows(self) -> None:
        for error in (socket.gaierror(-2, "unknown"), *failing("EMFILE"), UnicodeError()):
            fails = self.callback(error)

            def answer(
                done: Callable[[bool, Any], object], *call: Any, fails: Strike = fails, **named: Any
            ) -> None:
                try:
                    done(True, fails(*call, **named))
                except Exception:
                    done(False, Failure())

            pool = SimpleNamespace(callInThreadWithCallback=answer)
            self.machine.getThreadPool = lambda pool=pool: pool  # type: ignore[attr-defined]
            started = self.relay("no.example").start()
            self.network.settle()
            self.failureResultOf(started, ConnectionFailed)
        self.assertNotIn(("10.0.0.5", 7000), self.network.tcp)

    @row(at("relay_tcp.Link.connect", "endpoint.connect as a value"))
    def test_an_endpoint_that_raises(self) -> None:
        self.endpoint.connect = self.callback(os_error("EMFILE"), then=self.reach)
        relay = self.relay()
        self.successResultOf(relay.start())
        lost = self.client()
        self.network.run(1.0)
        self.assertNotEqual(lost.ended, "")
        self.assertEqual(relay.counts()["tcp_unanswered"], 1)
        self.assertEqual(relay.counts()["tcp_connections_now"], 0)
        self.client().say(b"hello")
        self.assertEqual(self.server.made[0].heard, b"hello")

    @row(
        at("relay_tcp.End.connectionMade", "setTcpNoDelay", "setTcpKeepAlive", "except OSError"),
    )
    def test_options_of_a_connection(self) -> None:
        self.strike(FakeTransport, "setTcpNoDelay", os_error("EINVAL"), by="relay_tcp")
        self.strike(FakeTransport, "setTcpKeepAlive", os_error("EINVAL"), by="relay_tcp", after=0)
        self.successResultOf(self.relay().start())
        self.client().say(b"hello")
        self.assertEqual(self.server.made[0].heard, b"hello")

    @row(at("relay_tcp.End.pour", "transport.write", "except OSError"))
    def test_a_write_that_raises(self) -> None:
        """Neither end may go on with a hole in what it hears."""
        relay = self.relay()
        self.successResultOf(relay.start())
        client = self.client()
        client.say(b"one")
        (link,) = relay._connections.links
        self.strike(link.server.transport, "write", os_error("ENOSPC"))
        client.say(b"two")
        client.say(b"three")
        self.network.run(1.0)
        self.assertEqual(self.server.made[0].heard, b"one")
        self.assertEqual([client.ended, self.server.made[0].ended], ["rst", "rst"])
        self.assertEqual(relay.counts()["tcp_connections_now"], 0)

    @row(at("delays.Delays._fire", "except Exception"))
    def test_a_delayed_call_that_raises(self) -> None:
        delays = Delays(self.machine)
        happened: list[int] = []
        delays.at(0.1, self.callback())
        delays.at(0.1, happened.append, 1)
        delays.at(0.2, happened.append, 2)
        self.network.run(1.0)
        self.assertEqual(happened, [1, 2])
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)

    @row(at("relay_udp.Socket.datagrams_received", "except Exception"))
    def test_a_datagram_that_meets_a_defect(self) -> None:
        came: list[bytes] = []
        udp = Socket(lambda _socket, data, _address: came.append(data))
        self.strike(udp, "_received", Fault())
        udp.datagrams_received([(b"x", ("10.9.0.1", 9)), (b"y", ("10.9.0.1", 9))])
        self.assertEqual(came, [b"y"])
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)

    @row(
        at("relay_udp.Clients._open", "socket.open", "except CannotListenError, OSError"),
        at("relay_udp.Socket.send", "except OSError, TypeError"),
    )
    def test_datagrams(self) -> None:
        relay = self.relay()
        self.successResultOf(relay.start())
        sender = ("10.9.0.1", 9)
        for error in (*failing("EMFILE"), CannotListenError("", 0, os_error("EMFILE"))):
            self.strike(self.machine, "listenUDP", error)
            self.network.inject(b"x", sender, ("10.0.0.5", 7000))
        self.assertEqual(relay.counts()["udp_turned_away"], 2)
        self.network.inject(b"x", sender, ("10.0.0.5", 7000))
        (client,) = relay._clients.table.values()
        assert client.socket is not None
        self.strike(client.socket, "_sendto", *failing(*KERNEL), TypeError())
        for _ in (*KERNEL, TypeError):
            self.network.inject(b"x", sender, ("10.0.0.5", 7000))
        client.socket.receive_failed(os_error("EIO"))
        self.assertEqual(client.socket.errors, len(KERNEL) + 2)
        sent = len(self.network.datagrams)
        self.network.inject(b"x", sender, ("10.0.0.5", 7000))
        self.assertEqual(len(self.network.datagrams), sent + 1)

    @row(
        at("relay.Relay._close_ports", "stopListening as a value"),
        at("relay_udp.Socket.close", "stopListening as a value"),
    )
    def test_ports_that_complain_when_they_are_closed(self) -> None:
        relay = self.relay()
        self.successResultOf(relay.start())
        ends = [relay._tcp[0], relay._udp[0].transport]
        closes = [end.stopListening for end in ends]
        for end in ends:
            self.strike(end, "stopListening", os_error("EIO"))
        self.successResultOf(relay.stop())
        for close in closes:
            close()
        self.network.run(0.1)
        self.assertEqual(list(self.network.tcp), [("10.0.0.1", 7777)])
        self.flush_unasked(OSError)


class ListeningTests(FaultCase):
    """A server's ports, its game's thread, and its end."""

    def setUp(self) -> None:
        super().setUp()
        self.network = Network()
        self.machine = Machine(self.network)
        self.recorder = Recorder()

    def service(self, the_game: Any = None, **fields: Any) -> GameServerService:
        made = GameServerService(
            ServerConfig(**{"insecure": True, "listen": "7777:interface=127.0.0.1", **fields}),
            the_game,
            sink=self.recorder if the_game is None else None,
            reactor=self.machine,
            now=self.machine.seconds,
        )
        self.addCleanup(self.end, made)
        return made

    def end(self, service: GameServerService) -> None:
        service.stopService()
        self.network.run(20.0)
        if service.thread is not None and service.thread._thread.ident is not None:
            service.thread.join(60.0)
            self.network.run(1.0)
        if service.bridge is not None:
            service.bridge.finish()
        self.assertEqual(self.network.left_behind(), [])
        self.assertTrue(service._is_stopped)

    @row(
        at("listening.Listening._open_tcp", "listenTCP", "except CannotListenError, OSError"),
        at("listening.Listening._open_udp", "listen_udp", "except CannotListenError, OSError"),
        seen="ListenFailed",
    )
    def test_ports_that_cannot_be_opened(self) -> None:
        for name in ("listenTCP", "listenUDP"):
            for cause in failing(*LISTEN):
                for error in (cause, CannotListenError(LOOPBACK, 7777, cause)):
                    service = self.service()
                    self.strike(self.machine, name, error)
                    said = str(self.assertRaises(ListenFailed, service.startService))
                    self.assertIn(os.strerror(cause.errno or 0), said)
                    self.network.run(0.1)
                    self.assertEqual(self.network.left_behind(), [])
        self.service().startService()

    @row(
        at("listening.Listening._open_tcp", "except CannotListenError, OSError"),
        at("listening.Listening._open_udp", "except CannotListenError, OSError"),
        seen="IPv4 serves",
    )
    def test_no_ipv6(self) -> None:
        for number, name in enumerate(("EADDRNOTAVAIL", "EAFNOSUPPORT")):
            service = self.service(listen=8000 + number)
            for call in ("listenTCP", "listenUDP"):
                error = CannotListenError("::1", 0, os_error(name))
                self.strike(self.machine, call, error, after=1)
            service.startService()
            self.assertEqual(service.address, f"127.0.0.1:{8000 + number}")
            service.stopService()
            self.network.run(1.0)

    @row(at("listening.Listening.close", "stopListening as a value"))
    def test_a_port_that_complains_when_it_is_closed(self) -> None:
        service = self.service()
        service.startService()
        (port,) = service._listening._tcp
        close = port.stopListening
        self.strike(port, "stopListening", os_error("EIO"))
        stopped = service.stopService()
        self.network.run(1.0)
        self.successResultOf(stopped)
        close()
        del port, stopped
        self.flush_unasked(OSError)

    @row(
        at("listening.Listening._adopt", "getsockname", "found.listen", "adoptStreamPort"),
        at("listening.Listening._adopt", "except OSError"),
        at("descriptors.copied", "os.dup", "socket.socket", "setblocking"),
        at("descriptors.copied", "except OSError", "except BaseException"),
        at("descriptors._check", "getsockname"),
        seen="ListenFailed",
    )
    def test_a_socket_that_somebody_else_has_opened(self) -> None:

        class Made(socket.socket):
            """Whose methods can fail."""

        theirs = socket.create_server((LOOPBACK, 0))
        self.addCleanup(theirs.close)
        machine: Any = self.machine
        machine.adoptStreamPort = lambda *_: None
        self.patch(socket, "socket", Made)
        for owner, name, by in (
            (os, "dup", "descriptors"),
            (socket, "socket", "descriptors"),
            (Made, "getsockname", "descriptors"),
            (Made, "setblocking", "descriptors"),
            (Made, "getsockname", "listening"),
            (Made, "listen", "listening"),
            (machine, "adoptStreamPort", "listening"),
        ):
            self.strike(owner, name, os_error("ENOTSOCK"), by=by)
            service = self.service(listen=f"fd:{theirs.fileno()}")
            before = descriptors()
            said = str(self.assertRaises(ListenFailed, service.startService))
            self.assertEqual(descriptors(), before, name)
            self.assertIn("is not a socket to listen on", said)

    @row(
        at("listening.Listening._adopt_udp", "getsockname"),
        at("listening.Listening._adopt_udp", "except CannotListenError, OSError"),
        at("ports.adopt", "getsockname", "startListening", "except OSError"),
        at("ports.BudgetedPort._make_ready", "getsockopt"),
        seen="ListenFailed",
    )
    def test_a_udp_socket_that_somebody_else_has_opened(self) -> None:

        class Made(socket.socket):
            """Whose methods can fail."""

        theirs = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(theirs.close)
        theirs.bind((LOOPBACK, 0))
        directlyProvides(self.machine, IReactorFDSet)
        machine: Any = self.machine
        machine.addReader = machine.removeReader = machine.removeWriter = lambda *_: None
        self.patch(socket, "socket", Made)
        for owner, name, by in (
            (Made, "getsockname", "listening"),
            (Made, "getsockname", "ports"),
            (ports.OpenSocket, "getsockopt", "ports"),
            (machine, "addReader", ""),
        ):
            self.strike(owner, name, os_error("ENOTSOCK"), by=by)
            service = self.service(udp=f"fd:{theirs.fileno()}")
            before = descriptors()
            said = str(self.assertRaises(ListenFailed, service.startService))
            self.network.run(0.1)
            self.assertEqual(descriptors(), before, name)
            self.assertIn("is not a socket to listen on", said)

    @row(at("entrance._parsed", "serverFromString"), seen="ListenFailed")
    def test_a_socket_that_systemd_has_not(self) -> None:
        service = self.service(listen="systemd:domain=INET:index=0")
        self.strike(entrance, "serverFromString", KeyError("LISTEN_FDS"), ValueError("which?"))
        self.assertRaises(ListenFailed, service.startService)
        self.assertRaises(ListenFailed, service.startService)

    @row(at("game.GameThread.start", "_thread.start"))
    def test_no_thread_for_the_game(self) -> None:
        service = self.service(lambda server: None)
        self.strike(threading.Thread, "start", RuntimeError("no thread"), by="game")
        self.assertRaises(RuntimeError, service.startService)
        stopped = service.stopService()
        self.network.run(1.0)
        self.successResultOf(stopped)

    @row(
        at("game.GameThread.start", "_thread.start"),
        at("service.GameServerService.startService", "_thread.start"),
        at("facade.GameServer.start", "except BaseException"),
        at("facade.GameServer.start.<locals>.begin", "except BaseException"),
    )
    def test_no_thread_for_the_game_of_a_program(self) -> None:
        self.patch(facade, "check_may_block", lambda: None)
        self.patch(facade, "ensure_reactor", lambda **_: self.machine)
        self.patch(facade, "call_in_reactor", lambda reactor, seconds, call: call())
        server = facade.GameServer("7777:interface=127.0.0.1", game=print, insecure=True)
        self.strike(threading.Thread, "start", RuntimeError("no thread"), by="game")
        self.assertRaises(RuntimeError, server.start)
        self.network.run(1.0)
        self.assertEqual(self.network.left_behind(), [])
        self.assertFalse(server.running)

    @row(
        at("service.GameServerService._game_over", "on_game_end"),
        at("service.GameServerService.game_stops", "on_game_end"),
    )
    def test_who_hears_of_the_games_end_raises(self) -> None:
        service = self.service()
        service.startService()
        service.on_game_end = self.callback(Fault(), Fault())
        service.thread_ended(True)
        self.assertRaises(Fault, self.network.settle)
        self.assertRaises(Fault, service.game_stops)

    @row(at("login_pool.LoginPool._fill", "callInThreadWithCallback"))
    def test_no_thread_for_a_password(self) -> None:
        pool = LoginPool(1, 1, self.machine)
        self.strike(LoginThreads, "callInThreadWithCallback", *(RuntimeError() for _ in range(3)))
        for refused in range(1, 4):
            error = self.failureResultOf(pool.run(lambda: None), LoginRefused).value
            self.assertEqual(error.refusal, RefusalReason.BUSY)
            self.assertEqual((pool.running, pool.waiting, pool.refused), (0, 0, refused))
        self.successResultOf(pool.stop())


HOOKS = {
    "on_event": lambda simulation: simulation.clients[0].say("hello"),
    "on_tick": lambda simulation: None,
    "on_join": lambda simulation: simulation.join("late"),
    "on_leave": lambda simulation: simulation.clients[0].stop(),
    "on_input": lambda simulation: simulation.clients[0].send_input(1),
    "on_chat": lambda simulation: simulation.clients[0].say("hello"),
    "on_message": lambda simulation: simulation.clients[0].send(b"hello"),
    "on_message 2": lambda simulation: simulation.clients[0].send_unreliable(b"hello"),
}
"""Hooks of a game, and what has them called."""


class Watched(Simulation):
    """A simulation that says what it has left even if it could not begin."""

    left: ClassVar[list[str]] = []

    def left_now(self) -> list[str]:
        """What is left, once it has ended."""
        return problems_of(self.network, [self._service.host, *self._hosts], self._runner)

    def _abandon(self) -> None:
        super()._abandon()
        Watched.left[:] = self.left_now()


class GameTests(FaultCase):
    """A game that raises, wherever it does, ends the server; and only then."""

    @row(
        at("game.Game._step", "on_event", "on_tick"),
        at("game.Game._dispatch", "on_join", "on_leave", "on_input", "on_chat", "on_message"),
        at("game.Game._dispatch", "on_message 2"),
        seen="GAME_ERROR",
    )
    def test_every_hook(self) -> None:
        for name, provoke in HOOKS.items():
            hook = name.partition(" ")[0]
            with Watched(Game, clients=2, seed=name) as simulation:
                simulation.run(1.0)
                self.strike(simulation.game, hook, Fault(name))

                def act(
                    provoke: Callable[[Any], object] = provoke, on: Simulation = simulation
                ) -> None:
                    provoke(on)
                    on.run(1.0)

                self.assertRaises(Fault, act)
                simulation.run(1.0)
                self.assertTrue(simulation.game_failed)
                ended = [
                    event
                    for event in simulation.clients[1].events()
                    if isinstance(event, Disconnected)
                ]
                self.assertEqual([each.reason for each in ended], [DisconnectReason.GAME_ERROR])

    @row(seen="GAME_ERROR")
    def test_the_first_hook_and_the_last(self) -> None:
        self.strike(Game, "on_start", Fault())
        self.assertRaises(Fault, Watched, Game)
        self.assertEqual(Watched.left, [])
        self.strike(Game, "on_stop", Fault())
        simulation = Watched(Game)
        self.assertRaises(Fault, simulation.close)
        self.assertEqual(simulation.left_now(), [])

    @row(
        at("game.GameThread._run", "game", "game.run", "except BaseException"),
        at("game.Game.run", "on_start", "on_stop"),
        seen="exit status 1",
    )
    def test_a_game_on_its_thread(self) -> None:
        server: Any = SimpleNamespace(ticks=lambda: iter(()))
        for name in ("", "on_start", "on_stop"):
            for error in (Fault(), MemoryError(), KeyboardInterrupt()):
                made: Any = Game()
                if name:
                    self.strike(made, name, error)
                else:
                    made = self.callback(error)
                ended: list[bool] = []
                GameThread(made, server, ended.append)._run()
                self.assertEqual(ended, [False])
                self.assertEqual(len(self.flushLoggedErrors(type(error))), 1)

    @row(at("game.load_attribute", "import_module", "except Exception"), seen="ConfigError")
    def test_a_game_that_cannot_be_imported(self) -> None:
        for error in (Fault(), *failing(*DISK)):
            self.strike(importlib, "import_module", error, by="game")
            self.assertRaises(ConfigError, load_game, "some:game")

    @row(at("client_facade.GameClient._wait_for_join", "except BaseException"))
    def test_a_client_that_breaks_while_it_joins(self) -> None:
        with Simulation() as simulation:
            self.strike(client_facade.GameClient, "_take", Fault())
            self.assertRaises(Fault, simulation.join, "bob")
            talk = Talk(simulation)
            talk.say()
            talk.finish()
            talk.check_exact(self, "after it")


class FileTests(FaultCase):
    """Files that cannot be read or written, at the start and while a server runs."""

    def setUp(self) -> None:
        super().setUp()
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.said = io.StringIO()
        self.patch(sys, "stderr", self.said)

    def strike_file(self, name: str, error: BaseException, by: str, path: str = "") -> None:
        """Have a method of the next file that a module opens, or of this one, raise."""
        opened = open
        struck: list[Any] = []
        strike = self.callback(error)

        def opening(*arguments: Any, **named: Any) -> Any:
            file: Any = opened(*arguments, **named)
            is_theirs = sys._getframe(1).f_globals["__name__"] == f"gamenet.{by}"
            if is_theirs and path in ("", arguments[0]) and not struck:
                struck.append(file)
                setattr(file, name, strike)
            return file

        self.patch(builtins, "open", opening)

    def fails(self, call: Callable[[], object], kind: type[Exception] = ConfigError) -> str:
        """It says what is wrong, and leaves no file open."""
        before = descriptors()
        error = self.assertRaises(kind, call)
        self.assertEqual(descriptors(), before)
        return str(error)

    def each(
        self, by: str, faults: tuple[tuple[Any, str], ...], call: Callable[[], object]
    ) -> None:
        """Have each of these calls fail in each way; None stands for the file."""
        for owner, name in faults:
            for number in DISK:
                error = os_error(number)
                if owner is None:
                    self.strike_file(name, error, by)
                else:
                    self.strike(owner, name, error, by=by)
                self.assertIn(error.strerror, self.fails(call))

    def account(self, name: str = "ada") -> Any:
        return passwords.new_record(name, b"secret", 10)

    @row(
        at("account_file.read_file", "open", "os.fstat", "file.read", "except OSError"),
        at("account_file._open_now", "os.open"),
        seen="ConfigError",
    )
    def test_reading_accounts(self) -> None:
        path = str(self.folder / "accounts")
        account_file.change(path, "ada", self.account())
        self.each(
            "account_file",
            ((builtins, "open"), (os, "open"), (os, "fstat"), (None, "read")),
            lambda: account_file.read_file(path, "auth"),
        )
        self.fails(lambda: account_file.read_file(str(self.folder), "auth"))
        self.assertIn(b"ada", account_file.read_file(path, "auth"))

    @row(
        at(
            "account_file.change",
            *("os.open", "except FileExistsError", "except OSError", "file.write", "file.flush"),
            *("os.stat", "os.fsync", "os.replace", "except OSError 2", "os.unlink"),
            "suppress FileNotFoundError",
        ),
        at("account_file._keep_owner", "os.fchown", "suppress PermissionError", "os.fchmod"),
    )
    def test_changing_accounts(self) -> None:
        path = self.folder / "accounts"
        account_file.change(str(path), "ada", self.account())
        before = path.read_bytes()

        def change() -> object:
            return account_file.change(str(path), "bob", self.account("bob"))

        self.each(
            "account_file",
            (
                *((os, "open"), (os, "stat"), (os, "fchmod"), (os, "fsync"), (os, "replace")),
                *((None, "write"), (None, "flush")),
            ),
            change,
        )
        self.strike(os, "open", os_error("EEXIST"), by="account_file")
        self.assertIn("is being changed", self.fails(change))
        self.assertEqual(path.read_bytes(), before)
        self.assertEqual(os.listdir(self.folder), ["accounts"])
        # What only an owner may do is left, and what is gone need not be removed.
        self.strike(os, "fchown", os_error("EPERM"), by="account_file")
        self.strike(os, "unlink", os_error("ENOENT"), by="account_file")
        self.assertFalse(change())
        self.assertIn(b"bob", path.read_bytes())

    @row(
        at("passwords._stamp", "os.stat", "except OSError"),
        at("account_file.read_file", "except OSError"),
    )
    def test_accounts_that_cannot_be_read_again(self) -> None:
        path = str(self.folder / "accounts")
        account_file.change(path, "ada", self.account())
        accounts = passwords.PasswordFile(path, 10)
        self.strike(os, "stat", os_error("EIO"), by="passwords")
        self.strike(os, "open", os_error("EIO"), by="account_file")
        for _ in range(3):
            self.assertTrue(accounts.lists("ada"))

    @row(
        at("authorities.trusting", "os.stat", "except OSError"),
        at("authorities._read", "load_verify_locations"),
        at("authorities._trust_system", "load_verify_locations"),
        seen="ConfigError",
    )
    def test_authorities(self) -> None:
        path = self.folder / "ca.pem"
        path.write_bytes(make_certificate(["localhost"]).certificate)
        self.each("authorities", ((os, "stat"),), lambda: authorities.trusting(str(path)))
        self.strike(SSL.Context, "load_verify_locations", SSL.Error([]), by="authorities")
        self.fails(lambda: authorities.trusting(str(path)))
        authorities.trusting(str(path))
        places = SimpleNamespace(cafile=str(path))
        self.patch(authorities.ssl, "get_default_verify_paths", lambda: places)
        self.strike(SSL.Context, "load_verify_locations", SSL.Error([]), by="authorities")
        authorities._trust_system(authorities.new_context())

    @row(
        at("certificates._write", "os.open", "file.write", "os.replace", "unlink"),
        at("certificates._write", "except OSError", "except OSError 2"),
    )
    def test_writing_a_certificate(self) -> None:
        made = make_certificate(["localhost"])
        for force in (False, True):
            folder = self.folder / str(force)
            folder.mkdir()
            self.each(
                "certificates",
                ((os, "open"), (None, "write"), (os, "replace"))[: 2 + force],
                lambda: certificates.write_certificate(folder, made, force=force),  # noqa: B023
            )
            self.assertEqual(os.listdir(folder), [])
        self.strike_file("write", os_error("EIO"), "certificates")
        self.strike(Path, "unlink", os_error("EIO"), by="certificates")
        self.fails(lambda: certificates.write_certificate(self.folder, made))

    @row(
        at("tickets.make_key", "os.open", "file.write", "unlink", "except OSError"),
        at("tickets._read", "open", "os.fstat", "fileno", "file.read", "except OSError"),
        seen="ConfigError",
    )
    def test_keys_of_tickets(self) -> None:
        path = self.folder / "key"
        self.each("tickets", ((os, "open"), (None, "write")), lambda: tickets.make_key(path))
        self.assertEqual(os.listdir(self.folder), [])
        tickets.make_key(path)
        self.each(
            "tickets",
            ((builtins, "open"), (os, "fstat"), (None, "fileno"), (None, "read")),
            lambda: tickets.read_private_key(path),
        )
        self.strike_file("write", os_error("EIO"), "tickets")
        self.strike(Path, "unlink", os_error("EROFS"), by="tickets")
        self.fails(lambda: tickets.make_key(self.folder / "other"), OSError)

    @row(
        at("metrics.guard.read_token", "open", "os.fstat", "fileno", "file.read", "except OSError"),
        seen="ConfigError",
    )
    def test_the_token_of_the_status_site(self) -> None:
        path = self.folder / "token"
        path.write_text("x" * 32)
        path.chmod(0o600)
        self.each(
            "metrics.guard",
            ((builtins, "open"), (os, "fstat"), (None, "fileno"), (None, "read")),
            lambda: read_token(str(path)),
        )

    @row(
        at("config.ServerConfig.from_file", "read_text", "except OSError"),
        at("tap.Options._config", "read_text", "except OSError, ValueError, RecursionError"),
        seen="ConfigError",
    )
    def test_settings(self) -> None:
        path = self.folder / "settings.toml"
        path.write_text("tick_rate = 20")
        self.each("config", ((Path, "read_text"),), lambda: ServerConfig.from_file(path))
        self.patch(sys, "path", list(sys.path))
        self.patch(sys, "__stderr__", self.said)
        self.strike(Path, "read_text", *failing("EIO", "EIO"))
        self.fails(
            lambda: tap.Options().parseOptions(["--insecure", "--config", str(path)]),
            SystemExit,  # type: ignore[arg-type]
        )
        self.assertEqual(
            self.said.getvalue(), f"gamenet: config: cannot read {path}: Input/output error\n"
        )

    @row(
        at("keyfiles._read", "open", "file.read", "os.fstat", "fileno", "except OSError"),
    )
    def test_a_certificate_that_cannot_be_read_again(self) -> None:
        files = made_here.write(self.folder, make_certificate(["localhost"]))
        network = Network()
        machine = Machine(network)
        service = GameServerService(
            ServerConfig(cert_file=files.cert, key_file=files.key, listen="7777:interface=::1"),
            sink=Recorder(),
            reactor=machine,
            now=machine.seconds,
        )
        service.startService()
        pin = service.fingerprint
        made: Any = SimpleNamespace(server=service, _plan=SimpleNamespace(reread=None))
        for owner, name, path in (
            *((builtins, "open", ""), (os, "fstat", ""), (None, "read", "")),
            (None, "fileno", files.key),
        ):
            if owner is None:
                self.strike_file(name, os_error("EIO"), "keyfiles", path)
            else:
                self.strike(owner, name, os_error("EIO"), by="keyfiles")
            before = descriptors()
            with capturedLogs() as logged:
                daemon.Daemon.reload(made)
            self.assertEqual(descriptors(), before)
            (line,) = (each["error"] for each in logged)
            self.assertIn("Input/output error", line)
            self.assertEqual(service.fingerprint, pin)
        daemon.Daemon.reload(made)
        service.stopService()
        network.run(1.0)
        self.assertEqual(network.left_behind(), [])

    @row(
        at("entrance._check_folder", "os.walk", "open", "file.read", "os.fstat", "fileno"),
        at("entrance._check_folder", "except OSError"),
        at("entrance._parsed", "serverFromString"),
        at("entrance._tls", "except Exception"),
        seen="ConfigError",
    )
    def test_a_folder_of_certificates(self) -> None:
        made_here.write(self.folder, make_certificate(["localhost"]))
        self.each(
            "entrance",
            (
                *((os, "walk"), (builtins, "open"), (None, "read")),
                *((os, "fstat"), (None, "fileno")),
            )[:4],
            lambda: entrance._check_folder(str(self.folder)),
        )
        for each in self.folder.glob("*cert*"):
            each.unlink()
        self.each("entrance", ((None, "fileno"),), lambda: entrance._check_folder(str(self.folder)))
        self.strike(entrance, "serverFromString", Fault("of OpenSSL"))
        self.assertIn("of OpenSSL", self.fails(lambda: entrance._tls("tls:x:port=1", None)))


class ProcessTests(FaultCase):
    """The commands, the daemon's process, and those who run servers for tests."""

    def setUp(self) -> None:
        super().setUp()
        self.out, self.err = Scratch(), io.StringIO()
        self.addCleanup(self.out.done)
        for name, stream in (("stdout", self.out), ("stderr", self.err), ("__stderr__", self.err)):
            self.patch(sys, name, stream)

    @row(
        at("certificates._own_name", "socket.gethostname"),
        at("cli.main", "except OSError", "os.dup2", "suppress OSError, ValueError"),
        at("cli._proof", "getpass"),
        at("cli_trust._ask", "buffer.readline", "getpass", "getpass 2"),
    )
    def test_commands(self) -> None:
        """One line, and status 1; or none, if nobody is left to read it."""
        self.strike(socket, "gethostname", *failing("EIO", "EPIPE"))
        self.assertEqual(cli.main(["cert"]), 1)
        self.assertEqual(self.err.getvalue(), "gamenet cert: Input/output error\n")
        self.strike(os, "dup2", os_error("EBADF"), by="cli")
        self.assertEqual(cli.main(["cert"]), 1)
        passwd, chats = ["passwd", "/no", "ada"], ["chat", "host", "--user", "ada", "--password"]
        terminal: Any = SimpleNamespace(isatty=lambda: True)
        reads = self.callback(os_error("EIO"))
        piped: Any = SimpleNamespace(isatty=lambda: False, buffer=SimpleNamespace(readline=reads))
        for command, stdin, after in (
            (chats, terminal, 0),
            (passwd, terminal, 0),
            (passwd, terminal, 1),
            (passwd, piped, None),
        ):
            self.patch(sys, "stdin", stdin)
            if after is not None:
                self.patch(cli.getpass, "getpass", lambda *_: "x")
                self.strike(cli.getpass, "getpass", os_error("EIO"), after=after)
            self.assertEqual(cli.main(command), 1)
        self.assertEqual(self.err.getvalue().count("\n"), 5)

    @row(at("cli._first_line", "open", "file.readline", "except OSError"))
    def test_a_secret_that_cannot_be_read(self) -> None:
        chats = ["chat", "host", "--user", "ada", "--password-file", __file__]
        self.strike(builtins, "open", os_error("EIO"), by="cli")
        self.assertEqual(cli.main(chats), 1)
        FileTests.strike_file(self, "readline", os_error("EIO"), "cli")  # type: ignore[arg-type]
        self.assertEqual(cli.main(chats), 1)
        said = f"gamenet chat: cannot read {__file__}: Input/output error; name a file that you "
        said += "may read\n"
        self.assertEqual(self.err.getvalue(), 2 * said)

    @row(
        at("chat.LineReader.read", "os.read", "except OSError"),
        at("chat._run_chat", "fileno", "except AttributeError, OSError, ValueError"),
    )
    def test_talking_without_a_terminal(self) -> None:
        self.strike(os, "read", os_error("EIO"), by="chat")
        reader = chat.LineReader()
        reader.read(0)
        self.assertIsNone(reader.take())
        self.assertTrue(reader.ended)
        stdin: Any = SimpleNamespace(fileno=self.callback(os_error("EBADF")))
        self.patch(sys, "stdin", stdin)
        held: list[chat.LineReader] = []
        talks = SimpleNamespace(run=lambda interrupted: 0)
        self.patch(chat, "Conversation", lambda _, lines, *rest: held.append(lines) or talks)
        client: Any = None
        self.assertEqual(chat._run_chat(client, lambda: False, ""), 0)
        self.assertTrue(held[0].ended)

    @row()
    def test_talking_to_nobody_who_reads(self) -> None:
        stopped: list[float] = []
        client: Any = SimpleNamespace(
            start=lambda **_: None,
            stop=stopped.append,
            events=lambda timeout: [gamenet.Connected(gamenet.SERVER, secure=True)],
        )
        out: Any = SimpleNamespace(
            encoding="utf-8", write=self.callback(os_error("EPIPE")), flush=lambda: None
        )
        conversation = chat.Conversation(client, chat.LineReader(), out)
        self.assertRaises(BrokenPipeError, conversation.run, lambda: False)
        self.assertEqual(len(stopped), 1)

    @row(
        at("daemon.refuse_start", "os.unlink", "suppress OSError"),
        at("daemon.refuse_start", "os.write", "suppress OSError 2"),
        seen="one line and exits 1",
    )
    def test_a_daemon_that_cannot_start_and_hardly_say_so(self) -> None:
        self.strike(os, "unlink", os_error("EACCES"), by="daemon")
        self.strike(os, "write", os_error("EPIPE"), by="daemon")
        twistd = {"pidfile": "/no/file", "statusPipe": 99}
        error = self.assertRaises(SystemExit, daemon.refuse_start, "no", twistd)
        self.assertEqual(error.code, 1)
        self.assertEqual(self.err.getvalue(), "gamenet: no\n")

    @row(
        at("daemon._leave", "stream.flush", "suppress OSError, ValueError"),
        seen="exit status 1",
    )
    def test_a_failed_game_whose_last_words_nobody_reads(self) -> None:
        self.patch(daemon, "_exit_status", 1)
        self.patch(daemon.logging, "shutdown", lambda: None)
        ended: list[int] = []
        self.patch(os, "_exit", ended.append)
        out: Any = SimpleNamespace(flush=self.callback(os_error("EPIPE")))
        self.patch(sys, "__stdout__", out)
        daemon._leave()
        self.assertEqual(ended, [1])

    @row(
        at("daemon.StatusService.privilegedStartService", "listenTCP"),
        at(
            "daemon.StatusService.privilegedStartService",
            "except CannotListenError, OSError",
        ),
        at("daemon.StatusService.stopService", "stopListening"),
        seen="ListenFailed",
    )
    def test_the_status_site(self) -> None:
        machine = Machine(Network())
        source: Any = SimpleNamespace(host=SimpleNamespace(now=machine.seconds), running=1)
        service = daemon.StatusService(source, parse_listen("8000", "status"), machine)
        for error in (*failing(*LISTEN), CannotListenError("", 8000, os_error("EADDRINUSE"))):
            self.strike(machine, "listenTCP", error)
            self.assertRaises(ListenFailed, service.privilegedStartService)
        service.privilegedStartService()
        close = service._port.stopListening
        self.strike(service._port, "stopListening", os_error("EIO"))
        parent = MultiService()
        service.setServiceParent(parent)
        self.successResultOf(parent.stopService())
        close()
        self.assertEqual(machine.network.left_behind(), [])
        self.flush_unasked(OSError)

    @row(
        at("notify.Notifier.tell", "socket.socket", "setblocking", "sendto", "except OSError"),
        seen="it is tried on",
    )
    def test_a_service_manager_that_cannot_be_told(self) -> None:

        class Made(socket.socket):
            """Whose methods can fail."""

        with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, 2) as manager:
            manager.bind(f"{folder}/notify")
            teller = notify.Notifier({"NOTIFY_SOCKET": f"{folder}/notify"})
            self.patch(socket, "socket", Made)
            for owner, name in ((socket, "socket"), (Made, "setblocking"), (Made, "sendto")):
                self.strike(owner, name, os_error("ENOBUFS"), by="notify")
                self.assertFalse(teller.tell("READY=1"))
                self.assertTrue(teller.tell("READY=1"))

    @row(
        at("record_folder.RecordFolder.write", "except OSError"),
        at("record_folder._Folder.new", "os.open"),
        at("record_folder._Folder.remove", "os.unlink"),
        at("record_folder._opened", "os.open", "except OSError"),
        at("record_folder._write", "file.write", "except OSError"),
        at("record_folder._write", "suppress OSError", "suppress OSError 2"),
        at("record_folder._new", "suppress FileExistsError"),
        at("record_folder._working_directory", "except OSError"),
        seen="there is no flight record",
    )
    def test_a_flight_record(self) -> None:
        with TemporaryDirectory() as made:
            folder = record_folder.RecordFolder(made)
            for after in (0, 1):
                self.strike(os, "open", os_error("EACCES"), by="record_folder", after=after)
                self.assertRaises(record_folder.RecordError, folder.write, [b"x"])
            taken = FileExistsError(errno.EEXIST, "File exists")
            self.strike(os, "open", taken, by="record_folder", after=1)
            self.assertTrue(folder.write([b"x"]).endswith("-01.jsonl"))

            opened = os.fdopen

            def full(number: int, mode: str) -> Any:
                file = opened(number, mode)
                write = self.callback(os_error("ENOSPC"))
                return closing(SimpleNamespace(write=write, close=file.close))

            before = os.listdir(made)
            self.patch(os, "fdopen", full)
            self.assertRaises(record_folder.RecordError, folder.write, [b"x"])
            self.assertEqual(os.listdir(made), before, "half a record is none")
            self.strike(os, "unlink", os_error("EACCES"), by="record_folder")
            self.assertRaises(record_folder.RecordError, folder.write, [b"x"])
            self.strike(os, "getcwd", os_error("ENOENT"), by="record_folder")
            self.assertRaises(record_folder.RecordError, record_folder.RecordFolder("").write, [])
            self.patch(os, "fdopen", opened)
            self.patch(record_folder, "MAX_FILES", 1)
            self.strike(os, "unlink", os_error("EACCES"), by="record_folder")
            self.assertTrue(folder.write([b"x"]))

    @row(at("stuck.StuckWatch.start", "_thread.start"), seen="nobody looks")
    def test_no_thread_to_watch_with(self) -> None:
        host: Any = SimpleNamespace(now=lambda: 0.0)
        server: Any = SimpleNamespace(host=host, bridge=Bridge(), thread=SimpleNamespace(ident=1))
        service = stuck.StuckService(server, 0.1, None, print)
        service.running = 1
        self.strike(threading.Thread, "start", RuntimeError("no thread"), by="stuck")
        with capturedLogs() as logs:
            service._begin()
        self.assertEqual(len(logs), 1)
        service.stopService()

    @row(at("metrics.site.StatusResource._safely", "except Exception"))
    def test_a_page_of_the_status_site(self) -> None:
        breaks = self.callback()

        class Source:
            host: Any = SimpleNamespace(now=lambda: 0.0, failed=Logger().failure)
            errors = 0

            @property
            def running(self) -> int:
                return int(breaks() is None)

            def game_stats(self) -> dict[str, float]:
                return {}

        resource = StatusResource(Source())
        for code in (500, 200):
            request: Any = DummyRequest([])
            request.path = b"/healthz"
            resource.render(request)
            self.assertEqual(request.responseCode or 200, code)
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)

    @row(at("log_format.twistd_stream", "except OSError"))
    def test_a_log_file_that_cannot_be_opened(self) -> None:
        opens = self.callback(os_error("ENOSPC"))
        self.patch(log_format, "LogFile", SimpleNamespace(fromFullPath=opens))
        error = self.assertRaises(ConfigError, log_format.twistd_stream, {"logfile": "server.log"})
        self.assertIn("cannot write server.log: No space left", str(error))

    @row(at("metrics.snapshots.Snapshots._step", "except Exception"))
    def test_a_snapshot_for_the_status_site(self) -> None:
        made = self.callback(then=lambda: iter(["a snapshot"]))
        report: Any = SimpleNamespace(make=lambda *, history: (made() for _ in range(1)), took=None)
        snapshots = Snapshots(report, None, lambda: 0.0, Logger().failure)
        told: list[Any] = []
        snapshots.ask(told.append)
        self.assertEqual(told, [None])
        self.assertEqual(len(self.flushLoggedErrors(Fault)), 1)

    @row(at("daemon.Daemon._end", "_reactor.stop", "suppress ReactorNotRunning"))
    def test_a_game_that_ends_when_all_has_ended(self) -> None:
        stops = self.callback(ReactorNotRunning())
        made: Any = SimpleNamespace(_reactor=SimpleNamespace(stop=stops))
        daemon.Daemon._end(made)

    @row(at("gate.raise_open_files", "resource.setrlimit", "suppress OSError, ValueError"))
    def test_a_system_that_allows_no_more_files(self) -> None:
        import resource

        self.patch(resource, "getrlimit", lambda _: (10, resource.RLIM_INFINITY))
        self.patch(resource, "setrlimit", self.callback(ValueError(), os_error("EPERM")))
        gate.raise_open_files(20)
        gate.raise_open_files(20)

    @row(
        at("auth._make_checker", "generateChecker", "except Exception"),
        at("checkers.UnownedNameChecker.requestAvatarId", "_checker.requestAvatarId"),
        seen="ConfigError",
    )
    def test_checkers_of_others(self) -> None:
        fails = self.callback(Fault(), os_error("EIO"))
        found = SimpleNamespace(credentialInterfaces=(IUsernamePassword,), generateChecker=fails)
        self.patch(auth.strcred, "findCheckerFactory", lambda kind: found)
        for _ in range(2):
            self.assertRaises(ConfigError, make_portal, ("theirs:x",))
        checker: Any = SimpleNamespace(
            credentialInterfaces=(IClaimedName,), requestAvatarId=self.callback()
        )
        portal = make_portal(("anonymous",))
        portal.checkers[IClaimedName] = UnownedNameChecker(checker, passwords.Accounts((), 10))
        self.failureResultOf(portal.login(ClaimedName("ada"), None, IPlayerAvatar), Fault)

    @row(
        at("facade.GameServer.start", "except BaseException"),
        at("facade.GameServer.stop", "except TimeoutError"),
        at("client_facade.GameClient.start", "except BaseException"),
        at("client_facade.GameClient.stop", "except TimeoutError"),
        at("proxy.Proxy.start", "except BaseException"),
        at("proxy.Proxy.stop", "except TimeoutError"),
        at("proxy.Proxy._call", "except TimeoutError"),
    )
    def test_a_network_thread_that_does_not_answer(self) -> None:
        """The system's own exception for it, raised by our deadline."""
        late = self.callback(*(TimeoutError() for _ in range(7)))
        released: list[object] = []
        for module in (facade, client_facade, proxy):
            self.patch(module, "check_may_block", lambda: None)
            self.patch(module, "ensure_reactor", lambda **_: None)
            self.patch(module, "call_in_reactor", late)
            if module is not facade:
                self.patch(module, "release_pool_threads", released.append)
        server = facade.GameServer(insecure=True)
        self.assertRaises(LocalProtocolError, server.start)
        service: Any = SimpleNamespace(thread=None, stopService=None)
        server._service = service
        self.assertRaises(LocalProtocolError, server.stop)
        self.assertFalse(server.running)
        client = client_facade.GameClient("host", insecure=True)
        self.assertRaises(ConnectionFailed, client.start)
        host: Any = object()
        client._host, client._bridge = host, Bridge()
        self.assertRaises(LocalProtocolError, client.stop)
        self.assertTrue(client._bridge.finished)
        passes_on = proxy.Proxy("host")
        self.assertRaises(ConnectionFailed, passes_on.start)
        made: Any = SimpleNamespace(port=1, stop=None)
        for call in (lambda: passes_on.port, passes_on.stop):
            passes_on._relay = made
            self.assertRaises(LocalProtocolError, call)
        self.assertEqual(len(released), 2)

    @row(
        at("testing.live.LiveServer.__init__", "subprocess.Popen"),
        at("testing.live.LiveServer._say", "stdin.write", "stdin.flush", "except OSError"),
        at("testing.live.LiveServer._end", "stdin.close", "except OSError"),
        at("testing.live.main", "except GamenetError, OSError"),
    )
    def test_a_server_in_another_process(self) -> None:
        self.strike(live.subprocess, "Popen", os_error("EAGAIN"))
        self.assertRaises(OSError, live.LiveServer, main)
        for name in ("write", "flush"):
            process = pretended(**{name: self.callback(os_error("EPIPE"))})
            process.stdin.close = self.callback(os_error("EPIPE"))
            self.patch(live.subprocess, "Popen", lambda *_, process=process, **__: process)
            said = str(self.assertRaises(AssertionError, live.LiveServer, main))
            self.assertIn("it ended with status 1\nIt printed:\nit broke", said)
        order = {"game": f"{__name__}:main", "fields": {"insecure": True}}
        self.patch(sys, "stdin", io.StringIO(live.json.dumps(order) + "\n"))
        self.strike(live.GameServer, "start", os_error("EMFILE"))
        self.assertEqual(live.main(), 1)
        self.assertIn("Too many open files", self.out.getvalue())

    @row(at("testing.live.LiveServer.__init__", "except BaseException"))
    def test_a_server_in_another_process_that_is_given_up(self) -> None:
        process = pretended(write=self.callback(KeyboardInterrupt()))
        self.patch(live.subprocess, "Popen", lambda *_, **__: process)
        self.assertRaises(KeyboardInterrupt, live.LiveServer, main)
        self.assertEqual(process.closed, [True])


class DoctorTests(FaultCase):
    """``gamenet doctor`` says what the system refuses to do for it."""

    @row(
        at("doctor.reach.resolve", "socket.getaddrinfo", "except OSError, UnicodeError"),
        at("doctor.reach.connect", "socket.socket", "except OSError"),
        at("doctor.reach._ask", "socket.socket", "except OSError"),
    )
    def test_no_socket_to_reach_anybody(self) -> None:
        self.strike(socket, "getaddrinfo", os_error("EMFILE"), by="doctor.reach")
        self.assertEqual(reach.resolve("host", 7777).problem, "failed")
        self.strike(socket, "socket", os_error("EMFILE"), os_error("EMFILE"), by="doctor.reach")
        attempt = reach.connect(socket.AF_INET, ("127.0.0.1", 1))
        self.assertEqual((attempt.outcome, attempt.words), ("failed", "Too many open files"))
        self.assertEqual(reach.sniff(socket.AF_INET, ("127.0.0.1", 1), 0.0), "closed")

    @row(
        at("doctor.probe.probe", "socket.socket", "setblocking", "except OSError"),
        at("doctor.probe._forbid_fragments", "setsockopt", "setsockopt 2"),
        at("doctor.probe._kernel_mtu", "getsockopt", "getsockopt 2"),
        at("doctor.probe._exchange", "except OSError"),
        at("doctor.probe._read", "except BlockingIOError, InterruptedError", "except OSError"),
    )
    def test_datagrams_that_the_system_refuses(self) -> None:
        self.patch(probe, "IS_LINUX", True)
        patience: Any = SimpleNamespace(call=lambda call: call(), until=lambda look, _: look())

        def error(host: str, *, opened: Any = None, **faults: Any) -> str:
            """What is found to be wrong with a socket of which some method fails."""
            visit: Any = SimpleNamespace(
                udp_address=(host, 7777), seal_probe=lambda size: (0, b""), arrived=lambda _: []
            )
            nothing = self.callback(BlockingIOError())
            found = opened or (lambda *_: OddSocket(**{"recv": nothing, **faults}))
            self.patch(probe.socket, "socket", found)
            said = probe.probe(visit, patience, (1_200,)).error
            nothing.left.clear()
            return said

        too_many = self.callback(os_error("EMFILE"))
        self.assertEqual(error("127.0.0.1", opened=too_many), "failed")
        for name in ("setblocking", "setsockopt", "getsockopt"):
            for host in ("127.0.0.1", "::1"):
                refused = self.callback(os_error("EPERM"))
                self.assertEqual(error(host, **{name: refused}), "forbidden")
        unsent = self.callback(os_error("EMSGSIZE"))
        self.assertEqual(error("127.0.0.1", send=unsent), "too long")
        unread = self.callback(os_error("ECONNREFUSED"))
        self.assertEqual(error("127.0.0.1", recv=unread), "refused")


class OddSocket:
    """A socket of which some methods do as they were made to."""

    def __init__(self, **methods: Any) -> None:
        for name in ("setblocking", "setsockopt", "getsockopt", "connect", "send", "recv"):
            setattr(self, name, methods.get(name, lambda *_: 0))

    def __enter__(self) -> OddSocket:
        return self

    def __exit__(self, *error: object) -> None:
        """Closed it would be."""


def pretended(**stdin: Any) -> Any:
    """A process that has broken; what is done with its standard input can be made to fail."""
    closed: list[bool] = []
    ways = {"write": len, "flush": lambda: None, "close": lambda: closed.append(True), **stdin}
    return SimpleNamespace(
        stdin=SimpleNamespace(**ways),
        stdout=io.StringIO("it broke\n"),
        wait=lambda _: 1,
        terminate=None,
        kill=None,
        returncode=1,
        closed=closed,
    )


class Scratch(io.StringIO):
    """Standard output with a descriptor of its own, which commands may replace."""

    def __init__(self) -> None:
        super().__init__()
        self._file = TemporaryFile()  # noqa: SIM115

    def fileno(self) -> int:
        """That descriptor."""
        return self._file.fileno()

    def done(self) -> None:
        """Close it."""
        self._file.close()


def main(server: Any) -> None:
    """A game for another process, which never begins."""


class LanTests(FaultCase):
    """The beacon, and who looks for it."""

    def setUp(self) -> None:
        super().setUp()
        self.network = Network()
        self.machine = Machine(self.network)

    def open(self, protocol: LanProtocol, host: str = LOOPBACK) -> Any:
        """A port on a real socket."""
        reactor = SocketReactor()
        port = open_port(reactor, protocol, host, shared=True)
        self.addCleanup(reactor.network.run, 1.0)
        self.addCleanup(port.stopListening)
        return port

    def service(self) -> GameServerService:
        service = GameServerService(
            ServerConfig(insecure=True, beacon="Room 12"),
            sink=Recorder(),
            reactor=self.machine,
            now=self.machine.seconds,
        )
        self.addCleanup(self.network.run, 20.0)
        self.addCleanup(service.stopService)
        return service

    def seeker(self) -> Seeker:
        ways = [Interface(LOOPBACK, 1, "lo")]
        seeker = Seeker(self.machine, ways=lambda: ways)
        self.addCleanup(self.network.run, 1.0)
        self.addCleanup(seeker.stop)
        return seeker

    @row(
        at("lan._bound", "socket.socket", "setblocking", "except OSError"),
        at("lan._bound", *(f"setsockopt{number}" for number in ("", " 2", " 3", " 4", " 5"))),
    )
    def test_a_socket_that_cannot_be_made(self) -> None:
        self.patch(lan, "SO_REUSEPORT", socket.SO_REUSEADDR)
        # The socket is one of IPv4, for machines without the other; it is not asked.
        self.patch(socket, "AF_INET6", socket.AF_INET)
        tries = [(socket, "socket", LOOPBACK, 0), (socket.socket, "setblocking", LOOPBACK, 0)]
        tries += [(socket.socket, "setsockopt", LOOPBACK, after) for after in range(4)]
        tries += [(socket.socket, "setsockopt", "::1", 2)]
        for owner, name, host, after in tries:
            strike = self.strike(owner, name, os_error("ENOBUFS"), by="lan", after=after)
            self.assertRaises(OSError, self.open, LanProtocol(), host)
            self.assertEqual(strike.left, [])
            self.let_go()
        self.assertEqual(self.open(LanProtocol()).getHost().host, LOOPBACK)

    @row(at("lan.LanProtocol.send", "sendto", "except OSError, TypeError"), seen="drop_beacon_send")
    def test_writing(self) -> None:
        protocol = LanProtocol()
        port = self.open(protocol)
        errors = (*failing(*KERNEL, "EAGAIN"), TypeError("an address of the other family"))
        self.strike(ports.OpenSocket, "sendto", *errors, by="lan")
        here = (LOOPBACK, port.getHost().port)
        self.assertEqual([protocol.send(b"lost", here) for _ in errors], [False] * len(errors))
        self.assertTrue(protocol.send(b"sent", here))

    @row(
        at("lan.join_group", "setsockopt", "setsockopt 2", "except OSError"),
        seen="hears broadcasts only",
    )
    def test_a_group_that_cannot_be_joined(self) -> None:
        port = self.open(LanProtocol(), "0.0.0.0")
        self.strike(socket.socket, "setsockopt", *failing(*KERNEL), by="lan")
        for number in range(len(KERNEL)):
            way = Interface("", 1, "lo") if number % 2 else Interface(LOOPBACK, 1, "lo")
            self.assertFalse(join_group(port, way))

    @row(at("lan.interfaces", "get_adapters", "except OSError"))
    def test_a_system_that_does_not_say_what_networks_it_has(self) -> None:
        self.strike(ifaddr, "get_adapters", *failing("EAFNOSUPPORT", "EACCES"))
        for _ in range(2):
            self.assertEqual(lan.interfaces(), list(lan.DEFAULT))

    @row(at("seeking._host", "if_indextoname", "except OSError"))
    def test_an_interface_that_is_gone(self) -> None:
        self.strike(socket, "if_indextoname", os_error("ENXIO"))
        self.assertEqual(seeking._host(("fe80::7", 7776, 0, 9)), "fe80::7%9")

    @row(
        at("lan.open_port", "listenUDP"),
        at("beacon.Beacon._open", "except CannotListenError, OSError"),
        seen="there is no beacon",
    )
    def test_a_beacon_without_a_port(self) -> None:
        for error in (os_error("EMFILE"), CannotListenError("", 7776, os_error("EADDRINUSE"))):
            service = self.service()
            # After those that the game is played on.
            self.strike(self.machine, "listenUDP", error, error, by="lan")
            service.startService()
            self.assertTrue(service.running)
            self.assertEqual([where for where in self.network.udp if where[1] == 7776], [])
            service.stopService()
            self.network.run(20.0)

    @row(
        at("lan.open_port", "listenUDP"),
        at("seeking.Seeker._open", "except CannotListenError, OSError"),
        seen="Browser.problem",
    )
    def test_who_looks_without_a_port(self) -> None:
        seeker = self.seeker()
        self.strike(self.machine, "listenUDP", os_error("EMFILE"))
        seeker.start()
        self.assertEqual(seeker.problem, seeking.NO_NETWORK)
        self.network.run(1.0)
        self.assertEqual(seeker.problem, "")

    @row(at("seeking.Seeker.start", "_random_bytes"))
    def test_no_randomness_for_a_query(self) -> None:
        seeker = self.seeker()
        self.strike(seeker, "_random_bytes", os_error("EIO"))
        self.assertRaises(OSError, seeker.start)
        self.network.run(1.0)
        self.assertEqual(len(seeker._tokens), 2)


class TableTests(SynchronousTestCase):
    """The table itself."""

    def test_every_site_is_in_it(self) -> None:
        struck = {site for each in ROWS for site in each.sites}
        missing = [site for site in sites() if site not in struck and site not in EXCLUDED]
        self.assertEqual(missing, [], "add a row that strikes them, or a reason why not")

    def test_nothing_else_is(self) -> None:
        known = sites()
        struck = {site for each in ROWS for site in each.sites}
        self.assertEqual([site for site in (*struck, *EXCLUDED) if site not in known], [])
        self.assertEqual([site for site in EXCLUDED if site in struck], [])

    def test_every_outcome_is_documented(self) -> None:
        page = Path(gamenet.__file__).parent.parent / "docs" / "ERRORS.rst"
        text = " ".join(page.read_text(encoding="utf-8").split())
        unknown = [(each.test, word) for each in ROWS for word in each.seen if word not in text]
        self.assertEqual(unknown, [])

    def test_every_row_is_a_test(self) -> None:
        for each in ROWS:
            case, _, test = each.test.partition(".")
            self.assertTrue(test.startswith("test_"), each.test)
            self.assertTrue(hasattr(globals()[case], test), each.test)

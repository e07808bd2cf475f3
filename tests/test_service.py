"""The service tree: ports in both families, a game on its thread, and an end without leftovers."""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet.auth import make_portal
from gamenet.client import GameClientFactory
from gamenet.config import ClientConfig, ServerConfig
from gamenet.errors import ConfigError, DisconnectReason, ListenFailed, LocalProtocolError
from gamenet.events import Disconnected, Joined, Left, Received
from gamenet.facade import GameServer
from gamenet.service import GameServerService
from tests.fakes import Machine, Network
from tests.world import Recorder

if TYPE_CHECKING:
    from gamenet.bridge import Bridge
    from gamenet.game import AnyGame

HANGS_SECONDS = 60.0


class Picky(Machine):
    """A machine that cannot open some addresses.

    :param refusals: the errno for an address and a transport, such as ``("udp", "::1")``.
    """

    def __init__(self, network: Network, **refusals: int) -> None:
        super().__init__(network)
        self.refusals = dict(refusals)
        self.opened: list[tuple[str, str, int]] = []

    def refuse(self, transport: str, interface: str, port: int) -> None:
        number = self.refusals.get(f"{transport} {interface}")
        if number is not None:
            raise CannotListenError(interface, port, OSError(number, errno.errorcode[number]))

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        self.refuse("tcp", interface, port)
        listener = super().listenTCP(port, factory, backlog, interface)
        self.opened.append(("tcp", interface, listener.getHost().port))
        return listener

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> Any:
        self.refuse("udp", interface, port)
        # Every interface is a place of its own here, also those that stand for all.
        self.address = interface
        opened = super().listenUDP(port, protocol, interface, maxPacketSize)
        self.opened.append(("udp", interface, opened.getHost().port))
        return opened


class ServiceCase(SynchronousTestCase):
    """Services on a machine that is not there."""

    def setUp(self) -> None:
        self.network = Network()
        self.machine = Picky(self.network)

    def service(self, game: AnyGame | None = None, **fields: Any) -> GameServerService:
        service = GameServerService(
            ServerConfig(**{"insecure": True, **fields}),
            game,
            sink=None if game is not None else self.sink(fields),
            reactor=self.machine,
            now=self.machine.seconds,
        )
        self.addCleanup(self.end, service)
        return service

    def sink(self, fields: dict[str, Any]) -> Any:
        self.recorder = Recorder()
        return self.recorder

    def end(self, service: GameServerService) -> None:
        if service.running:
            service.stopService()
        if service.thread is not None:
            service.thread.join(HANGS_SECONDS)
        self.network.run(20.0)
        if service.bridge is not None:
            service.bridge.finish()
        self.assertEqual(self.network.timers, [])
        self.assertEqual(self.network.udp, {})
        self.assertEqual(self.network.tcp, {})

    def places(self) -> set[tuple[str, str]]:
        return {(transport, interface) for transport, interface, _ in self.machine.opened}

    def join(self, service: GameServerService, user: str = "ada") -> tuple[Recorder, Any]:
        recorder = Recorder()
        machine = Machine(self.network, "127.0.0.9")
        factory = GameClientFactory(
            recorder,
            ClientConfig(insecure=True),
            user=user,
            reactor=machine,
            now=machine.seconds,
        )
        host, _, port = service.address.rpartition(":")
        machine.connect(factory, (host, int(port)))
        self.network.settle()
        return recorder, factory


class ListeningTests(ServiceCase):
    """Which addresses are opened, and what is said when they cannot be."""

    def test_an_insecure_server_is_on_this_machine_alone_in_both_families(self) -> None:
        service = self.service(listen=7777)
        service.startService()
        self.assertEqual(
            self.places(),
            {("tcp", "127.0.0.1"), ("tcp", "::1"), ("udp", "127.0.0.1"), ("udp", "::1")},
        )
        self.assertEqual((service.port, service.udp_port), (7777, 7777))
        self.assertEqual(service.address, "127.0.0.1:7777")

    def test_one_that_may_be_anywhere_listens_on_everything(self) -> None:
        service = self.service(listen=7777, insecure_anywhere=True)
        service.startService()
        # One TCP socket of IPv6 serves both families; a UDP socket serves its own.
        self.assertEqual(self.places(), {("tcp", "::"), ("udp", "0.0.0.0"), ("udp", "::")})
        self.assertEqual(service.address, "127.0.0.1:7777")

    def test_a_named_interface_is_the_only_one_for_both_transports(self) -> None:
        service = self.service(listen="tcp:7777:interface=127.0.0.1")
        service.startService()
        self.assertEqual(self.places(), {("tcp", "127.0.0.1"), ("udp", "127.0.0.1")})

    def test_udp_can_have_a_port_and_an_interface_of_its_own(self) -> None:
        service = self.service(
            listen="tcp:7777:interface=127.0.0.1", udp="7778:interface=127.0.0.2"
        )
        service.startService()
        self.assertEqual(
            self.machine.opened, [("tcp", "127.0.0.1", 7777), ("udp", "127.0.0.2", 7778)]
        )
        self.assertEqual((service.port, service.udp_port), (7777, 7778))

    def test_a_free_port_has_the_same_number_everywhere(self) -> None:
        service = self.service(listen=0)
        service.startService()
        self.assertEqual(len(self.machine.opened), 4)
        self.assertEqual({port for _, _, port in self.machine.opened}, {service.port})

    def test_a_number_that_is_not_free_everywhere_is_given_up_for_another(self) -> None:
        taken = FIRST = 40_001
        self.network.udp["127.0.0.1", taken] = Any  # type: ignore[assignment]
        service = self.service(listen=0)
        service.startService()
        self.assertNotEqual(service.port, FIRST)
        self.assertEqual(service.port, service.udp_port)
        del self.network.udp["127.0.0.1", taken]

    def test_a_machine_without_ipv6_serves_ipv4(self) -> None:
        for number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            for anywhere in (False, True):
                self.setUp()
                for interface in ("::1", "::"):
                    self.machine.refusals[f"tcp {interface}"] = number
                    self.machine.refusals[f"udp {interface}"] = number
                service = self.service(listen=7777, insecure_anywhere=anywhere)
                service.startService()
                here = "0.0.0.0" if anywhere else "127.0.0.1"
                self.assertEqual(self.places(), {("tcp", here), ("udp", here)})
                self.end(service)

    def test_a_port_in_use_is_one_line_with_the_address_and_leaves_nothing_open(self) -> None:
        for transport in ("tcp", "udp"):
            for interface in ("127.0.0.1", "::1"):
                self.setUp()
                self.machine.refusals[f"{transport} {interface}"] = errno.EADDRINUSE
                service = self.service(listen=7777)
                error = self.assertRaises(ListenFailed, service.startService)
                self.assertIn(transport.upper(), str(error))
                self.assertIn("7777", str(error))
                self.assertIn(interface, str(error))
                self.assertNotIn("\n", str(error))
                self.assertEqual(error.errno, errno.EADDRINUSE)
                self.network.run(1.0)
                self.assertEqual((self.network.udp, self.network.tcp), ({}, {}))

    def test_a_forbidden_port_says_so(self) -> None:
        self.machine.refusals["tcp 127.0.0.1"] = errno.EACCES
        error = self.assertRaises(ListenFailed, self.service(listen=80).startService)
        self.assertIn("EACCES", str(error))

    def test_with_no_family_at_all_it_fails(self) -> None:
        for interface in ("::1", "127.0.0.1"):
            self.machine.refusals[f"tcp {interface}"] = errno.EADDRNOTAVAIL
        self.assertRaises(ListenFailed, self.service(listen=7777).startService)

    def test_the_backlog_is_the_configured_one(self) -> None:
        service = self.service(listen=7777, listen_backlog=77)
        service.startService()
        self.assertEqual({port.backlog for port in self.network.tcp.values()}, {77})

    def test_ports_opened_while_privileged_are_not_opened_again(self) -> None:
        service = self.service(listen=7777)
        service.privilegedStartService()
        self.assertEqual(len(self.machine.opened), 4)
        service.startService()
        self.assertEqual(len(self.machine.opened), 4)

    def test_neither_tls_nor_the_word_that_there_is_none(self) -> None:
        for make in (
            lambda: GameServerService(ServerConfig(), reactor=self.machine),
            lambda: GameServer(0),
        ):
            error = self.assertRaises(ConfigError, make)
            for word in ("gamenet cert", "--cert", "cert_file=", "--insecure", "insecure=True"):
                self.assertIn(word, str(error))


class TrustTests(ServiceCase):
    """What a service does about TLS and identities besides listening."""

    def test_an_insecure_one_says_so_every_ten_minutes_until_it_stops(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        service = self.service()
        service.startService()
        self.assertFalse(service.secure)
        self.network.run(1201.0)
        service.stopService()
        self.network.run(1200.0)
        said = [event for event in events if event["log_format"].startswith("INSECURE")]
        self.assertEqual(len(said), 3)

    def test_the_portal_lives_as_long_as_the_service(self) -> None:
        portal = make_portal((), ServerConfig(insecure=True), self.machine)
        calls: list[str] = []
        done: Deferred[None] = Deferred()
        self.patch(portal, "start", lambda: calls.append("start"))
        self.patch(portal, "stop", lambda: calls.append("stop") or done)
        self.recorder = Recorder()
        service = GameServerService(
            ServerConfig(insecure=True),
            sink=self.recorder,
            portal=portal,
            reactor=self.machine,
            now=self.machine.seconds,
        )
        self.assertEqual(calls, [])
        service.startService()
        self.assertEqual(calls, ["start"])
        stopped = service.stopService()
        self.network.run(5.0)
        self.assertEqual(calls, ["start", "stop"])
        self.assertNoResult(stopped)
        done.callback(None)
        self.network.run(5.0)
        self.successResultOf(stopped)


class StopTests(ServiceCase):
    """The end of a service without a game of its own."""

    def test_stopping_says_bye_to_all_and_leaves_nothing(self) -> None:
        service = self.service()
        service.startService()
        players = [self.join(service, user)[0] for user in ("ada", "bob")]
        done: list[None] = []
        service.stopService().addCallback(done.append)
        self.network.settle()
        for player in players:
            ended = player.events[-1]
            assert isinstance(ended, Disconnected)
            self.assertEqual(ended.reason, DisconnectReason.STOPPED)
        self.assertEqual(
            [event.reason for event in self.recorder.events if isinstance(event, Left)],
            [DisconnectReason.STOPPED] * 2,
        )
        self.assertEqual(done, [None])
        self.assertEqual(self.network.timers, [])

    def test_stopping_twice_is_stopping_once(self) -> None:
        service = self.service()
        service.startService()
        self.join(service)
        done: list[None] = []
        service.stopService().addCallback(done.append)
        service.stopService().addCallback(done.append)
        self.network.settle()
        service.stopService().addCallback(done.append)
        self.assertEqual(done, [None] * 3)

    def test_stopping_what_was_never_started_is_nothing(self) -> None:
        done: list[None] = []
        self.service().stopService().addCallback(done.append)
        self.assertEqual(done, [None])

    def test_who_comes_while_it_stops_is_not_let_in(self) -> None:
        service = self.service()
        service.startService()
        address = service.address
        service.stopService()
        self.assertEqual(service.address, "")
        self.assertNotIn((address.partition(":")[0], 7777), self.network.tcp)

    def test_what_the_game_said_last_goes_out_before_the_bye(self) -> None:
        from gamenet.bridge import Bridge

        bridge = Bridge(ServerConfig(insecure=True))
        service = GameServerService(
            ServerConfig(insecure=True), sink=bridge, reactor=self.machine, now=self.machine.seconds
        )
        self.addCleanup(self.end, service)
        service.startService()
        recorder, _ = self.join(service)
        server = service.facade
        assert server is not None
        server.events()
        server.broadcast(b"closing now")
        service.stopService()
        self.network.settle()
        self.assertEqual([type(event) for event in recorder.events[-2:]], [Received, Disconnected])


class GameTests(ServiceCase):
    """A game on a thread of its own."""

    def ended(self, service: GameServerService) -> list[bool]:
        """What ``on_game_end`` is told; the service does not stop by itself then."""
        told: list[bool] = []
        service.on_game_end = told.append
        return told

    def wait(self, service: GameServerService) -> None:
        thread = service.thread
        assert thread is not None
        thread.join(HANGS_SECONDS)
        self.assertFalse(thread.is_alive, "the game still runs")
        self.network.settle()

    def test_a_game_that_returns_ends_the_service(self) -> None:
        service = self.service(lambda server: None)
        service.startService()
        self.wait(service)
        self.assertFalse(service.running)
        self.assertFalse(service.game_failed)
        self.assertEqual((self.network.udp, self.network.tcp), ({}, {}))

    def test_a_game_that_raises_says_bye_to_all_and_is_known_to_have_failed(self) -> None:
        joined = threading.Event()

        def game(server: GameServer) -> None:
            joined.wait(HANGS_SECONDS)
            raise ZeroDivisionError

        service = self.service(game)
        told = self.ended(service)
        service.startService()
        recorder, _ = self.join(service)
        joined.set()
        self.wait(service)
        self.assertEqual(told, [False])
        self.assertTrue(service.game_failed)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        ended = recorder.events[-1]
        assert isinstance(ended, Disconnected)
        self.assertEqual(ended.reason, DisconnectReason.GAME_ERROR)
        late, _ = self.join(service, "bob")
        refused = late.events[-1]
        assert isinstance(refused, Disconnected)
        self.assertEqual(refused.reason, DisconnectReason.REFUSED)

    def test_what_a_game_said_before_it_raised_goes_out_before_the_bye(self) -> None:
        joined = threading.Event()

        def game(server: GameServer) -> None:
            joined.wait(HANGS_SECONDS)
            server.events()
            server.broadcast(b"famous last words")
            raise ZeroDivisionError

        service = self.service(game)
        self.ended(service)
        service.startService()
        recorder, _ = self.join(service)
        joined.set()
        self.wait(service)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual([type(event) for event in recorder.events[-2:]], [Received, Disconnected])

    def test_a_game_gets_the_final_lefts_when_the_service_stops(self) -> None:
        seen: list[Any] = []
        joined = threading.Event()

        def game(server: GameServer) -> None:
            for tick in server.ticks(1000.0):
                seen.extend(tick.events)
                if tick.events:
                    joined.set()

        service = self.service(game)
        service.startService()
        self.join(service)
        joined.wait(HANGS_SECONDS)
        service.stopService()
        self.wait(service)
        self.assertIsInstance(seen[0], Joined)
        self.assertIsInstance(seen[-1], Left)

    def test_a_game_that_does_not_return_is_left_behind_after_stop_seconds(self) -> None:
        release = threading.Event()
        self.addCleanup(release.set)
        service = self.service(lambda server: release.wait(HANGS_SECONDS), stop_seconds=3.0)
        service.startService()
        done: list[None] = []
        service.stopService().addCallback(done.append)
        self.network.run(2.9)
        self.assertEqual(done, [])
        self.network.run(0.2)
        self.assertEqual(done, [None])
        release.set()
        self.wait(service)

    def test_a_class_is_made_on_the_games_own_thread(self) -> None:
        from gamenet.game import Game

        made: list[int] = []

        class Mine(Game):
            def __init__(self) -> None:
                made.append(threading.get_ident())

            def run(self, server: GameServer) -> None:
                made.append(threading.get_ident())

        service = self.service(Mine)
        self.assertEqual(made, [])
        service.startService()
        self.wait(service)
        self.assertEqual(len(set(made)), 1)
        self.assertNotEqual(made[0], threading.get_ident())


class AttachTests(SynchronousTestCase):
    """A game thread beside a reactor of one's own."""

    def test_a_bridge_that_no_factory_has_is_refused(self) -> None:
        from gamenet.bridge import Bridge

        error = self.assertRaises(LocalProtocolError, GameServer.attach, Bridge())
        self.assertIn("GameServerFactory", str(error))

    def test_a_takeover_that_guests_could_never_make_is_refused(self) -> None:
        config = ServerConfig(insecure=True, duplicate="takeover")
        error = self.assertRaises(ConfigError, GameServerService, config, reactor=Clock())
        self.assertEqual(error.field, "duplicate")
        self.assertIn("--auth file:", str(error))

    def test_who_did_not_start_the_server_cannot_stop_it(self) -> None:
        from gamenet.bridge import Bridge

        bridge: Bridge = Bridge(ServerConfig(insecure=True))
        service = GameServerService(
            ServerConfig(insecure=True), sink=bridge, reactor=Clock(), now=lambda: 0.0
        )
        server = service.facade
        assert server is not None
        self.assertRaises(LocalProtocolError, server.stop)
        bridge.finish()

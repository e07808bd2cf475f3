"""Settings of a running server that change: which can, for whom, and what the log says."""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet import gate as gate_module
from gamenet import reloading
from gamenet.config import ServerConfig
from gamenet.errors import ConfigError, DisconnectReason, RefusalReason
from gamenet.events import Left, Received, Suspended
from gamenet.gate import Gate
from gamenet.limits import ServerLimits
from gamenet.limits_page import limits, page
from gamenet.live_settings import AT_ONCE, NEW_PLAYERS, change, scope
from gamenet.settings import CommonConfig
from tests.test_daemon import DaemonTestCase, Server
from tests.test_service import ServiceCase
from tests.world import World

FIELDS = {item.name for item in dataclasses.fields(ServerConfig)}


class ScopeTests(SynchronousTestCase):
    def test_eachIsASettingAndHasOneScope(self) -> None:
        self.assertLessEqual(AT_ONCE | NEW_PLAYERS, FIELDS)
        self.assertEqual(AT_ONCE & NEW_PLAYERS, set())

    def test_whatHoldsThePortsTheTrustAndTheGameNeedsARestart(self) -> None:
        for name in (
            *("listen", "udp", "cert_file", "key_file", "insecure", "insecure_anywhere", "auth"),
            *("tick_rate", "input_bits", "game_name", "messages", "options", "on_full"),
            *("listen_backlog", "bridge_events", "login_threads", "udp_buffer_bytes", "duplicate"),
        ):
            self.assertEqual(scope(name), "restart")

    def test_thePageSaysItForEachLimitOfAServer(self) -> None:
        shown = page().splitlines()
        for kind in (CommonConfig, ServerLimits, ServerConfig):
            for name, _ in limits(kind):
                row = shown.index(f"   * - ``{name}``")
                self.assertEqual(shown[row + 3], f"     - {scope(name)}")


class ChangeTests(SynchronousTestCase):
    def test_whatCanChangeIsTakenAndTheRestIsNamed(self) -> None:
        now = ServerConfig(insecure=True, max_players=8)
        wanted = ServerConfig(
            insecure=True,
            max_players=9,
            ping_seconds=2.5,
            tick_rate=20.0,
            listen=7,
            options={"a": 1},
        )
        found = change(now, wanted)
        self.assertEqual((found.config.max_players, found.config.ping_seconds), (9, 2.5))
        self.assertEqual((found.config.tick_rate, found.config.listen), (30.0, 7777))
        self.assertEqual(found.config.options, {})
        self.assertEqual(set(found.changed), {"max_players=9 (was 8)", "ping_seconds=2.5 (was 5)"})
        self.assertEqual(set(found.kept), {"tick_rate", "listen", "[game]"})
        self.assertEqual(now.max_players, 8)

    def test_theSameIsNoChange(self) -> None:
        found = change(ServerConfig(stop_seconds=10.0), ServerConfig(stop_seconds=10))
        self.assertEqual((found.changed, found.kept), ((), ()))

    def test_noSecretIsEverShown(self) -> None:
        found = change(ServerConfig(), ServerConfig(auth=("memory:ada:opensesame",)))
        self.assertEqual((found.changed, found.kept), ((), ("auth",)))

    def test_eachScopeIsKept(self) -> None:
        now = ServerConfig(insecure=True)
        for name in AT_ONCE | NEW_PLAYERS:
            wanted = other(now, name)
            self.assertEqual(change(now, wanted).config, wanted, name)


def other(config: ServerConfig, name: str) -> ServerConfig:
    """The same but for one setting."""
    value = getattr(config, name)
    if name == "rebind":
        value = "off"
    elif isinstance(value, str):
        value = "another"
    elif isinstance(value, bool):
        value = not value
    elif name == "max_players_per_address":
        value = 3
    elif name in ("ping_seconds",):
        value = value - 1
    else:
        value = value + 1 if name != "rekey_datagrams" else value - 1
    return dataclasses.replace(config, **{name: value})


class AtOnceTests(SynchronousTestCase):
    """Each of them, where it is looked at."""

    def world(self, **fields: Any) -> World:
        return World(self, **fields)

    def now(self, world: World, **fields: Any) -> None:
        """Have other settings hold."""
        host = world.server.host
        host.reconfigure(dataclasses.replace(host.config, **fields))

    def test_eachHasATestThatNamesIt(self) -> None:
        tests = [getattr(self, name).__doc__ or "" for name in dir(self) if name[:5] == "test_"]
        covered = set(" ".join(tests).split())
        # Of the service, see ServiceTests.
        self.assertEqual(AT_ONCE - covered, {"stop_seconds", "drain_seconds", "beacon"})

    def test_morePlayersAndThenFewer(self) -> None:
        """max_players"""
        world = self.world(max_players=1)
        ada = world.join("ada")
        self.now(world, max_players=2)
        world.join("bob")
        self.now(world, max_players=1)
        late = world.client("eve")
        world.play(0.5)
        self.assertIs(late.end().refusal, RefusalReason.FULL)
        self.assertTrue(ada.joined)
        self.assertEqual(len(world.server.players), 2)

    def test_notMoreThanTheProcessCanCarry(self) -> None:
        world = self.world()
        self.patch(gate_module, "open_files", lambda: 100)
        self.now(world, max_players=5_000)
        self.assertEqual(world.server.host.registry.max_players, 20)
        self.assertEqual(world.server.host.config.max_players, 5_000)

    def test_whereThereAreMorePlayersEachCanStillBeBanned(self) -> None:
        world = self.world(max_players=1, address_table=1)
        self.now(world, max_players=4)
        machine = world.machine()
        ada = world.join("ada", machine=machine)
        player = world.server.players["ada"]
        for name in ("bob", "eve", "kim"):
            world.join(name)
        world.server.verbs.disconnect(player, ban_seconds=60.0)
        world.play(0.5)
        self.assertIs(ada.end().reason, DisconnectReason.KICKED)
        again = world.client("ada", machine=machine)
        world.play(0.5)
        self.assertIs(again.end().refusal, RefusalReason.BANNED)

    def test_playersFromOneAddress(self) -> None:
        """max_players_per_address"""
        world = self.world()
        machine = world.machine()
        world.join("ada", machine=machine)
        self.now(world, max_players_per_address=1)
        late = world.client("bob", machine=machine)
        world.play(0.5)
        self.assertIs(late.end().refusal, RefusalReason.FULL)

    def test_connectionsThatHaveNotJoined(self) -> None:
        """max_unjoined"""
        world = self.world()
        self.now(world, max_unjoined=1)
        first, second = world.stranger(), world.stranger()
        self.assertEqual(world.server.host.counters.unjoined_cut, 1)
        self.assertFalse(first.transport.connected)
        self.assertTrue(second.transport.connected)

    def test_suchConnectionsFromOneAddress(self) -> None:
        """max_unjoined_per_address"""
        gate = Gate(ServerConfig(), lambda: 0.0)
        gate.came("1.2.3.4")
        self.assertTrue(gate.accepts("1.2.3.4", 0.0))
        gate.reconfigure(ServerConfig(max_unjoined_per_address=1))
        self.assertFalse(gate.accepts("1.2.3.4", 0.0))

    def test_connectionsASecond(self) -> None:
        """accepts_per_second accepts_burst"""
        config = ServerConfig(accepts_burst=2)
        gate = Gate(config, lambda: 0.0)
        for wanted in (True, True, False):
            self.assertIs(gate.accepts("1.2.3.4", 0.0), wanted)
        gate.reconfigure(dataclasses.replace(config, accepts_per_second=1_000.0, accepts_burst=5))
        # It counts for addresses that are known, and for those that are not.
        self.assertEqual(sum(gate.accepts("1.2.3.4", 10.0) for _ in range(9)), 5)
        self.assertEqual(sum(gate.accepts("1.2.3.4", 10.0015) for _ in range(9)), 1)
        self.assertEqual(sum(gate.accepts("5.6.7.8", 10.0) for _ in range(9)), 5)

    def test_ownAddresses(self) -> None:
        """limit_loopback"""
        gate = Gate(ServerConfig(), lambda: 0.0)
        self.assertEqual(gate.key("127.0.0.1"), "")
        gate.reconfigure(ServerConfig(limit_loopback=True))
        self.assertEqual(gate.key("127.0.0.1"), "127.0.0.1")

    def test_failedLogins(self) -> None:
        """failed_logins_per_account failed_logins_per_address login_delay_seconds"""
        config = ServerConfig()
        gate = Gate(config, lambda: 0.0)

        def fail(account: str, key: str) -> float:
            gate.login_begins(account, key, 0.0)
            gate.login_ends(account, key, False, 0.0)
            return gate.login_wait(account, key, 0.0)

        self.assertEqual(fail("ada", "1.2.3.4"), 0.0)
        gate.reconfigure(
            dataclasses.replace(
                config,
                failed_logins_per_account=1,
                failed_logins_per_address=3,
                login_delay_seconds=1.5,
            )
        )
        self.assertEqual(fail("ada", "1.2.3.4"), 1.0)
        self.assertEqual(fail("ada", "1.2.3.4"), 1.5)
        self.assertEqual(fail("bob", "1.2.3.4"), 1.0)
        self.assertEqual(fail("eve", "5.6.7.8"), 0.0)
        self.assertEqual(fail("eve", "5.6.7.8"), 1.0)

    def test_sessionsThatWait(self) -> None:
        """max_suspended"""
        world = self.world(resume_seconds=60.0)
        for name in ("ada", "bob"):
            client = world.join(name)
            assert client.transport is not None
            client.transport.abortConnection()
        world.play(0.5)
        self.assertEqual(world.server.host.suspended, 2)
        self.now(world, max_suspended=1)
        world.play(0.5)
        self.assertEqual([left.player.name for left in world.server.of(Left)], ["ada"])
        self.assertEqual(world.server.host.claims.most, 257)

    def test_theDeadlineOfAJoin(self) -> None:
        """join_seconds"""
        world = self.world()
        self.now(world, join_seconds=1.0)
        stranger = world.stranger()
        world.run(0.9)
        self.assertTrue(stranger.transport.connected)
        world.run(0.2)
        self.assertFalse(stranger.transport.connected)

    def test_theDeadlineOfAnEnd(self) -> None:
        """close_seconds"""
        world = self.world()
        puppet = world.puppet().confirm()
        self.now(world, close_seconds=0.5)
        world.server.verbs.disconnect(world.server.players["mallory"])
        world.run(0.4)
        self.assertTrue(puppet.wire.transport.connected)
        world.run(0.2)
        self.assertFalse(puppet.wire.transport.connected)

    def test_whenAGameHasStalled(self) -> None:
        """stall_seconds"""
        world = self.world(bridged=True)
        world.join("ada")
        self.now(world, stall_seconds=1.0)
        world.clients[0].verbs.send(b"x")
        world.run(2.0)
        self.assertTrue(world.server.host.is_stalled)
        self.flushLoggedErrors()

    def test_linesOfTheLog(self) -> None:
        """log_seconds log_lines_per_second"""
        world = self.world()
        self.now(world, log_seconds=2.0, log_lines_per_second=3)
        faults = world.server.host.faults
        now = world.server.host.now()
        self.assertEqual(sum(faults.note("x", str(each), now) for each in range(9)), 3)
        self.assertEqual(faults.note("y", "a", now + 1.0), 1)
        self.assertEqual(faults.note("y", "a", now + 2.5), 0)
        self.assertEqual(faults.note("y", "a", now + 3.5), 2)


class NewPlayersTests(SynchronousTestCase):
    def test_whoIsInKeepsWhatWasAgreedAndNewcomersGetTheNew(self) -> None:
        for name in sorted(NEW_PLAYERS):
            with self.subTest(name=name):
                world = World(self, resume_seconds=60.0)
                host = world.server.host
                world.join("ada")
                before = host.config
                host.reconfigure(other(before, name))
                world.join("bob")
                sessions = {each.player.name: each for each in host.registry.sessions}
                self.assertEqual(sessions["ada"].config, before)
                self.assertEqual(getattr(sessions["bob"].config, name), getattr(host.config, name))
                world.close()

    def test_asLongAsTheSessionLastsOnWhateverConnection(self) -> None:
        world = World(self, resume_seconds=60.0, window_messages=4)
        client = world.join("ada", redials=True)
        host = world.server.host
        # With the larger window the client would send what the session takes for a breach.
        host.reconfigure(dataclasses.replace(host.config, window_messages=200, resume_seconds=0.0))
        assert client.transport is not None
        client.transport.abortConnection()
        for number in range(100):
            client.verbs.send(b"%d" % number)
        world.play(20.0)
        self.assertEqual(len(world.server.of(Suspended)), 1)
        self.assertEqual(len(world.server.of(Received)), 100)
        self.assertTrue(client.joined)
        self.assertEqual(client.host._resume_seconds, 60.0)

    def test_whoIsJoiningJustNowGetsWhatWasAgreed(self) -> None:
        world = World(self, frames_per_read=5)
        host = world.server.host
        puppet = world.puppet()
        host.reconfigure(dataclasses.replace(host.config, frames_per_read=6))
        puppet.confirm()
        (stay,) = host._stays.values()
        assert stay.rates is not None
        self.assertEqual(stay.rates.per_read, 5)

    def test_whoComesBackTooLateHearsWhyForAsLongAsWasAgreed(self) -> None:
        world = World(self, resume_seconds=60.0)
        client = world.join("ada")
        host = world.server.host
        host.reconfigure(dataclasses.replace(host.config, resume_seconds=1.0))
        assert client.transport is not None
        client.transport.abortConnection()
        host.end_session(world.server.session_of("ada"), DisconnectReason.KICKED)
        world.join("bob")
        world.play(50.0)
        self.assertEqual(len(host.claims), 2)
        world.play(11.0)
        self.assertEqual(len(host.claims), 1)

    def test_aSessionWaitsForAsLongAsItsPlayerWasTold(self) -> None:
        world = World(self, resume_seconds=30.0)
        client = world.join("ada")
        host = world.server.host
        host.reconfigure(dataclasses.replace(host.config, resume_seconds=1.0))
        assert client.transport is not None
        client.transport.abortConnection()
        world.play(29.0)
        self.assertEqual(host.suspended, 1)
        world.play(2.0)
        (left,) = world.server.of(Left)
        self.assertIs(left.reason, DisconnectReason.SESSION_LOST)


class ServiceTests(ServiceCase):
    def test_theServiceAndItsGameSeeTheNewSettings(self) -> None:
        release = []

        def game(server: Any) -> None:
            for tick in server.ticks(200.0):
                if release:
                    return
                del tick

        service = self.service(game)
        service.startService()
        wanted = dataclasses.replace(service.config, drain_seconds=7.0, stop_seconds=3.0)
        service.reconfigure(wanted)
        self.assertIs(service.config, wanted)
        self.assertIs(service.host.config, wanted)
        assert service.facade is not None
        self.assertIs(service.facade.config, wanted)
        self.join(service)
        service.drain()
        self.assertEqual(service.drain_seconds_left, 7.0)
        release.append(True)

    def test_theTimeToStopIsTheNewOne(self) -> None:
        end = threading.Event()
        self.addCleanup(end.set)
        service = self.service(lambda server: end.wait(60.0), stop_seconds=30.0)
        service.startService()
        service.reconfigure(dataclasses.replace(service.config, stop_seconds=3.0))
        done: list[None] = []
        service.stopService().addCallback(done.append)
        self.network.run(3.1)
        self.assertEqual(done, [None])
        end.set()
        assert service.thread is not None
        service.thread.join(60.0)


class ReloadTests(DaemonTestCase):
    """SIGHUP with a config file."""

    def setUp(self) -> None:
        super().setUp()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.raised: list[int] = []
        self.patch(reloading, "raise_open_files", self.raised.append)

    def begin(self, text: str, *arguments: str, secure: bool = False) -> Any:
        self.path = self.write("c.toml", text)
        self.patch(Server, "secure", secure)
        self.made = self.make("--config", str(self.path), *arguments)
        return self.made

    def reload(self, text: str) -> list[str]:
        """What the log says once the file has this text."""
        self.write("c.toml", text)
        self.events.clear()
        self.made.reload()
        return self.logged()

    def test_whatCanChangeDoesAndTheRestIsNamedInOneLine(self) -> None:
        self.begin("max_players = 8\ntick_rate = 20\n")
        lines = self.reload(
            "max_players = 9\ntick_rate = 40\nlisten = 7778\n"
            'auth = ["memory:ada"]\n[game]\nmap = 1\n'
        )
        self.assertEqual(lines[0], "settings changed: max_players=9 (was 8)")
        self.assertEqual(lines[1], "needs a restart: listen, tick_rate, auth, [game]")
        self.assertEqual(len(lines), 2)
        config = self.made.server.config
        self.assertEqual((config.max_players, config.tick_rate), (9, 20))
        self.assertEqual(config.listen, 7777)
        # Until the restart it is said each time.
        self.assertEqual(self.reload(self.path.read_text()), lines[1:])

    def test_theSignalDoesIt(self) -> None:
        self.begin("max_players = 8\n")
        with patch.dict("sys.modules", {"twisted.internet.reactor": self.reactor}):
            self.made.startService()
        self.write("c.toml", "max_players = 9\n")
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.made.server.config.max_players, 8)
        self.reactor.advance(0)
        self.assertEqual(self.made.server.config.max_players, 9)

    def test_aLineThatIsGoneIsTheDefaultAgain(self) -> None:
        self.begin("max_players = 8\n")
        self.assertEqual(self.reload(""), ["settings changed: max_players=256 (was 8)"])

    def test_theSameFileIsALineToo(self) -> None:
        self.begin("max_players = 8\n")
        self.assertEqual(
            self.reload("max_players = 8\n"), ["no setting of the config file has changed"]
        )

    def test_flagsStillWinAndWhatTheGameSaysIsStillBeneath(self) -> None:
        self.begin("stop_seconds = 5\n", "--max-players", "4", "--game", "tag:main")
        lines = self.reload("stop_seconds = 6\nmax_players = 100\n")
        self.assertEqual(lines, ["settings changed: stop_seconds=6 (was 5)"])
        self.assertEqual(self.made.server.config.max_players, 4)
        self.assertEqual(self.made.server.config.game_name, "tag/1")

    def test_aFileThatCannotBeUsedChangesNothingAndSaysWhichField(self) -> None:
        before = self.begin("max_players = 8\n").server.config
        for text, said in (
            ("stop_seconds = 3\nmax_players = 0\n", "max_players: must be at least 1"),
            ("stop_seconds = 3\nmax_playrs = 3\n", "did you mean max_players?"),
            ("stop_seconds = 3\nping_seconds = 30.0\n", "dead_seconds: must be at least twice"),
            ("stop_seconds = 3\ntick_rate = 'fast'\n", "tick_rate"),
            ("stop_seconds 3\n", str(self.path)),
            ("a = " + "[" * 5_000, str(self.path)),
        ):
            (line,) = self.reload(text)
            self.assertIn("nothing was changed", line)
            self.assertIn(said, line)
            self.assertIs(self.made.server.config, before)
        os.unlink(self.path)
        self.events.clear()
        self.made.reload()
        (line,) = self.logged()
        self.assertIn("No such file", line)
        self.assertIs(self.made.server.config, before)
        self.assertEqual(self.reload("max_players = 9\n")[0][:16], "settings changed")

    def test_theFlightRecordHasWhatBecameOfIt(self) -> None:
        server = self.begin("max_players = 8\n", secure=True).server
        self.patch(Server, "read", [True, ConfigError("key_file", "opensesame"), False])
        self.reload("max_players = 9\ntick_rate = 40\n")
        self.reload("max_players = 8\n")
        self.reload("max_players = 'opensesame'\n")
        self.reload("max_players = 9\n")
        changed = ("max_players=9 (was 8)",)
        self.assertEqual(
            server.noted,
            [
                {"kind": "reload", "changed": changed, "kept": ("tick_rate",), "certificate": True},
                {"kind": "reload", "refused": "certificate", "field": "key_file"},
                {"kind": "reload", "refused": "settings", "field": "max_players"},
                {"kind": "reload", "changed": (), "kept": (), "certificate": False},
            ],
        )

    def test_withABadFileTheCertificateIsNotTouched(self) -> None:
        self.begin("max_players = 8\n", secure=True)
        self.patch(Server, "read", [True])
        self.assertEqual(len(self.reload("max_players = 0\n")), 1)
        self.assertEqual(Server.read, [True])

    def test_withABadCertificateTheSettingsAreNotTouched(self) -> None:
        before = self.begin("max_players = 8\n", secure=True).server.config
        self.patch(Server, "read", [ConfigError("key_file", "it is gone")])
        (line,) = self.reload("max_players = 9\n")
        self.assertIn("the certificate in use stays, and so do the settings, ", line)
        self.assertIn("key_file: it is gone", line)
        self.assertIs(self.made.server.config, before)

    def test_bothAtOnce(self) -> None:
        self.begin("max_players = 8\n", secure=True)
        self.patch(Server, "read", [True])
        lines = self.reload("max_players = 9\n")
        self.assertIn("the certificate was read again", lines[0])
        self.assertIn("max_players=9", lines[1])

    def test_aDaemonThatIsInAnotherDirectoryFindsTheFile(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        self.write("c.toml", "max_players = 8\n")
        self.made = self.make("--config", "c.toml")
        os.chdir("/")
        self.assertEqual(
            self.reload("max_players = 9\n"), ["settings changed: max_players=9 (was 8)"]
        )

    def test_aGameOfMorePlayersMayHaveMoreFilesOpen(self) -> None:
        self.begin("max_players = 8\n")
        self.reload("max_players = 3000\n")
        (files,) = self.raised
        self.assertGreater(files, 3_000)

"""What ``listen`` stands for, and the ports that come of it."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
import warnings
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.endpoints import serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from gamenet import entrance as entrance_module
from gamenet.certificates import make_certificate
from gamenet.config import ServerConfig
from gamenet.entrance import Entrance, entrance, split
from gamenet.errors import ConfigError, ListenFailed
from gamenet.listening import WARNING_SECONDS, InsecureWarning, Listening
from gamenet.tls import client_creator
from tests.certificates import Authority, Files, write
from tests.fakes import Machine, Network
from tests.test_tls import Meeting, Talks

NAME = "game.example"
MADE = make_certificate([NAME, "127.0.0.1"])


class FilesTestCase(SynchronousTestCase):
    """Has a certificate in files."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.files = write(self.folder, MADE)
        self.reactor = MemoryReactorClock()

    def entrance(self, listen: str, **fields: Any) -> Entrance:
        return entrance(ServerConfig(listen=listen, **fields), self.reactor)

    def refused(self, listen: str, **fields: Any) -> str:
        error = self.assertRaises(ConfigError, self.entrance, listen, **fields)
        return str(error)


class SplitTests(SynchronousTestCase):
    """The parts of an endpoint's description."""

    def test_parts(self) -> None:
        for text, parts in (
            ("ssl:7777", (["7777"], {})),
            ("ssl:7777:interface=\\:\\:1:privateKey=a\\=b", (
                ["7777"], {"interface": "::1", "privateKey": "a=b"},
            )),
            ("ssl:port=1:certKey=C\\:\\\\a.pem", ([], {"port": "1", "certKey": "C:\\a.pem"})),
            ("ssl:a\\=b:c", (["a=b", "c"], {})),
            ("tls:", ([""], {})),
        ):  # fmt: skip
            self.assertEqual(split(text), parts)


class SslTests(FilesTestCase):
    """``ssl:`` is a port with a certificate of ours."""

    def test_portFilesAndInterface(self) -> None:
        found = self.entrance(
            f"ssl:7777:privateKey={self.files.key}:certKey={self.files.cert}:interface=127.0.0.1"
        )
        self.assertEqual((found.place.port, found.place.interface), (7777, "127.0.0.1"))
        assert found.context is not None
        self.assertEqual(found.context.fingerprint, MADE.fingerprint)
        self.assertIs(found.creator, found.context)

    def test_addressOfIpv6(self) -> None:
        found = self.entrance(
            f"ssl:port=1:privateKey={self.files.key}:certKey={self.files.cert}:interface=\\:\\:1"
        )
        self.assertEqual((found.place.port, found.place.interface), (1, "::1"))

    def test_oneFileForBoth(self) -> None:
        both = self.folder / "both.pem"
        both.write_bytes(MADE.key + MADE.certificate)
        os.chmod(both, 0o600)
        found = self.entrance(f"ssl:7777:{both}")
        assert found.context is not None
        self.assertEqual(found.context.fingerprint, MADE.fingerprint)

    def test_moreCertificates(self) -> None:
        authority = Authority()
        made = authority.vouch(NAME)
        leaf = made.certificate.partition(b"-----END CERTIFICATE-----\n")
        files = write(self.folder, made._replace(certificate=leaf[0] + leaf[1]), "leaf")
        chain = self.folder / "chain.pem"
        chain.write_bytes(authority.pem)
        found = self.entrance(
            f"ssl:7777:privateKey={files.key}:certKey={files.cert}:extraCertChain={chain}"
        )
        assert found.context is not None
        self.assertEqual(len(found.context._identity.chain), 2)
        chain.write_text("nothing")
        self.assertRaises(ConfigError, found.context.reload)

    def test_refusals(self) -> None:
        ssl = f"privateKey={self.files.key}:certKey={self.files.cert}"
        for listen, said in (
            (f"ssl:seven:{ssl}", "'seven' is not the number of a port"),
            (f"ssl:70000:{ssl}", "'70000' is not the number of a port"),
            (f"ssl:7777:{ssl}:sslmethod=TLSv1_METHOD", "'sslmethod' has no meaning"),
            (f"ssl:7777:{ssl}:interface=example", "is not an IP address"),
            ("ssl:7777", "cannot read"),
            (f"ssl:7777:{self.files.cert}:{self.files.cert}", "holds no private key"),
            ("ssl:1:2:3:4:5:6:7", "'7' has no meaning"),
        ):
            self.assertIn(said, self.refused(listen))

    def test_keyThatOthersCanRead(self) -> None:
        os.chmod(self.files.key, 0o644)
        self.assertIn(
            f"chmod 600 {self.files.key}",
            self.refused(f"ssl:1:privateKey={self.files.key}:certKey={self.files.cert}"),
        )

    def test_filesStayFoundInAnotherDirectory(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        found = self.entrance("ssl:1:privateKey=server-key.pem:certKey=server-cert.pem")
        os.chdir(before)
        assert found.context is not None
        found.context.reload()


class TlsFolderTests(FilesTestCase):
    """``tls:`` is Twisted's, where it has it."""

    def folder_with(self, *names: str) -> Path:
        folder = self.folder / "live"
        folder.mkdir()
        for name in names:
            made = make_certificate([name])
            (folder / f"{name}.pem").write_bytes(made.certificate + made.key)
            os.chmod(folder / f"{name}.pem", 0o600)
        return folder

    def test_olderTwistedIsOneLine(self) -> None:
        unknown = ValueError("Unknown endpoint type: 'tls'")
        with (
            patch.object(entrance_module, "serverFromString", side_effect=unknown),
            patch.object(entrance_module, "TWISTED_VERSION", "24.11.0"),
        ):
            said = self.refused("tls:/somewhere:port=7777")
        self.assertIn("tls: needs Twisted 26.4 or newer, and this is 24.11.0", said)
        self.assertNotIn("\n", said)

    def test_withoutIts(self) -> None:
        with patch.object(entrance_module, "serverFromString"):
            folder = self.folder_with(NAME)
            found = self.entrance(f"tls:{folder}:port=7777")
            self.assertEqual(found.place.port, 7777)
            with patch.object(entrance_module, "serverFromString", return_value=object()):
                self.assertIn("does not know the tls: of", self.refused(f"tls:{folder}:port=1"))

    def test_keysInTheFolder(self) -> None:
        with patch.object(entrance_module, "serverFromString"):
            self.assertIn("cannot read", self.refused(f"tls:{self.folder}/absent:port=7777"))
            folder = self.folder_with()
            self.assertIn("holds a private key", self.refused(f"tls:{folder}:port=7777"))
            key = folder / "key.pem"
            key.write_bytes(MADE.key)
            os.chmod(key, 0o644)
            self.assertIn(f"chmod 600 {key}", self.refused(f"tls:{folder}:port=7777"))

    def test_whatTwistedCannotUse(self) -> None:
        for error in (ValueError("bad"), OSError(13, "Permission denied"), KeyError()):
            with patch.object(entrance_module, "serverFromString", side_effect=error):
                self.assertIn("cannot be used", self.refused("tls:/somewhere:port=7777"))

    def test_certificatesByName(self) -> None:
        folder = self.folder_with(NAME, "other.example")
        silent = warnings.catch_warnings()
        silent.__enter__()
        self.addCleanup(silent.__exit__, None, None, None)
        # Twisted's own way with pyOpenSSL.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            serverFromString(self.reactor, f"tls:{folder}:port=7777")
        except ValueError:
            # An older Twisted; test_olderTwistedIsOneLine holds for it.
            self.assertIn("Twisted 26.4", self.refused(f"tls:{folder}:port=7777"))
            return
        found = self.entrance(f"tls:{folder}:port=7777:interface=127.0.0.1")
        self.assertEqual((found.place.port, found.place.interface), (7777, "127.0.0.1"))
        self.assertIsNone(found.context)
        network = Network()
        config = ServerConfig(listen=f"tls:{folder}:port=7777:interface=10.0.0.1")
        machine = Machine(network)
        factory: Any = Talks()
        listening = Listening(config, factory, machine)
        for name in (NAME, "other.example"):
            pem = folder / f"{name}.pem"
            meeting = Meeting(listening._served, client_creator(name, ca_file=str(pem)))
            self.assertIsNone(meeting.problem())
        self.assertTrue(listening.secure)
        self.assertFalse(listening.reload())
        self.assertEqual(listening.fingerprint, "")


class Adopting(MemoryReactorClock):
    """Takes over sockets, and opens no UDP ports for real."""

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: Any, factory: Any) -> Any:
        found = socket.socket(addressFamily, fileno=os.dup(fileDescriptor))
        self.adopted = found, factory
        return self

    def getHost(self) -> Any:
        from twisted.internet.address import IPv4Address

        return IPv4Address("TCP", *self.adopted[0].getsockname())

    def stopListening(self) -> None:
        self.adopted[0].close()


class UdpPorts:
    """A factory that notes which UDP ports are asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, str]] = []
        self.adopted = -1

    def doStart(self) -> None:
        """Called when a port opens."""

    def doStop(self) -> None:
        """Called when a port closes."""

    def listen_udp(self, port: int, interface: str = "") -> Any:
        self.asked.append((port, interface))
        from unittest.mock import Mock

        opened = Mock()
        opened.getHost.return_value.port = port
        return opened

    def adopt_udp(self, opened: socket.socket) -> Any:
        self.adopted = opened.detach()
        with socket.socket(fileno=os.dup(self.adopted)) as looked_at:
            port = looked_at.getsockname()[1]
        from unittest.mock import Mock

        made = Mock()
        made.getHost.return_value.port = port
        made.stopListening.side_effect = lambda: os.close(self.adopted)
        return made


class DescriptorTests(FilesTestCase):
    """Sockets that somebody else has opened."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Adopting()

    def listening(self, **fields: Any) -> tuple[Listening, UdpPorts]:
        factory: Any = UdpPorts()
        made = Listening(ServerConfig(**fields), factory, self.reactor)
        self.addCleanup(made.close)
        return made, factory

    def socket(self, host: str = "127.0.0.1", kind: int = socket.SOCK_STREAM) -> int:
        """The number of a socket that is bound and does not listen yet."""
        with socket.socket(socket.AF_INET, kind) as made:
            made.bind((host, 0))
            number = os.dup(made.fileno())

        def close() -> None:
            try:
                os.close(number)
            except OSError:
                pass

        self.addCleanup(close)
        return number

    def test_theSocketBecomesOursAndUdpFollowsIt(self) -> None:
        number = self.socket()
        made, factory = self.listening(listen=f"fd:{number}", insecure=True)
        made.open()
        found, served = self.reactor.adopted
        self.assertIs(served, factory)
        self.assertTrue(found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        self.assertFalse(found.getblocking() and os.get_blocking(found.fileno()))
        port = found.getsockname()[1]
        self.assertEqual(factory.asked, [(port, "127.0.0.1")])
        self.assertEqual((made.port, made.udp_port), (port, port))
        self.assertRaises(OSError, os.fstat, number)

    def test_withACertificate(self) -> None:
        made, factory = self.listening(
            listen=f"fd:{self.socket('0.0.0.0')}",
            cert_file=self.files.cert,
            key_file=self.files.key,
        )
        made.open()
        self.assertIs(self.reactor.adopted[1].wrappedFactory, factory)
        self.assertEqual([interface for _, interface in factory.asked], ["0.0.0.0"])
        self.assertEqual(made.address, f"gamenet://127.0.0.1:{made.port}#sha256={MADE.fingerprint}")
        self.assertTrue(made.reload())

    def test_socketOfBothFamilies(self) -> None:
        made, factory = self.listening(
            listen="fd:3", cert_file=self.files.cert, key_file=self.files.key
        )
        with patch.object(Listening, "_adopt", return_value=made._entrance.place):
            self.reactor.adopted = socket.socket(), None
            made._tcp.append(self.reactor)
            with patch.object(Adopting, "getHost") as host:
                host.return_value.port = 7777
                made.open()
        self.assertEqual(factory.asked, [(7777, "0.0.0.0"), (7777, "::")])

    def refused(self, listen: str, **fields: Any) -> str:
        made, factory = self.listening(listen=listen, **{"insecure": True, **fields})
        said = str(self.assertRaises(ListenFailed, made.open))
        self.assertEqual(factory.asked, [])
        self.assertFalse(made.is_open)
        return said

    def test_refusals(self) -> None:
        gone = self.socket()
        os.close(gone)
        said = self.refused(f"fd:{gone}")
        self.assertIn(f"descriptor {gone} is not a socket to listen on: Bad file", said)
        udp = self.socket(kind=socket.SOCK_DGRAM)
        self.assertIn("is not a TCP socket", self.refused(f"fd:{udp}"))
        one, other = socket.socketpair()
        with one, other:
            self.assertIn("is not a TCP socket", self.refused(f"fd:{one.fileno()}"))
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        self.addCleanup(os.close, writer)
        self.assertIn("is not a socket to listen on", self.refused(f"fd:{reader}"))

    def test_insecureStaysOnThisMachine(self) -> None:
        number = self.socket("0.0.0.0")
        self.assertIn("--insecure-anywhere", self.refused(f"fd:{number}"))
        made, _ = self.listening(listen=f"fd:{number}", insecure=True, insecure_anywhere=True)
        made.open()

    def test_aUdpSocketBecomesOurs(self) -> None:
        number = self.socket(kind=socket.SOCK_DGRAM)
        with socket.socket(fileno=os.dup(number)) as theirs:
            port = theirs.getsockname()[1]
        made, factory = self.listening(listen="127.0.0.1:0", udp=f"fd:{number}", insecure=True)
        made.open()
        self.assertEqual(factory.asked, [])
        self.assertEqual(made.udp_port, port)
        self.assertFalse(os.get_blocking(factory.adopted))
        self.assertRaises(OSError, os.fstat, number)

    def test_refusalsOfUdpSockets(self) -> None:
        tcp = self.socket()
        made, _ = self.listening(listen="127.0.0.1:0", udp=f"fd:{tcp}", insecure=True)
        said = str(self.assertRaises(ListenFailed, made.open))
        self.assertIn(f"descriptor {tcp} is not a UDP socket, it is for TCP", said)
        self.assertIn("--udp UDP (ListenDatagram=)", said)
        self.assertFalse(made.is_open)
        away = self.socket("0.0.0.0", socket.SOCK_DGRAM)
        made, _ = self.listening(listen="127.0.0.1:0", udp=f"fd:{away}", insecure=True)
        self.assertIn("--insecure-anywhere", str(self.assertRaises(ListenFailed, made.open)))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unbound:
            made, _ = self.listening(
                listen="127.0.0.1:0", udp=f"fd:{unbound.fileno()}", insecure=True
            )
            self.assertIn("without an address", str(self.assertRaises(ListenFailed, made.open)))

    def test_theShortFormsOfSystemd(self) -> None:
        for short, long in (
            ("systemd:1", "systemd:domain=INET:index=1"),
            ("systemd:game", "systemd:domain=INET:name=game"),
            ("systemd:domain=INET6:index=0", "systemd:domain=INET6:index=0"),
        ):
            with patch.object(
                entrance_module, "serverFromString", side_effect=LookupError
            ) as parsed:
                made, _ = self.listening(listen="127.0.0.1:0", udp=short, insecure=True)
                said = str(self.assertRaises(ListenFailed, made.open))
            self.assertEqual(parsed.call_args.args[1], long)
            self.assertIn(f"{short}: systemd has not handed over that socket", said)
            self.assertIn("socket unit", said)

    def test_systemdHandsOver(self) -> None:
        number = self.socket()
        from unittest.mock import Mock

        with patch.object(
            entrance_module, "serverFromString", return_value=Mock(fileno=number)
        ) as parsed:
            made, _ = self.listening(listen="systemd:domain=INET:index=0", insecure=True)
            parsed.assert_not_called()
            made.open()
        self.assertEqual(made.port, self.reactor.adopted[0].getsockname()[1])

    def test_systemdHandsOverNothing(self) -> None:
        for listen, said in (
            ("systemd:domain=INET:index=0", "has not handed over that socket (LISTEN_FDS"),
            ("systemd:domain=INET:name=game", "has not handed over that socket"),
            ("systemd:domain=INET", "exactly one of"),
            ("systemd:index=0", "write systemd:domain=INET:index=0"),
        ):
            self.assertIn(said, self.refused(listen))


class AddressTests(FilesTestCase):
    """What a client on this machine is to dial."""

    def listening(self, files: Files) -> Listening:
        machine: Any = Machine(Network())
        factory: Any = UdpPorts()
        return Listening(
            ServerConfig(listen=7777, cert_file=files.cert, key_file=files.key), factory, machine
        )

    def test_selfSignedCertificatesArePinned(self) -> None:
        made = self.listening(self.files)
        self.assertEqual(made.address, "")
        made.open()
        self.assertEqual(made.address, f"gamenet://127.0.0.1:7777#sha256={MADE.fingerprint}")
        self.assertTrue(made.secure)

    def test_othersAreNot(self) -> None:
        made = self.listening(write(self.folder, Authority().vouch(NAME), "vouched"))
        made.open()
        self.assertEqual(made.address, "127.0.0.1:7777")
        self.assertNotEqual(made.fingerprint, "")

    def test_failedAttemptLeavesNoPortOpen(self) -> None:
        made = self.listening(self.files)
        failure = OSError(errno.EADDRINUSE, "Address already in use")
        with patch.object(UdpPorts, "listen_udp", side_effect=failure):
            said = str(self.assertRaises(ListenFailed, made.open))
        self.assertIn("cannot listen on UDP", said)
        self.assertFalse(made.is_open)


class WarningTests(SynchronousTestCase):
    """An insecure server says so at the start, and every ten minutes."""

    def test_everyTenMinutesUntilItStops(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        reactor = MemoryReactorClock()
        warning = InsecureWarning(reactor)

        def said() -> int:
            return sum(event["log_format"].startswith("INSECURE") for event in events)

        warning.start()
        self.assertEqual((said(), WARNING_SECONDS), (1, 600.0))
        reactor.pump([WARNING_SECONDS - 1, 1, WARNING_SECONDS])
        self.assertEqual(said(), 3)
        warning.stop()
        warning.stop()
        self.assertEqual(reactor.getDelayedCalls(), [])

"""The way to a server: names and addresses, TLS and plain TCP, and what is said when it fails."""

from __future__ import annotations

from typing import Any, ClassVar

from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.error import ConnectionRefusedError, DNSLookupError, TimeoutError
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from gamenet.addresses import Target, parse_address
from gamenet.client_facade import GameClient
from gamenet.config import ClientConfig
from gamenet.dial import Dial
from gamenet.errors import ConfigError
from gamenet.tls_problems import TlsProblem
from tests.test_tls import Talks

PIN = "ab" * 32


class Endpoint:
    """Notes what is connected."""

    connected: ClassVar[list[Any]] = []

    def connect(self, factory: Any) -> Any:
        self.connected.append(factory)


class DialTests(SynchronousTestCase):
    """Endpoints and their factories."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()

    def dial(self, address: str, **fields: Any) -> Any:
        return Dial(parse_address(address), ClientConfig(**fields), self.reactor)

    def connected(self, dial: Any) -> Any:
        """The factory that a dial connects for one of ours."""
        self.patch(Endpoint, "connected", [])
        dial._endpoint = Endpoint()
        dial.connect(Talks())
        (factory,) = Endpoint.connected
        return factory

    def test_addressesAndNames(self) -> None:
        for address, kind in (
            ("10.0.0.1", TCP4ClientEndpoint),
            ("[::1]:1", TCP6ClientEndpoint),
            ("game.example", HostnameEndpoint),
        ):
            self.assertIsInstance(self.dial(address, insecure=True)._endpoint, kind)

    def test_portAndDeadline(self) -> None:
        self.dial("10.0.0.1:99", insecure=True, join_seconds=3.0).connect(Talks())
        ((host, port, _, timeout, _),) = self.reactor.tcpClients
        self.assertEqual((host, port, timeout), ("10.0.0.1", 99, 3.0))

    def test_tlsUnlessInsecure(self) -> None:
        secure = self.connected(self.dial("game.example", ca_file=""))
        self.assertIsInstance(secure, TLSMemoryBIOFactory)
        self.assertIsInstance(secure.wrappedFactory, Talks)
        self.assertIsInstance(self.connected(self.dial("game.example", insecure=True)), Talks)

    def test_pinAndNameAreThoseOfTheAddress(self) -> None:
        creator = self.dial(f"gamenet://Game.example:1#sha256={PIN}")._creator
        self.assertEqual((creator._name, creator._pin), ("game.example", PIN))

    def test_whomToTrustIsReadAtOnce(self) -> None:
        error = self.assertRaises(ConfigError, self.dial, "game.example", ca_file="/nowhere")
        self.assertEqual(error.field, "ca_file")

    def test_whyNot(self) -> None:
        dial = self.dial("game.example:1", insecure=True)
        for error, text in (
            (ConnectionRefusedError(111, "x"), "no server answers at game.example:1: Connection"),
            (TimeoutError(), "no server answers at game.example:1: "),
            (DNSLookupError("x"), "there is no host of the name 'game.example'"),
            (TlsProblem("it is not for you"), "it is not for you"),
            (ValueError("x"), "no server answers at game.example:1: ValueError"),
        ):
            found = dial.why(Failure(error))
            self.assertIn(text, found)
            self.assertNotIn("\n", found)


class ClientTests(SynchronousTestCase):
    """What a client is refused before it dials."""

    def test_settingsThatContradictEachOther(self) -> None:
        for address, fields, named in (
            (f"host#sha256={PIN}", {"insecure": True}, "insecure"),
            ("host", {"insecure": True, "user": "ada", "password": "secret"}, "password"),
            ("host", {"insecure": True, "ticket": b"secret"}, "ticket"),
            ("host", {"user": "ada", "password": "secret", "ticket": b"x"}, "ticket"),
            ("host", {"password": "secret"}, "user"),
            ("host", {"ticket": "secret"}, "ticket"),
        ):
            error = self.assertRaises(ConfigError, GameClient, address, **fields)
            self.assertEqual(error.field, named)
            self.assertNotIn("secret", str(error))

    def test_secretsDoNotShow(self) -> None:
        client = GameClient("host", user="ada", password="opensesame")
        self.assertNotIn("opensesame", repr(client))

    def test_theTarget(self) -> None:
        client = GameClient(f"gamenet://host:1#sha256={PIN}")
        self.assertEqual(client._place, Target("host", 1, PIN))

"""Sockets for the local network: shared ports, groups and broadcasts, on this machine's own."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import ifaddr
from twisted.trial.unittest import SynchronousTestCase

from gamenet import lan
from gamenet.core.beacon import GROUP, LOOPBACK_BROADCAST
from gamenet.lan import (
    DATAGRAMS_PER_TURN,
    MOST_INTERFACES,
    Interface,
    LanProtocol,
    interfaces,
    join_group,
    open_port,
)
from tests.test_ports import SocketReactor

LOOPBACK = "127.0.0.1"
LO = Interface(LOOPBACK, 1, "lo")


class Ear(LanProtocol):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagramReceived(self, data: bytes, addr: Any) -> None:
        self.heard.append(data)


class PortCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SocketReactor()
        # Given back to the system at once, as another program's would be.
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((LOOPBACK, 0))
            self.number: int = probe.getsockname()[1]

    def open(self, protocol: LanProtocol, host: str, port: int = 0, *, shared: bool = False) -> Any:
        opened = open_port(self.reactor, protocol, host, port, shared=shared)
        self.addCleanup(self.reactor.network.run, 1.0)
        self.addCleanup(opened.stopListening)
        return opened


class SharedPortTests(PortCase):
    """Several servers on one machine are all found."""

    def ears(self) -> list[Any]:
        ports = [self.open(Ear(), "0.0.0.0", self.number, shared=True) for _ in range(3)]
        self.assertEqual([join_group(port, LO) for port in ports], [True] * 3)
        return ports

    def ask(self, target: str) -> list[list[bytes]]:
        ears = self.ears()
        asker = Ear()
        self.open(asker, LOOPBACK)
        self.assertTrue(asker.send(b"anybody?", (target, self.number)))
        for ear in ears:
            ear.doRead()
        return [ear.protocol.heard for ear in ears]

    def test_allHearWhatIsSentToTheGroup(self) -> None:
        self.assertEqual(self.ask(GROUP), [[b"anybody?"]] * 3)

    def test_allHearABroadcast(self) -> None:
        self.assertEqual(self.ask(LOOPBACK_BROADCAST), [[b"anybody?"]] * 3)

    def test_oneThatIsJoinedTwiceIsAskedNoMoreOften(self) -> None:
        (ear, *_) = self.ears()
        self.assertFalse(join_group(ear, LO))

    def test_anAnswerComesFromTheSharedPort(self) -> None:
        ear = self.open(Ear(), "0.0.0.0", self.number, shared=True)
        asker = Ear()
        port = self.open(asker, LOOPBACK)
        sources: list[Any] = []
        asker.datagramReceived = lambda data, addr: sources.append(addr)  # type: ignore[method-assign]
        self.assertTrue(ear.protocol.send(b"here", (LOOPBACK, port.getHost().port)))
        port.doRead()
        self.assertEqual(sources, [(LOOPBACK, self.number)])

    def test_whoDoesNotShareHasItAlone(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("0.0.0.0", self.number))
            self.assertRaises(OSError, self.open, Ear(), "0.0.0.0", self.number, shared=True)
        self.assertEqual(self.reactor.readers, set())
        self.open(Ear(), "0.0.0.0", self.number)
        self.assertRaises(OSError, self.open, Ear(), "0.0.0.0", self.number, shared=True)


class ReadingTests(PortCase):
    """What comes."""

    def test_noMoreThanATurnsWorthIsRead(self) -> None:
        ear = Ear()
        port = self.open(ear, LOOPBACK)
        asker = Ear()
        self.open(asker, LOOPBACK)
        for _ in range(DATAGRAMS_PER_TURN + 5):
            asker.send(b"", (LOOPBACK, port.getHost().port))
        port.doRead()
        self.assertEqual(len(ear.heard), DATAGRAMS_PER_TURN)
        port.doRead()
        self.assertEqual(len(ear.heard), DATAGRAMS_PER_TURN + 5)

    def test_aDefectOfOursClosesNothing(self) -> None:
        ear = Ear()
        port = self.open(ear, LOOPBACK)
        del ear.heard
        asker = Ear()
        self.open(asker, LOOPBACK)
        asker.send(b"?", (LOOPBACK, port.getHost().port))
        port.doRead()
        ear.heard = []
        asker.send(b"!", (LOOPBACK, port.getHost().port))
        port.doRead()
        self.assertEqual(ear.heard, [b"!"])

    def test_aClosedPortSendsNothing(self) -> None:
        ear = Ear()
        self.assertFalse(ear.send(b"?", (LOOPBACK, 1)))
        port = self.open(ear, LOOPBACK)
        port.stopListening()
        self.reactor.network.run(1.0)
        self.assertFalse(ear.send(b"?", (LOOPBACK, 1)))


class InterfacesTests(SynchronousTestCase):
    """What networks there are."""

    def adapters(self, *adapters: tuple[str, int | None, list[Any]]) -> None:
        made = [
            ifaddr.Adapter(name, name, [ifaddr.IP(ip, 24, name) for ip in ips], index=index)
            for name, index, ips in adapters
        ]
        self.patch(ifaddr, "get_adapters", lambda: made)

    def test_thisMachineIsAmongThem(self) -> None:
        self.assertIn(LOOPBACK, {way.address for way in interfaces()})

    def test_eachAddressOfIPv4AndEachInterfaceOfIPv6(self) -> None:
        six = ("fe80::1", 0, 2), ("fd00::1", 0, 0)
        self.adapters(
            ("lo", 1, ["127.0.0.1"]),
            ("eth0", 2, ["10.0.0.1", "10.0.0.2", *six]),
            ("odd", None, [*six]),
        )
        self.assertEqual(
            interfaces(),
            [
                Interface("127.0.0.1", 1, "lo"),
                Interface("10.0.0.1", 2, "eth0"),
                Interface("10.0.0.2", 2, "eth0"),
                Interface("", 2, "eth0"),
            ],
        )

    def test_noMoreThanAreOfUse(self) -> None:
        self.adapters(("many", 7, [f"10.1.{n // 250}.{n % 250}" for n in range(1_000)]))
        self.assertEqual(len(interfaces()), MOST_INTERFACES)

    def test_whereNoneIsUpTheSystemMayKnowBetter(self) -> None:
        self.adapters()
        self.assertEqual(interfaces(), list(lan.DEFAULT))

    def test_aSimulatedPortHearsEverything(self) -> None:
        self.assertTrue(join_group(SimpleNamespace(socket=object()), LO))

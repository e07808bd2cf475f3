"""Plain Twisted, as somebody would write it without a library: unsealed UDP or TCP, or TLS."""

from __future__ import annotations

from typing import Any

import common
from twisted.internet import ssl
from twisted.internet.protocol import DatagramProtocol, Factory
from twisted.protocols.basic import Int32StringReceiver

COUNTERS = {"messages": 0, "ticks": 0, "inputs": 0, "deliveries": 0, "players": 0}
ECHOES = ("W1", "W2", "W4")


class Datagrams(DatagramProtocol):
    """W1, W4: every datagram goes back. W3: whoever sent anything gets a state each tick."""

    noisy = False

    def __init__(self, *, echo: bool) -> None:
        self.players: dict[tuple[str, int], bytes] = {}
        if echo:
            self.datagramReceived = self.echo

    def startProtocol(self) -> None:
        common.deepen(self.transport.fileno())

    def echo(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer a message."""
        self.transport.write(data, addr)
        COUNTERS["messages"] += 1

    def datagramReceived(self, data: bytes, addr: tuple[str, int]) -> None:
        self.players[addr] = data
        COUNTERS["inputs"] += 1

    def send_all(self, data: bytes) -> None:
        """The same to every player."""
        write = self.transport.write
        for addr in self.players:
            write(data, addr)
        COUNTERS["players"] = len(self.players)
        COUNTERS["deliveries"] += len(self.players)


class Stream(Int32StringReceiver):
    """One player's connection."""

    factory: Streams

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.factory.players.add(self)

    def connectionLost(self, reason: object = None) -> None:
        self.factory.players.discard(self)

    def stringReceived(self, string: bytes) -> None:
        if self.factory.echo:
            self.sendString(string)
            COUNTERS["messages"] += 1
        else:
            COUNTERS["inputs"] += 1


class Streams(Factory):
    """W2: every message goes back. W3, W5: all that are connected get what is sent to all."""

    noisy = False
    protocol = Stream

    def __init__(self, n: int, *, echo: bool) -> None:
        self.echo = echo
        self._n = n
        self._begun = False
        self.players: set[Stream] = set()

    def send_all(self, data: bytes) -> None:
        """The same to every player."""
        COUNTERS["players"] = len(self.players)
        self._begun = self._begun or len(self.players) >= self._n
        if self._begun:
            for player in self.players:
                player.sendString(data)
            COUNTERS["deliveries"] += len(self.players)


def listen(spec: dict[str, Any]) -> tuple[Any, Datagrams | Streams]:
    """The port and what serves it."""
    from twisted.internet import reactor

    echo = spec["workload"] in ECHOES
    if spec["transport"] == "udp":
        datagrams = Datagrams(echo=echo)
        return reactor.listenUDP(0, datagrams, interface=common.HOST), datagrams
    streams = Streams(spec["n"], echo=echo)
    if spec["transport"] == "tcp":
        return reactor.listenTCP(0, streams, 1_000, common.HOST), streams
    context = ssl.DefaultOpenSSLContextFactory(
        spec["key_file"], spec["cert_file"], ssl.SSL.TLS_METHOD
    )
    return reactor.listenSSL(0, streams, context, 1_000, common.HOST), streams


def main() -> None:
    """Serve what the spec asks for."""
    from twisted.internet import reactor

    spec = common.spec()
    port, game = listen(spec)
    ticks = common.Ticks(spec["hz"])
    size = spec["broadcast_bytes"] if spec["workload"] == "W5" else spec["state_bytes"]
    states = common.States(size)

    def tick() -> None:
        if ticks.start():
            game.send_all(states.at(ticks.number))
            COUNTERS["ticks"] += 1
        reactor.callLater(ticks.left(), tick)

    if spec["workload"] not in ECHOES:
        tick()
    common.say({"port": port.getHost().port})
    common.in_background(
        common.answer_figures, lambda: {**COUNTERS, "tick_late_p99_ms": ticks.late.take()}
    )
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main()

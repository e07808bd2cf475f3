"""W4 for plain Twisted: a message goes there and back, reactor to reactor, one at a time."""

from __future__ import annotations

import time

import common
from twisted.internet.protocol import DatagramProtocol


class Pinger(DatagramProtocol):
    """Sends the next when the one before is back, or when it is lost."""

    noisy = False

    def __init__(self, port: int, size: int) -> None:
        self._port = port
        self._size = size
        self._message = b""
        self._sent_at = 0.0
        self.sent = self.lost = 0
        self.seconds: list[float] = []

    def startProtocol(self) -> None:
        self.transport.connect(common.HOST, self._port)
        self._ping()
        self._watch()

    def _ping(self) -> None:
        self.sent += 1
        self._message = self.sent.to_bytes(4, "big").ljust(self._size, b"\0")
        self._sent_at = time.perf_counter()
        self.transport.write(self._message)

    def _watch(self) -> None:
        from twisted.internet import reactor

        if time.perf_counter() - self._sent_at > common.DEAF_SECONDS:
            self.lost += 1
            self._ping()
        reactor.callLater(common.DEAF_SECONDS, self._watch)

    def datagramReceived(self, data: bytes, addr: object) -> None:
        if data == self._message:
            self.seconds.append(time.perf_counter() - self._sent_at)
            self._ping()


def main() -> None:
    """Play until told to stop."""
    from twisted.internet import reactor

    spec = common.spec()
    pinger = Pinger(spec["port"], spec["message_bytes"])
    common.settle()
    reactor.listenUDP(0, pinger, interface=common.HOST)
    told = common.Told()
    reactor.callWhenRunning(common.say, {"ready": True})

    def look() -> None:
        if told.stop:
            told.finish(
                sent=pinger.sent,
                received=len(pinger.seconds),
                lost=pinger.lost,
                **common.round_trips(pinger.seconds),
            )
        reactor.callLater(0.02, look)

    look()
    reactor.run(installSignalHandlers=False)


if __name__ == "__main__":
    main()

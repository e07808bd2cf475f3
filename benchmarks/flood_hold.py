"""Attackers who hold on to a TCP connection: with a frame that never ends, or a byte at a time."""

from __future__ import annotations

import select
import socket
import threading
import time

import lean
import rig
from OpenSSL import SSL

from gamenet.core import frames

OVERSIZE = 1 << 31
GIVE_UP_SECONDS = 30.0


def seconds_to_be_cut(stream: lean.Plain) -> float | None:
    """Announce a huge frame and send on and on, without reading or closing.

    :returns: seconds until the server's side was gone; None if it never was.
    """
    stream.write(OVERSIZE.to_bytes(4, "big"))
    begun = time.monotonic()
    junk = bytes(16_384)
    while time.monotonic() - begun < GIVE_UP_SECONDS:
        try:
            stream.write_some(junk)
        except BlockingIOError:
            select.select([], [stream.socket], [], 0.05)
        except OSError:
            return time.monotonic() - begun
    return None


class Dribblers:
    """Sockets that send a byte a second: half of them of a TLS handshake, half of a HELLO.

    :param source: the address to come from.
    """

    def __init__(self, place: rig.Place, count: int, source: str = "127.0.0.1") -> None:
        self._place = place
        self._count = count
        self._source = source
        self._open: dict[int, tuple[lean.Plain, socket.socket, bytes, float]] = {}
        self._opened = 0
        self._began = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._dribble, daemon=True)
        self.ages: list[float] = []
        """How long each that is gone has lasted."""
        self.most = 0
        """How many there were at once."""

    def __enter__(self) -> Dribblers:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()
        for _, plain, _, _ in self._open.values():
            plain.close()

    def are_gone(self) -> bool:
        """Whether the server has closed them all."""
        return len(self.ages) == self._count

    def is_hopeless(self) -> bool:
        """Whether it is not going to."""
        return time.monotonic() - self._began > GIVE_UP_SECONDS

    def _open_one(self, index: int) -> None:
        began = time.monotonic()
        in_tls = self._place.tls and index % 2
        plain = None
        try:
            plain = socket.create_connection(
                self._place[:2], rig.ANSWER_SECONDS, source_address=(self._source, 0)
            )
            stream = lean.Tls(plain) if in_tls else lean.Plain(plain)
        except OSError:  # closed before a word was said
            self.ages.append(time.monotonic() - began)
            if plain is not None:
                plain.close()
            return
        text = hello_in_pieces() if in_tls or not self._place.tls else client_hello()
        self._open[index] = (stream, plain, text, began)

    def _dribble(self) -> None:
        rounds = 0
        while not self.are_gone() and not self._stop.is_set():
            for index in range(self._opened, min(self._opened + 100, self._count)):
                self._open_one(index)
                self._opened += 1
            self.most = max(self.most, len(self._open))
            for index, (stream, plain, text, began) in list(self._open.items()):
                said = int(time.monotonic() - began)
                if _is_gone(stream) or not _say_one(stream, text, rounds % 20 == 0, said):
                    self.ages.append(time.monotonic() - began)
                    plain.close()
                    del self._open[index]
            rounds += 1
            self._stop.wait(0.05)


def _is_gone(stream: lean.Plain) -> bool:
    try:
        while stream.read():
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def _say_one(stream: lean.Plain, text: bytes, now: bool, said: int) -> bool:
    """Say the next byte if it is time; False if nobody is there."""
    try:
        if now:
            stream.write_some(text[said % len(text) :][:1])
    except BlockingIOError:
        pass
    except OSError:
        return False
    return True


def hello_in_pieces() -> bytes:
    """A HELLO as it is on the wire."""
    hello = frames.encode_hello(frames.Hello(1, 1, 1, 5, lean.NO_SCHEMA, 0, 1, "", "", b""))
    return len(hello).to_bytes(4, "big") + hello


def client_hello() -> bytes:
    """How a TLS handshake begins."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    tls = SSL.Connection(context, None)
    tls.set_connect_state()
    try:
        tls.do_handshake()
    except SSL.WantReadError:
        pass
    return tls.bio_read(4_096)

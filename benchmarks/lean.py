"""A client that is little more than two sockets, for loads and attacks.

It joins for real, over plain TCP or TLS, and plays for real: it sends the messages that gamenet's
own client sends, as often. But it costs a fraction of that: a load generator must not be what is
measured. An attacker gets at its insides.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING

from OpenSSL import SSL

from gamenet.core import frames, wire
from gamenet.core.client_session import (
    LONE_SECONDS,
    QUICK_SECONDS,
    SETTLED_LONE_SECONDS,
    SETTLED_SAMPLES,
    STATE_ACK_SECONDS,
    TIME_SECONDS,
)
from gamenet.core.clock import ServerClock
from gamenet.core.fallback import ACK_SECONDS
from gamenet.core.input_timing import InputLead
from gamenet.core.inputs import InputSender
from gamenet.core.quality import PathQuality, microseconds
from gamenet.core.record import Forged, Opener, Schedule, Sealer
from gamenet.core.state_channel import StateReceiver
from gamenet.core.window import ReplayWindow
from gamenet.errors import DisconnectReason, RefusalReason

if TYPE_CHECKING:
    from collections.abc import Iterator

ANSWER_SECONDS = 20.0
EXPORTER_LABEL = b"EXPERIMENTAL gamenet udp v1"
NO_SCHEMA = bytes(8)
PING_SECONDS = 5.0


class Refused(Exception):
    """The server does not let this client in."""

    def __init__(self, reason: RefusalReason, retry_after_seconds: int) -> None:
        super().__init__(reason.name)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class Gone(Exception):
    """The server has closed the connection, or said BYE."""


class Plain:
    """Bytes over TCP. Reading raises ``BlockingIOError`` when nothing is there."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def read(self) -> bytes:
        """What has come; b"" at the end."""
        return self.socket.recv(65_536)

    def write_some(self, data: bytes) -> int:
        """As many bytes as the kernel takes now."""
        return self.socket.send(data)

    def exporter(self, context: bytes) -> bytes:
        """Keying material of the connection."""
        return b""

    def write(self, data: bytes) -> None:
        """All of it."""
        until = time.monotonic() + ANSWER_SECONDS
        while data:
            try:
                data = data[self.write_some(data) :]
            except BlockingIOError:
                _wait(self.socket, until, writing=True)

    def read_within(self, seconds: float) -> bytes:
        """What comes next."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self.read()
            except BlockingIOError:
                _wait(self.socket, until)


class Tls(Plain):
    """The same over TLS 1.3. Nothing is verified: the server is the benchmark's own."""

    _context: SSL.Context | None = None

    def __init__(self, connection: socket.socket) -> None:
        super().__init__(connection)
        if Tls._context is None:
            Tls._context = SSL.Context(SSL.TLS_METHOD)
            Tls._context.set_min_proto_version(SSL.TLS1_3_VERSION)
        self.tls = SSL.Connection(Tls._context, connection)
        self.tls.set_connect_state()
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                self._step(self.tls.do_handshake)
                return
            except BlockingIOError:
                _wait(connection, until)

    def read(self) -> bytes:
        return self._step(self.tls.recv, 65_536)

    def write_some(self, data: bytes) -> int:
        return self._step(self.tls.send, data)

    def exporter(self, context: bytes) -> bytes:
        return self.tls.export_keying_material(EXPORTER_LABEL, 32, context)

    @staticmethod
    def _step(call, *args):
        """Call, with the socket module's exceptions instead of OpenSSL's."""
        try:
            return call(*args)
        except (SSL.WantReadError, SSL.WantWriteError):
            raise BlockingIOError from None
        except SSL.ZeroReturnError:
            return b""
        except SSL.Error as error:
            raise ConnectionResetError(str(error)) from None


def connect(host: str, port: int, *, tls: bool, source: str = "") -> Plain:
    """A connection, its handshake done.

    :param source: the address to come from.
    """
    connection = socket.create_connection(
        (host, port), ANSWER_SECONDS, source_address=(source, 0) if source else None
    )
    try:
        return Tls(connection) if tls else Plain(connection)
    except BaseException:
        connection.close()
        raise


def _wait(connection: socket.socket, until: float, *, writing: bool = False) -> None:
    if not _is_ready(connection, until - time.monotonic(), writing=writing):
        raise TimeoutError("the server does not answer")


def _is_ready(connection: socket.socket, seconds: float, *, writing: bool = False) -> bool:
    """Whether it can be read or written within that time; also as one of thousands of files."""
    poll = select.poll()
    poll.register(connection, select.POLLOUT if writing else select.POLLIN)
    return bool(poll.poll(max(0.0, seconds) * 1e3))


class LeanClient:
    """One player.

    :param auth: what proves the identity, by *mechanism*.
    :param source: the address to come from.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        tls: bool,
        user: str = "",
        mechanism: int = frames.ANONYMOUS,
        auth: bytes = b"",
        source: str = "",
    ) -> None:
        self.server = (host, port)
        self.stream = connect(host, port, tls=tls, source=source)
        self._source = source
        self._unread = b""
        self._pinged = time.monotonic()
        self.udp: socket.socket | None = None
        flags = frames.HELLO_WANTS_UDP | (0 if tls else frames.HELLO_ACCEPTS_INSECURE)
        self._hello = frames.encode_hello(
            frames.Hello(1, 1, 1, flags, NO_SCHEMA, 0, mechanism, "", user, auth)
        )
        self.accept: frames.Accept
        self.window = ReplayWindow()
        self.datagrams_sent = self.datagrams_received = 0
        self.frames_taken = self.frames_acked = 0
        self.states = 0
        self.state = b""
        """The payload of the newest."""
        self._received = StateReceiver()
        self._quality = PathQuality()
        self._clock = ServerClock()
        self._lead = InputLead()
        self._next_state_ack = self._next_time = self._silent_until = 0.0
        self.last_sent = time.monotonic()
        """When the last datagram left."""
        self.owes_acks = False
        """Whether a datagram came that asks for an acknowledgement, and none has left since."""
        self.sent: list[bytes] | None = None
        """Every datagram that left, where somebody asked for it by making this a list."""

    # TCP.

    def join(self) -> LeanClient:
        """Be let in, and have the server know that we know.

        :raises Refused: by the server.
        :raises Gone: if it closes the connection without a word.
        """
        self.send_frame(self._hello)
        frame = self.frame_within(ANSWER_SECONDS)
        if frame[:1] == bytes((frames.Kind.REFUSE,)):
            raise Refused(*frames.decode_refuse(frame))
        self.accept = accept = frames.decode_accept(frame)
        context = accept.session_id + accept.cid.to_bytes(4, "big")
        ours, theirs = Schedule(accept, self.stream.exporter(context)).directions()
        self.sealer = Sealer(ours, accept.cid)
        self.opener = Opener(theirs)
        self.inputs = InputSender(accept.input_bits)
        self._tick_rate = accept.tick_rate_x100 / 100
        self.server = (self.server[0], accept.udp_port or self.server[1])
        self.send_frame(frames.encode_ack(0))
        return self

    def send_frame(self, frame: bytes) -> None:
        """Write one frame."""
        self.stream.write(len(frame).to_bytes(4, "big") + frame)

    def frame_within(self, seconds: float) -> bytes:
        """The next frame."""
        until = time.monotonic() + seconds
        while (frame := self._frame()) is None:
            data = self.stream.read_within(until - time.monotonic())
            if not data:
                raise Gone("closed")
            self._unread += data
        return frame

    def _frame(self) -> bytes | None:
        unread = self._unread
        end = 4 + int.from_bytes(unread[:4], "big")
        if len(unread) < 4 or len(unread) < end:
            return None
        self._unread = unread[end:]
        return unread[4:end]

    def frames_come(self) -> Iterator[bytes]:
        """The frames that are there.

        :raises Gone: at the end of the connection.
        """
        while True:
            while (frame := self._frame()) is not None:
                yield frame
            try:
                data = self.stream.read()
            except BlockingIOError:
                return
            except OSError as error:
                raise Gone(str(error)) from None
            if not data:
                raise Gone("closed")
            self._unread += data

    def look_at_tcp(self) -> None:
        """Take what came as a player does, and show that we live; to be done every second or so.

        :raises Gone: if the server ended it.
        """
        for frame in self.frames_come():
            kind = frame[0]
            if kind == frames.Kind.PING:
                self.send_frame(frames.encode_ping(frames.Kind.PONG, frames.decode_ping(frame)))
            elif kind in (frames.Kind.DATA, frames.Kind.SAY):
                self.frames_taken += 1
            elif kind == frames.Kind.BYE:
                reason, text = frames.decode_bye(frame)
                raise Gone(f"{DisconnectReason(reason).name}: {text}")
        if self.frames_acked != self.frames_taken:
            self.frames_acked = self.frames_taken
            self.send_frame(frames.encode_ack(self.frames_taken))
        if time.monotonic() - self._pinged > PING_SECONDS:
            self._pinged = time.monotonic()
            self.send_frame(frames.encode_ping(frames.Kind.PING, 1))

    def leave(self) -> None:
        """Say BYE and close."""
        try:
            self.send_frame(frames.encode_bye(DisconnectReason.QUIT))
        finally:
            self.close()

    def close(self) -> None:
        """Close without a word."""
        self.stream.socket.close()
        if self.udp is not None:
            self.udp.close()

    # UDP.

    def open_udp(self) -> socket.socket:
        """A socket for datagrams, from the address that TCP comes from."""
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind((self._source or "127.0.0.1", 0))
        self.udp.setblocking(False)
        return self.udp

    def send(self, kind: wire.DatagramKind, body: bytes) -> int:
        """Seal and send one datagram.

        :returns: its size.
        """
        data = self.sealer.seal(kind, body)
        assert self.udp is not None
        self.udp.sendto(data, self.server)
        self.last_sent = time.monotonic()
        self.datagrams_sent += 1
        if self.sent is not None:
            self.sent.append(data)
        return len(data)

    def bind(self) -> LeanClient:
        """Have the server know our UDP address."""
        udp = self.open_udp()
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            self.send(wire.DatagramKind.BIND, wire.PADDING)
            again = time.monotonic() + 0.25
            while time.monotonic() < again:
                _is_ready(udp, 0.05)
                for kind, body in self.datagrams_come():
                    if kind == wire.DatagramKind.CHALLENGE:
                        self.send(wire.DatagramKind.RESPONSE, body[: wire.CHALLENGE_BYTES])
                    elif kind == wire.DatagramKind.BOUND:
                        return self
        raise TimeoutError("the UDP path does not open")

    def datagrams_come(self) -> Iterator[tuple[int, bytes]]:
        """Kind and body of the datagrams that are there and open."""
        assert self.udp is not None
        while True:
            try:
                data = self.udp.recv(1_500)
            except OSError:
                return
            if len(data) < wire.OVERHEAD_BYTES:
                continue
            first, cid, low = wire.HEADER.unpack_from(data)
            number = self.window.expand(low)
            if cid != self.accept.cid or not self.window.is_fresh(number):
                continue
            try:
                body = self.opener.open(number, data)
            except Forged:
                continue
            self.window.mark(number)
            self.datagrams_received += 1
            yield first & 0x0F, body

    def look_at_udp(self) -> None:
        """Take what came: states, and what the server says of our inputs and of the time."""
        for kind, body in self.datagrams_come():
            if kind == wire.DatagramKind.CHALLENGE:
                self.send(wire.DatagramKind.RESPONSE, body[: wire.CHALLENGE_BYTES])
            if kind != wire.DatagramKind.DATA:
                continue
            self.owes_acks = self.owes_acks or len(body) > wire.ACKS_BYTES
            for message, payload in wire.split_messages(body):
                plain = message & wire.TYPE_MASK
                if plain == wire.MessageType.STATE:
                    self._take_state(self._received.receive(payload))
                elif plain == wire.MessageType.INPUT_ACK:
                    self.inputs.acknowledge(wire.INPUT_ACK.unpack(payload)[0])
                elif plain == wire.MessageType.FRAGMENT:
                    self._take_state(self._received.receive_fragment(payload))
                elif plain == wire.MessageType.INPUT_TIMING:
                    self._lead.told(payload)
                elif plain == wire.MessageType.TIME:
                    now = time.monotonic()
                    times = self._quality.time_reply(payload, now)
                    if times is not None:
                        self._clock.observe(*times, now)

    def _take_state(self, fields: tuple[int, int, int, int, bytes] | None) -> None:
        if fields is None:
            return
        _, tick, server_ms, _, self.state = fields
        self.states += 1
        least = self._quality.estimator.rtt_min
        self._clock.state_came(server_ms / 1_000, tick, time.monotonic(), least)

    def press(self, buttons: int) -> None:
        """Make the next input; it leaves with the next datagram."""
        number, rate, estimator = self.inputs.newest + 1, self._tick_rate, self._quality.estimator
        self._lead.guess(estimator.rtt, estimator.jitter)
        here = self._clock.tick(time.monotonic(), rate)
        self.inputs.put(number, buttons, self._lead.aim(number, here, rate))

    def flush(self) -> None:
        """Send what a player sends each tick: acks, which state it holds, and the inputs that are
        not acknowledged; without inputs the acks alone, now and then."""
        now = time.monotonic()
        messages = []
        held = self._received.to_acknowledge()
        if held is not None and now >= self._next_state_ack:
            self._next_state_ack = now + STATE_ACK_SECONDS
            self._received.acknowledged()
            messages.append((int(wire.MessageType.STATE_ACK), wire.STATE_ACK.pack(held)))
        inputs = self.inputs.message(self._received.newest)
        if inputs:
            messages.append((int(wire.MessageType.INPUT), inputs))
        settled = self._quality.estimator.samples >= SETTLED_SAMPLES
        lone = SETTLED_LONE_SECONDS if settled else LONE_SECONDS
        if now >= self._next_time + (0.0 if messages else lone):
            self._next_time = now + (TIME_SECONDS if settled else QUICK_SECONDS)
            question = wire.TIME_QUERY.pack(microseconds(now))
            messages.insert(0, (int(wire.MessageType.TIME), question))
        if not messages and now < self._silent_until:
            return
        self._silent_until = now + ACK_SECONDS
        self.owes_acks = False
        acks = wire.ACKS.pack(*self.window.acks())
        for part in wire.pack_messages(messages) if messages else [b""]:
            self.send(wire.DatagramKind.DATA, acks + part)

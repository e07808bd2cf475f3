"""The TCP end: frames to the host, and back out.

Layer 3. Runs on: the reactor thread. PROTOCOL sections 1 and 2.

A connection that is over is latched: whatever still arrives is discarded before it is buffered.
That, and cutting instead of closing on bad input, is what keeps a peer who goes on sending into a
closing TLS connection from filling memory, as Twisted's stock receiver was measured to allow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHandshakeListener,
    ISSLTransport,
    ITCPTransport,
)
from twisted.protocols.basic import Int32StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from gamenet.core import frames
from gamenet.core.frame_sums import ONE_FRAME
from gamenet.core.states import Input, State, step
from gamenet.outflow import DirectTap, Tap, can_send_directly

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from gamenet.core.rates import FrameRates
    from gamenet.core.session import Session
    from gamenet.host import Host

EXPORTER_LABEL: Final = b"EXPERIMENTAL gamenet udp v1"
EXPORTER_BYTES: Final = 32
PREFIX_BYTES: Final = Int32StringReceiver.prefixLength
SHORTEST_PAUSE_SECONDS: Final = 0.02
"""A pause in reading costs a timer and two system calls, so none but a mere turn is shorter."""


@implementer(IHandshakeListener)
class ReliableProtocol(Int32StringReceiver):
    """One TCP connection of either side.

    :param host: the conductor it reports to.
    :param state: where a connection of its side begins.
    :param key: what the peer's address counts as at the gate, "" if it does not count.
    """

    MAX_LENGTH = frames.MAX_HELLO_BYTES
    noisy = False
    transport: Any  # more than ITransport: TCP's options, half-close and abort

    def __init__(self, host: Host, state: State, key: str = "") -> None:
        self._host = host
        self.key = key
        self._counters = host.counters
        self._came = host.turn.frames.came
        self._sent = host.turn.frames.sent
        self.state = state
        self.session: Session | None = None
        self.is_tls = False
        self.secure = False
        """True once a TLS 1.3 handshake is through."""
        self.writable = True
        """False while what was written before waits to leave: then only what must is written."""
        self.rates: FrameRates | None = None
        """What the peer may send; None for whatever it likes."""
        self._direct: DirectTap | None = None
        self._read = 0
        self._resuming: IDelayedCall | None = None
        self._latched = False
        self._deadline: IDelayedCall | None = None

    @property
    def peer(self) -> Any:
        """The other end's address, as Twisted gives it."""
        return self.transport.getPeer()

    def connectionMade(self) -> None:
        """Called by Twisted once connected."""
        if ITCPTransport.providedBy(self.transport):
            try:
                self.transport.setTcpNoDelay(True)
                self.transport.setTcpKeepAlive(True)
            except OSError:
                pass  # some systems refuse both where the peer has just reset the connection
        self.is_tls = bool(ISSLTransport.providedBy(self.transport))
        if can_send_directly(self.transport, self.is_tls):
            self._direct = DirectTap(self, self.transport)
            self.transport.registerProducer(self._direct, False)
        else:
            self.transport.registerProducer(Tap(self), True)
        self.expect_within(self._host.config.join_seconds, self._host.join_timed_out)
        self._host.run(self._host.connection_made, self)
        if not self.is_tls:
            self._host.run(self._host.connection_ready, self)

    def handshakeCompleted(self) -> None:
        """Called by Twisted once TLS stands; nothing was said before."""
        if self._latched:
            return
        if self.transport.getHandle().get_protocol_version_name() != "TLSv1.3":
            self._host.run(self._host.wrong_tls, self)
            return
        self.secure = True
        self._host.run(self._host.connection_ready, self)

    def exporter(self, context: bytes) -> bytes:
        """Keying material that only the two ends of this TLS connection have.

        :param context: session id and connection id, so that no two sessions get the same.
        :returns: 32 bytes; b"" without TLS.
        """
        if not self.secure:
            return b""
        handle = self.transport.getHandle()
        material: bytes = handle.export_keying_material(EXPORTER_LABEL, EXPORTER_BYTES, context)
        return material

    def expect_within(self, seconds: float, call: Any) -> None:
        """Have *call* called with this connection unless ``expect_no_more`` comes first."""
        self.expect_no_more()
        self._deadline = self._host.reactor.callLater(seconds, self._deadline_passed, call)

    def expect_no_more(self) -> None:
        """Cancel the deadline."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _deadline_passed(self, call: Any) -> None:
        self._deadline = None
        self._host.run(call, self)

    def dataReceived(self, data: bytes) -> None:
        """Bytes came; frames are handed over one by one. Never raises."""
        if self._latched:
            return
        self._counters.tcp_bytes_in += len(data)
        self._host.run(self._receive, data)

    def _receive(self, data: bytes) -> None:
        self._read = 0
        if self.session is not None:
            self.session.frame_heard = self._host.time
        if self._unprocessed:
            data = self._unprocessed + data
        # As ``Int32StringReceiver`` goes through it, with fewer steps for the few frames there are.
        start, end = 0, len(data)
        while end - start >= PREFIX_BYTES and not self.paused:
            begin = start + PREFIX_BYTES
            length = int.from_bytes(data[start:begin], "big")
            if length > self.MAX_LENGTH:
                self.lengthLimitExceeded(length)
                return
            after = begin + length
            if after > end:
                break
            start = after
            self.stringReceived(data[begin:after])
        self._unprocessed = b"" if self._latched else data[start:]

    def stringReceived(self, string: bytes) -> None:
        """A frame came: kind and body."""
        self._counters.frames_in += 1
        self._came[string[0] if string else 0] += ONE_FRAME + len(string)
        if self._latched:
            self._counters.drop_frame_after_end += 1
            return
        self._host.frame_received(self, string)
        if self.rates is not None and not self._latched:
            self._read += 1
            wait = self.rates.charge(string, self._host.time)
            if wait or self._read >= self.rates.per_read:
                self._pause(wait)

    def _pause(self, seconds: float) -> None:
        """Read no more for a while: the peer's frames wait in the network, nothing is lost."""
        if not self.paused:
            if seconds:
                self._counters.reads_paused += 1
                seconds = max(seconds, SHORTEST_PAUSE_SECONDS)
            self.pauseProducing()
            self._resuming = self._host.reactor.callLater(seconds, self._resume)

    def _resume(self) -> None:
        self._resuming = None
        # Ours, not Twisted's: the transport may call back at once with what has come meanwhile.
        self.paused = False
        self.transport.resumeProducing()
        if not self._latched:
            self.dataReceived(b"")

    def write_again(self) -> None:
        """Called by the transport once what was written has left."""
        self.writable = True
        if self.session is not None and not self._latched:
            self._host.run(self.session.mark_frames)

    def lengthLimitExceeded(self, length: int) -> None:
        """A length prefix beyond the limit: nothing that follows can be trusted."""
        self._unprocessed = b""
        if not self._latched:
            self._host.oversize_frame(self)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Called by Twisted once the connection is gone."""
        self._latch()
        self.expect_no_more()
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        self._host.run(self._host.connection_lost, self, reason)

    def joined(self, session: Session, state: State) -> None:
        """The join is granted: full-sized frames may come."""
        self.session = session
        self.state = state
        self.MAX_LENGTH = frames.MAX_FRAME_BYTES

    def step(self, given: Input) -> None:
        """Move through the table.

        :raises RemoteProtocolError: if it has no such row.
        """
        self.state = step(self.state, given)

    def send_frames(self, out: list[bytes]) -> bool:
        """Write frames, all with one call; none once the connection is given up.

        :returns: False if it is.
        """
        if self._latched:
            return False
        if len(out) == 1:
            data = len(out[0]).to_bytes(4, "big") + out[0]
        else:
            data = b"".join([len(frame).to_bytes(4, "big") + frame for frame in out])
        sent = self._sent
        for frame in out:
            sent[frame[0]] += ONE_FRAME + len(frame)
        self._counters.frames_out += len(out)
        self._counters.tcp_bytes_out += len(data)
        if self._direct is not None:
            data = self._direct.send(data)
            if not data:
                return True
        try:
            self.transport.write(data)
        except OSError:
            # The reactor cannot watch the socket. What was to leave may never do so, and only
            # with another connection does a session know what its peer has.
            self.abort()
            return False
        return True

    def finish(self, frame: bytes, given: Input) -> None:
        """Write a last frame and close; cut after the close deadline.

        Our half is closed and the peer's is read on, unheeded: closing both while its bytes are
        still coming would reset the connection and could destroy the frame under way.
        """
        if self._latched or self.state in (State.CLOSING, State.CLOSED):
            return
        self.step(given)
        if not self.send_frames([frame]):
            return
        self._latch()
        self.expect_within(self._host.config.close_seconds, ReliableProtocol.abort)
        half_close = getattr(self.transport, "loseWriteConnection", None)
        if half_close is not None and ITCPTransport.providedBy(self.transport) and not self.is_tls:
            half_close()
        else:
            # TLS says that this was all, and reads on until the peer says the same.
            self.transport.loseConnection()

    def close_quietly(self) -> None:
        """The peer has said BYE: close without a word; cut if it lingers."""
        self._latch()
        self.expect_within(self._host.config.close_seconds, ReliableProtocol.abort)
        self.transport.loseConnection()

    def abort(self) -> None:
        """Cut the connection at once."""
        if self.state is State.CLOSED:
            return  # Twisted's TLS cannot be cut twice
        if self.state not in (State.CLOSING, State.CLOSED):
            self.step(Input.FAIL)
        self._latch()
        self.transport.abortConnection()

    def _latch(self) -> None:
        if not self._latched:
            self._latched = True
            # A producer would keep the transport from closing, a paused one from noticing the end.
            self.transport.unregisterProducer()
            if self.paused:
                self.paused = False
                self.transport.resumeProducing()
        self._unprocessed = b""

"""The frames: each kind by its decoder, as the two ends call it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.wire import ACKS, ACKS_BYTES, IS_LAST, MAX_BODY_BYTES
from gamenet.errors import DisconnectReason, RefusalReason, WireError
from tests.fuzz.harness import Meter, Target, check
from tests.world import accept, hello

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BACK = frames.Resume(bytes(range(16)), bytes(range(32)), 7)


class HelloTarget(Target):
    """A server's first frame."""

    name = "hello"

    def seeds(self) -> Iterable[bytes]:
        whole = frames.encode_hello(hello("ada", game="tag/1"))
        yield whole
        yield frames.encode_hello(hello("", input_bits=16, schema_hash=b"\x01" * 8))
        yield frames.encode_hello(hello("ada", mechanism=2, auth=b"correct horse"))
        yield frames.encode_hello(hello("ada", mechanism=3, auth=bytes(2_048)))
        yield frames.encode_hello(hello("ada", mechanism=3, auth=bytes(2_049)))
        yield frames.encode_hello(hello("n" * 255, game="é" * 127))
        back = frames.encode_hello(hello("ada", resume=BACK))
        yield back
        yield back[:-1]
        yield back + b"\0"
        yield frames.encode_hello(hello("", flags=0xFF, resume=BACK._replace(received=2**64 - 1)))
        yield frames.encode_hello(hello("ada", mechanism=2, auth=b"correct horse", resume=BACK))
        yield frames.encode_hello(hello("ada", flags=frames.HELLO_RESUME))
        yield whole + back[len(whole) :]
        for low, high in ((0, 1), (2, 1), (0, 0), (1, 65_535)):
            yield frames.encode_hello(hello("ada", min_version=low, max_version=high))
        yield whole[:-1]
        yield b"GET / HTTP/1.1\r\n\r\n"

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            found = meter(frames.decode_hello, data)
        except WireError:
            return
        check(1 <= found.min_version <= found.max_version, "an empty range of versions", found)
        check(len(found.auth) <= frames.MAX_AUTH_BYTES, "too much auth data", len(found.auth))
        check(len(found.schema_hash) == 8, "a schema hash of another length", found.schema_hash)
        check(frames.encode_hello(found) == data, "a HELLO that reads differently", found)
        resumes = bool(found.flags & frames.HELLO_RESUME)
        check((found.resume is not None) == resumes, "resume fields against the flag", found)
        if found.resume is not None:
            shown = f"<Resume received={found.resume.received}>"
            check(repr(found.resume) == shown, "a token in a repr")
        secret = repr(found.auth)[2:-1]
        if len(found.auth) > 8 and secret not in repr(found.user):
            check(secret not in repr(found), "a secret in a repr")


class AcceptTarget(Target):
    """A server's yes."""

    name = "accept"

    def seeds(self) -> Iterable[bytes]:
        whole = frames.encode_accept(accept())
        yield whole
        yield frames.encode_accept(accept(name="é" * 127, flags=7, udp_port=65_535))
        yield frames.encode_accept(accept(input_bits=64, window_messages=1, player_id=2**32 - 1))
        for field in ("input_bits", "window_messages", "max_input_hz", "tick_rate_x100"):
            yield frames.encode_accept(accept(**{field: 0}))
        yield frames.encode_accept(accept(player_id=0, version=2, suite=9))
        yield frames.encode_accept(accept(window_bytes=65_599))
        resumed = frames.ACCEPT_INSECURE | frames.ACCEPT_RESUMED
        yield frames.encode_accept(accept(flags=resumed, received=2**64 - 1, resume_seconds=60))
        yield frames.encode_accept(accept(flags=resumed, resume_token=bytes(range(32))))
        yield whole[:-1]

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            found = meter(frames.decode_accept, data)
        except WireError:
            return
        check(frames.encode_accept(found) == data, "an ACCEPT that reads differently", found)
        check(1 <= found.input_bits <= 64, "inputs of another width", found.input_bits)
        check(found.window_messages >= 1, "a window without room", found.window_messages)
        check(found.window_bytes >= frames.MAX_FRAME_BYTES, "a window too small for a frame")
        check(found.player_id and found.max_input_hz and found.tick_rate_x100, "a zero", found)
        shown = repr(found)
        for secret in (found.udp_secret, found.resume_token):
            for spelled in (repr(secret)[2:-1], secret.hex()):
                if len(set(secret)) > 8 and spelled not in repr(found.name):
                    check(spelled not in shown, "a secret in a repr")


class RefuseTarget(Target):
    """A server's no."""

    name = "refuse"
    max_bytes = 16

    def seeds(self) -> Iterable[bytes]:
        for reason in RefusalReason:
            yield frames.encode_refuse(reason, 7)
        yield b"\x03\xff\xff\xff"
        yield b"\x03\x00\x00"

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            reason, retry = meter(frames.decode_refuse, data)
        except WireError:
            return
        again = frames.encode_refuse(reason, retry)
        if data[1] in set(RefusalReason):
            check(again[1:] == data[1:], "a REFUSE that reads differently", reason, retry)
        else:
            check(reason is RefusalReason.INTERNAL, "an unknown code is no defect", reason)
        check(frames.decode_refuse(again) == (reason, retry), "a REFUSE that changes")


class FrameTarget(Target):
    """The frames of a joined peer, from either side: the first byte chooses the decoder."""

    name = "frame"

    def seeds(self) -> Iterable[bytes]:
        for whole in (
            frames.encode_data(True, 255, b"payload"),
            frames.encode_data(False, 0, b""),
            frames.encode_say("Grüße 👋"),
            frames.encode_said(7, "ada", "gg", private=True),
            frames.encode_said(0, "", "the server restarts", private=False),
            frames.encode_ack(2**64 - 1),
            frames.encode_ping(Kind.PING, 0xDEADBEEF),
            frames.encode_ping(Kind.PONG, 0),
            frames.encode_rekey(1, bytes(range(32))),
            frames.encode_rekeyed(1),
            frames.encode_tunnel(2**32 + 5, ACKS.pack(0xFFFF, 0)),
            frames.encode_tunnel(0xFFFFFFFF, ACKS.pack(7, 3) + bytes((4 | IS_LAST,)) + b"boo"),
            frames.encode_tunnel(1, bytes(MAX_BODY_BYTES)),
            frames.encode_bye(DisconnectReason.KICKED, "é" * 100),
        ):
            yield whole
            yield whole[:-1]
            yield whole + b"\0"
        yield bytes((Kind.DATA, 2, 0)) + b"payload"
        yield bytes((Kind.SAY, 0, 0, 0, 7, 2, 0)) + b"gg"
        for reason in DisconnectReason:
            yield frames.encode_bye(reason, "bye")
        yield b"\x0c\x7f\xff"

    def run(self, data: bytes, meter: Meter) -> None:
        for value, again in self._decoded(data, meter):
            check(again == data, "a frame that reads differently", value, again)

    def _decoded(self, data: bytes, meter: Meter) -> Iterator[tuple[Any, bytes]]:
        """Every way to read *data*: what it says, and what that is when written again."""
        kind = data[0] if data else 0
        if kind == Kind.DATA:
            value = attempt(meter, frames.decode_data, data)
            if value is not None:
                check(len(value[2]) <= frames.MAX_PAYLOAD_BYTES, "too long a payload")
                yield value, frames.encode_data(*value)
        elif kind == Kind.SAY:
            text = attempt(meter, frames.decode_say, data)
            if text is not None:
                yield text, frames.encode_say(text)
            said = attempt(meter, frames.decode_said, data)
            if said is not None:
                author, name, line, private = said
                yield said, frames.encode_said(author, name, line, private=private)
        elif kind == Kind.ACK:
            count = attempt(meter, frames.decode_ack, data)
            if count is not None:
                yield count, frames.encode_ack(count)
        elif kind in (Kind.PING, Kind.PONG):
            number = attempt(meter, frames.decode_ping, data)
            if number is not None:
                yield number, frames.encode_ping(Kind(kind), number)
        elif kind == Kind.REKEY:
            rekey = attempt(meter, frames.decode_rekey, data)
            if rekey is not None:
                yield rekey, frames.encode_rekey(*rekey)
        elif kind == Kind.REKEYED:
            epoch = attempt(meter, frames.decode_rekeyed, data)
            if epoch is not None:
                yield epoch, frames.encode_rekeyed(epoch)
        elif kind == Kind.TUNNEL:
            tunnelled = attempt(meter, frames.decode_tunnel, data)
            if tunnelled is not None:
                size = len(tunnelled[1])
                check(ACKS_BYTES <= size <= MAX_BODY_BYTES, "a body that is no datagram's", size)
                yield tunnelled, frames.encode_tunnel(*tunnelled)
        elif kind == Kind.BYE:
            ending = attempt(meter, frames.decode_bye, data)
            if ending is not None:
                reason, text = ending
                check(reason.orderly == (data[1] < 128), "an end of the other kind", reason)
                # A reason of a later version reads as the plainest of its half.
                yield ending, data[:2] + frames.encode_bye(reason, text)[2:]


def attempt(meter: Meter, decode: Any, data: bytes) -> Any:
    """What *decode* makes of *data*; None where it refuses it."""
    try:
        return meter(decode, data)
    except WireError:
        return None


TARGETS = (HelloTarget(), AcceptTarget(), RefuseTarget(), FrameTarget())

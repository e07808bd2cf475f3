"""Frames: what is encoded is decoded, and any bytes give a value or ``WireError``."""

from __future__ import annotations

from struct import pack
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.errors import DISCONNECT_TEXTS, REFUSAL_TEXTS, DisconnectReason, RefusalReason
from gamenet.errors import WireError as Wire
from tests.core.strategies import (
    accepts,
    any_text,
    encoded,
    hellos,
    hostile,
    short_text,
    u8,
    u16,
    u32,
    u64,
)

if TYPE_CHECKING:
    from collections.abc import Callable

HELLO = frames.Hello(1, 1, 1, 5, bytes(8), 16, 1, "tag/1", "ada", b"")
ACCEPT = frames.Accept(
    version=1,
    suite=1,
    flags=2,
    session_id=bytes(range(16)),
    cid=0x01020304,
    udp_secret=b"s" * 32,
    resume_token=b"t" * 32,
    resume_seconds=30,
    udp_port=0,
    received=0,
    max_frame=65_600,
    max_datagram=1_200,
    datagrams_per_second=240,
    window_messages=256,
    window_bytes=262_144,
    tick_rate_x100=3_000,
    max_input_hz=120,
    input_bits=16,
    player_id=7,
    name="ada",
)


class FuzzTests(SynchronousTestCase):
    """Any bytes: the value that encodes to exactly these bytes, or WireError."""

    def check(
        self, decode: Callable[[bytes], Any], encode: Callable[[Any], bytes] | None, data: bytes
    ) -> None:
        try:
            value = decode(data)
        except Wire:
            return
        if encode is not None:
            self.assertEqual(encode(value), data)

    @settings(max_examples=300)
    @given(hostile(encoded(frames.encode_hello, hellos())))
    def test_hello(self, data: bytes) -> None:
        try:
            hello = frames.decode_hello(data)
        except Wire:
            return
        self.assertTrue(1 <= hello.min_version <= hello.max_version)
        self.assertEqual(hello.resume is not None, bool(hello.flags & frames.HELLO_RESUME))
        self.assertEqual(frames.encode_hello(hello), data)

    @settings(max_examples=300)
    @given(hostile(encoded(frames.encode_accept, accepts())))
    def test_accept(self, data: bytes) -> None:
        self.check(frames.decode_accept, frames.encode_accept, data)

    @given(hostile(st.binary(min_size=4, max_size=4)))
    def test_refuse(self, data: bytes) -> None:
        self.check(frames.decode_refuse, None, data)

    @given(hostile(encoded(frames.encode_data, st.booleans(), u8, st.binary(max_size=50))))
    def test_data(self, data: bytes) -> None:
        self.check(
            lambda given: frames.decode_data(b"\x04" + given[1:]),
            lambda value: data[:1] + frames.encode_data(*value)[1:],
            data,
        )

    @given(hostile(encoded(frames.encode_say, st.text(min_size=1))))
    def test_say(self, data: bytes) -> None:
        self.check(frames.decode_say, lambda text: data[:1] + frames.encode_say(text)[1:], data)

    @given(
        hostile(
            st.builds(
                lambda author, name, text, private: frames.encode_said(
                    author, name, text, private=private
                ),
                u32,
                short_text(),
                st.text(),
                st.booleans(),
            )
        )
    )
    def test_said(self, data: bytes) -> None:
        def encode(value: tuple[int, str, str, bool]) -> bytes:
            author, name, text, private = value
            return data[:1] + frames.encode_said(author, name, text, private=private)[1:]

        self.check(frames.decode_said, encode, data)

    @given(hostile(encoded(frames.encode_ack, u64)))
    def test_ack(self, data: bytes) -> None:
        self.check(frames.decode_ack, lambda count: data[:1] + frames.encode_ack(count)[1:], data)

    @given(hostile(encoded(frames.encode_ping, st.sampled_from((Kind.PING, Kind.PONG)), u32)))
    def test_ping(self, data: bytes) -> None:
        self.check(
            frames.decode_ping,
            lambda number: data[:1] + frames.encode_ping(Kind.PING, number)[1:],
            data,
        )

    @given(hostile(encoded(frames.encode_tunnel, u32, st.binary(min_size=6, max_size=60))))
    def test_tunnel(self, data: bytes) -> None:
        self.check(
            frames.decode_tunnel, lambda value: data[:1] + frames.encode_tunnel(*value)[1:], data
        )

    @given(hostile(encoded(frames.encode_bye, st.sampled_from(DisconnectReason), st.text())))
    def test_bye(self, data: bytes) -> None:
        try:
            reason, text = frames.decode_bye(data)
        except Wire:
            return
        self.assertEqual(frames.encode_bye(reason, text)[2:], data[2:])
        self.assertIn(reason, DisconnectReason)


class RoundTripTests(SynchronousTestCase):
    """``decode(encode(x)) == x`` for every value there is."""

    @given(hellos())
    def test_hello(self, hello: frames.Hello) -> None:
        self.assertEqual(frames.decode_hello(frames.encode_hello(hello)), hello)

    @given(accepts())
    def test_accept(self, accept: frames.Accept) -> None:
        self.assertEqual(frames.decode_accept(frames.encode_accept(accept)), accept)

    @given(st.sampled_from(RefusalReason), u16)
    def test_refuse(self, reason: RefusalReason, seconds: int) -> None:
        decoded = frames.decode_refuse(frames.encode_refuse(reason, seconds))
        self.assertEqual(decoded, (reason, seconds))

    @given(st.booleans(), u8, st.binary(max_size=200))
    def test_data(self, is_message: bool, channel: int, payload: bytes) -> None:
        frame = frames.encode_data(is_message, channel, payload)
        self.assertEqual(frames.decode_data(frame), (is_message, channel, payload))

    @given(st.text(min_size=1, max_size=500))
    def test_say(self, text: str) -> None:
        self.assertEqual(frames.decode_say(frames.encode_say(text)), text)

    @given(u32, short_text(), st.text(max_size=500), st.booleans())
    def test_said(self, author: int, name: str, text: str, private: bool) -> None:
        frame = frames.encode_said(author, name, text, private=private)
        self.assertEqual(frames.decode_said(frame), (author, name, text, private))

    @given(u64)
    def test_ack(self, count: int) -> None:
        self.assertEqual(frames.decode_ack(frames.encode_ack(count)), count)

    @given(u32)
    def test_ping_and_pong(self, number: int) -> None:
        for kind in (Kind.PING, Kind.PONG):
            frame = frames.encode_ping(kind, number)
            self.assertEqual((frame[0], frames.decode_ping(frame)), (kind, number))

    @given(st.sampled_from(DisconnectReason), st.text())
    def test_bye_cuts_a_long_text_at_a_character(self, reason: DisconnectReason, text: str) -> None:
        frame = frames.encode_bye(reason, text)
        self.assertLessEqual(len(frame), 2 + frames.MAX_BYE_BYTES)
        decoded_reason, decoded = frames.decode_bye(frame)
        self.assertEqual(decoded_reason, reason)
        self.assertTrue(text.startswith(decoded))
        if len(text.encode()) <= frames.MAX_BYE_BYTES:
            self.assertEqual(decoded, text)
        else:
            # No more was cut than one character needs.
            self.assertGreater(len(frame) - 2, frames.MAX_BYE_BYTES - 4)

    @given(st.sampled_from(DisconnectReason), any_text)
    def test_bye_can_be_written_whatever_the_text_is(
        self, reason: DisconnectReason, text: str
    ) -> None:
        # The game chooses this text, and the reason must arrive whatever it chose.
        self.assertEqual(frames.decode_bye(frames.encode_bye(reason, text))[0], reason)


class HelloTests(SynchronousTestCase):
    """What a server refuses to read as a HELLO."""

    def test_the_fixed_part(self) -> None:
        data = frames.encode_hello(HELLO)
        self.assertEqual(data[:5], b"\x01GNT1")
        for wrong in (
            b"",
            data[:1],
            b"\x02" + data[1:],
            b"\x01GNT2" + data[5:],
            b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
            data[:-1],
            data + b"\x00",
            data + bytes(frames.MAX_HELLO_BYTES),
        ):
            self.assertRaises(Wire, frames.decode_hello, wrong)

    def test_version_ranges(self) -> None:
        for low, high in ((0, 0), (0, 1), (2, 1)):
            data = frames.encode_hello(HELLO._replace(min_version=low, max_version=high))
            self.assertRaises(Wire, frames.decode_hello, data)

    def test_auth_data_has_a_limit(self) -> None:
        most = HELLO._replace(auth=bytes(frames.MAX_AUTH_BYTES))
        self.assertEqual(frames.decode_hello(frames.encode_hello(most)), most)
        more = HELLO._replace(auth=bytes(frames.MAX_AUTH_BYTES + 1))
        self.assertRaises(Wire, frames.decode_hello, frames.encode_hello(more))

    def test_text_must_be_utf_8(self) -> None:
        data = frames.encode_hello(HELLO)
        self.assertRaises(Wire, frames.decode_hello, data.replace(b"ada", b"a\xffa"))
        self.assertRaises(Wire, frames.decode_hello, data.replace(b"ada", b"a\xc0\x80"))
        self.assertRaises(Wire, frames.decode_hello, data.replace(b"ada", b"\xed\xa0\x80"))

    def test_a_resuming_hello_has_exactly_its_fields(self) -> None:
        data = frames.encode_hello(HELLO._replace(flags=frames.HELLO_RESUME))
        self.assertRaises(Wire, frames.decode_hello, data)
        whole = data + bytes(range(16)) + b"t" * 32 + (1 << 40).to_bytes(8, "big")
        hello = frames.decode_hello(whole)
        self.assertTrue(hello.flags & frames.HELLO_RESUME)
        self.assertEqual(hello.resume, (bytes(range(16)), b"t" * 32, 1 << 40))
        self.assertEqual(frames.encode_hello(HELLO._replace(flags=0, resume=hello.resume)), whole)
        for wrong in (*(whole[:-cut] for cut in range(1, 57)), whole + b"\x00"):
            self.assertRaises(Wire, frames.decode_hello, wrong)
        self.assertEqual(len(b"t" * 32), frames.TOKEN_BYTES)

    def test_those_fields_do_not_belong_to_another_hello(self) -> None:
        data = frames.encode_hello(HELLO) + bytes(16 + 32 + 8)
        self.assertRaises(Wire, frames.decode_hello, data)
        self.assertIs(frames.decode_hello(frames.encode_hello(HELLO)).resume, None)

    def test_no_token_is_shown(self) -> None:
        resume = frames.Resume(b"i" * 16, b"t" * 32, 5)
        for shown in (repr(resume), str(resume), repr(HELLO._replace(resume=resume))):
            self.assertNotIn("tttt", shown)
            self.assertNotIn("iiii", shown)


class AcceptTests(SynchronousTestCase):
    """What a client refuses to play by."""

    def test_values_out_of_range(self) -> None:
        frames.decode_accept(frames.encode_accept(ACCEPT))
        wrong: list[tuple[str, int]] = [
            ("version", 0),
            ("version", 2),
            ("suite", 0),
            ("suite", 2),
            ("input_bits", 0),
            ("input_bits", 65),
            ("window_messages", 0),
            ("window_bytes", frames.MAX_FRAME_BYTES - 1),
            ("max_input_hz", 0),
            ("tick_rate_x100", 0),
            ("player_id", 0),
        ]
        for field, value in wrong:
            data = frames.encode_accept(ACCEPT._replace(**{field: value}))  # type: ignore[arg-type]
            self.assertRaises(Wire, frames.decode_accept, data)

    def test_wrong_kinds_and_lengths(self) -> None:
        data = frames.encode_accept(ACCEPT)
        for wrong in (b"", data[:-1], data + b"x", b"\x01" + data[1:], data[:-4] + b"\x04ada"):
            self.assertRaises(Wire, frames.decode_accept, wrong)

    def test_no_secret_is_shown(self) -> None:
        shown = f"{ACCEPT!r} {ACCEPT}"
        self.assertNotIn("ssss", shown)
        self.assertNotIn("tttt", shown)
        self.assertIn("ada", shown)


class LimitTests(SynchronousTestCase):
    """Sizes at their limits, and codes that this version does not know."""

    def test_the_numbers_of_the_kinds(self) -> None:
        self.assertEqual(
            [(kind.name, int(kind)) for kind in Kind],
            [
                ("HELLO", 1),
                ("ACCEPT", 2),
                ("REFUSE", 3),
                ("DATA", 4),
                ("SAY", 5),
                ("ACK", 6),
                ("PING", 7),
                ("PONG", 8),
                ("REKEY", 9),
                ("REKEYED", 10),
                ("TUNNEL", 11),
                ("BYE", 12),
            ],
        )

    def test_the_bits_of_the_flags(self) -> None:
        hello = (
            frames.HELLO_WANTS_UDP,
            frames.HELLO_RESUME,
            frames.HELLO_ACCEPTS_INSECURE,
        )
        accept = (frames.ACCEPT_EXPORTER, frames.ACCEPT_INSECURE, frames.ACCEPT_RESUMED)
        self.assertEqual((hello, accept), ((1, 2, 4), (1, 2, 4)))
        self.assertEqual((frames.FLAG_MESSAGE, frames.FLAG_PRIVATE, frames.ANONYMOUS), (1, 1, 1))

    def test_the_largest_data_fits_a_frame(self) -> None:
        frame = frames.encode_data(True, 255, bytes(frames.MAX_PAYLOAD_BYTES))
        self.assertLessEqual(len(frame), frames.MAX_FRAME_BYTES)
        self.assertEqual(len(frames.decode_data(frame)[2]), frames.MAX_PAYLOAD_BYTES)
        self.assertRaises(Wire, frames.decode_data, frame + b"x")

    def test_a_tunnel_holds_what_a_datagram_holds(self) -> None:
        for size in (6, 7, 1_174, 1_175):
            data = frames.encode_tunnel((7 << 32) + 0xFFFFFFFF, bytes(size))
            self.assertEqual(data[:5], b"\x0b\xff\xff\xff\xff")
            self.assertEqual(frames.decode_tunnel(data), (0xFFFFFFFF, bytes(size)))
        for size in (0, 1, 5, 1_176, 60_000):
            self.assertRaises(Wire, frames.decode_tunnel, frames.encode_tunnel(1, bytes(size)))
        for size in range(5):
            self.assertRaises(Wire, frames.decode_tunnel, frames.encode_tunnel(1, b"")[:size])

    def test_unknown_flags_are_refused(self) -> None:
        for flags in (2, 3, 0x80, 0xFF):
            self.assertRaises(Wire, frames.decode_data, bytes((Kind.DATA, flags, 0)) + b"x")
            said = bytearray(frames.encode_said(1, "ada", "hi", private=False))
            said[5] = flags
            self.assertRaises(Wire, frames.decode_said, bytes(said))

    def test_the_largest_chat_line_fits_both_ways(self) -> None:
        text = "\U0001f600" * 500
        self.assertEqual(frames.decode_say(frames.encode_say(text)), text)
        said = frames.encode_said(1, "n" * 255, text, private=True)
        self.assertEqual(frames.decode_said(said)[2], text)
        self.assertRaises(Wire, frames.decode_said, said + b"x")
        self.assertRaises(Wire, frames.decode_say, said + b"x")

    def test_an_empty_chat_line_is_no_frame(self) -> None:
        self.assertRaises(Wire, frames.decode_say, bytes((Kind.SAY,)))
        self.assertRaises(Wire, frames.decode_said, pack("!BIB", Kind.SAY, 1, 0))

    def test_every_reason_has_a_code_of_its_own_and_a_sentence(self) -> None:
        for refusal in RefusalReason:
            data = frames.encode_refuse(refusal)
            self.assertEqual(frames.decode_refuse(data), (refusal, 0))
            self.assertTrue(REFUSAL_TEXTS[refusal])
        for reason in DisconnectReason:
            self.assertEqual(frames.decode_bye(frames.encode_bye(reason)), (reason, ""))
            self.assertTrue(DISCONNECT_TEXTS[reason])
            self.assertEqual(reason.orderly, reason < 128)

    def test_a_code_of_a_later_version_keeps_its_meaning_as_far_as_it_can(self) -> None:
        self.assertEqual(frames.decode_refuse(b"\x03\xee\x00\x07"), (RefusalReason.INTERNAL, 7))
        self.assertEqual(frames.decode_bye(b"\x0c\x7f"), (DisconnectReason.QUIT, ""))
        self.assertEqual(frames.decode_bye(b"\x0c\x00ok"), (DisconnectReason.QUIT, "ok"))
        self.assertEqual(frames.decode_bye(b"\x0c\xff"), (DisconnectReason.INTERNAL, ""))

    def test_waits_beyond_the_field_are_cut_to_it(self) -> None:
        data = frames.encode_refuse(RefusalReason.BUSY, 1_000_000)
        self.assertEqual(frames.decode_refuse(data), (RefusalReason.BUSY, 65_535))

    def test_a_bye_text_longer_than_allowed_is_refused(self) -> None:
        self.assertRaises(Wire, frames.decode_bye, b"\x0c\x01" + b"x" * 121)
        self.assertRaises(Wire, frames.decode_bye, b"\x0c\x01\xff")
        self.assertRaises(Wire, frames.decode_bye, b"\x0c")

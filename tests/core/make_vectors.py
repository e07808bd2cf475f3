"""Writes ``vectors.json``: the bytes of the protocol, for anybody who implements it.

Run it with ``python -m tests.core.make_vectors`` after a change of the protocol; a test fails while
the file differs from what this would write. ``docs/PROTOCOL.rst`` shows the file.
"""

from __future__ import annotations

import json
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from gamenet.core import beacon, frames
from gamenet.core.frames import Kind
from gamenet.core.input_timing import INPUT_TIMING
from gamenet.core.inputs import encode_inputs
from gamenet.core.record import Keys, Schedule, Sealer
from gamenet.core.state_channel import StateSender
from gamenet.core.wire import (
    ACKS,
    CHALLENGE_BYTES,
    INPUT_ACK,
    IS_MESSAGE,
    MAX_BODY_BYTES,
    PADDING,
    STATE_ACK,
    TIME_QUERY,
    TIME_REPLY,
    DatagramKind,
    MessageType,
    pack_messages,
)
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.messages import Codec, Message, Unit

PATH: Final = Path(__file__).with_name("vectors.json")
LINE: Final = 64

SECRET: Final = bytes(range(0x20, 0x40))
EXPORTER: Final = bytes(range(0x60, 0x80))
SESSION_ID: Final = bytes(range(0x10, 0x20))
CID: Final = 0xC0FFEE11
CHALLENGE: Final = bytes(range(0xA0, 0xA8))
SECOND_SECRET: Final = bytes(range(0x80, 0xA0))
SECOND_EXPORTER: Final = bytes(range(0xC0, 0xE0))
SECOND_CID: Final = 0xC0FFEE12
EPOCHS: Final = {"plain": 6, "tls": 6, "resumed": 1}
"""Of each session."""
SALTS: Final = [bytes([0xB0 + epoch]) * 16 + bytes(range(16)) for epoch in range(1, 6)]
"""Of the REKEY to epoch 1, 2 and so on."""


class Move(Message):
    """The typed message of the vectors."""

    dx: Unit
    dy: Unit


CODEC: Final = Codec([Move])
TYPED: Final = CODEC.encode(Move(0.5, -1.0))

HELLO: Final = frames.Hello(
    min_version=1,
    max_version=1,
    suites=1,
    flags=frames.HELLO_WANTS_UDP | frames.HELLO_ACCEPTS_INSECURE,
    schema_hash=bytes.fromhex("0123456789abcdef"),
    input_bits=16,
    mechanism=frames.ANONYMOUS,
    game="tag/1",
    user="ada",
    auth=b"",
)
TOKEN: Final = bytes(range(0x40, 0x60))
RESUMING: Final = HELLO._replace(
    flags=frames.HELLO_WANTS_UDP | frames.HELLO_RESUME,
    resume=frames.Resume(SESSION_ID, TOKEN, 300),
)
ACCEPT: Final = frames.Accept(
    version=1,
    suite=frames.SUITE_AES_256_GCM,
    flags=frames.ACCEPT_INSECURE,
    session_id=SESSION_ID,
    cid=CID,
    udp_secret=SECRET,
    resume_token=TOKEN,
    resume_seconds=60,
    udp_port=0,
    received=0,
    max_frame=frames.MAX_FRAME_BYTES,
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

RESUMED: Final = ACCEPT._replace(
    flags=frames.ACCEPT_EXPORTER | frames.ACCEPT_RESUMED,
    cid=SECOND_CID,
    udp_secret=SECOND_SECRET,
    resume_token=bytes(range(0xE0, 0x100)),
    received=1_000_000,
)
SESSIONS: Final = {
    "plain": (b"", ACCEPT),
    "tls": (EXPORTER, ACCEPT._replace(flags=frames.ACCEPT_EXPORTER)),
    "resumed": (SECOND_EXPORTER, RESUMED),
}
"""The exporter's keying material, and ACCEPT."""


def vectors() -> dict[str, Any]:
    """Everything that the file holds."""
    return {
        "keys": key_vectors(),
        "nonces": nonce_vectors(),
        "frames": frame_vectors(),
        "messages": message_vectors(),
        "bodies": body_vectors(),
        "datagrams": datagram_vectors(),
        "beacon": beacon_vectors(),
    }


def schedule_of(session: str, epoch: int) -> Schedule:
    """Where the keys of one of the sessions come from."""
    exporter, accept = SESSIONS[session]
    schedule = Schedule(accept, exporter)
    for salt in SALTS[:epoch]:
        schedule.advance(salt)
    return schedule


def keys_of(direction: str, session: str = "plain", epoch: int = 0) -> Keys:
    """The keys that the vectors use."""
    to_server, to_client = schedule_of(session, epoch).directions()
    return to_server if direction == "c2s" else to_client


def key_vectors() -> list[dict[str, Any]]:
    """Two sessions, one without TLS and one with it, epoch after epoch; and one resumed."""
    found = []
    for session, (exporter, accept) in SESSIONS.items():
        for epoch in range(EPOCHS[session]):
            up, down = schedule_of(session, epoch).directions()
            found.append(
                {
                    "session": session,
                    "udp_secret": accept.udp_secret.hex(),
                    "tls_exporter": exporter.hex(),
                    "session_id": accept.session_id.hex(),
                    "cid": accept.cid,
                    "suite": accept.suite,
                    "accept_flags": accept.flags,
                    "epoch": epoch,
                    "rekey_salts": [salt.hex() for salt in SALTS[:epoch]],
                    "c2s": {"key": up.key.hex(), "iv": up.iv.hex()},
                    "s2c": {"key": down.key.hex(), "iv": down.iv.hex()},
                }
            )
    return found


def nonce_vectors() -> list[dict[str, Any]]:
    found = []
    for direction in ("c2s", "s2c"):
        iv = int.from_bytes(keys_of(direction).iv, "big")
        for number in (0, 1, 0xFFFFFFFF, 1 << 32, (1 << 48) - 1):
            nonce = (iv ^ number).to_bytes(12, "big").hex()
            found.append({"direction": direction, "number": number, "nonce": nonce})
    return found


def frame_vectors() -> list[dict[str, Any]]:
    def frame(name: str, direction: str, data: bytes, /, **fields: Any) -> dict[str, Any]:
        return {"name": name, "direction": direction, "fields": fields, "hex": lines(data)}

    def hello(value: frames.Hello) -> dict[str, Any]:
        return frame("HELLO", "c2s", frames.encode_hello(value), **readable(value._asdict()))

    guest = HELLO._replace(schema_hash=bytes(8), input_bits=0, game="", user="")
    found = [
        hello(HELLO),
        hello(guest),
        hello(RESUMING),
    ]
    for accept in (ACCEPT, RESUMED):
        data = frames.encode_accept(accept)
        found.append(frame("ACCEPT", "s2c", data, **readable(accept._asdict())))
    for reason, retry in (
        (RefusalReason.DUPLICATE, 0),
        (RefusalReason.BUSY, 1),
        (RefusalReason.DUPLICATE, 42),
        (RefusalReason.NO_SESSION, 0),
    ):
        data = frames.encode_refuse(reason, retry)
        found.append(frame("REFUSE", "s2c", data, code=int(reason), retry_after_seconds=retry))
    for is_message, channel, payload in ((False, 0, b"hello"), (True, 255, TYPED), (False, 1, b"")):
        data = frames.encode_data(is_message, channel, payload)
        fields = {"is_message": is_message, "channel": channel, "payload": payload.hex()}
        found.append(frame("DATA", "both", data, **fields))
    found += [
        frame("SAY", "c2s", frames.encode_say(text), text=text) for text in ("gg", "Grüße 👋")
    ]
    for author, name, text, private in (
        (7, "ada", "gg", False),
        (0, "", "the server restarts soon", True),
    ):
        data = frames.encode_said(author, name, text, private=private)
        said = {"author": author, "private": private, "name": name, "text": text}
        found.append(frame("SAY", "s2c", data, **said))
    found += [
        frame("ACK", "both", frames.encode_ack(count), count=count)
        for count in (0, 256, (1 << 40) + 5)
    ]
    for kind in (Kind.PING, Kind.PONG):
        data = frames.encode_ping(kind, 0xDEADBEEF)
        found.append(frame(kind.name, "both", data, number=0xDEADBEEF))
    for epoch, salt in enumerate(SALTS[:2], 1):
        data = frames.encode_rekey(epoch, salt)
        found.append(frame("REKEY", "s2c", data, epoch=epoch, salt=salt.hex()))
    found += [
        frame("REKEYED", "c2s", frames.encode_rekeyed(epoch), epoch=epoch)
        for epoch in (1, 2, 0x01020304)
    ]
    acks = ACKS.pack(0xFFFF, 0)
    inputs = (int(MessageType.INPUT), encode_inputs(12, 9, [5, 5, 6, 6], 4))
    for direction, number, body in (
        ("both", 0, acks),
        ("c2s", 1, acks + pack_messages([inputs])[0]),
        ("both", 0x1_0000_0005, raw(body_vectors()[-2]["hex"])),
    ):
        fields = {"low_number": number % (1 << 32), "body": body.hex()}
        found.append(frame("TUNNEL", direction, frames.encode_tunnel(number, body), **fields))
    for ending, text in (
        (DisconnectReason.QUIT, ""),
        (DisconnectReason.KICKED, "be nice"),
        (DisconnectReason.BAD_DATA, ""),
    ):
        data = frames.encode_bye(ending, text)
        found.append(frame("BYE", "both", data, reason=int(ending), text=text))
    return found


def message_vectors() -> list[dict[str, Any]]:
    """Messages of DATA bodies: the type with its Message bit, and the payload alone."""

    def message(
        name: str, direction: str, data: bytes, flag: int = 0, /, **fields: Any
    ) -> dict[str, Any]:
        return {
            "name": name,
            "direction": direction,
            "type": MessageType[name] | flag,
            "fields": fields,
            "hex": lines(data),
        }

    found = []
    sender = StateSender()
    for flag, payload, tick, ms in (
        (0, b"world", 42, 1_400),
        (IS_MESSAGE, TYPED, (1 << 32) + 2, (1 << 32) + 3),
    ):
        sender.put(9, payload, flag, tick, ms, 5)
        ((kind, data),) = sender.take()
        fields = {
            "number": 9,
            "tick": tick % (1 << 32),
            "server_ms": ms % (1 << 32),
            "input_number": 5,
            "encoding": 0,
            "payload": payload.hex(),
        }
        found.append(message("STATE", "s2c", data, kind & IS_MESSAGE, **fields))
    sender = StateSender(baseline_bytes=131_072)
    before, after = bytes(range(40)), bytes(range(39)) + b"world"
    sender.put(9, before, 0, 42, 1_400, 5)
    sender.take()
    sender.acknowledge(9)
    sender.put(10, after, 0, 43, 1_433, 6)
    ((_, data),) = sender.take()
    fields = {"number": 10, "tick": 43, "server_ms": 1_433, "input_number": 6, "encoding": 1}
    fields |= {"baseline": 9, "baseline_payload": before.hex(), "payload": after.hex()}
    found.append(message("STATE", "s2c", data, **fields))
    sender = StateSender()
    sender.put(11, bytes(1_500), 0, 44, 1_466, 6)
    fields = {"number": 11, "tick": 44, "server_ms": 1_466, "input_number": 6, "encoding": 0}
    for index, (_, data) in enumerate(sender.take()):
        given = {**fields, "index": index, "count": 2, "payload_zeros": 1_500}
        found.append(message("FRAGMENT", "s2c", data, **given))
    found += [
        message("STATE_ACK", "c2s", STATE_ACK.pack(number), number=number) for number in (0, 10)
    ]
    for newest, seen, bits, values, due, span in (
        (1, 0, 16, [0x8001], 0, 255),
        (12, 9, 4, [5, 5, 6, 6], 0xABCD, 3),
        (300, 70, 1, [0, 1, 1, 1, 0, 0, 0, 0, 0, 1], 4, 9),
        (0xFFFFFFFF, 0xFFFFFFFF, 64, [(1 << 64) - 1, 0], 0xFFFF, 254),
        (120, 3, 16, [7] * 120, 0, 0),
    ):
        data = encode_inputs(newest, seen, values, bits, due, span)
        given = {"newest": newest, "seen": seen, "due": due, "span": span, "bits": bits}
        given["values"] = runs(values)
        found.append(message("INPUT", "c2s", data, **given))
    found += [
        message("INPUT_ACK", "s2c", INPUT_ACK.pack(number), number=number) for number in (0, 12)
    ]
    for late, early, missing, number, left in (
        (0, 0, 0, 0, 0),
        (3, 2, 1, 12, -16_700),
        (0xFFFFFFFF, 7, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFF),
    ):
        data = INPUT_TIMING.pack(late, early, missing, number, left)
        told = {"late": late, "early": early, "missing": missing, "number": number, "left": left}
        found.append(message("INPUT_TIMING", "s2c", data, **told))
    found.append(message("UNRELIABLE", "both", b"boo", payload=b"boo".hex()))
    found.append(message("UNRELIABLE", "both", TYPED, IS_MESSAGE, payload=TYPED.hex()))
    found.append(message("TIME", "c2s", TIME_QUERY.pack(1_000_000), t0=1_000_000))
    reply = TIME_REPLY.pack(1_000_000, 0x1_FFFF_FF00, 0x100)
    found.append(message("TIME", "s2c", reply, t0=1_000_000, t1=0x1_FFFF_FF00, wait=0x100))
    return found


def body_vectors() -> list[dict[str, Any]]:
    """DATA bodies: the acks, then the messages."""
    found = []
    for ack, bits, messages in (
        (0xFFFF, 0, []),
        (0x1234, 0xFFFFFFFE, [(int(MessageType.UNRELIABLE), b"boo")]),
        (
            3,
            0b110,
            [
                (int(MessageType.INPUT_ACK), INPUT_ACK.pack(12)),
                (int(MessageType.UNRELIABLE) | IS_MESSAGE, TYPED),
                (int(MessageType.UNRELIABLE), b""),
            ],
        ),
    ):
        (rest,) = pack_messages(messages) or [b""]
        found.append(
            {
                "ack": ack,
                "ack_bits": bits,
                "messages": [{"type": kind, "payload": data.hex()} for kind, data in messages],
                "hex": lines(ACKS.pack(ack, bits) + rest),
            }
        )
    return found


def datagram_vectors() -> list[dict[str, Any]]:
    """Sealed datagrams: each kind in the direction it goes, and numbers beyond 32 bits."""
    data = ACKS.pack(0x1234, 0xFFFFFFFE) + pack_messages([(int(MessageType.UNRELIABLE), b"boo")])[0]
    found = []

    def add(
        session: str, epoch: int, direction: str, kind: DatagramKind, number: int, body: bytes
    ) -> None:
        keys = keys_of(direction, session, epoch)
        sealer = Sealer(keys, SESSIONS[session][1].cid)
        sealer.number = number
        sealer.rekey(keys, epoch)
        # What is padded is shown without its zeros.
        head = body.rstrip(b"\x00") if len(body) == MAX_BODY_BYTES else body
        plain: dict[str, Any] = {"body": head.hex()}
        if len(head) < len(body):
            plain["body_zeros_after"] = len(body) - len(head)
        found.append(
            {
                "name": kind.name,
                "session": session,
                "epoch": epoch,
                "direction": direction,
                "number": number,
                **plain,
                "hex": lines(sealer.seal(kind, body)),
            }
        )

    add("plain", 0, "c2s", DatagramKind.BIND, 0, PADDING)
    add("plain", 0, "s2c", DatagramKind.CHALLENGE, 0, CHALLENGE + PADDING[CHALLENGE_BYTES:])
    add("plain", 0, "c2s", DatagramKind.RESPONSE, 1, CHALLENGE)
    add("plain", 0, "s2c", DatagramKind.BOUND, 1, b"")
    for direction in ("c2s", "s2c"):
        add("plain", 0, direction, DatagramKind.DATA, 2, data)
    add("plain", 0, "c2s", DatagramKind.PING, 3, b"\x00\x00\x00\x09")
    add("plain", 0, "s2c", DatagramKind.PONG, 3, b"\x00\x00\x00\x09")
    # The unpadded challenge of a new address.
    add("plain", 0, "s2c", DatagramKind.CHALLENGE, 4, CHALLENGE)
    for direction in ("c2s", "s2c"):
        add("plain", 0, direction, DatagramKind.DATA, 0x7FFFFF, data)
        # The numbers go on under new keys.
        add("plain", 1, direction, DatagramKind.DATA, 0x800000, data)
        add("plain", 5, direction, DatagramKind.DATA, 0x1_0000_0000, data)
        add("tls", 0, direction, DatagramKind.DATA, 2, data)
        add("tls", 1, direction, DatagramKind.DATA, 1_000, data)
    add("tls", 0, "c2s", DatagramKind.BIND, 0, PADDING)
    add("tls", 0, "s2c", DatagramKind.CHALLENGE, 0, CHALLENGE + PADDING[CHALLENGE_BYTES:])
    # Numbers begin anew with a connection id.
    for direction in ("c2s", "s2c"):
        add("resumed", 0, direction, DatagramKind.DATA, 0, data)
    return found


def runs(values: list[int]) -> str:
    """Inputs from oldest to newest as "value*ticks", values in hex: 64 bits are too many for some
    readers of JSON.
    """
    return " ".join(f"{value:x}*{len(list(group))}" for value, group in groupby(values))


def beacon_vectors() -> list[dict[str, Any]]:
    """Queries, without the zeros behind them, and answers."""
    found = []
    token, server_id = bytes(range(0x30, 0x38)), bytes(range(0x38, 0x40))
    for game in ("", "tag/1"):
        query = beacon.Query(token, game)
        data = beacon.encode_query(query).rstrip(b"\0")
        data += bytes(game == "")  # the count of a text that is empty is no padding
        found.append(
            {
                "name": "QUERY",
                "fields": {"token": token.hex(), "game": game},
                "hex": lines(data),
                "zeros_after": beacon.QUERY_BYTES - len(data),
            }
        )
    for flags, players, pin, name, game in (
        (0, 0, beacon.NO_PIN, "Room 12", ""),
        (beacon.SECURE, 3, bytes(range(0x80, 0xA0)), "Ada's game \N{GAME DIE}", "tag/1"),
        (beacon.SECURE | beacon.NEEDS_PROOF | beacon.CLOSED, 0xFFFF, beacon.NO_PIN, "x", "y"),
    ):
        answer = beacon.Answer(
            token, server_id, frames.VERSION, flags, 7777, players, 256, pin, name, game
        )
        fields = answer._asdict() | {"token": token.hex(), "server_id": server_id.hex()}
        data = beacon.encode_answer(answer)
        found.append({"name": "ANSWER", "fields": fields | {"pin": pin.hex()}, "hex": lines(data)})
    return found


def lines(data: bytes) -> str | list[str]:
    """Hex digits; where they would make a long line, as the lines to be joined."""
    digits = data.hex()
    if len(digits) <= LINE:
        return digits
    return [digits[start : start + LINE] for start in range(0, len(digits), LINE)]


def raw(digits: str | list[str]) -> bytes:
    """The bytes behind hex digits, in one piece or in lines."""
    return bytes.fromhex(digits if isinstance(digits, str) else "".join(digits))


def readable(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields as JSON can hold them: bytes as hex digits; without what is not there."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, frames.Resume):
            found[name] = readable(value._asdict())
        elif value is not None:
            found[name] = value.hex() if isinstance(value, bytes) else value
    return found


def text() -> str:
    """The file."""
    return json.dumps(vectors(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")

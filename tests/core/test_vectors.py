"""The published vectors, read by a decoder of their own and met by ours.

The first half of this module is a second implementation of the protocol, as small as it can be and
free of every line of gamenet's: what it makes of ``vectors.json`` must be what the file says, byte
for byte. The tests then ask the same of gamenet's encoders and decoders.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import beacon, frames, wire
from gamenet.core.frames import Kind
from gamenet.core.input_timing import INPUT_TIMING
from gamenet.core.inputs import decode_inputs, encode_inputs
from gamenet.core.keyring import Keyring
from gamenet.core.record import Keys, Opener, Schedule, Sealer
from gamenet.core.state_channel import StateReceiver, StateSender
from gamenet.errors import DisconnectReason, RefusalReason
from tests.core import make_vectors

VECTORS: dict[str, Any] = json.loads(
    Path(__file__).with_name("vectors.json").read_text(encoding="utf-8")
)


def raw(digits: str | list[str]) -> bytes:
    """The bytes behind hex digits, in one piece or in lines."""
    return bytes.fromhex(digits if isinstance(digits, str) else "".join(digits))


# A second implementation.


class Reader:
    """Takes fields off the front of some bytes."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def number(self, size: int) -> int:
        return int.from_bytes(self.bytes(size), "big")

    def bytes(self, size: int) -> bytes:
        assert size <= len(self.data)
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def counted_text(self) -> str:
        return self.bytes(self.number(1)).decode("utf-8")

    def rest(self) -> bytes:
        return self.bytes(len(self.data))


def read_frame(name: str, direction: str, data: bytes) -> dict[str, Any]:
    """The fields of a frame, as the file has them."""
    reader = Reader(data)
    kinds = ["HELLO", "ACCEPT", "REFUSE", "DATA", "SAY", "ACK", "PING", "PONG", "REKEY", "REKEYED"]
    kinds += ["TUNNEL", "BYE"]
    assert reader.number(1) == kinds.index(name) + 1
    fields: dict[str, Any]
    if name == "HELLO":
        assert reader.bytes(4) == b"GNT1"
        sizes = {"min_version": 2, "max_version": 2, "suites": 1, "flags": 1}
        fields = {field: reader.number(size) for field, size in sizes.items()}
        fields["schema_hash"] = reader.bytes(8).hex()
        fields["input_bits"] = reader.number(1)
        fields["mechanism"] = reader.number(1)
        fields["game"] = reader.counted_text()
        fields["user"] = reader.counted_text()
        fields["auth"] = reader.bytes(reader.number(2)).hex()
        if fields["flags"] & 2:
            resume = {"session_id": reader.bytes(16).hex(), "token": reader.bytes(32).hex()}
            fields["resume"] = {**resume, "received": reader.number(8)}
    elif name == "ACCEPT":
        fields = {}
        for field, size in (
            ("version", 2),
            ("suite", 1),
            ("flags", 1),
            ("session_id", -16),
            ("cid", 4),
            ("udp_secret", -32),
            ("resume_token", -32),
            ("resume_seconds", 2),
            ("udp_port", 2),
            ("received", 8),
            ("max_frame", 4),
            ("max_datagram", 2),
            ("datagrams_per_second", 2),
            ("window_messages", 2),
            ("window_bytes", 4),
            ("tick_rate_x100", 2),
            ("max_input_hz", 2),
            ("input_bits", 1),
            ("player_id", 4),
        ):
            fields[field] = reader.number(size) if size > 0 else reader.bytes(-size).hex()
        fields["name"] = reader.counted_text()
    elif name == "REFUSE":
        fields = {"code": reader.number(1), "retry_after_seconds": reader.number(2)}
    elif name == "DATA":
        fields = {"is_message": reader.number(1) == 1, "channel": reader.number(1)}
        fields["payload"] = reader.rest().hex()
    elif name == "SAY" and direction == "c2s":
        fields = {"text": reader.rest().decode("utf-8")}
    elif name == "SAY":
        fields = {"author": reader.number(4), "private": reader.number(1) == 1}
        fields["name"] = reader.counted_text()
        fields["text"] = reader.rest().decode("utf-8")
    elif name == "ACK":
        fields = {"count": reader.number(8)}
    elif name in ("PING", "PONG"):
        fields = {"number": reader.number(4)}
    elif name == "REKEY":
        fields = {"epoch": reader.number(4), "salt": reader.bytes(32).hex()}
    elif name == "REKEYED":
        fields = {"epoch": reader.number(4)}
    elif name == "TUNNEL":
        fields = {"low_number": reader.number(4), "body": reader.rest().hex()}
        read_body(bytes.fromhex(fields["body"]))
    else:
        assert name == "BYE"
        fields = {"reason": reader.number(1), "text": reader.rest().decode("utf-8")}
    assert not reader.data, "bytes to spare"
    return fields


def read_beacon(name: str, data: bytes) -> dict[str, Any]:
    """The fields of a query or an answer, as the file has them."""
    reader = Reader(data)
    assert reader.bytes(4) == b"GNB1"
    assert reader.number(1) == ["QUERY", "ANSWER"].index(name) + 1
    fields: dict[str, Any] = {"token": reader.bytes(8).hex()}
    if name == "QUERY":
        assert len(data) == 512
        fields["game"] = reader.counted_text()
        assert not any(reader.rest())
        return fields
    fields["server_id"] = reader.bytes(8).hex()
    sizes = {"version": 2, "flags": 1, "port": 2, "players": 2, "max_players": 2}
    fields |= {field: reader.number(size) for field, size in sizes.items()}
    fields["pin"] = reader.bytes(32).hex()
    fields["name"] = reader.counted_text()
    fields["game"] = reader.counted_text()
    assert not reader.data, "bytes to spare"
    return fields


def read_delta(delta: bytes, baseline: bytes) -> bytes:
    """The payload that a delta tells, bit by bit."""
    reader = Reader(delta)
    size = reader.number(2)

    def spread(mask: bytes, count: int) -> bytes:
        bits = "".join(f"{byte:08b}"[::-1] for byte in mask)
        assert "1" not in bits[count:]
        return bytes(reader.number(1) if bit == "1" else 0 for bit in bits[:count])

    masked = -(-size // 8)
    mask = spread(reader.bytes(-(-masked // 8)), masked)
    difference = spread(mask, size)
    assert not reader.data, "bytes to spare"
    return bytes(a ^ b for a, b in zip(difference, baseline + bytes(size), strict=False))


def read_message(name: str, direction: str, data: bytes, baseline: str = "") -> dict[str, Any]:
    """The fields of one message of a DATA body, as the file has them."""
    reader = Reader(data)
    fields: dict[str, Any]
    if name == "STATE":
        names = ("number", "tick", "server_ms", "input_number")
        fields = {field: reader.number(4) for field in names}
        fields["encoding"] = reader.number(1)
        if fields["encoding"]:
            fields["baseline"] = fields["number"] - reader.number(1)
            fields["baseline_payload"] = baseline
            fields["payload"] = read_delta(reader.rest(), bytes.fromhex(baseline)).hex()
        else:
            fields["payload"] = reader.rest().hex()
    elif name == "FRAGMENT":
        names = ("number", "tick", "server_ms", "input_number")
        fields = {field: reader.number(4) for field in names}
        fields |= {field: reader.number(1) for field in ("encoding", "index", "count")}
        part = reader.rest()
        fields["payload_zeros"] = 1_024 * (fields["count"] - 1) + 476
        assert part == bytes(476 if fields["index"] == fields["count"] - 1 else 1_024)
    elif name == "INPUT":
        fields = {"newest": reader.number(4), "seen": reader.number(4)}
        fields |= {"due": reader.number(2), "span": reader.number(1)}
        count = reader.number(1)
        fields["bits"] = width = reader.number(1)
        stream = "".join(f"{byte:08b}" for byte in reader.rest())
        values = [int(stream[:width], 2)]
        place = width
        while len(values) < count:
            changed = stream[place] == "1"
            place += 1
            if changed:
                values.append(int(stream[place : place + width], 2))
                place += width
            else:
                values.append(values[-1])
        assert len(stream) - place < 8
        assert "1" not in stream[place:]
        runs: list[tuple[int, int]] = []
        for value in values:
            if runs and runs[-1][0] == value:
                runs[-1] = (value, runs[-1][1] + 1)
            else:
                runs.append((value, 1))
        fields["values"] = " ".join(f"{value:x}*{ticks}" for value, ticks in runs)
    elif name in ("INPUT_ACK", "STATE_ACK"):
        fields = {"number": reader.number(4)}
    elif name == "INPUT_TIMING":
        fields = {word: reader.number(4) for word in ("late", "early", "missing", "number")}
        left = reader.number(4)
        fields["left"] = left - (left >> 31 << 32)
    elif name == "UNRELIABLE":
        fields = {"payload": reader.rest().hex()}
    else:
        assert name == "TIME"
        fields = {"t0": reader.number(4)}
        if direction == "s2c":
            fields |= {"t1": reader.number(8), "wait": reader.number(4)}
    assert not reader.data, "bytes to spare"
    return fields


def read_body(data: bytes) -> dict[str, Any]:
    """Acks and messages of a DATA body, as the file has them."""
    reader = Reader(data)
    fields: dict[str, Any] = {"ack": reader.number(2), "ack_bits": reader.number(4)}
    messages = []
    while reader.data:
        first = reader.number(1)
        payload = reader.rest() if first & 64 else reader.bytes(reader.number(2))
        messages.append({"type": first & ~64, "payload": payload.hex()})
    fields["messages"] = messages
    return fields


def read_keys(vector: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The key schedule, by the HKDF of another library."""
    secret = bytes.fromhex(vector["udp_secret"])
    salt = bytes.fromhex(vector["tls_exporter"]) or bytes(32)
    for rekey_salt in vector["rekey_salts"]:
        # HKDF-Extract is HMAC with the salt as its key.
        secret = hmac.new(salt, secret, hashlib.sha256).digest()
        salt = bytes.fromhex(rekey_salt)
    assert len(vector["rekey_salts"]) == vector["epoch"]
    found = {}
    for direction in ("c2s", "s2c"):
        found[direction] = {}
        for label, length in (("key", 32), ("iv", 12)):
            info = b"gamenet1 " + direction.encode() + b" " + label.encode()
            info += bytes.fromhex(vector["session_id"])
            info += struct.pack("!IBB", vector["cid"], vector["suite"], vector["accept_flags"])
            info += struct.pack("!I", vector["epoch"])
            found[direction][label] = HKDF(SHA256(), length, salt, info).derive(secret).hex()
    return found


def keys_for(vector: dict[str, Any]) -> dict[str, Any]:
    """The keys under which a datagram is sealed, as the file has them."""
    (found,) = (
        keys
        for keys in VECTORS["keys"]
        if (keys["session"], keys["epoch"]) == (vector["session"], vector["epoch"])
    )
    return dict(found)


def read_datagram(vector: dict[str, Any]) -> bytes:
    """The body of a sealed datagram, after checking its header."""
    data = raw(vector["hex"])
    kinds = ["BIND", "CHALLENGE", "RESPONSE", "BOUND", "DATA", "PING", "PONG"]
    first, cid, low = struct.unpack("!BII", data[:9])
    assert f"{first:08b}" == f"01{vector['epoch'] % 4:02b}{kinds.index(vector['name']) + 1:04b}"
    session = keys_for(vector)
    assert (cid, low) == (session["cid"], vector["number"] % 2**32)
    keys = read_keys(session)[vector["direction"]]
    nonce = int.from_bytes(bytes.fromhex(keys["iv"]), "big") ^ vector["number"]
    cipher = AESGCM(bytes.fromhex(keys["key"]))
    return cipher.decrypt(nonce.to_bytes(12, "big"), data[9:], data[:9])


def body_of(vector: dict[str, Any]) -> bytes:
    """What a sealed datagram holds, as the file has it."""
    return raw(vector["body"]) + bytes(vector.get("body_zeros_after", 0))


# The tests.


class FileTests(SynchronousTestCase):
    """The file itself."""

    def test_it_is_what_the_script_writes(self) -> None:
        self.assertEqual(
            make_vectors.PATH.read_text(encoding="utf-8"),
            make_vectors.text(),
            "run: python -m tests.core.make_vectors",
        )

    def test_it_has_everything_that_this_version_sends(self) -> None:
        self.assertEqual(
            {(vector["name"], vector["direction"]) for vector in VECTORS["frames"]},
            {
                ("HELLO", "c2s"),
                ("ACCEPT", "s2c"),
                ("REFUSE", "s2c"),
                ("DATA", "both"),
                ("SAY", "c2s"),
                ("SAY", "s2c"),
                ("ACK", "both"),
                ("PING", "both"),
                ("PONG", "both"),
                ("REKEY", "s2c"),
                ("REKEYED", "c2s"),
                ("TUNNEL", "c2s"),
                ("TUNNEL", "both"),
                ("BYE", "both"),
            },
        )
        self.assertEqual(
            {(vector["name"], vector["direction"]) for vector in VECTORS["messages"]},
            {
                ("STATE", "s2c"),
                ("FRAGMENT", "s2c"),
                ("STATE_ACK", "c2s"),
                ("INPUT", "c2s"),
                ("INPUT_ACK", "s2c"),
                ("INPUT_TIMING", "s2c"),
                ("UNRELIABLE", "both"),
                ("TIME", "c2s"),
                ("TIME", "s2c"),
            },
        )
        self.assertEqual(
            {(vector["name"], vector["direction"]) for vector in VECTORS["datagrams"]},
            {
                ("BIND", "c2s"),
                ("CHALLENGE", "s2c"),
                ("RESPONSE", "c2s"),
                ("BOUND", "s2c"),
                ("DATA", "c2s"),
                ("DATA", "s2c"),
                ("PING", "c2s"),
                ("PONG", "s2c"),
            },
        )

    def test_it_has_both_sessions_in_every_epoch_and_datagrams_of_both(self) -> None:
        self.assertEqual(
            [(vector["session"], vector["epoch"]) for vector in VECTORS["keys"]],
            [
                *((session, epoch) for session in ("plain", "tls") for epoch in range(6)),
                ("resumed", 0),
            ],
        )
        self.assertEqual(
            {
                (vector["session"], vector["epoch"], vector["direction"])
                for vector in VECTORS["datagrams"]
            },
            {
                (*session, direction)
                for session in (
                    *(("plain", epoch) for epoch in (0, 1, 5)),
                    *(("tls", epoch) for epoch in (0, 1)),
                    ("resumed", 0),
                )
                for direction in ("c2s", "s2c")
            },
        )

    def test_what_resumes_a_session_is_what_its_accept_said(self) -> None:
        (asked,) = (
            vector["fields"]
            for vector in VECTORS["frames"]
            if vector["name"] == "HELLO" and "resume" in vector["fields"]
        )
        first, second = (
            vector["fields"] for vector in VECTORS["frames"] if vector["name"] == "ACCEPT"
        )
        self.assertEqual(asked["resume"]["session_id"], first["session_id"])
        self.assertEqual(asked["resume"]["token"], first["resume_token"])
        self.assertEqual(second["session_id"], first["session_id"])
        for fresh in ("cid", "udp_secret", "resume_token"):
            self.assertNotEqual(second[fresh], first[fresh])
        self.assertEqual((first["flags"], second["flags"]), (2, 5))

    def test_no_two_keys_are_alike(self) -> None:
        ways = [vector[way] for vector in VECTORS["keys"] for way in ("c2s", "s2c")]
        for part in ("key", "iv"):
            self.assertEqual(len({way[part] for way in ways}), len(ways))


class SecondImplementationTests(SynchronousTestCase):
    """The decoder above reads in the file what the file says."""

    def test_keys(self) -> None:
        for vector in VECTORS["keys"]:
            self.assertEqual(read_keys(vector), {"c2s": vector["c2s"], "s2c": vector["s2c"]})

    def test_nonces(self) -> None:
        for vector in VECTORS["nonces"]:
            iv = bytes.fromhex(VECTORS["keys"][0][vector["direction"]]["iv"])
            number = bytes(4) + struct.pack("!Q", vector["number"])
            nonce = bytes(a ^ b for a, b in zip(iv, number, strict=True))
            self.assertEqual(nonce.hex(), vector["nonce"])

    def test_frames(self) -> None:
        for vector in VECTORS["frames"]:
            fields = read_frame(vector["name"], vector["direction"], raw(vector["hex"]))
            self.assertEqual(fields, vector["fields"], vector["name"])

    def test_messages(self) -> None:
        types = {"STATE": 1, "INPUT": 2, "INPUT_ACK": 3, "UNRELIABLE": 4, "FRAGMENT": 5}
        types |= {"TIME": 6, "STATE_ACK": 7, "INPUT_TIMING": 8}
        for vector in VECTORS["messages"]:
            self.assertEqual(vector["type"] & 63, types[vector["name"]])
            baseline = vector["fields"].get("baseline_payload", "")
            data = raw(vector["hex"])
            fields = read_message(vector["name"], vector["direction"], data, baseline)
            self.assertEqual(fields, vector["fields"], vector["name"])

    def test_bodies(self) -> None:
        for vector in VECTORS["bodies"]:
            self.assertEqual({**read_body(raw(vector["hex"])), "hex": vector["hex"]}, vector)

    def test_datagrams(self) -> None:
        sizes = []
        for vector in VECTORS["datagrams"]:
            self.assertEqual(read_datagram(vector), body_of(vector))
            if vector["name"] in ("BIND", "CHALLENGE"):
                sizes.append(len(raw(vector["hex"])))
        self.assertEqual(sizes, [1_200, 1_200, 33, 1_200, 1_200])

    def test_the_beacon(self) -> None:
        for vector in VECTORS["beacon"]:
            data = raw(vector["hex"]) + bytes(vector.get("zeros_after", 0))
            self.assertEqual(read_beacon(vector["name"], data), vector["fields"])
        self.assertEqual({each["name"] for each in VECTORS["beacon"]}, {"QUERY", "ANSWER"})

    def test_a_salt_leads_from_each_epoch_to_the_next(self) -> None:
        salts = [
            vector["fields"]["salt"] for vector in VECTORS["frames"] if vector["name"] == "REKEY"
        ]
        for vector in VECTORS["keys"]:
            self.assertEqual(vector["rekey_salts"][:2], salts[: vector["epoch"]])


class OurEncoderTests(SynchronousTestCase):
    """gamenet writes the vectors."""

    def encode_frame(self, vector: dict[str, Any]) -> bytes:
        name, fields = vector["name"], dict(vector["fields"])
        if name == "HELLO":
            fields |= {key: raw(fields[key]) for key in ("schema_hash", "auth")}
            if "resume" in fields:
                back = fields["resume"]
                fields["resume"] = frames.Resume(
                    raw(back["session_id"]), raw(back["token"]), back["received"]
                )
            return frames.encode_hello(frames.Hello(**fields))
        if name == "ACCEPT":
            secrets = ("session_id", "udp_secret", "resume_token")
            fields |= {key: raw(fields[key]) for key in secrets}
            return frames.encode_accept(frames.Accept(**fields))
        if name == "REFUSE":
            return frames.encode_refuse(
                RefusalReason(fields["code"]), fields["retry_after_seconds"]
            )
        if name == "DATA":
            payload = raw(fields["payload"])
            return frames.encode_data(fields["is_message"], fields["channel"], payload)
        if name == "SAY" and vector["direction"] == "c2s":
            return frames.encode_say(fields["text"])
        if name == "SAY":
            private = fields.pop("private")
            return frames.encode_said(**fields, private=private)
        if name == "ACK":
            return frames.encode_ack(fields["count"])
        if name == "BYE":
            return frames.encode_bye(DisconnectReason(fields["reason"]), fields["text"])
        if name == "REKEY":
            return frames.encode_rekey(fields["epoch"], raw(fields["salt"]))
        if name == "REKEYED":
            return frames.encode_rekeyed(fields["epoch"])
        if name == "TUNNEL":
            return frames.encode_tunnel(fields["low_number"] + 2**32, raw(fields["body"]))
        return frames.encode_ping(Kind[name], fields["number"])

    def encode_message(self, vector: dict[str, Any]) -> bytes:
        name, fields = vector["name"], vector["fields"]
        if name == "STATE":
            sender = StateSender(131_072)
            if fields["encoding"]:
                sender.put(fields["baseline"], raw(fields["baseline_payload"]), 0, 0, 0, 0)
                sender.take()
                sender.acknowledge(fields["baseline"])
            sender.put(
                fields["number"],
                raw(fields["payload"]),
                vector["type"] & wire.IS_MESSAGE,
                fields["tick"] + 2**32,
                fields["server_ms"] + 2**32,
                fields["input_number"],
            )
            ((kind, data),) = sender.take()
            self.assertEqual(kind, vector["type"])
            return data
        if name == "FRAGMENT":
            sender = StateSender()
            rest = (fields["tick"], fields["server_ms"], fields["input_number"])
            sender.put(fields["number"], bytes(fields["payload_zeros"]), 0, *rest)
            messages = sender.take()
            self.assertEqual(len(messages), fields["count"])
            return messages[fields["index"]][1]
        if name == "STATE_ACK":
            return wire.STATE_ACK.pack(fields["number"])
        if name == "INPUT":
            values = values_of(fields["values"])
            ticks = fields["due"], fields["span"]
            return encode_inputs(fields["newest"], fields["seen"], values, fields["bits"], *ticks)
        if name == "INPUT_ACK":
            return wire.INPUT_ACK.pack(fields["number"])
        if name == "INPUT_TIMING":
            words = ("late", "early", "missing", "number", "left")
            return INPUT_TIMING.pack(*(fields[word] for word in words))
        if name == "TIME" and vector["direction"] == "c2s":
            return wire.TIME_QUERY.pack(fields["t0"])
        if name == "TIME":
            return wire.TIME_REPLY.pack(fields["t0"], fields["t1"], fields["wait"])
        return raw(fields["payload"])

    def test_keys(self) -> None:
        for vector in VECTORS["keys"]:
            accept = make_vectors.ACCEPT._replace(
                flags=vector["accept_flags"],
                cid=vector["cid"],
                udp_secret=raw(vector["udp_secret"]),
            )
            schedule = Schedule(accept, raw(vector["tls_exporter"]))
            for salt in vector["rekey_salts"]:
                schedule.advance(raw(salt))
            self.assertEqual(schedule.epoch, vector["epoch"])
            self.assertEqual(
                [{"key": keys.key.hex(), "iv": keys.iv.hex()} for keys in schedule.directions()],
                [vector[way] for way in ("c2s", "s2c")],
            )

    def test_keys_by_a_server_and_a_client(self) -> None:
        # What a server proposes and a client follows is what the file says, byte for byte.
        for session in ("plain", "tls"):
            found = [vector for vector in VECTORS["keys"] if vector["session"] == session]
            accept = make_vectors.ACCEPT._replace(flags=found[0]["accept_flags"])
            server, client = (
                Keyring(
                    Schedule(accept, raw(found[0]["tls_exporter"])),
                    accept.cid,
                    is_server=is_server,
                    now=0.0,
                )
                for is_server in (True, False)
            )
            for vector in found:
                if vector["epoch"]:
                    salt = raw(vector["rekey_salts"][-1])
                    client.follow(server.propose(salt), salt, -1, 0.0)
                    server.came(-1, 0.0)
                    client.came(-1, 0.0)
                for each, way in ((server, "s2c"), (client, "c2s")):
                    keys = Keys(raw(vector[way]["key"]), raw(vector[way]["iv"]))
                    other = Sealer(keys, accept.cid, vector["epoch"])
                    other.number = each.sealer.number
                    self.assertEqual(each.sealer.seal(5, b"body"), other.seal(5, b"body"))

    def test_frames(self) -> None:
        for vector in VECTORS["frames"]:
            self.assertEqual(self.encode_frame(vector), raw(vector["hex"]), vector["name"])

    def test_messages(self) -> None:
        for vector in VECTORS["messages"]:
            self.assertEqual(self.encode_message(vector), raw(vector["hex"]), vector["name"])

    def test_bodies(self) -> None:
        for vector in VECTORS["bodies"]:
            messages = [(each["type"], raw(each["payload"])) for each in vector["messages"]]
            acks = wire.ACKS.pack(vector["ack"], vector["ack_bits"])
            (rest,) = wire.pack_messages(messages) or [b""]
            self.assertEqual(acks + rest, raw(vector["hex"]))

    def test_datagrams(self) -> None:
        for vector in VECTORS["datagrams"]:
            sealer = Sealer(our_keys(vector), keys_for(vector)["cid"])
            sealer.number = vector["number"]
            sealer.rekey(our_keys(vector), vector["epoch"])
            kind = wire.DatagramKind[vector["name"]]
            self.assertEqual(sealer.seal(kind, body_of(vector)), raw(vector["hex"]))


class BeaconTests(SynchronousTestCase):
    """gamenet writes and reads queries and answers."""

    def test_queries(self) -> None:
        for vector in VECTORS["beacon"]:
            if vector["name"] == "QUERY":
                fields, data = vector["fields"], raw(vector["hex"]) + bytes(vector["zeros_after"])
                query = beacon.Query(raw(fields["token"]), fields["game"])
                self.assertEqual(beacon.encode_query(query), data)
                self.assertEqual(beacon.decode_query(data), query)

    def test_answers(self) -> None:
        for vector in VECTORS["beacon"]:
            if vector["name"] == "ANSWER":
                secrets = {
                    name: raw(vector["fields"][name]) for name in ("token", "server_id", "pin")
                }
                answer = beacon.Answer(**{**vector["fields"], **secrets})
                self.assertEqual(beacon.encode_answer(answer), raw(vector["hex"]))
                self.assertEqual(beacon.decode_answer(raw(vector["hex"])), answer)


class OurDecoderTests(SynchronousTestCase):
    """gamenet reads the vectors."""

    def decode_frame(self, vector: dict[str, Any]) -> dict[str, Any]:
        name, data = vector["name"], raw(vector["hex"])
        if name == "HELLO":
            return make_vectors.readable(frames.decode_hello(data)._asdict())
        if name == "ACCEPT":
            return make_vectors.readable(frames.decode_accept(data)._asdict())
        if name == "REFUSE":
            return dict(
                zip(("code", "retry_after_seconds"), frames.decode_refuse(data), strict=True)
            )
        if name == "DATA":
            is_message, channel, payload = frames.decode_data(data)
            return {"is_message": is_message, "channel": channel, "payload": payload.hex()}
        if name == "SAY" and vector["direction"] == "c2s":
            return {"text": frames.decode_say(data)}
        if name == "SAY":
            names = ("author", "name", "text", "private")
            return dict(zip(names, frames.decode_said(data), strict=True))
        if name == "ACK":
            return {"count": frames.decode_ack(data)}
        if name == "BYE":
            return dict(zip(("reason", "text"), frames.decode_bye(data), strict=True))
        if name == "REKEY":
            epoch, salt = frames.decode_rekey(data)
            return {"epoch": epoch, "salt": salt.hex()}
        if name == "REKEYED":
            return {"epoch": frames.decode_rekeyed(data)}
        if name == "TUNNEL":
            low, body = frames.decode_tunnel(data)
            return {"low_number": low, "body": body.hex()}
        return {"number": frames.decode_ping(data)}

    def test_frames(self) -> None:
        for vector in VECTORS["frames"]:
            self.assertEqual(raw(vector["hex"])[0], Kind[vector["name"]])
            self.assertEqual(self.decode_frame(vector), vector["fields"], vector["name"])

    def test_inputs_and_states(self) -> None:
        for vector in VECTORS["messages"]:
            fields, data = vector["fields"], raw(vector["hex"])
            if vector["name"] == "INPUT":
                values = values_of(fields["values"])
                self.assertEqual(
                    decode_inputs(data),
                    (
                        *(fields[word] for word in ("newest", "seen", "bits")),
                        values,
                        *(fields[word] for word in ("due", "span")),
                    ),
                )
            elif vector["name"] == "STATE":
                receiver = StateReceiver()
                if fields["encoding"]:
                    header = wire.STATE.pack(fields["baseline"], 0, 0, 0, wire.WHOLE)
                    receiver.receive(header + raw(fields["baseline_payload"]))
                    receiver._server_ms = fields["server_ms"]
                self.assertEqual(
                    receiver.receive(data),
                    (
                        fields["number"],
                        fields["tick"],
                        fields["server_ms"],
                        fields["input_number"],
                        raw(fields["payload"]),
                    ),
                )

    def test_bodies(self) -> None:
        for vector in VECTORS["bodies"]:
            data = raw(vector["hex"])
            self.assertEqual(wire.ACKS.unpack_from(data), (vector["ack"], vector["ack_bits"]))
            self.assertEqual(
                wire.split_messages(data),
                [(each["type"], raw(each["payload"])) for each in vector["messages"]],
            )

    def test_datagrams(self) -> None:
        for vector in VECTORS["datagrams"]:
            opener = Opener(our_keys(vector), vector["epoch"])
            self.assertEqual(raw(vector["hex"])[0] & 0x30, opener.epoch_bits)
            self.assertEqual(opener.open(vector["number"], raw(vector["hex"])), body_of(vector))


def our_keys(vector: dict[str, Any]) -> Keys:
    """The keys of a datagram, as the file has them."""
    found = keys_for(vector)[vector["direction"]]
    return Keys(raw(found["key"]), raw(found["iv"]))


def values_of(runs: str) -> list[int]:
    """The inputs behind "value*ticks"."""
    found = []
    for run in runs.split():
        value, ticks = run.split("*")
        found += [int(value, 16)] * int(ticks)
    return found

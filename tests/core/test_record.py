"""Keys and seals: one bit wrong anywhere and a datagram does not open."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.record import (
    CLIENT_TO_SERVER,
    HARD_STOP,
    SERVER_TO_CLIENT,
    Forged,
    Keys,
    Opener,
    Sealer,
)
from gamenet.core.wire import HEADER, MAX_BODY_BYTES, MAX_DATAGRAM_BYTES, OVERHEAD_BYTES
from tests.core.strategies import u8, u32
from tests.core.terms import derive

SECRET = bytes(range(32))
SESSION = bytes(range(16))
CID = 0xC0FFEE11
KEYS = derive(SECRET, b"", CLIENT_TO_SERVER, SESSION, CID, 1, 2)


class KeyTests(SynchronousTestCase):
    """``derive``: HKDF of everything that the two sides agreed on."""

    @given(
        st.binary(min_size=32, max_size=32),
        st.one_of(st.just(b""), st.binary(min_size=32, max_size=32)),
        st.sampled_from((CLIENT_TO_SERVER, SERVER_TO_CLIENT)),
        st.binary(min_size=16, max_size=16),
        u32,
        u8,
        u8,
        u32,
    )
    def test_it_is_hkdf_with_sha_256(
        self,
        secret: bytes,
        exporter: bytes,
        direction: bytes,
        session_id: bytes,
        cid: int,
        suite: int,
        flags: int,
        epoch: int,
    ) -> None:
        context = session_id + cid.to_bytes(4, "big") + bytes((suite, flags))
        context += epoch.to_bytes(4, "big")
        keys = derive(secret, exporter, direction, session_id, cid, suite, flags, epoch)
        for label, length, value in ((b"key", 32, keys.key), (b"iv", 12, keys.iv)):
            info = b"gamenet1 " + direction + b" " + label + context
            self.assertEqual(
                value, HKDF(SHA256(), length, exporter or bytes(32), info).derive(secret)
            )

    def test_every_part_of_the_agreement_changes_both_keys(self) -> None:
        found = [KEYS]
        found.append(derive(bytes(32), b"", CLIENT_TO_SERVER, SESSION, CID, 1, 2))
        found.append(derive(SECRET, b"e" * 32, CLIENT_TO_SERVER, SESSION, CID, 1, 2))
        found.append(derive(SECRET, b"", SERVER_TO_CLIENT, SESSION, CID, 1, 2))
        found.append(derive(SECRET, b"", CLIENT_TO_SERVER, bytes(16), CID, 1, 2))
        found.append(derive(SECRET, b"", CLIENT_TO_SERVER, SESSION, CID + 1, 1, 2))
        found.append(derive(SECRET, b"", CLIENT_TO_SERVER, SESSION, CID, 2, 2))
        found.append(derive(SECRET, b"", CLIENT_TO_SERVER, SESSION, CID, 1, 0))
        found.append(derive(SECRET, b"", CLIENT_TO_SERVER, SESSION, CID, 1, 2, epoch=1))
        self.assertEqual(len({keys.key for keys in found}), len(found))
        self.assertEqual(len({keys.iv for keys in found}), len(found))

    def test_keys_are_not_shown(self) -> None:
        shown = f"{KEYS!r} {KEYS}"
        self.assertNotIn(repr(KEYS.key), shown)
        self.assertNotIn(KEYS.key.hex(), shown)


class SealTests(SynchronousTestCase):
    """``Sealer`` and ``Opener``."""

    @given(st.integers(1, 15), st.binary(max_size=MAX_BODY_BYTES), st.integers(0, HARD_STOP - 1))
    def test_what_is_sealed_opens_under_its_number_only(
        self, kind: int, body: bytes, number: int
    ) -> None:
        sealer, opener = Sealer(KEYS, CID), Opener(KEYS)
        sealer.number = number
        data = sealer.seal(kind, body)
        self.assertEqual(len(data), len(body) + OVERHEAD_BYTES)
        self.assertEqual(HEADER.unpack_from(data), (0x40 | kind, CID, number))
        self.assertEqual(opener.open(number, data), body)
        for wrong in (number + 1, number ^ 1 << 32, number ^ 1 << 47, number + (1 << 32)):
            self.assertRaises(Forged, opener.open, wrong, data)

    def test_a_body_of_the_largest_size_fills_a_datagram(self) -> None:
        data = Sealer(KEYS, CID).seal(5, bytes(MAX_BODY_BYTES))
        self.assertEqual(len(data), MAX_DATAGRAM_BYTES)

    def test_every_single_bit_matters(self) -> None:
        opener = Opener(KEYS)
        data = Sealer(KEYS, CID).seal(5, b"twelve bytes")
        for place in range(len(data) * 8):
            forged = bytearray(data)
            forged[place // 8] ^= 1 << place % 8
            self.assertRaises(Forged, opener.open, 0, bytes(forged))
        self.assertEqual(opener.open(0, data), b"twelve bytes")

    @settings(max_examples=300)
    @given(st.binary(max_size=80))
    def test_any_bytes_of_a_stranger_are_forged(self, data: bytes) -> None:
        self.assertRaises(Forged, Opener(KEYS).open, 0, data)

    def test_the_other_direction_does_not_open_it(self) -> None:
        other = derive(SECRET, b"", SERVER_TO_CLIENT, SESSION, CID, 1, 2)
        self.assertRaises(Forged, Opener(other).open, 0, Sealer(KEYS, CID).seal(5, b"x"))

    def test_numbers_count_up_from_zero_and_no_two_datagrams_are_alike(self) -> None:
        sealer, opener = Sealer(KEYS, CID), Opener(KEYS)
        seen = set()
        for number in range(100):
            self.assertEqual(sealer.number, number)
            data = sealer.seal(5, b"the same")
            self.assertEqual(opener.open(number, data), b"the same")
            seen.add(data[9:])
        self.assertEqual(len(seen), 100)

    def test_the_epoch_is_in_the_first_byte(self) -> None:
        for epoch in range(6):
            data = Sealer(KEYS, CID, epoch).seal(7, b"")
            self.assertEqual(data[0], 0x40 | (epoch % 4) << 4 | 7)

    def test_a_key_seals_no_more_than_it_safely_may(self) -> None:
        sealer = Sealer(KEYS, CID)
        sealer.number = HARD_STOP - 1
        self.assertEqual(HEADER.unpack_from(sealer.seal(5, b""))[2], HARD_STOP - 1)
        for _ in range(3):
            self.assertRaises(OverflowError, sealer.seal, 5, b"")
            self.assertEqual(sealer.number, HARD_STOP)

    def test_keys_of_another_session_do_not_open_it(self) -> None:
        data = Sealer(KEYS, CID).seal(5, b"x")
        self.assertRaises(Forged, Opener(Keys(bytes(32), KEYS.iv)).open, 0, data)
        self.assertRaises(Forged, Opener(Keys(KEYS.key, bytes(12))).open, 0, data)

"""Queries for servers and their answers, as bytes; also from who means harm."""

from __future__ import annotations

import unicodedata
from ipaddress import ip_address, ip_network

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.checks import check_name
from gamenet.core.beacon import (
    BROADCAST,
    GROUP,
    GROUP_IPV6,
    MAX_ANSWER_BYTES,
    MAX_NAME_BYTES,
    QUERY_BYTES,
    Answer,
    Query,
    decode_answer,
    decode_query,
    encode_answer,
    encode_query,
    is_near,
)
from gamenet.errors import ConfigError, WireError
from tests.core.strategies import any_text, damaged, short_text, u8, u16

EIGHT = st.binary(min_size=8, max_size=8)
QUERIES = st.builds(Query, token=EIGHT, game=short_text())


def is_allowed(name: str) -> bool:
    """Whether a server can be called so."""
    try:
        check_name("beacon", name)
    except ConfigError:
        return False
    return bool(name)


ANSWERS = st.builds(
    Answer,
    token=EIGHT,
    server_id=EIGHT,
    version=u16,
    flags=u8,
    port=st.integers(1, 0xFFFF),
    players=u16,
    max_players=u16,
    pin=st.binary(min_size=32, max_size=32),
    name=short_text(MAX_NAME_BYTES).filter(is_allowed),
    game=short_text().filter(lambda text: text.isprintable() and text == text.strip()),
)


class QueryTests(SynchronousTestCase):
    """What asks."""

    @given(QUERIES)
    def test_what_is_asked_is_heard(self, query: Query) -> None:
        data = encode_query(query)
        self.assertEqual(len(data), QUERY_BYTES)
        self.assertEqual(decode_query(data), query)

    @given(st.one_of(st.binary(max_size=600), damaged(QUERIES.map(encode_query))))
    def test_anything_else_is_refused_or_read(self, data: bytes) -> None:
        try:
            query = decode_query(data)
        except WireError:
            return
        self.assertTrue(data.startswith(encode_query(query).rstrip(b"\0")))

    def test_one_of_another_length_is_none(self) -> None:
        data = encode_query(Query(bytes(8), "tag/1"))
        for wrong in (data[:-1], data + b"\0", b"", data[:18]):
            self.assertRaises(WireError, decode_query, wrong)

    def test_an_answer_is_no_query_whatever_is_behind_it(self) -> None:
        answer = Answer(bytes(8), bytes(8), 1, 0, 1, 0, 0, bytes(32), "x", "")
        self.assertRaises(WireError, decode_query, encode_answer(answer).ljust(QUERY_BYTES, b"\0"))

    def test_a_text_that_is_none_is_refused(self) -> None:
        data = encode_query(Query(bytes(8), "tag"))
        self.assertRaises(WireError, decode_query, data.replace(b"tag", b"\xff\xfe\xfd"))


class AnswerTests(SynchronousTestCase):
    """What answers."""

    @given(ANSWERS)
    def test_what_is_told_is_heard_and_shorter_than_its_query(self, answer: Answer) -> None:
        data = encode_answer(answer)
        self.assertLess(len(data), QUERY_BYTES)
        self.assertEqual(decode_answer(data), answer)

    def test_the_longest_is_shorter_than_its_query(self) -> None:
        longest = Answer(
            bytes(8), bytes(8), 1, 0, 1, 0, 0, bytes(32), "n" * MAX_NAME_BYTES, "g" * 255
        )
        self.assertEqual(len(encode_answer(longest)), MAX_ANSWER_BYTES)
        self.assertLess(MAX_ANSWER_BYTES, QUERY_BYTES)
        self.assertEqual(decode_answer(encode_answer(longest)), longest)

    @given(st.one_of(st.binary(max_size=600), damaged(ANSWERS.map(encode_answer))))
    def test_anything_else_is_refused_or_safe(self, data: bytes) -> None:
        try:
            answer = decode_answer(data)
        except WireError:
            return
        self.assertTrue(answer.port)
        self.assertTrue(answer.name)
        self.assertLessEqual(len(answer.name.encode()), MAX_NAME_BYTES)

    @given(any_text, any_text)
    def test_no_text_can_act_on_a_terminal(self, name: str, game: str) -> None:
        raw_name = name.encode("utf-8", "replace")[:MAX_NAME_BYTES]
        raw_game = game.encode("utf-8", "replace")[:255]
        start = encode_answer(Answer(bytes(8), bytes(8), 1, 0, 1, 0, 0, bytes(32), "", ""))[:-2]
        texts = b"".join(bytes([len(raw)]) + raw for raw in (raw_name, raw_game))
        try:
            answer = decode_answer(start + texts)
        except WireError:
            return
        for letter in answer.name + answer.game:
            self.assertNotIn(unicodedata.category(letter), {"Cc", "Cs", "Zl", "Zp"})

    def test_each_field_out_of_range_is_refused(self) -> None:
        good = Answer(bytes(8), bytes(8), 1, 0, 1, 0, 0, bytes(32), "x", "")
        for wrong in (
            good._replace(port=0),
            good._replace(name=""),
            good._replace(name="\x1b\x07"),
            good._replace(name="n" * (MAX_NAME_BYTES + 1)),
        ):
            self.assertRaises(WireError, decode_answer, encode_answer(wrong))
        data = encode_answer(good)
        for torn in (data + b"\0", data[:-1], b"GNB2" + data[4:], data[:4] + b"\1" + data[5:]):
            self.assertRaises(WireError, decode_answer, torn)


class NearTests(SynchronousTestCase):
    """Whom a server answers."""

    def test_this_machine_and_private_networks_are_near(self) -> None:
        for host in (
            *("127.0.0.1", "127.8.9.10", "10.1.2.3", "172.16.0.1", "172.31.255.254"),
            *("192.168.1.20", "169.254.7.7", "::1", "fe80::1", "fe80::1%eth0", "fd00::7"),
            *("::ffff:192.168.1.20", "fc00::1"),
        ):
            self.assertTrue(is_near(host), host)

    def test_the_internet_is_not(self) -> None:
        for host in (
            *("8.8.8.8", "172.32.0.1", "172.15.0.1", "192.169.0.1", "203.0.113.5", "100.64.0.1"),
            *("0.0.0.0", "255.255.255.255", GROUP, GROUP_IPV6, BROADCAST, "::"),
            *("2001:db8::1", "2606:4700::1111", "::ffff:8.8.8.8", "", "nonsense", "fec0::1"),
        ):
            self.assertFalse(is_near(host), host)

    def test_no_router_hands_the_groups_on(self) -> None:
        """239.255.0.0/16 is the IPv4 Local Scope of RFC 2365; ff12 is of the link, RFC 4291."""
        self.assertIn(ip_address(GROUP), ip_network("239.255.0.0/16"))
        self.assertIn(ip_address(GROUP_IPV6), ip_network("ff12::/16"))

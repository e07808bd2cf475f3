"""Addresses as people write them, and as they get them wrong."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.addresses import (
    DEFAULT_PORT,
    is_loopback,
    join_address,
    parse_address,
    parse_listen,
    unmapped,
)
from gamenet.errors import ConfigError

PIN = "0123456789abcdef" * 4


class ListenTests(SynchronousTestCase):
    """Where a server listens."""

    def test_every_form_that_people_write(self) -> None:
        for text, port, interface in (
            (7777, 7777, ""),
            (0, 0, ""),
            ("7777", 7777, ""),
            (" 7777 ", 7777, ""),
            ("tcp:7777", 7777, ""),
            ("udp:7777", 7777, ""),
            ("tcp:7777:interface=127.0.0.1", 7777, "127.0.0.1"),
            ("7777:interface=127.0.0.1", 7777, "127.0.0.1"),
            ("tcp6:7777:interface=\\:\\:1", 7777, "::1"),
            ("tcp:7777:interface=::1", 7777, "::1"),
            ("127.0.0.1:7777", 7777, "127.0.0.1"),
            ("localhost:7777", 7777, "127.0.0.1"),
            ("[::1]:7777", 7777, "::1"),
            ("tcp:[::1]:7777", 7777, "::1"),
        ):
            place = parse_listen(text, "listen")
            self.assertEqual((place.port, place.interface), (port, interface), text)

    def test_what_is_no_place_is_refused_naming_the_field_and_a_form_that_works(self) -> None:
        for text in (
            "",
            "seven",
            "-1",
            "65536",
            "1e3",
            "٣",
            "127.0.0.1",
            "a:b",
            "[::1]",
            70_000,
            -1,
        ):
            error = self.assertRaises(ConfigError, parse_listen, text, "udp")
            self.assertEqual(error.field, "udp", text)
            self.assertNotIn("\n", str(error))

    def test_an_interface_is_an_address(self) -> None:
        error = self.assertRaises(ConfigError, parse_listen, "tcp:1:interface=eth0", "listen")
        self.assertIn("eth0", str(error))

    def test_endpoints_are_kept_whole(self) -> None:
        for text, has_tls in (
            ("ssl:7777:privateKey=k.pem", True),
            ("tls:/etc/keys:port=7777", True),
            ("systemd:domain=INET:index=0", False),
            ("fd:3", False),
        ):
            place = parse_listen(f" {text} ", "listen")
            self.assertEqual((place.endpoint, place.has_tls), (text, has_tls))
            self.assertEqual((place.port, place.interface, repr(place)), (0, "", text))
            self.assertEqual(place.is_descriptor, not has_tls)
        self.assertFalse(parse_listen("tcp:7777", "listen").has_tls)
        self.assertFalse(parse_listen("tcp:7777", "listen").is_descriptor)

    def test_players_do_not_come_by_a_file(self) -> None:
        error = self.assertRaises(ConfigError, parse_listen, "unix:/tmp/x", "listen")
        self.assertIn("tcp:PORT", str(error))

    @given(st.text(max_size=40))
    def test_any_text_is_a_place_or_a_config_error(self, text: str) -> None:
        try:
            place = parse_listen(text, "listen")
        except ConfigError:
            return
        self.assertTrue(0 <= place.port <= 65_535)


class AddressTests(SynchronousTestCase):
    """Where a client goes."""

    def test_every_form_that_people_write(self) -> None:
        for text, host, port in (
            ("localhost", "localhost", DEFAULT_PORT),
            ("localhost:1234", "localhost", 1234),
            ("play.example.org", "play.example.org", DEFAULT_PORT),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("::1", "::1", DEFAULT_PORT),
            ("[::1]", "::1", DEFAULT_PORT),
            ("[::1]:1234", "::1", 1234),
            ("gamenet://localhost", "localhost", DEFAULT_PORT),
            ("gamenet://localhost:1234/", "localhost", 1234),
            ("gamenet://[fe80::1%eth0]:1234", "fe80::1%eth0", 1234),
            (" localhost:1234 ", "localhost", 1234),
        ):
            self.assertEqual(parse_address(text), (host, port, ""), text)
            self.assertEqual(parse_address(f"{text.strip()}#sha256={PIN}"), (host, port, PIN), text)

    def test_what_is_none_is_refused(self) -> None:
        for text in (
            "", ":1", "a b", "localhost:", "localhost:0", "localhost:65536", "localhost:x",
            "[::1", "[::1]x", "http://localhost", "user@host", "a/b", "[]:1",
        ):  # fmt: skip
            if text == "localhost:":
                self.assertEqual(parse_address(text), ("localhost", DEFAULT_PORT, ""))
                continue
            error = self.assertRaises(ConfigError, parse_address, text)
            self.assertEqual(error.field, "address", text)

    def test_a_pin_is_read_as_other_tools_print_it(self) -> None:
        colons = ":".join(PIN[place : place + 2] for place in range(0, 64, 2)).upper()
        self.assertEqual(parse_address(f"localhost#sha256={colons}").pin, PIN)

    def test_a_pin_that_is_none_is_refused_with_what_would_be_right(self) -> None:
        for pin in ("sha256=00", f"sha256={PIN}0", f"sha1={PIN}", PIN, "", f"sha256={PIN[:-1]}x"):
            error = self.assertRaises(ConfigError, parse_address, f"gamenet://host:1#{pin}")
            self.assertEqual(error.field, "address")
            self.assertIn("gamenet cert", str(error))

    @given(st.text(max_size=40))
    def test_any_text_is_an_address_or_a_config_error(self, text: str) -> None:
        try:
            host, port, pin = parse_address(text)
        except ConfigError:
            return
        self.assertTrue(host)
        self.assertTrue(0 < port <= 65_535)
        self.assertIn(len(pin), (0, 64))

    @given(st.ip_addresses().map(str), st.integers(1, 65_535))
    def test_what_is_joined_is_parsed_again(self, host: str, port: int) -> None:
        self.assertEqual(parse_address(join_address(host, port)), (host, port, ""))
        self.assertEqual(str(parse_address(join_address(host, port))), join_address(host, port))
        self.assertEqual(parse_listen(join_address(host, port), "listen").interface, host)


class LoopbackTests(SynchronousTestCase):
    """Which addresses only this machine can reach."""

    def test_loopback_is_seen_through_wrappings(self) -> None:
        for host in ("127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"):
            self.assertTrue(is_loopback(host), host)
        for host in ("10.0.0.1", "::", "0.0.0.0", "fe80::1%lo", "::ffff:10.0.0.1"):
            self.assertFalse(is_loopback(host), host)

    def test_unmapping(self) -> None:
        self.assertEqual(str(unmapped("::ffff:10.0.0.1")), "10.0.0.1")
        self.assertEqual(str(unmapped("fe80::1%eth0")), "fe80::1")

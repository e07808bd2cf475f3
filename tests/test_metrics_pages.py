"""The pages of the status site, who may ask for them, and what is written down of the others."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address
from twisted.logger import formatEvent, globalLogPublisher

from gamenet import metrics
from gamenet.bridge import Bridge
from gamenet.config import ServerConfig
from gamenet.errors import ConfigError
from gamenet.metrics import Access, status_site
from gamenet.metrics.files import TYPES, read_page
from gamenet.metrics.guard import read_access, read_hosts
from tests.status import Server, SiteTestCase


class PageTests(SiteTestCase):
    def test_the_index_is_a_page(self) -> None:
        code, headers, body = self.get(b"/")
        self.assertEqual((code, headers[b"content-type"]), (200, b"text/html; charset=utf-8"))
        self.assertTrue(body.lower().startswith(b"<!doctype html>"))

    def test_every_file_of_the_page_is_served_as_what_it_is(self) -> None:
        files = read_page()
        self.assertIn(b"/", files)
        self.assertNotIn(b"/__init__.py", files)
        for path, (kind, content) in files.items():
            code, headers, body = self.get(path)
            self.assertEqual((code, headers[b"content-type"], body), (200, kind, content))
            self.assertIn(kind, TYPES.values())
            code, headers, body = self.get(path, b"HEAD")
            self.assertEqual((code, headers[b"content-type"], body), (200, kind, b""))
            self.assertEqual(int(headers[b"content-length"]), len(content))
            self.assertEqual(self.get(path, b"POST")[0], 405)

    def test_nothing_of_the_page_is_within_the_page(self) -> None:
        # What the policy forbids would silently not work.
        for kind, content in read_page().values():
            if kind.startswith(b"text/html"):
                self.assertNotRegex(
                    content, rb"(?i)<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+="
                )
                self.assertNotRegex(content, rb"(?i)(src|href)=[\"']?(https?:)?//")

    def test_every_answer_forbids_what_no_page_of_ours_needs(self) -> None:
        for path in (b"/", b"/healthz", b"/api/status", b"/metrics", b"/nowhere", b"/api/kick"):
            _, headers, _ = self.get(path)
            policy = headers[b"content-security-policy"].decode("ascii")
            rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
            self.assertEqual(
                rules,
                {
                    "default-src": "'none'",
                    "script-src": "'self'",
                    "style-src": "'self'",
                    "connect-src": "'self'",
                    "img-src": "'self'",
                    "base-uri": "'none'",
                    "form-action": "'none'",
                    "frame-ancestors": "'none'",
                },
            )
            self.assertEqual(headers[b"x-content-type-options"], b"nosniff")
            self.assertEqual(headers[b"referrer-policy"], b"no-referrer")
            self.assertEqual(headers[b"cross-origin-resource-policy"], b"same-origin")
            self.assertEqual(headers[b"cache-control"], b"no-store")
            self.assertNotIn(b"access-control-allow-origin", headers)
            self.assertNotIn(b"set-cookie", headers)


class ReadyTests(SiteTestCase):
    def test_ready_while_newcomers_may_come(self) -> None:
        self.assertEqual(self.get(b"/readyz")[::2], (200, b"ready\n"))
        self.assertTrue(self.status()["ready"])

    def test_not_before_the_game_has_come_for_its_first_events(self) -> None:
        bridge = Bridge(ServerConfig(insecure=True))
        self.server = Server(self.clock, bridge)
        self.site = status_site(self.server, reactor=self.clock)
        code, _, body = self.get(b"/readyz")
        self.assertEqual((code, body.partition(b":")[0]), (503, b"starting"))
        self.assertIn(b"the game has not come for its first events", body)
        self.assertFalse(self.status()["ready"])
        self.assertEqual(self.get(b"/healthz")[0], 200)
        bridge.poll()
        self.clock.advance(5)
        self.assertEqual(self.get(b"/readyz")[::2], (200, b"ready\n"))
        self.assertTrue(self.status()["ready"])
        bridge.finish()

    def test_draining_is_not_ready_and_still_healthy(self) -> None:
        self.server.draining = True  # type: ignore[attr-defined]
        self.assertEqual(self.get(b"/readyz")[::2], (503, b"draining\n"))
        self.assertEqual(self.get(b"/healthz")[0], 200)
        found = self.status()
        self.assertEqual((found["ready"], found["draining"]), (False, True))
        self.assertIsNone(found["drain_seconds_left"])

    def test_a_server_that_is_drained_says_how_long_that_may_take(self) -> None:
        self.server.drain_seconds_left = 0.0  # type: ignore[attr-defined]
        self.assertIsNone(self.status()["drain_seconds_left"])
        self.server.draining = True  # type: ignore[attr-defined]
        self.server.drain_seconds_left = 41.5  # type: ignore[attr-defined]
        self.clock.advance(5)
        self.assertEqual(self.status()["drain_seconds_left"], 41.5)

    def test_stopping_is_neither(self) -> None:
        self.server.running = 0
        self.assertEqual(self.get(b"/readyz")[::2], (503, b"stopping\n"))

    def test_a_server_that_lets_nobody_in_is_not_ready(self) -> None:
        self.server.host.refuse_newcomers()
        self.assertEqual(self.get(b"/readyz")[::2], (503, b"closed to newcomers\n"))


class HostTests(SiteTestCase):
    """A page of another site must not read this one by its own name."""

    def code(self, host: bytes, path: bytes = b"/api/status") -> int:
        return self.ask(b"GET " + path + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")[0]

    def test_addresses_and_localhost_lead_here(self) -> None:
        for host in (
            *(b"127.0.0.1", b"127.0.0.1:9777", b"[::1]:9777", b"[fe80::1%25eth0]", b"10.1.2.3:1"),
            *(b"localhost", b"LocalHost:9777", b"localhost.", b"a.localhost:80"),
        ):
            self.assertEqual(self.code(host), 200, host)

    def test_other_names_do_not(self) -> None:
        for host in (
            *(
                b"evil.example",
                b"evil.example:9777",
                b"localhost.evil.example",
                b"x",
                b":9777",
                b"",
            ),
            *(
                b"127.0.0.1.evil.example",
                b"evil@127.0.0.1",
                b"127.0.0.1/x",
                b"[::1",
                b"localhost:x",
            ),
            *(b"127.0.0.1#x", b"127.0.0.1?x", b"a b", b"0x7f.1", b"localhost,evil.example"),
            *(b"\xff", b"localhost\xe9", b"localhost\r\nHost: evil.example"),
        ):
            self.assertEqual(self.code(host), 421, host)

    def test_neither_for_any_page_that_tells_something(self) -> None:
        for path in (b"/", b"/metrics", b"/api/status", b"/api/kick", b"/nowhere"):
            self.assertEqual(self.code(b"evil.example", path), 421)
        body = self.ask(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")[2]
        self.assertIn("--status-host", json.loads(body)["error"])

    def test_whether_it_runs_may_be_asked_by_any_name(self) -> None:
        for path in (b"/healthz", b"/readyz"):
            self.assertEqual(self.code(b"evil.example", path), 200)

    def test_whoever_names_no_host_is_no_browser(self) -> None:
        self.assertEqual(self.ask(b"GET /api/status HTTP/1.0\r\n\r\n")[0], 200)

    def test_names_that_were_given_lead_here(self) -> None:
        access = Access(read_hosts("Status.example.org, other"))
        self.site = status_site(self.server, reactor=self.clock, access=access)
        for host in (b"status.example.org", b"STATUS.example.org:443", b"other:1", b"localhost"):
            self.assertEqual(self.code(host), 200, host)
        for host in (b"example.org", b"a.status.example.org", b"evil.example"):
            self.assertEqual(self.code(host), 421, host)

    def test_what_is_no_name_is_refused_at_the_start(self) -> None:
        for text in ("", "a,", "http://a", "a:80", "a b", "a/b", "é", "a,*.b:1", "[::1"):
            error = self.assertRaises(ConfigError, read_hosts, text)
            self.assertEqual(error.field, "status-host")

    def test_flags_of_a_site_that_there_is_not(self) -> None:
        for flags in (("a", None), (None, "file")):
            error = self.assertRaises(ConfigError, read_access, *flags, is_served=False)
            self.assertIn("--status tcp:9777", str(error))
        self.assertEqual(read_access(None, None, is_served=False).hosts, frozenset())


class LogTests(SiteTestCase):
    """Garbage, huge and slow requests: cut, and a line in the log for each address in a while."""

    WRONG: ClassVar = (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET /healthz",
        b"x" * 9_000,
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1025\r\n\r\n",
        b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /api/kick HTTP/1.1\r\nContent-Length: 4097\r\n\r\n",
        b"POST /api/kick HTTP/1.1\r\nContent-Length: 4096\r\n\r\n{",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 70 + b"\r\n",
    )

    def setUp(self) -> None:
        super().setUp()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[str]:
        return [str(formatEvent(event)) for event in self.events]

    def throw(self, data: bytes) -> None:
        channel, _ = self.connect()
        channel.dataReceived(data)
        self.clock.advance(metrics.CONNECTION_SECONDS)
        self.hang_up(channel)

    def test_one_line_whatever_comes_and_as_often_as_it_comes(self) -> None:
        for _ in range(2):
            for data in self.WRONG:
                channel, _ = self.connect()
                channel.dataReceived(data)
                self.hang_up(channel)
        self.assertEqual(
            self.lines(),
            ["status site: 10.0.0.9 sent no whole request within the limits (1 such)"],
        )

    def test_each_of_them_is_cut(self) -> None:
        for data in self.WRONG:
            self.throw(data)
            self.assertEqual(self.site.connections, 0)

    def test_later_there_is_another_line_with_the_number_of_those_between(self) -> None:
        for pause in (0.0, 0.0, 0.0, self.server.host.config.log_seconds):
            self.clock.advance(pause)
            channel, _ = self.connect()
            channel.dataReceived(b"GET")
            self.hang_up(channel)
        self.assertEqual(len(self.lines()), 2)
        self.assertIn("(3 such)", self.lines()[1])

    def test_whoever_connects_and_says_nothing_is_no_line(self) -> None:
        # Browsers do, in case they need one.
        channel, transport = self.connect()
        self.clock.advance(metrics.IDLE_SECONDS)
        self.assertTrue(transport.aborted)
        self.hang_up(channel)
        self.assertEqual(self.lines(), [])

    def test_too_many_connections_are_a_line(self) -> None:
        for _ in range(metrics.MAX_CONNECTIONS):
            self.connect()
        for _ in range(5):
            self.assertIsNone(self.site.buildProtocol(IPv4Address("TCP", "10.0.0.9", 1)))
        self.assertEqual(
            self.lines(), ["status site: 10.0.0.9 is one connection too many (1 such)"]
        )

    def test_what_is_refused_in_a_whole_request_is_no_line(self) -> None:
        self.get(b"/nowhere")
        self.get(b"/api/status", b"PUT")
        self.ask(b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
        self.assertEqual(self.lines(), [])

    def test_ten_browsers_and_prometheus_fit(self) -> None:
        # Three files at once, and one connection in case it is needed.
        self.assertGreaterEqual(metrics.MAX_CONNECTIONS, 10 * 4 + 2)

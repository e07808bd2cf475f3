"""What may be done from the status page, and by whom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.logger import formatEvent, globalLogPublisher

from gamenet.bridge import Bridge
from gamenet.core import frames
from gamenet.errors import ConfigError, DisconnectReason, GamenetError
from gamenet.metrics import Access, status_site
from gamenet.metrics.actions import MAX_ACTION_BYTES
from gamenet.metrics.guard import ATTEMPTS, ATTEMPTS_PER_SECOND, read_access, read_token
from tests.status import Server, SiteTestCase

if TYPE_CHECKING:
    from twisted.internet.testing import StringTransport

TOKEN = "correct-horse-battery-staple"


class ActionCase(SiteTestCase):
    """A server with a token, and two players."""

    def setUp(self) -> None:
        super().setUp()
        bridge = Bridge()
        self.addCleanup(bridge.close)
        self.server = Server(self.clock, bridge)
        self.drained: list[str] = []
        self.make_site()
        self.ada, self.bob = self.server.connect("ada"), self.server.connect("bob")
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def make_site(self, token: str = TOKEN, hosts: tuple[str, ...] = (), **more: Any) -> None:
        more.setdefault("drain", lambda: self.drained.append("drain"))
        more.setdefault("dump", lambda: "/var/log/gamenet/dump.json")
        self.site = status_site(
            self.server, reactor=self.clock, access=Access(hosts, token), **more
        )

    def act(
        self,
        name: str,
        body: Any = None,
        *,
        token: str | None = TOKEN,
        headers: tuple[str, ...] = (),
        method: str = "POST",
        host: str = "localhost:9777",
        kind: str = "application/json",
    ) -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
        lines = [
            f"{method} /api/{name} HTTP/1.1",
            f"Host: {host}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(data)}",
            *([f"Authorization: Bearer {token}"] if token is not None else []),
            *headers,
        ]
        self.code, self.headers, answer = self.ask(
            "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data
        )
        return self.code, json.loads(answer) if answer else None

    def lines(self) -> list[str]:
        """The log of actions."""
        lines = [str(formatEvent(event)) for event in self.events]
        return [line for line in lines if line.startswith("status action")]

    def heard(self, player: Any) -> list[tuple[frames.Kind, bytes]]:
        """The frames that a player got."""
        transport: StringTransport = player.transport
        data, found = transport.value(), []
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append((frames.Kind(data[4]), data[4 : 4 + size]))
            data = data[4 + size :]
        return found


class DoingTests(ActionCase):
    def test_a_player_is_kicked_and_reads_why(self) -> None:
        code, answer = self.act("kick", {"player": 1, "text": "no shouting"})
        self.assertEqual((code, answer), (200, {"done": "ada is out"}))
        kind, frame = self.heard(self.ada)[-1]
        self.assertIs(kind, frames.Kind.BYE)
        self.assertEqual(frames.decode_bye(frame), (DisconnectReason.KICKED, "no shouting"))
        self.assertEqual([player["name"] for player in self.status()["players"]], ["bob"])

    def test_a_banned_player_stays_out_for_as_long(self) -> None:
        code, answer = self.act("ban", {"player": 1, "seconds": 60})
        self.assertEqual((code, answer), (200, {"done": "ada is out for 60 s"}))
        self.server.connect("ada")
        self.assertEqual(self.server.host.refusals[8 + 1], 1)  # BANNED
        self.clock.advance(61.0)
        self.server.connect("ada")
        self.assertEqual(self.server.host.refusals[8 + 1], 1)

    def test_one_who_has_just_left_is_banned_too(self) -> None:
        self.act("kick", {"player": 1})
        code, answer = self.act("ban", {"player": 1, "seconds": 60})
        self.assertEqual(code, 200)
        self.assertIn("has left", answer["done"])
        self.server.connect("ada")
        self.assertEqual(self.server.host.refusals[8 + 1], 1)

    def test_one_who_left_so_long_ago_that_nothing_is_known_is_not_said_to_be_banned(self) -> None:
        self.act("kick", {"player": 1})
        self.server.host._came_as.forget(1)
        code, answer = self.act("ban", {"player": 1, "seconds": 60})
        self.assertEqual((code, answer), (404, {"error": "nobody who plays has the id 1"}))

    def test_a_line_of_chat_to_everybody_or_to_one(self) -> None:
        code, answer = self.act("say", {"text": "restart in 5 minutes"})
        self.assertEqual((code, answer), (200, {"done": "said to everybody"}))
        self.assertEqual(self.act("say", {"text": "psst", "player": 2})[1]["done"], "said to bob")
        said = [
            [
                frames.decode_said(frame)
                for kind, frame in self.heard(one)
                if kind is frames.Kind.SAY
            ]
            for one in (self.ada, self.bob)
        ]
        self.assertEqual([one[2] for one in said[0]], ["restart in 5 minutes"])
        self.assertEqual([one[2] for one in said[1]], ["restart in 5 minutes", "psst"])
        self.assertEqual(said[0][0][0], 0)  # from the server itself

    def test_draining_and_dumping_are_whatever_was_given(self) -> None:
        code, answer = self.act("drain")
        self.assertEqual((code, self.drained), (200, ["drain"]))
        self.assertIn("draining", answer["done"])
        code, answer = self.act("dump", {})
        self.assertEqual((code, answer), (200, {"done": "written: /var/log/gamenet/dump.json"}))

    def test_how_long_draining_may_take_and_why(self) -> None:
        given: list[Any] = []
        self.make_site(drain=lambda *words: given.append(words))
        self.act("drain", {"seconds": 30, "text": "an update"})
        self.act("drain", {"text": "now"})
        self.assertEqual(given, [(30.0, "an update"), (None, "now")])

    def test_what_can_not_be_done_now_is_refused_with_the_reason(self) -> None:
        def refuse(error: Exception) -> Any:
            def call(*words: Any) -> None:
                raise error

            return call

        self.make_site(drain=lambda: False, dump=refuse(GamenetError("the disk is full")))
        self.assertEqual(self.act("drain")[0], 409)
        self.assertEqual(self.act("dump"), (503, {"error": "the disk is full"}))
        self.make_site(drain=refuse(ValueError("no line of chat")))
        self.assertEqual(self.act("drain"), (400, {"error": "no line of chat"}))
        self.make_site(drain=refuse(GamenetError("not running")))
        self.assertEqual(self.act("drain"), (409, {"error": "not running"}))

    def test_one_that_fails_is_logged_and_not_shown(self) -> None:
        def drain() -> None:
            raise RuntimeError("secret")

        self.make_site(drain=drain)
        code, answer = self.act("drain")
        self.assertEqual((code, answer), (500, {"error": "the server's log says why"}))
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual(len(self.lines()), 1)
        self.assertIn("-> failed", self.lines()[0])


class OfferTests(ActionCase):
    def test_all_that_can_be_done_are_offered(self) -> None:
        self.assertEqual(self.status()["actions"], ["kick", "ban", "say", "drain", "dump"])

    def test_what_cannot_be_done_is_not(self) -> None:
        self.make_site(drain=None, dump=None)
        self.assertEqual(self.status()["actions"], ["kick", "ban", "say"])
        self.assertEqual(self.act("drain")[0], 404)

    def test_without_a_token_there_are_none(self) -> None:
        self.make_site(token="")
        self.assertEqual(self.status()["actions"], [])
        for token in (None, "", TOKEN):
            self.assertEqual(self.act("kick", {"player": 1}, token=token)[0], 404)
        self.assertEqual(len(self.status()["players"]), 2)

    def test_only_post_changes_anything(self) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS", "BREW"):
            self.act("kick", {"player": 1}, method=method)
            self.assertEqual((self.code, self.headers[b"allow"]), (405, b"POST"))
        self.assertEqual(len(self.status()["players"]), 2)
        self.assertEqual(self.lines(), [])


class WrongTests(ActionCase):
    def refused(self, code: int, name: str, body: Any, **more: Any) -> str:
        found, answer = self.act(name, body, **more)
        self.assertEqual(found, code, answer)
        self.assertEqual(list(answer), ["error"])
        self.assertEqual(len(self.status()["players"]), 2)
        text: str = answer["error"]
        return text

    def test_what_is_not_what_an_action_takes_is_refused_with_a_sentence(self) -> None:
        for name, body in (
            ("kick", b""),
            ("kick", b"{"),
            ("kick", b"\xff"),
            ("kick", b"[]"),
            ("kick", b"[" * 4_000),
            ("kick", {}),
            ("kick", {"player": "ada"}),
            ("kick", {"player": 0}),
            ("kick", {"player": 1 << 32}),
            ("kick", {"player": True}),
            ("kick", {"player": 1, "test": ""}),
            ("kick", {"player": 1, "text": "x" * 201}),
            ("ban", {"player": 1}),
            ("ban", {"player": 1, "seconds": 0}),
            ("ban", {"player": 1, "seconds": -1}),
            ("ban", {"player": 1, "seconds": 1e12}),
            ("ban", b'{"player":1,"seconds":1e999}'),
            ("ban", b'{"player":1,"seconds":NaN}'),
            ("say", {}),
            ("say", {"text": ""}),
            ("say", {"text": "\u200b"}),
            ("say", {"text": "x" * 501}),
            ("drain", {"seconds": 0}),
            ("drain", {"text": "x" * 401}),
            ("drain", {"when": 5}),
            ("dump", {"seconds": 5}),
        ):
            self.assertGreater(len(self.refused(400, name, body)), 20, body)
        self.assertEqual(self.drained, [])

    def test_a_player_who_is_not_there(self) -> None:
        for name, more in (("kick", {}), ("ban", {"seconds": 5}), ("say", {"text": "hi"})):
            text = self.refused(404, name, {"player": 77, **more})
            self.assertEqual(text, "nobody who plays has the id 77")

    def test_only_json_is_read(self) -> None:
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
            self.refused(415, "kick", {"player": 1}, kind=kind)

    def test_json_may_name_its_encoding(self) -> None:
        kind = "Application/JSON; charset=utf-8"
        self.assertEqual(self.act("kick", {"player": 1}, kind=kind)[0], 200)

    def test_a_body_is_bounded(self) -> None:
        # All that fits a line of chat fits, however it is spelled.
        self.assertEqual(self.act("say", {"text": "\u20ac" * 500})[0], 200)
        for size in (MAX_ACTION_BYTES + 1, 10**9):
            channel, transport = self.connect()
            channel.dataReceived(
                b"POST /api/say HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size
            )
            self.assertTrue(transport.value().startswith(b"HTTP/1.1 413 "))
            self.assertTrue(transport.disconnecting)


class TokenTests(ActionCase):
    def test_without_the_right_token_nothing_is_done(self) -> None:
        for token in (None, "", "x", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "é" * 28):
            code, answer = self.act("kick", {"player": 1}, token=token)
            self.assertEqual(code, 401, token)
            self.assertEqual(self.headers[b"www-authenticate"], b"Bearer")
            self.assertIn("--status-token", answer["error"])
        self.assertEqual(len(self.status()["players"]), 2)

    def test_other_ways_to_authenticate_are_none(self) -> None:
        for header in (f"Basic {TOKEN}", TOKEN, f"Bearer{TOKEN}", f"Bearer  x{TOKEN}"):
            code, _ = self.act(
                "kick", {"player": 1}, token=None, headers=(f"Authorization: {header}",)
            )
            self.assertEqual(code, 401, header)

    def test_tokens_are_compared_in_constant_time(self) -> None:
        from gamenet.metrics import guard

        compared: list[Any] = []
        compare = guard.compare_digest

        def noted(one: bytes, other: bytes) -> bool:
            compared.append((one, other))
            return compare(one, other)

        self.patch(guard, "compare_digest", noted)
        self.act("kick", {"player": 1}, token="wrong")
        self.act("kick", {"player": 1})
        self.assertEqual(compared, [(b"wrong", TOKEN.encode()), (TOKEN.encode(), TOKEN.encode())])

    def test_guessing_is_slowed_down(self) -> None:
        codes = [self.act("kick", {"player": 1}, token="wrong")[0] for _ in range(50)]
        self.assertEqual(codes, [401] * (ATTEMPTS + 1) + [429] * (49 - ATTEMPTS))
        # The right one is not even looked at, or guessing would go on.
        self.assertEqual(self.act("kick", {"player": 1})[0], 429)
        self.assertGreaterEqual(int(self.headers[b"retry-after"]), 1)
        self.clock.advance(1 / ATTEMPTS_PER_SECOND)
        self.assertEqual(self.act("kick", {"player": 1})[0], 200)

    def test_the_log_has_one_line_for_all_of_it(self) -> None:
        for _ in range(50):
            self.act("kick", {"player": 1}, token="wrong")
        self.assertEqual(
            self.lines(),
            ["status action by 10.0.0.9: kick -> refused: no token, or a wrong one (1 such)"],
        )


class OriginTests(ActionCase):
    def code_from(self, *headers: str, **more: Any) -> int:
        return self.act("say", {"text": "hi"}, headers=headers, **more)[0]

    def test_our_own_page_may(self) -> None:
        for headers in (
            (),
            ("Origin: http://localhost:9777",),
            ("Origin: http://localhost:9777", "Sec-Fetch-Site: same-origin"),
            ("Origin: https://LOCALHOST:9777",),
        ):
            self.assertEqual(self.code_from(*headers), 200, headers)

    def test_other_pages_may_not(self) -> None:
        for headers in (
            ("Origin: http://evil.example",),
            ("Origin: null",),
            ("Origin: http://localhost:9778",),
            ("Origin: file://localhost:9777",),
            ("Origin: http://localhost:9777.evil.example",),
            ("Sec-Fetch-Site: cross-site",),
            ("Sec-Fetch-Site: same-site",),
            ("Sec-Fetch-Site: none",),
            ("Origin: http://localhost:9777", "Sec-Fetch-Site: cross-site"),
        ):
            self.assertEqual(self.code_from(*headers), 403, headers)

    def test_behind_a_proxy_the_name_that_was_given_is_ours(self) -> None:
        self.make_site(hosts=("status.example.org",))
        origin = "Origin: https://status.example.org"
        self.assertEqual(self.code_from(origin, host="127.0.0.1:9777"), 200)
        self.assertEqual(self.code_from(origin, host="status.example.org"), 200)
        self.assertEqual(self.code_from("Origin: https://evil.example", host="127.0.0.1"), 403)


class AuditTests(ActionCase):
    def test_who_did_what_to_whom_and_what_came_of_it(self) -> None:
        self.act("kick", {"player": 1, "text": "bye"})
        self.act("kick", {"player": 1})
        self.assertEqual(
            self.lines(),
            [
                "status action by 10.0.0.9:4000: kick {'player': 1, 'text': 'bye'} -> ada is out",
                "status action by 10.0.0.9:4000: kick {'player': 1, 'text': ''} -> refused: nobody "
                "who plays has the id 1",
            ],
        )

    def test_what_was_typed_cannot_make_up_lines(self) -> None:
        self.act("say", {"text": "a\nstatus action by root\x1b[2J\u202eé"})
        (line,) = self.lines()
        self.assertTrue(line.isprintable() and line.isascii(), line)

    def test_a_field_that_is_unknown_cannot_make_up_lines(self) -> None:
        self.act("kick", {"player": 1, "x\nstatus action by root\x1b[2J\u202e": 1})
        (line,) = self.lines()
        self.assertIn("unknown field", line)
        self.assertTrue(line.isprintable(), line)

    def test_the_token_is_in_no_line_and_no_answer(self) -> None:
        self.act("kick", {"player": 1})
        self.act("kick", {"player": 1}, token=TOKEN + "x")
        self.status()
        everything = repr([str(formatEvent(event)) for event in self.events])
        self.assertNotIn(TOKEN, everything + repr(Access((), TOKEN)))


class FileTests(SiteTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.path = Path(self.mktemp())
        self.path.write_text(TOKEN + "\n")
        self.path.chmod(0o600)

    def refused(self) -> str:
        error = self.assertRaises(ConfigError, read_token, str(self.path))
        self.assertEqual(error.field, "status-token")
        self.assertIn(str(self.path), str(error))
        return str(error)

    def test_the_token_is_the_word_in_the_file(self) -> None:
        self.assertEqual(read_token(str(self.path)), TOKEN)
        found = read_access(None, str(self.path), is_served=True)
        self.assertEqual(found.token, TOKEN.encode())

    def test_one_that_others_can_read_is_refused_with_the_cure(self) -> None:
        if os.name != "posix":
            return
        self.path.chmod(0o644)
        text = self.refused()
        self.assertIn("the token in", text)
        self.assertIn(f"chmod 600 {self.path}", text)

    def test_what_is_no_token_is_refused_with_how_to_make_one(self) -> None:
        for content in (b"", b"\n", b"short", b"two words of it all", b"x" * 300, b"\xff" * 20):
            self.path.write_bytes(content)
            self.assertIn("secrets.token_hex", self.refused())
        self.path.unlink()
        self.assertIn("No such file", self.refused())

"""``gamenet top``: what it makes of a status site, and of what is none."""

from __future__ import annotations

import contextlib
import io
import socket
import sys
import threading
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet import top
from gamenet.errors import ConfigError
from gamenet.top import COLUMNS, NoAnswer, Site, View, run_top, text, view

PLAYER = {
    "id": 1, "name": "ada", "suspended": False, "path": "udp", "label": "good",
    "rtt_seconds": 0.0123, "jitter_seconds": 0.001, "loss_in": 0.0, "loss_out": 0.051,
    "bytes_in": 1_000, "bytes_out": 20_000, "queued_messages": 2,
}  # fmt: skip


def site(seconds: float = 3_661.0, **more: Any) -> dict[str, Any]:
    return {
        "game": "tag/1", "version": "0.1", "uptime_seconds": seconds, "cpu_seconds": seconds / 4,
        "players": [PLAYER], "suspended": 0, "stalled": False, "errors": 0,
        "ticks": {"rate": 30, "per_second": 29.97, "late_p99_ms": 0.4},
        "drops": {"drop_datagram_forged": 0}, "refusals": {"FULL": 0}, **more,
    }  # fmt: skip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class ViewTests(SynchronousTestCase):
    def test_ratesAreWhatCameSinceTheLookBefore(self) -> None:
        later = site(3_663.0, players=[PLAYER | {"bytes_in": 3_000, "bytes_out": 21_000}])
        shown = view(later, site())
        self.assertEqual(
            shown.lines,
            (
                "tag/1, gamenet 0.1, running, up 1:01:03, CPU 25%",
                "1 players, 1 by UDP, 0 suspended; 30.0 of 30 ticks/s, 99 % at most 0.40 ms late; "
                "0 errors",
            ),
        )
        self.assertEqual(
            shown.rows,
            (("ada", "udp", "good", "12.3", "1.0", "0.0%", "5.1%", "1,000", "500", "2"),),
        )

    def test_theFirstLookKnowsNoRates(self) -> None:
        shown = view(site(), None)
        self.assertIn("CPU ?", shown.lines[0])
        self.assertEqual(shown.rows[0][7:9], ("?", "?"))

    def test_aNewcomerHasNoRatesAndTheWorstIsFirst(self) -> None:
        late = PLAYER | {"id": 2, "name": "bob", "rtt_seconds": 0.2}
        unknown = PLAYER | {"id": 3, "name": "cyd", "rtt_seconds": None, "suspended": True}
        shown = view(site(3_662.0, players=[unknown, PLAYER, late]), site())
        self.assertEqual([row[0] for row in shown.rows], ["bob", "ada", "cyd"])
        self.assertEqual([row[7] for row in shown.rows], ["?", "0", "?"])
        self.assertEqual(shown.rows[2][1:4], ("away", "good", "?"))

    def test_causesAreShownOnceTheyCountWithWhatCame(self) -> None:
        before = site(drops={"drop_datagram_forged": 2})
        now = site(drops={"drop_datagram_forged": 1_005, "drop_x": 1}, refusals={"FULL": 3})
        self.assertEqual(
            view(now, before).lines[2:],
            ("drops: drop_datagram_forged 1,005 (+1,003), drop_x 1 (+1)", "refusals: full 3 (+3)"),
        )

    def test_whatIsNotRightIsTold(self) -> None:
        self.assertIn("draining", view(site(draining=True), None).lines[0])
        self.assertIn("stalled", view(site(stalled=True), None).lines[0])
        shown = view(site(draining=True, drain_seconds_left=95.4), None)
        self.assertIn("draining, 0:01:35 left, up", shown.lines[0])

    def test_aSiteOfAnotherVersionIsAnErrorAndNotATraceback(self) -> None:
        for broken in (site(ticks=None), site(players=[{}]), {"players": []}):
            self.assertRaises(NoAnswer, view, broken, None)

    def test_aNameIsNoMoreThanLetters(self) -> None:
        evil = PLAYER | {"name": "\x1b[2Jevil\x07[red]" + "x" * 100}
        shown = view(site(players=[evil]), None)
        for out in (text(shown), drawn(shown)):
            self.assertNotIn("\x1b[2J", out)
            self.assertNotIn("\x07", out)
            self.assertIn("[red]", out)
            self.assertNotIn("x" * 30, out)

    def test_theWordIsThereBesideTheColour(self) -> None:
        poor = PLAYER | {"label": "poor"}
        shown = view(site(players=[poor]), None)
        with patch.dict("os.environ", {"TERM": "xterm"}):
            self.assertIn("\x1b[31mpoor", drawn(shown))
        with patch.dict("os.environ", {"TERM": "xterm", "NO_COLOR": "1"}):
            self.assertNotIn("\x1b[31m", drawn(shown))
            self.assertIn("poor", drawn(shown))


def drawn(shown: View) -> str:
    """As rich draws it on a terminal."""
    from rich.console import Console

    file = io.StringIO()
    Console(file=file, width=120, force_terminal=True).print(top._drawn(shown))
    return file.getvalue()


class RunTests(SynchronousTestCase):
    def look(self, *answers: Any) -> None:
        """What the site answers, one after another."""
        left = list(answers)

        def look(site: Site) -> Any:
            found = left.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        self.patch(Site, "look", look)

    def test_elsewhereThanOnATerminalEachLookIsABlock(self) -> None:
        self.look(site(), site(3_662.0))
        out = io.StringIO()
        run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        blocks = out.getvalue().strip("\n").split("\n\n")
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            self.assertEqual(block.splitlines()[2].split(), " ".join(COLUMNS).split())
            self.assertIn("ada", block)
        self.assertNotIn("\x1b", out.getvalue())

    def test_aTerminalKeepsItsPlace(self) -> None:
        self.look(site(), site(3_662.0))
        out = Terminal()
        with patch.dict("os.environ", {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}):
            run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        self.assertIn("\x1b[?1049h", out.getvalue(), "the other screen")
        self.assertIn("\x1b[?1049l", out.getvalue(), "and back")
        self.assertIn("ada", out.getvalue())

    def test_aTerminalThatCannotMoveHasBlocks(self) -> None:
        self.look(site())
        out = Terminal()
        with patch.dict("os.environ", {"TERM": "dumb"}):
            run_top("127.0.0.1:9777", lambda: False, out, looks=1)
        self.assertNotIn("\x1b", out.getvalue())
        self.assertIn("ada", out.getvalue())

    def test_withoutRichATerminalHasBlocks(self) -> None:
        self.look(site())
        out = Terminal()
        with (
            patch.dict("os.environ", {"TERM": "xterm"}),
            patch.dict(sys.modules, {"rich.console": None, "rich.live": None}),
        ):
            run_top("127.0.0.1:9777", lambda: False, out, looks=1)
        self.assertNotIn("\x1b", out.getvalue())
        self.assertIn("ada", out.getvalue())

    def test_aServerThatGoesIsAskedAgain(self) -> None:
        self.look(site(), NoAnswer("it is gone"), NoAnswer("it is gone"), site(3_700.0))
        out = io.StringIO()
        run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        self.assertEqual(out.getvalue().count("it is gone\ntrying again; Ctrl-C ends this"), 2)
        self.assertEqual(out.getvalue().count("ada"), 2)

    def test_oneThatIsNotThereAtFirstIsTheEnd(self) -> None:
        self.look(NoAnswer("nothing listens"))
        self.assertRaises(NoAnswer, run_top, "127.0.0.1:9777", lambda: False, io.StringIO())

    def test_ctrlCEndsIt(self) -> None:
        self.look(site())
        asked: list[bool] = []

        def interrupted() -> bool:
            asked.append(True)
            return len(asked) > 1

        run_top("127.0.0.1:9777", interrupted, io.StringIO(), seconds=60.0)
        self.assertEqual(len(asked), 2)

    def test_addresses(self) -> None:
        self.assertRaises(ConfigError, Site, "host:" + "9" * 5_000)
        for address in ("9777", "host:", ":9777", "host:x", "host:99999", "", "http://"):
            error = self.assertRaises(ConfigError, Site, address)
            self.assertIn("such as 127.0.0.1:9777", str(error))
        self.assertEqual(Site("http://127.0.0.1:9777/api/status").name, "127.0.0.1:9777")
        self.assertEqual(Site("[::1]:9777")._host, "::1")


class LookTests(SynchronousTestCase):
    """What can go wrong with asking, as a sentence."""

    def test_whateverFailsIsOneSentence(self) -> None:
        for error, expected in (
            (ConnectionRefusedError(111, "Connection refused"), "nothing listens at 1.2.3.4:5"),
            (TimeoutError("timed out"), "1.2.3.4:5 does not answer within 5 s"),
            (OSError(113, "No route to host"), "cannot reach 1.2.3.4:5: No route to host"),
            (ConnectionResetError(104, "reset"), "is not a status site of gamenet's"),
            (BrokenPipeError(32, "Broken pipe"), "is not a status site of gamenet's"),
            (top.http.client.BadStatusLine("x"), "is not a status site of gamenet's"),
        ):
            with (
                patch.object(top.http.client.HTTPConnection, "connect"),
                patch.object(top.http.client.HTTPConnection, "request", side_effect=error),
            ):
                raised = self.assertRaises(NoAnswer, Site("1.2.3.4:5").look)
            self.assertIn(expected, str(raised))

    def test_whatTheSiteItselfRefusesIsHandedOn(self) -> None:
        for body, expected in (
            (b'{"error": "ask by\\n address"}', "game:9777 refuses: ask by address"),
            (b'{"error": 5}', "is not a status site of gamenet's"),
        ):
            answer = SimpleNamespace(status=421, read=lambda most, body=body: body)
            with (
                patch.object(top.http.client.HTTPConnection, "connect"),
                patch.object(top.http.client.HTTPConnection, "request"),
                patch.object(top.http.client.HTTPConnection, "getresponse", return_value=answer),
            ):
                raised = self.assertRaises(NoAnswer, Site("game:9777").look)
            self.assertIn(expected, str(raised))

    def test_anAnswerWithoutEndIsCut(self) -> None:
        self.patch(top, "ANSWER_SECONDS", 0.2)
        with Trickle() as trickle:
            site = Site(trickle.address)
            error = self.assertRaises(NoAnswer, site.look_until, lambda: False)
        self.assertIn("does not answer within", str(error))
        self.assertTrue(trickle.is_cut)

    def test_ctrlCDoesNotWaitForTheAnswer(self) -> None:
        with Trickle() as trickle:
            run_top(trickle.address, trickle.is_asked.is_set, io.StringIO())
        self.assertTrue(trickle.is_cut)

    def test_bracketsWithoutEndAreNoSiteOfOurs(self) -> None:
        with Trickle(b"[" * 100_000) as trickle:
            error = self.assertRaises(NoAnswer, Site(trickle.address).look)
        self.assertIn("is not a status site of gamenet's", str(error))


class Trickle:
    """A site whose answer is *body*, or a byte now and then until the other side goes."""

    def __init__(self, body: bytes = b"") -> None:
        self._body = body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.is_asked = threading.Event()
        self.is_cut = False
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Trickle:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._thread.join(10.0)
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.recv(4_096)
            length = len(self._body) or 100_000
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"
            connection.sendall(head.encode() + self._body)
            self.is_asked.set()
            if self._body:
                return
            connection.settimeout(0.02)
            with contextlib.suppress(ConnectionError):
                while not self.is_cut:
                    connection.sendall(b" ")
                    with contextlib.suppress(TimeoutError):
                        self.is_cut = connection.recv(1) == b""
            self.is_cut = True

"""``gamenet discover``: what it prints of what was found."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from typing import Self
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet.cli import main
from gamenet.discovery import Found

PIN = "ab" * 32
ROOM = Found(
    name="Room 12",
    game="tag/1",
    address=f"gamenet://10.0.0.20:7777#sha256={PIN}",
    host="10.0.0.20",
    port=7777,
    pin=PIN,
    players=3,
    max_players=8,
    secure=True,
    needs_proof=False,
    is_open=True,
    is_known=True,
)


class Finder:
    """A browser of a network on which just these servers are."""

    found: tuple[Found, ...] = ()
    problem = ""
    asked: list[str]

    def __init__(self, game: str) -> None:
        Finder.asked = [game]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def servers(self) -> list[Found]:
        return list(self.found)


class DiscoverTests(SynchronousTestCase):
    def run_it(self, *arguments: str, found: tuple[Found, ...] = (), problem: str = "") -> int:
        out, err = io.StringIO(), io.StringIO()
        self.patch(Finder, "found", found)
        self.patch(Finder, "problem", problem)
        with (
            patch("gamenet.discovery.Browser", Finder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            status = main(["discover", "--seconds", "0.1", *arguments])
        self.out, self.err = out.getvalue(), err.getvalue()
        return status

    def test_aTable(self) -> None:
        other = replace(ROOM, name="Zażółć", game="", address="10.0.0.21:7777", max_players=256)
        self.assertEqual(self.run_it("--game", "tag/1", found=(ROOM, other)), 0)
        self.assertEqual(
            self.out.splitlines(),
            [
                "NAME     GAME   PLAYERS",
                "Room 12  tag/1  3/8",
                f"  gamenet://10.0.0.20:7777#sha256={PIN}",
                "Zażółć   -      3/256",
                "  10.0.0.21:7777",
            ],
        )
        self.assertEqual(self.err, "")
        self.assertEqual(Finder.asked, ["tag/1"])

    def test_whatToKnowFirst(self) -> None:
        for changes, note in (
            ({"needs_proof": True}, "password or ticket"),
            ({"secure": False}, "join with --insecure"),
            ({"players": 8}, "full"),
            ({"is_open": False}, "lets nobody in at the moment"),
            ({"is_known": False}, "speaks another version of the protocol"),
            ({"players": 9, "secure": False}, "join with --insecure, full"),
        ):
            self.assertEqual(self.run_it(found=(replace(ROOM, **changes),)), 0)  # type: ignore[arg-type]
            self.assertTrue(self.out.splitlines()[1].endswith(f"  {note}"), self.out)

    def test_aTerminalThatHasNotAllLetters(self) -> None:
        self.patch(Finder, "found", (replace(ROOM, name="Zażółć \N{GAME DIE}", game="g" * 255),))
        out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        with patch("gamenet.discovery.Browser", Finder), contextlib.redirect_stdout(out):
            self.assertEqual(main(["discover", "--seconds", "0.1"]), 0)
        out.seek(0)
        self.assertEqual(out.read().splitlines()[1].split(), ["Za????", "?", "g" * 32, "3/8"])

    def test_jsonHasAllOfIt(self) -> None:
        self.assertEqual(self.run_it("--json", found=(ROOM,)), 0)
        self.assertEqual(self.out.count("\n"), 1)
        (server,) = json.loads(self.out)["servers"]
        self.assertEqual(Found(**server), ROOM)

    def test_whyNobodyCanBeAsked(self) -> None:
        self.assertEqual(self.run_it(problem="the cable is out"), 1)
        self.assertEqual((self.out, self.err), ("", "gamenet discover: the cable is out\n"))

    def test_ctrlCEndsIt(self) -> None:
        with patch("gamenet.cli_discover.time.sleep", side_effect=KeyboardInterrupt):
            self.assertEqual(self.run_it(found=(ROOM,)), 130)
        self.assertEqual((self.out, self.err), ("", ""))

    def test_aMistakeIsOneLine(self) -> None:
        for arguments, expected in (
            (("--seconds", "0"), "'0' is not a number of seconds from 0.1 to 60"),
            (("here",), "it takes no 'here'"),
        ):
            self.assertEqual(self.run_it(*arguments), 1)
            self.assertIn(expected, self.err)
            self.assertEqual((self.out, self.err.count("\n")), ("", 1))

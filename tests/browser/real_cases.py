"""The page of a real server with real players."""

from __future__ import annotations

import json
import re
import tempfile
import unittest
from pathlib import Path
from typing import TYPE_CHECKING

from tests.browser.stage import TOKEN, daemon, player
from tests.browser.webdriver import shared

if TYPE_CHECKING:
    from tests.live.daemon import Daemon

NAMES = "return [...document.querySelectorAll('td.name')].map(cell => cell.textContent)"
IMAGES = "return document.querySelectorAll('img, script:not([src])').length"
COLOURS = """
    const map = document.getElementById("map");
    const pixels = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
    return new Set(new Uint32Array(pixels.buffer)).size;
"""
HOSTILE_NAMES = ("__proto__", "constructor", "-..-")
HOSTILE = "<img src=x onerror=\"window.ran='img'\"><script>window.ran='script'</script>"
GONE = re.compile(r"api/status(\?history=no)? - Failed to load resource: net::ERR_")


class RealCase(unittest.TestCase):
    """A browser that looks at ``server``."""

    server: Daemon
    folder: Path

    def setUp(self) -> None:
        self.browser = shared()
        self.expected = ""
        """What the console may be told, besides nothing."""
        self.browser.open(f"http://{self.server.status}/")
        self.wait_for_link("live")

    def tearDown(self) -> None:
        """Whatever a test did: no error, no refused script or style, no script of a stranger."""
        self.assertIsNone(self.browser.ask("return window.ran ?? null"))
        self.assertEqual(self.browser.ask(IMAGES), 0)
        self.browser.open("about:blank")
        complaints = self.browser.complaints()
        if self.expected:
            complaints = [line for line in complaints if not re.search(self.expected, line)]
        self.assertEqual(complaints, [])

    def wait_for_link(self, state: str) -> None:
        self.browser.wait(
            f"a page that is {state}",
            lambda: self.browser.ask("return document.body.dataset.link") == state,
        )

    def wait_for_names(self, *names: str) -> None:
        """Until all of them are in the table."""
        self.browser.wait(f"{names}", lambda: set(names) <= set(self.browser.ask(NAMES)))

    def wait_for_answer(self, text: str) -> None:
        self.browser.wait(text, lambda: text in self.browser.text("#answers"))


class PageTests(RealCase):
    """What does not hurt other players: one server for all."""

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.server = cls.enterClassContext(daemon(cls.folder))

    def test_aPlayerAppearsAndItsRoundTripChanges(self) -> None:
        with player(self.server.address, "ada"):
            self.wait_for_names("ada")
            self.browser.type("#filter", "ada")
            row = "#rows tr:not([hidden])"
            cell = f"{row} td.graph span"
            known = re.compile(r"[\d.]+ ms")
            self.browser.wait("a time", lambda: known.fullmatch(self.browser.text(cell)))
            first = self.browser.text(cell)
            self.browser.wait(
                "another time",
                lambda: self.browser.text(cell) != first and known.match(self.browser.text(cell)),
            )
            line = "return document.querySelector(arguments[0]).getAttribute('d')"
            self.browser.wait("a graph", lambda: self.browser.ask(line, f"{row} svg path"))
            self.assertIn(self.browser.text(f"{row} td.path"), ("udp", "tcp"))
            self.browser.wait("types", lambda: "out state" in self.browser.text("#types"))
        # Its process was killed, and the server keeps its place for a while.
        self.browser.wait(
            "a silent player", lambda: self.browser.text(f"{row} td.label") == "suspended"
        )

    def test_theMapShowsTheHero(self) -> None:
        with player(self.server.address, "zoe"):
            self.wait_for_names("zoe")
            self.browser.wait("heroes", lambda: self.browser.text("#world-note"))
            # Ground, wall, water and bridge; then the hero, its rim, and its name.
            self.browser.wait("a drawn map", lambda: self.browser.ask(COLOURS) > 6)

    def test_aKickedPlayerDisappears(self) -> None:
        with player(self.server.address, "eve") as eve, player(self.server.address, "bob"):
            self.wait_for_names("eve", "bob")
            self.browser.type("#token", TOKEN)
            self.browser.click("button[aria-label='Kick eve']")
            self.wait_for_answer("Kick eve: eve is out")
            self.browser.wait("no eve", lambda: "eve" not in self.browser.ask(NAMES))
            self.assertIn("bob", self.browser.ask(NAMES))
            eve.wait_for("over KICKED")

    def test_hostileTextStaysText(self) -> None:
        with (
            player(self.server.address, HOSTILE_NAMES[0]) as first,
            player(self.server.address, HOSTILE_NAMES[1]),
            player(self.server.address, HOSTILE_NAMES[2]),
        ):
            self.wait_for_names(*HOSTILE_NAMES)
            self.browser.type("#token", TOKEN)
            self.browser.type("#say-text", HOSTILE)
            self.browser.click("#say button")
            self.wait_for_answer("Say: ")
            first.wait_for(HOSTILE)
            self.assertEqual(
                self.browser.ask("return document.querySelector('#say-text').value"), ""
            )

    def test_aWrongTokenIsRefused(self) -> None:
        self.expected = "401"
        self.browser.type("#token", "not the token")
        self.browser.type("#say-text", "hello")
        self.browser.click("#say button")
        self.wait_for_answer("--status-token")
        self.assertEqual(
            self.browser.ask("return document.querySelector('#say-text').value"), "hello"
        )
        self.browser.type("#token", TOKEN)
        self.browser.click("#say button")
        self.wait_for_answer("said to everybody")

    def test_theFlightRecorderIsDumpedAndThereIsARecord(self) -> None:
        with player(self.server.address, "ada"):
            self.wait_for_names("ada")
            self.browser.type("#token", TOKEN)
            self.browser.click("#dump")
            self.wait_for_answer("Dump: written: ")
        answer = self.browser.text("#answers li")
        record = Path(self.folder, answer.partition("written: ")[2])
        lines = [json.loads(line) for line in record.read_text(encoding="ascii").splitlines()]
        self.assertEqual((lines[0]["kind"], lines[0]["reason"]), ("record", "asked"))
        self.assertIn("ada", str(lines))

    def test_eachAnswerOfTheServerAddsAPointToTheGraphs(self) -> None:
        with player(self.server.address, "ivy"):
            self.wait_for_names("ivy")
            self.browser.type("#filter", "ivy")
            points = """
                const row = document.querySelector("#rows tr:not([hidden])");
                return row?.querySelector("svg path")?.getAttribute("d")?.split("L").length ?? 0;
            """
            first = self.browser.wait("a point", lambda: self.browser.ask(points))
            self.browser.wait("more", lambda: self.browser.ask(points) > first + 1)


class ServerTests(RealCase):
    """What a server is of no more use after: one for each."""

    def setUp(self) -> None:
        self.folder = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.server = self.enterContext(daemon(self.folder))
        super().setUp()

    def test_aBannedPlayerStaysOut(self) -> None:
        with player(self.server.address, "ada") as ada:
            self.wait_for_names("ada")
            self.browser.type("#token", TOKEN)
            self.browser.click("button[aria-label='Ban… ada']")
            self.browser.click("#ask-yes")
            self.wait_for_answer("Ban ada: ada is out for 600 s")
            ada.wait_for("over ")
        with player(self.server.address, "ada") as again:
            again.wait_for("refused BANNED")
        self.browser.wait("the refusal", lambda: "banned" in self.browser.text("#refusals"))

    def test_thePageSaysWhenTheServerIsGoneAndGoesOnWhenItIsBack(self) -> None:
        self.expected = GONE.pattern
        with player(self.server.address, "ada"):
            self.wait_for_names("ada")
            self.server.__exit__()
            self.wait_for_link("gone")
            self.assertIn("No answer from the server since", self.browser.text("#link"))
            self.assertTrue(self.browser.ask("return document.title.startsWith('✕')"))
            faded = "return getComputedStyle(document.getElementById('players')).opacity < 1"
            self.browser.wait("a faded page", lambda: self.browser.ask(faded))
            port = self.server.status.rpartition(":")[2]
            with daemon(self.folder, f"tcp:{port}:interface=127.0.0.1"):
                self.wait_for_link("live")
                self.assertEqual(self.browser.ask(NAMES), [])
                self.assertFalse(self.browser.ask("return document.title.startsWith('✕')"))
                self.browser.open("about:blank")

    def test_aDrainIsSeenAndPlayersAreTold(self) -> None:
        with player(self.server.address, "ada") as ada:
            self.wait_for_names("ada")
            self.browser.type("#token", TOKEN)
            self.browser.click("#drain")
            self.browser.click("#ask-yes")
            self.wait_for_answer("Drain: draining")
            self.browser.wait("the badge", lambda: "draining" in self.browser.text("#badges"))
            ada.wait_for("heard Maintenance is due.")
            with player(self.server.address, "bob") as bob:
                bob.wait_for("refused DRAINING")
            self.browser.wait("a refusal", lambda: "draining" in self.browser.text("#refusals"))

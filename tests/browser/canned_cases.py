"""The page before a server that does not exist, which can be what no real one would."""

from __future__ import annotations

import unittest

from tests.browser.canned import CannedSite
from tests.browser.made_up import POINTS, MadeUpServer
from tests.browser.webdriver import Browser, shared

HOSTILE = (
    "<img src=x onerror=\"window.ran='img'\">",
    "<script>window.ran='script'</script>",
    "javascript:window.ran='link'",
    "__proto__",
    "constructor",
    "' onclick='window.ran=1' x='",
    "</td></tr></table><h1>",
)
ROWS = "return document.querySelectorAll('#rows tr').length"
ORDER = "return [...document.querySelectorAll('#rows tr')].map(row => Number(row.dataset.player))"
NAMES = "return [...document.querySelectorAll('td.name')].map(cell => cell.textContent)"
FOREIGN = "return document.querySelectorAll('img, iframe, object, embed, h1:not(#game)').length"
NONE = "\u2013"
ESCAPE = "\ue00c"
TAB = "\ue004"


class CannedCase(unittest.TestCase):
    """The browser, and a site for each test."""

    players = 30
    names: tuple[str, ...] = ()
    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        cls.browser = shared()

    def setUp(self) -> None:
        self.server = MadeUpServer(self.players, self.names)
        self.site = self.enterContext(CannedSite(self.server.status))
        self.open()

    def tearDown(self) -> None:
        """Whatever a test did: no error, no refused script or style, no script of a stranger."""
        self.assertIsNone(self.browser.ask("return window.ran ?? null"))
        # A page left open would go on asking a site that is gone.
        self.browser.open("about:blank")
        self.assertEqual(self.complaints(), [])

    def complaints(self) -> list[str]:
        return self.browser.complaints()

    def open(self) -> None:
        self.browser.open(self.site.address)
        self.wait_for_rows(len(self.server.ids))

    def wait_for_rows(self, count: int) -> None:
        self.browser.wait(f"{count} rows", lambda: self.browser.ask(ROWS) == count)

    def wait_for_polls(self, count: int) -> None:
        """Until the page has shown that many further answers."""
        end = self.site.polls + count + 1
        self.browser.wait("answers", lambda: self.site.polls >= end)

    def wait_for_answer(self, text: str) -> None:
        self.browser.wait(text, lambda: text in self.browser.text("#answers"))


class TextTests(CannedCase):
    players = len(HOSTILE)
    names = HOSTILE

    def test_hostileNamesStayText(self) -> None:
        self.assertEqual(sorted(self.browser.ask(NAMES)), sorted(HOSTILE))
        self.browser.click("td.name button")
        self.assertIn(self.browser.text("#one-title"), HOSTILE)
        self.browser.press(ESCAPE)
        self.browser.click("button.ban")
        self.assertIn("Ban ", self.browser.text("#ask-title"))
        self.browser.press(ESCAPE)
        self.assertEqual(self.browser.ask(FOREIGN), 0)

    def test_whatTheServerSaysStaysText(self) -> None:
        self.server.more = {
            "game": HOSTILE[0],
            "version": HOSTILE[1],
            "drops": {HOSTILE[0]: 7, "__proto__": 8},
            "refusals": {HOSTILE[1]: 9},
        }
        self.site.reply = (200, {"done": HOSTILE[0]})
        self.browser.wait("the name", lambda: self.browser.text("#game") == HOSTILE[0])
        self.browser.type("#token", "secret")
        self.browser.type("#say-text", HOSTILE[1])
        self.browser.click("#say button")
        self.wait_for_answer(HOSTILE[0])
        self.assertEqual(self.site.posted[0][2], {"text": HOSTILE[1]})
        self.browser.wait("9 refusals", lambda: "9" in self.browser.text("#refusals"))
        self.assertEqual(self.browser.ask(FOREIGN), 0)


class TableTests(CannedCase):
    def test_rowsGoOnWithoutBeingMadeAnew(self) -> None:
        self.browser.ask("""
            window.changes = 0;
            new MutationObserver(list => { window.changes += list.length; })
                .observe(document.getElementById("rows"), { childList: true });
            window.first = document.querySelector("#rows tr");
        """)
        before = self.browser.ask("return window.first.textContent")
        self.wait_for_polls(3)
        self.assertNotEqual(self.browser.ask("return window.first.textContent"), before)
        self.assertEqual(self.browser.ask("return window.changes"), 0)
        self.server.leave(7)
        self.wait_for_rows(self.players - 1)
        self.assertEqual(self.browser.ask("return window.changes"), 1)

    def test_sortsAndFilters(self) -> None:
        self.assertEqual(self.browser.ask(ORDER), self.server.ids)
        self.browser.click("th.few button")
        queued = "return [...document.querySelectorAll('td.few')].map(cell => +cell.textContent)"
        found = self.browser.ask(queued)
        self.assertEqual(found, sorted(found, reverse=True))
        self.assertEqual(
            self.browser.ask("return document.querySelector('th.few').ariaSort"), "descending"
        )
        self.browser.click("th.few button")
        found = self.browser.ask(queued)
        self.assertEqual(found, sorted(found))
        self.browser.type("#filter", "TCP player-")
        shown = "return document.querySelectorAll('#rows tr:not([hidden])').length"
        self.assertEqual(self.browser.ask(shown), 3)
        self.assertEqual(self.browser.text("#shown"), "3 of 30")
        self.browser.type("#filter", "nobody at all")
        self.assertEqual(self.browser.ask(shown), 0)
        self.assertIn("Nobody matches", self.browser.text("#nobody"))

    def test_showsAViewOfAnotherKindAsText(self) -> None:
        self.server.more = {"view": {"kind": HOSTILE[0], "round": 7}}
        self.browser.wait("the view", lambda: '"round": 7' in self.browser.text("#view"))
        self.assertEqual(self.browser.ask(FOREIGN), 0)
        self.server.more = {"view": None}
        hidden = "return document.getElementById('world').hidden"
        self.browser.wait("no view", lambda: self.browser.ask(hidden))
        self.server.more = {}
        self.browser.wait("the map", lambda: "heroes" in self.browser.text("#world-note"))

    def test_rowsHoldStillUnderThePointer(self) -> None:
        self.browser.click("th.graph button")
        self.browser.point("#rows tr:nth-child(3) td.path")
        self.wait_for_polls(1)
        order = self.browser.ask(ORDER)
        for number in self.server.ids:
            self.server.names[number] = f"renamed-{number}"
        self.server.ids.reverse()
        self.wait_for_polls(3)
        self.assertEqual(self.browser.ask(ORDER), order)
        self.browser.point("#game")
        self.browser.wait("another order", lambda: self.browser.ask(ORDER) != order)

    def test_onePlayerIsLookedAt(self) -> None:
        self.browser.click("tr[data-player='4'] td.name button")
        self.assertEqual(self.browser.text("#one-title"), "player-4")
        self.assertIn("in state ack", self.browser.text("#one-body"))
        self.assertIn("rtt min", self.browser.text("#one-body"))
        self.server.leave(4)
        self.browser.wait("the end", lambda: self.browser.text("#one-gone") == "has left")
        self.browser.press(ESCAPE)
        self.assertTrue(self.browser.ask("return document.getElementById('one').hidden"))

    def test_everythingCanBeReachedByTheKeyboard(self) -> None:
        reached = set()
        for _ in range(40):
            self.browser.press(TAB)
            reached.add(
                self.browser.ask("""
                    const at = document.activeElement;
                    return at.id || (at.closest("td, th")?.className + " " + at.className).trim();
                """)
            )
        wanted = {"token", "say-text", "drain", "dump", "filter", "name", "do kick", "do ban"}
        self.assertLessEqual(wanted, reached)


class ActionTests(CannedCase):
    def test_nothingIsSentWithoutAToken(self) -> None:
        self.browser.click("button.kick")
        self.wait_for_answer("type the token first")
        self.assertEqual(self.browser.ask("return document.activeElement.id"), "token")
        self.assertEqual(self.site.posted, [])

    def test_kick(self) -> None:
        self.browser.type("#token", "secret")
        self.browser.click("tr[data-player='2'] button.kick")
        self.wait_for_answer("It is done.")
        self.assertEqual(
            self.site.posted, [("/api/kick", "Bearer secret", {"player": 2, "text": ""})]
        )

    def test_refusalsAreShown(self) -> None:
        self.site.reply = (409, {"error": "That cannot be."})
        self.browser.type("#token", "secret")
        self.browser.click("#dump")
        self.wait_for_answer("That cannot be.")
        self.assertEqual(self.site.posted, [("/api/dump", "Bearer secret", {})])
        self.assertEqual(
            self.browser.ask("return document.querySelector('#answers li').className"), "fault"
        )

    def complaints(self) -> list[str]:
        """The browser itself writes down each answer that is an error."""
        return [line for line in super().complaints() if "409 (Conflict)" not in line]

    def test_saysSomethingToOnePlayer(self) -> None:
        self.browser.type("#token", "secret")
        self.browser.click("tr[data-player='5'] td.name button")
        self.browser.click("#one-do button.say")
        self.browser.type("#ask-reason", "hello")
        self.browser.click("#ask-yes")
        self.wait_for_answer("Say to player-5: It is done.")
        self.assertEqual(
            self.site.posted, [("/api/say", "Bearer secret", {"player": 5, "text": "hello"})]
        )

    def test_aBanIsConfirmed(self) -> None:
        self.browser.type("#token", "secret")
        self.browser.click("tr[data-player='2'] button.ban")
        self.assertEqual(self.browser.text("#ask-title"), "Ban player-2?")
        self.browser.click("#ask-no")
        self.browser.click("tr[data-player='3'] button.ban")
        self.browser.type("#ask-reason", "enough")
        self.browser.ask("document.getElementById('ask-seconds').value = '3600'")
        self.browser.click("#ask-yes")
        self.wait_for_answer("It is done.")
        self.assertEqual(
            self.site.posted,
            [("/api/ban", "Bearer secret", {"player": 3, "seconds": 3600, "text": "enough"})],
        )

    def test_aDrainIsConfirmed(self) -> None:
        self.browser.type("#token", "secret")
        self.browser.click("#drain")
        self.browser.press(ESCAPE)
        self.assertEqual(self.site.posted, [])
        self.browser.click("#drain")
        self.browser.click("#ask-yes")
        self.wait_for_answer("It is done.")
        self.browser.click("#drain")
        self.browser.type("#ask-reason", "a new map")
        self.browser.ask("document.getElementById('ask-seconds').value = '60'")
        self.browser.click("#ask-yes")
        self.browser.wait("another request", lambda: len(self.site.posted) == 2)
        self.assertEqual(
            [body for _, _, body in self.site.posted],
            [{"seconds": None, "text": ""}, {"seconds": 60, "text": "a new map"}],
        )
        self.assertEqual(self.site.posted[0][:2], ("/api/drain", "Bearer secret"))
        self.server.more = {"draining": True}
        self.browser.wait("the badge", lambda: self.browser.text("#badges") == "draining")
        self.server.more = {"draining": True, "drain_seconds_left": 90.0}
        self.browser.wait("the time", lambda: "30" in self.browser.text("#badges"))

    def test_onlyWhatIsOfferedIsThere(self) -> None:
        self.server.more = {"actions": ["kick"]}
        self.browser.wait(
            "no more bans", lambda: self.browser.ask("return !document.querySelector('.ban')")
        )
        hidden = "return ['say', 'drain', 'dump'].every(id => document.getElementById(id).hidden)"
        self.assertTrue(self.browser.ask(hidden))
        self.server.more = {"actions": []}
        self.browser.wait(
            "no actions",
            lambda: self.browser.ask("return document.getElementById('actions').hidden"),
        )


class PollTests(CannedCase):
    players = 3

    def test_aHiddenPageAsksSeldom(self) -> None:
        self.browser.ask("""
            window.waits = [];
            const start = window.setTimeout;
            window.setTimeout = (run, wait) => {
                window.waits.push(wait);
                return start(run, wait);
            };
        """)
        # Whoever asks within a second of an answer is told the same again.
        self.browser.wait("a pause", lambda: 1_000 in self.browser.ask("return window.waits"))
        self.site.again = "700"
        self.browser.wait("as told", lambda: 700 in self.browser.ask("return window.waits"))
        self.browser.ask("""
            Object.defineProperty(document, "hidden", { value: true, configurable: true });
        """)
        self.browser.wait("a long pause", lambda: 15_000 in self.browser.ask("return window.waits"))
        polls = self.site.polls
        self.browser.ask("""
            delete document.hidden;
            document.dispatchEvent(new Event("visibilitychange"));
        """)
        self.browser.wait("a poll at once", lambda: self.site.polls > polls)

    def test_aSiteThatFailsIsNamedAndAskedAgain(self) -> None:
        self.site.code = 503
        self.browser.wait(
            "the problem", lambda: "the status site answers 503" in self.browser.text("#link")
        )
        self.site.code = 200
        self.browser.wait("the server", lambda: self.browser.text("#link") == "Live")

    def complaints(self) -> list[str]:
        """The browser itself writes down each answer that is an error."""
        return [line for line in super().complaints() if "503 (Service" not in line]

    def test_aRestartedServerStartsTheGraphsAnew(self) -> None:
        self.wait_for_polls(2)
        self.server.more = {"uptime_seconds": 1.0, "cpu_seconds": 0.1, "clock_zero": 77.0}
        self.browser.wait("1 s", lambda: "1 s" in self.browser.text("#tiles div:last-child b"))
        self.assertEqual(self.browser.text("#tiles div:nth-child(4) b"), NONE)


class HistoryTests(CannedCase):
    """The server tells the last 30 s once; the page goes on by itself."""

    players = 1

    def heights(self) -> list[str]:
        """Of the points of the first player's round trips, the newest last."""
        line = "return document.querySelector('#rows svg path')?.getAttribute('d') ?? ''"
        return [point.split()[1] for point in self.browser.ask(line)[1:].split("L") if point]

    def test_eachAnswerAddsAPointToWhatWasToldOnce(self) -> None:
        before = self.browser.wait("a graph", self.heights)
        self.assertEqual(len(before), POINTS)
        self.wait_for_polls(2)
        after = self.heights()
        self.assertEqual(len(after), POINTS)
        more = next(count for count in range(POINTS) if after[: POINTS - count] == before[count:])
        self.assertIn(more, range(1, 10))
        self.assertEqual(set(self.site.asked[1:]), {"/api/status?history=no"})
        self.assertEqual(self.site.asked[0], "/api/status")

    def test_afterAPauseTheyAreToldAnew(self) -> None:
        self.browser.wait("a graph", self.heights)
        self.site.code = 503
        refused = self.site.polls
        # After one, two and four seconds.
        self.browser.wait("refusals", lambda: self.site.polls >= refused + 3)
        self.site.code = 200
        self.browser.wait("the server", lambda: self.browser.text("#link") == "Live")
        self.assertIn("/api/status", self.site.asked[1:])

    def test_whoComesLaterHasAGraphFromThenOn(self) -> None:
        self.server.join(2)
        self.wait_for_rows(2)
        line = "return document.querySelector('tr[data-player=\"2\"] svg path')?.getAttribute('d')"
        self.browser.wait("two points", lambda: "L" in (self.browser.ask(line) or ""))
        self.assertLess(self.browser.ask(line).count("L"), POINTS - 1)

    def complaints(self) -> list[str]:
        """The browser itself writes down each answer that is an error."""
        return [line for line in super().complaints() if "503 (Service" not in line]


class SizeTests(CannedCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.browser.resize, 1280, 1000)

    def test_aPhoneNeedsNoScrollingAside(self) -> None:
        self.browser.resize(360, 740)
        width = "return document.documentElement.scrollWidth"
        self.browser.wait("a narrow page", lambda: self.browser.ask(width) == 360)

    def test_darkWhereThePersonWantsIt(self) -> None:
        def brightness() -> int:
            colour = "return getComputedStyle(document.body).backgroundColor.match(/\\d+/g)"
            return sum(map(int, self.browser.ask(colour)))

        self.assertGreater(brightness(), 600)
        want = {"name": "prefers-color-scheme", "value": "dark"}
        self.browser.command("Emulation.setEmulatedMedia", {"features": [want]})
        self.browser.wait("a dark page", lambda: brightness() < 150)
        self.browser.command("Emulation.setEmulatedMedia", {"features": []})


class CrowdTests(CannedCase):
    players = 1_000

    def test_whatIsOutOfSightIsLeftAlone(self) -> None:
        graphs = "return document.querySelectorAll('#rows svg').length"
        self.browser.wait("graphs", lambda: self.browser.ask(graphs) > 0)
        self.wait_for_polls(2)
        self.assertLess(self.browser.ask(graphs), 3 * 100)
        self.browser.ask("document.querySelector('#rows tr:last-child').scrollIntoView()")
        last = "return !!document.querySelector('#rows tr:last-child svg')"
        self.browser.wait("the last row's graphs", lambda: self.browser.ask(last))

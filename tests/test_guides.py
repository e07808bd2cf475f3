"""The guides of the book: each listing is a file, and the files do what the guides say."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import re
import runpy
import sys
from itertools import pairwise
from math import hypot
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet import ServerConfig, cli
from gamenet.smooth.prediction import MAX_KEPT
from gamenet.testing import Simulation
from gamenet.verbs import RELIABLE, STATE, UNRELIABLE

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GUIDES = ROOT / "examples" / "guides"
PORTING = ROOT / "examples" / "porting"
PAGES = sorted((DOCS / "guides").glob("*.rst"))
OTHERS = [
    DOCS / "when-not.rst",
    *sorted((DOCS / "tutorial").glob("*.rst")),
    *sorted((DOCS / "recipes").glob("*.rst")),
]
LISTING = re.compile(r"^\.\. literalinclude:: (\S+)", re.MULTILINE)


class ExampleTests(SynchronousTestCase):
    """What can import the files of a folder of examples."""

    def load(self, folder: Path, *names: str) -> list[Any]:
        """Modules there, which import each other; nothing is left of them after the test."""
        ours = {path.stem for path in folder.glob("*.py")}

        def forget() -> None:
            sys.path.remove(str(folder))
            for name in ours & sys.modules.keys():
                del sys.modules[name]

        sys.path.insert(0, str(folder))
        self.addCleanup(forget)
        return [importlib.import_module(name) for name in names]


class PagesTests(SynchronousTestCase):
    def test_every_listing_of_the_book_is_a_file(self) -> None:
        """Python that is typed into a page is run by nobody, and is wrong one day."""
        for page in (*PAGES, *OTHERS):
            text = page.read_text(encoding="utf-8")
            self.assertNotRegex(text, r"code-block:: (python|toml)", page.name)
            self.assertNotRegex(text, r"::\n\n    (import|from|def|class|async def) ", page.name)
            for path in LISTING.findall(text):
                self.assertTrue((page.parent / path).resolve().is_file(), f"{page.name}: {path}")

    def test_every_example_file_is_shown(self) -> None:
        shown = {
            (page.parent / path).resolve()
            for page in PAGES
            for path in LISTING.findall(page.read_text(encoding="utf-8"))
        }
        files = {*GUIDES.glob("*.*"), *PORTING.glob("*.*")}
        self.assertEqual({path.name for path in files - shown}, set())

    def test_every_guide_is_in_the_table_of_contents(self) -> None:
        listed = re.findall(r"^   ([a-z-]+)$", (DOCS / "guides/index.rst").read_text(), re.M)
        names = [page.stem for page in PAGES if page.stem != "index"]
        self.assertEqual(sorted(listed), names)

    def test_the_commands_are_known(self) -> None:
        known = cli._parser().format_help()
        for page in (*PAGES, DOCS / "when-not.rst"):
            text = page.read_text(encoding="utf-8")
            for command in re.findall(r"(?:^ +|``)gamenet (\w+)", text, re.MULTILINE):
                self.assertIn(command, known, page.name)

    def test_the_figures_are_those_of_the_code(self) -> None:
        """The table "How big, how often", row by row."""
        page = (DOCS / "guides/reliable-or-not.rst").read_text(encoding="utf-8")
        table = page[page.index("How big, how often") :]
        config = ServerConfig()
        for figures in (
            (f"{config.max_input_hz} a second",),
            (f"{STATE.limit:,} bytes", f"{config.send_bytes_per_second:,} bytes a second"),
            (f"{RELIABLE.limit:,} bytes", f"{config.frames_per_second:g} a second"),
            (f"{UNRELIABLE.limit:,} bytes", f"{config.unreliable_messages} wait"),
            (f"{config.datagrams_per_second} datagrams a second",),
            (f"{config.chats_per_second:g} lines a second",),
        ):
            for figure in figures:
                self.assertIn(figure, table)
        inputs = (DOCS / "guides/inputs.rst").read_text(encoding="utf-8")
        self.assertIn(f"more than {MAX_KEPT} waited", inputs)

    def test_what_the_plots_show_is_what_was_drawn(self) -> None:
        figures = json.loads((DOCS / "plots/figures.json").read_text(encoding="utf-8"))
        page = (DOCS / "guides/smoothing.rst").read_text(encoding="utf-8")
        self.assertIn(f"settles at {figures['interpolation_delay_mean_ms']:.0f} ms", page)
        self.assertIn(f"jumps by up to {figures['prediction_jump_max_m']:.2f} m", page)
        smoothed = f"{figures['prediction_jump_smoothed_max_m']:.2f} m in a frame"
        self.assertIn(smoothed, " ".join(page.split()))

    def test_what_is_said_of_speed_was_measured(self) -> None:
        """The page about when not to, and the one for ENet, quote the page about performance."""
        measured = (DOCS / "PERFORMANCE.rst").read_text(encoding="utf-8")
        page = (DOCS / "when-not.rst").read_text(encoding="utf-8")
        for quoted, source in (
            (
                "some 650 players, and compiled at some 1,050",
                "full at some 650 players, compiled at some 1,050",
            ),
            ("58 % was lost", "W3  gamenet           1200 .* 58.01%"),
            ("400 were held", "W3  gamenet            400  clients held  +400 "),
            ("held 1,200", "W3  pyenet            1200  clients held  +1,200 "),
            ("261 µs", r"W4  gamenet              1  us p50  +261 "),
            ("66 (W4)", r"W4  pyenet               1  us p50  +65\.5 "),
        ):
            self.assertIn(quoted, page)
            self.assertRegex(measured, source)
        porting = (DOCS / "guides/porting-enet.rst").read_text(encoding="utf-8")
        for ratio, row in (("1.74", "100"), ("1.51", "400")):
            self.assertIn(f"{ratio} times", porting)
            self.assertRegex(measured, rf"W3  gamenet +{row}  us/client-tick .* {ratio} ")


class OrchardTests(ExampleTests):
    """The game that the guides look at."""

    def test_its_own_tests_pass(self) -> None:
        [tests] = self.load(GUIDES, "test_orchard")
        found = [name for name in vars(tests) if name.startswith("test_")]
        self.assertEqual(len(found), 3)
        for name in found:
            getattr(tests, name)()

    def test_who_points_is_filled_in_by_the_server(self) -> None:
        [orchard] = self.load(GUIDES, "orchard")
        with Simulation(orchard.Orchard, clients=["ada", "bob"]) as simulation:
            ada, bob = simulation.clients
            ada.send_unreliable(orchard.Point(0.5, 0.25, "somebody else"))
            simulation.run(0.5)
            [told] = [e.payload for e in bob.events() if isinstance(e, gamenet.Unreliable)]
            self.assertEqual(told, orchard.Point(0.5, 0.25, "ada"))
            self.assertFalse(any(isinstance(e, gamenet.Unreliable) for e in ada.events()))

    def test_more_inputs_do_not_make_a_hero_faster(self) -> None:
        """As the guides about inputs and security promise."""
        [orchard] = self.load(GUIDES, "orchard")
        with Simulation(orchard.Orchard, clients=["ada", "eve"]) as simulation:
            ada, eve = simulation.clients
            for number, _ in enumerate(eve.ticks(120)):  # four times as many as ticks
                eve.send_input(orchard.RIGHT)
                if number % 4 == 0:
                    ada.send_input(orchard.RIGHT)
                if number == 100:
                    break
            simulation.run(0.3)
            heroes = simulation.game.heroes
            walked = {str(who): round(hero.place[0], 3) for who, hero in heroes.items()}
            self.assertAlmostEqual(walked["eve"], walked["ada"], delta=2 * orchard.STEP)

    def test_keys_become_buttons(self) -> None:
        keys, orchard = self.load(GUIDES, "keys", "orchard")
        self.assertEqual(keys.buttons_of(["w", "left", "F1"]), orchard.UP | orchard.LEFT)

    def test_what_a_state_weighs(self) -> None:
        """The listing prints what the page says it prints."""
        printed = io.StringIO()
        self.load(GUIDES)
        with contextlib.redirect_stdout(printed):
            runpy.run_path(str(GUIDES / "weigh.py"))
        self.assertEqual(printed.getvalue(), (GUIDES / "weigh.txt").read_text(encoding="utf-8"))

    def test_nobody_jumps_on_any_network(self) -> None:
        """What the guide about smoothing promises of a screen that draws 60 times a second."""
        screen, orchard = self.load(GUIDES, "screen", "orchard")
        for profile in ("perfect", "wifi", "cellular", "satellite", "train"):
            with Simulation(
                orchard.Orchard, clients=["ada", "bob"], profile=profile, seed=3
            ) as simulation:
                largest, first = self._walk(simulation, screen.Screen, orchard)
                self.assertLess(largest, 0.11, profile)
                self.assertLess(0.05, largest, profile)
                self.assertAlmostEqual(first, orchard.STEP, delta=0.01)

    def _walk(self, simulation: Any, screen: Any, orchard: Any) -> tuple[float, float]:
        """Bob walks to and fro, Ada looks on.

        :returns: the largest step that Ada sees between two frames, and the one that Bob sees of
            himself in the frame in which the key goes down.
        """
        ada, bob = simulation.clients
        looks, walks = screen(ada), screen(bob)
        seen: list[Any] = []
        own: list[Any] = []
        for frame in range(300):
            held = (orchard.RIGHT, orchard.LEFT)[frame // 120 % 2] if frame >= 60 else 0
            own.append(walks.frame(held, simulation.time, 1 / 60).get(bob.player.id))
            seen.append(looks.frame(0, simulation.time, 1 / 60).get(bob.player.id))
            simulation.run(1 / 60)
        steps = [hypot(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(seen[120:])]
        return max(steps), own[61][0] - own[59][0]

    def test_the_screen_tells_what_happens(self) -> None:
        screen, orchard = self.load(GUIDES, "screen", "orchard")
        with Simulation(orchard.Orchard, clients=["ada"]) as simulation:
            [ada] = simulation.clients
            shown = screen.Screen(ada)
            simulation.game.apples = {1: (16.0, 9.0)}

            def frames(count: int, buttons: int = 0) -> None:
                for _ in range(count):
                    shown.frame(buttons, simulation.time, 1 / 60)
                    simulation.run(1 / 60)

            frames(10)
            ada.say("mine!")
            frames(30, orchard.PICK)
            simulation.network.cut_tcp()
            frames(60)
            simulation.server.stop()
            frames(60)
            self.assertEqual(shown.baskets, {"ada": 1})
            self.assertEqual(
                shown.chat,
                [
                    "ada: mine!",
                    "The connection is lost. Please wait ...",
                    "Back again.",
                    "The game is over: the server is shutting down",
                ],
            )


class SharedTests(ExampleTests):
    """What comes on top of the orchard: trade, a lesson, a server that remembers."""

    def test_no_apple_is_made_out_of_nothing(self) -> None:
        [market] = self.load(GUIDES, "market")
        with Simulation(market.Market, clients=["ada", "eve"]) as simulation:
            ada, eve = simulation.clients
            heroes = {str(player): hero for player, hero in simulation.game.heroes.items()}
            heroes["ada"].apples = 3
            for gift in (market.Give("ada", 1), market.Give("eve", 1), market.Give("no", 1)):
                eve.send(gift)  # has none; to herself; to nobody
            simulation.run(1)
            said = [e.text for e in eve.events() if isinstance(e, gamenet.Chat)]
            self.assertEqual(said, ["You cannot give that."] * 3)
            self.assertRaises(gamenet.LocalProtocolError, eve.send, market.Give("ada", -5))
            ada.send(market.Give("EVE", 2))
            simulation.run(1)
            self.assertEqual((heroes["ada"].apples, heroes["eve"].apples), (1, 2))

    def test_a_number_out_of_bounds_does_not_reach_the_game(self) -> None:
        """From a client whose code declares the message without bounds, under the same hash."""
        [market] = self.load(GUIDES, "market")
        with Simulation(market.Market, clients=["ada", "eve"]) as simulation:
            ada, eve = simulation.clients
            heroes = {str(player): hero for player, hero in simulation.game.heroes.items()}
            codec = eve._host.codec
            minus_five = codec.encode(market.Give("ada", 5))[:-1] + b"\xfb"
            eve._host.codec = SimpleNamespace(
                encode=lambda message: minus_five, schema_hash=codec.schema_hash
            )
            eve.send(market.Give("ada", 5))
            simulation.run(1)
            self.assertEqual([player.name for player in simulation.server.players], ["ada"])
            [over] = [e for e in eve.events() if isinstance(e, gamenet.Disconnected)]
            self.assertEqual(over.reason, gamenet.DisconnectReason.BAD_DATA)
            self.assertEqual(heroes["ada"].apples, 0)
            self.assertTrue(ada.joined)

    def test_a_robot_plays_the_lesson(self) -> None:
        lesson, robot = self.load(GUIDES, "lesson", "robot")
        with Simulation(lesson.Lesson, clients=["fox", "owl"], profile="wifi") as simulation:
            fox, owl = simulation.clients
            self.assertEqual(robot.play(fox, 5), 5)
            fox.say("!score")
            simulation.run(1)
            said = [e.text for e in owl.events() if isinstance(e, gamenet.Chat)]
            self.assertEqual(said, ["fox 5, owl 0"])
            self.assertEqual(len(simulation.game.apples), 20)
            board = json.loads(json.dumps(simulation.game.board()))
            self.assertEqual([len(row) for row in board["walls"]], [board["width"]] * 18)
            self.assertEqual({hero["name"] for hero in board["heroes"]}, {"fox", "owl"})

    def test_the_robot_takes_the_first_orchard_or_says_what_to_do(self) -> None:
        [robot] = self.load(GUIDES, "robot")
        asked: list[str] = []
        answers = [[SimpleNamespace(address="10.0.0.1:7777")], []]

        def find(seconds: float, *, game: str) -> list[SimpleNamespace]:
            asked.append(game)
            return answers.pop(0)

        self.patch(robot, "find", find)
        self.assertEqual(robot.server_of_the_class(), "10.0.0.1:7777")
        stopped = self.assertRaises(SystemExit, robot.server_of_the_class)
        self.assertIn("Ask for its address", str(stopped))
        [orchard] = self.load(GUIDES, "orchard")
        self.assertEqual(asked, [orchard.Orchard.game_name] * 2)

    def test_apples_are_kept_over_a_restart_and_each_minute(self) -> None:
        file = Path(self.mktemp())
        [kept] = self.load(GUIDES, "kept")
        with Simulation(
            kept.Kept, clients=["ada", "bob"], options={"file": str(file)}
        ) as simulation:
            for player, hero in simulation.game.heroes.items():
                hero.apples = player.id
            ids = {player.name: player.id for player in simulation.server.players}
            simulation.run(61)
            self.assertEqual(json.loads(file.read_text(encoding="utf-8")), ids)
            simulation.game.heroes[simulation.server.find("bob")].apples = 9
            simulation.clients[1].stop()
            simulation.run(1)
        with Simulation(kept.Kept, clients=["bob"], options={"file": str(file)}) as simulation:
            [hero] = simulation.game.heroes.values()
            self.assertEqual(hero.apples, 9)
        self.assertEqual(
            json.loads(file.read_text(encoding="utf-8")), {"ada": ids["ada"], "bob": 9}
        )

    def test_the_config_file_is_one(self) -> None:
        config = ServerConfig.from_file(GUIDES / "kept.toml")
        self.assertEqual(config.max_players, 64)
        self.assertEqual(config.options, {"file": "/var/lib/gamenet/apples.json"})


class PortingTests(ExampleTests):
    """The programs as they are after they were ported."""

    def test_lines_are_drawn_on_every_board_also_for_those_who_come_later(self) -> None:
        [whiteboard] = self.load(PORTING, "whiteboard")
        with Simulation(whiteboard.Whiteboard, clients=["ada"], seed=1) as simulation:
            [ada] = simulation.clients
            early = whiteboard.Board(ada)
            early.draw([(1, 2), (3, 4)])
            simulation.run(1)
            late = whiteboard.Board(simulation.join("bob"))
            simulation.run(1)
            for board in (early, late):
                board.pump()
                self.assertEqual(board.lines, [whiteboard.Line([(1, 2), (3, 4)], ada.player.id)])
            ada.stop()
            simulation.run(1)
            simulation.server.stop()
            late.pump()
            self.assertEqual(
                late.words, ["ada has put the pen down.", "the server is shutting down"]
            )

    def test_ships_fly_and_shoot_and_a_short_packet_does_no_harm(self) -> None:
        [ships] = self.load(PORTING, "ships")
        with Simulation(ships.main, clients=["ada", "bob"], profile="wifi") as simulation:
            ada, bob = simulation.clients
            ada.send(b"")
            ada.send_unreliable(b"short")
            newest, shots = None, []
            for _ in range(60):
                ships.fly(ada, 1.0, 2.0)
                seen, heard = ships.fly(bob, 3.0, 4.0)
                newest, shots = seen or newest, shots + heard
                simulation.run(1 / 60)
            self.assertEqual(newest, {ada.player.id: (1.0, 2.0), bob.player.id: (3.0, 4.0)})
            self.assertEqual(shots, [b"%d shoots" % ada.player.id])

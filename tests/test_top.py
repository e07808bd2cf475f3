"""``gamenet top``: what it makes of a status site's answers, and of the room there is."""

from __future__ import annotations

import io
import re
import sys
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet.top import table
from gamenet.top.glyphs import ASCII, BLOCKS, bar, glyphs_of, spark
from gamenet.top.layout import fit, text
from gamenet.top.run import drawn, run_top
from gamenet.top.site import NoAnswer, Site
from gamenet.top.watch import POINTS, View, Watch
from gamenet.top.world import size_of, world_of
from tests.browser.made_up import MadeUpServer

MAP = {
    "kind": "map", "width": 8, "height": 4,
    "walls": ["########", "#......#", "#~~..==#", "########"],
    "heroes": [{"id": 1, "name": "player-1", "x": 1.5, "y": 1.5}],
}  # fmt: skip


class Answers:
    """A made-up server, whose clock stands still between answers."""

    def __init__(self, players: int = 3) -> None:
        self.server = MadeUpServer(players)
        self.first = self.server.status()
        self.first["view"] = None

    def after(self, seconds: float, **more: Any) -> dict[str, Any]:
        """What it says then, with *more* instead."""
        uptime = self.first["uptime_seconds"] + seconds
        return {**self.first, "uptime_seconds": uptime, **more}

    def player(self, **more: Any) -> dict[str, Any]:
        """The first player, changed."""
        return {**self.first["players"][0], **more}


def shown(view: View, width: int = 160, height: int | None = None) -> str:
    return text(fit(view, width, height, BLOCKS))


def figures(view: View) -> dict[str, str]:
    """What the tiles say."""
    return {tile.title: tile.text for tile in view.tiles}


def listed(view: View, title: str) -> list[tuple[str, str, str]]:
    """The lines of the list that is called so."""
    (panel,) = (one for one in view.panels if one.title.startswith(title))
    return [(one.name, one.text, one.more) for one in panel.entries]


class WatchTests(SynchronousTestCase):
    """What successive answers come to."""

    def setUp(self) -> None:
        self.answers = Answers()
        self.watch = Watch()

    def look(self, seconds: float = 0.0, **more: Any) -> View:
        return self.watch.take(self.answers.after(seconds, **more))

    def test_the_server_and_its_figures(self) -> None:
        ticks = {
            "rate": 30, "per_second": 29.97, "late_p50_ms": 0.1, "late_p99_ms": 1.5,
            "skipped": 2, "took_p50_ms": 2.0, "took_p99_ms": None,
        }  # fmt: skip
        found = self.look(ticks=ticks)
        self.assertTrue(found.head[0].startswith("made-up/1, gamenet 1.2.3, running, up 0:16:40"))
        self.assertEqual(figures(found)["players"], "3: 3 udp, 0 tcp")
        self.assertEqual(figures(found)["ticks/s"], "30.0 of 30, 2 skipped")
        self.assertEqual(figures(found)["tick late"], "0.1, 99 % 1.5 ms")
        self.assertEqual(found.panels[-1].title, "ticks by ms; median 2.0, 99 % ?")
        self.assertEqual(listed(found, "ticks")[1], ("to 2.0", "99", ""))
        self.assertEqual(listed(found, "ticks")[-1], ("beyond", "1", ""))

    def test_rates_are_what_came_since_the_look_before(self) -> None:
        self.assertEqual(figures(self.look())["CPU"], "? of a core")
        before = self.answers.first
        types = {"in": {}, "out": {"state": {"messages": 9, "bytes": 2_000_000}}}
        frames = {"in": {"ack": {"frames": 1, "bytes": 13}}, "out": {}}
        self.look(1.0, types=types, frames=frames)
        types = {"in": {}, "out": {"state": {"messages": 9, "bytes": 2_030_000}}}
        found = self.look(3.0, types=types, frames=frames, cpu_seconds=before["cpu_seconds"] + 0.5)
        self.assertEqual(figures(found)["CPU"], "25% of a core")
        self.assertEqual(
            listed(found, "bytes by type"),
            [("out state", "15 kB/s", "2.0 MB"), ("in ack by TCP", "0 B/s", "13 B")],
        )

    def test_causes_are_listed_once_they_count_with_what_came(self) -> None:
        self.look(drops={"drop_datagram_forged": 2}, refusals={"FULL": 0})
        drops = {"drop_datagram_forged": 1_005, "drop_send_full": 1}
        found = self.look(1.0, drops=drops, refusals={"FULL": 3, "NAME": 0})
        self.assertEqual(
            listed(found, "drops by cause"),
            [("datagram forged", "1,005", "+1,003"), ("send full", "1", "+1")],
        )
        self.assertEqual(listed(found, "refusals by reason"), [("full", "3", "+3")])
        self.assertNotIn("drops", shown(self.look(2.0, drops={})), "nothing was dropped")

    def test_graphs_grow_with_the_answers_and_begin_anew_with_another_process(self) -> None:
        paths = {"udp": 1, "tcp": 0}
        for second in range(POINTS + 5):
            players = [self.answers.player()] * (second + 1)
            found = self.look(second, players=players, paths=paths)
        (graph,) = (tile.graph for tile in found.tiles if tile.title == "players")
        self.assertEqual(graph, tuple(range(6, POINTS + 6)))
        again = self.look(1.0)
        self.assertEqual(again.tiles[0].graph, (3,))
        self.assertEqual(figures(again)["CPU"], "? of a core")
        self.look(2.0)
        self.assertEqual(len(self.look(3.0, clock_zero=7.5).tiles[0].graph), 1)

    def test_the_same_snapshot_is_no_news(self) -> None:
        self.look()
        found = self.look(1.0)
        self.assertIs(self.look(1.0), found)
        self.assertEqual(len(self.look(2.0).tiles[0].graph), 3)

    def test_what_is_not_right_is_told(self) -> None:
        for more, word in (
            ({"draining": True}, "draining"), ({"stalled": True}, "stalled"),
            ({"ready": False}, "not ready"), ({"secure": False}, "insecure"),
            ({"errors": 7}, "7 errors"),
        ):  # fmt: skip
            self.assertIn(word, self.look(**more).head[0])
            self.watch = Watch()
        found = self.look(draining=True, drain_seconds_left=95.4)
        self.assertIn("draining, 0:01:35 left, up", found.head[0])

    def test_a_site_of_another_version_is_an_error_and_not_a_traceback(self) -> None:
        player = self.answers.player
        for broken in (
            {"ticks": None}, {"players": [{}]}, {"players": [player(rtt_seconds="x")]},
            {"players": [player(loss_in=float("nan"))]}, {"history": {}}, {"types": {"in": 5}},
            {"players": [player(rtt_seconds=float("inf"))]}, {"drops": {"x": [1]}},
            {"players": [player(history={"rtt": [-5]})]}, {"uptime_seconds": 1e999},
        ):  # fmt: skip
            self.assertRaises(NoAnswer, Watch().take, {**self.answers.first, **broken})

    def test_what_others_choose_is_no_more_than_letters(self) -> None:
        evil = "\x1b[2Jevil\x07[red]" + "x" * 100
        found = self.look(
            players=[self.answers.player(name=evil, label=evil, path=evil, address=evil)],
            game=evil, drops={evil: 1}, types={"in": {evil: {"bytes": 1}}, "out": {}},
            view={evil: evil},
        )  # fmt: skip
        for out in (shown(found, 600), colours(found, 600)):
            self.assertNotIn("\x1b[2J", out)
            self.assertNotIn("\x07", out)
            self.assertIn("[2Jevil[red]", out)
        self.assertNotIn("x" * 30, found.players[0].name)


class RoomTests(SynchronousTestCase):
    """What is shown where there is little room."""

    def setUp(self) -> None:
        self.answers = Answers(60)

    def view(self, **more: Any) -> View:
        return Watch().take(self.answers.after(0.0, **more))

    def test_nothing_is_ever_wider_or_higher_than_the_terminal(self) -> None:
        for world in (None, self.answers.server.status()["view"], {"round": 1}):
            found = self.view(view=world)
            for width in (1, 20, 39, 40, 79, 80, 120, 200, 300):
                for height in (1, 5, 12, 24, 40, 70):
                    lines = fit(found, width, height, BLOCKS)
                    self.assertLessEqual(len(lines), height)
                    for line in lines:
                        self.assertLessEqual(len("".join(part for part, _ in line)), width)

    def test_a_terminal_of_24_lines_has_the_worst_players_and_says_how_many_more(self) -> None:
        found = self.view()
        lines = shown(found, 80, 24).splitlines()
        self.assertEqual(len(lines), 24)
        names = [one.name for one in found.players]
        head = next(index for index, line in enumerate(lines) if line.startswith("player "))
        rows = [line.split()[0] for line in lines[head + 1 : -1]]
        self.assertGreaterEqual(len(rows), 4)
        self.assertEqual(rows, names[: len(rows)])
        self.assertTrue(lines[-1].startswith(f"and {60 - len(rows)} more"))
        for panel in ("drops", "refusals", "bytes", "ticks"):
            self.assertIn(f"{panel} by ", "\n".join(lines))

    def test_where_it_gets_low_lists_go_first_and_the_head_last(self) -> None:
        found = self.view()
        low = shown(found, 80, 12)
        self.assertNotIn("bytes by type", low)
        self.assertIn(found.players[0].name, low)
        self.assertEqual(shown(found, 80, 1), found.head[0])

    def test_a_list_is_cut_only_where_players_need_the_room(self) -> None:
        types = {"in": {f"type_{n}": {"bytes": n + 1} for n in range(20)}, "out": {}}
        panel = "bytes by type, 1[0-9] more"
        self.assertRegex(shown(self.view(types=types, view=None), 160, 40), panel)
        few = self.view(types=types, players=self.answers.first["players"][:5])
        roomy = shown(few, 160, 40)
        self.assertIn("type 0", roomy)
        self.assertNotRegex(roomy, panel)

    def test_columns_go_one_after_another_the_name_never(self) -> None:
        found = self.view()
        before = len(table.COLUMNS) + 1
        for width in (200, 120, 100, 80, 60, 40, 20, 8):
            head = table.table(found.players, width, None, BLOCKS)[0]
            columns = [part for part, style in head if style == "bold"]
            self.assertLessEqual(len(columns), before)
            self.assertEqual(columns[0].strip(), "player")
            before = len(columns)
        self.assertEqual(before, 1)
        titles = "".join(part for part, _ in table.table(found.players, 60, None, BLOCKS)[0])
        for title in ("path", "rtt ms", "loss in", "loss out", "quality"):
            self.assertIn(title, titles)
        self.assertNotIn("address", titles)

    def test_a_player_has_graphs_of_round_trips_jitter_and_loss(self) -> None:
        history = {
            "rtt": [0, 500, 1_000, 2_000], "jitter": [100, 100, 100, 500],
            "loss_in": [0, 0, 255, 0], "loss_out": [0, 51, 0, 0],
        }  # fmt: skip
        player = self.answers.player(history=history, rtt_seconds=0.2, jitter_seconds=None)
        (_, row) = shown(self.view(players=[player]), 300).splitlines()[-2:]
        for graph in (" ▃▅█", "▂▂▂█", "▁▂█▁"):
            self.assertIn(f" {graph} ", row)
        self.assertIn("200", row)
        self.assertIn("?", row, "a jitter that is not known")
        self.assertIn("state 92%", row)

    def test_a_terminal_without_block_characters_has_plain_ones(self) -> None:
        lines = fit(self.view(game="spiel-\u00e4", view=MAP), 160, None, ASCII)
        self.assertTrue(text(lines).isascii())
        self.assertIn("spiel-?", text(lines))


class MapTests(SynchronousTestCase):
    """The map of what the game shows."""

    def setUp(self) -> None:
        self.answers = Answers(2)

    def lines(self, width: int, height: int | None, **more: Any) -> list[str]:
        view = Watch().take(self.answers.after(0.0, **{"view": MAP, **more}))
        return shown(view, width, height).splitlines()

    def test_a_character_stands_for_a_tile_and_the_one_below(self) -> None:
        first, *rest = self.lines(70, None)[-3:]
        self.assertEqual(first, "map: @ o")
        self.assertEqual(rest, ["▒@▒▒▒▒▒▒", "▒≈≈▒▒==▒"])

    def test_with_room_it_is_beside_the_table(self) -> None:
        rows = [line for line in self.lines(120, 24) if "player-" in line]
        self.assertEqual([row[-8:] for row in rows], ["▒@▒▒▒▒▒▒", "▒≈≈▒▒==▒"])

    def test_heroes_are_one_or_many_and_a_poor_path_is_marked(self) -> None:
        first, second = self.answers.first["players"]

        def mark(label: str, heroes: list[tuple[int, float]]) -> str:
            found = [{"id": number, "name": "x", "x": x, "y": 1.0} for number, x in heroes]
            players = [{**first, "label": label}, second]
            world = {**MAP, "heroes": found}
            return self.lines(70, None, players=players, view=world)[-2]

        self.assertEqual(mark("good", [(1, 2.0), (2, 2.9)]), "▒▒2▒▒▒▒▒")
        self.assertEqual(mark("poor", [(1, 2.0), (2, 2.9)]), "▒▒!▒▒▒▒▒")
        self.assertEqual(mark("good", [(1, 2.0), (2, 99.0)]), "▒▒@▒▒▒▒▒")

    def test_water_bridges_and_ground(self) -> None:
        tall = {**MAP, "walls": ["#~=.x\x1b"] * 2, "heroes": []}
        self.assertEqual(self.lines(70, None, view=tall)[-1], "▒≈=")

    def test_one_that_does_not_fit_is_smaller_or_left_out(self) -> None:
        world = world_of(self.answers.server.status()["view"])
        assert world is not None
        self.assertEqual((size_of(world, 1), size_of(world, 2)), ((64, 19), (32, 10)))
        view = {"view": self.answers.server.status()["view"], "drops": {}, "refusals": {}}
        for width, height, expected in ((80, 50, 64), (60, 50, 32), (80, 16, 0)):
            found = self.lines(width, height, **view)
            walls = [line for line in found if re.match("▒.*▒$", line)]
            self.assertEqual(max(map(len, walls), default=0), expected, (width, height))

    def test_what_is_no_map_is_a_line(self) -> None:
        for other in (
            {"round": 3},
            {"kind": "map"},
            [1],
            {**MAP, "heroes": [{}]},
            {**MAP, "walls": []},
        ):
            self.assertTrue(self.lines(160, None, view=other)[-1].startswith("the game shows: "))
        self.assertIn('{"round": 3}', self.lines(160, None, view={"round": 3})[-1])


class GlyphTests(SynchronousTestCase):
    def test_the_newest_is_at_the_right_and_what_is_unknown_a_gap(self) -> None:
        self.assertEqual(spark((0, None, 4, 8), 1, 6, BLOCKS), "  ▁ ▅█")
        self.assertEqual(spark((50, 1, 2, 4), 1, 3, BLOCKS), "▃▅█")
        self.assertEqual(spark((1, 1), 100, 2, BLOCKS), "▁▁", "little looks like little")
        self.assertEqual(spark((), 1, 3, ASCII), "   ")

    def test_a_bar_is_never_longer_than_its_room_and_never_empty(self) -> None:
        self.assertEqual(bar(10, 10, 4, BLOCKS), "████")
        self.assertEqual(bar(5, 10, 4, BLOCKS), "██  ")
        self.assertEqual(bar(1, 1_000, 4, BLOCKS), "▏   ")
        self.assertEqual(bar(1, 1_000, 4, ASCII), "#   ")
        self.assertEqual(bar(0, 0, 4, ASCII), "    ")

    def test_what_the_terminal_can_hold(self) -> None:
        for encoding, expected in (
            ("utf-8", BLOCKS),
            ("ascii", ASCII),
            (None, ASCII),
            ("?", ASCII),
        ):
            self.assertIs(glyphs_of(encoding), expected)


def colours(view: View, width: int = 160) -> str:
    """As rich draws it on a terminal."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True)
    console.print(drawn(fit(view, width, None, BLOCKS)))
    return file.getvalue()


class ColourTests(SynchronousTestCase):
    def test_the_word_is_there_beside_the_colour(self) -> None:
        answers = Answers()
        found = Watch().take(answers.after(0.0, players=[answers.player(label="poor")]))
        with patch.dict("os.environ", {"TERM": "xterm"}):
            self.assertRegex(colours(found), "\x1b\\[31mpoor")
        with patch.dict("os.environ", {"TERM": "xterm", "NO_COLOR": "1"}):
            self.assertNotRegex(colours(found), "\x1b\\[[0-9;]*3[0-9]")
            self.assertIn("poor", colours(found))


class File(io.StringIO):
    """One that says what it can hold."""

    encoding = "utf-8"  # type: ignore[assignment]


class Terminal(File):
    def isatty(self) -> bool:
        return True


class RunTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.answers = Answers(1)
        self.name = self.answers.server.name(1)

    def look(self, *found: float | Exception) -> None:
        """What the site answers, one after another; of these seconds."""
        left = list(found)

        def look(site: Site) -> Any:
            next_one = left.pop(0)
            if isinstance(next_one, Exception):
                raise next_one
            return self.answers.after(next_one)

        self.patch(Site, "look", look)

    def test_elsewhere_than_on_a_terminal_each_look_is_a_block(self) -> None:
        self.look(0, 1)
        out = File()
        run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        blocks = out.getvalue().strip("\n").split("\n\n")
        self.assertEqual(len(blocks), 2)
        for block in blocks:
            self.assertIn("bytes by type", block)
            self.assertEqual(block.splitlines()[-1].split()[0], self.name)
        self.assertNotIn("\x1b", out.getvalue())

    def test_a_terminal_keeps_its_place(self) -> None:
        self.look(0, 1)
        out = Terminal()
        with patch.dict("os.environ", {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}):
            run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        self.assertIn("\x1b[?1049h", out.getvalue(), "the other screen")
        self.assertIn("\x1b[?1049l", out.getvalue(), "and back")
        self.assertIn(self.name, out.getvalue())

    def test_a_terminal_that_cannot_move_has_blocks(self) -> None:
        self.look(0)
        out = Terminal()
        with patch.dict("os.environ", {"TERM": "dumb", "COLUMNS": "50"}):
            run_top("127.0.0.1:9777", lambda: False, out, looks=1)
        self.assertNotIn("\x1b", out.getvalue())
        self.assertIn(self.name, out.getvalue())
        self.assertLessEqual(max(map(len, out.getvalue().splitlines())), 50)

    def test_without_rich_a_terminal_has_blocks(self) -> None:
        self.look(0)
        out = Terminal()
        with (
            patch.dict("os.environ", {"TERM": "xterm"}),
            patch.dict(sys.modules, {"rich.console": None, "rich.live": None}),
        ):
            run_top("127.0.0.1:9777", lambda: False, out, looks=1)
        self.assertNotIn("\x1b", out.getvalue())
        self.assertIn(self.name, out.getvalue())

    def test_a_server_that_goes_is_asked_again(self) -> None:
        self.look(0, NoAnswer("it is gone"), NoAnswer("it is gone"), 60)
        out = File()
        run_top("127.0.0.1:9777", lambda: False, out, seconds=0.001, looks=2)
        self.assertEqual(out.getvalue().count("it is gone\ntrying again; Ctrl-C ends this"), 2)
        self.assertEqual(out.getvalue().count(self.name), 2)

    def test_one_that_is_not_there_at_first_is_the_end(self) -> None:
        self.look(NoAnswer("nothing listens"))
        self.assertRaises(NoAnswer, run_top, "127.0.0.1:9777", lambda: False, File())

    def test_ctrl_c_ends_it(self) -> None:
        self.look(0)
        asked: list[bool] = []

        def interrupted() -> bool:
            asked.append(True)
            return len(asked) > 1

        run_top("127.0.0.1:9777", interrupted, File(), seconds=60.0)
        self.assertEqual(len(asked), 2)

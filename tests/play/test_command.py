"""``gamenet play`` on the command line: what it refuses before there is a window."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.cli import main
from gamenet.play import run
from gamenet.play.stage import Wish

if TYPE_CHECKING:
    from gamenet.play.run import Start


class CommandTests(SynchronousTestCase):
    """Mistakes are one line each; the rest becomes a start."""

    def setUp(self) -> None:
        self.starts: list[Start] = []

    def play(self, *arguments: str) -> tuple[int, str]:
        """The exit status, and what was said."""
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            status = main(["play", *arguments])
        return status, err.getvalue()

    def begin(self, *arguments: str) -> Start:
        """How the game would begin."""
        self.patch(run, "run_play", lambda start, interrupted: self.starts.append(start))
        self.assertEqual(self.play(*arguments), (0, ""))
        return self.starts.pop()

    def test_a_mistake_is_one_readable_line(self) -> None:
        for arguments, expected in (
            (("no such host",), "address: 'no such host' is not an address"),
            (("localhost:99999",), "port"),
            (("localhost#sha256=12",), "64 hex digits"),
            ((f"localhost#sha256={'ab' * 32}", "--insecure"), "a pin is for TLS"),
            (("localhost", "--ca", "/nowhere/x.pem"), "cannot read /nowhere/x.pem"),
            (("localhost", "--host"), "host: starts a server here"),
            (("--port", "70000"), "'70000' is not a whole number from 0 to 65535"),
            (("--size", "960"), "'960' is not a size from 480x270 to 8192x8192"),
            (("--size", "10x10"), "'10x10' is not a size"),
            (("--size", "\N{SUPERSCRIPT TWO}x540"), "is not a size"),
            (("--map", "/nowhere/x.tmx"), "map: cannot read /nowhere/x.tmx"),
            (("--map", ""), "does not name a file"),
            (("--sim-profile", "train"), "give its ADDRESS"),
            (("localhost", "--sim-profile", "trian"), "did you mean train?"),
            (("--beacon", ""), "does not name a server"),
        ):
            status, err = self.play(*arguments)
            self.assertEqual((status, err.count("\n")), (1, 1), err)
            self.assertTrue(err.startswith("gamenet play: ") or "gamenet: " in err, err)
            self.assertIn(expected, err)

    def test_without_the_extra_it_says_how_to_get_it(self) -> None:
        real = importlib.util.find_spec
        missing = {"pygame", "pytmx"}
        self.patch(
            importlib.util,
            "find_spec",
            lambda name, *more: None if name in missing else real(name, *more),
        )
        status, err = self.play("localhost")
        self.assertEqual(status, 1)
        self.assertEqual(
            err,
            "gamenet play: the game needs pygame-ce and pytmx, which this Python does not have: "
            "pip install 'gamenet[play]'\n",
        )

    def test_flags_become_the_start(self) -> None:
        start = self.begin()
        self.assertEqual(start.wish, Wish())
        self.assertEqual((start.window.size, start.window.fullscreen), ((960, 540), False))
        self.assertEqual(
            (start.hosts, start.port, start.beacon, start.map_file), (False, 7777, "", "")
        )
        start = self.begin(
            "host:1", "--name", "ada", "--insecure", "--size", "1280x720", "--fullscreen"
        )
        self.assertEqual(start.wish, Wish("host:1", "ada", insecure=True))
        self.assertEqual((start.window.size, start.window.fullscreen), ((1280, 720), True))
        self.assertIsNone(start.profile)
        start = self.begin("host:1", "--sim-profile", "train", "--sim-seed", "7")
        assert start.profile is not None
        self.assertEqual((start.profile.name, start.sim_seed), ("train", 7))
        start = self.begin("--host", "--port", "0", "--beacon", "Ada's field", "--map", "x.tmx")
        self.assertEqual(
            (start.hosts, start.port, start.beacon, start.map_file),
            (True, 0, "Ada's field", "x.tmx"),
        )

    def test_every_flag_is_on_the_page(self) -> None:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(main(["play", "--help"]), 0)
        flags = set(re.findall(r"--[a-z][a-z-]+", out.getvalue())) - {"--help"}
        page = (Path(__file__).parents[2] / "docs" / "PLAY.rst").read_text(encoding="utf-8")
        self.assertGreaterEqual(len(flags), 9)
        page = page.replace("``--sim-*``", " ".join(flag for flag in flags if "--sim-" in flag))
        self.assertEqual([flag for flag in sorted(flags) if flag not in page], [])

    def test_what_the_game_refuses_is_the_commands_one_line(self) -> None:
        def refuse(*given: Any) -> None:
            from gamenet.play.app import PlayError

            raise PlayError("no window can be opened here")

        self.patch(run, "run_play", refuse)
        self.assertEqual(self.play(), (1, "gamenet play: no window can be opened here\n"))

"""The ``gamenet`` command: what it understands, and what it says when it does not."""

from __future__ import annotations

import contextlib
import getpass
import io
import os
import signal
import subprocess
import sys
import tempfile
from typing import Any
from unittest.mock import patch

from twisted.trial.unittest import SynchronousTestCase

from gamenet._version import __version__
from gamenet.cli import Interrupt, main


class CommandLineTests(SynchronousTestCase):
    """The command line."""

    def gamenet(self, *argv: str) -> tuple[int, str, str]:
        """The exit status, and what was said on standard output and standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(argv)
        return status, out.getvalue(), err.getvalue()

    def test_version(self) -> None:
        self.assertEqual(self.gamenet("--version"), (0, f"gamenet {__version__}\n", ""))

    def test_helpNamesTheCommands(self) -> None:
        status, out, err = self.gamenet("--help")
        self.assertEqual((status, err), (0, ""))
        for command in (
            "demo",
            "bots",
            "chat",
            "play",
            "proxy",
            "cert",
            "passwd",
            "ticket",
            "completion",
            "top",
            "doctor",
            "discover",
            "serve",
        ):
            self.assertIn(command, out)
            self.assertEqual(self.gamenet(command, "--help")[0], 0)

    def test_aMistakeIsOneReadableLine(self) -> None:
        for argv, expected in (
            ((), "required: COMMAND"),
            (("fly",), "fly"),
            (("bots",), "ADDRESS"),
            (("chat",), "ADDRESS"),
            (("demo", "--bots", "0"), "'0' is not a whole number from 1 to 10000"),
            (("demo", "--bots", "many"), "'many'"),
            (("bots", "host", "--ramp", "x"), "--ramp: 'x' is not a number from 0.01 to 10000"),
            (("bots", "host", "--max-rtt-ms", "nan"), "'nan' is not a number above 0"),
            (("demo", "--seconds", "-1"), "'-1' is not a number of seconds above 0"),
            (("demo", "--seconds", "nan"), "'nan'"),
            (("demo", "--fast"), "--fast"),
            (("bots", "no such host:7777", "--insecure"), "not an address"),
            (("bots", "localhost:99999", "--insecure"), "port"),
            (("chat", "localhost:99999", "--insecure"), "port"),
            (("chat", "localhost", "--insecure", "--ca", "x.pem"), "not allowed with"),
            (("chat", "localhost", "--ca", "/nowhere/x.pem"), "cannot read /nowhere/x.pem"),
            (("chat", "localhost#sha256=12", "--insecure"), "64 hex digits"),
            (("chat", f"localhost#sha256={'ab' * 32}", "--insecure"), "a pin is for TLS"),
            (("bots", f"localhost#sha256={'ab' * 32}", "--insecure"), "a pin is for TLS"),
            (("chat", "localhost", "--password-file", "/nowhere/p"), "cannot read /nowhere/p"),
            (("chat", "localhost", "--ticket-file", "/nowhere/t"), "cannot read /nowhere/t"),
            (("chat", "localhost", "--ticket-file", os.devnull), "the first line of"),
            (("demo", "--sim-profile", "trian"), "did you mean train?"),
            (("bots", "localhost", "--sim-profile", "zzz"), "there are perfect, wifi, cellular"),
            (("chat", "localhost", "--sim-loss", "5"), "'5' is not a share: 0 to 1, or 5% for"),
            (("chat", "localhost", "--sim-latency-ms", "-1"), "'-1' is not a number from 0 to"),
            (("chat", "localhost", "--sim-jitter-ms", "nan"), "'nan' is not a number from 0"),
            (("bots", "localhost", "--sim-seed", "x"), "'x' is not a whole number of"),
            (("chat", "localhost", "--sim-loss", "5%", "--ca", "/nowhere/x"), "cannot read /no"),
            (("bots", "localhost", "--chaos", "kill@2"), "only gamenet demo has a server to kill"),
            (("bots", "localhost", "--chaos", "cut"), "'cut' is none of cut@SECONDS, block@SEC"),
            (("bots", "localhost", "--chaos", "cut@10"), "cut@10 is not within the 10 s of play"),
            (("demo", "--chaos", "block@18:3"), "unblock@21 is not within the 20 s of play"),
            (("bots", "localhost", "--trace", "/nowhere/t"), "cannot write /nowhere/t"),
            (("demo", "--trace", os.curdir), "trace: cannot write .: Is a directory; name a file"),
            (("proxy",), "LISTEN, TARGET"),
            (("proxy", "7778"), "TARGET"),
            (("proxy", "7778", "localhost", "--profile", "sattelite"), "did you mean satellite?"),
            (("proxy", "example.org:1", "localhost"), "'example.org' is not an IP address"),
            (("proxy", "7778", "localhost:99999"), "the port must be a number"),
            (("proxy", "ssl:443", "localhost"), "is no port"),
            (("proxy", "7778", "localhost", "--udp-port", "0"), "'0' is not a port, 1 to 65535"),
            (("proxy", "7778", "localhost", "--chaos", "kill@1"), "has a server to kill"),
            (("proxy", "7778", "localhost", "--sim-burst", "0.5"), "'0.5' is not a number from 1"),
            (("proxy", "7778", "localhost", "--sim-bandwidth-bytes", "0"), "'0' is not a number"),
            (("proxy", "7778", "localhost", "--sim-corrupt", "101%"), "'101%' is not a share"),
            (("proxy", "7778", "localhost", "--seconds", "0"), "'0' is not a number from"),
            (("bots", "localhost", "--seconds", "1e9"), "seconds above 0, at most 86400"),
            (("bots", "localhost", "--seed", "9" * 5_000), "999...' is not a whole number of at m"),
            (
                ("bots", "localhost", "--count", "9" * 5_000),
                "is not a whole number from 1 to 10000",
            ),
            (("bots", "localhost", "--ramp", "1e-300"), "'1e-300' is not a number from 0.01 to"),
            (("bots", "localhost", "--bot", ""), "'' is not module:attribute"),
            (("bots", "localhost", "--ca", ""), "'' does not name a file; leave the flag out"),
            (("bots", "localhost", "--chaos", ""), "'' does not name what happens"),
            (("demo", "--trace", ""), "'' does not name a file"),
            (("demo", "--sim-profile", ""), "'' does not name a network"),
            (("chat", "localhost", "--password-file", ""), "'' does not name a file"),
            (("chat", "localhost", "--ticket-file", os.curdir), "; name a file that you may read"),
            (("chat", ""), "'' is not an address; write host or host:7777"),
            (("chat", "http://localhost"), "is not an address; write host or host:7777"),
            (("chat", "localhost", "--user", "ada", "bob"), "no 'bob' (see gamenet chat --help)"),
            (("passwd", "", "ada"), "'' does not name a file"),
            (("passwd", os.devnull, ""), "'' is not a name; names have 1 to 32 letters"),
            (("ticket", "--make-key", ""), "'' does not name a file"),
            (("ticket", "--make-key", "/nowhere/key"), "cannot write /nowhere/key.pub: No such"),
            (("ticket", "--key", "k", "--seconds", "inf"), "seconds above 0, at most 31622400"),
            (("cert", "--days", "9" * 5_000), "is not a whole number from 1 to 36500"),
            (("cert", "localhost"), "it takes no 'localhost' (see gamenet cert --help)"),
            (("top", ""), "'' is no address of a status site, such as 127.0.0.1:9777"),
            (("top", "localhost:1", "--every", "nan"), "'nan' is not a number of seconds from 0.1"),
            (("completion", "fish"), "choose from 'bash', 'zsh', 'tcsh'"),
            (("x" * 5_000,), "xxx... (see gamenet --help)"),
        ):
            status, out, err = self.gamenet(*argv)
            self.assertEqual((status, out), (1, ""), argv)
            self.assertTrue(err.startswith("gamenet"), err)
            self.assertLess(len(err), 600)
            self.assertIn(expected, err)
            self.assertEqual(err.count("\n"), 1, err)
            self.assertTrue(err.endswith("\n"))

    def test_aShellCompletesCommandsAndFlags(self) -> None:
        for shell in ("bash", "zsh", "tcsh"):
            status, script, err = self.gamenet("completion", shell)
            self.assertEqual((status, err), (0, ""))
            self.assertIn("passwd", script)
        _, script, _ = self.gamenet("completion", "bash")
        for words, expected in (("ch", ["chat"]), ("bots --max-", ["--max-loss", "--max-rtt-ms"])):
            asked = f"gamenet {words}".split()
            done = subprocess.run(
                ["bash", "-c", f"{script}\nCOMP_WORDS=({' '.join(asked)}); "
                 f"COMP_CWORD={len(asked) - 1}; _shtab_gamenet; printf '%s\\n' ${{COMPREPLY[@]}}"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            self.assertEqual(sorted(done.stdout.split()), expected, done.stderr)

    def test_withoutItsLibraryCompletionSaysWhatToInstall(self) -> None:
        with patch.dict(sys.modules, {"shtab": None}):
            status, out, err = self.gamenet("completion", "bash")
        self.assertEqual((status, out), (1, ""))
        self.assertEqual(
            err,
            "gamenet completion: completion: needs shtab, which is not installed: "
            "pip install gamenet[completion]\n",
        )


class ProofTests(SynchronousTestCase):
    """What is to prove who a player is."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "secret")

    def given(self, data: bytes, *arguments: str) -> dict[str, Any]:
        """What the client is made with."""
        with open(self.file, "wb") as file:
            file.write(data)
        with patch("gamenet.chat.run_chat", return_value=0) as run:
            self.assertEqual(main(["chat", "host", "--user", "ada", *arguments]), 0)
        self.assertEqual(run.call_args.args[0], "host")
        fields: dict[str, Any] = run.call_args.kwargs
        self.assertEqual(
            {name: fields.pop(name) for name in ("user", "insecure", "ca_file")},
            {"user": "ada", "insecure": False, "ca_file": ""},
        )
        self.assertEqual((fields.pop("profile"), fields.pop("sim_seed")), (None, 0))
        return fields

    def test_theFirstLineOfAFile(self) -> None:
        for data, password in (
            (b"open sesame\n", "open sesame"),
            (b"open sesame\r\nmore", "open sesame"),
            ("schlüssel ".encode(), "schlüssel "),
        ):
            given = self.given(data, "--password-file", self.file)
            self.assertEqual(given, {"password": password})

    def test_tickets(self) -> None:
        given = self.given(b"a.b.c\n", "--ticket-file", self.file)
        self.assertEqual(given, {"ticket": b"a.b.c"})

    def test_aPasswordThatIsAskedFor(self) -> None:
        with patch("getpass.getpass", return_value="open sesame"):
            self.assertEqual(self.given(b"", "--password"), {"password": "open sesame"})

    def test_leavingInsteadOfAnswering(self) -> None:
        with patch("getpass.getpass", side_effect=KeyboardInterrupt):
            self.assertEqual(main(["chat", "host", "--user", "ada", "--password"]), 130)

    def test_withoutATerminalTheFixIsNamed(self) -> None:
        for failure in (EOFError, getpass.GetPassWarning):
            err = io.StringIO()
            with patch("getpass.getpass", side_effect=failure), contextlib.redirect_stderr(err):
                self.assertEqual(main(["chat", "host", "--user", "ada", "--password"]), 1)
            self.assertEqual(
                err.getvalue(),
                "gamenet chat: there is no terminal to ask for the password; "
                "give --password-file FILE\n",
            )

    def test_nothing(self) -> None:
        self.assertEqual(self.given(b""), {})

    def test_bytesThatAreNoText(self) -> None:
        with open(self.file, "wb") as file:
            file.write(b"\xff\xfe")
        err = io.StringIO()
        with contextlib.redirect_stderr(err):
            self.assertEqual(main(["chat", "host", "--password-file", self.file]), 1)
        self.assertIn("is not text in UTF-8", err.getvalue())


class SimulationTests(SynchronousTestCase):
    """What the flags of a bad network become."""

    def test_ofChat(self) -> None:
        with patch("gamenet.chat.run_chat", return_value=0) as run:
            argv = ["chat", "host", "--sim-profile", "train", "--sim-loss", "2%", "--sim-seed", "4"]
            self.assertEqual(main(argv), 0)
        profile = run.call_args.kwargs["profile"]
        self.assertEqual((profile.name, profile.loss), ("train, changed", 0.02))
        self.assertEqual(run.call_args.kwargs["sim_seed"], 4)

    def test_ofBots(self) -> None:
        with patch("gamenet.demo.bots.run_bots", return_value=None) as run:
            main(["bots", "host", "--sim-latency-ms", "80", "--chaos", "cut@1,block@2:3"])
        load = run.call_args.args[0]
        self.assertEqual((load.profile.latency_ms, load.profile.name), (80, "custom"))
        self.assertEqual([event.what for event in load.chaos], ["cut", "block", "unblock"])
        self.assertTrue(load.in_trouble)

    def test_aKillThatSomebodyElseDoes(self) -> None:
        with patch("gamenet.demo.bots.run_bots", return_value=None) as run:
            main(["bots", "host", "--chaos", "kill@1", "--kill-elsewhere"])
        self.assertEqual([event.what for event in run.call_args.args[0].chaos], ["kill"])

    def test_theClockOfAServerThatSomebodyElseHas(self) -> None:
        for flags, zero in (([], None), (["--clock-zero", "12.345678901234"], 12.345678901234)):
            with patch("gamenet.demo.bots.run_bots", return_value=None) as run:
                main(["bots", "host", *flags])
            self.assertEqual(run.call_args.args[0].clock_zero, zero)

    def test_ofTheDemo(self) -> None:
        err = io.StringIO()
        flags = ["--sim-profile", "wifi", "--sim-jitter-ms", "1.5", "--sim-seed", "9"]
        with (
            patch("gamenet.demo.run.run_demo", return_value=None) as run,
            contextlib.redirect_stderr(err),
        ):
            main(["demo", *flags, "--chaos", "kill@1", "--trace", "t"])
        plan = run.call_args.args[0]
        self.assertEqual(
            plan.simulation,
            ("--sim-seed", "9", "--sim-profile", "wifi", "--sim-jitter-ms", "1.5"),
        )
        self.assertEqual((plan.chaos, plan.trace), ("kill@1", "t"))
        self.assertIn("SIMULATED NETWORK wifi, changed: 5±1.5 ms each way", err.getvalue())
        self.assertIn("seed 9", err.getvalue())


class InterruptTests(SynchronousTestCase):
    """Ctrl-C ends a command in good order."""

    def test_itIsNotedAndTheOldHandlerComesBack(self) -> None:
        before = signal.getsignal(signal.SIGINT)
        with Interrupt() as interrupt:
            self.assertFalse(interrupt())
            signal.raise_signal(signal.SIGINT)
            self.assertTrue(interrupt())
            self.assertEqual(interrupt.status, 130)
        self.assertIs(signal.getsignal(signal.SIGINT), before)

    def test_theStatusTellsTheSignal(self) -> None:
        with Interrupt() as interrupt:
            signal.raise_signal(signal.SIGTERM)
        self.assertEqual(interrupt.status, 143)

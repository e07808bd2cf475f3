"""The command line of ``twistd gamenet``."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import sys
import tempfile
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from gamenet import __version__, tap
from gamenet.certificates import make_certificate
from gamenet.config import ServerConfig
from tests import certificates

MADE = make_certificate(["localhost"])

GAME = """
import gamenet

@gamenet.game(game_name="tag/1", tick_rate=20, input_bits=4)
def main(server):
    pass

class Tag(gamenet.Game):
    game_name = "tag/2"

number = 5
"""


class CommandLineTestCase(SynchronousTestCase):
    """Has a directory of its own, with a game in it."""

    def setUp(self) -> None:
        self.err = io.StringIO()
        self.out = io.StringIO()
        self.patch(sys, "__stderr__", self.err)
        self.patch(sys, "stdout", self.out)
        self.patch(sys, "path", list(sys.path))
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        modules = set(sys.modules)
        self.addCleanup(lambda: [sys.modules.pop(name) for name in set(sys.modules) - modules])
        self.write("tag.py", GAME)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def parse(self, *arguments: str) -> tap.Options:
        """What comes of a command line that can be run."""
        options = tap.Options()
        options.parseOptions(["--insecure", "--app-dir", str(self.folder), *arguments])
        return options

    def config(self, *arguments: str) -> ServerConfig:
        return self.parse(*arguments).plan.config

    def refusal(self, *arguments: str) -> str:
        """The one line that is said of a command line that cannot be run."""
        ended = self.assertRaises(SystemExit, self.parse, *arguments)
        self.assertEqual(ended.code, 1)
        self.assertEqual(self.out.getvalue(), "")
        said = self.err.getvalue()
        self.err.truncate(0)
        self.err.seek(0)
        self.assertEqual(said.count("\n"), 1, said)
        self.assertTrue(said.startswith("gamenet: "), said)
        return said.removeprefix("gamenet: ").rstrip()


class FlagTests(CommandLineTestCase):
    def test_everyFlagIsAFieldOrKnownNotToBe(self) -> None:
        flags = {flag.rstrip("=") for flag in tap.Options().longOpt}
        fields = {item.name.replace("_", "-") for item in dataclasses.fields(ServerConfig)}
        self.assertLessEqual(tap.NOT_FIELDS, flags)
        self.assertEqual(tap.NOT_FIELDS & fields, set())
        self.assertEqual(flags - tap.NOT_FIELDS - fields, {"cert", "key"})
        self.assertLessEqual({name.replace("_", "-") for name in tap._RENAMED.values()}, fields)

    def test_everyFlagReachesItsField(self) -> None:
        given: dict[str, tuple[str, object]] = {
            "insecure": ("", True),
            "insecure-anywhere": ("", True),
            "listen": ("tcp:7070", "tcp:7070"),
            "udp": ("7071", "7071"),
            "tick-rate": ("12.5", 12.5),
            "max-players": ("3", 3),
            "auth": ("memory:ada", ("memory:ada",)),
            "rebind": ("same-ip", "same-ip"),
            "stop-seconds": ("0.5", 0.5),
            "record-dir": (".", "."),
            "drain-seconds": ("0.25", 0.25),
            "beacon": ("Room 12", "Room 12"),
        }
        flags = {flag.rstrip("=") for flag in tap.Options().longOpt} - tap.NOT_FIELDS
        flags -= {"cert", "key", "duplicate"}  # not together with --insecure; see TlsTests
        self.assertEqual(set(given), flags)
        line = [f"--{flag}={text}" if text else f"--{flag}" for flag, (text, _) in given.items()]
        config = self.config(*line)
        for flag, (_, value) in given.items():
            self.assertEqual(getattr(config, flag.replace("-", "_")), value)

    def test_completionKnowsOnlyFlagsThatExist(self) -> None:
        flags = {flag.rstrip("=") for flag in tap.Options().longOpt}
        self.assertLessEqual(set(tap.Options.compData.optActions), flags)

    def test_helpNamesEveryFlagAndTheWayToBegin(self) -> None:
        self.assertEqual(self.assertRaises(SystemExit, self.parse, "--help").code, 0)
        shown = self.out.getvalue()
        for flag in tap.Options().longOpt:
            self.assertIn(f"--{flag}", shown)
        self.assertIn("twistd -n gamenet --insecure", " ".join(shown.split()))

    def test_versionIsOurs(self) -> None:
        self.assertEqual(self.assertRaises(SystemExit, self.parse, "--version").code, 0)
        self.assertEqual(self.out.getvalue(), f"gamenet {__version__}\n")

    def test_twistdFindsIt(self) -> None:
        (maker,) = [one for one in getPlugins(IServiceMaker) if one.tapname == "gamenet"]
        self.assertIs(maker.options, tap.Options)
        self.assertEqual(maker.makeService, tap.makeService)


class PrecedenceTests(CommandLineTestCase):
    def test_withoutAnythingTheDemoRunsOnDefaults(self) -> None:
        plan = self.parse().plan
        self.assertEqual(plan.path, "gamenet.demo.game:main")
        self.assertEqual(plan.config.listen, 7777)
        self.assertEqual(plan.config.auth, ("anonymous",))
        self.assertIsNone(plan.status)

    def test_theGameWinsOverDefaults(self) -> None:
        config = self.config("--game", "tag:main")
        self.assertEqual((config.game_name, config.tick_rate, config.input_bits), ("tag/1", 20, 4))
        self.assertEqual(self.config("--game", "tag:Tag").game_name, "tag/2")

    def test_theFileWinsOverTheGame(self) -> None:
        path = self.write("c.toml", 'tick_rate = 40\nauth = ["memory:ada"]\n[game]\nmap = "x"\n')
        config = self.config("--game", "tag:main", "--config", str(path))
        self.assertEqual((config.game_name, config.tick_rate, config.input_bits), ("tag/1", 40, 4))
        self.assertEqual(config.auth, ("memory:ada",))
        self.assertEqual(config.options, {"map": "x"})

    def test_theFileWinsAlsoWithTheValueOfADefault(self) -> None:
        path = self.write("c.toml", "tick_rate = 30\n")
        self.assertEqual(self.config("--game", "tag:main", "--config", str(path)).tick_rate, 30)

    def test_flagsWinOverTheFile(self) -> None:
        path = self.write("c.toml", "tick_rate = 40\nmax_players = 2\n")
        config = self.config("--game", "tag:main", "-c", str(path), "--tick-rate", "50")
        self.assertEqual((config.tick_rate, config.max_players), (50, 2))

    def test_theFileIsJudgedTogetherWithTheFlags(self) -> None:
        path = self.write("c.toml", 'listen = "0.0.0.0:7777"\ninsecure = true\n')
        self.assertIn("--insecure-anywhere", self.refusal("--config", str(path)))
        self.assertIn("'' does not name a file", self.refusal("--insecure", "--config", ""))
        config = self.config("--config", str(path), "--insecure-anywhere")
        self.assertEqual(config.listen, "0.0.0.0:7777")

    def test_theFileMayAllowPlayingWithoutTls(self) -> None:
        path = self.write("c.toml", "insecure = true\n")
        options = tap.Options()
        options.parseOptions(["--config", str(path)])
        self.assertTrue(options.plan.config.insecure)

    def test_theStatusSiteIsForThisMachineUnlessAnInterfaceIsNamed(self) -> None:
        for text, place in (
            ("9777", "127.0.0.1:9777"),
            ("tcp:9777", "127.0.0.1:9777"),
            ("tcp:9777:interface=10.0.0.1", "10.0.0.1:9777"),
            ("tcp:9777:interface=\\:\\:1", "[::1]:9777"),
        ):
            self.assertEqual(repr(self.parse("--status", text).plan.status), place)

    def test_whoMayAskTheStatusSite(self) -> None:
        access = self.parse("--status", "9777").plan.access
        self.assertEqual((access.hosts, access.token), (frozenset(), b""))
        path = self.write("token", "x" * 20)
        path.chmod(0o600)
        access = self.parse(
            "--status", "9777", "--status-host", "a.example,b", "--status-token", str(path)
        ).plan.access
        self.assertEqual((access.hosts, access.token), ({"a.example", "b"}, b"x" * 20))


class CheckConfigTests(CommandLineTestCase):
    def test_theSettingsInForceAreALineEach(self) -> None:
        path = self.write("c.toml", 'max_players = 9\n[game]\nmap = "é"\n')
        ended = self.assertRaises(
            SystemExit, self.parse, "--check-config", "--game", "tag:main",
            "--config", str(path), "--listen", "tcp:1", "--status", "2", "--log-format", "json",
        )  # fmt: skip
        self.assertEqual(ended.code, 0)
        self.assertEqual(self.err.getvalue(), "")
        shown = dict(line.split(" = ", 1) for line in self.out.getvalue().splitlines())
        names = {item.name for item in dataclasses.fields(ServerConfig)}
        others = {"game", "status", "status_host", "status_actions", "log_format"}
        self.assertEqual(set(shown), names | others)
        for name, value in {
            "game": '"tag:main"',
            "status": '"127.0.0.1:2"',
            "log_format": '"json"',
            "listen": '"tcp:1"',
            "udp": "none",
            "max_players": "9",
            "tick_rate": "20",
            "insecure": "true",
            "messages": "[]",
            "auth": '["anonymous"]',
            "options": '{"map": "é"}',
        }.items():
            self.assertEqual(shown[name], value)

    def test_secretsOfTheGameAreNotShown(self) -> None:
        path = self.write(
            "c.toml",
            """
            [game]
            map = "arena"
            API_Key = "opensesame"
            botToken = "opensesame"
            database = "postgres://tag:opensesame@db.example/scores"
            mirrors = ["http://a.example/maps", "http://opensesame@b.example/maps"]
            lives = 3
            [game.admin]
            name = "ada"
            passwords = { old = "opensesame", new = "opensesame" }
            [[game.rooms]]
            size = 4
            secret = "opensesame"
            """,
        )
        self.assertRaises(SystemExit, self.parse, "--check-config", "--config", str(path))
        out = self.out.getvalue()
        self.assertNotIn("opensesame", out)
        (line,) = (line for line in out.splitlines() if line.startswith("options = "))
        self.assertEqual(
            json.loads(line.partition(" = ")[2]),
            {
                "map": "arena",
                "API_Key": "...",
                "botToken": "...",
                "database": "postgres://...@db.example/scores",
                "mirrors": ["http://a.example/maps", "http://...@b.example/maps"],
                "lives": 3,
                "admin": {"name": "ada", "passwords": "..."},
                "rooms": [{"size": 4, "secret": "..."}],
            },
        )
        options = self.parse("--config", str(path))
        self.assertEqual(options.plan.config.options["API_Key"], "opensesame")
        self.assertNotIn("opensesame", repr(options.plan.config))

    def test_whatCannotRunDoesNotPass(self) -> None:
        self.assertIn("auth", self.refusal("--check-config", "--auth", "memory:"))
        options = tap.Options()
        self.assertRaises(SystemExit, options.parseOptions, ["--check-config"])


class RefusalTests(CommandLineTestCase):
    def test_neitherTlsNorInsecure(self) -> None:
        ended = self.assertRaises(SystemExit, tap.Options().parseOptions, [])
        self.assertEqual(ended.code, 1)
        said = self.err.getvalue()
        self.assertEqual(said.count("\n"), 1)
        for word in ("gamenet cert", "--cert gamenet-cert.pem", "--key", "--insecure"):
            self.assertIn(word, said)

    def test_anUnknownFlag(self) -> None:
        self.assertIn("--tickrate", self.refusal("--tickrate", "3"))

    def test_aFlagWithoutItsValue(self) -> None:
        self.assertIn("listen", self.refusal("--listen"))

    def test_anArgumentTooMany(self) -> None:
        self.assertIn("'tag:main'", self.refusal("tag:main"))

    def test_numbersThatAreNone(self) -> None:
        self.assertIn("tick_rate: must be a number, not 'fast'", self.refusal("--tick-rate=fast"))
        self.assertIn("tick_rate", self.refusal("--tick-rate=nan"))
        self.assertIn("max_players: must be a whole number", self.refusal("--max-players=1.5"))
        self.assertIn("max_players: must be at least 1", self.refusal("--max-players=0"))

    def test_addressesThatAreNone(self) -> None:
        self.assertIn("listen", self.refusal("--listen", "70000"))
        self.assertIn("udp", self.refusal("--udp", "tcp:x"))
        self.assertIn("status", self.refusal("--status", "tcp:9777:interface=example"))

    def test_theStatusSiteIsNoEndpoint(self) -> None:
        for endpoint in ("ssl:9777:privateKey=key.pem", "tls:keys:port=9777", "systemd:2", "fd:5"):
            self.assertIn("tcp:9777[:interface=ADDRESS]", self.refusal("--status", endpoint))

    def test_flagsOfAStatusSiteThatCannotBeFollowed(self) -> None:
        self.assertIn("add --status tcp:9777", self.refusal("--status-host", "a.example"))
        self.assertIn("status-host", self.refusal("--status", "1", "--status-host", "a:80"))
        path = self.write("token", "x" * 20)
        path.chmod(0o644)
        said = self.refusal("--status", "1", "--status-token", str(path))
        self.assertIn(f"status-token: others on this machine can read the token in {path}", said)
        self.assertIn(f"chmod 600 {path}", said)

    def test_insecureStaysOnThisMachine(self) -> None:
        self.assertIn("--insecure-anywhere", self.refusal("--listen", "0.0.0.0:7777"))

    def test_anUnknownKeyNamesItsNearestMatch(self) -> None:
        path = self.write("c.toml", "tick_rte = 40\n")
        said = self.refusal("--config", str(path))
        self.assertIn("tick_rte", said)
        self.assertIn("did you mean tick_rate?", said)

    def test_aFileThatIsNotThere(self) -> None:
        path = str(self.folder / "none.toml")
        self.assertIn(path, self.refusal("--config", path))

    def test_aFileThatIsNoToml(self) -> None:
        path = self.write("c.toml", "tick_rate 40\nx\n")
        self.assertIn(str(path), self.refusal("--config", str(path)))

    def test_aValueOfTheWrongKind(self) -> None:
        path = self.write("c.toml", 'max_players = "many"\n')
        self.assertIn("max_players", self.refusal("--config", str(path)))

    def test_aGameThatIsNoPath(self) -> None:
        self.assertIn("'tag'", self.refusal("--game", "tag"))

    def test_aModuleThatIsNotThere(self) -> None:
        self.assertIn("'absent_module'", self.refusal("--game", "absent_module:main"))

    def test_anAttributeThatIsNotThere(self) -> None:
        self.assertIn("'mian'", self.refusal("--game", "tag:mian"))

    def test_aGameThatIsNone(self) -> None:
        self.assertIn("tag:number", self.refusal("--game", "tag:number"))

    def test_aSyntaxErrorIsNamedByFileAndLine(self) -> None:
        path = self.write("broken.py", "import gamenet\n\ndef main(server:\n")
        said = self.refusal("--game", "broken:main")
        self.assertIn(str(path), said)
        self.assertIn("line 3", said)

    def test_anErrorWhileImportingIsNamedByFileAndLine(self) -> None:
        path = self.write("failing.py", "\nraise RuntimeError('no\\nmap')\n")
        said = self.refusal("--game", "failing:main")
        self.assertIn("no map", said)
        self.assertIn(str(path), said)
        self.assertIn("line 2", said)

    def test_aModuleThatEndsTheProcess(self) -> None:
        self.write("ending.py", "import sys\nsys.exit(0)\n")
        self.assertIn('__name__ == "__main__"', self.refusal("--game", "ending:main"))

    def test_badAuth(self) -> None:
        self.assertIn("passwords come with TLS", self.refusal("--auth", "memory:ada:secret"))
        self.assertIn("known are", self.refusal("--auth", "ldap"))

    def test_aTakeoverThatNobodyCanProve(self) -> None:
        self.assertIn("duplicate: ", self.refusal("--duplicate", "takeover"))

    def test_anAppDirThatIsNone(self) -> None:
        self.assertIn("'nowhere'", self.refusal("--app-dir", "nowhere"))


class TlsTests(CommandLineTestCase):
    """``--cert``, ``--key`` and the endpoints that have TLS."""

    def setUp(self) -> None:
        super().setUp()
        self.files = certificates.write(self.folder, MADE)

    def parse(self, *arguments: str) -> tap.Options:
        options = tap.Options()
        options.parseOptions(["--app-dir", str(self.folder), *arguments])
        return options

    def test_bothFiles(self) -> None:
        config = self.config("--cert", self.files.cert, "--key", self.files.key)
        self.assertEqual((config.cert_file, config.key_file), self.files)
        self.assertFalse(config.insecure)

    def test_inTheConfigFile(self) -> None:
        path = self.write(
            "c.toml", f"cert_file = '{self.files.cert}'\nkey_file = '{self.files.key}'\n"
        )
        self.assertEqual(self.config("--config", str(path)).key_file, self.files.key)

    def test_anEndpointWithItsOwn(self) -> None:
        listen = f"ssl:7777:privateKey={self.files.key}:certKey={self.files.cert}"
        self.assertEqual(self.config("--listen", listen).listen, listen)

    def test_secretsAreForTls(self) -> None:
        config = self.config(
            "--cert", self.files.cert, "--key", self.files.key, "--auth", "memory:ada:secret"
        )
        self.assertEqual(config.auth, ("memory:ada:secret",))

    def test_aTakeoverIsForThoseWhoProveTheirNames(self) -> None:
        given = ("--cert", self.files.cert, "--key", self.files.key, "--duplicate", "takeover")
        self.assertEqual(self.config(*given, "--auth", "memory:ada:secret").duplicate, "takeover")
        for auth in ("anonymous", "memory:ada,bob"):
            self.assertIn("duplicate: ", self.refusal(*given, "--auth", auth))

    def test_checkConfigShowsNoPasswords(self) -> None:
        self.assertRaises(
            SystemExit, self.parse, "--check-config", "--cert", self.files.cert,
            "--key", self.files.key, "--auth", "memory:ada:opensesame",
        )  # fmt: skip
        self.assertIn("memory:", self.out.getvalue())
        self.assertNotIn("opensesame", self.out.getvalue())

    def test_refusals(self) -> None:
        key = str(self.folder / "open.pem")
        Path(key).write_bytes(MADE.key)
        os.chmod(key, 0o644)
        cert = ("--cert", self.files.cert)
        for arguments, said in (
            (cert, "key_file: a certificate and its key are given together"),
            (("--key", self.files.key), "cert_file: a certificate and its key"),
            ((*cert, "--key", key), f"chmod 600 {key}"),
            ((*cert, "--key", "none.pem"), "No such file"),
            ((*cert, "--key", self.files.key, "--insecure"), "insecure: "),
            (("--listen", f"ssl:7777:privateKey={key}:certKey={self.files.cert}"), "chmod 600"),
            (("--listen", "ssl:7777:privateKey=none.pem"), "No such file"),
            (("--listen", "fd:three", "--insecure"), "'three' is not the number"),
            (("--rebind", "always", "--insecure"), "rebind"),
        ):
            self.assertIn(said, self.refusal(*arguments))

    def test_aFileThatChangedBeforeTheStart(self) -> None:
        options = self.parse("--cert", self.files.cert, "--key", self.files.key)
        os.chmod(self.files.key, 0o644)
        ended = self.assertRaises(SystemExit, tap.makeService, options, MemoryReactorClock())
        self.assertEqual(ended.code, 1)
        self.assertIn("chmod 600", self.err.getvalue())


class AppDirTests(CommandLineTestCase):
    def test_itComesFirst(self) -> None:
        self.parse("--game", "tag:main")
        self.parse("--game", "tag:main")
        self.assertEqual(sys.path.count(str(self.folder)), 1)
        self.assertEqual(sys.path[0], str(self.folder))

    def test_itIsTheWorkingDirectoryByDefault(self) -> None:
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        os.chdir(self.folder)
        options = tap.Options()
        options.parseOptions(["--insecure", "--game", "tag:main"])
        self.assertEqual(options.plan.config.game_name, "tag/1")

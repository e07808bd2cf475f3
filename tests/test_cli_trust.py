"""``gamenet passwd`` and ``gamenet ticket``."""

from __future__ import annotations

import argparse
import contextlib
import getpass
import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.account_file import change, parse, read_file
from gamenet.cli_trust import add_commands
from gamenet.core.password import Record, is_password
from gamenet.core.ticket import judge, read_ticket
from gamenet.errors import ConfigError
from gamenet.passwords import new_record
from gamenet.tickets import make_key, read_private_key, read_public_key


class Terminal(io.StringIO):
    """Standard input at which somebody sits."""

    def isatty(self) -> bool:
        return True


class CommandTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = str(self.folder / "players")
        self.out, self.err = io.StringIO(), io.StringIO()

    def gamenet(self, *argv: str) -> int:
        parser = argparse.ArgumentParser()
        add_commands(parser.add_subparsers())
        self.out, self.err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(self.out), contextlib.redirect_stderr(self.err):
            arguments = parser.parse_args(argv)
            status: int = arguments.run(arguments)
        return status

    def usage(self, *argv: str) -> str:
        """What is said about a command line that cannot be understood."""
        self.assertEqual(self.assertRaises(SystemExit, self.gamenet, *argv).code, 2)
        return self.err.getvalue()

    def problem(self, *argv: str) -> str:
        """What is said about a command that cannot be done."""
        error = self.assertRaises(ConfigError, self.gamenet, *argv)
        self.assertNotIn("\n", str(error))
        self.assertEqual(self.out.getvalue(), "")
        return str(error)


class PasswdTests(CommandTestCase):
    def passwd(self, typed: bytes, *argv: str) -> int:
        """Standard input is a pipe."""
        self.patch(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed)))
        return self.gamenet("passwd", self.path, *argv)

    def record(self, name: str) -> Record:
        records = parse(read_file(self.path, ""), self.path, "")
        (record,) = (record for record in records if record.name == name)
        return record

    def test_anAccountIsAddedThenChangedThenDeleted(self) -> None:
        self.assertEqual(self.passwd(b"secret\n", "ada", "--log2-n", "10"), 0)
        self.assertEqual((self.out.getvalue(), self.err.getvalue()), ("", "added ada\n"))
        self.assertTrue(is_password(self.record("ada"), b"secret"))
        self.assertEqual(self.record("ada").log2_n, 10)
        self.assertEqual(self.passwd(b"other\n", "Ada"), 0)
        self.assertEqual(self.err.getvalue(), "changed the password of Ada\n")
        self.assertTrue(is_password(self.record("Ada"), b"other"))
        self.assertEqual(self.passwd(b"", "ada", "--delete"), 0)
        self.assertEqual(self.err.getvalue(), "deleted ada\n")
        self.assertEqual(parse(read_file(self.path, ""), self.path, ""), [])

    def test_theFileIsForItsOwnerOnly(self) -> None:
        self.passwd(b"secret\n", "ada", "--log2-n", "10")
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_withoutATerminalThePasswordIsOneLine(self) -> None:
        for typed, password in (
            (b"secret", b"secret"),
            (b"secret\n", b"secret"),
            (b"secret\r\n", b"secret"),
            (b" sec ret \nmore\n", b" sec ret "),
            ("pässwörd\n".encode(), "pässwörd".encode()),
            (b"x" * 1_024 + b"\r\n", b"x" * 1_024),
        ):
            self.passwd(typed, "ada", "--log2-n", "10")
            self.assertTrue(is_password(self.record("ada"), password), typed)

    def test_whatIsNoPasswordChangesNothing(self) -> None:
        for typed, said in (
            (b"", "no password came"),
            (b"\n", "1 to 1024 bytes"),
            (b"\xff\n", "1 to 1024 bytes"),
            (b"sec\tret\n", "no control characters"),
            (b"sec\0ret\n", "no control characters"),
            (b"x" * 1_025 + b"\n", "1 to 1024 bytes"),
            (b"x" * 100_000, "1 to 1024 bytes"),
        ):
            error = self.assertRaises(ConfigError, self.passwd, typed, "ada", "--log2-n", "10")
            self.assertIn(said, str(error))
            self.assertEqual(os.listdir(self.folder), [])

    def test_atATerminalItIsAskedForTwiceAndNotShown(self) -> None:
        asked: list[str] = []
        answers = iter(("secret", "secret", "one", "other"))

        def ask(prompt: str) -> str:
            asked.append(prompt)
            return next(answers)

        self.patch(getpass, "getpass", ask)
        self.patch(sys, "stdin", Terminal())
        self.gamenet("passwd", self.path, "ada", "--log2-n", "10")
        self.assertTrue(is_password(self.record("ada"), b"secret"))
        self.assertEqual(asked, ["Password of ada: ", "Once more: "])
        said = self.problem("passwd", self.path, "ada", "--log2-n", "10")
        self.assertIn("two different passwords", said)
        self.assertTrue(is_password(self.record("ada"), b"secret"))

    def test_ctrlCAtThePromptChangesNothing(self) -> None:
        def interrupted(prompt: str) -> str:
            raise KeyboardInterrupt

        self.patch(getpass, "getpass", interrupted)
        self.patch(sys, "stdin", Terminal())
        self.assertRaises(KeyboardInterrupt, self.gamenet, "passwd", self.path, "ada")
        self.assertEqual(os.listdir(self.folder), [])

    def test_mistakesAreSaidInOneLine(self) -> None:
        self.assertIn("'no name' is not a name", self.problem("passwd", self.path, "no name"))
        said = self.problem("passwd", self.path, "eve", "--delete")
        self.assertIn(f"no account eve in {self.path}", said)
        Path(self.path).write_text("ada:hunter2\n")
        said = self.problem("passwd", self.path, "ada", "--delete")
        self.assertIn("line 1", said)
        self.assertNotIn("hunter2", said)

    def test_aFileThatCannotBeIsRefusedBeforeThePassword(self) -> None:
        self.patch(sys, "stdin", Terminal())
        self.patch(getpass, "getpass", lambda prompt: self.fail("asked for a password"))
        (self.folder / "words").write_bytes(b"no accounts\n")
        (self.folder / "bytes").write_bytes(b"\xff")
        for path, expected in (
            (self.folder, f"is a directory; name a file in it, such as {self.folder / 'accounts'}"),
            (self.folder / "words", "words line 1: "),
            (self.folder / "bytes", "is not UTF-8 text"),
            (self.folder / "no" / "players", "there is no directory"),
        ):
            self.assertIn(expected, self.problem("passwd", str(path), "ada"))
        self.assertIn("is a directory", self.problem("passwd", str(self.folder), "ada", "--delete"))

    def test_costsAreWithinBounds(self) -> None:
        for cost in ("9", "18", "-1", "1.5", "x", "", "9" * 5_000):
            self.assertIn("10 to 17", self.usage("passwd", self.path, "ada", "--log2-n", cost))

    def test_aPasswordIsNotTakenFromTheCommandLine(self) -> None:
        self.assertIn("unrecognized", self.usage("passwd", self.path, "ada", "secret"))

    def test_othersAccountsStay(self) -> None:
        change(self.path, "bob", new_record("bob", b"secret", 10))
        before = self.record("bob")
        self.passwd(b"secret\n", "ada", "--log2-n", "10")
        self.assertEqual(self.record("bob"), before)


class TicketTests(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.key = str(self.folder / "key")

    def test_keysAreMade(self) -> None:
        self.assertEqual(self.gamenet("ticket", "--make-key", self.key), 0)
        self.assertEqual(self.out.getvalue(), "")
        self.assertIn(f"--auth ticket:{self.key}.pub:", self.err.getvalue())
        self.assertEqual(stat.S_IMODE(os.stat(self.key).st_mode), 0o600)
        public = read_private_key(self.key).public_key()
        self.assertEqual(
            public.public_bytes_raw(), read_public_key(f"{self.key}.pub").public_bytes_raw()
        )
        self.assertIn(
            "exists already; give the keys another name",
            self.problem("ticket", "--make-key", self.key),
        )

    def issue(self, *argv: str) -> Any:
        """The claims of the ticket that is printed."""
        make_key(self.key)
        status = self.gamenet("ticket", "--key", self.key, *argv)
        self.assertEqual((status, self.err.getvalue()), (0, ""))
        (line,) = self.out.getvalue().splitlines()
        return read_ticket(line.encode(), read_public_key(f"{self.key}.pub"))

    def test_aTicketIsOneLine(self) -> None:
        said = self.issue("--account", "ada", "--audience", "arena")
        self.assertEqual((said.sub, said.aud, said.player_name), ("ada", "arena", "ada"))
        self.assertEqual(said.exp - said.iat, 60)
        judge(said, "arena", said.iat, 60, 5)

    def test_nameAndLifeCanBeSaid(self) -> None:
        argv = ("--account", "user/1", "--name", "Ada", "--audience", "arena", "--seconds", "20")
        said = self.issue(*argv)
        self.assertEqual((said.sub, said.player_name), ("user/1", "Ada"))
        self.assertEqual(said.exp - said.iat, 20)

    def test_whatIsMissingIsSaid(self) -> None:
        make_key(self.key)
        self.assertIn("--make-key", self.usage("ticket"))
        self.assertIn("not allowed", self.usage("ticket", "--make-key", "x", "--key", "y"))
        self.assertIn("--audience", self.problem("ticket", "--key", self.key, "--account", "a"))
        self.assertIn("--account", self.problem("ticket", "--key", self.key, "--audience", "a"))
        said = self.problem("ticket", "--make-key", f"{self.key}2", "--account", "ada")
        self.assertIn("leave --account out", said)
        self.assertFalse(os.path.exists(f"{self.key}2"))

    def test_whatCannotBeIsSaid(self) -> None:
        make_key(self.key)
        good = ("ticket", "--key", self.key, "--audience", "arena")
        self.assertIn("'a b' is not a name", self.problem(*good, "--account", "a b"))
        self.assertIn("name: ", self.problem(*good, "--account", "ada", "--name", "a b"))
        for seconds in ("0", "-1", "nan", "inf", "soon"):
            said = self.usage(*good, "--account", "ada", "--seconds", seconds)
            self.assertIn("not a number of seconds", said)
        none = f"{self.key}.none"
        argv = ("ticket", "--key", none, "--audience", "arena", "--account", "ada")
        self.assertIn(f"cannot read {none}", self.problem(*argv))

    def test_aKeyThatOthersCanReadMakesNone(self) -> None:
        make_key(self.key)
        os.chmod(self.key, 0o644)
        argv = ("ticket", "--key", self.key, "--audience", "arena", "--account", "ada")
        self.assertIn("chmod 600", self.problem(*argv))

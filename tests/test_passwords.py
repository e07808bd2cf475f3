"""Accounts with passwords: the file, what a check costs, and what nobody learns from it."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from base64 import b64encode
from hashlib import scrypt
from pathlib import Path
from typing import Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from gamenet import account_file
from gamenet.account_file import change
from gamenet.core import password as core
from gamenet.core.password import Record, is_password, normal_password, parse_record
from gamenet.errors import ConfigError
from gamenet.passwords import Accounts, PasswordChecker, PasswordFile, new_record

CHEAP = 10
"""The least cost that a record may have."""


class AtOnce:
    """A pool that does its jobs at once."""

    def __init__(self) -> None:
        self.jobs = 0

    def run(self, call: Any, *arguments: Any) -> Deferred[Any]:
        self.jobs += 1
        return maybeDeferred(call, *arguments)


def record(name: str, password: str = "secret", log2_n: int = CHEAP) -> Record:
    return new_record(name, password.encode(), log2_n)


class PasswordTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "players"
        self.costs: list[int] = []

        def counted(*arguments: Any, n: int, **named: Any) -> bytes:
            self.costs.append(n.bit_length() - 1)
            return scrypt(*arguments, n=n, **named)

        self.patch(core, "scrypt", counted)
        self.pool: Any = AtOnce()

    def write(self, *lines: str, end: str = "\n") -> None:
        self.path.write_bytes("".join(f"{line}{end}" for line in lines).encode())

    def file(self) -> PasswordFile:
        return PasswordFile(self.path, CHEAP)

    def login(self, accounts: Any, name: str | bytes, password: str | bytes) -> Deferred[Any]:
        """What a checker says; ``self.costs`` are then those of this login."""
        checker = PasswordChecker(accounts, self.pool)
        self.costs.clear()
        raw = [part.encode() if isinstance(part, str) else part for part in (name, password)]
        return maybeDeferred(checker.requestAvatarId, UsernamePassword(*raw))

    def assertIn_(self, accounts: Any, name: str, password: str | bytes, account: str) -> None:
        self.assertEqual(self.successResultOf(self.login(accounts, name, password)), account)

    def assertOut(self, accounts: Any, name: str | bytes, password: str | bytes) -> None:
        failure = self.failureResultOf(self.login(accounts, name, password), UnauthorizedLogin)
        self.assertEqual(failure.getErrorMessage(), "wrong name or password")

    def problem(self) -> str:
        """What is said about a file that cannot be used."""
        error = self.assertRaises(ConfigError, self.file)
        self.assertEqual(error.field, "auth")
        self.assertNotIn("\n", str(error))
        return str(error)


class RecordTests(PasswordTestCase):
    def test_itIsAPhcString(self) -> None:
        made = record("ada")
        found = re.fullmatch(
            r"ada:\$scrypt\$ln=10,r=8,p=1\$([A-Za-z0-9+/]{22})\$([A-Za-z0-9+/]{43})", made.line()
        )
        self.assertIsNotNone(found)
        self.assertEqual(parse_record(made.line()), made)

    def test_itsHashIsScryptOfThePassword(self) -> None:
        made = record("ada", "correct horse")
        ours = scrypt(b"correct horse", salt=made.salt, n=1024, r=8, p=1, dklen=32)
        self.assertEqual(made.hash, ours)

    def test_aRecordThatAnotherToolMade(self) -> None:
        salt = bytes(range(32))
        hashed = scrypt(b"secret", salt=salt, n=2048, r=8, p=1, dklen=32)
        both = "$".join(b64encode(part).decode().rstrip("=") for part in (salt, hashed))
        read = parse_record(f"ada:$scrypt$ln=11,r=8,p=1${both}")
        self.assertTrue(is_password(read, b"secret"))
        self.assertFalse(is_password(read, b"Secret"))

    def test_twoRecordsOfOnePasswordHaveNothingInCommon(self) -> None:
        one, two = record("ada"), record("ada")
        self.assertNotEqual(one.salt, two.salt)
        self.assertNotEqual(one.hash, two.hash)

    def test_itShowsNoHash(self) -> None:
        self.assertEqual(repr(record("ada")), "<Record of 'ada'>")

    def test_theDearestCostFitsIntoTheMemoryLimit(self) -> None:
        made = record("ada", log2_n=core.MOST_LOG2_N)
        self.assertEqual(len(made.hash), 32)

    def test_whatIsNoPassword(self) -> None:
        controls = (b"tab\tbed", b"nul\0led", b"line\n", b"\x7f", "\x85".encode())
        for given in (b"", b"\xff\xfe", b"x" * 1_025, *controls):
            self.assertIsNone(normal_password(given))
            error = self.assertRaises(ValueError, new_record, "ada", given, CHEAP)
            self.assertIn("1 to 1024 bytes of UTF-8", str(error))
        self.assertEqual(self.costs, [])
        self.assertEqual(normal_password(b"x" * 1_024), b"x" * 1_024)
        self.assertIsNotNone(new_record("ada", "äöü ☃ \u200d".encode(), CHEAP))

    def test_whatIsNoRecord(self) -> None:
        good = record("ada").line()
        for bad, said in (
            ("", "does not begin with the name"),
            ("ada", "does not begin with the name"),
            (":" + good, "does not begin with the name"),
            ("no name" + good, "does not begin with the name"),
            ("x" * 33 + ":" + good, "does not begin with the name"),
            ("ada:secret", "not what 'gamenet passwd' writes"),
            (good[:-1], "not what 'gamenet passwd' writes"),
            (good + "A", "not what 'gamenet passwd' writes"),
            (good + " x", "not what 'gamenet passwd' writes"),
            (good.replace("$scrypt", "$argon2id"), "not what 'gamenet passwd' writes"),
            (good.replace("ln=10", "ln=1e1"), "not what 'gamenet passwd' writes"),
            (good.replace("ln=10", "ln=9999999999"), "not what 'gamenet passwd' writes"),
            (good.replace("ln=10", "ln=9"), "ln from 10 to 17, not 9"),
            (good.replace("ln=10", "ln=18"), "ln from 10 to 17, not 18"),
            (good.replace("r=8", "r=1024"), "r=8,p=1"),
            (good.replace("p=1", "p=16"), "r=8,p=1"),
            (re.sub(r"p=1\$[^$]{2}", "p=1$", good), "not what 'gamenet passwd' writes"),
            (re.sub(r"p=1\$[^$]+", "p=1$" + "A" * 25, good), "not what 'gamenet passwd' writes"),
        ):
            error = self.assertRaises(ValueError, parse_record, bad)
            self.assertIn(said, str(error), bad)
            self.assertNotIn("secret", str(error))
            self.assertNotIn(good[-10:], str(error))


class CheckTests(PasswordTestCase):
    """Who gets in, and what it costs."""

    def setUp(self) -> None:
        super().setUp()
        self.accounts = Accounts([record("Ada"), record("bob", "other")], CHEAP)

    def test_theAccountIsTheNameAsListed(self) -> None:
        for name in ("Ada", "ada", "ADA", "\uff21da"):
            self.assertIn_(self.accounts, name, "secret", "Ada")

    def test_wrongPasswordsAndUnknownNamesGetOneAnswerAtOneCost(self) -> None:
        for name, password in (
            ("ada", "wrong"),
            ("ada", "other"),
            ("ada", "secret "),
            ("ada", "SECRET"),
            ("eve", "secret"),
            ("", "secret"),
            ("a" * 255, "secret"),
            (b"\xff\xfe", "secret"),
            ("\ud800".encode(errors="surrogatepass"), "secret"),
        ):
            self.assertOut(self.accounts, name, password)
            self.assertEqual(self.costs, [CHEAP], name)

    def test_aRightPasswordCostsTheSame(self) -> None:
        self.assertIn_(self.accounts, "ada", "secret", "Ada")
        self.assertEqual(self.costs, [CHEAP])

    def test_everyCheckIsOneJobOfThePool(self) -> None:
        self.assertIn_(self.accounts, "ada", "secret", "Ada")
        self.assertOut(self.accounts, "eve", "secret")
        self.assertEqual(self.pool.jobs, 2)

    def test_nothingIsHashedOnTheReactorThread(self) -> None:
        jobs: list[Any] = []

        class Later:
            def run(self, *job: Any) -> Deferred[Any]:
                jobs.append(job)
                return Deferred()

        self.pool = Later()
        for name in ("ada", "eve"):
            self.assertNoResult(self.login(self.accounts, name, "secret"))
            self.assertEqual(self.costs, [])
        self.assertEqual(len(jobs), 2)

    def test_whatCannotBeAPasswordIsRefusedBeforeItIsHashedForEverybodyAlike(self) -> None:
        for name in ("ada", "eve"):
            # Scrypt itself would take the last one for "secret".
            for password in (b"", b"\xff", b"x" * 1_025, b"x" * 100_000, b"secret\0"):
                self.assertOut(self.accounts, name, password)
        self.assertEqual((self.costs, self.pool.jobs), ([], 0))

    def test_aRecordOfTheEmptyPasswordLetsNobodyIn(self) -> None:
        salt = bytes(16)
        empty = Record("eve", CHEAP, salt, scrypt(b"", salt=salt, n=1024, r=8, p=1, dklen=32))
        self.assertOut(Accounts([empty], CHEAP), "eve", "")

    def test_theRecordOfAnUnknownNameFitsNoPassword(self) -> None:
        """Even if a hash came out like the one that stands in for none."""
        self.patch(core, "scrypt", lambda *arguments, **named: bytes(32))
        self.assertOut(self.accounts, "eve", "secret")

    def test_theSameLettersTypedElsewhereAreTheSamePassword(self) -> None:
        composed = unicodedata.normalize("NFC", "Ångström")
        apart = unicodedata.normalize("NFD", composed)
        self.assertNotEqual(composed, apart)
        for stored, typed in ((composed, apart), (apart, composed)):
            self.assertIn_(Accounts([record("ada", stored)], CHEAP), "ada", typed, "ada")

    def test_lettersThatOnlyLookAlikeAreNot(self) -> None:
        for stored, typed in (("file", "\ufb01le"), ("a", "\uff41"), ("a", "\u0430")):
            self.assertOut(Accounts([record("ada", stored)], CHEAP), "ada", typed)

    def test_anUnknownNameCostsWhatAListedOneDoes(self) -> None:
        accounts = Accounts([record("ada", log2_n=11), record("bob", log2_n=12)], CHEAP)
        seen = set()
        for number in range(64):
            self.assertOut(accounts, f"eve{number}", "secret")
            (first,) = self.costs
            self.assertOut(accounts, f"EVE{number}", "other")
            self.assertEqual(self.costs, [first], "one name always costs the same")
            seen.add(first)
        self.assertEqual(seen, {11, 12})

    def test_aNameThatIsNoTextIsUnknown(self) -> None:
        unknown, listed = self.accounts.find("\ud800")
        self.assertEqual((unknown.log2_n, listed), (CHEAP, False))
        self.assertFalse(self.accounts.lists("\ud800"))

    def test_withoutAccountsItCostsWhatTheServerIsTold(self) -> None:
        self.assertOut(Accounts([], 11), "eve", "secret")
        self.assertEqual(self.costs, [11])

    def test_theCheckerKeepsItsInterface(self) -> None:
        checker = PasswordChecker(self.accounts, self.pool)
        self.assertTrue(verifyObject(ICredentialsChecker, checker))


class FileTests(PasswordTestCase):
    """A file of accounts, read when it is named and whenever it has changed."""

    def test_commentsEmptyLinesAndOtherLineEndsAreSkipped(self) -> None:
        lines = ("\ufeff# ours", "", record("ada").line(), "   ", " # x:y", record("bob").line())
        for end in ("\n", "\r\n"):
            self.write(*lines, end=end)
            for name in ("ada", "bob"):
                self.assertIn_(self.file(), name, "secret", name)

    def test_theLastLineNeedsNoEnd(self) -> None:
        self.path.write_text(record("ada").line())
        self.assertIn_(self.file(), "ada", "secret", "ada")

    def test_aFileWithoutAccountsLetsNobodyIn(self) -> None:
        self.write("# nobody yet")
        self.assertOut(self.file(), "ada", "secret")

    def test_aFileThatCannotBeUsedIsNamedWithItsLine(self) -> None:
        self.assertIn(f"cannot read {self.path.absolute()}: No such file", self.problem())
        self.write("# x", record("ada").line(), "bob:secret")
        said = self.problem()
        self.assertIn("line 3: what follows bob:", said)
        self.assertNotIn("secret", said)
        self.write(record("ada").line(), "", record("ADA").line())
        self.assertIn("line 3: ADA is in line 1 too", self.problem())
        self.path.write_bytes(b"ada:\xff")
        self.assertIn("not UTF-8", self.problem())
        self.path.write_bytes(b"")
        self.assertIn("is empty", self.problem())
        self.path.unlink()
        self.path.mkdir()
        self.assertIn(str(self.path), self.problem())

    def test_aFileThatIsTooLargeIsNotReadWhole(self) -> None:
        self.patch(account_file, "MAX_BYTES", 1_000)
        self.write(*[record(f"p{number}").line() for number in range(20)])
        self.assertIn("larger than 1000 bytes", self.problem())

    def test_aPipeIsNotWaitedFor(self) -> None:
        if not hasattr(os, "mkfifo"):
            return
        os.mkfifo(self.path)
        self.assertIn("is not a file", self.problem())

    def test_aChangeIsInForceAtTheNextLogin(self) -> None:
        self.write(record("ada").line())
        accounts = self.file()
        change(str(self.path), "bob", record("bob"))
        self.assertIn_(accounts, "bob", "secret", "bob")
        change(str(self.path), "ada", record("ada", "new secret"))
        self.assertOut(accounts, "ada", "secret")
        self.assertIn_(accounts, "ada", "new secret", "ada")
        change(str(self.path), "ada", None)
        self.assertOut(accounts, "ada", "new secret")
        self.assertFalse(accounts.lists("ada"))
        self.assertTrue(accounts.lists("BOB"))

    def test_anUnchangedFileIsNotReadAgain(self) -> None:
        self.write(record("ada").line())
        accounts = self.file()
        reads: list[Any] = []
        self.patch(account_file, "parse_record", reads.append)
        for _ in range(3):
            self.assertIn_(accounts, "ada", "secret", "ada")
        self.assertEqual(reads, [])

    def test_theFolderMayChangeMeanwhile(self) -> None:
        self.write(record("ada").line())
        before = os.getcwd()
        self.addCleanup(os.chdir, before)
        accounts = PasswordFile(os.path.relpath(self.path), CHEAP)
        os.chdir("/")
        with capturedLogs() as logs:
            self.assertIn_(accounts, "ada", "secret", "ada")
        self.assertEqual(logs, [])

    def test_aFileThatIsJustBeingWrittenChangesNothing(self) -> None:
        """Every state that a writer who overwrites in place can leave for a moment."""
        whole = "".join(f"{record(name, 'new').line()}\n" for name in ("ada", "bob")).encode()
        ends = {len(whole)} | {i + 1 for i, byte in enumerate(whole) if byte == ord("\n")}
        ends |= {end - 1 for end in ends}
        for cut in range(0, len(whole), 7):
            if cut in ends:
                continue
            self.write(record("ada").line())
            accounts = self.file()
            self.path.write_bytes(whole[:cut])
            self.assertIn_(accounts, "ada", "secret", "ada")
            self.path.write_bytes(whole)
            self.assertIn_(accounts, "ada", "new", "ada")
            self.assertIn_(accounts, "bob", "new", "bob")

    def test_aBadStateMakesOneLineInTheLog(self) -> None:
        self.write(record("ada").line())
        accounts = self.file()
        for bad in (b"ada:secret\n", b"", None):
            if bad is None:
                self.path.unlink()
            else:
                self.path.write_bytes(bad)
            with capturedLogs() as logs:
                for _ in range(3):
                    self.assertIn_(accounts, "ada", "secret", "ada")
            (event,) = logs
            self.assertEqual(event["log_level"], LogLevel.warn)
            said = str(event["error"])
            self.assertIn(str(self.path.absolute()), said)
            self.assertNotIn("secret", said)

    def test_aFileThatChangesWhileItIsReadIsReadAgain(self) -> None:
        self.write(record("ada").line())
        accounts = self.file()
        later = "".join(f"{record(name).line()}\n" for name in ("ada", "bob", "eve"))
        read = account_file.read_file
        rounds = iter([later])

        def read_slowly(path: str, field: str) -> bytes:
            data = read(path, field)
            for text in rounds:
                self.path.write_text(text)
            return data

        self.patch(__import__("gamenet.passwords", fromlist=["x"]), "read_file", read_slowly)
        self.write(record("ada").line(), record("bob").line())
        self.assertIn_(accounts, "bob", "secret", "bob")
        self.assertIn_(accounts, "eve", "secret", "eve")


class ChangeTests(PasswordTestCase):
    """Changing a file so that nobody reads half of it."""

    def change(self, name: str, password: str | None = "secret") -> bool:
        new = None if password is None else record(name, password)
        return change(str(self.path), name, new)

    def test_aNewFileIsForItsOwnerOnly(self) -> None:
        self.assertFalse(self.change("ada"))
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)
        self.assertIn_(self.file(), "ada", "secret", "ada")

    def test_anOldFileKeepsItsMode(self) -> None:
        self.write(record("ada").line())
        for mode in (0o640, 0o600, 0o444):
            self.path.chmod(mode)
            self.assertTrue(self.change("ada"))
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), mode)

    def test_everythingElseStaysAsItIs(self) -> None:
        bob, eve = record("bob").line(), record("eve").line()
        self.write("# one", bob, "", "# two", record("ADA").line(), " # three", eve)
        self.assertTrue(self.change("ada", "new"))
        lines = self.path.read_text().splitlines()
        self.assertEqual([*lines[:4], *lines[5:]], ["# one", bob, "", "# two", " # three", eve])
        self.assertTrue(lines[4].startswith("ada:$scrypt$"))
        self.assertTrue(self.change("Ada", None))
        self.assertEqual(
            self.path.read_text().splitlines(), ["# one", bob, "", "# two", " # three", eve]
        )

    def test_aLastLineWithoutAnEndIsNotRunTogetherWithTheNext(self) -> None:
        self.path.write_text(record("ada").line())
        self.change("bob")
        for name in ("ada", "bob"):
            self.assertIn_(self.file(), name, "secret", name)

    def test_theLastAccountCanBeDeletedWhileAServerLooks(self) -> None:
        self.write(record("ada").line())
        accounts = self.file()
        self.assertTrue(self.change("ada", None))
        self.assertOut(accounts, "ada", "secret")
        self.assertNotEqual(self.path.read_bytes(), b"")

    def test_whatIsNotThereIsNotDeleted(self) -> None:
        self.assertFalse(self.change("ada", None))
        self.assertFalse(self.path.exists())
        self.write(record("bob").line())
        before = self.path.stat()
        self.assertFalse(self.change("ada", None))
        self.assertEqual(self.path.stat().st_ino, before.st_ino)

    def test_twoChangesAtOnceAreRefused(self) -> None:
        self.write(record("ada").line())
        other = Path(f"{self.path}.new")
        other.write_text("half")
        error = self.assertRaises(ConfigError, self.change, "bob")
        self.assertIn(str(other), str(error))
        self.assertEqual(other.read_text(), "half", "it belongs to somebody else")
        self.assertOut(self.file(), "bob", "secret")

    def test_aFileThatIsNotUnderstoodStaysAsItIs(self) -> None:
        self.write(record("ada").line(), "bob:plain")
        before = self.path.read_bytes()
        error = self.assertRaises(ConfigError, self.change, "ada", "new")
        self.assertIn("line 2", str(error))
        self.assertEqual(self.path.read_bytes(), before)

    def test_nothingIsLeftBehind(self) -> None:
        self.change("ada")
        self.change("ada", "new")
        self.change("eve", None)
        self.path.write_text("bad")
        self.assertRaises(ConfigError, self.change, "ada")
        self.assertEqual(os.listdir(self.folder), ["players"])

    def test_aFailedWriteLeavesTheOldFile(self) -> None:
        self.write(record("ada").line())

        def fail(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", fail)
        error = self.assertRaises(ConfigError, self.change, "bob")
        self.assertIn("No space left", str(error))
        self.assertIn_(self.file(), "ada", "secret", "ada")
        self.assertEqual(os.listdir(self.folder), ["players"])

    def test_aLinkStaysALink(self) -> None:
        self.write(record("ada").line())
        link = self.folder / "link"
        link.symlink_to("players")
        change(str(link), "bob", record("bob"))
        self.assertTrue(link.is_symlink())
        self.assertIn_(self.file(), "bob", "secret", "bob")

    def test_aFolderThatIsNotThere(self) -> None:
        error = self.assertRaises(ConfigError, change, str(self.path / "x"), "ada", record("ada"))
        self.assertIn("cannot write", str(error))

"""Who may join, as ``--auth`` says it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from twisted.cred import strcred
from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import Anonymous, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gamenet.account_file import change
from gamenet.auth import AuthOptions, PlayerPortal, make_portal, public
from gamenet.checkers import (
    OURS,
    AnonymousFactory,
    FileFactory,
    TicketFactory,
    split_path,
)
from gamenet.config import ServerConfig
from gamenet.credentials import ClaimedName, IClaimedName, IPlayerAvatar, LoginRefused, Ticket
from gamenet.errors import ConfigError, RefusalReason
from gamenet.passwords import new_record
from gamenet.tickets import TicketIssuer, make_key, read_private_key

CHEAP = ServerConfig(scrypt_log2_n=10, game_name="tag/1")


@implementer(ICredentialsChecker)
class LongNames:
    """A checker of somebody else's plugin: lets in names of a length and more."""

    credentialInterfaces = (IClaimedName, IUsernamePassword)

    def __init__(self, least: int) -> None:
        self.least = least

    def requestAvatarId(self, credentials: Any) -> Any:
        name = getattr(credentials, "username", b"") or credentials.name.encode()
        if len(name) < self.least:
            raise UnauthorizedLogin
        return name


@implementer(strcred.ICheckerFactory)
class LongNamesFactory:
    authType = "long"
    authHelp = "\n  Long names only.\n"
    argStringFormat = "a number"
    credentialInterfaces = LongNames.credentialInterfaces

    def generateChecker(self, argstring: str) -> LongNames:
        return LongNames(int(argstring))


class Options(AuthOptions, usage.Options):
    """A command line with nothing else."""


class AtOnce:
    """A pool that does its jobs at once."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def run(self, call: Any, *arguments: Any) -> Deferred[Any]:
        self.calls.append("run")
        return maybeDeferred(call, *arguments)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> Deferred[None]:
        self.calls.append("stop")
        return Deferred()


class AuthTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.pool: Any = AtOnce()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def portal(self, *descriptions: str, config: ServerConfig = CHEAP) -> PlayerPortal:
        return make_portal(descriptions, config, pool=self.pool)

    def account(self, descriptions: list[str], credentials: Any) -> str:
        """The account that a login gets."""
        portal = self.portal(*descriptions)
        interface, avatar, logout = self.successResultOf(
            portal.login(credentials, None, IPlayerAvatar)
        )
        self.assertIs(interface, IPlayerAvatar)
        self.assertTrue(verifyObject(IPlayerAvatar, avatar))
        logout()
        account: str = avatar.account
        return account

    def assertRefused(self, descriptions: list[str], credentials: Any, error: type) -> Any:
        login = self.portal(*descriptions).login(credentials, None, IPlayerAvatar)
        return self.failureResultOf(login, error).value

    def refusal(self, *descriptions: str, config: ServerConfig = CHEAP) -> str:
        """What is said about descriptions that cannot be."""
        error = self.assertRaises(ConfigError, make_portal, descriptions, config)
        self.assertEqual(error.field, "auth")
        self.assertNotIn("\n", str(error))
        return str(error)

    def accounts(self, *names: str) -> str:
        """A file in which everybody's password is ``secret``, as a description."""
        path = str(self.folder / "players")
        for name in names:
            change(path, name, new_record(name, b"secret", 10))
        return f"file:{path}"


class LoginTests(AuthTestCase):
    def test_anonymousTakesAnyNameAndNoneAsAGuest(self) -> None:
        for credentials in (ClaimedName("ada"), Anonymous()):
            self.assertEqual(self.account(["anonymous"], credentials), "")

    def test_withoutADescriptionEverybodyIsAGuest(self) -> None:
        self.assertEqual(self.account([], ClaimedName("ada")), "")

    def test_aListedNameIsItsAccountAsListed(self) -> None:
        self.assertEqual(self.account(["memory:ada, Bob"], ClaimedName("bob")), "Bob")
        self.assertEqual(self.account(["memory:ada, Bob"], ClaimedName("ADA")), "ada")

    def test_anUnlistedNameIsRefused(self) -> None:
        self.assertRefused(["memory:ada,bob"], ClaimedName("eve"), UnauthorizedLogin)

    def test_aListLetsNobodyInWithoutAName(self) -> None:
        self.assertRefused(["memory:ada,bob"], Anonymous(), UnhandledCredentials)

    def test_aPasswordLetsNobodyInWhereNamesAreClaimed(self) -> None:
        for description in ("anonymous", "memory:ada"):
            self.assertRefused(
                [description], UsernamePassword(b"ada", b"secret"), UnhandledCredentials
            )
            self.assertRefused([description], Ticket(b"x"), UnhandledCredentials)

    def test_theRealmHasPlayersOnly(self) -> None:
        login = make_portal([]).login(Anonymous(), None, ICredentialsChecker)
        self.failureResultOf(login, NotImplementedError)

    def test_factoriesKeepTheirInterface(self) -> None:
        make_key(self.folder / "key")
        arguments = ("", "ada", self.accounts("ada")[5:], f"{self.folder}/key.pub:arena")
        for factory, argument in zip(OURS, arguments, strict=True):
            self.assertTrue(verifyObject(strcred.ICheckerFactory, factory))
            checker = factory.generateChecker(argument)
            self.assertTrue(verifyObject(ICredentialsChecker, checker))
            self.assertLessEqual(
                set(checker.credentialInterfaces), set(factory.credentialInterfaces)
            )
        self.assertIs(AnonymousFactory().generateChecker("").requestAvatarId(None), ANONYMOUS)


class PasswordTests(AuthTestCase):
    """``file:PATH`` and ``memory:ada:secret``."""

    def assertLogsIn(self, descriptions: list[str], name: bytes, password: bytes) -> None:
        account = self.account(descriptions, UsernamePassword(name, password))
        self.assertEqual(account, name.decode())

    def test_whoKnowsThePasswordJoins(self) -> None:
        for description in (self.accounts("ada", "bob"), "memory:ada:secret:bob:secret"):
            self.assertLogsIn([description], b"ada", b"secret")
            self.assertLogsIn([description], b"bob", b"secret")
            for name, password in ((b"ada", b"Secret"), (b"ada", b""), (b"eve", b"secret")):
                error = self.assertRefused(
                    [description], UsernamePassword(name, password), UnauthorizedLogin
                )
                self.assertNotIsInstance(error, LoginRefused)

    def test_theCostOfACheckIsTheServers(self) -> None:
        for description in (self.accounts("ada"), "memory:ada:secret"):
            checker: Any = self.portal(description).checkers[IUsernamePassword]
            for name in ("ada", "eve"):
                self.assertEqual(checker.accounts.current().find(name)[0].log2_n, 10)
        empty = self.folder / "nobody"
        empty.write_text("# yet\n")
        checker = self.portal(f"file:{empty}").checkers[IUsernamePassword]
        self.assertEqual(checker.accounts.current().find("eve")[0].log2_n, 10)

    def test_listedPasswordsMayHaveCommasButNotNames(self) -> None:
        self.assertLogsIn(["memory:ada:a,b:bob:c"], b"ada", b"a,b")
        self.assertIn("not a name", self.refusal("memory:ada,bob:secret"))

    def test_aNameAloneOpensNoAccount(self) -> None:
        for description in (self.accounts("ada"), "memory:ada:secret"):
            self.assertRefused([description], ClaimedName("ada"), UnhandledCredentials)
            self.assertRefused([description], ClaimedName("eve"), UnhandledCredentials)

    def test_guestsGetAnyNameButThoseWithAPassword(self) -> None:
        for secrets in (self.accounts("Ada"), "memory:Ada:secret"):
            for descriptions in ([secrets, "anonymous"], ["anonymous", secrets]):
                self.assertEqual(self.account(descriptions, ClaimedName("bob")), "")
                self.assertEqual(self.account(descriptions, Anonymous()), "")
                for name in ("Ada", "ada", "ADA", "\uff21da"):
                    error = self.assertRefused(descriptions, ClaimedName(name), UnauthorizedLogin)
                    self.assertNotIsInstance(error, LoginRefused)
                self.assertLogsIn(descriptions, b"Ada", b"secret")
        self.assertEqual(self.pool.calls, ["run"] * 4, "claimed names need no thread")

    def test_aListOfNamesGivesNoNameAwayThatHasAPassword(self) -> None:
        descriptions = ["memory:ada,bob", self.accounts("ada")]
        self.assertRefused(descriptions, ClaimedName("ada"), UnauthorizedLogin)
        self.assertEqual(self.account(descriptions, ClaimedName("bob")), "bob")

    def test_aNameThatGetsAPasswordLaterIsOwnedFromThenOn(self) -> None:
        portal = self.portal(self.accounts("ada"), "anonymous")
        self.successResultOf(portal.login(ClaimedName("bob"), None, IPlayerAvatar))
        self.accounts("bob")
        self.failureResultOf(
            portal.login(ClaimedName("bob"), None, IPlayerAvatar), UnauthorizedLogin
        )

    def test_aFileThatCannotBeUsedIsNamed(self) -> None:
        path = self.folder / "none"
        self.assertIn(str(path), self.refusal(f"file:{path}"))
        path.write_text("ada:hunter2\n")
        said = self.refusal(f"file:{path}")
        self.assertIn("line 1", said)
        self.assertNotIn("hunter2", said)
        self.assertIn("gamenet passwd", self.refusal("file:"))

    def test_listsThatCannotBeAreRefusedWithoutTheirPasswords(self) -> None:
        for description, said in (
            ("memory:ada:hunter2:bob", "every name needs a password"),
            ("memory:ada:hunter2:", "every name needs a password"),
            ("memory:ada::bob:hunter2", "a password has 1 to 1024 bytes"),
            ("memory:a da:hunter2", "'a da' is not a name"),
            ("memory::hunter2", "'' is not a name"),
            ("memory:ada:hunter2:ADA:hunter2", "twice"),
            ("memory:" + ":".join(f"p{i}:hunter2" for i in range(65)), "more than 64"),
        ):
            found = self.refusal(description)
            self.assertIn(said, found)
            self.assertIn("memory:...", found)
            self.assertNotIn("hunter2", found)

    def test_twoFilesAreRefused(self) -> None:
        self.assertIn("same players", self.refusal(self.accounts("ada"), "memory:eve:hunter2"))


class TicketTests(AuthTestCase):
    """``ticket:PUBLIC_KEY_FILE:AUDIENCE``."""

    def setUp(self) -> None:
        super().setUp()
        self.key = self.folder / "key"
        self.public = make_key(self.key)

    def ticket(self, audience: str, account: str = "ada") -> Ticket:
        return Ticket(TicketIssuer(read_private_key(self.key), audience).issue(account))

    def test_aTicketForThisAudienceJoins(self) -> None:
        for description, audience in (
            (f"ticket:{self.public}:arena", "arena"),
            (f"ticket:{self.public}:https://example.net/arena", "https://example.net/arena"),
            (f"ticket:{self.public}", "tag/1"),
            (f"ticket:{self.public}:", "tag/1"),
        ):
            self.assertEqual(self.account([description], self.ticket(audience)), "ada")
            error = self.assertRefused([description], self.ticket("lobby"), LoginRefused)
            self.assertIs(error.refusal, RefusalReason.TICKET_AUDIENCE)

    def test_oneTicketIsOneLogin(self) -> None:
        portal = self.portal(f"ticket:{self.public}:arena")
        ticket = self.ticket("arena")
        self.successResultOf(portal.login(ticket, None, IPlayerAvatar))
        again = portal.login(Ticket(ticket.data), None, IPlayerAvatar)
        refused: Any = self.failureResultOf(again, LoginRefused).value
        self.assertIs(refused.refusal, RefusalReason.TICKET_USED)
        ticket.settle(False)
        self.successResultOf(portal.login(Ticket(ticket.data), None, IPlayerAvatar))

    def test_itsLimitsAreTheServers(self) -> None:
        config = ServerConfig(max_used_tickets=1)
        portal = self.portal(f"ticket:{self.public}:arena", config=config)
        self.successResultOf(portal.login(self.ticket("arena"), None, IPlayerAvatar))
        login = portal.login(self.ticket("arena"), None, IPlayerAvatar)
        refused: Any = self.failureResultOf(login, LoginRefused).value
        self.assertIs(refused.refusal, RefusalReason.BUSY)

    def test_ticketsNamesAndPasswordsGoTogether(self) -> None:
        descriptions = [f"ticket:{self.public}:arena", self.accounts("bob"), "anonymous"]
        self.assertEqual(self.account(descriptions, self.ticket("arena")), "ada")
        self.assertEqual(self.account(descriptions, UsernamePassword(b"bob", b"secret")), "bob")
        self.assertEqual(self.account(descriptions, ClaimedName("eve")), "")

    def test_somethingMustSayTheAudience(self) -> None:
        for description in (f"ticket:{self.public}", f"ticket:{self.public}:"):
            self.assertIn("game_name", self.refusal(description, config=ServerConfig()))

    def test_aKeyThatCannotBeUsedIsNamed(self) -> None:
        self.assertIn("--make-key", self.refusal("ticket:"))
        self.assertIn("--make-key", self.refusal("ticket::arena"))
        self.assertIn(f"{self.folder}/no:", self.refusal(f"ticket:{self.folder}/no:arena"))
        self.assertIn("private key", self.refusal(f"ticket:{self.key}:arena"))

    def test_pathsOfWindowsKeepTheirColon(self) -> None:
        for argument, expected in (
            ("key.pub", ("key.pub", "")),
            ("key.pub:a:b", ("key.pub", "a:b")),
            ("C:\\keys\\key.pub:arena", ("C:\\keys\\key.pub", "arena")),
            ("c:/key.pub", ("c:/key.pub", "")),
            ("k:arena", ("k", "arena")),
            ("", ("", "")),
        ):
            self.assertEqual(split_path(argument), expected)


class TlsTests(AuthTestCase):
    """Secrets are taken over TLS only."""

    def test_anInsecureServerChecksNone(self) -> None:
        public_key = make_key(self.folder / "key")
        insecure = ServerConfig(insecure=True, scrypt_log2_n=10)
        for description in (
            self.accounts("ada"),
            "memory:ada:hunter2",
            f"ticket:{public_key}:arena",
        ):
            for descriptions in ([description], ["anonymous", description]):
                said = self.refusal(*descriptions, config=insecure)
                self.assertIn("come with TLS only", said)
                self.assertIn("--cert", said)
                self.assertNotIn("hunter2", said)
                self.assertTrue(self.portal(*descriptions).needs_tls)

    def test_namesNeedNone(self) -> None:
        insecure = ServerConfig(insecure=True)
        for description in ("anonymous", "memory:ada,bob"):
            self.assertFalse(self.portal(description, config=insecure).needs_tls)

    def test_withoutSettingsTheDefaultOnesHold(self) -> None:
        self.assertTrue(make_portal(["memory:ada:secret"]).needs_tls)


class LifeTests(AuthTestCase):
    """A portal has threads, which begin and end with the server."""

    def test_startingAndStoppingItDoesSoWithItsThreads(self) -> None:
        portal = self.portal("anonymous")
        portal.start()
        self.assertNoResult(portal.stop())
        self.assertEqual(self.pool.calls, ["start", "stop"])

    def test_withoutLoginsThereIsNothingToStop(self) -> None:
        portal = make_portal(["memory:ada:secret"], CHEAP)
        portal.start()
        self.successResultOf(portal.stop())
        self.assertEqual((portal.pool.jobs, portal.pool.running), (0, 0))

    def test_itsThreadsAreAsManyAsTheServerIsTold(self) -> None:
        portal = make_portal([], ServerConfig(login_threads=3, login_queue=7))
        self.assertEqual((portal.pool._threads, portal.pool._queue), (3, 7))


class DescriptionTests(AuthTestCase):
    def test_aDescriptionIsShownWithoutItsSecrets(self) -> None:
        for description, shown in (
            ("anonymous", "anonymous"),
            ("memory:ada,bob", "memory:ada,bob"),
            ("memory:ada:hunter2", "memory:..."),
            ("file:players", "file:players"),
            ("other:a:b", "other:..."),
            ("ticket:key.pub:arena", "ticket:key.pub:arena"),
        ):
            self.assertEqual(public(description), shown)

    def test_anUnknownCheckerIsRefusedWithTheKnownOnes(self) -> None:
        said = self.refusal("ldap:dc=example")
        self.assertIn("'ldap'", said)
        self.assertIn("anonymous, memory, file, ticket", said)

    def test_aBadNameInAListIsNamed(self) -> None:
        self.assertIn("'no name'", self.refusal("memory:ada,no name"))
        self.assertIn("''", self.refusal("memory:ada,,bob"))
        self.assertIn(repr("x" * 33), self.refusal("memory:" + "x" * 33))

    def test_aListOfNobodyIsRefused(self) -> None:
        for description in ("memory", "memory:", "memory: "):
            self.assertIn("names nobody", self.refusal(description))

    def test_anonymousTakesNoArgument(self) -> None:
        self.assertIn("anonymous:ada", self.refusal("anonymous:ada"))

    def test_twoCheckersOfTheSamePlayersAreRefused(self) -> None:
        for pair in (("anonymous", "memory:ada"), ("memory:ada", "memory:bob")):
            said = self.refusal(*pair)
            for description in pair:
                self.assertIn(description, said)


class PluginTests(AuthTestCase):
    """Checkers that another package adds through Twisted's plugins."""

    def setUp(self) -> None:
        super().setUp()
        found = [*strcred.findCheckerFactories(), LongNamesFactory()]
        self.patch(strcred, "findCheckerFactories", lambda: iter(found))

    def test_theyDecideAboutClaimedNames(self) -> None:
        self.assertEqual(self.account(["long:3"], ClaimedName("ada")), "ada")
        self.assertRefused(["long:4"], ClaimedName("ada"), UnauthorizedLogin)

    def test_theyDecideAboutPasswords(self) -> None:
        self.assertEqual(self.account(["long:3"], UsernamePassword(b"ada", b"x")), "ada")
        self.assertRefused(["long:4"], UsernamePassword(b"ada", b"x"), UnauthorizedLogin)
        self.assertTrue(self.portal("long:3").needs_tls)
        self.assertIn("TLS only", self.refusal("long:3", config=ServerConfig(insecure=True)))

    def test_whatNoPlayerCanShowIsRefused(self) -> None:
        self.patch(LongNamesFactory, "credentialInterfaces", ())
        self.assertIn("long:3 checks nothing", self.refusal("long:3"))

    def test_theirErrorsAreOneLine(self) -> None:
        self.assertIn("long:soon: invalid literal", self.refusal("long:soon"))

    def test_oursComeBeforeThoseOfTheSameName(self) -> None:
        self.assertEqual(self.account(["memory:ada"], ClaimedName("ada")), "ada")
        for kind, factory in (("file", FileFactory), ("ticket", TicketFactory)):
            (ours,) = (one for one in OURS if one.authType == kind)
            self.assertIsInstance(ours, factory)

    def test_helpListsWhatCanBeUsedAndNothingElse(self) -> None:
        options = Options()
        options.auth_output = out = io.StringIO()
        ended = self.assertRaises(SystemExit, options.parseOptions, ["--help-auth"])
        self.assertEqual(ended.code, 0)
        listed = [line.split()[0] for line in out.getvalue().splitlines() if line[:3].strip()]
        self.assertEqual(listed[:5], ["Usage:", "anonymous", "memory", "file", "ticket"])
        self.assertIn("long", listed)
        self.assertNotIn("sshkey", listed)
        self.assertIn("Long names only.", out.getvalue())
        self.assertIn("can read the command line", out.getvalue())
        self.assertNotIn("plain text", out.getvalue(), "of Twisted's own file:")
        self.assertTrue(all(len(line) <= 100 for line in out.getvalue().splitlines()))


class OptionTests(SynchronousTestCase):
    def test_descriptionsAreCollectedInOrder(self) -> None:
        options = Options()
        options.parseOptions(["--auth", "memory:ada", "--auth=long:3"])
        self.assertEqual(options["auth"], ["memory:ada", "long:3"])

    def test_withoutTheFlagThereIsNothing(self) -> None:
        options = Options()
        options.parseOptions([])
        self.assertNotIn("auth", options)

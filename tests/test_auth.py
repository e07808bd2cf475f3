"""Who may join, as ``--auth`` says it."""

from __future__ import annotations

import io
from typing import Any

from twisted.cred import strcred
from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import Anonymous, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.python import usage
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from gamenet.auth import AnonymousFactory, AuthOptions, MemoryFactory, make_portal
from gamenet.credentials import ClaimedName, IClaimedName, IPlayerAvatar
from gamenet.errors import ConfigError


@implementer(ICredentialsChecker)
class LongNames:
    """A checker of somebody else's plugin: lets in names of a length and more."""

    credentialInterfaces = (IClaimedName, IUsernamePassword)

    def __init__(self, least: int) -> None:
        self.least = least

    def requestAvatarId(self, credentials: Any) -> Any:
        if len(credentials.name) < self.least:
            raise UnauthorizedLogin
        return credentials.name.encode()


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


class AuthTestCase(SynchronousTestCase):
    def account(self, descriptions: list[str], credentials: Any) -> str:
        """The account that a login gets."""
        portal = make_portal(descriptions)
        interface, avatar, logout = self.successResultOf(
            portal.login(credentials, None, IPlayerAvatar)
        )
        self.assertIs(interface, IPlayerAvatar)
        self.assertTrue(verifyObject(IPlayerAvatar, avatar))
        logout()
        account: str = avatar.account
        return account

    def assertRefused(self, descriptions: list[str], credentials: Any, error: type) -> None:
        self.failureResultOf(
            make_portal(descriptions).login(credentials, None, IPlayerAvatar), error
        )

    def refusal(self, *descriptions: str) -> str:
        """What is said about descriptions that cannot be."""
        error = self.assertRaises(ConfigError, make_portal, descriptions)
        self.assertEqual(error.field, "auth")
        self.assertNotIn("\n", str(error))
        return str(error)


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

    def test_passwordsAreNeverLookedAt(self) -> None:
        for description in ("anonymous", "memory:ada"):
            self.assertRefused(
                [description], UsernamePassword(b"ada", b"secret"), UnhandledCredentials
            )

    def test_theRealmHasPlayersOnly(self) -> None:
        login = make_portal([]).login(Anonymous(), None, ICredentialsChecker)
        self.failureResultOf(login, NotImplementedError)

    def test_factoriesKeepTheirInterface(self) -> None:
        for factory, argument in ((AnonymousFactory(), ""), (MemoryFactory(), "ada")):
            self.assertTrue(verifyObject(strcred.ICheckerFactory, factory))
            checker = factory.generateChecker(argument)
            self.assertTrue(verifyObject(ICredentialsChecker, checker))
        self.assertIs(AnonymousFactory().generateChecker("").requestAvatarId(None), ANONYMOUS)


class DescriptionTests(AuthTestCase):
    def test_secretsInAListAreRefusedUntilThereIsTls(self) -> None:
        said = self.refusal("memory:ada:hunter2")
        self.assertIn("passwords come with TLS", said)
        self.assertIn("memory:ada,bob", said)
        self.assertNotIn("hunter2", said)

    def test_checkersOfSecretsAreRefusedUntilThereIsTls(self) -> None:
        for description in ("file:/etc/passwd", "unix"):
            self.assertIn("passwords come with TLS", self.refusal(description))

    def test_anUnknownCheckerIsRefusedWithTheKnownOnes(self) -> None:
        said = self.refusal("ldap:dc=example")
        self.assertIn("'ldap'", said)
        self.assertIn("anonymous, memory", said)

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
        found = [*strcred.findCheckerFactories(), LongNamesFactory()]
        self.patch(strcred, "findCheckerFactories", lambda: iter(found))

    def test_theyDecideAboutClaimedNames(self) -> None:
        self.assertEqual(self.account(["long:3"], ClaimedName("ada")), "ada")
        self.assertRefused(["long:4"], ClaimedName("ada"), UnauthorizedLogin)

    def test_theirPasswordsStayOut(self) -> None:
        self.assertRefused(["long:3"], UsernamePassword(b"ada", b"x"), UnhandledCredentials)

    def test_theirErrorsAreOneLine(self) -> None:
        self.assertIn("long:soon: invalid literal", self.refusal("long:soon"))

    def test_oursComeBeforeThoseOfTheSameName(self) -> None:
        self.assertEqual(self.account(["memory:ada"], ClaimedName("ada")), "ada")

    def test_helpListsWhatCanBeUsedAndNothingElse(self) -> None:
        options = Options()
        options.auth_output = out = io.StringIO()
        ended = self.assertRaises(SystemExit, options.parseOptions, ["--help-auth"])
        self.assertEqual(ended.code, 0)
        listed = [line.split()[0] for line in out.getvalue().splitlines() if line[:3].strip()]
        self.assertEqual(listed, ["Usage:", "anonymous", "memory", "long"])
        self.assertIn("Long names only.", out.getvalue())
        self.assertNotIn("password:...", out.getvalue())


class OptionTests(SynchronousTestCase):
    def test_descriptionsAreCollectedInOrder(self) -> None:
        options = Options()
        options.parseOptions(["--auth", "memory:ada", "--auth=long:3"])
        self.assertEqual(options["auth"], ["memory:ada", "long:3"])

    def test_withoutTheFlagThereIsNothing(self) -> None:
        options = Options()
        options.parseOptions([])
        self.assertNotIn("auth", options)

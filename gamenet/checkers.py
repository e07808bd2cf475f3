"""The checkers that need no plugin: ``anonymous``, ``memory:``, ``file:`` and ``ticket:``.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from twisted.cred import strcred
from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from zope.interface import implementer

from gamenet.config import ServerConfig
from gamenet.core.text import checked_name, name_key
from gamenet.credentials import IClaimedName, ITicket
from gamenet.login_pool import LoginPool
from gamenet.passwords import Accounts, PasswordChecker, PasswordFile, new_record
from gamenet.tickets import TicketChecker, read_public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gamenet.credentials import ClaimedName

MAX_LISTED_PASSWORDS: Final = 64
"""Accounts of one ``memory:NAME:PASSWORD``; each is hashed when the server starts."""


@implementer(ICredentialsChecker)
class AnyNameChecker:
    """Lets everybody in as a guest, under a name or none."""

    credentialInterfaces = (IClaimedName, IAnonymous)

    def requestAvatarId(self, credentials: object) -> Any:
        """Nobody has proved anything."""
        return ANONYMOUS


@implementer(ICredentialsChecker)
class ListedNameChecker:
    """Lets in whoever claims a listed name, without regard to case.

    :param names: the names, each of which is an account as well.
    """

    credentialInterfaces = (IClaimedName,)

    def __init__(self, names: Iterable[str]) -> None:
        self._accounts = {name_key(name): name for name in names}

    def requestAvatarId(self, credentials: ClaimedName) -> Any:
        """The name as it is listed.

        :raises UnauthorizedLogin: if it is not.
        """
        try:
            return self._accounts[name_key(credentials.name)]
        except KeyError:
            raise UnauthorizedLogin("not a listed name") from None


@implementer(ICredentialsChecker)
class UnownedNameChecker:
    """Asks another checker about claimed names, except those that have a password.

    :param checker: decides about all others.
    :param accounts: whose names nobody gets by claiming them.
    """

    def __init__(self, checker: Any, accounts: Accounts | PasswordFile) -> None:
        self.credentialInterfaces = checker.credentialInterfaces
        self._checker = checker
        self._accounts = accounts

    def requestAvatarId(self, credentials: Any) -> Any:
        """What the other checker says.

        :raises UnauthorizedLogin: if the name has a password.
        """
        if self._accounts.lists(getattr(credentials, "name", "")):
            raise UnauthorizedLogin("a name with a password")
        return self._checker.requestAvatarId(credentials)


class Means(NamedTuple):
    """What our checkers are made with, besides their argument."""

    config: ServerConfig
    pool: LoginPool


def means_of(config: ServerConfig, reactor: Any = None, pool: LoginPool | None = None) -> Means:
    """The means that *config* asks for.

    :param pool: to be used rather than one of its own.
    """
    return Means(config, pool or LoginPool(config.login_threads, config.login_queue, reactor))


class OurFactory:
    """A checker factory as ``strcred`` wants it, which can also be told the server's settings."""

    def generateChecker(self, argstring: str) -> Any:
        """A checker for the default settings.

        :raises ValueError: if the argument is not right, saying what would be.
        """
        return self.make(argstring, means_of(ServerConfig()))

    def make(self, argument: str, means: Means) -> Any:
        """The same for given settings.

        :raises ValueError: if the argument is not right, saying what would be.
        """
        raise NotImplementedError


@implementer(strcred.ICheckerFactory)
class AnonymousFactory(OurFactory):
    """Makes the checker of ``anonymous``."""

    authType = "anonymous"
    authHelp = "Everybody may join, under any free name or as a guest. The default."
    argStringFormat = "none"
    credentialInterfaces = AnyNameChecker.credentialInterfaces

    def make(self, argument: str, means: Means) -> AnyNameChecker:
        """:raises ValueError: if there is an argument."""
        if argument:
            raise ValueError("anonymous takes nothing after it")
        return AnyNameChecker()


@implementer(strcred.ICheckerFactory)
class MemoryFactory(OurFactory):
    """Makes the checkers of ``memory:ada,bob`` and ``memory:ada:secret:bob:secret2``."""

    authType = "memory"
    authHelp = (
        "Only these names may join, without regard to case. With commas they are claimed, not\n"
        "proved: whoever knows a name can use it. With colons each is followed by its password,\n"
        "for trying things out: everybody on this machine can read the command line."
    )
    argStringFormat = "names: ada,bob  or names with passwords: ada:secret:bob:secret2"
    credentialInterfaces = (IClaimedName, IUsernamePassword)

    def make(self, argument: str, means: Means) -> ListedNameChecker | PasswordChecker:
        """:raises ValueError: if it is not a list of names, saying what is wrong."""
        if ":" in argument:
            return self._with_passwords(argument.split(":"), means)
        if not argument.strip():
            raise ValueError("it names nobody; write memory:ada,bob")
        return ListedNameChecker(_listed_name(given) for given in argument.split(","))

    def _with_passwords(self, pieces: list[str], means: Means) -> PasswordChecker:
        if len(pieces) % 2:
            raise ValueError("every name needs a password, and no password can have a colon")
        if len(pieces) > 2 * MAX_LISTED_PASSWORDS:
            raise ValueError(f"more than {MAX_LISTED_PASSWORDS} accounts; use file:PATH")
        log2_n = means.config.scrypt_log2_n
        records = [
            new_record(_listed_name(name), password.encode(), log2_n)
            for name, password in zip(pieces[::2], pieces[1::2], strict=True)
        ]
        accounts = Accounts(records, log2_n)
        if len(accounts) < len(records):
            raise ValueError("a name is in it twice")
        return PasswordChecker(accounts, means.pool)


def _listed_name(given: str) -> str:
    name = checked_name(given.strip())
    if name is None:
        raise ValueError(
            f"{given.strip()!r} is not a name; names have 1 to 32 letters, digits, "
            "dots, dashes or underscores"
        )
    return name


@implementer(strcred.ICheckerFactory)
class FileFactory(OurFactory):
    """Makes the checker of ``file:PATH``."""

    authType = "file"
    authHelp = (
        "Whoever knows the password of an account of this file may join. 'gamenet passwd FILE\n"
        "NAME' adds accounts and changes passwords, also while the server runs. Together with\n"
        "anonymous everybody else may join as well, but not under a name of the file."
    )
    argStringFormat = "a file: players.passwd"
    credentialInterfaces = (IUsernamePassword,)

    def make(self, argument: str, means: Means) -> PasswordChecker:
        """:raises ValueError: if there is no such file, or it cannot be used."""
        if not argument.strip():
            raise ValueError("it needs a file, which 'gamenet passwd FILE NAME' makes")
        return PasswordChecker(PasswordFile(argument, means.config.scrypt_log2_n), means.pool)


@implementer(strcred.ICheckerFactory)
class TicketFactory(OurFactory):
    """Makes the checker of ``ticket:PUBLIC_KEY_FILE:AUDIENCE``."""

    authType = "ticket"
    authHelp = (
        "Whoever brings a ticket may join, once: a JSON Web Token signed by the holder of the\n"
        "private key, such as your web site, for this audience, at most ticket_seconds old.\n"
        "'gamenet ticket --make-key FILE' makes the keys. The audience is game_name by default."
    )
    argStringFormat = "a public key and this server's name: FILE.pub:AUDIENCE"
    credentialInterfaces = (ITicket,)

    def make(self, argument: str, means: Means) -> TicketChecker:
        """:raises ValueError: if there is no such key, or nothing says the audience."""
        path, audience = split_path(argument)
        audience = audience or means.config.game_name
        if not path:
            raise ValueError("it needs a public key, which 'gamenet ticket --make-key FILE' makes")
        if not audience:
            raise ValueError(
                "nothing says what this server is called in tickets; add it behind a colon, or set "
                "game_name"
            )
        return TicketChecker(read_public_key(path), audience, means.config)


def split_path(argument: str) -> tuple[str, str]:
    """A path and what follows it behind a colon; the colon of ``C:\\`` belongs to the path."""
    drive = argument[:2] if argument[:1].isalpha() and argument[1:3] in (":\\", ":/") else ""
    path, _, rest = argument[len(drive) :].partition(":")
    return drive + path, rest


OURS: Final = (AnonymousFactory(), MemoryFactory(), FileFactory(), TicketFactory())
"""The checkers that need no plugin."""

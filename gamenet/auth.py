"""Who may join: portals built from the short descriptions that ``--auth`` takes.

Layer 4. Runs on: the reactor thread.

A description is ``TYPE`` or ``TYPE:ARGUMENT``, as Twisted's ``strcred`` has them, and stands for a
checker. Ours come before Twisted's plugins of the same name; other packages can add their own by
that plugin system, if they check a claimed name or anonymous access. Checkers of secrets are
refused: over plain TCP anybody on the path could read a password.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from twisted.cred import strcred
from twisted.cred.checkers import ANONYMOUS, ICredentialsChecker
from twisted.cred.credentials import IAnonymous
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import IRealm, Portal
from zope.interface import implementer

from gamenet.core.text import checked_name, name_key
from gamenet.credentials import IClaimedName, IPlayerAvatar, PlayerAvatar
from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from zope.interface import Interface

    from gamenet.credentials import ClaimedName

SUPPORTED: Final = (IClaimedName, IAnonymous)
"""What a joining player can show in this version: a name, or nothing."""

_NO_SECRETS: Final = (
    "passwords come with TLS, which this version does not have; use memory:ada,bob or anonymous"
)


@implementer(IRealm)
class PlayerRealm:
    """Turns what a checker found into what a server wants to know of a player."""

    def requestAvatar(
        self, avatarId: bytes | str | tuple[()], mind: object, *interfaces: type[Interface]
    ) -> tuple[type[Interface], PlayerAvatar, Callable[[], None]]:
        """The account is the avatar id, "" for a guest.

        :raises NotImplementedError: if something else than a player is wanted.
        """
        if IPlayerAvatar not in interfaces:
            raise NotImplementedError("this realm has players only")
        account = avatarId.decode() if isinstance(avatarId, bytes) else avatarId
        return IPlayerAvatar, PlayerAvatar(account or ""), _logged_out


def _logged_out() -> None:
    """A player's end needs nothing here."""


@implementer(ICredentialsChecker)
class AnyNameChecker:
    """Lets everybody in as a guest, under a name or none."""

    credentialInterfaces = SUPPORTED

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


@implementer(strcred.ICheckerFactory)
class AnonymousFactory:
    """Makes the checker of ``anonymous``."""

    authType = "anonymous"
    authHelp = "Everybody may join, under any free name or as a guest. The default."
    argStringFormat = "none"
    credentialInterfaces = SUPPORTED

    def generateChecker(self, argstring: str) -> AnyNameChecker:
        """:raises ValueError: if there is an argument."""
        if argstring:
            raise ValueError("anonymous takes nothing after it")
        return AnyNameChecker()


@implementer(strcred.ICheckerFactory)
class MemoryFactory:
    """Makes the checker of ``memory:ada,bob``."""

    authType = "memory"
    authHelp = (
        "Only these names may join, without regard to case. They are claimed, not proved:\n"
        "whoever knows a name can use it. Twisted's memory:NAME:PASSWORD has passwords,\n"
        "which come with TLS."
    )
    argStringFormat = "names, with commas between them: ada,bob"
    credentialInterfaces = (IClaimedName,)

    def generateChecker(self, argstring: str) -> ListedNameChecker:
        """:raises ValueError: if it is not a list of names, saying what is wrong."""
        if ":" in argstring:
            raise ValueError(_NO_SECRETS)
        if not argstring.strip():
            raise ValueError("it names nobody; write memory:ada,bob")
        names = []
        for given in argstring.split(","):
            name = checked_name(given.strip())
            if name is None:
                raise ValueError(
                    f"{given.strip()!r} is not a name; names have 1 to 32 letters, digits, dots, "
                    "dashes or underscores"
                )
            names.append(name)
        return ListedNameChecker(names)


OURS: Final = (AnonymousFactory(), MemoryFactory())
"""The checkers that need no plugin."""


def checker_factories() -> Iterator[Any]:
    """Every checker factory that ``--auth`` accepts, ours first."""
    yield from OURS
    names = {factory.authType for factory in OURS}
    for factory in strcred.findCheckerFactories():
        if factory.authType not in names and _is_supported(factory):
            yield factory


def _is_supported(factory: Any) -> bool:
    return any(interface in SUPPORTED for interface in factory.credentialInterfaces)


def _make_checker(description: str) -> Any:
    """:raises ConfigError: if the description stands for no checker that can be used."""
    kind, _, argument = description.partition(":")
    factory: Any = next((factory for factory in OURS if factory.authType == kind), None)
    if factory is None:
        try:
            factory = strcred.findCheckerFactory(kind)
        except strcred.InvalidAuthType:
            known = ", ".join(factory.authType for factory in checker_factories())
            raise ConfigError("auth", f"no such checker: {kind!r}; known are {known}") from None
        if not _is_supported(factory):
            raise ConfigError("auth", f"{_public(description)} checks secrets: {_NO_SECRETS}")
    try:
        return factory.generateChecker(argument)
    except Exception as error:
        # Whatever a plugin raises, what the person wrote was not good for it.
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError("auth", f"{_public(description)}: {problem}") from error


def _public(description: str) -> str:
    """A description without what may be a secret."""
    kind, mark, argument = description.partition(":")
    return f"{kind}:..." if mark and ":" in argument else description


def make_portal(descriptions: Iterable[str]) -> Portal:
    """The portal that decides who may join.

    :param descriptions: checkers as ``--auth`` takes them; none means ``anonymous``.
    :raises ConfigError: naming the description and what would be right.
    """
    portal = Portal(PlayerRealm())
    deciding: dict[Any, str] = {}
    for description in tuple(descriptions) or ("anonymous",):
        checker = _make_checker(description)
        wanted = [one for one in checker.credentialInterfaces if one in SUPPORTED]
        for interface in wanted:
            if interface in deciding:
                raise ConfigError(
                    "auth",
                    f"{_public(deciding[interface])} and {_public(description)} decide about the "
                    "same players; give one of them (several names go into one list: "
                    "memory:ada,bob)",
                )
            deciding[interface] = description
        portal.registerChecker(checker, *wanted)
    return portal


class AuthOptions:
    """What a ``usage.Options`` gets from inheriting this: ``--auth`` and its help.

    The descriptions are collected in ``self["auth"]``; :func:`make_portal` judges them.
    """

    auth_output: TextIO | None = None
    """Where help goes; None is standard output."""

    def opt_auth(self, description: str) -> None:
        """Who may join: anonymous (the default) or memory:ada,bob; may be repeated."""
        options: dict[str, Any] = self  # type: ignore[assignment]
        options.setdefault("auth", []).append(description)

    def opt_help_auth(self) -> None:
        """List what --auth takes, and exit."""
        out = self.auth_output or sys.stdout
        factories = list(checker_factories())
        width = max(len(factory.authType) for factory in factories)
        print("Usage: --auth TYPE[:ARGUMENT]", file=out)
        for factory in factories:
            print(f"\n  {factory.authType:<{width}}  {factory.argStringFormat}", file=out)
            for line in str(factory.authHelp).strip().splitlines():
                print(f"  {'':<{width}}  {line.strip()}", file=out)
        raise SystemExit(0)

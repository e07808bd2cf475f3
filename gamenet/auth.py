"""Who may join: portals built from the short descriptions that ``--auth`` takes.

Layer 4. Runs on: the reactor thread.

A description is ``TYPE`` or ``TYPE:ARGUMENT``, as Twisted's ``strcred`` has them, and stands for a
checker. Ours come before Twisted's plugins of the same name; other packages can add their own by
that plugin system, if they check a claimed name, anonymous access, a password or a ticket.
Passwords and tickets are taken over TLS only: over plain TCP anybody on the path could read them.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from twisted.cred import strcred
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.portal import IRealm, Portal
from zope.interface import implementer

from gamenet.checkers import OURS, Means, TicketFactory, UnownedNameChecker, means_of
from gamenet.config import ServerConfig
from gamenet.credentials import IClaimedName, IPlayerAvatar, ITicket, PlayerAvatar
from gamenet.errors import ConfigError
from gamenet.passwords import PasswordChecker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from twisted.internet.defer import Deferred
    from zope.interface import Interface

    from gamenet.login_pool import LoginPool

SUPPORTED: Final = (IClaimedName, IAnonymous, IUsernamePassword, ITicket)
"""What a joining player can show: a name, nothing, a name with its password, a ticket."""
SECRET: Final = (IUsernamePassword, ITicket)
"""What is shown over TLS only."""

_NO_SECRETS: Final = (
    "passwords come with TLS only, and so do tickets; give a certificate (--cert and --key) "
    "instead of --insecure, or use memory:ada,bob or anonymous"
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


def checker_factories() -> Iterator[Any]:
    """Every checker factory that ``--auth`` accepts, ours first."""
    yield from OURS
    names = {factory.authType for factory in OURS}
    for factory in strcred.findCheckerFactories():
        if factory.authType not in names and _is_supported(factory):
            yield factory


def _is_supported(factory: Any) -> bool:
    return any(interface in SUPPORTED for interface in factory.credentialInterfaces)


def _make_checker(description: str, means: Means) -> Any:
    """:raises ConfigError: if the description stands for no checker that can be used."""
    kind, _, argument = description.partition(":")
    factory: Any = next((factory for factory in OURS if factory.authType == kind), None)
    try:
        if factory is not None:
            return factory.make(argument, means)
        factory = strcred.findCheckerFactory(kind)
        if _is_supported(factory):
            return factory.generateChecker(argument)
    except strcred.InvalidAuthType:
        known = ", ".join(factory.authType for factory in checker_factories())
        raise ConfigError("auth", f"no such checker: {kind!r}; known are {known}") from None
    except ConfigError:
        raise
    except Exception as error:
        # Whatever a plugin raises, what the person wrote was not good for it.
        problem = " ".join(str(error).split()) or type(error).__name__
        raise ConfigError("auth", f"{public(description)}: {problem}") from error
    raise ConfigError("auth", f"{public(description)} checks nothing that a player can show")


def public(description: str) -> str:
    """A description without what may be a secret, for logs and errors."""
    kind, _, argument = description.partition(":")
    return f"{kind}:..." if ":" in argument and kind != TicketFactory.authType else description


class PlayerPortal(Portal):
    """The portal that decides who may join, with the threads that check passwords.

    :param pool: those threads.
    """

    cancels_logins: Final = True
    """The Deferred of a login may be cancelled when its player is gone: there is nobody to be
    logged out then, as there might be in another portal."""

    def __init__(self, pool: LoginPool) -> None:
        super().__init__(PlayerRealm())
        self.pool = pool

    @property
    def needs_tls(self) -> bool:
        """Whether players show secrets."""
        return any(interface in SECRET for interface in self.checkers)

    def start(self) -> None:
        """Take logins that need a thread."""
        self.pool.start()

    def stop(self) -> Deferred[None]:
        """Refuse the logins that wait for a thread.

        :returns: fires when the threads have ended.
        """
        return self.pool.stop()


def make_portal(
    descriptions: Iterable[str],
    config: ServerConfig | None = None,
    reactor: Any = None,
    *,
    pool: LoginPool | None = None,
) -> PlayerPortal:
    """The portal that decides who may join.

    :param descriptions: checkers as ``--auth`` takes them; none means ``anonymous``.
    :param config: the server's settings, against which they are checked; None is the default ones,
        for a server that has TLS.
    :param reactor: where checked passwords arrive; None is the one that runs.
    :param pool: the threads that check passwords; None makes them of *config*.
    :raises ConfigError: naming the description and what would be right.
    """
    means = means_of(config or ServerConfig(), reactor, pool)
    portal = PlayerPortal(means.pool)
    deciding: dict[Any, str] = {}
    for description in tuple(descriptions) or ("anonymous",):
        checker = _make_checker(description, means)
        wanted = [one for one in checker.credentialInterfaces if one in SUPPORTED]
        for interface in wanted:
            if interface in deciding:
                raise ConfigError(
                    "auth",
                    f"{public(deciding[interface])} and {public(description)} decide about the "
                    "same players; give one of them (several names go into one list: "
                    "memory:ada,bob)",
                )
            deciding[interface] = description
        portal.registerChecker(checker, *wanted)
    secret = next((deciding[one] for one in SECRET if one in deciding), None)
    if secret is not None and means.config.insecure:
        raise ConfigError("auth", f"{public(secret)}: {_NO_SECRETS}")
    if means.config.duplicate == "takeover" and secret is None:
        raise ConfigError(
            "duplicate",
            "a takeover needs players who prove their names: auth file:PATH or ticket:PATH (--auth "
            "file:PATH); guests only claim theirs",
        )
    owner: Any = portal.checkers.get(IUsernamePassword)
    claiming: Any = portal.checkers.get(IClaimedName)
    if isinstance(owner, PasswordChecker) and claiming is not None:
        portal.registerChecker(UnownedNameChecker(claiming, owner.accounts), IClaimedName)
    return portal


class AuthOptions:
    """What a ``usage.Options`` gets from inheriting this: ``--auth`` and its help.

    The descriptions are collected in ``self["auth"]``; :func:`make_portal` judges them.
    """

    auth_output: TextIO | None = None
    """Where help goes; None is standard output."""

    def opt_auth(self, description: str) -> None:
        """Who may join: anonymous, memory:, file:, ticket:; may be repeated. See --help-auth."""
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

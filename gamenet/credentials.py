"""What a joining player shows, and what a portal gives for it.

Layer 3. Runs on: the reactor thread. The shapes are ``twisted.cred``'s, so any portal of a Twisted
application can decide who plays.
"""

from __future__ import annotations

from twisted.cred.credentials import ICredentials
from zope.interface import Attribute, Interface, implementer


class IClaimedName(ICredentials):
    """A name that a player claims and does not prove."""

    name = Attribute("the name, 1-32 of [A-Za-z0-9_.-], as typed")


class IPlayerAvatar(Interface):
    """What a portal's realm must give for a login to gamenet."""

    account = Attribute("the identity that the credentials proved, or '' for a guest")


@implementer(IClaimedName)
class ClaimedName:
    """The credentials of a player who only said a name."""

    def __init__(self, name: str) -> None:
        self.name = name


@implementer(IPlayerAvatar)
class PlayerAvatar:
    """The plainest avatar: an account and nothing else."""

    def __init__(self, account: str) -> None:
        self.account = account

"""
Lists gamenet among the commands of ``twistd`` and ``twist``.

Every ``twistd`` command imports this file, so it imports nothing but the ServiceMaker: the daemon's
own code, ``gamenet.tap``, is loaded only when it is asked for. The variable's name must never
change after a release, because Twisted keeps it in a cache.
"""

from twisted.application.service import ServiceMaker

gamenet = ServiceMaker(
    "gamenet",
    "gamenet.tap",
    "A game server: reliable TCP and low-latency UDP in one session.",
    "gamenet",
)

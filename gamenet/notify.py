"""What a service manager is told: systemd's notification protocol, sd_notify(3).

Layer 4. Runs on: the reactor thread.

Each message is one datagram to the socket that ``NOTIFY_SOCKET`` names. Nothing waits for it, and
nobody needs to be there.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from twisted.logger import Logger

if TYPE_CHECKING:
    from collections.abc import Mapping

log = Logger()
MOST_SECONDS: Final = 1e9
"""Of a watchdog's interval; whatever is longer is none."""


class Notifier:
    """Tells the service manager that started this process, if one did.

    :param environ: the variables that it set.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self._environ = environ
        self._has_failed = False

    @property
    def is_wanted(self) -> bool:
        """Whether anybody wants to be told."""
        return bool(self._address)

    @property
    def watchdog_seconds(self) -> float:
        """How often this process must say at least that it is alive; 0 for no such wish.

        Asked once the process has its final number, because the wish is for one process.
        """
        wish, number = self._environ.get("WATCHDOG_USEC"), self._environ.get("WATCHDOG_PID")
        if not self._address or not wish or (number and number != str(os.getpid())):
            return 0.0
        if wish.isascii() and wish.isdigit() and (seconds := int(wish[:20]) / 1e6) > 0:
            return seconds if seconds < MOST_SECONDS else 0.0
        log.warn("WATCHDOG_USEC={wish!r} is no number of microseconds", wish=wish[:64])
        return 0.0

    def tell(self, *lines: str) -> bool:
        """Send one message.

        :param lines: such as ``READY=1``.
        :returns: whether it left; a failure is one line of the log, the first time.
        """
        if not self._address:
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode("utf-8", "replace"), self._address)
        except OSError as error:
            if not self._has_failed:
                self._has_failed = True
                log.warn(
                    "the service manager cannot be told {first}: {reason}; it is tried on",
                    first=lines[0],
                    reason=error.strerror or str(error),
                )
            return False
        return True


def _address(name: str) -> str:
    """The socket's address as Python has it: ``@`` stands for the zero of an abstract one."""
    if not name:
        return ""
    if not hasattr(socket, "AF_UNIX") or name[0] not in "/@" or len(name) < 2:
        log.warn("NOTIFY_SOCKET={name!r} is no address that gamenet can tell", name=name[:128])
        return ""
    return "\0" + name[1:] if name[0] == "@" else name

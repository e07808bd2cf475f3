"""The status site of a server, as ``gamenet top`` asks it.

Layer 4. Runs on: the main thread; an answer is waited for on one of its own.
"""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from gamenet.core.text import clean
from gamenet.errors import ConfigError, GamenetError

if TYPE_CHECKING:
    from collections.abc import Callable

ANSWER_SECONDS: Final = 5.0
"""How long the site may take to answer."""
LOOK_SECONDS: Final = 0.05
"""From one look for Ctrl-C to the next."""
MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
MAX_REFUSAL: Final = 200
"""Characters of what a site says where it gives no answer."""


class NoAnswer(GamenetError):
    """The site does not answer as one of gamenet's; the text says what to do."""


class Site:
    """The status site of a server.

    :param address: ``HOST:PORT``, or the URL of any of its pages.
    :raises ConfigError: if it is none.
    """

    def __init__(self, address: str) -> None:
        place = address.removeprefix("http://").split("/", 1)[0]
        host, colon, port = place.rpartition(":")
        if not (colon and host and port.isdecimal() and len(port) < 6 and int(port) < 65_536):
            raise ConfigError(
                "status", f"{address!r} is no address of a status site, such as 127.0.0.1:9777"
            )
        self._host, self._port = host.strip("[]"), int(port)
        self.name = place
        self._socket: socket.socket | None = None

    def look(self) -> dict[str, Any]:
        """What ``/api/status`` says.

        :raises NoAnswer: with the likely cause, and the fix.
        """
        page = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS)
        try:
            page.connect()
            self._socket = page.sock
            page.request("GET", "/api/status")
            answer = page.getresponse()
            found = json.loads(answer.read(MAX_ANSWER_BYTES))
            if answer.status == 200 and isinstance(found, dict) and "players" in found:
                return found
            if isinstance(found, dict) and isinstance(found.get("error"), str):
                # A name that the site does not know, for one; it says what to do.
                raise NoAnswer(f"{self.name} refuses: {clean(found['error'])[:MAX_REFUSAL]}")
        except ConnectionRefusedError:
            raise NoAnswer(
                f"nothing listens at {self.name}; start the server with --status tcp:{self._port}"
            ) from None
        except TimeoutError:
            raise self._is_late() from None
        except (
            http.client.HTTPException,
            ValueError,
            RecursionError,
            ConnectionResetError,
            BrokenPipeError,
        ):
            pass  # something else listens there
        except socket.gaierror:
            raise NoAnswer(
                f"there is no host named {self._host!r}; look for a slip in it, or give its number"
            ) from None
        except OSError as error:
            raise NoAnswer(
                f"cannot reach {self.name}: {error.strerror or error}; see that the machine is up "
                "and on this network"
            ) from None
        finally:
            page.close()
        raise NoAnswer(
            f"{self.name} is not a status site of gamenet's; name the address of --status, which "
            "is not the one that players join"
        )

    def look_until(self, interrupted: Callable[[], bool]) -> dict[str, Any] | None:
        """As :meth:`look`, but the whole answer has ``ANSWER_SECONDS``, however slowly it trickles.

        :returns: None once interrupted.
        """
        found: list[dict[str, Any]] = []
        failed: list[Exception] = []

        def look() -> None:
            try:
                found.append(self.look())
            except Exception as error:
                failed.append(error)

        thread = threading.Thread(target=look, name="gamenet top", daemon=True)
        thread.start()
        due = time.monotonic() + ANSWER_SECONDS
        while True:
            thread.join(LOOK_SECONDS)
            if failed:
                raise failed[0]
            if found:
                return found[0]
            if interrupted():
                self._cut()
                return None
            if time.monotonic() > due:
                self._cut()
                raise self._is_late()

    def _cut(self) -> None:
        """Have a thread that waits for the site end."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _is_late(self) -> NoAnswer:
        return NoAnswer(
            f"{self.name} does not answer within {ANSWER_SECONDS:g} s; compare it with the address "
            "of --status"
        )

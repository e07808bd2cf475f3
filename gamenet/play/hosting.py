"""Host and play: a server of the field in the player's own process.

Layer 4. Runs on: threads of its own, so that the window never waits; what the game thread reads is
replaced whole.

The server has a certificate that vouches for itself. It is kept in the user's data folder, so that
an address with its fingerprint, which others have written down, stays good.
"""

from __future__ import annotations

import errno
import threading
from typing import TYPE_CHECKING, Any, Final

from platformdirs import user_data_path

from gamenet.addresses import DEFAULT_PORT, is_loopback, join_address, parse_address
from gamenet.certificates import CERT_FILE, KEY_FILE, make_certificate, own_names, write_certificate
from gamenet.demo import game
from gamenet.errors import ConfigError, GamenetError, ListenFailed
from gamenet.facade import GameServer
from gamenet.lan import interfaces
from gamenet.play.endings import sentence

if TYPE_CHECKING:
    from pathlib import Path

STOP_SECONDS: Final = 5.0


class Hosting:
    """A server that may or may not run.

    :param port: where it listens, both for TCP and for UDP.
    :param insecure: without a certificate, and for this machine only.
    :param beacon: under what name it is found on the local network, if it is to be found.
    :param folder: where the certificate is kept; by default the user's own data folder.
    """

    def __init__(
        self,
        port: int = DEFAULT_PORT,
        *,
        insecure: bool = False,
        beacon: str = "",
        folder: Path | None = None,
    ) -> None:
        self.insecure = insecure
        self.beacon = beacon
        """Under what name it is found on the local network."""
        self.announced = bool(beacon)
        """Whether it is to be found."""
        self.address = ""
        """Where it can be joined from here, once it runs."""
        self.invitation = ""
        """Where others can join it."""
        self.problem = ""
        """Why it does not run, as a sentence; "" while nothing is wrong."""
        self._port = port
        self._folder = folder
        self.server: GameServer | None = None
        """The server, once it runs."""
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Have it run soon; ``address`` or ``problem`` say what came of it. One that runs stays."""
        if self._runs or (self._thread is not None and self._thread.is_alive()):
            return
        self.address = self.problem = ""
        thread = threading.Thread(target=self._run, name="gamenet-hosting", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # the system has no more of them
            self.problem = sentence(f"no server can be started here: {error}")
        else:
            self._thread = thread

    @property
    def _runs(self) -> bool:
        """Whether there is one, and its game has not failed since."""
        return bool(self.address) and self.server is not None and self.server.running

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Send everybody away and close; waits for it."""
        if self._thread is not None:
            self._thread.join(timeout)
        if self.server is not None:
            self.address = ""
            self.server.stop(timeout)

    def _run(self) -> None:
        try:
            beacon = self.beacon if self.announced else ""
            server = GameServer(
                self._port,
                game=game.main,
                beacon=beacon,
                options={"start": game.TOGETHER},
                **self._trust(),
            )
            server.start()
        except (GamenetError, OSError) as error:
            self.problem = sentence(f"no server can be started here: {self._why(error)}")
        else:
            self.server = server
            self.invitation = server.address if self.insecure else _seen_from_outside(server)
            self.address = server.address

    def _why(self, error: Exception) -> str:
        """What was in the way, and what a player can do about it."""
        if isinstance(error, ListenFailed) and error.errno == errno.EADDRINUSE:
            return (
                f"another program has port {self._port} already: if it is a server of this game, "
                "join it; or have another port, by gamenet play --host --port N"
            )
        if isinstance(error, ConfigError) and error.field in ("cert_file", "key_file"):
            return f"{error}; without the files of {self._where()} new ones are made"
        if isinstance(error, ConfigError) and not error.field:
            return f"{error}, in {self._where()}"
        if isinstance(error, OSError) and error.filename:
            return f"{error.filename}: {error.strerror}"
        return str(error)

    def _where(self) -> Path:
        """The folder of the certificate."""
        return self._folder or user_data_path("gamenet", appauthor=False)

    def _trust(self) -> dict[str, Any]:
        """What makes the traffic secret, as ``GameServer`` takes it."""
        if self.insecure:
            return {"insecure": True}
        folder = self._where()
        folder.mkdir(parents=True, exist_ok=True)
        cert, key = folder / CERT_FILE, folder / KEY_FILE
        if not (cert.exists() and key.exists()):
            write_certificate(folder, make_certificate(own_names()), force=True)
        return {"cert_file": str(cert), "key_file": str(key)}


def _seen_from_outside(server: GameServer) -> str:
    """The server's address with that of this machine on its network, if it is on one."""
    target = parse_address(server.address)
    for way in interfaces():
        if way.address and not is_loopback(way.address):
            place = join_address(way.address, target.port)
            return f"gamenet://{place}#sha256={target.pin}"
    return server.address

"""The life of the daemon's process: its services, its last words, its exit status.

Layer 4. Runs on: the main thread, which the reactor has in a daemon.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred, inlineCallbacks, maybeDeferred
from twisted.internet.error import CannotListenError, ReactorNotRunning
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized

from gamenet._version import __version__
from gamenet.addresses import join_address
from gamenet.errors import ConfigError, ListenFailed
from gamenet.flight import FlightRecorder
from gamenet.log_format import observer, twistd_stream
from gamenet.metrics import Access, ErrorCounter, StatusSource, status_site
from gamenet.reloading import reload
from gamenet.service import GameServerService
from gamenet.stuck import StuckService
from gamenet.systemd import SystemdService

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from twisted.cred.portal import Portal

    from gamenet.addresses import Place
    from gamenet.config import ServerConfig
    from gamenet.game import AnyGame
    from gamenet.log_format import Format
    from gamenet.server_host import ServerHost

log = Logger()


class Plan(NamedTuple):
    """What the command line, the file and the game come to."""

    path: str
    """``module:attribute`` of the game."""
    game: AnyGame
    config: ServerConfig
    portal: Portal
    status: Place | None
    """Where the status site listens, if it is wanted."""
    reread: Callable[[], ServerConfig] | None = None
    """Reads the config file again, and puts the flags over it; None where there is no file."""
    log_format: Format | None = None
    """How lines of the log look; None is as whatever runs the service has it."""
    access: Access = Access()
    """Who may ask it, and act."""


def refuse(text: str) -> NoReturn:
    """End the process with one line on standard error and status 1."""
    # Not sys.stderr, which goes to the log once that has begun.
    print("gamenet: " + " ".join(text.splitlines()), file=sys.__stderr__, flush=True)
    raise SystemExit(1)


def refuse_start(text: str, twistd: Mapping[str, Any]) -> NoReturn:
    """The same once the log has begun and the process may be a daemon.

    :param twistd: the options of ``twistd`` itself.
    """
    # Not critical: before a log has begun, Twisted prints that as well.
    log.error("{text}", text=text)
    if twistd.get("pidfile"):
        # Twisted removes it at the end of a run, and there will be none.
        with contextlib.suppress(OSError):
            os.unlink(twistd["pidfile"])
    pipe = twistd.get("statusPipe")
    if pipe is not None:
        # The process at the terminal waits for news of its daemon; it reads 100 bytes.
        with contextlib.suppress(OSError):
            os.write(pipe, f"1 gamenet: {text}".encode("ascii", "replace")[:100])
    refuse(text)


_exit_status = 0


def exit_status() -> int:
    """What the process is to end with: 1 once its game has raised."""
    return _exit_status


def care_for_exit_status() -> None:
    """Have the process end with status 1 if its game raises, where a stopped reactor gives 0.

    To be called before the game is imported: what runs at exit runs in reverse order, and this
    must come last, because it leaves at once.
    """
    atexit.unregister(_leave)
    atexit.register(_leave)


def _leave() -> None:
    if _exit_status:
        logging.shutdown()
        for stream in (sys.__stdout__, sys.__stderr__):
            if stream is not None:
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        os._exit(_exit_status)


class StatusService(Service):
    """The status site's port.

    :param source: the server it tells about. Where it has ``drain`` or ``dump``, the page can ask
        for them.
    :param access: who may ask.
    """

    def __init__(
        self, source: StatusSource, place: Place, reactor: Any, access: Access | None = None
    ) -> None:
        self._access = access
        self._source = source
        self._place = place
        self._reactor = reactor
        self._port: Any = None

    def privilegedStartService(self) -> None:
        """Open the port.

        :raises ListenFailed: with the address and the reason.
        """
        place = self._place
        site = status_site(
            self._source,
            reactor=self._reactor,
            access=self._access,
            drain=getattr(self._source, "drain", None),
            dump=getattr(self._source, "dump", None),
        )
        try:
            self._port = self._reactor.listenTCP(place.port, site, interface=place.interface)
        except (CannotListenError, OSError) as error:
            cause = getattr(error, "socketError", error)
            reason = getattr(cause, "strerror", None) or str(cause)
            raise ListenFailed(f"cannot serve the status site on TCP {place!r}: {reason}") from None

    @property
    def address(self) -> str:
        """Where it listens."""
        host = self._port.getHost()
        return join_address(host.host, host.port)

    def stopService(self) -> Any:
        """Close the port."""
        Service.stopService(self)
        return None if self._port is None else self._port.stopListening()


class Daemon(MultiService):
    """The server, its status site, and the life of the process.

    :param twistd: the options of ``twistd``, which say how to tell of a refusal.
    """

    def __init__(self, plan: Plan, twistd: Mapping[str, Any] | None, reactor: Any) -> None:
        MultiService.__init__(self)
        self.server = GameServerService(plan.config, plan.game, portal=plan.portal, reactor=reactor)
        self.server.on_game_end = self._game_ended
        self.server.on_drained = self._end
        self.server.setServiceParent(self)
        self._plan = plan
        self._twistd = twistd or {}
        self._is_open = False
        self._reactor = reactor
        self._status: StatusService | None = None
        if plan.status is not None:
            self._status = StatusService(self, plan.status, reactor, plan.access)
            self._status.setServiceParent(self)
        self._error_counter = ErrorCounter()
        self._systemd = SystemdService(self.server, reactor)
        self._systemd.setServiceParent(self)
        self._flight = FlightRecorder(self.server, plan.config.record_dir, reactor)
        self._flight.setServiceParent(self)
        self._systemd.on_starved = lambda: self._flight.write_down("stands still")
        seconds = plan.config.held_up_seconds
        stuck = StuckService(self.server, seconds, reactor, self._flight.held_up)
        stuck.setServiceParent(self)

    def setServiceParent(self, parent: Any) -> None:
        """Called by ``twistd`` with its application, which it asks for a log before it starts."""
        if self._plan.log_format == "json" and isinstance(parent, Componentized):
            try:
                stream = twistd_stream(self._twistd)
            except ConfigError as error:
                refuse(str(error))
            parent.setComponent(ILogObserver, observer("json", stream))
        MultiService.setServiceParent(self, parent)

    # What the status site asks.

    @property
    def host(self) -> ServerHost:
        """The conductor of the server."""
        return self.server.host

    @property
    def errors(self) -> int:
        """Errors logged since the start."""
        return self._error_counter.count

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing."""
        return self.server.game_stats()

    def dump(self) -> str:
        """Write the last minute down.

        :returns: the path of the file.
        :raises RecordError: saying why there is none.
        """
        return self._flight.dump()

    # Life.

    def privilegedStartService(self) -> None:
        """Open the ports, or end the process."""
        self._is_open = True
        self._error_counter.start()
        try:
            MultiService.privilegedStartService(self)
        except ListenFailed as error:
            refuse_start(str(error), self._twistd)

    def startService(self) -> None:
        """Open the ports unless they are, and start the game."""
        if not self._is_open:
            # ``twist`` has no privileges to give up, and starts services at once.
            self.privilegedStartService()
        log.info("gamenet {version} runs {game}", version=__version__, game=self._plan.path)
        MultiService.startService(self)
        if getattr(os, "geteuid", lambda: 1)() == 0:
            log.warn(
                "running as root, which a server needs only to open ports; start it as a user "
                "of its own, or under twistd with --uid"
            )
        self._heed("SIGHUP", self.reload)
        self._heed("SIGUSR1", self.drain)
        status = f" status={self._status.address}" if self._status is not None else ""
        log.info("ready: address={address}{status}", address=self.server.address, status=status)

    def _heed(self, name: str, call: Callable[[], object]) -> None:
        """Have a signal, where the system knows it, make a call in a turn of the reactor's."""
        number = getattr(signal, name, None)
        if number is not None and self._reactor is sys.modules.get("twisted.internet.reactor"):
            signal.signal(number, lambda *_: self._reactor.callFromThread(call))

    @property
    def draining(self) -> bool:
        """Whether the server is being emptied, and lets nobody in."""
        return self.server.draining

    @property
    def drain_seconds_left(self) -> float:
        """Until those who are still in are sent away; 0.0 if nobody is going to be."""
        return self.server.drain_seconds_left

    def drain(self, seconds: float | None = None, text: str = "") -> bool:
        """Empty the server, and end the process well once nobody is in.

        :param seconds: until those who are still in are sent away; None is ``drain_seconds``.
        :param text: why, for the players.
        :returns: False if it is being emptied or stopped already: then the log says so.
        :raises ValueError: for a time that is none, or a text that is no line of chat.
        """
        began = self.server.drain(seconds, text)
        if not began and not self.server.draining:
            log.info("the server is stopping already, and is not emptied first")
        elif not began:
            log.info(
                "the server is being emptied already, and ends in {left:.0f} s at the latest; "
                "SIGTERM ends it at once",
                left=self.drain_seconds_left,
            )
        return began

    def reload(self) -> None:
        """Read the config file, the certificate and its key again; the log says what came of it."""
        reload(self.server, self._plan.reread)

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        # The status site answers until the game is over, and says that the end has begun.
        yield self.server.stopService()
        yield maybeDeferred(MultiService.stopService, self)
        self._error_counter.stop()

    def stopService(self) -> Deferred[None]:
        """Say BYE to everybody, let the game return, close the ports."""
        self.running = 0
        self._systemd.stopping()
        if self._reactor is sys.modules.get("twisted.internet.reactor"):
            # A second Ctrl-C would only have Twisted log that it is stopping already.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        return self._stop()

    def _game_ended(self, well: bool) -> None:
        global _exit_status
        if well:
            log.info("the game is over")
        else:
            _exit_status = 1
        self._end()
        if not well:
            self._flight.write_down("crash")

    def _end(self) -> None:
        """End the process, unless it is ending already."""
        with contextlib.suppress(ReactorNotRunning):
            self._reactor.stop()

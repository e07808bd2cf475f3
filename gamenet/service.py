"""The service tree: TCP, UDP and, with a game, its thread.

Layer 4. Runs on: the reactor thread.
"""

from __future__ import annotations

import secrets
from time import monotonic
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import (
    Deferred,
    TimeoutError,
    inlineCallbacks,
)
from twisted.logger import Logger

from gamenet.beacon import Beacon
from gamenet.bridge import Bridge
from gamenet.draining import Drain
from gamenet.errors import ConfigError, DisconnectReason, LocalProtocolError
from gamenet.game import AnyGame, GameThread
from gamenet.listening import InsecureWarning, Listening
from gamenet.server import GameServerFactory
from gamenet.threads import note_use

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from twisted.cred.portal import Portal
    from twisted.python.failure import Failure

    from gamenet.config import ServerConfig
    from gamenet.facade import GameServer
    from gamenet.server_host import ServerHost
    from gamenet.server_verbs import ServerVerbs
    from gamenet.sinks import Sink

log = Logger()


class GameServerService(Service):
    """A game server as a Twisted service.

    :param game: run on a thread of its own, behind a bridge of its own.
    :param sink: where events go when there is no *game*.
    :param portal: decides who may join; None builds one from ``config.auth``.
    :param facade: what the game thread will hold; None makes one.
    :raises ConfigError: if the config cannot be served.
    """

    def __init__(
        self,
        config: ServerConfig,
        game: AnyGame | None = None,
        *,
        sink: Bridge | Sink | None = None,
        portal: Portal | None = None,
        facade: GameServer | None = None,
        reactor: Any = None,
        now: Callable[[], float] = monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        from gamenet.auth import PlayerPortal, make_portal
        from gamenet.facade import GameServer

        if reactor is None:
            from twisted.internet import reactor
        self.config = config
        self.bridge: Bridge | None = sink if isinstance(sink, Bridge) else None
        if portal is None:
            portal = make_portal(config.auth, config, reactor)
        self._portal = portal if isinstance(portal, PlayerPortal) else None
        is_ours = sink is None
        if sink is None:
            self.bridge = sink = Bridge(config)
        self.factory = GameServerFactory(
            sink,
            config,
            portal=portal,
            reactor=reactor,
            now=now,
            random_bytes=random_bytes,
        )
        self.on_game_end: Callable[[bool], None] = self._game_ended
        """Called on the reactor thread when the game returned or raised by itself."""
        self.on_drained: Callable[[], object] = self.stopService
        """Called on the reactor thread once nobody is in a server that was to be emptied."""
        self.note: Callable[..., object] = lambda kind, **fields: None
        """Called on the reactor thread with what its operator has it do; a flight recorder's."""
        self.game_failed = False
        self._drain: Drain | None = None
        self._reactor = reactor
        try:
            self._listening = Listening(config, self.factory, reactor)
        except ConfigError:
            if is_ours and self.bridge is not None:
                self.bridge.finish()  # or it would stay open without an owner
            raise
        self._warning = InsecureWarning(reactor)
        self._beacon = Beacon(self.host, self._listening, portal, reactor)
        self._stopping = False
        self._is_stopped = False
        self._stop_waiters: list[Deferred[None]] = []
        self._game_done: Deferred[None] | None = None
        self.facade: GameServer | None = facade
        """What the game thread holds."""
        self._thread: GameThread | None = None
        if self.bridge is not None:
            self.facade = facade or GameServer.attach(self.bridge)
        if game is not None:
            assert self.facade is not None, "a game needs the bridge, so give no other sink"
            self._thread = GameThread(game, self.facade, self.thread_ended)
            if facade is None:
                self.facade.serve_through(self)

    @property
    def host(self) -> ServerHost:
        """The conductor of the reactor thread."""
        return self.factory.host

    @property
    def verbs(self) -> ServerVerbs:
        """The server's verbs, for use on the reactor thread."""
        return self.factory.verbs

    @property
    def thread(self) -> GameThread | None:
        """The game's thread, if the service runs a game."""
        return self._thread

    # Listening.

    def privilegedStartService(self) -> None:
        """Open the ports, while the process may still be privileged.

        :raises ListenFailed: with the address and the reason.
        """
        Service.privilegedStartService(self)
        if not self._listening.is_open:
            self._listening.open()

    def startService(self) -> None:
        """Open the ports unless they are, and start the game."""
        if not self._listening.is_open:
            self._listening.open()
        Service.startService(self)
        if self.bridge is None or self.bridge.blocks:
            note_use()
        if self._portal is not None:
            self._portal.start()
        if self.facade is not None:
            self.facade.opened_at(self.address)
        if self.config.insecure:
            self._warning.start()
        self._beacon.update()
        if self.bridge is not None:
            log.info(
                "Python's thread switch interval is {seconds} s while the server runs",
                seconds=self.config.switch_interval_seconds,
            )
        if self._thread is not None:
            self._thread.start()
            # Its end is heard in a later turn.
            self._game_done = Deferred()

    def reconfigure(self, config: ServerConfig) -> None:
        """Have other settings hold from now on; those who are in keep what was agreed with them.

        :param config: differs only in what ``live_settings`` names, as its ``change`` sees to.
        """
        self.config = config
        self.host.reconfigure(config)
        self._beacon.update()
        if self.facade is not None:
            self.facade.reconfigured(config)

    def reload(self) -> bool:
        """Read the certificate and its key again; players who are in notice nothing.

        :returns: False if there are no files of ours to read.
        :raises ConfigError: saying what is wrong; the certificate in use stays.
        """
        return self._listening.reload()

    @property
    def secure(self) -> bool:
        """Whether players come over TLS."""
        return self._listening.secure

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate in use, which a client can pin; "" for none of ours."""
        return self._listening.fingerprint

    @property
    def port(self) -> int:
        """The TCP port in use."""
        return self._listening.port

    @property
    def udp_port(self) -> int:
        """The UDP port in use."""
        return self._listening.udp_port

    @property
    def address(self) -> str:
        """An address that a client on this machine can use, with a pin if it needs one."""
        return self._listening.address

    # The game.

    def thread_ended(self, well: bool) -> None:
        """The game returned, or raised if it is not *well*. From any thread."""
        self._reactor.callFromThread(self._game_over, well)

    def _game_over(self, well: bool) -> None:
        done, self._game_done = self._game_done, None
        self.game_failed = not well
        if not well:
            self.host.refuse_newcomers()
            self.host.drain()
            self.host.end_all(DisconnectReason.GAME_ERROR)
        if done is not None:
            done.callback(None)
        if not self._stopping or not well:
            self.on_game_end(well)

    def game_stops(self) -> None:
        """The game asked for the end, from its own thread."""
        if not self._stopping:
            self.on_game_end(True)

    def game_drains(self, seconds: float | None, text: str) -> None:
        """The game asked for the server to be emptied; on the reactor thread."""
        if self.running:
            self.drain(seconds, text)

    def _game_ended(self, well: bool) -> None:
        self.stopService()

    def game_stats(self) -> dict[str, float]:
        """How the game's loop is doing, with what it took of the inputs."""
        return self.facade.loop_stats() if self.facade is not None else {}

    # The end.

    def drain(self, seconds: float | None = None, text: str = "") -> bool:
        """Empty the server: refuse newcomers, tell players, and end once nobody is in.

        Players hear it in the chat, at once, at half of the time, a minute and ten seconds before
        the end; sessions that wait for another connection may still get it. When the time is over,
        those who are still in are sent away as ``DRAINED``.

        :param seconds: the time; None is ``drain_seconds``.
        :param text: why, for the players, at most 400 characters; "" has words of its own.
        :returns: False if it is being emptied or stopped already, and nothing changes.
        :raises ValueError: for a time that is none, or a text that is no line of chat.
        :raises LocalProtocolError: if it does not run.
        """
        if self._stopping or self._drain is not None:
            return False
        if not self.running:
            raise LocalProtocolError("the server does not run yet, so there is nobody to send away")
        if seconds is None:
            seconds = self.config.drain_seconds
        self._drain = Drain(self.host, self._reactor, seconds, text, self._drained)
        self.note("drain", seconds=seconds, players=len(self.host.seats))
        return True

    def _drained(self) -> None:
        assert self._drain is not None
        self.note("drained", sent_away=self._drain.sent_away)
        self.on_drained()

    @property
    def draining(self) -> bool:
        """Whether the server is being emptied; stays True until it is over."""
        return self._drain is not None

    @property
    def drain_seconds_left(self) -> float:
        """Until those who are still in are sent away; 0.0 if nobody is going to be."""
        return 0.0 if self._drain is None else self._drain.seconds_left

    def stopService(self) -> Deferred[None]:
        """Say BYE to everybody, let the game return, close the ports.

        :returns: fires when no socket and no timer is left.
        """
        done: Deferred[None] = Deferred()
        self._stop_waiters.append(done)
        if not self._stopping:
            self._stopping = True
            Service.stopService(self)
            self._stop().addErrback(self._stop_failed).addCallback(self._stopped)
        elif self._is_stopped:
            self._stopped(None)
        return done

    @inlineCallbacks
    def _stop(self) -> Generator[Deferred[Any], Any, None]:
        host = self.host
        self._warning.stop()
        if self._drain is not None:
            self._drain.cancel()
        host.refuse_newcomers()
        host.drain()
        host.end_all(DisconnectReason.STOPPED)
        if self.bridge is not None:
            self.bridge.close()
        closing = self._listening.close()
        dark = self._beacon.stop()
        if self._game_done is not None:
            try:
                yield self._game_done.addTimeout(self.config.stop_seconds, self._reactor)
            except TimeoutError:
                log.warn(
                    "the game did not return within {seconds:g} s of ticks() ending; going on "
                    "without it",
                    seconds=self.config.stop_seconds,
                )
        yield closing
        yield dark
        if self._portal is not None:
            yield self._portal.stop()
        yield host.when_idle()

    def _stop_failed(self, failure: Failure) -> None:
        log.failure("stopping went wrong", failure)

    def _stopped(self, result: None) -> None:
        self._is_stopped = True
        waiting, self._stop_waiters = self._stop_waiters, []
        for done in waiting:
            done.callback(None)

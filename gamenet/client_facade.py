"""Clients for game threads: no reactor, factory or Deferred to be seen.

Layer 4. Runs on: game threads.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Literal, Self

from gamenet.addresses import Target, parse_address
from gamenet.bridge import Bridge
from gamenet.checks import build, check_label
from gamenet.client_verbs import ClientVerbs
from gamenet.config import ClientConfig
from gamenet.credentials import make_secret
from gamenet.errors import (
    ConfigError,
    ConnectionFailed,
    JoinRefused,
    LocalProtocolError,
)
from gamenet.events import (
    SERVER,
    Connected,
    Disconnected,
    Event,
    PathChanged,
    Player,
    Resumed,
    State,
    Suspended,
)
from gamenet.loop import GameLoop
from gamenet.threads import (
    call_in_reactor,
    check_may_block,
    ensure_reactor,
    release_pool_threads,
)

if TYPE_CHECKING:
    from types import TracebackType

    from gamenet.client_host import ClientHost


class GameClient(GameLoop, ClientVerbs):
    """A player's end of the session.

    :param address: ``host``, ``host:7777``, ``[v6]:7777`` or ``gamenet://host:7777``, each with
        ``#sha256=...`` behind it if only the certificate of that fingerprint is to be trusted.
    :param user: the name to play under; "" has the server name a guest.
    :param password: the secret of the account of that name.
    :param ticket: what somebody whom the server trusts signed for this player.
    :param via: where to connect instead, ``host:port``: a proxy or a tunnel to the server, which
        must prove all the same that it is the one at *address*.
    :param config: instead of, or beneath, the fields given by name.
    :param fields: any field of :class:`~gamenet.config.ClientConfig`.
    :raises ConfigError: naming the field that is wrong.
    """

    def __init__(
        self,
        address: str,
        *,
        user: str = "",
        password: str | None = None,
        ticket: bytes | None = None,
        via: str = "",
        config: ClientConfig | None = None,
        **fields: Any,
    ) -> None:
        GameLoop.__init__(self)
        ClientVerbs.__init__(self)
        self._place = parse_address(address)
        self._via = parse_address(via) if via else None
        if config is not None:
            given = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
            fields = {**given, **fields}
        check_label("user", user)
        self._config = build(ClientConfig, fields)
        if self._place.pin and self._config.insecure:
            raise ConfigError("insecure", "an address with a pin is for TLS; leave one of both")
        # Both say now what would be wrong later.
        make_secret(self._config, user, password, ticket)
        if not self._config.insecure:
            _check_trust(self._place, self._config)
        self._user = user
        self._password = password
        self._ticket = ticket
        self._reactor: Any = None
        self._player = SERVER
        self._joined = False
        self._suspended = False
        self._secure = False
        self._path: Literal["udp", "tcp"] = "tcp"
        self._taken_state = 0
        self._input_tick = 0

    # Life.

    def start(self, timeout: float = 10.0, *, wait: bool = True) -> None:
        """Connect and join.

        :param wait: False returns at once; ``Connected`` or ``Disconnected`` tell the outcome.
        :raises JoinRefused: if the server says no, with a sentence a player can read.
        :raises ConnectionFailed: if there is no answer, or none in time.
        :raises LocalProtocolError: if it runs already, or waiting is impossible here.
        """
        check_may_block()
        if self._bridge is not None and not self._bridge.closed:
            raise LocalProtocolError("the client runs already; stop() it first")
        self._reactor = ensure_reactor(monotonic=self._config.monotonic_clock)
        bridge = Bridge(self._config)
        self._begin(bridge)
        try:
            host = call_in_reactor(
                self._reactor, timeout, lambda: self._connect_from(bridge, self._reactor)
            )
        except BaseException as error:
            bridge.finish()
            if isinstance(error, TimeoutError):
                raise ConnectionFailed(
                    f"the network thread did not answer in {timeout:g} s"
                ) from None
            raise
        self._connect(host, bridge)
        if wait:
            self._wait_for_join(bridge, bridge.clock() + timeout)

    def _begin(self, bridge: Bridge) -> None:
        """A new run, of which nothing is known yet."""
        self._player, self._joined, self._secure, self._path = SERVER, False, False, "tcp"
        self._suspended = False
        self._taken_state = self._input_number = 0
        self._input_made = -1.0
        self._started(bridge)

    def _connect_from(self, bridge: Bridge, reactor: Any, **sources: Any) -> ClientHost:
        """Begin to connect; on the reactor thread.

        :param sources: of time and of randomness, if not the system's.
        """
        from gamenet.client import GameClientFactory
        from gamenet.dial import Dial

        if bridge.finished:
            raise LocalProtocolError("nobody waits for this client any more")
        dial = Dial(self._place, self._config, reactor, via=self._via)
        factory = GameClientFactory(
            bridge,
            self._config,
            user=self._user,
            password=self._password,
            ticket=self._ticket,
            reactor=reactor,
            **sources,
        )
        factory.dial(dial)
        return factory.host

    def _wait_for_join(self, bridge: Bridge, deadline: float) -> None:
        where = str(self._place)
        taken: list[Event] = []
        try:
            while True:
                events = bridge.poll()
                self._take(events)
                taken += events
                for event in events:
                    if isinstance(event, Connected):
                        # The loop sees what was taken here, Connected included.
                        self._held = taken
                        return
                    if isinstance(event, Disconnected):
                        if event.refusal is not None:
                            retry = self._retry_after()
                            raise JoinRefused(event.refusal, event.text, retry)
                        raise ConnectionFailed(f"cannot join {where}: {event.text}")
                left = deadline - bridge.clock()
                if left <= 0:
                    raise ConnectionFailed(f"{where} did not answer in time")
                bridge.wait(left)
        except BaseException:
            self.stop()
            raise

    def _retry_after(self) -> float:
        return self._host.retry_after_seconds if self._host is not None else 0.0

    def stop(self, timeout: float = 5.0) -> None:
        """Leave the server and close; can be called twice, from any thread but the reactor's."""
        bridge, host = self._bridge, self._host
        if bridge is None or host is None or bridge.finished:
            return
        check_may_block()

        def leave() -> Any:
            host.drain()
            host.leave()
            return host.when_idle()

        try:
            call_in_reactor(self._reactor, timeout, leave)
        except TimeoutError:
            raise LocalProtocolError(
                f"the client did not stop within {timeout:g} s; it goes on stopping by itself"
            ) from None
        finally:
            bridge.finish()
            release_pool_threads(self._reactor)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    # What it is.

    @property
    def config(self) -> ClientConfig:
        """The settings in force."""
        return self._config

    @property
    def player(self) -> Player:
        """Who I am; ``SERVER`` until ``Connected`` is taken."""
        return self._player

    @property
    def joined(self) -> bool:
        """True between taking ``Connected`` and ``Disconnected``."""
        return self._joined

    @property
    def suspended(self) -> bool:
        """True between taking ``Suspended`` and ``Resumed``, or the end."""
        return self._suspended

    @property
    def secure(self) -> bool:
        """True when the join came over TLS."""
        return self._secure

    @property
    def path(self) -> Literal["udp", "tcp"]:
        """The path of low-latency traffic, as of the events taken so far."""
        return self._path

    @property
    def tick_rate(self) -> float:
        """The server's ticks a second; 0 before the join."""
        return self._host.tick_rate if self._host is not None else 0.0

    @property
    def newest_state(self) -> State | None:
        """The newest world state that came, taken or not; looking does not take it."""
        return self._bridge.state if self._bridge is not None else None

    # The loop.

    def _take(self, events: list[Event]) -> None:
        for index, event in enumerate(events):
            if isinstance(event, Connected):
                if self._player is not SERVER:
                    # Another session, whose states and inputs count from 1 again.
                    self.begin_again()
                    self._taken_state = 0
                self._player, self._secure, self._joined = event.player, event.secure, True
                self._suspended = False
            elif isinstance(event, PathChanged):
                self._path = event.path
            elif isinstance(event, Suspended):
                self._suspended = True
            elif isinstance(event, Resumed):
                self._suspended = False
            elif isinstance(event, Disconnected):
                self._joined = self._suspended = False
                if self._host is not None:
                    with self._host.sending:
                        events[index] = self._host.too_late.complete(event)
                if self._bridge is not None and not event.rejoining:
                    self._bridge.close()

    def _hz(self) -> float:
        return self.tick_rate or 30.0

    def _catch_up(self) -> int:
        return self._config.catch_up_ticks

    def _begin_clock(self) -> None:
        """The clock is the server's."""

    def _is_same_tick(self, host: ClientHost) -> bool:
        if not self._in_tick or self._ticker is None:
            return super()._is_same_tick(host)
        if self._input_tick == self._ticker.number and self._input_number:
            return True
        self._input_tick = self._ticker.number
        self._input_made = host.now()
        return False

    def take_state(self) -> State | None:
        """The newest world state that was not taken yet, or None.

        :raises LocalProtocolError: on a second thread.
        """
        bridge = self._claim()
        state = bridge.state
        if state is None or state.number <= self._taken_state:
            return None
        self._taken_state = bridge.seen_state = state.number
        host, _, seat = self._live()
        if seat is not None and state.input_number >= seat.probe:
            seat.probe_answered(host.now())
        return state


def _check_trust(place: Target, config: ClientConfig) -> None:
    """:raises ConfigError: if the server's certificate could not be verified with this."""
    from gamenet.tls import client_creator

    client_creator(place.host, ca_file=config.ca_file, pin=place.pin)

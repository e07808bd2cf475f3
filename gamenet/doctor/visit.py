"""A stay on the server, as a player who holds no button.

Layer 4. Runs on: the reactor thread. What it has found may be read on any.

Inputs without buttons are what every game expects of every player, and the server answers each: so
they make the traffic that is measured, as often as a game would.
"""

from __future__ import annotations

import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from twisted.internet.defer import succeed
from twisted.internet.task import LoopingCall

from gamenet.client import GameClientFactory
from gamenet.core.inputs import INPUT, encode_inputs
from gamenet.core.wire import (
    ACKS,
    ACKS_BYTES,
    IS_LAST,
    MAX_DATAGRAM_BYTES,
    OVERHEAD_BYTES,
    PADDING,
    DatagramKind,
    MessageType,
)
from gamenet.dial import Dial
from gamenet.doctor.deaf import Deaf
from gamenet.doctor.facts import Measured
from gamenet.events import Connected, Disconnected, PathChanged, Resumed, Suspended

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from gamenet.addresses import Target
    from gamenet.config import ClientConfig
    from gamenet.core.client_session import ClientSession
    from gamenet.core.path import Address
    from gamenet.events import Event

INPUT_HZ: Final = 30.0
"""How often a datagram leaves, and asks for the time."""
RETURN_SECONDS: Final = 2.0
"""A connection that broke and is back within so long is a matter of the path."""
LEAST_PROBE_BYTES: Final = OVERHEAD_BYTES + ACKS_BYTES + 1 + INPUT.size + 8


class Marks(NamedTuple):
    """The counts of a session at one time."""

    began: float
    trips: int
    acked: int
    lost: int
    received: int
    highest: int
    changes: int


class Visit:
    """One join, from dialling to leaving.

    :param who: what ``GameClientFactory`` takes besides: user, password, ticket.
    :param deaf: let no datagram out and none in.
    :raises ConfigError: if something about it cannot be sent.
    """

    def __init__(
        self,
        target: Target,
        config: ClientConfig,
        who: dict[str, Any],
        reactor: Any,
        *,
        deaf: bool = False,
    ) -> None:
        self.joined: Connected | None = None
        self.over: Disconnected | None = None
        self.suspended = False
        """Whether the connection has ever been lost."""
        self.lost_at = 0.0
        """When it was lost, by the monotonic clock; 0 while it stands."""
        self.joined_at = self.bound_at = 0.0
        """When, by the monotonic clock; 0 while it has not been."""
        self.changes: list[PathChanged] = []
        """What the session told of its path."""
        self.trips: list[float] = []
        """Every round trip that was measured, in seconds."""
        self._dial = Dial(target, config, reactor)
        used = Deaf(reactor) if deaf else reactor
        self._factory = GameClientFactory(self, config, reactor=used, **who)
        self._beating = LoopingCall(self._beat)
        self._beating.clock = reactor
        self._seen: tuple[object, int] = (None, 0)
        self._marks: Marks | None = None

    # Life.

    def start(self) -> None:
        """Connect and join."""
        self._factory.dial(self._dial)

    def leave(self) -> Deferred[None]:
        """Say goodbye, or give up.

        :returns: fires when nothing of it is left.
        """
        if self._beating.running:
            self._beating.stop()
        host = self._factory.host
        host.leave()
        return host.when_idle() if host.is_busy else succeed(None)

    def offer(self, event: Event) -> bool:
        """Called with each event of the session."""
        if isinstance(event, Connected):
            self.joined_at, self.joined = time.monotonic(), event
            self._beating.start(1 / INPUT_HZ)
        elif isinstance(event, Disconnected):
            self.over = event
            if self._beating.running:
                self._beating.stop()
        elif isinstance(event, PathChanged):
            if event.reason != "blocked":  # that it never carried is seen from there being none
                self.bound_at = self.bound_at or time.monotonic()
                self.changes.append(event)
        elif isinstance(event, Suspended):
            self.suspended = True
            self.lost_at = time.monotonic()
        elif isinstance(event, Resumed):
            self.lost_at = 0.0
        return True

    def _beat(self) -> None:
        session = self._session
        if session is None:
            return
        session._ask_for_ack()
        self._factory.verbs.send_input(0)
        estimator = session.quality.estimator
        if estimator.samples and (estimator, estimator.samples) != self._seen:
            self._seen = (estimator, estimator.samples)
            self.trips.append(estimator.latest)

    # What is known.

    @property
    def _session(self) -> ClientSession | None:
        for session in self._factory.host.sessions():
            return cast("ClientSession", session)
        return None

    @property
    def is_gone(self) -> bool:
        """Whether the session is over, or was lost and is not back in time."""
        lost_at = self.lost_at
        return self.over is not None or 0 < lost_at < time.monotonic() - RETURN_SECONDS

    @property
    def retry_after_seconds(self) -> float:
        """When a refused join may be tried again; 0 where that is not known."""
        return self._factory.host.retry_after_seconds

    @property
    def is_bound(self) -> bool:
        """Whether datagrams were shown to pass both ways."""
        return bool(self.changes) and self.changes[-1].path == "udp"

    @property
    def may_probe(self) -> bool:
        """Whether the server has had an input, so that it reads no further in one sent again."""
        session = self._session
        return session is not None and session.inputs.acknowledged > 0

    @property
    def udp_address(self) -> Address:
        """Where the session's datagrams go; port 0 once it is over."""
        session = self._session
        return ("", 0) if session is None else session.path.address

    # Probing.

    def seal_probe(self, size: int) -> tuple[int, bytes]:
        """A datagram of this session and its packet number.

        The longest is a BIND, which is answered by one as long. All others repeat the first input,
        and what comes behind that is not read.

        :param size: of the datagram, from :data:`LEAST_PROBE_BYTES` on.
        :raises ConnectionError: if the session is over.
        """
        session = self._session
        if session is None:
            raise ConnectionError("the session is over")
        number = session.sealer.number
        if size == MAX_DATAGRAM_BYTES:
            return number, session.sealer.seal(DatagramKind.BIND, PADDING)
        body = ACKS.pack(*session.window.acks()) + bytes((MessageType.INPUT | IS_LAST,))
        body += encode_inputs(1, 0, [0], session.inputs.bits)
        return number, session.sealer.seal(
            DatagramKind.DATA, body.ljust(size - OVERHEAD_BYTES, b"\0")
        )

    def arrived(self, numbers: list[int]) -> list[int]:
        """Those of these packet numbers that the server's newest acknowledgement covers."""
        session = self._session
        if session is None:
            return []
        return [number for number in numbers if session.quality.covers(number)]

    # Measuring.

    def begin(self) -> None:
        """From here on the path is measured."""
        self._marks = self._now()

    def end(self) -> Measured:
        """What was measured since."""
        before, after = self._marks, self._now()
        assert before is not None
        session = self._session
        trips = tuple(self.trips[before.trips : after.trips])
        offset, uncertainty = (0.0, float("inf")) if session is None else session.server_clock
        acked, lost = after.acked - before.acked, after.lost - before.lost
        numbers = max(0, after.highest - before.highest)
        changes = [f"{change.path} ({change.reason})" for change in self.changes[before.changes :]]
        if self.suspended:
            changes.append("the TCP connection was lost for a while")
        return Measured(
            path="udp" if self.is_bound else "tcp",
            seconds=after.began - before.began,
            round_trips=trips,
            jitter=_jitter(trips),
            up_lost=lost,
            up_sent=acked + lost,
            down_lost=max(0, numbers - (after.received - before.received)),
            down_sent=numbers,
            clock_offset=offset,
            clock_uncertainty=uncertainty,
            changed=", ".join(changes),
        )

    def _now(self) -> Marks:
        session, trips, changes = self._session, len(self.trips), len(self.changes)
        if session is None:
            return Marks(time.monotonic(), trips, 0, 0, 0, 0, changes)
        quality = session.quality
        return Marks(
            time.monotonic(),
            trips,
            quality.acked,
            quality.lost,
            quality.received,
            session.window.highest,
            changes,
        )


def _jitter(trips: tuple[float, ...]) -> float:
    """The mean difference of one round trip to the next."""
    if len(trips) < 2:
        return 0.0
    return sum(abs(b - a) for a, b in pairwise(trips)) / (len(trips) - 1)

"""A player in virtual time with the net graph on, and a client that says what it is told."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import NotJoined
from gamenet.events import NO_QUALITY, SERVER, Player, Quality, State
from gamenet.overlay import MOST_LEVEL, NetGraph
from gamenet.samples import ROW, TypeRate
from gamenet.smooth import Interpolator
from gamenet.testing import Pair

if TYPE_CHECKING:
    from gamenet.impairment import Profile

HZ = 20.0
FRAME = 1 / 60
ADA = Player(1, "ada", "")


class Scene(SynchronousTestCase):
    """A server of 20 ticks a second, and a client that draws 60 frames a second."""

    def scene(self, profile: str | Profile = "perfect", **fields: Any) -> Pair:
        pair = Pair(profile=profile, tick_rate=HZ, **fields)
        self.addCleanup(pair.close)
        pair.server.events()
        self.smooth: Interpolator[Any] = Interpolator(interval=1 / HZ)
        self.graph = NetGraph(
            pair.clients[0] if pair.clients else Told(),
            interpolator=self.smooth,
            server=pair.server,
            level=MOST_LEVEL,
        )
        return pair

    def play(self, pair: Pair, seconds: float) -> None:
        """Play on, and until the net graph has just looked."""
        for _ in range(round(seconds / FRAME)):
            self.frame(pair)
        looked = self.graph.version
        while self.graph.version == looked:
            self.frame(pair)

    def frame(self, pair: Pair) -> None:
        """One as a game makes it: events, input, state, net graph."""
        client, server = pair.clients[0], pair.server
        if server.running:
            for _tick in server.ticks(wait=False):
                for player in server.players:
                    server.send_state(player, bytes(range(100)))
        pair.run(FRAME)
        for _tick in client.ticks(1 / FRAME, wait=False):
            if client.joined:
                client.send_input(1)
        state = client.take_state()
        now = pair.time
        if state is not None:
            self.smooth.push(state.server_time, state.payload, now)
        self.smooth.sample(now)
        self.graph.update(now, FRAME)

    def line(self, name: str, graph: NetGraph | None = None) -> tuple[str, str]:
        """What a line says, and the verdict."""
        (found,) = (one for one in (graph or self.graph).texts() if one.name == name)
        return found.value, found.verdict


class Told:
    """A client that is how a test says."""

    player = ADA
    joined = True
    suspended = False
    tick_rate = HZ
    newest_state: State | None = None

    def __init__(self, quality: Quality | None = None) -> None:
        self.told = quality
        self.asked = 0
        self.counts: dict[str, float] = {}

    def quality(self) -> Quality:
        """What was told, or nothing yet."""
        self.asked += 1
        if self.told is None:
            raise NotJoined("not joined yet")
        return self.told

    def stats(self) -> dict[str, float]:
        """As told."""
        return self.counts


class Outside(Told):
    """One who has not joined."""

    player = SERVER
    joined = False
    tick_rate = 0.0


def packed(*rows: tuple[float, float, float, float]) -> bytes:
    """Samples as a session packs them: round trip and jitter in ms, losses as shares."""
    return b"".join(
        ROW.pack(
            round(10 * rtt), round(10 * jitter), round(255 * lin), round(255 * lout), 50, 20, 2, 1
        )
        for rtt, jitter, lin, lout in rows
    )


FINE = replace(
    NO_QUALITY,
    path="udp",
    label="good",
    rtt_seconds=0.048,
    rtt_min_seconds=0.04,
    jitter_seconds=0.004,
    end_to_end_seconds=0.1,
    bytes_per_second_in=1_500.0,
    datagrams_per_second_in=20.0,
    types_in={"state": TypeRate(20.0, 1_400.0)},
    types_out={"input": TypeRate(40.0, 600.0)},
    packed_samples=packed(*((40 + step % 50, 4, 0.0, 0.01) for step in range(300))),
)
ODD = replace(
    FINE,
    rtt_seconds=nan,
    rtt_min_seconds=-1.0,
    jitter_seconds=inf,
    loss_in=nan,
    loss_out=inf,
    end_to_end_seconds=nan,
    bytes_per_second_in=nan,
    bytes_per_second_out=inf,
    datagrams_per_second_in=nan,
    types_in={"state": TypeRate(nan, inf)},
    types_out={"state": TypeRate(inf, nan)},
    clock_offset_seconds=nan,
    clock_uncertainty_seconds=inf,
    input_lead_seconds=-inf,
    packed_samples=b"",
)

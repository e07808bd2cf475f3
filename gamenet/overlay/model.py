"""The net graph without an engine: what it watches, and what it gives to draw.

Layer 4. Runs on: the game thread; times come in, nothing here reads a clock.
"""

from __future__ import annotations

from math import inf, isfinite
from typing import TYPE_CHECKING, Final

from gamenet.errors import GamenetError
from gamenet.events import NO_QUALITY, SERVER
from gamenet.overlay import lines, plots
from gamenet.overlay.history import Changes, Frames, History
from gamenet.overlay.reading import Reading
from gamenet.overlay.state_watch import StateWatch
from gamenet.overlay.verdicts import advice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gamenet.events import Player, Quality
    from gamenet.overlay.reading import (
        Predicting,
        Serving,
        Smoothing,
        Standing,
        Watched,
        Way,
    )
    from gamenet.overlay.shapes import Bars, Line, Plot

MOST_LEVEL: Final = 4
REFRESH_SECONDS: Final = 0.1
"""``quality()`` is read no more often: its ring has ten samples a second."""
UDP_SECONDS: Final = 5.0
"""UDP that has not answered so long after the join is blocked: by default a client says so then."""
_GRAIN: Final = 1e-6
"""A frame that comes so little too early counts as in time."""


class NetGraph:
    """Watches a client and says in four levels how its network is doing.

    It goes on watching at level 0, where there is nothing to draw: who turns it on after a stutter
    sees the stutter.

    :param client: a :class:`~gamenet.GameClient`, started or not.
    :param interpolator: what smooths the others, a
        :class:`~gamenet.smooth.interpolation.Interpolator`; it can be set later, as all of these.
    :param predictor: what moves one's own, a :class:`~gamenet.smooth.prediction.Predictor`.
    :param server: the :class:`~gamenet.GameServer`, where this program runs it as well.
    :param level: 0 is off, up to 4.
    :raises ValueError: for another level.
    """

    def __init__(
        self,
        client: Watched,
        *,
        interpolator: Smoothing | None = None,
        predictor: Predicting | None = None,
        server: Serving | None = None,
        level: int = 0,
    ) -> None:
        self.client = client
        """Whom it watches; another one begins anew."""
        self.interpolator = interpolator
        self.predictor = predictor
        self.server = server
        self.level = level
        self.version = 0
        """Rises when there may be something new to draw, ten times a second."""
        self._frames = Frames()
        self._refreshed = -inf
        self._player: Player = SERVER
        self._joined_at = 0.0
        self._had_udp = False
        self._states = StateWatch()
        self._changes = Changes()
        self._delays = History()
        self._lateness = History()
        self._reading: Reading | None = None
        self._drawn: tuple[int, int] = (-1, 0)
        self._graphs: tuple[Plot | Bars, ...] = ()

    # The level.

    @property
    def level(self) -> int:
        """0 is off; 1 is text, 2 latency, 3 types of message, 4 the server's ticks. Each has what
        those before it have."""
        return self._level

    @level.setter
    def level(self, level: int) -> None:
        if level not in range(MOST_LEVEL + 1):
            raise ValueError(f"level must be from 0 (off) to {MOST_LEVEL}, not {level!r}")
        self._level = level

    def next_level(self) -> int:
        """Go on to the next level, and from the last one to none.

        :returns: the level that it is now.
        """
        self.level = (self.level + 1) % (MOST_LEVEL + 1)
        return self.level

    # Watching.

    def update(self, now: float, frame_seconds: float = 0.0) -> None:
        """Look at the client; call it once a frame, after events and state were taken.

        :param now: seconds on any clock that does not go back.
        :param frame_seconds: since the last frame; 0 if that is not known.
        :raises ValueError: if *now* is no finite number.
        """
        if not isfinite(now):
            raise ValueError(f"give now as finite seconds, not {now!r}")
        self._frames.add(frame_seconds)
        client = self.client
        if client.player is not self._player:
            self._begin_anew(client.player, now)
        state = client.newest_state if client.joined else None
        late = None if state is None else self._states.take(state, now)
        if late is not None:
            self._lateness.put(now, late)
        if not 0 <= now - self._refreshed < REFRESH_SECONDS - _GRAIN:
            self._refresh(now)

    def _begin_anew(self, player: Player, now: float) -> None:
        """Another session: what the last one was like says nothing about it."""
        self._player, self._joined_at, self._had_udp = player, now, False
        self._states.clear()
        self._changes.clear()
        self._delays.clear()
        self._lateness.clear()
        self._refreshed = -inf

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        self.version += 1
        client = self.client
        standing = self._standing()
        quality = self._quality()
        if standing in ("playing", "away"):
            self._note(now, quality)
        self._reading = Reading(
            standing=standing,
            way=self._way(quality, now),
            quality=quality,
            tick_rate=client.tick_rate,
            frames_per_second=self._frames.per_second,
            worst_frame_seconds=self._frames.worst_seconds,
            states=self._states,
            changes=self._changes,
            smoothing=self.interpolator,
            predicting=self.predictor,
            server=self._server_stats(),
        )

    def _standing(self) -> Standing:
        client = self.client
        if client.joined:
            return "away" if client.suspended else "playing"
        return "outside" if client.player is SERVER else "over"

    def _quality(self) -> Quality:
        try:
            return self.client.quality()
        except GamenetError:
            return NO_QUALITY  # not joined yet

    def _way(self, quality: Quality, now: float) -> Way:
        if quality.path == "udp":
            self._had_udp = True
            return "udp"
        if self._had_udp:
            return "silent"
        return "blocked" if now - self._joined_at >= UDP_SECONDS else "trying"

    def _note(self, now: float, quality: Quality) -> None:
        """Keep what graphs and changes are made of."""
        counts: dict[str, float] = {
            "inputs_missing": quality.inputs_missing,
            "inputs_late": quality.inputs_late,
        }
        stats = self.client.stats()
        for name in ("states_received", "inputs_sent"):
            counts[name] = stats.get(name, 0)
        state = self.client.newest_state
        counts["state_number"] = 0 if state is None else state.number
        smoothing, predicting = self.interpolator, self.predictor
        if smoothing is not None:
            counts["starved"] = smoothing.starved
        if predicting is not None:
            counts["corrections"] = predicting.corrections
        self._changes.put(now, counts)
        self._delays.put(now, None if smoothing is None else smoothing.delay_seconds or None)
        self._lateness.put(now, None)

    def _server_stats(self) -> Mapping[str, float] | None:
        if self.server is None:
            return None
        try:
            return {**self.server.stats(), **self.server.loop_stats()}
        except GamenetError:
            return None  # not started yet

    # What there is to draw.

    def texts(self) -> tuple[Line, ...]:
        """The figures of this level and those before it; none at level 0."""
        reading, level = self._reading, self.level
        if reading is None or level < 1:
            return ()
        found = lines.text(reading)
        if reading.standing != "outside":
            for least, more in ((2, lines.latency), (3, lines.traffic), (4, lines.health)):
                if level >= least:
                    found += more(reading)
        return tuple(found)

    def advice(self) -> tuple[str, ...]:
        """What is wrong and what to do about it, in sentences, the worst first; none at level 0."""
        if self._reading is None or self.level < 1:
            return ()
        return advice(self._reading)

    def graphs(self) -> tuple[Plot | Bars, ...]:
        """The graphs of this level and those before it; none below level 2."""
        key = self.version, self.level
        if key != self._drawn:
            self._drawn = key
            self._graphs = tuple(self._make_graphs())
        return self._graphs

    def _make_graphs(self) -> list[Plot | Bars]:
        reading, level = self._reading, self.level
        found: list[Plot | Bars] = []
        if reading is None or level < 2 or reading.standing == "outside":
            return found
        samples = reading.quality.samples
        found += plots.latency(samples, None if self.interpolator is None else self._delays.values)
        if level >= 3:
            found += plots.traffic(reading, samples)
        if level >= 4:
            found += plots.health(self._lateness.values)
        return found

"""What a bad network does to traffic: one seeded engine behind every simulation.

Layer 0. Runs on: any thread, one at a time. No I/O, no clock: who asks says what time it is.

An :class:`Impairment` is one direction of one link. It is asked when a datagram, or a piece of a
TCP stream, arrives, and answers with times of the same clock. All its draws come from its seed: the
same calls get the same answers.
"""

from __future__ import annotations

import difflib
import math
from dataclasses import dataclass
from random import Random
from typing import Final

from gamenet.checks import check_label, check_types
from gamenet.errors import ConfigError

SEGMENT_BYTES: Final = 1_400
"""Of a stream in one packet: what is lost and sent again at once."""
RETRANSMISSION_SECONDS: Final = 0.2
"""The least time after which TCP sends again what was not acknowledged, as on Linux."""
MAX_RETRANSMISSIONS: Final = 6
"""Of one piece of a stream; the last one arrives, so that a stream never waits for ever."""
HELD_BACK_SECONDS: Final = 0.1
"""What a datagram that later ones are to overtake waits, beside twice the jitter."""
MEMORY_SECONDS: Final = 0.25
"""A run of losses is over after so long a silence, as the hole in a real link would be."""
MOST_MS: Final = 60_000.0
FOR_EVER: Final = 1 << 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a link does to what it carries, each way alike. Shares are from 0 to 1."""

    name: str = "custom"
    latency_ms: float = 0.0
    """One way, of everything."""
    jitter_ms: float = 0.0
    """Delays are uniform between latency minus and plus this, and never below zero."""
    loss: float = 0.0
    """Share of datagrams that vanish; packets of TCP vanish as often and are sent again."""
    burst: float = 1.0
    """Mean length of a run of lost datagrams. 1 loses each independently of the others, more is a
    Gilbert-Elliott channel with the same share of losses. Datagrams a quarter of a second apart
    are independent in any case."""
    duplicate: float = 0.0
    """Share of datagrams that arrive twice."""
    reorder: float = 0.0
    """Share of datagrams held back so that later ones overtake them."""
    corrupt: float = 0.0
    """Share of datagrams in which one bit is flipped. TCP's checksum keeps that from streams."""
    bandwidth_bytes: int | None = None
    """Bytes a second each way; None is no cap."""
    queue_seconds: float = 0.2
    """How long a capped link makes a datagram wait before it drops newcomers."""
    blackout_seconds: float = 0.0
    """How long nothing passes, datagrams or streams: datagrams vanish, streams wait."""
    blackout_every_seconds: float = 0.0
    """From one blackout to the next: each ends at a multiple of this. 0 is no blackouts."""

    def __post_init__(self) -> None:
        check_types(self)
        check_label("name", self.name)
        for name in ("latency_ms", "jitter_ms"):
            if not 0 <= getattr(self, name) <= MOST_MS:
                raise ConfigError(
                    name, f"must be from 0 to {MOST_MS:g} ms, not {getattr(self, name)!r}"
                )
        for name in ("loss", "duplicate", "reorder", "corrupt"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(name, f"must be a share from 0 to 1, not {getattr(self, name)!r}")
        if not 1 <= self.burst <= 1e6:
            raise ConfigError("burst", f"must be at least 1, not {self.burst!r}")
        if self.bandwidth_bytes is not None and self.bandwidth_bytes < 1:
            raise ConfigError("bandwidth_bytes", f"must be at least 1, not {self.bandwidth_bytes}")
        if not 0 < self.queue_seconds < math.inf:
            raise ConfigError("queue_seconds", f"must be above zero, not {self.queue_seconds!r}")
        every = self.blackout_every_seconds
        if not 0 <= every < math.inf:
            raise ConfigError("blackout_every_seconds", f"must be zero or more, not {every!r}")
        if not (0 <= self.blackout_seconds < every or self.blackout_seconds == every == 0):
            raise ConfigError(
                "blackout_seconds",
                f"must be less than blackout_every_seconds ({every:g}), "
                f"not {self.blackout_seconds!r}",
            )

    def __str__(self) -> str:
        """What it does, for a person."""
        does = [f"{self.latency_ms:g}±{self.jitter_ms:g} ms each way"]
        for share, what in (
            (self.loss, "lost"),
            (self.duplicate, "doubled"),
            (self.reorder, "held back"),
            (self.corrupt, "damaged"),
        ):
            if share:
                does.append(f"{100 * share:g} % {what}")
                if what == "lost" and self.burst > 1:
                    does[-1] += f" in runs of {self.burst:g}"
        if self.bandwidth_bytes is not None:
            does.append(f"{self.bandwidth_bytes} bytes/s")
        if self.blackout_every_seconds:
            does.append(
                f"nothing for {self.blackout_seconds:g} s every {self.blackout_every_seconds:g} s"
            )
        return f"{self.name}: {', '.join(does)}"


PROFILES: Final[dict[str, Profile]] = {
    profile.name: profile
    for profile in (
        Profile(name="perfect"),
        Profile(name="wifi", latency_ms=5, jitter_ms=10, loss=0.01, burst=3),
        Profile(name="cellular", latency_ms=50, jitter_ms=30, loss=0.02),
        Profile(name="satellite", latency_ms=300, jitter_ms=20, loss=0.01),
        Profile(
            name="train",
            latency_ms=80,
            jitter_ms=60,
            loss=0.05,
            burst=4,
            blackout_seconds=3,
            blackout_every_seconds=15,
        ),
    )
}
"""Links as people know them, by name."""


def find_profile(profile: str | Profile) -> Profile:
    """The profile of a name; a profile is itself.

    :raises ConfigError: naming those there are, or the one that was probably meant.
    """
    if isinstance(profile, Profile):
        return profile
    found = PROFILES.get(profile)
    if found is None:
        near = difflib.get_close_matches(str(profile), PROFILES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(PROFILES)}"
        raise ConfigError("profile", f"no profile is called {profile!r}; {hint}")
    return found


class Impairment:
    """One direction of one link.

    Delays are drawn uniformly and independently, so that "80±60" says how far they can go at
    most, which a bell curve could not. Where the jitter is wider than the gap between two
    datagrams they change places, as they do in Linux's netem; a stream keeps its order.

    :param profile: what the link does; can be set at any time.
    :param seed: decides every draw.
    """

    __slots__ = (
        "_arrived",
        "_bad",
        "_corrupt",
        "_delay",
        "_duplicate",
        "_enter",
        "_every",
        "_forgets_at",
        "_free",
        "_good",
        "_held_back",
        "_is_bursty",
        "_least",
        "_leave",
        "_lit",
        "_loss",
        "_per_second",
        "_plain",
        "_profile",
        "_queue",
        "_random",
        "_reorder",
        "_retransmission",
        "_segments",
        "_spread",
        "_stream_free",
        "_stream_loss",
        "blacked_out",
        "blocked",
        "corrupted",
        "duplicated",
        "lost",
        "queued_out",
        "reordered",
        "sent",
    )

    def __init__(self, profile: Profile, seed: int | str = 0) -> None:
        self._random = Random(seed)
        self.blocked = False
        """While it is set no datagram passes; streams do."""
        self.sent = 0
        """Datagrams that were given to the link."""
        self.lost = 0
        self.duplicated = 0
        self.reordered = 0
        """Held back, that is: what overtakes them is up to who sends."""
        self.corrupted = 0
        self.queued_out = 0
        """Dropped because the capped link's queue was full."""
        self.blacked_out = 0
        """Vanished in a blackout, or while the link was ``blocked``."""
        self._free = -math.inf
        self._stream_free = -math.inf
        self._arrived = -math.inf
        self._forgets_at = math.inf
        self.profile = profile

    @property
    def profile(self) -> Profile:
        """What the link does."""
        return self._profile

    @profile.setter
    def profile(self, profile: Profile) -> None:
        self._profile = profile
        self._least = (profile.latency_ms - profile.jitter_ms) / 1_000
        self._spread = 2 * profile.jitter_ms / 1_000
        self._delay = profile.latency_ms / 1_000
        self._held_back = HELD_BACK_SECONDS + self._spread
        self._loss = profile.loss
        self._duplicate = profile.duplicate
        self._reorder = profile.reorder
        self._corrupt = profile.corrupt
        self._plain = not (profile.duplicate or profile.reorder or profile.corrupt)
        self._per_second = profile.bandwidth_bytes or 0
        self._queue = profile.queue_seconds
        self._every = profile.blackout_every_seconds if profile.blackout_seconds else 0.0
        self._lit = self._every - profile.blackout_seconds
        # A round trip, and what TCP adds for its not being always the same.
        self._retransmission = 2 * self._delay + max(RETRANSMISSION_SECONDS, 2 * self._spread)
        self._set_loss(profile.loss, profile.burst)

    def _set_loss(self, loss: float, burst: float) -> None:
        """Where runs of losses begin and end: a chain of two states, drawn a whole run ahead."""
        self._leave = 1 / burst
        self._enter = loss * self._leave / (1 - loss) if loss < 1 else 1.0
        if burst > 1 and self._enter > 1:
            # So many losses cannot come in runs so short, with one datagram between two of them.
            self._enter, self._leave = 1.0, (1 - loss) / loss
        self._is_bursty = burst > 1 and 0 < loss < 1
        self._good, self._bad = FOR_EVER, 0
        if 0 < loss < 1:
            self._draw_state()
        elif loss:
            self._good, self._bad = 0, FOR_EVER
        # A run costs a stream one retransmission, however long it is.
        self._stream_loss = loss * (self._leave if burst > 1 and loss < 1 else 1.0)
        self._segments = self._geometric(self._stream_loss) if loss else FOR_EVER

    def _draw_state(self) -> None:
        """Begin anew: in the middle of a run, or between two."""
        if self._is_bursty and self._random.random() < self._loss:
            self._good, self._bad = 0, self._geometric(self._leave)
        else:
            self._draw_run()

    def _draw_run(self) -> None:
        """How many datagrams pass from here, and how many are lost then."""
        if self._leave < 1:
            self._good = self._geometric(self._enter)
            self._bad = self._geometric(self._leave)
        else:
            self._good = self._geometric(self._loss) - 1
            self._bad = 1

    def _geometric(self, chance: float) -> int:
        """Which try is the first to succeed, from 1."""
        if chance >= 1:
            return 1
        if chance <= 0:  # what was left of a very small share
            return FOR_EVER
        tries = math.log(1 - self._random.random()) / math.log1p(-chance)
        return 1 + int(min(tries, FOR_EVER))

    def datagram(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """A datagram sets out.

        :param now: of any clock; blackouts are counted from its zero.
        :returns: when each copy arrives, and what of it; empty if none does.
        """
        self.sent += 1
        if self.blocked or (self._every and now % self._every >= self._lit):
            self.blacked_out += 1
            return []
        leaves = now
        if self._per_second:
            leaves = self._queued(len(data), now)
            if leaves < 0:
                self.queued_out += 1
                return []
        if self._is_bursty:
            if now > self._forgets_at:
                self._draw_state()
            self._forgets_at = now + MEMORY_SECONDS
        if self._good:
            self._good -= 1
        else:
            self._bad -= 1
            if not self._bad:
                self._draw_run()
            self.lost += 1
            return []
        if self._plain:
            if not self._spread:
                return [(leaves + self._delay, data)]
            delay = self._least + self._spread * self._random.random()
            return [(leaves + delay if delay > 0 else leaves, data)]
        return self._mistreated(data, leaves)

    def _mistreated(self, data: bytes, leaves: float) -> list[tuple[float, bytes]]:
        draw = self._random.random
        if data and self._corrupt and draw() < self._corrupt:
            self.corrupted += 1
            bit = self._random.randrange(8 * len(data))
            damaged = bytearray(data)
            damaged[bit >> 3] ^= 1 << (bit & 7)
            data = bytes(damaged)
        arrives = leaves + self._draw_delay()
        if self._reorder and draw() < self._reorder:
            self.reordered += 1
            arrives += self._held_back
        copies = [(arrives, data)]
        if self._duplicate and draw() < self._duplicate:
            self.duplicated += 1
            copies.append((leaves + self._draw_delay(), data))
        return copies

    def _draw_delay(self) -> float:
        if not self._spread:
            return self._delay
        return max(0.0, self._least + self._spread * self._random.random())

    def _queued(self, size: int, now: float) -> float:
        """When a datagram has left a capped link; below zero if it finds no room."""
        # Of a stream no more than half the queue stands before a datagram: what goes beyond waits
        # with its sender, who would otherwise lose it.
        ahead = max(self._free - now, min(self._stream_free - now, self._queue / 2), 0.0)
        if ahead > self._queue:
            return -1.0
        takes = size / self._per_second
        self._free = now + ahead + takes
        if self._stream_free > now:
            self._stream_free += takes
        return self._free

    def stream(self, size: int, now: float) -> float:
        """The next *size* bytes of a TCP stream set out.

        :param now: of the clock that datagrams are given.
        :returns: when they arrive, never before those that set out earlier. A packet that is lost
            shows as the time until it is sent again, a blackout as waiting for its end.
        """
        leaves = now
        if self._per_second:
            leaves = max(now, self._free, self._stream_free) + size / self._per_second
            self._stream_free = leaves
        leaves = self._after_blackout(leaves)
        segments = max(1, -(-size // SEGMENT_BYTES))
        if segments < self._segments:
            self._segments -= segments
        else:
            self._segments = self._geometric(self._stream_loss)
            leaves = self._after_blackout(leaves + self._draw_retransmission())
        self._arrived = max(self._arrived, leaves + self._draw_delay())
        return self._arrived

    def _draw_retransmission(self) -> float:
        """How long it takes until a lost packet gets through."""
        timeout = waited = self._retransmission
        for _ in range(MAX_RETRANSMISSIONS - 1):
            if self._random.random() >= self._loss:
                break
            timeout *= 2
            waited += timeout
        return waited

    def _after_blackout(self, when: float) -> float:
        if self._every and when % self._every >= self._lit:
            return (when // self._every + 1) * self._every
        return when

"""A player who does nothing: the session rests, and is not looked at each second.

Layer 1. Runs on: the reactor thread.

Each second a session turns its counts into losses, rates and samples. Where there is nothing to
count it rests: only a ping, a silence that has become too long, or old keys wake it then. What the
looks left out would have written down is written in one go when something happens, or told without
being written when somebody asks. Seconds are those that it would have looked at.
"""

from __future__ import annotations

from abc import abstractmethod
from math import ceil, floor
from typing import TYPE_CHECKING

from gamenet.core.quality import ROLL_SECONDS
from gamenet.core.rates import DatagramRates
from gamenet.core.server_flush import ServerFlush

if TYPE_CHECKING:
    from gamenet.config import ServerConfig
    from gamenet.core.path import Address
    from gamenet.core.setup import Setup


class ServerRest(ServerFlush):
    """The looks at the time that a quiet player is spared.

    :param config: its limits hold for this player.
    """

    __slots__ = ("_looked", "_rates", "config")

    def __init__(self, setup: Setup, config: ServerConfig) -> None:
        super().__init__(setup, config)
        self.config = config
        self._rates = DatagramRates(
            config.datagrams_per_second,
            config.datagrams_burst,
            config.datagram_bytes_per_second,
            config.rate_abuse_factor,
            config.rate_abuse_seconds,
            setup.now,
        )
        self._looked = setup.now
        """While it rests: when the time was looked at last."""

    @abstractmethod
    def _data_awaited(self, address: Address, newest: bool, now: float) -> None:
        """An authentic DATA datagram came by UDP while messages go inside TCP."""

    def _data_came(self, address: Address, newest: bool, now: float) -> None:
        if self.rests:
            self.stir(now)
        if self.tunnelled:
            self._data_awaited(address, newest, now)

    def _receive_tunnel(self, data: bytes, now: float) -> None:
        if self.rests:
            self.stir(now)
        super()._receive_tunnel(data, now)

    def reconnected(self, received: int, now: float) -> None:
        if self.rests:
            self.stir(now)  # what was not written yet is about the path until now
        super().reconnected(received, now)

    def look_at_traffic(self, now: float) -> None:
        if self.rests:
            self.stir(now)
        super().look_at_traffic(now)

    def rest_if_quiet(self, now: float) -> None:
        """A look at the time is over: rest if the next one would find nothing to do."""
        keys = self.keys
        if (
            self.is_suspended
            or self.next_tick <= now
            or self.incoming.taken != self.incoming.acknowledged
            or self._acks_owed
            or self._acks_due
            or self._input_ack_due
            or self._has_to_wait
            or self._control
            or self._unreliable
            or self._parts
            or self.states.waiting is not None
            or self._slow_since is not None
            or keys.other is not None
            or (self.tunnelled and self._told != "tcp")
            or not self.quality.is_settled(self.window.highest)
            or not self.traffic.is_settled(self._totals())
            or not self._rates.is_calm(self.datagrams_in + self.rate_dropped)
        ):
            return
        self.rests = True
        self._looked = now
        self._unheard = True  # DATA is to stir it, too
        self.traffic.rest(now)
        self._timer = self.next_tick = self._next_look(now)

    def _next_look(self, now: float) -> float:
        """What comes to pass first if nothing happens."""
        limits = self.limits
        due = min(self.frame_spoken + limits.ping_seconds, self.frame_heard + limits.dead_seconds)
        if not self.tunnelled:
            due = min(due, self.udp_heard + limits.udp_idle_seconds)
        rekey = self.keys.due_at(self.window.highest, self.config.rekey_seconds)
        return due if rekey <= now else min(due, rekey)

    def ping_at_rest(self, now: float) -> bool:
        """A look at the time of a session that rests: a ping is all that it may cost.

        :returns: False if it is more than that; the session is stirred then.
        """
        limits, config = self.limits, self.config
        if (
            self.is_suspended
            or self.incoming.taken != self.incoming.acknowledged
            or now - self.frame_heard >= limits.dead_seconds
            or not (self.tunnelled or now - self.udp_heard < limits.udp_idle_seconds)
            or self.keys.is_due(
                self.window.highest, now, config.rekey_datagrams, config.rekey_seconds
            )
        ):
            self.stir(now)
            return False
        if now - self.frame_spoken >= limits.ping_seconds:
            # This, too, is a look: the next one would be a second after it.
            self._catch_up(floor((now - self._looked) / ROLL_SECONDS))
            self._looked = now
            self.traffic.rest(now)
            self.budget.look(self.quality, self.bytes_out, self.datagrams_out, now)
            self.ping(now)
        self._timer = self.next_tick = self._next_look(now)
        return True

    def stir(self, now: float) -> None:
        """Something happens: do what the looks would have done, and look each second again."""
        self.rests = False
        self._unheard = self.tunnelled
        # What is due this very moment is not past.
        self._catch_up(ceil((now - self._looked) / ROLL_SECONDS) - 1)
        self.traffic.stir(self._looked, self.quality)
        self._timer = min(self._timer, self._looked + ROLL_SECONDS)
        self.next_tick = min(self.next_tick, self._timer)

    def _catch_up(self, seconds: int) -> None:
        """So many looks were spared that would have found nothing."""
        if seconds > 0:
            looked = self._looked = self._looked + seconds * ROLL_SECONDS
            self.traffic.rested(looked)
            self.quality.rested(looked)
            self.budget.rested(looked)
            self._rates.rested(looked)

"""What both ends of a session can set.

Layer 0. Runs on: any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from gamenet.checks import check_label, check_types
from gamenet.errors import ConfigError
from gamenet.messages import Message


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonConfig:
    """What both ends can set."""

    game_name: str = ""
    """Name and version of the game, such as ``"tag/1"``; compared at join, "" is not compared."""
    messages: tuple[type[Message], ...] = ()
    """The declared message classes; their hash is compared at join."""
    insecure: bool = False
    """Play over plain TCP. Both sides must say so. Anybody on the path can read and change it."""
    window_messages: int = 256
    """Reliable messages that may be on their way to a game that has not taken them."""
    window_bytes: int = 262_144
    """Bytes of such messages; room for four of the largest."""
    queue_messages: int = 1_024
    """Reliable messages that wait beyond the window before the slow-consumer rule applies."""
    queue_bytes: int = 1_048_576
    """Bytes of such messages."""
    bridge_events: int = 8_192
    """Events that wait for the game; beyond it unreliable ones and inputs are refused, counted."""
    post_values: int = 1_024
    """Values of ``post`` that wait for the game before it raises ``QueueFull``."""
    unreliable_messages: int = 64
    """Unreliable messages that wait to be sent to one peer; the oldest is dropped, counted."""
    join_seconds: float = 5.0
    """From accepting a connection to the end of the join; an absolute deadline."""
    close_seconds: float = 2.0
    """How long a closing connection may linger so that the reason arrives."""
    ping_seconds: float = 5.0
    """Our own silence on a transport after which we write a ping."""
    dead_seconds: float = 15.0
    """The peer's silence on TCP after which it is given up; at least twice ``ping_seconds``."""
    udp_bind_seconds: float = 5.0
    """Datagrams that do not pass so long after the join: the game is told that UDP is blocked.
    Low-latency traffic rides inside TCP from the join until they do."""
    udp_owed_seconds: float = 3.0
    """Silence on UDP, while an ack is owed, after which it is down and TCP carries its traffic."""
    udp_idle_seconds: float = 15.0
    """Silence on UDP after which it is down in any case; at least twice ``ping_seconds``."""
    stall_seconds: float = 5.0
    """A game that takes no event for so long, though some wait, has stalled: one line of the log,
    and ``stalled`` in its statistics. Nobody is cut for it."""
    datagrams_per_turn: int = 64
    """Datagrams read before the reactor's timers get a turn; without it a flood freezes them. Who
    has just taken longer than 2 ms to send reads on for as long, 10 ms at most."""
    udp_buffer_bytes: int = 4_194_304
    """Asked of the kernel for each direction of the UDP socket; what it granted is logged."""
    log_seconds: float = 10.0
    """The faults of one address, of one kind, fill at most one line of the log in this time."""
    log_lines_per_second: int = 100
    """Lines of the log about faults of others altogether."""
    catch_up_ticks: int = 5
    """Late ticks made up for before the rest are skipped and reported."""
    switch_interval_seconds: float = 0.0005
    """Python's thread switch interval while a bridge is open. At Python's own 5 ms a busy game
    thread was measured to freeze the network's timers. Restored when the last bridge stops."""
    monotonic_clock: bool = True
    """Give the reactor a clock that cannot jump, where gamenet starts the reactor itself."""

    def __post_init__(self) -> None:
        check_types(self)
        self._at_least(
            1,
            "window_messages",
            "queue_messages",
            "bridge_events",
            "post_values",
            "unreliable_messages",
            "datagrams_per_turn",
            "catch_up_ticks",
            "log_lines_per_second",
        )
        self._at_least(65_600, "window_bytes", "queue_bytes")
        self._at_least(4_096, "udp_buffer_bytes")
        self._above_zero(
            "join_seconds",
            "close_seconds",
            "ping_seconds",
            "dead_seconds",
            "udp_bind_seconds",
            "udp_owed_seconds",
            "udp_idle_seconds",
            "stall_seconds",
            "switch_interval_seconds",
            "log_seconds",
        )
        self._at_most(0xFFFF, "fits the protocol", "window_messages")
        self._at_most(0xFFFF_FFFF, "fits the protocol", "window_bytes")
        self._at_most(0x7FFF_FFFF, "can be asked of a kernel", "udp_buffer_bytes")
        if self.dead_seconds < 2 * self.ping_seconds:
            raise ConfigError(
                "dead_seconds", f"must be at least twice ping_seconds ({self.ping_seconds:g})"
            )
        if self.udp_idle_seconds < 2 * self.ping_seconds:
            raise ConfigError(
                "udp_idle_seconds", f"must be at least twice ping_seconds ({self.ping_seconds:g})"
            )
        check_label("game_name", self.game_name)

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            if not getattr(self, name) >= least:  # NaN is not either
                raise ConfigError(name, f"must be at least {least}, not {getattr(self, name)!r}")

    def _at_most(self, most: int, why: str, *names: str) -> None:
        for name in names:
            if getattr(self, name) > most:
                raise ConfigError(name, f"no more than {most} {why}, not {getattr(self, name)!r}")

    def _above_zero(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not 0 < value < float("inf"):
                raise ConfigError(name, f"must be a number above zero, not {value!r}")

"""Which settings of a running server can change, and for whom.

Layer 0. Runs on: any thread.

What is not named here needs a restart: it is bound to an open port, to a thread or queue that has
its size, to a game that has begun, or to what players were told when they joined.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from gamenet.config import ServerConfig

AT_ONCE: Final = frozenset(
    {
        *("max_players", "max_players_per_address", "max_unjoined", "max_unjoined_per_address"),
        *("accepts_per_second", "accepts_burst", "limit_loopback"),
        *("failed_logins_per_account", "failed_logins_per_address", "login_delay_seconds"),
        *("max_suspended", "join_seconds", "close_seconds", "stop_seconds", "drain_seconds"),
        *("stall_seconds", "log_seconds", "log_lines_per_second"),
        "beacon",
    }
)
"""Those that hold for everything from then on. Nobody who is in is cut because there are fewer
places now."""
NEW_PLAYERS: Final = frozenset(
    {
        *("frames_per_second", "frames_burst", "frames_per_read", "chats_per_second"),
        *("tcp_bytes_per_second", "tcp_send_buffer_bytes", "tcp_unsent_bytes"),
        *("datagrams_per_second", "datagrams_burst", "datagram_bytes_per_second"),
        *("rate_abuse_factor", "rate_abuse_seconds", "max_input_hz", "bridge_events_per_player"),
        *("send_bytes_per_second", "baseline_bytes", "unreliable_messages"),
        *("window_messages", "window_bytes", "queue_messages", "queue_bytes", "slow_seconds"),
        *("rebind", "challenges_per_second", "switches_per_minute"),
        *("rekey_datagrams", "rekey_seconds", "resume_seconds"),
        *("ping_seconds", "dead_seconds"),
        *("udp_bind_seconds", "udp_owed_seconds", "udp_idle_seconds"),
    }
)
"""Those that hold for players who join from then on. Who is in keeps what was agreed at the join,
also on another connection."""
Scope = Literal["at once", "new players", "restart"]


def scope(name: str) -> Scope:
    """For whom a change of this setting holds while a server runs."""
    if name in AT_ONCE:
        return "at once"
    return "new players" if name in NEW_PLAYERS else "restart"


class Change(NamedTuple):
    """What a config that was read again comes to."""

    config: ServerConfig
    """The settings in force from now on."""
    changed: tuple[str, ...]
    """What is other than before, with both values, such as ``max_players=9 (was 8)``."""
    kept: tuple[str, ...]
    """The settings that would be other, and need a restart."""


def change(current: ServerConfig, wanted: ServerConfig) -> Change:
    """Take from *wanted* what can change while a server runs.

    :raises ConfigError: if that does not go together with what stays.
    """
    values = {}
    changed = []
    kept = []
    for item in dataclasses.fields(current):
        name = item.name
        before, after = getattr(current, name), getattr(wanted, name)
        if before == after:
            continue
        if scope(name) == "restart":
            kept.append("[game]" if name == "options" else name)
        else:
            values[name] = after
            changed.append(f"{name}={_spell(after)} (was {_spell(before)})")
    return Change(dataclasses.replace(current, **values), tuple(changed), tuple(kept))


def _spell(value: object) -> str:
    """Numbers and words; no setting that can change is a secret."""
    if value is None or value == "":
        return "none"
    if isinstance(value, str):
        return value
    return f"{value:g}" if isinstance(value, float) else str(value).lower()

"""Settings: frozen, validated at birth, every limit a field with its unit in its name.

Layer 0. Runs on: any thread.

A wrong value raises :class:`~gamenet.errors.ConfigError` naming the field before anything starts.
No limit is unlimited and none treats zero as infinite.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from gamenet.addresses import DEFAULT_PORT, is_loopback, parse_listen
from gamenet.errors import ConfigError
from gamenet.messages import Message

ConfigT = TypeVar("ConfigT", bound="CommonConfig")


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
    """The peer's silence on TCP after which it is given up; at least three pings."""
    datagrams_per_turn: int = 64
    """Datagrams read before the reactor's timers get a turn; without it a flood freezes them."""
    udp_buffer_bytes: int = 4_194_304
    """Asked of the kernel for each direction of the UDP socket; what it granted is logged."""
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
        )
        self._at_least(65_600, "window_bytes", "queue_bytes")
        self._at_least(4_096, "udp_buffer_bytes")
        self._above_zero(
            "join_seconds",
            "close_seconds",
            "ping_seconds",
            "dead_seconds",
            "switch_interval_seconds",
        )
        self._at_most(0xFFFF, "fits the protocol", "window_messages")
        self._at_most(0xFFFF_FFFF, "fits the protocol", "window_bytes")
        self._at_most(0x7FFF_FFFF, "can be asked of a kernel", "udp_buffer_bytes")
        if self.dead_seconds < 2 * self.ping_seconds:
            raise ConfigError(
                "dead_seconds", f"must be at least twice ping_seconds ({self.ping_seconds:g})"
            )
        check_label("game_name", self.game_name)

    def _at_least(self, least: int, *names: str) -> None:
        for name in names:
            if getattr(self, name) < least:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(CommonConfig):
    """Everything a server can be told. Each field says its unit and what it does."""

    listen: int | str = DEFAULT_PORT
    """TCP: a port, ``"tcp:7777"``, ``"tcp:7777:interface=192.168.1.5"`` or ``"[::1]:7777"``; port 0
    takes a free one. Insecure servers without an interface bind only 127.0.0.1 and ::1."""
    udp: int | str | None = None
    """UDP: a port, or ``"7777:interface=A"``; by default the TCP port and interface."""
    advertised_udp_port: int = 0
    """The UDP port that players are told, where a port map changes it; 0 is the bound one."""
    tick_rate: float = 30.0
    """Ticks a second of the game's loop."""
    input_bits: int = 16
    """Buttons of an input, 1 to 64."""
    max_input_hz: int = 120
    """Inputs a second that one player may make; more over two seconds are dropped, counted."""
    max_players: int = 256
    """Players in the game; further ones are refused as ``FULL``."""
    max_unjoined: int = 512
    """Connections that have not joined; further ones are closed unanswered."""
    listen_backlog: int = 4_096
    """Connections that wait in the kernel; Twisted's 50 was measured to cost a second in a rush."""
    insecure_anywhere: bool = False
    """Let an insecure server listen on addresses other machines can reach."""
    auth: tuple[str, ...] = ("anonymous",)
    """Who may join: checkers as ``--auth`` takes them: ``anonymous``, ``memory:ada,bob``."""
    duplicate: Literal["refuse", "takeover"] = "refuse"
    """A second join under a name in use: refused, or, when credentials vouch for the name, it
    replaces the first."""
    on_full: Literal["cut", "raise"] = "cut"
    """A player whose reliable queue is full: cut as ``SLOW_CONSUMER``, or ``send`` raises."""
    slow_seconds: float = 10.0
    """How long a queue may stay over its cap before the cut; at twice the cap it comes at once."""
    stop_seconds: float = 10.0
    """How long a stopping server waits for the game to return after ``ticks()`` ends."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The ``[game]`` table of the config file, for the game's own use as ``server.options``."""

    def __post_init__(self) -> None:
        # Named, because a slotted dataclass is made twice and super() would miss the second.
        CommonConfig.__post_init__(self)
        self._at_least(
            1, "max_players", "max_unjoined", "listen_backlog", "input_bits", "max_input_hz"
        )
        self._above_zero("tick_rate", "slow_seconds", "stop_seconds")
        if self.input_bits > 64:
            raise ConfigError("input_bits", "must be from 1 to 64")
        self._at_most(0xFFFF, "fits the protocol", "max_input_hz")
        self._at_most(0x7FFF_FFFF, "can be asked of a kernel", "listen_backlog")
        if self.tick_rate > 655:
            raise ConfigError("tick_rate", "at most 655 ticks a second")
        if not 0 <= self.advertised_udp_port <= 65_535:
            raise ConfigError("advertised_udp_port", "must be a port, 0 to 65535")
        listen = parse_listen(self.listen, "listen")
        if self.udp is not None:
            parse_listen(self.udp, "udp")
        if self.insecure and not self.insecure_anywhere:
            for name, where in (("listen", listen), ("udp", self.udp)):
                place = parse_listen(where, name) if isinstance(where, int | str) else where
                if place is not None and place.interface and not is_loopback(place.interface):
                    raise ConfigError(
                        name,
                        f"an insecure server may not listen on {place.interface}, which other "
                        "machines can reach; leave the interface out, or allow it with "
                        "insecure_anywhere=True (--insecure-anywhere)",
                    )

    @classmethod
    def from_file(cls, path: str | Path, **overrides: object) -> Self:
        """Read a TOML file whose keys are field names; its ``[game]`` table becomes ``options``.

        :param overrides: values that win over the file's, such as command-line flags.
        :raises ConfigError: naming the file, or the key and its nearest match.
        """
        try:
            table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError("config", f"cannot read {path}: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError("config", f"{path} is not valid TOML: {error}") from None
        options = table.pop("game", {})
        if "options" in table or "messages" in table:
            name = "options" if "options" in table else "messages"
            raise ConfigError(name, f"{path}: not a key of the file; the game's own go in [game]")
        if isinstance(table.get("auth"), list):
            table["auth"] = tuple(table["auth"])
        table["options"] = options
        return build(cls, {**table, **overrides})


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig(CommonConfig):
    """Everything a client can be told besides the address and who it is."""

    input_bits: int = 0
    """Buttons of an input; 0 takes the server's number."""
    bind_retry_seconds: float = 30.0
    """Longest pause between attempts to open the UDP path."""

    def __post_init__(self) -> None:
        CommonConfig.__post_init__(self)
        if not 0 <= self.input_bits <= 64:
            raise ConfigError("input_bits", "must be from 1 to 64, or 0 for the server's number")
        self._above_zero("bind_retry_seconds")


def build(kind: type[ConfigT], values: Mapping[str, object]) -> ConfigT:
    """Make a config from *values*, refusing unknown names with their nearest match."""
    names = [item.name for item in dataclasses.fields(kind)]
    for name in values:
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(names)}"
            raise ConfigError(name, f"no such setting{hint}")
    given: dict[str, Any] = dict(values)
    for name in ("messages", "auth"):
        if isinstance(given.get(name), list):
            given[name] = tuple(given[name])
    return kind(**given)


def check_label(name: str, text: str) -> None:
    """Refuse what cannot be put on the wire behind a one-byte length.

    :raises ConfigError: naming the field *name*.
    """
    if not isinstance(text, str):
        raise ConfigError(name, f"must be text, not {text!r}")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ConfigError(name, f"{text!r} is not text that can be sent") from None
    if size > 255:
        raise ConfigError(name, f"at most 255 bytes, not {size}")


def check_types(config: object) -> None:
    """Refuse values of the wrong type; ints are accepted where floats are asked."""
    for name, wanted in _hints(type(config)).items():
        value = getattr(config, name)
        if not _matches(value, wanted):
            raise ConfigError(name, f"must be {_spell(wanted)}, not {value!r}")


_HINTS: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    if kind not in _HINTS:
        hints = get_type_hints(kind)
        _HINTS[kind] = {item.name: hints[item.name] for item in dataclasses.fields(kind)}
    return _HINTS[kind]


def _matches(value: object, wanted: Any) -> bool:
    origin = get_origin(wanted)
    if origin is Literal:
        return value in get_args(wanted)
    if origin is tuple:
        return isinstance(value, tuple)
    if origin is Mapping or getattr(origin, "__name__", "") == "Mapping":
        return isinstance(value, Mapping)
    if get_args(wanted):
        return any(_matches(value, part) for part in get_args(wanted))
    if wanted is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if wanted is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, wanted)


def _spell(wanted: Any) -> str:
    origin = get_origin(wanted)
    if origin is Literal:
        return " or ".join(repr(choice) for choice in get_args(wanted))
    if origin is tuple:
        return "a list"
    if get_args(wanted) and origin is not Mapping and getattr(origin, "__name__", "") != "Mapping":
        return " or ".join(_spell(part) for part in get_args(wanted) if part is not type(None))
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return words.get(wanted, "a table")

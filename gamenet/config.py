"""Settings: frozen, validated at birth, every limit a field with its unit in its name.

Layer 0. Runs on: any thread.

A wrong value raises :class:`~gamenet.errors.ConfigError` naming the field before anything starts.
No limit is unlimited and none treats zero as infinite. What a server limits is in ``limits``, what
both ends can set is in ``settings``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Self

from gamenet.addresses import DEFAULT_PORT, Place, is_loopback, parse_listen
from gamenet.checks import build, check_name
from gamenet.errors import ConfigError
from gamenet.limits import ServerLimits
from gamenet.settings import CommonConfig

HIDDEN: Final = "..."
"""What stands where a value is not shown."""
_OF_SECRETS: Final = re.compile(r"auth|credential|dsn|key|pass|pwd|salt|secret|token|webhook", re.I)
"""Somewhere in the name of a game's option; a harmless one more is hidden rather than one less."""
_WHO_OF_A_URL: Final = re.compile(r"(?<=://)[^@\s]+(?=@)")
"""User and password, as in ``postgres://tag:opensesame@db/scores``."""


def shown(option: Any) -> Any:
    """Options of a game as they may be shown: without what is a secret by its name or its form."""
    if isinstance(option, Mapping):
        return {
            name: HIDDEN if _OF_SECRETS.search(str(name)) else shown(value)
            for name, value in option.items()
        }
    if isinstance(option, list | tuple):
        return [shown(value) for value in option]
    return _WHO_OF_A_URL.sub(HIDDEN, option) if isinstance(option, str) else option


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig(ServerLimits):
    """Everything a server can be told. Each field says its unit and what it does."""

    listen: int | str = DEFAULT_PORT
    """TCP: a port, ``"tcp:7777"``, ``"tcp:7777:interface=192.168.1.5"`` or ``"[::1]:7777"``; port 0
    takes a free one. Insecure servers without an interface bind only 127.0.0.1 and ::1. Or one of
    Twisted's endpoints that has TLS or a socket of its own: ``ssl:``, ``tls:``, ``systemd:``
    (``systemd:0`` and ``systemd:NAME`` for short), and ``fd:NUMBER``."""
    cert_file: str = ""
    """PEM file with the server's certificate and those that vouch for it. Read again on SIGHUP."""
    key_file: str = ""
    """PEM file with its private key, which nobody else may read. Read again on SIGHUP."""
    udp: int | str | None = None
    """UDP: a port, or ``"7777:interface=A"``; by default the TCP port and interface. Or a socket
    that is open already: ``systemd:0``, ``systemd:NAME`` or ``fd:NUMBER``."""
    advertised_udp_port: int = 0
    """The UDP port that players are told, where a port map changes it; 0 is the bound one."""
    tick_rate: float = 30.0
    """Ticks a second of the game's loop."""
    input_bits: int = 16
    """Buttons of an input, 1 to 64."""
    insecure_anywhere: bool = False
    """Let an insecure server listen on addresses other machines can reach."""
    auth: tuple[str, ...] = field(default=("anonymous",), repr=False)
    """Who may join: checkers as ``--auth`` takes them: ``anonymous``, ``memory:ada,bob``,
    ``file:PATH`` for passwords, ``ticket:PATH`` for what a backend signed."""
    duplicate: Literal["refuse", "takeover"] = "refuse"
    """A second join under a name in use: refused, or, when credentials vouch for the name, it
    replaces the first."""
    rebind: Literal["any", "same-ip", "off"] = "any"
    """Whether a player's UDP address may change while they play, as home routers and phones make it
    do: to any address, to another port of the same, or not at all."""
    on_full: Literal["cut", "raise"] = "cut"
    """A player whose reliable queue is full: cut as ``SLOW_CONSUMER``, or ``send`` raises."""
    stop_seconds: float = 10.0
    """How long a stopping server waits for the game to return after ``ticks()`` ends."""
    held_up_seconds: float = 0.1
    """The daemon only: a tick of the game or a beat of the reactor that is late by more than this
    has the log name the call that holds it up. With 0 nobody looks."""
    record_dir: str = ""
    """The daemon only: the folder that flight records are written into, when the game has raised,
    when something has failed, or by request; "" is the working directory."""
    drain_seconds: float = 300.0
    """How long players have to leave a server that is being emptied (``SIGUSR1``); then it ends."""
    beacon: str = ""
    """The name under which the server is found on the local network (``gamenet discover``), at most
    64 bytes; "" keeps it from being found. A ``GameServerFactory`` by itself has no beacon."""
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The ``[game]`` table of the config file, for the game's own use as ``server.options``."""

    def __post_init__(self) -> None:
        # Named, because a slotted dataclass is made twice and super() would miss the second.
        ServerLimits.__post_init__(self)
        self._at_least(1, "input_bits")
        self._above_zero("tick_rate", "stop_seconds", "drain_seconds")
        self._at_least(0, "held_up_seconds")
        self._at_most(3_600, "is what anybody would wait for", "held_up_seconds")
        if self.input_bits > 64:
            raise ConfigError("input_bits", "must be from 1 to 64")
        if self.tick_rate > 655:
            raise ConfigError("tick_rate", "at most 655 ticks a second")
        if not 0 <= self.advertised_udp_port <= 65_535:
            raise ConfigError("advertised_udp_port", "must be a port, 0 to 65535")
        check_name("beacon", self.beacon)
        listen = parse_listen(self.listen, "listen")
        udp = None if self.udp is None else parse_listen(self.udp, "udp")
        if udp is not None and udp.endpoint and not udp.is_descriptor:
            raise ConfigError("udp", f"{self.udp!r} is for TCP; write a port, or 7777:interface=A")
        self._check_security(listen)
        if self.insecure and not self.insecure_anywhere:
            for name, place in (("listen", listen), ("udp", udp)):
                if place is not None and place.interface and not is_loopback(place.interface):
                    raise ConfigError(
                        name,
                        f"an insecure server may not listen on {place.interface}, which other "
                        "machines can reach; leave the interface out, or allow it with "
                        "insecure_anywhere=True (--insecure-anywhere)",
                    )

    def _check_security(self, listen: Place) -> None:
        """Refuse what contradicts itself about TLS."""
        if bool(self.cert_file) != bool(self.key_file):
            missing = "key_file" if self.cert_file else "cert_file"
            raise ConfigError(missing, "a certificate and its key are given together")
        if self.insecure and self.cert_file:
            raise ConfigError("insecure", "with a certificate there is no need; leave one of both")
        if listen.has_tls and self.insecure:
            raise ConfigError("insecure", f"listen={self.listen!r} has TLS; leave one of both")
        if listen.has_tls and self.cert_file:
            raise ConfigError("cert_file", f"listen={self.listen!r} names its certificate already")

    def check_servable(self) -> None:
        """Refuse to open ports of our own with neither TLS nor the word that there is none.

        :raises ConfigError: saying how to get either.
        """
        if not (self.insecure or self.cert_file or parse_listen(self.listen, "listen").has_tls):
            raise ConfigError(
                "",
                "players' traffic needs a certificate: make one with 'gamenet cert' and give it "
                "with --cert gamenet-cert.pem --key gamenet-key.pem (cert_file=, key_file=); or, "
                "to try things out on this machine only, say --insecure (insecure=True)",
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
        except (ValueError, RecursionError) as error:  # tomllib's own is one of the former
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
    ca_file: str = ""
    """PEM file of the authorities to trust instead of the system's. An address with a pin needs
    none."""
    bind_retry_seconds: float = 30.0
    """Longest pause between attempts to open the UDP path."""
    redial_first_seconds: float = 0.25
    """Pause before the first attempt to get a lost connection back; each next one is longer."""
    redial_longest_seconds: float = 5.0
    """The longest such pause. The attempts end when the server's ``resume_seconds`` are over."""
    rejoin: bool = False
    """When the session is lost for good, because the server was restarted or was away for too
    long: join anew by itself, as another player, for as long again. A ticket cannot be used twice,
    so who has joined with one cannot."""

    def __post_init__(self) -> None:
        CommonConfig.__post_init__(self)
        if not 0 <= self.input_bits <= 64:
            raise ConfigError("input_bits", "must be from 1 to 64, or 0 for the server's number")
        self._above_zero("bind_retry_seconds", "redial_first_seconds", "redial_longest_seconds")
        if self.redial_longest_seconds < self.redial_first_seconds:
            raise ConfigError("redial_longest_seconds", "must not be below redial_first_seconds")
        if self.insecure and self.ca_file:
            raise ConfigError("insecure", "authorities to trust are for TLS; leave one of both")

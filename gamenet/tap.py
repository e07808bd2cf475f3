"""The daemon: what ``twistd gamenet`` runs.

Layer 4. Runs on: the main thread, which the reactor has in a daemon.

Whatever cannot be is refused before anything starts, with one line on standard error and exit
status 1. A game that raises ends the process with status 1 as well.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tomllib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twisted.logger import Logger
from twisted.python import usage

from gamenet._version import __version__
from gamenet.addresses import parse_listen
from gamenet.auth import AuthOptions, make_portal, public
from gamenet.checks import build
from gamenet.config import ServerConfig, shown
from gamenet.daemon import Daemon, Plan, care_for_exit_status, refuse
from gamenet.entrance import entrance
from gamenet.errors import ConfigError
from gamenet.game import load_game, settings_of
from gamenet.gate import files_for, raise_open_files
from gamenet.log_format import choose, observer
from gamenet.metrics.guard import read_access
from gamenet.record_folder import RecordFolder
from gamenet.threads import use_monotonic_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

log = Logger()

DEMO: Final = "gamenet.demo.game:main"
"""The game where none is named."""
NOT_FIELDS: Final = frozenset(
    {
        *("app-dir", "check-config", "config", "game", "help", "help-auth", "log-format"),
        *("status", "status-host", "status-token", "version"),
    }
)
"""The flags that are no :class:`~gamenet.config.ServerConfig` field; every other one is."""

_NUMBERS: Final[dict[str, Callable[[str], float]]] = {
    "tick-rate": float,
    "max-players": int,
    "stop-seconds": float,
    "drain-seconds": float,
}
_RENAMED: Final = {"cert": "cert_file", "key": "key_file"}
"""Flags that are shorter than the names of their fields."""


class Options(AuthOptions, usage.Options):
    """The command line of ``twistd gamenet``."""

    synopsis = "--cert FILE --key FILE | --insecure [--game MODULE:ATTRIBUTE] [options]"
    longdesc = (
        "Run a game server. A flag wins over the config file, the file over what the game says "
        "about itself, and that over the default; the file knows more settings, every limit among "
        "them. Without --game the demo's game runs: try gamenet cert, which says how to go on, or, "
        "on this machine only, twistd -n gamenet --insecure and then gamenet bots localhost "
        "--insecure. SIGHUP has the config file, the certificate and the key read again."
    )
    optFlags: Sequence[Sequence[str | None]] = [
        ["insecure", None, "Play over plain TCP, on this machine only."],
        ["insecure-anywhere", None, "Let --insecure listen where other machines can reach it."],
        ["check-config", None, "Print the settings in force, one a line, and exit."],
    ]
    optParameters: Sequence[Sequence[str | None]] = [
        ["game", "g", DEMO, "What to run: MODULE:ATTRIBUTE, a function or a Game."],
        [
            "listen",
            None,
            None,
            "TCP: [tcp:]PORT[:interface=IP], ssl: tls: systemd: fd: [default: 7777]",
        ],
        ["udp", None, None, "UDP: PORT[:interface=IP], systemd: fd: [default: as --listen]"],
        ["cert", None, None, "PEM file with the certificate, and those that vouch for it."],
        ["key", None, None, "PEM file with its private key, which nobody else may read."],
        ["tick-rate", None, None, "Ticks of the game a second. [default: 30]"],
        ["max-players", None, None, "Players in the game. [default: 256]"],
        ["duplicate", None, None, "A second join of a name: refuse or takeover. [default: refuse]"],
        ["rebind", None, None, "UDP addresses may change to: any, same-ip, off. [default: any]"],
        ["stop-seconds", None, None, "How long the game may take to stop. [default: 10]"],
        ["drain-seconds", None, None, "What players have to leave on SIGUSR1. [default: 300]"],
        ["beacon", None, None, "Be found on the local network under this name. [default: off]"],
        ["status", None, None, "Serve the live page and /metrics: tcp:PORT[:interface=ADDRESS]."],
        ["status-token", None, None, "File with the token that the page's actions need."],
        ["status-host", None, None, "Names that lead to the page, as behind a proxy: NAME[,NAME]."],
        ["config", "c", None, "A TOML file; its keys are the names of settings."],
        ["record-dir", None, None, "Where flight records go. [default: working directory]"],
        ["log-format", None, None, "Lines of the log: text or json. [default: text]"],
        ["app-dir", None, ".", "Where the game's module is looked for first."],
    ]
    compData = usage.Completions(
        optActions={
            "app-dir": usage.CompleteDirs(),
            "auth": usage.CompleteList(["anonymous", "memory:", "file:", "ticket:"]),
            "cert": usage.CompleteFiles("*.pem"),
            "config": usage.CompleteFiles("*.toml"),
            "duplicate": usage.CompleteList(["refuse", "takeover"]),
            "key": usage.CompleteFiles("*.pem"),
            "record-dir": usage.CompleteDirs(),
            "log-format": usage.CompleteList(["text", "json"]),
            "rebind": usage.CompleteList(["any", "same-ip", "off"]),
            "status-token": usage.CompleteFiles(),
        }
    )
    plan: Plan
    """The outcome, once the command line is read."""

    def opt_version(self) -> None:
        """Print the version, and exit."""
        print(f"gamenet {__version__}")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Called by ``twistd``; ends the process in one line when it cannot run this."""
        try:
            super().parseOptions(options)
        except (usage.UsageError, ConfigError) as error:
            refuse(str(error))

    def parseArgs(self, *arguments: str) -> None:
        """Everything is a flag."""
        if arguments:
            raise usage.UsageError(f"unexpected argument {arguments[0]!r}; see --help")

    def postOptions(self) -> None:
        """Find the game, and settle its settings."""
        folder = os.path.abspath(self["app-dir"])
        if not os.path.isdir(folder):
            raise ConfigError("app-dir", f"{self['app-dir']!r} is not a directory")
        if folder not in sys.path[:1]:
            sys.path.insert(0, folder)
        care_for_exit_status()
        self.plan = self._settle()
        if self["check-config"]:
            for line in effective(self.plan):
                print(line)
            raise SystemExit(0)

    def _settle(self) -> Plan:
        """:raises ConfigError: whatever is wrong first."""
        status = self["status"]
        place = None if status is None else parse_listen(status, "status")
        if place is not None and place.endpoint:
            raise ConfigError(
                "status", f"{status!r} is not served; write a port: tcp:9777[:interface=ADDRESS]"
            )
        if place is not None and not place.interface:
            place.interface = "127.0.0.1"
        log_format = choose(self["log-format"], self.parent)
        if log_format is not None and self.parent and "fileLogObserverFactory" in self.parent:
            # ``twist`` has no application to ask for a log, but this.
            self.parent["fileLogObserverFactory"] = partial(observer, log_format)
        access = read_access(self["status-host"], self["status-token"], is_served=place is not None)
        game = load_game(self["game"])
        config = self._config(settings_of(game))
        RecordFolder(config.record_dir).check()
        entrance(config, None)  # says now what is wrong with a certificate
        portal = make_portal(config.auth, config)
        reread = None
        if self["config"] is not None:
            # Absolute, because a daemon may change its working directory before it is read again.
            self["config"] = os.path.abspath(self["config"])
            reread = partial(self._config, settings_of(game))
        return Plan(self["game"], game, config, portal, place, reread, log_format, access)

    def _config(self, own: Mapping[str, Any]) -> ServerConfig:
        """Flags over the file over the game's *own* settings over the defaults."""
        flags = self.flags()
        path = self["config"]
        if path is None:
            return build(ServerConfig, {**own, **flags})
        if not path:
            raise ConfigError("config", "'' does not name a file; leave it out, or name one")
        try:
            in_file = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            in_file = {}  # from_file says what is wrong with it
        beneath = {name: value for name, value in own.items() if name not in in_file}
        return ServerConfig.from_file(path, **{**beneath, **flags})

    def flags(self) -> dict[str, Any]:
        """The settings that the command line gives, by the names of their fields.

        :raises ConfigError: if a number is none.
        """
        given: dict[str, Any] = {}
        for flag, value in self.items():
            # Twisted has 0 for a flag that is not given, and None stands for other defaults here.
            if flag in NOT_FIELDS or value is None or value == 0:
                continue
            name = _RENAMED.get(flag) or flag.replace("-", "_")
            if flag in _NUMBERS:
                try:
                    given[name] = _NUMBERS[flag](value)
                except ValueError:
                    kind = "whole number" if _NUMBERS[flag] is int else "number"
                    raise ConfigError(name, f"must be a {kind}, not {value!r}") from None
            elif flag == "auth":
                given[name] = tuple(value)
            else:
                given[name] = True if value == 1 else value
        return given


def effective(plan: Plan) -> list[str]:
    """The settings in force, a line each, without secrets: it may end in a log or a forum."""
    lines = [
        f"game = {json.dumps(plan.path)}",
        f"status = {_spell(plan.status and repr(plan.status))}",
        f"status_host = {_spell(sorted(plan.access.hosts))}",
        f"status_actions = {_spell(bool(plan.access.token))}",
        f"log_format = {_spell(plan.log_format)}",
    ]
    for item in dataclasses.fields(plan.config):
        value = getattr(plan.config, item.name)
        if item.name == "messages":
            value = [message.__qualname__ for message in value]
        elif item.name == "auth":
            value = [public(description) for description in value]
        elif item.name == "options":
            value = shown(value)
        lines.append(f"{item.name} = {_spell(value)}")
    return lines


def _spell(value: object) -> str:
    return "none" if value is None else json.dumps(value, ensure_ascii=False, default=str)


def makeService(options: Options, reactor: Any = None) -> Daemon:
    """Called by ``twistd`` for the service to run.

    :param options: as parsed.
    :param reactor: None is the one that runs.
    """
    if reactor is None:
        from twisted.internet import reactor
    config = options.plan.config
    raise_open_files(files_for(config))
    if config.monotonic_clock:
        use_monotonic_clock(reactor)
    try:
        return Daemon(options.plan, options.parent, reactor)
    except ConfigError as error:
        # A file that was in order a moment ago.
        refuse(str(error))

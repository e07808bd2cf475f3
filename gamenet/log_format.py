"""The log as lines of JSON, for machines that collect logs.

Layer 4. Runs on: any thread that logs.

Each event is one object on one line, in pure ASCII: nothing that a name holds can break out of a
string, begin another line or upset a terminal. Its keys are ``time`` (ISO 8601, UTC), ``level``,
``namespace``, ``message``, for a failure ``traceback``, and then what the event was logged with, as
far as it is a number, a word, true, false or nothing.
"""

from __future__ import annotations

import json
import math
import sys
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TextIO, cast

from twisted.logger import FileLogObserver, formatEvent, textFileLogObserver
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile

from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twisted.logger import ILogObserver, LogEvent

Format = Literal["text", "json"]
FORMATS: Final = ("text", "json")
OWN: Final = frozenset({"time", "level", "namespace", "message", "traceback"})
"""Keys that an event cannot give another meaning."""
_LEGACY: Final = frozenset({"isError", "system", "format", "failure", "why", "printed"})
"""What Twisted's older log puts into every event, for itself."""
MAX_INT: Final = 1 << 63
"""Larger whole numbers are not what other readers of JSON can take."""


def json_line(event: LogEvent) -> str:
    """One event of Twisted's log as a line."""
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    fields: dict[str, Any] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": getattr(event.get("log_level"), "name", "info"),
        "namespace": str(event.get("log_namespace", "")),
        "message": formatEvent(event),
    }
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        fields["traceback"] = failure.getTraceback()
    for name, value in event.items():
        if name.startswith("log_") or name in OWN or name in _LEGACY:
            continue
        known, simple = _simple(value)
        if known:
            fields[name] = simple
    return json.dumps(fields, allow_nan=False) + "\n"


def _simple(value: object) -> tuple[bool, object]:
    """Whether JSON has such a value, and the value."""
    if isinstance(value, Enum):
        return True, value.name
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return True, value
    if kind is int:
        return abs(cast("int", value)) < MAX_INT, value
    return kind is float and math.isfinite(cast("float", value)), value


def observer(form: Format, stream: TextIO) -> ILogObserver:
    """What writes the log to *stream*."""
    if form == "json":
        return FileLogObserver(stream, json_line)
    return textFileLogObserver(stream)


def choose(form: str | None, twistd: Any) -> Format | None:
    """What ``--log-format`` says, where it can be had.

    :param twistd: the options of ``twistd`` itself, or None.
    :raises ConfigError: if not.
    """
    if form is None:
        return None
    if form not in FORMATS:
        raise ConfigError("log_format", f"must be text or json, not {form!r}")
    for name in ("logger", "syslog"):
        if twistd is not None and twistd.get(name):
            raise ConfigError("log_format", f"twistd's --{name} has a format of its own; leave one")
    return cast("Format", form)


def twistd_stream(twistd: Mapping[str, Any]) -> TextIO:
    """Where ``twistd`` writes its log: as its own flags and defaults say.

    :raises ConfigError: if that is not possible.
    """
    name = twistd.get("logfile") or ""
    # On Windows there is no other place, and no such flag.
    in_foreground = bool(twistd.get("nodaemon", True))
    if in_foreground and name in ("", "-"):
        return sys.stdout
    if name == "-":
        raise ConfigError("logfile", "a daemon has no standard output; name a file, or add -n")
    try:
        return cast("TextIO", LogFile.fromFullPath(name or "twistd.log"))
    except OSError as error:
        raise ConfigError(
            "logfile", f"cannot write {name or 'twistd.log'}: {error.strerror}"
        ) from None

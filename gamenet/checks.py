"""What makes a settings class refuse wrong values: their types, and names that do not exist.

Layer 0. Runs on: any thread.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeVar, get_args, get_origin, get_type_hints

from gamenet.errors import ConfigError

SettingsT = TypeVar("SettingsT")
MAX_NAME_BYTES: Final = 64
"""Of the name that a server is found by."""


def build(kind: type[SettingsT], values: Mapping[str, object]) -> SettingsT:
    """Make a config from *values*, refusing unknown names with their nearest match."""
    names = [item.name for item in dataclasses.fields(kind)]  # type: ignore[arg-type]
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


def check_name(name: str, text: str) -> None:
    """Refuse what others cannot be shown as the name of a server; "" is none, and allowed.

    :raises ConfigError: naming the field *name*.
    """
    check_label(name, text)
    if len(text.encode()) > MAX_NAME_BYTES:
        raise ConfigError(name, f"a name to show has at most {MAX_NAME_BYTES} bytes")
    if not text.isprintable() or text != text.strip():
        raise ConfigError(
            name, f"{text!r} is not a name to show: it has a space at its end, or what is not seen"
        )


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

"""Everything that an object holds, as one text: equal texts, equal state."""

from __future__ import annotations

from typing import Any

from gamenet.config import ServerConfig
from gamenet.core.counters import Counters
from gamenet.core.turn import Turn

SHARED = (Counters, ServerConfig, Turn)
"""What a session refers to and does not own: the host's."""


def state_of(found: Any, seen: frozenset[int] = frozenset()) -> str:
    """*found* and all that it owns, written out; what it shares with others is left out."""
    if isinstance(found, SHARED):
        return type(found).__name__
    if found is None or isinstance(found, bool | int | float | str | bytes | bytearray):
        return repr(found)
    if id(found) in seen:
        return "..."
    seen |= {id(found)}
    if isinstance(found, dict):
        inside = [f"{state_of(key, seen)}: {state_of(found[key], seen)}" for key in found]
    elif isinstance(found, set | frozenset):
        inside = sorted(state_of(each, seen) for each in found)
    elif hasattr(found, "__iter__"):
        inside = [state_of(each, seen) for each in found]
    elif type(found).__module__.startswith("gamenet."):
        inside = [
            f"{name}={state_of(getattr(found, name), seen)}" for name in sorted(_names(found))
        ]
    else:
        inside = [str(id(found))]
    return f"{type(found).__name__}({', '.join(inside)})"


def _names(found: Any) -> set[str]:
    names = set(getattr(found, "__dict__", ()))
    for kind in type(found).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update((slots,) if isinstance(slots, str) else slots)
    return {name for name in names if name != "__weakref__" and hasattr(found, name)}

"""What a field of a snapshot may be, and how its values become unsigned numbers and back.

Layer 0. Runs on: any thread; pure functions. :mod:`gamenet.snapshot` puts the numbers on the wire.

Quantising to a range is the practice of Glenn Fiedler, "Snapshot Compression" (2015).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from gamenet.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_ROWS: Final = 0xFFFF
MAX_SCALED_BITS: Final = 32
MIN_STEP_ULPS: Final = 1024
"""A step must be so many times what a float can tell apart, or rounding would eat into it."""
SPANS: Final = (1e-100, 1e100)
"""Ranges whose arithmetic neither overflows nor goes subnormal."""

_CODES: Final = ((8, "B"), (16, "H"), (32, "I"), (64, "Q"))


class Whole:
    """A whole number from 0 to ``2 ** bits - 1``: ``id: Annotated[int, Whole(32)]``.

    :param bits: 1 to 64; it travels in 1, 2, 4 or 8 bytes.
    """

    __slots__ = ("bits",)

    def __init__(self, bits: int) -> None:
        _check_bits("Whole", bits, 64)
        self.bits = bits


class Scaled:
    """A float in a range, rounded to one of ``2 ** bits`` values; both ends are exact.

    :param low: the lowest value allowed.
    :param high: the highest.
    :param bits: 1 to 32; the rounding error is at most ``(high - low) / (2 ** bits - 1) / 2``.
    """

    __slots__ = ("bits", "high", "low")

    def __init__(self, low: float, high: float, *, bits: int) -> None:
        _check_bits("Scaled", bits, MAX_SCALED_BITS)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise ConfigError("Scaled", f"{low!r} to {high!r} is no range; give low < high")
        span = high - low
        step = span / ((1 << bits) - 1)
        if not SPANS[0] <= span <= SPANS[1] or step < MIN_STEP_ULPS * math.ulp(
            max(abs(low), abs(high))
        ):
            raise ConfigError(
                "Scaled",
                f"a float cannot hold the steps of {low!r} to {high!r} in {bits} bits; "
                "use fewer bits or a range nearer to zero",
            )
        self.bits = bits
        self.low = float(low)
        self.high = float(high)


class Rows:
    """A list of rows: ``heroes: Annotated[list[Hero], Rows(64)]``; a tuple works as well.

    :param limit: 1 to 65,535; more rows than this are refused on both sides.
    """

    __slots__ = ("limit",)

    def __init__(self, limit: int) -> None:
        if type(limit) is not int or not 1 <= limit <= MAX_ROWS:
            raise ConfigError("Rows", f"{limit!r} is no limit; give 1 to {MAX_ROWS}")
        self.limit = limit


def _check_bits(what: str, bits: object, most: int) -> None:
    if type(bits) is not int or not 1 <= bits <= most:
        raise ConfigError(what, f"{bits!r} is no number of bits; give 1 to {most}")


class Column(NamedTuple):
    """How one field becomes unsigned numbers and back."""

    name: str
    code: str
    top: int
    """The highest number that may travel."""
    range: str
    quantise: Callable[[list[Any]], list[int]]
    """Leaves out what is not allowed, so the caller must compare lengths."""
    restore: Callable[[Sequence[int]], Sequence[Any]]


def column_for(name: str, kind: object, marks: list[object]) -> Column | None:
    """How a scalar field travels; None if it is none.

    :param kind: the type that it is annotated with.
    :param marks: what stands beside the type in ``Annotated``.
    """
    match marks:
        case [] if kind is bool:
            return Column(name, "B", 1, "True or False", _from_flags, _to_flags)
        case [Whole(bits=bits)] if kind is int:
            top = (1 << bits) - 1
            text = f"a whole number from 0 to {top}"
            return Column(name, _code(bits), top, text, _from_whole(top), _same)
        case [Scaled(bits=bits) as scale] if kind is float:
            top = (1 << bits) - 1
            text = f"a number from {scale.low!r} to {scale.high!r}"
            restore = _to_scaled(scale, top)
            return Column(name, _code(bits), top, text, _from_scaled(scale, top), restore)
    return None


def _code(bits: int) -> str:
    return next(code for most, code in _CODES if bits <= most)


def _same(numbers: Sequence[int]) -> Sequence[int]:
    return numbers


def _from_whole(top: int) -> Callable[[list[Any]], list[int]]:
    return lambda values: [v for v in values if type(v) is int and 0 <= v <= top]


def _from_flags(values: list[Any]) -> list[int]:
    return [int(v) for v in values if v is True or v is False]


def _to_flags(numbers: Sequence[int]) -> list[bool]:
    return list(map(bool, numbers))


def _from_scaled(scale: Scaled, top: int) -> Callable[[list[Any]], list[int]]:
    low, high, factor = scale.low, scale.high, top / (scale.high - scale.low)
    return lambda values: [int((v - low) * factor + 0.5) for v in values if low <= v <= high]


def _to_scaled(scale: Scaled, top: int) -> Callable[[Sequence[int]], list[float]]:
    low, high, step = scale.low, scale.high, (scale.high - scale.low) / top
    return lambda numbers: [low + n * step if n != top else high for n in numbers]

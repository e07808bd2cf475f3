"""World states with a schema: typed fields, quantised and packed by precompiled structs.

Layer 0. Runs on: any thread.

A snapshot's scalar fields come first, then for each list its count and its rows, column by column:
a column that did not change since the last state is one run of zeros in a byte-level XOR delta.
Quantising to a range is the practice of Glenn Fiedler, "Snapshot Compression" (2015).
"""

from __future__ import annotations

import inspect
import math
import struct
import typing
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

from gamenet.errors import ConfigError, LocalProtocolError, WireError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

# SNAPSHOT   scalar fields in order of declaration | for each list: u16 count | its columns in
#            order of declaration, each of them count values; all values are unsigned, a bool is
#            0 or 1, a Scaled its step from the low end
COUNT: Final = struct.Struct("!H")
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


class _Column(NamedTuple):
    """How one field becomes unsigned numbers and back."""

    name: str
    code: str
    top: int
    """The highest number that may travel."""
    range: str
    quantise: Callable[[list[Any]], list[int]]
    """Leaves out what is not allowed, so the caller must compare lengths."""
    restore: Callable[[Sequence[int]], Sequence[Any]]


class _Table(NamedTuple):
    """One list field."""

    name: str
    limit: int
    kind: type[Snapshot]
    container: type[list[Any]] | type[tuple[Any, ...]]


class _Plan(NamedTuple):
    """What a snapshot class declares."""

    columns: tuple[_Column, ...]
    codes: str
    tables: tuple[_Table, ...]
    arrange: tuple[int, ...]
    """For each field of the constructor, its place in scalars followed by lists."""


class Snapshot(msgspec.Struct, frozen=True):
    """Base of world states: ``class View(Snapshot, frozen=True): time: Annotated[int, Whole(32)]``.

    A field is a ``bool``, an ``int`` with :class:`Whole`, a ``float`` with :class:`Scaled`, or a
    list or tuple of another snapshot class with :class:`Rows`.

    :raises ConfigError: when the class is created, for a field that is none of these; when it is
        first used, if a name in an annotation could not be resolved before.
    """

    _plan: ClassVar[Any] = None

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__()
        cls._plan = None
        try:
            _fields(cls)
        except NameError:
            pass  # An annotation that names what is declared later; the first use tries again.

    def encode(self) -> bytes:
        """The bytes of this state.

        :raises LocalProtocolError: for a value out of its range, or too many rows.
        """
        plan: _Plan = self._plan or _plan_of(type(self))
        parts = [_encode_block(plan, [self])]
        for name, limit, kind, _ in plan.tables:
            rows = getattr(self, name)
            count = len(rows)
            if count > limit:
                raise LocalProtocolError(
                    f"{type(self).__name__}.{name} has {count} rows and may have {limit}; "
                    "send fewer or raise the limit of Rows on both sides"
                )
            parts.append(COUNT.pack(count))
            if count:
                if set(map(type, rows)) != {kind}:
                    raise LocalProtocolError(
                        f"{type(self).__name__}.{name} holds something else than {kind.__name__}"
                    )
                parts.append(_encode_block(kind._plan or _plan_of(kind), rows))
        return b"".join(parts)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The state in *data*.

        :raises WireError: for anything that :meth:`encode` would not have produced.
        """
        plan: _Plan = cls._plan or _plan_of(cls)
        columns, offset = _decode_block(plan, data, 0, 1)
        values: list[Any] = [column[0] for column in columns]
        for _, limit, kind, container in plan.tables:
            if len(data) - offset < COUNT.size:
                raise WireError("snapshot ends early")
            (count,) = COUNT.unpack_from(data, offset)
            offset += COUNT.size
            if count > limit:
                raise WireError(f"snapshot with {count} rows where {limit} are allowed")
            rows_plan: _Plan = kind._plan or _plan_of(kind)
            columns, offset = _decode_block(rows_plan, data, offset, count)
            values.append(container(_build(kind, columns)))
        if offset != len(data):
            raise WireError("snapshot with bytes to spare")
        made: Self = _build(cls, [[values[place]] for place in plan.arrange])[0]
        return made


S = TypeVar("S", bound=Snapshot)


def _build(kind: type[S], columns: Sequence[Sequence[Any]]) -> list[S]:
    """One object for each row."""
    try:
        return list(map(kind, *columns))
    except Exception as error:
        # A peer's bytes caused it: the game's own __post_init__ runs in here.
        raise WireError(f"snapshot refused by {kind.__name__}: {error!r}") from None


@lru_cache(maxsize=1024)
def _block(codes: str, count: int) -> struct.Struct:
    return struct.Struct("!" + "".join(f"{count}{code}" for code in codes))


def _encode_block(plan: _Plan, rows: Sequence[Snapshot]) -> bytes:
    """The columns of *rows*, one after the other."""
    count = len(rows)
    flat: list[int] = []
    for column in plan.columns:
        values = list(map(attrgetter(column.name), rows))
        try:
            numbers = column.quantise(values)
        except TypeError:
            numbers = []
        if len(numbers) != count:
            raise _refusal(type(rows[0]), column, values)
        flat += numbers
    return _block(plan.codes, count).pack(*flat)


def _refusal(kind: type, column: _Column, values: list[Any]) -> LocalProtocolError:
    """Which value it is, and what would be right."""
    for value in values:
        try:
            if column.quantise([value]):
                continue
        except TypeError:
            pass
        return LocalProtocolError(
            f"{kind.__name__}.{column.name} is {value!r} and must be {column.range}"
        )
    raise AssertionError("a value was refused in company and taken alone")


def _decode_block(
    plan: _Plan, data: bytes, offset: int, count: int
) -> tuple[list[Sequence[Any]], int]:
    """:returns: the columns of *count* rows at *offset*, and where they end."""
    block = _block(plan.codes, count)
    end = offset + block.size
    if end > len(data):
        raise WireError("snapshot ends early")
    flat = block.unpack_from(data, offset)
    columns: list[Sequence[Any]] = []
    start = 0
    for column in plan.columns:
        numbers = flat[start : start + count]
        start += count
        if count and max(numbers) > column.top:
            raise WireError(f"snapshot with {column.name} out of range")
        columns.append(column.restore(numbers))
    return columns, end


def _fields(cls: type[Snapshot]) -> dict[str, _Column | _Table]:
    """What each annotation of *cls* says.

    :raises NameError: if one cannot be resolved yet.
    """
    found: dict[str, _Column | _Table] = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if typing.get_origin(hint) is not ClassVar:
            found[name] = _field(cls, name, hint)
    return found


def _field(cls: type[Snapshot], name: str, hint: Any) -> _Column | _Table:
    where = f"{cls.__name__}.{name}"
    if hint is bool:
        return _Column(name, "B", 1, "True or False", _from_flags, _to_flags)
    kind, *marks = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    match kind, marks:
        case type(), [Whole(bits=bits)] if kind is int:
            top = (1 << bits) - 1
            text = f"a whole number from 0 to {top}"
            return _Column(name, _code(bits), top, text, _from_whole(top), _same)
        case type(), [Scaled() as scale] if kind is float:
            top = (1 << scale.bits) - 1
            text = f"a number from {scale.low!r} to {scale.high!r}"
            return _Column(
                name, _code(scale.bits), top, text, _from_scaled(scale, top), _to_scaled(scale, top)
            )
        case _, [Rows(limit=limit)]:
            container = typing.get_origin(kind)
            arguments = typing.get_args(kind)
            if (container is list and len(arguments) == 1) or (
                container is tuple and len(arguments) == 2 and arguments[1] is Ellipsis
            ):
                row = arguments[0]
                if isinstance(row, type) and issubclass(row, Snapshot):
                    if _holds_rows(row):
                        raise ConfigError(
                            where, f"{row.__name__} has a list of its own; rows hold scalars only"
                        )
                    return _Table(name, limit, row, container)
            raise ConfigError(where, "Rows goes with list[Row] or tuple[Row, ...] of a Snapshot")
    raise ConfigError(
        where,
        f"{hint!r} has no place on the wire; use bool, Annotated[int, Whole(bits)], "
        "Annotated[float, Scaled(low, high, bits=...)] or Annotated[list[Row], Rows(limit)]",
    )


def _holds_rows(cls: type[Snapshot]) -> bool:
    hints = typing.get_type_hints(cls, include_extras=True).values()
    return any(isinstance(mark, Rows) for it in hints for mark in getattr(it, "__metadata__", ()))


def _plan_of(cls: type[Snapshot]) -> _Plan:
    """Resolve, check and keep what *cls* declares."""
    try:
        fields = _fields(cls)
    except NameError as error:
        raise ConfigError(
            cls.__name__,
            f"an annotation cannot be resolved: {error}; declare or import that name at module "
            "level and outside of TYPE_CHECKING",
        ) from None
    if not fields:
        raise ConfigError(cls.__name__, "no fields; declare at least one")
    kinds = inspect.signature(cls).parameters.values()
    if any(it.kind is inspect.Parameter.KEYWORD_ONLY for it in kinds):
        raise ConfigError(cls.__name__, "a snapshot cannot be kw_only; leave that out")
    ordered = [fields[name] for name in cls.__struct_fields__]
    columns = tuple(it for it in ordered if isinstance(it, _Column))
    tables = tuple(it for it in ordered if isinstance(it, _Table))
    names = [it.name for it in columns] + [it.name for it in tables]
    arrange = tuple(names.index(name) for name in cls.__struct_fields__)
    plan = _Plan(columns, "".join(it.code for it in columns), tables, arrange)
    cls._plan = plan
    return plan


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

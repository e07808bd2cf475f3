"""World states with a schema: typed fields, quantised and packed by precompiled structs.

Layer 0. Runs on: any thread.

A snapshot's scalar fields come first, then for each list its count and its rows, column by column:
a column that did not change since the last state is one run of zeros in a byte-level XOR delta.
What a field may be is in :mod:`gamenet.columns`.
"""

from __future__ import annotations

import inspect
import struct
import typing
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, NamedTuple, TypeVar

import msgspec

from gamenet.columns import Column, Rows, Scaled, Whole, column_for
from gamenet.errors import ConfigError, LocalProtocolError, WireError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

__all__ = ["Rows", "Scaled", "Snapshot", "Whole"]

# SNAPSHOT   scalar fields in order of declaration | for each list: u16 count | its columns in
#            order of declaration, each of them count values; all values are unsigned, a bool is
#            0 or 1, a Scaled its step from the low end
COUNT: Final = struct.Struct("!H")


class _Table(NamedTuple):
    """One list field."""

    name: str
    limit: int
    kind: type[Snapshot]
    container: type[list[Any]] | type[tuple[Any, ...]]


class _Plan(NamedTuple):
    """What a snapshot class declares."""

    columns: tuple[Column, ...]
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


def _refusal(kind: type, column: Column, values: list[Any]) -> LocalProtocolError:
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


def _fields(cls: type[Snapshot]) -> dict[str, Column | _Table]:
    """What each annotation of *cls* says.

    :raises NameError: if one cannot be resolved yet.
    """
    found: dict[str, Column | _Table] = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        if typing.get_origin(hint) is not ClassVar:
            found[name] = _field(cls, name, hint)
    return found


def _field(cls: type[Snapshot], name: str, hint: Any) -> Column | _Table:
    where = f"{cls.__name__}.{name}"
    kind, *marks = typing.get_args(hint) if typing.get_origin(hint) is Annotated else (hint,)
    scalar = column_for(name, kind, marks)
    if scalar is not None:
        return scalar
    match marks:
        case [Rows(limit=limit)]:
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
    columns = tuple(it for it in ordered if isinstance(it, Column))
    tables = tuple(it for it in ordered if isinstance(it, _Table))
    names = [it.name for it in columns] + [it.name for it in tables]
    arrange = tuple(names.index(name) for name in cls.__struct_fields__)
    plan = _Plan(columns, "".join(it.code for it in columns), tables, arrange)
    cls._plan = plan
    return plan

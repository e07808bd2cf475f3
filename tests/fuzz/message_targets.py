"""Typed messages, as msgspec reads them."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import msgspec

from gamenet.errors import WireError
from gamenet.messages import Codec, Degrees, Fraction, Message, Unit
from tests.fuzz.harness import Meter, Target, check

if TYPE_CHECKING:
    from collections.abc import Iterable


class Weapon(enum.Enum):
    """A choice of strings."""

    SWORD = "sword"
    BOW = "bow"


class Point(msgspec.Struct, array_like=True):
    """A record inside a message."""

    x: float
    y: float


class Move(Message):
    """The plainest."""

    dx: Unit
    dy: Unit = 0.0


class Hit(Message):
    """A message of every kind of field."""

    target: int
    damage: Annotated[int, msgspec.Meta(ge=0, le=100)]
    weapon: Weapon
    where: Point
    health: Fraction
    angle: Degrees
    note: Annotated[str, msgspec.Meta(max_length=20)]
    tags: frozenset[str]
    path: list[Point]
    owner: str | None = None
    when: datetime.datetime | None = None
    price: decimal.Decimal | None = None
    item: uuid.UUID | None = None
    mode: Literal["fast", "slow"] = "fast"
    raw: bytes = b""
    children: dict[str, Move] = msgspec.field(default_factory=dict)


class Tree(Message):
    """One that holds itself."""

    children: list[Tree]


class Anything(Message):
    """What no bound protects."""

    value: Any


class Picky(Message):
    """One whose own check raises what no decoder would."""

    value: int

    def __post_init__(self) -> None:
        if self.value == 1:
            raise KeyError("one")
        if self.value == 2:
            raise ZeroDivisionError


MESSAGES: Final = (Move, Hit, Tree, Anything, Picky)


class MessageTarget(Target):
    """One message of a game that declares all kinds of them."""

    name = "message"

    def __init__(self) -> None:
        self._codec = Codec(MESSAGES)

    def seeds(self) -> Iterable[bytes]:
        here = Point(1.0, -2.5)
        hit = Hit(7, 100, Weapon.BOW, here, 0.5, -360.0, "ouch", frozenset({"a", "b"}), [here])
        full = msgspec.structs.replace(
            hit,
            owner="ada",
            when=datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
            price=decimal.Decimal("1.50"),
            item=uuid.UUID(int=5),
            mode="slow",
            raw=b"\0\xff",
            children={"first": Move(0.5, -0.5)},
        )
        tree = Tree([Tree([]), Tree([Tree([])])])
        for message in (Move(0.5, -1.0), hit, full, tree, Anything({"a": [1, None]}), Picky(3)):
            yield self._codec.encode(message)
        for raw in (["Move", 1.5, 0.0], ["Move", float("nan"), 0.0], ["Picky", 1], ["Picky", 2]):
            yield msgspec.msgpack.encode(raw)
        yield b"\x92\xa4Tree" * 300
        yield b"\x92\xa8Anything" + b"\x91" * 600 + b"\xc0"
        yield b"\x92\xa8Anything\xdd\xff\xff\xff\xff"
        yield b"\x92\xa8Anything\xc6\xff\xff\xff\xff"
        yield b"\x92\xa8Anything\xd6\xff\xff\xff\xff\xff"

    def run(self, data: bytes, meter: Meter) -> None:
        try:
            message = meter(self._codec.decode, data)
        except WireError as error:
            str(error)
            return
        check(type(message) in MESSAGES, "something else than was declared", type(message))
        if isinstance(message, Move):
            check(-1.0 <= message.dx <= 1.0 and -1.0 <= message.dy <= 1.0, "out of bounds", message)
        if isinstance(message, Hit):
            check(0 <= message.damage <= 100 and len(message.note) <= 20, "out of bounds", message)
            check(0.0 <= message.health <= 1.0, "out of bounds", message)
        if isinstance(message, Anything):
            return  # of bytes that nothing is known about nothing can be promised
        once = self._codec.encode(message)
        again = self._codec.encode(self._codec.decode(once))  # type: ignore[arg-type]
        if not isinstance(message, Hit) or len(message.tags) < 2:
            check(again == once, "a message that changes", message)


TARGETS = (MessageTarget(),)

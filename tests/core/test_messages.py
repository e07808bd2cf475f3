"""Typed messages: bytes of a peer never become anything but a declared, valid message."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Annotated, Any, Literal, Optional

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import ConfigError, LocalProtocolError, WireError
from gamenet.messages import NO_SCHEMA, Codec, Degrees, Fraction, Message, Unit, describe
from tests.core.strategies import hostile

ROOT = Path(__file__).resolve().parents[2]


class Weapon(enum.Enum):
    SWORD = "sword"
    BOW = "bow"


class Point(msgspec.Struct, array_like=True):
    x: float
    y: float


class Move(Message):
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
    children: dict[str, Optional["Move"]] = msgspec.field(default_factory=dict)


class Anything(Message):
    value: Any


class Tree(Message):
    children: list[Tree]


class Picky(Message):
    """One whose own check raises what no decoder would."""

    value: int

    def __post_init__(self) -> None:
        if self.value == 1:
            raise KeyError("one")
        if self.value == 2:
            raise ZeroDivisionError
        if self.value == 3:
            raise ValueError("three")
        assert self.value != 4


CODEC = Codec([Move, Hit, Anything])

units = st.floats(-1.0, 1.0)
moves = st.builds(Move, units, units)
points = st.builds(Point, st.floats(allow_nan=False), st.floats(allow_nan=False))
hits = st.builds(
    Hit,
    target=st.integers(-(2**63), 2**63 - 1),
    damage=st.integers(0, 100),
    weapon=st.sampled_from(Weapon),
    where=points,
    health=st.floats(0.0, 1.0),
    angle=st.floats(-360.0, 360.0),
    note=st.text(max_size=20),
    tags=st.frozensets(st.text(max_size=5), max_size=3),
    path=st.lists(points, max_size=3),
    owner=st.none() | st.text(max_size=5),
    item=st.none() | st.uuids(),
    mode=st.sampled_from(("fast", "slow")),
    raw=st.binary(max_size=10),
    children=st.dictionaries(st.text(max_size=3), st.none() | moves, max_size=2),
)


class CodecTests(SynchronousTestCase):
    """Encoding and decoding."""

    @given(st.one_of(moves, hits))
    def test_what_is_encoded_is_decoded(self, message: Message) -> None:
        self.assertEqual(CODEC.decode(CODEC.encode(message)), message)

    @settings(max_examples=500)
    @given(
        st.one_of(
            hostile(st.one_of(moves, hits).map(CODEC.encode)),
            st.binary(max_size=40).map(b"\x92\xa8Anything".__add__),
            st.binary(max_size=40).map(b"\x93\xa4Move".__add__),
        )
    )
    def test_any_bytes_give_a_declared_message_or_a_wire_error(self, data: bytes) -> None:
        try:
            message = CODEC.decode(data)
        except WireError:
            return
        self.assertIn(type(message), (Move, Hit, Anything))
        if isinstance(message, Move):
            self.assertTrue(-1.0 <= message.dx <= 1.0 and -1.0 <= message.dy <= 1.0)

    def test_values_that_a_cheater_would_send_are_refused(self) -> None:
        for value in (1.01, -1.01, math.nan, math.inf, -math.inf, 1e308, "1", None, [], True):
            data = msgspec.msgpack.encode(["Move", value, 0.0])
            self.assertRaises(WireError, CODEC.decode, data)

    def test_nan_and_infinity_are_refused_by_every_bounded_float(self) -> None:
        class Stick(Message):
            unit: Unit
            fraction: Fraction
            degrees: Degrees

        codec = Codec([Stick])
        fine = ["Stick", 0.0, 0.0, 0.0]
        codec.decode(msgspec.msgpack.encode(fine))
        for place in (1, 2, 3):
            for value in (math.nan, math.inf, -math.inf, 361.0):
                wrong = [*fine]
                wrong[place] = value
                self.assertRaises(WireError, codec.decode, msgspec.msgpack.encode(wrong))

    def test_undeclared_kinds_spare_fields_and_spare_bytes_are_refused(self) -> None:
        fine = CODEC.encode(Move(0.5))
        for wrong in (
            b"",
            fine[:-1],
            fine + b"\x00",
            msgspec.msgpack.encode(["Moved", 0.5, 0.0]),
            msgspec.msgpack.encode(["Move", 0.5, 0.0, 0.0]),
            msgspec.msgpack.encode(["Move"]),
            msgspec.msgpack.encode([]),
            msgspec.msgpack.encode({"type": "Move", "dx": 0.5}),
            msgspec.msgpack.encode("Move"),
        ):
            self.assertRaises(WireError, CODEC.decode, wrong)

    def test_a_nesting_bomb_is_refused(self) -> None:
        for opener in (b"\x91", b"\x81\x01"):
            data = b"\x92\xa8Anything" + opener * 30_000 + b"\x01"
            self.assertRaises(WireError, CODEC.decode, data)

    def test_lengths_that_promise_gigabytes_are_refused(self) -> None:
        for opener in (b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff"):
            self.assertRaises(WireError, CODEC.decode, b"\x92\xa8Anything" + opener)

    def test_whatever_a_games_own_check_raises_is_a_wire_error(self) -> None:
        codec = Codec([Picky])
        for value in (1, 2, 3, 4):
            self.assertRaises(WireError, codec.decode, msgspec.msgpack.encode(["Picky", value]))
        self.assertEqual(codec.decode(codec.encode(Picky(5))), Picky(5))

    def test_without_declared_messages_every_one_stays_bytes(self) -> None:
        codec = Codec()
        self.assertEqual(codec.schema_hash, NO_SCHEMA)
        data = CODEC.encode(Move(0.5))
        self.assertEqual(codec.decode(data), data)

    def test_an_undeclared_message_raises_where_it_is_sent(self) -> None:
        error = self.assertRaises(ConfigError, CODEC.encode, Picky(5))
        self.assertIn("Picky is not declared", str(error))

    def test_a_value_that_its_class_refuses_raises_where_it_is_sent(self) -> None:
        wrong: list[Message] = [Move(1.5), Move("left"), Anything(object()), Anything(2**70)]  # type: ignore[arg-type]
        wrong.append(Anything("\ud800"))
        for message in wrong:
            error = self.assertRaises(LocalProtocolError, CODEC.encode, message)
            self.assertIn(type(message).__name__, str(error))

    def test_only_messages_can_be_declared(self) -> None:
        for wrong in (int, Point, Move(0.1), "Move", None):
            error = self.assertRaises(ConfigError, Codec, [wrong])
            self.assertEqual(error.field, "messages")

    def test_tags_that_clash_or_are_mixed_are_refused(self) -> None:
        class One(Message, tag=1):
            pass

        class AlsoOne(Message, tag=1):
            pass

        self.assertRaises(ConfigError, Codec, [One, AlsoOne])
        self.assertRaises(ConfigError, Codec, [One, Move])
        self.assertEqual(Codec([One]).decode(Codec([One]).encode(One())), One())


def schema(*fields: tuple[str, Any], **options: Any) -> bytes:
    """The hash of one message class ``M`` with these fields."""
    kind = msgspec.defstruct("M", list(fields), bases=(Message,), **options)
    return Codec([kind]).schema_hash


class SchemaTests(SynchronousTestCase):
    """The hash tells apart whatever would be misread, and nothing else."""

    def test_it_has_eight_bytes_and_is_not_that_of_no_messages(self) -> None:
        self.assertEqual(len(CODEC.schema_hash), 8)
        self.assertNotEqual(CODEC.schema_hash, NO_SCHEMA)

    def test_the_order_of_declaration_is_no_difference(self) -> None:
        self.assertEqual(
            Codec([Move, Hit, Anything]).schema_hash, Codec([Anything, Move, Hit]).schema_hash
        )

    def test_documentation_and_defaults_are_no_difference(self) -> None:
        plain = schema(("a", int), ("b", str))
        noted = schema(
            ("a", Annotated[int, msgspec.Meta(description="how many", title="A")]), ("b", str)
        )
        self.assertEqual(plain, noted)
        self.assertEqual(schema(("a", int, 1)), schema(("a", int, 2)))
        self.assertEqual(
            schema(("a", frozenset[str], frozenset({"x", "y"}))),
            schema(("a", frozenset[str], frozenset({"y"}))),
        )

    def test_whatever_changes_the_meaning_of_bytes_changes_it(self) -> None:
        class Spear(enum.Enum):
            SWORD = "sword"
            SPEAR = "spear"

        # Two builds of a game have one name for both.
        Spear.__name__ = Weapon.__name__
        found = [
            schema(("a", int)),
            schema(("b", int)),
            schema(("a", int), ("b", int)),
            schema(("b", int), ("a", int)),
            schema(("a", float)),
            schema(("a", Unit)),
            schema(("a", Fraction)),
            schema(("a", int | None)),
            schema(("a", int, 0)),
            schema(("a", list[int])),
            schema(("a", list[str])),
            schema(("a", dict[str, Point])),
            schema(("a", Weapon)),
            schema(("a", Spear)),
            schema(("a", Literal["x", "y"])),
            schema(("a", Literal["x", "z"])),
            schema(("a", int), tag=1),
            schema(("a", int), tag="N"),
        ]
        self.assertEqual(len(set(found)), len(found))

    def test_a_field_of_a_nested_struct_counts(self) -> None:
        near = msgspec.defstruct("P", [("x", int)], array_like=True)
        far = msgspec.defstruct("P", [("x", int), ("y", int)], array_like=True)
        self.assertNotEqual(schema(("a", near)), schema(("a", far)))
        self.assertNotEqual(schema(("a", list[near])), schema(("a", list[far])))

    def test_a_message_that_holds_itself_is_described_once(self) -> None:
        self.assertEqual(describe([Tree]).count("StructType"), 1)
        grown = Tree([Tree([]), Tree([Tree([])])])
        self.assertEqual(Codec([Tree]).decode(Codec([Tree]).encode(grown)), grown)

    def test_another_process_finds_the_same_hash(self) -> None:
        # Where a set is hashed or iterated in another order, as in every new interpreter.
        found = {CODEC.schema_hash.hex()}
        for seed in ("1", "2"):
            done = subprocess.run(
                [
                    sys.executable,
                    "-c",
                    textwrap.dedent(
                        """
                        from tests.core.test_messages import CODEC
                        print(CODEC.schema_hash.hex())
                        """
                    ),
                ],
                cwd=ROOT,
                env={"PYTHONHASHSEED": seed},
                capture_output=True,
                text=True,
                check=True,
            )
            found.add(done.stdout.strip())
        self.assertEqual(len(found), 1)

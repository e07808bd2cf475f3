"""World states with a schema: they round-trip, have one form, and refuse everything else."""

from __future__ import annotations

from typing import Annotated, ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import ConfigError, LocalProtocolError, WireError
from gamenet.snapshot import Rows, Scaled, Snapshot, Whole
from tests.core.strategies import hostile

LIMIT = 5
HEAD = 2 + 1 + 8
ROW = 4 + 2 + 1 + 1


class Hero(Snapshot, frozen=True):
    id: Annotated[int, Whole(20)]
    x: Annotated[float, Scaled(-7.5, 64.0, bits=12)]
    walking: bool
    pose: Annotated[int, Whole(8)] = 0


class View(Snapshot, frozen=True):
    VERSION: ClassVar[int] = 1
    heroes: Annotated[list[Hero], Rows(LIMIT)]
    time_left: Annotated[float, Scaled(0.0, 300.0, bits=16)]
    paused: bool
    seed: Annotated[int, Whole(64)]
    fallen: Annotated[tuple[Hero, ...], Rows(2)] = ()


class Picky(Snapshot, frozen=True):
    size: Annotated[int, Whole(8)]

    def __post_init__(self) -> None:
        if self.size > 9:
            raise KeyError(self.size)


class Early(Snapshot, frozen=True):
    rows: Annotated[list[Late], Rows(3)]


class Late(Snapshot, frozen=True):
    id: Annotated[int, Whole(8)]


class Outer(Snapshot, frozen=True):
    rows: Annotated[list[Inner], Rows(3)]


class Inner(Snapshot, frozen=True):
    rows: Annotated[list[Late], Rows(3)]


class Loop(Snapshot, frozen=True):
    rows: Annotated[list[Loop], Rows(3)]


class Lost(Snapshot, frozen=True):
    rows: Annotated[list[Nowhere], Rows(3)]  # type: ignore[name-defined]  # noqa: F821


class Base(Snapshot, frozen=True):
    a: Annotated[int, Whole(8)]
    b: Annotated[int, Whole(16)]


class Uneven(Snapshot, frozen=True):
    x: Annotated[float, Scaled(-0.1, 0.2, bits=8)]


class Redeclared(Base, frozen=True):
    a: Annotated[int, Whole(32)]
    c: bool


heroes = st.builds(
    Hero,
    id=st.integers(0, (1 << 20) - 1),
    x=st.floats(-7.5, 64.0),
    walking=st.booleans(),
    pose=st.integers(0, 255),
)
views = st.builds(
    View,
    heroes=st.lists(heroes, max_size=LIMIT),
    time_left=st.floats(0.0, 300.0),
    paused=st.booleans(),
    seed=st.integers(0, (1 << 64) - 1),
    fallen=st.lists(heroes, max_size=2).map(tuple),
)


def view(*rows: Hero) -> View:
    return View(list(rows), 12.5, False, 7)


class RoundTrip(SynchronousTestCase):
    """What goes in comes out, to half a step."""

    @given(views)
    def test_any_state(self, state: View) -> None:
        data = state.encode()
        came = View.decode(data)
        self.assertEqual(len(data), HEAD + 4 + ROW * (len(state.heroes) + len(state.fallen)))
        self.assertEqual((came.paused, came.seed), (state.paused, state.seed))
        self.assertIs(type(came.paused), bool)
        self.assertLessEqual(abs(came.time_left - state.time_left), 300 / 65_535 / 2 * 1.001)
        self.assertIsInstance(came.heroes, list)
        self.assertIsInstance(came.fallen, tuple)
        for mine, theirs in ((state.heroes, came.heroes), (state.fallen, came.fallen)):
            self.assertEqual(
                [(it.id, it.walking, it.pose) for it in mine],
                [(it.id, it.walking, it.pose) for it in theirs],
            )
            for one, other in zip(mine, theirs, strict=True):
                self.assertLessEqual(abs(one.x - other.x), 71.5 / 4_095 / 2 * 1.001)
        self.assertEqual(came.encode(), data)
        self.assertEqual(View.decode(came.encode()), came)

    @given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(1, 32), st.floats(0.0, 1.0))
    def test_any_range(self, low: float, span: float, bits: int, part: float) -> None:
        high = low + span
        try:
            scale = Scaled(low, high, bits=bits)
        except ConfigError:
            return

        class One(Snapshot, frozen=True):
            __annotations__ = {"x": Annotated[float, scale]}

        step = (high - low) / ((1 << bits) - 1)
        for value in (low, high, min(high, max(low, low + span * part))):
            data = One(value).encode()
            came = One.decode(data).x  # type: ignore[attr-defined]
            self.assertLessEqual(abs(came - value), step / 2 * 1.01)
            self.assertEqual(One.decode(data).encode(), data)
            if value in (low, high):
                self.assertEqual(came, value)

    def test_both_ends_are_exact(self) -> None:
        for end in (-0.1, 0.2):
            self.assertEqual(Uneven.decode(Uneven(end).encode()).x, end)

    def test_layout(self) -> None:
        state = View(
            [Hero(1, -7.5, True, 9), Hero(2, 64.0, False, 8)],
            300.0,
            True,
            3,
            (Hero(5, 64.0, True),),
        )
        self.assertEqual(
            state.encode().hex(" "),
            "ff ff 01 00 00 00 00 00 00 00 03"
            " 00 02 00 00 00 01 00 00 00 02 00 00 0f ff 01 00 09 08"
            " 00 01 00 00 00 05 0f ff 01 00",
        )

    def test_constructor_order_of_a_subclass(self) -> None:
        self.assertEqual(Base.decode(b"\1\0\2"), Base(1, 2))
        state = Redeclared(a=70_000, b=2, c=True)
        self.assertEqual(Redeclared.decode(state.encode()), state)

    def test_names_declared_later(self) -> None:
        state = Early([Late(1), Late(2)])
        self.assertEqual(Early.decode(state.encode()), state)


class BadBytes(SynchronousTestCase):
    """Decoding raises WireError for all that the encoder does not make, and nothing else."""

    @given(hostile(views.map(View.encode)))
    def test_anything(self, data: bytes) -> None:
        try:
            came = View.decode(data)
        except WireError:
            return
        self.assertEqual(came.encode(), data)

    def test_each_cut_and_one_more(self) -> None:
        data = view(Hero(1, 2.0, True), Hero(2, 3.0, False)).encode()
        for size in range(len(data)):
            self.assertRaises(WireError, View.decode, data[:size])
        self.assertRaises(WireError, View.decode, data + b"\0")

    def test_count_over_the_limit(self) -> None:
        head = view().encode()[:HEAD]
        data = head + (LIMIT + 1).to_bytes(2, "big") + bytes(ROW * (LIMIT + 1)) + bytes(2)
        self.assertRaises(WireError, View.decode, data)
        fits = head + LIMIT.to_bytes(2, "big") + bytes(ROW * LIMIT) + bytes(2)
        self.assertEqual(len(View.decode(fits).heroes), LIMIT)

    def test_values_out_of_range(self) -> None:
        data = view(Hero(0, -7.5, False)).encode()
        rows = HEAD + 2
        for place, value in ((2, 2), (rows + 1, 0x10), (rows + 4, 0x10), (rows + 6, 2)):
            wrong = bytearray(data)
            wrong[place] = value
            self.assertRaises(WireError, View.decode, bytes(wrong))

    def test_the_games_own_check(self) -> None:
        self.assertEqual(Picky.decode(b"\x09"), Picky(9))
        self.assertRaises(WireError, Picky.decode, b"\x0a")


class CallersMistakes(SynchronousTestCase):
    """They raise where they are made and say what would be right."""

    def refused(self, state: Snapshot, *words: str) -> None:
        text = str(self.assertRaises(LocalProtocolError, state.encode))
        for word in words:
            self.assertIn(word, text)

    def test_values(self) -> None:
        for x in (-7.6, 64.1, float("nan"), float("inf"), "left", None):
            state = view(Hero(1, 2.0, True), Hero(1, x, True))  # type: ignore[arg-type]
            self.refused(state, "Hero.x", repr(x), "-7.5 to 64.0")
        for number in (-1, 1 << 20, 1.0, True):
            self.refused(view(Hero(number, 2.0, True)), "Hero.id", "0 to 1048575")  # type: ignore[arg-type]
        self.refused(view(Hero(1, 2.0, 1)), "Hero.walking", "True or False")  # type: ignore[arg-type]
        self.refused(View([], 300.5, False, 7), "View.time_left", "0.0 to 300.0")

    def test_rows(self) -> None:
        self.refused(view(*[Hero(1, 2.0, True)] * (LIMIT + 1)), "View.heroes", "6", "5", "Rows")
        self.refused(view(Late(1)), "View.heroes", "Hero")  # type: ignore[arg-type]

    def test_declarations(self) -> None:
        for hint, word in (
            (int, "Whole"),
            (float, "Scaled"),
            (str, "no place"),
            (Annotated[int, "size"], "Whole"),
            (Annotated[float, Whole(8)], "Scaled"),
            (Annotated[int, Scaled(0.0, 1.0, bits=8)], "Whole"),
            (Annotated[list[int], Rows(3)], "of a Snapshot"),
            (Annotated[tuple[Late, Late], Rows(3)], "tuple[Row, ...]"),
            (list[Late], "Rows(limit)"),
            (Annotated[list[Early], Rows(3)], "scalars only"),
        ):
            with self.assertRaises(ConfigError) as caught:
                type(Snapshot)("Wrong", (Snapshot,), {"__annotations__": {"thing": hint}})
            self.assertIn("Wrong.thing", str(caught.exception))
            self.assertIn(word, str(caught.exception))

    def test_declarations_that_only_the_first_use_can_tell(self) -> None:
        text = str(self.assertRaises(ConfigError, Outer.decode, b""))
        self.assertIn("Outer.rows", text)
        self.assertIn("Loop.rows", str(self.assertRaises(ConfigError, Loop.decode, b"")))
        self.assertIn("Nowhere", str(self.assertRaises(ConfigError, Lost([]).encode)))

        class Nothing(Snapshot, frozen=True):
            pass

        class Named(Snapshot, frozen=True, kw_only=True):
            a: bool

        self.assertIn("at least one", str(self.assertRaises(ConfigError, Nothing().encode)))
        self.assertIn("kw_only", str(self.assertRaises(ConfigError, Named(a=True).encode)))

    def test_marks(self) -> None:
        for bits in (0, 65, True, 8.0, "8"):
            self.assertRaises(ConfigError, Whole, bits)
        for low, high, bits in (
            (0.0, 1.0, 0),
            (0.0, 1.0, 33),
            (1.0, 1.0, 8),
            (2.0, 1.0, 8),
            (0.0, float("inf"), 8),
            (float("nan"), 1.0, 8),
            (1e16, 1e16 + 64, 8),
            (-1e308, 1e308, 8),
            (0.0, 5e-324, 8),
        ):
            self.assertRaises(ConfigError, Scaled, low, high, bits=bits)
        for limit in (0, -1, 65_536, True, 2.0):
            self.assertRaises(ConfigError, Rows, limit)

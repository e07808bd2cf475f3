"""The checks of settings, by themselves; what they do for each field is in ``test_config``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from twisted.trial.unittest import SynchronousTestCase

from gamenet.checks import build, check_label, check_types
from gamenet.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field of each sort."""

    count: int = 1
    seconds: float = 1.0
    name: str = "x"
    on: bool = False
    port: int | str | None = None
    mode: Literal["cut", "raise"] = "cut"
    auth: tuple[str, ...] = ()
    messages: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_types(self)


class TypeTests(SynchronousTestCase):
    """``check_types``."""

    def problem(self, **fields: Any) -> str:
        error = self.assertRaises(ConfigError, Settings, **fields)
        (name,) = fields
        self.assertEqual(error.field, name)
        return str(error)

    def test_what_fits_passes(self) -> None:
        Settings()
        Settings(count=-5, seconds=3, name="", on=True, port=7, mode="raise", auth=("a",))
        Settings(seconds=float("nan"), port="7777", options={"a": 1})
        Settings(port=None)

    def test_what_does_not_is_named_with_what_would(self) -> None:
        for fields, wanted in (
            ({"count": 1.0}, "a whole number, not 1.0"),
            ({"count": "1"}, "a whole number, not '1'"),
            ({"count": True}, "a whole number, not True"),
            ({"count": None}, "a whole number, not None"),
            ({"seconds": "1"}, "a number, not '1'"),
            ({"seconds": True}, "a number, not True"),
            ({"seconds": None}, "a number, not None"),
            ({"name": 5}, "text, not 5"),
            ({"name": b"x"}, "text, not b'x'"),
            ({"on": 1}, "true or false, not 1"),
            ({"on": "yes"}, "true or false, not 'yes'"),
            ({"port": 1.5}, "a whole number or text, not 1.5"),
            ({"port": True}, "a whole number or text, not True"),
            ({"mode": "other"}, "'cut' or 'raise', not 'other'"),
            ({"mode": None}, "'cut' or 'raise', not None"),
            ({"auth": ["a"]}, "a list, not ['a']"),
            ({"auth": "anonymous"}, "a list, not 'anonymous'"),
            ({"options": [1]}, "a table, not [1]"),
            ({"options": None}, "a table, not None"),
        ):
            self.assertIn(f"must be {wanted}", self.problem(**fields), fields)


class BuildTests(SynchronousTestCase):
    """``build``."""

    def test_values_by_name(self) -> None:
        self.assertEqual(build(Settings, {"count": 3}), Settings(count=3))
        self.assertEqual(build(Settings, {}), Settings())

    def test_lists_become_what_is_a_list(self) -> None:
        given = {"auth": ["a", "b"], "messages": []}
        self.assertEqual(build(Settings, given), Settings(auth=("a", "b")))
        self.assertEqual(given, {"auth": ["a", "b"], "messages": []})

    def test_a_name_that_is_nearly_right_gets_the_right_one(self) -> None:
        error = self.assertRaises(ConfigError, build, Settings, {"cuont": 1})
        self.assertEqual(error.field, "cuont")
        self.assertIn("no such setting; did you mean count?", str(error))

    def test_one_that_is_like_no_other_gets_them_all(self) -> None:
        error = self.assertRaises(ConfigError, build, Settings, {"zzz": 1, "count": 1})
        self.assertEqual(error.field, "zzz")
        self.assertIn("known are count, seconds, name, on, port", str(error))


class LabelTests(SynchronousTestCase):
    """``check_label``."""

    def test_what_fits_behind_one_byte_of_length_passes(self) -> None:
        for text in ("", "tag/1", "x" * 255, "é" * 127):
            check_label("game_name", text)

    def test_what_does_not_is_refused(self) -> None:
        for text, words in (
            ("x" * 256, "at most 255 bytes, not 256"),
            ("é" * 128, "at most 255 bytes, not 256"),
            ("\ud800", "not text that can be sent"),
            (b"tag", "must be text, not b'tag'"),
            (None, "must be text, not None"),
        ):
            error = self.assertRaises(ConfigError, check_label, "game_name", text)
            self.assertEqual(error.field, "game_name")
            self.assertIn(words, str(error))

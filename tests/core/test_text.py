"""Names and chat: nothing that people type can act on who reads it."""

from __future__ import annotations

import re
import unicodedata

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.text import (
    MAX_CHAT_CHARACTERS,
    MAX_NAME_CHARACTERS,
    checked_chat,
    checked_name,
    clean,
    name_key,
)
from tests.core.strategies import any_text

ACTING = {"Cc", "Cs", "Cf", "Zl", "Zp"}
JOINERS = "\u200c\u200d"


class CleanTests(SynchronousTestCase):
    """``clean``: what stays is only what can be read."""

    @given(any_text)
    def test_nothing_that_acts_on_a_terminal_is_left(self, text: str) -> None:
        for character in clean(text):
            if character not in JOINERS:
                self.assertNotIn(unicodedata.category(character), ACTING, ascii(character))

    @given(any_text)
    def test_the_result_can_be_encoded(self, text: str) -> None:
        self.assertEqual(clean(text).encode().decode(), clean(text))

    @given(any_text)
    def test_cleaning_twice_changes_nothing(self, text: str) -> None:
        self.assertEqual(clean(clean(text)), clean(text))

    @given(any_text)
    def test_what_stays_is_in_order(self, text: str) -> None:
        rest = iter(text)
        self.assertTrue(all(character in rest for character in clean(text)))

    def test_escape_sequences_lose_their_start(self) -> None:
        for text in ("\x1b[2Jhi", "\x9b2Jhi", "\x1b]0;title\x07hi", "hi\x08\x08\r\n\x00"):
            cleaned = clean(text)
            self.assertIn("hi", cleaned)
            self.assertTrue(cleaned.isprintable(), ascii(cleaned))

    def test_the_writing_direction_cannot_be_turned(self) -> None:
        for code in (0x202A, 0x202B, 0x202D, 0x202E, 0x2066, 0x2067, 0x2068, 0x200F, 0xFEFF):
            self.assertEqual(clean(f"a{chr(code)}b"), "ab", hex(code))

    def test_line_breaks_of_every_kind_go(self) -> None:
        for code in (0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x85, 0x2028, 0x2029):
            cleaned = clean(f"a{chr(code)}b")
            self.assertEqual(cleaned, "ab", hex(code))
            self.assertEqual(len(cleaned.splitlines()), 1)

    def test_ordinary_text_of_any_script_stays(self) -> None:
        for text in ("gg, well played!", "Grüß Gott", "こんにちは", "مرحبا", "नमस्ते", "👩\u200d🚀"):
            self.assertEqual(clean(f"  {text} "), text)


class ChatTests(SynchronousTestCase):
    """``checked_chat``: 1 to 500 readable characters, or ValueError."""

    @given(any_text)
    @example("\u200d")
    @example("\u200d \u200c")
    def test_a_line_is_readable_and_short_or_refused(self, text: str) -> None:
        try:
            line = checked_chat(text)
        except ValueError:
            return
        self.assertTrue(line.strip(JOINERS + " "), ascii(line))
        self.assertLessEqual(len(line), MAX_CHAT_CHARACTERS)
        self.assertEqual(line, clean(text))

    @given(any_text)
    def test_a_checked_line_passes_again_unchanged(self, text: str) -> None:
        try:
            line = checked_chat(text)
        except ValueError:
            return
        self.assertEqual(checked_chat(line), line)

    def test_nothing_readable_is_refused(self) -> None:
        for text in ("", " ", "\t\r\n", "\x1b\x07", "\u202e", "\u200d", "\u200c\u200d", " \u200d "):
            error = self.assertRaises(ValueError, checked_chat, text)
            self.assertIn("at least one readable character", str(error))

    def test_500_characters_pass_and_501_do_not(self) -> None:
        self.assertEqual(checked_chat("é" * 500), "é" * 500)
        self.assertEqual(checked_chat(" " + "x" * 500 + "\n"), "x" * 500)
        error = self.assertRaises(ValueError, checked_chat, "x" * 501)
        self.assertIn("at most 500", str(error))


class NameTests(SynchronousTestCase):
    """``checked_name`` and ``name_key``."""

    def test_names_of_the_allowed_characters_are_kept_as_typed(self) -> None:
        for name in ("a", "Ada", "ada_lovelace-1815.uk", "X" * MAX_NAME_CHARACTERS, "-", "."):
            self.assertEqual(checked_name(name), name)

    def test_other_names_are_refused(self) -> None:
        for name in (
            "",
            " ",
            "a b",
            "ada\n",
            "\nada",
            "a" * (MAX_NAME_CHARACTERS + 1),
            "\u00e4da",
            "\u0430da",  # a Cyrillic letter that looks like a Latin one
            "a/b",
            "a\x00",
            "a\u200db",
            "\u202eada",
            "ad\u0131",
            "\ud800",
        ):
            self.assertIs(checked_name(name), None, ascii(name))

    def test_compatible_characters_become_their_plain_form(self) -> None:
        self.assertEqual(checked_name("\uff21\uff44\uff41"), "Ada")
        self.assertEqual(checked_name("\u212a"), "K")

    @given(st.one_of(any_text, st.text("Aa1_.-\uff21\u212a\u017f\u200d", max_size=40)))
    def test_a_checked_name_is_plain_and_stays_the_same(self, text: str) -> None:
        name = checked_name(text)
        if name is None:
            return
        self.assertTrue(re.fullmatch(r"[A-Za-z0-9_.\-]{1,32}", name), ascii(name))
        self.assertEqual(checked_name(name), name)
        self.assertEqual(name_key(name), name_key(text))

    def test_case_and_form_make_no_difference_to_the_key(self) -> None:
        keys = {name_key(name) for name in ("Ada", "ADA", "ada", "\uff21da")}
        self.assertEqual(len(keys), 1)
        self.assertNotEqual(name_key("ada"), name_key("ada1"))

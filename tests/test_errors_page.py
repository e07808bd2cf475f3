"""``docs/ERRORS.rst`` against the code: what it names exists, and no way to fail is left out."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core.counters import LOSSES, Counters
from gamenet.errors import DISCONNECT_TEXTS, REFUSAL_TEXTS, DisconnectReason, RefusalReason

PAGE = (Path(__file__).parent.parent / "docs" / "ERRORS.rst").read_text(encoding="utf-8")
NAMED = set(re.findall(r"``([\w*]+)``", PAGE))


class ErrorsPageTests(SynchronousTestCase):
    def test_every_counter_of_a_loss_is_on_the_page(self) -> None:
        prefixes = tuple(name.rstrip("*") for name in NAMED if name.endswith("*"))
        losses = [name for name in Counters.__slots__ if name.startswith(LOSSES)]
        losses += ["receive_errors", "inputs_over_rate", "acks_of_unsent"]
        missing = [name for name in losses if name not in NAMED and not name.startswith(prefixes)]
        self.assertEqual(missing, [])

    def test_every_counter_on_the_page_exists(self) -> None:
        known = set(Counters.__slots__) | {"verbs_for_gone"}
        counters = {
            name
            for name in NAMED
            if re.match(r"(drop|events|receive|inputs|acks|verbs)_\w+$", name)
        }
        self.assertEqual(counters - known, set())

    def test_every_reason_on_the_page_exists_and_every_one_is_there(self) -> None:
        words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)*\b", PAGE))
        for reason in DisconnectReason:
            self.assertIn(reason.name, words)
        capitals = {name for name in NAMED if re.fullmatch(r"[A-Z]+(?:_[A-Z]+)*", name)}
        known = {
            *DisconnectReason.__members__,
            *RefusalReason.__members__,
            "BYE",
            "EMFILE",
            "INPUT",
            "TUNNEL",
        }
        self.assertEqual(capitals - known, set())

    def test_every_reason_has_words_for_a_player(self) -> None:
        self.assertEqual(set(DISCONNECT_TEXTS), set(DisconnectReason))
        self.assertEqual(set(REFUSAL_TEXTS), set(RefusalReason))

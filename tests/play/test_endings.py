"""Every end of a session is a sentence that a player can read."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Disconnected, Player
from gamenet.play.endings import in_words, sentence

ADA = Player(1, "ada", "")


class EndingTests(SynchronousTestCase):
    """Whatever the reason."""

    def check(self, text: str) -> None:
        self.assertGreater(len(text), 10)
        self.assertTrue(text[0].isupper(), text)
        self.assertTrue(text.endswith("."), text)
        self.assertTrue(text.isprintable(), text)

    def test_every_reason_has_one(self) -> None:
        for reason in DisconnectReason:
            self.check(in_words(Disconnected(ADA, reason)))

    def test_every_refusal_has_one(self) -> None:
        for refusal in RefusalReason:
            event = Disconnected(ADA, DisconnectReason.REFUSED, refusal=refusal)
            self.check(in_words(event))

    def test_what_a_server_says_is_cleaned(self) -> None:
        event = Disconnected(ADA, DisconnectReason.KICKED, "no\x1b[2J \u202eshoes")
        self.assertEqual(in_words(event), "The game has sent you away: no[2J shoes.")

    def test_a_sentence_is_not_made_one_twice(self) -> None:
        for text in ("Over.", "Over!", "Over?"):
            self.assertEqual(sentence(text), text)
        self.assertEqual(sentence("over"), "Over.")

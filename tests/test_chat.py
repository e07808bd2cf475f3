"""The terminal client: what is read, what is said, what is shown."""

from __future__ import annotations

import io
import os
from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.chat import (
    MAX_LINE_CHARACTERS,
    Conversation,
    LineReader,
    farewell,
    pieces,
    shown,
)
from gamenet.cli_doctor import advised
from gamenet.core.text import MAX_CHAT_CHARACTERS
from gamenet.doctor.fixes import END_FIXES, REFUSAL_FIXES, remedy
from gamenet.errors import (
    DISCONNECT_TEXTS,
    REFUSAL_TEXTS,
    DisconnectReason,
    GamenetError,
    RefusalReason,
)
from gamenet.events import (
    SERVER,
    Chat,
    Connected,
    Disconnected,
    PathChanged,
    Player,
    Resumed,
    Suspended,
)

# What moves a cursor, rings, clears, retitles or turns the writing direction of a terminal.
HOSTILE = "\x1b]0;owned\x07\x1b[2J\r\n\x9b31m\u202e\u2028\x00"


def is_harmless(text: str) -> bool:
    """True if printing the text can do no more than print it."""
    return not any(
        ord(character) < 32 or 127 <= ord(character) < 160 or character in "\u202e\u2028\u2029"
        for character in text
    )


class LineReaderTests(SynchronousTestCase):
    """Lines come from a descriptor, whole and in order."""

    def lines_of(self, data: bytes) -> list[str]:
        """What the reader makes of *data* when nothing follows it."""
        reader = LineReader()
        incoming, outgoing = os.pipe()
        os.write(outgoing, data)
        os.close(outgoing)
        try:
            reader.read(incoming)
        finally:
            os.close(incoming)
        lines = []
        while (line := reader.take()) is not None:
            lines.append(line)
        self.assertTrue(reader.ended)
        self.assertIsNone(reader.take())
        return lines

    def test_linesInOrder(self) -> None:
        self.assertEqual(self.lines_of(b"one\ntwo\n"), ["one", "two"])

    def test_theLastLineNeedsNoEnd(self) -> None:
        self.assertEqual(self.lines_of(b"one\ntwo"), ["one", "two"])

    def test_nothingAtAll(self) -> None:
        self.assertEqual(self.lines_of(b""), [])

    def test_bytesThatAreNoText(self) -> None:
        self.assertEqual(self.lines_of(b"\xff\xfe ok\n\xc3"), ["\ufffd\ufffd ok", "\ufffd"])

    def test_charactersAcrossReads(self) -> None:
        """A character whose bytes arrive in two reads is one character."""
        line = "ä" * 3000
        self.assertEqual(self.lines_of(f"x{line}\n".encode()), [f"x{line}"])

    def test_aLineWithoutEndIsTakenInPieces(self) -> None:
        lines = self.lines_of(b"x" * 40_000)
        self.assertEqual("".join(lines), "x" * 40_000)
        self.assertGreater(len(lines), 1)
        self.assertTrue(all(len(line) <= MAX_LINE_CHARACTERS + 4096 for line in lines))

    def test_aDescriptorThatCannotBeReadIsAtItsEnd(self) -> None:
        incoming, outgoing = os.pipe()
        os.close(incoming)
        os.close(outgoing)
        reader = LineReader()
        reader.read(incoming)
        self.assertIsNone(reader.take())
        self.assertTrue(reader.ended)


class PieceTests(SynchronousTestCase):
    """What is said for a line that was typed."""

    def test_aLineIsSaidAsItIs(self) -> None:
        self.assertEqual(pieces("  hello there \r"), ["hello there"])

    def test_nothingReadableIsNotSaid(self) -> None:
        for line in ("", "   ", "\x1b\x07"):
            self.assertEqual(pieces(line), [])

    def test_aLongLineIsSaidInSeveral(self) -> None:
        said = pieces("a" * (2 * MAX_CHAT_CHARACTERS + 1))
        self.assertEqual(
            [len(part) for part in said], [MAX_CHAT_CHARACTERS, MAX_CHAT_CHARACTERS, 1]
        )

    @given(st.text(max_size=2000))
    def test_everyPieceCanBeSaid(self, line: str) -> None:
        for part in pieces(line):
            self.assertTrue(1 <= len(part) <= MAX_CHAT_CHARACTERS)
            self.assertEqual(part, part.strip())
            self.assertTrue(is_harmless(part))


class ShownTests(SynchronousTestCase):
    """What the terminal shows of an event."""

    def test_chat(self) -> None:
        ada = Player(1, "ada", "")
        self.assertEqual(shown(Chat(ada, "hello", False)), "<ada> hello")
        self.assertEqual(shown(Chat(ada, "psst", True)), "<ada> (to you) psst")
        self.assertEqual(shown(Chat(SERVER, "it rains", False)), "* it rains")

    def test_joining(self) -> None:
        ada = Player(1, "ada", "")
        self.assertEqual(shown(Connected(ada, True)), "* you are ada; Ctrl-D or /quit leaves")
        self.assertIn("not encrypted", str(shown(Connected(ada, False))))

    def test_theEnd(self) -> None:
        ada = Player(1, "ada", "")
        kicked = Disconnected(ada, DisconnectReason.KICKED, "no shouting")
        self.assertEqual(shown(kicked), "* no shouting")

    def test_comingAndGoing(self) -> None:
        self.assertIsNone(shown(PathChanged(SERVER, "udp", "bound")))
        ada = Player(1, "ada", "")
        lost = Suspended(ada, DisconnectReason.SESSION_LOST)
        self.assertEqual(shown(lost), "* the connection is lost; trying to get it back")
        self.assertEqual(shown(Resumed(ada, 1.25)), "* connected again after 1.2 s")

    def test_aFarewellIsNeverEmpty(self) -> None:
        for reason in DisconnectReason:
            self.assertEqual(farewell(reason, "\x1b", None), DISCONNECT_TEXTS[reason])
        for refusal in RefusalReason:
            said = farewell(DisconnectReason.REFUSED, "", refusal)
            self.assertEqual(said, REFUSAL_TEXTS[refusal])

    def test_everyEndNamesWhatToDo(self) -> None:
        for reason in DisconnectReason:
            said = remedy(reason, None, "try: the doctor")
            told = reason in END_FIXES
            silent = reason is DisconnectReason.QUIT
            self.assertEqual(said.startswith("fix: "), told, reason)
            self.assertEqual(said == "try: the doctor", not (told or silent), reason)
            self.assertEqual(said == "", silent, reason)
        for refusal in RefusalReason:
            said = remedy(DisconnectReason.REFUSED, refusal, "try: the doctor")
            self.assertEqual(said, f"fix: {REFUSAL_FIXES[refusal]}")

    def test_whatEndsAJoinIsOneLineWithAFix(self) -> None:
        player = Player(0, "", "")
        for event, expected in (
            (
                Disconnected(player, DisconnectReason.TIMEOUT, "the join took too long"),
                "the join took too long; try: gamenet doctor h#sha256=12",
            ),
            (
                Disconnected(player, DisconnectReason.REFUSED, "Full.", RefusalReason.FULL),
                f"Full; fix: {REFUSAL_FIXES[RefusalReason.FULL]}",
            ),
        ):
            client: Any = SimpleNamespace(
                start=lambda wait: None,
                stop=lambda timeout: None,
                events=lambda timeout, event=event: [event],
            )
            talk = Conversation(
                client, LineReader(), io.StringIO(), "try: gamenet doctor h#sha256=12"
            )
            error = self.assertRaises(GamenetError, talk.run, lambda: False)
            self.assertEqual(str(error), expected)

    def test_theDoctorIsToldHowToJoin(self) -> None:
        for arguments, expected in (
            ((True, ""), "try: gamenet doctor h:1 --insecure"),
            ((False, "my ca.pem"), "try: gamenet doctor h:1 --ca 'my ca.pem'"),
            ((False, ""), "try: gamenet doctor h:1"),
        ):
            said = advised("h:1", insecure=arguments[0], ca_file=arguments[1])
            self.assertEqual(said, expected)

    def test_noEscapeSequenceOfAPeerIsPrinted(self) -> None:
        """Chat, names and farewells: nothing of them reaches the terminal but characters."""
        villain = Player(666, f"v{HOSTILE}v", "")
        for event in (
            Chat(villain, HOSTILE + "hi", False),
            Chat(SERVER, HOSTILE + "hi", True),
            Connected(villain, False),
            Disconnected(villain, DisconnectReason.KICKED, HOSTILE + "bye"),
        ):
            line = shown(event)
            assert line is not None
            self.assertTrue(is_harmless(line), repr(line))

    @given(name=st.text(max_size=40), text=st.text(max_size=200), private=st.booleans())
    def test_whateverIsSentTheLineIsOneLine(self, name: str, text: str, private: bool) -> None:
        line = shown(Chat(Player(1, name, ""), text, private))
        assert line is not None
        self.assertTrue(is_harmless(line), repr(line))
        self.assertLessEqual(len(line.splitlines()), 1)

"""Reliable messages and chat of a session, and what waits for a slow game."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.reliable_half import MAX_UNACKNOWLEDGED
from gamenet.errors import DisconnectReason
from gamenet.events import SERVER, Chat, Received, Writable
from tests.core.pair import ADA, BAD, MOVES, Move, Pair


class ReliableTests(SynchronousTestCase):
    """Reliable messages and chat."""

    def test_both_ways_in_order_through_a_bad_network(self) -> None:
        pair = Pair(3, BAD)
        for number in range(200):
            pair.send(pair.client, b"up %d" % number, number % 256)
            pair.send(pair.server, b"down %d" % number)
            pair.advance(0.01)
        pair.advance(2.0)
        self.assertEqual(
            [(event.payload, event.channel, event.player) for event in pair.server.of(Received)],
            [(b"up %d" % number, number, ADA) for number in range(200)],
        )
        self.assertEqual(
            [event.payload for event in pair.client.of(Received)],
            [b"down %d" % number for number in range(200)],
        )
        for session in (pair.server_session, pair.client_session):
            self.assertEqual((session.outgoing.messages, session.outgoing.size), (0, 0))
            self.assertEqual((session.seat.queued_messages, session.seat.queued_bytes), (0, 0))

    def test_a_game_that_does_not_take_is_not_acknowledged_for(self) -> None:
        pair = Pair(window_messages=8)
        pair.server.takes = False
        for number in range(20):
            pair.send(pair.client, b"%d" % number)
        pair.advance(3.0)
        self.assertEqual(len(pair.server.of(Received)), 8)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 0)
        self.assertEqual(pair.client_session.outgoing.waiting_messages, 12)
        pair.server.take(3)
        pair.advance(0.5)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 3)
        self.assertEqual(len(pair.server.of(Received)), 11)
        pair.server.takes = True
        pair.advance(1.0)
        self.assertEqual(
            [event.payload for event in pair.server.of(Received)],
            [b"%d" % number for number in range(20)],
        )
        self.assertIs(pair.server.ended, None)

    def test_a_full_queue_that_drains_is_told_once(self) -> None:
        pair = Pair(window_messages=4, queue_messages=4)
        pair.server.takes = False
        for _ in range(8):
            pair.send(pair.client, b"x")
        pair.client_session.seat.wants_room = True
        pair.advance(1.0)
        self.assertEqual(pair.client.of(Writable), [])
        pair.server.takes = True
        pair.advance(1.0)
        self.assertEqual(len(pair.client.of(Writable)), 1)

    def test_half_a_window_is_acknowledged_without_waiting_for_the_beat(self) -> None:
        pair = Pair(window_messages=8, frame_delay=0.001)
        pair.advance(0.001)
        for _ in range(4):
            pair.send(pair.client, b"x")
        pair.advance(0.01)
        self.assertEqual(pair.client_session.outgoing.acknowledged, 4)

    def test_typed_messages(self) -> None:
        pair = Pair(codec=MOVES)
        pair.send(pair.client, MOVES.encode(Move(0.25)), message=True)
        pair.send(pair.client, MOVES.encode(Move(0.25)))
        pair.advance(0.2)
        self.assertEqual(
            [event.payload for event in pair.server.of(Received)],
            [Move(0.25), MOVES.encode(Move(0.25))],
        )

    def test_a_typed_message_that_lies_ends_the_session(self) -> None:
        for payload in (b"", b"\x00", msgspec.msgpack.encode(["Move", 7.0])):
            pair = Pair(codec=MOVES)
            pair.send(pair.client, payload, message=True)
            pair.advance(0.2)
            self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA)
            self.assertEqual(pair.server.of(Received), [])

    def test_chat_gets_its_author_from_the_session(self) -> None:
        pair = Pair()
        pair.say("hello \u202eworld".replace("\u202e", ""))
        pair.said("welcome", private=True)
        pair.advance(0.2)
        (heard,) = pair.server.of(Chat)
        self.assertEqual((heard.player, heard.text, heard.private), (ADA, "hello world", False))
        (read,) = pair.client.of(Chat)
        self.assertEqual((read.player.id, read.text, read.private), (7, "welcome", True))

    def test_chat_is_cleaned_by_the_server_and_again_by_the_client(self) -> None:
        pair = Pair()
        pair.say("hi\x1b[2J\u202e!")
        pair.said("ho\x1b]0;owned\x07")
        pair.advance(0.2)
        self.assertEqual([event.text for event in pair.server.of(Chat)], ["hi[2J!"])
        self.assertEqual([event.text for event in pair.client.of(Chat)], ["ho]0;owned"])

    def test_chat_with_nothing_to_read_or_too_much_ends_the_session(self) -> None:
        for text in ("\x1b", "   ", "\u200d", "x" * 501):
            pair = Pair()
            pair.say(text)
            pair.advance(0.2)
            self.assertIs(pair.server.ended, DisconnectReason.BAD_DATA, ascii(text))
            self.assertEqual(pair.server.of(Chat), [])

    def test_authors_are_one_object_each_and_not_remembered_without_end(self) -> None:
        pair = Pair()
        for number in range(1_500):
            frame = frames.encode_said(100 + number, f"p{number}", "hi", private=False)
            pair.client.frame_came(frame)
        pair.client.frame_came(frames.encode_said(1_599, "p1499", "again", private=False))
        pair.client.frame_came(frames.encode_said(0, "", "server", private=False))
        pair.client.frame_came(frames.encode_said(ADA.id, "ada", "me", private=False))
        chats = pair.client.of(Chat)
        self.assertIs(chats[-3].player, chats[-4].player)
        for author in (2_001, 2_002, 2_001):
            pair.client.frame_came(frames.encode_said(author, "p", "hi", private=False))
        first, _, second = pair.client.of(Chat)[-3:]
        self.assertIs(first.player, second.player)
        self.assertIs(chats[-2].player, SERVER)
        self.assertIs(chats[-1].player, ADA)
        self.assertLessEqual(len(pair.client_session._authors), 1_024)

    def test_what_was_never_taken_is_handed_back(self) -> None:
        pair = Pair(codec=MOVES, window_messages=4)
        pair.client.takes = False
        for number in range(6):
            pair.send(pair.server, b"%d" % number)
        pair.send(pair.server, MOVES.encode(Move(0.5)), message=True)
        pair.said("chat")
        pair.advance(0.5)
        pair.client.take(3)
        pair.advance(0.5)
        payloads, count = pair.server_session.unacknowledged()
        self.assertEqual(pair.server_session.outgoing.acknowledged, 3)
        self.assertEqual(payloads, (b"3", b"4", b"5", Move(0.5)))
        self.assertEqual(count, 5)

    def test_no_more_than_1024_are_handed_back(self) -> None:
        pair = Pair()
        pair.client.takes = False
        for _ in range(MAX_UNACKNOWLEDGED + 100):
            pair.send(pair.server, b"x")
        payloads, count = pair.server_session.unacknowledged()
        self.assertEqual((len(payloads), count), (MAX_UNACKNOWLEDGED, MAX_UNACKNOWLEDGED + 100))

    def test_a_message_that_its_own_type_refuses_is_handed_back_as_bytes(self) -> None:
        # As after a change of the object between its check and its sending.
        pair = Pair(codec=MOVES)
        wrong = msgspec.msgpack.encode(["Move", 7.0])
        pair.send(pair.server, wrong, message=True)
        self.assertEqual(pair.server_session.unacknowledged(), ((wrong,), 1))

    def test_a_slow_consumer_is_given_its_time_then_cut(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        self.assertIs(pair.server.ended, None)
        pair.advance(3.0)
        self.assertIs(pair.server.ended, DisconnectReason.SLOW_CONSUMER)

    def test_one_that_recovers_is_not_cut(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        pair.client.takes = True
        pair.advance(0.2)
        pair.client.takes = False
        for _ in range(4 + 11):
            pair.send(pair.server, b"x")
        pair.advance(9.0)
        self.assertIs(pair.server.ended, None)

    def test_far_beyond_the_queue_is_cut_at_the_next_look(self) -> None:
        pair = Pair(window_messages=4, queue_messages=10, slow_seconds=10.0)
        pair.client.takes = False
        for _ in range(4 + 21):
            pair.send(pair.server, b"x")
        pair.advance(1.1)
        self.assertIs(pair.server.ended, DisconnectReason.SLOW_CONSUMER)

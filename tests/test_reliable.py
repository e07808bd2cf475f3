"""The TCP end: frames in whatever pieces they come, ends that are final, deadlines that hold."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind
from gamenet.core.states import State
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Chat, Joined, Left, Received
from tests.fakes import FIN, RST, framed
from tests.world import World, hello

HELLO = framed(frames.encode_hello(hello("ada", auth=bytes(200))))
OVERSIZE = (frames.MAX_FRAME_BYTES + 1).to_bytes(4, "big")


def kinds(found: list[bytes]) -> list[int]:
    return [frame[0] for frame in found]


class FramingTests(SynchronousTestCase):
    """What TCP does to the pieces is nobody's business."""

    def test_a_join_and_messages_dribbled_one_byte_at_a_time_are_understood(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say(HELLO, chunk=1)
        stranger.say(
            framed(frames.encode_ack(0))
            + framed(frames.encode_data(False, 3, b"x" * 300))
            + framed(frames.encode_say("hello")),
            chunk=1,
        )
        self.assertEqual([type(event) for event in world.server.events], [Joined, Received, Chat])
        self.assertEqual(world.server.of(Received)[0].payload, b"x" * 300)

    def test_a_join_and_messages_in_one_piece_are_understood(self) -> None:
        world = World(self)
        stranger = world.stranger()
        # Longer than a HELLO may be: the limit must have moved within the piece.
        big = frames.encode_data(False, 0, bytes(60_000))
        stranger.say(HELLO + framed(frames.encode_ack(0)) + framed(big))
        self.assertEqual([type(event) for event in world.server.events], [Joined, Received])

    @settings(max_examples=60)
    @given(
        st.lists(st.binary(max_size=40), max_size=12),
        st.integers(1, 64),
    )
    def test_messages_come_whole_and_in_order_however_they_are_cut(
        self, payloads: list[bytes], chunk: int
    ) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        data = b"".join(framed(frames.encode_data(False, 0, each)) for each in payloads)
        puppet.wire.say(data, chunk=chunk)
        self.assertEqual([event.payload for event in world.server.of(Received)], payloads)
        world.close()


class LatchTests(SynchronousTestCase):
    """A connection that is over hears nothing more."""

    def test_an_oversize_prefix_is_one_callback_and_cuts_the_connection(self) -> None:
        world = World(self)
        joined = world.join("ada")
        puppet = world.puppet().confirm()
        protocol = world.server.host.connection_of(world.server.session_of("mallory"))
        calls = []
        original = world.server.host.oversize_frame
        self.patch(
            world.server.host,
            "oversize_frame",
            lambda protocol: (calls.append(protocol), original(protocol)),
        )
        for _ in range(5):
            puppet.wire.transport.write(OVERSIZE + bytes(60_000))
        world.settle()
        self.assertEqual(calls, [protocol])
        self.assertEqual(puppet.wire.ended, RST)
        self.assertEqual(protocol._unprocessed, b"")
        self.assertEqual(protocol.state, State.CLOSED)
        (left,) = world.server.of(Left)
        self.assertEqual((left.player.name, left.reason), ("mallory", DisconnectReason.BAD_DATA))
        self.assertTrue(joined.joined)

    def test_nothing_is_kept_of_what_comes_after_the_end_in_the_same_piece(self) -> None:
        world = World(self)
        world.puppet().confirm()
        protocol = world.server.host.connection_of(world.server.session_of("mallory"))
        bye = framed(frames.encode_bye(DisconnectReason.QUIT))
        # The end, a whole frame, and the beginning of another.
        rest = framed(frames.encode_say("late")) + (60_000).to_bytes(4, "big") + bytes(50_000)
        protocol.dataReceived(bye + rest)
        self.assertEqual(protocol._unprocessed, b"")
        protocol.dataReceived(bytes(1_000))
        self.assertEqual(protocol._unprocessed, b"")
        world.settle()
        self.assertEqual(world.server.of(Chat), [])
        self.assertEqual(world.server.counters.drop_frame_after_end, 1)

    def test_frames_after_a_bye_are_counted_and_not_acted_on(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.wire.say_frame(
            frames.encode_bye(DisconnectReason.QUIT),
            frames.encode_say("late"),
            frames.encode_bye(DisconnectReason.QUIT),
        )
        self.assertEqual(world.server.counters.drop_frame_after_end, 2)
        self.assertEqual([type(event) for event in world.server.events], [Joined, Left])

    def test_an_oversize_prefix_after_the_refusal_does_not_destroy_the_refusal(self) -> None:
        world = World(self, game_name="tag/1")
        stranger = world.stranger()
        refused = framed(frames.encode_hello(hello("ada", game="chess/1")))
        stranger.say(refused + OVERSIZE + bytes(1_000))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.GAME)])
        self.assertEqual(stranger.ended, FIN)
        # A reset now could overtake the refusal in a real kernel.
        self.assertTrue(stranger.transport.connected)
        self.assertEqual(world.server.counters.drop_frame_malformed, 0)
        stranger.close()
        self.assertEqual(world.server.host._unjoined, set())

    def test_an_oversize_prefix_after_a_bye_changes_nothing(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.wire.say(framed(frames.encode_bye(DisconnectReason.QUIT)) + OVERSIZE)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.QUIT)


class BeforeTheJoinTests(SynchronousTestCase):
    """Only a HELLO may come first, once, and in time."""

    def cut_without_a_word(self, data: bytes) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say(data)
        self.assertEqual((stranger.heard, stranger.ended), (b"", RST))
        self.assertEqual(world.server.events, [])

    def test_garbage_is_cut_without_a_word(self) -> None:
        self.cut_without_a_word(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")

    def test_an_empty_frame_is_cut_without_a_word(self) -> None:
        self.cut_without_a_word(framed(b""))

    def test_a_frame_of_another_kind_is_cut_without_a_word(self) -> None:
        self.cut_without_a_word(framed(frames.encode_say("hello")))

    def test_a_hello_longer_than_allowed_is_cut_at_its_length(self) -> None:
        self.cut_without_a_word((frames.MAX_HELLO_BYTES + 1).to_bytes(4, "big"))

    def test_a_second_hello_ends_the_session_as_bad_data(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.wire.say(HELLO)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.BAD_DATA)
        self.assertEqual(puppet.wire.frames[-1], frames.encode_bye(DisconnectReason.BAD_DATA))

    def test_a_second_hello_before_the_confirmation_lets_nobody_in(self) -> None:
        world = World(self)
        puppet = world.puppet()
        puppet.wire.say(HELLO)
        self.assertEqual(len(world.server.host.registry), 0)
        self.assertNotEqual(puppet.wire.ended, "")
        # The frame shows that ACCEPT was read, so the game may have heard of both ends of it.
        self.assertEqual(len(world.server.of(Joined)), len(world.server.of(Left)))

    def test_a_bye_before_the_hello_is_an_end(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.assertEqual((stranger.heard, stranger.ended), (b"", FIN))
        self.assertEqual(world.server.host._unjoined, set())

    def test_the_join_deadline_is_absolute(self) -> None:
        world = World(self, join_seconds=5.0)
        stranger = world.stranger()
        for place in range(48):
            world.run(0.1)
            stranger.say(HELLO[place : place + 1])
        self.assertEqual(stranger.ended, "")
        world.run(0.3)
        self.assertEqual((stranger.heard, stranger.ended), (b"", RST))

    def test_who_never_confirms_is_cut_at_the_join_deadline(self) -> None:
        world = World(self, join_seconds=5.0)
        puppet = world.puppet()
        world.run(4.9)
        self.assertEqual(puppet.wire.ended, "")
        world.run(0.2)
        self.assertEqual(puppet.wire.ended, RST)
        self.assertEqual(world.server.events, [])
        self.assertEqual(len(world.server.host.registry), 0)

    def test_a_silent_connection_is_cut_at_the_join_deadline(self) -> None:
        world = World(self, join_seconds=5.0)
        stranger = world.stranger()
        world.run(5.1)
        self.assertEqual((stranger.heard, stranger.ended), (b"", RST))
        self.assertEqual(world.server.host._unjoined, set())

    def test_connections_that_leave_before_joining_make_room_for_others(self) -> None:
        world = World(self, max_unjoined=2)
        for _ in range(5):
            world.stranger().close()
            world.stranger().abort()
        self.assertEqual(world.server.host._unjoined, set())
        world.join("ada")


class EndTests(SynchronousTestCase):
    """Whoever is shown out hears why, and is cut if it lingers."""

    def test_a_refusal_arrives_before_the_close(self) -> None:
        world = World(self, max_players=1)
        world.join("ada")
        stranger = world.stranger()
        stranger.say(framed(frames.encode_hello(hello("bob"))))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.FULL)])
        self.assertEqual(stranger.ended, FIN)

    def test_a_refusal_arrives_although_more_is_coming_in(self) -> None:
        world = World(self, max_players=1)
        world.join("ada")
        stranger = world.stranger()
        stranger.transport.write(framed(frames.encode_hello(hello("bob"))))
        for _ in range(50):
            stranger.transport.write(bytes(1_000))
        world.settle()
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.FULL)])
        self.assertEqual(stranger.ended, FIN)

    def test_a_bye_arrives_although_more_is_coming_in(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        world.server.verbs.disconnect(world.server.players["mallory"], "enough")
        for _ in range(50):
            puppet.wire.transport.write(framed(frames.encode_say("more")))
        world.settle()
        self.assertEqual(
            puppet.wire.frames[-1], frames.encode_bye(DisconnectReason.KICKED, "enough")
        )
        self.assertEqual(puppet.wire.ended, FIN)

    def test_a_peer_that_never_closes_is_cut_at_the_close_deadline(self) -> None:
        world = World(self, close_seconds=2.0)
        puppet = world.puppet().confirm()
        world.server.verbs.disconnect(world.server.players["mallory"])
        world.run(1.9)
        self.assertEqual(puppet.wire.ended, FIN)
        self.assertTrue(puppet.wire.transport.connected)
        world.run(0.2)
        self.assertFalse(puppet.wire.transport.connected)
        self.assertEqual(len(world.server.of(Left)), 1)

    def test_a_peer_that_does_not_even_read_is_cut_at_the_close_deadline(self) -> None:
        world = World(self, close_seconds=2.0)
        puppet = world.puppet().confirm()
        puppet.wire.transport.stop_reading()
        world.server.verbs.disconnect(world.server.players["mallory"])
        world.run(2.1)
        self.assertFalse(puppet.wire.transport.connected)

    def test_a_bye_of_a_client_is_answered_by_closing(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        before = len(puppet.wire.frames)
        puppet.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.assertEqual(puppet.wire.frames[before:], [])
        self.assertEqual(puppet.wire.ended, FIN)

    def test_the_last_words_before_a_disconnect_arrive(self) -> None:
        for bridged in (False, True):
            world = World(self, bridged=bridged)
            client = world.join("ada")
            ada = world.server.players["ada"]
            world.server.verbs.send(ada, b"you cheated")
            world.server.verbs.disconnect(ada, "goodbye")
            world.take()
            self.assertEqual([event.payload for event in client.of(Received)], [b"you cheated"])
            self.assertEqual(client.end().text, "goodbye")


class KindTests(SynchronousTestCase):
    """Frames that belong to the other side, or to nobody, end the session."""

    def test_kinds_that_a_client_may_not_send_are_bad_data(self) -> None:
        for kind in (0, Kind.ACCEPT, Kind.REFUSE, Kind.REKEY, Kind.TUNNEL, 13, 255):
            world = World(self)
            puppet = world.puppet().confirm()
            puppet.wire.say_frame(bytes((kind,)) + bytes(8))
            (left,) = world.server.of(Left)
            self.assertEqual(left.reason, DisconnectReason.BAD_DATA, kind)
            self.assertEqual(kinds(puppet.wire.frames)[-1], Kind.BYE, kind)
            self.assertEqual(world.server.counters.drop_frame_unexpected, 1, kind)

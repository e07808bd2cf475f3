"""The TCP end: frames in whatever pieces they come, ends that are final, deadlines that hold."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frame_sums import UNKNOWN, by_kind
from gamenet.core.frames import Kind
from gamenet.core.reliable_half import LONE_ACK_SECONDS
from gamenet.core.states import State
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Chat, Joined, Left, Received
from tests.fakes import FIN, RST, framed
from tests.world import Puppet, World, hello

if TYPE_CHECKING:
    from gamenet.reliable import ReliableProtocol

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


class CountingTests(SynchronousTestCase):
    """Every frame counts for its kind, and every byte for some frame."""

    def test_frames_and_bytes_of_both_ways_by_kind(self) -> None:
        world = World(self)
        puppet = world.puppet().confirm()
        for number in (7, 8):
            puppet.wire.say_frame(frames.encode_ping(Kind.PING, number))
        host = world.server.host
        host.run(world.server.session_of("mallory").queue_frame, frames.encode_say("x" * 100))
        counts, counters = host.turn.frames, world.server.counters
        came = {name: (number, size) for name, number, size in by_kind(counts.came)}
        sent = {name: (number, size) for name, number, size in by_kind(counts.sent)}
        self.assertEqual(came["ping"], (2, 2 * (4 + 5)))
        self.assertEqual(sent["pong"], (2, 2 * (4 + 5)))
        self.assertEqual(sent["say"], (1, 4 + 1 + 100))
        self.assertEqual((came["hello"][0], sent["accept"][0]), (1, 1))
        for found, number, size in (
            (came, counters.frames_in, counters.tcp_bytes_in),
            (sent, counters.frames_out, counters.tcp_bytes_out),
        ):
            self.assertEqual(sum(one[0] for one in found.values()), number)
            self.assertEqual(sum(one[1] for one in found.values()), size)

    def test_whatever_a_peer_writes_first_is_counted_as_unknown(self) -> None:
        for frame in (b"", b"\x00", b"\xff\x01"):
            world = World(self)
            puppet = world.puppet().confirm()
            puppet.wire.say_frame(frame)
            found = by_kind(world.server.host.turn.frames.came)
            self.assertIn((UNKNOWN, 1, 4 + len(frame)), found)
            self.assertEqual(world.server.counters.frames_in, sum(one[1] for one in found))


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
        self.assertEqual(list(world.server.host._unjoined), [])

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
        self.assertEqual(list(world.server.host._unjoined), [])

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
        self.assertEqual(list(world.server.host._unjoined), [])

    def test_connections_that_leave_before_joining_make_room_for_others(self) -> None:
        world = World(self, max_unjoined=2)
        for _ in range(5):
            world.stranger().close()
            world.stranger().abort()
        self.assertEqual(list(world.server.host._unjoined), [])
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
        for kind in (0, Kind.ACCEPT, Kind.REFUSE, Kind.REKEY, 13, 255):
            world = World(self)
            puppet = world.puppet().confirm()
            puppet.wire.say_frame(bytes((kind,)) + bytes(8))
            (left,) = world.server.of(Left)
            self.assertEqual(left.reason, DisconnectReason.BAD_DATA, kind)
            self.assertEqual(kinds(puppet.wire.frames)[-1], Kind.BYE, kind)
            self.assertEqual(world.server.counters.drop_frame_unexpected, 1, kind)

    def test_so_is_garbage_in_one_that_it_may_send(self) -> None:
        for body in (b"", bytes(3), bytes(9), bytes(4) + b"\xff" * 30, bytes(4 + 1_176)):
            world = World(self)
            puppet = world.puppet().confirm()
            puppet.wire.say_frame(bytes((Kind.TUNNEL,)) + body)
            (left,) = world.server.of(Left)
            self.assertEqual(left.reason, DisconnectReason.BAD_DATA, body)
            self.assertEqual(world.server.counters.drop_frame_malformed, 1)
            self.assertEqual(puppet.wire.ended, RST)


class PausingTests(SynchronousTestCase):
    """Who sends more than allowed is read more slowly, and loses nothing."""

    def puppet(self, world: World) -> Puppet:
        return world.puppet().confirm()

    def protocol(self, world: World, name: str = "mallory") -> ReliableProtocol:
        return world.server.host.connection_of(world.server.session_of(name))

    def numbered(self, count: int) -> bytes:
        return b"".join(
            framed(frames.encode_data(False, 0, b"%d" % number)) for number in range(count)
        )

    def heard(self, world: World) -> list[bytes]:
        return [event.payload for event in world.server.of(Received)]

    def test_frames_beyond_the_burst_come_at_the_rate(self) -> None:
        world = World(self, frames_per_second=50.0, frames_burst=100, window_messages=1_000)
        puppet = self.puppet(world)
        world.run(5.0)
        puppet.wire.say(self.numbered(300), chunk=1_000)
        self.assertApproximates(len(self.heard(world)), 100, 1)
        for second in range(1, 4):
            world.run(1.0)
            self.assertApproximates(len(self.heard(world)), 100 + 50 * second, 2)
        world.run(1.1)
        self.assertEqual(self.heard(world), [b"%d" % number for number in range(300)])
        self.assertGreater(world.server.counters.reads_paused, 0)
        self.assertEqual(world.server.of(Left), [])

    def test_so_do_bytes(self) -> None:
        world = World(self, tcp_bytes_per_second=65_600, window_bytes=10_000_000)
        puppet = self.puppet(world)
        sent = [bytes([number]) * 32_800 for number in range(14)]
        puppet.wire.say(b"".join(framed(frames.encode_data(False, 0, each)) for each in sent))
        self.assertApproximates(len(self.heard(world)), 4, 1)
        for second in range(1, 5):
            world.run(1.0)
            self.assertApproximates(len(self.heard(world)), 4 + 2 * second, 1)
        world.run(1.1)
        self.assertEqual(self.heard(world), sent)
        self.assertGreater(world.server.counters.reads_paused, 0)

    def test_so_do_lines_of_chat(self) -> None:
        world = World(self, chats_per_second=5.0)
        puppet = self.puppet(world)
        lines = [f"line {number}" for number in range(25)]
        puppet.wire.say_frame(*[frames.encode_say(line) for line in lines])
        self.assertApproximates(len(world.server.of(Chat)), 5, 1)
        world.run(2.0)
        self.assertApproximates(len(world.server.of(Chat)), 15, 1)
        world.run(2.3)
        self.assertEqual([event.text for event in world.server.of(Chat)], lines)

    def test_no_pause_is_longer_than_a_second(self) -> None:
        world = World(self, frames_per_second=1.0, frames_burst=1, chats_per_second=1.0)
        puppet = self.puppet(world)
        protocol = self.protocol(world)
        puppet.wire.say_frame(*[frames.encode_say(f"{number}") for number in range(8)])
        for count in range(1, 8):
            self.assertLessEqual(len(world.server.of(Chat)), count + 1)
            assert protocol._resuming is not None
            self.assertLessEqual(protocol._resuming.getTime(), world.network.seconds() + 1.0)
            world.run(1.0)
        world.run(1.0)
        self.assertEqual(len(world.server.of(Chat)), 8)

    def test_others_get_their_turn_after_so_many_frames(self) -> None:
        world = World(self, frames_per_read=5, frames_burst=1_000, window_messages=1_000)
        puppets = [world.puppet(name).confirm() for name in ("ada", "bob")]
        for puppet in puppets:
            puppet.wire.transport.write(self.numbered(100))
        began = world.network.seconds()
        world.settle()
        self.assertEqual(world.network.seconds(), began)
        names = [event.player.name for event in world.server.of(Received)]
        self.assertEqual((names.count("ada"), names.count("bob")), (100, 100))
        runs = [len(list(run)) for _, run in groupby(names)]
        self.assertEqual(set(runs), {5})
        for name in ("ada", "bob"):
            heard = [each.payload for each in world.server.of(Received) if each.player.name == name]
            self.assertEqual(heard, [b"%d" % number for number in range(100)])
        # That is no punishment, so it is not counted as one.
        self.assertEqual(world.server.counters.reads_paused, 0)

    def test_a_fast_player_does_not_slow_the_others(self) -> None:
        world = World(self, frames_per_second=10.0, frames_burst=10, window_messages=1_000)
        puppet = self.puppet(world)
        ada = world.join("ada")
        puppet.wire.say(self.numbered(100))
        ada.verbs.say("hello")
        world.settle()
        self.assertEqual([event.text for event in world.server.of(Chat)], ["hello"])

    def test_answers_to_ours_have_ten_times_as_much_room(self) -> None:
        world = World(self, frames_per_second=1.0, frames_burst=101)
        puppet = self.puppet(world)
        world.run(5.0)
        for frame in (frames.encode_ack(0), frames.encode_ping(Kind.PONG, 7)):
            puppet.wire.say_frame(*[frame] * 500)
        self.assertEqual(world.server.counters.reads_paused, 0)
        puppet.wire.say_frame(*[frames.encode_ack(0)] * 20)
        self.assertEqual(world.server.counters.reads_paused, 1)
        world.run(2.0)
        puppet.wire.say_frame(frames.encode_say("hello"))
        self.assertEqual(len(world.server.of(Chat)), 1)
        puppet.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.assertEqual(len(world.server.of(Left)), 1)

    def test_what_comes_while_paused_waits_in_order(self) -> None:
        world = World(self, frames_per_second=10.0, frames_burst=2, window_messages=1_000)
        puppet = self.puppet(world)
        protocol = self.protocol(world)
        data = self.numbered(20)
        # Twisted's TLS hands over what it has deciphered, paused or not.
        for start in range(0, len(data), 7):
            protocol.dataReceived(data[start : start + 7])
        self.assertTrue(protocol.paused)
        self.assertLessEqual(len(self.heard(world)), 3)
        world.run(2.0)
        self.assertEqual(self.heard(world), [b"%d" % number for number in range(20)])
        self.assertEqual(puppet.wire.ended, "")

    def test_a_paused_connection_is_not_read_and_then_is(self) -> None:
        world = World(self, frames_per_second=1.0, frames_burst=1)
        puppet = self.puppet(world)
        ours = puppet.wire.transport.peer
        puppet.wire.say_frame(frames.encode_say("1"), frames.encode_say("2"))
        self.assertTrue(self.protocol(world).paused)
        self.assertFalse(ours.reading)
        world.run(3.0)
        self.assertFalse(self.protocol(world).paused)
        self.assertTrue(ours.reading)

    def test_a_pause_is_worth_its_timer(self) -> None:
        world = World(self, frames_per_second=1_000.0, frames_burst=1)
        puppet = self.puppet(world)
        puppet.wire.transport.write(self.numbered(20))
        world.run(0.019)
        few = len(self.heard(world))
        self.assertLess(few, 5)
        world.run(0.002)
        self.assertGreater(len(self.heard(world)), few)
        world.run(0.5)
        self.assertEqual(len(self.heard(world)), 20)

    def test_who_is_slowed_down_is_not_taken_for_dead(self) -> None:
        world = World(self, frames_per_second=2.0, frames_burst=1, window_messages=1_000)
        puppet = self.puppet(world)
        puppet.wire.say(self.numbered(60))
        world.run(29.0)
        self.assertEqual(world.server.of(Left), [])
        world.run(2.0)
        self.assertEqual(len(self.heard(world)), 60)

    def test_clients_are_not_limited_by_it(self) -> None:
        world = World(self, frames_per_second=1.0, frames_burst=1, window_messages=1_000)
        client = world.join("ada")
        for number in range(600):
            world.server.verbs.send(world.server.players["ada"], b"%d" % number)
        world.settle()
        self.assertEqual(len(client.of(Received)), 600)

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(("data", "say", "ack", "ping")), st.integers(0, 400)),
            max_size=25,
        ),
        st.integers(1, 3_000),
        st.integers(10, 50),
        st.integers(1, 20),
        st.integers(1, 20),
        st.booleans(),
    )
    def test_any_frames_under_any_limits_come_in_order(
        self,
        sent: list[tuple[str, int]],
        chunk: int,
        rate: int,
        burst: int,
        per_read: int,
        leaves: bool,
    ) -> None:
        world = World(
            self,
            frames_per_second=float(rate),
            frames_burst=burst,
            chats_per_second=float(rate // 2),
            frames_per_read=per_read,
            tcp_bytes_per_second=65_600,
        )
        puppet = self.puppet(world)
        data, expected = b"", []
        for number, (kind, size) in enumerate(sent):
            if kind == "data":
                expected.append(b"%d " % number + bytes(size))
                data += framed(frames.encode_data(False, 0, expected[-1]))
            elif kind == "say":
                expected.append(b"line %d" % number)
                data += framed(frames.encode_say(f"line {number}"))
            elif kind == "ack":
                data += framed(frames.encode_ack(0))
            else:
                data += framed(frames.encode_ping(Kind.PING, number))
        puppet.wire.say(data, chunk=chunk)
        if leaves:
            puppet.wire.transport.write(framed(frames.encode_bye(DisconnectReason.QUIT)))
            puppet.wire.transport.loseWriteConnection()
        world.run(len(sent) / (rate // 2) + 1.0)
        heard = [
            event.payload if isinstance(event, Received) else event.text.encode()
            for event in world.server.events
            if isinstance(event, Received | Chat)
        ]
        self.assertEqual(heard, expected)
        reasons = [event.reason for event in world.server.of(Left)]
        self.assertEqual(reasons, [DisconnectReason.QUIT] if leaves else [])
        world.close()

    # The end in the middle of it.

    def paused(self, last: bytes = b"", **fields: Any) -> tuple[World, Puppet]:
        """A connection that is paused with frames of which some came and some wait."""
        world = World(
            self,
            **{
                "frames_per_second": 10.0,
                "frames_burst": 5,
                "window_messages": 1_000,
                **fields,
            },
        )
        puppet = self.puppet(world)
        puppet.wire.say(self.numbered(40) + last)
        self.assertTrue(self.protocol(world).paused)
        self.assertLess(len(self.heard(world)), 10)
        return world, puppet

    def test_a_player_who_is_shown_out_hears_why(self) -> None:
        world, puppet = self.paused()
        heard = len(self.heard(world))
        ours = puppet.wire.transport.peer
        world.server.verbs.disconnect(world.server.players["mallory"], "enough")
        self.assertTrue(ours.reading)
        world.settle()
        self.assertEqual(
            puppet.wire.frames[-1], frames.encode_bye(DisconnectReason.KICKED, "enough")
        )
        self.assertEqual(puppet.wire.ended, FIN)
        puppet.wire.close()
        world.run(2.0)
        self.assertFalse(ours.connected)
        self.assertEqual(len(self.heard(world)), heard)

    def test_one_who_does_not_close_is_cut_in_time(self) -> None:
        world, puppet = self.paused(close_seconds=2.0)
        world.server.verbs.disconnect(world.server.players["mallory"])
        puppet.wire.transport.stop_reading()
        world.run(2.1)
        self.assertFalse(puppet.wire.transport.peer.connected)

    def test_a_player_who_leaves_is_heard_to_the_end(self) -> None:
        world, puppet = self.paused()
        puppet.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT, "bye"))
        puppet.wire.transport.loseWriteConnection()
        world.run(5.0)
        self.assertEqual(self.heard(world), [b"%d" % number for number in range(40)])
        (left,) = world.server.of(Left)
        self.assertEqual((left.reason, left.text), (DisconnectReason.QUIT, "bye"))

    def test_the_frame_that_ends_it_pauses_nothing(self) -> None:
        for frame in (frames.encode_bye(DisconnectReason.QUIT), frames.encode_ack(9)):
            world = World(self, frames_per_read=1)
            puppet = self.puppet(world)
            world.run(1.0)
            protocol = self.protocol(world)
            protocol.dataReceived(framed(frame))
            self.assertFalse(protocol.paused)
            self.assertIs(protocol._resuming, None)
            self.assertTrue(puppet.wire.transport.peer.reading)
            world.close()

    def test_a_reset_in_the_middle_leaves_nothing_behind(self) -> None:
        world, puppet = self.paused()
        resuming = self.protocol(world)._resuming
        ours = puppet.wire.transport.peer
        puppet.wire.abort()
        world.settle()
        self.assertFalse(ours.connected)
        self.assertFalse(resuming is None or resuming.active())
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.SESSION_LOST)
        world.close()

    def test_bad_input_in_the_middle_ends_it_there(self) -> None:
        world, puppet = self.paused()
        puppet.wire.say(OVERSIZE + bytes(100))
        self.assertEqual(world.server.of(Left), [])
        world.run(6.0)
        self.assertEqual(len(self.heard(world)), 40)
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.BAD_DATA)

    def test_nothing_is_kept_of_what_comes_after_the_end(self) -> None:
        world, puppet = self.paused()
        protocol = self.protocol(world)
        world.server.verbs.disconnect(world.server.players["mallory"])
        world.settle()
        self.assertEqual(protocol._unprocessed, b"")
        protocol.dataReceived(self.numbered(10))
        self.assertEqual(protocol._unprocessed, b"")
        events = len(world.server.events)
        world.run(1.5)
        self.assertFalse(protocol.paused)
        self.assertEqual(len(world.server.events), events)
        self.assertNotEqual(puppet.wire.ended, "")

    def test_a_stopping_server_waits_for_no_pause(self) -> None:
        world, puppet = self.paused()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.settle()
        self.assertEqual(puppet.wire.frames[-1], frames.encode_bye(DisconnectReason.STOPPED))
        world.close()


class UnreadTests(SynchronousTestCase):
    """A peer that does not read makes nobody hoard, and hears all once it does."""

    def puppet(self, **fields: Any) -> tuple[World, Puppet]:
        world = World(self, **fields)
        puppet = world.puppet().confirm()
        puppet.wire.transport.stop_reading()
        return world, puppet

    def written(self, puppet: Puppet) -> int:
        return len(puppet.wire.transport.peer.written)

    def test_answers_to_one_that_never_reads_are_bounded(self) -> None:
        world, puppet = self.puppet(frames_per_second=1e6, frames_burst=1_000_000)
        protocol = world.server.host.connection_of(world.server.session_of("mallory"))
        self.assertTrue(protocol.writable)
        self.pile(world, puppet)
        self.assertFalse(protocol.writable)
        before = self.written(puppet)
        for number in range(3_000):
            puppet.wire.transport.write(framed(frames.encode_ping(Kind.PING, number)))
            world.settle()
        self.assertEqual(self.written(puppet), before)
        # What it says is taken all the same.
        puppet.wire.transport.write(framed(frames.encode_say("still here")))
        world.settle()
        self.assertEqual([event.text for event in world.server.of(Chat)], ["still here"])
        puppet.wire.transport.read_again()
        self.assertTrue(protocol.writable)
        world.run(LONE_ACK_SECONDS + 0.1)
        self.assertLess(self.written(puppet) - before, 100)
        answers = [frame for frame in puppet.wire.frames if frame[0] in (Kind.PONG, Kind.ACK)]
        self.assertEqual(
            sorted(answers), [frames.encode_ack(1), frames.encode_ping(Kind.PONG, 2_999)]
        )

    def test_acks_are_made_up_for_with_one(self) -> None:
        world, puppet = self.puppet(
            frames_per_second=1e6, frames_burst=1_000_000, window_messages=10_000
        )
        self.pile(world, puppet)
        before = self.written(puppet)
        for number in range(6_000):
            puppet.wire.transport.write(framed(frames.encode_data(False, 0, b"%d" % number)))
            if number % 100 == 0:
                world.run(0.1)
        world.run(0.1)
        self.assertEqual(len(world.server.of(Received)), 6_000)
        self.assertEqual(self.written(puppet), before)
        puppet.wire.transport.read_again()
        world.run(0.1)
        acks = [frame for frame in puppet.wire.frames if frame[0] == Kind.ACK]
        self.assertEqual(acks, [frames.encode_ack(6_000)])
        self.assertEqual(world.server.of(Left), [])

    def pile(self, world: World, puppet: Puppet) -> None:
        """Have the server's writes pile up."""
        world.server.verbs.send(world.server.players["mallory"], bytes(65_000))
        world.server.verbs.send(world.server.players["mallory"], bytes(65_000))
        world.settle()

    def test_messages_to_one_that_never_reads_wait_where_they_are_counted(self) -> None:
        world, puppet = self.puppet(slow_seconds=1_000.0, dead_seconds=100.0)
        player = world.server.players["mallory"]
        for number in range(1_000):
            world.server.verbs.send(player, b"%d " % number + bytes(990))
            world.settle()
        self.assertLess(self.written(puppet), 65_536 + 3_000)
        puppet.wire.transport.read_again()
        world.settle()
        received = 0
        for _ in range(50):
            payloads = [frame for frame in puppet.wire.frames if frame[0] == Kind.DATA]
            if len(payloads) > received:
                received = len(payloads)
                puppet.wire.say_frame(frames.encode_ack(received))
            world.run(0.1)
        numbers = [int(frame[3:].split(b" ")[0]) for frame in puppet.wire.frames if frame[0] == 4]
        self.assertEqual(numbers, [*range(1_000)])

    def test_pings_to_it_do_not_pile_up(self) -> None:
        world, puppet = self.puppet()
        self.pile(world, puppet)
        before = self.written(puppet)
        for _ in range(300):
            puppet.wire.transport.write(framed(frames.encode_ack(0)))
            world.run(2.0)
        self.assertEqual(world.server.of(Left), [])
        self.assertEqual(self.written(puppet), before)
        session = world.server.session_of("mallory")
        self.assertLessEqual(len(session._control_frames), 8)
        puppet.wire.transport.read_again()
        self.assertLess(self.written(puppet) - before, 200)

    def test_the_last_word_is_written_all_the_same(self) -> None:
        world, puppet = self.puppet()
        self.pile(world, puppet)
        world.server.verbs.disconnect(world.server.players["mallory"], "enough")
        world.settle()
        puppet.wire.transport.read_again()
        self.assertEqual(
            puppet.wire.frames[-1], frames.encode_bye(DisconnectReason.KICKED, "enough")
        )
        self.assertEqual(puppet.wire.ended, FIN)

    def test_a_client_that_never_reads_holds_its_own_back_too(self) -> None:
        world = World(self)
        client = world.join("ada")
        transport = client.transport
        assert transport is not None
        transport.peer.stop_reading()
        for _ in range(20):
            client.verbs.send(bytes(10_000))
            world.settle()
        self.assertLess(len(transport.written), 65_536 + 20_000)
        transport.peer.read_again()
        world.run(0.5)
        self.assertEqual(len(world.server.of(Received)), 20)

    def test_to_be_told_before_the_join_does_no_harm(self) -> None:
        world = World(self)
        stranger = world.stranger()
        producer = stranger.transport.peer.producer
        producer.pauseProducing()
        producer.resumeProducing()
        stranger.say(HELLO)
        self.assertEqual(stranger.frames[0][0], Kind.ACCEPT)

    def test_to_be_told_after_the_end_does_no_harm(self) -> None:
        world, puppet = self.puppet()
        self.pile(world, puppet)
        transport = puppet.wire.transport.peer
        producer = transport.producer
        world.server.verbs.disconnect(world.server.players["mallory"])
        self.assertIs(transport.producer, None)
        sent = self.written(puppet)
        for told in (producer.resumeProducing, producer.pauseProducing, producer.stopProducing):
            told()
            world.settle()
        self.assertEqual(self.written(puppet), sent)


class ProducerTests(SynchronousTestCase):
    """No transport waits for a producer that will never write again."""

    def test_none_is_left_after_any_end(self) -> None:
        ends = {
            "kicked": lambda world, puppet: world.server.verbs.disconnect(
                world.server.players["mallory"]
            ),
            "left": lambda world, puppet: puppet.wire.say_frame(
                frames.encode_bye(DisconnectReason.QUIT)
            ),
            "reset": lambda world, puppet: puppet.wire.abort(),
            "closed": lambda world, puppet: puppet.wire.close(),
            "bad": lambda world, puppet: puppet.wire.say(OVERSIZE),
            "breach": lambda world, puppet: puppet.wire.say_frame(frames.encode_ack(9)),
            "stopped": lambda world, puppet: world.server.host.end_all(DisconnectReason.STOPPED),
        }
        for name, end in ends.items():
            world = World(self)
            puppet = world.puppet().confirm()
            ours = puppet.wire.transport.peer
            self.assertIsNot(ours.producer, None)
            end(world, puppet)
            world.settle()
            self.assertIs(ours.producer, None, name)
            world.close()

    def test_nor_after_a_refusal_or_a_missed_deadline(self) -> None:
        world = World(self, game_name="tag/1", join_seconds=5.0)
        refused, silent, broken = (world.stranger() for _ in range(3))
        refused.say_frame(frames.encode_hello(hello("ada", game="chess/1")))
        broken.say(b"GET / HTTP/1.1\r\n\r\n")
        world.run(5.1)
        for stranger in (refused, silent, broken):
            self.assertIs(stranger.transport.peer.producer, None)

    def test_nor_at_a_client(self) -> None:
        for leaves in (True, False):
            world = World(self)
            client = world.join("ada")
            transport = client.transport
            assert transport is not None
            self.assertIsNot(transport.producer, None)
            if leaves:
                client.host.leave()
            else:
                world.server.verbs.disconnect(world.server.players["ada"])
            world.settle()
            self.assertIs(transport.producer, None)

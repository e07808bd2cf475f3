"""Who tries to get at a session that waits, or breaks the rules of one of their own."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core.frames import Kind, Resume
from gamenet.core.wire import ACKS, MAX_BODY_BYTES
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Left, Received, Resumed, Suspended
from tests.promises.state import state_of
from tests.world import ClientEnd, Puppet, World, hello

ATTEMPTS = 10_000
NO_LIMITS = {"accepts_per_second": 1e9, "accepts_burst": 1_000_000, "max_unjoined": 10_000}


class TokenTests(SynchronousTestCase):
    """Ten thousand tokens that are not good, and the owner comes back all the same."""

    def begin(self, **fields: Any) -> tuple[World, ClientEnd, Any]:
        world = World(self, resume_seconds=600.0, **NO_LIMITS, **fields)
        ada = world.join("ada", redials=True)
        ada.verbs.send(b"before")
        world.server.verbs.send(world.server.players["ada"], b"before")
        world.play(0.2)
        return world, ada, world.server.session_of("ada")

    def beside(self, world: World) -> list[str]:
        """What the server keeps of players beside their sessions."""
        host = world.server.host
        kept = (host.claims, host._away, host.seats, host.datagram_routes, host.newcomers)
        return [state_of(each) for each in (*kept, host._came_as, host._bans)]

    def knock(self, world: World, back: Resume, cut: int = 0) -> None:
        """One attempt to resume, which is refused or cut, and leaves nothing."""
        stranger = world.stranger()
        frame = frames.encode_hello(hello("ada", resume=back))
        stranger.say_frame(frame[: len(frame) - cut])
        wanted = [] if cut else [frames.encode_refuse(RefusalReason.NO_SESSION)]
        self.assertEqual(stranger.frames, wanted, back)
        stranger.abort()
        world.strangers.clear()

    def bad(self, world: World, session: Any, good: bytes, dice: Random) -> Resume:
        """A claim with one thing wrong."""
        other = world.server.session_of("eve")
        received = session.outgoing.acknowledged
        flipped = bytearray(good)
        flipped[dice.randrange(32)] ^= 1 << dice.randrange(8)
        return dice.choice(
            (
                Resume(session.session_id, dice.randbytes(32), received),
                Resume(session.session_id, bytes(flipped), received),
                Resume(session.session_id, bytes(32), received),
                Resume(other.session_id, good, received),
                Resume(dice.randbytes(16), good, received),
                Resume(session.session_id, good, session.outgoing.sent + dice.randrange(1, 99)),
                Resume(session.session_id, good, 2**64 - 1),
            )
        )

    def check(self, *, suspended: bool) -> None:
        world, ada, session = self.begin()
        world.join("eve")
        dice = Random(5)
        used = ada.host._token
        # One return, so that there is a token that was good once.
        ada.transport.abortConnection()
        world.play(2.0)
        good = ada.host._token
        self.assertNotEqual(good, used)
        if suspended:
            ada.host.dialler.stop()
            ada.transport.abortConnection()
            world.settle()
        before, others = state_of(session), self.beside(world)
        events = len(world.server.events)
        for number in range(ATTEMPTS):
            if number % 50 == 0:
                self.knock(world, Resume(session.session_id, used, 0))
                self.knock(world, Resume(session.session_id, good, 0), cut=dice.randrange(1, 56))
            else:
                self.knock(world, self.bad(world, session, good, dice))
        self.assertEqual(state_of(session), before)
        self.assertEqual(self.beside(world), others)
        self.assertEqual(len(world.server.events), events)
        self.assertEqual(world.server.counters.resumes_refused, ATTEMPTS)
        if suspended:
            ada.host.dialler.again()
        else:
            ada.transport.abortConnection()
        ada.verbs.send(b"after")
        world.play(2.0)
        self.assertEqual(len(world.server.of(Resumed)), 2)
        heard = [event.payload for event in world.server.of(Received)]
        self.assertEqual(heard, [b"before", b"after"])

    def test_while_the_owner_is_away(self) -> None:
        self.check(suspended=True)

    def test_while_the_owner_plays(self) -> None:
        self.check(suspended=False)

    def test_a_good_token_on_a_connection_of_another_kind(self) -> None:
        world, ada, session = self.begin()
        before = state_of(session)
        world.server.host._stays[session.player.id].secure = True
        self.knock(world, Resume(session.session_id, ada.host._token, 1))
        self.assertEqual(state_of(session), before)


class BreachTests(SynchronousTestCase):
    """What a joined peer may not do ends its session with a reason, and leaves nothing."""

    def begin(self) -> tuple[World, Puppet]:
        world = World(self, resume_seconds=60.0, window_messages=8, window_bytes=70_000)
        world.join("ada")
        return world, world.puppet("mallory").confirm()

    def check_ended(self, world: World, puppet: Puppet, *, told: bool = True) -> None:
        """Mallory is out as BAD_DATA and cannot come back; ada plays on."""
        world.settle()
        (left,) = world.server.of(Left)
        self.assertEqual((left.player.name, left.reason), ("mallory", DisconnectReason.BAD_DATA))
        byes = [frame for frame in puppet.wire.frames if frame[0] == Kind.BYE]
        self.assertEqual(len(byes), int(told))
        self.assertEqual(world.server.of(Suspended), [])
        self.assertEqual([each.name for each in world.server.verbs.players], ["ada"])
        self.assertEqual(len(world.server.host.registry), 1)
        self.assertNotIn(puppet.accept.cid, world.server.host.datagram_routes)

    def test_an_ack_of_what_was_never_sent(self) -> None:
        world, puppet = self.begin()
        puppet.wire.say_frame(frames.encode_ack(1))
        self.check_ended(world, puppet)

    def test_an_ack_that_is_taken_back(self) -> None:
        world, puppet = self.begin()
        world.server.verbs.send(world.server.players["mallory"], b"x")
        world.settle()
        puppet.wire.say_frame(frames.encode_ack(1), frames.encode_ack(0))
        self.check_ended(world, puppet)

    def test_a_second_hello(self) -> None:
        world, puppet = self.begin()
        puppet.wire.say_frame(frames.encode_hello(hello("mallory")))
        self.check_ended(world, puppet)

    def test_a_second_hello_that_resumes_ones_own_session(self) -> None:
        world, puppet = self.begin()
        back = Resume(puppet.accept.session_id, puppet.accept.resume_token, 0)
        puppet.wire.say_frame(frames.encode_hello(hello("mallory", resume=back)))
        self.check_ended(world, puppet)

    def test_a_window_overrun(self) -> None:
        world = World(self, bridged=True, window_messages=8)
        puppet = world.puppet("mallory").confirm()
        # The game takes nothing, so nothing is acknowledged.
        for number in range(9):
            puppet.wire.say_frame(frames.encode_data(False, 0, b"%d" % number))
        world.take()
        world.settle()
        (left,) = world.server.of(Left)
        self.assertEqual(left.reason, DisconnectReason.BAD_DATA)
        self.assertEqual(len(world.server.of(Received)), 8)

    def test_garbage_in_a_tunnel_is_the_end_or_changes_nothing(self) -> None:
        dice = Random(3)
        for size in (0, 5, 6, 7, 30, 300, MAX_BODY_BYTES, MAX_BODY_BYTES + 1):
            world, puppet = self.begin()
            body = dice.randbytes(size)
            puppet.wire.say_frame(bytes((Kind.TUNNEL,)) + bytes(4) + body)
            world.settle()
            if world.server.of(Left):
                self.check_ended(world, puppet, told=False)
            else:
                self.assertEqual(world.server.of(Received), [])
            world.close()

    def test_acks_in_a_tunnel_of_what_was_never_sent_are_counted(self) -> None:
        world, puppet = self.begin()
        puppet.wire.say_frame(frames.encode_tunnel(0, ACKS.pack(900, 0xFFFFFFFF)))
        self.assertEqual(world.server.counters.acks_of_unsent, 1)
        self.assertEqual(world.server.of(Left), [])

    def test_a_tunnel_frame_that_came_already_is_dropped(self) -> None:
        world, puppet = self.begin()
        before = world.server.counters.tunnel_delivered
        frame = frames.encode_tunnel(7, ACKS.pack(0xFFFF, 0) + b"\x44hello")
        puppet.wire.say_frame(frame, frame)
        self.assertEqual(world.server.counters.drop_tunnel_replayed, 1)
        self.assertEqual(world.server.counters.tunnel_delivered, before + 1)
        self.assertEqual(world.server.of(Left), [])

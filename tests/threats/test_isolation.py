"""What one player sends, or breaks, is no other's loss; and no bytes are ever run."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.scripts.twistd import ServerOptions
from twisted.trial.unittest import SynchronousTestCase

from gamenet.core import frames
from gamenet.core import ticket as ticket_module
from gamenet.core.server_session import ServerSession
from gamenet.core.ticket import TicketError, read_ticket, sign_ticket
from gamenet.core.window import MAX_NUMBER
from gamenet.core.wire import ACKS, DatagramKind, MessageType
from gamenet.credentials import IPlayerAvatar
from gamenet.errors import DisconnectReason, RefusalReason
from gamenet.events import Chat, Event, Input, Joined, Left, Received, Unreliable
from gamenet.low_latency import LowLatencyProtocol
from gamenet.messages import Message
from gamenet.ports import BudgetedPort
from tests.threats.attack import ThreatCase, send_input
from tests.world import World

ROOT = Path(__file__).parent.parent.parent
LARGEST = 0xFFFF_FFFF


class CrossClientTests(ThreatCase):
    """One player's numbers are that player's alone."""

    def test_hugeNumbersOfOneSilenceNobody(self) -> None:
        others = [self.ada, self.world.join("bob"), self.world.join("eve")]
        mallory = self.world.puppet().confirm().bind()
        for number in range(100):
            if number == 10:
                send_input(mallory, LARGEST)
            elif number == 20:
                mallory.sealer.number, mallory.sealer.stop = MAX_NUMBER - 2, MAX_NUMBER
                send_input(mallory, LARGEST)
            elif number == 30:
                mallory.send(DatagramKind.DATA, ACKS.pack(0xFFFF, LARGEST))
            elif number == 40:
                mallory.wire.say_frame(frames.encode_ping(frames.Kind.PING, LARGEST))
            for client in others:
                client.verbs.send_input(number & 7)
            for player in self.world.server.players.values():
                self.world.server.verbs.send_state(player, bytes((number,)))
            self.world.run(1 / 30)
        for name in ("ada", "bob", "eve"):
            numbers = [event.number for event in self.inputs_of(name)]
            self.assertEqual(numbers, list(range(1, 101)))
        for client in others:
            self.assertEqual(client.host.state.payload, bytes((99,)))
        self.assertEqual([event.number for event in self.inputs_of("mallory")], [LARGEST])

    def test_theEndOfOneSessionIsOneEnd(self) -> None:
        for number, frame in enumerate(
            (
                frames.encode_ack(LARGEST),
                b"\xff",
                b"",
                frames.encode_rekeyed(LARGEST),
                frames.encode_rekey(1, bytes(32)),
                frames.encode_bye(DisconnectReason.GAME_ERROR),
            )
        ):
            mallory = self.world.puppet(f"mallory{number}").confirm().bind()
            mallory.wire.say_frame(frame)
            self.assertEqual(len(self.world.server.of(Left)), number + 1, frame)
            self.assertTrue(self.ada.joined)


class BrokenSink:
    """A game that fails on everything that one player does."""

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.failed: list[type[Event]] = []

    def offer(self, event: Event) -> bool:
        """Take *event*, or fail."""
        if event.player.name == "mallory":
            self.failed.append(type(event))
            raise ZeroDivisionError(f"a defect of the game: {event.player.name}")
        taken: bool = self.recorder.offer(event)
        return taken


class ExceptionTests(ThreatCase):
    """Whatever raises, wherever, harms the one whose doing it was."""

    def test_aGameThatFailsOnOnePlayersEvents(self) -> None:
        sink = BrokenSink(self.world.server.recorder)
        self.world.server.host.sink._sink = sink
        mallory = self.world.puppet().confirm().bind()
        send_input(mallory, 1)
        mallory.send_messages((MessageType.UNRELIABLE, b"x"))
        mallory.wire.say_frame(frames.encode_say("hello"), frames.encode_data(False, 0, b"x"))
        mallory.wire.say_frame(frames.encode_bye(DisconnectReason.QUIT))
        self.assertLessEqual({Joined, Input, Unreliable, Chat, Received, Left}, set(sink.failed))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), len(sink.failed))
        self.check_unharmed(self.ada)

    def test_aDefectInOneSession(self) -> None:
        """As if our own code failed on what one player has sent."""
        for name in ("receive_frame", "tick", "datagrams_to_send", "frames_to_send"):
            original = getattr(ServerSession, name)

            def breaks(session: Any, *given: Any, original: Any = original) -> Any:
                if session.player.name.startswith("mallory"):
                    raise ZeroDivisionError
                return original(session, *given)

            mallory = self.world.puppet(f"mallory-{name}").confirm().bind()
            undo = self.patch(ServerSession, name, breaks)
            # Whoever comes after the broken one gets their turn as well.
            late = self.world.join(f"late-{name}")
            mallory.wire.say_frame(frames.encode_ping(frames.Kind.PING, 1))
            send_input(mallory, 1)
            self.world.run(3.0)
            next_tick = self.session(f"late-{name}").next_tick
            self.assertGreater(next_tick, self.world.network.seconds() - 0.2)
            self.check_unharmed(self.ada)
            self.check_unharmed(late)
            mallory.wire.abort()
            undo.restore()
            self.assertGreaterEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1, name)
            self.assertNotIn(f"mallory-{name}", self.world.server.players)

    def test_aDefectThatADatagramMeets(self) -> None:
        mallory = self.world.puppet().confirm().bind()
        original = ServerSession.receive_datagram

        def breaks(session: Any, *given: Any) -> None:
            if session.player.name == "mallory":
                raise ZeroDivisionError
            original(session, *given)

        bad = mallory.seal(DatagramKind.DATA, ACKS.pack(0xFFFF, 0))
        self.patch(ServerSession, "receive_datagram", breaks)
        protocol = LowLatencyProtocol(self.world.server.host)
        port = BudgetedPort(0, protocol, "127.0.0.1", self.world.server.machine, 64, 4_096)
        socket = Datagrams([bad, b"x"] * 50)
        port.socket = socket  # type: ignore[assignment]
        protocol.transport = port
        read = self.counters.datagrams_in
        for _ in range(60):
            port.doRead()
        self.assertEqual(socket.left, [])
        self.assertEqual(self.counters.datagrams_in - read, 100)
        self.assertEqual(self.counters.drop_datagram_defect, 50)
        # Logged once: whoever can cause it can cause it often.
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.check_unharmed(self.ada)

    def test_portalsThatFailInEveryWay(self) -> None:
        class Avatar:
            @property
            def account(self) -> str:
                raise ZeroDivisionError

        def logout() -> None:
            raise ZeroDivisionError

        answers: list[Any] = [
            (IPlayerAvatar, Avatar(), lambda: None),
            (IPlayerAvatar, None, logout),
            ZeroDivisionError(),
            None,
        ]

        class Fails:
            def login(self, *given: Any) -> Any:
                if isinstance(answers[0], Exception):
                    raise answers.pop(0)
                return answers.pop(0)

        world = World(self, portal=Fails())
        refusals = []
        while answers:
            client = world.client("ada")
            world.settle()
            if client.joined:
                client.host.leave()
                world.settle()
            else:
                refusals.append(client.end().refusal)
        self.assertEqual(refusals, [RefusalReason.INTERNAL] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)
        self.assertEqual(len(self.flushLoggedErrors()), 1)


class Datagrams:
    """A socket that has these, and then nothing."""

    def __init__(self, left: list[bytes]) -> None:
        self.left = left

    def recvfrom(self, size: int) -> tuple[bytes, tuple[str, int]]:
        if not self.left:
            raise BlockingIOError
        return self.left.pop(0)[:size], ("203.0.113.66", 6_666)


class Say(Message):
    """A message, so that there is a decoder to attack."""

    text: str


class UnsafeDecodingTests(SynchronousTestCase):
    """Bytes are data, and never more work than they are long."""

    def test_theLinterForbidsWhatRunsBytes(self) -> None:
        for code, rule in (
            ("import pickle\npickle.loads(b'')\n", "S301"),
            ("import pickle\n", "TID251"),
            ("import marshal\nmarshal.loads(b'')\n", "S302"),
            ("import dill\n", "TID251"),
            ("import shelve\n", "TID251"),
            ("import yaml\nyaml.load('')\n", "S506"),
            ("import yaml\n", "TID251"),
            ("from twisted.spread import jelly\n", "TID251"),
            ("from twisted.persisted import aot\n", "TID251"),
            ("eval('1')\n", "S307"),
            ("exec('1')\n", "S102"),
            ("import subprocess\nsubprocess.run('x', shell=True)\n", "S602"),
            ("import xml.etree.ElementTree\nxml.etree.ElementTree.fromstring('')\n", "S314"),
        ):
            done = subprocess.run(
                [sys.executable, "-m", "ruff", "check", "--output-format=concise",
                 "--stdin-filename", "gamenet/core/wire.py", "-"],
                cwd=ROOT,
                input=code,
                capture_output=True,
                text=True,
                check=False,
            )  # fmt: skip
            self.assertEqual(done.returncode, 1, code + done.stderr)
            self.assertIn(rule, done.stdout, code)

    def test_bombsAreRefusedUnopened(self) -> None:
        world = World(self, messages=(Say,))
        schema = world.server.host.codec.schema_hash
        ada = world.join("ada")
        for index, bomb in enumerate(
            (
                b"\x91" * 60_000,
                b"\x81" * 60_000,
                b"\x92\xa3Say" + b"\x91" * 60_000,
                b"\xdd\xff\xff\xff\xff",
                b"\xdf\xff\xff\xff\xff",
                b"\x92\xa3Say\xdb\xff\xff\xff\xffx",
                b"\x92\xa3Say\xc6\xff\xff\xff\xffx",
                b"\xc9\xff\xff\xff\xff\x01",
            )
        ):
            mallory = world.puppet(f"m{index}", schema_hash=schema).confirm()
            mallory.wire.say_frame(frames.encode_data(True, 0, bomb))
            self.assertEqual(world.server.of(Left)[-1].reason, DisconnectReason.BAD_DATA)
        self.assertEqual(world.server.of(Received), [])
        self.assertTrue(ada.joined)

    def test_nothingInATicketIsLookedAtBeforeItsSignature(self) -> None:
        looked: list[bytes] = []
        for name in ("_decode_header", "_decode_claims"):
            original = getattr(ticket_module, name)
            self.patch(
                ticket_module,
                name,
                lambda data, original=original: (looked.append(data), original(data))[1],
            )
        key, other = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        claims = ticket_module.Claims(sub="ada", aud="arena", exp=time.time(), jti="1")
        for data in (
            sign_ticket(other, claims),
            sign_ticket(key, claims)[:-3] + b"AAA",
            b"eyJhbGciOiJub25lIn0.e30." + b"A" * 86,
            b"a.b.c",
            b"",
        ):
            error = self.assertRaises(TicketError, read_ticket, data, key.public_key())
            self.assertEqual(error.refusal, RefusalReason.TICKET_INVALID)
        self.assertEqual(looked, [])
        read_ticket(sign_ticket(key, claims), key.public_key())
        self.assertEqual(len(looked), 2)

    def test_nestedClaimsAreRefused(self) -> None:
        key = Ed25519PrivateKey.generate()
        for body in (b'{"sub":' + b"[" * 700, b"[" * 1_000, b'{"exp":1e999999}', b"{}", b"1"):
            signed = b".".join(ticket_module._encode(part) for part in (b'{"alg":"EdDSA"}', body))
            data = signed + b"." + ticket_module._encode(key.sign(signed))
            error = self.assertRaises(TicketError, read_ticket, data, key.public_key())
            self.assertEqual(error.refusal, RefusalReason.TICKET_INVALID)

    def test_messagesOfTheGameAreDecodedByTheirDeclarationOnly(self) -> None:
        world = World(self, messages=(Say,))
        mallory = world.puppet(schema_hash=world.server.host.codec.schema_hash).confirm()
        good = msgspec.msgpack.encode(["Say", "hello"])
        mallory.wire.say_frame(frames.encode_data(True, 0, good))
        (event,) = world.server.of(Received)
        self.assertEqual(event.payload, Say("hello"))


class DaemonTests(SynchronousTestCase):
    """``twistd`` can keep a process's objects in a pickle file, and read them again."""

    def test_noStateIsEverSavedOrRead(self) -> None:
        self.patch(sys, "path", [*sys.path])
        options = ServerOptions()
        options.parseOptions(["-n", "gamenet", "--insecure", "--app-dir", str(ROOT)])
        self.assertTrue(options["no_save"])
        self.assertEqual(options.subCommand, "gamenet")

"""The log: one clean line for whatever a peer sends, and no secret in any of them."""

from __future__ import annotations

import json
import unicodedata
from base64 import b64encode, urlsafe_b64encode
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import eventAsJSON
from twisted.trial.unittest import SynchronousTestCase

from gamenet import joining
from gamenet.auth import PlayerRealm, public
from gamenet.config import ServerConfig
from gamenet.core import frames, record
from gamenet.core.password import make_record
from gamenet.core.ticket import Claims, sign_ticket
from gamenet.credentials import Secret, Ticket
from gamenet.errors import DisconnectReason, RefusalReason, WireError
from gamenet.events import Chat, Left, Received
from gamenet.faults import MAX_LOGGED
from gamenet.messages import Message
from gamenet.passwords import Accounts, PasswordChecker
from gamenet.tickets import TicketChecker, TicketIssuer
from tests.fakes import framed
from tests.threats.attack import NO_ACCEPT_LIMITS, Log, hang_up
from tests.world import World, hello

if TYPE_CHECKING:
    from tests.fakes import Stranger

EVIL = (
    "fine\r\n2031-01-01 00:00:00 [gamenet] the server was taken over",
    "fine\r2031-01-01 overwritten",
    "\x1b[2J\x1b]0;owned\x07\x1b[31m",
    "a\u2028b\u2029c\x85d\x0be\x0cf",
    "\u202egnp.exe",
    "a\x00b",
    "\x9b31mred",
    "\ufeff\u200b\u2066x",
    "{log_namespace} {log_failure!r} {0} {} {missing} {password}",
    "{} {{ }} {{}} %s %d %(name)s",
    "x" * 60_000,
    "\ud7ff\ue000\U0010ffff",
)
"""What could break a line, a terminal or a formatter."""
PASSWORD, WRONG = "correct-horse-battery", "wrong-horse-battery"


def acts(text: str) -> list[str]:
    """The characters of *text* that do more than stand there."""
    return [
        ascii(character)
        for character in text
        if unicodedata.category(character) in {"Cc", "Cs", "Cf", "Zl", "Zp"}
        and character not in "\u200c\u200d"
    ]


class Say(Message):
    """A message with text of which the game thinks ill."""

    text: str

    def __post_init__(self) -> None:
        raise ValueError(f"no such command: {self.text}")


class AtOnce:
    """A login pool that works at once."""

    def run(self, call: Any, *arguments: Any) -> Deferred[Any]:
        return maybeDeferred(call, *arguments)


class InjectionTests(SynchronousTestCase):
    """Every string that a peer can send, with everything that a line cannot hold."""

    def setUp(self) -> None:
        self.log = Log(self)

    def check_clean(self, least: int) -> list[str]:
        """What is in the log are lines, each readable, at least so many."""
        for event in self.log.events:
            # What machines read must not choke on it either.
            json.loads(eventAsJSON(event))
        lines = self.log.lines
        for line in lines:
            self.assertTrue(line.isprintable(), ascii(line))
            self.assertLess(len(line), 300)
            self.assertNotIn("Unable to format", line)
            self.assertNotIn("Traceback", line)
        self.assertGreaterEqual(len(lines), least)
        return lines

    def say(self, world: World, *data: bytes) -> Stranger:
        """Somebody new says frames."""
        stranger = world.stranger()
        stranger.say_frame(*data)
        return stranger

    def test_everyStringOfAJoin(self) -> None:
        world = World(self, game_name="tag/1", portal=Portal(PlayerRealm()))
        for evil in EVIL:
            short = evil[:60]
            for fields in (
                {"user": short},
                {"game": short},
                {"user": "ada", "auth": short.encode()},
                {"user": "ada", "mechanism": frames.PASSWORD, "auth": short.encode()},
                {"user": short, "mechanism": frames.TICKET, "auth": short.encode()},
            ):
                self.say(world, frames.encode_hello(hello(**{"user": "", **fields})))
            self.say(world, evil.encode()[:4_000])
        world.close()
        self.check_clean(len(EVIL))

    def test_everyStringOfAPlayer(self) -> None:
        for evil in EVIL:
            world = World(self, messages=(Say,))
            chat = world.puppet("chat").confirm()
            chat.wire.say_frame(frames.encode_say(evil[:490]))
            # Neither the game nor anybody else gets what the log would not.
            for event in world.server.of(Chat):
                self.assertEqual(acts(event.text), [])
            bye = world.puppet("bye").confirm()
            bye.wire.say_frame(
                bytes((frames.Kind.BYE, DisconnectReason.QUIT)) + evil.encode()[:100]
            )
            for event in world.server.of(Left):
                self.assertEqual(acts(event.text), [])
            typed = world.puppet("typed", schema_hash=world.server.host.codec.schema_hash)
            typed.confirm()
            body = b"\x92\xa3Say\xda" + len(evil.encode()).to_bytes(2, "big") + evil.encode()
            typed.wire.say_frame(frames.encode_data(True, 0, body))
            self.assertEqual(world.server.of(Received), [])
            world.close()
        lines = self.check_clean(len(EVIL))
        self.assertTrue(any("no such command" in line for line in lines), "text was shown")

    def test_whateverADecoderComplainsOf(self) -> None:
        """No decoder of ours repeats what it got; if one did, the line would still be clean."""
        world = World(self)
        for evil in EVIL:

            def complain(data: bytes, evil: str = evil) -> frames.Hello:
                raise WireError(evil)

            self.patch(frames, "decode_hello", complain)
            self.say(world, b"x")
        world.close()
        for line in self.check_clean(len(EVIL)):
            self.assertLess(len(line), 10 * MAX_LOGGED)

    def test_namesOfLoginsThatFail(self) -> None:
        world = World(self)
        door = world.server.host._door
        for number, evil in enumerate(EVIL):
            door._log_denied(f"192.0.2.{number}", evil, RefusalReason.CREDENTIALS)
        lines = self.check_clean(len(EVIL))
        self.assertIn("{log_namespace} {log_failure!r}", "".join(lines))

    def test_claimsOfTicketsThatTheTrustedKeySigned(self) -> None:
        key = Ed25519PrivateKey.generate()
        portal = Portal(PlayerRealm())
        portal.registerChecker(TicketChecker(key.public_key(), "arena", now=lambda: 1_000.0))
        world = World(self, secure=True, portal=portal)
        for evil in EVIL:
            short = evil[:60]
            for fields in ({"sub": short}, {"jti": short}, {"name": short}, {"aud": short}):
                claims = {"sub": "ada", "aud": "arena", "exp": 1_010, "jti": "1", **fields}
                ticket = sign_ticket(key, Claims(**claims))  # type: ignore[arg-type]
                stranger = self.say(
                    world,
                    frames.encode_hello(hello("", mechanism=frames.TICKET, auth=ticket, flags=0)),
                )
                hang_up(stranger)
        world.close()
        self.check_clean(1)

    def test_whatAServerTellsItsPlayers(self) -> None:
        """The other way round: a client's log and its game get no such thing from a server."""
        for evil in EVIL:
            world = World(self)
            ada = world.join("ada")
            session = world.server.session_of("ada")
            session.queue_frame(frames.encode_said(0, evil[:60], evil[:490], private=False))
            world.settle()
            for event in ada.of(Chat):
                self.assertEqual(acts(event.text), [])
                self.assertEqual(acts(event.player.name), [])
            protocol = world.server.host.connection_of(session)
            protocol.transport.write(framed(b"\x0c\x03" + evil.encode()[:100]))
            world.settle()
            self.assertEqual(acts(ada.end().text), [])
            world.close()
        self.check_clean(0)

    def test_manyFaultsAreFewLines(self) -> None:
        world = World(self, **NO_ACCEPT_LIMITS)
        machine = world.machine()
        for _ in range(2_000):
            stranger = world.stranger(machine)
            stranger.say_frame(b"rubbish")
            world.strangers.remove(stranger)
        lines = [line for line in self.check_clean(1) if "broke the protocol" in line]
        self.assertEqual(len(lines), 1)

    def test_aPortalThatIsDownIsFewTracebacks(self) -> None:
        """Whoever tries to come in meanwhile does not decide how much is logged."""

        class Down:
            def login(self, *given: Any) -> Any:
                raise ZeroDivisionError("the database is gone")

        world = World(self, portal=Down(), **NO_ACCEPT_LIMITS)
        for _ in range(300):
            stranger = self.say(world, frames.encode_hello(hello("ada")))
            self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.INTERNAL)])
        logged = len(self.flushLoggedErrors(ZeroDivisionError))
        self.assertGreaterEqual(logged, 1)
        self.assertLessEqual(logged, 100)


class SecretTests(SynchronousTestCase):
    """A run in which everything happens that is ever logged: its log holds no secret."""

    def setUp(self) -> None:
        self.log = Log(self)
        self.secrets: set[bytes] = {PASSWORD.encode(), WRONG.encode()}

    def record_secrets(self) -> None:
        """Note every secret that comes about from here on."""
        expand, encode = record._expand, frames.encode_accept
        secrets = self.secrets

        def expanded(prk: bytes, info: bytes, length: int) -> bytes:
            result = expand(prk, info, length)
            secrets.update((prk, result))
            return result

        def encoded(accept: frames.Accept) -> bytes:
            secrets.update((accept.udp_secret, accept.resume_token))
            return encode(accept)

        self.patch(record, "_expand", expanded)
        self.patch(frames, "encode_accept", encoded)

    def check_no_secret(self) -> None:
        """None of them in any spelling."""
        logged = "\n".join(
            part
            for event, text in zip(self.log.events, self.log.texts, strict=True)
            for part in (text, repr(event), eventAsJSON(event))
        )
        self.assertGreater(len(logged), 5_000)
        for secret in self.secrets:
            for spelling in (
                secret.decode("latin-1"),
                repr(secret)[2:-1],
                json.dumps(secret.decode("latin-1"))[1:-1],
                secret.hex(),
                b64encode(secret).decode().rstrip("="),
                urlsafe_b64encode(secret).decode().rstrip("="),
            ):
                self.assertNotIn(spelling, logged)
                self.assertNotIn(spelling.lower(), logged.lower())

    def test_aWholeRun(self) -> None:
        self.record_secrets()
        key = Ed25519PrivateKey.generate()
        issuer = TicketIssuer(key, "arena", now=lambda: 1_000.0)
        portal = Portal(PlayerRealm())
        portal.registerChecker(TicketChecker(key.public_key(), "arena", now=lambda: 1_000.0))
        stored = make_record("ada", PASSWORD.encode(), bytes(16), 10)
        self.secrets.add(stored.hash)
        portal.registerChecker(PasswordChecker(Accounts([stored], 10), AtOnce()))
        world = World(self, secure=True, portal=portal, rekey_datagrams=20, **NO_ACCEPT_LIMITS)

        # Whoever comes in, and whoever does not.
        ada = world.join("ada", password=PASSWORD)
        ticket = issuer.issue("bob")
        self.secrets.update((ticket, ticket.rpartition(b".")[2]))
        world.join(ticket=ticket)
        for user, secret in (("ada", WRONG), ("eve", WRONG), ("ada", PASSWORD)):
            world.client(user, password=secret)
        world.client(ticket=ticket)
        world.client(ticket=ticket[:-2] + b"xx")
        late = issuer.issue("late")
        self.secrets.update((late, late.rpartition(b".")[2]))
        claims = Claims(sub="x\n", aud="arena", exp=1_010, jti=WRONG)
        world.client(ticket=sign_ticket(key, claims))
        world.settle()
        self.assertEqual(len(world.server.players), 2)

        # Frames that break the protocol, with secrets in them.
        for data in (
            frames.encode_hello(hello("ada", mechanism=2, auth=PASSWORD.encode()))[:-1],
            b"\x01" + PASSWORD.encode(),
            PASSWORD.encode(),
        ):
            stranger = world.stranger()
            stranger.say_frame(data)

        # New keys, datagrams that do not open, defects in every place that has secrets at hand.
        for number in range(60):
            ada.verbs.send_input(number & 7)
            world.run(0.05)
        self.assertGreater(world.server.counters.rekeys, 0)

        def breaks(*arguments: Any, **named: Any) -> Any:
            raise ZeroDivisionError("a defect")

        def portal_breaks(credentials: Any, *rest: Any) -> Any:
            raise ZeroDivisionError(f"the database is gone, while asked for {credentials!r}")

        self.patch(portal, "login", portal_breaks)
        world.client("ada", password=PASSWORD)
        world.client(ticket=late)
        world.settle()
        self.patch(portal, "login", Portal.login.__get__(portal))
        for owner, name in (
            (joining, "Keyring"),
            (joining, "ServerSession"),
            (world.server.host, "welcome"),
        ):
            undo = self.patch(owner, name, breaks)
            again = issuer.issue("again")
            self.secrets.update((again, again.rpartition(b".")[2]))
            world.client(ticket=again)
            world.client("ada", password=PASSWORD)
            world.settle()
            undo.restore()
        session = world.server.session_of("ada")
        protocol = world.server.host.connection_of(session)
        session.next_tick = 0.0  # however quiet its player is
        for name in ("datagrams_to_send", "tick", "frames_to_send"):
            self.patch(type(session), name, breaks)
        world.server.verbs.send_state(world.server.players["ada"], b"x")
        protocol.stringReceived(frames.encode_ping(frames.Kind.PING, 1))
        world.run(1.0)
        self.assertGreater(len(self.flushLoggedErrors(ZeroDivisionError)), 6)
        self.check_no_secret()

    def test_whatIsShownOfSecretsIsNotThem(self) -> None:
        accept = frames.decode_accept(
            frames.encode_accept(
                frames.Accept(
                    **{
                        **dict.fromkeys(frames.Accept._fields, 1),
                        "session_id": b"i" * 16,
                        "udp_secret": b"SECRET-SECRET-SECRET-SECRET-1234",
                        "resume_token": b"SECRET-SECRET-SECRET-SECRET-4321",
                        "window_bytes": 262_144,
                        "max_frame": 65_600,
                        "max_datagram": 1_200,
                        "name": "ada",
                    }
                )
            )
        )
        shown = repr(
            [
                accept,
                hello("ada", auth=b"SECRET"),
                record.Keys(b"SECRET" * 5, b"SECRET"),
                record.Schedule(accept, b"SECRET" * 6),
                make_record("ada", b"SECRET", b"SECRET" * 3, 10),
                ServerConfig(insecure=True, auth=("memory:ada:SECRET",)),
                Secret(frames.PASSWORD, b"SECRET"),
                Ticket(b"SECRET"),
            ]
        )
        self.assertNotIn("SECRET", shown)
        self.assertNotIn("SECRET", public("memory:ada:SECRET"))
        self.assertNotIn("SECRET", public("unix-or-other:SECRET:SECRET"))

    def test_thisWouldFindOne(self) -> None:
        joining.log.info("{word}", word=WRONG)
        joining.log.info("{filler}", filler="x" * 6_000)
        self.assertRaises(self.failureException, self.check_no_secret)

"""Who somebody is: tickets work once, names are nobody else's, passwords are not guessed."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from gamenet import login_pool
from gamenet.auth import PlayerRealm
from gamenet.checkers import AnyNameChecker, UnownedNameChecker
from gamenet.core import frames
from gamenet.core import password as password_module
from gamenet.core.password import make_record
from gamenet.credentials import IClaimedName
from gamenet.errors import RefusalReason
from gamenet.events import Chat, Joined
from gamenet.login_pool import LoginPool
from gamenet.passwords import Accounts, PasswordChecker
from gamenet.tickets import TicketChecker, TicketIssuer
from tests.fakes import Machine, Stranger
from tests.threats.attack import NO_ACCEPT_LIMITS, hang_up
from tests.world import World, hello

LOG2_N = 10
"""The cheapest scrypt there is: what is counted are its calls."""
LOOPBACK = "127.0.0.1"
AUDIENCE = "arena-7"


class TicketTests(SynchronousTestCase):
    """A ticket lets one player in once, however many show it."""

    def setUp(self) -> None:
        key = Ed25519PrivateKey.generate()
        self.issuer = TicketIssuer(key, AUDIENCE, now=self.seconds)
        self.checker = TicketChecker(key.public_key(), AUDIENCE, now=self.seconds)
        portal = Portal(PlayerRealm())
        portal.registerChecker(self.checker)
        portal.registerChecker(AnyNameChecker())
        self.world = World(self, secure=True, portal=portal, **NO_ACCEPT_LIMITS)

    def seconds(self) -> float:
        """A wall clock that goes as the world's does."""
        passed = self.world.network.seconds() if hasattr(self, "world") else 0.0
        return 1_700_000_000.0 + passed

    def show(self, ticket: bytes, user: str = "") -> Stranger:
        """Somebody comes with a ticket."""
        stranger = self.world.stranger()
        stranger.say_frame(
            frames.encode_hello(hello(user, mechanism=frames.TICKET, auth=ticket, flags=0))
        )
        return stranger

    def answer(self, stranger: Stranger) -> RefusalReason | None:
        """Why somebody was refused; None for whoever was let in."""
        (first, *_) = stranger.frames
        if first[0] == frames.Kind.ACCEPT:
            return None
        return frames.decode_refuse(first)[0]

    def confirm(self, stranger: Stranger) -> None:
        stranger.say_frame(frames.encode_ack(0))

    def test_twoWhoShowItAtOnceAreOnePlayer(self) -> None:
        ticket = self.issuer.issue("ada")
        strangers = [self.world.stranger() for _ in range(20)]
        data = frames.encode_hello(hello("", mechanism=frames.TICKET, auth=ticket, flags=0))
        for stranger in strangers:
            stranger.transport.write(len(data).to_bytes(4, "big") + data)
        self.world.settle()
        answers = [self.answer(stranger) for stranger in strangers]
        self.assertEqual(answers.count(None), 1)
        self.assertEqual(answers.count(RefusalReason.TICKET_USED), 19)
        self.confirm(strangers[answers.index(None)])
        self.assertEqual(len(self.world.server.of(Joined)), 1)
        self.assertEqual(self.world.server.players["ada"].account, "ada")

    def test_whoHasCopiedItComesTooLate(self) -> None:
        ticket = self.issuer.issue("ada")
        owner = self.world.client(ticket=ticket)
        self.world.run(0.05)
        self.assertTrue(owner.joined)
        for seconds in (0.0, 30.0, 34.0, 600.0):
            self.world.run(seconds)
            self.assertIn(
                self.answer(self.show(ticket)),
                (RefusalReason.TICKET_USED, RefusalReason.TICKET_EXPIRED),
            )
        owner.host.leave()
        self.world.settle()
        self.assertIsNotNone(self.answer(self.show(ticket)))
        self.assertEqual(len(self.world.server.of(Joined)), 1)

    def test_whoCopiesItAndDoesNotJoinTakesNothingAway(self) -> None:
        """Shown and dropped, refused, or left to the deadline: the owner still comes in."""
        ticket = self.issuer.issue("ada")
        dropped = self.show(ticket)
        self.assertIsNone(self.answer(dropped))
        hang_up(dropped)
        refused = self.show(ticket, "somebody-else")
        self.assertEqual(self.answer(refused), RefusalReason.NAME)
        hang_up(refused)
        left = self.show(ticket)
        self.assertIsNone(self.answer(left))
        self.assertEqual(self.answer(self.show(ticket)), RefusalReason.TICKET_USED)
        self.world.run(5.1)
        owner = self.world.client(ticket=ticket)
        self.world.settle()
        self.assertTrue(owner.joined)
        self.assertEqual(len(self.world.server.of(Joined)), 1)

    def test_noneIsTakenOrEvenLookedAtWithoutTls(self) -> None:
        ticket = self.issuer.issue("ada")
        world = World(self, portal=FailsTheTest())
        stranger = world.stranger()
        for mechanism in (frames.TICKET, frames.PASSWORD):
            stranger = world.stranger()
            stranger.say_frame(frames.encode_hello(hello("ada", mechanism=mechanism, auth=ticket)))
            self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.INSECURE)])

    def test_aFullLedgerForgetsNone(self) -> None:
        self.checker.ledger._capacity = 3
        tickets = [self.issuer.issue(f"p{number}") for number in range(5)]
        answers = []
        for ticket in tickets:
            stranger = self.show(ticket)
            answers.append(self.answer(stranger))
            if answers[-1] is None:
                self.confirm(stranger)
                hang_up(stranger)
        self.assertEqual(answers, [None] * 3 + [RefusalReason.BUSY] * 2)
        for ticket in tickets[:3]:
            self.assertEqual(self.answer(self.show(ticket)), RefusalReason.TICKET_USED)


class FailsTheTest:
    """A portal that must not be asked."""

    def login(self, *arguments: Any) -> Any:
        raise AssertionError("the portal was asked")


class NameTests(SynchronousTestCase):
    """Nobody looks like, or speaks as, somebody else."""

    def test_namesThatOnlyLookAlikeAreRefused(self) -> None:
        world = World(self, **NO_ACCEPT_LIMITS)
        world.join("ada")
        for name in (
            "аda",  # noqa: RUF001  Cyrillic
            "αda",  # noqa: RUF001  Greek
            "ɑda",  # noqa: RUF001  IPA
            "ada\u200b",
            "ada\u0000",
            "\u202eada",
            "ada\u0301",
            "a\u00adda",
            "ada ",
            " ada",
            "𓀀da",
            "ada\n",
        ):
            client = world.client(name)
            world.settle()
            self.assertEqual(client.end().refusal, RefusalReason.NAME, ascii(name))
        for name in ("ADA", "Ada", "\uff41\uff44\uff41", "ⓐda", "ａda", "𝐚da", "ᵃda"):  # noqa: RUF001
            client = world.client(name)
            world.settle()
            self.assertEqual(client.end().refusal, RefusalReason.DUPLICATE, ascii(name))
        self.assertEqual(len(world.server.of(Joined)), 1)

    def test_whoSpeaksIsWhoSentIt(self) -> None:
        world = World(self)
        ada = world.join("ada")
        mallory = world.puppet().confirm()
        # What a client sends is text and nothing else; what looks like an author is text as well.
        for said in (
            frames.encode_say("I am ada"),
            frames.encode_said(1, "ada", "I am mallory", private=False),
            bytes((frames.Kind.SAY,)) + (1).to_bytes(4, "big") + b"\x00\x03adaI am mallory",
        ):
            mallory.wire.say_frame(said)
        world.settle()
        authors = {event.player.name for event in world.server.of(Chat)}
        self.assertEqual(authors, {"mallory"})
        for event in world.server.of(Chat):
            world.server.verbs.say(event.text, author=event.player)
        world.settle()
        self.assertEqual({event.player.name for event in ada.of(Chat)}, {"mallory"})

    def test_aNameWithAPasswordIsNobodyElses(self) -> None:
        accounts = Accounts([make_record("ada", b"secret", bytes(16), LOG2_N)], LOG2_N)
        portal = Portal(PlayerRealm())
        portal.registerChecker(PasswordChecker(accounts, AtOnce()))
        portal.registerChecker(
            UnownedNameChecker(AnyNameChecker(), accounts), IClaimedName, IAnonymous
        )
        world = World(self, secure=True, portal=portal)
        for name in ("ada", "ADA", "\uff41da"):
            guest = world.client(name)
            world.settle()
            self.assertEqual(guest.end().refusal, RefusalReason.CREDENTIALS)
        self.assertTrue(world.join("ada", password="secret").joined)


class BanTests(SynchronousTestCase):
    """Whoever is shown out stays out, under another name and from next door too."""

    def test_anotherAddressOfTheSameCustomerIsNoWayBackIn(self) -> None:
        world = World(self, address="fd00::1")
        for number, (address, later, elsewhere) in enumerate(
            (
                ("2001:db8:0:1::1", "2001:db8:0:1:ffff::9", "2001:db8:0:2::1"),
                ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
            )
        ):
            world.client(f"mallory{number}", machine=Machine(world.network, address))
            world.settle()
            player = world.server.players[f"mallory{number}"]
            world.server.verbs.disconnect(player, "out", ban_seconds=60.0)
            world.settle()
            back = world.client(f"eve{number}", machine=Machine(world.network, later))
            world.settle()
            self.assertEqual(back.end().refusal, RefusalReason.BANNED)
            other = world.client(f"ada{number}", machine=Machine(world.network, elsewhere))
            world.settle()
            self.assertTrue(other.joined)


class AtOnce:
    """A login pool that works at once; it stands for any number of threads."""

    def run(self, call: Any, *arguments: Any) -> Deferred[Any]:
        return maybeDeferred(call, *arguments)


class ManualThreads:
    """Threads that work when a test says so."""

    def __init__(self, *arguments: Any) -> None:
        self.jobs: list[Any] = []

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def callInThreadWithCallback(self, on_result: Any, call: Any, *arguments: Any) -> None:
        self.jobs.append((on_result, call, arguments))

    def work(self) -> None:
        """Do the oldest job."""
        on_result, call, arguments = self.jobs.pop(0)
        on_result(True, call(*arguments))


class GuessingTests(SynchronousTestCase):
    """Guesses cost us a bounded number of calls of scrypt, and the owner nothing."""

    def setUp(self) -> None:
        original = password_module.scrypt
        self.hashed: list[tuple[Any, ...]] = []

        def counted(password: bytes, **cost: Any) -> bytes:
            self.hashed.append((cost["n"], cost["r"], cost["p"], cost["dklen"], len(cost["salt"])))
            return original(password, **cost)

        self.patch(password_module, "scrypt", counted)
        records = [
            make_record(name, b"right", bytes((index,)) * 16, LOG2_N)
            for index, name in enumerate(("ada", "bob"))
        ]
        self.hashed.clear()
        self.accounts = Accounts(records, LOG2_N)

    def serve(self, pool: Any = None, **fields: Any) -> World:
        portal = Portal(PlayerRealm())
        portal.registerChecker(PasswordChecker(self.accounts, pool or AtOnce()), IUsernamePassword)
        self.world = World(self, secure=True, portal=portal, **{**NO_ACCEPT_LIMITS, **fields})
        return self.world

    def guess(
        self, machine: Machine, user: str = "ada", password: str = "wrong"
    ) -> tuple[RefusalReason | None, int]:
        """One guess.

        :returns: the refusal and when to try again; None for whoever was let in.
        """
        stranger = self.world.stranger(machine)
        stranger.say_frame(
            frames.encode_hello(
                hello(user, mechanism=frames.PASSWORD, auth=password.encode(), flags=0)
            )
        )
        (first,) = stranger.frames
        hang_up(stranger)
        self.world.strangers.remove(stranger)
        return (None, 0) if first[0] == frames.Kind.ACCEPT else frames.decode_refuse(first)

    def machine(self, address: str) -> Machine:
        return Machine(self.world.network, address)

    def test_knownAndUnknownNamesCostAndAnswerTheSame(self) -> None:
        world = self.serve(failed_logins_per_account=1_000, failed_logins_per_address=1_000)
        machine = world.machine()
        seen = {}
        for name in ("ada", "nobody", "ADA", "x", "z" * 32, "bob"):
            self.hashed.clear()
            seen[name] = (self.guess(machine, name), tuple(self.hashed))
        self.assertEqual(set(seen.values()), {seen["ada"]})
        answer, hashed = seen["ada"]
        self.assertEqual(answer, (RefusalReason.CREDENTIALS, 0))
        self.assertEqual(hashed, ((1 << LOG2_N, 8, 1, 32, 16),))

    def test_oneAccountFromOneAddress(self) -> None:
        world = self.serve()
        machine = world.machine()
        answers = [self.guess(machine) for _ in range(200)]
        self.assertEqual([reason for reason, _ in answers[:6]], [RefusalReason.CREDENTIALS] * 6)
        self.assertEqual({reason for reason, _ in answers[6:]}, {RefusalReason.BUSY})
        self.assertEqual({retry for _, retry in answers[6:]}, {1})
        self.assertEqual(len(self.hashed), 6)
        self.assertEqual(world.server.counters.logins_delayed, 194)

    def test_manyAccountsFromOneAddress(self) -> None:
        world = self.serve()
        machine = world.machine()
        answers = [self.guess(machine, f"account{number}")[0] for number in range(200)]
        self.assertEqual(len(self.hashed), 11)
        self.assertEqual(answers.count(RefusalReason.BUSY), 189)

    def test_keepingAtItForAnHourBringsFew(self) -> None:
        self.serve()
        for address, spread in (("192.0.2.1", 1), ("192.0.2.2", 40)):
            machine = self.machine(address)
            self.hashed.clear()
            for number in range(360):
                self.guess(machine, f"account{number % spread}")
                self.world.run(10.0)
            # Ten, then one a minute.
            self.assertLess(len(self.hashed), 10 + 60 + 10, spread)
            self.assertGreater(len(self.hashed), 50, "nobody is kept out for good")

    def test_theOwnerComesInFromElsewhereMeanwhile(self) -> None:
        world = self.serve()
        attacker = world.machine()
        for number in range(300):
            self.guess(attacker)
            self.guess(self.machine(f"203.0.113.{number % 250 + 1}"))
            if number % 50 == 0:
                owner = world.join("ada", password="right")
                owner.host.leave()
                world.settle()
        self.assertEqual(self.guess(attacker, "ada", "right")[0], RefusalReason.BUSY)
        self.assertEqual(self.guess(world.machine(), "ada", "right")[0], None)

    def test_oneGoodLoginDoesNotPardonGuessesAtOthers(self) -> None:
        world = self.serve()
        machine = world.machine()
        answers = []
        for number in range(40):
            self.guess(machine, "bob", "right")
            answers.append(self.guess(machine, f"account{number}")[0])
        self.assertEqual(answers.count(RefusalReason.CREDENTIALS), 11)
        self.assertEqual(answers.count(RefusalReason.BUSY), 29)

    def test_anIpv6CustomerIsOneAddress(self) -> None:
        world = self.serve(address="fd00::1")
        for number in range(100):
            self.guess(self.machine(f"2001:db8:1:2:{number:x}::7"))
        self.assertEqual(len(self.hashed), 6)
        self.guess(self.machine("2001:db8:1:3::7"))
        self.assertEqual(len(self.hashed), 7)
        mapped = [self.machine(f"{prefix}192.0.2.9") for prefix in ("", "::ffff:")]
        for number in range(50):
            self.guess(mapped[number % 2])
        self.assertEqual(len(self.hashed), 7 + 6)
        self.assertEqual(world.server.of(Joined), [])

    def test_thisMachineIsLimitedOnlyWhenAsked(self) -> None:
        for limited, wanted in ((False, 50), (True, 6)):
            self.hashed.clear()
            self.serve(limit_loopback=limited)
            machine = self.machine(LOOPBACK)
            for _ in range(50):
                self.guess(machine)
            self.assertEqual(len(self.hashed), wanted)

    def test_aRushOfLoginsWaitsForTwoThreadsInAShortQueue(self) -> None:
        made: list[ManualThreads] = []

        def make(*arguments: Any) -> ManualThreads:
            made.append(ManualThreads(*arguments))
            return made[-1]

        self.patch(login_pool, "LoginThreads", make)
        pool = LoginPool(2, 64, FromThread())
        world = self.serve(pool)
        strangers = [world.stranger() for _ in range(200)]
        data = frames.encode_hello(hello("ada", mechanism=frames.PASSWORD, auth=b"x", flags=0))
        for stranger in strangers:
            stranger.say_frame(data)
        (threads,) = made
        self.assertEqual((len(threads.jobs), pool.waiting, self.hashed), (2, 64, []))
        busy = [stranger for stranger in strangers if stranger.frames]
        self.assertEqual(len(busy), 200 - 66)
        for stranger in busy:
            self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.BUSY, 1)])
        # Somebody who hangs up or is too late has no work done for them in vain; the rest has.
        while threads.jobs:
            threads.work()
        world.settle()
        self.assertEqual(len(self.hashed), 66)
        pool.stop()


class FromThread:
    """A reactor that does what threads ask for at once."""

    def callFromThread(self, call: Any, *arguments: Any) -> None:
        call(*arguments)

"""Joining with passwords and tickets: sessions, and what they cost, in a whole server."""

from __future__ import annotations

from hashlib import scrypt
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.trial.unittest import SynchronousTestCase

from gamenet import login_pool
from gamenet.auth import PlayerPortal, make_portal
from gamenet.config import ServerConfig
from gamenet.core import frames
from gamenet.core import password as core
from gamenet.credentials import ITicket
from gamenet.errors import REFUSAL_TEXTS, DisconnectReason, RefusalReason
from gamenet.events import Joined
from gamenet.login_pool import LoginPool
from gamenet.tickets import TicketChecker, TicketIssuer
from tests.test_login_pool import FromThread, ManualThreads
from tests.world import ClientEnd, Puppet, World

NOW = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CHEAP = ServerConfig(scrypt_log2_n=10)


class IdentityTestCase(SynchronousTestCase):
    """Logins run when a test says ``work``."""

    def setUp(self) -> None:
        self.threads: list[ManualThreads] = []
        self.scrypts = 0

        def make(*arguments: Any) -> ManualThreads:
            self.threads.append(ManualThreads(*arguments))
            return self.threads[-1]

        def counted(*arguments: Any, **named: Any) -> bytes:
            self.scrypts += 1
            return scrypt(*arguments, **named)

        self.patch(login_pool, "LoginThreads", make)
        self.pool = LoginPool(2, 3, FromThread())
        self.portal = make_portal(
            ["memory:ada:secret:bob:secret", "anonymous"], CHEAP, pool=self.pool
        )
        self.patch(core, "scrypt", counted)
        self.now = NOW
        self.tickets = TicketChecker(KEY.public_key(), "arena", now=lambda: self.now)
        self.portal.registerChecker(self.tickets)

    def world(self, **fields: Any) -> World:
        return World(self, secure=True, portal=self.portal, **fields)

    def work(self, world: World) -> None:
        """Let all jobs be done."""
        world.settle()
        for threads in self.threads:
            while threads.jobs:
                threads.work()
                world.settle()

    def ticket(self, account: str = "ada", name: str = "") -> bytes:
        return TicketIssuer(KEY, "arena", now=lambda: self.now).issue(account, name)

    def assertRefused(self, client: ClientEnd, refusal: RefusalReason) -> None:
        ended = client.end()
        self.assertEqual((ended.reason, ended.refusal), (DisconnectReason.REFUSED, refusal))
        self.assertEqual(ended.text, REFUSAL_TEXTS[refusal])

    def joined(self, world: World) -> list[tuple[str, str]]:
        """Name and account of everybody whom the game was told of."""
        return [(event.player.name, event.player.account) for event in world.server.of(Joined)]


class PasswordTests(IdentityTestCase):
    def test_whoKnowsThePasswordIsIn(self) -> None:
        world = self.world()
        client = world.client("ADA", password="secret")
        self.work(world)
        self.assertTrue(client.joined)
        self.assertEqual(self.joined(world), [("ADA", "ada")])

    def test_unknownNamesAndWrongPasswordsAreTheSameToTheOtherSide(self) -> None:
        world = self.world()
        seen = []
        for name, password in (("ada", "wrong"), ("eve", "secret"), ("ada", "x" * 1_024)):
            before = self.scrypts, self.pool.jobs
            wire = world.stranger()
            puppet = Puppet(world, wire)
            puppet.say_hello(name, mechanism=frames.PASSWORD, auth=password.encode())
            self.work(world)
            cost = self.scrypts - before[0], self.pool.jobs - before[1]
            seen.append((wire.frames, wire.ended, cost))
        refused = [frames.encode_refuse(RefusalReason.CREDENTIALS)]
        self.assertEqual(seen, [(refused, "fin", (1, 1))] * 3)
        self.assertEqual(self.joined(world), [])

    def test_aNameWithAPasswordIsNotClaimed(self) -> None:
        world = self.world()
        thief, guest = world.client("Ada"), world.client("eve")
        world.settle()
        self.assertRefused(thief, RefusalReason.CREDENTIALS)
        self.assertTrue(guest.joined)
        self.assertEqual(self.joined(world), [("eve", "")])

    def test_aRushOfLoginsIsRefusedWhenTheQueueIsFull(self) -> None:
        world = self.world()
        clients = [world.client("ada", password=f"guess{n}") for n in range(9)]
        world.settle()
        self.assertEqual((self.pool.running, self.pool.waiting, self.pool.refused), (2, 3, 4))
        for client in clients[5:]:
            self.assertRefused(client, RefusalReason.BUSY)
            self.assertGreater(client.host.retry_after_seconds, 0)
        guest = world.client("eve")
        world.settle()
        self.assertTrue(guest.joined, "who needs no thread waits for none")
        self.work(world)
        self.assertEqual(self.scrypts, 5)
        for client in clients[:5]:
            self.assertRefused(client, RefusalReason.CREDENTIALS)

    def test_whoHangsUpMeanwhileIsNotLetIn(self) -> None:
        world = self.world()
        client = world.client("ada", password="secret")
        world.settle()
        client.host.leave()
        world.settle()
        self.work(world)
        self.assertEqual((self.joined(world), len(world.server.host.registry)), ([], 0))
        again = world.client("ada", password="secret")
        self.work(world)
        self.assertTrue(again.joined)

    def test_whoHangsUpLeavesTheQueue(self) -> None:
        world = self.world()
        clients = [world.client("ada", password="guess") for _ in range(5)]
        world.settle()
        self.assertEqual((self.pool.running, self.pool.waiting), (2, 3))
        for client in clients:
            client.host.leave()
        world.settle()
        self.assertEqual((self.pool.running, self.pool.waiting), (2, 0))
        self.work(world)
        self.assertEqual(self.scrypts, 2)

    def test_aStoppedPoolRefusesWhatWaits(self) -> None:
        world = self.world()
        clients = [world.client("ada", password="secret") for _ in range(4)]
        world.settle()
        stopped = self.portal.stop()
        world.settle()
        for client in clients[2:]:
            self.assertRefused(client, RefusalReason.BUSY)
        self.work(world)
        self.successResultOf(stopped)
        self.assertEqual(self.joined(world), [("ada", "ada")])


class TicketTests(IdentityTestCase):
    def test_aTicketIsAJoin(self) -> None:
        world = self.world()
        client = world.client(ticket=self.ticket("user/1", "Ada"))
        world.settle()
        self.assertTrue(client.joined)
        self.assertEqual(self.joined(world), [("Ada", "user/1")])
        self.assertEqual(self.pool.jobs, 0)

    def test_oneTicketFromTwoSocketsIsOneSession(self) -> None:
        world = self.world()
        ticket = self.ticket()
        clients = [world.client(ticket=ticket) for _ in range(5)]
        world.settle()
        self.assertEqual([client.joined for client in clients].count(True), 1)
        for client in clients:
            if not client.joined:
                self.assertRefused(client, RefusalReason.TICKET_USED)
        self.assertEqual((len(self.joined(world)), len(world.server.host.registry)), (1, 1))

    def test_aPendingTicketIsTaken(self) -> None:
        """Nobody gets in with it while its join is neither confirmed nor over."""
        world = self.world()
        ticket = self.ticket("user/1", "ada")
        slow = world.puppet("ada", mechanism=frames.TICKET, auth=ticket)
        self.assertEqual(slow.accept.name, "ada")
        other = world.client(ticket=ticket)
        world.settle()
        self.assertRefused(other, RefusalReason.TICKET_USED)
        slow.confirm()
        last = world.client(ticket=ticket)
        world.settle()
        self.assertRefused(last, RefusalReason.TICKET_USED)
        self.assertEqual(self.joined(world), [("ada", "user/1")])

    def test_aJoinThatBreaksGivesTheTicketBack(self) -> None:
        world = self.world()
        ticket = self.ticket()
        for end in ("close", "abort"):
            slow = world.puppet("ada", mechanism=frames.TICKET, auth=ticket)
            self.assertEqual(slow.accept.name, "ada")
            getattr(slow.wire, end)()
            world.settle()
            self.assertEqual((self.joined(world), len(self.tickets.ledger)), ([], 0))
        client = world.client(ticket=ticket)
        world.settle()
        self.assertTrue(client.joined)

    def test_aJoinThatIsRefusedForAnotherReasonGivesTheTicketBack(self) -> None:
        world = self.world(max_players=1)
        guest = world.join("eve")
        ticket = self.ticket()
        late = world.client(ticket=ticket)
        world.settle()
        self.assertRefused(late, RefusalReason.FULL)
        self.assertEqual(len(self.tickets.ledger), 0)
        guest.host.leave()
        world.settle()
        again = world.client(ticket=ticket)
        world.settle()
        self.assertTrue(again.joined)

    def test_aUsedTicketStaysUsedWhenItsPlayerLeaves(self) -> None:
        world = self.world()
        ticket = self.ticket()
        client = world.join(ticket=ticket)
        client.host.leave()
        world.settle()
        again = world.client(ticket=ticket)
        world.settle()
        self.assertRefused(again, RefusalReason.TICKET_USED)

    def test_eachWayToBeWrongHasItsAnswer(self) -> None:
        world = self.world()
        other = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))

        def made(key: Any = KEY, audience: str = "arena", after: float = 0.0) -> bytes:
            return TicketIssuer(key, audience, now=lambda: NOW + after).issue("ada")

        good = self.ticket()
        for ticket, refusal in (
            (made(key=other), RefusalReason.TICKET_INVALID),
            (good[:-1], RefusalReason.TICKET_INVALID),
            (good[: len(good) // 2], RefusalReason.TICKET_INVALID),
            (b"x", RefusalReason.TICKET_INVALID),
            (made(audience="lobby"), RefusalReason.TICKET_AUDIENCE),
            (made(after=-70), RefusalReason.TICKET_EXPIRED),
            (made(after=70), RefusalReason.TICKET_EARLY),
        ):
            wire = world.stranger()
            Puppet(world, wire).say_hello("", mechanism=frames.TICKET, auth=ticket)
            self.assertEqual(wire.frames, [frames.encode_refuse(refusal)])
        self.assertEqual(len(set(REFUSAL_TEXTS.values())), len(REFUSAL_TEXTS))
        client = world.client(ticket=good)
        world.settle()
        self.assertTrue(client.joined)

    def test_aFullLedgerIsBusy(self) -> None:
        config = ServerConfig(max_used_tickets=1)
        portal: PlayerPortal = self.portal
        portal.checkers[ITicket] = TicketChecker(
            KEY.public_key(), "arena", config, now=lambda: self.now
        )
        world = self.world()
        world.join(ticket=self.ticket("ada"))
        late = world.client(ticket=self.ticket("bob"))
        world.settle()
        self.assertRefused(late, RefusalReason.BUSY)
        self.assertGreater(late.host.retry_after_seconds, 0)

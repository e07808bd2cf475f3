"""The server's end: who comes in and who does not, who is told, and what becomes of logins."""

from __future__ import annotations

import unicodedata
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.cred.checkers import ICredentialsChecker, InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import IAnonymous, IUsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.cred.portal import Portal
from twisted.internet.defer import Deferred
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from gamenet.auth import PlayerRealm, make_portal
from gamenet.checkers import AnyNameChecker
from gamenet.core import frames
from gamenet.credentials import ClaimedName, IPlayerAvatar, PlayerAvatar
from gamenet.errors import REFUSAL_TEXTS, DisconnectReason, RefusalReason
from gamenet.events import Chat, Connected, Disconnected, Joined, Left, Received
from gamenet.messages import Message
from tests.fakes import FIN, RST, framed
from tests.world import ClientEnd, World, hello


class Move(Message):
    dx: int


class Jump(Message):
    dy: int


class Logins:
    """A portal that answers when a test says so, and counts who was shown out."""

    def __init__(self) -> None:
        self.pending: list[tuple[Any, Deferred[Any]]] = []
        self.logouts: list[str] = []

    def login(self, credentials: Any, mind: object, *interfaces: Any) -> Deferred[Any]:
        assert interfaces == (IPlayerAvatar,)
        deferred: Deferred[Any] = Deferred()
        self.pending.append((credentials, deferred))
        return deferred

    def grant(self, index: int = 0, account: str = "") -> None:
        credentials, deferred = self.pending.pop(index)
        name = account or getattr(credentials, "name", "")
        avatar = PlayerAvatar(account)
        deferred.callback((IPlayerAvatar, avatar, lambda: self.logouts.append(name)))


class RefusalTests(SynchronousTestCase):
    """Each reason reaches the player, as a sentence."""

    def check_refused(self, client: ClientEnd, reason: RefusalReason) -> Disconnected:
        ended = client.end()
        self.assertEqual((ended.reason, ended.refusal), (DisconnectReason.REFUSED, reason))
        self.assertEqual(ended.text, REFUSAL_TEXTS[reason])
        self.assertEqual(client.of(Connected), [])
        return ended

    def join(self, world: World, user: str = "ada", **fields: Any) -> ClientEnd:
        client = world.client(user, **fields)
        world.settle()
        return client

    def test_version(self) -> None:
        self.patch(frames, "VERSION", 2)
        world = World(self)
        client = world.client("ada")  # its HELLO says 2
        frames.VERSION = 1  # type: ignore[misc]
        world.settle()
        self.check_refused(client, RefusalReason.VERSION)

    def test_a_suite_that_the_server_does_not_have_is_a_version(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("ada", suites=2)))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.VERSION)])

    def test_game(self) -> None:
        world = World(self, game_name="tag/1")
        self.check_refused(self.join(world, game_name="tag/2"), RefusalReason.GAME)
        self.assertTrue(self.join(world, "bob", game_name="tag/1").joined)
        self.assertTrue(self.join(world, "eve").joined, "who names no game plays any")

    def test_schema(self) -> None:
        world = World(self, messages=(Move,))
        self.check_refused(self.join(world, messages=(Jump,)), RefusalReason.SCHEMA)
        self.check_refused(self.join(world, messages=(Move, Jump)), RefusalReason.SCHEMA)
        self.assertTrue(self.join(world, "bob", messages=(Move,)).joined)
        self.assertTrue(self.join(world, "eve").joined, "who declares nothing sends no messages")

    def test_another_number_of_input_bits_is_a_schema(self) -> None:
        world = World(self, input_bits=8)
        self.check_refused(self.join(world, input_bits=16), RefusalReason.SCHEMA)
        client = self.join(world, "bob")
        self.assertEqual(client.host.input_bits, 8)

    def test_credentials(self) -> None:
        world = World(self, portal=make_portal(["memory:ada"]))
        self.check_refused(self.join(world, "eve"), RefusalReason.CREDENTIALS)
        self.check_refused(self.join(world, ""), RefusalReason.CREDENTIALS)
        self.assertTrue(self.join(world, "Ada").joined)

    def test_name(self) -> None:
        world = World(self)
        for name in ("a b", "x" * 33, "ada\n", "a/b", "<ada>", "\u202eada", "ä", "𓀀"):
            self.check_refused(self.join(world, name), RefusalReason.NAME)
        self.assertEqual(world.server.events, [])

    def test_full(self) -> None:
        world = World(self, max_players=2)
        for name in ("ada", "bob"):
            world.join(name)
        self.check_refused(self.join(world, "eve"), RefusalReason.FULL)
        world.clients[0].host.leave()
        world.settle()
        self.assertTrue(self.join(world, "ivy").joined)

    def test_busy_while_the_game_does_not_keep_up(self) -> None:
        world = World(self, bridge_events=100)
        client = world.join("ada")
        world.server.recorder.taking = False
        for _ in range(80):
            client.verbs.send(b"x")
        world.settle()
        late = self.join(world, "bob")
        self.check_refused(late, RefusalReason.BUSY)
        self.assertGreater(late.host.retry_after_seconds, 0)
        world.server.recorder.taking = True
        world.run(0.1)
        self.assertTrue(self.join(world, "bob").joined)

    def test_busy_while_the_server_closes(self) -> None:
        world = World(self)
        world.server.host.refuse_newcomers()
        self.check_refused(self.join(world), RefusalReason.BUSY)

    def test_duplicate(self) -> None:
        world = World(self)
        world.join("ada")
        for name in ("ada", "ADA", "Ada"):
            self.check_refused(self.join(world, name), RefusalReason.DUPLICATE)
        self.assertEqual(len(world.server.of(Joined)), 1)

    def test_banned_by_address_and_by_account(self) -> None:
        world = World(self, portal=make_portal(["memory:ada,bob,eve"]))
        machine = world.machine()
        ada = world.join("ada", machine=machine)
        player = world.server.players["ada"]
        world.server.verbs.disconnect(player, "rude", ban_seconds=60.0)
        world.settle()
        self.assertEqual((ada.end().reason, ada.end().text), (DisconnectReason.KICKED, "rude"))
        self.check_refused(self.join(world, "ada"), RefusalReason.BANNED)
        self.check_refused(self.join(world, "bob", machine=machine), RefusalReason.BANNED)
        self.assertTrue(self.join(world, "eve").joined)
        world.run(60.1)
        self.assertTrue(self.join(world, "bob", machine=machine).joined)
        self.assertTrue(self.join(world, "ada").joined)

    def test_an_account_that_looks_like_an_address_bans_no_address(self) -> None:
        world = World(self, portal=make_portal(["memory:10.0.0.9,bob"]))
        world.join("10.0.0.9")
        world.server.verbs.disconnect(world.server.players["10.0.0.9"], ban_seconds=60.0)
        world.settle()
        machine = world.machine()
        machine.address = "10.0.0.9"
        self.assertTrue(self.join(world, "bob", machine=machine).joined)

    def test_who_has_just_left_is_banned_all_the_same(self) -> None:
        world = World(self, portal=make_portal(["memory:ada,bob"]))
        machine = world.machine()
        ada = world.join("ada", machine=machine)
        player = world.server.players["ada"]
        ada.host.leave()
        world.settle()
        world.server.verbs.disconnect(player, ban_seconds=60.0)
        world.settle()
        self.check_refused(self.join(world, "ada"), RefusalReason.BANNED)
        self.check_refused(self.join(world, "bob", machine=machine), RefusalReason.BANNED)

    def test_a_ban_for_no_time_at_all_is_a_mistake(self) -> None:
        world = World(self)
        world.join("ada")
        for seconds in (float("nan"), float("inf"), -1.0):
            with self.assertRaises(ValueError):
                world.server.verbs.disconnect(world.server.players["ada"], ban_seconds=seconds)
        world.settle()
        self.assertEqual(len(world.server.players), 1)

    def test_bans_that_are_over_are_forgotten(self) -> None:
        world = World(self)
        for number in range(20):
            world.join(f"p{number}")
            world.server.verbs.disconnect(world.server.players[f"p{number}"], ban_seconds=1.0)
            world.run(1.1)
        self.assertEqual(len(world.server.host._bans), 1)

    def test_a_ban_by_address_sees_through_an_ipv6_wrapping(self) -> None:
        world = World(self, address="fd00::1")
        machine = world.machine()
        machine.address = "::ffff:10.0.0.9"
        world.join("ada", machine=machine)
        world.server.verbs.disconnect(world.server.players["ada"], ban_seconds=60.0)
        world.settle()
        machine.address = "10.0.0.9"
        self.check_refused(self.join(world, "bob", machine=machine), RefusalReason.BANNED)

    def test_insecure(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("ada", flags=frames.HELLO_WANTS_UDP)))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.INSECURE)])

    def test_secrets_over_plain_tcp_are_refused_as_insecure(self) -> None:
        world = World(self)
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("ada", mechanism=2, auth=b"secret")))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.INSECURE)])

    def test_no_session_to_resume(self) -> None:
        world = World(self)
        stranger = world.stranger()
        frame = frames.encode_hello(hello("ada", flags=frames.HELLO_ACCEPTS_INSECURE | 2))
        stranger.say_frame(frame + bytes(16 + 32 + 8))
        self.assertEqual(stranger.frames, [frames.encode_refuse(RefusalReason.NO_SESSION)])

    def test_internal_when_the_portal_breaks(self) -> None:
        for portal in (Raises(), FailsWith(ZeroDivisionError())):
            world = World(self, portal=portal)
            self.check_refused(self.join(world), RefusalReason.INTERNAL)
            self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_internal_when_the_portal_gives_nonsense(self) -> None:
        for nonsense in (None, (), (IPlayerAvatar, PlayerAvatar("")), 5):
            world = World(self, portal=Gives(nonsense))
            self.check_refused(self.join(world), RefusalReason.INTERNAL)
            self.assertGreaterEqual(len(self.flushLoggedErrors()), 1)

    def test_every_refusal_is_counted_by_its_reason(self) -> None:
        world = World(self, max_players=1)
        world.join("ada")
        for _ in range(3):
            self.join(world, "eve")
        self.join(world, "a b")
        refusals = world.server.host.refusals
        self.assertEqual(
            {reason: count for reason, count in refusals.items() if count},
            {RefusalReason.FULL: 3, RefusalReason.NAME: 1},
        )

    def test_a_code_from_the_future_is_still_a_refusal(self) -> None:
        self.assertEqual(frames.decode_refuse(b"\x03\xfe\x00\x00")[0], RefusalReason.INTERNAL)

    def test_every_reason_has_a_sentence_for_players(self) -> None:
        for reason in RefusalReason:
            self.assertRegex(REFUSAL_TEXTS[reason], r"^[A-Z].* .*\.$")


class Raises:
    def login(self, *args: Any) -> Any:
        raise ZeroDivisionError


class FailsWith:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def login(self, *args: Any) -> Any:
        deferred: Deferred[Any] = Deferred()
        deferred.errback(self.error)
        return deferred


class Gives:
    def __init__(self, value: object) -> None:
        self.value = value

    def login(self, *args: Any) -> Any:
        return self.value


class NameTests(SynchronousTestCase):
    """Names are shown as typed and are the same whatever their case or width."""

    def test_a_name_is_shown_as_typed(self) -> None:
        world = World(self)
        client = world.join("Ada.Lovelace_1-x")
        (joined,) = world.server.of(Joined)
        self.assertEqual(joined.player.name, "Ada.Lovelace_1-x")
        self.assertEqual(client.host.player.name, "Ada.Lovelace_1-x")

    def test_a_wide_name_is_the_narrow_one(self) -> None:
        world = World(self)
        world.join("ada")
        wide = "\uff41\uff44\uff41"
        self.assertEqual(unicodedata.normalize("NFKC", wide), "ada")
        client = world.client(wide)
        world.settle()
        self.assertEqual(client.end().refusal, RefusalReason.DUPLICATE)

    def test_guests_are_named_by_the_server_and_never_alike(self) -> None:
        world = World(self)
        world.join("guest-2")
        for _ in range(3):
            world.join("")
        names = [event.player.name for event in world.server.of(Joined)]
        self.assertEqual(len({name.casefold() for name in names}), 4)
        self.assertTrue(all(name.startswith("guest-") for name in names))

    def test_a_name_is_free_again_as_soon_as_its_player_has_left(self) -> None:
        world = World(self)
        for number in range(3):
            client = world.join("ada")
            self.assertEqual(client.host.player.id, number + 1)
            client.host.leave()
            world.settle()

    def test_ids_are_never_used_twice(self) -> None:
        world = World(self, max_players=2)
        for _ in range(5):
            client = world.join("")
            client.host.leave()
            world.settle()
        self.assertEqual([event.player.id for event in world.server.of(Joined)], [1, 2, 3, 4, 5])

    @settings(max_examples=60)
    @given(st.lists(st.sampled_from(["ada", "ADA", "aDa", "bob", "BOB", "\uff42ob"]), max_size=8))
    def test_no_two_players_ever_have_the_same_name(self, names: list[str]) -> None:
        world = World(self)
        for name in names:
            world.client(name)
        world.settle()
        held = [player.name.casefold() for player in world.server.players.values()]
        self.assertEqual(
            sorted(held), sorted({unicodedata.normalize("NFKC", name).casefold() for name in names})
        )
        world.close()


@implementer(ICredentialsChecker)
class OneAccount:
    """Passwords by name; names that differ only in case are one account."""

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, passwords: ICredentialsChecker) -> None:
        self._passwords = passwords

    def requestAvatarId(self, credentials: Any) -> Any:
        """The account."""
        found = self._passwords.requestAvatarId(credentials)
        return found.addCallback(lambda name: name.lower())


class TakeoverTests(SynchronousTestCase):
    """A second join under the same name, by configuration."""

    def world(self, **fields: Any) -> World:
        """Where ada and bob have passwords, their names."""
        accounts = InMemoryUsernamePasswordDatabaseDontUse(ada=b"ada", ADA=b"ada", bob=b"bob")
        portal = Portal(PlayerRealm(), [OneAccount(accounts)])
        return World(self, secure=True, portal=portal, duplicate="takeover", **fields)

    def test_the_one_whose_name_credentials_vouch_for_replaces_the_first(self) -> None:
        world = self.world()
        first = world.join("ada", password="ada")
        before = world.server.players["ada"]
        second = world.join("ADA", password="ada")
        self.assertEqual(first.end().reason, DisconnectReason.REPLACED)
        self.assertEqual(
            [
                (type(event), event.player)
                for event in world.server.events
                if isinstance(event, Joined | Left)
            ],
            [(Joined, before), (Left, before), (Joined, world.server.players["ADA"])],
        )
        self.assertEqual(world.server.of(Left)[0].reason, DisconnectReason.REPLACED)
        self.assertNotEqual(before.id, second.host.player.id)
        self.assertTrue(second.joined)

    def test_a_takeover_fits_into_a_full_server(self) -> None:
        world = self.world(max_players=1)
        world.join("ada", password="ada")
        self.assertTrue(world.join("ada", password="ada").joined)
        late = world.client("bob", password="bob")
        world.settle()
        self.assertEqual(late.end().refusal, RefusalReason.FULL)

    def test_a_name_that_nobody_vouches_for_takes_nothing_over(self) -> None:
        world = World(self, duplicate="takeover")
        first = world.join("ada")
        second = world.client("ada")
        world.settle()
        self.assertEqual(second.end().refusal, RefusalReason.DUPLICATE)
        self.assertTrue(first.joined)

    def test_another_account_takes_nothing_over(self) -> None:
        logins = Logins()
        world = World(self, secure=True, portal=logins, duplicate="takeover")
        first = world.client("ada", password="one")
        world.settle()
        logins.grant(account="ada@one")
        world.settle()
        second = world.client("ada", password="two")
        world.settle()
        logins.grant(account="ada@two")
        world.settle()
        self.assertEqual(second.end().refusal, RefusalReason.DUPLICATE)
        self.assertTrue(first.joined)
        self.assertEqual(logins.logouts, ["ada@two"])

    def test_taking_over_somebody_who_has_not_confirmed_is_no_left(self) -> None:
        world = self.world()
        puppet = world.puppet("ada", mechanism=frames.PASSWORD, auth=b"ada")
        world.join("ada", password="ada")
        self.assertEqual(world.server.of(Left), [])
        self.assertEqual(len(world.server.of(Joined)), 1)
        self.assertNotEqual(puppet.wire.ended, "")

    def test_it_needs_no_room_of_its_own_at_its_address(self) -> None:
        world = self.world(max_players_per_address=1)
        home = world.machine()
        world.join("ada", password="ada", machine=home)
        self.assertTrue(world.join("ada", password="ada", machine=home).joined)
        away = world.machine()
        world.join("bob", password="bob", machine=away)
        third = world.client("ada", password="ada", machine=away)
        world.settle()
        self.assertEqual(third.end().refusal, RefusalReason.FULL)

    def test_a_guest_gives_way_to_who_proves_the_name(self) -> None:
        checkers = [OneAccount(InMemoryUsernamePasswordDatabaseDontUse(ada=b"ada"))]
        portal = Portal(PlayerRealm(), [*checkers, AnyNameChecker()])
        world = World(self, secure=True, portal=portal, duplicate="takeover")
        guest = world.join("ada")
        self.assertTrue(world.join("ada", password="ada").joined)
        self.assertEqual(guest.end().reason, DisconnectReason.REPLACED)

    def test_a_claimed_name_takes_nothing_over(self) -> None:
        world = World(self, portal=make_portal(["memory:ada"]), duplicate="takeover")
        first = world.join("ada")
        second = world.client("ada")
        world.settle()
        self.assertEqual(second.end().refusal, RefusalReason.DUPLICATE)
        self.assertTrue(first.joined)

    def test_a_guest_does_not_take_over_from_who_has_proved_the_name(self) -> None:
        world = self.world()
        first = world.join("ada", password="ada")
        for wrong in (None, "wrong"):
            second = world.client("ada", password=wrong)
            world.settle()
            self.assertEqual(second.end().refusal, RefusalReason.CREDENTIALS)
        self.assertTrue(first.joined)

    def test_by_default_the_second_is_refused(self) -> None:
        world = World(self, portal=make_portal(["memory:ada"]))
        first = world.join("ada")
        second = world.client("ada")
        world.settle()
        self.assertEqual(second.end().refusal, RefusalReason.DUPLICATE)
        self.assertTrue(first.joined)


class LoginTests(SynchronousTestCase):
    """Portals that take their time, and what they are owed in the end."""

    def setUp(self) -> None:
        self.logins = Logins()

    def world(self, **fields: Any) -> World:
        return World(self, portal=self.logins, **fields)

    def test_the_portal_sees_a_claimed_name_or_anonymous(self) -> None:
        world = self.world()
        world.client("ada")
        world.client("")
        world.settle()
        (named, _), (anonymous, _) = self.logins.pending
        self.assertEqual((type(named), named.name), (ClaimedName, "ada"))
        self.assertTrue(IAnonymous.providedBy(anonymous))

    def test_any_twisted_portal_will_do(self) -> None:
        class Realm:
            def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
                return IPlayerAvatar, PlayerAvatar(f"account of {avatar_id}"), lambda: None

        class Checker:
            credentialInterfaces = tuple(ClaimedName("x").__provides__)  # type: ignore[attr-defined]

            def requestAvatarId(self, credentials: Any) -> Any:
                if credentials.name != "ada":
                    raise UnauthorizedLogin
                return b"ada"

        portal = Portal(Realm())
        portal.registerChecker(Checker())
        world = World(self, portal=portal)
        world.join("ada")
        self.assertEqual(world.server.players["ada"].account, "account of b'ada'")
        other = world.client("bob")
        world.settle()
        self.assertEqual(other.end().refusal, RefusalReason.CREDENTIALS)

    def test_two_logins_for_the_last_place_make_one_player(self) -> None:
        world = self.world(max_players=1)
        first, second = world.client("ada"), world.client("bob")
        world.settle()
        self.logins.grant()
        self.logins.grant()
        world.settle()
        self.assertTrue(first.joined)
        self.assertEqual(second.end().refusal, RefusalReason.FULL)
        self.assertEqual(self.logins.logouts, ["bob"])

    def test_two_logins_for_one_name_make_one_player(self) -> None:
        world = self.world()
        first, second = world.client("ada"), world.client("ADA")
        world.settle()
        self.logins.grant(1)
        self.logins.grant(0)
        world.settle()
        self.assertTrue(second.joined)
        self.assertEqual(first.end().refusal, RefusalReason.DUPLICATE)

    def test_a_login_that_ends_after_the_server_began_to_close_is_refused(self) -> None:
        world = self.world()
        client = world.client("ada")
        world.settle()
        world.server.host.refuse_newcomers()
        self.logins.grant()
        world.settle()
        self.assertEqual(client.end().refusal, RefusalReason.BUSY)
        self.assertEqual(self.logins.logouts, ["ada"])

    def test_a_ban_that_came_during_the_login_holds(self) -> None:
        world = self.world()
        ada = world.client("ada")
        world.settle()
        self.logins.grant(account="ada@one")
        world.settle()
        again = world.client("ada2")
        world.settle()
        world.server.verbs.disconnect(world.server.players["ada"], ban_seconds=60)
        self.logins.grant(account="ada@one")
        world.settle()
        self.assertEqual(again.end().refusal, RefusalReason.BANNED)
        self.assertEqual(ada.end().reason, DisconnectReason.KICKED)

    def test_a_portal_that_never_answers_is_waited_for_until_the_join_deadline(self) -> None:
        world = self.world(join_seconds=5.0)
        client = world.client("ada", join_seconds=60.0)
        world.run(4.9)
        self.assertEqual(client.events, [])
        world.run(0.2)
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        self.assertEqual(list(world.server.host._unjoined), [])
        # And if it answers after all, who is gone is logged out at once.
        self.logins.grant()
        world.settle()
        self.assertEqual(self.logins.logouts, ["ada"])
        self.assertEqual(world.server.events, [])

    def test_a_login_after_its_player_has_hung_up_is_logged_out(self) -> None:
        world = self.world()
        client = world.client("ada")
        world.settle()
        client.host.leave()
        world.settle()
        self.logins.grant()
        world.settle()
        self.assertEqual(self.logins.logouts, ["ada"])
        self.assertEqual(len(world.server.host.registry), 0)

    def test_a_failure_after_its_player_has_hung_up_is_nothing(self) -> None:
        world = self.world()
        client = world.client("ada")
        world.settle()
        client.host.leave()
        world.settle()
        self.logins.pending[0][1].errback(UnauthorizedLogin())
        world.settle()
        self.assertEqual(sum(world.server.host.refusals.values()), 0)

    def test_frames_during_a_login_are_a_breach(self) -> None:
        world = self.world()
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("ada")), frames.encode_say("let me in"))
        self.assertEqual((stranger.heard, stranger.ended), (b"", RST))
        self.logins.grant()
        world.settle()
        self.assertEqual(self.logins.logouts, ["ada"])
        self.assertEqual(world.server.events, [])

    def test_each_player_is_logged_out_exactly_once_however_it_ends(self) -> None:
        world = self.world()
        names = ["quits", "kicked", "breaks", "stopped"]
        clients = {name: world.client(name) for name in names}
        world.settle()
        for _ in names:
            self.logins.grant()
        world.settle()
        self.assertEqual(self.logins.logouts, [])
        clients["quits"].host.leave()
        world.server.verbs.disconnect(world.server.players["kicked"])
        transport = clients["breaks"].transport
        assert transport is not None
        transport.abortConnection()
        world.settle()
        self.assertEqual(sorted(self.logins.logouts), ["breaks", "kicked", "quits"])
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.run(10.0)
        self.assertEqual(sorted(self.logins.logouts), sorted(names))

    def test_who_never_confirms_is_logged_out_as_well(self) -> None:
        world = self.world(join_seconds=5.0)
        stranger = world.stranger()
        stranger.say_frame(frames.encode_hello(hello("ada")))
        self.logins.grant()
        world.settle()
        self.assertEqual(self.logins.logouts, [])
        world.run(5.1)
        self.assertEqual(self.logins.logouts, ["ada"])

    def test_a_logout_that_raises_harms_nobody(self) -> None:
        world = self.world()
        clients = [world.client(name) for name in ("ada", "bob", "eve")]
        world.settle()
        for _ in clients:
            _, deferred = self.logins.pending.pop(0)
            deferred.callback((IPlayerAvatar, PlayerAvatar(""), lambda: 1 / 0))
        world.settle()
        world.server.host.end_all(DisconnectReason.STOPPED)
        world.settle()
        self.assertEqual(
            [client.end().reason for client in clients], [DisconnectReason.STOPPED] * 3
        )
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 3)

    def test_a_logout_that_raises_does_not_swallow_the_refusal(self) -> None:
        world = self.world(max_players=1)
        first, second = world.client("ada"), world.client("bob")
        world.settle()
        self.logins.grant()
        _, deferred = self.logins.pending.pop(0)
        deferred.callback((IPlayerAvatar, PlayerAvatar(""), lambda: 1 / 0))
        world.settle()
        self.assertTrue(first.joined)
        self.assertEqual(second.end().refusal, RefusalReason.FULL)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class CapTests(SynchronousTestCase):
    """What is bounded before anybody has joined."""

    def test_beyond_the_cap_the_oldest_silent_one_goes_and_is_counted(self) -> None:
        world = World(self, max_unjoined=3)
        strangers = [world.stranger() for _ in range(3)]
        self.assertTrue(world.join("ada").joined)
        self.assertEqual([stranger.ended for stranger in strangers], [RST, "", ""])
        self.assertEqual(strangers[0].heard, b"")
        self.assertEqual(world.server.counters.unjoined_cut, 1)

    def test_connections_beyond_the_cap_are_closed_unanswered_and_counted(self) -> None:
        world = World(self, max_unjoined=3, portal=Logins())
        waiting = [world.client(f"p{number}") for number in range(3)]
        world.settle()
        client = world.client("ada")
        world.settle()
        self.assertEqual(client.end().reason, DisconnectReason.UNREACHABLE)
        self.assertEqual(world.server.counters.unjoined_refused, 1)
        self.assertEqual([each.events for each in waiting], [[], [], []])

    def test_those_who_have_joined_do_not_count(self) -> None:
        world = World(self, max_unjoined=1)
        for number in range(5):
            world.join(f"p{number}")
        self.assertEqual(list(world.server.host._unjoined), [])

    def test_those_who_were_refused_count_until_they_are_closed(self) -> None:
        """A socket is a socket: who is refused again and again must not hold more of them."""
        world = World(self, max_unjoined=1, max_players=1)
        world.join("ada")
        for _ in range(5):
            stranger = world.stranger()
            stranger.say(framed(frames.encode_hello(hello("bob"))))
            self.assertEqual(stranger.ended, FIN)
            self.assertEqual(len(world.server.host._unjoined), 1)
            stranger.close()
            world.settle()
            self.assertEqual(list(world.server.host._unjoined), [])


class ByeTests(SynchronousTestCase):
    """A client can say why it goes, and no more than that."""

    def reason_after(self, said: DisconnectReason) -> Left:
        world = World(self)
        puppet = world.puppet().confirm()
        puppet.wire.say_frame(frames.encode_bye(said))
        (left,) = world.server.of(Left)
        return left

    def test_its_own_reasons_are_believed(self) -> None:
        for said in (DisconnectReason.QUIT, DisconnectReason.TIMEOUT, DisconnectReason.BAD_DATA):
            self.assertEqual(self.reason_after(said).reason, said)

    def test_the_servers_reasons_are_not_its_to_give(self) -> None:
        for said in (DisconnectReason.KICKED, DisconnectReason.STOPPED):
            self.assertEqual(self.reason_after(said).reason, DisconnectReason.QUIT)
        for said in (DisconnectReason.GAME_ERROR, DisconnectReason.SLOW_CONSUMER):
            self.assertEqual(self.reason_after(said).reason, DisconnectReason.SESSION_LOST)

    def test_an_end_without_words_gets_some(self) -> None:
        self.assertEqual(self.reason_after(DisconnectReason.QUIT).text, "left the game")


class StrangersLogTests(SynchronousTestCase):
    """Who connects does not decide how much is logged."""

    def test_many_breaches_are_one_line_in_ten_seconds(self) -> None:
        world = World(self)
        lines: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "gamenet.host":
                lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        bob = world.machine()
        for _ in range(15):
            world.stranger(bob).say(framed(b"rubbish"))
        self.assertEqual(len(lines), 1)
        world.stranger().say(framed(b"rubbish"))
        self.assertEqual(len(lines), 2, "another address has a line of its own")
        world.network.run(11.0)
        world.stranger(bob).say(framed(b"rubbish"))
        self.assertEqual(len(lines), 3)
        self.assertIn("(15 such)", lines[2])

    def test_strangers_together_get_a_hundred_lines_a_second(self) -> None:
        world = World(self)
        lines: list[str] = []

        def observe(event: Any) -> None:
            if event.get("log_namespace") == "gamenet.host":
                lines.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        for _ in range(150):
            world.stranger().say(framed(b"rubbish"))
        self.assertEqual(len(lines), 100)


class FactoryTests(SynchronousTestCase):
    """For people who own the reactor."""

    def test_no_reactor_is_touched_when_one_is_given(self) -> None:
        world = World(self)
        self.assertIs(world.server.host.reactor, world.server.machine)

    def test_who_is_joined_is_told_where_from(self) -> None:
        world = World(self)
        world.join("ada", machine=world.machine("203.0.113.7"))
        (joined,) = world.server.of(Joined)
        self.assertRegex(joined.address, r"^203\.0\.113\.7:\d+$")
        self.assertFalse(joined.secure)

    def test_one_player_is_one_object_for_its_life(self) -> None:
        world = World(self)
        client = world.join("ada")
        client.verbs.say("one")
        client.verbs.send(b"two")
        client.host.leave()
        world.settle()
        players = [event.player for event in world.server.events]
        self.assertEqual({id(player) for player in players}, {id(players[0])})
        self.assertEqual(
            [type(event) for event in world.server.events if not isinstance(event, Joined)][1:],
            [Chat, Received, Left],
        )

    def test_verbs_beside_a_bridge_reach_everybody_as_well(self) -> None:
        # The factory's own verbs, used on the reactor thread while the game sits behind a bridge.
        world = World(self, bridged=True)
        client = world.join("ada")
        world.server.factory.verbs.broadcast(b"maintenance at noon")
        world.server.factory.verbs.say("maintenance at noon")
        world.take()
        self.assertEqual(len(client.of(Received)), 1)
        self.assertEqual(len(client.of(Chat)), 1)

"""The small MMO of the book: what it keeps, who hears whom, and what moderators can do."""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.errors import DisconnectReason, LocalProtocolError
from gamenet.events import Chat, Disconnected, Received
from gamenet.testing import Simulation

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "recipes"))

from small_mmo import chat, moderation, realm, shared, store, world


class InPlace(store.Store):
    """Does what it is asked at once, so that virtual time alone decides."""

    def __init__(self, *same: Any) -> None:
        super().__init__(*same)
        self._db.execute("pragma synchronous = off")  # no test pulls a plug

    def ask(self, do: Any, *arguments: Any, then: Any = None) -> None:
        self._do(do, arguments, then)


class Slow(store.Store):
    """Does nothing before it is told to."""

    def __init__(self, *same: Any) -> None:
        super().__init__(*same)
        self.asked: list[Any] = []

    def ask(self, do: Any, *arguments: Any, then: Any = None) -> None:
        self.asked.append((do, arguments, then))

    def catch_up(self) -> None:
        while self.asked:
            self._do(*self.asked.pop(0))

    def close(self) -> None:
        self.catch_up()
        super().close()


class Base(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = f"{folder.name}/kept.sqlite"
        self.today = 1_000_000.0

    def begin(
        self,
        *names: str,
        open_store: Any = InPlace,
        auth: str = "memory:ada,bob,mod",
        **options: Any,
    ) -> Simulation:
        class Realm(realm.Realm):
            clock = staticmethod(lambda: self.today)

        Realm.open_store = open_store
        given = {"database": self.path, "moderators": ["mod"], "words": ["darn", "heck"]}
        simulation = Simulation(
            Realm,
            clients=names,
            auth=(auth,),
            options={**given, **options},
        )
        self.addCleanup(simulation.close)
        simulation.step(2)
        return simulation

    def walk(self, simulation: Simulation, client: Any, button: int, ticks: int) -> None:
        for _ in range(ticks):
            client.send_input(button)
            simulation.step()
        client.send_input(0)
        simulation.step(3)

    def lines(self, client: Any) -> list[str]:
        """What was said since the last look."""
        return [event.text for event in client.events() if isinstance(event, Chat)]

    def seen(self, client: Any) -> dict[int, tuple[float, float]]:
        view = shared.View.decode(client.take_state().payload)
        return {hero.id: (round(hero.x, 1), round(hero.y, 1)) for hero in view.heroes}

    def told(self, client: Any) -> list[Any]:
        return [event.payload for event in client.events() if isinstance(event, Received)]

    def rows(self, statement: str) -> list[Any]:
        database = sqlite3.connect(self.path)
        try:
            return database.execute(statement).fetchall()
        finally:
            database.close()


class WorldTests(Base):
    def test_names_are_told_once_and_places_all_the_time(self) -> None:
        simulation = self.begin("ada", "bob")
        ada, bob = simulation.clients
        self.assertEqual(
            self.told(ada),
            [
                shared.Entered("meadow"),
                shared.Appeared(ada.player.id, "ada"),
                shared.Appeared(bob.player.id, "bob"),
            ],
        )
        self.walk(simulation, bob, shared.NORTH, 10)
        self.assertEqual(self.told(ada), [])
        places = self.seen(ada)
        self.assertEqual(places[ada.player.id], (32.0, 32.0))
        self.assertEqual(places[bob.player.id], (32.0, 30.0))

    def test_who_walks_out_of_a_zone_is_in_the_next_one_and_out_of_sight(self) -> None:
        simulation = self.begin("ada", "bob")
        ada, bob = simulation.clients
        self.walk(simulation, ada, shared.EAST, 140)
        self.walk(simulation, bob, shared.EAST, 140)
        self.told(ada)
        self.told(bob)
        self.walk(simulation, bob, shared.EAST, 25)
        self.assertEqual(self.told(ada), [shared.Vanished(bob.player.id)])
        self.assertEqual(
            self.told(bob),
            [shared.Entered("forest"), shared.Appeared(bob.player.id, "bob")],
        )
        self.assertNotIn(bob.player.id, self.seen(ada))
        state = shared.View.decode(bob.take_state().payload)
        self.assertEqual(shared.ZONES[state.zone], "forest")
        self.walk(simulation, bob, shared.WEST, 170)
        entered = [one.zone for one in self.told(bob) if isinstance(one, shared.Entered)]
        self.assertEqual(entered, ["meadow"])

    def test_the_world_ends_in_the_west_and_in_the_east(self) -> None:
        land, ada = world.World(), world.Character()
        land.enter(1, ada)
        travels = 0
        for buttons, place in (
            (shared.WEST | shared.NORTH, ("meadow", 0.0, 0.0)),
            (shared.EAST | shared.SOUTH, ("caves", 64.0, 64.0)),
        ):
            for _ in range(1_000):
                land.press(1, buttons)
                travels += len(land.step(0.05))
            self.assertEqual(ada.place, place)
            self.assertEqual(land.near(1), [1])
        self.assertEqual(travels, 2)

    def test_somebody_who_is_not_heard_of_stands_still(self) -> None:
        simulation = self.begin("ada")
        [ada] = simulation.clients
        ada.send_input(shared.EAST)
        simulation.run(5)
        x, _ = self.seen(ada)[ada.player.id]
        most = world.METRES_A_SECOND * world.HOLD_SECONDS
        self.assertTrue(32.0 < x < 32.0 + most + 0.5, x)


class KeptTests(Base):
    def test_a_place_is_kept_when_its_player_leaves_and_comes_back_at_once(self) -> None:
        simulation = self.begin("ada")
        [ada] = simulation.clients
        self.walk(simulation, ada, shared.EAST, 20)
        place = self.seen(ada)[ada.player.id]
        ada.stop()
        again = simulation.join("ada")
        simulation.step(2)
        self.assertEqual(self.seen(again)[again.player.id], place)
        self.assertNotEqual(place, (32.0, 32.0))

    def test_places_are_kept_when_the_server_stops(self) -> None:
        simulation = self.begin("ada", "bob")
        for client, button in zip(simulation.clients, (shared.EAST, shared.SOUTH), strict=True):
            self.walk(simulation, client, button, 20)
        places = [self.seen(client)[client.player.id] for client in simulation.clients]
        simulation.close()
        again = self.begin("ada", "bob")
        self.assertEqual([self.seen(one)[one.player.id] for one in again.clients], places)

    def test_a_killed_server_loses_what_came_after_the_last_save(self) -> None:
        simulation = self.begin("ada", save_seconds=5)
        [ada] = simulation.clients
        self.walk(simulation, ada, shared.EAST, 20)
        self.assertEqual(self.rows("select * from character"), [])
        simulation.run(5)
        [kept] = self.rows("select * from character")
        self.assertEqual(kept[:2], ("ada", "meadow"))
        self.assertAlmostEqual(kept[2], self.seen(ada)[ada.player.id][0], 1)

    def test_who_is_kept_in_a_zone_that_is_no_more_begins_anew(self) -> None:
        self.begin("bob").close()
        database = sqlite3.connect(self.path)
        database.execute("insert into character values ('ada', 'swamp', 1.0, 2.0)")
        database.commit()
        database.close()
        simulation = self.begin("ada")
        [ada] = simulation.clients
        self.assertEqual(self.seen(ada)[ada.player.id], (32.0, 32.0))

    def test_a_game_that_fails_saves_everybody(self) -> None:
        simulation = self.begin("ada", "bob")

        def fails(player: Any, text: str) -> None:
            raise ZeroDivisionError(text)

        simulation.game.on_chat = fails
        simulation.clients[0].say("hello")
        self.assertRaises(ZeroDivisionError, simulation.step, 2)
        self.assertEqual(self.rows("select account from character"), [("ada",), ("bob",)])

    def test_what_a_full_disk_refused_is_saved_later_and_known_meanwhile(self) -> None:
        simulation = self.begin("ada", save_seconds=5)
        kept, [ada] = simulation.game.store, simulation.clients
        write = kept._write

        def full(*same: Any) -> None:
            raise sqlite3.OperationalError("database or disk is full")

        kept._write = full
        self.walk(simulation, ada, shared.EAST, 20)
        place = self.seen(ada)[ada.player.id]
        ada.stop()
        again = simulation.join("ada")
        simulation.step(2)
        self.assertEqual(self.seen(again)[again.player.id], place)
        again.stop()
        simulation.step(2)
        self.assertEqual(self.rows("select * from character"), [])
        kept._write = write
        simulation.run(5)
        self.assertEqual(self.rows("select account from character"), [("ada",)])
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_a_character_that_cannot_be_read_is_not_replaced_by_a_new_one(self) -> None:
        simulation = self.begin("ada")
        self.walk(simulation, simulation.clients[0], shared.EAST, 20)
        simulation.clients[0].stop()
        simulation.step()
        before = self.rows("select * from character")
        self.assertEqual(len(before), 1)

        def broken(*same: Any) -> None:
            raise sqlite3.DatabaseError("database disk image is malformed")

        simulation.game.store.load = broken
        again = simulation.join("ada")
        simulation.step(2)
        over = again.events()[-1]
        assert isinstance(over, Disconnected)
        self.assertIn("cannot be read", over.text)
        simulation.step(10)
        self.assertEqual(self.rows("select * from character"), before)

    def test_who_has_left_before_the_answer_leaves_nothing_behind(self) -> None:
        simulation = self.begin("ada", "bob", open_store=Slow)
        ada, bob = simulation.clients
        ada.send_input(shared.EAST)
        ada.say("is anybody here?")
        simulation.step(2)
        self.assertIsNone(ada.take_state())
        ada.stop()
        simulation.step(2)
        simulation.game.store.catch_up()
        simulation.step(2)
        self.assertEqual(list(simulation.game.world.characters), [bob.player.id])
        self.assertEqual(self.lines(bob), [])
        self.assertEqual(self.rows("select * from character"), [])

    def test_the_game_goes_on_while_the_disk_is_busy(self) -> None:
        simulation = self.begin("ada", open_store=store.Store)
        kept = simulation.game.store

        def finished() -> None:
            done = threading.Event()
            kept.ask(done.set)
            self.assertTrue(done.wait(60))
            simulation.step(2)

        finished()
        [ada] = simulation.clients
        busy = sqlite3.connect(self.path)
        self.addCleanup(busy.close)
        busy.execute("begin exclusive")
        bob = simulation.join("bob")
        before = ada.take_state().tick
        simulation.step(100)
        self.assertEqual(ada.take_state().tick - before, 100)
        self.assertEqual(self.told(bob), [], "the disk has not answered yet")
        busy.rollback()
        finished()
        self.assertIn(shared.Entered("meadow"), self.told(bob))

    def test_a_guest_is_sent_away(self) -> None:
        simulation = self.begin("eve", auth="anonymous")
        over = simulation.clients[0].events()[-1]
        assert isinstance(over, Disconnected)
        self.assertEqual(over.text, "this world is for accounts")

    def test_one_account_under_two_names_is_let_in_once(self) -> None:
        simulation = self.begin("ada", "bob", open_store=Slow)
        # As tickets may have it, of which a simulation has none.
        object.__setattr__(simulation.server.find("bob"), "account", "ada")
        simulation.game.store.catch_up()
        simulation.step(3)
        ada, bob = simulation.clients
        self.assertTrue(ada.joined)
        over = bob.events()[-1]
        assert isinstance(over, Disconnected)
        self.assertEqual(over.text, "you play already, under another name")
        self.assertEqual(list(simulation.game.world.characters), [ada.player.id])

    def test_options_that_cannot_be_are_named_at_the_start(self) -> None:
        for name, value in (("words", "darn"), ("words", [1]), ("save_seconds", 0), ("wrods", [])):
            with self.assertRaises(AssertionError) as raised:
                self.begin("ada", **{name: value})
            self.assertIn(f"[game] {name} ", str(raised.exception))

    def test_a_database_that_cannot_be_opened_ends_the_start_with_one_sentence(self) -> None:
        with self.assertRaises(AssertionError) as raised:
            self.begin("ada", database=f"{self.path}/nowhere")
        self.assertIn("cannot use the database", str(raised.exception))


class ChatTests(Base):
    def test_words_reach_those_who_see_the_speaker(self) -> None:
        simulation = self.begin("ada", "bob", "mod")
        ada, bob, mod = simulation.clients
        self.walk(simulation, mod, shared.EAST, 100)
        ada.say("hello")
        ada.say("/all hello, everybody")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["hello", "[all] hello, everybody"])
        self.assertEqual(self.lines(mod), ["[all] hello, everybody"])

    def test_a_whisper_reaches_one(self) -> None:
        simulation = self.begin("ada", "bob", "mod")
        ada, bob, mod = simulation.clients
        ada.say("/w BOB psst")
        ada.say("/w eve psst")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["psst"])
        self.assertEqual(self.lines(mod), [])
        self.assertEqual(self.lines(ada), ["eve is not here."])

    def test_a_channel_reaches_those_who_are_in_it(self) -> None:
        simulation = self.begin("ada", "bob", "mod")
        ada, bob, mod = simulation.clients
        for client in (ada, bob):
            client.say("/channel trade")
        simulation.step(2)
        ada.say("#trade a sword for a horse")
        mod.say("#trade me too")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["You hear: trade", "[#trade] a sword for a horse"])
        self.assertEqual(self.lines(mod), ["You do not hear #trade: /channel trade"])
        bob.say("/channel trade")
        simulation.step(2)
        ada.say("#trade anybody?")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["You hear:"])

    def test_nobody_is_in_more_channels_than_there_is_room_for(self) -> None:
        self.patch(moderation, "LINES_AT_ONCE", 100)
        simulation = self.begin("ada")
        [ada] = simulation.clients
        for number in range(chat.MOST_CHANNELS + 4):
            ada.say(f"/channel c{number}")
        simulation.run(2)
        [names] = simulation.game.chat.channels.values()
        self.assertEqual(len(names), chat.MOST_CHANNELS)

    def test_no_line_that_gamenet_carries_stops_the_game(self) -> None:
        self.patch(moderation, "LINES_AT_ONCE", 100)
        simulation = self.begin("ada", "bob", words=["x"])
        ada, bob = simulation.clients
        for line in ("/w bob \u200d", "/all \u200d", "x " * 250, "#" + "c" * 499, "/w " + "n" * 497,
                     "/", "/w", "#", "/channel", "/channel " + "c" * 491, "/mute", "/_note",
                     "/all " + "y" * 495):  # fmt: skip
            ada.say(line)
        simulation.run(2)
        self.assertEqual(len(simulation.server.players), 2)
        self.assertIn("[all] " + "y" * 494, self.lines(bob))


class ModerationTests(Base):
    def test_listed_words_are_not_read_and_are_written_down(self) -> None:
        simulation = self.begin("ada", "bob")
        ada, bob = simulation.clients
        ada.say("Darn, what the HECK, darning is fine")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["***, what the ***, darning is fine"])
        self.assertEqual(
            self.rows("select who, did, said from audit"),
            [("ada", "word", "Darn, what the HECK, darning is fine")],
        )

    def test_who_talks_too_fast_is_not_heard_for_a_while(self) -> None:
        simulation = self.begin("ada", "bob")
        ada, bob = simulation.clients
        for number in range(moderation.LINES_AT_ONCE + 3):
            ada.say(f"line {number}")
        simulation.step(2)
        self.assertEqual(self.lines(bob), [f"line {n}" for n in range(moderation.LINES_AT_ONCE)])
        self.assertEqual(self.lines(ada)[-3:], ["You talk too fast; wait a little."] * 3)
        simulation.run(4 / moderation.LINES_A_SECOND + 0.1)
        ada.say("and now?")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["and now?"])

    def test_a_mute_holds_until_its_end_for_every_way_to_speak(self) -> None:
        simulation = self.begin("ada", "bob", "mod")
        ada, bob, mod = simulation.clients
        for line in ("/mute ada 10", "/channel trade"):
            mod.say(line)
        bob.say("/channel trade")
        ada.say("/channel trade")
        simulation.step(2)
        self.assertIn("Done: mute ada 10", self.lines(mod))
        self.lines(bob)
        for line in ("one", "/all two", "#trade three", "/w bob four"):
            ada.say(line)
        simulation.step(2)
        self.assertEqual(self.lines(bob), [])
        self.assertEqual(self.lines(ada).count("You are muted; nobody heard that."), 4)
        self.today += 601
        simulation.run(10)
        ada.say("five")
        simulation.step(2)
        self.assertEqual(self.lines(bob), ["five"])

    def test_a_mute_outlives_its_server_and_a_second_one_ends_it(self) -> None:
        simulation = self.begin("ada", "mod")
        simulation.clients[1].say("/mute ada 10")
        simulation.step(2)
        simulation.close()
        again = self.begin("ada", "bob", "mod")
        ada, bob, mod = again.clients
        ada.say("still?")
        again.step(2)
        self.assertEqual(self.lines(bob), [])
        mod.say("/mute ada 0")
        again.step(2)
        ada.say("no more")
        again.step(2)
        self.assertEqual(self.lines(bob), ["no more"])

    def test_a_mute_that_comes_before_the_character_is_not_forgotten(self) -> None:
        simulation = self.begin("bob", "mod", open_store=Slow)
        kept, (bob, mod) = simulation.game.store, simulation.clients
        kept.catch_up()
        ada = simulation.join("ada")
        mod.say("/mute ada 10")
        simulation.step(2)
        kept.catch_up()
        simulation.step(2)
        ada.say("hello")
        simulation.step(2)
        self.assertEqual(self.lines(bob), [])

    def test_who_is_kicked_may_come_back_and_who_is_banned_may_not(self) -> None:
        simulation = self.begin("ada", "mod")
        ada, mod = simulation.clients
        mod.say("/kick ada")
        simulation.step(3)
        over = ada.events()[-1]
        assert isinstance(over, Disconnected)
        self.assertIs(over.reason, DisconnectReason.KICKED)
        ada = simulation.join("ada")
        simulation.step(2)
        self.assertTrue(ada.joined)
        mod.say("/ban ada 10")
        simulation.step(3)
        for _ in range(2):
            ada = simulation.join("ada")
            simulation.step(3)
            over = ada.events()[-1]
            assert isinstance(over, Disconnected)
            self.assertEqual(over.text, "you are banned")
            simulation.close()
            simulation = self.begin("mod")
        self.today += 601
        ada = simulation.join("ada")
        simulation.step(2)
        self.assertIsNotNone(ada.take_state())

    def test_who_has_left_can_be_banned_too(self) -> None:
        simulation = self.begin("mod")
        simulation.clients[0].say("/ban ADA 10")
        simulation.step(2)
        self.assertEqual(
            self.lines(simulation.clients[0]), ["Done, if there is such an account: ban ADA 10"]
        )
        ada = simulation.join("ada")
        simulation.step(3)
        self.assertIsInstance(ada.events()[-1], Disconnected)

    def test_only_moderators_moderate_and_all_they_do_is_written_down(self) -> None:
        simulation = self.begin("ada", "bob", "mod")
        ada, bob, mod = simulation.clients
        for line in ("/mute bob 1", "/kick bob", "/ban bob 1"):
            ada.say(line)
        simulation.step(3)
        self.assertEqual(self.lines(ada), ["That is for moderators."] * 3)
        self.assertTrue(bob.joined)
        for line in ("/mute bob 1", "/mute bob long", "/ban eve 1" + "0" * 90, "/kick eve"):
            mod.say(line)
        simulation.step(2)
        mod.say("/kick bob")
        simulation.step(2)
        self.assertEqual(
            self.rows("select at, who, did, whom from audit"),
            [
                (self.today, "mod", "mute", "bob"),
                (self.today, "mod", "ban", "eve"),
                (self.today, "mod", "kick", "bob"),
            ],
        )
        [until] = self.rows("select until from penalty where account = 'eve'")[0]
        self.assertEqual(until, self.today + 60 * moderation.MOST_MINUTES)


class EndTests(Base):
    def test_an_answer_that_comes_after_the_end_is_nobodys(self) -> None:
        def post(value: object) -> None:
            raise LocalProtocolError("stopped")

        kept = store.Store(self.path, post)
        answers: list[object] = []
        kept.ask(kept.load, "ada", then=lambda *answer: answers.append(answer))
        kept.ask(kept.save, {"ada": ("meadow", 1.0, 2.0)})
        kept.close()
        self.assertEqual(answers, [])
        self.assertEqual(self.rows("select * from character"), [("ada", "meadow", 1.0, 2.0)])

"""What a player knows of the field, over good and bad networks, in virtual time."""

from __future__ import annotations

import itertools
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.trial.unittest import SynchronousTestCase

import gamenet
from gamenet.demo import field, game, names
from gamenet.demo.field import DOWN, LEFT, RIGHT, UNITS_PER_TILE, UP, Hero
from gamenet.demo.game import join_state, pack_hero
from gamenet.play import world as module
from gamenet.play.endings import Over
from gamenet.play.heroes import Pose
from gamenet.play.talk import MOST_BUBBLES, Talk
from gamenet.play.world import Acquaintance, World
from gamenet.testing import Simulation
from tests.play.players import FRAME, Players, add_beside

if TYPE_CHECKING:
    from gamenet.play.sight import Sight

BAD = ("wifi", "cellular", "satellite", "train")


class FieldCase(SynchronousTestCase):
    """Everybody stands next to each other, and the server's field can be looked into."""

    def setUp(self) -> None:
        self.fields: list[field.Field] = []
        made = self.fields

        class Watched(field.Field):
            add = add_beside

            def __init__(self) -> None:
                super().__init__()
                made.append(self)

        self.patch(game, "Field", Watched)

    def hero(self, hero_id: int) -> Hero:
        """A hero where the server has it."""
        return self.fields[-1].heroes[hero_id]


def seen(world: World, name: str) -> Sight:
    """Whom a player sees by that name."""
    (sight,) = [each for each in world.sights() if each.name == name]
    return sight


class OwnHeroTests(FieldCase):
    """Predicted, and reconciled."""

    def wander(self, players: Players, frames: int, seed: int = 1) -> None:
        dice = Random(seed)
        for frame in range(frames):
            if frame % 31 == 0:
                players.held = [dice.randint(0, 15) for _ in players.held]
            players.frames()

    def test_it_walks_in_the_frame_in_which_the_input_is_sent(self) -> None:
        """No answer has come by then: on this link that takes two thirds of a second."""
        with Players("ada", profile="satellite") as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            players.frames(2)
            start = world.centre[0]
            players.held = [RIGHT]
            players.frames(4)
            self.assertGreater(world.centre[0], start)
            self.assertEqual(self.hero(1).x, start * UNITS_PER_TILE)

    def test_it_ends_where_the_server_has_it_over_every_network(self) -> None:
        for profile in ("perfect", *BAD):
            with Players("ada", profile=profile, seed=2) as players:
                (world,) = players.worlds
                players.until(lambda: world.own)  # noqa: B023
                self.wander(players, 200)
                players.held = [0]
                players.frames(180)
                hero = self.hero(1)
                assert world.own is not None
                predicted = world.own.predictor.state
                self.assertEqual(
                    predicted, Pose(hero.x, hero.y, hero.facing, hero.walking), profile
                )
                mine = seen(world, "ada")
                self.assertEqual((mine.x, mine.y), (hero.x / 256, hero.y / 256), profile)

    def test_on_a_good_network_no_prediction_is_ever_wrong(self) -> None:
        with Players("ada", "bob", profile="perfect") as players:
            players.until(lambda: all(world.own for world in players.worlds))
            self.wander(players, 300)
            for world in players.worlds:
                assert world.own is not None
                self.assertEqual(world.own.predictor.corrections, 0)
                self.assertGreater(world.own.predictor.acknowledged, 100)

    def test_it_moves_in_each_frame_although_ticks_are_half_as_many(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            players.held = [DOWN]
            players.frames(10)
            places = []
            for _ in range(12):
                players.frames()
                places.append(world.centre[1])
            steps = {round((b - a) * UNITS_PER_TILE, 3) for a, b in itertools.pairwise(places)}
            self.assertEqual(steps, {16.0})

    def test_it_faces_where_it_goes_and_says_that_it_walks(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            for buttons, facing in (
                (UP, field.FACING_UP),
                (DOWN, field.FACING_DOWN),
                (LEFT, field.FACING_LEFT),
                (RIGHT, field.FACING_RIGHT),
            ):
                players.held = [buttons]
                players.frames(4)
                mine = seen(world, "ada")
                self.assertEqual((mine.facing, mine.walking, mine.own), (facing, True, True))
            players.held = [0]
            players.frames(4)
            self.assertFalse(seen(world, "ada").walking)

    def test_it_stands_when_nothing_is_heard_for_a_second(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            players.held = [RIGHT]
            players.simulation.network.link(loss=1.0)
            players.frames(90)
            place = world.centre
            players.frames(30)
            self.assertEqual(world.centre, place)


class OtherHeroesTests(FieldCase):
    """Interpolated."""

    def test_they_are_seen_where_they_are_once_they_stand(self) -> None:
        for profile in ("perfect", *BAD):
            with Players("ada", "bob", profile=profile, seed=3) as players:
                ada, _ = players.worlds
                players.until(lambda: len(ada.sights()) == 2)  # noqa: B023
                players.held = [0, RIGHT | DOWN]
                players.frames(60)
                players.held = [0, 0]
                players.frames(180)
                bob, hero = seen(ada, "bob"), self.hero(players.clients[1].player.id)
                self.assertEqual((bob.x, bob.y), (hero.x / 256, hero.y / 256), profile)
                self.assertFalse(bob.own)

    def test_they_move_in_each_frame_and_never_back(self) -> None:
        for profile in ("perfect", "wifi", "cellular"):
            with Players("ada", "bob", profile=profile, seed=4) as players:
                ada, _ = players.worlds
                players.until(lambda: len(ada.sights()) == 2)  # noqa: B023
                players.held = [0, DOWN]
                players.frames(40)
                places = []
                for _ in range(60):
                    players.frames()
                    places.append(seen(ada, "bob").y)
                steps = [b - a for a, b in itertools.pairwise(places)]
                self.assertGreaterEqual(min(steps), 0.0, profile)
                still = sum(step == 0 for step in steps)
                self.assertLess(still, 6, profile)

    def test_who_leaves_the_view_vanishes_and_who_comes_back_appears(self) -> None:
        with Players("ada", "bob") as players:
            ada, _ = players.worlds
            players.until(lambda: len(ada.sights()) == 2)
            heroes = self.fields[-1].heroes
            at = heroes[2].x
            heroes[2].x = 60 * UNITS_PER_TILE
            players.until(lambda: len(ada.sights()) == 1, 30)
            heroes[2].x = at
            players.until(lambda: len(ada.sights()) == 2, 30)

    def test_who_has_left_is_gone_from_the_field_and_from_the_list(self) -> None:
        with Players("ada", "bob") as players:
            ada, bob = players.worlds
            players.until(lambda: len(ada.players()) == 2)
            players.worlds, players.held = [ada], [0]
            players.clients[1].stop()
            players.until(lambda: len(ada.players()) == 1, 60)
            players.until(lambda: len(ada.sights()) == 1, 60)
            self.assertIsNone(bob.over)  # which was not asked


class NameTests(FieldCase):
    """Who is who."""

    def test_names_come_to_everybody_in_view(self) -> None:
        with Players("ada", "bob", profile="cellular") as players:
            players.until(
                lambda: all(
                    sorted(sight.name for sight in world.sights()) == ["ada", "bob"]
                    for world in players.worlds
                )
            )

    def test_the_list_has_oneself_first_then_all_who_were_met(self) -> None:
        with Players("cyd", "bob", "ada") as players:
            cyd = players.worlds[0]
            players.until(lambda: len(cyd.players()) == 3)
            players.until(lambda: len(cyd.sights()) == 3)
            self.fields[-1].heroes[2].x = 60 * UNITS_PER_TILE
            players.until(lambda: len(cyd.sights()) == 2)
            self.assertEqual(
                cyd.players(),
                [
                    Acquaintance(1, "cyd", True, True, False),
                    Acquaintance(3, "ada", False, True, False),
                    Acquaintance(2, "bob", False, False, False),
                ],
            )

    def test_whose_connection_is_lost_is_away_until_it_is_back(self) -> None:
        with Players("ada", "bob") as players:
            ada, bob = players.worlds
            players.until(lambda: len(ada.players()) == 2 and len(ada.sights()) == 2)
            players.simulation.network.cut_tcp(players.clients[1])
            players.until(lambda: seen(ada, "bob").away)
            self.assertTrue(bob.suspended)
            self.assertTrue(seen(bob, "bob").away)
            players.until(lambda: not seen(ada, "bob").away)
            self.assertFalse(bob.suspended)
            self.assertFalse(seen(bob, "bob").away)


class TalkTests(FieldCase):
    """Lines and bubbles."""

    def test_a_flood_of_speakers_leaves_so_many_bubbles(self) -> None:
        talk = Talk()
        for hero_id in range(1, MOST_BUBBLES + 2):
            talk.heard(
                gamenet.Chat(gamenet.Player(hero_id, "x", ""), "hello", False), 0.0, own=False
            )
        self.assertEqual((talk.bubble(1, 1.0), talk.bubble(2, 1.0)), ("", "hello"))
        self.assertEqual(talk.bubble(MOST_BUBBLES + 1, 1.0), "hello")

    def test_a_line_hangs_above_its_author_for_five_seconds(self) -> None:
        with Players("ada", "bob") as players:
            ada, bob = players.worlds
            players.until(lambda: all(len(world.players()) == 2 for world in (ada, bob)))
            players.until(lambda: len(ada.sights()) == len(bob.sights()) == 2)
            self.assertTrue(bob.say("  hello "))
            players.until(lambda: seen(ada, "bob").bubble == "hello", 60)
            self.assertEqual(
                [(line.name, line.text) for line in ada.talk.lines], [("bob", "hello")]
            )
            self.assertEqual(seen(ada, "ada").bubble, "")
            players.until(lambda: seen(bob, "bob").bubble == "hello", 60)
            players.frames(280)
            self.assertEqual(seen(ada, "bob").bubble, "hello")
            players.frames(30)
            self.assertEqual(seen(ada, "bob").bubble, "")
            self.assertEqual(len(ada.talk.lines), 1)

    def test_what_cannot_be_said_is_refused_at_once(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            for text in ("", "   ", "\u200d", "x" * 501):
                self.assertFalse(world.say(text))
            self.assertEqual(world.talk.waiting, ())

    def test_what_is_said_while_the_connection_is_lost_is_kept_and_heard_once(self) -> None:
        with Players("ada", "bob") as players:
            ada, bob = players.worlds
            players.until(lambda: ada.own and bob.own)
            players.simulation.network.cut_tcp(players.clients[0])
            players.until(lambda: ada.suspended)
            self.assertIsNotNone(ada.away_since)
            ada.say("one")
            ada.say("two")
            players.frames(2)
            self.assertEqual(ada.talk.waiting, ("one", "two"))
            players.until(lambda: not ada.suspended)
            players.until(lambda: not ada.talk.waiting)
            said = [line.text for line in bob.talk.lines if line.name]
            self.assertEqual(said, ["one", "two"])
            notes = [line.text for line in ada.talk.lines if not line.name]
            self.assertEqual(len(notes), 1)
            self.assertIn("connected again after", notes[0])

    def test_no_more_waits_than_is_bounded(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            self.assertEqual(sum(world.say(f"line {n}") for n in range(100)), 50)
            players.until(lambda: not world.talk.waiting)
            self.assertEqual(len(world.talk.lines), 50)


class EndTests(FieldCase):
    """Every end has its sentence."""

    def test_a_server_that_stops_says_so(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            players.simulation.server.stop()
            players.until(lambda: world.over)
            assert world.over is not None
            self.assertEqual(
                world.over, Over("The server is shutting down.", was_in=True, orderly=True)
            )
            players.frames(5)  # after it nothing happens, and nothing raises

    def test_who_is_sent_away_reads_why(self) -> None:
        @gamenet.game(game_name="x/1")
        def strict(server: gamenet.GameServer) -> None:
            for tick in server.ticks():
                for event in tick.events:
                    if isinstance(event, gamenet.Joined):
                        server.disconnect(event.player, "no shoes")

        with Players("ada", game_=strict) as players:
            (world,) = players.worlds
            players.until(lambda: world.over)
            assert world.over is not None
            self.assertEqual(world.over.text, "The game has sent you away: no shoes.")

    def test_a_server_that_is_gone_for_good_ends_it_and_what_was_said_is_counted(self) -> None:
        with Players("ada", resume_seconds=3.0) as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            network = players.simulation.network
            network.link(profile="perfect", loss=1.0)
            network.cut_tcp()
            network.refuse_tcp = True
            players.until(lambda: world.suspended)
            world.say("anybody?")
            players.until(lambda: world.over)
            assert world.over is not None
            self.assertEqual((world.over.orderly, world.over.unheard), (False, 1))
            self.assertFalse(world.suspended)

    def test_a_refusal_is_a_sentence(self) -> None:
        with Simulation(game.main, clients=["ada"], max_players=1) as simulation:
            client = simulation._new_client("bob", {})
            client.start(wait=False)
            world = World(client, simulation.time)
            self.assertTrue(world.joining)
            while world.joining:
                simulation.run(FRAME)
                world.frame(simulation.time, 0)
            assert world.over is not None
            self.assertEqual(world.over.text, "The server is full. Try again later.")
            self.assertFalse(world.over.was_in)

    def test_a_server_that_does_not_answer_is_given_up(self) -> None:
        with Simulation(game.main, clients=[]) as simulation:
            client = simulation._new_client("bob", {"join_seconds": 60.0})
            simulation.network.link(client, bandwidth_bytes=1)
            client.start(wait=False)
            world = World(client, simulation.time)
            for _ in range(17):
                simulation.run(1.0)
                world.frame(simulation.time, 0)
            assert world.over is not None
            self.assertEqual(world.over.text, "The server did not answer in 15 seconds.")
            client.stop()


class HostileTests(FieldCase):
    """What no server of this game sends is counted, and changes nothing."""

    def play(self, send: Any, frames: int = 20) -> World:
        @gamenet.game(game_name="x/1")
        def odd(server: gamenet.GameServer) -> None:
            for _ in server.ticks():
                for player in server.players:
                    send(server, player)

        with Players("ada", game_=odd) as players:
            (world,) = players.worlds
            players.frames(frames)
            self.assertIsNone(world.over)
            return world

    def test_states_that_cannot_be_read(self) -> None:
        world = self.play(lambda server, player: server.send_state(player, b"GND1\x01"))
        self.assertGreater(world.unreadable, 5)
        self.assertTrue(world.blind)
        self.assertEqual(world.sights(), [])

    def test_states_of_somebody_else(self) -> None:
        state = join_state([pack_hero(Hero(77, 3200, 2944))])
        world = self.play(lambda server, player: server.send_state(player, state))
        self.assertGreater(world.unreadable, 5)
        self.assertTrue(world.blind)

    def test_messages_that_say_nothing(self) -> None:
        def send(server: Any, player: Any) -> None:
            server.send(player, b"GNW1")
            server.send_unreliable(player, b"?")

        world = self.play(send)
        self.assertGreater(world.unreadable, 10)
        self.assertEqual([who.name for who in world.players()], ["ada"])

    def test_names_without_end(self) -> None:
        self.patch(module, "MOST_NAMES", 10)
        count = iter(range(1, 10_000))

        def send(server: Any, player: Any) -> None:
            server.send(player, names.write_who(names.Who(next(count), "x", False)))

        world = self.play(send, 60)
        self.assertLessEqual(len(world.players()), 11)
        self.assertGreater(world.unreadable, 5)

    def test_a_server_with_too_few_buttons(self) -> None:
        with Players("ada", input_bits=1) as players:
            (world,) = players.worlds
            players.until(lambda: world.own)
            players.held = [RIGHT]
            players.frames(10)
            self.assertGreater(world.unreadable, 1)


class PathTests(FieldCase):
    """UDP or TCP."""

    def test_a_blocked_path_is_said_in_words_and_play_goes_on(self) -> None:
        with Players("ada") as players:
            (world,) = players.worlds
            players.until(lambda: world.path == "udp")
            players.simulation.network.block_udp()
            players.held = [RIGHT]
            players.until(lambda: world.path == "tcp")
            place = world.centre
            players.held = [LEFT]
            players.frames(30)
            self.assertLess(world.centre[0], place[0])
            players.simulation.network.block_udp(on=False)
            players.until(lambda: world.path == "udp")
            notes = [line.text for line in world.talk.lines]
            self.assertEqual(len(notes), 2)
            self.assertIn("TCP", notes[0])
            self.assertEqual(notes[1], "UDP passes again")

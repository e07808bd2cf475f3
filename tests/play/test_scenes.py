"""The screens, on a simulated server, by the keys and clicks that a person would use."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from gamenet.demo import field, game
from tests.play.players import add_beside
from tests.play.theatre import PLAYED, Theatre, nearby

import pygame  # isort: skip

from gamenet.play.scenes import join
from gamenet.play.scenes.join import JoinScene
from gamenet.play.scenes.over import OverScene
from gamenet.play.scenes.playing import PlayingScene
from gamenet.play.stage import Wish
from gamenet.play.writing import wrapped


class SceneCase(SynchronousTestCase):
    """Everybody stands next to each other."""

    def setUp(self) -> None:
        self.patch(field.Field, "add", add_beside)

    def shows(self, theatre: Theatre, kind: type[Any]) -> None:
        self.assertIsInstance(theatre.scene, kind)


class JoinTests(SceneCase):
    """The first screen."""

    def test_who_types_an_address_and_a_name_is_in(self) -> None:
        with Theatre("bob") as theatre:
            self.shows(theatre, JoinScene)
            theatre.type("field.example")
            theatre.press(pygame.K_TAB)
            theatre.type("ada")
            theatre.press(pygame.K_RETURN)
            self.assertTrue(theatre.scene.busy)
            theatre.until(lambda: isinstance(theatre.scene, PlayingScene))
            self.assertEqual(theatre.scene.world.name, "ada")
            self.assertEqual(theatre.scene.stay.wish.address, "field.example")

    def test_what_is_wrong_is_said_where_the_fields_are(self) -> None:
        with Theatre("bob") as theatre:
            for address, name, problem, focus in (
                ("", "ada", "where the server is", "address"),
                ("no such host", "ada", "is not an address", "address"),
                ("host:99999", "ada", "port", "address"),
                ("host", "a\N{LATIN SMALL LETTER E WITH ACUTE}" * 16, "names have", "name"),
                ("host", "BOB", "already playing", "name"),
            ):
                scene = theatre.scene
                scene.address.text, scene.name.text = address, name
                scene.form.focus = 0
                theatre.press(pygame.K_RETURN)
                theatre.until(lambda: not theatre.scene.busy)
                self.assertIn(problem, scene.problem.lower())
                self.assertEqual(theatre.told[-1], scene.problem)
                field = getattr(scene, focus)
                self.assertIs(scene.form.focused, field)
                self.assertTrue(field.problem)
            self.shows(theatre, JoinScene)

    def test_a_password_without_encryption_is_refused_before_anything_is_sent(self) -> None:
        with Theatre() as theatre:
            theatre.app.to_join(Wish("host", "ada", "secret", insecure=True), at_once=True)
            self.assertFalse(theatre.scene.busy)
            self.assertEqual(theatre.scene.problem, "Passwords are never sent without encryption.")
            self.assertIs(theatre.scene.form.focused, theatre.scene.password)

    def test_a_refusal_is_read_here(self) -> None:
        with Theatre("bob", max_players=1) as theatre:
            theatre.app.to_join(PLAYED, at_once=True)
            theatre.until(lambda: theatre.scene.problem)
            self.assertEqual(theatre.scene.problem, "The server is full. Try again later.")
            self.assertEqual(theatre.told, [theatre.scene.problem])
            self.assertEqual(theatre.scene.address.text, "field.example")

    def test_another_game_is_refused_in_words(self) -> None:
        with Theatre(game_name="tag/1") as theatre:
            theatre.app.to_join(PLAYED, at_once=True)
            theatre.until(lambda: theatre.scene.problem)
            self.assertEqual(theatre.scene.problem, "That server runs a different game.")
            self.assertIs(theatre.scene.form.focused, theatre.scene.address)

    def test_where_no_server_answers_it_is_the_address_that_is_to_be_changed(self) -> None:
        with Theatre() as theatre:
            theatre.simulation.stop_server(5.0)
            theatre.app.to_join(PLAYED, at_once=True)
            theatre.until(lambda: theatre.scene.problem)
            self.assertIn("no server answers", theatre.scene.problem.lower())
            self.assertIs(theatre.scene.form.focused, theatre.scene.address)

    def test_a_join_can_be_given_up(self) -> None:
        with Theatre(profile="satellite") as theatre:
            for give_up in (pygame.K_ESCAPE, pygame.K_RETURN):
                theatre.app.to_join(PLAYED, at_once=True)
                theatre.frames(3)
                self.assertTrue(theatre.scene.busy)
                theatre.press(give_up)
                self.assertFalse(theatre.scene.busy)
                theatre.frames(120)
                self.shows(theatre, JoinScene)
            self.assertFalse(theatre.app.is_over)

    def test_escape_closes_the_window(self) -> None:
        with Theatre() as theatre:
            theatre.press(pygame.K_ESCAPE)
            self.assertTrue(theatre.app.is_over)

    def test_the_field_is_behind_it_without_anybody(self) -> None:
        with Theatre() as theatre:
            view = theatre.app.view
            theatre.frames(2)
            first = view.centre
            theatre.frames(60)
            self.assertNotEqual(view.centre, first)
            self.assertEqual(list(view.sights), [])

    def test_it_is_drawn_in_any_size(self) -> None:
        with Theatre(draws=True) as theatre:
            theatre.scene.problem = "Something is wrong, and it takes a while to say what. " * 3
            theatre.lan.found = [nearby("x" * 64, "10.0.0.9")] * 9
            for size in ((480, 270), (960, 540), (1, 1), (3000, 200)):
                theatre.app.surface = pygame.Surface(size)
                theatre.frames()

    def test_a_server_of_ones_own_that_runs_is_not_forgotten(self) -> None:
        with Theatre() as theatre:
            for address, label in (
                ("", join.HOST),
                ("field.example", join.HOSTED),
                ("", join.HOST),
            ):
                theatre.hosting.address = address
                theatre.frames()
                labels = [widget.label for widget in theatre.scene.form.widgets]
                self.assertIn(label, labels)


class NearbyTests(SceneCase):
    """Servers of the local network."""

    def test_they_are_listed_and_one_click_joins(self) -> None:
        with Theatre() as theatre:
            theatre.lan.found = [
                nearby("Ada's field", "10.0.0.1", players=3),
                nearby("Bob's", "10.0.0.2", needs_proof=True),
            ]
            theatre.frames(2)
            labels = [button.label for button in theatre.scene.form.widgets[-2:]]
            self.assertEqual(labels, ["Ada's field   3/8", "Bob's   1/8, with password"])
            theatre.click(theatre.scene.form.widgets[-2])
            theatre.until(lambda: isinstance(theatre.scene, PlayingScene))
            self.assertEqual(theatre.scene.stay.wish.address, "10.0.0.1:7777")
            self.assertTrue(theatre.scene.stay.wish.insecure)

    def test_servers_that_have_no_room_are_counted(self) -> None:
        written: list[str] = []
        real = join.write

        def write(surface: Any, text: str, *at: Any, **how: Any) -> Any:
            written.append(text)
            return real(surface, text, *at, **how)

        self.patch(join, "write", write)
        with Theatre() as theatre:
            for count, told in ((6, False), (9, True), (6, False)):
                theatre.lan.found = [nearby("x", f"10.0.0.{number}") for number in range(count)]
                theatre.frames()
                written.clear()
                theatre.frames()
                self.assertEqual(
                    "and 3 more, which 'gamenet discover' lists" in written, told, written
                )

    def test_the_focus_stays_while_servers_come_and_go(self) -> None:
        with Theatre() as theatre:
            ada, bob = nearby("Ada's", "10.0.0.1"), nearby("Bob's", "10.0.0.2")
            theatre.lan.found = [bob]
            theatre.frames()
            form = theatre.scene.form
            form.focus = len(form.widgets) - 1
            focused = form.focused
            theatre.lan.found = [ada, nearby("Bob's", "10.0.0.2", players=2)]
            theatre.frames()
            self.assertIs(form.focused, focused)
            self.assertEqual(form.focused.label, "Bob's   2/8")
            theatre.lan.found = []
            theatre.frames()
            self.assertIsNotNone(form.focused)

    def test_nobody_is_asked_while_playing(self) -> None:
        with Theatre() as theatre:
            self.assertTrue(theatre.lan.looks)
            theatre.play()
            self.assertFalse(theatre.lan.looks)
            theatre.app.to_join(PLAYED)
            self.assertTrue(theatre.lan.looks)
            theatre.app.close()
            self.assertFalse(theatre.lan.looks)


class HostTests(SceneCase):
    """A server of one's own."""

    def test_it_is_joined_once_it_runs(self) -> None:
        with Theatre() as theatre:
            theatre.scene.name.text = "ada"
            theatre.scene.announced.checked = True
            theatre.click(theatre.scene._host[0])
            self.assertEqual(theatre.hosting.starts, 1)
            self.assertEqual(
                (theatre.hosting.announced, theatre.hosting.beacon), (True, "ada's field")
            )
            theatre.frames(3)
            self.assertTrue(theatre.scene.busy)
            theatre.hosting.insecure = True
            theatre.hosting.invitation = "gamenet://192.0.2.7:7777"
            theatre.hosting.address = "10.0.0.1:7777"
            theatre.until(lambda: isinstance(theatre.scene, PlayingScene))
            self.assertEqual(theatre.scene.world.name, "ada")
            self.assertIn("gamenet://192.0.2.7:7777", theatre.told[0])

    def test_why_it_does_not_run_is_said(self) -> None:
        with Theatre() as theatre:
            theatre.click(theatre.scene._host[0])
            theatre.hosting.problem = "No server can be started here: port 7777 is in use."
            theatre.frames(2)
            self.assertFalse(theatre.scene.busy)
            self.assertEqual(theatre.scene.problem, theatre.hosting.problem)


class PlayingTests(SceneCase):
    """The field."""

    def test_keys_walk_and_let_go(self) -> None:
        with Theatre() as theatre:
            world = theatre.play().world
            place = world.centre
            theatre.down(pygame.K_d)
            theatre.frames(30)
            self.assertGreater(world.centre[0], place[0] + 1)
            theatre.up(pygame.K_d)
            theatre.frames(10)
            place = world.centre
            theatre.frames(20)
            self.assertEqual(world.centre, place)

    def test_who_types_does_not_walk(self) -> None:
        with Theatre("bob") as theatre:
            scene = theatre.play()
            place = scene.world.centre
            theatre.press(pygame.K_RETURN)
            theatre.down(pygame.K_w)
            theatre.type("w")
            theatre.frames(20)
            self.assertEqual(scene.world.centre, place)
            theatre.up(pygame.K_w)
            theatre.press(pygame.K_RETURN)
            self.assertIsNone(scene.typed)
            theatre.until(lambda: [line.text for line in scene.world.talk.lines] == ["w"])

    def test_a_line_can_be_given_up_and_an_empty_one_says_nothing(self) -> None:
        with Theatre() as theatre:
            scene = theatre.play()
            theatre.press(pygame.K_RETURN)
            theatre.type("never mind")
            theatre.press(pygame.K_ESCAPE)
            self.assertIsNone(scene.typed)
            self.assertIsNone(scene.menu)
            theatre.press(pygame.K_RETURN, pygame.K_RETURN)
            self.assertIsNone(scene.typed)
            theatre.frames(30)
            self.assertEqual(len(scene.world.talk.lines), 0)

    def test_what_cannot_be_said_yet_stays_in_the_field(self) -> None:
        with Theatre() as theatre:
            scene = theatre.play()
            theatre.simulation.network.cut_tcp()
            theatre.until(lambda: scene.world.suspended)
            while scene.world.say("again and again"):
                pass
            theatre.press(pygame.K_RETURN)
            theatre.type("one more")
            theatre.press(pygame.K_RETURN)
            self.assertEqual(scene.typed.text, "one more")

    def test_tab_shows_the_players_while_it_is_held(self) -> None:
        with Theatre("bob") as theatre:
            scene = theatre.play()
            theatre.down(pygame.K_TAB)
            self.assertTrue(scene.players_shown)
            theatre.up(pygame.K_TAB)
            self.assertFalse(scene.players_shown)
            theatre.down(pygame.K_TAB)
            theatre.happens(pygame.WINDOWFOCUSLOST)
            self.assertFalse(scene.players_shown)

    def test_the_menu_goes_on_leaves_and_quits(self) -> None:
        with Theatre() as theatre:
            scene = theatre.play()
            theatre.press(pygame.K_ESCAPE)
            self.assertIsNotNone(scene.menu)
            theatre.press(pygame.K_ESCAPE)
            self.assertIsNone(scene.menu)
            theatre.press(pygame.K_ESCAPE, pygame.K_RETURN)
            self.assertIsNone(scene.menu)
            theatre.press(pygame.K_ESCAPE, pygame.K_DOWN, pygame.K_RETURN)
            self.shows(theatre, JoinScene)
            self.assertEqual(theatre.scene.address.text, PLAYED.address)
            theatre.until(lambda: not theatre.simulation.server.players)

    def test_quit_in_the_menu_closes_the_window(self) -> None:
        with Theatre() as theatre:
            theatre.play()
            theatre.press(pygame.K_ESCAPE, pygame.K_UP, pygame.K_RETURN)
            self.assertTrue(theatre.app.is_over)

    def test_a_lost_connection_is_said_and_play_goes_on_by_itself(self) -> None:
        with Theatre("bob") as theatre:
            scene = theatre.play()
            notices: list[tuple[str, str]] = []
            scene._draw_notice = lambda surface, title, text: notices.append((title, text))
            theatre.simulation.network.cut_tcp(scene.stay.client)
            theatre.until(lambda: scene.world.suspended)
            theatre.press(pygame.K_RETURN)
            theatre.type("wait for me")
            theatre.press(pygame.K_RETURN)
            self.assertIn("lost", notices[-1][0])
            self.assertIn("by itself", notices[-1][1])
            self.assertIn("kept", notices[-1][1])
            self.assertIn(
                "(not heard yet) wait for me", [text for text, _ in scene._lines(0.0, 900)]
            )
            theatre.until(lambda: not scene.world.suspended)
            theatre.until(lambda: not scene.world.talk.waiting)
            notices.clear()
            theatre.frames(2)
            self.assertEqual(notices, [])

    def test_a_server_that_falls_silent_is_noticed_at_once(self) -> None:
        with Theatre() as theatre:
            scene = theatre.play()
            notices: list[str] = []
            scene._draw_notice = lambda surface, title, text: notices.append(title)
            theatre.frames(60)
            self.assertEqual(notices, [])
            theatre.simulation.network.link(loss=1.0)
            theatre.simulation.network.cut_tcp(silently=True)
            theatre.frames(150)
            self.assertFalse(scene.world.suspended)
            self.assertEqual(notices[-1], "Nothing has come from the server for 2 s")
            theatre.until(lambda: scene.world.suspended, 2400)
            self.assertIn("lost", notices[-1])

    def test_a_server_of_another_game_is_explained(self) -> None:
        import gamenet

        @gamenet.game(game_name=game.GAME_NAME)
        def odd(server: gamenet.GameServer) -> None:
            for _ in server.ticks():
                for player in server.players:
                    server.send_state(player, b"?")

        with Theatre(game_=odd) as theatre:
            theatre.app.to_join(PLAYED, at_once=True)
            theatre.until(lambda: isinstance(theatre.scene, PlayingScene))
            notices: list[tuple[str, str]] = []
            theatre.scene._draw_notice = lambda surface, title, text: notices.append((title, text))
            theatre.frames(20)
            self.assertIn("another game", notices[-1][1])

    def test_f3_goes_through_the_levels_of_the_net_graph(self) -> None:
        with Theatre(draws=True) as theatre:
            scene = theatre.play()
            levels = []
            for _ in range(5):
                theatre.press(pygame.K_F3)
                theatre.frames(12)
                levels.append(scene.graph.level)
            self.assertEqual(levels, [1, 2, 3, 4, 0])
            self.assertIs(scene.graph.predictor, scene.world.own.predictor)
            self.assertIsNone(scene.graph.server)

    def test_the_view_is_given_what_the_world_knows(self) -> None:
        with Theatre("bob") as theatre:
            world = theatre.play().world
            theatre.until(lambda: len(world.players()) == 2)
            theatre.frames(10)
            view = theatre.app.view
            self.assertEqual(view.sights, world.sights())
            self.assertEqual(view.centre, world.centre)
            self.assertEqual([sight.name for sight in view.sights], ["ada", "bob"])

    def test_heroes_and_what_they_say_are_drawn_where_the_server_has_them(self) -> None:
        with Theatre("bob", draws=True) as theatre:
            scene = theatre.play()
            theatre.frames(10)
            bare = theatre.app.surface.copy()
            theatre.others[0].say("hello")
            theatre.until(lambda: any(sight.bubble for sight in scene.world.sights()))
            theatre.frames(2)
            x, y = theatre.app.view.pixel_of(13.5, 11.5)  # where bob stands
            above = pygame.Rect(x - 20, y - 90, 40, 60)
            changed = [
                theatre.app.surface.get_at((column, row)) != bare.get_at((column, row))
                for column in range(above.left, above.right)
                for row in range(max(0, above.top), above.bottom)
            ]
            self.assertGreater(sum(changed), 200)

    def test_only_what_is_shown_of_a_flood_of_chat_is_broken_into_lines(self) -> None:
        with Theatre("bob") as theatre:
            scene = theatre.play()
            for number in range(200):
                scene.world.talk.note(f"line {number}", theatre.simulation.time)
            wrapped.cache_clear()
            shown = scene._lines(theatre.simulation.time, 900)
            self.assertEqual([text for text, _ in shown], [f"* line {n}" for n in range(194, 200)])
            self.assertEqual(wrapped.cache_info().misses, 6)

    def test_old_lines_go_unless_somebody_types(self) -> None:
        with Theatre("bob") as theatre:
            scene = theatre.play()
            theatre.others[0].say("hello")
            theatre.until(lambda: scene.world.talk.lines)
            now = theatre.simulation.time
            self.assertEqual([text for text, _ in scene._lines(now, 900)], ["bob: hello"])
            self.assertEqual(scene._lines(now + 20, 900), [])
            theatre.press(pygame.K_RETURN)
            self.assertEqual(len(scene._lines(now + 20, 900)), 1)


class OverTests(SceneCase):
    """How it ended."""

    def end(self, theatre: Theatre) -> Any:
        theatre.play()
        theatre.simulation.server.stop()
        theatre.until(lambda: isinstance(theatre.scene, OverScene))
        return theatre.scene

    def test_it_says_why_here_and_at_the_terminal(self) -> None:
        with Theatre() as theatre:
            scene = self.end(theatre)
            self.assertEqual(scene.over.text, "The server is shutting down.")
            self.assertEqual(theatre.told, ["in, as ada", scene.over.text])
            theatre.frames(2)

    def test_back_leads_to_the_join_screen(self) -> None:
        with Theatre() as theatre:
            for keys in ((pygame.K_ESCAPE,), (pygame.K_DOWN, pygame.K_RETURN)):
                theatre.app.to_end(PLAYED, self.over())
                theatre.press(*keys)
                self.shows(theatre, JoinScene)
                self.assertEqual(theatre.scene.name.text, "ada")
                self.assertFalse(theatre.scene.busy)

    def test_joining_again_begins_at_once(self) -> None:
        with Theatre() as theatre:
            theatre.app.to_end(PLAYED, self.over())
            theatre.press(pygame.K_RETURN)
            theatre.until(lambda: isinstance(theatre.scene, PlayingScene))

    def test_quit_closes_the_window(self) -> None:
        with Theatre() as theatre:
            theatre.app.to_end(PLAYED, self.over())
            theatre.press(pygame.K_UP, pygame.K_RETURN)
            self.assertTrue(theatre.app.is_over)

    def over(self) -> Any:
        from gamenet.play.endings import Over

        return Over("The connection broke.", was_in=True, orderly=False, unheard=2)
